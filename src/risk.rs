//! Account limits. They refuse entries, never exits.

use std::collections::VecDeque;

use crate::bar::Date;

/// Account limits; `None` means that the account has no such limit.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Limits {
    /// Refuses entries once the session's realised loss reaches this limit.
    pub max_daily_loss: Option<DailyLoss>,
    /// Entry fills per session, counted over all symbols.
    pub max_trades_per_day: Option<u32>,
    /// Positions open at once, pending entries included.
    pub max_open_positions: Option<u32>,
    /// Largest position, dollars at the close of the bar of the signal.
    pub max_position_dollars: Option<f64>,
    /// Conditions that halt entries for the rest of the replay.
    pub halt: Option<Halt>,
}

/// A loss limit: the smaller of an amount and a fraction of the session's starting equity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DailyLoss {
    /// Dollars, positive.
    pub dollars: f64,
    /// Fraction of equity at the session's start, e.g. 0.10.
    pub fraction: f64,
}

impl DailyLoss {
    /// Whether a session's realised profit, begun with `start_equity`, is a loss this large.
    #[inline(always)]
    pub(crate) fn reached(&self, realised: f64, start_equity: f64) -> bool {
        realised <= -self.dollars.min(self.fraction * start_equity)
    }
}

/// Emergency stop. Once one of the conditions holds at a session's end, entries halt until a person
/// restarts the strategy. A replay has nobody to restart it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Halt {
    /// So many sessions in a row with a realised loss. Sessions without a realised profit or loss
    /// don't count.
    pub losing_days: u32,
    /// Entries halt if the share of winning trades over the window is below this, a fraction.
    pub win_rate_below: f64,
    /// The window, sessions. It counts once it is full and has a trade.
    pub window_days: u32,
    /// Fall of session equity from its peak, a fraction, e.g. 0.20.
    pub drawdown: f64,
}

/// Why an otherwise valid entry was refused, in the order in which limits are tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Block {
    /// An emergency stop is in force.
    EmergencyStop,
    /// The day's realised loss is at its limit.
    MaxDailyLoss,
    /// The day's entries are used up.
    MaxTradesPerDay,
    /// Too many positions are open.
    MaxOpenPositions,
}

impl Block {
    /// All blocks in testing order.
    pub const ALL: [Self; 4] = [Self::EmergencyStop, Self::MaxDailyLoss, Self::MaxTradesPerDay, Self::MaxOpenPositions];

    /// The name in reports and decisions.
    pub const fn name(self) -> &'static str {
        match self {
            Self::EmergencyStop => "emergency_stop",
            Self::MaxDailyLoss => "max_daily_loss",
            Self::MaxTradesPerDay => "max_trades_per_day",
            Self::MaxOpenPositions => "max_open_positions",
        }
    }
}

/// Watches sessions for the conditions of [`Halt`].
#[derive(Clone, Debug, Default)]
pub(crate) struct HaltWatch {
    losing_days: u32,
    peak: f64,
    window: VecDeque<(u32, u32)>,
    since: Option<Date>,
}

impl HaltWatch {
    /// The session after which entries halted.
    pub(crate) fn since(&self) -> Option<Date> {
        self.since
    }

    /// Tests the conditions at a session's end: realised profit, equity, and trades won of those closed.
    pub(crate) fn end_session(
        &mut self,
        halt: &Halt,
        date: Date,
        realised: f64,
        equity: f64,
        (won, closed): (u32, u32),
    ) {
        self.losing_days = match realised {
            r if r < 0.0 => self.losing_days + 1,
            r if r > 0.0 => 0,
            _ => self.losing_days,
        };
        self.peak = self.peak.max(equity);
        self.window.push_back((won, closed));
        if self.window.len() > halt.window_days as usize {
            self.window.pop_front();
        }
        let full = self.window.len() == halt.window_days as usize;
        let (won, closed) = self.window.iter().fold((0, 0), |t, d| (t.0 + d.0, t.1 + d.1));
        let tripped = self.losing_days >= halt.losing_days
            || equity <= self.peak * (1.0 - halt.drawdown)
            || (full && closed > 0 && f64::from(won) / f64::from(closed) < halt.win_rate_below);
        if tripped {
            self.since.get_or_insert(date);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HALT: Halt = Halt { losing_days: 3, win_rate_below: 0.3, window_days: 4, drawdown: 0.2 };

    fn halted_after(days: &[(f64, f64, (u32, u32))]) -> Option<i32> {
        let mut watch = HaltWatch::default();
        for (day, &(realised, equity, trades)) in days.iter().enumerate() {
            watch.end_session(&HALT, Date(day as i32), realised, equity, trades);
        }
        watch.since().map(|d| d.0)
    }

    #[test]
    fn three_losing_days_in_a_row_halt_and_quiet_days_between_do_not_reset() {
        let loss = (-1.0, 100.0, (1, 1));
        let quiet = (0.0, 100.0, (0, 0));
        assert_eq!(halted_after(&[loss, quiet, loss, loss]), Some(3));
        assert_eq!(halted_after(&[loss, loss, (1.0, 100.0, (1, 1)), loss, loss]), None);
    }

    #[test]
    fn the_win_rate_is_judged_over_a_full_window_only() {
        let bad = (1.0, 100.0, (0, 2));
        assert_eq!(halted_after(&[bad, bad, bad]), None);
        assert_eq!(halted_after(&[bad, bad, bad, bad]), Some(3));
    }

    #[test]
    fn a_fifth_below_the_peak_halts() {
        let at = |equity| (1.0, equity, (1, 1));
        assert_eq!(halted_after(&[at(100.0), at(81.0)]), None);
        assert_eq!(halted_after(&[at(100.0), at(120.0), at(96.0)]), Some(2));
    }
}
