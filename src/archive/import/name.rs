//! What the name of a file and of its folders says: symbol, bar width, nothing.

use std::path::Path;

use crate::bar::{Symbol, Timeframe};
use crate::error::{Error, Result, codes};

/// Exchanges and feeds that names begin or end with.
const EXCHANGES: [&str; 22] = [
    "bats",
    "nasdaq",
    "nyse",
    "amex",
    "arca",
    "nysearca",
    "cboe",
    "iex",
    "otc",
    "xnas",
    "xnys",
    "arcx",
    "us",
    "dly",
    "sip",
    "alpaca",
    "polygon",
    "yahoo",
    "stooq",
    "databento",
    "tradingview",
    "yfinance",
];

/// Words of names that are no symbols, however they are written.
const WORDS: [&str; 74] = [
    "adj",
    "adjusted",
    "backfill",
    "backup",
    "bar",
    "bars",
    "candle",
    "candles",
    "chart",
    "clean",
    "close",
    "combined",
    "copy",
    "csv",
    "data",
    "dataset",
    "day",
    "days",
    "download",
    "eod",
    "equities",
    "equity",
    "etf",
    "export",
    "file",
    "final",
    "fixed",
    "from",
    "hist",
    "historical",
    "history",
    "hour",
    "hours",
    "index",
    "intraday",
    "klines",
    "level",
    "market",
    "merged",
    "min",
    "mins",
    "minute",
    "minutes",
    "month",
    "monthly",
    "ohlc",
    "ohlcv",
    "old",
    "output",
    "page",
    "panel",
    "part",
    "price",
    "prices",
    "quote",
    "quotes",
    "raw",
    "regular",
    "result",
    "results",
    "rth",
    "sample",
    "series",
    "split",
    "stock",
    "stocks",
    "symbols",
    "table",
    "test",
    "ticker",
    "tickers",
    "trades",
    "unadjusted",
    "week",
];

/// Words that are also listed symbols: taken for one only where they stand alone in capitals.
const EITHER: [&str; 12] = ["a", "all", "day", "full", "it", "low", "my", "new", "now", "open", "out", "real"];

/// What the name of a file says of its symbol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Named {
    /// One symbol, and nothing else that could be one.
    Symbol(Symbol),
    /// Several parts could be symbols.
    Several(Vec<String>),
    /// No part is like a symbol.
    Nothing,
}

/// The symbol that people mean by a file's name: `BATS_SPY, 1D.csv` is SPY's, `aapl.us.txt` AAPL's.
pub(crate) fn symbol(path: &Path) -> Named {
    let stem = stem(path);
    // TradingView: `AMEX_SPY, D`. What follows the comma is how wide the bars are.
    let charted =
        stem.split_once(", ").filter(|(_, rest)| matches!(rest.split(['_', ' ']).next(), Some("D" | "W" | "M")));
    let stem = charted.map_or(stem.as_str(), |(symbol, _)| symbol);
    let (mut capitals, mut others, mut either) = (Vec::new(), Vec::new(), Vec::new());
    for part in parts(stem) {
        match kind(part) {
            Part::Ticker if part.bytes().all(|b| !b.is_ascii_lowercase()) => capitals.push(part),
            // A letter that tells parts of one series apart.
            Part::Ticker if part.len() > 1 => others.push(part),
            Part::Either => either.push(part),
            _ => {}
        }
    }
    let candidates = [capitals, others, either].into_iter().find(|found| !found.is_empty()).unwrap_or_default();
    let mut symbols: Vec<String> = candidates.iter().map(|part| part.to_ascii_uppercase()).collect();
    symbols.dedup();
    match &symbols[..] {
        [] => Named::Nothing,
        [one] => one.parse().map_or(Named::Nothing, Named::Symbol),
        _ => Named::Several(symbols),
    }
}

/// Whether a file's name is a symbol and nothing else.
pub(crate) fn is_alone(path: &Path, symbol: Symbol) -> bool {
    stem(path).eq_ignore_ascii_case(symbol.as_str())
}

