//! Sessions from 1990 to 2030 of the calendars that an archive can name.
//!
//! XNYS: holidays, early closes, ad-hoc closures, New York time. Rules follow NYSE rule 7.2 and its history; exceptions
//! are listed by date. The functions of this module are XNYS's. `24x7` and `24x5` have every UTC day, and those from
//! Monday to Friday. Tests compare every session with PyPI's `exchange_calendars`.

use std::cell::Cell;
use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;

use jiff::Timestamp;
use jiff::civil::{self, Weekday};
use jiff::tz::{TimeZone, TimeZoneTransition};
use serde::{Deserialize, Serialize};

use crate::bar::{DAY, Date, HOUR, MINUTE, Nanos, SECOND, Timeframe};
use crate::error::{Error, Result, codes, quoted};

/// First date the calendar knows: 1990-01-01.
pub const FIRST: Date = Date(7305);
/// Last date the calendar knows: 2030-12-31.
pub const LAST: Date = Date(22279);

static NEW_YORK: TimeZone = jiff::tz::get!("America/New_York");

/// When a market trades.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Calendar {
    /// The New York Stock Exchange.
    #[default]
    #[serde(rename = "XNYS")]
    Xnys,
    /// Every UTC day, all of it.
    #[serde(rename = "24x7")]
    AlwaysOpen,
    /// UTC days from Monday to Friday, all of each.
    #[serde(rename = "24x5")]
    Weekdays,
}

impl Calendar {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Xnys, Self::AlwaysOpen, Self::Weekdays];

    /// Its name in manifests and options.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Xnys => "XNYS",
            Self::AlwaysOpen => "24x7",
            Self::Weekdays => "24x5",
        }
    }

    /// Whether it is the stock exchange's, as where nobody names one.
    pub fn is_xnys(&self) -> bool {
        *self == Self::Xnys
    }

    /// The session of `date`; without trading, `open == close`, the begin of that date.
    pub fn session(self, date: Date) -> Session {
        match self {
            Self::Xnys => session(date),
            Self::AlwaysOpen => utc_day(date, (FIRST..=LAST).contains(&date)),
            // 1970-01-01 was a Thursday.
            Self::Weekdays => utc_day(date, (FIRST..=LAST).contains(&date) && (date.0 + 3).rem_euclid(7) < 5),
        }
    }

    /// Whether no session of the month follows this one.
    pub fn is_last_of_month(self, date: Date) -> bool {
        let month = |date: Date| (date.civil().year(), date.civil().month());
        let mut later = (date.0 + 1..).map(Date).take_while(|&d| month(d) == month(date));
        !later.any(|later| self.is_trading_day(later))
    }

    /// Whether there is a session on `date`. Dates outside [`FIRST`]`..=`[`LAST`] have none.
    pub fn is_trading_day(self, date: Date) -> bool {
        self.session(date).trades()
    }

    /// The sessions with trading in `from..=to`, in order.
    pub fn sessions(self, from: Date, to: Date) -> impl Iterator<Item = Session> {
        (from.0..=to.0).map(move |day| self.session(Date(day))).filter(Session::trades)
    }

    /// The date at an instant: New York's, or UTC's.
    pub fn date(self, at: Nanos) -> Date {
        match self {
            Self::Xnys => new_york_date(at),
            Self::AlwaysOpen | Self::Weekdays => Date::of_utc(at),
        }
    }

    /// When a date begins.
    pub fn midnight(self, date: Date) -> Nanos {
        match self {
            Self::Xnys => new_york_midnight(date),
            Self::AlwaysOpen | Self::Weekdays => date.utc_midnight(),
        }
    }

    /// The last session of the week, from Monday on, that contains `date`: when a weekly bar is known.
    pub fn last_session_of_week(self, date: Date) -> Session {
        let monday = Date::of_utc(Timeframe::Week.start_of(date.utc_midnight()));
        let days = (monday.0..monday.0 + 7).rev().map(|day| self.session(Date(day)));
        let mut days = days.filter(Session::trades);
        days.next().unwrap_or_else(|| self.session(date))
    }

    /// The session of the bar of this width that starts at `start`: an intraday bar's is that of its date, a day's that
    /// of its UTC date, a week's its last.
    pub fn session_of(self, timeframe: Timeframe, start: Nanos) -> Session {
        match timeframe {
            Timeframe::Week => self.last_session_of_week(Date::of_utc(start)),
            Timeframe::Day => self.session(Date::of_utc(start)),
            _ => self.session(self.date(start)),
        }
    }

    /// How many sessions a year has, for annualising.
    pub const fn sessions_per_year(self) -> f64 {
        match self {
            Self::Xnys => 252.0,
            Self::AlwaysOpen => 365.0,
            Self::Weekdays => 260.0,
        }
    }

    /// How many returns a year has on bars of a width: one a session, or one a week.
    pub const fn returns_per_year(self, timeframe: Timeframe) -> f64 {
        if let Timeframe::Week = timeframe { 52.0 } else { self.sessions_per_year() }
    }
}

