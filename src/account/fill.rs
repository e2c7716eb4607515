//! At what price each kind of order fills: every price rule of the replay is a function here.
//!
//! Sweeps of declared rules repeat that of the market order (`sweep/carry.rs`), and a test holds them to it. Who takes
//! what the market offers pays slippage; who rests in the market pays none. A bar that opens beyond a level fills at
//! its open.

use crate::bar::Bar;
use crate::costs::Costs;
use crate::order::Side;

/// The price that an order meets, before costs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Met {
    /// Dollars.
    pub(super) reference: f64,
    /// How it fills there.
    pub(super) how: How,
}

/// How an order fills at a reference price.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum How {
    /// It takes what the market offers: with slippage, spread and impact.
    Taking,
    /// The same, but never worse than its limit.
    TakingWithin(f64),
    /// It rests there: at that price.
    Resting,
}

impl Met {
    pub(super) const fn taking(reference: f64) -> Self {
        Self { reference, how: How::Taking }
    }

    pub(super) const fn resting(reference: f64) -> Self {
        Self { reference, how: How::Resting }
    }

    /// The fill price: `reference * (1 + side * (k + impact)) + side * half_spread` for who takes.
    #[inline(always)]
    pub(super) fn price(self, side: Side, costs: &Costs, impact: f64) -> f64 {
        let taking = || costs.taking(side, self.reference, impact);
        match self.how {
            How::Resting => self.reference,
            How::Taking => taking(),
            How::TakingWithin(limit) => side.better(taking(), limit),
        }
    }
}

impl Side {
    /// Whether a price has reached a stop of this side.
    #[inline(always)]
    pub(super) fn reaches(self, price: f64, stop: f64) -> bool {
        match self {
            Self::Buy => price >= stop,
            Self::Sell => price <= stop,
        }
    }

    /// Whether a price meets a limit of this side; a strict limit needs a price beyond it.
    #[inline(always)]
    pub(super) fn meets(self, price: f64, limit: f64, strict: bool) -> bool {
        match (self, strict) {
            (Self::Buy, false) => price <= limit,
            (Self::Buy, true) => price < limit,
            (Self::Sell, false) => price >= limit,
            (Self::Sell, true) => price > limit,
        }
    }

    /// The worse price of two for who trades on this side.
    #[inline(always)]
    pub(super) fn worse(self, a: f64, b: f64) -> f64 {
        match self {
            Self::Buy => a.max(b),
            Self::Sell => a.min(b),
        }
    }

    /// The better price of two for who trades on this side.
    #[inline(always)]
    pub(super) fn better(self, a: f64, b: f64) -> f64 {
        self.opposite().worse(a, b)
    }

    /// The bar's extreme towards which stops of this side lie.
    #[inline(always)]
    pub(super) fn worst_of(self, bar: &Bar) -> f64 {
        match self {
            Self::Buy => bar.high,
            Self::Sell => bar.low,
        }
    }

    /// The bar's extreme towards which limits of this side lie.
    #[inline(always)]
    pub(super) fn best_of(self, bar: &Bar) -> f64 {
        self.opposite().worst_of(bar)
    }
}

/// What a stop-limit order does where its stop is reached.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Triggered {
    /// It fills.
    Fills(Met),
    /// It rests at its limit from now on: for the whole bar, if it was triggered at the open.
    Rests,
}

/// A stop that the bar opens beyond fills at the open.
#[inline(always)]
pub(super) fn stop_at_open(side: Side, stop: f64, open: f64) -> Option<Met> {
    side.reaches(open, stop).then_some(Met::taking(open))
}

/// A limit that the open meets fills at the open.
#[inline(always)]
pub(super) fn limit_at_open(side: Side, limit: f64, open: f64, strict: bool) -> Option<Met> {
    side.meets(open, limit, strict).then_some(Met::resting(open))
}

/// A stop-limit order that the bar opens beyond is triggered; it takes the open if that is within its limit.
pub(super) fn stop_limit_at_open(side: Side, stop: f64, limit: f64, open: f64) -> Option<Triggered> {
    side.reaches(open, stop).then(|| match side.meets(open, limit, false) {
        true => Triggered::Fills(Met { reference: open, how: How::TakingWithin(limit) }),
        false => Triggered::Rests,
    })
}

/// A stop inside the bar; `from` is where the market was when it began to work, the open as a rule.
#[inline(always)]
pub(super) fn stop_inside(side: Side, stop: f64, bar: &Bar, from: f64) -> Option<Met> {
    side.reaches(side.worst_of(bar), stop).then(|| Met::taking(side.worse(stop, from)))
}

/// A limit inside the bar.
#[inline(always)]
pub(super) fn limit_inside(side: Side, limit: f64, bar: &Bar, strict: bool) -> Option<Met> {
    side.meets(side.best_of(bar), limit, strict).then_some(Met::resting(limit))
}

/// A limit that was set after the bar's open: `from` is where the market was then, `reach` how far it came since. It
/// fills at the better of both.
#[inline(always)]
pub(super) fn limit_since(side: Side, limit: f64, from: f64, reach: f64, strict: bool) -> Option<Met> {
    side.meets(side.better(reach, from), limit, strict).then(|| Met::resting(side.better(limit, from)))
}

/// A stop-limit order inside the bar. Where the stop lies beyond the limit, the close says whether the price came back.
pub(super) fn stop_limit_inside(side: Side, stop: f64, limit: f64, bar: &Bar, strict: bool) -> Option<Triggered> {
    side.reaches(side.worst_of(bar), stop).then(|| {
        if side.meets(stop, limit, false) {
            Triggered::Fills(Met { reference: stop, how: How::TakingWithin(limit) })
        } else if side.meets(bar.close, limit, strict) {
            Triggered::Fills(Met::resting(limit))
        } else {
            Triggered::Rests
        }
    })
}
