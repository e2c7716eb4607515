//! A period's bars as columns without gaps, and where its sessions end.

use std::borrow::Cow;

use crate::bar::{Date, Nanos};
use crate::history::History;
use crate::replay::Terms;

/// The bars of one period. Indices count its bars from 0.
pub(super) struct Tape<'a> {
    /// Bars of the history before the period.
    pub(super) before: usize,
    pub(super) open: Cow<'a, [f64]>,
    pub(super) close: Cow<'a, [f64]>,
    pub(super) start: Cow<'a, [Nanos]>,
    /// End of the last bar.
    pub(super) end: Nanos,
    /// Sessions a year.
    pub(super) returns_per_year: f64,
    /// Sessions.
    pub(super) dates: Vec<Date>,
    /// The index after the last bar of each.
    pub(super) session_ends: Vec<usize>,
    /// What an order meets at each bar, if many are looked up.
    pub(super) orders: Option<Vec<OrderAt>>,
    pub(super) lowest_close: f64,
    pub(super) highest_close: f64,
}

/// What an order given at a bar's close meets.
#[derive(Clone, Copy)]
pub(super) struct OrderAt {
    /// That close, by which it is sized.
    pub(super) close: f64,
    /// The next open, at which it fills; the same close if there is none.
    pub(super) fill: f64,
    /// When it fills.
    pub(super) at: Nanos,
}

/// From so many points on it pays to write down what an order meets at each bar, so that it lies
/// in one place.
const MANY: usize = 16;

impl<'a> Tape<'a> {
    /// None if the period has no bars.
    pub(super) fn new(history: &History<'a>, terms: &Terms, points: usize) -> Option<Self> {
        let sessions = &history.sessions()[history.sessions_between(terms.start, terms.end)];
        let (first, last) = (sessions.first()?, sessions.last()?);
        let before = first.ordinal;
        let whole = history.session_bars_at(first.range.start..last.range.end);
        let len = last.ordinal + last.range.len() - before;
        let mut tape = Self {
            before,
            open: Cow::Borrowed(whole.open().to_slice()?),
            close: Cow::Borrowed(whole.close().to_slice()?),
            start: Cow::Borrowed(whole.starts()),
            end: whole.end_at(whole.len() - 1),
            returns_per_year: history.returns_per_year(),
            dates: sessions.iter().map(|s| s.session.date).collect(),
            session_ends: sessions.iter().map(|s| s.ordinal + s.range.len() - before).collect(),
            orders: None,
            lowest_close: f64::NAN,
            highest_close: f64::NAN,
        };
        // Bars between the sessions don't belong to the period.
        if whole.len() != len {
            let parts = || sessions.iter().map(|s| history.session_bars(s));
            tape.open = parts().flat_map(|bars| bars.open().to_vec()).collect();
            tape.close = parts().flat_map(|bars| bars.close().to_vec()).collect();
            tape.start = parts().flat_map(|bars| bars.starts()).copied().collect();
        }
        (tape.lowest_close, tape.highest_close) = range(&tape.close);
        if points >= MANY {
            tape.orders = Some((0..len).map(|bar| tape.order(bar)).collect());
        }
        Some(tape)
    }

    #[inline(always)]
    pub(super) fn order(&self, bar: usize) -> OrderAt {
        let close = self.close[bar];
        match self.open.get(bar + 1) {
            Some(&fill) => OrderAt { close, fill, at: self.start[bar + 1] },
            None => OrderAt { close, fill: close, at: self.end },
        }
    }

    pub(super) fn len(&self) -> usize {
        self.start.len()
    }
}

/// Lowest and highest value; NaN if any is NaN. Side by side, since here order doesn't matter.
fn range(values: &[f64]) -> (f64, f64) {
    const LANES: usize = 8;
    let (mut low, mut high, mut numbers) = ([f64::INFINITY; LANES], [f64::NEG_INFINITY; LANES], [true; LANES]);
    let (whole, rest) = values.as_chunks::<LANES>();
    let padded = std::array::from_fn(|i| rest.get(i).copied().unwrap_or(values[0]));
    for chunk in whole.iter().chain([&padded]) {
        for (i, &value) in chunk.iter().enumerate() {
            low[i] = if value < low[i] { value } else { low[i] };
            high[i] = if value > high[i] { value } else { high[i] };
            numbers[i] &= !value.is_nan();
        }
    }
    match numbers.iter().all(|n| *n) {
        true => (low.into_iter().fold(f64::INFINITY, f64::min), high.into_iter().fold(f64::NEG_INFINITY, f64::max)),
        false => (f64::NAN, f64::NAN),
    }
}
