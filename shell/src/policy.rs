//! `deployed/policy.toml`: the least that is demanded of every strategy, typed. Nothing in it has a default.

use std::path::Path;

use magellan::disk::hash::sha256_hex;
use magellan::disk::map;
use magellan::error::Result;
use magellan::gate::policy::{FILE, Policy};

use crate::{codes, toml_file};

/// Reads the policy below `deployed`; none, if there is none.
///
/// # Errors
/// Config error that names file, line and key.
pub fn read(deployed: &Path) -> Result<Option<Policy>> {
    let path = deployed.join(FILE);
    // A link that leads nowhere is a policy that is missing, not one that was never there.
    if !path.exists() && !path.is_symlink() {
        return Ok(None);
    }
    let (policy, text) = toml_file::read::<Policy>(&path, codes::BAD_POLICY)?;
    toml_file::refuse(policy.faults(), &path, &text, codes::BAD_POLICY)?;
    Ok(Some(policy))
}

/// SHA-256 of the policy's file below `deployed`, as a host pins it; empty, if there is none.
///
/// # Errors
/// Config error if the file can't be read.
pub fn sha256(deployed: &Path) -> Result<String> {
    let path = deployed.join(FILE);
    if !path.exists() && !path.is_symlink() {
        return Ok(String::new());
    }
    let bytes = map::bytes_up_to(&path, toml_file::LARGEST).map_err(|e| e.recode(codes::BAD_POLICY))?;
    Ok(sha256_hex(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHIPPED: &str = include_str!("../../deployed/policy.toml");

    fn read_text(text: &str) -> Result<Option<Policy>> {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join(FILE), text).expect("written");
        read(folder.path())
    }

    #[test]
    fn the_shipped_policy_is_one_and_none_is_none() {
        assert!(read_text(SHIPPED).expect("read").is_some());
        assert_eq!(read(tempfile::tempdir().expect("a folder").path()).expect("read"), None);
    }

    #[test]
    fn what_can_not_be_right_is_refused_at_its_line_with_its_key() {
        for (from, to, key) in [
            ("costs_above_zero", "cost_above_zero", "costs_above_zero"),
            ("[criteria.psr]", "[criteria.prs]", "did you mean `psr`?"),
            ("fail_below = 0.9", "fail_under = 0.9", "fail_below"),
            ("fail_below = 0.9", "warn_below = 0.9", "neither fail_below nor fail_above"),
            ("largest_sharpe_margin = ", "largest_sharpe_margin = 1", "largest_sharpe_margin"),
            ("least_confidence = 0.9", "least_confidence = 1.9", "least_confidence"),
            ("longest_days = 30", "longest_days = 91", "longest_days"),
            ("longest_days = 30", "", "longest_days"),
            ("sessions = 0", "sessions = -1", "integer `-1`"),
            ("[ledger.heads]", "[ledger.heads]\ndaily_trend = [\"abc\"]", "ledger.heads.daily_trend"),
        ] {
            assert!(SHIPPED.contains(from), "{from}");
            let err = read_text(&SHIPPED.replacen(from, to, 1)).expect_err(to);
            let said =
                format!("{err} {} {}", err.suggestion(), err.place().map(ToString::to_string).unwrap_or_default());
            assert!(err.code() == codes::BAD_POLICY && said.contains(key) && said.contains(FILE), "{to}: {said}");
        }
    }
}
