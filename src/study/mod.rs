//! A deployed strategy swept over an archive: its config's keys are the axes.
//!
//! An axis that leads into the parameter blocks gives each point its strategy; any other (costs,
//! limits, warm-up) gives it a config of its own, and points with one config are swept together.

pub mod store;

use std::collections::{BTreeMap, HashMap};

use rayon::prelude::*;
use serde_json::Value;

use crate::archive::{Archive, SYNTHETIC, split_factor, tables::Split};
use crate::backtest::{Loaded, Scope, check, check_period, load};
use crate::bar::{Date, Symbol};
use crate::config::document::Document;
use crate::config::{Config, Override, PARAMETER_BLOCKS, Parameters, examine_parameters};
use crate::error::{Error, Result, codes};
use crate::finding::{Finding, Severity};
use crate::history::{History, Hours};
use crate::ledger::{Trials, Varied};
use crate::metrics::{Benchmark, Metrics, buy_and_hold, returns};
use crate::registry::{Deployable, contradictions};
use crate::replay::Terms;
use crate::sweep::grid::{Axis, Choice, Grid};
use crate::sweep::{How, Sweep};

/// What to sweep.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The config, overrides applied.
    pub document: &'a Document,
    /// Where the bars are.
    pub archive: &'a Archive,
    /// Symbols instead of the configured ones.
    pub symbols: Option<&'a [Symbol]>,
    /// Hours instead of the configured ones.
    pub hours: Option<Hours>,
    /// First session.
    pub start: Date,
    /// Last session.
    pub end: Date,
    /// Axes and conditions.
    pub grid: &'a Grid,
    /// Indicator columns may take this much, bytes.
    pub memory: usize,
    /// How points are replayed.
    pub how: How,
}

/// One account's figures at one point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row {
    /// Index among the points that were asked for.
    pub point: usize,
    /// The symbol; none for a portfolio.
    pub symbol: Option<Symbol>,
    /// All figures.
    pub metrics: Metrics,
}

/// Equity of one account, or of several together, at one point after each session.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept {
    /// Index among the points that were asked for.
    pub point: usize,
    /// The symbol; none for a portfolio and for several accounts together.
    pub symbol: Option<Symbol>,
    /// Starting capital, dollars.
    pub capital: f64,
    /// Sessions with any bar, and equity after them.
    pub equity: Vec<(Date, f64)>,
}

impl Kept {
    /// Simple returns of the sessions.
    pub fn returns(&self) -> Vec<f64> {
        returns(self.capital, &self.equity.iter().map(|e| e.1).collect::<Vec<f64>>())
    }
}

/// A strategy with its bars loaded, ready to replay points of its grid.
pub trait Study: Sync {
    /// Symbols, alphabetically.
    fn symbols(&self) -> Vec<Symbol>;
    /// One account for all symbols, or one each.
    fn scope(&self) -> Scope;
    /// Hash of each symbol's bars.
    fn data(&self) -> BTreeMap<Symbol, String>;
    /// Whether any bar is synthetic.
    fn is_synthetic(&self) -> bool;
    /// What an audit doubts in the bars of the period.
    fn doubts(&self) -> Vec<Finding>;
    /// Bars that count.
    fn hours(&self) -> Hours;
    /// Bars of all symbols in the period: what one point costs.
    fn bars(&self) -> u64;
    /// How many accounts a point has.
    fn accounts(&self) -> usize {
        match self.scope() {
            Scope::Portfolio => 1,
            Scope::Single => self.symbols().len(),
        }
    }
    /// The places of the config's settings that each axis of the grid sets.
    fn paths(&self) -> Vec<Vec<String>>;

    /// Whether every point is one that the config may hold.
    ///
    /// # Errors
    /// Config error that names a point.
    fn check(&self, points: &[u64]) -> Result<()>;

    /// Whether there are sessions to replay in a period: of every account.
    ///
    /// # Errors
    /// Data error that names the symbol and the period.
    fn covers(&self, period: (Date, Date)) -> Result<()>;

