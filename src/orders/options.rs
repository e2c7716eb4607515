//! The settings of a replay of orders: what is replayed, and on what kind of account.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::account::{AccountKind, Conditions, OnInsufficient};
use crate::bar::{Date, Symbol, Timeframe};
use crate::costs::Costs;
use crate::error::{Error, Result, codes};
use crate::history::Hours;

/// The settings as they are written: in a JSON file, or as flags of the same names.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Symbols replayed.
    pub symbols: Option<Vec<Symbol>>,
    /// Width of their bars: `1min`, `1hour` or `1day`.
    pub bars: Option<String>,
    /// Starting capital, dollars.
    pub capital: Option<f64>,
    /// Which bars of a day exist.
    pub session: Option<Session>,
    /// First session; the first there is.
    pub start: Option<Date>,
    /// Last session; the last there is.
    pub end: Option<Date>,
    /// Whether prices are back-adjusted for splits, which then don't happen.
    pub adjusted: Option<bool>,
    /// The kind of account.
    pub account: Option<Account>,
    /// Dollars of positions a dollar of equity, on a margin account.
    pub leverage: Option<f64>,
    /// What happens to an order that the account can't pay for.
    pub on_insufficient: Option<Insufficient>,
    /// Slippage, basis points a side.
    pub slippage_bps: Option<f64>,
    /// Half of the spread, dollars a share.
    pub half_spread: Option<f64>,
    /// Fee, dollars a share.
    pub fee_per_share: Option<f64>,
    /// Fee, basis points of the amount.
    pub fee_bps: Option<f64>,
    /// Smallest fee of an order, dollars.
    pub fee_min: Option<f64>,
    /// Fee for borrowed shares, basis points in a year of 360 days.
    pub borrow_bps: Option<f64>,
    /// Interest on negative cash, basis points in a year of 360 days.
    pub margin_rate_bps: Option<f64>,
    /// Fraction of a bar's volume that one symbol's fills may take.
    pub participation: Option<f64>,
    /// Coefficient of the square-root impact.
    pub impact: Option<f64>,
    /// Whether quantities go in steps of 1e-6 share.
    pub fractional: Option<bool>,
    /// Whether resting limits and targets need a price beyond their level.
    pub strict_limits: Option<bool>,
}

/// Which bars of a day exist for the replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Session {
    /// Those of the regular session.
    Regular,
    /// All.
    All,
}

/// The kind of account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Account {
    /// No borrowing, no shorts.
    Cash,
    /// Exposure up to leverage times equity.
    Margin,
    /// Nothing is checked.
    Unlimited,
}

/// What happens to an order that the account can't pay for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Insufficient {
    /// It is refused.
    Reject,
    /// It fills as far as the money goes.
    Shrink,
}

/// The settings, complete and checked.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Settings {
    /// Alphabetically.
    pub(crate) symbols: Vec<Symbol>,
    pub(crate) timeframe: Timeframe,
    pub(crate) hours: Hours,
    pub(crate) start: Option<Date>,
    pub(crate) end: Option<Date>,
    pub(crate) adjusted: bool,
    pub(crate) capital: f64,
    pub(crate) costs: Costs,
    pub(crate) conditions: Conditions,
}

impl Options {
    /// Reads a JSON object.
    ///
    /// # Errors
    /// Usage error that names the key, what it holds and what it may hold.
    pub fn parse(text: &str) -> Result<Self> {
        // A list of values in the order of the keys would be read too.
        if !text.trim_start().starts_with('{') {
            return Err(Error::new(codes::BAD_ARGUMENT, "the options are no JSON object: write {\"symbols\": …}"));
        }
        let mut reader = serde_json::Deserializer::from_str(text);
        serde_path_to_error::deserialize(&mut reader).map_err(|e| {
            let (path, inner) = (e.path().to_string(), e.inner());
            let what = if path == "." { inner.to_string() } else { format!("{path}: {inner}") };
            Error::new(codes::BAD_ARGUMENT, what)
        })
    }

    /// These settings where they are given, else the others'.
    #[must_use]
    pub fn or(self, others: Self) -> Self {
        let (Ok(Value::Object(mine)), Ok(Value::Object(mut all))) =
            (serde_json::to_value(&self), serde_json::to_value(&others))
        else {
            return self;
        };
        all.extend(mine.into_iter().filter(|(_, value)| !value.is_null()));
        serde_json::from_value(Value::Object(all)).unwrap_or(self)
    }

