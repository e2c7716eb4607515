//! Who executes orders and knows what is held.

use super::feed::FeedBar;
use crate::account::Fill;
use crate::bar::Date;
use crate::calendar::Session;
use crate::error::Result;
use crate::order::Order;
use crate::strategy::Position;

/// Executes orders. It learns of every bar, in the order of the methods below. At each bar start first every symbol's
/// bar opens, then every symbol's bar closes, alphabetically.
pub trait Broker {
    /// A session begins.
    ///
    /// # Errors
    /// Whatever keeps a broker from following; the same holds for all methods.
    fn session_opens(&mut self, session: &Session) -> Result<()>;

    /// Open and inside of a bar: pending orders fill, stops and targets are met.
    ///
    /// # Errors
    /// As [`Broker::session_opens`].
    fn bar_opens(&mut self, bar: &FeedBar, session: &Session) -> Result<()>;

    /// Close of a bar, before the strategy is asked: applies the bracket's time limits. The position then held.
    ///
    /// # Errors
    /// As [`Broker::session_opens`].
    fn bar_closes(&mut self, bar: &FeedBar, session: &Session) -> Result<Position>;

    /// Takes the strategy's order, if it gave one, through limits and sizing. Called once for each bar, at its end.
    ///
    /// # Errors
    /// As [`Broker::session_opens`].
    fn submit(&mut self, bar: &FeedBar, order: Option<&Order>) -> Result<OrderStatus>;

    /// The session is over.
    ///
    /// # Errors
    /// As [`Broker::session_opens`].
    fn session_closes(&mut self, date: Date) -> Result<()>;

    /// Sales since the last call, in order of fill.
    fn fills(&mut self) -> Vec<Fill>;

    /// Number of symbols held.
    fn open_positions(&self) -> usize;

    /// Capital, realised profit and open positions at their last close, dollars.
    fn equity(&self) -> f64;
}

/// What became of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderStatus {
    /// So many shares are ordered.
    Ordered(u64),
    /// A limit forbids it; the limit's name.
    Refused(&'static str),
    /// It changes nothing: already held or sold, too late in the session, or less than a share.
    Nothing,
}
