//! Strategies that a config declares: `rules` in place of code.

use std::collections::BTreeSet;
use std::path::Path;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use crate::bar::{Symbol, Timeframe};
use crate::config::document::{Document, Part};
use crate::config::{Config, Overnight, Override, Parameters};
use crate::deployable::{Deployable, EquityRows};
use crate::deployed::is_name;
use crate::error::{Error, Result, codes};
use crate::finding::Finding;
use crate::registry::{AnyStrategy, Entry};
use crate::rules::{Declared, Numbers, RuleFault, Section, program, read};
use crate::words::word;

/// The parameter that sets dollars aside for a symbol.
const ALLOCATION: &str = "allocation";

/// The strategies that configs below a folder declare. A config that can't be read declares none: whoever examines it
/// says what is wrong.
pub fn declared_below(deployed: &Path) -> Vec<&'static dyn AnyStrategy> {
    let folders = std::fs::read_dir(deployed).into_iter().flatten().flatten();
    let mut found: Vec<&'static dyn AnyStrategy> =
        folders.filter_map(|folder| declared_in(&folder.path().join("config.json"))).collect();
    found.sort_by_key(|strategy| strategy.name());
    found
}

/// The strategy that a config declares, if it has rules.
pub fn declared_in(config: &Path) -> Option<&'static dyn AnyStrategy> {
    // Most configs have none: they aren't read twice.
    let text = std::fs::read(config).ok()?;
    text.windows(RULES.len()).any(|part| part == RULES).then_some(())?;
    let document = read_rules(config, &[], &[]).ok()?;
    declared(document.text_at("strategy.name")?, document.typed("data_requirements.timeframe")?).ok()
}

/// The key, as it stands in a text.
const RULES: &[u8] = b"\"rules\"";

/// A config with rules, or a file of rules alone: its name is the strategy's then, and it trades these symbols.
///
/// # Errors
/// As [`Document::read`]; config error without rules or their bars' width.
pub fn read_rules(path: &Path, symbols: &[Symbol], overrides: &[Override]) -> Result<Document> {
    let mut document = Document::read(path, overrides)?;
    for key in ["rules", "data_requirements.timeframe"] {
        if document.get(key).is_none() {
            let finding = Finding::new(codes::RULE_MISSING_KEY, key, format!("{key} is missing"));
            return Err(document.place(finding, Part::Key).into());
        }
    }
    let width = document.get("data_requirements.timeframe").cloned().unwrap_or_default();
    if document.typed::<Timeframe>("data_requirements.timeframe").is_none() {
        let key = "data_requirements.timeframe";
        let known: Vec<&str> = Timeframe::ALL.iter().map(|known| known.name()).collect();
        let what = format!("{key} is {width}, allowed are {}", known.join(", "));
        return Err(document.place(Finding::new(codes::NOT_ALLOWED, key, what), Part::Value).into());
    }
    if document.get("strategy").is_none() {
        // A deployed one has its folder's name.
        let is_config = path.file_name().is_some_and(|name| name == "config.json");
        let of = if is_config { path.parent().and_then(Path::file_name) } else { path.file_stem() };
        let stem = of.map(|stem| stem.to_string_lossy().replace(['-', ' '], "_").to_lowercase());
        let name = stem.filter(|stem| is_name(stem)).unwrap_or_else(|| "rules".to_owned());
        document.fill_in("strategy", json!({ "name": name }));
    }
    if !symbols.is_empty() {
        document.fill_in("symbols", json!(symbols));
    }
    Ok(document)
}

/// A declared strategy of this name.
///
/// # Errors
/// Usage error if there were thousands before it.
pub fn declared(name: &str, timeframe: Timeframe) -> Result<&'static dyn AnyStrategy> {
    let name = word(name).map_err(|what| Error::new(codes::BAD_ARGUMENT, what))?;
    Ok(Box::leak(Box::new(Entry::<Declared>::of_config(name, timeframe))))
}

/// Everything that is wrong with the rules of a document, with the parameters of each of its symbols.
pub fn examine_rules(document: &Document) -> Vec<Finding> {
    let Some(value) = document.get("rules") else {
        let finding = Finding::new(codes::RULE_MISSING_KEY, "rules", "rules is missing: nothing says what is traded");
        return vec![document.place(finding, Part::Key)];
    };
    let (section, mut faults) = read(value);
    if faults.is_empty() {
        let timeframe = document.typed("data_requirements.timeframe");
        let mut seen = BTreeSet::new();
        for parameters in parameters_of_all(document) {
            let (_, wrong) = program(&section, &parameters, timeframe);
            faults
                .extend(wrong.into_iter().filter(|fault| seen.insert((fault.path.clone(), fault.fault.what.clone()))));
        }
    }
    faults.into_iter().map(|fault| placed(document, fault)).collect()
}

/// Whether what the config says of nights is what the rules do.
fn overnight(document: &Document) -> Option<Finding> {
    let path = "trading_hours.allow_overnight_holds";
    let said = document.flag(path)?;
    let (section, faults) = read(document.get("rules")?);
    let mut sides = section.long.iter().chain(&section.short);
    let held = sides.any(|side| side.flat_before_close_minutes.is_none());
    if said == held || !faults.is_empty() {
        return None;
    }
    let what = match held {
        true => format!("{path} is false, but the rules hold overnight: a side has no flat_before_close_minutes"),
        false => format!("{path} is true, but the rules are flat before the close"),
    };
    let finding = Finding::new(codes::CONTRADICTION, path, what).value(said.to_string(), held.to_string());
    Some(document.place(finding.help(format!("write {held}, or change the rules")), Part::Value))
}

