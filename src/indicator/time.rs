//! Values of the calendar. Bars of days and weeks end with their session.

use super::fold::Fold;
use crate::bar::{Bar, DAY, Date, MINUTE, Nanos};
use crate::calendar::{self, Session};

/// Minutes of a whole session, as days and weeks have them.
const WHOLE_SESSION: f64 = 390.0;

/// Whether the bar lasts whole sessions.
const fn is_whole(bar: &Bar) -> bool {
    bar.end - bar.start >= DAY
}

/// When a bar is known: at its end; days and weeks at the close of their last session.
pub(super) const fn known_at(bar: &Bar, session: &Session) -> Nanos {
    if is_whole(bar) { session.close } else { bar.end }
}

fn minutes(from: Nanos, to: Nanos) -> f64 {
    (to - from) as f64 / MINUTE as f64
}

/// Minutes from the session's open to the bar's end.
pub(super) struct MinuteOfSession;

impl Fold for MinuteOfSession {
    fn next(&mut self, bar: &Bar, session: &Session) -> f64 {
        if is_whole(bar) { WHOLE_SESSION } else { minutes(session.open, bar.end) }
    }
}

/// Minutes from the bar's end to the session's close.
pub(super) struct MinutesToClose;

impl Fold for MinutesToClose {
    fn next(&mut self, bar: &Bar, session: &Session) -> f64 {
        if is_whole(bar) { 0.0 } else { minutes(bar.end, session.close) }
    }
}

/// A number of the session's date.
pub(super) struct OfDate(pub(super) fn(Date) -> f64);

impl Fold for OfDate {
    fn next(&mut self, _: &Bar, session: &Session) -> f64 {
        (self.0)(session.date)
    }
}

/// 1 on Monday, 7 on Sunday. The first of January 1970 was a Thursday.
pub(super) fn day_of_week(date: Date) -> f64 {
    f64::from((date.0 + 3).rem_euclid(7) + 1)
}

/// 1 to 31.
pub(super) fn day_of_month(date: Date) -> f64 {
    f64::from(date.civil().day())
}

/// 1 to 12.
pub(super) fn month(date: Date) -> f64 {
    f64::from(date.civil().month())
}

/// 1 at the end of the month's last session, else 0.
#[derive(Clone, Default)]
pub(super) struct MonthEnd {
    is_last: Option<bool>,
    is_over: bool,
}

impl Fold for MonthEnd {
    fn next(&mut self, bar: &Bar, session: &Session) -> f64 {
        let is_last = *self.is_last.get_or_insert_with(|| is_last_of_month(session));
        let was_over = std::mem::replace(&mut self.is_over, known_at(bar, session) >= session.close);
        f64::from(u8::from(is_last && self.is_over && !was_over))
    }
}

fn is_last_of_month(session: &Session) -> bool {
    let end = Date::from(session.date.civil().last_of_month());
    session.trades() && calendar::sessions(Date(session.date.0 + 1), end).next().is_none()
}
