//! Sweeps as their users run them: rows are what `backtest` says, kills and shards change no
//! byte, and every point is counted.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, UInt64Type};
use arrow_array::{Array, RecordBatch};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;

use crate::support::{date, magellan, run};

/// A folder for results and ledgers.
struct Bench {
    folder: tempfile::TempDir,
}

const DAILY: &str = "--strategy daily_trend --start-date 2018-01-02 --end-date 2025-12-31 --symbols SPY,TSLA";
/// 20 × 10 points.
const GRID: &str = "--grid rsi_period=5..24 --grid hysteresis_upper=50..59";

impl Bench {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder") }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, line: &str) -> std::process::Command {
        let mut command = magellan(line.split_whitespace());
        command.env("MAGELLAN_LEDGER", self.at("ledger"));
        for name in ["AWS_BATCH_JOB_ARRAY_INDEX", "SLURM_ARRAY_TASK_ID", "JOB_COMPLETION_INDEX"] {
            command.env_remove(name);
        }
        command
    }

    fn ok(&self, line: &str) -> String {
        let (code, out, err) = run(self.command(line));
        assert_eq!(code, 0, "{line}: {out}{err}");
        out
    }

    fn refused(&self, line: &str, code: i32, slug: &str) {
        let (exit, out, err) = run(self.command(line));
        assert_eq!(exit, code, "{line}: {out}{err}");
        assert!(err.contains(&format!("error[{slug}]")), "{line}: {err}");
    }

    /// A sweep into a folder.
    fn sweep(&self, what: &str, out: &str) -> String {
        self.ok(&format!("sweep {what} --out {}", self.at(out).display()))
    }

    fn trials(&self, strategy: &str) -> u64 {
        let shown: Value = serde_json::from_str(&self.ok("ledger show --json")).expect("JSON");
        let strategies = shown["strategies"].as_array().expect("a list");
        strategies.iter().find(|s| s["strategy"] == strategy).map_or(0, |s| s["trials"].as_u64().expect("a number"))
    }
}

fn rows(path: &Path) -> Vec<RecordBatch> {
    let file = fs::File::open(path).expect("results");
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).expect("Parquet").build().expect("Parquet");
    reader.map(|batch| batch.expect("rows")).collect()
}

fn bytes(folder: &Path) -> (Vec<u8>, Vec<u8>) {
    let read = |name| fs::read(folder.join(name)).expect("a result");
    (read("results.parquet"), read("returns.parquet"))
}

/// Figures of one row by name.
fn figures(batch: &RecordBatch, row: usize) -> BTreeMap<String, Option<f64>> {
    let fields = batch.schema();
    let figure = |(i, name): (usize, &String)| {
        let column = batch.column(i).as_primitive_opt::<Float64Type>()?;
        Some((name.clone(), column.is_valid(row).then(|| column.value(row))))
    };
    fields.fields().iter().map(|f| f.name()).enumerate().filter_map(figure).collect()
}

fn same_figures(row: &BTreeMap<String, Option<f64>>, metrics: &Value, what: &str) {
    let mut compared = 0;
    for (name, value) in row {
        if let Some(of_backtest) = metrics.get(name) {
            assert_eq!(*value, of_backtest.as_f64(), "{what}: {name}");
            compared += 1;
        }
    }
    assert!(compared >= 25, "{what}: only {compared} figures in common");
}

