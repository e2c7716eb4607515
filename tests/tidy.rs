//! The house rules, enforced: which file may import which, and what stays out of which.

mod imports;
mod source;

use std::fs;
use std::path::{Path, PathBuf};

use imports::{Crate, Imports};
use source::Source;

use crate::support::root;

/// The crates, each after those it may use.
const CRATES: [Crate; 5] = [
    Crate { name: "magellan", root: "src/lib.rs", may_use: &[] },
    Crate { name: "magellan_lint", root: "lint/src/lib.rs", may_use: &["magellan"] },
    Crate { name: "magellan_shell", root: "shell/src/lib.rs", may_use: &["magellan", "magellan_lint"] },
    Crate { name: "deployable_strategies", root: "deployable_strategies/lib.rs", may_use: &["magellan"] },
    Crate {
        name: "binary",
        root: "deployable_strategies/main.rs",
        may_use: &["magellan_shell", "deployable_strategies"],
    },
];

/// The folders of the crates' sources.
const FOLDERS: [&str; 4] = ["src", "lint/src", "shell/src", "deployable_strategies"];

fn all() -> Imports {
    Imports::read(root(), &CRATES)
}

pub(crate) fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").map(|e| e.expect("an entry").path());
    let files = entries.flat_map(|p| if p.is_dir() { sources(&p) } else { vec![p] });
    files.filter(|p| p.extension().is_some_and(|e| e == "rs")).collect()
}

// ---- imports ----

#[test]
fn no_file_imports_what_imports_it() {
    let imports = all();
    assert!(imports.count() > 500, "only {} imports were seen", imports.count());
    let circles = imports.circles();
    assert!(circles.is_empty(), "{} circles:\n{}", circles.len(), circles.join("\n"));
}

