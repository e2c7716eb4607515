//! The files that people have: each layout gives the bars that it means, or an error that says what
//! it is. Nothing is guessed silently.

use std::fs;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampNanosecondArray};
use magellan::archive::Archive;
use magellan::bar::{Date, HOUR, MINUTE, Nanos, Timeframe, iso_utc};
use magellan::calendar;
use magellan::disk::map::Access;
use proptest::prelude::*;

use crate::bad_inputs::Place;
use crate::support::{date, run, symbol, utc};

/// A series: symbol, width, first start, rows, last close.
type Held = (String, &'static str, String, usize, f64);

/// Imports `in/` and gives what the archive then has.
fn imported(place: &Place, options: &str) -> Result<Vec<Held>, (i32, String)> {
    let (code, out, err) = run(place.command(&format!("data import in --archive archive {options}")));
    if code != 0 {
        return Err((code, out + &err));
    }
    let archive = Archive::open(&place.at("archive"), Access::Map).expect("opens");
    let mut found = Vec::new();
    for timeframe in Timeframe::ALL {
        for one in archive.symbols(timeframe) {
            let series = archive.load(one, timeframe).expect("loads");
            let bars = series.bars();
            let last = bars.get(bars.len() - 1);
            found.push((one.to_string(), timeframe.name(), iso_utc(bars.get(0).start), bars.len(), last.close));
        }
    }
    Ok(found)
}

fn of_file(name: &str, bytes: impl AsRef<[u8]>, options: &str) -> Result<Vec<Held>, (i32, String)> {
    let place = Place::new();
    place.write(&format!("in/{name}"), bytes);
    imported(&place, options)
}

/// Prices of bar `i`: open, high, low, close.
fn prices(i: usize) -> [f64; 4] {
    let open = 100.0 + (i % 100) as f64 / 4.0;
    [open, open + 1.25, open - 0.75, open + 0.5]
}

/// Sessions of a spring with a clock change in New York and one in London.
fn days(count: usize) -> Vec<Date> {
    calendar::sessions(date("2024-02-20"), calendar::LAST).take(count).map(|s| s.date).collect()
}

/// The first minutes of a session.
fn minutes(count: usize) -> Vec<Nanos> {
    let open = calendar::session(date("2024-04-01")).open;
    (0..count as i64).map(|i| open + i * MINUTE).collect()
}

/// Lines of a table: a time, then open, high, low, close and volume.
fn lines(times: impl Iterator<Item = String>, separator: &str) -> String {
    let line = |(i, time): (usize, String)| {
        let [o, h, l, c] = prices(i);
        [time, o.to_string(), h.to_string(), l.to_string(), c.to_string(), (1_000 + i).to_string()].join(separator)
            + "\n"
    };
    times.enumerate().map(line).collect()
}

const MINUTES: (&str, &str, usize, f64) = ("1Min", "2024-04-01T13:30:00Z", 40, 110.25);
const DAYS: (&str, &str, usize, f64) = ("1Day", "2024-02-20T00:00:00Z", 40, 110.25);

fn new_york(at: Nanos, format: &str) -> String {
    let zone = jiff::tz::TimeZone::get("America/New_York").expect("a zone");
    let at = jiff::Timestamp::from_nanosecond(i128::from(at)).expect("a time").to_zoned(zone);
    at.strftime(format).to_string()
}

/// A layout: file name, its text, options, the symbol, and what comes of it.
type Layout = (&'static str, String, &'static str, &'static str, (&'static str, &'static str, usize, f64));

fn layouts() -> Vec<Layout> {
    let dates = || days(40).into_iter();
    let iso = || dates().map(|d| d.to_string());
    let utc = || minutes(40).into_iter().map(iso_utc);
    let unix = |each: i64| minutes(40).into_iter().map(move |t| (t / each).to_string());
    let local = |format: &'static str| minutes(40).into_iter().map(move |t| new_york(t, format));
    let of = |format: &'static str| dates().map(move |d| new_york(d.utc_midnight() + 12 * HOUR, format));
    let head = |names: &str, rows: String| format!("{names}\n{rows}");
    let ohlcv = "Open,High,Low,Close,Volume";
    let with = |rows: String, more: &str| rows.lines().map(|l| format!("{l}{more}\n")).collect::<String>();
    let before = |rows: String, more: &str| rows.lines().map(|l| format!("{more}{l}\n")).collect::<String>();
    let yfinance = |ticker: &str| {
        let rows: String = dates()
            .enumerate()
            .map(|(i, d)| {
                let [o, h, l, c] = prices(i);
                format!("{d},{c},{h},{l},{o},{}\n", 1_000 + i)
            })
            .collect();
        format!(
            "Price,Close,High,Low,Open,Volume\nTicker,{ticker},{ticker},{ticker},{ticker},{ticker}\nDate,,,,,\n{rows}"
        )
    };
    let nasdaq: String = {
        let mut rows: Vec<String> = dates()
            .enumerate()
            .map(|(i, d)| {
                let [o, h, l, c] = prices(i);
                let day = new_york(d.utc_midnight() + 12 * HOUR, "%m/%d/%Y");
                format!("{day},${c},\"1,253,{:03}\",${o},${h},${l}\n", i)
            })
            .collect();
        rows.reverse();
        format!("Date,Close/Last,Volume,Open,High,Low\n{}", rows.concat())
    };
    let json: Vec<String> = minutes(40)
        .into_iter()
        .enumerate()
        .map(|(i, t)| {
            let [o, h, l, c] = prices(i);
            format!(
                "{{\"t\":\"{}\",\"o\":{o},\"h\":{h},\"l\":{l},\"c\":{c},\"v\":{},\"n\":3,\"vw\":{c}}}",
                iso_utc(t),
                1_000 + i
            )
        })
        .collect();
    let json = json.join(",");
    let databento: String = minutes(40)
        .into_iter()
        .enumerate()
        .map(|(i, t)| {
            let [o, h, l, c] = prices(i).map(|p| (p * 1e9) as i64);
            format!("{t},33,2,7,{o},{h},{l},{c},{},AMC\n", 1_000 + i)
        })
        .collect();
    let polygon: String = minutes(40)
        .into_iter()
        .enumerate()
        .map(|(i, t)| {
            let [o, h, l, c] = prices(i);
            format!("AMC,{},{o},{c},{h},{l},{t},3\n", 1_000 + i)
        })
        .collect();
    let comma = lines(iso(), ";").replace('.', ",");
    vec![
        ("AMC.csv", head(&format!("Date,{ohlcv}"), lines(iso(), ",")), "", "AMC", DAYS),
        (
            "AMC.csv",
            head(&format!("Date,{ohlcv},Adj Close,Dividends,Stock Splits"), with(lines(iso(), ","), ",5.5,0.0,0.0")),
            "",
            "AMC",
            DAYS,
        ),
        ("AMC.csv", head(&format!("Date,{ohlcv}"), lines(of("%Y-%m-%d 00:00:00-05:00"), ",")), "", "AMC", DAYS),
        ("download.csv", yfinance("AMC"), "", "AMC", DAYS),
        ("my_brk.csv", yfinance("BRK-B"), "", "BRK-B", DAYS),
        (
            "amc.us.txt",
            head(
                "<TICKER>,<PER>,<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>,<OPENINT>",
                before(with(lines(of("%Y%m%d,000000"), ","), ",0"), "AMC.US,D,"),
            ),
            "",
            "AMC",
            DAYS,
        ),
        ("AMC.csv", head("t,o,h,l,c,v", lines(utc(), ",")), "", "AMC", MINUTES),
        ("AMC.json", format!("{{\"bars\":{{\"AMC\":[{json}]}},\"next_page_token\":null}}"), "", "AMC", MINUTES),
        (
            "answer.json",
            format!("{{\"bars\":[{json}],\"symbol\":\"AMC\",\"next_page_token\":\"x\"}}"),
            "",
            "AMC",
            MINUTES,
        ),
        ("AMC.json", format!("[{json}]"), "", "AMC", MINUTES),
        (
            "2024-04-01.csv",
            head("ticker,volume,open,close,high,low,window_start,transactions", polygon),
            "",
            "AMC",
            MINUTES,
        ),
        (
            "xnas-itch.csv",
            head("ts_event,rtype,publisher_id,instrument_id,open,high,low,close,volume,symbol", databento),
            "",
            "AMC",
            MINUTES,
        ),
        (
            "BATS_AMC, 1.csv",
            head("time,open,high,low,close,Volume", lines(unix(1_000_000_000), ",")),
            "",
            "AMC",
            MINUTES,
        ),
        ("BATS_AMC, 1D.csv", head("time,open,high,low,close,Volume", lines(iso(), ",")), "", "AMC", DAYS),
        ("AMC.txt", lines(local("%m/%d/%Y,%H:%M"), ","), "--zone America/New_York --time-format mdy", "AMC", MINUTES),
        (
            "AMC_full_1min_adjsplit.txt",
            lines(local("%Y-%m-%d %H:%M:%S"), ","),
            "--zone America/New_York",
            "AMC",
            MINUTES,
        ),
        (
            "AMC_M1.csv",
            head(
                "<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>",
                lines(local("%Y.%m.%d\t%H:%M:%S"), "\t")
                    .lines()
                    .map(|l| {
                        let (a, v) = l.rsplit_once('\t').expect("fields");
                        format!("{a}\t9\t{v}\t1\n")
                    })
                    .collect(),
            ),
            "--zone America/New_York",
            "AMC",
            MINUTES,
        ),
        ("AMC.csv", lines(local("%Y.%m.%d,%H:%M"), ","), "--zone America/New_York", "AMC", MINUTES),
        ("AMC-1m-2024-04-01.csv", with(lines(unix(1_000_000), ","), ",1711978259999,1,1,1,1,0"), "", "AMC", MINUTES),
        ("AMC-1m-2025-04-01.csv", with(lines(unix(1_000), ","), ",1711978259999,1,1,1,1,0"), "", "AMC", MINUTES),
        ("AMC.csv", head("Date;Open;High;Low;Close;Volume", comma), "", "AMC", DAYS),
        ("AMC.csv", head("Date;Open;High;Low;Close;Volume", lines(iso(), ";")), "", "AMC", DAYS),
        ("AMC.tsv", head("Date\tOpen\tHigh\tLow\tClose\tVolume", lines(iso(), "\t")), "", "AMC", DAYS),
        ("HistoricalData.csv", nasdaq, "--symbol AMC", "AMC", DAYS),
        ("AMC.csv", head("Date,Open,High,Low,Last,Volume", lines(iso(), ",")), "", "AMC", DAYS),
        ("AMC.csv", head("# made by a script\nDate,Open,High,Low,Close,Volume", lines(iso(), ",")), "", "AMC", DAYS),
        (
            "export.csv",
            head("a,b,c,d,e,f", lines(iso(), ",")),
            "--symbol AMC --columns timestamp=a,open=b,high=c,low=d,close=e,volume=6",
            "AMC",
            DAYS,
        ),
        ("AMC.csv", head(&format!("Date,{ohlcv}"), lines(of("%d.%m.%Y"), ",")), "", "AMC", DAYS),
        ("AMC.csv", head(&format!("Date,{ohlcv}"), lines(of("%d-%b-%Y"), ",")), "", "AMC", DAYS),
        ("STOCKS.csv", head(&format!("Date,{ohlcv},Name"), with(lines(iso(), ","), ",AMC")), "", "AMC", DAYS),
        ("symbol=AMC/data_0.csv", head(&format!("Date,{ohlcv}"), lines(iso(), ",")), "", "AMC", DAYS),
        ("ticker=AMC/year=2024/part-0.csv", head(&format!("Date,{ohlcv}"), lines(iso(), ",")), "", "AMC", DAYS),
    ]
}

#[test]
fn every_usual_layout_gives_the_bars_that_it_means() {
    for (name, text, options, symbol, (width, first, rows, close)) in layouts() {
        let found = of_file(name, &text, options);
        let shown = format!("{name} {options}\n{}", text.lines().take(3).collect::<Vec<_>>().join("\n"));
        assert_eq!(found, Ok(vec![(symbol.to_owned(), width, first.to_owned(), rows, close)]), "{shown}");
    }
}

#[test]
fn encodings_compression_and_line_ends_change_nothing() {
    let text = format!("Date,Open,High,Low,Close,Volume\n{}", lines(days(40).into_iter().map(|d| d.to_string()), ","));
    let utf16 = |mark: [u8; 2], unit: fn(u16) -> [u8; 2]| {
        mark.into_iter().chain(text.encode_utf16().flat_map(unit)).collect::<Vec<u8>>()
    };
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut packed, text.as_bytes()).expect("packed");
    for (name, bytes) in [
        ("AMC.csv", utf16([0xff, 0xfe], u16::to_le_bytes)),
        ("AMC.csv", utf16([0xfe, 0xff], u16::to_be_bytes)),
        ("AMC.csv", format!("\u{feff}{text}").into_bytes()),
        ("AMC.csv", text.replace('\n', "\r\n").into_bytes()),
        ("AMC.csv.gz", packed.finish().expect("packed")),
        ("AMC.txt", text.clone().into_bytes()),
    ] {
        let (width, first, rows, close) = DAYS;
        assert_eq!(
            of_file(name, bytes, ""),
            Ok(vec![("AMC".to_owned(), width, first.to_owned(), rows, close)]),
            "{name}"
        );
    }
}

#[test]
fn one_bar_a_local_day_is_a_daily_bar_whatever_its_zone() {
    let zoned = |zone: &str, hour: i64| {
        let zone = jiff::tz::TimeZone::get(zone).expect("a zone");
        let at = |d: Date| {
            let local = d.civil().at(hour as i8, 0, 0, 0).to_zoned(zone.clone()).expect("a time");
            local.strftime("%Y-%m-%d %H:%M:%S%:z").to_string()
        };
        days(40).into_iter().map(at).collect::<Vec<_>>()
    };
    let utc =
        |hour: i64| days(40).into_iter().map(move |d| iso_utc(calendar::new_york_midnight(d) + hour * HOUR)).collect();
    for times in [
        zoned("America/New_York", 0),
        zoned("America/New_York", 16),
        zoned("America/New_York", 9),
        zoned("Europe/London", 0),
        zoned("Europe/London", 17),
        zoned("Asia/Tokyo", 0),
        utc(0),
        utc(16),
    ] {
        let text = format!("Date,Open,High,Low,Close,Volume\n{}", lines(times.iter().cloned(), ","));
        let (width, first, rows, close) = DAYS;
        let found = of_file("AMC.csv", &text, "");
        assert_eq!(found, Ok(vec![("AMC".to_owned(), width, first.to_owned(), rows, close)]), "{}", times[0]);
        let (code, out) = of_file("AMC_1hour.csv", &text, "").expect_err("not hours");
        assert!(code == 3 && out.contains("error[bar-width]") && out.contains("one bar a day"), "{out}");
    }
}

/// A Parquet file of days by its columns.
fn parquet(columns: Vec<(&str, ArrayRef)>, notes: Option<&str>) -> Vec<u8> {
    let batch = RecordBatch::try_from_iter(columns).expect("a batch");
    let notes = notes.map(|n| vec![parquet::file::metadata::KeyValue::new("pandas".to_owned(), n.to_owned())]);
    let properties = parquet::file::properties::WriterProperties::builder().set_key_value_metadata(notes).build();
    let mut writer =
        parquet::arrow::ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).expect("a writer");
    writer.write(&batch).expect("written");
    writer.into_inner().expect("closed")
}

