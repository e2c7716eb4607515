//! What the user says of the files, where they don't tell themselves.

use std::str::FromStr;

use jiff::tz::TimeZone;

use crate::bar::{Symbol, Timeframe};
use crate::error::{Error, Result, codes, quoted};

/// What a column means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// When the bar starts, or its date alone.
    Timestamp,
    /// The time of day, beside a date.
    Time,
    /// First price.
    Open,
    /// Highest price.
    High,
    /// Lowest price.
    Low,
    /// Last price.
    Close,
    /// Shares traded.
    Volume,
    /// Number of trades.
    TradeCount,
    /// Volume-weighted average price.
    Vwap,
    /// Whose bar it is.
    Symbol,
    /// How long bars last.
    Width,
    /// Nothing that is read.
    Ignore,
}

impl Role {
    /// The names that `--columns` takes.
    const NAMES: [(&'static str, Self); 13] = [
        ("timestamp", Self::Timestamp),
        ("date", Self::Timestamp),
        ("time", Self::Time),
        ("open", Self::Open),
        ("high", Self::High),
        ("low", Self::Low),
        ("close", Self::Close),
        ("volume", Self::Volume),
        ("trade_count", Self::TradeCount),
        ("vwap", Self::Vwap),
        ("symbol", Self::Symbol),
        ("width", Self::Width),
        ("ignore", Self::Ignore),
    ];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Timestamp => "timestamp",
            Self::Time => "time",
            Self::Open => "open",
            Self::High => "high",
            Self::Low => "low",
            Self::Close => "close",
            Self::Volume => "volume",
            Self::TradeCount => "trade_count",
            Self::Vwap => "vwap",
            Self::Symbol => "symbol",
            Self::Width => "width",
            Self::Ignore => "ignore",
        }
    }
}

/// One column named by the user: `close=last`, or `close=5` by its place from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// What it means.
    pub role: Role,
    /// Its name in the file, or its place from 1.
    pub name: String,
}

impl FromStr for Column {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let names: Vec<&str> = Role::NAMES.iter().map(|(name, _)| *name).collect();
        let wrong = || {
            Error::new(codes::BAD_ARGUMENT, format!("{} names no column", quoted(text)))
                .help(format!("write MEANING=COLUMN, e.g. close=last or close=5; meanings are {}", names.join(", ")))
        };
        let (role, name) = text.split_once('=').ok_or_else(wrong)?;
        let role = Role::NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(role.trim())).ok_or_else(wrong)?.1;
        Ok(Self { role, name: name.trim().to_owned() })
    }
}

/// How times are written, where that isn't clear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeFormat {
    /// Seconds since 1970.
    Seconds,
    /// Milliseconds since 1970.
    Millis,
    /// Microseconds since 1970.
    Micros,
    /// Nanoseconds since 1970.
    Nanos,
    /// Month before day: 04/01/2024 is the first of April.
    MonthFirst,
    /// Day before month: 04/01/2024 is the fourth of January.
    DayFirst,
}

impl FromStr for TimeFormat {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Ok(match text {
            "s" => Self::Seconds,
            "ms" => Self::Millis,
            "us" => Self::Micros,
            "ns" => Self::Nanos,
            "mdy" => Self::MonthFirst,
            "dmy" => Self::DayFirst,
            _ => {
                return Err(Error::new(codes::BAD_ARGUMENT, format!("{} is no time format", quoted(text)))
                    .help("use s, ms, us or ns for Unix times, mdy or dmy for dates such as 04/01/2024"));
            }
        })
    }
}

/// A time zone by its name in the IANA database.
///
/// # Errors
/// Usage error if there is no such zone.
pub fn parse_zone(text: &str) -> Result<TimeZone> {
    TimeZone::get(text).map_err(|_| {
        Error::new(codes::BAD_ARGUMENT, format!("{} is not a time zone", quoted(text)))
            .help("name a zone of the IANA database, e.g. America/New_York, Europe/London or UTC")
    })
}

/// What the user says of all files of an import.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// The symbol, of files that hold one.
    pub symbol: Option<Symbol>,
    /// Bar width, where neither name nor spacing tells.
    pub timeframe: Option<Timeframe>,
    /// The zone of times that name none.
    pub zone: Option<TimeZone>,
    /// What columns mean.
    pub columns: Vec<Column>,
    /// How times are written.
    pub time_format: Option<TimeFormat>,
}
