//! `magellan ledger`

use std::path::PathBuf;

use clap::{Args, Subcommand};
use magellan::error::{Error, Result};
use magellan::ledger::Ledger;
use magellan::ledger::mark::{Mark, Source};
use magellan::registry::AnyStrategy;
use serde_json::{Value, json};

use super::ledger_import::{self, LedgerImport};
use super::options::{Counting, Place};
use super::output::{print, to_json};
use crate::report::table;
use crate::report::words::counted;
use crate::{codes, git};

#[derive(Subcommand, Debug)]
pub(super) enum LedgerCommand {
    /// Show how many trials each strategy has had, and by what.
    Show(LedgerArgs),
    /// Count trials that were made elsewhere: by another backtester, an optimiser, a notebook.
    ///
    /// Columns that are named like parameters of the config make the same trials as a sweep of them. Every cell that
    /// can't be read is listed, and then nothing is imported.
    Import(Box<LedgerImport>),
    /// Check that no record was altered and none that others name is gone. Exit 8 if one is.
    ///
    /// A record that no other names yet leaves no trace when it is removed: name those that must
    /// be there, such as the heads of the branch that is merged into, with --require, or all that it has with
    /// --require-of.
    Verify(LedgerVerify),
}

#[derive(Args, Debug)]
pub(super) struct LedgerVerify {
    #[command(flatten)]
    pub(super) ledger: LedgerArgs,
    /// A record that must be there, by its SHA-256 (`ledger show --json` lists heads); repeatable.
    #[arg(long, value_name = "SHA256")]
    pub(super) require: Vec<String>,
    /// All records that a commit or a branch has must be there, e.g. those of origin/main; repeatable.
    #[arg(long, value_name = "REF")]
    pub(super) require_of: Vec<String>,
}

#[derive(Args, Debug)]
pub(super) struct LedgerArgs {
    /// This strategy only.
    #[arg(long)]
    pub(super) strategy: Option<String>,
    #[command(flatten)]
    pub(super) place: Place,
    #[command(flatten)]
    pub(super) counting: Counting,
    /// The trials on synthetic bars, which have a ledger of their own unless --ledger names one for all.
    #[arg(long)]
    pub(super) synthetic: bool,
    /// Print JSON.
    #[arg(long)]
    pub(super) json: bool,
}

pub(super) fn run(command: LedgerCommand, strategies: &[&dyn AnyStrategy]) -> Result<u8> {
    match command {
        LedgerCommand::Show(options) => show(&options),
        LedgerCommand::Import(options) => ledger_import::run(&options, strategies),
        LedgerCommand::Verify(options) => verify(&options),
    }
}

/// The ledgers asked for below some folders, verified.
fn open(options: &LedgerArgs, roots: &[PathBuf]) -> Result<Vec<(String, Ledger)>> {
    let mut opened = Vec::new();
    let mut known = Vec::new();
    for root in roots {
        let names = Ledger::strategies(root)?;
        let wanted = names.iter().filter(|name| options.strategy.as_ref().is_none_or(|only| only == *name));
        for name in wanted {
            opened.push((name.clone(), Ledger::open(root, name)?));
        }
        known.extend(names);
    }
    match (&options.strategy, roots) {
        (Some(name), [root, ..]) if opened.is_empty() => {
            let what = format!("no trial of `{name}` is recorded");
            Err(Error::new(codes::NOT_DEPLOYED, what).at(root.display()).help(if known.is_empty() {
                "no strategy has one yet".to_owned()
            } else {
                format!("known are: {}", known.join(", "))
            }))
        }
        _ => Ok(opened),
    }
}

fn show(options: &LedgerArgs) -> Result<u8> {
    let mut shown: Vec<Value> = Vec::new();
    let mut rows = Vec::new();
    let root = options.counting.folder(&options.place, options.synthetic)?;
    for (name, ledger) in open(options, &[root])? {
        let n = ledger.count()?;
        let records: Vec<Value> = ledger
            .records()
            .iter()
            .map(|(hash, record)| {
                let t = &record.trials;
                json!({
                    "sha256": hash,
                    "kind": record.kind.name(),
                    "points": t.points,
                    "accounts": t.accounts(),
                    "symbols": t.data.keys().collect::<Vec<_>>(),
                    "start_date": t.start_date,
                    "end_date": t.end_date,
                    "axes": t.axes.iter().map(|a| &a.key).collect::<Vec<_>>(),
                    "synthetic": t.synthetic,
                    "returns": record.returns,
                    "out_of_sample": record.out_of_sample,
                    "mark": record.mark,
                    "source": record.source.as_ref().map(|s| json!({"file": s.file, "sha256": s.sha256, "from": s.from})),
                })
            })
            .collect();
        for (hash, record) in ledger.records() {
            let t = &record.trials;
            let axes: Vec<&str> = t.axes.iter().map(|a| a.key.as_str()).collect();
            let symbols: Vec<String> = t.data.keys().map(|s| s.to_string()).collect();
            rows.push(vec![
                name.clone(),
                hash[..12].to_owned(),
                record.kind.name().to_owned(),
                (t.points * t.accounts() as u64).to_string(),
                match (&record.mark, &record.source) {
                    (Some(mark), _) => of_mark(mark),
                    (_, Some(source)) => of_source(source),
                    _ => axes.join(" "),
                },
                few(&symbols),
                if record.kind.tries() { format!("{} to {}", t.start_date, t.end_date) } else { String::new() },
                if t.synthetic { "synthetic" } else { "" }.to_owned(),
                if record.returns.is_some() { "kept" } else { "" }.to_owned(),
            ]);
        }
        let heads = ledger.heads();
        rows.push(vec![name.clone(), "N".to_owned(), String::new(), n.to_string()]);
        shown.push(json!({"strategy": name, "trials": n, "heads": heads, "records": records}));
    }
    let header = ["strategy", "record", "by", "trials", "varied", "symbols", "sessions", "bars", "returns"];
    print(&match options.json {
        true => to_json(&json!({"schema_version": 1, "strategies": shown})),
        false if rows.is_empty() => nothing(options)?,
        false => {
            table::plain(header.map(str::to_owned).into_iter(), rows)
                + "N: number of trials. It counts distinct settings of the same symbols and, where each has parameters of its own, of each symbol.\n"
        }
    })?;
    Ok(0)
}

