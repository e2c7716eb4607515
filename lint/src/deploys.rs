//! Rules for deploying: only the job behind the gate deploys, with the gate's verdicts, in the runs that should, one
//! at a time. It is never cancelled halfway, and a rollout that dies is brought to its end.

use super::expressions::{self, Name, RunState, normalized};
use super::findings::Findings;
use super::jobs::{DEPLOY, Job, Step, is_stage};
use super::shell::Simple;
use super::table;
use super::yaml::{Node, events, placed};
use crate::codes;

pub(super) fn examine(root: &Node, jobs: &[Job<'_>], findings: &mut Findings<'_>) {
    for job in jobs {
        job.steps.iter().for_each(|step| {
            commands(job, step, findings);
            keeps_its_secrets(job, step, findings);
        });
    }
    let Some(job) = jobs.iter().find(|job| job.id() == DEPLOY) else { return };
    let answer = table::examine(root, jobs, job, findings);
    is_alone(job, answer.as_deref(), findings);
    is_never_cancelled(root, job, findings);
    is_resumed(job, findings);
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

// ---- what is signed, and who is told ----

/// Whether a secret is for signing and telling.
fn is_ours(name: &Name) -> bool {
    expressions::within(&name.text, "secrets").is_some_and(|rest| rest.to_ascii_uppercase().starts_with(".MAGELLAN_"))
}

/// The key that signs, and the addresses where deploys are told, reach only what signs or deploys.
fn keeps_its_secrets(job: &Job<'_>, step: &Step<'_>, findings: &mut Findings<'_>) {
    let uses = |call: &Vec<&str>| matches!(call[..], ["keys", "sign", ..] | [DEPLOY, ..]);
    if job.id() == DEPLOY && step.calls().iter().any(uses) {
        return;
    }
    for (key, value) in ["env", "with"].into_iter().filter_map(|key| step.node.get(key)).flat_map(Node::entries) {
        if let Some(name) =
            expressions::names(value.text().unwrap_or_default(), false).iter().find(|name| is_ours(name))
        {
            let what = format!("`{}` is given to a step that neither signs nor deploys in the job `deploy`", name.text);
            findings.error(codes::EXPOSED_SECRET, key.at.start..value.at.end, &step.subject, what);
        }
    }
}

// ---- brought to its end ----

/// A step behind the rollout resumes it, however it ended, if it began.
fn is_resumed(job: &Job<'_>, findings: &mut Findings<'_>) {
    let Some(at) = job.steps.iter().position(|step| step.runs(DEPLOY)) else { return };
    let step = &job.steps[at];
    let mut fault = |node: &Node, what: &str| {
        findings.error(codes::UNFINISHED_DEPLOY, node.at.clone(), &step.subject, what);
    };
    let Some(id) = step.node.text_at("id") else {
        return fault(step.node, "this step needs an `id`, by which the one that resumes knows whether it began");
    };
    let Some(resume) = job.steps[at + 1..].iter().find(|step| step.resumes()) else {
        return fault(step.node, "if this is cancelled or runs out of time, it blocks the environment");
    };
    let wanted = format!("always()&&steps.{id}.outcome!='skipped'").to_lowercase();
    let condition = resume.node.get("if");
    if condition.map(normalized).as_ref() != Some(&wanted) {
        let what = format!("it must run whenever the rollout began: `if: always() && steps.{id}.outcome != 'skipped'`");
        fault(condition.unwrap_or(resume.node), &what);
    }
}

// ---- one at a time, never cancelled ----

/// Contexts by which the concurrency groups of deploys may differ, beside the table's answer: the same in every run.
const APART: [&str; 3] = ["github.repository", "github.workflow", "vars"];

fn is_alone(job: &Job<'_>, answer: Option<&str>, findings: &mut Findings<'_>) {
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
    // Without a table that is the finding.
    let is_answer = |name: &Name| answer.map_or(name.is_of("needs"), |answer| name.text.eq_ignore_ascii_case(answer));
    let keeps_apart = |name: &Name| is_answer(name) || APART.iter().any(|apart| name.is_of(apart));
    if let Some(name) = names.iter().find(|name| !keeps_apart(name)) {
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
