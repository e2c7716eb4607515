//! Orders that work: heard, and not yet at their end.

use super::commission::Commission;
use super::desk::Band;
use super::fill::{self, Met, Triggered};
use super::unit::Unit;
use crate::bar::{Bar, Date, Nanos};
use crate::order::{Bracket, Kind, Name, Reason, Side, TimeInForce, Trail};
use crate::strategy::WorkingOrder;

/// A working order.
#[derive(Clone, Debug)]
pub(super) struct Working {
    /// Its number among all orders of the account.
    pub(super) id: u32,
    pub(super) name: Option<Name>,
    pub(super) side: Side,
    pub(super) kind: WorkingKind,
    /// Of those kinds that have one; dollars.
    pub(super) limit: f64,
    /// Of those kinds that have one; dollars. That of a trailing stop moves.
    pub(super) stop: f64,
    pub(super) trail: Option<Trail>,
    /// Best price since the decision, of completed bars.
    extreme: f64,
    pub(super) amount: Amount,
    pub(super) reduce_only: bool,
    pub(super) tif: TimeInForce,
    /// Bars that it has worked in.
    bars: u32,
    /// Session of the first of them.
    first_session: Option<Date>,
    /// Session in which it was decided.
    decided: Date,
    /// Group of orders of the symbol of which the first fill cancels the others.
    pub(super) oco: Option<Name>,
    pub(super) bracket: Option<Box<Bracket>>,
    pub(super) reason: Reason,
    pub(super) paid: Commission,
    /// Units filled so far.
    pub(super) filled: i64,
    /// Dollars of its fills.
    pub(super) dollars: f64,
    /// Its stop was reached.
    pub(super) triggered: bool,
    /// Where it was triggered at the open, or met, in this bar: it isn't looked at again.
    pub(super) tried: bool,
    /// It counts among the entries that wait.
    pub(super) is_entry: bool,
    pub(super) ended: bool,
}

/// Order types under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WorkingKind {
    Market,
    MarketOnClose,
    Limit,
    Stop,
    StopLimit,
    TrailingStop,
}

/// How much an order trades.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Amount {
    /// So many units in all, and still.
    Units { total: i64, left: i64 },
    /// The difference to this position, signed.
    Target(i64),
    /// The whole position.
    Whole,
}

/// What an order trades if it fills now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wish {
    pub(super) side: Side,
    pub(super) units: i64,
}

/// The close at which orders are heard.
#[derive(Clone, Copy, Debug)]
pub struct Heard {
    /// Its price, dollars.
    pub close: f64,
    /// Its session.
    pub session: Date,
    /// Whether it is the symbol's last bar of the session.
    pub last_of_session: bool,
    /// Whether it is the symbol's last bar of all.
    pub last_of_data: bool,
}

/// A trade that was decided, before it works.
pub(super) struct Decided {
    pub(super) id: u32,
    pub(super) side: Side,
    pub(super) kind: Kind,
    pub(super) amount: Amount,
    pub(super) reason: Reason,
    pub(super) heard: Heard,
}

impl Working {
    pub(super) fn new(decided: Decided) -> Self {
        let Decided { id, side, kind, amount, reason, heard: Heard { close, session, .. } } = decided;
        let mut order = Self {
            id,
            name: None,
            side,
            kind: WorkingKind::Market,
            limit: f64::NAN,
            stop: f64::NAN,
            trail: None,
            extreme: close,
            amount,
            reduce_only: amount == Amount::Whole,
            tif: TimeInForce::Gtc,
            bars: 0,
            first_session: None,
            decided: session,
            oco: None,
            bracket: None,
            reason,
            paid: Commission::default(),
            filled: 0,
            dollars: 0.0,
            triggered: false,
            tried: false,
            is_entry: false,
            ended: false,
        };
        order.kind = match kind {
            Kind::Market => WorkingKind::Market,
            Kind::MarketOnClose => WorkingKind::MarketOnClose,
            Kind::Limit(limit) => {
                order.limit = limit;
                WorkingKind::Limit
            }
            Kind::Stop(stop) => {
                order.stop = stop;
                WorkingKind::Stop
            }
            Kind::StopLimit { stop, limit } => {
                (order.stop, order.limit) = (stop, limit);
                WorkingKind::StopLimit
            }
            Kind::TrailingStop(trail) => {
                order.restart_trail(trail, close);
                WorkingKind::TrailingStop
            }
        };
        order
    }

    /// The trail begins at this close.
    pub(super) fn restart_trail(&mut self, trail: Trail, close: f64) {
        (self.trail, self.extreme) = (Some(trail), close);
        self.stop = trail.behind(close, self.side);
    }

