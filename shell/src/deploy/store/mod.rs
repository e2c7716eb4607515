//! Where bundles, the lock and records lie: keys that are made once or replaced on a condition,
//! never deleted and never listed.

mod contract;
mod folder;

pub use contract::{Object, Store, Written, write};
pub use folder::Folder;
