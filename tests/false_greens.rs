//! What once passed by accident and must be red, each with its own reason.
//!
//! The eleven false greens, and where each is replayed:
//!
//! | false green | here |
//! |---|---|
//! | a stub result | `a_stub_that_never_trades_is_red` |
//! | no criteria | `no_criteria_is_red` |
//! | zero tests | `validate::zero_tests_are_red` |
//! | zero trades | `zero_trades_are_red_even_if_no_criterion_asks_for_trades` |
//! | an empty config glob | `an_empty_or_moved_deployed_folder_is_red_for_validator_and_gate_alike` |
//! | a missing archive | `a_missing_archive_is_red_for_validator_and_gate_alike` |
//! | a NaN metric | `an_undefined_metric_is_red` |
//! | a skipped stage | `workflow::a_skipped_stage_is_red`; what `validate` can't check, it says |
//! | a masked exit code | `unit::a_masked_failure_is_found`, `workflow::a_masked_exit_code_is_red`, `a_verdict_that_could_not_be_written_is_red` |
//! | a unit that greps as active, yesterday's log | come with the deploy shell |

use std::fs;

use magellan::calendar;
use serde_json::json;

use crate::bad_inputs::Place;

use crate::cli::{changed, gate_of};
use crate::support::{magellan, root, run};

#[test]
fn no_criteria_is_red() {
    for missing in [json!(null), json!({"periods": [], "criteria": {"sharpe": {"fail_below": 0.0}}})] {
        let folder = changed("bear_trap", |c| c["performance_criteria"] = missing.clone());
        let (code, out, _) = gate_of(folder.path());
        assert_eq!(code, 2, "{out}");
        assert!(out.contains("without criteria"), "{out}");
    }
    let folder = changed("bear_trap", |c| c["performance_criteria"]["criteria"] = json!({}));
    assert_eq!(gate_of(folder.path()).0, 2);
}

#[test]
fn zero_trades_are_red_even_if_no_criterion_asks_for_trades() {
    let folder = changed("bear_trap", |c| {
        c["strategy_parameters"]["day_change_pct"] = (-99.0).into();
        c["performance_criteria"]["criteria"] =
            json!({"total_return": {"fail_below": 0.0}, "max_drawdown": {"fail_below": -0.5}});
    });
    let (code, out, _) = gate_of(folder.path());
    assert_eq!(code, 1, "{out}");
    assert!(out.contains("no trades"), "{out}");
}

#[test]
fn an_undefined_metric_is_red() {
    let folder = changed("bear_trap", |c| {
        c["strategy_parameters"]["day_change_pct"] = (-99.0).into();
        c["performance_criteria"]["criteria"] = json!({"sharpe": {"fail_below": -99.0}});
    });
    let (code, out, _) = gate_of(folder.path());
    assert_eq!(code, 1);
    assert!(out.contains("undefined(no deviation"), "{out}");
}

#[test]
fn a_stub_that_never_trades_is_red() {
    // The predecessor's: nothing replayed, "0 trades, 0 P&L, validation passed".
    let folder = changed("daily_trend", |c| {
        for parameters in c["symbol_parameters"].as_object_mut().expect("by symbol").values_mut() {
            parameters["hysteresis_upper"] = 100.into();
        }
        c["performance_criteria"]["criteria"] = json!({"max_drawdown": {"fail_below": -0.99}});
    });
    let (code, out, _) = gate_of(folder.path());
    assert_eq!(code, 1, "{out}");
    assert!(out.contains("no trades") && out.contains("0 trades on 10 symbols"), "{out}");
}

#[test]
fn an_empty_or_moved_deployed_folder_is_red_for_validator_and_gate_alike() {
    let folder = tempfile::tempdir().expect("a folder");
    let deployed = folder.path().join("deployed");
    let sample = root().join("data/sample");
    let both = || {
        ["gate", "validate"].map(|command| {
            let (code, out, err) = run(magellan([command, "--deployed"]).arg(&deployed).arg("--archive").arg(&sample));
            (code, out + &err)
        })
    };
    for (code, text) in both() {
        assert!(code == 2 && text.contains("error[no-deployed-folder]"), "{code} {text}");
    }
    fs::create_dir(&deployed).expect("made");
    for (code, text) in both() {
        assert!(code == 2 && text.contains("error[nothing-deployed]"), "{code} {text}");
    }
    fs::create_dir(deployed.join("bear_trap")).expect("made");
    for (code, text) in both() {
        assert!(code == 2 && text.contains("error[no-config]"), "{code} {text}");
    }
}

