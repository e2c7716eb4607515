//! What is left of a strategy when something else had been the case: dearer trading, a symbol or a
//! year less, other weather, parameters a step away.

use rayon::prelude::*;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::bar::{Date, Symbol};
use crate::config::document::Document;
use crate::config::{Config, Override, PARAMETER_BLOCKS};
use crate::costs::Costs;
use crate::error::Result;
use crate::metrics::{Benchmark, Measure, Metrics, sharpe};
use crate::registry::AnyStrategy;
use crate::research::backtest::{Change, Replayable, Run};
use crate::stats::Moments;

/// Multiples of the configured costs.
const MULTIPLES: [f64; 4] = [0.0, 1.0, 2.0, 3.0];
/// Slippage a side at which break-even is looked for, basis points.
const LADDER: [f64; 11] = [0.0, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0];
/// Steps between two rungs.
const RUNG: usize = 5;
/// A step of a parameter, of its value; a whole number's is whole and at least 1.
const STEP: f64 = 0.05;
/// Sessions that make a trend, and below which a regime is too short to judge.
const TREND: usize = 63;
/// Sessions that make a volatility.
const VOLATILITY: usize = 21;

/// Figures under other circumstances.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Robustness {
    /// At 0, 1, 2 and 3 times the configured costs.
    pub cost_frontier: Vec<AtCosts>,
    /// Whether the config charges nothing at all.
    #[serde(skip)]
    free: bool,
    /// Slippage a side, basis points, at which nothing is won; fees as configured.
    pub break_even_bps: Measure,
    /// Without each symbol.
    pub without_symbol: Vec<LeftOut>,
    /// Without each calendar year's sessions.
    pub without_year: Vec<LeftOut>,
    /// By the benchmark's volatility and trend, as they were known the session before.
    pub regimes: Vec<Regime>,
    /// Parameters a step down and up.
    pub neighbours: Vec<Neighbour>,
}

/// At a multiple of the configured costs.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
pub struct AtCosts {
    /// Times the configured costs.
    pub multiple: f64,
    /// Return of the period.
    pub total_return: Measure,
    /// A year.
    pub sharpe: Measure,
}

/// Without something.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct LeftOut {
    /// The symbol or year.
    pub left_out: String,
    /// Return of the rest.
    pub total_return: Measure,
    /// A year.
    pub sharpe: Measure,
}

/// Sessions of one kind.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Regime {
    /// e.g. `calm, rising`.
    pub name: &'static str,
    /// How many.
    pub sessions: usize,
    /// Their returns, compounded.
    pub total_return: Measure,
    /// A year; undefined below 63 sessions.
    pub sharpe: Measure,
}

/// A parameter a step away.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Neighbour {
    /// The parameter.
    pub parameter: String,
    /// Its value; `-5 %`, where symbols have values of their own (whole numbers move by at least 1).
    pub step: String,
    /// A year.
    pub sharpe: Measure,
}

/// What is replayed again and why.
pub(super) struct Case<'a> {
    pub(super) strategy: &'a dyn AnyStrategy,
    pub(super) document: &'a Document,
    pub(super) replays: &'a dyn Replayable,
    pub(super) run: &'a Run,
    pub(super) returns: &'a [f64],
}

