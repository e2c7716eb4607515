//! What an account is worth bar by bar, added up while it is replayed.

use super::measure::{Cause, Measure, ratio};
use crate::replay::Recorder;

/// Deepest fall and mean exposure, over the marks of every bar.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Marks {
    peak: f64,
    deepest: f64,
    bars: u64,
    /// Sum of what is held over equity.
    exposure: f64,
    solvent: bool,
}

impl Marks {
    /// Of an account that starts with `capital` dollars.
    pub const fn new(capital: f64) -> Self {
        Self { peak: capital, deepest: 0.0, bars: 0, exposure: 0.0, solvent: capital > 0.0 }
    }

    /// Deepest `equity / peak - 1` at the close of a bar; 0 or negative. The starting capital is the first peak.
    pub const fn drawdown(&self) -> Measure {
        Measure::new(self.deepest, Cause::NoEquity)
    }

    /// Mean over bar starts of what is held over equity.
    pub fn gross_exposure(&self) -> Measure {
        if !self.solvent {
            return Measure::Undefined(Cause::Ruined);
        }
        ratio(self.exposure, self.bars as f64, Cause::NoBars)
    }
}

impl<I> Recorder<I> for Marks {
    const BARS: bool = false;
    const MARKS: bool = true;

    #[inline]
    fn valued(&mut self, bars: u64, equity: f64, held: f64) {
        self.bars += bars;
        self.solvent &= equity > 0.0;
        if equity >= self.peak {
            self.peak = equity;
        }
        let depth = equity / self.peak - 1.0;
        self.deepest = if depth < self.deepest { depth } else { self.deepest };
        if held > 0.0 {
            self.exposure += bars as f64 * (held / equity);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(marks: &mut Marks, bars: u64, equity: f64, held: f64) {
        Recorder::<()>::valued(marks, bars, equity, held);
    }

    #[test]
    fn a_fall_within_a_session_counts_and_flat_bars_dilute_exposure() {
        let mut marks = Marks::new(100.0);
        value(&mut marks, 2, 100.0, 0.0);
        value(&mut marks, 1, 128.0, 64.0);
        value(&mut marks, 1, 96.0, 48.0);
        assert_eq!(marks.drawdown(), Measure::Defined(-0.25));
        // (0.5 + 0.5) over 4 bars.
        assert_eq!(marks.gross_exposure(), Measure::Defined(0.25));
        value(&mut marks, 1, -1.0, 0.0);
        assert_eq!(marks.gross_exposure(), Measure::Undefined(Cause::Ruined));
        assert_eq!(Marks::new(1.0).gross_exposure(), Measure::Undefined(Cause::NoBars));
    }
}
