//! A feed of archived bars.

use super::feed::{Event, Feed, FeedBar};
use crate::bar::{Date, Nanos};
use crate::calendar::Session;
use crate::error::Result;
use crate::history::History;
use crate::replay::cursor::SessionCursor;

/// Histories, merged by time. It knows more than a live feed: which bar is a symbol's last of the session though the
/// session goes on, and which is its last of all. Either only makes the broker sell, as the account of a replay does.
pub struct Archived<'a> {
    /// Alphabetically.
    symbols: Vec<SessionCursor<'a>>,
    /// The session under way.
    session: Option<Session>,
    bars: Vec<FeedBar>,
}

impl<'a> Archived<'a> {
    /// The sessions `start..=end` of these histories.
    pub fn new(histories: &'a [History<'a>], start: Date, end: Date) -> Self {
        let mut symbols: Vec<_> = histories.iter().map(|history| SessionCursor::new(history, start, end)).collect();
        symbols.sort_by_key(|cursor| cursor.history().symbol);
        Self { symbols, session: None, bars: Vec::new() }
    }

    fn open_session(&mut self) -> Option<Session> {
        let date = self.symbols.iter().filter_map(SessionCursor::date_ahead).min()?;
        for cursor in self.symbols.iter_mut().filter(|cursor| cursor.date_ahead() == Some(date)) {
            self.session = cursor.begin_session().map(|s| s.session);
        }
        self.session
    }
}

impl Feed for Archived<'_> {
    fn next(&mut self) -> Result<Event<'_>> {
        let Some(session) = self.session else {
            return Ok(self.open_session().map_or(Event::Ends, Event::Opens));
        };
        let Some(start) = self.symbols.iter().filter_map(SessionCursor::next_start).min() else {
            self.session = None;
            return Ok(Event::Closes(session));
        };
        self.bars.clear();
        self.bars.extend(self.symbols.iter_mut().filter_map(|cursor| take(cursor, start)));
        Ok(Event::Bars(&self.bars))
    }
}

/// A symbol's next bar, if it starts at `start`.
fn take(cursor: &mut SessionCursor<'_>, start: Nanos) -> Option<FeedBar> {
    cursor.next_start().filter(|next| *next == start)?;
    let bar = cursor.bars().get(cursor.next());
    cursor.move_to(cursor.next() + 1);
    Some(FeedBar {
        symbol: cursor.history().symbol,
        bar,
        last_of_session: cursor.at_session_end(),
        shares_of_one: cursor.history().shares_of_one(cursor.session().date),
        last_of_data: cursor.at_data_end(),
    })
}
