//! What no schema can say: values that can't both hold. Each rule looks at what is there and
//! passes over what is missing or of a wrong type, which the schema has found already.

use std::collections::BTreeSet;

use serde_json::Value;

use super::document::Document;
use crate::bar::{Date, Symbol, Timeframe};
use crate::error::codes;
use crate::finding::Finding;

pub(super) fn find(document: &Document) -> Vec<Finding> {
    let rules = [buying_power, hours, interval, parameters_without_symbol, trading_days, periods, levels, keys];
    rules.iter().flat_map(|rule| rule(document)).collect()
}

fn contradiction(path: impl Into<String>, what: impl Into<String>) -> Finding {
    Finding::new(codes::CONTRADICTION, path, what)
}

fn buying_power(document: &Document) -> Vec<Finding> {
    let number = |key: &str| document.number(&format!("account_info.{key}"));
    let (Some(capital), Some(margin), Some(power)) =
        (number("initial_capital"), number("margin_multiplier"), number("buying_power"))
    else {
        return Vec::new();
    };
    if (power / (capital * margin) - 1.0).abs() <= 1e-6 {
        return Vec::new();
    }
    let want = capital * margin;
    let what = format!("account_info.buying_power is {power}, capital times margin is {want} dollars");
    vec![
        contradiction("account_info.buying_power", what)
            .value(power.to_string(), want.to_string())
            .help(format!("write {want}, or change initial_capital or margin_multiplier")),
    ]
}

fn hours(document: &Document) -> Vec<Finding> {
    let flag = |key: &str| document.flag(&format!("data_requirements.{key}"));
    match (flag("premarket"), flag("after_hours")) {
        (Some(before), Some(after)) if before != after => {
            let what = "data_requirements: premarket and after_hours differ";
            let help = "a replay has regular hours (both false) or all hours (both true)";
            vec![
                contradiction("data_requirements.after_hours", what)
                    .value(after.to_string(), before.to_string())
                    .help(help),
            ]
        }
        (Some(true), Some(true)) if whole_sessions(document) => {
            let what = "data_requirements.premarket is true, but days and weeks have no hours to choose";
            vec![contradiction("data_requirements.premarket", what).value("true", "false").help("write false for both")]
        }
        _ => Vec::new(),
    }
}

fn whole_sessions(document: &Document) -> bool {
    let timeframe: Option<Timeframe> = document.typed("data_requirements.timeframe");
    timeframe.is_some_and(|timeframe| !timeframe.is_intraday())
}

fn interval(document: &Document) -> Vec<Finding> {
    let path = "trading_hours.signal_check_interval_minutes";
    let timeframe: Option<Timeframe> = document.typed("data_requirements.timeframe");
    let (Some(minutes), Some(timeframe)) = (document.number(path), timeframe) else { return Vec::new() };
    let width = (timeframe.width() / crate::bar::MINUTE) as f64;
    if minutes <= width {
        return Vec::new();
    }
    let what = format!("{path} is {minutes}, a {timeframe} bar completes every {width} minutes");
    vec![contradiction(path, what).value(minutes.to_string(), format!("1 to {width} minutes, at most a bar"))]
}

/// Parameters of a symbol that isn't traded would be read by nobody.
fn parameters_without_symbol(document: &Document) -> Vec<Finding> {
    if !document.get("symbols").is_some_and(Value::is_array) {
        return Vec::new();
    }
    let symbols: BTreeSet<Symbol> = document.symbols().into_iter().collect();
    let mut found = Vec::new();
    for block in ["symbol_parameters", "strategy_parameters"] {
        for key in document.get(block).and_then(Value::as_object).into_iter().flat_map(|o| o.keys()) {
            let untraded = key.parse::<Symbol>().is_ok_and(|s| !symbols.contains(&s));
            if untraded {
                let what = format!("{block}.{key}: {key} is not in symbols");
                let help = format!("add {key} to symbols or remove its parameters");
                found.push(contradiction(format!("{block}.{key}"), what).help(help));
            }
        }
    }
    found
}

fn trading_days(document: &Document) -> Vec<Finding> {
    let path = "trading_hours.trading_days";
    let days: Option<Vec<String>> = document.typed(path);
    let short = |d: &String| d.to_ascii_uppercase().chars().take(3).collect::<String>();
    let Some(days) = days.map(|all| all.iter().map(short).collect::<Vec<String>>().join(",")) else {
        return Vec::new();
    };
    let want = "MON,TUE,WED,THU,FRI";
    if days == want {
        return Vec::new();
    }
    vec![Finding::new(codes::NOT_ALLOWED, path, format!("{path} is {days}, allowed is {want}")).value(days, want)]
}

fn periods(document: &Document) -> Vec<Finding> {
    let path = "performance_criteria.periods";
    let periods = document.get(path).and_then(Value::as_array);
    let (mut found, mut names) = (Vec::new(), BTreeSet::new());
    for (i, period) in periods.into_iter().flatten().enumerate() {
        let date = |key: &str| period.get(key)?.as_str()?.parse::<Date>().ok();
        if let (Some(start), Some(end)) = (date("start_date"), date("end_date"))
            && start > end
        {
            let what = format!("{path}[{i}] starts {start}, after its end {end}");
            found.push(
                contradiction(format!("{path}[{i}].end_date"), what)
                    .value(end.to_string(), format!("{start} or later"))
                    .help("exchange the two dates, or correct one"),
            );
        }
        let name = period.get("name").and_then(Value::as_str);
        if name.is_some_and(|name| !names.insert(name)) {
            let what = format!("{path}[{i}] has the name of an earlier period");
            found.push(contradiction(format!("{path}[{i}].name"), what).help("give every period its own name"));
        }
    }
    found
}

fn keys(document: &Document) -> Vec<Finding> {
    let path = |key: &str| format!("ssm_parameters.{key}");
    let (key, secret) = (document.text_at(&path("api_key_path")), document.text_at(&path("api_secret_path")));
    match (key, secret) {
        (Some(key), Some(secret)) if key == secret => {
            let what = "ssm_parameters.api_secret_path is that of the key";
            vec![
                contradiction(path("api_secret_path"), what)
                    .value(secret, "another path")
                    .help("name the secret's path"),
            ]
        }
        _ => Vec::new(),
    }
}

/// Warn levels are stricter than fail levels.
fn levels(document: &Document) -> Vec<Finding> {
    let path = "performance_criteria.criteria";
    let mut found = Vec::new();
    for (name, levels) in document.get(path).and_then(Value::as_object).into_iter().flatten() {
        let level = |key: &str| levels.get(key).and_then(Value::as_f64);
        let weaker = [
            ("warn_below", level("warn_below").filter(|w| level("fail_below").is_none_or(|f| *w < f))),
            ("warn_above", level("warn_above").filter(|w| level("fail_above").is_none_or(|f| *w > f))),
        ];
        for (key, level) in weaker {
            if let Some(level) = level {
                let what = format!("{path}.{name}.{key}: a warn level must be stricter than its fail level");
                let help = "warn_below at or above fail_below; warn_above at or below fail_above";
                found.push(
                    contradiction(format!("{path}.{name}.{key}"), what).value(level.to_string(), help).help(help),
                );
            }
        }
        if let (Some(below), Some(above)) = (level("fail_below"), level("fail_above"))
            && below > above
        {
            let what = format!("{path}.{name} fails below {below} and above {above}: no value passes");
            found.push(contradiction(format!("{path}.{name}"), what).help("fail_below must be at most fail_above"));
        }
    }
    found
}
