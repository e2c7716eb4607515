//! Times as files write them: ISO, dates in any order, Unix times of any unit, local or zoned.
//!
//! A column is read as one: what one row leaves open, such as whether 03/04 is in March, another
//! settles. What no row settles is refused unless it is told.

use jiff::tz::{AmbiguousOffset, TimeZone};

use super::told::{TimeFormat, Told};
use crate::archive::row::Clock;
use crate::bar::{DAY, Date, HOUR, MINUTE, Nanos, SECOND, iso_utc};
use crate::error::{Error, Result, codes, quoted};

/// One time as it is written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Stamp {
    day: Day,
    /// Time of day, if one is written.
    time: Option<Nanos>,
    /// Offset from UTC, if one is written.
    offset: Option<Nanos>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Day {
    /// A date whose order is clear.
    Date(Date),
    /// Two numbers, then a year: `03/04/2024`; by points the day comes first.
    Either { first: i8, second: i8, year: i16, points: bool },
    /// Digits, and nanoseconds' digits behind a point: Unix time.
    Unix(i64),
}

/// What a text that stands for a time looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A date, perhaps with a time.
    Date,
    /// A time of day alone.
    Clock,
    /// A number that may be a Unix time or a date.
    Number,
}

/// What a text looks like, if it looks like a time.
pub(crate) fn shape(text: &str) -> Option<Shape> {
    if let Some(stamp) = parse(text) {
        let is_number = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        return Some(if is_number && !matches!(stamp.day, Day::Either { .. }) { Shape::Number } else { Shape::Date });
    }
    (text.contains(':') && clock(text).is_some()).then_some(Shape::Clock)
}

/// Reads one time, without settling what is open.
pub(crate) fn parse(text: &str) -> Option<Stamp> {
    let text = text.trim();
    if let Some(unix) = unix(text) {
        return Some(unix);
    }
    let (day, rest) = day(text)?;
    let rest = rest.trim_start_matches([' ', 'T', 't', ',', ':']);
    if rest.is_empty() {
        return Some(Stamp { day, time: None, offset: None });
    }
    let (rest, offset) = offset(rest);
    Some(Stamp { day, time: Some(clock(rest)?), offset })
}

/// Reads a date and a time of day that stand in two columns.
pub(crate) fn parse_pair(date: &str, time: &str) -> Option<Stamp> {
    let mut stamp = parse(date)?;
    if matches!(stamp.day, Day::Unix(_)) || stamp.time.is_some_and(|t| t != 0) {
        return None;
    }
    let (rest, offset) = offset(time.trim());
    stamp.time = Some(clock(rest)?);
    stamp.offset = offset;
    Some(stamp)
}

/// A Unix time of at least nine digits, perhaps with a fraction; or a date in digits alone.
fn unix(text: &str) -> Option<Stamp> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || fraction.bytes().any(|b| b != b'0') {
        return None;
    }
    let number = |range: std::ops::Range<usize>| whole.get(range)?.parse::<i16>().ok();
    let date = |text: &str| {
        let [month, day] = [number(4..6)?, number(6..8)?].map(|n| i8::try_from(n).unwrap_or(0));
        let date = Date::from_ymd(number(0..4)?, month, day)?;
        (text.len() >= 8 && (1900..=2100).contains(&number(0..4)?)).then_some(Day::Date(date))
    };
    let time = |text: &str| clock(text);
    match whole.len() {
        8 => Some(Stamp { day: date(whole)?, time: None, offset: None }),
        12 | 14 => match (date(whole), time(&whole[8..])) {
            (Some(day), Some(time)) => Some(Stamp { day, time: Some(time), offset: None }),
            _ => Some(Stamp { day: Day::Unix(whole.parse().ok()?), time: None, offset: None }),
        },
        9..=19 => Some(Stamp { day: Day::Unix(whole.parse().ok()?), time: None, offset: None }),
        _ => None,
    }
}

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

