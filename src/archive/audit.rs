//! The quality of bars: what a series would make a replay believe that never happened.
//!
//! An audit looks at the sessions in a range of dates and finds bars that contradict
//! themselves, sessions that are missing, cut or thin, jumps that no split explains, and
//! declared splits, dividends and delistings that don't fit the prices. Days that a table of moves declares are noted
//! instead. Prices are raw: splits are applied here.

use super::series::split_factor;
use crate::archive::row::Row;
use crate::archive::tables::{Delisting, Dividend, Move, Split};
use crate::bar::{Bars, Date, Nanos, Symbol, Timeframe, iso_utc};
use crate::calendar::Calendar;
use crate::error::{Code, Error, Result, codes};
use crate::finding::{Finding, Severity};
use crate::history::{History, Hours, SessionBars};

/// Change of the close between consecutive sessions that must be declared.
const JUMP: f64 = 0.40;
/// A day under this share of the median volume around it is thin.
const THIN: f64 = 0.10;
/// Sessions on either side that make the median of a day.
const AROUND: usize = 10;
/// A stretch of this many missing sessions was never imported; a shorter one is a hole.
const STRETCH: usize = 10;
/// A symbol that has this share of a session's bars on most days trades in nearly all of them;
const DENSE: f64 = 0.90;
/// a session of which it then has less than this share is cut.
const PARTIAL: f64 = 0.50;

/// What no share costs, in dollars: the dearest, Berkshire Hathaway's, is below 900,000.
const DEAREST: f64 = 1_000_000.0;
/// Rows that are enough to tell prices in smaller units from round ones;
const ENOUGH: usize = 20;
/// and what most of them are at least.
const DEAR: f64 = 1_000.0;
/// A session's bars that tell where they are stamped, where there are few sessions.
const FULL: usize = 60;

/// Refuses a price that no share has.
pub(crate) fn check_price(row: &Row) -> Result<()> {
    match row.ohlcv[..4].iter().find(|price| **price > DEAREST) {
        None => Ok(()),
        Some(price) => {
            let what = format!("row {} ({}): a price of {price} dollars", row.origin.1, iso_utc(row.start));
            Err(Error::new(codes::IMPLAUSIBLE_PRICE, what))
        }
    }
}

/// Whether prices count cents or smaller units: all whole, and large.
pub(crate) fn counts_smaller_units(bars: impl Iterator<Item = [f64; 5]>) -> bool {
    let (mut count, mut dear) = (0, 0);
    for bar in bars {
        if bar[..4].iter().any(|price| price.fract() != 0.0) {
            return false;
        }
        count += 1;
        dear += usize::from(bar[3] >= DEAR);
    }
    count >= ENOUGH && dear * 2 > count
}

/// Whether bars are stamped with their end, by the session alone: none begins with it, and in nearly
/// all sessions one begins as it ends. `starts` are in order.
pub(crate) fn is_end_stamped(starts: &[Nanos], timeframe: Timeframe, calendar: Calendar) -> bool {
    if !timeframe.is_intraday() {
        return false;
    }
    let width = timeframe.width();
    let (mut sessions, mut closes, mut most) = (0_usize, 0_usize, 0_usize);
    for day in starts.chunk_by(|a, b| calendar.date(*a) == calendar.date(*b)) {
        let session = calendar.session(calendar.date(day[0]));
        if !session.trades() {
            continue;
        }
        // The first bar that reaches into the session, on the clock.
        let first = session.open.div_euclid(width) * width;
        if day.binary_search(&first).is_ok() {
            return false;
        }
        let inside = day.iter().filter(|start| (session.open..=session.close).contains(*start)).count();
        sessions += usize::from(inside > 0);
        closes += usize::from(day.binary_search(&session.close).is_ok());
        most = most.max(inside);
    }
    let tells = sessions >= 5 || most >= FULL;
    tells && closes * 10 >= sessions * 9
}

/// A series to be audited.
#[derive(Clone, Copy, Debug)]
pub struct Audit<'a> {
    /// The symbol.
    pub symbol: Symbol,
    /// Bar width.
    pub timeframe: Timeframe,
    /// When it trades.
    pub calendar: Calendar,
    /// Raw bars.
    pub bars: Bars<'a>,
    /// The symbol's splits, oldest first.
    pub splits: &'a [Split],
    /// The symbol's dividends, oldest first.
    pub dividends: &'a [Dividend],
    /// The end of its trading.
    pub delisting: Option<Delisting>,
    /// Declared days, of any symbol.
    pub moves: &'a [Move],
    /// First date that counts.
    pub from: Date,
    /// Last date that counts.
    pub to: Date,
    /// Whether every session from the first to the last one must be there; else a long
    /// stretch without bars counts as never imported.
    pub whole: bool,
}

/// A session's figures.
struct Day {
    date: Date,
    bars: usize,
    /// Share of the bars that its session has room for.
    filled: f64,
    close: f64,
    /// Shares at the last session's count.
    volume: f64,
}

