//! `magellan data …`

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use magellan::archive::SYNTHETIC;
use magellan::archive::import;
use magellan::archive::import::inspect::{Inspected, inspect};
use magellan::archive::manifest::Record;
use magellan::archive::verify::{self, Verified};
use magellan::archive::{Archive, synth};
use magellan::bar::{Symbol, Timeframe, iso_utc};
use magellan::calendar::{self, Calendar};
use magellan::deployed::discover;
use magellan::error::{Error, Result};
use magellan::finding::{self, Finding};
use magellan::registry::{self, AnyStrategy};
use rayon::prelude::*;
use serde_json::json;

use super::bars;
#[cfg(feature = "live")]
use super::fetch;
use super::findings::{counts, in_format};
use super::imported::{FETCHED, as_json, as_text};
use super::options::{Format, Place};
use super::output::{print, to_json};
use crate::codes;
use crate::report::{findings, recognised, table};

fn typed_provenance(name: &str) -> Result<String, String> {
    match name.starts_with(FETCHED) {
        true => Err("only `magellan data fetch` writes bars of this name".to_owned()),
        false => Ok(name.to_owned()),
    }
}

#[derive(Subcommand, Debug)]
pub(super) enum Data {
    /// Read Parquet, CSV and JSON files of any usual layout into an archive.
    ///
    /// A file that can't be read fails the import, and all such files are named at once. With
    /// --dry-run it prints what each file would be taken for, and writes nothing.
    Import(Import),
    /// Fetch historical bars, splits and dividends from Alpaca into an archive.
    ///
    /// Keys are read from APCA_API_KEY_ID and APCA_API_SECRET_KEY. Prices are raw. What was fetched is kept until all
    /// is there, and then imported at once; a fetch that was cut off goes on where it was.
    #[cfg(feature = "live")]
    Fetch(fetch::Fetch),
    /// Check the quality of bars: of files before they are imported, or of an archive.
    ///
    /// Finds bars that contradict themselves, duplicates, missing, cut and thin sessions, days
    /// without a session, undeclared jumps and splits that don't show. Exit 3 if anything would
    /// block a gate.
    Check(Check),
    /// Compare every byte of an archive with its manifest, and every cache with its records.
    Verify(Verify),
    /// Show what an archive holds.
    List(List),
    /// Print a symbol's bars as CSV, of any width: as archived, or built from finer ones.
    Bars(bars::Shown),
    /// Write the synthetic sample archive that the deployed configs' periods need.
    Synth(Synth),
}

#[derive(Args, Debug)]
pub(super) struct Import {
    /// Files, folders with such files anywhere below, and other archives.
    #[arg(required = true)]
    pub(super) sources: Vec<PathBuf>,
    /// Archive to import into; made if there is none.
    #[arg(long, value_name = "DIR", required_unless_present = "dry_run")]
    pub(super) archive: Option<PathBuf>,
    /// CSV table symbol,effective_date,new_shares_per_old; ratios like 10 or 1/30.
    #[arg(long, value_name = "FILE")]
    pub(super) splits: Option<PathBuf>,
    /// CSV table symbol,date,reason of large price moves that were real.
    #[arg(long, value_name = "FILE")]
    pub(super) moves: Option<PathBuf>,
    /// CSV table date,rate of risk-free rates a year as fractions, each valid until the next.
    #[arg(long, value_name = "FILE")]
    pub(super) risk_free: Option<PathBuf>,
    #[command(flatten)]
    pub(super) actions: Actions,
    /// When the bars trade: XNYS, 24x7 (every UTC day) or 24x5 (UTC days from Monday to Friday).
    ///
    /// Only a new archive takes one other than its own [default: XNYS].
    #[arg(long, value_name = "NAME")]
    pub(super) calendar: Option<Calendar>,
    /// Where the bars come from, e.g. my-vendor; without it `parquet`, `csv` or `json`.
    ///
    /// Names that begin with alpaca- are those of `magellan data fetch`.
    #[arg(long, value_name = "NAME", value_parser = typed_provenance)]
    pub(super) provenance: Option<String>,
    #[command(flatten)]
    pub(super) layout: Layout,
    /// Print what each file would be taken for, and write nothing.
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Leave files out that can't be read, and list them.
    #[arg(long)]
    pub(super) skip_unreadable: bool,
    /// Print JSON.
    #[arg(long)]
    pub(super) json: bool,
}

