//! The width of a file's bars: said, named and shown by the spacing, and all three must agree.

use std::path::Path;

use super::daily;
use super::name;
use crate::archive::row::{BarFile, Row};
use crate::bar::{DAY, Date, HOUR, MINUTE, Nanos, Timeframe, iso_utc};
use crate::calendar;
use crate::error::{Error, Result, codes};

/// How wide the bars of a file are, and how that is known.
#[derive(Clone, Debug)]
pub(super) struct Width {
    pub(super) timeframe: Timeframe,
    pub(super) from: String,
}

/// What is said of the width, and where.
struct Said {
    timeframe: Timeframe,
    from: &'static str,
    /// Whether it needs no support from the spacing.
    firm: bool,
}

/// Settles the width of a file's bars. Daily bars of any zone become dates at 00:00Z.
pub(super) fn settle(file: &mut BarFile, told: Option<Timeframe>, path: &Path) -> Result<Width> {
    let said = said(file, told, path)?;
    let mut starts: Vec<Nanos> = file.series.iter().flat_map(|s| &s.1).map(|row| row.start).collect();
    starts.sort_unstable();
    starts.dedup();
    let dated = said.as_ref().is_some_and(|s| !s.timeframe.is_intraday());
    if let Some(days) = daily::reading(file, &starts, dated) {
        match &said {
            Some(said) if said.timeframe.is_intraday() && starts.len() > FEW => {
                let what = format!("{} {}, but there is one bar a day, {}", said.from, said.timeframe, days.described);
                return wrong(what, "say --timeframe 1Day, or correct the timestamps");
            }
            Some(said) if said.timeframe.is_intraday() => {}
            _ => {
                file.assumed.push(format!("one bar a day, {}: daily, dated so", days.described));
                for row in file.series.iter_mut().flat_map(|s| &mut s.1) {
                    row.start = days.date(row.start).utc_midnight();
                }
                starts.iter_mut().for_each(|start| *start = days.date(*start).utc_midnight());
            }
        }
    }
    let said = check_rare(&starts, said)?;
    if said.as_ref().is_some_and(|s| s.timeframe == Timeframe::Week) {
        to_mondays(file, &mut starts);
    }
    if said.is_none() {
        check_daily(&starts)?;
    }
    let firm = said.as_ref().is_some_and(|s| s.firm);
    let width = by_spacing(file, &starts, said)?;
    for (_, rows) in &file.series {
        // The more series a file has, the likelier one is spaced so by chance.
        let few = if file.series.len() > 1 { 40 } else { FEW };
        if let Some(spacing) = coarser_spacing(rows, width.timeframe, few) {
            let what = format!("all rows start {} apart, which are no {} bars", span(spacing), width.timeframe);
            return wrong(what, &wider(spacing));
        }
        if let Some(spacing) = usual_spacing(rows).filter(|usual| *usual > width.timeframe.width() && !firm) {
            let what = format!("most rows start {} apart, which are no {} bars", span(spacing), width.timeframe);
            return wrong(what, &wider(spacing));
        }
    }
    Ok(width)
}

/// Bars with a clock, about one a day: daily bars of which some day has two, or few bars of a rarely traded share.
fn check_daily(starts: &[Nanos]) -> Result<()> {
    let mut days: Vec<Date> = starts.iter().map(|&start| calendar::new_york_date(start)).collect();
    days.dedup();
    let timed = starts.iter().any(|start| !Timeframe::Day.starts_at(*start));
    if !timed || starts.len() <= 3 || starts.len() > days.len() * 3 / 2 {
        return Ok(());
    }
    let twice = starts.windows(2).find(|w| calendar::new_york_date(w[0]) == calendar::new_york_date(w[1]));
    let which = twice.map_or_else(String::new, |w| format!(", two of them at {} and {}", iso_utc(w[0]), iso_utc(w[1])));
    let what = format!("{} bars on {} days{which}: neither one a day nor bars of a session", starts.len(), days.len());
    wrong(what, "correct the timestamps, name their zone with --zone, or say --timeframe")
}

