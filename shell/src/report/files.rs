//! `--out`: trades, equity and metrics as CSV and JSON, in the reference's format.

use std::fmt::Write as _;
use std::path::Path;

use magellan::bar::iso_utc;
use magellan::config::Config;
use magellan::deployable::EquityRows;
use magellan::disk::write::write_whole;
use magellan::error::{Error, Result};
use magellan::history::Hours;
use magellan::metrics::Measure;
use magellan::registry::AnyStrategy;
use magellan::research::backtest::Run;
use magellan::research::market::Scope;
use serde_json::{Map, Value, json};

use crate::codes;
use crate::records::{TRADES, general, trade_row};

/// Writes `LABEL.trades.csv`, `.equity.csv`, `.metrics.json` and, where equity is listed by
/// session, `.equity_bars.csv` of one run.
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
    put("trades.csv", trades(run))?;
    put("metrics.json", metrics(strategy, scope, run))?;
    match (strategy.equity_rows(), scope) {
        (EquityRows::Bars, Scope::Single) => put("equity.csv", bar_rows(&strategy.input_names(config)?, run)),
        (EquityRows::Bars, Scope::Portfolio) => put("equity.csv", session_rows(run)),
        (EquityRows::Sessions, _) => {
            put("equity.csv", session_rows(run))?;
            put("equity_bars.csv", changes(run))
        }
    }
}

fn trades(run: &Run) -> String {
    std::iter::once(TRADES.to_owned()).chain(run.replay.fills.iter().map(trade_row)).collect()
}

fn session_rows(run: &Run) -> String {
    let mut text = String::from("session,equity\n");
    for (session, equity) in &run.replay.equity {
        let _ = writeln!(text, "{session},{}", general(*equity));
    }
    text
}

/// One row a bar, with the indicators' values.
fn bar_rows(inputs: &[&str], run: &Run) -> String {
    let mut text = format!("bar_end,bar_start,session,equity,held,{}\n", inputs.join(","));
    for ((start, end, equity), row) in run.rows.marks.iter().zip(&run.rows.bars) {
        let (start, end, equity) = (iso_utc(*start), iso_utc(*end), general(*equity));
        let _ = write!(text, "{end},{start},{},{equity},{}", row.session, u8::from(row.held));
        for value in &row.inputs {
            let _ = write!(text, ",{}", general(*value));
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

fn metrics(strategy: &dyn AnyStrategy, scope: Scope, run: &Run) -> String {
    let mut all = Map::new();
    common(&mut all, run);
    all.insert("strategy".into(), json!(strategy.name()));
    let parameter = |name: &str| run.parameters.iter().find(|p| p.0 == name).map(|p| p.1.clone());
    let sessions = strategy.equity_rows() == EquityRows::Sessions;
    if !sessions {
        let daily = !run.timeframe.is_intraday();
        let hours = if run.hours == Hours::All { "all" } else { "regular" };
        all.insert("session".into(), json!(if daily { "daily" } else { hours }));
    }
    all.insert("symbol".into(), json!(run.label));
    if sessions || scope == Scope::Portfolio {
        all.insert("scope".into(), json!(scope.name()));
    }
    if scope == Scope::Portfolio {
        if let Some(reclaim) = parameter("reclaim") {
            all.insert("reclaim".into(), reclaim);
        }
        all.insert("symbols".into(), json!(run.symbols));
    } else {
        all.insert("bars".into(), json!(run.replay.bars));
    }
    if !sessions && scope == Scope::Single {
        for key in ["rsi_period", "upper", "lower", "budget"] {
            all.extend(parameter(key).map(|value| (key.to_owned(), value)));
        }
        all.insert("bps_per_side".into(), json!(run.costs.slippage_bps));
        all.extend(parameter("warmup").map(|value| ("warmup".to_owned(), value)));
    } else {
        all.insert("bars_held".into(), json!(run.replay.bars_held));
        all.insert("bars_total".into(), json!(run.replay.bars));
        let blocks: Map<String, Value> =
            run.replay.blocks.iter().map(|(b, n)| (b.name().to_owned(), json!(n))).collect();
        all.insert("gate_blocks".into(), Value::Object(blocks));
    }
    serde_json::to_string_pretty(&Value::Object(all)).unwrap_or_default() + "\n"
}

/// The reference's metrics, null where undefined; reasons are in `--json`.
fn common(all: &mut Map<String, Value>, run: &Run) {
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
