//! Stage 1: every deployed config and unit, alone, against each other, against the calendar and against the archive.
//! Everything that is wrong is found in one run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use magellan::archive::Archive;
use magellan::bar::{Date, Symbol, Timeframe};
use magellan::calendar::{self, Calendar};
use magellan::config::document::{self, Document, Part};
use magellan::config::{self, Period, check_calendar};
use magellan::deployed::discover;
use magellan::deployed::{self, Deployed};
use magellan::disk::map;
use magellan::error::{Code, Error, ErrorKind, Result};
use magellan::finding::Finding;
use magellan::history::{History, Hours};
use magellan::registry::{self, AnyStrategy};
use serde_json::Value;

use crate::release::Environment;
use crate::unit::Unit;
use crate::{codes, policy, stray};

/// What was validated, and what was found.
#[derive(Debug, Default)]
pub struct Validated {
    /// Configs read.
    pub configs: usize,
    /// Units read.
    pub units: usize,
    /// Environment files read.
    pub environments: usize,
    /// Strategies whose config lacks only what research does without.
    pub researchable: Vec<String>,
    /// Everything found, by file and in the order of its text.
    pub findings: Vec<Finding>,
    /// Texts that findings point into.
    pub texts: BTreeMap<PathBuf, String>,
}

impl Validated {
    /// Adds an error; if it lies in a text, the text too, so that it can be shown.
    fn push(&mut self, err: &Error) {
        let mut finding = Finding::from(err);
        if let (Some(span), Some(file)) = (finding.span, &finding.file)
            && let Ok(text) = map::bytes_up_to(file, document::LIMIT).map(|b| String::from_utf8_lossy(&b).into_owned())
        {
            finding.span = Some(span.within(&text));
            self.texts.insert(file.clone(), text);
        }
        self.findings.push(finding);
    }
}

/// Validates every strategy under `deployed`, or only the one called `only`. Without an archive nothing is said of the
/// bars that configs need.
///
/// # Errors
/// Config error if no strategy is deployed: nothing to check is never a pass.
pub fn validate(
    deployed: &Path,
    only: Option<&str>,
    strategies: &[&dyn AnyStrategy],
    archive: Option<&Result<Archive>>,
) -> Result<Validated> {
    let all = discover(deployed)?;
    let mut done = Validated::default();
    let mut documents = Vec::new();
    for one in &all {
        match Document::read(&one.config, &[]) {
            Ok(document) => documents.push((one, document)),
            Err(err) if wanted(only, one) => done.push(&err),
            Err(_) => {}
        }
    }
    let chosen: Vec<&Deployed> = all.iter().filter(|one| wanted(only, one)).collect();
    if chosen.is_empty() {
        return Err(Error::new(codes::NOT_DEPLOYED, format!("`{}` is not deployed", only.unwrap_or_default())));
    }
    if let Some(Err(err)) = archive {
        done.findings.push(Finding::from(err));
    }
    done.findings.extend(shared_accounts(&documents).into_iter().filter(|(one, _)| wanted(only, one)).map(|f| f.1));
    for (one, document) in documents.into_iter().filter(|(one, _)| wanted(only, one)) {
        done.configs += 1;
        let known = registry::find(strategies, &one.name).ok();
        let found = config::examine(&document).len();
        done.researchable
            .extend(known.filter(|_| found > 0).and_then(|s| s.check(document.clone()).ok()).map(|_| one.name.clone()));
        let archive = archive.and_then(|archive| archive.as_ref().ok());
        done.findings.extend(of_config(one, &document, strategies, archive));
        done.texts.insert(document.path, document.text);
    }
    let all_units: Vec<String> = all.iter().map(|one| deployed::unit_name(&one.name)).collect();
    done.findings.extend(stray::of_deployed(deployed));
    for one in chosen {
        done.findings
            .extend(one.config.parent().map(|folder| stray::of_strategy(folder, &one.name)).into_iter().flatten());
        match Unit::read(&one.unit()) {
            Ok(unit) => {
                done.units += 1;
                done.findings.extend(unit.examine(&one.name));
                done.texts.insert(unit.path, unit.text);
            }
            Err(err) => done.push(&err),
        }
    }
    let mut environments = Vec::new();
    for path in Environment::all(deployed) {
        done.environments += 1;
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        match Environment::read_as(&path, &name).and_then(|e| e.check_services(&all_units).map(|()| e)) {
            Ok(environment) => environments.push(environment),
            Err(err) => done.push(&err),
        }
    }
    shared_targets(&environments).iter().for_each(|err| done.push(err));
    if let Err(err) = policy::read(deployed) {
        done.push(&err);
    }
    done.findings.sort_by(|a, b| (&a.file, a.span).cmp(&(&b.file, b.span)));
    Ok(done)
}

fn wanted(only: Option<&str>, one: &Deployed) -> bool {
    only.is_none_or(|only| only == one.name)
}

