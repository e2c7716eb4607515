//! Plain market values: symbol, timeframe, date, bar, and borrowed columns of bars.

use std::fmt;
use std::str::FromStr;

use ndarray::ArrayView1;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result, codes, quoted};

/// Nanoseconds since 1970-01-01T00:00:00Z.
pub type Nanos = i64;

/// One second in nanoseconds.
pub const SECOND: Nanos = 1_000_000_000;
/// One minute in nanoseconds.
pub const MINUTE: Nanos = 60 * SECOND;
/// One hour in nanoseconds.
pub const HOUR: Nanos = 60 * MINUTE;
/// One day of 24 hours in nanoseconds.
pub const DAY: Nanos = 24 * HOUR;
/// Seven days in nanoseconds.
pub const WEEK: Nanos = 7 * DAY;

/// A ticker such as `AMC` or `BRK.B`: at most 12 of `A-Z 0-9 . -`, a letter first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Symbol([u8; 12]);

impl Symbol {
    /// The ticker as text.
    pub fn as_str(&self) -> &str {
        let len = self.0.iter().position(|&b| b == 0).unwrap_or(12);
        std::str::from_utf8(&self.0[..len]).unwrap_or_default()
    }
}

impl FromStr for Symbol {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let allowed = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'.' || b == b'-';
        let valid = text.len() <= 12
            && text.bytes().all(allowed)
            && text.bytes().next().is_some_and(|b| b.is_ascii_uppercase());
        if !valid {
            return Err(Error::new(codes::BAD_ARGUMENT, format!("{} is not a symbol", quoted(text)))
                .help("a symbol is up to 12 of A-Z 0-9 . - and starts with a letter, e.g. AMC"));
        }
        let mut bytes = [0; 12];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for Symbol {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Symbol> for String {
    fn from(symbol: Symbol) -> Self {
        symbol.as_str().to_owned()
    }
}

impl fmt::Display for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How long a bar lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Timeframe {
    /// One minute.
    #[serde(rename = "1Min")]
    Minute,
    /// Five minutes.
    #[serde(rename = "5Min")]
    FiveMinutes,
    /// Ten minutes.
    #[serde(rename = "10Min")]
    TenMinutes,
    /// Fifteen minutes.
    #[serde(rename = "15Min")]
    FifteenMinutes,
    /// Thirty minutes.
    #[serde(rename = "30Min")]
    ThirtyMinutes,
    /// One hour of the clock.
    #[serde(rename = "1Hour")]
    Hour,
    /// One exchange day, keyed by its session date at 00:00Z.
    #[serde(rename = "1Day")]
    Day,
    /// The sessions from Monday to Friday, keyed by the Monday at 00:00Z.
    #[serde(rename = "1Week")]
    Week,
}

/// 1970-01-05, a Monday: weeks are counted from here.
const FIRST_MONDAY: Nanos = 4 * DAY;

/// What people write for a unit of time. `M` alone is a month elsewhere, so it isn't here.
const UNITS: [(&[&str], Nanos); 4] = [
    (&["min", "m", "mins", "minute", "minutes"], MINUTE),
    (&["hour", "h", "hr", "hours", "hourly"], HOUR),
    (&["day", "d", "days", "daily"], DAY),
    (&["week", "w", "wk", "weeks", "weekly"], WEEK),
];

impl Timeframe {
    /// All timeframes, finest first.
    pub const ALL: [Self; 8] = [
        Self::Minute,
        Self::FiveMinutes,
        Self::TenMinutes,
        Self::FifteenMinutes,
        Self::ThirtyMinutes,
        Self::Hour,
        Self::Day,
        Self::Week,
    ];

    /// Bar width in nanoseconds.
    pub const fn width(self) -> Nanos {
        match self {
            Self::Minute => MINUTE,
            Self::FiveMinutes => 5 * MINUTE,
            Self::TenMinutes => 10 * MINUTE,
            Self::FifteenMinutes => 15 * MINUTE,
            Self::ThirtyMinutes => 30 * MINUTE,
            Self::Hour => HOUR,
            Self::Day => DAY,
            Self::Week => WEEK,
        }
    }

    /// The width that lasts so long.
    pub(crate) fn of_width(width: Nanos) -> Option<Self> {
        Self::ALL.into_iter().find(|timeframe| timeframe.width() == width)
    }

    /// The name used in configs and file paths: `1Min`, `5Min`, `10Min`, `15Min`, `30Min`, `1Hour`, `1Day`, `1Week`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Minute => "1Min",
            Self::FiveMinutes => "5Min",
            Self::TenMinutes => "10Min",
            Self::FifteenMinutes => "15Min",
            Self::ThirtyMinutes => "30Min",
            Self::Hour => "1Hour",
            Self::Day => "1Day",
            Self::Week => "1Week",
        }
    }

