//! What was tried, from the ledger: how good the best of so many would look by luck.
//!
//! N is the number of distinct settings tried on bars like the candidate's, in sessions that overlap its own, and V
//! the variance of their Sharpe ratios; neither can be typed. A Sharpe ratio over T sessions varies by about 1/T, so
//! trials over other sessions are compared by V·T. Only trials of the same symbols and sessions (a family) are
//! compared with each other, each settings once, whichever way they were swept; what hardly trades and what
//! duplicates another tells nothing of how trials vary. The widest family counts, so that families of near-identical
//! trials can't dilute it. Trials of which nothing is known are taken to vary as without an edge. Correlated trials
//! differ less, so V already discounts for them; the effective N (Bailey & López de Prado 2014) is shown and makes the
//! minimum backtest length. Used in DSR as well it would discount twice: with a mean correlation of 0.9, 7 % of lucky
//! picks would pass at 95 %.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check::{Check, Group};
use super::columns::{self, Chosen};
use crate::bar::{Date, Symbol};
use crate::config::Levels;
use crate::error::Result;
use crate::ledger::mark::{self, KnownSharpe};
use crate::ledger::{Column, Columns, Family, Leaves, Ledger, Record, Trials, Tried};
use crate::metrics::{Cause, Measure};
use crate::research::plan::SAMPLE;
use crate::stats::pbo::{Among, Performance, probability_of_overfitting_among};
use crate::stats::trials;

/// Blocks of CSCV.
const BLOCKS: usize = 16;
/// Fewer trials make no variance, and no best of many.
const LEAST_SERIES: usize = 10;

/// What the ledger says of a strategy's trials.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Luck {
    /// Distinct settings tried, these included, on bars of the same kind in sessions that overlap the periods: N.
    pub n: u64,
    /// Settings of all symbols together of which it isn't known how their Sharpe ratios vary.
    pub n_unknown: u64,
    /// As many as independent ones, by the mean correlation of kept returns.
    pub n_effective: f64,
    /// Mean correlation of kept returns; none, if too few were kept.
    pub correlation: Option<f64>,
    /// Variance of the trials' Sharpe ratios per session, V, times the sessions they are of: 1 for
    /// independent trials without an edge. The largest of the families'; none, if none kept enough.
    pub dispersion: Option<f64>,
    /// Probability of backtest overfitting, the largest of all sweeps, and of all trials of the same symbols and
    /// sessions together.
    pub pbo: Measure,
    /// Sweeps that keep returns and were looked at.
    pub sweeps: usize,
    /// Trials whose returns are kept.
    pub columns: usize,
    /// Those of them set aside since they differ from another only in costs, capital or what is set aside for a
    /// position.
    pub costs_only: usize,
    /// Those set aside since they hardly trade.
    pub hardly_trade: usize,
    /// Those set aside since they lose for sure: nobody would choose them.
    pub losing: usize,
    /// Those set aside since their returns are those of another, at a correlation of 0.99.
    pub duplicates: usize,
    /// Where imported trials come from, and how many there are: their figures are those of whoever wrote the files.
    pub imported: Vec<String>,
    /// Symbols of earlier trials that the config no longer has.
    pub dropped: Vec<Symbol>,
    /// The ledger's heads: with them the same N can be counted again.
    pub heads: Vec<String>,
}

/// Session returns of the trials of each family that count.
pub(super) type Kept = BTreeMap<Family, Vec<Vec<f64>>>;

/// Whose trials are counted.
pub(super) struct About<'a> {
    /// The symbols that it trades.
    pub(super) symbols: &'a [Symbol],
    /// Those of them that it hardly trades.
    pub(super) neglected: &'a BTreeSet<Symbol>,
    /// Its own trials.
    pub(super) own: &'a [Trials],
    /// Whether its bars are synthetic.
    pub(super) synthetic: bool,
    /// First and last date of each period.
    pub(super) periods: &'a [(Date, Date)],
}

/// What the kept returns of one family say.
struct Compared {
    dispersion: Option<f64>,
    correlation: Option<f64>,
    chosen: Chosen,
}

