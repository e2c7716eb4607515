//! What became of a file of orders: tables as CSV, figures as JSON, a summary for people.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use magellan::account::{By, Execution, Fill, State};
use magellan::bar::{Symbol, iso_utc};
use magellan::disk::write::write_whole;
use magellan::error::{Error, Result};
use magellan::metrics::{Measure, SideFigures};
use magellan::order::{Reason, Side};
use magellan::orders::Rows;
use magellan::research::orders::OrdersRun;
use serde_json::{Value, json};

use super::{table, traded};
use crate::codes;
use crate::records::general;

/// Writes fills, trades, orders, equity and metrics.
///
/// # Errors
/// Usage error if a file can't be written.
pub fn write(folder: &Path, run: &OrdersRun) -> Result<()> {
    let put = |name: &str, text: String| {
        let path = folder.join(name);
        write_whole(&path, text.as_bytes(), 0o666)
            .map_err(|e| Error::new(codes::CANNOT_WRITE, format!("can't write results: {e}")).at(path.display()))
    };
    // The last file of a run tells that it is whole: that of an earlier run doesn't.
    let _ = std::fs::remove_file(folder.join("metrics.json"));
    put("fills.csv", fills(run))?;
    put("trades.csv", trades(run))?;
    put("orders.csv", orders(run))?;
    put("equity.csv", sessions(run))?;
    put("equity_bars.csv", bars(run))?;
    put("metrics.json", format!("{:#}\n", nulls(metrics(run))))
}

/// A row an execution.
fn fills(run: &OrdersRun) -> String {
    let mut text = String::from("seq,time,symbol,order_id,side,qty,price,fee,slippage,effect,reason,position\n");
    for (i, e) in run.executions.iter().enumerate() {
        let Execution { time, symbol, by, side, shares, price, fee, slippage, opens, reason, position } = *e;
        let effect = if opens { "open" } else { "close" };
        let _ = write!(text, "{},{},{symbol},{},", i + 1, iso_utc(time), name(&run.rows, by, reason));
        let numbers = [shares, price, fee, slippage].map(general).join(",");
        let reason = why(&run.rows, by, reason);
        let _ = writeln!(text, "{},{numbers},{effect},{reason},{}", side.name(), general(position));
    }
    text
}

/// A row a lot and exit.
fn trades(run: &OrdersRun) -> String {
    let mut text =
        String::from("trade_id,symbol,entry_ts,entry_px,qty,exit_ts,exit_px,reason,pnl,side,fees,entry_id,exit_id\n");
    for fill in &run.replay.fills {
        let Fill { trade, symbol, side, entered, entry_price, shares, exited, exit_price, reason, .. } = *fill;
        let (entered, exited) = (iso_utc(entered), iso_utc(exited));
        let (entry, shares, exit) = (general(entry_price), general(shares), general(exit_price));
        let reason_text = why(&run.rows, fill.by, reason);
        let _ = write!(text, "{trade},{symbol},{entered},{entry},{shares},{exited},{exit},{reason_text},");
        let direction = if side == Side::Buy { "long" } else { "short" };
        let entry_id = name(&run.rows, By::Order(fill.entry_order), Reason::Signal(""));
        let exit_id = name(&run.rows, fill.by, reason);
        let (profit, fees) = (general(fill.profit), general(fill.fees));
        let _ = writeln!(text, "{profit},{direction},{fees},{entry_id},{exit_id}");
    }
    text
}

/// A row an order or a close, as heard.
fn orders(run: &OrdersRun) -> String {
    let mut text = String::from("id,symbol,time,side,type,qty,filled,avg_price,state,reason\n");
    for (number, placed) in run.rows.placed.iter().enumerate() {
        let _ = write!(text, "{},{},{},", placed.id, placed.symbol, iso_utc(placed.time));
        let _ = write!(text, "{},{},", placed.side.map_or("", Side::name), placed.kind);
        let Some(outcome) = run.outcomes.get(number).copied().flatten() else {
            text.push_str(",,,,\n");
            continue;
        };
        let shares = outcome.shares.map_or_else(String::new, general);
        let average = if outcome.filled > 0.0 { general(outcome.amount / outcome.filled) } else { String::new() };
        let (state, reason) = (outcome.end.state().name(), outcome.end.reason());
        let _ = writeln!(text, "{shares},{},{average},{state},{reason}", general(outcome.filled));
    }
    text
}

fn sessions(run: &OrdersRun) -> String {
    let mut text = String::from("session,equity\n");
    for (session, equity) in &run.replay.equity {
        let _ = writeln!(text, "{session},{}", general(*equity));
    }
    text
}

fn bars(run: &OrdersRun) -> String {
    let mut text = String::from("bar_end,equity\n");
    for (end, equity) in &run.marks {
        let _ = writeln!(text, "{},{}", iso_utc(*end), general(*equity));
    }
    text
}