fn of_config(
    one: &Deployed,
    document: &Document,
    strategies: &[&dyn AnyStrategy],
    archive: Option<&Archive>,
) -> Vec<Finding> {
    let mut found = config::examine(document);
    let strategy = match registry::find(strategies, &one.name) {
        Ok(strategy) => strategy,
        Err(err) => {
            let finding = Finding::new(err.code(), "strategy.name", err.what()).help(err.suggestion());
            found.push(document.place(finding, Part::Value));
            return found;
        }
    };
    found.extend(strategy.examine(document));
    let periods = periods(document);
    let calendar = archive.map_or(Calendar::Xnys, Archive::calendar);
    found.extend(against_calendar(strategy, document, &periods, calendar));
    if let Some(archive) = archive {
        found.extend(against_archive(strategy, document, &periods, archive));
    }
    found
}

/// One account traded by two strategies: each would take the other's positions for its own.
fn shared_accounts<'a>(documents: &[(&'a Deployed, Document)]) -> Vec<(&'a Deployed, Finding)> {
    let mut found = Vec::new();
    for path in ["account_info.account_id", "ssm_parameters.api_key_path", "ssm_parameters.api_secret_path"] {
        // Names that differ by case or spaces are one name to whoever reads them.
        let name = |d: &Document| d.text_at(path).map(|text| text.trim().to_lowercase());
        for (i, (one, document)) in documents.iter().enumerate() {
            let same = |(_, d): &&(&Deployed, Document)| name(document).is_some() && name(d) == name(document);
            let others = documents.iter().enumerate().filter(|(k, _)| *k != i).map(|(_, d)| d);
            if let Some((other, _)) = others.filter(same).min_by_key(|(o, _)| &o.name) {
                let value = document.text_at(path).unwrap_or_default();
                let what = format!("{path} is {value}, which is also that of {}", other.name);
                let finding = Finding::new(codes::SHARED_ACCOUNT, path, what).value(value, "a name of its own");
                found.push((*one, document.place(finding, Part::Value)));
            }
        }
    }
    found
}

/// A live strategy runs on one target only: two would trade its account. Archived bars trade nothing.
fn shared_targets(environments: &[Environment]) -> Vec<Error> {
    let live: Vec<&Environment> = environments.iter().filter(|e| !e.archived_data).collect();
    let mut found = Vec::new();
    for (i, one) in live.iter().enumerate() {
        for other in &live[..i] {
            if let Some(unit) = one.services.iter().find(|unit| other.services.contains(unit)) {
                let what = format!("services names {unit}, which {} has, too", other.name);
                found.push(Error::new(codes::SHARED_ACCOUNT, what).at_line(&one.path, one.line_of(unit), None));
            }
        }
    }
    found
}

/// The items of a list with their places, or none.
fn list<'a>(document: &'a Document, path: &str) -> impl Iterator<Item = (usize, &'a Value)> {
    document.get(path).and_then(Value::as_array).into_iter().flatten().enumerate()
}

/// The periods that are right, whatever else is wrong with a document.
fn periods(document: &Document) -> Vec<(usize, Period)> {
    list(document, "performance_criteria.periods")
        .filter_map(|(i, period)| Some((i, serde_json::from_value::<Period>(period.clone()).ok()?)))
        .filter(|(_, period)| period.start_date <= period.end_date)
        .collect()
}

/// Bars and periods that no archive could have.
fn against_calendar(
    strategy: &dyn AnyStrategy,
    document: &Document,
    periods: &[(usize, Period)],
    calendar: Calendar,
) -> Vec<Finding> {
    let mut found = Vec::new();
    if strategy.timeframe() == Timeframe::Week {
        let what = format!("{} trades {} bars, which no gate judges", strategy.name(), Timeframe::Week);
        found.push(Finding::new(codes::WEEKLY_BARS, "data_requirements.timeframe", what));
    }
    let broker = "ssm_parameters.base_url";
    if let Err(err) = document.text_at(broker).map_or(Ok(()), |url| check_calendar(url, calendar)) {
        found.push(Finding::new(err.code(), broker, err.what()).help(err.suggestion()));
    }
    for (i, Period { name, start_date, end_date }) in periods {
        for (key, date) in [("start_date", start_date), ("end_date", end_date)] {
            if let Err(err) = calendar::check_covered(*date) {
                found.push(Finding::new(err.code(), period_path(*i, key), err.what()));
            }
        }
        if calendar.sessions(*start_date, *end_date).next().is_none() {
            let what = format!("the exchange has no session in {name}: {start_date} to {end_date}");
            found.push(Finding::new(codes::NO_BARS, period_path(*i, "start_date"), what));
        }
    }
    found.into_iter().map(|finding| document.place(finding, Part::Value)).collect()
}

