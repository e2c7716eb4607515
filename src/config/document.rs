//! A config as text and as values, each value with its place in the text.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};

use jsonc_parser::ast;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::overrides::{Override, PARAMETER_BLOCKS, whole_numbers};
use super::slips;
use crate::bar::Symbol;
use crate::disk::hash::sha256_hex;
use crate::disk::map;
use crate::error::{Error, Result, codes};
use crate::finding::{Finding, Span};

/// Largest config read.
pub const LIMIT: u64 = 1 << 20;

/// A config file, read but not yet examined.
#[derive(Clone, Debug)]
pub struct Document {
    /// The file.
    pub path: PathBuf,
    /// Its text as read.
    pub text: String,
    /// SHA-256 of the text; with overrides, of the JSON that they make.
    pub sha256: String,
    value: Value,
    places: BTreeMap<String, Place>,
    twice: Vec<(String, Range<usize>)>,
    overridden: BTreeSet<String>,
    assumed: BTreeMap<String, Value>,
}

/// Where a value stands, and its key.
#[derive(Clone, Debug)]
struct Place {
    key: Option<Range<usize>>,
    value: Range<usize>,
}

/// Which part of an entry is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The key; also for what is missing inside an object.
    Key,
    /// The value.
    Value,
}

impl Document {
    /// Reads a config and applies overrides (`key=value`, `SYM.key=value`).
    ///
    /// # Errors
    /// Config error if it isn't a small regular text file or not JSON; usage error if an
    /// override names nothing.
    pub fn read(path: &Path, overrides: &[Override]) -> Result<Self> {
        if !path.exists() {
            return Err(Error::new(codes::NO_CONFIG, "there is no config.json").at(path.display()));
        }
        let unreadable = |e: Error| e.recode(codes::CONFIG_UNREADABLE);
        let bytes = map::bytes_up_to(path, LIMIT).map_err(unreadable)?;
        let text = String::from_utf8(bytes.to_vec()).map_err(|e| no_text(path, &bytes, &e.utf8_error()))?;
        Self::parse(path, text, overrides)
    }

    /// As [`Document::read`], of text that is at hand.
    ///
    /// # Errors
    /// As [`Document::read`].
    pub fn parse(path: &Path, text: String, overrides: &[Override]) -> Result<Self> {
        if text.starts_with('\u{feff}') {
            return Err(Error::new(codes::CONFIG_SYNTAX, "the text begins with a byte order mark")
                .at_line(path, 1, Some(1))
                .help("save it as UTF-8 without a byte order mark"));
        }
        let mut value: Value = serde_json::from_str(&text).map_err(|e| syntax_error(path, &text, &e))?;
        whole_numbers(&mut value);
        let mut document = Self {
            path: path.to_owned(),
            sha256: sha256_hex(text.as_bytes()),
            places: BTreeMap::new(),
            twice: Vec::new(),
            overridden: BTreeSet::new(),
            assumed: BTreeMap::new(),
            value,
            text,
        };
        document.locate();
        document.apply(overrides)?;
        Ok(document)
    }

    /// Notes where everything stands. serde_json has accepted the text before, so that it is
    /// JSON and nested no deeper than 128 levels.
    fn locate(&mut self) {
        let text = std::mem::take(&mut self.text);
        let parsed = jsonc_parser::parse_to_ast(&text, &Default::default(), &Default::default());
        if let Some(root) = parsed.ok().and_then(|p| p.value) {
            self.locate_value("", None, &root);
        }
        self.text = text;
    }

    fn locate_value(&mut self, path: &str, key: Option<Range<usize>>, value: &ast::Value<'_>) {
        use jsonc_parser::common::Ranged;
        let range = value.range();
        self.places.insert(path.to_owned(), Place { key, value: range.start..range.end });
        match value {
            ast::Value::Object(object) => {
                let mut seen = BTreeSet::new();
                for property in &object.properties {
                    let name = property.name.as_str();
                    let key = property.name.range();
                    let path = join(path, name);
                    if !seen.insert(name.to_owned()) {
                        self.twice.push((path.clone(), key.start..key.end));
                    }
                    self.locate_value(&path, Some(key.start..key.end), &property.value);
                }
            }
            ast::Value::Array(array) => {
                for (i, element) in array.elements.iter().enumerate() {
                    self.locate_value(&format!("{path}[{i}]"), None, element);
                }
            }
            _ => {}
        }
    }

    /// The same document with more overrides.
    ///
    /// # Errors
    /// Usage error if an override names nothing.
    pub fn with(&self, overrides: &[Override]) -> Result<Self> {
        let mut document = self.clone();
        document.apply(overrides)?;
        Ok(document)
    }