fn price_columns(count: usize) -> Vec<(&'static str, ArrayRef)> {
    let column = |k: usize| -> ArrayRef { Arc::new((0..count).map(|i| Some(prices(i)[k])).collect::<Float64Array>()) };
    let volume: ArrayRef = Arc::new(Int64Array::from_iter_values((0..count as i64).map(|i| 1_000 + i)));
    vec![("Open", column(0)), ("High", column(1)), ("Low", column(2)), ("Close", column(3)), ("Volume", volume)]
}

#[test]
fn parquet_is_read_in_every_index_form() {
    let nanos = |of: &dyn Fn(Date) -> Nanos| TimestampNanosecondArray::from_iter_values(days(40).into_iter().map(of));
    let midnight = |d: Date| d.utc_midnight();
    let london = |d: Date| d.utc_midnight() - if d >= date("2024-03-31") { HOUR } else { 0 };
    let date32: ArrayRef = Arc::new(arrow_array::Date32Array::from_iter_values(days(40).into_iter().map(|d| d.0)));
    let texts: ArrayRef = Arc::new(StringArray::from_iter_values(days(40).into_iter().map(|d| d.to_string())));
    let naive: ArrayRef = Arc::new(nanos(&midnight));
    let york: ArrayRef = Arc::new(nanos(&calendar::new_york_midnight).with_timezone("America/New_York"));
    let lond: ArrayRef = Arc::new(nanos(&london).with_timezone("Europe/London"));
    let unix: ArrayRef =
        Arc::new(Int64Array::from_iter_values(days(40).into_iter().map(|d| d.utc_midnight() / 1_000_000_000)));
    let symbols: ArrayRef = Arc::new(StringArray::from(vec!["AMC"; 40]));
    let zone = r#"{"columns":[{"name":"Date","field_name":"Date","metadata":{"timezone":"Europe/London"}}]}"#;
    for (i, (index, notes)) in [
        (vec![("Date", date32)], None),
        (vec![("Date", texts)], None),
        (vec![("timestamp", naive.clone())], None),
        (vec![("__index_level_0__", naive.clone())], None),
        (vec![("__index_level_0__", symbols.clone()), ("__index_level_1__", naive.clone())], None),
        (vec![("symbol", symbols.clone()), ("timestamp", naive)], None),
        (vec![("Date", york)], None),
        (vec![("Date", lond)], Some(zone)),
        (vec![("Date", unix)], None),
    ]
    .into_iter()
    .enumerate()
    {
        let mut columns = price_columns(40);
        columns.extend(index);
        let (width, first, rows, close) = DAYS;
        let found = of_file("AMC.parquet", parquet(columns, notes), "");
        assert_eq!(found, Ok(vec![("AMC".to_owned(), width, first.to_owned(), rows, close)]), "form {i}");
    }
}

