//! Where one symbol stands in its bars, session by session.

use std::ops::Range;

use crate::bar::{Bars, Date, Nanos};
use crate::calendar::Session;
use crate::history::{History, SessionBars};

/// A place in one symbol's bars: the session under way, the next bar of it, and the sessions still to come.
pub(crate) struct SessionCursor<'a> {
    history: &'a History<'a>,
    /// Sessions still to come, as indices into the history.
    ahead: Range<usize>,
    session: Session,
    /// Bars of the session under way.
    bars: Bars<'a>,
    /// Next bar of that session.
    next: usize,
}

impl<'a> SessionCursor<'a> {
    /// Before the first session dated `start..=end`.
    pub(crate) fn new(history: &'a History<'a>, start: Date, end: Date) -> Self {
        Self {
            history,
            ahead: history.sessions_between(start, end),
            session: Session::default(),
            bars: history.session_bars_at(0..0),
            next: 0,
        }
    }

    #[inline(always)]
    pub(crate) fn history(&self) -> &'a History<'a> {
        self.history
    }

    /// The session under way.
    #[inline(always)]
    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    /// Bars of the session under way.
    #[inline(always)]
    pub(crate) fn bars(&self) -> &Bars<'a> {
        &self.bars
    }

    /// Index of the next bar in the session under way.
    #[inline(always)]
    pub(crate) fn next(&self) -> usize {
        self.next
    }

    /// Start of the next bar of the session under way, if there is one.
    #[inline(always)]
    pub(crate) fn next_start(&self) -> Option<Nanos> {
        self.bars.starts().get(self.next).copied()
    }

    /// Start and end of the next bar of the session under way.
    pub(crate) fn next_times(&self) -> (Nanos, Nanos) {
        (self.bars.start_at(self.next), self.bars.end_at(self.next))
    }

    /// Makes bar `i` of the session under way the next one.
    #[inline(always)]
    pub(crate) fn move_to(&mut self, i: usize) {
        self.next = i;
    }

    /// Whether the session under way has no further bar.
    #[inline(always)]
    pub(crate) fn at_session_end(&self) -> bool {
        self.next == self.bars.len()
    }

    /// Whether the session under way has no further bar, and no session follows.
    #[inline(always)]
    pub(crate) fn at_data_end(&self) -> bool {
        self.at_session_end() && self.ahead.is_empty()
    }

    /// Whether no session follows the one under way.
    #[inline(always)]
    pub(crate) fn is_last_session(&self) -> bool {
        self.ahead.is_empty()
    }

    /// The session that follows.
    #[inline(always)]
    pub(crate) fn session_ahead(&self) -> Option<&'a SessionBars> {
        self.history.sessions()[self.ahead.clone()].first()
    }

    /// Date of the session that follows.
    #[inline(always)]
    pub(crate) fn date_ahead(&self) -> Option<Date> {
        self.session_ahead().map(|s| s.session.date)
    }

    /// The sessions before the first one to come.
    pub(crate) fn sessions_before(&self) -> &'a [SessionBars] {
        &self.history.sessions()[..self.ahead.start]
    }

    /// Begins the session that follows, if there is one.
    #[inline(always)]
    pub(crate) fn begin_session(&mut self) -> Option<&'a SessionBars> {
        let session = self.skip_session()?;
        self.show(session);
        Some(session)
    }

    /// Passes over the session that follows, if there is one.
    #[inline(always)]
    pub(crate) fn skip_session(&mut self) -> Option<&'a SessionBars> {
        let session = self.session_ahead()?;
        self.ahead.start += 1;
        Some(session)
    }

    /// Stands before the first bar of a session, wherever it lies.
    #[inline(always)]
    pub(crate) fn show(&mut self, session: &SessionBars) {
        self.session = session.session;
        self.bars = self.history.session_bars(session);
        self.next = 0;
    }

    /// Ends the session under way.
    #[inline(always)]
    pub(crate) fn end_session(&mut self) {
        self.bars = self.bars.slice(0..0);
        self.next = 0;
    }
}