impl Luck {
    /// Counts and reads a ledger. Trials on synthetic bars say nothing about how those on real ones
    /// vary, nor the other way round.
    ///
    /// # Errors
    /// Refused if the ledger was altered.
    pub(super) fn of(ledger: &Ledger, about: &About<'_>) -> Result<(Self, Kept)> {
        let tried = ledger.tried(about.synthetic, about.periods);
        let n = tried.count_of(|_| true, about.own, Leaves::All)?;
        let all = tried.columns(about.own.first())?;
        let families: Vec<(&Family, &BTreeMap<u128, Column>)> = all.families.iter().collect();
        let costs: BTreeSet<u128> =
            about.own.iter().map(costs_of).collect::<Result<Vec<_>>>()?.concat().into_iter().collect();
        let compared: Vec<Compared> = families.par_iter().map(|(_, columns)| Compared::of(columns, &costs)).collect();
        let dispersion = |c: &&Compared| c.dispersion.unwrap_or(-1.0);
        let widest = compared.iter().max_by(|a, b| dispersion(a).total_cmp(&dispersion(b)));
        let correlation = widest.and_then(|c| c.correlation);
        let enough_elsewhere = sharpes_elsewhere(&tried).len() >= LEAST_SERIES;
        let known = |r: &Record| {
            let own = Family::of(r);
            let told = r.source.as_ref().is_some_and(|s| !s.sharpes.is_empty() && enough_elsewhere);
            told || families.iter().zip(&compared).any(|((family, _), c)| **family == own && c.dispersion.is_some())
        };
        // What copies another trial of an unknown family, or differs from it in costs only, is no trial of its own.
        let unknown = compared.iter().filter(|c| c.dispersion.is_none());
        let copies: usize = unknown.map(|c| c.chosen.duplicates + c.chosen.hardly_trade).sum();
        // All symbols together: the luck of each symbol's own choice is spread over all of them.
        let behaviours = tried.wholes(|_| true, Leaves::WithoutCosts)?;
        let known = tried.wholes(known, Leaves::WithoutCosts)?;
        let n_unknown = behaviours.saturating_sub(known).saturating_sub(copies as u64);
        let pbo = overfitting(&all, &costs);
        // Trials counted elsewhere may have Sharpe ratios and no returns.
        let elsewhere = mark::dispersion(&sharpes_elsewhere(&tried));
        let dispersion = elsewhere.into_iter().chain(widest.and_then(|c| c.dispersion)).reduce(f64::max);
        let sum = |of: fn(&Chosen) -> usize| compared.iter().map(|c| of(&c.chosen)).sum();
        let luck = Self {
            n,
            n_unknown,
            n_effective: correlation.map_or(n as f64, |rho| trials::effective_trials(n as f64, rho)),
            correlation,
            dispersion,
            pbo: pbo.map_or(Measure::Undefined(Cause::NoSweep), |p| Measure::new(p, Cause::NoSweep)),
            sweeps: tried.records().iter().filter(|(_, r)| r.returns.is_some() && r.trials.points > 1).count(),
            columns: families.iter().map(|(_, columns)| columns.len()).sum(),
            costs_only: sum(|c| c.costs_only),
            hardly_trade: sum(|c| c.hardly_trade),
            losing: sum(|c| c.losing),
            duplicates: sum(|c| c.duplicates),
            imported: imported(&tried),
            dropped: dropped(&tried, about),
            heads: ledger.heads(),
        };
        let distinct = compared.into_iter().map(|c| c.chosen.distinct);
        let kept = families.iter().map(|(family, _)| (*family).clone()).zip(distinct);
        Ok((luck, kept.collect()))
    }

    /// No symbol that was tried may be gone: what is left may be what happened to work.
    pub(super) fn check(&self) -> Check {
        let dropped = Measure::Defined(self.dropped.len() as f64);
        Check::new(DROPPED, Group::Selection, dropped, Levels::NONE_ALLOWED)
    }

