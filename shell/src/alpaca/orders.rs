//! Orders at Alpaca: how they are asked for, and what is said of them.
//!
//! Amounts and prices are JSON strings. Fields come and go, so only what is needed must be there.

use magellan::account::Form;
use magellan::bar::{Nanos, Symbol};
use magellan::live::record::Request;
use serde::Deserialize;
use serde_json::{Value, json};

/// An order as Alpaca tells of it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct OrderView {
    /// Alpaca's name of it.
    pub id: String,
    /// Ours, if it is ours.
    pub client_order_id: String,
    /// Where it stands.
    pub status: String,
    /// The symbol.
    pub symbol: String,
    /// Shares, of orders that count shares.
    pub qty: Option<String>,
    /// Shares executed.
    pub filled_qty: Option<String>,
    /// Their average price, dollars.
    pub filled_avg_price: Option<String>,
    /// `buy` or `sell`.
    pub side: String,
    /// Dollars.
    pub limit_price: Option<String>,
    /// Dollars.
    pub stop_price: Option<String>,
    /// When all of it was executed.
    pub filled_at: Option<jiff::Timestamp>,
    /// When it changed last.
    pub updated_at: Option<jiff::Timestamp>,
    /// The order that stands in its place.
    pub replaced_by: Option<String>,
    /// The order in whose place it stands.
    pub replaces: Option<String>,
    /// Orders that belong to it.
    pub legs: Option<Vec<OrderView>>,
}

impl OrderView {
    /// Shares ordered.
    pub fn shares(&self) -> Option<u64> {
        whole(self.qty.as_deref()?)
    }

    /// Shares executed.
    pub fn filled(&self) -> Option<u64> {
        self.filled_qty.as_deref().map_or(Some(0), whole)
    }

    /// Average price of what was executed, dollars.
    pub fn average(&self) -> Option<f64> {
        price(self.filled_avg_price.as_deref()?)
    }

    /// When the last of it was executed, as far as it tells, nanoseconds UTC.
    pub fn executed_at(&self) -> Option<Nanos> {
        let whole = self.shares().is_some() && self.shares() == self.filled();
        let at = if whole { self.filled_at.or(self.updated_at) } else { self.updated_at };
        Nanos::try_from(at?.as_nanosecond()).ok()
    }

    /// Its stop.
    pub fn stop(&self) -> Option<f64> {
        price(self.stop_price.as_deref()?)
    }

    /// Its limit.
    pub fn limit(&self) -> Option<f64> {
        price(self.limit_price.as_deref()?)
    }

    /// The stop among its legs.
    pub fn stop_leg(&self) -> Option<&Self> {
        self.legs.iter().flatten().find(|leg| leg.stop_price.is_some())
    }

    /// What is not as it was asked for, if anything.
    pub fn differs(&self, symbol: Symbol, request: &Request) -> Option<String> {
        let side = request.side.name();
        let (limit, stop) = match request.form {
            Form::Market | Form::OnClose => (None, None),
            Form::Limit(limit) | Form::Either { limit, .. } => (Some(limit), None),
            Form::Stop(stop) => (None, Some(stop)),
            Form::StopLimit { stop, limit } => (Some(limit), Some(stop)),
        };
        let leg = match request.form {
            Form::Either { stop, .. } => Some(stop),
            _ => request.protect,
        };
        if self.symbol != symbol.as_str() || self.side != side {
            return Some(format!("{} {} instead of {side} {symbol}", self.side, self.symbol));
        }
        if self.shares() != Some(request.shares) {
            return Some(format!("{:?} shares instead of {}", self.qty, request.shares));
        }
        if limit.is_some() && self.limit() != limit {
            return Some(format!("limit {:?} instead of {limit:?}", self.limit_price));
        }
        if stop.is_some() && self.stop() != stop {
            return Some(format!("stop {:?} instead of {stop:?}", self.stop_price));
        }
        // Only what is told can be compared: legs are left out of some answers.
        match (leg, self.stop_leg()) {
            (Some(wanted), Some(leg)) if leg.stop() != Some(wanted) => {
                Some(format!("a leg's stop {:?} instead of {wanted}", leg.stop_price))
            }
            _ => None,
        }
    }
}

/// A number of whole shares: `100` or `100.0`.
pub fn whole(text: &str) -> Option<u64> {
    let number: f64 = text.parse().ok()?;
    (number >= 0.0 && number.fract() == 0.0 && number < 9e15).then_some(number as u64)
}

/// A price in dollars.
pub fn price(text: &str) -> Option<f64> {
    text.parse().ok().filter(|price: &f64| price.is_finite() && *price > 0.0)
}

