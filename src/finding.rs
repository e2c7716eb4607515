//! What a check found: where exactly, what, and what to do. Checks collect findings, so that
//! one run tells everything; an [`Error`] stops at the first.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Code, Error};

/// How much a finding weighs; worse is greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// A fact worth knowing; nothing to do.
    Note,
    /// Probably a mistake, but it changes no result.
    Warning,
    /// Blocks whatever depends on it.
    Error,
}

impl Severity {
    /// The word in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// A stretch of a text file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Span {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// First byte.
    #[serde(skip)]
    pub start: usize,
    /// Byte after the last.
    #[serde(skip)]
    pub end: usize,
}

impl Span {
    /// The same place in the text it is of, its bytes found.
    pub fn within(self, text: &str) -> Self {
        let line_start = text.split_inclusive('\n').take(self.line - 1).map(str::len).sum::<usize>();
        let line = text[line_start..].lines().next().unwrap_or_default();
        let at = line.char_indices().nth(self.column - 1).map_or(line.len(), |(at, _)| at);
        Self::of(text, line_start + at, (line_start + at + 1).min(text.len()))
    }

    /// The span of the bytes `start..end` of `text`; both are moved onto characters.
    pub fn of(text: &str, start: usize, end: usize) -> Self {
        let start = text.floor_char_boundary(start);
        let end = text.ceil_char_boundary(end.max(start));
        let before = &text[..start];
        let line_start = before.rfind('\n').map_or(0, |i| i + 1);
        Self { line: before.matches('\n').count() + 1, column: text[line_start..start].chars().count() + 1, start, end }
    }
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// Its stable code.
    pub code: Code,
    /// How much it weighs.
    pub severity: Severity,
    /// The file or archive, if it is in one.
    pub file: Option<PathBuf>,
    /// Where in the file.
    pub span: Option<Span>,
    /// What it is about: a path inside a config, or a symbol, bar width and day.
    pub subject: String,
    /// What is wrong.
    pub what: String,
    /// The value found, as JSON writes it.
    pub value: Option<String>,
    /// What would be allowed, with its unit.
    pub allowed: Option<String>,
    /// What to do.
    pub help: String,
}

impl Finding {
    /// An error of `code` about `subject`.
    pub fn new(code: Code, subject: impl Into<String>, what: impl Into<String>) -> Self {
        Self {
            code,
            severity: Severity::Error,
            file: None,
            span: None,
            subject: subject.into(),
            what: what.into(),
            value: None,
            allowed: None,
            help: code.next().to_owned(),
        }
    }

    /// The same with another weight.
    #[must_use]
    pub fn severity(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }

    /// Names the file.
    #[must_use]
    pub fn file(mut self, file: &Path) -> Self {
        self.file.get_or_insert_with(|| file.to_owned());
        self
    }

    /// Says what to do, where that is more than the code's own next step.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = help.into();
        self
    }

    /// The value found and what would be allowed.
    #[must_use]
    pub fn value(mut self, value: impl Into<String>, allowed: impl Into<String>) -> Self {
        self.value = Some(value.into());
        self.allowed = Some(allowed.into());
        self
    }

    /// `file:line:column`, as far as it is known.
    pub fn place(&self) -> Option<String> {
        let file = self.file.as_ref()?.display();
        Some(match self.span {
            Some(span) => format!("{file}:{}:{}", span.line, span.column),
            None => file.to_string(),
        })
    }
}

impl From<&Error> for Finding {
    fn from(err: &Error) -> Self {
        let mut finding = Self::new(err.code(), "", err.what()).help(err.suggestion());
        finding.file = err.place().map(PathBuf::from);
        if let Some((file, line, column)) = err.line() {
            finding.file = Some(file.to_owned());
            finding.span = Some(Span { line, column, start: 0, end: 0 });
        }
        finding
    }
}

/// As an error, for whoever needs only the first.
impl From<Finding> for Error {
    fn from(finding: Finding) -> Self {
        let err = Self::new(finding.code, &finding.what).help(&finding.help);
        match finding.place() {
            Some(place) => err.at(place),
            None => err,
        }
    }
}

/// The exit code of some findings: 2 (config, usage) before 3 (data) before 8 (refused); 0
/// without an error among them.
pub fn exit_code<'a>(findings: impl IntoIterator<Item = &'a Finding>) -> u8 {
    let errors = findings.into_iter().filter(|f| f.severity == Severity::Error);
    let codes: Vec<u8> = errors.map(|f| f.code.kind().exit_code()).collect();
    [2, 3, 8].into_iter().find(|code| codes.contains(code)).unwrap_or(0)
}

/// The name in `known` that `wrong` is a misspelling of: a slip or two, or a word too many or too few at its end.
pub fn nearest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wrong = wrong.to_lowercase().replace('-', "_");
    let slips = |name: &str| {
        let name = name.to_lowercase().replace('-', "_");
        let is_part = |short: &str, long: &str| long.strip_prefix(short).is_some_and(|rest| rest.starts_with('_'));
        match is_part(&wrong, &name) || is_part(&name, &wrong) {
            true => 1,
            false => strsim::damerau_levenshtein(&wrong, &name),
        }
    };
    let best = known.into_iter().map(|name| (slips(name), name)).min_by_key(|(slips, _)| *slips)?;
    (best.0 <= (wrong.chars().count() / 5).max(1)).then_some(best.1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::codes;

    #[test]
    fn spans_count_lines_and_characters_from_one() {
        let text = "ä\n  \"é\": 1\n";
        let at = text.find('1').expect("there");
        let span = Span::of(text, at, at + 1);
        assert_eq!((span.line, span.column), (2, 8));
        // A position inside a character is moved onto it.
        assert_eq!(Span::of(text, 1, 1).start, 0);
        assert_eq!(Span::of(text, 0, 999).end, text.len());
    }

    #[test]
    fn a_config_fault_comes_before_a_data_fault_and_notes_do_not_count() {
        let note = Finding::new(codes::PHANTOM_DAYS, "", "").severity(Severity::Note);
        let data = Finding::new(codes::NO_BARS, "", "");
        let config = Finding::new(codes::UNKNOWN_KEY, "", "");
        assert_eq!(exit_code([&note]), 0);
        assert_eq!(exit_code([&note, &data]), 3);
        assert_eq!(exit_code([&data, &config]), 2);
    }

    #[test]
    fn the_nearest_name_is_suggested_only_if_it_is_near() {
        let known = ["fail_below", "warn_below", "fail_above"];
        assert_eq!(nearest("fail_bellow", known), Some("fail_below"));
        assert_eq!(nearest("sharpe", known), None);
        // A name that is another is none that is misspelt.
        assert_eq!(nearest("ExecStartPre", ["ExecStart"]), None);
        assert_eq!(nearest("max_position_pct", ["max_position_dollars"]), None);
        assert_eq!(nearest("per_trade_risk", ["per_trade_risk_pct"]), Some("per_trade_risk_pct"));
        assert_eq!(nearest("max_drawdown_pct", ["drawdown", "max_drawdown"]), Some("max_drawdown"));
    }
}
