//! Between desk and broker: what an order that opens a position must not be. Exits pass.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use magellan::account::Form;
use magellan::bar::{Nanos, SECOND, Symbol};
use magellan::config::Config;
use magellan::live::record::Request;
use magellan::order::Side;

use crate::alpaca::orders::QuoteView;

/// A quote is taken for so long, by when it was asked for.
const FRESH: Duration = Duration::from_secs(5);
/// And must not be older than this by its own time, nanoseconds.
const OLDEST: Nanos = 60 * SECOND;
/// A limit or stop this far from the last close, as a fraction, is a mistake.
const COLLAR: f64 = 0.5;

/// Limits on orders that open positions.
pub(super) struct Guard {
    max_spread_pct: Option<f64>,
    min_liquidity_shares: Option<f64>,
    slippage_tolerance_pct: Option<f64>,
    max_order_dollars: Option<f64>,
    /// Symbols that can't be traded, or not sold short, and why.
    untradable: BTreeMap<Symbol, String>,
    not_shortable: BTreeSet<Symbol>,
    /// Symbols whose trading is halted, and why.
    halted: BTreeMap<Symbol, String>,
    quotes: BTreeMap<Symbol, (Instant, Result<QuoteView, String>)>,
    buying_power: Option<f64>,
}

/// What may become of an order.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Passage {
    Free,
    /// The latest quote is needed first.
    NeedsQuote,
    Refused(String),
}

impl Guard {
    pub(super) fn new(config: &Config) -> Self {
        let (execution, risk) = (&config.execution, &config.risk_management);
        Self {
            max_spread_pct: execution.max_spread_pct,
            min_liquidity_shares: execution.min_liquidity_shares,
            slippage_tolerance_pct: execution.slippage_tolerance_pct,
            max_order_dollars: risk.max_position_dollars.or(risk.max_position_per_asset_dollars),
            untradable: BTreeMap::new(),
            not_shortable: BTreeSet::new(),
            halted: BTreeMap::new(),
            quotes: BTreeMap::new(),
            buying_power: None,
        }
    }

    pub(super) fn set_untradable(&mut self, symbol: Symbol, why: Option<String>, shortable: bool) {
        match why {
            Some(why) => self.untradable.insert(symbol, why),
            None => self.untradable.remove(&symbol),
        };
        if shortable {
            self.not_shortable.remove(&symbol);
        } else {
            self.not_shortable.insert(symbol);
        }
    }

    pub(super) fn set_halted(&mut self, symbol: Symbol, why: Option<String>) {
        match why {
            Some(why) => self.halted.insert(symbol, why),
            None => self.halted.remove(&symbol),
        };
    }

    pub(super) fn set_quote(&mut self, symbol: Symbol, quote: Result<QuoteView, String>) {
        self.quotes.insert(symbol, (Instant::now(), quote));
    }

    pub(super) fn forget_quote(&mut self, symbol: Symbol) {
        self.quotes.remove(&symbol);
    }

    pub(super) fn set_buying_power(&mut self, dollars: Option<f64>) {
        self.buying_power = dollars;
    }

    fn has_filters(&self) -> bool {
        self.max_spread_pct.is_some() || self.min_liquidity_shares.is_some() || self.slippage_tolerance_pct.is_some()
    }

    /// Whether an order that opens a position may be sent now; `close` is the last close.
    pub(super) fn passage(&self, symbol: Symbol, request: &Request, close: Option<f64>, now: Nanos) -> Passage {
        match self.refusal(symbol, request, close) {
            Some(why) => Passage::Refused(why),
            None if self.has_filters() => self.by_quote(symbol, request, close, now),
            None => Passage::Free,
        }
    }

    fn refusal(&self, symbol: Symbol, request: &Request, close: Option<f64>) -> Option<String> {
        if let Some(why) = self.untradable.get(&symbol) {
            return Some(format!("not tradable: {why}"));
        }
        if let Some(why) = self.halted.get(&symbol) {
            return Some(format!("halted: {why}"));
        }
        if request.side == Side::Sell && self.not_shortable.contains(&symbol) {
            return Some("can't be sold short".to_owned());
        }
        let Some(close) = close else { return Some("no price is known".to_owned()) };
        let price = match request.form {
            Form::Limit(price) | Form::Stop(price) | Form::StopLimit { limit: price, .. } => price,
            Form::Market | Form::OnClose | Form::Either { .. } => close,
        };
        if (price / close - 1.0).abs() > COLLAR {
            return Some(format!("price_collar: {price} is too far from the last close {close}"));
        }
        let dollars = request.shares as f64 * price;
        // The position's own limit was tested when it was ordered; this is a second look at what leaves.
        if let Some(most) = self.max_order_dollars.filter(|most| dollars > most * 1.001) {
            return Some(format!("largest_order: {dollars:.2} dollars, allowed are {most:.2}"));
        }
        let power = self.buying_power.filter(|power| dollars > *power);
        power.map(|power| format!("buying_power: {dollars:.2} dollars, there are {power:.2}"))
    }

    fn by_quote(&self, symbol: Symbol, request: &Request, close: Option<f64>, now: Nanos) -> Passage {
        let Some((_, quote)) = self.quotes.get(&symbol).filter(|(asked, _)| asked.elapsed() < FRESH) else {
            return Passage::NeedsQuote;
        };
        let quote = match quote {
            Ok(quote) => quote,
            Err(why) => return Passage::Refused(format!("no_quote: {why}")),
        };
        match self.fault_of(quote, request, close, now) {
            Some(why) => Passage::Refused(why),
            None => Passage::Free,
        }
    }

    fn fault_of(&self, quote: &QuoteView, request: &Request, close: Option<f64>, now: Nanos) -> Option<String> {
        let (bid, ask) = (quote.bp, quote.ap);
        if !(bid.is_finite() && ask.is_finite() && bid > 0.0 && ask >= bid) {
            return Some(format!("no_quote: bid {bid}, ask {ask}"));
        }
        let at = Nanos::try_from(quote.t.as_nanosecond()).unwrap_or(Nanos::MIN);
        if now.saturating_sub(at) > OLDEST {
            return Some(format!("no_quote: the latest is of {}", quote.t));
        }
        let spread = (ask - bid) / (ask + bid) * 200.0;
        if let Some(most) = self.max_spread_pct.filter(|most| spread > *most) {
            return Some(format!("max_spread_pct: {spread:.3} per cent, allowed are {most}"));
        }
        let (price, size) = match request.side {
            Side::Buy => (ask, quote.ask_size),
            Side::Sell => (bid, quote.bs),
        };
        if let Some(least) = self.min_liquidity_shares.filter(|least| size < *least) {
            return Some(format!("min_liquidity_shares: {size} quoted, needed are {least}"));
        }
        let close = close?;
        let slip = (price - close) / close * 100.0 * request.side.sign() as f64;
        let most = self.slippage_tolerance_pct.filter(|most| slip > *most);
        most.map(|most| format!("slippage_tolerance_pct: {slip:.3} per cent since the signal, allowed are {most}"))
    }
}
