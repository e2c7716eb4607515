//! `magellan sweep`

use std::path::{Path, PathBuf};
use std::time::Instant;

use magellan::error::{Error, Result};
use magellan::ledger::{Kind, Ledger};
use magellan::registry::{self, AnyStrategy};
use magellan::study::Study;
use magellan::study::store::{self, Best, Plan, Rank, Store};
use magellan::sweep::How;
use serde_json::json;

use super::args::{Merge, Shard, Sweep, SweepCommand};
use super::research::{Opened, check_figure, doubts, notes, progress};
use super::{print, timing, to_json};
use crate::codes;
use crate::report::table;

/// Figures shown beside the one that ranks.
const SHOWN: [&str; 4] = ["sharpe", "total_return", "max_drawdown", "trades"];

pub(super) fn run(options: &Sweep, strategies: &[&dyn AnyStrategy], started: Instant) -> Result<u8> {
    if let Some(SweepCommand::Merge(merge)) = &options.command {
        return self::merge(merge, strategies);
    }
    check_figure(&options.by)?;
    let shard = shard(options)?;
    if shard.of > 1 && options.out.is_none() {
        let what = format!("shard {}/{}: its results need a folder", shard.index, shard.of);
        return Err(
            Error::new(codes::COMMAND_LINE, what).help("name it with --out DIR, or do everything with --shard 1/1")
        );
    }
    let opened = Opened::new(&options.research, strategies)?;
    let how = if options.plain { How::Plain } else { How::Fast };
    let study = opened.study(how)?;
    let points = opened.points()?;
    study.check(&points)?;
    let trials = opened.trials(&*study, points.len());
    let plan = Plan::new(trials, options.sample_seed, study.bars());
    if options.timings {
        timing("start, load, grid", started);
    }
    let temporary;
    let folder: &Path = match &options.out {
        Some(folder) => folder,
        None => {
            temporary = tempfile::tempdir().map_err(|e| Error::new(codes::CANNOT_WRITE, e.to_string()))?;
            temporary.path()
        }
    };
    let mut ledger = Ledger::open(&opened.ledger, opened.strategy.name())?;
    let store = Store::begin(folder, &plan)?;
    // Counted before anything is seen.
    ledger.add(Kind::Sweep, &plan.trials, None)?;
    let replayed = run_parts(&store, &plan, &*study, &opened, &points, shard)?;
    if options.timings {
        timing("replayed", started);
    }
    if shard.of > 1 {
        let Shard { index, of } = shard;
        let (count, folder) = (points.len(), folder.display().to_string());
        print(&match options.json {
            true => to_json(&json!({"schema_version": 1, "shard": index, "of": of, "points": count, "out": folder})),
            false => format!(
                "shard {index}/{of} of {count} points is in {folder}; when all are done: magellan sweep merge --out DIR {folder} …\n"
            ),
        })?;
        return Ok(0);
    }
    let returns = store.finish(&plan)?;
    store.tidy();
    ledger.add(Kind::Sweep, &plan.trials, Some(&returns))?;
    let axes: Vec<String> = opened.grid.axes.iter().map(|a| a.key.clone()).collect();
    let mut figures = vec![options.by.as_str()];
    figures.extend(SHOWN.iter().filter(|f| **f != options.by));
    let best = store::best(
        &store.results(),
        Rank { by: &options.by, lowest: options.lowest },
        options.top as usize,
        &axes,
        &figures,
    )?;
    let n = ledger.count()?;
    let text = match options.json {
        true => to_json(&json!({
            "schema_version": 1,
            "strategy": opened.strategy.name(),
            "points": points.len(),
            "bar_evaluations": points.len() as u64 * study.bars(),
            "replayed_now": replayed,
            "trials": n,
            "synthetic": study.is_synthetic(),
            "data_findings": doubts(&*study),
            "results": options.out.as_ref().map(|_| store.results()),
            "axes": axes,
            "figures": figures,
            "best": best,
        })),
        false => best_table(&axes, &figures, &best, options.lowest, points.len(), n, &*study),
    };
    print(&text)?;
    if options.timings {
        timing("total", started);
    }
    Ok(0)
}

/// The best rows, and what they are the best of.
fn best_table(
    axes: &[String],
    figures: &[&str],
    best: &[Best],
    lowest: bool,
    points: usize,
    n: u64,
    study: &dyn Study,
) -> String {
    let header = ["point", "symbol"].into_iter().map(str::to_owned).chain(axes.iter().cloned());
    let mut rows = Vec::new();
    for one in best {
        let mut row = vec![one.point.to_string(), one.symbol.clone()];
        row.extend(one.parameters.iter().map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned)));
        let show =
            |(name, value): (&&str, &Option<f64>)| value.map_or_else(|| "-".to_owned(), |v| table::number(name, v));
        row.extend(figures.iter().zip(&one.figures).map(show));
        rows.push(row);
    }
    let mut text = table::plain(header.chain(figures.iter().map(|f| (*f).to_owned())), rows);
    let accounts = match study.accounts() {
        1 => String::new(),
        accounts => format!(" of {accounts} symbols, an account each"),
    };
    let by = figures.first().copied().unwrap_or_default();
    let order = if lowest { "lowest" } else { "highest" };
    let what = if best.is_empty() { format!("no {by} is defined") } else { format!("the {order} {by}") };
    text += &format!("{what} among {points} points{accounts}; the ledger counts {n} trials of this strategy\n");
    text + &notes(study)
}