    /// Every name, for messages.
    pub fn names() -> String {
        Self::ALL.map(Self::name).join(", ")
    }

    /// Whether bars lie within a session: they have hours, and a New York date.
    pub const fn is_intraday(self) -> bool {
        self.width() < DAY
    }

    /// The start of the bar that contains `at`: minutes and hours of the clock, days and weeks of UTC dates.
    /// New York's offset is whole hours, so these are also its clock's, and 09:30 begins a bar of 30 minutes or less.
    pub const fn start_of(self, at: Nanos) -> Nanos {
        at.saturating_sub(self.since_start(at))
    }

    /// Whether a bar can start at `at`.
    pub const fn starts_at(self, at: Nanos) -> bool {
        self.since_start(at) == 0
    }

    const fn since_start(self, at: Nanos) -> Nanos {
        let first = if let Self::Week = self { FIRST_MONDAY } else { 0 };
        (at.rem_euclid(self.width()) - first).rem_euclid(self.width())
    }
}

impl fmt::Display for Timeframe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The name, or what people write for it: `5m`, `5 minutes`, `60min`, `1h`, `daily`, `1w`.
impl FromStr for Timeframe {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let unknown = || {
            let what = format!("{} is no bar width: those are {}", quoted(text), Self::names());
            Error::new(codes::BAD_ARGUMENT, what).help("5m, 1h, daily and the like also do")
        };
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (count, unit) = text.split_at(digits);
        let unit = unit.trim_start();
        // A letter alone may be anything, a ticker among them.
        let count = if count.is_empty() && unit.len() > 2 { Some(1) } else { count.parse().ok() };
        let named = |names: &[&str]| unit != "M" && names.iter().any(|name| name.eq_ignore_ascii_case(unit));
        let width = UNITS.iter().find(|(names, _)| named(names)).map(|(_, width)| *width);
        let width = count.zip(width).and_then(|(count, width)| width.checked_mul(count));
        Self::ALL.into_iter().find(|t| Some(t.width()) == width).ok_or_else(unknown)
    }
}

/// A calendar date: days since 1970-01-01.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Date(pub i32);

impl Date {
    /// The UTC date that contains `at`.
    pub const fn of_utc(at: Nanos) -> Self {
        Self(at.div_euclid(DAY) as i32)
    }

    /// 00:00Z of this date.
    pub const fn utc_midnight(self) -> Nanos {
        self.0 as i64 * DAY
    }

    /// Year, month and day of the Gregorian calendar.
    pub fn civil(self) -> jiff::civil::Date {
        let midnight = jiff::Timestamp::from_second(i64::from(self.0) * 86_400);
        jiff::tz::Offset::UTC.to_datetime(midnight.unwrap_or_default()).date()
    }

    /// The date `year`-`month`-`day`, if it exists.
    pub fn from_ymd(year: i16, month: i8, day: i8) -> Option<Self> {
        let date = jiff::civil::Date::new(year, month, day).ok()?;
        Some(Self::from(date))
    }
}

impl From<jiff::civil::Date> for Date {
    fn from(date: jiff::civil::Date) -> Self {
        let epoch = jiff::civil::date(1970, 1, 1);
        let days = date.duration_since(epoch).as_hours() / 24;
        Self(days as i32)
    }
}

impl FromStr for Date {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let strict = text.len() == 10 && !text.contains(['T', ' ', '+']);
        let plausible = |d: &jiff::civil::Date| strict && (1900..=2100).contains(&d.year());
        let date = jiff::civil::Date::from_str(text).ok().filter(plausible);
        date.map(Self::from).ok_or_else(|| {
            Error::new(codes::BAD_ARGUMENT, format!("{} is not a date", quoted(text)))
                .help("write dates of 1900 to 2100 as YYYY-MM-DD, e.g. 2024-04-01")
        })
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.civil().to_string())
    }
}

impl fmt::Debug for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Date {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Date {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// `2024-04-01T19:25:00Z`: how every output writes an instant.
pub fn iso_utc(at: Nanos) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(at)).map_or_else(|e| e.to_string(), |t| t.to_string())
}

/// One completed bar. Prices in dollars, `volume` in shares.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bar {
    /// Start of the bar; a bar covers `[start, end)`.
    pub start: Nanos,
    /// End of the bar: the first instant at which it is known.
    pub end: Nanos,
    /// First price.
    pub open: f64,
    /// Highest price.
    pub high: f64,
    /// Lowest price.
    pub low: f64,
    /// Last price.
    pub close: f64,
    /// Shares traded.
    pub volume: f64,
}

