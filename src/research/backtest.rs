//! A configured strategy replayed over an archive, as configured and under other circumstances ([`Change`]).

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::OnceLock;

use rayon::prelude::*;
use serde_json::{Value, json};

use super::coverage::{self, PartlyCovered};
use super::equity::{Kept, whole};
use super::market::{Closes, Market, Period, Scope, account_name, before_time, check, strategies_of, strategy_of};
use crate::account::AccountKind;
use crate::archive::{Archive, SYNTHETIC};
use crate::bar::{Date, Nanos, Symbol, Timeframe};
use crate::config::{Checked, Config, Override};
use crate::costs::Costs;
use crate::deployable::{self, Deployable};
use crate::error::Result;
use crate::finding::Finding;
use crate::history::{History, Hours};
use crate::holdout;
use crate::indicator::Columns;
use crate::ledger::{Kind, Ledger, Trials, encode};
use crate::metrics::{Cash, Held, Marks, Metrics, Profile};
use crate::order::Order;
use crate::replay::{Instrument, Recorder, Replay, Terms, replay, replay_passing_over};
use crate::strategy::{Inputs, Now};
use crate::sweep::grid::Choice;

/// What to replay.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The strategy's configuration, overrides applied.
    pub document: &'a Checked,
    /// Where the bars are.
    pub archive: &'a Archive,
    /// Symbols instead of the configured ones.
    pub symbols: Option<&'a [Symbol]>,
    /// One account or many.
    pub scope: Scope,
    /// Bar width instead of the strategy's own.
    pub timeframe: Option<Timeframe>,
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
    /// Whether the bars' closes are wanted, to be drawn.
    pub closes: bool,
}

impl<'a> Request<'a> {
    /// All symbols of a config on one account, from one session to another, as configured.
    pub fn portfolio(document: &'a Checked, archive: &'a Archive, start: Date, end: Date) -> Self {
        Self {
            document,
            archive,
            symbols: None,
            scope: Scope::Portfolio,
            timeframe: None,
            hours: None,
            start,
            end,
            slippage_bps: None,
            record: false,
            closes: false,
        }
    }

    /// What a run is a trial of: the settings that a replay of these symbols depends on.
    fn settings(&self, symbols: &[Symbol]) -> Value {
        let slippage = self.slippage_bps.map(|bps| Override::new("execution.friction_bps", json!(bps)));
        let settings = match slippage.map(|slippage| self.document.with(&[slippage])) {
            Some(Ok(changed)) => changed.settings(symbols),
            _ => self.document.settings(symbols),
        };
        at_width(settings, self.timeframe)
    }
}

/// The settings of a trial on bars of another width than the config's: another trial.
pub(super) fn at_width(mut settings: Value, timeframe: Option<Timeframe>) -> Value {
    if let Some(timeframe) = timeframe {
        settings["data_requirements"]["timeframe"] = json!(timeframe);
        settings.sort_all_objects();
    }
    settings
}