    /// The Sharpe ratio, a session, that the best of the trials shows by luck over so many sessions.
    pub(super) fn sharpe_over(&self, sessions: usize) -> Option<f64> {
        sharpe_by_luck(sessions, (self.dispersion, self.n), self.n_unknown)
    }
}

/// What tells a candidate from trials that differ only in costs, capital and what is set aside.
fn costs_of(own: &Trials) -> Result<Vec<u128>> {
    let [all, without] = [Leaves::All, Leaves::WithoutCosts].map(|leaves| own.identities_at(&[0], leaves));
    Ok(all?.into_iter().zip(without?).map(|(all, without)| all.wrapping_sub(without)).collect())
}

/// Name of the check that no symbol was dropped.
pub(super) const DROPPED: &str = "symbols_dropped";

/// Sharpe ratios of trials counted elsewhere of which no returns are known, in whatever files they came.
fn sharpes_elsewhere(tried: &Tried<'_>) -> Vec<KnownSharpe> {
    let sources = tried.records().iter().filter_map(|(_, r)| r.source.as_ref());
    let all: Vec<KnownSharpe> = sources.flat_map(|s| s.sharpes.iter().copied()).collect();
    if all.len() < LEAST_SERIES { Vec::new() } else { all }
}

fn imported(tried: &Tried<'_>) -> Vec<String> {
    let sources = tried.records().iter().filter_map(|(_, r)| Some((r.source.as_ref()?, r.trials.points)));
    let mut all: Vec<String> =
        sources.map(|(source, points)| format!("{points} of {} ({})", source.file, source.from)).collect();
    all.sort();
    all.dedup();
    all
}

/// Symbols that are gone, and those that are as good as gone: hardly traded, by other parameters than before.
fn dropped(tried: &Tried<'_>, about: &About<'_>) -> Vec<Symbol> {
    let all = tried.records().iter().flat_map(|(_, r)| r.trials.data.keys().map(move |symbol| (*symbol, *r)));
    let was_other = |symbol: Symbol, r: &Record| about.own.iter().any(|own| !own.treats_alike(&r.trials, symbol));
    let is_gone = |(symbol, r): &(Symbol, &Record)| {
        !about.symbols.contains(symbol) || (about.neglected.contains(symbol) && was_other(*symbol, r))
    };
    let mut dropped: Vec<Symbol> = all.filter(is_gone).map(|(symbol, _)| symbol).collect();
    dropped.sort_unstable();
    dropped.dedup();
    dropped
}

/// By the dispersion of all trials, or as without an edge by those of which nothing is known, if that
/// is more.
pub(super) fn sharpe_by_luck(sessions: usize, (dispersion, n): (Option<f64>, u64), unknown: u64) -> Option<f64> {
    let count = (sessions as f64).max(1.0);
    let of_known = dispersion.and_then(|d| trials::luck(d / count, n as f64));
    let of_unknown = trials::luck(1.0 / count, (unknown as f64).max(1.0))?;
    Some(of_known.map_or(of_unknown, |known| known.max(of_unknown)))
}

/// Variance of Sharpe ratios over so many sessions, times the sessions, if there are enough of them.
pub(super) fn dispersion_of(sharpes: &[f64], sessions: usize) -> Option<f64> {
    let variance = if sharpes.len() < LEAST_SERIES { None } else { trials::variance(sharpes) };
    variance.map(|v| v * sessions as f64)
}

/// The sweeps that keep returns, those with the most points first.
pub(super) fn largest_sweeps(ledger: &Ledger, synthetic: bool) -> Vec<(&String, &Record)> {
    let keeps = |r: &Record| r.returns.is_some() && r.trials.synthetic == synthetic;
    let mut sweeps: Vec<(&String, &Record)> = ledger.records().iter().filter(|(_, r)| keeps(r)).collect();
    sweeps.sort_by(|a, b| (b.1.trials.points, b.0).cmp(&(a.1.trials.points, a.0)));
    sweeps
}

