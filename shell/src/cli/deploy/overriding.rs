//! What was refused, and who takes responsibility for it

use std::str::FromStr;

use clap::Args;
use magellan::error::{Error, Result};

use crate::codes;
use crate::deploy::record::{Override, Reason};

/// A reason for one refusal: `CODE=WHY`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Why {
    code: String,
    why: String,
}

impl FromStr for Why {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let form = "expected CODE=WHY, such as deploy-untimely=\"the exchange is closed today\"";
        let (code, why) = text.split_once('=').ok_or(form)?;
        if why.trim().is_empty() {
            return Err(format!("the reason for {code} is empty; {form}"));
        }
        if !known(code) {
            return Err(format!("`{code}` is no error code; `magellan explain` lists them"));
        }
        Ok(Self { code: code.to_owned(), why: why.to_owned() })
    }
}

fn known(code: &str) -> bool {
    [codes::ALL, magellan::error::codes::ALL].concat().iter().any(|known| known.slug() == code)
}

/// Responsibility for refusals.
#[derive(Args, Debug)]
pub(crate) struct Overriding {
    /// Go on although it is refused with this code, and why. One for each code; recorded and shown everywhere.
    #[arg(long = "override", value_name = "CODE=WHY", requires = "who")]
    reasons: Vec<Why>,
    /// Who takes responsibility for that.
    #[arg(long, value_name = "WHO", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    who: Option<String>,
}

impl Overriding {
    /// Refuses, unless somebody takes responsibility for each refusal.
    pub(super) fn settle(&self, against: &[Error]) -> Result<Option<Override>> {
        let reason = |err: &Error| self.reasons.iter().find(|why| why.code == err.code().slug());
        let (taken, left): (Vec<&Error>, Vec<&Error>) = against.iter().partition(|err| reason(err).is_some());
        if let Some(refused) = refusal(&left) {
            return Err(refused);
        }
        for why in self.reasons.iter().filter(|why| !against.iter().any(|err| err.code().slug() == why.code)) {
            eprintln!("note: nothing is refused with {}; its reason isn't recorded", why.code);
        }
        let Some(who) = self.who.clone().filter(|_| !taken.is_empty()) else { return Ok(None) };
        let refused = |code: &str| taken.iter().filter(|e| e.code().slug() == code).map(|e| e.to_string()).collect();
        let used = self.reasons.iter().filter(|why| taken.iter().any(|err| err.code().slug() == why.code));
        let reasons =
            used.map(|Why { code, why }| Reason { code: code.clone(), why: why.clone(), refused: refused(code) });
        let overridden = Override { who, reasons: reasons.collect() };
        for Reason { code, why, refused } in &overridden.reasons {
            eprintln!("OVERRIDDEN by {}: {code}: {why}", overridden.who);
            refused.iter().for_each(|what| eprintln!("  refused: {what}"));
        }
        Ok(Some(overridden))
    }
}

/// All that is refused, a line each, and the first of them as the error.
fn refusal(left: &[&Error]) -> Option<Error> {
    let first = left.first()?;
    left.iter().for_each(|err| eprintln!("refused: {err} ({})", err.code().slug()));
    let more = if left.len() > 1 { format!(" (and {} more)", left.len() - 1) } else { String::new() };
    let place = first.place().map_or_else(String::new, |place| format!("{place}: "));
    let error = Error::new(first.code(), format!("{place}{}{more}", first.what()));
    Some(error.help(first.suggestion()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overriding(reasons: &[&str]) -> Overriding {
        let reasons = reasons.iter().map(|text| text.parse().expect("a reason")).collect();
        Overriding { reasons, who: Some("ada".to_owned()) }
    }

    #[test]
    fn a_reason_is_for_its_own_code_alone() {
        let against = [Error::new(codes::NO_VERDICT, "none"), Error::new(codes::DEPLOY_UNTIMELY, "open")];
        let one = overriding(&["no-verdict=a stand-in"]).settle(&against);
        assert_eq!(one.map_err(|e| e.code()).err(), Some(codes::DEPLOY_UNTIMELY));
        let both = overriding(&["no-verdict=a stand-in", "deploy-untimely=a = b"]).settle(&against).expect("taken");
        let both = both.expect("recorded").reasons;
        assert_eq!(
            both.iter().map(|r| (r.code.as_str(), r.refused.len())).collect::<Vec<_>>(),
            [("no-verdict", 1), ("deploy-untimely", 1)]
        );
        assert_eq!(both[1].why, "a = b");
        assert_eq!(overriding(&["no-verdict=x"]).settle(&[]).expect("nothing is refused"), None);
    }

    #[test]
    fn a_reason_without_a_code_or_a_text_is_none() {
        for text in ["a stand-in", "no-verdict=", "no-verdict= ", "no-such-code=x", "=x"] {
            assert!(text.parse::<Why>().is_err(), "{text}");
        }
    }
}
