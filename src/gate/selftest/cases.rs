//! What is planted, and the one check that each must fail by.

use std::f64::consts::TAU;

use serde_json::{Map, Value, json};

use super::planted::{ALL, Daily, END, Each, Hourly, Pace, Place, PriceModel, START};
use crate::archive::Archive;
use crate::config::{Complete, Override};
use crate::disk::map::Access;
use crate::error::Result;
use crate::registry;
use crate::research::backtest::Request;
use crate::research::plan::Shard;
use crate::research::results::{Contest, Rank};
use crate::research::sweep::Keeping;
use crate::research::sweepable::SweepRequest;
use crate::sweep::How;
use crate::sweep::grid::{Axis, Choice, Grid};

/// One planted case.
pub(super) struct Case {
    pub(super) name: &'static str,
    /// The check that must fail, alone; none: it must pass.
    pub(super) fails_by: Option<&'static str>,
    pub(super) plant: fn(&Place) -> Result<()>,
}

/// All of them.
pub(super) const CASES: &[Case] = &[
    Case { name: "an edge", fails_by: None, plant: edge },
    Case { name: "no edge", fails_by: Some("sharpe"), plant: no_edge },
    Case { name: "a short record", fails_by: Some("psr"), plant: short_record },
    Case { name: "the best of 1,000 on noise", fails_by: Some("dsr"), plant: best_of_noise },
    Case { name: "the best of 200 on noise, each a sweep of its own", fails_by: Some("dsr"), plant: small_sweeps },
    Case { name: "a sweep that doesn't hold afterwards", fails_by: Some("pbo"), plant: overfitted_sweep },
    Case { name: "such a sweep beside larger ones over costs", fails_by: Some("pbo"), plant: pushed_out },
    Case { name: "such a sweep among points that hardly trade", fails_by: Some("pbo"), plant: junk_columns },
    Case { name: "an edge whose sweeps nobody counted", fails_by: Some("pbo"), plant: uncounted_sweeps },
    Case { name: "a rising market without any timing", fails_by: Some("timing_p"), plant: beta_without_alpha },
    Case { name: "worse than what is deployed", fails_by: Some("sharpe_vs_deployed"), plant: worse },
    Case { name: "a free-cost edge", fails_by: Some("break_even_bps"), plant: free_costs },
    Case { name: "an edge as thin as its costs", fails_by: Some("sharpe_at_double_costs"), plant: thin },
    Case { name: "a one-symbol wonder", fails_by: Some("sharpe_without_a_symbol"), plant: one_symbol },
    Case { name: "a one-year wonder", fails_by: Some("sharpe_without_a_year"), plant: one_year },
    Case { name: "a fair-weather strategy", fails_by: Some("sharpe_in_worst_regime"), plant: fair_weather },
    Case { name: "a spike among its neighbours", fails_by: Some("sharpe_of_neighbours"), plant: spike },
    Case { name: "a drawdown that luck kept small", fails_by: Some("shuffled_drawdown"), plant: lucky_order },
    Case { name: "a symbol dropped since an earlier trial", fails_by: Some("symbols_dropped"), plant: dropped },
    Case { name: "a symbol kept with a dollar", fails_by: Some("symbols_dropped"), plant: kept_with_a_dollar },
    Case { name: "criteria weaker than the deployed ones", fails_by: Some("criteria_weakened"), plant: weakened },
    Case { name: "records gone since the deployed verdict", fails_by: Some("ledger-gap"), plant: records_gone },
    Case { name: "a verdict whose words were changed", fails_by: Some("verdict-altered"), plant: no_edge_at_all },
    Case { name: "hours stamped with their end", fails_by: Some("data_errors"), plant: end_stamped },
    Case { name: "an indicator that looks ahead", fails_by: Some("changed_by_cuts"), plant: looks_ahead },
    Case { name: "a strategy that never forgets", fails_by: Some("changed_by_seed"), plant: never_forgets },
];

/// Trends of 40 bars up and down.
fn trends(i: usize, _: &mut f64) -> (f64, f64) {
    (if (i / 40).is_multiple_of(2) { 0.004 } else { -0.003 }, 0.008)
}

/// The same in no regular order, so that they aren't met again at other times.
fn irregular_trends(i: usize, _: &mut f64) -> (f64, f64) {
    const RISES: u32 = 0b1011_0011_1010_0101_1100_0110_1001_1010;
    (if RISES >> (i / 40 % 32) & 1 == 1 { 0.004 } else { -0.003 }, 0.008)
}

