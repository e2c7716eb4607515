//! Where `dyn` begins and ends: strategies by name, chosen at run time.

use std::marker::PhantomData;
use std::path::Path;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::backtest::{self, Bench, Request, Run};
use crate::bar::{Date, Symbol, Timeframe};
use crate::config::document::{Document, Part};
use crate::config::{self, Config, Overnight, Override, Parameters, schema};
use crate::error::{Error, Result, codes};
use crate::finding::Finding;
use crate::history::History;
use crate::runner::{Broker, Decision, Event, Runner};
use crate::strategy::Strategy;
use crate::study::{self, Study};

/// What a strategy adds to the contract to be configured and deployed. Its own fields are its
/// parameters: their types and ranges become a part of the config's schema.
pub trait Deployable: Strategy + DeserializeOwned + JsonSchema {
    /// Bars it trades on.
    const TIMEFRAME: Timeframe;
    /// Whether prices are split-adjusted.
    const ADJUSTED: bool;
    /// Whether it holds overnight.
    const OVERNIGHT: Overnight;
    /// What `equity.csv` lists in single scope.
    const EQUITY_ROWS: EquityRows;

    /// How its parameters stand in the config.
    const PARAMETERS: Parameters;

    /// Parameters, at `path` of the document, that contradict each other or the rest of it.
    fn contradictions(&self, _path: &str, _document: &Document) -> Vec<Finding> {
        Vec::new()
    }

    /// The strategy of one symbol, from a config that was checked.
    ///
    /// # Errors
    /// Config error if its parameters are missing.
    fn from_config(config: &Config, symbol: Symbol) -> Result<Self>;

    /// Dollars set aside for this symbol, if the config does that.
    fn allocation(&self) -> Option<f64> {
        None
    }

    /// Parameters for `metrics.json`.
    fn describe(&self) -> Vec<(&'static str, Value)>;
}

/// What `equity.csv` lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EquityRows {
    /// Every bar, with the indicators.
    Bars,
    /// Every session; bars go into `equity_bars.csv`.
    Sessions,
}

/// A strategy of any type.
pub trait AnyStrategy: Sync {
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
    /// Replays it.
    ///
    /// # Errors
    /// Config, usage and data errors of the request.
    fn backtest(&self, request: &Request<'_>) -> Result<Vec<Run>> {
        self.bench(request)?.runs()
    }
    /// Loads it, to be replayed more than once.
    ///
    /// # Errors
    /// As [`AnyStrategy::backtest`].
    fn bench<'a>(&self, request: &Request<'a>) -> Result<Box<dyn Bench + 'a>>;
    /// Loads what a sweep needs.
    ///
    /// # Errors
    /// Config, usage and data errors of the request.
    fn study<'a>(&self, request: &study::Request<'a>) -> Result<Box<dyn Study + 'a>>;
    /// A runner of it that has seen no bar yet.
    ///
    /// # Errors
    /// Config error if a symbol's parameters are missing or out of range.
    fn runner(&self, config: &Config) -> Result<Box<dyn AnyRunner>>;
}

/// A runner of a strategy of any type: see [`Runner`].
pub trait AnyRunner {
    /// As [`Runner::look_back`].
    ///
    /// # Errors
    /// As there.
    fn look_back(&mut self, history: &History<'_>, first: Date) -> Result<()>;
    /// As [`Runner::hear`].
    ///
    /// # Errors
    /// As there.
    fn hear(&mut self, event: &Event<'_>, broker: &mut dyn Broker, decided: &mut Vec<Decision>) -> Result<()>;
}

impl<S: Strategy> AnyRunner for Runner<S> {
    fn look_back(&mut self, history: &History<'_>, first: Date) -> Result<()> {
        self.look_back(history, first)
    }

    fn hear(&mut self, event: &Event<'_>, broker: &mut dyn Broker, decided: &mut Vec<Decision>) -> Result<()> {
        self.hear(event, broker, decided)
    }
}

/// Makes a strategy type a value: `&Entry::<BearTrap>::NEW`.
pub struct Entry<S>(PhantomData<fn() -> S>);

impl<S> Entry<S> {
    /// The entry.
    pub const NEW: Self = Self(PhantomData);
}

impl<S: Deployable> AnyStrategy for Entry<S> {
    fn name(&self) -> &'static str {
        S::NAME
    }

    fn timeframe(&self) -> Timeframe {
        S::TIMEFRAME
    }

    fn equity_rows(&self) -> EquityRows {
        S::EQUITY_ROWS
    }

    fn input_names(&self, config: &Config) -> Result<Vec<&'static str>> {
        let Some(&symbol) = config.symbols.first() else { return Ok(Vec::new()) };
        let indicators = S::from_config(config, symbol)?.indicators();
        Ok(indicators.as_ref().iter().map(|i| i.name()).collect())
    }

    fn parameters_schema(&self) -> Value {
        S::PARAMETERS.schema(&schema::of::<S>())
    }

    fn examine(&self, document: &Document) -> Vec<Finding> {
        let mut found = config::examine_parameters(document, &self.parameters_schema());
        let contradictions = contradictions::<S>(document).into_iter();
        found.extend(contradictions.map(|finding| document.place(finding, Part::Value)));
        found
    }

