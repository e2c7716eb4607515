//! `magellan deploy`, `deploy resume` and `rollback`: whatever changes a host

mod candidate;
mod overriding;
mod promotion;
mod rollback;
mod rolling;
mod signing;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use magellan::deployed::{self, Deployed, discover};
use magellan::error::{Error, Result};
use magellan::gate::baseline::Baseline;
use magellan::gate::verify::{self, StoredVerdict};
use magellan::ledger::Ledger;
use magellan::registry::AnyStrategy;

use super::destination::{Connected, Destination, confirm};
use super::gate::{GateInputs, Judging};
use super::options::{Baselines, Counting, Place, is_synthetic};
use crate::clock::now;
use crate::deploy::facts::Facts;
use crate::deploy::judged::{Asked, Running, Verdicts};
use crate::deploy::plan::{self, Change, Goal};
use crate::deploy::record::{Action, Index, Judged, Outcome, Record, Soak};
use crate::release::{BINARY, Bound, Environment, Kind, Manifest, short};
use crate::unit::Unit;
use crate::{codes, git, policy};

use candidate::Candidate;
pub(super) use rollback::{Rollback, run as rollback};
use rolling::{Resume, Rolling, beginning, exit_code, roll};
use signing::Demand;

#[derive(Args, Debug)]
#[command(subcommand_negates_reqs = true, args_conflicts_with_subcommands = true)]
pub(super) struct Deploy {
    #[command(subcommand)]
    pub(super) command: Option<DeployCommand>,
    #[command(flatten)]
    pub(super) to: Destination,
    #[command(flatten)]
    pub(super) rolling: Rolling,
    /// A strategy, or all that the environment has. The others are left as they are.
    #[arg(long, value_name = "NAME", default_value = "all")]
    pub(super) strategy: String,
    /// Verdicts: the folder of `magellan gate --out`, or one with several of them.
    #[arg(long, value_name = "DIR", default_value = "gate")]
    pub(super) verdicts: PathBuf,
    /// The archive that was judged on [default: data/sample beside `deployed`].
    #[arg(long, value_name = "DIR", env = "MAGELLAN_ARCHIVE")]
    pub(super) archive: Option<PathBuf>,
    /// The program that judged and is shipped [default: this one].
    #[arg(long, value_name = "FILE", conflicts_with = "promote_from")]
    pub(super) binary: Option<PathBuf>,
    /// Deploy the very release that this environment runs; nothing is built.
    #[arg(long, value_name = "ENVIRONMENT", requires = "healthy_for")]
    pub(super) promote_from: Option<String>,
    /// How many hours it must have run there without a restart.
    #[arg(long, value_name = "HOURS", requires = "promote_from")]
    pub(super) healthy_for: Option<f64>,
    /// Trust verdicts without judging again: why that can't be done. It is recorded and shown everywhere.
    #[arg(long, value_name = "WHY", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(super) not_judged_again: Option<String>,
    /// A commit or branch whose trials must all be in the ledger, e.g. origin/main.
    #[arg(long, value_name = "REF")]
    pub(super) ledger_of: Option<String>,
    #[command(flatten)]
    pub(super) counting: Counting,
    #[command(flatten)]
    pub(super) baselines: Baselines,
}

#[derive(Subcommand, Debug)]
pub(super) enum DeployCommand {
    /// Go on with a rollout whose process died, to its end.
    Resume(Resume),
}

pub(super) fn run(options: Deploy, strategies: &[&dyn AnyStrategy]) -> Result<u8> {
    match &options.command {
        Some(DeployCommand::Resume(options)) => rolling::resume(options),
        None => deploy(&options, strategies),
    }
}

