//! What files of bars were taken for, as text and as JSON.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use magellan::archive::import::{Preview, Recognised};
use serde_json::{Value, json};

/// More files than this are told in groups.
const MOST: usize = 12;

/// All that is known of each file.
pub fn text(preview: &Preview) -> String {
    let mut text = String::new();
    let mut failed = 0;
    for (path, file) in &preview.files {
        let _ = writeln!(text, "{}", path.display());
        match file {
            Ok(file) => {
                let symbols = symbols(file);
                let _ = writeln!(text, "  layout   {}", file.layout);
                let _ = writeln!(text, "  symbol   {symbols} (from {})", file.symbol_from);
                let _ = writeln!(text, "  width    {} (by {})", file.timeframe, file.width_from);
                let _ = writeln!(text, "  zone     {}", file.zone);
                let _ = writeln!(text, "  rows     {}, {} to {}", file.rows, file.period.0, file.period.1);
                for assumed in &file.assumed {
                    let _ = writeln!(text, "  assumed  {assumed}");
                }
                for doubtful in &file.doubtful {
                    let _ = writeln!(text, "  doubtful {doubtful}");
                }
            }
            Err(err) => {
                failed += 1;
                let _ = writeln!(text, "  error[{}]: {}", err.code().slug(), err.what());
                if let Some(place) = err.place() {
                    let _ = writeln!(text, "    at {place}");
                }
                let _ = writeln!(text, "    try: {}", err.suggestion());
            }
        }
    }
    text += &skipped(&preview.skipped);
    let _ = writeln!(text, "{} files, {failed} that can't be imported; nothing was written", preview.files.len());
    text
}

/// One line a file, or a group of files, and what was assumed.
pub fn short(files: &[Recognised]) -> String {
    let mut text = String::new();
    if files.len() <= MOST {
        for file in files {
            let (path, symbols) = (file.path.display(), symbols(file));
            let _ = writeln!(
                text,
                "  {path}: {symbols} (from {}), {} (by {}), {}",
                file.symbol_from, file.timeframe, file.width_from, file.layout
            );
        }
    } else {
        let mut groups: BTreeMap<(&str, &str, &str), usize> = BTreeMap::new();
        for file in files {
            *groups.entry((&file.symbol_from, &file.width_from, &file.layout)).or_default() += 1;
        }
        for ((symbol, width, layout), count) in groups {
            let _ = writeln!(text, "  {count} files: symbol from {symbol}, width by {width}, {layout}");
        }
    }
    let mut said: BTreeMap<(&str, &str), Vec<String>> = BTreeMap::new();
    for file in files {
        let path = || file.path.display().to_string();
        let zone = file.zone.starts_with("none").then_some("times without a zone are UTC");
        for assumed in file.assumed.iter().map(String::as_str).chain(zone) {
            said.entry(("assumed", assumed)).or_default().push(path());
        }
        for doubtful in &file.doubtful {
            said.entry(("doubtful", doubtful)).or_default().push(path());
        }
    }
    for ((kind, what), paths) in said {
        let of = if paths.len() == 1 { paths[0].clone() } else { format!("{} files", paths.len()) };
        let _ = writeln!(text, "  {kind} of {of}: {what}");
    }
    text
}

/// The files that were left out.
pub fn skipped(skipped: &[(PathBuf, String)]) -> String {
    skipped.iter().map(|(path, why)| format!("  skipped {}: {why}\n", path.display())).collect()
}

/// One file as JSON.
pub fn one(file: &Recognised) -> Value {
    json!({
        "path": file.path,
        "layout": file.layout,
        "symbols": file.symbols,
        "symbol_from": file.symbol_from,
        "timeframe": file.timeframe,
        "width_from": file.width_from,
        "zone": file.zone,
        "rows": file.rows,
        "first": file.period.0,
        "last": file.period.1,
        "assumed": file.assumed,
        "doubtful": file.doubtful,
    })
}

/// A preview as JSON.
pub fn json(preview: &Preview) -> Value {
    let file = |(path, file): &(PathBuf, magellan::error::Result<Recognised>)| match file {
        Ok(file) => one(file),
        Err(err) => json!({"path": path, "error": err.code().slug(), "what": err.to_string(), "try": err.suggestion()}),
    };
    json!({
        "schema_version": 1,
        "files": preview.files.iter().map(file).collect::<Vec<_>>(),
        "skipped": preview.skipped.iter().map(|(path, why)| json!({"path": path, "why": why})).collect::<Vec<_>>(),
    })
}

fn symbols(file: &Recognised) -> String {
    let names: Vec<&str> = file.symbols.iter().take(5).map(|s| s.as_str()).collect();
    let more = file.symbols.len().saturating_sub(names.len());
    if more == 0 { names.join(" ") } else { format!("{} and {more} more", names.join(" ")) }
}
