//! What stands in `(( … ))` and `$(( … ))`.

use super::{Script, Word};

#[derive(Debug)]
pub(in super::super) enum Arithmetic {
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
pub(in super::super) enum Operator {
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
    pub(in super::super) fn scripts(&self) -> Vec<&Script> {
        match self {
            Self::Word(word) => word.scripts(),
            Self::Not(inner) | Self::Assign(_, inner, _) => inner.scripts(),
            Self::Binary(a, _, b) => a.scripts().into_iter().chain(b.scripts()).collect(),
            Self::Number(_) | Self::Variable(_) | Self::Unknown => Vec::new(),
        }
    }
}
