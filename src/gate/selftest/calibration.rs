//! How often the gate is wrong, measured over many seeds.

use rand::RngExt;
use rayon::prelude::*;
use serde::Serialize;

use super::planted::{Daily, Planted, noise_days, sessions};
use crate::account::Conditions;
use crate::bar::{Bars, Date, Timeframe};
use crate::calendar;
use crate::config::NonInferiority;
use crate::costs::Costs;
use crate::error::Result;
use crate::gate::check::Status;
use crate::gate::{comparison, luck};
use crate::history::{History, Hours};
use crate::metrics::{Benchmark, returns};
use crate::replay::Terms;
use crate::research::plan::SAMPLE;
use crate::risk::Limits;
use crate::stats::bootstrap::stream;
use crate::stats::sharpe::{LongRun, probabilistic};
use crate::stats::{Moments, normal_quantile};
use crate::sweep::{How, PointResult, Sweep};

/// Sessions of a comparison.
const SESSIONS: usize = 1_000;
/// Correlation of candidate and baseline.
const CORRELATION: f64 = 0.9;
/// Sharpe ratio of the baseline, a session.
const SHARPE: f64 = 0.06;
/// One-sided confidence of the comparison.
const CONFIDENCE: f64 = 0.95;
/// A margin, Sharpe a year.
const MARGIN: f64 = 0.3;
/// Most sweeps over noise.
const MOST_SWEEPS: u64 = 1_000;
/// Points of a sweep over noise.
const POINTS: usize = 1_000;

/// Sessions of the paths on which PSR is measured; of fewer than 252 nothing is stated.
const LENGTHS: [usize; 5] = [63, 252, 504, 1_000, 2_000];
/// At a stated 5 %, PSR passes at most this share of paths whose true Sharpe ratio is 0.
const MOST: f64 = 0.06;

/// Fewer paths tell no share.
const LEAST_PATHS: u64 = 1_000;

/// How often chance reaches a PSR of 0.95.
#[derive(Clone, Debug, Serialize)]
pub struct Size {
    /// What the returns are like.
    pub process: &'static str,
    /// Sessions of a path.
    pub sessions: usize,
    /// Share of paths that pass, by the long-run variance.
    pub psr: f64,
    /// Share that pass by the published form.
    pub psr_published: f64,
    /// Whether at most 6 % is stated of it.
    pub stated: bool,
}

/// A kind of returns with a Sharpe ratio a session.
struct Process {
    name: &'static str,
    sharpe: f64,
    /// Whether PSR is stated to hold its level on it.
    stated: bool,
    /// The next deviation from the mean, with variance 1, from normal numbers and what it remembers.
    next: fn(&mut dyn FnMut() -> f64, &mut [f64; 2]) -> f64,
}

fn student(normal: &mut dyn FnMut() -> f64, freedom: u32) -> f64 {
    let squares = (0..freedom).fold(0.0, |sum, _| {
        let z = normal();
        sum + z * z
    });
    let freedom = f64::from(freedom);
    normal() / (squares / freedom).sqrt() * ((freedom - 2.0) / freedom).sqrt()
}

/// In the market on one session in ten.
fn seldom(normal: &mut dyn FnMut() -> f64) -> bool {
    normal() > 1.281_551_565_544_6
}

const PROCESSES: [Process; 9] = [
    Process { name: "normal", sharpe: 0.0, stated: true, next: |normal, _| normal() },
    Process {
        name: "AR(1), 0.2",
        sharpe: 0.0,
        stated: true,
        next: |normal, [last, _]| {
            *last = 0.2 * *last + normal() * 0.96f64.sqrt();
            *last
        },
    },
    Process {
        name: "AR(1), -0.2",
        sharpe: 0.0,
        stated: true,
        next: |normal, [last, _]| {
            *last = -0.2 * *last + normal() * 0.96f64.sqrt();
            *last
        },
    },
    Process { name: "t, 5 degrees", sharpe: 0.0, stated: true, next: |normal, _| student(normal, 5) },
    Process {
        name: "GARCH(1,1), 0.1, 0.85",
        sharpe: 0.0,
        stated: true,
        next: |normal, [variance, begun]| {
            if *begun == 0.0 {
                (*variance, *begun) = (1.0, 1.0);
            }
            let value = variance.sqrt() * normal();
            *variance = 0.05 + 0.1 * value * value + 0.85 * *variance;
            value
        },
    },
    Process {
        name: "sparse, 10 %",
        sharpe: 0.0,
        stated: true,
        next: |normal, _| if seldom(normal) { normal() * 10f64.sqrt() } else { 0.0 },
    },
    Process {
        name: "sparse, 10 %, rare large losses",
        sharpe: 0.0,
        stated: false,
        next: |normal, _| {
            let (a, b) = (normal(), normal());
            // One less an exponential number: half the square of a radius.
            if seldom(normal) { (1.0 - 0.5 * (a * a + b * b)) * 10f64.sqrt() } else { 0.0 }
        },
    },
    Process { name: "t, 3 degrees", sharpe: 0.0, stated: false, next: |normal, _| student(normal, 3) },
    Process { name: "normal, against a true Sharpe of 1", sharpe: 0.063, stated: false, next: |normal, _| normal() },
];

