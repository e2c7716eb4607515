//! A deployed strategy replayed over an archive: load, cut, replay, judge.
//!
//! [`Bench`] holds a strategy with its bars, so that it can be replayed again under other
//! circumstances: [`Change`].

use std::collections::BTreeMap;
use std::sync::OnceLock;

use rayon::prelude::*;
use serde_json::Value;

use crate::archive::tables::Split;
use crate::archive::{Archive, SYNTHETIC, Series, split_factor};
use crate::bar::{Bars, Date, Nanos, Symbol, Timeframe};
use crate::calendar;
use crate::config::Config;
use crate::costs::Costs;
use crate::disk::hash::sha256_hex;
use crate::error::{Error, Result, codes};
use crate::finding::Finding;
use crate::history::{History, Hours};
use crate::indicator::{Columns, Memory};
use crate::ledger::Trials;
use crate::metrics::{Metrics, buy_and_hold};
use crate::order::Order;
use crate::registry::{AnyStrategy, Deployable};
use crate::replay::{Instrument, Recorder, Replay, Terms, replay, replay_passing_over};
use crate::strategy::{Inputs, Now};
use crate::sweep::grid::Choice;

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
    /// Worth of equal amounts of every symbol, bought at its first close and held; 1 a symbol, at
    /// each session of `replay.equity`.
    pub benchmark: Vec<f64>,
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

impl<'a> Request<'a> {
    /// All symbols of a config on one account, from one session to another, as configured.
    pub fn portfolio(config: &'a Config, archive: &'a Archive, start: Date, end: Date) -> Self {
        Self {
            config,
            archive,
            symbols: None,
            scope: Scope::Portfolio,
            hours: None,
            start,
            end,
            slippage_bps: None,
            record: false,
        }
    }
}

impl Run {
    /// Whether any bar is synthetic.
    pub fn is_synthetic(&self) -> bool {
        self.provenance.iter().any(|p| p == SYNTHETIC)
    }
}