    /// Replays points, given as combinations of the grid, from one session to another. Rows are
    /// in the order of points, then of symbols; so is the equity of the points that `keep` names
    /// by their index. `done` hears how many points of one account are through.
    ///
    /// # Errors
    /// Config errors of a point; data errors of the period.
    fn run(
        &self,
        points: &[u64],
        period: (Date, Date),
        keep: &(dyn Fn(usize) -> bool + Sync),
        done: &(dyn Fn(usize) + Sync),
    ) -> Result<(Vec<Row>, Vec<Kept>)>;
}

/// What a sweep of a study tries: `points` of the grid, chosen by `choice`.
pub fn trials(strategy: &str, request: &Request<'_>, study: &dyn Study, choice: Choice, points: usize) -> Trials {
    let axes = request.grid.axes.iter().zip(study.paths());
    let axes = axes.map(|(axis, paths)| Varied { key: axis.key.clone(), paths, values: axis.values.clone() });
    Trials {
        strategy: strategy.to_owned(),
        data: study.data(),
        scope: study.scope().name().to_owned(),
        synthetic: study.is_synthetic(),
        hours: study.hours().name().to_owned(),
        start_date: request.start,
        end_date: request.end,
        axes: axes.collect(),
        settings: request.document.settings(&study.symbols()),
        conditions: request.grid.conditions.iter().map(|c| c.text().to_owned()).collect(),
        choice,
        points: points as u64,
    }
}

/// Where an axis leads.
struct Way {
    paths: Vec<Vec<String>>,
    /// Into the parameter blocks and nowhere else.
    is_parameter: bool,
}

struct Prepared<'a, S> {
    request: Request<'a>,
    symbols: Vec<Symbol>,
    loaded: Vec<Loaded<S>>,
    ways: Vec<Way>,
    config: Config,
    bars: u64,
    /// Whether an axis changes what is set aside for symbols.
    allocates: bool,
}

/// Most values of an axis that are checked one by one; of longer ones, as many with both ends.
const CHECKED_VALUES: usize = 2_000;

