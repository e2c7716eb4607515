//! What fuzzers call: this crate's parsers of foreign bytes, with what must hold whatever the bytes. See `magellan::fuzz`.

use std::path::Path;

use crate::unit::Unit;

/// A target: its name, and what it does with bytes.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: &[Target] = &[
    ("unit", unit_file),
    #[cfg(feature = "deploy")]
    ("envelope", signed::envelope_or_statement),
    #[cfg(feature = "deploy")]
    ("trusted", signed::trusted_keys),
];

fn unit_file(bytes: &[u8]) {
    let Ok(unit) = Unit::from_bytes(Path::new("magellan-bear-trap.service"), bytes) else { return };
    for finding in unit.examine("bear_trap") {
        if let Some(span) = finding.span {
            assert!(unit.text.get(span.start..span.end).is_some(), "{finding:?}");
        }
    }
}

#[cfg(feature = "deploy")]
mod signed {
    use crate::signing::{
        AcknowledgementStatement, Envelope, IndexStatement, OverrideStatement, ReleaseStatement, Statement, Trusted,
        VerdictStatement,
    };

    /// There is one way to write either, no text is of two types, and nobody vouches unless somebody is trusted.
    pub(super) fn envelope_or_statement(bytes: &[u8]) {
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        let envelope = Envelope::parse(text).ok();
        assert!(envelope.as_ref().is_none_or(|envelope| envelope.to_string() == text));
        let types = [
            is::<ReleaseStatement>(text, envelope.as_ref()),
            is::<VerdictStatement>(text, envelope.as_ref()),
            is::<OverrideStatement>(text, envelope.as_ref()),
            is::<IndexStatement>(text, envelope.as_ref()),
            is::<AcknowledgementStatement>(text, envelope.as_ref()),
        ];
        assert!(types.iter().filter(|is| **is).count() <= 1, "{text}");
    }

    fn is<S: Statement>(text: &str, envelope: Option<&Envelope>) -> bool {
        assert!(envelope.is_none_or(|envelope| envelope.verify::<S>(&Trusted::default()).is_err()));
        S::parse(text).is_ok_and(|statement| {
            assert_eq!(statement.canonical(), text);
            true
        })
    }

    /// What is trusted reads back, and each key is there once.
    pub(super) fn trusted_keys(bytes: &[u8]) {
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        if let Ok(trusted) = Trusted::parse(text) {
            assert!(Trusted::parse(&trusted.to_string()).is_ok_and(|again| again == trusted));
            assert!(trusted.keys().iter().all(|key| trusted.find(&key.key().id()) == Some(key)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A good input of each target.
    fn sample(target: &str) -> &'static [u8] {
        match target {
            "envelope" => include_bytes!("../../fuzz/seeds/envelope"),
            "trusted" => include_bytes!("../../fuzz/seeds/trusted"),
            _ => include_bytes!("../../deployed/bear_trap/magellan-bear-trap.service"),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]
        #[test]
        fn damaged_samples_end_in_an_answer(
            hits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
            cut in prop::option::of(any::<prop::sample::Index>()),
        ) {
            for (name, target) in TARGETS {
                let mut bytes = sample(name).to_vec();
                for (at, byte) in &hits {
                    let at = at.index(bytes.len());
                    bytes[at] = *byte;
                }
                if let Some(cut) = cut {
                    bytes.truncate(cut.index(bytes.len()));
                }
                target(&bytes);
            }
        }
    }
}
