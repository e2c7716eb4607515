//! Whether services are well: judged field by field from looks at the host. Nothing is assumed; what couldn't be seen is
//! a fault.

use std::time::Duration;

use jiff::Timestamp;
use magellan::bar::SECOND;
use magellan::calendar;
use magellan::error::Result;

use super::facts::{Facts, HeartbeatFile, UnitFacts};
use super::record::{Process, UnitHealth};
use crate::release::heartbeat::{Heartbeat, Phase};
use crate::release::short;

/// A heartbeat older than this isn't one, seconds: services write one every 30.
const STALE: f64 = 90.0;
/// A heartbeat from further ahead isn't one, seconds: it would stay fresh after its process has hung.
const FUTURE: f64 = 5.0;
/// So many errors are a burst.
const BURST: u64 = 5;
/// So many lines on stderr beyond those of the log are a burst: a service writes each line to both.
const STDERR_BURST: u64 = 50;
/// A service that runs for less has just started, seconds.
const JUST_STARTED: f64 = 600.0;
/// A log that hasn't been written for so long isn't today's, seconds; services report hourly.
const QUIET: f64 = 7_200.0;
/// After the open, services may take so long to trade, seconds.
const OPENING: f64 = 120.0;

/// What a unit should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// The unit, without `.service`.
    pub unit: String,
    /// What its process should be made of.
    pub unit_digest: String,
    /// SHA-256 of the program that should run; none if it isn't known.
    pub binary: Option<String>,
    /// The process that should run since it was activated; none if any will do.
    pub process: Option<Process>,
    /// Whether it trades archived bars, which keep no hours.
    pub archived_data: bool,
}

/// Units watched over several looks, of which only the first and the latest are kept.
pub struct Watch<'e> {
    expected: &'e [Expected],
    first: Option<Facts>,
    last: Option<Facts>,
    /// For each unit what changed that may not.
    changed: Vec<Vec<String>>,
}

impl<'e> Watch<'e> {
    /// Nothing has been seen yet.
    pub fn over(expected: &'e [Expected]) -> Self {
        Self { expected, first: None, last: None, changed: vec![Vec::new(); expected.len()] }
    }

    /// One more look.
    pub fn see(&mut self, facts: Facts) {
        let first = self.first.get_or_insert_with(|| facts.clone());
        for (expected, changed) in self.expected.iter().zip(&mut self.changed) {
            for fault in changes(&first.unit(&expected.unit), &facts.unit(&expected.unit)) {
                if !changed.contains(&fault) {
                    changed.push(fault);
                }
            }
        }
        self.last = Some(facts);
    }

    /// The latest look.
    pub fn last(&self) -> Option<&Facts> {
        self.last.as_ref()
    }

    /// Whether a unit can't become well any more, however long one waits.
    pub fn has_failed(&self) -> bool {
        let Some(last) = &self.last else { return false };
        self.expected.iter().zip(&self.changed).any(|(expected, changed)| {
            let unit = last.unit(&expected.unit);
            !changed.is_empty() || !systemd_faults(&unit).is_empty() || process_fault(&unit, expected).is_some()
        })
    }

    /// Each unit, judged by all that was seen.
    pub fn judge(&self) -> Vec<UnitHealth> {
        self.expected.iter().zip(&self.changed).map(|(expected, changed)| self.judge_one(expected, changed)).collect()
    }

    /// The first thing that is wrong, if anything is.
    pub fn first_fault(&self) -> Option<String> {
        let unwell = self.judge().into_iter().find(|unit| !unit.is_well())?;
        Some(format!("{}: {}", unwell.unit, unwell.faults.join("; ")))
    }

