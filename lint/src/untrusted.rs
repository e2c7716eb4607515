//! Which values of a workflow people write: texts that may hold anything, a command included.

use super::expressions::within;
use super::yaml::{Node, events};

/// Last parts of names under `github.event` that stand for a text somebody wrote.
const TEXTS: [&str; 17] = [
    "title",
    "body",
    "message",
    "email",
    "name",
    "label",
    "ref",
    "head_ref",
    "head_branch",
    "display_title",
    "page_name",
    "description",
    "tag_name",
    "default_branch",
    "from",
    "text",
    "*",
];

/// What holds such texts, taken as a whole.
const WHOLES: [&str; 15] = [
    "pull_request",
    "issue",
    "comment",
    "review",
    "discussion",
    "commits",
    "head_commit",
    "release",
    "workflow_run",
    "labels",
    "label",
    "milestone",
    "author",
    "head",
    "changes",
];

/// What has a name that can't hold anything but letters, digits and a few signs.
const PLAIN_NAMES: [&str; 6] = ["repository", "repo", "organization", "workflow", "owner", "user"];

/// Whether people write what a name stands for. Numbers, hashes, booleans, logins and addresses they don't.
pub(super) fn is_written(root: &Node, name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    for context in ["inputs", "github.event.inputs"] {
        if let Some(rest) = within(&name, context) {
            return rest.is_empty() || is_typed(root, rest.trim_start_matches('.'));
        }
    }
    if within(&name, "github.event.client_payload").is_some() || name == "github" {
        return true;
    }
    match name.as_str() {
        "github.head_ref" => return true,
        "github.ref" | "github.ref_name" => return !are_fixed(root, "push", &["schedule", "release", "merge_group"]),
        "github.base_ref" => return !are_fixed(root, "pull_request", &[]),
        _ => {}
    }
    let Some(rest) = within(&name, "github.event") else { return false };
    let parts: Vec<&str> = rest.split('.').filter(|part| !part.is_empty()).collect();
    let Some((last, before)) = parts.split_last() else { return true };
    let parent = before.last().copied().unwrap_or("event");
    match *last {
        "name" | "full_name" => *last == "name" && !PLAIN_NAMES.contains(&parent),
        "email" | "label" if parent == "event" => WHOLES.contains(last),
        last => TEXTS.contains(&last) || WHOLES.contains(&last),
    }
}

/// Whether the branches of an event are written down, and no other event brings in more of them. A tag is no branch, and
/// on a pull request the branch has a number for a name.
fn are_fixed(root: &Node, event: &str, others: &[&str]) -> bool {
    let fixed = |settings: &Node| {
        let named = settings.get("branches").map(Node::items).unwrap_or_default();
        let plain = |branch: &Node| branch.text().is_some_and(|name| !name.contains(['*', '?', '+', '[', '!']));
        (!named.is_empty() || settings.get("tags").is_some()) && named.iter().all(plain)
    };
    let is_known = |name: &str| {
        let settings = || root.get("on").and_then(|on| on.get(name));
        let of_pull_requests = event == "push" && name.starts_with("pull_request");
        others.contains(&name)
            || of_pull_requests
            || (name == event || name == "pull_request_target" && event == "pull_request")
                && settings().is_some_and(fixed)
            || event == "pull_request" && !name.starts_with("pull_request")
    };
    events(root).into_iter().all(is_known)
}

/// Whether an input is a text that somebody types: no boolean, number or choice, and not only handed over by another
/// workflow.
fn is_typed(root: &Node, input: &str) -> bool {
    let declared = |event: &str| {
        let inputs = root.get("on")?.get(event)?.get("inputs")?.entries();
        inputs.iter().find(|(key, _)| key.name.eq_ignore_ascii_case(input)).map(|(_, value)| value)
    };
    match (declared("workflow_dispatch"), declared("workflow_call")) {
        (Some(by_hand), _) => matches!(by_hand.text_at("type"), None | Some("string")),
        (None, by_workflow) => by_workflow.is_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml;

    #[test]
    fn a_branch_is_a_text_unless_its_name_is_written_down() {
        let written = |on: &str, name: &str| is_written(&yaml::parse(&format!("on: {on}\n")).0.expect("YAML"), name);
        for on in ["push", "{push: {branches: [main, 'x/**']}}", "workflow_dispatch", "[push, pull_request]"] {
            assert!(written(on, "github.ref_name") && written(on, "github.ref"), "{on}");
        }
        for on in ["{push: {branches: [main]}}", "{push: {tags: ['v*']}}", "pull_request", "[release, schedule]"] {
            assert!(!written(on, "github.ref_name") && !written(on, "github.ref"), "{on}");
        }
        assert!(written("pull_request", "github.base_ref") && written("pull_request", "github.head_ref"));
        assert!(!written("{pull_request: {branches: [main]}}", "github.base_ref"));
    }

    #[test]
    fn only_what_people_write_is_a_text() {
        let text = "on:\n  workflow_dispatch:\n    inputs:\n      a: {type: string}\n      b: {type: boolean}\n      c: {type: choice}\n      d: {}\n  workflow_call:\n    inputs:\n      e: {type: string}\n";
        let root = yaml::parse(text).0.expect("YAML");
        for name in [
            "github.event.pull_request.title",
            "github.event.pull_request.body",
            "github.event.pull_request.head.ref",
            "github.event.pull_request.head.label",
            "github.head_ref",
            "github.ref_name",
            "github.event.issue.title",
            "github.event.comment.body",
            "github.event.review.body",
            "github.event.commits.*.message",
            "github.event.head_commit.message",
            "github.event.head_commit.author.email",
            "github.event.commits.0.author.name",
            "github.event.pages.*.page_name",
            "github.event.workflow_run.head_branch",
            "github.event.workflow_run.display_title",
            "github.event.label.name",
            "github.event.pull_request.labels.*.name",
            "github.event.release.tag_name",
            "github.event.client_payload.anything",
            "github.event.pull_request",
            "github.event",
            "GitHub.Event.Issue.Title",
            "inputs.a",
            "inputs.d",
            "inputs",
            "github.event.inputs.a",
            "inputs.undeclared",
        ] {
            assert!(is_written(&root, name), "{name}");
        }
        for name in [
            "github.event.pull_request.number",
            "github.event.number",
            "github.event.issue.number",
            "github.event.pull_request.head.sha",
            "github.event.pull_request.base.sha",
            "github.event.pull_request.draft",
            "github.event.pull_request.merged",
            "github.event.pull_request.html_url",
            "github.event.pull_request.user.login",
            "github.event.comment.id",
            "github.event.action",
            "github.event.after",
            "github.event.repository.name",
            "github.event.repository.full_name",
            "github.event.workflow_run.id",
            "github.event.workflow_run.conclusion",
            "github.event.workflow_run.event",
            "github.sha",
            "github.actor",
            "github.repository",
            "github.run_id",
            "inputs.b",
            "inputs.c",
            "inputs.e",
            "needs.a.outputs.b",
        ] {
            assert!(!is_written(&root, name), "{name}");
        }
    }
}