impl Audit<'_> {
    /// Everything found, in the order of dates within each kind.
    ///
    /// # Errors
    /// Data error if bars lie outside the exchange calendar.
    pub fn run(&self) -> Result<Vec<Finding>> {
        let history = History::with_calendar(self.symbol, self.bars, Hours::Regular, self.calendar)?;
        let sessions = &history.sessions()[history.sessions_between(self.from, self.to)];
        let days: Vec<Day> = sessions.iter().map(|s| self.day(&history, s)).collect();
        let mut found = Vec::new();
        if days.is_empty() {
            // Nothing to judge is not nothing found.
            let what = format!("none of {} bars lies in a session", self.bars.len());
            found.push(
                Finding::new(codes::NO_BARS, self.about(""), what).help("check the timestamps' zone and bar width"),
            );
        }
        found.extend(self.bad_bars());
        found.extend(self.outside_sessions());
        found.extend(self.missing(&days));
        found.extend(self.partial(&days));
        found.extend(self.thin(&days));
        found.extend(self.jumps(&days));
        found.extend(self.spikes(&history, sessions));
        found.extend(self.splits_shown(&days));
        found.extend(self.dividends_fit(&days));
        found.extend(self.dividends_adjusted(&days));
        found.extend(self.delisted());
        found.extend(self.time_zone());
        found.extend(self.end_stamped());
        found.extend(self.implausible());
        Ok(found)
    }

    fn day(&self, history: &History<'_>, session: &SessionBars) -> Day {
        let bars = history.session_bars(session);
        let date = session.session.date;
        let count = bars.len();
        let room = match self.timeframe {
            Timeframe::Day | Timeframe::Week => 1,
            // Whole bars that start on their width, inside the session.
            timeframe => {
                let width = timeframe.width();
                let first = session.session.open.div_euclid(width) + i64::from(session.session.open % width != 0);
                (session.session.close.div_euclid(width) - first).max(1)
            }
        };
        let factor = split_factor(self.splits, date);
        let volume: f64 = bars.volume().iter().sum::<f64>() * factor;
        let close = bars.close().last().copied().unwrap_or(f64::NAN);
        Day { date, bars: count, filled: count as f64 / room as f64, close, volume }
    }

    fn about(&self, when: &str) -> String {
        format!("{} {} {when}", self.symbol, self.timeframe).trim_end().to_owned()
    }

    /// A finding about one day, or a note if the table of moves declares that day.
    fn of_day(&self, code: Code, date: Date, what: String) -> Finding {
        let declared = self.moves.iter().find(|m| (m.symbol, m.date) == (self.symbol, date));
        match declared {
            Some(declared) => {
                let what = format!("{what}; declared: {}", declared.reason);
                Finding::new(codes::DECLARED_DAY, self.about(&date.to_string()), what).severity(Severity::Note)
            }
            None => Finding::new(code, self.about(&date.to_string()), what),
        }
    }

    fn note(&self, code: Code, what: String) -> Finding {
        Finding::new(code, self.about(""), what).severity(Severity::Note)
    }

    /// Bars whose prices contradict each other, at any hour: a strategy may trade on all of them.
    fn bad_bars(&self) -> Option<Finding> {
        let bars = self.range();
        let (mut count, mut first) = (0, None);
        for i in 0..bars.len() {
            let bar = bars.get(i);
            let [low, high] = [bar.open.min(bar.close), bar.open.max(bar.close)];
            if !(bar.low <= low && high <= bar.high) && (self.from..=self.to).contains(&self.date(bar.start)) {
                count += 1;
                first.get_or_insert(bar);
            }
        }
        first.map(|bar| {
            let at = iso_utc(bar.start);
            let what = format!(
                "{count} bars contradict themselves, the first at {at}: open {} high {} low {} close {}",
                bar.open, bar.high, bar.low, bar.close
            );
            Finding::new(codes::BAD_OHLC, self.about(&at), what)
        })
    }

    /// Bars on days without a session: never replayed in regular hours.
    fn outside_sessions(&self) -> Vec<Finding> {
        let (mut saturdays, mut sundays, mut holidays, mut bars) = (0, 0, 0, 0);
        let mut starts = self.bars.starts();
        while let [first, ..] = starts {
            // The calendar is asked once a date, not for every bar.
            let date = self.date(*first);
            let of_date = match self.timeframe.is_intraday() {
                true => self.calendar.midnight(Date(date.0 + 1)),
                false => first + 1,
            };
            let (of_date, rest) = starts.split_at(starts.partition_point(|start| *start < of_date));
            starts = rest;
            if !(self.from..=self.to).contains(&date) || self.calendar.is_trading_day(date) {
                continue;
            }
            bars += of_date.len();
            // 1970-01-01 was a Thursday.
            match (date.0 + 4).rem_euclid(7) {
                6 => saturdays += 1,
                0 => sundays += 1,
                _ => holidays += 1,
            }
        }
        if bars == 0 {
            return Vec::new();
        }
        let code = if !self.timeframe.is_intraday() { codes::PHANTOM_DAYS } else { codes::OFF_HOURS };
        let what = format!(
            "{bars} bars on days without a session: {saturdays} Saturdays, {sundays} Sundays, {holidays} holidays"
        );
        vec![self.note(code, what)]
    }

    /// The bars of the range of dates, and some days more: a week starts up to four days before its session.
    fn range(&self) -> Bars<'_> {
        let (from, to) = (Date(self.from.0 - 5).utc_midnight(), Date(self.to.0 + 2).utc_midnight());
        let starts = self.bars.starts();
        self.bars.slice(starts.partition_point(|&t| t < from)..starts.partition_point(|&t| t < to))
    }

    /// Bars stamped with their end, as the session alone shows.
    fn end_stamped(&self) -> Option<Finding> {
        let what = "no bar begins with the session, and one begins as it ends: stamped with their end, not their start";
        is_end_stamped(self.range().starts(), self.timeframe, self.calendar)
            .then(|| Finding::new(codes::END_STAMPED, self.about(""), what))
    }

    /// Prices that no share has.
    fn implausible(&self) -> Option<Finding> {
        let bars = self.range();
        let prices = |i: usize| [bars.open_at(i), bars.high()[i], bars.low()[i], bars.close_at(i), 0.0];
        let too_dear = |i: &usize| prices(*i).iter().any(|price| *price > DEAREST);
        let what = match (0..bars.len()).find(too_dear) {
            Some(i) => {
                let count = (0..bars.len()).filter(too_dear).count();
                format!(
                    "{count} bars with prices above {DEAREST} dollars, the first at {}: {}",
                    iso_utc(bars.start_at(i)),
                    bars.close_at(i)
                )
            }
            None if counts_smaller_units((0..bars.len()).map(prices)) => {
                format!(
                    "every price is a whole number, such as {}: they count cents or smaller units",
                    bars.close_at(0)
                )
            }
            None => return None,
        };
        Some(Finding::new(codes::IMPLAUSIBLE_PRICE, self.about(""), what))
    }

    fn date(&self, start: Nanos) -> Date {
        self.calendar.session_of(self.timeframe, start).date
    }

    /// Sessions of the exchange between the first and the last archived one that have no bar.
    fn missing(&self, days: &[Day]) -> Vec<Finding> {
        let (Some(first), Some(last)) = (days.first(), days.last()) else { return Vec::new() };
        let mut found = Vec::new();
        let mut have = days.iter().map(|d| d.date).peekable();
        let mut run: Vec<Date> = Vec::new();
        let weekly = self.timeframe == Timeframe::Week;
        let has_bar = |date: Date| !weekly || self.calendar.last_session_of_week(date).date == date;
        for session in self.calendar.sessions(first.date, last.date).filter(|s| has_bar(s.date)) {
            if have.peek() == Some(&session.date) {
                have.next();
                found.extend(self.hole(&std::mem::take(&mut run)));
            } else {
                run.push(session.date);
            }
        }
        found
    }

    fn hole(&self, run: &[Date]) -> Vec<Finding> {
        let (Some(first), Some(last)) = (run.first(), run.last()) else { return Vec::new() };
        if run.len() < STRETCH {
            let one = |date: &Date| self.of_day(codes::MISSING_SESSIONS, *date, "the session has no bar".to_owned());
            return run.iter().map(one).collect();
        }
        let what = format!("{} sessions from {first} to {last} have no bar", run.len());
        let is_declared = |date: &Date| self.moves.iter().any(|m| (m.symbol, m.date) == (self.symbol, *date));
        if run.iter().all(is_declared) {
            return vec![self.of_day(codes::MISSING_SESSIONS, *first, what)];
        }
        let code = if self.whole { codes::MISSING_SESSIONS } else { codes::NOT_ARCHIVED };
        let severity = if self.whole { Severity::Error } else { Severity::Note };
        vec![Finding::new(code, self.about(&format!("{first} to {last}")), what).severity(severity)]
    }

    /// Sessions that are cut: only where nearly every session is nearly full.
    fn partial(&self, days: &[Day]) -> Vec<Finding> {
        let usual = median(days.iter().map(|d| d.filled).collect());
        if !self.timeframe.is_intraday() || usual.is_none_or(|u| u < DENSE) {
            return Vec::new();
        }
        let cut = days.iter().filter(|d| d.filled < PARTIAL);
        cut.map(|d| {
            let what = format!("{} bars, {:.0} % of the session's", d.bars, d.filled * 100.0);
            self.of_day(codes::PARTIAL_SESSION, d.date, what)
        })
        .collect()
    }

    /// Daily bars whose volume vanishes beside that of the sessions around them.
    fn thin(&self, days: &[Day]) -> Vec<Finding> {
        if self.timeframe != Timeframe::Day {
            return Vec::new();
        }
        let mut found = Vec::new();
        for (i, day) in days.iter().enumerate() {
            let around = &days[i.saturating_sub(AROUND)..days.len().min(i + AROUND + 1)];
            let usual = median(around.iter().map(|d| d.volume).collect()).unwrap_or(0.0);
            if day.volume < THIN * usual {
                let what =
                    format!("volume is {:.1} % of the median of the sessions around it", day.volume / usual * 100.0);
                found.push(self.of_day(codes::THIN_DAY, day.date, what));
            }
        }
        found
    }

    /// Closes that move more than a listed stock does, between sessions that follow each other or
    /// are parted by a hole: why a session is missing says nothing of the price after it.
    fn jumps(&self, days: &[Day]) -> Vec<Finding> {
        let mut found = Vec::new();
        for pair in days.windows(2) {
            let (before, day) = (&pair[0], &pair[1]);
            if self.calendar.sessions(Date(before.date.0 + 1), Date(day.date.0 - 1)).count() >= STRETCH {
                continue;
            }
            let change = day.close * self.ratio(before.date, day.date) / before.close - 1.0;
            if change.abs() > JUMP {
                let what = format!("the close moves {:+.1} %, from {} to {}", change * 100.0, before.close, day.close);
                found.push(self.of_day(codes::UNDECLARED_JUMP, day.date, what));
            }
        }
        found
    }

    /// Opens and closes, the prices of fills and marks, that stand alone: more than 40 % away from
    /// the prices on either side, split-adjusted, and back at once. A move that lasts is no spike;
    /// nor is one between sessions of intraday bars.
    fn spikes(&self, history: &History<'_>, sessions: &[SessionBars]) -> Vec<Finding> {
        let daily = !self.timeframe.is_intraday();
        let mut found: Vec<Finding> = Vec::new();
        let mut before: Option<f64> = None;
        let mut suspect: Option<(f64, Nanos, Date)> = None;
        let mut spiked: Option<Date> = None;
        for session in sessions {
            if !daily {
                (before, suspect) = (None, None);
            }
            let (bars, date) = (history.session_bars(session), session.session.date);
            let factor = split_factor(self.splits, date);
            for i in 0..bars.len() {
                let bar = bars.get(i);
                for price in [bar.open / factor, bar.close / factor] {
                    let far = |from: f64, to: f64| (to / from - 1.0).abs() > JUMP;
                    if let (Some((lone, at, day)), Some(from)) = (suspect.take(), before) {
                        let is_spike = far(price, lone) && (lone > from) == (lone > price);
                        if is_spike && spiked != Some(day) {
                            spiked = Some(day);
                            let what =
                                format!("a price of {lone} at {} stands between {from} and {price}", iso_utc(at));
                            found.push(self.of_day(codes::PRICE_SPIKE, day, what));
                        }
                        if !is_spike {
                            before = Some(lone);
                        }
                    }
                    match before {
                        // Judged by the price after it, from the one before it.
                        Some(from) if far(from, price) => suspect = Some((price, bar.start, date)),
                        _ => before = Some(price),
                    }
                }
            }
        }
        found
    }

    /// New shares per old by the splits after one date up to another.
    fn ratio(&self, after: Date, to: Date) -> f64 {
        self.splits.iter().filter(|s| after < s.date && s.date <= to).fold(1.0, |f, s| f * s.ratio)
    }

    /// Whether each declared split is in the prices: the first price after it is nearer to the
    /// split price than to the old one.
    fn splits_shown(&self, days: &[Day]) -> Vec<Finding> {
        let mut found = Vec::new();
        for pair in days.windows(2) {
            let (before, day) = (&pair[0], &pair[1]);
            for split in self.splits.iter().filter(|s| before.date < s.date && s.date <= day.date) {
                let raw = (day.close / before.close).ln();
                if split.ratio.ln().abs() < (1.0 + JUMP).ln() {
                    // A stock dividend of a few per cent is lost in a day's noise.
                    continue;
                }
                let misfit = |ratio: f64| (raw + ratio.ln()).abs();
                let declared = self.ratio(before.date, day.date);
                let turned = misfit(declared / (split.ratio * split.ratio));
                let about = self.about(&split.date.to_string());
                let what = format!(
                    "{} new shares per old: the close goes from {} to {}",
                    split.ratio, before.close, day.close
                );
                found.push(if misfit(declared) < raw.abs() {
                    Finding::new(codes::SPLIT_FOUND, about, what).severity(Severity::Note)
                } else if turned < raw.abs() && turned < (1.0 + JUMP).ln() {
                    self.inverted(split, what)
                } else {
                    self.of_day(codes::SPLIT_NOT_FOUND, split.date, what)
                });
            }
        }
        found
    }

    /// A split that the prices show the other way round.
    fn inverted(&self, split: &Split, what: String) -> Finding {
        let right = as_ratio(1.0 / split.ratio);
        let what = format!("{what}, which is a ratio of {right}: the wrong way round");
        self.of_day(codes::SPLIT_INVERTED, split.date, what).help(format!(
            "write {},{},{right} in the split table and import all sources into a new archive",
            split.symbol, split.date
        ))
    }

    /// The last close before a date, if no long stretch lies between, in the shares of that date.
    fn close_before(&self, days: &[Day], date: Date) -> Option<f64> {
        let before = &days[days.partition_point(|d| d.date < date).checked_sub(1)?];
        let between = self.calendar.sessions(Date(before.date.0 + 1), Date(date.0 - 1)).count();
        (between < STRETCH).then(|| before.close / self.ratio(before.date, date))
    }

    /// Dividends on days without a session, and such as are more than the share was worth.
    fn dividends_fit(&self, days: &[Day]) -> Vec<Finding> {
        let mut found = Vec::new();
        for Dividend { ex_date, amount, .. } in
            self.dividends.iter().filter(|d| (self.from..=self.to).contains(&d.ex_date))
        {
            let what = match self.close_before(days, *ex_date) {
                _ if !self.calendar.is_trading_day(*ex_date) => {
                    format!("a dividend of {amount} on a day without a session")
                }
                Some(close) if *amount >= close => {
                    format!("a dividend of {amount} a share, of which the close before it is {close}")
                }
                _ => continue,
            };
            found.push(self.of_day(codes::DIVIDEND_WRONG, *ex_date, what));
        }
        found
    }

    /// Dividends that go on as before where a split changes the share: amounts before it that were adjusted for it.
    fn dividends_adjusted(&self, days: &[Day]) -> Vec<Finding> {
        let mut found = Vec::new();
        for pair in self.dividends.windows(2) {
            let (before, after) = (&pair[0], &pair[1]);
            let ratio = self.ratio(before.ex_date, after.ex_date);
            let closes = (self.close_before(days, before.ex_date), self.close_before(days, after.ex_date));
            // What a smaller split changes, a company may as well have decided.
            let (true, (Some(old), Some(new))) = (ratio.ln().abs() > 2.0 * (1.0 + JUMP).ln(), closes) else { continue };
            // As paid, the yield stays about the same.
            let change = ((after.amount / new) / (before.amount / old)).ln();
            let adjusted = (change - ratio.ln()).abs();
            if adjusted < change.abs() && adjusted < (1.0 + JUMP).ln() {
                let what = format!(
                    "dividends of {} before and {} on {} after a ratio of {}: the first seems to be of the new shares",
                    before.amount,
                    after.amount,
                    after.ex_date,
                    as_ratio(ratio)
                );
                let about = self.about(&before.ex_date.to_string());
                found.push(Finding::new(codes::DIVIDEND_ADJUSTED, about, what).severity(Severity::Warning));
            }
        }
        found
    }

    /// Bars after the symbol's last session, and a last session that is none.
    fn delisted(&self) -> Vec<Finding> {
        let Some(Delisting { last_date, .. }) = self.delisting else { return Vec::new() };
        let mut found = Vec::new();
        let mut add = |what| found.push(self.of_day(codes::DELISTING_WRONG, last_date, what));
        if !self.calendar.is_trading_day(last_date) {
            add("the last session before a delisting is a day without one".to_owned());
        }
        // The week of the last session has it, too.
        let last = if self.timeframe == Timeframe::Week {
            self.calendar.last_session_of_week(last_date).date
        } else {
            last_date
        };
        let dates = self.range().starts().iter().map(|&start| self.date(start));
        let mut after = dates.filter(|date| *date > last && (self.from..=self.to).contains(date));
        if let Some(first) = after.next() {
            add(format!("{} bars after the last session before a delisting, from {first} on", 1 + after.count()));
        }
        found
    }

    /// Intraday times that were New York's but are stored as UTC: then most of the volume
    /// lies where New York's clock would put the session.
    fn time_zone(&self) -> Option<Finding> {
        // Round the clock nothing lies outside a session.
        if !self.timeframe.is_intraday() || !self.calendar.is_xnys() {
            return None;
        }
        let (width, calendar) = (self.timeframe.width(), self.calendar);
        let (mut inside, mut shifted, mut all) = (0.0, 0.0, 0.0);
        let mut day = Date::default();
        let (mut session, mut midnight) = (calendar.session(day), calendar.midnight(day));
        for (&start, &volume) in self.bars.starts().iter().zip(self.bars.volume()) {
            let date = Date::of_utc(start);
            if date != day {
                (day, session, midnight) = (date, calendar.session(date), calendar.midnight(date));
            }
            if !session.trades() {
                continue;
            }
            let local = midnight + (start - date.utc_midnight());
            all += volume;
            inside += if session.contains(start, start + width) { volume } else { 0.0 };
            shifted += if session.contains(local, local + width) { volume } else { 0.0 };
        }
        (all > 0.0 && shifted > 0.8 * all && shifted > inside + 0.2 * all).then(|| {
            let per_cent = |part: f64| part / all * 100.0;
            let what = format!(
                "{:.0} % of the volume lies in the session if the times are New York's, {:.0} % if they are UTC",
                per_cent(shifted),
                per_cent(inside)
            );
            Finding::new(codes::TIME_ZONE, self.about(""), what)
        })
    }
}

