//! `magellan data bars`: a symbol's bars as CSV.

use std::fmt::Write as _;

use clap::Args;
use magellan::bar::{Bars, Date, Symbol, Timeframe, iso_utc};
use magellan::calendar::Calendar;
use magellan::error::Result;
use magellan::history::Hours;

use super::options::{Place, SessionArg};
use super::output::print;
use crate::report::table;

#[derive(Args, Debug)]
pub(super) struct Shown {
    #[command(flatten)]
    place: Place,
    /// The symbol, e.g. AMC.
    #[arg(long)]
    symbol: Symbol,
    /// Bar width, e.g. 5Min; built from finer bars if the archive has none.
    #[arg(long, value_name = "WIDTH")]
    timeframe: Timeframe,
    /// Bars of the regular session only, or all.
    #[arg(long, value_enum, default_value = "all")]
    session: SessionArg,
    /// First session, YYYY-MM-DD [default: all].
    #[arg(long)]
    start_date: Option<Date>,
    /// Last session, YYYY-MM-DD [default: all].
    #[arg(long)]
    end_date: Option<Date>,
}

pub(super) fn run(options: &Shown) -> Result<u8> {
    let archive = options.place.archive()?;
    let series = archive.load(options.symbol, options.timeframe)?;
    let mut text = String::from("timestamp,open,high,low,close,volume\n");
    match options.session.into() {
        Hours::All => lines(&mut text, series.bars(), options, series.calendar),
        Hours::Regular => {
            let history = series.history(Hours::Regular)?;
            history.sessions().iter().for_each(|s| lines(&mut text, history.session_bars(s), options, series.calendar));
        }
    }
    // Beside the table, which programs read.
    if let Some(from) = series.built_from {
        eprintln!("{} {} bars built from {from} bars", options.symbol, options.timeframe);
    }
    if archive.is_synthetic() {
        eprintln!("{}", table::SYNTHETIC_NOTE);
    }
    print(&text)?;
    Ok(0)
}

fn lines(text: &mut String, bars: Bars<'_>, options: &Shown, calendar: Calendar) {
    let within = |date| options.start_date.is_none_or(|d| d <= date) && options.end_date.is_none_or(|d| date <= d);
    for bar in (0..bars.len()).map(|i| bars.get(i)) {
        if within(calendar.session_of(options.timeframe, bar.start).date) {
            let (at, [open, high, low, close]) = (iso_utc(bar.start), [bar.open, bar.high, bar.low, bar.close]);
            let _ = writeln!(text, "{at},{open},{high},{low},{close},{}", bar.volume);
        }
    }
}
