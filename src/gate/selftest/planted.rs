//! A strategy that can do right and wrong, bars that are made up, and a place for both.

use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use rand::RngExt;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::archive::import::{Import, import};
use crate::bar::{Date, HOUR, Symbol, Timeframe, iso_utc};
use crate::calendar;
use crate::config::{Config, Overnight, Parameters};
use crate::deployable::{Deployable, EquityRows};
use crate::error::{Error, Result, codes};
use crate::indicator::{Indicator, SelfTestOnly, Smoothing};
use crate::order::{Order, Reason, Size};
use crate::registry::{AnyStrategy, Entry};
use crate::stats::{bootstrap::stream, normal_quantile};
use crate::strategy::{Now, Strategy};

/// The planted strategies.
pub(super) const ALL: &[&dyn AnyStrategy] =
    &[&Entry::<Planted<Daily>>::NEW, &Entry::<Planted<Each>>::NEW, &Entry::<Planted<Hourly>>::NEW];

/// Name and bars of a planted strategy.
pub(super) trait Pace: Copy + Send + Sync + 'static {
    const NAME: &'static str;
    const TIMEFRAME: Timeframe;
    const PARAMETERS: Parameters;
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Daily;
/// Days, each symbol with parameters of its own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Each;
#[derive(Clone, Copy, Debug)]
pub(super) struct Hourly;

impl Pace for Daily {
    const NAME: &'static str = "planted_daily";
    const TIMEFRAME: Timeframe = Timeframe::Day;
    const PARAMETERS: Parameters = Parameters::Common;
}

impl Pace for Each {
    const NAME: &'static str = "planted_each";
    const TIMEFRAME: Timeframe = Timeframe::Day;
    const PARAMETERS: Parameters = Parameters::BySymbol;
}

impl Pace for Hourly {
    const NAME: &'static str = "planted_hourly";
    const TIMEFRAME: Timeframe = Timeframe::Hour;
    const PARAMETERS: Parameters = Parameters::Common;
}

/// How it decides.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(rename_all = "snake_case")]
pub(super) enum Rule {
    /// Buys strength and sells weakness.
    Rsi,
    /// Buys if the session will close higher: looks ahead.
    Peek,
    /// Trades on every seventh bar since the first one in the archive: never forgets.
    Count,
    /// Trades on bars that a hash of `rsi_period` picks: noise that can be picked from.
    Hash,
}

/// Parameters of all symbols.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, bound = "")]
#[schemars(bound = "")]
pub(super) struct Planted<P> {
    rule: Rule,
    #[schemars(extend("minimum" = 2, "maximum" = 10_000))]
    pub(super) rsi_period: u32,
    #[schemars(extend("minimum" = 0, "maximum" = 100))]
    pub(super) upper: f64,
    #[schemars(extend("minimum" = 0, "maximum" = 100))]
    pub(super) lower: f64,
    /// Dollars of a position.
    #[serde(default = "position")]
    #[schemars(extend("minimum" = 0))]
    allocation: f64,
    #[serde(skip)]
    warmup_bars: usize,
    #[serde(skip)]
    pace: PhantomData<P>,
}

impl Planted<Daily> {
    /// Trades on bars that have nothing to do with the price, nor with those of another `which`.
    pub(super) fn hash(which: u32) -> Self {
        Self {
            rule: Rule::Hash,
            rsi_period: which,
            upper: 50.0,
            lower: 50.0,
            allocation: POSITION,
            warmup_bars: WARMUP,
            pace: PhantomData,
        }
    }
}

/// Bars of warm-up.
const WARMUP: usize = 50;
/// Dollars of a position.
const POSITION: f64 = 20_000.0;

const fn position() -> f64 {
    POSITION
}

impl<P: Pace> Strategy for Planted<P> {
    const NAME: &'static str = P::NAME;
    type Inputs = [f64; 2];
    type State = u64;

    fn indicators(&self) -> [Indicator; 2] {
        let period = if self.rule == Rule::Rsi { self.rsi_period } else { 2 };
        let last =
            if self.rule == Rule::Peek { Indicator::SessionLastClose(SelfTestOnly::PLANTED) } else { Indicator::Body };
        [Indicator::Rsi { period, smoothing: Smoothing::Wilder }, last]
    }

    fn warmup(&self) -> usize {
        self.warmup_bars
    }

    fn decide(&self, bars: &mut u64, now: &Now<[f64; 2]>) -> Option<Order> {
        let [rsi, last] = now.inputs;
        *bars += 1;
        let picked = mixed((now.bar.start / HOUR) as u64 ^ u64::from(self.rsi_period) << 32) >> 60;
        let (enter, exit) = match self.rule {
            Rule::Rsi => (rsi > self.upper, rsi < self.lower),
            Rule::Peek => (last > now.bar.close * 1.001, last <= now.bar.close),
            Rule::Count => (bars.is_multiple_of(7), *bars % 7 == 4),
            Rule::Hash => (picked < 3, picked > 12),
        };
        match now.position.is_open() {
            false => enter.then_some(Order::buy(Size::Notional(self.allocation))),
            true => exit.then_some(Order::Exit(Reason::Signal("planted"))),
        }
    }
}

