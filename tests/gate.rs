//! The gate as CI and people use it: what it binds, counts, compares and accepts.

use std::fs;
use std::path::Path;

use magellan::stats::{Moments, sharpe, trials};
use serde_json::{Value, json};

use crate::bad_inputs::Place;
use crate::support::{browser, copy_folder, magellan, python, root, run};

const CONFIG: &str = "deployed/daily_trend/config.json";

/// daily_trend alone, on the sample.
fn place() -> Place {
    let place = Place::new();
    for other in ["bear_trap", "hourly_swing"] {
        fs::remove_dir_all(place.at("deployed").join(other)).expect("removed");
    }
    place
}

fn sample() -> String {
    root().join("data/sample").display().to_string()
}

fn gate(place: &Place, args: &str) -> (i32, String, String) {
    run(place.command(&format!("gate --archive {} {args}", sample())))
}

fn verdict(place: &Place, args: &str) -> (i32, Value) {
    let (code, out, err) = gate(place, &format!("--json {args}"));
    (code, serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out}{err}")))
}

fn digest(place: &Place) -> String {
    verdict(place, "").1["digest"].as_str().expect("a digest").to_owned()
}

fn criteria(place: &Place, change: impl FnOnce(&mut Value)) {
    place.change(CONFIG, |bytes| {
        let mut config: Value = serde_json::from_slice(bytes).expect("JSON");
        change(&mut config);
        *bytes = serde_json::to_vec_pretty(&config).expect("JSON");
    });
}

fn check<'v>(verdict: &'v Value, metric: &str) -> &'v Value {
    let checks = verdict["strategies"][0]["periods"][0]["checks"].as_array().expect("checks");
    checks.iter().find(|c| c["metric"] == metric).unwrap_or_else(|| panic!("no check {metric}: {checks:?}"))
}

#[test]
fn the_digest_is_the_same_on_repeat_and_at_any_number_of_threads() {
    let place = place();
    let first = digest(&place);
    assert_eq!(digest(&place), first);
    for threads in ["1", "2", "5"] {
        let mut command = place.command(&format!("gate --json --archive {}", sample()));
        let (_, out, _) = run(command.env("RAYON_NUM_THREADS", threads));
        let verdict: Value = serde_json::from_str(&out).expect("JSON");
        assert_eq!(verdict["digest"], first.as_str(), "{threads} threads");
    }
}

#[test]
fn a_byte_of_bundle_config_data_or_policy_changes_the_digest() {
    let place = place();
    let first = digest(&place);
    let changes: [(&str, &dyn Fn()); 3] = [
        ("config", &|| place.change(CONFIG, |bytes| bytes.push(b' '))),
        ("unit", &|| place.change("deployed/daily_trend/magellan-daily-trend.service", |b| b.extend(b"#\n"))),
        ("policy", &|| criteria(&place, |c| c["performance_criteria"]["seed"] = json!(2))),
    ];
    let mut seen = vec![first];
    for (what, change) in changes {
        change();
        let now = digest(&place);
        assert!(!seen.contains(&now), "{what} is not in the digest");
        seen.push(now);
    }
    // The binary: the same program with a byte more.
    let program = place.at("magellan");
    let mut bytes = fs::read(env!("CARGO_BIN_EXE_magellan")).expect("read");
    bytes.push(0);
    fs::write(&program, bytes).expect("written");
    fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("set");
    let mut command = place.command(&format!("gate --json --archive {}", sample()));
    let mut other = std::process::Command::new(&program);
    other.args(command.get_args()).current_dir(command.get_current_dir().expect("a folder"));
    other.envs(command.get_envs().filter_map(|(k, v)| Some((k, v?))));
    let (_, out, err) = run(&mut other);
    let now: Value = serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {err}"));
    assert!(!seen.iter().any(|s| now["digest"] == s.as_str()), "the binary is not in the digest");
    run(&mut command);
}

#[test]
fn another_archive_changes_the_digest_and_a_flipped_byte_of_it_is_no_verdict() {
    let place = place();
    let first = digest(&place);
    let copy = place.at("archive");
    copy_folder(&root().join("data/sample"), &copy);
    place.write("moves.csv", "symbol,date,reason\nSPY,2022-03-15,somebody looked\n");
    place.ok("data import moves.csv --archive archive");
    let (_, out, _) = run(place.command("gate --json --archive archive"));
    let declared: Value = serde_json::from_str(&out).expect("JSON");
    assert_ne!(declared["digest"], first.as_str(), "declared days are not in the digest");
    let record = fs::read_dir(copy.join("synthetic/raw/1Day/SPY")).expect("records").next().expect("one").expect("one");
    let mut bytes = fs::read(record.path()).expect("read");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::remove_file(record.path()).expect("removed");
    fs::write(record.path(), bytes).expect("written");
    let (code, out, err) = run(place.command("gate --archive archive"));
    assert_eq!(code, 3, "{out}{err}");
}

