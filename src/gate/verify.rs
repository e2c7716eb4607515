//! A stored verdict: whether it is whole, and whether judging again gives the same.

use std::ops::Deref;
use std::path::Path;

use serde_json::{Value, json};

use super::candidate::DATA_ERRORS;
use super::check::Group;
use super::comparison::Comparison;
use super::policy::{self, Policy};
use super::subject::Subject;
use super::verdict::{Refusal, StrategyVerdict, Verdict};
use super::{causality, luck};
use crate::config::{Complete, Levels, Period, gate_criteria};
use crate::deployed::is_name;
use crate::disk::map;
use crate::error::{Error, Result, codes};

/// Numbers of two machines may differ by this much, of the larger one.
const TOLERANCE: f64 = 1e-9;
/// Largest verdict read.
const LARGEST: u64 = 64 << 20;

/// A verdict as it was written: its digests are those of its contents.
#[derive(Clone, Debug)]
pub struct StoredVerdict(Verdict);

impl StoredVerdict {
    /// Reads a verdict's file.
    ///
    /// # Errors
    /// Refused if it was altered, or is no verdict.
    pub fn read(path: &Path) -> Result<Self> {
        Self::parse(&map::bytes_up_to(path, LARGEST)?).map_err(|e| e.at(path.display()))
    }

    /// As [`StoredVerdict::read`], of bytes at hand.
    ///
    /// # Errors
    /// Refused if they were altered, or are no verdict.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let verdict: Verdict = serde_json::from_slice(bytes).map_err(|e| altered(format!("no verdict: {e}")))?;
        // Nothing is left out here that another reader would see: an unknown key, one of two equal keys.
        let written = serde_json::to_string_pretty(&verdict).unwrap_or_default() + "\n";
        if written.as_bytes() != bytes {
            return Err(altered("it isn't as it was written".to_owned()));
        }
        check_contents(&verdict)?;
        Ok(Self(verdict))
    }
}

impl Deref for StoredVerdict {
    type Target = Verdict;

    fn deref(&self) -> &Verdict {
        &self.0
    }
}

fn altered(what: String) -> Error {
    Error::new(codes::VERDICT_ALTERED, what)
}

/// Refuses a verdict whose names, subjects or digests aren't those of its contents.
fn check_contents(verdict: &Verdict) -> Result<()> {
    if verdict.strategies.is_empty() {
        return Err(altered("no verdict: it has no strategies".to_owned()));
    }
    for one in &verdict.strategies {
        let name = &one.strategy;
        if !is_name(name) || verdict.strategies.iter().filter(|other| other.strategy == *name).count() > 1 {
            return Err(altered(format!("`{name}` is no strategy's name, or stands twice")));
        }
        if one.hash() != one.digest {
            return Err(altered(format!("the digest of {name} isn't that of its contents")));
        }
        if !has_its_subject(one) {
            return Err(altered(format!("the subject of {name} isn't that of its fields")));
        }
    }
    if verdict.hash() != verdict.digest {
        return Err(altered("its digest isn't that of its contents".to_owned()));
    }
    check_derived(verdict)
}

/// A verdict as somebody would leave it who makes all digests fit; with `believe` its words count, which only the
/// self-test does, to show that they must not.
pub(super) fn read_rehashed(mut verdict: Verdict, believe: bool) -> Result<StoredVerdict> {
    for one in &mut verdict.strategies {
        one.digest = one.hash();
    }
    verdict.digest = verdict.hash();
    match believe {
        true => Ok(StoredVerdict(verdict)),
        false => StoredVerdict::parse((serde_json::to_string_pretty(&verdict).unwrap_or_default() + "\n").as_bytes()),
    }
}

/// Refuses results that don't follow from figures, levels and what was accepted: they are worked out, never believed.
fn check_derived(verdict: &Verdict) -> Result<()> {
    for one in &verdict.strategies {
        one.acknowledgements.iter().try_for_each(|a| a.check().map_err(|e| altered(e.what().to_owned())))?;
        if let Some(Refusal { exit_code: exit_code @ (0 | 1 | 4), .. }) = one.error {
            return Err(altered(format!("the exit code of an error is {exit_code}")));
        }
        let derived = one.clone().derived();
        if derived != *one {
            return Err(altered(difference(&one.strategy, &json!(one), &json!(derived))));
        }
    }
    let derived = Verdict::new(verdict.strategies.clone());
    let ends = |v: &Verdict| json!([v.schema_version, v.status, v.exit_code, v.synthetic]);
    match ends(verdict) == ends(&derived) {
        true => Ok(()),
        false => Err(altered(difference("[version, status, exit code, synthetic]", &ends(verdict), &ends(&derived)))),
    }
}

