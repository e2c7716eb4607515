//! A websocket that is kept up as well as it can be: connected, greeted, and connected again when it ends, later and
//! later.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use magellan::error::Error;
use tungstenite::client::IntoClientRequest;
use tungstenite::http::HeaderValue;
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Message as Packet, WebSocket};
use ureq::http::Uri;

use crate::http;

/// A connection stands, with its subscriptions, within this time, or is given up.
pub(super) const CONNECT: Duration = Duration::from_secs(15);
/// How often a reader looks whether it is to stop or the socket is silent.
const LOOK: Duration = Duration::from_millis(200);
/// First and longest wait before the next connection.
const WAITS: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// A silent socket is pinged this often, so that a dead connection is noticed.
const PING: Duration = Duration::from_secs(10);
/// The largest frame that is read.
const LARGEST: usize = 16 << 20;

/// What is spoken over a socket.
pub(super) trait Protocol: Send + 'static {
    /// Where it leads.
    fn address(&self) -> &Uri;
    /// Whether messages are MessagePack, which the handshake says.
    fn is_binary(&self) -> bool;
    /// Says who asks and for what, and waits until that is granted.
    fn greet(&mut self, socket: &mut Socket, until: Instant) -> Result<(), End>;
    /// Something came.
    fn hear(&mut self, packet: Packet) -> Result<(), End>;
    /// Time passes, whether or not something came.
    fn look(&mut self) -> Result<(), End>;
    /// The connection ended: why. Whether anybody still listens.
    fn down(&mut self, why: String) -> bool;
    /// The server refuses for a reason that waiting won't mend. Whether to try it all the same, much later.
    fn over(&mut self, err: Error) -> bool;
}

/// Why a connection ended.
pub(super) enum End {
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

pub(super) trait Connection: Read + Write + Send {}
impl<T: Read + Write + Send> Connection for T {}

/// A connected socket.
pub(super) struct Socket {
    inner: WebSocket<Box<dyn Connection>>,
    stop: Arc<AtomicBool>,
}

impl Socket {
    /// Sends a message.
    pub(super) fn send(&mut self, packet: Packet) -> Result<(), End> {
        Ok(self.inner.send(packet)?)
    }

    /// What comes within a short time, if anything does.
    pub(super) fn read(&mut self) -> Result<Option<Packet>, End> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(End::Stopped);
        }
        match self.inner.read() {
            Ok(packet @ (Packet::Text(_) | Packet::Binary(_))) => Ok(Some(packet)),
            Ok(_) => Ok(None),
            Err(tungstenite::Error::Io(err)) if is_timeout(&err) => Ok(None),
            Err(err) => Err(err.into()),
        }
    }
}

fn is_timeout(err: &io::Error) -> bool {
    matches!(err.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// The thread that keeps a socket up, until this is dropped.
pub(super) struct Keeper {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Begins.
    pub(super) fn start(protocol: impl Protocol, clock: fn() -> Timestamp) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let theirs = stop.clone();
        Self { stop, thread: Some(std::thread::spawn(move || keep_up(protocol, clock, &theirs))) }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn keep_up(mut protocol: impl Protocol, clock: fn() -> Timestamp, stop: &Arc<AtomicBool>) {
    let (first, longest) = WAITS;
    let mut wait = first;
    loop {
        let begun = Instant::now();
        match connection(&mut protocol, stop) {
            Err(End::Lost(why)) => {
                if !protocol.down(why) {
                    return;
                }
            }
            Err(End::Over(err)) => {
                if !protocol.over(err) {
                    return;
                }
                wait = longest;
            }
            Ok(()) | Err(End::Stopped) => return,
        }
        // One that stood for a while was a good one.
        if begun.elapsed() > longest {
            wait = first;
        }
        if sleep(with_jitter(wait, clock()), stop) {
            return;
        }
        wait = (wait * 2).min(longest);
    }
}

/// Waits; whether it is to stop.
fn sleep(time: Duration, stop: &AtomicBool) -> bool {
    let until = Instant::now() + time;
    while Instant::now() < until && !stop.load(Ordering::Relaxed) {
        std::thread::sleep(LOOK.min(until.saturating_duration_since(Instant::now())));
    }
    stop.load(Ordering::Relaxed)
}

/// One connection, from its beginning to its end.
fn connection(protocol: &mut impl Protocol, stop: &Arc<AtomicBool>) -> Result<(), End> {
    let mut socket = connect(protocol, stop)?;
    protocol.greet(&mut socket, Instant::now() + CONNECT)?;
    let mut pinged = Instant::now();
    loop {
        if let Some(packet) = socket.read()? {
            protocol.hear(packet)?;
        }
        protocol.look()?;
        if pinged.elapsed() > PING {
            pinged = Instant::now();
            socket.send(Packet::Ping(tungstenite::Bytes::new()))?;
        }
    }
}

fn connect(protocol: &impl Protocol, stop: &Arc<AtomicBool>) -> Result<Socket, End> {
    let address = protocol.address();
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
    if protocol.is_binary() {
        request.headers_mut().insert("content-type", HeaderValue::from_static("application/msgpack"));
    }
    let config = WebSocketConfig::default().max_message_size(Some(LARGEST)).max_frame_size(Some(LARGEST));
    let (inner, _) =
        tungstenite::client::client_with_config(request, stream, Some(config)).map_err(|err| match err {
            tungstenite::HandshakeError::Failure(err) => End::from(err),
            tungstenite::HandshakeError::Interrupted(_) => End::Lost("no answer in time".to_owned()),
        })?;
    reader.set_read_timeout(Some(LOOK)).map_err(lost)?;
    Ok(Socket { inner, stop: stop.clone() })
}

/// Half of a wait and up to as much again, so that many don't come back at once.
fn with_jitter(wait: Duration, now: Timestamp) -> Duration {
    let part = f64::from(now.subsec_nanosecond().unsigned_abs() % 1_000_000) / 1e6;
    wait.div_f64(2.0) + wait.mul_f64(part / 2.0)
}
