//! The stream of market data: one socket, kept up as well as it can be.
//!
//! A thread connects, subscribes, and passes on what comes, with the time at which it came. When the socket ends or
//! is silent it connects again, later and later. It decides nothing.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use magellan::bar::Symbol;
use magellan::error::{Error, Result};
use serde_json::json;
use tungstenite::client::IntoClientRequest;
use tungstenite::http::HeaderValue;
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Message as Packet, WebSocket};
use ureq::http::Uri;

use super::credentials::Credentials;
use super::messages::{Frame, Message, decode};
use crate::{codes, http};

/// A connection stands, with its subscriptions, within this time, or is given up.
const CONNECT: Duration = Duration::from_secs(15);
/// How often a reader looks whether it is to stop or the socket is silent.
const LOOK: Duration = Duration::from_millis(200);
/// First and longest wait before the next connection.
const WAITS: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// The largest frame that is read.
const LARGEST: usize = 16 << 20;

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
    /// It gives up: the keys or the subscription aren't accepted.
    Over(Error),
}

/// A stream under way.
pub struct Stream {
    stop: Arc<AtomicBool>,
    expects: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Stream {
    /// Begins to listen; what comes goes `to` this queue.
    pub fn start(
        subscription: Subscription,
        credentials: Credentials,
        clock: fn() -> Timestamp,
        to: Sender<Heard>,
    ) -> Self {
        let (stop, expects) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let listener = Listener { subscription, credentials, clock, to, stop: stop.clone(), expects: expects.clone() };
        Self { stop, expects, thread: Some(std::thread::spawn(move || listener.listen())) }
    }

    /// Says whether market data are expected now. Outside of sessions silence means nothing.
    pub fn expect(&self, data: bool) {
        self.expects.store(data, Ordering::Relaxed);
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Listener {
    subscription: Subscription,
    credentials: Credentials,
    clock: fn() -> Timestamp,
    to: Sender<Heard>,
    stop: Arc<AtomicBool>,
    expects: Arc<AtomicBool>,
}

type Socket = WebSocket<Box<dyn Connection>>;

trait Connection: Read + Write + Send {}
impl<T: Read + Write + Send> Connection for T {}

/// Why a connection ended.
enum End {
    /// It may stand again: why it doesn't.
    Lost(String),
    /// It will not.
    Over(Error),
    /// Nobody listens any more.
    Stopped,
}

impl From<tungstenite::Error> for End {
    fn from(err: tungstenite::Error) -> Self {
        // A foreign text might hold the address; the kind is enough.
        Self::Lost(match err {
            tungstenite::Error::Io(err) => err.kind().to_string(),
            tungstenite::Error::ConnectionClosed | tungstenite::Error::AlreadyClosed => {
                "the socket was closed".to_owned()
            }
            tungstenite::Error::Http(answer) => format!("status {}", answer.status().as_u16()),
            _ => "it doesn't speak as expected".to_owned(),
        })
    }
}

impl Listener {
    fn listen(self) {
        let (first, longest) = WAITS;
        let mut wait = first;
        loop {
            let begun = Instant::now();
            match self.connection() {
                Err(End::Lost(why)) => {
                    if self.to.send(Heard::Down(why)).is_err() {
                        return;
                    }
                }
                Err(End::Over(err)) => {
                    // Whoever listened may have gone.
                    let _ = self.to.send(Heard::Over(err));
                    return;
                }
                Ok(()) | Err(End::Stopped) => return,
            }
            // One that stood for a while was a good one.
            if begun.elapsed() > longest {
                wait = first;
            }
            if self.sleep(with_jitter(wait, (self.clock)())) {
                return;
            }
            wait = (wait * 2).min(longest);
        }
    }

    /// Waits; whether it is to stop.
    fn sleep(&self, time: Duration) -> bool {
        let until = Instant::now() + time;
        while Instant::now() < until && !self.stop.load(Ordering::Relaxed) {
            std::thread::sleep(LOOK.min(until.saturating_duration_since(Instant::now())));
        }
        self.stop.load(Ordering::Relaxed)
    }

    /// One connection, from its beginning to its end.
    fn connection(&self) -> std::result::Result<(), End> {
        let mut socket = self.connect()?;
        let until = Instant::now() + CONNECT;
        let Credentials { key, secret } = &self.credentials;
        self.expect(&mut socket, until, |message| *message == Message::Connected)?;
        self.send(&mut socket, &json!({"action": "auth", "key": key, "secret": secret}))?;
        self.expect(&mut socket, until, |message| *message == Message::Authenticated)?;
        let names: Vec<&str> = self.subscription.symbols.iter().map(Symbol::as_str).collect();
        let asked = json!({"action": "subscribe", "bars": names, "updatedBars": names, "statuses": names});
        self.send(&mut socket, &asked)?;
        let all = |message: &Message| matches!(message, Message::Subscribed(bars) if names.iter().all(|name| bars.iter().any(|bar| bar == name)));
        self.expect(&mut socket, until, all)?;
        self.tell(Heard::Up((self.clock)()))?;
        let mut heard = Instant::now();
        loop {
            let messages = self.read(&mut socket)?;
            if messages.iter().any(is_data) || !self.expects.load(Ordering::Relaxed) {
                heard = Instant::now();
            }
            for message in messages {
                refusal(&message)?;
                self.tell(Heard::Message(message, (self.clock)()))?;
            }
            if heard.elapsed() > self.subscription.silence {
                let silence = self.subscription.silence.as_secs();
                return Err(End::Lost(format!("no market data for {silence} s")));
            }
        }
    }

    fn tell(&self, heard: Heard) -> std::result::Result<(), End> {
        self.to.send(heard).map_err(|_| End::Stopped)
    }

    fn connect(&self) -> std::result::Result<Socket, End> {
        let address = &self.subscription.address;
        let lost = |err: io::Error| End::Lost(err.kind().to_string());
        let host = address.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_owned();
        let is_tls = address.scheme_str() == Some("wss");
        let port = address.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let at = (host.as_str(), port).to_socket_addrs().map_err(lost)?.next();
        let at = at.ok_or_else(|| End::Lost("its name can't be resolved".to_owned()))?;
        let tcp = TcpStream::connect_timeout(&at, CONNECT).map_err(lost)?;
        tcp.set_nodelay(true).and_then(|()| tcp.set_read_timeout(Some(CONNECT))).map_err(lost)?;
        let reader = tcp.try_clone().map_err(lost)?;
        let stream: Box<dyn Connection> = match is_tls {
            true => Box::new(http::tls_stream(&host, tcp).map_err(End::Lost)?),
            false => Box::new(tcp),
        };
        let mut request = address.to_string().into_client_request()?;
        if self.subscription.wire == Wire::MessagePack {
            request.headers_mut().insert("content-type", HeaderValue::from_static("application/msgpack"));
        }
        let config = WebSocketConfig::default().max_message_size(Some(LARGEST)).max_frame_size(Some(LARGEST));
        let (socket, _) =
            tungstenite::client::client_with_config(request, stream, Some(config)).map_err(|err| match err {
                tungstenite::HandshakeError::Failure(err) => End::from(err),
                tungstenite::HandshakeError::Interrupted(_) => End::Lost("no answer in time".to_owned()),
            })?;
        reader.set_read_timeout(Some(LOOK)).map_err(lost)?;
        Ok(socket)
    }

    fn send(&self, socket: &mut Socket, message: &serde_json::Value) -> std::result::Result<(), End> {
        let packet = match self.subscription.wire {
            Wire::Json => Packet::text(message.to_string()),
            Wire::MessagePack => Packet::binary(super::messages::to_msgpack(message)),
        };
        Ok(socket.send(packet)?)
    }

    /// Waits for a message; others that come before it mean nothing yet.
    fn expect(
        &self,
        socket: &mut Socket,
        until: Instant,
        is_it: impl Fn(&Message) -> bool,
    ) -> std::result::Result<(), End> {
        loop {
            let messages = self.read(socket)?;
            messages.iter().try_for_each(refusal)?;
            if messages.iter().any(&is_it) {
                return Ok(());
            }
            if Instant::now() > until {
                return Err(End::Lost("it doesn't let anybody subscribe".to_owned()));
            }
        }
    }

    /// What has come within a short time: perhaps nothing.
    fn read(&self, socket: &mut Socket) -> std::result::Result<Vec<Message>, End> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(End::Stopped);
        }
        let decoded = match socket.read() {
            Ok(Packet::Text(text)) => decode(Frame::Text(text.as_str())),
            Ok(Packet::Binary(bytes)) => decode(Frame::Binary(&bytes)),
            Ok(_) => return Ok(Vec::new()),
            Err(tungstenite::Error::Io(err)) if is_timeout(&err) => return Ok(Vec::new()),
            Err(err) => return Err(err.into()),
        };
        decoded.map_err(|err| End::Lost(err.to_string()))
    }
}

fn is_timeout(err: &io::Error) -> bool {
    matches!(err.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
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

/// Half of a wait and up to as much again, so that many don't come back at once.
fn with_jitter(wait: Duration, now: Timestamp) -> Duration {
    let part = f64::from(now.subsec_nanosecond().unsigned_abs() % 1_000_000) / 1e6;
    wait.div_f64(2.0) + wait.mul_f64(part / 2.0)
}

/// The address of a feed's stream.
///
/// # Errors
/// Usage error if it is no address that keys may be sent to.
pub fn stream_address(base: &str, feed: &str) -> Result<Uri> {
    let http = base.replacen("ws", "http", 1);
    let safe = base.starts_with("ws") && http::safe_uri(&http).is_some_and(|uri| uri.path() == "/");
    let uri: Option<Uri> = format!("{}/v2/{feed}", base.trim_end_matches('/')).parse().ok();
    uri.filter(|_| safe).ok_or_else(|| {
        let what = "the stream's address is none for keys: wss://HOST, or ws:// to a loopback number";
        Error::new(codes::ENVIRONMENT, what)
    })
}
