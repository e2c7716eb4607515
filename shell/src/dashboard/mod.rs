//! `magellan dashboard`: one page that shows services as they are, and changes nothing.
//!
//! It listens on the loopback address unless it is told otherwise, and then demands a token. Only requests that name
//! the host it is reached by are answered, so that no page elsewhere can read it through a browser.

mod state;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, COOKIE, HOST, LOCATION, SET_COOKIE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::{self, Next};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use futures_util::stream::{self, Stream};
use magellan::error::{Error, Result};
use magellan::gate::verify::StoredVerdict;
use serde_json::{Value, json};

use crate::{clock, codes, server};
use state::{Expected, Known, Watched};

const PAGE: &str = include_str!("page.html");
const STYLE: &str = concat!(include_str!("../report/html/tokens.css"), include_str!("page.css"));
const SCRIPT: &str = include_str!("page.js");
const LOGIN: &str = include_str!("login.html");
/// Nothing but what this server sends.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; \
                      base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
/// How often the page is told.
const EVERY: Duration = Duration::from_secs(2);
/// The shortest token.
const SHORTEST: usize = 16;
const COOKIE_NAME: &str = "magellan_token";

/// What is shown, and to whom.
#[derive(Debug)]
pub struct Options {
    /// Folders of state.
    pub states: Vec<PathBuf>,
    /// A verdict with what is expected.
    pub verdict: Option<PathBuf>,
    /// Where it listens.
    pub address: SocketAddr,
    /// Names, besides the address, by which it is reached.
    pub hosts: Vec<String>,
    /// What a visitor must know; needed unless it listens on the loopback address.
    pub token: Option<String>,
}

#[derive(Clone)]
struct Shared(Arc<Inner>);

struct Inner {
    watched: Mutex<Vec<Watched>>,
    known: BTreeMap<String, Known>,
    hosts: Vec<String>,
    token: Option<String>,
}

/// Serves the page until the process ends; `listening` hears where.
///
/// # Errors
/// Usage error if the address can't be had, or is open to others without a token; refused if the verdict was altered.
pub fn serve(options: &Options, listening: impl FnOnce(SocketAddr) -> Result<()>) -> Result<()> {
    let is_open = !options.address.ip().is_loopback();
    match &options.token {
        None if is_open => {
            let what = format!("{} can be reached from other machines, and no token is named", options.address);
            return Err(Error::new(codes::BAD_ARGUMENT, what).help("name a file with a token: --token-file FILE"));
        }
        Some(token) if token.len() < SHORTEST || !token.bytes().all(|b| b.is_ascii_graphic() && b != b';') => {
            let what = format!("the token isn't {SHORTEST} or more printable ASCII characters");
            return Err(Error::new(codes::BAD_ARGUMENT, what));
        }
        _ => {}
    }
    let fault = |e: std::io::Error| Error::new(codes::BAD_ARGUMENT, format!("--listen {}: {e}", options.address));
    let listener = TcpListener::bind(options.address).map_err(fault)?;
    let address = listener.local_addr().map_err(fault)?;
    let mut hosts = vec![address.to_string()];
    if address.ip().is_loopback() {
        hosts.push(format!("localhost:{}", address.port()));
    }
    hosts.extend(options.hosts.iter().cloned());
    let known = options.verdict.as_deref().map(known).transpose()?.unwrap_or_default();
    let watched = options.states.iter().map(|state| Watched::new(state)).collect();
    let shared = Shared(Arc::new(Inner { watched: Mutex::new(watched), known, hosts, token: options.token.clone() }));
    listening(address)?;
    server::run(listener, router(shared))
}

fn router(shared: Shared) -> Router {
    let text = |kind: &'static str, body: &'static str| get(move || async move { ([(CONTENT_TYPE, kind)], body) });
    Router::new()
        .route("/", text("text/html; charset=utf-8", PAGE))
        .route("/page.js", text("text/javascript; charset=utf-8", SCRIPT))
        .route("/api/state", get(api_state))
        .route("/events", get(events))
        .route_layer(middleware::from_fn_with_state(shared.clone(), only_with_token))
        .route("/page.css", text("text/css; charset=utf-8", STYLE))
        .route("/login", post(login))
        .layer(middleware::from_fn_with_state(shared.clone(), only_our_host))
        .with_state(shared)
}

