//! Sessions set aside: what refuses them, who looks at them, and that neither is forgotten.

use std::fmt::Write as _;

use magellan::calendar;
use serde_json::Value;

use crate::bad_inputs::Place;
use crate::support::{date, run};

const BEFORE: &str = "--start-date 2018-01-02 --end-date 2021-12-31";
const INTO: &str = "--start-date 2018-01-02 --end-date 2022-06-30";
const GRID: &str = "--grid rsi_period=5..8";

/// daily_trend beside daily bars of SPY that nobody marked as made up.
fn place() -> Place {
    let place = Place::new();
    let mut rows = "timestamp,open,high,low,close,volume\n".to_owned();
    for (i, session) in calendar::sessions(date("2017-01-03"), date("2022-12-30")).enumerate() {
        let price = 100.0 + 20.0 * (i as f64 / 9.0).sin() + i as f64 * 0.02;
        let (high, low) = (price + 1.0, price - 1.0);
        let _ = writeln!(rows, "{},{price:.2},{high:.2},{low:.2},{price:.2},1000", session.date);
    }
    place.write("SPY_1day.csv", rows);
    place.ok("data import SPY_1day.csv --archive archive");
    place
}

fn line(command: &str, rest: &str) -> String {
    format!("{command} --strategy daily_trend --symbols SPY --archive archive --ledger ledger {rest}")
}

fn refused(place: &Place, line: &str) {
    let (code, out, err) = run(place.command(line));
    assert_eq!(code, 8, "{line}: {out}{err}");
    assert!(err.contains("error[held-out-sessions]") && err.contains("2022-01-03"), "{err}");
    assert!(out.is_empty(), "{out}");
}

#[test]
fn research_refuses_sessions_set_aside_until_they_are_given_back_on_the_record() {
    for strategy in ["", "--strategy daily_trend"] {
        let place = place();
        place.ok(&format!("holdout reserve --from 2022-01-03 --ledger ledger {strategy}"));
        place.ok(&line("backtest", BEFORE));
        refused(&place, &line("backtest", INTO));
        refused(&place, &line("sweep", &format!("{INTO} {GRID}")));
        refused(&place, &line("sweep", &format!("{INTO} {GRID} --out sweep")));
        refused(&place, &line("walk-forward", &format!("{INTO} {GRID}")));
        place.ok(&line("walk-forward", &format!("{BEFORE} {GRID}")));
        let (code, _, err) = run(place.command(&format!("holdout release --ledger ledger {strategy}")));
        assert_eq!(code, 2, "without a reason: {err}");
        place.ok(&format!("holdout release --why dropped --ledger ledger {strategy}"));
        place.ok(&line("backtest", INTO));
        let shown = place.ok("holdout show --ledger ledger");
        assert!(shown.contains("2022-01-03") && shown.contains("given back: dropped"), "{shown}");
        assert!(place.ok("ledger verify --ledger ledger").contains("none gone"));
    }
}

#[test]
fn a_strategy_keeps_what_was_set_aside_for_all() {
    let place = place();
    place.ok("holdout reserve --from 2022-01-03 --ledger ledger");
    place.ok(&line("backtest", BEFORE));
    std::fs::remove_dir_all(place.at("ledger/all-strategies")).expect("removed");
    refused(&place, &line("backtest", INTO));
    let shown: Value = serde_json::from_str(&place.ok("holdout show --json --ledger ledger")).expect("JSON");
    assert_eq!(shown["reservations"][0]["strategy"], "daily_trend");
}

#[test]
fn cross_validation_is_not_headed_out_of_sample() {
    let place = place();
    let line = line("walk-forward", &format!("{BEFORE} {GRID} --scheme cross-validation"));
    let text = place.ok(&line);
    assert!(text.contains("cross-validated") && !text.contains("out-of-sample"), "{text}");
    assert!(!text.contains("out of sample"), "{text}");
    let json = place.ok(&format!("{line} --json"));
    assert!(json.contains("\"cross_validated\"") && !json.contains("\"out_of_sample\""), "{json}");
}

#[test]
fn a_walk_forward_keeps_the_returns_of_its_points_and_of_its_tests() {
    let place = place();
    place.ok(&line("walk-forward", &format!("{BEFORE} {GRID}")));
    let shown: Value = serde_json::from_str(&place.ok("ledger show --json --ledger ledger")).expect("JSON");
    let records = shown["strategies"][0]["records"].as_array().expect("records");
    assert!(records.iter().any(|r| r["kind"] == "walk-forward" && r["returns"].is_string()), "{shown}");
    assert_eq!(shown["strategies"][0]["trials"], 4);
    assert!(place.ok("ledger verify --ledger ledger").contains("none gone"));
}