/// What a part of a name is.
enum Part {
    Ticker,
    Either,
    Noise,
}

fn kind(part: &str) -> Part {
    let lower = part.to_ascii_lowercase();
    let is = |words: &[&str]| words.contains(&lower.as_str());
    if is(&EITHER) && part.bytes().all(|b| b.is_ascii_uppercase()) {
        return Part::Either;
    }
    if is(&EITHER) || is(&WORDS) || is(&EXCHANGES) || width(part) != Width::None || !is_ticker(&lower) {
        return Part::Noise;
    }
    // `Apple` is a company's name.
    let mixed = part.bytes().any(|b| b.is_ascii_uppercase()) && part.bytes().any(|b| b.is_ascii_lowercase());
    if mixed { Part::Noise } else { Part::Ticker }
}

/// Currencies that pairs are quoted in.
const QUOTED_IN: [&str; 8] = ["usdt", "usdc", "busd", "usd", "eur", "btc", "eth", "jpy"];

/// Up to five letters, perhaps with a class of one or two; or a pair of currencies.
fn is_ticker(lower: &str) -> bool {
    let of_pair = |quote: &str| lower.strip_suffix(quote).is_some_and(|base| (3..=6).contains(&base.len()));
    if (6..=12).contains(&lower.len()) && QUOTED_IN.iter().any(|q| of_pair(q)) {
        return lower.bytes().all(|b| b.is_ascii_lowercase());
    }
    let (root, class) = lower.split_once(['.', '-']).unwrap_or((lower, "a"));
    let letters =
        |text: &str, most: usize| (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_lowercase());
    letters(root, 5) && letters(class, 2)
}

/// The file's name without what says how it is stored.
fn stem(path: &Path) -> String {
    let mut name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    while let Some((rest, end)) = name.rsplit_once('.') {
        let stored = ["csv", "txt", "tsv", "gz", "parquet", "pq", "json", "snappy", "zst", "zstd"];
        if !stored.contains(&end.to_ascii_lowercase().as_str()) {
            break;
        }
        name.truncate(rest.len());
    }
    name
}

/// The parts of a name. A class of shares stays with its symbol: `BRK.B`, `BF-B`.
fn parts(stem: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    for word in stem.split(|c: char| !(c.is_ascii_alphanumeric() || c == '.' || c == '-')) {
        let pieces: Vec<&str> = word.split(['.', '-']).filter(|p| !p.is_empty()).collect();
        let offset = |piece: &str| piece.as_ptr() as usize - word.as_ptr() as usize;
        let mut at = 0;
        while at < pieces.len() {
            let joins = pieces.get(at + 1).is_some_and(|class| {
                let alone = |text: &str| matches!(kind(text), Part::Ticker | Part::Either);
                let end = offset(class) + class.len();
                let same_case =
                    class.bytes().any(|b| b.is_ascii_lowercase()) == pieces[at].bytes().any(|b| b.is_ascii_lowercase());
                let whole = offset(class) == offset(pieces[at]) + pieces[at].len() + 1;
                whole && class.len() <= 2 && same_case && alone(pieces[at]) && alone(class) && end <= word.len()
            });
            if joins {
                let (first, class) = (pieces[at], pieces[at + 1]);
                parts.push(&word[offset(first)..offset(class) + class.len()]);
                at += 2;
            } else {
                parts.push(pieces[at]);
                at += 1;
            }
        }
    }
    parts
}

/// What a word says of how long bars last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Width {
    /// A width that Magellan knows.
    Known(Timeframe),
    /// A width that it doesn't: `4hour`.
    Unknown,
    /// How far the file reaches, or a width: `30d`, `6m`.
    Reach,
    /// Nothing.
    None,
}

