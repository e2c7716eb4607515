//! A configured strategy over an archive at many points: its config's keys are the axes.
//!
//! An axis that leads into the parameter blocks gives each point its strategy; any other (costs,
//! limits, warm-up) gives it a config of its own, and points with one config are swept together.

use std::collections::{BTreeMap, HashMap};
use std::marker::PhantomData;

use rayon::prelude::*;
use serde_json::Value;

use super::backtest::at_width;
use super::equity::Kept;
use super::market::{Market, Period, Scope, check, strategies_of};
use crate::archive::Archive;
use crate::bar::{Date, Symbol, Timeframe};
use crate::config::document::Document;
use crate::config::{Checked, Config, Override, PARAMETER_BLOCKS, Parameters, examine_parameters};
use crate::deployable::Deployable;
use crate::error::{Error, Result, codes};
use crate::finding::{Finding, Severity};
use crate::history::{History, Hours};
use crate::ledger::{Trials, Varied};
use crate::metrics::{Benchmark, Metrics, Trading};
use crate::replay::Terms;
use crate::sweep::grid::{Axis, Choice, Grid};
use crate::sweep::{How, Sweep};

/// What to sweep.
#[derive(Clone, Copy, Debug)]
pub struct SweepRequest<'a> {
    /// The config, overrides applied.
    pub document: &'a Checked,
    /// Where the bars are.
    pub archive: &'a Archive,
    /// Symbols instead of the configured ones.
    pub symbols: Option<&'a [Symbol]>,
    /// Bar width instead of the strategy's own.
    pub timeframe: Option<Timeframe>,
    /// Hours instead of the configured ones.
    pub hours: Option<Hours>,
    /// First session.
    pub start: Date,
    /// Last session.
    pub end: Date,
    /// Axes and conditions.
    pub grid: &'a Grid,
    /// All points of the grid, or some of them.
    pub choice: Choice,
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
    /// Trades by direction, costs by kind, and what was refused.
    pub trading: Trading,
    /// Whether these are several accounts added up, which have only some figures.
    pub added_up: bool,
}

/// A strategy with its bars loaded, ready to replay points of its grid. What it returns is not counted yet: only this
/// crate may ask it.
pub(crate) trait Sweepable: Sync {
    /// The bars.
    fn market(&self) -> &Market;

    /// One account for all symbols, or one each.
    fn scope(&self) -> Scope;

    /// Axes and conditions.
    fn grid(&self) -> &Grid;

    /// Bars of all symbols in the period: what one point costs.
    fn bars(&self) -> u64;

    /// Starting capital of the whole account at a point, dollars.
    fn capital(&self, point: u64) -> f64;

    /// The points visited, as combinations of the grid, each one that the config may hold.
    ///
    /// # Errors
    /// Config error that names a point; usage error if there is none.
    fn points(&self) -> Result<Vec<u64>>;

    /// How points are replayed.
    fn how(&self) -> How;

    /// What so many points try.
    fn trials(&self, points: usize) -> Trials;

    /// Whether there are sessions to replay in a period: of every account.
    ///
    /// # Errors
    /// Data error that names the symbol and the period.
    fn covers(&self, period: Period) -> Result<()>;

    /// Replays points, given as combinations of the grid, from one session to another. Rows are
    /// in the order of points, then of symbols; so is the equity of the points that `keep` names
    /// by their index. `done` receives how many more points of one account are done.
    ///
    /// # Errors
    /// Config errors of a point; data errors of the period.
    fn run(
        &self,
        points: &[u64],
        period: Period,
        keep: &(dyn Fn(usize) -> bool + Sync),
        done: &(dyn Fn(usize) + Sync),
    ) -> Result<(Vec<Row>, Vec<Kept>)>;
}

/// How many accounts a point has.
pub(crate) fn accounts(strategy: &(impl Sweepable + ?Sized)) -> usize {
    match strategy.scope() {
        Scope::Portfolio => 1,
        Scope::Single => strategy.market().len(),
    }
}

/// The places of the config that an axis sets.
struct AxisPaths {
    paths: Vec<Vec<String>>,
    /// Into the parameter blocks and nowhere else.
    is_parameter: bool,
}

