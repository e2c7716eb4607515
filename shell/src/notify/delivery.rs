//! Delivery: each channel's events in their order, until none is left or time is up.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use magellan::error::{Error, Result};

use super::channel::{Channel, Channels, Webhook};
use super::outbox::{Entry, LIFETIME, MOST_UNANSWERED, Outbox, Queue, short};
use super::payload::payload;
use super::post::{Answer, post};

/// The longest that one request may take.
const REQUEST: Duration = Duration::from_secs(10);
/// The least time that is worth a request.
const LEAST: Duration = Duration::from_millis(100);
/// The longest wait between two tries that no service asked for, seconds.
const LONGEST_WAIT: i64 = 60;

/// What became of a channel's events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The channel.
    pub channel: Channel,
    /// Events delivered by this call.
    pub delivered: usize,
    /// Events that still wait.
    pub waiting: usize,
    /// What didn't work: a sentence each.
    pub notes: Vec<String>,
}

impl Report {
    /// Whether nothing waits and nothing went wrong.
    pub fn is_well(&self) -> bool {
        self.waiting == 0 && self.notes.is_empty()
    }

    /// What didn't work, in one line, if anything didn't.
    pub fn note(&self) -> Option<String> {
        let waiting = (self.waiting > 0).then(|| format!("{} still waiting", self.waiting));
        let parts: Vec<String> = self.notes.iter().cloned().chain(waiting).collect();
        (!parts.is_empty()).then(|| format!("{}: {}", self.channel.name(), parts.join(", ")))
    }
}

/// Delivers what waits, to all channels at once, for at most `patience` in all. Channels that aren't set up are left
/// alone.
pub fn deliver(outbox: &Outbox<'_>, channels: &Channels, patience: Duration) -> Vec<Report> {
    let deadline = Instant::now() + patience;
    std::thread::scope(|scope| {
        let start = |(channel, to)| {
            let report = move || Delivery::new(outbox, channel, to, deadline).run();
            (channel, scope.spawn(report))
        };
        let threads: Vec<_> = channels.iter().map(start).collect();
        let died = |channel| Report { channel, delivered: 0, waiting: 0, notes: vec!["the delivery died".to_owned()] };
        threads.into_iter().map(|(channel, thread)| thread.join().unwrap_or_else(|_| died(channel))).collect()
    })
}

/// One channel's delivery.
struct Delivery<'a> {
    outbox: &'a Outbox<'a>,
    queue: Queue,
    to: &'a Webhook,
    deadline: Instant,
    report: Report,
    /// Why the last try failed, which is of no interest once another succeeds.
    trouble: Option<String>,
}

impl<'a> Delivery<'a> {
    fn new(outbox: &'a Outbox<'a>, channel: Channel, to: &'a Webhook, deadline: Instant) -> Self {
        let report = Report { channel, delivered: 0, waiting: 0, notes: Vec::new() };
        Self { outbox, queue: outbox.queue(channel), to, deadline, report, trouble: None }
    }

    fn run(mut self) -> Report {
        if let Err(err) = self.all() {
            self.report.notes.push(err.what().to_owned());
        }
        self.report.notes.extend(self.trouble);
        self.report.waiting = self.queue.count();
        self.report
    }

    fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    fn all(&mut self) -> Result<()> {
        let Some(_lock) = self.queue.lock(self.deadline)? else { return Ok(()) };
        self.queue.prune(self.outbox.now())?;
        while let Some((id, entry)) = self.next()? {
            // Those behind it wait, too: people read them in their order, and the service wants to be left alone.
            let wait = pause(&entry, self.outbox.now());
            if wait + LEAST > self.left() {
                break;
            }
            std::thread::sleep(wait);
            self.one(&id, entry)?;
        }
        Ok(())
    }

    /// The oldest event that may still be sent.
    fn next(&mut self) -> Result<Option<(String, Entry)>> {
        let now = self.outbox.now();
        for (id, entry) in self.queue.waiting(&mut self.report.notes)? {
            let age = now.duration_since(entry.event.at);
            if entry.unanswered >= MOST_UNANSWERED {
                self.drop(&id, &entry, "two messages weren't answered; it may have been shown")?;
            } else if age > LIFETIME {
                self.drop(&id, &entry, "a day has passed")?;
            } else {
                return Ok(Some((id, entry)));
            }
        }
        Ok(None)
    }

    fn drop(&mut self, id: &str, entry: &Entry, why: &str) -> Result<()> {
        self.report.notes.push(format!("dropped `{}` ({}): {why}", entry.event.kind.words(), short(id)));
        self.queue.dropped(id)
    }

    /// Sends one event, and writes down what became of it.
    fn one(&mut self, id: &str, entry: Entry) -> Result<()> {
        let sending = Entry { tries: entry.tries + 1, unanswered: entry.unanswered + 1, ..entry.clone() };
        match self.send(id, &entry, &sending) {
            Answer::Delivered => {
                self.report.delivered += 1;
                self.trouble = None;
                self.queue.delivered(id)
            }
            Answer::Refused(status) => self.drop(id, &entry, &format!("refused with status {status}")),
            Answer::Later(status, asked) => {
                self.trouble = Some(format!("answered with status {status}"));
                self.again(id, Entry { unanswered: entry.unanswered, ..sending }, asked)
            }
            Answer::NotSent(why) => {
                self.trouble = Some(why);
                self.again(id, Entry { unanswered: entry.unanswered, ..sending }, None)
            }
            Answer::Unknown(why) => {
                self.trouble = Some(why);
                self.again(id, sending, None)
            }
        }
    }

    fn send(&self, id: &str, entry: &Entry, sending: &Entry) -> Answer {
        let json = payload(self.report.channel, &entry.event, entry.unanswered > 0).to_string();
        let mut leaving =
            || self.queue.write(id, sending).map_err(|e: Error| std::io::Error::other(e.what().to_owned()));
        post(self.to, &json, self.left().min(REQUEST), self.outbox.now(), &mut leaving)
    }

    /// Keeps it for another try: when the service asked for, or after a wait that doubles.
    fn again(&mut self, id: &str, entry: Entry, asked: Option<Duration>) -> Result<()> {
        let own = SignedDuration::from_secs(LONGEST_WAIT.min(1 << entry.tries.saturating_sub(1).min(10)));
        let wait =
            asked.and_then(|asked| SignedDuration::try_from(asked).ok()).map_or(own, |asked| asked.min(LIFETIME));
        let not_before = self.outbox.now().checked_add(wait).ok();
        self.queue.write(id, &Entry { not_before, ..entry })
    }
}

/// How long to wait before the next try. A time further away than any wait leads to is a clock that was set back.
fn pause(entry: &Entry, now: Timestamp) -> Duration {
    let wait = entry.not_before.map_or(SignedDuration::ZERO, |at| at.duration_since(now));
    if wait > LIFETIME { Duration::ZERO } else { Duration::try_from(wait).unwrap_or_default() }
}
