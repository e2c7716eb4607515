//! What a Parquet file's schema says of its columns: names, kinds, and which of them bars are made of.

use jiff::tz::TimeZone;
use parquet::basic::{ConvertedType, LogicalType, Type};
use parquet::schema::types::{ColumnDescriptor, SchemaDescriptor};
use serde_json::Value;

use crate::archive::import::columns::{self, ABSENT, Columns, Kind};
use crate::archive::import::time;
use crate::archive::import::told::{Role, Told};
use crate::bar::Nanos;
use crate::error::{Error, Result, codes};

/// The plain columns of a file; whatever is nested is absent.
pub(super) struct Schema {
    pub(super) names: Vec<String>,
    pub(super) kinds: Vec<Kind>,
    whole: Vec<bool>,
    /// Which hold dates alone.
    dates: Vec<bool>,
    /// Names with types, as messages list them.
    shown: Vec<String>,
}

impl Schema {
    pub(super) fn of(schema: &SchemaDescriptor) -> Self {
        let plain = |c: &ColumnDescriptor| c.path().parts().len() == 1 && c.max_rep_level() == 0;
        let columns: Vec<_> = schema.columns().iter().collect();
        Self {
            names: columns.iter().map(|c| if plain(c) { c.name().to_owned() } else { ABSENT.to_owned() }).collect(),
            kinds: columns.iter().map(|c| kind(c)).collect(),
            whole: columns
                .iter()
                .map(|c| c.physical_type() == Type::INT64 && kind(c) == Kind::Number && !is_decimal(c))
                .collect(),
            dates: columns.iter().map(|c| is_date(c)).collect(),
            shown: columns.iter().map(|c| format!("{} ({})", c.path().string(), type_name(c))).collect(),
        }
    }

    /// The columns that bars are made of.
    pub(super) fn columns(&self, told: &Told) -> Result<Columns> {
        let mut found = columns::find(&self.names, &self.kinds, told, &self.shown)?;
        if let Some(clock) = found.time {
            let whole = self.kinds[found.timestamp] == Kind::Time && !self.dates[found.timestamp];
            if whole && !told.columns.iter().any(|c| c.role == Role::Time) {
                found.unknown.push(clock);
                found.time = None;
            } else {
                let what = format!(
                    "date and time stand apart, in `{}` and `{}`",
                    self.names[found.timestamp], self.names[clock]
                );
                return Err(Error::new(codes::COLUMN_TYPE, what).help("join them into one column of timestamps"));
            }
        }
        found.unknown.extend(found.width.take());
        Ok(found)
    }

    /// Whether all prices are whole numbers.
    pub(super) fn whole_prices(&self, found: &Columns) -> bool {
        found.prices[..4].iter().all(|&at| self.whole[at])
    }
}

/// The leaves that are read, in order.
pub(super) fn leaves(found: &Columns) -> Vec<usize> {
    let mut leaves = vec![found.timestamp];
    leaves.extend(found.prices);
    leaves.extend([found.trade_count, found.vwap, found.symbol].into_iter().flatten());
    leaves.sort_unstable();
    leaves.dedup();
    leaves
}

fn is_date(column: &ColumnDescriptor) -> bool {
    column.converted_type() == ConvertedType::DATE || matches!(column.logical_type_ref(), Some(LogicalType::Date))
}

fn is_decimal(column: &ColumnDescriptor) -> bool {
    column.converted_type() == ConvertedType::DECIMAL
        || matches!(column.logical_type_ref(), Some(LogicalType::Decimal { .. }))
}

fn kind(column: &ColumnDescriptor) -> Kind {
    match (column.logical_type_ref(), column.converted_type()) {
        (Some(LogicalType::Timestamp { .. } | LogicalType::Date), _)
        | (_, ConvertedType::DATE | ConvertedType::TIMESTAMP_MILLIS | ConvertedType::TIMESTAMP_MICROS) => Kind::Time,
        (Some(LogicalType::Time { .. }), _) | (_, ConvertedType::TIME_MILLIS | ConvertedType::TIME_MICROS) => {
            Kind::Clock
        }
        (Some(LogicalType::Unknown), _) => Kind::Empty,
        _ if is_decimal(column) => Kind::Number,
        _ => match column.physical_type() {
            Type::INT96 => Kind::Time,
            Type::BYTE_ARRAY => Kind::Text,
            _ => Kind::Number,
        },
    }
}

fn type_name(column: &ColumnDescriptor) -> String {
    match kind(column) {
        Kind::Time => "timestamp".to_owned(),
        Kind::Clock => "time of day".to_owned(),
        Kind::Empty => "nothing".to_owned(),
        Kind::Text => "text".to_owned(),
        Kind::Number if is_decimal(column) => "decimal".to_owned(),
        Kind::Number => column.physical_type().to_string().to_lowercase(),
    }
}

/// The zone of a column of instants, as pandas notes it.
pub(super) enum Zone {
    Named(TimeZone),
    Offset(Nanos),
}

/// The zone that pandas' notes name for a column.
pub(super) fn pandas_zone(notes: &str, column: &str) -> Option<Zone> {
    let notes: Value = serde_json::from_str(notes).ok()?;
    let columns = notes.get("columns")?.as_array()?;
    let mine = columns
        .iter()
        .find(|c| ["field_name", "name"].iter().any(|k| c.get(*k).and_then(Value::as_str) == Some(column)))?;
    let zone = mine.get("metadata")?.get("timezone")?.as_str()?;
    match TimeZone::get(zone) {
        Ok(zone) => Some(Zone::Named(zone)),
        Err(_) => time::offset(zone).1.map(Zone::Offset),
    }
}
