//! `magellan rules`: check, explain and list what rules may say.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use magellan::bar::Timeframe;
use magellan::config::document::Document;
use magellan::config::examine_for_research;
use magellan::declared::{examine_rules, parameters_by_symbol, read_rules};
use magellan::error::{Error, Result};
use magellan::finding::{self, Finding, Span};
use magellan::rules::{
    FUNCTIONS, Fault, Function, Gives, Group, Names, Numbers, SideRules, Takes, Tree, compile, in_words, parse, read,
};
use serde_json::json;

use super::findings::{colour, counts};
use super::output::{print, to_json};
use crate::report::findings;

#[derive(Subcommand, Debug)]
pub(super) enum Rules {
    /// List everything that is wrong with rules. Exit 2 if anything is.
    Check(Check),
    /// Tell what rules mean: their parts, formulas, and how many bars each needs.
    Explain(Check),
    /// List the names that rules know, each with its arguments and its formula.
    Functions(Functions),
}

#[derive(Args, Debug)]
pub(super) struct Check {
    /// A config with rules, or a file with rules, strategy_parameters and data_requirements.timeframe alone.
    #[arg(value_name = "FILE", required_unless_present = "expr")]
    file: Option<PathBuf>,
    /// One expression instead of a file.
    #[arg(long, value_name = "TEXT", conflicts_with = "file")]
    expr: Option<String>,
    /// A parameter of the expression, e.g. fast=5; repeatable. Others may have any value.
    #[arg(long, value_name = "NAME=NUMBER", requires = "expr", value_parser = parameter)]
    param: Vec<(String, f64)>,
    /// Bars of the expression, e.g. 1Min [default: any].
    #[arg(long, value_name = "WIDTH", requires = "expr")]
    timeframe: Option<Timeframe>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
pub(super) struct Functions {
    /// Print JSON.
    #[arg(long, conflicts_with = "markdown")]
    json: bool,
    /// Print the page of the documentation.
    #[arg(long)]
    markdown: bool,
}

fn parameter(text: &str) -> std::result::Result<(String, f64), String> {
    let (name, number) = text.split_once('=').ok_or("write NAME=NUMBER")?;
    let number = number.parse().ok().filter(|number: &f64| number.is_finite()).ok_or("it is no number")?;
    Ok((name.to_owned(), number))
}

pub(super) fn run(command: &Rules) -> Result<u8> {
    match command {
        Rules::Check(options) => check(options),
        Rules::Explain(options) => explain(options),
        Rules::Functions(options) => functions(options),
    }
}

fn check(options: &Check) -> Result<u8> {
    let (found, texts) = match (&options.file, &options.expr) {
        (Some(file), _) => {
            let document = read_rules(file, &[], &[])?;
            // Who trades what may be said by --symbols.
            let mut found: Vec<Finding> = examine_for_research(&document);
            found.retain(|finding| finding.subject != "symbols" || document.get("symbols").is_some());
            found.extend(examine_rules(&document));
            (found, BTreeMap::from([(file.clone(), document.text.clone())]))
        }
        (None, text) => {
            let text = text.as_deref().unwrap_or_default();
            let found = checked(text, options).err().map(|fault| of_expression(text, fault));
            (found.into_iter().collect(), BTreeMap::from([(PathBuf::from(EXPRESSION), text.to_owned())]))
        }
    };
    let exit = finding::exit_code(&found);
    print(&match options.json {
        true => to_json(&json!({"schema_version": 1, "findings": findings::json(&found)})),
        false => format!("{}{}\n", findings::text(&found, &texts, colour()), counts(&found)),
    })?;
    Ok(exit)
}

/// What stands for the file of an expression.
const EXPRESSION: &str = "expression";

fn of_expression(text: &str, Fault { code, place, what, help }: Fault) -> Finding {
    let byte = |characters: usize| text.char_indices().nth(characters).map_or(text.len(), |(at, _)| at);
    let mut finding = Finding::new(code, EXPRESSION, what).help(help).file(EXPRESSION.as_ref());
    finding.span = Some(Span {
        line: 1,
        column: place.column(),
        start: byte(place.start),
        end: byte(place.end.max(place.start + 1)),
    });
    finding
}

/// The tree of an expression in which nothing is wrong.
fn checked(text: &str, options: &Check) -> std::result::Result<Tree, Fault> {
    let tree = parse(text)?;
    let parameters = parameters_of(&tree, options);
    compile(&tree, &Names::new(&BTreeMap::new(), &parameters, options.timeframe)).map(|_| tree)
}

/// The parameters of an expression: as given, or any.
fn parameters_of(tree: &Tree, options: &Check) -> Numbers {
    let mut all = BTreeMap::new();
    collect(tree, &mut all);
    all.extend(options.param.iter().map(|(name, number)| (name.clone(), Some(*number))));
    all
}

fn collect(tree: &Tree, all: &mut Numbers) {
    if let magellan::rules::Node::Parameter(name) = &tree.node {
        all.insert(name.clone(), None);
    }
    tree.parts().into_iter().for_each(|part| collect(part, all));
}

fn explain(options: &Check) -> Result<u8> {
    let text = match (&options.file, &options.expr) {
        (Some(file), _) => {
            let document = Document::read(file, &[])?;
            if let Some(first) = examine_rules(&document).into_iter().next() {
                return Err(first.into());
            }
            explained(&document)
        }
        (None, text) => {
            let text = text.as_deref().unwrap_or_default();
            let tree = checked(text, options)
                .map_err(|fault| Error::from(of_expression(text, fault)).help("see `magellan rules check --expr`"))?;
            let parameters = parameters_of(&tree, options);
            in_words(&tree, &Names::new(&BTreeMap::new(), &parameters, options.timeframe))
        }
    };
    print(&match options.json {
        true => to_json(&json!({"schema_version": 1, "text": text})),
        false => text,
    })?;
    Ok(0)
}

fn explained(document: &Document) -> String {
    let section = document.get("rules").map(|value| read(value).0).unwrap_or_default();
    let timeframe = document.typed("data_requirements.timeframe");
    let mut text = String::new();
    for (symbol, parameters) in parameters_by_symbol(document) {
        let names = Names::new(&section.lets, &parameters, timeframe);
        if let Some(symbol) = symbol {
            let _ = writeln!(text, "{symbol}");
        }
        for (title, side) in [("long", &section.long), ("short", &section.short)] {
            let Some(side) = side else { continue };
            for (what, tree) in expressions(side) {
                let _ = writeln!(text, "{title} {what}");
                for line in in_words(tree, &names).lines() {
                    let _ = writeln!(text, "  {line}");
                }
            }
        }
        if !symbols_differ(document) {
            break;
        }
    }
    text
}

/// Whether symbols have parameters of their own.
fn symbols_differ(document: &Document) -> bool {
    let has = |block: &str| {
        document
            .get(block)
            .and_then(serde_json::Value::as_object)
            .is_some_and(|all| all.values().any(serde_json::Value::is_object))
    };
    has("symbol_parameters") || has("strategy_parameters")
}

fn expressions(side: &SideRules) -> Vec<(&'static str, &Tree)> {
    let mut all = vec![("enters", &side.enter)];
    let more = [
        ("leaves", &side.exit),
        ("enters at the limit", &side.limit),
        ("enters at the stop", &side.stop_at),
        ("cancels its entry", &side.cancel_when),
        ("stops at", &side.stop),
        ("stops, following, at", &side.trail_stop),
    ];
    all.extend(more.into_iter().filter_map(|(what, tree)| Some((what, tree.as_ref()?))));
    all.push(("trades", &side.size.1));
    all.extend(side.targets.iter().map(|target| ("takes profit at", &target.at)));
    all
}

fn functions(options: &Functions) -> Result<u8> {
    print(&if options.json {
        to_json(&json!({"schema_version": 1, "functions": FUNCTIONS.iter().map(as_json).collect::<Vec<_>>()}))
    } else if options.markdown {
        page()
    } else {
        listed()
    })?;
    Ok(0)
}

fn gives(function: &Function) -> String {
    match function.gives {
        Gives::Number => "number".to_owned(),
        Gives::Condition => "condition".to_owned(),
        Gives::AsLast => "as its last argument".to_owned(),
        Gives::Fields(fields) => format!(".{}", fields.join(" .")),
    }
}

const fn takes(takes: Takes) -> &'static str {
    match takes {
        Takes::Number => "number",
        Takes::Condition => "condition",
        Takes::Either => "number or condition",
        Takes::Period => "bars",
        Takes::Factor => "constant",
    }
}

