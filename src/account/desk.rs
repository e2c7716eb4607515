//! The lots of one symbol and their brackets: what is held, and what shall protect it.
//!
//! Pure: bars, executions and time go in; what to close comes out. It knows no cash, no costs and no market, so that a
//! broker's executions can be booked by the same rules as those of a replay.

use super::commission::Commission;
use super::record::{Part, Place};
use super::unit::Unit;
use crate::bar::{Bar, Bars, Nanos};
use crate::order::{Bracket, Name, Reason, Side, Stop};

/// Lots of one direction, oldest first.
#[derive(Clone, Debug, Default)]
pub(super) struct Desk {
    lots: Vec<Lot>,
    /// Signed, units; short below zero.
    position: i64,
}

/// What an opening execution bought or sold short.
#[derive(Clone, Debug)]
pub(super) struct Lot {
    /// Number of the trade, from 1.
    pub(super) trade: u32,
    /// The order that opened it.
    pub(super) order: u32,
    /// Its name.
    pub(super) name: Option<Name>,
    /// `Buy` for a long lot.
    pub(super) side: Side,
    /// Units at its beginning, on today's share basis.
    pub(super) units: i64,
    /// Units still held.
    pub(super) left: i64,
    /// Entry price, dollars.
    pub(super) price: f64,
    /// Fee of the entry, dollars a share.
    pub(super) fee: f64,
    /// Start of the entry's bar; its end for an entry at the close.
    pub(super) entered: Nanos,
    /// Of what was closed so far, dollars.
    pub(super) profit: f64,
    pub(super) began: Began,
    /// It waits to be closed at the next open, for this reason.
    pub(super) leaving: Option<Reason>,
    /// Fees of the exit that closes all that is left.
    pub(super) leaving_paid: Commission,
    pub(super) exits: Option<Box<Exits>>,
}

/// Where in a bar a lot began.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Began {
    /// Start of that bar.
    pub(super) bar: Nanos,
    pub(super) moment: Moment,
}

/// A moment of a bar.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Moment {
    Open,
    /// Where a stop was met: what followed may have reached every price of the bar.
    Inside {
        from: f64,
    },
    /// Where a limit was met: only the close is known to have come after it.
    AtLimit {
        from: f64,
    },
    Close,
}

/// A lot's bracket, worked out from its entry price.
#[derive(Clone, Debug)]
pub(super) struct Exits {
    pub(super) stop: Option<f64>,
    /// Replaces the stop from the next bar on.
    next_stop: Option<f64>,
    trail: Option<Stop>,
    /// Best price since the entry, of completed bars.
    best: f64,
    pub(super) targets: [Option<Leg>; Bracket::TARGETS],
    time_stop: Option<Nanos>,
    flat_before_close: Option<Nanos>,
}

/// A target of a lot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leg {
    pub(super) level: f64,
    percent: f64,
    /// Units it still has to close.
    pub(super) left: i64,
    pub(super) touched: bool,
    /// Start of the bar in which it was met last: it is met once a bar.
    pub(super) met_in: Nanos,
    then_stop: Option<f64>,
    pub(super) paid: Commission,
}

/// What the desk wants done at a bar's close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Nothing now; what leaves at the next open is marked.
    Nothing,
    /// The lots that must be flat overnight are to be closed now.
    Liquidation,
}

impl Desk {
    #[inline(always)]
    pub(super) fn position(&self) -> i64 {
        self.position
    }

    #[inline(always)]
    pub(super) fn lots(&self) -> &[Lot] {
        &self.lots
    }

    pub(super) fn lot_mut(&mut self, lot: usize) -> &mut Lot {
        &mut self.lots[lot]
    }

    /// Whether a lot waits to be closed at the next open.
    pub(super) fn is_leaving(&self) -> bool {
        self.lots.iter().any(|lot| lot.leaving.is_some())
    }

    /// The side of orders that close the position.
    pub(super) fn closing_side(&self) -> Option<Side> {
        match self.position {
            0 => None,
            held if held > 0 => Some(Side::Sell),
            _ => Some(Side::Buy),
        }
    }

    /// Books an opening execution.
    pub(super) fn open(&mut self, lot: Lot) {
        self.position += lot.side.sign() * lot.left;
        self.lots.push(lot);
    }