impl Case<'_> {
    /// All of it.
    ///
    /// # Errors
    /// Config and data errors of a replay.
    pub(super) fn examine(&self) -> Result<Robustness> {
        let (costs, rest) =
            rayon::join(|| self.costs(), || rayon::join(|| self.without_symbol(), || self.neighbours()));
        let ((cost_frontier, break_even_bps), (without_symbol, neighbours)) = (costs?, rest);
        Ok(Robustness {
            cost_frontier,
            free: self.run.costs == Costs::default(),
            break_even_bps,
            without_symbol: without_symbol?,
            without_year: self.without_year(),
            regimes: self.regimes(),
            neighbours: neighbours?,
        })
    }

    fn vary(&self, change: &Change<'_>) -> Result<Metrics> {
        Ok(Metrics::against(&self.replays.vary(change)?, &Benchmark::default()))
    }

    fn at(&self, costs: Costs) -> Result<Metrics> {
        self.vary(&Change { costs: Some(costs), ..Change::default() })
    }

    fn costs(&self) -> Result<(Vec<AtCosts>, Measure)> {
        let own = self.run.costs;
        let times = |multiple: f64| Costs {
            slippage_bps: own.slippage_bps * multiple,
            fee_per_share: own.fee_per_share * multiple,
            fee_bps: own.fee_bps * multiple,
        };
        let frontier = MULTIPLES.par_iter().map(|&multiple| {
            let metrics = self.at(times(multiple))?;
            Ok(AtCosts { multiple, total_return: metrics.total_return, sharpe: metrics.sharpe })
        });
        let (frontier, even) = rayon::join(|| frontier.collect::<Result<_>>(), || self.break_even());
        Ok((frontier?, even?))
    }

    /// Where the return of the period crosses zero, on a straight line between neighbouring tries.
    fn break_even(&self) -> Result<Measure> {
        let of = |bps: f64| -> Result<(f64, f64)> {
            let metrics = self.at(Costs { slippage_bps: bps, ..self.run.costs })?;
            Ok((bps, metrics.total_return.value().unwrap_or(-1.0)))
        };
        let tries: Vec<(f64, f64)> = LADDER.par_iter().map(|&bps| of(bps)).collect::<Result<_>>()?;
        let Some(at) = tries.iter().position(|t| t.1 <= 0.0) else {
            return Ok(Measure::new(LADDER[LADDER.len() - 1], "no costs"));
        };
        let Some(before) = at.checked_sub(1) else { return Ok(Measure::Defined(0.0)) };
        let (low, high) = (tries[before], tries[at]);
        let step = (high.0 - low.0) / RUNG as f64;
        let inner: Vec<(f64, f64)> =
            (1..RUNG).into_par_iter().map(|i| of(low.0 + step * i as f64)).collect::<Result<_>>()?;
        let all: Vec<(f64, f64)> = std::iter::once(low).chain(inner).chain([high]).collect();
        let crossing = all.windows(2).find(|w| w[1].1 <= 0.0);
        let zero = |w: &[(f64, f64)]| w[0].0 + (w[1].0 - w[0].0) * w[0].1 / (w[0].1 - w[1].1);
        Ok(crossing.map_or(Measure::Undefined("no crossing"), |w| Measure::new(zero(w), "no crossing")))
    }

    fn without_symbol(&self) -> Result<Vec<LeftOut>> {
        let symbols = self.replays.market().symbols();
        if symbols.len() < 2 {
            return Ok(Vec::new());
        }
        let of = |&symbol: &Symbol| {
            let metrics = self.vary(&Change { without: Some(symbol), ..Change::default() })?;
            Ok(LeftOut { left_out: symbol.to_string(), total_return: metrics.total_return, sharpe: metrics.sharpe })
        };
        symbols.par_iter().map(of).collect()
    }

    fn without_year(&self) -> Vec<LeftOut> {
        let year = |date: Date| date.civil().year();
        let dates: Vec<i16> = self.run.replay.equity.iter().map(|e| year(e.0)).collect();
        let mut years = dates.clone();
        years.dedup();
        if years.len() < 2 {
            return Vec::new();
        }
        let of = |&left_out: &i16| {
            let rest: Vec<f64> =
                self.returns.iter().zip(&dates).filter(|(_, year)| **year != left_out).map(|(r, _)| *r).collect();
            let sharpe =
                if rest.len() < TREND { Measure::Undefined("fewer than 63 sessions are left") } else { sharpe(&rest) };
            LeftOut { left_out: left_out.to_string(), total_return: compounded(&rest), sharpe }
        };
        years.iter().map(of).collect()
    }

    fn regimes(&self) -> Vec<Regime> {
        let kinds = weather(&self.run.benchmark);
        let of = |(kind, name): (usize, &'static str)| {
            let inside: Vec<f64> =
                self.returns.iter().zip(&kinds).filter(|(_, k)| **k == Some(kind)).map(|(r, _)| *r).collect();
            let sharpe = match inside.len() < TREND {
                true => Measure::Undefined("fewer than 63 sessions"),
                // Out of the market all along: nothing won, nothing lost.
                false if inside.iter().all(|r| *r == 0.0) => Measure::Defined(0.0),
                false => sharpe(&inside),
            };
            Regime { name, sessions: inside.len(), total_return: compounded(&inside), sharpe }
        };
        REGIMES.into_iter().enumerate().map(of).collect()
    }

    fn neighbours(&self) -> Result<Vec<Neighbour>> {
        let steps: Vec<(String, f64)> =
            parameters(self.document).into_iter().flat_map(|key| [(key.clone(), -1.0), (key, 1.0)]).collect();
        let of = |(parameter, sign): &(String, f64)| -> Result<Option<Neighbour>> {
            let Some((config, step)) = self.neighbour(parameter, *sign) else { return Ok(None) };
            let metrics = self.vary(&Change { config: Some(&config), ..Change::default() })?;
            Ok(Some(Neighbour { parameter: parameter.clone(), step, sharpe: metrics.sharpe }))
        };
        let all: Vec<Option<Neighbour>> = steps.par_iter().map(of).collect::<Result<_>>()?;
        Ok(all.into_iter().flatten().collect())
    }

    /// The config with a parameter a step away, for all symbols, and where that is; none, if it may
    /// not be there.
    fn neighbour(&self, parameter: &str, sign: f64) -> Option<(Config, String)> {
        let (mut overrides, mut values) = (Vec::new(), Vec::new());
        for path in Override::new(parameter, Value::Null).paths(self.document.value()) {
            if !PARAMETER_BLOCKS.contains(&path[0].as_str()) {
                continue;
            }
            let value = path.iter().try_fold(self.document.value(), |value, key| value.get(key))?;
            // A symbol's parameter, or a common one by its whole path.
            let key = if path.len() > 2 { path[1..].join(".") } else { path.join(".") };
            let value = stepped(value, sign)?;
            values.push(value.to_string());
            overrides.push(Override::new(&key, value));
        }
        let config = self.strategy.check(self.document.with(&overrides).ok()?).ok()?.into_config();
        values.sort_unstable();
        values.dedup();
        let place = match &values[..] {
            [one] => one.clone(),
            _ => format!("{:+.0} %", sign * STEP * 100.0),
        };
        Some((config, place))
    }
}

