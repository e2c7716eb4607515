//! ARCHITECTURE.md's import table and the house rules, enforced.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::root;

/// The modules in dependency order: each may use itself and those before it.
const ORDER: &[&[&str]] = &[
    &["error"],
    &["finding"],
    &["arrow2_bars", "bar"],
    &["order"],
    &["calendar"],
    &["history"],
    &["disk"],
    &["archive"],
    &["indicator"],
    &["strategy"],
    &["costs", "risk"],
    &["account"],
    &["uncounted"],
    &["replay", "runner"],
    &["metrics", "stats"],
    &["sweep"],
    &["ledger"],
    &["config"],
    &["deployed"],
    &["registry", "backtest", "study"],
    &["walk_forward"],
    &["gate"],
];

fn rank(module: &str) -> Option<usize> {
    ORDER.iter().position(|level| level.contains(&module))
}

pub(crate) fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").map(|e| e.expect("an entry").path());
    let files = entries.flat_map(|p| if p.is_dir() { sources(&p) } else { vec![p] });
    files.filter(|p| p.extension().is_some_and(|e| e == "rs")).collect()
}

/// The part of a file before its tests.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).expect("read");
    text.split("#[cfg(test)]").next().unwrap_or_default().to_owned()
}

fn module(path: &Path) -> String {
    let inside = path.strip_prefix(root().join("src")).expect("in src");
    let first = inside.components().next().expect("a part").as_os_str().to_string_lossy().into_owned();
    first.trim_end_matches(".rs").to_owned()
}

#[test]
fn imports_point_up_the_list_only() {
    let mut checked = 0;
    for path in sources(&root().join("src")) {
        let module = module(&path);
        if module == "lib" || module == "fuzz" {
            continue;
        }
        let own = rank(&module).unwrap_or_else(|| panic!("{module} is not in the table"));
        for used in code(&path).split("crate::").skip(1) {
            let used: String = used.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            if let Some(other) = rank(&used) {
                assert!(other <= own, "{} uses crate::{used}", path.display());
                checked += 1;
            }
        }
    }
    assert!(checked > 50, "only {checked} imports were seen");
}

#[test]
fn lib_lists_the_modules_in_that_order() {
    let text = fs::read_to_string(root().join("src/lib.rs")).expect("read");
    // The fuzzers' entry points are no part of the program.
    let listed = text.lines().filter_map(|l| l.strip_prefix("pub mod ")?.strip_suffix(';')).filter(|m| *m != "fuzz");
    let ranks: Vec<usize> = listed.map(|m| rank(m).unwrap_or_else(|| panic!("{m} is not in the table"))).collect();
    assert!(ranks.is_sorted(), "{ranks:?}");
    assert_eq!(ranks.len(), ORDER.iter().map(|level| level.len()).sum::<usize>());
}

#[test]
fn only_map_is_unsafe_and_only_the_shell_reads_the_clock_or_the_environment() {
    for path in sources(&root().join("src")) {
        let (text, inside) = (code(&path), path.strip_prefix(root()).expect("in the project"));
        let allowed = |file: &str| inside.ends_with(file);
        assert!(!text.contains("unsafe {") || allowed("disk/map.rs"), "{}", inside.display());
        if !["live", "deploy", "cli"].contains(&module(&path).as_str()) {
            for word in ["Instant::now", "SystemTime", "env::var", "process::Command", "std::net"] {
                assert!(!text.contains(word), "{} uses {word}", inside.display());
            }
        }
    }
}

#[test]
fn decisions_and_fills_use_no_fused_or_transcendental_arithmetic() {
    let files = ["order.rs", "costs.rs", "risk.rs", "levels.rs"].map(|file| root().join("src").join(file));
    let folders = ["src/account", "src/replay", "src/runner", "src/indicator", "deployable_strategies"];
    for path in folders.iter().flat_map(|folder| sources(&root().join(folder))).chain(files) {
        for word in ["mul_add", ".powf(", ".powi(", ".exp(", ".ln(", ".sin(", ".cos("] {
            assert!(!code(&path).contains(word), "{} uses {word}", path.display());
        }
    }
}

#[test]
fn every_dependency_is_explained() {
    let page = fs::read_to_string(root().join("docs/dependencies.md")).expect("read");
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("read");
    let section =
        manifest.split("[workspace.dependencies]").nth(1).and_then(|s| s.split("\n[").next()).expect("a section");
    let names = section.lines().filter_map(|l| Some(l.split_once(" =")?.0)).filter(|n| !n.starts_with("magellan"));
    for name in names {
        assert!(page.contains(&format!("| {name} |")), "docs/dependencies.md says nothing of {name}");
    }
}

#[test]
fn every_deployed_strategy_has_a_unit_that_names_it() {
    for deployed in magellan::deployed::discover(&root().join("deployed")).expect("found") {
        let unit =
            root().join(format!("deployed/{}/magellan-{}.service", deployed.name, deployed.name.replace('_', "-")));
        let text = fs::read_to_string(&unit).unwrap_or_else(|e| panic!("{}: {e}", unit.display()));
        assert!(text.contains(&format!("--strategy {}", deployed.name)), "{}", unit.display());
        for line in [
            "User=ssm-user",
            "Restart=always",
            "RestartSec=10",
            "NoNewPrivileges=true",
            "PrivateTmp=true",
            "Type=notify",
            "WatchdogSec=",
            "MemoryMax=",
        ] {
            assert!(text.contains(line), "{} lacks {line}", unit.display());
        }
        let (unit_section, service) = text.split_once("[Service]").expect("sections");
        assert!(unit_section.contains("StartLimitIntervalSec=") && !service.contains("StartLimit"));
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
