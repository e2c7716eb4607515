//! Tables for people.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table};
use magellan::account::{AccountKind, State, Totals};
use magellan::bar::{Date, Symbol};
use magellan::config::Levels;
use magellan::finding::{Finding, Severity};
use magellan::gate::acknowledge;
use magellan::gate::comparison::Comparison;
use magellan::gate::{
    Acknowledgement, Check, DataFinding, Judgement, Luck, PeriodVerdict, Skill, StrategyVerdict, Timing, Verdict,
};
use magellan::holdout::Seen;
use magellan::metrics::{BySide, Measure};
use magellan::replay::Replay;
use magellan::research::backtest::Run;
use magellan::research::coverage::PartlyCovered;
use magellan::research::market::matters;
use serde_json::Value;

use super::traded;
use super::words::{counted, plural};

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

/// Which symbols have bars in a part of the dates asked for only, in a line.
pub fn coverage(partly: &[PartlyCovered]) -> Option<String> {
    let (from, to) = partly.first()?.asked;
    // Symbols that cover the same are named together.
    let mut groups: Vec<(&PartlyCovered, Vec<String>)> = Vec::new();
    for one in partly {
        let same = |(known, _): &&mut (&PartlyCovered, Vec<String>)| {
            (known.covered, known.sessions) == (one.covered, one.sessions)
        };
        match groups.iter_mut().find(same) {
            Some((_, symbols)) => symbols.push(one.symbol.to_string()),
            None => groups.push((one, vec![one.symbol.to_string()])),
        }
    }
    let describe = |(one, symbols): &(&PartlyCovered, Vec<String>)| {
        let PartlyCovered { covered: (first, last), sessions, sessions_asked, .. } = one;
        format!("{} from {first} to {last}, {sessions} of {sessions_asked} sessions", symbols.join(" "))
    };
    let groups: Vec<String> = groups.iter().map(describe).collect();
    Some(format!("asked for {from} to {to}, but bars cover only a part of it: {}", groups.join("; ")))
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

/// What figures depend on and nobody says; empty, if all is said.
pub fn assumed(assumed: &BTreeMap<String, Value>) -> String {
    let taken: Vec<String> =
        assumed.iter().filter(|(_, v)| !v.is_null()).map(|(path, v)| format!("{path}={v}")).collect();
    let unlimited: Vec<&str> = assumed.iter().filter(|(_, v)| v.is_null()).map(|(path, _)| path.as_str()).collect();
    let mut text = String::new();
    if !taken.is_empty() {
        let _ = write!(text, "assumed, since the config doesn't say: {}", taken.join(", "));
    }
    if !unlimited.is_empty() {
        let _ = write!(text, "{}not limited: {}", if text.is_empty() { "" } else { "; " }, unlimited.join(", "));
    }
    if text.is_empty() { text } else { text + "; change it with --set PATH=VALUE, or in the config\n" }
}

/// The gate's one table and its verdict.
pub fn gate(verdict: &Verdict, judgements: &[Judgement]) -> String {
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
        let replays = judgements.iter().filter(|one| one.verdict.strategy == strategy.strategy);
        let replays: Vec<&Replay> = replays.flat_map(|one| &one.periods).map(|charts| &charts.run.replay).collect();
        let _ = writeln!(text, "{}", summary(strategy, &replays));
    }
    if verdict.synthetic {
        let _ = writeln!(text, "{SYNTHETIC_NOTE}");
    }
    let expanded = legend(&text);
    text += &expanded;
    let (status, exit_code, digest) = (verdict.status.name(), verdict.exit_code, &verdict.digest);
    let _ = writeln!(text, "verdict: {status} (exit {exit_code}), digest {digest}");
    text
}

/// What abbreviations stand for.
const ABBREVIATIONS: [(&str, &str); 8] = [
    ("bps", "basis points, hundredths of a per cent"),
    ("cagr", "compound annual growth rate"),
    ("dsr", "deflated Sharpe ratio, the probability that it isn't the luck of the best trial"),
    ("MinTRL", "minimum track record length, the sessions that it takes to tell the Sharpe ratio from 0"),
    ("pbo", "probability of backtest overfitting"),
    ("spa_p", "p of Hansen's test of superior predictive ability, over the best of the kept trials"),
    ("timing_p", "share of shifts on a circle whose Sharpe ratio is as high"),
    ("psr", "probabilistic Sharpe ratio, the probability that it is above 0"),
];

