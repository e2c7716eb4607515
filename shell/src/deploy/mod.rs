//! The deploy shell: what was judged, and only that, onto one machine; observed, and back if it
//! isn't well.
//!
//! `bundle` makes a release one file, `judged` finds the verdict that allows it, `plan` says what
//! it would change, `rollout` does it step by step under a `lock`, every step in a `record`.
//! What happens on the machine is one script, in the parts of `host/`, whichever `transport` carries it there;
//! what the machine says is judged in `health` and told in `status` and `summary`. Records and
//! bundles lie in a `store` in which nothing is ever deleted.

pub mod bundle;
pub mod commit;
pub mod facts;
pub mod health;
pub mod host;
pub mod iam;
pub mod judged;
pub mod lock;
pub mod market_time;
pub mod plan;
pub mod record;
pub mod rollout;
pub mod status;
pub mod store;
pub mod summary;
pub mod transport;
