//! What is signed: typed statements, each with one way to write it.

use magellan::deployed::is_name;
use magellan::error::{Error, Result};
use magellan::gate::Status;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::trusted::Role;
use crate::codes;

/// Longest text that people write.
const LONGEST_TEXT: usize = 500;

/// Something that is signed. What is signed as one type never passes for another.
pub trait Statement: Serialize + DeserializeOwned {
    /// Its `type`.
    const TYPE: &'static str;
    /// The role that its signer's key needs.
    const ROLE: Role;

    /// Refuses fields that can't be right.
    ///
    /// # Errors
    /// Refused, naming the field.
    fn check(&self) -> Result<()>;

    /// The one way to write it: a line of JSON, keys in alphabetical order, no spaces.
    fn canonical(&self) -> String {
        let mut value = json!(self);
        value["type"] = Self::TYPE.into();
        value.sort_all_objects();
        value.to_string()
    }

    /// Reads what [`Statement::canonical`] wrote.
    ///
    /// # Errors
    /// Refused if it is anything else.
    fn parse(payload: &str) -> Result<Self> {
        let mut value: Value = serde_json::from_str(payload).map_err(|e| bad(format!("no statement: {e}")))?;
        let kind = value.as_object_mut().and_then(|fields| fields.shift_remove("type"));
        if kind.as_ref().and_then(Value::as_str) != Some(Self::TYPE) {
            return Err(bad(format!("it isn't of the type {}", Self::TYPE)));
        }
        let statement: Self = serde_json::from_value(value).map_err(|e| bad(format!("no {}: {e}", Self::TYPE)))?;
        statement.check()?;
        match statement.canonical() == payload {
            true => Ok(statement),
            false => Err(bad(format!("the {} isn't written as it must be", Self::TYPE))),
        }
    }
}

/// This release is what was built of this commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReleaseStatement {
    /// Commit, 40 or 64 digits.
    pub commit: String,
    /// SHA-256 of the release's file `checksums`.
    pub contents: String,
    /// SHA-256 of `deployed/policy.toml`; empty, if there is none.
    pub policy: String,
    /// SHA-256 of the bundle.
    pub release: String,
}

/// The gate judged this strategy, made of these files, so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VerdictStatement {
    /// SHA-256 of the program.
    pub binary: String,
    /// SHA-256 of the config.
    pub config: String,
    /// SHA-256 of `deployed/policy.toml`; empty, if there is none.
    pub policy: String,
    /// The answer.
    pub status: Status,
    /// Which strategy.
    pub strategy: String,
    /// SHA-256 of the verdict's subject.
    pub subject: String,
    /// SHA-256 of the systemd unit.
    pub unit: String,
    /// The strategy's verdict, by its digest.
    pub verdict: String,
}

/// Somebody deploys this release, though there are reasons to refuse it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OverrideStatement {
    /// The reasons, by their error codes.
    pub codes: Vec<String>,
    /// Why nevertheless.
    pub reason: String,
    /// SHA-256 of the bundle.
    pub release: String,
    /// Who says so.
    pub who: String,
}

/// This entry belongs into the index of an environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IndexStatement {
    /// SHA-256 of the entry's JSON.
    pub entry: String,
    /// The environment's name.
    pub environment: String,
}

/// Somebody accepts a failure of this strategy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AcknowledgementStatement {
    /// SHA-256 of what was accepted.
    pub acknowledgement: String,
    /// Which strategy.
    pub strategy: String,
    /// Who accepted it.
    pub who: String,
}

impl Statement for ReleaseStatement {
    const TYPE: &'static str = "magellan-release-1";
    const ROLE: Role = Role::Release;

    fn check(&self) -> Result<()> {
        check_commit(&self.commit)?;
        check_policy(&self.policy)?;
        check_sha256("contents", &self.contents)?;
        check_sha256("release", &self.release)
    }
}

impl Statement for VerdictStatement {
    const TYPE: &'static str = "magellan-verdict-1";
    const ROLE: Role = Role::Verdict;