    /// Books a closing execution of a lot; the lot if it ended.
    pub(super) fn close(&mut self, lot: usize, units: i64) -> Option<Lot> {
        let of = &mut self.lots[lot];
        of.left -= units;
        self.position -= of.side.sign() * units;
        (of.left == 0).then(|| self.lots.remove(lot))
    }

    /// Splits the shares of a lot; what exceeds whole units, as shares.
    pub(super) fn split(&mut self, lot: usize, unit: Unit, ratio: f64) -> f64 {
        let of = &mut self.lots[lot];
        let before = of.left;
        let fraction = of.split(unit, ratio);
        self.position += of.side.sign() * (of.left - before);
        fraction
    }

    /// Forgets a lot of which nothing is left.
    pub(super) fn remove(&mut self, lot: usize) -> Lot {
        self.lots.remove(lot)
    }

    /// Where the lots that began inside this bar began, the worst for who closes them; and whether only the close is
    /// known to have come after one of them.
    pub(super) fn began_inside(&self, bar: &Bar) -> Option<(f64, bool)> {
        let since = self.lots.iter().filter(|lot| lot.began.bar == bar.start);
        since.fold(None, |worst, lot| {
            let (from, at_limit) = match lot.began.moment {
                Moment::Inside { from } => (from, false),
                Moment::AtLimit { from } => (from, true),
                Moment::Open | Moment::Close => return worst,
            };
            let closing = lot.side.opposite();
            Some(worst.map_or((from, at_limit), |(other, limits)| (closing.worse(from, other), limits || at_limit)))
        })
    }

    /// Time at a bar's close: marks the lots whose time is up, or asks for a liquidation.
    pub(super) fn time(&mut self, end: Nanos, session_close: Nanos, last_of_session: bool) -> Due {
        let mut due = Due::Nothing;
        for lot in &mut self.lots {
            let Some(exits) = &lot.exits else { continue };
            let (time_stop, flat) = (exits.time_stop, exits.flat_before_close);
            if last_of_session && flat.is_some() {
                due = Due::Liquidation;
            } else if lot.leaving.is_some() {
            } else if time_stop.is_some_and(|limit| end - lot.entered >= limit) {
                lot.leave(Reason::Time);
            } else if flat.is_some_and(|before| end >= session_close - before) {
                lot.leave(Reason::EndOfDay);
            }
        }
        due
    }

    /// The end of a completed bar: stops follow the market, and those that a target moved take effect.
    pub(super) fn end_bar(&mut self, bar: &Bar) {
        for lot in &mut self.lots {
            let began = (lot.began.bar == bar.start).then_some(lot.began.moment);
            let best = match began {
                Some(Moment::Close) => continue,
                Some(Moment::AtLimit { .. }) => bar.close,
                _ => lot.side.worst_of(bar),
            };
            let side = lot.side;
            let Some(exits) = &mut lot.exits else { continue };
            exits.follow(side, best);
        }
    }

    /// Whether a bar can pass without a look at the desk, as far as lots are concerned: their stops and targets lie
    /// outside these prices, and nothing is due before that time.
    pub(super) fn quiet_band(&self, session_close: Nanos) -> Band {
        let mut band = Band::WIDE;
        for lot in &self.lots {
            if lot.leaving.is_some() {
                return Band::NARROW;
            }
            let Some(exits) = &lot.exits else { continue };
            if exits.trail.is_some() || exits.next_stop.is_some() {
                return Band::NARROW;
            }
            let targets = exits.targets.iter().flatten().filter(|leg| !leg.touched || leg.left > 0);
            let (closing, side) = (lot.side.opposite(), lot.side);
            exits.stop.iter().for_each(|&stop| band.narrow(closing, stop));
            targets.for_each(|leg| band.narrow(side, leg.level));
            if let Some(limit) = exits.time_stop {
                band.until = band.until.min(lot.entered + limit);
            }
            if let Some(before) = exits.flat_before_close {
                band.until = band.until.min(session_close - before);
                band.overnight = false;
            }
        }
        band
    }
}

/// The prices between which, and the time until which, a bar changes nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Band {
    below: f64,
    above: f64,
    until: Nanos,
    overnight: bool,
    /// How many bars may pass, for who counts them.
    bars: u32,
}

impl Band {
    /// Nothing can happen.
    pub(super) const WIDE: Self =
        Self { below: f64::NEG_INFINITY, above: f64::INFINITY, until: Nanos::MAX, overnight: true, bars: u32::MAX };
    /// Every bar must be looked at.
    pub(super) const NARROW: Self =
        Self { below: f64::INFINITY, above: f64::NEG_INFINITY, until: Nanos::MIN, overnight: false, bars: 0 };

