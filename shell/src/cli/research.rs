//! What `magellan sweep` and `magellan walk-forward` share: a strategy, its grid and its bars.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Instant;

use clap::Args;
use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use magellan::archive::Archive;
use magellan::bar::{Date, Symbol, Timeframe};
use magellan::config::Checked;
use magellan::error::{Error, Result};
use magellan::finding::Finding;
use magellan::history::Hours;
use magellan::ledger::Ledger;
use magellan::registry::AnyStrategy;
use magellan::research::coverage::PartlyCovered;
use magellan::research::progress::Progress;
use magellan::research::sweepable::SweepRequest;
use magellan::sweep::How;
use magellan::sweep::grid::{Axis, Choice, Condition, Grid};
use serde_json::Value;

use super::options::Subject;
use super::output::timing;
use crate::codes;
use crate::report::table;

/// What research replays: a strategy, bars, a grid. Options that are required are so unless a
/// subcommand takes their place.
#[derive(Args, Debug)]
pub(super) struct Researched {
    /// The strategy, e.g. daily_trend.
    #[arg(long, required = true)]
    pub(super) strategy: Option<String>,
    /// First session, YYYY-MM-DD.
    #[arg(long, required = true)]
    pub(super) start_date: Option<Date>,
    /// Last session, YYYY-MM-DD.
    #[arg(long, required = true)]
    pub(super) end_date: Option<Date>,
    /// Values of a key of the config: KEY=A..B, KEY=A..B:STEP (both ends included) or
    /// KEY=V1,V2; repeatable, the last one varies fastest.
    #[arg(long, value_name = "KEY=VALUES")]
    pub(super) grid: Vec<Axis>,
    /// What must hold between keys, e.g. "hysteresis_lower < hysteresis_upper - 2"; sums of
    /// products with + - * %, compared by < <= > >= == !=; repeatable.
    #[arg(long = "where", value_name = "CONDITION")]
    pub(super) conditions: Vec<Condition>,
    /// Only so many points, drawn evenly.
    #[arg(long, value_name = "N")]
    pub(super) random: Option<usize>,
    /// Same seed, same points [default: 0].
    #[arg(long, requires = "random")]
    pub(super) seed: Option<u64>,
    #[command(flatten)]
    pub(super) subject: Subject,
    /// Indicator columns may take this much of memory, e.g. 256MB.
    #[arg(long, value_name = "SIZE", default_value = "128MB")]
    pub(super) memory: Memory,
}

/// A number of bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Memory(pub(super) usize);

impl std::str::FromStr for Memory {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let units = [("GB", 30), ("MB", 20), ("KB", 10)];
        let found = units.iter().find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, shift)));
        let bytes = found.and_then(|(number, shift)| number.trim().parse::<usize>().ok()?.checked_mul(1 << shift));
        let bytes = bytes.filter(|bytes| *bytes > 0);
        bytes
            .map(Self)
            .ok_or_else(|| Error::new(codes::BAD_ARGUMENT, format!("`{text}` is not a size, such as 256MB or 1GB")))
    }
}

/// What sweeps and walk-forwards begin with.
pub(super) struct Opened<'s> {
    pub(super) strategy: &'s dyn AnyStrategy,
    document: Checked,
    assumed: BTreeMap<String, Value>,
    archive: Archive,
    pub(super) grid: Grid,
    choice: Choice,
    timeframe: Option<Timeframe>,
    hours: Option<Hours>,
    period: (Date, Date),
    symbols: Option<Vec<Symbol>>,
    memory: usize,
    ledger: PathBuf,
}

/// What figures depend on and neither config, options nor grid say.
fn assumed(subject: &Subject, document: &Checked, grid: &[Axis]) -> BTreeMap<String, Value> {
    let mut assumed = subject.assumed(document);
    let sets = |axis: &Axis, path: &str| path == axis.key || path.ends_with(&format!(".{}", axis.key));
    assumed.retain(|path, _| !grid.iter().any(|axis| sets(axis, path)));
    assumed
}

