//! Parameters chosen on some sessions and judged on others.
//!
//! What is seen while choosing ([`InSample`]), what is seen afterwards ([`OutOfSample`]) and what lies among sessions
//! chosen on, before and after it ([`CrossValidated`]), are different types, so that a report can't show one as the
//! other.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::coverage::{PartlyCovered, partly_covered};
use super::equity::{Kept, whole};
use super::market::Market;
use super::plan::SAMPLE;
use super::progress::Progress;
use super::sweepable::{Sweepable, accounts};
use crate::bar::{Date, Symbol};
use crate::calendar;
use crate::error::{Error, Result, codes};
use crate::finding::Finding;
use crate::holdout;
use crate::ledger::{self, Ledger, Trials, encode};
use crate::metrics::{Benchmark, CRITERIA, Cause, Measure, Metrics, Outcome, Tally};

/// How sessions are divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scheme {
    /// Chosen on everything before the test.
    Anchored,
    /// Chosen on the last sessions before the test.
    Rolling,
    /// Chosen on everything but the test, before and after it (k-fold cross-validation).
    CrossValidation,
}

/// Sessions chosen on, and sessions judged on; both ends included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fold {
    /// One range, or one before and one after the test.
    pub train: Vec<(Date, Date)>,
    /// The sessions judged on.
    pub test: (Date, Date),
}

/// How many folds, and what is left out between choosing and judging.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Division {
    /// How sessions are divided.
    pub scheme: Scheme,
    /// Number of tests.
    pub folds: usize,
    /// Sessions of a rolling training; as many as a test, if not given.
    pub train: Option<usize>,
    /// Sessions before each test that are not chosen on: a position held into the test would
    /// carry its outcome over (López de Prado, Advances in Financial Machine Learning, 2018, 7.4.1).
    pub purge: usize,
    /// Sessions after each test that are not chosen on, in cross-validation (same, 7.4.2).
    pub embargo: usize,
}

impl Division {
    /// Cuts `sessions` into folds. Walk-forward divides them into one block more than folds, the
    /// first being chosen on only; cross-validation into as many.
    ///
    /// # Errors
    /// Usage error if a fold would have fewer than two sessions to choose on or to judge on.
    pub fn cut(&self, sessions: &[Date]) -> Result<Vec<Fold>> {
        let &Self { scheme, folds, train, purge, embargo } = self;
        let few = |what: &str, have: usize| {
            Error::new(codes::BAD_ARGUMENT, format!("a fold has {have} sessions {what}, at least 2 are needed"))
                .help("take fewer folds, a longer period, or a smaller --purge or --embargo")
        };
        let n = sessions.len();
        let blocks = if scheme == Scheme::CrossValidation { folds } else { folds + 1 };
        if blocks < 2 {
            let least = if scheme == Scheme::CrossValidation { 2 } else { 1 };
            return Err(Error::new(codes::BAD_ARGUMENT, format!("{folds} folds; at least {least} are needed")));
        }
        if n / blocks < 2 {
            return Err(few("to judge on", n / blocks));
        }
        let edge = |block: usize| block * n / blocks;
        let mut cut = Vec::with_capacity(folds);
        for block in blocks - folds..blocks {
            let (from, to) = (edge(block), edge(block + 1));
            let before = from.saturating_sub(purge);
            if let (Scheme::Rolling, Some(train)) = (scheme, train)
                && before < train
            {
                let what =
                    format!("the test from {} has {before} sessions before it, --train wants {train}", sessions[from]);
                return Err(Error::new(codes::BAD_ARGUMENT, what)
                    .help("take fewer folds, a longer period or a smaller --train"));
            }
            let first = match scheme {
                Scheme::Rolling => before.saturating_sub(train.unwrap_or(to - from)),
                Scheme::Anchored | Scheme::CrossValidation => 0,
            };
            let after = match scheme {
                Scheme::CrossValidation => to.saturating_add(embargo).min(n)..n,
                Scheme::Anchored | Scheme::Rolling => n..n,
            };
            let ranges = [first..before, after];
            let chosen_on: usize = ranges.iter().map(ExactSizeIterator::len).sum();
            if chosen_on < 2 {
                return Err(few("to choose on", chosen_on));
            }
            let ranges = ranges.into_iter().filter(|r| !r.is_empty());
            let train = ranges.map(|r| (sessions[r.start], sessions[r.end - 1])).collect();
            cut.push(Fold { train, test: (sessions[from], sessions[to - 1]) });
        }
        Ok(cut)
    }
}

