//! One symbol's bars cut into sessions: what indicators fold over and a replay walks.

use std::ops::Range;

use crate::bar::{Bars, DAY, Date, Nanos, Symbol, Timeframe, WEEK};
use crate::calendar::{self, Calendar, Session};
use crate::error::Result;

/// Which bars of a day count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hours {
    /// Bars wholly inside the regular session of a trading day.
    Regular,
    /// Every bar, grouped by the calendar's date.
    All,
}

impl Hours {
    /// The word in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Regular => "regular",
            Self::All => "all",
        }
    }
}

/// The bars of one session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionBars {
    /// The session.
    pub session: Session,
    /// Where its bars lie in the columns.
    pub range: Range<usize>,
    /// Number of bars in the sessions before this one.
    pub ordinal: usize,
}

/// Bars of one symbol, cut into sessions; bars outside them are not part of the history.
#[derive(Clone, Debug)]
pub struct History<'a> {
    /// The symbol.
    pub symbol: Symbol,
    bars: Bars<'a>,
    whole_sessions: bool,
    calendar: Calendar,
    sessions: Vec<SessionBars>,
    /// Splits by which its prices are adjusted, by date: new shares for one old.
    adjusted_by: Vec<(Date, f64)>,
    /// What happens to its shares, by date; splits before dividends.
    actions: Vec<(Date, Action)>,
    /// Its last session, and the fraction of the last price that longs lose.
    delisting: Option<(Date, f64)>,
}

/// What happens to shares between two sessions: before the first bar on or after its date.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Action {
    /// So many new shares for one old.
    Split(f64),
    /// Dollars a share of that day: longs receive it, shorts pay it.
    Dividend(f64),
}

impl<'a> History<'a> {
    /// Cuts `bars` into sessions of XNYS. Daily bars belong to the session of their UTC date and
    /// exist on trading days only; weekly bars to the week's last session, at whose close they are known; intraday bars belong to their New York date.
    ///
    /// # Errors
    /// Data error if bars lie outside the exchange calendar (1990-2030).
    pub fn new(symbol: Symbol, bars: Bars<'a>, hours: Hours) -> Result<Self> {
        Self::with_calendar(symbol, bars, hours, Calendar::Xnys)
    }

    /// As [`History::new`], into sessions of another calendar: intraday bars belong to its dates.
    ///
    /// # Errors
    /// As [`History::new`].
    pub fn with_calendar(symbol: Symbol, bars: Bars<'a>, hours: Hours, calendar: Calendar) -> Result<Self> {
        let whole_sessions = bars.width() >= DAY;
        let weekly = bars.width() == WEEK;
        let mut history = Self {
            symbol,
            bars,
            whole_sessions,
            calendar,
            sessions: Vec::new(),
            adjusted_by: Vec::new(),
            actions: Vec::new(),
            delisting: None,
        };
        let (Some(&first), Some(&last)) = (bars.starts().first(), bars.starts().last()) else {
            return Ok(history);
        };
        for at in [first, last] {
            calendar::check_covered(Date::of_utc(at)).map_err(|e| e.at(symbol))?;
        }
        if weekly {
            history.cut_whole(Timeframe::Week);
        } else if whole_sessions {
            history.cut_whole(Timeframe::Day);
        } else {
            history.cut_intraday(hours);
        }
        Ok(history)
    }

    /// Says by which splits the prices are adjusted: date, and new shares for one old.
    #[must_use]
    pub fn adjusted_by(self, splits: impl IntoIterator<Item = (Date, f64)>) -> Self {
        Self { adjusted_by: splits.into_iter().collect(), ..self }
    }

    /// Says how shares split, for raw prices: date, and new shares for one old. What is held or ordered splits too.
    #[must_use]
    pub fn splitting(self, splits: impl IntoIterator<Item = (Date, f64)>) -> Self {
        self.with_actions(splits.into_iter().map(|(date, ratio)| (date, Action::Split(ratio))))
    }

    /// Says what shares paid: ex-date, and dollars a share of that day.
    #[must_use]
    pub fn paying(self, dividends: impl IntoIterator<Item = (Date, f64)>) -> Self {
        self.with_actions(dividends.into_iter().map(|(date, dollars)| (date, Action::Dividend(dollars))))
    }

    fn with_actions(mut self, actions: impl Iterator<Item = (Date, Action)>) -> Self {
        self.actions.extend(actions);
        self.actions.sort_by_key(|(date, action)| (*date, matches!(action, Action::Dividend(_))));
        self
    }

