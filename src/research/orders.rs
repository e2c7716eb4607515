//! A file of orders replayed over an archive, and counted.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rayon::prelude::*;
use serde_json::json;

use super::equity::{Kept as KeptEquity, whole};
use super::market::{CorporateActions, Loaded};
use crate::account::{AccountKind, Execution, OnInsufficient, Outcome};
use crate::archive::tables::{Delisting, Dividend};
use crate::archive::{Archive, SYNTHETIC};
use crate::bar::{Date, Nanos, Symbol};
use crate::calendar;
use crate::disk::hash::sha256_hex;
use crate::disk::map::{self, Access};
use crate::error::{Error, Result, codes};
use crate::finding::Finding;
use crate::history::History;
use crate::holdout;
use crate::ledger::{Kind, Ledger, Trials, encode};
use crate::metrics::{BySide, Metrics};
use crate::orders::{self, Options, Rows, Settings};
use crate::replay::floor::{Floor, Played};
use crate::replay::{Replay, Terms};
use crate::risk::Limits;
use crate::sweep::grid::Choice;

/// The name under which orders are counted.
pub const STRATEGY: &str = "orders";

/// What to replay.
#[derive(Clone, Debug)]
pub struct OrdersRequest<'a> {
    /// The orders: CSV or Parquet.
    pub orders: &'a Path,
    /// Where the bars are.
    pub archive: &'a Archive,
    /// The account and what is replayed.
    pub options: Options,
    /// Dividends instead of the archive's.
    pub dividends: Option<Vec<Dividend>>,
    /// Delistings instead of the archive's.
    pub delistings: Option<Vec<Delisting>>,
}

/// What became of the orders.
#[derive(Clone, Debug)]
pub struct OrdersRun {
    /// The rows that were heard.
    pub rows: Rows,
    /// Symbols, alphabetically.
    pub symbols: Vec<Symbol>,
    /// What happened.
    pub replay: Replay,
    /// Every execution, in order.
    pub executions: Vec<Execution>,
    /// What became of each order, by its number.
    pub outcomes: Vec<Option<Outcome>>,
    /// End of a bar and equity, where it changes.
    pub marks: Vec<(Nanos, f64)>,
    /// Largest worth of positions over equity at a bar's close.
    pub max_leverage: f64,
    /// What it was worth.
    pub metrics: Metrics,
    /// Trades by their direction.
    pub by_side: BySide,
    /// What an audit finds in the bars.
    pub findings: Vec<Finding>,
    /// Whether any bar is synthetic.
    pub synthetic: bool,
    /// Orders whose target is so near to all of equity that any cost or gap refuses it.
    pub tight_targets: u64,
}

/// Replays the orders and counts the run, or tells all that is wrong with them.
///
/// # Errors
/// Usage error for the options or if the ledger can't be written; data error for the archive.
pub fn replay_orders(
    request: &OrdersRequest<'_>,
    ledger: &mut Ledger,
) -> Result<std::result::Result<OrdersRun, Vec<Finding>>> {
    let settings = request.options.settings()?;
    let loaded = load(request, &settings)?;
    let cut: Vec<History<'_>> = loaded.iter().map(|l| cut(l, &settings)).collect::<Result<_>>()?;
    let (start, end) = period(&settings, &cut)?;
    let histories: Vec<History<'_>> = loaded.iter().zip(cut).map(|(l, history)| l.actions.tell(history)).collect();
    let known = Known { histories: &histories, start, end };
    let rows = match orders::read(request.orders, &settings, &known)? {
        Ok(rows) => rows,
        Err(findings) => return Ok(Err(findings)),
    };
    let trials = trials(request, &settings, &loaded, (start, end))?;
    holdout::check_free(ledger, &trials)?;
    let Settings { capital, costs, conditions, .. } = settings;
    let refuses = conditions.kind != AccountKind::Unlimited && conditions.on_insufficient == OnInsufficient::Reject;
    let terms = Terms { capital, costs, conditions, limits: Limits::default(), start, end };
    let Played { replay, kept, marks, max_leverage } = orders::replay(Floor::new(&histories, &terms)?, &rows);
    let account = KeptEquity { point: 0, symbol: None, capital, equity: replay.equity.clone() };
    ledger.add(Kind::Backtest, &trials, Some(&encode(&[(0, whole(capital, &[account]).dated_returns())])?))?;
    Ok(Ok(OrdersRun {
        symbols: settings.symbols.clone(),
        metrics: Metrics::new(&replay, &[]).into_inner(),
        by_side: BySide::of(&replay),
        executions: kept.executions,
        outcomes: kept.outcomes,
        findings: loaded.iter().flat_map(|l| l.findings.clone()).collect(),
        synthetic: loaded.iter().any(|l| l.series.provenance == SYNTHETIC),
        tight_targets: if refuses { rows.tight_targets() } else { 0 },
        rows,
        replay,
        marks,
        max_leverage,
    }))
}