impl fmt::Display for Calendar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Calendar {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|calendar| calendar.name().eq_ignore_ascii_case(text));
        found.ok_or_else(|| {
            let what = format!("{} is no calendar: those are {}", quoted(text), Self::ALL.map(Self::name).join(", "));
            Error::new(codes::BAD_ARGUMENT, what).help("stocks are of XNYS, what trades on every UTC day is of 24x7")
        })
    }
}

/// A UTC day, with trading or without.
const fn utc_day(date: Date, trades: bool) -> Session {
    let open = date.utc_midnight();
    Session { date, open, close: if trades { open + DAY } else { open } }
}

/// One exchange day. On a day without trading `open == close`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Session {
    /// New York date, of other calendars the UTC date (for daily bars: the date of the bar).
    pub date: Date,
    /// 09:30 New York, of other calendars midnight, ns UTC.
    pub open: Nanos,
    /// 16:00 New York, 13:00 on early closes, of other calendars the next midnight, ns UTC.
    pub close: Nanos,
}

impl Session {
    /// Whether the exchange trades on this date.
    pub const fn trades(&self) -> bool {
        self.open < self.close
    }

    /// Whether `[start, end)` lies wholly in the regular session.
    pub const fn contains(&self, start: Nanos, end: Nanos) -> bool {
        self.open <= start && end <= self.close
    }
}

/// The session of the New York date at an instant.
pub fn session_at(at: Nanos) -> Session {
    session(new_york_date(at))
}

/// The session under way at an instant, or else the next; none within two weeks has no trading.
pub fn session_ahead(now: Nanos) -> Session {
    let today = new_york_date(now);
    let mut days = (0..15).map(|day| session(Date(today.0 + day)));
    days.find(|session| session.trades() && now < session.close).unwrap_or_default()
}

/// Whether the exchange trades on `date`. Dates outside [`FIRST`]`..=`[`LAST`] never do.
pub fn is_trading_day(date: Date) -> bool {
    session(date).trades()
}

/// The session of `date`; without trading, `open == close` (New York midnight).
pub fn session(date: Date) -> Session {
    // A year at a time, when it is first asked for: replays ask for the same days again and
    // again, and a process rarely needs more than a few years.
    static YEARS: [OnceLock<Vec<Session>>; YEARS_COVERED] = [const { OnceLock::new() }; YEARS_COVERED];
    if !(FIRST..=LAST).contains(&date) {
        return closed(date);
    }
    let years = (date.0 - FIRST.0) as usize / DAYS_A_YEAR;
    let year = YEARS[years].get_or_init(|| {
        let first = FIRST.0 + (years * DAYS_A_YEAR) as i32;
        (first..first + DAYS_A_YEAR as i32).map(|day| work_out(Date(day))).collect()
    });
    year[(date.0 - FIRST.0) as usize % DAYS_A_YEAR]
}

