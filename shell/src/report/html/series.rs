//! What pages draw of a replay: equity, months, prices, trades. Bounded, so that a page of a quarter of minutes stays
//! below 2 MB.

use std::collections::BTreeMap;
use std::ops::Range;

use magellan::account::Fill;
use magellan::bar::{DAY, Date, Nanos, SECOND, Symbol};
use magellan::calendar::Calendar;
use magellan::metrics::{session_returns, sharpe};
use magellan::research::backtest::Run;
use magellan::research::market::Closes;
use serde_json::{Value, json};

/// Closes that one page draws, about.
const MOST_CLOSES: usize = 60_000;
/// A symbol has room for so many closes, however many symbols there are.
const LEAST_CLOSES: usize = 120;
/// Bars beside an entry or an exit that are always drawn.
const BESIDE_TRADE: usize = 5;
/// Sales that one page lists.
const MOST_SALES: usize = 4_000;
/// Sessions of a rolling Sharpe ratio: the first that fits twice into the run.
const WINDOWS: [usize; 4] = [252, 126, 63, 21];

/// A replay under the name by which the page knows it.
pub(super) struct Drawn<'r> {
    pub(super) name: &'r str,
    pub(super) run: &'r Run,
    pub(super) closes: &'r Closes,
    /// What the deployed strategy returned, by session; empty, if that isn't known.
    pub(super) deployed: &'r [(Date, f64)],
}

