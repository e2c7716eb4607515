//! `magellan validate` and `magellan schema`: everything at once, and one truth for editors and
//! validator.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use deployable_strategies::ALL;
use magellan::config::document::Document;
use magellan::config::{self, schema};
use magellan::registry;
use magellan_shell::validate::config_schema;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::bad_inputs::Place;
use crate::support::{python, root, run};

fn findings(place: &Place, line: &str) -> (i32, Vec<Value>) {
    let sample = root().join("data/sample").display().to_string();
    let (code, out, err) = run(place.command(&format!("{line} --archive {sample} --format json")));
    let report: Value = serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out}{err}"));
    assert_eq!(report["exit_code"], code);
    (code, report["findings"].as_array().expect("findings").clone())
}

#[test]
fn what_is_deployed_is_valid() {
    let (code, found) = findings(&Place::new(), "validate");
    assert_eq!((code, found.len()), (0, 0), "{found:?}");
}

#[test]
fn without_an_archive_all_but_its_bars_is_validated_and_that_is_said() {
    let place = Place::new();
    // No archive has these bars, and there is none.
    place.replace("deployed/bear_trap/config.json", "\"AMC\"", "\"ZZZ\"");
    let (code, out, err) = run(place.command("validate --without-archive"));
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("without the archive"), "{out}");
    let (code, out, _) = run(place.command("validate --without-archive --format json"));
    let report: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!((code, &report["archive_examined"], &report["synthetic"]), (0, &json!(false), &json!(false)));
    let (code, found) = findings(&place, "validate");
    assert!(code == 3 && found.iter().any(|f| f["code"] == "no-bars"), "with one it is found: {found:?}");
    for (file, from, to, expected) in [
        ("magellan-bear-trap.service", "User=magellan", "User=root", "unit-value"),
        (
            "config.json",
            "2024-04-01\",\n        \"end_date\": \"2024-06-28",
            "2024-06-01\", \"end_date\": \"2024-06-02",
            "no-bars",
        ),
    ] {
        let place = Place::new();
        place.replace(&format!("deployed/bear_trap/{file}"), from, to);
        let (code, out, _) = run(place.command("validate --without-archive"));
        assert!(code != 0 && out.contains(expected), "{out}");
    }
}

#[test]
fn ten_faults_give_ten_findings_each_at_its_own_place() {
    let place = Place::new();
    let config = "deployed/hourly_swing/config.json";
    for (from, to) in [
        ("\"buying_power\": 100000.0", "\"buying_power\": 100001.0"),
        ("\"version\"", "\"verzion\""),
        ("\"timeframe\": \"1Hour\"", "\"timeframe\": \"1Huor\""),
        ("\"market_close\": \"16:00\"", "\"market_close\": \"17:00\""),
        ("\"max_daily_loss_pct\": ", "\"max_daily_loss_pct\": 5"),
        ("\"friction_bps\": 5.0", "\"friction_bps\": \"5.0\""),
        ("\"hysteresis_lower\": 40", "\"hysteresis_lower\": 80"),
        ("\"base_url\": \"https", "\"base_url\": \"ftp"),
        ("\"start_date\": \"2022-01-03\"", "\"start_date\": \"2022-01-32\""),
    ] {
        place.replace(config, from, to);
    }
    let (code, found) = findings(&place, "validate");
    let lines: BTreeSet<u64> = found.iter().map(|f| f["line"].as_u64().expect("a line")).collect();
    let codes: Vec<&str> = found.iter().map(|f| f["code"].as_str().expect("a code")).collect();
    // `verzion` is two: a key that nobody reads, and one that is missing.
    assert_eq!((code, found.len(), lines.len()), (2, 10, 10), "{codes:?} {found:#?}");
    for finding in &found {
        for key in ["file", "column", "subject", "what", "help"] {
            assert!(!finding[key].is_null(), "{key}: {finding}");
        }
    }
    let text = run(place.command("validate")).1;
    assert!(text.contains("\"timeframe\": \"1Huor\"") && text.contains("^^^^^^^"), "the source line is shown: {text}");
}