#[test]
fn a_verdict_holds_when_judged_again_and_no_byte_of_it_may_change() {
    let place = place();
    let (code, out, err) = gate(&place, "--out result");
    assert_eq!(code, 0, "{out}{err}");
    let verify = format!("verdict verify result/verdict.json --archive {}", sample());
    let said = place.ok(&verify);
    assert!(said.contains("judged again from the same trials"), "{said}");
    // More trials since then don't change what was judged.
    place.ok(&format!(
        "backtest --strategy daily_trend --start-date 2019-01-02 --end-date 2020-12-31 --archive {}",
        sample()
    ));
    place.ok(&verify);
    let bytes = fs::read(place.at("result/verdict.json")).expect("read");
    let mut tried = 0;
    for at in (0..bytes.len()).step_by(61) {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1;
        place.write("result/verdict.json", &flipped);
        let (code, out, _) = run(place.command(&format!("{verify} --no-replay")));
        // White space and the path of the config say nothing.
        let same = serde_json::from_slice::<Value>(&flipped).ok().map(without_path)
            == serde_json::from_slice::<Value>(&bytes).ok().map(without_path);
        assert!(same || code == 8, "byte {at}: {code} {out}");
        tried += usize::from(!same);
    }
    assert!(tried > 100, "{tried}");
    place.write("result/verdict.json", &bytes);
    place.change(CONFIG, |bytes| bytes.push(b'\n'));
    let (code, _, err) = run(place.command(&verify));
    assert!(code == 8 && err.contains("verdict-differs"), "{code} {err}");
}

fn without_path(mut verdict: Value) -> Value {
    verdict["strategies"][0].as_object_mut().expect("one").remove("config");
    verdict
}

#[test]
fn trials_come_from_the_ledger_and_dsr_follows_from_them() {
    let place = place();
    criteria(&place, |c| c["performance_criteria"]["criteria"]["dsr"] = json!({"fail_below": 0.5}));
    let ledger = format!("--ledger {}", place.at("trials").display());
    let (_, alone) = verdict(&place, &ledger);
    assert_eq!(alone["strategies"][0]["ledger"]["n"], 1, "itself");
    place.ok(&format!(
        "sweep {ledger} --strategy daily_trend --start-date 2018-01-02 --end-date 2025-12-31 --archive {} \
         --grid rsi_period=5..24 --grid hysteresis_upper=50..59",
        sample()
    ));
    let (_, swept) = verdict(&place, &ledger);
    let ledger = &swept["strategies"][0]["ledger"];
    assert_eq!(
        ledger["n"],
        2201 - 3,
        "ten symbols and all together at 200 points, and the gate's own, less three of its parts"
    );
    assert_eq!(ledger["n_unknown"], 0, "returns of all of them are kept");
    let (n, spread) = (2198.0, ledger["dispersion"].as_f64().expect("V times sessions"));
    let effective = ledger["n_effective"].as_f64().expect("effective N");
    assert!((1.0..=n).contains(&effective), "{effective}");
    assert!(ledger["pbo"].as_f64().is_some_and(|p| (0.0..=1.0).contains(&p)), "{ledger}");
    // The same returns from `backtest --out`, by the formulas.
    place.ok(&format!(
        "backtest --strategy daily_trend --start-date 2018-01-02 --end-date 2025-12-31 --archive {} --out out",
        sample()
    ));
    let equity = fs::read_to_string(place.at("out/PORTFOLIO.equity.csv")).expect("written");
    assert!(equity.starts_with("bar_end,bar_start,session,equity,held"), "{equity:.60}");
    let worth: Vec<f64> =
        equity.lines().skip(1).map(|l| l.split(',').nth(3).expect("four").parse().expect("a number")).collect();
    let before = std::iter::once(100_000.0).chain(worth.iter().copied());
    let returns: Vec<f64> = worth.iter().zip(before).map(|(after, before)| after / before - 1.0).collect();
    let moments = Moments::of(&returns).expect("they vary");
    let v = spread / returns.len() as f64;
    let dsr = trials::deflated(&moments, v, n).expect("defined");
    let power = &swept["strategies"][0]["periods"][0]["power"];
    let published = power["dsr_published"].as_f64().expect("a value");
    assert!((published - dsr).abs() < 1e-6, "{published} {dsr}");
    let long_run = sharpe::LongRun::of(&returns).expect("they vary");
    let dsr = trials::luck(v, n).and_then(|luck| long_run.probability_above(luck)).expect("defined");
    let said = check(&swept, "dsr")["value"].as_f64().expect("a value");
    assert!((said - dsr).abs() < 1e-6, "{said} {dsr}");
    let short = long_run.min_track_record_length(0.0, 0.95).expect("defined");
    let record = power["min_track_record"].as_f64().expect("defined");
    assert!((short / record - 1.0).abs() < 1e-6, "{short} {record}");
}

