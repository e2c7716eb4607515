//! The stream of trade updates: what happens to the account's orders. It replays nothing, so that after each connection
//! the orders are to be looked at.

use std::time::Instant;

use jiff::Timestamp;
use magellan::error::{Error, Result};
use serde_json::{Value, json};
use tungstenite::Message as Packet;
use ureq::http::Uri;

use super::credentials::Credentials;
use super::orders::Update;
use super::socket::{End, Keeper, Protocol, Socket};
use super::stream::socket_address;
use crate::codes;

/// What comes of trade updates.
#[derive(Debug)]
pub enum News {
    /// From now on they come. What happened before is to be looked up.
    Up,
    /// They don't come any more: why. It connects again by itself.
    Down(String),
    /// One of them, and when it came.
    Update(Box<Update>, Timestamp),
    /// The keys aren't accepted. It tries again much later.
    Over(Error),
}

/// Trade updates under way; they end when this is dropped.
pub struct Updates {
    _keeper: Keeper,
}

impl Updates {
    /// Begins to listen; what comes is told to `to`, which answers whether it still listens.
    pub fn start(
        address: Uri,
        credentials: Credentials,
        clock: fn() -> Timestamp,
        to: impl Fn(News) -> bool + Send + 'static,
    ) -> Self {
        Self { _keeper: Keeper::start(Listener { address, credentials, clock, to }, clock) }
    }
}

/// The address of the trade updates of a trading host: `https://HOST` or `http://` to a loopback number.
///
/// # Errors
/// Usage error if it is no address that keys may be sent to.
pub fn updates_address(trading: &Uri) -> Result<Uri> {
    let base = trading.to_string().replacen("http", "ws", 1);
    socket_address(&base, "/stream")
}

struct Listener<F> {
    address: Uri,
    credentials: Credentials,
    clock: fn() -> Timestamp,
    to: F,
}

impl<F: Fn(News) -> bool + Send + 'static> Protocol for Listener<F> {
    fn address(&self) -> &Uri {
        &self.address
    }

    fn is_binary(&self) -> bool {
        false
    }

    fn greet(&mut self, socket: &mut Socket, until: Instant) -> std::result::Result<(), End> {
        let Credentials { key, secret } = &self.credentials;
        socket.send(Packet::text(json!({"action": "auth", "key": key, "secret": secret}).to_string()))?;
        let status = |value: &Value| value["data"]["status"].as_str().map(str::to_owned);
        let answer = wait(socket, until, |value| value["stream"] == "authorization")?;
        if status(&answer).as_deref() != Some("authorized") {
            let what = "the stream of trade updates doesn't accept the keys";
            return Err(End::Over(Error::new(codes::ALPACA_KEYS, what)));
        }
        let listen = json!({"action": "listen", "data": {"streams": ["trade_updates"]}});
        socket.send(Packet::text(listen.to_string()))?;
        let listens = |value: &Value| {
            let streams = value["data"]["streams"].as_array();
            value["stream"] == "listening" && streams.is_some_and(|streams| streams.contains(&json!("trade_updates")))
        };
        wait(socket, until, listens)?;
        self.tell(News::Up)
    }

    fn hear(&mut self, packet: Packet) -> std::result::Result<(), End> {
        let mut value = value(&packet)?;
        if value["stream"] != "trade_updates" {
            return Ok(());
        }
        let at = (self.clock)();
        match serde_json::from_value(value["data"].take()) {
            Ok(update) => self.tell(News::Update(Box::new(update), at)),
            // Whatever it was, looking at the orders tells.
            Err(_) => self.tell(News::Up),
        }
    }

    fn look(&mut self) -> std::result::Result<(), End> {
        Ok(())
    }

    fn down(&mut self, why: String) -> bool {
        (self.to)(News::Down(why))
    }

    fn over(&mut self, err: Error) -> bool {
        (self.to)(News::Over(err))
    }
}

impl<F: Fn(News) -> bool> Listener<F> {
    fn tell(&self, news: News) -> std::result::Result<(), End> {
        if (self.to)(news) { Ok(()) } else { Err(End::Stopped) }
    }
}

/// Paper accounts send JSON in binary frames.
fn value(packet: &Packet) -> std::result::Result<Value, End> {
    let read = match packet {
        Packet::Text(text) => serde_json::from_str(text.as_str()),
        Packet::Binary(bytes) => serde_json::from_slice(bytes),
        _ => return Ok(Value::Null),
    };
    read.map_err(|_| End::Lost("a frame isn't JSON".to_owned()))
}

fn wait(socket: &mut Socket, until: Instant, is_it: impl Fn(&Value) -> bool) -> std::result::Result<Value, End> {
    loop {
        if let Some(packet) = socket.read()? {
            let value = value(&packet)?;
            if is_it(&value) {
                return Ok(value);
            }
        }
        if Instant::now() > until {
            return Err(End::Lost("it doesn't let anybody listen".to_owned()));
        }
    }
}
