//! The symbols under which one company's bars are archived, one after the other.
//!
//! A rename says that from its date on the bars are the new symbol's. So what is asked for under the new symbol begins
//! with the old one's bars before that date; what is asked for under the old symbol is its own bars, whoever's they
//! became.

use std::ops::Range;

use super::cache::Cached;
use super::manifest::{Manifest, Record};
use super::series::{Series, first_after};
use super::tables::Rename;
use crate::bar::{Date, Symbol, Timeframe};
use crate::disk::hash::sha256_hex;
use crate::error::{Error, Result, codes};
use crate::finding::{Finding, Severity};

/// A stretch of time in which a company's bars are archived under one symbol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named {
    /// The symbol.
    pub symbol: Symbol,
    /// First date of the stretch; none, if no other symbol came before.
    pub from: Option<Date>,
    /// First date under the next symbol; none, if it is the last one.
    pub to: Option<Date>,
}

impl Named {
    /// Whether an event of a date belongs to the stretch. One on the day of the next name changed what came before.
    pub(super) fn has(&self, date: Date) -> bool {
        self.from.is_none_or(|from| from <= date) && self.to.is_none_or(|to| date <= to)
    }

    /// Where its bars lie among starts in order.
    fn range(&self, series: &Series) -> Range<usize> {
        let starts = &series.columns.start[..];
        let first = |date| first_after(series.calendar, date, series.timeframe);
        let before = |date: Date| starts.partition_point(|&t| t < first(date));
        self.from.map_or(0, before)..self.to.map_or(starts.len(), before)
    }
}

impl Manifest {
    /// The names of `symbol`'s company up to that one, oldest first; `has` tells whether a symbol has bars before a date.
    /// A name without bars is left out, unless it is `symbol` itself.
    pub(super) fn names(&self, symbol: Symbol, has: &dyn Fn(Symbol, Date) -> bool) -> Vec<Named> {
        let mut names = Vec::new();
        let (mut symbol, mut to) = (symbol, None);
        loop {
            let before = self.rename_into(symbol, to).filter(|r| self.is_archived(r, has));
            names.push(Named { symbol, from: before.map(|r| r.date), to });
            match before {
                Some(rename) => (symbol, to) = (rename.old, Some(rename.date)),
                None => break,
            }
        }
        names.reverse();
        names
    }

    /// The last rename into a symbol before a date.
    fn rename_into(&self, symbol: Symbol, before: Option<Date>) -> Option<&Rename> {
        let earlier = |r: &&Rename| r.new == symbol && before.is_none_or(|before| r.date < before);
        self.renames.iter().filter(earlier).max_by_key(|r| r.date)
    }

    /// Whether there are bars of what a rename renames, under its last name or one before. Dates only fall, so it ends.
    fn is_archived(&self, rename: &Rename, has: &dyn Fn(Symbol, Date) -> bool) -> bool {
        let before = || self.rename_into(rename.old, Some(rename.date));
        has(rename.old, rename.date) || before().is_some_and(|r| self.is_archived(r, has))
    }

    /// Whether a symbol has bars of a width before a date.
    pub(super) fn has_before(&self, symbol: Symbol, timeframe: Timeframe, date: Date) -> bool {
        self.series(symbol, timeframe).first().is_some_and(|r| r.first < first_after(self.calendar, date, timeframe))
    }

    /// The names under which bars of a width are archived.
    pub(super) fn names_of(&self, symbol: Symbol, timeframe: Timeframe) -> Vec<Named> {
        self.names(symbol, &|symbol, date| self.has_before(symbol, timeframe, date))
    }

    /// The records of a series, those under its earlier names among them, oldest name first.
    pub(super) fn whole_series(&self, symbol: Symbol, timeframe: Timeframe) -> Vec<&Record> {
        self.names_of(symbol, timeframe).iter().flat_map(|name| self.series(name.symbol, timeframe)).collect()
    }
}

