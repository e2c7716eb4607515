//! Rules for single jobs and steps.

use magellan::finding::Severity;

use super::expressions::normalized;
use super::findings::Findings;
use super::jobs::{Job, Step};
use super::masks;
use super::paths::Setting;
use super::yaml::{Node, placed};
use crate::codes;

/// Finds lost exit codes, in any workflow.
pub(super) fn masked_failures(root: &Node, jobs: &[Job<'_>], pipeline: bool, findings: &mut Findings<'_>) {
    for job in jobs {
        continues(job.node, &job.subject(), findings);
        for step in &job.steps {
            continues(step.node, &step.subject, findings);
            scripts(step, pipeline, findings);
        }
    }
    // GitHub ignores it here, but whoever wrote it expects it to work.
    continues(root, "", findings);
}

fn continues(node: &Node, subject: &str, findings: &mut Findings<'_>) {
    let Some((key, value)) = node.entry("continue-on-error") else { return };
    if value.text() != Some("false") {
        let subject = format!("{subject}.continue-on-error");
        let what = "`continue-on-error` makes a failure count as a success";
        findings.error(codes::MASKED_FAILURE, key.at.start..value.at.end.max(key.at.end), &subject, what);
    }
}

fn scripts(step: &Step<'_>, pipeline: bool, findings: &mut Findings<'_>) {
    let (Some(run), Some(text), Some(parsed)) = (step.run, step.script(), step.parsed()) else { return };
    let subject = format!("{}.run", step.subject);
    let (Some(shell), Ok(script)) = (step.shell_options(), parsed) else {
        // That a script was not read matters only if a stage may depend on it.
        if step.names_magellan() || pipeline && parsed.is_err() && step.shell_options().is_some() {
            let (at, what) = match parsed {
                Err(why) => {
                    (placed(&run.places(findings.text), &why.at), format!("the script can't be read: {}", why.what))
                }
                Ok(_) => {
                    let at = step.shell.map_or(run.at.clone(), |shell| shell.at.clone());
                    (at, "only scripts that bash or sh runs directly can be read".to_owned())
                }
            };
            findings.error(codes::UNREADABLE_SCRIPT, at, &subject, what);
        }
        return;
    };
    let found = masks::find(text, script, Setting { shell, pipeline, variables: &[] });
    if found.is_empty() {
        return;
    }
    let places = run.places(findings.text);
    for mask in found {
        // What is wrong with the whole script is shown at its `shell`.
        let named = step.shell.filter(|_| !shell.errexit && mask.at.end == 0);
        let at = named.map_or_else(|| placed(&places, &mask.at), |named| named.at.clone());
        findings.add(Severity::Error, codes::MASKED_FAILURE, at, &subject, mask.what, mask.help);
    }
}

/// The rules for jobs and steps of a pipeline.
pub(super) fn examine(jobs: &[Job<'_>], findings: &mut Findings<'_>) {
    for job in jobs {
        never(job.node, &job.subject(), findings);
        if let Some((key, _)) = job.node.entry("uses") {
            let what = format!("the job `{}` runs another workflow, which is not read here", job.id());
            findings.warn(codes::UNSEEN_JOB, key.at.clone(), &job.subject(), what);
        } else if job.node.get("timeout-minutes").is_none() {
            let what = format!("the job `{}` may hang for six hours", job.id());
            findings.warn(codes::NO_TIMEOUT, job.key.at.clone(), &job.subject(), what);
        }
        uses(job.node, &job.subject(), findings);
        for step in &job.steps {
            never(step.node, &step.subject, findings);
            uses(step.node, &step.subject, findings);
            upload(step, findings);
        }
    }
}

fn never(node: &Node, subject: &str, findings: &mut Findings<'_>) {
    let Some((key, value)) = node.entry("if") else { return };
    if ["false", "!true", "0", "''", "null", "!always()"].contains(&normalized(value).as_str()) {
        findings.error(codes::SKIPPED_STAGE, key.at.start..value.at.end, &format!("{subject}.if"), "this never runs");
    }
}

fn uses(node: &Node, subject: &str, findings: &mut Findings<'_>) {
    let Some(value) = node.get("uses") else { return };
    let Some(action) = value.text() else { return };
    let subject = format!("{subject}.uses");
    if action.starts_with("./") {
        if node.get("steps").is_none() && node.get("runs-on").is_none() && !action.starts_with("./.github/workflows") {
            findings.warn(
                codes::UNSEEN_JOB,
                value.at.clone(),
                &subject,
                format!("the steps of `{action}` are not read here"),
            );
        }
        return;
    }
    let is_hex = |hash: &str, length| hash.len() == length && hash.chars().all(|c| c.is_ascii_hexdigit());
    let pinned = match action.rsplit_once('@') {
        Some((_, version)) => is_hex(version, 40) || version.strip_prefix("sha256:").is_some_and(|h| is_hex(h, 64)),
        None => false,
    };
    if !pinned {
        let what = format!("`{action}` can be another action tomorrow");
        findings.warn(codes::UNPINNED_ACTION, value.at.clone(), &subject, what);
    }
}

fn upload(step: &Step<'_>, findings: &mut Findings<'_>) {
    let Some(uses) = step.node.get("uses") else { return };
    if !uses.text().is_some_and(|action| action.starts_with("actions/upload-artifact@")) {
        return;
    }
    let named = step.node.get("with").and_then(|with| with.entry("if-no-files-found"));
    if named.is_none_or(|(_, value)| value.text() != Some("error")) {
        let at = named.map_or(uses.at.clone(), |(key, value)| key.at.start..value.at.end);
        findings.error(codes::UNCHECKED_ARTIFACT, at, &step.subject, "an upload without files would be a success");
    }
}
