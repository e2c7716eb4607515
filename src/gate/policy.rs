//! The least that is demanded of every strategy, whatever its config says: `deployed/policy.toml`.
//!
//! Whoever edits criteria can edit the policy beside them. So a verdict is judged by the stricter of two, key by key: the
//! policy at hand and the one that what is deployed was judged by.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::changes;
use super::check::{Acknowledgement, Check, Group, LONGEST_DAYS, TRIAL_NOT_COMMITTED};
use crate::config::{Levels, NonInferiority, PerformanceCriteria, Period, gate_criteria};
use crate::costs::Costs;
use crate::finding::nearest;
use crate::metrics::{CRITERIA, Measure};

/// The file below `deployed`.
pub const FILE: &str = "policy.toml";
/// Name of the check of the criteria that the policy demands.
pub(super) const CRITERIA_DEMANDED: &str = "policy_criteria";
/// Name of the check of margin and confidence of the comparison with what is deployed.
pub(super) const MARGIN: &str = "policy_margin";
/// Name of the check that trading costs something.
pub(super) const COSTS: &str = "policy_costs";
/// Name of the check that the record is long enough.
pub(super) const SESSIONS: &str = "policy_sessions";
/// Least costs that are costs: basis points a side, and dollars a share.
const LEAST_BPS: f64 = 0.1;
const LEAST_A_SHARE: f64 = 0.0001;
/// Name of the check of sessions that no trial has seen.
pub(super) const UNSEEN: &str = "policy_unseen_sessions";
/// Name of the check that nothing is demanded less than of what is deployed.
pub(super) const WEAKENED: &str = "criteria_weakened";

/// Name of the check that the policy demands nothing less than the deployed one, by which is judged then.
pub(super) const POLICY_WEAKENED: &str = "policy_weakened";

/// Checks that there are beside something deployed only.
pub(super) const BESIDE_DEPLOYED: [&str; 2] = [WEAKENED, POLICY_WEAKENED];

/// The least policy. No key has a default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Each period has as many sessions as its Sharpe ratio needs to be above 0 at 95 % (MinTRL).
    pub sessions_at_least_min_trl: bool,
    /// Slippage or a fee is above 0.
    pub costs_above_zero: bool,
    /// Criteria that every config demands, with their weakest levels.
    pub criteria: BTreeMap<String, Levels>,
    /// How the comparison with what is deployed may be set.
    pub baseline: LeastComparison,
    /// Trials that must be known.
    pub ledger: KnownTrials,
    /// Sessions kept from trials.
    pub holdout: Holdout,
    /// Whose word counts.
    pub acknowledgements: Accepting,
}

/// `[baseline]`
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LeastComparison {
    /// No margin may be larger; Sharpe ratio a year.
    pub largest_sharpe_margin: f64,
    /// No confidence may be smaller; as a fraction, 0.95 being 95 %.
    pub least_confidence: f64,
}

/// `[ledger]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KnownTrials {
    /// By strategy: records that its ledger must have, by their SHA-256.
    pub heads: BTreeMap<String, BTreeSet<String>>,
}

/// `[holdout]`
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Holdout {
    /// So many sessions that no trial has seen must be judged; 0 demands none.
    pub sessions: u32,
}

/// `[acknowledgements]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Accepting {
    /// Who may accept a failure; empty: nobody.
    pub who: BTreeSet<String>,
    /// For so many days at most.
    pub longest_days: i32,
}

/// What the policy is applied to in one period.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    pub(super) sessions: usize,
    pub(super) min_track_record: Measure,
    pub(super) costs: Costs,
    /// Sessions of the period that no trial had seen or reserved.
    pub(super) unseen_sessions: Measure,
}