/// Dates that are rarer than days: one a week is a weekly bar, also where holidays shift it; rarer ones
/// are of no width that Magellan knows.
fn check_rare(starts: &[Nanos], said: Option<Said>) -> Result<Option<Said>> {
    let dated = starts.iter().all(|start| Timeframe::Day.starts_at(*start));
    let mut gaps: Vec<Nanos> = starts.windows(2).map(|w| w[1] - w[0]).collect();
    gaps.sort_unstable();
    let (Some(&least), Some(&usual)) = (gaps.first(), gaps.get(gaps.len() / 2)) else { return Ok(said) };
    if !dated || starts.len() <= 3 || usual < 4 * DAY {
        return Ok(said);
    }
    let firm = said.as_ref().is_some_and(|s| s.firm);
    let weekly = usual == 7 * DAY;
    match said.as_ref().map(|s| s.timeframe) {
        None if weekly => Ok(Some(Said { timeframe: Timeframe::Week, from: "spacing", firm: false })),
        Some(Timeframe::Week) => Ok(said),
        Some(_) if firm && usual < 20 * DAY => Ok(said),
        _ => wrong(format!("dates are {} apart and more", span(least)), &known()),
    }
}

/// Weeks are keyed by their Monday, whichever of their days a vendor stamps them with.
fn to_mondays(file: &mut BarFile, starts: &mut Vec<Nanos>) {
    let dated = starts.iter().all(|start| Timeframe::Day.starts_at(*start));
    let mut mondays: Vec<Nanos> = starts.iter().map(|start| Timeframe::Week.start_of(*start)).collect();
    mondays.dedup();
    if dated && mondays.len() == starts.len() && mondays != *starts {
        file.assumed.push("weeks are dated by their Monday".to_owned());
        for row in file.series.iter_mut().flat_map(|s| &mut s.1) {
            row.start = Timeframe::Week.start_of(row.start);
        }
        *starts = mondays;
    }
}

fn wrong<T>(what: String, help: &str) -> Result<T> {
    Err(Error::new(codes::BAR_WIDTH, what).help(help))
}

/// The widths that are imported, for messages.
fn known() -> String {
    format!("widths are {}; if the rows are such bars, say --timeframe", Timeframe::names())
}

/// What the user, the file, its folder or its name say.
fn said(file: &BarFile, told: Option<Timeframe>, path: &Path) -> Result<Option<Said>> {
    let said = |timeframe: Option<Timeframe>, from, firm| timeframe.map(|timeframe| Said { timeframe, from, firm });
    let stated = said(told, "said to hold", true).or(said(file.timeframe, "said to hold", true));
    if stated.is_some() {
        return Ok(stated);
    }
    match name::timeframe(path) {
        Ok(named) => Ok(said(named, "named", false).or(said(name::partition_width(path), "named", false))),
        Err(unknown) => wrong(format!("named {unknown}, which is no width that Magellan knows"), &known()),
    }
}

