//! Lines that turn with the trend: supertrend and Wilder's parabolic.

use super::fold::Fold;
use super::output::Supertrend;
use super::range::AtrWilder;
use crate::bar::Bar;
use crate::calendar::Session;

/// Bands around the middle of the bar that only narrow until a close crosses them.
pub(super) struct Bands {
    range: AtrWilder,
    width: f64,
    output: Supertrend,
    before: Option<Known>,
}

/// What the bar before has left.
#[derive(Clone, Copy)]
struct Known {
    upper: f64,
    lower: f64,
    close: f64,
    is_up: bool,
}

impl Bands {
    pub(super) fn new(period: u32, width: f64, output: Supertrend) -> Self {
        Self { range: AtrWilder::new(period), width, output, before: None }
    }

    fn step(&self, bar: &Bar, range: f64) -> Known {
        let middle = (bar.high + bar.low) / 2.0;
        let reach = self.width * range;
        let (mut upper, mut lower, close) = (middle + reach, middle - reach, bar.close);
        let Some(before) = self.before else { return Known { upper, lower, close, is_up: false } };
        if before.close <= before.upper {
            upper = upper.min(before.upper);
        }
        if before.close >= before.lower {
            lower = lower.max(before.lower);
        }
        let is_up = if before.is_up { close >= lower } else { close > upper };
        Known { upper, lower, close, is_up }
    }
}

impl Fold for Bands {
    fn next(&mut self, bar: &Bar, session: &Session) -> f64 {
        let range = self.range.next(bar, session);
        if range.is_nan() {
            return f64::NAN;
        }
        let now = self.step(bar, range);
        self.before = Some(now);
        match (self.output, now.is_up) {
            (Supertrend::Line, true) => now.lower,
            (Supertrend::Line, false) => now.upper,
            (Supertrend::Direction, true) => 1.0,
            (Supertrend::Direction, false) => -1.0,
        }
    }
}

/// A stop that follows the trend, faster with each new extreme, and turns where it is hit.
pub(super) struct Parabolic {
    step: f64,
    fastest: f64,
    before: Option<Reach>,
    trend: Option<Trend>,
}

/// High and low of a bar, in the trend's direction: those of a downtrend are turned upside down, which costs no bit.
#[derive(Clone, Copy)]
struct Reach {
    high: f64,
    low: f64,
}

impl Reach {
    fn facing(self, is_up: bool) -> Self {
        if is_up { self } else { Self { high: -self.low, low: -self.high } }
    }
}

#[derive(Clone, Copy)]
struct Trend {
    is_up: bool,
    stop: f64,
    extreme: f64,
    speed: f64,
}

impl Parabolic {
    pub(super) fn new(step: f64, fastest: f64) -> Self {
        Self { step: step.min(fastest), fastest, before: None, trend: None }
    }

    /// Up, unless the second bar reaches further down than up.
    fn first(&self, before: Reach, now: Reach) -> Trend {
        let (rise, fall) = (now.high - before.high, before.low - now.low);
        let is_up = fall <= 0.0 || fall <= rise;
        let (before, now) = (before.facing(is_up), now.facing(is_up));
        Trend { is_up, stop: before.low, extreme: now.high, speed: self.step }
    }

    /// The stop at this bar, and the trend after it.
    fn advance(&self, mut trend: Trend, before: Reach, now: Reach) -> (f64, Trend) {
        let was_up = trend.is_up;
        let (mut earlier, mut reach) = (before.facing(was_up), now.facing(was_up));
        let mut stop = trend.stop;
        if reach.low <= stop {
            stop = trend.extreme.max(earlier.high).max(reach.high);
            (earlier, reach) = (before.facing(!was_up), now.facing(!was_up));
            trend = Trend { is_up: !was_up, stop: -stop, extreme: reach.high, speed: self.step };
        } else if reach.high > trend.extreme {
            trend.extreme = reach.high;
            trend.speed = (trend.speed + self.step).min(self.fastest);
        }
        trend.stop = (trend.stop + trend.speed * (trend.extreme - trend.stop)).min(earlier.low).min(reach.low);
        (if was_up { stop } else { -stop }, trend)
    }
}

impl Fold for Parabolic {
    fn next(&mut self, bar: &Bar, _: &Session) -> f64 {
        let now = Reach { high: bar.high, low: bar.low };
        let Some(before) = self.before.replace(now) else { return f64::NAN };
        let (trend, earlier) = match self.trend {
            Some(trend) => (trend, before),
            // The first stop may lie inside the bar that it begins with.
            None => (self.first(before, now), now),
        };
        let (stop, trend) = self.advance(trend, earlier, now);
        self.trend = Some(trend);
        stop
    }
}
