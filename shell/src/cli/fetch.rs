//! `magellan data fetch`

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use magellan::archive::import::{self, Import};
use magellan::bar::{Date, Symbol, Timeframe};
use magellan::calendar::{self, Calendar};
use magellan::disk::write::write_atomically;
use magellan::error::{Error, Result};
use serde_json::json;

use super::imported::{FETCHED, as_json, as_text};
use super::output::{print, to_json};
use crate::alpaca::{self, Client, Credentials, history};
use crate::{clock, codes};

/// Where bars wait until all of them are there, below the archive.
const STAGE: &str = ".fetch";

#[derive(Args, Debug)]
pub(super) struct Fetch {
    /// Archive to write; made if there is none.
    #[arg(long, value_name = "DIR")]
    archive: PathBuf,
    /// Symbols, e.g. AMC,GME.
    #[arg(long, value_delimiter = ',', required = true)]
    symbols: Vec<Symbol>,
    /// Bar width: 1Min, 5Min, 10Min, 15Min, 30Min, 1Hour or 1Day.
    #[arg(long, value_name = "WIDTH")]
    timeframe: Timeframe,
    /// First New York date, YYYY-MM-DD.
    #[arg(long)]
    start_date: Date,
    /// Last New York date, YYYY-MM-DD; before today, since a day's bars change until it is over.
    #[arg(long)]
    end_date: Date,
    /// Alpaca's feed, e.g. sip.
    #[arg(long, value_parser = feed)]
    feed: String,
    /// Follow the renames that Alpaca knew on this date; without it a symbol's bars are its own.
    #[arg(long, value_name = "DATE")]
    asof: Option<Date>,
    /// Throw away what a fetch with other options left unfinished.
    #[arg(long)]
    discard: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

fn feed(name: &str) -> Result<String, String> {
    let plain = !name.is_empty() && name.len() <= 20 && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    if plain { Ok(name.to_owned()) } else { Err("a feed is a name such as sip, iex or delayed_sip".to_owned()) }
}

pub(super) fn run(options: &Fetch) -> Result<u8> {
    check(options)?;
    let variable = |name: &str| std::env::var_os(name);
    let client = Client::new(&alpaca::data_address(&variable)?, Credentials::from_environment(&variable)?, clock::now);
    let stage = Stage::begin(options)?;
    let (mut asked, mut kept) = (0usize, 0usize);
    for &symbol in &options.symbols {
        let mut bars = 0;
        for (start, end) in chunks(options) {
            let path = stage.path(symbol, options.timeframe, start);
            bars += match lines_of(&path) {
                Some(lines) => {
                    kept += 1;
                    lines
                }
                None => {
                    asked += 1;
                    fetch(&client, options, symbol, (start, end), &path)?
                }
            };
            eprintln!("{symbol} {}: {bars} bars to {end}", options.timeframe);
        }
        if bars == 0 {
            let (start, end) = (options.start_date, options.end_date);
            return Err(Error::new(codes::NO_BARS, format!("Alpaca has no bars of {symbol} from {start} to {end}"))
                .help("check the symbol's name at that time, the dates and the feed"));
        }
    }
    let actions = history::actions(&client, &options.symbols, options.start_date, options.end_date)?;
    let done = import::import(&options.archive, &stage.import(options, &actions)?)?;
    stage.record(options, &actions)?;
    let others: Vec<String> = actions.others.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    if options.json {
        let mut all = as_json(&done);
        all["chunks_fetched"] = json!(asked);
        all["chunks_resumed"] = json!(kept);
        all["actions_not_read"] = json!(actions.others);
        print(&to_json(&all))?;
    } else {
        let mut text = as_text(&done);
        let _ = writeln!(text, "{asked} stretches fetched, {kept} were there from before");
        if !others.is_empty() {
            let _ = writeln!(text, "corporate actions that aren't read: {}", others.join(", "));
        }
        print(&text)?;
    }
    Ok(0)
}

fn check(options: &Fetch) -> Result<()> {
    let bad = |what: String| Err(Error::new(codes::BAD_ARGUMENT, what));
    let (start, end) = (options.start_date, options.end_date);
    if end < start {
        return bad(format!("--end-date {end} is before --start-date {start}"));
    }
    calendar::check_covered(start)?;
    let today = calendar::new_york_date(clock::nanos());
    if end >= today {
        return bad(format!("--end-date {end}: it is {today} in New York, and a day's bars change until it is over"));
    }
    if options.timeframe == Timeframe::Week {
        return bad("--timeframe 1Week: fetch days; weeks are built from them".to_owned());
    }
    let mut sorted = options.symbols.clone();
    sorted.sort_unstable();
    match sorted.windows(2).find(|w| w[0] == w[1]) {
        Some(twice) => bad(format!("--symbols names {} twice", twice[0])),
        None => Ok(()),
    }
}

/// Stretches that are fetched and kept one at a time: months of minutes, years of what is coarser.
fn chunks(options: &Fetch) -> Vec<(Date, Date)> {
    let by_month = options.timeframe < Timeframe::Hour;
    let mut chunks: Vec<(Date, Date)> = Vec::new();
    for date in (options.start_date.0..=options.end_date.0).map(Date) {
        let of = |date: Date| (date.civil().year(), by_month.then(|| date.civil().month()));
        match chunks.last_mut() {
            Some((start, end)) if of(*start) == of(date) => *end = date,
            _ => chunks.push((date, date)),
        }
    }
    chunks
}

/// Fetches a stretch and keeps it; how many bars it has.
fn fetch(client: &Client, options: &Fetch, symbol: Symbol, (start, end): (Date, Date), path: &Path) -> Result<usize> {
    let asof = options.asof.map_or_else(|| "-".to_owned(), |date| date.to_string());
    let asked = history::Bars { symbol, timeframe: options.timeframe, start, end, feed: &options.feed, asof: &asof };
    let bars = history::bars(client, &asked)?;
    let mut text = String::from("timestamp,open,high,low,close,volume,trade_count,vwap\n");
    for bar in &bars {
        text.push_str(&bar.line(options.timeframe));
        text.push('\n');
    }
    write_atomically(path, text.as_bytes())?;
    Ok(bars.len())
}

/// How many bars a stretch has that is there already.
fn lines_of(path: &Path) -> Option<usize> {
    let text = fs::read_to_string(path).ok()?;
    Some(text.lines().count().saturating_sub(1))
}

/// What has been fetched and isn't in the archive yet.
struct Stage {
    folder: PathBuf,
}

impl Stage {
    /// Goes on with what a fetch with the same options left, or begins.
    fn begin(options: &Fetch) -> Result<Self> {
        let stage = Self { folder: options.archive.join(STAGE) };
        let plan = stage.folder.join("plan.json");
        let text = to_json(&plan_of(options));
        if options.discard {
            stage.remove()?;
        }
        match fs::read_to_string(&plan) {
            Ok(there) if there == text => return Ok(stage),
            Ok(_) => {
                let what = "a fetch with other options was not finished";
                return Err(Error::new(codes::OTHER_FETCH, what).at(stage.folder.display()));
            }
            Err(err) if err.kind() == std::io::ErrorKind::NotFound => {}
            Err(err) => return Err(Error::io(&plan, &err)),
        }
        fs::create_dir_all(&stage.folder).map_err(|e| Error::io(&stage.folder, &e))?;
        write_atomically(&plan, text.as_bytes())?;
        Ok(stage)
    }

