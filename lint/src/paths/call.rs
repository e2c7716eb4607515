//! A simple command as it is about to run.

use super::state::Place;
use super::value::Value;
use crate::shell::Word;

/// A simple command as it is about to run.
pub(super) struct Call<'a> {
    pub(super) fields: Vec<Value>,
    pub(super) words: &'a [Word],
    pub(super) at: Place,
}

impl Call<'_> {
    pub(super) fn texts(&self) -> Vec<String> {
        self.fields.iter().map(Value::shown).collect()
    }
}

/// A command behind the words that only lead to it.
pub(super) struct Inner<'a> {
    pub(super) name: &'a str,
    pub(super) words: &'a [String],
    /// Of its arguments.
    pub(super) values: &'a [Value],
}