/// What is refused: file name, text, options, code, words of the message.
#[test]
fn what_cannot_be_known_is_asked_for() {
    let day = |more: &str| format!("2024-02-20,10,11,9,10,1{more}\n2024-02-21,10,11,9,10,1{more}\n");
    let minutes = |format: &'static str| lines(minutes(5).into_iter().map(move |t| new_york(t, format)), ",");
    let head = |names: &str, rows: String| format!("{names}\n{rows}");
    let plain = "date,open,high,low,close,volume";
    let ambiguous = "Date,Open,High,Low,Close,Volume\n03/04/2024,10,11,9,10,1\n04/04/2024,10,11,9,10,1\n".to_owned();
    let two = "date,ticker,open,high,low,close,volume\n2024-02-20,AAL,1,1,1,1,1\n2024-02-20,AMC,1,1,1,1,1\n";
    #[rustfmt::skip]
    let rows: Vec<(&str, String, &str, &str, &str)> = vec![
        ("AMC.csv", head("Date,Open,High,Low,Close,Close,Volume", day(",2")), "", "duplicate-column", "`Close` (column 5) and `Close` (column 6)"),
        ("AMC.csv", head(&format!("{plain},Close"), day(",2")), "", "duplicate-column", "`close` (column 5) and `Close` (column 7)"),
        ("AMC.csv", head(&format!("{plain},Last"), day(",2")), "", "duplicate-column", "`Last`"),
        ("AMC.csv", head(&format!("{plain},Name"), day(",AAL")), "", "symbol-unclear", "`Name` says AAL, the file's name AMC"),
        ("AMC.csv", two.to_owned(), "", "symbol-unclear", "AAL, AMC"),
        ("amc.csv", head(&format!("{plain},Name"), day(",AAL")), "", "symbol-unclear", "the file's name AMC"),
        ("all.csv", two.to_owned(), "--symbol AMC", "symbol-unclear", "--symbol is for files of one symbol"),
        ("AMC.csv", head(&format!("{plain},venue"), "2024-02-20,1,1,1,1,1,east\n2024-02-21,1,1,1,1,1,west\n".into()), "", "column-unknown", "`east` and `west`"),
        ("AMC_GME.csv", head(plain, day("")), "", "symbol-unclear", "AMC or GME"),
        ("prices.csv", head(plain, day("")), "", "missing-value", "--symbol"),
        ("symbol=AMC/GME.csv", head(plain, day("")), "", "symbol-unclear", "`symbol=AMC` says AMC, the file's name GME"),
        ("AMC.csv", ambiguous, "", "bad-value", "month or day first"),
        ("AMC.txt", minutes("%Y-%m-%d,%H:%M"), "", "no-zone", "--zone America/New_York"),
        ("AMC.csv", head(plain, "2024-02-20,10,11,9,10,1\n2024-02-21,10,11,9,10,\n".into()), "", "missing-value", "AMC.csv:3: column volume"),
        ("AMC.csv", head(plain, "2024-02-20,10,11,9,10,1\n2024-02-21,10,x,9,10,1\n".into()), "", "bad-value", "AMC.csv:3: column high: `x`"),
        ("AMC.csv", head(plain, day("").replace(",10,11,9,10,", ",19995811972,20017799784,19975811972,19997799784,")), "", "implausible-price", "19995811972"),
        ("AMC.csv", "<!DOCTYPE html>\n<html><body>Log in</body></html>".into(), "", "source-unreadable", "this is a web page"),
        ("AMC.csv", String::new(), "", "source-unreadable", "the file is empty"),
        ("AMC.csv", "PK\u{3}\u{4}xxxx".into(), "", "source-unreadable", "Excel workbook"),
        ("AMC.csv", head("Datum;Erster;Hoch;Tief;Schlusskurs;Volumen", lines(days(5).into_iter().map(|d| d.to_string()), ";")), "", "missing-column", "Datum"),
        ("AMC.json", "{\"message\":\"forbidden.\"}".into(), "", "source-unreadable", "forbidden"),
        ("AMC.csv", head(plain, "99,10,11,9,10,1\n100,10,11,9,10,1\n".into()), "", "bad-value", "is not a timestamp"),
    ];
    for (name, text, options, code, words) in rows {
        let (exit, out) = of_file(name, &text, options).expect_err(name);
        assert_eq!(exit, 3, "{name}: {out}");
        assert!(
            out.contains(&format!("error[{code}]")) && out.contains(words) && out.contains("try:"),
            "{name}: {out}"
        );
    }
}

