//! `magellan ci lint`, and our own workflow: against the linter, against GitHub's schema, and
//! its steps run as GitHub runs them.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::bad_inputs::Place;
use crate::support::{magellan, python, root, run};

const OURS: &str = ".github/workflows/deploy-strategies.yml";

/// A project with our workflow, free to be spoilt.
fn project() -> Place {
    let place = Place::new();
    place.write(OURS, fs::read(root().join(OURS)).expect("read"));
    place
}

fn lint(place: &Place) -> (i32, Vec<Value>) {
    let (code, out, err) = run(place.command("ci lint --format json"));
    let report: Value = serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out}{err}"));
    assert_eq!(report["exit_code"], code);
    (code, report["findings"].as_array().expect("findings").clone())
}

#[test]
fn ours_passes_in_every_format_from_anywhere_in_the_project() {
    let (code, out, err) = run(magellan(["ci", "lint"]));
    assert_eq!((code, out.as_str()), (0, "linted 1 workflow file: nothing found\n"), "{err}");
    assert_eq!(run(magellan(["ci", "lint", "--format", "github"])).1, "");
    assert_eq!(lint(&project()), (0, vec![]));
    let (code, out, err) = run(magellan(["ci", "lint"]).current_dir(root().join("deployed")));
    assert_eq!(code, 0, "{out}{err}");
}

#[test]
fn ours_passes_the_public_schema_and_a_spoilt_one_does_not() {
    let Some(python) = python() else { return };
    let place = project();
    let check = || {
        let mut command = Command::new(python.with_file_name("check-jsonschema"));
        run(command.args(["--builtin-schema", "vendor.github-workflows"]).arg(place.at(OURS)))
    };
    let (code, out, err) = check();
    assert_eq!(code, 0, "{out}{err}");
    place.replace(OURS, "timeout-minutes: 5", "timeout-minuts: 5");
    assert_eq!(check().0, 1);
}

#[test]
fn a_masked_exit_code_is_red() {
    let place = project();
    place.replace(OURS, "magellan gate selftest", "magellan gate selftest || true");
    place.replace(OURS, "        id: discover\n", "        id: discover\n        continue-on-error: true\n");
    let (code, found) = lint(&place);
    let codes: Vec<&str> = found.iter().filter_map(|f| f["code"].as_str()).collect();
    assert_eq!((code, codes), (2, vec!["masked-failure"; 2]), "{found:#?}");
    for finding in &found {
        for key in ["file", "line", "column", "subject", "what", "help"] {
            assert!(!finding[key].is_null(), "{key}: {finding}");
        }
    }
    let text = run(place.command("ci lint")).1;
    assert!(text.contains("magellan gate selftest || true") && text.contains("^^^^^^^"), "the line is shown: {text}");
    let annotated = run(place.command("ci lint --format github")).1;
    let line = format!("::error file={OURS},line=");
    assert!(annotated.starts_with(&line) && annotated.contains("title=masked-failure::"), "{annotated}");
}

#[test]
fn a_skipped_stage_is_red() {
    let place = project();
    place.replace(OURS, "    needs: validate\n", "    needs: validate\n    if: github.event_name == 'push'\n");
    let (code, found) = lint(&place);
    assert_eq!((code, found[0]["code"].as_str()), (2, Some("skipped-stage")), "{found:#?}");
    // The jobs that GitHub asks for take only success for success: their own scripts, run.
    for (before, after, passes) in [
        ("success", "success", true),
        ("success", "skipped", false),
        ("skipped", "skipped", false),
        ("success", "failure", false),
        ("cancelled", "success", false),
        ("success", "", false),
        ("failure", "success", false),
    ] {
        for (name, [first, second]) in [
            ("Validated and judged", ["VALIDATE", "GATE"]),
            ("What should be deployed is, and is well", ["DEPLOY", "VERIFY"]),
        ] {
            let (code, _, err) =
                run(step(&place, name).env("VALIDATE", "success").env(first, before).env(second, after));
            assert_eq!(code == 0, passes, "{name}: {before} {after}: {err}");
        }
    }
}

