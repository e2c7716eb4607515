//! Several processes at once, kills at any moment, a full disk: nothing lost, nothing half
//! visible.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::bad_inputs::Place;
use crate::support::{magellan, root, run};

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("made");
    for entry in fs::read_dir(from).expect("a folder").map(|e| e.expect("an entry").path()) {
        let target = to.join(entry.file_name().expect("a name"));
        if entry.is_dir() && !entry.ends_with("cache") {
            copy(&entry, &target);
        } else if entry.is_file() {
            fs::copy(&entry, &target).expect("copied");
        }
    }
}

/// The sample archive without its cache.
fn sample() -> Place {
    let place = Place::new();
    copy(&root().join("data/sample"), &place.at("archive"));
    place
}

fn start(place: &Place, line: &str) -> Child {
    let mut command = place.command(line);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts")
}

fn end(child: Child) -> (i32, String) {
    let output = child.wait_with_output().expect("waited");
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().expect("not killed"), String::from_utf8(text).expect("UTF-8"))
}

#[test]
fn processes_that_build_one_cache_together_all_get_the_same_answer() {
    let place = sample();
    let line = "gate --archive archive --json";
    let all: Vec<Child> = (0..6).map(|_| start(&place, line)).collect();
    let answers: Vec<(i32, String)> = all.into_iter().map(end).collect();
    assert_eq!(answers[0].0, 0, "{}", answers[0].1);
    assert!(answers.iter().all(|a| *a == answers[0]));
    let verified = place.ok("data verify --archive archive");
    assert!(verified.contains("24 caches: nothing found"), "{verified}");
}

/// Bars after the judged period, so that an import supersedes a record without changing a verdict.
fn later_bars(place: &Place, round: usize) -> String {
    let name = format!("AMC_1min_{round}.csv");
    let rows = format!("2024-07-01T14:{:02}:00Z,5,5,5,5,100", 10 + round);
    place.write(&name, format!("timestamp,open,high,low,close,volume\n{rows}\n"));
    name
}

#[test]
fn a_gate_during_imports_judges_the_old_or_the_new_archive_whole() {
    let place = sample();
    // Bars of the same mark, so that they may join.
    let gate = "gate --strategy bear_trap --archive archive --json";
    let status = |text: &str| -> String {
        let verdict: serde_json::Value = serde_json::from_str(text).expect("JSON");
        verdict["strategies"][0]["periods"][0]["metrics"].to_string()
    };
    let before = status(&place.ok(gate));
    let mut whole = 0;
    for round in 0..8 {
        let name = later_bars(&place, round);
        let import =
            start(&place, &format!("data import {name} --archive archive --timeframe 1Min --provenance synthetic"));
        let gates: Vec<Child> = (0..3).map(|_| start(&place, gate)).collect();
        for (code, text) in gates.into_iter().map(end) {
            match code {
                0 => {
                    assert_eq!(status(&text), before);
                    whole += 1;
                }
                // Only if two imports ended while one gate read.
                code => assert!(code == 3 && text.contains("record-missing"), "{code}: {text}"),
            }
        }
        let (code, text) = end(import);
        assert_eq!(code, 0, "{text}");
    }
    assert!(whole >= 20, "only {whole} of 24 gates answered");
    place.ok("data verify --archive archive");
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.map(|e| e.expect("an entry").path());
    paths.flat_map(|p| if p.is_dir() { files(&p) } else { vec![p] }).collect()
}

