//! The records of a strategy's trials, each naming those before it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::archive::parquet::guard::guarded;
use crate::bar::Date;
use crate::disk::hash::sha256_hex;
use crate::disk::map;
use crate::disk::write::write_atomically;
use crate::error::{Error, Result, codes};
use crate::sweep::grid::Choice;

use super::kept::{Kept, decode};
use super::mark::{Mark, Source};
use super::trials::Trials;

/// Version of the record's form.
const SCHEMA_VERSION: u32 = 1;
/// Largest record read, bytes.
const LARGEST: u64 = 256 << 20;

/// How trials came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// `magellan backtest`
    Backtest,
    /// `magellan sweep`
    Sweep,
    /// `magellan walk-forward`
    WalkForward,
    /// `magellan gate`
    Gate,
    /// `magellan ledger import`
    Import,
    /// `magellan holdout`: no trial.
    Holdout,
}

impl Kind {
    /// The word in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Backtest => "backtest",
            Self::Sweep => "sweep",
            Self::WalkForward => "walk-forward",
            Self::Gate => "gate",
            Self::Import => "import",
            Self::Holdout => "holdout",
        }
    }

    /// Whether its records are of trials.
    pub const fn tries(self) -> bool {
        !matches!(self, Self::Holdout)
    }
}

/// One record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    schema_version: u32,
    /// Version of Magellan.
    pub engine: String,
    /// How it came about.
    pub kind: Kind,
    /// What was tried.
    pub trials: Trials,
    /// How a walk-forward divided its sessions and chose.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub division: Option<Value>,
    /// SHA-256 of the Parquet file beside it with session returns of a sample of its points.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub returns: Option<String>,
    /// SHA-256 of the Parquet file beside it with the session returns of a walk-forward's tests, joined.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub out_of_sample: Option<String>,
    /// Sessions set aside, or given back.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub mark: Option<Mark>,
    /// Where imported trials come from.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub source: Option<Source>,
    /// The records that no other named when this one was written.
    pub heads: Vec<String>,
}

impl Record {
    /// The files of returns that it names.
    fn files(&self) -> impl Iterator<Item = &String> {
        self.returns.iter().chain(&self.out_of_sample)
    }
}

/// What a record says besides its kind and its trials. Returns are the bytes of Parquet files.
#[derive(Clone, Debug, Default)]
struct Beside<'b> {
    division: Option<Value>,
    returns: Option<&'b [u8]>,
    out_of_sample: Option<&'b [u8]>,
    mark: Option<Mark>,
    source: Option<Source>,
}

/// The trials of one strategy.
#[derive(Clone, Debug)]
pub struct Ledger {
    strategy: String,
    folder: PathBuf,
    /// By hash.
    records: BTreeMap<String, Record>,
    /// Returns that no file holds, by hash: of records that aren't written.
    unwritten: BTreeMap<String, Bytes>,
}

impl Ledger {
    /// Reads and verifies the records of one strategy below `root`; none yet is an empty ledger.
    ///
    /// # Errors
    /// Refused if a record was altered, or if one that others name, or returns that it names, are
    /// gone.
    pub fn open(root: &Path, strategy: &str) -> Result<Self> {
        let read = || Self::read(root, strategy);
        // A listing under a writer may miss what its newest record names: look again.
        read().or_else(|e| if e.code() == codes::LEDGER_GAP { read() } else { Err(e) })
    }

    fn read(root: &Path, strategy: &str) -> Result<Self> {
        let folder = root.join(strategy);
        let mut records = BTreeMap::new();
        for path in files(&folder, "json")? {
            let (hash, record) = read_record(&path)?;
            if record.trials.strategy != strategy {
                let what = format!("a record of {} lies among those of {strategy}", record.trials.strategy);
                return Err(Error::new(codes::LEDGER_ALTERED, what).at(path.display()));
            }
            for returns in record.files() {
                returns_path(&folder, returns, &hash)?;
            }
            records.insert(hash, record);
        }
        let ledger = Self { strategy: strategy.to_owned(), folder, records, unwritten: BTreeMap::new() };
        for (hash, record) in &ledger.records {
            if let Some(gone) = record.heads.iter().find(|head| !ledger.records.contains_key(*head)) {
                let what = format!("record {gone} is gone; {hash} names it");
                return Err(Error::new(codes::LEDGER_GAP, what).at(ledger.folder.display()));
            }
        }
        Ok(ledger)
    }

