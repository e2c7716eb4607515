//! The systemd units: what each of them says, and what systemd itself says of them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use magellan::deployed::discover;

use crate::init::{repository, within};
use crate::support::{root, run, systemd_analyze};

/// What each unit says, so that a service restarts, is watched and can't harm the host.
const UNIT: [&str; 8] = [
    "User=magellan",
    "Restart=always",
    "RestartSec=10",
    "NoNewPrivileges=true",
    "PrivateTmp=true",
    "Type=notify",
    "WatchdogSec=",
    "MemoryMax=",
];

#[test]
fn every_deployed_strategy_has_a_unit_that_names_it() {
    for deployed in discover(&root().join("deployed")).expect("found") {
        let name = format!("deployed/{}/magellan-{}.service", deployed.name, deployed.name.replace('_', "-"));
        let text = fs::read_to_string(root().join(&name)).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(text.contains(&format!("--strategy {}", deployed.name)), "{name}");
        for line in UNIT {
            assert!(text.contains(line), "{name} lacks {line}");
        }
        let (unit, service) = text.split_once("[Service]").expect("sections");
        assert!(unit.contains("StartLimitIntervalSec=") && !service.contains("StartLimit"), "{name}");
    }
}

/// The most that systemd may find a service exposed, in tenths.
const MOST_EXPOSED: &str = "--threshold=30";

/// Whether systemd takes a unit for closed enough, and what it says.
fn is_closed(analyze: &Path, unit: &Path) -> (bool, String) {
    let mut command = Command::new(analyze);
    command.args(["security", "--offline=true", "--no-pager", MOST_EXPOSED]).arg(unit);
    let (code, out, err) = run(&mut command);
    assert!(!err.contains("ignoring"), "systemd doesn't understand {}: {err}", unit.display());
    (code == 0, format!("{}: {out}{err}", unit.display()))
}

/// The units of a folder `deployed`.
fn units(deployed: &Path) -> Vec<PathBuf> {
    discover(deployed).expect("strategies").iter().map(|one| one.unit()).collect()
}

#[test]
fn systemd_finds_little_that_units_leave_open() {
    let Some(analyze) = systemd_analyze() else { return };
    let (_scratch, folder) = repository();
    let (code, out, err) = within(&folder, "new gap_fade");
    assert_eq!(code, 0, "{out}{err}");
    let units = [units(&root().join("deployed")), units(&folder.join("deployed"))].concat();
    assert!(units.len() >= 5, "{units:?}");
    for unit in &units {
        let (closed, said) = is_closed(&analyze, unit);
        assert!(closed, "{said}");
    }
    // The same without what closes it.
    let opens = ["Capability", "Private", "Protect", "Restrict", "SystemCall"];
    let text = fs::read_to_string(&units[0]).expect("read");
    let open: Vec<&str> = text.lines().filter(|line| !opens.iter().any(|word| line.starts_with(word))).collect();
    let unit = folder.join(units[0].file_name().expect("a name"));
    fs::write(&unit, open.join("\n")).expect("written");
    let (closed, said) = is_closed(&analyze, &unit);
    assert!(!closed, "{said}");
}