fn deploy(options: &Deploy, strategies: &[&dyn AnyStrategy]) -> Result<u8> {
    let deployed = options.to.named.folder()?;
    let environment = options.to.named.environment()?;
    options.rolling.check(&environment)?;
    let selected = selected(&options.strategy, discover(&deployed)?, &environment)?;
    let place = Place { archive: options.archive.clone(), deployed: Some(deployed.clone()), no_mmap: false };
    let bars = place.archive()?;
    let (archive, ledger) = (bars.manifest().sha256.clone(), options.counting.folder(&place, is_synthetic(&bars))?);
    let policy = policy::read(&deployed)?;
    let verdicts = Verdicts::read(&options.verdicts)?;
    let asked = candidate::Asked {
        to: &options.to,
        binary: options.binary.as_deref(),
        promoted: options.promote_from.as_deref().zip(options.healthy_for),
    };
    let candidate = candidate::candidate(&asked, &deployed, selected)?;
    let bound = Bound::to(&environment);
    let key = options.rolling.signing.key()?;
    options.to.connect(&environment, |connected| {
        let seen = Facts::observe(connected.transport, &environment)?;
        if let Some(foreign) = plan::foreign(&environment, &seen) {
            return Err(foreign);
        }
        let index = Index::read(connected.store, &environment.name)?;
        let goal = Goal {
            manifest: &candidate.manifest,
            release: &candidate.digest,
            bound: &bound,
            strategies: candidate.deployed.iter().map(|d| d.name.clone()).collect(),
            complete: options.strategy == "all",
        };
        let changes = plan::changes(&seen, &goal, &deployed);
        let again = |one: &Deployed, stored: &StoredVerdict, running: &Running| {
            judge_again(options, &place, strategies, &candidate.manifest, (one, stored, running))
        };
        let asked = Asked {
            strategies,
            environment: &environment,
            manifest: &candidate.manifest,
            binding: &bound.sha256,
            archive: &archive,
            verdicts: &verdicts,
            policy: policy.as_ref(),
            again: if options.not_judged_again.is_none() { Some(&again) } else { None },
            today: crate::clock::today(),
        };
        let mut against = plan::untimely(&environment, &seen, &changes, now());
        if seen.is_bad(&candidate.digest) {
            let what = format!("release {} was seen failing here before", short(&candidate.digest));
            against.push(Error::new(codes::RELEASE_BAD, what));
        }
        let judged = judge(&candidate, &asked, &seen, &index, &mut against)?;
        if let Some(commit) = &options.ledger_of {
            against.extend(forgotten(commit, &ledger, &candidate.deployed)?);
        }
        show_plan(connected, &seen, &candidate, &goal, &changes);
        if let Some(why) = &options.not_judged_again {
            eprintln!("  NOT JUDGED AGAIN: {why}");
        }
        let demand = Demand {
            environment: &environment,
            seen: &seen,
            candidate: &candidate,
            key: key.as_ref(),
            deployed: &deployed,
            verdicts: &options.verdicts,
            read: &verdicts,
            judged: &judged,
        };
        let shown = demand.shown()?;
        against.extend(shown.against);
        let overridden = options.rolling.overriding.settle(&against)?;
        let overriding = demand.overriding(overridden.as_ref())?;
        if options.rolling.dry_run {
            return Ok(0);
        }
        confirm(options.rolling.yes, &environment.name)?;
        let units: Vec<Unit> = candidate.deployed.iter().map(|d| Unit::read(&d.unit())).collect::<Result<_>>()?;
        let record = Record {
            strategies: judged,
            overridden,
            not_judged_again: options.not_judged_again.clone(),
            stabilize: options.rolling.stabilize,
            needs: plan::needs(candidate.size.1, &units),
            previous: plan::placed(&seen, &index, changes.iter().map(|(unit, _)| unit)),
            retired: retired(&changes),
            complete: goal.complete,
            envelopes: shown.envelopes.into_iter().chain(overriding).collect(),
            soak: soak(&environment, &changes),
            bound: bound.clone(),
            ..beginning(Action::Deploy, connected).of(
                now(),
                &candidate.digest,
                &candidate.manifest.contents(),
                &candidate.key,
                &candidate.manifest.commit,
            )
        };
        let record = roll(connected, record, &seen, Some(&candidate.file), &options.rolling, options.to.json)?;
        if record.outcome == Some(Outcome::Running) && environment.kind == Kind::Production {
            record_baselines(options, &verdicts, &record, &place)?;
        }
        Ok(exit_code(&record))
    })
}

/// The strategies that get the release: those of the environment's services, or the one that is named.
fn selected(named: &str, all: Vec<Deployed>, environment: &Environment) -> Result<Vec<Deployed>> {
    let units: Vec<String> = all.iter().map(|d| deployed::unit_name(&d.name)).collect();
    if named == "all" {
        environment.check_services(&units)?;
        let has = |d: &Deployed| environment.services.contains(&deployed::unit_name(&d.name));
        return Ok(all.into_iter().filter(has).collect());
    }
    let one: Vec<Deployed> = all.into_iter().filter(|d| d.name == named).collect();
    if one.is_empty() {
        return Err(Error::new(codes::NOT_DEPLOYED, format!("`{named}` is not deployed")));
    }
    environment.check_units([deployed::unit_name(named)].iter())?;
    Ok(one)
}

fn retired(changes: &[(String, Change)]) -> Vec<String> {
    changes.iter().filter(|(_, change)| *change == Change::Removed).map(|(unit, _)| unit.clone()).collect()
}

/// One unit goes first if it changes and others do.
fn soak(environment: &Environment, changes: &[(String, Change)]) -> Option<Soak> {
    let asked = environment.rollout.clone()?;
    let changing = || changes.iter().filter(|(_, change)| *change != Change::Kept);
    let first = changing().any(|(unit, change)| *unit == asked.first && *change != Change::Removed);
    (first && changing().count() > 1).then_some(Soak { asked, deadline: None })
}

