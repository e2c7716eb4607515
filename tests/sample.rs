//! The committed sample: synthetic, deterministic, small, and enough for the deployed gate.

use std::fs;
use std::path::Path;

use magellan::archive::manifest::Manifest;

use crate::support::{magellan, root, run};

/// The seed in `data/README.md`.
const SEED: &str = "1";

fn sample() -> std::path::PathBuf {
    root().join("data/sample")
}

#[test]
fn the_same_seed_gives_the_committed_bytes() {
    let folder = tempfile::tempdir().expect("a folder");
    let archive = folder.path().join("made");
    let (code, _, err) = run(magellan(["data", "synth", "--seed", SEED, "--archive"]).arg(&archive));
    assert_eq!(code, 0, "{err}");
    let (made, committed) = (Manifest::read(&archive).expect("made"), Manifest::read(&sample()).expect("committed"));
    assert_eq!(made, committed);
    for record in &made.records {
        let bytes = |base: &Path| fs::read(base.join(&record.path)).expect("read");
        assert_eq!(bytes(&archive), bytes(&sample()), "{}", record.path);
    }
}

#[test]
fn the_sample_is_small_and_all_of_it_is_marked_synthetic() {
    let manifest = Manifest::read(&sample()).expect("committed");
    let size: u64 = manifest.records.iter().map(|r| fs::metadata(sample().join(&r.path)).expect("there").len()).sum();
    assert!(size <= 8_000_000, "{size} bytes");
    assert!(manifest.records.iter().all(|r| r.provenance == "synthetic"));
}

#[test]
fn another_seed_gives_other_bytes_and_an_archive_is_never_overwritten() {
    let folder = tempfile::tempdir().expect("a folder");
    let archive = folder.path().join("made");
    let synth = |seed| run(magellan(["data", "synth", "--seed", seed, "--archive"]).arg(&archive));
    assert_eq!(synth("2").0, 0);
    assert_ne!(Manifest::read(&archive).expect("made"), Manifest::read(&sample()).expect("committed"));
    let (code, _, err) = synth("2");
    assert_eq!(code, 8, "{err}");
}

#[test]
fn a_newcomers_first_command_passes_and_says_synthetic() {
    let (code, out, err) = run(magellan(["gate"]));
    assert_eq!(code, 0, "{out}{err}");
    for strategy in ["bear_trap", "daily_trend", "hourly_swing"] {
        assert!(out.contains(&format!("PASS {strategy}")), "{out}");
    }
    assert!(out.contains("SYNTHETIC DATA"));
}

#[test]
fn one_and_two_threads_give_the_same_bytes() {
    let of = |threads: &str, args: &[&str]| run(magellan(args).env("RAYON_NUM_THREADS", threads));
    let folder = tempfile::tempdir().expect("a folder");
    for threads in ["1", "2"] {
        let out = folder.path().join(threads);
        let backtest =
            ["backtest", "--strategy", "bear_trap", "--start-date", "2024-04-01", "--end-date", "2024-06-28", "--out"];
        for scope in ["portfolio", "single"] {
            let mut command = magellan(backtest);
            let done = run(command.arg(&out).args(["--scope", scope]).env("RAYON_NUM_THREADS", threads));
            assert_eq!(done.0, 0, "{}", done.2);
        }
    }
    let mut files: Vec<_> =
        fs::read_dir(folder.path().join("1")).expect("written").map(|e| e.expect("an entry").file_name()).collect();
    files.sort();
    assert_eq!(files.len(), 13 * 4);
    for file in files {
        let bytes = |threads: &str| fs::read(folder.path().join(threads).join(&file)).expect("read");
        assert_eq!(bytes("1"), bytes("2"), "{file:?}");
    }
    assert_eq!(of("1", &["gate", "--json"]).1, of("2", &["gate", "--json"]).1);
}