/// One series of those of its names, which are as they are archived; a name may have none.
pub(super) fn join(
    manifest: &Manifest,
    names: &[Named],
    all: Vec<Option<Series>>,
    timeframe: Timeframe,
) -> Result<Series> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for (name, series) in names.iter().zip(&all) {
        ranges.push(series.as_ref().map_or(0..0, |s| name.range(s)));
    }
    for (i, name) in names.iter().enumerate().filter(|(i, _)| !ranges[*i].is_empty()) {
        for (later, series) in names.iter().zip(&all).skip(i + 1).filter(|(later, _)| later.symbol != name.symbol) {
            let too = series.as_ref().map_or(0, |s| name.range(s).len());
            if too > 0 {
                let to = name.to.unwrap_or_default();
                let rename = Rename { old: name.symbol, new: later.symbol, date: to };
                return Err(overlap(&rename, [ranges[i].len(), too], timeframe));
            }
        }
    }
    let parts: Vec<(&Series, Range<usize>)> =
        all.iter().zip(ranges).filter_map(|(series, range)| Some((series.as_ref()?, range))).collect();
    let symbol = names.last().map(|name| name.symbol);
    let (Some(symbol), Some((first, _))) = (symbol, parts.first()) else {
        return Err(Error::new(codes::NO_BARS, format!("no name has {timeframe} bars")));
    };
    let origin = |symbol| manifest.series(symbol, timeframe).first().map(|r| (&r.provenance, r.day_basis));
    if let Some((other, _)) = parts.iter().find(|(s, _)| origin(s.symbol) != origin(first.symbol)) {
        let what =
            format!("{} {timeframe} mixes bars of different origin: {}'s and {}'s", symbol, first.symbol, other.symbol);
        return Err(Error::new(codes::PROVENANCE_MIXED, what));
    }
    let hashes: String = parts.iter().map(|(series, range)| format!("{}{}", series.hash, range.len())).collect();
    Ok(Series {
        symbol,
        timeframe,
        provenance: first.provenance.clone(),
        hash: sha256_hex(hashes.as_bytes()),
        built_from: None,
        calendar: first.calendar,
        columns: joined(&parts),
    })
}

/// The columns of stretches that follow each other.
fn joined(parts: &[(&Series, Range<usize>)]) -> Cached {
    let column =
        |i: usize| parts.iter().flat_map(|(s, range)| s.columns.ohlcv[i][range.clone()].iter().copied()).collect();
    Cached {
        start: parts.iter().flat_map(|(s, range)| s.columns.start[range.clone()].iter().copied()).collect(),
        ohlcv: std::array::from_fn(column),
    }
}

/// A rename of which one side or both lack bars: whether the old symbol has some before it, and the new one from it on.
pub(super) fn one_sided(rename: &Rename, timeframe: Timeframe, (before, after): (bool, bool)) -> Option<Finding> {
    let Rename { old, new, date } = *rename;
    let lack = match (before, after) {
        (true, true) => return None,
        (true, false) => format!("{new} has no {timeframe} bars from that day on"),
        (false, true) => format!("{old} has no {timeframe} bars before that day"),
        (false, false) => format!("neither {old} before that day nor {new} from it on has {timeframe} bars"),
    };
    let what = format!("{old} became {new} on {date}, but {lack}");
    let about = format!("{new} {timeframe} {date}");
    Some(Finding::new(codes::RENAME_ONE_SIDED, about, what).severity(Severity::Warning))
}

