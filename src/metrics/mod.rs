//! What a replay was worth. Every figure is defined or says why it isn't; none is NaN.
//!
//! Returns are simple returns of session equity, the first one against the starting capital.
//! Annualisation: 252 sessions a year, risk-free rate 0. Growth is compounded to a year from 63 sessions on.

mod measure;
mod sums;

mod benchmark;
mod by_side;
mod sessions;
mod trades;

mod cash;

mod summary;

mod trading;

mod held;

mod figures;

mod marks;

mod profile;

pub use benchmark::{Benchmark, buy_and_hold};
pub use by_side::{BySide, SideFigures};
pub use cash::Cash;
pub use figures::{CRITERIA, Criterion, Figure, Resampled, figure, figures};
pub use held::Held;
pub use marks::Marks;
pub use measure::{Cause, Measure};
pub use profile::{PROFILE, Profile, ProfileCriterion};
pub(crate) use sessions::returns;
pub use sessions::{SESSIONS_PER_YEAR, session_returns, sharpe};
pub(crate) use summary::Outcome;
pub use summary::{Metrics, SESSIONS_TO_ANNUALISE};
pub(crate) use trades::{Tally, Trade, round_trips, win_or_loss};
pub use trading::{TRADING, Trading};
