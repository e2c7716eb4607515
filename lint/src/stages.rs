//! The stages of a pipeline: validate, gate, deploy, verify. Each is there, needs the one before,
//! can't be skipped, and one job fails unless all of them succeeded.

use std::ops::Range;

use super::expressions::{is_regardless, normalized};
use super::findings::Findings;
use super::jobs::{self, DEPLOY, Job, Step, needs};
use super::paths::{self, Setting};
use super::shell;
use super::yaml::Node;
use crate::codes;

/// The command that judges, and the stage's job.
pub(super) const GATE: &str = "gate";

/// A stage: its job's name or names, and the commands of which it runs one.
struct Stage {
    names: &'static [&'static str],
    commands: &'static [&'static str],
    /// Whether it must be there whatever else is.
    required: bool,
}

const STAGES: [Stage; 4] = [
    Stage { names: &["validate"], commands: &["validate"], required: true },
    Stage { names: &[GATE, "backtest"], commands: &[GATE], required: true },
    Stage { names: &[DEPLOY], commands: &[DEPLOY], required: false },
    Stage { names: &["verify"], commands: &["watch", "health", "status"], required: false },
];

impl Stage {
    fn name(&self) -> &'static str {
        self.names[0]
    }

    fn job<'a, 'b>(&self, jobs: &'b [Job<'a>]) -> Option<&'b Job<'a>> {
        self.names.iter().find_map(|name| jobs.iter().find(|job| job.id() == *name))
    }
}

/// Whether a job is to fail unless the stages succeeded: its name ends in `result`.
fn is_result(job: &Job<'_>) -> bool {
    job.id().ends_with("result")
}

pub(super) fn examine(root: &Node, jobs: &[Job<'_>], findings: &mut Findings<'_>) {
    let at = root.entry("jobs").map_or(0..0, |(key, _)| key.at.clone());
    for (i, stage) in STAGES.iter().enumerate() {
        // A workflow that deploys must verify, and the other way round.
        let needed = stage.required || STAGES.iter().any(|s| !s.required && s.job(jobs).is_some());
        let Some(job) = stage.job(jobs) else {
            if needed {
                findings.error(codes::MISSING_STAGE, at.clone(), "jobs", format!("there is no job `{}`", stage.name()));
            }
            continue;
        };
        if let Some(before) = STAGES[..i].last() {
            follows(job, before.job(jobs).map_or(before.name(), Job::id), findings);
        }
        runs_its_command(stage, job, findings);
        is_never_passed_over(stage, job, jobs, findings);
    }
    results(jobs, &at, findings);
}

fn follows(job: &Job<'_>, before: &str, findings: &mut Findings<'_>) {
    if !needs(job).contains(&before) {
        let at = job.node.entry("needs").map_or(job.key.at.clone(), |(key, value)| key.at.start..value.at.end);
        let what = format!("`{}` doesn't wait for `{before}`: it runs even if that fails", job.id());
        findings.error(codes::SKIPPED_STAGE, at, &format!("{}.needs", job.subject()), what);
    }
}

fn runs_its_command(stage: &Stage, job: &Job<'_>, findings: &mut Findings<'_>) {
    let runs = |step: &Step<'_>| stage.commands.iter().any(|command| step.runs(command));
    if job.node.get("uses").is_none() && !job.steps.iter().any(runs) {
        let what = format!("no step of `{}` runs `magellan {}`", job.id(), stage.commands.join("` or `magellan "));
        findings.error(codes::MISSING_STAGE, job.key.at.clone(), &job.subject(), what);
    }
}

fn is_never_passed_over(stage: &Stage, job: &Job<'_>, jobs: &[Job<'_>], findings: &mut Findings<'_>) {
    if let Some((key, value)) = job.node.entry("if") {
        let when = jobs.iter().find(|job| job.id() == DEPLOY).and_then(jobs::plain_condition);
        let what = match job.id() {
            id if is_regardless(value) => Some(format!("`{id}` runs even if what it needs failed")),
            id if stage.required => Some(format!("`{id}` may be skipped")),
            // A run that deploys must verify.
            id if id != DEPLOY && jobs::plain_condition(job) != when => {
                Some(format!("`{id}` may be skipped where `deploy` isn't: leave out its condition"))
            }
            _ => None,
        };
        if let Some(what) = what {
            findings.error(codes::SKIPPED_STAGE, key.at.start..value.at.end, &format!("{}.if", job.subject()), what);
        }
    }
    // What brings a rollout to its end has a condition of its own.
    for step in job.steps.iter().filter(|step| step.runs_magellan() && !(job.id() == DEPLOY && step.resumes())) {
        if let Some((key, value)) = step.node.entry("if") {
            let what = "a step of a stage that runs `magellan` must always run, and only if those before it succeeded";
            findings.error(codes::SKIPPED_STAGE, key.at.start..value.at.end, &format!("{}.if", step.subject), what);
        }
    }
}

