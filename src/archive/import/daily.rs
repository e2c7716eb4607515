//! Daily bars of any zone: one bar a local day, at one local time, across clock changes too.

use jiff::tz::TimeZone;

use crate::archive::row::{BarFile, Clock};
use crate::bar::{DAY, Date, HOUR, MINUTE, Nanos, SECOND};
use crate::calendar;

/// How starts are read as days.
pub(super) struct Days {
    hands: Hands,
    /// When a day's bar is stamped, for people.
    pub(super) described: String,
}

impl Days {
    /// The session that a start stands for.
    pub(super) fn date(&self, start: Nanos) -> Date {
        Date::of_utc(self.hands.local(start))
    }
}

/// What a clock shows.
enum Hands {
    /// One of these offsets from UTC, by which it is this time of day.
    Written {
        offsets: Vec<Nanos>,
        time: Nanos,
    },
    Zone(TimeZone),
    NewYork,
}

impl Hands {
    /// Nanoseconds since 1970-01-01T00:00 of this clock.
    fn local(&self, start: Nanos) -> Nanos {
        match self {
            Self::Written { offsets, time } => {
                let fits = |offset: &&Nanos| (start + **offset).rem_euclid(DAY) == *time;
                start + offsets.iter().find(fits).or(offsets.first()).copied().unwrap_or(0)
            }
            Self::Zone(zone) => {
                let at = jiff::Timestamp::from_second(start.div_euclid(SECOND)).unwrap_or_default();
                start + i64::from(zone.to_offset(at).seconds()) * SECOND
            }
            Self::NewYork => {
                let date = calendar::new_york_date(start);
                date.utc_midnight() + (start - calendar::new_york_midnight(date))
            }
        }
    }

    /// The time of day at which all bars are stamped, if it is one.
    fn time(&self, starts: &[Nanos]) -> Option<Nanos> {
        let first = self.local(*starts.first()?).rem_euclid(DAY);
        starts.iter().all(|&start| self.local(start).rem_euclid(DAY) == first).then_some(first)
    }

    fn name(&self) -> String {
        match self {
            Self::Written { offsets, .. } if offsets[..] == [0] => "UTC".to_owned(),
            Self::Written { .. } => "as written".to_owned(),
            Self::Zone(zone) => zone.iana_name().unwrap_or("local time").to_owned(),
            Self::NewYork => "New York".to_owned(),
        }
    }
}

/// The reading by which a file has one bar a day; none if there is none, or if all start at 00:00Z
/// and so are dates already. A single start tells only where daily bars are `expected`.
pub(super) fn reading(file: &BarFile, starts: &[Nanos], expected: bool) -> Option<Days> {
    let utc_days = starts.iter().all(|start| start.rem_euclid(DAY) == 0);
    if utc_days || (starts.len() < 2 && !expected) {
        return None;
    }
    let mut clocks = clocks(&file.clock, starts);
    clocks.push(Hands::NewYork);
    clocks.retain(|hands| one_a_day(file, hands));
    // Midnight tells most, then New York's close, then any time of day that is always the same;
    // there New York's clock counts first, since it is the exchange's.
    let midnight = clocks.iter().position(|hands| hands.time(starts) == Some(0));
    let close = |start: &Nanos| {
        let session = calendar::session(calendar::new_york_date(*start));
        session.trades() && *start == session.close
    };
    let at_close = matches!(clocks.last(), Some(Hands::NewYork)) && starts.iter().all(close);
    let steady = || clocks.iter().rposition(|hands| hands.time(starts).is_some());
    let at = midnight.or(at_close.then(|| clocks.len() - 1)).or_else(steady)?;
    let hands = clocks.swap_remove(at);
    let described = match hands.time(starts) {
        Some(time) => format!("at {:02}:{:02} {}", time / HOUR, time % HOUR / MINUTE, hands.name()),
        None => "at New York's close".to_owned(),
    };
    Some(Days { hands, described })
}

/// The clocks that the file or the user names.
fn clocks(clock: &Clock, starts: &[Nanos]) -> Vec<Hands> {
    let mut clocks: Vec<Hands> = clock.zone.iter().cloned().map(Hands::Zone).collect();
    let Some(&first) = starts.first() else { return clocks };
    for offset in &clock.offsets {
        let time = (first + offset).rem_euclid(DAY);
        let is_it = |start: &Nanos| clock.offsets.iter().any(|o| (start + o).rem_euclid(DAY) == time);
        if starts.iter().all(is_it) {
            clocks.push(Hands::Written { offsets: clock.offsets.clone(), time });
        }
    }
    clocks
}

/// Whether no series has two bars on one day of this clock. The same bar twice is one.
fn one_a_day(file: &BarFile, hands: &Hands) -> bool {
    let day = |start: Nanos| Date::of_utc(hands.local(start));
    file.series.iter().all(|(_, rows)| {
        // Neighbours tell of intraday bars at once.
        if rows.windows(2).any(|w| w[0].start != w[1].start && day(w[0].start) == day(w[1].start)) {
            return false;
        }
        let mut days: Vec<(Date, Nanos)> = rows.iter().map(|r| (day(r.start), r.start)).collect();
        days.sort_unstable();
        days.dedup();
        days.windows(2).all(|w| w[0].0 != w[1].0)
    })
}
