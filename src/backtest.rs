//! A deployed strategy replayed over an archive: load, cut, replay, judge.

use std::collections::BTreeMap;

use rayon::prelude::*;
use serde_json::Value;

use crate::archive::{Archive, SYNTHETIC, Series, manifest::sha256_hex, split_factor, tables::Split};
use crate::bar::{Date, Nanos, Symbol, Timeframe};
use crate::calendar;
use crate::config::Config;
use crate::costs::Costs;
use crate::error::{Code, Error, Result};
use crate::finding::Finding;
use crate::history::{History, Hours};
use crate::indicator::Memory;
use crate::metrics::{Metrics, buy_and_hold};
use crate::registry::Deployable;
use crate::replay::{Instrument, Recorder, Replay, Terms, replay};
use crate::strategy::{Inputs, Now};

/// One account for all symbols, or one each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All symbols share one account.
    Portfolio,
    /// Each symbol has its own account: its allocation if it has one, else the whole capital.
    Single,
}

impl Scope {
    /// The name in `metrics.json`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Portfolio => "portfolio",
            Self::Single => "single",
        }
    }
}

/// The name of an account: its symbol, or `PORTFOLIO`.
pub fn label(symbol: Option<Symbol>) -> String {
    symbol.map_or_else(|| "PORTFOLIO".to_owned(), |s| s.to_string())
}

/// What to replay.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The strategy's configuration.
    pub config: &'a Config,
    /// Where the bars are.
    pub archive: &'a Archive,
    /// Symbols instead of the configured ones.
    pub symbols: Option<&'a [Symbol]>,
    /// One account or many.
    pub scope: Scope,
    /// Hours instead of the configured ones.
    pub hours: Option<Hours>,
    /// First session.
    pub start: Date,
    /// Last session.
    pub end: Date,
    /// Slippage instead of the configured one, basis points per side.
    pub slippage_bps: Option<f64>,
    /// Whether bar by bar rows are wanted.
    pub record: bool,
}

/// One account's replay and what it was worth.
#[derive(Clone, Debug)]
pub struct Run {
    /// The symbol, or `PORTFOLIO`.
    pub label: String,
    /// Symbols replayed, alphabetically.
    pub symbols: Vec<Symbol>,
    /// First and last session of each symbol in the period.
    pub coverage: Vec<(Symbol, Date, Date)>,
    /// What happened.
    pub replay: Replay,
    /// What it was worth.
    pub metrics: Metrics,
    /// Costs charged.
    pub costs: Costs,
    /// Bars of the day that counted.
    pub hours: Hours,
    /// Where the bars come from, each name once.
    pub provenance: Vec<String>,
    /// SHA-256 over the series' hashes: the data this run depends on.
    pub data_hash: String,
    /// The hash of each symbol's bars.
    pub data: BTreeMap<Symbol, String>,
    /// What the strategy says of its parameters.
    pub parameters: Vec<(&'static str, Value)>,
    /// What an audit finds in the bars used; its errors block a gate.
    pub data_findings: Vec<Finding>,
    /// Bar by bar, if asked for.
    pub rows: Rows,
}

impl Run {
    /// Whether any bar is synthetic.
    pub fn is_synthetic(&self) -> bool {
        self.provenance.iter().any(|p| p == SYNTHETIC)
    }
}

/// Bar by bar records of a run.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    /// One per symbol and bar.
    pub bars: Vec<BarRow>,
    /// Start, end and equity of every bar start.
    pub marks: Vec<(Nanos, Nanos, f64)>,
}

/// A completed bar as recorded.
#[derive(Clone, Debug)]
pub struct BarRow {
    /// Its session.
    pub session: Date,
    /// Whether a position was open at its close.
    pub held: bool,
    /// Indicator values.
    pub inputs: Vec<f64>,
}

impl<I: Inputs> Recorder<I> for Rows {
    const BARS: bool = true;

    fn closed(&mut self, _: Symbol, now: &Now<I>, held: bool) {
        let inputs = now.inputs.as_slice().to_vec();
        self.bars.push(BarRow { session: now.session.date, held, inputs });
    }

    fn marked(&mut self, start: Nanos, end: Nanos, equity: f64) {
        self.marks.push((start, end, equity));
    }
}

/// A symbol's bars, strategy and splits, and what an audit finds in the bars used.
pub(crate) struct Loaded<S> {
    pub(crate) series: Series,
    pub(crate) strategy: S,
    pub(crate) splits: Vec<Split>,
    pub(crate) findings: Vec<Finding>,
}

/// Replays strategy `S` as asked: one run in portfolio scope, one per symbol in single scope.
pub(crate) fn run<S: Deployable>(request: &Request<'_>) -> Result<Vec<Run>> {
    let period = (request.start, request.end);
    check::<S>(period, request.hours)?;
    let mut symbols = request.symbols.unwrap_or(&request.config.symbols).to_vec();
    symbols.sort_unstable();
    let loaded: Vec<Loaded<S>> =
        symbols.par_iter().map(|&s| load(request.config, request.archive, s, period)).collect::<Result<_>>()?;
    match request.scope {
        Scope::Portfolio => Ok(vec![run_account(request, &loaded)?]),
        Scope::Single => loaded.par_iter().map(|one| run_account(request, std::slice::from_ref(one))).collect(),
    }
}