/// The width that the starts allow, and that agrees with what is said.
fn by_spacing(file: &BarFile, starts: &[Nanos], said: Option<Said>) -> Result<Width> {
    let odd = |t: Timeframe| starts.iter().find(|start| !t.starts_at(**start)).copied();
    let Some(coarsest) = Timeframe::ALL.into_iter().rev().find(|&t| odd(t).is_none()) else {
        let at = odd(Timeframe::Minute).map(iso_utc).unwrap_or_default();
        return wrong(
            format!("{at} is not the start of a minute, hour or day"),
            "bars carry their start time, on whole minutes",
        );
    };
    let Some(said) = said else {
        return match starts.len() {
            0 | 1 => wrong("one row doesn't tell the bar width".to_owned(), "say it with --timeframe"),
            _ => Ok(Width { timeframe: coarsest, from: "spacing".to_owned() }),
        };
    };
    if let Some(odd) = odd(said.timeframe) {
        let help = match said.timeframe {
            Timeframe::Day => {
                "daily bars start once a day: correct the timestamps, or the width; if times are local: --zone"
            }
            Timeframe::Week => "weekly bars start on a Monday: correct the timestamps, or the width",
            _ => "bars start at whole minutes or hours of UTC: correct the timestamps, or the width",
        };
        return wrong(format!("said to hold {} bars, but one starts at {}", said.timeframe, iso_utc(odd)), help);
    }
    if !said.firm && said.timeframe != coarsest && starts.len() > FEW {
        if let Some(spacing) = file.series.iter().find_map(|(_, rows)| coarser_spacing(rows, said.timeframe, FEW)) {
            return wrong(
                format!("all rows start {} apart, which are no {} bars", span(spacing), said.timeframe),
                &known(),
            );
        }
        let what = format!("named {}, but the rows are spaced like {coarsest} bars", said.timeframe);
        return wrong(what, "if the name is right, say so with --timeframe");
    }
    let from = match said.from {
        "spacing" => "spacing",
        _ if said.firm => "what was said",
        _ => "name",
    };
    Ok(Width { timeframe: said.timeframe, from: from.to_owned() })
}

/// Rows too few to tell spacing from chance.
const FEW: usize = 10;

/// The spacing of bars that are wider than `width`: all of them start whole multiples of it
/// apart. Sparse bars of the right width don't, but for a chance of two to the power of `few`.
fn coarser_spacing(rows: &[Row], width: Timeframe, few: usize) -> Option<Nanos> {
    let first = rows.first().filter(|_| rows.len() > few)?.start;
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

/// The spacing of most bars within a day, if three of four have it: a session may begin with a shorter one.
fn usual_spacing(rows: &[Row]) -> Option<Nanos> {
    let mut starts: Vec<Nanos> = rows.iter().map(|row| row.start).collect();
    starts.sort_unstable();
    starts.dedup();
    let within_a_day = |w: &&[Nanos]| calendar::new_york_date(w[0]) == calendar::new_york_date(w[1]);
    let mut gaps: Vec<Nanos> = starts.windows(2).filter(within_a_day).map(|w| w[1] - w[0]).collect();
    gaps.sort_unstable();
    let usual = gaps.chunk_by(|a, b| a == b).max_by_key(|same| same.len())?;
    (gaps.len() >= 4 && usual.len() * 4 >= gaps.len() * 3).then_some(usual[0])
}

/// What to do with bars of such a spacing.
fn wider(spacing: Nanos) -> String {
    match spacing {
        HOUR => "hours begin on the hour: import 30Min bars or finer ones, of which Magellan builds hours".to_owned(),
        _ => known(),
    }
}

/// A number of nanoseconds for people.
fn span(nanos: Nanos) -> String {
    let (count, unit) = match nanos {
        n if n % DAY == 0 => (n / DAY, "day"),
        n if n % HOUR == 0 => (n / HOUR, "hour"),
        n => (n / MINUTE, "minute"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn starts(minutes: &[i64]) -> Vec<Row> {
        let row =
            |m: &i64| Row { start: m * MINUTE, ohlcv: [1.0; 5], trade_count: f64::NAN, vwap: f64::NAN, origin: (0, 0) };
        minutes.iter().map(row).collect()
    }

    #[test]
    fn spacing_is_told_from_chance() {
        let spacing = |rows: &[Row], width| coarser_spacing(rows, width, FEW);
        let minute = Timeframe::Minute;
        let every = |step: i64| (0..30).map(|i| i * step).collect::<Vec<i64>>();
        assert_eq!(spacing(&starts(&every(5)), minute), Some(5 * MINUTE));
        assert_eq!(spacing(&starts(&every(1)), minute), None);
        assert_eq!(spacing(&starts(&every(60)), Timeframe::Hour), None);
        // Sparse, and one odd gap is enough.
        let mut sparse = every(10);
        sparse.push(601);
        assert_eq!(spacing(&starts(&sparse), minute), None);
        assert_eq!(spacing(&starts(&[0, 5, 10]), minute), None, "too few to tell");
    }
}
