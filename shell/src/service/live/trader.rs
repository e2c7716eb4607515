//! The thread that decides: one queue in, records and requests out.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use magellan::bar::{Bar, Date, MINUTE, Nanos, SECOND, Symbol, Timeframe, iso_utc};
use magellan::calendar::{self, Session};
use magellan::disk::map;
use magellan::error::{Error, Result};
use magellan::live::barrier::{Arrival, Barrier};
use magellan::live::desk::{Desk, feed_bar};
use magellan::live::record::{BarRecord, Control, DecidedRecord, PartName, Record, status_text};
use magellan::registry::AnyRunner;
use magellan::runner::{Broker as _, Decision, Event, FeedBar, OrderStatus};
use tracing::{error, info, warn};

use super::coarser::Coarser;
use super::guard::Guard;
use super::journal::{JournalFile, KILL, PARITY};
use super::latency::Latency;
use super::metrics::Metrics;
use super::workers::{Answer, Workers};
use crate::alpaca::messages::Message;
use crate::alpaca::stream::{Heard, Stream};
use crate::alpaca::updates::{News, Updates};
use crate::clock::nanos as now;
use crate::codes;
use crate::records::order_text;
use crate::release::heartbeat::Phase;
use crate::service::Service;
use crate::service::signals::Ending;

/// No file that a person or another command leaves for it is larger, bytes.
const SMALL: u64 = 1 << 20;
/// The loop looks around at least this often.
const LOOK: Duration = Duration::from_millis(50);
/// Bars that ended longer ago are shown to the strategy, but its orders aren't taken: nanoseconds.
const STALE: Nanos = 60 * SECOND;
/// A feed or a broker may be away for so long during a session until entries stop.
const AWAY: Duration = Duration::from_secs(15);
/// What is left to be heard when it stops.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// Everything that happens to the thread that decides.
#[derive(Debug)]
pub(super) enum Input {
    /// From the stream of market data, and when it came.
    Feed(Heard, Instant),
    /// From the stream of trade updates.
    News(News),
    /// From a thread that asked.
    Answer(Box<Answer>),
}

/// What to do with positions when it is told to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum OnStop {
    /// They stay, with their stops at the broker.
    Keep,
    /// They are sold.
    Flatten,
}

/// A strategy that trades.
pub struct Trader<'s> {
    pub(super) service: &'s mut Service,
    pub(super) runner: Box<dyn AnyRunner>,
    pub(super) desk: Desk,
    pub(super) journal: JournalFile,
    pub(super) inputs: Receiver<Input>,
    pub(super) workers: Workers,
    pub(super) stream: Stream,
    pub(super) _updates: Updates,
    pub(super) guard: Guard,
    pub(super) latency: Latency,
    pub(super) metrics: Metrics,
    pub(super) input_names: Vec<&'static str>,
    pub(super) state: PathBuf,
    /// With which the names of its orders begin.
    pub(super) name: String,
    pub(super) timeframe: Timeframe,
    pub(super) grace: Nanos,
    pub(super) delay: Nanos,
    pub(super) signal_after: Nanos,
    pub(super) on_stop: OnStop,
    pub(super) symbols: Vec<Symbol>,

    pub(super) barrier: Barrier,
    pub(super) coarser: Option<Coarser>,
    /// The session that has begun and has not ended.
    pub(super) session: Option<Session>,
    /// Date of the last session that ended.
    pub(super) last_closed: Date,
    /// Start of the last bars that were decided on.
    pub(super) decided: Nanos,
    /// Bars are being fetched that were missed: nothing is decided on before they are there.
    pub(super) filling: Option<Instant>,
    pub(super) fill_again: Option<Instant>,
    pub(super) daily_asked: Option<Instant>,
    /// When the bar arrived that is decided on.
    pub(super) arrived: BTreeMap<Nanos, Instant>,

    pub(super) phase: Phase,
    pub(super) feed_down: Option<(Instant, String)>,
    pub(super) news_down: Option<(Instant, String)>,
    pub(super) broker_down: Option<(Instant, String)>,
    /// The journal has no room for more than is kept for exits.
    pub(super) disk_full: bool,
    pub(super) halted: Option<String>,
    /// Positions differed so many times in a row.
    pub(super) differed: u32,
    pub(super) reconcile_at: Instant,
    pub(super) reconciling: bool,
    pub(super) reconciled: bool,
    /// How many things were heard of orders: a snapshot that overlaps one proves nothing.
    pub(super) heard: u64,
    pub(super) snapshot_at: u64,
    pub(super) looking: BTreeSet<String>,
    /// Not before this time again.
    pub(super) held_back: BTreeMap<String, Instant>,
    /// Cancellations that got no answer.
    pub(super) unanswered: BTreeSet<(String, PartName)>,
    pub(super) quoting: BTreeSet<Symbol>,
    /// The broker's names of orders that ended lately.
    pub(super) ended: VecDeque<String>,
    /// Orders of others that a person accepted.
    pub(super) accepted: BTreeSet<String>,
    pub(super) decisions: Vec<Decision>,
    pub(super) flattened: bool,
    pub(super) day_orders: u64,
    pub(super) day_fills: u64,
}