/// Length of a stretch of the table; near enough to a year.
const DAYS_A_YEAR: usize = 365;
const YEARS_COVERED: usize = (LAST.0 - FIRST.0) as usize / DAYS_A_YEAR + 1;

fn closed(date: Date) -> Session {
    let at = new_york_midnight(date);
    Session { date, open: at, close: at }
}

fn work_out(date: Date) -> Session {
    let day = date.civil();
    if !is_weekday(day) || is_holiday(day) || closed_ad_hoc(day) {
        return closed(date);
    }
    // Daylight saving changes at 02:00 on Sundays, so noon UTC has the whole session's offset.
    let midnight = date.utc_midnight() - offset_at(date.utc_midnight() + 12 * HOUR);
    let close = early_close(day).unwrap_or(16 * HOUR);
    Session { date, open: midnight + 9 * HOUR + 30 * MINUTE, close: midnight + close }
}

/// As [`Calendar::last_session_of_week`], of XNYS.
pub fn last_session_of_week(date: Date) -> Session {
    Calendar::Xnys.last_session_of_week(date)
}

/// As [`Calendar::session_of`], of XNYS.
pub fn session_of(timeframe: Timeframe, start: Nanos) -> Session {
    Calendar::Xnys.session_of(timeframe, start)
}

/// As [`Calendar::sessions`], of XNYS.
pub fn sessions(from: Date, to: Date) -> impl Iterator<Item = Session> {
    Calendar::Xnys.sessions(from, to)
}

/// Start of the New York day, ns UTC.
pub fn new_york_midnight(date: Date) -> Nanos {
    // 05:30Z is after New York's midnight and before either clock change (06:00Z or 07:00Z).
    date.utc_midnight() - offset_at(date.utc_midnight() + 5 * HOUR + 30 * MINUTE)
}

/// The New York date at an instant.
pub fn new_york_date(at: Nanos) -> Date {
    Date((at + offset_at(at)).div_euclid(DAY) as i32)
}

/// Refuses dates that the calendar doesn't cover.
///
/// # Errors
/// Data error outside 1990-2030.
pub fn check_covered(date: Date) -> Result<()> {
    if (FIRST..=LAST).contains(&date) {
        return Ok(());
    }
    Err(Error::new(codes::OUTSIDE_CALENDAR, format!("{date} is outside the exchange calendar, {FIRST} to {LAST}")))
}

/// New York's offset from UTC in nanoseconds (negative).
fn offset_at(at: Nanos) -> Nanos {
    // Bars are asked for in order, and the offset changes twice a year.
    thread_local! {
        static LAST: Cell<(Nanos, Nanos, Nanos)> = const { Cell::new((0, 0, 0)) };
    }
    let (from, to, offset) = LAST.get();
    if (from..to).contains(&at) {
        return offset;
    }
    let Ok(now) = Timestamp::from_second(at.div_euclid(SECOND)) else { return 0 };
    let offset = i64::from(NEW_YORK.to_offset(now).seconds()) * SECOND;
    let nanos = |t: Option<TimeZoneTransition<'_>>| t.map(|t| t.timestamp().as_second() * SECOND);
    // One second more, since a transition at `now` itself has the offset of `now`.
    let from = nanos(NEW_YORK.preceding(now + jiff::SignedDuration::from_secs(1)).next());
    let to = nanos(NEW_YORK.following(now).next());
    if let (Some(from), Some(to)) = (from, to) {
        LAST.set((from, to, offset));
    }
    offset
}

fn is_weekday(day: civil::Date) -> bool {
    !matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday)
}

fn is_holiday(day: civil::Date) -> bool {
    use Weekday::{Friday, Monday, Thursday};
    let (year, month, weekday) = (day.year(), day.month(), day.weekday());
    let nth = (day.day() + 6) / 7;
    match (month, weekday) {
        (1, Monday) if nth == 3 => return year >= 1998, // Martin Luther King Jr. Day
        (2, Monday) if nth == 3 => return true,         // Washington's Birthday
        (5, Monday) if day.day() > 24 => return true,   // Memorial Day
        (9, Monday) if nth == 1 => return true,         // Labor Day
        (11, Thursday) if nth == 4 => return true,      // Thanksgiving
        (3 | 4, Friday) if day == good_friday(year) => return true,
        _ => {}
    }
    // New Year's Day on a Saturday isn't observed: the Friday closes the books of the year.
    observed_sunday(day, 1, 1) || (year >= 2022 && observed(day, 6, 19)) || observed(day, 7, 4) || observed(day, 12, 25)
}

