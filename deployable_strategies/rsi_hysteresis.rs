//! RSI hysteresis: buy strength above one line, sell weakness below another.
//!
//! Flat and RSI above `hysteresis_upper`: buy. Long and RSI below `hysteresis_lower`: sell.
//! Both comparisons are strict. In between nothing happens, so that a sideways market causes few trades. Prices are
//! split-adjusted and positions are held overnight. daily_trend and hourly_swing are this rule at two bar widths.

use std::marker::PhantomData;

use magellan::bar::{Symbol, Timeframe};
use magellan::config::document::Document;
use magellan::config::{Config, Overnight, Parameters};
use magellan::deployable::{Deployable, EquityRows};
use magellan::error::{Result, codes};
use magellan::finding::Finding;
use magellan::indicator::{Indicator, Smoothing};
use magellan::order::{Order, Reason, Size};
use magellan::strategy::{Now, Rules, Strategy, Test};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The name of the rule at one bar width.
pub trait Pace: Copy + Send + Sync + 'static {
    /// Name of the strategy.
    const NAME: &'static str;
    /// Its bars.
    const TIMEFRAME: Timeframe;
}

/// Parameters of one symbol, as in `config.json`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, bound = "")]
#[schemars(bound = "")]
pub struct RsiHysteresis<P> {
    /// RSI period in bars.
    #[schemars(extend("minimum" = 2, "maximum" = 500, "x-unit" = "bars"))]
    pub rsi_period: u32,
    /// Buys above this RSI.
    #[schemars(extend("minimum" = 0, "maximum" = 100, "x-unit" = "RSI points"))]
    pub hysteresis_upper: f64,
    /// Sells below this RSI, at most `hysteresis_upper`.
    #[schemars(extend("minimum" = 0, "maximum" = 100, "x-unit" = "RSI points"))]
    pub hysteresis_lower: f64,
    /// Dollars of each position; constant, profits aren't reinvested.
    #[schemars(extend("exclusiveMinimum" = 0, "maximum" = 1e9, "x-unit" = "dollars"))]
    pub allocation: f64,
    /// Bars before the first signal; from `data_requirements.warmup_bars`.
    #[serde(skip)]
    pub warmup_bars: usize,
    /// No value: only the type says the pace.
    #[serde(skip)]
    pub pace: PhantomData<P>,
}

impl<P: Pace> Strategy for RsiHysteresis<P> {
    const NAME: &'static str = P::NAME;
    type Inputs = [f64; 1];
    type State = ();

    fn indicators(&self) -> [Indicator; 1] {
        [Indicator::Rsi { period: self.rsi_period, smoothing: Smoothing::Span }]
    }

    fn warmup(&self) -> usize {
        self.warmup_bars
    }

    #[inline(always)]
    fn decide(&self, (): &mut (), now: &Now<[f64; 1]>) -> Option<Order> {
        let [rsi] = now.inputs;
        if now.position.is_open() {
            (rsi < self.hysteresis_lower).then_some(Order::Exit(Reason::Signal("rsi_exit")))
        } else {
            (rsi > self.hysteresis_upper).then_some(Order::buy(Size::Notional(self.allocation)))
        }
    }

    fn rules(&self) -> Option<Rules> {
        Some(Rules {
            enter: vec![Test::above(0, self.hysteresis_upper)],
            exit: vec![Test::below(0, self.hysteresis_lower)],
            size: Size::Notional(self.allocation),
            reason: Reason::Signal("rsi_exit"),
        })
    }
}

impl<P: Pace> Deployable for RsiHysteresis<P> {
    const TIMEFRAME: Timeframe = P::TIMEFRAME;
    const ADJUSTED: bool = true;
    const OVERNIGHT: Overnight = Overnight::Held;
    const EQUITY_ROWS: EquityRows = EquityRows::Bars;
    const PARAMETERS: Parameters = Parameters::BySymbol;

    fn from_config(config: &Config, symbol: Symbol) -> Result<Self> {
        let mut rule: Self = config.parameters_of(symbol)?;
        rule.warmup_bars = config.data_requirements.warmup_bars;
        Ok(rule)
    }

    fn contradictions(&self, path: &str, _: &Document) -> Vec<Finding> {
        let (upper, lower) = (self.hysteresis_upper, self.hysteresis_lower);
        if lower <= upper {
            return Vec::new();
        }
        let what = format!("{path}.hysteresis_lower is {lower}, allowed are 0 to hysteresis_upper ({upper})");
        let finding = Finding::new(codes::CONTRADICTION, format!("{path}.hysteresis_lower"), what);
        vec![finding.value(lower.to_string(), format!("0 to {upper}"))]
    }

    fn allocation(&self) -> Option<f64> {
        Some(self.allocation)
    }

    fn describe(&self) -> Vec<(&'static str, Value)> {
        vec![
            ("rsi_period", json!(self.rsi_period)),
            ("upper", json!(self.hysteresis_upper)),
            ("lower", json!(self.hysteresis_lower)),
            ("budget", json!(self.allocation)),
            ("warmup", json!(self.warmup_bars)),
        ]
    }
}

/// Tests of what both paces must do; each strategy calls them from its own.
#[cfg(test)]
pub(crate) mod tests {
    use magellan::bar::Bar;
    use magellan::strategy::Position;

    use super::*;

    fn rule<P: Pace>() -> RsiHysteresis<P> {
        RsiHysteresis {
            rsi_period: 14,
            hysteresis_upper: 60.0,
            hysteresis_lower: 40.0,
            allocation: 10_000.0,
            warmup_bars: 84,
            pace: PhantomData,
        }
    }

    fn decide<P: Pace>(rsi: f64, shares: i64) -> Option<Order> {
        let rule = rule::<P>();
        let bar = Bar { start: 0, end: 1, open: 1.0, high: 1.0, low: 1.0, close: 1.0, volume: 1.0 };
        let position = Position { shares, ..Position::default() };
        rule.decide(&mut (), &Now { bar, session: Default::default(), inputs: [rsi], position })
    }

    pub(crate) fn buys_strength_and_sells_weakness<P: Pace>() {
        let buy = Some(Order::buy(Size::Notional(10_000.0)));
        assert_eq!(decide::<P>(60.1, 0), buy);
        assert_eq!(decide::<P>(39.9, 7), Some(Order::Exit(Reason::Signal("rsi_exit"))));
    }

    proptest::proptest! {
        /// A sweep relies on it.
        #[test]
        fn declared_rules_are_what_decide_answers(rsi in -1.0f64..101.0, at_a_line in 0u8..4, shares in 0i64..2) {
            let rsi = [rsi, 60.0, 40.0, f64::NAN][usize::from(at_a_line)];
            let rule = rule::<crate::daily_trend::Daily>();
            let declared = rule.rules().and_then(|rules| rules.decide(&[rsi], shares > 0));
            proptest::prop_assert_eq!(declared, decide::<crate::daily_trend::Daily>(rsi, shares));
        }
    }

    pub(crate) fn holds_in_between<P: Pace>() {
        for (rsi, shares) in
            [(60.0, 0), (50.0, 0), (39.0, 0), (40.0, 7), (50.0, 7), (61.0, 7), (f64::NAN, 0), (f64::NAN, 7)]
        {
            assert_eq!(decide::<P>(rsi, shares), None, "RSI {rsi}, {shares} shares");
        }
    }
}
