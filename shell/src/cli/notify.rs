//! `magellan notify`: what a unit's failure starts, a trial, and the delivery of what waits

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use magellan::error::{Error, Result};

use super::destination::machine;
use super::output::print;
use crate::clock::now;
use crate::codes;
use crate::notify::{self, Channels, Event, EventKind, Outbox, Report};

#[derive(Subcommand, Debug)]
pub(super) enum Notify {
    /// Tell that systemd gave a unit up; its OnFailure= starts this.
    ///
    /// Ends with 0 whatever becomes of it: what can't be delivered waits in the outbox.
    UnitFailed(UnitFailed),
    /// Try whether a message arrives. Exit 7 if it doesn't.
    Test(Test),
    /// Deliver what waits in the outbox. Exit 7 if something still does.
    Deliver(Deliver),
}

#[derive(Args, Debug)]
pub(super) struct UnitFailed {
    /// The unit.
    #[arg(long, value_name = "NAME", value_parser = name)]
    pub(super) unit: String,
    /// The environment that the host belongs to.
    #[arg(long, value_name = "NAME", value_parser = name)]
    pub(super) environment: String,
    #[command(flatten)]
    pub(super) to: Deliver,
}

#[derive(Args, Debug)]
pub(super) struct Test {
    /// The environment that the message names.
    #[arg(long, value_name = "NAME", default_value = "test", value_parser = name)]
    pub(super) environment: String,
    #[command(flatten)]
    pub(super) to: Deliver,
}

#[derive(Args, Debug)]
pub(super) struct Deliver {
    /// The folder of events that are to be delivered.
    #[arg(long, value_name = "DIR")]
    pub(super) outbox: PathBuf,
}

/// How long a delivery that nobody waits for may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// What systemd says of the failed unit to the one that it starts.
const MONITOR: [(&str, &str); 3] =
    [("MONITOR_SERVICE_RESULT", "result"), ("MONITOR_EXIT_CODE", "exit code"), ("MONITOR_EXIT_STATUS", "exit status")];

pub(super) fn run(command: &Notify) -> Result<u8> {
    match command {
        Notify::UnitFailed(options) => {
            unit_failed(options);
            Ok(0)
        }
        Notify::Test(options) => test(options),
        Notify::Deliver(options) => deliver(&outbox(options), &set_up()?),
    }
}

fn unit_failed(options: &UnitFailed) {
    let UnitFailed { unit, environment, to } = options;
    // One failure is told once, the next one again.
    let which = text("MONITOR_INVOCATION_ID").unwrap_or_else(|| now().to_string());
    let details = MONITOR.iter().filter_map(|(name, words)| Some(format!("{words}: {}", text(name)?)));
    let event = Event {
        kind: EventKind::UnitFailed,
        environment: environment.clone(),
        host: machine(),
        what: format!("{unit} {which}"),
        headline: format!("{unit} has failed, and systemd no longer restarts it"),
        details: details.chain([format!("see `systemctl status {unit}` on the host")]).collect(),
        at: now(),
    };
    let tell = |line: &str| eprintln!("{line}");
    notify::notify(&outbox(to), &Channels::read_or_tell(&variable, &tell), &event, &tell);
}

fn test(options: &Test) -> Result<u8> {
    let (channels, outbox) = (set_up()?, outbox(&options.to));
    let at = now();
    let event = Event {
        kind: EventKind::Test,
        environment: options.environment.clone(),
        host: machine(),
        what: at.to_string(),
        headline: "notifications arrive".to_owned(),
        details: vec!["somebody ran `magellan notify test`".to_owned()],
        at,
    };
    channels.names().try_for_each(|channel| outbox.put(channel, &event))?;
    deliver(&outbox, &channels)
}

fn deliver(outbox: &Outbox<'_>, channels: &Channels) -> Result<u8> {
    let reports = notify::deliver(outbox, channels, PATIENCE);
    let line = |r: &Report| format!("{}: {} delivered, {} waiting\n", r.channel.name(), r.delivered, r.waiting);
    print(&reports.iter().map(line).collect::<String>())?;
    let notes: Vec<String> = reports.iter().filter_map(Report::note).collect();
    if notes.is_empty() { Ok(0) } else { Err(Error::new(codes::NOT_DELIVERED, notes.join("; "))) }
}

fn set_up() -> Result<Channels> {
    let channels = Channels::read(&variable)?;
    if channels.is_empty() { Err(Error::new(codes::NO_WEBHOOK, "no webhook is set up")) } else { Ok(channels) }
}

/// The outbox, dated by this machine's clock.
fn outbox(to: &Deliver) -> Outbox<'static> {
    Outbox::new(&to.outbox, &now)
}

fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

fn text(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// A name of a unit or an environment, as messages show it.
fn name(text: &str) -> std::result::Result<String, String> {
    let is_plain = |c: char| c.is_ascii_graphic();
    match !text.is_empty() && text.len() <= 200 && text.chars().all(is_plain) {
        true => Ok(text.to_owned()),
        false => Err("not a name: 1 to 200 printable ASCII characters without a space".to_owned()),
    }
}
