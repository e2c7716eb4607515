//! The findings of one workflow, with their places in its text.

use std::ops::Range;

use magellan::error::Code;
use magellan::finding::{Finding, Severity, Span};

use super::acceptances::{self, Acceptance};
use crate::codes;

/// What no comment can accept: a file that isn't read has no findings that could be weighed.
const REFUSED: [Code; 2] = [codes::WORKFLOW_SYNTAX, codes::UNREADABLE_SCRIPT];

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

    /// Turns the findings that comments of the file accept into notes that tell the reason. A comment that accepts
    /// nothing, or without a reason, is a finding itself.
    pub(super) fn accept(&mut self) {
        for Acceptance { at, line, told } in acceptances::find(self.text) {
            let what = match told {
                Err(why) => why.to_owned(),
                Ok((code, _)) if !codes::ALL.iter().any(|known| known.slug() == code) => {
                    let known = magellan::finding::nearest(code, codes::ALL.iter().map(|known| known.slug()));
                    let meant = known.map_or_else(String::new, |known| format!("; did you mean `{known}`?"));
                    format!("no finding has the code `{code}`{meant}")
                }
                Ok((code, reason)) => {
                    let mut accepted = false;
                    let is_here = |f: &&mut Finding| {
                        f.code.slug() == code
                            && f.span.is_some_and(|span| span.line == line)
                            && !REFUSED.contains(&f.code)
                    };
                    for finding in self.found.iter_mut().filter(is_here) {
                        finding.severity = Severity::Note;
                        finding.what = format!("{} (accepted: {reason})", finding.what);
                        finding.help = "nothing: a comment accepts it".to_owned();
                        accepted = true;
                    }
                    if accepted {
                        continue;
                    }
                    format!("line {line} has no finding `{code}` that can be accepted")
                }
            };
            self.error(codes::BAD_ACCEPTANCE, at, "", what);
        }
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
