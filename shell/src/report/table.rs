//! Tables for people.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table};
use magellan::bar::Symbol;
use magellan::config::Levels;
use magellan::finding::{Finding, Severity};
use magellan::gate::comparison::Comparison;
use magellan::gate::{Check, DataFinding, Luck, PeriodVerdict, StrategyVerdict, Verdict};
use magellan::metrics::Measure;
use magellan::research::backtest::Run;
use magellan::research::market::matters;

/// Said wherever synthetic bars were used.
pub const SYNTHETIC_NOTE: &str = "SYNTHETIC DATA: made up by `magellan data synth`, proves nothing about any market, and never authorises production.";

const WIDTH: u16 = 124;

/// A table with `header`, cells as given.
pub fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic).set_width(WIDTH);
    table.set_header(header);
    table
}

/// What an audit finds in bars, in a line.
pub fn doubt(finding: &Finding) -> String {
    let Finding { severity, code, subject, what, .. } = finding;
    format!("data {}[{}]: {subject}: {what}", severity.name(), code.slug())
}

/// A table of text with a line end.
pub fn plain(header: impl Iterator<Item = String>, rows: Vec<Vec<String>>) -> String {
    let mut table = table([]);
    table.set_header(header).set_content_arrangement(ContentArrangement::Disabled);
    rows.into_iter().for_each(|row| {
        table.add_row(row);
    });
    format!("{table}\n")
}

/// The gate's one table and its verdict.
pub fn gate(verdict: &Verdict) -> String {
    let mut table = table(["strategy", "period", "criterion", "value", "fails", "warns", "margin", "result"]);
    for strategy in &verdict.strategies {
        if let Some(error) = &strategy.error {
            let row =
                [Cell::new(&strategy.strategy), Cell::new("-"), Cell::new("not judged"), Cell::new(&error.message)];
            let rest = ["", "", ""].map(Cell::new);
            table.add_row(row.into_iter().chain(rest).chain([Cell::new(strategy.status.name())]));
        }
        for period in &strategy.periods {
            for check in &period.checks {
                table.add_row(gate_row(&strategy.strategy, &period.period.name, check));
            }
        }
    }
    let mut text = format!("{table}\n");
    for strategy in &verdict.strategies {
        let _ = writeln!(text, "{}", summary(strategy));
    }
    if verdict.synthetic {
        let _ = writeln!(text, "{SYNTHETIC_NOTE}");
    }
    let (status, exit_code, digest) = (verdict.status.name(), verdict.exit_code, &verdict.digest);
    let _ = writeln!(text, "verdict: {status} (exit {exit_code}), digest {digest}");
    text
}

fn gate_row(strategy: &str, period: &str, check: &Check) -> Vec<Cell> {
    let right = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
    let (fails, warns) = levels_of(check);
    let result = match check.acknowledged {
        Some(_) => format!("{}, accepted", check.status.name()),
        None => check.status.name().to_owned(),
    };
    vec![
        Cell::new(strategy),
        Cell::new(period),
        Cell::new(check.bound.as_ref().map_or(check.metric.clone(), |b| format!("{}, {b}", check.metric))),
        right(value(&check.metric, check.value)),
        right(fails),
        right(warns),
        right(check.margin.map_or_else(String::new, |m| signed(&check.metric, m))),
        Cell::new(result),
    ]
}

/// Where a check fails and where it warns.
pub(super) fn levels_of(check: &Check) -> (String, String) {
    let Levels { fail_below, warn_below, fail_above, warn_above, .. } = check.levels;
    (levels(&check.metric, fail_below, fail_above), levels(&check.metric, warn_below, warn_above))
}

/// A check in a line of text.
pub(super) fn check_in_words(check: &Check) -> String {
    let (fails, warns) = levels_of(check);
    let bound = check.bound.as_ref().map_or(String::new(), |b| format!(", {b},"));
    let levels = match (fails.as_str(), warns.as_str()) {
        ("", "") => String::new(),
        (fails, "") => format!(" (fails {fails})"),
        ("", warns) => format!(" (warns {warns})"),
        (fails, warns) => format!(" (fails {fails}, warns {warns})"),
    };
    format!("{}{bound} is {}{levels}", check.metric, value(&check.metric, check.value))
}

fn levels(metric: &str, below: Option<f64>, above: Option<f64>) -> String {
    let show = |sign: &str, level: Option<f64>| level.map(|l| format!("{sign}{}", number(metric, l)));
    let parts: Vec<String> = [show("< ", below), show("> ", above)].into_iter().flatten().collect();
    parts.join(", ")
}

pub(super) fn value(metric: &str, measure: Measure) -> String {
    match measure {
        Measure::Defined(v) => number(metric, v),
        undefined @ Measure::Undefined(_) => undefined.to_string(),
    }
}