fn irregular_trends_later(i: usize, last: &mut f64) -> (f64, f64) {
    irregular_trends(i + 20, last)
}

fn noise(_: usize, _: &mut f64) -> (f64, f64) {
    (0.0, 0.01)
}

fn falling(_: usize, _: &mut f64) -> (f64, f64) {
    (-0.0006, 0.01)
}

fn slowly_rising(_: usize, _: &mut f64) -> (f64, f64) {
    (0.0006, 0.01)
}

fn rising(_: usize, _: &mut f64) -> (f64, f64) {
    (0.0012, 0.01)
}

/// Half of a move follows on the next bar, and moves are small.
fn follows(_: usize, last: &mut f64) -> (f64, f64) {
    (0.35 * *last, 0.0012)
}

/// Trends for a year only: sessions 1,259 to 1,510 are 2020.
fn one_good_year(i: usize, last: &mut f64) -> (f64, f64) {
    if (1_259..1_511).contains(&i) {
        (if (i / 40).is_multiple_of(2) { 0.012 } else { -0.006 }, 0.008)
    } else {
        falling(i, last)
    }
}

/// Calm years with trends, wild half-years in which what rose falls.
fn changing(i: usize, last: &mut f64) -> (f64, f64) {
    if i % 320 < 240 { trends(i, last) } else { (-0.004 + 0.01 * (i as f64 / 5.0 * TAU).sin(), 0.022) }
}

const FOUR: [(&str, PriceModel); 4] = [
    ("AAA", irregular_trends),
    ("BBB", irregular_trends_later),
    ("CCC", irregular_trends),
    ("DDD", irregular_trends_later),
];

/// An RSI as people would set it.
fn rsi(period: u32, upper: f64, lower: f64) -> Value {
    json!({"rule": "rsi", "rsi_period": period, "upper": upper, "lower": lower})
}

/// Trades on bars that have nothing to do with the price.
fn hash(which: u32) -> Value {
    json!({"rule": "hash", "rsi_period": which, "upper": 50.0, "lower": 50.0})
}

fn names<'a>(symbols: &[(&'a str, PriceModel)]) -> Vec<&'a str> {
    symbols.iter().map(|s| s.0).collect()
}

/// Criteria besides the one that a case is about.
fn and(name: &str, levels: Value) -> Value {
    let mut criteria = json!({"trades": {"fail_below": 10}});
    criteria[name] = levels;
    criteria
}

/// Everything that may be demanded.
fn everything() -> Value {
    json!({
        "sharpe": {"fail_below": 0.5, "confidence": 0.95},
        "total_return": {"fail_below": 0.05},
        "max_drawdown": {"fail_below": -0.25, "confidence": 0.95},
        "trades": {"fail_below": 50},
        "profit_factor": {"fail_below": 1.1, "confidence": 0.9},
        "psr": {"fail_below": 0.95},
        "dsr": {"fail_below": 0.95},
        "pbo": {"fail_above": 0.5},
        "shuffled_drawdown": {"fail_below": -0.25},
        "timing_p": {"fail_above": 0.05},
        "sharpe_at_double_costs": {"fail_below": 0.5},
        "break_even_bps": {"fail_below": 10},
        "sharpe_without_a_symbol": {"fail_below": 0.5},
        "sharpe_without_a_year": {"fail_below": 0.5},
        "sharpe_in_worst_regime": {"fail_below": 0.0},
        "sharpe_of_neighbours": {"fail_below": 0.5},
    })
}

fn edge(place: &Place) -> Result<()> {
    place.days(1, &FOUR)?;
    place.configure(Daily::NAME, &names(&FOUR), rsi(14, 55.0, 45.0), 2.0, everything())?;
    sweep(place, Daily::NAME, &[axis("rsi_period", 8..=20), axis("upper", 52..=60)])?;
    place.deploy()
}

fn no_edge(place: &Place) -> Result<()> {
    place.days(2, &[("AAA", falling)])?;
    place.configure(Daily::NAME, &["AAA"], rsi(14, 55.0, 45.0), 2.0, and("sharpe", json!({"fail_below": 0.5})))
}

fn short_record(place: &Place) -> Result<()> {
    place.days(3, &[("AAA", slowly_rising)])?;
    place.configure(Daily::NAME, &["AAA"], rsi(5, 55.0, 45.0), 2.0, and("psr", json!({"fail_below": 0.95})))?;
    period(place, "2019-01-02", "2019-12-31")
}

