//! One JSON Schema says what a config may hold: editors read it, and [`examine`] applies it
//! with messages for people. Types, ranges and units stand beside the fields, in the derives.

use std::collections::HashSet;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

use super::document::join;
use crate::bar::Date;
use crate::error::codes;
use crate::finding::{Finding, nearest};

/// What a number means, e.g. `dollars`: an annotation that editors ignore.
const UNIT: &str = "x-unit";
/// What a pattern allows, in words.
const ALLOWED: &str = "x-allowed";

/// The schema of `T`: self-contained, without references and without `null`.
pub fn of<T: JsonSchema>() -> Schema {
    let settings = SchemaSettings::draft2020_12().with(|s| s.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<T>();
    if let Some(object) = schema.as_object_mut() {
        object.values_mut().for_each(plain);
    }
    schema
}

/// Rewrites what derives write in ways that an editor shows badly: an optional value is left
/// out, never `null`; a choice of words is an `enum`.
fn plain(value: &mut Value) {
    match value {
        Value::Array(all) => all.iter_mut().for_each(plain),
        Value::Object(object) => {
            object.values_mut().for_each(plain);
            if let Some(Value::Array(types)) = object.get_mut("type") {
                types.retain(|t| t != "null");
                if let [only] = &types[..] {
                    let only = only.clone();
                    object.insert("type".to_owned(), only);
                }
            }
            let null = json!({"type": "null"});
            if let Some(Value::Array(any)) = object.get("anyOf")
                && let [some, none] = &any[..]
                && *none == null
                && let Value::Object(some) = some.clone()
            {
                object.remove("anyOf");
                some.into_iter().for_each(|(key, value)| {
                    object.entry(key).or_insert(value);
                });
            }
            if let Some(Value::Array(one)) = object.get("oneOf") {
                let words: Option<Vec<Value>> = one.iter().map(|choice| choice.get("const").cloned()).collect();
                if let Some(words) = words {
                    object.remove("oneOf");
                    object.insert("type".to_owned(), json!("string"));
                    object.insert("enum".to_owned(), Value::Array(words));
                }
            }
        }
        _ => {}
    }
}

/// Every way in which `value`, standing at `path`, differs from `schema`. Understands the
/// keywords that our schemas use ([`KEYWORDS`]); a test compares it with a full validator.
pub fn examine(schema: &Value, value: &Value, path: &str) -> Vec<Finding> {
    let mut found = Vec::new();
    walk(schema, value, path, &mut found);
    found
}

/// The keywords that [`examine`] applies, and the annotations that it may pass over.
pub const KEYWORDS: &[&str] = &[
    "type",
    "enum",
    "const",
    "pattern",
    "format",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "minItems",
    "maxItems",
    "uniqueItems",
    "items",
    "properties",
    "required",
    "additionalProperties",
    "propertyNames",
    "minProperties",
    "anyOf",
    "allOf",
    "if",
    "then",
    // Annotations.
    "$schema",
    "title",
    "description",
    "default",
    UNIT,
    ALLOWED,
];

fn walk(schema: &Value, value: &Value, path: &str, found: &mut Vec<Finding>) {
    let Some(schema) = schema.as_object() else {
        if schema == &Value::Bool(false) {
            found.push(unknown_key(path, &[]));
        }
        return;
    };
    if let Some(finding) = wrong_type(schema, value, path) {
        found.push(finding);
        return;
    }
    found.extend(wrong_choice(schema, value, path));
    match value {
        Value::Number(number) => found.extend(out_of_range(schema, number, path)),
        Value::String(text) => found.extend(wrong_text(schema, text, path)),
        Value::Array(items) => walk_array(schema, items, path, found),
        Value::Object(object) => walk_object(schema, object, path, found),
        _ => {}
    }
    combined(schema, value, path, found);
}

/// `anyOf`, and `allOf` with `if` and `then`.
fn combined(schema: &Map<String, Value>, value: &Value, path: &str, found: &mut Vec<Finding>) {
    if let Some(Value::Array(any)) = schema.get("anyOf")
        && any.iter().all(|one| !examine(one, value, path).is_empty())
    {
        let allowed = text(schema, ALLOWED);
        found.push(Finding::new(codes::MISSING_KEY, path, format!("{} needs {allowed}", here(path))));
    }
    for one in schema.get("allOf").and_then(Value::as_array).into_iter().flatten() {
        walk(one, value, path, found);
    }
    if let (Some(condition), Some(then)) = (schema.get("if"), schema.get("then"))
        && examine(condition, value, path).is_empty()
    {
        walk(then, value, path, found);
    }
}

fn wrong_type(schema: &Map<String, Value>, value: &Value, path: &str) -> Option<Finding> {
    let want = schema.get("type")?.as_str()?;
    let fits = match want {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "number" => value.is_number(),
        "integer" => value.as_f64().is_some_and(|v| v.fract() == 0.0),
        _ => false,
    };
    if fits {
        return None;
    }
    let mut want = match want {
        "object" => "an object".to_owned(),
        "array" => "a list".to_owned(),
        "integer" => "a whole number".to_owned(),
        other => format!("a {other}"),
    };
    if let Some(unit) = schema.get(UNIT).and_then(Value::as_str) {
        want = format!("{want} ({unit})");
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    let finding = Finding::new(codes::WRONG_TYPE, path, format!("{} is {kind}, it must be {want}", here(path)));
    let help = match value {
        Value::Null => "leave the key out, or write a value".to_owned(),
        Value::String(_) if want.contains("number") || want.contains("boolean") => "write it without quotes".to_owned(),
        Value::String(_) if is_named(schema) => format!("write {{\"name\": {}}}", short(value)),
        Value::String(_) if want == "a list" => format!("write it in brackets: [{}]", short(value)),
        _ => codes::WRONG_TYPE.next().to_owned(),
    };
    Some(finding.value(short(value), want).help(help))
}

/// Whether an object has a name, so that the name alone may have been written for it.
fn is_named(schema: &Map<String, Value>) -> bool {
    schema.get("properties").is_some_and(|properties| properties.get("name").is_some())
}

fn wrong_choice(schema: &Map<String, Value>, value: &Value, path: &str) -> Option<Finding> {
    let allowed = match (schema.get("const"), schema.get("enum")) {
        (Some(only), _) => std::slice::from_ref(only),
        (None, Some(Value::Array(some))) => &some[..],
        _ => return None,
    };
    if allowed.contains(value) {
        return None;
    }
    let words: Vec<String> = allowed.iter().map(short).collect();
    let list = words.join(", ");
    let what = format!("{} is {}, allowed is {list}", here(path), short(value));
    let mut finding = Finding::new(codes::NOT_ALLOWED, path, what).value(short(value), &list);
    if let Some(word) = value.as_str().and_then(|v| nearest(v, allowed.iter().filter_map(Value::as_str))) {
        finding = finding.help(format!("did you mean \"{word}\"?"));
    }
    Some(finding)
}

fn out_of_range(schema: &Map<String, Value>, number: &serde_json::Number, path: &str) -> Option<Finding> {
    let value = number.as_f64()?;
    let limit = |key: &str| schema.get(key).and_then(Value::as_f64);
    let (low, above) = (limit("minimum"), limit("exclusiveMinimum"));
    let (high, below) = (limit("maximum"), limit("exclusiveMaximum"));
    let inside = low.is_none_or(|l| value >= l)
        && above.is_none_or(|a| value > a)
        && high.is_none_or(|h| value <= h)
        && below.is_none_or(|b| value < b);
    if inside {
        return None;
    }
    let from = above.map(|a| format!("more than {a}")).or_else(|| low.map(|l| l.to_string()));
    let to = below.map(|b| format!("less than {b}")).or_else(|| high.map(|h| h.to_string()));
    let range = match (from, to) {
        (Some(from), Some(to)) => format!("{from} to {to}"),
        (Some(from), None) => format!("{from} or more"),
        (None, Some(to)) => format!("at most {to}"),
        (None, None) => return None,
    };
    let range = format!("{range} {}", text(schema, UNIT));
    let range = range.trim_end();
    let what = format!("{} is {number}, allowed are {range}", here(path));
    Some(Finding::new(codes::OUT_OF_RANGE, path, what).value(number.to_string(), range))
}

fn wrong_text(schema: &Map<String, Value>, value: &str, path: &str) -> Option<Finding> {
    let pattern = schema.get("pattern").and_then(Value::as_str);
    let fits = pattern.is_none_or(|p| regex_lite::Regex::new(p).is_ok_and(|r| r.is_match(value)));
    let exists = text(schema, "format") != "date" || value.parse::<Date>().is_ok();
    if fits && exists {
        return None;
    }
    let allowed = text(schema, ALLOWED);
    let what = format!("{} is {}, allowed is {allowed}", here(path), short(&json!(value)));
    Some(Finding::new(codes::NOT_ALLOWED, path, what).value(short(&json!(value)), allowed))
}

fn walk_array(schema: &Map<String, Value>, items: &[Value], path: &str, found: &mut Vec<Finding>) {
    let limit = |key: &str| schema.get(key).and_then(Value::as_u64);
    let count = items.len() as u64;
    if limit("minItems").is_some_and(|min| count < min) || limit("maxItems").is_some_and(|max| count > max) {
        let (min, max) = (limit("minItems").unwrap_or(0), limit("maxItems"));
        let allowed = max.map_or_else(|| format!("at least {min}"), |max| format!("{min} to {max}"));
        let code = if items.is_empty() { codes::MISSING_KEY } else { codes::OUT_OF_RANGE };
        let what = format!("{path} has {count} entries, allowed are {allowed}");
        found.push(Finding::new(code, path, what).value(count.to_string(), allowed).help("add or remove entries"));
    }
    let unique = schema.get("uniqueItems") == Some(&Value::Bool(true));
    let mut seen = HashSet::new();
    for (i, item) in items.iter().enumerate() {
        let at = format!("{path}[{i}]");
        if unique && !seen.insert(item) {
            let what = format!("{} is listed twice in {path}", short(item));
            found.push(Finding::new(codes::DUPLICATE_KEY, &at, what).help("remove one of the two"));
        }
        if let Some(each) = schema.get("items") {
            walk(each, item, &at, found);
        }
    }
}

fn walk_object(schema: &Map<String, Value>, object: &Map<String, Value>, path: &str, found: &mut Vec<Finding>) {
    let none = Map::new();
    let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&none);
    for (key, value) in object {
        let at = join(path, key);
        if let Some(names) = schema.get("propertyNames")
            && !examine(names, &json!(key), &at).is_empty()
        {
            found.push(unknown_name(names, key, &at));
            continue;
        }
        match (properties.get(key), schema.get("additionalProperties")) {
            (Some(known), _) => walk(known, value, &at, found),
            (None, Some(Value::Bool(false))) => {
                let known: Vec<&str> = properties.keys().map(String::as_str).collect();
                found.push(unknown_key(&at, &known));
            }
            (None, Some(each)) => walk(each, value, &at, found),
            (None, None) => {}
        }
    }
    for key in schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
        if !object.contains_key(key) {
            let at = join(path, key);
            found.push(missing_key(properties.get(key), &at));
        }
    }
    if let Some(min) = schema.get("minProperties").and_then(Value::as_u64)
        && (object.len() as u64) < min
    {
        found.push(Finding::new(codes::MISSING_KEY, path, format!("{} is empty", here(path))));
    }
}

