//! `magellan sweep`

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::{Args, Subcommand};
use magellan::error::{Error, Result};
use magellan::ledger::Ledger;
use magellan::metrics::TRADING;
use magellan::registry::{self, AnyStrategy};
use magellan::research::landscape::landscapes;
use magellan::research::plan::{Plan, Shard};
use magellan::research::results::{Best, Contest, Rank, check_figure_of_rows};
use magellan::research::sweep::{self, Keeping, Swept};
use magellan::sweep::How;
use serde_json::{Value, json};

use super::interrupt::on_interrupt;
use super::options::{Counting, Place};
use super::output::{Claim, claim, print, timing, to_json};
use super::page::Page;
use super::research::{Opened, Researched, Shown, doubt_lines, notes};
use crate::codes;
use crate::report::words::counted;
use crate::report::{html, table};

#[derive(Args, Debug)]
#[command(subcommand_negates_reqs = true)]
pub(super) struct Sweep {
    #[command(subcommand)]
    pub(super) command: Option<SweepCommand>,
    #[command(flatten)]
    pub(super) research: Researched,
    /// Write results into this folder, or go on with those that are there.
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,
    /// Do one of several shares, e.g. 2/7 [default: as AWS Batch, Slurm or Kubernetes say, else
    /// everything].
    #[arg(long, value_name = "I/N")]
    pub(super) shard: Option<Shard>,
    /// Number of shares, where the scheduler says only which one this is.
    #[arg(long, value_name = "N", conflicts_with = "shard")]
    pub(super) shards: Option<usize>,
    /// Show so many of the best points.
    #[arg(long, value_name = "N", default_value = "10", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) top: u32,
    /// The figure that ranks them, highest first.
    #[arg(long, value_name = "FIGURE", default_value = "sharpe")]
    pub(super) by: String,
    /// Rank the lowest first, e.g. of volatility.
    #[arg(long)]
    pub(super) lowest: bool,
    /// Also rank all symbols together, with the same parameters for each, in a sweep too large to do so unasked.
    #[arg(long)]
    pub(super) portfolio: bool,
    /// Ask `decide` at every bar, even where a strategy declares its rules. The same results.
    #[arg(long)]
    pub(super) plain: bool,
    #[command(flatten)]
    pub(super) page: Page,
    /// Print JSON.
    #[arg(long)]
    pub(super) json: bool,
    /// Print on stderr where the time went.
    #[arg(long)]
    pub(super) timings: bool,
}

#[derive(Subcommand, Debug)]
pub(super) enum SweepCommand {
    /// Join the shares of a sweep into its results.
    Merge(Merge),
}

#[derive(Args, Debug)]
pub(super) struct Merge {
    /// Folders of the shares.
    #[arg(required = true)]
    pub(super) sources: Vec<PathBuf>,
    /// Folder for the results; may be one of the sources.
    #[arg(long, value_name = "DIR")]
    pub(super) out: PathBuf,
    #[command(flatten)]
    pub(super) place: Place,
    #[command(flatten)]
    pub(super) counting: Counting,
}

/// Figures shown beside the one that ranks.
const ALWAYS: [&str; 4] = ["sharpe", "total_return", "max_drawdown", "trades"];
/// The same, where they are defined and not 0, as what was traded.
const TURNOVER: &str = "turnover";

pub(super) fn run(options: &Sweep, strategies: &[&dyn AnyStrategy], started: Instant) -> Result<u8> {
    if let Some(SweepCommand::Merge(merge)) = &options.command {
        return self::merge(merge, strategies);
    }
    check_figure_of_rows(&options.by)?;
    let shard = shard(options)?;
    if !shard.is_whole() && options.out.is_none() {
        let what = format!("shard {}/{}: its results need a folder", shard.index, shard.of);
        return Err(
            Error::new(codes::COMMAND_LINE, what).help("name it with --out DIR, or do everything with --shard 1/1")
        );
    }
    if !shard.is_whole() && options.page.html.is_some() {
        let what = format!("shard {}/{}: a page needs all points", shard.index, shard.of);
        return Err(Error::new(codes::COMMAND_LINE, what).help("leave out --html, or do everything with --shard 1/1"));
    }
    options.page.check()?;
    let opened = Opened::new(&options.research, strategies)?;
    let (temporary, _claimed);
    let folder: &Path = match &options.out {
        Some(folder) => {
            _claimed = claim(folder, if shard.is_whole() { Claim::Alone } else { Claim::Shared })?;
            folder
        }
        None => {
            temporary = tempfile::tempdir().map_err(|e| Error::new(codes::CANNOT_WRITE, e.to_string()))?;
            temporary.path()
        }
    };
    announce_interrupt(options, folder);
    let how = if options.plain { How::Plain } else { How::Fast };
    let keeping = Keeping { folder, shard, together: options.portfolio };
    let shown = Shown::new(started, options.timings);
    let swept = opened.strategy.sweep(&opened.request(how), &keeping, &mut opened.open_ledger()?, &shown)?;
    let text = match shard.is_whole() {
        true => best_points(options, &opened, &swept)?,
        false => share(options, folder, shard, swept.points),
    };
    print(&text)?;
    if options.timings {
        timing("total", started);
    }
    Ok(0)
}

