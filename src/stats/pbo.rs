//! Whether choosing the best in sample helps out of sample.

use rayon::prelude::*;

use super::{all_finite, finite, spread, sum};

/// Blocks beyond this have more splits than anyone waits for.
const MOST_BLOCKS: usize = 20;

/// A sum of squared deviations below this share of the sum of squares is rounding.
const FLAT: f64 = 1e-13;

/// What a column is chosen by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Performance {
    /// Mean of its returns.
    Mean,
    /// Their mean over their deviation, ddof 1. Without deviation: infinite with the sign of the
    /// mean, or 0.
    Sharpe,
}

/// What combinatorially symmetric cross-validation found.
#[derive(Clone, Debug, PartialEq)]
pub struct Overfitting {
    /// Share of splits whose chosen column is no better than the median out of sample.
    pub pbo: f64,
    /// Ways of dividing the blocks into halves.
    pub splits: u64,
    /// Newest rows left out, since rows can't be divided evenly into blocks.
    pub dropped: usize,
    /// `ln(w / (1 - w))` of each split, `w` being the chosen column's rank out of sample over
    /// columns + 1; splits in lexicographic order of the blocks in sample.
    pub logits: Vec<f64>,
    /// Slope of the regression of the chosen columns' performance out of sample on that in sample:
    /// negative if a better backtest means worse results. None if either is infinite, or if the
    /// performance in sample is always the same.
    pub slope: Option<f64>,
    /// Share of splits whose chosen column has a negative performance out of sample.
    pub probability_of_loss: f64,
}

/// Probability of backtest overfitting of `columns`, each the returns of one trial per period, all
/// of the same length. Rows are cut into `blocks` of the same length, oldest first; a remainder is
/// dropped from the end. Every half of the blocks is once in sample, the other half out of sample.
/// Equal columns out of sample share the average of their ranks; of the best in sample that are
/// equal, the first column is chosen.
///
/// None unless there are at least two columns of the same length, all numbers, `blocks` is even and
/// within 2 to 20, and each block has a row.
///
/// For each split `n* = argmax` in sample, `w = rank(n*) / (N+1)` out of sample, `PBO = share of
/// ln(w/(1-w)) <= 0`; Bailey, Borwein, López de Prado & Zhu, The Probability of Backtest Overfitting,
/// Journal of Computational Finance, 2015 (CSCV).
///
/// ```
/// use magellan::stats::pbo::{Performance, probability_of_overfitting};
///
/// // What won in the first half loses in the second.
/// let columns: [&[f64]; 2] = [&[1.0, 1.0, 0.0, 0.0], &[0.0, 0.0, 1.0, 1.0]];
/// let found = probability_of_overfitting(&columns, 2, Performance::Mean).unwrap();
/// assert_eq!((found.pbo, found.splits), (1.0, 2));
/// ```
pub fn probability_of_overfitting(columns: &[&[f64]], blocks: usize, by: Performance) -> Option<Overfitting> {
    probability_of_overfitting_among(columns, blocks, by, Among::All)
}

/// Which columns the chosen one is ranked among out of sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Among {
    /// All of them, as published.
    All,
    /// Those that are at the median or better in sample: columns that nobody would choose make no choice look good. Of
    /// noise it is as likely as among all that the chosen one is below the median, since what is better in sample is no
    /// better out of sample.
    BetterHalf,
}

/// As [`probability_of_overfitting`], the chosen column being ranked among some of the others.
pub fn probability_of_overfitting_among(
    columns: &[&[f64]],
    blocks: usize,
    by: Performance,
    among: Among,
) -> Option<Overfitting> {
    let rows = columns.first()?.len();
    let even = blocks.is_multiple_of(2) && (2..=MOST_BLOCKS).contains(&blocks);
    let sound = columns.len() >= 2 && columns.iter().all(|c| c.len() == rows && all_finite(c));
    if !even || !sound || rows < blocks {
        return None;
    }
    let length = rows / blocks;
    let halves = Halves { among, ..Halves::new(columns, blocks, length, by) };
    let pairs: Vec<[Split; 2]> = with_first_block(blocks)
        .into_par_iter()
        .map_init(|| (vec![0.0; columns.len()], vec![0.0; columns.len()]), |scratch, half| halves.judge(half, scratch))
        .collect();
    // The complement of the i-th half is the i-th from the end.
    let splits: Vec<Split> = pairs.iter().map(|p| p[0]).chain(pairs.iter().rev().map(|p| p[1])).collect();
    Some(summary(&splits, rows - length * blocks))
}