#[test]
fn a_missing_archive_is_red_for_validator_and_gate_alike() {
    for command in ["gate", "validate"] {
        let (code, out, err) = run(magellan([command, "--archive", "no/such/archive"]));
        assert!(code == 3 && (out + &err).contains("error[no-archive]"), "{command}: {code} {err}");
    }
}

/// Daily bars of SPY that rise and fall for three years, and jump threefold in the second.
fn jumping(place: &Place) {
    let mut rows = String::from("timestamp,open,high,low,close,volume\n");
    for (i, session) in
        calendar::sessions("2021-01-04".parse().expect("a date"), "2023-12-29".parse().expect("a date")).enumerate()
    {
        let wave = ((i % 120) as f64 / 60.0 - 1.0).abs();
        let price = (100.0 + 40.0 * wave) * if i > 300 { 3.0 } else { 1.0 };
        rows += &format!("{},{price},{},{},{price},1000000\n", session.date, price + 1.0, price - 1.0);
    }
    place.write("SPY_1day.csv", rows);
    place.ok("data import SPY_1day.csv --archive archive --timeframe 1Day");
    for other in ["bear_trap", "hourly_swing"] {
        fs::remove_dir_all(place.at("deployed").join(other)).expect("removed");
    }
    place.change("deployed/daily_trend/config.json", |bytes| {
        let mut config: serde_json::Value = serde_json::from_slice(bytes).expect("JSON");
        config["symbols"] = json!(["SPY"]);
        config["symbol_parameters"] = json!({"SPY": config["symbol_parameters"]["SPY"]});
        config["performance_criteria"] = json!({
            "periods": [{"name": "2021-2023", "start_date": "2021-01-04", "end_date": "2023-12-29"}],
            "criteria": {"trades": {"fail_below": 1}},
        });
        *bytes = serde_json::to_vec_pretty(&config).expect("JSON");
    });
}

#[test]
fn an_undeclared_jump_blocks_the_gate_until_somebody_says_what_it_was() {
    let place = Place::new();
    jumping(&place);
    place.ok("validate --archive archive");
    let gate = "gate --archive archive";
    let (code, out, _) = run(place.command(gate));
    assert_eq!(code, 3, "{out}");
    assert!(out.contains("error[undeclared-jump]: SPY 1Day 2022-03-15"), "{out}");
    assert!(out.contains("declare a split, or declare the day as real"), "{out}");
    place.write("moves.csv", "symbol,date,reason\nSPY,2022-03-15,made for a test\n");
    place.ok("data import moves.csv --archive archive");
    place.ok(gate);
    let checked = place.ok("data check --archive archive");
    assert!(checked.contains("declared-day") && checked.contains("made for a test"), "{checked}");
}

#[test]
fn a_gap_inside_the_period_blocks_the_gate() {
    let place = Place::new();
    jumping(&place);
    place.write("moves.csv", "symbol,date,reason\nSPY,2022-03-15,made for a test\n");
    // Forty sessions that were never imported lie inside the period.
    place.change("SPY_1day.csv", |bytes| {
        let text = String::from_utf8(bytes.clone()).expect("UTF-8");
        let kept: Vec<&str> = text.lines().enumerate().filter(|(i, _)| !(400..440).contains(i)).map(|l| l.1).collect();
        *bytes = (kept.join("\n") + "\n").into_bytes();
    });
    place.ok("data import SPY_1day.csv moves.csv --archive gap --timeframe 1Day");
    let (code, out, _) = run(place.command("gate --archive gap"));
    assert_eq!(code, 3, "{out}");
    assert!(out.contains("error[missing-sessions]") && out.contains("40 sessions from"), "{out}");
}