/// The date that a text begins with, and what comes after it.
fn day(text: &str) -> Option<(Day, &str)> {
    let bytes = text.as_bytes();
    // Nothing that is a date has more: a long text is not looked through.
    let end = bytes.iter().take(24).position(|b| !b.is_ascii_digit()).unwrap_or(bytes.len().min(24));
    let separator = *bytes.get(end).unwrap_or(&b' ');
    if end == 8 && (separator == b' ' || separator == b'T') {
        return Some((unix(&text[..8])?.day, &text[8..]));
    }
    if let Some(named) = day_with_name(text) {
        return Some(named);
    }
    if !(1..=4).contains(&end) || !b"-/.".contains(&separator) {
        return None;
    }
    let (first, rest) = number(text)?;
    let (second, rest) = number(rest.strip_prefix(separator as char)?)?;
    let rest = rest.strip_prefix(separator as char)?;
    let width = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (third, rest) = number(rest)?;
    let small = |n: i16| i8::try_from(n).ok();
    if end == 4 {
        return (width <= 2)
            .then_some(())
            .and_then(|()| Some((Day::Date(date(first, small(second)?, small(third)?)?), rest)));
    }
    (width == 4 && end <= 2).then_some(())?;
    let (first, second) = (small(first)?, small(second)?);
    // One of the orders must give a date.
    date(third, first, second).or(date(third, second, first))?;
    Some((Day::Either { first, second, year: third, points: separator == b'.' }, rest))
}

fn date(year: i16, month: i8, day: i8) -> Option<Date> {
    (1000..=9999).contains(&year).then(|| Date::from_ymd(year, month, day)).flatten()
}

/// `02-Jan-2024`, `Jan 02, 2024`.
fn day_with_name(text: &str) -> Option<(Day, &str)> {
    let month_of = |text: &'_ str| -> Option<(i8, usize)> {
        let letters = text.bytes().take(10).take_while(u8::is_ascii_alphabetic).count();
        let name = text.get(..3)?.to_ascii_lowercase();
        let month = MONTHS.iter().position(|m| *m == name)? as i8 + 1;
        (letters >= 3).then_some((month, letters))
    };
    let separators = [' ', '-', '/', ',', '.'];
    let skip = |text: &'_ str| text.len() - text.trim_start_matches(separators).len();
    if let Some((month, used)) = month_of(text) {
        let rest = &text[used..];
        let (day, rest) = number(&rest[skip(rest)..])?;
        let (year, rest) = number(&rest[skip(rest)..])?;
        return Some((Day::Date(date(year, month, i8::try_from(day).ok()?)?), rest));
    }
    let (day, rest) = number(text)?;
    let rest = &rest[skip(rest)..];
    let (month, used) = month_of(rest)?;
    let rest = &rest[used..];
    let (year, rest) = number(&rest[skip(rest)..])?;
    Some((Day::Date(date(year, month, i8::try_from(day).ok()?)?), rest))
}

/// Up to four digits, and what comes after them.
fn number(text: &str) -> Option<(i16, &str)> {
    let digits = text.bytes().take(5).take_while(u8::is_ascii_digit).count();
    (1..=4).contains(&digits).then_some(())?;
    Some((text[..digits].parse().ok()?, &text[digits..]))
}

/// What stands before an offset from UTC, and the offset: `Z`, `UTC`, `+01:00`, `-0400`.
pub(crate) fn offset(text: &str) -> (&str, Option<Nanos>) {
    for utc in ["Z", "z", "UTC", "GMT"] {
        if let Some(rest) = text.strip_suffix(utc) {
            return (rest.trim_end(), Some(0));
        }
    }
    let Some(at) = text.rfind(['+', '-', '\u{2212}']) else { return (text, None) };
    let sign = if text[at..].starts_with('+') { 1 } else { -1 };
    let written = text[at..].trim_start_matches(['+', '-', '\u{2212}']);
    let digits: String = written.chars().filter(|c| *c != ':').collect();
    if ![2, 4].contains(&digits.len()) || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return (text, None);
    }
    let hours: Nanos = digits[..2].parse().unwrap_or(99);
    let minutes: Nanos = digits.get(2..).filter(|m| !m.is_empty()).map_or(0, |m| m.parse().unwrap_or(99));
    if hours > 15 || minutes > 59 {
        return (text, None);
    }
    (text[..at].trim_end(), Some(sign * (hours * HOUR + minutes * MINUTE)))
}