    fn bench<'a>(&self, request: &Request<'a>) -> Result<Box<dyn Bench + 'a>> {
        backtest::prepare::<S>(request)
    }

    fn study<'a>(&self, request: &study::Request<'a>) -> Result<Box<dyn Study + 'a>> {
        study::prepare::<S>(request)
    }

    fn runner(&self, config: &Config) -> Result<Box<dyn AnyRunner>> {
        let strategies: Result<Vec<(Symbol, S)>> =
            config.symbols.iter().map(|&symbol| Ok((symbol, backtest::strategy_of(config, symbol)?))).collect();
        Ok(Box::new(Runner::new(strategies?)?))
    }
}

impl dyn AnyStrategy + '_ {
    /// Reads a config of this strategy and applies overrides.
    ///
    /// # Errors
    /// Config error: the first of the findings that `magellan validate` lists.
    pub fn read_config(&self, path: &Path, overrides: &[Override]) -> Result<Config> {
        Config::from_document(&self.read_document(path, overrides)?)
    }

    /// As `read_config`, the document itself.
    ///
    /// # Errors
    /// As `read_config`.
    pub fn read_document(&self, path: &Path, overrides: &[Override]) -> Result<Document> {
        let document = Document::read(path, overrides)?;
        let found = config::examine(&document).into_iter().chain(self.examine(&document));
        match found.into_iter().next() {
            Some(first) => Err(first.into()),
            None => Ok(document),
        }
    }
}

/// What a document says that strategy `S` contradicts.
pub(crate) fn contradictions<S: Deployable>(document: &Document) -> Vec<Finding> {
    let mut found = Vec::new();
    if let Some(name) = document.text_at("strategy.name").filter(|n| *n != S::NAME) {
        let what = format!("strategy.name is `{name}`, expected `{}`", S::NAME);
        found.push(Finding::new(codes::OTHER_STRATEGY, "strategy.name", what).value(name, S::NAME));
    }
    let timeframe: Option<Timeframe> = document.typed("data_requirements.timeframe");
    if let Some(timeframe) = timeframe.filter(|t| *t != S::TIMEFRAME) {
        let what = format!("data_requirements.timeframe is {timeframe}, {} trades {} bars", S::NAME, S::TIMEFRAME);
        let finding = Finding::new(codes::CONTRADICTION, "data_requirements.timeframe", what);
        found.push(finding.value(timeframe.name(), S::TIMEFRAME.name()).help(format!("write {}", S::TIMEFRAME)));
    }
    let (path, held) = ("trading_hours.allow_overnight_holds", S::OVERNIGHT == Overnight::Held);
    if let Some(said) = document.flag(path).filter(|said| *said != held) {
        let what = format!("{path} is {said}, but {} is {:?} overnight", S::NAME, S::OVERNIGHT);
        let finding = Finding::new(codes::CONTRADICTION, path, what).value(said.to_string(), held.to_string());
        found.push(finding.help(format!("write {held}")));
    }
    found.extend(parameter_contradictions::<S>(document));
    found
}

fn parameter_contradictions<S: Deployable>(document: &Document) -> Vec<Finding> {
    if S::PARAMETERS == Parameters::Common {
        let common: Option<S> = document.typed("strategy_parameters");
        return common.map_or_else(Vec::new, |s| s.contradictions("strategy_parameters", document));
    }
    let by_symbol = |name: &&str| document.get(name).and_then(Value::as_object).is_some_and(|o| !o.is_empty());
    let Some(block) = ["symbol_parameters", "strategy_parameters"].into_iter().find(by_symbol) else {
        return Vec::new();
    };
    let (mut found, mut needed) = (Vec::new(), 0.0);
    if block == "symbol_parameters" && by_symbol(&"strategy_parameters") {
        let what = "symbol_parameters and strategy_parameters are both given; only the first would be read";
        let finding = Finding::new(codes::CONTRADICTION, "strategy_parameters", what);
        found.push(finding.help("keep the parameters in one of the two blocks"));
    }
    for symbol in document.symbols() {
        let path = format!("{block}.{symbol}");
        match document.get(block).and_then(|b| b.get(symbol.as_str())) {
            None => {
                let what = format!("{path} is missing: {} has no parameters for {symbol}", S::NAME);
                let help = format!("add {path}, or leave {symbol} out of symbols");
                found.push(Finding::new(codes::MISSING_KEY, path, what).help(help));
            }
            Some(value) => {
                if let Ok(strategy) = serde_json::from_value::<S>(value.clone()) {
                    needed += strategy.allocation().unwrap_or(0.0);
                    found.extend(strategy.contradictions(&path, document));
                }
            }
        }
    }
    if let Some(power) = document.number("account_info.buying_power").filter(|power| needed > *power) {
        let what = format!("the allocations add up to {needed}, above account_info.buying_power {power} dollars");
        let finding = Finding::new(codes::CONTRADICTION, "account_info.buying_power", what);
        found.push(
            finding
                .value(power.to_string(), format!("at least {needed}"))
                .help("lower allocations, or trade fewer symbols"),
        );
    }
    found
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
