//! The arguments of a function, checked.

use crate::indicator::{Field, Indicator, Operation};

/// The arguments of a function: its values, its periods and its factors, each in their order.
#[derive(Clone, Debug, Default)]
pub(super) struct Given {
    pub(super) values: Vec<Indicator>,
    pub(super) periods: Vec<u32>,
    pub(super) factors: Vec<f64>,
}

impl Given {
    pub(super) fn value(&self, i: usize) -> Indicator {
        self.values[i]
    }

    /// A value as what an indicator is computed from.
    pub(super) fn field(&self, i: usize) -> Field {
        match self.values[i] {
            Indicator::Lag { field, bars: 0 } => field,
            other => Field::of(other),
        }
    }

    pub(super) fn period(&self, i: usize) -> u32 {
        self.periods[i]
    }

    pub(super) fn factor(&self, i: usize) -> f64 {
        self.factors[i]
    }

    /// An indicator of closes, of the first value.
    pub(super) fn on_first(&self, indicator: Indicator) -> Indicator {
        match self.field(0) {
            Field::Close => indicator,
            field => indicator.on(field),
        }
    }

    pub(super) fn formula(&self, operation: Operation) -> Indicator {
        Indicator::formula(operation, &self.values)
    }

    /// Whether the first value has just come to lie above the second one, or below it.
    pub(super) fn crosses(&self, below: bool) -> Indicator {
        let before = |i: usize| Indicator::Lag { field: self.field(i), bars: 1 };
        let [over, under] = if below { [1, 0] } else { [0, 1] };
        let now = Indicator::formula(Operation::Less, &[self.value(under), self.value(over)]);
        let then = Indicator::formula(Operation::AtMost, &[before(over), before(under)]);
        Indicator::formula(Operation::And, &[now, then])
    }
}
