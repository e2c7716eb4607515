//! Strategies over many symbols: asked once a bar time, with the values of all of them.
//!
//! A [`PortfolioStrategy`] answers with wanted weights or with orders. Symbols stand in alphabetical order, however
//! they were given, so the result doesn't depend on that. What is answered works from each symbol's next bar on; sales
//! free money for purchases at the same open.
//!
//! ```
//! use magellan::portfolio::{Market, PortfolioStrategy, Weights, best, equal};
//! use magellan::prelude::*;
//!
//! /// Holds the three symbols that rose most in half a year, in equal parts, and chooses anew each month.
//! #[derive(Clone, Copy)]
//! struct Momentum;
//!
//! impl PortfolioStrategy for Momentum {
//!     const NAME: &'static str = "momentum";
//!     type Inputs = [f64; 1];
//!     type State = ();
//!
//!     fn indicators(&self) -> [Indicator; 1] {
//!         [Indicator::Lag { field: Field::Close, bars: 126 }]
//!     }
//!
//!     fn decide(&self, (): &mut (), market: &Market<'_, [f64; 1]>, weights: &mut Weights) {
//!         if market.is_month_end() {
//!             let rise = |member: &magellan::portfolio::Member<[f64; 1]>| member.bar.close / member.inputs[0] - 1.0;
//!             weights.set(equal(&best(market.members(), 3, rise), 1.0));
//!         }
//!     }
//! }
//! ```

mod contract;
mod replay;
mod weights;

pub use contract::{Market, Member, PortfolioStrategy, Weights};
pub use replay::{PortfolioBacktest, PortfolioBacktested, replay_portfolio};
pub use weights::{best, equal, inverse_volatility, worst};