impl Policy {
    /// Keys whose values can't be right, and why.
    pub fn faults(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        let mut expect = |holds: bool, key: &str, what: String| {
            if !holds {
                found.push((key.to_owned(), what));
            }
        };
        let known: Vec<&str> = CRITERIA.iter().map(|c| c.figure.name).chain(gate_criteria().map(|c| c.name)).collect();
        for (name, levels) in &self.criteria {
            let meant =
                nearest(name, known.iter().copied()).map_or(String::new(), |n| format!("; did you mean `{n}`?"));
            expect(known.contains(&name.as_str()), name, format!("there is no criterion `{name}`{meant}"));
            let all = [levels.fail_below, levels.warn_below, levels.fail_above, levels.warn_above];
            let level = levels.fail_below.or(levels.fail_above);
            expect(level.is_some(), name, format!("criteria.{name} has neither fail_below nor fail_above"));
            expect(all.iter().flatten().all(|l| l.is_finite()), name, format!("criteria.{name} has an infinite level"));
            let fraction = levels.confidence.is_none_or(is_confidence);
            expect(fraction, name, format!("criteria.{name}.confidence isn't a fraction above 0.5, such as 0.95"));
        }
        let LeastComparison { largest_sharpe_margin: margin, least_confidence: confidence } = self.baseline;
        let what = format!("largest_sharpe_margin is {margin}, expected 0 to 10, a Sharpe ratio a year");
        expect((0.0..=10.0).contains(&margin), "largest_sharpe_margin", what);
        let what = format!("least_confidence is {confidence}, expected a fraction above 0.5, such as 0.95");
        expect(is_confidence(confidence), "least_confidence", what);
        for (strategy, heads) in &self.ledger.heads {
            let hash =
                |h: &String| h.len() == 64 && h.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
            let what = format!("ledger.heads.{strategy} holds what is no SHA-256 of a record, 64 hex digits");
            expect(heads.iter().all(hash), strategy, what);
        }
        let Accepting { who, longest_days } = &self.acknowledgements;
        let what = format!("longest_days is {longest_days}, expected 0 to {}", LONGEST_DAYS);
        expect((0..=LONGEST_DAYS).contains(longest_days), "longest_days", what);
        expect(who.iter().all(|w| !w.trim().is_empty()), "who", "acknowledgements.who holds an empty name".to_owned());
        found
    }

    /// The stricter of two, key by key.
    #[must_use]
    pub fn stricter(&self, other: &Self) -> Self {
        let mut criteria = self.criteria.clone();
        for (name, levels) in &other.criteria {
            let both = criteria.get(name).map_or(*levels, |own| stricter(*own, *levels));
            criteria.insert(name.clone(), both);
        }
        let mut heads = self.ledger.heads.clone();
        for (strategy, more) in &other.ledger.heads {
            heads.entry(strategy.clone()).or_default().extend(more.iter().cloned());
        }
        let (a, b) = (&self.acknowledgements, &other.acknowledgements);
        Self {
            sessions_at_least_min_trl: self.sessions_at_least_min_trl || other.sessions_at_least_min_trl,
            costs_above_zero: self.costs_above_zero || other.costs_above_zero,
            criteria,
            baseline: LeastComparison {
                largest_sharpe_margin: self.baseline.largest_sharpe_margin.min(other.baseline.largest_sharpe_margin),
                least_confidence: self.baseline.least_confidence.max(other.baseline.least_confidence),
            },
            ledger: KnownTrials { heads },
            holdout: Holdout { sessions: self.holdout.sessions.max(other.holdout.sessions) },
            acknowledgements: Accepting {
                who: a.who.intersection(&b.who).cloned().collect(),
                longest_days: a.longest_days.min(b.longest_days),
            },
        }
    }

    /// Whether somebody's word counts.
    pub(super) fn lets_accept(&self, one: &Acknowledgement) -> bool {
        let Accepting { who, longest_days } = &self.acknowledgements;
        who.contains(&one.who) && one.expires.0 - one.accepted.0 <= *longest_days
    }

    /// Names of the checks that it makes of every period.
    pub(super) fn check_names(&self) -> impl Iterator<Item = &'static str> + use<> {
        let costs = self.costs_above_zero.then_some(COSTS);
        let sessions = self.sessions_at_least_min_trl.then_some(SESSIONS);
        let unseen = (self.holdout.sessions > 0).then_some(UNSEEN);
        [CRITERIA_DEMANDED, MARGIN].into_iter().chain(costs).chain(sessions).chain(unseen)
    }

    /// Its checks of one period.
    pub(super) fn checks(&self, config: &PerformanceCriteria, facts: &Facts) -> Vec<Check> {
        let failing = |metric, counted| Check::none_of(metric, Group::Policy, counted);
        let mut checks = vec![
            failing(CRITERIA_DEMANDED, unmet(&self.criteria, &config.criteria, "the policy demands")),
            failing(MARGIN, self.unmet_comparison(config.baseline)),
        ];
        if self.costs_above_zero {
            // Less is a way of writing zero.
            let Costs { slippage_bps, fee_bps, fee_per_share, .. } = facts.costs;
            let free = slippage_bps + fee_bps < LEAST_BPS && fee_per_share < LEAST_A_SHARE;
            let what = format!(
                "execution charges less than {LEAST_BPS} basis points a side, or {LEAST_A_SHARE} dollars a share"
            );
            checks.push(failing(COSTS, Vec::from_iter(free.then_some(what))));
        }
        let at_least = |level: f64| Levels { fail_below: Some(level), ..Levels::NONE };
        if self.sessions_at_least_min_trl {
            let (value, level) = match facts.min_track_record {
                Measure::Defined(needed) => (Measure::Defined(facts.sessions as f64), needed.ceil()),
                undefined => (undefined, 0.0),
            };
            checks.push(Check::new(SESSIONS, Group::Pending, value, at_least(level)));
        }
        if self.holdout.sessions > 0 {
            let level = at_least(f64::from(self.holdout.sessions));
            checks.push(Check::new(UNSEEN, Group::Pending, facts.unseen_sessions, level));
        }
        checks
    }

    /// In which way a config's comparison is looser than allowed; one that has none is paired with nothing.
    fn unmet_comparison(&self, rule: Option<NonInferiority>) -> Vec<String> {
        let LeastComparison { largest_sharpe_margin: largest, least_confidence: least } = self.baseline;
        let Some(NonInferiority { sharpe_margin, confidence }) = rule else {
            return vec!["performance_criteria.baseline gives no margin".to_owned()];
        };
        let margin = (sharpe_margin > largest)
            .then(|| format!("performance_criteria.baseline.sharpe_margin is {sharpe_margin}, allowed are {largest}"));
        let confidence = (confidence < least)
            .then(|| format!("performance_criteria.baseline.confidence is {confidence}, demanded are {least}"));
        margin.into_iter().chain(confidence).collect()
    }
}