/// What runs of one replay tried: one trial. `settings` are the config's that they depend on.
pub fn trials(
    strategy: &dyn AnyStrategy,
    settings: &Value,
    runs: &[Run],
    scope: Scope,
    (start_date, end_date): (Date, Date),
) -> Trials {
    Trials {
        strategy: strategy.name().to_owned(),
        data: runs.iter().flat_map(|run| run.data.clone()).collect(),
        scope: scope.name().to_owned(),
        synthetic: runs.iter().any(Run::is_synthetic),
        hours: runs.first().map_or(Hours::Regular, |run| run.hours).name().to_owned(),
        start_date,
        end_date,
        settings: settings.clone(),
        axes: Vec::new(),
        conditions: Vec::new(),
        choice: Choice::All,
        points: 1,
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

/// What is different from the request.
#[derive(Clone, Copy, Debug, Default)]
pub struct Change<'c> {
    /// Other settings of the same symbols: parameters, limits, capital.
    pub config: Option<&'c Config>,
    /// Other costs.
    pub costs: Option<Costs>,
    /// A symbol left out.
    pub without: Option<Symbol>,
    /// Only bars that start before this exist.
    pub before: Option<Nanos>,
    /// Bars that start after this have other prices.
    pub repriced_after: Option<Nanos>,
    /// So many bars before the first session traded exist, of each symbol.
    pub seed: Option<usize>,
    /// Another first session.
    pub start: Option<Date>,
}

/// What a strategy answered at the close of the bar that starts at a time.
pub type Decision = (Symbol, Nanos, Order);

/// Start and close of bars, by symbol.
pub type Closes = Vec<(Symbol, Vec<(Nanos, f64)>)>;

/// A strategy with its bars loaded, ready to be replayed as asked and otherwise.
pub trait Bench: Sync {
    /// The symbols, alphabetically.
    fn symbols(&self) -> Vec<Symbol>;

    /// As asked: one run in portfolio scope, one per symbol in single scope.
    ///
    /// # Errors
    /// Data error if a symbol has no bars in the period.
    fn runs(&self) -> Result<Vec<Run>>;

    /// All symbols on one account, with a change.
    ///
    /// # Errors
    /// Config error of the change; data error if nothing is left to replay.
    fn vary(&self, change: &Change<'_>) -> Result<Replay>;

    /// Every decision of that replay, in order.
    ///
    /// # Errors
    /// As [`Bench::vary`].
    fn decisions(&self, change: &Change<'_>) -> Result<Vec<Decision>>;

    /// Starts of the period's bars, each once, ascending.
    ///
    /// # Errors
    /// As [`Bench::vary`].
    fn bar_starts(&self) -> Result<Vec<Nanos>>;

    /// The period's bars.
    ///
    /// # Errors
    /// As [`Bench::vary`].
    fn closes(&self) -> Result<Closes>;

    /// Each symbol's last bar that starts before a time, if it has one.
    ///
    /// # Errors
    /// As [`Bench::vary`].
    fn last_bars(&self, before: Nanos) -> Result<Vec<(Symbol, Nanos)>>;

    /// The bars of each symbol, alphabetically, cut into sessions.
    ///
    /// # Errors
    /// Data error if a symbol has no bars in the period.
    fn histories(&self) -> Result<Vec<History<'_>>>;

    /// Bars before the first decision; of all symbols, the most.
    fn warmup(&self) -> usize;

    /// The first session of the period before which every symbol has so many bars, if there is one.
    ///
    /// # Errors
    /// As [`Bench::vary`].
    fn first_after(&self, bars: usize) -> Result<Option<Date>>;

    /// Bars that the strategy looks back, at most; none if it forgets all with the session.
    fn longest_period(&self) -> Option<usize>;
}

struct Prepared<'a, S> {
    request: Request<'a>,
    loaded: Vec<Loaded<S>>,
    /// Indicators of the configured parameters.
    columns: OnceLock<Vec<Columns>>,
}

/// Loads strategy `S` as asked.
pub(crate) fn prepare<'a, S: Deployable>(request: &Request<'a>) -> Result<Box<dyn Bench + 'a>> {
    let period = (request.start, request.end);
    check::<S>(period, request.hours)?;
    let mut symbols = request.symbols.unwrap_or(&request.config.symbols).to_vec();
    symbols.sort_unstable();
    let loaded: Vec<Loaded<S>> =
        symbols.par_iter().map(|&s| load(request.config, request.archive, s, period)).collect::<Result<_>>()?;
    Ok(Box::new(Prepared { request: *request, loaded, columns: OnceLock::new() }))
}

/// Keeps every decision.
#[derive(Default)]
struct Decisions(Vec<Decision>);

impl<I> Recorder<I> for Decisions {
    const BARS: bool = false;

    fn decided(&mut self, symbol: Symbol, at: Nanos, order: &Order) {
        self.0.push((symbol, at, *order));
    }
}