/// Contradictions between the request and the strategy.
pub(crate) fn check<S: Deployable>((start, end): (Date, Date), hours: Option<Hours>) -> Result<()> {
    if start > end {
        return Err(Error::new(Code::BadArgument, format!("the start date {start} is after the end date {end}")));
    }
    if S::TIMEFRAME == Timeframe::Day && hours == Some(Hours::All) {
        return Err(Error::new(
            Code::BadArgument,
            format!("{} trades daily bars: they have no hours to choose", S::NAME),
        )
        .help("leave out --session all"));
    }
    Ok(())
}

/// The strategy with a symbol's parameters; errors name the config.
fn strategy_of<S: Deployable>(config: &Config, symbol: Symbol) -> Result<S> {
    S::from_config(config, symbol).map_err(|e| e.at(config.path.display()))
}

pub(crate) fn load<S: Deployable>(
    config: &Config,
    archive: &Archive,
    symbol: Symbol,
    (start, end): (Date, Date),
) -> Result<Loaded<S>> {
    let strategy = strategy_of::<S>(config, symbol)?;
    let splits = archive.splits(symbol);
    let mut series = archive.load(symbol, S::TIMEFRAME)?;
    let findings = archive.audit(&series, first_used(start, &strategy), end, true)?;
    if S::ADJUSTED {
        series = series.adjusted(&splits);
    }
    Ok(Loaded { series, strategy, splits, findings })
}

/// The first date whose bars matter: indicators fold from the archive's first bar, unless all
/// of them forget with the session.
fn first_used<S: Deployable>(start: Date, strategy: &S) -> Date {
    let forgets = strategy.indicators().as_ref().iter().all(|i| i.memory() == Memory::Session);
    if forgets { start } else { calendar::FIRST }
}

fn run_account<S: Deployable>(request: &Request<'_>, loaded: &[Loaded<S>]) -> Result<Run> {
    let hours = request.hours.unwrap_or_else(|| request.config.hours());
    let instruments: Vec<Instrument<'_, S>> = loaded
        .par_iter()
        .map(|l| {
            let history = History::new(l.series.symbol, S::TIMEFRAME, l.series.bars(), hours)?;
            Ok(Instrument { history, strategy: l.strategy })
        })
        .collect::<Result<_>>()?;
    for instrument in &instruments {
        check_period::<S>(&instrument.history, request.archive, (request.start, request.end))?;
    }
    let mut costs = request.config.costs();
    costs.slippage_bps = request.slippage_bps.unwrap_or(costs.slippage_bps);
    let limits = request.config.limits();
    let capital = capital(request, loaded);
    let terms = Terms { capital, costs, limits, start: request.start, end: request.end };
    let mut rows = Rows::default();
    let replay = match request.record {
        true => replay(&instruments, &terms, &mut rows)?,
        false => replay(&instruments, &terms, &mut ())?,
    };
    let histories: Vec<&History<'_>> = instruments.iter().map(|i| &i.history).collect();
    // Raw prices jump at a split; adjusted ones don't.
    let adjust = |i: usize, date: Date| if S::ADJUSTED { 1.0 } else { split_factor(&loaded[i].splits, date) };
    let benchmark = buy_and_hold(&histories, request.start, request.end, adjust);
    let metrics = Metrics::new(&replay, &benchmark);
    let mut provenance: Vec<String> = loaded.iter().map(|l| l.series.provenance.clone()).collect();
    provenance.sort();
    provenance.dedup();
    let symbols: Vec<Symbol> = loaded.iter().map(|l| l.series.symbol).collect();
    let hashes: Vec<&str> = loaded.iter().map(|l| l.series.hash.as_str()).collect();
    Ok(Run {
        label: label((request.scope == Scope::Single).then(|| symbols[0])),
        coverage: histories.iter().map(|h| coverage(h, request)).collect(),
        parameters: loaded[0].strategy.describe(),
        data_hash: sha256_hex(hashes.concat().as_bytes()),
        data: loaded.iter().map(|l| (l.series.symbol, l.series.hash.clone())).collect(),
        data_findings: loaded.iter().flat_map(|l| l.findings.iter().cloned()).collect(),
        symbols,
        replay,
        metrics,
        costs,
        hours,
        provenance,
        rows,
    })
}

/// Every symbol must have bars in the period: a symbol that isn't there isn't a flat one.
pub(crate) fn check_period<S: Deployable>(
    history: &History<'_>,
    archive: &Archive,
    (start, end): (Date, Date),
) -> Result<()> {
    if !history.sessions_between(start, end).is_empty() {
        return Ok(());
    }
    let has = match history.sessions() {
        [first, .., last] => format!("it has sessions from {} to {}", first.session.date, last.session.date),
        [only] => format!("it has one session, {}", only.session.date),
        [] => "no bar lies in a session".to_owned(),
    };
    Err(Error::new(
        Code::NoBars,
        format!("{} has no {} bars from {start} to {end}; {has}", history.symbol, S::TIMEFRAME),
    )
    .at(archive.folder().display()))
}

fn coverage(history: &History<'_>, request: &Request<'_>) -> (Symbol, Date, Date) {
    let sessions = &history.sessions()[history.sessions_between(request.start, request.end)];
    let date = |s: Option<&crate::history::SessionBars>| s.map_or(Date::default(), |s| s.session.date);
    (history.symbol, date(sessions.first()), date(sessions.last()))
}

fn capital<S: Deployable>(request: &Request<'_>, loaded: &[Loaded<S>]) -> f64 {
    let whole = request.config.account_info.initial_capital;
    match request.scope {
        Scope::Portfolio => whole,
        Scope::Single => loaded[0].strategy.allocation().unwrap_or(whole),
    }
}
