//! What people write into `deployed/`: little of it is enough for research, slips are named for what they are, and what
//! nothing reads is found.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use deployable_strategies::ALL;
use magellan::archive::Archive;
use magellan::config::document::Document;
use magellan::config::{self, Checked};
use magellan::disk::map::Access;
use magellan::error::codes;
use magellan::ledger::Ledger;
use magellan::registry::{self, AnyStrategy};
use magellan::research::backtest::Request;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::bad_inputs::Place;
use crate::support::{date, root, run};

const CONFIG: &str = "deployed/daily_trend/config.json";
const FOLDER: &str = "deployed/daily_trend";
const PERIOD: &str = "--start-date 2019-01-02 --end-date 2021-12-31";

/// daily_trend on two symbols, with nothing that research can do without.
fn three_keys() -> Value {
    let parameters =
        json!({"rsi_period": 21, "hysteresis_upper": 58.0, "hysteresis_lower": 42.0, "allocation": 10_000.0});
    json!({
        "strategy": {"name": "daily_trend"},
        "symbols": ["SPY", "TSLA"],
        "symbol_parameters": {"SPY": parameters, "TSLA": parameters},
    })
}

fn sample() -> String {
    root().join("data/sample").display().to_string()
}

fn researched(place: &Place, command: &str) -> (i32, String, String) {
    let line = format!("{command} --strategy daily_trend {PERIOD} --archive {} --config config.json", sample());
    run(place.command(&line))
}

fn with_config(config: &Value) -> Place {
    let place = Place::new();
    place.write("config.json", config.to_string());
    place
}

// ---- three keys ----

#[test]
fn three_keys_are_enough_for_research_and_what_is_assumed_is_said() {
    let place = with_config(&three_keys());
    for command in ["backtest", "sweep --grid rsi_period=7..21:7", "walk-forward --grid rsi_period=7..21:7"] {
        let (code, out, err) = researched(&place, command);
        assert_eq!(code, 0, "{command}: {out}{err}");
        for said in [
            "account_info.initial_capital=100000",
            "execution.friction_bps=10",
            "data_requirements.premarket=false",
            "data_requirements.warmup_bars=63",
            "not limited: risk_management.max_daily_loss_dollars",
            "--set PATH=VALUE",
        ] {
            assert!(out.contains(said), "{command} doesn't say {said}: {out}");
        }
    }
    let (_, out, _) = researched(&place, "backtest --json");
    let report: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(report["assumed"]["execution.friction_bps"], 10);
    assert!(report["assumed"]["risk_management.max_open_positions"].is_null());
}

#[test]
fn what_is_assumed_gives_the_figures_of_a_config_that_says_it() {
    let metrics = |config: &Value, more: &str| {
        let (code, out, err) = researched(&with_config(config), &format!("backtest --json {more}"));
        assert_eq!(code, 0, "{out}{err}");
        let report: Value = serde_json::from_str(&out).expect("JSON");
        (report["runs"][0]["metrics"].clone(), report["assumed"].clone())
    };
    let mut said = three_keys();
    said["account_info"] = json!({"initial_capital": 100_000});
    said["execution"] = json!({"friction_bps": 10});
    said["data_requirements"] = json!({"premarket": false, "after_hours": false, "warmup_bars": 63});
    said["risk_management"] = json!({
        "max_daily_loss_pct": 1, "max_daily_loss_dollars": 1e12, "max_trades_per_day": 1_000_000, "max_open_positions": 10_000,
    });
    let (three, assumed) = metrics(&three_keys(), "");
    let (all, nothing) = metrics(&said, "");
    assert_eq!((&three, &nothing), (&all, &json!({})));
    assert_eq!(assumed.as_object().map(|o| o.len()), Some(9), "{assumed}");
    // What is given on the command line is not assumed.
    let set = "--set account_info.initial_capital=100000 --set execution.friction_bps=10 \
               --set data_requirements.warmup_bars=63 --session regular --set risk_management.max_open_positions=2";
    let (given, assumed) = metrics(&three_keys(), set);
    assert_eq!(given, three);
    for path in ["account_info.initial_capital", "execution.friction_bps", "data_requirements.warmup_bars"] {
        assert!(assumed.get(path).is_none(), "{path}: {assumed}");
    }
}

