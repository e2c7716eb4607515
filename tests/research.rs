//! What backtests, sweeps and walk-forwards say of themselves: how much was judged, how much the bars cover, what no cash
//! paid for, who else writes here, and that no result is lost in silence.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{magellan, root, run};

const WHOLE: &str = "--start-date 2018-01-02 --end-date 2025-12-31";
const SWEEP: &str = "sweep --strategy daily_trend --symbols SPY --start-date 2018-01-02 --end-date 2025-12-31";

fn words(line: &str) -> Command {
    magellan(line.split_whitespace())
}

fn ok(line: &str) -> String {
    let (code, out, err) = run(words(line));
    assert_eq!(code, 0, "{line}: {out}{err}");
    out
}

fn json(line: &str) -> Value {
    serde_json::from_str(&ok(&format!("{line} --json"))).expect("JSON")
}

/// A walk-forward that judged nothing found nothing out.
#[test]
fn a_walk_forward_without_a_judged_fold_is_inconclusive() {
    let line =
        format!("walk-forward --strategy daily_trend --symbols SPY {WHOLE} --grid hysteresis_upper=99.8,100 --folds 5");
    let (code, out, err) = run(words(&line));
    assert_eq!(code, 4, "{out}{err}");
    assert!(out.contains("nothing was judged: in none of 5 folds any point has a sharpe"), "{out}");
    assert!(out.contains("no deviation of returns") && !out.contains("joined:"), "{out}");
    let (code, out, err) = run(words(&format!("{line} --json")));
    assert_eq!(code, 4, "{out}{err}");
    let said: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!((&said["folds_judged"], said["folds"].as_array().map(Vec::len)), (&0.into(), Some(5)));
    for chosen in said["chosen"].as_array().expect("choices") {
        assert_eq!(chosen["not_judged"], "no deviation of returns");
        assert!(chosen["parameters"].is_null() && chosen["out_of_sample"].is_null(), "{chosen}");
    }
    let joined = &said["joined"][0];
    assert_eq!((&joined["symbol"], &joined["folds"], &joined["folds_judged"]), (&"SPY".into(), &5.into(), &0.into()));
    assert!(joined["out_of_sample"].is_null(), "{joined}");
}

/// Folds that chose, but whose tests are too short for the figure, found nothing out either.
#[test]
fn tests_without_the_figure_are_inconclusive() {
    let line = "walk-forward --strategy daily_trend --symbols SPY --start-date 2019-01-02 --end-date 2019-12-31 \
                --grid rsi_period=5..9 --folds 5 --by cagr";
    let (code, out, err) = run(words(line));
    assert_eq!(code, 4, "{out}{err}");
    assert!(out.contains("inconclusive: no test has a cagr") && out.contains("none: fewer than 63 sessions"), "{out}");
    let (code, out, _) = run(words(&format!("{line} --json")));
    let said: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!((code, &said["conclusive"]), (4, &false.into()));
    assert_eq!(said["chosen"][0]["not_judged"], "fewer than 63 sessions");
}

/// What is joined is named for what it is: so many of so many folds.
#[test]
fn folds_that_were_not_judged_are_not_joined_in_silence() {
    let grid = "--grid rsi_period=5..12 --folds 5 --purge 0";
    let all = ok(&format!("walk-forward --strategy daily_trend --symbols SPY {WHOLE} {grid}"));
    assert!(all.contains("out of sample, all 5 folds joined:") && all.contains("5 of 5"), "{all}");
    let some = format!("walk-forward --strategy daily_trend --symbols SPY {WHOLE} {grid} --scheme rolling --train 2");
    let said = json(&some);
    let chosen = said["chosen"].as_array().expect("choices");
    let judged = chosen.iter().filter(|c| c["not_judged"].is_null()).count();
    assert!((1..5).contains(&judged), "some folds of two sessions trade, some don't: {said}");
    assert_eq!(said["folds_judged"], judged);
    assert_eq!(said["joined"][0]["folds_judged"], judged);
    for c in chosen {
        assert_eq!(c["not_judged"].is_null(), c["parameters"].is_object(), "{c}");
    }
    let table = ok(&some);
    assert!(table.contains(&format!("out of sample, {judged} of 5 folds joined:")), "{table}");
    assert!(!table.contains("all folds") && !table.contains("all 5"), "{table}");
}

