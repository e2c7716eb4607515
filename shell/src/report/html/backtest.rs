//! The page of a backtest.

use std::path::Path;

use magellan::bar::{Date, Symbol};
use magellan::error::Result;
use magellan::finding::Finding;
use magellan::research::backtest::Run;
use serde_json::{Value, json};

use super::page::{Kind, render};
use super::series::{self, Drawn};

/// Accounts that have charts.
const MOST_DRAWN: usize = 24;

/// What a page of a backtest is made from.
#[derive(Clone, Copy, Debug)]
pub struct Backtested<'b> {
    /// What `--json` prints.
    pub summary: &'b Value,
    /// The runs, with their closes.
    pub runs: &'b [Run],
    /// The archive's folder.
    pub archive: &'b Path,
    /// The strategy's bar width.
    pub timeframe: &'b str,
    /// First and last session asked for.
    pub period: (Date, Date),
    /// Where all trades are written, if anywhere.
    pub out: Option<&'b Path>,
    /// Trials of the strategy in the ledger.
    pub trials: u64,
}

/// The page.
///
/// # Errors
/// Usage error if it can't be made.
pub fn backtest(of: &Backtested<'_>) -> Result<String> {
    let strategy = of.summary["strategy"].as_str().unwrap_or_default();
    let mut symbols: Vec<&str> = of.runs.iter().flat_map(|run| run.symbols.iter().map(Symbol::as_str)).collect();
    symbols.sort_unstable();
    symbols.dedup();
    let (start, end) = of.period;
    let mut island = json!({
        "title": strategy,
        "backtest": of.summary,
        "facts": of.runs.iter().map(facts).collect::<Vec<Value>>(),
        "archive": of.archive.display().to_string(),
        "timeframe": of.timeframe,
        "trials": of.trials,
        "files": files(of.out),
    });
    let drawn =
        of.runs.iter().take(MOST_DRAWN).map(|run| Drawn { name: &run.label, run, closes: &run.closes, deployed: &[] });
    series::add(&mut island, &drawn.collect::<Vec<Drawn<'_>>>());
    let title = format!("{strategy} on {}, {start} to {end}, Magellan backtest", symbols.join(" "));
    render(Kind::Backtest, &title, island)
}

/// What `--json` doesn't have of a run.
fn facts(run: &Run) -> Value {
    let own = run.described.iter();
    json!({
        "period": run.label,
        "costs": {"fee_bps": run.costs.fee_bps, "fee_per_share": run.costs.fee_per_share},
        "parameters": own.map(|(symbol, values)| json!({"symbol": symbol, "values": values})).collect::<Vec<Value>>(),
        "data_findings": run.data_findings.iter().map(finding).collect::<Vec<Value>>(),
    })
}

fn finding(f: &Finding) -> Value {
    json!({"code": f.code.slug(), "severity": f.severity, "subject": f.subject, "what": f.what, "help": f.help})
}

/// Where a reader finds the trades that the page leaves out.
fn files(out: Option<&Path>) -> String {
    match out {
        Some(folder) => format!("All are in {}.", folder.join("….trades.csv").display()),
        None => "Run it again with --out DIR to have all of them in a file.".to_owned(),
    }
}
