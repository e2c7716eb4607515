//! DSSE envelopes: a statement with its signatures.

use std::fmt;
use std::path::Path;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use magellan::disk::map;
use magellan::disk::write::write_whole;
use magellan::error::{Error, Result};
use serde::{Deserialize, Serialize};

use super::key::SigningKey;
use super::statement::{Statement, bad, check_sha256};
use super::trusted::Trusted;
use crate::codes;

/// What the payload of every envelope is.
pub const PAYLOAD_TYPE: &str = "application/vnd.magellan.statement+json";
/// Largest envelope, bytes.
const LARGEST: usize = 64 << 10;
/// Largest file of envelopes, bytes.
const LARGEST_FILE: u64 = 4 << 20;

/// The bytes that are signed: DSSE's pre-authentication encoding.
pub fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
    bytes.extend_from_slice(payload);
    bytes
}

/// A statement with its signatures. [`Envelope::verify`] says whether they count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    payload: String,
    signatures: Vec<Signature>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Signature {
    key: String,
    bytes: Vec<u8>,
}

/// As it is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(rename = "payloadType")]
    payload_type: String,
    payload: String,
    signatures: Vec<WrittenSignature>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenSignature {
    keyid: String,
    sig: String,
}

impl Envelope {
    /// Signs a statement.
    ///
    /// # Errors
    /// Refused if a field of the statement can't be right, or the envelope would be larger than 64 KiB.
    pub fn sign(statement: &impl Statement, key: &SigningKey) -> Result<Self> {
        statement.check()?;
        let payload = statement.canonical();
        let bytes = key.sign(&pae(PAYLOAD_TYPE, payload.as_bytes()));
        let envelope = Self { payload, signatures: vec![Signature { key: key.public().id(), bytes }] };
        if envelope.to_string().len() > LARGEST {
            return Err(bad(format!("the envelope would have more than {LARGEST} bytes")));
        }
        Ok(envelope)
    }

    /// Reads one line. Nothing is verified yet.
    ///
    /// # Errors
    /// Refused if it isn't written as [`Envelope::sign`] writes it.
    pub fn parse(line: &str) -> Result<Self> {
        if line.len() > LARGEST {
            return Err(bad(format!("the envelope has more than {LARGEST} bytes")));
        }
        let written: Written = serde_json::from_str(line).map_err(|e| bad(format!("no envelope: {e}")))?;
        if written.payload_type != PAYLOAD_TYPE {
            return Err(bad(format!("its payload is of the type `{}`", written.payload_type.escape_debug())));
        }
        let bytes = |text: &str| BASE64_STANDARD.decode(text).map_err(|e| bad(format!("no base64: {e}")));
        let payload =
            String::from_utf8(bytes(&written.payload)?).map_err(|_| bad("its payload isn't text".to_owned()))?;
        let signature = |s: &WrittenSignature| {
            check_sha256("keyid", &s.keyid)?;
            Ok(Signature { key: s.keyid.clone(), bytes: bytes(&s.sig)? })
        };
        let signatures = written.signatures.iter().map(signature).collect::<Result<Vec<Signature>>>()?;
        let envelope = Self { payload, signatures };
        match envelope.to_string() == line {
            true => Ok(envelope),
            false => Err(bad("the envelope isn't written as it must be".to_owned())),
        }
    }

    /// What it states, and the name of the key that vouches for it. One right signature by a trusted key is enough.
    ///
    /// # Errors
    /// Refused: untrusted, if no trusted key with the statement's role has signed it; or it states something else.
    pub fn verify<S: Statement>(&self, trusted: &Trusted) -> Result<(S, String)> {
        let signed = pae(PAYLOAD_TYPE, self.payload.as_bytes());
        let counts = |signature: &Signature| {
            let by = trusted.find(&signature.key)?;
            let holds = by.roles().contains(&S::ROLE) && by.key().has_signed(&signed, &signature.bytes);
            holds.then(|| by.name().to_owned())
        };
        match self.signatures.iter().find_map(counts) {
            Some(name) => Ok((S::parse(&self.payload)?, name)),
            None => Err(self.untrusted::<S>(trusted)),
        }
    }

    fn untrusted<S: Statement>(&self, trusted: &Trusted) -> Error {
        let by = |signature: &Signature| match trusted.find(&signature.key) {
            None => format!("{} isn't trusted", signature.key),
            Some(by) if !by.roles().contains(&S::ROLE) => {
                format!("{} hasn't the role {}", by.name(), S::ROLE.name())
            }
            Some(by) => format!("{} has signed something else", by.name()),
        };
        let keys: Vec<String> = self.signatures.iter().take(4).map(by).collect();
        let keys = if keys.is_empty() { "there is none".to_owned() } else { keys.join(", ") };
        Error::new(codes::UNTRUSTED, format!("no signature of this {} counts: {keys}", S::TYPE))
    }

    /// Whether it states exactly this, whoever signed it.
    pub fn states(&self, statement: &impl Statement) -> bool {
        self.payload == statement.canonical()
    }
}