/// A good week isn't a year.
#[test]
fn a_week_is_not_compounded_to_a_year() {
    let week = "backtest --strategy bear_trap --start-date 2024-05-13 --end-date 2024-05-17";
    let figures = &json(week)["runs"][0]["metrics"];
    for name in ["cagr", "calmar"] {
        assert_eq!(figures[name]["undefined"], "fewer than 63 sessions", "{figures}");
    }
    let table = ok(week);
    let cagr = table.lines().find(|l| l.contains("cagr")).expect("a row");
    assert!(cagr.contains("fewer than 63 sessions"), "{cagr}");
    let quarter = json("backtest --strategy daily_trend --start-date 2024-01-02 --end-date 2024-04-30");
    assert!(quarter["runs"][0]["metrics"]["cagr"].is_number(), "{quarter}");
}

/// Bars that cover a part of the dates asked for: said by every command, for each symbol.
#[test]
fn a_period_that_bars_cover_in_part_is_said() {
    let subject = "--strategy daily_trend --symbols SPY,TSLA --start-date 2016-01-04 --end-date 2026-06-30";
    let note =
        "asked for 2016-01-04 to 2026-06-30, but bars cover only a part of it: SPY TSLA from 2018-01-02 to 2025-12-31";
    let grid = "--grid rsi_period=5..6";
    for line in [format!("backtest {subject}"), format!("sweep {subject} {grid}")] {
        let (table, said) = (ok(&line), json(&line));
        assert!(table.contains(note), "{line}: {table}");
        let partly =
            if line.starts_with("sweep") { &said["partly_covered"] } else { &said["runs"][0]["partly_covered"] };
        assert_eq!(partly.as_array().map(Vec::len), Some(2), "{said}");
        assert_eq!(partly[0]["asked"], serde_json::json!(["2016-01-04", "2026-06-30"]));
        assert_eq!(partly[0]["covered"], serde_json::json!(["2018-01-02", "2025-12-31"]));
        let (some, all) = (partly[0]["sessions"].as_u64(), partly[0]["sessions_asked"].as_u64());
        assert!(some > Some(2_000) && some < all, "{partly}");
    }
    let later = "walk-forward --strategy daily_trend --symbols SPY --start-date 2018-01-02 --end-date 2026-06-30";
    assert!(ok(&format!("{later} {grid} --folds 3")).contains("but bars cover only a part of it: SPY"));
    assert_eq!(json(&format!("{later} {grid} --folds 3"))["partly_covered"][0]["symbol"], "SPY");
    // Holidays at the ends are no gap.
    let whole = "backtest --strategy daily_trend --symbols SPY --start-date 2018-01-01 --end-date 2025-12-31";
    assert!(!ok(whole).contains("asked for"), "covered");
    assert_eq!(json(whole)["runs"][0]["partly_covered"], serde_json::json!([]));
}

/// No replay checks cash, so a report says what no cash paid for.
#[test]
fn entries_beyond_the_cash_are_counted() {
    let line = "backtest --strategy hourly_swing --start-date 2022-01-03 --end-date 2025-12-31 --json";
    let out = TempDir::new().expect("a folder");
    let said = json(&format!("{} --out {}", line.replace(" --json", ""), out.path().display()));
    let cash = &said["runs"][0]["cash"];
    // The same from the file of trades.
    let trades = fs::read_to_string(out.path().join("PORTFOLIO.trades.csv")).expect("written");
    let mut flows: Vec<(String, u8, f64)> = Vec::new();
    for row in trades.lines().skip(1) {
        let cell: Vec<&str> = row.split(',').collect();
        let number = |i: usize| cell[i].parse::<f64>().expect("a number");
        let paid = number(3) * number(4);
        flows.push((cell[2].to_owned(), 1, -paid));
        flows.push((cell[5].to_owned(), u8::from(cell[5] == cell[2]) * 2, paid + number(8)));
    }
    flows.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
    let (mut left, mut lowest, mut below, mut entries) = (100_000.0, 100_000.0f64, 0, 0);
    for (_, step, dollars) in flows {
        left += dollars;
        if step == 1 {
            entries += 1;
            below += u64::from(left < 0.0);
            lowest = lowest.min(left);
        }
    }
    assert!(below > 0, "the sample has entries beyond the cash");
    assert_eq!(
        (&cash["entries"], &cash["entries_below_zero"], &cash["checked"]),
        (&entries.into(), &below.into(), &false.into())
    );
    let said_lowest = cash["lowest"].as_f64().expect("dollars");
    assert!((said_lowest - lowest).abs() < 0.01, "{said_lowest} {lowest}");
    assert!(cash["lowest_at"].is_string() && cash["first_below_zero_at"].is_string(), "{cash}");
    assert_eq!(cash["buying_power"], 100_000.0);
    let table = ok(line.trim_end_matches(" --json"));
    assert!(table.contains(&format!("after {below} of {entries} entries")), "{table}");
    assert!(
        table.contains("account_info.buying_power (100000.00 dollars) and margin_multiplier are read, not applied; account_info.account=cash checks it"),
        "{table}"
    );
}

