//! Whether a service is well: judged from what the host was seen to be over the stabilisation
//! window, field by field. Nothing is assumed; what couldn't be seen is a fault.

use serde::{Deserialize, Serialize};

use super::host::{Answer, UnitFacts};
use crate::release::short;

/// A heartbeat older than this isn't one, seconds: services write one every 30.
const STALE: f64 = 90.0;
/// So many ERROR lines since the start are a burst.
const BURST: u64 = 5;
/// A service that runs for less has just started, seconds.
const JUST_STARTED: f64 = 600.0;
/// A log that hasn't been written for so long isn't today's, seconds; services report hourly.
const QUIET: f64 = 7_200.0;

/// One unit as observed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnitHealth {
    /// The unit, without `.service`.
    pub unit: String,
    /// What its process should be made of.
    pub unit_digest: String,
    /// `active (running)` or whatever it was, at the last look.
    pub state: String,
    /// Its main process.
    pub pid: u64,
    /// Since when it runs, seconds since 1970.
    pub since: f64,
    /// All that is wrong; healthy if nothing is.
    pub faults: Vec<String>,
    /// The end of its journal, if something is wrong.
    pub journal: Option<String>,
}

impl UnitHealth {
    /// Whether nothing is wrong.
    pub fn is_well(&self) -> bool {
        self.faults.is_empty()
    }
}

/// What a service says of itself, as far as it is judged.
#[derive(Debug, Deserialize)]
struct Heartbeat {
    unit_digest: String,
    pid: u64,
    written_at: f64,
    errors: u64,
}

/// One look at one unit.
struct Look<'a>(&'a UnitFacts, f64);

impl Look<'_> {
    fn text(&self, field: &str) -> &str {
        self.0.get(field).map_or("", String::as_str)
    }

    fn number(&self, field: &str) -> f64 {
        self.text(field).parse().unwrap_or(f64::NAN)
    }

    fn count(&self, field: &str) -> u64 {
        self.text(field).parse().unwrap_or(0)
    }

    fn state(&self) -> String {
        format!("{} ({})", self.text("ActiveState"), self.text("SubState"))
    }
}

/// Judges a unit by several looks, oldest first.
pub fn judge(looks: &[Answer], unit: &str, unit_digest: &str) -> UnitHealth {
    let facts: Vec<(UnitFacts, f64)> =
        looks.iter().map(|answer| (answer.unit(unit), answer.number("now").unwrap_or(f64::NAN))).collect();
    let looks: Vec<Look<'_>> = facts.iter().map(|(facts, now)| Look(facts, *now)).collect();
    let nothing = UnitFacts::new();
    let none = Look(&nothing, f64::NAN);
    let (first, last) = (looks.first().unwrap_or(&none), looks.last().unwrap_or(&none));
    let mut faults = of_systemd(last);
    faults.extend(of_stability(first, &looks));
    if faults.is_empty() {
        faults.extend(of_heartbeat(last, unit_digest));
        faults.extend(of_errors(first, last));
        faults.extend(of_logs(last));
    }
    let journal = last.text("journal");
    UnitHealth {
        unit: unit.to_owned(),
        unit_digest: unit_digest.to_owned(),
        state: last.state(),
        pid: last.count("ExecMainPID"),
        since: last.number("ExecMainStartTimestamp"),
        journal: (!faults.is_empty() && !journal.is_empty()).then(|| journal.to_owned()),
        faults,
    }
}

/// Whether a unit can't become well any more, however long one waits.
pub fn has_failed(looks: &[Answer], unit: &str) -> bool {
    let facts: Vec<(UnitFacts, f64)> = looks.iter().map(|answer| (answer.unit(unit), 0.0)).collect();
    let looks: Vec<Look<'_>> = facts.iter().map(|(facts, now)| Look(facts, *now)).collect();
    looks.last().is_some_and(|last| !of_systemd(last).is_empty())
        || looks.first().is_some_and(|f| !of_stability(f, &looks).is_empty())
}

/// Exact states: `failed` contains no `active` here.
fn of_systemd(look: &Look<'_>) -> Vec<String> {
    let expected = [("LoadState", "loaded"), ("ActiveState", "active"), ("SubState", "running"), ("Result", "success")];
    let differs = |(field, expected): &(&str, &str)| look.text(field) != *expected;
    let said = |(field, expected): (&str, &str)| format!("{field} is `{}`, expected `{expected}`", look.text(field));
    let mut faults: Vec<String> = expected.into_iter().filter(differs).map(said).collect();
    if !look.text("UnitFileState").starts_with("enabled") {
        faults.push(format!("it is `{}`: it wouldn't start with the machine", look.text("UnitFileState")));
    }
    faults
}

fn of_stability(first: &Look<'_>, looks: &[Look<'_>]) -> Vec<String> {
    let mut faults = Vec::new();
    for field in ["NRestarts", "ExecMainPID", "ExecMainStartTimestampMonotonic"] {
        if let Some(other) = looks.iter().find(|look| look.text(field) != first.text(field)) {
            faults.push(format!("{field} changed from {} to {}", first.text(field), other.text(field)));
        }
    }
    faults
}

fn of_heartbeat(look: &Look<'_>, unit_digest: &str) -> Vec<String> {
    let text = look.text("heartbeat");
    let Ok(beat) = serde_json::from_str::<Heartbeat>(text) else {
        return vec![if text.is_empty() { "it has no heartbeat" } else { "its heartbeat can't be read" }.to_owned()];
    };
    let mut faults = Vec::new();
    if beat.pid != look.count("ExecMainPID") {
        faults.push(format!("the heartbeat is of process {}, the unit's is {}", beat.pid, look.text("ExecMainPID")));
    }
    let age = look.1 - beat.written_at;
    if age.is_nan() || age > STALE {
        faults.push(format!("the heartbeat is {age:.0} s old, allowed are {STALE:.0}"));
    }
    if beat.unit_digest != unit_digest {
        faults.push(format!("it runs {}, expected {}", short(&beat.unit_digest), short(unit_digest)));
    }
    faults
}