/// `1min`, `M1`, `60T`, `daily`.
pub(crate) fn width(word: &str) -> Width {
    let lower = word.to_ascii_lowercase();
    let digits = lower.bytes().take_while(u8::is_ascii_digit).count();
    // A word alone may be anything, but for `daily` and the like.
    if digits == 0 && !lower.ends_with("ly") {
        return of_platform(&lower);
    }
    let written = lower.strip_suffix('t').filter(|count| digits == count.len()).map(|count| format!("{count}min"));
    // As written: `1M` is a month.
    if let Ok(known) = written.as_deref().unwrap_or(word).parse() {
        return Width::Known(known);
    }
    match &lower[digits..] {
        "min" | "mins" | "minute" | "minutes" | "t" | "h" | "hr" | "hrs" | "hour" | "hours" => Width::Unknown,
        "m" | "d" | "day" | "days" | "w" | "wk" | "week" | "weeks" | "s" | "sec" | "mo" | "month" | "months" | "y"
        | "yr" | "year" | "years" => Width::Reach,
        _ => Width::None,
    }
}

/// `M5`, `H1`, `D1`, as trading platforms write widths.
fn of_platform(lower: &str) -> Width {
    let known = lower.split_at_checked(1).filter(|(unit, _)| ["m", "h", "d", "w"].contains(unit));
    let parsed = known.filter(|(_, count)| !count.is_empty()).and_then(|(unit, count)| {
        count.bytes().all(|b| b.is_ascii_digit()).then(|| format!("{count}{unit}").parse().ok()).flatten()
    });
    parsed.map_or(Width::None, Width::Known)
}

/// The bar width in a file's name, or an unknown one.
///
/// # Errors
/// The word that says a width which Magellan doesn't know.
pub(crate) fn timeframe(path: &Path) -> std::result::Result<Option<Timeframe>, String> {
    let stem = stem(path);
    let mut unknown = None;
    for part in stem.split(|c: char| !c.is_ascii_alphanumeric()) {
        match width(part) {
            Width::Known(known) => return Ok(Some(known)),
            Width::Unknown => unknown = unknown.or(Some(part.to_owned())),
            _ => {}
        }
    }
    unknown.map_or(Ok(None), Err)
}

/// The value of a folder `key=value` on the path, of the innermost one.
fn folder<'a>(path: &'a Path, keys: &[&str]) -> Option<(&'a str, &'a str)> {
    let folders = path.parent()?.components().rev().filter_map(|c| c.as_os_str().to_str());
    folders.filter_map(|name| name.split_once('=')).find(|(key, _)| keys.iter().any(|k| key.eq_ignore_ascii_case(k)))
}

/// The symbol of a partition: `symbol=AMC/data_0.parquet`.
///
/// # Errors
/// Data error if the folder's value is none.
pub(crate) fn partition_symbol(path: &Path) -> Result<Option<(Symbol, String)>> {
    let Some((key, value)) = folder(path, &["symbol", "ticker", "sym", "tic"]) else { return Ok(None) };
    let symbol = cell(value).ok_or_else(|| {
        Error::new(codes::BAD_VALUE, format!("the folder `{key}={value}` names no symbol"))
            .help("name it with --symbol, or rename the folder")
    })?;
    Ok(Some((symbol, format!("{key}={value}"))))
}

/// The bar width of a partition: `timeframe=1Min/…`, or Polygon's `day_aggs_v1/…`.
pub(crate) fn partition_width(path: &Path) -> Option<Timeframe> {
    let folders = path.parent()?.components().filter_map(|c| c.as_os_str().to_str());
    for folder in folders {
        match folder {
            "day_aggs_v1" => return Some(Timeframe::Day),
            "minute_aggs_v1" => return Some(Timeframe::Minute),
            _ => {}
        }
    }
    let (_, value) = folder(path, &["timeframe", "interval", "freq", "frequency", "resolution"])?;
    match width(value) {
        Width::Known(known) => Some(known),
        _ => None,
    }
}