/// 1,000 strategies that have nothing to do with each other, nor with the price.
fn best_of_noise(place: &Place) -> Result<()> {
    place.days(40, &[("AAA", noise)])?;
    let mut criteria = and("dsr", json!({"fail_below": 0.95}));
    criteria["psr"] = json!({"fail_below": 0.95});
    place.configure(Daily::NAME, &["AAA"], hash(2), 0.0, criteria.clone())?;
    let best = sweep(place, Daily::NAME, &[axis("rsi_period", 2..=1_001)])?;
    place.configure(Daily::NAME, &["AAA"], best, 0.0, criteria)
}

/// The same as many sweeps: how trials are recorded is no way to hide them.
fn small_sweeps(place: &Place) -> Result<()> {
    place.days(41, &[("AAA", noise)])?;
    let mut criteria = and("dsr", json!({"fail_below": 0.95}));
    criteria["psr"] = json!({"fail_below": 0.95});
    place.configure(Daily::NAME, &["AAA"], hash(2), 0.0, criteria.clone())?;
    let best = sweep(place, Daily::NAME, &[axis("rsi_period", 2..=201)])?;
    std::fs::remove_dir_all(place.ledger()).map_err(|e| crate::error::Error::io(&place.ledger(), &e))?;
    for which in 2..=201 {
        sweep(place, Daily::NAME, &[axis("rsi_period", which..=which)])?;
    }
    place.configure(Daily::NAME, &["AAA"], best, 0.0, criteria)
}

fn overfitted_sweep(place: &Place) -> Result<()> {
    place.days(5, &[("AAA", noise)])?;
    place.configure(Daily::NAME, &["AAA"], rsi(14, 55.0, 45.0), 0.0, and("pbo", json!({"fail_above": 0.3})))?;
    sweep(place, Daily::NAME, &[axis("rsi_period", 2..=21), axis("upper", 46..=60)]).map(|_| ())
}

fn pushed_out(place: &Place) -> Result<()> {
    overfitted_sweep(place)?;
    for thousandths in 0..9 {
        let costs = (0..400).map(|i| json!(0.001 * f64::from(thousandths) + 0.01 * f64::from(i))).collect();
        sweep(place, Daily::NAME, &[Axis { key: "execution.friction_bps".to_owned(), values: costs }])?;
    }
    Ok(())
}

fn junk_columns(place: &Place) -> Result<()> {
    place.days(5, &[("AAA", noise)])?;
    place.configure(Daily::NAME, &["AAA"], rsi(14, 55.0, 45.0), 0.0, and("pbo", json!({"fail_above": 0.3})))?;
    sweep(place, Daily::NAME, &[axis("rsi_period", 2..=21), axis("upper", 46..=100)]).map(|_| ())
}

/// Whoever tries elsewhere isn't rewarded for it.
fn uncounted_sweeps(place: &Place) -> Result<()> {
    place.days(1, &FOUR)?;
    place.configure(Daily::NAME, &names(&FOUR), rsi(14, 55.0, 45.0), 2.0, and("pbo", json!({"fail_above": 0.5})))?;
    sweep(place, Daily::NAME, &[axis("rsi_period", 8..=20), axis("upper", 52..=60)])?;
    std::fs::remove_dir_all(place.ledger()).map_err(|e| crate::error::Error::io(&place.ledger(), &e))
}

/// In the market half of the time, at times that have nothing to do with it.
fn beta_without_alpha(place: &Place) -> Result<()> {
    place.days(17, &[("AAA", rising)])?;
    let mut criteria = and("timing_p", json!({"fail_above": 0.1}));
    criteria["psr"] = json!({"fail_below": 0.95});
    place.configure(Daily::NAME, &["AAA"], hash(3), 0.0, criteria)
}

fn worse(place: &Place) -> Result<()> {
    place.days(6, &FOUR)?;
    let criteria = json!({"trades": {"fail_below": 10}});
    place.configure(Daily::NAME, &names(&FOUR), rsi(14, 55.0, 45.0), 2.0, criteria.clone())?;
    place.deploy()?;
    place.configure(Daily::NAME, &names(&FOUR), rsi(60, 52.0, 48.0), 2.0, criteria)
}

