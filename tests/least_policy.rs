//! The gate against its own author: verdicts edited with care, weaker criteria, weaker policies, trials that nobody
//! committed, and failures accepted by nobody who may.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::bad_inputs::Place;
use crate::support::{copy_folder, root, run};

const CONFIG: &str = "deployed/daily_trend/config.json";
const POLICY: &str = "deployed/policy.toml";

/// daily_trend alone, on the sample, with the shipped policy.
fn place() -> Place {
    let place = Place::new();
    for other in ["bear_trap", "hourly_swing"] {
        fs::remove_dir_all(place.at("deployed").join(other)).expect("removed");
    }
    place.write(POLICY, fs::read(root().join(POLICY)).expect("read"));
    place
}

fn gate(place: &Place, args: &str) -> (i32, String) {
    let (code, out, err) =
        run(place.command(&format!("gate --archive {} {args}", root().join("data/sample").display())));
    (code, out + &err)
}

fn verdict(place: &Place, args: &str) -> (i32, Value) {
    let (code, out) = gate(place, &format!("--json {args}"));
    (code, serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out}")))
}

fn criteria(place: &Place, change: impl FnOnce(&mut Value)) {
    place.change(CONFIG, |bytes| {
        let mut config: Value = serde_json::from_slice(bytes).expect("JSON");
        change(&mut config["performance_criteria"]);
        *bytes = serde_json::to_vec_pretty(&config).expect("JSON");
    });
}

/// The checks that don't pass: name and status.
fn crossed(verdict: &Value) -> Vec<(String, String)> {
    let checks = verdict["strategies"][0]["periods"][0]["checks"].as_array().expect("checks");
    let word = |check: &Value, key: &str| check[key].as_str().expect("a word").to_owned();
    let crossed = checks.iter().filter(|c| c["status"] != "PASS" && c["status"] != "WARN");
    crossed.map(|c| (word(c, "metric"), word(c, "status"))).collect()
}

fn one(metric: &str, status: &str) -> Vec<(String, String)> {
    vec![(metric.to_owned(), status.to_owned())]
}

fn record(place: &Place) {
    let (code, out) = gate(place, "--out result");
    assert_eq!(code, 0, "{out}");
    place.ok("baseline record result");
}

/// What is deployed asks for the same again.
fn judged_beside_itself(place: &Place) {
    record(place);
    let (code, again) = verdict(place, "");
    assert_eq!((code, crossed(&again)), (0, vec![]));
}

#[test]
fn two_words_from_fail_to_pass_are_no_verdict() {
    let place = place();
    criteria(&place, |c| c["criteria"]["sharpe"] = json!({"fail_below": 50.0}));
    assert_eq!(gate(&place, "--out result").0, 1);
    let text = fs::read_to_string(place.at("result/verdict.json")).expect("read");
    // Under digests of the new contents, as somebody makes them who reads the source.
    place.write(
        "result/verdict.json",
        resealed(&text.replace("\"FAIL\"", "\"PASS\"").replace("\"exit_code\": 1", "\"exit_code\": 0")),
    );
    for command in ["verdict verify result/verdict.json --no-replay", "baseline record result"] {
        let (code, out, err) = run(place.command(command));
        assert!(code == 8 && err.contains("error[verdict-altered]"), "{command}: {code} {out}{err}");
        assert!(err.contains("doesn't follow from its figures"), "{err}");
    }
}

/// The text of a verdict with the digests of its contents: JSON with sorted keys and no white space.
fn resealed(text: &str) -> String {
    let mut verdict: Value = serde_json::from_str(text).expect("JSON");
    let sha256 = |value: &Value| {
        let mut value = value.clone();
        value.sort_all_objects();
        magellan::disk::hash::sha256_hex(value.to_string().as_bytes())
    };
    let without = |value: &Value, keys: &[&str]| {
        let mut value = value.clone();
        keys.iter().for_each(|key| drop(value.as_object_mut().expect("an object").shift_remove(*key)));
        value
    };
    for one in verdict["strategies"].as_array_mut().expect("strategies") {
        one["digest"] = json!(sha256(&without(one, &["digest", "config"])));
    }
    let mut whole = without(&verdict, &["digest"]);
    for one in whole["strategies"].as_array_mut().expect("strategies") {
        *one = one["digest"].take();
    }
    verdict["digest"] = json!(sha256(&whole));
    serde_json::to_string_pretty(&verdict).expect("JSON") + "\n"
}