/// The order behind an execution, with the part of its bracket.
fn name(rows: &Rows, by: By, reason: Reason) -> String {
    let id = |order: u32| rows.placed.get(order as usize).map_or("", |placed| &*placed.id);
    match by {
        By::Order(order) => id(order).to_owned(),
        By::Bracket(order) => match reason {
            Reason::Stop => format!("{}:sl", id(order)),
            part => format!("{}:{part}", id(order)),
        },
        By::Account => String::new(),
    }
}

/// Why it traded, quoted where a table needs it.
fn why(rows: &Rows, by: By, reason: Reason) -> String {
    let text = match by {
        By::Order(order) => rows.reason(order).to_owned(),
        By::Bracket(_) | By::Account => reason.to_string(),
    };
    match text.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text,
    }
}

/// A table of figures, for people.
pub fn summary(run: &OrdersRun) -> String {
    let (m, totals) = (&run.metrics, &run.replay.totals);
    let money = |dollars: f64| format!("{dollars:.2}");
    let part = |figure: Measure| figure.value().map_or_else(|| figure.to_string(), |v| format!("{:.2} %", v * 100.0));
    let side = |name: &str, s: &SideFigures| {
        [format!("{name} trades"), format!("{}, {} of profit, {} won", s.trades, money(s.pnl), part(s.win_rate))]
    };
    let ended = |i: usize| format!("{} {}", totals.orders[i], State::ALL[i].name());
    let mut rows = vec![
        ["sessions".to_owned(), format!("{}, {} to {}", m.sessions, m.first_session, m.last_session)],
        ["final equity".to_owned(), money(m.final_equity)],
        ["total return".to_owned(), part(m.total_return)],
        ["growth a year".to_owned(), part(m.cagr)],
        ["sharpe".to_owned(), m.sharpe.to_string()],
        ["max drawdown".to_owned(), part(m.max_drawdown)],
        ["orders".to_owned(), [0, 1, 2, 3].map(ended).join(", ")],
        ["fills".to_owned(), totals.executions.to_string()],
        side("long", &run.by_side.long),
        side("short", &run.by_side.short),
        ["turnover a year".to_owned(), m.turnover.to_string()],
        ["largest leverage".to_owned(), format!("{:.2}", run.max_leverage)],
    ];
    let costs = [
        ("commission", totals.commission),
        ("slippage", totals.slippage),
        ("borrow", totals.borrow),
        ("margin interest", totals.margin_interest),
        ("dividends received", totals.dividends_received),
        ("dividends paid", totals.dividends_paid),
        ("cash in lieu", totals.cash_in_lieu),
    ];
    rows.extend(costs.into_iter().filter(|(_, d)| *d != 0.0).map(|(name, d)| [name.to_owned(), money(d)]));
    if run.replay.lowest_cash < 0.0 {
        rows.push(["lowest cash".to_owned(), money(run.replay.lowest_cash)]);
    }
    let mut shown = table::table(["orders", &run.symbols.iter().map(Symbol::as_str).collect::<Vec<_>>().join(" ")]);
    rows.into_iter().for_each(|row| {
        shown.add_row(row);
    });
    format!("{shown}\n{}", rejections(run))
}

/// Why orders were rejected, cancelled or expired, each reason with its count.
fn rejections(run: &OrdersRun) -> String {
    let mut counts: BTreeMap<(State, &str), u64> = BTreeMap::new();
    for outcome in run.outcomes.iter().flatten().filter(|o| o.end.state() == State::Rejected) {
        *counts.entry((outcome.end.state(), outcome.end.reason())).or_default() += 1;
    }
    counts.iter().map(|((state, reason), count)| format!("{count} {}: {reason}\n", state.name())).collect()
}

/// Figures as numbers, null where undefined; the reasons stand in `undefined`, by key.
fn nulls(mut all: Value) -> Value {
    let mut reasons = serde_json::Map::new();
    without_reasons("", &mut all, &mut reasons);
    all["undefined"] = Value::Object(reasons);
    all
}

fn without_reasons(path: &str, value: &mut Value, reasons: &mut serde_json::Map<String, Value>) {
    let Value::Object(keys) = value else { return };
    for (key, value) in keys {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        match value.get("undefined").cloned() {
            Some(reason) => {
                reasons.insert(path, reason);
                *value = Value::Null;
            }
            None => without_reasons(&path, value, reasons),
        }
    }
}

/// All figures: those of every replay, and those of orders.
pub fn metrics(run: &OrdersRun) -> Value {
    let mut all = json!(run.metrics);
    all.as_object_mut().into_iter().for_each(|figures| figures.extend(traded::all(&run.replay)));
    all["max_leverage"] = json!(run.max_leverage);
    all["bars"] = json!(run.replay.bars);
    all["bars_held"] = json!(run.replay.bars_held);
    all["lowest_cash"] = json!(run.replay.lowest_cash);
    all["synthetic"] = json!(run.synthetic);
    all
}
