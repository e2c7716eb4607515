//! What once passed by accident and must be red, each with its own reason.

use std::fs;

use serde_json::json;

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
        c["performance_criteria"]["criteria"] = json!({"sharpe": {"fail_below": -100.0}});
    });
    let (code, out, _) = gate_of(folder.path());
    assert_eq!(code, 1);
    assert!(out.contains("undefined(no deviation"), "{out}");
}

#[test]
fn an_empty_deployed_folder_is_red() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("deployed")).expect("made");
    let (code, out, err) = gate_of(folder.path());
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(err.contains("no strategy is deployed"), "{err}");
    fs::create_dir(folder.path().join("deployed/bear_trap")).expect("made");
    assert_eq!(gate_of(folder.path()).0, 2, "a folder without a config");
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
        assert_eq!(strategy["config_sha256"].as_str().map(str::len), Some(64));
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
        verdict["strategies"][0]["config_sha256"].to_string()
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
