//! Logs: JSON lines in a file a day (UTC, by when they are written), and plain lines on stderr for
//! the journal.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use magellan::bar::Date;
use magellan::error::{Error, Result};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::{Registry, fmt};

use crate::codes;

/// What went wrong so far.
#[derive(Default)]
pub(super) struct Faults {
    errors: AtomicU64,
    log_fails: AtomicBool,
}

impl Faults {
    /// Errors logged, and log lines that could not be written.
    pub(super) fn errors(&self) -> u64 {
        self.errors.load(Ordering::Relaxed)
    }

    /// Whether the latest line could not be written.
    pub(super) fn log_fails(&self) -> bool {
        self.log_fails.load(Ordering::Relaxed)
    }
}

/// Target of what a service says of its own life.
pub(super) const LIFE: &str = "life";

/// Sends what is logged from now on into `folder`.
///
/// # Errors
/// Usage error if the first file can't be opened.
pub(super) fn start(folder: &Path, strategy: &str, level: &str) -> Result<Arc<Faults>> {
    let faults = Arc::new(Faults::default());
    let mut file = DayLog { folder: folder.to_owned(), strategy: strategy.to_owned(), open: None };
    file.today().map_err(|e| cannot_write(folder, &e))?;
    let file = Arc::new(Mutex::new(file));
    let lines = {
        let faults = faults.clone();
        move || Lines { file: file.clone(), faults: faults.clone() }
    };
    let level: LevelFilter =
        level.parse().map_err(|e| Error::new(codes::NOT_ALLOWED, format!("monitoring.log_level is `{level}`: {e}")))?;
    let json = fmt::layer().json().with_current_span(false).with_span_list(false).with_target(false);
    let plain = fmt::layer().without_time().with_ansi(false).with_target(false).with_writer(io::stderr);
    // A service says that it starts, is ready and stops at any level: silence is no sign of life.
    let level = Targets::new().with_default(level).with_target(LIFE, level.max(LevelFilter::INFO));
    let all =
        Registry::default().with(level).with(CountErrors(faults.clone())).with(json.with_writer(lines)).with(plain);
    tracing::subscriber::set_global_default(all)
        .map_err(|e| Error::new(codes::STATE_IN_USE, format!("this process logs already: {e}")))?;
    Ok(faults)
}

struct CountErrors(Arc<Faults>);

impl<S: Subscriber> Layer<S> for CountErrors {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if *event.metadata().level() == Level::ERROR {
            self.0.errors.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The file of the day.
struct DayLog {
    folder: PathBuf,
    strategy: String,
    open: Option<(Date, File)>,
}

impl DayLog {
    fn today(&mut self) -> io::Result<&mut File> {
        let today = Date::of_utc(crate::clock::nanos());
        if self.open.as_ref().is_none_or(|(date, _)| *date != today) {
            let name = format!("{}_{}.jsonl", self.strategy, today.civil().strftime("%Y%m%d"));
            let file = OpenOptions::new().create(true).append(true).open(self.folder.join(name))?;
            self.open = Some((today, file));
        }
        self.open.as_mut().map(|(_, file)| file).ok_or_else(|| io::Error::other("no file"))
    }
}

/// Takes whole lines.
struct Lines {
    file: Arc<Mutex<DayLog>>,
    faults: Arc<Faults>,
}

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let written = file.today().and_then(|file| file.write_all(line));
        self.faults.log_fails.store(written.is_err(), Ordering::Relaxed);
        if let Err(err) = written {
            self.faults.errors.fetch_add(1, Ordering::Relaxed);
            // Nowhere is left to say it, if that fails, too.
            let _ = writeln!(io::stderr(), "ERROR {}: can't write the log: {err}", file.folder.display());
        }
        // Said and counted; the line itself is on stderr too.
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The folder of state that can't be written, as an error.
pub(super) fn cannot_write(path: &Path, err: &std::io::Error) -> Error {
    Error::new(codes::CANNOT_WRITE, err.to_string()).at(path.display())
}