    fn apply(&mut self, overrides: &[Override]) -> Result<()> {
        for change in overrides {
            let changed = change.apply(&mut self.value).map_err(|e| e.at(self.path.display()))?;
            changed.iter().for_each(|path| drop(self.assumed.remove(path)));
            self.overridden.extend(changed);
        }
        if !overrides.is_empty() {
            let content = serde_json::to_string_pretty(&self.value).unwrap_or_default();
            self.sha256 = sha256_hex(content.as_bytes());
        }
        Ok(())
    }

    /// Takes a value for a key of a section that isn't there.
    pub(super) fn assume(&mut self, section: &str, key: &str, value: Value) {
        if self.value.get(section).is_none_or(|section| section.get(key).is_none()) {
            self.value[section][key] = value.clone();
            self.assumed.insert(join(section, key), value);
        }
    }

    /// Takes a value for a section that isn't there: of a file of rules, which has no more than it needs.
    pub fn fill_in(&mut self, section: &str, value: Value) {
        if self.value.get(section).is_none() {
            self.value[section] = value;
        }
    }

    /// What figures depend on and the config doesn't say, with what is taken for it; null for what isn't limited.
    pub fn assumed(&self) -> &BTreeMap<String, Value> {
        &self.assumed
    }

    /// Notes that a key that limits something isn't there.
    pub(super) fn assume_none(&mut self, section: &str, key: &str) {
        if self.value.get(section).is_none_or(|section| section.get(key).is_none()) {
            self.assumed.insert(join(section, key), Value::Null);
        }
    }

    /// The value, or one that is close to it, as a `T`.
    pub(super) fn deserialize<T: DeserializeOwned>(&self, value: Value) -> Result<T> {
        serde_path_to_error::deserialize(value).map_err(|e| {
            let what = format!("{}: {}", e.path(), e.inner());
            Error::new(codes::WRONG_TYPE, what).at(self.path.display())
        })
    }

    /// Dollars that may be invested: as given, or capital times margin.
    pub fn buying_power(&self) -> Option<f64> {
        let number = |key: &str| self.number(&format!("account_info.{key}"));
        let margin = number("margin_multiplier").unwrap_or(1.0);
        number("buying_power").or_else(|| Some(number("initial_capital")? * margin))
    }

    /// The parts of the config that a replay of these symbols depends on: parameters, warm-up,
    /// costs, limits, capital. Keys in alphabetical order.
    pub fn settings(&self, symbols: &[Symbol]) -> Value {
        let names: Vec<String> = symbols.iter().map(Symbol::to_string).collect();
        let by_symbol = |block: &Value| block.as_object().is_some_and(|o| o.values().all(Value::is_object));
        let mut settings = serde_json::Map::new();
        for block in PARAMETER_BLOCKS {
            let Some(value) = self.get(block) else { continue };
            let mut value = value.clone();
            if by_symbol(&value)
                && let Some(object) = value.as_object_mut()
            {
                object.retain(|symbol, _| names.contains(symbol));
            }
            settings.insert(block.to_owned(), value);
        }
        for block in ["data_requirements", "risk_management", "execution", "rules"] {
            settings.extend(self.get(block).map(|value| (block.to_owned(), value.clone())));
        }
        let mut keys = vec!["initial_capital", "account"];
        // Nothing else asks how far a position may exceed its equity.
        if self.text_at("account_info.account") == Some("margin") {
            keys.push("margin_multiplier");
        }
        let account = keys.into_iter().filter_map(|key| Some((key, self.get("account_info")?.get(key)?.clone())));
        let account: serde_json::Map<String, Value> = account.map(|(key, value)| (key.to_owned(), value)).collect();
        if !account.is_empty() {
            settings.insert("account_info".to_owned(), Value::Object(account));
        }
        let mut settings = Value::Object(settings);
        settings.sort_all_objects();
        settings
    }

    /// As [`Document::place`], of a stretch of characters of a text.
    pub fn place_in_text(&self, finding: Finding, start: usize, end: usize) -> Finding {
        let path = finding.subject.clone();
        let mut finding = self.place(finding, Part::Value);
        let Some(place) = self.places.get(&path).filter(|_| finding.span.is_some()) else { return finding };
        let raw = &self.text[place.value.clone()];
        if raw.starts_with('"') {
            let [start, end] = [start, end].map(|characters| place.value.start + json_offset(raw, characters));
            finding.span = Some(Span::of(&self.text, start, end.max(start + 1)));
        }
        finding
    }

    /// The whole value.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// The value at a dotted path of plain keys.
    pub fn get(&self, path: &str) -> Option<&Value> {
        path.split('.').try_fold(&self.value, |value, key| value.get(key))
    }

    /// The number at a path, if there is one.
    pub fn number(&self, path: &str) -> Option<f64> {
        self.get(path)?.as_f64()
    }

    /// The text at a path, if there is one.
    pub fn text_at(&self, path: &str) -> Option<&str> {
        self.get(path)?.as_str()
    }