/// The one line that it is written as.
impl fmt::Display for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let written = |s: &Signature| WrittenSignature { keyid: s.key.clone(), sig: BASE64_STANDARD.encode(&s.bytes) };
        let written = Written {
            payload_type: PAYLOAD_TYPE.to_owned(),
            payload: BASE64_STANDARD.encode(&self.payload),
            signatures: self.signatures.iter().map(written).collect(),
        };
        f.write_str(&serde_json::to_string(&written).map_err(|_| fmt::Error)?)
    }
}

/// A statement that somebody trusted has signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed<S> {
    /// What is stated.
    pub statement: S,
    /// The name of the key that vouches for it.
    pub by: String,
    /// The envelope, to hand on.
    pub envelope: Envelope,
}

/// Envelopes, one a line of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Envelopes(Vec<Envelope>);

impl Envelopes {
    /// Reads a file; none, if there is no file.
    ///
    /// # Errors
    /// Refused if a line is no envelope.
    pub fn read(path: &Path) -> Result<Self> {
        if !path.exists() && !path.is_symlink() {
            return Ok(Self::default());
        }
        let bytes = map::bytes_up_to(path, LARGEST_FILE).map_err(|e| e.recode(codes::BAD_ENVELOPE))?;
        let text = String::from_utf8(bytes.to_vec()).map_err(|_| bad("it isn't text".to_owned()).at(path.display()))?;
        let line = |(i, line): (usize, &str)| Envelope::parse(line).map_err(|e| e.at_line(path, i + 1, None));
        text.strip_suffix('\n').unwrap_or(&text).split('\n').enumerate().map(line).collect::<Result<_>>().map(Self)
    }

