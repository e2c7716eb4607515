//! Messages of the stream of market data: arrays, as JSON in texts or as MessagePack in binaries.
//!
//! What isn't known is passed over, since Alpaca adds kinds and fields. What is known must be whole.

use jiff::Timestamp;
use magellan::bar::{Bar, Nanos, Symbol, Timeframe};
use magellan::error::{Error, Result};
use serde_json::{Map, Value, json};

use crate::codes;

/// What came over the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame<'f> {
    /// JSON.
    Text(&'f str),
    /// MessagePack.
    Binary(&'f [u8]),
}

/// One message of the stream.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// The connection stands.
    Connected,
    /// The keys were accepted.
    Authenticated,
    /// What is subscribed to now, always the full set: symbols of minute bars.
    Subscribed(Vec<String>),
    /// The server refuses something: its code and what it says.
    Refused(i64, String),
    /// A minute's bar, right after its end.
    Bar(Symbol, Bar),
    /// A bar again, with trades that were reported late.
    Updated(Symbol, Bar),
    /// Trading of a symbol stops or goes on.
    Status {
        /// The symbol.
        symbol: Symbol,
        /// Whether it may be traded.
        trades: bool,
        /// The exchange's code and reason.
        reason: String,
        /// When, nanoseconds UTC.
        at: Nanos,
    },
    /// A kind that isn't known.
    Other(String),
}

/// The messages of a frame.
///
/// # Errors
/// Data error if it is no array of messages, or a message that is known lacks something.
pub fn decode(frame: Frame<'_>) -> Result<Vec<Message>> {
    let value = match frame {
        Frame::Text(text) => serde_json::from_str(text).map_err(|e| unlike(&e.to_string()))?,
        Frame::Binary(bytes) => from_msgpack(bytes)?,
    };
    let Value::Array(messages) = value else { return Err(unlike("it is no array")) };
    messages.into_iter().map(message).collect()
}

fn message(value: Value) -> Result<Message> {
    let Value::Object(fields) = value else { return Err(unlike("a message is no object")) };
    let fields = Fields(fields);
    Ok(match (fields.text("T")?, fields.0.get("msg").and_then(Value::as_str)) {
        ("success", Some("connected")) => Message::Connected,
        ("success", Some("authenticated")) => Message::Authenticated,
        ("subscription", _) => Message::Subscribed(fields.texts("bars")?),
        ("error", said) => {
            let code = fields.0.get("code").and_then(Value::as_i64).ok_or_else(|| unlike("an error has no code"))?;
            Message::Refused(code, said.unwrap_or_default().to_owned())
        }
        ("b", _) => Message::Bar(fields.symbol()?, fields.bar()?),
        ("u", _) => Message::Updated(fields.symbol()?, fields.bar()?),
        ("s", _) => {
            let code = fields.text("sc")?;
            let said = |name: &str| fields.0.get(name).and_then(Value::as_str).unwrap_or_default();
            Message::Status {
                symbol: fields.symbol()?,
                trades: trades(code)?,
                reason: format!("{code} {} {} {}", said("sm"), said("rc"), said("rm")).trim_end().to_owned(),
                at: fields.time("t")?,
            }
        }
        (other, _) => Message::Other(other.to_owned()),
    })
}

/// Whether a symbol of this status may be traded: tapes A and B say 2 and 3, tape C letters. One that isn't known stops
/// trading.
fn trades(code: &str) -> Result<bool> {
    match code {
        "" => Err(unlike("a status has no code")),
        "3" | "T" => Ok(true),
        _ => Ok(false),
    }
}

/// The fields of a message.
struct Fields(Map<String, Value>);

impl Fields {
    fn text(&self, name: &str) -> Result<&str> {
        self.0.get(name).and_then(Value::as_str).ok_or_else(|| lacks(name))
    }

    fn texts(&self, name: &str) -> Result<Vec<String>> {
        let Some(all) = self.0.get(name) else { return Ok(Vec::new()) };
        let all = all.as_array().ok_or_else(|| lacks(name))?;
        all.iter().map(|text| text.as_str().map(str::to_owned).ok_or_else(|| lacks(name))).collect()
    }

    fn symbol(&self) -> Result<Symbol> {
        self.text("S")?.parse().map_err(|_| lacks("S"))
    }

    fn number(&self, name: &str) -> Result<f64> {
        self.0.get(name).and_then(Value::as_f64).filter(|number| number.is_finite()).ok_or_else(|| lacks(name))
    }