#[test]
fn robustness_is_what_backtests_of_those_circumstances_say() {
    let place = place();
    let (_, verdict) = verdict(&place, "");
    let robustness = &verdict["strategies"][0]["periods"][0]["robustness"];
    let sharpe = |args: &str| {
        let out = place.ok(&format!(
            "backtest --json --strategy daily_trend --start-date 2018-01-02 --end-date 2025-12-31 --archive {} {args}",
            sample()
        ));
        serde_json::from_str::<Value>(&out).expect("JSON")["runs"][0]["metrics"]["sharpe"].clone()
    };
    let bps = verdict["strategies"][0]["periods"][0]["slippage_bps"].as_f64().expect("a number");
    for at in robustness["cost_frontier"].as_array().expect("costs") {
        let multiple = at["multiple"].as_f64().expect("a number");
        assert_eq!(at["sharpe"], sharpe(&format!("--slippage-bps {}", bps * multiple)), "{multiple} times the costs");
    }
    let rest = "AAPL,AMZN,GLD,GOOGL,IWM,META,MSFT,QQQ,SPY";
    let without = robustness["without_symbol"].as_array().expect("symbols");
    let tsla = without.iter().find(|l| l["left_out"] == "TSLA").expect("TSLA");
    assert_eq!((without.len(), &tsla["sharpe"]), (10, &sharpe(&format!("--symbols {rest}"))));
    let near = robustness["neighbours"].as_array().expect("neighbours");
    assert!(near.iter().any(|n| n["parameter"] == "rsi_period") && near.len() >= 4, "{near:?}");
    let even = robustness["break_even_bps"].as_f64().expect("found");
    let total = |bps: f64| {
        let out = place.ok(&format!(
            "backtest --json --strategy daily_trend --start-date 2018-01-02 --end-date 2025-12-31 --archive {} --slippage-bps {bps}",
            sample()
        ));
        serde_json::from_str::<Value>(&out).expect("JSON")["runs"][0]["metrics"]["total_return"]
            .as_f64()
            .expect("defined")
    };
    assert!(total(even * 0.95) > 0.0 && total(even * 1.05) < 0.0, "{even}");
}

#[test]
fn a_confidence_bound_is_stricter_than_the_estimate() {
    let place = place();
    criteria(&place, |c| {
        c["performance_criteria"]["criteria"] = json!({
            "sharpe": {"fail_below": 0.0, "confidence": 0.95},
            "volatility": {"fail_above": 1.0, "confidence": 0.95},
            "win_rate": {"fail_below": 0.01, "confidence": 0.95},
        });
    });
    let (_, verdict) = verdict(&place, "");
    for (metric, sign) in [("sharpe", -1.0), ("volatility", 1.0), ("win_rate", -1.0)] {
        let check = check(&verdict, metric);
        let (value, estimate) = (check["value"].as_f64().expect("a bound"), check["estimate"].as_f64().expect("one"));
        assert!((value - estimate) * sign > 0.0, "{check}");
        assert!(check["bound"].as_str().is_some_and(|b| b.ends_with("95 %")), "{check}");
    }
    criteria(&place, |c| {
        c["performance_criteria"]["criteria"] = json!({"exposure": {"fail_above": 0.9, "confidence": 0.95}});
    });
    let (code, out, _) = gate(&place, "");
    assert!(code == 2 && out.contains("confidence"), "exposure has no bound: {out}");
}

/// Demands more than the strategy gives.
fn failing(place: &Place) {
    criteria(place, |c| c["performance_criteria"]["criteria"]["sharpe"] = json!({"fail_below": 50.0}));
}

#[test]
fn a_verdict_with_an_acknowledgement_is_one_of_the_schema() {
    let place = place();
    failing(&place);
    let words = format!("--strategy daily_trend --check sharpe --who desk --why trial --expires {}", day(30));
    place.ok(&format!("gate acknowledge {words}"));
    let (code, verdict) = verdict(&place, "");
    assert_eq!((code, verdict["strategies"][0]["acknowledgements"].as_array().map(Vec::len)), (0, Some(1)));
    let schema: Value = serde_json::from_str(&place.ok("schema --verdict")).expect("JSON");
    let schema = jsonschema::validator_for(&schema).expect("a schema");
    let errors: Vec<String> = schema.iter_errors(&verdict).map(|e| format!("{}: {e}", e.instance_path())).collect();
    assert!(errors.is_empty(), "{errors:?}");
}

