//! What a strategy may order: every order type, sizes as data, brackets, and changes of what works already.
//!
//! An order names no fill price: the account of a replay or the broker decides it. It works from the next bar on.
//! Quantities are whole numbers of *units*: shares, or millionths of a share in a fractional account.

use serde::{Deserialize, Serialize};

use crate::bar::Nanos;
use crate::words::{self, Word};

/// Buy or sell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Side {
    /// Buys: opens or adds to a long position, or covers a short one.
    Buy,
    /// Sells: closes a long position, or opens or adds to a short one.
    Sell,
}

impl Side {
    /// The word in files and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Buy => "buy",
            Self::Sell => "sell",
        }
    }

    /// +1 for a buy, -1 for a sale.
    #[inline(always)]
    pub const fn sign(self) -> i64 {
        match self {
            Self::Buy => 1,
            Self::Sell => -1,
        }
    }

    /// The side that undoes it.
    pub const fn opposite(self) -> Self {
        match self {
            Self::Buy => Self::Sell,
            Self::Sell => Self::Buy,
        }
    }
}

/// A decision at the close of a bar; it fills no earlier than the next bar's open.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Order {
    /// Opens a position at the market. It changes nothing while there is a position, or another order that would open
    /// one.
    Enter(Entry),
    /// Closes the whole position at the market; the reason stands in the trade.
    Exit(Reason),
    /// Closes the whole position in the closing auction of the next bar's session; the reason stands in the trade.
    ExitAtClose(Reason),
    /// Any order, whatever is held or working already.
    Place(Ticket),
    /// Trades the difference to a wanted position, as that is when the order fills.
    Target(Target),
    /// Changes a working order of that name, and the stop of the lots that it opened.
    Replace(Name, Change),
    /// Cancels the working order of that name.
    Cancel(Name),
    /// Cancels all working orders of the symbol.
    CancelAll,
}

impl Order {
    /// A market buy of `size` without stops or targets.
    pub const fn buy(size: Size) -> Self {
        Self::Enter(Entry { side: Side::Buy, size, bracket: Bracket::NONE })
    }

    /// A market sale of `size` that opens a short position, without stops or targets.
    pub const fn sell_short(size: Size) -> Self {
        Self::Enter(Entry { side: Side::Sell, size, bracket: Bracket::NONE })
    }

    /// A position of so many units from the next open on; negative is short.
    pub const fn target_shares(units: i64) -> Self {
        Self::Target(Target { position: Wanted::Shares(units), at: Market::Open })
    }

    /// A position worth this part of equity from the next open on; negative is short.
    pub const fn target_weight(weight: f64) -> Self {
        Self::Target(Target { position: Wanted::Weight(weight), at: Market::Open })
    }

    /// Whether its size depends on what the account is worth.
    pub(crate) fn sizes_by_equity(&self) -> bool {
        match self {
            Self::Enter(Entry { size, .. }) | Self::Place(Ticket { size, .. }) => {
                matches!(size, Size::EquityFraction(_))
            }
            Self::Target(target) => matches!(target.position, Wanted::Weight(_)),
            Self::Exit(_) | Self::ExitAtClose(_) | Self::Replace(..) | Self::Cancel(_) | Self::CancelAll => false,
        }
    }
}

/// A market order that opens a position: how much, and how to get out of it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Long or short.
    pub side: Side,
    /// How many units, worked out at the close of the bar of the signal.
    pub size: Size,
    /// Exits that the account executes by itself.
    pub bracket: Bracket,
}

/// The name by which a strategy speaks of its own order: a word, and a number where words repeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Name(#[serde(with = "words")] pub Word, pub u32);

impl From<&'static str> for Name {
    fn from(word: &'static str) -> Self {
        Self(word, 0)
    }
}

/// The name in outputs: the word, and the number unless it is 0.
impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.1 {
            0 => f.write_str(self.0),
            number => write!(f, "{}.{number}", self.0),
        }
    }
}

/// An order in full. Made by [`Ticket::buy`] or [`Ticket::sell`], and what else it shall be.
///
/// ```
/// use magellan::order::{Order, Size, Stop, Ticket};
///
/// let dip = Ticket::buy(Size::Shares(100)).limit(41.50).for_bars(3).stop_loss(Stop::Percent(2.0)).named("dip");
/// let order = Order::Place(dip);
/// # assert!(matches!(order, Order::Place(_)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ticket {
    /// By which it can be replaced and cancelled, and found among the working orders.
    pub name: Option<Name>,
    /// Buy or sell.
    pub side: Side,
    /// When and at what price it fills.
    pub kind: Kind,
    /// How many units.
    pub size: Size,
    /// How long it works.
    pub tif: TimeInForce,
    /// Only ever closes: it fills at most the position, and is cancelled when that is gone.
    pub reduce_only: bool,
    /// One cancels the others: the first fill of any order of this name ends the rest.
    pub oco: Option<Name>,
    /// Exits of the lots that it opens.
    pub bracket: Bracket,
    /// Stands in fills and trades instead of the type's name.
    #[serde(with = "words::optional")]
    pub reason: Option<Word>,
}

