//! The trading interface: orders, positions and the account. Nothing here is sent twice by itself: whoever places an
//! order must know whether it arrived.

use std::time::Duration;

use magellan::bar::Symbol;
use magellan::error::{Error, Result};
use magellan::live::record::Request;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use ureq::http::{Method, Uri};
use ureq::{Agent, Body};

use super::credentials::Credentials;
use super::orders::{self, AccountView, OrderView, PositionView, QuoteView};
use crate::{codes, http};

/// Each request ends within this time.
const WITHIN: Duration = Duration::from_secs(5);
const LARGEST: u64 = 16 << 20;
/// The most orders that one page holds.
const PAGE: usize = 500;

/// What came of a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome<T> {
    /// It was done.
    Done(T),
    /// It was refused, and nothing was done: status and reason.
    Refused(u16, String),
    /// Nobody knows whether it was done: why.
    Unknown(String),
}

/// Trades one account.
#[derive(Clone)]
pub struct Trading {
    agent: Agent,
    base: String,
    data: String,
    feed: &'static str,
    credentials: Credentials,
}

impl Trading {
    /// Asks the trading host and the data host in the name of an account.
    pub fn new(trading: &Uri, data: &Uri, feed: &'static str, credentials: Credentials) -> Self {
        let base = |uri: &Uri| uri.to_string().trim_end_matches('/').to_owned();
        Self { agent: http::agent(trading, WITHIN), base: base(trading), data: base(data), feed, credentials }
    }

    /// Places an order.
    pub fn submit(&self, id: &str, symbol: Symbol, request: &Request) -> Outcome<OrderView> {
        let body = orders::body(id, symbol, request);
        match self.ask(Method::POST, "/v2/orders", Some(&body)) {
            // It is there already: what it is must be looked up.
            Outcome::Refused(422, why) if why.contains("client_order_id must be unique") => Outcome::Unknown(why),
            outcome => parsed(outcome),
        }
    }

    /// Cancels an order.
    pub fn cancel(&self, broker: &str) -> Outcome<()> {
        match self.ask(Method::DELETE, &format!("/v2/orders/{broker}"), None) {
            Outcome::Done(_) => Outcome::Done(()),
            Outcome::Refused(status, why) => Outcome::Refused(status, why),
            Outcome::Unknown(why) => Outcome::Unknown(why),
        }
    }

    /// Moves the stop of an order: a new order stands in its place.
    pub fn move_stop(&self, broker: &str, stop: f64) -> Outcome<OrderView> {
        let body = json!({"stop_price": stop.to_string()});
        parsed(self.ask(Method::PATCH, &format!("/v2/orders/{broker}"), Some(&body)))
    }

    /// An order by our name of it; none if the broker doesn't have it.
    pub fn find(&self, id: &str) -> Outcome<Option<OrderView>> {
        let found =
            self.ask(Method::GET, &format!("/v2/orders:by_client_order_id?client_order_id={id}&nested=true"), None);
        absent(found)
    }

    /// An order by the broker's name of it; none if the broker doesn't have it.
    pub fn get(&self, broker: &str) -> Outcome<Option<OrderView>> {
        absent(self.ask(Method::GET, &format!("/v2/orders/{broker}?nested=true"), None))
    }

    /// All orders that work.
    pub fn open_orders(&self) -> Outcome<Vec<OrderView>> {
        match parsed(self.ask(Method::GET, &format!("/v2/orders?status=open&limit={PAGE}&nested=false"), None)) {
            Outcome::Done(orders) if Vec::len(&orders) >= PAGE => {
                Outcome::Unknown(format!("{PAGE} orders or more work, and a page holds no more"))
            }
            outcome => outcome,
        }
    }

    /// All positions.
    pub fn positions(&self) -> Outcome<Vec<PositionView>> {
        parsed(self.ask(Method::GET, "/v2/positions", None))
    }

    /// The account.
    pub fn account(&self) -> Outcome<AccountView> {
        parsed(self.ask(Method::GET, "/v2/account", None))
    }

    /// Whether the keys are accepted, asked several times.
    ///
    /// # Errors
    /// Config error if they aren't.
    pub fn check_keys(&self) -> Result<()> {
        for attempt in 0..3 {
            match self.account() {
                Outcome::Unknown(why) if why.contains("status 401") => {
                    std::thread::sleep(Duration::from_millis(500 << attempt));
                }
                // Whatever else is wrong may get well.
                _ => return Ok(()),
            }
        }
        Err(Error::new(codes::ALPACA_KEYS, "GET /v2/account: status 401, the keys aren't accepted"))
    }

