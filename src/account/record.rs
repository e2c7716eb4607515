//! What executions leave behind: closed legs, executions, and how orders ended.

use crate::bar::{Nanos, Symbol};
use crate::order::{Reason, Side};

/// One exit of a lot: all of it or a part. A sale of a long lot, a purchase of a short one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fill {
    /// Number of the entry fill that this exit closes, from 1. All exits of one entry make one trade.
    pub trade: u32,
    /// The symbol.
    pub symbol: Symbol,
    /// `Buy` for a long lot, `Sell` for a short one.
    pub side: Side,
    /// Start of the bar of the entry fill, nanoseconds UTC; its end for an entry at the close.
    pub entered: Nanos,
    /// Entry price with slippage, dollars.
    pub entry_price: f64,
    /// Shares closed. A whole number unless the account is fractional.
    pub shares: f64,
    /// Start of the bar of the exit, nanoseconds UTC; for liquidations its end.
    pub exited: Nanos,
    /// Exit price with slippage, dollars.
    pub exit_price: f64,
    /// Why it was closed.
    pub reason: Reason,
    /// `shares * (exit_price - entry_price)`, of a short lot the negative, less the fees of both sides, dollars.
    pub profit: f64,
    /// Fees of both sides, dollars.
    pub fees: f64,
    /// Who asked for it.
    pub by: By,
    /// The order that opened the lot.
    pub entry_order: u32,
    /// Where it belongs in the order of trades.
    pub place: Place,
    /// Where the lot's entry belongs.
    pub entry_place: Place,
}

impl Fill {
    /// Dollars bought and sold by the exit; nothing if no trade on the market closed it.
    pub(crate) fn traded(&self) -> f64 {
        match self.reason {
            Reason::Delisted | Reason::SplitCash => 0.0,
            _ => self.shares * self.exit_price,
        }
    }
}

/// A place in the order of trades: the start of a bar, and a part of it. Within a part symbols follow alphabetically.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Place {
    /// Start of the bar.
    pub bar: Nanos,
    /// The part of the bar.
    pub part: Part,
}

/// Parts of a bar, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Part {
    /// Splits, before the open.
    Before,
    /// Open and inside.
    #[default]
    Bar,
    /// Close.
    Close,
}

/// Who asked for an execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// An order.
    Order(u32),
    /// The bracket of a lot that this order opened.
    Bracket(u32),
    /// The account.
    Account,
}

/// One execution of an order, of a bracket's exit, or of a liquidation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Execution {
    /// Start of the bar, nanoseconds UTC; its end at the close.
    pub time: Nanos,
    /// The symbol.
    pub symbol: Symbol,
    /// Who asked for it.
    pub by: By,
    /// Bought or sold.
    pub side: Side,
    /// Shares.
    pub shares: f64,
    /// Dollars.
    pub price: f64,
    /// Dollars.
    pub fee: f64,
    /// `shares * |price - reference|`, dollars.
    pub slippage: f64,
    /// Whether it opened a lot.
    pub opens: bool,
    /// Why.
    pub reason: Reason,
    /// The symbol's position after it, shares.
    pub position: f64,
}

/// How an order ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// All of it is filled.
    Filled,
    /// The account couldn't pay for all of it and was told to take what it can.
    Shrunk,
    /// The position was the wanted one already.
    AtTarget,
    /// Its time in force is over.
    TimeInForce,
    /// Too near the close for a position that must be flat overnight.
    FlatBeforeClose,
    /// There are no more bars.
    EndOfData,
    /// It was cancelled.
    Cancelled,
    /// A new size is not above what is filled.
    Replaced,
    /// Another order of its group filled.
    Oco,
    /// The position that it was to reduce ended.
    Flat,
    /// There was no position to reduce.
    NoPosition,
    /// A split left nothing of it.
    Split,
    /// Its size is less than a unit.
    ZeroSize,
    /// It, or the position with it, has more units than can be counted.
    TooLarge,
    /// It would be decided too late for a position that must be flat overnight.
    TooLateToday,
    /// A cash account holds no short positions.
    ShortNotAllowed,
    /// The account's cash doesn't pay for it.
    InsufficientCash,
    /// The account's equity doesn't carry it.
    InsufficientMargin,
}