/// A line that expands the abbreviations of a text; none, if it has none.
pub(crate) fn legend(text: &str) -> String {
    let words: BTreeSet<&str> = text.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    let used = ABBREVIATIONS.iter().filter(|(short, _)| words.contains(short));
    let expanded: Vec<String> = used.map(|(short, meaning)| format!("{short}: {meaning}")).collect();
    if expanded.is_empty() { String::new() } else { format!("{}\n", expanded.join("; ")) }
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
        right(value(&check.metric, check.value) + &monte_carlo(check)),
        right(fails),
        right(warns),
        right(check.margin.map_or_else(String::new, |m| signed(&check.metric, m))),
        Cell::new(result),
    ]
}

/// The Monte Carlo error of a bound.
fn monte_carlo(check: &Check) -> String {
    check.monte_carlo_error.map_or_else(String::new, |error| format!(" ± {}", number(&check.metric, error)))
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
    let counted = check.counted.join("; ");
    let counted = if counted.is_empty() { counted } else { format!(": {counted}") };
    format!("{}{bound} is {}{levels}{counted}", check.metric, value(&check.metric, check.value))
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
        "walk_forward_return",
        "bar_drawdown",
        "alpha",
        "cvar",
        "ulcer_index",
        "time_under_water",
        "gross_exposure",
    ];
    const DOLLARS: &[&str] = &["long_pnl", "short_pnl", "commission", "slippage", "borrow", "margin_interest"];
    const COUNTS: &[&str] = &[
        "trades",
        "long_trades",
        "short_trades",
        "rejected_orders",
        "blocked_entries",
        "longest_drawdown_days",
        "max_consecutive_losses",
        "symbols_dropped",
        "data_errors",
        "changed_by_cuts",
        "changed_by_seed",
        "criteria_weakened",
        "policy_costs",
        "policy_criteria",
        "policy_margin",
        "policy_sessions",
        "policy_unseen_sessions",
        "policy_weakened",
        "trial-not-committed",
    ];
    if RATES.contains(&metric) {
        format!("{:.2} %", v * 100.0)
    } else if COUNTS.contains(&metric) {
        format!("{v:.0}")
    } else if DOLLARS.contains(&metric) {
        format!("{v:.2}")
    } else {
        format!("{v:.3}")
    }
}

/// What was judged of a strategy, on what: a line, and one below it for each thing to know. `replays` are those of its
/// periods.
fn summary(strategy: &StrategyVerdict, replays: &[&Replay]) -> String {
    let mut text = format!("{} {}", strategy.status.name(), strategy.strategy);
    if let Some(error) = &strategy.error {
        let _ = write!(text, "\n  error[{}]: {}\n  try: {}", error.code, error.message, error.help);
    }
    for (i, period) in strategy.periods.iter().enumerate() {
        period_summary(&mut text, period, replays.get(i).copied());
    }
    let _ = write!(text, "\n  {}", judged_by(strategy));
    for changed in &strategy.changed {
        let _ = write!(text, "\n  differs from what is deployed: {changed}");
    }
    if let Some(luck) = &strategy.ledger {
        let _ = write!(text, "\n  {}", tried(luck));
    }
    for a in &strategy.acknowledgements {
        let state = standing(a, strategy);
        let _ = write!(text, "\n  {} of {}: {state} by {}: {}", a.check, a.period, a.who, a.why);
    }
    if let Some(subject) = &strategy.subject {
        let _ = write!(text, "\n  subject {}, digest {}", subject.sha256, strategy.digest);
    }
    text
}

/// The least that the policy demands, in a line.
pub(super) fn judged_by(strategy: &StrategyVerdict) -> String {
    let Some(policy) = &strategy.policy else {
        return "no policy: what is demanded is what the config demands".to_owned();
    };
    let names: Vec<&str> = policy.criteria.keys().map(String::as_str).collect();
    let who: Vec<&str> = policy.acknowledgements.who.iter().map(String::as_str).collect();
    let who = if who.is_empty() { "nobody".to_owned() } else { who.join(", ") };
    format!("by the policy: at least {}; {who} may accept failures", names.join(", "))
}

/// Until when something is accepted, or why that doesn't count.
pub(super) fn standing(a: &Acknowledgement, strategy: &StrategyVerdict) -> String {
    match acknowledge::ignored(a, strategy) {
        None => format!("accepted until {}", a.expires),
        Some(_) if a.expired => format!("no longer accepted since {}", a.expires),
        Some(why) => format!("not counted, as {why}; accepted until {}", a.expires),
    }
}

