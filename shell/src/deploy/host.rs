//! The machine: one checked script does everything there, and what it says is read here.

use std::io::Read;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use flate2::read::GzDecoder;
use magellan::error::{Error, Result};

use crate::codes;
use crate::release::Environment;

/// Runs on the machine as root, whichever way it gets there.
pub const SCRIPT: &str = concat!(
    include_str!("host/0-main.sh"),
    include_str!("host/1-say.sh"),
    include_str!("host/2-safe.sh"),
    include_str!("host/3-there.sh"),
    include_str!("host/4-stage.sh"),
    include_str!("host/5-activate.sh"),
    include_str!("host/6-record.sh"),
    include_str!("host/7-look.sh"),
    include_str!("host/8-doctor.sh"),
);

/// No answer has more to say once it is unpacked, bytes.
const LONGEST: u64 = 8 << 20;

/// One call of the script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// What it is to do.
    pub operation: &'static str,
    arguments: Vec<String>,
}

impl Call {
    /// A call about an environment's host.
    pub fn new(operation: &'static str, environment: &Environment) -> Self {
        Self { operation, arguments: Vec::new() }.with("environment", &environment.name)
    }

    /// Whether anything speaks against changing the host.
    pub fn preflight<'u>(environment: &Environment, units: impl Iterator<Item = &'u String>) -> Self {
        let call = Self::new("preflight", environment)
            .with("remote", &environment.host.remote)
            .with("hostname", &environment.target.hostname);
        call.with_units(units)
    }

    /// With these units.
    #[must_use]
    pub fn with_units<'u>(self, units: impl IntoIterator<Item = &'u String>) -> Self {
        units.into_iter().fold(self, |call, unit| call.with("unit", unit))
    }

    /// With a text of several lines.
    #[must_use]
    pub fn with_text(self, key: &str, text: &str) -> Self {
        self.with(key, BASE64_STANDARD.encode(text))
    }

    /// The call for another page of an answer.
    pub(super) fn page(id: &str, number: usize) -> Self {
        Self { operation: "page", arguments: Vec::new() }.with("id", id).with("page", number)
    }

    /// With one more argument; its value may hold anything but NUL.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl std::fmt::Display) -> Self {
        self.arguments.push(format!("{key}={value}"));
        self
    }

    /// What follows the script's name.
    pub fn words(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.operation).chain(self.arguments.iter().map(String::as_str))
    }
}

/// A word as a shell reads it back, whatever it holds.
pub fn shell_word(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// What a call came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// Whether it did what it was asked; if not, the code and why.
    pub failed: Option<(String, String)>,
    /// What it saw, in its order.
    facts: Vec<(String, String)>,
}

/// One page of an answer, as the host prints it.
pub(super) struct Page {
    /// The code and why, if it failed.
    pub(super) failed: Option<(String, String)>,
    /// Number of the page from 1, how many there are, and how to ask for another; none if it has no facts.
    pub(super) part: Option<(usize, usize, String)>,
    /// A piece of the facts' text: packed, in base64.
    pub(super) chunk: String,
}

impl Page {
    /// Reads the script's output. An output that doesn't begin as the script's does, says nothing.
    pub(super) fn parse(output: &str) -> Result<Self> {
        let silent = |begins: &str| {
            let begins: String = begins.chars().take(200).collect();
            Error::new(codes::HOST_SILENT, format!("the host's answer begins with `{begins}`"))
        };
        let mut lines = output.lines();
        let first = lines.next().unwrap_or_default();
        let failed = match first.strip_prefix("magellan-host 2 ") {
            Some(rest) if rest.starts_with("ok ") => None,
            Some(rest) if rest.starts_with("failed ") => {
                let said = rest.splitn(3, ' ').nth(2).unwrap_or_default();
                let (code, message) = said.split_once(": ").unwrap_or((said, "no reason given"));
                Some((code.to_owned(), message.to_owned()))
            }
            _ => return Err(silent(first)),
        };
        let Some(second) = lines.next() else { return Ok(Self { failed, part: None, chunk: String::new() }) };
        let words: Vec<&str> = second.split(' ').collect();
        let ["facts", page, pages, id, chunk] = words[..] else { return Err(silent(second)) };
        let (Ok(page), Ok(pages)) = (page.parse(), pages.parse()) else { return Err(silent(second)) };
        Ok(Self { failed, part: Some((page, pages, id.to_owned())), chunk: chunk.to_owned() })
    }
}

