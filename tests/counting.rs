//! No figure of bars of an archive is handed out before its trials are in the ledger; what nobody counted says so.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use deployable_strategies::ALL;
use magellan::archive::Archive;
use magellan::config::Checked;
use magellan::disk::map::Access;
use magellan::error::codes;
use magellan::ledger::Ledger;
use magellan::prelude::*;
use magellan::registry::{self, AnyStrategy};
use magellan::research::backtest::Request;
use magellan::research::plan::Shard;
use magellan::research::progress::Progress;
use magellan::research::sweep::Keeping;
use magellan::research::sweepable::SweepRequest;
use magellan::research::walk_forward::{Choosing, Division, Scheme};
use magellan::sweep::How;
use magellan::sweep::grid::{Choice, Grid};
use proptest::prelude::*;
use tempfile::TempDir;

use crate::support::{date, root};
use crate::tidy::sources;

const NAME: &str = "daily_trend";

fn strategy() -> &'static dyn AnyStrategy {
    registry::find(ALL, NAME).expect("known")
}

fn document() -> Checked {
    strategy().read_document(&root().join(format!("deployed/{NAME}/config.json")), &[]).expect("a config")
}

fn sample() -> Archive {
    Archive::open(&root().join("data/sample"), Access::Map).expect("an archive")
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

/// Counts what the ledger on disk holds when the first replay is about to begin.
struct CountedFirst<'a> {
    ledger: &'a Path,
    points: u64,
    began: AtomicBool,
}

impl Progress for CountedFirst<'_> {
    fn begins(&self, _: u64, _: f64) {
        let ledger = Ledger::open(self.ledger, NAME).expect("a ledger");
        assert_eq!(ledger.count().expect("counted"), self.points, "replays began before they were counted");
        self.began.store(true, Ordering::Relaxed);
    }
}

fn grid(periods: u32, uppers: u32) -> Grid {
    let axes = [format!("rsi_period=5..{}", 4 + periods), format!("hysteresis_upper=55..{}", 54 + uppers)];
    Grid { axes: axes.map(|axis| axis.parse().expect("an axis")).to_vec(), conditions: Vec::new() }
}

fn sweep_request<'a>(document: &'a Checked, archive: &'a Archive, grid: &'a Grid) -> SweepRequest<'a> {
    let (start, end) = (date("2022-01-03"), date("2023-12-29"));
    let (choice, how) = (Choice::All, How::Fast);
    SweepRequest {
        document,
        archive,
        symbols: None,
        timeframe: None,
        hours: None,
        start,
        end,
        grid,
        choice,
        memory: 1 << 26,
        how,
    }
}

const BY_SHARPE: Choosing<'static> = Choosing {
    division: Division { scheme: Scheme::Anchored, folds: 2, train: None, purge: 0, embargo: 0 },
    by: "sharpe",
    lowest: false,
};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]
    #[test]
    fn sweeps_and_walk_forwards_are_counted_before_the_first_replay(periods in 1u32..5, uppers in 1u32..4, walks: bool) {
        let (document, archive, grid, place) = (document(), sample(), grid(periods, uppers), folder());
        // An account for each symbol, and all together.
        let accounts = document.config().symbols.len() as u64 + 1;
        let (points, request) = (u64::from(periods * uppers) * accounts, sweep_request(&document, &archive, &grid));
        let watch = CountedFirst { ledger: place.path(), points, began: AtomicBool::new(false) };
        let mut ledger = Ledger::open(place.path(), NAME).expect("a ledger");
        let trials = if walks {
            strategy().walk_forward(&request, &BY_SHARPE, &mut ledger, &watch).expect("walked").trials
        } else {
            let results = folder();
            let keeping = Keeping { folder: results.path(), shard: Shard::WHOLE, together: false };
            strategy().sweep(&request, &keeping, &mut ledger, &watch).expect("swept").trials
        };
        prop_assert!(watch.began.load(Ordering::Relaxed));
        prop_assert_eq!(trials, points);
    }

    #[test]
    fn a_backtest_is_in_the_ledger_when_its_runs_are_handed_out(days in 30i32..400) {
        let (document, archive, place) = (document(), sample(), folder());
        let start = date("2022-01-03");
        let request = Request::portfolio(&document, &archive, start, Date(start.0 + days));
        let mut ledger = Ledger::open(place.path(), NAME).expect("a ledger");
        let runs = strategy().backtest(&request, &mut ledger).expect("replayed");
        prop_assert_eq!(runs.len(), 1);
        // All ten symbols together, and the settings of each.
        prop_assert_eq!(Ledger::open(place.path(), NAME).and_then(|l| l.count()).expect("counted"), 11);
    }
}

