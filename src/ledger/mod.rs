//! Every trial counted: what was tried on which bars, so that luck can be told from skill.
//!
//! `FOLDER/<strategy>/<sha256>.json` is a record: immutable, named by the hash of its bytes, and
//! naming the records that nobody named before it (the heads). So records form a graph that
//! version control merges as a union of files; an edited record has the wrong name, and one that
//! is gone leaves a name without a file. A record that no other names yet can be removed
//! unnoticed: that is the limit of what files alone can show.
//!
//! The number of trials N counts distinct settings of the same symbols, whatever the dates, on real
//! bars and on synthetic ones apart. It is worked out from the records' grids, so that a sweep of a
//! million points is one small file. Beside it lies a Parquet file with the session returns of a
//! sample of its points, by which trials are compared.

mod kept;
pub mod mark;
mod trials;

mod graph;

mod tried;

pub use graph::{Kind, Ledger, Record};
pub use kept::Kept;
#[cfg(any(test, fuzzing))]
pub(crate) use kept::decode;
pub(crate) use kept::{batch, encode};
pub use trials::{Identities, Leaves, Trials, Varied};
pub use tried::{Column, Columns, Family, Tried};