/// The largest probability of overfitting: of all trials of a family, and of each sweep by itself, so that neither
/// one sweep among many nor many small ones in place of one hide it.
fn overfitting(all: &Columns, own_costs: &BTreeSet<u128>) -> Option<f64> {
    let families = all.families.values().map(|columns| columns.values().collect());
    // Whoever writes returns can write the best: what was counted elsewhere may only make it worse.
    let here = all.families.values().map(|columns| columns.values().filter(|c| !c.imported).collect());
    let of_record = all.by_record.iter().map(|(family, trials)| {
        let columns = &all.families[family];
        let mut trials: Vec<&u128> = trials.iter().collect();
        trials.sort_unstable();
        // Where the record is the whole family it was looked at as such.
        let part = trials.len() > 1 && trials.len() < columns.len();
        if part { trials.into_iter().filter_map(|trial| columns.get(trial)).collect() } else { Vec::new() }
    });
    let sets: Vec<Vec<&Column>> = families.chain(here).chain(of_record).collect();
    sets.par_iter().filter_map(|set| of_set(set, own_costs)).reduce_with(f64::max)
}

fn of_set(set: &[&Column], own_costs: &BTreeSet<u128>) -> Option<f64> {
    let chosen = columns::choose(set, own_costs, SAMPLE);
    let returns: Vec<&[f64]> = chosen.worth_choosing.iter().map(Vec::as_slice).collect();
    if returns.len() < LEAST_SERIES {
        return None;
    }
    let [among_all, among_better] = [Among::All, Among::BetterHalf]
        .map(|among| probability_of_overfitting_among(&returns, BLOCKS, Performance::Sharpe, among).map(|o| o.pbo));
    Some(among_all?.max(among_better?))
}

impl Compared {
    /// The widest of all columns, of those counted here, and of those that differ from the candidate in the same places:
    /// trials of another kind can't make these look alike.
    fn of(columns: &BTreeMap<u128, Column>, own_costs: &BTreeSet<u128>) -> Self {
        let all: Vec<&Column> = columns.values().collect();
        let chosen = columns::choose(&all, own_costs, SAMPLE);
        let returns: Vec<&[f64]> = chosen.distinct.iter().map(Vec::as_slice).collect();
        let mut places: Vec<u128> = all.iter().map(|c| c.places).collect();
        places.sort_unstable();
        places.dedup();
        let in_places = places.iter().map(|place| all.iter().filter(|c| c.places == *place).copied().collect());
        let counted_here: Vec<&Column> = all.iter().filter(|c| !c.imported).copied().collect();
        let sets: Vec<Vec<&Column>> =
            in_places.chain([counted_here]).filter(|set: &Vec<_>| set.len() < all.len()).collect();
        let whole = dispersion(&chosen);
        let parts = sets.par_iter().map(|set| dispersion(&columns::choose(set, own_costs, SAMPLE)));
        let widest = parts.flatten().reduce_with(f64::max);
        let dispersion = whole.map(|whole| widest.map_or(whole, |widest| widest.max(whole)));
        let correlation = dispersion.and_then(|_| trials::average_correlation(&returns));
        Self { dispersion, correlation, chosen }
    }
}