#[test]
fn figures_edited_with_care_differ_when_judged_again() {
    let place = place();
    criteria(&place, |c| c["criteria"]["sharpe"] = json!({"fail_below": 1.5}));
    let (code, out) = gate(&place, "--out result");
    assert_eq!(code, 0, "{out}");
    let text = fs::read_to_string(place.at("result/verdict.json")).expect("read");
    let mut verdict: Value = serde_json::from_str(&text).expect("JSON");
    let checks = verdict["strategies"][0]["periods"][0]["checks"].as_array_mut().expect("checks");
    // A check that isn't there fails nothing.
    checks.retain(|c| c["metric"] != "sharpe");
    place.write("result/verdict.json", resealed(&verdict.to_string()));
    let sample = root().join("data/sample");
    place.ok("verdict verify result/verdict.json --no-replay");
    let (code, _, err) =
        run(place.command(&format!("verdict verify result/verdict.json --archive {}", sample.display())));
    assert!(code == 8 && err.contains("error[verdict-differs]"), "{code} {err}");
}

#[test]
fn a_config_that_demands_less_than_the_policy_fails_and_nobody_may_accept_it() {
    for (change, metric, words) in [
        (
            &(|c: &mut Value| drop(c["criteria"].as_object_mut().expect("an object").remove("psr")))
                as &dyn Fn(&mut Value),
            "policy_criteria",
            "criteria.psr is missing: the policy demands it",
        ),
        (&|c: &mut Value| c["criteria"]["dsr"]["fail_below"] = json!(0.1), "policy_criteria", "fail_below is 0.1"),
        (&|c: &mut Value| c["baseline"]["sharpe_margin"] = json!(10.0), "policy_margin", "sharpe_margin is 10"),
        (&|c: &mut Value| c["baseline"]["confidence"] = json!(0.51), "policy_margin", "confidence is 0.51"),
    ] {
        let place = place();
        criteria(&place, |c| change(c));
        let (code, judged) = verdict(&place, "");
        assert_eq!((code, crossed(&judged)), (1, one(metric, "FAIL")));
        let (_, out) = gate(&place, "--github --markdown summary.md");
        assert!(out.contains(words) && out.contains("nobody can accept less"), "{out}");
        assert!(
            fs::read_to_string(place.at("summary.md"))
                .expect("written")
                .contains(metric.split('_').next().expect("a word"))
        );
        let accept =
            format!("gate acknowledge --strategy daily_trend --check {metric} --who a --why b --expires 2100-01-01");
        let (code, _, err) = run(place.command(&accept));
        assert!(code == 2 && err.contains("can't be accepted"), "{err}");
    }
    let place = place();
    place.replace(CONFIG, "\"friction_bps\": 1.5", "\"friction_bps\": 0.0");
    criteria(&place, |c| drop(c["criteria"].as_object_mut().expect("an object").remove("sharpe_at_double_costs")));
    let (_, judged) = verdict(&place, "");
    assert!(crossed(&judged).contains(&("policy_costs".to_owned(), "FAIL".to_owned())), "{:?}", crossed(&judged));
}