/// The body of a request for an order.
pub fn body(id: &str, symbol: Symbol, request: &Request) -> Value {
    let Request { side, shares, form, for_the_day, protect, .. } = *request;
    let mut body = json!({
        "symbol": symbol.as_str(),
        "qty": shares.to_string(),
        "side": side.name(),
        "client_order_id": id,
        "time_in_force": if for_the_day && protect.is_none() { "day" } else { "gtc" },
    });
    let mut set = |key: &str, value: Value| {
        body[key] = value;
    };
    match form {
        Form::Market => set("type", json!("market")),
        Form::OnClose => {
            set("type", json!("market"));
            set("time_in_force", json!("cls"));
        }
        Form::Limit(limit) => {
            set("type", json!("limit"));
            set("limit_price", json!(dollars(limit)));
        }
        Form::Stop(stop) => {
            set("type", json!("stop"));
            set("stop_price", json!(dollars(stop)));
        }
        Form::StopLimit { stop, limit } => {
            set("type", json!("stop_limit"));
            set("stop_price", json!(dollars(stop)));
            set("limit_price", json!(dollars(limit)));
        }
        Form::Either { limit, stop } => {
            set("type", json!("limit"));
            set("order_class", json!("oco"));
            set("take_profit", json!({"limit_price": dollars(limit)}));
            set("stop_loss", json!({"stop_price": dollars(stop)}));
        }
    }
    if let Some(stop) = protect {
        set("order_class", json!("oto"));
        set("stop_loss", json!({"stop_price": dollars(stop)}));
    }
    body
}

/// As Alpaca writes prices.
fn dollars(price: f64) -> String {
    price.to_string()
}

/// The side of a position that Alpaca tells of, and its shares.
#[derive(Clone, Debug, Deserialize)]
pub struct PositionView {
    /// The symbol.
    pub symbol: String,
    /// Shares; of a short position negative, or not.
    pub qty: String,
    /// `long` or `short`.
    pub side: String,
    /// Dollars.
    pub avg_entry_price: Option<String>,
    /// Dollars.
    pub current_price: Option<String>,
}

impl PositionView {
    /// Shares; negative is short.
    pub fn shares(&self) -> Option<i64> {
        let shares: f64 = self.qty.parse().ok().filter(|shares: &f64| shares.fract() == 0.0 && shares.abs() < 9e15)?;
        let shares = (shares as i64).abs();
        Some(if self.side == "short" { -shares } else { shares })
    }

    /// The price to book it at, dollars.
    pub fn price(&self) -> Option<f64> {
        [&self.current_price, &self.avg_entry_price].into_iter().flatten().find_map(|text| price(text))
    }
}

/// An account as Alpaca tells of it.
#[derive(Clone, Debug, Deserialize)]
pub struct AccountView {
    /// `ACTIVE`, or it can't trade.
    pub status: String,
    /// Dollars.
    pub buying_power: Option<String>,
    /// Whether it may trade.
    #[serde(default)]
    pub trading_blocked: bool,
    /// Whether anything may be done with it.
    #[serde(default)]
    pub account_blocked: bool,
    /// Whether its owner has suspended trading.
    #[serde(default)]
    pub trade_suspended_by_user: bool,
}

impl AccountView {
    /// Why it can't trade, if it can't.
    pub fn blocked(&self) -> Option<String> {
        if self.status != "ACTIVE" {
            return Some(format!("the account's status is {}", self.status));
        }
        let blocks = [
            (self.trading_blocked, "trading_blocked"),
            (self.account_blocked, "account_blocked"),
            (self.trade_suspended_by_user, "trade_suspended_by_user"),
        ];
        blocks.into_iter().find(|(is, _)| *is).map(|(_, name)| format!("the account says {name}"))
    }
}

/// A symbol as Alpaca tells of it.
#[derive(Clone, Debug, Deserialize)]
pub struct AssetView {
    /// `active`, or it can't be traded.
    pub status: String,
    /// Whether it can be traded.
    pub tradable: bool,
    /// Whether it can be sold short.
    #[serde(default)]
    pub shortable: bool,
}

/// A trade update.
#[derive(Clone, Debug, Deserialize)]
pub struct Update {
    /// What happened.
    pub event: String,
    /// Of an execution, dollars.
    pub price: Option<String>,
    /// Of an execution, shares.
    pub qty: Option<String>,
    /// The order after it.
    pub order: OrderView,
}

/// Of a quote, what filters need.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub struct QuoteView {
    /// Best bid, dollars.
    pub bp: f64,
    /// Its size, shares.
    pub bs: f64,
    /// Best ask, dollars.
    pub ap: f64,
    /// Its size, shares.
    #[serde(rename = "as")]
    pub ask_size: f64,
    /// When.
    pub t: jiff::Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(current_price: Option<&str>, side: &str, qty: &str) -> PositionView {
        let text = |text: &str| text.to_owned();
        let avg_entry_price = Some(text("9.5"));
        PositionView {
            symbol: text("GME"),
            qty: text(qty),
            side: text(side),
            avg_entry_price,
            current_price: current_price.map(text),
        }
    }

    #[test]
    fn a_position_without_a_current_price_has_that_of_its_entry() {
        assert_eq!(position(Some("10.25"), "long", "3").price(), Some(10.25));
        assert_eq!(position(None, "long", "3").price(), Some(9.5));
        assert_eq!(position(Some("0"), "long", "3").price(), Some(9.5));
    }

    #[test]
    fn a_short_position_is_negative_however_it_is_told() {
        assert_eq!(position(None, "short", "3").shares(), Some(-3));
        assert_eq!(position(None, "short", "-3").shares(), Some(-3));
        assert_eq!(position(None, "long", "0.5").shares(), None);
    }
}