    /// Compares the returns that records name with their hashes: what opening leaves out, since
    /// they may be many and large.
    ///
    /// # Errors
    /// Refused if any were altered or are gone.
    pub fn verify_returns(&self) -> Result<()> {
        for (hash, record) in &self.records {
            for name in record.files() {
                self.checked_returns(hash, name)?;
            }
        }
        Ok(())
    }

    /// The session returns that a record keeps.
    ///
    /// # Errors
    /// Refused if they were altered or are gone.
    pub fn returns(&self, hash: &str) -> Result<Vec<Kept>> {
        let Some(name) = self.records.get(hash).and_then(|r| r.returns.as_ref()) else { return Ok(Vec::new()) };
        self.kept_in(hash, name)
    }

    /// The session returns of a walk-forward's tests, joined, of all its accounts together; none, if the record keeps
    /// none.
    ///
    /// # Errors
    /// As [`Ledger::returns`].
    pub fn out_of_sample(&self, hash: &str) -> Result<Option<Vec<(Date, f64)>>> {
        let name = self.records.get(hash).and_then(|r| r.out_of_sample.as_ref());
        let kept = name.map(|name| self.kept_in(hash, name)).transpose()?;
        Ok(kept.map(|kept| kept.into_iter().flat_map(|point| point.1).collect()))
    }

    fn kept_in(&self, hash: &str, name: &str) -> Result<Vec<Kept>> {
        let (path, bytes) = self.checked_returns(hash, name)?;
        let read = guarded(|| decode(bytes)).unwrap_or_else(|| Err("the Parquet library gave up on it".to_owned()));
        read.map_err(|e| Error::new(codes::LEDGER_ALTERED, format!("no returns: {e}")).at(path.display()))
    }

    fn checked_returns(&self, hash: &str, name: &str) -> Result<(PathBuf, Bytes)> {
        if let Some(bytes) = self.unwritten.get(name) {
            return Ok((self.folder.clone(), bytes.clone()));
        }
        let path = returns_path(&self.folder, name, hash)?;
        let bytes = map::bytes_up_to(&path, LARGEST).map_err(|e| e.recode(codes::LEDGER_ALTERED))?;
        if sha256_hex(&bytes) != *name {
            let what = "the returns were altered: their name isn't the hash of their bytes";
            return Err(Error::new(codes::LEDGER_ALTERED, what).at(path.display()));
        }
        Ok((path, bytes))
    }

    /// The same as it was when these were its heads: those records and all that they name.
    ///
    /// # Errors
    /// Refused if one of them is gone.
    pub fn at(&self, heads: &[String]) -> Result<Self> {
        let mut records = BTreeMap::new();
        let mut wanted = heads.to_vec();
        while let Some(hash) = wanted.pop() {
            let Some(record) = self.records.get(&hash) else {
                let what = format!("record {hash} is gone");
                return Err(Error::new(codes::LEDGER_GAP, what).at(self.folder.display()));
            };
            if records.insert(hash, record.clone()).is_none() {
                wanted.extend(record.heads.iter().cloned());
            }
        }
        Ok(Self { records, ..self.clone() })
    }

    /// The strategies that have a ledger below `root`.
    ///
    /// # Errors
    /// Data error if the folder can't be read.
    pub fn strategies(root: &Path) -> Result<Vec<String>> {
        if !root.exists() {
            return Ok(Vec::new());
        }
        let mut names = BTreeSet::new();
        for entry in std::fs::read_dir(root).map_err(|e| Error::io(root, &e))? {
            let entry = entry.map_err(|e| Error::io(root, &e))?;
            if entry.path().is_dir() {
                names.insert(entry.file_name().to_string_lossy().into_owned());
            }
        }
        Ok(names.into_iter().collect())
    }

    /// Its records by hash.
    pub fn records(&self) -> &BTreeMap<String, Record> {
        &self.records
    }

