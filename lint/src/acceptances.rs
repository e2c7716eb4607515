//! Findings that a comment accepts: `# magellan-lint: accept CODE because REASON`, at the line or above it.

use std::ops::Range;

/// How such a comment begins, behind its `#`.
const MARK: &str = "magellan-lint:";

/// A comment that accepts a finding, or means to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Acceptance<'a> {
    pub(super) at: Range<usize>,
    /// The line, from 1, whose findings it accepts.
    pub(super) line: usize,
    /// The code and the reason, or what is wrong with the comment.
    pub(super) told: Result<(&'a str, &'a str), &'static str>,
}

/// Every such comment in a file.
pub(super) fn find(text: &str) -> Vec<Acceptance<'_>> {
    let (mut found, mut start) = (Vec::new(), 0);
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let is_comment = |line: &&str| line.trim_start().starts_with('#') || line.trim().is_empty();
    for (i, line) in lines.iter().enumerate() {
        if let Some((at, told)) = comment(line) {
            let below = || lines[i..].iter().take_while(|line| is_comment(line)).count();
            let line = i + 1 + if is_comment(line) { below() } else { 0 };
            found.push(Acceptance { at: start + at..start + lines[i].trim_end().len(), line, told: read(told) });
        }
        start += line.len();
    }
    found
}

/// Where the comment of a line begins, and what it says behind the mark.
fn comment(line: &str) -> Option<(usize, &str)> {
    let hash = line.match_indices('#').map(|(at, _)| at);
    let mut told = hash.filter_map(|at| Some((at, line[at + 1..].trim_start().strip_prefix(MARK)?)));
    let begins = |at: usize| line[..at].is_empty() || line[..at].ends_with([' ', '\t']);
    told.find(|(at, _)| begins(*at)).map(|(at, told)| (at, told.trim()))
}

fn read(told: &str) -> Result<(&str, &str), &'static str> {
    let Some(rest) = told.strip_prefix("accept ") else { return Err("it doesn't say `accept CODE because REASON`") };
    let (code, reason) = rest.split_once(" because").unwrap_or((rest, ""));
    if reason.trim().is_empty() { Err("it gives no reason: `because …`") } else { Ok((code.trim(), reason.trim())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_accepts_its_own_line_or_the_one_below() {
        let found = |text| find(text).into_iter().map(|a| (a.line, a.told)).collect::<Vec<_>>();
        assert_eq!(
            found("a: b # magellan-lint: accept no-timeout because it is short\n"),
            [(1, Ok(("no-timeout", "it is short")))]
        );
        assert_eq!(
            found("x:\n  # magellan-lint: accept no-timeout because why\n  # more\n\n  a: b\n"),
            [(5, Ok(("no-timeout", "why")))]
        );
        assert!(found("# magellan-lint: accept no-timeout\na: b\n")[0].1.is_err());
        assert!(found("# magellan-lint: accept no-timeout because \na: b\n")[0].1.is_err());
        assert!(found("# magellan-lint: ignore\na: b\n")[0].1.is_err());
        assert!(found("# accept no-timeout because why\na: b#magellan-lint: accept\n").is_empty());
    }
}