#[test]
fn a_secret_that_is_missing_is_named_before_anything_runs() {
    let place = project();
    const SECRETS: [&str; 4] =
        ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "ALPACA_TEST_API_KEY", "ALPACA_TEST_API_SECRET"];
    for missing in 0..16 {
        let is_missing = |i: usize| missing >> i & 1 == 1;
        let mut check = step(&place, "Secrets of a deploy");
        SECRETS.iter().enumerate().for_each(|(i, name)| {
            check.env(name, if is_missing(i) { "false" } else { "true" });
        });
        let (code, out, err) = run(&mut check);
        assert_eq!(code == 0, missing == 0, "{missing}: {out}{err}");
        for (i, name) in SECRETS.iter().enumerate() {
            assert_eq!(out.contains(&format!("::{name} is not set")), is_missing(i), "{missing}: {out}{err}");
        }
    }
    // It is the first step behind the table, and no value comes into it.
    let workflow = fs::read_to_string(root().join(OURS)).expect("read");
    let first = workflow.split_once("    steps:\n").expect("steps").1.split("      - ").nth(2).expect("a step");
    assert!(first.starts_with("name: Secrets of a deploy"), "{first}");
    for name in SECRETS {
        assert!(first.contains(&format!("secrets.{name} != ''")), "{first}");
    }
}

#[test]
fn the_table_says_which_branch_deploys_to_which_environment() {
    let place = project();
    for (event, git_ref, environment) in [
        ("push", "refs/heads/deployment/x", "production"),
        ("push", "refs/heads/deployment/x/y", "production"),
        ("push", "refs/heads/deploy", "staging"),
        ("push", "refs/heads/deploy/x/y", "staging"),
        ("push", "refs/heads/main", ""),
        ("push", "refs/heads/deployment", ""),
        ("push", "refs/heads/deployments/x", ""),
        ("push", "refs/heads/deploy-x", ""),
        ("push", "refs/heads/x/deployment/y", ""),
        ("push", "refs/tags/deployment/x", ""),
        ("push", "refs/heads/Deployment/x", ""),
        ("pull_request", "refs/pull/1/merge", ""),
        ("pull_request_target", "refs/heads/deploy", ""),
        ("workflow_dispatch", "refs/heads/main", "chosen"),
        ("workflow_dispatch", "refs/heads/deployment/x", "chosen"),
        ("schedule", "refs/heads/deploy", ""),
    ] {
        let _ = fs::remove_file(place.at("output"));
        let mut table = step(&place, "Where to deploy");
        table.env("GITHUB_EVENT_NAME", event).env("GITHUB_REF", git_ref).env("CHOSEN", "chosen");
        let (code, out, err) = run(table.env("GITHUB_OUTPUT", place.at("output")));
        assert_eq!(code, 0, "{event} {git_ref}: {out}{err}");
        let written = fs::read_to_string(place.at("output")).expect("an output");
        assert_eq!(written, format!("environment={environment}\n"), "{event} {git_ref}");
    }
}

#[test]
fn a_key_that_is_missing_is_red_in_production_only() {
    let place = project();
    // A `magellan` that says what it was asked.
    let signs = |environment: &str, key: &str| {
        let mut sign = step(&place, "Sign what was judged");
        let script = sign.get_args().last().expect("a script").to_string_lossy().into_owned();
        let script = script.replace(env!("CARGO_BIN_EXE_magellan"), "asked");
        let script = format!("asked() {{ echo \"asked: $*\"; test -n \"$MAGELLAN_SIGNING_KEY\"; }}\n{script}");
        sign = Command::new("bash");
        sign.args(["-euo", "pipefail", "-c", &script]).env("ENVIRONMENT", environment).env("MAGELLAN_SIGNING_KEY", key);
        let (code, out, _) = run(&mut sign);
        (code, out.contains("asked: keys sign gate --binary "))
    };
    assert_eq!(signs("production", "k"), (0, true));
    assert_eq!(signs("production", ""), (1, true));
    assert_eq!(signs("staging", "k"), (0, true));
    assert_eq!(signs("staging", ""), (0, false));
}