fn is_confidence(fraction: f64) -> bool {
    fraction > 0.5 && fraction <= 0.999
}

/// The stricter of two levels, each bound by itself.
fn stricter(a: Levels, b: Levels) -> Levels {
    let either = |a: Option<f64>, b: Option<f64>, pick: fn(f64, f64) -> f64| match (a, b) {
        (Some(a), Some(b)) => Some(pick(a, b)),
        (one, other) => one.or(other),
    };
    Levels {
        fail_below: either(a.fail_below, b.fail_below, f64::max),
        warn_below: either(a.warn_below, b.warn_below, f64::max),
        fail_above: either(a.fail_above, b.fail_above, f64::min),
        warn_above: either(a.warn_above, b.warn_above, f64::min),
        confidence: either(a.confidence, b.confidence, f64::max),
    }
}

/// What some criteria don't demand of all that they should, in words. `who` asks for it.
fn unmet(demanded: &BTreeMap<String, Levels>, criteria: &BTreeMap<String, Levels>, who: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (name, least) in demanded {
        let Some(levels) = criteria.get(name) else {
            found.push(format!("criteria.{name} is missing: {who} it"));
            continue;
        };
        let needed = stricter(*levels, *least);
        for (level, is, must) in [
            ("fail_below", levels.fail_below, needed.fail_below),
            ("warn_below", levels.warn_below, needed.warn_below),
            ("fail_above", levels.fail_above, needed.fail_above),
            ("warn_above", levels.warn_above, needed.warn_above),
            ("confidence", levels.confidence, needed.confidence),
        ] {
            if let Some(must) = must.filter(|must| is != Some(*must)) {
                let is = is.map_or("missing".to_owned(), |is| is.to_string());
                found.push(format!("criteria.{name}.{level} is {is}: {who} {must}"));
            }
        }
    }
    found
}

/// The check that a config demands no less than the deployed one: criteria, levels, margin and periods.
pub(super) fn weakened(deployed: &str, candidate: &PerformanceCriteria) -> Check {
    let text: Value = serde_json::from_str(deployed).unwrap_or_default();
    let was: Result<PerformanceCriteria, _> = serde_json::from_value(text["performance_criteria"].clone());
    let found = match was {
        Ok(was) => less_than(&was, candidate),
        Err(err) => vec![format!("what the deployed config demanded can't be read: {err}")],
    };
    Check::none_of(WEAKENED, Group::Pending, found)
}

/// What a config demands less than the deployed one, in words.
fn less_than(was: &PerformanceCriteria, candidate: &PerformanceCriteria) -> Vec<String> {
    let mut found = unmet(&was.criteria, &candidate.criteria, "what is deployed was held to");
    if let Some(NonInferiority { sharpe_margin, confidence }) = was.baseline {
        let is = candidate.baseline;
        if is.is_none_or(|is| is.sharpe_margin > sharpe_margin) {
            let is = is.map_or("missing".to_owned(), |is| is.sharpe_margin.to_string());
            found.push(format!("baseline.sharpe_margin is {is}: what is deployed was held to {sharpe_margin}"));
        }
        if is.is_some_and(|is| is.confidence < confidence) {
            found.push(format!("baseline.confidence is lower than {confidence}, which what is deployed was held to"));
        }
    }
    for period in &was.periods {
        let covers = |p: &Period| p.start_date <= period.start_date && p.end_date >= period.end_date;
        if !candidate.periods.iter().any(covers) {
            let (start, end) = (period.start_date, period.end_date);
            found.push(format!("no period covers {start} to {end}, over which what is deployed was judged"));
        }
    }
    found
}