#[test]
fn what_nobody_may_accept_is_not_offered_to_be() {
    let place = place();
    let accept = |check: &str| {
        let line =
            format!("gate acknowledge --strategy daily_trend --check {check} --who a --why b --expires {}", day(3));
        run(place.command(&line))
    };
    for check in ["data_errors", "changed_by_cuts", "changed_by_seed"] {
        let (code, _, err) = accept(check);
        assert!(code == 2 && err.contains("can't be accepted") && !err.contains("known are"), "{check}: {err}");
    }
    assert!(accept("sharp").2.contains("known are"));
    // A strategy that never trades has proved nothing.
    criteria(&place, |c| {
        for symbol in c["symbol_parameters"].as_object_mut().expect("an object").values_mut() {
            symbol["hysteresis_upper"] = json!(100);
        }
    });
    let (code, out, _) = gate(&place, "--github");
    let trades = out.lines().find(|line| line.starts_with("::error") && line.contains("trades is")).unwrap_or_default();
    assert!(code == 1 && trades.contains("nobody can accept"), "{trades} {out}");
    assert!(!trades.contains("acknowledge"), "{trades}");
}

#[test]
fn a_verdict_is_not_verified_on_another_archive_and_says_which_two() {
    let place = place();
    place.ok(&format!("gate --archive {} --out out", sample()));
    place.archive();
    let (code, _, err) = run(place.command("verdict verify out/verdict.json --archive archive"));
    let manifest = |at: &Path| {
        let text = fs::read_to_string(at.join("manifest.json")).expect("read");
        serde_json::from_str::<Value>(&text).expect("JSON")["sha256"].as_str().expect("a hash").to_owned()
    };
    let (then, now) = (manifest(Path::new(&sample())), manifest(&place.at("archive")));
    assert!(code == 8 && err.contains("verdict-differs") && err.contains("judged with another archive"), "{err}");
    assert!(err.contains(&then) && err.contains(&now) && err.contains("--archive DIR"), "{err}");
    criteria(&place, |c| c["strategy"]["version"] = json!("2"));
    let (code, _, err) = run(place.command(&format!("verdict verify out/verdict.json --archive {}", sample())));
    assert!(code == 8 && err.contains("judged with another config"), "{err}");
}

/// A date so many days from today, UTC.
fn day(days: i64) -> String {
    let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    today.checked_add(jiff::Span::new().days(days)).expect("a date").to_string()
}

#[test]
fn an_accepted_failure_is_shown_and_expires() {
    let place = place();
    failing(&place);
    assert_eq!(gate(&place, "").0, 1);
    let accept = |expires: &str| {
        let words = ["gate", "acknowledge", "--strategy", "daily_trend", "--check", "sharpe", "--who", "the risk desk"];
        let command = place.command("gate");
        let mut full = std::process::Command::new(command.get_program());
        full.current_dir(command.get_current_dir().expect("a folder"));
        full.args(words).args(["--why", "a trial week", "--expires", expires]);
        run(&mut full)
    };
    place.write(
        "deployed/daily_trend/acknowledgements.json",
        json!([{"check": "sharpe", "period": "2018-2025", "who": "x", "why": "y", "accepted": day(3), "expires": day(9),
                "config_sha256": "c"}]).to_string(),
    );
    let (code, out, _) = gate(&place, "");
    assert!(code == 2 && out.contains("yet to come"), "{out}");
    fs::remove_file(place.at("deployed/daily_trend/acknowledgements.json")).expect("removed");
    let mut forged = std::process::Command::new(env!("CARGO_BIN_EXE_magellan"));
    forged.current_dir(place.at("."));
    forged.args(["gate", "acknowledge", "--strategy", "daily_trend", "--check", "sharpe", "--who", "x"]);
    let (code, _, err) = run(forged.args(["--why", "ok\n::error::forged", "--expires", &day(3)]));
    assert!(code == 2 && err.contains("control characters"), "{code} {err}");
    for bad in [day(91), day(-1)] {
        let (code, _, err) = accept(&bad);
        assert!(code == 2 && err.contains("bad-acknowledgement"), "{bad}: {code} {err}");
    }
    let (code, _, err) = accept(&day(30));
    assert_eq!(code, 0, "{err}");
    let (code, out, _) = gate(&place, "--markdown summary.md --junit junit.xml --html page.html --github");
    assert_eq!(code, 0, "{out}");
    assert!(out.contains("FAIL, accepted") && out.contains("the risk desk") && out.contains("::warning"), "{out}");
    for file in ["summary.md", "page.html"] {
        assert!(fs::read_to_string(place.at(file)).expect("written").contains("the risk desk"), "{file}");
    }
    let file = "deployed/daily_trend/acknowledgements.json";
    let accepted = fs::read_to_string(place.at(file)).expect("written");
    // A day after the last one.
    place.write(file, accepted.replace(&day(30), &day(-1)).replace(&day(0), &day(-20)));
    let (code, out, _) = gate(&place, "");
    assert!(code == 1 && out.contains("no longer accepted since"), "{out}");
    // Another config is another question.
    place.write(file, &accepted);
    criteria(&place, |c| c["strategy"]["version"] = json!("2"));
    let (code, out, _) = gate(&place, "--markdown other.md");
    let said = "not counted, as it was accepted for another config";
    assert!(code == 1 && out.contains(said), "{out}");
    assert!(fs::read_to_string(place.at("other.md")).expect("written").contains(said));
    place.write(file, "[{}]");
    let (code, out, _) = gate(&place, "");
    assert!(code == 2 && out.contains("bad-acknowledgement"), "{out}");
}