pub(super) fn signed(metric: &str, v: f64) -> String {
    let text = number(metric, v);
    if v >= 0.0 { format!("+{text}") } else { text }
}

/// A figure as people read it: rates as per cent, counts whole, the rest with three decimals.
pub(crate) fn number(metric: &str, v: f64) -> String {
    const RATES: &[&str] = &[
        "total_return",
        "cagr",
        "max_drawdown",
        "win_rate",
        "exposure",
        "volatility",
        "worst_day",
        "best_day",
        "expectancy_ret",
        "shuffled_drawdown",
    ];
    const COUNTS: &[&str] = &[
        "trades",
        "longest_drawdown_days",
        "max_consecutive_losses",
        "symbols_dropped",
        "data_errors",
        "changed_by_cuts",
        "changed_by_seed",
    ];
    if RATES.contains(&metric) {
        format!("{:.2} %", v * 100.0)
    } else if COUNTS.contains(&metric) {
        format!("{v:.0}")
    } else {
        format!("{v:.3}")
    }
}

/// What was judged of a strategy, on what: a line, and one below it for each thing to know.
fn summary(strategy: &StrategyVerdict) -> String {
    let mut text = format!("{} {}", strategy.status.name(), strategy.strategy);
    if let Some(error) = &strategy.error {
        let _ = write!(text, "\n  error[{}]: {}\n  try: {}", error.code, error.message, error.help);
    }
    for period in &strategy.periods {
        period_summary(&mut text, period);
    }
    if let Some(luck) = &strategy.ledger {
        let _ = write!(text, "\n  {}", tried(luck));
    }
    for a in &strategy.acknowledgements {
        let state = if a.expired { "no longer accepted since" } else { "accepted until" };
        let _ = write!(text, "\n  {} of {}: {state} {} by {}: {}", a.check, a.period, a.expires, a.who, a.why);
    }
    if let Some(subject) = &strategy.subject {
        let _ = write!(text, "\n  subject {}, digest {}", subject.sha256, strategy.digest);
    }
    text
}

fn period_summary(text: &mut String, period: &PeriodVerdict) {
    let m = &period.metrics;
    let _ = write!(
        text,
        "\n  {} to {}: {} sessions, {} trades on {} symbols, {} bps a side, provenance {}, data {}",
        m.first_session,
        m.last_session,
        m.sessions,
        m.trades,
        period.symbols.len(),
        period.slippage_bps,
        period.provenance.join("+"),
        &period.data_sha256[..12],
    );
    let _ = write!(text, "\n  {}", period.power.statement);
    let _ = write!(text, "\n  {}", against_baseline(&period.baseline));
    for e in &period.expectations {
        let _ = write!(text, "\n  {} {}: {:.1} here", e.path, e.expected, e.value);
    }
    data_summary(text, &period.data_findings);
    if !period.not_evaluable.is_empty() {
        let _ = write!(text, "\n  not evaluable: {}", period.not_evaluable.join(", "));
    }
    if !period.not_demanded.is_empty() {
        let _ = write!(text, "\n  not demanded: {}", period.not_demanded.join(", "));
    }
}

/// What an audit finds in the bars: each fault, what to try for each kind of fault, and how many notes there are.
fn data_summary(text: &mut String, findings: &[DataFinding]) {
    let (notes, faults): (Vec<&DataFinding>, Vec<&DataFinding>) =
        findings.iter().partition(|f| f.severity == Severity::Note);
    for f in &faults {
        let _ = write!(text, "\n  error[{}]: {}: {}", f.code, f.subject, f.what);
    }
    let advice: BTreeSet<(&str, &str)> = faults.iter().map(|f| (f.code.as_str(), f.help.as_str())).collect();
    for (code, help) in advice {
        let _ = write!(text, "\n  try ({code}): {help}");
    }
    if !notes.is_empty() {
        let _ = write!(text, "\n  {} notes on the data: see `magellan data check`", notes.len());
    }
}

fn tried(luck: &Luck) -> String {
    let mut text = format!("{} trials in the ledger", luck.n);
    match (luck.correlation, luck.dispersion) {
        (Some(rho), Some(v)) => {
            let _ = write!(
                text,
                ", as many as {:.1} independent ones (mean correlation {rho:.2}); variance of their Sharpe ratios {v:.2} over the number of sessions",
                luck.n_effective
            );
        }
        _ => text += "; no sweep kept returns, so that their Sharpe ratios are taken to vary as without an edge",
    }
    if !luck.dropped.is_empty() {
        let names: Vec<&str> = luck.dropped.iter().map(Symbol::as_str).collect();
        let _ = write!(text, "; tried and no longer traded: {}", names.join(" "));
    }
    text
}

