//! `validate --code`: format, lints and unit tests of the strategies, by the project's own cargo.

use std::path::Path;
use std::process::Output;

use magellan::deployed::discover;
use magellan::error::{Code, Result};
use magellan::finding::Finding;

use super::programs;
use super::project::Project;
use crate::codes;

/// Runs all three steps, whatever the first says; the number of unit tests that passed.
pub(super) fn check(deployed: &Path, only: Option<&str>, findings: &mut Vec<Finding>) -> Result<usize> {
    let project = Project::around(deployed)?;
    let package = project.package.as_str();
    let cargo = |args: &[&str]| -> Result<Output> {
        eprintln!("cargo {}", args.join(" "));
        let output = programs::cargo(&project.root, args)?;
        if !output.status.success() {
            eprint!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        }
        Ok(output)
    };
    let failed = |code, what, output: &Output| failed(package, code, what, output);
    let format = cargo(&["fmt", "--package", package, "--check"])?;
    if !format.status.success() {
        findings.push(failed(codes::CODE_FORMAT, "the strategies' code is not formatted", &format));
    }
    let lint = cargo(&["clippy", "--package", package, "--all-features", "--all-targets", "--", "--deny", "warnings"])?;
    if !lint.status.success() {
        findings.push(failed(codes::CODE_LINT, "clippy finds fault with the strategies' code", &lint));
    }
    let tests = cargo(&["test", "--package", package, "--all-features", "--lib"])?;
    if !tests.status.success() {
        findings.push(failed(codes::CODE_TESTS, "the strategies' unit tests fail or don't compile", &tests));
    }
    let passed = passed(&String::from_utf8_lossy(&tests.stdout));
    for one in discover(deployed)?.iter().filter(|one| only.is_none_or(|only| only == one.name)) {
        let own = format!("{}::", one.name);
        if !passed.iter().any(|test| test.starts_with(&own)) {
            let what = format!("no unit test of {} passed", one.name);
            findings.push(Finding::new(codes::NO_TESTS, &one.name, what).file(&one.config));
        }
    }
    Ok(passed.len())
}

/// The first line that says what is wrong stands in the finding; all of it went to stderr.
fn failed(package: &str, code: Code, what: &str, output: &Output) -> Finding {
    let text = [&output.stderr[..], &output.stdout[..]].map(String::from_utf8_lossy).concat();
    let first = text.lines().find(|l| l.starts_with("error") || l.starts_with("Diff in") || l.contains("panicked at"));
    Finding::new(code, package, first.map_or_else(|| what.to_owned(), |line| format!("{what}: {line}")))
}

/// Names of the tests that cargo's own runner reports as passed.
fn passed(stdout: &str) -> Vec<String> {
    let name = |line: &str| Some(line.strip_prefix("test ")?.strip_suffix(" ... ok")?.to_owned());
    stdout.lines().filter_map(name).collect()
}
