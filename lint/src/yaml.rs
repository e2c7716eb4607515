//! YAML as a tree whose every value knows where it stands.
//!
//! A workflow may come from anybody, so its depth and its number of values, aliases unfolded, are bounded.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use magellan::error::Code;
use saphyr_parser::{Event, Parser, ScalarStyle, ScanError};

use crate::codes;

/// Deepest nesting read.
const DEPTH: usize = 64;
/// Most values read, those that aliases stand for included.
const VALUES: usize = 100_000;

/// A value.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) kind: NodeKind,
    /// Its bytes in the text.
    pub(super) at: Range<usize>,
}

#[derive(Clone, Debug)]
pub(super) enum NodeKind {
    /// A text, and whether it was written without quotes.
    Scalar(String, bool),
    List(Vec<Node>),
    /// Keys with their values, in the order of the text.
    Map(Vec<(Key, Node)>),
}

#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) name: String,
    pub(super) at: Range<usize>,
}

/// What is wrong with a text as YAML, and where.
pub(super) struct Fault {
    pub(super) code: Code,
    pub(super) at: Range<usize>,
    pub(super) what: String,
}

fn fault(at: Range<usize>, what: impl Into<String>) -> Fault {
    Fault { code: codes::WORKFLOW_SYNTAX, at, what: what.into() }
}

impl Node {
    pub(super) fn text(&self) -> Option<&str> {
        match &self.kind {
            NodeKind::Scalar(text, _) => Some(text),
            _ => None,
        }
    }

    pub(super) fn entries(&self) -> &[(Key, Self)] {
        match &self.kind {
            NodeKind::Map(entries) => entries,
            _ => &[],
        }
    }

    pub(super) fn items(&self) -> &[Self] {
        match &self.kind {
            NodeKind::List(items) => items,
            _ => &[],
        }
    }

    pub(super) fn entry(&self, name: &str) -> Option<&(Key, Self)> {
        self.entries().iter().find(|(key, _)| key.name == name)
    }

    pub(super) fn get(&self, name: &str) -> Option<&Self> {
        self.entry(name).map(|(_, value)| value)
    }

    /// The text at `name`.
    pub(super) fn text_at(&self, name: &str) -> Option<&str> {
        self.get(name)?.text()
    }

    /// Where each byte of a scalar's text stands in the source. Indentation, folds and quotes
    /// make the two differ, so characters other than white space are matched one by one; an
    /// escape that isn't found within a few characters keeps the place before it.
    pub(super) fn places(&self, source: &str) -> Vec<usize> {
        let text = self.text().unwrap_or_default();
        let (mut at, mut places) = (self.at.start, Vec::with_capacity(text.len() + 1));
        for c in text.chars() {
            let ahead = &source[at.min(self.at.end)..self.at.end];
            let within = |(i, s): &(usize, char)| {
                *s == c && (*i < 12 || ahead[..*i].chars().all(|c| c.is_whitespace() || c == '\\'))
            };
            let found = ahead.char_indices().take_while(|(i, _)| *i < 4_096).find(within);
            match found {
                Some((i, _)) if !c.is_whitespace() => {
                    places.resize(places.len() + c.len_utf8(), at + i);
                    at += i + c.len_utf8();
                }
                _ => places.resize(places.len() + c.len_utf8(), at),
            }
        }
        places.push(at);
        places
    }
}

/// Where the part `at` of a scalar's text stands in the file; `places` are [`Node::places`].
pub(super) fn placed(places: &[usize], at: &Range<usize>) -> Range<usize> {
    let place = |i: usize| places.get(i).copied().unwrap_or_default();
    let last = at.end.max(at.start + 1) - 1;
    place(at.start)..place(last) + 1
}

/// Events that start a run of the workflow.
pub(super) fn events(root: &Node) -> Vec<&str> {
    let Some(on) = root.get("on") else { return Vec::new() };
    let keys = on.entries().iter().map(|(key, _)| key.name.as_str());
    on.text().into_iter().chain(on.items().iter().filter_map(Node::text)).chain(keys).collect()
}

