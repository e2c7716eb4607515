//! `magellan ci lint`: the workflows themselves.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use magellan::error::{Error, Result};
use magellan::finding::{self, Finding};
use magellan_lint::{self, Workflow};
use serde_json::json;

use super::findings::{colour, counts};
use super::options::Format;
use super::output::{print, to_json};
use crate::codes;
use crate::report::findings;

#[derive(Subcommand, Debug)]
pub(super) enum Ci {
    /// Find what could make a failure look like a success in GitHub workflows.
    ///
    /// Exit codes that are lost, stages that are missing or can be skipped, inputs without effect.
    /// Exit 2 if there is one.
    Lint(Lint),
}

#[derive(Args, Debug)]
pub(super) struct Lint {
    /// Workflows [default: all in the nearest .github/workflows above the working directory].
    pub(super) files: Vec<PathBuf>,
    /// How findings are shown.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(super) format: Format,
}

pub(super) fn run(command: &Ci) -> Result<u8> {
    let Ci::Lint(options) = command;
    lint(options)
}

fn lint(options: &Lint) -> Result<u8> {
    let mut found = Vec::new();
    let files = if options.files.is_empty() { in_project() } else { Ok(options.files.clone()) };
    let files = match files {
        Err(err) if matches!(options.format, Format::Text) => return Err(err),
        Err(err) => {
            found.push(Finding::from(&err));
            Vec::new()
        }
        Ok(files) => files,
    };
    let mut workflows = Vec::new();
    for file in &files {
        match Workflow::read(file) {
            Ok(workflow) => workflows.push(workflow),
            Err(err) => found.push(Finding::from(&err)),
        }
    }
    // Of some files it can't be said that no other one judges.
    let whole = options.files.is_empty() && found.is_empty();
    found.extend(if whole {
        magellan_lint::examine_all(&workflows)
    } else {
        workflows.iter().flat_map(Workflow::examine).collect()
    });
    show(options.format, workflows, &found)
}

fn show(format: Format, workflows: Vec<Workflow>, found: &[Finding]) -> Result<u8> {
    let exit = finding::exit_code(found);
    let count = workflows.len();
    let texts: BTreeMap<PathBuf, String> = workflows.into_iter().map(|w| (w.path, w.text)).collect();
    print(&match format {
        Format::Text => {
            let files = if count == 1 { "file" } else { "files" };
            format!("{}linted {count} workflow {files}: {}\n", findings::text(found, &texts, colour()), counts(found))
        }
        Format::Github => findings::github(found),
        Format::Json => to_json(&json!({
            "schema_version": 1,
            "status": if exit == 0 { "pass" } else { "fail" },
            "exit_code": exit,
            "workflows": count,
            "findings": findings::json(found),
        })),
    })?;
    Ok(exit)
}

/// The project's workflows, by name: of the nearest folder above the working directory.
fn in_project() -> Result<Vec<PathBuf>> {
    let none = |what: String| Error::new(codes::NO_WORKFLOW, what);
    let here = std::env::current_dir().map_err(|e| none(e.to_string()))?;
    // Relative if it is right here, so that reports name files as the project does.
    let right_here = Some(PathBuf::from(".github/workflows")).filter(|dir| dir.is_dir());
    let above = || here.ancestors().map(|dir| dir.join(".github/workflows")).find(|dir| dir.is_dir());
    let folder = right_here
        .or_else(above)
        .ok_or_else(|| none("no folder `.github/workflows` here or above".to_owned()).at(here.display()))?;
    let entries = std::fs::read_dir(&folder).map_err(|e| none(e.to_string()).at(folder.display()))?;
    let is_workflow = |path: &Path| path.extension().is_some_and(|e| e == "yml" || e == "yaml");
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(|e| none(e.to_string()).at(folder.display()))?.path();
        files.extend(Some(path).filter(|path| is_workflow(path)));
    }
    files.sort();
    if files.is_empty() {
        return Err(none("the folder holds no workflow".to_owned()).at(folder.display()));
    }
    Ok(files)
}