    fn time(&self, name: &str) -> Result<Nanos> {
        let at: Timestamp = self.text(name)?.parse().map_err(|_| lacks(name))?;
        Nanos::try_from(at.as_nanosecond()).map_err(|_| lacks(name))
    }

    fn bar(&self) -> Result<Bar> {
        let start = self.time("t")?;
        let [open, high, low, close] = [self.number("o")?, self.number("h")?, self.number("l")?, self.number("c")?];
        let volume = self.number("v")?;
        let within = |price: f64| (low..=high).contains(&price);
        let whole = low > 0.0 && within(open) && within(close) && volume >= 0.0 && Timeframe::Minute.starts_at(start);
        match whole {
            true => Ok(Bar { start, end: start + Timeframe::Minute.width(), open, high, low, close, volume }),
            false => Err(unlike("a bar contradicts itself, or starts inside a minute")),
        }
    }
}

/// A message to Alpaca as MessagePack.
pub(super) fn to_msgpack(message: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    // Texts and arrays of texts, into memory: neither fails.
    if let Ok(value) = rmpv::ext::to_value(message) {
        let _ = rmpv::encode::write_value(&mut bytes, &value);
    }
    bytes
}

/// MessagePack as JSON; a time stamp becomes the text that JSON has for it.
fn from_msgpack(bytes: &[u8]) -> Result<Value> {
    let mut rest = bytes;
    let value = rmpv::decode::read_value_with_max_depth(&mut rest, 16).map_err(|e| unlike(&e.to_string()))?;
    match rest.is_empty() {
        true => as_json(value),
        false => Err(unlike("something follows its end")),
    }
}

fn as_json(value: rmpv::Value) -> Result<Value> {
    use rmpv::Value as V;
    Ok(match value {
        V::Nil => Value::Null,
        V::Boolean(of) => json!(of),
        V::Integer(of) => of.as_i64().map(|n| json!(n)).or_else(|| of.as_u64().map(|n| json!(n))).unwrap_or_default(),
        V::F32(of) => json!(of),
        V::F64(of) => json!(of),
        V::String(of) => json!(of.into_str().ok_or_else(|| unlike("a text isn't UTF-8"))?),
        V::Binary(_) => Value::Null,
        V::Array(all) => Value::Array(all.into_iter().map(as_json).collect::<Result<_>>()?),
        V::Map(pairs) => {
            let pair = |(key, value): (V, V)| {
                let key = key.as_str().ok_or_else(|| unlike("a field's name is no text"))?.to_owned();
                Ok((key, as_json(value)?))
            };
            Value::Object(pairs.into_iter().map(pair).collect::<Result<_>>()?)
        }
        V::Ext(-1, bytes) => json!(time_stamp(&bytes).ok_or_else(|| unlike("a time stamp can't be read"))?.to_string()),
        V::Ext(..) => Value::Null,
    })
}

/// MessagePack's time stamp of 4, 8 or 12 bytes.
fn time_stamp(bytes: &[u8]) -> Option<Timestamp> {
    let number = |bytes: &[u8]| bytes.iter().fold(0u64, |sum, byte| (sum << 8) | u64::from(*byte));
    let (seconds, nanos) = match bytes.len() {
        4 => (i64::try_from(number(bytes)).ok()?, 0),
        8 => (i64::try_from(number(bytes) & ((1 << 34) - 1)).ok()?, number(bytes) >> 34),
        12 => (i64::from_be_bytes(bytes[4..].try_into().ok()?), number(&bytes[..4])),
        _ => return None,
    };
    Timestamp::new(seconds, i32::try_from(nanos).ok().filter(|nanos| *nanos < 1_000_000_000)?).ok()
}

fn lacks(name: &str) -> Error {
    unlike(&format!("its field `{name}` is missing or can't be read"))
}

