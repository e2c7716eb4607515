//! `--out`: trades, equity and metrics as CSV and JSON, in the reference's format.

use std::fmt::Write as _;
use std::path::Path;

use magellan::account::AccountKind;
use magellan::bar::iso_utc;
use magellan::config::Config;
use magellan::deployable::EquityRows;
use magellan::disk::write::write_whole;
use magellan::error::{Error, Result};
use magellan::history::Hours;
use magellan::metrics::{Cash, Measure};
use magellan::registry::AnyStrategy;
use magellan::research::backtest::Run;
use magellan::research::market::Scope;
use serde_json::{Map, Value, json};

use super::traded;
use crate::codes;
use crate::records::{TRADES, general, trade_row};

/// Writes `LABEL.trades.csv`, `.equity.csv`, `.equity_bars.csv` and `.metrics.json` of one run: all of them, whatever
/// happened in it.
///
/// # Errors
/// Usage error if a file can't be written.
pub fn write(folder: &Path, strategy: &dyn AnyStrategy, config: &Config, scope: Scope, run: &Run) -> Result<()> {
    let fault = |path: &Path, e: std::io::Error| {
        Error::new(codes::CANNOT_WRITE, format!("can't write results: {e}")).at(path.display())
    };
    std::fs::create_dir_all(folder).map_err(|e| fault(folder, e))?;
    let put = |kind: &str, text: String| {
        let path = folder.join(format!("{}.{kind}", run.label));
        write_whole(&path, text.as_bytes(), 0o666).map_err(|e| fault(&path, e))
    };
    let equity = match (strategy.equity_rows(), scope) {
        (EquityRows::Bars, Scope::Single) => bar_rows(&strategy.input_names(config)?, run),
        (EquityRows::Bars, Scope::Portfolio) => session_rows(&strategy.input_names(config)?, run),
        (EquityRows::Sessions, _) => session_rows(&[], run),
    };
    put("trades.csv", trades(run))?;
    put("metrics.json", metrics(strategy, scope, run))?;
    put("equity.csv", equity)?;
    put("equity_bars.csv", changes(run))
}

fn trades(run: &Run) -> String {
    std::iter::once(TRADES.to_owned()).chain(run.replay.fills.iter().map(trade_row)).collect()
}

/// The columns of `equity.csv`: a row is a bar or a session, and then only a session's columns are filled.
fn equity_header(inputs: &[&str]) -> String {
    let columns: Vec<&str> =
        ["bar_end", "bar_start", "session", "equity", "held"].iter().chain(inputs).copied().collect();
    columns.join(",") + "\n"
}

/// One row a session.
fn session_rows(inputs: &[&str], run: &Run) -> String {
    let mut text = equity_header(inputs);
    let empty = ",".repeat(inputs.len());
    for (session, equity) in &run.replay.equity {
        let _ = writeln!(text, ",,{session},{},{empty}", general(*equity));
    }
    text
}

/// One row a bar, with the indicators' values: empty until they are warm.
fn bar_rows(inputs: &[&str], run: &Run) -> String {
    let mut text = equity_header(inputs);
    for ((start, end, equity), row) in run.rows.marks.iter().zip(&run.rows.bars) {
        let (start, end, equity) = (iso_utc(*start), iso_utc(*end), general(*equity));
        let _ = write!(text, "{end},{start},{},{equity},{}", row.session, u8::from(row.held));
        for value in &row.inputs {
            let value = if value.is_nan() { String::new() } else { general(*value) };
            let _ = write!(text, ",{value}");
        }
        text.push('\n');
    }
    text
}

/// One row whenever equity differs from the row before.
fn changes(run: &Run) -> String {
    let mut text = String::from("bar_end,equity\n");
    let mut before = None;
    for &(_, end, equity) in &run.rows.marks {
        if before != Some(equity) {
            let _ = writeln!(text, "{},{}", iso_utc(end), general(equity));
            before = Some(equity);
        }
    }
    text
}