impl Ticket {
    const fn new(side: Side, size: Size) -> Self {
        Self {
            name: None,
            side,
            kind: Kind::Market,
            size,
            tif: TimeInForce::Gtc,
            reduce_only: false,
            oco: None,
            bracket: Bracket::NONE,
            reason: None,
        }
    }

    /// A market buy.
    #[must_use]
    pub const fn buy(size: Size) -> Self {
        Self::new(Side::Buy, size)
    }

    /// A market sale.
    #[must_use]
    pub const fn sell(size: Size) -> Self {
        Self::new(Side::Sell, size)
    }

    const fn of_kind(self, kind: Kind) -> Self {
        Self { kind, ..self }
    }

    /// Fills at this price or better, dollars.
    #[must_use]
    pub const fn limit(self, limit: f64) -> Self {
        self.of_kind(Kind::Limit(limit))
    }

    /// Becomes a market order where the price reaches this one, dollars.
    #[must_use]
    pub const fn stop(self, stop: f64) -> Self {
        self.of_kind(Kind::Stop(stop))
    }

    /// Becomes a limit order where the price reaches the stop, dollars.
    #[must_use]
    pub const fn stop_limit(self, stop: f64, limit: f64) -> Self {
        self.of_kind(Kind::StopLimit { stop, limit })
    }

    /// A stop that follows the market.
    #[must_use]
    pub const fn trailing(self, trail: Trail) -> Self {
        self.of_kind(Kind::TrailingStop(trail))
    }

    /// Fills in the closing auction of the next bar's session.
    #[must_use]
    pub const fn on_close(self) -> Self {
        self.of_kind(Kind::MarketOnClose)
    }

    /// Works in the session of the next bar only.
    #[must_use]
    pub const fn for_the_day(self) -> Self {
        Self { tif: TimeInForce::Day, ..self }
    }

    /// Works for so many bars of the symbol.
    #[must_use]
    pub const fn for_bars(self, bars: u32) -> Self {
        Self { tif: TimeInForce::Bars(bars), ..self }
    }

    /// Only closes, never opens.
    #[must_use]
    pub const fn reduce_only(self) -> Self {
        Self { reduce_only: true, ..self }
    }

    /// With this protective stop.
    #[must_use]
    pub const fn stop_loss(mut self, stop: Stop) -> Self {
        self.bracket.stop = Some(stop);
        self
    }

    /// With all of these exits.
    #[must_use]
    pub const fn bracket(self, bracket: Bracket) -> Self {
        Self { bracket, ..self }
    }

    /// By this name.
    #[must_use]
    pub fn named(self, name: impl Into<Name>) -> Self {
        Self { name: Some(name.into()), ..self }
    }

    /// In this group of orders of the symbol, of which the first fill cancels the others.
    #[must_use]
    pub fn one_cancels_other(self, group: impl Into<Name>) -> Self {
        Self { oco: Some(group.into()), ..self }
    }

    /// For this reason.
    #[must_use]
    pub const fn because(self, reason: &'static str) -> Self {
        Self { reason: Some(reason), ..self }
    }
}

/// Order types. Prices in dollars.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Kind {
    /// At the next open.
    Market,
    /// At the close of the next bar's session.
    MarketOnClose,
    /// At this price or better.
    Limit(f64),
    /// At the market once the price reaches this one.
    Stop(f64),
    /// At the limit or better once the price reaches the stop.
    StopLimit {
        /// Where it is triggered.
        stop: f64,
        /// The worst price.
        limit: f64,
    },
    /// A stop that keeps its distance from the best price since the decision.
    TrailingStop(Trail),
}

impl Kind {
    /// The word in files and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Market => "market",
            Self::MarketOnClose => "moc",
            Self::Limit(_) => "limit",
            Self::Stop(_) => "stop",
            Self::StopLimit { .. } => "stop_limit",
            Self::TrailingStop(_) => "trailing_stop",
        }
    }
}

/// The distance of a trailing stop from the best price.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Trail {
    /// Dollars.
    Price(f64),
    /// Per cent of the best price.
    Percent(f64),
}

/// How long an order works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TimeInForce {
    /// Good till cancelled.
    Gtc,
    /// Through the session of the first bar that it works in.
    Day,
    /// So many bars of the symbol.
    Bars(u32),
}

/// A wanted position, and when to trade towards it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// What to hold.
    pub position: Wanted,
    /// When to trade.
    pub at: Market,
}

/// A wanted position; negative is short.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Wanted {
    /// So many units.
    Shares(i64),
    /// This part of equity at the closes of the decision, toward zero to whole units.
    Weight(f64),
}

/// The moments at which an order without a price can fill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Market {
    /// The next open.
    Open,
    /// The close of the next bar's session.
    Close,
}

/// What to change of a working order; `None` leaves it as it is. The order keeps its place.
#[derive(Clone, Copy, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct Change {
    /// The new total, units. Not above what is filled: the order is cancelled.
    pub size: Option<u64>,
    /// Dollars.
    pub limit: Option<f64>,
    /// Dollars.
    pub stop: Option<f64>,
    /// The distance of a trailing stop, of its kind; it starts anew from this close.
    pub trail: Option<f64>,
    /// Its bars count anew.
    pub tif: Option<TimeInForce>,
    /// The stop of its bracket, dollars; also that of the lots that it opened and that are still held.
    pub stop_loss: Option<f64>,
}

