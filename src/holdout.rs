//! Sessions set aside, and which sessions the trials in a ledger have seen.
//!
//! A reservation is a record of the strategy's ledger, or of a ledger of its own for all strategies
//! ([`ALL_STRATEGIES`]). Those of all are repeated in each strategy's ledger as it is next used, so that what a
//! verdict says of them can be worked out again from that ledger's heads. Research refuses periods that reach into
//! such sessions; the gate looks at them, and its record counts as a look.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bar::Date;
use crate::calendar::{self, Calendar};
use crate::error::{Error, Result, codes};
use crate::ledger::mark::Mark;
use crate::ledger::{Kind, Ledger, Trials};

/// The ledger whose reservations hold for every strategy. No strategy can have this name: a module of Rust has no `-`.
pub const ALL_STRATEGIES: &str = "all-strategies";

/// Sessions that are set aside, or were.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reservation {
    /// The record that says so.
    pub record: String,
    /// The first session that is set aside.
    pub from: Date,
    /// Whether it was made for all strategies.
    pub of_all: bool,
    /// Why it holds no longer, if it was released.
    pub released: Option<String>,
}

/// The marks of a ledger by their records, or by those they repeat.
fn marks(ledger: &Ledger) -> BTreeMap<&str, &Mark> {
    let marks = ledger.records().iter().filter_map(|(hash, record)| Some((hash.as_str(), record.mark.as_ref()?)));
    marks.map(|(hash, mark)| (mark.repeats().unwrap_or(hash), mark)).collect()
}

/// What was ever set aside, by date; those of all strategies only as far as this ledger repeats them.
pub fn reservations(ledger: &Ledger) -> Vec<Reservation> {
    let marks = marks(ledger);
    let released: BTreeMap<&str, &str> = marks.values().fold(BTreeMap::new(), |mut released, mark| {
        if let Mark::Release { reserved, why, .. } = mark {
            released.extend(reserved.iter().map(|record| (record.as_str(), why.as_str())));
        }
        released
    });
    let reservation = |(record, mark): (&&str, &&Mark)| match mark {
        Mark::Release { .. } => None,
        Mark::Reserve { from, of, .. } => Some(Reservation {
            record: (*record).to_owned(),
            from: *from,
            of_all: of.is_some() || ledger.strategy() == ALL_STRATEGIES,
            released: released.get(record).map(|why| (*why).to_owned()),
        }),
    };
    let mut all: Vec<Reservation> = marks.iter().filter_map(reservation).collect();
    all.sort_by(|a, b| (a.from, &a.record).cmp(&(b.from, &b.record)));
    all
}

/// The first session that is set aside now.
pub fn reserved_from(ledger: &Ledger) -> Option<Date> {
    reservations(ledger).into_iter().filter(|r| r.released.is_none()).map(|r| r.from).min()
}

/// The marks of all strategies that a ledger doesn't repeat yet.
fn missing(ledger: &Ledger) -> Result<Vec<Mark>> {
    if ledger.strategy() == ALL_STRATEGIES {
        return Ok(Vec::new());
    }
    let of_all = Ledger::open(ledger.root(), ALL_STRATEGIES)?;
    let known = marks(ledger);
    let missing = marks(&of_all).into_iter().filter(|(record, _)| !known.contains_key(record));
    Ok(missing.map(|(record, mark)| mark.repeating(record)).collect())
}

/// Repeats in a strategy's ledger what was set aside for all strategies.
///
/// # Errors
/// As [`Ledger::open`] and [`Ledger::add`].
pub(crate) fn repeat_marks(ledger: &mut Ledger) -> Result<()> {
    missing(ledger)?.iter().try_for_each(|mark| ledger.add_mark(mark))
}

/// The same in memory, for a ledger that isn't written.
///
/// # Errors
/// As [`Ledger::open`].
pub(crate) fn with_marks(ledger: Ledger) -> Result<Ledger> {
    Ok(missing(&ledger)?.iter().fold(ledger, |ledger, mark| ledger.with_mark(mark)))
}