    /// A new time in force: its bars count anew.
    pub(super) fn restart_time(&mut self, tif: TimeInForce) {
        (self.tif, self.bars, self.first_session) = (tif, 0, None);
    }

    /// A bar begins. Whether the order has expired, since its position couldn't be flat overnight.
    pub(super) fn begin_bar(&mut self, start: Nanos, session: Date, session_close: Nanos) -> bool {
        self.bars += 1;
        self.first_session.get_or_insert(session);
        self.tried = false;
        let flat = self.bracket.as_ref().and_then(|bracket| bracket.flat_before_close);
        flat.is_some_and(|before| session != self.decided || start >= session_close - before)
    }

    /// Whether it was decided before this session.
    pub(super) fn was_decided_before(&self, session: Date) -> bool {
        self.decided < session
    }

    /// The close at which it was decided, dollars; of an order that follows the market the best price since.
    pub(super) fn decision_close(&self) -> f64 {
        self.extreme
    }

    /// So many bars have passed without a look.
    pub(super) fn pass(&mut self, bars: u32) {
        self.bars += bars;
    }

    /// Whether its time in force ends with this bar.
    pub(super) fn times_out(&self, session: Date, last_of_session: bool) -> bool {
        if self.kind == WorkingKind::MarketOnClose {
            return last_of_session;
        }
        match self.tif {
            TimeInForce::Gtc => false,
            TimeInForce::Day => last_of_session && self.first_session == Some(session),
            TimeInForce::Bars(bars) => self.bars >= bars,
        }
    }

    /// The trail follows a completed bar.
    pub(super) fn end_bar(&mut self, bar: &Bar) {
        let Some(trail) = self.trail.filter(|_| !self.triggered) else { return };
        let side = self.side;
        self.extreme = side.better(self.extreme, side.best_of(bar));
        self.stop = side.better(self.stop, trail.behind(self.extreme, side));
    }

    /// What it trades at this position, if anything.
    #[inline(always)]
    pub(super) fn wish(&self, position: i64) -> Option<Wish> {
        let (side, units) = match self.amount {
            Amount::Units { left, .. } if self.reduce_only => (self.side, left.min(-self.side.sign() * position)),
            Amount::Units { left, .. } => (self.side, left),
            Amount::Target(target) => towards(target - position),
            Amount::Whole => towards(-position),
        };
        (units > 0).then_some(Wish { side, units })
    }

    /// Whether all that remains of it only reduces this position.
    pub(super) fn only_reduces(&self, position: i64) -> bool {
        let wish = match (self.amount, self.reduce_only) {
            (Amount::Units { left, .. }, false) => Some(Wish { side: self.side, units: left }),
            _ => self.wish(position),
        };
        wish.is_some_and(|wish| wish.side.sign() * position < 0 && wish.units <= position.abs())
    }

    /// As its strategy sees it.
    pub(super) fn as_seen(&self) -> WorkingOrder {
        let (limit, stop) = (self.limit, self.stop);
        let kind = match self.kind {
            WorkingKind::Market => Kind::Market,
            WorkingKind::MarketOnClose => Kind::MarketOnClose,
            WorkingKind::Limit => Kind::Limit(limit),
            WorkingKind::Stop => Kind::Stop(stop),
            WorkingKind::StopLimit => Kind::StopLimit { stop, limit },
            WorkingKind::TrailingStop => Kind::TrailingStop(self.trail.unwrap_or(Trail::Price(f64::NAN))),
        };
        let left = match self.amount {
            Amount::Units { left, .. } => Some(left.unsigned_abs()),
            Amount::Target(_) | Amount::Whole => None,
        };
        let (name, side, filled) = (self.name, self.side, self.filled.unsigned_abs());
        WorkingOrder { name, side, kind, stop, left, filled, reduce_only: self.reduce_only }
    }

    /// The prices within which a bar changes nothing, narrowed to those that leave this order alone. One that has seen no
    /// bar, that must be flat overnight, or whose stop moves sees every bar.
    pub(super) fn narrow(&self, mut band: Band) -> Band {
        let flat = self.bracket.as_ref().is_some_and(|bracket| bracket.flat_before_close.is_some());
        if flat || self.first_session.is_none() {
            return Band::NARROW;
        }
        match self.tif {
            TimeInForce::Gtc => {}
            TimeInForce::Day => band.end_today(),
            // It ends with the last of them, which is looked at.
            TimeInForce::Bars(bars) => band.count(bars.saturating_sub(self.bars + 1)),
        }
        match self.kind {
            WorkingKind::Limit => band.narrow(self.side.opposite(), self.limit),
            WorkingKind::Stop | WorkingKind::StopLimit if !self.triggered => band.narrow(self.side, self.stop),
            _ => return Band::NARROW,
        }
        band
    }