#[test]
fn an_import_killed_at_any_moment_leaves_the_archive_as_it_was_or_as_it_will_be() {
    let place = Place::new();
    let sources = root().join("data/sample");
    let import = format!("data import {} --archive", sources.display());
    // As it was: the hourly and daily bars. As it will be: all.
    let part = sources.join("synthetic/raw");
    place.ok(&format!("data import {0}/1Day {0}/1Hour --archive before", part.display()));
    let begun = std::time::Instant::now();
    place.ok(&format!("{import} whole"));
    let duration = begun.elapsed();
    let manifest = |archive: &str| fs::read(place.at(archive).join("manifest.json")).ok();
    let (before, whole) = (manifest("before"), manifest("whole"));
    assert!(before.is_some() && whole.is_some() && before != whole);
    let (mut as_it_was, mut as_it_will_be, mut none) = (0, 0, 0);
    for round in 0..30 {
        let _ = fs::remove_dir_all(place.at("archive"));
        // Every third round there is no archive yet.
        if round % 3 != 0 {
            copy(&place.at("before"), &place.at("archive"));
        }
        let mut child = start(&place, &format!("{import} archive"));
        std::thread::sleep(duration * round / 24);
        let _ = child.kill();
        child.wait().expect("waited");
        match manifest("archive") {
            None => none += u32::from(round % 3 == 0),
            found if found == whole => as_it_will_be += 1,
            found => {
                assert!(found == before, "round {round}: neither what was nor what will be");
                as_it_was += 1;
            }
        }
        if place.at("archive/manifest.json").exists() {
            place.ok("data verify --archive archive");
        } else {
            assert_eq!(round % 3, 0, "round {round}: the archive is gone");
        }
    }
    // However slow the machine was: once as soon as the new manifest is there.
    let _ = fs::remove_dir_all(place.at("archive"));
    copy(&place.at("before"), &place.at("archive"));
    let mut child = start(&place, &format!("{import} archive"));
    while manifest("archive") == before && child.try_wait().expect("waited").is_none() {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    let _ = child.kill();
    child.wait().expect("waited");
    as_it_will_be += u32::from(manifest("archive") == whole);
    place.ok("data verify --archive archive");
    assert!(as_it_was >= 5 && as_it_will_be >= 1 && none >= 2, "{as_it_was} {as_it_will_be} {none}");
    place.ok(&format!("{import} archive"));
    assert_eq!(manifest("archive"), whole);
    let is_left = |p: &PathBuf| p.to_string_lossy().contains(".writing-");
    let left: Vec<PathBuf> = files(&place.at("archive")).into_iter().filter(is_left).collect();
    assert!(left.is_empty(), "an import clears what killed ones left: {left:?}");
}

#[test]
fn a_cache_build_killed_at_any_moment_leaves_no_wrong_cache() {
    let place = sample();
    let right = run(place.command("gate --archive archive --json --no-mmap")).1;
    for round in 0..20u64 {
        let _ = fs::remove_dir_all(place.at("archive/cache"));
        let mut child = start(&place, "gate --archive archive --json");
        std::thread::sleep(Duration::from_micros(1 + round * 5_000));
        child.kill().expect("killed");
        child.wait().expect("waited");
        place.ok("data verify --archive archive");
    }
    assert_eq!(place.ok("gate --archive archive --json"), right);
}

/// Runs a shell line in a mount namespace of its own, where a small disk can be mounted.
fn with_small_disk(place: &Place, megabytes: &str, line: &str) -> Option<(i32, String)> {
    let allowed = Command::new("unshare").args(["-m", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]).status();
    if !allowed.is_ok_and(|s| s.success()) {
        println!("SKIPPED: this machine doesn't allow mounts in `unshare -m`");
        return None;
    }
    let script = format!("mkdir -p disk && mount -t tmpfs -o size={megabytes} tmpfs disk && {line}");
    let binary = magellan([""; 0]).get_program().to_owned();
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", &script]).env("MAGELLAN", binary).current_dir(place.at("."));
    let (code, out, err) = run(command);
    Some((code, out + &err))
}

#[test]
fn a_full_disk_stops_an_import_and_loses_nothing() {
    let place = Place::new();
    place.archive();
    place.write("GME_1min.csv", fs::read(place.at("AMC_1min.csv")).expect("read"));
    // Room for the archive that is there, and for nothing more.
    let line = "cp -r archive disk/archive && dd if=/dev/zero of=disk/rest bs=4k 2>/dev/null; \
        \"$MAGELLAN\" data import GME_1min.csv --archive disk/archive; code=$?; \
        \"$MAGELLAN\" data verify --archive disk/archive || exit 90; \
        \"$MAGELLAN\" data check --archive disk/archive || exit 91; \
        rm disk/rest; \"$MAGELLAN\" data import GME_1min.csv --archive disk/archive || exit 92; \
        \"$MAGELLAN\" data verify --archive disk/archive || exit 93; exit $code";
    let Some((code, text)) = with_small_disk(&place, "256k", line) else { return };
    assert_eq!(code, 3, "{text}");
    assert!(text.contains("error[io]") && text.contains("No space left"), "{text}");
    assert!(text.contains("verified 1 records") && text.contains("verified 2 records"), "{text}");
}

#[test]
fn results_that_do_not_fit_are_an_error() {
    let place = Place::new();
    let archive = root().join("data/sample").display().to_string();
    let line = format!(
        "dd if=/dev/zero of=disk/rest bs=4k 2>/dev/null; \"$MAGELLAN\" backtest --strategy bear_trap \
         --start-date 2024-04-01 --end-date 2024-06-28 --archive {archive} --out disk/results"
    );
    let Some((code, text)) = with_small_disk(&place, "64k", &line) else { return };
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("error[cannot-write]"), "{text}");
}
