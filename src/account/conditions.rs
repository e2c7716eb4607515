//! What an account may do, beyond its costs: borrowing, shorts, shares of the volume.

/// How an account trades.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Conditions {
    /// What is checked when an order opens or adds to a position.
    pub kind: AccountKind,
    /// What happens to an order that fails the check.
    pub on_insufficient: OnInsufficient,
    /// Fee of borrowed shares: basis points of their worth, in a year of 360 days.
    pub borrow_bps: f64,
    /// Interest on negative cash, basis points in a year of 360 days.
    pub margin_rate_bps: f64,
    /// The largest fraction of a bar's volume that a symbol's fills may take.
    pub participation: Option<f64>,
    /// Coefficient of the square-root impact: who takes `q` of a bar's volume `v` moves the price by
    /// `impact * deviation * sqrt(q / v)`, the deviation being that of the last 20 returns.
    pub impact: f64,
    /// Quantities count millionths of a share.
    pub fractional: bool,
    /// Resting limits and targets need a price beyond their level, not at it.
    pub strict_limits: bool,
}

/// What an account checks at a fill.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum AccountKind {
    /// Nothing.
    Unlimited,
    /// Cash pays for purchases; no short positions.
    Cash,
    /// Positions of either sign up to this multiple of equity.
    Margin {
        /// Dollars of positions, long and short added up, a dollar of equity.
        leverage: f64,
    },
}

/// What happens to an order that the account can't pay for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnInsufficient {
    /// It is refused whole.
    Reject,
    /// It fills as far as the money goes.
    Shrink,
}

impl Conditions {
    /// Nothing is checked, nothing borrowed is charged, every order fills whole.
    pub const UNLIMITED: Self = Self {
        kind: AccountKind::Unlimited,
        on_insufficient: OnInsufficient::Reject,
        borrow_bps: 0.0,
        margin_rate_bps: 0.0,
        participation: None,
        impact: 0.0,
        fractional: false,
        strict_limits: false,
    };
}

impl Default for Conditions {
    fn default() -> Self {
        Self::UNLIMITED
    }
}
