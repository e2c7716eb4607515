//! Replays under other circumstances, which make [`Robustness`].

use rayon::prelude::*;
use serde_json::Value;

use super::regimes::{REGIMES, TREND, market_regimes};
use super::robustness::{AtCosts, LeftOut, Neighbour, Regime, Robustness};
use crate::bar::{Date, Symbol};
use crate::config::document::Document;
use crate::config::{Config, Override, PARAMETER_BLOCKS};
use crate::costs::Costs;
use crate::error::Result;
use crate::metrics::{Benchmark, Cause, Measure, Metrics, sharpe};
use crate::registry::AnyStrategy;
use crate::research::backtest::{Change, Replayable, Run};

/// Multiples of the configured costs.
const MULTIPLES: [f64; 4] = [0.0, 1.0, 2.0, 3.0];
/// Slippage a side at which break-even is looked for, basis points.
const LADDER: [f64; 11] = [0.0, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0];
/// Steps between two rungs.
const RUNG: usize = 5;
/// A step of a parameter, of its value; a whole number's is whole and at least 1.
const STEP: f64 = 0.05;

/// A strategy that is replayed again, otherwise than configured.
pub(super) struct Variations<'a> {
    pub(super) strategy: &'a dyn AnyStrategy,
    pub(super) document: &'a Document,
    pub(super) replays: &'a dyn Replayable,
    pub(super) run: &'a Run,
    pub(super) returns: &'a [f64],
}

impl Variations<'_> {
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
            half_spread: own.half_spread * multiple,
            fee_min: own.fee_min * multiple,
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
        let try_at = |bps: f64| -> Result<(f64, f64)> {
            let metrics = self.at(Costs { slippage_bps: bps, ..self.run.costs })?;
            Ok((bps, metrics.total_return.value().unwrap_or(-1.0)))
        };
        let tries: Vec<(f64, f64)> = LADDER.par_iter().map(|&bps| try_at(bps)).collect::<Result<_>>()?;
        let Some(at) = tries.iter().position(|t| t.1 <= 0.0) else {
            return Ok(Measure::new(LADDER[LADDER.len() - 1], Cause::NoCosts));
        };
        let Some(before) = at.checked_sub(1) else { return Ok(Measure::Defined(0.0)) };
        let (low, high) = (tries[before], tries[at]);
        let step = (high.0 - low.0) / RUNG as f64;
        let inner: Vec<(f64, f64)> =
            (1..RUNG).into_par_iter().map(|i| try_at(low.0 + step * i as f64)).collect::<Result<_>>()?;
        let all: Vec<(f64, f64)> = std::iter::once(low).chain(inner).chain([high]).collect();
        let crossing = all.windows(2).find(|w| w[1].1 <= 0.0);
        let zero = |w: &[(f64, f64)]| w[0].0 + (w[1].0 - w[0].0) * w[0].1 / (w[0].1 - w[1].1);
        Ok(crossing.map_or(Measure::Undefined(Cause::NoCrossing), |w| Measure::new(zero(w), Cause::NoCrossing)))
    }

    fn without_symbol(&self) -> Result<Vec<LeftOut>> {
        let symbols = self.replays.market().symbols();
        if symbols.len() < 2 {
            return Ok(Vec::new());
        }
        let leave_out = |&symbol: &Symbol| {
            let metrics = self.vary(&Change { without: Some(symbol), ..Change::default() })?;
            Ok(LeftOut { left_out: symbol.to_string(), total_return: metrics.total_return, sharpe: metrics.sharpe })
        };
        symbols.par_iter().map(leave_out).collect()
    }

    fn without_year(&self) -> Vec<LeftOut> {
        let year = |date: Date| date.civil().year();
        let dates: Vec<i16> = self.run.replay.equity.iter().map(|e| year(e.0)).collect();
        let mut years = dates.clone();
        years.dedup();
        if years.len() < 2 {
            return Vec::new();
        }
        let per_year = self.run.replay.returns_per_year;
        let leave_out = |&left_out: &i16| {
            let rest: Vec<f64> =
                self.returns.iter().zip(&dates).filter(|(_, year)| **year != left_out).map(|(r, _)| *r).collect();
            let sharpe = if rest.len() < TREND {
                Measure::Undefined(Cause::TooFewSessionsLeft)
            } else {
                sharpe(&rest, per_year)
            };
            LeftOut { left_out: left_out.to_string(), total_return: compounded(&rest), sharpe }
        };
        years.iter().map(leave_out).collect()
    }

    fn regimes(&self) -> Vec<Regime> {
        let of_session = market_regimes(&self.run.benchmark);
        let per_year = self.run.replay.returns_per_year;
        let inside = |number: usize| -> Vec<f64> {
            let sessions = self.returns.iter().zip(&of_session);
            sessions.filter(|(_, regime)| **regime == Some(number)).map(|(r, _)| *r).collect()
        };
        REGIMES.iter().enumerate().map(|(number, name)| regime(name, &inside(number), per_year)).collect()
    }

    fn neighbours(&self) -> Result<Vec<Neighbour>> {
        let steps: Vec<(String, f64)> =
            parameters(self.document).into_iter().flat_map(|key| [(key.clone(), -1.0), (key, 1.0)]).collect();
        let step_away = |(parameter, sign): &(String, f64)| -> Result<Option<Neighbour>> {
            let Some((config, step)) = self.neighbour(parameter, *sign) else { return Ok(None) };
            let metrics = self.vary(&Change { config: Some(&config), ..Change::default() })?;
            Ok(Some(Neighbour { parameter: parameter.clone(), step, sharpe: metrics.sharpe }))
        };
        let all: Vec<Option<Neighbour>> = steps.par_iter().map(step_away).collect::<Result<_>>()?;
        let each: Vec<Neighbour> = all.into_iter().flatten().collect();
        // Which of the two is better would be a trial that nobody counted.
        Ok(each.chunk_by(|a, b| a.parameter == b.parameter).map(Neighbour::both).collect())
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

fn regime(name: &str, inside: &[f64], per_year: f64) -> Regime {
    let sharpe = match inside.len() < TREND {
        true => Measure::Undefined(Cause::TooFewSessions),
        // Out of the market all along: nothing won, nothing lost.
        false if inside.iter().all(|r| *r == 0.0) => Measure::Defined(0.0),
        false => sharpe(inside, per_year),
    };
    Regime { name: name.to_owned(), sessions: inside.len(), total_return: compounded(inside), sharpe }
}

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

fn compounded(returns: &[f64]) -> Measure {
    Measure::new(returns.iter().fold(1.0, |worth, r| worth * (1.0 + r)) - 1.0, Cause::NoSessions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_of_a_count_is_at_least_one() {
        assert_eq!(stepped(&Value::from(5), 1.0), Some(Value::from(6)));
        assert_eq!(stepped(&Value::from(100), -1.0), Some(Value::from(95)));
        assert_eq!(stepped(&Value::from(-15.0), 1.0), Some(Value::from(-14.25)));
        assert_eq!(stepped(&Value::from("x"), 1.0), None);
    }
}
