//! The stream of market data: one socket, kept up as well as it can be.
//!
//! A thread connects, subscribes, and passes on what comes, with the time at which it came. When the socket ends or
//! is silent it connects again, later and later. It decides nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use magellan::bar::Symbol;
use magellan::error::{Error, Result};
use serde_json::json;
use tungstenite::Message as Packet;
use ureq::http::Uri;

use super::credentials::Credentials;
use super::messages::{Frame, Message, decode};
use super::socket::{End, Keeper, Protocol, Socket};
use crate::{codes, http};

/// How messages are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// JSON in texts.
    Json,
    /// MessagePack in binaries, which is shorter.
    MessagePack,
}

/// What is listened to.
#[derive(Clone, Debug)]
pub struct Subscription {
    /// `wss://HOST/v2/FEED`, or `ws://` to a loopback number.
    pub address: Uri,
    /// Whose bars, corrected bars and statuses.
    pub symbols: Vec<Symbol>,
    /// How messages are written.
    pub wire: Wire,
    /// Without market data for so long, while some is expected, the socket is taken for dead.
    pub silence: Duration,
}

/// What comes of a stream.
#[derive(Debug)]
pub enum Heard {
    /// All symbols are subscribed: from now on their bars come. What came before this time is to be fetched.
    Up(Timestamp),
    /// Nothing comes any more: why. It connects again by itself.
    Down(String),
    /// A message, and when it came.
    Message(Message, Timestamp),
    /// The keys or the subscription aren't accepted. It tries again much later.
    Over(Error),
}

/// A stream under way; it ends when this is dropped.
pub struct Stream {
    expects: Arc<AtomicBool>,
    _keeper: Keeper,
}

impl Stream {
    /// Begins to listen; what comes is told to `to`, which answers whether it still listens.
    pub fn start(
        subscription: Subscription,
        credentials: Credentials,
        clock: fn() -> Timestamp,
        to: impl Fn(Heard) -> bool + Send + 'static,
    ) -> Self {
        let expects = Arc::new(AtomicBool::new(false));
        let heard = Instant::now();
        let bars = Bars { subscription, credentials, clock, to, expects: expects.clone(), heard };
        Self { expects, _keeper: Keeper::start(bars, clock) }
    }

    /// Says whether market data are expected now. Outside of sessions silence means nothing.
    pub fn expect(&self, data: bool) {
        self.expects.store(data, Ordering::Relaxed);
    }
}

struct Bars<F> {
    subscription: Subscription,
    credentials: Credentials,
    clock: fn() -> Timestamp,
    to: F,
    expects: Arc<AtomicBool>,
    /// When market data came last, or none were expected.
    heard: Instant,
}

impl<F: Fn(Heard) -> bool + Send + 'static> Protocol for Bars<F> {
    fn address(&self) -> &Uri {
        &self.subscription.address
    }

    fn is_binary(&self) -> bool {
        self.subscription.wire == Wire::MessagePack
    }

    fn greet(&mut self, socket: &mut Socket, until: Instant) -> std::result::Result<(), End> {
        let Credentials { key, secret } = &self.credentials;
        self.expect(socket, until, |message| *message == Message::Connected)?;
        self.send(socket, &json!({"action": "auth", "key": key, "secret": secret}))?;
        self.expect(socket, until, |message| *message == Message::Authenticated)?;
        let names: Vec<&str> = self.subscription.symbols.iter().map(Symbol::as_str).collect();
        let asked = json!({"action": "subscribe", "bars": names, "updatedBars": names, "statuses": names});
        self.send(socket, &asked)?;
        let all = |message: &Message| matches!(message, Message::Subscribed(bars) if names.iter().all(|name| bars.iter().any(|bar| bar == name)));
        self.expect(socket, until, all)?;
        self.heard = Instant::now();
        self.tell(Heard::Up((self.clock)()))
    }

    fn hear(&mut self, packet: Packet) -> std::result::Result<(), End> {
        let messages = messages(&packet)?;
        let at = (self.clock)();
        if messages.iter().any(is_data) {
            self.heard = Instant::now();
        }
        for message in messages {
            refusal(&message)?;
            self.tell(Heard::Message(message, at))?;
        }
        Ok(())
    }

    fn look(&mut self) -> std::result::Result<(), End> {
        if !self.expects.load(Ordering::Relaxed) {
            self.heard = Instant::now();
        }
        let silence = self.subscription.silence;
        if self.heard.elapsed() > silence {
            return Err(End::Lost(format!("no market data for {} s", silence.as_secs())));
        }
        Ok(())
    }

    fn down(&mut self, why: String) -> bool {
        (self.to)(Heard::Down(why))
    }

    fn over(&mut self, err: Error) -> bool {
        (self.to)(Heard::Over(err))
    }
}

