//! What a unit starts: a runner under way, told apart from a hung one by what it leaves behind.
//!
//! Everything is in one folder of state: `heartbeat.json`, and below the configured log folder
//! JSON lines by day of writing, decisions and fills by session. systemd hears READY once a bar
//! was processed or none is due, and WATCHDOG only after real progress that was also recorded: a
//! heartbeat or log that can't be written is an error, and the watchdog then does its work.

mod archived;
mod day_files;
mod heartbeat;
pub mod live;
mod logs;
mod notify;
mod signals;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use magellan::account::Fill;
use magellan::bar::{Nanos, iso_utc};
use magellan::config::Complete;
use magellan::error::{Error, Result};
use magellan::registry::AnyRunner;
use magellan::runner::{Broker, Decision, Event, Feed};
use tracing::{debug, error, info};

use crate::codes;
use crate::records::order_text;
use crate::release::heartbeat::{HEARTBEAT, Heartbeat, Identity, Phase};

pub use archived::Paced;
pub use signals::Ending;

use crate::clock::nanos as now;
use day_files::DayFiles;
use logs::{Faults, LIFE, cannot_write};
use signals::Signals;

const LOCK: &str = "lock";
/// Heartbeats are at least this far apart while bars come.
const SHORTEST: Duration = Duration::from_secs(1);
/// How long systemd waits for the next sign of a service that isn't ready yet.
const STARTING: Duration = Duration::from_secs(120);
/// And at most this far while none are due, whatever is configured.
const LONGEST: Duration = Duration::from_secs(30);

/// What to do when the feed ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// End.
    End,
    /// Wait for a signal, as between sessions.
    Wait,
}

/// A service under way.
pub struct Service {
    heartbeat: Heartbeat,
    heartbeat_file: PathBuf,
    faults: Arc<Faults>,
    day_files: DayFiles,
    signals: Signals,
    /// Between heartbeats while no bar is due.
    interval: Duration,
    report_every: Duration,
    beaten: Instant,
    reported: Instant,
    ready: bool,
    bars: u64,
    decided: Vec<Decision>,
    /// What ended it before it traded.
    pub(crate) ended_by: Option<Ending>,
    /// Held as long as the process lives: one process, one folder.
    _lock: File,
}

impl Service {
    /// Takes over the folder of state. Whatever heartbeat a former process left is replaced at
    /// once, so that nobody takes its word for this one's.
    ///
    /// # Errors
    /// Refused if another process holds the folder; usage error if it can't be written.
    pub fn start(identity: Identity, config: &Complete, state: &Path) -> Result<Self> {
        let monitoring = &config.deployment().monitoring;
        let logs = state.join(&monitoring.log_directory);
        fs::create_dir_all(&logs).map_err(|e| cannot_write(&logs, &e))?;
        let lock = lock(state)?;
        let signals = Signals::start()?;
        let strategy = identity.strategy.clone();
        let faults = logs::start(&logs, &strategy, &monitoring.log_level)?;
        let heartbeat_file = state.join(HEARTBEAT);
        let mut heartbeat = heartbeat::first(&heartbeat_file, identity, now());
        heartbeat::write(&mut heartbeat, &heartbeat_file, now()).map_err(|e| cannot_write(&heartbeat_file, &e))?;
        info!(
            target: LIFE,
            version = env!("CARGO_PKG_VERSION"),
            release = heartbeat.identity.release,
            unit_digest = heartbeat.identity.unit_digest,
            config = config.sha256,
            starts = heartbeat.starts,
            "{strategy} starts"
        );
        let seconds = |s: u32| Duration::from_secs(s.into());
        Ok(Self {
            heartbeat,
            heartbeat_file,
            faults,
            day_files: DayFiles::new(&logs, &strategy),
            signals,
            // The watchdog must hear twice before it bites.
            interval: seconds(monitoring.health_check_interval_seconds)
                .min(LONGEST)
                .min(notify::watchdog_period().map_or(LONGEST, |period| period / 2)),
            report_every: seconds(monitoring.report_interval_seconds),
            beaten: Instant::now(),
            reported: Instant::now(),
            ready: false,
            bars: 0,
            decided: Vec::new(),
            ended_by: None,
            _lock: lock,
        })
    }

