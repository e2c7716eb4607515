//! `magellan rollback`: what ran before, again

use std::collections::BTreeSet;

use clap::Args;
use magellan::error::{Error, Result};

use super::rolling::{Rolling, beginning, exit_code, roll};
use crate::cli::destination::{Destination, confirm};
use crate::clock::now;
use crate::codes;
use crate::deploy::facts::Facts;
use crate::deploy::plan::{self, Change};
use crate::deploy::record::{Action, Index, Indexed, Outcome, Record};
use crate::release::short;

#[derive(Args, Debug)]
pub(crate) struct Rollback {
    #[command(flatten)]
    to: Destination,
    #[command(flatten)]
    rolling: Rolling,
    /// The release, by its digest or the beginning of it [default: what the units of the latest rollout ran before].
    #[arg(long = "to", value_name = "DIGEST")]
    release: Option<String>,
    /// This strategy alone.
    #[arg(long, value_name = "NAME")]
    strategy: Option<String>,
}

pub(crate) fn run(options: &Rollback) -> Result<u8> {
    let environment = options.to.named.environment()?;
    options.rolling.check(&environment)?;
    options.to.connect(&environment, |connected| {
        let seen = Facts::observe(connected.transport, &environment)?;
        if let Some(foreign) = plan::foreign(&environment, &seen) {
            return Err(foreign);
        }
        let index = Index::read(connected.store, &environment.name)?;
        let target = earlier(&index, &seen, options.release.as_deref(), options.strategy.as_deref())?;
        let strategies: Vec<&String> = target
            .strategies
            .keys()
            .filter(|name| options.strategy.as_ref().is_none_or(|only| only == *name))
            .collect();
        let units: Vec<String> = strategies.iter().map(|name| target.strategies[*name].unit.clone()).collect();
        let complete = target.complete && options.strategy.is_none();
        let retired: Vec<String> = match complete {
            true => seen.bound_units().map(|(unit, _)| unit.to_owned()).filter(|unit| !units.contains(unit)).collect(),
            false => Vec::new(),
        };
        let changes = changes(&seen, target, &units, &retired);
        eprintln!("{}: {}", environment.name, connected.host);
        for (unit, change) in &changes {
            eprintln!("{}", line(&seen, target, unit, change));
        }
        let overridden = options.rolling.overriding.settle(&plan::untimely(&environment, &seen, &changes, now()))?;
        if options.rolling.dry_run {
            return Ok(0);
        }
        confirm(options.rolling.yes, &environment.name)?;
        let strategies = strategies.into_iter().map(|name| (name.clone(), target.strategies[name].clone()));
        let record = Record {
            strategies: strategies.collect(),
            previous: plan::placed(&seen, &index, changes.iter().map(|(unit, _)| unit)),
            bound: target.bound.clone(),
            envelopes: target.envelopes.clone(),
            back_to: Some(target.id.clone()),
            stabilize: options.rolling.stabilize,
            overridden,
            complete,
            retired,
            ..beginning(Action::Rollback, connected).of(
                now(),
                &target.release,
                &target.contents,
                &target.bundle,
                &target.commit,
            )
        };
        let record = roll(connected, record, &seen, None, &options.rolling, options.to.json)?;
        Ok(exit_code(&record))
    })
}

fn changes(seen: &Facts, target: &Indexed, units: &[String], retired: &[String]) -> Vec<(String, Change)> {
    let change = |unit: &String| {
        let (is, to) = (seen.unit(unit), target.placed(unit).map(|placed| placed.unit_digest));
        let change = match (is.release.is_empty(), Some(&is.started_with) == to.as_ref()) {
            (true, _) => Change::Started,
            (_, true) if is.property("ActiveState") == "active" => Change::Kept,
            _ => Change::Restarted(Vec::new()),
        };
        (unit.clone(), change)
    };
    let removed = retired.iter().map(|unit| (unit.clone(), Change::Removed));
    units.iter().map(change).chain(removed).collect()
}

fn line(seen: &Facts, target: &Indexed, unit: &str, change: &Change) -> String {
    let release = seen.unit(unit).release;
    let was = if release.is_empty() { "none" } else { short(&release) };
    let (to, commit) = (short(&target.release), short(&target.commit));
    match change {
        Change::Kept => format!("= {unit}: left running"),
        Change::Started => format!("+ {unit}: installed and started, release {to} (commit {commit})"),
        Change::Removed => format!("- {unit}: stopped and removed, release {was}"),
        Change::Restarted(_) => format!("~ {unit}: restarted, release {was} → {to} (commit {commit})"),
    }
}

/// What to go back to: as named, or what the units of the latest rollout that ran well had before.
fn earlier<'i>(index: &'i Index, seen: &Facts, named: Option<&str>, strategy: Option<&str>) -> Result<&'i Indexed> {
    let none = |what: String| Error::new(codes::NO_RELEASE, what);
    let concerns = |entry: &&Indexed| strategy.is_none_or(|name| entry.strategies.contains_key(name));
    let well: Vec<&Indexed> =
        index.rollouts.iter().filter(|entry| entry.outcome == Outcome::Running).filter(concerns).collect();
    let differs = |entry: &&Indexed| units(entry, strategy).any(|unit| is_elsewhere(seen, entry, unit));
    let found = match named {
        Some(named) if named.len() < 8 => {
            return Err(Error::new(codes::BAD_ARGUMENT, format!("--to `{named}`: at least 8 digits name a release"))
                .help("`magellan releases` shows them"));
        }
        Some(named) => {
            let fits = |entry: &&&Indexed| entry.release.starts_with(named);
            let found = well.iter().rev().find(|entry| fits(entry) && differs(entry)).copied();
            found.ok_or_else(|| none(format!("no release `{named}` has run well here that isn't what runs")))?
        }
        None => before(&well, strategy, seen, &differs).ok_or_else(|| {
            none("nothing else has run well here before what runs; --to names what has since".to_owned())
        })?,
    };
    match seen.is_bad(&found.release) {
        true => Err(Error::new(codes::RELEASE_BAD, format!("release {} failed here", short(&found.release)))),
        false => Ok(found),
    }
}

/// The latest entry before the last that has its units and differs from what runs. What was left by going back isn't
/// gone back to: one goes on from where that led.
fn before<'i>(
    well: &[&'i Indexed],
    strategy: Option<&str>,
    seen: &Facts,
    differs: &dyn Fn(&&Indexed) -> bool,
) -> Option<&'i Indexed> {
    let last = well.last()?;
    let wanted: BTreeSet<&str> = units(last, strategy).collect();
    let mut at = well.len() - 1;
    while let Some(back_to) = well.get(at)?.back_to.as_ref() {
        at = well.iter().position(|entry| entry.id == *back_to)?;
    }
    let has_all = |entry: &&&Indexed| wanted.iter().all(|unit| entry.placed(unit).is_some());
    let is_good = |entry: &&&Indexed| has_all(entry) && differs(entry) && !seen.is_bad(&entry.release);
    well[..at].iter().rev().find(is_good).copied()
}

/// The units of an entry, of one strategy or of all.
fn units<'e>(entry: &'e Indexed, strategy: Option<&'e str>) -> impl Iterator<Item = &'e str> {
    let named = entry.strategies.iter().filter(move |(name, _)| strategy.is_none_or(|only| only == *name));
    named.map(|(_, judged)| judged.unit.as_str())
}

fn is_elsewhere(seen: &Facts, entry: &Indexed, unit: &str) -> bool {
    let is = seen.unit(unit);
    entry.placed(unit).is_none_or(|placed| (placed.release, placed.binding) != (is.release, is.binding))
}
