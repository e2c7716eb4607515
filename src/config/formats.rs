//! What symbols, bar widths and dates look like in JSON.

use schemars::{JsonSchema, Schema, json_schema};

use crate::bar::{Date, Symbol, Timeframe};

/// What a symbol looks like in JSON.
pub(super) const SYMBOL_PATTERN: &str = "^[A-Z][A-Z0-9.-]{0,11}$";

impl JsonSchema for Symbol {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Symbol".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": SYMBOL_PATTERN, "x-allowed": "a symbol, e.g. AMC"})
    }
}

impl JsonSchema for Timeframe {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Timeframe".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "enum": Self::ALL.map(Self::name)})
    }
}

impl JsonSchema for Date {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Date".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string", "format": "date", "pattern": "^(19[0-9]{2}|20[0-9]{2}|2100)-[0-9]{2}-[0-9]{2}$",
            "x-allowed": "a date of 1900 to 2100, YYYY-MM-DD",
        })
    }
}