#[test]
fn a_file_that_cannot_be_read_fails_the_import_unless_it_may_be_left_out() {
    let place = Place::new();
    let good = format!("Date,Open,High,Low,Close,Volume\n{}", lines(days(40).into_iter().map(|d| d.to_string()), ","));
    place.write("in/AMC.csv", &good);
    place.write("in/GME.csv", "<html>no</html>");
    place.write("in/TSLA.csv.gz", "no gzip");
    place.write("in/notes.md", "# notes");
    place.write("in/README.txt", "what these are");
    place.write("in/files.csv", "file,made by,rows\nAMC.csv,me,40\nGME.csv,you,0\n");
    place.write("in/AAPL.xlsx", "PK");
    let (code, out) = imported(&place, "").expect_err("unreadable");
    assert_eq!(code, 3, "{out}");
    for part in ["2 files can't be imported", "GME.csv", "web page", "TSLA.csv.gz", "--skip-unreadable"] {
        assert!(out.contains(part), "{part}: {out}");
    }
    assert!(!place.at("archive/manifest.json").exists(), "nothing is half imported");
    let (code, out, err) = run(place.command("data import in --archive archive --skip-unreadable"));
    assert_eq!(code, 0, "{err}");
    for part in [
        "skipped in/GME.csv: this is a web page",
        "skipped in/TSLA.csv.gz",
        "skipped in/AAPL.xlsx",
        "skipped in/files.csv",
    ] {
        assert!(out.contains(part), "{part}: {out}");
    }
    assert!(!out.contains("notes.md"), "{out}");
}

