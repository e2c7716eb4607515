//! Where bars come from, as they become known.

use std::time::Duration;

use crate::bar::{Bar, Symbol};
use crate::calendar::Session;
use crate::error::Result;

/// A source of bars in order of time.
pub trait Feed {
    /// What happens next.
    ///
    /// # Errors
    /// Data error if bars that are due don't come, or can't be read.
    fn next(&mut self) -> Result<Event<'_>>;
}

/// What happens in a feed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Event<'a> {
    /// A session begins. A day on which no symbol has a bar has no session.
    Opens(Session),
    /// All bars with one start, complete, alphabetically.
    Bars(&'a [FeedBar]),
    /// The session that began last is over.
    Closes(Session),
    /// Nothing is due before this has passed; then ask again.
    Wait(Duration),
    /// There is no more.
    Ends,
}

/// A symbol's complete bar, with what the feed knows about its place in the data.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FeedBar {
    /// The symbol.
    pub symbol: Symbol,
    /// Its bar, complete.
    pub bar: Bar,
    /// Whether this is the symbol's last bar of the session. A live feed knows it of the bar that ends with the
    /// session. If a symbol has no bar then, only an archive knows which was its last.
    pub last_of_session: bool,
    /// How many shares, as the bar's prices count them, one share of that day is: 1 unless prices are adjusted by later
    /// splits. Only an archive knows those.
    pub shares_of_one: f64,
    /// Whether there will never be another bar of this symbol. Only an archive knows that.
    pub last_of_data: bool,
}
