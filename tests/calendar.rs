//! Every session of 1990-2030 of each calendar against PyPI's exchange_calendars.

use std::process::Command;

use magellan::bar::iso_utc;
use magellan::calendar::{self, Calendar};

use crate::support;

const SESSIONS: &str = r#"
import sys
import exchange_calendars
calendar = exchange_calendars.get_calendar(sys.argv[1], start="1990-01-01", end="2030-12-31")
for day, row in calendar.schedule.iterrows():
    print(day.date(), row["open"].strftime("%Y-%m-%dT%H:%M:%SZ"), row["close"].strftime("%Y-%m-%dT%H:%M:%SZ"))
"#;

#[test]
fn every_session_opens_and_closes_as_exchange_calendars_says() {
    let Some(python) = support::python() else { return };
    for (calendar, name) in Calendar::ALL.into_iter().zip(["XNYS", "24/7", "24/5"]) {
        let out = Command::new(&python).args(["-c", SESSIONS, name]).output().expect("Python starts");
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        let text = String::from_utf8(out.stdout).expect("UTF-8");
        let theirs: Vec<&str> = text.lines().collect();
        let ours: Vec<String> = calendar
            .sessions(calendar::FIRST, calendar::LAST)
            .map(|s| format!("{} {} {}", s.date, iso_utc(s.open), iso_utc(s.close)))
            .collect();
        assert!(theirs.len() > 10_000, "{} sessions", theirs.len());
        for (ours, theirs) in ours.iter().zip(&theirs) {
            assert_eq!(ours, theirs, "{calendar}");
        }
        assert_eq!(ours.len(), theirs.len(), "{calendar}");
    }
}