    /// Whether a symbol can be traded: none, or why it can't.
    pub fn asset(&self, symbol: Symbol) -> Outcome<Value> {
        self.ask(Method::GET, &format!("/v2/assets/{symbol}"), None)
    }

    /// The latest quote of a symbol.
    pub fn quote(&self, symbol: Symbol) -> Outcome<QuoteView> {
        let url = format!("{}/v2/stocks/quotes/latest?symbols={symbol}&feed={}", self.data, self.feed);
        match self.ask_url(Method::GET, "/v2/stocks/quotes/latest", &url, None) {
            Outcome::Done(mut value) => {
                let quote = value["quotes"][symbol.as_str()].take();
                match serde_json::from_value(quote) {
                    Ok(quote) => Outcome::Done(quote),
                    Err(_) => Outcome::Refused(200, "no quote in the answer".to_owned()),
                }
            }
            Outcome::Refused(status, why) => Outcome::Refused(status, why),
            Outcome::Unknown(why) => Outcome::Unknown(why),
        }
    }

    fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Outcome<Value> {
        let named = path.split('?').next().unwrap_or(path).to_owned();
        self.ask_url(method, &named, &format!("{}{path}", self.base), body)
    }

    fn ask_url(&self, method: Method, named: &str, url: &str, body: Option<&Value>) -> Outcome<Value> {
        let text = body.map(Value::to_string);
        let request = ureq::http::Request::builder()
            .method(method.clone())
            .uri(url)
            .header("APCA-API-KEY-ID", &self.credentials.key)
            .header("APCA-API-SECRET-KEY", &self.credentials.secret)
            .header("content-type", "application/json");
        let answer = match text {
            Some(text) => request.body(text).map_err(|_| ()).map(|request| self.agent.run(request)),
            None => request.body(()).map_err(|_| ()).map(|request| self.agent.run(request)),
        };
        let Ok(answer) = answer else { return Outcome::Refused(0, format!("{method} {named} can't be asked")) };
        let mut answer = match answer {
            Ok(answer) => answer,
            Err(err) => return Outcome::Unknown(format!("{method} {named}: {}", http::reason(&err))),
        };
        let status = answer.status().as_u16();
        let id = answer.headers().get("x-request-id").and_then(|id| id.to_str().ok()).unwrap_or("none").to_owned();
        let read = match read(answer.body_mut()) {
            Ok(read) => read,
            Err(err) => return Outcome::Unknown(format!("{method} {named}: {}", http::reason(&err))),
        };
        // Web servers before Alpaca's own answer in HTML.
        let json: Option<Value> = if read.is_empty() { Some(Value::Null) } else { serde_json::from_slice(&read).ok() };
        let said = || {
            let message = json.as_ref().and_then(|json| json["message"].as_str()).unwrap_or("no reason given");
            let message: String = message.chars().filter(|c| !c.is_control()).take(200).collect();
            format!("{method} {named}: status {status}, {message}, request id {id}")
        };
        match status {
            200..=299 => match &json {
                Some(json) => Outcome::Done(json.clone()),
                None => Outcome::Unknown(format!("{method} {named}: status {status}, and the answer isn't JSON")),
            },
            // Nobody knows better than to ask again: web servers before Alpaca's own say 401 now and then, too.
            401 | 408 | 425 | 429 | 500..=599 => Outcome::Unknown(said()),
            _ => Outcome::Refused(status, said()),
        }
    }
}

fn read(body: &mut Body) -> std::result::Result<Vec<u8>, ureq::Error> {
    body.with_config().limit(LARGEST).read_to_vec()
}

fn parsed<T: DeserializeOwned>(outcome: Outcome<Value>) -> Outcome<T> {
    match outcome {
        Outcome::Done(value) => match serde_json::from_value(value) {
            Ok(parsed) => Outcome::Done(parsed),
            Err(err) => Outcome::Unknown(format!("an answer isn't as documented: {err}")),
        },
        Outcome::Refused(status, why) => Outcome::Refused(status, why),
        Outcome::Unknown(why) => Outcome::Unknown(why),
    }
}

fn absent<T: DeserializeOwned>(outcome: Outcome<Value>) -> Outcome<Option<T>> {
    match outcome {
        Outcome::Refused(404, _) => Outcome::Done(None),
        outcome => match parsed(outcome) {
            Outcome::Done(found) => Outcome::Done(Some(found)),
            Outcome::Refused(status, why) => Outcome::Refused(status, why),
            Outcome::Unknown(why) => Outcome::Unknown(why),
        },
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