/// Two writers of one folder: one of them, or both, end well; what is there is whole.
#[test]
fn identical_sweeps_into_one_folder_do_not_disturb_each_other() {
    let out = TempDir::new().expect("a folder");
    let line = format!(
        "{SWEEP} --grid rsi_period=2..61 --grid hysteresis_upper=50..69 --plain --out {}",
        out.path().display()
    );
    let start = || words(&line).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("starts");
    let both: Vec<_> = (0..2).map(|_| start()).collect();
    let mut done = 0;
    for child in both {
        let output = child.wait_with_output().expect("ends");
        let err = String::from_utf8_lossy(&output.stderr);
        match output.status.code() {
            Some(0) => done += 1,
            code => assert!(code == Some(8) && err.contains("error[state-in-use]"), "{code:?} {err}"),
        }
    }
    assert!(done >= 1);
    ok(&line);
}

#[test]
fn a_folder_that_another_process_writes_is_refused_not_mixed() {
    let out = TempDir::new().expect("a folder");
    let line = format!("{SWEEP} --grid rsi_period=5..9 --out {}", out.path().display());
    let other = File::open(out.path()).expect("a folder");
    other.lock().expect("locked");
    let (code, _, err) = run(words(&line));
    assert_eq!(code, 8, "{err}");
    assert!(err.contains("error[state-in-use]") && err.contains("the same command goes on"), "{err}");
    assert_eq!(fs::read_dir(out.path()).expect("a folder").count(), 0, "nothing was touched");
    other.unlock().expect("unlocked");
    // Shares of one sweep work side by side.
    other.lock_shared().expect("locked");
    ok(&format!("{line} --shard 1/2"));
    assert_eq!(run(words(&line)).0, 8);
    other.unlock().expect("unlocked");
    ok(&line);
    let (code, _, err) = run(words(&format!("{SWEEP} --grid rsi_period=5..8 --out {}", out.path().display())));
    assert_eq!((code, err.contains("error[other-sweep]")), (8, true), "{err}");
}

#[test]
fn backtests_and_walk_forwards_into_one_place_at_once_both_succeed() {
    let out = TempDir::new().expect("a folder");
    let backtest =
        format!("backtest --strategy daily_trend {WHOLE} --scope single --out {}", out.path().join("b").display());
    let file = out.path().join("w.json");
    let walk = format!(
        "walk-forward --strategy daily_trend --symbols SPY {WHOLE} --grid rsi_period=5..9 --out {}",
        file.display()
    );
    let start = |line: &String| words(line).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("starts");
    let children: Vec<_> = [&backtest, &backtest, &walk, &walk].map(start).into_iter().collect();
    for child in children {
        let output = child.wait_with_output().expect("ends");
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    }
    serde_json::from_slice::<Value>(&fs::read(file).expect("written")).expect("whole");
}

/// A copy of the project as far as research needs it.
fn project() -> TempDir {
    let folder = TempDir::new().expect("a folder");
    for part in ["deployed", "data/sample"] {
        copy(&root().join(part), &folder.path().join(part));
    }
    folder
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("made");
    for entry in fs::read_dir(from).expect("a folder").map(|e| e.expect("an entry").path()) {
        let target = to.join(entry.file_name().expect("a name"));
        match entry.is_dir() {
            true if entry.ends_with("cache") => {}
            true => copy(&entry, &target),
            false => drop(fs::copy(&entry, &target).expect("copied")),
        }
    }
}

