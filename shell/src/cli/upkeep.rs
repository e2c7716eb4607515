//! `magellan doctor` and `prune`: a host made ready, and kept small

use std::path::PathBuf;

use clap::{Args, Subcommand};
use magellan::disk::hash::sha256_hex;
use magellan::disk::map;
use magellan::error::Result;
use serde_json::json;

use super::destination::{Connected, Destination, Named, confirm, machine};
use super::output::{print, to_json};
use crate::clock::now;
use crate::deploy::facts::Facts;
use crate::deploy::host::Call;
use crate::deploy::iam;
use crate::deploy::lock::Lock;
use crate::deploy::rollout::{KEEP, KEEP_DAYS, STEPS};

#[derive(Subcommand, Debug)]
pub(super) enum Doctor {
    /// Check on the host whatever must hold before a deploy.
    Host(DoctorHost),
    /// Print the least IAM policy that a deployer of the environment needs.
    Iam(Named),
}

#[derive(Args, Debug)]
pub(super) struct DoctorHost {
    #[command(flatten)]
    pub(super) to: Destination,
    /// Make what is missing: folders, the services' user, packages. Shown first as a plan.
    #[arg(long)]
    pub(super) fix: bool,
    /// Don't ask.
    #[arg(long, requires = "fix")]
    pub(super) yes: bool,
    /// Keys that the host shall trust from now on: lines as `magellan keys` prints them.
    #[arg(long, value_name = "FILE", requires = "fix")]
    pub(super) trust: Option<PathBuf>,
    /// The least policy that the host shall demand from now on: deployed/policy.toml.
    #[arg(long, value_name = "FILE", requires = "fix")]
    pub(super) policy: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(super) struct Prune {
    #[command(flatten)]
    pub(super) to: Destination,
    /// How many releases stay beside what runs and what ran before.
    #[arg(long, value_name = "N", default_value_t = KEEP, value_parser = clap::value_parser!(u64).range(1..=100))]
    pub(super) keep: u64,
    /// How many days histories and logs of deploys stay on the host.
    #[arg(long, value_name = "DAYS", default_value_t = KEEP_DAYS, value_parser = clap::value_parser!(u64).range(30..=3_650))]
    pub(super) keep_days: u64,
}

pub(super) fn doctor(command: &Doctor) -> Result<u8> {
    match command {
        Doctor::Iam(named) => {
            print(&to_json(&iam::deployer(&named.environment()?)))?;
            Ok(0)
        }
        Doctor::Host(options) => doctor_host(options),
    }
}

fn doctor_host(options: &DoctorHost) -> Result<u8> {
    let environment = options.to.named.environment()?;
    options.to.connect(&environment, |connected| {
        let call = pinned(Call::new("doctor", &environment).with_units(&environment.services), options)?;
        let asked = connected.transport.call(&call)?.done("doctor")?;
        let todo: Vec<&str> = asked.all("todo").collect();
        if options.fix && !todo.is_empty() {
            todo.iter().for_each(|line| eprintln!("to do: {line}"));
            confirm(options.yes, &environment.name)?;
            owned(connected, |generation| {
                let call = call.clone().with("fix", "yes").with("generation", generation);
                connected.transport.call(&call)?.done("doctor")
            })?;
        }
        checked(connected, options.to.json)
    })
}

/// With what the host is to believe from now on. It is never taken from what is deployed.
fn pinned(call: Call, options: &DoctorHost) -> Result<Call> {
    let read = |path: &PathBuf| map::bytes_up_to(path, 1 << 20).map(|bytes| bytes.to_vec());
    let mut call = call;
    if let Some(path) = &options.trust {
        call = call.with_text("trust", &String::from_utf8_lossy(&read(path)?));
    }
    if let Some(path) = &options.policy {
        call = call.with("policy", sha256_hex(&read(path)?));
    }
    Ok(call)
}

/// All that speaks against a deploy.
fn checked(connected: &Connected<'_>, as_json: bool) -> Result<u8> {
    let environment = connected.environment;
    let call = Call::preflight(environment, environment.services.iter());
    let answer = connected.transport.call(&call)?;
    let problems: Vec<&str> = answer.all("problem").collect();
    let sick = answer.failed.is_some();
    let text = problems.iter().map(|p| format!("✗ {p}\n")).collect::<String>();
    let text = if sick { text } else { format!("{}: nothing speaks against a deploy\n", connected.host) };
    print(&if as_json { to_json(&json!({"schema_version": 1, "problems": problems})) } else { text })?;
    if sick && problems.is_empty() {
        answer.done("preflight")?;
    }
    Ok(if sick { 7 } else { 0 })
}

pub(super) fn prune(options: &Prune) -> Result<u8> {
    let environment = options.to.named.environment()?;
    options.to.connect(&environment, |connected| {
        let answer = owned(connected, |generation| {
            let call = Call::new("prune", &environment)
                .with("keep", options.keep)
                .with("keep_days", options.keep_days)
                .with("generation", generation);
            connected.transport.call(&call)?.done("prune")
        })?;
        let pruned: Vec<&str> = answer.all("pruned").collect();
        let text = match pruned.len() {
            0 => "nothing was pruned\n".to_owned(),
            _ => pruned.iter().map(|what| format!("pruned {what}\n")).collect(),
        };
        print(&if options.to.json { to_json(&json!({"schema_version": 1, "pruned": pruned})) } else { text })?;
        Ok(0)
    })
}

/// Changes the host while nobody else does; with the number that the change goes by.
fn owned<T>(connected: &Connected<'_>, change: impl FnOnce(u64) -> Result<T>) -> Result<T> {
    let seen = Facts::observe(connected.transport, connected.environment)?;
    let at = now();
    let owner = format!("{} process {}", machine(), std::process::id());
    let name = format!("{}-upkeep", at.strftime("%Y%m%dT%H%M%SZ"));
    let least = seen.generation / STEPS;
    let lock = Lock::take(connected.store, connected.claim(&name, &owner), at, least)?;
    let done = change(lock.generation() * STEPS);
    lock.release(now())?;
    done
}
