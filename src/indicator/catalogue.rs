//! Every indicator by name, and the computation behind each.

use super::field::{Field, Memory, Smoothing};
use super::fold::{PerSession, Rolling};
use super::{average, candle, lag, range, rsi, session, volume, window};

/// What to compute. Periods count bars and are at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Indicator {
    /// The field's value `bars` bars ago.
    Lag {
        /// What to look back at.
        field: Field,
        /// How far.
        bars: u32,
    },
    /// Simple moving average (SMA): mean of the last `period` values, summed oldest first.
    Mean {
        /// What to average.
        field: Field,
        /// Bars.
        period: u32,
    },
    /// Smallest of the last `period` values.
    Min {
        /// What to compare.
        field: Field,
        /// Bars.
        period: u32,
    },
    /// Largest of the last `period` values.
    Max {
        /// What to compare.
        field: Field,
        /// Bars.
        period: u32,
    },
    /// Population standard deviation of the last `period` values: `sqrt(mean((value - mean)^2))`.
    Std {
        /// What to measure.
        field: Field,
        /// Bars.
        period: u32,
    },
    /// Exponential average, `weight * value + (1 - weight) * before`: the EMA with [`Smoothing::Span`], the RMA with
    /// [`Smoothing::Wilder`].
    Average {
        /// What to average.
        field: Field,
        /// Bars.
        period: u32,
        /// Weight and start.
        smoothing: Smoothing,
    },
    /// Relative strength index of closes, 0 to 100 (Wilder, New Concepts in Technical Trading Systems, 1978):
    /// `100 - 100 / (1 + gain / loss)`, of averaged rises and falls; 0 without rises, else 100 without falls.
    Rsi {
        /// Bars.
        period: u32,
        /// Weight and start of the averaged gains and losses.
        smoothing: Smoothing,
    },
    /// True range (Wilder 1978): the larger of `high - low` and the distances of high and low from the previous close,
    /// dollars. The first bar's is `high - low`.
    TrueRange {
        /// Whether the previous close may belong to an earlier session.
        memory: Memory,
    },
    /// Average true range: simple mean of the last `period` true ranges, dollars.
    Atr {
        /// Bars.
        period: u32,
        /// Whether sessions are joined.
        memory: Memory,
    },
    /// Average true range as Wilder defined it (1978), from the second bar on, dollars.
    AtrWilder {
        /// Bars.
        period: u32,
    },
    /// Bars in the session so far, this one included.
    SessionBars,
    /// Open of the session's first bar.
    SessionOpen,
    /// Change of the close from the session's open, per cent: `(close - open) / open * 100`.
    SessionChange,
    /// Lowest low of the session so far, this bar included.
    SessionLow,
    /// Lowest low of the session before this bar.
    SessionLowBefore,
    /// Highest high of the session so far, this bar included.
    SessionHigh,
    /// Lower wick as a share of the range: `(min(open, close) - low) / (high - low)`, 0 at no range.
    LowerWick,
    /// Body as a share of the range: `|close - open| / (high - low)`, 0 at no range.
    Body,
    /// Volume over the mean volume of the last `period` bars, this one included.
    VolumeRatio {
        /// Bars.
        period: u32,
        /// Whether sessions are joined.
        memory: Memory,
    },
    /// Last close of the session, given at its first bar already: it looks ahead. It exists for the gate's self-test,
    /// which shows that the gate finds it.
    #[doc(hidden)]
    SessionLastClose(SelfTestOnly),
}

/// A value that only this library can make.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SelfTestOnly(());

impl SelfTestOnly {
    pub(crate) const PLANTED: Self = Self(());
}

impl Indicator {
    /// The relative strength index as Wilder defined it (New Concepts in Technical Trading Systems, 1978): 0 to 100.
    pub const fn rsi(period: u32) -> Self {
        Self::Rsi { period, smoothing: Smoothing::Wilder }
    }

    /// Simple moving average of closes.
    pub const fn sma(period: u32) -> Self {
        Self::Mean { field: Field::Close, period }
    }

    /// Exponential moving average of closes, weight `2 / (period + 1)`.
    pub const fn ema(period: u32) -> Self {
        Self::Average { field: Field::Close, period, smoothing: Smoothing::Span }
    }

    /// Wilder's moving average of closes, weight `1 / period`.
    pub const fn rma(period: u32) -> Self {
        Self::Average { field: Field::Close, period, smoothing: Smoothing::Wilder }
    }