#[test]
fn a_row_is_what_backtest_says_of_its_point() {
    let bench = Bench::new();
    bench.sweep(&format!("{DAILY} {GRID}"), "fast");
    bench.sweep(&format!("{DAILY} {GRID} --plain"), "plain");
    assert_eq!(bytes(&bench.at("fast")), bytes(&bench.at("plain")), "both ways");
    let batches = rows(&bench.at("fast/results.parquet"));
    let count = batches.iter().map(RecordBatch::num_rows).sum::<usize>();
    assert_eq!(count, 600, "200 points of two symbols, and of both together");
    let batch = &batches[0];
    let integer = |name: &str, i| batch.column_by_name(name).expect(name).as_primitive::<Int64Type>().value(i);
    for row in (0..batch.num_rows()).step_by(67) {
        let (period, upper) = (integer("rsi_period", row), integer("hysteresis_upper", row));
        let symbol = batch.column_by_name("symbol").expect("symbol").as_string::<i32>().value(row);
        if symbol == "PORTFOLIO" {
            continue;
        }
        let set = format!("--scope single --json --set rsi_period={period} --set hysteresis_upper={upper}");
        let said: Value = serde_json::from_str(&bench.ok(&format!("backtest {DAILY} {set}"))).expect("JSON");
        let runs = said["runs"].as_array().expect("runs");
        let of_symbol = runs.iter().find(|r| r["label"] == symbol).expect("the symbol");
        same_figures(&figures(batch, row), &of_symbol["metrics"], &format!("{symbol} {period} {upper}"));
        same_trading(&figures(batch, row), of_symbol, &format!("{symbol} {period} {upper}"));
    }
}

/// What was traded, by the columns of a row and by the keys of a run's JSON.
fn same_trading(row: &BTreeMap<String, Option<f64>>, run: &Value, what: &str) {
    let blocked = run["gate_blocks"].as_object().expect("limits").values().filter_map(Value::as_f64).sum();
    for (column, key) in [
        ("long_trades", "/long/trades"),
        ("long_pnl", "/long/pnl"),
        ("short_trades", "/short/trades"),
        ("short_pnl", "/short/pnl"),
        ("commission", "/costs/commission"),
        ("slippage", "/costs/slippage"),
        ("borrow", "/costs/borrow"),
        ("margin_interest", "/costs/margin_interest"),
        ("rejected_orders", "/orders/rejected"),
    ] {
        assert_eq!(row[column], run["traded"].pointer(key).expect(key).as_f64(), "{what}: {column}");
    }
    assert_eq!(row["blocked_entries"], Some(blocked), "{what}");
}

/// Points whose account can't pay for all entries say how many it rejected, and can be ranked by that.
#[test]
fn rejected_orders_and_costs_of_each_point_are_those_of_its_backtest() {
    let bench = Bench::new();
    let what = "--strategy hourly_swing --start-date 2022-01-03 --end-date 2025-12-31 --set account_info.account=cash \
                --set execution.fee_per_share=0.005";
    let grid = "--grid execution.friction_bps=1,5 --by rejected_orders";
    let table = bench.sweep(&format!("{what} {grid}"), "out");
    for column in ["rejected_orders", "commission", "slippage", "turnover"] {
        assert!(table.contains(column), "{table}");
    }
    assert!(!table.contains("short_trades") && !table.contains("borrow"), "what there isn't has no column: {table}");
    let batch = &rows(&bench.at("out/results.parquet"))[0];
    let symbols = batch.column_by_name("symbol").expect("symbol").as_string::<i32>();
    for (point, bps) in [1, 5].into_iter().enumerate() {
        let line = format!("backtest {what} --scope single --set execution.friction_bps={bps} --json");
        let said: Value = serde_json::from_str(&bench.ok(&line)).expect("JSON");
        // Of each point a row for each symbol, and one for both together.
        let (mut rejected, together) = (0.0, 3 * point + 2);
        for (i, run) in said["runs"].as_array().expect("runs").iter().enumerate() {
            assert_eq!(run["label"], symbols.value(3 * point + i));
            let row = figures(batch, 3 * point + i);
            same_trading(&row, run, &format!("{bps} bps"));
            assert!(row["rejected_orders"] > Some(0.0) && row["commission"] > Some(0.0), "{row:?}");
            assert_eq!(run["traded"]["rejections"]["insufficient_cash"].as_f64(), row["rejected_orders"]);
            rejected += row["rejected_orders"].expect("counted");
        }
        assert_eq!(symbols.value(together), "PORTFOLIO");
        assert_eq!(figures(batch, together)["rejected_orders"], Some(rejected));
    }
}