#[test]
fn a_setting_that_there_is_not_is_refused_by_its_name() {
    let place = with_config(&three_keys());
    let (code, _, err) = researched(&place, "backtest --set execution.frictn_bps=2");
    assert!(code == 2 && err.contains("unknown-key") && err.contains("did you mean `friction_bps`?"), "{err}");
    let (code, _, err) = researched(&place, "backtest --set monitoring.log_level=info");
    assert!(code == 2 && err.contains("no such value"), "{err}");
}

#[test]
fn what_other_engines_call_a_key_is_understood_and_what_is_near_to_none_isnt() {
    for (change, help) in [
        (json!({"parameters": {}}), "write `symbol_parameters`, by symbol, or `strategy_parameters`"),
        (json!({"tickers": ["SPY"]}), "did you mean `symbols`?"),
        (json!({"execution": {"slippage_bps": 1}}), "did you mean `friction_bps`?"),
        (json!({"execution": {"frictionbps": 1}}), "did you mean `friction_bps`?"),
        (json!({"risk_management": {"max_position_pct": 1}}), "remove it; keys here are"),
        (json!({"strategy": "daily_trend"}), "write {\"name\": \"daily_trend\"}"),
        (json!({"symbols": "SPY"}), "write it in brackets: [\"SPY\"]"),
    ] {
        let mut config = three_keys();
        config.as_object_mut().expect("an object").extend(change.as_object().expect("an object").clone());
        let (code, _, err) = researched(&with_config(&config), "backtest");
        assert!(code == 2 && err.contains(help), "{change}: {err}");
    }
}

#[test]
fn more_than_there_is_to_invest_is_refused() {
    let mut config = three_keys();
    config["symbol_parameters"]["SPY"]["allocation"] = json!(95_000);
    let (code, _, err) = researched(&with_config(&config), "backtest");
    let said = "the allocations add up to 105000, above account_info.initial_capital 100000 dollars, which is assumed";
    assert!(code == 2 && err.contains(said) && err.contains("--set account_info.initial_capital"), "{err}");
    let enough = researched(&with_config(&config), "backtest --set account_info.initial_capital=105000");
    assert_eq!(enough.0, 0, "{enough:?}");
}

#[test]
fn a_strategy_that_sizes_by_risk_asks_for_what_it_sizes_by() {
    let deployed: Value =
        serde_json::from_str(&fs::read_to_string(root().join("deployed/bear_trap/config.json")).expect("read"))
            .expect("JSON");
    let mut config = json!({});
    for key in ["symbols", "strategy_parameters"] {
        config[key] = deployed[key].clone();
    }
    config["strategy"] = json!({"name": "bear_trap"});
    let line = |more: &str| {
        let place = with_config(&config);
        let line = format!(
            "backtest --strategy bear_trap --start-date 2024-04-01 --end-date 2024-05-31 --config config.json --archive {} {more}",
            sample()
        );
        run(place.command(&line))
    };
    let (code, _, err) = line("");
    assert!(code == 2 && err.contains("risk_management.per_trade_risk_pct is missing; bear_trap sizes by it"), "{err}");
    let set = "--set risk_management.per_trade_risk_pct=0.02 --set risk_management.max_position_dollars=50000";
    let (code, out, err) = line(set);
    assert_eq!(code, 0, "{out}{err}");
    assert!(!out.contains("warmup_bars"), "it forgets with the session: {out}");
}

