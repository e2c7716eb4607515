//! Bars from tables of text: any separator, any order of columns, with a header or without.

use std::collections::BTreeMap;
use std::path::Path;

use super::columns::{self, ABSENT, Columns, Kind, plain};
use super::layout::{self, Layout};
use super::name;
use super::number::{Decimal, Evidence, number};
use super::text::{self, Table};
use super::time::{self, Stamp};
use super::told::Told;
use super::whose::{HEADER, Whose, whose};
use crate::archive::row::{BarFile, Row, Rows};
use crate::bar::{Nanos, Symbol, Timeframe};
use crate::error::{Error, Result, codes};

/// Reads a table; its rows keep their order.
pub(crate) fn bars(path: &Path, bytes: &[u8], told: &Told) -> Result<BarFile> {
    let mut assumed = Vec::new();
    let decoded = text::decoded(bytes, &mut assumed)?;
    let mut table = text::table(&decoded, !told.columns.is_empty()).map_err(|e| {
        // A text may be prose; a table that is none is a fault.
        let is_prose = path.extension().is_some_and(|end| end.eq_ignore_ascii_case("txt"));
        if e.code() == codes::NOT_A_SOURCE && !is_prose { e.recode(codes::SOURCE_UNREADABLE) } else { e }
    })?;
    assumed.append(&mut table.assumed);
    let reading = Reading::new(path, &decoded, &table, told)?;
    let survey = reading.survey()?;
    let mut file = reading.rows(survey)?;
    assumed.append(&mut file.assumed);
    file.assumed = assumed;
    Ok(file)
}

/// One symbol's columns; the only ones, unless the header names symbols.
struct Group {
    symbol: Option<Symbol>,
    columns: Columns,
}

/// A table whose columns are known.
struct Reading<'a> {
    path: &'a Path,
    text: &'a str,
    table: &'a Table,
    told: &'a Told,
    groups: Vec<Group>,
    layout: Layout,
}

/// What all rows together show.
struct Survey {
    starts: Vec<Nanos>,
    decimal: Decimal,
    scale: f64,
    width: Option<Timeframe>,
    whose: Whose,
    file: BarFile,
}

impl<'a> Reading<'a> {
    fn new(path: &'a Path, text: &'a str, table: &'a Table, told: &'a Told) -> Result<Self> {
        let of_symbol = |symbol: &str| -> Vec<String> {
            let mine = |at: usize| table.symbols[at].is_empty() || table.symbols[at] == symbol;
            let names = table.names.iter().enumerate();
            names.map(|(at, name)| if mine(at) { name.clone() } else { ABSENT.to_owned() }).collect()
        };
        let mut symbols: Vec<&String> = table.symbols.iter().filter(|s| !s.is_empty()).collect();
        symbols.sort();
        symbols.dedup();
        let find = |symbol: &str| {
            columns::find(&of_symbol(symbol), &table.kinds, told, &table.names)
                .map_err(|e| foreign_table(e, text, table))
        };
        let groups = match &symbols[..] {
            [] => vec![Group { symbol: None, columns: find("")? }],
            all => all.iter().map(|s| Ok(Group { symbol: name::cell(s), columns: find(s)? })).collect::<Result<_>>()?,
        };
        let mut layout = Layout::of(&table.names);
        layout.name = table.layout.unwrap_or(layout.name);
        if layout.name == Layout::BINANCE.name {
            layout = Layout::BINANCE;
        }
        layout.custom.local |= groups[0].columns.time.is_some() || (!table.has_header && !layout.custom.utc);
        Ok(Self { path, text, table, told, groups, layout })
    }

    /// Calls `each` with every row's fields and line.
    fn each(&self, mut each: impl FnMut(&csv::StringRecord, usize) -> Result<()>) -> Result<()> {
        let mut reader = text::reader(self.text, self.table.separator);
        let mut record = csv::StringRecord::new();
        let fields = self.table.names.len();
        for place in 0.. {
            let more = reader.read_record(&mut record);
            if !more.map_err(|e| Error::new(codes::SOURCE_UNREADABLE, e.to_string()).at(self.path.display()))? {
                return Ok(());
            }
            let line = record.position().map_or(0, |p| p.line() as usize);
            let blank = record.iter().all(str::is_empty) || record.get(0).is_some_and(|f| f.starts_with('#'));
            if place < self.table.records_before || blank {
                continue;
            }
            let extra = record.iter().skip(fields).any(|f| !f.is_empty());
            if record.len() < fields || extra {
                let what = format!("the row has {} fields, the others have {fields}", record.len());
                return Err(Error::new(codes::SOURCE_UNREADABLE, what).at_line(self.path, line, None));
            }
            each(&record, line)?;
        }
        Ok(())
    }

