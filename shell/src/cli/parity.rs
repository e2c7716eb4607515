//! `magellan parity` and `magellan monitor`

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use magellan::bar::{Bar, Date, Timeframe, iso_utc};
use magellan::config::Complete;
use magellan::disk::write::write_whole;
use magellan::error::{Error, Result};
use magellan::gate::StrategyVerdict;
use magellan::gate::verify::StoredVerdict;
use magellan::live::parity::Parity;
use magellan::registry::{self, AnyStrategy};
use magellan::stats::monitor::Monitor;
use serde::Serialize;
use serde_json::json;

use super::options::Place;
use super::output::{print, to_json};
use super::released::{bound, of_checkout, of_release};
use crate::codes;
use crate::release::heartbeat::Identity;
use crate::service::live::journal::PARITY;
use crate::service::live::replay::{last_session, recorded_bars, replay_day, session_returns};

#[derive(Args, Debug)]
pub(super) struct ParityOptions {
    /// The strategy, e.g. bear_trap.
    #[arg(long)]
    strategy: String,
    /// The folder of its state.
    #[arg(long, value_name = "DIR", env = "STATE_DIRECTORY")]
    state_dir: PathBuf,
    /// The session, YYYY-MM-DD.
    #[arg(long, required_unless_present = "last")]
    date: Option<Date>,
    /// The last session that has ended.
    #[arg(long, conflicts_with = "date")]
    last: bool,
    /// Warn if executions were worse than a replay's prices by more than this on average [default: the config's
    /// friction_bps].
    #[arg(long, value_name = "BPS")]
    warn_slippage_bps: Option<f64>,
    /// Fail beyond this [default: twice the config's friction_bps].
    #[arg(long, value_name = "BPS")]
    fail_slippage_bps: Option<f64>,
    /// Fail if more than this part of the orders wasn't filled whole.
    #[arg(long, value_name = "FRACTION", default_value_t = 0.1)]
    fail_missed: f64,
    /// Also write the day's bars, as they were decided on, into this folder: a CSV file a symbol, for `data import`.
    #[arg(long, value_name = "DIR")]
    bars: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

/// Prices are rounded to cents: so much is no difference, basis points.
const ROUNDING: f64 = 0.05;

/// How a day is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Pass,
    Warn,
    Fail,
}

/// A day, judged.
#[derive(Serialize)]
struct Judged<'p> {
    strategy: &'p str,
    status: Status,
    reasons: Vec<String>,
    config_sha256: &'p str,
    unit_digest: &'p str,
    #[serde(flatten)]
    parity: &'p Parity,
}

/// The config and identity of the program that asks: the deployed one, or the checkout's.
fn own(strategy: &dyn AnyStrategy, place: &Place) -> Result<(Complete, Identity)> {
    let program = std::env::current_exe().map_err(|e| Error::new(codes::IO, format!("where am I? {e}")))?;
    match bound(&program)? {
        Some(bound) => of_release(place, strategy, &bound),
        None => of_checkout(place, strategy, &program),
    }
}