fn unlike(what: &str) -> Error {
    Error::new(codes::ALPACA_ANSWER, format!("a message of the stream: {what}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{ProptestConfig, any, prop, prop_assert_eq, proptest};

    use super::*;

    fn one(text: &str) -> Result<Message> {
        Ok(decode(Frame::Text(text))?.remove(0))
    }

    #[test]
    fn the_documented_messages_are_understood() {
        let cases = [
            (r#"[{"T":"success","msg":"connected"}]"#, Message::Connected),
            (r#"[{"T":"success","msg":"authenticated"}]"#, Message::Authenticated),
            (
                r#"[{"T":"error","code":406,"msg":"connection limit exceeded"}]"#,
                Message::Refused(406, "connection limit exceeded".into()),
            ),
            (
                r#"[{"T":"subscription","trades":[],"bars":["AMC"],"lulds":[]}]"#,
                Message::Subscribed(vec!["AMC".into()]),
            ),
            (r#"[{"T":"new kind","x":1}]"#, Message::Other("new kind".into())),
        ];
        for (text, message) in cases {
            assert_eq!(one(text).expect("understood"), message);
        }
        let halt =
            r#"[{"T":"s","S":"AMC","sc":"H","sm":"Halted","rc":"T12","rm":"x","t":"2024-06-28T14:00:00.5Z","z":"A"}]"#;
        assert!(matches!(one(halt), Ok(Message::Status { trades: false, .. })));
        assert!(matches!(one(&halt.replace("\"H\"", "\"3\"")), Ok(Message::Status { trades: true, .. })));
        assert!(matches!(one(&halt.replace("\"H\"", "\"Z\"")), Ok(Message::Status { trades: false, .. })));
    }

    #[test]
    fn a_bar_that_contradicts_itself_is_refused() {
        let bar =
            r#"[{"T":"b","S":"AMC","o":5,"h":5.5,"l":4.5,"c":5,"v":100,"t":"2024-06-28T14:00:00Z","n":3,"vw":5}]"#;
        let Ok(Message::Bar(symbol, read)) = one(bar) else { panic!("no bar") };
        assert_eq!((symbol.as_str(), read.high, read.end - read.start), ("AMC", 5.5, 60_000_000_000));
        let wrong = [
            (r#""h":5.5"#, r#""h":4.9"#),
            (r#""l":4.5"#, r#""l":-1"#),
            (r#""v":100"#, r#""v":-1"#),
            (r#""t":"2024-06-28T14:00:00Z""#, r#""t":"2024-06-28T14:00:01Z""#),
            (r#""c":5,"#, ""),
            (r#""S":"AMC""#, r#""S":"""#),
            (r#""o":5"#, r#""o":"5""#),
        ];
        for (from, to) in wrong {
            assert!(bar.contains(from) && one(&bar.replace(from, to)).is_err(), "{from} as {to}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        /// Both forms of a message mean the same.
        #[test]
        fn a_bar_is_the_same_in_json_and_in_msgpack(minute in 0i64..3_000_000, cents in 100u32..100_000, volume in any::<u32>()) {
            let (at, price) = (minute * 60, f64::from(cents) / 100.0);
            let time = Timestamp::from_second(at).expect("a time");
            let text = format!(r#"[{{"T":"u","S":"AMC","o":{price},"h":{price},"l":{price},"c":{price},"v":{volume},"t":"{time}"}}]"#);
            let pair = |name: &str, value: rmpv::Value| (rmpv::Value::from(name), value);
            let stamp = rmpv::Value::Ext(-1, u32::try_from(at).expect("before 2106").to_be_bytes().to_vec());
            let prices = ["o", "h", "l", "c"].map(|name| pair(name, price.into()));
            let mut pairs = vec![pair("T", "u".into()), pair("S", "AMC".into()), pair("v", volume.into()), pair("t", stamp)];
            pairs.extend(prices);
            let mut bytes = Vec::new();
            rmpv::encode::write_value(&mut bytes, &rmpv::Value::Array(vec![rmpv::Value::Map(pairs)])).expect("written");
            prop_assert_eq!(decode(Frame::Binary(&bytes)).expect("msgpack"), decode(Frame::Text(&text)).expect("JSON"));
        }

        /// Nothing that comes over a socket ends the process.
        #[test]
        fn any_bytes_are_messages_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(Frame::Binary(&bytes));
            let _ = decode(Frame::Text(&String::from_utf8_lossy(&bytes)));
        }
    }

    #[test]
    fn time_stamps_of_every_length_are_read() {
        let at = Timestamp::new(1_719_583_200, 500).expect("a time");
        let eight = (500u64 << 34) | 1_719_583_200;
        assert_eq!(time_stamp(&eight.to_be_bytes()), Some(at));
        let mut twelve = 500u32.to_be_bytes().to_vec();
        twelve.extend(1_719_583_200i64.to_be_bytes());
        assert_eq!(time_stamp(&twelve), Some(at));
        assert_eq!(time_stamp(&[1, 2, 3]), None);
    }
}