    /// Only bars of this session pass.
    pub(super) fn end_today(&mut self) {
        self.overnight = false;
    }

    /// At most so many bars pass.
    pub(super) fn count(&mut self, bars: u32) {
        self.bars = self.bars.min(bars);
    }

    /// Whether somebody counts the bars that pass.
    #[inline(always)]
    pub(super) fn counts(&self) -> bool {
        self.bars != u32::MAX
    }

    /// So many bars have passed, and somebody counts them.
    pub(super) fn pass(&mut self, bars: u32) {
        self.bars -= bars;
    }

    pub(super) fn narrow(&mut self, towards: Side, level: f64) {
        match towards {
            Side::Sell => self.below = self.below.max(level),
            Side::Buy => self.above = self.above.min(level),
        }
    }

    /// Whether a bar with these extremes and this end lies inside.
    #[inline(always)]
    pub(super) fn holds(&self, low: f64, high: f64, end: Nanos, last_of_session: bool) -> bool {
        low > self.below
            && high < self.above
            && end < self.until
            && (self.overnight || !last_of_session)
            && self.bars > 0
    }

    /// The first bar from `from` on that doesn't lie inside, of the bars of a session; their number if all do.
    pub(super) fn first_outside(&self, bars: &Bars<'_>, from: usize) -> usize {
        let in_time = from + bars.starts()[from..].partition_point(|start| start + bars.width() < self.until);
        let counted = from.saturating_add(self.bars as usize);
        let today = if self.overnight { bars.len() } else { bars.len().saturating_sub(1) };
        let to = in_time.min(counted).min(today).max(from);
        let outside = |low: f64, high: f64| !(low > self.below && high < self.above);
        let mut i = from;
        // Many at once, without a branch for each.
        while i + MANY <= to && !(i..i + MANY).fold(false, |any, i| any | outside(bars.low_at(i), bars.high_at(i))) {
            i += MANY;
        }
        while i < to && !outside(bars.low_at(i), bars.high_at(i)) {
            i += 1;
        }
        i
    }
}

/// Bars that are looked at together.
const MANY: usize = 16;

impl Lot {
    /// Where the market was when the lot could first be closed in this bar: the open, unless it began inside.
    pub(super) fn from(&self, bar: &Bar) -> f64 {
        match self.began.moment {
            Moment::Inside { from } | Moment::AtLimit { from } if self.began.bar == bar.start => from,
            _ => bar.open,
        }
    }

    /// How far the market came for sure in favour of the lot.
    pub(super) fn reach(&self, bar: &Bar) -> f64 {
        match self.began.moment {
            Moment::AtLimit { .. } if self.began.bar == bar.start => bar.close,
            _ => self.side.worst_of(bar),
        }
    }

    /// Whether the bar's prices came after the lot began.
    pub(super) fn lives_in(&self, bar: &Bar) -> bool {
        self.began.moment != Moment::Close || self.began.bar != bar.start
    }

    /// Waits to be closed at the next open: stop and targets are void.
    pub(super) fn leave(&mut self, reason: Reason) {
        self.leaving = Some(reason);
        self.leaving_paid = Commission::default();
        if let Some(exits) = &mut self.exits {
            (exits.stop, exits.next_stop, exits.trail) = (None, None, None);
            exits.targets = [None; Bracket::TARGETS];
        }
    }

    /// Whether it must be flat overnight.
    pub(super) fn is_flat_overnight(&self) -> bool {
        self.exits.as_ref().is_some_and(|exits| exits.flat_before_close.is_some())
    }

    /// Moves the stop to a price from now on; it doesn't follow the market any more.
    pub(super) fn move_stop(&mut self, stop: f64) {
        if let Some(exits) = self.exits.as_mut().filter(|_| self.leaving.is_none()) {
            (exits.stop, exits.next_stop, exits.trail) = (Some(stop), None, None);
        }
    }

    /// A target is touched in the bar with this start: the stop that it sets holds from the next bar on. The units it
    /// still has to close.
    pub(super) fn touch(&mut self, target: usize, bar: Nanos) -> i64 {
        let left = self.left;
        let Some(exits) = &mut self.exits else { return 0 };
        let Some(leg) = &mut exits.targets[target] else { return 0 };
        if !leg.touched {
            leg.touched = true;
            exits.next_stop = leg.then_stop.or(exits.next_stop);
        }
        leg.met_in = bar;
        leg.left.min(left)
    }

