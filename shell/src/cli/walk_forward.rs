//! `magellan walk-forward`

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::{Args, ValueEnum};
use magellan::error::{Error, Result};
use magellan::metrics::{self, Cause, Measure, Metrics, figures};
use magellan::registry::AnyStrategy;
use magellan::research::market::account_name;
use magellan::research::results::check_figure;
use magellan::research::walk_forward::{
    Choosing, Chosen, Division, FIGURES_OF_RETURNS, Fold, Joined, Scheme, WalkForward as Walked,
};
use magellan::sweep::How;
use serde_json::{Value, json};

use super::output::{print, to_json};
use super::research::{Opened, Researched, Shown, doubt_lines, notes};
use crate::codes;
use crate::report::table;
use crate::report::words::counted;

#[derive(Args, Debug)]
pub(super) struct WalkForward {
    #[command(flatten)]
    pub(super) research: Researched,
    /// Choose on everything before each test, on the last sessions before it, or on everything
    /// around it.
    #[arg(long, value_enum, default_value_t = SchemeArg::Anchored)]
    pub(super) scheme: SchemeArg,
    /// Number of tests.
    #[arg(long, value_name = "K", default_value_t = 5)]
    pub(super) folds: usize,
    /// Sessions of a rolling choice [default: as many as a test has].
    #[arg(long, value_name = "SESSIONS")]
    pub(super) train: Option<usize>,
    /// Sessions before each test that are not chosen on.
    #[arg(long, value_name = "SESSIONS", default_value_t = 5)]
    pub(super) purge: usize,
    /// Sessions after each test that are not chosen on, in cross-validation [default: 5].
    #[arg(long, value_name = "SESSIONS")]
    pub(super) embargo: Option<usize>,
    /// The figure that chooses, highest wins.
    #[arg(long, value_name = "FIGURE", default_value = "sharpe")]
    pub(super) by: String,
    /// The lowest wins, e.g. of volatility.
    #[arg(long)]
    pub(super) lowest: bool,
    /// Write the JSON into this file.
    #[arg(long, value_name = "FILE")]
    pub(super) out: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum SchemeArg {
    Anchored,
    Rolling,
    CrossValidation,
}

impl From<SchemeArg> for Scheme {
    fn from(scheme: SchemeArg) -> Self {
        match scheme {
            SchemeArg::Anchored => Self::Anchored,
            SchemeArg::Rolling => Self::Rolling,
            SchemeArg::CrossValidation => Self::CrossValidation,
        }
    }
}

/// Sessions after a test that cross-validation doesn't choose on, if not given.
const EMBARGO: usize = 5;

pub(super) fn run(options: &WalkForward, strategies: &[&dyn AnyStrategy]) -> Result<u8> {
    check_figure(&options.by)?;
    let choosing = choosing(options)?;
    let opened = Opened::new(&options.research, strategies)?;
    if let Some(path) = &options.out {
        check_writable(path)?;
    }
    let (request, mut ledger) = (opened.request(How::Fast), opened.open_ledger()?);
    let shown = Shown::new(Instant::now(), false);
    let walked = opened.strategy.walk_forward(&request, &choosing, &mut ledger, &shown)?;
    let document = to_json(&document(&opened, &walked, &choosing));
    if let Some(path) = &options.out {
        super::output::write(path, &document)?;
    }
    print(&if options.json { document } else { tables(&opened, &walked, &choosing) })?;
    Ok(if is_conclusive(&walked, &options.by) { 0 } else { INCONCLUSIVE })
}

/// The exit code of a walk-forward that found nothing out.
const INCONCLUSIVE: u8 = 4;

/// Whether the figure that chose has a value in any fold's test.
fn is_conclusive(walked: &Walked, by: &str) -> bool {
    let value = |c: &Chosen| (metrics::figure(by)?.of)(c.judged.as_ref()?.metrics()).value();
    walked.chosen.iter().any(|c| value(c).is_some())
}

/// What the options mean, if they fit each other.
fn choosing(options: &WalkForward) -> Result<Choosing<'_>> {
    let scheme = options.scheme.into();
    let embargo = if scheme == Scheme::CrossValidation { options.embargo.unwrap_or(EMBARGO) } else { 0 };
    let division = Division { scheme, folds: options.folds, train: options.train, purge: options.purge, embargo };
    let choosing = Choosing { division, by: &options.by, lowest: options.lowest };
    choosing.figure()?;
    if options.train.is_some() && scheme != Scheme::Rolling {
        return Err(Error::new(codes::BAD_ARGUMENT, "--train is for --scheme rolling only").help("leave it out"));
    }
    if options.embargo.is_some() && scheme != Scheme::CrossValidation {
        let what = "--embargo is for --scheme cross-validation only: nothing after a test is chosen on otherwise";
        return Err(Error::new(codes::BAD_ARGUMENT, what).help("leave it out"));
    }
    Ok(choosing)
}

/// What can't be written is no trial.
fn check_writable(path: &Path) -> Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    tempfile::tempfile_in(folder)
        .map(drop)
        .map_err(|e| Error::new(codes::CANNOT_WRITE, e.to_string()).at(path.display()))
}