fn size(process: &Process, sessions: usize, paths: u64) -> Size {
    let passes = |seed: u64| {
        let mut random = stream(seed, process.name, sessions as u64);
        let mut normal = || normal_quantile(random.random_range(1e-12..1.0 - 1e-12)).unwrap_or(0.0);
        let mut memory = [0.0; 2];
        // What it remembers settles before the first session.
        for _ in 0..50 {
            let _ = (process.next)(&mut normal, &mut memory);
        }
        let returns: Vec<f64> =
            (0..sessions).map(|_| process.sharpe + (process.next)(&mut normal, &mut memory)).collect();
        let long_run = LongRun::of(&returns).and_then(|s| s.probability_above(process.sharpe));
        let published = Moments::of(&returns).and_then(|m| probabilistic(&m, process.sharpe));
        [long_run, published].map(|p| u64::from(p.is_some_and(|p| p >= CONFIDENCE)))
    };
    let [psr, published] = (0..paths).into_par_iter().map(passes).reduce(|| [0, 0], |a, b| [a[0] + b[0], a[1] + b[1]]);
    let share = |count: u64| count as f64 / paths as f64;
    let stated = process.stated && sessions >= 252;
    Size { process: process.name, sessions, psr: share(psr), psr_published: share(published), stated }
}

/// Shares of the seeds.
#[derive(Clone, Debug, Serialize)]
pub struct Rates {
    /// Seeds.
    pub seeds: u64,
    /// A candidate just like the baseline fails, the margin being 0: at most 5 %.
    pub alike_fails: f64,
    /// A candidate worse by exactly the margin passes: at most 5 %.
    pub margin_passes: f64,
    /// A candidate worse by the detectable fall fails: about 80 %.
    pub fall_found: f64,
    /// The fall that was planted, Sharpe a year: the median of those stated as detectable.
    pub fall: f64,
    /// The best of 1,000 points on noise reaches a PSR of 0.95.
    pub best_passes_psr: f64,
    /// The best of 1,000 points on noise reaches a DSR of 0.95: at most 5 %.
    pub best_passes_dsr: f64,
    /// How often chance reaches a PSR of 0.95, by kind of returns and length.
    pub psr: Vec<Size>,
}

impl Rates {
    /// Whether there are seeds enough to judge how often chance reaches a PSR of 0.95.
    pub fn tells_shares(&self) -> bool {
        self.seeds >= LEAST_PATHS
    }

    /// Whether all rates are as stated, but for three standard errors of so many seeds.
    pub fn hold(&self) -> bool {
        let error = |p: f64| 3.0 * (p * (1.0 - p) / self.seeds as f64).sqrt();
        let at_most = |rate: f64, stated: f64| rate <= stated + error(stated);
        at_most(self.alike_fails, 0.05)
            && at_most(self.margin_passes, 0.05)
            && at_most(self.best_passes_dsr, 0.05)
            && self.fall_found >= 0.80 - error(0.80)
            && (!self.tells_shares()
                || self.psr.iter().all(|size| !size.stated || size.psr <= MOST + error(MOST) * 2.0 / 3.0))
    }
}

/// Measures all of it; `done` hears of each seed.
///
/// # Errors
/// Data error if noise can't be replayed.
pub fn measure(seeds: u64, done: &(dyn Fn() + Sync)) -> Result<Rates> {
    let compared = |fall: f64, margin: f64, block: u64| -> Vec<(Status, f64)> {
        let seeds = (block * seeds..(block + 1) * seeds).into_par_iter();
        seeds.map(|seed| compare(seed, fall, margin)).inspect(|_| done()).flatten().collect()
    };
    let alike = compared(0.0, 0.0, 0);
    let at_margin = compared(MARGIN, MARGIN, 1);
    let mut falls: Vec<f64> = alike.iter().map(|(_, fall)| *fall).collect();
    falls.sort_by(f64::total_cmp);
    let fall = falls.get(falls.len() / 2).copied().unwrap_or(f64::NAN);
    let worse = compared(fall, 0.0, 2);
    // A sweep costs as much as thousands of paths.
    let sweeps = seeds.min(MOST_SWEEPS);
    let best: Vec<(bool, bool)> =
        (0..sweeps).into_par_iter().map(best_of_noise).inspect(|_| done()).collect::<Result<_>>()?;
    let kinds = PROCESSES.iter().flat_map(|process| LENGTHS.map(|sessions| (process, sessions)));
    let psr = kinds.map(|(process, sessions)| size(process, sessions, seeds)).collect();
    let share = |count: usize| count as f64 / seeds as f64;
    let of = |all: &[(Status, f64)], wanted: Status| share(all.iter().filter(|(status, _)| *status == wanted).count());
    Ok(Rates {
        seeds,
        alike_fails: of(&alike, Status::Fail),
        margin_passes: of(&at_margin, Status::Pass),
        fall_found: of(&worse, Status::Fail),
        fall,
        best_passes_psr: best.iter().filter(|b| b.0).count() as f64 / sweeps as f64,
        best_passes_dsr: best.iter().filter(|b| b.1).count() as f64 / sweeps as f64,
        psr,
    })
}

