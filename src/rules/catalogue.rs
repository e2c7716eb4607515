//! Every name that rules know: what it takes, what it gives, its formula and where that is from.

use super::given::Given;
use crate::indicator::{
    Aroon, Band, Directional, Field, Indicator, Macd, Memory, Operation, Regression, Smoothing, Stochastic, Supertrend,
};

/// What an argument must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// A number at each bar.
    Number,
    /// A condition.
    Condition,
    /// A number or a condition.
    Either,
    /// A whole number from 1 on, the same at each bar.
    Period,
    /// A number, the same at each bar.
    Factor,
}

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gives {
    /// A number at each bar.
    Number,
    /// A condition.
    Condition,
    /// The same as its last argument.
    AsLast,
    /// Several numbers, by name.
    Fields(&'static [&'static str]),
}

/// A name that rules know.
pub struct Function {
    /// The name.
    pub name: &'static str,
    /// Which part of the catalogue it stands in.
    pub group: Group,
    /// Its arguments: their names, and what they must be.
    pub takes: &'static [(&'static str, Takes)],
    /// What it stands for.
    pub gives: Gives,
    /// How it is worked out.
    pub formula: &'static str,
    /// Makes the indicator; of those with several values the one of that number.
    pub(super) make: fn(&Given, usize) -> Indicator,
}

/// Parts of the catalogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// Prices and volume of this bar.
    Bar,
    /// Windows and averages of any value.
    Window,
    /// Indicators.
    Indicator,
    /// The session so far.
    Session,
    /// Date and time of day.
    Time,
    /// Arithmetic and logic.
    Arithmetic,
    /// What is held.
    Position,
}

impl Group {
    /// All parts, in the order of the catalogue.
    pub const ALL: [Self; 7] =
        [Self::Bar, Self::Window, Self::Indicator, Self::Session, Self::Time, Self::Arithmetic, Self::Position];

    /// The heading.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Bar => "Prices and volume of this bar",
            Self::Window => "Windows and averages of any value",
            Self::Indicator => "Indicators",
            Self::Session => "The session so far",
            Self::Time => "Date and time of day",
            Self::Arithmetic => "Arithmetic and logic",
            Self::Position => "What is held",
        }
    }
}

impl Function {
    /// As it is written: `sma(x, n)`.
    pub fn signature(&self) -> String {
        let names: Vec<&str> = self.takes.iter().map(|(name, _)| *name).collect();
        if names.is_empty() { self.name.to_owned() } else { format!("{}({})", self.name, names.join(", ")) }
    }
}

/// The function of a name.
pub fn find(name: &str) -> Option<&'static Function> {
    FUNCTIONS.iter().find(|function| function.name == name)
}

use Group::{Arithmetic, Bar, Indicator as Named, Position, Session, Time, Window};
use Takes::{Condition, Either, Factor, Number, Period};

const X_N: &[(&str, Takes)] = &[("x", Number), ("n", Period)];
const N: &[(&str, Takes)] = &[("n", Period)];
const XY: &[(&str, Takes)] = &[("a", Number), ("b", Number)];
const NOTHING: &[(&str, Takes)] = &[];
const LINES: &[&str] = &["upper", "middle", "lower"];
const BANDS: [Band; 3] = [Band::Upper, Band::Middle, Band::Lower];

/// `name group (arguments) -> what: formula; how`
macro_rules! functions {
    ($($name:literal $group:ident $takes:expr => $gives:expr, $formula:literal, $make:expr;)*) => {
        /// The whole catalogue.
        pub static FUNCTIONS: &[Function] = &[$(Function {
            name: $name, group: $group, takes: $takes, gives: $gives, formula: $formula, make: $make,
        }),*];
    };
}