fn free_costs(place: &Place) -> Result<()> {
    place.days(7, &[("AAA", follows)])?;
    place.configure(Daily::NAME, &["AAA"], rsi(2, 60.0, 50.0), 0.0, and("break_even_bps", json!({"fail_below": 10})))
}

fn thin(place: &Place) -> Result<()> {
    place.days(7, &[("AAA", follows)])?;
    let criteria = and("sharpe_at_double_costs", json!({"fail_below": 0.5}));
    place.configure(Daily::NAME, &["AAA"], rsi(2, 60.0, 50.0), 3.0, criteria)
}

fn one_symbol(place: &Place) -> Result<()> {
    let symbols: [(&str, PriceModel); 3] = [("AAA", trends), ("BBB", falling), ("CCC", falling)];
    place.days(8, &symbols)?;
    let criteria = and("sharpe_without_a_symbol", json!({"fail_below": 0.3}));
    place.configure(Daily::NAME, &names(&symbols), rsi(14, 55.0, 45.0), 2.0, criteria)
}

fn one_year(place: &Place) -> Result<()> {
    place.days(9, &[("AAA", one_good_year)])?;
    let criteria = and("sharpe_without_a_year", json!({"fail_below": 0.3}));
    place.configure(Daily::NAME, &["AAA"], rsi(14, 55.0, 45.0), 2.0, criteria)
}

fn fair_weather(place: &Place) -> Result<()> {
    place.days(10, &[("AAA", changing)])?;
    let criteria = and("sharpe_in_worst_regime", json!({"fail_below": 0.0}));
    place.configure(Daily::NAME, &["AAA"], rsi(14, 55.0, 45.0), 2.0, criteria)
}

/// The best of 200 hashes: nothing ties it to the next one.
fn spike(place: &Place) -> Result<()> {
    place.days(11, &[("AAA", noise)])?;
    let criteria = and("sharpe_of_neighbours", json!({"fail_below": 0.5}));
    place.configure(Daily::NAME, &["AAA"], hash(2), 0.0, criteria.clone())?;
    let best = sweep(place, Daily::NAME, &[axis("rsi_period", 2..=201)])?;
    place.configure(Daily::NAME, &["AAA"], best, 0.0, criteria)
}

fn lucky_order(place: &Place) -> Result<()> {
    place.days(12, &[("AAA", trends)])?;
    let mut criteria = and("shuffled_drawdown", json!({"fail_below": -0.007}));
    criteria["max_drawdown"] = json!({"fail_below": -0.10});
    place.configure(Daily::NAME, &["AAA"], rsi(14, 55.0, 45.0), 2.0, criteria)
}

fn dropped(place: &Place) -> Result<()> {
    place.days(13, &FOUR)?;
    let criteria = json!({"sharpe": {"fail_below": 0.5}});
    place.configure(Daily::NAME, &names(&FOUR), rsi(14, 55.0, 45.0), 2.0, criteria.clone())?;
    backtest(place, Daily::NAME)?;
    place.configure(Daily::NAME, &["AAA", "BBB", "DDD"], rsi(14, 55.0, 45.0), 2.0, criteria)
}

fn kept_with_a_dollar(place: &Place) -> Result<()> {
    place.days(13, &FOUR)?;
    let criteria = json!({"sharpe": {"fail_below": 0.5}});
    let with = |allocation: f64| {
        let mut own =
            names(&FOUR).into_iter().map(|name| (name.to_owned(), rsi(14, 55.0, 45.0))).collect::<Map<_, _>>();
        own["CCC"]["allocation"] = json!(allocation);
        Value::Object(own)
    };
    place.configure(Each::NAME, &names(&FOUR), with(20_000.0), 2.0, criteria.clone())?;
    backtest(place, Each::NAME)?;
    place.configure(Each::NAME, &names(&FOUR), with(1.0), 2.0, criteria)
}

fn weakened(place: &Place) -> Result<()> {
    place.days(6, &FOUR)?;
    let criteria = |least: f64| json!({"sharpe": {"fail_below": least}});
    place.configure(Daily::NAME, &names(&FOUR), rsi(14, 55.0, 45.0), 2.0, criteria(0.5))?;
    place.deploy()?;
    place.configure(Daily::NAME, &names(&FOUR), rsi(14, 55.0, 45.0), 2.0, criteria(0.1))
}

