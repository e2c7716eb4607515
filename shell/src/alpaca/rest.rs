//! Requests over HTTP. Those that only ask are sent again when Alpaca is busy or silent, and no more often than it allows.

use std::thread::sleep;
use std::time::Duration;

use jiff::Timestamp;
use magellan::error::{Error, Result};
use serde::Deserialize;
use ureq::http::{HeaderMap, Method, Uri};
use ureq::{Agent, RequestBuilder};

use super::credentials::Credentials;
use crate::{codes, http};

/// Each request that only asks ends within this time.
const WITHIN: Duration = Duration::from_secs(60);
/// The largest answer: ten thousand bars take two megabytes.
const LARGEST: u64 = 64 << 20;
/// A request is sent so often at most.
const ATTEMPTS: u32 = 6;
/// The longest that Alpaca may ask to be left alone. Its limits count a minute.
const LONGEST_WAIT: Duration = Duration::from_secs(90);

/// Sends requests in the name of an account, once each.
#[derive(Clone)]
pub(super) struct Requests {
    agent: Agent,
    credentials: Credentials,
}

/// What came back.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Requests {
    /// To a host, each of which ends within this time.
    pub(super) fn new(to: &Uri, within: Duration, credentials: Credentials) -> Self {
        Self { agent: http::agent(to, within), credentials }
    }

    /// The answer; if none came, why.
    pub(super) fn send(
        &self,
        method: Method,
        url: &str,
        query: &[(&str, &str)],
        body: Option<String>,
    ) -> std::result::Result<Answer, String> {
        let agent = &self.agent;
        let sent = match body {
            None => {
                let request = if method == Method::DELETE { agent.delete(url) } else { agent.get(url) };
                self.named(request, query).call()
            }
            Some(body) => {
                let request = if method == Method::PATCH { agent.patch(url) } else { agent.post(url) };
                self.named(request, query).content_type("application/json").send(body)
            }
        };
        let mut answer = sent.map_err(|err| http::reason(&err))?;
        let read = answer.body_mut().with_config().limit(LARGEST).read_to_vec();
        let body = read.map_err(|err| http::reason(&err))?;
        Ok(Answer { status: answer.status().as_u16(), headers: answer.headers().clone(), body })
    }

    /// With the account's name, and parameters.
    fn named<B>(&self, request: RequestBuilder<B>, query: &[(&str, &str)]) -> RequestBuilder<B> {
        let Credentials { key, secret } = &self.credentials;
        let named = request.header("APCA-API-KEY-ID", key).header("APCA-API-SECRET-KEY", secret);
        named.query_pairs(query.iter().copied())
    }
}

impl Answer {
    /// What Alpaca says with a refusal; its web servers answer in HTML.
    pub(super) fn refusal(&self) -> String {
        let said = serde_json::from_slice::<Refusal>(&self.body);
        let said = said.map_or_else(|_| "no reason given".to_owned(), |refusal| refusal.message);
        // Alpaca's support asks for it.
        let id = self.headers.get("x-request-id").and_then(|id| id.to_str().ok()).unwrap_or("none");
        format!("status {}, {}, request id {}", self.status, printable(&said), printable(id))
    }
}

/// Asks one host of Alpaca.
pub struct Client {
    requests: Requests,
    base: String,
    clock: fn() -> Timestamp,
    /// Waits before the second attempt; twice as long before each further one.
    first_wait: Duration,
}

/// Why a request is to be sent again.
struct Later {
    why: String,
    /// How long Alpaca asks to be left alone.
    wait: Option<Duration>,
}

#[derive(Deserialize)]
struct Refusal {
    message: String,
}

impl Client {
    /// Asks the host at `address` in the name of an account.
    pub fn new(address: &Uri, credentials: Credentials, clock: fn() -> Timestamp) -> Self {
        let base = address.to_string().trim_end_matches('/').to_owned();
        let requests = Requests::new(address, WITHIN, credentials);
        Self { requests, base, clock, first_wait: Duration::from_secs(1) }
    }

    /// The answer to GET `path` with these parameters.
    ///
    /// # Errors
    /// Config error if the keys aren't accepted; refused if the request isn't; data error if no answer comes in several
    /// attempts.
    pub fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Vec<u8>> {
        let mut wait = self.first_wait;
        let mut attempt = 1;
        loop {
            let later = match self.get_once(path, query)? {
                Ok(body) => return Ok(body),
                Err(later) => later,
            };
            if attempt == ATTEMPTS {
                let what = format!("GET {path}: {}, {ATTEMPTS} times", later.why);
                return Err(Error::new(codes::ALPACA_SILENT, what));
            }
            sleep(later.wait.unwrap_or(wait));
            wait *= 2;
            attempt += 1;
        }
    }

    fn get_once(&self, path: &str, query: &[(&str, &str)]) -> Result<Result<Vec<u8>, Later>> {
        let sent = self.requests.send(Method::GET, &format!("{}{path}", self.base), query, None);
        let answer = match sent {
            Ok(answer) => answer,
            Err(why) => return Ok(Err(Later { why, wait: None })),
        };
        match answer.status {
            200 => Ok(Ok(answer.body)),
            429 => Ok(Err(Later {
                why: "status 429, too many requests".to_owned(),
                wait: Some(reset(&answer.headers, (self.clock)())),
            })),
            status @ 500..=599 => Ok(Err(Later { why: format!("status {status}"), wait: None })),
            401 => Err(Error::new(codes::ALPACA_KEYS, format!("GET {path}: status 401, the keys aren't accepted"))),
            _ => Err(Error::new(codes::ALPACA_REFUSED, format!("GET {path}: {}", answer.refusal()))),
        }
    }
}

/// How long to wait until the limit of requests is counted anew.
fn reset(headers: &HeaderMap, now: Timestamp) -> Duration {
    let reset = headers.get("x-ratelimit-reset").and_then(|value| value.to_str().ok()?.parse::<i64>().ok());
    let until = reset.map(|at| at.saturating_sub(now.as_second()).clamp(0, 3_600).unsigned_abs());
    Duration::from_secs(until.unwrap_or(0)).clamp(Duration::from_secs(1), LONGEST_WAIT)
}

/// A foreign text, for one line of a message.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}
