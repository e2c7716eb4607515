//! Requests that only ask: sent again when Alpaca is busy or silent, and no more often than it allows.

use std::thread::sleep;
use std::time::Duration;

use jiff::Timestamp;
use magellan::error::{Error, Result};
use serde::Deserialize;
use ureq::http::{HeaderMap, Uri};
use ureq::{Agent, Body};

use super::credentials::Credentials;
use crate::{codes, http};

/// Each request ends within this time.
const WITHIN: Duration = Duration::from_secs(60);
/// The largest answer: ten thousand bars take two megabytes.
const LARGEST: u64 = 64 << 20;
/// A request is sent so often at most.
const ATTEMPTS: u32 = 6;
/// The longest that Alpaca may ask to be left alone. Its limits count a minute.
const LONGEST_WAIT: Duration = Duration::from_secs(90);

/// Asks one host of Alpaca.
pub struct Client {
    agent: Agent,
    base: String,
    credentials: Credentials,
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

/// What Alpaca says with a refusal; its web servers answer in HTML.
#[derive(Deserialize)]
struct Refusal {
    message: String,
}

impl Client {
    /// Asks the host at `address` in the name of an account.
    pub fn new(address: &Uri, credentials: Credentials, clock: fn() -> Timestamp) -> Self {
        let base = address.to_string().trim_end_matches('/').to_owned();
        Self { agent: http::agent(address, WITHIN), base, credentials, clock, first_wait: Duration::from_secs(1) }
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
        let request = self
            .agent
            .get(format!("{}{path}", self.base))
            .header("APCA-API-KEY-ID", &self.credentials.key)
            .header("APCA-API-SECRET-KEY", &self.credentials.secret)
            .query_pairs(query.iter().copied());
        let again = |err: &ureq::Error| Later { why: http::reason(err), wait: None };
        let mut answer = match request.call() {
            Ok(answer) => answer,
            Err(err) => return Ok(Err(again(&err))),
        };
        let status = answer.status().as_u16();
        let headers = answer.headers().clone();
        let body = match read(answer.body_mut()) {
            Ok(body) => body,
            Err(err) => return Ok(Err(again(&err))),
        };
        match status {
            200 => Ok(Ok(body)),
            429 => Ok(Err(Later {
                why: "status 429, too many requests".to_owned(),
                wait: Some(reset(&headers, (self.clock)())),
            })),
            500..=599 => Ok(Err(Later { why: format!("status {status}"), wait: None })),
            401 => Err(Error::new(codes::ALPACA_KEYS, format!("GET {path}: status 401, the keys aren't accepted"))),
            _ => Err(refused(path, status, &body, &headers)),
        }
    }
}

fn read(body: &mut Body) -> Result<Vec<u8>, ureq::Error> {
    body.with_config().limit(LARGEST).read_to_vec()
}

/// How long to wait until the limit of requests is counted anew.
fn reset(headers: &HeaderMap, now: Timestamp) -> Duration {
    let reset = headers.get("x-ratelimit-reset").and_then(|value| value.to_str().ok()?.parse::<i64>().ok());
    let until = reset.map(|at| at.saturating_sub(now.as_second()).clamp(0, 3_600).unsigned_abs());
    Duration::from_secs(until.unwrap_or(0)).clamp(Duration::from_secs(1), LONGEST_WAIT)
}

fn refused(path: &str, status: u16, body: &[u8], headers: &HeaderMap) -> Error {
    let said = serde_json::from_slice::<Refusal>(body).map_or_else(|_| "no reason given".to_owned(), |r| r.message);
    // Alpaca's support asks for it.
    let id = headers.get("x-request-id").and_then(|id| id.to_str().ok()).unwrap_or("none");
    let what = format!("GET {path}: status {status}, {}, request id {}", printable(&said), printable(id));
    Error::new(codes::ALPACA_REFUSED, what)
}

/// A foreign text, for one line of a message.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}