const REGIMES: [&str; 4] = ["calm, rising", "calm, falling", "turbulent, rising", "turbulent, falling"];

/// Names of the parameters that are numbers, each once.
fn parameters(document: &Document) -> Vec<String> {
    let mut names = Vec::new();
    for block in PARAMETER_BLOCKS {
        let Some(block) = document.get(block).and_then(Value::as_object) else { continue };
        for (key, value) in block {
            match value {
                Value::Object(of_symbol) => {
                    names.extend(of_symbol.iter().filter(|p| p.1.is_number()).map(|p| p.0.clone()))
                }
                value if value.is_number() => names.push(key.clone()),
                _ => {}
            }
        }
    }
    names.sort_unstable();
    names.dedup();
    names
}

fn stepped(value: &Value, sign: f64) -> Option<Value> {
    if let Some(whole) = value.as_i64() {
        let step = ((whole as f64 * STEP).abs().round() as i64).max(1);
        return Some(Value::from(whole + sign as i64 * step));
    }
    // Zero has no step of its own.
    let number = value.as_f64().filter(|n| *n != 0.0)?;
    Some(Value::from(number + sign * number.abs() * STEP))
}

/// Which regime each session is in, by what was known at the close before: whether the
/// benchmark's volatility over 21 sessions is above the median of all before, and whether it
/// stands above its mean over 63. None while that isn't known.
fn weather(worth: &[f64]) -> Vec<Option<usize>> {
    let returns: Vec<f64> = worth.windows(2).map(|w| w[1] / w[0] - 1.0).collect();
    let mut before: Vec<f64> = Vec::new();
    let mut kinds = vec![None; worth.len()];
    for today in VOLATILITY + 2..=worth.len() {
        let yesterday = today - 1;
        let Some(now) = Moments::of(&returns[yesterday - VOLATILITY..yesterday]).map(|m| m.sd) else { continue };
        if before.len() >= TREND && today < worth.len() {
            let mean = worth[today - TREND..today].iter().sum::<f64>() / TREND as f64;
            let turbulent = now > before[before.len() / 2];
            kinds[today] = Some(2 * usize::from(turbulent) + usize::from(worth[yesterday] <= mean));
        }
        let at = before.partition_point(|v| *v < now);
        before.insert(at, now);
    }
    kinds
}

