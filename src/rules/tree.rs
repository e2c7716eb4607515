//! A rule as a tree, each part with its place in the text.

use std::fmt;

/// A stretch of a rule's text, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// First character, from 0.
    pub start: usize,
    /// The character after the last.
    pub end: usize,
}

impl Place {
    /// The column, from 1.
    pub const fn column(self) -> usize {
        self.start + 1
    }

    /// From the beginning of this one to the end of the other.
    pub fn to(self, other: Self) -> Self {
        Self { start: self.start.min(other.start), end: self.end.max(other.end) }
    }
}

/// A word and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// The word.
    pub text: String,
    /// Where it stands.
    pub place: Place,
}

/// A part of a rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Tree {
    /// Its text.
    pub place: Place,
    /// What it is.
    pub node: Node,
}

/// What a part of a rule is.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// A number.
    Number(f64),
    /// `$name`
    Parameter(String),
    /// A name, with a symbol before it or arguments behind it.
    Call(Call),
    /// `of.name`
    Field(Box<Tree>, Word),
    /// `of[n]`: as it was so many bars ago.
    Back(Box<Tree>, Box<Tree>),
    /// `of @ width`: of coarser bars.
    At(Box<Tree>, Word),
    /// `not of`
    Not(Box<Tree>),
    /// `-of`
    Minus(Box<Tree>),
    /// Two parts and what joins them.
    Joined(Join, Box<Tree>, Box<Tree>),
}

/// A name, with a symbol before it or arguments behind it.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// Of another symbol.
    pub symbol: Option<Word>,
    /// The name.
    pub name: Word,
    /// What stands in parentheses.
    pub arguments: Vec<Tree>,
}

/// What joins two parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Join {
    /// Either.
    Or,
    /// Both.
    And,
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    Greater,
    /// `>=`
    AtLeast,
    /// `==`
    Equal,
    /// `!=`
    Unequal,
    /// `+`
    Plus,
    /// `-`
    Minus,
    /// `*`
    Times,
    /// `/`
    Over,
}

impl Join {
    /// How it is written.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Or => "or",
            Self::And => "and",
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::Greater => ">",
            Self::AtLeast => ">=",
            Self::Equal => "==",
            Self::Unequal => "!=",
            Self::Plus => "+",
            Self::Minus => "-",
            Self::Times => "*",
            Self::Over => "/",
        }
    }

    /// Whether it joins conditions.
    pub const fn is_logic(self) -> bool {
        matches!(self, Self::Or | Self::And)
    }

    /// Whether it compares numbers.
    pub const fn compares(self) -> bool {
        self.rank() == 3
    }

    /// How tightly it binds; more is tighter. Negation has 2, a minus 6.
    const fn rank(self) -> u8 {
        match self {
            Self::Or => 0,
            Self::And => 1,
            Self::Less | Self::AtMost | Self::Greater | Self::AtLeast | Self::Equal | Self::Unequal => 3,
            Self::Plus | Self::Minus => 4,
            Self::Times | Self::Over => 5,
        }
    }
}

impl Tree {
    /// Its parts.
    pub fn parts(&self) -> Vec<&Self> {
        match &self.node {
            Node::Number(_) | Node::Parameter(_) => Vec::new(),
            Node::Call(call) => call.arguments.iter().collect(),
            Node::Field(of, _) | Node::At(of, _) | Node::Not(of) | Node::Minus(of) => vec![of],
            Node::Back(of, bars) => vec![of, bars],
            Node::Joined(_, left, right) => vec![left, right],
        }
    }

    fn rank(&self) -> u8 {
        match &self.node {
            Node::Joined(join, ..) => join.rank(),
            Node::Not(_) => 2,
            Node::Minus(_) => 6,
            _ => 7,
        }
    }

    /// Writes a part that must bind as tightly as `rank`.
    fn write_part(&self, f: &mut fmt::Formatter<'_>, rank: u8) -> fmt::Result {
        match self.rank() < rank {
            true => write!(f, "({self})"),
            false => write!(f, "{self}"),
        }
    }
}

/// As a person would write it: with no more parentheses than it needs.
impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.node {
            Node::Number(number) => write!(f, "{number}"),
            Node::Parameter(name) => write!(f, "${name}"),
            Node::Call(Call { symbol, name, arguments }) => {
                if let Some(symbol) = symbol {
                    write!(f, "{}:", symbol.text)?;
                }
                f.write_str(&name.text)?;
                for (i, argument) in arguments.iter().enumerate() {
                    write!(f, "{}{argument}", if i == 0 { "(" } else { ", " })?;
                }
                if arguments.is_empty() { Ok(()) } else { f.write_str(")") }
            }
            Node::Field(of, name) => {
                of.write_part(f, 7)?;
                write!(f, ".{}", name.text)
            }
            Node::Back(of, bars) => {
                of.write_part(f, 7)?;
                write!(f, "[{bars}]")
            }
            Node::At(of, width) => {
                of.write_part(f, 7)?;
                write!(f, " @ {}", width.text)
            }
            Node::Not(of) => {
                f.write_str("not ")?;
                of.write_part(f, 3)
            }
            Node::Minus(of) => {
                f.write_str("-")?;
                of.write_part(f, 7)
            }
            Node::Joined(join, left, right) => {
                let rank = join.rank();
                // Comparisons don't chain, and what follows a minus is taken away as a whole.
                left.write_part(f, rank + u8::from(join.compares()))?;
                write!(f, " {} ", join.text())?;
                right.write_part(f, rank + 1)
            }
        }
    }
}
