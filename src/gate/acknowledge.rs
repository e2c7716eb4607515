//! Failures that somebody accepted: recorded beside the config with who, why and until when.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::json;

pub use super::check::LONGEST_DAYS;
use super::check::{Acknowledgement, Check, Status};
use super::digest::{canonical, remove};
use super::policy::Policy;
use super::verdict::StrategyVerdict;
use crate::bar::Date;
use crate::disk::hash::sha256_hex;
use crate::disk::map;
use crate::disk::write::write_whole;
use crate::error::{Error, Result, codes};

/// The file beside a config.
pub const FILE: &str = "acknowledgements.json";
/// The file beside a config with the signatures of what was accepted.
pub const SIGNATURES: &str = "acknowledgements.dsse.jsonl";
const LARGEST: u64 = 1 << 20;
/// Longest word of who, why and what.
const LONGEST_TEXT: usize = 500;

/// An accepted failure as the file has it: whether it expired is for the day to say.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    check: String,
    period: String,
    config_sha256: String,
    who: String,
    why: String,
    accepted: Date,
    expires: Date,
}

impl Entry {
    fn on(self, today: Date) -> Acknowledgement {
        let Self { check, period, config_sha256, who, why, accepted, expires } = self;
        Acknowledgement { check, period, config_sha256, who, why, accepted, expires, expired: expires < today }
    }
}

impl Acknowledgement {
    /// SHA-256 of what was accepted, on any day: whether it has expired is no part of it.
    pub fn sha256(&self) -> String {
        let mut fields = json!(self);
        remove(&mut fields, "expired");
        sha256_hex(canonical(&fields).as_bytes())
    }

    /// Refuses what says nothing, or holds for too long.
    ///
    /// # Errors
    /// Usage error that names the field.
    pub fn check(&self) -> Result<()> {
        let bad = |what: String| Err(Error::new(codes::BAD_ACKNOWLEDGEMENT, what));
        for (name, text) in [("check", &self.check), ("period", &self.period), ("who", &self.who), ("why", &self.why)] {
            if text.trim().is_empty() {
                return bad(format!("`{name}` is empty"));
            }
            // They are printed where a line may be a command.
            if text.chars().any(char::is_control) || text.chars().count() > LONGEST_TEXT {
                return bad(format!("`{name}` has control characters, or more than {LONGEST_TEXT} characters"));
            }
        }
        let days = self.expires.0 - self.accepted.0;
        if !(0..=LONGEST_DAYS).contains(&days) {
            return bad(format!(
                "it would hold from {} to {}: allowed are at most {LONGEST_DAYS} days",
                self.accepted, self.expires
            ));
        }
        Ok(())
    }
}

/// Where the acknowledgements of a config are.
pub fn path(config: &Path) -> PathBuf {
    config.with_file_name(FILE)
}

/// The acknowledgements beside a config, those that expired marked; none, if there is no file.
///
/// # Errors
/// Config error if the file isn't what it should be.
pub fn read(config: &Path, today: Date) -> Result<Vec<Acknowledgement>> {
    let path = path(config);
    if !path.exists() {
        return Ok(Vec::new());
    }
    let bytes = map::bytes_up_to(&path, LARGEST).map_err(|e| e.recode(codes::BAD_ACKNOWLEDGEMENT))?;
    parse(&path, &bytes, today)
}

/// As [`read`], of bytes at hand.
pub(crate) fn parse(path: &Path, bytes: &[u8], today: Date) -> Result<Vec<Acknowledgement>> {
    let bad = |what: String| Error::new(codes::BAD_ACKNOWLEDGEMENT, what).at(path.display());
    let entries: Vec<Entry> = serde_json::from_slice(bytes).map_err(|e| bad(e.to_string()))?;
    let all: Vec<Acknowledgement> = entries.into_iter().map(|entry| entry.on(today)).collect();
    for one in &all {
        one.check().map_err(|e| bad(e.what().to_owned()))?;
        if one.accepted > today {
            return Err(bad(format!("one was accepted on {}, which is yet to come", one.accepted)));
        }
    }
    Ok(all)
}

/// Adds one beside a config; it takes the place of an earlier one for the same check.
///
/// # Errors
/// As [`read`]; usage error if it says nothing, the policy doesn't allow it, or the file can't be written.
pub fn add(config: &Path, one: Acknowledgement, policy: Option<&Policy>) -> Result<()> {
    one.check()?;
    if let Some(policy) = policy.filter(|policy| !policy.lets_accept(&one)) {
        let accepting = &policy.acknowledgements;
        let who: Vec<&str> = accepting.who.iter().map(String::as_str).collect();
        let who = if who.is_empty() { "nobody".to_owned() } else { who.join(", ") };
        let what = format!("the policy doesn't let {} accept it from {} to {}", one.who, one.accepted, one.expires);
        return Err(Error::new(codes::BAD_ACKNOWLEDGEMENT, what)
            .help(format!("it allows {who}, for at most {} days", accepting.longest_days)));
    }
    let mut all = read(config, one.accepted)?;
    all.retain(|a| (&a.check, &a.period) != (&one.check, &one.period));
    all.push(one);
    all.sort_by(|a, b| (&a.period, &a.check).cmp(&(&b.period, &b.check)));
    let mut written = json!(all);
    for one in written.as_array_mut().into_iter().flatten().filter_map(|one| one.as_object_mut()) {
        one.shift_remove("expired");
    }
    let text = serde_json::to_string_pretty(&written).unwrap_or_default() + "\n";
    let path = path(config);
    write_whole(&path, text.as_bytes(), 0o644)
        .map_err(|e| Error::new(codes::CANNOT_WRITE, format!("can't write: {e}")).at(path.display()))
}

/// Why what somebody accepted doesn't count in a verdict; none, if it does.
pub fn ignored(one: &Acknowledgement, verdict: &StrategyVerdict) -> Option<String> {
    if one.expired {
        return Some(format!("it expired on {}", one.expires));
    }
    if verdict.policy.as_ref().is_some_and(|policy| !policy.lets_accept(one)) {
        return Some("the policy doesn't let them accept it, or not for so long".to_owned());
    }
    let judged = verdict.subject.as_ref().map_or("none", |subject| subject.config.as_str());
    if one.config_sha256 != judged {
        let short = |hash: &str| hash.chars().take(12).collect::<String>();
        let (then, now) = (short(&one.config_sha256), short(judged));
        return Some(format!("it was accepted for another config ({then}) than was judged ({now})"));
    }
    let Some(period) = verdict.periods.iter().find(|p| p.period.name == one.period) else {
        return Some(format!("no period is called {}", one.period));
    };
    let mut checks = period.checks.iter().filter(|c| c.metric == one.check).peekable();
    if checks.peek().is_none() {
        return Some(format!("{} isn't checked", one.check));
    }
    let counts = |check: &Check| check.acknowledged.as_ref() == Some(one);
    let faults: Vec<&Check> = checks.filter(|c| c.counts_as() > Status::Warn || counts(c)).collect();
    match &faults[..] {
        [] => Some("what was accepted doesn't fail".to_owned()),
        faults if faults.iter().any(|c| counts(c)) => None,
        _ => Some("a failure of this kind can't be accepted".to_owned()),
    }
}
