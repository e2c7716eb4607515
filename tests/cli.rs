//! The command line as users type it: options are honoured or rejected, errors say what to do.

use std::fs;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{copy_folder, magellan, root, run};

const PERIOD: [&str; 4] = ["--start-date", "2018-01-02", "--end-date", "2025-12-31"];

fn backtest(strategy: &str, args: &[&str]) -> (i32, String, String) {
    run(magellan(["backtest", "--strategy", strategy]).args(args))
}

fn json(strategy: &str, args: &[&str]) -> Value {
    let (code, out, err) = backtest(strategy, &[args, &["--json"]].concat());
    assert_eq!(code, 0, "{args:?}: {err}");
    serde_json::from_str(&out).expect("JSON")
}

#[test]
fn results_go_to_stdout_and_errors_with_a_suggestion_to_stderr() {
    let (code, out, err) = backtest("daily_trend", &PERIOD);
    assert_eq!((code, err.as_str()), (0, ""), "{err}");
    assert!(out.contains("sharpe") && out.contains("SYNTHETIC DATA"), "{out}");
    let (code, out, err) = backtest("no_such", &PERIOD);
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(err.contains("no_such") && err.contains("bear_trap, daily_trend, hourly_swing"), "{err}");
}

#[test]
fn set_reaches_one_symbol_all_symbols_and_any_path() {
    let metrics = |args: &[&str]| json("daily_trend", &[&PERIOD[..], args].concat())["runs"][0]["metrics"].clone();
    let plain = metrics(&[]);
    for set in
        ["SPY.rsi_period=14", "rsi_period=14", "execution.friction_bps=50", "symbol_parameters.SPY.hysteresis_upper=70"]
    {
        assert_ne!(metrics(&["--set", set]), plain, "{set}");
    }
    assert_eq!(metrics(&["--set", "execution.friction_bps=50"]), metrics(&["--slippage-bps", "50"]));
    for bad in
        ["SPY.no_such=1", "no_such=1", "rsi_period", "rsi_period=0", "rsi_period=high", "SPY.hysteresis_upper=101"]
    {
        let (code, _, err) = backtest("daily_trend", &[&PERIOD[..], &["--set", bad]].concat());
        assert_eq!(code, 2, "{bad}: {err}");
    }
}

#[test]
fn scope_symbols_and_capital_are_honoured() {
    let value = json("daily_trend", &[&PERIOD[..], &["--scope", "single", "--symbols", "SPY,AAPL"]].concat());
    let labels: Vec<&str> =
        value["runs"].as_array().expect("runs").iter().filter_map(|r| r["label"].as_str()).collect();
    assert_eq!(labels, ["AAPL", "SPY"]);
    assert_eq!(value["runs"][0]["metrics"]["initial_capital"], 10_000.0, "the symbol's allocation");
    let bear = json(
        "bear_trap",
        &["--start-date", "2024-04-01", "--end-date", "2024-06-28", "--scope", "single", "--symbols", "GME"],
    );
    assert_eq!(bear["runs"][0]["metrics"]["initial_capital"], 100_000.0, "no allocation: the whole capital");
}

#[test]
fn undefined_metrics_carry_their_reason() {
    let value = json(
        "bear_trap",
        &["--start-date", "2024-04-01", "--end-date", "2024-04-02", "--symbols", "WKHS", "--set", "day_change_pct=-99"],
    );
    let sharpe = &value["runs"][0]["metrics"]["sharpe"];
    assert_eq!(sharpe["undefined"], "no deviation of returns", "{sharpe}");
}

#[test]
fn bad_arguments_are_named() {
    for (args, part) in [
        (vec!["--start-date", "2024-13-01", "--end-date", "2024-12-31"], "2024-13-01"),
        (vec!["--start-date", "2024-12-31", "--end-date", "2024-01-01"], "after the end date"),
        (vec!["--start-date", "2024-01-01"], "--end-date"),
        (vec!["--start-date", "2018-01-02", "--end-date", "2025-12-31", "--slippage-bps", "-1"], "slippage"),
        (
            vec!["--start-date", "2018-01-02", "--end-date", "2025-12-31", "--session", "all"],
            "1Day bars: they have no hours",
        ),
        (vec!["--start-date", "2018-01-02", "--end-date", "2025-12-31", "--symbols", "spy"], "spy"),
        (vec!["--start-date", "2018-01-02", "--end-date", "2025-12-31", "--symbols", "SPY,SPY"], "twice"),
        (vec!["--start-date", "2018-01-02", "--end-date", "2025-12-31", "--symbols", "ZZZ"], "ZZZ"),
    ] {
        let (code, out, err) = backtest("daily_trend", &args);
        assert_eq!((code, out.as_str()), (2, ""), "{args:?}: {err}");
        assert!(err.contains(part), "{args:?}: {err}");
    }
}