/// `day` is the given holiday, or the Monday after it falls on a Sunday.
fn observed_sunday(day: civil::Date, month: i8, date: i8) -> bool {
    let moved = day.weekday() == Weekday::Monday && day.day() == date + 1;
    day.month() == month && (day.day() == date || moved)
}

/// As [`observed_sunday`], or the Friday before it falls on a Saturday.
fn observed(day: civil::Date, month: i8, date: i8) -> bool {
    let moved = day.weekday() == Weekday::Friday && day.day() == date - 1;
    observed_sunday(day, month, date) || (day.month() == month && moved)
}

/// Two days before Easter Sunday (Gauss; Meeus, Astronomical Algorithms, ch. 8).
fn good_friday(year: i16) -> civil::Date {
    let y = i32::from(year);
    let (a, b, c) = (y % 19, y / 100, y % 100);
    let (d, e) = (b / 4, b % 4);
    let g = (8 * b + 13) / 25;
    let h = (19 * a + b - d - g + 15) % 30;
    let (i, k) = (c / 4, c % 4);
    let l = (32 + 2 * e + 2 * i - h - k) % 7;
    let m = (a + 11 * h + 19 * l) / 433;
    let month = (h + l - 7 * m + 90) / 25;
    let day = (h + l - 7 * m + 33 * month + 19) % 32;
    civil::date(year, month as i8, day as i8).saturating_sub(jiff::Span::new().days(2))
}

/// National mourning, attacks and storms.
fn closed_ad_hoc(day: civil::Date) -> bool {
    matches!(
        (day.year(), day.month(), day.day()),
        (1994, 4, 27)           // Nixon
            | (2001, 9, 11..=14)
            | (2004, 6, 11)     // Reagan
            | (2007, 1, 2)      // Ford
            | (2012, 10, 29..=30) // Hurricane Sandy
            | (2018, 12, 5)     // G. H. W. Bush
            | (2025, 1, 9) // Carter
    )
}

