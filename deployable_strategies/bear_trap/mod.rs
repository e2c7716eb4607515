//! Bear trap: buy the reclaim after a crash from the day's open.

use magellan::bar::{MINUTE, Symbol, Timeframe};
use magellan::config::document::Document;
use magellan::config::{Config, Overnight, Parameters};
use magellan::deployable::{Deployable, EquityRows};
use magellan::error::{Error, Result, codes};
use magellan::finding::Finding;
use magellan::indicator::{Indicator, Memory};
use magellan::order::{Bracket, Entry, Level, NewStop, Order, Side, Size, Stop, TakeProfit};
use magellan::strategy::{Now, Strategy, Test};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Parameters, as in `strategy_parameters` of `config.json`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BearTrap {
    /// Highest change from the session's open, per cent, negative.
    #[schemars(extend("minimum" = -100, "maximum" = -0.01, "x-unit" = "per cent of the open"))]
    pub day_change_pct: f64,
    /// Smallest lower wick as a share of the bar's range.
    #[schemars(extend("minimum" = 0, "maximum" = 1, "x-unit" = "of the range"))]
    pub min_lower_wick: f64,
    /// Smallest body as a share of the bar's range.
    #[schemars(extend("minimum" = 0, "maximum" = 1, "x-unit" = "of the range"))]
    pub min_body: f64,
    /// Smallest volume as a multiple of the mean.
    #[schemars(extend("minimum" = 0, "maximum" = 1000, "x-unit" = "times the mean"))]
    pub min_volume_ratio: f64,
    /// Bars of the mean volume.
    #[schemars(extend("minimum" = 1, "maximum" = 390, "x-unit" = "bars"))]
    pub volume_period: u32,
    /// Bars of the average true range.
    #[schemars(extend("minimum" = 1, "maximum" = 390, "x-unit" = "bars"))]
    pub atr_period: u32,
    /// Distance of the stop under the session's low, in average true ranges.
    #[schemars(extend("minimum" = 0, "maximum" = 100, "x-unit" = "average true ranges"))]
    pub stop_atr_multiple: f64,
    /// Session bars before the first signal.
    #[schemars(extend("minimum" = 1, "maximum" = 390, "x-unit" = "bars"))]
    pub min_session_bars: u32,
    /// Which low must be reclaimed.
    pub reclaim: Reclaim,
    /// Per cent of the shares sold at the first target.
    #[schemars(extend("minimum" = 0, "maximum" = 100, "x-unit" = "per cent"))]
    pub first_target_percent: u8,
    /// How far the first target lies from the entry to the session's high.
    #[schemars(extend("minimum" = 0, "maximum" = 1, "x-unit" = "of the way"))]
    pub first_target_fraction: f64,
    /// Per cent of the shares sold at the session's high.
    #[schemars(extend("minimum" = 0, "maximum" = 100, "x-unit" = "per cent"))]
    pub second_target_percent: u8,
    /// Longest time in a position, minutes.
    #[schemars(extend("minimum" = 1, "maximum" = 390, "x-unit" = "minutes"))]
    pub max_hold_minutes: u32,
    /// Flat this long before the close, minutes.
    #[schemars(extend("minimum" = 1, "maximum" = 390, "x-unit" = "minutes"))]
    pub flat_before_close_minutes: u32,
    /// Fraction of equity lost if the stop fills; from `risk_management.per_trade_risk_pct`.
    #[serde(skip)]
    pub risk_fraction: f64,
    /// Largest position, dollars; from `risk_management.max_position_dollars`.
    #[serde(skip)]
    pub max_position_dollars: f64,
}

/// What counts as a reclaim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reclaim {
    /// Close above the session's low, this bar included.
    RunningLow,
    /// Also: low below the session's earlier low, and close above that level.
    PriorLow,
}

impl Strategy for BearTrap {
    const NAME: &'static str = "bear_trap";
    type Inputs = [f64; 9];
    type State = ();

    fn indicators(&self) -> [Indicator; 9] {
        let memory = Memory::Session;
        [
            Indicator::SessionChange,
            Indicator::SessionBars,
            Indicator::SessionLow,
            Indicator::SessionLowBefore,
            Indicator::SessionHigh,
            Indicator::LowerWick,
            Indicator::Body,
            Indicator::VolumeRatio { period: self.volume_period, memory },
            Indicator::Atr { period: self.atr_period, memory },
        ]
    }

    fn warmup(&self) -> usize {
        0
    }