impl<F: Fn(Heard) -> bool> Bars<F> {
    fn tell(&self, heard: Heard) -> std::result::Result<(), End> {
        if (self.to)(heard) { Ok(()) } else { Err(End::Stopped) }
    }

    fn send(&self, socket: &mut Socket, message: &serde_json::Value) -> std::result::Result<(), End> {
        socket.send(match self.subscription.wire {
            Wire::Json => Packet::text(message.to_string()),
            Wire::MessagePack => Packet::binary(super::messages::to_msgpack(message)),
        })
    }

    /// Waits for a message; others that come before it mean nothing yet.
    fn expect(
        &self,
        socket: &mut Socket,
        until: Instant,
        is_it: impl Fn(&Message) -> bool,
    ) -> std::result::Result<(), End> {
        loop {
            let messages = socket.read()?.map_or(Ok(Vec::new()), |packet| messages(&packet))?;
            messages.iter().try_for_each(refusal)?;
            if messages.iter().any(&is_it) {
                return Ok(());
            }
            if Instant::now() > until {
                return Err(End::Lost("it doesn't let anybody subscribe".to_owned()));
            }
        }
    }
}

fn messages(packet: &Packet) -> std::result::Result<Vec<Message>, End> {
    let decoded = match packet {
        Packet::Text(text) => decode(Frame::Text(text.as_str())),
        Packet::Binary(bytes) => decode(Frame::Binary(bytes)),
        _ => return Ok(Vec::new()),
    };
    decoded.map_err(|err| End::Lost(err.to_string()))
}

/// Market data alone say that a stream lives: a server that only answers pings has forgotten its subscriptions.
fn is_data(message: &Message) -> bool {
    matches!(message, Message::Bar(..) | Message::Updated(..))
}

/// What the server refuses: for ever, or until the next connection.
fn refusal(message: &Message) -> std::result::Result<(), End> {
    let Message::Refused(code, said) = message else { return Ok(()) };
    let what = format!("the stream says {code}, {said}");
    match code {
        // Keys, number of symbols, subscription, feed, scope.
        402 | 405 | 409 | 410 | 411 => Err(End::Over(Error::new(codes::ALPACA_REFUSED, what))),
        _ => Err(End::Lost(what)),
    }
}

/// The address of a feed's stream.
///
/// # Errors
/// Usage error if it is no address that keys may be sent to.
pub fn stream_address(base: &str, feed: &str) -> Result<Uri> {
    socket_address(base, &format!("/v2/{feed}"))
}

/// The address of a socket below a host.
///
/// # Errors
/// Usage error if it is no address that keys may be sent to.
pub(super) fn socket_address(base: &str, path: &str) -> Result<Uri> {
    let http = base.replacen("ws", "http", 1);
    let safe = base.starts_with("ws") && http::safe_uri(&http).is_some_and(|uri| uri.path() == "/");
    let uri: Option<Uri> = format!("{}{path}", base.trim_end_matches('/')).parse().ok();
    uri.filter(|_| safe).ok_or_else(|| {
        let what = "the stream's address is none for keys: wss://HOST, or ws:// to a loopback number";
        Error::new(codes::ENVIRONMENT, what)
    })
}