/// Time of an early close after New York's midnight.
fn early_close(day: civil::Date) -> Option<Nanos> {
    use Weekday::{Friday, Monday, Thursday, Tuesday, Wednesday};
    let (year, weekday) = (day.year(), day.weekday());
    let early = match (day.month(), day.day()) {
        // The day after Thanksgiving.
        (11, 23..=29) => weekday == Friday && year >= 1992,
        (12, 24) => true,
        // Before or after Independence Day; after a Thursday's until 2012.
        (7, 3) => match weekday {
            Monday | Tuesday | Thursday => year >= 1995,
            Wednesday => year >= 2013,
            _ => false,
        },
        (7, 5) => weekday == Friday && (1995..2013).contains(&year),
        (12, 26) => matches!(year, 1997 | 2003),
        (12, 31) => year == 1999,
        _ => false,
    };
    early.then_some(if year <= 1992 { 14 * HOUR } else { 13 * HOUR })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bar::iso_utc;

    fn date(text: &str) -> Date {
        text.parse().expect("a date")
    }

    #[test]
    fn bounds_are_the_dates_they_claim() {
        assert_eq!((FIRST, LAST), (date("1990-01-01"), date("2030-12-31")));
    }

    #[test]
    fn daylight_saving_moves_the_session_in_utc() {
        let utc = |text| {
            let s = session(date(text));
            (iso_utc(s.open), iso_utc(s.close))
        };
        let winter = utc("2024-03-08");
        assert_eq!(winter, ("2024-03-08T14:30:00Z".into(), "2024-03-08T21:00:00Z".into()));
        let summer = utc("2024-03-11");
        assert_eq!(summer, ("2024-03-11T13:30:00Z".into(), "2024-03-11T20:00:00Z".into()));
        // Before 2007 summer time began in April.
        assert_eq!(utc("2006-03-31").0, "2006-03-31T14:30:00Z");
        assert_eq!(utc("2006-04-03").0, "2006-04-03T13:30:00Z");
    }

    #[test]
    fn half_days_close_at_one() {
        let half = session(date("2024-11-29"));
        assert_eq!(half.close - half.open, 3 * HOUR + 30 * MINUTE);
    }

    #[test]
    fn a_week_ends_with_its_last_session() {
        for (day, last) in [
            ("2024-07-01", "2024-07-05"),
            ("2024-03-25", "2024-03-28"), // Good Friday
            ("2024-03-31", "2024-03-28"), // the Sunday after it
            ("2001-09-10", "2001-09-10"), // attacks on the Tuesday
            ("2021-12-31", "2021-12-31"),
        ] {
            assert_eq!(last_session_of_week(date(day)).date, date(last), "{day}");
        }
    }

    #[test]
    fn round_the_clock_sessions_are_utc_days() {
        let day = |calendar: Calendar, text| calendar.session(date(text));
        let whole = Session {
            date: date("2024-07-06"),
            open: date("2024-07-06").utc_midnight(),
            close: date("2024-07-07").utc_midnight(),
        };
        assert_eq!(day(Calendar::AlwaysOpen, "2024-07-06"), whole);
        let closed = day(Calendar::Weekdays, "2024-07-06");
        assert!(!closed.trades() && closed.open == whole.open);
        let count = |calendar: Calendar| calendar.sessions(date("2024-01-01"), date("2024-12-31")).count();
        assert_eq!(Calendar::ALL.map(count), [252, 366, 262]);
        assert!(day(Calendar::Weekdays, "2024-12-25").trades(), "no holidays");
        assert!(!day(Calendar::AlwaysOpen, "2031-01-01").trades());
        let week = |calendar: Calendar| calendar.last_session_of_week(date("2024-07-03")).date.to_string();
        assert_eq!(Calendar::ALL.map(week), ["2024-07-05", "2024-07-07", "2024-07-05"]);
        let late = date("2024-07-03").utc_midnight() + 2 * HOUR;
        let session = |calendar: Calendar| calendar.session_of(Timeframe::Hour, late).date.to_string();
        assert_eq!(Calendar::ALL.map(session), ["2024-07-02", "2024-07-03", "2024-07-03"]);
    }

    #[test]
    fn calendars_are_read_as_they_are_written() {
        for calendar in Calendar::ALL {
            assert_eq!(calendar.to_string().parse::<Calendar>().ok(), Some(calendar));
            assert_eq!(serde_json::to_string(&calendar).ok(), Some(format!("\"{calendar}\"")));
        }
        assert!("24/7".parse::<Calendar>().is_err());
        let a_year = |timeframe| Calendar::ALL.map(|calendar| calendar.returns_per_year(timeframe));
        assert_eq!((a_year(Timeframe::Hour), a_year(Timeframe::Week)), ([252.0, 365.0, 260.0], [52.0; 3]));
    }

    #[test]
    fn ad_hoc_closures_and_holidays_do_not_trade() {
        for closed in ["2018-12-05", "2025-01-09", "2001-09-12", "2012-10-30", "2022-06-20", "2024-03-29"] {
            assert!(!is_trading_day(date(closed)), "{closed}");
        }
        assert!(is_trading_day(date("2021-12-31")), "New Year's on a Saturday isn't observed");
    }

    #[test]
    fn the_new_york_date_turns_at_new_york_midnight() {
        for day in ["2024-03-10", "2024-11-03", "2024-07-01"] {
            let midnight = new_york_midnight(date(day));
            assert_eq!(new_york_date(midnight), date(day));
            assert_eq!(new_york_date(midnight - 1), Date(date(day).0 - 1));
        }
    }
}
