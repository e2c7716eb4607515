//! `magellan run`

use std::path::PathBuf;

use clap::Args;
use magellan::account::Account;
use magellan::bar::Date;
use magellan::config::Complete;
use magellan::error::{Error, Result};
use magellan::ledger::Ledger;
use magellan::registry::{self, AnyStrategy};
use magellan::research::backtest::Request;
use magellan::runner::{Archived, Simulated};

use super::backtest::archived_data_only;
use super::live::{self, Live};
use super::options::{Counting, Place, is_synthetic};
use super::released::{Bound, bound, of_checkout, of_release};
use crate::codes;
use crate::release::Release;
use crate::release::heartbeat::Identity;
use crate::service::{self, Ending, Paced, Service, Then};

#[derive(Args, Debug)]
pub(super) struct Run {
    /// The strategy, e.g. bear_trap.
    #[arg(long)]
    pub(super) strategy: String,
    /// Where heartbeat, logs, decisions and fills are written.
    #[arg(long, value_name = "DIR", env = "STATE_DIRECTORY")]
    pub(super) state_dir: PathBuf,
    /// Bars a second, all symbols together; 0 means as fast as it can.
    #[arg(long, value_name = "X", default_value_t = 0.0, allow_negative_numbers = true)]
    pub(super) pace: f64,
    /// End with the data instead of waiting.
    #[arg(long)]
    pub(super) once: bool,
    /// First session, YYYY-MM-DD [default: the first of the periods in performance_criteria].
    #[arg(long)]
    pub(super) start_date: Option<Date>,
    /// Last session, YYYY-MM-DD [default: the last of the periods in performance_criteria].
    #[arg(long)]
    pub(super) end_date: Option<Date>,
    #[command(flatten)]
    pub(super) live: Live,
    #[command(flatten)]
    pub(super) place: Place,
    #[command(flatten)]
    pub(super) counting: Counting,
}

pub(super) fn run(options: &Run, strategies: &[&dyn AnyStrategy]) -> Result<u8> {
    let strategy = registry::find(strategies, &options.strategy)?;
    if !(options.pace == 0.0 || (0.1..=1e6).contains(&options.pace)) {
        let what = format!("--pace is {}, allowed are 0 and 0.1 to 1000000 bars a second", options.pace);
        return Err(Error::new(codes::BAD_ARGUMENT, what));
    }
    let program = std::env::current_exe().map_err(|e| Error::new(codes::IO, format!("where am I? {e}")))?;
    let bound = bound(&program)?;
    let archived = archived_data(bound.as_ref())?;
    let (document, identity) = match &bound {
        Some(bound) => of_release(&options.place, strategy, bound)?,
        None => of_checkout(&options.place, strategy, &program)?,
    };
    if !archived {
        return trade_live(options, strategy, &document, identity, bound.as_ref());
    }
    let place = bound.as_ref().map_or_else(|| options.place.clone(), |bound| place(&options.place, &bound.release));
    let mut service = Service::start(identity, &document, &options.state_dir)?;
    let in_checkout = bound.is_none();
    let ending =
        trade(options, &place, in_checkout, strategy, &document, &mut service).inspect_err(|err| service.fail(err))?;
    Ok(ending.exit_code())
}

/// Bars as they happen, and a broker.
fn trade_live(
    options: &Run,
    strategy: &dyn AnyStrategy,
    document: &Complete,
    identity: Identity,
    bound: Option<&Bound>,
) -> Result<u8> {
    let only_archived = [
        (options.pace != 0.0, "--pace"),
        (options.once, "--once"),
        (options.start_date.is_some(), "--start-date"),
        (options.end_date.is_some(), "--end-date"),
    ];
    if let Some((_, name)) = only_archived.iter().find(|(given, _)| *given) {
        let what = format!("{name} is for archived bars, and USE_ARCHIVED_DATA isn't true");
        return Err(Error::new(codes::BAD_ARGUMENT, what));
    }
    let settings = live::settings(&options.live, document, &options.state_dir, bound, &identity.unit_digest)?;
    let mut service = Service::start(identity, document, &options.state_dir)?;
    let ended = match service::live::start(&mut service, strategy, &settings) {
        Ok(Some(mut trader)) => trader.run(),
        Ok(None) => {
            service.stop();
            return Ok(service.ended_by.map_or(0, Ending::exit_code));
        }
        Err(err) => Err(err),
    };
    let ending = ended.inspect_err(|err| service.fail(err))?;
    Ok(ending.exit_code())
}

/// Archived bars must be asked for, and the environment of a release must allow them; whether they are.
fn archived_data(bound: Option<&Bound>) -> Result<bool> {
    archived_data_only()?;
    if std::env::var("USE_ARCHIVED_DATA").as_deref() != Ok("true") {
        return Ok(false);
    }
    match bound {
        Some(bound) if !bound.binding.archived_data => {
            let what = format!("USE_ARCHIVED_DATA=true in the environment `{}`", bound.binding.environment);
            Err(Error::new(codes::ARCHIVED_DATA_FORBIDDEN, what).at(bound.release.folder.display()))
        }
        _ => Ok(true),
    }
}

/// Where a release finds what none holds: in the tree of its commit.
fn place(named: &Place, release: &Release) -> Place {
    let archive = named.archive.clone().unwrap_or_else(|| PathBuf::from("data/sample"));
    Place { archive: Some(release.commit_folder().join(archive)), ..named.clone() }
}

fn trade(
    options: &Run,
    place: &Place,
    in_checkout: bool,
    strategy: &dyn AnyStrategy,
    document: &Complete,
    service: &mut Service,
) -> Result<Ending> {
    let (archive, config) = (place.archive()?, document.config());
    let (start, end) = period(options, document);
    let market = strategy.market(&Request::portfolio(document, &archive, start, end))?;
    // In a checkout its fills and its equity are a look at a trial like any other; a release ships no ledger.
    if in_checkout {
        let ledger = options.counting.folder(place, is_synthetic(&archive))?;
        strategy.backtest(
            &Request::portfolio(document, &archive, start, end),
            &mut Ledger::open(&ledger, strategy.name())?,
        )?;
    }
    let histories = market.histories()?;
    let mut runner = strategy.runner(config)?;
    for history in &histories {
        runner.warm_up(history, start)?;
    }
    let account = Account::new(config.account_info.initial_capital, config.costs(), config.limits());
    let account = account.under(config.conditions());
    let mut broker = Simulated::new(account, &config.symbols);
    let mut feed = Paced::new(Archived::new(&histories, start, end), options.pace);
    service.run(&mut *runner, &mut feed, &mut broker, if options.once { Then::End } else { Then::Wait })
}

/// As named, or from the first to the last date of the criteria's periods.
fn period(options: &Run, document: &Complete) -> (Date, Date) {
    let periods = || document.deployment().performance_criteria.periods.iter();
    let first = periods().map(|p| p.start_date).min().unwrap_or_default();
    let last = periods().map(|p| p.end_date).max().unwrap_or_default();
    (options.start_date.unwrap_or(first), options.end_date.unwrap_or(last))
}