/// Halves of the blocks that hold the first one, in lexicographic order; the first block is the
/// highest bit.
fn with_first_block(blocks: usize) -> Vec<u32> {
    let halves = (1u32 << (blocks - 1))..(1 << blocks);
    halves.rev().filter(|half| half.count_ones() as usize == blocks / 2).collect()
}

/// One split: what was chosen in sample, and what became of it.
#[derive(Clone, Copy, Debug)]
struct Split {
    inside: f64,
    outside: f64,
    /// Average rank out of sample, from 1 for the worst.
    rank: f64,
    /// Columns that it is ranked among.
    among: f64,
}

impl Split {
    fn of(inside: &[f64], outside: &[f64], among: Among) -> Self {
        let mut best = 0;
        for (i, &performance) in inside.iter().enumerate() {
            if performance > inside[best] {
                best = i;
            }
        }
        let least = match among {
            Among::All => f64::NEG_INFINITY,
            Among::BetterHalf => {
                let mut sorted = inside.to_vec();
                let middle = sorted.len() / 2;
                *sorted.select_nth_unstable_by(middle, f64::total_cmp).1
            }
        };
        let chosen = outside[best];
        let (mut worse, mut equal, mut count) = (0u32, 0u32, 0u32);
        for (&other, _) in outside.iter().zip(inside).filter(|(_, inside)| **inside >= least) {
            worse += u32::from(other < chosen);
            equal += u32::from(other == chosen);
            count += 1;
        }
        let rank = f64::from(worse) + 0.5 * (f64::from(equal) + 1.0);
        Self { inside: inside[best], outside: chosen, rank, among: f64::from(count) }
    }
}

/// Sums over each set of the older blocks and over each set of the newer ones, of every column: any
/// half is the sum of two rows.
struct Table {
    columns: usize,
    /// Blocks of either part.
    blocks: usize,
    older: Vec<f64>,
    newer: Vec<f64>,
}

impl Table {
    fn new(columns: &[&[f64]], blocks: usize, length: usize, value: fn(f64) -> f64) -> Self {
        let part = blocks / 2;
        let block = |b: usize| {
            let rows = b * length..(b + 1) * length;
            columns.iter().map(|c| sum(c[rows.clone()].iter().map(|&r| value(r)))).collect()
        };
        let sums = |first: usize| subset_sums(&(first..first + part).map(block).collect::<Vec<Vec<f64>>>());
        Self { columns: columns.len(), blocks: part, older: sums(0), newer: sums(part) }
    }

    /// Two sums for each column, which together are that of `half`.
    fn sums(&self, half: u32) -> impl Iterator<Item = (&f64, &f64)> {
        let row = |subset: u32| {
            let start = subset as usize * self.columns;
            start..start + self.columns
        };
        let newest = (1 << self.blocks) - 1;
        self.older[row(half >> self.blocks)].iter().zip(&self.newer[row(half & newest)])
    }
}

/// Sums of every set of `blocks`, oldest first; a row a set, the first block being the highest bit.
fn subset_sums(blocks: &[Vec<f64>]) -> Vec<f64> {
    let columns = blocks.first().map_or(0, Vec::len);
    let mut sums = vec![0.0; columns << blocks.len()];
    for subset in 1..1usize << blocks.len() {
        // The lowest bit is the newest block: it comes last, to the sums of the others.
        let newest = &blocks[blocks.len() - 1 - subset.trailing_zeros() as usize];
        let (before, from_here) = sums.split_at_mut(subset * columns);
        let others = &before[(subset & (subset - 1)) * columns..];
        from_here.iter_mut().zip(others.iter().zip(newest)).for_each(|(sum, (others, newest))| *sum = others + newest);
    }
    sums
}

