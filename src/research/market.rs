//! The bars a strategy is replayed on: each symbol's series, split-adjusted if the strategy asks for it, with what an
//! audit finds in them.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;

use rayon::prelude::*;

use crate::archive::tables::{Delisting, Dividend, Split};
use crate::archive::{Archive, SYNTHETIC, Series};
use crate::bar::{Bars, Date, Nanos, Symbol, Timeframe};
use crate::calendar::{self, Calendar};
use crate::config::{Config, Overnight};
use crate::deployable::Deployable;
use crate::disk::hash::sha256_hex;
use crate::error::{Error, Result, codes};
use crate::finding::{Finding, Severity};
use crate::history::{History, Hours, SessionBars};
use crate::indicator::Memory;
use crate::metrics::buy_and_hold;

/// One account for all symbols, or one each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All symbols share one account.
    Portfolio,
    /// Each symbol has its own account: its allocation if it has one, else the whole capital.
    Single,
}

impl Scope {
    /// The name in `metrics.json`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Portfolio => "portfolio",
            Self::Single => "single",
        }
    }
}

/// The name of an account: its symbol, or `PORTFOLIO`.
pub fn account_name(symbol: Option<Symbol>) -> String {
    symbol.map_or_else(|| "PORTFOLIO".to_owned(), |s| s.to_string())
}

/// Start (nanoseconds, UTC) and close (dollars) of bars, by symbol.
pub type Closes = Vec<(Symbol, Vec<(Nanos, f64)>)>;

/// First and last session, both included.
pub type Period = (Date, Date);

/// A symbol's bars, what happened to its shares, and what an audit finds in the bars used.
#[derive(Clone)]
pub(super) struct Loaded {
    pub(super) series: Series,
    pub(super) actions: CorporateActions,
    /// The indicators whose values come from elsewhere, each with the hash of what it reads.
    pub(super) from_elsewhere: Vec<String>,
    pub(super) findings: Vec<Finding>,
}

/// What happened to a symbol's shares.
#[derive(Clone, Debug)]
pub(super) struct CorporateActions {
    pub(super) splits: Vec<Split>,
    pub(super) dividends: Vec<Dividend>,
    pub(super) delisting: Option<Delisting>,
    /// Whether prices are adjusted by the splits.
    pub(super) adjusted: bool,
    /// Whether nothing is ever held overnight, when shares split and pay.
    pub(super) flat_overnight: bool,
}

impl CorporateActions {
    /// Tells a history of them.
    pub(super) fn tell<'b>(&self, history: History<'b>) -> History<'b> {
        let splits = self.splits.iter().map(|split| (split.date, split.ratio));
        let history = if self.adjusted { history.adjusted_by(splits) } else { history.splitting(splits) };
        let history = history.paying(self.dividends.iter().map(|dividend| (dividend.ex_date, dividend.amount)));
        match self.delisting {
            Some(Delisting { last_date, haircut, .. }) => history.delisted(last_date, haircut),
            None => history,
        }
    }
}

impl Loaded {
    /// The hash of the bars, and of what else a replay over them depends on.
    pub(super) fn hash(&self) -> String {
        let CorporateActions { splits, dividends, delisting, adjusted, flat_overnight } = &self.actions;
        // Those by which prices are adjusted are in the hash of the bars.
        let splits = if *adjusted || *flat_overnight { &[][..] } else { splits };
        let dividends = if *flat_overnight { &[][..] } else { dividends };
        match (splits, dividends, delisting, &self.from_elsewhere[..]) {
            ([], [], None, []) => self.series.hash.clone(),
            beside => sha256_hex(format!("{}{beside:?}", self.series.hash).as_bytes()),
        }
    }
}

/// The bars of one strategy's symbols, alphabetically, and the sessions in which it trades.
pub struct Market {
    /// Bar width.
    timeframe: Timeframe,
    /// When the symbols trade.
    calendar: Calendar,
    /// Bars of the day that count.
    hours: Hours,
    /// The sessions replayed.
    period: Period,
    /// The archive's folder, for messages.
    folder: PathBuf,
    loaded: Vec<Loaded>,
}