/// Refuses research on sessions that are set aside; synthetic bars have none.
///
/// # Errors
/// Refused if the period reaches into them.
pub(crate) fn check_free(ledger: &mut Ledger, trials: &Trials) -> Result<()> {
    if trials.synthetic {
        return Ok(());
    }
    repeat_marks(ledger)?;
    match reserved_from(ledger) {
        Some(from) if trials.end_date >= from => Err(refused(from, trials.end_date)),
        _ => Ok(()),
    }
}

fn refused(from: Date, end: Date) -> Error {
    let before = Date(from.0 - 1);
    let what = format!("sessions from {from} on are set aside, and this period ends on {end}");
    Error::new(codes::HELD_OUT_SESSIONS, what).help(format!(
        "end the period before {from}, e.g. on {before}; the gate may look at these sessions, once for each setting"
    ))
}

/// Sets sessions from a date on aside; nothing is added if they are already.
///
/// # Errors
/// As [`Ledger::add`].
pub fn reserve(ledger: &mut Ledger, from: Date) -> Result<()> {
    calendar::check_covered(from)?;
    let made = reservations(ledger);
    if made.iter().any(|r| r.from <= from && r.released.is_none()) {
        return Ok(());
    }
    let number = made.iter().filter(|r| r.from == from).count() as u32 + 1;
    ledger.add_mark(&Mark::Reserve { from, number, of: None })
}

/// Gives back all sessions that are set aside, and records why; the reservations released.
///
/// # Errors
/// Usage error if it isn't said why, or nothing is set aside; as [`Ledger::add`].
pub fn release(ledger: &mut Ledger, why: &str) -> Result<Vec<Reservation>> {
    if why.trim().is_empty() {
        return Err(Error::new(codes::BAD_ARGUMENT, "a release needs a reason").help("say it with --why"));
    }
    repeat_marks(ledger)?;
    let held: Vec<Reservation> = reservations(ledger).into_iter().filter(|r| r.released.is_none()).collect();
    if held.is_empty() {
        return Err(Error::new(codes::BAD_ARGUMENT, "no sessions are set aside").help("nothing to release"));
    }
    let reserved = held.iter().map(|r| r.record.clone()).collect();
    ledger.add_mark(&Mark::Release { reserved, why: why.trim().to_owned(), of: None })?;
    Ok(held)
}

/// How much of a period trials have seen, and which look at sessions set aside this is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Seen {
    /// Sessions of the period.
    pub sessions: usize,
    /// Those that no trial has seen but the gate's own of these settings.
    pub unseen: usize,
    /// The look at the sessions that are set aside; none, if the period has none of them.
    pub look: Option<Look>,
    /// Why reservations with sessions of the period were given back.
    pub released: Vec<String>,
}

/// A gate's look at sessions that are set aside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Look {
    /// The first session that is set aside.
    pub from: Date,
    /// Sessions of the period that are.
    pub sessions: usize,
    /// Which look it is, from 1: gates with other settings looked at some of them, too. The order doesn't matter, since
    /// whoever looks at three settings can choose the best of three.
    pub number: usize,
    /// Sessions of them that trials have seen otherwise, or before they were set aside.
    pub seen: usize,
}

