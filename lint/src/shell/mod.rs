//! A shell script as a tree of what decides where an exit code goes: lists, pipes, compound commands, functions and
//! substitutions. Text in quotes, comments and here-documents is no command.

mod arithmetic;
mod command;
mod read;
mod word;

use std::ops::Range;
use std::rc::Rc;

pub(super) use arithmetic::{Arithmetic, Operator};
pub(super) use command::{base, behind_prefixes, is_magellan, is_shell};
pub(super) use read::{HIDDEN, Unreadable, parse};
pub(super) use word::{Part, Word};

/// What a shell does by itself when a command fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ShellOptions {
    /// Ends the script: `-e`.
    pub(super) errexit: bool,
    /// Fails a pipe if any of its commands fails: `-o pipefail`.
    pub(super) pipefail: bool,
    /// Whether it is bash, which takes `-e` back inside `$(…)`; a POSIX shell keeps it.
    pub(super) bash: bool,
}

/// Statements, one after the other.
#[derive(Debug, Default)]
pub(super) struct Script {
    pub(super) statements: Vec<Statement>,
}

/// A command with what stands around it.
#[derive(Debug)]
pub(super) struct Statement {
    pub(super) node: Node,
    /// Whether a `!` stands before it.
    pub(super) negated: bool,
    pub(super) redirects: Vec<Redirect>,
    /// Where the `&` stands that sends it to the background.
    pub(super) background: Option<usize>,
    pub(super) at: Range<usize>,
}

#[derive(Debug)]
pub(super) enum Node {
    Simple(Simple),
    /// Joined by `&&` and `||`.
    Chain(Vec<Link>),
    /// Joined by `|`, and where the first `|` stands.
    Pipe(Vec<Statement>, usize),
    Group(Script),
    Subshell(Script),
    /// Conditions with what follows them, and what follows if none holds.
    If(Vec<(Script, Script)>, Option<Script>),
    /// `while`, or `until` if the condition must fail.
    Loop {
        condition: Script,
        body: Script,
        until: bool,
    },
    /// `for`, over words if it names any.
    For {
        variable: String,
        words: Option<Vec<Word>>,
        body: Script,
    },
    Case {
        word: Word,
        arms: Vec<Arm>,
    },
    Function {
        names: Vec<String>,
        body: Rc<Statement>,
    },
    /// `[[ … ]]`
    Test(Test),
    /// `(( … ))`
    Arithmetic(Arithmetic),
    /// `time …`: its own exit code is the command's.
    Time(Box<Statement>),
    /// A command that runs beside the script.
    Coprocess(Box<Statement>),
}

/// One of the commands that `&&` and `||` join.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) joined: Joined,
    /// Where the operator before it stands.
    pub(super) operator: usize,
    pub(super) statement: Statement,
}

/// What stands before a command of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Joined {
    First,
    And,
    Or,
}

/// One of the cases of a `case`.
#[derive(Debug)]
pub(super) struct Arm {
    /// Patterns without wildcards as texts; `None` for others.
    pub(super) patterns: Vec<Option<String>>,
    /// Whether one of the patterns is `*`.
    pub(super) any: bool,
    pub(super) body: Script,
    /// Whether the next case may run as well: `;&`, `;;&`.
    pub(super) goes_on: bool,
}

/// What `[[ … ]]` asks.
#[derive(Debug)]
pub(super) enum Test {
    Not(Box<Test>),
    And(Box<Test>, Box<Test>),
    Or(Box<Test>, Box<Test>),
    /// An operator before a word: `-n`.
    Unary(String, Word),
    /// An operator between words: `==`.
    Binary(Word, String, Word),
}

#[derive(Debug, Default)]
pub(super) struct Simple {
    /// The command and its arguments, and what `export` and its like declare.
    pub(super) words: Vec<Word>,
    pub(super) assignments: Vec<Assignment>,
}