/// Every bit depends on every bit (the finaliser of SplitMix64, Steele, Lea & Flood 2014).
const fn mixed(bits: u64) -> u64 {
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}

impl<P: Pace> Deployable for Planted<P> {
    const TIMEFRAME: Timeframe = P::TIMEFRAME;
    const ADJUSTED: bool = true;
    const OVERNIGHT: Overnight = Overnight::Held;
    const EQUITY_ROWS: EquityRows = EquityRows::Sessions;
    const PARAMETERS: Parameters = P::PARAMETERS;

    fn from_config(config: &Config, symbol: Symbol) -> Result<Self> {
        let mut planted: Self = match P::PARAMETERS {
            Parameters::Common => config.parameters()?,
            Parameters::BySymbol => config.parameters_of(symbol)?,
        };
        planted.warmup_bars = config.data_requirements.warmup_bars;
        Ok(planted)
    }

    fn describe(&self) -> Vec<(&'static str, Value)> {
        Vec::new()
    }
}

/// First date of the bars.
pub(super) const FIRST: &str = "2015-01-02";
/// The period that is judged.
pub(super) const START: &str = "2017-01-03";
/// Its end.
pub(super) const END: &str = "2023-12-29";

/// How a price moves from one bar to the next: by how much it drifts, and how much it trembles.
pub(super) type PriceModel = fn(usize, &mut f64) -> (f64, f64);

/// Closes of a walk in some weather: a return for each step, which may depend on the last one.
pub(super) fn walk(seed: u64, name: &str, steps: usize, weather: PriceModel) -> Vec<f64> {
    let mut random = stream(seed, name, 0);
    let (mut price, mut last) = (100.0, 0.0);
    let mut closes = Vec::with_capacity(steps);
    for i in 0..steps {
        let (drift, tremble) = weather(i, &mut last);
        let noise = normal_quantile(random.random_range(1e-9..1.0 - 1e-9)).unwrap_or(0.0);
        last = (drift + tremble * noise).clamp(-0.2, 0.2);
        price = (price * (1.0 + last)).max(1.0);
        closes.push(price);
    }
    closes
}

/// Closes of days on which nothing can be won but by luck.
pub(super) fn noise_days(seed: u64, steps: usize) -> Vec<f64> {
    walk(seed, "noise", steps, |_, _| (0.0, 0.01))
}

/// A folder with an archive, a config, a ledger and what is deployed.
pub(super) struct Place(TempDir);

