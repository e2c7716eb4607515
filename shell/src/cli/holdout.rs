//! `magellan holdout`

use clap::{Args, Subcommand};
use magellan::bar::Date;
use magellan::error::Result;
use magellan::holdout::{self, ALL_STRATEGIES, Reservation};
use magellan::ledger::Ledger;
use magellan::registry::{self, AnyStrategy};
use serde_json::json;

use super::options::{Counting, Place};
use super::output::{print, to_json};
use crate::report::table;
use crate::report::words::counted;

#[derive(Subcommand, Debug)]
pub(super) enum HoldoutCommand {
    /// Set the sessions from a date on aside.
    ///
    /// `backtest`, `sweep` and `walk-forward` on real bars refuse periods that reach into them (exit 8). The gate looks
    /// at them, and its verdict says how many settings have looked. It is a record in the ledger: commit it.
    Reserve(Reserve),
    /// Show what is set aside, and what was given back and why.
    Show(Show),
    /// Give sessions back, and record why. Verdicts on them say so.
    Release(Release),
}

#[derive(Args, Debug)]
pub(super) struct Of {
    /// This strategy only [default: every strategy].
    #[arg(long)]
    pub(super) strategy: Option<String>,
    #[command(flatten)]
    pub(super) place: Place,
    #[command(flatten)]
    pub(super) counting: Counting,
    /// Print JSON.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Args, Debug)]
pub(super) struct Reserve {
    /// The first session that is set aside, YYYY-MM-DD.
    #[arg(long, value_name = "DATE")]
    pub(super) from: Date,
    #[command(flatten)]
    pub(super) of: Of,
}

#[derive(Args, Debug)]
pub(super) struct Show {
    #[command(flatten)]
    pub(super) of: Of,
}

#[derive(Args, Debug)]
pub(super) struct Release {
    /// Why, for whoever reads a verdict on these sessions.
    #[arg(long, value_name = "TEXT")]
    pub(super) why: String,
    #[command(flatten)]
    pub(super) of: Of,
}

pub(super) fn run(command: &HoldoutCommand, strategies: &[&dyn AnyStrategy]) -> Result<u8> {
    match command {
        HoldoutCommand::Reserve(options) => {
            let mut ledger = options.of.open(strategies)?;
            holdout::reserve(&mut ledger, options.from)?;
            options.of.print(&[ledger])
        }
        HoldoutCommand::Show(options) => options.of.print(&options.of.open_known(strategies)?),
        HoldoutCommand::Release(options) => {
            let mut ledger = options.of.open(strategies)?;
            holdout::release(&mut ledger, &options.why)?;
            options.of.print(&[ledger])
        }
    }
}

impl Of {
    /// The ledger of the strategy, or that of all strategies.
    fn open(&self, strategies: &[&dyn AnyStrategy]) -> Result<Ledger> {
        let name = match &self.strategy {
            Some(name) => registry::find(strategies, name)?.name(),
            None => ALL_STRATEGIES,
        };
        Ledger::open(&self.counting.folder(&self.place, false)?, name)
    }

    /// The same, and without a name those of every strategy, too.
    fn open_known(&self, strategies: &[&dyn AnyStrategy]) -> Result<Vec<Ledger>> {
        let root = self.counting.folder(&self.place, false)?;
        let of_all = Ledger::open(&root, ALL_STRATEGIES)?;
        if self.strategy.is_some() {
            return Ok(vec![of_all, self.open(strategies)?]);
        }
        let names = Ledger::strategies(&root)?.into_iter().filter(|name| name != ALL_STRATEGIES);
        std::iter::once(Ok(of_all)).chain(names.map(|name| Ledger::open(&root, &name))).collect()
    }

    fn print(&self, ledgers: &[Ledger]) -> Result<u8> {
        // What a strategy's ledger repeats stands once, with those of all, unless the strategy gave it back alone.
        let of_all: Vec<Reservation> = ledgers
            .iter()
            .filter(|ledger| ledger.strategy() == ALL_STRATEGIES)
            .flat_map(holdout::reservations)
            .collect();
        let own = |ledger: &Ledger| ledger.strategy() != ALL_STRATEGIES;
        let listed = ledgers.iter().flat_map(|ledger| {
            let each = holdout::reservations(ledger).into_iter();
            let each = each.filter(|r| !own(ledger) || !of_all.contains(r));
            each.map(|r| (if own(ledger) { ledger.strategy() } else { "every strategy" }, r))
        });
        let listed: Vec<(&str, Reservation)> = listed.collect();
        if self.json {
            let each = listed.iter().map(|(strategy, r)| {
                json!({"strategy": strategy, "from": r.from, "record": r.record, "released": r.released})
            });
            print(&to_json(&json!({"schema_version": 1, "reservations": each.collect::<Vec<_>>()})))?;
            return Ok(0);
        }
        if listed.is_empty() {
            print("no sessions are set aside\n")?;
            return Ok(0);
        }
        let rows = listed.iter().map(|(strategy, r)| {
            let state = r.released.as_ref().map_or_else(|| "set aside".to_owned(), |why| format!("given back: {why}"));
            vec![(*strategy).to_owned(), r.from.to_string(), state, r.record[..12].to_owned()]
        });
        let header = ["strategy", "from", "state", "record"].map(str::to_owned).into_iter();
        let held = listed.iter().filter(|(_, r)| r.released.is_none()).count();
        print(
            &(table::plain(header, rows.collect()) + &format!("{}: commit the ledger\n", counted(held, "reservation"))),
        )?;
        Ok(0)
    }
}