#[test]
fn the_gate_names_every_key_that_a_deploy_needs_at_once() {
    let place = Place::new();
    for other in ["bear_trap", "hourly_swing"] {
        fs::remove_dir_all(place.at("deployed").join(other)).expect("removed");
    }
    place.write(CONFIG, three_keys().to_string());
    let (code, out, _) = run(place.command(&format!("gate --archive {}", sample())));
    assert_eq!(code, 2, "{out}");
    let plain = out.replace('\n', " ");
    for key in ["account_info (The broker account, with account_id", "trading_hours", "monitoring", "ssm_parameters"] {
        assert!(plain.contains(key), "{key}: {out}");
    }
    assert!(out.contains("12 keys that are missing") && out.contains("no-criteria"), "{out}");
    let (code, out, _) = run(place.command(&format!("validate --archive {}", sample())));
    assert_eq!(code, 2, "{out}");
    assert!(
        out.contains("enough for backtest, sweep and walk-forward, not for the gate and a deploy: daily_trend"),
        "{out}"
    );
    assert!(out.contains("`account_info`, `data_requirements`") && out.contains("monitoring: add it: Logs"), "{out}");
}

fn daily() -> &'static dyn AnyStrategy {
    registry::find(ALL, "daily_trend").expect("known")
}

fn parse(config: &Value) -> Document {
    Document::parse(Path::new("config.json"), serde_json::to_string_pretty(config).expect("JSON"), &[]).expect("JSON")
}

/// daily_trend as it is deployed, on two symbols.
fn whole() -> Value {
    let text = fs::read_to_string(root().join(CONFIG)).expect("read");
    let mut config: Value = serde_json::from_str(&text).expect("JSON");
    config["symbols"] = json!(["SPY", "TSLA"]);
    let kept = |symbol: &String, _: &mut Value| ["SPY", "TSLA"].contains(&symbol.as_str());
    config["symbol_parameters"].as_object_mut().expect("an object").retain(kept);
    config
}

fn required(schema: &Value) -> BTreeSet<String> {
    let names = |schema: &Value| -> Vec<String> {
        let list = schema["required"].as_array().into_iter().flatten();
        list.map(|name| name.as_str().expect("a name").to_owned()).collect()
    };
    let mut all: BTreeSet<String> = names(schema).into_iter().collect();
    for (section, schema) in schema["properties"].as_object().expect("properties") {
        all.extend(names(schema).into_iter().map(|key| format!("{section}.{key}")));
    }
    all
}

/// Keys that a deploy needs and no figure depends on, as they are in the deployed config; sections come before what is
/// in them.
fn deploy_only() -> Vec<String> {
    let of_figures = |path: &String| {
        let sections = ["data_requirements", "risk_management", "execution", "account_info"];
        let keys = ["account_info.initial_capital", "execution.friction_bps", "data_requirements.warmup_bars"];
        sections.contains(&path.as_str()) || keys.contains(&path.as_str()) || path.starts_with("risk_management.")
    };
    let research = required(config::research_schema());
    required(config::common_schema()).into_iter().filter(|p| !research.contains(p) && !of_figures(p)).collect()
}

fn remove(config: &mut Value, path: &str) {
    match path.split_once('.') {
        None => drop(config.as_object_mut().expect("an object").shift_remove(path)),
        Some((section, key)) => {
            drop(config.get_mut(section).and_then(Value::as_object_mut).map(|section| section.shift_remove(key)))
        }
    }
}

/// Fills and equity of a year.
fn replayed(document: &Checked) -> String {
    let archive = Archive::open(&root().join("data/sample"), Access::Map).expect("an archive");
    let folder = tempfile::tempdir().expect("a folder");
    let mut ledger = Ledger::open(folder.path(), "daily_trend").expect("a ledger");
    let request = Request::portfolio(document, &archive, date("2019-01-02"), date("2019-12-31"));
    let run = daily().backtest(&request, &mut ledger).expect("replays").remove(0);
    format!("{:?} {:?}", run.replay.fills, run.replay.equity)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// What only a deploy needs changes no figure, and whoever leaves it out is told each of its keys.
    #[test]
    fn a_deploys_keys_may_be_left_out_of_research_and_are_named_one_by_one(
        left_out in prop::sample::subsequence(deploy_only(), 0..=deploy_only().len())
    ) {
        let mut config = whole();
        left_out.iter().for_each(|path| remove(&mut config, path));
        let checked = daily().check(parse(&config)).map_err(|e| TestCaseError::fail(e.to_string()))?;
        prop_assert_eq!(replayed(&checked), replayed(&daily().check(parse(&whole())).expect("checked")));

        let document = parse(&config);
        let missing = config::examine(&document);
        let named: BTreeSet<&str> = missing.iter().map(|f| f.subject.as_str()).collect();
        // A section that is gone stands for its keys.
        let gone = |path: &&str| path.split_once('.').is_none_or(|(section, _)| left_out.iter().all(|p| p != section));
        let expected: BTreeSet<&str> = left_out.iter().map(String::as_str).filter(gone).collect();
        prop_assert_eq!(&named, &expected);
        prop_assert!(missing.iter().all(|f| [codes::MISSING_KEY, codes::NO_CRITERIA].contains(&f.code)));
        match daily().complete(document) {
            Ok(_) => prop_assert!(left_out.is_empty()),
            Err(err) => {
                let said = format!("{err} {}", err.suggestion());
                prop_assert!(expected.iter().all(|path| said.contains(path)), "{}", said);
            }
        }
    }
}