fn missing_key(schema: Option<&Value>, path: &str) -> Finding {
    let finding = Finding::new(codes::MISSING_KEY, path, format!("{path} is missing"));
    match schema.and_then(purpose) {
        Some(purpose) => finding.help(format!("add it: {purpose}")),
        None => finding,
    }
}

/// What a key is for; of a section also the keys that it needs.
fn purpose(schema: &Value) -> Option<String> {
    let text = schema.get("description")?.as_str()?;
    let text = text.split("\n\n").next().unwrap_or(text).replace('\n', " ");
    let text = text.trim_end_matches('.');
    let keys: Vec<&str> =
        schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    Some(if keys.is_empty() { text.to_owned() } else { format!("{text}, with {}", keys.join(", ")) })
}

/// What other engines call some of our keys.
const ELSEWHERE: &[(&str, &str)] = &[
    ("parameters", "symbol_parameters"),
    ("params", "symbol_parameters"),
    ("tickers", "symbols"),
    ("universe", "symbols"),
    ("capital", "initial_capital"),
    ("cash", "initial_capital"),
    ("slippage", "friction_bps"),
    ("slippage_bps", "friction_bps"),
    ("commission", "fee_bps"),
    ("commission_bps", "fee_bps"),
    ("interval", "timeframe"),
    ("bar_size", "timeframe"),
    ("max_positions", "max_open_positions"),
];