/// So that settings tried by walk-forward count as if they had been swept: the same trials, the same returns.
#[test]
fn a_walk_forward_keeps_what_a_sweep_of_the_same_grid_keeps() {
    let (document, archive, grid) = (document(), sample(), grid(3, 2));
    let request = sweep_request(&document, &archive, &grid);
    let kept = |walks: bool| {
        let (place, results) = (folder(), folder());
        let mut ledger = Ledger::open(place.path(), NAME).expect("a ledger");
        if walks {
            strategy().walk_forward(&request, &BY_SHARPE, &mut ledger, &()).expect("walked");
        } else {
            let keeping = Keeping { folder: results.path(), shard: Shard::WHOLE, together: false };
            strategy().sweep(&request, &keeping, &mut ledger, &()).expect("swept");
        }
        let (hash, _) = ledger.records().iter().find(|(_, r)| r.returns.is_some()).expect("kept");
        (ledger.count().expect("counted"), ledger.returns(hash).expect("returns"))
    };
    let (walked, swept) = (kept(true), kept(false));
    assert_eq!(walked.1.len(), 6);
    assert_eq!(walked, swept);
}

/// A ledger that can't be written: a file stands where its folder would be.
fn unwritable(place: &Path) -> Ledger {
    let ledger = Ledger::open(place, NAME).expect("none yet");
    fs::write(place.join(NAME), "in the way").expect("written");
    ledger
}

#[test]
fn without_a_record_there_is_no_figure() {
    let (document, archive, grid) = (document(), sample(), grid(2, 1));
    let (place, results) = (folder(), folder());
    let mut ledger = unwritable(place.path());
    let request = Request::portfolio(&document, &archive, date("2022-01-03"), date("2022-12-30"));
    let backtest = strategy().backtest(&request, &mut ledger).map(drop);
    let request = sweep_request(&document, &archive, &grid);
    let keeping = Keeping { folder: results.path(), shard: Shard::WHOLE, together: false };
    let sweep = strategy().sweep(&request, &keeping, &mut ledger, &()).map(drop);
    let walk = strategy().walk_forward(&request, &BY_SHARPE, &mut ledger, &()).map(drop);
    for refused in [backtest, sweep, walk] {
        assert_eq!(refused.map_err(|e| e.code()), Err(codes::CANNOT_WRITE));
    }
    assert!(!results.path().join("results.parquet").exists());
}

#[test]
fn trials_of_one_strategy_are_not_counted_for_another() {
    let (document, archive, place) = (document(), sample(), folder());
    let request = Request::portfolio(&document, &archive, date("2022-01-03"), date("2022-12-30"));
    let mut other = Ledger::open(place.path(), "hourly_swing").expect("a ledger");
    let refused = strategy().backtest(&request, &mut other).map(drop);
    assert_eq!(refused.map_err(|e| e.code()), Err(codes::BAD_ARGUMENT));
}