fn period_summary(text: &mut String, period: &PeriodVerdict, replay: Option<&Replay>) {
    let m = &period.metrics;
    let _ = write!(
        text,
        "\n  {} to {}: {}, {} on {}, {} bps a side, provenance {}, data {}",
        m.first_session,
        m.last_session,
        counted(m.sessions, "session"),
        counted(m.trades, "trade"),
        counted(period.symbols.len(), "symbol"),
        period.slippage_bps,
        period.provenance.join("+"),
        &period.data_sha256[..12],
    );
    if let Some(replay) = replay {
        let _ = write!(text, "\n  {}", trading(replay, m.turnover));
    }
    let _ = write!(text, "\n  {}", period.power.statement);
    skill_summary(text, &period.skill);
    let _ = write!(text, "\n  {}", against_baseline(&period.baseline));
    for (check, what) in period.checks.iter().flat_map(|c| c.counted.iter().map(move |what| (c, what))) {
        let _ = write!(text, "\n  {}: {what}", check.metric);
    }
    for said in period.seen.iter().flat_map(Seen::sentences) {
        let _ = write!(text, "\n  {said}");
    }
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

/// What was traded and what it cost, in a line: of short trades, other costs and refusals only what there is.
fn trading(replay: &Replay, turnover: Measure) -> String {
    let (short, totals) = (BySide::of(replay).short, &replay.totals);
    let Totals { commission, slippage, borrow, margin_interest, dividends_received, dividends_paid, .. } = *totals;
    let mut text = format!("turnover {} a year", value("turnover", turnover));
    if short.trades > 0 {
        let _ = write!(text, "; {} short, {:.2} dollars of profit", counted(short.trades, "trade"), short.pnl);
    }
    let _ = write!(text, "; commission {commission:.2}, slippage {slippage:.2}");
    let others = [
        ("borrow", borrow),
        ("margin interest", margin_interest),
        ("dividends received", dividends_received),
        ("dividends paid", dividends_paid),
        ("cash in lieu", totals.cash_in_lieu),
    ];
    for (name, dollars) in others.into_iter().filter(|(_, dollars)| *dollars != 0.0) {
        let _ = write!(text, ", {name} {dollars:.2}");
    }
    text += " dollars";
    let rejected = totals.orders[State::Rejected as usize];
    if rejected > 0 {
        let _ = write!(text, "; {} rejected: {}", counted(rejected, "order"), traded::rejected_in_words(totals));
    }
    let blocks: Vec<String> = replay.blocks.iter().map(|(block, n)| format!("{} {n}", block.name())).collect();
    if !blocks.is_empty() {
        let _ = write!(text, "; entries refused by limits: {}", blocks.join(", "));
    }
    text
}

/// What it adds to being in the market: its timing, and a line for each thing held instead.
fn skill_summary(text: &mut String, skill: &Skill) {
    let Timing { together, shifts, .. } = &skill.timing;
    let timing = match together {
        Measure::Defined(p) => format!("as much at other times in {:.1} % of {shifts} shifts", p * 100.0),
        undefined => format!("at other times: {undefined}"),
    };
    let _ = write!(text, "\n  the same holding spells win {timing} (timing_p)");
    if let Measure::Defined(p) = skill.spa.p {
        let _ = write!(text, "\n  the best of {} trials is as good by luck with p {p:.3} (spa_p)", skill.spa.columns);
    }
    for beside in std::iter::once(&skill.own).chain(&skill.market) {
        let _ = write!(
            text,
            "\n  beside holding {}: alpha {} a year (t {:.2}), beta {:.2}, Sharpe difference {:.2} a year, at least {:.2} \
             at 95 %",
            beside.held,
            value("alpha", beside.alpha),
            beside.alpha_t,
            beside.beta,
            beside.sharpe_difference,
            beside.sharpe_difference_lower,
        );
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
        let _ = write!(text, "\n  {} on the data: see `magellan data check`", counted(notes.len(), "note"));
    }
}

fn tried(luck: &Luck) -> String {
    let mut text = format!("{} in the ledger", counted(luck.n, "trial"));
    if let Some(rho) = luck.correlation {
        let _ = write!(text, ", as many as {:.1} independent ones (mean correlation {rho:.2})", luck.n_effective);
    }
    if let Some(v) = luck.dispersion {
        let _ = write!(
            text,
            "; their Sharpe ratios vary {v:.2} times as much as those of independent trials without an edge"
        );
    }
    if luck.n_unknown > 1 {
        let of = if luck.n_unknown < luck.n { format!(" for {} of them", luck.n_unknown) } else { String::new() };
        let _ = write!(text, "; too few returns are kept{of} to tell how they vary: taken to vary as without an edge");
    }
    let set_aside = [
        (luck.costs_only, "differ in costs or capital only"),
        (luck.hardly_trade, "hardly trade"),
        (luck.duplicates, "duplicate another"),
        (luck.losing, "lose for sure"),
    ];
    let set_aside: Vec<String> =
        set_aside.iter().filter(|(count, _)| *count > 0).map(|(count, why)| format!("{count} {why}")).collect();
    let _ = write!(text, "; returns of {} are kept", luck.columns);
    if !set_aside.is_empty() {
        let _ = write!(text, ", of which {}", set_aside.join(", "));
    }
    if !luck.imported.is_empty() {
        let _ = write!(text, "; imported, as whoever wrote the files has it: {}", luck.imported.join(", "));
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
            "against what is deployed: Sharpe {difference:+.3} a year ({lower:+.3} to {upper:+.3}) over {} common sessions; a fall of {fall:.2} would be found with 80 %{}; {}",
            b.sessions,
            equal(b),
            b.how
        ),
        _ => format!("against what is deployed: {}", b.how),
    }
}

