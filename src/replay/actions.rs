//! A symbol's corporate actions that are still to come in a replay.

use crate::account::{Account, BarAt, Book};
use crate::bar::Date;
use crate::history::{Action, History};

/// The actions of a history, from a place on.
pub(super) struct ActionsAhead<'a> {
    history: &'a History<'a>,
    done: usize,
}

impl<'a> ActionsAhead<'a> {
    /// Those after the session of a date: what happened before happened to nobody.
    pub(super) fn after(history: &'a History<'a>, first: Date) -> Self {
        let mut ahead = Self { history, done: 0 };
        ahead.pass(first);
        ahead
    }

    /// Passes over what happens until a date, with nothing held or ordered.
    pub(super) fn pass(&mut self, date: Date) {
        let ahead = &self.history.actions()[self.done..];
        self.done += ahead.partition_point(|(on, _)| *on <= date);
    }

    /// Lets happen what is due at the first bar of a date, to a book whose last close is given and changed.
    pub(super) fn act(&mut self, book: &mut Book, account: &mut Account, at: &BarAt<'_>, last_close: &mut f64) {
        let date = at.session.date;
        while let Some((on, action)) = self.history.actions().get(self.done).filter(|(on, _)| *on <= date) {
            self.done += 1;
            match action {
                Action::Split(ratio) => {
                    book.split(account, at, *ratio, *last_close);
                    *last_close /= ratio;
                }
                Action::Dividend(amount) => book.dividend(account, amount / self.history.shares_of_one(*on)),
            }
        }
    }

    /// Whether something is due by a date.
    pub(super) fn has_due(&self, date: Date) -> bool {
        self.history.actions().get(self.done).is_some_and(|(on, _)| *on <= date)
    }
}
