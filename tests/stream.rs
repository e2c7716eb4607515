//! The stream of market data against a stand-in for Alpaca's, which drops, falls silent and refuses.

use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use jiff::Timestamp;
use magellan_shell::alpaca::Credentials;
use magellan_shell::alpaca::messages::Message;
use magellan_shell::alpaca::stream::{Heard, Stream, Subscription, Wire, stream_address};
use serde_json::{Value, json};
use tungstenite::handshake::server::{Request, Response};
use tungstenite::{Message as Packet, WebSocket};

/// A socket on the server's side, which speaks as its client asked.
struct Server {
    socket: WebSocket<TcpStream>,
    binary: bool,
}

impl Server {
    /// The next client.
    #[expect(clippy::result_large_err, reason = "the callback's signature is tungstenite's")]
    fn accept(listener: &TcpListener) -> Self {
        let (tcp, _) = listener.accept().expect("a client");
        tcp.set_read_timeout(Some(Duration::from_secs(10))).expect("set");
        let mut binary = false;
        let asks = |request: &Request, response: Response| {
            binary = request.headers().get("content-type").is_some_and(|kind| kind == "application/msgpack");
            Ok(response)
        };
        let socket = tungstenite::accept_hdr(tcp, asks).expect("a handshake");
        Self { socket, binary }
    }

    fn say(&mut self, message: &Value) {
        let packet = match self.binary {
            true => {
                let mut bytes = Vec::new();
                rmpv::encode::write_value(&mut bytes, &rmpv::ext::to_value(message).expect("a value"))
                    .expect("written");
                Packet::binary(bytes)
            }
            false => Packet::text(message.to_string()),
        };
        self.socket.send(packet).expect("sent");
    }

    fn hears(&mut self) -> Value {
        match self.socket.read().expect("a message") {
            Packet::Text(text) => serde_json::from_str(&text).expect("JSON"),
            Packet::Binary(bytes) => {
                let value = rmpv::decode::read_value(&mut &bytes[..]).expect("MessagePack");
                rmpv::ext::from_value(value).expect("a value")
            }
            other => panic!("{other}"),
        }
    }

    /// As the documentation says: connected, authenticated, subscribed.
    fn begin(&mut self) {
        self.say(&json!([{"T": "success", "msg": "connected"}]));
        assert_eq!(self.hears(), json!({"action": "auth", "key": "PKTEST", "secret": "verysecret"}));
        self.say(&json!([{"T": "success", "msg": "authenticated"}]));
        let asked = self.hears();
        assert_eq!(asked, json!({"action": "subscribe", "bars": ["AMC"], "updatedBars": ["AMC"], "statuses": ["AMC"]}));
        self.say(&json!([{"T": "subscription", "trades": [], "bars": ["AMC"], "updatedBars": ["AMC"]}]));
    }

    fn bar(&mut self, minute: &str) {
        let bar = json!({"T": "b", "S": "AMC", "o": 5, "h": 5, "l": 5, "c": 5, "v": 9, "n": 1, "vw": 5, "t": minute});
        self.say(&json!([bar]));
    }
}

fn keys() -> Credentials {
    let of = |name: &str| Some(if name.ends_with("ID") { "PKTEST" } else { "verysecret" }.into());
    Credentials::from_environment(&of).expect("keys")
}

fn listen(wire: Wire, silence: Duration) -> (TcpListener, Stream, Receiver<Heard>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let base = format!("ws://{}", listener.local_addr().expect("an address"));
    let address = stream_address(&base, "sip").expect("an address");
    let (sender, receiver) = channel();
    let subscription = Subscription { address, symbols: vec!["AMC".parse().expect("a symbol")], wire, silence };
    let stream = Stream::start(subscription, keys(), Timestamp::now, move |heard| sender.send(heard).is_ok());
    (listener, stream, receiver)
}

fn next(receiver: &Receiver<Heard>) -> Heard {
    receiver.recv_timeout(Duration::from_secs(10)).expect("something is heard")
}

