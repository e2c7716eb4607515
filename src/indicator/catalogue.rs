//! Every indicator by name, and the computation behind each.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use super::average::Chained;
use super::coarser::Coarser;
use super::composed::{Again, Composed, EachSession};
use super::external::External;
use super::field::{Factor, Field, Smoothing};
use super::fold::{PerSession, Rolling};
use super::inner::{Computation, Inner, Kept};
use super::memory::Memory;
use super::output::{Aroon, Band, Directional, Macd, Regression, Stochastic, Supertrend};
use super::own::{Own, OwnIndicator};
use super::pair::{Input, Pair};
use super::window::Windowed;
use super::{
    average, candle, channel, coarser, direction, lag, oscillator, pair, range, rsi, sample, session, time, trend,
    volume, window,
};
use crate::bar::{Symbol, Timeframe};
use crate::error::{Error, Result, codes};

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
    /// Sum of the last `period` values, oldest first.
    Sum {
        /// What to add up.
        field: Field,
        /// Bars.
        period: u32,
    },
    /// Median of the last `period` values; of an even number the mean of the two in the middle.
    Median {
        /// What to sort.
        field: Field,
        /// Bars.
        period: u32,
    },
    /// Weighted moving average (WMA): weights 1 for the oldest of the last `period` values to `period` for the newest.
    Weighted {
        /// What to average.
        field: Field,
        /// Bars.
        period: u32,
    },
    /// Double exponential average (Mulloy 1994): `2 e1 - e2`, where `e1` is the EMA and `e2` the EMA of `e1`. It starts
    /// with the first value, as the EMA does.
    Dema {
        /// What to average.
        field: Field,
        /// Bars.
        period: u32,
    },
    /// Triple exponential average (Mulloy 1994): `3 e1 - 3 e2 + e3`, each the EMA of the one before it.
    Tema {
        /// What to average.
        field: Field,
        /// Bars.
        period: u32,
    },
    /// Adaptive moving average (Kaufman, Smarter Trading, 1995): `before + w² (value - before)`, where `w` lies between
    /// `2 / (slow + 1)` and `2 / (fast + 1)` as `|net change| / sum of |changes|` over `period` changes lies between 0
    /// and 1. Without any change that is 1. It starts from the value before the first full window's last.
    Kama {
        /// What to average.
        field: Field,
        /// Changes.
        period: u32,
        /// Bars of the EMA that it is where prices go straight: 2.
        fast: u32,
        /// Bars of the EMA that it is where they go nowhere: 30.
        slow: u32,
    },
    /// Moving average convergence/divergence (Appel 1979): EMA of `fast` bars minus EMA of `slow` bars, the EMA of that
    /// over `signal` bars, and the difference of both.
    Macd {
        /// What to average.
        field: Field,
        /// Bars of the fast average.
        fast: u32,
        /// Bars of the slow average.
        slow: u32,
        /// Bars of the signal.
        signal: u32,
        /// Which line.
        output: Macd,
    },
    /// Bollinger bands: mean of the last `period` values, and `width` population standard deviations around it.
    Bollinger {
        /// What to average.
        field: Field,
        /// Bars.
        period: u32,
        /// Standard deviations.
        width: Factor,
        /// Which line.
        band: Band,
    },
    /// Keltner channel (as of Raschke): EMA of closes, and `width` average true ranges of Wilder's around it, dollars.
    Keltner {
        /// Bars of the average.
        period: u32,
        /// Bars of the average true range.
        atr_period: u32,
        /// Average true ranges.
        width: Factor,
        /// Which line.
        band: Band,
    },
    /// Donchian channel: highest high and lowest low of the last `period` bars, this one included, and their mean.
    Donchian {
        /// Bars.
        period: u32,
        /// Which line.
        band: Band,
    },
    /// Directional movement (Wilder 1978), per cent. A bar's movement is how far its high lies above the last one's or
    /// its low below, whichever is farther. +DI and -DI: Wilder's averages of the movements up and down over that of true
    /// ranges. DX: `|+DI - -DI| / (+DI + -DI)`, 0 of nothing. ADX: Wilder's average of DX.
    Directional {
        /// Bars.
        period: u32,
        /// Which value.
        output: Directional,
    },
    /// Aroon (Chande 1995), 0 to 100: `100 (period - age) / period`, where `age` is how many bars ago the highest high or
    /// lowest low of the last `period + 1` bars was; of equal ones the latest counts.
    Aroon {
        /// Bars.
        period: u32,
        /// Which line.
        output: Aroon,
    },
    /// Commodity channel index (Lambert 1980): `(p - mean) / (0.015 d)` of typical prices `p`, where `d` is the mean
    /// distance from the mean; 0 if prices stand still.
    Cci {
        /// Bars.
        period: u32,
    },
    /// Stochastic oscillator (Lane), 0 to 100: `100 (close - lowest low) / (highest high - lowest low)` of `period` bars,
    /// 0 at no range; K is its mean over `smooth` bars (1: the fast one), D the mean of K over `signal` bars.
    Stochastic {
        /// Bars of the range.
        period: u32,
        /// Bars of K.
        smooth: u32,
        /// Bars of D.
        signal: u32,
        /// Which line.
        output: Stochastic,
    },
    /// Williams %R, -100 to 0: `-100 (highest high - close) / (highest high - lowest low)`, 0 at no range.
    WilliamsR {
        /// Bars.
        period: u32,
    },
    /// Rate of change, per cent: `(value / value of period bars ago - 1) * 100`. NaN where that was 0.
    Roc {
        /// What to compare.
        field: Field,
        /// Bars.
        period: u32,
    },
    /// On-balance volume (Granville 1963), shares: volumes added at higher closes and taken off at lower ones, from the
    /// first bar's volume on. Its level depends on where the archive begins; only its changes mean something.
    Obv,
    /// Money flow index, 0 to 100: `100 up / (up + down)`, where `up` is typical price times volume summed over those of
    /// the last `period` bars whose typical price rose, `down` over those where it fell; 0 of nothing.
    Mfi {
        /// Bars.
        period: u32,
    },
    /// Volume-weighted average price of the session so far, this bar included: sum of typical price times volume over sum
    /// of volumes, dollars. NaN without volume.
    Vwap,
    /// Supertrend (Seban): bands at `(high + low) / 2 ± width * ATR` (Wilder's), which only narrow until a close lies
    /// beyond them. The trend turns up at a close above the upper band, down at one below the lower. It starts down.
    Supertrend {
        /// Bars of the average true range.
        period: u32,
        /// Average true ranges.
        width: Factor,
        /// Which value.
        output: Supertrend,
    },
    /// Parabolic stop and reverse (Wilder 1978), dollars: a stop that moves towards the trend's extreme by a share of
    /// their distance, `step` more with each new extreme up to `fastest`, never into the last two bars; hit, it turns and
    /// starts from the extreme. It starts down only if the second bar reaches further down than up.
    Psar {
        /// The first share, and what each new extreme adds: 0.02.
        step: Factor,
        /// The largest share: 0.2.
        fastest: Factor,
    },
    /// Straight line with the least squares through the last `period` values; `period` is at least 2.
    Regression {
        /// What to fit.
        field: Field,
        /// Bars.
        period: u32,
        /// Which value.
        output: Regression,
    },
    /// Distance from the mean of the last `period` values in their population standard deviations. NaN if they are all the
    /// same.
    ZScore {
        /// What to measure.
        field: Field,
        /// Bars.
        period: u32,
    },
    /// Per cent of the `period` values before this one that are at most as large, 0 to 100.
    PercentRank {
        /// What to compare.
        field: Field,
        /// Bars.
        period: u32,
    },
    /// Pearson's correlation of the last `period` values of two fields, -1 to 1. NaN if either stands still.
    Correlation {
        /// One.
        field: Field,
        /// The other, such as another symbol's.
        with: Field,
        /// Bars.
        period: u32,
    },
    /// Beta of the last `period` returns: covariance of both over the variance of those of `with`. NaN if that stands still.
    Beta {
        /// Prices of what answers.
        field: Field,
        /// Prices of what it answers to, such as another symbol's.
        with: Field,
        /// Returns.
        period: u32,
    },
    /// Minutes from the session's open to the bar's end; 390 for bars of days and weeks.
    MinuteOfSession,
    /// Minutes from the bar's end to the session's close; 0 for bars of days and weeks.
    MinutesToClose,
    /// Day of the week of the session's date: Monday is 1.
    DayOfWeek,
    /// Day of the month of the session's date.
    DayOfMonth,
    /// Month of the session's date, 1 to 12.
    Month,
    /// 1 at the end of the month's last session by the calendar, else 0: within a day at the first bar that ends at or
    /// after the close.
    MonthEnd,
    /// An indicator of bars that have a field's value for each of their prices: made by [`Indicator::on`].
    On {
        /// What it takes for prices.
        field: Field,
        /// The indicator.
        of: Inner,
    },
    /// An indicator that begins anew with each session: made by [`Indicator::each_session`].
    EachSession(Inner),
    /// An indicator of coarser bars: made by [`Indicator::at`].
    At {
        /// Their width.
        width: Timeframe,
        /// The indicator.
        of: Inner,
    },
    /// What is worked out from other indicators' values at each bar: made by [`Indicator::formula`].
    Formula(Inner),
    /// An indicator of one's own: made by [`Indicator::own`].
    Own(Own),
    /// A column from elsewhere: made by [`Features::column`](super::Features::column).
    External(External),
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

    /// A field as it is.
    pub const fn value(field: Field) -> Self {
        Self::Lag { field, bars: 0 }
    }

    /// Weighted moving average of closes.
    pub const fn wma(period: u32) -> Self {
        Self::Weighted { field: Field::Close, period }
    }

    /// Double exponential average of closes.
    pub const fn dema(period: u32) -> Self {
        Self::Dema { field: Field::Close, period }
    }

    /// Triple exponential average of closes.
    pub const fn tema(period: u32) -> Self {
        Self::Tema { field: Field::Close, period }
    }

    /// Kaufman's adaptive average of closes, between the EMAs of 2 and 30 bars.
    pub const fn kama(period: u32) -> Self {
        Self::Kama { field: Field::Close, period, fast: 2, slow: 30 }
    }

    /// A line of the MACD of closes; 12, 26 and 9 are usual.
    pub const fn macd(fast: u32, slow: u32, signal: u32, output: Macd) -> Self {
        Self::Macd { field: Field::Close, fast, slow, signal, output }
    }

    /// A Bollinger band of closes; 20 bars and 2 deviations are usual.
    pub const fn bollinger(period: u32, width: f64, band: Band) -> Self {
        Self::Bollinger { field: Field::Close, period, width: Factor::new(width), band }
    }

    /// A line of the Keltner channel; 20 and 10 bars and 2 average true ranges are usual.
    pub const fn keltner(period: u32, atr_period: u32, width: f64, band: Band) -> Self {
        Self::Keltner { period, atr_period, width: Factor::new(width), band }
    }

    /// The average directional index.
    pub const fn adx(period: u32) -> Self {
        Self::Directional { period, output: Directional::Average }
    }

    /// Rate of change of closes, per cent.
    pub const fn roc(period: u32) -> Self {
        Self::Roc { field: Field::Close, period }
    }

    /// A value of the supertrend; 10 bars and 3 average true ranges are usual.
    pub const fn supertrend(period: u32, width: f64, output: Supertrend) -> Self {
        Self::Supertrend { period, width: Factor::new(width), output }
    }

    /// The parabolic stop; 0.02 and 0.2 are usual.
    pub const fn psar(step: f64, fastest: f64) -> Self {
        Self::Psar { step: Factor::new(step), fastest: Factor::new(fastest) }
    }

    /// A value of the regression line of closes.
    pub const fn regression(period: u32, output: Regression) -> Self {
        Self::Regression { field: Field::Close, period, output }
    }

    /// Distance of the close from its mean, in standard deviations.
    pub const fn z_score(period: u32) -> Self {
        Self::ZScore { field: Field::Close, period }
    }

    /// Rank of the close among those before it, per cent.
    pub const fn percent_rank(period: u32) -> Self {
        Self::PercentRank { field: Field::Close, period }
    }

    /// Correlation of closes with another field.
    pub fn correlation(period: u32, with: impl Into<Field>) -> Self {
        Self::Correlation { field: Field::Close, with: with.into(), period }
    }

    /// Beta of closes to another field.
    pub fn beta(period: u32, with: impl Into<Field>) -> Self {
        Self::Beta { field: Field::Close, with: with.into(), period }
    }

    /// This indicator of a field or of another indicator, in place of the prices that it takes otherwise:
    /// `Indicator::ema(9).on(Indicator::rsi(14))`. One that takes several of a bar's prices gets the same value for each,
    /// and the bar's own volume. While the value isn't known, neither is this; then it begins anew.
    #[must_use]
    pub fn on(self, field: impl Into<Field>) -> Self {
        let field = field.into();
        let mut on = self;
        match on.field_mut() {
            Some(place) => {
                *place = field;
                on
            }
            None => Self::On { field, of: self.kept() },
        }
    }

    /// This indicator of each session's bars alone, the first of which is the first that it sees.
    #[must_use]
    pub fn each_session(self) -> Self {
        Self::EachSession(self.kept())
    }

    /// This indicator of coarser bars: its value at the last one that is complete at this bar's close. They are built from
    /// the bars at hand as the archive builds them, from the regular session alone: hours are the clock's, a day is its
    /// session, a week ends with its last session by the calendar. NaN where the bars don't make the width
    /// ([`Indicator::check`] tells).
    #[must_use]
    pub fn at(self, width: Timeframe) -> Self {
        Self::At { width, of: self.kept() }
    }

    /// An indicator of one's own.
    pub fn own(own: impl OwnIndicator) -> Self {
        Self::Own(Own::new(own))
    }

    fn kept(self) -> Inner {
        static KNOWN: LazyLock<Mutex<HashMap<Indicator, &'static Kept>>> = LazyLock::new(Mutex::default);
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        Inner::new(known.entry(self).or_insert_with(|| Box::leak(Box::new(Kept::new(self)))))
    }

    /// The field of those that take one.
    const fn field_mut(&mut self) -> Option<&mut Field> {
        match self {
            Self::Lag { field, .. }
            | Self::Mean { field, .. }
            | Self::Min { field, .. }
            | Self::Max { field, .. }
            | Self::Std { field, .. }
            | Self::Average { field, .. }
            | Self::Sum { field, .. }
            | Self::Median { field, .. }
            | Self::Weighted { field, .. }
            | Self::Dema { field, .. }
            | Self::Tema { field, .. }
            | Self::Kama { field, .. }
            | Self::Macd { field, .. }
            | Self::Bollinger { field, .. }
            | Self::Roc { field, .. }
            | Self::Regression { field, .. }
            | Self::ZScore { field, .. }
            | Self::PercentRank { field, .. }
            | Self::Correlation { field, .. }
            | Self::Beta { field, .. } => Some(field),
            _ => None,
        }
    }

    /// The fields that its values come from.
    fn fields(mut self) -> [Option<Field>; 2] {
        let with = match self {
            Self::Correlation { with, .. } | Self::Beta { with, .. } => Some(with),
            _ => None,
        };
        let field = match self {
            Self::On { field, .. } => Some(field),
            _ => self.field_mut().copied(),
        };
        [field, with]
    }

    /// The indicators that it takes values from.
    fn sources(self) -> impl Iterator<Item = Inner> {
        let inner = |field| if let Field::Of(inner) = field { Some(inner) } else { None };
        self.fields().into_iter().flatten().filter_map(inner)
    }

    /// The indicator inside it that gives its values.
    const fn wrapped(self) -> Option<Inner> {
        match self {
            Self::On { of, .. } | Self::EachSession(of) | Self::At { of, .. } | Self::Formula(of) => Some(of),
            _ => None,
        }
    }

    /// How many bars of this width it looks at, one if it has no period.
    pub fn period(self, width: Timeframe) -> usize {
        let own = match self {
            Self::On { of, .. } | Self::EachSession(of) | Self::Formula(of) => of.get().period(width),
            // The coarser bar that isn't complete yet comes on top.
            Self::At { width: coarser, of } => (of.get().period(coarser) + 1) * coarser::count(coarser, width),
            Self::Own(own) => own.period().max(1),
            _ => self.bars(),
        };
        own + self.sources().map(|inner| inner.get().period(width) - 1).max().unwrap_or(0)
    }

    /// How many values it looks at itself.
    const fn bars(self) -> usize {
        match self {
            Self::Lag { bars: period, .. }
            | Self::Kama { period, .. }
            | Self::Directional { period, output: Directional::Plus | Directional::Minus | Directional::Index }
            | Self::Aroon { period, .. }
            | Self::Roc { period, .. }
            | Self::Mfi { period }
            | Self::Supertrend { period, .. }
            | Self::PercentRank { period, .. }
            | Self::Beta { period, .. } => period as usize + 1,
            Self::Mean { period, .. }
            | Self::Min { period, .. }
            | Self::Max { period, .. }
            | Self::Std { period, .. }
            | Self::Average { period, .. }
            | Self::Rsi { period, .. }
            | Self::Atr { period, .. }
            | Self::AtrWilder { period }
            | Self::VolumeRatio { period, .. }
            | Self::Sum { period, .. }
            | Self::Median { period, .. }
            | Self::Weighted { period, .. }
            | Self::Bollinger { period, .. }
            | Self::Donchian { period, .. }
            | Self::Cci { period }
            | Self::WilliamsR { period }
            | Self::Regression { period, .. }
            | Self::ZScore { period, .. }
            | Self::Correlation { period, .. } => period as usize,
            Self::Dema { period, .. } | Self::Directional { period, output: Directional::Average } => {
                2 * period as usize
            }
            Self::Tema { period, .. } => 3 * period as usize,
            Self::Macd { fast, slow, signal, .. } => larger(fast, slow) + signal as usize,
            Self::Keltner { period, atr_period, .. } => larger(period, atr_period),
            Self::Stochastic { period, smooth, signal, .. } => period as usize + smooth as usize + signal as usize,
            Self::Psar { .. } => 2,
            _ => 1,
        }
    }

    /// Name of its column in outputs.
    pub fn name(self) -> &'static str {
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
            Self::Sum { .. } => "sum",
            Self::Median { .. } => "median",
            Self::Weighted { .. } => "wma",
            Self::Dema { .. } => "dema",
            Self::Tema { .. } => "tema",
            Self::Kama { .. } => "kama",
            Self::Macd { output: Macd::Line, .. } => "macd",
            Self::Macd { output: Macd::Signal, .. } => "macd_signal",
            Self::Macd { output: Macd::Histogram, .. } => "macd_histogram",
            Self::Bollinger { band: Band::Upper, .. } => "bollinger_upper",
            Self::Bollinger { band: Band::Middle, .. } => "bollinger_middle",
            Self::Bollinger { band: Band::Lower, .. } => "bollinger_lower",
            Self::Keltner { band: Band::Upper, .. } => "keltner_upper",
            Self::Keltner { band: Band::Middle, .. } => "keltner_middle",
            Self::Keltner { band: Band::Lower, .. } => "keltner_lower",
            Self::Donchian { band: Band::Upper, .. } => "donchian_upper",
            Self::Donchian { band: Band::Middle, .. } => "donchian_middle",
            Self::Donchian { band: Band::Lower, .. } => "donchian_lower",
            Self::Directional { output: Directional::Plus, .. } => "plus_di",
            Self::Directional { output: Directional::Minus, .. } => "minus_di",
            Self::Directional { output: Directional::Index, .. } => "dx",
            Self::Directional { output: Directional::Average, .. } => "adx",
            Self::Aroon { output: Aroon::Up, .. } => "aroon_up",
            Self::Aroon { output: Aroon::Down, .. } => "aroon_down",
            Self::Aroon { output: Aroon::Oscillator, .. } => "aroon_oscillator",
            Self::Cci { .. } => "cci",
            Self::Stochastic { output: Stochastic::K, .. } => "stochastic_k",
            Self::Stochastic { output: Stochastic::D, .. } => "stochastic_d",
            Self::WilliamsR { .. } => "williams_r",
            Self::Roc { .. } => "roc",
            Self::Obv => "obv",
            Self::Mfi { .. } => "mfi",
            Self::Vwap => "vwap",
            Self::Supertrend { output: Supertrend::Line, .. } => "supertrend",
            Self::Supertrend { output: Supertrend::Direction, .. } => "supertrend_direction",
            Self::Psar { .. } => "psar",
            Self::Regression { output: Regression::Value, .. } => "regression",
            Self::Regression { output: Regression::Slope, .. } => "slope",
            Self::ZScore { .. } => "z_score",
            Self::PercentRank { .. } => "percent_rank",
            Self::Correlation { .. } => "correlation",
            Self::Beta { .. } => "beta",
            Self::MinuteOfSession => "minute_of_session",
            Self::MinutesToClose => "minutes_to_close",
            Self::DayOfWeek => "day_of_week",
            Self::DayOfMonth => "day_of_month",
            Self::Month => "month",
            Self::MonthEnd => "is_month_end",
            Self::On { of, .. } | Self::EachSession(of) | Self::At { of, .. } | Self::Formula(of) => of.get().name(),
            Self::Own(own) => own.name(),
            Self::External(external) => external.name(),
            Self::SessionLastClose(_) => "session_last_close",
        }
    }

    /// How far back its values can depend on bars. A column without memory between sessions may start at any session.
    pub fn memory(self) -> Memory {
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
            | Self::Vwap
            | Self::MinuteOfSession
            | Self::MinutesToClose
            | Self::DayOfWeek
            | Self::DayOfMonth
            | Self::Month
            | Self::MonthEnd
            | Self::EachSession(_)
            | Self::External(_)
            | Self::SessionLastClose(_) => Memory::Session,
            Self::On { of, .. } if self.sources().all(|inner| inner.get().memory() == Memory::Session) => {
                of.get().memory()
            }
            Self::Own(own) => own.memory(),
            Self::Formula(of) => of.get().memory(),
            _ => Memory::Continuous,
        }
    }

    /// Whether it must be told which session each bar belongs to.
    pub(super) fn sees_sessions(self) -> bool {
        let itself = matches!(self, Self::At { .. } | Self::Own(_)) || self.memory() == Memory::Session;
        itself || self.sources().chain(self.wrapped()).any(|inner| inner.get().sees_sessions())
    }

    /// Whether its values come from more than the symbol's bars: a file, or another symbol. A [`Runner`] has only bars.
    ///
    /// [`Runner`]: crate::runner::Runner
    pub fn reads_other_data(self) -> bool {
        let inside = || self.sources().chain(self.wrapped()).any(|inner| inner.get().reads_other_data());
        matches!(self, Self::External(_)) || inside()
    }

    /// Whether bars of this width make the coarser ones that it asks for.
    ///
    /// # Errors
    /// Usage error that names the width that they don't make.
    pub fn check(self, width: Timeframe) -> Result<()> {
        self.sources().try_for_each(|inner| inner.get().check(width))?;
        match self {
            Self::At { width: wanted, of } if coarser::makes(wanted, width) => of.get().check(wanted),
            Self::At { width: wanted, .. } => {
                let what = format!("{} of {wanted} bars: {width} bars don't make them", self.name());
                Err(Error::new(codes::BAD_ARGUMENT, what).help("ask for a width that these bars fit into"))
            }
            _ => self.wrapped().map_or(Ok(()), |of| of.get().check(width)),
        }
    }

    /// Starts the computation before the first bar of a symbol.
    pub fn start(self, symbol: Symbol) -> Rolling {
        let mut outer = self;
        match (self, outer.field_mut()) {
            (Self::On { field, of }, _) => {
                let start = move || of.get().start(symbol);
                Rolling::new(Composed::new(field.start(symbol), start(), Again::Start(Box::new(start))))
            }
            (Self::Correlation { .. } | Self::Beta { .. }, _) => self.start_pair(symbol),
            (_, Some(field @ Field::Of(_))) => {
                let inner = std::mem::replace(field, Field::Close).start(symbol);
                let again = match outer {
                    Self::Lag { .. } => Again::Carry,
                    _ => Again::Start(Box::new(move || outer.start_plain(symbol))),
                };
                Rolling::new(Composed::new(inner, outer.start_plain(symbol), again))
            }
            _ => self.start_plain(symbol),
        }
    }

    fn start_pair(self, symbol: Symbol) -> Rolling {
        let input = |field| match field {
            Field::Of(inner) => Input::Fold(inner.get().start(symbol)),
            plain => Input::Bar(plain),
        };
        match self {
            Self::Correlation { field, with, period } => {
                Rolling::new(Pair::new([input(field), input(with)], period, pair::correlation))
            }
            Self::Beta { field, with, period } => {
                Rolling::new(Pair::new([input(field), input(with)], one_more(period), pair::beta))
            }
            _ => self.start_plain(symbol),
        }
    }

    /// Starts one that takes its values from bars.
    fn start_plain(self, symbol: Symbol) -> Rolling {
        use Memory::{Continuous, Session};
        match self {
            Self::Lag { field, bars } => Rolling::new(lag::Lag::new(field, bars)),
            Self::Mean { field, period } => Rolling::new(window::Mean::new(field, period)),
            Self::Min { field, period } => Rolling::new(Windowed::new(field, period, window::min)),
            Self::Max { field, period } => Rolling::new(Windowed::new(field, period, window::max)),
            Self::Std { field, period } => Rolling::new(Windowed::new(field, period, window::std)),
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
            _ => self.start_more(symbol),
        }
    }

    fn start_more(self, symbol: Symbol) -> Rolling {
        match self {
            Self::Sum { field, period } => Rolling::new(Windowed::new(field, period, window::sum)),
            Self::Median { field, period } => Rolling::new(Windowed::new(field, period, sample::median)),
            Self::Weighted { field, period } => Rolling::new(Windowed::new(field, period, sample::weighted_mean)),
            Self::Dema { field, period } => Rolling::new(Chained::<2>::new(field, period)),
            Self::Tema { field, period } => Rolling::new(Chained::<3>::new(field, period)),
            Self::Kama { field, period, fast, slow } => Rolling::new(average::Adaptive::new(field, period, fast, slow)),
            Self::Macd { field, fast, slow, signal, output } => {
                Rolling::new(average::Convergence::new(field, [fast, slow, signal], output))
            }
            Self::Bollinger { field, period, width, band } => {
                Rolling::new(Windowed::new(field, period, channel::bollinger(width.get(), band)))
            }
            Self::Keltner { period, atr_period, width, band } => {
                Rolling::new(channel::Keltner::new(period, atr_period, width.get(), band))
            }
            Self::Donchian { period, band } => Rolling::new(channel::Donchian::new(period, band)),
            Self::Directional { period, output } => Rolling::new(direction::Movement::new(period, output)),
            Self::Aroon { period, output } => Rolling::new(direction::Recency::new(period, output)),
            Self::Cci { period } => Rolling::new(Windowed::new(Field::Hlc3, period, oscillator::commodity_channel)),
            Self::Stochastic { period, smooth, signal, output } => {
                Rolling::new(oscillator::Place::new([period, smooth, signal], output))
            }
            Self::WilliamsR { period } => Rolling::new(oscillator::Williams::new(period)),
            Self::Roc { field, period } => Rolling::new(Windowed::new(field, one_more(period), sample::change)),
            Self::Obv => Rolling::new(volume::OnBalance::default()),
            Self::Mfi { period } => Rolling::new(volume::MoneyFlow::new(period)),
            Self::Vwap => Rolling::new(PerSession::new(volume::WeightedPrice::default())),
            Self::Supertrend { period, width, output } => Rolling::new(trend::Bands::new(period, width.get(), output)),
            Self::Psar { step, fastest } => Rolling::new(trend::Parabolic::new(step.get(), fastest.get())),
            Self::Regression { field, period, output } => {
                Rolling::new(Windowed::new(field, period, move |values: &[f64]| sample::regression(values, output)))
            }
            Self::ZScore { field, period } => Rolling::new(Windowed::new(field, period, sample::z_score)),
            Self::PercentRank { field, period } => {
                Rolling::new(Windowed::new(field, one_more(period), sample::percent_rank))
            }
            Self::MinuteOfSession => Rolling::new(time::MinuteOfSession),
            Self::MinutesToClose => Rolling::new(time::MinutesToClose),
            Self::DayOfWeek => Rolling::new(time::OfDate(time::day_of_week)),
            Self::DayOfMonth => Rolling::new(time::OfDate(time::day_of_month)),
            Self::Month => Rolling::new(time::OfDate(time::month)),
            Self::MonthEnd => Rolling::new(PerSession::new(time::MonthEnd::default())),
            Self::EachSession(of) => Rolling::new(EachSession::new(of, symbol)),
            Self::At { width, of } => Rolling::new(Coarser::new(width, of.get().start(symbol))),
            Self::Formula(of) => of.get().start(symbol),
            Self::Own(own) => own.start(symbol),
            Self::External(external) => Rolling::new(external.start(symbol)),
            // Those of the other starts.
            _ => Rolling::new(lag::Lag::new(Field::Close, 0)),
        }
    }
}

