//! What a strategy may order: market orders, sizes as data, and brackets.
//!
//! A market order names no fill price: the account of a replay or the broker decides it.

use crate::bar::Nanos;

/// A decision at the close of a bar; it fills no earlier than the next bar's open.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "an order is a value on the stack; it lives for one bar")]
pub enum Order {
    /// Buys at the market; the bracket then exits by itself.
    Enter(Entry),
    /// Sells everything at the market; the reason stands in the trade.
    Exit(Reason),
}

impl Order {
    /// A market buy of `size` without stops or targets.
    pub const fn buy(size: Size) -> Self {
        Self::Enter(Entry { size, bracket: Bracket::NONE })
    }
}

/// A market buy: how much, and how to get out of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Entry {
    /// How many shares, worked out at the close of the bar of the signal.
    pub size: Size,
    /// Exits that the account executes by itself.
    pub bracket: Bracket,
}

/// A number of shares as data. Quotients are floating-point divisions, rounded down.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Size {
    /// This many shares.
    Shares(u64),
    /// `floor(dollars / close)` at the signal bar's close.
    Notional(f64),
    /// `min(floor(equity * fraction / (close - stop)), floor(cap / close))`,
    /// equity being capital plus realised profit.
    RiskFraction {
        /// Fraction of equity lost if the stop fills, e.g. 0.02.
        fraction: f64,
        /// Largest position in dollars.
        cap: f64,
    },
}

/// Exits that travel with an entry.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bracket {
    /// Stop price, dollars: sells everything when a bar's low reaches it.
    pub stop: Option<f64>,
    /// Targets that sell a part, tested in this order; each fires at most once.
    pub targets: [Option<Target>; Bracket::TARGETS],
    /// Sells at the next open once this much time has passed since the entry fill, nanoseconds.
    pub time_stop: Option<Nanos>,
    /// Flat overnight: from this long before the session's close (nanoseconds) it sells at the next
    /// open, and entries that have not filled expire. At the close of the session's last bar the
    /// account liquidates what is left.
    pub flat_before_close: Option<Nanos>,
}

impl Bracket {
    /// The most targets that an order can carry.
    pub const TARGETS: usize = 4;
    /// No exit but the strategy's own.
    pub const NONE: Self =
        Self { stop: None, targets: [None; Self::TARGETS], time_stop: None, flat_before_close: None };
}

/// A resting limit order that sells a part of the position, without slippage.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Target {
    /// Where it rests.
    pub level: Level,
    /// Per cent of the entry's shares: `floor(shares * percent / 100)`.
    pub percent: u8,
    /// Once it fires, the stop moves to this price from the next bar on, dollars.
    pub then_stop: Option<f64>,
}

/// Where a target rests.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Level {
    /// At this price.
    At(f64),
    /// At `fill + (level - fill) * fraction`, `fill` being the entry's price with slippage.
    Toward {
        /// Price aimed at.
        level: f64,
        /// How far, 1.0 being all the way.
        fraction: f64,
    },
}

impl Level {
    /// The resting price for an entry filled at `fill`.
    pub fn resolve(self, fill: f64) -> f64 {
        match self {
            Self::At(price) => price,
            Self::Toward { level, fraction } => fill + (level - fill) * fraction,
        }
    }
}

/// Why shares were sold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// The stop was reached.
    Stop,
    /// Target number `n`, from 1.
    Target(u8),
    /// The time stop.
    Time,
    /// End of day.
    EndOfDay,
    /// Liquidated at the session's last bar.
    SessionEnd,
    /// Liquidated at the last bar of the replay.
    EndOfData,
    /// The strategy's own signal, by name.
    Signal(&'static str),
}

impl Reason {
    /// Whether the sale was at a price inside a bar, not at its open or its end.
    pub(crate) const fn is_inside_a_bar(self) -> bool {
        matches!(self, Self::Stop | Self::Target(_))
    }

    /// Whether the account sold at a bar's end, unasked.
    pub(crate) const fn is_liquidation(self) -> bool {
        matches!(self, Self::SessionEnd | Self::EndOfData)
    }
}

/// The name in `trades.csv`.
impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Stop => f.write_str("stop"),
            Self::Target(n) => write!(f, "tp{n}"),
            Self::Time => f.write_str("time"),
            Self::EndOfDay => f.write_str("eod"),
            Self::SessionEnd => f.write_str("session_end"),
            Self::EndOfData => f.write_str("end_of_data"),
            Self::Signal(name) => f.write_str(name),
        }
    }
}
