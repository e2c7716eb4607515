//! A rule in words: its parts, what each is, and how many bars it needs.

use std::fmt::Write as _;

use super::catalogue::find;
use super::compile::{Meaning, Names, compile};
use super::tree::{Join, Node, Tree};
use crate::bar::Timeframe;

/// A rule, its parts a line each, those of a part indented below it.
pub fn in_words(tree: &Tree, names: &Names<'_>) -> String {
    let mut text = String::new();
    write(&mut text, tree, names, 0);
    text
}

fn write(text: &mut String, tree: &Tree, names: &Names<'_>, depth: usize) {
    let _ = writeln!(text, "{:indent$}{}{}", "", line(tree, names), needs(tree, names), indent = 2 * depth);
    if let Node::Call(call) = &tree.node
        && let Some(of) = names.lets.get(&call.name.text)
    {
        return write(text, of, names, depth + 1);
    }
    let is_plain = |part: &&Tree| !matches!(part.node, Node::Number(_) | Node::Parameter(_));
    tree.parts().into_iter().filter(is_plain).for_each(|part| write(text, part, names, depth + 1));
}

fn line(tree: &Tree, names: &Names<'_>) -> String {
    match &tree.node {
        Node::Number(number) => number.to_string(),
        Node::Parameter(name) => match names.parameters.get(name).copied().flatten() {
            Some(value) => format!("the parameter {name}, {value}"),
            None => format!("the parameter {name}"),
        },
        Node::Call(call) => match (names.lets.get(&call.name.text), find(&call.name.text)) {
            (Some(_), _) => format!("{tree}: given by `let`"),
            (None, Some(function)) => format!("{tree}: {}", function.formula),
            (None, None) => tree.to_string(),
        },
        Node::Field(_, field) => format!("{tree}: its {}", field.text),
        Node::Back(_, bars) => format!("{tree}: {bars} bars ago"),
        Node::At(_, width) => format!("{tree}: of the last complete bar of {}", width.text),
        Node::Not(_) => "where this doesn't hold:".to_owned(),
        Node::Minus(_) => format!("{tree}: with the other sign"),
        Node::Joined(Join::And, ..) => "where both hold:".to_owned(),
        Node::Joined(Join::Or, ..) => "where one of these holds:".to_owned(),
        Node::Joined(..) => tree.to_string(),
    }
}

/// How many bars a part needs, where it is more than one.
fn needs(tree: &Tree, names: &Names<'_>) -> String {
    if matches!(tree.node, Node::Joined(Join::And | Join::Or, ..) | Node::Not(_)) {
        return String::new();
    }
    let meaning = compile(tree, names).map(|typed| typed.meaning);
    let width = names.timeframe.unwrap_or(Timeframe::Day);
    let bars = match &meaning {
        Ok(Meaning::Bar(indicator)) => indicator.period(width),
        Ok(Meaning::Several(all)) => all.iter().map(|indicator| indicator.period(width)).max().unwrap_or(1),
        _ => 1,
    };
    if bars > 1 { format!(" [{bars} bars]") } else { String::new() }
}