    fn check(&self) -> Result<()> {
        check_policy(&self.policy)?;
        check_name("strategy", &self.strategy)?;
        let Self { binary, config, subject, unit, verdict, .. } = self;
        [("binary", binary), ("config", config), ("subject", subject), ("unit", unit), ("verdict", verdict)]
            .into_iter()
            .try_for_each(|(field, hash)| check_sha256(field, hash))
    }
}

impl Statement for OverrideStatement {
    const TYPE: &'static str = "magellan-override-1";
    const ROLE: Role = Role::Override;

    fn check(&self) -> Result<()> {
        if self.codes.is_empty() {
            return Err(bad("`codes` is empty: nothing would be overridden".to_owned()));
        }
        self.codes.iter().try_for_each(|code| check_name("codes", code))?;
        check_text("reason", &self.reason)?;
        check_text("who", &self.who)?;
        check_sha256("release", &self.release)
    }
}

impl Statement for IndexStatement {
    const TYPE: &'static str = "magellan-index-1";
    const ROLE: Role = Role::Release;

    fn check(&self) -> Result<()> {
        check_name("environment", &self.environment)?;
        check_sha256("entry", &self.entry)
    }
}

impl Statement for AcknowledgementStatement {
    const TYPE: &'static str = "magellan-acknowledgement-1";
    const ROLE: Role = Role::Override;

    fn check(&self) -> Result<()> {
        check_name("strategy", &self.strategy)?;
        check_text("who", &self.who)?;
        check_sha256("acknowledgement", &self.acknowledgement)
    }
}