#[test]
fn another_kind_of_account_is_another_trial() {
    let (archive, place) = (sample(), folder());
    let mut ledger = Ledger::open(place.path(), NAME).expect("a ledger");
    let mut counts = Vec::new();
    for account in [
        &["cash"][..],
        &["unlimited"],
        &["margin"],
        &["margin", "margin_multiplier=2", "buying_power=200000"],
        &["margin"],
    ] {
        let keys = ["account"].map(|key| format!("{key}={}", account[0])).into_iter();
        let keys = keys.chain(account[1..].iter().map(|key| (*key).to_owned()));
        let set: Vec<_> = keys.map(|key| format!("account_info.{key}").parse().expect("a setting")).collect();
        let document = strategy().read_document(&root().join(format!("deployed/{NAME}/config.json")), &set);
        let document = document.expect("a config");
        let request = Request::portfolio(&document, &archive, date("2022-01-03"), date("2022-12-30"));
        strategy().backtest(&request, &mut ledger).expect("replayed");
        counts.push(ledger.count().expect("counted"));
    }
    let new: Vec<bool> = counts.windows(2).map(|w| w[1] > w[0]).collect();
    assert_eq!(new, [true, true, true, false], "{counts:?}");
}

#[test]
fn a_backtest_over_bars_at_hand_says_that_nobody_counted_it() {
    let spy = sample().load("SPY".parse().expect("a symbol"), Timeframe::Day).expect("bars");
    let indicator = Indicator::rsi(14);
    let strategy = Levels { indicator, enter_above: 60.0, exit_below: 40.0, size: Size::Notional(50_000.0) };
    let result = Backtest::new(&spy, strategy).run().expect("replayed");
    assert!(result.to_string().starts_with("uncounted "), "{result}");
    let place = folder();
    result.plot(&place.path().join("plot.svg")).expect("drawn");
    assert!(fs::read_to_string(place.path().join("plot.svg")).expect("read").contains("uncounted "));
}

/// Types that the gate and the reports take as results. A public function of the library may hand one out if it takes a
/// ledger, or makes it of such a result.
const COUNTED: [&str; 4] = ["Run", "Swept", "WalkForward", "Judgement"];
/// Types of figures that nobody counted yet. A public function that makes them of bars labels them.
const FIGURES: [&str; 2] = ["Replay", "Backtested"];

/// A public function: its name with parameters, and what it returns.
fn public_functions(text: &str) -> Vec<(String, String)> {
    let before_tests = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let signatures = before_tests.split("pub fn ").skip(1);
    let parts = signatures.map(|rest| {
        let signature = rest.split([';', '{']).next().unwrap_or_default();
        let (parameters, returned) = signature.split_once("->").unwrap_or((signature, ""));
        (parameters.to_owned(), returned.to_owned())
    });
    parts.collect()
}

fn names(returned: &str, types: &[&str]) -> bool {
    returned.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| types.contains(&word))
}

#[test]
fn every_public_way_to_figures_takes_a_ledger_or_says_uncounted() {
    let mut seen = 0;
    for path in sources(&root().join("src")) {
        let text = fs::read_to_string(&path).expect("read");
        for (parameters, returned) in public_functions(&text) {
            if names(&returned, &COUNTED) {
                seen += 1;
                // The gate opens the ledgers itself.
                let counts = parameters.contains("&mut Ledger") || path.ends_with("gate/judge.rs");
                assert!(counts, "{}: fn {parameters} hands out{returned} and takes no ledger", path.display());
            } else if names(&returned, &FIGURES) {
                seen += 1;
                assert!(returned.contains("Uncounted<"), "{}: fn {parameters} ->{returned}", path.display());
            }
        }
    }
    assert!(seen >= 6, "only {seen} such functions were seen");
}

#[test]
fn the_scan_of_public_functions_finds_what_it_looks_for() {
    let text = "pub fn leak(bars: Bars<'_>) -> Result<Vec<Run>> {\n}\npub(crate) fn inside() -> Run {}\npub fn fine(x: &mut Ledger)\n    -> Run\n{}";
    let found = public_functions(text);
    assert_eq!(found.len(), 2);
    assert!(names(&found[0].1, &COUNTED) && !found[0].0.contains("&mut Ledger"));
    assert!(names(&found[1].1, &COUNTED) && found[1].0.contains("&mut Ledger"));
    assert!(!names("Result<RunPlan>", &COUNTED));
}