/// One account's replay and what it was worth.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Run {
    /// The symbol, or `PORTFOLIO`.
    pub label: String,
    /// Symbols replayed, alphabetically.
    pub symbols: Vec<Symbol>,
    /// First and last session of each symbol in the period.
    pub coverage: Vec<(Symbol, Date, Date)>,
    /// Symbols whose bars cover a part of the dates asked for only.
    pub partly_covered: Vec<PartlyCovered>,
    /// What happened.
    pub replay: Replay,
    /// What it was worth.
    pub metrics: Metrics,
    /// Worth of equal amounts of every symbol, bought at its first close and held; 1 a symbol, at
    /// each session of `replay.equity`.
    pub benchmark: Vec<f64>,
    /// What entries left in cash, which no replay checks.
    pub cash: Cash,
    /// What the account checks when a position opens.
    pub account: AccountKind,
    /// The config's buying power, dollars; a cash or margin account checks what it has instead.
    pub buying_power: Option<f64>,
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
    /// Bar width.
    pub timeframe: Timeframe,
    /// What the strategy says of its parameters.
    pub parameters: Vec<(&'static str, Value)>,
    /// What the strategy says of the parameters of each symbol.
    pub described: Vec<(Symbol, Vec<(&'static str, Value)>)>,
    /// What an audit finds in the bars used; its errors block a gate.
    pub data_findings: Vec<Finding>,
    /// Figures of a whole run only.
    pub profile: Profile,
    /// What buying and holding was worth, by the same definitions.
    pub held: Held,
    /// Bar by bar, if asked for.
    pub rows: Rows,
    /// The bars' closes, if asked for.
    pub closes: Closes,
}

impl Run {
    fn kept(&self) -> Kept {
        let Replay { capital, ref equity, .. } = self.replay;
        Kept { point: 0, symbol: None, capital, equity: equity.clone() }
    }

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

/// A strategy with its bars loaded, ready to be replayed as asked and otherwise. What it returns is not counted yet:
/// only this crate may ask it.
pub(crate) trait Replayable: Sync {
    /// The bars.
    fn market(&self) -> &Market;

    /// The bars alone.
    fn into_market(self: Box<Self>) -> Market;

    /// As asked: one run in portfolio scope, one per symbol in single scope.
    ///
    /// # Errors
    /// Data error if a symbol has no bars in the period.
    fn runs(&self) -> Result<Vec<Run>>;

    /// What those runs try: one trial.
    fn trials(&self) -> Trials;

    /// The whole account's starting capital, dollars.
    fn capital(&self) -> f64;

    /// All symbols on one account, with a change.
    ///
    /// # Errors
    /// Config error of the change; data error if nothing is left to replay.
    fn vary(&self, change: &Change<'_>) -> Result<Replay>;

    /// Every decision of that replay, in order.
    ///
    /// # Errors
    /// As [`Replayable::vary`].
    fn decisions(&self, change: &Change<'_>) -> Result<Vec<Decision>>;

    /// Bars before the first decision; of all symbols, the most.
    fn warmup(&self) -> usize;

    /// Bars that the strategy looks back, at most; none if it forgets all with the session.
    fn longest_period(&self) -> Option<usize>;
}

/// Replays as asked and records the trial: the runs are handed out once they are counted.
///
/// # Errors
/// As [`Replayable::runs`]; usage error if the ledger can't be written.
pub(crate) fn counted(strategy: &dyn Replayable, ledger: &mut Ledger) -> Result<Vec<Run>> {
    let trials = strategy.trials();
    holdout::check_free(ledger, &trials)?;
    let runs = strategy.runs()?;
    ledger.add(Kind::Backtest, &trials, Some(&kept(strategy.capital(), &runs)?))?;
    Ok(runs)
}

/// What the ledger keeps of the accounts of one trial: session returns of all together.
pub(crate) fn kept(capital: f64, runs: &[Run]) -> Result<Vec<u8>> {
    let accounts: Vec<Kept> = runs.iter().map(Run::kept).collect();
    encode(&[(0, whole(capital, &accounts).dated_returns())])
}

struct Prepared<'a, S> {
    request: Request<'a>,
    config: Config,
    market: Market,
    /// One a symbol of the market.
    strategies: Vec<S>,
    /// Indicators of the configured parameters.
    columns: OnceLock<Vec<Columns>>,
}

/// Loads strategy `S` as asked.
pub(crate) fn prepare<'a, S: Deployable>(request: &Request<'a>) -> Result<Box<dyn Replayable + 'a>> {
    let period = (request.start, request.end);
    let config = request.document.config().clone();
    check::<S>(&config, request.timeframe, period, request.hours)?;
    let strategies = strategies_of::<S>(&config, request.symbols.unwrap_or(&config.symbols))?;
    let hours = request.hours.unwrap_or_else(|| config.hours());
    let timeframe = request.timeframe.unwrap_or_else(|| S::timeframe_in(&config));
    let market = Market::load(request.archive, &strategies, timeframe, period, hours)?;
    let strategies = strategies.into_iter().map(|(_, strategy)| strategy).collect();
    Ok(Box::new(Prepared { request: *request, config, market, strategies, columns: OnceLock::new() }))
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

impl<S: Deployable> Replayable for Prepared<'_, S> {
    fn market(&self) -> &Market {
        &self.market
    }

    fn into_market(self: Box<Self>) -> Market {
        self.market
    }

    fn runs(&self) -> Result<Vec<Run>> {
        let all = self.strategies.len();
        match self.request.scope {
            Scope::Portfolio => Ok(vec![self.run_account(0..all)?]),
            Scope::Single => (0..all).into_par_iter().map(|i| self.run_account(i..i + 1)).collect(),
        }
    }

    fn trials(&self) -> Trials {
        let Request { scope, start, end, .. } = self.request;
        Trials {
            strategy: S::name_in(&self.config),
            data: self.market.data(),
            scope: scope.name().to_owned(),
            synthetic: self.market.is_synthetic(),
            hours: self.market.hours().name().to_owned(),
            start_date: start,
            end_date: end,
            settings: self.request.settings(&self.market.symbols()),
            axes: Vec::new(),
            conditions: Vec::new(),
            choice: Choice::All,
            points: 1,
        }
    }

    fn capital(&self) -> f64 {
        self.config.account_info.initial_capital
    }

    fn vary(&self, change: &Change<'_>) -> Result<Replay> {
        let terms = self.terms(change);
        let instruments = self.instruments(change)?;
        // The bars are as loaded, and so are the indicators, unless their parameters differ.
        let whole = change.before.is_none() && change.seed.is_none();
        if !whole {
            return Ok(replay(&instruments, &terms, &mut ())?.into_inner());
        }
        let symbols = self.market.symbols();
        let own = self.columns().iter().zip(symbols).filter(|(_, s)| change.without != Some(*s)).map(|c| c.0);
        let fresh: Vec<Option<Columns>> = instruments
            .iter()
            .zip(own.clone())
            .map(|(i, own)| (!own.hold(i.strategy.indicators().as_ref())).then(|| columns_of(i)))
            .collect();
        let columns = fresh.iter().zip(own).map(|(fresh, own)| fresh.as_ref().unwrap_or(own));
        let with_columns: Vec<_> = instruments.iter().zip(columns).map(|(i, c)| (&i.history, c, i.strategy)).collect();
        replay_passing_over(&with_columns, None, &terms)
    }

    fn decisions(&self, change: &Change<'_>) -> Result<Vec<Decision>> {
        if let Some(after) = change.repriced_after {
            let repriced = Prepared {
                request: self.request,
                config: self.config.clone(),
                market: self.market.repriced_after(after),
                strategies: self.strategies.clone(),
                columns: OnceLock::new(),
            };
            return repriced.decisions(&Change { repriced_after: None, ..*change });
        }
        let mut decisions = Decisions::default();
        let _ = replay(&self.instruments(change)?, &self.terms(change), &mut decisions)?;
        Ok(decisions.0)
    }

    fn warmup(&self) -> usize {
        self.strategies.iter().map(S::warmup).max().unwrap_or(0)
    }

    fn longest_period(&self) -> Option<usize> {
        let longest = |strategy: &S| {
            // What a state remembers has no period.
            deployable::longest_period(strategy, self.market.timeframe()).or((size_of::<S::State>() > 0).then_some(1))
        };
        self.strategies.iter().filter_map(longest).max()
    }
}

impl<S: Deployable> Prepared<'_, S> {
    fn columns(&self) -> &[Columns] {
        self.columns.get_or_init(|| {
            // One after the other: a thread that waits in here for others may be handed a replay that asks
            // for these columns.
            self.instruments(&Change::default()).unwrap_or_default().iter().map(columns_of).collect()
        })
    }

    fn costs(&self, config: &Config) -> Costs {
        let mut costs = config.costs();
        costs.slippage_bps = self.request.slippage_bps.unwrap_or(costs.slippage_bps);
        costs
    }

    fn terms(&self, change: &Change<'_>) -> Terms {
        let config = change.config.unwrap_or(&self.config);
        Terms {
            capital: config.account_info.initial_capital,
            costs: change.costs.unwrap_or_else(|| self.costs(config)),
            conditions: config.conditions(),
            limits: config.limits(),
            start: change.start.unwrap_or(self.request.start),
            end: self.request.end,
        }
    }

    /// The symbols that a change leaves, each with its bars and its strategy.
    fn instruments(&self, change: &Change<'_>) -> Result<Vec<Instrument<'_, S>>> {
        let symbols = self.market.symbols().into_iter().enumerate();
        let left = symbols.filter(|(_, symbol)| change.without != Some(*symbol));
        left.map(|(i, symbol)| self.instrument(i, symbol, change)).collect()
    }

    fn instrument(&self, index: usize, symbol: Symbol, change: &Change<'_>) -> Result<Instrument<'_, S>> {
        let strategy = match change.config {
            Some(config) => strategy_of(config, symbol)?,
            None => self.strategies[index],
        };
        let mut bars = self.market.bars(index);
        if let Some(before) = change.before {
            bars = before_time(bars, before);
        }
        let mut history = self.market.cut(index, bars)?;
        if let Some(seed) = change.seed {
            let from = first_seed(&history, change.start.unwrap_or(self.request.start), seed);
            history = self.market.cut(index, bars.slice(from..bars.len()))?;
        }
        Ok(Instrument { history, strategy })
    }

    /// Replays some of the symbols on one account.
    fn run_account(&self, symbols: Range<usize>) -> Result<Run> {
        let (first, period): (usize, Period) = (symbols.start, self.market.period());
        let cut = |i: usize| {
            let history = self.market.cut(i, self.market.bars(i))?;
            Ok(Instrument { history, strategy: self.strategies[i] })
        };
        let instruments: Vec<Instrument<'_, S>> = symbols.clone().into_par_iter().map(cut).collect::<Result<_>>()?;
        instruments.iter().try_for_each(|i| self.market.check_period(&i.history, period))?;
        let terms = Terms { capital: self.account_capital(first), ..self.terms(&Change::default()) };
        let mut watched = (Rows::default(), Marks::new(terms.capital));
        let replay = match self.request.record {
            true => replay(&instruments, &terms, &mut watched)?,
            false => replay(&instruments, &terms, &mut watched.1)?,
        }
        .into_inner();
        let (rows, marks) = watched;
        let histories: Vec<&History<'_>> = instruments.iter().map(|i| &i.history).collect();
        let described = instruments.iter().map(|i| (i.history.symbol, i.strategy.describe())).collect();
        let bars = self.market.some(symbols);
        let benchmark = bars.buy_and_hold(&histories, period);
        let closes = if self.request.closes { bars.closes()? } else { Vec::new() };
        Ok(Run {
            label: account_name((self.request.scope == Scope::Single).then(|| histories[0].symbol)),
            symbols: bars.symbols(),
            coverage: bars.coverage(&histories),
            partly_covered: coverage::of_histories(histories.iter().copied(), period, bars.calendar()),
            metrics: Metrics::new(&replay, &benchmark).into_inner(),
            profile: Profile::new(&replay, &marks, &benchmark, &self.request.archive.risk_free()),
            held: Held::new(&replay, &benchmark),
            cash: Cash::of(&replay),
            buying_power: self.request.document.buying_power(),
            account: terms.conditions.kind,
            replay,
            benchmark,
            costs: terms.costs,
            hours: bars.hours(),
            provenance: bars.provenance(),
            data_hash: bars.data_hash(),
            data: bars.data(),
            timeframe: bars.timeframe(),
            parameters: self.strategies[first].describe(),
            described,
            data_findings: bars.findings(),
            rows,
            closes,
        })
    }

    fn account_capital(&self, first: usize) -> f64 {
        let whole = self.config.account_info.initial_capital;
        match self.request.scope {
            Scope::Portfolio => whole,
            Scope::Single => self.strategies[first].allocation().unwrap_or(whole),
        }
    }
}

fn columns_of<S: Deployable>(instrument: &Instrument<'_, S>) -> Columns {
    Columns::compute(&instrument.history, instrument.strategy.indicators().as_ref())
}

/// Bars in sessions before a date.
fn before_date(history: &History<'_>, date: Date) -> usize {
    let at = history.sessions().partition_point(|s| s.session.date < date);
    history.sessions().get(at).map_or(history.len(), |s| s.ordinal)
}

/// Where the bars of a symbol begin, if only `seed` of them come before the first session.
fn first_seed(history: &History<'_>, start: Date, seed: usize) -> usize {
    let ordinal = before_date(history, start).saturating_sub(seed);
    let at = history.sessions().partition_point(|s| s.ordinal + s.range.len() <= ordinal);
    history.sessions().get(at).map_or(0, |s| s.range.start + (ordinal - s.ordinal))
}