/// How often a candidate just as good would pass.
pub(super) fn equal(b: &Comparison) -> String {
    b.equal_passes
        .map_or_else(String::new, |p| format!(", and an equally good candidate passes with {:.0} %", p * 100.0))
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
            if group.iter().all(|run| of(run).is_empty()) {
                continue;
            }
            let cells = group.iter().map(|r| Cell::new(of(r)).set_alignment(CellAlignment::Right));
            table.add_row(std::iter::once(Cell::new(name)).chain(cells));
        }
        let _ = writeln!(text, "{table}");
    }
    let _ = writeln!(text, "{}", fine_print(runs));
    let expanded = legend(&text);
    text += &expanded;
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
    ("excess sharpe", |r| value("sharpe", r.profile.excess_sharpe)),
    ("sortino", |r| value("sortino", r.metrics.sortino)),
    ("volatility", |r| value("volatility", r.metrics.volatility)),
    ("beta", |r| value("beta", r.metrics.beta)),
    ("alpha a year", |r| value("cagr", r.profile.alpha)),
    ("information ratio", |r| value("sharpe", r.profile.information_ratio)),
    ("max drawdown", |r| value("max_drawdown", r.metrics.max_drawdown)),
    ("max drawdown, every bar", |r| value("max_drawdown", r.profile.bar_drawdown)),
    ("time under water", |r| value("exposure", r.profile.time_under_water)),
    ("longest drawdown, days", |r| r.metrics.longest_drawdown_days.to_string()),
    ("calmar", |r| value("calmar", r.metrics.calmar)),
    ("best / worst day", |r| {
        format!("{} / {}", value("best_day", r.metrics.best_day), value("worst_day", r.metrics.worst_day))
    }),
    ("ulcer index", |r| value("max_drawdown", r.profile.ulcer_index)),
    ("worst 5 % of days", |r| value("worst_day", r.profile.cvar)),
    ("trades", |r| r.metrics.trades.to_string()),
    ("of them short", |r| {
        let short = BySide::of(&r.replay).short;
        let won = || value("win_rate", short.win_rate);
        if short.trades == 0 { String::new() } else { format!("{}, {:.2}, {} won", short.trades, short.pnl, won()) }
    }),
    ("rejected orders", |r| traded::rejected_in_words(&r.replay.totals)),
    ("commission / slippage", |r| format!("{:.2} / {:.2}", r.replay.totals.commission, r.replay.totals.slippage)),
    ("win rate", |r| value("win_rate", r.metrics.win_rate)),
    ("profit factor", |r| value("profit_factor", r.metrics.profit_factor)),
    ("average trade, dollars", |r| value("avg_trade_pnl", r.metrics.avg_trade_pnl)),
    ("average holding, hours", |r| value("hours", r.metrics.avg_holding_hours)),
    ("losses in a row", |r| r.metrics.max_consecutive_losses.to_string()),
    ("exposure", |r| value("exposure", r.metrics.exposure)),
    ("gross exposure", |r| value("exposure", r.profile.gross_exposure)),
    ("cash below zero", |r| match r.cash.below_zero {
        0 => "never".to_owned(),
        below => format!("after {below} of {}", plural(r.cash.entries, "entry", "entries")),
    }),
    ("lowest cash", |r| match r.cash.lowest_at {
        Some(at) => {
            let date = if r.replay.daily { Date::of_utc(at) } else { r.replay.calendar.date(at) };
            format!("{:.2} on {date}", r.cash.lowest)
        }
        None => format!("{:.2}", r.cash.lowest),
    }),
    ("turnover a year", |r| value("turnover", r.metrics.turnover)),
    ("entries blocked", |r| {
        let blocks: Vec<String> = r.replay.blocks.iter().map(|(b, n)| format!("{} {n}", b.name())).collect();
        if blocks.is_empty() { "none".to_owned() } else { blocks.join(", ") }
    }),
];

