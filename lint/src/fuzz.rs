//! What fuzzers call: this crate's parser of untrusted bytes, with what must hold whatever the bytes. See
//! `magellan::fuzz`.

use crate::Workflow;

/// A target: its name, and what it does with bytes.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: &[Target] = &[("workflow", workflow_file)];

/// Findings lie in the text, whatever it is.
fn workflow_file(bytes: &[u8]) {
    let Ok(text) = String::from_utf8(bytes.to_vec()) else { return };
    let workflow = Workflow { path: "deploy-strategies.yml".into(), text };
    for finding in workflow.examine() {
        if let Some(span) = finding.span {
            assert!(workflow.text.get(span.start..span.end).is_some(), "{finding:?}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SAMPLE: &[u8] = include_bytes!("../../.github/workflows/deploy-strategies.yml");

    #[test]
    fn the_sample_itself_is_good() {
        workflow_file(SAMPLE);
    }

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
            workflow_file(&bytes);
        }
    }
}