fn difference(of: &str, said: &Value, derived: &Value) -> String {
    let where_it_is = equal(of, said, derived).err();
    let what = where_it_is.map_or(format!("{of} has a margin that"), |e| e.what().to_owned());
    format!("what it says doesn't follow from its figures: {what}")
}

/// What was judged must be told, unless nothing could be.
fn has_its_subject(one: &StrategyVerdict) -> bool {
    match &one.subject {
        Some(subject) => subject.hash() == subject.sha256,
        None => one.error.is_some(),
    }
}

/// Refuses a verdict that deploys, but lacks a check that its config, the policy or the gate itself makes, or made it at
/// other levels.
///
/// # Errors
/// Refused, naming period and check.
pub fn check_complete(one: &StrategyVerdict, document: &Complete, policy: Option<&Policy>) -> Result<()> {
    let demanded = &document.deployment().performance_criteria;
    let judged: Vec<&Period> = one.periods.iter().map(|period| &period.period).collect();
    if judged != demanded.periods.iter().collect::<Vec<_>>() {
        return Err(altered(format!("the periods of {} aren't those of its config", one.strategy)));
    }
    if policy.is_some_and(|policy| one.policy.as_ref().is_none_or(|by| by.stricter(policy) != *by)) {
        return Err(altered(format!("{} was judged by less than the policy", one.strategy)));
    }
    for period in one.periods.iter().filter(|period| period.status.deploys()) {
        let missing = |what: String| Err(altered(format!("{}, {}: {what}", one.strategy, period.period.name)));
        let has = |metric: &str| period.checks.iter().any(|c| c.metric == metric);
        let cuts = (!period.causality.cuts.is_empty()).then_some(causality::BY_CUTS);
        let of_policy = policy.into_iter().flat_map(Policy::check_names);
        let always = [DATA_ERRORS, luck::DROPPED].into_iter().chain(cuts).chain(of_policy);
        if let Some(gone) = always.into_iter().find(|metric| !has(metric)) {
            return missing(format!("the check {gone} is missing"));
        }
        for (metric, levels) in &demanded.criteria {
            let unanswered = format!("{metric}: ");
            let excused = gate_criteria().any(|c| c.name == metric)
                && period.not_evaluable.iter().any(|what| what.starts_with(&unanswered));
            if !has(metric) && !excused {
                return missing(format!("the criterion {metric} is missing"));
            }
            let checks = period.checks.iter().filter(|c| c.metric == *metric).map(|c| c.levels);
            // Bounds on two sides are two checks.
            let joined = checks.reduce(Levels::or);
            if joined.is_some_and(|joined| joined != *levels) {
                return missing(format!("{metric} was judged at other levels than the config's"));
            }
        }
    }
    Ok(())
}

/// Compares a stored verdict with another of the same subject; how many values were the same.
///
/// # Errors
/// Refused, naming the first value that differs.
pub fn compare(stored: &StoredVerdict, again: &Verdict) -> Result<usize> {
    let mut same = 0;
    for one in &again.strategies {
        let stored_subject = stored.strategy(&one.strategy).and_then(|was| was.subject.as_ref());
        if let (Some(was), Some(is)) = (stored_subject, &one.subject) {
            same_subject(&one.strategy, was, is)?;
        }
        let (mut was, mut is) = (json!(stored.strategy(&one.strategy)), json!(one));
        for value in [&mut was, &mut is] {
            // A digest covers all bits, and these are compared to 1e-9; where a config lies is no result.
            for key in ["digest", "config"] {
                value.as_object_mut().and_then(|o| o.shift_remove(key));
            }
        }
        same += equal(&one.strategy, &was, &is)?;
    }
    Ok(same)
}

/// As [`compare`], apart from what was deployed beside either.
///
/// # Errors
/// As [`compare`].
pub fn compare_apart_from_baseline(stored: &StoredVerdict, again: &Verdict) -> Result<usize> {
    let apart = |verdict: &Verdict| {
        let mut verdict = verdict.clone();
        for one in &mut verdict.strategies {
            (one.policy, one.changed) = (None, Vec::new());
            for period in &mut one.periods {
                period.baseline = Comparison::none("", None);
                period.checks.retain(|c| c.group != Group::Baseline && !policy::BESIDE_DEPLOYED.contains(&&*c.metric));
            }
            *one = one.clone().derived();
        }
        verdict
    };
    compare(&StoredVerdict(apart(stored)), &apart(again))
}