/// A folder of a version with other columns is refused, whole or half done: no row of it is taken for one of this.
#[test]
fn a_folder_with_other_columns_is_refused() {
    let bench = Bench::new();
    let what = format!("{DAILY} --grid rsi_period=5..8");
    bench.sweep(&what, "old");
    let plan = bench.at("old/plan.json");
    let text = fs::read_to_string(&plan).expect("a plan");
    fs::write(&plan, text.replacen("\"schema_version\": 4", "\"schema_version\": 3", 1)).expect("written");
    let folder = bench.at("old").display().to_string();
    bench.refused(&format!("sweep {what} --out {folder}"), 8, "other-sweep");
    let merged = bench.at("merged").display().to_string();
    bench.refused(&format!("sweep merge {folder} --out {merged}"), 8, "other-sweep");
}

/// Symbols with an account each: the best of each symbol, and one setting for all of them, whose account is what
/// `backtest` says of the portfolio. Every account that was ranked is a trial.
#[test]
fn accounts_by_symbol_are_ranked_by_symbol_and_together() {
    let bench = Bench::new();
    bench.sweep(&format!("{DAILY} {GRID}"), "all");
    assert_eq!(bench.trials("daily_trend"), 200 * 3, "two symbols, and both together");
    let said: Value = serde_json::from_str(&bench.ok(&format!("sweep {DAILY} {GRID} --top 3 --json"))).expect("JSON");
    assert_eq!((&said["accounts_ranked"], &said["trials"]), (&600.into(), &600.into()));
    let batch = &rows(&bench.at("all/results.parquet"))[0];
    let symbols = batch.column_by_name("symbol").expect("symbol").as_string::<i32>();
    let sharpes = batch.column_by_name("sharpe").expect("sharpe").as_primitive::<Float64Type>();
    let best = |symbol: &str| {
        let of_symbol = (0..batch.num_rows()).filter(|&i| symbols.value(i) == symbol && sharpes.is_valid(i));
        of_symbol.map(|i| sharpes.value(i)).fold(f64::NEG_INFINITY, f64::max)
    };
    let by_symbol = said["best_by_symbol"].as_array().expect("rows");
    assert_eq!(by_symbol.len(), 2);
    for one in by_symbol {
        assert_eq!(one["figures"][0].as_f64(), Some(best(one["symbol"].as_str().expect("a name"))), "{one}");
    }
    let together = said["best_together"].as_array().expect("rows");
    assert_eq!((together.len(), &together[0]["symbol"]), (3, &"PORTFOLIO".into()));
    assert_eq!(together[0]["figures"][0].as_f64(), Some(best("PORTFOLIO")));
    let (period, upper) = (&together[0]["parameters"][0], &together[0]["parameters"][1]);
    let set = format!("backtest {DAILY} --set rsi_period={period} --set hysteresis_upper={upper} --json");
    let run: Value = serde_json::from_str(&bench.ok(&set)).expect("JSON");
    let point = together[0]["point"].as_u64().expect("a number");
    let points = batch.column_by_name("point").expect("point").as_primitive::<UInt64Type>();
    let row = (0..batch.num_rows()).find(|&i| points.value(i) == point && symbols.value(i) == "PORTFOLIO");
    let mut compared = 0;
    for (name, value) in figures(batch, row.expect("a row")) {
        if let (Some(ours), Some(theirs)) = (value, run["runs"][0]["metrics"][&name].as_f64()) {
            assert!((ours - theirs).abs() <= 1e-9 * theirs.abs().max(1.0), "{name}: {ours} {theirs}");
            compared += 1;
        }
    }
    assert!(compared >= 18, "only {compared} figures in common");
    let table = bench.ok(&format!("sweep {DAILY} {GRID}"));
    assert!(table.contains("best by symbol") && table.contains("best for all symbols together"), "{table}");
    assert!(table.contains("among 200 points of 2 symbols, 600 accounts in all; the ledger counts"), "{table}");
    let without = bench.ok(&format!("sweep {DAILY} {GRID} --by exposure"));
    assert!(without.contains("all symbols together have no exposure"), "{without}");
    // One symbol is its own portfolio.
    let alone = DAILY.replace("SPY,TSLA", "SPY");
    let alone: Value = serde_json::from_str(&bench.ok(&format!("sweep {alone} {GRID} --json"))).expect("JSON");
    assert_eq!((&alone["accounts_ranked"], &alone["trials"]), (&200.into(), &600.into()), "all of them were known");
}

