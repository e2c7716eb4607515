//! When a pipeline runs, with which inputs and which rights.

use std::collections::BTreeSet;
use std::ops::Range;

use super::expressions;
use super::findings::Findings;
use super::yaml::{Key, Node, placed};
use crate::codes;

pub(super) fn examine(root: &Node, findings: &mut Findings<'_>) {
    if let Some(on) = root.get("on") {
        filters(on, findings);
    }
    inputs(root, findings);
    permissions(root, "permissions", findings);
    for (key, job) in root.get("jobs").map_or(&[][..], Node::entries) {
        permissions(job, &format!("jobs.{}.permissions", key.name), findings);
    }
}

/// A path filter can't know what a strategy depends on: a change to shared code would go out unjudged.
fn filters(on: &Node, findings: &mut Findings<'_>) {
    for (event, settings) in on.entries() {
        if !["push", "pull_request", "pull_request_target"].contains(&event.name.as_str()) {
            continue;
        }
        for (key, _) in
            settings.entries().iter().filter(|(key, _)| ["paths", "paths-ignore"].contains(&key.name.as_str()))
        {
            let what = format!("`{}` of `{}` can miss code that a strategy depends on", key.name, event.name);
            findings.error(codes::PATH_FILTER, key.at.clone(), &format!("on.{}.{}", event.name, key.name), what);
        }
    }
}

fn permissions(node: &Node, subject: &str, findings: &mut Findings<'_>) {
    if let Some(value) = node.get("permissions").filter(|p| p.text() == Some("write-all")) {
        findings.error(codes::BROAD_PERMISSIONS, value.at.clone(), subject, "every job may write everything");
    }
}

fn inputs(root: &Node, findings: &mut Findings<'_>) {
    let declared: Vec<&Key> = ["workflow_dispatch", "workflow_call"]
        .iter()
        .filter_map(|event| root.get("on")?.get(event)?.get("inputs"))
        .flat_map(|inputs| inputs.entries().iter().map(|(key, _)| key))
        .collect();
    let used = used(root, findings.text);
    let names: BTreeSet<String> = used.iter().map(|(name, _)| name.to_lowercase()).collect();
    let whole = names.contains("");
    let is_used = |key: &Key| names.contains(&key.name.to_lowercase());
    let known: BTreeSet<String> = declared.iter().map(|key| key.name.to_lowercase()).collect();
    for key in declared.iter().filter(|key| !whole && !is_used(key)) {
        let what = format!("nothing uses the input `{}`, so what is chosen has no effect", key.name);
        findings.error(codes::UNUSED_INPUT, key.at.clone(), &format!("inputs.{}", key.name), what);
    }
    let mut seen = BTreeSet::new();
    for (name, at) in used.iter().filter(|(name, _)| !name.is_empty()) {
        if !known.contains(&name.to_lowercase()) && seen.insert(at.start) {
            let what = format!("no input `{name}` is declared, so this is always empty");
            findings.error(codes::UNDECLARED_INPUT, at.clone(), &format!("inputs.{name}"), what);
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
        let names = expressions::names(node.text().unwrap_or_default(), condition);
        let inputs: Vec<_> = names.iter().filter_map(|name| Some((input(&name.text)?, &name.at))).collect();
        if !inputs.is_empty() {
            let places = node.places(source);
            found.extend(inputs.into_iter().map(|(input, at)| (input.to_owned(), placed(&places, at))));
        }
    }
    found
}

/// The input that a name stands for; an empty one for all.
fn input(name: &str) -> Option<&str> {
    let within = |context| expressions::within(name, context);
    let rest = within("inputs").or_else(|| within("github.event.inputs"))?;
    Some(rest.split('.').nth(1).filter(|name| *name != "*").unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_are_told_from_other_names() {
        for (name, of) in [
            ("inputs.a", Some("a")),
            ("Inputs.a-b.c", Some("a-b")),
            ("github.event.inputs.b", Some("b")),
            ("inputs", Some("")),
            ("inputs.*", Some("")),
            ("my_inputs.a", None),
            ("needs.inputs.a", None),
            ("inputs_of.a", None),
        ] {
            assert_eq!(input(name), of, "{name}");
        }
    }
}