    #[inline(always)]
    fn decide(&self, (): &mut (), now: &Now<[f64; 9]>) -> Option<Order> {
        let [day_change, bars, low, low_before, high, wick, body, volume_ratio, atr] = now.inputs;
        let bar = &now.bar;
        // The rarest condition first: on most bars it is the only one looked at.
        if day_change > self.day_change_pct
            || now.position.is_open()
            || now.position.exited_this_bar
            || bars < f64::from(self.min_session_bars)
            || bar.end >= now.session.close - i64::from(self.flat_before_close_minutes) * MINUTE
        {
            return None;
        }
        let reclaimed = match self.reclaim {
            Reclaim::RunningLow => bar.close > low,
            Reclaim::PriorLow => bar.close > low && bar.low < low_before && bar.close > low_before,
        };
        let stop = low - self.stop_atr_multiple * atr;
        let signal = reclaimed
            && wick >= self.min_lower_wick
            && body >= self.min_body
            && volume_ratio >= self.min_volume_ratio
            && bar.close - stop > 0.0;
        signal.then(|| Order::Enter(self.entry(stop, low, high)))
    }

    /// Few bars have all of it, so a sweep looks at few.
    fn needs(&self) -> Vec<Test> {
        vec![
            Test::at_most(0, self.day_change_pct),
            Test::at_least(1, f64::from(self.min_session_bars)),
            Test::at_least(5, self.min_lower_wick),
            Test::at_least(6, self.min_body),
            Test::at_least(7, self.min_volume_ratio),
        ]
    }

    /// The bracket does the rest.
    fn asks_while_busy(&self) -> bool {
        false
    }
}

impl BearTrap {
    /// `low` and `high` are the session's at the signal; the targets don't move later.
    fn entry(&self, stop: f64, low: f64, high: f64) -> Entry {
        let toward = |fraction| Level::Toward { level: high, fraction };
        let first = TakeProfit {
            level: toward(self.first_target_fraction),
            percent: f64::from(self.first_target_percent),
            then_stop: None,
        };
        let second = TakeProfit {
            level: Level::At(high),
            percent: f64::from(self.second_target_percent),
            then_stop: Some(NewStop::At(low)),
        };
        Entry {
            side: Side::Buy,
            size: Size::RiskFraction { fraction: self.risk_fraction, cap: self.max_position_dollars },
            bracket: Bracket {
                stop: Some(Stop::At(stop)),
                targets: [Some(first), Some(second), None, None],
                time_stop: Some(i64::from(self.max_hold_minutes) * MINUTE),
                flat_before_close: Some(i64::from(self.flat_before_close_minutes) * MINUTE),
            },
        }
    }
}

impl Deployable for BearTrap {
    const TIMEFRAME: Timeframe = Timeframe::Minute;
    const ADJUSTED: bool = false;
    const OVERNIGHT: Overnight = Overnight::Flat;
    const EQUITY_ROWS: EquityRows = EquityRows::Sessions;
    const PARAMETERS: Parameters = Parameters::Common;

    fn from_config(config: &Config, _: Symbol) -> Result<Self> {
        let risk = &config.risk_management;
        let need = |value: Option<f64>, key: &str| {
            let what = || format!("risk_management.{key} is missing; bear_trap sizes by it");
            value.ok_or_else(|| Error::new(codes::MISSING_KEY, what()).at(config.path.display()))
        };
        let mut strategy: Self = config.parameters()?;
        strategy.risk_fraction = need(risk.per_trade_risk_pct, "per_trade_risk_pct")?;
        strategy.max_position_dollars = need(risk.max_position_dollars, "max_position_dollars")?;
        Ok(strategy)
    }

    fn contradictions(&self, path: &str, document: &Document) -> Vec<Finding> {
        let mut found = Vec::new();
        let mut unless = |holds: bool, path: String, what: String, allowed: String| {
            if !holds {
                found.push(Finding::new(codes::CONTRADICTION, &path, format!("{path} is {what}")).value(what, allowed));
            }
        };
        let (bars, longest) = (self.min_session_bars, self.volume_period.max(self.atr_period));
        unless(
            bars >= longest,
            format!("{path}.min_session_bars"),
            format!("{bars}, but its means need {longest} bars"),
            format!("{longest} to 390 bars"),
        );
        let (first, second) = (self.first_target_percent, self.second_target_percent);
        let left = 100u8.saturating_sub(first);
        unless(
            second <= left,
            format!("{path}.second_target_percent"),
            format!("{second}, but the first target leaves {left}"),
            format!("0 to {left} per cent"),
        );
        let warmup = document.number("data_requirements.warmup_bars");
        if let Some(warmup) = warmup {
            let what = format!("{warmup}, but {path}.min_session_bars is {bars}");
            unless(warmup == f64::from(bars), "data_requirements.warmup_bars".to_owned(), what, bars.to_string());
        }
        for key in ["per_trade_risk_pct", "max_position_dollars"] {
            if document.get("risk_management").is_some_and(|r| r.get(key).is_none()) {
                let at = format!("risk_management.{key}");
                found.push(Finding::new(codes::MISSING_KEY, &at, format!("{at} is missing; bear_trap sizes by it")));
            }
        }
        found
    }

