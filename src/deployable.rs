//! What makes a strategy one that can be configured and deployed.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::bar::{Symbol, Timeframe};
use crate::config::document::{Document, Part};
use crate::config::{CAPITAL, Config, Overnight, Parameters, schema};
use crate::error::{Result, codes};
use crate::finding::Finding;
use crate::indicator::Memory;
use crate::strategy::Strategy;

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

    /// Its name; of one that a config declares it stands there.
    fn name_in(_config: &Config) -> String {
        Self::NAME.to_owned()
    }

    /// Bars it trades on, as [`Deployable::name_in`].
    fn timeframe_in(_config: &Config) -> Timeframe {
        Self::TIMEFRAME
    }

    /// How its parameters stand, as [`Deployable::name_in`].
    fn parameters_in(_config: &Config) -> Parameters {
        Self::PARAMETERS
    }

    /// The schema of its parameter blocks.
    fn parameters_schema() -> Value {
        Self::PARAMETERS.schema(&schema::of::<Self>())
    }

    /// Everything that a document says and that contradicts it, each with its place.
    fn examine(document: &Document) -> Vec<Finding> {
        contradictions::<Self>(document).into_iter().map(|finding| document.place(finding, Part::Value)).collect()
    }

    /// Whether prices are split-adjusted.
    fn is_adjusted(&self) -> bool {
        Self::ADJUSTED
    }

    /// Whether it holds overnight.
    fn overnight(&self) -> Overnight {
        Self::OVERNIGHT
    }

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

/// Bars that a strategy's indicators look back, at most; none if all of them forget with the session.
pub(crate) fn longest_period<S: Deployable>(strategy: &S, timeframe: Timeframe) -> Option<usize> {
    let indicators = strategy.indicators();
    let lasting = indicators.as_ref().iter().filter(|i| i.memory() == Memory::Continuous);
    lasting.map(|i| i.period(timeframe)).max()
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

/// What is set aside for symbols, and isn't there.
fn beyond_buying_power(document: &Document, needed: f64) -> Option<Finding> {
    let said = document.buying_power();
    let power = said.unwrap_or_else(|| f64::from(CAPITAL));
    if needed <= power {
        return None;
    }
    let (path, help) = match said {
        Some(_) => ("account_info.buying_power", "lower allocations, or trade fewer symbols"),
        None => {
            ("account_info.initial_capital", "say how much there is, e.g. --set account_info.initial_capital=250000")
        }
    };
    let assumed = if said.is_none() { ", which is assumed" } else { "" };
    let what = format!("the allocations add up to {needed}, above {path} {power} dollars{assumed}");
    Some(
        Finding::new(codes::CONTRADICTION, path, what)
            .value(power.to_string(), format!("at least {needed}"))
            .help(help),
    )
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
    found.extend(beyond_buying_power(document, needed));
    found
}
