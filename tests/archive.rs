//! Import, records, cache: nothing guessed, nothing lost, damage found.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{
    ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray, TimestampNanosecondArray,
};
use magellan::archive::Archive;
use magellan::archive::import::{Import, Imported, import};
use magellan::bar::Timeframe;
use magellan::disk::map::Access;
use magellan::error::{ErrorKind, Result};
use tempfile::TempDir;

use crate::support::symbol;

const HEADER: &str = "timestamp,open,high,low,close,volume\n";

struct Fixture {
    folder: TempDir,
}

impl Fixture {
    fn new() -> Self {
        Self { folder: TempDir::new().expect("a folder") }
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, text).expect("written");
        path
    }

    fn archive(&self) -> PathBuf {
        self.folder.path().join("archive")
    }

    fn import(&self, sources: &[&Path]) -> Result<Imported> {
        let sources = sources.iter().map(|p| p.to_path_buf()).collect();
        import(&self.archive(), &Import { sources, ..Import::default() })
    }

    fn open(&self) -> Archive {
        Archive::open(&self.archive(), Access::Map).expect("opens")
    }

    fn closes(&self, name: &str, timeframe: Timeframe) -> Vec<f64> {
        self.open().load(symbol(name), timeframe).expect("loads").bars().close().to_vec()
    }

    fn record(&self) -> PathBuf {
        let archive = self.open();
        self.archive().join(&archive.manifest().records[0].path)
    }
}

fn minutes(count: usize) -> String {
    let rows = (0..count)
        .map(|i| format!("2024-07-01T{:02}:{:02}:00Z,10,11,9,{},100\n", 14 + i / 60, i % 60, 10.0 + i as f64 / 100.0));
    HEADER.to_owned() + &rows.collect::<String>()
}

fn damage(path: &Path, change: impl Fn(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).expect("read");
    change(&mut bytes);
    fs::remove_file(path).expect("removed");
    fs::write(path, bytes).expect("written");
}

#[test]
fn what_was_imported_is_loaded_with_and_without_the_cache_and_the_map() {
    let f = Fixture::new();
    f.import(&[&f.file("AMC_1min.csv", &minutes(90))]).expect("imports");
    let first = f.closes("AMC", Timeframe::Minute);
    assert_eq!((first.len(), first[89]), (90, 10.89));
    assert!(f.archive().join("cache/1Min/AMC.arrow").exists());
    assert_eq!(f.closes("AMC", Timeframe::Minute), first, "from the cache");
    let read = Archive::open(&f.archive(), Access::Read).expect("opens");
    assert_eq!(read.load(symbol("AMC"), Timeframe::Minute).expect("loads").bars().close().to_vec(), first);
}

/// A Parquet file with the given columns, as pandas writes one.
fn parquet_file(path: &Path, columns: Vec<(&str, ArrayRef)>) {
    let batch = RecordBatch::try_from_iter(columns).expect("a batch");
    let file = fs::File::create(path).expect("made");
    let mut writer = parquet::arrow::ArrowWriter::try_new(file, batch.schema(), None).expect("a writer");
    writer.write(&batch).expect("written");
    writer.close().expect("closed");
}