    /// Whether it is a limit order, or has become one.
    pub(super) fn is_limit(&self) -> bool {
        self.kind == WorkingKind::Limit || (self.kind == WorkingKind::StopLimit && self.triggered)
    }

    /// Whether a stop makes it trade: of a kind that waits for one, not triggered yet.
    pub(super) fn waits_for_stop(&self) -> bool {
        let has_stop = matches!(self.kind, WorkingKind::Stop | WorkingKind::StopLimit | WorkingKind::TrailingStop);
        has_stop && !self.triggered
    }

    /// What it meets at the open.
    pub(super) fn at_open(&self, open: f64, strict: bool) -> Option<Triggered> {
        let side = self.side;
        match self.kind {
            WorkingKind::Market => Some(Triggered::Fills(Met::taking(open))),
            WorkingKind::MarketOnClose => None,
            WorkingKind::Stop | WorkingKind::TrailingStop if self.triggered => {
                Some(Triggered::Fills(Met::taking(open)))
            }
            WorkingKind::Stop | WorkingKind::TrailingStop => {
                fill::stop_at_open(side, self.stop, open).map(Triggered::Fills)
            }
            WorkingKind::StopLimit if !self.triggered => fill::stop_limit_at_open(side, self.stop, self.limit, open),
            WorkingKind::Limit | WorkingKind::StopLimit => {
                fill::limit_at_open(side, self.limit, open, strict).map(Triggered::Fills)
            }
        }
    }

    /// Whether nothing is left of it at this position.
    pub(super) fn is_complete(&self, position: i64) -> bool {
        match self.amount {
            Amount::Units { left, .. } => left == 0,
            Amount::Target(target) => target == position,
            Amount::Whole => position == 0,
        }
    }

    /// Units of it are filled, for so many dollars, at a position before that fill. The side on which they were traded.
    pub(super) fn fill(&mut self, position: i64, units: i64, dollars: f64) -> Side {
        self.filled += units;
        self.dollars += dollars;
        match &mut self.amount {
            Amount::Units { left, .. } => {
                *left -= units;
                self.side
            }
            Amount::Target(target) => towards(*target - position).0,
            Amount::Whole => towards(-position).0,
        }
    }

    /// Splits the shares: units and prices. Whether nothing is left of it.
    pub(super) fn split(&mut self, unit: Unit, ratio: f64) -> bool {
        (self.limit, self.stop, self.extreme) = (self.limit / ratio, self.stop / ratio, self.extreme / ratio);
        if let Some(Trail::Price(distance)) = &mut self.trail {
            *distance /= ratio;
        }
        if let Some(bracket) = &mut self.bracket {
            bracket.split(ratio);
        }
        let of = |units: i64| unit.split(units, ratio).0;
        self.filled = of(self.filled);
        match &mut self.amount {
            Amount::Units { total, left } => {
                (*total, *left) = (of(*total), of(*left));
                *left == 0
            }
            Amount::Target(target) => {
                *target = of(*target);
                false
            }
            Amount::Whole => false,
        }
    }
}

fn towards(difference: i64) -> (Side, i64) {
    match difference < 0 {
        true => (Side::Sell, -difference),
        false => (Side::Buy, difference),
    }
}

impl Trail {
    /// The stop of an order of this side, `best` being the best price since its decision.
    fn behind(self, best: f64, side: Side) -> f64 {
        let sign = side.sign() as f64;
        match self {
            Self::Price(distance) => best + sign * distance,
            Self::Percent(percent) => best * (1.0 + sign * percent / 100.0),
        }
    }
}

impl Bracket {
    /// Prices and distances of the new share; per cent stay.
    fn split(&mut self, ratio: f64) {
        use crate::order::{Level, NewStop, Stop};
        if let Some(Stop::At(price) | Stop::Offset(price) | Stop::Trail(price)) = &mut self.stop {
            *price /= ratio;
        }
        for target in self.targets.iter_mut().flatten() {
            if let Level::At(price) | Level::Offset(price) | Level::Toward { level: price, .. } = &mut target.level {
                *price /= ratio;
            }
            if let Some(NewStop::At(price) | NewStop::Offset(price)) = &mut target.then_stop {
                *price /= ratio;
            }
        }
    }
}
