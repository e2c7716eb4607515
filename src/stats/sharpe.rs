//! How sure a Sharpe ratio is.
//!
//! Sharpe ratios are per period unless a name says annualised; kurtosis isn't in excess of 3.

use super::long_run;
use super::{Moments, finite, normal_cdf, normal_quantile};

/// Standard error of a Sharpe ratio per period over `count` independent normal returns.
/// None without observations.
///
/// `sqrt((1 + SR^2/2) / T)`; Lo, The Statistics of Sharpe Ratios, FAJ 58(4), 2002.
///
/// ```
/// let error = magellan::stats::sharpe::standard_error(0.5, 60);
/// assert_eq!(error.map(|e| (1000.0 * e).round()), Some(137.0));
/// ```
pub fn standard_error(sharpe: f64, count: usize) -> Option<f64> {
    finite(((1.0 + 0.5 * sharpe * sharpe) / count as f64).sqrt())
}

/// What a Sharpe ratio per period is multiplied by for `periods` of them together (a year's), if
/// a return remembers the one before with correlation `rho`. None without periods, and unless
/// -1 < rho < 1.
///
/// `sqrt(q) * [1 + 2 rho/(1-rho) * (1 - (1-rho^q) / (q (1-rho)))]^(-1/2)`; Lo 2002, AR(1). Added
/// up as `q / sqrt(q + 2 sum (q-k) rho^k)`, which is the same and doesn't cancel near rho 1.
///
/// ```
/// use magellan::stats::sharpe::annualisation;
/// assert!(annualisation(12, -0.2) > annualisation(12, 0.0));
/// assert_eq!(annualisation(12, 0.0), Some(12f64.sqrt()));
/// ```
pub fn annualisation(periods: u32, rho: f64) -> Option<f64> {
    if periods == 0 || rho.abs() >= 1.0 || rho.is_nan() {
        return None;
    }
    if rho == 0.0 {
        return Some(f64::from(periods).sqrt());
    }
    let count = f64::from(periods);
    let (mut together, mut power) = (0.0, rho);
    for lag in 1..periods {
        // From here on nothing is added that could be seen.
        if power.abs() < 1e-30 {
            break;
        }
        together += (count - f64::from(lag)) * power;
        power *= rho;
    }
    finite(count / (count + 2.0 * together).sqrt())
}

/// Standard error of an annualised Sharpe ratio: [`annualisation`] times [`standard_error`] of
/// the Sharpe ratio per period. None where either is.
///
/// ```
/// let error = magellan::stats::sharpe::annualised_standard_error(0.1, 1000, 252, 0.0);
/// assert_eq!(error.map(|e| (1000.0 * e).round()), Some(503.0));
/// ```
pub fn annualised_standard_error(sharpe: f64, count: usize, periods: u32, rho: f64) -> Option<f64> {
    finite(annualisation(periods, rho)? * standard_error(sharpe, count)?)
}

/// `1 - g3 SR + (g4-1)/4 SR^2`: variance of the estimated Sharpe ratio, times the observations less
/// one. Positive for every distribution but two-valued ones.
fn variance(moments: &Moments) -> Option<f64> {
    let sharpe = moments.sharpe()?;
    let variance = 1.0 - moments.skewness * sharpe + 0.25 * (moments.kurtosis - 1.0) * sharpe * sharpe;
    finite(variance).filter(|&v| v > 0.0)
}

/// Standard error of a Sharpe ratio per period over returns that need not be normal. None for
/// fewer than two observations, no deviation, or moments that no distribution has.
///
/// `sqrt((1 - g3 SR + (g4-1)/4 SR^2) / (T-1))`; Bailey & López de Prado, The Sharpe Ratio Efficient
/// Frontier, Journal of Risk 15(2), 2012.
pub fn probabilistic_standard_error(moments: &Moments) -> Option<f64> {
    let freedom = moments.count.checked_sub(1).filter(|&f| f > 0)?;
    finite((variance(moments)? / freedom as f64).sqrt())
}

/// Probabilistic Sharpe ratio: confidence, in 0 to 1, that the true Sharpe ratio per period is above
/// `against`. None as [`probabilistic_standard_error`].
///
/// `Phi((SR - SR*) sqrt(T-1) / sqrt(1 - g3 SR + (g4-1)/4 SR^2))`; Bailey & López de Prado 2012.
///
/// ```
/// use magellan::stats::{Moments, sharpe::probabilistic};
/// let monthly = 1.585 / 12f64.sqrt();
/// let normal = probabilistic(&Moments::normal(24, monthly), 0.0);
/// let fat = probabilistic(&Moments::with(24, monthly, -2.448, 10.164), 0.0);
/// assert!((normal.unwrap() - 0.981_591_236).abs() < 1e-9);
/// assert!((fat.unwrap() - 0.913_234_307).abs() < 1e-9);
/// ```
pub fn probabilistic(moments: &Moments, against: f64) -> Option<f64> {
    let z = (moments.sharpe()? - against) / probabilistic_standard_error(moments)?;
    finite(z).map(normal_cdf)
}