pub(super) fn bad(what: String) -> Error {
    Error::new(codes::BAD_ENVELOPE, what)
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

pub(super) fn check_sha256(field: &str, text: &str) -> Result<()> {
    if is_hex(text, 64) { Ok(()) } else { Err(bad(format!("`{field}` isn't a SHA-256"))) }
}

fn check_policy(text: &str) -> Result<()> {
    if text.is_empty() { Ok(()) } else { check_sha256("policy", text) }
}

fn check_commit(text: &str) -> Result<()> {
    match is_hex(text, 40) || is_hex(text, 64) {
        true => Ok(()),
        false => Err(bad("`commit` isn't the full id of a commit".to_owned())),
    }
}

fn check_name(field: &str, text: &str) -> Result<()> {
    match is_name(text) {
        true => Ok(()),
        false => Err(bad(format!("`{field}` is more than letters, digits, `_` and `-`, or empty"))),
    }
}

/// What people write is printed where a line may be a command.
fn check_text(field: &str, text: &str) -> Result<()> {
    let says = !text.trim().is_empty() && !text.chars().any(char::is_control);
    match says && text.chars().count() <= LONGEST_TEXT {
        true => Ok(()),
        false => {
            Err(bad(format!("`{field}` is empty, has control characters, or more than {LONGEST_TEXT} characters")))
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// One of each field's kind.
    pub(in crate::signing) fn release() -> ReleaseStatement {
        let [contents, release] = ["c", "d"].map(|digit| digit.repeat(64));
        ReleaseStatement { commit: "a".repeat(40), contents, policy: String::new(), release }
    }

    fn overriding() -> OverrideStatement {
        let [reason, who] = ["a \"quoted\" word, ünïcode".to_owned(), "ada".to_owned()];
        OverrideStatement { codes: vec!["release-bad".to_owned()], reason, release: "d".repeat(64), who }
    }

    fn verdict() -> VerdictStatement {
        let hash = |digit: &str| digit.repeat(64);
        VerdictStatement {
            binary: hash("b"),
            config: hash("c"),
            policy: hash("e"),
            status: Status::Pass,
            strategy: "bear_trap".to_owned(),
            subject: hash("1"),
            unit: hash("2"),
            verdict: hash("3"),
        }
    }

    #[test]
    fn the_host_reads_them_so() {
        let [one, two, three] = ["1", "2", "3"].map(|digit| digit.repeat(64));
        let [b, c, d, e] = ["b", "c", "d", "e"].map(|digit| digit.repeat(64));
        let index = IndexStatement { entry: one.clone(), environment: "staging".to_owned() };
        let accepted = AcknowledgementStatement {
            acknowledgement: one.clone(),
            strategy: "bear_trap".to_owned(),
            who: "bob".to_owned(),
        };
        for (is, should) in [
            (
                release().canonical(),
                format!(
                    r#"{{"commit":"{}","contents":"{c}","policy":"","release":"{d}","type":"magellan-release-1"}}"#,
                    "a".repeat(40)
                ),
            ),
            (
                verdict().canonical(),
                format!(
                    r#"{{"binary":"{b}","config":"{c}","policy":"{e}","status":"PASS","strategy":"bear_trap","subject":"{one}","type":"magellan-verdict-1","unit":"{two}","verdict":"{three}"}}"#
                ),
            ),
            (
                overriding().canonical(),
                format!(
                    r#"{{"codes":["release-bad"],"reason":"a \"quoted\" word, ünïcode","release":"{d}","type":"magellan-override-1","who":"ada"}}"#
                ),
            ),
            (index.canonical(), format!(r#"{{"entry":"{one}","environment":"staging","type":"magellan-index-1"}}"#)),
            (
                accepted.canonical(),
                format!(
                    r#"{{"acknowledgement":"{one}","strategy":"bear_trap","type":"magellan-acknowledgement-1","who":"bob"}}"#
                ),
            ),
        ] {
            assert_eq!(is, should);
        }
    }

    #[test]
    fn what_is_written_reads_back_and_as_no_other_type() {
        assert_eq!(ReleaseStatement::parse(&release().canonical()).expect("read"), release());
        assert_eq!(VerdictStatement::parse(&verdict().canonical()).expect("read"), verdict());
        assert_eq!(OverrideStatement::parse(&overriding().canonical()).expect("read"), overriding());
        assert!(VerdictStatement::parse(&release().canonical()).is_err());
        assert!(ReleaseStatement::parse(&release().canonical().replace("release-1", "index-1")).is_err());
    }

    #[test]
    fn there_is_one_way_to_write_it() {
        let good = release().canonical();
        for bad in [
            good.replace(':', ": "),
            good.clone() + "\n",
            good.replace("\"policy\":\"\",", "").replace('}', ",\"policy\":\"\"}"),
            good.replace("\"policy\":\"\",", ""),
            good.replace("\"policy\":\"\"", "\"policy\":null"),
            good.replace("\"policy\":\"\",", "\"policy\":\"\",\"policy\":\"\","),
            good.replace('}', ",\"x\":1}"),
            good.replace("commit\":\"a", "commit\":\"\\u0061"),
            good.replace("commit\":\"a", "commit\":\"A"),
            good.replace("commit\":\"a", "commit\":\""),
            good.replace("release\":\"d", "release\":\"g"),
            good.replace("contents\":\"c", "contents\":\""),
            good.replace("magellan-release-1", "magellan-release-2"),
            format!("[{good}]"),
            "null".to_owned(),
            String::new(),
        ] {
            assert_eq!(ReleaseStatement::parse(&bad).map_err(|e| e.code()).err(), Some(codes::BAD_ENVELOPE), "{bad}");
        }
    }

    #[test]
    fn people_say_who_and_why() {
        let edit = |change: fn(&mut OverrideStatement)| {
            let mut edited = overriding();
            change(&mut edited);
            edited.check().is_ok()
        };
        assert!(edit(|_| {}));
        assert!(!edit(|o| o.codes.clear()) && !edit(|o| o.codes.push("a b".to_owned())));
        assert!(!edit(|o| o.reason = " ".to_owned()) && !edit(|o| o.who = String::new()));
        assert!(!edit(|o| o.reason = "a\nb".to_owned()) && !edit(|o| o.reason = "a".repeat(501)));
    }
}