#[test]
fn missing_data_is_exit_three_with_symbol_and_what_there_is() {
    let (code, _, err) = backtest("daily_trend", &["--start-date", "2010-01-04", "--end-date", "2010-12-31"]);
    assert_eq!(code, 3);
    assert!(err.contains("AAPL") && err.contains("2018-01-02"), "{err}");
    let (code, _, err) = run(magellan(["gate", "--archive", "no/such/archive"]));
    assert_eq!(code, 3, "{err}");
    assert!(err.contains("data import"), "{err}");
}

#[test]
fn use_archived_data_is_true_false_or_unset() {
    for (value, expected) in [("true", 0), ("false", 0), ("yes", 2), ("", 2), ("TRUE", 2)] {
        let (code, _, err) = run(magellan(["gate"]).env("USE_ARCHIVED_DATA", value));
        assert_eq!(code, expected, "{value}: {err}");
    }
}

#[test]
fn list_shows_range_rows_provenance_and_hash() {
    let (code, out, _) = run(magellan(["data", "list"]));
    assert_eq!(code, 0);
    for part in ["GLD", "1Day", "2018-01-02T00:00:00Z", "synthetic (session)", "2011"] {
        assert!(out.contains(part), "{part}: {out}");
    }
    let (_, out, _) = run(magellan(["data", "list", "--json"]));
    let value: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(value["records"][0]["sha256"].as_str().map(str::len), Some(64));
}

/// A deployed folder with the one strategy's config changed.
pub(crate) fn changed(strategy: &str, change: impl Fn(&mut Value)) -> TempDir {
    let folder = TempDir::new().expect("a folder");
    let config = root().join("deployed").join(strategy).join("config.json");
    let mut value: Value = serde_json::from_str(&fs::read_to_string(config).expect("read")).expect("JSON");
    change(&mut value);
    let target = folder.path().join("deployed").join(strategy);
    fs::create_dir_all(&target).expect("made");
    fs::write(target.join("config.json"), serde_json::to_string_pretty(&value).expect("JSON")).expect("written");
    folder
}

pub(crate) fn gate_of(folder: &Path) -> (i32, String, String) {
    let sample = root().join("data/sample");
    run(magellan(["gate", "--deployed"]).arg(folder.join("deployed")).arg("--archive").arg(sample))
}

#[test]
fn syntax_errors_name_line_and_column() {
    let folder = changed("bear_trap", |_| {});
    let config = folder.path().join("deployed/bear_trap/config.json");
    let text = fs::read_to_string(&config).expect("read").replace("\"AMC\",", "\"AMC\" x");
    fs::write(&config, text).expect("written");
    let (code, out, _) = gate_of(folder.path());
    assert_eq!(code, 2);
    assert!(out.contains("config.json:"), "{out}");
}

#[test]
fn nothing_opens_a_socket() {
    // `unshare -n` gives the process a network without any interface.
    let allowed = std::process::Command::new("unshare").args(["-n", "true"]).status().is_ok_and(|s| s.success());
    if !allowed {
        println!("SKIPPED: this machine doesn't allow `unshare -n`");
        return;
    }
    for args in [
        vec!["gate"],
        vec![
            "backtest",
            "--strategy",
            "hourly_swing",
            "--start-date",
            "2022-01-03",
            "--end-date",
            "2025-12-31",
            "--use-cache",
        ],
    ] {
        let ledger = TempDir::new().expect("a folder");
        copy_folder(&root().join("data/synthetic-ledger"), ledger.path());
        let mut command = std::process::Command::new("unshare");
        let output = command
            .arg("-n")
            .arg(env!("CARGO_BIN_EXE_magellan"))
            .args(&args)
            .current_dir(root())
            .env("MAGELLAN_LEDGER", ledger.path())
            .output()
            .expect("starts");
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn recording_every_bar_changes_no_figure() {
    // Without rows to record, quiet bars are skimmed; with them every bar is walked.
    let folder = TempDir::new().expect("a folder");
    let out = folder.path().to_str().expect("UTF-8");
    for (strategy, start, end) in [
        ("bear_trap", "2024-04-01", "2024-06-28"),
        ("daily_trend", "2018-01-02", "2025-12-31"),
        ("hourly_swing", "2022-06-01", "2025-12-31"),
    ] {
        for scope in ["single", "portfolio"] {
            let args = ["--start-date", start, "--end-date", end, "--scope", scope];
            assert_eq!(
                json(strategy, &args),
                json(strategy, &[&args[..], &["--out", out]].concat()),
                "{strategy} {scope}"
            );
        }
    }
}
