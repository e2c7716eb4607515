//! Points whose indicator columns fit into memory together.

use std::collections::{HashMap, HashSet};

use crate::indicator::Indicator;
use crate::replay::crossings::{IndicatorTest, WORD};
use crate::strategy::Strategy;

/// Points whose columns are in memory together.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) indicators: Vec<Indicator>,
    /// Comparisons of declared rules.
    pub(super) tests: HashSet<IndicatorTest>,
    /// Comparisons that entries need.
    pub(super) needs: HashSet<IndicatorTest>,
    /// Indices into the sweep's points.
    pub(super) points: Vec<usize>,
}

impl Batch {
    /// Bytes that a point would add.
    fn growth(&self, indicators: &[Indicator], tests: &[IndicatorTest], needs: &[IndicatorTest], bars: usize) -> usize {
        let columns = indicators.iter().filter(|&i| !self.indicators.contains(i)).count();
        let crossings = tests.iter().filter(|&t| !self.tests.contains(t)).count()
            + needs.iter().filter(|&t| !self.needs.contains(t)).count();
        columns * bars * size_of::<f64>() + crossings * bars.div_ceil(WORD) * size_of::<u64>()
    }

    fn add(&mut self, point: usize, indicators: &[Indicator], tests: Vec<IndicatorTest>, needs: Vec<IndicatorTest>) {
        for indicator in indicators {
            if !self.indicators.contains(indicator) {
                self.indicators.push(*indicator);
            }
        }
        self.tests.extend(tests);
        self.needs.extend(needs);
        self.points.push(point);
    }
}

/// Points grouped by the indicators they share, cut and joined as memory allows.
pub(super) fn batches<S: Strategy>(points: &[S], bars: usize, memory: usize, with_rules: bool) -> Vec<Batch> {
    let (mut batches, mut batch, mut taken) = (Vec::new(), Batch::default(), 0);
    for (indicators, members) in by_indicators(points) {
        for point in members {
            let tests = if with_rules { tests_of(&points[point], &indicators) } else { Vec::new() };
            let needs = needs_of(&points[point], &indicators);
            if taken + batch.growth(&indicators, &tests, &needs, bars) > memory && !batch.points.is_empty() {
                batches.push(std::mem::take(&mut batch));
                taken = 0;
            }
            taken += batch.growth(&indicators, &tests, &needs, bars);
            batch.add(point, &indicators, tests, needs);
        }
    }
    batches.push(batch);
    batches
}

/// Points by their indicators, in the order in which these first occur.
fn by_indicators<S: Strategy>(points: &[S]) -> Vec<(Vec<Indicator>, Vec<usize>)> {
    let mut groups: Vec<(Vec<Indicator>, Vec<usize>)> = Vec::new();
    let mut known: HashMap<Vec<Indicator>, usize> = HashMap::new();
    for (i, point) in points.iter().enumerate() {
        let indicators = point.indicators().as_ref().to_vec();
        let group = *known.entry(indicators).or_insert_with_key(|indicators| {
            groups.push((indicators.clone(), Vec::new()));
            groups.len() - 1
        });
        groups[group].1.push(i);
    }
    groups
}

/// All comparisons that a point's entries need; of a strategy with memory none, since it must see each bar.
fn needs_of<S: Strategy>(point: &S, indicators: &[Indicator]) -> Vec<IndicatorTest> {
    if size_of::<S::State>() > 0 {
        return Vec::new();
    }
    point.needs().iter().map(|test| IndicatorTest::new(test, indicators)).collect()
}

/// All comparisons in a point's rules.
pub(super) fn tests_of<S: Strategy>(point: &S, indicators: &[Indicator]) -> Vec<IndicatorTest> {
    let rules = point.rules();
    let tests = rules.iter().flat_map(|r| r.enter.iter().chain(&r.exit));
    tests.map(|test| IndicatorTest::new(test, indicators)).collect()
}