#[test]
fn an_environment_is_held_to_its_keys_and_to_the_strategies() {
    let good = fs::read_to_string(root().join("deployed/environments/staging.toml")).expect("read");
    let place = Place::new();
    let found = |text: &str| {
        place.write("deployed/environments/staging.toml", text);
        let (code, found) = findings(&place, "validate");
        (code, found.iter().map(|f| (f["code"].clone(), f["line"].clone())).collect::<Vec<_>>())
    };
    assert_eq!(found(&good), (0, Vec::new()));
    for (old, new) in
        [("kind = ", "kimd = "), ("account = \"0", "account = \"x"), ("magellan-bear-trap", "magellan-bear")]
    {
        let (text, begins) = (good.replace(old, new), if old.starts_with("mag") { "services" } else { &new[..4] });
        let line = text.lines().position(|l| l.starts_with(begins)).expect("there") + 1;
        assert_eq!(found(&text), (2, vec![(json!("bad-environment"), json!(line))]), "{new}");
    }
}

#[test]
fn findings_of_one_strategy_do_not_hide_those_of_another() {
    let place = Place::new();
    place.write("deployed/bear_trap/config.json", "{");
    place.replace("deployed/daily_trend/config.json", "\"1Day\"", "\"1Min\"");
    fs::create_dir(place.at("deployed/new")).expect("made");
    let (code, found) = findings(&place, "validate");
    let codes: BTreeSet<&str> = found.iter().filter_map(|f| f["code"].as_str()).collect();
    assert_eq!(code, 2);
    assert_eq!(codes, BTreeSet::from(["config-syntax", "contradiction", "no-config", "unit-missing"]), "{found:#?}");
}

#[test]
fn a_syntax_error_has_line_column_and_source_line_in_every_format() {
    let place = Place::new();
    place.replace("deployed/bear_trap/config.json", "\"initial_capital\": 100000.0,", "\"initial_capital\": 100000.0");
    let (_, found) = findings(&place, "validate --strategy bear_trap");
    let at = (&found[0]["file"], &found[0]["line"], &found[0]["column"]);
    assert_eq!(at, (&json!("deployed/bear_trap/config.json"), &json!(7), &json!(5)));
    let sample = root().join("data/sample").display().to_string();
    let line = format!("validate --strategy bear_trap --archive {sample}");
    let text = run(place.command(&line)).1;
    assert!(text.contains("\"margin_multiplier\": 4.0,") && text.contains("config.json:7:5"), "{text}");
    let annotated = run(place.command(&format!("{line} --format github"))).1;
    assert!(
        annotated.starts_with("::error file=deployed/bear_trap/config.json,line=7,col=5,title=config-syntax::"),
        "{annotated}"
    );
}

#[test]
fn github_annotations_name_files_as_the_repository_does() {
    let place = Place::new();
    place.replace("deployed/bear_trap/config.json", "\"per_trade_risk_pct\": 0.02", "\"per_trade_risk_pct\": 2.0");
    let sample = root().join("data/sample").display().to_string();
    let (code, out, _) = run(place.command(&format!("validate --archive {sample} --format github")));
    assert_eq!(code, 2);
    assert!(
        out.starts_with("::error file=deployed/bear_trap/config.json,line=67,col=27,title=out-of-range::"),
        "{out}"
    );
}

/// The keywords of a schema; names of properties and values are no keywords.
fn keywords(schema: &Value, found: &mut BTreeSet<String>) {
    let Some(object) = schema.as_object() else { return };
    for (key, value) in object {
        found.insert(key.clone());
        match key.as_str() {
            "properties" => value.as_object().expect("object").values().for_each(|s| keywords(s, found)),
            "anyOf" | "allOf" => value.as_array().expect("list").iter().for_each(|s| keywords(s, found)),
            "items" | "additionalProperties" | "propertyNames" | "if" | "then" => keywords(value, found),
            _ => {}
        }
    }
}

