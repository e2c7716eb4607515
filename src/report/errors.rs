//! The error reference, from the table of codes.

use std::fmt::Write as _;

use crate::error::{Code, ErrorKind};

/// `docs/errors.md`.
pub fn reference() -> String {
    let mut text = String::from(
        "# Errors\n\nEvery error and finding has a stable code, which scripts may rely on: it stands in brackets in the text \
         and as\n`code` in JSON. This page is made from the code by `magellan explain --markdown`. `magellan explain CODE` \
         shows one entry.\n",
    );
    for kind in [ErrorKind::Usage, ErrorKind::Config, ErrorKind::Data, ErrorKind::Verdict, ErrorKind::Refused] {
        let _ = write!(
            text,
            "\n## {} (exit {})\n\n| code | cause | what to do |\n|---|---|---|\n",
            title(kind),
            kind.exit_code()
        );
        for code in Code::ALL.iter().filter(|c| c.kind() == kind) {
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
        ErrorKind::Verdict => "Verdicts (inconclusive alone: exit 4)",
        ErrorKind::Deploy => "Deploying (if the former release runs: exit 5)",
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