/// A ratio as a table would have it: `1/30`, where that is shorter.
fn as_ratio(ratio: f64) -> String {
    let inverse = (1.0 / ratio).round();
    match inverse > 1.0 && (ratio * inverse - 1.0).abs() < 1e-9 {
        true => format!("1/{inverse}"),
        false => format!("{}", (ratio * 1e9).round() / 1e9),
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bar::{DAY, MINUTE};
    use crate::calendar;

    /// Sessions from 2024-07-01 on at $10 and 1,000 shares, changed as told.
    struct Made {
        timeframe: Timeframe,
        start: Vec<Nanos>,
        ohlcv: [Vec<f64>; 5],
        calendar: Calendar,
        dividends: Vec<Dividend>,
        delisting: Option<Delisting>,
    }

    impl Made {
        fn days(count: usize) -> Self {
            let (start, ohlcv, calendar, dividends) = Default::default();
            let mut made = Self { timeframe: Timeframe::Day, start, ohlcv, calendar, dividends, delisting: None };
            for session in calendar::sessions(date("2024-07-01"), date("2024-12-31")).take(count) {
                made.push(session.date.utc_midnight());
            }
            made
        }

        fn minutes(count: usize) -> Self {
            let mut made = Self { timeframe: Timeframe::Minute, ..Self::days(0) };
            for session in calendar::sessions(date("2024-07-01"), date("2024-12-31")).take(count) {
                let minutes = (session.close - session.open) / MINUTE;
                (0..minutes).for_each(|i| made.push(session.open + i * MINUTE));
            }
            made
        }

        fn push(&mut self, start: Nanos) {
            self.start.push(start);
            for (column, value) in self.ohlcv.iter_mut().zip([10.0, 10.5, 9.5, 10.0, 1_000.0]) {
                column.push(value);
            }
        }

        fn remove(&mut self, range: std::ops::Range<usize>) {
            self.start.drain(range.clone());
            self.ohlcv.iter_mut().for_each(|c| drop(c.drain(range.clone())));
        }

        fn scale_from(&mut self, from: usize, factor: f64) {
            self.ohlcv[..4].iter_mut().for_each(|c| c[from..].iter_mut().for_each(|v| *v *= factor));
        }

        fn found(&self, splits: &[Split], moves: &[Move]) -> Vec<(Code, String)> {
            self.audit(splits, moves, false).into_iter().map(|f| (f.code, f.subject)).collect()
        }

        fn audit(&self, splits: &[Split], moves: &[Move], whole: bool) -> Vec<Finding> {
            let [o, h, l, c, v] = &self.ohlcv;
            let bars = Bars::new(self.timeframe, &self.start, [o, h, l, c, v]).expect("ordered");
            let (from, to) = (calendar::FIRST, calendar::LAST);
            let (symbol, timeframe, calendar) = (symbol(), self.timeframe, self.calendar);
            let (dividends, delisting) = (&self.dividends[..], self.delisting);
            let audit =
                Audit { symbol, timeframe, calendar, bars, splits, dividends, delisting, moves, from, to, whole };
            audit.run().expect("covered")
        }
    }

    fn date(text: &str) -> Date {
        text.parse().expect("a date")
    }

    fn symbol() -> Symbol {
        "AMC".parse().expect("a symbol")
    }

    fn declared(day: &str) -> Move {
        Move { symbol: symbol(), date: date(day), reason: "known".into() }
    }

    #[test]
    fn clean_bars_have_no_finding() {
        assert_eq!(Made::days(100).found(&[], &[]), []);
        assert_eq!(Made::minutes(8).found(&[], &[]), []);
    }

    #[test]
    fn a_bar_that_contradicts_itself_is_found() {
        let mut made = Made::days(5);
        made.ohlcv[1][2] = 9.0;
        assert_eq!(made.found(&[], &[]), [(codes::BAD_OHLC, "AMC 1Day 2024-07-03T00:00:00Z".into())]);
    }

    #[test]
    fn phantom_days_are_counted_and_do_not_count_as_sessions() {
        let mut made = Made::days(0);
        // The holiday of July 4, Saturday the 6th and Sunday the 7th.
        for day in ["2024-07-03", "2024-07-04", "2024-07-05", "2024-07-06", "2024-07-07", "2024-07-08"] {
            made.push(date(day).utc_midnight());
        }
        let found = made.audit(&[], &[], false);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].what.contains("1 Saturdays, 1 Sundays, 1 holidays"), "{}", found[0].what);
        assert_eq!(found[0].severity, Severity::Note);
    }

    #[test]
    fn weekends_are_sessions_where_the_calendar_says_so() {
        let mut made = Made { calendar: Calendar::AlwaysOpen, ..Made::days(0) };
        let first = date("2024-07-01").utc_midnight();
        (0..30).for_each(|i| made.push(first + i * DAY));
        assert_eq!(made.found(&[], &[]), []);
        made.remove(5..6);
        assert_eq!(made.found(&[], &[]), [(codes::MISSING_SESSIONS, "AMC 1Day 2024-07-06".into())], "a Saturday");
        made.calendar = Calendar::Weekdays;
        let found = made.audit(&[], &[], false);
        assert_eq!(found.iter().map(|f| f.code).collect::<Vec<_>>(), [codes::PHANTOM_DAYS]);
        assert!(found[0].what.contains("3 Saturdays, 4 Sundays, 0 holidays"), "{}", found[0].what);
    }

    #[test]
    fn minutes_round_the_clock_fill_their_sessions() {
        let mut made = Made { timeframe: Timeframe::Minute, calendar: Calendar::AlwaysOpen, ..Made::days(0) };
        let first = date("2024-07-04").utc_midnight();
        (0..5 * 1_440).for_each(|i| made.push(first + i * MINUTE));
        assert_eq!(made.found(&[], &[]), []);
        made.remove(1_500..2_800);
        assert_eq!(made.found(&[], &[]), [(codes::PARTIAL_SESSION, "AMC 1Min 2024-07-05".into())]);
    }

    #[test]
    fn a_missing_session_is_named_and_a_long_stretch_is_not_archived() {
        let mut made = Made::days(60);
        made.remove(5..6);
        assert_eq!(made.found(&[], &[]), [(codes::MISSING_SESSIONS, "AMC 1Day 2024-07-09".into())]);
        assert_eq!(made.found(&[], &[declared("2024-07-09")])[0].0, codes::DECLARED_DAY);
        let mut made = Made::days(60);
        made.remove(20..40);
        assert_eq!(made.found(&[], &[])[0].0, codes::NOT_ARCHIVED);
        let whole = made.audit(&[], &[], true);
        assert_eq!((whole[0].code, whole[0].severity), (codes::MISSING_SESSIONS, Severity::Error));
    }

    #[test]
    fn a_cut_session_is_partial_but_half_days_and_sparse_symbols_are_not() {
        // 2024-07-03 is a half day: 210 minutes are all of it.
        let mut made = Made::minutes(8);
        made.remove(100..390);
        assert_eq!(made.found(&[], &[]), [(codes::PARTIAL_SESSION, "AMC 1Min 2024-07-01".into())]);
        let mut sparse = Made::minutes(8);
        for i in (0..sparse.start.len()).rev().filter(|i| i % 7 != 0) {
            sparse.remove(i..i + 1);
        }
        sparse.remove(1..30);
        assert_eq!(sparse.found(&[], &[]), []);
    }

    #[test]
    fn a_day_under_a_tenth_of_the_median_is_thin_even_across_a_split() {
        let mut made = Made::days(60);
        made.ohlcv[4][30] = 99.0;
        let day = Date::of_utc(made.start[30]).to_string();
        assert_eq!(made.found(&[], &[]), [(codes::THIN_DAY, format!("AMC 1Day {day}"))]);
        made.ohlcv[4][30] = 101.0;
        assert_eq!(made.found(&[], &[]), []);
        // Twenty for one: the volumes before it count twentyfold.
        let split = Split { symbol: symbol(), date: Date::of_utc(made.start[40]), ratio: 20.0 };
        made.scale_from(40, 1.0 / 20.0);
        made.ohlcv[4][40..].iter_mut().for_each(|v| *v *= 20.0);
        made.ohlcv[4][30] = 1_000.0;
        assert_eq!(made.found(&[split], &[])[0].0, codes::SPLIT_FOUND);
    }

    #[test]
    fn a_jump_must_be_declared_as_split_or_move() {
        let mut made = Made::days(30);
        made.scale_from(10, 0.25);
        let day = Date::of_utc(made.start[10]);
        let about = format!("AMC 1Day {day}");
        assert_eq!(made.found(&[], &[]), [(codes::UNDECLARED_JUMP, about.clone())]);
        let split = Split { symbol: symbol(), date: day, ratio: 4.0 };
        assert_eq!(made.found(&[split], &[]), [(codes::SPLIT_FOUND, about.clone())]);
        assert_eq!(made.found(&[], &[declared(&day.to_string())]), [(codes::DECLARED_DAY, about)]);
        made.scale_from(10, 4.0 * 1.4);
        assert_eq!(made.found(&[], &[]), [], "40 % is allowed");
    }

    #[test]
    fn a_declared_split_that_the_prices_do_not_show_is_found() {
        let made = Made::days(30);
        let split = Split { symbol: symbol(), date: Date::of_utc(made.start[10]), ratio: 4.0 };
        let codes: Vec<Code> = made.found(&[split], &[]).into_iter().map(|f| f.0).collect();
        assert!(codes.contains(&codes::SPLIT_NOT_FOUND) && codes.contains(&codes::UNDECLARED_JUMP), "{codes:?}");
    }

    #[test]
    fn a_split_the_wrong_way_round_is_told_with_both_ratios() {
        for (ratio, shown, right) in [(30.0, 30.0, "1/30"), (0.1, 0.1, "10"), (1.0 / 3.0, 0.3, "3")] {
            let mut made = Made::days(30);
            made.scale_from(10, shown);
            let date = Date::of_utc(made.start[10]);
            let split = Split { symbol: symbol(), date, ratio };
            let found = made.audit(&[split], &[], false);
            let wrong = found.iter().find(|f| f.code == codes::SPLIT_INVERTED).expect("found");
            assert_eq!((wrong.severity, &wrong.subject), (Severity::Error, &format!("AMC 1Day {date}")));
            assert!(wrong.what.contains(&format!("{ratio} new shares")), "{}", wrong.what);
            assert!(wrong.what.contains(&format!("a ratio of {right}: the wrong way round")), "{}", wrong.what);
            assert!(wrong.help.contains(&format!("AMC,{date},{right}")), "{}", wrong.help);
            // Turned round it fits.
            let split = Split { ratio: 1.0 / ratio, ..split };
            let found = made.found(&[split], &[]);
            assert!(found.iter().any(|f| f.0 == codes::SPLIT_FOUND), "{found:?}");
        }
    }

    #[test]
    fn a_dividend_is_less_than_the_price_and_paid_in_a_session() {
        let mut made = Made::days(30);
        let dividend = |day: &str, amount| Dividend { symbol: symbol(), ex_date: date(day), amount };
        made.dividends = vec![dividend("2024-07-10", 9.9), dividend("2025-07-10", 50.0)];
        assert_eq!(made.found(&[], &[]), [], "the last one has no price");
        made.dividends = vec![dividend("2024-07-06", 0.1), dividend("2024-07-10", 10.0)];
        let about = |day: &str| (codes::DIVIDEND_WRONG, format!("AMC 1Day {day}"));
        assert_eq!(made.found(&[], &[]), [about("2024-07-06"), about("2024-07-10")]);
        assert_eq!(made.found(&[], &[declared("2024-07-10")])[1].0, codes::DECLARED_DAY);
        // One for ten on the same day: the share is worth 100 now.
        made.dividends = vec![dividend("2024-07-10", 10.0)];
        let at = made.start.iter().position(|&s| Date::of_utc(s) == date("2024-07-10")).expect("a session");
        made.scale_from(at, 10.0);
        let split = Split { symbol: symbol(), date: date("2024-07-10"), ratio: 0.1 };
        assert_eq!(made.found(&[split], &[])[0].0, codes::SPLIT_FOUND);
    }

    #[test]
    fn dividends_that_a_split_leaves_as_they_are_look_adjusted() {
        let mut made = Made::days(60);
        made.scale_from(30, 0.25);
        let split = Split { symbol: symbol(), date: Date::of_utc(made.start[30]), ratio: 4.0 };
        let dividend =
            |day: usize, amount| Dividend { symbol: symbol(), ex_date: Date::of_utc(made.start[day]), amount };
        let (before, after) = (dividend(10, 0.08), dividend(50, 0.02));
        let adjusted = dividend(10, 0.02);
        made.dividends = vec![before, after];
        let codes = |made: &Made| made.found(&[split], &[]).into_iter().map(|f| f.0).collect::<Vec<Code>>();
        assert_eq!(codes(&made), [codes::SPLIT_FOUND]);
        made.dividends = vec![adjusted, after];
        assert_eq!(codes(&made), [codes::SPLIT_FOUND, codes::DIVIDEND_ADJUSTED]);
        assert!(made.audit(&[split], &[], false).iter().all(|f| f.severity < Severity::Error));
    }

    #[test]
    fn bars_after_a_delisting_are_counted() {
        let mut made = Made::days(30);
        let delisting = |day: Date| Some(Delisting { symbol: symbol(), last_date: day, haircut: 0.5 });
        let (inside, last) = (Date::of_utc(made.start[26]), Date::of_utc(made.start[29]));
        made.delisting = delisting(last);
        assert_eq!(made.found(&[], &[]), []);
        made.delisting = delisting(inside);
        assert_eq!(made.found(&[], &[]), [(codes::DELISTING_WRONG, format!("AMC 1Day {inside}"))]);
        assert!(made.audit(&[], &[], false)[0].what.starts_with("3 bars after"));
        made.delisting = delisting(date("2024-08-17"));
        assert_eq!(made.found(&[], &[])[0].0, codes::DELISTING_WRONG, "a Saturday");
    }

    #[test]
    fn a_small_split_is_lost_in_noise_and_a_declared_one_is_a_note() {
        let made = Made::days(30);
        let date = Date::of_utc(made.start[10]);
        assert_eq!(made.found(&[Split { symbol: symbol(), date, ratio: 1.05 }], &[]), []);
        let split = Split { symbol: symbol(), date, ratio: 1.5 };
        let codes = |moves: &[Move]| made.found(&[split], moves).into_iter().map(|f| f.0).collect::<Vec<Code>>();
        assert_eq!(codes(&[]), [codes::UNDECLARED_JUMP, codes::SPLIT_NOT_FOUND]);
        assert_eq!(codes(&[declared(&date.to_string())]), [codes::DECLARED_DAY; 2]);
    }

    #[test]
    fn a_jump_behind_a_declared_missing_day_is_still_found() {
        let mut made = Made::days(30);
        made.scale_from(11, 0.1);
        let gone = Date::of_utc(made.start[10]).to_string();
        made.remove(10..11);
        let codes: Vec<Code> = made.found(&[], &[declared(&gone)]).into_iter().map(|f| f.0).collect();
        assert_eq!(codes, [codes::DECLARED_DAY, codes::UNDECLARED_JUMP]);
    }

    #[test]
    fn a_long_hole_whose_days_are_all_declared_blocks_nothing() {
        let mut made = Made::days(60);
        let days: Vec<Move> = made.start[20..35].iter().map(|&s| declared(&Date::of_utc(s).to_string())).collect();
        made.remove(20..35);
        assert_eq!(made.audit(&[], &days, true)[0].code, codes::DECLARED_DAY);
        assert_eq!(made.audit(&[], &days[1..], true)[0].code, codes::MISSING_SESSIONS);
    }

    #[test]
    fn a_price_that_stands_alone_is_a_spike_and_one_that_lasts_is_none() {
        let mut made = Made::minutes(2);
        // A close, and the high that goes with it.
        (made.ohlcv[3][100], made.ohlcv[1][100]) = (1_000.0, 1_000.0);
        assert_eq!(made.found(&[], &[]), [(codes::PRICE_SPIKE, "AMC 1Min 2024-07-01".into())]);
        assert_eq!(made.found(&[], &[declared("2024-07-01")])[0].0, codes::DECLARED_DAY);
        let mut open = Made::days(30);
        (open.ohlcv[0][10], open.ohlcv[2][10]) = (3.0, 3.0);
        assert_eq!(open.found(&[], &[])[0].0, codes::PRICE_SPIKE);
        // The price doubles within a session, and stays.
        let mut lasting = Made::minutes(2);
        lasting.scale_from(100, 2.0);
        lasting.scale_from(300, 0.5);
        assert_eq!(lasting.found(&[], &[]), []);
        // Across a declared split prices are adjusted first.
        let mut split = Made::days(30);
        split.scale_from(10, 0.05);
        let twenty = Split { symbol: symbol(), date: Date::of_utc(split.start[10]), ratio: 20.0 };
        assert_eq!(split.found(&[twenty], &[])[0].0, codes::SPLIT_FOUND);
    }

    #[test]
    fn bars_outside_the_session_are_checked_too() {
        let mut made = Made::minutes(2);
        made.start.insert(0, made.start[0] - 60 * MINUTE);
        for (column, value) in made.ohlcv.iter_mut().zip([10.0, 1.0, 9.5, 10.0, 1_000.0]) {
            column.insert(0, value);
        }
        assert_eq!(made.found(&[], &[])[0].0, codes::BAD_OHLC);
    }

    #[test]
    fn a_series_without_a_bar_in_a_session_is_not_nothing_found() {
        let mut made = Made::days(0);
        made.push(date("2024-07-06").utc_midnight());
        assert_eq!(made.found(&[], &[])[0].0, codes::NO_BARS);
    }

    #[test]
    fn new_york_times_stored_as_utc_are_found() {
        let mut made = Made::minutes(8);
        for start in &mut made.start {
            *start -= 4 * crate::bar::HOUR;
        }
        assert!(made.found(&[], &[]).iter().any(|f| f.0 == codes::TIME_ZONE));
    }

    #[test]
    fn only_the_range_counts() {
        let mut made = Made::days(60);
        made.scale_from(10, 0.25);
        let [o, h, l, c, v] = &made.ohlcv;
        let bars = Bars::new(Timeframe::Day, &made.start, [o, h, l, c, v]).expect("ordered");
        let from = Date::of_utc(made.start[10]);
        let (symbol, timeframe, to) = (symbol(), Timeframe::Day, calendar::LAST);
        let (splits, dividends, moves, delisting, calendar) = (&[], &[], &[], None, Calendar::Xnys);
        let audit =
            Audit { symbol, timeframe, calendar, bars, splits, dividends, delisting, moves, from, to, whole: true };
        assert_eq!(audit.run().expect("covered"), []);
    }
}
