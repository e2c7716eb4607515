//! The programs that the command line runs for its user: cargo, rustfmt and git.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use magellan::error::{Error, Result};

use crate::codes;

/// Runs cargo in `folder`: the one that runs this program, or that of the path.
pub(super) fn cargo(folder: &Path, args: &[&str]) -> Result<Output> {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let run = Command::new(&program).args(args).current_dir(folder).output();
    run.map_err(|e| Error::new(codes::NO_TOOLCHAIN, format!("can't run {}: {e}", program.to_string_lossy())))
}

/// Runs git in `folder`. It never asks for a password, and nothing says it is in another repository.
pub(super) fn git(folder: &Path, args: &[&str]) -> Result<Output> {
    let mut command = Command::new("git");
    command.args(args).current_dir(folder).env("GIT_TERMINAL_PROMPT", "0");
    for variable in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
        command.env_remove(variable);
    }
    command.output().map_err(|e| Error::new(codes::NO_TOOLCHAIN, format!("can't run git: {e}")))
}

/// A text as rustfmt would write it by the settings of `folder`; nothing if it can't be asked.
pub(super) fn formatted(folder: &Path, text: &str) -> Option<String> {
    let mut command = Command::new("rustfmt");
    command.args(["--edition", "2024", "--quiet"]).current_dir(folder);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
    child.stdin.take()?.write_all(text.as_bytes()).ok()?;
    let output = child.wait_with_output().ok()?;
    String::from_utf8(output.stdout).ok().filter(|text| output.status.success() && !text.is_empty())
}

/// What a program wrote to stderr, on one line: the reason of its failure.
pub(super) fn complaint(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.join("; ").chars().take(600).collect()
}
