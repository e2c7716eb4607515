//! `magellan backtest`

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

use clap::{Args, ValueEnum};
use magellan::bar::Date;
use magellan::config::Checked;
use magellan::error::{Error, Result};
use magellan::ledger::Ledger;
use magellan::registry::AnyStrategy;
use magellan::research::backtest::{Request, Run};
use magellan::research::market::Scope;
use serde_json::{Value, json};

use super::options::Subject;
use super::output::{Claim, claim, print, timing, to_json};
use super::page::Page;
use crate::codes;
use crate::report::{files, html, table, traded};

#[derive(Args, Debug)]
pub(super) struct Backtest {
    /// The strategy, e.g. bear_trap.
    #[arg(long)]
    pub(super) strategy: Option<String>,
    /// First session, YYYY-MM-DD.
    #[arg(long)]
    pub(super) start_date: Date,
    /// Last session, YYYY-MM-DD.
    #[arg(long)]
    pub(super) end_date: Date,
    /// Archived data only, no live source; as USE_ARCHIVED_DATA=true.
    #[arg(long)]
    pub(super) use_cache: bool,
    #[command(flatten)]
    pub(super) subject: Subject,
    /// One account for all symbols, or one each.
    #[arg(long, value_enum, default_value_t = ScopeArg::Portfolio)]
    pub(super) scope: ScopeArg,
    /// Slippage per side in basis points instead of the configured one.
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    pub(super) slippage_bps: Option<f64>,
    /// Write trades, equity and metrics into this folder.
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,
    #[command(flatten)]
    pub(super) page: Page,
    /// Print JSON.
    #[arg(long)]
    pub(super) json: bool,
    /// Print on stderr where the time went.
    #[arg(long)]
    pub(super) timings: bool,
}

/// The key that --slippage-bps stands for.
const FRICTION: &str = "execution.friction_bps";

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum ScopeArg {
    Portfolio,
    Single,
}

impl From<ScopeArg> for Scope {
    fn from(scope: ScopeArg) -> Self {
        match scope {
            ScopeArg::Portfolio => Self::Portfolio,
            ScopeArg::Single => Self::Single,
        }
    }
}

pub(super) fn run(options: &Backtest, strategies: &[&dyn AnyStrategy], started: Instant) -> Result<u8> {
    archived_data_only()?;
    let strategy = options.subject.strategy(options.strategy.as_deref(), strategies)?;
    let document = options.subject.document(strategy)?;
    let config = document.config();
    if let Some(bps) = options.slippage_bps.filter(|bps| !(0.0..=1_000.0).contains(bps)) {
        return Err(Error::new(codes::BAD_ARGUMENT, format!("--slippage-bps is {bps}, allowed are 0 to 1000")));
    }
    let archive = options.subject.place.archive()?;
    let scope = options.scope.into();
    let request = Request {
        document: &document,
        archive: &archive,
        symbols: options.subject.symbols.as_deref(),
        scope,
        timeframe: options.subject.timeframe,
        hours: options.subject.hours(),
        start: options.start_date,
        end: options.end_date,
        slippage_bps: options.slippage_bps,
        record: options.out.is_some(),
        closes: options.page.html.is_some(),
    };
    if options.timings {
        timing("start, config, open archive", started);
    }
    if let Some(folder) = &options.out {
        // What can't be written is no trial.
        std::fs::create_dir_all(folder)
            .map_err(|e| Error::new(codes::CANNOT_WRITE, e.to_string()).at(folder.display()))?;
    }
    options.page.check()?;
    let mut ledger = Ledger::open(&options.subject.ledger(&archive)?, strategy.name())?;
    let runs = strategy.backtest(&request, &mut ledger)?;
    if options.timings {
        timing("replayed", started);
    }
    if let Some(folder) = &options.out {
        let _claimed = claim(folder, Claim::Soon)?;
        for run in &runs {
            files::write(folder, strategy, config, scope, run)?;
        }
    }
    let mut assumed = options.subject.assumed(&document);
    assumed.retain(|path, _| path != FRICTION || options.slippage_bps.is_none());
    let summary = summary(strategy, &document, &assumed, scope, &runs);
    print(&match options.json {
        true => to_json(&summary),
        false => table::backtest(&runs) + &table::assumed(&assumed),
    })?;
    options.page.show(|| {
        html::backtest(&html::Backtested {
            summary: &summary,
            runs: &runs,
            archive: archive.folder(),
            timeframe: &strategy.timeframe().to_string(),
            period: (options.start_date, options.end_date),
            out: options.out.as_deref(),
            trials: ledger.count()?,
        })
    })?;
    if options.timings {
        timing("total", started);
    }
    Ok(0)
}

/// Honours `USE_ARCHIVED_DATA`. These commands have no live source to ask, so its three
/// meanings give the same answer; anything else is somebody's mistake.
pub(super) fn archived_data_only() -> Result<()> {
    match std::env::var("USE_ARCHIVED_DATA").as_deref() {
        Err(std::env::VarError::NotPresent) | Ok("true" | "false") => Ok(()),
        other => {
            let value = other.unwrap_or("not text");
            Err(Error::new(
                codes::ENVIRONMENT,
                format!("USE_ARCHIVED_DATA is `{value}`, allowed are true, false or unset"),
            ))
        }
    }
}

fn summary(
    strategy: &dyn AnyStrategy,
    document: &Checked,
    assumed: &BTreeMap<String, Value>,
    scope: Scope,
    runs: &[Run],
) -> Value {
    let runs: Vec<Value> = runs
        .iter()
        .map(|run| {
            json!({
                "label": run.label,
                "symbols": run.symbols,
                "metrics": run.metrics,
                "profile": run.profile,
                "benchmark": run.held,
                "traded": traded::all(&run.replay),
                "cash": files::cash(run),
                "partly_covered": run.partly_covered,
                "bars": run.replay.bars,
                "bars_held": run.replay.bars_held,
                "gate_blocks": files::blocks(run),
                "halted_since": run.replay.halted_since,
                "fills_outside_session": run.replay.fills_outside_session(),
                "slippage_bps": run.costs.slippage_bps,
                "timeframe": run.timeframe,
                "hours": format!("{:?}", run.hours).to_ascii_lowercase(),
                "provenance": run.provenance,
                "synthetic": run.is_synthetic(),
                "data_sha256": run.data_hash,
            })
        })
        .collect();
    json!({
        "schema_version": 1,
        "strategy": strategy.name(),
        "scope": scope.name(),
        "config": document.path,
        "config_sha256": document.sha256,
        "assumed": assumed,
        "not_evaluable": document.config().not_evaluable(),
        "runs": runs,
    })
}
