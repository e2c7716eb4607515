//! An indicator of coarser bars, built as time goes: its value at the last one that is complete.
//!
//! Bars are cut and joined as the archive does it (`archive/coarser.rs`), from the regular session alone.

use super::fold::{Fold, Rolling};
use super::time::known_at;
use crate::archive::can_build;
use crate::bar::{Bar, DAY, Date, MINUTE, Nanos, Timeframe, WEEK};
use crate::calendar::{self, Calendar, Session};

/// Whether bars of one width make those of another, or are them.
pub(super) fn makes(wanted: Timeframe, from: Timeframe) -> bool {
    wanted == from || can_build(wanted, from, Calendar::Xnys)
}

/// How many bars of one width a bar of another has at most.
pub(super) fn count(wanted: Timeframe, of: Timeframe) -> usize {
    let trading = |width: Timeframe| match width {
        Timeframe::Day => 390 * MINUTE,
        Timeframe::Week => 5 * 390 * MINUTE,
        _ => width.width(),
    };
    (trading(wanted) / trading(of)).max(1) as usize
}

/// The coarser bar under construction.
#[derive(Clone, Copy)]
struct Piece {
    bar: Bar,
    session: Session,
    /// When it is complete: by the clock, whether or not its last bars exist.
    complete: Nanos,
}

/// Joins bars, and feeds an indicator with each that is complete.
pub(super) struct Coarser {
    width: Timeframe,
    of: Rolling,
    piece: Option<Piece>,
    /// Whether the bars that come in make the width.
    fits: Option<bool>,
    /// The last session of the week that contains a date.
    week: Option<(Date, Session)>,
    value: f64,
}

impl Coarser {
    pub(super) fn new(width: Timeframe, of: Rolling) -> Self {
        Self { width, of, piece: None, fits: None, week: None, value: f64::NAN }
    }

    /// A new piece that begins with this bar, or none if the bar belongs to none.
    fn begun_by(&mut self, bar: &Bar, session: &Session) -> Option<Piece> {
        let lasts = bar.end - bar.start;
        let wanted = self.width;
        let fits = || Timeframe::of_width(lasts).is_some_and(|from| makes(wanted, from));
        let is_inside = if lasts < DAY { session.contains(bar.start, bar.end) } else { session.trades() };
        if !*self.fits.get_or_insert_with(fits) || !is_inside {
            return None;
        }
        let (start, length, session, complete) = match wanted {
            Timeframe::Day => (session.date.utc_midnight(), DAY, *session, session.close),
            Timeframe::Week => {
                let last = self.last_session_of_week(session.date);
                (wanted.start_of(session.date.utc_midnight()), WEEK, last, last.close)
            }
            _ => {
                let start = wanted.start_of(bar.start);
                let end = start + wanted.width();
                // The hour from 09:00 lies in no session.
                session.contains(start, end).then_some((start, wanted.width(), *session, end))?
            }
        };
        Some(Piece { bar: Bar { start, end: start + length, ..*bar }, session, complete })
    }

    fn last_session_of_week(&mut self, date: Date) -> Session {
        match self.week {
            Some((known, last)) if known == date => last,
            _ => self.week.insert((date, calendar::last_session_of_week(date))).1,
        }
    }

    /// Feeds the piece if it is complete by now.
    fn complete(&mut self, now: Nanos) {
        if let Some(piece) = self.piece.take_if(|piece| piece.complete <= now) {
            self.value = self.of.next(&piece.bar, &piece.session);
        }
    }
}

impl Fold for Coarser {
    fn next(&mut self, bar: &Bar, session: &Session) -> f64 {
        let now = known_at(bar, session);
        let begun = self.begun_by(bar, session);
        match (begun, &mut self.piece) {
            (Some(begun), Some(piece)) if begun.bar.start == piece.bar.start => piece.bar.join(bar),
            (Some(begun), _) => {
                self.complete(now);
                self.piece = Some(begun);
            }
            (None, _) => {}
        }
        self.complete(now);
        self.value
    }
}