pub(super) fn parity(options: &ParityOptions, strategies: &[&dyn AnyStrategy]) -> Result<u8> {
    let limits = [
        ("--warn-slippage-bps", options.warn_slippage_bps.unwrap_or(0.0), 10_000.0),
        ("--fail-slippage-bps", options.fail_slippage_bps.unwrap_or(0.0), 10_000.0),
        ("--fail-missed", options.fail_missed, 1.0),
    ];
    if let Some((name, given, most)) = limits.iter().find(|(_, given, most)| !(0.0..=*most).contains(given)) {
        return Err(Error::new(codes::BAD_ARGUMENT, format!("{name} is {given}, allowed are 0 to {most}")));
    }
    let strategy = registry::find(strategies, &options.strategy)?;
    let (config, identity) = own(strategy, &options.place)?;
    let date = match options.date {
        Some(date) => date,
        None => last_session(&options.state_dir)?,
    };
    let replayed = replay_day(strategy, &config, &options.state_dir, date)?;
    let friction = config.config().execution.friction_bps;
    let (warn, fail) =
        (options.warn_slippage_bps.unwrap_or(friction), options.fail_slippage_bps.unwrap_or(2.0 * friction));
    let (mut status, mut reasons) = (Status::Pass, Vec::new());
    let mut say = |worse: Status, why: String| {
        if status != Status::Fail {
            status = worse;
        }
        reasons.push(why);
    };
    if replayed.config != config.config().sha256 {
        say(Status::Fail, "the day was traded by another config than this one".to_owned());
    }
    if replayed.unit_digest != identity.unit_digest {
        say(Status::Warn, "the day was traded by another build or unit than this one".to_owned());
    }
    if last_session(&options.state_dir).map_or(true, |last| last < date) {
        say(Status::Warn, "the session has not ended yet".to_owned());
    }
    let Parity { difference, drift, bars, .. } = &replayed.parity;
    if let Some(d) = difference {
        let what = format!("{} {}: {} was `{}`, the replay has `{}`", d.bar, d.symbol, d.field, d.recorded, d.replayed);
        say(Status::Fail, what);
    }
    if *bars == 0 {
        say(Status::Fail, "no bar was decided on".to_owned());
    }
    if let Some(slippage) = drift.slippage_bps {
        let what = format!("executions were {slippage:.1} basis points worse than a replay's prices");
        if slippage > fail + ROUNDING {
            say(Status::Fail, format!("{what}, allowed are {fail}"));
        } else if slippage > warn + ROUNDING {
            say(Status::Warn, format!("{what}, expected are {warn}"));
        }
    }
    let missed = drift.missed + drift.refused;
    if missed as f64 > options.fail_missed * (drift.orders + drift.refused) as f64 {
        say(Status::Fail, format!("{missed} of {} orders weren't filled whole", drift.orders + drift.refused));
    }
    let result = Judged {
        strategy: strategy.name(),
        status,
        reasons,
        config_sha256: &replayed.config,
        unit_digest: &replayed.unit_digest,
        parity: &replayed.parity,
    };
    keep(&options.state_dir, date, &result)?;
    if let Some(folder) = &options.bars {
        write_bars(&options.state_dir, folder, date, strategy.timeframe())?;
    }
    match options.json {
        true => print(&to_json(&result))?,
        false => print(&text(&result))?,
    }
    Ok(u8::from(status == Status::Fail))
}

/// The day's bars, raw as they came.
fn write_bars(state: &Path, folder: &Path, date: Date, timeframe: Timeframe) -> Result<()> {
    let fault = |e: std::io::Error| Error::new(codes::CANNOT_WRITE, e.to_string()).at(folder.display());
    std::fs::create_dir_all(folder).map_err(fault)?;
    for (symbol, bars) in recorded_bars(state, date)? {
        let mut text = "timestamp,open,high,low,close,volume\n".to_owned();
        for Bar { start, open, high, low, close, volume, .. } in bars {
            let _ = writeln!(text, "{},{open},{high},{low},{close},{volume}", iso_utc(start));
        }
        let name = format!("{symbol}_{}_{date}.csv", timeframe.name().to_lowercase());
        write_whole(&folder.join(name), text.as_bytes(), 0o644).map_err(fault)?;
    }
    Ok(())
}

/// For health: the day's result, and that of the last day.
fn keep(state: &Path, date: Date, result: &Judged<'_>) -> Result<()> {
    let folder = state.join(PARITY);
    let fault = |e: std::io::Error| Error::new(codes::CANNOT_WRITE, e.to_string()).at(folder.display());
    std::fs::create_dir_all(&folder).map_err(fault)?;
    let text = to_json(result);
    for name in [format!("{date}.json"), "latest.json".to_owned()] {
        write_whole(&folder.join(name), text.as_bytes(), 0o644).map_err(fault)?;
    }
    Ok(())
}