/// A number of units as data. Quotients are floating-point divisions, rounded down. The *reference price* is the
/// order's limit if it has one, else its stop, else the close of the decision; of a trailing stop the close.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Size {
    /// This many units.
    Shares(u64),
    /// `floor(dollars / reference)`.
    Notional(f64),
    /// `floor(equity * fraction / reference)`, equity being marked at the closes of the decision.
    EquityFraction(f64),
    /// `min(floor(equity * fraction / gap), floor(cap / reference))`, equity being capital plus realised profit and
    /// `gap` the distance of the bracket's fixed stop from the reference price; nothing if that is on the wrong side.
    RiskFraction {
        /// Fraction of equity lost if the stop fills, e.g. 0.02.
        fraction: f64,
        /// Largest position in dollars.
        cap: f64,
    },
}

/// Exits that travel with an entry: every lot that it opens has its own.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bracket {
    /// Closes the whole lot when a bar reaches it.
    pub stop: Option<Stop>,
    /// Targets that close a part, tested in this order; each is touched at most once.
    pub targets: [Option<TakeProfit>; Bracket::TARGETS],
    /// Closes at the next open once this much time has passed since the entry fill, nanoseconds.
    pub time_stop: Option<Nanos>,
    /// Flat overnight: from this long before the session's close (nanoseconds) it closes at the next
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

/// A protective stop, by a lot's entry price with slippage. Of a short lot it lies above.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Stop {
    /// At this price, dollars.
    At(f64),
    /// So many dollars on the losing side of the entry.
    Offset(f64),
    /// So many per cent on the losing side of the entry.
    Percent(f64),
    /// So many times the entry.
    Times(f64),
    /// So many dollars behind the best price since the entry.
    Trail(f64),
    /// So many per cent behind the best price since the entry.
    TrailPercent(f64),
}

/// A resting limit order that closes a part of a lot, without slippage.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TakeProfit {
    /// Where it rests.
    pub level: Level,
    /// Per cent of the lot's units, above 0: `floor(units * percent / 100)`.
    pub percent: f64,
    /// Once it is touched, the stop moves here from the next bar on.
    pub then_stop: Option<NewStop>,
}

/// Where a target rests.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Level {
    /// At this price, dollars.
    At(f64),
    /// So many dollars on the winning side of the entry.
    Offset(f64),
    /// So many per cent on the winning side of the entry.
    Percent(f64),
    /// So many times the entry.
    Times(f64),
    /// At `fill + (level - fill) * fraction`, `fill` being the entry's price with slippage.
    Toward {
        /// Price aimed at.
        level: f64,
        /// How far, 1.0 being all the way.
        fraction: f64,
    },
}

impl Level {
    /// The resting price for a lot of this direction (1 long, -1 short) filled at `fill`.
    pub fn resolve(self, fill: f64, direction: f64) -> f64 {
        match self {
            Self::At(price) => price,
            Self::Offset(distance) => fill + direction * distance,
            Self::Percent(percent) => fill * (1.0 + direction * percent / 100.0),
            Self::Times(factor) => fill * factor,
            Self::Toward { level, fraction } => fill + (level - fill) * fraction,
        }
    }
}

/// Where a touched target moves the stop.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum NewStop {
    /// To this price, dollars.
    At(f64),
    /// So many dollars on the winning side of the entry; 0 is the entry price.
    Offset(f64),
    /// So many per cent on the winning side of the entry; 0 is the entry price.
    Percent(f64),
    /// So many times the entry.
    Times(f64),
}

impl NewStop {
    /// The price for a lot of this direction (1 long, -1 short) filled at `fill`.
    pub fn resolve(self, fill: f64, direction: f64) -> f64 {
        match self {
            Self::At(price) => price,
            Self::Offset(distance) => fill + direction * distance,
            Self::Percent(percent) => fill * (1.0 + direction * percent / 100.0),
            Self::Times(factor) => fill * factor,
        }
    }
}

/// Why a position was closed, or a part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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
    /// The symbol's last bar before it was delisted.
    Delisted,
    /// What a split left beyond whole shares, paid in cash.
    SplitCash,
    /// The strategy's own signal, by name.
    Signal(#[serde(with = "words")] Word),
}

impl Reason {
    /// Whether the sale was at a price inside a bar, not at its open or its end.
    pub(crate) const fn is_inside_a_bar(self) -> bool {
        matches!(self, Self::Stop | Self::Target(_))
    }

    /// Whether the account sold at a bar's end, unasked.
    pub(crate) const fn is_liquidation(self) -> bool {
        matches!(self, Self::SessionEnd | Self::EndOfData | Self::Delisted)
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
            Self::Delisted => f.write_str("delisted"),
            Self::SplitCash => f.write_str("split_cash"),
            Self::Signal(name) => f.write_str(name),
        }
    }
}
