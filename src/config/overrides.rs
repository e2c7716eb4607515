//! `--set`: another value for a key of the config, checked like the file.

use serde_json::{Value, json};

use crate::error::{Error, Result, codes};

/// One `--set`: a parameter of one symbol, a parameter of all, or any path of the config.
#[derive(Clone, Debug, PartialEq)]
pub struct Override {
    key: String,
    value: Value,
}

impl std::str::FromStr for Override {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (key, value) = text.split_once('=').filter(|(key, _)| !key.is_empty()).ok_or_else(|| {
            Error::new(codes::BAD_ARGUMENT, format!("`{text}` is not key=value"))
                .help("e.g. rsi_period=14 or TSLA.rsi_period=14")
        })?;
        let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
        Ok(Self::new(key, value))
    }
}

impl Override {
    /// Replaces every value that the key can mean; the paths that were replaced.
    pub(super) fn apply(&self, config: &mut Value) -> Result<Vec<String>> {
        let mut paths = self.paths(config);
        paths.extend(paths.is_empty().then(|| self.addition()).flatten());
        if paths.is_empty() {
            return Err(Error::new(codes::BAD_ARGUMENT, format!("{}: the config has no such value", self.key)).help(
                "name a parameter (rsi_period), a symbol's (TSLA.rsi_period), or a path (execution.friction_bps)",
            ));
        }
        for path in &paths {
            let (key, parents) = path.split_last().map_or(("", path.as_slice()), |(key, rest)| (key.as_str(), rest));
            let inside = parents.iter().try_fold(&mut *config, |value, key| match value {
                Value::Object(object) => Some(object.entry(key).or_insert_with(|| json!({}))),
                _ => None,
            });
            if let Some(Value::Object(object)) = inside {
                object.insert(key.to_owned(), self.value.clone());
            }
        }
        Ok(paths.into_iter().map(|path| path.join(".")).collect())
    }

    /// A key and its value.
    pub fn new(key: &str, mut value: Value) -> Self {
        whole_numbers(&mut value);
        Self { key: key.to_owned(), value }
    }

    /// The paths of `config` whose values this would replace.
    pub fn paths(&self, config: &Value) -> Vec<Vec<String>> {
        let exists = |path: &Vec<String>| path.iter().try_fold(config, |value, key| value.get(key)).is_some();
        self.candidates(config).into_iter().filter(exists).collect()
    }

    /// A setting of a replay that the config leaves out. Whether there is such a setting, the schema says.
    fn addition(&self) -> Option<Vec<String>> {
        let (section, key) = self.key.split_once('.').filter(|(section, _)| SETTINGS.contains(section))?;
        Some(vec![section.to_owned(), key.to_owned()])
    }

    /// Places the key can mean: each symbol's parameter, the common one, a path.
    fn candidates(&self, config: &Value) -> Vec<Vec<String>> {
        let listed = config.get("symbols").and_then(Value::as_array);
        let symbols: Vec<&str> = listed.into_iter().flatten().filter_map(Value::as_str).collect();
        let path = |keys: &[&str]| keys.iter().map(|&k| k.to_owned()).collect::<Vec<String>>();
        let of_symbol = |symbol: &str, key: &str| PARAMETER_BLOCKS.map(|block| path(&[block, symbol, key]));
        // The longest that fits: BRK.B.rsi_period is no parameter of BRK.
        let named = symbols.iter().filter_map(|s| Some((*s, self.key.strip_prefix(s)?.strip_prefix('.')?)));
        let named = named.max_by_key(|(symbol, _)| symbol.len());
        if let Some((symbol, key)) = named {
            return of_symbol(symbol, key).to_vec();
        }
        if self.key.contains('.') {
            return vec![self.key.split('.').map(str::to_owned).collect()];
        }
        let each = symbols.iter().flat_map(|s| of_symbol(s, &self.key));
        let common = ["strategy_parameters", "data_requirements", "risk_management", "execution"];
        let inside = common.map(|block| path(&[block, &self.key]));
        each.chain(inside).chain([path(&[&self.key])]).collect()
    }
}

/// Where parameters stand.
pub(crate) const PARAMETER_BLOCKS: [&str; 2] = ["symbol_parameters", "strategy_parameters"];

/// The sections besides them that a replay depends on.
const SETTINGS: [&str; 4] = ["account_info", "data_requirements", "risk_management", "execution"];

/// JSON Schema takes 5.0 for an integer; serde doesn't. A number without a fraction is whole.
pub(super) fn whole_numbers(value: &mut Value) {
    match value {
        Value::Number(n) if n.is_f64() => {
            let number = n.as_f64().unwrap_or_default();
            if number.fract() == 0.0 && number.abs() < 9e15 {
                *value = Value::from(number as i64);
            }
        }
        Value::Array(all) => all.iter_mut().for_each(whole_numbers),
        Value::Object(object) => object.values_mut().for_each(whole_numbers),
        _ => {}
    }
}