impl<S: Deployable> Bench for Prepared<'_, S> {
    fn symbols(&self) -> Vec<Symbol> {
        self.loaded.iter().map(|l| l.series.symbol).collect()
    }

    fn runs(&self) -> Result<Vec<Run>> {
        match self.request.scope {
            Scope::Portfolio => Ok(vec![run_account(&self.request, &self.loaded)?]),
            Scope::Single => {
                self.loaded.par_iter().map(|one| run_account(&self.request, std::slice::from_ref(one))).collect()
            }
        }
    }

    fn vary(&self, change: &Change<'_>) -> Result<Replay> {
        let terms = self.terms(change);
        let instruments = self.instruments(change)?;
        // The bars are as loaded, and so are the indicators, unless their parameters differ.
        let whole = change.before.is_none() && change.seed.is_none();
        if !whole {
            return replay(&instruments, &terms, &mut ());
        }
        let own = self.columns().iter().zip(&self.loaded).filter(|(_, l)| self.stays(l, change)).map(|c| c.0);
        let fresh: Vec<Option<Columns>> = instruments
            .iter()
            .zip(own.clone())
            .map(|(i, own)| (!own.hold(i.strategy.indicators().as_ref())).then(|| columns_of(i)))
            .collect();
        let columns = fresh.iter().zip(own).map(|(fresh, own)| fresh.as_ref().unwrap_or(own));
        let desks: Vec<_> = instruments.iter().zip(columns).map(|(i, c)| (&i.history, c, i.strategy)).collect();
        replay_passing_over(&desks, &terms)
    }

    fn decisions(&self, change: &Change<'_>) -> Result<Vec<Decision>> {
        if let Some(after) = change.repriced_after {
            let other = |l: &Loaded<S>| Loaded {
                series: l.series.repriced_after(after),
                strategy: l.strategy,
                splits: l.splits.clone(),
                findings: Vec::new(),
            };
            let loaded = self.loaded.iter().map(other).collect();
            let other = Prepared { request: self.request, loaded, columns: OnceLock::new() };
            return other.decisions(&Change { repriced_after: None, ..*change });
        }
        let mut decisions = Decisions::default();
        replay(&self.instruments(change)?, &self.terms(change), &mut decisions)?;
        Ok(decisions.0)
    }

    fn bar_starts(&self) -> Result<Vec<Nanos>> {
        let mut starts: Vec<Nanos> = self.closes()?.iter().flat_map(|(_, bars)| bars.iter().map(|b| b.0)).collect();
        starts.sort_unstable();
        starts.dedup();
        Ok(starts)
    }

    fn closes(&self) -> Result<Closes> {
        let of = |history: &History<'_>| {
            let sessions = history.sessions()[history.sessions_between(self.request.start, self.request.end)].iter();
            let bars = sessions.map(|s| history.session_bars(s));
            let closes = bars.flat_map(|b| (0..b.len()).map(move |i| (b.start_at(i), b.close_at(i))));
            (history.symbol, closes.collect())
        };
        Ok(self.instruments(&Change::default())?.iter().map(|i| of(&i.history)).collect())
    }

    fn last_bars(&self, before: Nanos) -> Result<Vec<(Symbol, Nanos)>> {
        let instruments = self.instruments(&Change { before: Some(before), ..Change::default() })?;
        let last = |history: &History<'_>| {
            let bars = history.session_bars(history.sessions().last()?);
            Some((history.symbol, bars.starts()[bars.len() - 1]))
        };
        Ok(instruments.iter().filter_map(|i| last(&i.history)).collect())
    }

    fn histories(&self) -> Result<Vec<History<'_>>> {
        let period = (self.request.start, self.request.end);
        let histories: Result<Vec<History<'_>>> = self.loaded.iter().map(|l| self.cut(l, l.series.bars())).collect();
        let histories = histories?;
        histories.iter().try_for_each(|h| check_period::<S>(h, self.request.archive, period))?;
        Ok(histories)
    }

    fn warmup(&self) -> usize {
        self.loaded.iter().map(|l| l.strategy.warmup()).max().unwrap_or(0)
    }

    fn first_after(&self, bars: usize) -> Result<Option<Date>> {
        let instruments = self.instruments(&Change::default())?;
        let of = |history: &History<'_>| {
            let period = history.sessions_between(self.request.start, self.request.end);
            let after = history.sessions()[period].iter().find(|s| s.ordinal >= bars);
            after.map(|s| s.session.date)
        };
        let dates: Option<Vec<Date>> = instruments.iter().map(|i| of(&i.history)).collect();
        Ok(dates.and_then(|dates| dates.into_iter().max()))
    }

    fn longest_period(&self) -> Option<usize> {
        let of = |l: &Loaded<S>| {
            let indicators = l.strategy.indicators();
            let lasting = indicators.as_ref().iter().filter(|i| i.memory() == Memory::Continuous);
            // What a state remembers has no period.
            lasting.map(|i| i.period()).max().or((size_of::<S::State>() > 0).then_some(1))
        };
        self.loaded.iter().filter_map(of).max()
    }
}

/// Bars in sessions before a date.
fn before_date(history: &History<'_>, date: Date) -> usize {
    let at = history.sessions().partition_point(|s| s.session.date < date);
    history.sessions().get(at).map_or(history.len(), |s| s.ordinal)
}

