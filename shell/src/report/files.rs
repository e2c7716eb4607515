//! `--out`: trades, equity and metrics as CSV and JSON, in the reference's format.

use std::fmt::Write as _;
use std::path::Path;

use magellan::account::Fill;
use magellan::bar::{DAY, Nanos, SECOND, iso_utc};
use magellan::config::Config;
use magellan::deployable::EquityRows;
use magellan::disk::write::write_whole;
use magellan::error::{Error, Result};
use magellan::history::Hours;
use magellan::metrics::Measure;
use magellan::order::{Bracket, Level, Order, Size, Target};
use magellan::registry::AnyStrategy;
use magellan::research::backtest::Run;
use magellan::research::market::Scope;
use magellan::runner::{Decision, OrderStatus};
use serde_json::{Map, Value, json};

use crate::codes;

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

/// The header of fills.
pub const TRADES: &str = "trade_id,symbol,entry_ts,entry_px,qty,exit_ts,exit_px,reason,pnl\n";

/// A row of fills.
pub fn trade_row(f: &Fill) -> String {
    let (entry, exit, pnl) = (general(f.entry_price), general(f.exit_price), general(f.profit));
    let (entered, exited) = (iso_utc(f.entered), iso_utc(f.exited));
    let (trade, symbol, shares, reason) = (f.trade, f.symbol, f.shares, f.reason);
    format!("{trade},{symbol},{entered},{entry},{shares},{exited},{exit},{reason},{pnl}\n")
}

/// The header of decisions.
pub const DECISIONS: &str = "bar_start,bar_end,symbol,order,answer,shares\n";

/// A row of decisions.
pub fn decision_row(d: &Decision) -> String {
    let (answer, shares) = match d.status {
        OrderStatus::Ordered(shares) => ("ordered", shares),
        OrderStatus::Refused(limit) => (limit, 0),
        OrderStatus::Nothing => ("nothing", 0),
    };
    let (start, end, order) = (iso_utc(d.start), iso_utc(d.end), order_text(&d.order));
    format!("{start},{end},{},{order},{answer},{shares}\n", d.symbol)
}

/// An order in words, every number to the bit: two orders are the same if these are.
pub fn order_text(order: &Order) -> String {
    let entry = match order {
        Order::Exit(reason) => return format!("sell all: {reason}"),
        Order::Enter(entry) => entry,
    };
    let mut text = match entry.size {
        Size::Shares(shares) => format!("buy {shares} shares"),
        Size::Notional(dollars) => format!("buy for ${dollars}"),
        Size::RiskFraction { fraction, cap } => format!("buy at a risk of {fraction} and at most ${cap}"),
    };
    let Bracket { stop, targets, time_stop, flat_before_close } = entry.bracket;
    if let Some(stop) = stop {
        let _ = write!(text, "; stop {stop}");
    }
    for Target { level, percent, then_stop } in targets.into_iter().flatten() {
        let _ = match level {
            Level::At(price) => write!(text, "; {percent} % at {price}"),
            Level::Toward { level, fraction } => write!(text, "; {percent} % at {fraction} of the way to {level}"),
        };
        if let Some(stop) = then_stop {
            let _ = write!(text, " then stop {stop}");
        }
    }
    let seconds = |time: Nanos| time as f64 / SECOND as f64;
    if let Some(time) = time_stop {
        let _ = write!(text, "; for at most {} s", seconds(time));
    }
    if let Some(time) = flat_before_close {
        let _ = write!(text, "; flat {} s before the close", seconds(time));
    }
    text
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
        let daily = strategy.timeframe().width() == DAY;
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

/// C's `%.10g`: ten significant digits, no trailing zeros, an exponent below 1e-4 and from 1e10.
pub fn general(value: f64) -> String {
    if value == 0.0 {
        return if value.is_sign_negative() { "-0" } else { "0" }.to_owned();
    }
    if !value.is_finite() {
        return if value.is_nan() {
            "nan"
        } else if value > 0.0 {
            "inf"
        } else {
            "-inf"
        }
        .to_owned();
    }
    let scientific = format!("{value:.9e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trimmed = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    if (-4..10).contains(&exponent) {
        let decimals = usize::try_from(9 - exponent).unwrap_or(0);
        trimmed(&format!("{value:.decimals$}"))
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{}e{sign}{:02}", trimmed(digits), exponent.abs())
    }
}

#[cfg(test)]
mod tests {
    use super::general;

    #[test]
    fn numbers_print_like_c() {
        for (value, text) in [
            (0.0, "0"),
            (100_000.0, "100000"),
            (99_670.201_912_345_67, "99670.20191"),
            (-329.798_087_512, "-329.7980875"),
            (3.171_681_063_111, "3.171681063"),
            (0.000_123_456_789_012, "0.000123456789"),
            (0.000_012_345, "1.2345e-05"),
            (12_345_678_901.0, "1.23456789e+10"),
            (9_999_999_999.96, "1e+10"),
            (87.526_947_95, "87.52694795"),
        ] {
            assert_eq!(general(value), text);
        }
    }
}
