//! Rules for deploying: only the job behind the gate deploys, with the gate's verdicts, in the runs that should, one
//! at a time, and it is never cancelled halfway.

use super::expressions::{self, RunState, normalized};
use super::findings::Findings;
use super::jobs::{Job, Step, is_stage};
use super::shell::Simple;
use super::yaml::{Node, events, placed};
use crate::codes;

/// The stage's job, and its command.
pub(super) const DEPLOY: &str = "deploy";

pub(super) fn examine(root: &Node, jobs: &[Job<'_>], findings: &mut Findings<'_>) {
    for job in jobs {
        job.steps.iter().for_each(|step| commands(job, step, findings));
    }
    let Some(job) = jobs.iter().find(|job| job.id() == DEPLOY) else { return };
    condition(root, job, findings);
    is_alone(job, findings);
    is_never_cancelled(root, job, findings);
}

fn is_of_a_pull_request(event: &str) -> bool {
    event.starts_with("pull_request") || event == "issue_comment"
}

/// Whether a job deploys, or is the one that should.
pub(super) fn deploys(job: &Job<'_>) -> bool {
    job.id() == DEPLOY || job.steps.iter().any(|step| step.runs(DEPLOY))
}

// ---- the command ----

fn commands(job: &Job<'_>, step: &Step<'_>, findings: &mut Findings<'_>) {
    let (Some(run), Some(Ok(script))) = (step.run, step.parsed()) else { return };
    let deploys = |simple: &&Simple| simple.magellan().is_some_and(|arguments| is_stage(DEPLOY, &arguments));
    let found: Vec<&Simple> = script.all().into_iter().filter(deploys).collect();
    if found.is_empty() {
        return;
    }
    let places = run.places(findings.text);
    let subject = format!("{}.run", step.subject);
    for simple in found {
        let (first, last) = (&simple.words[0], &simple.words[simple.words.len() - 1]);
        let at = placed(&places, &(first.at.start..last.at.end));
        if job.id() != DEPLOY {
            let what = format!("`{}` deploys, and no stage holds it back: only the job `deploy` may", job.id());
            findings.error(codes::SKIPPED_STAGE, at, &subject, what);
            continue;
        }
        if !simple.words.iter().any(|word| word.text == "--verdicts" || word.text.starts_with("--verdicts=")) {
            let what = "`magellan deploy` isn't told the gate's verdicts: write `--verdicts DIR`";
            findings.error(codes::MISSING_STAGE, at, &subject, what);
        }
        for word in simple.words.iter().filter(|word| word.text.contains("--override")) {
            let what = "`--override` passes over the gate: that is for a person, not for a workflow";
            findings.error(codes::SKIPPED_STAGE, placed(&places, &word.at), &subject, what);
        }
    }
}

// ---- when ----

/// Contexts that may decide whether a run deploys.
const WHEN: [&str; 6] =
    ["github.event_name", "github.ref", "github.ref_name", "github.ref_type", "inputs", "github.event.inputs"];

fn condition(root: &Node, job: &Job<'_>, findings: &mut Findings<'_>) {
    let named = job.node.entry("if");
    let (at, text) = match named {
        Some((key, value)) => (key.at.start..value.at.end, value.text().unwrap_or_default()),
        None => (job.key.at.clone(), "success()"),
    };
    let subject = format!("{}.if", job.subject());
    let may = |event: &&&str| !expressions::never_runs(text, RunState { event: Some(event), succeeded: None });
    if let Some(event) = events(root).iter().filter(|event| is_of_a_pull_request(event)).find(may) {
        let what = format!("`deploy` isn't surely passed over on `{event}`, which strangers can cause");
        return findings.error(codes::UNSAFE_DEPLOY, at, &subject, what);
    }
    let is_function = |name: &str| ["success", "startsWith", "contains", "endsWith", "true"].contains(&name);
    let names = expressions::names(text, true);
    let mut others = names.iter().filter(|name| !is_function(&name.text) && !WHEN.iter().any(|when| name.is_of(when)));
    if let Some(name) = others.next().filter(|_| named.is_some_and(|(_, value)| !expressions::is_regardless(value))) {
        let what = format!("`deploy` may be skipped by `{}`, which doesn't say when a run deploys", name.text);
        findings.error(codes::SKIPPED_STAGE, at, &subject, what);
    }
}

// ---- one at a time, never cancelled ----

/// Contexts by which the concurrency groups of deploys may differ.
const APART: [&str; 5] =
    ["inputs.environment", "github.event.inputs.environment", "github.repository", "github.workflow", "vars"];

fn is_alone(job: &Job<'_>, findings: &mut Findings<'_>) {
    let subject = format!("{}.concurrency", job.subject());
    let Some((key, value)) = job.node.entry("concurrency") else {
        let what = "two runs may deploy at once: the job `deploy` has no `concurrency` group";
        return findings.error(codes::UNSAFE_DEPLOY, job.key.at.clone(), &subject, what);
    };
    let Some(group) = value.text().map(|_| value).or_else(|| value.get("group")) else {
        let what = "two runs may deploy at once: `concurrency` names no `group`";
        return findings.error(codes::UNSAFE_DEPLOY, key.at.clone(), &subject, what);
    };
    let names = expressions::names(group.text().unwrap_or_default(), false);
    if let Some(name) = names.iter().find(|name| !APART.iter().any(|apart| name.is_of(apart))) {
        let what = format!("two runs may deploy to one environment at once: their groups differ by `{}`", name.text);
        findings.error(codes::UNSAFE_DEPLOY, group.at.clone(), &subject, what);
    }
}

fn is_never_cancelled(root: &Node, job: &Job<'_>, findings: &mut Findings<'_>) {
    let events = events(root);
    for (node, subject) in [(root, "concurrency".to_owned()), (job.node, format!("{}.concurrency", job.subject()))] {
        let cancels = node.get("concurrency").and_then(|concurrency| concurrency.entry("cancel-in-progress"));
        let Some((key, value)) = cancels else { continue };
        let is_kept = |event: &&str| {
            let run = RunState { event: Some(event), succeeded: None };
            expressions::truth(value.text().unwrap_or_default(), run) == Some(false)
        };
        // Cancelling a run that certainly doesn't deploy loses nothing.
        let mut deploying = events.iter().filter(|event| !is_of_a_pull_request(event));
        if !deploying.all(is_kept) {
            let what = "a newer run may cancel a deploy halfway";
            findings.error(
                codes::UNSAFE_DEPLOY,
                key.at.start..value.at.end,
                &format!("{subject}.cancel-in-progress"),
                what,
            );
        }
    }
}

/// The condition of a job in lower case, without white space, the parentheses around it, and the `success()` that
/// GitHub asks for anyway.
pub(super) fn plain_condition(job: &Job<'_>) -> Option<String> {
    let condition = normalized(job.node.get("if")?);
    let condition = unwrapped(&condition);
    Some(unwrapped(condition.strip_prefix("success()&&").unwrap_or(condition)).to_owned())
}

/// Without parentheses around all of it.
pub(super) fn unwrapped(text: &str) -> &str {
    let Some(inside) = text.strip_prefix('(').and_then(|text| text.strip_suffix(')')) else { return text };
    let mut depth = 0_i64;
    let closes = inside.chars().any(|c| {
        depth += i64::from(c == '(') - i64::from(c == ')');
        depth < 0
    });
    if closes { text } else { inside }
}
