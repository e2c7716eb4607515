//! What the dashboard shows: read from the services' folders of state, and nothing else. It writes nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use magellan::bar::{Date, iso_utc};
use magellan::disk::map::{self, Access};
use magellan::error::{Error, Result};
use magellan::live::desk::Desk;
use magellan::live::lifecycle::Message;
use magellan::live::record::Record;
use magellan::runner::Broker as _;
use serde::Serialize;
use serde_json::Value;

use crate::codes;
use crate::release::heartbeat::{HEARTBEAT, Heartbeat};
use crate::service::live::journal::PARITY;
use crate::service::live::replay::Followed;

/// The most of each list that is shown.
const TAIL: usize = 40;
/// Sessions whose equity is shown.
const SESSIONS: usize = 500;
/// Lines of the log, and how much of its file is read.
const LOG_LINES: usize = 200;
const LOG_BYTES: usize = 64 << 10;
const LARGEST: u64 = 1 << 20;

/// A service.
#[derive(Debug, Default, Serialize)]
pub(super) struct Service {
    strategy: String,
    state_dir: String,
    #[serde(flatten)]
    heartbeat: Option<Beat>,
    capital: Option<f64>,
    equity: Option<f64>,
    day_profit: Option<f64>,
    expected: Option<Expected>,
    equity_by_session: Vec<(Date, f64)>,
    positions: Vec<Position>,
    orders: Vec<Order>,
    decisions_tail: Vec<Decision>,
    fills_tail: Vec<Fill>,
    parity: Option<Value>,
    verdict: Option<Value>,
    log: Vec<String>,
    fault: Option<String>,
}

#[derive(Debug, Serialize)]
struct Beat {
    environment: Option<String>,
    release: Option<String>,
    phase: &'static str,
    why: String,
    pid: u32,
    started_at: f64,
    written_at: f64,
    last_bar: Option<String>,
    last_decision: Option<String>,
    decisions: u64,
    errors: u64,
    starts: u64,
}

/// The interval in which two of three sessions' returns lie, by the verdict.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Expected {
    pub(super) mean: f64,
    pub(super) low: f64,
    pub(super) high: f64,
}

#[derive(Debug, Serialize)]
struct Position {
    symbol: String,
    shares: i64,
    entry_price: f64,
    last_close: Option<f64>,
    unrealised: Option<f64>,
    protected: bool,
}

#[derive(Debug, Serialize)]
struct Order {
    id: String,
    symbol: String,
    side: &'static str,
    shares: u64,
    filled: u64,
    form: String,
    state: String,
}

#[derive(Clone, Debug, Serialize)]
struct Decision {
    bar: String,
    symbol: String,
    order: String,
    answer: String,
}

#[derive(Clone, Debug, Serialize)]
struct Fill {
    at: String,
    id: String,
    shares: u64,
    price: f64,
}

/// What is told of a service besides its folder.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    pub(super) expected: Option<Expected>,
    pub(super) verdict: Option<Value>,
}

/// A service that is watched.
pub(super) struct Watched {
    state: PathBuf,
    journal: Followed,
    seen: Seen,
}

/// What its journal has told so far.
#[derive(Default)]
struct Seen {
    why: String,
    before: Option<f64>,
    equity_by_session: Vec<(Date, f64)>,
    decisions: Vec<Decision>,
    fills: Vec<Fill>,
}

impl Watched {
    /// The service with this folder of state.
    pub(super) fn new(state: &Path) -> Self {
        Self { state: state.to_owned(), journal: Followed::new(state), seen: Seen::default() }
    }

    /// The service as it is now.
    pub(super) fn read(&mut self, known: &BTreeMap<String, Known>) -> Service {
        let mut service = Service { state_dir: self.state.display().to_string(), ..Service::default() };
        if let Err(err) = self.fill(&mut service) {
            service.fault = Some(err.to_string());
        }
        if let Some(known) = known.get(&service.strategy) {
            service.expected = known.expected;
            service.verdict.clone_from(&known.verdict);
        }
        service
    }

