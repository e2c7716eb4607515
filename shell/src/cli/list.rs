//! `magellan list`: the strategies that there are.

use std::path::Path;

use clap::Args;
use magellan::bar::Symbol;
use magellan::config::document::Document;
use magellan::deployed::{Deployed, discover};
use magellan::error::Result;
use magellan::registry::AnyStrategy;
use serde::Serialize;
use serde_json::json;

use super::options::Place;
use super::output::{print, to_json};
use crate::report::table;

#[derive(Args, Debug)]
pub(super) struct List {
    /// The folder `deployed` [default: the nearest one above the working directory].
    #[arg(long, value_name = "DIR")]
    pub(super) deployed: Option<std::path::PathBuf>,
    /// Print JSON.
    #[arg(long)]
    pub(super) json: bool,
}

/// A strategy that is known to this binary, deployed here, or both.
#[derive(Debug, Serialize)]
struct Listed {
    strategy: String,
    /// Its bars; none if this binary doesn't know it.
    timeframe: Option<&'static str>,
    /// Its symbols, as configured.
    symbols: Vec<Symbol>,
    config: Option<String>,
    unit: Option<String>,
}

pub(super) fn run(options: &List, strategies: &[&dyn AnyStrategy]) -> Result<u8> {
    let place = Place { archive: None, deployed: options.deployed.clone(), no_mmap: false };
    // A binary without a project around it knows its strategies all the same.
    let deployed = match (place.deployed(), &options.deployed) {
        (Err(_), None) => Vec::new(),
        (folder, _) => discover(&folder?)?,
    };
    let listed = list(strategies, &deployed);
    print(&if options.json { to_json(&json!({"schema_version": 1, "strategies": listed})) } else { text(&listed) })?;
    Ok(0)
}

fn list(strategies: &[&dyn AnyStrategy], deployed: &[Deployed]) -> Vec<Listed> {
    let known = strategies.iter().map(|strategy| strategy.name());
    let mut names: Vec<&str> = known.chain(deployed.iter().map(|one| one.name.as_str())).collect();
    names.sort_unstable();
    names.dedup();
    let of = |name: &str| {
        let code = strategies.iter().find(|strategy| strategy.name() == name);
        let folder = deployed.iter().find(|one| one.name == name);
        let there = |path: &Path| path.is_file().then(|| path.display().to_string());
        let document = folder.and_then(|one| Document::read(&one.config, &[]).ok());
        Listed {
            strategy: name.to_owned(),
            timeframe: code.map(|strategy| strategy.timeframe().name()),
            symbols: document.map_or_else(Vec::new, |document| document.symbols()),
            config: folder.and_then(|one| there(&one.config)),
            unit: folder.and_then(|one| there(&one.unit())),
        }
    };
    names.into_iter().map(of).collect()
}

fn text(listed: &[Listed]) -> String {
    let mut table = table::table(["strategy", "timeframe", "symbols", "config", "unit"]);
    for one in listed {
        let symbols: Vec<&str> = one.symbols.iter().map(Symbol::as_str).collect();
        table.add_row([
            one.strategy.clone(),
            one.timeframe.unwrap_or("not in this binary").to_owned(),
            symbols.join(" "),
            one.config.as_deref().unwrap_or("not deployed").to_owned(),
            // It lies beside the config.
            one.unit.as_deref().map_or("none", |unit| unit.rsplit('/').next().unwrap_or(unit)).to_owned(),
        ]);
    }
    format!("{table}\n")
}