/// Observations after which [`probabilistic`] would reach `confidence`, if the moments stayed as
/// they are. None unless the Sharpe ratio is above `against` and 0.5 <= confidence < 1.
///
/// `1 + (1 - g3 SR + (g4-1)/4 SR^2) * (z / (SR - SR*))^2`; Bailey & López de Prado 2012.
///
/// ```
/// use magellan::stats::{Moments, sharpe::min_track_record_length};
/// let day = 250f64.sqrt();
/// let days = min_track_record_length(&Moments::normal(0, 2.0 / day), 1.0 / day, 0.95);
/// assert_eq!(days.map(f64::round), Some(683.0));
/// ```
pub fn min_track_record_length(moments: &Moments, against: f64, confidence: f64) -> Option<f64> {
    let above = moments.sharpe()? - against;
    if above <= 0.0 || confidence < 0.5 {
        return None;
    }
    let ratio = normal_quantile(confidence)? / above;
    finite(1.0 + variance(moments)? * ratio * ratio)
}

/// Fewer returns have no long-run variance.
const FEWEST: usize = 10;

/// How sure a Sharpe ratio is, whatever its returns remember: [`probabilistic`] with the long-run variance in place of
/// the one that takes returns as independent.
///
/// The estimate's influence at a Sharpe ratio S is `z - S/2 (z^2 - 1)` of each standardised return z (delta method; Lo
/// 2002, Mertens 2002); its long-run variance is estimated as in the paired test (quadratic spectral kernel, prewhitened:
/// Andrews 1991, Andrews & Monahan 1992). It is taken at the hurdle, where the hypothesis puts the true ratio, and at the
/// estimate, and the larger counts: the one holds the level of sparse returns, the other that of skewed ones.
/// `magellan gate selftest --seeds N` measures how often chance passes.
#[derive(Clone, Debug)]
pub struct LongRun {
    /// Observations.
    pub count: usize,
    /// Sharpe ratio per period.
    pub sharpe: f64,
    /// Each return less their mean, over their deviation.
    standardised: Vec<f64>,
    /// Variance of the estimated Sharpe ratio at itself, times the observations less one.
    at_estimate: f64,
}

impl LongRun {
    /// Of a series of returns per period. None for fewer than ten, equal ones, or one that isn't finite.
    pub fn of(returns: &[f64]) -> Option<Self> {
        let moments = Moments::of(returns).filter(|m| m.count >= FEWEST)?;
        let sharpe = moments.sharpe()?;
        let standardised: Vec<f64> = returns.iter().map(|r| (r - moments.mean) / moments.sd).collect();
        let at_estimate = variance_at(&standardised, sharpe);
        (at_estimate > 0.0).then_some(Self { count: moments.count, sharpe, standardised, at_estimate })
    }

    /// Variance of the estimate if the true ratio were `hurdle`, times the observations less one.
    fn variance(&self, hurdle: f64) -> f64 {
        variance_at(&self.standardised, hurdle).max(self.at_estimate)
    }

    /// Standard error of the Sharpe ratio per period.
    pub fn standard_error(&self) -> f64 {
        (self.at_estimate / (self.count as f64 - 1.0)).sqrt()
    }

    /// Probability, in 0 to 1, that the true Sharpe ratio is above `hurdle`, per period. None unless it is finite.
    ///
    /// ```
    /// use magellan::stats::sharpe::LongRun;
    /// let trending: Vec<f64> = (0..256).map(|i| f64::from(i / 16 % 2) - 0.42).collect();
    /// let moments = magellan::stats::Moments::of(&trending).unwrap();
    /// let published = magellan::stats::sharpe::probabilistic(&moments, 0.0).unwrap();
    /// assert!(LongRun::of(&trending).unwrap().probability_above(0.0).unwrap() < published);
    /// ```
    pub fn probability_above(&self, hurdle: f64) -> Option<f64> {
        let z = (self.sharpe - hurdle) * (self.count as f64 - 1.0).sqrt() / self.variance(hurdle).sqrt();
        finite(z).map(normal_cdf)
    }

    /// As [`min_track_record_length`], with the long-run variance.
    pub fn min_track_record_length(&self, hurdle: f64, confidence: f64) -> Option<f64> {
        let above = self.sharpe - hurdle;
        if above <= 0.0 || confidence < 0.5 {
            return None;
        }
        let ratio = normal_quantile(confidence)? / above;
        finite(1.0 + self.variance(hurdle) * ratio * ratio)
    }
}