    fn judge_one(&self, expected: &Expected, changed: &[String]) -> UnitHealth {
        let [first, last] = [&self.first, &self.last].map(|facts| Look::at(facts.as_ref(), &expected.unit));
        let mut faults = systemd_faults(&last.unit);
        faults.extend(process_fault(&last.unit, expected));
        faults.extend(changed.iter().cloned());
        if faults.is_empty() {
            faults.extend(exe_fault(&last.unit, expected));
            faults.extend(heartbeat_faults(&last, expected));
            faults.extend(error_bursts(&first, &last));
            faults.extend(log_fault(&last));
        }
        UnitHealth {
            unit: expected.unit.clone(),
            unit_digest: expected.unit_digest.clone(),
            state: format!("{} ({})", last.unit.property("ActiveState"), last.unit.property("SubState")),
            pid: last.unit.pid(),
            since: last.unit.started_at.unwrap_or(f64::NAN),
            positions: last.positions(),
            journal: last.unit.journal.clone().filter(|_| !faults.is_empty()),
            faults,
        }
    }
}

/// Looks at a host, one after another with a pause between them: what deploys, rollouts and `watch` share.
pub struct Looks<'a> {
    observe: &'a dyn Fn() -> Result<Facts>,
    now: &'a dyn Fn() -> Timestamp,
    pause: Duration,
    began: Option<Timestamp>,
}

/// One of them.
pub struct Seen {
    /// What was seen, or why nothing was.
    pub facts: Result<Facts>,
    /// How long the host has been watched.
    pub watched: Duration,
}

impl<'a> Looks<'a> {
    /// Looks that are taken as they are asked for; the first at once.
    pub fn every(pause: Duration, observe: &'a dyn Fn() -> Result<Facts>, now: &'a dyn Fn() -> Timestamp) -> Self {
        Self { observe, now, pause, began: None }
    }
}

impl Iterator for Looks<'_> {
    type Item = Seen;

    fn next(&mut self) -> Option<Seen> {
        let began = match self.began {
            None => *self.began.insert((self.now)()),
            Some(began) => {
                std::thread::sleep(self.pause);
                began
            }
        };
        let facts = (self.observe)();
        Some(Seen { facts, watched: (self.now)().duration_since(began).unsigned_abs() })
    }
}

/// One look at one unit.
#[derive(Default)]
struct Look {
    unit: UnitFacts,
    now: Option<f64>,
}

impl Look {
    fn at(facts: Option<&Facts>, unit: &str) -> Self {
        facts.map_or_else(Self::default, |facts| Self { unit: facts.unit(unit), now: facts.now })
    }

    /// Seconds from a time until this look; none if either isn't known.
    fn since(&self, time: Option<f64>) -> Option<f64> {
        Some(self.now? - time?).filter(|seconds| !seconds.is_nan())
    }

    /// Errors since the start, by its heartbeat or its log, whichever has more; none if the log's weren't counted.
    fn errors(&self) -> Option<u64> {
        let beat = self.unit.heartbeat.readable().map_or(0, |beat| beat.errors);
        self.unit.errors.map(|errors| errors.max(beat))
    }

    /// What the heartbeat says of positions, and how old that is.
    fn positions(&self) -> String {
        let beat = self.unit.heartbeat.readable();
        let count = beat.and_then(|beat| beat.open_positions).map_or("unknown".to_owned(), |n| n.to_string());
        match self.since(beat.map(|beat| beat.written_at)) {
            Some(age) => format!("{count} (its heartbeat, {age:.0} s ago)"),
            None => count,
        }
    }
}

/// Open positions by a heartbeat that is fresh; none if nobody knows.
pub fn open_positions(facts: &Facts, unit: &str) -> Option<usize> {
    let look = Look::at(Some(facts), unit);
    let beat = look.unit.heartbeat.readable()?;
    let age = look.since(Some(beat.written_at))?;
    beat.open_positions.filter(|_| (-FUTURE..=STALE).contains(&age))
}

/// What the heartbeat says of positions, and how old that is, for people.
pub fn positions(facts: &Facts, unit: &str) -> String {
    Look::at(Some(facts), unit).positions()
}

/// Exact states: `failed` contains no `active` here.
fn systemd_faults(unit: &UnitFacts) -> Vec<String> {
    let expected = [("LoadState", "loaded"), ("ActiveState", "active"), ("SubState", "running"), ("Result", "success")];
    let differs = expected.into_iter().filter(|(field, expected)| unit.property(field) != *expected);
    let mut faults: Vec<String> = differs
        .map(|(field, expected)| format!("{field} is `{}`, expected `{expected}`", unit.property(field)))
        .collect();
    let enabled = unit.property("UnitFileState");
    if !enabled.starts_with("enabled") {
        faults.push(format!("it is `{enabled}`: it wouldn't start with the machine"));
    }
    faults
}

