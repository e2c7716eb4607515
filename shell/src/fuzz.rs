//! What fuzzers call: this crate's parsers of foreign bytes, with what must hold whatever the bytes. See `magellan::fuzz`.

use std::path::Path;

use crate::unit::Unit;

/// A target: its name, and what it does with bytes.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: &[Target] = &[("unit", unit_file)];

fn unit_file(bytes: &[u8]) {
    let Ok(unit) = Unit::from_bytes(Path::new("magellan-bear-trap.service"), bytes) else { return };
    for finding in unit.examine("bear_trap") {
        if let Some(span) = finding.span {
            assert!(unit.text.get(span.start..span.end).is_some(), "{finding:?}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SAMPLE: &[u8] = include_bytes!("../../deployed/bear_trap/magellan-bear-trap.service");

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]
        #[test]
        fn damaged_samples_end_in_an_answer(
            hits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
            cut in prop::option::of(any::<prop::sample::Index>()),
        ) {
            let mut bytes = SAMPLE.to_vec();
            for (at, byte) in hits {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            if let Some(cut) = cut {
                bytes.truncate(cut.index(bytes.len()));
            }
            unit_file(&bytes);
        }
    }
}
