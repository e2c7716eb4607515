//! One target of the crates' `fuzz::TARGETS`, chosen by `MAGELLAN_FUZZ`.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;

static TARGET: OnceLock<fn(&[u8])> = OnceLock::new();

fn chosen() -> fn(&[u8]) {
    let name = std::env::var("MAGELLAN_FUZZ").unwrap_or_default();
    let all = [magellan::fuzz::TARGETS, magellan_lint::fuzz::TARGETS, magellan_shell::fuzz::TARGETS].concat();
    let names: Vec<&str> = all.iter().map(|t| t.0).collect();
    let found = all.iter().find(|t| t.0 == name).map(|t| t.1);
    found.unwrap_or_else(|| panic!("MAGELLAN_FUZZ is `{name}`, targets are {}", names.join(" ")))
}

fuzz_target!(
    init: {
        // After libFuzzer's own hook, which aborts: panics that are caught are no finding.
        magellan::archive::hide_caught_panics();
        TARGET.get_or_init(chosen);
    },
    |bytes: &[u8]| TARGET.get_or_init(chosen)(bytes)
);