/// A unit runs the process that its activation began, and systemd has not restarted it since.
fn process_fault(unit: &UnitFacts, expected: &Expected) -> Option<String> {
    let process = expected.process.as_ref()?;
    if unit.process() != *process {
        let (is, was) = (unit.process().pid, &process.pid);
        return Some(format!("it runs as process {is}, and was activated as {was}: it has ended meanwhile"));
    }
    match unit.property("NRestarts") {
        "0" => None,
        restarts => Some(format!("NRestarts is {restarts} since it was activated, expected 0")),
    }
}

/// What may not change while a unit is watched.
fn changes(first: &UnitFacts, last: &UnitFacts) -> Vec<String> {
    let fields = ["NRestarts", "ExecMainPID", "ExecMainStartTimestampMonotonic"];
    let changed = fields.into_iter().map(|field| (field, first.property(field), last.property(field)));
    changed
        .filter(|(_, was, is)| was != is)
        .map(|(field, was, is)| format!("{field} changed from {was} to {is}"))
        .collect()
}

fn exe_fault(unit: &UnitFacts, expected: &Expected) -> Option<String> {
    let binary = expected.binary.as_ref()?;
    match unit.exe.as_str() {
        "" => Some("what program its process runs couldn't be read".to_owned()),
        exe if exe == binary => None,
        exe => Some(format!("its process runs the program {}, expected {}", short(exe), short(binary))),
    }
}

fn heartbeat_faults(look: &Look, expected: &Expected) -> Vec<String> {
    let beat = match &look.unit.heartbeat {
        HeartbeatFile::Missing => return vec!["it has no heartbeat".to_owned()],
        HeartbeatFile::Unreadable => return vec!["its heartbeat can't be read".to_owned()],
        HeartbeatFile::Read(beat) => beat,
    };
    let mut faults = Vec::new();
    if u64::from(beat.pid) != look.unit.pid() {
        faults.push(format!("the heartbeat is of process {}, the unit's is {}", beat.pid, look.unit.pid()));
    }
    match look.since(Some(beat.written_at)) {
        Some(age) if age > STALE => faults.push(format!("the heartbeat is {age:.0} s old, allowed are {STALE:.0}")),
        Some(age) if age < -FUTURE => faults.push(format!("the heartbeat is of {:.0} s from now", -age)),
        Some(_) => {}
        None => faults.push("how old the heartbeat is isn't known".to_owned()),
    }
    let runs = &beat.identity.unit_digest;
    if *runs != expected.unit_digest {
        faults.push(format!("it runs {}, expected {}", short(runs), short(&expected.unit_digest)));
    }
    faults.extend(phase_fault(look, beat, expected.archived_data));
    if let Some(parity) = beat.parity.as_ref().filter(|parity| parity.status == "fail") {
        faults.push(format!("its replay of {} doesn't agree with what it traded", parity.date));
    }
    faults
}

/// A service trades while the market is open, and is never about to start once it has said that it is ready.
fn phase_fault(look: &Look, beat: &Heartbeat, archived_data: bool) -> Option<String> {
    match beat.phase {
        Phase::Starting | Phase::Loading | Phase::Reconciling | Phase::CatchingUp => {
            Some(format!("it says that it is ready, and its heartbeat that it is {}", beat.phase.name()))
        }
        Phase::Halted => Some("it has halted: `magellan reconcile` tells why".to_owned()),
        Phase::Degraded if is_open_since(look.now?, OPENING) => {
            Some("it opens no positions: the broker or the feed is away".to_owned())
        }
        Phase::Flattening | Phase::Killed if is_open_since(look.now?, OPENING) => {
            Some(format!("it was told not to trade: it is {}", beat.phase.name()))
        }
        Phase::Stopped => Some("its heartbeat says that it has stopped".to_owned()),
        Phase::Waiting if !archived_data && is_open_since(look.now?, OPENING) => {
            Some("it waits, though the market is open".to_owned())
        }
        Phase::Waiting | Phase::Trading | Phase::Degraded | Phase::Flattening | Phase::Killed => None,
    }
}