/// The names that the rules of a document may use, by symbol or for all.
pub fn parameters_by_symbol(document: &Document) -> Vec<(Option<Symbol>, Numbers)> {
    let symbols = document.symbols();
    let names: Vec<Option<Symbol>> =
        if symbols.is_empty() { vec![None] } else { symbols.into_iter().map(Some).collect() };
    names.into_iter().zip(parameters_of_all(document)).collect()
}

/// A fault with its place in the document.
pub fn placed(document: &Document, fault: RuleFault) -> Finding {
    let RuleFault { path, is_key, fault, in_text } = fault;
    let what = match in_text {
        true => format!("{path}, column {}: {}", fault.place.column(), fault.what),
        false => fault.what.clone(),
    };
    let finding = Finding::new(fault.code, path, what).help(fault.help);
    match in_text {
        true => document.place_in_text(finding, fault.place.start, fault.place.end),
        false => document.place(finding, if is_key { Part::Key } else { Part::Value }),
    }
}

/// The parameters of each symbol, or those of all.
fn parameters_of_all(document: &Document) -> Vec<Numbers> {
    let block = |name: &str| document.get(name).and_then(Value::as_object).cloned().unwrap_or_default();
    let (by_symbol, common) = (block("symbol_parameters"), block("strategy_parameters"));
    let symbols = document.symbols();
    match symbols.is_empty() {
        true => vec![parameters_of("", &by_symbol, &common)],
        false => symbols.iter().map(|symbol| parameters_of(symbol.as_str(), &by_symbol, &common)).collect(),
    }
}

/// `symbol_parameters.SYM.x`, else `strategy_parameters.SYM.x`, else `strategy_parameters.x`; numbers alone.
fn parameters_of<'v>(
    symbol: &str,
    by_symbol: impl IntoIterator<Item = (&'v String, &'v Value)> + Copy,
    common: impl IntoIterator<Item = (&'v String, &'v Value)> + Copy,
) -> Numbers {
    let mut all = Numbers::new();
    let mut take = |values: &mut dyn Iterator<Item = (&'v String, &'v Value)>| {
        for (name, value) in values {
            if let Some(number) = value.as_f64() {
                all.insert(name.clone(), Some(number));
            }
        }
    };
    take(&mut common.into_iter());
    for block in [common.into_iter().collect::<Vec<_>>(), by_symbol.into_iter().collect()] {
        let own = block.iter().find(|(name, _)| *name == symbol).and_then(|(_, value)| value.as_object());
        take(&mut own.into_iter().flatten());
    }
    all
}

impl Deployable for Declared {
    const TIMEFRAME: Timeframe = Timeframe::Day;
    const ADJUSTED: bool = true;
    const OVERNIGHT: Overnight = Overnight::Held;
    const EQUITY_ROWS: EquityRows = EquityRows::Bars;
    const PARAMETERS: Parameters = Parameters::Common;

    fn name_in(config: &Config) -> String {
        config.strategy.name.clone()
    }

    fn timeframe_in(config: &Config) -> Timeframe {
        config.data_requirements.timeframe.unwrap_or(Self::TIMEFRAME)
    }

    fn parameters_in(config: &Config) -> Parameters {
        if config.has_symbol_parameters() { Parameters::BySymbol } else { Parameters::Common }
    }

    fn parameters_schema() -> Value {
        let numbers = json!({"type": "object", "additionalProperties": {"type": ["number", "object"]}});
        json!({"properties": {"strategy_parameters": numbers, "symbol_parameters": numbers}})
    }

    fn examine(document: &Document) -> Vec<Finding> {
        let mut found = examine_rules(document);
        found.extend(overnight(document));
        found
    }

    /// What is never held overnight needs no adjustment: shares split at night.
    fn is_adjusted(&self) -> bool {
        self.overnight() == Overnight::Held
    }

    fn overnight(&self) -> Overnight {
        if self.is_flat_overnight() { Overnight::Flat } else { Overnight::Held }
    }

    fn from_config(config: &Config, symbol: Symbol) -> Result<Self> {
        let section: &Section = config.declared().ok_or_else(|| {
            Error::new(codes::RULE_MISSING_KEY, "rules is missing: nothing says what is traded")
                .at(config.path.display())
        })?;
        let (by_symbol, common) = config.parameter_blocks();
        let parameters = parameters_of(symbol.as_str(), by_symbol, common);
        let (program, faults) = program(section, &parameters, config.data_requirements.timeframe);
        // What nothing uses was found when the config was examined.
        let is_unused = |fault: &RuleFault| {
            fault.fault.code == codes::RULE_UNUSED_PARAMETER || fault.fault.code == codes::RULE_UNUSED_LET
        };
        match faults.into_iter().find(|fault| !is_unused(fault)) {
            None => {
                let allocation = parameters.get(ALLOCATION).copied().flatten();
                Ok(Self::new(program, config.data_requirements.warmup_bars).allocating(allocation))
            }
            Some(RuleFault { path, fault, .. }) => {
                let what = format!("{path}, column {}: {}", fault.place.column(), fault.what);
                Err(Error::new(fault.code, what).help(fault.help))
            }
        }
    }

    fn allocation(&self) -> Option<f64> {
        Self::allocation(self)
    }

    fn describe(&self) -> Vec<(&'static str, Value)> {
        Vec::new()
    }
}

/// Parameters of rules are numbers by name: none has a type of its own.
impl<'de> Deserialize<'de> for Declared {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(serde::de::Error::custom("rules are read with their whole config"))
    }
}

impl JsonSchema for Declared {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Parameters of rules".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "object"})
    }
}
