//! What a replay leaves behind, and who may watch it.

use crate::account::{Fill, Totals};
use crate::bar::{Date, Nanos, Symbol};
use crate::calendar::Calendar;
use crate::order::Order;
use crate::risk::Block;
use crate::strategy::Now;

/// What a replay leaves behind.
#[derive(Clone, Debug)]
pub struct Replay {
    /// Starting capital, dollars.
    pub capital: f64,
    /// Equity after the last bar of each session, dollars; open positions count at their last close.
    pub equity: Vec<(Date, f64)>,
    /// All exits, by bar, part of the bar and symbol.
    pub fills: Vec<Fill>,
    /// Bars replayed, all symbols.
    pub bars: u64,
    /// Bars after whose close a position was held, all symbols.
    pub bars_held: u64,
    /// Dollars of all entries.
    pub bought: f64,
    /// Costs by kind, dollars traded, and how orders ended.
    pub totals: Totals,
    /// The lowest that cash has been, dollars.
    pub lowest_cash: f64,
    /// How often each limit refused an entry; zero counts are left out.
    pub blocks: Vec<(Block, u64)>,
    /// The session after which an emergency stop halted entries.
    pub halted_since: Option<Date>,
    /// How many values of `equity` a year has: 252 of XNYS, of weekly bars 52.
    pub returns_per_year: f64,
    /// The calendar of its sessions.
    pub calendar: Calendar,
    /// Whether all bars are whole days or weeks, which have no time of day.
    pub daily: bool,
}

impl Replay {
    /// Entry and exit fills of bars outside the regular session (`Hours::All` only). Fills of daily bars are inside
    /// by definition.
    pub fn fills_outside_session(&self) -> u64 {
        if self.daily {
            return 0;
        }
        let outside = |f: &Fill| {
            // A liquidation carries its bar's end, which may be the close itself.
            u64::from(!self.in_session(f.entered, false)) + u64::from(!self.in_session(f.exited, true))
        };
        self.fills.iter().map(outside).sum()
    }

    /// Whether an instant lies in a regular session, whose close counts or not.
    fn in_session(&self, at: Nanos, with_close: bool) -> bool {
        let session = |at| self.calendar.session(self.calendar.date(at));
        let (now, before) = (session(at), session(at - 1));
        (now.open <= at && at < now.close) || (with_close && before.trades() && at == before.close)
    }
}

/// Watches a replay as it runs. What it doesn't ask for costs nothing.
pub trait Recorder<I> {
    /// Whether [`Recorder::closed`] and [`Recorder::marked`] are called.
    const BARS: bool;

    /// Whether [`Recorder::valued`] is called.
    const MARKS: bool = false;

    /// A strategy gave an order at the close of the bar that starts at `_at`.
    fn decided(&mut self, _symbol: Symbol, _at: Nanos, _order: &Order) {}
    /// A symbol's bar is complete; `_held` says whether a position was open before any end-of-data sale.
    fn closed(&mut self, _symbol: Symbol, _now: &Now<I>, _held: bool) {}
    /// All bars with this start are complete; equity in dollars.
    fn marked(&mut self, _start: Nanos, _end: Nanos, _equity: f64) {}
    /// So many bar starts in a row left the account so: equity and the worth of what is held, dollars. Bars on which
    /// nothing is held come together.
    fn valued(&mut self, _bars: u64, _equity: f64, _held: f64) {}
}

/// Records nothing.
impl<I> Recorder<I> for () {
    const BARS: bool = false;
}

/// Two that watch one replay.
impl<I, A: Recorder<I>, B: Recorder<I>> Recorder<I> for (A, B) {
    const BARS: bool = A::BARS || B::BARS;
    const MARKS: bool = A::MARKS || B::MARKS;

    fn decided(&mut self, symbol: Symbol, at: Nanos, order: &Order) {
        self.0.decided(symbol, at, order);
        self.1.decided(symbol, at, order);
    }

    fn closed(&mut self, symbol: Symbol, now: &Now<I>, held: bool) {
        self.0.closed(symbol, now, held);
        self.1.closed(symbol, now, held);
    }

    fn marked(&mut self, start: Nanos, end: Nanos, equity: f64) {
        self.0.marked(start, end, equity);
        self.1.marked(start, end, equity);
    }

    fn valued(&mut self, bars: u64, equity: f64, held: f64) {
        self.0.valued(bars, equity, held);
        self.1.valued(bars, equity, held);
    }
}