#[cfg(feature = "deploy")]
#[test]
fn stages_3_and_4_are_commands_that_there_are() {
    let place = project();
    for name in [
        "Roll out what was judged",
        "Bring a rollout that died to its end",
        "Services over a minute",
        "What runs, by which verdict",
    ] {
        let mut stage = step(&place, name);
        stage
            .env("ENVIRONMENT", "$(touch made)")
            .env("STRATEGY", "all")
            .env("BASE", "origin/main")
            .env("GITHUB_STEP_SUMMARY", place.at("summary"));
        let (code, out, err) = run(&mut stage);
        assert!(
            code != 0 && err.contains("$(touch made)") && !err.contains("command-line"),
            "{name}: {code} {out}{err}"
        );
        assert!(!place.at("made").exists(), "{name}");
    }
}

/// The script of the step of that name, with the tests' binary, to be run in `place` as GitHub does.
fn step(place: &Place, name: &str) -> Command {
    let workflow = fs::read_to_string(root().join(OURS)).expect("read");
    let step = workflow.split_once(&format!("- name: {name}\n")).expect("a step").1;
    // Up to the next step or job.
    let lines = step.split_inclusive('\n').take_while(|line| line.starts_with("        ") || line.trim().is_empty());
    let step: String = lines.collect();
    let script = step.split_once("run: ").expect("a script").1;
    let folded = script.strip_prefix(">-").map(|lines| lines.replace('\n', " "));
    let script = folded.unwrap_or_else(|| script.trim_start_matches('|').to_owned());
    let script = script.replace("target/release/magellan", env!("CARGO_BIN_EXE_magellan"));
    let mut bash = Command::new("bash");
    bash.args(["--noprofile", "--norc", "-euo", "pipefail", "-c", &script]).current_dir(place.at(""));
    // Trials of tests aren't trials of the project.
    bash.env("MAGELLAN_LEDGER", place.at("ledger"));
    bash.env("MAGELLAN_ARCHIVE", root().join("data/sample")).env("USE_ARCHIVED_DATA", "true");
    bash
}

/// What somebody runs before a push, and what then judges it.
#[test]
fn magellan_test_asks_what_stages_1_and_2_ask() {
    let workflow = fs::read_to_string(root().join(OURS)).expect("read");
    let stages = workflow.split("\n  deploy:\n").next().expect("stages");
    let calls = stages.split("target/release/magellan ").skip(1).filter_map(|rest| rest.lines().next());
    // How it is shown, which strategy a job of the matrix judges, and what must be committed, are the workflow's own.
    let own = |word: &&str| ["--format", "--require-of", "--github", "--markdown", "--strategy"].contains(word);
    let asked = calls.filter(|call| !call.contains("--list") && !call.is_empty()).map(|call| {
        let words: Vec<&str> = call.split(' ').take_while(|word| !own(word)).collect();
        format!("magellan {}\n", words.join(" "))
    });
    let asked: Vec<String> = asked.collect();
    assert_eq!(asked.len(), 5, "{asked:?}");
    assert_eq!(run(magellan(["test", "--list"])).1, asked.concat());
}

#[test]
fn the_strategy_that_is_chosen_is_the_one_that_is_judged() {
    let place = project();
    let listed = |strategy: &str| {
        let _ = fs::remove_file(place.at("output"));
        let mut discover = step(&place, "Strategies to judge");
        let (code, _, err) = run(discover.env("STRATEGY", strategy).env("GITHUB_OUTPUT", place.at("output")));
        (code, fs::read_to_string(place.at("output")).unwrap_or_default(), err)
    };
    assert_eq!(listed("").1, "strategies=[\"bear_trap\",\"daily_trend\",\"hourly_swing\"]\n");
    assert_eq!(listed("bear_trap").1, "strategies=[\"bear_trap\"]\n");
    let (code, output, err) = listed("bull_trap");
    assert!(code == 2 && output.is_empty() && err.contains("error[not-deployed]"), "{code} {output} {err}");
    // What is no name is no code either.
    assert_eq!(listed("$(touch made)").0, 2);
    assert!(!place.at("made").exists());
}