/// Refuses to compare verdicts of two subjects, naming what is another.
fn same_subject(strategy: &str, was: &Subject, is: &Subject) -> Result<()> {
    let seeds = [was, is].map(|subject| subject.seed.to_string());
    let parts = [
        ("archive", &was.manifest, &is.manifest, "name the archive of then with --archive DIR"),
        ("config", &was.config, &is.config, "check out the config that was judged"),
        ("binary or unit", &was.bundle, &is.bundle, "verify with the binary and the unit that were judged"),
        ("version of Magellan", &was.engine, &is.engine, "verify with the version that judged"),
        (
            "policy, set of criteria or rules",
            &was.policy,
            &is.policy,
            "check out the config and the policy that were judged, and verify with the version that judged",
        ),
        ("seed", &seeds[0], &seeds[1], "verify with the version that judged"),
    ];
    match parts.into_iter().find(|(_, was, is, _)| was != is) {
        None => Ok(()),
        Some((part, was, is, help)) => Err(other_subject(strategy, part, was, is, help)),
    }
}

fn other_subject(strategy: &str, part: &str, was: &str, is: &str, help: &str) -> Error {
    let what = format!("{strategy} was judged with another {part}: {was} then, {is} now");
    Error::new(codes::VERDICT_DIFFERS, what).help(format!("{help}, or check digests only with --no-replay"))
}

/// Refuses an archive that isn't the one of a verdict. `manifest` is the SHA-256 of its manifest.
///
/// # Errors
/// Refused, with both hashes.
pub fn check_archive(stored: &StoredVerdict, folder: &Path, manifest: &str) -> Result<()> {
    let judged = stored.strategies.iter().filter_map(|one| Some((&one.strategy, one.subject.as_ref()?)));
    match judged.into_iter().find(|(_, subject)| subject.manifest != manifest) {
        None => Ok(()),
        Some((strategy, subject)) => {
            let now = format!("{manifest} in {}", folder.display());
            let help = "name the archive of then with --archive DIR or MAGELLAN_ARCHIVE";
            Err(other_subject(strategy, "archive", &subject.manifest, &now, help))
        }
    }
}

fn equal(path: &str, a: &Value, b: &Value) -> Result<usize> {
    let differs = || Err(Error::new(codes::VERDICT_DIFFERS, format!("{path} was {}, is {}", brief(a), brief(b))));
    match (a, b) {
        (Value::Object(a_fields), Value::Object(b_fields)) => {
            if let Some(key) = b_fields.keys().chain(a_fields.keys()).find(|k| a.get(k).is_some() != b.get(k).is_some())
            {
                return Err(Error::new(codes::VERDICT_DIFFERS, format!("{path}.{key} is in one of the two only")));
            }
            a_fields.iter().map(|(key, value)| equal(&format!("{path}.{key}"), value, &b[key])).sum()
        }
        (Value::Array(a_items), Value::Array(b_items)) if a_items.len() == b_items.len() => {
            a_items.iter().zip(b_items).enumerate().map(|(i, (a, b))| equal(&format!("{path}[{i}]"), a, b)).sum()
        }
        (Value::Number(a_number), Value::Number(b_number)) => {
            let (x, y) = (a_number.as_f64().unwrap_or(f64::NAN), b_number.as_f64().unwrap_or(f64::NAN));
            if (x - y).abs() <= TOLERANCE * x.abs().max(y.abs()).max(1.0) { Ok(1) } else { differs() }
        }
        _ if a == b => Ok(1),
        _ => differs(),
    }
}