/// Whether a regular session has been open for so many seconds.
fn is_open_since(now: f64, seconds: f64) -> bool {
    let at = ((now - seconds) * SECOND as f64) as i64;
    let now = (now * SECOND as f64) as i64;
    let session = calendar::session_at(now);
    session.trades() && session.open <= at && now < session.close
}

/// What counts something of a look; none, if that wasn't counted.
type Count<'c> = &'c dyn Fn(&Look) -> Option<u64>;

/// Counts all errors of a service that has just started; of another only those that came while it was watched, since
/// last week's errors say nothing of today.
fn error_bursts(first: &Look, last: &Look) -> Vec<String> {
    let runs_long = last.since(last.unit.started_at).is_some_and(|age| age > JUST_STARTED);
    let since = if runs_long { "while it was watched" } else { "since it started" };
    let grown = |count: Count<'_>| match runs_long {
        true => Some(count(last)?.saturating_sub(count(first)?)),
        false => count(last),
    };
    let beyond_log = |look: &Look| Some(look.unit.stderr?.saturating_sub(look.unit.log_lines?));
    let counts: [(&str, Count<'_>, u64); 3] = [
        ("errors in its log", &Look::errors, BURST),
        ("errors on stderr", &|look| look.unit.stderr_errors, BURST),
        ("lines on stderr that aren't in its log", &beyond_log, STDERR_BURST),
    ];
    let fault = |(what, count, burst): (&str, Count<'_>, u64)| match grown(count) {
        None => Some(format!("{what} couldn't be counted")),
        Some(n) if n >= burst => Some(format!("{n} {what} {since}")),
        Some(_) => None,
    };
    counts.into_iter().filter_map(fault).collect()
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
            ("exe", "b"),
            ("heartbeat", &beat),
            ("errors", "0"),
            ("stderr", "3"),
            ("log_lines", "3"),
            ("stderr_errors", "0"),
            ("log", "x_20240702.jsonl"),
            ("log_mtime", "95"),
            ("log_size", "10"),
        ];
        for (field, value) in changes {
            fields.retain(|f| f.0 != *field);
            fields.push((field, value));
        }
        let lines: String = fields.iter().map(|(field, value)| format!("unit.u.{field}={value}\n")).collect();
        Facts::read(&Answer::with_facts(&format!("now={now}\n{lines}")))
    }

    fn expected() -> Expected {
        let process = Process { pid: "7".to_owned(), started_monotonic: "5".to_owned() };
        Expected {
            unit: "u".to_owned(),
            unit_digest: "abc".to_owned(),
            binary: Some("b".to_owned()),
            process: Some(process),
            archived_data: true,
        }
    }

    fn watched<T>(looks: &[Facts], expected: Expected, then: impl FnOnce(&Watch<'_>) -> T) -> T {
        let expected = [expected];
        let mut watch = Watch::over(&expected);
        looks.iter().for_each(|look| watch.see(look.clone()));
        then(&watch)
    }

    fn faults(looks: &[Facts]) -> Vec<String> {
        watched(looks, expected(), |watch| watch.judge().remove(0).faults)
    }

    #[test]
    fn a_service_that_is_well_is_found_well() {
        assert_eq!(faults(&[look(100.0, &[]), look(130.0, &[])]), Vec::<String>::new());
    }

    #[test]
    fn each_field_alone_makes_it_unwell() {
        let (stale, other, future) = (beat("abc", 7, 1.0, 0), beat("abd", 7, 129.0, 0), beat("abc", 7, 3_600.0, 0));
        let (stranger, burst) = (beat("abc", 8, 129.0, 0), beat("abc", 7, 129.0, 5));
        let starting = beat("abc", 7, 129.0, 0).replace("trading", "starting");
        let stopped = beat("abc", 7, 129.0, 0).replace("trading", "stopped");
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
            ("exe", ""),
            ("exe", "c"),
            ("heartbeat", ""),
            ("heartbeat", "{"),
            ("heartbeat", &stale),
            ("heartbeat", &other),
            ("heartbeat", &future),
            ("heartbeat", &stranger),
            ("heartbeat", &burst),
            ("heartbeat", &starting),
            ("heartbeat", &stopped),
            ("errors", "5"),
            ("errors", ""),
            ("stderr", ""),
            ("stderr", "60"),
            ("stderr_errors", "5"),
            ("stderr_errors", ""),
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
        assert!(!faults(&[Facts::read(&Answer::with_facts("now=5\n"))]).is_empty());
    }

    #[test]
    fn errors_of_last_week_are_no_burst_and_new_ones_are() {
        let old = [("ExecMainStartTimestamp", "-9000"), ("errors", "9"), ("stderr_errors", "9")];
        assert_eq!(faults(&[look(100.0, &old), look(130.0, &old)]), Vec::<String>::new());
        let more = [("ExecMainStartTimestamp", "-9000"), ("errors", "14"), ("stderr_errors", "9")];
        assert!(!faults(&[look(100.0, &old), look(130.0, &more)]).is_empty());
    }

    #[test]
    fn one_crash_between_two_good_looks_is_seen() {
        let looks =
            [look(100.0, &[]), look(110.0, &[("ActiveState", "activating")]), look(130.0, &[("NRestarts", "1")])];
        assert!(faults(&looks).iter().any(|f| f.contains("NRestarts")));
        assert!(watched(&looks[..2], expected(), |watch| watch.has_failed()));
    }

    #[test]
    fn a_crash_between_activation_and_the_first_look_is_seen() {
        let beat = beat("abc", 9, 125.0, 0);
        let restarted = [("NRestarts", "1"), ("ExecMainPID", "9"), ("heartbeat", &beat)];
        let looks = [look(100.0, &restarted), look(130.0, &restarted)];
        assert!(faults(&looks).iter().any(|f| f.contains("was activated as 7")), "{:?}", faults(&looks));
        // Of a service that nobody has just activated nothing is known of former processes.
        let any = Expected { process: None, ..expected() };
        assert_eq!(watched(&looks, any, |watch| watch.judge().remove(0).faults), Vec::<String>::new());
    }

    #[test]
    fn who_waits_while_the_market_is_open_is_unwell() {
        let at = |text: &str| text.parse::<Timestamp>().expect("a time").as_second() as f64;
        for (now, archived_data, well) in [
            ("2024-07-02T15:00:00Z", false, false),
            ("2024-07-02T13:31:00Z", false, true),
            ("2024-07-02T12:00:00Z", false, true),
            ("2024-07-04T15:00:00Z", false, true),
            ("2024-07-02T15:00:00Z", true, true),
        ] {
            let now = at(now);
            let waiting = beat("abc", 7, now - 5.0, 0).replace("trading", "waiting");
            let [began, log] = [now - 60.0, now - 30.0].map(|time| time.to_string());
            let changes = [("heartbeat", waiting.as_str()), ("ExecMainStartTimestamp", &began), ("log_mtime", &log)];
            let looks = [look(now, &changes)];
            let expected = Expected { archived_data, ..expected() };
            let faults = watched(&looks, expected, |watch| watch.judge().remove(0).faults);
            assert_eq!(faults.is_empty(), well, "{now} {archived_data} {faults:?}");
        }
    }

    #[test]
    fn positions_are_known_only_from_a_fresh_heartbeat() {
        let with = |written_at: f64| {
            let beat = beat("abc", 7, written_at, 0).replace("\"starts\":1", "\"starts\":1,\"open_positions\":0");
            look(1_000.0, &[("heartbeat", &beat)])
        };
        assert_eq!(open_positions(&with(990.0), "u"), Some(0));
        assert_eq!(open_positions(&with(900.0), "u"), None);
        assert_eq!(open_positions(&with(2_000.0), "u"), None);
        assert_eq!(positions(&with(990.0), "u"), "0 (its heartbeat, 10 s ago)");
    }
}