    fn path(&self, symbol: Symbol, timeframe: Timeframe, start: Date) -> PathBuf {
        self.folder.join(format!("{symbol}_{timeframe}_{start}.csv"))
    }

    /// The import of everything fetched.
    fn import(&self, options: &Fetch, actions: &history::Actions) -> Result<Import> {
        let mut sources = Vec::new();
        for &symbol in &options.symbols {
            for (start, _) in chunks(options) {
                let path = self.path(symbol, options.timeframe, start);
                // A stretch without a bar is no file of bars.
                if lines_of(&path).unwrap_or(0) > 0 {
                    sources.push(path);
                }
            }
        }
        let table = |name: &str, header: &str, rows: &[(Symbol, Date, f64)]| -> Result<Option<PathBuf>> {
            if rows.is_empty() {
                return Ok(None);
            }
            let path = self.folder.join(name);
            let rows: String = rows.iter().map(|(symbol, date, value)| format!("{symbol},{date},{value}\n")).collect();
            write_atomically(&path, format!("{header}\n{rows}").as_bytes())?;
            Ok(Some(path))
        };
        Ok(Import {
            sources,
            splits: table("splits.csv", "symbol,effective_date,new_shares_per_old", &actions.splits)?,
            dividends: table("dividends.csv", "symbol,ex_date,amount", &actions.dividends)?,
            // An archive of another calendar refuses it: these are stocks.
            calendar: Some(Calendar::Xnys),
            provenance: Some(format!("{FETCHED}{}", options.feed)),
            told: import::Told { timeframe: Some(options.timeframe), ..import::Told::default() },
            ..Import::default()
        })
    }

    /// Notes in the archive what was asked for and when, and forgets what was staged.
    fn record(&self, options: &Fetch, actions: &history::Actions) -> Result<()> {
        let path = options.archive.join("fetches.jsonl");
        let before = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(err) if err.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(err) => return Err(Error::io(&path, &err)),
        };
        let mut entry = plan_of(options);
        entry["fetched_at"] = json!(clock::now().to_string());
        entry["actions_not_read"] = json!(actions.others);
        write_atomically(&path, format!("{before}{entry}\n").as_bytes())?;
        self.remove()
    }

    fn remove(&self) -> Result<()> {
        match fs::remove_dir_all(&self.folder) {
            Err(err) if err.kind() != std::io::ErrorKind::NotFound => Err(Error::io(&self.folder, &err)),
            _ => Ok(()),
        }
    }
}

/// What is asked for: the same options, the same plan.
fn plan_of(options: &Fetch) -> serde_json::Value {
    let Fetch { symbols, timeframe, start_date, end_date, feed, asof, .. } = options;
    let each: BTreeMap<&str, serde_json::Value> = BTreeMap::from([
        ("symbols", json!(symbols)),
        ("timeframe", json!(timeframe)),
        ("start_date", json!(start_date)),
        ("end_date", json!(end_date)),
        ("feed", json!(feed)),
        ("asof", json!(asof)),
        ("adjustment", json!("raw")),
    ]);
    json!(each)
}