    /// The settings, complete.
    ///
    /// # Errors
    /// Usage error for a setting that is missing, out of range, or without meaning beside another.
    pub(crate) fn settings(&self) -> Result<Settings> {
        let missing = |key: &str, example: &str| {
            Error::new(codes::BAD_ARGUMENT, format!("{key} is missing"))
                .help(format!("say it in the options file or as a flag, e.g. {example}"))
        };
        let mut symbols = self.symbols.clone().filter(|symbols| !symbols.is_empty());
        let symbols = symbols.take().ok_or_else(|| missing("symbols", "--symbols AAPL,SPY"))?;
        let bars = self.bars.as_deref().ok_or_else(|| missing("bars", "--bars 1day"))?;
        let capital = self.capital.ok_or_else(|| missing("capital", "--capital 100000"))?;
        let account = self.account.unwrap_or(Account::Cash);
        let leverage = self.leverage.unwrap_or(1.0);
        self.check_ranges()?;
        if let (Some(start), Some(end)) = (self.start, self.end)
            && start > end
        {
            return Err(bad("start", format!("{start} is after the end {end}")));
        }
        Ok(Settings {
            symbols: in_order(symbols)?,
            timeframe: width(bars)?,
            hours: match self.session.unwrap_or(Session::Regular) {
                Session::Regular => Hours::Regular,
                Session::All => Hours::All,
            },
            start: self.start,
            end: self.end,
            adjusted: self.adjusted.unwrap_or(false),
            capital,
            costs: self.costs(),
            conditions: self.conditions(account, leverage),
        })
    }

    fn costs(&self) -> Costs {
        Costs {
            slippage_bps: self.slippage_bps.unwrap_or(0.0),
            fee_per_share: self.fee_per_share.unwrap_or(0.0),
            fee_bps: self.fee_bps.unwrap_or(0.0),
            half_spread: self.half_spread.unwrap_or(0.0),
            fee_min: self.fee_min.unwrap_or(0.0),
        }
    }

    fn conditions(&self, account: Account, leverage: f64) -> Conditions {
        Conditions {
            kind: match account {
                Account::Cash => AccountKind::Cash,
                Account::Margin => AccountKind::Margin { leverage },
                Account::Unlimited => AccountKind::Unlimited,
            },
            on_insufficient: match self.on_insufficient.unwrap_or(Insufficient::Reject) {
                Insufficient::Reject => OnInsufficient::Reject,
                Insufficient::Shrink => OnInsufficient::Shrink,
            },
            borrow_bps: self.borrow_bps.unwrap_or(0.0),
            margin_rate_bps: self.margin_rate_bps.unwrap_or(0.0),
            participation: self.participation,
            impact: self.impact.unwrap_or(0.0),
            fractional: self.fractional.unwrap_or(false),
            strict_limits: self.strict_limits.unwrap_or(false),
        }
    }

    fn check_ranges(&self) -> Result<()> {
        let positive = [("capital", self.capital), ("leverage", self.leverage)];
        for (key, value) in positive {
            if value.is_some_and(|value| !(value > 0.0 && value.is_finite())) {
                return Err(bad(key, "must be a number above 0"));
            }
        }
        if self.participation.is_some_and(|part| !(part > 0.0 && part <= 1.0)) {
            return Err(bad("participation", "must be a fraction above 0 and at most 1"));
        }
        let not_negative = [
            ("slippage_bps", self.slippage_bps),
            ("half_spread", self.half_spread),
            ("fee_per_share", self.fee_per_share),
            ("fee_bps", self.fee_bps),
            ("fee_min", self.fee_min),
            ("borrow_bps", self.borrow_bps),
            ("margin_rate_bps", self.margin_rate_bps),
            ("impact", self.impact),
        ];
        for (key, value) in not_negative {
            if value.is_some_and(|value| !(value >= 0.0 && value.is_finite())) {
                return Err(bad(key, "must be a number, 0 or above"));
            }
        }
        // Beyond these a figure can't be told from a mistake, and sums end in infinity.
        let at_most = [
            ("capital", self.capital, 1e12),
            ("leverage", self.leverage, 100.0),
            ("half_spread", self.half_spread, 1e3),
            ("fee_per_share", self.fee_per_share, 1e3),
            ("fee_bps", self.fee_bps, 1e4),
            ("fee_min", self.fee_min, 1e6),
            ("borrow_bps", self.borrow_bps, 1e6),
            ("margin_rate_bps", self.margin_rate_bps, 1e6),
            ("impact", self.impact, 1e3),
        ];
        for (key, value, most) in at_most {
            if value.is_some_and(|value| value > most) {
                return Err(bad(key, format!("must be at most {most}")));
            }
        }
        if self.slippage_bps.is_some_and(|bps| bps >= 1e4) {
            return Err(bad("slippage_bps", "must be below 10000: a sale would bring nothing"));
        }
        Ok(())
    }
}

fn bad(key: &str, what: impl std::fmt::Display) -> Error {
    Error::new(codes::BAD_ARGUMENT, format!("{key}: {what}"))
}

fn in_order(mut symbols: Vec<Symbol>) -> Result<Vec<Symbol>> {
    symbols.sort_unstable();
    match symbols.windows(2).find(|w| w[0] == w[1]) {
        Some(twice) => Err(bad("symbols", format!("{} is named twice", twice[0]))),
        None => Ok(symbols),
    }
}

fn width(bars: &str) -> Result<Timeframe> {
    match bars {
        "1min" => Ok(Timeframe::Minute),
        "1hour" => Ok(Timeframe::Hour),
        "1day" => Ok(Timeframe::Day),
        other => Err(bad("bars", format!("`{other}` is not one of 1min, 1hour and 1day"))),
    }
}