#[test]
fn crates_import_only_from_those_below() {
    let imports = all();
    let found: Vec<String> = CRATES.iter().flat_map(|one| imports.forbidden(one)).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// Read from top to bottom, a `lib.rs` names no module before those it is built on.
#[test]
fn each_lib_lists_its_modules_in_the_order_of_their_imports() {
    let imports = all();
    let found: Vec<String> = CRATES.iter().flat_map(|one| imports.out_of_order(one)).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn every_file_is_part_of_a_crate() {
    let imports = all();
    for path in FOLDERS.iter().flat_map(|folder| sources(&root().join(folder))) {
        let file = path.strip_prefix(root()).expect("in the project");
        let reached = imports.sources.contains_key(file) || is_for_tests(&path);
        assert!(reached, "no module of {}", file.display());
    }
}

/// Whether the folder's mod.rs declares a file for tests only.
fn is_for_tests(path: &Path) -> bool {
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let parent = fs::read_to_string(path.with_file_name("mod.rs")).unwrap_or_default();
    let declared = format!("mod {name};");
    parent.split("#[cfg(test)]\n").skip(1).any(|rest| rest.lines().next().is_some_and(|line| line.ends_with(&declared)))
}

// ---- what stays out ----

fn is_in(file: &Path, places: &[&str]) -> bool {
    places.iter().any(|place| file.starts_with(place))
}

fn uses_any(source: &Source, words: &[&str]) -> bool {
    words.iter().any(|word| source.code.contains(word))
}

#[test]
fn only_the_map_of_files_is_unsafe() {
    let imports = all();
    let is_unsafe = |source: &Source| uses_any(source, &["unsafe{", "unsafe fn", "unsafe impl", "unsafe extern"]);
    let found: Vec<&PathBuf> = imports.sources.iter().filter(|(_, s)| is_unsafe(s)).map(|(file, _)| file).collect();
    assert_eq!(found, [Path::new("src/disk/map.rs")]);
}

/// What makes a run differ from the next: words that reach for it, and the files and folders that may.
const OUTSIDE: [(&str, &[&str], &[&str]); 4] = [
    (
        "the clock",
        &["Instant::now", "SystemTime::now", "Timestamp::now", "Zoned::now"],
        &[
            "shell/src/clock.rs",
            "shell/src/alpaca",
            "shell/src/cli",
            "shell/src/service",
            "shell/src/notify",
            "shell/src/aws/ssm.rs",
        ],
    ),
    (
        "the environment",
        &["std::env", "env::var", "env::current", "env::args"],
        &["shell/src/cli", "shell/src/service/notify.rs", "shell/src/aws/mod.rs"],
    ),
    (
        "other processes",
        &["process::Command"],
        &["shell/src/cli/programs.rs", "shell/src/deploy/transport/local.rs", "shell/src/git.rs"],
    ),
    (
        "the network",
        &["std::net", "aws_config", "aws_sdk", "aws_smithy", "tokio::", "ureq::", "tungstenite::"],
        &[
            "shell/src/alpaca",
            "shell/src/aws",
            "shell/src/cli/dashboard.rs",
            "shell/src/dashboard",
            "shell/src/http.rs",
            "shell/src/notify",
            "shell/src/server.rs",
            "shell/src/service/live/metrics.rs",
        ],
    ),
];

#[test]
fn only_the_shell_reaches_outside_and_only_in_few_places() {
    let imports = all();
    for (what, words, places) in OUTSIDE {
        let files: Vec<&PathBuf> =
            imports.sources.iter().filter(|(_, source)| uses_any(source, words)).map(|(file, _)| file).collect();
        for file in &files {
            assert!(is_in(file, places), "{} reaches for {what}", file.display());
        }
        for place in places {
            assert!(files.iter().any(|file| file.starts_with(place)), "{place} no longer needs {what}");
        }
    }
}

/// Where prices become decisions and fills.
const EXACT: [&str; 11] = [
    "src/account",
    "src/costs",
    "src/indicator",
    "src/levels",
    "src/order",
    "src/replay",
    "src/risk",
    "src/runner",
    "src/strategy",
    "src/sweep",
    "deployable_strategies",
];

/// Arithmetic that may give other bits on other machines.
const INEXACT: [&str; 11] = ["mul_add", "powf", "powi", "exp", "exp2", "ln", "log", "log2", "log10", "sin", "cos"];

#[test]
fn decisions_and_fills_use_no_fused_or_transcendental_arithmetic() {
    let imports = all();
    for place in EXACT {
        // A module is a file or a folder.
        let is_here = |file: &Path| file.starts_with(place) || file.with_extension("") == Path::new(place);
        let files: Vec<_> = imports.sources.iter().filter(|(file, _)| is_here(file)).collect();
        assert!(!files.is_empty(), "{place} isn't there any more");
        for (file, source) in files {
            for name in INEXACT {
                let words = [format!(".{name}("), format!("f64::{name}"), format!("f32::{name}")];
                assert!(!uses_any(source, &words.each_ref().map(String::as_str)), "{} uses {name}", file.display());
            }
        }
    }
}

#[test]
fn no_deployed_strategy_names_the_planted_look_ahead() {
    let strategies = sources(&root().join("deployable_strategies"));
    assert!(strategies.len() > 3, "{strategies:?}");
    for path in strategies {
        let text = fs::read_to_string(&path).expect("read");
        assert!(!text.contains("SessionLastClose"), "{} looks ahead", path.display());
    }
}

// ---- dependencies ----

/// The page with the table of dependencies.
fn dependencies() -> PathBuf {
    let pages = ["docs/dependencies.md", "README.md"].map(|page| root().join(page));
    pages.into_iter().find(|page| page.is_file()).expect("a page")
}

#[test]
fn every_dependency_is_explained() {
    let page = fs::read_to_string(dependencies()).expect("read");
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("read");
    let behind = manifest.split_once("[workspace.dependencies]").expect("a section").1;
    let section = behind.split("\n[").next().expect("a part");
    let names = section.lines().filter_map(|l| Some(l.split_once(" =")?.0)).filter(|n| !n.starts_with("magellan"));
    let unexplained: Vec<&str> = names.filter(|name| !page.contains(&format!("| {name} |"))).collect();
    assert!(unexplained.is_empty(), "{} says nothing of {unexplained:?}", dependencies().display());
}
