//! Strategies as data: typed text in `config.json`, about completed bars alone.
//!
//! A rule's text becomes a tree (`parse.rs`), the tree indicators (`compile.rs`), and those with the rest of a side a
//! program (`program.rs`) that orders at each close (`strategy.rs`). What a name means stands in `catalogue.rs`.

mod catalogue;
mod compile;
mod fault;
mod given;
#[cfg(test)]
mod interpret;
mod parse;
mod program;
mod section;
mod strategy;
mod token;
mod tree;
mod words;

pub use catalogue::{FUNCTIONS, Function, Gives, Group, Takes, find};
pub use compile::{Kind, Meaning, Names, Numbers, Typed, compile};
pub use fault::Fault;
pub use parse::parse;
pub use program::{MOST_INPUTS, Program, SideProgram, program};
pub use section::{OrderKind, RuleFault, Section, SideRules, SizeKind, TargetRules, Tif, read};
pub use strategy::Declared;
pub use tree::{Call, Join, Node, Place, Tree, Word};
pub use words::in_words;
