//! `magellan replay`

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use magellan::archive::tables;
use magellan::bar::{Date, Symbol};
use magellan::disk::map;
use magellan::error::{Error, Result};
use magellan::finding::Finding;
use magellan::ledger::Ledger;
use magellan::orders::{Account, Insufficient, Options, Session};
use magellan::research::orders::{OrdersRequest, OrdersRun, STRATEGY, replay_orders};

use super::options::{Counting, Place, SessionArg, is_synthetic};
use super::output::{Claim, claim, print, to_json};
use crate::codes;
use crate::report::{orders, table};

#[derive(Args, Debug)]
pub(super) struct Replay {
    /// The orders: CSV or Parquet, a row each.
    #[arg(long, value_name = "FILE")]
    orders: PathBuf,
    /// The settings below as a JSON object; a flag wins over the file.
    #[arg(long, value_name = "FILE")]
    options: Option<PathBuf>,
    /// Dividends instead of the archive's: symbol,ex_date,amount.
    #[arg(long, value_name = "FILE")]
    dividends: Option<PathBuf>,
    /// Delistings instead of the archive's: symbol,last_date,haircut.
    #[arg(long, value_name = "FILE")]
    delistings: Option<PathBuf>,
    /// Write fills, trades, orders, equity and metrics into this folder.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    counting: Counting,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: Settings,
}

/// The keys of the options file as flags.
#[derive(Args, Debug)]
#[command(next_help_heading = "Settings, as in the options file")]
struct Settings {
    /// Symbols replayed, e.g. AAPL,SPY.
    #[arg(long, value_delimiter = ',')]
    symbols: Option<Vec<Symbol>>,
    /// Width of the bars: 1min, 1hour or 1day.
    #[arg(long)]
    bars: Option<String>,
    /// Starting capital, dollars.
    #[arg(long, value_name = "X", allow_negative_numbers = true, value_parser = number)]
    capital: Option<f64>,
    /// Bars of the regular session only [default], or all.
    #[arg(long, value_enum)]
    session: Option<SessionArg>,
    /// First session, YYYY-MM-DD [default: the first there is].
    #[arg(long, value_name = "DATE")]
    start: Option<Date>,
    /// Last session, YYYY-MM-DD [default: the last there is].
    #[arg(long, value_name = "DATE")]
    end: Option<Date>,
    /// Prices back-adjusted for splits, which then don't happen.
    #[arg(long)]
    adjusted: bool,
    /// What is checked at a fill [default: cash].
    #[arg(long, value_enum)]
    account: Option<AccountArg>,
    /// Dollars of positions a dollar of equity, on a margin account [default: 1].
    #[arg(long, value_name = "X", allow_negative_numbers = true, value_parser = number)]
    leverage: Option<f64>,
    /// Refuse an order that the account can't pay for [default], or shrink it.
    #[arg(long = "on-insufficient", value_enum)]
    on_insufficient: Option<InsufficientArg>,
    /// Slippage, basis points a side.
    #[arg(long, value_name = "X", allow_negative_numbers = true, value_parser = number)]
    slippage_bps: Option<f64>,
    /// Half of the spread, dollars a share.
    #[arg(long, value_name = "X", allow_negative_numbers = true, value_parser = number)]
    half_spread: Option<f64>,
    /// Fee, dollars a share.
    #[arg(long, value_name = "X", allow_negative_numbers = true, value_parser = number)]
    fee_per_share: Option<f64>,
    /// Fee, basis points of the amount.
    #[arg(long, value_name = "X", allow_negative_numbers = true, value_parser = number)]
    fee_bps: Option<f64>,
    /// Smallest fee of an order, dollars.
    #[arg(long, value_name = "X", allow_negative_numbers = true, value_parser = number)]
    fee_min: Option<f64>,
    /// Fee for borrowed shares, basis points a year.
    #[arg(long, value_name = "X", allow_negative_numbers = true, value_parser = number)]
    borrow_bps: Option<f64>,
    /// Interest on negative cash, basis points a year.
    #[arg(long, value_name = "X", allow_negative_numbers = true, value_parser = number)]
    margin_rate_bps: Option<f64>,
    /// Fraction of a bar's volume that one symbol's fills may take.
    #[arg(long, value_name = "X", allow_negative_numbers = true, value_parser = number)]
    participation: Option<f64>,
    /// Coefficient of the square-root impact.
    #[arg(long, value_name = "X", allow_negative_numbers = true, value_parser = number)]
    impact: Option<f64>,
    /// Quantities in steps of 1e-6 share.
    #[arg(long)]
    fractional: bool,
    /// Resting limits and targets need a price beyond their level.
    #[arg(long)]
    strict_limits: bool,
}