/// Trials on made-up bars are counted, but not among those that a repository keeps.
#[test]
fn trials_on_synthetic_bars_have_a_ledger_of_their_own() {
    let project = project();
    let at = |line: &str| {
        let mut command = words(line);
        command.current_dir(project.path()).env_remove("MAGELLAN_LEDGER");
        run(command)
    };
    let exists = |name: &str| project.path().join(name).exists();
    assert_eq!(at("ledger verify").0, 0, "nothing was tried yet");
    for line in [SWEEP.to_owned() + " --grid rsi_period=5..9", format!("backtest --strategy daily_trend {WHOLE}")] {
        let (code, out, err) = at(&line);
        assert_eq!(code, 0, "{out}{err}");
    }
    let (code, out, err) = at("gate --strategy daily_trend --json");
    assert_eq!(code, 4, "five points are too few for a probability of overfitting: {err}");
    let verdict: Value = serde_json::from_str(&out).expect("JSON");
    assert!(verdict["strategies"][0]["ledger"]["n"].as_u64() >= Some(6), "sweep and gate are counted: {verdict}");
    assert!(exists("data/synthetic-ledger/daily_trend") && !exists("data/ledger"));
    let (_, real, _) = at("ledger show");
    assert_eq!(real, "no trial on real bars is recorded; --synthetic shows those on synthetic bars\n");
    let (_, synthetic, _) = at("ledger show --synthetic");
    assert!(synthetic.contains("daily_trend") && synthetic.contains("sweep"), "{synthetic}");
    let (code, out, _) = at("ledger verify");
    assert!(code == 0 && out.contains("none altered"), "{out}");
    // A ledger that is named is the one for all.
    let (code, _, err) = at(&format!("backtest --strategy daily_trend {WHOLE} --ledger here"));
    assert_eq!(code, 0, "{err}");
    assert!(exists("here/daily_trend"));
}

/// The binary as a shell starts it.
fn shell(text: &str) -> (i32, String, String) {
    let mut command = Command::new("bash");
    let binary = words("").get_program().to_owned();
    command.args(["-c", text]).current_dir(root()).env("M", binary);
    run(command.env("MAGELLAN_LEDGER", "/nonexistent").stdin(Stdio::null()))
}

/// Results that can't be written are an error; a reader that has enough is none.
#[test]
fn results_are_not_lost_in_silence() {
    for lost in [r#""$M" explain >&-"#, r#""$M" explain > /dev/full"#] {
        let (code, _, err) = shell(lost);
        assert_eq!(code, 2, "{lost}: {err}");
        assert!(err.contains("error[cannot-write]") && err.contains("stdout"), "{lost}: {err}");
    }
    for fine in [
        r#""$M" explain > /dev/null"#,
        r#""$M" explain <> /dev/null >&0"#,
        r#"set -o pipefail; "$M" explain | head -n 1 > /dev/null"#,
        r#"set -o pipefail; "$M" explain | true"#,
    ] {
        let (code, _, err) = shell(fine);
        assert_eq!((code, err.as_str()), (0, ""), "{fine}");
    }
}

/// A process that may not have the addresses it needs says so at once, or takes fewer threads.
#[test]
fn a_sweep_in_little_address_space_ends_soon() {
    let sweep = r#""$M" sweep --strategy daily_trend --symbols SPY --start-date 2018-01-02 --end-date 2025-12-31 \
        --grid rsi_period=5..44 --grid hysteresis_upper=50..60 --ledger "$(mktemp -d)""#;
    let since = Instant::now();
    let (code, _, err) = shell(&format!("ulimit -v 150000; {sweep}"));
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("error[environment]") && err.contains("at least 272 MB are needed"), "{err}");
    let (code, out, err) = shell(&format!("ulimit -v 400000; {sweep}"));
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("among 440 points"), "{out}");
    assert!(since.elapsed() < Duration::from_secs(30), "{:?}", since.elapsed());
}