    /// Says that it was delisted after the session of a date: later bars don't exist, and who is long then gets the
    /// last close less this fraction of it.
    #[must_use]
    pub fn delisted(mut self, last: Date, haircut: f64) -> Self {
        self.sessions.retain(|session| session.session.date <= last);
        Self { delisting: Some((last, haircut)), ..self }
    }

    /// How many shares one share of that date becomes by what is to be split: the product of the ratios of later splits.
    pub(crate) fn later_splits(&self, date: Date) -> f64 {
        let ratio = |(on, action): &(Date, Action)| match action {
            Action::Split(ratio) if *on > date => *ratio,
            _ => 1.0,
        };
        self.actions.iter().map(ratio).fold(1.0, |product, ratio| product * ratio)
    }

    /// What happens to its shares, by date; splits before dividends.
    pub(crate) fn actions(&self) -> &[(Date, Action)] {
        &self.actions
    }

    /// The fraction of the last price that longs lose, if it is delisted by that date.
    pub(crate) fn haircut_by(&self, end: Date) -> Option<f64> {
        self.delisting.filter(|(last, _)| *last <= end).map(|(_, haircut)| haircut)
    }

    /// Whether nothing ever happens to its shares.
    pub(crate) fn is_without_actions(&self) -> bool {
        self.actions.is_empty() && self.delisting.is_none()
    }

    /// How many shares, as its prices count them, one share of that date is: the product of the ratios of later splits.
    pub fn shares_of_one(&self, date: Date) -> f64 {
        self.adjusted_by.iter().filter(|(from, _)| *from > date).fold(1.0, |product, (_, ratio)| product * ratio)
    }

    fn cut_whole(&mut self, timeframe: Timeframe) {
        for (i, &start) in self.bars.starts().iter().enumerate() {
            let session = self.calendar.session_of(timeframe, start);
            if session.trades() {
                self.push(session, i..i + 1);
            }
        }
    }

    /// The calendar is asked a few times a session, never for a bar.
    fn cut_intraday(&mut self, hours: Hours) {
        let (starts, width, calendar) = (self.bars.starts(), self.bars.width(), self.calendar);
        let mut from = 0;
        let mut usual = 0;
        while from < starts.len() {
            let date = calendar.date(starts[from]);
            let session = calendar.session(date);
            let after = |from: usize, limit, guess| from + count_below(&starts[from..], limit, guess);
            let open = after(from, session.open, 0);
            let close = after(open, session.close - width + 1, usual);
            let day_end = after(close, calendar.midnight(Date(date.0 + 1)), 0);
            usual = close - open;
            let range = match hours {
                Hours::All => from..day_end,
                Hours::Regular => open..close,
            };
            let counts = hours == Hours::All || session.trades();
            if counts && !range.is_empty() {
                self.push(session, range);
            }
            from = day_end;
        }
    }

    fn push(&mut self, session: Session, range: Range<usize>) {
        let ordinal = self.len();
        self.sessions.push(SessionBars { session, range, ordinal });
    }

    /// Whether its bars are days or weeks.
    pub fn has_whole_sessions(&self) -> bool {
        self.whole_sessions
    }

    /// How many of its sessions a year has: weekly bars have one a week.
    pub(crate) fn returns_per_year(&self) -> f64 {
        self.calendar.returns_per_year(if self.bars.width() == WEEK { Timeframe::Week } else { Timeframe::Day })
    }

    /// The calendar of its sessions.
    pub fn calendar(&self) -> Calendar {
        self.calendar
    }

    /// Number of bars in all sessions.
    pub fn len(&self) -> usize {
        self.sessions.last().map_or(0, |s| s.ordinal + s.range.len())
    }

    /// Whether no session has a bar.
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// The sessions that have bars, oldest first.
    pub fn sessions(&self) -> &[SessionBars] {
        &self.sessions
    }

    /// Indices into [`History::sessions`] of the sessions dated `from..=to`.
    pub fn sessions_between(&self, from: Date, to: Date) -> Range<usize> {
        let first = self.sessions.partition_point(|s| s.session.date < from);
        let end = self.sessions.partition_point(|s| s.session.date <= to);
        first..end.max(first)
    }

    /// Which of its bars, counted over sessions, lie in those dated `from..=to`.
    pub(crate) fn bars_between(&self, from: Date, to: Date) -> Range<usize> {
        let sessions = &self.sessions[self.sessions_between(from, to)];
        let first = sessions.first().map_or(0, |session| session.ordinal);
        first..sessions.last().map_or(first, |session| session.ordinal + session.range.len())
    }

