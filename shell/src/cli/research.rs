//! What `magellan sweep` and `magellan walk-forward` share: a strategy, its grid and its bars.

use std::path::PathBuf;

use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use magellan::archive::Archive;
use magellan::bar::{Date, Symbol};
use magellan::config::document::Document;
use magellan::error::{Error, Result};
use magellan::history::Hours;
use magellan::ledger::Trials;
use magellan::registry::{self, AnyStrategy};
use magellan::study::{self, Request, Study, store};
use magellan::sweep::How;
use magellan::sweep::grid::{Choice, Grid};

use super::args::Researched;
use crate::codes;
use crate::report::table;

/// What sweeps and walk-forwards begin with.
pub(super) struct Opened<'s> {
    pub(super) strategy: &'s dyn AnyStrategy,
    document: Document,
    archive: Archive,
    pub(super) grid: Grid,
    choice: Choice,
    hours: Option<Hours>,
    pub(super) period: (Date, Date),
    symbols: Option<Vec<Symbol>>,
    memory: usize,
    pub(super) ledger: PathBuf,
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

    fn request(&self, how: How) -> Request<'_> {
        let (start, end) = self.period;
        Request {
            document: &self.document,
            archive: &self.archive,
            symbols: self.symbols.as_deref(),
            hours: self.hours,
            start,
            end,
            grid: &self.grid,
            memory: self.memory,
            how,
        }
    }

    pub(super) fn study(&self, how: How) -> Result<Box<dyn Study + '_>> {
        self.strategy.study(&self.request(how))
    }

    /// The points visited, as combinations of the grid.
    pub(super) fn points(&self) -> Result<Vec<u64>> {
        let points = self.choice.points(&self.grid)?;
        if points.is_empty() {
            return Err(Error::new(codes::BAD_ARGUMENT, "no point of the grid meets the conditions")
                .help("widen --grid, or drop a --where"));
        }
        Ok(points)
    }

    pub(super) fn trials(&self, study: &dyn Study, points: usize) -> Trials {
        study::trials(self.strategy.name(), &self.request(How::Fast), study, self.choice, points)
    }
}

/// Refuses a figure that no row has.
pub(super) fn check_figure(by: &str) -> Result<()> {
    if store::figures().any(|name| name == by) {
        return Ok(());
    }
    let known: Vec<&str> = store::figures().collect();
    Err(Error::new(codes::BAD_ARGUMENT, format!("there is no figure `{by}`"))
        .help(format!("known are {}", known.join(", "))))
}

/// What is said under every table of research: doubtful bars, synthetic bars.
pub(super) fn notes(study: &dyn Study) -> String {
    let mut lines = doubts(study);
    lines.extend(study.is_synthetic().then(|| table::SYNTHETIC_NOTE.to_owned()));
    lines.into_iter().map(|line| line + "\n").collect()
}

/// What an audit doubts in the bars, a line each.
pub(super) fn doubts(study: &dyn Study) -> Vec<String> {
    study.doubts().iter().map(table::doubt).collect()
}

/// On a terminal: how far, how fast, how long.
pub(super) fn progress(points: usize, study: &dyn Study) -> ProgressBar {
    let accounts = study.accounts();
    let bars_each = study.bars() as f64 / accounts as f64;
    let bar = ProgressBar::new((points * accounts) as u64);
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