const fn larger(a: u32, b: u32) -> usize {
    if a > b { a as usize } else { b as usize }
}

/// As many values as `period` changes need.
fn one_more(period: u32) -> u32 {
    period.max(1).saturating_add(1)
}

impl Field {
    /// The value of an indicator.
    pub fn of(indicator: Indicator) -> Self {
        Self::Of(indicator.kept())
    }

    /// Its values, one for each bar.
    fn start(self, symbol: Symbol) -> Rolling {
        match self {
            Self::Of(inner) => inner.get().start(symbol),
            plain => Rolling::new(lag::Lag::new(plain, 0)),
        }
    }
}

impl From<Indicator> for Field {
    fn from(indicator: Indicator) -> Self {
        Self::of(indicator)
    }
}

impl From<External> for Indicator {
    fn from(external: External) -> Self {
        Self::External(external)
    }
}

impl From<External> for Field {
    fn from(external: External) -> Self {
        Self::of(external.into())
    }
}

impl Computation for Indicator {
    fn start(&self, symbol: Symbol) -> Rolling {
        Self::start(*self, symbol)
    }

    fn name(&self) -> &'static str {
        Self::name(*self)
    }

    fn memory(&self) -> Memory {
        Self::memory(*self)
    }

    fn sees_sessions(&self) -> bool {
        Self::sees_sessions(*self)
    }

    fn reads_other_data(&self) -> bool {
        Self::reads_other_data(*self)
    }

    fn period(&self, width: Timeframe) -> usize {
        Self::period(*self, width)
    }

    fn check(&self, width: Timeframe) -> Result<()> {
        Self::check(*self, width)
    }
}
