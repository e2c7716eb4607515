//! A stored verdict: whether it is whole, and whether judging again gives the same.

use serde_json::{Value, json};

use super::digest::{self, Subject};
use super::verdict::{Status, Verdict};
use crate::error::{Code, Error, Result};

/// Numbers of two machines may differ by this much, of the larger one.
const TOLERANCE: f64 = 1e-9;

/// A verdict as it was written.
#[derive(Clone, Debug)]
pub struct Stored(Value);

impl Stored {
    /// Takes a verdict whose digests are those of its contents.
    ///
    /// # Errors
    /// Refused if it was altered, or is no verdict.
    pub fn new(verdict: Value) -> Result<Self> {
        let altered = |what: String| Error::new(Code::VerdictAltered, what);
        let stored = Self(verdict);
        let of = stored.0.get("strategies").and_then(Value::as_array).filter(|all| !all.is_empty());
        let Some(strategies) = of else { return Err(altered("no verdict: it has no strategies".to_owned())) };
        let mut digests = Vec::new();
        for one in strategies {
            let name = one.get("strategy").and_then(Value::as_str).unwrap_or("?");
            let said = one.get("digest").and_then(Value::as_str).unwrap_or_default();
            if digest::digest(one) != said {
                return Err(altered(format!("the digest of {name} isn't that of its contents")));
            }
            let subject = one.get("subject").cloned().unwrap_or_default();
            if let Ok(subject) = serde_json::from_value::<Subject>(subject)
                && subject.hash() != subject.sha256
            {
                return Err(altered(format!("the subject of {name} isn't that of its fields")));
            }
            digests.push(said);
        }
        if stored.digest() != digest::joined(digests.into_iter()) {
            return Err(altered("its digest isn't that of its strategies".to_owned()));
        }
        stored.check_summary()?;
        Ok(stored)
    }

    /// What stands beside the digests must follow from what they cover.
    fn check_summary(&self) -> Result<()> {
        let worst = self.all().filter_map(|one| rank(one.get("status")?)).max();
        let said = self.0.get("status").and_then(rank);
        let any = self.all().any(|one| one.get("synthetic") == Some(&Value::Bool(true)));
        if said.is_none() || said != worst || self.0.get("synthetic") != Some(&Value::Bool(any)) {
            return Err(Error::new(Code::VerdictAltered, "its status isn't the worst of its strategies"));
        }
        Ok(())
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

    /// The ledger's heads that a strategy was judged with.
    pub fn heads(&self, strategy: &str) -> Vec<String> {
        let heads = self.one(strategy).and_then(|one| one.pointer("/ledger/heads")).and_then(Value::as_array);
        heads.into_iter().flatten().filter_map(|h| Some(h.as_str()?.to_owned())).collect()
    }

    /// Refuses a strategy whose verdict doesn't allow it to be deployed.
    ///
    /// # Errors
    /// Refused, with its status.
    pub fn check_deploys(&self, strategy: &str) -> Result<()> {
        let status = self.one(strategy).and_then(|one| one.get("status")).and_then(Value::as_str).unwrap_or("none");
        let deploys = [Status::Pass, Status::Warn].iter().any(|s| s.name() == status);
        match deploys {
            true => Ok(()),
            false => Err(Error::new(Code::VerdictForbids, format!("the verdict of {strategy} is {status}"))),
        }
    }
}

fn rank(status: &Value) -> Option<Status> {
    let all = [Status::Pass, Status::Warn, Status::Inconclusive, Status::Fail, Status::Error];
    all.into_iter().find(|s| Some(s.name()) == status.as_str())
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
    let differs = || Err(Error::new(Code::VerdictDiffers, format!("{path} was {}, is {}", brief(a), brief(b))));
    match (a, b) {
        (Value::Object(a_fields), Value::Object(b_fields)) => {
            if let Some(key) = b_fields.keys().chain(a_fields.keys()).find(|k| a.get(k).is_some() != b.get(k).is_some())
            {
                return Err(Error::new(Code::VerdictDiffers, format!("{path}.{key} is in one of the two only")));
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
        assert_eq!(equal("v", &a, &far).map_err(|e| e.code()), Err(Code::VerdictDiffers));
        assert!(equal("v", &a, &json!({"x": [1.0], "y": 1})).is_err() && equal("v", &a, &json!({})).is_err());
    }
}