#[test]
fn the_gate_leaves_what_the_workflow_keeps() {
    let place = project();
    // Nothing is committed yet, and so nothing is settled.
    assert_eq!(run(Command::new("git").args(["init", "--quiet"]).current_dir(place.at(""))).0, 0);
    let mut judge = step(&place, "Judge on archived data");
    let (code, out, err) = run(judge.env("STRATEGY", "bear_trap").env("GITHUB_STEP_SUMMARY", place.at("summary.md")));
    assert!([1, 4].contains(&code) && out.contains("title=trial-not-committed"), "{code} {out} {err}");
    assert!(fs::read_to_string(place.at("summary.md")).expect("a summary").contains("trap"));
    for file in ["gate/verdict.json", "gate/junit.xml", "gate/bear_trap.html"] {
        assert!(place.at(file).is_file(), "{file}");
    }
}

#[test]
fn without_a_stage_or_without_workflows_it_is_red() {
    let place = project();
    place.replace(OURS, "  validate:\n", "  lint:\n");
    assert!(lint(&place).1.iter().any(|f| f["code"] == "missing-stage"));
    // Renamed, hollow, gone: never a pass.
    let hollow = "on: push\njobs:\n  all:\n    runs-on: x\n    steps:\n      - run: echo all services verified\n";
    place.write(".github/workflows/other.yaml", hollow);
    fs::remove_file(place.at(OURS)).expect("removed");
    let (code, found) = lint(&place);
    assert_eq!((code, found[0]["code"].as_str()), (2, Some("missing-stage")), "{found:#?}");
    assert_eq!(run(place.command("ci lint .github/workflows/other.yaml")).0, 0, "of one file nothing more is said");
    fs::remove_file(place.at(".github/workflows/other.yaml")).expect("removed");
    for folder in [".github/workflows", ".github"] {
        let (code, _, err) = run(place.command("ci lint"));
        assert!(code == 2 && err.contains("error[no-workflow]"), "{code} {err}");
        assert_eq!(lint(&place).1[0]["code"], "no-workflow");
        fs::remove_dir_all(place.at(folder)).expect("removed");
    }
}

#[test]
fn files_that_are_no_workflow_are_refused_and_hide_no_other() {
    let place = project();
    place.write("big.yml", vec![b'#'; (1 << 20) + 1]);
    place.write("latin.yml", b"name: \xe9\n");
    place.write("broken.yml", "jobs: [\n");
    place.write("masked.yml", "jobs:\n  a:\n    steps:\n      - run: x || true\n");
    for (file, code, words) in [
        ("big.yml", "workflow-unreadable", "1048576"),
        ("latin.yml", "workflow-unreadable", "UTF-8"),
        ("missing.yml", "workflow-unreadable", "missing.yml"),
        ("deployed", "workflow-unreadable", "regular file"),
        ("broken.yml", "workflow-syntax", "no YAML"),
        ("masked.yml", "masked-failure", "|| true"),
    ] {
        let (exit, out, err) = run(place.command(&format!("ci lint {OURS} {file}")));
        assert!(
            exit == 2 && out.contains(&format!("error[{code}]")) && out.contains(words),
            "{file}: {exit} {out}{err}"
        );
    }
    let (_, out, _) = run(place.command("ci lint big.yml broken.yml masked.yml"));
    assert_eq!(out.matches("error[").count(), 3, "{out}");
}

#[test]
fn warnings_do_not_fail() {
    let place = project();
    place.replace(OURS, "    timeout-minutes: 15\n", "");
    let (code, found) = lint(&place);
    assert_eq!((code, found.len()), (0, 1), "{found:#?}");
    assert_eq!((found[0]["code"].as_str(), found[0]["severity"].as_str()), (Some("no-timeout"), Some("warning")));
}
