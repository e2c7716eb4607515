//! The gate's verdict as annotations of a GitHub workflow, at the line of the config that demands
//! what doesn't hold.

use magellan::config::document::{Document, Part};
use magellan::error::Code;
use magellan::finding::{Finding, Severity};
use magellan::gate::{Check, Group, PeriodVerdict, Status, StrategyVerdict, TRIAL_NOT_COMMITTED, Verdict};

use crate::codes;
use crate::report::{findings, table};

/// Workflow commands, a line each.
pub fn gate(verdict: &Verdict) -> String {
    findings::github(&verdict.strategies.iter().flat_map(of_strategy).collect::<Vec<Finding>>())
}

fn of_strategy(strategy: &StrategyVerdict) -> Vec<Finding> {
    if let Some(error) = &strategy.error {
        let what = format!("{}: {}", strategy.strategy, error.message);
        return vec![Finding::new(codes::NOT_JUDGED, "", what).help(&error.help).file(&strategy.config)];
    }
    // Unchanged since it was judged, or the places would be another text's.
    let document = Document::read(&strategy.config, &[]).ok();
    let document = document.filter(|d| strategy.subject.as_ref().is_some_and(|s| s.config == d.sha256));
    let mut found = Vec::new();
    for period in &strategy.periods {
        found.extend(period.checks.iter().filter_map(|check| of_check(strategy, period, check, document.as_ref())));
        found.extend(period.data_findings.iter().filter(|f| f.severity > Severity::Note).map(|f| {
            Finding::new(codes::NOT_JUDGED, "", format!("{}: {}: {}", strategy.strategy, f.subject, f.what))
                .severity(f.severity)
                .help(&f.help)
                .file(&strategy.config)
        }));
    }
    found
}

/// What to do about a check: what can't be accepted isn't offered to be.
fn advice(check: &Check, code: Code) -> &'static str {
    match check.group {
        _ if check.may_be_accepted() => code.next(),
        _ if check.status == Status::Warn => "nothing blocks; look whether it gets worse",
        Group::Data => {
            "correct the bars, or declare what really happened in the archive's table of moves; nobody can accept this"
        }
        Group::Policy => "demand in the config what deployed/policy.toml demands; nobody can accept less",
        Group::Pending => "commit the trial with the command that the verdict names, and judge again",
        Group::Causality => "find where a decision depends on later bars; nobody can accept this",
        _ => "give it more sessions or trades: nothing was proved, and nobody can accept that",
    }
}

fn of_check(
    strategy: &StrategyVerdict,
    period: &PeriodVerdict,
    check: &Check,
    document: Option<&Document>,
) -> Option<Finding> {
    let code = match check.status {
        Status::Pass => return None,
        Status::Inconclusive if check.metric == TRIAL_NOT_COMMITTED => codes::TRIAL_NOT_COMMITTED,
        Status::Inconclusive => codes::INCONCLUSIVE,
        _ => codes::CRITERION_CROSSED,
    };
    let severity = match check.counts_as() {
        Status::Warn => Severity::Warning,
        _ => Severity::Error,
    };
    let name = &period.period.name;
    let mut what = format!("{} {name}: {}", strategy.strategy, table::check_in_words(check));
    if let Some(a) = &check.acknowledged {
        what += &format!("; accepted by {} until {}: {}", a.who, a.expires, a.why);
    }
    let finding = Finding::new(code, format!("performance_criteria.criteria.{}", check.metric), what);
    let finding = finding.severity(severity).file(&strategy.config).help(advice(check, code));
    Some(document.map_or(finding.clone(), |document| document.place(finding, Part::Key)))
}