    /// The records that no other names.
    pub fn heads(&self) -> Vec<String> {
        let named: BTreeSet<&String> = self.records.values().flat_map(|r| &r.heads).collect();
        self.records.keys().filter(|hash| !named.contains(hash)).cloned().collect()
    }

    /// The heads as they were before some records, each of which gives way to those it names.
    pub fn heads_before(&self, later: impl Fn(&Record) -> bool) -> Vec<String> {
        let (mut before, mut open) = (BTreeSet::new(), self.heads());
        while let Some(hash) = open.pop() {
            match self.records.get(&hash).filter(|r| later(r)) {
                Some(record) => open.extend(record.heads.iter().cloned()),
                None => drop(before.insert(hash)),
            }
        }
        before.into_iter().collect()
    }

    /// Adds a record, unless one says the same already.
    ///
    /// # Errors
    /// Usage error if it can't be written (what isn't counted must not be seen), or if the trials are another strategy's.
    pub fn add(&mut self, kind: Kind, trials: &Trials, returns: Option<&[u8]>) -> Result<()> {
        self.add_record(kind, trials, Beside { returns, ..Beside::default() })
    }

    /// Adds sessions set aside, or given back.
    ///
    /// # Errors
    /// As [`Ledger::add`].
    pub(crate) fn add_mark(&mut self, mark: &Mark) -> Result<()> {
        let trials = self.no_trials(mark);
        self.add_record(Kind::Holdout, &trials, Beside { mark: Some(mark.clone()), ..Beside::default() })
    }

    /// The same with a mark that isn't written: as [`Ledger::with`].
    #[must_use]
    pub(crate) fn with_mark(&self, mark: &Mark) -> Self {
        let mut ledger = self.clone();
        let beside = Beside { mark: Some(mark.clone()), ..Beside::default() };
        let (hash, _, record) = ledger.record(Kind::Holdout, &ledger.no_trials(mark), &beside);
        ledger.records.insert(hash, record);
        ledger
    }

    /// What a mark tries.
    fn no_trials(&self, mark: &Mark) -> Trials {
        let from = if let Mark::Reserve { from, .. } = mark { *from } else { Date::default() };
        Trials {
            strategy: self.strategy.clone(),
            data: BTreeMap::new(),
            synthetic: false,
            scope: String::new(),
            hours: String::new(),
            start_date: from,
            end_date: from,
            settings: Value::Null,
            axes: Vec::new(),
            conditions: Vec::new(),
            choice: Choice::All,
            points: 0,
        }
    }

    /// Adds trials that were counted elsewhere, with their returns, if they are known.
    ///
    /// # Errors
    /// As [`Ledger::add`].
    pub(crate) fn add_import(&mut self, trials: &Trials, source: &Source, returns: Option<&[u8]>) -> Result<()> {
        self.add_record(Kind::Import, trials, Beside { source: Some(source.clone()), returns, ..Beside::default() })
    }

    /// The strategy.
    pub fn strategy(&self) -> &str {
        &self.strategy
    }

    /// The folder of all ledgers.
    pub(crate) fn root(&self) -> &Path {
        self.folder.parent().unwrap_or(Path::new("."))
    }

    /// The same with a record that isn't written: what a verdict counted of itself, where nobody
    /// committed it.
    #[must_use]
    pub fn with(&self, kind: Kind, trials: &Trials, returns: &[u8]) -> Self {
        let mut ledger = self.clone();
        let name = sha256_hex(returns);
        let same = |r: &Record| r.kind == kind && r.trials == *trials && r.returns.as_ref() == Some(&name);
        if !ledger.records.values().any(same) {
            let (hash, _, record) =
                ledger.record(kind, trials, &Beside { returns: Some(returns), ..Beside::default() });
            ledger.records.insert(hash, record);
            ledger.unwritten.insert(name, Bytes::copy_from_slice(returns));
        }
        ledger
    }

