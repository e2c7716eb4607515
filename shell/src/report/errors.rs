//! The error reference, from the table of codes.

use std::fmt::Write as _;

use magellan::error::{Code, ErrorKind};

use crate::codes;

/// The classes of failure, in the order of the reference.
const KINDS: [ErrorKind; 7] = [
    ErrorKind::Usage,
    ErrorKind::Config,
    ErrorKind::Data,
    ErrorKind::Verdict,
    ErrorKind::Deploy,
    ErrorKind::Health,
    ErrorKind::Refused,
];

/// Every code: the library's, the lint's and the shell's.
pub fn all() -> impl Iterator<Item = Code> {
    [magellan::error::codes::ALL, magellan_lint::codes::ALL, codes::ALL].into_iter().flatten().copied()
}

/// `docs/errors.md`.
pub fn reference() -> String {
    let mut text = String::from(
        "# Errors\n\nEvery error and finding has a stable code, which scripts may rely on: it stands in brackets in the text \
         and as\n`code` in JSON. This page is made from the code by `magellan explain --markdown`. `magellan explain CODE` \
         shows one entry.\n",
    );
    for kind in KINDS {
        let _ = write!(
            text,
            "\n## {} (exit {})\n\n| code | cause | what to do |\n|---|---|---|\n",
            title(kind),
            kind.exit_code()
        );
        for code in all().filter(|c| c.kind() == kind) {
            let _ = writeln!(text, "| `{}` | {} | {} |", code.slug(), cell(code.cause()), cell(code.next()));
        }
    }
    text
}

fn title(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Usage => "Usage",
        ErrorKind::Config => "Configuration and code",
        ErrorKind::Data => "Data",
        ErrorKind::Verdict => "Verdicts (exit 4 if only inconclusive)",
        ErrorKind::Deploy => "Deploying (exit 5 if the former release runs)",
        ErrorKind::Health => "Health",
        ErrorKind::Refused => "Refused",
    }
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

/// One entry as text.
pub fn entry(code: Code) -> String {
    let (kind, exit) = (title(code.kind()), code.kind().exit_code());
    format!("{} ({kind}, exit {exit})\n  {}\n  try: {}\n", code.slug(), code.cause(), code.next())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_are_unique_over_all_crates() {
        let mut slugs: Vec<&str> = all().map(Code::slug).collect();
        slugs.sort_unstable();
        assert!(slugs.windows(2).all(|w| w[0] != w[1]), "{slugs:?}");
    }

    #[test]
    fn every_code_is_in_the_reference() {
        let text = reference();
        assert!(all().all(|code| text.contains(&format!("| `{}` |", code.slug()))));
    }
}