    fn fill(&mut self, service: &mut Service) -> Result<()> {
        let beat: Heartbeat = json(&self.state.join(HEARTBEAT))?;
        service.strategy.clone_from(&beat.identity.strategy);
        service.parity = json(&self.state.join(PARITY).join("latest.json")).ok();
        service.log = log(&self.state, &service.strategy);
        let seen = &mut self.seen;
        self.journal.read(|record, desk| seen.see(record, desk))?;
        service.equity_by_session.clone_from(&seen.equity_by_session);
        service.decisions_tail.clone_from(&seen.decisions);
        service.fills_tail.clone_from(&seen.fills);
        if let Some(desk) = self.journal.desk() {
            show(service, desk, seen.before);
        }
        service.heartbeat = Some(Beat {
            environment: beat.identity.environment,
            release: beat.identity.release,
            phase: beat.phase.name(),
            why: seen.why.clone(),
            pid: beat.pid,
            started_at: beat.started_at,
            written_at: beat.written_at,
            last_bar: beat.last_bar,
            last_decision: beat.last_decision,
            decisions: beat.decisions,
            errors: beat.errors,
            starts: beat.starts,
        });
        Ok(())
    }
}

impl Seen {
    fn see(&mut self, record: &Record, desk: &Desk) {
        match record {
            Record::Phase { why, .. } => self.why.clone_from(why),
            Record::Closes { date } => {
                self.before = Some(desk.equity());
                push(&mut self.equity_by_session, (*date, desk.equity()), SESSIONS);
            }
            Record::Bars { start, decided, .. } => {
                for one in decided {
                    let (bar, symbol) = (iso_utc(*start), one.symbol.to_string());
                    let decision = Decision { bar, symbol, order: one.order.clone(), answer: one.status.clone() };
                    push(&mut self.decisions, decision, TAIL);
                }
            }
            Record::Heard { at, id, message: Message::Execution { shares, price, .. }, .. } => {
                let fill = Fill { at: iso_utc(*at), id: id.clone(), shares: *shares, price: *price };
                push(&mut self.fills, fill, TAIL);
            }
            _ => {}
        }
    }
}

fn show(service: &mut Service, desk: &Desk, before: Option<f64>) {
    let capital = desk.account().capital;
    (service.capital, service.equity) = (Some(capital), Some(desk.equity()));
    service.day_profit = Some(desk.equity() - before.unwrap_or(capital));
    service.positions.extend(desk.held().into_iter().map(|held| Position {
        symbol: held.symbol.to_string(),
        shares: held.shares,
        entry_price: held.entry_price,
        last_close: desk.last_close(held.symbol),
        unrealised: held.unrealised,
        protected: desk.stopped(held.symbol) >= held.shares.unsigned_abs(),
    }));
    service.orders.extend(desk.orders().map(|placed| {
        let standing = match &placed.stop {
            Some(stop) if placed.main.standing.state.has_ended() => &stop.standing,
            _ => &placed.main.standing,
        };
        Order {
            id: placed.id.clone(),
            symbol: placed.symbol.to_string(),
            side: placed.request.side.name(),
            shares: placed.request.shares,
            filled: standing.filled(),
            form: placed.request.form.to_string(),
            state: format!("{:?}", standing.state).to_lowercase(),
        }
    }));
}

fn push<T>(list: &mut Vec<T>, one: T, most: usize) {
    if list.len() == most {
        list.remove(0);
    }
    list.push(one);
}

fn json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T> {
    let bytes = map::bytes_up_to(path, LARGEST)?;
    serde_json::from_slice(&bytes).map_err(|e| Error::new(codes::IO, e.to_string()).at(path.display()))
}

/// The end of the newest log.
fn log(state: &Path, strategy: &str) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(state.join("logs")) else { return Vec::new() };
    let is_log = |name: &str| name.starts_with(&format!("{strategy}_")) && name.ends_with(".jsonl");
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).filter(|name| is_log(name));
    let Some(newest) = names.max() else { return Vec::new() };
    let Ok(bytes) = map::bytes(&state.join("logs").join(newest), Access::Map) else { return Vec::new() };
    let tail = &bytes[bytes.len().saturating_sub(LOG_BYTES)..];
    let text = String::from_utf8_lossy(tail);
    let lines: Vec<&str> = text.lines().collect();
    // The first may be cut.
    let whole = &lines[usize::from(bytes.len() > LOG_BYTES).min(lines.len())..];
    whole[whole.len().saturating_sub(LOG_LINES)..].iter().map(|line| readable(line)).collect()
}

/// A line of JSON as time, level and message.
fn readable(line: &str) -> String {
    let Ok(value) = serde_json::from_str::<Value>(line) else { return line.to_owned() };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut said =
        format!("{} {} {}", text(&value["timestamp"]), text(&value["level"]), text(&value["fields"]["message"]));
    for (name, value) in value["fields"].as_object().into_iter().flatten().filter(|(name, _)| *name != "message") {
        said += &format!(" {name}={value}");
    }
    said
}