/// A time of day: `9:30`, `09:30:00.000`, `093000`, `930`, `9:30 AM`.
pub(crate) fn clock(text: &str) -> Option<Nanos> {
    let text = text.trim();
    let (text, half) = match text.len().checked_sub(2).and_then(|at| text.split_at_checked(at)) {
        Some((rest, half)) if half.eq_ignore_ascii_case("am") || half.eq_ignore_ascii_case("pm") => {
            (rest.trim_end(), Some(half.eq_ignore_ascii_case("pm")))
        }
        _ => (text, None),
    };
    let two = |text: &str| {
        (text.len() <= 2 && !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()))
            .then(|| text.parse::<Nanos>().ok())
            .flatten()
    };
    let (mut hour, minute, second, fraction) = if text.contains(':') {
        let mut parts = text.splitn(3, ':');
        let (hour, minute) = (two(parts.next()?)?, two(parts.next()?)?);
        let seconds = parts.next().unwrap_or("0");
        let (second, fraction) = seconds.split_once(['.', ',']).unwrap_or((seconds, ""));
        (hour, minute, two(second)?, fraction)
    } else {
        let digits = text.bytes().all(|b| b.is_ascii_digit());
        if !digits || text.is_empty() || text.len() > 6 {
            return None;
        }
        // 93000 and 0930 are 09:30; 0 is midnight.
        let number: Nanos = text.parse().ok()?;
        let number = if text.len() > 4 { number } else { number * 100 };
        (number / 10_000, number / 100 % 100, number % 100, "")
    };
    if let Some(afternoon) = half {
        hour = (1..=12).contains(&hour).then_some(hour % 12 + if afternoon { 12 } else { 0 })?;
    }
    let mut nanos = 0;
    if !fraction.is_empty() {
        (fraction.len() <= 9 && fraction.bytes().all(|b| b.is_ascii_digit())).then_some(())?;
        nanos = fraction.parse::<Nanos>().ok()? * 10_i64.pow(9 - fraction.len() as u32);
    }
    (hour < 24 && minute < 60 && second < 60).then_some(())?;
    Some(hour * HOUR + minute * MINUTE + second * SECOND + nanos)
}

/// That a text is no time.
pub(crate) fn not_a_time(text: &str) -> Error {
    let at_all = if text.trim().is_empty() { codes::MISSING_VALUE } else { codes::BAD_VALUE };
    Error::new(at_all, format!("{} is not a timestamp", quoted(text)))
        .help("write the start of the bar in UTC or with its offset, e.g. 2024-04-01T13:30:00Z")
}

/// What is known of how a layout writes its times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Custom {
    /// The order of 04/01/2024.
    pub(crate) order: Option<TimeFormat>,
    /// Times without a zone are UTC by the layout's own rules.
    pub(crate) utc: bool,
    /// Times without a zone are somebody's local ones.
    pub(crate) local: bool,
}

/// A column of times, settled.
#[derive(Debug)]
pub(crate) struct Times {
    pub(crate) starts: Vec<Nanos>,
    pub(crate) clock: Clock,
    pub(crate) assumed: Vec<String>,
}