    /// Runs until the feed ends, and then as told, or until a signal.
    ///
    /// # Errors
    /// The feed's, the runner's and the broker's: nothing is traded on after one.
    pub fn run(
        &mut self,
        runner: &mut dyn AnyRunner,
        feed: &mut dyn Feed,
        broker: &mut dyn Broker,
        then: Then,
    ) -> Result<Ending> {
        let ending = self.trade(runner, feed, broker)?;
        let ending = match (ending, then) {
            (Some(signal), _) => signal,
            (None, Then::End) => {
                self.ready();
                Ending::Done
            }
            (None, Then::Wait) => self.wait(broker),
        };
        self.report(broker);
        let whole = self.stop() && !self.day_files.have_gap() && !self.faults.log_fails();
        match ending {
            Ending::Done if !whole => {
                let what = "it ran to the end of the data, but not all of it could be written down";
                Err(Error::new(codes::CANNOT_WRITE, what).at(self.heartbeat_file.display()))
            }
            ending => Ok(ending),
        }
    }

    /// Goes into a phase, and says so.
    fn enter(&mut self, phase: Phase) {
        self.heartbeat.phase = phase;
        self.alive();
    }

    /// It makes progress, and isn't ready yet.
    fn alive(&mut self) {
        self.beaten = Instant::now();
        if self.write_heartbeat() {
            notify::status(self.heartbeat.phase.name());
            notify::watchdog();
            // As long as it makes progress, systemd waits for it.
            notify::needs(STARTING);
        }
    }

    /// Bars were decided on.
    fn saw_bars(&mut self, count: usize, start: Nanos) {
        self.bars += count as u64;
        self.heartbeat.last_bar = Some(iso_utc(start));
    }

    /// Says that an error ends the process.
    pub fn fail(&mut self, err: &Error) {
        error!(code = err.code().slug(), "{err}");
        self.stop();
    }

    fn trade(
        &mut self,
        runner: &mut dyn AnyRunner,
        feed: &mut dyn Feed,
        broker: &mut dyn Broker,
    ) -> Result<Option<Ending>> {
        self.heartbeat.phase = Phase::Trading;
        loop {
            if let Some(signal) = self.signals.pending() {
                return Ok(Some(signal));
            }
            match feed.next()? {
                Event::Ends => return Ok(None),
                Event::Wait(time) => {
                    self.progress(broker);
                    let signal = self.signals.wait(time.min(self.interval));
                    if signal.is_some() {
                        return Ok(signal);
                    }
                }
                event => self.step(&event, runner, broker)?,
            }
        }
    }

    /// Something happened: the runner hears it, and what came of it is written down.
    fn step(&mut self, event: &Event<'_>, runner: &mut dyn AnyRunner, broker: &mut dyn Broker) -> Result<()> {
        if let Event::Opens(session) = event {
            debug!(session = %session.date, "the session opens");
            let opened = self.day_files.open(session.date);
            self.recorded(opened);
        }
        let mut decided = std::mem::take(&mut self.decided);
        decided.clear();
        // What was decided before an error is written down as well.
        let handled = runner.handle(event, broker, &mut decided);
        let fills = broker.fills();
        if !decided.is_empty() || !fills.is_empty() {
            self.write_down(&decided, &fills);
        }
        self.decided = decided;
        handled?;
        if let Event::Bars(bars) = event {
            self.heartbeat.open_positions = Some(broker.open_positions());
            if let Some(last) = bars.last() {
                self.saw_bars(bars.len(), last.bar.start);
            }
            self.progress(broker);
        }
        Ok(())
    }

