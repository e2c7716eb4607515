//! Names of columns and what they mean: one table for every layout.

use super::name;
use super::told::{Role, Told};
use crate::bar::Symbol;
use crate::error::{Error, Result, codes, quoted};

/// What the values of a column look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Dates or instants.
    Time,
    /// Times of day.
    Clock,
    /// Numbers.
    Number,
    /// Other text.
    Text,
    /// Nothing.
    Empty,
}

/// A column that isn't there for this reading: another symbol's.
pub(crate) const ABSENT: &str = "\0";

/// Names that mean something by themselves, without case, blanks and signs.
#[rustfmt::skip]
const NAMES: [(Role, &[&str]); 11] = [
    (Role::Timestamp, &["timestamp", "datetime", "date", "time", "t", "ts", "tsevent", "windowstart", "opentime", "starttime",
        "start", "bartime", "dateandtime", "datetimeutc", "timestamputc", "timeutc", "utc", "dtyyyymmdd", "gmttime", "localtime", "unix", "unixtime",
        "unixtimestamp", "epoch", "tradedate", "quotedate"]),
    (Role::Time, &["timeofday", "hhmmss", "clock"]),
    (Role::Open, &["open", "o", "openprice", "openingprice", "pxopen", "1open"]),
    (Role::High, &["high", "h", "highprice", "pxhigh", "2high"]),
    (Role::Low, &["low", "l", "lowprice", "pxlow", "3low"]),
    (Role::Close, &["close", "c", "last", "closelast", "closeprice", "closingprice", "lastprice", "pxlast", "4close"]),
    (Role::Volume, &["volume", "v", "vol", "shares", "sharevolume", "totalvolume", "pxvolume", "5volume"]),
    (Role::TradeCount, &["tradecount", "n", "transactions", "trades", "numtrades", "numberoftrades", "ntrades", "barcount"]),
    (Role::Vwap, &["vwap", "vw", "average", "wap", "averageprice"]),
    (Role::Symbol, &["symbol", "ticker", "sym", "s", "tic", "actsymbol", "rawsymbol", "tickersymbol", "stocksymbol", "rootsymbol", "underlyingsymbol"]),
    (Role::Width, &["per", "period", "interval", "timeframe", "freq", "frequency", "barsize", "resolution"]),
];

/// Names that mean it only where none of those above is there, and the values fit.
#[rustfmt::skip]
const FALLBACKS: [(Role, &[&str]); 4] = [
    (Role::Timestamp, &["index", "indexlevel0", "indexlevel1", "level0", "level1", "unnamed0", "unnamed1", "column0", ""]),
    (Role::Symbol, &["name", "instrument", "asset", "code", "security", "stock", "indexlevel0", "indexlevel1", "level0", "level1", "unnamed0", ""]),
    (Role::Close, &["price"]),
    (Role::Volume, &["tickvol", "tickvolume"]),
];

/// Names of what tells instruments apart by a number.
#[rustfmt::skip]
const IDENTIFIERS: [&str; 16] = ["instrumentid", "permno", "permco", "assetid", "sid", "conid", "expiry", "expiration", "isin",
    "figi", "cusip", "gvkey", "secid", "securityid", "contract", "strike"];

/// Whether a column tells instruments apart.
pub(crate) fn is_identifier(name: &str) -> bool {
    IDENTIFIERS.contains(&plain(name).as_str())
}

/// A name without case, blanks and signs: `<Close/Last>` is `closelast`.
pub(crate) fn plain(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// What a name means by itself.
pub(crate) fn meaning(name: &str) -> Option<Role> {
    let plain = plain(name);
    NAMES.iter().find(|(_, names)| names.contains(&plain.as_str())).map(|(role, _)| *role)
}

/// Whether a name is that of a price, by itself.
pub(crate) fn is_price(name: &str) -> bool {
    matches!(meaning(name), Some(Role::Open | Role::High | Role::Low | Role::Close))
}

/// Where each value stands.
#[derive(Clone, Debug)]
pub(crate) struct Columns {
    pub(crate) timestamp: usize,
    pub(crate) time: Option<usize>,
    pub(crate) prices: [usize; 5],
    pub(crate) trade_count: Option<usize>,
    pub(crate) vwap: Option<usize>,
    pub(crate) symbol: Option<usize>,
    pub(crate) width: Option<usize>,
    /// Columns that nothing is known of.
    pub(crate) unknown: Vec<usize>,
    /// What is worth saying of the choice.
    pub(crate) assumed: Vec<String>,
}

/// The search for columns in one file.
struct Search<'a> {
    names: &'a [String],
    kinds: &'a [Kind],
    /// What the user says of each column.
    told: Vec<Option<Role>>,
}

