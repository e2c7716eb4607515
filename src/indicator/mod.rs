//! Causal indicators: each is a fold over bars, so its column and its stream are the same bits.
//!
//! An [`Indicator`] is a small value that names a computation; it is also the key under which
//! [`Columns`] shares it. [`Rolling`] is the computation under way, one bar at a time. Values
//! are NaN until an indicator has the history it needs, so that no comparison holds.

mod average;
mod candle;
mod lag;
mod range;
mod rsi;
mod session;
mod volume;
mod window;

use rayon::prelude::*;

use crate::bar::{Bar, Bars, Date};
use crate::calendar::Session;
use crate::history::History;

/// One value of a bar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Field {
    /// First price.
    Open,
    /// Highest price.
    High,
    /// Lowest price.
    Low,
    /// Last price.
    Close,
    /// Shares traded.
    Volume,
}

impl Field {
    #[inline(always)]
    fn of(self, bar: &Bar) -> f64 {
        match self {
            Self::Open => bar.open,
            Self::High => bar.high,
            Self::Low => bar.low,
            Self::Close => bar.close,
            Self::Volume => bar.volume,
        }
    }
}

/// How an exponential average weighs and starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Smoothing {
    /// Weight `2 / (period + 1)`, starting from the first value.
    Span,
    /// Weight `1 / period`, starting from the mean of the first `period` values (Wilder 1978).
    Wilder,
}

/// How far back an indicator remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Memory {
    /// To the archive's first bar.
    Continuous,
    /// To the session's first bar.
    Session,
}

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
    /// Mean of the last `period` values, summed oldest first (the SMA).
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
    /// Population standard deviation (ddof 0) of the last `period` values.
    Std {
        /// What to measure.
        field: Field,
        /// Bars.
        period: u32,
    },
    /// Exponential average: the EMA with [`Smoothing::Span`], the RMA with [`Smoothing::Wilder`].
    Average {
        /// What to average.
        field: Field,
        /// Bars.
        period: u32,
        /// Weight and start.
        smoothing: Smoothing,
    },
    /// Relative strength index of closes, 0 to 100.
    Rsi {
        /// Bars.
        period: u32,
        /// Weight and start of the averaged gains and losses.
        smoothing: Smoothing,
    },
    /// True range; the first bar's is high - low.
    TrueRange {
        /// Whether the previous close may belong to an earlier session.
        memory: Memory,
    },
    /// Simple mean of the last `period` true ranges.
    Atr {
        /// Bars.
        period: u32,
        /// Whether sessions are joined.
        memory: Memory,
    },
    /// Wilder's average true range, starting from the second bar.
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
    /// Last close of the session, known at its first bar: looks ahead. It exists for the gate's
    /// self-test alone, which shows that the gate finds such a thing.
    #[doc(hidden)]
    SessionLastClose(SelfTestOnly),
}

/// What only this library can make.
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

    /// Bars it looks back, one if it has no period.
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

    /// How far back its values can depend on bars; without memory between sessions a column
    /// may start at any session.
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
        Rolling(match self {
            Self::Lag { field, bars } => Box::new(lag::Lag::new(field, bars)),
            Self::Mean { field, period } => Box::new(window::Mean::new(field, period)),
            Self::Min { field, period } => Box::new(window::Min::new(field, period)),
            Self::Max { field, period } => Box::new(window::Max::new(field, period)),
            Self::Std { field, period } => Box::new(window::Std::new(field, period)),
            Self::Average { field, period, smoothing } => Box::new(average::Average::new(field, period, smoothing)),
            Self::Rsi { period, smoothing } => Box::new(rsi::Rsi::new(period, smoothing)),
            Self::TrueRange { memory: Continuous } => Box::new(range::TrueRange::new()),
            Self::TrueRange { memory: Session } => Box::new(PerSession::new(range::TrueRange::new())),
            Self::Atr { period, memory: Continuous } => Box::new(range::Atr::new(period)),
            Self::Atr { period, memory: Session } => Box::new(PerSession::new(range::Atr::new(period))),
            Self::AtrWilder { period } => Box::new(range::AtrWilder::new(period)),
            Self::SessionBars => Box::new(PerSession::new(session::Count::default())),
            Self::SessionOpen => Box::new(PerSession::new(session::FirstOpen::default())),
            Self::SessionChange => Box::new(PerSession::new(session::Change::default())),
            Self::SessionLow => Box::new(PerSession::new(session::Lowest::default())),
            Self::SessionLowBefore => Box::new(PerSession::new(session::LowestBefore::default())),
            Self::SessionHigh => Box::new(PerSession::new(session::Highest::default())),
            Self::LowerWick => Box::new(candle::LowerWick),
            Self::Body => Box::new(candle::Body),
            Self::VolumeRatio { period, memory: Continuous } => Box::new(volume::Ratio::new(period)),
            Self::VolumeRatio { period, memory: Session } => Box::new(PerSession::new(volume::Ratio::new(period))),
            Self::SessionLastClose(_) => Box::new(session::LastClose),
        })
    }
}

