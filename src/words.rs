//! Names that strategies write in their code, as they come back from a file.

use std::collections::BTreeSet;
use std::sync::Mutex;

use serde::{Deserialize, Deserializer, Serializer};

/// A name from a strategy's code.
pub(crate) type Word = &'static str;

/// The words that were read. A strategy has a handful, so that none is ever forgotten.
static READ: Mutex<BTreeSet<Word>> = Mutex::new(BTreeSet::new());
/// More than a strategy's code could hold: what was read isn't its journal.
const MOST: usize = 10_000;

/// The word with these letters.
///
/// # Errors
/// If ten thousand others were read.
pub(crate) fn word(text: &str) -> Result<Word, String> {
    let mut read = READ.lock().map_err(|_| "a former reader of words broke off".to_owned())?;
    if let Some(known) = read.get(text) {
        return Ok(known);
    }
    if read.len() == MOST {
        return Err(format!("{MOST} words were read"));
    }
    let kept: Word = Box::leak(text.into());
    read.insert(kept);
    Ok(kept)
}

pub(crate) fn serialize<S: Serializer>(word: &Word, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(word)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Word, D::Error> {
    word(&String::deserialize(from)?).map_err(serde::de::Error::custom)
}

/// A word that may be missing.
pub(crate) mod optional {
    use super::{Deserialize, Deserializer, Serializer, Word, word};

    pub(crate) fn serialize<S: Serializer>(word: &Option<Word>, to: S) -> Result<S::Ok, S::Error> {
        match word {
            Some(word) => to.serialize_some(word),
            None => to.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Word>, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        text.map(|text| word(&text)).transpose().map_err(serde::de::Error::custom)
    }
}
