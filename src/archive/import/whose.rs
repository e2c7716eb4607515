//! Whose bars a file holds: by what is said, by a column, by a folder, by the file's name.

use std::path::Path;

use super::name::{self, Named};
use super::told::Told;
use crate::bar::Symbol;
use crate::error::{Error, Result, codes};

/// Whose bars a file holds, and how that is known.
#[derive(Clone, Debug)]
pub(crate) struct Whose {
    /// The symbol of every row; none, if each row says its own.
    pub(crate) symbol: Option<Symbol>,
    pub(crate) from: String,
}

/// The column's name where the header itself names symbols.
pub(crate) const HEADER: &str = "header";

/// Settles it. `column` is the name of the column that named `symbols`.
///
/// # Errors
/// Data error if nothing tells, or two of them contradict each other.
pub(crate) fn whose(path: &Path, told: &Told, column: Option<&str>, symbols: &[Symbol]) -> Result<Whose> {
    let folder = name::partition_symbol(path)?;
    let named = name::symbol(path);
    if let Some(column) = column {
        return by_column(path, told, column, symbols, folder, &named);
    }
    let of = |symbol: Symbol, from: String| Ok(Whose { symbol: Some(symbol), from });
    match (told.symbol, folder, named) {
        (Some(symbol), ..) => of(symbol, "--symbol".to_owned()),
        (None, Some((symbol, folder)), Named::Symbol(other)) if other != symbol => {
            let what = format!("the folder `{folder}` says {symbol}, the file's name {other}");
            Err(Error::new(codes::SYMBOL_UNCLEAR, what))
        }
        (None, Some((symbol, folder)), _) => of(symbol, format!("folder `{folder}`")),
        (None, None, Named::Symbol(symbol)) => of(symbol, "file name".to_owned()),
        (None, None, Named::Several(all)) => {
            let what = format!("the file's name could mean {}", all.join(" or "));
            Err(Error::new(codes::SYMBOL_UNCLEAR, what))
        }
        (None, None, Named::Nothing) => Err(Error::new(
            codes::MISSING_VALUE,
            "neither a symbol column nor a file name that says a symbol",
        )
        .help(
            "say it with --symbol AMC, add a column `symbol`, or name the file like AMC_1min_20240401_20240630.parquet",
        )),
    }
}

fn by_column(
    path: &Path,
    told: &Told,
    column: &str,
    symbols: &[Symbol],
    folder: Option<(Symbol, String)>,
    named: &Named,
) -> Result<Whose> {
    let listed = || {
        let names: Vec<&str> = symbols.iter().take(5).map(Symbol::as_str).collect();
        let more = if symbols.len() > 5 { format!(" and {} more", symbols.len() - 5) } else { String::new() };
        names.join(", ") + &more
    };
    if let Some(symbol) = told.symbol {
        if symbols.len() > 1 {
            let what = format!("`{column}` names {}, and --symbol is for files of one symbol", listed());
            return Err(Error::new(codes::SYMBOL_UNCLEAR, what).help("leave out --symbol"));
        }
        return Ok(Whose { symbol: Some(symbol), from: "--symbol".to_owned() });
    }
    let differs = |other: Symbol| !symbols.is_empty() && symbols != [other];
    if let Some((symbol, folder)) = folder
        && differs(symbol)
    {
        let what = format!("`{column}` says {}, the folder `{folder}` {symbol}", listed());
        return Err(Error::new(codes::SYMBOL_UNCLEAR, what));
    }
    if let Named::Symbol(symbol) = named {
        // A word in small letters names many things, unless it is all there is.
        let written = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let alone = symbols.len() == 1 && column != HEADER && name::is_alone(path, *symbol);
        if differs(*symbol) && (written.contains(symbol.as_str()) || alone) {
            let what = format!("`{column}` says {}, the file's name {symbol}", listed());
            let help = match symbols {
                [one] => format!("say which is right: --symbol {one} or --symbol {symbol}"),
                _ => "rename the file, if the column is right".to_owned(),
            };
            return Err(Error::new(codes::SYMBOL_UNCLEAR, what).help(help));
        }
    }
    let from = if column == HEADER { "the header".to_owned() } else { format!("column `{column}`") };
    Ok(Whose { symbol: None, from })
}
