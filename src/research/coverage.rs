//! How much of the period asked for the bars cover.

use serde::Serialize;

use super::market::{Market, Period};
use crate::bar::Symbol;
use crate::calendar::{self, Calendar};
use crate::error::Result;
use crate::history::History;

/// A symbol whose bars cover a part of the period only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PartlyCovered {
    /// The symbol.
    pub symbol: Symbol,
    /// The dates asked for.
    pub asked: Period,
    /// First and last session with bars.
    pub covered: Period,
    /// Sessions with bars.
    pub sessions: usize,
    /// Sessions of the exchange in the dates asked for.
    pub sessions_asked: usize,
}

/// The symbols of a market whose bars cover a part of its period only.
pub(super) fn partly_covered(market: &Market) -> Result<Vec<PartlyCovered>> {
    let histories = market.all_histories()?;
    Ok(of_histories(histories.iter(), market.period(), market.calendar()))
}

/// The same of some histories.
pub(super) fn of_histories<'h>(
    histories: impl Iterator<Item = &'h History<'h>>,
    asked: Period,
    calendar: Calendar,
) -> Vec<PartlyCovered> {
    let sessions_asked = calendar.sessions(asked.0.max(calendar::FIRST), asked.1.min(calendar::LAST)).count();
    let of = |history: &History<'_>| {
        let sessions = &history.sessions()[history.sessions_between(asked.0, asked.1)];
        let (first, last) = (sessions.first()?, sessions.last()?);
        let covered = (first.session.date, last.session.date);
        let is_whole = sessions.len() == sessions_asked;
        let symbol = history.symbol;
        (!is_whole).then_some(PartlyCovered { symbol, asked, covered, sessions: sessions.len(), sessions_asked })
    };
    histories.filter_map(of).collect()
}
