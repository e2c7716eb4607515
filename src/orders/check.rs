//! Reads an orders file whole: every row's first fault, all rows.

use std::collections::HashMap;
use std::path::Path;

use bytes::Bytes;

use super::cells::Table;
use super::options::Settings;
use super::rows::{Action, Ask, Placed, Row, Rows};
use super::values::{COLUMNS, Values, Verb, column, column::Part, seconds, units};
use crate::account::Handle;
use crate::bar::{Nanos, Symbol};
use crate::disk::map::{self, Access};
use crate::error::{Code, Result, codes};
use crate::finding::{Finding, Span};
use crate::history::Hours;
use crate::order::{
    Bracket, Change, Kind, Level, Market, NewStop, Side, Size, Stop, TakeProfit, Target, TimeInForce, Trail, Wanted,
};

/// What is wrong with a row: its code, and what in a sentence.
type Fault = (Code, String);

/// Bars by symbol (alphabetically) and start.
pub(crate) trait Bars {
    /// Whether the symbol has a bar that starts then.
    fn has(&self, symbol: usize, start: Nanos) -> bool;
}

/// Reads and checks a file: its rows, or all that is wrong with it.
///
/// # Errors
/// Data error if it can't be read as a table.
pub(crate) fn read(
    path: &Path,
    settings: &Settings,
    bars: &impl Bars,
) -> Result<std::result::Result<Rows, Vec<Finding>>> {
    check(map::bytes(path, Access::Read)?, path, settings, bars)
}

/// As [`read`], of bytes that a file of this name would have.
///
/// # Errors
/// As [`read`].
pub(crate) fn check(
    bytes: Bytes,
    path: &Path,
    settings: &Settings,
    bars: &impl Bars,
) -> Result<std::result::Result<Rows, Vec<Finding>>> {
    let table = Table::new(bytes, path)?;
    let places = match places(&table.names) {
        Ok(places) => places,
        Err((code, what)) => return Ok(Err(vec![finding(path, 1, code, what)])),
    };
    let mut reading = Reading { settings, rows: Vec::new(), reasons: Interned::default(), groups: Interned::default() };
    let mut findings = Vec::new();
    table.each(path, |line, cells| {
        if cells.len() != places.len() {
            let what = format!("{} cells where the header has {}", cells.len(), places.len());
            return findings.push(finding(path, line, codes::ORDER_BAD_ROW, what));
        }
        if let Err((code, what)) = reading.row(line, &mut Values::new(cells, &places)) {
            findings.push(finding(path, line, code, what));
        }
    })?;
    let (rows, faults) = reading.join(bars);
    findings.extend(faults.into_iter().map(|(line, (code, what))| finding(path, line, code, what)));
    findings.sort_by_key(|f| f.span.map(|span| span.line));
    Ok(if findings.is_empty() { Ok(rows) } else { Err(findings) })
}

fn finding(path: &Path, line: u32, code: Code, what: String) -> Finding {
    let mut finding = Finding::new(code, "", what).file(path);
    finding.span = Some(Span { line: line as usize, column: 1, start: 0, end: 0 });
    finding
}

/// The column of each cell.
fn places(names: &[String]) -> std::result::Result<Vec<usize>, Fault> {
    let mut places = Vec::with_capacity(names.len());
    for name in names {
        let place = COLUMNS.iter().position(|column| column == name).ok_or_else(|| {
            (
                codes::ORDER_BAD_COLUMN,
                format!("`{name}` is no column of an orders file; those are {}", COLUMNS.join(", ")),
            )
        })?;
        if places.contains(&place) {
            return Err((codes::ORDER_BAD_COLUMN, format!("the column `{name}` stands twice")));
        }
        places.push(place);
    }
    for needed in [column::TIME, column::SYMBOL, column::ID] {
        if !places.contains(&needed) {
            let what = format!("the column `{}` is missing; time, symbol and id are needed", COLUMNS[needed]);
            return Err((codes::ORDER_MISSING_COLUMN, what));
        }
    }
    Ok(places)
}

/// Texts by numbers from 1.
#[derive(Default)]
struct Interned {
    numbers: HashMap<Box<str>, u32>,
}

impl Interned {
    fn number(&mut self, text: &str) -> u32 {
        if text.is_empty() {
            return 0;
        }
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let number = self.numbers.len() as u32 + 1;
        self.numbers.insert(text.into(), number);
        number
    }

    fn texts(self) -> Vec<String> {
        let mut texts = vec![String::new(); self.numbers.len() + 1];
        for (text, number) in self.numbers {
            texts[number as usize] = text.into();
        }
        texts
    }
}

