//! What the last values say as a sample: weighted mean, median, rank, z-score, regression, change.

use super::output::Regression;
use super::window::{is_noise, mean, std};

/// Weights 1, 2, ... up to the newest.
pub(super) fn weighted_mean(values: &[f64]) -> f64 {
    let (mut sum, mut weights, mut weight) = (0.0, 0.0, 0.0);
    for value in values {
        weight += 1.0;
        sum += weight * value;
        weights += weight;
    }
    sum / weights
}

/// The middle value, or the mean of the two in the middle.
pub(super) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 }
}

/// Per cent of the values before the last one that are at most as large.
pub(super) fn percent_rank(values: &[f64]) -> f64 {
    let (last, before) = (values[values.len() - 1], &values[..values.len() - 1]);
    let at_most = before.iter().filter(|v| **v <= last).count();
    100.0 * at_most as f64 / before.len() as f64
}

/// Distance of the last value from the mean, in standard deviations.
pub(super) fn z_score(values: &[f64]) -> f64 {
    let (centre, deviation) = (mean(values), std(values));
    if is_noise(deviation, centre) { f64::NAN } else { (values[values.len() - 1] - centre) / deviation }
}

/// Change from the first value to the last, per cent.
pub(super) fn change(values: &[f64]) -> f64 {
    let change = (values[values.len() - 1] / values[0] - 1.0) * 100.0;
    if change.is_finite() { change } else { f64::NAN }
}

/// The straight line with the least squares, over bars 0, 1, ...
pub(super) fn regression(values: &[f64], output: Regression) -> f64 {
    let (middle, centre) = ((values.len() - 1) as f64 / 2.0, mean(values));
    let (mut products, mut squares, mut bar) = (0.0, 0.0, 0.0);
    for value in values {
        let distance = bar - middle;
        products += distance * (value - centre);
        squares += distance * distance;
        bar += 1.0;
    }
    let slope = products / squares;
    match output {
        Regression::Slope => slope,
        Regression::Value => centre + slope * middle,
    }
}
