//! `magellan walk-forward`

use std::path::Path;

use magellan::backtest::label;
use magellan::calendar;
use magellan::config::CRITERIA;
use magellan::error::{Error, Result};
use magellan::ledger::Ledger;
use magellan::metrics::{Measure, Metrics};
use magellan::registry::AnyStrategy;
use magellan::sweep::How;
use magellan::walk_forward::{Division, Fold, Scheme, walk_forward};
use serde_json::{Value, json};

use super::args::WalkForward;
use super::research::{Opened, check_figure, doubts, notes, progress};
use super::{print, to_json};
use crate::codes;
use crate::report::table;

/// Figures that joined returns have.
const OF_RETURNS: [&str; 5] = ["sharpe", "sortino", "total_return", "max_drawdown", "volatility"];

pub(super) fn run(options: &WalkForward, strategies: &[&dyn AnyStrategy]) -> Result<u8> {
    check_figure(&options.by)?;
    let scheme = options.scheme.into();
    let Some(criterion) = CRITERIA.iter().find(|c| c.name == options.by) else {
        let known: Vec<&str> = CRITERIA.iter().map(|c| c.name).collect();
        let what = format!("`{}` can't be chosen by", options.by);
        return Err(Error::new(codes::BAD_ARGUMENT, what).help(format!("choose by {}", known.join(", "))));
    };
    if scheme == Scheme::CrossValidation && !OF_RETURNS.contains(&options.by.as_str()) {
        let what = format!("cross-validation joins session returns, which have no {}", options.by);
        return Err(Error::new(codes::BAD_ARGUMENT, what).help(format!("choose by {}", OF_RETURNS.join(", "))));
    }
    if options.train.is_some() && scheme != Scheme::Rolling {
        return Err(Error::new(codes::BAD_ARGUMENT, "--train is for --scheme rolling only").help("leave it out"));
    }
    if options.embargo.is_some() && scheme != Scheme::CrossValidation {
        let what = "--embargo is for --scheme cross-validation only: nothing after a test is chosen on otherwise";
        return Err(Error::new(codes::BAD_ARGUMENT, what).help("leave it out"));
    }
    let opened = Opened::new(&options.research, strategies)?;
    let study = opened.study(How::Fast)?;
    let (start, end) = opened.period;
    calendar::check_covered(start)?;
    calendar::check_covered(end)?;
    let sessions: Vec<_> = calendar::sessions(start, end).map(|s| s.date).collect();
    let embargo = if scheme == Scheme::CrossValidation { options.embargo.unwrap_or(5) } else { 0 };
    let division = Division { scheme, folds: options.folds, train: options.train, purge: options.purge, embargo };
    let folds = division.cut(&sessions)?;
    for fold in &folds {
        fold.train.iter().chain([&fold.test]).try_for_each(|&period| study.covers(period))?;
    }
    let points = opened.points()?;
    study.check(&points)?;
    if let Some(path) = &options.out {
        // What can't be written is no trial.
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        tempfile::tempfile_in(folder).map_err(|e| Error::new(codes::CANNOT_WRITE, e.to_string()).at(path.display()))?;
    }
    let trials = opened.trials(&*study, points.len());
    let mut ledger = Ledger::open(&opened.ledger, opened.strategy.name())?;
    let how = json!({
        "scheme": scheme,
        "folds": division.folds,
        "train": division.train,
        "purge": division.purge,
        "embargo": division.embargo,
        "by": options.by,
        "lowest": options.lowest,
    });
    ledger.add_walk_forward(&trials, how.clone())?;
    let bar = progress(points.len() * folds.len(), &*study);
    let rank = |metrics: &Metrics| match (criterion.of)(metrics) {
        Measure::Defined(value) if options.lowest => Measure::Defined(-value),
        measure => measure,
    };
    let walked = walk_forward(&*study, &points, &folds, &rank, &|n| bar.inc(n as u64))?;
    bar.finish_and_clear();
    let figure = |m: &Metrics| (criterion.of)(m);
    let n = ledger.count()?;
    let chosen: Vec<Value> = walked
        .chosen
        .iter()
        .map(|c| {
            json!({
                "fold": c.fold + 1,
                "symbol": label(c.symbol),
                "parameters": c.point.map(|p| parameters(&opened, p)),
                "in_sample": c.in_sample.map(|m| match scheme {
                    Scheme::CrossValidation => of_returns(&m.0),
                    _ => json!(m),
                }),
                "out_of_sample": c.out_of_sample,
            })
        })
        .collect();
    let joined: Vec<Value> = walked
        .joined
        .iter()
        .map(|(symbol, of)| {
            json!({"symbol": label(*symbol), "sessions": of.0.sessions, "out_of_sample": of_returns(&of.0)})
        })
        .collect();
    let document = to_json(&json!({
        "schema_version": 1,
        "strategy": opened.strategy.name(),
        "division": how,
        "points": points.len(),
        "trials": n,
        "synthetic": study.is_synthetic(),
        "data_findings": doubts(&*study),
        "folds": folds,
        "chosen": chosen,
        "joined": joined,
    }));
    if let Some(path) = &options.out {
        super::write(Path::new(path), &document)?;
    }
    if options.json {
        print(&document)?;
        return Ok(0);
    }
    let show = |m: Option<Measure>| match m {
        Some(Measure::Defined(v)) => table::number(criterion.name, v),
        Some(undefined) => undefined.to_string(),
        None => "-".to_owned(),
    };
    let rows = walked.chosen.iter().map(|c| {
        let fold = &folds[c.fold];
        vec![
            (c.fold + 1).to_string(),
            label(c.symbol),
            ranges(fold),
            format!("{} to {}", fold.test.0, fold.test.1),
            c.point.map_or_else(|| "none".to_owned(), |p| opened.grid.describe(p)),
            show(c.in_sample.map(|m| figure(&m.0))),
            show(c.out_of_sample.map(|m| figure(&m.0))),
        ]
    });
    let header = ["fold", "symbol", "chosen on", "judged on", "parameters", "in-sample", "out-of-sample"];
    let mut text = table::plain(header.map(str::to_owned).into_iter(), rows.collect());
    let joined = walked.joined.iter().map(|(symbol, of)| {
        let mut row = vec![label(*symbol), of.0.sessions.to_string()];
        let figures = ["sharpe", "total_return", "max_drawdown", "volatility"];
        let measure = |name: &str| CRITERIA.iter().find(|c| c.name == name).map(|c| (c.of)(&of.0));
        row.extend(figures.map(|name| match measure(name) {
            Some(Measure::Defined(v)) => table::number(name, v),
            Some(undefined) => undefined.to_string(),
            None => String::new(),
        }));
        row
    });
    let header = ["symbol", "sessions judged on", "sharpe", "total_return", "max_drawdown", "volatility"];
    text += "out of sample, all folds joined:\n";
    text += &table::plain(header.map(str::to_owned).into_iter(), joined.collect());
    text += &format!("chosen among {} points by {}; the ledger counts {n} trials\n", points.len(), options.by);
    text += &notes(&*study);
    print(&text)?;
    Ok(0)
}

/// The figures that joined returns have.
fn of_returns(metrics: &Metrics) -> Value {
    let shown = CRITERIA.iter().filter(|c| OF_RETURNS.contains(&c.name));
    shown.map(|c| (c.name.to_owned(), json!((c.of)(metrics)))).collect()
}

fn parameters(opened: &Opened<'_>, point: u64) -> Value {
    let values = opened.grid.values(point);
    opened.grid.axes.iter().zip(values).map(|(axis, value)| (axis.key.clone(), value.clone())).collect()
}

fn ranges(fold: &Fold) -> String {
    let each: Vec<String> = fold.train.iter().map(|(from, to)| format!("{from} to {to}")).collect();
    each.join(", ")
}
