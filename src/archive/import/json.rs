//! Bars from JSON: Alpaca's and Polygon's answers, lists of objects, one object a line.
//!
//! They become a table of text, so that one reader settles names, times and symbols.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Map, Value};

use super::csv;
use super::told::Told;
use crate::archive::row::BarFile;
use crate::error::{Error, Result, codes, quoted};

/// Reads a document.
pub(crate) fn bars(path: &Path, bytes: &[u8], told: &Told) -> Result<BarFile> {
    let values: std::result::Result<Vec<Value>, _> = serde_json::Deserializer::from_slice(bytes).into_iter().collect();
    let values = values.map_err(|e| Error::new(codes::SOURCE_UNREADABLE, format!("not readable JSON: {e}")))?;
    let document = match <[Value; 1]>::try_from(values) {
        Ok([one]) => one,
        Err(many) => Value::Array(many),
    };
    let found = Found::of(&document).ok_or_else(|| {
        let begin = String::from_utf8_lossy(bytes.get(..300).unwrap_or(bytes)).into_owned();
        let begin = begin.split_whitespace().collect::<Vec<_>>().join(" ");
        // A refusal that was saved in place of bars is a fault; any other document is something else.
        let says = |key: &String| {
            let key = key.to_ascii_lowercase();
            ["message", "error", "code", "status", "note", "information"].iter().any(|word| key.contains(word))
        };
        let is_answer = document.as_object().is_some_and(|object| object.keys().any(says));
        let named_otherwise = !path.to_string_lossy().to_ascii_lowercase().contains(".json");
        let code = if is_answer || named_otherwise { codes::SOURCE_UNREADABLE } else { codes::NOT_A_SOURCE };
        Error::new(code, format!("JSON without bars; it begins {}", quoted(&begin)))
            .help("bars are a list of objects with a time, open, high, low, close and volume")
    })?;
    let mut file = csv::bars(path, found.table()?.as_bytes(), told)?;
    file.layout = format!("JSON, {}", found.layout);
    if found.continues {
        file.assumed.push("next_page_token is set: more pages follow, and they aren't in this file".to_owned());
    }
    Ok(file)
}

/// Whose bars they are, as far as it is said, and the bars.
type Series<'a> = (Option<&'a str>, Vec<&'a Map<String, Value>>);

/// The bars of a document.
struct Found<'a> {
    layout: &'static str,
    series: Vec<Series<'a>>,
    continues: bool,
}

impl<'a> Found<'a> {
    fn of(document: &'a Value) -> Option<Self> {
        if let Value::Array(all) = document {
            return Some(Self { layout: "a list of bars", series: vec![(None, objects(all)?)], continues: false });
        }
        let object = document.as_object()?;
        let continues = ["next_page_token", "next_url"].iter().any(|k| object.get(*k).is_some_and(|v| !v.is_null()));
        let symbol = ["symbol", "ticker"].iter().find_map(|k| object.get(*k)?.as_str());
        let found = |layout, series| Some(Self { layout, series, continues });
        match (object.get("bars"), object.get("results")) {
            (Some(Value::Array(bars)), _) => found("Alpaca", vec![(symbol, objects(bars)?)]),
            (Some(Value::Object(by_symbol)), _) => {
                let of =
                    |(symbol, bars): (&'a String, &'a Value)| Some((Some(symbol.as_str()), objects(bars.as_array()?)?));
                found("Alpaca", by_symbol.iter().map(of).collect::<Option<_>>()?)
            }
            (_, Some(Value::Array(bars))) => found("Polygon", vec![(symbol, objects(bars)?)]),
            _ => None,
        }
    }

    /// The bars as a table of text.
    fn table(&self) -> Result<String> {
        let (mut names, mut seen): (Vec<&str>, BTreeSet<&str>) = (Vec::new(), BTreeSet::new());
        for bar in self.series.iter().flat_map(|s| &s.1) {
            for key in bar.keys().filter(|k| !bar[*k].is_array() && !bar[*k].is_object()) {
                if seen.insert(key) {
                    names.push(key);
                }
            }
        }
        let named = self.series.iter().all(|s| s.0.is_some());
        let mut out = ::csv::Writer::from_writer(Vec::new());
        let fault = |e: &dyn std::fmt::Display| Error::new(codes::SOURCE_UNREADABLE, e.to_string());
        out.write_record(names.iter().copied().chain(named.then_some("symbol"))).map_err(|e| fault(&e))?;
        for (symbol, bars) in &self.series {
            for bar in bars {
                let text = |name: &&str| match bar.get(*name) {
                    None | Some(Value::Null) => String::new(),
                    Some(Value::String(text)) => text.clone(),
                    Some(other) => other.to_string(),
                };
                let symbol = symbol.filter(|_| named).map(str::to_owned);
                out.write_record(names.iter().map(text).chain(symbol)).map_err(|e| fault(&e))?;
            }
        }
        let bytes = out.into_inner().map_err(|e| fault(&e))?;
        String::from_utf8(bytes).map_err(|e| fault(&e))
    }
}

/// A list of objects, and nothing else.
fn objects(values: &[Value]) -> Option<Vec<&Map<String, Value>>> {
    values.iter().map(Value::as_object).collect()
}