/// `NAME=value` before a command, or as one.
#[derive(Debug)]
pub(super) struct Assignment {
    pub(super) name: String,
    pub(super) append: bool,
    pub(super) value: Assigned,
}

#[derive(Debug)]
pub(super) enum Assigned {
    Word(Word),
    Array(Vec<Word>),
}

#[derive(Debug)]
pub(super) enum Redirect {
    /// To or from what a word names.
    File(Word),
    /// `<<END`: the text, and what is substituted in it.
    Here(String, Vec<Script>),
    /// `<<< word`
    Text(Word),
}

impl Script {
    /// Every simple command, however deep.
    pub(super) fn all(&self) -> Vec<&Simple> {
        let mut found = Vec::new();
        self.each(&mut |statement| {
            if let Node::Simple(simple) = &statement.node {
                found.push(simple);
            }
        });
        found
    }

    /// Calls `visit` for every statement, however deep.
    pub(super) fn each<'a>(&'a self, visit: &mut impl FnMut(&'a Statement)) {
        let mut rest: Vec<&'a Statement> = self.statements.iter().rev().collect();
        while let Some(statement) = rest.pop() {
            visit(statement);
            let first = rest.len();
            statement.push_inner(&mut rest);
            rest[first..].reverse();
        }
    }
}

impl Statement {
    /// Its only simple command, if it is one.
    pub(super) fn simple(&self) -> Option<&Simple> {
        match &self.node {
            Node::Simple(simple) => Some(simple),
            _ => None,
        }
    }

    /// The words in it that aren't those of statements in it.
    pub(super) fn words(&self) -> Vec<&Word> {
        let mut words: Vec<&Word> = match &self.node {
            Node::Simple(simple) => {
                let assigned = simple.assignments.iter().flat_map(|a| match &a.value {
                    Assigned::Word(word) => std::slice::from_ref(word),
                    Assigned::Array(words) => words,
                });
                assigned.chain(&simple.words).collect()
            }
            Node::For { words: Some(words), .. } => words.iter().collect(),
            Node::Case { word, .. } => vec![word],
            Node::Test(test) => test.words(),
            _ => Vec::new(),
        };
        words.extend(self.redirects.iter().filter_map(|redirect| match redirect {
            Redirect::File(word) | Redirect::Text(word) => Some(word),
            Redirect::Here(..) => None,
        }));
        words
    }

    fn push_inner<'a>(&'a self, found: &mut Vec<&'a Self>) {
        let mut scripts: Vec<&'a Script> = self.words().into_iter().flat_map(Word::scripts).collect();
        for redirect in &self.redirects {
            if let Redirect::Here(_, inside) = redirect {
                scripts.extend(inside);
            }
        }
        match &self.node {
            Node::Simple(_) | Node::Test(_) => {}
            Node::Arithmetic(arithmetic) => scripts.extend(arithmetic.scripts()),
            Node::Chain(links) => found.extend(links.iter().map(|link| &link.statement)),
            Node::Pipe(statements, _) => found.extend(statements),
            Node::Group(script) | Node::Subshell(script) => scripts.push(script),
            Node::If(branches, otherwise) => {
                scripts.extend(branches.iter().flat_map(|(condition, then)| [condition, then]).chain(otherwise));
            }
            Node::Loop { condition, body, .. } => scripts.extend([condition, body]),
            Node::For { body, .. } => scripts.push(body),
            Node::Case { arms, .. } => scripts.extend(arms.iter().map(|arm| &arm.body)),
            Node::Function { body, .. } => found.push(body),
            Node::Time(statement) | Node::Coprocess(statement) => found.push(statement),
        }
        found.extend(scripts.into_iter().flat_map(|script| &script.statements));
    }
}

