//! The reference results, every one, through the binary on the imported real bars.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{expected, magellan, market_data, run};

/// All of `MAGELLAN_MARKET_DATA`, imported once.
pub(crate) fn archive() -> Option<&'static Path> {
    static ARCHIVE: OnceLock<Option<TempDir>> = OnceLock::new();
    let archive = ARCHIVE.get_or_init(|| {
        let source = market_data()?;
        let folder = TempDir::new().expect("a folder");
        let mut command = magellan(["data", "import"]);
        command.arg(&source).arg("--splits").arg(source.join("splits.csv")).arg("--archive").arg(folder.path());
        let (code, out, err) = run(&mut command);
        assert_eq!(code, 0, "{err}");
        assert!(
            out.starts_with("103 files, 1722400 rows read: 1687855 bars added, 34545 identical duplicates dropped"),
            "{out}"
        );
        Some(folder)
    });
    archive.as_ref().map(TempDir::path)
}

pub(crate) fn backtest(archive: &Path, out: &Path, args: &[&str]) {
    let mut command = magellan(["backtest", "--use-cache"]);
    let (code, _, err) = run(command.args(args).arg("--archive").arg(archive).arg("--out").arg(out));
    assert_eq!(code, 0, "{args:?}: {err}");
}

/// Compares every file of a folder of expected results; how many there were.
fn compare(expected: &Path, ours: &Path) -> usize {
    compare_without(expected, ours, &[])
}

/// The same without some keys of metrics: parameters of the strategy in Rust.
pub(crate) fn compare_without(expected: &Path, ours: &Path, left_out: &[&str]) -> usize {
    let mut files: Vec<PathBuf> =
        fs::read_dir(expected).expect("a folder").map(|e| e.expect("an entry").path()).collect();
    files.sort();
    for file in &files {
        let name = file.file_name().expect("a name").to_string_lossy().into_owned();
        let read = |path: &Path| fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let (theirs, ours) = (read(file), read(&ours.join(&name)));
        if name.ends_with(".json") {
            compare_json(&name, &theirs, &ours, left_out)
        } else {
            compare_csv(&name, &theirs, &ours)
        }
    }
    files.len()
}

fn near(a: f64, b: f64) -> bool {
    a == b || (a - b).abs() <= 1e-9 * a.abs().max(b.abs())
}

/// Columns by name: prices, profits, equity and indicators to 1e-9, everything else to the letter.
fn compare_csv(name: &str, theirs: &str, ours: &str) {
    const NUMBERS: [&str; 5] = ["entry_px", "exit_px", "pnl", "equity", "rsi"];
    assert_eq!(theirs.lines().count(), ours.lines().count(), "{name}: rows");
    let header =
        |text: &str| -> Vec<String> { text.lines().next().expect("a header").split(',').map(str::to_owned).collect() };
    let (columns, all) = (header(theirs), header(ours));
    let place = |column| all.iter().position(|c| c == column).unwrap_or_else(|| panic!("{name} has no {column}"));
    let places: Vec<usize> = columns.iter().map(place).collect();
    for (line, (theirs, ours)) in theirs.lines().zip(ours.lines()).enumerate().skip(1) {
        let ours: Vec<&str> = ours.split(',').collect();
        assert_eq!(ours.len(), all.len(), "{name} line {}", line + 1);
        for ((column, &place), a) in columns.iter().zip(&places).zip(theirs.split(',')) {
            let b = ours[place];
            let close = NUMBERS.contains(&column.as_str())
                && a.parse().ok().zip(b.parse().ok()).is_some_and(|(a, b)| near(a, b));
            assert!(a == b || close, "{name} line {}: {column} is {b}, expected {a}", line + 1);
        }
    }
}

fn compare_json(name: &str, theirs: &str, ours: &str, left_out: &[&str]) {
    let parse = |text: &str| -> serde_json::Map<String, Value> { serde_json::from_str(text).expect("an object") };
    let (mut theirs, ours) = (parse(theirs), parse(ours));
    ["window"].iter().chain(left_out).for_each(|key| drop(theirs.remove(*key)));
    let keys = |map: &serde_json::Map<String, Value>| map.keys().cloned().collect::<BTreeSet<String>>();
    assert!(keys(&theirs).is_subset(&keys(&ours)), "{name}: {:?} lacks some of {:?}", keys(&ours), keys(&theirs));
    for (key, a) in &theirs {
        let b = &ours[key];
        let close = a.as_f64().zip(b.as_f64()).is_some_and(|(a, b)| near(a, b));
        assert!(a == b || close, "{name}: {key} is {b}, expected {a}");
    }
}