/// Neither infinity nor what is no number, which JSON can't say.
fn number(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|number: &f64| number.is_finite()).ok_or_else(|| "it must be a number".to_owned())
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum AccountArg {
    Cash,
    Margin,
    Unlimited,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum InsufficientArg {
    Reject,
    Shrink,
}

impl Settings {
    fn options(&self) -> Options {
        Options {
            symbols: self.symbols.clone(),
            bars: self.bars.clone(),
            capital: self.capital,
            session: self.session.map(|session| match session {
                SessionArg::Regular => Session::Regular,
                SessionArg::All => Session::All,
            }),
            start: self.start,
            end: self.end,
            adjusted: self.adjusted.then_some(true),
            account: self.account.map(|account| match account {
                AccountArg::Cash => Account::Cash,
                AccountArg::Margin => Account::Margin,
                AccountArg::Unlimited => Account::Unlimited,
            }),
            leverage: self.leverage,
            on_insufficient: self.on_insufficient.map(|what| match what {
                InsufficientArg::Reject => Insufficient::Reject,
                InsufficientArg::Shrink => Insufficient::Shrink,
            }),
            slippage_bps: self.slippage_bps,
            half_spread: self.half_spread,
            fee_per_share: self.fee_per_share,
            fee_bps: self.fee_bps,
            fee_min: self.fee_min,
            borrow_bps: self.borrow_bps,
            margin_rate_bps: self.margin_rate_bps,
            participation: self.participation,
            impact: self.impact,
            fractional: self.fractional.then_some(true),
            strict_limits: self.strict_limits.then_some(true),
        }
    }
}

/// Largest options file read.
const OPTIONS_LIMIT: u64 = 1 << 20;

fn from_file(path: &Path) -> Result<Options> {
    let bytes = map::bytes_up_to(path, OPTIONS_LIMIT)?;
    let text = std::str::from_utf8(&bytes).map_err(|e| Error::new(codes::BAD_ARGUMENT, e.to_string()));
    text.and_then(Options::parse).map_err(|e| e.at(path.display()))
}

pub(super) fn run(options: &Replay) -> Result<u8> {
    super::backtest::archived_data_only()?;
    let written = options.options.as_deref().map(from_file).transpose()?.unwrap_or_default();
    let archive = options.place.archive()?;
    let request = OrdersRequest {
        orders: &options.orders,
        archive: &archive,
        options: options.settings.options().or(written),
        dividends: options.dividends.as_deref().map(tables::read_payments).transpose()?,
        delistings: options.delistings.as_deref().map(tables::read_delistings).transpose()?,
    };
    let folder = options.counting.folder(&options.place, is_synthetic(&archive))?;
    let mut ledger = Ledger::open(&folder, STRATEGY)?;
    let run = match replay_orders(&request, &mut ledger)? {
        Ok(run) => run,
        Err(findings) => return Ok(refuse(&findings)),
    };
    if let Some(folder) = &options.out {
        std::fs::create_dir_all(folder)
            .map_err(|e| Error::new(codes::CANNOT_WRITE, e.to_string()).at(folder.display()))?;
        let _claimed = claim(folder, Claim::Soon)?;
        orders::write(folder, &run)?;
    }
    let others = request.symbols_not_replayed(&run.symbols);
    if !others.is_empty() {
        eprintln!("note: the tables name symbols that aren't replayed: {}", others.join(", "));
    }
    for note in notes(&run) {
        eprintln!("note: {note}");
    }
    print(&if options.json { to_json(&orders::metrics(&run)) } else { orders::summary(&run) })?;
    Ok(0)
}

/// Everything that is wrong with the file, a finding each; exit code 2.
fn refuse(findings: &[Finding]) -> u8 {
    use std::io::Write;
    let mut stderr = std::io::BufWriter::new(std::io::stderr().lock());
    for finding in findings {
        let file = finding.file.as_deref().unwrap_or(Path::new("")).display();
        let line = finding.span.map_or(1, |span| span.line);
        // A reader that went away has seen enough.
        let _ = writeln!(
            stderr,
            "error[{}]: {}\n --> {file}:{line}\n  = help: {}\n",
            finding.code.slug(),
            finding.what,
            finding.help
        );
    }
    let count = findings.len();
    let _ = writeln!(
        stderr,
        "{count} {} wrong in the orders; nothing was replayed or written",
        if count == 1 { "row is" } else { "rows are" }
    );
    2
}

fn notes(run: &OrdersRun) -> Vec<String> {
    let mut notes: Vec<String> =
        run.findings.iter().filter(|f| magellan::research::market::matters(f)).map(table::doubt).collect();
    if run.synthetic {
        notes.push(table::SYNTHETIC_NOTE.to_owned());
    }
    if run.tight_targets > 0 {
        notes.push(format!(
            "{} target weights leave no room for costs or a rise at the open, and the account refuses what it can't pay; \
             use on_insufficient shrink, or aim lower",
            run.tight_targets
        ));
    }
    notes
}
