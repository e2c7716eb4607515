//! What every replay says of its trading: directions, costs by kind, how orders ended.

use magellan::account::{State, Totals};
use magellan::metrics::BySide;
use magellan::replay::Replay;
use serde_json::{Map, Value, json};

/// Costs by kind, dollars.
pub fn costs(totals: &Totals) -> Value {
    json!({
        "commission": totals.commission,
        "slippage": totals.slippage,
        "borrow": totals.borrow,
        "margin_interest": totals.margin_interest,
        "dividends_received": totals.dividends_received,
        "dividends_paid": totals.dividends_paid,
        "cash_in_lieu": totals.cash_in_lieu,
    })
}

/// Orders by their final states.
pub fn orders(totals: &Totals) -> Value {
    let counts = State::ALL.into_iter().zip(totals.orders);
    Value::Object(counts.map(|(state, count)| (state.name().to_owned(), json!(count))).collect::<Map<_, _>>())
}

/// Why orders were rejected, and how many.
pub fn rejections(totals: &Totals) -> Value {
    Value::Object(totals.rejections().map(|(why, count)| (why.to_owned(), json!(count))).collect())
}

/// The same in words; empty, if none was rejected.
pub fn rejected_in_words(totals: &Totals) -> String {
    let why: Vec<String> = totals.rejections().map(|(why, count)| format!("{why} {count}")).collect();
    why.join(", ")
}

/// Long and short trades apart, costs, orders and what was traded, by the keys of the outputs.
pub fn all(replay: &Replay) -> Map<String, Value> {
    let (by_side, totals) = (BySide::of(replay), &replay.totals);
    let keys = [
        ("long", json!(by_side.long)),
        ("short", json!(by_side.short)),
        ("costs", costs(totals)),
        ("traded", json!(totals.traded)),
        ("fills", json!(totals.executions)),
        ("orders", orders(totals)),
        ("rejections", rejections(totals)),
    ];
    keys.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}