#[test]
fn an_unknown_strategy_is_red() {
    let folder = changed("bear_trap", |_| {});
    fs::rename(folder.path().join("deployed/bear_trap"), folder.path().join("deployed/bull_trap")).expect("renamed");
    let (code, out, _) = gate_of(folder.path());
    assert_eq!(code, 2);
    assert!(out.contains("bull_trap"), "{out}");
}

#[test]
fn a_missing_symbol_is_red_though_the_others_would_pass() {
    let folder = changed("bear_trap", |c| {
        c["symbols"].as_array_mut().expect("symbols").push("ZZZ".into());
    });
    let (code, out, _) = gate_of(folder.path());
    assert_eq!(code, 3);
    assert!(out.contains("ZZZ"), "{out}");
}

#[test]
fn a_period_without_bars_is_red() {
    let folder = changed("bear_trap", |c| c["performance_criteria"]["periods"][0]["end_date"] = "2024-04-01".into());
    let other = changed("bear_trap", |c| {
        c["performance_criteria"]["periods"][0] =
            json!({"name": "later", "start_date": "2026-01-02", "end_date": "2026-02-02"});
    });
    assert_ne!(gate_of(folder.path()).0, 0, "a day isn't enough for the criteria");
    let (code, out, _) = gate_of(other.path());
    assert_eq!(code, 3, "{out}");
}

#[test]
fn one_broken_strategy_does_not_hide_the_others() {
    let folder = changed("bear_trap", |c| c["symbols"] = json!(["AMC", "AMC"]));
    let daily = folder.path().join("deployed/daily_trend");
    fs::create_dir(&daily).expect("made");
    fs::copy(root().join("deployed/daily_trend/config.json"), daily.join("config.json")).expect("copied");
    let (code, out, _) = gate_of(folder.path());
    assert_eq!(code, 2);
    assert!(out.contains("ERROR bear_trap") && out.contains("PASS daily_trend"), "{out}");
}

#[test]
fn the_verdict_names_config_and_data_by_hash() {
    let (_, out, _) = run(magellan(["gate", "--json"]));
    let verdict: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!((verdict["exit_code"].as_u64(), verdict["synthetic"].as_bool()), (Some(0), Some(true)));
    for strategy in verdict["strategies"].as_array().expect("strategies") {
        assert_eq!(strategy["subject"]["config"].as_str().map(str::len), Some(64));
        assert_eq!(strategy["periods"][0]["data_sha256"].as_str().map(str::len), Some(64));
    }
}

#[test]
fn a_loosened_threshold_changes_the_config_hash() {
    let hash = |folder: &std::path::Path| {
        let sample = root().join("data/sample");
        let (_, out, _) =
            run(magellan(["gate", "--json", "--deployed"]).arg(folder.join("deployed")).arg("--archive").arg(sample));
        let verdict: serde_json::Value = serde_json::from_str(&out).expect("JSON");
        verdict["strategies"][0]["subject"]["config"].to_string()
    };
    let (same, loose) = (
        changed("bear_trap", |_| {}),
        changed("bear_trap", |c| c["strategy_parameters"]["day_change_pct"] = (-10.0).into()),
    );
    assert_ne!(hash(same.path()), hash(loose.path()));
}

#[test]
fn a_symbol_that_covers_part_of_a_period_is_red() {
    let folder = changed("bear_trap", |c| c["performance_criteria"]["periods"][0]["start_date"] = "2024-03-01".into());
    let (code, out, _) = gate_of(folder.path());
    assert_eq!(code, 3, "{out}");
    assert!(out.contains("covers 2024-04-01 to 2024-06-28"), "{out}");
}

#[test]
fn a_verdict_that_could_not_be_written_is_red() {
    let full = fs::OpenOptions::new().write(true).open("/dev/full").expect("Linux has it");
    let status = magellan(["gate"]).stdout(full).stderr(std::process::Stdio::null()).status().expect("starts");
    assert_eq!(status.code(), Some(2));
}