fn against_baseline(b: &Comparison) -> String {
    let policy = if b.policy_differs { "; its criteria were others" } else { "" };
    compared(b) + policy
}

fn compared(b: &Comparison) -> String {
    match (b.difference, b.lower, b.upper, b.detectable_fall) {
        (Some(difference), Some(lower), Some(upper), Some(fall)) => format!(
            "against what is deployed: Sharpe {difference:+.3} a year ({lower:+.3} to {upper:+.3}) over {} common sessions; a fall of {fall:.2} would be found with 80 %; {}",
            b.sessions, b.how
        ),
        _ => format!("against what is deployed: {}", b.how),
    }
}

/// Figures of the runs of one backtest, a column a run (at most four side by side).
pub fn backtest(runs: &[Run]) -> String {
    let mut text = String::new();
    for group in runs.chunks(4) {
        let mut header = vec![String::new()];
        header.extend(group.iter().map(|r| r.label.clone()));
        let mut table = Table::new();
        table.load_style(UTF8_FULL_CONDENSED).set_header(header);
        for (name, of) in ROWS {
            let cells = group.iter().map(|r| Cell::new(of(r)).set_alignment(CellAlignment::Right));
            table.add_row(std::iter::once(Cell::new(name)).chain(cells));
        }
        let _ = writeln!(text, "{table}");
    }
    let _ = writeln!(text, "{}", fine_print(runs));
    text
}

type Figure = (&'static str, fn(&Run) -> String);

const ROWS: &[Figure] = &[
    ("sessions", |r| format!("{} to {}", r.metrics.first_session, r.metrics.last_session)),
    ("capital", |r| format!("{:.2}", r.metrics.initial_capital)),
    ("final equity", |r| format!("{:.2}", r.metrics.final_equity)),
    ("total return", |r| value("total_return", r.metrics.total_return)),
    ("benchmark return", |r| value("total_return", r.metrics.benchmark_return)),
    ("cagr", |r| value("cagr", r.metrics.cagr)),
    ("sharpe", |r| value("sharpe", r.metrics.sharpe)),
    ("sortino", |r| value("sortino", r.metrics.sortino)),
    ("volatility", |r| value("volatility", r.metrics.volatility)),
    ("beta", |r| value("beta", r.metrics.beta)),
    ("max drawdown", |r| value("max_drawdown", r.metrics.max_drawdown)),
    ("longest drawdown, days", |r| r.metrics.longest_drawdown_days.to_string()),
    ("calmar", |r| value("calmar", r.metrics.calmar)),
    ("best / worst day", |r| {
        format!("{} / {}", value("best_day", r.metrics.best_day), value("worst_day", r.metrics.worst_day))
    }),
    ("trades", |r| r.metrics.trades.to_string()),
    ("win rate", |r| value("win_rate", r.metrics.win_rate)),
    ("profit factor", |r| value("profit_factor", r.metrics.profit_factor)),
    ("average trade, dollars", |r| value("avg_trade_pnl", r.metrics.avg_trade_pnl)),
    ("average holding, hours", |r| value("hours", r.metrics.avg_holding_hours)),
    ("losses in a row", |r| r.metrics.max_consecutive_losses.to_string()),
    ("exposure", |r| value("exposure", r.metrics.exposure)),
    ("turnover a year", |r| value("turnover", r.metrics.turnover)),
    ("entries blocked", |r| {
        let blocks: Vec<String> = r.replay.blocks.iter().map(|(b, n)| format!("{} {n}", b.name())).collect();
        if blocks.is_empty() { "none".to_owned() } else { blocks.join(", ") }
    }),
];

fn fine_print(runs: &[Run]) -> String {
    let Some(run) = runs.first() else { return String::new() };
    let c = run.costs;
    let mut text = format!(
        "costs: {} bps slippage a side, {} dollars a share, {} bps fees; {} bars: {:?} hours; provenance {}; data {}",
        c.slippage_bps,
        c.fee_per_share,
        c.fee_bps,
        run.timeframe,
        run.hours,
        run.provenance.join("+"),
        &run.data_hash[..12],
    );
    for run in runs {
        for f in run.data_findings.iter().filter(|f| matters(f)) {
            let _ = write!(text, "\n{}: {}", run.label, doubt(f));
        }
    }
    for run in runs.iter().filter(|r| r.replay.fills_outside_session() > 0) {
        let _ =
            write!(text, "\n{}: {} fills outside the regular session", run.label, run.replay.fills_outside_session());
    }
    for run in runs {
        if let Some(date) = run.replay.halted_since {
            let _ = write!(text, "\n{}: an emergency stop halted entries after {date}", run.label);
        }
    }
    if runs.iter().any(Run::is_synthetic) {
        let _ = write!(text, "\n{SYNTHETIC_NOTE}");
    }
    text
}