impl OrdersRequest<'_> {
    /// Symbols of the given dividends and delistings that aren't among these, each once, as texts: perhaps misspelt.
    pub fn symbols_not_replayed(&self, replayed: &[Symbol]) -> Vec<String> {
        let dividends = self.dividends.iter().flatten().map(|dividend| dividend.symbol);
        let delistings = self.delistings.iter().flatten().map(|delisting| delisting.symbol);
        let others: BTreeSet<Symbol> =
            dividends.chain(delistings).filter(|symbol| !replayed.contains(symbol)).collect();
        others.iter().map(Symbol::to_string).collect()
    }
}

/// A symbol's bars cut into sessions, before anything happened to its shares.
fn cut<'l>(loaded: &'l Loaded, settings: &Settings) -> Result<History<'l>> {
    let Loaded { series, .. } = loaded;
    History::with_calendar(series.symbol, series.bars(), settings.hours, series.calendar)
}

fn load(request: &OrdersRequest<'_>, settings: &Settings) -> Result<Vec<Loaded>> {
    let archive = request.archive;
    let (first, last) = (settings.start.unwrap_or(calendar::FIRST), settings.end.unwrap_or(calendar::LAST));
    let load = |symbol: &Symbol| -> Result<Loaded> {
        let splits = archive.splits(*symbol);
        let source = archive.load_source(*symbol, settings.timeframe)?;
        let findings = archive.audit(&source, first, last, true)?;
        let mut series = archive.of_width(source, settings.timeframe)?;
        if settings.adjusted {
            series = series.adjusted(&splits);
        }
        let actions = CorporateActions {
            splits,
            dividends: dividends(request, *symbol),
            delisting: delisting(request, *symbol),
            adjusted: settings.adjusted,
            flat_overnight: false,
        };
        Ok(Loaded { series, actions, from_elsewhere: Vec::new(), findings })
    };
    settings.symbols.par_iter().map(load).collect()
}

/// The sessions replayed: those asked for, else all there are.
fn period(settings: &Settings, histories: &[History<'_>]) -> Result<(Date, Date)> {
    let dates = |history: &History<'_>| {
        let sessions = history.sessions();
        Some((sessions.first()?.session.date, sessions.last()?.session.date))
    };
    let all = histories.iter().filter_map(dates).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
    let (first, last) = all.ok_or_else(|| Error::new(codes::NO_BARS, "no bar of these symbols lies in a session"))?;
    let period = (settings.start.unwrap_or(first), settings.end.unwrap_or(last));
    for history in histories {
        if history.sessions_between(period.0, period.1).is_empty() {
            let what = format!("{} has no bars in a session from {} to {}", history.symbol, period.0, period.1);
            return Err(Error::new(codes::NO_BARS, what));
        }
    }
    Ok(period)
}

/// What a symbol paid: as the request says, else the archive.
fn dividends(request: &OrdersRequest<'_>, symbol: Symbol) -> Vec<Dividend> {
    match &request.dividends {
        Some(given) => given.iter().filter(|dividend| dividend.symbol == symbol).copied().collect(),
        None => request.archive.dividends(symbol),
    }
}

/// How a symbol ended: as the request says, else the archive.
fn delisting(request: &OrdersRequest<'_>, symbol: Symbol) -> Option<Delisting> {
    match &request.delistings {
        Some(given) => given.iter().find(|delisting| delisting.symbol == symbol).copied(),
        None => request.archive.delisting(symbol),
    }
}

/// The bars that rows may name.
struct Known<'l, 'a> {
    histories: &'l [History<'a>],
    start: Date,
    end: Date,
}

impl orders::Bars for Known<'_, '_> {
    fn has(&self, symbol: usize, start: Nanos) -> bool {
        self.histories[symbol].has_bar(start, self.start, self.end)
    }
}

/// What the run tries: these orders, whatever they are called, on this kind of account.
fn trials(
    request: &OrdersRequest<'_>,
    settings: &Settings,
    loaded: &[Loaded],
    (start_date, end_date): (Date, Date),
) -> Result<Trials> {
    let data: BTreeMap<Symbol, String> = loaded.iter().map(|l| (l.series.symbol, l.hash())).collect();
    let mut options = json!(request.options);
    if let Some(options) = options.as_object_mut() {
        options.retain(|_, value| !value.is_null());
    }
    options["orders_sha256"] = json!(sha256_hex(&map::bytes(request.orders, Access::Read)?));
    options.sort_all_objects();
    Ok(Trials {
        strategy: STRATEGY.to_owned(),
        data,
        scope: "portfolio".to_owned(),
        synthetic: loaded.iter().any(|l| l.series.provenance == SYNTHETIC),
        hours: settings.hours.name().to_owned(),
        start_date,
        end_date,
        settings: options,
        axes: Vec::new(),
        conditions: Vec::new(),
        choice: Choice::All,
        points: 1,
    })
}