#[test]
fn a_portfolio_has_one_row_a_point_whatever_the_axis() {
    let bench = Bench::new();
    let period = "--strategy bear_trap --start-date 2024-04-01 --end-date 2024-05-31";
    let grid =
        "--grid reclaim=running_low,prior_low --grid execution.friction_bps=0,6.25 --grid max_hold_minutes=10,30";
    bench.sweep(&format!("{period} {grid}"), "all");
    let batches = rows(&bench.at("all/results.parquet"));
    assert_eq!((batches.len(), batches[0].num_rows()), (1, 8));
    let points = batches[0].column_by_name("point").expect("point").as_primitive::<UInt64Type>();
    assert_eq!(points.values().to_vec(), (0..8).collect::<Vec<u64>>());
    for (row, reclaim, bps, minutes) in [(1, "running_low", "0", 30), (6, "prior_low", "6.25", 10)] {
        let set =
            format!("--set reclaim={reclaim} --set execution.friction_bps={bps} --set max_hold_minutes={minutes}");
        let said: Value = serde_json::from_str(&bench.ok(&format!("backtest {period} {set} --json"))).expect("JSON");
        same_figures(&figures(&batches[0], row), &said["runs"][0]["metrics"], &format!("row {row}"));
    }
    assert_eq!(bench.trials("bear_trap"), 8, "the two backtests were points of the sweep");
}

#[test]
fn a_sweep_killed_at_any_moment_goes_on_and_ends_in_the_same_bytes() {
    let bench = Bench::new();
    let what = "--strategy hourly_swing --start-date 2022-01-03 --end-date 2025-12-31 --plain --grid rsi_period=5..34 \
                --grid hysteresis_upper=51..70";
    bench.sweep(what, "whole");
    let whole = bytes(&bench.at("whole"));
    let start = |folder: &str| -> Child {
        let mut command = bench.command(&format!("sweep {what} --out {}", bench.at(folder).display()));
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("starts")
    };
    let (mut folder, mut killed, mut random) = (0, 0, 0x9e37_79b9_7f4a_7c15_u64);
    while killed < 20 {
        let mut child = start(&format!("killed{folder}"));
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        std::thread::sleep(Duration::from_millis(random % 400));
        match child.try_wait().expect("a child") {
            Some(_) => folder += 1,
            None => {
                child.kill().expect("killed");
                child.wait().expect("gone");
                killed += 1;
            }
        }
    }
    for folder in 0..=folder {
        let name = format!("killed{folder}");
        bench.sweep(what, &name);
        assert_eq!(bytes(&bench.at(&name)), whole, "{name}");
    }
    // A part that a crash of the machine cut short is computed again.
    let parts = bench.at("killed0/parts");
    let part = fs::read_dir(&parts).expect("parts").next().expect("a part").expect("a part").path();
    let cut = fs::read(&part).expect("read");
    fs::write(&part, &cut[..cut.len() / 2]).expect("written");
    bench.sweep(what, "killed0");
    assert_eq!(bytes(&bench.at("killed0")), whole, "after damage");
    assert_eq!(bench.trials("hourly_swing"), 600 * 3, "two symbols, and both together");
}