impl Seen {
    /// What the ledger says of the period of a gate's trial. Symbols don't matter: the market was the same.
    ///
    /// # Errors
    /// Data error if the period lies outside the calendar.
    pub fn of(ledger: &Ledger, trials: &Trials, calendar: Calendar) -> Result<Self> {
        let dates = (trials.start_date, trials.end_date);
        let sessions = sessions(dates, calendar)?;
        let is_own = |kind: Kind, other: &Trials| kind == Kind::Gate && other.settings == trials.settings;
        let tried = || {
            let alike = ledger.records().values().filter(|r| r.kind.tries() && r.trials.synthetic == trials.synthetic);
            alike.filter(|r| !is_own(r.kind, &r.trials))
        };
        let seen: BTreeSet<(Date, Date)> = tried().map(|r| (r.trials.start_date, r.trials.end_date)).collect();
        let is_unseen = |day: &&Date| !seen.iter().any(|(from, to)| (*from..=*to).contains(*day));
        let given_back = reservations(ledger).into_iter().filter(|r| r.from <= dates.1);
        let released: Vec<String> = given_back.filter_map(|r| r.released).collect();
        Ok(Self {
            unseen: sessions.iter().filter(is_unseen).count(),
            look: reserved_from(ledger).filter(|from| !trials.synthetic && *from <= dates.1).map(|from| {
                let looked = tried().filter(|r| r.kind == Kind::Gate && r.trials.end_date >= from.max(dates.0));
                let others: BTreeSet<String> =
                    looked.filter(|r| r.trials.start_date <= dates.1).map(|r| r.trials.settings.to_string()).collect();
                let held = || sessions.iter().filter(|day| **day >= from);
                let seen = held().filter(|day| !is_unseen(day)).count();
                Look { from, sessions: held().count(), number: others.len() + 1, seen }
            }),
            sessions: sessions.len(),
            released,
        })
    }

    /// As reports say it.
    pub fn sentences(&self) -> Vec<String> {
        let mut said = vec![format!("sessions no trial has seen: {} of {}", self.unseen, self.sessions)];
        if let Some(Look { from, sessions, number, seen }) = &self.look {
            let mut look = match number {
                1 => format!("holdout from {from}, {sessions} sessions: first look"),
                2 => {
                    format!("holdout from {from}, {sessions} sessions: look no. 2 at these sessions (1 other setting)")
                }
                n => {
                    let others = n - 1;
                    format!(
                        "holdout from {from}, {sessions} sessions: look no. {n} at these sessions ({others} other settings)"
                    )
                }
            };
            if *seen > 0 {
                look += &format!(", of which other trials have seen {seen}");
            }
            said.push(look);
        }
        for why in &self.released {
            said.push(format!("sessions in this period were set aside and given back: {why}"));
        }
        said
    }
}