/// Finds the columns of bars by their names and by what the user says. `shown` are the names as
/// messages list them.
///
/// # Errors
/// Data error for a column that is missing, or one value that has two columns.
pub(crate) fn find(names: &[String], kinds: &[Kind], told: &Told, shown: &[String]) -> Result<Columns> {
    let search = Search { names, kinds, told: by_user(names, told, shown)? };
    let need = |role: Role| {
        search.one(role)?.ok_or_else(|| {
            let adjusted = names.iter().find(|n| plain(n).starts_with("adj") && plain(n).ends_with("close"));
            match adjusted.filter(|_| role == Role::Close) {
                Some(name) => not_there(role, shown).help(format!(
                    "`{name}` is adjusted, and bars hold what was traded; if you want it all the same: --columns close={name}"
                )),
                None => missing(role, shown),
            }
        })
    };
    let (timestamp, time) = search.times(shown)?;
    let columns = Columns {
        timestamp,
        time,
        prices: [need(Role::Open)?, need(Role::High)?, need(Role::Low)?, need(Role::Close)?, need(Role::Volume)?],
        trade_count: search.one(Role::TradeCount)?,
        vwap: search.one(Role::Vwap)?,
        symbol: search.one(Role::Symbol)?,
        width: search.one(Role::Width)?,
        unknown: Vec::new(),
        assumed: Vec::new(),
    };
    Ok(search.rest(columns))
}

fn missing(role: Role, shown: &[String]) -> Error {
    not_there(role, shown).help(format!(
        "bars need timestamp, open, high, low, close and volume; if one of these columns is it: --columns {}=NAME",
        role.name()
    ))
}

fn not_there(role: Role, shown: &[String]) -> Error {
    let listed: Vec<&str> =
        shown.iter().map(|name| if name.is_empty() { "(no name)" } else { name.as_str() }).take(60).collect();
    let what = format!("there is no column `{}`; the file has {}", role.name(), listed.join(", "));
    Error::new(codes::MISSING_COLUMN, what)
}

/// What the user says of each column, by name or by place.
fn by_user(names: &[String], told: &Told, shown: &[String]) -> Result<Vec<Option<Role>>> {
    let mut roles = vec![None; names.len()];
    for column in &told.columns {
        let named = names.iter().position(|n| *n == column.name);
        let named = named.or_else(|| names.iter().position(|n| n.eq_ignore_ascii_case(&column.name)));
        let place = || column.name.parse::<usize>().ok().and_then(|n| n.checked_sub(1)).filter(|&at| at < names.len());
        let at = named.or_else(place).ok_or_else(|| {
            let what = format!(
                "--columns names {}, which isn't there; the file has {}",
                quoted(&column.name),
                shown.join(", ")
            );
            Error::new(codes::MISSING_COLUMN, what).help("name a column as the file does, or by its place from 1")
        })?;
        roles[at] = Some(column.role);
    }
    Ok(roles)
}

