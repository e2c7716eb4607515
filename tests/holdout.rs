//! Sessions set aside: what refuses them, who looks at them, and that neither is forgotten.

use std::fmt::Write as _;

use magellan::calendar;
use serde_json::Value;

use crate::bad_inputs::Place;
use crate::support::{date, run};

const BEFORE: &str = "--start-date 2018-01-02 --end-date 2021-12-31";
const INTO: &str = "--start-date 2018-01-02 --end-date 2022-06-30";
const GRID: &str = "--grid rsi_period=5..8";

/// Daily bars that swing, and that nobody marked as made up.
fn daily(phase: f64) -> String {
    let mut rows = "timestamp,open,high,low,close,volume\n".to_owned();
    for (i, session) in calendar::sessions(date("2016-01-04"), date("2025-12-31")).enumerate() {
        let price = 100.0 + 20.0 * (i as f64 / 9.0 + phase).sin() + i as f64 * 0.02;
        let (high, low) = (price + 1.0, price - 1.0);
        let _ = writeln!(rows, "{},{price:.2},{high:.2},{low:.2},{price:.2},1000", session.date);
    }
    rows
}

/// daily_trend beside such bars of SPY.
fn place() -> Place {
    let place = Place::new();
    place.write("SPY_1day.csv", daily(0.0));
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

const IMPORT: &str = "ledger import --strategy daily_trend --symbols SPY --ledger ledger";

fn import(place: &Place, rest: &str) -> Value {
    let mut command = place.command(&format!("{IMPORT} --json {rest}"));
    let (code, out, err) = run(command.args(["--from", "optuna study 12"]));
    assert_eq!(code, 0, "{rest}: {out}{err}");
    serde_json::from_str(&out).expect("JSON")
}

fn not_imported(place: &Place, rest: &str) -> (i32, String) {
    let mut command = place.command(&format!("{IMPORT} {rest}"));
    let (code, out, err) = run(command.args(["--from", "x"]));
    assert!(code != 0 && out.is_empty(), "{rest}: {out}{err}");
    assert!(!place.at("ledger").exists(), "something was counted");
    (code, err)
}

#[test]
fn imported_trials_count_once_and_say_where_they_came_from() {
    let place = place();
    place.write("study.csv", "rsi_period,sharpe,sessions\n5,1.2,250\n6,0.4,250\n6,0.4,250\n7,-0.3,250\n");
    let dates = "--start-date 2020-01-02 --end-date 2021-06-30 --sharpe-per year";
    let said = import(&place, &format!("study.csv {dates}"));
    assert_eq!((&said["imported"], &said["trials"], &said["returns"]), (&3.into(), &3.into(), &false.into()));
    assert!(said["notes"][0].as_str().is_some_and(|n| n.contains("1 rows")), "{said}");
    let again = import(&place, &format!("study.csv {dates}"));
    assert_eq!((&again["trials_before"], &again["trials"]), (&3.into(), &3.into()), "the same file");
    place.write("other.csv", "rsi_period,my_lookback,sharpe,sessions\n5,3,1.2,250\n");
    let other = import(&place, &format!("other.csv {dates}"));
    assert_eq!(other["trials"], 4);
    assert!(other["notes"].to_string().contains("my_lookback"), "{other}");
    let shown = place.ok("ledger show --ledger ledger");
    assert!(shown.contains("import") && shown.contains("study.csv") && shown.contains("(optuna study 12)"), "{shown}");
}

#[test]
fn imported_returns_are_kept() {
    let place = place();
    place.write("wide.csv", "date,a,b\n2024-01-02,0.01,0\n2024-01-03,-0.02,0.005\n");
    let said = import(&place, "wide.csv");
    assert_eq!(
        (&said["imported"], &said["returns"], &said["start_date"]),
        (&2.into(), &true.into(), &"2024-01-02".into())
    );
    place.write("long.csv", "trial,session,return\nc,2024-01-02,0.01\nc,2024-01-03,-0.02\nd,2024-01-03,0.5\n");
    assert_eq!(import(&place, "long.csv")["trials"], 4);
    assert!(place.ok("ledger verify --ledger ledger").contains("none gone"));
    let made_up = import(&place, "wide.csv --synthetic");
    assert_eq!(made_up["imported"], 2);
}

#[test]
fn nothing_of_an_import_is_guessed_and_every_fault_is_told_at_once() {
    let place = place();
    place.write("bad.csv", "date,a,b\n2024-01-02,1.5,x\n02.01.2024,,0\n2024-01-02,0,0\n");
    let (code, err) = not_imported(&place, "bad.csv");
    assert_eq!(code, 3, "{err}");
    for part in
        ["line 2, column 2 `a`", "150 %", "line 2, column 3 `b`", "line 3, column 1", "line 3, column 2", "twice"]
    {
        assert!(err.contains(part), "{part}: {err}");
    }
    place.write("study.csv", "rsi_period,sharpe,sessions\n5,1.2,250\n,x,0\n");
    let dates = "--start-date 2020-01-02 --end-date 2021-06-30";
    assert!(not_imported(&place, &format!("study.csv {dates}")).1.contains("--sharpe-per"));
    assert!(not_imported(&place, "study.csv --sharpe-per session").1.contains("--start-date"));
    let (_, err) = not_imported(&place, &format!("study.csv {dates} --sharpe-per session"));
    assert!(err.contains("line 3, column 1") && err.contains("column 2") && err.contains("column 3"), "{err}");
    place.write("none.csv", "rsi_period,profit\n5,1.2\n");
    assert!(not_imported(&place, "none.csv").1.contains("error[missing-column]"));
}

/// The gate may look, and each setting that has looked is counted; the verdict can be worked out again.
#[test]
fn a_gates_second_look_with_other_settings_is_said_to_be_one() {
    const CONFIG: &str = "deployed/daily_trend/config.json";
    let place = Place::new();
    for other in ["bear_trap", "hourly_swing"] {
        std::fs::remove_dir_all(place.at("deployed").join(other)).expect("removed");
    }
    let config: Value = serde_json::from_slice(&std::fs::read(place.at(CONFIG)).expect("read")).expect("JSON");
    for (n, symbol) in config["symbols"].as_array().expect("symbols").iter().enumerate() {
        place.write(&format!("source/{}_1day.csv", symbol.as_str().expect("a name")), daily(n as f64));
    }
    place.ok("data import source --archive archive");
    place.ok("holdout reserve --from 2022-01-03 --ledger ledger");
    let judged = || {
        let (_, out, err) = run(place.command("gate --json --archive archive --ledger ledger --out result"));
        let verdict: Value = serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out}{err}"));
        place.ok("verdict verify result/verdict.json --archive archive --ledger ledger");
        verdict["strategies"][0]["periods"][0]["seen"].clone()
    };
    let first = judged();
    assert_eq!(first["look"]["number"], 1, "{first}");
    assert_eq!(first["unseen"], first["sessions"]);
    assert_eq!(judged(), first, "the same again");
    place.replace(CONFIG, "\"rsi_period\": 28", "\"rsi_period\": 27");
    let second = judged();
    assert_eq!((&second["look"]["number"], &second["unseen"]), (&2.into(), &0.into()), "{second}");
}
