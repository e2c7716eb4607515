//! Bars of a width that the archive doesn't have: built, printed, imported again, replayed, counted.

use std::path::Path;

use magellan::archive::Archive;
use magellan::bar::Timeframe;
use magellan::disk::map::Access;
use magellan::ledger::Ledger;
use magellan::research::backtest::Request;
use serde_json::Value;

use crate::bad_inputs::Place;
use crate::support::{date, root, run, symbol};

/// Bars of the sample as their vendor would have them in an archive of that width alone.
fn vendors(place: &Place, name: &str, width: Timeframe) {
    let bars = place.ok(&format!("data bars --archive {} --symbol {name} --timeframe {width}", sample_path()));
    place.write(&format!("{name}_{width}.csv"), bars);
    place.ok(&format!("data import {name}_{width}.csv --archive vendor --timeframe {width} --provenance vendor"));
}

fn sample_path() -> String {
    root().join("data/sample").display().to_string()
}

fn sample() -> Archive {
    Archive::open(Path::new(&sample_path()), Access::Map).expect("the sample")
}

#[test]
fn built_bars_are_those_of_a_vendors_file() {
    for (name, width, from) in [
        ("AMC", Timeframe::FiveMinutes, Timeframe::Minute),
        ("AMC", Timeframe::TenMinutes, Timeframe::Minute),
        ("AMC", Timeframe::FifteenMinutes, Timeframe::Minute),
        ("AMC", Timeframe::ThirtyMinutes, Timeframe::Minute),
        ("AMC", Timeframe::Hour, Timeframe::Minute),
        ("AMC", Timeframe::Day, Timeframe::Minute),
        ("SPY", Timeframe::Week, Timeframe::Day),
    ] {
        let place = Place::new();
        vendors(&place, name, width);
        let vendor = Archive::open(&place.at("vendor"), Access::Map).expect("imported");
        let (built, theirs) =
            (sample().load(symbol(name), width).expect("built"), vendor.load(symbol(name), width).expect("loads"));
        assert_eq!((built.built_from, theirs.built_from), (Some(from), None), "{width}");
        let (ours, theirs) = (built.bars(), theirs.bars());
        assert!(ours.len() > 50, "{width}: {}", ours.len());
        assert_eq!(ours.starts(), theirs.starts(), "{width}");
        for (a, b) in [(ours.open(), theirs.open()), (ours.high(), theirs.high()), (ours.low(), theirs.low())] {
            assert_eq!(a, b, "{width}");
        }
        assert_eq!((ours.close(), ours.volume()), (theirs.close(), theirs.volume()), "{width}");
    }
}

#[test]
fn a_replay_on_built_bars_is_one_on_a_vendors() {
    let place = Place::new();
    vendors(&place, "AMC", Timeframe::FiveMinutes);
    let config = root().join("deployed/bear_trap/config.json");
    let line = format!(
        "backtest --strategy bear_trap --config {} --symbols AMC --timeframe 5Min --set day_change_pct=-5 \
         --start-date 2024-04-01 --end-date 2024-06-28 --json --archive ",
        config.display()
    );
    let figures = |archive: &str| {
        let result: Value = serde_json::from_str(&place.ok(&format!("{line}{archive}"))).expect("JSON");
        let run = &result["runs"][0];
        (run["metrics"].clone(), run["data_sha256"].clone())
    };
    let (built, theirs) = (figures(&sample_path()), figures("vendor"));
    assert_eq!(built.0, theirs.0);
    assert!(built.0["trades"].as_u64() > Some(0), "{}", built.0);
    assert_ne!(built.1, theirs.1, "other records are other data");
    // Figures on the strategy's own width are others.
    let minutes = place.ok(&format!("{line}{}", sample_path()).replace("--timeframe 5Min", ""));
    assert_ne!(serde_json::from_str::<Value>(&minutes).expect("JSON")["runs"][0]["metrics"], built.0);
}

#[test]
fn each_width_is_a_trial_and_the_table_says_that_bars_were_built() {
    let place = Place::new();
    let config = root().join("deployed/bear_trap/config.json");
    let line = format!(
        "backtest --strategy bear_trap --config {} --archive {} --ledger ledger --symbols AMC \
         --start-date 2024-04-01 --end-date 2024-06-28",
        config.display(),
        sample_path()
    );
    let trials = |width: &str| {
        let shown = place.ok(&format!("{line} {width}"));
        let ledger = Ledger::open(&place.at("ledger"), "bear_trap").expect("a ledger");
        (ledger.count().expect("sound"), shown.contains("bars built from 1Min bars"))
    };
    assert_eq!(trials(""), (1, false));
    assert_eq!(trials("--timeframe 1Min"), (1, false), "the declared width is no other trial");
    assert_eq!(trials("--timeframe 5Min"), (2, true));
    assert_eq!(trials("--timeframe 5m"), (2, true), "the same by another name");
    assert_eq!(trials("--timeframe 15Min"), (3, true));
    let sweep = line.replace("backtest", "sweep") + " --grid day_change_pct=-15,-10 --timeframe 5Min --out swept";
    let shown = place.ok(&sweep);
    assert!(shown.contains("5Min bars built from 1Min bars"), "{shown}");
    let ledger = Ledger::open(&place.at("ledger"), "bear_trap").expect("a ledger");
    assert_eq!(ledger.count().expect("sound"), 4, "one of the sweep's two was the backtest");
}

