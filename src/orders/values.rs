//! What each cell may hold: numbers, words, times and names. The first bad value of a row is told.

use jiff::Timestamp;
use jiff::civil;

use crate::bar::{Nanos, SECOND};
use crate::order::{Bracket, TimeInForce};

/// Columns by their places in [`COLUMNS`].
pub(super) mod column {
    pub(crate) const TIME: usize = 0;
    pub(crate) const SYMBOL: usize = 1;
    pub(crate) const ID: usize = 2;
    pub(crate) const ACTION: usize = 3;
    pub(crate) const SIDE: usize = 4;
    pub(crate) const TYPE: usize = 5;
    pub(crate) const SIZE: usize = 6;
    pub(crate) const SIZE_KIND: usize = 7;
    pub(crate) const CAP: usize = 8;
    pub(crate) const LIMIT: usize = 9;
    pub(crate) const STOP: usize = 10;
    pub(crate) const TRAIL: usize = 11;
    pub(crate) const TRAIL_KIND: usize = 12;
    pub(crate) const TIF: usize = 13;
    pub(crate) const REDUCE_ONLY: usize = 14;
    pub(crate) const OCO: usize = 15;
    pub(crate) const REASON: usize = 16;
    pub(crate) const SL: usize = 17;
    pub(crate) const SL_KIND: usize = 18;
    /// The first of six columns a target.
    const TARGETS: usize = 19;
    pub(crate) const TIME_STOP: usize = 43;
    pub(crate) const FLAT_BEFORE_CLOSE: usize = 44;

    /// The columns of target `n`, from 0.
    pub(crate) const fn target(n: usize, part: Part) -> usize {
        TARGETS + 6 * n + part as usize
    }

    /// The columns of a target.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) enum Part {
        Price,
        Kind,
        Fraction,
        Share,
        Then,
        ThenKind,
    }
}

use column::Part;

/// Every column of an orders file.
#[rustfmt::skip]
pub(super) const COLUMNS: [&str; 45] = [
    "time", "symbol", "id", "action", "side", "type", "size", "size_kind", "cap", "limit", "stop", "trail",
    "trail_kind", "tif", "reduce_only", "oco", "reason", "sl", "sl_kind",
    "tp1", "tp1_kind", "tp1_fraction", "tp1_share", "tp1_then", "tp1_then_kind",
    "tp2", "tp2_kind", "tp2_fraction", "tp2_share", "tp2_then", "tp2_then_kind",
    "tp3", "tp3_kind", "tp3_fraction", "tp3_share", "tp3_then", "tp3_then_kind",
    "tp4", "tp4_kind", "tp4_fraction", "tp4_share", "tp4_then", "tp4_then_kind",
    "time_stop", "flat_before_close",
];

/// The cells of one row, and the numbers in them.
pub(super) struct Values<'a> {
    cells: [&'a str; COLUMNS.len()],
    numbers: [Option<f64>; COLUMNS.len()],
    pub(super) time: Nanos,
    pub(super) tif: Option<TimeInForce>,
}

/// What a row asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Order,
    Cancel,
    CancelAll,
    Replace,
    Close,
}

impl<'a> Values<'a> {
    /// The cells of a row; `places` says which column each of them is of.
    pub(super) fn new(cells: &[&'a str], places: &[usize]) -> Self {
        let mut values = Self { cells: [""; COLUMNS.len()], numbers: [None; COLUMNS.len()], time: 0, tif: None };
        for (cell, place) in cells.iter().zip(places) {
            values.cells[*place] = cell;
        }
        values
    }

    /// The cell of a column; empty where there is none.
    pub(super) fn text(&self, column: usize) -> &'a str {
        self.cells[column]
    }

    /// Whether the cell of a column holds something.
    pub(super) fn has(&self, column: usize) -> bool {
        !self.cells[column].is_empty()
    }

    /// The number in a column.
    pub(super) fn number(&self, column: usize) -> Option<f64> {
        self.numbers[column]
    }