impl Search<'_> {
    /// All columns that `table` gives a role, but those that the user gave another.
    fn by_name(&self, role: Role, table: &[(Role, &[&str])]) -> Vec<usize> {
        let names = |name: &str| table.iter().any(|(r, names)| *r == role && names.contains(&name));
        let free = |at: &usize| self.told[*at].is_none() && self.names[*at] != ABSENT;
        (0..self.names.len()).filter(free).filter(|&at| names(&plain(&self.names[at]))).collect()
    }

    fn by_user(&self, role: Role) -> Vec<usize> {
        (0..self.names.len()).filter(|&at| self.told[at] == Some(role)).collect()
    }

    /// The only column of a role, if there is one.
    fn one(&self, role: Role) -> Result<Option<usize>> {
        let told = self.by_user(role);
        if !told.is_empty() {
            return self.only(role, &told);
        }
        let strong = self.by_name(role, &NAMES);
        if !strong.is_empty() {
            return self.only(role, &strong);
        }
        let mut weak = self.by_name(role, &FALLBACKS);
        if role == Role::Symbol {
            weak.retain(|&at| self.kinds[at] == Kind::Text);
        }
        self.only(role, &weak)
    }

    fn only(&self, role: Role, found: &[usize]) -> Result<Option<usize>> {
        match found {
            [] => Ok(None),
            [one] => Ok(Some(*one)),
            [first, second, ..] => Err(self.twice(role, *first, *second)),
        }
    }

    fn twice(&self, role: Role, first: usize, second: usize) -> Error {
        let (a, b) = (&self.names[first], &self.names[second]);
        let what = format!(
            "two columns are the {}: `{a}` (column {}) and `{b}` (column {})",
            role.name(),
            first + 1,
            second + 1
        );
        let pick = if a == b { (first + 1).to_string() } else { a.clone() };
        Error::new(codes::DUPLICATE_COLUMN, what)
            .help(format!("remove one of them, or say which counts: --columns {}={pick}", role.name()))
    }

    /// The column of instants or dates, and that of times of day beside dates.
    fn times(&self, shown: &[String]) -> Result<(usize, Option<usize>)> {
        let told_clock = self.by_user(Role::Time);
        let told = self.by_user(Role::Timestamp);
        let mut strong = if told.is_empty() { self.by_name(Role::Timestamp, &NAMES) } else { told };
        let mut clocks = if told_clock.is_empty() { self.by_name(Role::Time, &NAMES) } else { told_clock };
        // Beside a date, `time` is the time of day.
        if clocks.is_empty() && strong.len() > 1 {
            let is_clock = |at: &usize| self.kinds[*at] == Kind::Clock;
            clocks = strong.iter().copied().filter(is_clock).collect();
            if clocks.is_empty() {
                clocks = self.digits_beside_a_date(&strong);
            }
            strong.retain(|at| !clocks.contains(at));
        }
        let clock = self.only(Role::Time, &clocks)?;
        if strong.is_empty() {
            strong = self.by_name(Role::Timestamp, &FALLBACKS);
            strong.retain(|&at| self.kinds[at] == Kind::Time);
        }
        match self.only(Role::Timestamp, &strong)? {
            Some(timestamp) => Ok((timestamp, clock)),
            None => Err(missing(Role::Timestamp, shown)),
        }
    }

    /// `<DATE>,<TIME>` with times like 093000: a number that is no instant, beside a date.
    fn digits_beside_a_date(&self, found: &[usize]) -> Vec<usize> {
        let [first, second] = found else { return Vec::new() };
        let dated = plain(&self.names[*first]).contains("date") || plain(&self.names[*first]).starts_with("dt");
        let digits = self.kinds[*second] == Kind::Number && plain(&self.names[*second]) == "time";
        if dated && digits { vec![*second] } else { Vec::new() }
    }

    /// What is left over: adjusted prices, names beside symbols, columns that nothing is known of.
    fn rest(&self, mut columns: Columns) -> Columns {
        let mut used: Vec<usize> = vec![columns.timestamp];
        used.extend(columns.prices);
        let some = [columns.time, columns.trade_count, columns.vwap, columns.symbol, columns.width];
        used.extend(some.into_iter().flatten());
        let close = &self.names[columns.prices[3]];
        for at in (0..self.names.len()).filter(|at| !used.contains(at) && self.names[*at] != ABSENT) {
            let name = plain(&self.names[at]);
            if self.told[at] == Some(Role::Ignore) {
                continue;
            }
            if name.starts_with("adjclose") || name.starts_with("adjustedclose") {
                columns.assumed.push(format!("`{close}` is used, not `{}`", self.names[at]));
                continue;
            }
            // A company's name, where the symbol has a column of its own.
            let beside = columns.symbol.is_some()
                && FALLBACKS.iter().any(|(r, names)| *r == Role::Symbol && names.contains(&name.as_str()));
            if !beside {
                columns.unknown.push(at);
            }
        }
        columns
    }
}

/// Refuses a column of one text that seems to name another symbol than the bars go to.
pub(crate) fn check_lone_text(column: &str, text: &str, symbols: &[Symbol]) -> Result<()> {
    match name::must_be_symbol(text) {
        Some(said) if symbols != [said] && !symbols.is_empty() => {
            let of: Vec<&str> = symbols.iter().take(3).map(Symbol::as_str).collect();
            let what =
                format!("the column `{column}` says {said} throughout, and the bars would be {}'s", of.join(", "));
            Err(Error::new(codes::COLUMN_UNKNOWN, what).help(format!(
                "if it is the symbol: --columns symbol={column}; if it doesn't matter: --columns ignore={column}"
            )))
        }
        _ => Ok(()),
    }
}

/// A column of text that varies and means nothing that is known: a second symbol's rows could hide
/// behind it.
pub(crate) fn not_understood(name: &str, a: &str, b: &str) -> Error {
    let what = format!("the column `{name}` holds text that isn't understood, such as {} and {}", quoted(a), quoted(b));
    Error::new(codes::COLUMN_UNKNOWN, what)
        .help(format!("if it is the symbol: --columns symbol={name}; if it doesn't matter: --columns ignore={name}"))
}