fn compounded(returns: &[f64]) -> Measure {
    Measure::new(returns.iter().fold(1.0, |worth, r| worth * (1.0 + r)) - 1.0, "no sessions")
}

impl Robustness {
    /// The Sharpe ratio at twice the costs.
    pub(super) fn at_double_costs(&self) -> Measure {
        match (self.cost_frontier.iter().find(|c| c.multiple == 2.0), self.free) {
            (_, true) => Measure::Undefined("no costs are charged: twice nothing is no test"),
            (Some(doubled), _) => doubled.sharpe,
            (None, _) => Measure::Undefined("not replayed"),
        }
    }

    /// The lowest Sharpe ratio without a symbol.
    pub(super) fn without_a_symbol(&self) -> Measure {
        lowest(self.without_symbol.iter().map(|l| l.sharpe), "there is one symbol only")
    }

    /// The lowest Sharpe ratio without a year.
    pub(super) fn without_a_year(&self) -> Measure {
        lowest(self.without_year.iter().map(|l| l.sharpe), "there is one year only")
    }

    /// The lowest Sharpe ratio of the regimes that are long enough.
    pub(super) fn in_worst_regime(&self) -> Measure {
        let long = self.regimes.iter().filter(|r| r.sessions >= TREND);
        lowest(long.map(|r| r.sharpe), "no regime has 63 sessions")
    }

    /// The mean Sharpe ratio a step away, of the parameter that it depends on most.
    pub(super) fn of_neighbours(&self) -> Measure {
        let of_parameter = |near: &[Neighbour]| {
            let values: Option<Vec<f64>> = near.iter().map(|n| n.sharpe.value()).collect();
            match values {
                Some(values) => Measure::new(values.iter().sum::<f64>() / values.len() as f64, "no neighbour"),
                None => Measure::Undefined("a neighbour has no Sharpe ratio"),
            }
        };
        lowest(self.neighbours.chunk_by(|a, b| a.parameter == b.parameter).map(of_parameter), "no parameter to vary")
    }
}

/// The lowest of some figures; undefined, if there is none or one of them is.
fn lowest(figures: impl Iterator<Item = Measure>, otherwise: &'static str) -> Measure {
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
    fn weather_is_known_the_session_before() {
        let worth: Vec<f64> = (0..400).map(|i| 100.0 + f64::from(i) + f64::from(i % 7) * 3.0).collect();
        let whole = weather(&worth);
        for cut in [120, 200, 333] {
            let mut other = worth[..cut].to_vec();
            // Whatever today brings, today's regime is what it was at yesterday's close.
            other[cut - 1] *= 0.1;
            assert_eq!(weather(&other), whole[..cut]);
        }
        assert!(whole.iter().flatten().count() > 300);
    }

    #[test]
    fn the_lowest_is_undefined_if_any_is() {
        let (one, two, none) = (Measure::Defined(1.0), Measure::Defined(2.0), Measure::Undefined("x"));
        assert_eq!(lowest([two, one].into_iter(), "-"), one);
        assert_eq!(lowest([one, none].into_iter(), "-"), none);
        assert_eq!(lowest([].into_iter(), "-"), Measure::Undefined("-"));
    }

    #[test]
    fn a_step_of_a_count_is_at_least_one() {
        assert_eq!(stepped(&Value::from(5), 1.0), Some(Value::from(6)));
        assert_eq!(stepped(&Value::from(100), -1.0), Some(Value::from(95)));
        assert_eq!(stepped(&Value::from(-15.0), 1.0), Some(Value::from(-14.25)));
        assert_eq!(stepped(&Value::from("x"), 1.0), None);
    }
}
