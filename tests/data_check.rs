//! `data check` on real bars: exactly what is known of them, and nothing else.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::bad_inputs::Place;
use crate::support::{magellan, market_data, run};

fn report(args: &[&str], folder: &Path) -> (i32, Vec<Value>) {
    let (code, out, err) = run(magellan(args).arg(folder).args(["--format", "json"]));
    let report: Value = serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out}{err}"));
    (code, report["findings"].as_array().expect("findings").clone())
}

fn of_code<'a>(found: &'a [Value], code: &str) -> Vec<&'a Value> {
    found.iter().filter(|f| f["code"] == code).collect()
}

fn subjects<'a>(found: &'a [Value], code: &str) -> BTreeSet<&'a str> {
    of_code(found, code).into_iter().map(|f| f["subject"].as_str().expect("a subject")).collect()
}

#[test]
fn real_bars_have_the_known_faults_and_no_others() {
    let Some(folder) = market_data() else { return };
    let (code, found) = report(&["data", "check"], &folder);
    assert_eq!(code, 3);
    let known = [
        "declared-day",
        "duplicate-bars",
        "missing-sessions",
        "naive-times",
        "not-archived",
        "overlapping-sources",
        "phantom-days",
        "split-found",
        "thin-day",
        "undeclared-jump",
    ];
    let codes: BTreeSet<&str> = found.iter().map(|f| f["code"].as_str().expect("a code")).collect();
    assert!(codes.is_subset(&BTreeSet::from(known)), "{codes:?}");
    let duplicates = of_code(&found, "duplicate-bars");
    assert_eq!(duplicates.len(), 1);
    assert!(duplicates[0]["what"].as_str().is_some_and(|w| w.starts_with("5 bars")));
    assert!(duplicates[0]["file"].as_str().is_some_and(|f| f.ends_with("AMC_2024-11-01_2025-01-31.parquet")));
    assert_eq!(subjects(&found, "missing-sessions"), BTreeSet::from(["CLSK 1Min 2024-11-08"]));
    let thin: BTreeSet<&str> = subjects(&found, "thin-day").iter().map(|s| &s[s.len() - 10..]).collect();
    assert_eq!(thin, BTreeSet::from(["2018-05-02", "2018-05-03"]));
    // All twelve splits, those of daily and hourly series in both; worked out apart with pandas.
    assert_eq!(subjects(&found, "split-found").len(), 14);
    let jumps = BTreeSet::from([
        "AMC 1Min 2024-05-13",
        "BNGO 1Min 2025-04-10",
        "BTCS 1Min 2025-05-09",
        "CGC 1Min 2024-04-30",
        "GME 1Min 2024-05-13",
        "GME 1Min 2024-05-14",
        "GME 1Min 2024-06-06",
        "MOGO 1Min 2025-05-13",
        "MULN 1Min 2024-11-12",
        "MULN 1Min 2025-05-19",
        "MULN 1Min 2025-05-20",
        "MULN 1Min 2025-06-04",
        "MULN 1Min 2025-06-05",
        "SAVA 1Min 2024-11-25",
        "SPCE 1Min 2025-05-16",
        "WKHS 1Min 2024-11-11",
    ]);
    assert_eq!(subjects(&found, "undeclared-jump"), jumps);
    let spy = of_code(&found, "phantom-days").into_iter().find(|f| f["subject"] == "SPY 1Day").expect("SPY");
    for part in ["20191231.parquet 0+5", "20211231.parquet 0+4", "20231231.parquet 7+2", "20251231.parquet 35+5"] {
        assert!(spy["what"].as_str().is_some_and(|w| w.contains(part)), "{spy}");
    }
}

#[test]
fn spys_four_year_files_have_42_phantom_saturdays_and_16_holidays() {
    let Some(folder) = market_data() else { return };
    let place = Place::new();
    let is_year_file = |name: &str| name.starts_with("SPY_1day_20") && name.ends_with("1231.parquet");
    for entry in fs::read_dir(folder).expect("a folder").map(|e| e.expect("an entry")) {
        let name = entry.file_name().to_string_lossy().into_owned();
        if is_year_file(&name) {
            fs::create_dir_all(place.at("bars")).expect("made");
            fs::copy(entry.path(), place.at("bars").join(&name)).expect("copied");
        }
    }
    place.ok("data import bars --archive archive");
    let (code, found) = report(&["data", "check", "--archive"], &place.at("archive"));
    assert_eq!((code, found.len()), (0, 1), "{found:?}");
    assert!(found[0]["what"].as_str().is_some_and(|w| w.contains("42 Saturdays, 0 Sundays, 16 holidays")), "{found:?}");
}

#[test]
fn an_imported_archive_has_the_same_faults_as_its_sources() {
    let Some(folder) = market_data() else { return };
    let place = Place::new();
    let imported = run(magellan(["data", "import"]).arg(&folder).arg("--archive").arg(place.at("archive")));
    assert_eq!(imported.0, 0, "{imported:?}");
    let (_, before) = report(&["data", "check"], &folder);
    let (code, after) = report(&["data", "check", "--archive"], &place.at("archive"));
    assert_eq!(code, 3);
    for kind in ["missing-sessions", "thin-day", "undeclared-jump", "split-found", "phantom-days", "not-archived"] {
        assert_eq!(subjects(&before, kind), subjects(&after, kind), "{kind}");
    }
    place.ok("data verify --archive archive");
}
