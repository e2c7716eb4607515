//! `magellan ledger import`

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use magellan::bar::{Date, Symbol};
use magellan::error::{Error, Result};
use magellan::ledger::Ledger;
use magellan::registry::{self, AnyStrategy};
use magellan::research::elsewhere::{self, Imported, SharpePer, Told};
use serde_json::json;

use super::options::{Counting, Place};
use super::output::{print, to_json};
use crate::codes;
use crate::report::words::counted;

#[derive(Args, Debug)]
pub(super) struct LedgerImport {
    /// CSV or Parquet with returns (`date` and a column for each trial, or `trial`, `date` and `return`), or with
    /// parameters, `sharpe` and `sessions`.
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,
    /// The strategy whose trials these are.
    #[arg(long)]
    pub(super) strategy: String,
    /// What counted them, e.g. "optuna study 12".
    #[arg(long, value_name = "TEXT")]
    pub(super) from: String,
    /// What the column `sharpe` is over: it is never guessed.
    #[arg(long, value_enum)]
    pub(super) sharpe_per: Option<SharpePerArg>,
    /// First session replayed, of a table without dates.
    #[arg(long, requires = "end_date")]
    pub(super) start_date: Option<Date>,
    /// Last session replayed, of a table without dates.
    #[arg(long, requires = "start_date")]
    pub(super) end_date: Option<Date>,
    /// Symbols that were traded [default: those of the config].
    #[arg(long, value_delimiter = ',')]
    pub(super) symbols: Option<Vec<Symbol>>,
    /// The bars were made up.
    #[arg(long)]
    pub(super) synthetic: bool,
    /// Config whose parameters the columns name [default: deployed/<strategy>/config.json].
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    #[command(flatten)]
    pub(super) place: Place,
    #[command(flatten)]
    pub(super) counting: Counting,
    /// Print JSON.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum SharpePerArg {
    /// Annualised, by 252 sessions.
    Year,
    /// Mean over standard deviation of session returns.
    Session,
}

pub(super) fn run(options: &LedgerImport, strategies: &[&dyn AnyStrategy]) -> Result<u8> {
    let strategy = registry::find(strategies, &options.strategy)?;
    let config = match &options.config {
        Some(path) => path.clone(),
        None => options.place.deployed()?.join(strategy.name()).join("config.json"),
    };
    let document = strategy.read_document(&config, &[])?;
    let symbols = options.symbols.clone().unwrap_or_else(|| document.config().symbols.clone());
    if let Some(stranger) = symbols.iter().find(|symbol| !document.config().symbols.contains(symbol)) {
        let what = format!("--symbols {stranger}: the config has no such symbol");
        return Err(Error::new(codes::BAD_ARGUMENT, what)
            .at(config.display())
            .help("name a config that has it with --config"));
    }
    let told = Told {
        document: &document,
        symbols: &symbols,
        from: &options.from,
        sharpe_per: options.sharpe_per.map(|per| match per {
            SharpePerArg::Year => SharpePer::Year,
            SharpePerArg::Session => SharpePer::Session,
        }),
        period: options.start_date.zip(options.end_date),
        synthetic: options.synthetic,
    };
    let mut ledger = Ledger::open(&options.counting.folder(&options.place, options.synthetic)?, strategy.name())?;
    let Imported { trials, counted: (before, now), period, with_returns, notes, .. } =
        elsewhere::import(&options.file, &told, &mut ledger)?;
    print(&if options.json {
        to_json(&json!({
            "schema_version": 1,
            "strategy": strategy.name(),
            "imported": trials,
            "trials_before": before,
            "trials": now,
            "start_date": period.0,
            "end_date": period.1,
            "returns": with_returns,
            "notes": notes,
        }))
    } else {
        let what = if with_returns { "with their returns" } else { "with their Sharpe ratios" };
        let mut text = format!("{} from {} to {} {what}\n", counted(trials, "trial"), period.0, period.1);
        notes.iter().for_each(|note| text += &format!("note: {note}\n"));
        text + &format!("the ledger counted {before}, and counts {}\n", counted(now, "trial"))
    })?;
    Ok(0)
}
