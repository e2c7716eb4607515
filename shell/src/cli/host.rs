//! `magellan status`, `health`, `releases` and `doctor`: whatever looks at a host

use std::time::Duration;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use magellan::error::{Error, Result};
use serde_json::json;

use super::destination::{Destination, Named};
use super::output::{print, to_json};
use crate::codes;
use crate::deploy::facts::Facts;
use crate::deploy::host::Call;
use crate::deploy::iam;
use crate::deploy::record::{Index, UnitHealth};
use crate::deploy::status::{Status, environment_differs};
use crate::release::short;
use crate::report::table;

#[derive(Args, Debug)]
pub(super) struct Health {
    #[command(flatten)]
    pub(super) to: Destination,
    /// Seconds that services are watched.
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(0..=1_800))]
    pub(super) stabilize: u64,
}

#[derive(Subcommand, Debug)]
pub(super) enum Doctor {
    /// Check on the host whatever must hold before a deploy.
    Host(Destination),
    /// Print the least IAM policy that a deployer of the environment needs.
    Iam(Named),
}

pub(super) fn status(to: &Destination) -> Result<u8> {
    let environment = to.named.environment()?;
    to.connect(&environment, |connected| {
        let seen = Facts::observe(connected.transport, &environment)?;
        let status = Status::of(std::slice::from_ref(&seen), &environment, connected.host.clone());
        if seen.manifest().is_some_and(|manifest| environment_differs(manifest, &environment)) {
            eprintln!("note: deployed/environments/{}.toml is another than the release's", environment.name);
        }
        print(&if to.json { to_json(&status) } else { status_text(&status) })?;
        match (status.drift.first(), &status.release) {
            (Some(first), _) => Err(Error::new(codes::DRIFT, first.clone())),
            (None, Some(_)) if !status.is_healthy() => Ok(7),
            _ => Ok(0),
        }
    })
}

fn status_text(status: &Status) -> String {
    let mut text = format!("{}: {}\n", status.environment, status.host);
    match (&status.release, &status.commit) {
        (Some(release), Some(commit)) => text += &format!("release {} of commit {}\n", short(release), short(commit)),
        _ => text += "nothing is deployed\n",
    }
    if let Some(rollout) = &status.rollout {
        text += &format!("rolled out by {} as {}\n", rollout.owner, rollout.id);
        for (strategy, (verdict, digest)) in &rollout.verdicts {
            text += &format!("  {strategy}: {verdict}, verdict {}\n", short(digest));
        }
        if let Some(overridden) = &rollout.overridden {
            text += &format!("OVERRIDDEN by {overridden}\n");
        }
    }
    text += &units_text(&status.units);
    status.failures.iter().for_each(|line| text += &format!("failed: {line}\n"));
    status.drift.iter().for_each(|line| text += &format!("DRIFT: {line}\n"));
    text
}

fn units_text(units: &[UnitHealth]) -> String {
    if units.is_empty() {
        return String::new();
    }
    let header = ["unit", "state", "since", "process", "digest", "health"].map(str::to_owned);
    let since =
        |seconds: f64| Timestamp::from_second(seconds as i64).map_or_else(|_| "never".to_owned(), |t| t.to_string());
    let rows = units.iter().map(|u| {
        let health = if u.is_well() { "well".to_owned() } else { u.faults.join("; ") };
        vec![
            u.unit.clone(),
            u.state.clone(),
            since(u.since),
            u.pid.to_string(),
            short(&u.unit_digest).to_owned(),
            health,
        ]
    });
    table::plain(header.into_iter(), rows.collect())
}

pub(super) fn health(options: &Health) -> Result<u8> {
    let environment = options.to.named.environment()?;
    options.to.connect(&environment, |connected| {
        let mut looks = vec![Facts::observe(connected.transport, &environment)?];
        if options.stabilize > 0 {
            std::thread::sleep(Duration::from_secs(options.stabilize));
            looks.push(Facts::observe(connected.transport, &environment)?);
        }
        let status = Status::of(&looks, &environment, connected.host.clone());
        print(&if options.to.json { to_json(&status.units) } else { units_text(&status.units) })?;
        match status.is_healthy() {
            true => Ok(0),
            false if status.units.is_empty() => Err(Error::new(codes::UNHEALTHY, "nothing is deployed")),
            false => Ok(7),
        }
    })
}

pub(super) fn releases(to: &Destination) -> Result<u8> {
    let environment = to.named.environment()?;
    to.connect(&environment, |connected| {
        let seen = Facts::observe(connected.transport, &environment)?;
        let index = Index::read(connected.store, &environment.name)?;
        if to.json {
            print(&to_json(&index))?;
            return Ok(0);
        }
        let header = ["ended", "release", "commit", "outcome", "verdicts", "here"].map(str::to_owned);
        let rows = index.rollouts.iter().map(|r| {
            let verdicts: Vec<String> =
                r.strategies.iter().map(|(n, j)| format!("{n} {}", j.status.as_deref().unwrap_or("none"))).collect();
            let here =
                match (seen.release() == Some(&r.release), seen.is_bad(&r.release), seen.releases.contains(&r.release))
                {
                    (true, ..) => "current",
                    (_, true, _) => "bad",
                    (.., true) => "there",
                    _ => "pruned",
                };
            vec![
                r.ended.clone(),
                short(&r.release).to_owned(),
                short(&r.commit).to_owned(),
                r.outcome.name().to_owned(),
                verdicts.join(", "),
                here.to_owned(),
            ]
        });
        print(&table::plain(header.into_iter(), rows.collect()))?;
        Ok(0)
    })
}

pub(super) fn doctor(command: &Doctor) -> Result<u8> {
    match command {
        Doctor::Iam(named) => {
            print(&to_json(&iam::deployer(&named.environment()?)))?;
            Ok(0)
        }
        Doctor::Host(to) => {
            let environment = to.named.environment()?;
            to.connect(&environment, |connected| {
                let answer = connected.transport.call(&Call::preflight(&environment, environment.services.iter()))?;
                let problems: Vec<&str> = answer.all("problem").collect();
                let sick = answer.failed.is_some();
                let text = problems.iter().map(|p| format!("✗ {p}\n")).collect::<String>();
                let text = if sick { text } else { format!("{}: nothing speaks against a deploy\n", connected.host) };
                print(&if to.json { to_json(&json!({"schema_version": 1, "problems": problems})) } else { text })?;
                if sick && problems.is_empty() {
                    answer.done("preflight")?;
                }
                Ok(if sick { 7 } else { 0 })
            })
        }
    }
}