#[test]
fn shards_merge_to_the_bytes_of_one() {
    let bench = Bench::new();
    let what = format!("{DAILY} {GRID}");
    bench.sweep(&format!("{what} --shard 1/1"), "one");
    let mut sources = Vec::new();
    for i in 1..=7 {
        let out = bench.at(&format!("shard{i}")).display().to_string();
        // Half of them learn from a scheduler which one they are.
        let line = format!("sweep {what} --out {out}");
        let (code, out_text, err) = match i % 4 {
            0 => run(bench.command(&format!("{line} --shards 7")).env("JOB_COMPLETION_INDEX", (i - 1).to_string())),
            1 => run(bench
                .command(&line)
                .env("SLURM_ARRAY_TASK_ID", (i + 2).to_string())
                .env("SLURM_ARRAY_TASK_MIN", "3")
                .env("SLURM_ARRAY_TASK_COUNT", "7")),
            2 => {
                run(bench.command(&format!("{line} --shards 7")).env("AWS_BATCH_JOB_ARRAY_INDEX", (i - 1).to_string()))
            }
            _ => run(bench.command(&format!("{line} --shard {i}/7"))),
        };
        assert_eq!(code, 0, "{out_text}{err}");
        sources.push(out);
    }
    let merge =
        |sources: &[String]| format!("sweep merge {} --out {}", sources.join(" "), bench.at("merged").display());
    bench.refused(&merge(&sources[..6]), 8, "sweep-incomplete");
    bench.sweep(&format!("{DAILY} --grid rsi_period=5..24"), "other");
    let other = bench.at("other").display().to_string();
    bench.refused(&merge(&[&sources[..], &[other]].concat()), 8, "other-sweep");
    bench.ok(&merge(&sources));
    assert_eq!(bytes(&bench.at("merged")), bytes(&bench.at("one")));
    bench.refused(
        &format!("sweep {DAILY} --grid rsi_period=5..9 --out {}", bench.at("one").display()),
        8,
        "other-sweep",
    );
    // A part under the number of another.
    let name = |part: &str, extension: &str| {
        let files = fs::read_dir(bench.at("one/parts")).expect("parts").map(|e| e.expect("a part").path());
        let named = |p: &PathBuf| {
            let name = p.file_name().expect("a name").to_string_lossy().into_owned();
            name.starts_with(part) && name.ends_with(extension)
        };
        files.into_iter().find(named).expect("a part")
    };
    let whole = bytes(&bench.at("one"));
    for extension in ["parquet", "returns"] {
        let (first, second) = (name("00000", extension), name("00001", extension));
        fs::remove_file(second).expect("removed");
        fs::copy(&first, first.to_string_lossy().replace("/00000-", "/00001-")).expect("copied");
    }
    let one = bench.at("one").display().to_string();
    bench.refused(&format!("sweep merge {one} --out {one}"), 8, "part-damaged");
    bench.sweep(&what, "one");
    assert_eq!(bytes(&bench.at("one")), whole, "the part was computed again");
    let plan = bench.at("shard1/plan.json");
    let text = fs::read_to_string(&plan).expect("a plan");
    for (from, to) in [
        ("\"part_points\": 16", "\"part_points\": 0"),
        ("\"points\": 200", "\"points\": 201"),
        ("daily_trend", "../daily"),
    ] {
        assert!(text.contains(from), "{from}");
        fs::write(&plan, text.replace(from, to)).expect("written");
        let (exit, out, err) = run(bench.command(&merge(&sources)));
        assert!(matches!(exit, 2 | 8) && out.is_empty(), "{to}: {exit} {err}");
    }
    fs::write(&plan, &text).expect("written");
    bench.ok("ledger verify");
    let part = fs::read_dir(bench.at("shard3/parts")).expect("parts").next().expect("a part").expect("a part").path();
    let mut damaged = fs::read(&part).expect("read");
    damaged[100] ^= 1;
    fs::write(&part, damaged).expect("written");
    bench.refused(&merge(&sources), 8, "part-damaged");
}

