//! Strategies as rules, through the binary: those that also exist in Rust trade alike, and what is wrong with a rule is
//! found where it is.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::reference::{archive, backtest, compare_without};
use crate::support::{expected, magellan, root, run};

fn example(name: &str) -> PathBuf {
    root().join(format!("examples/rules/{name}.json"))
}

/// Everything that a backtest writes that doesn't name its program or parameters.
fn results(folder: &Path) -> BTreeMap<String, String> {
    let files = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let tables = files.filter(|path| path.extension().is_some_and(|kind| kind == "csv"));
    tables
        .map(|path| {
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            (name, fs::read_to_string(path).expect("read"))
        })
        // Bars are listed with what each strategy looks at.
        .filter(|(name, _)| !name.contains("decisions"))
        .collect()
}

fn on_sample(folder: &Path, args: &[&str]) -> BTreeMap<String, String> {
    let mut command = magellan(["backtest"]);
    command.args(args).arg("--out").arg(folder).env("MAGELLAN_LEDGER", folder.join("ledger")).current_dir(root());
    let (code, _, err) = run(&mut command);
    assert_eq!(code, 0, "{args:?}: {err}");
    results(folder)
}

#[test]
fn rules_trade_as_the_same_strategies_in_rust() {
    let daily = ["--start-date", "2018-01-02", "--end-date", "2025-12-31", "--scope", "single"];
    let hourly = ["--start-date", "2022-01-03", "--end-date", "2025-12-31", "--scope", "single"];
    let minutes = ["--start-date", "2024-04-01", "--end-date", "2024-06-30", "--scope", "portfolio"];
    for (name, symbols, period) in [
        ("daily_trend", "AAPL,SPY,TSLA", &daily),
        ("hourly_swing", "NVDA,TSLA", &hourly),
        ("bear_trap", "AMC,CGC,CLSK,FCEL,GME,MARA,PLUG,RIOT,SNDL,SPCE,TLRY,WKHS", &minutes),
    ] {
        for prior_low in [false, name == "bear_trap"] {
            let (in_rust, in_rules) = (TempDir::new().expect("a folder"), TempDir::new().expect("a folder"));
            let file = example(name);
            let mut rust = vec!["--strategy", name, "--symbols", symbols];
            let mut rules = vec!["--rules", file.to_str().expect("text"), "--symbols", symbols];
            if prior_low {
                rust.extend(["--set", "reclaim=prior_low"]);
                rules.extend(["--set", "prior_low=1"]);
            }
            rust.extend(period);
            rules.extend(period);
            let (rust, rules) = (on_sample(in_rust.path(), &rust), on_sample(in_rules.path(), &rules));
            let trades: Vec<&String> = rust.keys().filter(|name| name.contains("trades")).collect();
            assert!(
                !trades.is_empty() && trades.iter().any(|name| rust[*name].lines().count() > 3),
                "{name}: {trades:?}"
            );
            for (file, text) in &rust {
                if file.contains("trades") || name != "bear_trap" || !file.contains("bars") {
                    assert_eq!(rules.get(file), Some(text), "{name}, prior low {prior_low}: {file}");
                }
            }
        }
    }
}

/// Of the strategies in Rust, which their figures list.
const PARAMETERS: [&str; 6] = ["reclaim", "rsi_period", "upper", "lower", "budget", "warmup"];

