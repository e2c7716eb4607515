//! Self-contained pages: no request leaves them. One design for the gate, backtests and sweeps.
//!
//! A page is `page.html` with style, scripts and one island of JSON, from which the scripts draw everything;
//! `CONTRACT.md` says what the islands hold. Figures are those that `--json` has; the scripts make none.

mod page;
mod series;

mod backtest;
mod gate;
mod sweep;

pub use backtest::{Backtested, backtest};
pub use gate::{gate, index};
pub use sweep::{SweptPage, sweep};