    /// The truth value at a path, if there is one.
    pub fn flag(&self, path: &str) -> Option<bool> {
        self.get(path)?.as_bool()
    }

    /// The value at a path as a `T`, if it is one.
    pub fn typed<T: DeserializeOwned>(&self, path: &str) -> Option<T> {
        serde_json::from_value(self.get(path)?.clone()).ok()
    }

    /// The traded symbols that are symbols.
    pub fn symbols(&self) -> Vec<Symbol> {
        let listed = self.get("symbols").and_then(Value::as_array);
        listed.into_iter().flatten().filter_map(|s| s.as_str()?.parse().ok()).collect()
    }

    /// Keys that stand twice.
    pub(super) fn duplicates(&self) -> Vec<Finding> {
        let found = |(path, range): &(String, Range<usize>)| {
            let mut finding = Finding::new(codes::DUPLICATE_KEY, path, format!("{path} stands twice"));
            finding.span = Some(Span::of(&self.text, range.start, range.end));
            finding.file(&self.path)
        };
        self.twice.iter().take(200).map(found).collect()
    }

    /// Puts file, line and column to a finding whose subject is a path of this document. What
    /// is not in the text (a missing key) is placed at the nearest object around it; what was
    /// overridden has no place but the override.
    ///
    /// Of a text, this is for what is wrong with all of it; [`Document::place_in_text`] is for a part.
    pub fn place(&self, mut finding: Finding, part: Part) -> Finding {
        finding = finding.file(&self.path);
        let overridden = |path: &str| self.overridden.iter().any(|o| path == o || path.starts_with(&format!("{o}.")));
        if overridden(&finding.subject) {
            finding.help = format!("this value was given with --set: {}", finding.help);
            return finding;
        }
        let mut path = finding.subject.as_str();
        let mut part = part;
        let place = loop {
            if let Some(place) = self.places.get(path) {
                break place;
            }
            part = Part::Key;
            match path.rfind(['.', '[']) {
                Some(at) => path = &path[..at],
                None if path.is_empty() => return finding,
                None => path = "",
            }
        };
        let range = match (part, &place.key) {
            (Part::Key, Some(key)) => key.clone(),
            // An object without a key of its own: its opening brace.
            (Part::Key, None) => place.value.start..place.value.start + 1,
            (Part::Value, _) => place.value.clone(),
        };
        finding.span = Some(Span::of(&self.text, range.start, range.end));
        finding
    }
}

/// Bytes of JSON text after which so many characters of a string have stood, its opening quote included.
fn json_offset(raw: &str, characters: usize) -> usize {
    let (mut at, mut seen) = (1, 0);
    while seen < characters {
        let rest = &raw[at.min(raw.len())..];
        let mut letters = rest.chars();
        at += match letters.next() {
            None => break,
            Some('\\') if rest.starts_with("\\u") => {
                // A character beyond the first 65,536 is written as two.
                let is_first_half = rest
                    .get(2..4)
                    .is_some_and(|hex| matches!(hex.to_ascii_lowercase().as_str(), "d8" | "d9" | "da" | "db"));
                if is_first_half { 12 } else { 6 }
            }
            Some('\\') => 2,
            Some(letter) => letter.len_utf8(),
        };
        seen += 1;
    }
    at.min(raw.len().saturating_sub(1))
}

/// `path.key`, or `key` at the root.
pub(crate) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// What is meant where the text isn't JSON; if no rule knows it, serde's message without its own position, which stands
/// in front: `file:line:column`.
fn syntax_error(path: &Path, text: &str, err: &serde_json::Error) -> Error {
    let (line, column) = (err.line().max(1), err.column().max(1));
    let start: usize = text.split_inclusive('\n').take(line - 1).map(str::len).sum();
    let refused = text.floor_char_boundary((start + column - 1).min(text.len()));
    if let Some(slip) = slips::find(text, refused) {
        let span = Span::of(text, slip.range.start, slip.range.end);
        return Error::new(codes::CONFIG_SYNTAX, slip.what).at_line(path, span.line, Some(span.column)).help(slip.help);
    }
    let message = err.to_string();
    let what = message.split(" at line ").next().unwrap_or(&message);
    Error::new(codes::CONFIG_SYNTAX, what).at_line(path, line, Some(column))
}

/// What a file is that isn't UTF-8.
fn no_text(path: &Path, bytes: &[u8], err: &std::str::Utf8Error) -> Error {
    let err = match bytes {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Error::new(codes::CONFIG_UNREADABLE, "the file is UTF-16, not UTF-8"),
        _ => Error::new(codes::CONFIG_UNREADABLE, format!("not UTF-8 text: {err}")),
    };
    err.at(path.display()).help("save it as UTF-8 without a byte order mark")
}
