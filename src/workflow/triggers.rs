//! When a pipeline runs, with which inputs and which rights.

use std::collections::BTreeSet;
use std::ops::Range;

use super::Lint;
use super::yaml::{Key, Node};
use crate::error::Code;

pub(super) fn examine(root: &Node, lint: &mut Lint<'_>) {
    if let Some(on) = root.get("on") {
        filters(on, lint);
    }
    inputs(root, lint);
    permissions(root, "permissions", lint);
    for (key, job) in root.get("jobs").map_or(&[][..], Node::entries) {
        permissions(job, &format!("jobs.{}.permissions", key.name), lint);
    }
}

/// A path filter can't know what a strategy depends on: a change to shared code went out unjudged.
fn filters(on: &Node, lint: &mut Lint<'_>) {
    for (event, settings) in on.entries() {
        if !["push", "pull_request", "pull_request_target"].contains(&event.name.as_str()) {
            continue;
        }
        for (key, _) in
            settings.entries().iter().filter(|(key, _)| ["paths", "paths-ignore"].contains(&key.name.as_str()))
        {
            let what = format!("`{}` of `{}` can miss code that a strategy depends on", key.name, event.name);
            lint.error(Code::PathFilter, key.at.clone(), &format!("on.{}.{}", event.name, key.name), what);
        }
    }
}

fn permissions(node: &Node, subject: &str, lint: &mut Lint<'_>) {
    if let Some(value) = node.get("permissions").filter(|p| p.text() == Some("write-all")) {
        lint.error(Code::BroadPermissions, value.at.clone(), subject, "every job may write everything");
    }
}

fn inputs(root: &Node, lint: &mut Lint<'_>) {
    let declared: Vec<&Key> = ["workflow_dispatch", "workflow_call"]
        .iter()
        .filter_map(|event| root.get("on")?.get(event)?.get("inputs"))
        .flat_map(|inputs| inputs.entries().iter().map(|(key, _)| key))
        .collect();
    let used = used(root, lint.text);
    let names: BTreeSet<String> = used.iter().map(|(name, _)| name.to_lowercase()).collect();
    let whole = names.contains("");
    let is_used = |key: &Key| names.contains(&key.name.to_lowercase());
    let known: BTreeSet<String> = declared.iter().map(|key| key.name.to_lowercase()).collect();
    for key in declared.iter().filter(|key| !whole && !is_used(key)) {
        let what = format!("nothing uses the input `{}`, so what is chosen has no effect", key.name);
        lint.error(Code::UnusedInput, key.at.clone(), &format!("inputs.{}", key.name), what);
    }
    let mut seen = BTreeSet::new();
    for (name, at) in used.iter().filter(|(name, _)| !name.is_empty()) {
        if !known.contains(&name.to_lowercase()) && seen.insert(at.start) {
            let what = format!("no input `{name}` is declared, so this is always empty");
            lint.error(Code::UndeclaredInput, at.clone(), &format!("inputs.{name}"), what);
        }
    }
}

/// Inputs that expressions name, and where; an empty name if one takes them all. What only names
/// a run, a job or a step has no effect.
fn used(root: &Node, source: &str) -> Vec<(String, Range<usize>)> {
    let (mut found, mut rest) = (Vec::new(), vec![(root, false)]);
    while let Some((node, condition)) = rest.pop() {
        for (key, value) in node.entries() {
            if !["on", "name", "run-name"].contains(&key.name.as_str()) {
                rest.push((value, key.name == "if"));
            }
        }
        rest.extend(node.items().iter().map(|item| (item, false)));
        let names = named(node.text().unwrap_or_default(), condition);
        if !names.is_empty() {
            let places = node.places(source);
            let place = |i: usize| places.get(i).copied().unwrap_or_default();
            found.extend(names.into_iter().map(|(name, at)| (name, place(at.start)..place(at.end - 1) + 1)));
        }
    }
    found
}

/// The same in one text: inside `${{ }}`, or anywhere in a condition.
fn named(text: &str, condition: bool) -> Vec<(String, Range<usize>)> {
    if condition {
        return in_expression(text, 0);
    }
    // An expression ends where the next one begins at the latest: each character is read once.
    let starts: Vec<usize> = text.match_indices("${{").map(|(at, _)| at + 3).collect();
    let limits = starts.iter().skip(1).copied().chain([text.len()]);
    let inside = starts.iter().zip(limits).map(|(from, limit)| (*from, &text[*from..limit]));
    inside.flat_map(|(from, inside)| in_expression(inside.split("}}").next().unwrap_or_default(), from)).collect()
}

fn in_expression(text: &str, offset: usize) -> Vec<(String, Range<usize>)> {
    let mut found = Vec::new();
    for (start, word) in text.match_indices("inputs") {
        let before = &text[..start];
        let begins = !before.ends_with(|c: char| c.is_alphanumeric() || ['_', '-'].contains(&c))
            && (!before.ends_with('.') || before.ends_with("github.event."));
        if !begins {
            continue;
        }
        let behind = &text[start + word.len()..];
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        let (lead, rest) = match behind.strip_prefix('.') {
            Some(rest) => (1, rest),
            None => behind.strip_prefix("['").map_or((0, ""), |rest| (2, rest)),
        };
        let length = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
        let at = offset + start;
        found.push((rest[..length].to_owned(), at..at + word.len() + lead + length));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_are_found_in_expressions_only() {
        let names = |text: &str, condition| named(text, condition).into_iter().map(|(n, _)| n).collect::<Vec<_>>();
        assert_eq!(names("${{ inputs.a || github.event.inputs.b-c }} ${{ inputs['d'] }}", false), ["a", "b-c", "d"]);
        assert_eq!(names("inputs.a == 'x'", true), ["a"]);
        assert_eq!(names("${{ toJSON(inputs) }}", false), [""]);
        for text in ["inputs.a", "${{ x }} inputs.a", "${{ my_inputs.a }}", "${{ needs.inputs.a }}"] {
            assert!(names(text, false).is_empty(), "{text}");
        }
    }
}
