//! `magellan validate` and `magellan schema`: stage 1.

use std::path::PathBuf;

use clap::Args;
use magellan::error::Result;
use magellan::finding;
use magellan::registry::AnyStrategy;
use serde_json::json;

use super::code;
use super::findings::{colour, counts, in_format};
use super::options::{Format, Place};
use super::output::{print, to_json};
use crate::report::findings;
use crate::report::table::SYNTHETIC_NOTE;
use crate::report::words::counted;
use crate::validate::{self, Validated};

#[derive(Args, Debug)]
pub(super) struct Validate {
    /// Validate this strategy only.
    #[arg(long)]
    pub(super) strategy: Option<String>,
    #[command(flatten)]
    pub(super) place: Place,
    /// Don't ask whether the archive has the bars that configs need: for a host, which has other bars or none.
    #[arg(long, conflicts_with_all = ["archive", "no_mmap"])]
    pub(super) without_archive: bool,
    /// Also check format, lints and unit tests of the strategies' code, with cargo.
    #[arg(long)]
    pub(super) code: bool,
    /// How findings are shown.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(super) format: Format,
    /// Print JSON, as --format json.
    #[arg(long, conflicts_with_all = ["format", "github"])]
    pub(super) json: bool,
    /// Print annotations of a GitHub workflow, as --format github.
    #[arg(long, conflicts_with = "format")]
    pub(super) github: bool,
}

impl Validate {
    fn format(&self) -> Format {
        match (self.json, self.github) {
            (true, _) => Format::Json,
            (_, true) => Format::Github,
            _ => self.format,
        }
    }
}

#[derive(Args, Debug)]
pub(super) struct Schema {
    /// That of verdict.json instead of that of configs.
    #[arg(long)]
    pub(super) verdict: bool,
    /// Write it into this file.
    #[arg(long, value_name = "FILE")]
    pub(super) out: Option<PathBuf>,
}

pub(super) fn run(options: &Validate, strategies: &[&dyn AnyStrategy]) -> Result<u8> {
    let deployed = options.place.deployed()?;
    let archive = (!options.without_archive).then(|| options.place.archive());
    let only = options.strategy.as_deref();
    let mut done = validate::validate(&deployed, only, strategies, archive.as_ref())
        .or_else(|e| in_format(e, options.format(), |f| Validated { findings: vec![f], ..Validated::default() }))?;
    let synthetic = matches!(&archive, Some(Ok(archive)) if archive.is_synthetic());
    let tests = match options.code {
        false => None,
        true => Some(code::check(&deployed, only, &mut done.findings)?),
    };
    let exit = finding::exit_code(&done.findings);
    print(&match options.format() {
        Format::Text => text(&done, tests, &note(archive.is_some(), synthetic)),
        Format::Github => findings::github(&done.findings),
        Format::Json => to_json(&json!({
            "schema_version": 1,
            "status": if exit == 0 { "pass" } else { "fail" },
            "exit_code": exit,
            "configs": done.configs,
            "units": done.units,
            "environments": done.environments,
            "archive_examined": archive.is_some(),
            "synthetic": synthetic,
            "strategy_tests": tests,
            "findings": findings::json(&done.findings),
        })),
    })?;
    Ok(exit)
}

/// What must be known of the archive to read the result.
fn note(examined: bool, synthetic: bool) -> String {
    match (examined, synthetic) {
        (false, _) => "without the archive: whether it has the bars that configs need was not examined\n".to_owned(),
        (true, true) => format!("{SYNTHETIC_NOTE}\n"),
        (true, false) => String::new(),
    }
}

fn text(done: &Validated, tests: Option<usize>, note: &str) -> String {
    let environments = match done.environments {
        0 => String::new(),
        n => format!(", {}", counted(n, "environment")),
    };
    let checked =
        format!("validated {} and {}{environments}", counted(done.configs, "config"), counted(done.units, "unit"));
    let passed = |n| format!("; code checked, {} of strategies passed", counted(n, "unit test"));
    let tested = tests.map_or_else(String::new, passed);
    let shown = findings::text(&done.findings, &done.texts, colour());
    let enough = match &done.researchable[..] {
        [] => String::new(),
        names => format!(
            "enough for backtest, sweep and walk-forward, not for the gate and a deploy: {}\n",
            names.join(", ")
        ),
    };
    format!("{shown}{enough}{note}{checked}{tested}: {}\n", counts(&done.findings))
}

pub(super) fn schema(options: &Schema, strategies: &[&dyn AnyStrategy]) -> Result<u8> {
    let text = match options.verdict {
        true => to_json(&schemars::schema_for!(magellan::gate::Verdict)),
        false => to_json(&validate::config_schema(strategies)),
    };
    match &options.out {
        Some(path) => super::output::write(path, &text)?,
        None => print(&text)?,
    }
    Ok(0)
}