/// An empty list, for programs.
fn no_strategies() -> String {
    to_json(&json!({"schema_version": 1, "strategies": []}))
}

/// What is said of an empty ledger.
fn nothing(options: &LedgerArgs) -> Result<String> {
    let of_synthetic = options.counting.folder(&options.place, true)?;
    let others = if options.synthetic || options.counting.ledger.is_some() {
        Vec::new()
    } else {
        Ledger::strategies(&of_synthetic)?
    };
    Ok(if others.is_empty() {
        "no trial is recorded\n".to_owned()
    } else {
        "no trial on real bars is recorded; --synthetic shows those on synthetic bars\n".to_owned()
    })
}

/// Sessions set aside, or given back.
fn of_mark(mark: &Mark) -> String {
    match mark {
        Mark::Reserve { from, .. } => format!("set aside from {from}"),
        Mark::Release { why, .. } => format!("given back: {why}"),
    }
}

/// Where imported trials come from.
fn of_source(source: &Source) -> String {
    format!("{} {} ({})", source.file, &source.sha256[..12.min(source.sha256.len())], source.from)
}

/// The first of many, and how many.
fn few(symbols: &[String]) -> String {
    match symbols {
        [a, b, _, _, ..] => format!("{a} {b} … ({})", symbols.len()),
        all => all.join(" "),
    }
}

fn verify(options: &LedgerVerify) -> Result<u8> {
    let LedgerVerify { ledger: options, require, require_of } = options;
    let root = options.counting.folder(&options.place, options.synthetic)?;
    let mut roots = vec![root.clone()];
    if options.counting.ledger.is_none() && !options.synthetic {
        roots.push(options.counting.folder(&options.place, true)?);
    }
    let mut require = require.clone();
    for (commit, root) in require_of.iter().flat_map(|commit| roots.iter().map(move |root| (commit, root))) {
        let of_commit = git::records_of(commit, root)?.into_iter();
        let asked = of_commit.filter(|(name, _)| options.strategy.as_ref().is_none_or(|only| only == name));
        require.extend(asked.map(|(_, hash)| hash));
    }
    roots.retain(|root| root.is_dir());
    // Nothing was tried yet, unless somebody says where trials must be.
    if roots.is_empty() && options.counting.ledger.is_none() && require.is_empty() {
        print(&if options.json { no_strategies() } else { "no trial is recorded\n".to_owned() })?;
        return Ok(0);
    }
    if roots.is_empty() {
        return Err(Error::new(codes::LEDGER_GAP, "there is no ledger")
            .at(root.display())
            .help("name it with --ledger DIR"));
    }
    let mut lines = Vec::new();
    let mut seen = Vec::new();
    let opened = open(options, &roots)?;
    let held = |hash: &String| opened.iter().any(|(_, ledger)| ledger.records().contains_key(hash));
    if let Some(gone) = require.iter().find(|hash| !held(hash)) {
        return Err(Error::new(codes::LEDGER_GAP, format!("record {gone} is required, and not there"))
            .at(root.display())
            .help("restore it from version control; with --strategy, require only that strategy's records"));
    }
    for (name, ledger) in opened {
        ledger.verify_returns()?;
        let (n, records) = (ledger.count()?, ledger.records().len());
        let (of, trials) = (counted(records, "record"), counted(n, "trial"));
        lines.push(format!("{name}: {of}, {trials}, none altered, none gone\n"));
        seen.push(json!({"strategy": name, "records": records, "trials": n}));
    }
    print(&match options.json {
        true => to_json(&json!({"schema_version": 1, "strategies": seen})),
        false if lines.is_empty() => "no trial is recorded\n".to_owned(),
        false => lines.concat(),
    })?;
    Ok(0)
}
