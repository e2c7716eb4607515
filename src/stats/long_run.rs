//! Long-run variance of series that remember: what the variance of their mean times the number of
//! observations tends to.

use rayon::prelude::*;

use super::{ROUNDING, sum};

/// Largest singular value of a prewhitening matrix, and largest autocorrelation: Andrews & Monahan,
/// An Improved Heteroskedasticity and Autocorrelation Consistent Covariance Matrix Estimator,
/// Econometrica 60, 1992.
const NEARLY_ONE: f64 = 0.97;

/// A number for each of four series.
pub(super) type Four = [f64; 4];

/// Long-run variance of four series with mean 0, added up with `weights`, and the kernel's bandwidth
/// in lags. Needs six rows.
///
/// Prewhitened by a vector autoregression (Andrews & Monahan 1992), quadratic spectral kernel and its
/// automatic bandwidth (Andrews, Econometrica 59, 1991), times `T/(T-4)` for the four estimated means.
pub(super) fn variance(rows: &[Four], weights: &Four) -> (f64, f64) {
    let matrix = autoregression(rows);
    let whiten = |w: &[Four]| {
        let expected = times(&matrix, &w[0]);
        [0, 1, 2, 3].map(|i| w[1][i] - expected[i])
    };
    let whitened: Vec<Four> = rows.windows(2).map(whiten).collect();
    // w' (I-A)^-1 Psi (I-A)'^-1 w is the variance of one series: the whitened ones, added up with
    // weights that solve (I-A)' x = w.
    let weights = recolour(&matrix, weights);
    let series: Vec<f64> = whitened.iter().map(|row| dot(&weights, row)).collect();
    let bandwidth = bandwidth(&whitened);
    let count = series.len() as f64;
    (quadratic_spectral(&series, bandwidth) * count / (count - 4.0), bandwidth)
}

/// Long-run variance of one series with mean 0, as [`variance`]. The first autocorrelation is estimated too low in short
/// series, by `(1 + 3 rho) / T` (Marriott & Pope, Bias in the Estimation of Autocorrelations, Biometrika 41, 1954;
/// Kendall, Note on Bias in the Estimation of Autocorrelation, the same), and is corrected by that before recolouring.
pub(super) fn variance_of(series: &[f64]) -> f64 {
    let rows: Vec<Four> = series.iter().map(|&value| [value, 0.0, 0.0, 0.0]).collect();
    let weights = [1.0, 0.0, 0.0, 0.0];
    let rho = autoregression(&rows)[0][0];
    let corrected = (rho + (1.0 + 3.0 * rho) / rows.len() as f64).clamp(-NEARLY_ONE, NEARLY_ONE);
    let ratio = (1.0 - rho) / (1.0 - corrected);
    variance(&rows, &weights).0 * ratio * ratio
}

pub(super) fn dot(a: &Four, b: &Four) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2] + a[3] * b[3]
}

pub(super) fn add(a: Four, b: &Four) -> Four {
    [a[0] + b[0], a[1] + b[1], a[2] + b[2], a[3] + b[3]]
}

fn times(matrix: &[Four; 4], vector: &Four) -> Four {
    [0, 1, 2, 3].map(|i| dot(&matrix[i], vector))
}

fn transposed(matrix: &[Four; 4]) -> [Four; 4] {
    [0, 1, 2, 3].map(|i| [0, 1, 2, 3].map(|j| matrix[j][i]))
}

fn product(a: &[Four; 4], b: &[Four; 4]) -> [Four; 4] {
    let columns = transposed(b);
    [0, 1, 2, 3].map(|i| [0, 1, 2, 3].map(|j| dot(&a[i], &columns[j])))
}

/// `V f(values) V'` of a symmetric matrix with these eigenvalues and eigenvectors.
fn rebuilt((values, vectors): &(Four, [Four; 4]), f: impl Fn(f64) -> f64) -> [Four; 4] {
    let scaled = vectors.map(|row| [0, 1, 2, 3].map(|k| row[k] * f(values[k])));
    product(&scaled, &transposed(vectors))
}

