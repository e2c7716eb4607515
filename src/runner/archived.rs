//! A feed of archived bars.

use std::ops::Range;

use super::{Event, Feed, Tick};
use crate::bar::{Bars, Date, Nanos};
use crate::calendar::Session;
use crate::error::Result;
use crate::history::History;

/// Histories, merged by time. It knows more than a live feed: which bar is a symbol's last of the
/// session though the session goes on, and which is its last at all. Both only make the broker
/// sell, as the replay's account does.
pub struct Archived<'a> {
    /// Alphabetically.
    lanes: Vec<Lane<'a>>,
    /// The session under way.
    session: Option<Session>,
    ticks: Vec<Tick>,
}

/// One symbol: where it stands in its bars.
struct Lane<'a> {
    history: &'a History<'a>,
    /// Sessions still to come, as indices into the history.
    ahead: Range<usize>,
    today: Bars<'a>,
    /// Next bar of today.
    next: usize,
}

impl<'a> Archived<'a> {
    /// The sessions `start..=end` of these histories.
    pub fn new(histories: &'a [History<'a>], start: Date, end: Date) -> Self {
        let lane = |history: &'a History<'a>| Lane {
            history,
            ahead: history.sessions_between(start, end),
            today: history.session_bars_at(0..0),
            next: 0,
        };
        let mut lanes: Vec<Lane<'a>> = histories.iter().map(lane).collect();
        lanes.sort_by_key(|lane| lane.history.symbol);
        Self { lanes, session: None, ticks: Vec::new() }
    }

    fn open_session(&mut self) -> Option<Session> {
        let date = self.lanes.iter().filter_map(|lane| Some(lane.ahead()?.date)).min()?;
        for lane in &mut self.lanes {
            if let Some(session) = lane.ahead().filter(|s| s.date == date) {
                self.session = Some(session);
                lane.begin_session();
            }
        }
        self.session
    }
}

impl Feed for Archived<'_> {
    fn next(&mut self) -> Result<Event<'_>> {
        let Some(session) = self.session else {
            return Ok(self.open_session().map_or(Event::Ends, Event::Opens));
        };
        let Some(start) = self.lanes.iter().filter_map(Lane::next_start).min() else {
            self.session = None;
            return Ok(Event::Closes(session));
        };
        self.ticks.clear();
        self.ticks.extend(self.lanes.iter_mut().filter_map(|lane| lane.take(start)));
        Ok(Event::Bars(&self.ticks))
    }
}

impl Lane<'_> {
    fn ahead(&self) -> Option<Session> {
        let next = self.ahead.clone().next()?;
        Some(self.history.sessions()[next].session)
    }

    fn begin_session(&mut self) {
        if let Some(index) = self.ahead.next() {
            self.today = self.history.session_bars(&self.history.sessions()[index]);
            self.next = 0;
        }
    }

    fn next_start(&self) -> Option<Nanos> {
        self.today.starts().get(self.next).copied()
    }

    /// The next bar, if it starts then.
    fn take(&mut self, start: Nanos) -> Option<Tick> {
        self.next_start().filter(|next| *next == start)?;
        let bar = self.today.get(self.next);
        self.next += 1;
        let last_of_session = self.next == self.today.len();
        let last_of_data = last_of_session && self.ahead.is_empty();
        Some(Tick { symbol: self.history.symbol, bar, last_of_session, last_of_data })
    }
}