struct Prepared<'a, S> {
    request: SweepRequest<'a>,
    config: Config,
    market: Market,
    targets: Vec<AxisPaths>,
    /// Bars of all symbols in the period.
    bars: u64,
    /// Whether an axis changes what is set aside for symbols.
    allocates: bool,
    strategy: PhantomData<fn() -> S>,
}

/// The path of the account's starting capital.
const CAPITAL: &str = "account_info.initial_capital";

/// Most values of an axis that are checked one by one; of longer ones, as many with both ends.
const CHECKED_VALUES: usize = 2_000;

/// Loads what a sweep of `S` needs and checks its axes.
pub(crate) fn prepare<'a, S: Deployable + 'static>(request: &SweepRequest<'a>) -> Result<Box<dyn Sweepable + 'a>> {
    let SweepRequest { document, archive, timeframe, hours, start, end, grid, .. } = *request;
    let period = (start, end);
    let config = document.config().clone();
    check::<S>(&config, timeframe, period, hours)?;
    grid.check()?;
    let mut symbols = request.symbols.unwrap_or(&config.symbols).to_vec();
    symbols.sort_unstable();
    symbols.dedup();
    let targets: Vec<AxisPaths> =
        grid.axes.iter().map(|axis| axis_paths::<S>(document, axis, &symbols)).collect::<Result<_>>()?;
    check_overlap(grid, &targets)?;
    let schema = S::parameters_schema();
    grid.axes.iter().zip(&targets).try_for_each(|(axis, to)| check_values(document, &schema, axis, to))?;
    let strategies = strategies_of::<S>(&config, &symbols)?;
    let hours = hours.unwrap_or_else(|| config.hours());
    let market =
        Market::load(archive, &strategies, timeframe.unwrap_or_else(|| S::timeframe_in(&config)), period, hours)?;
    let (bars, strategy) = (market.bars_in_period()?, PhantomData);
    let mut prepared = Prepared::<S> { request: *request, config, market, targets, bars, allocates: false, strategy };
    prepared.allocates = prepared.allocates()?;
    Ok(Box::new(prepared))
}

/// Refuses two axes that set the same value.
fn check_overlap(grid: &Grid, targets: &[AxisPaths]) -> Result<()> {
    let mut set: Vec<(&String, &Vec<String>)> = Vec::new();
    for (axis, path) in grid.axes.iter().zip(targets).flat_map(|(axis, to)| to.paths.iter().map(move |p| (axis, p))) {
        if let Some((other, _)) = set.iter().find(|(_, known)| *known == path) {
            let what = format!("--grid {other} and --grid {} both set {}", axis.key, path.join("."));
            return Err(Error::new(codes::BAD_ARGUMENT, what).help("leave one of the two out"));
        }
        set.push((&axis.key, path));
    }
    Ok(())
}

fn axis_paths<S: Deployable>(document: &Checked, axis: &Axis, symbols: &[Symbol]) -> Result<AxisPaths> {
    let probe = Override::new(&axis.key, Value::Null);
    let paths = probe.paths(document.value());
    if paths.is_empty() {
        let what = format!("--grid {}: the config has no such value", axis.key);
        return Err(Error::new(codes::BAD_ARGUMENT, what).at(document.path.display()).help(
            "name a parameter (rsi_period), a symbol's (TSLA.rsi_period), or a path (execution.friction_bps); one that \
                 may be left out must be in the config, or be given with --set",
        ));
    }
    // Another symbol's parameters change nothing here.
    let is_of_other = |path: &Vec<String>| {
        S::parameters_in(document.config()) == Parameters::BySymbol
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
    Ok(AxisPaths { paths, is_parameter })
}

/// Whether a replay depends on a path of the config.
fn matters(settings: &Value, path: &[String]) -> bool {
    settings.pointer(&format!("/{}", path.join("/"))).is_some()
}

/// Each value alone must be one that the config may hold; what two values may not be together is
/// seen point by point.
fn check_values(document: &Document, schema: &Value, axis: &Axis, to: &AxisPaths) -> Result<()> {
    let count = axis.values.len();
    let checked = count.min(CHECKED_VALUES);
    (0..checked).into_par_iter().try_for_each(|i| {
        let value = &axis.values[if checked > 1 { i * (count - 1) / (checked - 1) } else { 0 }];
        let document = document.with(&[Override::new(&axis.key, value.clone())])?;
        let found = match to.is_parameter {
            true => examine_parameters(&document, schema),
            false => crate::config::schema::examine(crate::config::research_schema(), document.value(), ""),
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
    document: Checked,
    /// Indices of the points, each with its strategy by symbol.
    points: Vec<usize>,
}

impl<S: Deployable> Prepared<'_, S> {
    /// Dollars set aside for all configured symbols, swept or not.
    fn allocated(config: &Config) -> Result<f64> {
        let allocation = |&symbol: &Symbol| Ok(S::from_config(config, symbol)?.allocation().unwrap_or(0.0));
        config.symbols.iter().map(allocation).sum()
    }

    fn allocates(&self) -> Result<bool> {
        let base = Self::allocated(&self.config)?;
        for (to, axis) in self.targets.iter().zip(&self.request.grid.axes).filter(|(to, _)| to.is_parameter) {
            for value in [axis.values.first(), axis.values.last()].into_iter().flatten() {
                let mut config = self.config.clone();
                to.paths.iter().for_each(|path| config.set_parameter(path, value));
                if Self::allocated(&config)? != base {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Whether a point whose parameters are in `config` may be held.
    fn affords(&self, group: &Group, config: &Config, point: u64) -> Result<()> {
        let power = group.document.buying_power().unwrap_or(f64::INFINITY);
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
        let settings: Vec<usize> = (0..self.targets.len()).filter(|&i| !self.targets[i].is_parameter).collect();
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
                    let of_settings = |document: &Document| {
                        S::examine(document).into_iter().filter(|f| self.is_of_settings(f)).collect()
                    };
                    let document = Checked::new(document, of_settings).map_err(|e| self.at_point(e, point))?;
                    groups.push(Group { document, points: Vec::new() });
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
        let fits_one =
            finding.subject == "data_requirements.warmup_bars" && self.targets.iter().any(|to| to.is_parameter);
        !of_parameters && !fits_one
    }

    fn at_point(&self, error: Error, point: u64) -> Error {
        let what = format!("{error}; that is point {}", self.request.grid.describe(point));
        Error::new(error.code(), what).help(self.excluding(point, &error.to_string()))
    }

    /// A condition between the swept keys that a message names, which this point doesn't meet.
    fn excluding(&self, point: u64, message: &str) -> String {
        let grid = self.request.grid;
        let values = grid.axes.iter().zip(grid.values(point));
        let place = |axis: &Axis| message.find(axis.key.rsplit('.').next().unwrap_or(&axis.key));
        let mut named: Vec<(usize, &str, &Value)> =
            values.filter_map(|(axis, value)| Some((place(axis)?, axis.key.as_str(), value))).collect();
        named.sort_by_key(|(at, ..)| *at);
        let condition = match named[..] {
            [(_, first, a), (_, second, b), ..] if a.is_number() && b.is_number() => {
                let sign = if a.as_f64() < b.as_f64() { ">" } else { "<" };
                Some(format!("{first} {sign} {second}"))
            }
            [(_, only, value), ..] if value.is_number() => Some(format!("{only} != {value}")),
            _ => None,
        };
        match condition {
            Some(condition) => format!("exclude such points with --where, e.g. --where \"{condition}\""),
            None => {
                let keys: Vec<&str> = grid.axes.iter().map(|axis| axis.key.as_str()).collect();
                format!("exclude such points with --where, which may name {}", keys.join(", "))
            }
        }
    }

    /// The strategies of one point, in the order of the symbols.
    fn strategies(&self, group: &Group, config: &mut Config, point: u64) -> Result<Vec<S>> {
        let values = self.request.grid.values(point);
        for (to, value) in self.targets.iter().zip(values).filter(|(to, _)| to.is_parameter) {
            to.paths.iter().for_each(|path| config.set_parameter(path, value));
        }
        let strategies: Vec<S> =
            self.market.symbols().into_iter().map(|s| S::from_config(config, s)).collect::<Result<_>>()?;
        let path = if S::parameters_in(config) == Parameters::Common { "strategy_parameters" } else { "parameters" };
        let contradiction = strategies.iter().find_map(|s| s.contradictions(path, &group.document).into_iter().next());
        match contradiction {
            Some(finding) => Err(self.at_point(Error::new(finding.code, finding.what), point)),
            None => Ok(strategies),
        }
    }

    /// Replays one group's points in one account.
    fn sweep(&self, account: &Account<'_>, group: &Group, strategies: &[(usize, S)]) -> Result<Vec<Replayed>> {
        let (start, end) = account.period;
        let histories: Vec<&History<'_>> = account.histories.iter().collect();
        let benchmark = Benchmark::new(&account.market.buy_and_hold(&histories, account.period));
        let mut all = Vec::with_capacity(strategies.len());
        let config = group.document.config();
        for (capital, members) in self.by_capital(config, strategies) {
            let (costs, conditions, limits) = (config.costs(), config.conditions(), config.limits());
            let terms = Terms { capital, costs, conditions, limits, start, end };
            let SweepRequest { memory, how, .. } = self.request;
            // Symbols with an account each run side by side.
            let memory = memory / accounts(self);
            let sweep = Sweep { histories: account.histories, terms, benchmark: &benchmark, memory, how };
            let points: Vec<S> = members.iter().map(|m| m.1).collect();
            let replayed = sweep.run(&points, |n, judged| {
                let point = members[n].0;
                let equity = || judged.dates.iter().copied().zip(judged.equity.iter().copied()).collect();
                let symbol = account.symbol;
                let kept = (account.keep)(point).then(|| Kept { point, symbol, capital, equity: equity() });
                (account.done)(1);
                (Row { point, symbol, metrics: judged.metrics, trading: judged.trading, added_up: false }, kept)
            })?;
            all.extend(replayed.into_inner());
        }
        Ok(all)
    }

    /// Points with one capital run together.
    fn by_capital(&self, config: &Config, strategies: &[(usize, S)]) -> Vec<(f64, Vec<(usize, S)>)> {
        let whole = config.account_info.initial_capital;
        let mut groups: BTreeMap<u64, Vec<(usize, S)>> = BTreeMap::new();
        for &(point, strategy) in strategies {
            let capital = match self.scope() {
                Scope::Portfolio => whole,
                Scope::Single => strategy.allocation().unwrap_or(whole),
            };
            groups.entry(capital.to_bits()).or_default().push((point, strategy));
        }
        groups.into_iter().map(|(bits, members)| (f64::from_bits(bits), members)).collect()
    }

    /// Replays one group's points in all their accounts.
    fn sweep_group(
        &self,
        group: &Group,
        points: &[u64],
        period: Period,
        keep: &(dyn Fn(usize) -> bool + Sync),
        done: &(dyn Fn(usize) + Sync),
    ) -> Result<Vec<Replayed>> {
        let strategies: Vec<Vec<S>> = group
            .points
            .par_iter()
            .map_init(|| group.document.config().clone(), |config, &i| self.strategies(group, config, points[i]))
            .collect::<Result<_>>()?;
        let of_symbol = |k: usize| -> Vec<(usize, S)> {
            group.points.iter().zip(&strategies).map(|(&i, by_symbol)| (i, by_symbol[k])).collect()
        };
        let histories = self.market.all_histories()?;
        match self.scope() {
            Scope::Portfolio => {
                let (market, histories) = (self.market.some(0..self.market.len()), &histories[..]);
                let account = Account { market, histories, symbol: None, period, keep, done };
                self.sweep(&account, group, &of_symbol(0))
            }
            Scope::Single => {
                // Few points of many symbols: the symbols run side by side.
                let one = |k: usize| {
                    let (market, histories) = (self.market.some(k..k + 1), &histories[k..=k]);
                    let account = Account { market, histories, symbol: Some(histories[0].symbol), period, keep, done };
                    self.sweep(&account, group, &of_symbol(k))
                };
                let each: Vec<Vec<Replayed>> = (0..histories.len()).into_par_iter().map(one).collect::<Result<_>>()?;
                Ok(each.into_iter().flatten().collect())
            }
        }
    }

    /// Refuses points that the config may not hold.
    fn check(&self, points: &[u64]) -> Result<()> {
        // Chunk by chunk, since each may need configs of its own.
        for points in points.chunks(4_096) {
            for group in self.groups(points)? {
                group.points.par_iter().try_for_each_init(
                    || group.document.config().clone(),
                    |config, &i| {
                        self.strategies(&group, config, points[i])?;
                        self.affords(&group, config, points[i])
                    },
                )?;
            }
        }
        Ok(())
    }

    /// The places of the config's settings that each axis of the grid sets.
    fn setting_paths(&self) -> Vec<Vec<String>> {
        let settings = self.request.document.settings(&self.market.symbols());
        let counts = |path: &&Vec<String>| matters(&settings, path);
        let paths = |to: &AxisPaths| to.paths.iter().filter(counts).map(|path| path.join(".")).collect();
        self.targets.iter().map(paths).collect()
    }
}

/// One account of a sweep: its bars, and who wants to know of its points.
struct Account<'s> {
    market: Market,
    histories: &'s [History<'s>],
    /// None for a portfolio.
    symbol: Option<Symbol>,
    period: Period,
    keep: &'s (dyn Fn(usize) -> bool + Sync),
    done: &'s (dyn Fn(usize) + Sync),
}

/// What one point left in one account.
type Replayed = (Row, Option<Kept>);

impl<S: Deployable + 'static> Sweepable for Prepared<'_, S> {
    fn market(&self) -> &Market {
        &self.market
    }

    fn how(&self) -> How {
        self.request.how
    }

    fn scope(&self) -> Scope {
        match S::parameters_in(&self.config) {
            Parameters::Common => Scope::Portfolio,
            Parameters::BySymbol => Scope::Single,
        }
    }

    fn grid(&self) -> &Grid {
        self.request.grid
    }

    fn bars(&self) -> u64 {
        self.bars
    }

    fn capital(&self, point: u64) -> f64 {
        let grid = self.request.grid;
        let swept = grid.axes.iter().zip(grid.values(point)).find(|(axis, _)| axis.key == CAPITAL);
        swept.and_then(|(_, value)| value.as_f64()).unwrap_or(self.config.account_info.initial_capital)
    }

    fn points(&self) -> Result<Vec<u64>> {
        let points = self.request.choice.points(self.request.grid)?;
        if points.is_empty() {
            return Err(Error::new(codes::BAD_ARGUMENT, "no point of the grid meets the conditions")
                .help("widen --grid, or drop a --where"));
        }
        self.check(&points)?;
        Ok(points)
    }

    fn trials(&self, points: usize) -> Trials {
        let SweepRequest { document, grid, choice, timeframe, start, end, .. } = self.request;
        let axes = grid.axes.iter().zip(self.setting_paths());
        let axes = axes.map(|(axis, paths)| Varied { key: axis.key.clone(), paths, values: axis.values.clone() });
        Trials {
            strategy: S::name_in(&self.config),
            data: self.market.data(),
            scope: self.scope().name().to_owned(),
            synthetic: self.market.is_synthetic(),
            hours: self.market.hours().name().to_owned(),
            start_date: start,
            end_date: end,
            axes: axes.collect(),
            settings: at_width(document.settings(&self.market.symbols()), timeframe),
            conditions: grid.conditions.iter().map(|c| c.text().to_owned()).collect(),
            choice,
            points: points as u64,
        }
    }

    fn covers(&self, period: Period) -> Result<()> {
        let histories = self.market.all_histories()?;
        let each = histories.iter().map(|h| self.market.check_period(h, period));
        match self.scope() {
            Scope::Single => each.collect(),
            // One symbol's bars make a session of the account.
            Scope::Portfolio => each.reduce(|a, b| a.or(b)).unwrap_or(Ok(())),
        }
    }

    fn run(
        &self,
        points: &[u64],
        period: Period,
        keep: &(dyn Fn(usize) -> bool + Sync),
        done: &(dyn Fn(usize) + Sync),
    ) -> Result<(Vec<Row>, Vec<Kept>)> {
        let (mut rows, mut kept) = (Vec::new(), Vec::new());
        for group in self.groups(points)? {
            for (row, equity) in self.sweep_group(&group, points, period, keep, done)? {
                rows.push(row);
                kept.extend(equity);
            }
        }
        rows.sort_by_key(|row| (row.point, row.symbol));
        kept.sort_by_key(|kept| (kept.point, kept.symbol));
        Ok((rows, kept))
    }
}