/// Nobody may forget trials with which what is deployed was judged.
fn records_gone(place: &Place) -> Result<()> {
    place.days(6, &FOUR)?;
    let criteria = json!({"trades": {"fail_below": 10}});
    place.configure(Daily::NAME, &names(&FOUR), rsi(14, 55.0, 45.0), 2.0, criteria)?;
    sweep(place, Daily::NAME, &[axis("rsi_period", 8..=20)])?;
    place.deploy()?;
    std::fs::remove_dir_all(place.ledger()).map_err(|e| crate::error::Error::io(&place.ledger(), &e))
}

/// It fails; the verdict then says that it passes, under fitting digests.
fn no_edge_at_all(place: &Place) -> Result<()> {
    place.days(2, &[("AAA", falling)])?;
    place.configure(Daily::NAME, &["AAA"], rsi(14, 55.0, 45.0), 2.0, and("total_return", json!({"fail_below": 0.5})))
}

fn end_stamped(place: &Place) -> Result<()> {
    place.hours(14, "AAA", trends, 1)?;
    place.configure(Hourly::NAME, &["AAA"], rsi(14, 55.0, 45.0), 2.0, json!({"trades": {"fail_below": 10}}))
}

fn looks_ahead(place: &Place) -> Result<()> {
    place.hours(15, "AAA", noise, 0)?;
    let peek = json!({"rule": "peek", "rsi_period": 2, "upper": 50.0, "lower": 50.0});
    place.configure(Hourly::NAME, &["AAA"], peek, 2.0, json!({"sharpe": {"fail_below": 0.5}}))
}

fn never_forgets(place: &Place) -> Result<()> {
    place.days(16, &[("AAA", slowly_rising)])?;
    let count = json!({"rule": "count", "rsi_period": 2, "upper": 50.0, "lower": 50.0});
    place.configure(Daily::NAME, &["AAA"], count, 0.0, json!({"trades": {"fail_below": 10}}))
}

/// Another period than the template's.
fn period(place: &Place, start: &str, end: &str) -> Result<()> {
    let path = place.config(Daily::NAME);
    let text = std::fs::read_to_string(&path).map_err(|e| crate::error::Error::io(&path, &e))?;
    std::fs::write(&path, text.replace(START, start).replace(END, end)).map_err(|e| crate::error::Error::io(&path, &e))
}

fn axis(key: &str, values: std::ops::RangeInclusive<i64>) -> Axis {
    Axis { key: key.to_owned(), values: values.map(Value::from).collect() }
}

fn open(place: &Place, strategy: &str) -> Result<(Complete, Archive)> {
    let document = registry::find(ALL, strategy)?.read_complete(&place.config(strategy))?;
    Ok((document, Archive::open(&place.archive(), Access::Map)?))
}

/// A sweep as `magellan sweep` makes it, ledger and kept returns included; the parameters that were best.
fn sweep(place: &Place, strategy: &str, axes: &[Axis]) -> Result<Value> {
    let (document, archive) = open(place, strategy)?;
    let period = &document.deployment().performance_criteria.periods[0];
    let (start, end) = (period.start_date, period.end_date);
    let grid = Grid { axes: axes.to_vec(), conditions: Vec::new() };
    let request = SweepRequest {
        document: &document,
        archive: &archive,
        symbols: None,
        timeframe: None,
        hours: None,
        start,
        end,
        grid: &grid,
        choice: Choice::All,
        memory: 128 << 20,
        how: How::Fast,
    };
    let folder = place.sweeps()?;
    let keeping = Keeping { folder: folder.path(), shard: Shard::WHOLE, together: false };
    let mut ledger = place.open_ledger(strategy)?;
    let swept = registry::find(ALL, strategy)?.sweep(&request, &keeping, &mut ledger, &())?;
    let best = swept.best(Contest::All, Rank { by: "sharpe", lowest: false }, 1, &["sharpe"])?;
    let values = best.first().map_or(&[][..], |best| &best.parameters);
    let overrides: Vec<Override> =
        swept.axes.iter().zip(values).map(|(key, value)| Override::new(key, value.clone())).collect();
    Ok(document.with(&overrides)?.get("strategy_parameters").cloned().unwrap_or_default())
}

/// A backtest as `magellan backtest` counts it.
fn backtest(place: &Place, strategy: &str) -> Result<()> {
    let (document, archive) = open(place, strategy)?;
    let period = &document.deployment().performance_criteria.periods[0];
    let request = Request::portfolio(&document, &archive, period.start_date, period.end_date);
    registry::find(ALL, strategy)?.backtest(&request, &mut place.open_ledger(strategy)?)?;
    Ok(())
}