impl Answer {
    /// An answer of its parts: how it went, and the pieces of its facts' text, joined.
    ///
    /// # Errors
    /// Deploy error if the facts can't be read.
    pub(super) fn of(failed: Option<(String, String)>, chunks: &str) -> Result<Self> {
        Ok(Self { failed, facts: unpacked(chunks)? })
    }

    /// Reads an answer of one page.
    ///
    /// # Errors
    /// Deploy error if it is no answer.
    #[cfg(test)]
    pub fn parse(output: &str) -> Result<Self> {
        let Page { failed, chunk, .. } = Page::parse(output)?;
        Self::of(failed, &chunk)
    }

    /// An answer with these facts, `key=value` a line.
    #[cfg(test)]
    pub fn with_facts(lines: &str) -> Self {
        Self { failed: None, facts: lines.lines().filter_map(fact).collect() }
    }

    /// The answer, if the call did what it was asked.
    ///
    /// # Errors
    /// Deploy error with what the script said.
    pub fn done(self, operation: &str) -> Result<Self> {
        match &self.failed {
            None => Ok(self),
            Some((code, message)) => {
                let problems: Vec<&str> = self.all("problem").collect();
                let problems = if problems.is_empty() { String::new() } else { format!(": {}", problems.join("; ")) };
                // What the commands themselves said, at the end of the log.
                let log: Vec<&str> = self.get("log").unwrap_or_default().lines().filter(|l| !l.is_empty()).collect();
                let ends = log[log.len().saturating_sub(3)..].join(" / ");
                let ends = if ends.is_empty() { ends } else { format!("; its log ends: {ends}") };
                Err(Error::new(codes::HOST_FAILED, format!("{operation}: {message}{problems} ({code}){ends}")))
            }
        }
    }

    /// A fact.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.all(key).next()
    }

    /// All facts of one name.
    pub fn all<'a>(&'a self, key: &str) -> impl Iterator<Item = &'a str> {
        self.facts.iter().filter(move |f| f.0 == key).map(|f| f.1.as_str())
    }

    /// A fact that isn't empty.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.get(key).filter(|value| !value.is_empty())
    }

    /// A fact that is a number.
    pub fn number<T: std::str::FromStr>(&self, key: &str) -> Option<T> {
        self.get(key)?.parse().ok()
    }

    /// All facts of one name, in their order.
    pub fn list(&self, key: &str) -> Vec<String> {
        self.all(key).map(str::to_owned).collect()
    }

    /// Every fact, by name.
    pub fn facts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.facts.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }
}

/// The facts of all chunks together.
fn unpacked(chunks: &str) -> Result<Vec<(String, String)>> {
    let silent = |what: String| Error::new(codes::HOST_SILENT, format!("the host's facts can't be read: {what}"));
    if chunks.is_empty() {
        return Ok(Vec::new());
    }
    let bytes = BASE64_STANDARD.decode(chunks).map_err(|e| silent(e.to_string()))?;
    let mut text = String::new();
    let read = GzDecoder::new(&bytes[..]).take(LONGEST).read_to_string(&mut text).map_err(|e| silent(e.to_string()))?;
    if read as u64 == LONGEST {
        return Err(silent(format!("they have more than {LONGEST} bytes")));
    }
    Ok(text.lines().filter_map(fact).collect())
}

/// `key=value`, or `key:b64=` and foreign text.
fn fact(line: &str) -> Option<(String, String)> {
    let (key, value) = line.split_once('=')?;
    let Some((key, "b64")) = key.split_once(':') else { return Some((key.to_owned(), value.to_owned())) };
    let bytes = BASE64_STANDARD.decode(value.trim()).ok()?;
    Some((key.to_owned(), String::from_utf8_lossy(&bytes).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_answer_that_is_none_is_silence() {
        let failed = Answer::parse("magellan-host 2 failed stage wrong-digest: it is: other\n").expect("an answer");
        assert_eq!(failed.failed, Some(("wrong-digest".to_owned(), "it is: other".to_owned())));
        for silent in ["", "ok", "magellan-host 1 ok facts", "bash: no such file", "magellan-host 2 ok facts\nnow=5"] {
            assert_eq!(Answer::parse(silent).map_err(|e| e.code()), Err(codes::HOST_SILENT), "{silent}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_shell_reads_any_word_back(word in "[^\0]{0,40}") {
            let script = format!("printf %s {}", shell_word(&word));
            let output = std::process::Command::new("sh").arg("-c").arg(script).output().expect("a shell");
            prop_assert_eq!(output.stdout, word.as_bytes());
        }
    }
}