/// Whose bars those before a rename are can't be told if both symbols have some.
pub(super) fn overlap(rename: &Rename, [before, too]: [usize; 2], timeframe: Timeframe) -> Error {
    let Rename { old, new, date } = *rename;
    let what = format!(
        "{old} became {new} on {date}, and both have {timeframe} bars before it: {before} of {old}, {too} of {new}"
    );
    Error::new(codes::RENAME_OVERLAP, what)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use proptest::prelude::*;
    use tempfile::TempDir;

    use super::*;
    use crate::archive::Archive;
    use crate::archive::import::{Import, import};
    use crate::calendar;
    use crate::disk::map::Access;

    fn symbol(name: &str) -> Symbol {
        name.parse().expect("a symbol")
    }

    /// The n-th session of 2024.
    fn day(n: usize) -> Date {
        let first = "2024-01-02".parse().expect("a date");
        calendar::sessions(first, calendar::LAST).nth(n).expect("a session").date
    }

    /// Daily bars of a symbol on some sessions of 2024, each with a close of its own.
    fn bars(folder: &Path, name: &str, days: impl IntoIterator<Item = usize>) {
        let row = |n: usize| format!("{},10,20,5,{},100\n", day(n), 10.0 + n as f64 / 100.0);
        let rows: String = days.into_iter().map(row).collect();
        let text = format!("timestamp,open,high,low,close,volume\n{rows}");
        fs::write(folder.join(format!("{name}_1day.csv")), text).expect("written");
    }

    fn made(folder: &Path) -> Result<Archive> {
        let archive = folder.join("archive");
        import(&archive, &Import { sources: vec![folder.to_owned()], ..Import::default() })?;
        Archive::open(&archive, Access::Map)
    }

    fn table(folder: &Path, name: &str, text: &str) {
        fs::write(folder.join(name), text).expect("written");
    }

    fn dates(archive: &Archive, name: &str) -> Vec<Date> {
        let series = archive.load(symbol(name), Timeframe::Day).expect("loads");
        series.bars().starts().iter().map(|&start| Date::of_utc(start)).collect()
    }

    fn days(range: Range<usize>) -> Vec<Date> {
        range.map(day).collect()
    }

    #[test]
    fn a_new_symbol_begins_with_the_old_ones_bars_and_actions() {
        let folder = TempDir::new().expect("a folder");
        bars(folder.path(), "FB", 0..50);
        bars(folder.path(), "META", 30..60);
        // Bars of FB from then on are somebody else's.
        let renames = format!("old,new,date\nFB,META,{}\n", day(30));
        table(folder.path(), "renames.csv", &renames);
        let rows = format!("FB,{},1\nFB,{},2\nMETA,{},3\nMETA,{},4\n", day(5), day(40), day(20), day(45));
        table(folder.path(), "dividends.csv", &format!("symbol,ex_date,amount\n{rows}"));
        let ends = format!("symbol,last_date,haircut\nFB,{},1\n", day(49));
        table(folder.path(), "delistings.csv", &ends);
        let archive = made(folder.path()).expect("imports");
        assert_eq!(dates(&archive, "META"), days(0..60));
        assert_eq!(dates(&archive, "FB"), days(0..50));
        let amounts = |name| archive.dividends(symbol(name)).iter().map(|d| d.amount).collect::<Vec<f64>>();
        assert_eq!((amounts("META"), amounts("FB")), (vec![1.0, 4.0], vec![1.0, 2.0]));
        assert_eq!(archive.delisting(symbol("META")), None);
        assert_eq!(archive.delisting(symbol("FB")).map(|d| d.last_date), Some(day(49)));
        let [old, new] = archive.names(symbol("META"))[..] else { panic!("two names") };
        assert_eq!((old.symbol, old.from, old.to), (symbol("FB"), None, Some(day(30))));
        assert_eq!((new.symbol, new.from, new.to), (symbol("META"), Some(day(30)), None));
        let hash = |name| archive.load(symbol(name), Timeframe::Day).expect("loads").hash;
        assert_ne!(hash("META"), hash("FB"));
    }

    #[test]
    fn a_symbol_that_came_back_has_the_bars_of_each_name_in_its_time() {
        let folder = TempDir::new().expect("a folder");
        bars(folder.path(), "A", (0..10).chain(20..30));
        bars(folder.path(), "B", 10..20);
        table(folder.path(), "renames.csv", &format!("old,new,date\nA,B,{}\nB,A,{}\n", day(10), day(20)));
        let archive = made(folder.path()).expect("imports");
        assert_eq!(dates(&archive, "A"), days(0..30));
        assert_eq!(dates(&archive, "B"), days(0..20));
        assert_eq!(archive.names(symbol("A")).len(), 3);
    }

    #[test]
    fn bars_of_both_before_the_day_are_refused_at_import() {
        let folder = TempDir::new().expect("a folder");
        bars(folder.path(), "FB", 0..30);
        bars(folder.path(), "META", 29..60);
        table(folder.path(), "renames.csv", &format!("old,new,date\nFB,META,{}\n", day(30)));
        let err = made(folder.path()).expect_err("both");
        assert_eq!(err.code(), codes::RENAME_OVERLAP);
        assert!(err.to_string().contains("30 of FB, 1 of META"), "{err}");
        assert!(!Manifest::path(&folder.path().join("archive")).exists(), "nothing is visible");
    }

    #[test]
    fn a_new_symbol_with_all_bars_keeps_them_and_a_missing_side_is_told() {
        let folder = TempDir::new().expect("a folder");
        bars(folder.path(), "META", 0..60);
        let renames = format!("old,new,date\nFB,META,{}\nX,Y,{}\n", day(30), day(30));
        table(folder.path(), "renames.csv", &renames);
        let archive = made(folder.path()).expect("imports");
        assert_eq!(dates(&archive, "META"), days(0..60));
        let series = archive.load(symbol("META"), Timeframe::Day).expect("loads");
        let found = archive.audit(&series, calendar::FIRST, calendar::LAST, true).expect("covered");
        assert_eq!(found.iter().map(|f| f.code).collect::<Vec<_>>(), [codes::RENAME_ONE_SIDED]);
        assert!(found[0].what.contains("FB has no 1Day bars before"), "{}", found[0].what);
        assert_eq!(archive.empty_renames().len(), 1);
    }

    #[test]
    fn a_split_the_wrong_way_round_is_refused_where_the_bars_are_at_hand() {
        let folder = TempDir::new().expect("a folder");
        bars(folder.path(), "AMC", 0..20);
        let at = folder.path().join("AMC_1day.csv");
        let text = fs::read_to_string(&at).expect("read");
        let turned: String = text
            .lines()
            .enumerate()
            .map(|(i, line)| match i > 10 {
                true => line.replace(",10,20,5,10.", ",100,200,50,100.") + "\n",
                false => format!("{line}\n"),
            })
            .collect();
        fs::write(&at, turned).expect("written");
        let split = |ratio: &str| {
            table(
                folder.path(),
                "splits.csv",
                &format!("symbol,effective_date,new_shares_per_old\nAMC,{},{ratio}\n", day(10)),
            );
        };
        split("10");
        let err = made(folder.path()).expect_err("the wrong way round");
        assert_eq!(err.code(), codes::SPLIT_INVERTED);
        assert!(err.suggestion().contains(&format!("AMC,{},1/10", day(10))), "{}", err.suggestion());
        split("1/10");
        assert!(made(folder.path()).is_ok());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// Whatever renames say, each date has one bar of the series, and no name's own bars change.
        #[test]
        fn renames_change_the_new_symbols_bars_alone(
            own in prop::collection::vec(prop::collection::btree_set(0usize..40, 0..20), 3),
            said in prop::collection::vec((0usize..3, 0usize..3, 1usize..39), 0..4),
        ) {
            let names = ["A", "B", "C"];
            let with = TempDir::new().expect("a folder");
            let without = TempDir::new().expect("a folder");
            for (name, days) in names.iter().zip(&own).filter(|(_, days)| !days.is_empty()) {
                bars(with.path(), name, days.iter().copied());
                bars(without.path(), name, days.iter().copied());
            }
            let rows: String = said
                .iter()
                .filter(|(old, new, _)| old != new)
                .map(|(old, new, at)| format!("{},{},{}\n", names[*old], names[*new], day(*at)))
                .collect();
            table(with.path(), "renames.csv", &format!("old,new,date\n{rows}"));
            let (Ok(renamed), Ok(plain)) = (made(with.path()), made(without.path())) else { return Ok(()) };
            for (k, name) in names.iter().enumerate().filter(|(k, _)| !own[*k].is_empty()) {
                let (now, before) = (dates(&renamed, name), dates(&plain, name));
                prop_assert!(now.windows(2).all(|w| w[0] < w[1]));
                let into: Vec<Date> = said.iter().filter(|r| r.1 == k && r.0 != k).map(|r| day(r.2)).collect();
                if into.is_empty() {
                    prop_assert_eq!(&now, &before);
                }
                // From its last rename on a symbol has its own bars.
                let last = into.iter().max().copied().unwrap_or(Date(0));
                let from = |dates: &[Date]| dates.iter().copied().filter(|d| *d >= last).collect::<Vec<_>>();
                prop_assert_eq!(from(&now), from(&before));
            }
        }
    }
}
