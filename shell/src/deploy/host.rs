//! The machine: one checked script does everything there, and what it says is read here.

use std::io::Read;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use flate2::read::GzDecoder;
use magellan::error::{Error, Result};

use crate::codes;
use crate::release::Environment;

/// Runs on the machine as root, whichever way it gets there.
pub const SCRIPT: &str = include_str!("host.sh");

/// No fact is longer, bytes.
const LONGEST: u64 = 1 << 20;

/// One call of the script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// What it is to do.
    pub operation: &'static str,
    arguments: Vec<String>,
}

impl Call {
    /// A call that knows the environment's users and paths.
    pub fn new(operation: &'static str, environment: &Environment) -> Self {
        let host = &environment.host;
        let call = Self { operation, arguments: Vec::new() };
        call.with("user", &host.user)
            .with("checkout", &host.checkout)
            .with("releases", &host.releases)
            .with("state", &host.state)
    }

    /// Whether anything speaks against changing the host.
    pub fn preflight<'u>(environment: &Environment, units: impl Iterator<Item = &'u String>) -> Self {
        let call = Self::new("preflight", environment)
            .with("remote", &environment.host.remote)
            .with("hostname", &environment.target.hostname);
        units.fold(call, |call, unit| call.with("unit", unit))
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

impl Answer {
    /// Reads the script's output. An output that doesn't begin as the script's does, says nothing.
    ///
    /// # Errors
    /// Deploy error if it is no answer.
    pub fn parse(output: &str) -> Result<Self> {
        let mut lines = output.lines();
        let first = lines.next().unwrap_or_default();
        let failed = match first.strip_prefix("magellan-host 1 ") {
            Some(rest) if rest.starts_with("ok ") => None,
            Some(rest) if rest.starts_with("failed ") => {
                let said = rest.splitn(3, ' ').nth(2).unwrap_or_default();
                let (code, message) = said.split_once(": ").unwrap_or((said, "no reason given"));
                Some((code.to_owned(), message.to_owned()))
            }
            _ => {
                let begins: String = first.chars().take(200).collect();
                return Err(Error::new(codes::HOST_SILENT, format!("the host's answer begins with `{begins}`")));
            }
        };
        Ok(Self { failed, facts: lines.filter_map(fact).collect() })
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

/// `key=value`, or `key:b64=` and foreign text, or `key:gz64=` and long text.
fn fact(line: &str) -> Option<(String, String)> {
    let (key, value) = line.split_once('=')?;
    let Some((key, form)) = key.split_once(':') else { return Some((key.to_owned(), value.to_owned())) };
    let bytes = BASE64_STANDARD.decode(value.trim()).ok()?;
    let text = match form {
        "b64" => String::from_utf8_lossy(&bytes).into_owned(),
        "gz64" => {
            let mut text = String::new();
            GzDecoder::new(&bytes[..]).take(LONGEST).read_to_string(&mut text).ok()?;
            text
        }
        _ => return None,
    };
    Some((key.to_owned(), text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_answer_is_read_whole_or_not_at_all() {
        let answer = Answer::parse("magellan-host 1 ok facts\nnow=5\nrelease=a\nrelease=b\nunit.x.log:b64=YQpi\n");
        let answer = answer.expect("an answer");
        assert_eq!((answer.number("now"), answer.all("release").count()), (Some(5.0), 2));
        assert_eq!(answer.get("unit.x.log"), Some("a\nb"));
        let failed = Answer::parse("magellan-host 1 failed stage wrong-digest: it is: other\n").expect("an answer");
        assert_eq!(failed.failed, Some(("wrong-digest".to_owned(), "it is: other".to_owned())));
        for silent in ["", "ok", "magellan-host 2 ok facts", "bash: no such file"] {
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
