//! A figure, or why there is none.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// A figure, or the reason why there is none. In JSON a number, or `{"undefined": reason}`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "Json", into = "Json")]
pub enum Measure {
    /// A finite number.
    Defined(f64),
    /// Why it can't be computed.
    Undefined(Cause),
}

impl Measure {
    /// A number that must be finite to count.
    #[inline]
    pub const fn new(value: f64, otherwise: Cause) -> Self {
        if value.is_finite() { Self::Defined(value) } else { Self::Undefined(otherwise) }
    }

    /// The number, if there is one.
    #[inline]
    pub const fn value(self) -> Option<f64> {
        match self {
            Self::Defined(value) => Some(value),
            Self::Undefined(_) => None,
        }
    }
}

/// `part / whole`, undefined when `whole` is zero.
#[inline]
pub(super) fn ratio(part: f64, whole: f64, otherwise: Cause) -> Measure {
    Measure::new(part / whole, otherwise)
}

/// `undefined(reason)` where there is no number.
impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Defined(value) => write!(f, "{value:.*}", f.precision().unwrap_or(4)),
            Self::Undefined(cause) => write!(f, "undefined({cause})"),
        }
    }
}

/// A measure as JSON has it.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Json {
    Number(f64),
    Undefined(Undefined),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Undefined {
    undefined: Cause,
}

impl From<Measure> for Json {
    fn from(measure: Measure) -> Self {
        match measure {
            Measure::Defined(value) => Self::Number(value),
            Measure::Undefined(undefined) => Self::Undefined(Undefined { undefined }),
        }
    }
}

impl From<Json> for Measure {
    fn from(json: Json) -> Self {
        match json {
            Json::Number(value) => Self::Defined(value),
            Json::Undefined(Undefined { undefined }) => Self::Undefined(undefined),
        }
    }
}

/// A number, or `{"undefined": reason}`.
impl JsonSchema for Measure {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Measure".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"anyOf": [
            {"type": "number"},
            {"type": "object", "properties": {"undefined": {"type": "string"}}, "required": ["undefined"]},
        ]})
    }
}

/// Makes [`Cause`] from names and the words that reports and JSON have for them.
macro_rules! causes {
    ($($cause:ident = $words:literal,)+) => {
        /// Why a figure is undefined. Reports and JSON have the words.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        pub enum Cause {
            $(#[doc = $words] #[serde(rename = $words)] $cause,)+
        }

        impl Cause {
            /// Every cause.
            pub const ALL: &[Self] = &[$(Self::$cause,)+];

            /// The words.
            pub const fn words(self) -> &'static str {
                match self {
                    $(Self::$cause => $words,)+
                }
            }
        }
    };
}

causes! {
    // Of one replay.
    NoCapital = "no capital",
    Ruined = "equity fell to zero or below",
    FellBelowZero = "equity fell below zero",
    NoSessions = "no sessions",
    NoEquity = "no equity",
    NoBars = "no bars",
    NoFiniteReturn = "no finite return",
    NoDeviation = "no deviation of returns",
    FewerThanTwoSessions = "fewer than two sessions",
    NoDrawdown = "no drawdown",
    NoTrades = "no trades",
    NoWinningTrade = "no winning trade",
    NoLosingTrade = "no losing trade",
    BenchmarkStartedAtZero = "the benchmark started at zero",
    BenchmarkDidNotMove = "the benchmark did not move",
    FewerThanTwentySessions = "fewer than 20 sessions",
    RatesDoNotCover = "the risk-free table does not cover every session",
    TooFewCommonSessions = "fewer than three common sessions",
    // Of what the gate adds.
    NothingProved = "no trades: nothing was proved",
    NoCriterionApplied = "no criterion could be applied",
    TooFewToResample = "fewer than 30 to resample",
    UndefinedInResamples = "undefined in too many resamples",
    ReturnsDoNotVary = "the returns don't vary",
    NoFiniteValue = "no finite value",
    NoFiniteDrawdown = "no finite drawdown",
    NotAboveZero = "the Sharpe ratio isn't above 0",
    NoTrials = "no trials",
    NoSweep = "no sweep in the ledger keeps enough returns",
    NoWalkForward = "no walk-forward in the ledger judged half of these sessions",
    WalkForwardUnfinished = "a walk-forward in the ledger was begun and not finished",
    NotPaired = "not paired: see the comparison",
    NoBound = "no bound",
    NoDifference = "no difference",
    NoCosts = "no costs",
    CostsNotCharged = "no costs are charged: twice nothing is no test",
    NoCrossing = "no crossing",
    NotReplayed = "not replayed",
    OneSymbolOnly = "there is one symbol only",
    OneYearOnly = "there is one year only",
    TooFewSessionsLeft = "fewer than 63 sessions are left",
    TooFewSessions = "fewer than 63 sessions",
    NoLongRegime = "no regime has 63 sessions",
    NoParameter = "no parameter to vary",
    MarketUncovered = "the archive has no daily bars of the market symbol for every session",
    NoMarket = "performance_criteria.market names no symbol",
    NoSharedReturns = "fewer than ten kept trials of these symbols and sessions",
    NoNeighbour = "no neighbour",
    NeighbourUndefined = "a neighbour has no Sharpe ratio",
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_nan_never_becomes_a_number() {
        for value in [f64::NAN, f64::INFINITY] {
            assert_eq!(Measure::new(value, Cause::NoTrades), Measure::Undefined(Cause::NoTrades));
        }
    }

    #[test]
    fn every_measure_reads_back_from_json() {
        let undefined = Cause::ALL.iter().map(|&cause| Measure::Undefined(cause));
        for measure in undefined.chain([0.0, -1.5, 1e-300, 5e15, f64::MAX].map(Measure::Defined)) {
            let text = json!(measure).to_string();
            assert_eq!(serde_json::from_str::<Measure>(&text).ok(), Some(measure), "{text}");
        }
        assert_eq!(json!(Measure::Undefined(Cause::NoTrades)), json!({"undefined": "no trades"}));
        for bad in [json!("1"), json!(null), json!({}), json!({"undefined": "because"}), json!({"undefined": 1})] {
            assert!(serde_json::from_value::<Measure>(bad.clone()).is_err(), "{bad}");
        }
    }
}
