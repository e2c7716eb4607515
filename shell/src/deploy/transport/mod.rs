//! How a call of the host script reaches the machine.

mod contract;
mod local;

pub use contract::Transport;
pub use local::Local;