/// Matrix that predicts each row from the one before, by least squares without a constant; what
/// can't be told apart is divided evenly (pseudo-inverse). Singular values are cut to 0.97.
fn autoregression(rows: &[Four]) -> [Four; 4] {
    let (mut squares, mut products) = ([[0.0; 4]; 4], [[0.0; 4]; 4]);
    for w in rows.windows(2) {
        for i in 0..4 {
            for j in 0..4 {
                squares[i][j] += w[0][i] * w[0][j];
                products[i][j] += w[1][i] * w[0][j];
            }
        }
    }
    let decomposed = eigen(squares);
    let largest = decomposed.0.iter().fold(0.0, |a: f64, &b| a.max(b));
    let inverse = rebuilt(&decomposed, |v| if v > ROUNDING * largest { 1.0 / v } else { 0.0 });
    let matrix = product(&products, &inverse);
    // A = U s V' is cut by A V f(s) V', and s^2 and V are of A'A.
    let squared = eigen(product(&transposed(&matrix), &matrix));
    let cut = rebuilt(&squared, |v| (NEARLY_ONE / v.max(0.0).sqrt()).min(1.0));
    product(&matrix, &cut)
}

/// Eigenvalues and eigenvectors (columns) of a symmetric matrix, by Jacobi's rotations; Golub & Van
/// Loan, Matrix Computations, 2013, 8.5.
fn eigen(mut matrix: [Four; 4]) -> (Four, [Four; 4]) {
    let mut vectors = [0, 1, 2, 3].map(|i| [0, 1, 2, 3].map(|j| f64::from(u8::from(i == j))));
    // Convergence is quadratic: four by four needs no more than six sweeps.
    for _ in 0..16 {
        for (p, q) in [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)] {
            if matrix[p][q] == 0.0 {
                continue;
            }
            let theta = (matrix[q][q] - matrix[p][p]) / (2.0 * matrix[p][q]);
            let tangent = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
            let cosine = 1.0 / (tangent * tangent + 1.0).sqrt();
            let mut rotation = [0, 1, 2, 3].map(|i| [0, 1, 2, 3].map(|j| f64::from(u8::from(i == j))));
            (rotation[p][p], rotation[q][q]) = (cosine, cosine);
            (rotation[p][q], rotation[q][p]) = (tangent * cosine, -tangent * cosine);
            matrix = product(&product(&transposed(&rotation), &matrix), &rotation);
            (matrix[p][q], matrix[q][p]) = (0.0, 0.0);
            vectors = product(&vectors, &rotation);
        }
    }
    ([0, 1, 2, 3].map(|i| matrix[i][i]), vectors)
}

/// Solves `(I - A)' x = w` by `w + A' w + A'^2 w + ...`, which converges as no singular value of A is
/// above 0.97.
fn recolour(matrix: &[Four; 4], weights: &Four) -> Four {
    let transposed = transposed(matrix);
    let (mut term, mut total) = (*weights, *weights);
    // 0.97^1300 is 6e-18.
    for _ in 0..1300 {
        term = times(&transposed, &term);
        total = add(total, &term);
    }
    total
}

/// Andrews' automatic bandwidth of the quadratic spectral kernel, in lags: 1.3221 (a T)^(1/5), a from
/// an autoregression of each series.
fn bandwidth(rows: &[Four]) -> f64 {
    let (mut curvature, mut level) = (0.0, 0.0);
    for i in 0..4 {
        let (rho, squares) = first_order(rows, i);
        let (variance, far) = (squares * squares, (1.0 - rho).powi(4));
        curvature += 4.0 * rho * rho * variance / (far * far);
        level += variance / far;
    }
    if level > 0.0 { 1.3221 * (curvature / level * rows.len() as f64).powf(0.2) } else { 0.0 }
}

