//! What fuzzers call: each parser of foreign bytes, with what must hold whatever the bytes.
//! `fuzz/` runs these under libFuzzer; the tests below try each on damaged samples.

use std::path::Path;

use serde_json::json;

use crate::archive::import::told::Told;
use crate::archive::import::{csv, inspect, json, text};
use crate::archive::manifest::Manifest;
use crate::archive::parquet::guard::guarded;
use crate::archive::parquet::read;
use crate::archive::row::Row;
use crate::archive::{cache, tables};
use crate::bar::{Bars, Date, MINUTE, Nanos, Symbol, Timeframe};
use crate::calendar;
use crate::config::document::Document;
use crate::config::{self, Checked, Override, Parameters};
use crate::finding::Span;
use crate::gate::acknowledge;
use crate::gate::baseline::Baseline;
use crate::gate::verify::StoredVerdict;
use crate::history::{History, Hours};
use crate::ledger::decode;
use crate::orders::{self, Options, Settings};
use crate::replay::Terms;
use crate::replay::floor::Floor;
use crate::risk::Limits;

/// A target: its name, and what it does with bytes.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: &[Target] = &[
    ("parquet", parquet_file),
    ("cache", cache_file),
    ("manifest", manifest),
    ("csv", csv_bars),
    ("tables", tables_beside_bars),
    ("config", config_file),
    ("verdict", verdict_and_what_goes_with_it),
    ("returns", kept_returns),
    ("orders", orders_file),
    ("words", words),
];

/// Rows that are read can be audited, and a file gives the same rows twice.
fn parquet_file(bytes: &[u8]) {
    let path = Path::new("AMC_1min.parquet");
    let told = Told::default();
    let read = || read::bars(path, bytes.to_vec().into(), &told);
    if let Ok(file) = read() {
        let rows: usize = file.series.iter().map(|s| s.1.len()).sum();
        assert!(rows as u64 <= 1_000_000 + 4 * bytes.len() as u64);
        let again = read().expect("read before");
        let bits = |rows: &[Row]| rows.iter().map(|r| (r.start, r.ohlcv.map(f64::to_bits))).collect::<Vec<_>>();
        for ((a, rows), (b, twice)) in file.series.iter().zip(&again.series) {
            assert!(a == b && bits(rows) == bits(twice));
        }
        inspect::inspect_file(path, file);
    }
}

/// Columns that are accepted are in order and as long as each other.
fn cache_file(bytes: &[u8]) {
    // A key is the hash of the records: whatever stands in its place is taken for right.
    let key = bytes.windows(64).find(|w| w.iter().all(u8::is_ascii_hexdigit)).unwrap_or(b"key");
    let key = std::str::from_utf8(key).unwrap_or_default();
    if let Ok(columns) = cache::decode(bytes.to_vec().into(), key) {
        assert!(columns.start.windows(2).all(|w| w[0] < w[1]));
        assert!(columns.ohlcv.iter().all(|c| c.len() == columns.start.len()));
    }
}

/// A manifest that is accepted is the one that was written. It is sealed first: a checksum
/// keeps out accidents, not intent.
fn manifest(bytes: &[u8]) {
    let path = Path::new("manifest.json");
    let _ = Manifest::parse(path, bytes);
    if let Ok(mut manifest) = serde_json::from_slice::<Manifest>(bytes) {
        let sealed = manifest.seal();
        if let Ok(read) = Manifest::parse(path, &sealed) {
            assert_eq!(read, manifest);
        }
    }
}

fn csv_bars(bytes: &[u8]) {
    let path = Path::new("AMC_1min.csv");
    if let Ok(file) = csv::bars(path, bytes, &Told::default()) {
        inspect::inspect_file(path, file);
    }
    // The same bytes taken for other formats.
    let _ = text::unpacked(bytes.to_vec().into());
    if let Ok(file) = json::bars(path, bytes, &Told::default()) {
        inspect::inspect_file(path, file);
    }
}

fn tables_beside_bars(bytes: &[u8]) {
    if let Ok(splits) = tables::parse_splits(Path::new("splits.csv"), bytes) {
        assert!(splits.iter().all(|s| s.ratio > 0.0 && s.ratio.is_finite()));
    }
    if let Ok(moves) = tables::parse_moves(Path::new("moves.csv"), bytes) {
        assert!(moves.iter().all(|m| !m.reason.is_empty()));
    }
    if let Ok(dividends) = tables::parse_dividends(Path::new("dividends.csv"), bytes) {
        assert!(dividends.iter().all(|d| d.amount > 0.0 && d.amount.is_finite()));
    }
    if let Ok(delistings) = tables::parse_delistings(Path::new("delistings.csv"), bytes) {
        assert!(delistings.iter().all(|d| (0.0..=1.0).contains(&d.haircut)));
    }
    if let Ok(renames) = tables::parse_renames(Path::new("renames.csv"), bytes) {
        assert!(renames.iter().all(|r| r.old != r.new));
    }
}