fn unknown_key(path: &str, known: &[&str]) -> Finding {
    let key = path.rsplit('.').next().unwrap_or(path);
    let finding = Finding::new(codes::UNKNOWN_KEY, path, format!("{path} is read by nobody"));
    let elsewhere = ELSEWHERE.iter().find(|(name, here)| *name == key && known.contains(here)).map(|(_, here)| *here);
    match nearest(key, known.iter().copied()).or(elsewhere) {
        Some("symbol_parameters") => finding
            .help("write `symbol_parameters`, by symbol, or `strategy_parameters`, as the strategy's schema says"),
        Some(name) => finding.help(format!("did you mean `{name}`?")),
        None if known.is_empty() => finding,
        None => finding.help(format!("remove it; keys here are {}", known.join(", "))),
    }
}

/// A key of an object whose keys are names: of symbols, of metrics.
fn unknown_name(names: &Value, key: &str, path: &str) -> Finding {
    let known: Vec<&str> =
        names.get("enum").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    if known.is_empty() {
        let allowed = names.get(ALLOWED).and_then(Value::as_str).unwrap_or_default();
        let what = format!("`{key}` at {path} is not {allowed}");
        let help = format!("each key here is {allowed}, and its value an object of what belongs to it");
        return Finding::new(codes::UNKNOWN_KEY, path, what).value(short(&json!(key)), allowed).help(help);
    }
    unknown_key(path, &known)
}

fn text<'a>(schema: &'a Map<String, Value>, key: &str) -> &'a str {
    schema.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// The root has no path.
fn here(path: &str) -> &str {
    if path.is_empty() { "the config" } else { path }
}

/// A value as JSON, cut if it is long.
fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(60) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}