/// Tables of corporate actions beside splits.
#[derive(Args, Clone, Debug)]
pub(super) struct Actions {
    /// CSV table symbol,ex_date,amount; dollars a share as they were paid.
    #[arg(long, value_name = "FILE", requires = "sources")]
    pub(super) dividends: Option<PathBuf>,
    /// CSV table symbol,last_date,haircut; what of the last close was lost, 0 to 1.
    #[arg(long, value_name = "FILE", requires = "sources")]
    pub(super) delistings: Option<PathBuf>,
    /// CSV table old,new,date; from that date on the bars are the new symbol's.
    #[arg(long, value_name = "FILE", requires = "sources")]
    pub(super) renames: Option<PathBuf>,
}

/// What files don't tell themselves.
#[derive(Args, Debug)]
pub(super) struct Layout {
    /// Symbol of the files, where each holds one.
    #[arg(long, value_name = "SYM")]
    pub(super) symbol: Option<Symbol>,
    /// Bar width, where neither name nor spacing tells, e.g. 1Min, 5Min, 1Hour, 1Day.
    #[arg(long)]
    pub(super) timeframe: Option<Timeframe>,
    /// Zone of times that don't name theirs, e.g. America/New_York.
    #[arg(long, value_name = "ZONE", value_parser = import::parse_zone)]
    pub(super) zone: Option<jiff::tz::TimeZone>,
    /// What columns mean, by name or place from 1, e.g. timestamp=date,close=last or close=5.
    #[arg(long, value_name = "MEANING=COLUMN", value_delimiter = ',')]
    pub(super) columns: Vec<import::Column>,
    /// How times are written: Unix s, ms, us or ns; mdy or dmy for dates such as 03/04/2024.
    #[arg(long, value_name = "FORMAT")]
    pub(super) time_format: Option<import::TimeFormat>,
}

impl Layout {
    fn told(&self) -> import::Told {
        import::Told {
            symbol: self.symbol,
            timeframe: self.timeframe,
            zone: self.zone.clone(),
            columns: self.columns.clone(),
            time_format: self.time_format,
        }
    }
}

#[derive(Args, Debug)]
pub(super) struct Check {
    /// Files or folders to check before import; without them the archive is checked.
    pub(super) sources: Vec<PathBuf>,
    #[command(flatten)]
    pub(super) place: Place,
    /// Symbols of the archive to check, e.g. AMC,GME [default: all].
    #[arg(long, value_delimiter = ',', conflicts_with = "sources")]
    pub(super) symbols: Option<Vec<Symbol>>,
    /// Split table besides those among the sources.
    #[arg(long, value_name = "FILE", requires = "sources")]
    pub(super) splits: Option<PathBuf>,
    /// Table of declared moves besides those among the sources.
    #[arg(long, value_name = "FILE", requires = "sources")]
    pub(super) moves: Option<PathBuf>,
    #[command(flatten)]
    pub(super) actions: Actions,
    /// When the bars of the sources trade: XNYS, 24x7 or 24x5 [default: XNYS].
    #[arg(long, value_name = "NAME", requires = "sources")]
    pub(super) calendar: Option<Calendar>,
    #[command(flatten)]
    pub(super) layout: Layout,
    /// How findings are shown.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(super) format: Format,
}

#[derive(Args, Debug)]
pub(super) struct Verify {
    #[command(flatten)]
    pub(super) place: Place,
    /// How findings are shown.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(super) format: Format,
}

