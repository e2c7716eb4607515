//! Strategies chosen by name at run time; backtest, sweep and walk-forward are methods of them.

use std::marker::PhantomData;
use std::path::Path;

use serde_json::Value;

use crate::bar::{Date, Symbol, Timeframe};
use crate::config::document::Document;
use crate::config::{self, Checked, Complete, Config, Override};
use crate::deployable::{Deployable, EquityRows, longest_period};
use crate::error::{Error, Result, codes};
use crate::finding::Finding;
use crate::history::History;
use crate::ledger::Ledger;
use crate::research::backtest::{self, Change, Decision as Decided, Replayable, Request, Run};
use crate::research::market::{Market, strategy_of};
use crate::research::progress::Progress;
use crate::research::sweep::{self, Keeping, Swept};
use crate::research::sweepable::{self, SweepRequest, Sweepable};
use crate::research::walk_forward::{self, Choosing, WalkForward};
use crate::runner::{Broker, Decision, Event, Runner};
use crate::strategy::Strategy;
use crate::words::word;

/// (1 - 1/n)^(40 n) is below the precision of a double.
const FADES_AFTER: usize = 40;

/// A strategy of any type.
#[expect(private_bounds, reason = "only this crate may ask for results that nobody counted")]
pub trait AnyStrategy: Sync + Prepare {
    /// Its name.
    fn name(&self) -> &'static str;
    /// Bars it trades on.
    fn timeframe(&self) -> Timeframe;
    /// What `equity.csv` lists.
    fn equity_rows(&self) -> EquityRows;
    /// Names of its indicators, in order.
    ///
    /// # Errors
    /// Config error if a symbol's parameters are missing or out of range.
    fn input_names(&self, config: &Config) -> Result<Vec<&'static str>>;
    /// The schema of its parameter blocks, to be met besides [`config::common_schema`].
    fn parameters_schema(&self) -> Value;
    /// Everything that is wrong with a config for this strategy.
    fn examine(&self, document: &Document) -> Vec<Finding>;
    /// Bars of warm-up for a config that doesn't say how many: thrice what its indicators look back at most. None, if it
    /// doesn't take them from the config.
    fn warmup_to_assume(&self, config: &Config) -> Option<usize>;
    /// Bars before the first session that a runner must have seen to decide as one that has seen all: none if its
    /// indicators and its state begin anew each session.
    fn bars_to_remember(&self, config: &Config) -> usize;
    /// A runner of it that has seen no bar yet.
    ///
    /// # Errors
    /// Config error if a symbol's parameters are missing or out of range.
    fn runner(&self, config: &Config) -> Result<Box<dyn AnyRunner>>;
}

/// Loads a strategy's bars for replays that are not counted yet.
pub(crate) trait Prepare {
    /// Loads it, to be replayed as asked and otherwise.
    ///
    /// # Errors
    /// Config, usage and data errors of the request.
    fn replayable<'a>(&self, request: &Request<'a>) -> Result<Box<dyn Replayable + 'a>>;

    /// Loads what a sweep needs.
    ///
    /// # Errors
    /// Config, usage and data errors of the request.
    fn sweepable<'a>(&self, request: &SweepRequest<'a>) -> Result<Box<dyn Sweepable + 'a>>;
}

impl<S: Deployable> Prepare for Entry<S> {
    fn replayable<'a>(&self, request: &Request<'a>) -> Result<Box<dyn Replayable + 'a>> {
        backtest::prepare::<S>(request)
    }

    fn sweepable<'a>(&self, request: &SweepRequest<'a>) -> Result<Box<dyn Sweepable + 'a>> {
        sweepable::prepare::<S>(request)
    }
}

