//! Announcements of rollouts and of services that aren't well, to the channels that are set up. Nothing waits for them.

use std::path::PathBuf;

use super::destination::machine;
use crate::clock::now;
use crate::deploy::record::{Outcome, Record};
use crate::deploy::summary;
use crate::notify::{Channels, Event, EventKind, Outbox, notify};

/// What one rollout tells.
pub(super) struct Announcements {
    id: String,
    environment: String,
    host: String,
    headline: String,
    units: Vec<String>,
}

impl Announcements {
    /// Of a rollout that begins, or is gone on with.
    pub(super) fn of(record: &Record) -> Self {
        Self {
            id: record.id.clone(),
            environment: record.environment.clone(),
            host: record.host.clone(),
            headline: format!("rollout {} of {} begins", record.id, record.owner),
            units: record.strategies.values().map(|judged| judged.unit.clone()).collect(),
        }
    }

    pub(super) fn begin(&self) {
        self.tell(EventKind::Started, self.headline.clone(), self.units.clone());
    }

    /// How it ended, if it has.
    pub(super) fn end(&self, record: &Record) {
        let kind = match &record.outcome {
            None => return,
            Some(Outcome::Running) => EventKind::Succeeded,
            Some(Outcome::RolledBack { .. }) => EventKind::RolledBack,
            Some(_) => EventKind::Failed,
        };
        let unwell = record.health.iter().filter(|unit| !unit.is_well());
        let faults = unwell.map(|unit| format!("{}: {}", unit.unit, unit.faults.join("; ")));
        let overridden = record.overridden.iter().map(|o| format!("overridden by {o}"));
        self.tell(kind, summary::headline(record), faults.chain(overridden).collect());
    }

    fn tell(&self, kind: EventKind, headline: String, details: Vec<String>) {
        let Self { id, environment, host, .. } = self;
        tell(Event {
            kind,
            environment: environment.clone(),
            host: host.clone(),
            what: id.clone(),
            headline,
            details,
            at: now(),
        });
    }
}

/// A service isn't well: told once for each process that it happens to.
pub(super) fn unhealthy(environment: &str, host: &str, process: &str, fault: &str) {
    tell(Event {
        kind: EventKind::Unhealthy,
        environment: environment.to_owned(),
        host: host.to_owned(),
        what: process.to_owned(),
        headline: fault.to_owned(),
        details: Vec::new(),
        at: now(),
    });
}

fn tell(event: Event) {
    let say = |line: &str| eprintln!("{line}");
    let channels = Channels::read_or_tell(&|name| std::env::var_os(name), &say);
    if channels.is_empty() {
        return;
    }
    notify(&Outbox::new(folder(), &now), &channels, &event, &say);
}

/// Where events wait that couldn't be delivered: of this user, or of this machine for one run.
fn folder() -> PathBuf {
    let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/state"));
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).or_else(home);
    state.unwrap_or_else(|| std::env::temp_dir().join(machine())).join("magellan/outbox")
}