fn baseline_rule(place: &Place, margin: f64) {
    criteria(place, |c| {
        c["performance_criteria"]["baseline"] = json!({"sharpe_margin": margin, "confidence": 0.95});
    });
}

#[test]
fn the_same_again_is_not_inferior_and_a_worse_candidate_fails() {
    let place = place();
    baseline_rule(&place, 0.1);
    let (_, first) = verdict(&place, "");
    let how = |v: &Value| v["strategies"][0]["periods"][0]["baseline"]["how"].as_str().expect("a word").to_owned();
    assert!(how(&first).contains("first release"), "{}", how(&first));
    try_something(&place);
    record(&place);
    let (code, same) = verdict(&place, "");
    let against = check(&same, "sharpe_vs_deployed");
    assert_eq!((code, &against["status"], &against["value"]), (0, &json!("PASS"), &json!(0.0)));
    assert!(how(&same).contains("same code"), "{}", how(&same));
    let subject = |v: &Value| v["strategies"][0]["subject"]["sha256"].clone();
    assert_eq!(subject(&same), subject(&first), "what is deployed is outside the subject");
    // So quick that every ripple is traded.
    criteria(&place, |c| {
        for p in c["symbol_parameters"].as_object_mut().expect("by symbol").values_mut() {
            (p["rsi_period"], p["hysteresis_upper"], p["hysteresis_lower"]) = (json!(3), json!(55.0), json!(50.0));
        }
        c["performance_criteria"]["criteria"] = json!({"trades": {"fail_below": 1}});
    });
    let (code, worse) = verdict(&place, "");
    assert_eq!(code, 1);
    assert_eq!(check(&worse, "sharpe_vs_deployed")["status"], "FAIL");
    // A trial that was known then may not be forgotten.
    let ledger = place.at("no-ledger").display().to_string();
    let (code, out, _) = gate(&place, &format!("--ledger {ledger}"));
    assert!(code == 8 && out.contains("ledger-gap"), "{code} {out}");
}

#[test]
fn an_altered_baseline_is_refused_wherever_it_was_altered() {
    let place = place();
    baseline_rule(&place, 0.1);
    try_something(&place);
    record(&place);
    let file = place.at("data/baseline/daily_trend.json");
    let text = fs::read_to_string(&file).expect("written");
    for (from, to) in [
        ("\"returns\":[[\"2018-01-02\",0.0]", "\"returns\":[[\"2018-01-02\",0.1]"),
        ("\"slippage_bps\":1.5", "\"slippage_bps\":2.5"),
        ("\\\"rsi_period\\\": 21", "\\\"rsi_period\\\": 22"),
        ("\"heads\":[\"", "\"heads\":[\"0"),
    ] {
        assert!(text.contains(from), "{from}");
        fs::write(&file, text.replacen(from, to, 1)).expect("written");
        let (code, out, _) = gate(&place, "");
        assert!(code == 8 && out.contains("bad-baseline"), "{from}: {code} {out}");
    }
}

#[test]
fn a_verdict_holds_where_nobody_committed_its_own_trial() {
    let place = place();
    let ledger = place.at("ledger").display().to_string();
    copy_folder(&root().join("data/synthetic-ledger"), &place.at("ledger"));
    criteria(&place, |c| c["execution"]["friction_bps"] = json!(1.6));
    let (code, out, err) = gate(&place, &format!("--out result --ledger {ledger}"));
    assert_eq!(code, 0, "{out}{err}");
    fs::remove_dir_all(place.at("ledger")).expect("removed");
    copy_folder(&root().join("data/synthetic-ledger"), &place.at("ledger"));
    place.ok(&format!("verdict verify result/verdict.json --archive {} --ledger {ledger}", sample()));
    // And says so if something else is deployed by now.
    place.ok("baseline record result");
    let (code, _, err) =
        run(place.command(&format!("verdict verify result/verdict.json --archive {} --ledger {ledger}", sample())));
    assert!(code == 8 && err.contains("what is deployed of daily_trend is another"), "{code} {err}");
}

