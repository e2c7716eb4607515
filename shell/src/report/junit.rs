//! The gate's verdict as JUnit XML: a suite a strategy, a case a criterion.

use magellan::error::{Error, Result};
use magellan::gate::{Check, Group, PeriodVerdict, Status, StrategyVerdict, Verdict};
use quick_xml::Writer;
use quick_xml::events::BytesText;

use super::table::check_in_words;
use crate::codes;

/// One case: its name, class, and what is wrong with it, if anything.
struct Case {
    name: String,
    class: String,
    /// `failure` or `error`, in a few words, in full.
    wrong: Option<(&'static str, String, String)>,
}

/// The XML.
///
/// # Errors
/// Usage error if it can't be written.
pub fn gate(verdict: &Verdict) -> Result<String> {
    let fault = |e: std::io::Error| Error::new(codes::CANNOT_WRITE, e.to_string());
    let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
    let suites: Vec<(&StrategyVerdict, Vec<Case>)> = verdict.strategies.iter().map(|s| (s, cases(s))).collect();
    writer
        .create_element("testsuites")
        .with_attribute(("name", "magellan gate"))
        .write_inner_content(|writer| suites.iter().try_for_each(|(strategy, cases)| suite(writer, strategy, cases)))
        .map_err(fault)?;
    let xml = String::from_utf8(writer.into_inner()).unwrap_or_default();
    Ok(format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{xml}\n"))
}

fn suite(writer: &mut Writer<Vec<u8>>, strategy: &StrategyVerdict, cases: &[Case]) -> std::io::Result<()> {
    let count = |kind: &str| cases.iter().filter(|c| c.wrong.as_ref().is_some_and(|w| w.0 == kind)).count().to_string();
    writer
        .create_element("testsuite")
        .with_attributes([
            ("name", strategy.strategy.as_str()),
            ("tests", &cases.len().to_string()),
            ("failures", &count("failure")),
            ("errors", &count("error")),
        ])
        .write_inner_content(|writer| cases.iter().try_for_each(|one| case(writer, one)))?;
    Ok(())
}

fn case(writer: &mut Writer<Vec<u8>>, case: &Case) -> std::io::Result<()> {
    let element = writer
        .create_element("testcase")
        .with_attributes([("classname", clean(&case.class).as_str()), ("name", clean(&case.name).as_str())]);
    match &case.wrong {
        None => element.write_empty()?,
        Some((kind, message, text)) => element.write_inner_content(|writer| {
            let inner = writer.create_element(*kind).with_attribute(("message", clean(message).as_str()));
            inner.write_text_content(BytesText::new(&clean(text)))?;
            Ok(())
        })?,
    };
    Ok(())
}

fn cases(strategy: &StrategyVerdict) -> Vec<Case> {
    if let Some(error) = &strategy.error {
        let wrong = ("error", error.code.clone(), format!("{}\ntry: {}", error.message, error.help));
        return vec![Case { name: "judged".into(), class: strategy.strategy.clone(), wrong: Some(wrong) }];
    }
    strategy.periods.iter().flat_map(|period| of_period(strategy, period)).collect()
}

fn of_period(strategy: &StrategyVerdict, period: &PeriodVerdict) -> Vec<Case> {
    let class = format!("{}.{}", strategy.strategy, period.period.name);
    let case_of = |check: &Check| {
        let mut words = check_in_words(check);
        if check.group == Group::Data {
            period.data_findings.iter().for_each(|f| words += &format!("\n{}: {}", f.subject, f.what));
        }
        let counts = check.counts_as() > Status::Warn;
        Case {
            name: check.bound.as_ref().map_or(check.metric.clone(), |b| format!("{} {b}", check.metric)),
            class: class.clone(),
            wrong: counts.then(|| {
                let kind = if check.status == Status::Error { "error" } else { "failure" };
                (kind, format!("{}: {}", check.status.name(), check_in_words(check)), words)
            }),
        }
    };
    period.checks.iter().map(case_of).collect()
}

/// XML has no place for most control characters, escaped or not.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && !matches!(c, '\n' | '\t' | '\r') { '\u{fffd}' } else { c }).collect()
}
