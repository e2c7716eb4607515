//! Files made to harm: a clean error, in bounded memory and time, never a wrong number.

use std::fs::{self, File};
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, RecordBatch, StringArray, TimestampNanosecondArray};
use magellan::archive::Archive;
use magellan::bar::Timeframe;
use magellan::disk::map::Access;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, GzipLevel, ZstdLevel};
use parquet::file::properties::WriterProperties;

use crate::bad_inputs::Place;
use crate::support::{run, symbol};

/// Minutes at one price: what packs best.
fn constant_bars(rows: i64) -> RecordBatch {
    let start = 1_719_842_400_000_000_000;
    let starts = TimestampNanosecondArray::from_iter_values((0..rows).map(|i| start + i * 60_000_000_000));
    let price = |value: f64| -> ArrayRef { Arc::new(Float64Array::from(vec![value; rows as usize])) };
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("timestamp", Arc::new(starts)),
        ("open", price(10.0)),
        ("high", price(10.0)),
        ("low", price(10.0)),
        ("close", price(10.0)),
        ("volume", price(1.0)),
    ];
    RecordBatch::try_from_iter(columns).expect("a batch")
}

fn write(place: &Place, name: &str, batch: &RecordBatch, properties: WriterProperties) -> u64 {
    let path = place.at(name);
    let mut writer =
        ArrowWriter::try_new(File::create(&path).expect("made"), batch.schema(), Some(properties)).expect("a writer");
    writer.write(batch).expect("written");
    writer.close().expect("closed");
    fs::metadata(&path).expect("there").len()
}

/// Runs with little memory: whatever a file claims.
fn in_little_memory(place: &Place, line: &str) -> (i32, String) {
    let program = place.command("").get_program().to_owned();
    let mut command = std::process::Command::new("sh");
    // 1.5 GB of address space, of which threads and the allocator reserve a part.
    command.args(["-c", &format!("ulimit -v 1500000; exec \"$0\" {line}")]).arg(program);
    command.current_dir(place.at(".")).env("RAYON_NUM_THREADS", "2").env_remove("MAGELLAN_ARCHIVE");
    let (code, out, err) = run(command);
    (code, out + &err)
}

const IMPORT: &str = "data import AMC_1min.parquet --archive archive";

#[test]
fn a_small_file_that_claims_millions_of_rows_is_refused() {
    let place = Place::new();
    let zstd = WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::try_new(19).expect("a level")));
    let packed = zstd
        .set_dictionary_enabled(true)
        .set_column_dictionary_enabled("timestamp".into(), false)
        .set_column_encoding("timestamp".into(), parquet::basic::Encoding::DELTA_BINARY_PACKED)
        .set_writer_version(parquet::file::properties::WriterVersion::PARQUET_2_0)
        .build();
    let size = write(&place, "AMC_1min.parquet", &constant_bars(5_000_000), packed);
    assert!(size < 900_000, "{size} bytes");
    let (code, text) = in_little_memory(&place, IMPORT);
    assert_eq!(code, 3, "{text}");
    assert!(text.contains("error[source-unreadable]") && text.contains("claims 5000000 rows"), "{text}");
}

#[test]
fn a_text_column_that_unpacks_to_gigabytes_is_refused() {
    let place = Place::new();
    let bars = constant_bars(20_000);
    let mut columns: Vec<(&str, ArrayRef)> = ["timestamp", "open", "high", "low", "close", "volume"]
        .into_iter()
        .zip(bars.columns().iter().cloned())
        .collect();
    let long = "A".repeat(20_000);
    columns.push(("symbol", Arc::new(StringArray::from(vec![long.as_str(); 20_000]))));
    let batch = RecordBatch::try_from_iter(columns).expect("a batch");
    for compression in [
        Compression::ZSTD(ZstdLevel::try_new(3).expect("a level")),
        Compression::GZIP(GzipLevel::try_new(6).expect("a level")),
    ] {
        let properties = WriterProperties::builder().set_compression(compression).set_dictionary_enabled(false).build();
        write(&place, "AMC_1min.parquet", &batch, properties);
        let (code, text) = in_little_memory(&place, IMPORT);
        assert_eq!(code, 3, "{text}");
        assert!(text.contains("claims to unpack"), "{text}");
    }
}