/// A list or map that isn't closed yet.
struct Open {
    kind: NodeKind,
    /// The key whose value comes next.
    key: Option<Key>,
    start: usize,
    anchor: usize,
}

struct Builder {
    open: Vec<Open>,
    root: Option<Node>,
    anchors: BTreeMap<usize, Node>,
    values: usize,
    faults: Vec<Fault>,
}

/// The one document of `text`, and everything wrong with it; no document if it can't be read.
pub(super) fn parse(text: &str) -> (Option<Node>, Vec<Fault>) {
    // The parser takes a NUL for the end, and what stands behind it would go unseen.
    let control = |c: char| c.is_control() && !['\n', '\r', '\t', '\u{85}'].contains(&c);
    if let Some((at, c)) = text.char_indices().find(|(_, c)| control(*c)) {
        let what = format!("the control character U+{:04X} can't stand in YAML", c as u32);
        return (None, vec![fault(at..at + c.len_utf8(), what)]);
    }
    let mut builder = Builder { open: Vec::new(), root: None, anchors: BTreeMap::new(), values: 0, faults: Vec::new() };
    let read = catch_unwind(AssertUnwindSafe(|| builder.read(text)))
        .unwrap_or_else(|_| Err(fault(0..0, "the YAML parser gave up on it")));
    let Builder { root, mut faults, .. } = builder;
    match read {
        Ok(()) if root.is_some() => (root, faults),
        Ok(()) => (None, vec![fault(0..0, "the file holds no YAML value")]),
        Err(err) => {
            faults.push(err);
            (None, faults)
        }
    }
}

impl Builder {
    fn read(&mut self, text: &str) -> Result<(), Fault> {
        // The parser counts characters, spans count bytes.
        let bytes: Vec<usize> = text.char_indices().map(|(i, _)| i).chain([text.len()]).collect();
        let byte = |at: usize| bytes.get(at).copied().unwrap_or(text.len());
        for event in Parser::new_from_str(text) {
            let (event, span) = event.map_err(|err: ScanError| {
                let at = byte(err.marker().index());
                fault(at..at + 1, format!("this is no YAML: {}", err.info()))
            })?;
            let start = byte(span.start.index());
            self.take(event, start..byte(span.end.index()).max(start))?;
        }
        Ok(())
    }

    fn take(&mut self, event: Event<'_>, at: Range<usize>) -> Result<(), Fault> {
        match event {
            Event::Scalar(text, style, anchor, _) => {
                let kind = NodeKind::Scalar(text.into_owned(), style == ScalarStyle::Plain);
                self.value(Node { kind, at }, anchor)
            }
            Event::SequenceStart(anchor, _) => self.begin(NodeKind::List(Vec::new()), anchor, at),
            Event::MappingStart(anchor, _) => self.begin(NodeKind::Map(Vec::new()), anchor, at),
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(open) => self.value(Node { kind: open.kind, at: open.start..at.end.max(open.start) }, open.anchor),
                None => Ok(()),
            },
            Event::Alias(anchor) => {
                let Some(node) = self.anchors.get(&anchor) else {
                    return Err(fault(at, "an alias inside of what it stands for"));
                };
                // Findings in what an alias stands for are those of the place that is written out.
                let node = node.clone();
                self.count(&node, &at)?;
                self.value(node, 0)
            }
            Event::DocumentStart(_) if self.root.is_some() => Err(fault(at, "a second document; GitHub reads one")),
            _ => Ok(()),
        }
    }

    fn begin(&mut self, kind: NodeKind, anchor: usize, at: Range<usize>) -> Result<(), Fault> {
        if self.open.len() >= DEPTH {
            return Err(fault(at, format!("values nested more than {DEPTH} deep")));
        }
        self.open.push(Open { kind, key: None, start: at.start, anchor });
        Ok(())
    }

    /// Counts a value with all that is in it.
    fn count(&mut self, node: &Node, at: &Range<usize>) -> Result<(), Fault> {
        let mut rest = vec![node];
        while let Some(node) = rest.pop() {
            self.values += 1;
            if self.values > VALUES {
                return Err(fault(at.clone(), format!("more than {VALUES} values, aliases unfolded")));
            }
            rest.extend(node.items());
            rest.extend(node.entries().iter().map(|(_, value)| value));
        }
        Ok(())
    }

    /// Puts a value where it belongs.
    fn value(&mut self, node: Node, anchor: usize) -> Result<(), Fault> {
        self.values += 1;
        if self.values > VALUES {
            return Err(fault(node.at, format!("more than {VALUES} values")));
        }
        if anchor != 0 {
            self.count(&node, &node.at)?;
            self.anchors.insert(anchor, node.clone());
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match (&mut open.kind, open.key.take()) {
            (NodeKind::Map(entries), Some(key)) => entries.push((key, node)),
            (NodeKind::Map(_), None) => open.key = Some(key(node)?),
            (NodeKind::List(items), _) => items.push(node),
            (NodeKind::Scalar(..), _) => {}
        }
        Ok(())
    }
}