#[test]
fn a_dry_run_says_what_each_file_is_and_writes_nothing() {
    let place = Place::new();
    let rows = lines(minutes(40).into_iter().map(|t| (t / 1_000_000_000).to_string()), ",");
    place.write("in/BATS_SPY, 1.csv", format!("time,open,high,low,close,Volume\n{rows}"));
    let out = place.ok("data import in --archive archive --dry-run");
    for part in [
        "symbol   SPY (from file name)",
        "width    1Min",
        "zone     UTC",
        "rows     40, 2024-04-01T13:30:00Z to",
        "Unix seconds",
    ] {
        assert!(out.contains(part), "{part}: {out}");
    }
    assert!(!place.at("archive").exists());
    let out = place.ok("data import in --archive archive");
    assert!(out.contains("SPY (from file name)"), "{out}");
}

#[test]
fn several_symbols_in_one_file_stay_apart() {
    let text = "date,ticker,open,high,low,close,volume\n\
        2024-02-20,AAL,1,1,1,1,1\n2024-02-20,AMC,1,1,1,1,1\n2024-02-21,AAL,1,1,1,1,1\n2024-02-21,AMC,1,1,1,1,1\n";
    let found = of_file("all_stocks_5yr.csv", text, "").expect("imports");
    let of: Vec<(String, usize)> = found.into_iter().map(|f| (f.0, f.3)).collect();
    assert_eq!(of, [("AAL".to_owned(), 2), ("AMC".to_owned(), 2)]);
    let wide = "Price,Close,Close,High,High,Low,Low,Open,Open,Volume,Volume\n\
        Ticker,AMC,GME,AMC,GME,AMC,GME,AMC,GME,AMC,GME\nDate,,,,,,,,,,\n\
        2024-02-20,1,2,1,2,1,2,1,2,5,6\n2024-02-21,1,,1,,1,,1,,5,\n";
    let found = of_file("many.csv", wide, "").expect("imports");
    let of: Vec<(String, usize, f64)> = found.into_iter().map(|f| (f.0, f.3, f.4)).collect();
    assert_eq!(of, [("AMC".to_owned(), 2, 1.0), ("GME".to_owned(), 1, 2.0)]);
}