/// Loads what a sweep of `S` needs and checks its axes.
pub(crate) fn prepare<'a, S: Deployable + 'static>(request: &Request<'a>) -> Result<Box<dyn Study + 'a>> {
    let Request { document, archive, hours, start, end, .. } = *request;
    let period = (start, end);
    check::<S>(period, hours)?;
    request.grid.check()?;
    let config = Config::from_document(document)?;
    let mut symbols = request.symbols.unwrap_or(&config.symbols).to_vec();
    symbols.sort_unstable();
    symbols.dedup();
    let ways = request.grid.axes.iter().map(|axis| way::<S>(document, axis, &symbols)).collect::<Result<Vec<Way>>>()?;
    let mut set: Vec<(&String, &Vec<String>)> = Vec::new();
    for (axis, path) in
        request.grid.axes.iter().zip(&ways).flat_map(|(axis, way)| way.paths.iter().map(move |p| (axis, p)))
    {
        if let Some((other, _)) = set.iter().find(|(_, known)| *known == path) {
            let what = format!("--grid {other} and --grid {} both set {}", axis.key, path.join("."));
            return Err(Error::new(codes::BAD_ARGUMENT, what).help("leave one of the two out"));
        }
        set.push((&axis.key, path));
    }
    let schema = S::PARAMETERS.schema(&crate::config::schema::of::<S>());
    request.grid.axes.iter().zip(&ways).try_for_each(|(axis, way)| check_values(document, &schema, axis, way))?;
    let loaded: Vec<Loaded<S>> =
        symbols.par_iter().map(|&s| load(&config, archive, s, period)).collect::<Result<_>>()?;
    let mut study = Prepared::<S> { request: *request, symbols, loaded, ways, config, bars: 0, allocates: false };
    study.allocates = study.allocates()?;
    let histories = study.histories(&study.config)?;
    histories.iter().try_for_each(|history| check_period::<S>(history, archive, period))?;
    let bars =
        |h: &History<'_>| -> usize { h.sessions()[h.sessions_between(start, end)].iter().map(|s| s.range.len()).sum() };
    let bars = histories.iter().map(|h| bars(h) as u64).sum();
    drop(histories);
    study.bars = bars;
    Ok(Box::new(study))
}

fn way<S: Deployable>(document: &Document, axis: &Axis, symbols: &[Symbol]) -> Result<Way> {
    let probe = Override::new(&axis.key, Value::Null);
    let paths = probe.paths(document.value());
    if paths.is_empty() {
        let what = format!("--grid {}: the config has no such value", axis.key);
        return Err(Error::new(codes::BAD_ARGUMENT, what)
            .at(document.path.display())
            .help("name a parameter (rsi_period), a symbol's (TSLA.rsi_period), or a path (execution.friction_bps)"));
    }
    // Another symbol's parameters change nothing here.
    let is_of_other = |path: &Vec<String>| {
        S::PARAMETERS == Parameters::BySymbol
            && PARAMETER_BLOCKS.contains(&path[0].as_str())
            && path.get(1).is_some_and(|name| symbols.iter().all(|s| s.as_str() != name))
    };
    let paths: Vec<Vec<String>> = paths.into_iter().filter(|path| !is_of_other(path)).collect();
    if paths.is_empty() {
        let what = format!("--grid {}: that symbol is not among those swept", axis.key);
        return Err(Error::new(codes::BAD_ARGUMENT, what).help("add it to --symbols, or leave the axis out"));
    }
    let hours = ["premarket", "after_hours"];
    if paths.iter().any(|path| path[0] == "data_requirements" && hours.contains(&path[path.len() - 1].as_str())) {
        let what = format!("--grid {}: which bars count is no parameter", axis.key);
        return Err(Error::new(codes::BAD_ARGUMENT, what).help("sweep once with --session regular and once with all"));
    }
    let settings = document.settings(symbols);
    if !paths.iter().any(|path| matters(&settings, path)) {
        let what = format!("--grid {}: no replay depends on it", axis.key);
        return Err(Error::new(codes::BAD_ARGUMENT, what).help("leave it out: all its points would be the same"));
    }
    let is_parameter = paths.iter().all(|path| PARAMETER_BLOCKS.contains(&path[0].as_str()) && path.len() > 1);
    Ok(Way { paths, is_parameter })
}

/// Whether a replay depends on a path of the config.
fn matters(settings: &Value, path: &[String]) -> bool {
    settings.pointer(&format!("/{}", path.join("/"))).is_some()
}

/// Each value alone must be one that the config may hold; what two values may not be together is
/// seen point by point.
fn check_values(document: &Document, schema: &Value, axis: &Axis, way: &Way) -> Result<()> {
    let count = axis.values.len();
    let checked = count.min(CHECKED_VALUES);
    (0..checked).into_par_iter().try_for_each(|i| {
        let value = &axis.values[if checked > 1 { i * (count - 1) / (checked - 1) } else { 0 }];
        let document = document.with(&[Override::new(&axis.key, value.clone())])?;
        let found = match way.is_parameter {
            true => examine_parameters(&document, schema),
            false => crate::config::schema::examine(crate::config::common_schema(), document.value(), ""),
        };
        match found.into_iter().find(|f| f.severity == Severity::Error) {
            Some(first) => Err(Error::new(first.code, first.what)
                .at(document.path.display())
                .help(format!("choose other values for --grid {}", axis.key))),
            None => Ok(()),
        }
    })
}

/// A config with the points that share it.
struct Group {
    document: Document,
    config: Config,
    /// Indices of the points, each with its strategy by symbol.
    points: Vec<usize>,
}

impl<S: Deployable> Prepared<'_, S> {
    fn histories(&self, config: &Config) -> Result<Vec<History<'_>>> {
        let hours = self.request.hours.unwrap_or_else(|| config.hours());
        self.loaded.iter().map(|l| History::new(l.series.symbol, S::TIMEFRAME, l.series.bars(), hours)).collect()
    }

    /// Dollars set aside for all configured symbols, swept or not.
    fn allocated(config: &Config) -> Result<f64> {
        let of = |&symbol: &Symbol| Ok(S::from_config(config, symbol)?.allocation().unwrap_or(0.0));
        config.symbols.iter().map(of).sum()
    }

    fn allocates(&self) -> Result<bool> {
        let base = Self::allocated(&self.config)?;
        for (way, axis) in self.ways.iter().zip(&self.request.grid.axes).filter(|(way, _)| way.is_parameter) {
            for value in [axis.values.first(), axis.values.last()].into_iter().flatten() {
                let mut config = self.config.clone();
                way.paths.iter().for_each(|path| config.set_parameter(path, value));
                if Self::allocated(&config)? != base {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Whether a point whose parameters are in `config` may be held.
    fn affords(&self, group: &Group, config: &Config, point: u64) -> Result<()> {
        let power = group.document.number("account_info.buying_power").unwrap_or(f64::INFINITY);
        let needed = if self.allocates { Self::allocated(config)? } else { 0.0 };
        if needed <= power {
            return Ok(());
        }
        let what = format!("the allocations add up to {needed}, above account_info.buying_power {power} dollars");
        Err(self.at_point(Error::new(codes::CONTRADICTION, what), point))
    }

    /// Points by the config that the axes outside the parameter blocks give them.
    fn groups(&self, points: &[u64]) -> Result<Vec<Group>> {
        let grid = self.request.grid;
        let settings: Vec<usize> = (0..self.ways.len()).filter(|&i| !self.ways[i].is_parameter).collect();
        let mut known: HashMap<Vec<String>, usize> = HashMap::new();
        let mut groups: Vec<Group> = Vec::new();
        for (i, &point) in points.iter().enumerate() {
            let values = grid.values(point);
            let key: Vec<String> = settings.iter().map(|&axis| values[axis].to_string()).collect();
            let group = match known.get(&key) {
                Some(&group) => group,
                None => {
                    let change = |&axis: &usize| Override::new(&grid.axes[axis].key, values[axis].clone());
                    let changes: Vec<Override> = settings.iter().map(change).collect();
                    let document = self.request.document.with(&changes)?;
                    let config = Config::from_document(&document).map_err(|e| self.at_point(e, point))?;
                    let beyond = contradictions::<S>(&document).into_iter().find(|f| self.is_of_settings(f));
                    if let Some(finding) = beyond {
                        return Err(self.at_point(Error::from(finding), point));
                    }
                    groups.push(Group { document, config, points: Vec::new() });
                    known.insert(key, groups.len() - 1);
                    groups.len() - 1
                }
            };
            groups[group].points.push(i);
        }
        Ok(groups)
    }

    /// Contradictions within the parameters are seen with each point's own.
    fn is_of_settings(&self, finding: &Finding) -> bool {
        let of_parameters = PARAMETER_BLOCKS.iter().any(|block| finding.subject.starts_with(block));
        // What must fit a parameter is seen with that parameter's own value.
        let fits_one = finding.subject == "data_requirements.warmup_bars" && self.ways.iter().any(|w| w.is_parameter);
        !of_parameters && !fits_one
    }

    fn at_point(&self, error: Error, point: u64) -> Error {
        let what = format!("{error}; that is point {}", self.request.grid.describe(point));
        Error::new(error.code(), what).help("exclude such points with --where, e.g. --where \"lower < upper\"")
    }

    /// The strategies of one point, in the order of the symbols.
    fn strategies(&self, group: &Group, config: &mut Config, point: u64) -> Result<Vec<S>> {
        let values = self.request.grid.values(point);
        for (way, value) in self.ways.iter().zip(values).filter(|(way, _)| way.is_parameter) {
            way.paths.iter().for_each(|path| config.set_parameter(path, value));
        }
        let strategies: Vec<S> = self.symbols.iter().map(|&s| S::from_config(config, s)).collect::<Result<_>>()?;
        let path = if S::PARAMETERS == Parameters::Common { "strategy_parameters" } else { "parameters" };
        let contradiction = strategies.iter().find_map(|s| s.contradictions(path, &group.document).into_iter().next());
        match contradiction {
            Some(finding) => Err(self.at_point(Error::new(finding.code, finding.what), point)),
            None => Ok(strategies),
        }
    }

    /// Adds what one group's points leave in one account of `histories`.
    #[expect(clippy::too_many_arguments, reason = "one place, called twice")]
    fn sweep(
        &self,
        histories: &[History<'_>],
        group: &Group,
        strategies: &[(usize, S)],
        period: (Date, Date),
        splits: &[&[Split]],
        keep: &(dyn Fn(usize) -> bool + Sync),
        done: &(dyn Fn(usize) + Sync),
    ) -> Result<Vec<(usize, Metrics, Option<Kept>)>> {
        let whole = group.config.account_info.initial_capital;
        let adjust = |i: usize, date: Date| if S::ADJUSTED { 1.0 } else { split_factor(splits[i], date) };
        let borrowed: Vec<&History<'_>> = histories.iter().collect();
        let benchmark = Benchmark::new(&buy_and_hold(&borrowed, period.0, period.1, adjust));
        let capital = |s: &S| match self.scope() {
            Scope::Portfolio => whole,
            Scope::Single => s.allocation().unwrap_or(whole),
        };
        // Points with one capital run together.
        let mut by_capital: BTreeMap<u64, Vec<(usize, S)>> = BTreeMap::new();
        for (i, s) in strategies {
            by_capital.entry(capital(s).to_bits()).or_default().push((*i, *s));
        }
        let mut all = Vec::with_capacity(strategies.len());
        for (capital, members) in by_capital {
            let terms = Terms {
                capital: f64::from_bits(capital),
                costs: group.config.costs(),
                limits: group.config.limits(),
                start: period.0,
                end: period.1,
            };
            let Request { memory, how, .. } = self.request;
            // Symbols with an account each run side by side.
            let memory = memory / self.accounts();
            let sweep = Sweep { histories, terms, benchmark: &benchmark, memory, how };
            let points: Vec<S> = members.iter().map(|m| m.1).collect();
            all.extend(sweep.run(&points, |n, judged| {
                let point = members[n].0;
                let equity = || judged.dates.iter().copied().zip(judged.equity.iter().copied()).collect();
                let symbol = (self.scope() == Scope::Single).then(|| histories[0].symbol);
                let kept = keep(point).then(|| Kept { point, symbol, capital: terms.capital, equity: equity() });
                done(1);
                (point, judged.metrics, kept)
            })?);
        }
        Ok(all)
    }
}

impl<S: Deployable + 'static> Study for Prepared<'_, S> {
    fn symbols(&self) -> Vec<Symbol> {
        self.symbols.clone()
    }

    fn scope(&self) -> Scope {
        match S::PARAMETERS {
            Parameters::Common => Scope::Portfolio,
            Parameters::BySymbol => Scope::Single,
        }
    }

    fn data(&self) -> BTreeMap<Symbol, String> {
        self.loaded.iter().map(|l| (l.series.symbol, l.series.hash.clone())).collect()
    }

    fn is_synthetic(&self) -> bool {
        self.loaded.iter().any(|l| l.series.provenance == SYNTHETIC)
    }

    fn doubts(&self) -> Vec<Finding> {
        let all = self.loaded.iter().flat_map(|l| &l.findings);
        all.filter(|f| f.severity > Severity::Note).cloned().collect()
    }

    fn hours(&self) -> Hours {
        self.request.hours.unwrap_or_else(|| self.config.hours())
    }

    fn bars(&self) -> u64 {
        self.bars
    }

    fn paths(&self) -> Vec<Vec<String>> {
        let settings = self.request.document.settings(&self.symbols);
        let counts = |path: &&Vec<String>| matters(&settings, path);
        let of = |way: &Way| way.paths.iter().filter(counts).map(|path| path.join(".")).collect();
        self.ways.iter().map(of).collect()
    }

    fn check(&self, points: &[u64]) -> Result<()> {
        // Chunk by chunk, since each may need configs of its own.
        for points in points.chunks(4_096) {
            for group in self.groups(points)? {
                group.points.par_iter().try_for_each_init(
                    || group.config.clone(),
                    |config, &i| {
                        self.strategies(&group, config, points[i])?;
                        self.affords(&group, config, points[i])
                    },
                )?;
            }
        }
        Ok(())
    }

    fn covers(&self, period: (Date, Date)) -> Result<()> {
        let histories = self.histories(&self.config)?;
        let each = histories.iter().map(|h| check_period::<S>(h, self.request.archive, period));
        match self.scope() {
            Scope::Single => each.collect(),
            // One symbol's bars make a session of the account.
            Scope::Portfolio => each.reduce(|a, b| a.or(b)).unwrap_or(Ok(())),
        }
    }

    fn run(
        &self,
        points: &[u64],
        period: (Date, Date),
        keep: &(dyn Fn(usize) -> bool + Sync),
        done: &(dyn Fn(usize) + Sync),
    ) -> Result<(Vec<Row>, Vec<Kept>)> {
        let (mut rows, mut kept) = (Vec::new(), Vec::new());
        for group in self.groups(points)? {
            let strategies: Vec<Vec<S>> = group
                .points
                .par_iter()
                .map_init(|| group.config.clone(), |config, &i| self.strategies(&group, config, points[i]))
                .collect::<Result<_>>()?;
            let histories = self.histories(&group.config)?;
            let splits: Vec<&[Split]> = self.loaded.iter().map(|l| &l.splits[..]).collect();
            let of_symbol = |k: usize| -> Vec<(usize, S)> {
                group.points.iter().zip(&strategies).map(|(&i, by_symbol)| (i, by_symbol[k])).collect()
            };
            match self.scope() {
                Scope::Portfolio => {
                    let all = self.sweep(&histories, &group, &of_symbol(0), period, &splits, keep, done)?;
                    for (point, metrics, equity) in all {
                        rows.push(Row { point, symbol: None, metrics });
                        kept.extend(equity);
                    }
                }
                Scope::Single => {
                    // Few points of many symbols: the symbols run side by side.
                    let each: Vec<Vec<(usize, Metrics, Option<Kept>)>> = (0..histories.len())
                        .into_par_iter()
                        .map(|k| {
                            let one = std::slice::from_ref(&histories[k]);
                            self.sweep(one, &group, &of_symbol(k), period, &splits[k..=k], keep, done)
                        })
                        .collect::<Result<_>>()?;
                    for (symbol, all) in self.symbols.iter().zip(each) {
                        for (point, metrics, equity) in all {
                            rows.push(Row { point, symbol: Some(*symbol), metrics });
                            kept.extend(equity);
                        }
                    }
                }
            }
        }
        rows.sort_by_key(|row| (row.point, row.symbol));
        kept.sort_by_key(|kept| (kept.point, kept.symbol));
        Ok((rows, kept))
    }
}

/// All accounts of each point as one: capitals and equity added up, in the order of the symbols.
/// An account without a session on a date is worth what it was before.
pub fn together(kept: &[Kept]) -> Vec<Kept> {
    kept.chunk_by(|a, b| a.point == b.point).map(one).collect()
}

fn one(accounts: &[Kept]) -> Kept {
    let mut dates: Vec<Date> = accounts.iter().flat_map(|a| a.equity.iter().map(|e| e.0)).collect();
    dates.sort_unstable();
    dates.dedup();
    let mut at = vec![0; accounts.len()];
    let mut worth: Vec<f64> = accounts.iter().map(|a| a.capital).collect();
    let equity = dates.into_iter().map(|date| {
        for ((account, at), worth) in accounts.iter().zip(&mut at).zip(&mut worth) {
            if let Some((_, equity)) = account.equity.get(*at).filter(|e| e.0 == date) {
                (*worth, *at) = (*equity, *at + 1);
            }
        }
        (date, worth.iter().fold(0.0, |sum, w| sum + w))
    });
    let equity = equity.collect();
    let symbol = if let [only] = accounts { only.symbol } else { None };
    Kept { point: accounts[0].point, symbol, capital: accounts.iter().fold(0.0, |sum, a| sum + a.capital), equity }
}