/// Keys of the reference, null where undefined, then what `--json` has.
fn metrics(strategy: &dyn AnyStrategy, scope: Scope, run: &Run) -> String {
    let mut all = Map::new();
    reference_figures(&mut all, run);
    all.insert("strategy".into(), json!(strategy.name()));
    let hours = match (run.timeframe.is_intraday(), run.hours) {
        (false, _) => "daily",
        (true, Hours::All) => "all",
        (true, Hours::Regular) => "regular",
    };
    all.insert("session".into(), json!(hours));
    all.insert("symbol".into(), json!(run.label));
    all.insert("scope".into(), json!(scope.name()));
    all.insert("symbols".into(), json!(run.symbols));
    all.insert("bars".into(), json!(run.replay.bars));
    all.insert("bars_held".into(), json!(run.replay.bars_held));
    all.insert("bars_total".into(), json!(run.replay.bars));
    all.insert("bps_per_side".into(), json!(run.costs.slippage_bps));
    all.insert("gate_blocks".into(), blocks(run));
    // The reference has some of them at the top.
    for key in ["rsi_period", "upper", "lower", "budget", "warmup", "reclaim"] {
        all.extend(run.parameters.iter().find(|p| p.0 == key).map(|p| (key.to_owned(), p.1.clone())));
    }
    all.insert("parameters".into(), run.parameters.iter().map(|p| (p.0.to_owned(), p.1.clone())).collect());
    all.insert("traded".into(), Value::Object(traded::all(&run.replay)));
    all.insert("figures".into(), json!(run.metrics));
    all.insert("profile".into(), json!(run.profile));
    all.insert("cash".into(), cash(run));
    all.insert("partly_covered".into(), json!(run.partly_covered));
    serde_json::to_string_pretty(&Value::Object(all)).unwrap_or_default() + "\n"
}

/// How often each limit refused an entry.
pub fn blocks(run: &Run) -> Value {
    run.replay.blocks.iter().map(|(b, n)| (b.name().to_owned(), json!(n))).collect()
}

/// What entries left in cash, which no replay checks.
pub fn cash(run: &Run) -> Value {
    let Cash { entries, below_zero, lowest, lowest_at, first_at, .. } = run.cash;
    json!({
        "checked": run.account != AccountKind::Unlimited,
        "buying_power": run.buying_power,
        "entries": entries,
        "entries_below_zero": below_zero,
        "lowest": lowest,
        "lowest_at": lowest_at.map(iso_utc),
        "first_below_zero_at": first_at.map(iso_utc),
    })
}

/// The reference's figures, null where undefined; reasons are in `figures`.
fn reference_figures(all: &mut Map<String, Value>, run: &Run) {
    let m = &run.metrics;
    let rate = |value: Measure| value.value().map_or(Value::Null, |v| json!(v));
    for (key, value) in [
        ("initial_capital", json!(m.initial_capital)),
        ("final_equity", json!(m.final_equity)),
        ("total_return", rate(m.total_return)),
        ("cagr", rate(m.cagr)),
        ("sharpe", rate(m.sharpe)),
        ("sortino", rate(m.sortino)),
        ("max_drawdown", rate(m.max_drawdown)),
        ("calmar", rate(m.calmar)),
        ("trades", json!(m.trades)),
        ("win_rate", rate(m.win_rate)),
        ("profit_factor", rate(m.profit_factor)),
        ("gross_win", json!(m.gross_win)),
        ("gross_loss", json!(m.gross_loss)),
        ("exposure", rate(m.exposure)),
        ("avg_trade_pnl", rate(m.avg_trade_pnl)),
        ("avg_win", rate(m.avg_win)),
        ("avg_loss", rate(m.avg_loss)),
        ("expectancy_ret", rate(m.expectancy_ret)),
        ("sessions", json!(m.sessions)),
        ("first_session", json!(m.first_session)),
        ("last_session", json!(m.last_session)),
    ] {
        all.insert(key.into(), value);
    }
}