impl Test {
    pub(super) fn words(&self) -> Vec<&Word> {
        match self {
            Self::Not(test) => test.words(),
            Self::And(a, b) | Self::Or(a, b) => a.words().into_iter().chain(b.words()).collect(),
            Self::Unary(_, word) => vec![word],
            Self::Binary(a, _, b) => vec![a, b],
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The commands that are seen, word by word.
    fn commands(text: &str) -> Vec<String> {
        let words = |simple: &Simple| simple.words.iter().map(|w| w.text.clone()).collect::<Vec<_>>().join(" ");
        let script = parse(text).unwrap_or_else(|why| panic!("{text}: {}", why.what));
        let mut all: Vec<String> = script.all().into_iter().map(words).filter(|words| !words.is_empty()).collect();
        all.sort();
        all
    }

    #[test]
    fn what_is_quoted_commented_or_handed_over_is_no_command() {
        assert_eq!(commands("echo 'a || true' # b || true\n"), ["echo a || true"]);
        assert_eq!(commands("cat <<'END' > out\na || true\nEND\nb\n"), ["b", "cat"]);
        assert_eq!(commands("cat <<-X\n\ta || true\n\tX\nb"), ["b", "cat"]);
        assert_eq!(commands("a ${{ x || y }} b"), [format!("a {} b", HIDDEN.to_string().repeat(13))]);
        assert_eq!(commands("a ${x:-b || c}"), ["a ${x:-b || c}"]);
    }

    #[test]
    fn commands_are_found_wherever_they_stand() {
        assert_eq!(commands("x=\"$(a | b)\" c `d` & e"), ["a", "b", "c `d`", "d", "e"]);
        assert_eq!(commands("{ a; b; } || (c)\nf() { g; }"), ["a", "b", "c", "g"]);
        assert_eq!(commands("case $x in a|b) c ;; *) d ;; esac; e \\\n  f"), ["c", "d", "e f"]);
        assert_eq!(commands("diff <(a) <(b)").len(), 3);
        assert_eq!(commands("for x in y; do a; done || b"), ["a", "b"]);
        assert_eq!(commands("cat <<E\n$(a)\nE\n[[ $(b) ]]; echo \"${x:-$(c)}\" > $(d)").len(), 6);
    }

    #[test]
    fn a_command_is_told_from_what_leads_to_it() {
        let called = |text: &str| parse(text).expect("read").all()[0].magellan().map(|a| a.join(" "));
        for text in [
            "magellan gate --json",
            "./target/release/magellan gate --json",
            "A=1 sudo -E timeout 60 magellan gate --json",
            "sudo -u runner magellan gate --json",
            "cargo run --release --locked -- gate --json",
            "cargo run --bin magellan -- gate --json",
            "cargo run -p deployable_strategies --features aws -- gate --json",
            "cargo +nightly r --manifest-path ./Cargo.toml -- gate --json",
            "\"$BIN/magellan\" gate --json",
        ] {
            assert_eq!(called(text).as_deref(), Some("gate --json"), "{text}");
        }
        for text in [
            "echo magellan gate",
            "cargo test -- gate",
            "magellan-gate",
            "command -v magellan",
            "cargo run -p xtask -- gate",
            "cargo run --package=xtask -- gate",
            "cargo run --bin other -- gate",
            "cargo run --bin=other -- gate",
            "cargo run --example magellan -- gate",
            "cargo run --manifest-path tools/Cargo.toml -- gate",
            "cargo run -p deployable_strategies --bin other -- gate",
        ] {
            assert_eq!(called(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_too_much_is_not_read() {
        for text in [
            "( ".repeat(200),
            "${x:-".repeat(200),
            "time ".repeat(200),
            "coproc ".repeat(200),
            "<<a ".repeat(200),
            "x ".repeat(60_000),
            "if".to_owned(),
            "a=$(( magellan gate ) )".to_owned(),
        ] {
            assert!(parse(&text).is_err(), "{}", &text[..text.len().min(20)]);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(\\PC|[\n\t\\\\'\"$`(){}<>&|;#! ]){0,120}") {
            if let Ok(script) = parse(&text) {
                script.all();
            }
        }
    }
}
