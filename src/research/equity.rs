//! What accounts were worth after each session, and several of them as one.

use std::collections::BTreeSet;

use crate::bar::{Date, Symbol};
use crate::metrics::returns;

/// Equity of one account, or of several together, at one point after each session.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Kept {
    /// Index among the points that were asked for.
    pub point: usize,
    /// The symbol; none for a portfolio and for several accounts together.
    pub symbol: Option<Symbol>,
    /// Starting capital, dollars.
    pub capital: f64,
    /// Sessions with any bar, and equity after them.
    pub equity: Vec<(Date, f64)>,
}

impl Kept {
    /// The sessions with their simple returns.
    pub(crate) fn dated_returns(&self) -> Vec<(Date, f64)> {
        self.equity.iter().map(|e| e.0).zip(self.returns()).collect()
    }

    /// Simple returns of the sessions.
    pub(crate) fn returns(&self) -> Vec<f64> {
        returns(self.capital, &self.equity.iter().map(|e| e.1).collect::<Vec<f64>>())
    }
}

/// All accounts of a point as one that starts with the whole capital and wins what they win: as if they had shared it.
pub(crate) fn whole(capital: f64, accounts: &[Kept]) -> Kept {
    let sleeves = joined(accounts);
    let equity = sleeves.equity.iter().map(|(date, worth)| (*date, capital + (worth - sleeves.capital))).collect();
    Kept { symbol: None, capital, equity, ..sleeves }
}

/// Capitals and equity added up, in the order of the symbols. An account without a session on a date is worth what it
/// was before.
fn joined(accounts: &[Kept]) -> Kept {
    let dates_of = |account: &'_ Kept| account.equity.iter().map(|e| e.0).collect::<Vec<Date>>();
    let first = dates_of(&accounts[0]);
    let same = |account: &Kept| account.equity.iter().map(|e| e.0).eq(first.iter().copied());
    let dates: Vec<Date> = match accounts.iter().all(same) {
        true => first,
        false => accounts.iter().flat_map(dates_of).collect::<BTreeSet<Date>>().into_iter().collect(),
    };
    let mut at = vec![0; accounts.len()];
    let mut worth: Vec<f64> = accounts.iter().map(|a| a.capital).collect();
    let equity = dates.into_iter().map(|date| {
        for ((account, at), worth) in accounts.iter().zip(&mut at).zip(&mut worth) {
            if let Some((_, equity)) = account.equity.get(*at).filter(|e| e.0 == date) {
                (*worth, *at) = (*equity, *at + 1);
            }
        }
        (date, worth.iter().fold(0.0, |sum, w| sum + w))
    });
    let equity = equity.collect();
    let symbol = if let [only] = accounts { only.symbol } else { None };
    Kept { point: accounts[0].point, symbol, capital: accounts.iter().fold(0.0, |sum, a| sum + a.capital), equity }
}