/// Settles a column. An error comes with the row that it is about.
pub(crate) fn settle(stamps: &[Stamp], told: &Told, custom: Custom) -> std::result::Result<Times, (usize, Error)> {
    let mut times = Times { starts: Vec::with_capacity(stamps.len()), clock: Clock::default(), assumed: Vec::new() };
    let unit = unit(stamps, told, &mut times)?;
    let order = order(stamps, told, custom, &mut times)?;
    let has_time = stamps.iter().any(|s| s.time.is_some_and(|t| t != 0));
    let naive = has_time && stamps.iter().any(|s| s.time.is_some() && s.offset.is_none());
    let zone = told.zone.as_ref().filter(|_| naive);
    times.clock.zone = told.zone.clone();
    for (row, stamp) in stamps.iter().enumerate() {
        let fail = |e: Error| (row, e);
        let date = match (stamp.day, unit) {
            (Day::Unix(count), Some(unit)) => {
                let start = count.checked_mul(unit);
                times.starts.push(start.ok_or_else(|| fail(not_a_time(&count.to_string())))?);
                times.clock.note_offset(0);
                continue;
            }
            (Day::Unix(count), None) => return Err(fail(lone_unix(count))),
            (Day::Date(date), _) => date,
            (Day::Either { first, second, year, .. }, _) => {
                let (month, day) = if order == Some(TimeFormat::DayFirst) { (second, first) } else { (first, second) };
                let written = || format!("{first:02}/{second:02}/{year}");
                date(year, month, day).ok_or_else(|| fail(not_a_time(&written())))?
            }
        };
        let local = date.utc_midnight().checked_add(stamp.time.unwrap_or(0));
        let local = local.filter(|_| (-90_000..=90_000).contains(&date.0));
        let local = local.ok_or_else(|| fail(not_a_time(&date.to_string())))?;
        let start = match (stamp.offset, zone) {
            (Some(offset), _) => {
                times.clock.note_offset(offset);
                local - offset
            }
            (None, Some(zone)) => in_zone(local, zone).map_err(fail)?,
            (None, None) => {
                times.clock.note_offset(0);
                local
            }
        };
        times.starts.push(start);
    }
    times.clock.naive = naive && zone.is_none() && !custom.utc;
    if naive && zone.is_none() && custom.local && !same_time_of_day(&times.starts) {
        let at = stamps.iter().position(|s| s.time.is_some_and(|t| t != 0)).unwrap_or(0);
        let shown = iso_utc(times.starts[at]);
        let what = format!("times such as {} are local, and nothing says where", shown.trim_end_matches('Z'));
        return Err((at, Error::new(codes::NO_ZONE, what)));
    }
    Ok(times)
}

/// The nanoseconds that one unit of the column's Unix times stands for.
fn unit(stamps: &[Stamp], told: &Told, times: &mut Times) -> std::result::Result<Option<Nanos>, (usize, Error)> {
    let unix = |s: &Stamp| match s.day {
        Day::Unix(count) => Some(count),
        _ => None,
    };
    let Some(first) = stamps.iter().position(|s| unix(s).is_some()) else { return Ok(None) };
    if let Some(other) = stamps.iter().position(|s| unix(s).is_none()) {
        // One kind of time in a column: the rarer one is the fault.
        let at = if other > first { other } else { first };
        let count = stamps.iter().find_map(unix).unwrap_or_default();
        return Err((at, lone_unix(count)));
    }
    let told = match told.time_format {
        Some(TimeFormat::Seconds) => Some(SECOND),
        Some(TimeFormat::Millis) => Some(1_000_000),
        Some(TimeFormat::Micros) => Some(1_000),
        Some(TimeFormat::Nanos) => Some(1),
        _ => None,
    };
    if told.is_some() {
        return Ok(told);
    }
    let counts = || stamps.iter().filter_map(unix);
    let (least, most) = (counts().min().unwrap_or_default(), counts().max().unwrap_or_default());
    match UNITS.into_iter().find(|u| (u.2..=u.3).contains(&least) && (u.2..=u.3).contains(&most)) {
        Some((each, name, ..)) => {
            times.assumed.push(format!("times are Unix {name}"));
            Ok(Some(each))
        }
        None => {
            let at = stamps.iter().position(|s| unix(s).is_some_and(|c| unit_of(c).is_none())).unwrap_or(first);
            Err((at, lone_unix(unix(&stamps[at]).unwrap_or_default())))
        }
    }
}

/// Units of Unix times: nanoseconds, name, and what 1990 and 2031 are in them.
const UNITS: [(Nanos, &str, i64, i64); 4] = [
    (SECOND, "seconds", 631_152_000, 1_956_528_000),
    (1_000_000, "milliseconds", 631_152_000_000, 1_956_528_000_000),
    (1_000, "microseconds", 631_152_000_000_000, 1_956_528_000_000_000),
    (1, "nanoseconds", 631_152_000_000_000_000, 1_956_528_000_000_000_000),
];

