//! Findings for people (with the line they point at), for programs, and for GitHub.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use magellan::error::Code;
use magellan::finding::{Finding, Severity};
use serde_json::{Value, json};

/// As rustc shows them. `texts` are the files that findings point into.
pub fn text(findings: &[Finding], texts: &BTreeMap<PathBuf, String>, colour: bool) -> String {
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() }.decor_style(DecorStyle::Ascii);
    let mut out = String::new();
    for finding in findings {
        let _ = writeln!(out, "{}\n", renderer.render(&[group(finding, texts)]));
    }
    out
}

fn group<'a>(finding: &'a Finding, texts: &'a BTreeMap<PathBuf, String>) -> Group<'a> {
    let level = match finding.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Note => Level::NOTE,
    };
    let mut group = level.primary_title(&finding.what).id(finding.code.slug()).elements(None::<Origin<'_>>);
    let source = finding.file.as_ref().and_then(|file| texts.get(file));
    match (source, finding.span, &finding.file) {
        (Some(text), Some(span), Some(file)) => {
            let mut mark = AnnotationKind::Primary.span(span.start..first_line_end(text, span.start, span.end));
            if let Some(allowed) = &finding.allowed {
                mark = mark.label(format!("allowed: {allowed}"));
            }
            let path = file.to_string_lossy().into_owned();
            group = group.element(Snippet::source(text.as_str()).path(path).annotation(mark));
        }
        (_, _, Some(file)) => group = group.element(Origin::path(file.to_string_lossy().into_owned())),
        _ => {}
    }
    group.element(Level::HELP.message(&finding.help))
}

/// Long values are marked on their first line only.
fn first_line_end(text: &str, start: usize, end: usize) -> usize {
    text[start..end].find('\n').map_or(end, |at| start + at)
}

/// Findings that lie in no text, a row each, worst first; what to do once a code.
pub fn table(findings: &[Finding]) -> String {
    let mut sorted: Vec<&Finding> = findings.iter().collect();
    sorted.sort_by_key(|f| (Reverse(f.severity), f.code));
    let mut table = super::table::table(["", "code", "where", "what"]);
    for finding in &sorted {
        let place = match (&finding.file, finding.subject.as_str()) {
            (Some(file), "") => file.display().to_string(),
            (Some(file), about) if file.is_file() => {
                let name = file.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
                format!("{about}\n{name}")
            }
            (_, about) => about.to_owned(),
        };
        // A table lays out each character: what a foreign file says at length is cut.
        let what: String = finding.what.chars().take(1_000).collect();
        table.add_row([finding.severity.name(), finding.code.slug(), &place, &what]);
    }
    let mut out = format!("{table}\n");
    let advice: BTreeSet<(Code, &str)> =
        sorted.iter().filter(|f| f.severity > Severity::Note).map(|f| (f.code, f.help.as_str())).collect();
    for (code, help) in advice {
        let _ = writeln!(out, "{}: {help}", code.slug());
    }
    out
}

/// For programs.
pub fn json(findings: &[Finding]) -> Value {
    let one = |f: &Finding| {
        json!({
            "code": f.code.slug(),
            "severity": f.severity,
            "file": f.file,
            "line": f.span.map(|s| s.line),
            "column": f.span.map(|s| s.column),
            "subject": f.subject,
            "what": f.what,
            "value": f.value,
            "allowed": f.allowed,
            "help": f.help,
        })
    };
    findings.iter().map(one).collect()
}

/// GitHub shows this many annotations of one kind a step.
const SHOWN: usize = 10;

/// Workflow commands; what GitHub would not show follows as text, so that the log has all.
pub fn github(findings: &[Finding]) -> String {
    let mut out = String::new();
    let mut rest = Vec::new();
    for severity in [Severity::Error, Severity::Warning, Severity::Note] {
        let all: Vec<&Finding> = findings.iter().filter(|f| f.severity == severity).collect();
        for (i, finding) in all.iter().enumerate() {
            if i < SHOWN {
                let _ = writeln!(out, "{}", command(finding));
            } else {
                rest.push(*finding);
            }
        }
    }
    for finding in rest {
        let place = finding.place().map_or_else(String::new, |place| format!("{place}: "));
        let (severity, code) = (finding.severity.name(), finding.code.slug());
        let _ = writeln!(out, "{severity}[{code}] {place}{}; {}", said(finding), finding.help);
    }
    out
}

/// What is wrong, and with what: of data, the symbol and day stand apart.
fn said(finding: &Finding) -> String {
    match finding.subject.as_str() {
        "" => finding.what.clone(),
        about if finding.span.is_some() || finding.what.contains(about) => finding.what.clone(),
        about => format!("{about}: {}", finding.what),
    }
}

/// `::error file=…,line=…,col=…,title=…::message`
fn command(finding: &Finding) -> String {
    let kind = match finding.severity {
        Severity::Note => "notice",
        other => other.name(),
    };
    let mut properties = Vec::new();
    // An archive's folder can't be annotated.
    if let Some(file) = finding.file.as_ref().filter(|file| !file.is_dir()) {
        properties.push(format!("file={}", property(&file.to_string_lossy())));
    }
    if let Some(span) = finding.span {
        properties.push(format!("line={},col={}", span.line, span.column));
    }
    properties.push(format!("title={}", property(finding.code.slug())));
    format!("::{kind} {}::{}", properties.join(","), message(&format!("{}\n{}", said(finding), finding.help)))
}

fn message(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    message(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codes;
    use magellan::finding::Span;

    fn finding(file: &str) -> Finding {
        Finding::new(codes::OUT_OF_RANGE, "a.b", "a.b is 200 %\nof it").help("less").file(file.as_ref())
    }

    #[test]
    fn workflow_commands_are_escaped() {
        let mut one = finding("x,y:z.json");
        one.span = Some(Span { line: 3, column: 7, start: 0, end: 1 });
        let want = "::error file=x%2Cy%3Az.json,line=3,col=7,title=out-of-range::a.b is 200 %25%0Aof it%0Aless\n";
        assert_eq!(github(&[one]), want);
    }

    #[test]
    fn no_finding_is_lost_where_github_shows_ten() {
        let all = vec![finding("a.json"); 13];
        let text = github(&all);
        assert_eq!(text.matches("::error").count(), 10);
        assert_eq!(text.matches("error[out-of-range] a.json: ").count(), 3);
    }

    #[test]
    fn the_source_line_is_shown() {
        let source = "{\n  \"a\": 2.0\n}\n";
        let mut one = finding("c.json");
        one.span = Some(Span::of(source, 9, 12));
        let shown = text(&[one], &BTreeMap::from([("c.json".into(), source.to_owned())]), false);
        assert!(
            shown.contains("\"a\": 2.0") && shown.contains("c.json:2:8") && shown.contains("help: less"),
            "{shown}"
        );
    }
}
