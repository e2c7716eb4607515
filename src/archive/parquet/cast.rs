//! Columns of a foreign file as what bars are made of: instants, numbers and texts.
//!
//! The kinds are those that Parquet itself knows: a plain column comes as nothing else when the copy
//! of an Arrow schema in the file is left aside. A value that can't be represented is an error, never
//! a missing value.

use std::fmt::Display;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Decimal128Type, Decimal256Type, Float16Type, Float32Type, Float64Type, Int8Type,
    Int16Type, Int32Type, Int64Type, TimestampMicrosecondType, TimestampMillisecondType, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, Float64Array, StringArray, TimestampNanosecondArray};
use arrow_schema::{DataType, TimeUnit};

use crate::bar::DAY;

/// Timestamps as nanoseconds of UTC; a date is its midnight. Nothing if the column holds neither.
pub(super) fn instants(column: &dyn Array) -> Option<Result<TimestampNanosecondArray, String>> {
    Some(match column.data_type() {
        DataType::Timestamp(TimeUnit::Nanosecond, _) => Ok(column.as_primitive().clone()),
        DataType::Timestamp(TimeUnit::Microsecond, _) => nanoseconds::<TimestampMicrosecondType>(column, 1_000),
        DataType::Timestamp(TimeUnit::Millisecond, _) => nanoseconds::<TimestampMillisecondType>(column, 1_000_000),
        DataType::Date32 => nanoseconds::<Date32Type>(column, DAY),
        _ => return None,
    })
}

/// The column's integers times the nanoseconds that one of them stands for.
fn nanoseconds<T>(column: &dyn Array, each: i64) -> Result<TimestampNanosecondArray, String>
where
    T: ArrowPrimitiveType,
    i64: From<T::Native>,
{
    column.as_primitive::<T>().try_unary(|value| {
        let value = i64::from(value);
        value.checked_mul(each).ok_or_else(|| format!("{value} times {each} ns is outside the years 1678 to 2262"))
    })
}

/// Numbers, each as the nearest `f64`. Nothing if the column holds none; a column that is known to be
/// empty holds missing ones.
pub(super) fn numbers(column: &dyn Array) -> Option<Float64Array> {
    Some(match column.data_type() {
        DataType::Null => Float64Array::new_null(column.len()),
        DataType::Int8 => exact::<Int8Type>(column),
        DataType::Int16 => exact::<Int16Type>(column),
        DataType::Int32 => exact::<Int32Type>(column),
        DataType::Int64 => column.as_primitive::<Int64Type>().unary(|value| value as f64),
        DataType::UInt8 => exact::<UInt8Type>(column),
        DataType::UInt16 => exact::<UInt16Type>(column),
        DataType::UInt32 => exact::<UInt32Type>(column),
        DataType::UInt64 => column.as_primitive::<UInt64Type>().unary(|value| value as f64),
        DataType::Float16 => exact::<Float16Type>(column),
        DataType::Float32 => exact::<Float32Type>(column),
        DataType::Float64 => column.as_primitive::<Float64Type>().clone(),
        DataType::Decimal128(_, scale) => {
            column.as_primitive::<Decimal128Type>().unary(|value| decimal(value, i64::try_from(value).ok(), *scale))
        }
        DataType::Decimal256(_, scale) => column.as_primitive::<Decimal256Type>().unary(|value| {
            let small = value.to_i128().and_then(|value| i64::try_from(value).ok());
            decimal(value, small, *scale)
        }),
        _ => return None,
    })
}

/// Values that are all numbers of an `f64`.
fn exact<T>(column: &dyn Array) -> Float64Array
where
    T: ArrowPrimitiveType,
    f64: From<T::Native>,
{
    column.as_primitive::<T>().unary(f64::from)
}

/// The nearest `f64` to `digits` / 10^`scale`; `small` are the digits if they fit.
fn decimal(digits: impl Display, small: Option<i64>, scale: i8) -> f64 {
    match small {
        // Both are exact as they stand, so that the quotient is rounded once.
        Some(small) if small.unsigned_abs() < 1 << f64::MANTISSA_DIGITS && (0..=22).contains(&scale) => {
            small as f64 / 10_f64.powi(i32::from(scale))
        }
        // Rust reads the text of a number as the nearest one.
        _ => format!("{digits}e{}", -i32::from(scale)).parse().unwrap_or(f64::NAN),
    }
}

/// Texts as such: bytes must be UTF-8. Other kinds stay what they are.
///
/// # Errors
/// Bytes that aren't text.
pub(super) fn texts(column: &ArrayRef) -> Result<ArrayRef, String> {
    match column.data_type() {
        DataType::Null => Ok(Arc::new(StringArray::new_null(column.len()))),
        DataType::Binary => StringArray::try_from_binary(column.as_binary().clone())
            .map(|texts| Arc::new(texts) as ArrayRef)
            .map_err(|e| e.to_string()),
        DataType::FixedSizeBinary(_) => Err("bytes of a fixed length are no texts".to_owned()),
        _ => Ok(column.clone()),
    }
}
