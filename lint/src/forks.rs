//! Code of strangers that runs where a secret is in reach.

use super::expressions;
use super::findings::Findings;
use super::jobs::{Job, Step};
use super::yaml::{Node, events};
use crate::codes;

/// Events that strangers cause and that run with the project's own rights.
const PRIVILEGED: [&str; 3] = ["pull_request_target", "workflow_run", "issue_comment"];

/// Contexts that name the code of whoever opened a pull request.
const THEIRS: [&str; 8] = [
    "github.head_ref",
    "github.event.pull_request.head",
    "github.event.pull_request.merge_commit_sha",
    "github.event.workflow_run.head_sha",
    "github.event.workflow_run.head_branch",
    "github.event.workflow_run.head_commit",
    "github.event.workflow_run.head_repository",
    "github.event.workflow_run.pull_requests",
];

/// Words of a condition that lets only the project's own code through.
const OWN: [&str; 6] = [
    "head.repo.fork",
    "head.repo.full_name",
    "head.repo.owner",
    "head_repository",
    "workflow_run.event == 'push'",
    "author_association",
];

pub(super) fn examine(root: &Node, jobs: &[Job<'_>], findings: &mut Findings<'_>) {
    let Some(event) = events(root).into_iter().find(|event| PRIVILEGED.contains(event)) else { return };
    for job in jobs {
        let Some(at) = job.steps.iter().position(takes_theirs) else { continue };
        let runs =
            |step: &Step<'_>| step.run.is_some() || step.node.text_at("uses").is_some_and(|u| u.starts_with("./"));
        if is_own(job.node) || is_own(job.steps[at].node) || !job.steps[at + 1..].iter().any(runs) {
            continue;
        }
        let Some(secret) = in_reach(root, job) else { continue };
        let step = &job.steps[at];
        let what =
            format!("on `{event}` this brings in the code of strangers, and {secret} is in reach of what runs then");
        findings.error(codes::UNTRUSTED_CHECKOUT, step.node.at.clone(), &step.subject, what);
    }
}

/// Whether a step brings in the code of whoever opened a pull request.
fn takes_theirs(step: &Step<'_>) -> bool {
    let checks_out = step.node.text_at("uses").is_some_and(|action| action.starts_with("actions/checkout@"));
    if checks_out {
        let with = ["ref", "repository"].into_iter().filter_map(|key| step.node.get("with")?.text_at(key));
        return with.into_iter().any(is_theirs);
    }
    let script = step.script().unwrap_or_default();
    script.contains("gh pr checkout") || script.contains("git fetch") && (script.contains("pull/") || is_theirs(script))
}

fn is_theirs(text: &str) -> bool {
    let names = expressions::names(text, false);
    names.iter().any(|name| THEIRS.iter().any(|theirs| name.is_of(theirs)))
        || text.contains("refs/pull/") && !names.is_empty()
}

fn is_own(node: &Node) -> bool {
    node.text_at("if").is_some_and(|condition| OWN.iter().any(|word| condition.contains(word)))
}

/// What a stranger's code could use: a secret, or a token that may write.
fn in_reach(root: &Node, job: &Job<'_>) -> Option<String> {
    let mut rest: Vec<&Node> = vec![job.node];
    rest.extend(root.get("env"));
    while let Some(node) = rest.pop() {
        let names = expressions::names(node.text().unwrap_or_default(), false);
        let is_secret = |name: &&expressions::Name| {
            name.is_of("secrets") && !name.text.eq_ignore_ascii_case("secrets.GITHUB_TOKEN")
        };
        if let Some(secret) = names.iter().find(is_secret) {
            return Some(format!("`{}`", secret.text));
        }
        rest.extend(node.entries().iter().map(|(_, value)| value).chain(node.items()));
    }
    let Some(permissions) = job.node.get("permissions").or_else(|| root.get("permissions")) else {
        return Some("a token that may write unless the repository says otherwise".to_owned());
    };
    let values = permissions.entries().iter().map(|(_, value)| value).chain([permissions]);
    let writes = values.filter_map(Node::text).any(|value| value.starts_with("write"));
    writes.then(|| "a token that may write".to_owned())
}