/// Performance of every column on any half of the blocks. Returns are not centred first: their mean
/// is small beside their deviation, and a column without trades in a half stays exactly zero there.
struct Halves {
    among: Among,
    /// Rows of a half.
    rows: f64,
    sums: Table,
    /// Of squares, if deviations are asked for.
    squares: Option<Table>,
}

impl Halves {
    fn new(columns: &[&[f64]], blocks: usize, length: usize, by: Performance) -> Self {
        let table = |value| Table::new(columns, blocks, length, value);
        let squares = match by {
            Performance::Mean => None,
            Performance::Sharpe => Some(table(|r| r * r)),
        };
        Self { among: Among::All, rows: (blocks / 2 * length) as f64, sums: table(|r| r), squares }
    }

    /// The split with `half` in sample, and the one with the other half in sample.
    fn judge(&self, half: u32, (one, other): &mut (Vec<f64>, Vec<f64>)) -> [Split; 2] {
        let all = (1 << (2 * self.sums.blocks)) - 1;
        self.perform(half, one);
        self.perform(all ^ half, other);
        [Split::of(one, other, self.among), Split::of(other, one, self.among)]
    }

    fn perform(&self, half: u32, performance: &mut [f64]) {
        let sums = self.sums.sums(half);
        let Some(squares) = &self.squares else {
            performance.iter_mut().zip(sums).for_each(|(p, (older, newer))| *p = (older + newer) / self.rows);
            return;
        };
        for ((p, sum), square) in performance.iter_mut().zip(sums).zip(squares.sums(half)) {
            *p = sharpe(sum.0 + sum.1, square.0 + square.1, self.rows);
        }
    }
}

/// Mean over deviation, of a sum and a sum of squares.
#[inline(always)]
fn sharpe(sum: f64, squares: f64, rows: f64) -> f64 {
    let mean = sum / rows;
    let deviations = squares - sum * mean;
    let flat = if mean == 0.0 { 0.0 } else { f64::INFINITY.copysign(mean) };
    let ratio = mean / (deviations / (rows - 1.0)).sqrt();
    if deviations > FLAT * squares { ratio } else { flat }
}

fn summary(splits: &[Split], dropped: usize) -> Overfitting {
    let count = splits.len() as f64;
    // w / (1 - w) with w = rank / (N + 1): exactly 1, and its logarithm exactly 0, at the median.
    let logits: Vec<f64> = splits.iter().map(|s| (s.rank / (s.among + 1.0 - s.rank)).ln()).collect();
    Overfitting {
        pbo: logits.iter().filter(|&&l| l <= 0.0).count() as f64 / count,
        splits: splits.len() as u64,
        dropped,
        slope: slope(splits),
        probability_of_loss: splits.iter().filter(|s| s.outside < 0.0).count() as f64 / count,
        logits,
    }
}

