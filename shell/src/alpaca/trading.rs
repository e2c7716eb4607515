//! The trading interface: orders, positions and the account. Nothing here is sent twice by itself: whoever places an
//! order must know whether it arrived.

use std::time::Duration;

use magellan::bar::Symbol;
use magellan::error::{Error, Result};
use magellan::live::record::Request;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use ureq::http::{Method, Uri};

use super::credentials::Credentials;
use super::orders::{self, AccountView, AssetView, OrderView, PositionView, QuoteView};
use super::rest::Requests;
use crate::{codes, http};

/// Each request ends within this time.
const WITHIN: Duration = Duration::from_secs(5);
/// The most orders that one page holds.
const PAGE: usize = 500;

/// What came of a request.
pub type Outcome<T> = std::result::Result<T, Failed>;

/// Why nothing came of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failed {
    /// It was refused, and nothing was done: status and reason.
    Refused(u16, String),
    /// Nobody knows whether it was done: why.
    Unknown(String),
}

impl Failed {
    /// The reason.
    pub fn why(&self) -> &str {
        match self {
            Self::Refused(_, why) | Self::Unknown(why) => why,
        }
    }
}

/// Trades one account.
#[derive(Clone)]
pub struct Trading {
    requests: Requests,
    base: String,
    data: String,
    feed: &'static str,
}

impl Trading {
    /// Asks the trading host and the data host in the name of an account.
    pub fn new(trading: &Uri, data: &Uri, feed: &'static str, credentials: Credentials) -> Self {
        let base = |uri: &Uri| uri.to_string().trim_end_matches('/').to_owned();
        Self { requests: Requests::new(trading, WITHIN, credentials), base: base(trading), data: base(data), feed }
    }

    /// Places an order.
    ///
    /// # Errors
    /// As [`Failed`] says; the same holds for all methods.
    pub fn submit(&self, id: &str, symbol: Symbol, request: &Request) -> Outcome<OrderView> {
        let body = orders::body(id, symbol, request);
        match self.ask(Method::POST, "/v2/orders", &[], Some(&body)) {
            // It is there already: what it is must be looked up.
            Err(Failed::Refused(422, why)) if why.contains("client_order_id must be unique") => {
                Err(Failed::Unknown(why))
            }
            outcome => parsed(outcome?),
        }
    }

    /// Cancels an order.
    ///
    /// # Errors
    /// As [`Trading::submit`].
    pub fn cancel(&self, broker: &str) -> Outcome<()> {
        self.ask(Method::DELETE, &format!("/v2/orders/{broker}"), &[], None).map(drop)
    }

    /// Moves the stop of an order: a new order stands in its place.
    ///
    /// # Errors
    /// As [`Trading::submit`].
    pub fn move_stop(&self, broker: &str, stop: f64) -> Outcome<OrderView> {
        let body = json!({"stop_price": stop.to_string()});
        parsed(self.ask(Method::PATCH, &format!("/v2/orders/{broker}"), &[], Some(&body))?)
    }

    /// An order by our name of it; none if the broker doesn't have it.
    ///
    /// # Errors
    /// As [`Trading::submit`].
    pub fn find(&self, id: &str) -> Outcome<Option<OrderView>> {
        let query = [("client_order_id", id), ("nested", "true")];
        absent(self.ask(Method::GET, "/v2/orders:by_client_order_id", &query, None))
    }

    /// An order by the broker's name of it; none if the broker doesn't have it.
    ///
    /// # Errors
    /// As [`Trading::submit`].
    pub fn get(&self, broker: &str) -> Outcome<Option<OrderView>> {
        absent(self.ask(Method::GET, &format!("/v2/orders/{broker}"), &[("nested", "true")], None))
    }

    /// All orders that work.
    ///
    /// # Errors
    /// As [`Trading::submit`].
    pub fn open_orders(&self) -> Outcome<Vec<OrderView>> {
        let limit = PAGE.to_string();
        let query = [("status", "open"), ("limit", limit.as_str()), ("nested", "false")];
        let orders: Vec<OrderView> = parsed(self.ask(Method::GET, "/v2/orders", &query, None)?)?;
        match orders.len() < PAGE {
            true => Ok(orders),
            false => Err(Failed::Unknown(format!("{PAGE} orders or more work, and a page holds no more"))),
        }
    }

    /// All positions.
    ///
    /// # Errors
    /// As [`Trading::submit`].
    pub fn positions(&self) -> Outcome<Vec<PositionView>> {
        parsed(self.ask(Method::GET, "/v2/positions", &[], None)?)
    }

    /// The account.
    ///
    /// # Errors
    /// As [`Trading::submit`].
    pub fn account(&self) -> Outcome<AccountView> {
        parsed(self.ask(Method::GET, "/v2/account", &[], None)?)
    }

