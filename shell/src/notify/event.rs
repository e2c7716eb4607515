//! What is told: one event of a rollout or of a unit.

use jiff::Timestamp;
use magellan::disk::hash::sha256_hex;
use serde::{Deserialize, Serialize};

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventKind {
    /// A rollout begins.
    Started,
    /// A rollout ended, and what it brought runs well.
    Succeeded,
    /// A rollout ended otherwise.
    Failed,
    /// The former release was put back.
    RolledBack,
    /// A service isn't well.
    Unhealthy,
    /// systemd gave a unit up (`OnFailure=`).
    UnitFailed,
    /// Somebody tries whether notifications arrive.
    Test,
}

impl EventKind {
    /// Every kind.
    pub const ALL: [Self; 7] =
        [Self::Started, Self::Succeeded, Self::Failed, Self::RolledBack, Self::Unhealthy, Self::UnitFailed, Self::Test];

    /// As people read it.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Started => "rollout started",
            Self::Succeeded => "rollout succeeded",
            Self::Failed => "rollout FAILED",
            Self::RolledBack => "rolled back",
            Self::Unhealthy => "UNHEALTHY",
            Self::UnitFailed => "unit FAILED",
            Self::Test => "test",
        }
    }
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// What happened.
    pub kind: EventKind,
    /// The environment.
    pub environment: String,
    /// The machine, for people.
    pub host: String,
    /// What it happened to: the id of a rollout, or a unit and what tells this failure from its others. With
    /// environment and kind it makes the event's id, so the same words are told once.
    pub what: String,
    /// What happened, in one line.
    pub headline: String,
    /// More, a line each: reasons, releases, units.
    pub details: Vec<String>,
    /// When.
    pub at: Timestamp,
}

/// The most characters of a name and of a line that are kept, and the most lines.
const NAME: usize = 200;
const LINE: usize = 2_000;
const LINES: usize = 50;

impl Event {
    /// The event's id: SHA-256 over environment, kind and what, in hexadecimal digits.
    pub fn id(&self) -> String {
        let named = (&self.environment, self.kind, &self.what);
        sha256_hex(serde_json::to_string(&named).unwrap_or_default().as_bytes())
    }

    /// The event with no more text than any channel shows, so that its file is small.
    pub(super) fn bounded(&self) -> Self {
        let cut = |text: &String, most: usize| text.chars().take(most).collect::<String>();
        Self {
            kind: self.kind,
            environment: cut(&self.environment, NAME),
            host: cut(&self.host, NAME),
            what: cut(&self.what, NAME),
            headline: cut(&self.headline, LINE),
            details: self.details.iter().take(LINES).map(|line| cut(line, LINE)).collect(),
            at: self.at,
        }
    }
}