    fn name(&self, at: usize) -> &str {
        &self.table.names[at]
    }

    /// The first look: what only all rows together settle.
    fn survey(&self) -> Result<Survey> {
        let columns = &self.groups[0].columns;
        let (mut stamps, mut lines): (Vec<Stamp>, Vec<u32>) = (Vec::new(), Vec::new());
        let mut evidence = Evidence::default();
        let by_comma = self.table.separator == b',' && !self.text.contains('"');
        let mut scaled = self.layout.in_billionths;
        let mut texts: BTreeMap<usize, String> = BTreeMap::new();
        let mut width: Option<String> = None;
        let mut symbols: Vec<Symbol> = self.groups.iter().filter_map(|g| g.symbol).collect();
        let mut last = String::new();
        let prices: Vec<usize> = self.groups.iter().flat_map(|g| g.columns.prices).collect();
        let watched: Vec<usize> = columns.unknown.iter().copied().filter(|&at| self.may_be_text(at)).collect();
        // Without a symbol in each row, nothing else may tell rows apart.
        let one_symbol = columns.symbol.is_none() && self.groups[0].symbol.is_none();
        let apart = |at: &usize| one_symbol && columns::is_identifier(self.name(*at));
        let identifiers: Vec<usize> = columns.unknown.iter().copied().filter(apart).collect();
        let mut identified: BTreeMap<usize, String> = BTreeMap::new();
        self.each(|record, line| {
            let fail = |e: Error| e.at_line(self.path, line, None);
            let field = |at: usize| record.get(at).unwrap_or_default();
            let stamp = match columns.time {
                Some(clock) => time::parse_pair(field(columns.timestamp), field(clock)),
                None => time::parse(field(columns.timestamp)),
            };
            let written = field(columns.timestamp);
            stamps.push(stamp.ok_or_else(|| fail(time::not_a_time(written).within(self.name(columns.timestamp))))?);
            lines.push(line as u32);
            if !by_comma {
                prices.iter().for_each(|&at| evidence.look(field(at)));
            }
            scaled = scaled && prices.chunks(5).all(|p| p[..4].iter().all(|&at| layout::is_billionths(field(at))));
            for &at in &identifiers {
                let known = identified.entry(at).or_insert_with(|| field(at).to_owned());
                if known != field(at) {
                    return Err(fail(columns::not_understood(self.name(at), known, field(at))));
                }
            }
            for &at in &watched {
                let value = field(at);
                match texts.get(&at) {
                    Some(known) if known != value && text::is_text(value) => {
                        return Err(fail(columns::not_understood(self.name(at), known, value)));
                    }
                    None if text::is_text(value) => drop(texts.insert(at, value.to_owned())),
                    _ => {}
                }
            }
            if let Some(at) = columns.width
                && width.as_deref() != Some(field(at))
                && let Some(known) = width.replace(field(at).to_owned())
            {
                let what = format!("bars of several widths: `{}` says {known} and {}", self.name(at), field(at));
                return Err(fail(Error::new(codes::BAR_WIDTH, what).help("put each width in a file of its own")));
            }
            if let Some(at) = columns.symbol
                && last != field(at)
            {
                field(at).clone_into(&mut last);
                let symbol = name::cell(&last).ok_or_else(|| fail(not_a_symbol(&last).within(self.name(at))))?;
                if let Err(place) = symbols.binary_search(&symbol) {
                    symbols.insert(place, symbol);
                }
            }
            Ok(())
        })?;
        let place = |at: usize| lines.get(at).map_or(1, |l| *l as usize);
        let times = time::settle(&stamps, self.told, self.layout.custom)
            .map_err(|(row, e)| e.at_line(self.path, place(row), None))?;
        let (decimal, said) = evidence.settle(self.table.separator)?;
        let from_header = self.groups[0].symbol.is_some().then_some(HEADER);
        let column = columns.symbol.map(|at| self.name(at)).or(from_header);
        let whose = whose(self.path, self.told, column, &symbols)?;
        let holders: Vec<Symbol> = whose.symbol.map_or(symbols, |one| vec![one]);
        for (&at, text) in &texts {
            columns::check_lone_text(self.name(at), text, &holders).map_err(|e| e.at(self.path.display()))?;
        }
        let width = width.as_deref().and_then(layout::width_of_period);
        let mut file = BarFile { clock: times.clock, layout: self.describe(), ..BarFile::default() };
        file.assumed.extend(columns.assumed.iter().cloned());
        file.assumed.extend(times.assumed);
        file.assumed.extend(said);
        file.assumed.extend(self.layout.assumed.map(str::to_owned));
        if scaled && !stamps.is_empty() {
            file.assumed.push("prices are whole billionths of a dollar and divided by 1,000,000,000".to_owned());
        }
        let unused: Vec<&str> = columns.unknown.iter().map(|&at| self.name(at)).filter(|n| !n.is_empty()).collect();
        if !unused.is_empty() && self.table.has_header {
            file.assumed.push(format!("not used: {}", unused.join(", ")));
        }
        Ok(Survey { starts: times.starts, decimal, scale: if scaled { 1e9 } else { 1.0 }, width, whose, file })
    }