#[test]
fn end_stamped_minutes_and_scaled_prices_are_found_in_a_series_alone() {
    let place = Place::new();
    let stamped = |by: i64| {
        let sessions = calendar::sessions(date("2024-06-24"), date("2024-07-05"));
        let starts = sessions.flat_map(|s| (s.open / MINUTE..s.close / MINUTE).map(move |m| (m + by) * MINUTE));
        format!("timestamp,open,high,low,close,volume\n{}", lines(starts.map(iso_utc), ","))
    };
    for (by, exit) in [(0, 0), (1, 3)] {
        place.write("in/AMC_1min.csv", stamped(by));
        let (code, out, _) = run(place.command("data check in"));
        assert_eq!((code, out.contains("end-stamped")), (exit, by == 1), "{out}");
        let out = place.ok(&format!("data import in --archive archive{by}"));
        assert_eq!(out.contains("doubtful"), by == 1, "{out}");
        let (code, out, _) = run(place.command(&format!("data check --archive archive{by}")));
        assert_eq!((code, out.contains("end-stamped")), (exit, by == 1), "{out}");
    }
    let cents: String =
        days(40).into_iter().enumerate().map(|(i, d)| format!("{d},{0},{0},{0},{0},5\n", 1_999 + i)).collect();
    place.write("in/AMC_1min.csv", format!("timestamp,open,high,low,close,volume\n{cents}"));
    let (code, out, _) = run(place.command("data check in/AMC_1min.csv --timeframe 1Day"));
    assert!(code == 3 && out.contains("implausible-price"), "{out}");
}

