//! Rows of trades and decisions, orders in words: what reports and the service both write.

use std::fmt::Write as _;

use magellan::account::Fill;
use magellan::bar::{Nanos, SECOND, iso_utc};
use magellan::order::{Bracket, Level, Order, Size, Target};
use magellan::runner::{Decision, OrderStatus};

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
