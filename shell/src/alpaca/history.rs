//! Historical bars and corporate actions: pages, and what they must hold to be believed.

use std::collections::{BTreeMap, HashSet};

use jiff::Timestamp;
use magellan::bar::{Date, Nanos, Symbol, Timeframe, iso_utc};
use magellan::calendar;
use magellan::error::{Error, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::rest::Client;
use crate::codes;

/// Bars of one symbol that are asked for.
#[derive(Clone, Copy, Debug)]
pub struct Bars<'q> {
    /// The symbol.
    pub symbol: Symbol,
    /// Their width.
    pub timeframe: Timeframe,
    /// First New York date.
    pub start: Date,
    /// Last New York date.
    pub end: Date,
    /// `sip`, `iex`, ….
    pub feed: &'q str,
    /// The date whose renames are followed, or `-` for none.
    pub asof: &'q str,
}

/// A bar as Alpaca sends it: raw prices in dollars.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Bar {
    t: Timestamp,
    o: f64,
    h: f64,
    l: f64,
    c: f64,
    v: f64,
    n: u64,
    vw: f64,
}

#[derive(Deserialize)]
struct BarPage {
    /// A symbol without bars is left out, empty or null.
    bars: Option<BTreeMap<String, Option<Vec<Bar>>>>,
    next_page_token: Option<String>,
}

impl Bar {
    /// Start of the bar, nanoseconds UTC.
    fn start(&self) -> Option<Nanos> {
        Nanos::try_from(self.t.as_nanosecond()).ok()
    }

    /// `timestamp,open,high,low,close,volume,trade_count,vwap`; of a day its date.
    pub fn line(&self, timeframe: Timeframe) -> String {
        let start = self.start().unwrap_or_default();
        let at = if timeframe.is_intraday() { iso_utc(start) } else { calendar::new_york_date(start).to_string() };
        let Self { o, h, l, c, v, n, vw, .. } = self;
        format!("{at},{o},{h},{l},{c},{v},{n},{vw}")
    }
}

/// All of the bars, oldest first.
///
/// # Errors
/// The client's; data error if an answer isn't what was asked for.
pub fn bars(client: &Client, asked: &Bars<'_>) -> Result<Vec<Bar>> {
    let Bars { symbol, timeframe, start, end, feed, asof } = *asked;
    // Both ends are inclusive.
    let (first, last) = (calendar::new_york_midnight(start), calendar::new_york_midnight(Date(end.0 + 1)) - 1);
    let query = Query { names: symbol.as_str(), timeframe, feed, adjustment: "raw", asof, range: (first, last) };
    let mut bars: Vec<Bar> = Vec::new();
    query.pages(client, |page: BarPage| {
        for (of, more) in page.bars.unwrap_or_default() {
            if of != symbol.as_str() {
                return Err(unlike(format!("bars of another symbol than {symbol}")));
            }
            bars.extend(more.unwrap_or_default());
        }
        Ok(page.next_page_token)
    })?;
    check(&bars, asked, first..=last)?;
    Ok(bars)
}

/// A question for bars.
struct Query<'q> {
    /// Symbols, with commas between them.
    names: &'q str,
    timeframe: Timeframe,
    feed: &'q str,
    adjustment: &'q str,
    asof: &'q str,
    /// Both ends are inclusive.
    range: (Nanos, Nanos),
}

impl Query<'_> {
    fn pages(&self, client: &Client, take: impl FnMut(BarPage) -> Result<Option<String>>) -> Result<()> {
        let (from, to) = (rfc3339(self.range.0), rfc3339(self.range.1));
        let query = [
            ("symbols", self.names),
            ("timeframe", self.timeframe.name()),
            ("start", &from),
            ("end", &to),
            ("limit", "10000"),
            ("adjustment", self.adjustment),
            ("feed", self.feed),
            ("asof", self.asof),
            ("currency", "USD"),
            ("sort", "asc"),
        ];
        pages(client, "/v2/stocks/bars", &query, take)
    }
}