    fn describe(&self) -> Vec<(&'static str, Value)> {
        vec![("reclaim", json!(self.reclaim))]
    }
}

#[cfg(test)]
mod tests {
    use magellan::bar::Bar;
    use magellan::calendar;
    use magellan::strategy::Position;

    use super::*;

    const RULES: BearTrap = BearTrap {
        day_change_pct: -15.0,
        min_lower_wick: 0.15,
        min_body: 0.2,
        min_volume_ratio: 1.2,
        volume_period: 20,
        atr_period: 14,
        stop_atr_multiple: 0.45,
        min_session_bars: 20,
        reclaim: Reclaim::RunningLow,
        first_target_percent: 40,
        first_target_fraction: 0.5,
        second_target_percent: 30,
        max_hold_minutes: 30,
        flat_before_close_minutes: 5,
        risk_fraction: 0.02,
        max_position_dollars: 50_000.0,
    };

    /// An hour into the session, 16 % down from the open at 10, just off the low of 8.
    fn reclaim() -> Now<[f64; 9]> {
        let session = calendar::session("2024-07-01".parse().expect("a date"));
        let start = session.open + 60 * MINUTE;
        let bar = Bar { start, end: start + MINUTE, open: 8.2, high: 8.5, low: 8.0, close: 8.4, volume: 900.0 };
        // change from the open, bars, low, low before, high, wick, body, volume ratio, ATR
        let inputs = [-16.0, 61.0, 8.0, 8.1, 10.2, 0.4, 0.4, 1.5, 0.2];
        Now { bar, session, inputs, position: Position::default() }
    }

    fn decide(now: &Now<[f64; 9]>) -> Option<Order> {
        RULES.decide(&mut (), now)
    }

    #[test]
    fn a_reclaim_after_a_crash_is_bought_with_its_bracket() {
        let Some(Order::Enter(entry)) = decide(&reclaim()) else { panic!("no entry") };
        assert_eq!(entry.bracket.stop, Some(Stop::At(8.0 - 0.45 * 0.2)));
        let [first, second, ..] =
            entry.bracket.targets.map(|t| t.map(|t| (t.level.resolve(8.41, 1.0), t.percent, t.then_stop)));
        assert_eq!(first, Some((8.41 + (10.2 - 8.41) * 0.5, 40.0, None)));
        assert_eq!(second, Some((10.2, 30.0, Some(NewStop::At(8.0)))), "then the stop moves to the signal's low");
        assert_eq!(entry.bracket.time_stop, Some(30 * MINUTE));
        assert_eq!(entry.size, Size::RiskFraction { fraction: 0.02, cap: 50_000.0 });
    }

    #[test]
    fn every_condition_alone_forbids_the_entry() {
        type Change = fn(&mut Now<[f64; 9]>);
        let changes: [(&str, Change); 9] = [
            ("a fall of less than 15 %", |n| n.inputs[0] = -14.9),
            ("fewer than 20 bars", |n| n.inputs[1] = 19.0),
            ("a close on the low", |n| n.inputs[2] = 8.4),
            ("hardly a wick", |n| n.inputs[5] = 0.149),
            ("hardly a body", |n| n.inputs[6] = 0.199),
            ("too little volume", |n| n.inputs[7] = 1.19),
            ("an open position", |n| n.position.shares = 1),
            ("an exit in this bar", |n| n.position.exited_this_bar = true),
            ("the end of the day", |n| n.bar.end = n.session.close - 5 * MINUTE),
        ];
        for (what, change) in changes {
            let mut now = reclaim();
            change(&mut now);
            assert_eq!(decide(&now), None, "{what}");
        }
    }

    proptest::proptest! {
        /// A sweep doesn't ask where they don't hold.
        #[test]
        fn an_entry_has_what_it_needs(change in -30.0f64..0.0, bars in 15u8..25, at_a_line in proptest::bool::ANY) {
            let mut now = reclaim();
            now.inputs[0] = if at_a_line { RULES.day_change_pct } else { change };
            now.inputs[1] = f64::from(bars);
            let met = RULES.needs().iter().all(|test| test.holds(now.inputs[test.input]));
            proptest::prop_assert_eq!(decide(&now).is_some(), met);
        }
    }

    #[test]
    fn the_literal_reclaim_also_needs_the_earlier_low_undercut() {
        let literal = BearTrap { reclaim: Reclaim::PriorLow, ..RULES };
        let mut now = reclaim();
        assert!(literal.decide(&mut (), &now).is_some());
        now.inputs[3] = 7.9;
        assert_eq!(literal.decide(&mut (), &now), None, "the low before was lower");
        assert!(decide(&now).is_some());
    }
}