// ---- slips in JSON ----

/// What the deployed config says, what somebody writes instead, and what is said of it: words, help, line and column
/// (from 0 at the changed text).
const SLIPS: &[(&str, &str, &str, &str)] = &[
    ("\"name\": ", "// the name\n\"name\": ", "JSON has no comments", "remove it"),
    ("\"name\": ", "/* the name */ \"name\": ", "JSON has no comments", "remove it"),
    ("\"name\": ", "# the name\n\"name\": ", "JSON has no comments", "remove it"),
    ("\"SPY\",", "\"SPY\", // the index", "JSON has no comments", "remove it"),
    (
        "\"expected_trades_per_month\": 3",
        "\"expected_trades_per_month\": 3,",
        "a comma after the last entry",
        "remove the comma",
    ),
    ("\"IWM\"\n", "\"IWM\",\n", "a comma after the last entry", "remove the comma"),
    ("\"version\"", "'version'", "single quotes", "double quotes"),
    ("\"trend_following\"", "'trend_following'", "single quotes", "double quotes"),
    ("\"trend_following\"", "“trend_following”", "typographic quotes", "plain double quotes"),
    ("\"version\"", "version", "the key `version` has no quotes", "write \"version\""),
    ("\"trend_following\"", "trend_following", "the text `trend_following` has no quotes", "write \"trend_following\""),
    ("\"friction_bps\": 1.5", "\"friction_bps\": NaN", "`NaN`: JSON has no such number", "leave the key out"),
    ("\"friction_bps\": 1.5", "\"friction_bps\": -Infinity", "JSON has no such number", "a finite number"),
    ("\"friction_bps\": 1.5", "\"friction_bps\": inf", "JSON has no such number", "a finite number"),
    ("\"extended_hours\": false", "\"extended_hours\": False", "`False` is no value of JSON", "write false"),
    ("\"allow_overnight_holds\": true", "\"allow_overnight_holds\": True", "`True` is no value of JSON", "write true"),
    ("\"extended_hours\": false", "\"extended_hours\": no", "`no` is no value of JSON", "write false"),
    ("\"allow_overnight_holds\": true", "\"allow_overnight_holds\": tru", "`tru` is no value of JSON", "write true"),
    ("\"friction_bps\": 1.5", "\"friction_bps\": 1e", "`1e` is no number in JSON", "write digits"),
    ("\"friction_bps\": 1.5", "\"friction_bps\": $BPS", "the text `$BPS` has no quotes", "write"),
    ("\"extended_hours\": false", "\"extended_hours\": None", "`None` is no value of JSON", "leave the key out"),
    (
        "\"initial_capital\": 100000.0,",
        "\"initial_capital\": 100000.0",
        "a comma is missing before this",
        "write a comma",
    ),
    ("\"GLD\",", "\"GLD\"", "a comma is missing before this", "write a comma"),
    ("\"initial_capital\": 100000.0,", "\"initial_capital\": 100000.0;", "a semicolon", "write a comma"),
    ("\"initial_capital\": 100000.0", "\"initial_capital\" = 100000.0", "`=` between key and value", "write `:`"),
    ("\"initial_capital\": 100000.0", "\"initial_capital\" 100000.0", "a colon is missing", "\"key\": value"),
    ("\"initial_capital\": 100000.0", "\"initial_capital\":", "a value is missing", "write a value"),
    ("\"initial_capital\": 100000.0", "\"initial_capital\": 100,000", "no separators of thousands", "write 100000"),
    ("\"initial_capital\": 100000.0", "\"initial_capital\": 100_000", "`100_000` is no number in JSON", "write 100000"),
    ("\"friction_bps\": 1.5", "\"friction_bps\": .5", "`.5` is no number in JSON", "write 0.5"),
    ("\"friction_bps\": 1.5", "\"friction_bps\": 5.", "`5.` is no number in JSON", "write 5"),
    ("\"friction_bps\": 1.5", "\"friction_bps\": +1.5", "`+1.5` is no number in JSON", "write 1.5"),
    ("\"friction_bps\": 1.5", "\"friction_bps\": 007", "`007` is no number in JSON", "write 7"),
    ("\"friction_bps\": 1.5", "\"friction_bps\": 0x10", "`0x10` is no number in JSON", "write digits"),
    ("\"friction_bps\": 1.5", "\"friction_bps\": 5bps", "`5bps` is no number in JSON", "write digits"),
    ("\"trend_following\"", "\"trend_following", "a text isn't closed on its line", "double quote"),
    ("\"trend_following\"", "\"trend\tfollowing\"", "a tab inside a text", "write \\t"),
    ("\"trend_following\"", "\"C:\\data\"", "`\\d` is no escape of JSON", "written twice"),
    ("\"symbols\"", ", \"symbols\"", "a comma with nothing before it", "remove the comma"),
    ("\"symbols\": [", "\"symbols\": (", "parentheses", "write [ … ]"),
    (
        "\"symbols\": [",
        "\"symbols\":\u{a0}[",
        "an invisible character that is no plain space (U+00A0)",
        "a plain space",
    ),
    ("\"seed\": 1\n  }\n}", "\"seed\": 1\n  }\n", "the text ends, and `{` of line 1 isn't closed", "write `}`"),
    ("\"seed\": 1\n  }\n}", "\"seed\": 1\n  }\n}\n}", "the config ends before this", "remove what follows"),
    ("\n  \"symbols\": [", "\n<<<<<<< HEAD\n  \"symbols\": [", "a merge left its mark", "choose one side"),
];