impl Market {
    /// Loads and audits the bars that strategy `S` needs, one series a symbol.
    ///
    /// # Errors
    /// Usage error if period or hours make no sense for the strategy; data error if a symbol has no bars or the
    /// archive is damaged.
    pub(crate) fn load<S: Deployable>(
        archive: &Archive,
        strategies: &[(Symbol, S)],
        timeframe: Timeframe,
        period: Period,
        hours: Hours,
    ) -> Result<Self> {
        let load = |(symbol, strategy): &(Symbol, S)| load_series(archive, *symbol, strategy, timeframe, period);
        Ok(Self {
            timeframe,
            calendar: archive.calendar(),
            hours,
            period,
            folder: archive.folder().to_owned(),
            loaded: strategies.par_iter().map(load).collect::<Result<_>>()?,
        })
    }

    /// The symbols, alphabetically.
    pub fn symbols(&self) -> Vec<Symbol> {
        self.loaded.iter().map(|l| l.series.symbol).collect()
    }

    /// How many symbols there are.
    pub fn len(&self) -> usize {
        self.loaded.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.loaded.is_empty()
    }

    /// The sessions replayed.
    pub fn period(&self) -> Period {
        self.period
    }

    /// Bars of the day that count.
    pub fn hours(&self) -> Hours {
        self.hours
    }

    /// Bar width.
    pub fn timeframe(&self) -> Timeframe {
        self.timeframe
    }

    /// The archive's calendar.
    pub fn calendar(&self) -> Calendar {
        self.calendar
    }

    /// How many returns a year a replay on it has.
    pub(crate) fn returns_per_year(&self) -> f64 {
        self.calendar.returns_per_year(self.timeframe)
    }

    /// The hash of each symbol's bars and corporate actions.
    pub fn data(&self) -> BTreeMap<Symbol, String> {
        self.loaded.iter().map(|l| (l.series.symbol, l.hash())).collect()
    }

    /// SHA-256 over the hashes of the symbols: what a replay depends on.
    pub fn data_hash(&self) -> String {
        let hashes: Vec<String> = self.loaded.iter().map(Loaded::hash).collect();
        sha256_hex(hashes.concat().as_bytes())
    }

    /// Where the bars come from, each name once.
    pub fn provenance(&self) -> Vec<String> {
        let mut names: Vec<String> = self.loaded.iter().map(|l| l.series.provenance.clone()).collect();
        names.sort();
        names.dedup();
        names
    }

    /// Whether any bar is synthetic.
    pub fn is_synthetic(&self) -> bool {
        self.loaded.iter().any(|l| l.series.provenance == SYNTHETIC)
    }

    /// What an audit finds in the bars used, and which of them were built; its errors block a gate.
    pub fn findings(&self) -> Vec<Finding> {
        self.loaded.iter().flat_map(|l| l.findings.iter().cloned()).chain(self.built()).collect()
    }

    /// The findings that whoever reads the figures must know.
    pub fn doubts(&self) -> Vec<Finding> {
        self.findings().into_iter().filter(matters).collect()
    }

    /// The symbols whose bars were built, by the width that they were built from.
    fn built(&self) -> impl Iterator<Item = Finding> {
        let mut built: BTreeMap<Timeframe, Vec<&str>> = BTreeMap::new();
        for Loaded { series, .. } in &self.loaded {
            if let Some(from) = series.built_from {
                built.entry(from).or_default().push(series.symbol.as_str());
            }
        }
        let wanted = self.timeframe.name();
        built.into_iter().map(move |(from, symbols)| {
            let what = format!("{wanted} bars built from {from} bars");
            Finding::new(codes::BARS_BUILT, symbols.join(" "), what).severity(Severity::Note)
        })
    }

    /// Some of the symbols.
    pub(crate) fn some(&self, symbols: Range<usize>) -> Self {
        Self { loaded: self.loaded[symbols].to_vec(), folder: self.folder.clone(), ..*self }
    }

    /// The same bars with other prices from the first one that starts after a time.
    pub(crate) fn repriced_after(&self, after: Nanos) -> Self {
        let reprice = |l: &Loaded| Loaded {
            series: l.series.repriced_after(after),
            actions: l.actions.clone(),
            from_elsewhere: l.from_elsewhere.clone(),
            findings: Vec::new(),
        };
        Self { loaded: self.loaded.iter().map(reprice).collect(), folder: self.folder.clone(), ..*self }
    }

