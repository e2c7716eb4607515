//! Bad inputs, each with the error it gets: code, exit, the words that tell what and where, and
//! a next step. One row an input.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use magellan_shell::report::errors;

use crate::support::{magellan, root, run};

/// A folder with the sample's configs, a small archive and its sources, free to be spoilt.
pub(crate) struct Place {
    folder: TempDir,
}

const HEADER: &str = "timestamp,open,high,low,close,volume";

impl Place {
    pub(crate) fn new() -> Self {
        let place = Self { folder: TempDir::new().expect("a folder") };
        for entry in fs::read_dir(root().join("deployed")).expect("deployed").map(|e| e.expect("an entry").path()) {
            // Environments name all strategies, and most tests change which there are.
            if entry.is_dir() && !entry.ends_with("environments") {
                let target = place.at("deployed").join(entry.file_name().expect("a name"));
                fs::create_dir_all(&target).expect("made");
                for file in fs::read_dir(&entry).expect("a folder").map(|e| e.expect("an entry").path()) {
                    fs::copy(&file, target.join(file.file_name().expect("a name"))).expect("copied");
                }
            }
        }
        place
    }

    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    pub(crate) fn write(&self, path: &str, bytes: impl AsRef<[u8]>) {
        let path = self.at(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        let _ = fs::remove_file(&path);
        fs::write(path, bytes).expect("written");
    }

    pub(crate) fn change(&self, path: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = fs::read(self.at(path)).expect("read");
        change(&mut bytes);
        self.write(path, bytes);
    }

    pub(crate) fn replace(&self, path: &str, from: &str, to: &str) {
        self.change(path, |bytes| {
            let text = String::from_utf8(bytes.clone()).expect("UTF-8");
            assert!(text.contains(from), "{path} has no {from}");
            *bytes = text.replace(from, to).into_bytes();
        });
    }

    fn config(&self, change: impl FnOnce(&mut Value)) {
        self.change(CONFIG, |bytes| {
            let mut value: Value = serde_json::from_slice(bytes).expect("JSON");
            change(&mut value);
            *bytes = serde_json::to_vec_pretty(&value).expect("JSON");
        });
    }

    fn csv(&self, name: &str, rows: &str) {
        self.write(name, format!("{HEADER}\n{rows}\n"));
    }

    /// An archive of 40 good minutes.
    pub(crate) fn archive(&self) {
        let rows: Vec<String> = (0..40).map(|i| format!("2024-07-01T14:{:02}:00Z,10,11,9,10,100", i + 10)).collect();
        self.csv("AMC_1min.csv", &rows.join("\n"));
        self.ok("data import AMC_1min.csv --archive archive");
    }

    fn record(&self) -> String {
        let manifest: Value =
            serde_json::from_slice(&fs::read(self.at("archive/manifest.json")).expect("read")).expect("JSON");
        format!("archive/{}", manifest["records"][0]["path"].as_str().expect("a path"))
    }

    pub(crate) fn command(&self, line: &str) -> Command {
        let mut command = magellan(line.split_whitespace());
        command.current_dir(self.folder.path());
        command
    }

    pub(crate) fn ok(&self, line: &str) -> String {
        let (code, out, err) = run(self.command(line));
        assert_eq!(code, 0, "{line}: {out}{err}");
        out
    }
}

const CONFIG: &str = "deployed/bear_trap/config.json";
const UNIT: &str = "deployed/bear_trap/magellan-bear-trap.service";
/// Validates bear_trap alone, against the project's sample.
const VALIDATE: &str = "validate --strategy bear_trap --archive SAMPLE";
const IMPORT: &str = "data import source --archive archive";

/// What is spoilt, the command line, the code, the exit, and words of the message.
type Row = (fn(&Place), &'static str, &'static str, i32, &'static str);

fn check(rows: &[Row]) -> usize {
    for (i, (spoil, line, code, exit, words)) in rows.iter().enumerate() {
        let place = Place::new();
        spoil(&place);
        let sample = root().join("data/sample").display().to_string();
        let line = line.replace("SAMPLE", &sample);
        let (got, out, err) = run(place.command(&line));
        let shown = format!("row {i}, {line}\n{out}{err}");
        assert_eq!(got, *exit, "{shown}");
        assert!(format!("{out}{err}").contains(&format!("error[{code}]")), "no error[{code}]: {shown}");
        assert!(format!("{out}{err}").contains(words), "nothing of `{words}`: {shown}");
        assert!(!err.contains("panicked"), "{shown}");
        assert!(shown.contains("try") || shown.contains("help:"), "no next step: {shown}");
    }
    rows.len()
}

#[test]
fn bad_configs() {
    fn set(place: &Place, path: &str, value: Value) {
        place.config(|c| *c.pointer_mut(path).unwrap_or_else(|| panic!("{path}")) = value);
    }
    #[rustfmt::skip]
    let rows: &[Row] = &[
        (|p| set(p, "/risk_management/per_trade_risk_pct", 2.0.into()), VALIDATE, "out-of-range", 2, "is 2, allowed are more than 0 to 1"),
        (|p| p.config(|c| c["risk_management"]["per_trade_risk"] = 0.02.into()), VALIDATE, "unknown-key", 2, "did you mean `per_trade_risk_pct`?"),
        (|p| set(p, "/account_info/initial_capital", (-5).into()), VALIDATE, "out-of-range", 2, "account_info.initial_capital"),
        (|p| set(p, "/account_info/initial_capital", "100000".into()), VALIDATE, "wrong-type", 2, "without quotes"),
        (|p| set(p, "/account_info/buying_power", 2.into()), VALIDATE, "contradiction", 2, "capital times margin is 400000"),
        (|p| set(p, "/account_info/account_id", "  ".into()), VALIDATE, "not-allowed", 2, "account_info.account_id"),
        (|p| set(p, "/account_info/account_id", "DAILY_TREND".into()), VALIDATE, "shared-account", 2, "also that of daily_trend"),
        (|p| set(p, "/symbols", json!([])), VALIDATE, "missing-key", 2, "symbols has 0 entries"),
        (|p| set(p, "/symbols", json!(["AMC", "AMC"])), VALIDATE, "duplicate-key", 2, "\"AMC\" is listed twice"),
        (|p| set(p, "/symbols", json!(["amc"])), VALIDATE, "not-allowed", 2, "a symbol, e.g. AMC"),
        (|p| set(p, "/symbols", json!(["AMC", "ZZZ"])), VALIDATE, "no-bars", 3, "no 1Min bars of ZZZ"),
        (|p| set(p, "/data_requirements/timeframe", "1Day".into()), VALIDATE, "contradiction", 2, "bear_trap trades 1Min bars"),
        (|p| set(p, "/data_requirements/timeframe", "7Min".into()), VALIDATE, "not-allowed", 2, "\"30Min\", \"1Hour\", \"1Day\", \"1Week\""),
        (|p| set(p, "/data_requirements/premarket", true.into()), VALIDATE, "contradiction", 2, "premarket and after_hours differ"),
        (|p| set(p, "/data_requirements/warmup_bars", 21.into()), VALIDATE, "contradiction", 2, "min_session_bars is 20"),
        (|p| set(p, "/data_requirements/warmup_bars", 1.5.into()), VALIDATE, "wrong-type", 2, "a whole number (bars)"),
        (|p| set(p, "/trading_hours/timezone", "UTC".into()), VALIDATE, "not-allowed", 2, "America/New_York"),
        (|p| set(p, "/trading_hours/market_open", "09:00".into()), VALIDATE, "not-allowed", 2, "09:30"),
        (|p| set(p, "/trading_hours/trading_days", json!(["MON", "TUE"])), VALIDATE, "out-of-range", 2, "trading_days"),
        (|p| set(p, "/trading_hours/trading_days", json!(["MON", "TUE", "WED", "FRI", "THU"])), VALIDATE, "not-allowed", 2, "MON,TUE,WED,THU,FRI"),
        (|p| p.config(|c| c["trading_hours"]["signal_calculation_time"] = "15:59".into()), VALIDATE, "not-allowed", 2, "after the close"),
        (|p| p.config(|c| c["trading_hours"]["signal_check_interval_minutes"] = 2.into()), VALIDATE, "contradiction", 2, "every 1 minutes"),
        (|p| set(p, "/trading_hours/allow_overnight_holds", true.into()), VALIDATE, "contradiction", 2, "Flat overnight"),
        (|p| set(p, "/execution/order_type", "limit".into()), VALIDATE, "not-allowed", 2, "\"market\""),
        (|p| set(p, "/execution/extended_hours", true.into()), VALIDATE, "not-allowed", 2, "allowed is false"),
        (|p| set(p, "/execution/friction_bps", (-1).into()), VALIDATE, "out-of-range", 2, "basis points per side"),
        (|p| set(p, "/monitoring/log_level", "verbose".into()), VALIDATE, "not-allowed", 2, "monitoring.log_level"),
        (|p| set(p, "/ssm_parameters/base_url", "http://paper".into()), VALIDATE, "not-allowed", 2, "https://"),
        (|p| set(p, "/ssm_parameters/api_key_path", "AKIAXXX".into()), VALIDATE, "not-allowed", 2, "a path such as /magellan"),
        (|p| p.config(|c| drop(c["strategy_parameters"].as_object_mut().expect("object").remove("min_body"))), VALIDATE, "missing-key", 2, "strategy_parameters.min_body is missing"),
        (|p| set(p, "/ssm_parameters/base_url", "https://user:pass@example.com".into()), VALIDATE, "not-allowed", 2, "without a name or password"),
        (|p| set(p, "/ssm_parameters/api_secret_path", "/magellan/alpaca/DAILY_TREND/API_SECRET".into()), VALIDATE, "shared-account", 2, "also that of daily_trend"),
        (|p| set(p, "/account_info/account_id", "daily_trend ".into()), VALIDATE, "shared-account", 2, "also that of daily_trend"),
        (|p| p.replace("deployed/daily_trend/config.json", "\"premarket\": false,\n    \"after_hours\": false", "\"premarket\": true,\n    \"after_hours\": true"), "validate --strategy daily_trend --archive SAMPLE", "contradiction", 2, "days and weeks have no hours"),
        (|p| set(p, "/strategy_parameters/day_change_pct", 15.0.into()), VALIDATE, "out-of-range", 2, "-100 to -0.01"),
        (|p| set(p, "/strategy_parameters/reclaim", "yes".into()), VALIDATE, "not-allowed", 2, "\"running_low\", \"prior_low\""),
        (|p| set(p, "/strategy_parameters/second_target_percent", 70.into()), VALIDATE, "contradiction", 2, "the first target leaves 60"),
        (|p| p.config(|c| c["symbol_parameters"] = json!({"AMC": {}})), VALIDATE, "unknown-key", 2, "symbol_parameters"),
        (|p| { p.config(|c| drop(c["risk_management"].as_object_mut().expect("object").remove("max_position_dollars"))) }, VALIDATE, "missing-key", 2, "bear_trap sizes by it"),
        (|p| p.config(|c| c["performance_criteria"]["criteria"]["sharp"] = json!({"fail_below": 1})), VALIDATE, "unknown-key", 2, "did you mean `sharpe`?"),
        (|p| set(p, "/performance_criteria/criteria/sharpe", json!({"warn_below": 1})), VALIDATE, "missing-key", 2, "fail_below or fail_above"),
        (|p| set(p, "/performance_criteria/criteria/sharpe", json!({"fail_below": 1, "warn_below": 0})), VALIDATE, "contradiction", 2, "a warn level must be stricter"),
        (|p| set(p, "/performance_criteria/criteria/sharpe", json!({"fail_below": 2, "fail_above": 1})), VALIDATE, "contradiction", 2, "no value passes"),
        (|p| set(p, "/performance_criteria/criteria/max_drawdown", json!({"fail_above": 0.15})), VALIDATE, "out-of-range", 2, "-1 to less than 0 as a negative fraction"),
        (|p| set(p, "/performance_criteria/criteria/max_drawdown", json!({"fail_below": -15})), VALIDATE, "out-of-range", 2, "more than -1 to 0"),
        (|p| set(p, "/performance_criteria/criteria/win_rate", json!({"fail_above": 40})), VALIDATE, "out-of-range", 2, "0 to less than 1"),
        (|p| set(p, "/performance_criteria/criteria/trades", json!({"fail_below": 0})), VALIDATE, "out-of-range", 2, "more than 0"),
        (|p| set(p, "/performance_criteria/periods/0/end_date", "2035-12-31".into()), VALIDATE, "outside-calendar", 3, "2030-12-31"),
        (|p| set(p, "/ssm_parameters/api_secret_path", "/magellan/alpaca/BEAR_TRAP/API_KEY".into()), VALIDATE, "contradiction", 2, "that of the key"),
        (|p| set(p, "/symbols", "AMC".into()), VALIDATE, "wrong-type", 2, "symbols is a string"),
        (|p| set(p, "/account_info/account_name", "\u{a0}".into()), VALIDATE, "not-allowed", 2, "account_info.account_name"),
        (|p| set(p, "/trading_hours/trading_days", json!(["MONKEY", "TUE", "WED", "THU", "FRI"])), VALIDATE, "not-allowed", 2, "MON, TUE, WED, THU or FRI"),
        (|p| { fs::remove_dir_all(p.at("deployed/bear_trap")).expect("removed"); std::os::unix::fs::symlink("/nowhere", p.at("deployed/bear_trap")).expect("linked") }, VALIDATE, "no-config", 2, "deployed/bear_trap"),
        (|p| set(p, "/performance_criteria", json!({})), VALIDATE, "no-criteria", 2, "without criteria can't pass"),
        (|p| p.config(|c| drop(c.as_object_mut().expect("object").remove("performance_criteria"))), VALIDATE, "no-criteria", 2, "without criteria can't pass"),
        (|p| set(p, "/performance_criteria/periods/0/start_date", "2024-02-31".into()), VALIDATE, "not-allowed", 2, "YYYY-MM-DD"),
        (|p| set(p, "/performance_criteria/periods/0/end_date", "2023-01-01".into()), VALIDATE, "contradiction", 2, "after its end"),
        (|p| set(p, "/performance_criteria/periods/0/start_date", "2024-03-01".into()), VALIDATE, "period-uncovered", 3, "bars from 2024-04-01"),
        (|p| { p.config(|c| { c["performance_criteria"]["periods"][0] = json!({"name": "a weekend", "start_date": "2024-06-01", "end_date": "2024-06-02"}) }) }, VALIDATE, "no-bars", 3, "no session in a weekend"),
        (|p| p.replace("deployed/daily_trend/config.json", "\"warmup_bars\": 84", "\"warmup_bars\": 5000"), "validate --strategy daily_trend --archive SAMPLE", "no-warm-up", 3, "2011 bars up to 2025-12-31, all of them warm-up"),
        (|p| p.replace("deployed/daily_trend/config.json", "\"symbol_parameters\"", "\"strategy_parameters\": {\"SPY\": {\"rsi_period\": 21, \"hysteresis_upper\": 58, \"hysteresis_lower\": 42, \"allocation\": 1}}, \"symbol_parameters\""), "validate --strategy daily_trend --archive SAMPLE", "contradiction", 2, "only the first would be read"),
        (|p| set(p, "/strategy/name", "daily_trend".into()), VALIDATE, "other-strategy", 2, "expected `bear_trap`"),
        (|p| p.replace(CONFIG, "\"AMC\",", "\"AMC\""), VALIDATE, "config-syntax", 2, "config.json:19:5"),
        (|p| p.replace(CONFIG, "\"atr_period\": 14,", "\"atr_period\": 14, \"atr_period\": 15,"), VALIDATE, "duplicate-key", 2, "strategy_parameters.atr_period stands twice"),
        (|p| p.write(CONFIG, ""), VALIDATE, "config-syntax", 2, "config.json:1:1"),
        (|p| p.change(CONFIG, |b| { b.splice(0..0, *b"\xef\xbb\xbf"); }), VALIDATE, "config-syntax", 2, "without a byte order mark"),
        (|p| p.write(CONFIG, "null"), VALIDATE, "wrong-type", 2, "the config is null"),
        (|p| p.write(CONFIG, "[".repeat(100_000)), VALIDATE, "config-syntax", 2, "recursion limit"),
        (|p| p.write(CONFIG, b"\xff\xfe{}"), VALIDATE, "config-unreadable", 2, "not UTF-8"),
        (|p| p.write(CONFIG, vec![b' '; 2 << 20]), VALIDATE, "config-unreadable", 2, "the largest read here"),
        (|p| p.replace(CONFIG, "100000.0", "1e999"), VALIDATE, "config-syntax", 2, "number out of range"),
        (|p| fs::remove_file(p.at(CONFIG)).expect("removed"), VALIDATE, "no-config", 2, "there is no config.json"),
    ];
    assert!(check(rows) >= 50);
}

#[test]
fn bad_units() {
    #[rustfmt::skip]
    let rows: &[Row] = &[
        (|p| fs::remove_file(p.at(UNIT)).expect("removed"), VALIDATE, "unit-missing", 2, "magellan-bear-trap.service"),
        (|p| p.replace(UNIT, "Restart=always", "Restart=no"), VALIDATE, "unit-value", 2, "write Restart=always"),
        (|p| p.replace(UNIT, "User=magellan\n", ""), VALIDATE, "unit-missing-key", 2, "write User=magellan"),
        (|p| p.replace(UNIT, "User=magellan", "User=root"), VALIDATE, "unit-value", 2, "User is `root`"),
        (|p| p.replace(UNIT, "ProtectSystem=strict", "ProtectSystem=full"), VALIDATE, "unit-value", 2, "write ProtectSystem=strict"),
        (|p| p.replace(UNIT, "CapabilityBoundingSet=\n", ""), VALIDATE, "unit-missing-key", 2, "write CapabilityBoundingSet="),
        (|p| p.replace(UNIT, "TimeoutStartSec=120\n", ""), VALIDATE, "unit-missing-key", 2, "TimeoutStartSec=, with 1 to 600 seconds"),
        (|p| p.replace(UNIT, "UMask=0077", "UMask=0077\nReadWritePaths=/"), VALIDATE, "unit-unknown-key", 2, "writes below its StateDirectory="),
        (|p| p.replace(UNIT, "--strategy bear_trap", "--strategy daily_trend"), VALIDATE, "unit-value", 2, "--strategy bear_trap"),
        (|p| p.replace(UNIT, "ExecStart=/", "ExecStart=-/"), VALIDATE, "unit-value", 2, "ExecStart is `-/"),
        (|p| p.replace(UNIT, "MemoryMax=256M", "MemoryMax=4G"), VALIDATE, "unit-value", 2, "32M to 768M"),
        (|p| p.replace(UNIT, "[Service]\n", "[Service]\nStartLimitBurst=3\n"), VALIDATE, "unit-unknown-key", 2, "move it to [Unit]"),
        (|p| p.replace(UNIT, "PrivateTmp=true", "PrivateTemp=true"), VALIDATE, "unit-unknown-key", 2, "did you mean `PrivateTmp`?"),
        (|p| p.replace(UNIT, "[Install]", "[Install"), VALIDATE, "unit-syntax", 2, "did you mean [Install]?"),
        (|p| p.replace(UNIT, "Type=notify", "Type=notify\nType=notify"), VALIDATE, "duplicate-key", 2, "Type stands twice"),
        (|p| p.replace(UNIT, "Type=notify", "Type=notify\nEnvironment=APCA_API_SECRET_KEY=x"), VALIDATE, "unit-value", 2, "never from a unit"),
        (|p| p.write(UNIT, b"\xff\xff"), VALIDATE, "unit-unreadable", 2, "not UTF-8"),
        (|p| p.write(UNIT, ""), VALIDATE, "unit-missing-key", 2, "[Service] lacks ExecStart"),
    ];
    assert!(check(rows) >= 18);
}

#[test]
fn bad_sources() {
    #[rustfmt::skip]
    let rows: &[Row] = &[
        (|_| {}, "data import nowhere.csv --archive archive", "source-missing", 3, "no such file"),
        (|p| p.write("source/notes.txt", "x"), IMPORT, "source-missing", 3, "with bars among the sources"),
        (|p| p.write("AMC.txt", "x"), "data import AMC.txt --archive archive", "not-a-source", 3, "AMC.txt"),
        (|p| p.write("source/AMC_1min.parquet", ""), IMPORT, "source-unreadable", 3, "too short"),
        (|p| p.write("source/AMC_1min.parquet", "PAR1"), IMPORT, "source-unreadable", 3, "too short"),
        (|p| p.write("source/AMC_1min.parquet", "hello, I am no parquet"), IMPORT, "source-unreadable", 3, "PAR1"),
        (|p| p.write("source/AMC_1min.csv", format!("{HEADER}\n")), IMPORT, "source-unreadable", 3, "no rows"),
        (|p| p.csv("source/AMC_1min.csv", "2024-07-01T14:00:00Z,10,11,9,10"), IMPORT, "source-unreadable", 3, "fields"),
        (|p| p.csv("source/AMC_1min.csv", "2024-07-01T14:00:00Z,10,11,9,ten,1\n"), IMPORT, "bad-value", 3, "AMC_1min.csv:2"),
        (|p| p.csv("source/AMC_1min.csv", "yesterday,10,11,9,10,1\n"), IMPORT, "bad-value", 3, "is not a timestamp"),
        (|p| p.csv("source/AMC_1min.csv", "2024-07-01T14:00:00Z,10,11,9,0,1\n2024-07-01T14:01:00Z,1,1,1,1,1"), IMPORT, "bad-price", 3, "close 0"),
        (|p| p.csv("source/AMC_1min.csv", "2024-07-01T14:00:00Z,10,inf,9,1,1\n2024-07-01T14:01:00Z,1,1,1,1,1"), IMPORT, "bad-price", 3, "high inf"),
        (|p| p.csv("source/AMC_1min.csv", "2024-07-01T14:00:00Z,10,11,9,1,-1\n2024-07-01T14:01:00Z,1,1,1,1,1"), IMPORT, "bad-price", 3, "volume -1"),
        (|p| p.csv("source/AMC_1min.csv", "2024-07-01T14:00:30Z,10,11,9,10,1"), IMPORT, "bar-width", 3, "not the start of a minute"),
        (|p| p.csv("source/AMC_1hour.csv", "2024-07-01T14:01:00Z,10,11,9,10,1\n2024-07-01T14:02:00Z,10,11,9,10,1"), IMPORT, "bar-width", 3, "said to hold 1Hour bars, but one starts at 2024-07-01T14:01:00Z"),
        (|p| p.csv("source/AMC.csv", "2024-07-01T14:01:00Z,10,11,9,10,1"), IMPORT, "bar-width", 3, "say it with --timeframe"),
        (|p| p.csv("source/AMC_7Min.csv", &spaced(7, 30)), IMPORT, "bar-width", 3, "named 7Min"),
        (|p| p.csv("source/AMC.csv", &spaced(7, 30)), IMPORT, "bar-width", 3, "all rows start 7 minutes apart"),
        (|p| p.csv("source/AMC_1min.csv", &spaced(15, 30)), IMPORT, "bar-width", 3, "all rows start 15 minutes apart"),
        (|p| p.csv("AMC.csv", &spaced(120, 30)), "data import AMC.csv --archive archive --timeframe 1Hour", "bar-width", 3, "all rows start 2 hours apart"),
        (|p| p.csv("source/AMC_1min.csv", "2024-04-01T10:00:00[America/New_York],10,11,9,10,1"), IMPORT, "bad-value", 3, "with its offset"),
        (|p| p.csv("source/AMC_1min.csv", &format!("{},10,11,9,10,1", "x".repeat(1_000_000))), IMPORT, "bad-value", 3, "xxx…` is not a timestamp"),
        (|p| { p.write("source/AMC_1min_a.csv", VWAP.replace("10.5", "10.6")); p.write("source/AMC_1min_b.csv", VWAP) }, IMPORT, "conflicting-bars", 3, "vwap 10.5"),
        (|p| p.csv("source/AMC_1min.csv", "1889-07-01T14:00:00Z,10,11,9,10,1\n2024-07-01T14:01:00Z,1,1,1,1,1"), IMPORT, "outside-calendar", 3, "1990-01-01"),
        (|p| p.csv("source/prices_1min.csv", "2024-07-01T14:00:00Z,10,11,9,10,1"), IMPORT, "missing-value", 3, "neither a symbol column"),
        (|p| p.write("AMC_1min.csv", "timestamp,open,high,low,volume\n"), "data import AMC_1min.csv --archive archive", "missing-column", 3, "`close`"),
        (|p| { p.csv("source/AMC_1min.csv", "2024-07-01T14:00:00Z,10,11,9,10,1\n2024-07-01T14:00:00Z,10,11,9,11,1\n2024-07-01T14:01:00Z,1,1,1,1,1") }, IMPORT, "conflicting-bars", 3, "two different bars"),
        (|p| p.write("s.csv", "symbol,date,ratio\nAMC,2024-01-01,2\n"), "data import --archive archive --splits s.csv .", "bad-table", 3, "symbol,effective_date,new_shares_per_old"),
        (|p| p.write("source/s.csv", "symbol,effective_date,new_shares_per_old\nAMC,2024-01-01,4:1\n"), IMPORT, "bad-table", 3, "s.csv:2"),
        (|p| p.write("source/s.csv", "symbol,effective_date,new_shares_per_old\nAMC,2024-01-32,4\n"), IMPORT, "bad-table", 3, "is not a date"),
        (|p| { p.write("source/s.csv", "symbol,effective_date,new_shares_per_old\nAMC,2024-01-02,4\nAMC,2024-01-02,5\n",) }, IMPORT, "split-conflict", 3, "4 and 5"),
        (|p| p.write("source/m.csv", "symbol,date,reason\nAMC,2024-01-02,\n"), IMPORT, "bad-table", 3, "needs a reason"),
        (|p| p.write("source/d.csv", "symbol,ex_date,amount\nAMC,2024-01-02,0\n"), IMPORT, "bad-table", 3, "d.csv:2"),
        (|p| p.write("source/d.csv", "symbol,ex_date,amount\nAMC,2024-01-02,1\nAMC,2024-01-02,2\n"), IMPORT, "bad-table", 3, "two dividends of AMC on 2024-01-02: 1 and 2"),
        (|p| p.write("d.csv", "symbol,date,amount\n"), "data import --archive archive --dividends d.csv .", "bad-table", 3, "symbol,ex_date,amount"),
        (|p| p.write("source/e.csv", "symbol,last_date,haircut\nAMC,2024-01-02,1.5\n"), IMPORT, "bad-table", 3, "haircut from 0 to 1"),
        (|p| p.write("source/e.csv", "symbol,last_date,haircut\nAMC,2024-01-02,1\nAMC,2024-01-03,1\n"), IMPORT, "bad-table", 3, "two delistings of AMC"),
        (|p| p.write("source/r.csv", "old,new,date\nAMC,AMC,2024-01-02\n"), IMPORT, "bad-table", 3, "renamed to itself"),
        (|p| p.write("source/r.csv", "old,new,date\nA,B,2024-01-02\nA,C,2024-01-02\n"), IMPORT, "bad-table", 3, "A to B, and A to C"),
        (|p| { p.archive(); p.write("r.csv", "old,new,date\nAMC,AMD,2024-07-02\n"); p.csv("AMD_1min.csv", &spaced(1, 30)); }, "data import AMD_1min.csv r.csv --archive archive", "rename-overlap", 3, "40 of AMC, 30 of AMD"),
        (|p| { p.csv("AMC_1day.csv", &turned()); p.write("s.csv", "symbol,effective_date,new_shares_per_old\nAMC,2024-07-02,10\n"); }, "data import AMC_1day.csv s.csv --archive archive", "split-inverted", 3, "a ratio of 1/10: the wrong way round"),
        (|p| p.archive(), "data import AMC_1min.csv --archive archive --calendar 24x7", "other-calendar", 8, "XNYS"),
        (|p| p.archive(), "data import AMC_1min.csv --archive archive --calendar 24/7", "bad-argument", 2, "those are XNYS, 24x7, 24x5"),
        (|p| p.archive(), "data import AMC_1min.csv --archive archive --provenance my-vendor", "provenance-mixed", 8, "`csv`"),
        (|_| {}, "data import SAMPLE --archive archive --provenance my-vendor", "provenance-renamed", 8, "`synthetic`"),
        (|p| { p.archive(); p.ok("data import AMC_1min.csv --archive a --provenance one"); p.csv("AMC_1min.csv", "2024-07-02T14:00:00Z,10,11,9,10,1"); p.ok("data import AMC_1min.csv --archive b --provenance two --timeframe 1Min"); }, "data import a b --archive c", "provenance-mixed", 8, "`one` and `two`"),
        (|p| p.archive(), "data synth --seed 1 --archive archive", "archive-exists", 8, "already"),
        (|p| p.write("archive", "a file"), "data import AMC_1min.csv --archive archive", "io", 3, "archive"),
    ];
    assert!(check(rows) >= 29);
}

/// Two rows with a volume-weighted price.
const VWAP: &str = "timestamp,open,high,low,close,volume,vwap\n\
    2024-07-01T14:00:00Z,10,11,9,10,1,10.5\n2024-07-01T14:01:00Z,10,11,9,10,1,10.5\n";

/// Days of a reverse split, ten old shares for one.
fn turned() -> String {
    "2024-06-28,10,11,9,10,1000\n2024-07-01,10,11,9,10,1000\n2024-07-02,100,110,90,100,100\n2024-07-03,100,110,90,100,100".to_owned()
}

/// Rows so many minutes apart.
fn spaced(minutes: i64, count: i64) -> String {
    let start = magellan::calendar::session("2024-07-01".parse().expect("a date")).open - 30 * magellan::bar::MINUTE;
    let at = |i: i64| magellan::bar::iso_utc(start + i * minutes * magellan::bar::MINUTE);
    (0..count).map(|i| format!("{},10,11,9,10,100\n", at(i))).collect()
}

#[test]
fn what_import_refuses_check_finds() {
    for (spoil, code) in [
        ((|p: &Place| p.csv("source/AMC_1min.csv", &spaced(5, 30))) as fn(&Place), "bar-width"),
        (
            |p| {
                p.write("source/AMC_1min_a.csv", VWAP.replace("10.5", "10.6"));
                p.write("source/AMC_1min_b.csv", VWAP)
            },
            "conflicting-bars",
        ),
        (
            |p| {
                p.archive();
                p.ok("data import AMC_1min.csv --archive source/a --provenance one");
                p.csv("source/AMC_1min.csv", "2024-07-02T14:00:00Z,10,11,9,10,1\n2024-07-02T14:01:00Z,10,11,9,10,1")
            },
            "provenance-mixed",
        ),
    ] {
        let place = Place::new();
        spoil(&place);
        let (got, out, err) = run(place.command("data check source"));
        assert_eq!(got, if code == "provenance-mixed" { 8 } else { 3 }, "{code}: {out}{err}");
        assert!(out.contains(code), "{code}: {out}{err}");
        assert_ne!(run(place.command(IMPORT)).0, 0, "{code}");
    }
}

#[test]
fn nothing_to_check_is_not_nothing_found() {
    let place = Place::new();
    place.write("splits.csv", "symbol,effective_date,new_shares_per_old\nAMC,2024-07-01,10\n");
    place.ok("data import splits.csv --archive archive");
    for line in ["data check splits.csv", "data check --archive archive", "data verify --archive archive"] {
        let (code, out, err) = run(place.command(line));
        assert!(code == 3 && out.contains("no-bars"), "{line}: {code} {out}{err}");
    }
}

#[test]
fn what_stops_a_check_is_told_to_programs_too() {
    let place = Place::new();
    for (line, code, exit) in [
        ("validate --deployed nowhere", "no-deployed-folder", 2),
        ("validate --strategy bull_trap", "not-deployed", 2),
        ("data check --archive nowhere", "no-archive", 3),
        ("data verify --archive nowhere", "no-archive", 3),
    ] {
        let (got, out, _) = run(place.command(&format!("{line} --format json")));
        let report: Value = serde_json::from_str(&out).unwrap_or_else(|e| panic!("{line}: {e} {out}"));
        assert_eq!(
            (got, &report["exit_code"], report["status"].as_str()),
            (exit, &json!(exit), Some("fail")),
            "{line}"
        );
        let codes: Vec<&str> =
            report["findings"].as_array().expect("findings").iter().filter_map(|f| f["code"].as_str()).collect();
        assert!(codes.contains(&code), "{line}: {codes:?}");
        let annotated = run(place.command(&format!("{line} --format github"))).1;
        assert!(annotated.contains(&format!("title={code}::")), "{line}: {annotated}");
    }
    let row = "timestamp,open,high,low,close,volume\n2024-07-01T14:00:00Z,10,8,9,10,100\n2024-07-01T14:01:00Z,10,11,9,10,100\n";
    place.write("AMC_1min.csv", row);
    let annotated = run(place.command("data check AMC_1min.csv --format github")).1;
    assert!(annotated.contains("AMC 1Min 2024-07-01T14:00:00Z"), "the symbol and day stand in it: {annotated}");
}

#[test]
fn bad_archives() {
    const LIST: &str = "data list --archive archive";
    const CHECK: &str = "data check --archive archive";
    #[rustfmt::skip]
    let rows: &[Row] = &[
        (|_| {}, LIST, "no-archive", 3, "manifest.json is missing"),
        (|p| p.write("archive/manifest.json", ""), LIST, "manifest-damaged", 3, "not an archive manifest"),
        (|p| p.write("archive/manifest.json", "[".repeat(200_000)), LIST, "manifest-damaged", 3, "not an archive manifest"),
        (|p| { p.archive(); p.replace("archive/manifest.json", "\"rows\": 40", "\"rows\": 41") }, LIST, "manifest-damaged", 3, "checksum"),
        (|p| { p.archive(); p.replace("archive/manifest.json", "\"schema_version\": 1", "\"schema_version\": 9") }, LIST, "manifest-damaged", 3, "version 9"),
        (|p| { p.archive(); let r = p.record(); p.change(&r, |b| b[100] ^= 1) }, CHECK, "record-changed", 3, "hash"),
        (|p| { p.archive(); let r = p.record(); p.change(&r, |b| b.truncate(50)) }, CHECK, "record-changed", 3, "hash"),
        (|p| { p.archive(); let r = p.record(); p.write(&r, "") }, CHECK, "record-changed", 3, "hash"),
        (|p| { p.archive(); fs::remove_file(p.at(&p.record())).expect("removed") }, CHECK, "record-missing", 3, "No such file"),
        (|p| { p.archive(); let r = p.record(); p.change(&r, |b| b[100] ^= 1) }, "data verify --archive archive", "record-changed", 3, "hash"),
    ];
    for row in rows {
        // Findings of `check` and `verify` are rows of a table; `list` stops with an error.
        let (spoil, line, code, exit, words) = row;
        let place = Place::new();
        spoil(&place);
        let (got, out, err) = run(place.command(line));
        assert_eq!(got, *exit, "{line}: {out}{err}");
        let named = out.contains(code) || err.contains(&format!("error[{code}]"));
        assert!(named && format!("{out}{err}").contains(words), "{code}, {words}: {out}{err}");
    }
}

#[test]
fn bad_flags_and_environment() {
    const PERIOD: &str = "--start-date 2024-04-01 --end-date 2024-06-28 --archive SAMPLE";
    fn line(rest: &str) -> &'static str {
        Box::leak(format!("backtest --strategy bear_trap {PERIOD} {rest}").into_boxed_str())
    }
    #[rustfmt::skip]
    let rows: &[Row] = &[
        (|_| {}, "backtets", "command-line", 2, "unrecognized subcommand"),
        (|_| {}, "validate --without-archive --archive SAMPLE", "command-line", 2, "cannot be used with"),
        (|_| {}, "gate --fast", "command-line", 2, "--fast"),
        (|_| {}, "backtest --strategy bear_trap", "command-line", 2, "--start-date"),
        (|_| {}, "backtest --strategy bear_trap --start-date 2024-13-01 --end-date 2024-06-28", "bad-argument", 2, "2024-13-01"),
        (|_| {}, "backtest --strategy bull_trap --start-date 2024-04-01 --end-date 2024-06-28", "unknown-strategy", 2, "bear_trap, daily_trend"),
        (|_| {}, "backtest --strategy bear_trap --start-date 2024-06-28 --end-date 2024-04-01 --archive SAMPLE", "bad-argument", 2, "after the end date"),
        (|_| {}, line("--symbols amc"), "bad-argument", 2, "amc"),
        (|_| {}, line("--symbols ZZZ"), "no-bars", 3, "ZZZ"),
        (|_| {}, line("--slippage-bps -1"), "bad-argument", 2, "0 to 1000"),
        (|_| {}, line("--set nonsense"), "bad-argument", 2, "key=value"),
        (|_| {}, line("--set nonsense=1"), "bad-argument", 2, "no such value"),
        (|_| {}, line("--set atr_period=0"), "out-of-range", 2, "given with --set"),
        (|_| {}, line("--set min_body=half"), "wrong-type", 2, "strategy_parameters.min_body"),
        (|_| {}, line("--config missing.json"), "no-config", 2, "missing.json"),
        (|p| p.write("results", "a file"), line("--out results"), "cannot-write", 2, "results"),
        (|_| {}, "backtest --strategy daily_trend --session all --start-date 2024-04-01 --end-date 2024-06-28 --archive SAMPLE", "bad-argument", 2, "no hours to choose"),
        (|_| {}, "gate --strategy bull_trap", "not-deployed", 2, "bull_trap"),
        (|_| {}, "gate --deployed nowhere --archive SAMPLE", "no-deployed-folder", 2, "nowhere"),
        (|p| fs::create_dir(p.at("empty")).expect("made"), "validate --deployed empty --archive SAMPLE", "nothing-deployed", 2, "empty"),
        (|_| {}, "validate --strategy bull_trap --archive SAMPLE", "not-deployed", 2, "bull_trap"),
        (|_| {}, "explain record-chnged", "bad-argument", 2, "did you mean record-changed?"),
        (|_| {}, "data import SAMPLE --archive archive --provenance Alpaca!", "bad-argument", 2, "a-z 0-9"),
        (|p| p.write("results", "a file"), "schema --out results/schema.json", "cannot-write", 2, "schema.json"),
    ];
    assert!(check(rows) >= 24);
    let place = Place::new();
    for (name, value, code, words) in [
        ("USE_ARCHIVED_DATA", "yes", "environment", "true, false or unset"),
        ("MAGELLAN_ARCHIVE", "nowhere", "no-archive", "nowhere"),
    ] {
        let (got, _, err) = run(place.command("gate").env(name, value));
        assert_eq!(got, if code == "environment" { 2 } else { 3 }, "{err}");
        assert!(err.contains(&format!("error[{code}]")) && err.contains(words), "{err}");
    }
}

#[test]
fn a_pipe_in_place_of_a_file_is_refused_at_once() {
    let place = Place::new();
    let made = Command::new("mkfifo").arg(place.at("AMC_1min.csv")).status().expect("mkfifo");
    assert!(made.success());
    let (code, _, err) = run(place.command("data import AMC_1min.csv --archive archive"));
    assert_eq!(code, 3, "{err}");
    assert!(err.contains("not a regular file"), "{err}");
}

#[test]
fn the_error_reference_is_current_and_each_code_is_used() {
    let page = errors::reference();
    let path = root().join("docs/errors.md");
    if std::env::var_os("MAGELLAN_GOLDEN").is_some() {
        fs::write(&path, &page).expect("written");
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == page, "docs/errors.md is stale: run the tests with MAGELLAN_GOLDEN=1 and commit it");
    let folders = ["src", "lint/src", "shell/src", "deployable_strategies"];
    let sources: String = folders
        .iter()
        .flat_map(|folder| crate::tidy::sources(&root().join(folder)))
        .filter(|p| !p.ends_with("codes.rs"))
        .map(|p| fs::read_to_string(p).expect("read"))
        .collect();
    for code in errors::all() {
        let name = code.slug().to_uppercase().replace('-', "_");
        assert!(sources.contains(&format!("codes::{name}")), "nothing reports {code:?}");
    }
}

#[test]
fn explain_tells_cause_and_next_step() {
    let place = Place::new();
    let one = place.ok("explain record-changed");
    assert!(one.contains("exit 3") && one.contains("try: restore"), "{one}");
    assert_eq!(place.ok("explain").matches("try: ").count(), errors::all().count());
}