#[test]
fn what_can_not_be_built_is_refused_and_says_what_there_is() {
    let place = Place::new();
    let bars = |name: &str, width: &str| {
        run(place.command(&format!("data bars --archive {} --symbol {name} --timeframe {width}", sample_path())))
    };
    // Days don't make minutes, and hours begin before the session does.
    for (name, width, words) in [
        ("SPY", "5Min", "no 5Min bars of SPY; it has 1Day"),
        ("TSLA", "30Min", "finer ones to build them from: 1Min, 5Min, 10Min, 15Min"),
        ("AMZN", "1Min", "nothing is finer"),
        ("ZZZ", "5Min", "no 5Min bars of ZZZ"),
    ] {
        let (code, out, err) = bars(name, width);
        assert_eq!((code, out.as_str()), (3, ""), "{name} {width}");
        assert!(err.contains("no-bars") && err.contains(words), "{name} {width}: {err}");
    }
    let (code, _, err) = bars("AMC", "7Min");
    assert!(code == 2 && err.contains("1Min, 5Min, 10Min"), "{err}");
    // A day has no hours to choose, whatever the strategy's own width.
    let config = root().join("deployed/bear_trap/config.json");
    let line = format!(
        "backtest --strategy bear_trap --config {} --archive {} --symbols AMC --start-date 2024-04-01 \
         --end-date 2024-06-28 --timeframe 1Day --session all",
        config.display(),
        sample_path()
    );
    let (code, _, err) = run(place.command(&line));
    assert!(code == 2 && err.contains("no hours to choose"), "{err}");
}

#[test]
fn printed_bars_are_those_of_the_sessions_asked_for() {
    let place = Place::new();
    let lines = |more: &str| {
        let text = place.ok(&format!("data bars --archive {} --symbol AMC {more}", sample_path()));
        let mut lines = text.lines().map(str::to_owned);
        assert_eq!(lines.next().as_deref(), Some("timestamp,open,high,low,close,volume"));
        lines.collect::<Vec<String>>()
    };
    let day = "--start-date 2024-04-01 --end-date 2024-04-01";
    assert_eq!(lines(&format!("--timeframe 5Min {day}")).len(), 78);
    assert!(lines(&format!("--timeframe 30Min {day}"))[0].starts_with("2024-04-01T13:30:00Z,"));
    let hours = |session: &str| lines(&format!("--timeframe 1Hour {session} {day}"));
    assert_eq!((hours("--session all").len(), hours("--session regular").len()), (7, 6));
    assert!(hours("--session regular")[0].starts_with("2024-04-01T14:00:00Z,"));
    let week = lines("--timeframe 1Week --start-date 2024-04-01 --end-date 2024-04-05");
    assert!(week.len() == 1 && week[0].starts_with("2024-04-01T00:00:00Z,"), "{week:?}");
    assert!(lines("--timeframe 1Week --start-date 2024-04-01 --end-date 2024-04-04").is_empty(), "known on the 5th");
}

#[test]
fn weekly_returns_are_annualised_by_weeks() {
    let strategy = deployable_strategies::ALL.iter().find(|s| s.name() == "daily_trend").expect("it is there");
    let document = strategy.read_document(&root().join("deployed/daily_trend/config.json"), &[]).expect("a config");
    let archive = sample();
    let folder = tempfile::tempdir().expect("a folder");
    let mut ledger = Ledger::open(folder.path(), strategy.name()).expect("a ledger");
    let symbols = [symbol("SPY")];
    let mut request = Request::portfolio(&document, &archive, date("2018-01-02"), date("2025-12-31"));
    (request.symbols, request.timeframe) = (Some(&symbols[..]), Some(Timeframe::Week));
    let run = strategy.backtest(&request, &mut ledger).expect("replays").remove(0);
    let equity: Vec<f64> = std::iter::once(run.replay.capital).chain(run.replay.equity.iter().map(|e| e.1)).collect();
    let returns: Vec<f64> = equity.windows(2).map(|w| w[1] / w[0] - 1.0).collect();
    let n = returns.len() as f64;
    let mean = returns.iter().sum::<f64>() / n;
    let deviation = (returns.iter().map(|r| (r - mean) * (r - mean)).sum::<f64>() / (n - 1.0)).sqrt();
    let near = |figure: magellan::metrics::Measure, expected: f64| {
        let value = figure.value().expect("defined");
        assert!((value - expected).abs() < 1e-9, "{value} {expected}");
    };
    assert!(run.metrics.trades > 3, "{}", run.metrics.trades);
    assert!((400.0..420.0).contains(&n), "eight years have {n} weeks");
    near(run.metrics.sharpe, mean / deviation * 52f64.sqrt());
    near(run.metrics.volatility, deviation * 52f64.sqrt());
}