/// Figures of the sessions that parameters were chosen on: they flatter.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub struct InSample(Metrics);

/// Figures of sessions after all that had a part in the choice.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub struct OutOfSample(Metrics);

/// Figures of sessions that had no part in the choice, but later ones had: nobody could have chosen so.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub struct CrossValidated(Metrics);

/// How a choice went where it was judged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Judged {
    /// Later than all that was chosen on.
    OutOfSample(OutOfSample),
    /// Among the sessions that were chosen on.
    CrossValidated(CrossValidated),
}

impl Judged {
    fn of(scheme: Scheme, metrics: Metrics) -> Self {
        match scheme.is_forward() {
            true => Self::OutOfSample(OutOfSample(metrics)),
            false => Self::CrossValidated(CrossValidated(metrics)),
        }
    }

    /// The figures.
    pub fn metrics(&self) -> &Metrics {
        match self {
            Self::OutOfSample(OutOfSample(metrics)) | Self::CrossValidated(CrossValidated(metrics)) => metrics,
        }
    }
}

impl Scheme {
    /// Whether nothing later than a test has a part in the choice.
    pub const fn is_forward(self) -> bool {
        !matches!(self, Self::CrossValidation)
    }

    /// What figures of its tests are called.
    pub const fn heading(self) -> &'static str {
        if self.is_forward() { "out-of-sample" } else { "cross-validated" }
    }
}

impl InSample {
    /// The figures, for those who know that they flatter.
    pub fn flattering(&self) -> &Metrics {
        &self.0
    }
}

/// What one account chose in one fold, and how it went.
#[derive(Clone, Debug, PartialEq)]
pub struct Chosen {
    /// Index of the fold.
    pub fold: usize,
    /// The symbol; none for a portfolio.
    pub symbol: Option<Symbol>,
    /// The combination of the grid that was chosen, or why no point has a value of the figure.
    pub point: std::result::Result<u64, Cause>,
    /// Where it was chosen.
    pub in_sample: Option<InSample>,
    /// Where it was judged; without a choice nothing was traded.
    pub judged: Option<Judged>,
}

/// All folds, and the tests of each account joined.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WalkForward {
    /// How sessions were divided and points chosen, as the ledger has it.
    pub division: Value,
    /// Points chosen from.
    pub points: usize,
    /// Trials of the strategy that the ledger counts now: N.
    pub trials: u64,
    /// Whether any bar is synthetic.
    pub synthetic: bool,
    /// What an audit doubts in the bars.
    pub doubts: Vec<Finding>,
    /// Symbols whose bars cover a part of the dates asked for only.
    pub partly_covered: Vec<PartlyCovered>,
    /// Sessions chosen on and judged on.
    pub folds: Vec<Fold>,
    /// By fold, then account.
    pub chosen: Vec<Chosen>,
    /// One an account, in the order of the symbols.
    pub joined: Vec<Joined>,
}

/// The tests of one account, joined.
#[derive(Clone, Debug, PartialEq)]
pub struct Joined {
    /// The symbol; none for a portfolio.
    pub symbol: Option<Symbol>,
    /// How many folds chose a point, and so were judged.
    pub folds_judged: usize,
    /// Session returns of those folds' tests in order, compounded: figures of returns only. None if no fold was judged.
    pub judged: Option<Judged>,
}

impl WalkForward {
    /// How many folds were judged, of the account that has the most of them.
    pub fn folds_judged(&self) -> usize {
        self.joined.iter().map(|j| j.folds_judged).max().unwrap_or(0)
    }
}

/// How a walk-forward divides its sessions and what it chooses by.
#[derive(Clone, Copy, Debug)]
pub struct Choosing<'a> {
    /// How sessions are divided.
    pub division: Division,
    /// The figure that chooses.
    pub by: &'a str,
    /// Whether the lowest is chosen.
    pub lowest: bool,
}

/// Figures that joined returns have.
pub const FIGURES_OF_RETURNS: [&str; 5] = ["sharpe", "sortino", "total_return", "max_drawdown", "volatility"];

/// A figure of metrics.
type Figure = fn(&Metrics) -> Measure;