impl<'s> Opened<'s> {
    pub(super) fn new(options: &Researched, strategies: &[&'s dyn AnyStrategy]) -> Result<Self> {
        super::backtest::archived_data_only()?;
        super::address_space::fit_threads(options.memory.0)?;
        let missing = |name: &str| Error::new(codes::COMMAND_LINE, format!("--{name} is missing"));
        let start = options.start_date.ok_or_else(|| missing("start-date"))?;
        let end = options.end_date.ok_or_else(|| missing("end-date"))?;
        let strategy = options.subject.strategy(options.strategy.as_deref(), strategies)?;
        let subject = &options.subject;
        let choice = match options.random {
            Some(count) => Choice::Random { count, seed: options.seed.unwrap_or(0) },
            None => Choice::All,
        };
        let archive = subject.place.archive()?;
        let document = subject.document(strategy)?;
        Ok(Self {
            strategy,
            assumed: assumed(subject, &document, &options.grid),
            document,
            ledger: subject.ledger(&archive)?,
            archive,
            grid: Grid { axes: options.grid.clone(), conditions: options.conditions.clone() },
            choice,
            timeframe: subject.timeframe,
            hours: subject.hours(),
            period: (start, end),
            symbols: subject.symbols.clone(),
            memory: options.memory.0,
        })
    }

    pub(super) fn request(&self, how: How) -> SweepRequest<'_> {
        let (start, end) = self.period;
        SweepRequest {
            document: &self.document,
            archive: &self.archive,
            symbols: self.symbols.as_deref(),
            timeframe: self.timeframe,
            hours: self.hours,
            start,
            end,
            grid: &self.grid,
            choice: self.choice,
            memory: self.memory,
            how,
        }
    }

    /// What figures depend on and neither config, options nor grid say.
    pub(super) fn assumed(&self) -> &BTreeMap<String, Value> {
        &self.assumed
    }

    pub(super) fn archive(&self) -> &Archive {
        &self.archive
    }

    /// The strategy's ledger.
    pub(super) fn open_ledger(&self) -> Result<Ledger> {
        Ledger::open(&self.ledger, self.strategy.name())
    }
}

/// What is said under every table of research: periods without bars, doubtful bars, synthetic bars.
pub(super) fn notes(partly_covered: &[PartlyCovered], doubts: &[Finding], synthetic: bool) -> String {
    let mut lines: Vec<String> = table::coverage(partly_covered).into_iter().collect();
    lines.extend(doubt_lines(doubts));
    lines.extend(synthetic.then(|| table::SYNTHETIC_NOTE.to_owned()));
    lines.into_iter().map(|line| line + "\n").collect()
}

/// What an audit doubts in the bars, a line each.
pub(super) fn doubt_lines(doubts: &[Finding]) -> Vec<String> {
    doubts.iter().map(table::doubt).collect()
}

/// On a terminal: how far, how fast, how long; with `timings` also when replays began and ended.
pub(super) struct Shown {
    started: Instant,
    timings: bool,
    bar: OnceLock<ProgressBar>,
}

impl Shown {
    pub(super) fn new(started: Instant, timings: bool) -> Self {
        Self { started, timings, bar: OnceLock::new() }
    }
}

impl Progress for Shown {
    fn begins(&self, replays: u64, bars_each: f64) {
        if self.timings {
            timing("start, load, grid", self.started);
        }
        self.bar.get_or_init(|| progress_bar(replays, bars_each));
    }

    fn advances(&self, replays: u64) {
        if let Some(bar) = self.bar.get() {
            bar.inc(replays);
        }
    }

    fn ends(&self) {
        if let Some(bar) = self.bar.get() {
            bar.finish_and_clear();
        }
        if self.timings {
            timing("replayed", self.started);
        }
    }
}

fn progress_bar(replays: u64, bars_each: f64) -> ProgressBar {
    let bar = ProgressBar::new(replays);
    let rate = move |state: &ProgressState, out: &mut dyn std::fmt::Write| {
        let _ = write!(out, "{:.2e} bars/s", state.per_sec() * bars_each);
    };
    let style =
        ProgressStyle::with_template("{percent:>3}% {bar:30} {human_pos}/{human_len} replays  {rate}  ETA {eta}");
    if let Ok(style) = style {
        bar.set_style(style.with_key("rate", rate));
    }
    bar
}