/// Texts that aren't JSON as a whole.
const WHOLE: &[(&str, &str)] = &[
    ("", "the file is empty"),
    (" \n", "the file is empty"),
    ("strategy:\n  name: daily_trend\n", "a config begins with an opening brace, this text with `strategy`"),
    ("<!DOCTYPE html><html></html>", "this is HTML or XML"),
    ("\u{feff}{}", "a byte order mark"),
    ("{\"symbols\": [\"SPY\"}", "no object is open"),
    ("{\"symbols\": {\"SPY\": 1]}", "means nothing here"),
];

#[test]
fn slips_in_json_are_named_for_what_they_are_where_they_are() {
    let good = fs::read_to_string(root().join(CONFIG)).expect("read");
    for (from, to, words, help) in SLIPS {
        assert!(good.contains(from), "{from}");
        let text = good.replacen(from, to, 1);
        let err = Document::parse(Path::new("config.json"), text.clone(), &[]).expect_err("no JSON");
        assert_eq!(err.code(), codes::CONFIG_SYNTAX, "{to}");
        assert!(err.what().contains(words), "{to:?}: {}", err.what());
        assert!(err.suggestion().contains(help), "{to:?}: {}", err.suggestion());
        let (_, line, column) = err.line().expect("a place");
        let changed = good[..good.find(from).expect("there")].matches('\n').count() + 1;
        let lines = changed..=changed + to.matches('\n').count() + 1;
        let of_whole = words.starts_with("the text ends") || words.starts_with("the config ends");
        assert!(of_whole || lines.contains(&line), "{to:?} is at line {line}, not {lines:?}");
        let shown = text.lines().nth(line - 1).expect("a line of the text");
        assert!(column <= shown.chars().count() + 1, "{to:?}: column {column} of `{shown}`");
    }
    for (text, words) in WHOLE {
        let err = Document::parse(Path::new("config.json"), (*text).to_owned(), &[]).expect_err("no JSON");
        assert!(err.what().contains(words), "{text:?}: {}", err.what());
        assert!(err.line().is_some(), "{text:?}");
    }
}