/// A row that is right by itself.
struct Alone {
    line: u32,
    time: Nanos,
    symbol: u32,
    id: Box<str>,
    asks: Asks,
    /// What contradicts itself in it: told unless something before it is wrong.
    contradiction: Option<Box<str>>,
}

/// What it asks for, before identifiers are looked up.
enum Asks {
    Order { ask: Box<Ask>, reason: u32 },
    Target { target: Target, tif: Option<TimeInForce>, reason: u32 },
    Close { at: Market, reason: u32 },
    Replace(Box<Change>),
    Cancel,
    CancelAll,
    Nothing,
}

struct Reading<'a> {
    settings: &'a Settings,
    rows: Vec<Alone>,
    reasons: Interned,
    groups: Interned,
}

impl Reading<'_> {
    fn row(&mut self, line: u32, values: &mut Values<'_>) -> std::result::Result<(), Fault> {
        values.read(self.settings.conditions.fractional).map_err(|what| (codes::ORDER_BAD_VALUE, what))?;
        let name = values.text(column::SYMBOL);
        let symbol = name.parse::<Symbol>().ok().and_then(|s| self.settings.symbols.binary_search(&s).ok());
        let symbol = symbol.ok_or_else(|| {
            let known: Vec<&str> = self.settings.symbols.iter().map(Symbol::as_str).collect();
            (codes::ORDER_UNKNOWN_SYMBOL, format!("symbol: `{name}` is not one of {}", known.join(", ")))
        })?;
        let verb = values.verb();
        let checked = if verb == Verb::Order { self.order(values) } else { self.other(verb, values) };
        let (asks, contradiction) = match checked {
            Ok(asks) => (asks, None),
            Err(what) => (Asks::Nothing, Some(what.into_boxed_str())),
        };
        let id = values.text(column::ID).into();
        self.rows.push(Alone { line, time: values.time, symbol: symbol as u32, id, asks, contradiction });
        Ok(())
    }

    fn order(&mut self, values: &Values<'_>) -> std::result::Result<Asks, String> {
        let kind = kind(values)?;
        let size = values.number(column::SIZE).ok_or("size is missing")?;
        let reduce_only = values.text(column::REDUCE_ONLY) == "true";
        let bracket = self.bracket(values)?;
        let size_kind = values.word(column::SIZE_KIND, "shares");
        let reason = self.reasons.number(values.text(column::REASON));
        if kind == Kind::MarketOnClose && (values.has(column::TIF) || values.has(column::FLAT_BEFORE_CLOSE)) {
            return Err("a moc order has one close to fill at: it takes neither tif nor flat_before_close".to_owned());
        }
        if values.has(column::CAP) && size_kind != "risk_fraction" {
            return Err(format!("cap goes with risk_fraction, not with {size_kind}"));
        }
        if size_kind.starts_with("target_") {
            return self.target(values, kind, size, reduce_only || bracket.is_some(), reason);
        }
        let side = side(values).ok_or("side is missing")?;
        if reduce_only && bracket.is_some() {
            return Err("a reduce-only order opens nothing that a bracket could protect".to_owned());
        }
        let stop = bracket.as_ref().and_then(|bracket| bracket.stop);
        let fixed = matches!(stop, Some(Stop::At(_) | Stop::Offset(_) | Stop::Percent(_)));
        let fractional = self.settings.conditions.fractional;
        let size = match size_kind {
            "notional" => Size::Notional(size),
            "equity_fraction" => Size::EquityFraction(size),
            "risk_fraction" if !fixed => {
                return Err("risk_fraction needs a fixed sl: what is at risk is the way to it".to_owned());
            }
            "risk_fraction" => {
                Size::RiskFraction { fraction: size, cap: values.number(column::CAP).unwrap_or(f64::INFINITY) }
            }
            _ => Size::Shares(units(size, fractional).unwrap_or(0).unsigned_abs()),
        };
        let tif = values.tif.unwrap_or(TimeInForce::Gtc);
        let oco = self.groups.number(values.text(column::OCO));
        Ok(Asks::Order { ask: Box::new(Ask { side, kind, size, tif, reduce_only, oco, bracket }), reason })
    }

    fn target(
        &self,
        values: &Values<'_>,
        kind: Kind,
        size: f64,
        restricted: bool,
        reason: u32,
    ) -> std::result::Result<Asks, String> {
        if values.has(column::SIDE) || values.has(column::OCO) || restricted {
            return Err("a target size says what to hold: it takes no side, oco, reduce_only or bracket".to_owned());
        }
        let at = match kind {
            Kind::Market => Market::Open,
            Kind::MarketOnClose => Market::Close,
            _ => return Err("a target size is reached at the market: its type is market or moc".to_owned()),
        };
        let fractional = self.settings.conditions.fractional;
        let position = match values.text(column::SIZE_KIND) {
            "target_shares" => Wanted::Shares(units(size, fractional).unwrap_or(0)),
            _ => Wanted::Weight(size),
        };
        Ok(Asks::Target { target: Target { position, at }, tif: values.tif, reason })
    }

    fn bracket(&self, values: &Values<'_>) -> std::result::Result<Option<Box<Bracket>>, String> {
        let stop = stop(values)?;
        let trails = matches!(stop, Some(Stop::Trail(_) | Stop::TrailPercent(_)));
        let mut targets = [None; Bracket::TARGETS];
        let mut shares = 0.0;
        for (n, target) in targets.iter_mut().enumerate() {
            *target = take_profit(values, n, trails)?;
            shares += target.map_or(0.0, |target: TakeProfit| target.percent);
        }
        if shares > 100.0 {
            return Err(format!("the targets' shares are {shares} per cent together, at most 100 can be sold"));
        }
        let time = |column| values.number(column).map(seconds);
        let (time_stop, flat_before_close) = (time(column::TIME_STOP), time(column::FLAT_BEFORE_CLOSE));
        if flat_before_close.is_some() && (!self.settings.timeframe.is_intraday() || self.settings.hours == Hours::All)
        {
            return Err("flat_before_close needs intraday bars of the regular session".to_owned());
        }
        let bracket = Bracket { stop, targets, time_stop, flat_before_close };
        Ok((bracket != Bracket::NONE).then(|| Box::new(bracket)))
    }

    fn other(&mut self, verb: Verb, values: &Values<'_>) -> std::result::Result<Asks, String> {
        let (name, allowed): (_, &[usize]) = match verb {
            Verb::Cancel => ("cancel", &[]),
            Verb::CancelAll => ("cancel_all", &[]),
            Verb::Close => ("close", &[column::TYPE, column::REASON]),
            Verb::Replace | Verb::Order => (
                "replace",
                &[
                    column::SIZE,
                    column::SIZE_KIND,
                    column::LIMIT,
                    column::STOP,
                    column::TRAIL,
                    column::TIF,
                    column::SL,
                    column::SL_KIND,
                ],
            ),
        };
        let always = [column::TIME, column::SYMBOL, column::ID, column::ACTION];
        let foreign = (0..COLUMNS.len()).find(|c| values.has(*c) && !always.contains(c) && !allowed.contains(c));
        if let Some(column) = foreign {
            return Err(format!("{name} takes no {}", COLUMNS[column]));
        }
        match verb {
            Verb::Cancel => Ok(Asks::Cancel),
            Verb::CancelAll => Ok(Asks::CancelAll),
            Verb::Close => {
                let at = match values.word(column::TYPE, "market") {
                    "market" => Market::Open,
                    "moc" => Market::Close,
                    other => return Err(format!("close is of type market or moc, not {other}")),
                };
                Ok(Asks::Close { at, reason: self.reasons.number(values.text(column::REASON)) })
            }
            Verb::Replace | Verb::Order => self.change(values),
        }
    }

    fn change(&self, values: &Values<'_>) -> std::result::Result<Asks, String> {
        let kinds = [(column::SIZE_KIND, "shares", column::SIZE), (column::SL_KIND, "price", column::SL)];
        for (kind, only, of) in kinds {
            if values.has(kind) && (values.text(kind) != only || !values.has(of)) {
                return Err(format!("replace takes {} as {only} only", COLUMNS[of]));
            }
        }
        let fractional = self.settings.conditions.fractional;
        let size = values.number(column::SIZE).and_then(|size| units(size, fractional));
        Ok(Asks::Replace(Box::new(Change {
            size: size.map(i64::unsigned_abs),
            limit: values.number(column::LIMIT),
            stop: values.number(column::STOP),
            trail: values.number(column::TRAIL),
            tif: values.tif,
            stop_loss: values.number(column::SL),
        })))
    }

    /// Sorts by time, and looks up what rows say of each other and of the bars.
    fn join(self, bars: &impl Bars) -> (Rows, Vec<(u32, Fault)>) {
        let Self { settings, mut rows, reasons, .. } = self;
        rows.sort_by_key(|row| row.time);
        let mut joined = Joined {
            symbols: &settings.symbols,
            by_id: HashMap::with_capacity(rows.len()),
            rows: Rows { reasons: reasons.texts(), ..Rows::default() },
            orders: Vec::new(),
        };
        let mut faults = Vec::new();
        for row in rows {
            let line = row.line;
            if let Err(fault) = joined.add(row, bars) {
                faults.push((line, fault));
            }
        }
        (joined.rows, faults)
    }
}