/// Least squares of performance out of sample on that in sample.
fn slope(splits: &[Split]) -> Option<f64> {
    let inside: Vec<f64> = splits.iter().map(|s| s.inside).collect();
    let outside: Vec<f64> = splits.iter().map(|s| s.outside).collect();
    let (mean, squares) = spread(&inside)?;
    finite(sum(splits.iter().map(|s| (s.inside - mean) * s.outside)) / squares).filter(|_| all_finite(&outside))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn noise(columns: usize, rows: usize, seed: u64) -> Vec<Vec<f64>> {
        let mut next = crate::stats::noise(seed);
        (0..columns).map(|_| (0..rows).map(|_| next()).collect()).collect()
    }

    fn pbo(columns: &[Vec<f64>], blocks: usize, by: Performance) -> Option<Overfitting> {
        probability_of_overfitting(&columns.iter().map(Vec::as_slice).collect::<Vec<_>>(), blocks, by)
    }

    const BOTH: [Performance; 2] = [Performance::Mean, Performance::Sharpe];

    #[test]
    fn v19_a_winner_is_no_overfitting_and_a_reversal_is() {
        let mut columns = noise(5, 64, 1);
        columns[3] = columns[2].iter().map(|r| 100.0 + r).collect();
        let wide = [vec![1.0, 0.0], vec![1.0, 0.0], vec![0.0, 1.0], vec![0.0, 1.0]];
        let tall = [vec![1.0, 1.0, 0.0, 0.0], vec![0.0, 0.0, 1.0, 1.0]];
        for by in BOTH {
            let found = pbo(&columns, 8, by).unwrap();
            assert_eq!((found.pbo, found.splits, found.probability_of_loss), (0.0, 70, 0.0));
            assert_eq!(pbo(&wide, 2, by).unwrap().pbo, 1.0);
            assert_eq!(pbo(&tall, 2, by).unwrap().pbo, 1.0);
        }
    }

    #[test]
    fn a_remainder_is_dropped_from_the_end() {
        let mut columns = noise(4, 43, 2);
        let whole = pbo(&columns, 8, Performance::Sharpe).unwrap();
        assert_eq!(whole.dropped, 3);
        columns.iter_mut().for_each(|c| c.truncate(40));
        assert_eq!(pbo(&columns, 8, Performance::Sharpe), Some(Overfitting { dropped: 0, ..whole }));
    }

    #[test]
    fn splits_are_in_lexicographic_order() {
        // One column wins on each block alone; which one is chosen shows the blocks in sample.
        assert_eq!(with_first_block(4), [0b1100, 0b1010, 0b1001]);
        let columns = [vec![8.0, 0.0, 0.0, 0.0], vec![0.0, 4.0, 0.0, 0.0], vec![0.0, 0.0, 2.0, 0.0]];
        let found = pbo(&columns, 4, Performance::Mean).unwrap();
        // 12, 13, 14 choose the first column; 23, 24 the second; 34 the third. Two others are often equal.
        let ranks = [1.5, 1.5, 1.0, 1.5, 1.0, 1.0];
        let logits: Vec<f64> = ranks.iter().map(|r| f64::ln(r / (4.0 - r))).collect();
        assert_eq!(found.logits, logits);
    }

    #[test]
    fn equal_columns_are_at_the_median() {
        let one = noise(1, 32, 3).remove(0);
        for by in BOTH {
            let found = pbo(&[one.clone(), one.clone(), one.clone()], 4, by).unwrap();
            assert_eq!((found.pbo, found.logits), (1.0, vec![0.0; 6]));
        }
    }

    #[test]
    fn a_column_that_trades_in_one_half_only() {
        let (a, mut b) = (noise(1, 32, 4).remove(0), vec![0.0; 32]);
        b[..16].copy_from_slice(&a[..16]);
        let found = pbo(&[a, b], 2, Performance::Sharpe).unwrap();
        assert!(found.logits.iter().all(|l| l.is_finite()) && found.slope.is_some());
    }

    #[test]
    fn undefined_cases() {
        let columns = noise(3, 32, 5);
        for blocks in [0, 1, 3, 22, 34] {
            assert_eq!(pbo(&columns, blocks, Performance::Mean), None);
        }
        assert_eq!(pbo(&columns[..1], 4, Performance::Mean), None);
        assert_eq!(pbo(&[], 4, Performance::Mean), None);
        assert_eq!(pbo(&[vec![0.0; 8], vec![0.0; 9]], 4, Performance::Mean), None);
        assert_eq!(pbo(&[vec![0.0; 8], vec![f64::NAN; 8]], 4, Performance::Mean), None);
    }

    #[test]
    fn choosing_among_noise_is_a_coin_toss() {
        let seeds = 40;
        let mean = sum((0..seeds).map(|seed| pbo(&noise(20, 64, seed), 16, Performance::Sharpe).unwrap().pbo));
        assert!((0.35..0.65).contains(&(mean / seeds as f64)), "{}", mean / seeds as f64);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn the_order_of_columns_does_not_matter(seed in 0u64..1000, turn in 0usize..7) {
            let mut columns = noise(7, 48, seed);
            let before = pbo(&columns, 6, Performance::Sharpe).unwrap();
            columns.rotate_left(turn);
            columns.swap(0, 3);
            prop_assert_eq!(pbo(&columns, 6, Performance::Sharpe).unwrap(), before);
        }
    }
}