/// What the account checks at a fill.
fn account_line(run: &Run) -> String {
    match (run.account, run.buying_power) {
        (AccountKind::Cash, _) => "an entry that cash doesn't pay for is rejected".to_owned(),
        (AccountKind::Margin { leverage }, _) => {
            format!("an entry is rejected where positions would exceed {leverage} times equity")
        }
        (AccountKind::Unlimited, None) => "no entry is refused for lack of cash".to_owned(),
        (AccountKind::Unlimited, Some(dollars)) => format!(
            "no entry is refused for lack of cash: account_info.buying_power ({dollars:.2} dollars) and \
             margin_multiplier are read, not applied; account_info.account=cash checks it"
        ),
    }
}

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
    let _ = write!(text, "\nrisk-free rate: {}", run.profile.risk_free);
    text.push('\n');
    text += &account_line(run);
    let partly: Vec<PartlyCovered> = runs.iter().flat_map(|r| r.partly_covered.iter().copied()).collect();
    if let Some(line) = coverage(&partly) {
        let _ = write!(text, "\n{line}");
    }
    for run in runs {
        for f in run.data_findings.iter().filter(|f| matters(f)) {
            let _ = write!(text, "\n{}: {}", run.label, doubt(f));
        }
    }
    for run in runs.iter().filter(|r| r.replay.fills_outside_session() > 0) {
        let fills = counted(run.replay.fills_outside_session(), "fill");
        let _ = write!(text, "\n{}: {fills} outside the regular session", run.label);
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

#[cfg(test)]
mod tests {
    use magellan::metrics::Cause;
    use magellan::prelude::*;

    use super::*;

    /// Sells short by day, and now and then for less than a share costs.
    #[derive(Clone, Copy)]
    struct Short;

    impl Strategy for Short {
        const NAME: &'static str = "short";
        type Inputs = [f64; 0];
        type State = ();

        fn indicators(&self) -> [Indicator; 0] {
            []
        }

        fn warmup(&self) -> usize {
            0
        }

        fn decide(&self, (): &mut (), now: &Now<[f64; 0]>) -> Option<Order> {
            let size = if now.bar.close > 20.0 { Size::Shares(10) } else { Size::Notional(1.0) };
            Some(match now.position.is_open() {
                false => Order::Enter(Entry { side: Side::Sell, size, bracket: Bracket::NONE }),
                true => Order::Exit(Reason::Signal("next day")),
            })
        }
    }

    #[test]
    fn a_gates_summary_tells_short_trades_costs_and_rejections() -> Result<()> {
        let first = "2024-01-02".parse::<Date>()?;
        let start: Vec<Nanos> = (0..3).map(|day| Date(first.0 + day).utc_midnight()).collect();
        let closes = [19.0, 21.0, 20.0];
        let bars = Bars::new(Timeframe::Day, &start, [&closes[..]; 5])?;
        let costs = Costs { slippage_bps: 10.0, fee_per_share: 0.01, ..Costs::default() };
        let run = Backtest::new(("SPY".parse::<Symbol>()?, bars), Short).costs(costs).run()?;
        let said = trading(&run.replay, Measure::Undefined(Cause::NoSessions));
        assert!(said.contains("; 1 trade short, "), "{said}");
        assert!(said.contains("; commission 0.20, slippage 0.40 dollars"), "{said}");
        assert!(said.ends_with("; 1 order rejected: zero_size 1"), "{said}");
        Ok(())
    }
}
