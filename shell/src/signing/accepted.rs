//! Signatures of what people accepted, beside a strategy's config.

use std::path::Path;

use magellan::error::{Error, Result};
use magellan::gate::Acknowledgement;
use magellan::gate::acknowledge::SIGNATURES;

use super::envelope::{Envelope, Envelopes};
use super::key::SigningKey;
use super::statement::AcknowledgementStatement;
use super::trusted::Trusted;
use crate::codes;

/// What is signed of each.
fn statements(folder: &Path, accepted: &[Acknowledgement]) -> Result<Vec<AcknowledgementStatement>> {
    let strategy = folder.file_name().map(|name| name.to_string_lossy().into_owned()).ok_or_else(|| {
        Error::new(codes::BAD_ARGUMENT, "the folder's name isn't that of a strategy").at(folder.display())
    })?;
    let statement = |one: &Acknowledgement| AcknowledgementStatement {
        acknowledgement: one.sha256(),
        strategy: strategy.clone(),
        who: one.who.clone(),
    };
    Ok(accepted.iter().map(statement).collect())
}

/// Signs what was accepted, in the folder `deployed/<strategy>`. Signatures of others of the same stay; those of what is
/// no longer accepted go. How many envelopes there are now.
///
/// # Errors
/// Refused if the file that is there holds no envelopes; usage error if it can't be written.
pub fn sign_acknowledgements(
    folder: &Path,
    accepted: &[Acknowledgement],
    mine: impl Fn(&Acknowledgement) -> bool,
    key: &SigningKey,
) -> Result<usize> {
    let file = folder.join(SIGNATURES);
    let mut envelopes = Envelopes::read(&file)?;
    let statements = statements(folder, accepted)?;
    envelopes.retain(|envelope| statements.iter().any(|statement| envelope.states(statement)));
    for (_, statement) in accepted.iter().zip(&statements).filter(|(one, _)| mine(one)) {
        envelopes.add(Envelope::sign(statement, key)?);
    }
    envelopes.write(&file)?;
    Ok(envelopes.count())
}

/// Who has signed each of these acknowledgements of the strategy whose folder `deployed/<strategy>` this is: a verdict's,
/// or those beside the config.
///
/// # Errors
/// Refused if one isn't signed by a trusted key with the role `override`.
pub fn acknowledgements_signed(
    folder: &Path,
    accepted: &[Acknowledgement],
    trusted: &Trusted,
) -> Result<Vec<(Acknowledgement, String)>> {
    let envelopes = Envelopes::read(&folder.join(SIGNATURES))?;
    let by = |(one, wanted): (&Acknowledgement, AcknowledgementStatement)| {
        let what = format!("that {} accepts {} of {}", one.who, one.check, wanted.strategy);
        let found = envelopes.find(&what, |s: &AcknowledgementStatement| *s == wanted, trusted)?;
        Ok((one.clone(), found.by))
    };
    accepted.iter().zip(statements(folder, accepted)?).map(by).collect()
}

#[cfg(test)]
mod tests {
    use super::super::key::tests::key;
    use super::super::trusted::Role;
    use super::super::trusted::tests::trusting;
    use super::*;
    use magellan::error::Code;

    fn accepted(check: &str, who: &str) -> Acknowledgement {
        Acknowledgement {
            check: check.to_owned(),
            period: "all".to_owned(),
            config_sha256: "c".repeat(64),
            who: who.to_owned(),
            why: "a small sweep".to_owned(),
            accepted: "2026-01-02".parse().expect("a day"),
            expires: "2026-02-02".parse().expect("a day"),
            expired: false,
        }
    }

    fn signers(folder: &Path, accepted: &[Acknowledgement], trusted: &Trusted) -> Result<Vec<String>, Code> {
        let signed = acknowledgements_signed(folder, accepted, trusted).map_err(|e| e.code())?;
        Ok(signed.into_iter().map(|(_, by)| by).collect())
    }

    #[test]
    fn each_must_be_signed_as_it_is() {
        let place = tempfile::tempdir().expect("a folder");
        let folder = place.path().join("bear_trap");
        std::fs::create_dir(&folder).expect("made");
        let trusted = trusting(&[(0, &[Role::Override], "ada"), (1, &[Role::Override], "bob")]);
        let all = [accepted("pbo", "ada"), accepted("dsr", "bob")];
        assert_eq!(signers(&folder, &[], &trusted), Ok(vec![]));
        assert_eq!(signers(&folder, &all, &trusted), Err(codes::UNSIGNED));
        let sign = |all: &[Acknowledgement], who: &str, which| {
            sign_acknowledgements(&folder, all, |one| one.who == who, &key(which)).expect("signed")
        };
        assert_eq!(sign(&all, "ada", 0), 1);
        assert_eq!(signers(&folder, &all, &trusted), Err(codes::UNSIGNED));
        assert_eq!((sign(&all, "bob", 1), sign(&all, "bob", 1)), (2, 2));
        assert_eq!(signers(&folder, &all, &trusted), Ok(vec!["ada".to_owned(), "bob".to_owned()]));
        // Time passes, and that isn't signed again.
        let expired = all.clone().map(|one| Acknowledgement { expired: true, ..one });
        assert!(signers(&folder, &expired, &trusted).is_ok());
        let longer = all.clone().map(|one| Acknowledgement { expires: "2026-03-02".parse().expect("a day"), ..one });
        assert_eq!(signers(&folder, &longer, &trusted), Err(codes::UNSIGNED));
        let only_ada = trusting(&[(0, &[Role::Override], "ada"), (1, &[Role::Verdict], "bob")]);
        assert_eq!(signers(&folder, &all, &only_ada), Err(codes::UNTRUSTED));
        // Another strategy's are others, and what is no longer accepted goes.
        let other = place.path().join("daily_trend");
        std::fs::create_dir(&other).expect("made");
        std::fs::copy(folder.join(SIGNATURES), other.join(SIGNATURES)).expect("copied");
        assert_eq!(signers(&other, &all, &trusted), Err(codes::UNSIGNED));
        assert_eq!(sign(&all[..1], "ada", 0), 1);
    }
}