#[test]
fn a_file_of_another_encoding_is_told_to_be_saved_as_utf_8() {
    let place = Place::new();
    let text = fs::read_to_string(root().join(CONFIG)).expect("read");
    let utf_16: Vec<u8> = [0xff, 0xfe].into_iter().chain(text.encode_utf16().flat_map(u16::to_le_bytes)).collect();
    place.write(CONFIG, utf_16);
    let (code, out, _) = run(place.command(&format!("validate --strategy daily_trend --archive {}", sample())));
    assert!(code == 2 && out.contains("the file is UTF-16") && out.contains("save it as UTF-8"), "{out}");
}

#[test]
fn a_key_that_stands_twice_is_found() {
    let place = Place::new();
    place.replace(CONFIG, "\"version\": \"1.0.0\",", "\"version\": \"1.0.0\", \"version\": \"2\",");
    let line = |format: &str| format!("validate --strategy daily_trend --archive {} {format}", sample());
    let (code, out, _) = run(place.command(&line("")));
    assert!(code == 2 && out.contains("strategy.version stands twice"), "{out}");
    // The short forms are those of other commands.
    for (short, long) in [("--json", "--format json"), ("--github", "--format github")] {
        assert_eq!(run(place.command(&line(short))), run(place.command(&line(long))), "{short}");
    }
    assert_eq!(run(place.command(&line("--json --github"))).0, 2);
}

proptest! {
    /// Whatever the text: an error with a place inside it, never a panic.
    #[test]
    fn any_text_gets_an_answer(text in "[{}\\[\\]:,\"'a-zN0-9#/\\\\ \n\t\u{a0}“.+-]{0,60}") {
        if let Err(err) = Document::parse(Path::new("config.json"), text.clone(), &[]) {
            let (_, line, _) = err.line().expect("a place");
            prop_assert!(line <= text.matches('\n').count() + 1);
            prop_assert!(!err.what().is_empty() && !err.suggestion().is_empty());
        }
    }
}

// ---- files that nothing reads ----

fn validated(place: &Place) -> (i32, Vec<Value>) {
    let line = format!("validate --strategy daily_trend --archive {} --format json", sample());
    let (code, out, err) = run(place.command(&line));
    let report: Value = serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out}{err}"));
    (code, report["findings"].as_array().expect("findings").clone())
}

#[test]
fn what_systemd_would_act_on_and_no_deploy_ships_is_an_error() {
    let unit = "magellan-daily-trend.service";
    for (file, words, help) in [
        (
            format!("{FOLDER}/{unit}.d/override.conf"),
            "a drop-in",
            "write its settings into magellan-daily-trend.service",
        ),
        (format!("{FOLDER}/service.d/10-memory.conf"), "a drop-in", "write its settings into"),
        (format!("{FOLDER}/override.conf"), "a file of settings", "write its settings into"),
        (format!("{FOLDER}/magellan-daily-trend.timer"), "a timer", "a service runs always"),
        (format!("{FOLDER}/magellan-daily-trend.socket"), "a file of systemd (.socket)", "remove it"),
        (format!("{FOLDER}/magellan@.service"), "a template", "one unit a strategy"),
        (
            format!("{FOLDER}/magellan-daily_trend.service"),
            "a unit that no deploy installs",
            "rename it to magellan-daily-trend.service",
        ),
        (format!("{FOLDER}/multi-user.target.wants/{unit}"), "a folder of links", "WantedBy="),
        ("deployed/magellan.service".to_owned(), "a unit that no deploy installs", "remove it"),
        ("deployed/environments/magellan.timer".to_owned(), "a timer", "remove it"),
    ] {
        let place = Place::new();
        place.write(&file, "[Service]\nMemoryMax=2G\n");
        let (code, found) = validated(&place);
        assert_eq!((code, found.len()), (2, 1), "{file}: {found:#?}");
        let said = |key: &str| found[0][key].as_str().expect("text");
        assert_eq!(said("code"), "unit-not-read");
        assert!(said("what").contains(words) && said("help").contains(help), "{file}: {found:#?}");
        assert!(file.starts_with(said("file")), "{file}: {found:#?}");
    }
}

