//! What differs between two documents, leaf by leaf.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A leaf that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Changed {
    /// Its dotted path.
    pub path: String,
    /// What it was, as JSON, or `absent`.
    pub was: String,
    /// What it is, as JSON, or `absent`.
    pub is: String,
}

impl std::fmt::Display for Changed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {} → {}", self.path, self.was, self.is)
    }
}

/// The leaves in which two JSON documents differ, by path. Lists are leaves.
pub fn between(before: &Value, after: &Value) -> Vec<Changed> {
    let (before, after) = (leaves(before), leaves(after));
    let value = |all: &[(String, String)], path: &str| {
        all.iter().find(|l| l.0 == path).map_or("absent".to_owned(), |l| l.1.clone())
    };
    let mut paths: Vec<&String> = before.iter().chain(&after).map(|l| &l.0).collect();
    paths.sort();
    paths.dedup();
    let changed = |path: &String| {
        let (was, is) = (value(&before, path), value(&after, path));
        (was != is).then(|| Changed { path: path.clone(), was, is })
    };
    paths.into_iter().filter_map(changed).collect()
}

/// As [`between`], of texts; what is no JSON has no leaves.
pub fn between_texts(before: &str, after: &str) -> Vec<Changed> {
    let [before, after] = [before, after].map(|text| serde_json::from_str(text).unwrap_or_default());
    between(&before, &after)
}

fn leaves(value: &Value) -> Vec<(String, String)> {
    fn collect(path: &str, value: &Value, into: &mut Vec<(String, String)>) {
        match value {
            Value::Object(fields) => {
                let join = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
                fields.iter().for_each(|(key, value)| collect(&join(key), value, into));
            }
            other => into.push((path.to_owned(), other.to_string())),
        }
    }
    let mut all = Vec::new();
    collect("", value, &mut all);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_that_differ_are_named_with_both_values() {
        let (before, after) = (r#"{"a":{"b":1,"c":2},"d":3}"#, r#"{"a":{"b":1,"c":5},"e":4}"#);
        let lines: Vec<String> = between_texts(before, after).iter().map(Changed::to_string).collect();
        assert_eq!(lines, ["a.c: 2 → 5", "d: 3 → absent", "e: absent → 4"]);
    }
}
