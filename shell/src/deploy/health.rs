//! Whether a service is well: judged from what the host was seen to be over the stabilisation
//! window, field by field. Nothing is assumed; what couldn't be seen is a fault.

use super::facts::{Facts, HeartbeatFile, UnitFacts};
use super::record::UnitHealth;
use crate::release::short;

/// A heartbeat older than this isn't one, seconds: services write one every 30.
const STALE: f64 = 90.0;
/// So many ERROR lines since the start are a burst.
const BURST: u64 = 5;
/// A service that runs for less has just started, seconds.
const JUST_STARTED: f64 = 600.0;
/// A log that hasn't been written for so long isn't today's, seconds; services report hourly.
const QUIET: f64 = 7_200.0;

/// Judges a unit by several observations of its host, oldest first.
pub fn judge(looks: &[Facts], unit: &str, unit_digest: &str) -> UnitHealth {
    let looks = looks_at(looks, unit);
    let none = Look::default();
    let (first, last) = (looks.first().unwrap_or(&none), looks.last().unwrap_or(&none));
    let mut faults = systemd_faults(&last.unit);
    faults.extend(stability_faults(first, &looks));
    if faults.is_empty() {
        faults.extend(heartbeat_faults(last, unit_digest));
        faults.extend(error_burst(first, last));
        faults.extend(log_fault(last));
    }
    UnitHealth {
        unit: unit.to_owned(),
        unit_digest: unit_digest.to_owned(),
        state: format!("{} ({})", last.unit.active_state, last.unit.sub_state),
        pid: last.unit.pid(),
        since: last.unit.started_at.unwrap_or(f64::NAN),
        journal: last.unit.journal.clone().filter(|_| !faults.is_empty()),
        faults,
    }
}

/// Whether a unit can't become well any more, however long one waits.
pub fn has_failed(looks: &[Facts], unit: &str) -> bool {
    let looks = looks_at(looks, unit);
    looks.last().is_some_and(|last| !systemd_faults(&last.unit).is_empty())
        || looks.first().is_some_and(|first| !stability_faults(first, &looks).is_empty())
}

/// One look at one unit.
#[derive(Default)]
struct Look {
    unit: UnitFacts,
    now: Option<f64>,
}

impl Look {
    /// Seconds from a time until this look; none if either isn't known.
    fn since(&self, time: Option<f64>) -> Option<f64> {
        Some(self.now? - time?).filter(|seconds| !seconds.is_nan())
    }

    /// ERROR lines since the start, by its heartbeat or its log, whichever has more.
    fn errors(&self) -> u64 {
        self.unit.heartbeat.readable().map_or(0, |beat| beat.errors).max(self.unit.errors)
    }
}

fn looks_at(looks: &[Facts], unit: &str) -> Vec<Look> {
    looks.iter().map(|facts| Look { unit: facts.unit(unit), now: facts.now }).collect()
}

/// Exact states: `failed` contains no `active` here.
fn systemd_faults(unit: &UnitFacts) -> Vec<String> {
    let expected = [
        ("LoadState", &unit.load_state, "loaded"),
        ("ActiveState", &unit.active_state, "active"),
        ("SubState", &unit.sub_state, "running"),
        ("Result", &unit.result, "success"),
    ];
    let differs = expected.into_iter().filter(|(_, is, expected)| is != expected);
    let mut faults: Vec<String> =
        differs.map(|(field, is, expected)| format!("{field} is `{is}`, expected `{expected}`")).collect();
    if !unit.unit_file_state.starts_with("enabled") {
        faults.push(format!("it is `{}`: it wouldn't start with the machine", unit.unit_file_state));
    }
    faults
}