#[test]
fn weaker_criteria_than_the_deployed_ones_are_inconclusive_until_somebody_accepts_them() {
    let place = place();
    judged_beside_itself(&place);
    criteria(&place, |c| {
        c["criteria"]["sharpe"]["warn_below"] = json!(0.7);
        c["criteria"].as_object_mut().expect("an object").remove("win_rate");
        c["periods"][0] = json!({"name": "since 2019", "start_date": "2019-01-02", "end_date": "2025-12-31"});
    });
    let (code, judged) = verdict(&place, "");
    assert_eq!((code, crossed(&judged)), (4, one("criteria_weakened", "INCONCLUSIVE")));
    let (_, out) = gate(&place, "--html page.html --markdown summary.md");
    for words in ["criteria.sharpe.warn_below is 0.7", "criteria.win_rate is missing", "no period covers 2018-01-02"] {
        assert!(out.contains(words), "{words}: {out}");
    }
    assert!(
        out.contains("differs from what is deployed: performance_criteria.criteria.sharpe.warn_below: 0.8 → 0.7"),
        "{out}"
    );
    assert!(fs::read_to_string(place.at("summary.md")).expect("written").contains("0.8 → 0.7"));
    let accept = |who: &str, days: i64| {
        let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
        let day = today.checked_add(jiff::Span::new().days(days)).expect("a date").to_string();
        let mut command =
            place.command("gate acknowledge --strategy daily_trend --check criteria_weakened --why trial");
        run(command.args(["--expires", &day, "--who", who]))
    };
    // Nobody that the policy doesn't name, and not for longer.
    for (who, days) in [("somebody", 3), ("A. Person", 31)] {
        let (code, _, err) = accept(who, days);
        assert!(code == 2 && err.contains("the policy doesn't let") && err.contains("A. Person"), "{code} {err}");
    }
    let (code, _, err) = accept("A. Person", 30);
    assert_eq!(code, 0, "{err}");
    assert_eq!(verdict(&place, "").0, 0);
    // Nor by editing the file.
    place.replace("deployed/daily_trend/acknowledgements.json", "A. Person", "somebody");
    let (code, out) = gate(&place, "");
    assert!(code == 4 && out.contains("the policy doesn't let them accept it"), "{code} {out}");
}

#[test]
fn a_weaker_policy_than_the_deployed_one_is_judged_by_that() {
    let place = place();
    judged_beside_itself(&place);
    let shipped = fs::read_to_string(place.at(POLICY)).expect("read");
    // Criteria and policy loosened together, and the name of who may accept added.
    criteria(&place, |c| {
        c["criteria"].as_object_mut().expect("an object").remove("psr");
    });
    place.write(
        POLICY,
        shipped.replace("[criteria.psr]\nfail_below = 0.9\n", "").replace("\"A. Person\"", "\"Mallory\""),
    );
    let (code, judged) = verdict(&place, "");
    let found = crossed(&judged);
    assert_eq!(code, 1);
    for (metric, status) in
        [("policy_criteria", "FAIL"), ("policy_weakened", "INCONCLUSIVE"), ("criteria_weakened", "INCONCLUSIVE")]
    {
        assert!(found.contains(&(metric.to_owned(), status.to_owned())), "{metric}: {found:?}");
    }
    assert_eq!(judged["strategies"][0]["policy"]["acknowledgements"]["who"], json!([]), "nobody whom both name");
    // Nor without any.
    fs::remove_file(place.at(POLICY)).expect("removed");
    let (code, out) = gate(&place, "");
    assert!(code == 1 && out.contains("there is no policy"), "{code} {out}");
    // A level lower is a weaker policy, too.
    place.write(POLICY, shipped.replace("fail_below = 0.9", "fail_below = 0.89"));
    let (_, judged) = verdict(&place, "");
    assert!(crossed(&judged).iter().any(|(metric, _)| metric == "policy_weakened"));
}

#[test]
fn records_that_the_policy_names_must_be_there_and_a_fault_in_it_is_named() {
    let place = place();
    let shipped = fs::read_to_string(place.at(POLICY)).expect("read");
    let gone = "0".repeat(64);
    place.write(POLICY, shipped.replace("[ledger.heads]", &format!("[ledger.heads]\ndaily_trend = [\"{gone}\"]")));
    let (code, out) = gate(&place, "");
    assert!(code == 8 && out.contains("ledger-gap") && out.contains("the policy demands it"), "{code} {out}");
    place.write(POLICY, shipped.replace("costs_above_zero", "cost_above_zero"));
    for command in ["gate", "validate"] {
        let line = format!("{command} --archive {}", root().join("data/sample").display());
        let (code, out, err) = run(place.command(&line));
        let said = out + &err;
        assert!(code == 2 && said.contains("bad-policy") && said.contains("did you mean `costs_above_zero`"), "{said}");
    }
}

