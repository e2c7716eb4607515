//! `magellan gate`

use std::time::Instant;

use rayon::prelude::*;

use super::args::Gate;
use super::{print, timing, to_json};
use crate::error::{Code, Error, Result};
use crate::gate::{StrategyVerdict, Verdict, discover, judge};
use crate::registry::AnyStrategy;
use crate::report::table;

pub(super) fn run(options: &Gate, strategies: &[&dyn AnyStrategy], started: Instant) -> Result<u8> {
    super::backtest::archived_data_only()?;
    let mut deployed = discover(&options.place.deployed()?)?;
    if let Some(only) = &options.strategy {
        deployed.retain(|d| d.name == *only);
        if deployed.is_empty() {
            return Err(Error::new(Code::NotDeployed, format!("`{only}` is not deployed")));
        }
    }
    let archive = options.place.archive()?;
    if options.timings {
        timing("start, discover, open archive", started);
    }
    let judged: Vec<(StrategyVerdict, f64)> = deployed
        .par_iter()
        .map(|one| {
            let begun = Instant::now();
            let verdict = judge(strategies, one, &archive);
            (verdict, begun.elapsed().as_secs_f64() * 1e3)
        })
        .collect();
    if options.timings {
        for (verdict, elapsed) in &judged {
            eprintln!("{:>32} {elapsed:>9.3} ms", format!("of that {}", verdict.strategy));
        }
        timing("all judged", started);
    }
    let verdict = Verdict::new(judged.into_iter().map(|j| j.0).collect());
    print(&if options.json { to_json(&verdict) } else { table::gate(&verdict) })?;
    if options.timings {
        timing("total", started);
    }
    Ok(verdict.exit_code)
}