#[test]
fn names_in_a_verdict_never_leave_the_folder() {
    let place = place();
    record(&place);
    for name in ["../../evil", "", "a b"] {
        let verdict = json!({"strategies": [{"strategy": name, "digest": ""}], "digest": "", "status": "PASS"});
        place.write("result/verdict.json", serde_json::to_string_pretty(&verdict).expect("JSON") + "\n");
        let (code, _, err) = run(place.command("baseline record result"));
        assert!(code == 8 && err.contains("verdict-altered"), "{name}: {code} {err}");
    }
}

#[test]
fn nothing_proved_and_a_criterion_that_does_not_apply_can_not_be_accepted() {
    let place = place();
    criteria(&place, |c| c["performance_criteria"]["criteria"] = json!({"pbo": {"fail_above": 0.5}}));
    let (code, out, _) = gate(&place, &format!("--ledger {}", place.at("trials").display()));
    assert!(code == 4 && out.contains("no sweep in the ledger"), "{code} {out}");
    criteria(&place, |c| {
        for p in c["symbol_parameters"].as_object_mut().expect("by symbol").values_mut() {
            p["hysteresis_upper"] = json!(100);
        }
        c["performance_criteria"]["criteria"] = json!({"max_drawdown": {"fail_below": -0.5}});
    });
    let (_, idle) = verdict(&place, "");
    let accepted = json!([{
        "check": "trades", "period": "2018-2025", "who": "x", "why": "y", "accepted": day(-1), "expires": day(9),
        "config_sha256": idle["strategies"][0]["subject"]["config"],
    }]);
    place.write("deployed/daily_trend/acknowledgements.json", accepted.to_string());
    let (code, out, _) = gate(&place, "");
    assert!(code == 1 && out.contains("no trades"), "{code} {out}");
}

/// A sweep of points that hardly differ must not make many backtests forgotten.
#[test]
fn a_decoy_sweep_does_not_shrink_luck() {
    let place = place();
    criteria(&place, |c| c["performance_criteria"]["criteria"]["dsr"] = json!({"fail_below": 0.5}));
    let period = "--strategy daily_trend --start-date 2018-01-02 --end-date 2025-12-31";
    for period_of_rsi in 5..15 {
        place.ok(&format!("backtest {period} --archive {} --set rsi_period={period_of_rsi}", sample()));
    }
    let luck = |place: &Place| {
        let (_, verdict) = verdict(place, "");
        verdict["strategies"][0]["periods"][0]["power"]["sharpe_by_luck"].as_f64().expect("defined")
    };
    let before = luck(&place);
    place.ok(&format!("sweep {period} --archive {} --grid SPY.allocation=9990..10000:1", sample()));
    assert!(before > 0.3 && luck(&place) >= before, "{before} {}", luck(&place));
}

#[test]
fn results_never_replace_a_link() {
    let place = place();
    place.write("kept.txt", "kept");
    std::os::unix::fs::symlink(place.at("kept.txt"), place.at("page.html")).expect("linked");
    let (code, _, err) = gate(&place, "--html page.html");
    assert!(code == 2 && err.contains("cannot-write"), "{code} {err}");
    assert!(place.at("page.html").is_symlink());
}

#[test]
fn a_second_run_leaves_the_ledger_as_it_is_and_two_periods_are_two_trials() {
    let place = place();
    let ledger = place.at("ledger");
    let is_record = |name: &Path| name.extension().is_some_and(|e| e == "json");
    let names = || fs::read_dir(ledger.join("daily_trend")).into_iter().flatten().map(|e| e.expect("an entry").path());
    let files = || names().filter(|name| is_record(name)).count();
    let args = format!("--ledger {}", ledger.display());
    let digests = [0, 1].map(|_| verdict(&place, &args).1["digest"].clone());
    assert_eq!((files(), &digests[0]), (1, &digests[1]));
    criteria(&place, |c| {
        let later = json!({"name": "later", "start_date": "2022-01-03", "end_date": "2025-12-31"});
        c["performance_criteria"]["periods"].as_array_mut().expect("periods").push(later);
    });
    let (_, both) = verdict(&place, &args);
    assert_eq!((files(), &both["strategies"][0]["ledger"]["n"]), (2, &json!(1)), "other dates, the same settings");
}