/// Ctrl-C says whether the sweep can go on.
fn announce_interrupt(options: &Sweep, folder: &Path) {
    match &options.out {
        Some(folder) => {
            let done =
                format!("the parts that are done are in {}; the same command goes on from there", folder.display());
            on_interrupt(done, || ());
        }
        None => {
            let temporary = folder.to_owned();
            let lost = "nothing is kept without --out DIR, with which the same command would go on".to_owned();
            on_interrupt(lost, move || drop(std::fs::remove_dir_all(temporary)));
        }
    }
}

/// What is said of one share of several.
fn share(options: &Sweep, folder: &Path, Shard { index, of }: Shard, count: usize) -> String {
    let folder = folder.display().to_string();
    match options.json {
        true => to_json(&json!({"schema_version": 1, "shard": index, "of": of, "points": count, "out": folder})),
        false => format!(
            "shard {index}/{of} of {} is in {folder}; when all are done: magellan sweep merge --out DIR {folder} …\n",
            counted(count, "point")
        ),
    }
}

/// The best points, as a table or as JSON, and as a page, if one is wanted.
fn best_points(options: &Sweep, opened: &Opened<'_>, swept: &Swept) -> Result<String> {
    let mut figures = vec![options.by.as_str()];
    let others = ALWAYS.into_iter().chain([TURNOVER]).chain(TRADING.map(|(name, _)| name));
    figures.extend(others.filter(|f| *f != options.by));
    let rank = Rank { by: &options.by, lowest: options.lowest };
    let top = options.top as usize;
    let by_symbol = match swept.accounts {
        1 => Vec::new(),
        _ => swept.best(Contest::EachSymbol, rank, 1, &figures)?,
    };
    let contest = if swept.accounts == 1 { Contest::All } else { Contest::Together };
    let best = swept.best(contest, rank, top, &figures)?;
    let all = if swept.accounts == 1 { best.clone() } else { swept.best(Contest::All, rank, top, &figures)? };
    let summary = json!({
        "schema_version": 1,
        "strategy": opened.strategy.name(),
        "assumed": opened.assumed(),
        "points": swept.points,
        "bar_evaluations": swept.points as u64 * swept.bars,
        "replayed_now": swept.replayed,
        "trials": swept.trials,
        "synthetic": swept.synthetic,
        "partly_covered": swept.partly_covered,
        "data_findings": doubt_lines(&swept.doubts),
        "results": options.out.as_ref().and(swept.results.as_ref()),
        "axes": swept.axes,
        "figures": figures,
        "accounts_ranked": accounts_ranked(swept),
        "best": all,
        "best_by_symbol": by_symbol,
        "best_together": if swept.accounts == 1 { &[][..] } else { &best },
    });
    options.page.show(|| page(options, opened, swept, &summary))?;
    Ok(match options.json {
        true => to_json(&summary),
        false => {
            let tables = best_tables(swept, rank, &figures, &by_symbol, &best);
            let expanded = table::legend(&tables);
            tables + &table::assumed(opened.assumed()) + &expanded
        }
    })
}