impl Choosing<'_> {
    /// The figure that chooses.
    ///
    /// # Errors
    /// Usage error if nothing can be chosen by it.
    pub fn figure(&self) -> Result<Figure> {
        let Some(criterion) = CRITERIA.iter().find(|c| c.figure.name == self.by) else {
            let known: Vec<&str> = CRITERIA.iter().map(|c| c.figure.name).collect();
            let what = format!("`{}` can't be chosen by", self.by);
            return Err(Error::new(codes::BAD_ARGUMENT, what).help(format!("choose by {}", known.join(", "))));
        };
        if self.division.scheme == Scheme::CrossValidation && !FIGURES_OF_RETURNS.contains(&self.by) {
            let what = format!("cross-validation joins session returns, which have no {}", self.by);
            return Err(
                Error::new(codes::BAD_ARGUMENT, what).help(format!("choose by {}", FIGURES_OF_RETURNS.join(", ")))
            );
        }
        Ok(criterion.figure.of)
    }

    /// As the ledger records it.
    fn record(&self) -> Value {
        let Division { scheme, folds, train, purge, embargo } = self.division;
        json!({
            "scheme": scheme,
            "folds": folds,
            "train": train,
            "purge": purge,
            "embargo": embargo,
            "by": self.by,
            "lowest": self.lowest,
        })
    }
}

/// Divides the period, records the trials, then chooses on each fold's training and judges on its test.
pub(crate) fn counted(
    strategy: &dyn Sweepable,
    choosing: &Choosing<'_>,
    ledger: &mut Ledger,
    progress: &dyn Progress,
) -> Result<WalkForward> {
    let figure = choosing.figure()?;
    let folds = choosing.division.cut(&sessions(strategy.market())?)?;
    for fold in &folds {
        fold.train.iter().chain([&fold.test]).try_for_each(|&period| strategy.covers(period))?;
    }
    let points = strategy.points()?;
    let trials = strategy.trials(points.len());
    holdout::check_free(ledger, &trials)?;
    ledger.add_walk_forward(&trials, choosing.record(), None, None)?;
    let accounts = accounts(strategy);
    progress.begins((points.len() * folds.len() * accounts) as u64, strategy.bars() as f64 / accounts as f64);
    let rank = |metrics: &Metrics| match figure(metrics) {
        Measure::Defined(value) if choosing.lowest => Measure::Defined(-value),
        measure => measure,
    };
    let Walked { chosen, joined, whole } =
        walk(strategy, choosing, &points, &folds, &rank, &|n| progress.advances(n as u64))?;
    let kept = encode(&returns_of_points(strategy, &points, &trials)?)?;
    // A choice that saw what came later shows nothing out of sample.
    let whole = if choosing.division.scheme.is_forward() { Some(encode(&[(0, whole)])?) } else { None };
    ledger.add_walk_forward(&trials, choosing.record(), Some(&kept), whole.as_deref())?;
    progress.ends();
    Ok(WalkForward {
        division: choosing.record(),
        points: points.len(),
        trials: ledger.count()?,
        synthetic: strategy.market().is_synthetic(),
        doubts: strategy.market().doubts(),
        partly_covered: partly_covered(strategy.market())?,
        folds,
        chosen,
        joined,
    })
}

/// The sessions of a market's period.
fn sessions(market: &Market) -> Result<Vec<Date>> {
    let (start, end) = market.period();
    calendar::check_covered(start)?;
    calendar::check_covered(end)?;
    Ok(market.calendar().sessions(start, end).map(|s| s.date).collect())
}

/// Points replayed together where their equity is kept: flat memory.
const KEPT_POINTS: usize = 256;

/// Session returns over the whole period of as many points as a sweep keeps, all accounts together: what a sweep of the
/// same grid would tell of how its points vary.
fn returns_of_points(strategy: &dyn Sweepable, points: &[u64], trials: &Trials) -> Result<Vec<ledger::Kept>> {
    let chosen = trials.sample(SAMPLE)?;
    let mut kept = Vec::with_capacity(chosen.len());
    for some in chosen.chunks(KEPT_POINTS) {
        let points: Vec<u64> = some.iter().map(|&i| points[i]).collect();
        let (_, equity) = strategy.run(&points, strategy.market().period(), &|_| true, &|_| ())?;
        let accounts = equity.chunk_by(|a, b| a.point == b.point);
        kept.extend(accounts.map(|accounts| {
            let point = accounts[0].point;
            (some[point] as u64, whole(strategy.capital(points[point]), accounts).dated_returns())
        }));
    }
    Ok(kept)
}

/// The choices by fold, then account; each account's tests joined; and the returns of all accounts together.
struct Walked {
    chosen: Vec<Chosen>,
    joined: Vec<Joined>,
    whole: Vec<(Date, f64)>,
}

