//! On which bars a column lies above or below a level: one bit a bar, 64 bars a word.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::ops::Range;

use multiversion::multiversion;
use rayon::prelude::*;

use crate::indicator::{Columns, Indicator};
use crate::strategy::{Relation, Test};

/// Bars of a word.
pub(crate) const WORD: usize = u64::BITS as usize;

/// Up to so many levels are compared one by one. More are sorted, and each bar is looked up among them.
const FEW: usize = 64;

/// A comparison of one indicator with a level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct IndicatorTest {
    indicator: Indicator,
    relation: Relation,
    /// Bits of the level, which can be hashed.
    level: u64,
}

impl IndicatorTest {
    pub(crate) fn new(test: &Test, indicators: &[Indicator]) -> Self {
        Self { indicator: indicators[test.input], relation: test.relation, level: test.level.to_bits() }
    }
}

/// Which bars meet each test of a batch.
pub(crate) struct Crossings {
    bits: HashMap<IndicatorTest, Vec<u64>>,
    /// The bar of the first bit.
    first: usize,
    words: usize,
}

impl Crossings {
    /// Of some bars of the columns.
    pub(crate) fn new(columns: &Columns, bars: &Range<usize>, tests: &HashSet<IndicatorTest>) -> Self {
        let mut levels: HashMap<(Indicator, Relation), Vec<u64>> = HashMap::new();
        for test in tests {
            levels.entry((test.indicator, test.relation)).or_default().push(test.level);
        }
        let bits = levels.into_par_iter().flat_map_iter(|((indicator, relation), levels)| {
            let column = &columns.get(indicator)[bars.start - columns.bars().start..bars.end - columns.bars().start];
            let values: Vec<f64> = levels.iter().map(|&bits| f64::from_bits(bits)).collect();
            let tests = levels.into_iter().map(move |level| IndicatorTest { indicator, relation, level });
            tests.zip(crossings(column, relation, &values))
        });
        Self { bits: bits.collect(), first: bars.start, words: bars.len().div_ceil(WORD) }
    }

    /// The bars that meet all tests, to be gone through.
    pub(crate) fn candidates(&self, tests: &[Test], indicators: &[Indicator]) -> Candidates {
        Candidates { first: self.first, bits: self.all_of(tests, indicators).into_owned() }
    }

    /// The bars that meet all tests.
    pub(crate) fn all_of(&self, tests: &[Test], indicators: &[Indicator]) -> Cow<'_, [u64]> {
        let bits = |test: &Test| &self.bits[&IndicatorTest::new(test, indicators)][..];
        match tests {
            [] => Cow::Owned(vec![u64::MAX; self.words]),
            [only] => Cow::Borrowed(bits(only)),
            [first, rest @ ..] => {
                let mut all = bits(first).to_vec();
                for test in rest {
                    all.iter_mut().zip(bits(test)).for_each(|(word, bits)| *word &= bits);
                }
                Cow::Owned(all)
            }
        }
    }
}

/// Where every order of an idle symbol is given: one bit a bar.
pub(crate) struct Candidates {
    /// The bar of the first bit.
    first: usize,
    bits: Vec<u64>,
}

impl Candidates {
    /// The first candidate among bars of the period.
    #[inline(always)]
    pub(crate) fn next(&self, from: usize, to: usize) -> Option<usize> {
        first_set(&self.bits, from - self.first, to - self.first).map(|bit| bit + self.first)
    }
}

/// The first set bit of `bits[from..to]`, if there is one.
#[inline]
pub(crate) fn first_set(bits: &[u64], from: usize, to: usize) -> Option<usize> {
    if from >= to {
        return None;
    }
    let (first, last) = (from / WORD, (to - 1) / WORD);
    let mut word = bits[first] & (u64::MAX << (from % WORD));
    let mut at = first;
    while word == 0 {
        if at == last {
            return None;
        }
        at += 1;
        word = bits[at];
    }
    Some(at * WORD + word.trailing_zeros() as usize).filter(|bit| *bit < to)
}

