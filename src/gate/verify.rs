//! A stored verdict: whether it is whole, and whether judging again gives the same.

use std::path::Path;

use serde_json::{Value, json};

use super::digest::{self, Subject};
use super::verdict::{Status, Verdict};
use crate::bar::Date;
use crate::deployed::is_name;
use crate::disk::map;
use crate::error::{Error, Result, codes};

/// Numbers of two machines may differ by this much, of the larger one.
const TOLERANCE: f64 = 1e-9;
/// Largest verdict read.
const LARGEST: u64 = 64 << 20;

/// A verdict as it was written.
#[derive(Clone, Debug)]
pub struct Stored(Value);

impl Stored {
    /// Reads a verdict's file, as it was written.
    ///
    /// # Errors
    /// Refused if it was altered, or is no verdict.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = map::bytes_up_to(path, LARGEST)?;
        let value: Value = serde_json::from_slice(&bytes)
            .map_err(|e| Error::new(codes::VERDICT_ALTERED, format!("no verdict: {e}")).at(path.display()))?;
        // Another reader must not take another of two keys for the verdict.
        let written = serde_json::to_string_pretty(&value).unwrap_or_default() + "\n";
        if written.as_bytes() != &bytes[..] {
            return Err(Error::new(codes::VERDICT_ALTERED, "it isn't as it was written").at(path.display()));
        }
        Self::new(value).map_err(|e| e.at(path.display()))
    }

    /// Takes a verdict whose digests are those of its contents.
    ///
    /// # Errors
    /// Refused if it was altered, or is no verdict.
    pub fn new(verdict: Value) -> Result<Self> {
        let altered = |what: String| Error::new(codes::VERDICT_ALTERED, what);
        let stored = Self(verdict);
        let of = stored.0.get("strategies").and_then(Value::as_array).filter(|all| !all.is_empty());
        let Some(strategies) = of else { return Err(altered("no verdict: it has no strategies".to_owned())) };
        for one in strategies {
            let name = one.get("strategy").and_then(Value::as_str).unwrap_or_default();
            if !is_name(name) || strategies.iter().filter(|s| s.get("strategy") == one.get("strategy")).count() > 1 {
                return Err(altered(format!("`{name}` is no strategy's name, or stands twice")));
            }
            if Some(digest::digest(one).as_str()) != one.get("digest").and_then(Value::as_str) {
                return Err(altered(format!("the digest of {name} isn't that of its contents")));
            }
            stored.check_subject(name, one)?;
        }
        if stored.digest() != digest::whole(&stored.0) {
            return Err(altered("its digest isn't that of its contents".to_owned()));
        }
        Ok(stored)
    }

    /// What was judged must be told, unless nothing could be.
    fn check_subject(&self, name: &str, one: &Value) -> Result<()> {
        let subject = one.get("subject").cloned().unwrap_or_default();
        let fits = match serde_json::from_value::<Option<Subject>>(subject) {
            Ok(Some(subject)) => subject.hash() == subject.sha256,
            Ok(None) => one.get("error").is_some_and(|e| !e.is_null()),
            Err(_) => false,
        };
        match fits {
            true => Ok(()),
            false => Err(Error::new(codes::VERDICT_ALTERED, format!("the subject of {name} isn't that of its fields"))),
        }
    }

    fn all(&self) -> impl Iterator<Item = &Value> {
        self.0.get("strategies").and_then(Value::as_array).into_iter().flatten()
    }

    fn one(&self, strategy: &str) -> Option<&Value> {
        self.all().find(|one| one.get("strategy").and_then(Value::as_str) == Some(strategy))
    }

    /// Names of the strategies.
    pub fn strategies(&self) -> impl Iterator<Item = &str> {
        self.all().filter_map(|one| one.get("strategy")?.as_str())
    }

    /// Its digest.
    pub fn digest(&self) -> &str {
        self.0.get("digest").and_then(Value::as_str).unwrap_or_default()
    }

    /// The digest of one strategy.
    pub fn digest_of(&self, strategy: &str) -> Option<&str> {
        self.one(strategy)?.get("digest")?.as_str()
    }

    /// What was judged of one strategy.
    pub fn subject(&self, strategy: &str) -> Option<Subject> {
        serde_json::from_value(self.one(strategy)?.get("subject")?.clone()).ok()
    }

    /// The status of one strategy.
    pub fn status(&self, strategy: &str) -> Option<&str> {
        self.one(strategy)?.get("status")?.as_str()
    }

    /// Whether the verdict of a strategy rests on synthetic bars; if it doesn't say, it does.
    pub fn is_synthetic(&self, strategy: &str) -> bool {
        self.one(strategy).and_then(|one| one.get("synthetic")?.as_bool()).unwrap_or(true)
    }

    /// N of a strategy.
    pub fn trials(&self, strategy: &str) -> Option<u64> {
        self.one(strategy)?.pointer("/ledger/n")?.as_u64()
    }

    /// The ledger's heads that a strategy was judged with.
    pub fn heads(&self, strategy: &str) -> Vec<String> {
        let heads = self.one(strategy).and_then(|one| one.pointer("/ledger/heads")).and_then(Value::as_array);
        heads.into_iter().flatten().filter_map(|h| Some(h.as_str()?.to_owned())).collect()
    }

    /// The hash of what a strategy would be as a baseline.
    pub fn baseline_of(&self, strategy: &str) -> Option<&str> {
        self.one(strategy)?.get("baseline_sha256")?.as_str()
    }

    /// Subjects of what was deployed when a strategy was judged, by period.
    pub fn deployed_then(&self, strategy: &str) -> Vec<Option<String>> {
        let periods = self.one(strategy).and_then(|one| one.get("periods")).and_then(Value::as_array);
        let of = |p: &Value| p.pointer("/baseline/subject").and_then(Value::as_str).map(str::to_owned);
        periods.into_iter().flatten().map(of).collect()
    }

    /// A day on which the same acknowledgements held as when this was judged; none, if any day is.
    pub fn a_day(&self) -> Option<Date> {
        accepted_until(self.all())
    }

    /// Refuses a strategy whose verdict doesn't allow it to be deployed today.
    ///
    /// # Errors
    /// Refused, with its status.
    pub fn check_deploys(&self, strategy: &str, today: Date) -> Result<()> {
        if let Some(day) = accepted_until(self.one(strategy).into_iter()).filter(|day| *day < today) {
            return Err(Error::new(codes::VERDICT_FORBIDS, format!("it rests on what was accepted until {day}")));
        }
        let status = self.status(strategy).unwrap_or("none");
        let deploys = [Status::Pass, Status::Warn].iter().any(|s| s.name() == status);
        match deploys {
            true => Ok(()),
            false => Err(Error::new(codes::VERDICT_FORBIDS, format!("the verdict of {strategy} is {status}"))),
        }
    }
}