#[test]
fn every_trial_is_counted_once_and_none_can_be_taken_back() {
    let bench = Bench::new();
    bench.ok(&format!("sweep {DAILY} {GRID}"));
    assert_eq!(bench.trials("daily_trend"), 600, "at each of 200 points two symbols, and both together");
    bench.ok(&format!("sweep {DAILY} {GRID}"));
    assert_eq!(bench.trials("daily_trend"), 600, "the same again");
    bench.ok(&format!("backtest {DAILY} --scope single --set rsi_period=7 --set hysteresis_upper=55.0"));
    assert_eq!(bench.trials("daily_trend"), 600, "two of them");
    bench.ok(&format!("backtest {DAILY} --scope single --set rsi_period=7 --set hysteresis_upper=55.5"));
    assert_eq!(bench.trials("daily_trend"), 603, "an account each, and both together");
    bench.ok(&format!("sweep {DAILY} --random 30 --seed 4 {GRID}"));
    assert_eq!(bench.trials("daily_trend"), 603, "thirty of the two hundred");
    bench.ok(&format!("walk-forward {DAILY} --grid rsi_period=24..28 --grid hysteresis_upper=58,59 --folds 3"));
    assert_eq!(bench.trials("daily_trend"), 627, "two of the ten were known");
    bench.ok(&format!("walk-forward {DAILY} --grid rsi_period=24..28 --grid hysteresis_upper=58,59 --folds 4"));
    let shown = bench.ok("ledger show --json");
    assert_eq!(bench.trials("daily_trend"), 627);
    assert_eq!(
        shown.matches("\"walk-forward\"").count(),
        4,
        "each division leaves a record as it begins and as it ends"
    );
    bench.ok(&format!("backtest {DAILY} --scope portfolio --set rsi_period=7 --set hysteresis_upper=55"));
    assert_eq!(bench.trials("daily_trend"), 627, "the same settings on one account are no other trial");
    bench.refused("ledger verify --require 0123456789abcdef", 8, "ledger-gap");

    let folder = bench.at("ledger/daily_trend");
    let records: Vec<PathBuf> = fs::read_dir(&folder).expect("a ledger").map(|e| e.expect("a record").path()).collect();
    let texts = records.iter().filter(|p| p.extension().is_some_and(|e| e == "json"));
    let contents: Vec<(PathBuf, String)> = texts.map(|p| (p.clone(), fs::read_to_string(p).expect("text"))).collect();
    let named = |path: &Path| {
        let hash = path.file_stem().expect("a name").to_str().expect("text").to_owned();
        contents
            .iter()
            .any(|(_, text)| serde_json::from_str::<Value>(text).expect("JSON")["heads"].to_string().contains(&hash))
    };
    let (path, text) = contents.iter().find(|(path, _)| named(path)).expect("a record that others name");
    let restore = || {
        let _ = fs::remove_file(path);
        fs::write(path, text).expect("written");
    };
    fs::remove_file(path).expect("removed");
    bench.refused("ledger verify", 8, "ledger-gap");
    bench.refused(&format!("sweep {DAILY} --grid rsi_period=5"), 8, "ledger-gap");
    bench.refused(&format!("backtest {DAILY}"), 8, "ledger-gap");
    fs::write(path, text.replace("daily_trend", "daily_trent")).expect("written");
    bench.refused("ledger verify", 8, "ledger-altered");
    restore();
    bench.ok("ledger verify");
    let returns = records.iter().find(|p| p.extension().is_some_and(|e| e == "parquet")).expect("kept returns");
    let mut altered = fs::read(returns).expect("read");
    altered[1_000] ^= 1;
    fs::remove_file(returns).expect("removed");
    bench.refused("ledger verify", 8, "ledger-gap");
    bench.refused(&format!("backtest {DAILY}"), 8, "ledger-gap");
    fs::write(returns, altered).expect("written");
    bench.refused("ledger verify", 8, "ledger-altered");
}

