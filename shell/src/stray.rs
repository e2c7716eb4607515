//! Files under `deployed/` that nothing reads, although somebody may rely on them.
//!
//! A deploy ships a strategy's config and its one unit. What looks as if systemd would act on it is an error: it never
//! gets to a host. Anything else is a note.

use std::path::{Path, PathBuf};

use magellan::deployed::{ENVIRONMENTS, unit_file};
use magellan::finding::{Finding, Severity};
use magellan::gate::{acknowledge, policy};

use crate::codes;

/// Kinds of files that systemd reads.
const OF_SYSTEMD: [&str; 12] = [
    "service",
    "timer",
    "socket",
    "path",
    "mount",
    "automount",
    "swap",
    "target",
    "slice",
    "device",
    "scope",
    "preset",
];

/// What nothing reads of a strategy's folder.
pub fn of_strategy(folder: &Path, strategy: &str) -> Vec<Finding> {
    let unit = unit_file(strategy);
    let read = ["config.json", &unit, acknowledge::FILE, acknowledge::SIGNATURES];
    let strays = entries(folder).into_iter().filter(|entry| !read.contains(&name(entry).as_str()));
    strays.flat_map(|entry| stray(&entry, Some(&unit))).collect()
}

/// What nothing reads beside the strategies' folders, and beside the environments.
pub fn of_deployed(deployed: &Path) -> Vec<Finding> {
    let beside = entries(deployed)
        .into_iter()
        .filter(|e| !e.is_dir() && !["config.schema.json", policy::FILE].contains(&name(e).as_str()));
    let environments = entries(&deployed.join(ENVIRONMENTS)).into_iter();
    let environments = environments.filter(|e| e.is_dir() || e.extension().is_none_or(|kind| kind != "toml"));
    beside.chain(environments).flat_map(|entry| stray(&entry, None)).collect()
}

/// What lies in a folder by name, but for what is hidden and what people read.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let all = std::fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let for_people = |path: &Path| {
        let name = name(path).to_lowercase();
        path.is_file() && (name.starts_with("readme") || name.ends_with(".md") || name.ends_with(".txt"))
    };
    let mut kept: Vec<PathBuf> = all.filter(|path| !name(path).starts_with('.') && !for_people(path)).collect();
    kept.sort();
    kept
}

fn name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// A file or folder that isn't read, and what to do with it. A folder of drop-ins is a finding a drop-in.
fn stray(path: &Path, unit: Option<&str>) -> Vec<Finding> {
    let name = name(path);
    let unit_or_config = unit.unwrap_or("the strategy's unit");
    if path.is_dir() && name.ends_with(".d") {
        let inside = entries(path);
        let each = if inside.is_empty() { vec![path.to_owned()] } else { inside };
        let help = format!("write its settings into {unit_or_config}, and remove it");
        let what = "a drop-in that no deploy installs: a deploy writes its own, of the environment alone";
        return each.iter().map(|file| ignored(file, what, &help)).collect();
    }
    if path.is_dir() && (name.ends_with(".wants") || name.ends_with(".requires")) {
        let help = "remove it: WantedBy= in the unit says when the service starts";
        return vec![ignored(path, "a folder of links that no deploy installs", help)];
    }
    let kind = path.extension().map(|kind| kind.to_string_lossy().into_owned()).unwrap_or_default();
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    match kind.as_str() {
        "service" if stem.ends_with('@') => {
            let help = format!("write one unit a strategy, {unit_or_config}, and remove the template");
            vec![ignored(path, "a template that no deploy installs: a strategy has one unit of its own", &help)]
        }
        "service" => {
            let help = format!("rename it to {unit_or_config} if it is meant to be that; otherwise remove it");
            vec![ignored(path, "a unit that no deploy installs: a strategy has one, of its own name", &help)]
        }
        "timer" => {
            let help = "remove it: a service runs always, and its bars say when it decides";
            vec![ignored(path, "a timer that no deploy installs", help)]
        }
        "conf" => {
            let help = format!("write its settings into {unit_or_config}, and remove it");
            vec![ignored(path, "a file of settings that no deploy installs", &help)]
        }
        kind if OF_SYSTEMD.contains(&kind) => {
            let what = format!("a file of systemd (.{kind}) that no deploy installs");
            vec![ignored(path, &what, &format!("remove it: only {unit_or_config} runs"))]
        }
        _ => {
            let help = match name.to_lowercase().contains("config") {
                true => "nothing to do; remove it if it is a copy: only config.json counts",
                false => "nothing to do; remove it if it isn't needed",
            };
            let finding = Finding::new(codes::FILE_NOT_READ, name, "nothing reads it: no deploy ships it");
            vec![finding.severity(Severity::Note).file(path).help(help)]
        }
    }
}

fn ignored(path: &Path, what: &str, help: &str) -> Finding {
    Finding::new(codes::UNIT_NOT_READ, name(path), what).file(path).help(help)
}