    /// Whether a bar starts then, in a session dated `from..=to`.
    pub(crate) fn has_bar(&self, start: Nanos, from: Date, to: Date) -> bool {
        let Ok(bar) = self.bars.starts().binary_search(&start) else { return false };
        let sessions = &self.sessions[self.sessions_between(from, to)];
        let after = sessions.partition_point(|s| s.range.end <= bar);
        sessions.get(after).is_some_and(|s| s.range.contains(&bar))
    }

    /// The bars of one session.
    #[inline]
    pub fn session_bars(&self, session: &SessionBars) -> Bars<'a> {
        self.session_bars_at(session.range.clone())
    }

    pub(crate) fn session_bars_at(&self, range: Range<usize>) -> Bars<'a> {
        self.bars.slice(range)
    }
}

/// How many of the sorted `starts` lie before `limit`: `guess`, if that is right (days are
/// alike), else looked for near the front, since a day is a small part of a file.
fn count_below(starts: &[Nanos], limit: Nanos, guess: usize) -> usize {
    let below = |i: usize| starts.get(i).is_some_and(|&s| s < limit);
    if (guess == 0 || below(guess - 1)) && !below(guess) && guess <= starts.len() {
        return guess;
    }
    let mut bound = 1;
    while below(bound) {
        bound *= 2;
    }
    let near = &starts[..starts.len().min(bound + 1)];
    near.partition_point(|&s| s < limit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bar::{HOUR, MINUTE, iso_utc};
    use proptest::prelude::*;

    fn cut(timeframe: Timeframe, starts: &[Nanos], hours: Hours) -> Vec<(Date, Vec<String>)> {
        let column = vec![1.0; starts.len()];
        let bars = Bars::new(timeframe, starts, [&column[..]; 5]).expect("ordered bars");
        let symbol = "AMC".parse().expect("a symbol");
        let history = History::new(symbol, bars, hours).expect("covered");
        let times = |s: &SessionBars| starts[s.range.clone()].iter().map(|&t| iso_utc(t)).collect();
        history.sessions().iter().map(|s| (s.session.date, times(s))).collect()
    }

    fn hours_of(day: &str) -> Vec<Nanos> {
        let midnight = calendar::new_york_midnight(day.parse().expect("a date"));
        (0..24).map(|h| midnight + h * HOUR).collect()
    }

    #[test]
    fn a_regular_day_has_six_hourly_bars_and_a_half_day_three() {
        for (day, bars, first) in [
            ("2024-07-02", 6, "2024-07-02T14:00:00Z"),
            ("2024-11-27", 6, "2024-11-27T15:00:00Z"),
            ("2024-11-29", 3, "2024-11-29T15:00:00Z"),
        ] {
            let cut = cut(Timeframe::Hour, &hours_of(day), Hours::Regular);
            assert_eq!((cut[0].1.len(), cut[0].1[0].as_str()), (bars, first), "{day}");
        }
    }

    #[test]
    fn holidays_and_phantom_saturdays_have_no_session() {
        let starts: Vec<Nanos> = ["2024-11-27", "2024-11-28", "2024-11-29", "2024-11-30"]
            .iter()
            .map(|d| d.parse::<Date>().expect("a date").utc_midnight())
            .collect();
        let dates: Vec<String> = cut(Timeframe::Day, &starts, Hours::Regular).iter().map(|s| s.0.to_string()).collect();
        assert_eq!(dates, ["2024-11-27", "2024-11-29"]);
    }

    #[test]
    fn all_hours_keep_every_bar_on_its_new_york_date() {
        let starts = hours_of("2024-12-25");
        let cut = cut(Timeframe::Hour, &starts, Hours::All);
        assert_eq!((cut.len(), cut[0].1.len()), (1, 24));
    }

    proptest! {
        #[test]
        fn regular_bars_are_exactly_those_inside_a_session(gaps in prop::collection::vec(1i64..900, 1..400)) {
            let mut at = calendar::new_york_midnight("2024-10-31".parse().expect("a date"));
            let starts: Vec<Nanos> = gaps.iter().map(|g| { at += g * MINUTE; at }).collect();
            let kept: Vec<String> = cut(Timeframe::Minute, &starts, Hours::Regular).into_iter().flat_map(|s| s.1).collect();
            let inside = |&&t: &&Nanos| {
                let session = calendar::session(calendar::new_york_date(t));
                session.trades() && session.contains(t, t + MINUTE)
            };
            let expected: Vec<String> = starts.iter().filter(inside).map(|&t| iso_utc(t)).collect();
            prop_assert_eq!(kept, expected);
        }
    }
}