#[test]
fn the_validator_passes_over_no_keyword_of_the_schema() {
    let mut found = BTreeSet::new();
    keywords(&config_schema(ALL), &mut found);
    assert!(found.len() > 15);
    let unknown: Vec<&String> = found.iter().filter(|k| !schema::KEYWORDS.contains(&k.as_str())).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

fn deployed(strategy: &str) -> Value {
    let path = root().join("deployed").join(strategy).join("config.json");
    serde_json::from_str(&fs::read_to_string(path).expect("read")).expect("JSON")
}

/// Every place in a value, as a JSON pointer.
fn pointers(value: &Value, at: &str, all: &mut Vec<String>) {
    all.push(at.to_owned());
    match value {
        Value::Object(object) => object.iter().for_each(|(k, v)| pointers(v, &format!("{at}/{k}"), all)),
        Value::Array(list) => list.iter().enumerate().for_each(|(i, v)| pointers(v, &format!("{at}/{i}"), all)),
        _ => {}
    }
}

fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        prop::sample::select(vec![-1.0, 0.0, 0.02, 0.5, 1.0, 1.5, 2.0, 5.0, 84.0, 1e6, 1e13]).prop_map(Value::from),
        (-10i64..2000).prop_map(Value::from),
        prop::sample::select(vec![
            "",
            "x",
            "AMC",
            "amc",
            "1Min",
            "1Day",
            "09:30",
            "16:05",
            "2024-02-29",
            "2023-02-29",
            "MON",
            "info",
            "/a",
            "https://a",
            "bear_trap",
            "daily_trend"
        ])
        .prop_map(Value::from),
        Just(json!([])),
        Just(json!(["AMC", "AMC"])),
        Just(json!({})),
        Just(json!({"fail_below": 1})),
        Just(json!({"name": "a", "start_date": "2024-01-02", "end_date": "2024-01-03"})),
    ]
}

#[derive(Clone, Debug)]
enum Change {
    Replace(prop::sample::Index, Value),
    Remove(prop::sample::Index),
    Add(prop::sample::Index, String, Value),
}

fn any_change() -> impl Strategy<Value = Change> {
    let key = prop::sample::select(vec![
        "x",
        "AMC",
        "fee_bps",
        "fail_above",
        "$schema",
        "symbol_parameters",
        "strategy_parameters",
        "sharpe",
    ]);
    prop_oneof![
        (any::<prop::sample::Index>(), any_value()).prop_map(|(at, value)| Change::Replace(at, value)),
        any::<prop::sample::Index>().prop_map(Change::Remove),
        (any::<prop::sample::Index>(), key, any_value()).prop_map(|(at, k, v)| Change::Add(at, k.to_owned(), v)),
    ]
}