/// Ascending, inside what was asked for, and on the grid of their width.
fn check(bars: &[Bar], asked: &Bars<'_>, range: std::ops::RangeInclusive<Nanos>) -> Result<()> {
    let Bars { symbol, timeframe, .. } = *asked;
    let mut before = Nanos::MIN;
    for bar in bars {
        let start = bar.start().filter(|start| range.contains(start) && *start > before);
        let on_grid = |start: &Nanos| match timeframe.is_intraday() {
            true => timeframe.starts_at(*start),
            false => calendar::new_york_midnight(calendar::new_york_date(*start)) == *start,
        };
        before = start.filter(on_grid).ok_or_else(|| {
            unlike(format!(
                "{symbol} {timeframe}: a bar at {} is out of order, outside what was asked for, or between two bars",
                bar.t
            ))
        })?;
    }
    Ok(())
}

/// What happened to shares.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Actions {
    /// Symbol, first date at the new price, new shares for one old.
    pub splits: Vec<(Symbol, Date, f64)>,
    /// Symbol, ex-date, dollars a share.
    pub dividends: Vec<(Symbol, Date, f64)>,
    /// Kinds that are not read, and how many there are of each.
    pub others: BTreeMap<String, usize>,
}

#[derive(Deserialize)]
struct ActionPage {
    corporate_actions: BTreeMap<String, Vec<serde_json::Value>>,
    next_page_token: Option<String>,
}

#[derive(Deserialize)]
struct SplitAction {
    symbol: String,
    new_rate: f64,
    old_rate: f64,
    ex_date: String,
}

#[derive(Deserialize)]
struct DividendAction {
    symbol: String,
    rate: f64,
    ex_date: String,
}

/// Splits and cash dividends of some symbols with an ex-date in the period.
///
/// # Errors
/// As [`bars`].
pub fn actions(client: &Client, symbols: &[Symbol], start: Date, end: Date) -> Result<Actions> {
    let names: Vec<&str> = symbols.iter().map(Symbol::as_str).collect();
    let (names, from, to) = (names.join(","), start.to_string(), end.to_string());
    let query = [("symbols", names.as_str()), ("start", &from), ("end", &to), ("limit", "1000"), ("sort", "asc")];
    let mut found = Actions::default();
    pages(client, "/v1/corporate-actions", &query, |page: ActionPage| {
        for (kind, actions) in page.corporate_actions {
            for action in actions {
                found.add(&kind, action, symbols)?;
            }
        }
        Ok(page.next_page_token)
    })?;
    // Alpaca answers by kind; the tables are by symbol and date.
    found.splits.sort_by_key(|of| (of.0, of.1));
    found.dividends.sort_by_key(|of| (of.0, of.1));
    Ok(found)
}

impl Actions {
    fn add(&mut self, kind: &str, action: serde_json::Value, symbols: &[Symbol]) -> Result<()> {
        let fault = |e: &dyn std::fmt::Display| unlike(format!("corporate actions, {kind}: {e}"));
        let named = |symbol: &str| {
            let asked = symbols.iter().find(|s| s.as_str() == symbol);
            asked
                .copied()
                .ok_or_else(|| unlike(format!("corporate actions, {kind}: of a symbol that wasn't asked for")))
        };
        match kind {
            "forward_splits" | "reverse_splits" => {
                let split: SplitAction = serde_json::from_value(action).map_err(|e| fault(&e))?;
                let ratio = split.new_rate / split.old_rate;
                self.splits.push((named(&split.symbol)?, split.ex_date.parse()?, ratio));
            }
            "cash_dividends" => {
                let dividend: DividendAction = serde_json::from_value(action).map_err(|e| fault(&e))?;
                self.dividends.push((named(&dividend.symbol)?, dividend.ex_date.parse()?, dividend.rate));
            }
            _ => *self.others.entry(kind.to_owned()).or_default() += 1,
        }
        Ok(())
    }
}

