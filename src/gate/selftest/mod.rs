//! Whether the gate still finds what it is for: planted cases that must fail, each by one check
//! alone, and an edge that must pass. Every case is an archive, a config and a ledger in a folder of
//! its own, judged as any other. With a check left out its case passes, and the self-test is red.

pub mod calibration;
mod cases;
mod planted;

use rayon::prelude::*;
use serde::Serialize;
use serde_json::json;

use super::baseline::Baseline;
use super::check::Status;
use super::judge::{Gate, Judgement};
use super::verdict::Verdict;
use super::verify;
use crate::archive::Archive;
use crate::bar::Date;
use crate::deployed::discover;
use crate::disk::map::Access;
use crate::error::{Error, Result, codes};
use crate::ledger::Ledger;
use cases::{CASES, Case};
use planted::{ALL, Place};

/// The case that is about reading a verdict, not about making one.
const ALTERED: &str = codes::VERDICT_ALTERED.slug();

/// How one case came out.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// What was planted.
    pub case: &'static str,
    /// The check that must fail alone; none: all must hold.
    pub must_fail_by: Option<&'static str>,
    /// The verdict.
    pub status: Status,
    /// The checks that failed.
    pub failed_by: Vec<String>,
    /// Whether that is as it must be.
    pub as_it_must: bool,
}

/// Judges all cases, without one of the checks if it is named.
///
/// # Errors
/// Usage error if a case can't be laid out.
pub fn run(without: Option<&str>) -> Result<Vec<Outcome>> {
    CASES.par_iter().map(|case| judge(case, without)).collect()
}

/// Leaves out each check in turn; the cases that fail nevertheless, and so don't test their check.
///
/// # Errors
/// As [`run`].
pub fn untested() -> Result<Vec<&'static str>> {
    let cases: Vec<&Case> = CASES.iter().filter(|case| case.fails_by.is_some()).collect();
    let survived = |case: &&Case| Ok((!judge(case, case.fails_by)?.status.deploys()).then_some(case.name));
    let all: Vec<Option<&str>> = cases.par_iter().map(survived).collect::<Result<_>>()?;
    Ok(all.into_iter().flatten().collect())
}

/// Names of the checks that have a case.
pub fn checks() -> impl Iterator<Item = &'static str> {
    CASES.iter().filter_map(|case| case.fails_by)
}

fn judge(case: &Case, without: Option<&str>) -> Result<Outcome> {
    let place = Place::new()?;
    (case.plant)(&place)?;
    let judged = place.judge(without)?;
    if case.fails_by == Some(ALTERED) {
        return Ok(read_back(case, &judged, without == Some(ALTERED)));
    }
    let period = judged.verdict.periods.first();
    let mut failed_by: Vec<String> = match (period, &judged.verdict.error) {
        (Some(period), _) => {
            let failing = period.checks.iter().filter(|c| c.counts_as() > Status::Warn);
            failing.map(|c| c.metric.clone()).collect()
        }
        (None, Some(error)) => vec![error.code.clone()],
        (None, None) => Vec::new(),
    };
    failed_by.sort();
    let expected: Vec<&str> = case.fails_by.into_iter().collect();
    let as_it_must = failed_by == expected && judged.verdict.status.deploys() == expected.is_empty();
    let status = judged.verdict.status;
    Ok(Outcome { case: case.name, must_fail_by: case.fails_by, status, failed_by, as_it_must })
}

/// What a reader makes of the verdict after somebody wrote PASS over FAIL, with care for the digests.
fn read_back(case: &Case, judged: &Judgement, believe: bool) -> Outcome {
    let written = json!(Verdict::new(vec![judged.verdict.clone()])).to_string();
    let altered = written.replace("\"FAIL\"", "\"PASS\"").replace("\"exit_code\":1", "\"exit_code\":0");
    let read = match serde_json::from_str(&altered) {
        Ok(verdict) => verify::read_rehashed(verdict, believe),
        Err(e) => Err(Error::new(codes::VERDICT_ALTERED, e.to_string())),
    };
    let (status, failed_by) = match read {
        Ok(stored) => (stored.status, Vec::new()),
        Err(e) => (Status::Error, vec![e.code().slug().to_owned()]),
    };
    let as_it_must = failed_by == [ALTERED];
    Outcome { case: case.name, must_fail_by: case.fails_by, status, failed_by, as_it_must }
}

impl Place {
    /// Judges what was planted here.
    fn judge(&self, without: Option<&str>) -> Result<Judgement> {
        let archive = Archive::open(&self.archive(), Access::Map)?;
        let (ledger, baselines) = (self.ledger(), self.baselines());
        let gate = Gate {
            strategies: ALL,
            archive: &archive,
            ledger: &ledger,
            heads: None,
            baselines: &baselines,
            binary: &|| Ok("the self-test".to_owned()),
            policy: None,
            committed: None,
            today: Date::default(),
            pages: false,
            progress: &|_, _| {},
        };
        let deployed = discover(&self.deployed())?;
        Ok(gate.judge_without(&deployed[0], without))
    }

    /// Records as deployed what is planted here now.
    fn deploy(&self) -> Result<()> {
        let judged = self.judge(None)?;
        match judged.baseline {
            Some(baseline) => baseline.write(&Baseline::path(&self.baselines(), &judged.verdict.strategy)),
            None => Ok(()),
        }
    }

    fn open_ledger(&self, strategy: &str) -> Result<Ledger> {
        Ledger::open(&self.ledger(), strategy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_comes_out_as_it_must() {
        let wrong: Vec<Outcome> = run(None).expect("judged").into_iter().filter(|o| !o.as_it_must).collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    #[test]
    fn without_a_check_its_case_passes_and_the_self_test_is_red() {
        assert_eq!(untested().expect("judged"), Vec::<&str>::new());
    }
}
