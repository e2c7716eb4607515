//! Bars in arrow2 arrays: lent, not copied, and replayed to the same bits.

use arrow2::array::PrimitiveArray;
use arrow2::bitmap::Bitmap;
use arrow2::datatypes::{DataType, TimeUnit};
use deployable_strategies::daily_trend::DailyTrend;
use magellan::arrow2_bars::lend;
use magellan::bar::{Bars, Timeframe};
use magellan::calendar;
use magellan::error::codes;
use magellan::history::{History, Hours};
use magellan::replay::{Instrument, Replay, replay};
use magellan::uncounted::Uncounted;

use crate::support::{date, symbol, terms};

fn starts(kind: DataType) -> PrimitiveArray<i64> {
    let days = calendar::sessions(date("2020-01-02"), date("2021-12-31")).map(|s| s.date.utc_midnight());
    PrimitiveArray::from_vec(days.collect()).to(kind)
}

fn nanos(zone: Option<&str>) -> DataType {
    DataType::Timestamp(TimeUnit::Nanosecond, zone.map(str::to_owned))
}

fn wave(count: usize) -> PrimitiveArray<f64> {
    let price = |i: usize| 100.0 + 20.0 * ((i % 60) as f64 / 30.0 - 1.0).abs();
    PrimitiveArray::from_vec((0..count).map(price).collect())
}

fn replayed(bars: Bars<'_>) -> Uncounted<Replay> {
    let strategy = DailyTrend {
        rsi_period: 14,
        hysteresis_upper: 55.0,
        hysteresis_lower: 45.0,
        allocation: 10_000.0,
        warmup_bars: 20,
        pace: Default::default(),
    };
    let history = History::new(symbol("SPY"), bars, Hours::Regular).expect("covered");
    replay(&[Instrument { history, strategy }], &terms(), &mut ()).expect("replayed")
}

#[test]
fn lent_arrays_are_the_engines_own_columns_and_give_the_same_trades() {
    let start = starts(nanos(Some("UTC")));
    let close = wave(start.len());
    let bars = lend(Timeframe::Day, &start, [&close; 5]).expect("lent");
    assert_eq!(bars.starts().as_ptr(), start.values().as_ptr(), "not copied");
    assert_eq!(bars.close().as_ptr(), close.values().as_ptr(), "not copied");
    let copied: Vec<f64> = close.values().to_vec();
    let plain = Bars::new(Timeframe::Day, start.values(), [&copied; 5]).expect("ordered");
    let (lent, plain) = (replayed(bars), replayed(plain));
    assert!(lent.fills.len() > 3, "{} fills", lent.fills.len());
    assert_eq!(format!("{lent:?}"), format!("{plain:?}"));
}

#[test]
fn arrays_that_are_no_bars_are_refused() {
    let start = starts(nanos(None));
    let close = wave(start.len());
    let code = |bars: magellan::error::Result<Bars<'_>>| bars.expect_err("refused").code();
    let seconds = starts(DataType::Timestamp(TimeUnit::Second, None));
    assert_eq!(code(lend(Timeframe::Day, &seconds, [&close; 5])), codes::COLUMN_MISMATCH);
    let elsewhere = starts(nanos(Some("America/New_York")));
    assert_eq!(code(lend(Timeframe::Day, &elsewhere, [&close; 5])), codes::COLUMN_MISMATCH);
    let holes: Bitmap = (0..close.len()).map(|i| i != 7).collect();
    let holed = close.clone().with_validity(Some(holes));
    assert_eq!(code(lend(Timeframe::Day, &start, [&close, &close, &holed, &close, &close])), codes::COLUMN_MISMATCH);
    let short = wave(3);
    assert_eq!(code(lend(Timeframe::Day, &start, [&short; 5])), codes::COLUMN_MISMATCH);
    let backwards = PrimitiveArray::from_vec(start.values().iter().rev().copied().collect()).to(nanos(None));
    assert_eq!(code(lend(Timeframe::Day, &backwards, [&close; 5])), codes::BARS_DISORDERED);
}
