//! Whole columns of indicator values, for research and sweeps.

use std::ops::Range;

use rayon::prelude::*;

use super::catalogue::Indicator;
use super::external::External;
use super::memory::Memory;
use super::time::known_at;
use crate::history::{History, SessionBars};

/// Most bars that are folded at once.
const STRETCH: usize = 4_096;

/// Indicator columns over all sessions of one history, each distinct indicator computed once:
/// what research plots and many parameter points share.
pub struct Columns {
    /// The first bar of the history that has values.
    first: usize,
    columns: Vec<(Indicator, Vec<f64>)>,
}

impl Columns {
    /// Folds `indicators` over the whole history; a column has a value for each of its bars.
    pub fn compute(history: &History<'_>, indicators: &[Indicator]) -> Self {
        Self::over(history, history.sessions(), indicators)
    }

    /// Folds them over some sessions of the history.
    fn over(history: &History<'_>, mut sessions: &[SessionBars], indicators: &[Indicator]) -> Self {
        let first = sessions.first().map_or(0, |session| session.ordinal);
        let bars = sessions.iter().map(|session| session.range.len()).sum();
        let mut columns: Vec<(Indicator, Vec<f64>)> = Vec::new();
        let mut rolling = Vec::new();
        for &indicator in indicators {
            if columns.iter().all(|(known, _)| *known != indicator) {
                columns.push((indicator, Vec::with_capacity(bars)));
                rolling.push(indicator.start(history.symbol));
            }
        }
        // Stretch by stretch, so that the bars stay in the nearest cache for all indicators. One that
        // doesn't see where they end takes many of them at once.
        while let [first, ..] = sessions {
            let adjoining = sessions
                .windows(2)
                .take_while(|w| w[0].range.end == w[1].range.start && w[1].range.end - first.range.start <= STRETCH);
            let (stretch, rest) = sessions.split_at(1 + adjoining.count());
            let last = &stretch[stretch.len() - 1];
            let whole = history.session_bars_at(first.range.start..last.range.end);
            for (rolling, (indicator, column)) in rolling.iter_mut().zip(&mut columns) {
                match indicator.sees_sessions() {
                    false => rolling.extend(&whole, &first.session, column),
                    true => stretch.iter().for_each(|s| rolling.extend(&history.session_bars(s), &s.session, column)),
                }
            }
            sessions = rest;
        }
        Self { first, columns }
    }

    /// As [`Columns::compute`], the indicators shared out over the threads; if all of them forget with the session, over
    /// these sessions only.
    pub(crate) fn of_sessions(history: &History<'_>, sessions: Range<usize>, indicators: &[Indicator]) -> Self {
        let forget = indicators.iter().all(|indicator| indicator.memory() == Memory::Session);
        let sessions = if forget { &history.sessions()[sessions] } else { history.sessions() };
        let first = sessions.first().map_or(0, |session| session.ordinal);
        let parts: Vec<Self> = indicators.par_iter().map(|&i| Self::over(history, sessions, &[i])).collect();
        Self { first, columns: parts.into_iter().flat_map(|part| part.columns).collect() }
    }

    /// Whether all of these were computed.
    pub fn hold(&self, indicators: &[Indicator]) -> bool {
        indicators.iter().all(|i| self.columns.iter().any(|(known, _)| known == i))
    }

    /// The bars of the history that have values.
    pub(crate) fn bars(&self) -> Range<usize> {
        self.first..self.first + self.columns.first().map_or(0, |(_, column)| column.len())
    }

    /// The column of an indicator that was computed.
    ///
    /// # Panics
    /// If it wasn't.
    pub fn get(&self, indicator: Indicator) -> &[f64] {
        let found = self.columns.iter().find(|(known, _)| *known == indicator);
        &found.unwrap_or_else(|| panic!("{indicator:?} was not computed")).1
    }
}

impl Indicator {
    /// This indicator of another symbol's bars, as of each bar of the traded one: its value at the other's last bar that
    /// is complete at or before this close. The values are computed here, over all of the other's sessions.
    ///
    /// A [`Runner`](crate::runner::Runner) has no bars of symbols that aren't traded, and refuses it.
    #[must_use]
    pub fn of_symbol(self, other: &History<'_>) -> Self {
        let columns = Columns::compute(other, &[self]);
        let mut known = Vec::with_capacity(other.len());
        for session in other.sessions() {
            let bars = other.session_bars(session);
            known.extend((0..bars.len()).map(|i| known_at(&bars.get(i), &session.session)));
        }
        Self::External(External::of_symbol(other.symbol, self.name(), known, columns.get(self).to_vec()))
    }
}