    /// The word in a column, or its default.
    pub(super) fn word(&self, column: usize, default: &'static str) -> &'a str {
        match self.cells[column] {
            "" => default,
            word => word,
        }
    }

    pub(super) fn verb(&self) -> Verb {
        match self.cells[column::ACTION] {
            "cancel" => Verb::Cancel,
            "cancel_all" => Verb::CancelAll,
            "replace" => Verb::Replace,
            "close" => Verb::Close,
            _ => Verb::Order,
        }
    }

    /// Reads times, words and numbers. The first that means nothing, in a sentence.
    pub(super) fn read(&mut self, fractional: bool) -> Result<(), String> {
        let time = self.text(column::TIME);
        self.time = instant(time)
            .ok_or_else(|| format!("time: `{time}` is no ISO-8601 time, such as 2024-07-01T13:30:00Z or 2024-07-01"))?;
        if !self.has(column::SYMBOL) {
            return Err("symbol is empty".to_owned());
        }
        self.read_words()?;
        self.read_numbers()?;
        self.read_id()?;
        self.check_signs()?;
        self.check_units(fractional)?;
        self.tif =
            match self.text(column::TIF) {
                "" => None,
                text => Some(time_in_force(text).ok_or_else(|| {
                    format!("tif: `{text}` is not one of gtc, day, bar and bars:N, N being 1 or more")
                })?),
            };
        self.check_percentages()
    }

    fn read_words(&self) -> Result<(), String> {
        const THEN: &[&str] = &["price", "offset", "percent"];
        let words: [(usize, &[&str]); 7] = [
            (column::ACTION, &["order", "cancel", "cancel_all", "replace", "close"]),
            (column::SIDE, &["buy", "sell"]),
            (column::TYPE, &["market", "moc", "limit", "stop", "stop_limit", "trailing_stop"]),
            (
                column::SIZE_KIND,
                &["shares", "notional", "equity_fraction", "risk_fraction", "target_shares", "target_weight"],
            ),
            (column::TRAIL_KIND, &["price", "percent"]),
            (column::REDUCE_ONLY, &["true", "false"]),
            (column::SL_KIND, &["price", "offset", "percent", "trail", "trail_percent"]),
        ];
        for (column, allowed) in words {
            self.check_word(column, allowed)?;
        }
        for n in 0..Bracket::TARGETS {
            self.check_word(column::target(n, Part::Kind), &["price", "offset", "percent", "toward"])?;
            self.check_word(column::target(n, Part::ThenKind), THEN)?;
        }
        Ok(())
    }

    fn check_word(&self, column: usize, allowed: &[&str]) -> Result<(), String> {
        let word = self.text(column);
        if word.is_empty() || allowed.contains(&word) {
            return Ok(());
        }
        Err(format!("{}: `{word}` is not one of {}", COLUMNS[column], allowed.join(", ")))
    }

    fn read_numbers(&mut self) -> Result<(), String> {
        for column in numeric() {
            let text = self.text(column);
            if text.is_empty() {
                continue;
            }
            let number = number(text).ok_or_else(|| format!("{}: `{text}` is not a number", COLUMNS[column]))?;
            self.numbers[column] = Some(number);
        }
        Ok(())
    }

    fn read_id(&self) -> Result<(), String> {
        let id = self.text(column::ID);
        if self.verb() == Verb::CancelAll {
            return match id {
                "" => Ok(()),
                _ => Err("id: cancel_all speaks of all orders and has none".to_owned()),
            };
        }
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
        if (1..=64).contains(&id.len()) && id.bytes().all(allowed) {
            return Ok(());
        }
        Err(format!("id: `{id}` is not 1 to 64 letters, digits, `_`, `.` and `-`"))
    }

    /// Zero and below mean nothing, but for a target size, a moved stop's distance, and the close itself.
    fn check_signs(&self) -> Result<(), String> {
        let signed_size = self.text(column::SIZE_KIND).starts_with("target_");
        for column in numeric() {
            let Some(number) = self.numbers[column] else { continue };
            let allowed = match column {
                column::SIZE if signed_size => true,
                column::FLAT_BEFORE_CLOSE => number >= 0.0,
                _ if self.is_moved_distance(column) => true,
                _ => number > 0.0,
            };
            if !allowed {
                let least = if column == column::FLAT_BEFORE_CLOSE { "at least 0" } else { "above 0" };
                return Err(format!("{}: {number} must be {least}", COLUMNS[column]));
            }
        }
        Ok(())
    }

    fn is_moved_distance(&self, column: usize) -> bool {
        (0..Bracket::TARGETS).any(|n| {
            let kind = self.text(column::target(n, Part::ThenKind));
            column == column::target(n, Part::Then) && (kind == "offset" || kind == "percent")
        })
    }

    fn check_units(&self, fractional: bool) -> Result<(), String> {
        let counts = matches!(self.word(column::SIZE_KIND, "shares"), "shares" | "target_shares");
        let Some(size) = self.number(column::SIZE).filter(|_| counts) else { return Ok(()) };
        match units(size, fractional) {
            Some(_) => Ok(()),
            None if fractional => Err(format!("size: {size} is not a whole number of millionths of a share")),
            None => Err(format!("size: {size} is not a whole number of shares; `fractional` allows parts of one")),
        }
    }

    /// A price a hundred per cent or more below another is none.
    fn check_percentages(&self) -> Result<(), String> {
        let (buys, sells) = (self.text(column::SIDE) == "buy", self.text(column::SIDE) == "sell");
        let too_far = |column: usize, below: bool| match self.number(column) {
            Some(percent) if below && percent >= 100.0 => {
                Err(format!("{}: a price {percent} % lower is none", COLUMNS[column]))
            }
            _ => Ok(()),
        };
        too_far(column::TRAIL, sells && self.text(column::TRAIL_KIND) == "percent")?;
        too_far(column::SL, buys && matches!(self.text(column::SL_KIND), "percent" | "trail_percent"))?;
        for n in 0..Bracket::TARGETS {
            too_far(column::target(n, Part::Price), sells && self.text(column::target(n, Part::Kind)) == "percent")?;
            let then = column::target(n, Part::Then);
            let toward = if buys { 1.0 } else { -1.0 };
            let moved = self.number(then).filter(|_| self.text(column::target(n, Part::ThenKind)) == "percent");
            if moved.is_some_and(|percent| (buys || sells) && toward * percent <= -100.0) {
                return Err(format!("{}: a price 100 % lower is none", COLUMNS[then]));
            }
        }
        Ok(())
    }
}

/// The columns that hold numbers.
fn numeric() -> impl Iterator<Item = usize> {
    let of_targets = (0..Bracket::TARGETS)
        .flat_map(|n| [Part::Price, Part::Fraction, Part::Share, Part::Then].map(|part| column::target(n, part)));
    [column::SIZE, column::CAP, column::LIMIT, column::STOP, column::TRAIL, column::SL]
        .into_iter()
        .chain(of_targets)
        .chain([column::TIME_STOP, column::FLAT_BEFORE_CLOSE])
}

/// A decimal number; neither `inf` nor `nan` is one.
fn number(text: &str) -> Option<f64> {
    let plain = text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b));
    text.parse().ok().filter(|number: &f64| plain && number.is_finite())
}

