//! Files as this project reads and writes them: whole, bounded, and known by their hashes.

pub mod hash;
pub mod map;
pub mod walk;
pub mod write;
