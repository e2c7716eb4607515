//! The width of a file's bars: said, named and shown by the spacing, and all three must agree.

use std::path::Path;

use crate::archive::row::Row;
use crate::bar::{DAY, HOUR, MINUTE, Nanos, Timeframe, iso_utc};
use crate::calendar;
use crate::error::{Error, Result, codes};

/// Bar width by what was said, by the file's name and by the spacing; they must agree.
pub(super) fn timeframe(rows: &[Row], stated: Option<Timeframe>, path: &Path) -> Result<Timeframe> {
    let wrong = |what: String, help: &str| Err(Error::new(codes::BAR_WIDTH, what).help(help));
    let odd = |t: Timeframe| rows.iter().find(|r| !t.starts_at(r.start));
    let said = stated.or_else(|| timeframe_from_name(path));
    if said.is_none()
        && let Some(width) = unknown_width(path)
    {
        let help = "import bars of one of these widths. If the rows are such, say --timeframe";
        return wrong(format!("named {width}; Magellan knows {}", Timeframe::names()), help);
    }
    let Some(coarsest) = Timeframe::ALL.into_iter().rev().find(|&t| odd(t).is_none()) else {
        let at = odd(Timeframe::Minute).map(|r| iso_utc(r.start)).unwrap_or_default();
        let help = "bars carry their start time";
        return wrong(format!("{at} is not the start of a minute, hour or day"), help);
    };
    let said = said.unwrap_or(coarsest);
    if let Some(odd) = odd(said) {
        let help = match said {
            Timeframe::Day if rows.iter().all(starts_at_new_york_midnight) => {
                "these start at New York's midnight: write a daily bar's timestamp as its session's date, e.g. 2024-04-01"
            }
            Timeframe::Day => {
                "a daily bar starts at 00:00Z of its session's date: correct the timestamps, or the width"
            }
            _ => "bars start at whole minutes or hours of UTC: correct the timestamps, or the width",
        };
        return wrong(format!("said to hold {said} bars, but one starts at {}", iso_utc(odd.start)), help);
    }
    if let Some(spacing) = coarser_spacing(rows, said) {
        let help = "say the width that they have with --timeframe, or import finer bars";
        return wrong(format!("all rows start {} apart, which are no {said} bars", span(spacing)), help);
    }
    match stated {
        Some(stated) => Ok(stated),
        None if said != coarsest && rows.len() > FEW => {
            let what = format!("named {said}, but the rows are spaced like {coarsest} bars");
            wrong(what, "if the name is right, say so with --timeframe")
        }
        None if rows.len() < 2 && timeframe_from_name(path).is_none() => {
            wrong("one row doesn't tell the bar width".to_owned(), "say it with --timeframe")
        }
        None => Ok(said),
    }
}

/// A bar width in a file's name that Magellan doesn't know, e.g. `7Min`. `30d` and `6m` may be how
/// far a file reaches.
fn unknown_width(path: &Path) -> Option<String> {
    let stem = path.file_stem()?.to_str()?;
    let is_width = |part: &&str| {
        let digits = part.bytes().take_while(u8::is_ascii_digit).count();
        let unit = part[digits..].to_ascii_lowercase();
        let units = ["min", "mins", "minute", "minutes", "h", "hour", "hours"];
        digits > 0 && units.contains(&unit.as_str()) && part.parse::<Timeframe>().is_err()
    };
    stem.split('_').find(is_width).map(str::to_owned)
}

fn starts_at_new_york_midnight(row: &Row) -> bool {
    row.start == calendar::new_york_midnight(calendar::new_york_date(row.start))
}

/// Rows too few to tell spacing from chance.
const FEW: usize = 10;

/// The spacing of bars that are wider than `width`: all of them start whole multiples of it
/// apart. Sparse bars of the right width don't, but for a chance of two to the power of ten.
fn coarser_spacing(rows: &[Row], width: Timeframe) -> Option<Nanos> {
    let first = rows.first().filter(|_| rows.len() > FEW)?.start;
    let gcd = |mut a: i128, mut b: i128| {
        while b != 0 {
            (a, b) = (b, a % b);
        }
        a
    };
    let spacing = rows.iter().fold(0, |spacing, row| gcd((i128::from(row.start) - i128::from(first)).abs(), spacing));
    let spacing = Nanos::try_from(spacing).ok()?;
    (spacing > width.width()).then_some(spacing)
}

/// A number of nanoseconds for people.
fn span(nanos: Nanos) -> String {
    match nanos {
        n if n % DAY == 0 => format!("{} days", n / DAY),
        n if n % HOUR == 0 => format!("{} hours", n / HOUR),
        n => format!("{} minutes", n / MINUTE),
    }
}

/// `AMC_1min_20240401_20240630` says `1Min`.
fn timeframe_from_name(path: &Path) -> Option<Timeframe> {
    let stem = path.file_stem()?.to_str()?;
    // `day` alone may be anything.
    let tells = |part: &&str| part.starts_with(|c: char| c.is_ascii_digit()) || part.ends_with("ly");
    stem.split('_').filter(tells).find_map(|part| part.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_a_bar_width_or_none_but_not_a_wrong_one() {
        let named = |name: &str| {
            let path = Path::new(name);
            (timeframe_from_name(path), unknown_width(path))
        };
        assert_eq!(named("AMC_1min_20240401_20240630.parquet"), (Some(Timeframe::Minute), None));
        assert_eq!(named("SPY_1day_30d_backfill.csv"), (Some(Timeframe::Day), None));
        assert_eq!(named("SPY_6m.csv"), (None, None));
        assert_eq!(named("TSLA_1h.csv").0, Some(Timeframe::Hour));
        assert_eq!(named("TSLA_60min_2024.csv").0, Some(Timeframe::Hour));
        assert_eq!(named("SPY_daily.csv").0, Some(Timeframe::Day));
        assert_eq!(named("AMC_5Min.csv"), (Some(Timeframe::FiveMinutes), None));
        assert_eq!(named("AMC_7Min.csv"), (None, Some("7Min".to_owned())));
        assert_eq!(named("AMC_4hour_2024.csv").1, Some("4hour".to_owned()));
    }

    fn starts(minutes: &[i64]) -> Vec<Row> {
        let row =
            |m: &i64| Row { start: m * MINUTE, ohlcv: [1.0; 5], trade_count: f64::NAN, vwap: f64::NAN, origin: (0, 0) };
        minutes.iter().map(row).collect()
    }

    #[test]
    fn spacing_is_told_from_chance() {
        let minute = Timeframe::Minute;
        let every = |step: i64| (0..30).map(|i| i * step).collect::<Vec<i64>>();
        assert_eq!(coarser_spacing(&starts(&every(5)), minute), Some(5 * MINUTE));
        assert_eq!(coarser_spacing(&starts(&every(1)), minute), None);
        assert_eq!(coarser_spacing(&starts(&every(60)), Timeframe::Hour), None);
        // Sparse, and one odd gap is enough.
        let mut sparse = every(10);
        sparse.push(601);
        assert_eq!(coarser_spacing(&starts(&sparse), minute), None);
        assert_eq!(coarser_spacing(&starts(&[0, 5, 10]), minute), None, "too few to tell");
    }
}