fn is_bar(heard: &Heard) -> bool {
    matches!(heard, Heard::Message(Message::Bar(symbol, bar), _) if symbol.as_str() == "AMC" && bar.close == 5.0)
}

#[test]
fn a_stream_that_drops_stands_again_and_subscribes_again() {
    for wire in [Wire::Json, Wire::MessagePack] {
        let (listener, _stream, heard) = listen(wire, Duration::from_secs(60));
        let mut server = Server::accept(&listener);
        server.begin();
        assert!(matches!(next(&heard), Heard::Up(_)));
        server.bar("2024-06-28T13:30:00Z");
        assert!(is_bar(&next(&heard)));
        // In the middle of nothing, without a goodbye.
        drop(server);
        assert!(matches!(next(&heard), Heard::Down(_)));
        let mut server = Server::accept(&listener);
        server.begin();
        assert!(matches!(next(&heard), Heard::Up(_)));
        server.bar("2024-06-28T13:31:00Z");
        assert!(is_bar(&next(&heard)));
    }
}

#[test]
fn a_socket_that_is_open_and_silent_is_taken_for_dead_only_while_data_are_expected() {
    let (listener, stream, heard) = listen(Wire::Json, Duration::from_secs(1));
    let mut server = Server::accept(&listener);
    server.begin();
    assert!(matches!(next(&heard), Heard::Up(_)));
    assert!(heard.recv_timeout(Duration::from_secs(3)).is_err(), "outside of a session silence means nothing");
    stream.expect(true);
    // Pings aren't market data.
    server.socket.send(Packet::Ping(Vec::new().into())).expect("sent");
    assert!(matches!(next(&heard), Heard::Down(why) if why.contains("no market data for 1 s")));
}

#[test]
fn a_full_server_is_asked_again_and_refused_keys_end_it() {
    let (listener, _stream, heard) = listen(Wire::Json, Duration::from_secs(60));
    let mut server = Server::accept(&listener);
    server.say(&json!([{"T": "success", "msg": "connected"}]));
    server.hears();
    server.say(&json!([{"T": "error", "code": 406, "msg": "connection limit exceeded"}]));
    assert!(matches!(next(&heard), Heard::Down(why) if why.contains("406")));
    let mut server = Server::accept(&listener);
    server.say(&json!([{"T": "success", "msg": "connected"}]));
    server.hears();
    server.say(&json!([{"T": "error", "code": 402, "msg": "auth failed"}]));
    let Heard::Over(err) = next(&heard) else { panic!("it goes on") };
    assert!(err.to_string().contains("402") && !err.to_string().contains("verysecret"), "{err}");
    assert!(heard.recv_timeout(Duration::from_secs(10)).is_err(), "it has ended");
}

#[test]
fn a_subscription_that_lacks_a_symbol_is_none_and_an_unreadable_frame_is_a_new_beginning() {
    let (listener, _stream, heard) = listen(Wire::Json, Duration::from_secs(60));
    let mut server = Server::accept(&listener);
    server.begin();
    assert!(matches!(next(&heard), Heard::Up(_)));
    server.socket.send(Packet::text("<html>")).expect("sent");
    assert!(matches!(next(&heard), Heard::Down(_)));
    let mut server = Server::accept(&listener);
    server.say(&json!([{"T": "success", "msg": "connected"}]));
    server.hears();
    server.say(&json!([{"T": "success", "msg": "authenticated"}]));
    server.hears();
    server.say(&json!([{"T": "subscription", "bars": [], "updatedBars": ["AMC"]}]));
    server.say(&json!([{"T": "error", "code": 407, "msg": "slow client"}]));
    assert!(matches!(next(&heard), Heard::Down(why) if why.contains("407")));
}

#[test]
fn keys_go_over_tls_or_to_this_machine_only() {
    for good in ["wss://stream.data.alpaca.markets", "ws://127.0.0.1:80"] {
        assert!(stream_address(good, "sip").is_ok(), "{good}");
    }
    for bad in ["ws://stream.data.alpaca.markets", "https://stream.data.alpaca.markets", "wss://u@h", ""] {
        assert!(stream_address(bad, "sip").is_err(), "{bad}");
    }
}