/// Computes the parts of the shard that aren't there yet; how many points that were.
fn run_parts(
    store: &Store,
    plan: &Plan,
    study: &dyn Study,
    opened: &Opened<'_>,
    points: &[u64],
    shard: Shard,
) -> Result<usize> {
    let done = store.done()?;
    let wanted = |part: &usize| part % shard.of == shard.index - 1 && !done.contains(part);
    let parts: Vec<usize> = (0..plan.parts()).filter(wanted).collect();
    let to_do: usize = parts.iter().map(|&part| plan.part(part).len()).sum();
    let bar = progress(to_do, study);
    store.compute(plan, study, (&opened.grid, points), &parts, &|n| bar.inc(n as u64))?;
    bar.finish_and_clear();
    Ok(to_do)
}

fn merge(options: &Merge, strategies: &[&dyn AnyStrategy]) -> Result<u8> {
    let first = options.sources.first().unwrap_or(&options.out);
    let path = first.join("plan.json");
    let text = std::fs::read_to_string(&path).map_err(|e| Error::io(&path, &e))?;
    let plan = Plan::parse(&text).map_err(|e| e.at(path.display()))?;
    let strategy = registry::find(strategies, &plan.trials.strategy)?;
    plan.trials.identities().map_err(|e| e.recode(codes::OTHER_SWEEP).at(path.display()))?;
    let sources: Vec<&Path> = options.sources.iter().map(PathBuf::as_path).collect();
    let parts = Store::collect(&plan, &sources)?;
    let mut ledger = Ledger::open(&options.counting.folder(&options.place)?, strategy.name())?;
    let store = Store::begin(&options.out, &plan)?;
    ledger.add(Kind::Sweep, &plan.trials, None)?;
    let returns = store.join(&parts)?;
    ledger.add(Kind::Sweep, &plan.trials, Some(&returns))?;
    print(&format!("{} points merged into {}\n", plan.trials.points, store.results().display()))?;
    Ok(0)
}

/// Which part of a sweep this process is to do: as asked, or as the scheduler says.
fn shard(options: &Sweep) -> Result<Shard> {
    if let Some(shard) = options.shard {
        return Ok(shard);
    }
    let number = |name: &str| -> Result<Option<usize>> {
        match std::env::var(name) {
            Err(_) => Ok(None),
            Ok(text) => text.parse().map(Some).map_err(|_| {
                Error::new(codes::ENVIRONMENT, format!("{name} is `{text}`, a number was expected"))
                    .help("unset it, or name the shard with --shard i/n")
            }),
        }
    };
    let schedulers = [
        ("AWS_BATCH_JOB_ARRAY_INDEX", "AWS_BATCH_JOB_ARRAY_SIZE", ""),
        ("SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT", "SLURM_ARRAY_TASK_"),
        ("JOB_COMPLETION_INDEX", "", ""),
    ];
    for (index_name, count_name, range) in schedulers {
        let Some(index) = number(index_name)? else { continue };
        let of_range = |name: &str| if range.is_empty() { Ok(None) } else { number(&format!("{range}{name}")) };
        let (first, last) = (of_range("MIN")?.unwrap_or(0), of_range("MAX")?);
        let step = of_range("STEP")?.unwrap_or(1).max(1);
        let count = if count_name.is_empty() { None } else { number(count_name)? };
        let Some(of) = options.shards.or(count) else {
            let what = format!("{index_name} is {index}, but not of how many");
            return Err(
                Error::new(codes::COMMAND_LINE, what).help("name their number with --shards N, or --shard 1/1 for all")
            );
        };
        // Some tasks of an array, started again, don't fill their range.
        let fills = last.is_none_or(|last| last >= first && (last - first) / step + 1 == of);
        return match index.checked_sub(first) {
            Some(over) if fills && over % step == 0 && over / step < of => Ok(Shard { index: over / step + 1, of }),
            _ => {
                let what = format!("{index_name} is {index}, which is none of {of} shards in a row from {first}");
                Err(Error::new(codes::ENVIRONMENT, what).help("name the shard with --shard i/n"))
            }
        };
    }
    match options.shards {
        None => Ok(Shard { index: 1, of: 1 }),
        Some(_) => Err(Error::new(codes::COMMAND_LINE, "--shards is given, but no scheduler says which one this is")
            .help("name it with --shard i/n")),
    }
}