/// Whole units of so many shares, signed; none if they aren't whole.
pub(super) fn units(shares: f64, fractional: bool) -> Option<i64> {
    let exact = if fractional { shares * 1e6 } else { shares };
    let nearest = exact.round();
    let near = if fractional { 1e-9 * exact.abs().max(1.0) } else { 0.0 };
    ((exact - nearest).abs() <= near && nearest.abs() < 9e18).then_some(nearest as i64)
}

/// An ISO-8601 time; without an offset it is UTC, and without a time midnight.
pub(super) fn instant(text: &str) -> Option<Nanos> {
    let nanos = |at: Timestamp| Nanos::try_from(at.as_nanosecond()).ok();
    if let Ok(at) = text.parse::<Timestamp>() {
        return nanos(at);
    }
    let utc = |at: civil::DateTime| at.to_zoned(jiff::tz::TimeZone::UTC).ok().and_then(|at| nanos(at.timestamp()));
    if text.len() == 10 {
        return text.parse::<civil::Date>().ok().and_then(|date| utc(date.into()));
    }
    // What has a zone that isn't read must not be taken for UTC.
    let has_zone = text.contains(['[', 'Z', 'z', '+']) || text.get(10..).is_some_and(|time| time.contains('-'));
    text.parse::<civil::DateTime>().ok().filter(|_| !has_zone).and_then(utc)
}

fn time_in_force(text: &str) -> Option<TimeInForce> {
    match text {
        "gtc" => Some(TimeInForce::Gtc),
        "day" => Some(TimeInForce::Day),
        "bar" => Some(TimeInForce::Bars(1)),
        _ => {
            let bars = text.strip_prefix("bars:")?;
            let digits = bars.bytes().all(|b| b.is_ascii_digit());
            bars.parse().ok().filter(|bars| digits && *bars > 0).map(TimeInForce::Bars)
        }
    }
}

/// So many seconds, as nanoseconds.
pub(super) fn seconds(seconds: f64) -> Nanos {
    (seconds * SECOND as f64).round() as Nanos
}