/// Adds `series`, `bars`, `prices` and `trades` of all replays.
pub(super) fn add(island: &mut Value, drawn: &[Drawn<'_>]) {
    let series: usize = drawn.iter().map(|d| d.closes.len()).sum();
    let closes = (MOST_CLOSES / series.max(1)).max(LEAST_CLOSES);
    let sales = MOST_SALES / drawn.len().max(1);
    island["series"] = drawn.iter().map(equity).collect();
    let axes: Vec<Axis> = drawn.iter().map(Axis::of).collect();
    island["bars"] = drawn.iter().zip(&axes).map(|(d, axis)| axis.json(d.name)).collect();
    let prices = drawn.iter().zip(&axes).flat_map(|(d, axis)| prices(d, axis, closes));
    island["prices"] = prices.collect();
    island["trades"] = drawn.iter().map(|d| trades(d, sales)).collect();
}

/// Equity by session beside what it is compared with.
fn equity(drawn: &Drawn<'_>) -> Value {
    let (replay, benchmark) = (&drawn.run.replay, &drawn.run.benchmark);
    let days = replay.equity.iter().map(|e| i64::from(e.0.0));
    json!({
        "period": drawn.name,
        "days": steps(days),
        "capital": replay.capital,
        "equity": replay.equity.iter().map(|e| rounded(e.1, 2)).collect::<Vec<f64>>(),
        // Of one account's symbols, each bought for 1.
        "benchmark": benchmark.iter().map(|worth| rounded(worth / benchmark[0], 5)).collect::<Vec<f64>>(),
        "baseline": baseline(drawn),
        "held": drawn.run.held,
        "rolling": rolling(drawn.run),
        "months": months(drawn.run),
    })
}

/// What the deployed strategy would have made of the same capital.
fn baseline(drawn: &Drawn<'_>) -> Option<Vec<f64>> {
    if drawn.deployed.is_empty() {
        return None;
    }
    let mut worth = drawn.run.replay.capital;
    let mut deployed = drawn.deployed.iter().peekable();
    let after = |(date, _): &(Date, f64)| {
        while let Some((_, r)) = deployed.next_if(|d| d.0 <= *date) {
            worth *= 1.0 + r;
        }
        rounded(worth, 2)
    };
    Some(drawn.run.replay.equity.iter().map(after).collect())
}

/// Sharpe ratios of the last sessions before and with each; none before there are enough, and where it is undefined.
fn rolling(run: &Run) -> Option<Value> {
    let returns = session_returns(&run.replay);
    let window = WINDOWS.into_iter().find(|window| 2 * window <= returns.len())?;
    let per_year = run.replay.returns_per_year;
    // Of a ruined account there is none, nor of what a share of nothing returns.
    let solvent = run.replay.equity.iter().position(|e| e.1 <= 0.0).unwrap_or(returns.len());
    let of = |returns: &[f64], until: usize| -> Vec<Option<f64>> {
        let waiting = std::iter::repeat_n(None, window - 1);
        let ratios = returns.windows(window).map(|w| sharpe(w, per_year).value().map(|v| rounded(v, 3)));
        waiting.chain(ratios).enumerate().map(|(i, ratio)| ratio.filter(|_| i < until)).collect()
    };
    let held: Vec<f64> = std::iter::once(0.0).chain(run.benchmark.windows(2).map(|w| w[1] / w[0] - 1.0)).collect();
    let benchmark = (held.len() == returns.len()).then(|| of(&held, held.len()));
    Some(json!({"window": window, "strategy": of(&returns, solvent), "benchmark": benchmark}))
}

/// A year's months, its total, and the benchmark's.
fn months(run: &Run) -> Vec<Value> {
    let (mut before, mut held_before) = (run.replay.capital, run.benchmark.first().copied().unwrap_or(f64::NAN));
    let mut years = Vec::new();
    let dated: Vec<(jiff::civil::Date, f64)> = run.replay.equity.iter().map(|e| (e.0.civil(), e.1)).collect();
    let mut session = 0;
    for year in dated.chunk_by(|a, b| a.0.year() == b.0.year()) {
        let mut months = [None; 12];
        let opening = before;
        for month in year.chunk_by(|a, b| a.0.month() == b.0.month()) {
            let last = month[month.len() - 1].1;
            months[month[0].0.month() as usize - 1] = growth(before, last);
            before = last;
        }
        session += year.len();
        let held_last = run.benchmark.get(session - 1).copied().unwrap_or(f64::NAN);
        let held = growth(held_before, held_last);
        held_before = held_last;
        years.push(json!({"year": year[0].0.year(), "months": months, "total": growth(opening, before), "held": held}));
    }
    years
}

fn growth(from: f64, to: f64) -> Option<f64> {
    (from > 0.0).then(|| to / from - 1.0).filter(|rate| rate.is_finite()).map(|rate| rounded(rate, 6))
}

/// The time axis of a run's bars: its sessions one after the other, each as long as the longest.
struct Axis {
    /// Days of the sessions.
    days: Vec<Date>,
    calendar: Calendar,
    /// Seconds at which each session opens, and how long a session is; none of daily bars.
    hours: Option<(Vec<i64>, i64)>,
    /// Seconds of a step.
    unit: i64,
}

impl Axis {
    fn of(drawn: &Drawn<'_>) -> Self {
        let calendar = drawn.run.replay.calendar;
        let days: Vec<Date> = drawn.run.replay.equity.iter().map(|e| e.0).collect();
        let each = || drawn.closes.iter().flat_map(|(_, closes)| closes.iter().map(|c| c.0));
        if drawn.run.replay.daily || each().next().is_none() {
            return Self { days, calendar, hours: None, unit: DAY / SECOND };
        }
        let mut reach: BTreeMap<Date, (i64, i64)> = BTreeMap::new();
        for at in each() {
            let (first, last) = reach.entry(calendar.date(at)).or_insert((at, at));
            (*first, *last) = ((*first).min(at), (*last).max(at));
        }
        let step = drawn.closes.iter().flat_map(|(_, c)| c.windows(2)).map(|w| w[1].0 - w[0].0).min().unwrap_or(SECOND);
        let length = reach.values().map(|(first, last)| last - first).max().unwrap_or(0) + step;
        let whole = each().all(|at| at % (60 * SECOND) == 0);
        let unit = if whole { 60 } else { 1 };
        let mut before = 0;
        let opens = days.iter().map(|day| {
            // A session without bars of these symbols opens when the one before it did, days later.
            before = reach.get(day).map_or(before + DAY / SECOND, |(first, _)| first / SECOND);
            before
        });
        let opens = opens.collect();
        Self { days, calendar, hours: Some((opens, (length / SECOND + unit - 1) / unit * unit)), unit }
    }

    /// The place of a bar.
    fn place(&self, at: Nanos) -> Option<i64> {
        match &self.hours {
            None => self.days.binary_search(&Date::of_utc(at)).ok().map(|i| i as i64),
            Some((opens, length)) => {
                let session = self.days.binary_search(&self.calendar.date(at)).ok()?;
                Some(session as i64 * (length / self.unit) + (at / SECOND - opens[session]) / self.unit)
            }
        }
    }

    fn json(&self, name: &str) -> Value {
        match &self.hours {
            None => json!({"period": name}),
            Some((opens, length)) => {
                json!({"period": name, "unit": self.unit, "slot": length / self.unit, "opens": steps(opens.iter().copied())})
            }
        }
    }
}

/// Closes of each symbol, thinned to about `most`.
fn prices(drawn: &Drawn<'_>, axis: &Axis, most: usize) -> Vec<Value> {
    let one = |(symbol, closes): &(Symbol, Vec<(Nanos, f64)>)| {
        let thinned = Thinned::of(closes, &drawn.run.replay.fills, *symbol, most);
        let shown = thinned.kept.iter().filter_map(|&i| Some((axis.place(closes[i].0)?, closes[i].1)));
        let (at, close): (Vec<i64>, Vec<f64>) =
            shown.map(|(at, v)| (at, rounded(v, if v < 10.0 { 4 } else { 2 }))).unzip();
        json!({
            "period": drawn.name,
            "symbol": symbol,
            "bars": closes.len(),
            "stretch": thinned.stretch,
            "at": steps(at.into_iter()),
            "close": close,
        })
    };
    drawn.closes.iter().map(one).collect()
}

/// Which closes are drawn: of every stretch the lowest and the highest, and those beside trades.
struct Thinned {
    kept: Vec<usize>,
    stretch: usize,
}

impl Thinned {
    fn of(closes: &[(Nanos, f64)], fills: &[Fill], symbol: Symbol, most: usize) -> Self {
        if closes.len() <= most {
            return Self { kept: (0..closes.len()).collect(), stretch: 1 };
        }
        let mut kept = beside_trades(closes, fills, symbol);
        // Where trades are everywhere, nothing beside them is special.
        if kept.len() > most / 2 {
            kept.clear();
        }
        let stretch = (2 * closes.len()).div_ceil(most - kept.len());
        for from in (0..closes.len()).step_by(stretch) {
            let within = from..(from + stretch).min(closes.len());
            let by_close = |a: &usize, b: &usize| closes[*a].1.total_cmp(&closes[*b].1);
            kept.extend(within.clone().min_by(by_close));
            kept.extend(within.max_by(by_close));
        }
        kept.extend([0, closes.len() - 1]);
        kept.sort_unstable();
        kept.dedup();
        Self { kept, stretch }
    }
}

fn beside_trades(closes: &[(Nanos, f64)], fills: &[Fill], symbol: Symbol) -> Vec<usize> {
    let near = |at: Nanos| -> Range<usize> {
        let bar = closes.partition_point(|c| c.0 < at);
        bar.saturating_sub(BESIDE_TRADE)..(bar + BESIDE_TRADE).min(closes.len())
    };
    let own = fills.iter().filter(|f| f.symbol == symbol);
    let mut kept: Vec<usize> = own.flat_map(|f| near(f.entered).chain(near(f.exited))).collect();
    kept.sort_unstable();
    kept.dedup();
    kept
}

/// The sales in order; those with the largest profit or loss, if there are more than `most`.
fn trades(drawn: &Drawn<'_>, most: usize) -> Value {
    let fills = &drawn.run.replay.fills;
    let mut shown: Vec<usize> = (0..fills.len()).collect();
    if fills.len() > most {
        shown.sort_by(|&a, &b| fills[b].profit.abs().total_cmp(&fills[a].profit.abs()));
        shown.truncate(most);
        shown.sort_unstable();
    }
    let (mut symbols, mut reasons) = (Names::default(), Names::default());
    let row = |&i: &usize| {
        let f = &fills[i];
        json!([
            symbols.number(f.symbol.to_string()),
            f.entered / SECOND,
            rounded(f.entry_price, 4),
            f.exited / SECOND,
            rounded(f.exit_price, 4),
            f.shares,
            rounded(f.profit, 2),
            reasons.number(f.reason.to_string()),
            f.side.sign(),
        ])
    };
    let rows: Vec<Value> = shown.iter().map(row).collect();
    json!({"period": drawn.name, "sales": fills.len(), "symbols": symbols.0, "reasons": reasons.0, "rows": rows})
}

/// Names that rows refer to by number.
#[derive(Default)]
struct Names(Vec<String>);

impl Names {
    fn number(&mut self, name: String) -> usize {
        self.0.iter().position(|known| *known == name).unwrap_or_else(|| {
            self.0.push(name);
            self.0.len() - 1
        })
    }
}

/// The first value, then each as its difference from the one before: shorter in JSON.
fn steps(values: impl Iterator<Item = i64>) -> Vec<i64> {
    let mut before = 0;
    values.map(|value| value - std::mem::replace(&mut before, value)).collect()
}

/// To so many decimals, for drawing.
pub(super) fn rounded(value: f64, decimals: i32) -> f64 {
    let unit = 10f64.powi(decimals);
    let near = (value * unit).round() / unit;
    if near.is_finite() { near } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn thinned_closes_keep_the_extremes_the_order_and_the_bound(
            prices in prop::collection::vec(1.0..1e4f64, 1..3_000),
            most in 120usize..500,
        ) {
            let closes: Vec<(Nanos, f64)> = prices.iter().enumerate().map(|(i, &p)| (i as i64 * 60 * SECOND, p)).collect();
            let thinned = Thinned::of(&closes, &[], "SPY".parse().expect("a symbol"), most);
            prop_assert!(thinned.kept.len() <= most + 4);
            prop_assert!(thinned.kept.windows(2).all(|w| w[0] < w[1]));
            for stretch in (0..closes.len()).step_by(thinned.stretch) {
                let range = stretch..(stretch + thinned.stretch).min(closes.len());
                let extremes = |indices: &mut dyn Iterator<Item = usize>| {
                    indices.map(|i| closes[i].1).fold((f64::MAX, f64::MIN), |(low, high), v| (low.min(v), high.max(v)))
                };
                let all = extremes(&mut range.clone());
                let kept = extremes(&mut thinned.kept.iter().copied().filter(|i| range.contains(i)));
                prop_assert_eq!(all, kept);
            }
        }

        #[test]
        fn steps_add_up_to_what_they_are_made_from(values in prop::collection::vec(-1_000_000i64..1_000_000, 0..50)) {
            let mut sum = 0;
            let summed: Vec<i64> = steps(values.iter().copied()).into_iter().map(|step| { sum += step; sum }).collect();
            prop_assert_eq!(summed, values);
        }
    }
}