#[test]
fn rules_reproduce_the_reference_results() {
    let (Some(archive), Some(expected)) = (archive(), expected()) else { return };
    let out = TempDir::new().expect("a folder");
    let rules = |name: &str| example(name).to_str().expect("text").to_owned();
    let (daily, hourly, minutes) = (rules("daily_trend"), rules("hourly_swing"), rules("bear_trap"));
    let args = |period: [&'static str; 2], scope: &'static str| {
        ["--start-date", period[0], "--end-date", period[1], "--scope", scope]
    };
    for scope in ["single", "portfolio"] {
        let more = args(["2024-04-01", "2024-06-30"], scope);
        backtest(archive, out.path(), &[&["--rules", minutes.as_str()], &more[..]].concat());
    }
    assert_eq!(compare_without(&expected.join("bear_trap/W1_20240401_20240630"), out.path(), &PARAMETERS), 52);
    let more = args(["2018-01-02", "2025-12-31"], "single");
    backtest(archive, out.path(), &[&["--rules", daily.as_str()], &more[..]].concat());
    assert_eq!(compare_without(&expected.join("daily_trend"), out.path(), &PARAMETERS), 9);
    let more = args(["2022-01-03", "2025-12-31"], "single");
    backtest(archive, out.path(), &[&["--rules", hourly.as_str(), "--symbols", "TSLA"], &more[..]].concat());
    assert_eq!(compare_without(&expected.join("hourly_swing"), out.path(), &PARAMETERS), 3);
}

#[test]
fn the_examples_of_rules_are_rules_and_trade() {
    for (name, period) in [
        ("moving_average_cross", ["2018-01-02", "2025-12-31"]),
        ("donchian_breakout", ["2018-01-02", "2025-12-31"]),
        ("bollinger_reversion", ["2018-01-02", "2025-12-31"]),
        ("opening_range_breakout", ["2024-04-01", "2024-06-30"]),
    ] {
        let (code, out, err) = run(magellan(["rules", "check"]).arg(example(name)));
        assert_eq!((code, out.trim()), (0, "nothing found"), "{name}: {err}");
        let folder = TempDir::new().expect("a folder");
        let file = example(name);
        let args = ["--rules", file.to_str().expect("text"), "--start-date", period[0], "--end-date", period[1]];
        let results = on_sample(folder.path(), &args);
        let (_, trades) = results.iter().find(|(name, _)| name.contains("trades")).expect("trades");
        assert!(trades.lines().count() > 3, "{name}: {trades}");
    }
}

/// A file of rules with one thing changed.
fn with(path: &str, value: &Value) -> Value {
    let mut rules = json!({
        "symbols": ["SPY"],
        "strategy_parameters": { "fast": 2, "high": 70.0 },
        "data_requirements": { "timeframe": "1Day" },
        "rules": {
            "let": { "trend": "close > sma(close, 50)" },
            "long": {
                "enter": "trend and rsi(close, $fast) < 10",
                "exit": "rsi(close, $fast) > $high",
                "size": { "equity_fraction": 0.25 }
            }
        }
    });
    let (folder, key) = path.rsplit_once('/').expect("a path");
    let place = rules.pointer_mut(folder).expect("there").as_object_mut().expect("an object");
    match value {
        Value::Null => drop(place.remove(key)),
        value => drop(place.insert(key.to_owned(), value.clone())),
    }
    rules
}

#[test]
fn what_is_wrong_with_a_rule_is_found_where_it_is() {
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("mine.json");
    let enter = "/rules/long/enter";
    let base = "trend and rsi(close, $fast) < 10 and ";
    let at = base.chars().count() + 1;
    for (path, value, code, column) in [
        (enter, format!("{base}close >"), "rule-syntax", at + 7),
        (enter, format!("{base}close > > 1"), "rule-syntax", at + 8),
        (enter, format!("{base}1 < close < 3"), "rule-syntax", at + 10),
        (enter, format!("{base}(close > 1"), "rule-syntax", at + 10),
        (enter, format!("{base}close > 1)"), "rule-syntax", at + 9),
        (enter, format!("{base}close # 1"), "rule-syntax", at + 6),
        (enter, format!("{base}clos > 1"), "rule-unknown-name", at),
        (enter, format!("{base}sme(close, 5) > 1"), "rule-unknown-function", at),
        (enter, format!("{base}bollinger(close, 20, 2).uper > 1"), "rule-unknown-field", at + 24),
        (enter, format!("{base}close.upper > 1"), "rule-unknown-field", at + 6),
        (enter, format!("{base}spy:close > 1"), "rule-unknown-symbol", at),
        (enter, format!("{base}sma(close) > 1"), "rule-arity", at),
        (enter, format!("{base}sma > 1"), "rule-arity", at),
        (enter, format!("{base}close(5) > 1"), "rule-arity", at),
        (enter, format!("{base}close"), "rule-kind", at),
        (enter, format!("{base}trend + 1 > 2"), "rule-kind", at),
        (enter, format!("{base}not close"), "rule-kind", at + 4),
        (enter, format!("{base}1 + bollinger(close, 20, 2) > 0"), "rule-kind", at + 4),
        (enter, format!("{base}any(close, 5)"), "rule-kind", at + 4),
        (enter, format!("{base}if(trend, close, trend) > 1"), "rule-kind", at + 17),
        (enter, "close".to_owned(), "rule-kind", 1),
        (enter, format!("{base}close > $slow"), "rule-undefined-parameter", at + 8),
        (enter, format!("{base}sma(close, 0) > 1"), "rule-period", at + 11),
        (enter, format!("{base}sma(close, 2.5) > 1"), "rule-period", at + 11),
        (enter, format!("{base}sma(close, close) > 1"), "rule-period", at + 11),
        (enter, format!("{base}close[1.5] > 1"), "rule-period", at + 6),
        (enter, format!("{base}close @ 2d > 1"), "rule-width", at + 8),
        (enter, format!("{base}close @ 1h > 1"), "rule-width", at + 8),
        (enter, format!("{base}close @ day > 1"), "rule-width", at + 8),
        (enter, format!("{base}close > entry_price"), "rule-position-name", at + 8),
        (enter, format!("{base}1 < 2"), "rule-constant-condition", at),
        (
            "/rules/long/exit",
            "rsi(close, $fast) > $high or sma(entry_price, 5) > 1".to_owned(),
            "rule-position-name",
            34,
        ),
        ("/rules/long/stop", "entry_price + 1".to_owned(), "rule-bracket-side", 1),
        ("/rules/long/stop", "entry_price * 1.02".to_owned(), "rule-bracket-side", 1),
        ("/rules/long/max_bars", "close".to_owned(), "rule-bad-value", 1),
        ("/rules/let/other", "close > 1".to_owned(), "rule-unused-let", 0),
        ("/rules/let/atr", "close > 1".to_owned(), "rule-hides-builtin", 0),
        ("/rules/let/sooner", "later > 1".to_owned(), "rule-unknown-name", 1),
        (enter, "(".repeat(200), "rule-too-deep", 65),
        (enter, "close + ".repeat(2_000), "rule-too-long", 4_097),
    ] {
        fs::write(&file, serde_json::to_vec_pretty(&with(path, &json!(value))).expect("JSON")).expect("written");
        let (exit, out, _) = run(magellan(["rules", "check", "--json"]).arg(&file));
        let said: Value = serde_json::from_str(&out).expect("JSON");
        let first = &said["findings"][0];
        assert_eq!((exit, first["code"].as_str()), (2, Some(code)), "{value}: {out}");
        let what = first["what"].as_str().expect("a text");
        if column > 0 {
            assert!(what.contains(&format!("column {column}:")), "{value}: {what}, expected column {column}");
        }
    }
    for (path, value, code) in [
        ("/rules/long/enter", Value::Null, "rule-missing-key"),
        ("/rules/long/exit", Value::Null, "rule-missing-key"),
        ("/rules/long/size", Value::Null, "rule-missing-key"),
        ("/rules/long", Value::Null, "rule-missing-key"),
        ("/rules/long/entry", json!("close > 1"), "rule-unknown-key"),
        ("/rules/longs", json!({}), "rule-unknown-key"),
        ("/rules/long/size", json!({"shares": 1, "notional": 5}), "rule-contradiction"),
        ("/rules/long/size", json!({"shares": 1, "cap": 5}), "rule-contradiction"),
        ("/rules/long/limit", json!("close"), "rule-contradiction"),
        ("/rules/long/order", json!("limit"), "rule-missing-key"),
        ("/rules/long/order", json!("iceberg"), "rule-bad-value"),
        ("/rules/long/tif", json!("bars:0"), "rule-bad-value"),
        ("/rules/long/enter", json!(true), "rule-bad-value"),
        ("/strategy_parameters/slow", json!(5), "rule-unused-parameter"),
        ("/rules/long/targets", json!([]), "rule-bad-value"),
        ("/rules/long/targets", json!([{"percent": 50}]), "rule-contradiction"),
        ("/rules/portfolio", json!({}), "rule-not-yet"),
    ] {
        fs::write(&file, serde_json::to_vec_pretty(&with(path, &value)).expect("JSON")).expect("written");
        let (exit, out, _) = run(magellan(["rules", "check", "--json"]).arg(&file));
        let said: Value = serde_json::from_str(&out).expect("JSON");
        assert_eq!((exit, said["findings"][0]["code"].as_str()), (2, Some(code)), "{path} {value}: {out}");
    }
}

#[test]
fn a_sweep_of_rules_gives_the_figures_of_backtests() {
    let folder = TempDir::new().expect("a folder");
    let file = example("daily_trend");
    let period = ["--symbols", "SPY", "--start-date", "2018-01-02", "--end-date", "2025-12-31"];
    let command = |words: &[&str]| {
        let mut command = magellan(words);
        command.arg("--rules").arg(&file).args(period).env("MAGELLAN_LEDGER", folder.path()).arg("--json");
        let (code, out, err) = run(&mut command);
        assert_eq!(code, 0, "{words:?}: {err}");
        serde_json::from_str::<Value>(&out).expect("JSON")
    };
    let swept = command(&["sweep", "--grid", "rsi_period=10..29", "--grid", "hysteresis_upper=55..60"]);
    let best = &swept["best"][0];
    let point = |i: usize, key: &str| format!("{key}={}", best["parameters"][i]);
    let (periods, upper) = (point(0, "rsi_period"), point(1, "hysteresis_upper"));
    let alone = command(&["backtest", "--set", &periods, "--set", &upper, "--scope", "single"]);
    let sharpe = &alone["runs"][0]["metrics"]["sharpe"];
    assert!(sharpe.is_number(), "{alone}");
    assert_eq!(&best["figures"][0], sharpe, "{best} {alone}");
}