/// The judgement of each strategy that would run, and all that speaks against them.
fn judge(
    candidate: &Candidate,
    asked: &Asked<'_>,
    seen: &Facts,
    index: &Index,
    against: &mut Vec<Error>,
) -> Result<BTreeMap<String, Judged>> {
    let mut all = BTreeMap::new();
    for one in &candidate.deployed {
        let (judged, refused) = asked.judge(one, &plan::running(seen, index, &one.name))?;
        against.extend(refused);
        all.insert(one.name.clone(), judged);
    }
    Ok(all)
}

fn show_plan(
    connected: &Connected<'_>,
    seen: &Facts,
    candidate: &Candidate,
    goal: &Goal<'_>,
    changes: &[(String, Change)],
) {
    let head = format!("{}: {}\n", connected.environment.name, connected.host);
    let text = plan::text(seen, goal, changes);
    let size = candidate.size.0 as f64 / f64::from(1 << 20);
    eprintln!("{head}{text}  bundle   {} ({size:.1} MiB)", candidate.key);
    if let Some(soak) = soak(connected.environment, changes) {
        let hours = soak.asked.soak_seconds as f64 / 3_600.0;
        let of = if soak.asked.clock == crate::release::Clock::Market { " of regular sessions" } else { "" };
        eprintln!("  first    {}, alone for {hours:.1} h{of}", soak.asked.first);
    }
}

/// Judges a strategy again from the trials that its verdict was judged with, and compares.
fn judge_again(
    options: &Deploy,
    place: &Place,
    strategies: &[&dyn AnyStrategy],
    manifest: &Manifest,
    (one, stored, running): (&Deployed, &StoredVerdict, &Running),
) -> Result<()> {
    let Deploy { counting, baselines, .. } = options;
    let judging = Judging {
        strategy: None,
        place: place.clone(),
        counting: counting.clone(),
        baselines: baselines.clone(),
        committed_ledger: false,
    };
    let binary = manifest.files.get(BINARY).map_or_else(String::new, |file| file.sha256.clone());
    let inputs = GateInputs::new(&judging, false)?.for_verdict(stored).of_program(binary);
    let again = super::verdict::judge_again(&inputs, strategies, std::slice::from_ref(one), stored);
    let subject = stored.strategy(&one.name).and_then(|one| one.subject.as_ref()).map(|s| &s.sha256);
    // Once it runs, it is what candidates are compared with, and what it was compared with is gone.
    let deployed = Baseline::read(inputs.baselines(), &one.name)?;
    let recorded = deployed.is_some_and(|deployed| Some(&deployed.subject.sha256) == subject);
    let nothing_else_runs = match running {
        Running::Nothing => true,
        Running::Unknown => false,
        Running::Subject(running) => Some(running) == subject,
    };
    let same = match recorded && nothing_else_runs {
        true => verify::compare_apart_from_baseline(stored, &again),
        false => verify::compare(stored, &again),
    };
    same.map(drop).map_err(|e| {
        let help =
            "judge it with `magellan gate --out gate`, or say why it can't be judged here with --not-judged-again";
        e.help(help)
    })
}

/// Trials that a commit's ledger has and the one at hand lacks.
fn forgotten(commit: &str, root: &Path, deployed: &[Deployed]) -> Result<Vec<Error>> {
    let required = git::records_of(commit, root)?;
    let mut gone = Vec::new();
    for one in deployed {
        let ledger = Ledger::open(root, &one.name)?;
        let missing = required.iter().filter(|(name, hash)| *name == one.name && !ledger.records().contains_key(hash));
        gone.extend(missing.map(|(name, hash)| {
            let what = format!("record {hash} of {name} is in {commit}, and not in the ledger here");
            Error::new(codes::LEDGER_GAP, what).at(root.display())
        }));
    }
    Ok(gone)
}

/// What runs in production is what the next candidates are compared with.
fn record_baselines(options: &Deploy, verdicts: &Verdicts, record: &Record, place: &Place) -> Result<()> {
    let root = options.baselines.folder(place)?;
    for (name, judged) in record.strategies.iter().filter(|(_, judged)| judged.verdict.is_some()) {
        match verdicts.folder(name, &judged.subject) {
            Some(folder) => match super::verdict::record_from(folder, Some(name), &root) {
                Ok(text) => eprint!("baseline recorded, commit it: {text}"),
                Err(err) => eprintln!("baseline of {name} NOT recorded: {err}\n  try: {}", err.suggestion()),
            },
            None => eprintln!("baseline of {name} NOT recorded: its verdict isn't here"),
        }
    }
    Ok(())
}
