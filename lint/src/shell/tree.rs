//! The tree: statements, words and arithmetic.

use std::ops::Range;
use std::rc::Rc;

/// Stands for what GitHub puts in place of `${{ … }}`, and for what isn't known of a value.
pub(crate) const HIDDEN: char = '\u{1a}';

/// What a shell does by itself when a command fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ShellOptions {
    /// Ends the script: `-e`.
    pub(crate) errexit: bool,
    /// Fails a pipe if any of its commands fails: `-o pipefail`.
    pub(crate) pipefail: bool,
    /// Whether it is bash, which takes `-e` back inside `$(…)`; a POSIX shell keeps it.
    pub(crate) bash: bool,
}

/// Statements, one after the other.
#[derive(Debug, Default)]
pub(crate) struct Script {
    pub(crate) statements: Vec<Statement>,
}

/// A command with what stands around it.
#[derive(Debug)]
pub(crate) struct Statement {
    pub(crate) node: Node,
    /// Whether a `!` stands before it.
    pub(crate) negated: bool,
    pub(crate) redirects: Vec<Redirect>,
    /// Where the `&` stands that sends it to the background.
    pub(crate) background: Option<usize>,
    pub(crate) at: Range<usize>,
}

#[derive(Debug)]
pub(crate) enum Node {
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
pub(crate) struct Link {
    pub(crate) joined: Joined,
    /// Where the operator before it stands.
    pub(crate) operator: usize,
    pub(crate) statement: Statement,
}

/// What stands before a command of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Joined {
    First,
    And,
    Or,
}

/// One of the cases of a `case`.
#[derive(Debug)]
pub(crate) struct Arm {
    pub(crate) patterns: Vec<Pattern>,
    pub(crate) body: Script,
    /// Whether the next case may run as well: `;&`, `;;&`.
    pub(crate) goes_on: bool,
}

/// What a pattern of a `case` matches.
#[derive(Debug)]
pub(crate) enum Pattern {
    /// Just this text.
    Text(String),
    /// Whatever begins with this: `text*`, or `*` alone.
    Begins(String),
    /// Wildcards that aren't followed.
    Other,
}

/// What `[[ … ]]` asks.
#[derive(Debug)]
pub(crate) enum Test {
    Not(Box<Test>),
    And(Box<Test>, Box<Test>),
    Or(Box<Test>, Box<Test>),
    /// An operator before a word: `-n`.
    Unary(String, Word),
    /// An operator between words: `==`.
    Binary(Word, String, Word),
}

#[derive(Debug, Default)]
pub(crate) struct Simple {
    /// The command and its arguments, and what `export` and its like declare.
    pub(crate) words: Vec<Word>,
    pub(crate) assignments: Vec<Assignment>,
}

/// `NAME=value` before a command, or as one.
#[derive(Debug)]
pub(crate) struct Assignment {
    pub(crate) name: String,
    pub(crate) append: bool,
    pub(crate) value: Assigned,
}

#[derive(Debug)]
pub(crate) enum Assigned {
    Word(Word),
    Array(Vec<Word>),
}

#[derive(Debug)]
pub(crate) enum Redirect {
    /// To or from what a word names.
    File(Word),
    /// `<<END`: the text, and what is substituted in it.
    Here(String, Vec<Script>),
    /// `<<< word`
    Text(Word),
}

impl Script {
    /// Every simple command, however deep.
    pub(crate) fn all(&self) -> Vec<&Simple> {
        let mut found = Vec::new();
        self.each(&mut |statement| {
            if let Node::Simple(simple) = &statement.node {
                found.push(simple);
            }
        });
        found
    }

    /// Calls `visit` for every statement, however deep.
    pub(crate) fn each<'a>(&'a self, visit: &mut impl FnMut(&'a Statement)) {
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
    pub(crate) fn simple(&self) -> Option<&Simple> {
        match &self.node {
            Node::Simple(simple) => Some(simple),
            _ => None,
        }
    }

    /// The words in it that aren't those of statements in it.
    pub(crate) fn words(&self) -> Vec<&Word> {
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
    pub(crate) fn words(&self) -> Vec<&Word> {
        match self {
            Self::Not(test) => test.words(),
            Self::And(a, b) | Self::Or(a, b) => a.words().into_iter().chain(b.words()).collect(),
            Self::Unary(_, word) => vec![word],
            Self::Binary(a, _, b) => vec![a, b],
        }
    }
}

// ---- words ----

#[derive(Debug, Default)]
pub(crate) struct Word {
    pub(crate) parts: Vec<Part>,
    /// Without its quotes; what is put in place of a part stands as it is written.
    pub(crate) text: String,
    /// Whether a part of it is in quotes.
    pub(crate) quoted: bool,
    pub(crate) at: Range<usize>,
}

#[derive(Debug)]
pub(crate) enum Part {
    Text(String),
    /// `$NAME`, `${NAME[index]}`, `${NAME:-default}`.
    Variable {
        name: String,
        index: Option<String>,
        quoted: bool,
    },
    /// `$(…)` and backquotes.
    Substitution(Script),
    /// `<(…)` and `>(…)`.
    Process(Script),
    /// `$((…))`
    Arithmetic(Arithmetic),
    /// A value that isn't followed, with the scripts in it.
    Other(Vec<Script>),
}

impl Part {
    fn scripts(&self) -> Vec<&Script> {
        match self {
            Self::Substitution(script) | Self::Process(script) => vec![script],
            Self::Arithmetic(arithmetic) => arithmetic.scripts(),
            Self::Other(scripts) => scripts.iter().collect(),
            Self::Text(_) | Self::Variable { .. } => Vec::new(),
        }
    }

    /// The script in it, if it has one.
    pub(crate) fn into_script(self) -> Option<Script> {
        match self {
            Self::Substitution(script) | Self::Process(script) => Some(script),
            _ => None,
        }
    }
}

impl Word {
    pub(crate) fn push(&mut self, part: Part, written: &str) {
        self.parts.push(part);
        self.text += written;
    }

    /// Whether nothing is written there, not even quotes.
    pub(crate) fn is_nothing(&self) -> bool {
        self.text.is_empty() && !self.quoted
    }

    /// Whether a script runs to make it.
    pub(crate) fn runs(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Substitution(_)))
    }

    /// Scripts whose output becomes part of it, and those that it is connected to.
    pub(crate) fn scripts(&self) -> Vec<&Script> {
        self.parts.iter().flat_map(Part::scripts).collect()
    }
}

// ---- arithmetic ----

#[derive(Debug)]
pub(crate) enum Arithmetic {
    Number(i64),
    Variable(String),
    /// `$x`, `$?`
    Word(Word),
    Not(Box<Self>),
    Binary(Box<Self>, Operator, Box<Self>),
    /// `x = …`, `x += …`, `x++`: the name, the value it gets, and whether the value before is what counts.
    Assign(String, Box<Self>, bool),
    Unknown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    Add,
    Or,
    LogicalAnd,
    LogicalOr,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Comma,
    Other,
}

impl Arithmetic {
    /// Scripts in it.
    pub(crate) fn scripts(&self) -> Vec<&Script> {
        match self {
            Self::Word(word) => word.scripts(),
            Self::Not(inner) | Self::Assign(_, inner, _) => inner.scripts(),
            Self::Binary(a, _, b) => a.scripts().into_iter().chain(b.scripts()).collect(),
            Self::Number(_) | Self::Variable(_) | Self::Unknown => Vec::new(),
        }
    }
}