#[test]
fn nothing_is_shown_that_cannot_be_counted() {
    let bench = Bench::new();
    fs::write(bench.at("ledger"), "a file where the ledger should be").expect("written");
    for line in [format!("backtest {DAILY}"), format!("sweep {DAILY} {GRID}"), format!("walk-forward {DAILY} {GRID}")] {
        let (code, out, err) = run(bench.command(&line));
        assert_ne!(code, 0, "{err}");
        assert_eq!(out, "", "{line}");
    }
}

#[test]
fn grids_that_mean_nothing_are_refused_with_a_way_on() {
    let bench = Bench::new();
    for (grid, code, slug, words) in [
        ("--grid rsi_period=5..1", 2, "bad-argument", "ends before it begins"),
        ("--grid rsi_peroid=5..9", 2, "bad-argument", "the config has no such value"),
        ("--grid rsi_period=1..9", 2, "out-of-range", "choose other values for --grid rsi_period"),
        ("--grid rsi_period=5,x", 2, "wrong-type", "choose other values for --grid rsi_period"),
        ("--grid hysteresis_upper=20..60:20", 2, "contradiction", "--where \"hysteresis_upper != 20\""),
        (
            "--grid hysteresis_lower=40..60:20 --grid hysteresis_upper=50,70",
            2,
            "contradiction",
            "--where \"hysteresis_lower < hysteresis_upper\"",
        ),
        ("--grid rsi_period=5,5.0", 2, "bad-argument", "listed twice"),
        ("--grid rsi_period=5..9 --where x<3", 2, "bad-argument", "x is not swept"),
        ("--grid rsi_period=5..9 --where rsi_period<3", 2, "bad-argument", "no point of the grid"),
        ("--grid rsi_period=5..9 --grid SPY.rsi_period=4,5", 2, "bad-argument", "both set symbol_parameters.SPY"),
        (
            "--set allocation=1000 --grid SPY.allocation=1000,50000 --grid TSLA.allocation=1000,50000",
            2,
            "contradiction",
            "108000",
        ),
        ("--grid allocation=10000,33333", 2, "contradiction", "above account_info.buying_power"),
        ("--grid monitoring.log_level=info,debug", 2, "bad-argument", "no replay depends on it"),
        ("--grid GLD.rsi_period=5,6", 2, "bad-argument", "not among those swept"),
        ("--grid data_requirements.timeframe=1Day,1Hour", 2, "contradiction", "daily_trend trades 1Day bars"),
        ("--grid rsi_period=5..500 --random 0", 2, "bad-argument", "allowed are 1 to"),
        ("--grid rsi_period=5..9 --by luck", 2, "bad-argument", "there is no figure"),
        ("--grid rsi_period=5..9 --shard 3/2", 2, "bad-argument", "one of several"),
        ("--grid rsi_period=5..9 --memory much", 2, "bad-argument", "256MB"),
        ("--grid rsi_period=5..9 --symbols AAA", 2, "missing-key", "AAA"),
    ] {
        let (exit, out, err) = run(bench.command(&format!("sweep {DAILY} {grid}")).arg("--json"));
        assert_eq!((exit, out.as_str()), (code, ""), "{grid}: {err}");
        assert!(err.contains(&format!("error[{slug}]")) && err.contains(words), "{grid}: {err}");
    }
    // As backtest answers: without parameters no bars are looked for; without bars none are made up.
    bench.refused(&format!("backtest {}", DAILY.replace("SPY,TSLA", "AAA")), 2, "missing-key");
    let early = "--strategy daily_trend --symbols SPY --start-date 2001-01-02 --end-date 2002-01-02";
    bench.refused(&format!("sweep {early} --grid rsi_period=5..9"), 3, "no-bars");
    let unwritable = bench.at("a file");
    fs::write(&unwritable, "").expect("written");
    let line = format!("sweep {DAILY} --grid rsi_period=5..9 --out");
    let (exit, _, err) = run(bench.command(&line).arg(&unwritable));
    assert_eq!(exit, 2, "{err}");
    assert!(!bench.at("ledger").exists(), "what was refused is no trial");
}

