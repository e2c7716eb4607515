//! What a researcher's program begins with: `use magellan::prelude::*;`

pub use crate::archive::{Archive, Series};
pub use crate::backtest::{Backtest, Backtested};
pub use crate::bar::{Bar, Bars, Date, Nanos, Symbol, Timeframe};
pub use crate::costs::Costs;
pub use crate::disk::map::Access;
pub use crate::error::{Error, Result};
pub use crate::history::{History, Hours};
pub use crate::indicator::{Columns, Field, Indicator, Smoothing};
pub use crate::ledger::Ledger;
pub use crate::levels::Levels;
pub use crate::metrics::{Measure, Metrics};
pub use crate::order::{Bracket, Entry, Order, Reason, Side, Size, Stop, Ticket};
pub use crate::risk::Limits;
pub use crate::strategy::{Now, Orders, Rules, Strategy, Test};
pub use crate::uncounted::Uncounted;