impl Place {
    pub(super) fn new() -> Result<Self> {
        tempfile::tempdir().map(Self).map_err(|e| Error::new(codes::CANNOT_WRITE, e.to_string()))
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(super) fn archive(&self) -> PathBuf {
        self.at("archive")
    }

    pub(super) fn deployed(&self) -> PathBuf {
        self.at("deployed")
    }

    pub(super) fn ledger(&self) -> PathBuf {
        self.at("ledger")
    }

    pub(super) fn baselines(&self) -> PathBuf {
        self.at("baselines")
    }

    /// A folder for the results of one sweep.
    pub(super) fn sweeps(&self) -> Result<TempDir> {
        tempfile::tempdir_in(self.0.path()).map_err(|e| Error::new(codes::CANNOT_WRITE, e.to_string()))
    }

    pub(super) fn config(&self, strategy: &str) -> PathBuf {
        self.deployed().join(strategy).join("config.json")
    }

    /// Daily bars of symbols, each in its own weather.
    pub(super) fn days(&self, seed: u64, symbols: &[(&str, PriceModel)]) -> Result<()> {
        for (symbol, weather) in symbols {
            let dates: Vec<Date> = sessions();
            let closes = walk(seed, symbol, dates.len(), *weather);
            let rows = dates.iter().map(|d| format!("{d}T00:00:00Z"));
            self.csv(&format!("{symbol}_1day.csv"), rows, &closes)?;
        }
        self.import()
    }

    /// Hourly bars of one symbol, and its days; hours are stamped `late` hours after they begin.
    pub(super) fn hours(&self, seed: u64, symbol: &str, weather: PriceModel, late: i64) -> Result<()> {
        let sessions: Vec<calendar::Session> = sessions().into_iter().map(calendar::session).collect();
        let starts: Vec<i64> = sessions.iter().flat_map(hours_of).collect();
        let closes = walk(seed, symbol, starts.len(), weather);
        let stamps = starts.iter().map(|t| iso_utc(t + late * HOUR));
        self.csv(&format!("{symbol}_1hour.csv"), stamps, &closes)?;
        let last = |s: &calendar::Session| starts.partition_point(|t| *t < s.close) - 1;
        let days: Vec<f64> = sessions.iter().map(|s| closes[last(s)]).collect();
        self.csv(&format!("{symbol}_1day.csv"), sessions.iter().map(|s| format!("{}T00:00:00Z", s.date)), &days)?;
        self.import()
    }

    fn csv(&self, name: &str, stamps: impl Iterator<Item = String>, closes: &[f64]) -> Result<()> {
        let mut text = String::from("timestamp,open,high,low,close,volume\n");
        let mut open = closes.first().copied().unwrap_or(100.0);
        for (stamp, &close) in stamps.zip(closes) {
            let (high, low) = (open.max(close) * 1.001, open.min(close) * 0.999);
            text += &format!("{stamp},{open},{high},{low},{close},1000000\n");
            open = close;
        }
        write(&self.at("bars").join(name), &text)
    }

    fn import(&self) -> Result<()> {
        let sources = vec![self.at("bars")];
        import(&self.archive(), &Import { sources, ..Import::default() }).map(|_| ())
    }

    /// A config of a planted strategy.
    pub(super) fn configure(
        &self,
        strategy: &str,
        symbols: &[&str],
        parameters: Value,
        costs_bps: f64,
        criteria: Value,
    ) -> Result<()> {
        let timeframe = if strategy == Hourly::NAME { "1Hour" } else { "1Day" };
        let mut config: Value = serde_json::from_str(TEMPLATE)
            .map_err(|e| Error::new(codes::CONFIG_SYNTAX, format!("the self-test's config: {e}")))?;
        config["strategy"]["name"] = json!(strategy);
        config["symbols"] = json!(symbols);
        config["strategy_parameters"] = parameters;
        config["data_requirements"]["timeframe"] = json!(timeframe);
        config["data_requirements"]["warmup_bars"] = json!(WARMUP);
        config["execution"]["friction_bps"] = json!(costs_bps);
        config["performance_criteria"]["criteria"] = criteria;
        let text = serde_json::to_string_pretty(&config).unwrap_or_default();
        write(&self.config(strategy), &text)
    }
}

/// Dates of the bars.
pub(super) fn sessions() -> Vec<Date> {
    let date = |text: &str| text.parse::<Date>().unwrap_or_default();
    calendar::sessions(date(FIRST), date(END)).map(|s| s.date).collect()
}

/// Starts of the whole hours of a session.
fn hours_of(session: &calendar::Session) -> impl Iterator<Item = i64> + use<> {
    let (first, close) = (session.open.div_euclid(HOUR) + 1, session.close);
    (first..).map(|h| h * HOUR).take_while(move |t| t + HOUR <= close)
}

fn write(path: &Path, text: &str) -> Result<()> {
    crate::disk::write::write_whole(path, text.as_bytes(), 0o644)
        .map_err(|e| Error::new(codes::CANNOT_WRITE, e.to_string()).at(path.display()))
}

/// A config that demands nothing yet.
const TEMPLATE: &str = r#"{
  "account_info": {
    "account_id": "PLANTED", "account_name": "planted", "initial_capital": 100000.0, "margin_multiplier": 1.0,
    "buying_power": 100000.0
  },
  "strategy": {"name": "", "version": "1", "type": "planted", "frequency": "planted", "expected_trades_per_month": 1},
  "symbols": [],
  "strategy_parameters": {},
  "data_requirements": {"timeframe": "1Day", "premarket": false, "after_hours": false, "warmup_bars": 50},
  "trading_hours": {
    "market_open": "09:30", "market_close": "16:00", "timezone": "America/New_York",
    "trading_days": ["MON", "TUE", "WED", "THU", "FRI"], "allow_overnight_holds": true
  },
  "risk_management": {
    "max_daily_loss_pct": 1.0, "max_daily_loss_dollars": 1000000.0, "max_trades_per_day": 1000, "max_open_positions": 1000
  },
  "execution": {"order_type": "market", "time_in_force": "day", "extended_hours": false, "friction_bps": 0.0},
  "monitoring": {
    "log_level": "info", "log_directory": "logs", "health_check_interval_seconds": 60, "report_interval_seconds": 60,
    "alert_on_loss_dollars": 1000.0
  },
  "ssm_parameters": {
    "api_key_path": "/planted/KEY", "api_secret_path": "/planted/SECRET", "base_url": "https://paper-api.alpaca.markets"
  },
  "performance_criteria": {
    "periods": [{"name": "planted", "start_date": "2017-01-03", "end_date": "2023-12-29"}],
    "criteria": {},
    "baseline": {"sharpe_margin": 0.3, "confidence": 0.95}
  }
}"#;