/// The figure shown as out of sample is that of a backtest over the test alone, at the parameters
/// that a sweep over the training ranks first.
#[test]
fn a_walk_forward_chooses_on_its_training_and_is_judged_on_its_test() {
    let bench = Bench::new();
    let common = "--strategy daily_trend --symbols SPY";
    let grid = "--grid rsi_period=5..24 --grid hysteresis_upper=50..59";
    let line = format!(
        "walk-forward {common} --start-date 2018-01-02 --end-date 2025-12-31 {grid} --folds 3 --purge 4 --json"
    );
    let walked: Value = serde_json::from_str(&bench.ok(&line)).expect("JSON");
    for (i, fold) in walked["folds"].as_array().expect("folds").iter().enumerate() {
        let date = |v: &Value| v.as_str().expect("a date").to_owned();
        let (from, to) = (date(&fold["train"][0][0]), date(&fold["train"][0][1]));
        let swept = bench.ok(&format!("sweep {common} --start-date {from} --end-date {to} {grid} --top 1 --json"));
        let swept: Value = serde_json::from_str(&swept).expect("JSON");
        let chosen = &walked["chosen"][i];
        let best = swept["best"][0]["parameters"].as_array().expect("values");
        let parameters = &chosen["parameters"];
        assert_eq!([&parameters["rsi_period"], &parameters["hysteresis_upper"]], [&best[0], &best[1]]);
        assert_eq!(chosen["in_sample"]["sharpe"], swept["best"][0]["figures"][0]);
        let set = format!("--set rsi_period={} --set hysteresis_upper={}", best[0], best[1]);
        let (from, to) = (date(&fold["test"][0]), date(&fold["test"][1]));
        let tested =
            bench.ok(&format!("backtest {common} --start-date {from} --end-date {to} {set} --scope single --json"));
        let tested: Value = serde_json::from_str(&tested).expect("JSON");
        assert_eq!(chosen["out_of_sample"], tested["runs"][0]["metrics"], "fold {i}");
    }
}

/// A symbol may have a dot, which also separates the keys of a path.
#[test]
fn a_symbol_with_a_dot_is_swept_and_counted_like_any_other() {
    let place = crate::bad_inputs::Place::new();
    place.replace("deployed/daily_trend/config.json", "\"SPY\"", "\"BRK.B\"");
    let days = magellan::calendar::sessions(date("2022-01-03"), date("2023-12-29"));
    let row = |(i, session): (usize, magellan::calendar::Session)| {
        let price = 300.0 + 20.0 * (i as f64 / 9.0).sin();
        format!("BRK.B,{},{price},{price},{price},{price},100", session.date)
    };
    let rows: Vec<String> = days.enumerate().map(row).collect();
    place.write("brk_1day.csv", format!("symbol,timestamp,open,high,low,close,volume\n{}\n", rows.join("\n")));
    place.ok("data import brk_1day.csv --archive archive");
    let common = "--strategy daily_trend --archive archive --symbols BRK.B --start-date 2022-01-03 --end-date 2023-12-29 --ledger ledger";
    place.ok(&format!("sweep {common} --grid rsi_period=5..14"));
    place.ok(&format!("sweep {common} --grid BRK.B.rsi_period=10..19"));
    place.ok(&format!("backtest {common} --scope single --set BRK.B.rsi_period=19"));
    let shown: Value = serde_json::from_str(&place.ok("ledger show --json --ledger ledger")).expect("JSON");
    assert_eq!(shown["strategies"][0]["trials"], 15);
}

/// What a fold can't replay is refused before it is counted.
#[test]
fn a_fold_without_bars_is_refused_and_not_counted() {
    let bench = Bench::new();
    let line = "walk-forward --strategy daily_trend --symbols SPY --start-date 2010-01-04 --end-date 2025-12-31 \
                --grid rsi_period=5..9 --folds 5";
    bench.refused(line, 3, "no-bars");
    assert!(!bench.at("ledger").exists());
}