/// For each level, the bars on which `column` lies so to it. NaN lies neither above nor below.
fn crossings(column: &[f64], relation: Relation, levels: &[f64]) -> Vec<Vec<u64>> {
    if levels.len() <= FEW || levels.iter().any(|level| level.is_nan()) {
        return levels.iter().map(|&level| compare(column, relation, level)).collect();
    }
    let mut order: Vec<usize> = (0..levels.len()).collect();
    order.sort_by(|&a, &b| levels[a].total_cmp(&levels[b]));
    let sorted: Vec<f64> = order.iter().map(|&i| levels[i]).collect();
    let mut found = vec![Vec::with_capacity(column.len().div_ceil(WORD)); levels.len()];
    // Bit i of marks[r] says that bar i lies so to exactly r levels, the lowest r for
    // `Above`, the highest r for `Below`; a level's word gathers the marks of all that reach it.
    let mut marks = vec![0u64; levels.len() + 1];
    for bars in column.chunks(WORD) {
        marks.fill(0);
        for (i, value) in bars.iter().enumerate() {
            let reached = match relation {
                Relation::Above => sorted.partition_point(|level| level < value),
                // Counted from the top; NaN is below none.
                Relation::Below => {
                    let beyond = |level: &f64| value.is_nan() || level <= value;
                    sorted.len() - sorted.partition_point(beyond)
                }
            };
            marks[reached] |= 1 << i;
        }
        let mut word = 0;
        for (rank, mark) in marks.iter().enumerate().skip(1).rev() {
            word |= mark;
            let level = match relation {
                Relation::Above => rank - 1,
                Relation::Below => sorted.len() - rank,
            };
            found[order[level]].push(word);
        }
    }
    found
}

fn compare(column: &[f64], relation: Relation, level: f64) -> Vec<u64> {
    match relation {
        Relation::Above => above(column, level),
        Relation::Below => below(column, level),
    }
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
fn above(column: &[f64], level: f64) -> Vec<u64> {
    column.chunks(WORD).map(|bars| word(bars, |value| value > level)).collect()
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
fn below(column: &[f64], level: f64) -> Vec<u64> {
    column.chunks(WORD).map(|bars| word(bars, |value| value < level)).collect()
}

#[inline(always)]
fn word(bars: &[f64], holds: impl Fn(f64) -> bool) -> u64 {
    let bit = |(i, &value): (usize, &f64)| u64::from(holds(value)) << i;
    match bars.as_array::<WORD>() {
        Some(bars) => bars.iter().enumerate().map(bit).fold(0, |word, bit| word | bit),
        None => bars.iter().enumerate().map(bit).fold(0, |word, bit| word | bit),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Just, prop, prop_assert_eq, prop_oneof, proptest};

    use super::*;

    proptest! {
        /// Many levels or few, ties, NaN and infinities: the bit is what the comparison says.
        #[test]
        fn a_bit_is_its_comparison(
            column in prop::collection::vec(prop_oneof![-5i32..5, Just(99)], 0..300),
            levels in prop::collection::vec(prop_oneof![-6i32..6, Just(99)], 0..30),
        ) {
            let number = |v: &i32| match v { 99 => f64::NAN, 4 => f64::INFINITY, v => f64::from(*v) / 2.0 };
            let (column, levels): (Vec<f64>, Vec<f64>) =
                (column.iter().map(number).collect(), levels.iter().map(number).collect());
            for relation in [Relation::Above, Relation::Below] {
                let found = crossings(&column, relation, &levels);
                for (words, level) in found.iter().zip(&levels) {
                    prop_assert_eq!(words.len(), column.len().div_ceil(WORD));
                    for (i, value) in column.iter().enumerate() {
                        let holds = if relation == Relation::Above { value > level } else { value < level };
                        prop_assert_eq!(words[i / WORD] >> (i % WORD) & 1 == 1, holds, "{} {:?} {}", value, relation, level);
                    }
                }
            }
        }
    }
}
