//! What a config may leave out in research although figures depend on it, and what is taken for it. Reports list it.

use serde_json::{Value, json};

use super::document::Document;

/// Capital, dollars.
pub const CAPITAL: u32 = 100_000;
/// Slippage a side, basis points: more than liquid stocks cost, so that nothing looks better for not having said.
pub const FRICTION_BPS: u32 = 10;
/// Limits that an account has only if they are given.
const LIMITS: [&str; 4] = ["max_daily_loss_pct", "max_daily_loss_dollars", "max_trades_per_day", "max_open_positions"];

/// Assumes what isn't given.
pub(super) fn assume(document: &mut Document) {
    document.assume("account_info", "initial_capital", json!(CAPITAL));
    document.assume("execution", "friction_bps", json!(FRICTION_BPS));
    // Regular hours; one of the two keys says what the other is.
    let (before, after) = ("premarket", "after_hours");
    let given = |key: &str| document.get("data_requirements")?.get(key).cloned();
    let hours = given(before).or_else(|| given(after)).unwrap_or(Value::Bool(false));
    document.assume("data_requirements", before, hours.clone());
    document.assume("data_requirements", after, hours);
    for limit in LIMITS {
        document.assume_none("risk_management", limit);
    }
}