fn text(result: &Judged<'_>) -> String {
    let Parity { date, bars, decisions, drift, .. } = result.parity;
    let word = match result.status {
        Status::Pass => "PASS",
        Status::Warn => "WARN",
        Status::Fail => "FAIL",
    };
    let mut text = format!("{word} {} {date}: {bars} bars, {decisions} decisions\n", result.strategy);
    for reason in &result.reasons {
        let _ = writeln!(text, "  {reason}");
    }
    let number = |value: Option<f64>, unit: &str| value.map_or_else(|| "none".to_owned(), |v| format!("{v:.2} {unit}"));
    let _ = writeln!(
        text,
        "  {} orders, {} not filled whole, {} refused before they were sent\n  slippage {} on average, {} at worst, of {} \
         executions\n  {} from a bar's end to its order",
        drift.orders,
        drift.missed,
        drift.refused,
        number(drift.slippage_bps, "bps"),
        number(drift.worst_bps, "bps"),
        drift.executions,
        number(drift.latency_s, "s"),
    );
    text
}

#[derive(Args, Debug)]
pub(super) struct MonitorOptions {
    /// The strategy, e.g. bear_trap.
    #[arg(long)]
    strategy: String,
    /// The folder of its state.
    #[arg(long, value_name = "DIR", env = "STATE_DIRECTORY")]
    state_dir: PathBuf,
    /// The verdict by which it was deployed.
    #[arg(long, value_name = "FILE")]
    verdict: PathBuf,
    /// The chance of ever alarming while the expectation holds.
    #[arg(long, default_value_t = 0.05)]
    alpha: f64,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

pub(super) fn monitor(options: &MonitorOptions, strategies: &[&dyn AnyStrategy]) -> Result<u8> {
    let strategy = registry::find(strategies, &options.strategy)?;
    if !(options.alpha > 0.0 && options.alpha < 1.0) {
        return Err(Error::new(codes::BAD_ARGUMENT, format!("--alpha is {}, allowed is 0 to 1", options.alpha)));
    }
    let (config, _) = own(strategy, &options.place)?;
    let (mean, deviation) = expectation(&options.verdict, strategy.name())?;
    let returns = session_returns(strategy, &config, &options.state_dir)?;
    let mut monitor = Monitor::new(mean, deviation).ok_or_else(|| {
        let what = "the verdict expects no mean and deviation of returns";
        Error::new(codes::BAD_ARGUMENT, what).at(options.verdict.display())
    })?;
    returns.values().for_each(|value| monitor.see(*value));
    let alarms = monitor.alarms(options.alpha);
    let sum: f64 = returns.values().sum();
    let seen = (!returns.is_empty()).then(|| sum / returns.len() as f64);
    if options.json {
        let value = json!({
            "strategy": strategy.name(), "alarms": alarms, "sessions": monitor.sessions(), "evidence": monitor.highest(),
            "alarm_at": 1.0 / options.alpha, "expected_mean": mean, "expected_deviation": deviation, "mean": seen,
        });
        print(&to_json(&value))?;
    } else {
        let word = if alarms { "ALARM" } else { "OK" };
        let seen = seen.map_or_else(|| "none".to_owned(), |mean| format!("{:.4} %", mean * 100.0));
        print(&format!(
            "{word} {}: {} sessions, mean return {seen}, expected {:.4} % with a deviation of {:.4} %\n  evidence {:.2} \
             against the expectation, an alarm from {:.0} on\n",
            strategy.name(),
            monitor.sessions(),
            mean * 100.0,
            deviation * 100.0,
            monitor.highest(),
            1.0 / options.alpha,
        ))?;
    }
    Ok(if alarms { 7 } else { 0 })
}

/// Mean and deviation of session returns that a verdict expects.
fn expectation(path: &Path, strategy: &str) -> Result<(f64, f64)> {
    let verdict = StoredVerdict::read(path)?;
    let of = verdict.strategies.iter().find(|of| of.strategy == strategy);
    of.and_then(StrategyVerdict::expected_returns).ok_or_else(|| {
        let what = format!("it judges no period of {strategy}, or one without a mean and a deviation of returns");
        Error::new(codes::NO_VERDICT, what).at(path.display())
    })
}
