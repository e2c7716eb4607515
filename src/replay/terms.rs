//! What a replay is given.

use crate::account::Conditions;
use crate::bar::Date;
use crate::costs::Costs;
use crate::history::History;
use crate::risk::Limits;

/// Money, costs, conditions, limits and the period of a replay.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Terms {
    /// Starting capital, dollars.
    pub capital: f64,
    /// Costs of every fill.
    pub costs: Costs,
    /// What the account may do: borrowing, shorts, shares of the volume.
    pub conditions: Conditions,
    /// Account limits.
    pub limits: Limits,
    /// First session traded; indicators have seen every bar before it.
    pub start: Date,
    /// Last session traded.
    pub end: Date,
}

/// A symbol's bars and the strategy with that symbol's parameters.
#[derive(Clone, Debug)]
pub struct Instrument<'a, S> {
    /// Bars cut into sessions.
    pub history: History<'a>,
    /// The strategy; the value is its parameters.
    pub strategy: S,
}