/// Long-run variance of what each return adds to an estimated Sharpe ratio whose true value is `sharpe`.
fn variance_at(standardised: &[f64], sharpe: f64) -> f64 {
    let influence: Vec<f64> = standardised.iter().map(|z| z - 0.5 * sharpe * (z * z - 1.0)).collect();
    let mean = super::sum(influence.iter().copied()) / influence.len() as f64;
    let centred: Vec<f64> = influence.iter().map(|value| value - mean).collect();
    long_run::variance_of(&centred)
}

/// Smallest true difference that a one-sided test at `confidence` finds with probability `power`,
/// in the unit of `standard_error`. None unless confidence and power are within (0, 1).
///
/// `(z_confidence + z_power) * standard_error`.
///
/// ```
/// let smallest = magellan::stats::sharpe::detectable(0.1, 0.95, 0.8);
/// assert!((smallest.unwrap() - 0.248_647_486_052).abs() < 1e-9);
/// ```
pub fn detectable(standard_error: f64, confidence: f64, power: f64) -> Option<f64> {
    finite((normal_quantile(confidence)? + normal_quantile(power)?) * standard_error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: Option<f64>, b: f64) {
        let a = a.unwrap();
        assert!((a - b).abs() < 1e-9 * b.abs().max(1.0), "{a} is not {b}");
    }

    #[test]
    fn v6_probabilistic_sharpe_ratio() {
        let sharpe = 1.585 / 12f64.sqrt();
        close(probabilistic(&Moments::with(24, sharpe, -2.448, 10.164), 0.0), 0.913_234_306_864_860_2);
        close(probabilistic(&Moments::normal(24, sharpe), 0.0), 0.981_591_236_083_496_7);
    }

    #[test]
    fn v7_v8_minimum_track_record_length() {
        for (periods, years) in
            [(250.0, 2.731_187_801_728_176), (52.0, 2.828_833_586_945_237), (12.0, 3.239_800_696_444_645_3)]
        {
            let year = f64::sqrt(periods);
            let length = min_track_record_length(&Moments::normal(1, 2.0 / year), 1.0 / year, 0.95);
            close(length.map(|l| l / periods), years);
        }
        let year = 12f64.sqrt();
        let length = min_track_record_length(&Moments::with(1, 3.0 / year, -0.72, 5.78), 2.5 / year, 0.95);
        close(length.map(|l| l / 12.0), 27.352_920_196_040_3);
    }

    #[test]
    fn v11_standard_errors() {
        for (count, error) in [(12, 306.0), (24, 217.0), (60, 137.0), (250, 67.0)] {
            assert_eq!(standard_error(0.5, count).map(|e| (1000.0 * e).round()), Some(error));
        }
    }

    #[test]
    fn v12_annualisation() {
        close(annualisation(12, -0.2), 4.170_848_014_103_785);
        close(annualisation(12, 0.0), 3.464_101_615_137_754_4);
        // The published form, where it doesn't cancel.
        let (q, rho) = (252f64, 0.3f64);
        let inner = 1.0 + 2.0 * rho / (1.0 - rho) * (1.0 - (1.0 - rho.powi(252)) / (q * (1.0 - rho)));
        close(annualisation(252, rho), (q / inner).sqrt());
        close(annualisation(1, 0.5), 1.0);
    }

    #[test]
    fn the_record_length_is_where_the_probability_reaches_the_confidence() {
        let mut moments = Moments::with(0, 0.11, -1.2, 7.0);
        let length = min_track_record_length(&moments, 0.03, 0.95).unwrap();
        moments.count = length.ceil() as usize;
        assert!(probabilistic(&moments, 0.03) >= Some(0.95));
        moments.count -= 1;
        assert!(probabilistic(&moments, 0.03) < Some(0.95));
    }

    #[test]
    fn undefined_cases() {
        let m = Moments::normal(100, 0.1);
        assert_eq!(standard_error(0.1, 0), None);
        assert_eq!(standard_error(f64::NAN, 10), None);
        assert_eq!(annualisation(0, 0.1), None);
        assert_eq!(annualisation(12, 1.0), None);
        assert_eq!(annualisation(12, -1.0), None);
        assert_eq!(annualisation(u32::MAX, f64::NAN), None);
        assert_eq!(probabilistic(&Moments::normal(1, 0.1), 0.0), None);
        assert_eq!(probabilistic(&Moments::normal(0, 0.1), 0.0), None);
        assert_eq!(probabilistic(&Moments { sd: 0.0, ..m }, 0.0), None);
        assert_eq!(probabilistic(&Moments::with(100, 1.0, 3.0, 3.0), 0.0), None);
        assert_eq!(min_track_record_length(&m, 0.1, 0.95), None);
        assert_eq!(min_track_record_length(&m, 0.2, 0.95), None);
        assert_eq!(min_track_record_length(&m, 0.0, 1.0), None);
        assert_eq!(min_track_record_length(&m, 0.0, 0.3), None);
        assert_eq!(detectable(0.1, 1.0, 0.8), None);
    }
}