fn page(options: &Sweep, opened: &Opened<'_>, swept: &Swept, summary: &Value) -> Result<String> {
    let missing = || Error::new(codes::COMMAND_LINE, "a page needs all points of the sweep");
    let results = swept.results.as_deref().ok_or_else(missing)?;
    let rank = Rank { by: &options.by, lowest: options.lowest };
    html::sweep(&html::SweptPage {
        summary,
        plan: &Plan::read(results.parent().unwrap_or(Path::new(".")))?,
        landscapes: &landscapes(results, rank)?,
        by: &options.by,
        lowest: options.lowest,
        archive: opened.archive().folder(),
    })
}

/// How many accounts were compared: of every symbol and, if they were, of all together, at every point.
fn accounts_ranked(swept: &Swept) -> usize {
    swept.points * (swept.accounts + usize::from(swept.together))
}

/// The best rows, and what they are the best of.
fn best_tables(swept: &Swept, rank: Rank<'_>, figures: &[&str], by_symbol: &[Best], best: &[Best]) -> String {
    let rows = |best: &[Best]| {
        let header = ["point", "symbol"].into_iter().map(str::to_owned).chain(swept.axes.iter().cloned());
        let columns = columns(figures, best);
        let rows = best.iter().map(|one| best_row(one, figures, &columns)).collect();
        table::plain(header.chain(columns.iter().map(|&i| figures[i].to_owned())), rows)
    };
    let order = if rank.lowest { "lowest" } else { "highest" };
    let what = |best: &[Best]| match best {
        [] => format!("no {} is defined", rank.by),
        _ => format!("the {order} {}", rank.by),
    };
    let (points, trials) = (counted(swept.points, "point"), counted(swept.trials, "trial"));
    let mut text = String::new();
    if swept.accounts == 1 {
        text += &format!("{}{} among {points}", rows(best), what(best));
    } else {
        text += &format!("best by symbol, an account each:\n{}", rows(by_symbol));
        text += &match swept.together {
            true if best.is_empty() => format!("all symbols together have no {}\n", rank.by),
            true => format!("best for all symbols together, one setting for all:\n{}", rows(best)),
            false => "all symbols together aren't ranked in so large a sweep: --portfolio asks for it\n".to_owned(),
        };
        let shown = if best.is_empty() { by_symbol } else { best };
        let accounts = counted(accounts_ranked(swept), "account");
        text += &format!("{} among {points} of {} symbols, {accounts} in all", what(shown), swept.accounts);
    }
    text += &format!("; the ledger counts {trials} of this strategy\n");
    text + &notes(&swept.partly_covered, &swept.doubts, swept.synthetic)
}

/// Which figures a table of these rows has: the one that ranks, those of every table, and of what was traded what there
/// is. Long trades stand apart where there are short ones.
fn columns(figures: &[&str], rows: &[Best]) -> Vec<usize> {
    let is_some = |i: usize| rows.iter().any(|row| row.figures[i].is_some_and(|v| v != 0.0));
    let has_short = figures.iter().position(|f| *f == "short_trades").is_some_and(is_some);
    let is_shown = |&i: &usize| match figures[i] {
        figure if i == 0 || ALWAYS.contains(&figure) => true,
        "long_trades" | "long_pnl" => has_short,
        _ => is_some(i),
    };
    (0..figures.len()).filter(is_shown).collect()
}

fn best_row(best: &Best, figures: &[&str], columns: &[usize]) -> Vec<String> {
    let mut row = vec![best.point.to_string(), best.symbol.clone()];
    row.extend(best.parameters.iter().map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned)));
    let figure = |&i: &usize| best.figures[i].map_or_else(|| "-".to_owned(), |v| table::number(figures[i], v));
    row.extend(columns.iter().map(figure));
    row
}

fn merge(options: &Merge, strategies: &[&dyn AnyStrategy]) -> Result<u8> {
    let first = options.sources.first().unwrap_or(&options.out);
    let plan = Plan::read(first)?;
    let strategy = registry::find(strategies, &plan.trials.strategy)?;
    let sources: Vec<&Path> = options.sources.iter().map(PathBuf::as_path).collect();
    let _claimed = claim(&options.out, Claim::Alone)?;
    let ledger = options.counting.folder(&options.place, plan.trials.synthetic)?;
    let mut ledger = Ledger::open(&ledger, strategy.name())?;
    let results = sweep::merge(&plan, &sources, &options.out, &mut ledger)?;
    print(&format!("{} merged into {}\n", counted(plan.trials.points, "point"), results.display()))?;
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