/// A runner of a strategy of any type: see [`Runner`].
pub trait AnyRunner {
    /// As [`Runner::warm_up`].
    ///
    /// # Errors
    /// As there.
    fn warm_up(&mut self, history: &History<'_>, first: Date) -> Result<()>;
    /// As [`Runner::handle`].
    ///
    /// # Errors
    /// As there.
    fn handle(&mut self, event: &Event<'_>, broker: &mut dyn Broker, decisions: &mut Vec<Decision>) -> Result<()>;
    /// As [`Runner::inputs`].
    fn inputs(&self, symbol: Symbol) -> Option<&[f64]>;
}

impl<S: Strategy> AnyRunner for Runner<S> {
    fn warm_up(&mut self, history: &History<'_>, first: Date) -> Result<()> {
        self.warm_up(history, first)
    }

    fn handle(&mut self, event: &Event<'_>, broker: &mut dyn Broker, decisions: &mut Vec<Decision>) -> Result<()> {
        self.handle(event, broker, decisions)
    }

    fn inputs(&self, symbol: Symbol) -> Option<&[f64]> {
        self.inputs(symbol)
    }
}

/// Makes a strategy type a value: `&Entry::<BearTrap>::NEW`.
pub struct Entry<S> {
    /// Name and bars of one that stands in a config.
    in_config: Option<(&'static str, Timeframe)>,
    strategy: PhantomData<fn() -> S>,
}

impl<S> Entry<S> {
    /// The entry.
    pub const NEW: Self = Self { in_config: None, strategy: PhantomData };

    /// That of a strategy whose name and bars its config gives.
    pub(crate) const fn of_config(name: &'static str, timeframe: Timeframe) -> Self {
        Self { in_config: Some((name, timeframe)), strategy: PhantomData }
    }
}

impl<S: Deployable> AnyStrategy for Entry<S> {
    fn name(&self) -> &'static str {
        self.in_config.map_or(S::NAME, |(name, _)| name)
    }

    fn timeframe(&self) -> Timeframe {
        self.in_config.map_or(S::TIMEFRAME, |(_, timeframe)| timeframe)
    }

    fn equity_rows(&self) -> EquityRows {
        match self.in_config {
            Some((_, Timeframe::Hour | Timeframe::Day | Timeframe::Week)) => EquityRows::Bars,
            Some(_) => EquityRows::Sessions,
            None => S::EQUITY_ROWS,
        }
    }

    fn input_names(&self, config: &Config) -> Result<Vec<&'static str>> {
        let Some(&symbol) = config.symbols.first() else { return Ok(Vec::new()) };
        let indicators = S::from_config(config, symbol)?.indicators();
        Ok(distinct(indicators.as_ref().iter().map(|i| i.name()).collect()))
    }

    fn parameters_schema(&self) -> Value {
        S::parameters_schema()
    }

    fn examine(&self, document: &Document) -> Vec<Finding> {
        let mut found = config::examine_parameters(document, &self.parameters_schema());
        found.extend(S::examine(document));
        found
    }

    fn warmup_to_assume(&self, config: &Config) -> Option<usize> {
        if self.in_config.is_some() {
            // What isn't known yet enters nowhere.
            return None;
        }
        let each = || config.symbols.iter().filter_map(|&symbol| S::from_config(config, symbol).ok());
        let bars = 3 * each().filter_map(|strategy| longest_period(&strategy, S::timeframe_in(config))).max()?;
        let mut assuming = config.clone();
        assuming.data_requirements.warmup_bars = bars;
        let takes_it = |&symbol: &Symbol| S::from_config(&assuming, symbol).is_ok_and(|s| s.warmup() == bars);
        config.symbols.iter().any(takes_it).then_some(bars)
    }

    fn bars_to_remember(&self, config: &Config) -> usize {
        let each = || config.symbols.iter().filter_map(|&symbol| S::from_config(config, symbol).ok());
        let longest = each().filter_map(|strategy| longest_period(&strategy, S::timeframe_in(config))).max();
        let warmup = each().map(|strategy| strategy.warmup()).max().unwrap_or(0);
        match longest {
            None if size_of::<S::State>() == 0 => warmup,
            // After so many periods nothing is left of what came before, even in averages that never forget.
            longest => (FADES_AFTER * longest.unwrap_or(0)).max(warmup),
        }
    }

    fn runner(&self, config: &Config) -> Result<Box<dyn AnyRunner>> {
        let strategies: Result<Vec<(Symbol, S)>> =
            config.symbols.iter().map(|&symbol| Ok((symbol, strategy_of(config, symbol)?))).collect();
        Ok(Box::new(Runner::new(strategies?)?))
    }
}

/// The same names, those that come again with a number.
fn distinct(names: Vec<&'static str>) -> Vec<&'static str> {
    let mut all: Vec<&'static str> = Vec::with_capacity(names.len());
    for name in names {
        let numbered = (2..1_000).map(|n| format!("{name}_{n}")).find(|name| !all.contains(&name.as_str()));
        let again = || numbered.and_then(|name| word(&name).ok()).unwrap_or(name);
        all.push(if all.contains(&name) { again() } else { name });
    }
    all
}

impl dyn AnyStrategy + '_ {
    /// Replays it: one run in portfolio scope, one per symbol in single scope. The trial is in the ledger before the
    /// runs are handed out.
    ///
    /// # Errors
    /// Config, usage and data errors of the request; usage error if the ledger can't be written.
    pub fn backtest(&self, request: &Request<'_>, ledger: &mut Ledger) -> Result<Vec<Run>> {
        backtest::counted(&*self.replayable(request)?, ledger)
    }

    /// Replays many points of it. The trials are in the ledger before the first is replayed.
    ///
    /// # Errors
    /// Config, usage and data errors of the request; refused if the folder holds another sweep.
    pub fn sweep(
        &self,
        request: &SweepRequest<'_>,
        keeping: &Keeping<'_>,
        ledger: &mut Ledger,
        progress: &dyn Progress,
    ) -> Result<Swept> {
        sweep::counted(&*self.sweepable(request)?, keeping, ledger, progress)
    }

    /// Chooses parameters on some sessions and judges them on others. The trials are in the ledger before the first is
    /// replayed.
    ///
    /// # Errors
    /// Config, usage and data errors of the request.
    pub fn walk_forward(
        &self,
        request: &SweepRequest<'_>,
        choosing: &Choosing<'_>,
        ledger: &mut Ledger,
        progress: &dyn Progress,
    ) -> Result<WalkForward> {
        walk_forward::counted(&*self.sweepable(request)?, choosing, ledger, progress)
    }

    /// Every decision of a replay, in order: what a runner must repeat. Decisions are no figures, so nothing is counted.
    ///
    /// # Errors
    /// Config, usage and data errors of the request.
    pub fn decisions(&self, request: &Request<'_>) -> Result<Vec<Decided>> {
        self.replayable(request)?.decisions(&Change::default())
    }

    /// The bars that a replay would see.
    ///
    /// # Errors
    /// Config, usage and data errors of the request.
    pub fn market(&self, request: &Request<'_>) -> Result<Market> {
        Ok(self.replayable(request)?.into_market())
    }

    /// Reads a config of this strategy and applies overrides. It may lack what only a deploy needs.
    ///
    /// # Errors
    /// Config error: the first of the findings.
    pub fn read_document(&self, path: &Path, overrides: &[Override]) -> Result<Checked> {
        self.check(Document::read(path, overrides)?)
    }

    /// Reads a config that lacks nothing, to be judged or run.
    ///
    /// # Errors
    /// Config error: the first of the findings that `magellan validate` lists, or all keys that are missing.
    pub fn read_complete(&self, path: &Path) -> Result<Complete> {
        self.complete(Document::read(path, &[])?)
    }

    /// Examines a document: the one way to a config of this strategy.
    ///
    /// # Errors
    /// As `read_document`.
    pub fn check(&self, document: Document) -> Result<Checked> {
        let checked = Checked::new(document, |document| self.examine(document))?;
        Ok(match self.warmup_to_assume(checked.config()) {
            Some(bars) => checked.assuming_warmup(bars),
            None => checked,
        })
    }

    /// Examines a document that is to be judged or run.
    ///
    /// # Errors
    /// As `read_complete`.
    pub fn complete(&self, document: Document) -> Result<Complete> {
        Complete::new(document, |document| self.examine(document))
    }
}

/// The strategy called `name`.
///
/// # Errors
/// Usage error that lists the known ones.
pub fn find<'a>(strategies: &[&'a dyn AnyStrategy], name: &str) -> Result<&'a dyn AnyStrategy> {
    strategies.iter().copied().find(|s| s.name() == name).ok_or_else(|| {
        let known: Vec<&str> = strategies.iter().map(|s| s.name()).collect();
        Error::new(codes::UNKNOWN_STRATEGY, format!("there is no strategy `{name}`"))
            .help(format!("known are {}", known.join(", ")))
    })
}