impl Bar {
    /// Joins a finer bar that came later in its time.
    pub fn join(&mut self, later: &Self) {
        self.high = self.high.max(later.high);
        self.low = self.low.min(later.low);
        self.close = later.close;
        self.volume += later.volume;
    }
}

/// Borrowed columns of bars of equal length, oldest first, starts strictly increasing.
///
/// The columns may be mapped from a cache file or belong to the caller.
#[derive(Clone, Copy, Debug)]
pub struct Bars<'a> {
    width: Nanos,
    start: &'a [Nanos],
    open: &'a [f64],
    high: &'a [f64],
    low: &'a [f64],
    close: &'a [f64],
    volume: &'a [f64],
}

impl<'a> Bars<'a> {
    /// Lends columns as bars of `timeframe`: `[open, high, low, close, volume]` beside `start`.
    ///
    /// # Errors
    /// Data error if lengths differ or starts do not strictly increase.
    pub fn new(timeframe: Timeframe, start: &'a [Nanos], ohlcv: [&'a [f64]; 5]) -> Result<Self> {
        if let Some(column) = ohlcv.iter().find(|c| c.len() != start.len()) {
            let (have, want) = (column.len(), start.len());
            return Err(Error::new(codes::COLUMN_MISMATCH, format!("a column has {have} rows where start has {want}")));
        }
        if let Some(i) = start.windows(2).position(|w| w[0] >= w[1]) {
            let (a, b) = (iso_utc(start[i]), iso_utc(start[i + 1]));
            return Err(Error::new(codes::BARS_DISORDERED, format!("bar starts do not increase: {a} then {b}")));
        }
        Ok(Self::trusted(timeframe, start, ohlcv))
    }

    /// Columns already known to be ordered and of one length (a checked cache).
    pub(crate) fn trusted(
        timeframe: Timeframe,
        start: &'a [Nanos],
        [open, high, low, close, volume]: [&'a [f64]; 5],
    ) -> Self {
        Self { width: timeframe.width(), start, open, high, low, close, volume }
    }

    /// A single bar.
    pub(crate) fn one(bar: &'a Bar) -> Self {
        use std::slice::from_ref;
        Self {
            width: bar.end - bar.start,
            start: from_ref(&bar.start),
            open: from_ref(&bar.open),
            high: from_ref(&bar.high),
            low: from_ref(&bar.low),
            close: from_ref(&bar.close),
            volume: from_ref(&bar.volume),
        }
    }

    /// The same bars with one value each for all of a bar's prices.
    pub(crate) fn with_values<'b>(&self, values: &'b [f64]) -> Bars<'b>
    where
        'a: 'b,
    {
        debug_assert_eq!(values.len(), self.len());
        let Self { width, start, volume, .. } = *self;
        Bars { width, start, open: values, high: values, low: values, close: values, volume }
    }

    /// How long a bar lasts, nanoseconds.
    pub(crate) fn width(&self) -> Nanos {
        self.width
    }

    /// Number of bars.
    pub fn len(&self) -> usize {
        self.start.len()
    }

    /// Whether there is no bar.
    pub fn is_empty(&self) -> bool {
        self.start.is_empty()
    }

    /// Bar `i`.
    ///
    /// # Panics
    /// If `i >= len()`.
    #[inline(always)]
    pub fn get(&self, i: usize) -> Bar {
        Bar {
            start: self.start[i],
            end: self.start[i] + self.width,
            open: self.open[i],
            high: self.high[i],
            low: self.low[i],
            close: self.close[i],
            volume: self.volume[i],
        }
    }

    /// Start of bar `i`: single values, where a whole bar would touch five columns.
    #[inline(always)]
    pub(crate) fn start_at(&self, i: usize) -> Nanos {
        self.start[i]
    }

    /// End of bar `i`.
    #[inline(always)]
    pub(crate) fn end_at(&self, i: usize) -> Nanos {
        self.start[i] + self.width
    }

    /// Open of bar `i`.
    #[inline(always)]
    pub(crate) fn open_at(&self, i: usize) -> f64 {
        self.open[i]
    }

    /// Low of bar `i`.
    #[inline(always)]
    pub(crate) fn low_at(&self, i: usize) -> f64 {
        self.low[i]
    }

    /// High of bar `i`.
    #[inline(always)]
    pub(crate) fn high_at(&self, i: usize) -> f64 {
        self.high[i]
    }

    /// Close of bar `i`.
    #[inline(always)]
    pub(crate) fn close_at(&self, i: usize) -> f64 {
        self.close[i]
    }

    /// The bars `range`, borrowed; all columns of the result have one visible length,
    /// so that loops over it need no bounds checks.
    #[inline(always)]
    pub fn slice(&self, range: std::ops::Range<usize>) -> Self {
        Self {
            width: self.width,
            start: &self.start[range.clone()],
            open: &self.open[range.clone()],
            high: &self.high[range.clone()],
            low: &self.low[range.clone()],
            close: &self.close[range.clone()],
            volume: &self.volume[range],
        }
    }

    /// Bar starts, ns UTC.
    pub fn starts(&self) -> &'a [Nanos] {
        self.start
    }

    /// Opening prices as an array view.
    pub fn open(&self) -> ArrayView1<'a, f64> {
        self.open.into()
    }

    /// High prices as an array view.
    pub fn high(&self) -> ArrayView1<'a, f64> {
        self.high.into()
    }

    /// Low prices as an array view.
    pub fn low(&self) -> ArrayView1<'a, f64> {
        self.low.into()
    }

    /// Closing prices as an array view.
    pub fn close(&self) -> ArrayView1<'a, f64> {
        self.close.into()
    }

    /// Volumes in shares as an array view.
    pub fn volume(&self) -> ArrayView1<'a, f64> {
        self.volume.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_sort_alphabetically_and_refuse_paths() {
        let mut symbols: Vec<Symbol> = ["WKHS", "A", "AMC", "BRK.B"].iter().filter_map(|s| s.parse().ok()).collect();
        symbols.sort();
        let names: Vec<&str> = symbols.iter().map(Symbol::as_str).collect();
        assert_eq!(names, ["A", "AMC", "BRK.B", "WKHS"]);
        for bad in ["", "..", "a", "../X", "TOOLONGSYMBOLX", "A B"] {
            assert!(bad.parse::<Symbol>().is_err(), "{bad}");
        }
    }

    #[test]
    fn bar_widths_are_read_as_people_write_them() {
        for timeframe in Timeframe::ALL {
            assert_eq!(timeframe.name().parse::<Timeframe>().expect("its name"), timeframe);
            assert_eq!(timeframe.name().to_lowercase().parse::<Timeframe>().expect("in any case"), timeframe);
            let json = serde_json::to_string(&timeframe).expect("JSON");
            assert_eq!(json, format!("\"{timeframe}\""), "configs have the name");
        }
        for (text, name) in [
            ("1m", "1Min"),
            ("minute", "1Min"),
            ("5m", "5Min"),
            ("5 minutes", "5Min"),
            ("15mins", "15Min"),
            ("60min", "1Hour"),
            ("1H", "1Hour"),
            ("hourly", "1Hour"),
            ("1D", "1Day"),
            ("daily", "1Day"),
            ("24h", "1Day"),
            ("1w", "1Week"),
            ("weekly", "1Week"),
        ] {
            assert_eq!(text.parse::<Timeframe>().expect(text).name(), name, "{text}");
        }
        for bad in
            ["", "1", "5", "1M", "M", "D", "1Huor", "0min", "7Min", "4h", "2Day", "99999999999999999999min", "-5min"]
        {
            assert!(bad.parse::<Timeframe>().is_err(), "{bad}");
        }
    }

    #[test]
    fn weeks_start_on_mondays() {
        let midnight = |text: &str| text.parse::<Date>().expect("a date").utc_midnight();
        for day in ["2024-07-01", "2024-07-03", "2024-07-05", "2024-07-07"] {
            assert_eq!(Timeframe::Week.start_of(midnight(day) + 5 * HOUR), midnight("2024-07-01"), "{day}");
        }
        assert_eq!(Timeframe::Week.start_of(midnight("2024-07-08")), midnight("2024-07-08"));
        assert!(Timeframe::Week.starts_at(midnight("1969-12-29")), "before 1970, too");
        for at in [Nanos::MIN, Nanos::MAX] {
            assert!(!Timeframe::ALL.iter().any(|t| t.starts_at(at)), "whatever a file holds");
        }
    }

    #[test]
    fn dates_round_trip() {
        for text in ["1970-01-01", "2024-02-29", "1990-12-31", "2030-12-31"] {
            let date: Date = text.parse().expect("a date");
            assert_eq!(date.to_string(), text);
        }
        for bad in ["2024-02-30", "20240201", "2024-2-1", "2024-02-01T00:00", ""] {
            assert!(bad.parse::<Date>().is_err(), "{bad}");
        }
    }

    #[test]
    fn bars_refuse_unordered_or_ragged_columns() {
        let two = [1.0, 2.0];
        let ohlcv = [&two[..]; 5];
        assert!(Bars::new(Timeframe::Minute, &[0, MINUTE], ohlcv).is_ok());
        assert!(Bars::new(Timeframe::Minute, &[0, 0], ohlcv).is_err());
        assert!(Bars::new(Timeframe::Minute, &[0], ohlcv).is_err());
    }
}