/// What may not change while a unit is watched: systemd's field and its value.
fn constants(unit: &UnitFacts) -> [(&'static str, &str); 3] {
    [
        ("NRestarts", &unit.restarts),
        ("ExecMainPID", &unit.main_pid),
        ("ExecMainStartTimestampMonotonic", &unit.started_monotonic),
    ]
}

fn stability_faults(first: &Look, looks: &[Look]) -> Vec<String> {
    let fields = constants(&first.unit).into_iter().enumerate();
    let changed = fields.filter_map(|(i, (field, was))| {
        let is = looks.iter().map(|look| constants(&look.unit)[i].1).find(|is| *is != was)?;
        Some(format!("{field} changed from {was} to {is}"))
    });
    changed.collect()
}

fn heartbeat_faults(look: &Look, unit_digest: &str) -> Vec<String> {
    let beat = match &look.unit.heartbeat {
        HeartbeatFile::Missing => return vec!["it has no heartbeat".to_owned()],
        HeartbeatFile::Unreadable => return vec!["its heartbeat can't be read".to_owned()],
        HeartbeatFile::Read(beat) => beat,
    };
    let mut faults = Vec::new();
    if u64::from(beat.pid) != look.unit.pid() {
        faults.push(format!("the heartbeat is of process {}, the unit's is {}", beat.pid, look.unit.main_pid));
    }
    let age = look.since(Some(beat.written_at));
    if age.is_none_or(|age| age > STALE) {
        let age = age.unwrap_or(f64::NAN);
        faults.push(format!("the heartbeat is {age:.0} s old, allowed are {STALE:.0}"));
    }
    let runs = &beat.identity.unit_digest;
    if runs != unit_digest {
        faults.push(format!("it runs {}, expected {}", short(runs), short(unit_digest)));
    }
    faults
}

/// Counts all errors of a service that has just started; of another only those that came while it was watched, since
/// last week's errors say nothing of today.
fn error_burst(first: &Look, last: &Look) -> Option<String> {
    let runs_long = last.since(last.unit.started_at).is_some_and(|age| age > JUST_STARTED);
    let (errors, since) = match runs_long {
        true => (last.errors().saturating_sub(first.errors()), "while it was watched"),
        false => (last.errors(), "since it started"),
    };
    (errors >= BURST).then(|| format!("{errors} errors {since}"))
}

fn log_fault(look: &Look) -> Option<String> {
    let written = look.unit.log_written.filter(|time| !time.is_nan());
    if written.is_none() || look.unit.log_size == 0 {
        let newest = match look.unit.newest_log.as_str() {
            "" => "there is none".to_owned(),
            newest => format!("the newest is {newest}"),
        };
        return Some(format!("no log was written since it started: {newest}"));
    }
    let age = look.since(written).filter(|age| *age > QUIET)?;
    Some(format!("its log was last written {:.0} minutes ago", age / 60.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deploy::host::Answer;

    fn beat(unit_digest: &str, pid: u32, written_at: f64, errors: u64) -> String {
        format!(
            r#"{{"schema_version":1,"strategy":"u","unit_digest":"{unit_digest}","pid":{pid},"started_at":90.0,"written_at":{written_at:?},"phase":"trading","decisions":0,"errors":{errors},"starts":1}}"#
        )
    }

    fn read(text: &str) -> Facts {
        Facts::read(&Answer::parse(text).expect("an answer")).expect("facts")
    }

    /// One look in which all is well, but for these fields.
    fn look(now: f64, changes: &[(&str, &str)]) -> Facts {
        let beat = beat("abc", 7, now - 5.0, 0);
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
        read(&format!("magellan-host 1 ok facts\nnow={now}\n{lines}"))
    }

    fn faults(looks: &[Facts]) -> Vec<String> {
        judge(looks, "u", "abc").faults
    }

    #[test]
    fn a_service_that_is_well_is_found_well() {
        assert_eq!(faults(&[look(100.0, &[]), look(130.0, &[])]), Vec::<String>::new());
    }

    #[test]
    fn each_field_alone_makes_it_unwell() {
        let (stale, other) = (beat("abc", 7, 1.0, 0), beat("abd", 7, 129.0, 0));
        let (stranger, burst) = (beat("abc", 8, 129.0, 0), beat("abc", 7, 129.0, 5));
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
            ("heartbeat", &stale),
            ("heartbeat", &other),
            ("heartbeat", &stranger),
            ("heartbeat", &burst),
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
        let silent = read("magellan-host 1 ok facts\nnow=5\n");
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
