//! What a journal gives back: the desk, and how far the session was.

use std::collections::{BTreeMap, BTreeSet};

use magellan::account::Account;
use magellan::bar::{Bar, Date, Nanos, Symbol, Timeframe};
use magellan::calendar::{self, Session};
use magellan::error::{Error, Result};
use magellan::live::desk::Desk;
use magellan::live::record::Record;

use super::journal::JournalFile;
use super::settings::Settings;
use crate::codes;

/// What a journal gives back.
pub(super) struct Recovered {
    pub(super) desk: Desk,
    pub(super) journal: JournalFile,
    /// The session that began and didn't end.
    pub(super) session: Option<Session>,
    pub(super) last_closed: Date,
    pub(super) decided: Nanos,
    /// Bars of that session, as they were decided on.
    pub(super) bars: Vec<(Nanos, Vec<(Symbol, Bar)>)>,
    /// Orders of others that a person accepted.
    pub(super) accepted: BTreeSet<String>,
    /// Symbols whose trading is halted in that session, and why.
    pub(super) halts: BTreeMap<Symbol, String>,
}

impl Recovered {
    /// Reads the journal in the folder of state, or begins one.
    ///
    /// # Errors
    /// Data error if it is damaged, or of another strategy or account.
    pub(super) fn read(settings: &Settings<'_>, timeframe: Timeframe) -> Result<Self> {
        let config = settings.config.config();
        let account = Account::new(config.account_info.initial_capital, config.costs(), config.limits());
        let mut desk = Desk::new(account.under(config.conditions()), &config.symbols, timeframe);
        let (mut session, mut last_closed, mut decided) = (None, Date(i32::MIN), Nanos::MIN);
        let (mut bars, mut accepted, mut halts) = (Vec::new(), BTreeSet::new(), BTreeMap::new());
        let account = settings.account();
        desk.trust(true);
        let journal = JournalFile::open(settings.state, |record| {
            desk.apply(&record)?;
            match record {
                Record::Started { strategy, account: theirs, .. }
                    if strategy != config.strategy.name || theirs != account =>
                {
                    let what = format!("the journal is of {strategy} on the account {theirs}, not {account}");
                    return Err(Error::new(codes::JOURNAL_OF_ANOTHER, what));
                }
                Record::Opens { date } => {
                    session = Some(calendar::session(date));
                    bars.clear();
                    halts.clear();
                }
                Record::Closes { date } => (session, last_closed) = (None, date),
                Record::Bars { start, end, bars: of, .. } => {
                    decided = start;
                    bars.push((start, of.iter().map(|bar| (bar.0, bar.bar(start, end))).collect()));
                }
                Record::Status { symbol, halted: Some(why), .. } => drop(halts.insert(symbol, why)),
                Record::Status { symbol, halted: None, .. } => drop(halts.remove(&symbol)),
                Record::Accepted { orders, .. } => accepted.extend(orders),
                _ => {}
            }
            Ok(())
        })?;
        desk.trust(false);
        Ok(Self { desk, journal, session, last_closed, decided, bars, accepted, halts })
    }
}