#[test]
fn other_files_that_nothing_reads_are_noted_and_what_people_read_is_not() {
    let place = Place::new();
    for file in ["config.json.bak", "config (1).json", "old/config.json"] {
        place.write(&format!("{FOLDER}/{file}"), "{}");
    }
    for file in ["README.md", "notes.txt", ".gitkeep"] {
        place.write(&format!("{FOLDER}/{file}"), "x");
    }
    let (code, found) = validated(&place);
    let subjects: BTreeSet<&str> = found.iter().filter_map(|f| f["subject"].as_str()).collect();
    assert_eq!((code, subjects), (0, BTreeSet::from(["config (1).json", "config.json.bak", "old"])), "{found:#?}");
    assert!(found.iter().all(|f| f["severity"] == "note" && f["code"] == "file-not-read"), "{found:#?}");
}

#[test]
fn a_setting_that_systemd_knows_is_no_slip_of_another() {
    for (line, help) in [
        ("ExecStartPre=/usr/bin/test -d /srv", "a service runs `magellan run` and nothing else"),
        ("ExecStopPost=/bin/true", "a service runs `magellan run` and nothing else"),
        ("EnvironmentFile=/etc/magellan.env", "keys come from SSM"),
        ("SuccessExitStatus=1", "it would make a failure look like something else"),
        ("CPUQuota=50%", "remove it: systemd would act on it"),
        ("MemoryLimit=1G", "write MemoryMax="),
        ("RuntimeDirectory=magellan", "write StateDirectory="),
        ("OnCalendar=daily", "in a .timer file only"),
        ("ExecSart=/x", "did you mean `ExecStart`?"),
        ("RestartSecs=10", "did you mean `RestartSec`?"),
        ("Strategy=x", "systemd doesn't know it either"),
    ] {
        let place = Place::new();
        place.replace(
            &format!("{FOLDER}/magellan-daily-trend.service"),
            "Restart=always",
            &format!("Restart=always\n{line}"),
        );
        let (code, found) = validated(&place);
        assert_eq!((code, found.len()), (2, 1), "{line}: {found:#?}");
        let said = found[0]["help"].as_str().expect("a help");
        assert!(said.contains(help), "{line}: {said}");
        assert!(help.contains("did you mean") || !said.contains("did you mean"), "{line}: {said}");
    }
}

#[test]
fn what_the_archive_lacks_says_which_archive_and_how_to_name_another() {
    let place = Place::new();
    place.replace(CONFIG, "\"start_date\": \"2018-01-02\"", "\"start_date\": \"2015-01-02\"");
    let (code, found) = validated(&place);
    assert_eq!((code, found.len()), (3, 1), "{found:#?}");
    let help = found[0]["help"].as_str().expect("a help");
    assert!(help.contains(&sample()) && help.contains("--archive DIR or MAGELLAN_ARCHIVE"), "{help}");
}

#[test]
fn abbreviations_are_expanded_once_under_what_uses_them() {
    let place = with_config(&three_keys());
    let (_, out, _) = researched(&place, "backtest");
    assert_eq!(out.matches("cagr: compound annual growth rate").count(), 1, "{out}");
    assert_eq!(out.matches("bps: basis points").count(), 1, "{out}");
    assert!(!out.contains("psr:"), "it isn't there: {out}");
    let (_, out, _) = researched(&place, "sweep --grid rsi_period=7..21:7 --by cagr");
    assert!(out.contains("cagr: compound annual growth rate") && !out.contains("bps: basis"), "{out}");
    assert!(out.contains("among 3 points"), "{out}");
    let (_, out, _) = researched(&place, "sweep --grid rsi_period=21");
    assert!(out.contains("among 1 point;") || out.contains("among 1 point of"), "{out}");
}