/// Chooses the point with the highest figure on each fold's training and replays it on the test.
fn walk(
    strategy: &dyn Sweepable,
    choosing: &Choosing<'_>,
    points: &[u64],
    folds: &[Fold],
    figure: &dyn Fn(&Metrics) -> Measure,
    done: &(dyn Fn(usize) + Sync),
) -> Result<Walked> {
    let mut chosen = Vec::new();
    let scheme = choosing.division.scheme;
    let mut tests: Vec<(Option<Symbol>, Vec<Kept>)> = Vec::new();
    let mut all = Vec::new();
    for (i, fold) in folds.iter().enumerate() {
        let best = choose(strategy, points, fold, figure, done)?;
        let mut tried: Vec<u64> = best.iter().filter_map(|(_, best)| Some(best.as_ref().ok()?.0)).collect();
        tried.sort_unstable();
        tried.dedup();
        let (rows, kept) = if tried.is_empty() {
            (Vec::new(), Vec::new())
        } else {
            strategy.run(&tried, fold.test, &|_| true, &|_| ())?
        };
        let mut judged: Vec<Kept> = Vec::new();
        for (symbol, best) in best {
            let mut choice = Chosen { fold: i, symbol, point: best.map(|b| b.0), in_sample: None, judged: None };
            let at = tests.iter().position(|(known, _)| *known == symbol).unwrap_or(tests.len());
            if at == tests.len() {
                tests.push((symbol, Vec::new()));
            }
            if let Ok((point, in_sample)) = best {
                let is_it = |at: usize, of: Option<Symbol>| tried[at] == point && of == symbol;
                let row = rows.iter().find(|row| is_it(row.point, row.symbol));
                choice.in_sample = Some(in_sample);
                choice.judged = row.map(|row| Judged::of(scheme, row.metrics));
                let kept = kept.iter().find(|kept| is_it(kept.point, kept.symbol));
                judged.extend(kept.map(|kept| Kept { point: 0, ..kept.clone() }));
                tests[at].1.extend(kept.cloned());
            }
            chosen.push(choice);
        }
        // What all accounts won beside the whole capital, whatever each of them chose.
        if let Some(first) = tried.first().filter(|_| !judged.is_empty()) {
            all.extend(whole(strategy.capital(*first), &judged).dated_returns());
        }
    }
    let per_year = strategy.market().returns_per_year();
    let join = |(symbol, tests): (Option<Symbol>, Vec<Kept>)| Joined {
        symbol,
        folds_judged: tests.len(),
        judged: (!tests.is_empty()).then(|| Judged::of(scheme, of_returns(&tests, per_year))),
    };
    Ok(Walked { chosen, joined: tests.into_iter().map(join).collect(), whole: all })
}

/// The point of one account with the highest figure, or why the first point has none.
type Best = (Option<Symbol>, std::result::Result<(u64, InSample), Cause>);

/// For each account the point with the highest figure, the first of several.
fn choose(
    strategy: &dyn Sweepable,
    points: &[u64],
    fold: &Fold,
    figure: &dyn Fn(&Metrics) -> Measure,
    done: &(dyn Fn(usize) + Sync),
) -> Result<Vec<Best>> {
    let per_year = strategy.market().returns_per_year();
    let mut best: Vec<Best> = Vec::new();
    let mut see = |symbol: Option<Symbol>, point: u64, metrics: Metrics| {
        let seen = match figure(&metrics) {
            Measure::Defined(value) => Ok(value),
            Measure::Undefined(why) => Err(why),
        };
        let known = best.iter_mut().find(|(known, _)| *known == symbol);
        let beaten = |known: &Best| match (&known.1, seen) {
            (Ok((_, InSample(before))), Ok(value)) => Some(value) > figure(before).value(),
            (Err(_), Ok(_)) => true,
            (_, Err(_)) => false,
        };
        let this = || seen.map(|_| (point, InSample(metrics)));
        match known {
            None => best.push((symbol, this())),
            Some(known) if beaten(known) => known.1 = this(),
            Some(_) => {}
        }
    };
    match fold.train[..] {
        [whole] => {
            for points in points.chunks(16_384) {
                let (rows, _) = strategy.run(points, whole, &|_| false, done)?;
                rows.iter().for_each(|row| see(row.symbol, points[row.point], row.metrics));
            }
        }
        _ => {
            for points in points.chunks(KEPT_POINTS) {
                let mut kept = Vec::new();
                for (i, &range) in fold.train.iter().enumerate() {
                    let once: &(dyn Fn(usize) + Sync) = if i == 0 { done } else { &|_| () };
                    kept.extend(strategy.run(points, range, &|_| true, once)?.1);
                }
                kept.sort_by_key(|k| (k.point, k.symbol, k.equity.first().map(|e| e.0)));
                for parts in kept.chunk_by(|a, b| (a.point, a.symbol) == (b.point, b.symbol)) {
                    see(parts[0].symbol, points[parts[0].point], of_returns(parts, per_year));
                }
            }
        }
    }
    Ok(best)
}