/// A candidate whose Sharpe ratio is lower by `fall` a year, against its baseline: the status, and
/// the fall stated as detectable.
fn compare(seed: u64, fall: f64, margin: f64) -> Option<(Status, f64)> {
    let mut random = stream(seed, "calibration", 0);
    let mut normal = || normal_quantile(random.random_range(1e-12..1.0 - 1e-12)).unwrap_or(0.0);
    let own = (1.0 - CORRELATION).sqrt();
    let (mut candidate, mut deployed) = (Vec::with_capacity(SESSIONS), Vec::with_capacity(SESSIONS));
    for i in 0..SESSIONS {
        let common = CORRELATION.sqrt() * normal();
        let date = Date(i as i32);
        let year = crate::metrics::SESSIONS_PER_YEAR.sqrt();
        candidate.push((date, 0.01 * (common + own * normal() + SHARPE - fall / year)));
        deployed.push((date, 0.01 * (common + own * normal() + SHARPE)));
    }
    let rule = NonInferiority { sharpe_margin: margin, confidence: CONFIDENCE };
    let (comparison, check) =
        comparison::compare(&candidate, &deployed, (rule, crate::metrics::SESSIONS_PER_YEAR), seed).ok()?;
    Some((check.status, comparison.detectable_fall?))
}

/// Whether the best of many points on noise passes PSR, and DSR.
fn best_of_noise(seed: u64) -> Result<(bool, bool)> {
    let dates: Vec<Date> = sessions();
    let start: Vec<i64> = dates.iter().map(|d| d.utc_midnight()).collect();
    let closes = noise_days(seed, dates.len());
    let opens: Vec<f64> = std::iter::once(closes[0]).chain(closes.iter().copied()).take(closes.len()).collect();
    let high: Vec<f64> = opens.iter().zip(&closes).map(|(o, c)| o.max(*c)).collect();
    let low: Vec<f64> = opens.iter().zip(&closes).map(|(o, c)| o.min(*c)).collect();
    let bars = Bars::new(Timeframe::Day, &start, [&opens, &high, &low, &closes, &closes].map(|c| &c[..]))?;
    let history = History::new("AAA".parse()?, bars, Hours::Regular)?;
    let terms = Terms {
        capital: 100_000.0,
        costs: Costs::default(),
        conditions: Conditions::UNLIMITED,
        limits: Limits::default(),
        start: calendar::FIRST,
        end: calendar::LAST,
    };
    let histories = [history];
    let benchmark = Benchmark::default();
    let sweep = Sweep { histories: &histories, terms, benchmark: &benchmark, memory: 64 << 20, how: How::Fast };
    let points: Vec<Planted<Daily>> = (0..POINTS as u32).map(|i| Planted::hash(2 + i)).collect();
    let moments = |_: usize, result: &PointResult<'_>| {
        let returns = returns(terms.capital, result.equity);
        Some((Moments::of(&returns)?, returns))
    };
    let all: Vec<Option<(Moments, Vec<f64>)>> = sweep.run(&points, moments)?.into_inner();
    let kept: Vec<f64> = all.iter().take(SAMPLE).filter_map(|m| m.as_ref()?.0.sharpe()).collect();
    let sharpe = |m: &Moments| m.sharpe().unwrap_or(f64::NEG_INFINITY);
    let best = all.iter().flatten().max_by(|a, b| sharpe(&a.0).total_cmp(&sharpe(&b.0)));
    let Some(best) = best.and_then(|best| LongRun::of(&best.1)) else { return Ok((false, false)) };
    let sessions = best.count;
    let by_luck = luck::sharpe_by_luck(sessions, (luck::dispersion_of(&kept, sessions), POINTS as u64), 1);
    let psr = best.probability_above(0.0);
    let dsr = by_luck.and_then(|s| best.probability_above(s));
    Ok((psr.is_some_and(|p| p >= 0.95), dsr.is_some_and(|p| p >= 0.95)))
}
