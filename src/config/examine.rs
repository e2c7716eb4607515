//! Everything that is wrong with a config, in the order of its text.

use std::sync::OnceLock;

use serde_json::{Value, json};

use super::deployment::Deployment;
use super::document::{Document, Part};
use super::sections::Config;
use super::{contradictions, schema};
use crate::error::codes;
use crate::finding::Finding;

/// The schema of a config that may be deployed, whatever its strategy.
pub fn common_schema() -> &'static Value {
    static SCHEMA: OnceLock<Value> = OnceLock::new();
    SCHEMA.get_or_init(|| {
        let mut all = schema::of::<Config>().to_value();
        let more = schema::of::<Deployment>().to_value();
        if let (Some(all), Some(more)) = (all["properties"].as_object_mut(), more["properties"].as_object()) {
            all.extend(more.clone());
        }
        if let (Some(all), Some(more)) = (all["required"].as_array_mut(), more["required"].as_array()) {
            all.extend(more.clone());
        }
        all
    })
}

/// The same for research: it needs to know what is traded by which strategy, and that strategy's parameters.
pub fn research_schema() -> &'static Value {
    static SCHEMA: OnceLock<Value> = OnceLock::new();
    SCHEMA.get_or_init(|| {
        let mut schema = common_schema().clone();
        schema["required"] = json!(["strategy", "symbols"]);
        for section in schema["properties"].as_object_mut().into_iter().flat_map(|all| all.values_mut()) {
            section.as_object_mut().map(|section| section.shift_remove("required"));
        }
        schema["properties"]["strategy"]["required"] = json!(["name"]);
        schema
    })
}

/// Everything that keeps a document from being deployed, whatever its strategy: keys, types, ranges, and
/// values that contradict each other. In the order of the text.
pub fn examine(document: &Document) -> Vec<Finding> {
    examine_by(common_schema(), document)
}

/// Everything that keeps it from being researched.
pub fn examine_for_research(document: &Document) -> Vec<Finding> {
    examine_by(research_schema(), document)
}

fn examine_by(schema: &Value, document: &Document) -> Vec<Finding> {
    let mut found = document.duplicates();
    let of_schema = schema::examine(schema, document.value(), "");
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
