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

use super::words::counted;

/// As rustc shows them. `texts` are the files that findings point into.
pub fn text(findings: &[Finding], texts: &BTreeMap<PathBuf, String>, colour: bool) -> String {
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() }.decor_style(DecorStyle::Ascii);
    let mut out = String::new();
    for finding in &missing_together(findings) {
        let _ = writeln!(out, "{}\n", renderer.render(&[group(finding, texts)]));
    }
    out
}

/// Keys that one object lacks as one finding, so that its place is shown once.
fn missing_together(findings: &[Finding]) -> Vec<Finding> {
    let is_missing = |f: &Finding| f.what == format!("{} is missing", f.subject);
    let (mut all, mut joined) = (Vec::<Finding>::new(), 1);
    for finding in findings {
        let together = |last: &&mut Finding| {
            is_missing(finding)
                && last.what.ends_with(" missing")
                && (&last.file, last.span) == (&finding.file, finding.span)
        };
        let Some(last) = all.last_mut().filter(together) else {
            joined = 1;
            all.push(finding.clone());
            continue;
        };
        if joined == 1 {
            last.help = format!("{}: {}", last.subject, last.help);
            last.subject = format!("`{}`", last.subject);
        }
        joined += 1;
        last.subject += &format!(", `{}`", finding.subject);
        last.help += &format!("\n{}: {}", finding.subject, finding.help);
        last.what = format!("{} are missing", last.subject);
    }
    all
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

/// GitHub shows this many annotations a step.
const SHOWN: usize = 10;

/// Workflow commands, the gravest first; what GitHub would not show follows as text, so that the log has all. The last
/// annotation says that there is more.
pub fn github(findings: &[Finding]) -> String {
    let mut sorted: Vec<&Finding> = findings.iter().collect();
    sorted.sort_by_key(|f| Reverse(f.severity));
    let (shown, rest) = sorted.split_at(sorted.len().min(SHOWN));
    let mut out = String::new();
    for (i, finding) in shown.iter().enumerate() {
        let more = match rest.len() {
            left if left > 0 && i + 1 == SHOWN => format!("%0A… and {} more in the log", counted(left, "finding")),
            _ => String::new(),
        };
        let _ = writeln!(out, "{}{more}", command(finding));
    }
    if !rest.is_empty() {
        let _ =
            writeln!(out, "{} more, not annotated, since GitHub shows {SHOWN} a step:", counted(rest.len(), "finding"));
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
    fn the_gravest_ten_are_annotated_and_the_last_says_how_many_more_there_are() {
        let of = |severity| vec![finding("a.json").severity(severity); 6];
        let all = [Severity::Note, Severity::Warning, Severity::Error].map(of).concat();
        let text = github(&all);
        let kinds: Vec<&str> = text.lines().filter_map(|l| l.strip_prefix("::")?.split(' ').next()).collect();
        assert_eq!(kinds, [vec!["error"; 6], vec!["warning"; 4]].concat());
        assert!(
            text.lines().nth(9).is_some_and(|line| line.ends_with("%0A… and 8 findings more in the log")),
            "{text}"
        );
        assert_eq!(text.matches("[out-of-range] a.json: ").count(), 8);
        assert!(!github(&all[..10]).contains("more"));
    }

    #[test]
    fn keys_that_one_object_lacks_are_shown_together() {
        let missing =
            |key: &str| Finding::new(codes::MISSING_KEY, key, format!("{key} is missing")).file("c.json".as_ref());
        let shown = text(&[missing("a"), missing("b"), missing("c"), finding("c.json")], &BTreeMap::new(), false);
        assert!(shown.contains("`a`, `b`, `c` are missing") && shown.matches("error[").count() == 2, "{shown}");
        assert!(shown.contains("a: add the key") && shown.contains("c: add the key"), "{shown}");
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