#[test]
fn both_parquet_layouts_give_the_same_bars_whatever_their_types_and_order() {
    const STARTS: [i64; 3] = [1_719_842_400, 1_719_842_460, 1_719_842_520];
    let price = |value: f64| -> ArrayRef { Arc::new(Float64Array::from(vec![value; 3])) };
    let nanos = || TimestampNanosecondArray::from_iter_values(STARTS.map(|s| s * 1_000_000_000));
    // An index column last, naive, whole volumes, the symbol in the file's name.
    let indexed = Fixture::new();
    let path = indexed.folder.path().join("AMC_1min_20240701_20240701.parquet");
    let volume: ArrayRef = Arc::new(Int64Array::from(vec![100; 3]));
    let naive: ArrayRef = Arc::new(nanos());
    parquet_file(
        &path,
        vec![
            ("close", price(10.0)),
            ("high", price(11.0)),
            ("low", price(9.0)),
            ("open", price(10.5)),
            ("volume", volume),
            ("timestamp", naive),
        ],
    );
    indexed.import(&[&path]).expect("imports");
    // A symbol column, zoned microseconds, fractional types, extra columns.
    let plain = Fixture::new();
    let path = plain.folder.path().join("2024-07-01_2024-07-01.parquet");
    let symbols: ArrayRef = Arc::new(StringArray::from(vec!["AMC"; 3]));
    let zoned: ArrayRef = Arc::new(
        TimestampMicrosecondArray::from_iter_values(STARTS.map(|s| s * 1_000_000)).with_timezone("America/New_York"),
    );
    parquet_file(
        &path,
        vec![
            ("symbol", symbols),
            ("timestamp", zoned),
            ("open", price(10.5)),
            ("high", price(11.0)),
            ("low", price(9.0)),
            ("close", price(10.0)),
            ("volume", price(100.0)),
            ("trade_count", price(7.0)),
            ("vwap", price(10.1)),
        ],
    );
    plain.import(&[&path]).expect("imports");
    let bars = |f: &Fixture| {
        let series = f.open().load(symbol("AMC"), Timeframe::Minute).expect("loads");
        (0..3).map(|i| series.bars().get(i)).collect::<Vec<_>>()
    };
    assert_eq!(bars(&indexed), bars(&plain));
    assert_eq!(bars(&plain)[0].start, STARTS[0] * 1_000_000_000);
}

#[test]
fn a_parquet_row_without_a_price_or_with_a_number_for_a_time_is_refused() {
    let price = |value: Option<f64>| -> ArrayRef { Arc::new(Float64Array::from(vec![Some(10.0), value])) };
    let stamps: ArrayRef =
        Arc::new(TimestampNanosecondArray::from_iter_values([0, 1].map(|m| (1_719_842_400 + 60 * m) * 1_000_000_000)));
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![5, 6]));
    for (time, close, part) in [(stamps, None, "row 2"), (numbers, Some(10.0), "not a timestamp")] {
        let f = Fixture::new();
        let path = f.folder.path().join("AMC_1min.parquet");
        let ten = || price(Some(10.0));
        parquet_file(
            &path,
            vec![
                ("timestamp", time),
                ("open", ten()),
                ("high", ten()),
                ("low", ten()),
                ("close", price(close)),
                ("volume", ten()),
            ],
        );
        let err = f.import(&[&path]).expect_err(part);
        assert!(err.to_string().contains(part) && err.to_string().contains("AMC_1min.parquet"), "{err}");
    }
}

#[test]
fn identical_duplicates_are_dropped_and_counted_and_a_second_import_adds_nothing() {
    let f = Fixture::new();
    let row = "2024-07-01T14:00:00Z,10,11,9,10,100\n";
    let path = f.file("AMC_1min.csv", &(minutes(3) + row));
    let done = f.import(&[&path]).expect("imports");
    assert_eq!((done.added[0].2, done.duplicates[0].2), (3, 1));
    let before = fs::read(f.record()).expect("read");
    let again = f.import(&[&path]).expect("imports");
    assert_eq!((again.added[0].2, again.duplicates[0].2), (0, 4));
    assert_eq!(fs::read(f.record()).expect("read"), before, "the same rows give the same bytes");
}

