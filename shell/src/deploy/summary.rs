//! What was rolled out, from its record alone: each line repeats an observation.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::record::{Action, Outcome, Reason, Record, Step};
use crate::release::short;
use crate::report::markdown::escaped;

/// What the outcome means, in a line.
pub fn headline(record: &Record) -> String {
    let verb = match record.action {
        Action::Deploy => "deploy",
        Action::Rollback => "rollback",
    };
    let Record { environment, release, .. } = record;
    let to = format!("{verb} of {} to {environment}", short(release));
    let soaks = record.soak.as_ref().and_then(|soak| Some((&soak.asked.first, soak.deadline.as_ref()?)));
    match &record.outcome {
        None => match soaks.filter(|_| !record.ended(Step::Soak)) {
            Some((unit, deadline)) => {
                format!("{to}: {unit} runs it, healthy so far, until {deadline}; `magellan deploy resume` goes on")
            }
            None => format!("{to}: unfinished; `magellan deploy resume` goes on"),
        },
        Some(Outcome::Running) => format!("{to}: running, observed healthy for {} s", record.stabilize),
        Some(Outcome::Untouched) => match releases(record) {
            before if before.is_empty() => format!("{to}: FAILED before anything was switched; nothing ran before"),
            before => format!("{to}: FAILED before anything was switched; last seen on {before}"),
        },
        Some(Outcome::RolledBack { .. }) => {
            format!("{to}: FAILED and rolled back; {} runs again, observed healthy", releases(record))
        }
        Some(Outcome::Stopped { restored }) if restored.is_empty() => {
            format!("{to}: FAILED; nothing of Magellan's ran before, its units are stopped")
        }
        Some(Outcome::Stopped { restored }) => {
            format!("{to}: FAILED; what was there before runs again: {}", restored.join(", "))
        }
        Some(Outcome::Unresolved { why }) => format!("{to}: FAILED and NOT rolled back: {why}"),
    }
}

/// The releases that ran before.
fn releases(record: &Record) -> String {
    let all: BTreeSet<&str> = record.previous.values().map(|placed| short(&placed.release)).collect();
    all.into_iter().collect::<Vec<_>>().join(", ")
}

/// For a terminal.
pub fn text(record: &Record) -> String {
    let mut text = String::new();
    if let Some(overridden) = &record.overridden {
        for reason in &overridden.reasons {
            let _ = writeln!(text, "OVERRIDDEN by {}: {}: {}", overridden.who, reason.code, reason.why);
            reason.refused.iter().for_each(|what| text += &(format!("  refused: {what}") + "\n"));
        }
    }
    if let Some(why) = &record.not_judged_again {
        let _ = writeln!(text, "NOT JUDGED AGAIN: {why}");
    }
    for step in &record.steps {
        let sign = match (&step.ended, step.ok) {
            (None, _) => "…",
            (Some(_), true) => "✓",
            (Some(_), false) => "✗",
        };
        let _ = writeln!(text, "{sign} {}", step.step.name());
        step.seen.iter().for_each(|seen| text += &(format!("    {seen}") + "\n"));
    }
    for (name, judged) in &record.strategies {
        let verdict = judged.verdict.as_deref().map_or("NO VERDICT".to_owned(), |v| format!("verdict {}", short(v)));
        let status = judged.status.as_deref().unwrap_or("not judged");
        let synthetic = if judged.synthetic { ", SYNTHETIC data" } else { "" };
        let _ = writeln!(text, "  {name}: {status}, {verdict}{synthetic}, unit {}", short(&judged.unit_digest));
    }
    for unit in record.health.iter().filter(|unit| !unit.is_well()) {
        let _ = writeln!(text, "  {}: {}", unit.unit, unit.faults.join("; "));
        let journal = unit.journal.as_deref().unwrap_or("no journal could be had");
        journal.lines().for_each(|line| text += &(format!("    | {line}") + "\n"));
    }
    text + &format!(
        "{}\nrecord {}, generation {}, by {}\n",
        headline(record),
        record.id,
        record.generation,
        record.owner
    )
}

/// For `$GITHUB_STEP_SUMMARY`.
pub fn markdown(record: &Record) -> String {
    let good = record.outcome.as_ref().is_some_and(|o| o.exit_code() == 0);
    let mut text = format!("## {} {}\n\n", if good { "✅" } else { "❌" }, escaped(&headline(record)));
    if let Some(overridden) = &record.overridden {
        for Reason { code, why, refused } in &overridden.reasons {
            let who = escaped(&overridden.who);
            let _ = writeln!(text, "> ⚠️ **Overridden** by {who}: {}: {}", escaped(code), escaped(why));
            refused.iter().for_each(|what| text += &(format!("> refused: {}", escaped(what)) + "\n"));
        }
        text.push('\n');
    }
    if let Some(why) = &record.not_judged_again {
        let _ = writeln!(text, "> ⚠️ **Not judged again**: {}\n", escaped(why));
    }
    text += "| step | | seen |\n|---|---|---|\n";
    for step in &record.steps {
        let sign = if step.ok { "✅" } else { "❌" };
        let seen: Vec<String> = step.seen.iter().map(|seen| escaped(seen)).collect();
        let _ = writeln!(text, "| {} | {sign} | {} |", step.step.name(), seen.join("<br>"));
    }
    text += "\n| strategy | judged | verdict | unit |\n|---|---|---|---|\n";
    for (name, judged) in &record.strategies {
        let verdict = judged.verdict.as_deref().map_or("**none**".to_owned(), |v| format!("`{}`", short(v)));
        let synthetic = if judged.synthetic { ", synthetic data" } else { "" };
        let status = judged.status.as_deref().unwrap_or("not judged");
        let unit = short(&judged.unit_digest);
        let _ = writeln!(text, "| {} | {}{synthetic} | {verdict} | `{unit}` |", escaped(name), escaped(status));
    }
    for unit in record.health.iter().filter(|unit| !unit.is_well()) {
        let _ = writeln!(text, "\n**{}**: {}\n", escaped(&unit.unit), escaped(&unit.faults.join("; ")));
        // Indented, so that nothing in a log ends the block.
        let journal = unit.journal.as_deref().unwrap_or("no journal could be had");
        journal.lines().for_each(|line| text += &(format!("    {line}") + "\n"));
    }
    let _ = writeln!(
        text,
        "\nRecord `{}`, commit `{}`, host {}, generation {}, by {}.\n",
        record.id,
        record.commit,
        escaped(&record.host),
        record.generation,
        escaped(&record.owner)
    );
    text
}
