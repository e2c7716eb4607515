//! How far a sweep or a walk-forward is.

/// Receives how far a run of many replays is.
pub trait Progress: Sync {
    /// So many replays, each of so many bars, begin now: everything is loaded, checked and counted.
    fn begins(&self, _replays: u64, _bars_each: f64) {}
    /// So many more of them are done.
    fn advances(&self, _replays: u64) {}
    /// All of them are done.
    fn ends(&self) {}
}

/// Nobody wants to know.
impl Progress for () {}
