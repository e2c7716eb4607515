//! How a strategy's parameters stand in its config.

use schemars::Schema;
use serde_json::{Value, json};

use super::formats::SYMBOL_PATTERN;

/// How a strategy's parameters stand in its config.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parameters {
    /// `symbol_parameters.SYM` or `strategy_parameters.SYM`: each symbol has its own.
    BySymbol,
    /// `strategy_parameters`: one set for all symbols.
    Common,
}

impl Parameters {
    /// The schema of the two parameter blocks, for parameters of schema `one`.
    pub fn schema(self, one: &Schema) -> Value {
        let names = json!({"pattern": SYMBOL_PATTERN, "x-allowed": "a symbol, e.g. AMC"});
        let by_symbol =
            json!({"type": "object", "propertyNames": names, "additionalProperties": one, "minProperties": 1});
        match self {
            Self::Common => json!({
                "properties": {"strategy_parameters": one, "symbol_parameters": false},
                "required": ["strategy_parameters"],
            }),
            Self::BySymbol => json!({
                "properties": {"strategy_parameters": by_symbol, "symbol_parameters": by_symbol},
                "anyOf": [{"required": ["symbol_parameters"]}, {"required": ["strategy_parameters"]}],
                "x-allowed": "symbol_parameters or strategy_parameters, by symbol",
            }),
        }
    }
}

/// Whether positions may be held when the session ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overnight {
    /// The strategy holds overnight.
    Held,
    /// Its brackets are flat by the close.
    Flat,
}