fn apply(config: &mut Value, change: &Change) {
    let mut all = Vec::new();
    pointers(config, "", &mut all);
    match change {
        Change::Replace(at, value) => {
            if let Some(slot) = config.pointer_mut(&all[at.index(all.len())]) {
                *slot = value.clone();
            }
        }
        Change::Remove(at) => {
            let (parent, key) = all[at.index(all.len())].rsplit_once('/').unwrap_or_default();
            match config.pointer_mut(parent) {
                Some(Value::Object(object)) => drop(object.shift_remove(key)),
                Some(Value::Array(list)) => drop(list.pop()),
                _ => {}
            }
        }
        Change::Add(at, key, value) => {
            if let Some(Value::Object(object)) = config.pointer_mut(&all[at.index(all.len())]) {
                object.insert(key.clone(), value.clone());
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]
    /// An editor and the validator agree on every document, valid or not.
    #[test]
    fn the_schema_and_the_validator_agree(
        strategy in prop::sample::select(vec!["bear_trap", "daily_trend", "hourly_swing"]),
        changes in prop::collection::vec(any_change(), 0..4),
    ) {
        let mut config = deployed(strategy);
        changes.iter().for_each(|change| apply(&mut config, change));
        let emitted = config_schema(ALL);
        let editor = jsonschema::options().should_validate_formats(true).build(&emitted).expect("a schema");
        let errors: Vec<String> = editor.iter_errors(&config).map(|e| format!("{}: {e}", e.instance_path())).collect();
        let ours = schema::examine(&emitted, &config, "");
        prop_assert_eq!(errors.is_empty(), ours.is_empty(), "{:?}\n{:?}\n{}", errors, ours, config);
        // What validates is what the schema says, and more: contradictions.
        let name = config.pointer("/strategy/name").and_then(Value::as_str).unwrap_or_default();
        if let Ok(known) = registry::find(ALL, name) {
            let text = serde_json::to_string_pretty(&config).expect("JSON");
            let document = Document::parse(Path::new("config.json"), text, &[]).expect("JSON");
            let mut found = config::examine(&document);
            found.extend(known.examine(&document));
            prop_assert!(errors.is_empty() || !found.is_empty(), "{:?} passes: {}", errors, config);
            if found.is_empty() {
                prop_assert!(known.check(document).is_ok());
            }
        }
    }
}

#[test]
fn the_committed_schema_is_current() {
    let text = serde_json::to_string_pretty(&config_schema(ALL)).expect("JSON") + "\n";
    let path = root().join("deployed/config.schema.json");
    if std::env::var_os("MAGELLAN_GOLDEN").is_some() {
        fs::write(&path, &text).expect("written");
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == text, "stale: run the tests with MAGELLAN_GOLDEN=1 and commit deployed/config.schema.json");
}

#[test]
fn an_editors_validator_takes_the_schema_and_agrees_on_good_and_bad() {
    let Some(python) = python() else { return };
    let check = |args: &[&str], file: &Path| {
        let mut command = Command::new(python.with_file_name("check-jsonschema"));
        command.args(args).arg(file).current_dir(root());
        run(&mut command)
    };
    let schema = ["--schemafile", "deployed/config.schema.json"];
    let (code, out, err) = check(&["--check-metaschema"], &root().join("deployed/config.schema.json"));
    assert_eq!(code, 0, "{out}{err}");
    for strategy in ["bear_trap", "daily_trend", "hourly_swing"] {
        let (code, out, err) = check(&schema, &root().join("deployed").join(strategy).join("config.json"));
        assert_eq!(code, 0, "{strategy}: {out}{err}");
    }
    let place = Place::new();
    let config = "deployed/bear_trap/config.json";
    place.replace(config, "\"per_trade_risk_pct\": 0.02", "\"per_trade_risk_pct\": 2.0");
    place.replace(config, "\"min_body\"", "\"min_boddy\"");
    let (code, out, err) = check(&schema, &place.at(config));
    assert_eq!(code, 1, "{out}{err}");
    assert!(out.contains("per_trade_risk_pct") && out.contains("min_bod"), "{out}{err}");
}

/// A package of strategies in small, beside the deployed bear_trap alone.
fn package(lib: &str, strategy: &str) -> Place {
    let place = Place::new();
    for other in ["daily_trend", "hourly_swing"] {
        fs::remove_dir_all(place.at("deployed").join(other)).expect("removed");
    }
    place.write("Cargo.toml", "[workspace]\nmembers = [\"deployable_strategies\"]\nresolver = \"3\"\n");
    let manifest = "[package]\nname = \"somebodys\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[lib]\npath = \"lib.rs\"\n[[bin]]\nname = \"magellan\"\npath = \"main.rs\"\n";
    place.write("deployable_strategies/Cargo.toml", manifest);
    place.write("deployable_strategies/lib.rs", lib);
    place.write("deployable_strategies/main.rs", "//! The binary.\nfn main() {}\n");
    place.write("deployable_strategies/bear_trap.rs", strategy);
    let lints = fs::read(root().join("deployable_strategies/clippy.toml")).expect("read");
    place.write("deployable_strategies/clippy.toml", lints);
    place
}

const LIB: &str = "//! Strategies.\npub mod bear_trap;\n";
const GOOD: &str = "//! Rules.\n/// Buys.\npub fn decide(x: f64) -> bool {\n    x > 1.0\n}\n\n#[cfg(test)]\nmod tests {\n    #[test]\n    fn buys() {\n        assert!(super::decide(2.0));\n    }\n}\n";

fn code_findings(place: &Place) -> (i32, BTreeSet<String>, Value) {
    let sample = root().join("data/sample").display().to_string();
    let line = format!("validate --code --archive {sample} --format json");
    let mut command = place.command(&line);
    command.env("CARGO_TARGET_DIR", place.at("target")).env_remove("RUSTFLAGS");
    let (code, out, err) = run(command);
    let report: Value = serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out}{err}"));
    let found = report["findings"].as_array().expect("findings").iter();
    (code, found.map(|f| f["code"].as_str().expect("a code").to_owned()).collect(), report["strategy_tests"].clone())
}

#[test]
fn sound_code_passes_and_its_tests_are_counted() {
    assert_eq!(code_findings(&package(LIB, GOOD)), (0, BTreeSet::new(), json!(1)));
}

#[test]
fn zero_tests_are_red() {
    let untested = GOOD.split("#[cfg(test)]").next().expect("code").trim_end().to_owned() + "\n";
    let (code, found, tests) = code_findings(&package(LIB, &untested));
    assert_eq!((code, found, tests), (2, BTreeSet::from(["no-tests".to_owned()]), json!(0)));
    // A test that is there but ignored proves as little.
    let ignored = GOOD.replace("    #[test]\n", "    #[test]\n    #[ignore]\n");
    assert_eq!(code_findings(&package(LIB, &ignored)).0, 2);
}

#[test]
fn a_failing_test_unformatted_code_and_a_compile_error_are_red() {
    let failing = GOOD.replace("decide(2.0)", "decide(0.0)");
    let (code, found, _) = code_findings(&package(LIB, &failing));
    assert_eq!((code, found), (2, BTreeSet::from(["code-tests".to_owned(), "no-tests".to_owned()])));
    let (code, found, _) = code_findings(&package(LIB, &GOOD.replace("    x > 1.0", "  x>1.0")));
    assert_eq!((code, found), (2, BTreeSet::from(["code-format".to_owned()])));
    let (code, found, _) = code_findings(&package(LIB, &GOOD.replace("x > 1.0", "y > 1.0")));
    assert_eq!(code, 2);
    assert!(found.contains("code-lint") && found.contains("code-tests"), "{found:?}");
}

#[test]
fn a_strategy_with_a_file_a_clock_or_an_environment_is_red() {
    for (ask, what) in [
        ("std::fs::read_to_string(\"x\").is_ok()", "a file"),
        ("std::fs::File::open(\"x\").is_ok()", "a file"),
        ("std::time::SystemTime::now() > std::time::UNIX_EPOCH", "a clock"),
        ("std::env::var(\"X\").is_ok()", "an environment"),
    ] {
        let (code, found, _) = code_findings(&package(LIB, &GOOD.replace("x > 1.0", &format!("x > 1.0 || {ask}"))));
        assert_eq!((code, found), (2, BTreeSet::from(["code-lint".to_owned()])), "{what}");
    }
}

#[test]
fn without_a_project_or_cargo_the_code_is_not_taken_for_sound() {
    let sample = root().join("data/sample").display().to_string();
    let line = format!("validate --code --archive {sample}");
    let (code, _, err) = run(Place::new().command(&line));
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("error[no-toolchain]") && err.contains("no Cargo.toml"), "{err}");
    let place = package(LIB, GOOD);
    let (code, _, err) = run(place.command(&line).env("CARGO", "/no/such/cargo"));
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("error[no-toolchain]") && err.contains("/no/such/cargo"), "{err}");
}
