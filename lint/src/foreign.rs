//! Untrusted text that becomes code, and secrets that more than one step can read.

use super::expressions::{self, Name};
use super::findings::Findings;
use super::jobs::Job;
use super::untrusted::is_written;
use super::yaml::{Key, Node, placed};
use crate::codes;

pub(super) fn examine(root: &Node, jobs: &[Job<'_>], findings: &mut Findings<'_>) {
    let other = |keys: &'static [&str]| move |(key, _): &&(Key, Node)| !keys.contains(&key.name.as_str());
    for (key, value) in root.entries().iter().filter(other(&["jobs"])) {
        no_secret(key, value, &key.name, findings);
    }
    for job in jobs {
        // A called workflow can get its secrets nowhere else, nor an image the password it is pulled with.
        for (key, value) in job.node.entries().iter().filter(other(&["steps", "secrets", "container", "services"])) {
            no_secret(key, value, &format!("{}.{}", job.subject(), key.name), findings);
        }
        for step in &job.steps {
            for (key, value) in step.node.entries() {
                let subject = format!("{}.{}", step.subject, key.name);
                match key.name.as_str() {
                    "run" => script(root, value, &subject, findings),
                    "env" | "with" => given(root, step.node, key, value, &subject, findings),
                    _ => no_secret(key, value, &subject, findings),
                }
            }
        }
    }
}

/// The `env` or `with` of a step: it may name single secrets, and a script for an action is checked as one.
fn given(root: &Node, step: &Node, key: &Key, values: &Node, subject: &str, findings: &mut Findings<'_>) {
    let is_script = |name: &str| {
        let action = step.text_at("uses").unwrap_or_default();
        key.name == "with" && name == "script" && action.starts_with("actions/github-script@")
    };
    for (key, value) in values.entries() {
        let subject = format!("{subject}.{}", key.name);
        if is_script(&key.name) {
            script(root, value, &subject, findings);
        } else {
            let all = |name: &Name| name.text.eq_ignore_ascii_case("secrets") || name.text == "secrets.*";
            each(value, false, all, findings, |findings, at, _| {
                findings.error(codes::EXPOSED_SECRET, at, &subject, "the step is given every secret there is");
            });
        }
    }
}

fn script(root: &Node, node: &Node, subject: &str, findings: &mut Findings<'_>) {
    let unread = expressions::unreadable(node.text().unwrap_or_default());
    if !unread.is_empty() {
        let places = node.places(findings.text);
        for at in unread {
            let what = "the expression can't be read, so nobody can say what becomes part of the script";
            findings.error(codes::WORKFLOW_SYNTAX, placed(&places, &at), subject, what);
        }
    }
    let is_untrusted = |name: &Name| name.flows && is_written(root, &name.text);
    each(
        node,
        false,
        |name| is_untrusted(name) || name.is_of("secrets"),
        findings,
        |findings, at, name| {
            let (code, what) = if name.is_of("secrets") {
                (codes::EXPOSED_SECRET, format!("`{}` becomes part of the script's text", name.text))
            } else {
                (codes::SCRIPT_INJECTION, format!("whoever writes `{}` writes a part of the script", name.text))
            };
            findings.error(code, at, subject, what);
        },
    );
}

/// Finds secrets outside of a step's `env` and `with`.
fn no_secret(key: &Key, value: &Node, subject: &str, findings: &mut Findings<'_>) {
    let mut rest = vec![(value, key.name == "if")];
    while let Some((node, condition)) = rest.pop() {
        rest.extend(node.entries().iter().map(|(key, value)| (value, key.name == "if")));
        rest.extend(node.items().iter().map(|item| (item, false)));
        each(
            node,
            condition,
            |name| name.is_of("secrets"),
            findings,
            |findings, at, name| {
                let what = format!("`{}` stands where more reads it than the step that uses it", name.text);
                findings.error(codes::EXPOSED_SECRET, at, subject, what);
            },
        );
    }
}

/// Calls `report` for each wanted name in a text, with its place in the file.
fn each(
    node: &Node,
    condition: bool,
    wanted: impl Fn(&Name) -> bool,
    findings: &mut Findings<'_>,
    report: impl Fn(&mut Findings<'_>, std::ops::Range<usize>, &Name),
) {
    let names = expressions::names(node.text().unwrap_or_default(), condition);
    let names: Vec<Name> = names.into_iter().filter(wanted).collect();
    if !names.is_empty() {
        let places = node.places(findings.text);
        names.iter().for_each(|name| report(findings, placed(&places, &name.at), name));
    }
}
