//! What every command that lists findings shares.

use std::io::IsTerminal;

use magellan::error::{Error, Result};
use magellan::finding::{Finding, Severity};

use super::options::Format;

/// What stopped a check, as its only finding, where programs read the findings.
pub(super) fn in_format<T>(err: Error, format: Format, only: impl FnOnce(Finding) -> T) -> Result<T> {
    match format {
        Format::Text => Err(err),
        Format::Json | Format::Github => Ok(only(Finding::from(&err))),
    }
}

/// `2 errors, 1 warning`.
pub(super) fn counts(findings: &[Finding]) -> String {
    let count = |severity: Severity| findings.iter().filter(|f| f.severity == severity).count();
    let parts: Vec<String> = [Severity::Error, Severity::Warning, Severity::Note]
        .into_iter()
        .filter(|s| count(*s) > 0)
        .map(|s| format!("{} {}{}", count(s), s.name(), if count(s) == 1 { "" } else { "s" }))
        .collect();
    if parts.is_empty() { "nothing found".to_owned() } else { parts.join(", ") }
}

/// Whether stdout takes colours: a terminal, and nobody said NO_COLOR.
pub(super) fn colour() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
}