/// All errors of a service that has just started; of another only those that came while it was
/// watched, since what it said last week says nothing of today.
fn of_errors(first: &Look<'_>, last: &Look<'_>) -> Option<String> {
    let said = |look: &Look<'_>| {
        let beat = serde_json::from_str::<Heartbeat>(look.text("heartbeat")).map_or(0, |beat| beat.errors);
        beat.max(look.count("errors"))
    };
    let age = last.1 - last.number("ExecMainStartTimestamp");
    let (errors, since) = match age > JUST_STARTED {
        true => (said(last).saturating_sub(said(first)), "while it was watched"),
        false => (said(last), "since it started"),
    };
    (errors >= BURST).then(|| format!("{errors} errors {since}"))
}

fn of_logs(look: &Look<'_>) -> Vec<String> {
    let (written, size) = (look.number("log_mtime"), look.count("log_size"));
    if written.is_nan() || size == 0 {
        let newest = look.text("newest_log");
        let newest = if newest.is_empty() { "there is none".to_owned() } else { format!("the newest is {newest}") };
        return vec![format!("no log was written since it started: {newest}")];
    }
    let age = look.1 - written;
    match age > QUIET {
        true => vec![format!("its log was last written {:.0} minutes ago", age / 60.0)],
        false => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One look in which all is well, but for these fields.
    fn look(now: f64, changes: &[(&str, &str)]) -> Answer {
        let beat = format!(r#"{{"unit_digest":"abc","pid":7,"written_at":{},"errors":0}}"#, now - 5.0);
        let mut fields = vec![
            ("LoadState", "loaded"),
            ("ActiveState", "active"),
            ("SubState", "running"),
            ("Result", "success"),
            ("UnitFileState", "enabled"),
            ("NRestarts", "0"),
            ("ExecMainPID", "7"),
            ("ExecMainStartTimestampMonotonic", "5"),
            ("ExecMainStartTimestamp", "90"),
            ("heartbeat", &beat),
            ("errors", "0"),
            ("log", "x_20240702.jsonl"),
            ("log_mtime", "95"),
            ("log_size", "10"),
        ];
        for (field, value) in changes {
            fields.retain(|f| f.0 != *field);
            fields.push((field, value));
        }
        let lines: String = fields.iter().map(|(field, value)| format!("unit.u.{field}={value}\n")).collect();
        Answer::parse(&format!("magellan-host 1 ok facts\nnow={now}\n{lines}")).expect("an answer")
    }

    fn faults(looks: &[Answer]) -> Vec<String> {
        judge(looks, "u", "abc").faults
    }

    #[test]
    fn a_service_that_is_well_is_found_well() {
        assert_eq!(faults(&[look(100.0, &[]), look(130.0, &[])]), Vec::<String>::new());
    }

    #[test]
    fn each_field_alone_makes_it_unwell() {
        let stale = r#"{"unit_digest":"abc","pid":7,"written_at":1,"errors":0}"#;
        let other = r#"{"unit_digest":"abd","pid":7,"written_at":129,"errors":0}"#;
        let stranger = r#"{"unit_digest":"abc","pid":8,"written_at":129,"errors":0}"#;
        let burst = r#"{"unit_digest":"abc","pid":7,"written_at":129,"errors":5}"#;
        for (field, value) in [
            ("LoadState", "not-found"),
            ("ActiveState", "failed"),
            ("ActiveState", "activating"),
            ("SubState", "auto-restart"),
            ("Result", "exit-code"),
            ("UnitFileState", "disabled"),
            ("NRestarts", "1"),
            ("ExecMainPID", "8"),
            ("ExecMainStartTimestampMonotonic", "6"),
            ("heartbeat", ""),
            ("heartbeat", "{"),
            ("heartbeat", stale),
            ("heartbeat", other),
            ("heartbeat", stranger),
            ("heartbeat", burst),
            ("errors", "5"),
            ("log_mtime", ""),
            ("log_size", "0"),
        ] {
            let looks = [look(100.0, &[]), look(130.0, &[(field, value)])];
            assert!(!faults(&looks).is_empty(), "{field} = {value}");
        }
    }

    #[test]
    fn what_was_not_seen_is_a_fault() {
        assert!(!faults(&[]).is_empty());
        let silent = Answer::parse("magellan-host 1 ok facts\nnow=5\n").expect("an answer");
        assert!(!faults(&[silent]).is_empty());
    }

    #[test]
    fn errors_of_last_week_are_no_burst_and_new_ones_are() {
        let old = [("ExecMainStartTimestamp", "-9000"), ("errors", "9")];
        assert_eq!(faults(&[look(100.0, &old), look(130.0, &old)]), Vec::<String>::new());
        let more = [("ExecMainStartTimestamp", "-9000"), ("errors", "14")];
        assert!(!faults(&[look(100.0, &old), look(130.0, &more)]).is_empty());
    }

    #[test]
    fn one_crash_between_two_good_looks_is_seen() {
        let looks =
            [look(100.0, &[]), look(110.0, &[("ActiveState", "activating")]), look(130.0, &[("NRestarts", "1")])];
        assert!(faults(&looks).iter().any(|f| f.contains("NRestarts")) && has_failed(&looks[..2], "u"));
    }
}
