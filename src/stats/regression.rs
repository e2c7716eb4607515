//! Placeholder until the room is merged.

/// Line.
#[derive(Clone, Copy, Debug)]
pub struct Regression {
    /// a
    pub alpha: f64,
    /// b
    pub beta: f64,
    /// t
    pub t: f64,
}

impl Regression {
    /// Of.
    pub fn of(_: &[f64], _: &[f64]) -> Option<Self> {
        None
    }
}
