//! Rows of trades and decisions, orders in words: what reports and the service both write.

use std::fmt::Write as _;

use magellan::account::Fill;
use magellan::bar::{Nanos, SECOND, iso_utc};
use magellan::order::{
    Bracket, Change, Kind, Level, Market, NewStop, Order, Side, Size, Stop, TakeProfit, Ticket, TimeInForce, Trail,
    Wanted,
};
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
    match order {
        Order::Exit(reason) => format!("close all: {reason}"),
        Order::ExitAtClose(reason) => format!("close all at the close: {reason}"),
        Order::Enter(entry) => {
            let verb = if entry.side == Side::Buy { "buy" } else { "sell short" };
            format!("{verb} {}{}", size_text(entry.size), bracket_text(&entry.bracket))
        }
        Order::Place(ticket) => ticket_text(ticket),
        Order::Target(target) => {
            let at = if target.at == Market::Close { " at the close" } else { "" };
            match target.position {
                Wanted::Shares(units) => format!("hold {units} shares{at}"),
                Wanted::Weight(weight) => format!("hold {weight} of equity{at}"),
            }
        }
        Order::Replace(name, change) => format!("replace {name}{}", change_text(change)),
        Order::Cancel(name) => format!("cancel {name}"),
        Order::CancelAll => "cancel all".to_owned(),
    }
}

fn ticket_text(ticket: &Ticket) -> String {
    let mut text = format!("{} {}", ticket.side.name(), size_text(ticket.size));
    let _ = match ticket.kind {
        Kind::Market => Ok(()),
        Kind::MarketOnClose => write!(text, " at the close"),
        Kind::Limit(limit) => write!(text, " at {limit} or better"),
        Kind::Stop(stop) => write!(text, " stop {stop}"),
        Kind::StopLimit { stop, limit } => write!(text, " stop {stop} limit {limit}"),
        Kind::TrailingStop(Trail::Price(distance)) => write!(text, " trailing by {distance}"),
        Kind::TrailingStop(Trail::Percent(percent)) => write!(text, " trailing by {percent} %"),
    };
    text.push_str(&time_text(ticket.tif));
    if ticket.reduce_only {
        text.push_str("; reduce only");
    }
    if let Some(group) = ticket.oco {
        let _ = write!(text, "; one cancels other {group}");
    }
    text.push_str(&bracket_text(&ticket.bracket));
    if let Some(name) = ticket.name {
        let _ = write!(text, "; named {name}");
    }
    if let Some(reason) = ticket.reason {
        let _ = write!(text, ": {reason}");
    }
    text
}

fn time_text(tif: TimeInForce) -> String {
    match tif {
        TimeInForce::Gtc => String::new(),
        TimeInForce::Day => "; for the day".to_owned(),
        TimeInForce::Bars(bars) => format!("; for {bars} bars"),
    }
}

fn change_text(change: &Change) -> String {
    let mut text = change.size.map_or_else(String::new, |size| format!("; {size} shares"));
    let prices =
        [("limit", change.limit), ("stop", change.stop), ("trail", change.trail), ("stop loss", change.stop_loss)];
    for (name, price) in prices {
        if let Some(price) = price {
            let _ = write!(text, "; {name} {price}");
        }
    }
    text + &change.tif.map_or_else(String::new, time_text)
}

fn size_text(size: Size) -> String {
    match size {
        Size::Shares(shares) => format!("{shares} shares"),
        Size::Notional(dollars) => format!("for ${dollars}"),
        Size::EquityFraction(fraction) => format!("for {fraction} of equity"),
        Size::RiskFraction { fraction, cap } => format!("at a risk of {fraction} and at most ${cap}"),
    }
}

fn bracket_text(bracket: &Bracket) -> String {
    let mut text = String::new();
    let _ = match bracket.stop {
        None => Ok(()),
        Some(Stop::At(price)) => write!(text, "; stop {price}"),
        Some(Stop::Offset(distance)) => write!(text, "; stop {distance} away"),
        Some(Stop::Percent(percent)) => write!(text, "; stop {percent} % away"),
        Some(Stop::Times(factor)) => write!(text, "; stop at {factor} times the entry"),
        Some(Stop::Trail(distance)) => write!(text, "; stop trails by {distance}"),
        Some(Stop::TrailPercent(percent)) => write!(text, "; stop trails by {percent} %"),
    };
    for TakeProfit { level, percent, then_stop } in bracket.targets.into_iter().flatten() {
        let _ = match level {
            Level::At(price) => write!(text, "; {percent} % at {price}"),
            Level::Offset(distance) => write!(text, "; {percent} % at {distance} away"),
            Level::Percent(away) => write!(text, "; {percent} % at {away} % away"),
            Level::Times(factor) => write!(text, "; {percent} % at {factor} times the entry"),
            Level::Toward { level, fraction } => write!(text, "; {percent} % at {fraction} of the way to {level}"),
        };
        let _ = match then_stop {
            None => Ok(()),
            Some(NewStop::At(price)) => write!(text, " then stop {price}"),
            Some(NewStop::Offset(distance)) => write!(text, " then stop {distance} beyond the entry"),
            Some(NewStop::Percent(percent)) => write!(text, " then stop {percent} % beyond the entry"),
            Some(NewStop::Times(factor)) => write!(text, " then stop at {factor} times the entry"),
        };
    }
    let seconds = |time: Nanos| time as f64 / SECOND as f64;
    if let Some(time) = bracket.time_stop {
        let _ = write!(text, "; for at most {} s", seconds(time));
    }
    if let Some(time) = bracket.flat_before_close {
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