#[test]
fn conflicting_duplicates_are_an_error_that_names_both_rows_and_changes_nothing() {
    let f = Fixture::new();
    f.import(&[&f.file("AMC_1min.csv", &minutes(3))]).expect("imports");
    let other = f.file(
        "AMC_1min_b.csv",
        &format!("{HEADER}2024-07-01T14:01:00Z,10,11,9,10.5,100\n2024-07-01T14:05:00Z,10,11,9,10,1\n"),
    );
    let err = f.import(&[&other]).expect_err("conflicts");
    let text = err.to_string();
    assert_eq!(err.kind(), ErrorKind::Data);
    for part in ["2024-07-01T14:01:00Z", "close 10.5", "close 10.01", "AMC_1min_b.csv row 2", ".parquet row 2"] {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(f.closes("AMC", Timeframe::Minute).len(), 3);
}

#[test]
fn new_rows_join_old_ones_in_order() {
    let f = Fixture::new();
    f.import(&[&f.file(
        "AMC_1min_b.csv",
        &format!("{HEADER}2024-07-01T15:00:00Z,10,11,9,2,100\n2024-07-01T15:01:00Z,10,11,9,3,100\n"),
    )])
    .expect("imports");
    f.import(&[&f.file(
        "AMC_1min_a.csv",
        &format!("{HEADER}2024-07-01T14:00:00Z,10,11,9,1,100\n2024-07-01T15:02:00Z,10,11,9,4,100\n"),
    )])
    .expect("imports");
    assert_eq!(f.closes("AMC", Timeframe::Minute), [1.0, 2.0, 3.0, 4.0]);
    // What was superseded stays for readers that are under way, until the next import.
    let records = || walk(&f.archive().join("csv")).len();
    assert_eq!(records(), 2);
    f.import(&[&f.file("GME_1min.csv", &minutes(3))]).expect("imports");
    assert_eq!(records(), 2, "AMC's and GME's");
}

#[test]
fn importing_into_a_folder_of_ones_own_files_loses_none() {
    let f = Fixture::new();
    fs::create_dir_all(f.archive().join("csv/raw/1Min/AMC")).expect("made");
    let own = ["mine.parquet", "csv/raw/notes-12345678.parquet", "csv/raw/1Min/AMC/mine-1.parquet"];
    for path in own {
        fs::write(f.archive().join(path), "not bars").expect("written");
    }
    f.import(&[&f.file("AMC_1min.csv", &minutes(3))]).expect("imports");
    f.import(&[&f.file("GME_1min.csv", &minutes(3))]).expect("imports");
    for path in own {
        assert!(f.archive().join(path).exists(), "{path}");
    }
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").map(|e| e.expect("an entry").path());
    entries.flat_map(|p| if p.is_dir() { walk(&p) } else { vec![p] }).collect()
}

#[test]
fn a_flipped_byte_or_a_cut_in_a_record_is_found_when_it_is_used() {
    for change in [(|b: &mut Vec<u8>| b[200] ^= 1) as fn(&mut Vec<u8>), |b| b.truncate(b.len() / 2), Vec::clear] {
        let f = Fixture::new();
        f.import(&[&f.file("AMC_1min.csv", &minutes(90))]).expect("imports");
        f.closes("AMC", Timeframe::Minute);
        damage(&f.record(), change);
        let err = f.open().load(symbol("AMC"), Timeframe::Minute).expect_err("damaged");
        assert_eq!(err.kind(), ErrorKind::Data);
        assert!(err.to_string().contains("hash"), "{err}");
    }
}

#[test]
fn a_missing_record_is_an_error_even_with_a_cache() {
    let f = Fixture::new();
    f.import(&[&f.file("AMC_1min.csv", &minutes(90))]).expect("imports");
    f.closes("AMC", Timeframe::Minute);
    fs::remove_file(f.record()).expect("removed");
    assert!(f.open().load(symbol("AMC"), Timeframe::Minute).is_err());
}

#[test]
fn a_damaged_stale_or_foreign_cache_is_rebuilt() {
    let f = Fixture::new();
    f.import(&[&f.file("AMC_1min.csv", &minutes(90))]).expect("imports");
    let right = f.closes("AMC", Timeframe::Minute);
    let cache = f.archive().join("cache/1Min/AMC.arrow");
    let intact = fs::read(&cache).expect("read");
    for change in [
        (|b: &mut Vec<u8>| {
            let n = b.len();
            b[n / 2] ^= 1
        }) as fn(&mut Vec<u8>),
        |b| b.truncate(9),
        |b| *b = b"foreign".to_vec(),
        Vec::clear,
    ] {
        damage(&cache, change);
        assert_eq!(f.closes("AMC", Timeframe::Minute), right);
        assert_eq!(fs::read(&cache).expect("read"), intact, "rebuilt");
    }
    f.import(&[&f.file(
        "AMC_1min_b.csv",
        &format!("{HEADER}2024-07-01T19:00:00Z,10,11,9,2,100\n2024-07-01T19:01:00Z,10,11,9,2,100\n"),
    )])
    .expect("imports");
    assert_eq!(f.closes("AMC", Timeframe::Minute).len(), 92, "stale");
}

#[test]
fn an_edited_manifest_is_refused() {
    let f = Fixture::new();
    f.import(&[&f.file("AMC_1min.csv", &minutes(5))]).expect("imports");
    let path = f.archive().join("manifest.json");
    damage(&path, |b| {
        let text = String::from_utf8(b.clone()).expect("UTF-8").replace("\"rows\": 5", "\"rows\": 6");
        *b = text.into_bytes();
    });
    let err = Archive::open(&f.archive(), Access::Map).expect_err("edited");
    assert!(err.to_string().contains("checksum"), "{err}");
}

#[test]
fn bad_rows_are_refused_with_file_and_row() {
    for (row, part) in [
        ("2024-07-01T14:00:00Z,0,11,9,10,100", "open 0"),
        ("2024-07-01T14:00:00Z,10,11,9,-1,100", "close -1"),
        ("2024-07-01T14:00:00Z,10,11,9,NaN,100", "close NaN"),
        ("2024-07-01T14:00:00Z,10,11,9,10,-5", "volume -5"),
        ("2024-07-01T14:00:00Z,10,11,9,ten,100", "`ten`"),
        ("1711978200,10,11,9,10,100", "`1711978200`"),
        ("2024-07-01T14:00:30Z,10,11,9,10,100", "not the start of a minute"),
        ("1889-07-01T14:01:00Z,10,11,9,10,100", "exchange calendar"),
        ("2024-07-01T14:00:00Z,10,11,9,10", "fields"),
    ] {
        let f = Fixture::new();
        let path = f.file("AMC_1min.csv", &format!("{HEADER}2024-07-01T14:31:00Z,10,11,9,10,100\n{row}\n"));
        let err = f.import(&[&path]).expect_err(row);
        assert_eq!(err.kind(), ErrorKind::Data, "{err}");
        assert!(err.to_string().contains(part) && err.to_string().contains("AMC_1min.csv"), "{row}: {err}");
    }
}

#[test]
fn files_that_are_not_bars_are_refused_by_name() {
    let f = Fixture::new();
    for (name, text) in [
        ("AMC_1min.parquet", "not parquet"),
        ("AMC.csv", "a,b\n1,2\n"),
        ("AMC.txt", "x"),
        ("prices_1min.csv", &minutes(3)),
        ("AMC_1min.csv", HEADER),
    ] {
        let path = f.file(name, text);
        let err = f.import(&[&path]).expect_err(name);
        assert!(err.suggestion().len() > 10 && err.to_string().contains(name), "{name}: {err}");
    }
    assert!(f.import(&[Path::new("no/such/file.parquet")]).is_err());
}

#[test]
fn minute_bars_named_daily_are_refused() {
    let f = Fixture::new();
    let err = f.import(&[&f.file("AMC_1day.csv", &minutes(90))]).expect_err("B4");
    assert!(err.to_string().contains("said to hold 1Day bars"), "{err}");
}

#[test]
fn a_mark_cannot_be_renamed_or_mixed() {
    let f = Fixture::new();
    let named = |name: &str, path: &Path| {
        let plan = Import { sources: vec![path.to_owned()], provenance: Some(name.into()), ..Import::default() };
        import(&f.archive(), &plan)
    };
    let path = f.file("AMC_1min.csv", &minutes(90));
    named("synthetic", &path).expect("imports");
    // A record re-imported as something else, here or into another archive.
    let record = f.record();
    for provenance in ["alpaca-sip", "csv"] {
        let err = named(provenance, &record).expect_err("renamed");
        assert_eq!((err.kind(), err.exit_code()), (ErrorKind::Refused, 8), "{err}");
    }
    let err = named("csv", &path).expect_err("mixed");
    assert_eq!(err.kind(), ErrorKind::Refused);
    // Re-import without a name keeps the mark.
    let other = TempDir::new().expect("a folder");
    let plan = Import { sources: vec![record], ..Import::default() };
    import(other.path(), &plan).expect("imports");
    let archive = Archive::open(other.path(), Access::Map).expect("opens");
    assert_eq!(archive.manifest().records[0].provenance, "synthetic");
}

#[test]
fn utc_days_and_session_days_are_told_apart() {
    let f = Fixture::new();
    let saturday = format!("{HEADER}2024-06-28,10,11,9,10,100\n2024-06-29,10,11,9,10,100\n2024-07-01,10,11,9,10,100\n");
    f.import(&[&f.file("AMC_1day.csv", &saturday)]).expect("imports");
    let basis = f.open().manifest().records[0].day_basis.map(|b| b.name());
    assert_eq!(basis, Some("utc_extended"));
}

#[test]
fn splits_adjust_prices_before_their_date_and_volumes_the_other_way() {
    let f = Fixture::new();
    let rows = format!("{HEADER}2024-06-07,1200,1210,1190,1208,10\n2024-06-10,120,121,119,121,100\n");
    let bars = f.file("NVDA_1day.csv", &rows);
    let splits = f.file("splits.csv", "symbol,effective_date,new_shares_per_old\nNVDA,2024-06-10,10\n");
    let plan = Import { sources: vec![bars], splits: Some(splits), ..Import::default() };
    import(&f.archive(), &plan).expect("imports");
    let archive = f.open();
    let series = archive.load(symbol("NVDA"), Timeframe::Day).expect("loads").adjusted(&archive.splits(symbol("NVDA")));
    assert_eq!(series.bars().close().to_vec(), [120.8, 121.0]);
    assert_eq!(series.bars().volume().to_vec(), [100.0, 100.0]);
    assert_eq!(
        archive.load(symbol("NVDA"), Timeframe::Day).expect("loads").bars().close().to_vec(),
        [1208.0, 121.0],
        "records stay raw"
    );
}

#[test]
fn folders_are_searched_below_and_archives_bring_their_splits_and_marks() {
    let f = Fixture::new();
    fs::create_dir_all(f.folder.path().join("bars/2024")).expect("made");
    f.file("bars/2024/AMC_1min.csv", &minutes(5));
    f.file("bars/2024/.hidden.csv", "not bars");
    f.file("bars/splits.csv", "symbol,effective_date,new_shares_per_old\nAMC,2024-06-10,1/10\n");
    f.file("bars/notes.txt", "read me");
    let plan = Import {
        sources: vec![f.folder.path().join("bars")],
        provenance: Some("synthetic".into()),
        ..Import::default()
    };
    let done = import(&f.archive(), &plan).expect("imports");
    assert_eq!((done.added[0].2, done.splits_added, done.skipped.len()), (5, 1, 1));
    let other = TempDir::new().expect("a folder");
    let again = |provenance: Option<&str>| {
        import(
            other.path(),
            &Import { sources: vec![f.archive()], provenance: provenance.map(str::to_owned), ..Import::default() },
        )
    };
    assert_eq!(again(Some("csv")).expect_err("renamed").kind(), ErrorKind::Refused);
    assert_eq!(again(None).expect("imports").splits_added, 1);
    let (ours, theirs) = (f.open(), Archive::open(other.path(), Access::Map).expect("opens"));
    assert_eq!(ours.manifest(), theirs.manifest(), "the same records, byte for byte");
}

#[test]
fn every_split_ratio_survives_the_manifest() {
    for new in 1..40 {
        let f = Fixture::new();
        let rows: String =
            (1..60).filter(|old| *old != new).map(|old| format!("AMC,{}-01-02,{new}/{old}\n", 1960 + old)).collect();
        let splits = f.file("splits.csv", &format!("symbol,effective_date,new_shares_per_old\n{rows}"));
        import(&f.archive(), &Import { splits: Some(splits), ..Import::default() }).expect("imports");
        let read = f.open().splits(symbol("AMC"));
        assert!(read.iter().any(|s| s.ratio == f64::from(new) / 59.0), "{new}/59");
    }
}

#[test]
fn links_to_folders_do_not_lead_in_circles() {
    let f = Fixture::new();
    fs::create_dir(f.folder.path().join("bars")).expect("made");
    f.file("bars/AMC_1min.csv", &minutes(5));
    std::os::unix::fs::symlink(".", f.folder.path().join("bars/again")).expect("linked");
    let done = f.import(&[&f.folder.path().join("bars")]).expect("imports");
    assert_eq!((done.files, done.duplicates.len()), (1, 0));
}