fn key(node: Node) -> Result<Key, Fault> {
    match node.kind {
        // GitHub knows no merge keys; a reader that does would see other jobs than GitHub.
        NodeKind::Scalar(name, true) if name == "<<" => Err(fault(node.at, "GitHub knows no merge key `<<`")),
        NodeKind::Scalar(name, _) => Ok(Key { name, at: node.at }),
        _ => Err(fault(node.at, "a key must be a text")),
    }
}

/// Keys that stand twice in one map, anywhere.
pub(super) fn duplicates(root: &Node) -> Vec<Fault> {
    let (mut found, mut rest) = (Vec::new(), vec![root]);
    while let Some(node) = rest.pop() {
        let mut seen = BTreeSet::new();
        for (key, value) in node.entries() {
            // GitHub's keys differ by more than case, and it takes `Run` for `run`'s twin.
            if !seen.insert(key.name.to_lowercase()) {
                let what = format!("the key `{}` stands twice", key.name);
                found.push(Fault { code: codes::DUPLICATE_KEY, at: key.at.clone(), what });
            }
            rest.push(value);
        }
        rest.extend(node.items());
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str) -> Vec<String> {
        let (root, mut faults) = parse(text);
        faults.extend(root.iter().flat_map(duplicates));
        faults.into_iter().map(|f| f.what).collect()
    }

    #[test]
    fn what_no_reader_could_agree_on_is_a_fault() {
        let deep = "[".repeat(100);
        let bomb: String = (1..30).fold("a0: &a0 [x, x]\n".into(), |text, i| {
            let before = i - 1;
            text + &format!("a{i}: &a{i} [*a{before}, *a{before}]\n")
        });
        for (text, words) in [
            ("", "no YAML value"),
            ("a: 1\n---\nb: 2\n", "second document"),
            ("a: [1\nb: 2\n", "no YAML"),
            ("a: 1\0\nb: 2\n", "U+0000"),
            ("a: &x [*x]\n", "inside of what it stands for"),
            ("? [a]\n: 1\n", "must be a text"),
            ("a: &x {b: 1}\nc:\n  <<: *x\n", "merge key"),
            ("a: {b: 1, B: 2}\n", "stands twice"),
            (&deep, "nested more than"),
            (&bomb, "aliases unfolded"),
            (&"- a\n".repeat(200_000), "more than"),
        ] {
            let found = faults(text);
            assert!(found.iter().any(|what| what.contains(words)), "{words}: {found:?}");
        }
        assert!(faults("a: &x [1]\nb: *x\nc: {d: *x}\n").is_empty());
    }

    #[test]
    fn each_character_of_a_scalar_is_found_in_the_source() {
        for text in [
            "run: |  # why\n    one\n\n      two || true\n",
            "run: >-\n  one\n  two || true\n",
            "run: 'it''s two || true'\n",
            "run: \"one\\ttwo || true\"\n",
            "run: \"one \\\n                 two || true\"\n",
            "run: one\n  two || true\n",
            "é: ü\nrun: |-\n  é two || true\n",
        ] {
            let root = parse(text).0.expect("YAML");
            let node = root.get("run").expect("run");
            let at = node.places(text)[node.text().and_then(|t| t.find("||")).expect("in it")];
            assert_eq!(&text[at..at + 2], "||", "{text}");
        }
    }
}
