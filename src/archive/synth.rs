//! A made-up archive, so that a newcomer's first command has something to judge.
//!
//! Every price is a random walk with an edge planted for the strategy that reads it: trends
//! that last on daily and hourly bars, crashes that are reclaimed on minute bars. Only
//! additions, multiplications, divisions and square roots are used, so that one seed gives
//! the same bytes on every machine.

use std::path::Path;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::import::write_new;
use super::manifest::{DayBasis, SYNTHETIC};
use super::row::{Label, Row};
use crate::bar::{Date, HOUR, MINUTE, Nanos, Symbol, Timeframe};
use crate::calendar::{self, Session};
use crate::error::Result;

/// A series to make up: every session from `first` to `last`.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// The symbol.
    pub symbol: Symbol,
    /// Bar width. Minutes are written for bars of several, days for weeks: those are built when they are loaded.
    pub timeframe: Timeframe,
    /// First session.
    pub first: Date,
    /// Last session.
    pub last: Date,
}

/// Writes the series into a new archive, marked synthetic; the number of bars.
///
/// # Errors
/// Refused if there is an archive already.
pub fn write(archive: &Path, seed: u64, wanted: &[Wanted]) -> Result<u64> {
    let series: Vec<(Label, Vec<Row>)> = written(wanted).iter().map(|w| (label(w), rows(seed, w))).collect();
    let count = series.iter().map(|(_, rows)| rows.len() as u64).sum();
    write_new(archive, &series)?;
    Ok(count)
}

/// The series that are written, each once.
fn written(wanted: &[Wanted]) -> Vec<Wanted> {
    let mut all: Vec<Wanted> = Vec::new();
    for series in wanted {
        let timeframe = match series.timeframe {
            Timeframe::Week => Timeframe::Day,
            Timeframe::Day | Timeframe::Hour => series.timeframe,
            _ => Timeframe::Minute,
        };
        match all.iter_mut().find(|w| (w.symbol, w.timeframe) == (series.symbol, timeframe)) {
            Some(known) => (known.first, known.last) = (known.first.min(series.first), known.last.max(series.last)),
            None => all.push(Wanted { timeframe, ..*series }),
        }
    }
    all
}

/// What tells a series' random numbers from those of another width.
fn stream(timeframe: Timeframe) -> u8 {
    match timeframe {
        Timeframe::Hour => 1,
        Timeframe::Day => 2,
        _ => 0,
    }
}

fn label(wanted: &Wanted) -> Label {
    Label {
        symbol: wanted.symbol,
        timeframe: wanted.timeframe,
        provenance: SYNTHETIC.to_owned(),
        day_basis: (wanted.timeframe == Timeframe::Day).then_some(DayBasis::Session),
    }
}

fn rows(seed: u64, wanted: &Wanted) -> Vec<Row> {
    let mut walk = Walk::new(seed, wanted);
    for session in calendar::sessions(wanted.first, wanted.last) {
        match wanted.timeframe {
            Timeframe::Day => walk.trend(session.date.utc_midnight(), &DAILY),
            Timeframe::Hour => {
                // Whole hours inside the session: 10:00 New York and later.
                let first = session.open + 30 * MINUTE;
                for i in 0..(session.close - first) / HOUR {
                    walk.trend(first + i * HOUR, &HOURLY);
                }
            }
            // Coarser bars are built from these.
            _ => walk.minutes(&session),
        }
    }
    walk.rows
}

/// How trends behave on one timeframe.
struct Trend {
    /// Drift of a rising regime per bar.
    rise: f64,
    /// Drift of a falling regime per bar, negative.
    fall: f64,
    /// Standard deviation of a bar's return.
    noise: f64,
    /// Shortest and longest regime in bars.
    bars: (f64, f64),
    /// Usual volume of a bar.
    volume: f64,
}

const DAILY: Trend = Trend { rise: 0.0022, fall: -0.0019, noise: 0.011, bars: (50.0, 140.0), volume: 4e7 };
const HOURLY: Trend = Trend { rise: 0.0013, fall: -0.0012, noise: 0.0055, bars: (40.0, 130.0), volume: 6e6 };

/// A random walk that writes bars.
struct Walk {
    random: ChaCha8Rng,
    price: f64,
    rising: bool,
    bars_left: f64,
    rows: Vec<Row>,
}