/// The last day on which everything holds that was accepted for verdicts.
fn accepted_until<'v>(verdicts: impl Iterator<Item = &'v Value>) -> Option<Date> {
    let accepted = verdicts.filter_map(|one| one.get("acknowledgements")?.as_array()).flatten();
    let holding = accepted.filter(|a| a.get("expired") == Some(&Value::Bool(false)));
    holding.filter_map(|a| a.get("expires")?.as_str()?.parse().ok()).min()
}

/// Compares a stored verdict with another of the same subject; how many values were the same.
///
/// # Errors
/// Refused, naming the first value that differs.
pub fn compare(stored: &Stored, again: &Verdict) -> Result<usize> {
    let mut same = 0;
    for one in &again.strategies {
        let was = stored.one(&one.strategy).cloned().unwrap_or_default();
        let (mut was, mut is) = (was, json!(one));
        for value in [&mut was, &mut is] {
            // A digest covers all bits, and these are compared to 1e-9; where a config lies is no result.
            for key in ["digest", "config"] {
                value.as_object_mut().and_then(|o| o.shift_remove(key));
            }
        }
        same += equal(&one.strategy, &was, &is)?;
    }
    Ok(same)
}

fn equal(path: &str, a: &Value, b: &Value) -> Result<usize> {
    let differs = || Err(Error::new(codes::VERDICT_DIFFERS, format!("{path} was {}, is {}", brief(a), brief(b))));
    match (a, b) {
        (Value::Object(a_fields), Value::Object(b_fields)) => {
            if let Some(key) = b_fields.keys().chain(a_fields.keys()).find(|k| a.get(k).is_some() != b.get(k).is_some())
            {
                return Err(Error::new(codes::VERDICT_DIFFERS, format!("{path}.{key} is in one of the two only")));
            }
            a_fields.iter().map(|(key, value)| equal(&format!("{path}.{key}"), value, &b[key])).sum()
        }
        (Value::Array(a_items), Value::Array(b_items)) if a_items.len() == b_items.len() => {
            a_items.iter().zip(b_items).enumerate().map(|(i, (a, b))| equal(&format!("{path}[{i}]"), a, b)).sum()
        }
        (Value::Number(a_number), Value::Number(b_number)) => {
            let (x, y) = (a_number.as_f64().unwrap_or(f64::NAN), b_number.as_f64().unwrap_or(f64::NAN));
            if (x - y).abs() <= TOLERANCE * x.abs().max(y.abs()).max(1.0) { Ok(1) } else { differs() }
        }
        _ if a == b => Ok(1),
        _ => differs(),
    }
}

fn brief(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() > 80 { text.chars().take(77).collect::<String>() + "..." } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_may_differ_by_rounding_and_by_no_more() {
        let (a, near, far) = (json!({"x": [1.0]}), json!({"x": [1.0 + 1e-10]}), json!({"x": [1.0 + 1e-8]}));
        assert_eq!(equal("v", &a, &near).map_err(|e| e.code()), Ok(1));
        assert_eq!(equal("v", &a, &far).map_err(|e| e.code()), Err(codes::VERDICT_DIFFERS));
        assert!(equal("v", &a, &json!({"x": [1.0], "y": 1})).is_err() && equal("v", &a, &json!({})).is_err());
    }
}