fn unit_of(count: i64) -> Option<&'static str> {
    UNITS.into_iter().find(|u| (u.2..=u.3).contains(&count)).map(|u| u.1)
}

/// A number that is no time, or one among others that are written otherwise.
fn lone_unix(count: i64) -> Error {
    let text = count.to_string();
    let err = Error::new(codes::BAD_VALUE, format!("{} is not a timestamp", quoted(&text)));
    match unit_of(count) {
        Some(unit) => Error::new(err.code(), format!("{}; it looks like Unix {unit}, which others don't", err.what()))
            .help("write all times of a column alike"),
        None => err.help("if it is a Unix time, say its unit: --time-format s, ms, us or ns"),
    }
}

/// Unix times of an integer column.
pub(crate) fn of_integers(counts: impl Iterator<Item = i64>) -> Vec<Stamp> {
    let of = |count: i64| Stamp { day: integer_day(count), time: None, offset: None };
    counts.map(of).collect()
}

/// 20240401 is a date; all else counts from 1970.
fn integer_day(count: i64) -> Day {
    let is_date = (19_000_101..=21_001_231).contains(&count);
    let date = || {
        let [month, day] = [count / 100 % 100, count % 100].map(|n| n as i8);
        date((count / 10_000) as i16, month, day)
    };
    is_date.then(date).flatten().map_or(Day::Unix(count), Day::Date)
}

/// Whether month or day comes first, where the year comes last.
fn order(
    stamps: &[Stamp],
    told: &Told,
    custom: Custom,
    times: &mut Times,
) -> std::result::Result<Option<TimeFormat>, (usize, Error)> {
    let (mut day_first, mut month_first, mut open, mut points) = (None, None, None, true);
    for (row, stamp) in stamps.iter().enumerate() {
        let Day::Either { first, second, points: by_points, .. } = stamp.day else { continue };
        points &= by_points;
        if first > 12 {
            day_first = day_first.or(Some(row));
        } else if second > 12 {
            month_first = month_first.or(Some(row));
        } else {
            open = open.or(Some(row));
        }
    }
    let told = told.time_format.filter(|f| matches!(f, TimeFormat::MonthFirst | TimeFormat::DayFirst));
    match (day_first, month_first) {
        (Some(a), Some(b)) => {
            let what = "dates of which some have the day first and some the month";
            Err((a.max(b), Error::new(codes::BAD_VALUE, what).help("write dates alike, best as YYYY-MM-DD")))
        }
        (Some(_), None) => Ok(Some(TimeFormat::DayFirst)),
        (None, Some(_)) => Ok(Some(TimeFormat::MonthFirst)),
        (None, None) => {
            let Some(row) = open else { return Ok(None) };
            if let Some(known) = told.or(custom.order) {
                return Ok(Some(known));
            }
            if points {
                times.assumed.push("dates by points have the day first".to_owned());
                return Ok(Some(TimeFormat::DayFirst));
            }
            let Day::Either { first, second, year, .. } = stamps[row].day else { return Ok(None) };
            let what = format!("is {first:02}/{second:02}/{year} month or day first? No row tells");
            Err((row, Error::new(codes::BAD_VALUE, what).help("say it: --time-format mdy or --time-format dmy")))
        }
    }
}

fn same_time_of_day(starts: &[Nanos]) -> bool {
    let mut days: Vec<Nanos> = starts.to_vec();
    days.dedup();
    days.len() > 1 && days.windows(2).all(|w| w[0].rem_euclid(DAY) == w[1].rem_euclid(DAY))
}