    /// Into the log, the heartbeat and the session's files.
    fn write_down(&mut self, decisions: &[Decision], fills: &[Fill]) {
        for d in decisions {
            let order = order_text(&d.order);
            info!(symbol = %d.symbol, bar = iso_utc(d.start), answer = ?d.status, "decided: {order}");
        }
        for f in fills {
            let (entry, exit, profit) = (f.entry_price, f.exit_price, f.profit);
            info!(symbol = %f.symbol, trade = f.trade, shares = f.shares, entry, exit, profit, "sold: {}", f.reason);
        }
        self.heartbeat.decisions += decisions.len() as u64;
        if let Some(last) = decisions.last() {
            self.heartbeat.last_decision = Some(iso_utc(last.start));
        }
        let written = self.day_files.decisions(decisions).and_then(|()| self.day_files.fills(fills));
        self.recorded(written);
    }

    fn recorded(&self, written: std::io::Result<()>) {
        if let Err(err) = written {
            error!("can't write decisions and fills: {err}; the session's files have a gap");
        }
    }

    /// A bar was processed, or none is due: says so, but not more often than is of use.
    fn progress(&mut self, broker: &dyn Broker) {
        if !self.ready || self.beaten.elapsed() >= SHORTEST {
            self.ready();
            self.beat(broker);
        }
    }

    fn ready(&mut self) {
        if !std::mem::replace(&mut self.ready, true) {
            notify::ready();
            info!(target: LIFE, "ready");
        }
    }

    /// Writes the heartbeat, and only if that and all else is written lets the watchdog know.
    fn beat(&mut self, broker: &dyn Broker) {
        self.beaten = Instant::now();
        let status = format!(
            "{}, {} bars, {} decisions, last bar {}",
            self.heartbeat.phase.name(),
            self.bars,
            self.heartbeat.decisions,
            self.heartbeat.last_bar.as_deref().unwrap_or("none"),
        );
        let written = self.write_heartbeat();
        notify::status(&status);
        if written && !self.day_files.have_gap() && !self.faults.log_fails() {
            notify::watchdog();
        }
        if self.reported.elapsed() >= self.report_every {
            self.report(broker);
        }
    }

    fn write_heartbeat(&mut self) -> bool {
        self.heartbeat.errors = self.faults.errors();
        let written = heartbeat::write(&mut self.heartbeat, &self.heartbeat_file, now());
        if let Err(err) = &written {
            error!("{}: can't write the heartbeat: {err}", self.heartbeat_file.display());
        }
        written.is_ok()
    }

    fn report(&mut self, broker: &dyn Broker) {
        self.reported = Instant::now();
        let (bars, decisions, errors) = (self.bars, self.heartbeat.decisions, self.faults.errors());
        info!(target: LIFE, bars, decisions, errors, positions = broker.open_positions(), equity = broker.equity(), "report");
    }

    /// As between sessions: nothing is due until a signal comes.
    fn wait(&mut self, broker: &dyn Broker) -> Ending {
        self.heartbeat.phase = Phase::Waiting;
        self.ready();
        info!("no more bars: waiting");
        loop {
            self.beat(broker);
            if let Some(signal) = self.signals.wait(self.interval) {
                return signal;
            }
        }
    }

    /// Says that it ends. Whether its last heartbeat was written.
    pub fn stop(&mut self) -> bool {
        notify::stopping();
        info!(target: LIFE, "stops");
        self.heartbeat.phase = Phase::Stopped;
        self.write_heartbeat()
    }
}

pub(crate) fn lock(state: &Path) -> Result<File> {
    let path = state.join(LOCK);
    let file = File::create(&path).map_err(|e| cannot_write(&path, &e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => {
            Err(Error::new(codes::STATE_IN_USE, "another process runs with this state").at(state.display()))
        }
        Err(fs::TryLockError::Error(e)) => Err(cannot_write(&path, &e)),
    }
}