    /// A record that names the present heads, with its hash and its text.
    fn record(&self, kind: Kind, trials: &Trials, beside: &Beside<'_>) -> (String, String, Record) {
        let record = Record {
            schema_version: SCHEMA_VERSION,
            engine: env!("CARGO_PKG_VERSION").to_owned(),
            kind,
            trials: trials.clone(),
            division: beside.division.clone(),
            returns: beside.returns.map(sha256_hex),
            out_of_sample: beside.out_of_sample.map(sha256_hex),
            mark: beside.mark.clone(),
            source: beside.source.clone(),
            heads: self.heads(),
        };
        let text = serde_json::to_string_pretty(&record).unwrap_or_default() + "\n";
        (sha256_hex(text.as_bytes()), text, record)
    }

    /// Adds a walk-forward; each way of dividing the sessions is a record, though no new trial. Once it is done, with
    /// the returns of its points and of its tests, joined.
    ///
    /// # Errors
    /// As [`Ledger::add`].
    pub fn add_walk_forward(
        &mut self,
        trials: &Trials,
        division: Value,
        returns: Option<&[u8]>,
        out_of_sample: Option<&[u8]>,
    ) -> Result<()> {
        let beside = Beside { division: Some(division), returns, out_of_sample, ..Beside::default() };
        self.add_record(Kind::WalkForward, trials, beside)
    }

    fn add_record(&mut self, kind: Kind, trials: &Trials, beside: Beside<'_>) -> Result<()> {
        if trials.strategy != self.strategy {
            let what = format!("trials of {} in the ledger of {}", trials.strategy, self.strategy);
            return Err(Error::new(codes::BAD_ARGUMENT, what).help("open the ledger of the strategy that is replayed"));
        }
        let names = [beside.returns, beside.out_of_sample].map(|bytes| bytes.map(sha256_hex));
        let same = |r: &&Record| {
            let [returns, out_of_sample] = &names;
            (r.kind, &r.trials, &r.division) == (kind, trials, &beside.division)
                && (&r.mark, &r.source) == (&beside.mark, &beside.source)
                && (returns.is_none() || r.returns == *returns)
                && (out_of_sample.is_none() || r.out_of_sample == *out_of_sample)
        };
        if self.records.values().find(same).is_some() {
            return Ok(());
        }
        let unwritable = |e: Error| {
            e.recode(codes::CANNOT_WRITE)
                .help("trials are counted before they are seen: name a folder that can be written with --ledger DIR")
        };
        for (bytes, name) in [beside.returns, beside.out_of_sample].into_iter().zip(&names) {
            if let (Some(bytes), Some(name)) = (bytes, name) {
                write_atomically(&self.folder.join(format!("{name}.parquet")), bytes).map_err(unwritable)?;
            }
        }
        let (hash, text, record) = self.record(kind, trials, &beside);
        if text.len() as u64 > LARGEST {
            return Err(Error::new(codes::BAD_ARGUMENT, "the grid has too many values to be recorded")
                .help("take larger steps, or fewer keys"));
        }
        write_atomically(&self.folder.join(format!("{hash}.json")), text.as_bytes()).map_err(unwritable)?;
        self.records.insert(hash, record);
        Ok(())
    }
}