#[test]
fn widths_are_read_from_names_columns_and_spacing() {
    let five = lines(minutes(200).into_iter().step_by(5).map(iso_utc), ",");
    let fridays = || calendar::sessions(date("2024-02-20"), calendar::LAST).collect::<Vec<_>>().into_iter();
    // The last session of each week: a Thursday before Good Friday.
    let weekly: Vec<String> = fridays()
        .zip(fridays().skip(1))
        .filter(|(a, b)| (a.date.0 + 3) / 7 != (b.date.0 + 3) / 7)
        .map(|(a, _)| a.date.to_string())
        .take(20)
        .collect();
    let weekly = lines(weekly.into_iter(), ",");
    let monthly = lines((1..=12).map(|m| format!("2024-{m:02}-01")), ",");
    let text = |rows: &str| format!("date,open,high,low,close,volume\n{rows}");
    for (name, rows, width, first) in [
        ("AMC_5min.csv", &five, "5Min", "2024-04-01T13:30:00Z"),
        ("AMC.csv", &five, "5Min", "2024-04-01T13:30:00Z"),
        ("BATS_AMC, 5.csv", &five, "5Min", "2024-04-01T13:30:00Z"),
        ("AMC_weekly.csv", &weekly, "1Week", "2024-02-19T00:00:00Z"),
        ("AMC.csv", &weekly, "1Week", "2024-02-19T00:00:00Z"),
    ] {
        let found = of_file(name, text(rows), "").expect(name);
        assert_eq!((found[0].1, found[0].2.as_str()), (width, first), "{name}");
    }
    for (name, rows) in
        [("AMC.csv", &monthly), ("AMC_1min.csv", &five), ("AMC_1day.csv", &weekly), ("AMC_7min.csv", &five)]
    {
        let (code, out) = of_file(name, text(rows), "").expect_err(name);
        assert!(code == 3 && out.contains("error[bar-width]"), "{name}: {out}");
    }
}