/// An indicator under way: bars in, values out.
pub struct Rolling(Box<dyn Fold>);

impl Rolling {
    /// The value at the close of `bar`.
    pub fn next(&mut self, bar: &Bar, session: &Session) -> f64 {
        self.0.next(bar, session)
    }

    /// Appends the values at each of `bars`, which belong to `session`; the same bits as
    /// [`Rolling::next`] bar by bar.
    pub fn extend(&mut self, bars: &Bars<'_>, session: &Session, column: &mut Vec<f64>) {
        self.0.extend(bars, session, column);
    }
}

/// One step per bar; `extend` is the same loop, compiled once per indicator.
trait Fold: Send {
    fn next(&mut self, bar: &Bar, session: &Session) -> f64;

    fn extend(&mut self, bars: &Bars<'_>, session: &Session, column: &mut Vec<f64>) {
        let bars = bars.slice(0..bars.len());
        column.extend((0..bars.len()).map(|i| self.next(&bars.get(i), session)));
    }
}

/// Starts an indicator afresh at each session's first bar.
#[derive(Clone)]
struct PerSession<F> {
    fresh: F,
    live: F,
    date: Option<Date>,
}

impl<F: Fold + Clone> PerSession<F> {
    fn new(fresh: F) -> Self {
        Self { live: fresh.clone(), fresh, date: None }
    }

    fn turn(&mut self, session: &Session) {
        if self.date != Some(session.date) {
            self.live = self.fresh.clone();
            self.date = Some(session.date);
        }
    }
}

impl<F: Fold + Clone> Fold for PerSession<F> {
    fn next(&mut self, bar: &Bar, session: &Session) -> f64 {
        self.turn(session);
        self.live.next(bar, session)
    }

    fn extend(&mut self, bars: &Bars<'_>, session: &Session, column: &mut Vec<f64>) {
        self.turn(session);
        self.live.extend(bars, session, column);
    }
}

/// Bars that are folded at once.
const STRETCH: usize = 4_096;

/// Indicator columns over all sessions of one history, each distinct indicator computed once:
/// what research plots and many parameter points share.
pub struct Columns {
    columns: Vec<(Indicator, Vec<f64>)>,
}

impl Columns {
    /// Folds `indicators` over the whole history; a column has a value for each of its bars.
    pub fn compute(history: &History<'_>, indicators: &[Indicator]) -> Self {
        let mut columns: Vec<(Indicator, Vec<f64>)> = Vec::new();
        let mut rolling = Vec::new();
        for &indicator in indicators {
            if columns.iter().all(|(known, _)| *known != indicator) {
                columns.push((indicator, Vec::with_capacity(history.len())));
                rolling.push(indicator.start());
            }
        }
        // Stretch by stretch, so that the bars stay in the nearest cache for all indicators. What
        // remembers earlier sessions doesn't see where they end, and takes many at once.
        let mut sessions = history.sessions();
        while let [first, ..] = sessions {
            let adjoining = sessions
                .windows(2)
                .take_while(|w| w[0].range.end == w[1].range.start && w[1].range.end - first.range.start <= STRETCH);
            let (stretch, rest) = sessions.split_at(1 + adjoining.count());
            let last = &stretch[stretch.len() - 1];
            let whole = history.session_bars_at(first.range.start..last.range.end);
            for (rolling, (indicator, column)) in rolling.iter_mut().zip(&mut columns) {
                match indicator.memory() {
                    Memory::Continuous => rolling.extend(&whole, &first.session, column),
                    Memory::Session => {
                        stretch.iter().for_each(|s| rolling.extend(&history.session_bars(s), &s.session, column));
                    }
                }
            }
            sessions = rest;
        }
        Self { columns }
    }

    /// As [`Columns::compute`], the indicators shared out over the threads.
    pub fn compute_parallel(history: &History<'_>, indicators: &[Indicator]) -> Self {
        let parts: Vec<Self> = indicators.par_iter().map(|&i| Self::compute(history, &[i])).collect();
        Self { columns: parts.into_iter().flat_map(|part| part.columns).collect() }
    }

    /// Whether all of these were computed.
    pub fn hold(&self, indicators: &[Indicator]) -> bool {
        indicators.iter().all(|i| self.columns.iter().any(|(known, _)| known == i))
    }

    /// The column of an indicator that was computed.
    ///
    /// # Panics
    /// If it wasn't.
    pub fn get(&self, indicator: Indicator) -> &[f64] {
        let found = self.columns.iter().find(|(known, _)| *known == indicator);
        &found.unwrap_or_else(|| panic!("{indicator:?} was not computed")).1
    }
}
