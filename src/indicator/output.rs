//! Which of its values an indicator gives that has several.

/// A line of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Band {
    /// The upper line.
    Upper,
    /// What lies between them.
    Middle,
    /// The lower line.
    Lower,
}

/// A line of the MACD.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Macd {
    /// Fast average minus slow one.
    Line,
    /// Average of the line.
    Signal,
    /// Line minus signal.
    Histogram,
}

/// A value of the directional movement system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Directional {
    /// +DI: upward movement in the true range, per cent.
    Plus,
    /// -DI: downward movement in the true range, per cent.
    Minus,
    /// DX: how far they lie apart, per cent of their sum.
    Index,
    /// ADX: Wilder's average of DX.
    Average,
}

/// A line of Aroon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Aroon {
    /// How recent the highest high is, 100 for this bar.
    Up,
    /// How recent the lowest low is, 100 for this bar.
    Down,
    /// Up minus down.
    Oscillator,
}

/// A line of the stochastic oscillator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stochastic {
    /// Where the close lies in the range, smoothed.
    K,
    /// Mean of K.
    D,
}

/// A value of the supertrend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Supertrend {
    /// The band in force, dollars: the lower one in an uptrend, else the upper one.
    Line,
    /// 1 in an uptrend, else -1.
    Direction,
}

/// A value of the straight line that fits best.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Regression {
    /// The line at this bar.
    Value,
    /// Its rise from bar to bar.
    Slope,
}