/// Figures of several periods of one account, their session returns compounded in order. Returns
/// don't tell trades, so only figures of returns mean anything.
fn of_returns(periods: &[Kept], per_year: f64) -> Metrics {
    let capital = periods.first().map_or(f64::NAN, |p| p.capital);
    let (mut dates, mut equity, mut worth) = (Vec::new(), Vec::new(), capital);
    for period in periods {
        for ((date, _), r) in period.equity.iter().zip(period.returns()) {
            worth *= 1.0 + r;
            dates.push(*date);
            equity.push(worth);
        }
    }
    let outcome =
        Outcome { capital, dates: &dates, equity: &equity, per_year, tally: Tally::default(), bars: 0, bars_held: 0 };
    Metrics::of(&outcome, &Benchmark::default())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sessions(n: usize) -> Vec<Date> {
        (0..n as i32).map(Date).collect()
    }

    #[test]
    fn anchored_and_rolling_by_hand() {
        let division = Division { scheme: Scheme::Anchored, folds: 3, train: None, purge: 2, embargo: 0 };
        let cut = division.cut(&sessions(40)).expect("folds");
        let days =
            |fold: &Fold| (fold.train.iter().map(|t| (t.0.0, t.1.0)).collect::<Vec<_>>(), fold.test.0.0, fold.test.1.0);
        let by_hand = [(vec![(0, 7)], 10, 19), (vec![(0, 17)], 20, 29), (vec![(0, 27)], 30, 39)];
        assert_eq!(cut.iter().map(days).collect::<Vec<_>>(), by_hand);
        let cut = Division { scheme: Scheme::Rolling, train: Some(5), ..division }.cut(&sessions(40)).expect("folds");
        let by_hand = [(vec![(3, 7)], 10, 19), (vec![(13, 17)], 20, 29), (vec![(23, 27)], 30, 39)];
        assert_eq!(cut.iter().map(days).collect::<Vec<_>>(), by_hand);
    }

    #[test]
    fn cross_validation_by_hand() {
        let division = Division { scheme: Scheme::CrossValidation, folds: 3, train: None, purge: 1, embargo: 2 };
        let cut = division.cut(&sessions(30)).expect("folds");
        let train: Vec<Vec<(i32, i32)>> =
            cut.iter().map(|f| f.train.iter().map(|t| (t.0.0, t.1.0)).collect()).collect();
        assert_eq!(train, [vec![(12, 29)], vec![(0, 8), (22, 29)], vec![(0, 18)]]);
    }

    proptest! {
        /// No session is both chosen and judged on, nor chosen on within purge or embargo of a
        /// test; tests don't overlap.
        #[test]
        fn choosing_keeps_its_distance(
            n in 10usize..300, folds in 1usize..9, purge in 0usize..20, embargo in 0usize..20,
            train in prop::option::of(1usize..60),
            scheme in prop_oneof![Just(Scheme::Anchored), Just(Scheme::Rolling), Just(Scheme::CrossValidation)],
        ) {
            let all = sessions(n);
            let Ok(cut) = (Division { scheme, folds, train, purge, embargo }).cut(&all) else { return Ok(()) };
            prop_assert_eq!(cut.len(), folds);
            for fold in &cut {
                for session in 0..n as i32 {
                    let chosen_on = fold.train.iter().any(|t| (t.0.0..=t.1.0).contains(&session));
                    let near = (fold.test.0.0 - purge as i32..=fold.test.1.0 + embargo as i32).contains(&session);
                    prop_assert!(!(chosen_on && near));
                    prop_assert!(!(chosen_on && scheme != Scheme::CrossValidation && session > fold.test.0.0));
                }
            }
            prop_assert!(cut.windows(2).all(|w| w[0].test.1 < w[1].test.0));
        }
    }
}