impl Trader<'_> {
    /// Trades until it is told to stop.
    ///
    /// # Errors
    /// Damage only: a journal that can't be written, or a strategy that can't go on.
    pub fn run(&mut self) -> Result<Ending> {
        let mut stopping: Option<(Ending, Instant)> = None;
        loop {
            match self.inputs.recv_timeout(LOOK) {
                Ok(input) => self.take(input)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Error::new(codes::IO, "the threads that ask and listen have ended"));
                }
            }
            while let Ok(input) = self.inputs.try_recv() {
                self.take(input)?;
            }
            self.look(now())?;
            if let Some(signal) = self.service.signals.pending() {
                if self.on_stop == OnStop::Flatten && stopping.is_none() {
                    self.control(Control::Flatten, "signal", "told to stop")?;
                }
                stopping = Some((signal, Instant::now()));
            }
            if let Some((ending, since)) = stopping
                && self.has_said_all(since)
            {
                self.stop()?;
                let unsold = self.on_stop == OnStop::Flatten && self.desk.open_positions() > 0;
                return Ok(if unsold { Ending::Unsold } else { ending });
            }
        }
    }

    /// Whether nothing is under way any more, or it has waited long enough.
    fn has_said_all(&self, since: Instant) -> bool {
        let waits = match self.on_stop {
            OnStop::Keep => LAST_WORDS,
            OnStop::Flatten => 5 * LAST_WORDS,
        };
        let under_way = self.desk.orders().any(|placed| placed.is_uncertain());
        let held = self.on_stop == OnStop::Flatten && self.desk.open_positions() > 0;
        (!under_way && !held) || since.elapsed() > waits
    }

    fn stop(&mut self) -> Result<()> {
        self.journal.sync()?;
        let positions = self.desk.open_positions();
        match self.on_stop {
            OnStop::Flatten if positions > 0 => {
                error!(positions, "stops, and not all is sold: what is left may have no stop at the broker");
            }
            _ => info!(positions, "stops; what is held stays, with its stops at the broker"),
        }
        self.service.report(&self.desk);
        self.service.stop();
        Ok(())
    }

    fn take(&mut self, input: Input) -> Result<()> {
        match input {
            Input::Feed(heard, at) => self.take_feed(heard, at),
            Input::News(news) => self.take_news(news),
            Input::Answer(answer) => self.take_answer(*answer),
        }
    }

    fn take_feed(&mut self, heard: Heard, at: Instant) -> Result<()> {
        match heard {
            Heard::Up(_) => {
                info!("the stream of market data is up");
                self.feed_down = None;
                self.fill();
            }
            Heard::Down(why) => {
                warn!("the stream of market data is down: {why}");
                self.feed_down.get_or_insert((Instant::now(), why));
            }
            Heard::Over(err) => {
                error!(code = err.code().slug(), "the stream of market data is refused: {err}");
                self.feed_down.get_or_insert((Instant::now(), err.to_string()));
            }
            Heard::Message(message, _) => self.take_message(message, at)?,
        }
        Ok(())
    }

    fn take_message(&mut self, message: Message, at: Instant) -> Result<()> {
        match message {
            Message::Bar(symbol, bar) => self.take_bar(symbol, bar, at),
            // The replay of a day has the bars as they were decided on.
            Message::Updated(symbol, bar) => self.unused(symbol, &bar, "revised"),
            Message::Status { symbol, trades, reason, .. } => {
                info!(%symbol, trades, "status: {reason}");
                let halted = (!trades).then_some(reason);
                self.guard.set_halted(symbol, halted.clone());
                self.record(&Record::Status { at: now(), symbol, halted }).map(drop)
            }
            _ => Ok(()),
        }
    }

    pub(super) fn take_bar(&mut self, symbol: Symbol, bar: Bar, at: Instant) -> Result<()> {
        let date = calendar::new_york_date(bar.start);
        if !self.timeframe.is_intraday() || !calendar::session(date).contains(bar.start, bar.end) {
            return Ok(());
        }
        match self.barrier.take(symbol, bar) {
            Arrival::Kept => {
                self.arrived.insert(bar.start, at);
                Ok(())
            }
            Arrival::Duplicate | Arrival::Foreign => Ok(()),
            Arrival::Replaced => self.unused(symbol, &bar, "replaced"),
            Arrival::Late => self.unused(symbol, &bar, "late"),
        }
    }

    fn unused(&mut self, symbol: Symbol, bar: &Bar, why: &str) -> Result<()> {
        let record =
            Record::Unused { at: now(), bar: BarRecord::of(symbol, bar), start: bar.start, why: why.to_owned() };
        self.journal.append(&record)
    }

    /// Applies a record and appends it.
    pub(super) fn record(&mut self, record: &Record) -> Result<bool> {
        match self.desk.apply(record) {
            Ok(()) => {
                self.journal.append(record)?;
                Ok(true)
            }
            Err(err) if err.code() == codes::BROKER_CONTRADICTION => {
                self.halt(&err.to_string())?;
                Ok(false)
            }
            Err(err) => Err(err),
        }
    }

    /// Nothing is traded on until a person has looked.
    pub(super) fn halt(&mut self, why: &str) -> Result<()> {
        if self.halted.is_none() {
            error!("halted: {why}");
            self.halted = Some(why.to_owned());
            self.desk.mute(Some("halted"));
        }
        Ok(())
    }

    pub(super) fn control(&mut self, control: Control, who: &str, why: &str) -> Result<()> {
        warn!(who, "{control:?}: {why}");
        let record = Record::Control { at: now(), control, who: who.to_owned(), why: why.to_owned() };
        self.record(&record)?;
        self.journal.sync()
    }

    /// What time alone brings.
    fn look(&mut self, now: Nanos) -> Result<()> {
        self.look_for_kill()?;
        self.disk_full = self.journal.is_short();
        self.pass_time(now)?;
        self.act(now)?;
        self.reconcile_if_due();
        self.set_phase(now)?;
        self.service.heartbeat.open_positions = Some(self.desk.open_positions());
        if self.service.beaten.elapsed() > Duration::from_secs(1) {
            self.measure(now);
        }
        if self.is_ready() {
            self.service.progress(&self.desk);
        } else if self.service.beaten.elapsed() > Duration::from_secs(1) {
            self.service.alive();
        }
        Ok(())
    }

    fn measure(&mut self, now: Nanos) {
        let parity = map::bytes_up_to(&self.state.join(PARITY).join("latest.json"), SMALL);
        self.service.heartbeat.parity = parity.ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let flag = |is: bool| f64::from(u8::from(is));
        let m = &self.metrics;
        m.errors.set(self.service.faults.errors() as f64);
        m.equity.set(self.desk.equity());
        m.positions.set(self.desk.open_positions() as f64);
        m.unprotected.set(self.desk.unprotected(now, &calendar::session_ahead(now)).len() as f64);
        m.ready.set(flag(self.service.ready));
        m.trading.set(flag(self.phase == Phase::Trading));
        m.halted.set(flag(self.halted.is_some()));
        m.feed_up.set(flag(self.feed_down.is_none()));
        m.updates_up.set(flag(self.news_down.is_none()));
        m.journal_records.set(self.journal.records() as f64);
        for (quantile, latency, disk) in [(0.5, &m.latency_p50, &m.disk_p50), (0.99, &m.latency_p99, &m.disk_p99)] {
            if let Some((took, on_disk)) = self.latency.quantile(quantile) {
                latency.set(took);
                disk.set(on_disk);
            }
        }
    }

    /// Whether it trades, or would if there were a session.
    fn is_ready(&self) -> bool {
        self.service.ready || (self.reconciled && self.is_caught_up()) || self.halted.is_some()
    }

    /// Whether the strategy has seen the session's bars so far.
    fn is_caught_up(&self) -> bool {
        let needs = self.session.is_some() && self.timeframe.is_intraday();
        !needs || (self.feed_down.is_none() && self.filling.is_none() && self.fill_again.is_none())
    }

    fn look_for_kill(&mut self) -> Result<()> {
        let file = self.state.join(KILL);
        let killed = self.desk.control().is_some_and(|(control, ..)| *control != Control::Resume);
        // Whatever has that name counts, but only a file is read: a pipe would never end.
        if std::fs::symlink_metadata(&file).is_err() {
            if killed && self.desk.control().is_some_and(|(_, who, _)| who != "signal") {
                self.flattened = false;
                self.control(Control::Resume, "unknown", "the file `kill` is gone")?;
            }
            return Ok(());
        }
        let text = map::bytes_up_to(&file, SMALL).ok().and_then(|bytes| String::from_utf8(bytes.to_vec()).ok());
        let text = text.unwrap_or_default();
        let mut lines = text.lines();
        let word = lines.next().unwrap_or_default();
        let (who, why) = (lines.next().unwrap_or("unknown"), lines.next().unwrap_or("the file `kill`"));
        match word {
            "resume" => {
                if killed {
                    self.flattened = false;
                    self.control(Control::Resume, who, why)?;
                }
                if let Err(err) = std::fs::remove_file(&file) {
                    warn!("{}: can't be removed: {err}", file.display());
                }
                Ok(())
            }
            "flatten" if !self.flattened => {
                self.flattened = true;
                self.control(Control::Flatten, who, why)
            }
            "flatten" => Ok(()),
            _ if !killed => self.control(Control::Kill, who, why),
            _ => Ok(()),
        }
    }

    /// Why no position may be opened now, if so.
    pub(super) fn no_entries(&self, now: Nanos) -> Option<&'static str> {
        let away = |down: &Option<(Instant, String)>| down.as_ref().is_some_and(|(since, _)| since.elapsed() > AWAY);
        if self.desk.control().is_some_and(|(control, ..)| *control != Control::Resume) {
            return Some("killed");
        }
        if self.disk_full || !self.reconciled || self.news_down.is_some() || away(&self.broker_down) {
            return Some("degraded");
        }
        let session = calendar::session_at(now);
        let open = session.trades() && session.open <= now && now < session.close;
        (open && self.timeframe.is_intraday() && away(&self.feed_down)).then_some("degraded")
    }

    fn set_phase(&mut self, now: Nanos) -> Result<()> {
        let session = calendar::session_at(now);
        let open = session.trades() && session.open <= now && now < session.close;
        self.stream.expect(open && now > session.open + 120 * SECOND && self.timeframe.is_intraday());
        let (phase, why) = match (&self.halted, self.desk.control(), self.no_entries(now)) {
            (Some(why), ..) => (Phase::Halted, why.clone()),
            (_, Some((Control::Flatten, who, why)), _) if self.desk.open_positions() > 0 => {
                (Phase::Flattening, format!("{who}: {why}"))
            }
            (_, Some((Control::Flatten | Control::Kill, who, why)), _) => (Phase::Killed, format!("{who}: {why}")),
            _ if !self.service.ready && !self.reconciled => (Phase::Reconciling, String::new()),
            _ if !self.service.ready && !self.is_caught_up() => (Phase::CatchingUp, String::new()),
            (.., Some(_)) => (Phase::Degraded, self.why_degraded()),
            _ if open => (Phase::Trading, String::new()),
            _ => (Phase::Waiting, String::new()),
        };
        self.desk.exits_only(self.no_entries(now));
        if phase != self.phase {
            info!("phase {}{}{why}", phase.name(), if why.is_empty() { "" } else { ": " });
            self.phase = phase;
            self.service.heartbeat.phase = phase;
            self.journal.append(&Record::Phase { at: now, phase: phase.name().to_owned(), why })?;
        }
        Ok(())
    }

    fn why_degraded(&self) -> String {
        let all =
            [(&self.news_down, "trade updates"), (&self.broker_down, "the broker"), (&self.feed_down, "market data")];
        let down = all.iter().filter_map(|(down, what)| Some(format!("{what}: {}", down.as_ref()?.1)));
        let mut why: Vec<String> = down.collect();
        if self.disk_full {
            why.push("the disk is full".to_owned());
        }
        if !self.reconciled {
            why.push("the broker's orders and positions have not been compared yet".to_owned());
        }
        why.join("; ")
    }

    /// All bars of one start are there, or as many as came in time.
    pub(super) fn decide(&mut self, start: Nanos, bars: &[(Symbol, Bar)], now: Nanos) -> Result<()> {
        let Some(session) = self.session else { return Ok(()) };
        let end = start + self.timeframe.width();
        let is_late = self.timeframe.is_intraday() && now - end > STALE;
        if self.halted.is_none() {
            self.desk.mute(is_late.then_some("stale"));
        }
        let feed: Vec<FeedBar> =
            bars.iter().map(|(symbol, bar)| feed_bar(*symbol, *bar, self.timeframe, &session)).collect();
        self.decisions.clear();
        self.desk.take_taken();
        let handled = self.runner.handle(&Event::Bars(&feed), &mut self.desk, &mut self.decisions);
        let mut taken: VecDeque<_> = self.desk.take_taken().into();
        let decided = self.decisions.iter().map(|decision| DecidedRecord {
            symbol: decision.symbol,
            order: order_text(&decision.order),
            status: status_text(decision.status),
            taken: matches!(decision.status, OrderStatus::Ordered(_))
                .then(|| taken.pop_front().map(|(_, order)| order))
                .flatten(),
        });
        let record = Record::Bars {
            at: now,
            start,
            end,
            bars: bars.iter().map(|(symbol, bar)| BarRecord::of(*symbol, bar)).collect(),
            caught_up: is_late,
            decided: decided.collect(),
        };
        self.journal.append(&record)?;
        self.decided = start;
        self.service.write_down(&self.decisions, &[]);
        handled?;
        self.service.saw_bars(bars.len(), start);
        self.evaluated(&feed);
        self.metrics.bars.inc_by(bars.len() as u64);
        self.metrics.decisions.inc_by(self.decisions.len() as u64);
        self.metrics.last_bar.set(start as f64 / SECOND as f64);
        let arrived = self.arrived.remove(&(end - MINUTE));
        self.arrived.retain(|minute, _| *minute >= end);
        self.latency.decided(arrived);
        Ok(())
    }

    /// Writes down what was seen of each bar, and what was made of it.
    fn evaluated(&mut self, feed: &[FeedBar]) {
        let mut rows = String::new();
        for bar in feed {
            let inputs = self.runner.inputs(bar.symbol).unwrap_or_default();
            let mine = self.decisions.iter().filter(|decision| decision.symbol == bar.symbol);
            let answers: Vec<String> = mine.map(|decision| status_text(decision.status)).collect();
            let answer = if answers.is_empty() { "no order".to_owned() } else { answers.join("; ") };
            let (start, symbol, close) = (iso_utc(bar.bar.start), bar.symbol, bar.bar.close);
            let values: String = inputs.iter().map(|value| format!(",{value}")).collect();
            let _ = writeln!(rows, "{start},{symbol},{close},{},{answer}{values}", self.desk.units(symbol));
        }
        let written = self.service.day_files.evaluated(&rows);
        self.service.recorded(written);
    }

    pub(super) fn write_fills(&mut self) {
        let fills = self.desk.fills();
        if !fills.is_empty() {
            self.service.write_down(&[], &fills);
        }
    }
}