/// The instant at which a zone's clocks show `local`.
pub(crate) fn in_zone(local: Nanos, zone: &TimeZone) -> Result<Nanos> {
    let seconds = local.div_euclid(SECOND);
    let shown = || iso_utc(local).trim_end_matches('Z').to_owned();
    let civil = jiff::Timestamp::from_second(seconds).map(|t| jiff::tz::Offset::UTC.to_datetime(t));
    let civil = civil.map_err(|_| not_a_time(&shown()))?;
    let offset = match zone.to_ambiguous_timestamp(civil).offset() {
        AmbiguousOffset::Unambiguous { offset } => offset,
        AmbiguousOffset::Gap { .. } => {
            return Err(Error::new(
                codes::BAD_VALUE,
                format!("{} doesn't exist in that zone: clocks go forward", shown()),
            ));
        }
        AmbiguousOffset::Fold { .. } => {
            return Err(Error::new(codes::BAD_VALUE, format!("{} is twice in that zone: clocks go back", shown()))
                .help("write these times with their offset"));
        }
    };
    Ok(local - i64::from(offset.seconds()) * SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(texts: &[&str], told: &Told) -> std::result::Result<Vec<String>, String> {
        let stamps: Vec<Stamp> = texts
            .iter()
            .map(|t| parse(t).ok_or_else(|| not_a_time(t).to_string()))
            .collect::<std::result::Result<_, _>>()?;
        let times = settle(&stamps, told, Custom::default()).map_err(|e| e.1.to_string())?;
        Ok(times.starts.into_iter().map(iso_utc).collect())
    }

    #[test]
    fn one_instant_in_every_way_it_is_written() {
        let told = Told::default();
        for text in [
            "2024-04-01T13:30:00Z",
            "2024-04-01 13:30:00",
            "2024-04-01T09:30:00-04:00",
            "2024-04-01 13:30:00+00:00",
            "2024-04-01 09:30:00-0400",
            "2024-04-01T13:30:00.000000000Z",
            "20240401 13:30",
            "20240401 133000",
            "202404011330",
            "20240401133000",
            "2024.04.01 13:30",
            "2024/04/01 13:30:00",
            "1711978200",
            "1711978200000",
            "1711978200000000",
            "1711978200000000000",
            "1711978200.0",
            "01-Apr-2024 13:30",
            "Apr 1, 2024 1:30 PM",
            "2024-04-01 13:30:00 UTC",
        ] {
            assert_eq!(read(&[text], &told), Ok(vec!["2024-04-01T13:30:00Z".to_owned()]), "{text}");
        }
        for bad in ["", "x", "2024-04-01T25:00:00", "2024-04-01T10:00:00[America/New_York]", "2024-02-30", "7", "ten"] {
            assert!(read(&[bad], &told).is_err(), "{bad}");
        }
    }

    #[test]
    fn day_and_month_are_settled_by_any_row_or_told_but_not_guessed() {
        let told = Told::default();
        assert!(read(&["03/04/2024"], &told).is_err_and(|e| e.contains("month or day first")));
        assert_eq!(read(&["03/04/2024", "03/15/2024"], &told).map(|t| t[0].clone()), Ok("2024-03-04T00:00:00Z".into()));
        assert_eq!(read(&["03/04/2024", "15/04/2024"], &told).map(|t| t[0].clone()), Ok("2024-04-03T00:00:00Z".into()));
        assert!(read(&["13/04/2024", "03/15/2024"], &told).is_err());
        let told = Told { time_format: Some(TimeFormat::DayFirst), ..Told::default() };
        assert_eq!(read(&["03/04/2024"], &told).map(|t| t[0].clone()), Ok("2024-04-03T00:00:00Z".into()));
    }

    #[test]
    fn local_times_follow_their_zone_and_its_clock_changes() {
        let told = Told { zone: super::super::told::parse_zone("America/New_York").ok(), ..Told::default() };
        let read_one = |text: &str| read(&[text], &told).map(|t| t[0].clone());
        assert_eq!(read_one("2024-03-08 09:30"), Ok("2024-03-08T14:30:00Z".into()));
        assert_eq!(read_one("2024-03-11 09:30"), Ok("2024-03-11T13:30:00Z".into()));
        assert!(read_one("2024-03-10 02:30").is_err(), "clocks skip it");
        assert!(read_one("2024-11-03 01:30").is_err(), "clocks show it twice");
        assert_eq!(read_one("2024-03-08"), Ok("2024-03-08T00:00:00Z".into()), "a date alone is a session's name");
    }
}