/// Waits until something is so.
fn until(what: impl Fn() -> bool) {
    let since = Instant::now();
    while !what() {
        assert!(since.elapsed() < Duration::from_secs(60), "it never came");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn interrupt(mut command: Command, when: impl Fn() -> bool) -> (Option<i32>, String) {
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("starts");
    until(when);
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill is there");
    assert!(sent.success());
    let output = child.wait_with_output().expect("ends");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn an_interrupted_sweep_says_that_it_goes_on() {
    let out = TempDir::new().expect("a folder");
    let what = "sweep --strategy hourly_swing --start-date 2022-01-03 --end-date 2025-12-31 --plain --grid rsi_period=5..304 --grid hysteresis_upper=51..70";
    let results = out.path().join("s");
    let parts = || -> Vec<PathBuf> {
        let entries = fs::read_dir(results.join("parts")).into_iter().flatten().flatten();
        entries.map(|e| e.path()).filter(|p| p.extension().is_some_and(|e| e == "parquet")).collect()
    };
    let (code, err) = interrupt(words(&format!("{what} --out {}", results.display())), || !parts().is_empty());
    assert_eq!(code, Some(130), "{err}");
    assert!(err.contains("interrupted") && err.contains("the same command goes on from there"), "{err}");
    assert!(!parts().is_empty() && !results.join("results.parquet").exists());
    // Without a folder nothing is kept, nor left behind.
    let temporary = TempDir::new().expect("a folder");
    let mut command = words(what);
    command.env("TMPDIR", temporary.path());
    let files = || fs::read_dir(temporary.path()).into_iter().flatten().flatten().map(|e| e.path()).collect::<Vec<_>>();
    let (code, err) = interrupt(command, || files().iter().any(|f| f.join("plan.json").exists()));
    assert_eq!(code, Some(130), "{err}");
    assert!(err.contains("nothing is kept without --out"), "{err}");
}

/// One schema a name: whatever strategy, scope and number of trades, the same files with the same columns.
#[test]
fn files_have_one_schema_a_name() {
    let out = TempDir::new().expect("a folder");
    let mut keys: Option<Vec<String>> = None;
    for (strategy, period) in [
        ("bear_trap", "--start-date 2024-04-01 --end-date 2024-04-30"),
        // Too short to trade: the files are there all the same.
        ("daily_trend", "--start-date 2018-01-02 --end-date 2018-01-31"),
        ("hourly_swing", "--start-date 2022-01-03 --end-date 2022-06-30"),
    ] {
        for scope in ["portfolio", "single"] {
            let folder = out.path().join(format!("{strategy}-{scope}"));
            let said =
                json(&format!("backtest --strategy {strategy} {period} --scope {scope} --out {}", folder.display()));
            for one in said["runs"].as_array().expect("runs") {
                let label = one["label"].as_str().expect("a label");
                let read = |kind: &str| fs::read_to_string(folder.join(format!("{label}.{kind}"))).expect(kind);
                let header = |kind: &str| read(kind).lines().next().expect("a header").to_owned();
                assert_eq!(header("trades.csv"), "trade_id,symbol,entry_ts,entry_px,qty,exit_ts,exit_px,reason,pnl");
                assert_eq!(header("equity_bars.csv"), "bar_end,equity");
                let equity = header("equity.csv");
                let indicators = if strategy == "bear_trap" { "" } else { ",rsi" };
                assert_eq!(equity, format!("bar_end,bar_start,session,equity,held{indicators}"));
                for kind in ["trades.csv", "equity_bars.csv", "equity.csv"] {
                    let (text, columns) = (read(kind), header(kind).split(',').count());
                    assert!(text.lines().all(|line| line.split(',').count() == columns), "{label} {kind}");
                    assert!(!text.to_lowercase().contains("nan"), "{label} {kind}");
                }
                let metrics: Value = serde_json::from_str(&read("metrics.json")).expect("JSON");
                assert_eq!(metrics["figures"], one["metrics"], "every figure, and why there is none");
                let of_all = |key: &&String| {
                    !["rsi_period", "upper", "lower", "budget", "warmup", "reclaim"].contains(&key.as_str())
                };
                let mut names: Vec<String> =
                    metrics.as_object().expect("an object").keys().filter(of_all).cloned().collect();
                names.sort();
                assert_eq!(keys.get_or_insert_with(|| names.clone()), &names, "{strategy} {scope}");
            }
        }
    }
}
