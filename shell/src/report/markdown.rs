//! The gate's verdict as a block of Markdown, for `$GITHUB_STEP_SUMMARY` and pull requests.

use std::fmt::Write as _;

use magellan::gate::{Check, PeriodVerdict, Status, StrategyVerdict, Verdict};

use super::table::{SYNTHETIC_NOTE, judged_by, legend, levels_of, signed, standing, value};
use super::words::counted;

/// GitHub takes a mebibyte a step; what is longer would be dropped whole.
const LONGEST: usize = 900_000;

/// One block: verdict, candidate against baseline, every criterion.
pub fn gate(verdict: &Verdict) -> String {
    let mut text = format!("## {} Gate: {}\n\n", sign(verdict.status), verdict.status.name());
    if verdict.synthetic {
        let _ = writeln!(text, "> {SYNTHETIC_NOTE}\n");
    }
    for strategy in &verdict.strategies {
        strategy_block(&mut text, strategy);
    }
    let expanded = legend(&text);
    let _ = writeln!(text, "{expanded}");
    let _ = writeln!(text, "Verdict digest `{}`, exit code {}.\n", verdict.digest, verdict.exit_code);
    if text.len() > LONGEST {
        text.truncate(text.floor_char_boundary(LONGEST));
        text += "\n\n…cut off here: the whole verdict is in verdict.json.\n";
    }
    text
}

/// Shapes, not colours, tell them apart.
const fn sign(status: Status) -> &'static str {
    match status {
        Status::Pass => "✅",
        Status::Warn => "⚠️",
        Status::Inconclusive => "❔",
        Status::Fail => "❌",
        Status::Error => "⛔",
    }
}

fn strategy_block(text: &mut String, strategy: &StrategyVerdict) {
    let StrategyVerdict { strategy: name, status, .. } = strategy;
    let _ = writeln!(text, "### {} {} {}\n", sign(*status), escaped(name), status.name());
    if let Some(error) = &strategy.error {
        let _ = writeln!(text, "`{}`: {}\n\nTry: {}\n", error.code, escaped(&error.message), escaped(&error.help));
    }
    for period in &strategy.periods {
        period_block(text, period);
    }
    let _ = writeln!(text, "Judged {}.\n", escaped(&judged_by(strategy)));
    for changed in &strategy.changed {
        let _ = writeln!(text, "- differs from what is deployed: {}", escaped(&changed.to_string()));
    }
    for a in &strategy.acknowledgements {
        let state = standing(a, strategy);
        let (check, period, who, why) = (&a.check, &a.period, &a.who, &a.why);
        let words = [check, period, who, why].map(|w| escaped(w));
        let _ = writeln!(text, "- {} ({}) by {}: {}; {}", words[0], words[1], words[2], words[3], escaped(&state));
    }
    if let Some(luck) = &strategy.ledger {
        let (n, effective) = (counted(luck.n, "trial"), luck.n_effective);
        let _ = writeln!(text, "\n{n} in the ledger, as many as {effective:.1} independent ones.");
    }
    let subject = strategy.subject.as_ref().map_or("none", |s| &s.sha256);
    let _ = writeln!(text, "\nSubject `{subject}`, digest `{}`.\n", strategy.digest);
}

fn period_block(text: &mut String, period: &PeriodVerdict) {
    let m = &period.metrics;
    let _ = writeln!(
        text,
        "**{}**: {} to {}, {}, {} on {}.\n",
        escaped(&period.period.name),
        m.first_session,
        m.last_session,
        counted(m.sessions, "session"),
        counted(m.trades, "trade"),
        counted(period.symbols.len(), "symbol"),
    );
    let b = &period.baseline;
    if let (Some(difference), Some(lower), Some(upper)) = (b.difference, b.lower, b.upper) {
        let _ = writeln!(
            text,
            "Candidate less baseline: Sharpe {difference:+.3} a year ({lower:+.3} to {upper:+.3}) over {} common sessions; {}.\n",
            b.sessions,
            escaped(&b.how)
        );
    } else {
        let _ = writeln!(text, "Against baseline: {}.\n", escaped(&b.how));
    }
    let _ = writeln!(text, "{}.\n", period.power.statement);
    if let Some(seen) = &period.seen {
        let _ = writeln!(text, "{}.\n", seen.sentences().join("; "));
    }
    let _ = writeln!(text, "| | criterion | value | fails | warns | margin |\n|---|---|---:|---:|---:|---:|");
    for check in &period.checks {
        check_row(text, check);
    }
    for (check, what) in period.checks.iter().flat_map(|c| c.counted.iter().map(move |what| (c, what))) {
        let _ = writeln!(text, "\n- {}: {}", escaped(&check.metric), escaped(what));
    }
    for f in &period.data_findings {
        let _ = writeln!(
            text,
            "\n- data {} `{}`: {}: {}",
            f.severity.name(),
            f.code,
            escaped(&f.subject),
            escaped(&f.what)
        );
    }
    if !period.not_evaluable.is_empty() {
        let _ = writeln!(text, "\nNot evaluable: {}.", escaped(&period.not_evaluable.join("; ")));
    }
    text.push('\n');
}

fn check_row(text: &mut String, check: &Check) {
    let (fails, warns) = levels_of(check);
    let bound = check.bound.as_ref().map_or(String::new(), |b| format!(" ({b})"));
    let margin = check.margin.map_or(String::new(), |m| signed(&check.metric, m));
    let accepted = check.acknowledged.as_ref().map_or(String::new(), |a| format!(", accepted by {}", a.who));
    let _ = writeln!(
        text,
        "| {} {}{} | {}{bound} | {} | {fails} | {warns} | {margin} |",
        sign(check.status),
        check.status.name(),
        escaped(&accepted),
        check.metric,
        escaped(&value(&check.metric, check.value)),
    );
}

/// Text that can't become markup, nor leave its cell.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\r' => out.push(' '),
            '<' => out.push_str("&lt;"),
            '|' | '`' | '*' | '_' | '[' | ']' | '\\' => out.extend(['\\', c]),
            c => out.push(c),
        }
    }
    out
}