fn git(place: &Place, args: &[&str]) -> String {
    let author = ["-c", "user.name=Nobody", "-c", "user.email=nobody@example.com"];
    let (code, out, err) = run(Command::new("git").args(author).args(args).current_dir(place.at("")));
    assert_eq!(code, 0, "git {args:?}: {err}");
    out.trim().to_owned()
}

#[test]
fn a_trial_that_nobody_committed_is_inconclusive_with_the_command_that_commits_it() {
    let place = place();
    git(&place, &["init", "--quiet", "--initial-branch", "main"]);
    git(&place, &["commit", "--quiet", "--allow-empty", "--message", "nothing"]);
    copy_folder(&root().join("data/synthetic-ledger"), &place.at("data/ledger"));
    let asked = format!("--committed-ledger --ledger {}", place.at("data/ledger").display());
    let (code, judged) = verdict(&place, &asked);
    assert_eq!((code, crossed(&judged)), (4, one("trial-not-committed", "INCONCLUSIVE")));
    let (_, out) = gate(&place, &format!("{asked} --github"));
    assert!(out.contains("title=trial-not-committed"), "{out}");
    // The command as it is shown; nobody may accept it instead.
    let words = judged["strategies"][0]["periods"][0]["checks"].as_array().expect("checks").iter();
    let words = words.filter(|c| c["metric"] == "trial-not-committed").map(|c| &c["counted"][0]).next().expect("words");
    let command = words.as_str().expect("words").split_once(": ").expect("a command").1;
    assert!(command.starts_with("git add data/ledger/daily_trend && git commit"), "{command}");
    let record = fs::read_dir(place.at("data/ledger/daily_trend")).expect("records").find_map(|e| {
        let path = e.expect("an entry").path();
        path.extension().is_some_and(|kind| kind == "json").then_some(path)
    });
    let record = record.expect("the trial");
    // Another text under its name is no record of it.
    let kept = fs::read(&record).expect("read");
    let named = record.strip_prefix(place.at("")).expect("inside").display().to_string();
    place.write(&named, "{}");
    git(&place, &["add", "--all", "data"]);
    git(&place, &["commit", "--quiet", "--message", "a record in name"]);
    place.write(&named, kept);
    assert_eq!(verdict(&place, &asked).0, 4);
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).current_dir(place.at(""));
    for role in ["AUTHOR", "COMMITTER"] {
        shell.env(format!("GIT_{role}_NAME"), "Nobody").env(format!("GIT_{role}_EMAIL"), "nobody@example.com");
    }
    let (code, out, err) = run(&mut shell);
    assert_eq!(code, 0, "{out}{err}");
    let (code, judged) = verdict(&place, &asked);
    assert_eq!((code, crossed(&judged)), (0, vec![]));
    // Judged again, it is asked again.
    assert_eq!(gate(&place, &format!("{asked} --out result")).0, 0);
    let line = format!(
        "verdict verify result/verdict.json --archive {} --ledger {}",
        root().join("data/sample").display(),
        place.at("data/ledger").display()
    );
    place.ok(&line);
    // What a branch knows may not be gone.
    let verify = format!("ledger verify --ledger {} --require-of main", place.at("data/ledger").display());
    place.ok(&verify);
    fs::remove_file(&record).expect("removed");
    let (code, _, err) = run(place.command(&verify));
    assert!(code == 8 && err.contains("error[ledger-gap]"), "{code} {err}");
    fs::remove_dir_all(place.at("data/ledger")).expect("removed");
    for line in [&verify[..], "ledger verify --ledger data/ledger --require-of main"] {
        let (code, _, err) = run(place.command(line));
        assert!(code == 8 && err.contains("error[ledger-gap]"), "{line}: {code} {err}");
    }
    let (code, _, err) = run(place.command(&verify.replace("main", "--output=x")));
    assert!(code != 0 && !place.at("x").exists(), "{err}");
}

#[test]
fn a_seed_can_not_be_searched_by_editing_the_config() {
    let place = place();
    let seed = |place: &Place| verdict(place, "").1["strategies"][0]["subject"]["seed"].clone();
    let first = seed(&place);
    criteria(&place, |c| c["seed"] = json!(77));
    assert_eq!(seed(&place), first);
    place.change(CONFIG, |bytes| bytes.push(b' '));
    assert_eq!(seed(&place), first);
}