/// Every stage there is must be held to `success` by a job that always runs.
fn results(jobs: &[Job<'_>], at: &Range<usize>, findings: &mut Findings<'_>) {
    let results: Vec<&Job<'_>> = jobs.iter().filter(|job| is_result(job)).collect();
    let present: Vec<&str> = STAGES.iter().filter_map(|s| s.job(jobs)).map(Job::id).collect();
    if results.is_empty() && !present.is_empty() {
        let what = format!("no job, such as `gate-result`, is red unless {} succeeded", present.join(", "));
        return findings.error(codes::UNCHECKED_RESULT, at.clone(), "jobs", what);
    }
    for job in &results {
        always_runs(job, jobs, findings);
        // It must check each job it needs, or a skipped one would go unnoticed.
        for name in needs(job).into_iter().filter(|name| !checks(job, name)) {
            unchecked(job, name, findings);
        }
    }
    for stage in STAGES {
        let Some(name) = stage.job(jobs).map(Job::id) else { continue };
        // What runs where a run deploys, and there only, holds nothing in the others.
        let in_some_runs = |job: &Job<'_>| job.node.get("if").is_some_and(|c| normalized(c).starts_with("always()&&"));
        let holds = |job: &Job<'_>| needs(job).contains(&name) && !(stage.required && in_some_runs(job));
        if !results.iter().any(|job| holds(job)) {
            unchecked(results[0], name, findings);
        }
    }
}

fn unchecked(job: &Job<'_>, name: &str, findings: &mut Findings<'_>) {
    let what = format!("`{}` doesn't hold the result of `{name}` to `success`", job.id());
    let at = job.node.entry("needs").map_or(job.key.at.clone(), |(key, value)| key.at.start..value.at.end);
    findings.error(codes::UNCHECKED_RESULT, at, &job.subject(), what);
}

fn always_runs(job: &Job<'_>, jobs: &[Job<'_>], findings: &mut Findings<'_>) {
    let condition = job.node.entry("if");
    let later = needs(job).iter().any(|name| STAGES.iter().any(|s| !s.required && s.names.contains(name)));
    // Deploying may have a condition, and the job that checks it the same one.
    let when = jobs.iter().find(|job| later && job.id() == DEPLOY).and_then(jobs::plain_condition);
    let holds = condition.is_some_and(|(_, value)| match normalized(value).strip_prefix("always()") {
        Some("") => true,
        // A condition that asks for success would skip this job after a failure.
        Some(rest) if rest.contains("success()") || rest.contains("failure()") || rest.contains("cancelled()") => false,
        Some(rest) => when.is_some() && rest.strip_prefix("&&").map(jobs::unwrapped) == when.as_deref(),
        None => false,
    });
    if !holds {
        let at = condition.map_or(job.key.at.clone(), |(key, value)| key.at.start..value.at.end);
        let what = match when {
            Some(_) => {
                format!("`{}` must run in the runs that deploy: `always() && (<condition of deploy>)`", job.id())
            }
            None => format!("`{}` is skipped where a stage is, and to GitHub that is no failure", job.id()),
        };
        findings.error(codes::UNCHECKED_RESULT, at, &format!("{}.if", job.subject()), what);
    }
}

/// Whether a step of `job` fails unless the result of `name` is `success`.
fn checks(job: &Job<'_>, name: &str) -> bool {
    job.steps.iter().any(|step| tests(job, step, name) || exits(step, name))
}

/// Whether the script can't end as a success unless the result is `success`: `test "$GATE" = success`, with
/// `GATE: ${{ needs.gate.result }}` in `env`.
fn tests(job: &Job<'_>, step: &Step<'_>, name: &str) -> bool {
    let (Some(script), Some(shell)) = (step.script(), step.shell_options()) else { return false };
    let is_result = |text: &str| {
        let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        text == format!("${{{{needs.{name}.result}}}}")
    };
    let entries = [job.node, step.node].into_iter().filter_map(|node| node.get("env")).flat_map(Node::entries);
    let variables: Vec<&str> =
        entries.filter(|(_, value)| value.text().is_some_and(is_result)).map(|(key, _)| key.name.as_str()).collect();
    let may_succeed = |result: &str| {
        let text = with_result(script, &is_result, result);
        let values: Vec<(&str, &str)> = variables.iter().map(|variable| (*variable, result)).collect();
        let Ok(script) = shell::parse(&text) else { return true };
        let followed = paths::follow(&script, Setting { shell, pipeline: true, variables: &values });
        followed.may_succeed || followed.given_up
    };
    step.node.get("if").is_none()
        && may_succeed("success")
        && !["failure", "cancelled", "skipped"].into_iter().any(may_succeed)
}

/// A script with the result in place of the expressions that stand for it.
fn with_result(script: &str, is_result: &impl Fn(&str) -> bool, result: &str) -> String {
    let (mut out, mut rest) = (String::new(), script);
    while let Some(start) = rest.find("${{") {
        let end = rest[start..].find("}}").map_or(rest.len(), |end| start + end + 2);
        out += &rest[..start];
        out += if is_result(&rest[start..end]) { result } else { &rest[start..end] };
        rest = &rest[end..];
    }
    out + rest
}

/// `run: exit 1` under `if: needs.gate.result != 'success'`, joined by `||` only.
fn exits(step: &Step<'_>, name: &str) -> bool {
    let Some(condition) = step.node.get("if").map(normalized) else { return false };
    let wanted = format!("needs.{name}.result!='success'").to_lowercase();
    // A condition means `success() && (…)`: behind a step that failed the job is red already.
    let alternatives: Vec<&str> = condition.split("||").map(|part| part.trim_matches(['(', ')'])).collect();
    let fails = ["exit 1", "false"].contains(&step.script().unwrap_or_default().trim());
    fails && !condition.contains("&&") && alternatives.contains(&wanted.as_str())
}
