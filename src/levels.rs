//! The simplest strategy there is: one indicator and two levels.

use crate::indicator::Indicator;
use crate::order::{Order, Reason, Size};
use crate::strategy::{Now, Rules, Strategy, Test};

/// Buys while the indicator is above one level and sells everything while it is below another, both strict.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Levels {
    /// What is compared.
    pub indicator: Indicator,
    /// Flat: buys above it.
    pub enter_above: f64,
    /// Long: sells below it.
    pub exit_below: f64,
    /// How much it buys.
    pub size: Size,
}

const SOLD: Reason = Reason::Signal("below");

impl Strategy for Levels {
    const NAME: &'static str = "levels";
    type Inputs = [f64; 1];
    type State = ();

    fn indicators(&self) -> [Indicator; 1] {
        [self.indicator]
    }

    /// None: an indicator is not a number until it is warm, and that is above and below nothing.
    fn warmup(&self) -> usize {
        0
    }

    #[inline(always)]
    fn decide(&self, (): &mut (), now: &Now<[f64; 1]>) -> Option<Order> {
        let [value] = now.inputs;
        match now.position.is_open() {
            false => (value > self.enter_above).then_some(Order::buy(self.size)),
            true => (value < self.exit_below).then_some(Order::Exit(SOLD)),
        }
    }

    fn rules(&self) -> Option<Rules> {
        Some(Rules {
            enter: vec![Test::above(0, self.enter_above)],
            exit: vec![Test::below(0, self.exit_below)],
            size: self.size,
            reason: SOLD,
        })
    }
}