/// The files of a folder with this extension, by name; none if there is no folder.
fn files(folder: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|e| Error::io(folder, &e))? {
        let path = entry.map_err(|e| Error::io(folder, &e))?.path();
        if path.extension().is_some_and(|e| e == extension) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// A record whose name is the hash of its bytes.
fn read_record(path: &Path) -> Result<(String, Record)> {
    let altered = |what: String| Error::new(codes::LEDGER_ALTERED, what).at(path.display());
    let bytes = map::bytes_up_to(path, LARGEST).map_err(|e| e.recode(codes::LEDGER_ALTERED))?;
    let hash = sha256_hex(&bytes);
    if path.file_stem().is_none_or(|stem| stem != hash.as_str()) {
        return Err(altered("the record was altered: its name isn't the hash of its bytes".to_owned()));
    }
    let record: Record = serde_json::from_slice(&bytes).map_err(|e| altered(format!("no record: {e}")))?;
    if record.schema_version != SCHEMA_VERSION {
        return Err(altered(format!("form {} of a record, known is {SCHEMA_VERSION}", record.schema_version)));
    }
    Ok((hash, record))
}

/// Where the returns that a record names are.
fn returns_path(folder: &Path, name: &str, record: &str) -> Result<PathBuf> {
    let path = folder.join(format!("{name}.parquet"));
    let plain = name.len() == 64 && name.bytes().all(|b| b.is_ascii_hexdigit());
    if plain && path.exists() {
        return Ok(path);
    }
    let what = format!("the returns {name} are gone; record {record} names them");
    Err(Error::new(codes::LEDGER_GAP, what).at(folder.display()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::super::trials::{Leaves, Varied};
    use super::*;
    use crate::sweep::grid::Choice;

    fn trials(axes: &[(&str, &[i64])], settings: Value) -> Trials {
        let varied = |(key, values): &(&str, &[i64])| Varied {
            key: (*key).to_owned(),
            paths: vec![(*key).to_owned()],
            values: values.iter().map(|v| json!(v)).collect(),
        };
        let points = axes.iter().map(|a| a.1.len() as u64).product();
        Trials {
            strategy: "s".to_owned(),
            data: BTreeMap::from([("AMC".parse().expect("a symbol"), "hash".to_owned())]),
            synthetic: false,
            scope: "single".to_owned(),
            hours: "regular".to_owned(),
            start_date: "2024-01-02".parse().expect("a date"),
            end_date: "2024-06-28".parse().expect("a date"),
            settings,
            axes: axes.iter().map(varied).collect(),
            conditions: Vec::new(),
            choice: Choice::All,
            points,
        }
    }

    fn n(folder: &Path) -> u64 {
        Ledger::open(folder, "s").and_then(|ledger| ledger.count()).expect("a sound ledger")
    }

    fn add(folder: &Path, kind: Kind, trials: &Trials) {
        Ledger::open(folder, "s").and_then(|mut ledger| ledger.add(kind, trials, None)).expect("added");
    }

    #[test]
    fn a_trial_counts_once_however_it_came_about() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path();
        add(folder, Kind::Sweep, &trials(&[("a", &[1, 2, 3]), ("b", &[7, 8])], json!({"a": 9, "b": 9, "c": 5})));
        assert_eq!(n(folder), 6);
        add(folder, Kind::Backtest, &trials(&[], json!({"c": 5, "b": 8, "a": 3})));
        assert_eq!(n(folder), 6, "one of the six");
        add(folder, Kind::Sweep, &trials(&[("b", &[8, 9]), ("a", &[2])], json!({"a": 1, "b": 1, "c": 5})));
        assert_eq!(n(folder), 7, "(2, 8) was known, (2, 9) is new");
        add(folder, Kind::Backtest, &trials(&[], json!({"a": 3, "b": 8, "c": 6})));
        assert_eq!(n(folder), 8, "another setting");
        let mut other_data = trials(&[], json!({"a": 3, "b": 8, "c": 6}));
        other_data.end_date = "2024-06-27".parse().expect("a date");
        add(folder, Kind::Backtest, &other_data);
        assert_eq!(n(folder), 8, "other dates are no other settings");
    }

    /// Whoever looks at ten symbols, each with an account of its own, has looked ten times; and once more at all together.
    #[test]
    fn every_account_that_was_looked_at_is_a_trial() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path();
        let of = |symbols: &[&str], axes: &[(&str, &[i64])]| {
            let by_symbol = |s: &&str| ((*s).to_owned(), json!({"a": 1, "b": 2}));
            let block: serde_json::Map<String, Value> = symbols.iter().map(by_symbol).collect();
            let hashes = symbols.iter().map(|s| (s.parse().expect("a symbol"), format!("bars of {s}"))).collect();
            let paths = |key: &str| symbols.iter().map(|s| format!("parameters.{s}.{key}")).collect();
            let mut trials = trials(axes, json!({"parameters": block}));
            trials.axes.iter_mut().for_each(|axis| axis.paths = paths(&axis.key));
            Trials { data: hashes, ..trials }
        };
        add(folder, Kind::Sweep, &of(&["BRK"], &[("a", &[1, 2, 3])]));
        assert_eq!(n(folder), 3, "one symbol, one account");
        add(folder, Kind::Sweep, &of(&["BRK", "BRK.B"], &[("a", &[1, 2, 3])]));
        assert_eq!(n(folder), 3 + 3 + 3, "those of BRK were known; BRK.B's, and both together");
        add(folder, Kind::Backtest, &of(&["BRK", "BRK.B"], &[]));
        assert_eq!(n(folder), 9, "both were among them");
        let mut one = of(&["BRK", "BRK.B"], &[("a", &[1, 4])]);
        one.axes[0].paths = vec!["parameters.BRK.a".to_owned()];
        add(folder, Kind::Sweep, &one);
        assert_eq!(n(folder), 9 + 1 + 1, "BRK's 4, and both together with it: BRK.B stayed as it was");
        let parts = of(&["AMC", "GME"], &[]);
        add(folder, Kind::Backtest, &parts);
        assert_eq!(n(folder), 11 + 3);
        let ledger = Ledger::open(folder, "s").expect("sound");
        let whole = Trials { scope: "portfolio".to_owned(), ..parts };
        let beside_it = ledger.all(false).count_of(|_| true, &[whole], Leaves::All).expect("sound");
        assert_eq!(beside_it, 11 + 1, "looks at parts of what is judged are no tries of it");
    }

    /// A list of points, as an import has it, tries what a grid of the same points tries.
    #[test]
    fn points_that_are_listed_are_those_of_a_grid() {
        let grid = trials(&[("a", &[1, 2]), ("b", &[7, 8])], json!({"a": 9, "b": 9, "c": 5}));
        let values = vec![json!([2, 8]), json!([1, 7]), json!([1, 8]), json!([2, 7])];
        let listed = Varied { key: "a b".to_owned(), paths: vec!["a".to_owned(), "b".to_owned()], values };
        let listed = Trials { axes: vec![listed], ..grid.clone() };
        let sorted = |of: &Trials| {
            let mut all = of.identities(Leaves::All).expect("a grid").whole;
            all.sort_unstable();
            all
        };
        assert_eq!(sorted(&listed), sorted(&grid));
    }

    #[test]
    fn the_same_again_adds_no_record() {
        let folder = tempfile::tempdir().expect("a folder");
        let one = trials(&[("a", &[1, 2])], json!({"a": 9}));
        for _ in 0..3 {
            add(folder.path(), Kind::Sweep, &one);
        }
        assert_eq!(Ledger::open(folder.path(), "s").expect("sound").records().len(), 1);
    }

    #[test]
    fn records_written_side_by_side_are_both_heads_and_the_next_names_both() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut one = Ledger::open(folder.path(), "s").expect("sound");
        let mut other = one.clone();
        one.add(Kind::Backtest, &trials(&[], json!({"a": 1})), None).expect("added");
        other.add(Kind::Backtest, &trials(&[], json!({"a": 2})), None).expect("added");
        let mut merged = Ledger::open(folder.path(), "s").expect("sound");
        assert_eq!((merged.heads().len(), merged.count().expect("sound")), (2, 2));
        merged.add(Kind::Backtest, &trials(&[], json!({"a": 3})), None).expect("added");
        assert_eq!(merged.heads().len(), 1);
    }

    #[test]
    fn an_altered_record_and_one_that_is_gone_are_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        add(folder.path(), Kind::Backtest, &trials(&[], json!({"a": 1})));
        add(folder.path(), Kind::Backtest, &trials(&[], json!({"a": 2})));
        let ledger = Ledger::open(folder.path(), "s").expect("sound");
        let named = ledger.records().values().flat_map(|r| r.heads.clone()).next().expect("a name");
        let path = folder.path().join("s").join(format!("{named}.json"));
        let bytes = std::fs::read(&path).expect("readable");
        let code = || Ledger::open(folder.path(), "s").map(|_| ()).map_err(|e| e.code());
        for at in 0..bytes.len() {
            let mut altered = bytes.clone();
            altered[at] ^= 1;
            std::fs::remove_file(&path).expect("removable");
            std::fs::write(&path, altered).expect("writable");
            assert_eq!(code(), Err(codes::LEDGER_ALTERED), "byte {at}");
        }
        std::fs::remove_file(&path).expect("removable");
        assert_eq!(code(), Err(codes::LEDGER_GAP));
        std::fs::write(&path, bytes).expect("writable");
        assert_eq!(code(), Ok(()));
    }
}