    /// Whether the keys are accepted, asked several times.
    ///
    /// # Errors
    /// Config error if they aren't.
    pub fn check_keys(&self) -> Result<()> {
        for attempt in 0..3 {
            match self.account() {
                Err(Failed::Unknown(why)) if why.contains("status 401") => {
                    std::thread::sleep(Duration::from_millis(500 << attempt));
                }
                // Whatever else is wrong may get well.
                _ => return Ok(()),
            }
        }
        Err(Error::new(codes::ALPACA_KEYS, "GET /v2/account: status 401, the keys aren't accepted"))
    }

    /// What a symbol is, and whether it can be traded.
    ///
    /// # Errors
    /// As [`Trading::submit`].
    pub fn asset(&self, symbol: Symbol) -> Outcome<AssetView> {
        parsed(self.ask(Method::GET, &format!("/v2/assets/{symbol}"), &[], None)?)
    }

    /// The latest quote of a symbol.
    ///
    /// # Errors
    /// As [`Trading::submit`].
    pub fn quote(&self, symbol: Symbol) -> Outcome<QuoteView> {
        let query = [("symbols", symbol.as_str()), ("feed", self.feed)];
        let mut value = self.ask_host(&self.data, Method::GET, "/v2/stocks/quotes/latest", &query, None)?;
        let quote = serde_json::from_value(value["quotes"][symbol.as_str()].take());
        quote.map_err(|_| Failed::Refused(200, "no quote in the answer".to_owned()))
    }

    fn ask(&self, method: Method, path: &str, query: &[(&str, &str)], body: Option<&Value>) -> Outcome<Value> {
        self.ask_host(&self.base, method, path, query, body)
    }

    fn ask_host(
        &self,
        host: &str,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Outcome<Value> {
        let named = format!("{method} {path}");
        let sent = self.requests.send(method, &format!("{host}{path}"), query, body.map(Value::to_string));
        let answer = sent.map_err(|why| Failed::Unknown(format!("{named}: {why}")))?;
        let said = || format!("{named}: {}", answer.refusal());
        match answer.status {
            200..=299 if answer.body.is_empty() => Ok(Value::Null),
            status @ 200..=299 => serde_json::from_slice(&answer.body)
                .map_err(|_| Failed::Unknown(format!("{named}: status {status}, and the answer isn't JSON"))),
            // Nobody knows better than to ask again: web servers before Alpaca's own say 401 now and then, too.
            401 | 408 | 425 | 429 | 500..=599 => Err(Failed::Unknown(said())),
            status => Err(Failed::Refused(status, said())),
        }
    }
}

fn parsed<T: DeserializeOwned>(value: Value) -> Outcome<T> {
    serde_json::from_value(value).map_err(|err| Failed::Unknown(format!("an answer isn't as documented: {err}")))
}

fn absent<T: DeserializeOwned>(outcome: Outcome<Value>) -> Outcome<Option<T>> {
    match outcome {
        Err(Failed::Refused(404, _)) => Ok(None),
        outcome => parsed(outcome?).map(Some),
    }
}

/// Paper accounts' host.
pub const PAPER: &str = "https://paper-api.alpaca.markets";

/// Where an account is traded: the config's address, or in a test one on this machine. Real money must be allowed twice.
///
/// # Errors
/// Refused if it isn't a paper account's and isn't allowed; usage error if it is no address for keys.
pub fn trading_address(configured: &str, variable: Option<&str>, real_money: bool) -> Result<Uri> {
    let named = variable.unwrap_or(configured).trim_end_matches('/');
    let named = named.strip_suffix("/v2").unwrap_or(named);
    let uri = http::safe_uri(named).filter(|uri| uri.path() == "/" && uri.query().is_none()).ok_or_else(|| {
        let what = "the broker's address is none for keys: https://HOST, or http:// to a loopback number";
        Error::new(codes::ENVIRONMENT, what)
    })?;
    let is_local = uri.scheme_str() == Some("http");
    if named == PAPER || is_local {
        return Ok(uri);
    }
    // The config must say it as well: a variable alone moves nobody to real money.
    let configured = configured.trim_end_matches('/');
    if real_money && configured.strip_suffix("/v2").unwrap_or(configured) == named {
        return Ok(uri);
    }
    let what = format!("{named} isn't where paper accounts trade");
    Err(Error::new(codes::REAL_MONEY, what))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn real_money_must_be_allowed_by_config_and_flag() {
        let live = "https://api.alpaca.markets";
        assert!(trading_address(PAPER, None, false).is_ok());
        assert!(trading_address(PAPER, Some("http://127.0.0.1:9"), false).is_ok());
        assert!(trading_address(live, None, true).is_ok());
        for (configured, variable, flag) in
            [(live, None, false), (PAPER, Some(live), true), (PAPER, Some("https://elsewhere.example"), true)]
        {
            let refused = trading_address(configured, variable, flag).expect_err("real money");
            assert_eq!(refused.code(), codes::REAL_MONEY, "{configured} {variable:?} {flag}");
        }
        assert!(trading_address(PAPER, Some("http://10.0.0.1:9"), true).is_err());
    }
}