/// What finally became of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// Done.
    Filled,
    /// Its time ran out.
    Expired,
    /// Somebody or something ended it.
    Cancelled,
    /// The account refused it.
    Rejected,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Filled, Self::Expired, Self::Cancelled, Self::Rejected];

    /// The word in outputs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Filled => "filled",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
            Self::Rejected => "rejected",
        }
    }
}

impl End {
    /// Why the account refuses orders.
    pub const REJECTIONS: [Self; 6] = [
        Self::ZeroSize,
        Self::TooLarge,
        Self::TooLateToday,
        Self::ShortNotAllowed,
        Self::InsufficientCash,
        Self::InsufficientMargin,
    ];

    /// The final state.
    pub const fn state(self) -> State {
        match self {
            Self::Filled | Self::Shrunk | Self::AtTarget => State::Filled,
            Self::TimeInForce | Self::FlatBeforeClose | Self::EndOfData => State::Expired,
            Self::Cancelled | Self::Replaced | Self::Oco | Self::Flat | Self::NoPosition | Self::Split => {
                State::Cancelled
            }
            Self::ZeroSize
            | Self::TooLarge
            | Self::TooLateToday
            | Self::ShortNotAllowed
            | Self::InsufficientCash
            | Self::InsufficientMargin => State::Rejected,
        }
    }

    /// The reason in outputs; empty for a plain fill.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Filled => "",
            Self::Shrunk => "shrunk",
            Self::AtTarget => "at_target",
            Self::TimeInForce => "tif",
            Self::FlatBeforeClose | Self::TooLateToday => "flat_before_close",
            Self::EndOfData => "end_of_data",
            Self::Cancelled => "cancel",
            Self::Replaced => "replace",
            Self::Oco => "oco",
            Self::Flat => "flat",
            Self::NoPosition => "no_position",
            Self::Split => "split",
            Self::ZeroSize => "zero_size",
            Self::TooLarge => "too_large",
            Self::ShortNotAllowed => "short_not_allowed",
            Self::InsufficientCash => "insufficient_cash",
            Self::InsufficientMargin => "insufficient_margin",
        }
    }
}

/// An order from its decision to its end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    /// Shares as resolved, on the share basis of the order's end; a target is signed, a close has none.
    pub shares: Option<f64>,
    /// Shares filled.
    pub filled: f64,
    /// Dollars of its fills.
    pub amount: f64,
    /// How it ended.
    pub end: End,
}

/// What trading has cost and moved so far, dollars.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Totals {
    /// Fees.
    pub commission: f64,
    /// Slippage, spread and impact of all executions.
    pub slippage: f64,
    /// For shares borrowed.
    pub borrow: f64,
    /// For cash borrowed.
    pub margin_interest: f64,
    /// By long positions.
    pub dividends_received: f64,
    /// By short positions.
    pub dividends_paid: f64,
    /// Paid for fractions of shares after splits; negative where a short position paid.
    pub cash_in_lieu: f64,
    /// Bought and sold.
    pub traded: f64,
    /// Number of executions.
    pub executions: u64,
    /// Orders by their final states, in the order of [`State::ALL`].
    pub orders: [u64; 4],
    /// The rejected ones by reason, in the order of [`End::REJECTIONS`].
    pub rejected: [u64; End::REJECTIONS.len()],
}

impl Totals {
    /// How many orders were rejected for each reason for which any was. Those that contradict themselves have no end.
    pub fn rejections(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let ended = End::REJECTIONS.into_iter().map(End::reason).zip(self.rejected);
        let contradictory = self.orders[State::Rejected as usize] - self.rejected.iter().sum::<u64>();
        ended.chain([("contradictory", contradictory)]).filter(|(_, count)| *count > 0)
    }
}