/// A page elsewhere that resolves its own name to this address is not answered (DNS rebinding).
async fn only_our_host(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let mut response = match shared.0.hosts.iter().any(|ours| ours == host) {
        true => next.run(request).await,
        false => (StatusCode::MISDIRECTED_REQUEST, "this server isn't reached by that name\n").into_response(),
    };
    let headers = response.headers_mut();
    let mut set = |name: HeaderName, value: &'static str| headers.insert(name, HeaderValue::from_static(value));
    set(CONTENT_SECURITY_POLICY, POLICY);
    set(CACHE_CONTROL, "no-store");
    set(HeaderName::from_static("x-content-type-options"), "nosniff");
    set(HeaderName::from_static("referrer-policy"), "no-referrer");
    response
}

async fn only_with_token(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    match shared.0.lets_in(request.headers()) {
        true => next.run(request).await,
        false => (StatusCode::UNAUTHORIZED, [(CONTENT_TYPE, "text/html; charset=utf-8")], LOGIN).into_response(),
    }
}

impl Inner {
    fn lets_in(&self, headers: &HeaderMap) -> bool {
        let Some(token) = &self.token else { return true };
        let bearer = headers.get("authorization").and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        let cookies = headers.get(COOKIE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let cookie = cookies.split(';').find_map(|one| one.trim().strip_prefix(COOKIE_NAME)?.strip_prefix('='));
        bearer.into_iter().chain(cookie).any(|told| equal(told, token))
    }

    fn state(&self) -> Value {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let services: Vec<_> = watched.iter_mut().map(|one| one.read(&self.known)).collect();
        json!({"now": clock::now().to_string(), "services": services})
    }
}

/// In a time that doesn't tell how much of it was right.
fn equal(told: &str, token: &str) -> bool {
    let differs = told.bytes().zip(token.bytes()).fold(0, |sum, (a, b)| sum | (a ^ b));
    told.len() == token.len() && differs == 0
}

/// The token comes in the body: it is never part of an address.
async fn login(State(shared): State<Shared>, body: Bytes) -> Response {
    let told = std::str::from_utf8(&body).ok().and_then(|body| body.strip_prefix("token=")).unwrap_or_default();
    let told = decoded(told);
    match &shared.0.token {
        Some(token) if equal(&told, token) => {
            let cookie = format!("{COOKIE_NAME}={token}; HttpOnly; SameSite=Strict; Path=/");
            (StatusCode::SEE_OTHER, [(LOCATION, "/".to_owned()), (SET_COOKIE, cookie)]).into_response()
        }
        _ => (StatusCode::UNAUTHORIZED, [(CONTENT_TYPE, "text/html; charset=utf-8")], LOGIN).into_response(),
    }
}

/// A value of a form: `%41` is A.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        match (first, tail) {
            (b'%', [a, b, after @ ..]) => {
                let digit = |of: &u8| char::from(*of).to_digit(16);
                if let (Some(a), Some(b)) = (digit(a), digit(b)) {
                    bytes.push((a * 16 + b) as u8);
                    rest = after;
                } else {
                    bytes.push(b'%');
                }
            }
            (b'+', _) => bytes.push(b' '),
            (other, _) => bytes.push(*other),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

async fn api_state(State(shared): State<Shared>) -> Response {
    let text = shared.0.state().to_string();
    ([(CONTENT_TYPE, "application/json")], text).into_response()
}

async fn events(State(shared): State<Shared>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let told = stream::unfold((shared, true), |(shared, first)| async move {
        if !first {
            tokio::time::sleep(EVERY).await;
        }
        let event = Event::default().event("state").data(shared.0.state().to_string());
        Some((Ok(event), (shared, false)))
    });
    Sse::new(told).keep_alive(KeepAlive::default())
}

/// What a verdict expects of each strategy: a session's mean return, one deviation to each side.
fn known(path: &std::path::Path) -> Result<BTreeMap<String, Known>> {
    let verdict = StoredVerdict::read(path)?;
    let of = verdict.strategies.iter().map(|strategy| {
        let expected = strategy.expected_returns().map(|(mean, deviation)| Expected {
            mean,
            low: mean - deviation,
            high: mean + deviation,
        });
        let told = json!({"status": strategy.status, "digest": strategy.digest});
        (strategy.strategy.clone(), Known { expected, verdict: Some(told) })
    });
    Ok(of.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_decoded() {
        assert_eq!(decoded("a%2Bb+c%"), "a+b c%");
        assert_eq!(decoded("%zz"), "%zz");
    }

    #[test]
    fn tokens_are_equal_or_not() {
        assert!(equal("abc", "abc"));
        assert!(!equal("abc", "abd") && !equal("ab", "abc") && !equal("", "abc"));
    }
}
