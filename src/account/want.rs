//! What shall work at a broker: for what, of which type, and how much.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::order::Side;

/// What an order at the broker is for. Lots that one order opened share theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Leg {
    /// The strategy's order with this number.
    Order(u32),
    /// The stop of what that order opened.
    Stop(u32),
    /// A target of what that order opened, by its number from 1.
    Target(u32, u8),
    /// All of what that order opened, at the market.
    Leave(u32),
}

/// The type of an order at the broker. Prices in dollars.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// At the market.
    Market,
    /// In the closing auction.
    OnClose,
    /// At this price or better.
    Limit(f64),
    /// At the market once this price is reached.
    Stop(f64),
    /// At the limit once the stop is reached.
    StopLimit {
        /// Where it is triggered.
        stop: f64,
        /// The worst price.
        limit: f64,
    },
    /// Whichever comes first; the other is cancelled.
    Either {
        /// At this price or better.
        limit: f64,
        /// At the market once this price is reached.
        stop: f64,
    },
}

/// What shall work at the broker.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Want {
    /// What for.
    pub leg: Leg,
    /// Buy or sell.
    pub side: Side,
    /// Units.
    pub units: i64,
    /// Its type; none: whatever protects the position stays as it is.
    pub form: Option<Form>,
    /// How long it works: the session, or until it is cancelled.
    pub for_the_day: bool,
    /// Where what it opens is protected at once, dollars.
    pub protect: Option<f64>,
    /// Whether it may open a position.
    pub opens: bool,
}

/// In words, for people.
impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Market => f.write_str("at the market"),
            Self::OnClose => f.write_str("at the close"),
            Self::Limit(limit) => write!(f, "limit {limit}"),
            Self::Stop(stop) => write!(f, "stop {stop}"),
            Self::StopLimit { stop, limit } => write!(f, "stop {stop} limit {limit}"),
            Self::Either { limit, stop } => write!(f, "limit {limit} or stop {stop}"),
        }
    }
}