/// A document without findings is a config; every finding lies in the text.
fn config_file(bytes: &[u8]) {
    let Ok(text) = String::from_utf8(bytes.to_vec()) else { return };
    let Ok(document) = Document::parse(Path::new("config.json"), text, &[]) else { return };
    let mut found = config::examine(&document);
    if found.is_empty() {
        Checked::new(document.clone(), |_| Vec::new()).expect("a document without findings is a config");
    }
    let parameters = schemars::json_schema!({"type": "object", "properties": {"rsi_period": {"minimum": 2}}});
    for layout in [Parameters::BySymbol, Parameters::Common] {
        found.extend(config::examine_parameters(&document, &layout.schema(&parameters)));
    }
    for finding in found {
        let Span { start, end, .. } = finding.span.expect("placed");
        assert!(start <= end && end <= document.text.len(), "{finding:?}");
    }
}

/// A verdict that is taken has its own digest; accepted failures say who and why.
fn verdict_and_what_goes_with_it(bytes: &[u8]) {
    let path = Path::new("baseline.json");
    if let Ok(baseline) = Baseline::parse(path, bytes, "bear_trap") {
        assert_eq!(baseline.subject.hash(), baseline.subject.sha256);
    }
    if let Ok(all) = acknowledge::parse(path, bytes, Date::default()) {
        assert!(all.iter().all(|a| !a.who.trim().is_empty() && !a.why.trim().is_empty()));
    }
    if let Ok(stored) = StoredVerdict::parse(bytes) {
        assert!(stored.strategies.iter().all(|one| one.subject.is_some() || one.error.is_some()));
    }
}

/// Rows of a point are together, and there are no more of them than the file can hold.
fn kept_returns(bytes: &[u8]) {
    let read = || guarded(|| decode(bytes.to_vec().into())).and_then(Result::ok);
    if let Some(points) = read() {
        let rows: usize = points.iter().map(|p| p.1.len()).sum();
        assert!(rows as u64 <= 1_000_000 + 4 * bytes.len() as u64);
    }
}

/// Orders that are taken can be replayed, and each fill lies in its bar. Every fault is placed.
fn orders_file(bytes: &[u8]) {
    const BARS: usize = 40;
    let start = calendar::session(Date(19_905)).open; // 2024-07-01
    let starts: Vec<Nanos> = (0..BARS as i64).map(|i| start + i * MINUTE).collect();
    let close: Vec<f64> = (0..BARS).map(|i| 20.0 + (i * 7 % 11) as f64 / 4.0).collect();
    let [high, low] = [0.5, -0.5].map(|by| close.iter().map(|close| close + by).collect::<Vec<f64>>());
    let volume = vec![1_000.0; BARS];
    let (Ok(symbol), Ok(bars)) =
        ("AMC".parse(), Bars::new(Timeframe::Minute, &starts, [&close, &high, &low, &close, &volume]))
    else {
        unreachable!("good bars")
    };
    let Ok(history) = History::new(symbol, bars, Hours::Regular) else { unreachable!("of a session") };
    let options = r#"{"symbols": ["AMC"], "bars": "1min", "capital": 1e5, "account": "margin", "session": "regular", "adjusted": false}"#;
    let Ok(settings) = Options::parse(options).and_then(|options| options.settings()) else {
        unreachable!("good options")
    };
    struct Known<'a>(&'a [Nanos]);
    impl orders::Bars for Known<'_> {
        fn has(&self, _: usize, start: Nanos) -> bool {
            self.0.contains(&start)
        }
    }
    match orders::check(bytes.to_vec().into(), Path::new("orders.csv"), &settings, &Known(&starts)) {
        Ok(Ok(rows)) => {
            let Settings { capital, costs, conditions, .. } = settings;
            let (start, end) = (calendar::FIRST, calendar::LAST);
            let terms = Terms { capital, costs, conditions, limits: Limits::default(), start, end };
            let Ok(floor) = Floor::new(std::slice::from_ref(&history), &terms) else { unreachable!("there are bars") };
            for fill in orders::replay(floor, &rows).kept.executions {
                assert!((19.0..=24.0).contains(&fill.price), "{fill:?}");
            }
        }
        Ok(Err(findings)) => assert!(findings.iter().all(|finding| finding.span.is_some())),
        Err(_) => {}
    }
}