#[test]
fn pages_that_claim_more_values_than_rows_are_refused() {
    // Found by fuzzing: 16 kB that kept the Parquet library busy for seconds.
    let place = Place::new();
    place.archive();
    let entry = Archive::open(&place.at("archive"), Access::Read).expect("opens").manifest().records[0].path.clone();
    let good = fs::read(place.at("archive").join(entry)).expect("read");
    // The number of values of a data page of version 2: field 1 of the header's field 8, 40 as a
    // zigzag number, followed by field 2, no nulls, and field 3, 40 rows.
    let claim = [0x15, 80, 0x15, 0, 0x15, 80];
    let at = good.windows(6).position(|w| w == claim).expect("a page");
    let mut bad = good.clone();
    bad[at + 1] = 82;
    place.write("AMC_1min.parquet", bad);
    let (code, text) = in_little_memory(&place, "data import AMC_1min.parquet --archive other");
    assert_eq!(code, 3, "{text}");
    assert!(text.contains("claims 41 values for 40 rows"), "{text}");
}

#[test]
fn columns_that_bars_are_not_made_of_are_passed_over() {
    let place = Place::new();
    let bars = constant_bars(100);
    let mut columns: Vec<(&str, ArrayRef)> = ["timestamp", "open", "high", "low", "close", "volume"]
        .into_iter()
        .zip(bars.columns().iter().cloned())
        .collect();
    let mut list = arrow_array::builder::ListBuilder::new(arrow_array::builder::Float64Builder::new());
    (0..100).for_each(|i| list.append_value((0..i).map(|k| Some(f64::from(k)))));
    columns.push(("depth", Arc::new(list.finish())));
    columns.push(("note", Arc::new(StringArray::from(vec!["x".repeat(100_000).as_str(); 100]))));
    let batch = RecordBatch::try_from_iter(columns).expect("a batch");
    write(&place, "AMC_1min.parquet", &batch, WriterProperties::builder().build());
    assert!(place.ok(IMPORT).contains("100 bars added"));
}

#[test]
fn a_long_text_that_every_row_repeats_is_refused() {
    let place = Place::new();
    let bars = constant_bars(400);
    let mut columns: Vec<(&str, ArrayRef)> = ["timestamp", "open", "high", "low", "close", "volume"]
        .into_iter()
        .zip(bars.columns().iter().cloned())
        .collect();
    let long: ArrayRef = Arc::new(StringArray::from(vec!["A".repeat(8 << 20).as_str()]));
    let keys = arrow_array::Int32Array::from(vec![0; 400]);
    columns.push(("symbol", Arc::new(arrow_array::DictionaryArray::new(keys, long))));
    let batch = RecordBatch::try_from_iter(columns).expect("a batch");
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_dictionary_page_size_limit(1 << 30)
        .set_statistics_enabled(parquet::file::properties::EnabledStatistics::None)
        .build();
    let size = write(&place, "AMC_1min.parquet", &batch, properties);
    assert!(size < 20_000, "{size} bytes");
    let (code, text) = in_little_memory(&place, IMPORT);
    assert_eq!(code, 3, "{text}");
    assert!(text.contains("a dictionary of texts has"), "{text}");
}

#[test]
fn a_row_group_without_rows_is_no_damage() {
    let place = Place::new();
    let bars = constant_bars(50);
    let file = File::create(place.at("AMC_1min.parquet")).expect("made");
    let mut writer = ArrowWriter::try_new(file, bars.schema(), None).expect("a writer");
    writer.write(&bars.slice(0, 30)).expect("written");
    writer.flush().expect("a group");
    writer.write(&bars.slice(30, 20)).expect("written");
    writer.close().expect("closed");
    assert!(place.ok(IMPORT).contains("50 bars added"));
    // pyarrow writes groups without rows; ours can't.
    let Some(python) = crate::support::python() else { return };
    let script = "import pyarrow as pa, pyarrow.parquet as pq, sys\n\
        t = pq.read_table(sys.argv[1])\n\
        w = pq.ParquetWriter(sys.argv[2], t.schema)\n\
        w.write_table(t.slice(0, 0)); w.write_table(t); w.close()\n";
    let mut command = std::process::Command::new(python);
    command.args(["-c", script]).arg(place.at("AMC_1min.parquet")).arg(place.at("GME_1min.parquet"));
    let (code, out, err) = run(&mut command);
    assert_eq!(code, 0, "{out}{err}");
    assert!(place.ok("data import GME_1min.parquet --archive archive").contains("50 bars added"));
}