/// Symbols, periods and warm-up, as far as the archive goes. Looks at what is right in a
/// document whatever else is wrong with it.
fn against_archive(
    strategy: &dyn AnyStrategy,
    document: &Document,
    periods: &[(usize, Period)],
    archive: &Archive,
) -> Vec<Finding> {
    let mut found = Vec::new();
    let hours = match document.flag("data_requirements.premarket") {
        Some(true) => Hours::All,
        _ => Hours::Regular,
    };
    let mut lacks: BTreeMap<Lack, Vec<Symbol>> = BTreeMap::new();
    for (k, symbol) in list(document, "symbols") {
        let Some(symbol) = symbol.as_str().and_then(|s| s.parse::<Symbol>().ok()) else { continue };
        match of_symbol(strategy, symbol, hours, periods, document, archive) {
            Ok(lacking) => lacking.into_iter().for_each(|lack| lacks.entry(lack).or_default().push(symbol)),
            Err(err) => {
                let what = format!("{symbol}: {}", err.what());
                found.push(Finding::new(err.code(), format!("symbols[{k}]"), what).help(err.suggestion()));
            }
        }
    }
    for ((subject, code, what), symbols) in lacks {
        let symbols: Vec<&str> = symbols.iter().map(Symbol::as_str).collect();
        found.push(Finding::new(code, subject, format!("{}: {what}", symbols.join(" "))));
    }
    let of_archive = |finding: &mut Finding| {
        let folder = archive.folder().display();
        finding.help =
            format!("{}; or name another archive than {folder} with --archive DIR or MAGELLAN_ARCHIVE", finding.help);
    };
    found
        .iter_mut()
        .filter(|f| f.code.kind() == ErrorKind::Data && f.code != codes::OUTSIDE_CALENDAR)
        .for_each(of_archive);
    found.into_iter().map(|finding| document.place(finding, Part::Value)).collect()
}

/// Path, code and what is lacking: the same for many symbols, so said once.
type Lack = (String, Code, String);

fn period_path(index: usize, key: &str) -> String {
    format!("performance_criteria.periods[{index}].{key}")
}

fn of_symbol(
    strategy: &dyn AnyStrategy,
    symbol: Symbol,
    hours: Hours,
    periods: &[(usize, Period)],
    document: &Document,
    archive: &Archive,
) -> Result<Vec<Lack>> {
    let timeframe = strategy.timeframe();
    let series = archive.load(symbol, timeframe)?;
    let history = series.history(hours)?;
    let warmup: usize = document.typed("data_requirements.warmup_bars").unwrap_or(0);
    let mut lacks = Vec::new();
    for (i, period) in periods {
        lacks.extend(uncovered(&history, *i, period));
        let sessions = &history.sessions()[..history.sessions_between(period.start_date, period.end_date).end];
        let bars = sessions.last().map_or(0, |s| s.ordinal + s.range.len());
        if bars > 0 && bars <= warmup && warmup <= config::LONGEST_WARMUP {
            let what = format!("{bars} bars up to {}, all of them warm-up ({warmup})", period.end_date);
            lacks.push((period_path(*i, "end_date"), codes::NO_WARM_UP, what));
        }
    }
    Ok(lacks)
}

/// Which ends of a period a symbol's bars don't reach.
fn uncovered(history: &History<'_>, index: usize, period: &Period) -> Vec<Lack> {
    let mut days = history.calendar().sessions(period.start_date, period.end_date).map(|s| s.date);
    let Some(first) = days.next() else { return Vec::new() };
    let last = days.last().unwrap_or(first);
    let sessions = history.sessions();
    let (Some(from), Some(to)) = (sessions.first(), sessions.last()) else {
        return vec![(period_path(index, "start_date"), codes::NO_BARS, "no bar lies in a session".to_owned())];
    };
    let (from, to): (Date, Date) = (from.session.date, to.session.date);
    let (name, has) = (&period.name, format!("bars from {from} to {to}"));
    let ends = [
        (from > first, "start_date", format!("{has}, but {name} starts {first}")),
        (to < last, "end_date", format!("{has}, but {name} ends {last}")),
    ];
    let lacking = ends.into_iter().filter(|(lacks, _, _)| *lacks);
    lacking.map(|(_, key, what)| (period_path(index, key), codes::PERIOD_UNCOVERED, what)).collect()
}

/// The JSON Schema of `config.json`, for editors: keys, types, ranges, and each strategy's
/// parameters.
pub fn config_schema(strategies: &[&dyn AnyStrategy]) -> Value {
    use serde_json::json;
    let mut all = config::common_schema().clone();
    let names: Vec<&str> = strategies.iter().map(|s| s.name()).collect();
    all["title"] = json!("Magellan: deployed/<strategy>/config.json");
    all["properties"]["strategy"]["properties"]["name"]["enum"] = json!(names);
    let by_strategy: Vec<Value> = strategies
        .iter()
        .map(|s| {
            let is_it = json!({"properties": {"strategy": {"properties": {"name": {"const": s.name()}}, "required": ["name"]}}, "required": ["strategy"]});
            json!({"if": is_it, "then": s.parameters_schema()})
        })
        .collect();
    all["allOf"] = json!(by_strategy);
    all
}