    /// A symbol's bars.
    pub(crate) fn bars(&self, index: usize) -> Bars<'_> {
        self.loaded[index].series.bars()
    }

    /// Bars of a symbol cut into sessions.
    pub(crate) fn cut<'b>(&self, index: usize, bars: Bars<'b>) -> Result<History<'b>> {
        let Loaded { series, actions, .. } = &self.loaded[index];
        Ok(actions.tell(History::with_calendar(series.symbol, bars, self.hours, self.calendar)?))
    }

    /// Each symbol's bars cut into sessions, whether or not any lies in the period.
    pub(crate) fn all_histories(&self) -> Result<Vec<History<'_>>> {
        (0..self.len()).into_par_iter().map(|i| self.cut(i, self.bars(i))).collect()
    }

    /// Each symbol's bars cut into sessions.
    ///
    /// # Errors
    /// Data error if a symbol has no bars in the period: a symbol that isn't there isn't a flat one.
    pub fn histories(&self) -> Result<Vec<History<'_>>> {
        let histories = self.all_histories()?;
        histories.iter().try_for_each(|h| self.check_period(h, self.period))?;
        Ok(histories)
    }

    /// Refuses a symbol without bars in a period.
    pub(crate) fn check_period(&self, history: &History<'_>, (start, end): Period) -> Result<()> {
        if !history.sessions_between(start, end).is_empty() {
            return Ok(());
        }
        let has = match history.sessions() {
            [first, .., last] => format!("it has sessions from {} to {}", first.session.date, last.session.date),
            [only] => format!("it has one session, {}", only.session.date),
            [] => "no bar lies in a session".to_owned(),
        };
        let what = format!("{} has no {} bars from {start} to {end}; {has}", history.symbol, self.timeframe);
        Err(Error::new(codes::NO_BARS, what).at(self.folder.display()))
    }

    /// Worth of equal amounts of every symbol, bought at its first close and held, after each session: 1 a symbol.
    pub(crate) fn buy_and_hold(&self, histories: &[&History<'_>], (start, end): Period) -> Vec<f64> {
        buy_and_hold(histories, start, end)
    }

    /// First and last session of each symbol in the period.
    pub(crate) fn coverage(&self, histories: &[&History<'_>]) -> Vec<(Symbol, Date, Date)> {
        let date = |s: Option<&SessionBars>| s.map_or(Date::default(), |s| s.session.date);
        let covered = |history: &&History<'_>| {
            let sessions = self.sessions(history);
            (history.symbol, date(sessions.first()), date(sessions.last()))
        };
        histories.iter().map(covered).collect()
    }

    /// The period's bars.
    ///
    /// # Errors
    /// Data error if bars lie outside the exchange calendar.
    pub fn closes(&self) -> Result<Closes> {
        let closes = |history: &History<'_>| {
            let bars = self.sessions(history).iter().map(|s| history.session_bars(s));
            let closes = bars.flat_map(|b| (0..b.len()).map(move |i| (b.start_at(i), b.close_at(i))));
            (history.symbol, closes.collect())
        };
        Ok(self.all_histories()?.iter().map(closes).collect())
    }

    /// Starts of the period's bars, each once, ascending.
    ///
    /// # Errors
    /// As [`Market::closes`].
    pub fn bar_starts(&self) -> Result<Vec<Nanos>> {
        let mut starts: Vec<Nanos> = self.closes()?.iter().flat_map(|(_, bars)| bars.iter().map(|b| b.0)).collect();
        starts.sort_unstable();
        starts.dedup();
        Ok(starts)
    }

    /// Each symbol's last bar that starts before a time, if it has one.
    ///
    /// # Errors
    /// As [`Market::closes`].
    pub fn last_bars(&self, before: Nanos) -> Result<Vec<(Symbol, Nanos)>> {
        let mut last = Vec::new();
        for i in 0..self.len() {
            let history = self.cut(i, before_time(self.bars(i), before))?;
            if let Some(session) = history.sessions().last() {
                let starts = history.session_bars(session).starts();
                last.push((history.symbol, starts[starts.len() - 1]));
            }
        }
        Ok(last)
    }

    /// The first session of the period before which every symbol has so many bars, if there is one.
    ///
    /// # Errors
    /// As [`Market::closes`].
    pub fn first_after(&self, bars: usize) -> Result<Option<Date>> {
        let first = |history: &History<'_>| {
            let after = self.sessions(history).iter().find(|s| s.ordinal >= bars);
            after.map(|s| s.session.date)
        };
        let dates: Option<Vec<Date>> = self.all_histories()?.iter().map(first).collect();
        Ok(dates.and_then(|dates| dates.into_iter().max()))
    }

    /// Bars of all symbols in the period.
    pub(crate) fn bars_in_period(&self) -> Result<u64> {
        let count = |history: &History<'_>| -> usize { self.sessions(history).iter().map(|s| s.range.len()).sum() };
        Ok(self.histories()?.iter().map(|history| count(history) as u64).sum())
    }

    fn sessions<'h>(&self, history: &'h History<'_>) -> &'h [SessionBars] {
        &history.sessions()[history.sessions_between(self.period.0, self.period.1)]
    }
}

