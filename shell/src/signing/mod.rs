//! Who says so: statements in DSSE envelopes, signed with Ed25519, and the keys that are trusted to sign them.
//!
//! A statement is one line of JSON with its keys in alphabetical order and no spaces. An envelope holds it with its
//! signatures. A trusted key has roles, and each type of statement needs one of them. The host checks the same envelopes
//! with openssl.

mod key;
mod trusted;

mod statement;

mod envelope;

mod accepted;
mod judged;

pub use accepted::{acknowledgements_signed, sign_acknowledgements};
pub use envelope::{Envelope, Envelopes, PAYLOAD_TYPE, Signed, pae};
pub use judged::{FILE, Judged, envelopes_of, verdicts_of};
pub use key::{PublicKey, SigningKey, write_new};
pub use statement::{
    AcknowledgementStatement, IndexStatement, OverrideStatement, ReleaseStatement, Statement, VerdictStatement,
};
pub use trusted::{Role, Trusted, TrustedKey};