impl Walk {
    fn new(seed: u64, wanted: &Wanted) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        // One stream a series, so that adding a symbol changes no other.
        let name = wanted.symbol.as_str().bytes().chain([stream(wanted.timeframe)]);
        random.set_stream(name.fold(0, |hash: u64, byte| hash.wrapping_mul(257).wrapping_add(u64::from(byte))));
        let mut walk = Self { random, price: 0.0, rising: true, bars_left: 0.0, rows: Vec::new() };
        walk.price = match wanted.timeframe {
            Timeframe::Minute => 4.0 + 26.0 * walk.uniform(),
            _ => 60.0 + 200.0 * walk.uniform(),
        };
        walk
    }

    /// Between 0 and 1.
    fn uniform(&mut self) -> f64 {
        (self.random.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Nearly normal, mean 0, deviation 1: the sum of twelve uniform numbers, less 6.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.uniform()).fold(-6.0, |sum, u| sum + u)
    }

    /// One bar of a walk whose drift keeps its sign for a while.
    fn trend(&mut self, start: Nanos, trend: &Trend) {
        if self.bars_left <= 0.0 {
            self.rising = !self.rising;
            self.bars_left = trend.bars.0 + (trend.bars.1 - trend.bars.0) * self.uniform();
        }
        self.bars_left -= 1.0;
        let drift = if self.rising { trend.rise } else { trend.fall };
        let open = self.price * (1.0 + 0.2 * trend.noise * self.normal());
        let close = open * (1.0 + drift + trend.noise * self.normal());
        let reach = trend.noise * 0.5;
        let high = open.max(close) * (1.0 + reach * self.uniform());
        let low = open.min(close) * (1.0 - reach * self.uniform());
        let volume = trend.volume * (0.6 + 0.8 * self.uniform());
        self.bar(start, [open, high, low, close], volume);
    }

    /// A day of minutes; on one in fourteen the price crashes and is usually reclaimed.
    fn minutes(&mut self, session: &Session) {
        let count = (session.close - session.open) / MINUTE;
        let crash = (self.uniform() < 0.07 && count > 300).then(|| Crash::new(self));
        let usual = 1_500.0 + 6_000.0 * self.uniform();
        for i in 0..count {
            let phase = crash.as_ref().map_or(Phase::Calm, |c| c.phase(i as f64));
            self.minute(session.open + i * MINUTE, phase, usual);
        }
        // The next day opens near a price that neither vanishes nor explodes.
        self.price = (self.price * (1.0 + 0.01 * self.normal())).clamp(3.0, 60.0);
        if crash.is_some() {
            self.price = (self.price * 1.15).min(60.0);
        }
    }

    fn minute(&mut self, start: Nanos, phase: Phase, usual: f64) {
        let noise = 0.0007 * self.normal();
        let open = self.price;
        let volume = usual * (0.5 + self.uniform());
        let (drift, wick, top, volume) = match phase {
            Phase::Calm => (noise, 0.0005 * self.uniform(), 0.0005 * self.uniform(), volume),
            // Falling minutes close on their low: nothing to reclaim yet.
            Phase::Fall(step) => (-step - noise.abs() * 0.2, 0.0, 0.0002, volume),
            Phase::Reclaim => (0.022, 0.008, 0.001, volume * 4.0),
            Phase::After(step) => (step + noise, 0.0004, 0.0004, volume * 1.5),
        };
        let close = open * (1.0 + drift);
        let high = open.max(close) * (1.0 + top);
        let low = open.min(close) * (1.0 - wick);
        self.bar(start, [open, high, low, close], volume);
    }

    /// Writes a bar in cents and round lots, and moves the price to its close.
    fn bar(&mut self, start: Nanos, prices: [f64; 4], volume: f64) {
        let [open, high, low, close] = prices.map(|p| (p * 100.0).round() / 100.0);
        let volume = ((volume / 100.0).round() * 100.0).max(100.0);
        self.price = close;
        self.rows.push(Row {
            start,
            ohlcv: [open, high, low, close, volume],
            trade_count: f64::NAN,
            vwap: f64::NAN,
            origin: (0, 0),
        });
    }
}

/// What a minute does.
#[derive(Clone, Copy)]
enum Phase {
    Calm,
    Fall(f64),
    Reclaim,
    After(f64),
}

/// A fall of about a fifth over an hour, one reclaiming minute, and what follows.
struct Crash {
    begin: f64,
    minutes: f64,
    step: f64,
    after: f64,
}

impl Crash {
    fn new(walk: &mut Walk) -> Self {
        let minutes = 45.0 + (30.0 * walk.uniform()).round();
        let depth = 0.19 + 0.05 * walk.uniform();
        // Three in four are reclaimed; the others fall on.
        let reclaimed = walk.uniform() < 0.75;
        let after = if reclaimed { 0.0011 + 0.0012 * walk.uniform() } else { -0.0025 };
        Self { begin: 30.0 + (150.0 * walk.uniform()).round(), minutes, step: depth / minutes, after }
    }

    fn phase(&self, minute: f64) -> Phase {
        let reclaim = self.begin + self.minutes;
        if minute < self.begin || minute > reclaim + 32.0 {
            Phase::Calm
        } else if minute < reclaim {
            Phase::Fall(self.step)
        } else if minute < reclaim + 1.0 {
            Phase::Reclaim
        } else {
            Phase::After(self.after)
        }
    }
}