#[test]
fn bear_trap_reproduces_its_reference_alone_and_as_a_portfolio() {
    let (Some(archive), Some(expected)) = (archive(), expected()) else { return };
    let out = TempDir::new().expect("a folder");
    for scope in ["single", "portfolio"] {
        let args =
            ["--strategy", "bear_trap", "--start-date", "2024-04-01", "--end-date", "2024-06-30", "--scope", scope];
        backtest(archive, out.path(), &args);
    }
    assert_eq!(compare(&expected.join("bear_trap/W1_20240401_20240630"), out.path()), 52);
}

#[test]
fn daily_trend_reproduces_its_reference() {
    let (Some(archive), Some(expected)) = (archive(), expected()) else { return };
    let out = TempDir::new().expect("a folder");
    let args = [
        "--strategy",
        "daily_trend",
        "--start-date",
        "2018-01-02",
        "--end-date",
        "2025-12-31",
        "--scope",
        "single",
        "--symbols",
        "AAPL,SPY,TSLA",
    ];
    backtest(archive, out.path(), &args);
    assert_eq!(compare(&expected.join("daily_trend"), out.path()), 9);
}

#[test]
fn hourly_swing_reproduces_its_reference() {
    let (Some(archive), Some(expected)) = (archive(), expected()) else { return };
    let out = TempDir::new().expect("a folder");
    let args = [
        "--strategy",
        "hourly_swing",
        "--start-date",
        "2022-01-03",
        "--end-date",
        "2025-12-31",
        "--scope",
        "single",
        "--symbols",
        "TSLA",
        "--session",
        "regular",
    ];
    backtest(archive, out.path(), &args);
    assert_eq!(compare(&expected.join("hourly_swing"), out.path()), 3);
}

#[test]
fn on_real_bars_bear_trap_fails_and_daily_trend_misses_gld() {
    let Some(archive) = archive() else { return };
    let gate = |strategy: &str| run(magellan(["gate", "--strategy", strategy, "--archive"]).arg(archive));
    // The squeezes of May and June 2024 look like splits until somebody says what they were.
    let (code, out, _) = gate("bear_trap");
    assert_eq!(code, 3, "{out}");
    assert!(out.contains("-1.229") && out.matches("error[undeclared-jump]").count() == 5, "{out}");
    let declared = TempDir::new().expect("a folder");
    let (copy, moves) = (declared.path().join("archive"), declared.path().join("moves.csv"));
    let days = ["AMC,2024-05-13", "GME,2024-05-13", "GME,2024-05-14", "GME,2024-06-06", "CGC,2024-04-30"];
    let rows: String = days.map(|day| format!("{day},short squeeze\n")).concat();
    std::fs::write(&moves, format!("symbol,date,reason\n{rows}")).expect("written");
    let imported =
        run(magellan(["data", "import"]).arg(archive).arg("--moves").arg(&moves).arg("--archive").arg(&copy));
    assert_eq!(imported.0, 0, "{imported:?}");
    let (code, out, _) = run(magellan(["gate", "--strategy", "bear_trap", "--archive"]).arg(&copy));
    assert_eq!(code, 1, "{out}");
    assert!(out.contains("FAIL bear_trap") && out.contains("-1.229"), "{out}");
    let (code, out, _) = gate("daily_trend");
    assert_eq!(code, 3, "{out}");
    assert!(out.contains("GLD"), "{out}");
    let (code, out, _) = run(magellan(["gate", "--archive"]).arg(archive));
    assert_eq!(code, 3, "data before a failed criterion: {out}");
    assert!(!out.contains("SYNTHETIC"), "{out}");
}

#[test]
fn the_real_windows_give_the_counts_an_independent_reference_found() {
    let Some(archive) = archive() else { return };
    let out = TempDir::new().expect("a folder");
    let w2 = "AMC,CGC,CLSK,FCEL,GME,MARA,MULN,PLUG,RIOT,SAVA,SNDL,SPCE,TLRY,WKHS";
    for (start, end, symbols, slippage, trades, blocks) in [
        ("2024-11-01", "2025-01-17", w2, "6.25", 39, r#"{"max_trades_per_day":35}"#),
        ("2024-11-01", "2025-01-17", w2, "25", 39, r#"{"max_trades_per_day":35}"#),
        (
            "2024-04-01",
            "2024-06-30",
            "AMC,CGC,CLSK,FCEL,GME,MARA,PLUG,RIOT,SNDL,SPCE,TLRY,WKHS",
            "0",
            70,
            r#"{"max_trades_per_day":88}"#,
        ),
    ] {
        let args = [
            "--strategy",
            "bear_trap",
            "--start-date",
            start,
            "--end-date",
            end,
            "--symbols",
            symbols,
            "--slippage-bps",
            slippage,
        ];
        backtest(archive, out.path(), &args);
        let text = fs::read_to_string(out.path().join("PORTFOLIO.metrics.json")).expect("written");
        let metrics: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(
            (metrics["trades"].as_u64(), metrics["gate_blocks"].to_string().as_str()),
            (Some(trades), blocks),
            "{start}"
        );
    }
}
