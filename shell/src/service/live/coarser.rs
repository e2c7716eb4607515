//! Coarser bars from minutes as they come: the bars that an archive of that width has.

use std::collections::BTreeMap;

use magellan::bar::{Bar, Nanos, Symbol, Timeframe};

/// Bars of one width under construction.
pub(super) struct Coarser {
    timeframe: Timeframe,
    /// By start, alphabetically.
    bars: BTreeMap<Nanos, BTreeMap<Symbol, Bar>>,
}

impl Coarser {
    pub(super) fn new(timeframe: Timeframe) -> Self {
        Self { timeframe, bars: BTreeMap::new() }
    }

    /// Adds a minute.
    pub(super) fn add(&mut self, symbol: Symbol, minute: &Bar) {
        let start = self.timeframe.start_of(minute.start);
        let empty = Bar { start, end: start + self.timeframe.width(), ..*minute };
        let bars = self.bars.entry(start).or_default();
        match bars.get_mut(&symbol) {
            None => {
                bars.insert(symbol, empty);
            }
            Some(bar) => bar.join(minute),
        }
    }

    /// The oldest bars, if they end at `by` or before.
    pub(super) fn ended_by(&mut self, by: Nanos) -> Option<(Nanos, Vec<(Symbol, Bar)>)> {
        let first = self.bars.first_entry().filter(|first| first.key() + self.timeframe.width() <= by)?;
        let (start, bars) = first.remove_entry();
        Some((start, bars.into_iter().collect()))
    }
}

#[cfg(test)]
mod tests {
    use magellan::bar::{HOUR, MINUTE};

    use super::*;

    #[test]
    fn an_hour_is_what_its_minutes_make() {
        let gme: Symbol = "GME".parse().expect("a symbol");
        let mut hours = Coarser::new(Timeframe::Hour);
        for minute in 0..70 {
            let start = 10 * HOUR + minute * MINUTE;
            let price = 10.0 + f64::from(minute as i32 % 7);
            let bar = Bar {
                start,
                end: start + MINUTE,
                open: price,
                high: price + 0.5,
                low: price - 0.5,
                close: price + 0.1,
                volume: 2.0,
            };
            hours.add(gme, &bar);
        }
        assert!(hours.ended_by(11 * HOUR - 1).is_none());
        let (start, bars) = hours.ended_by(11 * HOUR).expect("an hour has ended");
        let bar = bars[0].1;
        assert_eq!((start, bar.start, bar.end), (10 * HOUR, 10 * HOUR, 11 * HOUR));
        // Minute 59 is the third of its seven.
        assert_eq!([bar.open, bar.high, bar.low, bar.close, bar.volume], [10.0, 16.5, 9.5, 13.1, 120.0]);
        assert!(hours.ended_by(12 * HOUR - 1).is_none());
    }
}
