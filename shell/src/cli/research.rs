//! What `magellan sweep` and `magellan walk-forward` share: a strategy, its grid and its bars.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use magellan::archive::Archive;
use magellan::bar::{Date, Symbol};
use magellan::config::Checked;
use magellan::error::{Error, Result};
use magellan::finding::Finding;
use magellan::history::Hours;
use magellan::ledger::Ledger;
use magellan::metrics;
use magellan::registry::{self, AnyStrategy};
use magellan::research::progress::Progress;
use magellan::research::sweepable::SweepRequest;
use magellan::sweep::How;
use magellan::sweep::grid::{Choice, Grid};

use super::args::Researched;
use super::timing;
use crate::codes;
use crate::report::table;

/// What sweeps and walk-forwards begin with.
pub(super) struct Opened<'s> {
    pub(super) strategy: &'s dyn AnyStrategy,
    document: Checked,
    archive: Archive,
    pub(super) grid: Grid,
    choice: Choice,
    hours: Option<Hours>,
    period: (Date, Date),
    symbols: Option<Vec<Symbol>>,
    memory: usize,
    ledger: PathBuf,
}

impl<'s> Opened<'s> {
    pub(super) fn new(options: &Researched, strategies: &[&'s dyn AnyStrategy]) -> Result<Self> {
        super::backtest::archived_data_only()?;
        let missing = |name: &str| Error::new(codes::COMMAND_LINE, format!("--{name} is missing"));
        let name = options.strategy.as_ref().ok_or_else(|| missing("strategy"))?;
        let start = options.start_date.ok_or_else(|| missing("start-date"))?;
        let end = options.end_date.ok_or_else(|| missing("end-date"))?;
        let strategy = registry::find(strategies, name)?;
        let subject = &options.subject;
        let choice = match options.random {
            Some(count) => Choice::Random { count, seed: options.seed.unwrap_or(0) },
            None => Choice::All,
        };
        Ok(Self {
            strategy,
            document: subject.document(strategy)?,
            archive: subject.place.archive()?,
            grid: Grid { axes: options.grid.clone(), conditions: options.conditions.clone() },
            choice,
            hours: subject.hours(),
            period: (start, end),
            symbols: subject.symbols.clone(),
            memory: options.memory.0,
            ledger: subject.ledger()?,
        })
    }

    pub(super) fn request(&self, how: How) -> SweepRequest<'_> {
        let (start, end) = self.period;
        SweepRequest {
            document: &self.document,
            archive: &self.archive,
            symbols: self.symbols.as_deref(),
            hours: self.hours,
            start,
            end,
            grid: &self.grid,
            choice: self.choice,
            memory: self.memory,
            how,
        }
    }

    /// The strategy's ledger.
    pub(super) fn open_ledger(&self) -> Result<Ledger> {
        Ledger::open(&self.ledger, self.strategy.name())
    }
}

/// Refuses a figure that no row has.
pub(super) fn check_figure(by: &str) -> Result<()> {
    if metrics::figure(by).is_some() {
        return Ok(());
    }
    let known: Vec<&str> = metrics::figures().map(|figure| figure.name).collect();
    Err(Error::new(codes::BAD_ARGUMENT, format!("there is no figure `{by}`"))
        .help(format!("known are {}", known.join(", "))))
}

/// What is said under every table of research: doubtful bars, synthetic bars.
pub(super) fn notes(doubts: &[Finding], synthetic: bool) -> String {
    let mut lines = doubt_lines(doubts);
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
