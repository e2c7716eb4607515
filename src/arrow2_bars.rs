//! Bars held in arrow2 arrays, lent to the engine without a copy and without `unsafe`.
//!
//! ```
//! use arrow2::array::PrimitiveArray;
//! use arrow2::datatypes::{DataType, TimeUnit};
//! use magellan::bar::{Date, Timeframe};
//!
//! let days = ["2024-07-02", "2024-07-03"].map(|d| d.parse::<Date>().map(Date::utc_midnight));
//! let start = PrimitiveArray::from_vec(days.into_iter().collect::<Result<Vec<i64>, _>>()?)
//!     .to(DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".to_owned())));
//! let close = PrimitiveArray::from_slice([549.0, 551.5]);
//! let bars = magellan::arrow2_bars::lend(Timeframe::Day, &start, [&close; 5])?;
//! assert_eq!(bars.close().as_ptr(), close.values().as_ptr());
//! # Ok::<(), magellan::error::Error>(())
//! ```

use arrow2::array::{Array, PrimitiveArray};
use arrow2::datatypes::{DataType, TimeUnit};

use crate::bar::{Bars, Timeframe};
use crate::error::{Error, Result, codes};

/// Lends arrays as bars: `start` holds ns UTC, `ohlcv` is `[open, high, low, close, volume]`.
///
/// # Errors
/// Data error if lengths differ, an array has nulls, starts are no ns in UTC, or they don't
/// strictly increase.
pub fn lend<'a>(
    timeframe: Timeframe,
    start: &'a PrimitiveArray<i64>,
    ohlcv: [&'a PrimitiveArray<f64>; 5],
) -> Result<Bars<'a>> {
    let mismatch = |what: String| Err(Error::new(codes::COLUMN_MISMATCH, what));
    let is_utc = |zone: &Option<String>| matches!(zone.as_deref(), None | Some("UTC" | "Z" | "+00:00"));
    match start.data_type() {
        DataType::Int64 => {}
        DataType::Timestamp(TimeUnit::Nanosecond, zone) if is_utc(zone) => {}
        other => return mismatch(format!("starts are {other:?}, expected Timestamp(Nanosecond, UTC)")),
    }
    let nulls = ohlcv.iter().map(|c| c.null_count()).sum::<usize>() + start.null_count();
    if nulls > 0 {
        return mismatch(format!("the arrays hold {nulls} nulls"));
    }
    Bars::new(timeframe, start.values().as_slice(), ohlcv.map(|c| c.values().as_slice()))
}
