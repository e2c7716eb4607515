//! The findings of one workflow, with their places in its text.

use std::ops::Range;

use magellan::error::Code;
use magellan::finding::{Finding, Severity, Span};

use crate::codes;

/// Most findings that are listed for one file.
pub(super) const SHOWN: usize = 100;

/// The findings of one file so far.
pub(super) struct Findings<'a> {
    /// The file's text.
    pub(super) text: &'a str,
    /// First byte of each line.
    lines: Vec<usize>,
    found: Vec<Finding>,
    /// How many were found beyond [`SHOWN`].
    left_out: usize,
}

fn line_starts(text: &str) -> Vec<usize> {
    std::iter::once(0).chain(text.match_indices('\n').map(|(i, _)| i + 1)).collect()
}

impl<'a> Findings<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, lines: line_starts(text), found: Vec::new(), left_out: 0 }
    }

    pub(super) fn error(&mut self, code: Code, at: Range<usize>, subject: &str, what: impl Into<String>) {
        self.add(Severity::Error, code, at, subject, what.into(), code.next());
    }

    pub(super) fn warn(&mut self, code: Code, at: Range<usize>, subject: &str, what: impl Into<String>) {
        self.add(Severity::Warning, code, at, subject, what.into(), code.next());
    }

    pub(super) fn add(
        &mut self,
        severity: Severity,
        code: Code,
        at: Range<usize>,
        subject: &str,
        what: String,
        help: &str,
    ) {
        if self.found.len() >= SHOWN {
            self.left_out += 1;
            return;
        }
        let mut finding = Finding::new(code, subject, what).severity(severity).help(help);
        finding.span = Some(self.span(at));
        // Steps share settings such as their shell: one finding is enough for all of them.
        if !self.found.iter().any(|f| (f.code, f.span, &f.what) == (code, finding.span, &finding.what)) {
            self.found.push(finding);
        }
    }

    fn span(&self, at: Range<usize>) -> Span {
        let start = self.text.floor_char_boundary(at.start);
        let end = self.text.ceil_char_boundary(at.end.max(start));
        let line = self.lines.partition_point(|first| *first <= start).max(1);
        let first = self.lines.get(line - 1).copied().unwrap_or_default();
        Span { line, column: self.text[first..start].chars().count() + 1, start, end }
    }

    /// All of them, in the order of the text.
    pub(super) fn finish(mut self) -> Vec<Finding> {
        self.found.sort_by_key(|f| f.span);
        if self.left_out > 0 {
            let what = format!("{} more findings are not listed", self.left_out);
            self.found.push(Finding::new(codes::WORKFLOW_SYNTAX, "", what).help("correct those that are listed first"));
        }
        self.found
    }
}
