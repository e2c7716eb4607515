//! How long something lasts in the time of regular sessions.

use jiff::{SignedDuration, Timestamp};
use magellan::bar::{Date, Nanos, SECOND};
use magellan::calendar;

use crate::release::Clock;

/// The moment at which so many seconds will have passed, by this clock.
pub fn after(now: Timestamp, seconds: u64, clock: Clock) -> Timestamp {
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX / SECOND);
    match clock {
        Clock::Wall => now.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX),
        Clock::Market => in_sessions(now, seconds * SECOND),
    }
}

fn in_sessions(now: Timestamp, mut left: Nanos) -> Timestamp {
    let mut at = i64::try_from(now.as_nanosecond()).unwrap_or(Nanos::MAX);
    loop {
        let date = calendar::new_york_date(at);
        let session = calendar::session(date);
        if session.trades() {
            let from = at.max(session.open);
            if from + left <= session.close {
                return Timestamp::from_nanosecond(i128::from(from + left)).unwrap_or(Timestamp::MAX);
            }
            left -= (session.close - from).max(0);
        }
        let next = Date(date.0 + 1);
        if calendar::check_covered(next).is_err() {
            return Timestamp::MAX;
        }
        at = calendar::new_york_midnight(next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_of_market_time_passes_only_while_the_market_is_open() {
        for (now, seconds, expected) in [
            // In the night before, in the session, half an hour before its end, on a Friday, before a holiday.
            ("2024-07-02T02:00:00Z", 3_600, "2024-07-02T14:30:00Z"),
            ("2024-07-02T15:00:00Z", 3_600, "2024-07-02T16:00:00Z"),
            ("2024-07-02T19:30:00Z", 3_600, "2024-07-03T14:00:00Z"),
            ("2024-06-28T21:00:00Z", 3_600, "2024-07-01T14:30:00Z"),
            // The third is half a day, the fourth a holiday: 13:30 to 17:00, then on Friday.
            ("2024-07-03T16:30:00Z", 3_600, "2024-07-05T14:00:00Z"),
            ("2024-07-02T13:30:00Z", 23_400, "2024-07-02T20:00:00Z"),
        ] {
            let now: Timestamp = now.parse().expect("a time");
            assert_eq!(after(now, seconds, Clock::Market).to_string(), expected, "{now}");
            assert_eq!(after(now, seconds, Clock::Wall).as_second() - now.as_second(), seconds as i64);
        }
    }
}