/// A symbol as a column or a folder holds it: small letters are taken for capitals, and `AAPL.US`
/// is AAPL.
pub(crate) fn cell(text: &str) -> Option<Symbol> {
    let text = text.trim().to_ascii_uppercase();
    text.strip_suffix(".US").unwrap_or(&text).parse().ok()
}

/// Currencies, which columns name as well.
const CURRENCIES: [&str; 9] = ["USD", "CAD", "EUR", "GBP", "JPY", "CHF", "AUD", "HKD", "CNY"];

/// Whether a value that all rows share can be no other thing than a symbol.
pub(crate) fn must_be_symbol(text: &str) -> Option<Symbol> {
    let ticker = matches!(kind(text), Part::Ticker) && text.bytes().all(|b| !b.is_ascii_lowercase());
    cell(text).filter(|_| ticker && !CURRENCIES.contains(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> String {
        match symbol(Path::new(name)) {
            Named::Symbol(symbol) => symbol.to_string(),
            Named::Several(all) => all.join("?"),
            Named::Nothing => "-".to_owned(),
        }
    }

    #[test]
    fn a_name_means_one_symbol_or_asks() {
        for (name, symbol) in [
            ("AMC_1min_20240401_20240630.parquet", "AMC"),
            ("SPY_1day_30d_backfill.csv", "SPY"),
            ("BATS_SPY, 1D.csv", "SPY"),
            ("NASDAQ_DLY_AAPL, 5.csv", "AAPL"),
            ("AMEX_SPY, D.csv", "SPY"),
            ("NYSE_F, W_0a1b2.csv", "F"),
            ("SPY-1D.csv", "SPY"),
            ("SPY_5min.csv", "SPY"),
            ("AAPL.2024.csv", "AAPL"),
            ("AAPL_2020-01-01_2024-12-31.csv", "AAPL"),
            ("aapl.us.txt", "AAPL"),
            ("brk-b.us.txt", "BRK-B"),
            ("BRK.B.csv", "BRK.B"),
            ("BRK-B_daily.csv", "BRK-B"),
            ("BF.B.csv.gz", "BF.B"),
            ("AMC_1min_b.csv", "AMC"),
            ("AAPL_clean.csv", "AAPL"),
            ("LOW.csv", "LOW"),
            ("A.csv", "A"),
            ("T_1d.csv", "T"),
            ("AMC_1min_part2.csv", "AMC"),
            ("spy.csv", "SPY"),
            ("BTCUSDT-1m-2024-04-01.csv", "BTCUSDT"),
            ("STOCKS.csv", "-"),
            ("data_0.parquet", "-"),
            ("prices_daily.csv", "-"),
            ("2024-07-01_2024-07-01.parquet", "-"),
            ("Apple.csv", "-"),
            ("AMC_GME.csv", "AMC?GME"),
        ] {
            assert_eq!(named(name), symbol, "{name}");
        }
    }

    #[test]
    fn names_tell_a_bar_width_or_none_but_not_a_wrong_one() {
        let named = |name: &str| timeframe(Path::new(name));
        assert_eq!(named("AMC_1min_20240401_20240630.parquet"), Ok(Some(Timeframe::Minute)));
        assert_eq!(named("SPY_1day_30d_backfill.csv"), Ok(Some(Timeframe::Day)));
        assert_eq!(named("BATS_SPY, 1D.csv"), Ok(Some(Timeframe::Day)));
        assert_eq!(named("SPY_6m.csv"), Ok(None));
        assert_eq!(named("TSLA_1h.csv"), Ok(Some(Timeframe::Hour)));
        assert_eq!(named("TSLA_60min_2024.csv"), Ok(Some(Timeframe::Hour)));
        assert_eq!(named("EURUSD_M1.csv"), Ok(Some(Timeframe::Minute)));
        assert_eq!(named("SPY_daily.csv"), Ok(Some(Timeframe::Day)));
        assert_eq!(named("AMC_4hour_2024.csv"), Err("4hour".to_owned()));
    }
}