struct Joined<'a> {
    symbols: &'a [Symbol],
    /// The number of each order or close, by its id.
    by_id: HashMap<Box<str>, u32>,
    rows: Rows,
    /// What each of them has that can be replaced, and its symbol.
    orders: Vec<(Has, u32)>,
}

/// What of an order can be replaced.
#[derive(Clone, Copy, Default)]
struct Has {
    size: bool,
    limit: bool,
    stop: bool,
    trail: bool,
    tif: bool,
    stop_loss: bool,
}

impl Joined<'_> {
    fn add(&mut self, row: Alone, bars: &impl Bars) -> std::result::Result<(), Fault> {
        let Alone { time, symbol, id, asks, contradiction, .. } = row;
        let known = self.by_id.get(&id).copied().filter(|of| self.orders[*of as usize].1 == symbol);
        let contradicts = contradiction.map(String::from).or_else(|| match (&asks, known) {
            (Asks::Replace(change), Some(of)) => contradiction_of(change, self.orders[of as usize].0),
            _ => None,
        });
        if let Some(what) = contradicts {
            return Err((codes::ORDER_CONTRADICTION, what));
        }
        if !bars.has(symbol as usize, time) {
            let (name, at) = (self.symbols[symbol as usize], crate::bar::iso_utc(time));
            return Err((codes::ORDER_NO_BAR, format!("{name} has no bar that starts at {at} in this replay")));
        }
        let action = match asks {
            Asks::Order { ask, reason } => {
                let (side, kind, has) = (ask.side, ask.kind.name(), Has::of(&ask));
                let number = self.place(&id, symbol, time, Some(side), kind, reason, has)?;
                Action::Place(number, ask)
            }
            Asks::Target { target, tif, reason } => {
                let is_open = target.at == Market::Open;
                let has = Has { tif: is_open, ..Has::default() };
                let kind = if is_open { Kind::Market } else { Kind::MarketOnClose };
                let number = self.place(&id, symbol, time, None, kind.name(), reason, has)?;
                Action::Target(number, target, tif.unwrap_or(TimeInForce::Gtc))
            }
            Asks::Close { at, reason } => {
                let kind = if at == Market::Open { Kind::Market } else { Kind::MarketOnClose };
                let number = self.place(&id, symbol, time, None, kind.name(), reason, Has::default())?;
                self.rows.placed[number as usize].is_close = true;
                Action::Close(number, at)
            }
            Asks::Replace(change) => Action::Replace(self.earlier(&id, known)?, change),
            Asks::Cancel => Action::Cancel(self.earlier(&id, known)?),
            Asks::CancelAll => Action::CancelAll,
            Asks::Nothing => return Ok(()),
        };
        self.rows.rows.push(Row { time, symbol, action });
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "the columns of a row")]
    fn place(
        &mut self,
        id: &str,
        symbol: u32,
        time: Nanos,
        side: Option<Side>,
        kind: &'static str,
        reason: u32,
        has: Has,
    ) -> std::result::Result<u32, Fault> {
        let number = self.rows.placed.len() as u32;
        if self.by_id.contains_key(id) {
            return Err((codes::ORDER_DUPLICATE_ID, format!("id: `{id}` names an earlier order already")));
        }
        self.by_id.insert(id.into(), number);
        self.orders.push((has, symbol));
        let symbol = self.symbols[symbol as usize];
        self.rows.placed.push(Placed { id: id.into(), symbol, time, side, kind, reason, is_close: false });
        Ok(number)
    }

    fn earlier(&self, id: &str, known: Option<u32>) -> std::result::Result<Handle, Fault> {
        known
            .map(Handle::Id)
            .ok_or_else(|| (codes::ORDER_UNKNOWN_ID, format!("id: `{id}` names no earlier order of this symbol")))
    }
}