#[test]
fn what_can_not_be_paired_is_inconclusive() {
    let place = place();
    record(&place);
    criteria(&place, |c| drop(c["performance_criteria"].as_object_mut().expect("an object").remove("baseline")));
    let (code, out, _) = gate(&place, "");
    assert!(code == 4 && out.contains("gives no margin"), "{code} {out}");
    // Other code at other costs: the kept returns don't compare.
    baseline_rule(&place, 0.1);
    place.change("deployed/daily_trend/magellan-daily-trend.service", |b| b.extend(b"#\n"));
    let (code, out, _) = gate(&place, "");
    assert!(code == 0 && out.contains("other code: paired with the returns kept"), "{code} {out}");
    criteria(&place, |c| c["execution"]["friction_bps"] = json!(3.0));
    let (code, out, _) = gate(&place, "");
    assert!(code == 4 && out.contains("kept at other costs"), "{code} {out}");
    // Somebody may accept that.
    let accepted = json!([{
        "check": "sharpe_vs_deployed", "period": "2018-2025", "who": "the risk desk", "why": "dearer trading",
        "accepted": day(-2), "expires": day(2),
        "config_sha256": verdict(&place, "").1["strategies"][0]["subject"]["config"],
    }]);
    place.write("deployed/daily_trend/acknowledgements.json", accepted.to_string());
    assert_eq!(gate(&place, "").0, 0);
    // Altered: refused.
    let file = place.at("data/baseline/daily_trend.json");
    let text = fs::read_to_string(&file).expect("written");
    fs::write(&file, text.replacen("\"seed\":1", "\"seed\":2", 1)).expect("written");
    let (code, out, _) = gate(&place, "");
    assert!(code == 8 && out.contains("bad-baseline"), "{code} {out}");
}

#[test]
fn a_failed_verdict_is_not_recorded_as_deployed() {
    let place = place();
    failing(&place);
    assert_eq!(gate(&place, "--out result").0, 1);
    let (code, _, err) = run(place.command("baseline record result"));
    assert!(code == 8 && err.contains("verdict-forbids"), "{code} {err}");
}

#[test]
fn a_symbol_tried_and_dropped_fails() {
    let place = place();
    assert_eq!(gate(&place, "").0, 0);
    criteria(&place, |c| {
        c["symbols"].as_array_mut().expect("symbols").retain(|s| s != "TSLA");
        c["symbol_parameters"].as_object_mut().expect("by symbol").remove("TSLA");
    });
    let (code, verdict) = verdict(&place, "");
    assert_eq!(code, 1);
    let dropped = check(&verdict, "symbols_dropped");
    assert_eq!((&dropped["value"], &dropped["status"]), (&json!(1.0), &json!("FAIL")));
}

#[test]
fn annotations_stand_at_the_line_that_demands() {
    let place = place();
    failing(&place);
    let (_, out, _) = gate(&place, "--github");
    let text = fs::read_to_string(place.at(CONFIG)).expect("read");
    let section = text.find("\"criteria\"").expect("there");
    let at = section + text[section..].find("\"sharpe\"").expect("there");
    let line = text[..at].matches('\n').count() + 1;
    let want = format!("::error file={CONFIG},line={line},col=7,title=criterion-crossed::daily_trend");
    assert!(out.contains(&want), "{want}\n{out}");
}

#[test]
fn junit_is_xml_with_a_case_for_each_check() {
    let place = place();
    failing(&place);
    let (_, verdict) = verdict(&place, "--junit junit.xml");
    let Some(python) = python() else { return };
    let program = "import sys, xml.etree.ElementTree as e\n\
        s = e.parse(sys.argv[1]).getroot().find('testsuite')\n\
        print(s.get('name'), s.get('tests'), s.get('failures'), len(s.findall('testcase')), s.find('testcase/failure').get('message'))";
    let (code, out, err) = run(std::process::Command::new(python).args(["-c", program]).arg(place.at("junit.xml")));
    let checks = verdict["strategies"][0]["periods"][0]["checks"].as_array().expect("checks").len();
    assert_eq!(code, 0, "{err}");
    assert!(out.starts_with(&format!("daily_trend {checks} 1 {checks} FAIL: sharpe is")), "{out}");
}