fn columns_of<S: Deployable>(instrument: &Instrument<'_, S>) -> Columns {
    Columns::compute(&instrument.history, instrument.strategy.indicators().as_ref())
}

impl<S: Deployable> Prepared<'_, S> {
    fn hours(&self) -> Hours {
        self.request.hours.unwrap_or_else(|| self.request.config.hours())
    }

    fn cut<'b>(&self, loaded: &Loaded<S>, bars: Bars<'b>) -> Result<History<'b>> {
        History::new(loaded.series.symbol, S::TIMEFRAME, bars, self.hours())
    }

    fn stays(&self, loaded: &Loaded<S>, change: &Change<'_>) -> bool {
        change.without != Some(loaded.series.symbol)
    }

    fn columns(&self) -> &[Columns] {
        self.columns.get_or_init(|| {
            // One after the other: a thread that waits in here for others may be handed a replay that asks
            // for these columns.
            self.instruments(&Change::default()).unwrap_or_default().iter().map(columns_of).collect()
        })
    }

    fn terms(&self, change: &Change<'_>) -> Terms {
        let config = change.config.unwrap_or(self.request.config);
        Terms {
            capital: config.account_info.initial_capital,
            costs: change.costs.unwrap_or_else(|| costs(&self.request, config)),
            limits: config.limits(),
            start: change.start.unwrap_or(self.request.start),
            end: self.request.end,
        }
    }

    fn instruments(&self, change: &Change<'_>) -> Result<Vec<Instrument<'_, S>>> {
        let start = change.start.unwrap_or(self.request.start);
        self.loaded
            .iter()
            .filter(|l| self.stays(l, change))
            .map(|l| {
                let strategy = match change.config {
                    Some(config) => strategy_of(config, l.series.symbol)?,
                    None => l.strategy,
                };
                let mut bars = l.series.bars();
                if let Some(before) = change.before {
                    bars = bars.slice(0..bars.starts().partition_point(|&t| t < before));
                }
                let mut history = self.cut(l, bars)?;
                if let Some(seed) = change.seed {
                    let from = first_seed(&history, start, seed);
                    history = self.cut(l, bars.slice(from..bars.len()))?;
                }
                Ok(Instrument { history, strategy })
            })
            .collect()
    }
}

/// Where the bars of a symbol begin, if only `seed` of them come before the first session.
fn first_seed(history: &History<'_>, start: Date, seed: usize) -> usize {
    let ordinal = before_date(history, start).saturating_sub(seed);
    let at = history.sessions().partition_point(|s| s.ordinal + s.range.len() <= ordinal);
    history.sessions().get(at).map_or(0, |s| s.range.start + (ordinal - s.ordinal))
}

fn costs(request: &Request<'_>, config: &Config) -> Costs {
    let mut costs = config.costs();
    costs.slippage_bps = request.slippage_bps.unwrap_or(costs.slippage_bps);
    costs
}

/// Contradictions between the request and the strategy.
pub(crate) fn check<S: Deployable>((start, end): (Date, Date), hours: Option<Hours>) -> Result<()> {
    if start > end {
        return Err(Error::new(codes::BAD_ARGUMENT, format!("the start date {start} is after the end date {end}")));
    }
    if S::TIMEFRAME == Timeframe::Day && hours == Some(Hours::All) {
        return Err(Error::new(
            codes::BAD_ARGUMENT,
            format!("{} trades daily bars: they have no hours to choose", S::NAME),
        )
        .help("leave out --session all"));
    }
    Ok(())
}

/// The strategy with a symbol's parameters; errors name the config.
pub(crate) fn strategy_of<S: Deployable>(config: &Config, symbol: Symbol) -> Result<S> {
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
    let first = first_used(start, &strategy);
    let mut findings = archive.audit(&series, first, end, true)?;
    findings.extend(archive.aligned(&series, first, end)?);
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
    let costs = costs(request, request.config);
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
        benchmark,
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
        codes::NO_BARS,
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
