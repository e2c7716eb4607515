//! `magellan gate selftest`

use clap::Args;
use indicatif::ProgressBar;
use magellan::error::{Error, Result};
use magellan::gate::selftest::{self, Outcome, calibration};
use serde_json::json;

use super::output::{print, to_json};
use crate::codes;
use crate::report::table;

#[derive(Args, Debug)]
pub(super) struct Selftest {
    /// Leave a check out: the self-test must then fail.
    #[arg(long, value_name = "CHECK", conflicts_with_all = ["mutations", "seeds"])]
    pub(super) without: Option<String>,
    /// Leave out each check in turn, and see that the self-test fails.
    #[arg(long, conflicts_with = "seeds")]
    pub(super) mutations: bool,
    /// Measure false alarms and power over so many seeds.
    #[arg(long, value_name = "N")]
    pub(super) seeds: Option<u64>,
    /// Print JSON.
    #[arg(long)]
    pub(super) json: bool,
}

pub(super) fn run(options: &Selftest) -> Result<u8> {
    if let Some(seeds) = options.seeds {
        return calibrate(seeds, options.json);
    }
    if options.mutations {
        return mutate(options.json);
    }
    if let Some(name) = options.without.as_deref().filter(|name| selftest::checks().all(|known| known != *name)) {
        let known: Vec<&str> = selftest::checks().collect();
        return Err(Error::new(codes::BAD_ARGUMENT, format!("no case is about a check `{name}`"))
            .help(format!("known are {}", known.join(", "))));
    }
    let outcomes = selftest::run(options.without.as_deref())?;
    let green = outcomes.iter().all(|o| o.as_it_must);
    let text = match options.json {
        true => to_json(&json!({"schema_version": 1, "green": green, "without": options.without, "cases": outcomes})),
        false => show(&outcomes, green),
    };
    print(&text)?;
    Ok(u8::from(!green))
}

fn show(outcomes: &[Outcome], green: bool) -> String {
    let header = ["planted", "must fail by", "verdict", "failed by", ""].map(str::to_owned).into_iter();
    let row = |o: &Outcome| {
        vec![
            o.case.to_owned(),
            o.must_fail_by.unwrap_or("nothing").to_owned(),
            o.status.name().to_owned(),
            if o.failed_by.is_empty() { "nothing".to_owned() } else { o.failed_by.join(", ") },
            if o.as_it_must { "as it must" } else { "WRONG" }.to_owned(),
        ]
    };
    let text = table::plain(header, outcomes.iter().map(row).collect());
    let verdict = match green {
        true => "self-test: green: the gate finds what was planted",
        false => "self-test: RED: this gate's verdicts are not to be trusted",
    };
    format!("{text}{verdict}\n")
}

fn mutate(json: bool) -> Result<u8> {
    let survived = selftest::untested()?;
    let checks: Vec<&str> = selftest::checks().collect();
    let text = match json {
        true => to_json(&json!({"schema_version": 1, "checks": checks, "survived": survived})),
        false if survived.is_empty() => format!("without any one of {} checks the self-test is red\n", checks.len()),
        false => format!("the self-test stays green without the check of: {}\n", survived.join("; ")),
    };
    print(&text)?;
    Ok(u8::from(!survived.is_empty()))
}

/// How often chance reaches a PSR of 0.95, as a table in Markdown.
fn sizes(rates: &calibration::Rates) -> String {
    let per_cent = |share: f64| format!("{:.1} %", share * 100.0);
    let head = "\n| returns without an edge | sessions | PSR reaches 0.95 | the published form | stated |\n|---|---|---|---|---|\n";
    let row = |size: &calibration::Size| {
        let stated = if size.stated { "at most 6 %" } else { "" };
        let (psr, published) = (per_cent(size.psr), per_cent(size.psr_published));
        format!("| {} | {} | {psr} | {published} | {stated} |\n", size.process, size.sessions)
    };
    let few = if rates.tells_shares() { "" } else { "so few seeds tell no shares of the table: it isn't judged\n" };
    rates.psr.iter().fold(head.to_owned(), |text, size| text + &row(size)) + few
}

fn calibrate(seeds: u64, json: bool) -> Result<u8> {
    if seeds == 0 {
        return Err(Error::new(codes::BAD_ARGUMENT, "--seeds is 0: nothing would be measured"));
    }
    let bar = ProgressBar::new(4 * seeds);
    let rates = calibration::measure(seeds, &|| bar.inc(1))?;
    bar.finish_and_clear();
    let per_cent = |share: f64| format!("{:.1} %", share * 100.0);
    let text = match json {
        true => to_json(&json!({"schema_version": 1, "rates": rates})),
        false => {
            format!(
                "over {seeds} seeds:\n  a candidate just like what is deployed fails: {} (stated: at most 5 %)\n  one worse by the \
             margin passes: {} (stated: at most 5 %)\n  a fall of the \
             Sharpe ratio by {:.2} a year, stated as found with 80 %, fails: {}\n  the best of 1,000 points on noise passes \
             PSR 0.95: {}, DSR 0.95: {} (stated: at most 5 %)\n",
                per_cent(rates.alike_fails),
                per_cent(rates.margin_passes),
                rates.fall,
                per_cent(rates.fall_found),
                per_cent(rates.best_passes_psr),
                per_cent(rates.best_passes_dsr),
            ) + &sizes(&rates)
        }
    };
    print(&text)?;
    Ok(u8::from(!rates.hold()))
}
