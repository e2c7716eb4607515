//! One request to a webhook, in bounded time. No answer and no error holds its address.

use std::io::{self, Read};
use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822;
use ureq::http::Response;
use ureq::{Body, SendBody};

use super::channel::Webhook;
use crate::http::{agent, reason};

/// What became of a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It was taken.
    Delivered,
    /// The service says that it will never take this message: the status.
    Refused(u16),
    /// The service didn't take it now: the status, and how long it wants to be left alone.
    Later(u16, Option<Duration>),
    /// No byte of the message has left: why.
    NotSent(String),
    /// The message was on its way when the connection or the time ended: why.
    Unknown(String),
}

/// The message, which says when its first byte is about to leave.
struct Message<'a> {
    bytes: &'a [u8],
    leaving: Option<&'a mut dyn FnMut() -> io::Result<()>>,
    left: bool,
}

impl Read for Message<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(leaving) = self.leaving.take() {
            leaving()?;
            self.left = true;
        }
        self.bytes.read(buffer)
    }
}

/// Posts `json` to the webhook. `leaving` is called when the connection stands and the message is about to leave; if
/// it fails, nothing leaves. `now` is for answers that say when to come back.
pub(super) fn post(
    to: &Webhook,
    json: &str,
    within: Duration,
    now: Timestamp,
    leaving: &mut dyn FnMut() -> io::Result<()>,
) -> Answer {
    let mut message = Message { bytes: json.as_bytes(), leaving: Some(leaving), left: false };
    let request = agent(to.uri(), within)
        .post(to.uri())
        .header("content-type", "application/json")
        .header("content-length", json.len().to_string());
    match request.send(SendBody::from_reader(&mut message)) {
        Ok(response) => read(&response, now),
        Err(err) if message.left => Answer::Unknown(reason(&err)),
        Err(err) => Answer::NotSent(reason(&err)),
    }
}

fn read(response: &Response<Body>, now: Timestamp) -> Answer {
    match response.status().as_u16() {
        200..=299 => Answer::Delivered,
        status @ (400 | 413 | 422) => Answer::Refused(status),
        status => {
            let header = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
            Answer::Later(status, header.and_then(|text| retry_after(text, now)))
        }
    }
}

/// `Retry-After`: seconds, or a date.
fn retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    let until = |date: &str| {
        let date = rfc2822::parse(date).ok()?.timestamp();
        Some(Duration::try_from(date.duration_since(now)).unwrap_or_default())
    };
    match text.trim().parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok(),
        Err(_) => until(text.trim()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now: Timestamp = "2015-10-21T07:27:00Z".parse().expect("a time");
        let read = |text| retry_after(text, now).map(|wait| wait.as_secs_f64());
        assert_eq!(read("2"), Some(2.0));
        assert_eq!(read("0.25"), Some(0.25));
        assert_eq!(read("Wed, 21 Oct 2015 07:28:00 GMT"), Some(60.0));
        assert_eq!(read("Wed, 21 Oct 2015 07:00:00 GMT"), Some(0.0));
        for wrong in ["", "soon", "-1", "NaN", "inf", "1e300"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