/// Whether whoever reads figures must know of a finding: doubts, and how bars were built.
pub fn matters(finding: &Finding) -> bool {
    finding.severity > Severity::Note || finding.code == codes::BARS_BUILT
}

/// The bars that start before a time.
pub(crate) fn before_time(bars: Bars<'_>, before: Nanos) -> Bars<'_> {
    bars.slice(0..bars.starts().partition_point(|&t| t < before))
}

/// Contradictions between what is asked and the strategy.
pub(crate) fn check<S: Deployable>(
    config: &Config,
    timeframe: Option<Timeframe>,
    (start, end): Period,
    hours: Option<Hours>,
) -> Result<()> {
    let timeframe = timeframe.unwrap_or_else(|| S::timeframe_in(config));
    if start > end {
        return Err(Error::new(codes::BAD_ARGUMENT, format!("the start date {start} is after the end date {end}")));
    }
    if !timeframe.is_intraday() && hours == Some(Hours::All) {
        let what = format!("{} trades {timeframe} bars: they have no hours to choose", S::name_in(config));
        return Err(Error::new(codes::BAD_ARGUMENT, what).help("leave out --session all"));
    }
    Ok(())
}

/// The strategy of each symbol, alphabetically; errors name the config.
pub(crate) fn strategies_of<S: Deployable>(config: &Config, symbols: &[Symbol]) -> Result<Vec<(Symbol, S)>> {
    let mut symbols = symbols.to_vec();
    symbols.sort_unstable();
    symbols.into_iter().map(|symbol| Ok((symbol, strategy_of(config, symbol)?))).collect()
}

/// The strategy with a symbol's parameters; errors name the config.
pub(crate) fn strategy_of<S: Deployable>(config: &Config, symbol: Symbol) -> Result<S> {
    S::from_config(config, symbol).map_err(|e| e.at(config.path.display()))
}

fn load_series<S: Deployable>(
    archive: &Archive,
    symbol: Symbol,
    strategy: &S,
    timeframe: Timeframe,
    (start, end): Period,
) -> Result<Loaded> {
    let indicators = strategy.indicators();
    let indicators = indicators.as_ref();
    indicators.iter().try_for_each(|indicator| indicator.check(timeframe))?;
    let splits = archive.splits(symbol);
    let source = archive.load_source(symbol, timeframe)?;
    let first = first_used(start, strategy);
    // What was imported is judged; what is built from it shows less.
    let mut findings = archive.audit(&source, first, end, true)?;
    findings.extend(archive.aligned(&source, first, end)?);
    let mut series = archive.of_width(source, timeframe)?;
    if strategy.is_adjusted() {
        series = series.adjusted(&splits);
    }
    let actions = CorporateActions {
        splits,
        dividends: archive.dividends(symbol),
        delisting: archive.delisting(symbol),
        adjusted: strategy.is_adjusted(),
        flat_overnight: strategy.overnight() == Overnight::Flat,
    };
    let from_elsewhere = indicators.iter().filter(|indicator| indicator.reads_other_data());
    let from_elsewhere = from_elsewhere.map(|indicator| format!("{indicator:?}")).collect();
    Ok(Loaded { series, actions, from_elsewhere, findings })
}

/// The first date whose bars matter: indicators fold from the archive's first bar, unless all
/// of them forget with the session.
fn first_used<S: Deployable>(start: Date, strategy: &S) -> Date {
    let forgets = strategy.indicators().as_ref().iter().all(|i| i.memory() == Memory::Session);
    if forgets { start } else { calendar::FIRST }
}