/// Everything, for programs.
fn document(opened: &Opened<'_>, walked: &Walked, choosing: &Choosing<'_>) -> Value {
    let key = choosing.division.scheme.heading().replace('-', "_");
    let chosen = |c: &Chosen| {
        json!({
            "fold": c.fold + 1,
            "symbol": account_name(c.symbol),
            "parameters": c.point.ok().map(|p| parameters(opened, p)),
            "not_judged": c.point.err(),
            "in_sample": c.in_sample.map(|m| match choosing.division.scheme {
                Scheme::CrossValidation => of_returns(m.flattering()),
                _ => json!(m),
            }),
            (&key): c.judged.map(|judged| *judged.metrics()),
        })
    };
    let joined = walked.joined.iter().map(|j| {
        json!({
            "symbol": account_name(j.symbol),
            "folds": walked.folds.len(),
            "folds_judged": j.folds_judged,
            "sessions": j.judged.map_or(0, |judged| judged.metrics().sessions),
            (&key): j.judged.map(|judged| of_returns(judged.metrics())),
        })
    });
    json!({
        "schema_version": 1,
        "strategy": opened.strategy.name(),
        "assumed": opened.assumed(),
        "division": walked.division,
        "points": walked.points,
        "trials": walked.trials,
        "synthetic": walked.synthetic,
        "partly_covered": walked.partly_covered,
        "data_findings": doubt_lines(&walked.doubts),
        "folds": walked.folds,
        "folds_judged": walked.folds_judged(),
        "conclusive": is_conclusive(walked, choosing.by),
        "chosen": walked.chosen.iter().map(chosen).collect::<Vec<Value>>(),
        "joined": joined.collect::<Vec<Value>>(),
    })
}

/// The figures that joined returns have.
fn of_returns(metrics: &Metrics) -> Value {
    let shown = figures().filter(|figure| FIGURES_OF_RETURNS.contains(&figure.name));
    shown.map(|figure| (figure.name.to_owned(), json!((figure.of)(metrics)))).collect()
}

fn parameters(opened: &Opened<'_>, point: u64) -> Value {
    let values = opened.grid.values(point);
    opened.grid.axes.iter().zip(values).map(|(axis, value)| (axis.key.clone(), value.clone())).collect()
}

/// What each fold chose and how it went, then all tests joined.
fn tables(opened: &Opened<'_>, walked: &Walked, choosing: &Choosing<'_>) -> String {
    let (by, heading) = (choosing.by, choosing.division.scheme.heading());
    let header = ["fold", "symbol", "chosen on", "judged on", "parameters", "in-sample", heading];
    let rows = walked.chosen.iter().map(|c| fold_row(opened, &walked.folds[c.fold], c, by));
    let mut text = table::plain(header.map(str::to_owned).into_iter(), rows.collect());
    text += &joined(walked, by, choosing.division.scheme);
    let (points, trials) = (counted(walked.points, "point"), counted(walked.trials, "trial"));
    text += &format!("chosen among {points} by {by}; the ledger counts {trials}\n");
    text + &notes(&walked.partly_covered, &walked.doubts, walked.synthetic) + &table::assumed(opened.assumed())
}

/// The tests of each account joined, under a line that says how many of the folds those are.
fn joined(walked: &Walked, by: &str, scheme: Scheme) -> String {
    let how = if scheme.is_forward() { "out of sample" } else { "cross-validated" };
    let folds = walked.folds.len();
    let (least, most) = (walked.joined.iter().map(|j| j.folds_judged).min().unwrap_or(0), walked.folds_judged());
    let mut text = match (least, most) {
        (_, 0) => {
            let why: BTreeSet<&str> = walked.chosen.iter().filter_map(|c| c.point.err()).map(Cause::words).collect();
            let why = why.into_iter().collect::<Vec<&str>>().join("; ");
            return format!("nothing was judged: in none of {} any point has a {by} ({why})\n", counted(folds, "fold"));
        }
        (least, _) if least == folds => format!("{how}, all {} joined:\n", counted(folds, "fold")),
        (least, most) if least == most => format!("{how}, {most} of {} joined:\n", counted(folds, "fold")),
        _ => format!("{how}, those of {} joined that were judged:\n", counted(folds, "fold")),
    };
    const FIGURES: [&str; 4] = ["sharpe", "total_return", "max_drawdown", "volatility"];
    let header = ["symbol", "folds judged", "sessions judged on"].into_iter().chain(FIGURES);
    let row = |j: &Joined| {
        let metrics = j.judged.as_ref().map(|judged| judged.metrics());
        let sessions = metrics.map_or(0, |m| m.sessions);
        let mut row = vec![account_name(j.symbol), format!("{} of {folds}", j.folds_judged), sessions.to_string()];
        row.extend(FIGURES.iter().map(|name| figure(name, metrics)));
        row
    };
    text += &table::plain(header.map(str::to_owned), walked.joined.iter().map(row).collect());
    if !is_conclusive(walked, by) {
        text += &format!("inconclusive: no test has a {by}\n");
    }
    text
}

fn fold_row(opened: &Opened<'_>, fold: &Fold, chosen: &Chosen, by: &str) -> Vec<String> {
    vec![
        (chosen.fold + 1).to_string(),
        account_name(chosen.symbol),
        ranges(fold),
        format!("{} to {}", fold.test.0, fold.test.1),
        match chosen.point {
            Ok(point) => opened.grid.describe(point),
            Err(why) => format!("none: {why}"),
        },
        figure(by, chosen.in_sample.as_ref().map(|m| m.flattering())),
        figure(by, chosen.judged.as_ref().map(|m| m.metrics())),
    ]
}

/// A figure as tables show it.
fn figure(name: &str, metrics: Option<&Metrics>) -> String {
    match metrics::figure(name).zip(metrics).map(|(figure, metrics)| (figure.of)(metrics)) {
        Some(Measure::Defined(value)) => table::number(name, value),
        Some(undefined) => undefined.to_string(),
        None => "-".to_owned(),
    }
}

fn ranges(fold: &Fold) -> String {
    let each: Vec<String> = fold.train.iter().map(|(from, to)| format!("{from} to {to}")).collect();
    each.join(", ")
}