#[derive(Args, Debug)]
pub(super) struct List {
    #[command(flatten)]
    pub(super) place: Place,
    /// Print JSON.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Args, Debug)]
pub(super) struct Synth {
    /// Folder to write; must not be an archive yet.
    #[arg(long, value_name = "DIR")]
    pub(super) archive: PathBuf,
    /// Same seed, same bytes.
    #[arg(long)]
    pub(super) seed: u64,
    /// The folder `deployed` whose configs name symbols and periods.
    #[arg(long, value_name = "DIR")]
    pub(super) deployed: Option<PathBuf>,
}

pub(super) fn run(command: Data, strategies: &[&dyn AnyStrategy]) -> Result<u8> {
    match command {
        Data::Import(options) => import(options),
        #[cfg(feature = "live")]
        Data::Fetch(options) => fetch::run(&options),
        Data::Check(options) => check(&options),
        Data::Verify(options) => verify(&options),
        Data::List(options) => list(&options),
        Data::Bars(options) => bars::run(&options),
        Data::Synth(options) => synthesise(&options, strategies),
    }
}

fn import(options: Import) -> Result<u8> {
    let json = options.json;
    let plan = import::Import {
        told: options.layout.told(),
        sources: options.sources,
        splits: options.splits,
        moves: options.moves,
        risk_free: options.risk_free,
        dividends: options.actions.dividends,
        delistings: options.actions.delistings,
        renames: options.actions.renames,
        calendar: options.calendar,
        provenance: options.provenance,
        skip_unreadable: options.skip_unreadable,
    };
    match options.archive {
        Some(archive) if !options.dry_run => {
            let done = import::import(&archive, &plan)?;
            print(&if json { to_json(&as_json(&done)) } else { as_text(&done) })?;
            Ok(0)
        }
        _ => {
            let preview = import::preview(&plan)?;
            print(&if json { to_json(&recognised::json(&preview)) } else { recognised::text(&preview) })?;
            let failed = preview.files.iter().filter_map(|(_, file)| file.as_ref().err());
            Ok(if plan.skip_unreadable { 0 } else { failed.map(Error::exit_code).max().unwrap_or(0) })
        }
    }
}

fn check(options: &Check) -> Result<u8> {
    let done = if options.sources.is_empty() { check_archive(options) } else { check_sources(options) };
    let mut done = done
        .or_else(|err| in_format(err, options.format, |f| Inspected { findings: vec![f], ..Inspected::default() }))?;
    if done.series == 0 && done.findings.is_empty() {
        // Nothing to check is not nothing found.
        done.findings.push(Finding::new(codes::NO_BARS, "", "there is no bar to check"));
    }
    let origins: Vec<&str> = done.provenance.iter().map(String::as_str).collect();
    let (files, origins) = (files(done.files), origins.join("+"));
    let calendar = match done.calendar {
        Calendar::Xnys => String::new(),
        other => format!(", calendar {other}"),
    };
    let checked = format!("checked {files}{} series, {} bars, provenance {origins}{calendar}", done.series, done.bars);
    show(options.format, &checked, &done.findings)
}

fn files(count: usize) -> String {
    if count == 0 { String::new() } else { format!("{count} files, ") }
}

fn check_sources(options: &Check) -> Result<Inspected> {
    let Check { sources, splits, moves, actions, calendar, layout, .. } = options;
    let (sources, splits, moves) = (sources.clone(), splits.clone(), moves.clone());
    let Actions { dividends, delistings, renames } = actions.clone();
    let (told, calendar) = (layout.told(), *calendar);
    let tables = import::Import { splits, moves, dividends, delistings, renames, ..import::Import::default() };
    inspect(&import::Import { sources, told, calendar, ..tables })
}

fn check_archive(options: &Check) -> Result<Inspected> {
    let archive = options.place.archive()?;
    let mut series: Vec<(Symbol, Timeframe)> =
        archive.manifest().records.iter().map(|r| (r.symbol, r.timeframe)).collect();
    series.dedup();
    if let Some(symbols) = &options.symbols {
        if let Some(&unknown) = symbols.iter().find(|&s| series.iter().all(|known| known.0 != *s)) {
            return Err(Error::new(codes::NO_BARS, format!("the archive has no bars of {unknown}"))
                .at(archive.folder().display()));
        }
        series.retain(|(symbol, _)| symbols.contains(symbol));
    }
    let audited: Vec<(u64, Vec<Finding>)> =
        series.par_iter().map(|&(symbol, timeframe)| audit(&archive, symbol, timeframe)).collect();
    let bars = audited.iter().map(|a| a.0).sum();
    let empty = if options.symbols.is_none() { archive.empty_renames() } else { Vec::new() };
    let findings = audited.into_iter().flat_map(|a| a.1).chain(empty).map(|f| f.file(archive.folder())).collect();
    let provenance = archive.manifest().records.iter().map(|r| r.provenance.clone()).collect();
    Ok(Inspected { files: 0, series: series.len(), bars, provenance, calendar: archive.calendar(), findings })
}

fn audit(archive: &Archive, symbol: Symbol, timeframe: Timeframe) -> (u64, Vec<Finding>) {
    let audited = archive.load(symbol, timeframe).and_then(|series| {
        let found = archive.audit(&series, calendar::FIRST, calendar::LAST, false)?;
        Ok((series.bars().len() as u64, found))
    });
    audited.unwrap_or_else(|err| {
        let about = format!("{symbol} {timeframe}");
        (0, vec![Finding { subject: about, ..Finding::from(&err) }])
    })
}

fn verify(options: &Verify) -> Result<u8> {
    let verified = options.place.archive().and_then(|archive| verify::verify(&archive));
    let done = verified
        .or_else(|err| in_format(err, options.format, |f| Verified { findings: vec![f], ..Verified::default() }))?;
    let checked = format!("verified {} records with {} bars, {} caches", done.records, done.bars, done.caches);
    show(options.format, &checked, &done.findings)
}

/// Findings of data, which lie in no text, as a table; its exit code.
fn show(format: Format, checked: &str, found: &[Finding]) -> Result<u8> {
    let exit = finding::exit_code(found);
    print(&match format {
        Format::Text => {
            // A synthetic archive says so wherever it is spoken of.
            let note = if checked.contains(SYNTHETIC) { format!("{}\n", table::SYNTHETIC_NOTE) } else { String::new() };
            let shown = if found.is_empty() { String::new() } else { findings::table(found) };
            format!("{shown}{note}{checked}: {}\n", counts(found))
        }
        Format::Github => findings::github(found),
        Format::Json => to_json(&json!({
            "schema_version": 1,
            "status": if exit == 0 { "pass" } else { "fail" },
            "exit_code": exit,
            "checked": checked,
            "findings": findings::json(found),
        })),
    })?;
    Ok(exit)
}

fn list(options: &List) -> Result<u8> {
    let archive = options.place.archive()?;
    let manifest = archive.manifest();
    if options.json {
        print(&to_json(&manifest))?;
        return Ok(0);
    }
    let mut series: BTreeMap<(Timeframe, Symbol), Vec<&Record>> = BTreeMap::new();
    for record in &manifest.records {
        series.entry((record.timeframe, record.symbol)).or_default().push(record);
    }
    let mut table =
        table::table(["symbol", "timeframe", "first bar", "last bar", "rows", "provenance", "SHA-256 (by year)"]);
    for ((timeframe, symbol), records) in &series {
        let (first, last) = (records[0], records[records.len() - 1]);
        let rows: u64 = records.iter().map(|r| r.rows).sum();
        let days = first.day_basis.map_or(String::new(), |b| format!(" ({})", b.name()));
        let hashes: Vec<String> =
            records.iter().map(|r| format!("{} {}", r.year, r.sha256.get(..12).unwrap_or(&r.sha256))).collect();
        table.add_row([
            symbol.to_string(),
            timeframe.to_string(),
            iso_utc(first.first),
            iso_utc(last.last),
            rows.to_string(),
            format!("{}{days}", first.provenance),
            hashes.join("\n"),
        ]);
    }
    let mut text = format!("{table}\n");
    if !manifest.calendar.is_xnys() {
        let _ = writeln!(text, "calendar: {}", manifest.calendar);
    }
    for split in &manifest.splits {
        let _ = writeln!(text, "split {} {}: {} new shares per old", split.symbol, split.date, split.ratio);
    }
    for dividend in &manifest.dividends {
        let _ =
            writeln!(text, "dividend {} {}: {} dollars a share", dividend.symbol, dividend.ex_date, dividend.amount);
    }
    for end in &manifest.delistings {
        let _ = writeln!(text, "delisting {} after {}: a haircut of {}", end.symbol, end.last_date, end.haircut);
    }
    for rename in &manifest.renames {
        let _ = writeln!(text, "rename {}: {} became {}", rename.date, rename.old, rename.new);
    }
    for entry in &manifest.moves {
        let _ = writeln!(text, "declared move {} {}: {}", entry.symbol, entry.date, entry.reason);
    }
    if let (Some(first), Some(last)) = (manifest.risk_free.first(), manifest.risk_free.last()) {
        let count = manifest.risk_free.len();
        let _ = writeln!(text, "risk-free rates: {count}, {} to {}", first.date, last.date);
    }
    if archive.is_synthetic() {
        let _ = writeln!(text, "{}", table::SYNTHETIC_NOTE);
    }
    print(&text)?;
    Ok(0)
}

fn synthesise(options: &Synth, strategies: &[&dyn AnyStrategy]) -> Result<u8> {
    let place = Place { archive: None, deployed: options.deployed.clone(), no_mmap: false };
    let mut wanted = Vec::new();
    for deployed in discover(&place.deployed()?)? {
        let strategy = registry::find(strategies, &deployed.name)?;
        let config = strategy.read_complete(&deployed.config)?;
        let timeframe = strategy.timeframe();
        let periods = config.deployment().performance_criteria.periods.iter();
        let (starts, ends): (Vec<_>, Vec<_>) = periods.map(|p| (p.start_date, p.end_date)).unzip();
        let (Some(first), Some(last)) = (starts.into_iter().min(), ends.into_iter().max()) else {
            return Err(
                Error::new(codes::NO_CRITERIA, "performance_criteria names no period").at(deployed.config.display())
            );
        };
        wanted.extend(config.config().symbols.iter().map(|&symbol| synth::Wanted { symbol, timeframe, first, last }));
    }
    let rows = synth::write(&options.archive, options.seed, &wanted)?;
    print(&format!(
        "{rows} bars of {} series written to {}\n{}\n",
        wanted.len(),
        options.archive.display(),
        table::SYNTHETIC_NOTE
    ))?;
    Ok(0)
}