impl Has {
    fn of(ask: &Ask) -> Self {
        let kind = ask.kind;
        Self {
            size: true,
            limit: matches!(kind, Kind::Limit(_) | Kind::StopLimit { .. }),
            stop: matches!(kind, Kind::Stop(_) | Kind::StopLimit { .. }),
            trail: matches!(kind, Kind::TrailingStop(_)),
            tif: kind != Kind::MarketOnClose,
            stop_loss: ask.bracket.as_ref().is_some_and(|bracket| bracket.stop.is_some()),
        }
    }
}

fn contradiction_of(change: &Change, has: Has) -> Option<String> {
    let asked = [
        ("size", change.size.is_some(), has.size),
        ("limit", change.limit.is_some(), has.limit),
        ("stop", change.stop.is_some(), has.stop),
        ("trail", change.trail.is_some(), has.trail),
        ("tif", change.tif.is_some(), has.tif),
        ("sl", change.stop_loss.is_some(), has.stop_loss),
    ];
    let (name, ..) = asked.into_iter().find(|(_, asked, has)| *asked && !has)?;
    Some(format!("replace: the order has no {name} to replace"))
}

fn side(values: &Values<'_>) -> Option<Side> {
    match values.text(column::SIDE) {
        "buy" => Some(Side::Buy),
        "sell" => Some(Side::Sell),
        _ => None,
    }
}