    /// Units of target number `n`, from 1, are closed.
    pub(super) fn leg_closed(&mut self, n: u8, units: i64) {
        let exits = self.exits.as_mut();
        if let Some(leg) = exits.and_then(|exits| exits.targets[usize::from(n) - 1].as_mut()) {
            leg.left -= units;
        }
    }

    /// What target number `n`, from 1, has paid in fees.
    pub(super) fn leg_paid(&mut self, n: u8) -> Option<&mut Commission> {
        let exits = self.exits.as_mut()?;
        exits.targets[usize::from(n) - 1].as_mut().map(|leg| &mut leg.paid)
    }

    /// Where its entry belongs in the order of trades.
    pub(super) fn place(&self) -> Place {
        let part = if self.began.moment == Moment::Close { Part::Close } else { Part::Bar };
        Place { bar: self.began.bar, part }
    }

    /// Splits the shares: units and prices. What exceeds whole units, as shares.
    fn split(&mut self, unit: Unit, ratio: f64) -> f64 {
        let (left, fraction) = unit.split(self.left, ratio);
        (self.units, _) = unit.split(self.units, ratio);
        self.left = left;
        self.price /= ratio;
        self.fee /= ratio;
        if let Some(exits) = &mut self.exits {
            exits.split(unit, self.units, ratio);
        }
        fraction
    }
}

impl Exits {
    /// The exits of a lot of these units, filled at `fill`; nothing for an empty bracket.
    pub(super) fn of(bracket: &Bracket, side: Side, units: i64, fill: f64, unit: Unit) -> Option<Box<Self>> {
        if *bracket == Bracket::NONE {
            return None;
        }
        let direction = side.sign() as f64;
        let trail = bracket.stop.filter(|stop| matches!(stop, Stop::Trail(_) | Stop::TrailPercent(_)));
        let leg = |target: crate::order::TakeProfit| Leg {
            level: target.level.resolve(fill, direction),
            percent: target.percent,
            left: leg_units(units, target.percent, unit),
            touched: false,
            met_in: Nanos::MIN,
            then_stop: target.then_stop.map(|then| then.resolve(fill, direction)),
            paid: Commission::default(),
        };
        Some(Box::new(Self {
            stop: bracket.stop.map(|stop| stop.price(fill, direction)),
            next_stop: None,
            trail,
            best: fill,
            targets: bracket.targets.map(|target| target.map(leg)),
            time_stop: bracket.time_stop,
            flat_before_close: bracket.flat_before_close,
        }))
    }

    fn follow(&mut self, side: Side, best: f64) {
        if let Some(trail) = self.trail {
            self.best = side.worse(self.best, best);
            let behind = trail.price(self.best, side.sign() as f64);
            self.stop = self.stop.map(|stop| side.worse(stop, behind));
        }
        if let Some(stop) = self.next_stop.take() {
            self.stop = Some(stop);
        }
    }

    fn split(&mut self, unit: Unit, units: i64, ratio: f64) {
        for price in [&mut self.stop, &mut self.next_stop].into_iter().flatten() {
            *price /= ratio;
        }
        self.best /= ratio;
        if let Some(Stop::Trail(distance)) = &mut self.trail {
            *distance /= ratio;
        }
        for leg in self.targets.iter_mut().flatten() {
            leg.level /= ratio;
            leg.then_stop = leg.then_stop.map(|stop| stop / ratio);
            leg.left = match leg.touched {
                true => unit.split(leg.left, ratio).0,
                false => leg_units(units, leg.percent, unit),
            };
        }
    }
}

impl Stop {
    /// The price for a lot of this direction (1 long, -1 short), `from` being its entry price or its best since.
    pub(super) fn price(self, from: f64, direction: f64) -> f64 {
        match self {
            Self::At(price) => price,
            Self::Offset(distance) | Self::Trail(distance) => from - direction * distance,
            Self::Percent(percent) | Self::TrailPercent(percent) => from * (1.0 - direction * percent / 100.0),
            Self::Times(factor) => from * factor,
        }
    }
}

/// Units of a target's leg.
fn leg_units(units: i64, percent: f64, unit: Unit) -> i64 {
    unit.floor(unit.shares(units) * percent / 100.0)
}