/// The policy to judge by, of the one at hand and the deployed one, and the check that nothing was taken from that.
pub(super) fn to_judge_by(at_hand: Option<&Policy>, deployed: Option<&Policy>) -> (Option<Policy>, Option<Check>) {
    let Some(deployed) = deployed else { return (at_hand.cloned(), None) };
    let both = at_hand.map_or_else(|| deployed.clone(), |policy| policy.stricter(deployed));
    let weaker: Vec<String> = match at_hand {
        None => vec!["there is no policy: what is deployed was judged by one".to_owned()],
        Some(policy) => {
            let differ = changes::between(&json!(policy), &json!(both));
            differ.iter().map(|c| format!("{} is {}: what is deployed was held to {}", c.path, c.was, c.is)).collect()
        }
    };
    (Some(both), Some(Check::none_of(POLICY_WEAKENED, Group::Pending, weaker)))
}

/// The check that the gate's own trial stands in the committed ledger. `missing` are records that don't.
pub(super) fn committed(missing: Vec<String>) -> Check {
    Check::none_of(TRIAL_NOT_COMMITTED, Group::Pending, missing)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::gate::Status;
    use crate::gate::sample;

    fn levels(fail_below: f64) -> Levels {
        Levels { fail_below: Some(fail_below), ..Levels::NONE }
    }

    fn config(psr: f64, margin: f64) -> PerformanceCriteria {
        serde_json::from_value(json!({
            "periods": [{"name": "all", "start_date": "2018-01-02", "end_date": "2025-12-31"}],
            "criteria": {"psr": {"fail_below": psr}, "dsr": {"fail_below": 0.95}},
            "baseline": {"sharpe_margin": margin, "confidence": 0.95},
        }))
        .expect("criteria")
    }

    const FACTS: Facts = Facts {
        sessions: 500,
        min_track_record: Measure::Defined(400.2),
        costs: Costs { slippage_bps: 1.0, fee_per_share: 0.0, fee_bps: 0.0, half_spread: 0.0, fee_min: 0.0 },
        unseen_sessions: Measure::Defined(20.0),
    };

    fn crossed(policy: &Policy, config: &PerformanceCriteria, facts: Facts) -> Vec<(String, Status)> {
        let checks = policy.checks(config, &facts).into_iter().filter(|c| c.status > Status::Warn);
        checks.map(|c| (c.metric, c.status)).collect()
    }

    #[test]
    fn each_demand_that_is_not_met_is_a_check_of_its_own() {
        let policy = Policy { holdout: Holdout { sessions: 20 }, ..sample::policy() };
        let one = |metric: &str, status| vec![(metric.to_owned(), status)];
        let good = config(0.9, 0.5);
        assert_eq!(crossed(&policy, &good, FACTS), vec![]);
        assert_eq!(crossed(&policy, &config(0.89, 0.5), FACTS), one(CRITERIA_DEMANDED, Status::Fail));
        assert_eq!(crossed(&policy, &config(0.9, 0.51), FACTS), one(MARGIN, Status::Fail));
        assert_eq!(crossed(&policy, &good, Facts { costs: Costs::default(), ..FACTS }), one(COSTS, Status::Fail));
        assert_eq!(crossed(&policy, &good, Facts { sessions: 400, ..FACTS }), one(SESSIONS, Status::Inconclusive));
        let seen = Facts { unseen_sessions: Measure::Defined(19.0), ..FACTS };
        assert_eq!(crossed(&policy, &good, seen), one(UNSEEN, Status::Inconclusive));
        let names: Vec<String> = policy.checks(&good, &FACTS).into_iter().map(|c| c.metric).collect();
        assert_eq!(names, policy.check_names().collect::<Vec<_>>());
        let without = PerformanceCriteria { criteria: BTreeMap::new(), ..good };
        let checks = policy.checks(&without, &FACTS);
        assert!(checks[0].counted[1].contains("criteria.psr is missing"), "{:?}", checks[0].counted);
    }

    #[test]
    fn weaker_criteria_margins_and_periods_than_the_deployed_ones_are_inconclusive() {
        let deployed = json!({"performance_criteria": {
            "periods": [{"name": "2018-2025", "start_date": "2018-01-02", "end_date": "2025-12-31"}],
            "criteria": {"psr": {"fail_below": 0.9, "warn_below": 0.95}},
            "baseline": {"sharpe_margin": 0.3, "confidence": 0.95},
        }})
        .to_string();
        let weakened = |candidate: &PerformanceCriteria| weakened(&deployed, candidate);
        let with = |name: &str, levels: Levels| {
            let mut config = config(0.9, 0.3);
            config.criteria.insert(name.to_owned(), levels);
            config
        };
        let same = Levels { warn_below: Some(0.95), ..levels(0.9) };
        assert_eq!(weakened(&with("psr", same)).status, Status::Pass, "another name of the period is none");
        assert_eq!(super::weakened("{}", &with("psr", same)).status, Status::Inconclusive, "what can't be read");
        let shorter = |start: &str| {
            let mut config = with("psr", same);
            config.periods[0].start_date = start.parse().expect("a date");
            config
        };
        for (candidate, words) in [
            (with("psr", Levels { warn_below: Some(0.94), ..same }), "criteria.psr.warn_below is 0.94"),
            (with("psr", levels(0.9)), "criteria.psr.warn_below is missing"),
            (PerformanceCriteria { criteria: BTreeMap::new(), ..with("psr", same) }, "criteria.psr is missing"),
            (PerformanceCriteria { baseline: None, ..with("psr", same) }, "sharpe_margin is missing"),
            (PerformanceCriteria { periods: shorter("2018-01-03").periods, ..with("psr", same) }, "no period covers"),
        ] {
            let check = weakened(&candidate);
            assert_eq!(check.status, Status::Inconclusive, "{words}");
            assert!(check.may_be_accepted() && check.counted.iter().any(|c| c.contains(words)), "{:?}", check.counted);
        }
    }

    #[test]
    fn a_weaker_policy_than_the_deployed_one_is_judged_by_that_and_said() {
        let deployed = sample::policy();
        assert_eq!(to_judge_by(Some(&deployed), None), (Some(deployed.clone()), None));
        let (used, check) = to_judge_by(None, Some(&deployed));
        assert_eq!((used, check.map(|c| c.status)), (Some(deployed.clone()), Some(Status::Inconclusive)));
        let weaker = Policy { costs_above_zero: false, criteria: BTreeMap::new(), ..deployed.clone() };
        let (used, check) = to_judge_by(Some(&weaker), Some(&deployed));
        let check = check.expect("a check");
        assert_eq!((used, check.status), (Some(deployed.clone()), Status::Inconclusive));
        assert!(check.counted.iter().any(|c| c.starts_with("costs_above_zero is false")), "{:?}", check.counted);
        let stricter = Policy { holdout: Holdout { sessions: 9 }, ..deployed.clone() };
        let (used, check) = to_judge_by(Some(&stricter), Some(&deployed));
        assert_eq!((used, check.map(|c| c.status)), (Some(stricter), Some(Status::Pass)));
    }

    fn any_policy() -> impl Strategy<Value = Policy> {
        let some = prop::collection::btree_map("psr|dsr|pbo", (0.0..1.0).prop_map(levels), 0..3);
        let who = prop::collection::btree_set("[ab]", 0..3);
        (any::<[bool; 2]>(), some, 0.0..2.0, 0.6..0.99, 0_u32..9, who, 0..90_i32).prop_map(
            |([sessions, costs], criteria, margin, confidence, unseen, who, longest_days)| Policy {
                sessions_at_least_min_trl: sessions,
                costs_above_zero: costs,
                criteria,
                baseline: LeastComparison { largest_sharpe_margin: margin, least_confidence: confidence },
                ledger: KnownTrials::default(),
                holdout: Holdout { sessions: unseen },
                acknowledgements: Accepting { who, longest_days },
            },
        )
    }

    proptest! {
        #[test]
        fn the_stricter_of_two_is_one_of_neither_order_and_weaker_than_none(a in any_policy(), b in any_policy()) {
            let both = a.stricter(&b);
            prop_assert_eq!(&both, &b.stricter(&a));
            prop_assert_eq!(&both.stricter(&a), &both);
            prop_assert_eq!(&a.stricter(&a), &a);
        }

        #[test]
        fn what_the_stricter_policy_lets_pass_either_does(
            a in any_policy(), b in any_policy(), psr in 0.0..1.0, margin in 0.0..2.0, sessions in 0_usize..900,
        ) {
            let (config, facts) = (config(psr, margin), Facts { sessions, ..FACTS });
            if crossed(&a.stricter(&b), &config, facts).is_empty() {
                prop_assert!(crossed(&a, &config, facts).is_empty() && crossed(&b, &config, facts).is_empty());
            }
        }
    }
}