/// The type with exactly the prices that it needs.
fn kind(values: &Values<'_>) -> std::result::Result<Kind, String> {
    let kind = values.word(column::TYPE, "market");
    let needs: &[usize] = match kind {
        "limit" => &[column::LIMIT],
        "stop" => &[column::STOP],
        "stop_limit" => &[column::STOP, column::LIMIT],
        "trailing_stop" => &[column::TRAIL],
        _ => &[],
    };
    for column in [column::LIMIT, column::STOP, column::TRAIL] {
        match (values.has(column), needs.contains(&column)) {
            (true, false) => return Err(format!("a {kind} order takes no {}", COLUMNS[column])),
            (false, true) => return Err(format!("a {kind} order needs {}", COLUMNS[column])),
            _ => {}
        }
    }
    if values.has(column::TRAIL_KIND) && !values.has(column::TRAIL) {
        return Err("trail_kind without trail".to_owned());
    }
    let number = |column| values.number(column).unwrap_or(f64::NAN);
    Ok(match kind {
        "limit" => Kind::Limit(number(column::LIMIT)),
        "stop" => Kind::Stop(number(column::STOP)),
        "stop_limit" => Kind::StopLimit { stop: number(column::STOP), limit: number(column::LIMIT) },
        "trailing_stop" if values.text(column::TRAIL_KIND) == "percent" => {
            Kind::TrailingStop(Trail::Percent(number(column::TRAIL)))
        }
        "trailing_stop" => Kind::TrailingStop(Trail::Price(number(column::TRAIL))),
        "moc" => Kind::MarketOnClose,
        _ => Kind::Market,
    })
}

fn stop(values: &Values<'_>) -> std::result::Result<Option<Stop>, String> {
    let Some(price) = values.number(column::SL) else {
        return if values.has(column::SL_KIND) { Err("sl_kind without sl".to_owned()) } else { Ok(None) };
    };
    Ok(Some(match values.word(column::SL_KIND, "price") {
        "offset" => Stop::Offset(price),
        "percent" => Stop::Percent(price),
        "trail" => Stop::Trail(price),
        "trail_percent" => Stop::TrailPercent(price),
        _ => Stop::At(price),
    }))
}

fn take_profit(values: &Values<'_>, n: usize, trails: bool) -> std::result::Result<Option<TakeProfit>, String> {
    let name = format!("tp{}", n + 1);
    let column = |part| column::target(n, part);
    let Some(price) = values.number(column(Part::Price)) else {
        let others = [Part::Kind, Part::Fraction, Part::Share, Part::Then, Part::ThenKind];
        let other = others.into_iter().find(|part| values.has(column(*part)));
        return other.map_or(Ok(None), |part| Err(format!("{} without {name}", COLUMNS[column(part)])));
    };
    let percent = values.number(column(Part::Share)).ok_or_else(|| format!("{name} needs {name}_share"))?;
    let fraction = values.number(column(Part::Fraction));
    let level = match (values.word(column(Part::Kind), "price"), fraction) {
        ("toward", Some(fraction)) => Level::Toward { level: price, fraction },
        ("toward", None) => return Err(format!("{name}_kind toward needs {name}_fraction")),
        (_, Some(_)) => return Err(format!("{name}_fraction goes with {name}_kind toward")),
        ("offset", None) => Level::Offset(price),
        ("percent", None) => Level::Percent(price),
        _ => Level::At(price),
    };
    let then = values.number(column(Part::Then));
    if then.is_none() && values.has(column(Part::ThenKind)) {
        return Err(format!("{name}_then_kind without {name}_then"));
    }
    if then.is_some() && trails {
        return Err(format!("{name}_then moves a stop, but sl trails by itself"));
    }
    let then_stop = then.map(|then| match values.word(column(Part::ThenKind), "price") {
        "offset" => NewStop::Offset(then),
        "percent" => NewStop::Percent(then),
        _ => NewStop::At(then),
    });
    Ok(Some(TakeProfit { level, percent, then_stop }))
}
