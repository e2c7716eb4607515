//! Bars by hand, temporary archives, the binary, and what may be missing from the machine.

use std::borrow::BorrowMut;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use magellan::bar::{Bars, Date, Nanos, Symbol, Timeframe};
use magellan::costs::Costs;
use magellan::history::{History, Hours};
use magellan::replay::Terms;
use magellan::risk::Limits;

/// What a test can't run without. Skips say so; `MAGELLAN_REQUIRE` lists what may not be skipped.
pub(crate) fn optional(name: &str, found: Option<PathBuf>) -> Option<PathBuf> {
    let required = std::env::var("MAGELLAN_REQUIRE").unwrap_or_default();
    if found.is_none() {
        let must = required.split([',', ' ']).any(|r| r == name);
        assert!(!must, "MAGELLAN_REQUIRE names {name}, and it is missing");
        println!("SKIPPED: {name} is not here");
    }
    found
}

fn from_env(name: &str) -> Option<PathBuf> {
    let path = PathBuf::from(std::env::var_os(name)?);
    path.exists().then_some(path)
}

/// Real bars: `MAGELLAN_MARKET_DATA`.
pub(crate) fn market_data() -> Option<PathBuf> {
    optional("market_data", from_env("MAGELLAN_MARKET_DATA"))
}

/// Reference results: `MAGELLAN_EXPECTED`.
pub(crate) fn expected() -> Option<PathBuf> {
    optional("market_data", from_env("MAGELLAN_EXPECTED"))
}

/// A Python with the packages of `scripts/requirements.txt`: `MAGELLAN_PYTHON`.
pub(crate) fn python() -> Option<PathBuf> {
    optional("pypi", from_env("MAGELLAN_PYTHON"))
}

/// Chromium: `CHROMIUM`, or where Debian puts it.
pub(crate) fn browser() -> Option<PathBuf> {
    let named = from_env("CHROMIUM").or_else(|| Some(PathBuf::from("/usr/bin/chromium")).filter(|p| p.exists()));
    optional("browser", named)
}

/// What says how much a unit leaves open, where systemd puts it.
pub(crate) fn systemd_analyze() -> Option<PathBuf> {
    optional("systemd", Some(PathBuf::from("/usr/bin/systemd-analyze")).filter(|p| p.exists()))
}

/// The project's root.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package lies in the project")
}

/// The binary, to be run in the project's root.
pub(crate) fn magellan<S: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_magellan"));
    command.args(args).current_dir(root());
    command.env_remove("USE_ARCHIVED_DATA").env_remove("MAGELLAN_ARCHIVE");
    // Trials of tests aren't trials of the project, nor of each other.
    let test = std::thread::current().name().unwrap_or("main").replace("::", "-");
    let ledger = format!("{}/ledger-{}-{test}", env!("CARGO_TARGET_TMPDIR"), std::process::id());
    // Those that are committed for the sample count, as they do for people.
    copy_folder(&root().join("data/synthetic-ledger"), Path::new(&ledger));
    command.env("MAGELLAN_LEDGER", ledger);
    command.env_remove("MAGELLAN_BASELINES");
    command
}

/// Copies what isn't there yet.
pub(crate) fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("created");
    for entry in std::fs::read_dir(from).expect("listed") {
        let (from, to) = (entry.as_ref().expect("an entry").path(), to.join(entry.expect("an entry").file_name()));
        match from.is_dir() {
            true => copy_folder(&from, &to),
            false if to.exists() => {}
            false => drop(std::fs::copy(&from, &to).expect("copied")),
        }
    }
}

/// Runs and returns exit code, stdout and stderr.
pub(crate) fn run(mut command: impl BorrowMut<Command>) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.borrow_mut().output().expect("the binary starts");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (status.code().expect("not killed"), text(stdout), text(stderr))
}

pub(crate) fn symbol(name: &str) -> Symbol {
    name.parse().expect("a symbol")
}

pub(crate) fn date(text: &str) -> Date {
    text.parse().expect("a date")
}

pub(crate) fn utc(text: &str) -> Nanos {
    let at: jiff::Timestamp = text.parse().expect("a timestamp");
    i64::try_from(at.as_nanosecond()).expect("in range")
}

/// Owned columns of bars.
#[derive(Clone, Debug, Default)]
pub(crate) struct Columns {
    pub(crate) start: Vec<Nanos>,
    pub(crate) ohlcv: [Vec<f64>; 5],
}

impl Columns {
    pub(crate) fn push(&mut self, start: Nanos, bar: [f64; 5]) {
        self.start.push(start);
        for (column, value) in self.ohlcv.iter_mut().zip(bar) {
            column.push(value);
        }
    }

    pub(crate) fn bars(&self, timeframe: Timeframe) -> Bars<'_> {
        let [o, h, l, c, v] = &self.ohlcv;
        Bars::new(timeframe, &self.start, [o, h, l, c, v]).expect("ordered bars")
    }

    pub(crate) fn history(&self, name: &str, timeframe: Timeframe) -> History<'_> {
        History::new(symbol(name), self.bars(timeframe), Hours::Regular).expect("covered")
    }
}

/// No costs, no limits, all dates, 100,000 dollars.
pub(crate) fn terms() -> Terms {
    Terms {
        capital: 100_000.0,
        costs: Costs::default(),
        conditions: magellan::account::Conditions::UNLIMITED,
        limits: Limits::default(),
        start: date("1990-01-01"),
        end: date("2030-12-31"),
    }
}