/// Slope of a series on the one before, and the mean square of what that leaves.
fn first_order(rows: &[Four], series: usize) -> (f64, f64) {
    let count = (rows.len() - 1) as f64;
    let mean = |rows: &[Four]| sum(rows.iter().map(|r| r[series])) / count;
    let (before, after) = (mean(&rows[..rows.len() - 1]), mean(&rows[1..]));
    let (mut squares, mut products, mut own) = (0.0, 0.0, 0.0);
    for w in rows.windows(2) {
        let (x, y) = (w[0][series] - before, w[1][series] - after);
        squares += x * x;
        products += x * y;
        own += y * y;
    }
    if squares <= 0.0 {
        return (0.0, 0.0);
    }
    let rho = (products / squares).clamp(-NEARLY_ONE, NEARLY_ONE);
    (rho, (own - 2.0 * rho * products + rho * rho * squares).max(0.0) / count)
}

/// Long-run variance of a series with mean 0: its autocovariances at every lag, weighted by the
/// quadratic spectral kernel.
fn quadratic_spectral(series: &[f64], bandwidth: f64) -> f64 {
    let covariances = autocovariances(series);
    let weight = |lag: usize| {
        let x = 1.2 * std::f64::consts::PI * lag as f64 / bandwidth;
        3.0 / (x * x) * (x.sin() / x - x.cos())
    };
    let at_zero = covariances.first().copied().unwrap_or(0.0);
    if bandwidth <= 0.0 {
        return at_zero;
    }
    let later = covariances.iter().enumerate().skip(1).map(|(lag, covariance)| weight(lag) * covariance);
    (at_zero + 2.0 * sum(later)).max(0.0)
}

/// Mean product of values so many apart, over the number of values; of every lag.
fn autocovariances(series: &[f64]) -> Vec<f64> {
    const TOGETHER: usize = 8;
    let count = series.len();
    // Zeros before the first value let eight lags be added up side by side, each oldest first.
    let padded: Vec<f64> = std::iter::repeat_n(0.0, count + TOGETHER).chain(series.iter().copied()).collect();
    let lags = |first: usize| {
        let mut sums = [0.0; TOGETHER];
        for (t, value) in series.iter().enumerate().skip(first) {
            let end = t + count + TOGETHER - first;
            let before = &padded[end + 1 - TOGETHER..=end];
            sums.iter_mut().zip(before.iter().rev()).for_each(|(sum, before)| *sum += value * before);
        }
        sums.map(|s| s / count as f64)
    };
    let firsts: Vec<usize> = (0..count).step_by(TOGETHER).collect();
    let all: Vec<[f64; TOGETHER]> = firsts.into_par_iter().map(lags).collect();
    all.into_iter().flatten().take(count).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eigenvalues_and_vectors_rebuild_the_matrix() {
        let matrix = [[4.0, 1.0, -2.0, 0.5], [1.0, 3.0, 0.0, 0.25], [-2.0, 0.0, 2.0, 1.0], [0.5, 0.25, 1.0, 1.0]];
        let back = rebuilt(&eigen(matrix), |v| v);
        let difference = |i: usize, j: usize| f64::abs(back[i][j] - matrix[i][j]);
        assert!((0..16).all(|k| difference(k / 4, k % 4) < 1e-14));
    }

    #[test]
    fn autocovariances_are_mean_products() {
        let series: Vec<f64> = (0..21).map(|i| f64::from(i * i % 11) - 4.0).collect();
        let expected = |lag: usize| sum((lag..21).map(|t| series[t] * series[t - lag])) / 21.0;
        assert_eq!(autocovariances(&series), (0..21).map(expected).collect::<Vec<_>>());
    }

    #[test]
    fn the_matrix_is_cut_and_solved() {
        // Each row is 1.2 times the one before: the autoregression must not say so.
        let rows: Vec<Four> = (0..30).map(|t| [1.2f64.powi(t), 0.0, 0.0, 0.0]).collect();
        let matrix = autoregression(&rows);
        assert!((matrix[0][0] - 0.97).abs() < 1e-12);
        assert!((recolour(&matrix, &[1.0, 2.0, 0.0, 0.0])[0] - 1.0 / 0.03).abs() < 1e-9);
    }
}