/// Asks for page after page until there is no further one: a short page isn't the last.
fn pages<P: DeserializeOwned>(
    client: &Client,
    path: &str,
    query: &[(&str, &str)],
    mut take: impl FnMut(P) -> Result<Option<String>>,
) -> Result<()> {
    let mut seen: HashSet<String> = HashSet::new();
    let mut token: Option<String> = None;
    loop {
        let mut asked = query.to_vec();
        asked.extend(token.as_deref().map(|token| ("page_token", token)));
        let body = client.get(path, &asked)?;
        let page: P = serde_json::from_slice(&body).map_err(|e| unlike(format!("GET {path}: {e}")))?;
        let next = take(page)?.filter(|token| !token.is_empty());
        let Some(next) = next else { return Ok(()) };
        if !seen.insert(next.clone()) {
            return Err(unlike(format!("GET {path}: its pages go round in a circle")));
        }
        token = Some(next);
    }
}

fn rfc3339(at: Nanos) -> String {
    Timestamp::from_nanosecond(i128::from(at)).map(|at| at.to_string()).unwrap_or_default()
}

fn unlike(what: String) -> Error {
    Error::new(codes::ALPACA_ANSWER, what)
}

/// Bars of a feed, raw or adjusted, of some symbols between two instants, both inclusive, oldest first by symbol; those that
/// don't start on the grid of their width are left out. For a service, which asks for what it missed.
///
/// # Errors
/// As [`bars`].
pub fn bars_between(
    client: &Client,
    symbols: &[Symbol],
    timeframe: Timeframe,
    (feed, adjustment): (&str, &str),
    (from, to): (Nanos, Nanos),
) -> Result<BTreeMap<Symbol, Vec<magellan::bar::Bar>>> {
    let names: Vec<&str> = symbols.iter().map(Symbol::as_str).collect();
    let query = Query { names: &names.join(","), timeframe, feed, adjustment, asof: "-", range: (from, to) };
    let mut found: BTreeMap<Symbol, Vec<magellan::bar::Bar>> = BTreeMap::new();
    query.pages(client, |page: BarPage| {
        for (of, more) in page.bars.unwrap_or_default() {
            let symbol = symbols.iter().copied().find(|symbol| symbol.as_str() == of);
            let symbol = symbol.ok_or_else(|| unlike("bars of a symbol that wasn't asked for".to_owned()))?;
            let more = more.unwrap_or_default();
            found.entry(symbol).or_default().extend(more.iter().filter_map(|bar| bar.complete(timeframe)));
        }
        Ok(page.next_page_token)
    })?;
    for (symbol, bars) in &mut found {
        bars.retain(|bar| !timeframe.is_intraday() || (from..=to).contains(&bar.start));
        bars.sort_by_key(|bar| bar.start);
        bars.dedup_by_key(|bar| bar.start);
        if let Some(bad) = bars.iter().find(|bar| !is_sound(bar)) {
            return Err(unlike(format!("{symbol} {timeframe}: the bar at {} can't be", iso_utc(bad.start))));
        }
    }
    Ok(found)
}

/// Whether a bar's prices can be.
pub(super) fn is_sound(bar: &magellan::bar::Bar) -> bool {
    let prices = [bar.open, bar.high, bar.low, bar.close];
    prices.iter().all(|price| price.is_finite() && *price > 0.0)
        && bar.volume >= 0.0
        && bar.low <= bar.open.min(bar.close)
        && bar.high >= bar.open.max(bar.close)
}

impl Bar {
    /// As a bar of a width; a day starts at its date's midnight UTC. None between two bars.
    fn complete(&self, timeframe: Timeframe) -> Option<magellan::bar::Bar> {
        let at = self.start()?;
        let start = match timeframe.is_intraday() {
            true => Some(at).filter(|at| timeframe.starts_at(*at))?,
            false => calendar::new_york_date(at).utc_midnight(),
        };
        let end = start + timeframe.width();
        Some(magellan::bar::Bar { start, end, open: self.o, high: self.h, low: self.l, close: self.c, volume: self.v })
    }
}
