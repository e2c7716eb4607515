//! What a record says besides its trials: sessions set aside, and where trials were counted that weren't counted here.

use serde::{Deserialize, Serialize};

use crate::bar::Date;
use crate::stats::trials;

/// Sessions set aside, or given back. Marks carry no order: a reservation holds unless a release names it, so that
/// ledgers merge as a union of files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Mark {
    /// Sessions from a date on are set aside.
    Reserve {
        /// The first of them.
        from: Date,
        /// Which reservation from this date it is, from 1.
        number: u32,
        /// The record among those of all strategies that this one repeats.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        of: Option<String>,
    },
    /// Reservations hold no longer.
    Release {
        /// The records that reserved.
        reserved: Vec<String>,
        /// Why.
        why: String,
        /// The record among those of all strategies that this one repeats.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        of: Option<String>,
    },
}

impl Mark {
    /// The record among those of all strategies that this one repeats.
    pub fn repeats(&self) -> Option<&str> {
        match self {
            Self::Reserve { of, .. } | Self::Release { of, .. } => of.as_deref(),
        }
    }

    /// The same as a repetition of a record.
    #[must_use]
    pub fn repeating(&self, record: &str) -> Self {
        let mut mark = self.clone();
        match &mut mark {
            Self::Reserve { of, .. } | Self::Release { of, .. } => *of = Some(record.to_owned()),
        }
        mark
    }
}

/// The Sharpe ratio of an imported trial.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownSharpe {
    /// Per session, not annualised.
    pub per_session: f64,
    /// Sessions that it is of.
    pub sessions: u32,
}

/// Where imported trials come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// The file's name.
    pub file: String,
    /// SHA-256 of its bytes.
    pub sha256: String,
    /// What counted them, in the importer's words.
    pub from: String,
    /// The Sharpe ratio of each trial, in the order of points, where no returns are known.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub sharpes: Vec<KnownSharpe>,
}

/// How Sharpe ratios vary: their variance per session times the sessions they are of, 1 for independent trials without
/// an edge. None if there are fewer than two.
pub fn dispersion(sharpes: &[KnownSharpe]) -> Option<f64> {
    let scaled: Vec<f64> = sharpes.iter().map(|s| s.per_session * f64::from(s.sessions).sqrt()).collect();
    trials::variance(&scaled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sharpe_ratios_of_other_lengths_vary_alike() {
        let known = |per_session, sessions| KnownSharpe { per_session, sessions };
        let sharpes = vec![known(0.1, 100), known(0.0, 100), known(-0.05, 400)];
        // 1, 0, -1: variance 1.
        assert!((dispersion(&sharpes).expect("three") - 1.0).abs() < 1e-12);
    }
}
