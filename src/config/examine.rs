//! Everything that is wrong with a config, in the order of its text.

use serde_json::Value;

use super::document::{Document, Part};
use super::sections::Config;
use super::{contradictions, schema};
use crate::error::codes;
use crate::finding::Finding;

/// The schema of a config, whatever its strategy.
pub fn common_schema() -> &'static Value {
    static SCHEMA: std::sync::OnceLock<Value> = std::sync::OnceLock::new();
    SCHEMA.get_or_init(|| schema::of::<Config>().to_value())
}

/// Everything that is wrong with a document, whatever its strategy: keys, types, ranges, and
/// values that contradict each other. In the order of the text.
pub fn examine(document: &Document) -> Vec<Finding> {
    let mut found = document.duplicates();
    let of_schema = schema::examine(common_schema(), document.value(), "");
    found.extend(first(of_schema).map(|finding| placed(document, finding)));
    let contradictions = contradictions::find(document);
    found.extend(first(contradictions).map(|finding| document.place(finding, Part::Value)));
    in_order_of_text(found)
}

/// A file that is no config at all may have a finding a byte; nobody reads more than these.
fn first(mut found: Vec<Finding>) -> impl Iterator<Item = Finding> {
    const MOST: usize = 200;
    if found.len() > MOST {
        let left_out = found.len() - MOST;
        found.truncate(MOST);
        let code = found[MOST - 1].code;
        found.push(
            Finding::new(code, "", format!("{left_out} more findings are not listed"))
                .help("correct those listed first"),
        );
    }
    found.into_iter()
}

/// Everything that is wrong with the parameters of a document, for a strategy whose
/// parameters have schema `parameters` ([`Parameters::schema`](super::Parameters::schema)).
pub fn examine_parameters(document: &Document, parameters: &Value) -> Vec<Finding> {
    let found = schema::examine(parameters, document.value(), "");
    in_order_of_text(first(found).map(|finding| placed(document, finding)).collect())
}

fn in_order_of_text(mut found: Vec<Finding>) -> Vec<Finding> {
    found.sort_by_key(|f| f.span);
    found
}

/// Unknown and missing keys are shown at keys, the rest at values.
fn placed(document: &Document, mut finding: Finding) -> Finding {
    let demands_nothing = ["performance_criteria", "performance_criteria.periods", "performance_criteria.criteria"];
    if demands_nothing.contains(&finding.subject.as_str())
        && matches!(finding.code, codes::MISSING_KEY | codes::WRONG_TYPE)
    {
        finding.code = codes::NO_CRITERIA;
        finding.help = codes::NO_CRITERIA.next().to_owned();
    }
    let part = match finding.code {
        codes::UNKNOWN_KEY | codes::MISSING_KEY => Part::Key,
        _ => Part::Value,
    };
    document.place(finding, part)
}