#[test]
fn the_verdict_meets_its_schema() {
    let schema = root().join("docs/verdict.schema.json");
    let text = serde_json::to_string_pretty(&schemars::schema_for!(magellan::gate::Verdict)).expect("JSON") + "\n";
    if std::env::var_os("MAGELLAN_GOLDEN").is_some() {
        fs::write(&schema, &text).expect("written");
    }
    let committed = fs::read_to_string(&schema).unwrap_or_default();
    assert!(committed == text, "stale: run the tests with MAGELLAN_GOLDEN=1 and commit docs/verdict.schema.json");
    let place = place();
    let validator = jsonschema::validator_for(&serde_json::from_str(&text).expect("JSON")).expect("a schema");
    for broken in [false, true] {
        if broken {
            place.change(CONFIG, |bytes| bytes.truncate(10));
        }
        let (_, verdict) = verdict(&place, "");
        let faults: Vec<String> = validator.iter_errors(&verdict).map(|e| e.to_string()).collect();
        assert_eq!(faults, Vec::<String>::new());
    }
    let (code, out, _) = run(magellan(["schema", "--verdict"]));
    assert!(code == 0 && out == text, "`magellan schema --verdict` prints it");
}

#[test]
fn deployed_strategies_are_listed_for_a_matrix() {
    let (code, out, _) = run(magellan(["gate", "--list"]));
    assert_eq!((code, out.as_str()), (0, "[\"bear_trap\",\"daily_trend\",\"hourly_swing\"]\n"));
}

/// Everything that a page can show, clicked through by `browser_report.py`; its screenshots stay in
/// the target folder, to be looked at.
#[test]
fn the_page_works_in_a_real_browser() {
    let place = Place::new();
    let period = "--start-date 2018-01-02 --end-date 2025-12-31";
    let sample = sample();
    place.ok(&format!("sweep --strategy daily_trend {period} --archive {sample} --grid rsi_period=8..28:4 --grid hysteresis_upper=52..60:2"));
    // What the sweep says is drawn, whatever it is.
    criteria(&place, |c| c["performance_criteria"]["criteria"]["pbo"] = json!({"fail_above": 0.99}));
    record(&place);
    criteria(&place, |c| {
        c["performance_criteria"]["criteria"]["sharpe"] = json!({"fail_below": 50.0, "confidence": 0.9})
    });
    assert_eq!(gate(&place, "--out pages").0, 1);
    for name in ["bear_trap", "daily_trend", "hourly_swing", "index"] {
        let page = fs::read_to_string(place.at(&format!("pages/{name}.html"))).expect("written");
        assert!(page.len() < 2_000_000, "{name}: {} bytes", page.len());
    }
    let (Some(python), Some(browser)) = (python(), browser()) else { return };
    let shots = Path::new(env!("CARGO_TARGET_TMPDIR")).join("shots");
    let pages = ["daily_trend", "bear_trap", "index"].map(|name| place.at(&format!("pages/{name}.html")));
    let mut command = std::process::Command::new(python);
    command.arg(root().join("tests/browser_report.py")).args(pages).arg("--shots").arg(&shots).env("CHROMIUM", browser);
    let (code, out, err) = run(&mut command);
    assert_eq!(code, 0, "{out}{err}");
    assert!(shots.join("daily_trend-390-dark.png").exists(), "{out}");
}

/// What was traded stands in the table and on the page, and not in the verdict, whose form is fixed.
#[test]
fn a_report_says_what_trading_cost_and_what_was_rejected() {
    let place = Place::new();
    place.change("deployed/hourly_swing/config.json", |bytes| {
        let mut config: Value = serde_json::from_slice(bytes).expect("JSON");
        config["account_info"]["account"] = json!("cash");
        config["execution"]["fee_per_share"] = json!(0.005);
        *bytes = serde_json::to_vec_pretty(&config).expect("JSON");
    });
    let (_, table, err) = gate(&place, "--strategy hourly_swing --out result");
    assert!(table.contains("  turnover ") && table.contains("; commission "), "{table}{err}");
    assert!(table.contains(" orders rejected: insufficient_cash "), "{table}");
    let page = fs::read_to_string(place.at("result/hourly_swing.html")).expect("written");
    let (_, rest) = page.split_once("id=\"data\">").expect("an island");
    let island: Value = serde_json::from_str(rest.split_once("</script>").expect("its end").0).expect("JSON");
    let traded = &island["verdict"]["periods"][0]["traded"];
    assert!(traded["costs"]["commission"].as_f64() > Some(0.0), "{traded}");
    assert_eq!(traded["rejections"]["insufficient_cash"], traded["orders"]["rejected"], "{traded}");
    let verdict: Value =
        serde_json::from_slice(&fs::read(place.at("result/verdict.json")).expect("written")).expect("JSON");
    assert!(verdict["strategies"][0]["periods"][0]["traded"].is_null());
}

/// A trial besides the gate's own.
fn try_something(place: &Place) {
    place.ok(&format!(
        "backtest --strategy daily_trend --start-date 2019-01-02 --end-date 2020-12-31 --archive {}",
        sample()
    ));
}

fn record(place: &Place) {
    let (code, out, err) = gate(place, "--out result");
    assert_eq!(code, 0, "{out}{err}");
    place.ok("baseline record result");
}