fn as_json(function: &Function) -> serde_json::Value {
    let arguments: Vec<serde_json::Value> =
        function.takes.iter().map(|(name, of)| json!({"name": name, "takes": takes(*of)})).collect();
    json!({
        "name": function.name, "group": function.group.title(), "arguments": arguments, "gives": gives(function),
        "formula": function.formula,
    })
}

fn of_group(group: Group) -> impl Iterator<Item = &'static Function> {
    FUNCTIONS.iter().filter(move |function| function.group == group)
}

fn listed() -> String {
    let mut text = String::new();
    for group in Group::ALL {
        let _ = writeln!(text, "{}", group.title());
        for function in of_group(group) {
            let _ = writeln!(text, "  {:<34} {:<24} {}", function.signature(), gives(function), function.formula);
        }
        text.push('\n');
    }
    text
}

/// The page of the documentation.
pub(crate) fn page() -> String {
    let mut text = "# What rules may say\n\nMade by `magellan rules functions --markdown`. \
                    Arguments named `n` and alike are whole numbers of bars, `k` and alike constants; `x`, `a` and `b` are any \
                    numbers. A value is unknown until it has the bars it needs.\n"
        .to_owned();
    for group in Group::ALL {
        let _ = writeln!(text, "\n## {}\n\n| name | gives | |\n|---|---|---|", group.title());
        for function in of_group(group) {
            let _ = writeln!(text, "| `{}` | {} | {} |", function.signature(), gives(function), function.formula);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::page;

    #[test]
    fn the_page_of_the_documentation_is_the_catalogue() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/rules-functions.md");
        if std::env::var_os("MAGELLAN_GOLDEN").is_some() {
            std::fs::write(path, page()).expect("written");
        }
        assert!(std::fs::read_to_string(path).expect("there") == page(), "make it anew: MAGELLAN_GOLDEN=1 cargo test");
    }
}