/// How the Sharpe ratios of the columns that count vary, times their sessions.
fn dispersion(chosen: &Chosen) -> Option<f64> {
    let sharpes: Vec<f64> = chosen.distinct.iter().filter_map(|c| columns::sharpe_of_profits(c)).collect();
    dispersion_of(&sharpes, chosen.distinct.first().map_or(0, Vec::len))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::ledger::{Kind, Varied, encode};
    use crate::stats::bootstrap::stream;
    use crate::stats::normal_quantile;
    use crate::sweep::grid::Choice;
    use rand::RngExt;

    const SESSIONS: usize = 320;

    fn date(text: &str) -> Date {
        text.parse().expect("a date")
    }

    /// Trials over a grid of `a` and `b`, all else the same.
    fn trials(a: &[i64], b: &[i64]) -> Trials {
        let varied = |key: &str, values: &[i64]| Varied {
            key: key.to_owned(),
            paths: vec![format!("strategy_parameters.{key}")],
            values: values.iter().map(|v| json!(v)).collect(),
        };
        let one = |key: &str, values: &[i64]| (values.len() > 1).then(|| varied(key, values));
        let settings = json!({"strategy_parameters": {"a": a[0], "b": b[0]}, "execution": {"friction_bps": 1.0}});
        Trials {
            strategy: "s".to_owned(),
            data: BTreeMap::from([("AMC".parse().expect("a symbol"), "hash".to_owned())]),
            synthetic: false,
            scope: "portfolio".to_owned(),
            hours: "regular".to_owned(),
            start_date: date("2020-01-02"),
            end_date: date("2021-04-09"),
            settings,
            axes: one("a", a).into_iter().chain(one("b", b)).collect(),
            conditions: Vec::new(),
            choice: Choice::All,
            points: (a.len() * b.len()) as u64,
        }
    }

    fn noise(seed: u64) -> Vec<f64> {
        let mut random = stream(seed, "noise of a trial", 0);
        (0..SESSIONS).map(|_| 0.01 * normal_quantile(random.random_range(1e-9..1.0 - 1e-9)).unwrap_or(0.0)).collect()
    }

    fn dated(returns: &[f64]) -> Vec<(Date, f64)> {
        returns.iter().enumerate().map(|(i, r)| (Date(18_263 + i as i32), *r)).collect()
    }

    /// A sweep of these values, each point's returns being those that `returns` gives of it.
    fn sweep(ledger: &mut Ledger, a: &[i64], b: &[i64], returns: &dyn Fn(i64, i64) -> Vec<f64>) {
        let trials = trials(a, b);
        let points = a.iter().flat_map(|a| b.iter().map(move |b| (*a, *b)));
        let kept: Vec<_> = points.enumerate().map(|(i, (a, b))| (i as u64, dated(&returns(a, b)))).collect();
        let kind = if trials.points > 1 { Kind::Sweep } else { Kind::Backtest };
        ledger.add(kind, &trials, Some(&encode(&kept).expect("encoded"))).expect("added");
    }

    fn luck(ledger: &Ledger) -> Luck {
        let symbols = ["AMC".parse().expect("a symbol")];
        let periods = [(date("2020-01-02"), date("2021-04-09"))];
        let about =
            About { symbols: &symbols, neglected: &BTreeSet::new(), own: &[], synthetic: false, periods: &periods };
        Luck::of(ledger, &about).expect("a sound ledger").0
    }

    fn in_a_folder(fill: impl FnOnce(&mut Ledger)) -> Luck {
        let folder = tempfile::tempdir().expect("a folder");
        let mut ledger = Ledger::open(folder.path(), "s").expect("empty");
        fill(&mut ledger);
        luck(&ledger)
    }

    fn of_noise(a: i64, b: i64) -> Vec<f64> {
        noise((100 * a + b) as u64)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]

        #[test]
        fn the_same_settings_are_deflated_alike_however_they_were_swept(cuts in prop::collection::vec(0..3u8, 8)) {
            let (a, b): (Vec<i64>, Vec<i64>) = ((0..8).collect(), (0..9).collect());
            let whole = in_a_folder(|ledger| sweep(ledger, &a, &b, &of_noise));
            let cut = in_a_folder(|ledger| {
                for (a, cut) in a.iter().zip(&cuts) {
                    match cut {
                        0 => sweep(ledger, &[*a], &b, &of_noise),
                        1 => b.iter().for_each(|b| sweep(ledger, &[*a], &[*b], &of_noise)),
                        _ => {
                            sweep(ledger, &[*a], &b[..5], &of_noise);
                            sweep(ledger, &[*a], &b[3..], &of_noise);
                        }
                    }
                }
            });
            prop_assert_eq!(whole.n, 72);
            prop_assert_eq!((whole.n, whole.n_unknown, whole.dispersion), (cut.n, cut.n_unknown, cut.dispersion));
            prop_assert_eq!(whole.sharpe_over(1000), cut.sharpe_over(1000));
            prop_assert!(cut.pbo.value() >= whole.pbo.value());
        }
    }

    /// Copies of one trial can't make the others look alike, nor count as trials of which nothing is known.
    #[test]
    fn copies_of_a_trial_do_not_dilute_how_trials_vary() {
        let (a, b): (Vec<i64>, Vec<i64>) = ((0..8).collect(), (0..9).collect());
        let before = in_a_folder(|ledger| sweep(ledger, &a, &b, &of_noise));
        let copy = |_: i64, _: i64| of_noise(0, 0);
        let after = in_a_folder(|ledger| {
            sweep(ledger, &a, &b, &of_noise);
            sweep(ledger, &(100..120).collect::<Vec<_>>(), &(0..20).collect::<Vec<_>>(), &copy);
        });
        assert_eq!(after.n, 72 + 400);
        assert!(after.sharpe_over(1000) > before.sharpe_over(1000), "{before:?} {after:?}");
        let alone = in_a_folder(|ledger| sweep(ledger, &[1, 2, 3], &[1, 2, 3, 4], &copy));
        assert_eq!((alone.n, alone.n_unknown, alone.sharpe_over(1000)), (12, 1, Some(0.0)));
    }

    fn pbo_with(junk: &dyn Fn(i64, i64) -> Vec<f64>) -> f64 {
        let of = |seed: i64| {
            let luck = in_a_folder(|ledger| {
                let noise = |a: i64, b: i64| of_noise(1_000 * seed + a, b);
                let both = |a: i64, b: i64| if a < 5 { noise(a, b) } else { junk(a, b) };
                sweep(ledger, &(0..10).collect::<Vec<_>>(), &(0..10).collect::<Vec<_>>(), &both);
            });
            luck.pbo.value().expect("defined")
        };
        (0..12).map(of).sum::<f64>() / 12.0
    }

    #[test]
    fn points_that_nobody_would_choose_do_not_help() {
        let losing = |a: i64, b: i64| of_noise(a, b).iter().map(|r| r - 0.002).collect::<Vec<f64>>();
        let seldom = |a: i64, b: i64| {
            let of = of_noise(a, b);
            (0..SESSIONS).map(|i| if i % 100 == 7 { of[i] - 0.01 } else { 0.0 }).collect::<Vec<f64>>()
        };
        let constant = |_: i64, _: i64| vec![0.0; SESSIONS];
        let copies = |_: i64, _: i64| of_noise(77, 7).iter().map(|r| r - 0.0005).collect::<Vec<f64>>();
        for junk in [&losing as &dyn Fn(i64, i64) -> Vec<f64>, &seldom, &constant, &copies] {
            let pbo = pbo_with(junk);
            assert!((0.35..0.65).contains(&pbo), "{pbo}");
        }
    }

    #[test]
    fn synthetic_and_earlier_trials_do_not_count() {
        let luck = in_a_folder(|ledger| {
            sweep(ledger, &[1], &[1], &of_noise);
            let synthetic = Trials { synthetic: true, ..trials(&[1, 2, 3], &[1, 2]) };
            ledger.add(Kind::Sweep, &synthetic, None).expect("added");
            let (start_date, end_date) = (date("2010-01-04"), date("2019-12-31"));
            let earlier = Trials { start_date, end_date, ..trials(&[4, 5, 6], &[1, 2]) };
            ledger.add(Kind::Sweep, &earlier, None).expect("added");
            // Later bars of the same settings: no second try.
            let later = Trials { end_date: date("2021-04-08"), ..trials(&[1], &[1]) };
            ledger.add(Kind::Backtest, &later, None).expect("added");
            let whole_number = Trials {
                settings: json!({"strategy_parameters": {"a": 1.0, "b": 1}, "execution": {"friction_bps": 1}}),
                ..trials(&[1], &[1])
            };
            ledger.add(Kind::Backtest, &whole_number, None).expect("added");
        });
        assert_eq!(luck.n, 1);
        let _: Value = json!(luck);
    }
}