    /// Writes them into a file, which they replace.
    ///
    /// # Errors
    /// Usage error if it can't be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let text: String = self.0.iter().map(|envelope| format!("{envelope}\n")).collect();
        write_whole(path, text.as_bytes(), 0o644)
            .map_err(|e| Error::new(codes::CANNOT_WRITE, format!("can't write: {e}")).at(path.display()))
    }

    /// Adds one that isn't there yet.
    pub fn add(&mut self, envelope: Envelope) {
        if !self.0.contains(&envelope) {
            self.0.push(envelope);
        }
    }

    /// Adds all of others.
    pub fn extend(&mut self, others: Self) {
        others.0.into_iter().for_each(|envelope| self.add(envelope));
    }

    /// Leaves those that this keeps.
    pub fn retain(&mut self, keep: impl FnMut(&Envelope) -> bool) {
        self.0.retain(keep);
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The signed statement that is wanted; `what` names it for people.
    ///
    /// # Errors
    /// Refused: unsigned, if no envelope states it; untrusted, if nobody trusted has signed it.
    pub fn find<S: Statement>(&self, what: &str, is: impl Fn(&S) -> bool, trusted: &Trusted) -> Result<Signed<S>> {
        let mut missing = Error::new(codes::UNSIGNED, format!("nobody has signed {what}"));
        let stating = |envelope: &&Envelope| S::parse(&envelope.payload).is_ok_and(|statement| is(&statement));
        for envelope in self.0.iter().filter(stating) {
            match envelope.verify(trusted) {
                Ok((statement, by)) => return Ok(Signed { statement, by, envelope: envelope.clone() }),
                Err(e) => missing = Error::new(e.code(), format!("{what}: {}", e.what())),
            }
        }
        Err(missing)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::key::tests::key;
    use super::super::statement::tests::release;
    use super::super::statement::{IndexStatement, ReleaseStatement, VerdictStatement};
    use super::super::trusted::Role;
    use super::super::trusted::tests::trusting;
    use super::*;
    use magellan::error::Code;

    fn signed() -> Envelope {
        Envelope::sign(&release(), &key(0)).expect("signed")
    }

    fn verified(envelope: &Envelope, trusted: &Trusted) -> Result<String, Code> {
        envelope.verify::<ReleaseStatement>(trusted).map(|(_, by)| by).map_err(|e| e.code())
    }

    #[test]
    fn the_example_of_the_dsse_specification() {
        let example = pae("http://example.com/HelloWorld", b"hello world");
        assert_eq!(example, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
        assert_eq!(pae("", b""), b"DSSEv1 0  0 ");
        // Lengths are bytes, not characters.
        assert_eq!(pae("ü", "ü".as_bytes()), "DSSEv1 2 ü 2 ü".as_bytes());
    }

    #[test]
    fn openssl_has_signed_the_same() {
        assert_eq!(signed().to_string(), include_str!("../../../fuzz/seeds/envelope"));
    }

    #[test]
    fn an_envelope_reads_back_and_verifies() {
        let line = signed().to_string();
        assert!(line.starts_with(&format!(r#"{{"payloadType":"{PAYLOAD_TYPE}","payload":""#)), "{line}");
        let read = Envelope::parse(&line).expect("read");
        let (statement, by) =
            read.verify::<ReleaseStatement>(&trusting(&[(0, &[Role::Release], "ci")])).expect("verified");
        assert_eq!((statement, by.as_str()), (release(), "ci"));
    }

    #[test]
    fn only_a_trusted_key_of_the_role_vouches() {
        let envelope = signed();
        assert_eq!(verified(&envelope, &Trusted::default()), Err(codes::UNTRUSTED));
        assert_eq!(verified(&envelope, &trusting(&[(1, &[Role::Release], "ci")])), Err(codes::UNTRUSTED));
        let other_roles = trusting(&[(0, &[Role::Verdict, Role::Override], "ci")]);
        assert_eq!(verified(&envelope, &other_roles), Err(codes::UNTRUSTED));
        let mut unsigned = envelope.clone();
        unsigned.signatures.clear();
        assert_eq!(verified(&unsigned, &trusting(&[(0, &[Role::Release], "ci")])), Err(codes::UNTRUSTED));
    }

    #[test]
    fn nobody_signs_under_the_name_of_another_key() {
        let mut forged = Envelope::sign(&release(), &key(1)).expect("signed");
        forged.signatures[0].key = key(0).public().id();
        assert_eq!(verified(&forged, &trusting(&[(0, &[Role::Release], "ci")])), Err(codes::UNTRUSTED));
    }

    #[test]
    fn one_right_signature_among_several_is_enough() {
        let mut envelope = Envelope::sign(&release(), &key(1)).expect("signed");
        envelope.signatures.extend(signed().signatures);
        let envelope = Envelope::parse(&envelope.to_string()).expect("read");
        assert_eq!(verified(&envelope, &trusting(&[(0, &[Role::Release], "ci")])), Ok("ci".to_owned()));
        let both = trusting(&[(1, &[Role::Verdict], "bob"), (0, &[Role::Release], "ci")]);
        assert_eq!(verified(&envelope, &both), Ok("ci".to_owned()));
    }

    #[test]
    fn what_is_signed_as_one_type_passes_for_no_other() {
        // The key may sign both, so the type alone tells them apart.
        let trusted = trusting(&[(0, &[Role::Release, Role::Verdict], "ci")]);
        let envelope = signed();
        let index = envelope.verify::<IndexStatement>(&trusted).map(|_| ()).map_err(|e| e.code());
        let verdict = envelope.verify::<VerdictStatement>(&trusted).map(|_| ()).map_err(|e| e.code());
        assert_eq!((index, verdict), (Err(codes::BAD_ENVELOPE), Err(codes::BAD_ENVELOPE)));
    }

    #[test]
    fn there_is_one_way_to_write_an_envelope() {
        let good = signed().to_string();
        for bad in [
            String::new(),
            good.clone() + "\n",
            good.replace("\":", "\": "),
            good.replace(PAYLOAD_TYPE, "application/json"),
            good.replace(r#""signatures":"#, r#""x":1,"signatures":"#),
            good.replace(r#""payloadType""#, r#""payloadtype""#),
            good.replace("==\"", "\""),
            good.replace(&key(0).public().id(), "ci"),
            format!("{good}{good}"),
            format!("[{good}]"),
            " ".repeat(LARGEST + 1),
        ] {
            assert_eq!(Envelope::parse(&bad).map_err(|e| e.code()).err(), Some(codes::BAD_ENVELOPE), "{bad}");
        }
    }

    #[test]
    fn a_file_gives_what_is_wanted_or_says_why_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("some.dsse.jsonl");
        assert_eq!(Envelopes::read(&file).expect("none").count(), 0);
        let other = ReleaseStatement { policy: "f".repeat(64), ..release() };
        let mut envelopes = Envelopes::default();
        for envelope in [signed(), signed(), Envelope::sign(&other, &key(1)).expect("signed")] {
            envelopes.add(envelope);
        }
        envelopes.write(&file).expect("written");
        let read = Envelopes::read(&file).expect("read");
        assert_eq!((&read, read.count()), (&envelopes, 2));
        let trusted = trusting(&[(0, &[Role::Release], "ci")]);
        let find = |wanted: &ReleaseStatement| {
            read.find("it", |s: &ReleaseStatement| s == wanted, &trusted).map(|found| found.by).map_err(|e| e.code())
        };
        assert_eq!(find(&release()), Ok("ci".to_owned()));
        assert_eq!(find(&other), Err(codes::UNTRUSTED));
        assert_eq!(find(&ReleaseStatement { commit: "b".repeat(40), ..release() }), Err(codes::UNSIGNED));
        std::fs::write(&file, format!("{}\n\n", signed())).expect("written");
        let err = Envelopes::read(&file).expect_err("an empty line");
        assert!(err.code() == codes::BAD_ENVELOPE && err.to_string().contains(":2"), "{err}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn a_changed_byte_is_refused(at in any::<prop::sample::Index>(), change in 1..=255_u8) {
            let mut bytes = signed().to_string().into_bytes();
            let at = at.index(bytes.len());
            bytes[at] ^= change;
            let trusted = trusting(&[(0, &[Role::Release], "ci")]);
            let read = String::from_utf8(bytes).ok().and_then(|line| Envelope::parse(&line).ok());
            let passed = read.and_then(|envelope| envelope.verify::<ReleaseStatement>(&trusted).ok());
            prop_assert_eq!(passed, None);
        }
    }
}