#[test]
fn ordinary_files_of_every_usual_compression_are_read() {
    for (compression, name) in [
        (Compression::UNCOMPRESSED, "none"),
        (Compression::SNAPPY, "snappy"),
        (Compression::GZIP(GzipLevel::default()), "gzip"),
        (Compression::ZSTD(ZstdLevel::default()), "zstd"),
        (Compression::LZ4_RAW, "lz4"),
    ] {
        for version in [
            parquet::file::properties::WriterVersion::PARQUET_1_0,
            parquet::file::properties::WriterVersion::PARQUET_2_0,
        ] {
            let place = Place::new();
            let properties =
                WriterProperties::builder().set_compression(compression).set_writer_version(version).build();
            write(&place, "AMC_1min.parquet", &constant_bars(2_000), properties);
            let out = place.ok(IMPORT);
            assert!(out.contains("2000 bars added"), "{name}: {out}");
        }
    }
}

#[test]
fn files_that_are_nothing_but_faults_are_answered_in_bounded_time() {
    let place = Place::new();
    let many = |what: &str, count: usize| vec![what; count].join(",");
    let keys: Vec<String> = (0..80_000).map(|i| format!("\"k{i}\":1")).collect();
    for config in [
        format!("{{\"symbols\":[{}]}}", many("\"AMC\"", 150_000)),
        format!("{{\"symbols\":[{}]}}", many("{}", 300_000)),
        format!("{{{}}}", keys.join(",")),
        format!("{{{}}}", many("\"symbols\":1", 80_000)),
        format!("{{\"performance_criteria\":{{\"periods\":[{}]}}}}", many("{\"name\":\"a\"}", 60_000)),
    ] {
        place.write("deployed/bear_trap/config.json", config);
        let begun = std::time::Instant::now();
        let (code, text) = in_little_memory(&place, "validate --strategy bear_trap --format json");
        assert_eq!(code, 2, "{}", &text[..text.len().min(500)]);
        // Generous: it takes a fraction of a second where it isn't quadratic, minutes where it is.
        assert!(begun.elapsed().as_secs() < 30, "{} s", begun.elapsed().as_secs());
    }
    let rows = "2024-07-01T14:00:00Z,10,11,9,10,100\n".repeat(300_000);
    place.write(
        "AMC_1min.csv",
        format!("timestamp,open,high,low,close,volume\n{rows}2024-07-01T14:01:00Z,10,11,9,10,100\n"),
    );
    let (code, text) = in_little_memory(&place, "data check AMC_1min.csv");
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("299999 bars stand twice"), "{text}");
    let splits: String = (0..300_000).map(|i| format!("A{i},2024-01-02,2\n")).collect();
    place.write("splits.csv", format!("symbol,effective_date,new_shares_per_old\n{splits}"));
    let (code, text) = in_little_memory(&place, "data import splits.csv --archive archive");
    assert_eq!(code, 0, "{text}");
}

#[test]
fn whatever_pyarrow_writes_of_bars_is_read() {
    // What is strict with enemies must not be with friends.
    let Some(python) = crate::support::python() else { return };
    let place = Place::new();
    let script = r#"
import itertools, sys, pyarrow as pa, pyarrow.parquet as pq
n = 60
start = 1719842400_000_000_000
columns = {k: pa.array([v] * n, pa.float64()) for k, v in dict(open=10, high=11, low=9, close=10, volume=1).items()}
stamps = pa.array([start + i * 60_000_000_000 for i in range(n)], pa.timestamp("ns", "UTC"))
choices = itertools.product(["1.0", "2.4", "2.6"], ["1.0", "2.0"], ["none", "snappy", "gzip", "zstd", "lz4"], [True, False])
for i, (version, pages, compression, plain) in enumerate(choices):
    symbol = pa.array([f"S{i}"] * n)
    table = pa.table({"timestamp": stamps, **columns, "symbol": symbol if plain else symbol.dictionary_encode()})
    pq.write_table(table, f"{sys.argv[1]}/b{i}_1min.parquet", version=version, data_page_version=pages,
                   compression=compression, use_dictionary=not plain, write_statistics=plain, write_page_index=plain,
                   write_page_checksum=True, data_page_size=200, row_group_size=25)
"#;
    fs::create_dir(place.at("bars")).expect("made");
    let mut command = std::process::Command::new(python);
    command.args(["-c", script]).arg(place.at("bars"));
    let (code, out, err) = run(&mut command);
    assert_eq!(code, 0, "{out}{err}");
    let out = place.ok("data import bars --archive archive");
    assert!(out.contains("60 files") && out.contains("3600 bars added"), "{out}");
}