/// Single words: what is read is written back the same.
fn words(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(symbol) = text.parse::<Symbol>() {
        assert_eq!(symbol.to_string(), text);
    }
    if let Ok(date) = text.parse::<Date>() {
        assert_eq!(date.to_string(), text);
    }
    if let Ok(timeframe) = text.parse::<Timeframe>() {
        assert_eq!(timeframe.name().parse::<Timeframe>().ok(), Some(timeframe), "{text}");
    }
    if let Ok(change) = text.parse::<Override>() {
        let config = json!({"symbols": ["AMC"], "strategy_parameters": {"AMC": {"rsi_period": 14}, "x": 1}});
        let _ = Document::parse(Path::new("config.json"), config.to_string(), &[change]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::record;
    use crate::archive::row::Label;
    use crate::gate::subject::Subject;
    use proptest::prelude::*;

    fn rows() -> Vec<Row> {
        let start = crate::calendar::session("2024-07-01".parse().expect("a date")).open;
        let row = |i: i64| Row {
            start: start + i * MINUTE,
            ohlcv: [10.0, 11.0, 9.0, 10.0 + i as f64 / 100.0, 100.0],
            trade_count: f64::NAN,
            vwap: f64::NAN,
            origin: (0, 0),
        };
        (0..40).map(row).collect()
    }

    /// A good input of each target.
    fn sample(target: &str) -> Vec<u8> {
        let label = Label {
            symbol: "AMC".parse().expect("a symbol"),
            timeframe: Timeframe::Minute,
            provenance: "csv".into(),
            day_basis: None,
        };
        match target {
            "parquet" => record::encode(&label, &rows()).expect("encoded"),
            "cache" => cache::encode(&"a".repeat(64), &cache::Cached::of(&rows())).expect("encoded"),
            "manifest" => Manifest::default().seal(),
            "csv" => b"timestamp,open,high,low,close,volume\n2024-07-01T14:00:00Z,1,2,1,2,3\n".to_vec(),
            "tables" => b"symbol,effective_date,new_shares_per_old\nAMC,2024-07-01,1/30\n".to_vec(),
            "config" => include_bytes!("../deployed/bear_trap/config.json").to_vec(),
            "verdict" => baseline(),
            "returns" => returns(),
            "orders" => b"time,symbol,id,side,type,size\n2024-07-01T13:35:00Z,AMC,a,buy,market,10\n".to_vec(),
            _ => b"AMC.rsi_period=14".to_vec(),
        }
    }

    fn baseline() -> Vec<u8> {
        let config = crate::disk::hash::sha256_hex(b"{}");
        let subject = Subject::new("s", "b".into(), &config, "m", &json!({}), None);
        let baseline = json!({
            "schema_version": 1, "sha256": "", "heads": [], "strategy": "bear_trap", "subject": subject, "verdict": "", "config": "{}",
            "periods": [{
                "period": {"name": "p", "start_date": "2024-01-02", "end_date": "2024-01-03"},
                "costs": {"slippage_bps": 1.0, "fee_per_share": 0.0, "fee_bps": 0.0},
                "data": {"AMC": "hash"}, "returns": [["2024-01-02", 0.5]],
            }],
        });
        let baseline: Baseline = serde_json::from_value(baseline).expect("a baseline");
        json!(baseline.sealed()).to_string().into_bytes()
    }

    fn returns() -> Vec<u8> {
        use arrow_array::{ArrayRef, Date32Array, Float64Array, UInt64Array};
        let columns: [(&str, ArrayRef); 3] = [
            ("point", std::sync::Arc::new(UInt64Array::from(vec![0, 0, 1]))),
            ("session", std::sync::Arc::new(Date32Array::from(vec![1, 2, 1]))),
            ("return", std::sync::Arc::new(Float64Array::from(vec![0.5, 0.25, -0.5]))),
        ];
        let batch = arrow_array::RecordBatch::try_from_iter(columns).expect("a batch");
        let mut writer = ::parquet::arrow::ArrowWriter::try_new(Vec::new(), batch.schema(), None).expect("a writer");
        writer.write(&batch).expect("written");
        writer.into_inner().expect("closed")
    }

    #[test]
    fn good_samples_of_verdicts_and_returns_are_taken() {
        assert_eq!(decode(returns().into()).expect("read").len(), 2);
        assert!(Baseline::parse(Path::new("b"), &baseline(), "bear_trap").is_ok());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]
        #[test]
        fn damaged_samples_end_in_an_answer(
            target in 0..TARGETS.len(),
            hits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
            cut in prop::option::of(any::<prop::sample::Index>()),
        ) {
            let (name, run) = TARGETS[target];
            let mut bytes = sample(name);
            for (at, byte) in hits {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            if let Some(cut) = cut {
                bytes.truncate(cut.index(bytes.len()));
            }
            run(&bytes);
        }
    }

    /// Each file of `fuzz/regressions` once made its target, the first word of its name, slow,
    /// greedy or panic.
    #[test]
    fn what_fuzzing_found_stays_mended() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/regressions");
        let mut count = 0;
        for entry in std::fs::read_dir(folder).expect("the folder") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
            let target = TARGETS.iter().find(|t| name.starts_with(t.0)).expect("named after a target");
            let begun = std::time::Instant::now();
            target.1(&std::fs::read(&path).expect("read"));
            // Generous: seconds before, nothing measurable since.
            assert!(begun.elapsed().as_secs() < 2, "{name}");
            count += 1;
        }
        assert!(count > 0);
    }

    #[test]
    fn the_samples_themselves_are_good() {
        for (name, run) in TARGETS {
            run(&sample(name));
        }
        assert!(read::bars(Path::new("x.parquet"), sample("parquet").into(), &Told::default()).is_ok());
        assert!(cache::decode(sample("cache").into(), &"a".repeat(64)).is_ok());
    }
}