    fn may_be_text(&self, at: usize) -> bool {
        matches!(self.table.kinds[at], Kind::Text | Kind::Empty)
    }

    fn describe(&self) -> String {
        let parted = match self.table.separator {
            b';' => ", parted by semicolons",
            b'\t' => ", parted by tabs",
            b'|' => ", parted by bars",
            b' ' => ", parted by blanks",
            _ => "",
        };
        format!("{}{parted}", self.layout.name)
    }

    /// The second look: the rows themselves.
    fn rows(&self, survey: Survey) -> Result<BarFile> {
        let Survey { starts, decimal, scale, width, whose, mut file } = survey;
        let mut series: BTreeMap<Symbol, Rows> = BTreeMap::new();
        let (mut index, mut blank) = (0, 0);
        self.each(|record, line| {
            let fail = |e: Error| e.at_line(self.path, line, None);
            let field = |at: usize| record.get(at).unwrap_or_default();
            let start = starts[index];
            index += 1;
            for group in &self.groups {
                let columns = &group.columns;
                if group.symbol.is_some() && columns.prices.iter().all(|&at| field(at).is_empty()) {
                    blank += 1;
                    continue;
                }
                let value = |at: usize| number(field(at), decimal, self.name(at)).map_err(fail);
                let extra = |at: Option<usize>| match at {
                    Some(at) if !field(at).is_empty() => value(at),
                    _ => Ok(f64::NAN),
                };
                let mut ohlcv = [0.0; 5];
                for (k, slot) in ohlcv.iter_mut().enumerate() {
                    let price = value(columns.prices[k])?;
                    *slot = if k < 4 { price / scale } else { price };
                }
                let own = columns.symbol.and_then(|at| name::cell(field(at))).or(group.symbol);
                let symbol = whose.symbol.or(own).ok_or_else(|| fail(not_a_symbol("")))?;
                let row = Row {
                    start,
                    ohlcv,
                    trade_count: extra(columns.trade_count)?,
                    vwap: extra(columns.vwap)? / scale,
                    origin: (0, line as u32),
                };
                series.entry(symbol).or_default().push(row);
            }
            Ok(())
        })?;
        if blank > 0 {
            file.assumed.push(format!("{blank} blank places of symbols that have no bar there are left out"));
        }
        file.timeframe = width;
        file.symbol_from = whose.from;
        file.series = series.into_iter().collect();
        Ok(file)
    }
}

fn not_a_symbol(text: &str) -> Error {
    match text.parse::<Symbol>() {
        Err(e) if !text.is_empty() => e.recode(codes::BAD_VALUE),
        _ => Error::new(codes::MISSING_VALUE, "the row has no symbol"),
    }
}

/// A table without any price is not one of bars, and says so instead of asking for a column.
fn foreign_table(err: Error, text: &str, table: &Table) -> Error {
    let priced = table.names.iter().any(|n| columns::is_price(n));
    let numbers = table.kinds.iter().filter(|k| **k == Kind::Number).count();
    let other = |(name, kind): (&String, &Kind)| *kind == Kind::Text && columns::meaning(name).is_none();
    let texts = table.names.iter().zip(&table.kinds).filter(|pair| other(*pair)).count();
    if err.code() == codes::MISSING_COLUMN && table.has_header && !priced && numbers < 4 && texts > 0 {
        let what = format!("no table of bars: its columns are {}", table.names.join(", "));
        return Error::new(codes::NOT_A_SOURCE, what);
    }
    let names: Vec<String> = table.names.iter().map(|n| plain(n)).collect();
    let looks_right = names.iter().any(|n| !n.is_empty());
    if err.code() == codes::MISSING_COLUMN && looks_right && !priced {
        let what = format!("{}; the file begins {}", err.what(), text::begin(text));
        return Error::new(err.code(), what).help(err.suggestion());
    }
    err
}