#[test]
fn huge_files_are_refused_before_they_are_read() {
    let place = Place::new();
    for (name, line) in [
        ("AMC_1min.csv", "data import AMC_1min.csv --archive archive"),
        ("AMC_1min.parquet", IMPORT),
        ("archive/manifest.json", "data list --archive archive"),
        ("deployed/bear_trap/config.json", "validate"),
        ("deployed/bear_trap/magellan-bear-trap.service", "validate"),
    ] {
        fs::create_dir_all(place.at(name).parent().expect("a parent")).expect("made");
        // Holes take no space on the disk.
        File::create(place.at(name)).and_then(|f| f.set_len(40 << 30)).expect("made");
        let (code, text) = in_little_memory(&place, line);
        assert!(code == 2 || code == 3, "{name}: {code} {text}");
        assert!(text.contains("the largest read here"), "{name}: {text}");
    }
}

#[test]
fn any_flipped_byte_of_a_record_or_the_manifest_is_found() {
    let place = Place::new();
    place.archive();
    let manifest = place.at("archive/manifest.json");
    let entry = Archive::open(&place.at("archive"), Access::Read).expect("opens").manifest().records[0].path.clone();
    let record = place.at("archive").join(entry);
    let load = || Archive::open(&place.at("archive"), Access::Read)?.load(symbol("AMC"), Timeframe::Minute);
    let right = load().expect("loads").bars().close().to_vec();
    for path in [record, manifest] {
        let good = fs::read(&path).expect("read");
        fs::remove_file(&path).expect("removed");
        for i in 0..good.len() {
            let mut bad = good.clone();
            bad[i] ^= 0x20;
            fs::write(&path, &bad).expect("written");
            // White space of the manifest means nothing; all else is found.
            if let Ok(series) = load() {
                assert!(
                    good[i].is_ascii_whitespace() || bad[i].is_ascii_whitespace(),
                    "byte {i} of {}",
                    path.display()
                );
                assert_eq!(series.bars().close().to_vec(), right);
            }
        }
        fs::write(&path, &good).expect("written");
    }
    load().expect("whole again");
}

#[test]
fn a_record_put_in_anothers_place_is_found_even_if_the_hashes_were_forged() {
    let place = Place::new();
    place.archive();
    place.write("GME_1min.csv", fs::read_to_string(place.at("AMC_1min.csv")).expect("read").replace(",11,", ",12,"));
    place.ok("data import GME_1min.csv --archive archive");
    // GME's file and hashes under AMC's name.
    place.change("archive/manifest.json", |bytes| {
        let mut manifest: magellan::archive::manifest::Manifest = serde_json::from_slice(bytes).expect("a manifest");
        let gme = manifest.records[1].clone();
        let amc = &mut manifest.records[0];
        (amc.path, amc.sha256, amc.xxh3) = (gme.path, gme.sha256, gme.xxh3);
        manifest.sha256 = String::new();
        let digest = magellan::disk::hash::sha256_hex(&serde_json::to_vec(&manifest).expect("JSON"));
        manifest.sha256 = digest;
        *bytes = serde_json::to_vec_pretty(&manifest).expect("JSON");
    });
    let (code, out, err) = run(place.command("data check --archive archive"));
    assert_eq!(code, 3, "{out}{err}");
    assert!(out.contains("record-foreign"), "{out}{err}");
}

#[test]
fn a_forged_cache_is_found_by_verify() {
    let place = Place::new();
    place.archive();
    place.ok("data check --archive archive");
    let made = fs::read(place.at("archive/cache/1Min/AMC.arrow")).expect("a cache");
    // The cache of other bars under this one's key: intact by its own checksums.
    place.write(
        "other/AMC_1min.csv",
        fs::read_to_string(place.at("AMC_1min.csv")).expect("read").replace(",10,100", ",10.5,100"),
    );
    place.ok("data import other --archive elsewhere");
    place.ok("data check --archive elsewhere");
    let mut forged = fs::read(place.at("elsewhere/cache/1Min/AMC.arrow")).expect("a cache");
    let is_key = |w: &[u8]| w.iter().all(u8::is_ascii_hexdigit);
    let key = made.windows(64).find(|w| is_key(w)).expect("a key");
    while let Some(at) = forged.windows(64).position(|w| is_key(w) && w != key) {
        forged[at..at + 64].copy_from_slice(key);
    }
    place.write("archive/cache/1Min/AMC.arrow", forged);
    let (code, out, _) = run(place.command("data verify --archive archive"));
    assert_eq!(code, 3, "{out}");
    assert!(out.contains("cache-wrong") && out.contains("delete the archive's folder `cache`"), "{out}");
    fs::remove_dir_all(place.at("archive/cache")).expect("removed");
    place.ok("data verify --archive archive");
}
