//! Causal indicators: each is a fold over bars, so its column and its stream are the same bits.
//!
//! An [`Indicator`] is a small value that names a computation; it is also the key under which
//! [`Columns`] shares it. [`Rolling`] is the computation under way, one bar at a time. Values
//! are NaN until an indicator has the history it needs, so that no comparison with them holds.
//!
//! To add one: write its fold in a file of its own, and give it a name in `catalogue.rs`.

mod average;
mod candle;
mod catalogue;
mod channel;
mod coarser;
mod columns;
mod composed;
mod direction;
mod external;
mod field;
mod fold;
mod formula;
mod inner;
mod lag;
mod memory;
mod oscillator;
mod output;
mod own;
mod pair;
mod range;
mod rsi;
mod sample;
mod session;
mod time;
mod trend;
mod volume;
mod window;

pub use catalogue::{Indicator, SelfTestOnly};
pub use columns::Columns;
pub use external::{External, Features};
pub use field::{Factor, Field, Smoothing};
pub use fold::Rolling;
pub use formula::Operation;
pub use inner::Inner;
pub use memory::Memory;
pub use output::{Aroon, Band, Directional, Macd, Regression, Stochastic, Supertrend};
pub use own::{Own, OwnIndicator};
