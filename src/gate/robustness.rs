//! What is left of a strategy under other circumstances: dearer trading, a symbol or a year less, another market
//! regime, parameters a step away.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::regimes::TREND;
use crate::metrics::{Cause, Measure};

/// Figures under other circumstances.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Robustness {
    /// At 0, 1, 2 and 3 times the configured costs.
    pub cost_frontier: Vec<AtCosts>,
    /// Slippage a side, basis points, at which nothing is won; fees as configured.
    pub break_even_bps: Measure,
    /// Without each symbol.
    pub without_symbol: Vec<LeftOut>,
    /// Without each calendar year's sessions.
    pub without_year: Vec<LeftOut>,
    /// By the benchmark's volatility and trend, as they were known the session before.
    pub regimes: Vec<Regime>,
    /// Each parameter a step down and up.
    pub neighbours: Vec<Neighbour>,
}

/// At a multiple of the configured costs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AtCosts {
    /// Times the configured costs.
    pub multiple: f64,
    /// Return of the period.
    pub total_return: Measure,
    /// A year.
    pub sharpe: Measure,
}

/// Without something.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LeftOut {
    /// The symbol or year.
    pub left_out: String,
    /// Return of the rest.
    pub total_return: Measure,
    /// A year.
    pub sharpe: Measure,
}

/// Sessions of one kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Regime {
    /// e.g. `calm, rising`.
    pub name: String,
    /// How many.
    pub sessions: usize,
    /// Their returns, compounded.
    pub total_return: Measure,
    /// A year; undefined below 63 sessions.
    pub sharpe: Measure,
}

/// A parameter a step away, down and up. No figure says which of both is better: whoever chose by it would have tried
/// twice more than is counted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Neighbour {
    /// The parameter.
    pub parameter: String,
    /// Its values; `-5 %`, where symbols have values of their own (whole numbers move by at least 1).
    pub step: String,
    /// A year; the mean of both.
    pub sharpe: Measure,
}

impl Neighbour {
    /// Both steps of one parameter as one.
    pub(super) fn both(steps: &[Self]) -> Self {
        let places: Vec<&str> = steps.iter().map(|n| n.step.as_str()).collect();
        let values: Option<Vec<f64>> = steps.iter().map(|n| n.sharpe.value()).collect();
        let sharpe = match values {
            Some(values) => Measure::new(values.iter().sum::<f64>() / values.len() as f64, Cause::NoNeighbour),
            None => Measure::Undefined(Cause::NeighbourUndefined),
        };
        let parameter = steps.first().map_or_else(String::new, |n| n.parameter.clone());
        Self { parameter, step: places.join(" and "), sharpe }
    }
}

impl Robustness {
    /// The Sharpe ratio at twice the costs.
    pub(super) fn at_double_costs(&self) -> Measure {
        let doubled = self.cost_frontier.iter().find(|c| c.multiple == 2.0);
        doubled.map_or(Measure::Undefined(Cause::NotReplayed), |c| c.sharpe)
    }

    /// The lowest Sharpe ratio without a symbol.
    pub(super) fn without_a_symbol(&self) -> Measure {
        lowest(self.without_symbol.iter().map(|l| l.sharpe), Cause::OneSymbolOnly)
    }

    /// The lowest Sharpe ratio without a year.
    pub(super) fn without_a_year(&self) -> Measure {
        lowest(self.without_year.iter().map(|l| l.sharpe), Cause::OneYearOnly)
    }

    /// The lowest Sharpe ratio of the regimes that are long enough.
    pub(super) fn in_worst_regime(&self) -> Measure {
        let long = self.regimes.iter().filter(|r| r.sessions >= TREND);
        lowest(long.map(|r| r.sharpe), Cause::NoLongRegime)
    }

    /// The mean Sharpe ratio a step away, of the parameter that it depends on most.
    pub(super) fn of_neighbours(&self) -> Measure {
        lowest(self.neighbours.iter().map(|n| n.sharpe), Cause::NoParameter)
    }
}

/// The lowest of some figures; undefined, if there is none or one of them is.
fn lowest(figures: impl Iterator<Item = Measure>, otherwise: Cause) -> Measure {
    let lower = |a: Measure, b: Measure| match (a, b) {
        (Measure::Defined(a), Measure::Defined(b)) => Measure::Defined(a.min(b)),
        (Measure::Defined(_), undefined) => undefined,
        (undefined, _) => undefined,
    };
    figures.reduce(lower).unwrap_or(Measure::Undefined(otherwise))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_is_undefined_if_any_is() {
        let (one, two, none) = (Measure::Defined(1.0), Measure::Defined(2.0), Measure::Undefined(Cause::NoTrades));
        assert_eq!(lowest([two, one].into_iter(), Cause::NotReplayed), one);
        assert_eq!(lowest([one, none].into_iter(), Cause::NotReplayed), none);
        assert_eq!(lowest([].into_iter(), Cause::NotReplayed), Measure::Undefined(Cause::NotReplayed));
    }
}
