//! Who executes orders and knows what is held.

use super::feed::FeedBar;
use crate::account::Fill;
use crate::bar::Date;
use crate::calendar::Session;
use crate::error::Result;
use crate::order::Order;
use crate::strategy::{Position, WorkingOrder};

/// Executes orders. It learns of every bar, in the order of the methods below. At each bar start first every symbol's
/// bar opens, then every symbol's bar closes, alphabetically.
pub trait Broker {
    /// A session begins.
    ///
    /// # Errors
    /// Whatever keeps a broker from following; the same holds for all methods.
    fn session_opens(&mut self, session: &Session) -> Result<()>;

    /// Open, inside and closing auction of all bars with one start: working orders fill, stops and targets are met.
    ///
    /// # Errors
    /// As [`Broker::session_opens`].
    fn bars_trade(&mut self, bars: &[FeedBar], session: &Session) -> Result<()>;

    /// Close of a bar, before the strategy is asked: applies the bracket's time limits, and lists the orders that work.
    /// The position then held.
    ///
    /// # Errors
    /// As [`Broker::session_opens`].
    fn bar_closes(&mut self, bar: &FeedBar, session: &Session, working: &mut Vec<WorkingOrder>) -> Result<Position>;

    /// Takes the strategy's orders, if it gave any, through limits and sizing: what became of each. Called once for each
    /// bar, at its end.
    ///
    /// # Errors
    /// As [`Broker::session_opens`].
    fn submit(&mut self, bar: &FeedBar, session: &Session, orders: &[Order]) -> Result<Vec<OrderStatus>>;

    /// The session is over.
    ///
    /// # Errors
    /// As [`Broker::session_opens`].
    fn session_closes(&mut self, date: Date) -> Result<()>;

    /// Exits since the last call, by bar, part of the bar and symbol.
    fn fills(&mut self) -> Vec<Fill>;

    /// Number of symbols held.
    fn open_positions(&self) -> usize;

    /// Capital, realised profit and open positions at their last close, dollars.
    fn equity(&self) -> f64;
}

/// What became of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderStatus {
    /// It works from the next bar on: so many units, as far as they are known.
    Ordered(u64),
    /// It is refused; the name of the limit, or of what makes no sense in it.
    Refused(&'static str),
    /// It changes nothing: already held or sold, too late in the session, or less than a unit.
    Nothing,
}