#[test]
fn too_little_memory_is_an_error_and_no_abort() {
    let place = Place::new();
    place.write("in/AMC.csv", "");
    // Holes take no space on the disk.
    fs::File::options().write(true).open(place.at("in/AMC.csv")).and_then(|f| f.set_len(3 << 30)).expect("made");
    let program = place.command("").get_program().to_owned();
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "ulimit -v 1500000; exec \"$0\" data import in --archive archive"]).arg(program);
    let (code, out, err) = run(command.current_dir(place.at(".")));
    assert!(code == 3 && err.contains("error[no-memory]") && err.contains("MB"), "{code} {out}{err}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// How a table is written changes nothing of its bars.
    #[test]
    fn order_case_separator_and_line_ends_change_nothing(
        order in Just((0..6).collect::<Vec<usize>>()).prop_shuffle(),
        upper in prop::collection::vec(any::<bool>(), 6),
        separator in prop::sample::select(vec![",", ";", "\t", "|"]),
        comma in any::<bool>(),
        ends in prop::sample::select(vec!["\n", "\r\n"]),
        quoted in any::<bool>(),
        bom in any::<bool>(),
    ) {
        let names = ["date", "open", "high", "low", "close", "volume"];
        let name = |k: usize| if upper[k] { names[k].to_uppercase() } else { names[k].to_owned() };
        let mut text = if bom { "\u{feff}".to_owned() } else { String::new() };
        text += &order.iter().map(|&k| name(k)).collect::<Vec<_>>().join(separator);
        text += ends;
        for (i, day) in days(40).into_iter().enumerate() {
            let [o, h, l, c] = prices(i).map(|p| {
                let text = format!("{p:.2}");
                if comma && separator != "," { text.replace('.', ",") } else { text }
            });
            let fields = [day.to_string(), o, h, l, c, (1_000 + i).to_string()];
            let field = |k: usize| if quoted { format!("\"{}\"", fields[k]) } else { fields[k].clone() };
            text += &order.iter().map(|&k| field(k)).collect::<Vec<_>>().join(separator);
            text += ends;
        }
        let folder = tempfile::TempDir::new().expect("a folder");
        let path = folder.path().join("AMC.csv");
        fs::write(&path, text).expect("written");
        let plan = magellan::archive::import::Import { sources: vec![path], ..Default::default() };
        let archive = folder.path().join("archive");
        magellan::archive::import::import(&archive, &plan).expect("imports");
        let archive = Archive::open(&archive, Access::Map).expect("opens");
        let series = archive.load(symbol("AMC"), Timeframe::Day).expect("loads");
        prop_assert_eq!(series.bars().len(), 40);
        for (i, day) in days(40).into_iter().enumerate() {
            let bar = series.bars().get(i);
            prop_assert_eq!((bar.start, [bar.open, bar.high, bar.low, bar.close]), (day.utc_midnight(), prices(i)));
        }
        prop_assert_eq!(series.bars().get(0).start, utc("2024-02-20T00:00:00Z"));
    }
}
