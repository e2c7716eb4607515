//! The hash of a verdict: of its subject and everything that came out, except the config's path.
//!
//! Canonical form: JSON with keys sorted, no white space, numbers in their shortest form that
//! reads back as the same bits.

use serde_json::Value;

use crate::disk::hash::sha256_hex;

/// The digest that a strategy's verdict makes, as JSON.
pub(super) fn digest(verdict: &Value) -> String {
    let mut verdict = verdict.clone();
    remove(&mut verdict, "digest");
    remove(&mut verdict, "config");
    sha256_hex(canonical(&verdict).as_bytes())
}

/// The digest of several strategies' verdicts, as JSON: of their digests and what stands beside them.
pub(super) fn whole(verdict: &Value) -> String {
    let mut verdict = verdict.clone();
    remove(&mut verdict, "digest");
    for one in verdict["strategies"].as_array_mut().into_iter().flatten() {
        *one = one["digest"].take();
    }
    sha256_hex(canonical(&verdict).as_bytes())
}

pub(super) fn remove(value: &mut Value, key: &str) {
    if let Some(object) = value.as_object_mut() {
        object.shift_remove(key);
    }
}

pub(super) fn canonical(value: &Value) -> String {
    let mut value = value.clone();
    value.sort_all_objects();
    value.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_order_of_keys_does_not_matter_and_every_leaf_does() {
        let one = json!({"a": 1.5, "b": {"c": "x", "d": [1, 2]}, "digest": "ignored", "config": "where it lies"});
        let same = json!({"b": {"d": [1, 2], "c": "x"}, "a": 1.5});
        assert_eq!(digest(&one), digest(&same));
        for (pointer, value) in [("/a", json!(1.5000000000000002)), ("/b/c", json!("y")), ("/b/d/1", json!(3))] {
            let mut other = one.clone();
            *other.pointer_mut(pointer).expect("there") = value;
            assert_ne!(digest(&one), digest(&other), "{pointer}");
        }
    }
}