    /// How many bars it looks at, one if it has no period.
    pub const fn period(self) -> usize {
        match self {
            Self::Lag { bars, .. } => bars as usize + 1,
            Self::Mean { period, .. }
            | Self::Min { period, .. }
            | Self::Max { period, .. }
            | Self::Std { period, .. }
            | Self::Average { period, .. }
            | Self::Rsi { period, .. }
            | Self::Atr { period, .. }
            | Self::AtrWilder { period }
            | Self::VolumeRatio { period, .. } => period as usize,
            _ => 1,
        }
    }

    /// Name of its column in outputs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lag { .. } => "lag",
            Self::Mean { .. } => "mean",
            Self::Min { .. } => "min",
            Self::Max { .. } => "max",
            Self::Std { .. } => "std",
            Self::Average { smoothing: Smoothing::Span, .. } => "ema",
            Self::Average { smoothing: Smoothing::Wilder, .. } => "rma",
            Self::Rsi { .. } => "rsi",
            Self::TrueRange { .. } => "true_range",
            Self::Atr { .. } => "atr",
            Self::AtrWilder { .. } => "atr_wilder",
            Self::SessionBars => "session_bars",
            Self::SessionOpen => "session_open",
            Self::SessionChange => "session_change",
            Self::SessionLow => "session_low",
            Self::SessionLowBefore => "session_low_before",
            Self::SessionHigh => "session_high",
            Self::LowerWick => "lower_wick",
            Self::Body => "body",
            Self::VolumeRatio { .. } => "volume_ratio",
            Self::SessionLastClose(_) => "session_last_close",
        }
    }

    /// How far back its values can depend on bars. A column without memory between sessions may start at any session.
    pub const fn memory(self) -> Memory {
        match self {
            Self::TrueRange { memory } | Self::Atr { memory, .. } | Self::VolumeRatio { memory, .. } => memory,
            Self::SessionBars
            | Self::SessionOpen
            | Self::SessionChange
            | Self::SessionLow
            | Self::SessionLowBefore
            | Self::SessionHigh
            | Self::LowerWick
            | Self::Body
            | Self::SessionLastClose(_) => Memory::Session,
            _ => Memory::Continuous,
        }
    }

    /// Starts the computation before the first bar.
    pub fn start(self) -> Rolling {
        use Memory::{Continuous, Session};
        match self {
            Self::Lag { field, bars } => Rolling::new(lag::Lag::new(field, bars)),
            Self::Mean { field, period } => Rolling::new(window::Mean::new(field, period)),
            Self::Min { field, period } => Rolling::new(window::Min::new(field, period)),
            Self::Max { field, period } => Rolling::new(window::Max::new(field, period)),
            Self::Std { field, period } => Rolling::new(window::Std::new(field, period)),
            Self::Average { field, period, smoothing } => Rolling::new(average::Average::new(field, period, smoothing)),
            Self::Rsi { period, smoothing } => Rolling::new(rsi::Rsi::new(period, smoothing)),
            Self::TrueRange { memory: Continuous } => Rolling::new(range::TrueRange::new()),
            Self::TrueRange { memory: Session } => Rolling::new(PerSession::new(range::TrueRange::new())),
            Self::Atr { period, memory: Continuous } => Rolling::new(range::Atr::new(period)),
            Self::Atr { period, memory: Session } => Rolling::new(PerSession::new(range::Atr::new(period))),
            Self::AtrWilder { period } => Rolling::new(range::AtrWilder::new(period)),
            Self::SessionBars => Rolling::new(PerSession::new(session::Count::default())),
            Self::SessionOpen => Rolling::new(PerSession::new(session::FirstOpen::default())),
            Self::SessionChange => Rolling::new(PerSession::new(session::Change::default())),
            Self::SessionLow => Rolling::new(PerSession::new(session::Lowest::default())),
            Self::SessionLowBefore => Rolling::new(PerSession::new(session::LowestBefore::default())),
            Self::SessionHigh => Rolling::new(PerSession::new(session::Highest::default())),
            Self::LowerWick => Rolling::new(candle::LowerWick),
            Self::Body => Rolling::new(candle::Body),
            Self::VolumeRatio { period, memory: Continuous } => Rolling::new(volume::Ratio::new(period)),
            Self::VolumeRatio { period, memory: Session } => Rolling::new(PerSession::new(volume::Ratio::new(period))),
            Self::SessionLastClose(_) => Rolling::new(session::LastClose),
        }
    }
}