fn sessions((start, end): (Date, Date), calendar: Calendar) -> Result<Vec<Date>> {
    calendar::check_covered(start)?;
    calendar::check_covered(end)?;
    Ok(calendar.sessions(start, end).map(|s| s.date).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};
    use tempfile::TempDir;

    use super::*;
    use crate::sweep::grid::Choice;

    fn date(text: &str) -> Date {
        text.parse().expect("a date")
    }

    fn tried(settings: Value, start: &str, end: &str) -> Trials {
        Trials {
            strategy: "s".to_owned(),
            data: BTreeMap::from([("AMC".parse().expect("a symbol"), "hash".to_owned())]),
            synthetic: false,
            scope: "portfolio".to_owned(),
            hours: "regular".to_owned(),
            start_date: date(start),
            end_date: date(end),
            settings,
            axes: Vec::new(),
            conditions: Vec::new(),
            choice: Choice::All,
            points: 1,
        }
    }

    fn ledger() -> (TempDir, Ledger) {
        let folder = tempfile::tempdir().expect("a folder");
        let ledger = Ledger::open(folder.path(), "s").expect("empty");
        (folder, ledger)
    }

    #[test]
    fn research_ends_where_sessions_are_set_aside_and_may_go_on_once_they_are_given_back() {
        let (folder, mut ledger) = ledger();
        reserve(&mut ledger, date("2024-06-03")).expect("reserved");
        let before = tried(json!({}), "2024-01-02", "2024-05-31");
        let into = tried(json!({}), "2024-01-02", "2024-06-03");
        assert!(check_free(&mut ledger, &before).is_ok());
        let error = check_free(&mut ledger, &into).expect_err("set aside");
        assert_eq!((error.code(), error.exit_code()), (codes::HELD_OUT_SESSIONS, 8));
        assert!(check_free(&mut ledger, &Trials { synthetic: true, ..into.clone() }).is_ok(), "made up");
        assert!(release(&mut ledger, " ").is_err(), "no reason");
        release(&mut ledger, "the candidate was dropped").expect("released");
        assert!(check_free(&mut ledger, &into).is_ok());
        let again = Ledger::open(folder.path(), "s").expect("sound");
        assert_eq!(reservations(&again)[0].released.as_deref(), Some("the candidate was dropped"));
        assert_eq!(again.count().ok(), Some(0), "no trial");
        reserve(&mut ledger, date("2024-06-03")).expect("reserved again");
        assert_eq!(reserved_from(&ledger), Some(date("2024-06-03")), "a release doesn't reach into the future");
    }

    #[test]
    fn what_is_set_aside_for_all_holds_for_each_and_stays_in_its_ledger() {
        let (folder, mut ledger) = ledger();
        let mut all = Ledger::open(folder.path(), ALL_STRATEGIES).expect("empty");
        reserve(&mut all, date("2024-06-03")).expect("reserved");
        let into = tried(json!({}), "2024-01-02", "2024-06-28");
        assert!(check_free(&mut ledger, &into).is_err());
        std::fs::remove_dir_all(folder.path().join(ALL_STRATEGIES)).expect("removed");
        let mut again = Ledger::open(folder.path(), "s").expect("sound");
        assert!(check_free(&mut again, &into).is_err(), "repeated in the strategy's own");
        release(&mut again, "for this one alone").expect("released");
        assert!(check_free(&mut again, &into).is_ok());
    }

    #[test]
    fn a_look_with_other_settings_is_another_look() {
        let (_folder, mut ledger) = ledger();
        reserve(&mut ledger, date("2024-06-03")).expect("reserved");
        let one = tried(json!({"a": 1}), "2024-01-02", "2024-06-28");
        let look =
            |ledger: &Ledger, of: &Trials| Seen::of(ledger, of, Calendar::Xnys).expect("dates").look.map(|l| l.number);
        ledger.add(Kind::Gate, &one, None).expect("added");
        assert_eq!(look(&ledger, &one), Some(1), "its own record");
        for a in 2..4 {
            let other = tried(json!({ "a": a }), "2024-06-10", "2024-06-28");
            ledger.add(Kind::Gate, &other, None).expect("added");
        }
        assert_eq!(look(&ledger, &one), Some(3));
        let before = tried(json!({"a": 1}), "2024-01-02", "2024-05-31");
        assert_eq!(look(&ledger, &before), None, "nothing set aside in it");
        let said = Seen::of(&ledger, &one, Calendar::Xnys).expect("dates").sentences().concat();
        assert!(said.contains("look no. 3") && said.contains("19 sessions"), "{said}");
    }

    proptest! {
        /// A session is unseen exactly if no other trial's period has it.
        #[test]
        fn unseen_sessions_are_those_of_no_other_trial(periods in prop::collection::vec((0i32..200, 0i32..60), 0..6)) {
            let (_folder, mut ledger) = ledger();
            let first = date("2024-01-02");
            let day = |n: i32| Date(first.0 + n).to_string();
            for (from, length) in &periods {
                let trial = tried(json!({"a": from}), &day(*from), &day(from + length));
                ledger.add(Kind::Backtest, &trial, None).expect("added");
            }
            let own = tried(json!({"a": -1}), &day(0), &day(250));
            ledger.add(Kind::Gate, &own, None).expect("added");
            let seen = Seen::of(&ledger, &own, Calendar::Xnys).expect("dates");
            let days = calendar::sessions(first, Date(first.0 + 250)).map(|s| s.date.0 - first.0);
            let hidden = days.filter(|n| !periods.iter().any(|(from, length)| (*from..=from + length).contains(n)));
            prop_assert_eq!(seen.unseen, hidden.count());
        }
    }
}