fn brief(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() > 80 { text.chars().take(77).collect::<String>() + "..." } else { text }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::error::Code;
    use crate::gate::{Status, digest, sample};

    #[test]
    fn numbers_may_differ_by_rounding_and_by_no_more() {
        let (a, near, far) = (json!({"x": [1.0]}), json!({"x": [1.0 + 1e-10]}), json!({"x": [1.0 + 1e-8]}));
        assert_eq!(equal("v", &a, &near).map_err(|e| e.code()), Ok(1));
        assert_eq!(equal("v", &a, &far).map_err(|e| e.code()), Err(codes::VERDICT_DIFFERS));
        assert!(equal("v", &a, &json!({"x": [1.0], "y": 1})).is_err() && equal("v", &a, &json!({})).is_err());
    }

    fn written(verdict: &Verdict) -> String {
        serde_json::to_string_pretty(verdict).expect("JSON") + "\n"
    }

    fn code_of(bytes: &[u8]) -> Option<Code> {
        StoredVerdict::parse(bytes).err().map(|e| e.code())
    }

    /// The same with digests of these contents, as somebody would make them who alters a verdict with care.
    fn sealed(mut verdict: Value) -> Vec<u8> {
        for one in verdict["strategies"].as_array_mut().expect("strategies") {
            one["digest"] = json!(digest::digest(one));
        }
        verdict["digest"] = json!(digest::whole(&verdict));
        (serde_json::to_string_pretty(&verdict).expect("JSON") + "\n").into_bytes()
    }

    /// Pointers to all values below `value`.
    fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
        found.push(at.to_owned());
        match value {
            Value::Object(object) => object.iter().for_each(|(key, v)| pointers(v, &format!("{at}/{key}"), found)),
            Value::Array(items) => items.iter().enumerate().for_each(|(i, v)| pointers(v, &format!("{at}/{i}"), found)),
            _ => {}
        }
    }

    fn all_pointers(value: &Value) -> Vec<String> {
        let mut found = Vec::new();
        pointers(value, "", &mut found);
        found
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn every_verdict_reads_back_equal_and_to_the_byte(seed in any::<u64>()) {
            let verdict = sample::verdict(seed);
            let text = written(&verdict);
            let stored = StoredVerdict::parse(text.as_bytes()).map_err(|e| TestCaseError::fail(e.to_string()))?;
            prop_assert_eq!(&*stored, &verdict);
            prop_assert_eq!(written(&stored), text);
            prop_assert_eq!(compare(&stored, &verdict).is_ok(), true);
        }

        #[test]
        fn a_damaged_verdict_is_refused(
            seed in any::<u64>(),
            cut in any::<prop::sample::Index>(),
            at in any::<prop::sample::Index>(),
        ) {
            let text = written(&sample::verdict(seed));
            let refused = Some(codes::VERDICT_ALTERED);
            prop_assert_eq!(code_of(&text.as_bytes()[..cut.index(text.len())]), refused);
            // The path of a config is no result: it alone has no digest.
            let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("      \"config\": \"configs/")).collect();
            let line = lines[at.index(lines.len())];
            let mut flipped = text.clone().into_bytes();
            let begin = line.as_ptr() as usize - text.as_ptr() as usize;
            let byte = begin + at.index(line.len().max(1)).min(line.len().saturating_sub(1));
            flipped[byte] ^= 1;
            prop_assert_eq!(code_of(&flipped), refused, "byte {}", byte);
        }

        #[test]
        fn unknown_keys_and_wrong_types_are_refused_even_under_fitting_digests(
            seed in any::<u64>(),
            at in any::<prop::sample::Index>(),
        ) {
            let verdict = json!(sample::verdict(seed));
            let refused = Some(codes::VERDICT_ALTERED);
            prop_assert_eq!(code_of(&sealed(verdict.clone())), None);
            let all = all_pointers(&verdict);
            let objects: Vec<&String> = all.iter().filter(|at| verdict.pointer(at).is_some_and(Value::is_object)).collect();
            let mut more = verdict.clone();
            more.pointer_mut(objects[at.index(objects.len())]).expect("there")["added"] = json!(1);
            prop_assert_eq!(code_of(&sealed(more)), refused);
            // Strategies must stay a list of objects for digests to be made.
            let inner: Vec<&String> = all.iter().filter(|at| at.matches('/').count() > 2 && !at.ends_with("/digest")).collect();
            let pointer = inner[at.index(inner.len())];
            let mut other = verdict;
            *other.pointer_mut(pointer).expect("there") = json!([[true]]);
            prop_assert_eq!(code_of(&sealed(other)), refused, "{}", pointer);
        }
    }

    /// Every word and number of these names, wherever it stands.
    const RESULTS: [&str; 4] = ["status", "synthetic", "exit_code", "margin"];

    /// What stands there instead, one of several.
    fn another(value: &Value, pick: usize) -> Value {
        let words = ["PASS", "WARN", "INCONCLUSIVE", "FAIL", "ERROR"];
        let others = words.iter().filter(|word| value != *word).nth(pick % 4).expect("four");
        match value {
            Value::String(_) => json!(others),
            Value::Bool(flag) => json!(!flag),
            Value::Number(number) if number.is_u64() => json!(if *number == 0.into() { 1 } else { 0 }),
            Value::Number(number) => json!(number.as_f64().map_or(0.0, |n| if n == 0.0 { 1.0 } else { -n })),
            _ => json!(0.5),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn no_result_is_believed_that_does_not_follow(seed in any::<u64>(), pick in any::<usize>()) {
            let verdict = json!(sample::verdict(seed));
            let of_results = |at: &&String| RESULTS.iter().any(|name| at.ends_with(&format!("/{name}")));
            for at in all_pointers(&verdict).iter().filter(of_results) {
                // A metric's margin has the kind of a number, or of nothing.
                let mut other = verdict.clone();
                let value = other.pointer_mut(at).expect("there");
                *value = another(value, pick);
                prop_assert_eq!(code_of(&sealed(other)), Some(codes::VERDICT_ALTERED), "{}", at);
            }
        }
    }

    #[test]
    fn two_words_from_fail_to_pass_are_refused_under_fitting_digests() {
        let fails = |v: &Verdict| v.strategies.iter().any(|s| s.status == Status::Fail && s.error.is_none());
        let verdict = json!((0..).map(sample::verdict).find(fails).expect("one of them"));
        let text = serde_json::to_string(&verdict).expect("JSON");
        let passed: Value = serde_json::from_str(&text.replace("\"FAIL\"", "\"PASS\"")).expect("JSON");
        assert_eq!(code_of(&sealed(passed)), Some(codes::VERDICT_ALTERED));
    }

    #[test]
    fn an_accepted_failure_counts_only_as_the_list_and_the_policy_have_it() {
        let accepted =
            |v: &Verdict| v.strategies[0].periods.iter().any(|p| p.checks.iter().any(|c| c.acknowledged.is_some()));
        let verdict = (0..).map(sample::verdict).find(accepted).expect("one of them");
        let mut unlisted = verdict.clone();
        unlisted.strategies[0].acknowledgements.clear();
        assert_eq!(code_of(&sealed(json!(unlisted))), Some(codes::VERDICT_ALTERED));
        let mut forbidden = verdict;
        let mut policy = sample::policy();
        policy.acknowledgements.who.clear();
        forbidden.strategies[0].policy = Some(policy);
        assert_eq!(code_of(&sealed(json!(forbidden))), Some(codes::VERDICT_ALTERED));
    }

    #[test]
    fn names_subjects_and_digests_are_those_of_the_contents() {
        let whole = (0..).map(sample::verdict).find(|verdict| verdict.strategies[0].subject.is_some());
        let verdict = json!(whole.expect("one of them"));
        for (pointer, value, what) in [
            ("/strategies/0/strategy", json!("../../evil"), "no strategy's name"),
            ("/strategies/0/strategy", json!(""), "no strategy's name"),
            ("/strategies/0/strategy", verdict["strategies"][1]["strategy"].clone(), "stands twice"),
            ("/strategies/0/subject/seed", json!(999), "the subject of"),
            ("/strategies/0/subject", json!(null), "the subject of"),
            ("/strategies", json!([]), "no strategies"),
        ] {
            let mut other = verdict.clone();
            *other.pointer_mut(pointer).expect("there") = value;
            let err = StoredVerdict::parse(&sealed(other)).expect_err("altered");
            assert_eq!(err.code(), codes::VERDICT_ALTERED);
            assert!(err.what().contains(what), "{pointer}: {err}");
        }
        let mut other = verdict;
        other["strategies"][0]["synthetic"] = json!(!other["strategies"][0]["synthetic"].as_bool().expect("a flag"));
        let err = StoredVerdict::parse(&written(&serde_json::from_value(other).expect("a verdict")).into_bytes());
        assert!(err.is_err_and(|e| e.what().contains("the digest of")));
    }

    #[test]
    fn a_verdict_without_a_strategy_or_that_is_none_is_refused() {
        for text in ["", "{}", "null", "[]", "{\"strategies\": []}"] {
            assert_eq!(code_of(text.as_bytes()), Some(codes::VERDICT_ALTERED), "{text}");
        }
    }
}