functions! {
    "open" Bar NOTHING => Gives::Number, "First price of the bar.", |_, _| Indicator::value(Field::Open);
    "high" Bar NOTHING => Gives::Number, "Highest price of the bar.", |_, _| Indicator::value(Field::High);
    "low" Bar NOTHING => Gives::Number, "Lowest price of the bar.", |_, _| Indicator::value(Field::Low);
    "close" Bar NOTHING => Gives::Number, "Last price of the bar.", |_, _| Indicator::value(Field::Close);
    "volume" Bar NOTHING => Gives::Number, "Shares traded in the bar.", |_, _| Indicator::value(Field::Volume);
    "hl2" Bar NOTHING => Gives::Number, "(high + low) / 2", |_, _| Indicator::value(Field::Hl2);
    "hlc3" Bar NOTHING => Gives::Number, "(high + low + close) / 3", |_, _| Indicator::value(Field::Hlc3);
    "ohlc4" Bar NOTHING => Gives::Number, "(open + high + low + close) / 4", |_, _| Indicator::value(Field::Ohlc4);
    "lower_wick" Bar NOTHING => Gives::Number, "(min(open, close) - low) / (high - low), 0 at no range.", |_, _| Indicator::LowerWick;
    "body" Bar NOTHING => Gives::Number, "abs(close - open) / (high - low), 0 at no range.", |_, _| Indicator::Body;

    "sma" Window X_N => Gives::Number, "Mean of the last n values, added oldest first.", |g, _| Indicator::Mean { field: g.field(0), period: g.period(0) };
    "stdev" Window X_N => Gives::Number, "Population standard deviation of the last n values: sqrt(mean((x - mean)^2)).", |g, _| Indicator::Std { field: g.field(0), period: g.period(0) };
    "highest" Window X_N => Gives::Number, "Largest of the last n values.", |g, _| Indicator::Max { field: g.field(0), period: g.period(0) };
    "lowest" Window X_N => Gives::Number, "Smallest of the last n values.", |g, _| Indicator::Min { field: g.field(0), period: g.period(0) };
    "sum" Window X_N => Gives::Number, "Sum of the last n values, oldest first.", |g, _| Indicator::Sum { field: g.field(0), period: g.period(0) };
    "median" Window X_N => Gives::Number, "Median of the last n values; of an even number the mean of the two in the middle.", |g, _| Indicator::Median { field: g.field(0), period: g.period(0) };
    "count" Window &[("condition", Condition), ("n", Period)] => Gives::Number, "At how many of the last n bars it held.", |g, _| Indicator::Sum { field: g.field(0), period: g.period(0) };
    "any" Window &[("condition", Condition), ("n", Period)] => Gives::Condition, "Whether it held at one of the last n bars.", |g, _| Indicator::Max { field: g.field(0), period: g.period(0) };
    "all" Window &[("condition", Condition), ("n", Period)] => Gives::Condition, "Whether it held at all of the last n bars.", |g, _| Indicator::Min { field: g.field(0), period: g.period(0) };
    "ema" Window X_N => Gives::Number, "Exponential average, weight 2 / (n + 1), from the first value on.", |g, _| Indicator::Average { field: g.field(0), period: g.period(0), smoothing: Smoothing::Span };
    "rma" Window X_N => Gives::Number, "Wilder's average (1978), weight 1 / n, from the mean of the first n values on.", |g, _| Indicator::Average { field: g.field(0), period: g.period(0), smoothing: Smoothing::Wilder };
    "wma" Window X_N => Gives::Number, "Weighted average, weights 1 for the oldest of n values to n for the newest.", |g, _| Indicator::Weighted { field: g.field(0), period: g.period(0) };
    "dema" Window X_N => Gives::Number, "Double exponential average (Mulloy 1994): 2 e1 - e2, each the ema of the one before it.", |g, _| Indicator::Dema { field: g.field(0), period: g.period(0) };
    "tema" Window X_N => Gives::Number, "Triple exponential average (Mulloy 1994): 3 e1 - 3 e2 + e3, each the ema of the one before it.", |g, _| Indicator::Tema { field: g.field(0), period: g.period(0) };
    "kama" Window X_N => Gives::Number, "Adaptive average (Kaufman 1995) between the emas of 2 and 30 bars, by how straight n changes go.", |g, _| Indicator::Kama { field: g.field(0), period: g.period(0), fast: 2, slow: 30 };
    "roc" Window X_N => Gives::Number, "Change, per cent: (x / x[n] - 1) * 100.", |g, _| Indicator::Roc { field: g.field(0), period: g.period(0) };
    "zscore" Window X_N => Gives::Number, "Distance from the mean of the last n values in their stdev; unknown if they are all the same.", |g, _| Indicator::ZScore { field: g.field(0), period: g.period(0) };
    "percent_rank" Window X_N => Gives::Number, "Per cent of the n values before this one that are at most as large.", |g, _| Indicator::PercentRank { field: g.field(0), period: g.period(0) };
    "correlation" Window &[("x", Number), ("y", Number), ("n", Period)] => Gives::Number, "Pearson's correlation of the last n values, -1 to 1; unknown if either stands still.", |g, _| Indicator::Correlation { field: g.field(0), with: g.field(1), period: g.period(0) };
    "beta" Window &[("x", Number), ("y", Number), ("n", Period)] => Gives::Number, "Covariance of the last n returns of x and y over the variance of y's.", |g, _| Indicator::Beta { field: g.field(0), with: g.field(1), period: g.period(0) };
    "regression" Window X_N => Gives::Fields(&["value", "slope"]), "Straight line with the least squares through the last n values.", |g, i| Indicator::Regression { field: g.field(0), period: g.period(0), output: [Regression::Value, Regression::Slope][i] };

    "rsi" Named X_N => Gives::Number, "Relative strength index (Wilder 1978): 100 - 100 / (1 + rises / falls), each averaged as rma does; 0 without rises, else 100 without falls.", |g, _| g.on_first(Indicator::rsi(g.period(0)));
    "rsi_span" Named X_N => Gives::Number, "Relative strength index with averages as ema's, which begin with 0 at the first bar.", |g, _| g.on_first(Indicator::Rsi { period: g.period(0), smoothing: Smoothing::Span });
    "tr" Named NOTHING => Gives::Number, "True range (Wilder 1978): the largest of high - low and the distances of both from the close before; at the first bar high - low.", |_, _| Indicator::TrueRange { memory: Memory::Continuous };
    "atr" Named N => Gives::Number, "Average true range (Wilder 1978): rma(tr, n), from the second bar on.", |g, _| Indicator::AtrWilder { period: g.period(0) };
    "macd" Named &[("x", Number), ("fast", Period), ("slow", Period), ("signal", Period)] => Gives::Fields(&["macd", "signal", "histogram"]), "ema(x, fast) - ema(x, slow) (Appel 1979), the ema of that over signal bars, and what lies between them.", |g, i| Indicator::Macd { field: g.field(0), fast: g.period(0), slow: g.period(1), signal: g.period(2), output: [Macd::Line, Macd::Signal, Macd::Histogram][i] };
    "bollinger" Named &[("x", Number), ("n", Period), ("k", Factor)] => Gives::Fields(LINES), "sma(x, n), and k stdev(x, n) above and below it.", |g, i| Indicator::Bollinger { field: g.field(0), period: g.period(0), width: g.factor(0).into(), band: BANDS[i] };
    "keltner" Named &[("n", Period), ("atr_n", Period), ("k", Factor)] => Gives::Fields(LINES), "ema(close, n), and k atr(atr_n) above and below it.", |g, i| Indicator::keltner(g.period(0), g.period(1), g.factor(0), BANDS[i]);
    "donchian" Named N => Gives::Fields(LINES), "Highest high and lowest low of the last n bars, this one included, and their mean.", |g, i| Indicator::Donchian { period: g.period(0), band: BANDS[i] };
    "adx" Named N => Gives::Number, "Average directional index (Wilder 1978), 0 to 100.", |g, _| Indicator::adx(g.period(0));
    "plus_di" Named N => Gives::Number, "+DI (Wilder 1978): upward movement in the true range, per cent.", |g, _| Indicator::Directional { period: g.period(0), output: Directional::Plus };
    "minus_di" Named N => Gives::Number, "-DI (Wilder 1978): downward movement in the true range, per cent.", |g, _| Indicator::Directional { period: g.period(0), output: Directional::Minus };
    "dx" Named N => Gives::Number, "How far +DI and -DI lie apart, per cent of their sum.", |g, _| Indicator::Directional { period: g.period(0), output: Directional::Index };
    "aroon" Named N => Gives::Fields(&["up", "down", "oscillator"]), "100 (n - age) / n of the highest high and the lowest low of n + 1 bars (Chande 1995), and their difference.", |g, i| Indicator::Aroon { period: g.period(0), output: [Aroon::Up, Aroon::Down, Aroon::Oscillator][i] };
    "cci" Named N => Gives::Number, "Commodity channel index (Lambert 1980): (hlc3 - mean) / (0.015 mean distance from it).", |g, _| Indicator::Cci { period: g.period(0) };
    "stochastic" Named &[("n", Period), ("smooth", Period), ("signal", Period)] => Gives::Fields(&["k", "d"]), "Where the close lies in the range of n bars (Lane), 0 to 100, averaged over smooth bars; d is k averaged over signal bars.", |g, i| Indicator::Stochastic { period: g.period(0), smooth: g.period(1), signal: g.period(2), output: [Stochastic::K, Stochastic::D][i] };
    "williams_r" Named N => Gives::Number, "-100 (highest high - close) / (highest high - lowest low) of n bars.", |g, _| Indicator::WilliamsR { period: g.period(0) };
    "mfi" Named N => Gives::Number, "Money flow index, 0 to 100: typical price times volume of bars that rose, of all n.", |g, _| Indicator::Mfi { period: g.period(0) };
    "obv" Named NOTHING => Gives::Number, "On-balance volume (Granville 1963): volume added at higher closes, taken off at lower ones. Only its changes mean something.", |_, _| Indicator::Obv;
    "supertrend" Named &[("n", Period), ("k", Factor)] => Gives::Fields(&["line", "direction"]), "Bands k atr(n) from hl2 that only narrow until a close lies beyond them (Seban); direction is 1 or -1.", |g, i| Indicator::supertrend(g.period(0), g.factor(0), [Supertrend::Line, Supertrend::Direction][i]);
    "psar" Named &[("step", Factor), ("most", Factor)] => Gives::Number, "Parabolic stop and reverse (Wilder 1978); 0.02 and 0.2 are usual.", |g, _| Indicator::psar(g.factor(0), g.factor(1));
    "volume_ratio" Named N => Gives::Number, "volume / sma(volume, n)", |g, _| Indicator::VolumeRatio { period: g.period(0), memory: Memory::Continuous };

    "session_open" Session NOTHING => Gives::Number, "Open of the session's first bar.", |_, _| Indicator::SessionOpen;
    "session_high" Session NOTHING => Gives::Number, "Highest high of the session so far, this bar included.", |_, _| Indicator::SessionHigh;
    "session_low" Session NOTHING => Gives::Number, "Lowest low of the session so far, this bar included.", |_, _| Indicator::SessionLow;
    "session_bars" Session NOTHING => Gives::Number, "Bars of the session so far, this one included.", |_, _| Indicator::SessionBars;
    "vwap" Session NOTHING => Gives::Number, "hlc3 weighted by volume over the session so far; unknown without volume.", |_, _| Indicator::Vwap;
    "session" Session &[("x", Either)] => Gives::AsLast, "x, with everything in it, beginning anew with each session.", |g, _| g.value(0).each_session();

    "minute_of_session" Time NOTHING => Gives::Number, "Minutes from the session's open to this bar's end; 390 of daily and weekly bars.", |_, _| Indicator::MinuteOfSession;
    "minutes_to_close" Time NOTHING => Gives::Number, "Minutes from this bar's end to the session's close; 0 of daily and weekly bars.", |_, _| Indicator::MinutesToClose;
    "day_of_week" Time NOTHING => Gives::Number, "Day of the week of the session: Monday is 1.", |_, _| Indicator::DayOfWeek;
    "day_of_month" Time NOTHING => Gives::Number, "Day of the month of the session.", |_, _| Indicator::DayOfMonth;
    "month" Time NOTHING => Gives::Number, "Month of the session, 1 to 12.", |_, _| Indicator::Month;
    "is_month_end" Time NOTHING => Gives::Condition, "Whether the month's last session by the calendar ends; within a day at the first bar that ends at or after the close.", |_, _| Indicator::MonthEnd;

    "abs" Arithmetic &[("x", Number)] => Gives::Number, "Without its sign.", |g, _| g.formula(Operation::Absolute);
    "min" Arithmetic XY => Gives::Number, "The smaller of two.", |g, _| g.formula(Operation::Smaller);
    "max" Arithmetic XY => Gives::Number, "The larger of two.", |g, _| g.formula(Operation::Larger);
    "sqrt" Arithmetic &[("x", Number)] => Gives::Number, "Square root; unknown below 0.", |g, _| g.formula(Operation::Root);
    "floor" Arithmetic &[("x", Number)] => Gives::Number, "The largest whole number that isn't above it.", |g, _| g.formula(Operation::Floor);
    "log" Arithmetic &[("x", Number)] => Gives::Number, "Natural logarithm; unknown at 0 and below.", |g, _| g.formula(Operation::Log);
    "exp" Arithmetic &[("x", Number)] => Gives::Number, "e to the power of it.", |g, _| g.formula(Operation::Exp);
    "if" Arithmetic &[("condition", Condition), ("a", Either), ("b", Either)] => Gives::AsLast, "a where the condition holds, b where it doesn't, unknown where that isn't known.", |g, _| g.formula(Operation::Choice);
    "crosses_above" Arithmetic XY => Gives::Condition, "a > b and a[1] <= b[1]", |g, _| g.crosses(false);
    "crosses_below" Arithmetic XY => Gives::Condition, "a < b and a[1] >= b[1]", |g, _| g.crosses(true);
    "value_when" Arithmetic &[("condition", Condition), ("x", Either)] => Gives::AsLast, "x at the last bar at which the condition held, this one included.", |g, _| g.formula(Operation::ValueWhen);
    "bars_since" Arithmetic &[("condition", Condition)] => Gives::Number, "Bars since the condition held last: 0 at such a bar.", |g, _| g.formula(Operation::BarsSince);

    "entry_price" Position NOTHING => Gives::Number, "Price of the entry's fill; in `exit` the mean of what is held.", |_, _| Indicator::constant(f64::NAN);
    "bars_held" Position NOTHING => Gives::Number, "Bars that it is held: 1 at the close of the first.", |_, _| Indicator::constant(f64::NAN);
    "high_since_entry" Position NOTHING => Gives::Number, "Highest price since the fill.", |_, _| Indicator::constant(f64::NAN);
    "low_since_entry" Position NOTHING => Gives::Number, "Lowest price since the fill.", |_, _| Indicator::constant(f64::NAN);
    "at_entry" Position &[("x", Either)] => Gives::AsLast, "x when the entry was decided.", |g, _| g.value(0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_stands_for_one_thing() {
        for (i, function) in FUNCTIONS.iter().enumerate() {
            assert!(std::ptr::eq(find(function.name).expect("found"), &raw const FUNCTIONS[i]), "{}", function.name);
        }
    }
}
