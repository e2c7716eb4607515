//! Arithmetic, comparisons and logic of indicator values, bar by bar: what rules are made of.
//!
//! A condition is 1 where it holds, 0 where it doesn't, and NaN where that isn't known.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use super::catalogue::Indicator;
use super::field::Factor;
use super::fold::{Fold, Rolling};
use super::inner::{Computation, Inner, Kept};
use super::memory::Memory;
use crate::bar::{Bar, Bars, Symbol, Timeframe};
use crate::calendar::Session;
use crate::error::Result;

/// What to make of values. What isn't finite is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// The same number at each bar, of no values.
    Constant(Factor),
    /// `a + b`
    Plus,
    /// `a - b`
    Minus,
    /// `a * b`
    Times,
    /// `a / b`
    Over,
    /// `-a`
    Negated,
    /// `|a|`
    Absolute,
    /// The smaller of two.
    Smaller,
    /// The larger of two.
    Larger,
    /// Square root.
    Root,
    /// The largest whole number that isn't above it.
    Floor,
    /// Natural logarithm.
    Log,
    /// e to the power of it.
    Exp,
    /// `a < b`
    Less,
    /// `a <= b`
    AtMost,
    /// `a == b`
    Equal,
    /// Neither is false. A false one makes it false even if the other isn't known (Kleene 1938).
    And,
    /// One is true. A true one makes it true even if the other isn't known (Kleene 1938).
    Or,
    /// The opposite.
    Not,
    /// `b` where `a` holds, `c` where it doesn't.
    Choice,
    /// `b` at the last bar at which `a` held, this one included.
    ValueWhen,
    /// Bars since `a` held last: 0 at such a bar.
    BarsSince,
}

impl Operation {
    /// Name of its column in outputs.
    const fn name(self) -> &'static str {
        match self {
            Self::Constant(_) => "constant",
            Self::Plus => "sum",
            Self::Minus => "difference",
            Self::Times => "product",
            Self::Over => "quotient",
            Self::Negated => "negated",
            Self::Absolute => "absolute",
            Self::Smaller => "min",
            Self::Larger => "max",
            Self::Root => "sqrt",
            Self::Floor => "floor",
            Self::Log => "log",
            Self::Exp => "exp",
            Self::Less | Self::AtMost | Self::Equal | Self::And | Self::Or | Self::Not => "condition",
            Self::Choice => "choice",
            Self::ValueWhen => "value_when",
            Self::BarsSince => "bars_since",
        }
    }

    /// Whether its value depends on more than this bar's values.
    pub const fn remembers(self) -> bool {
        matches!(self, Self::ValueWhen | Self::BarsSince)
    }

    /// What it makes of this bar's values; of those that remember, NaN.
    #[inline(always)]
    pub fn of(self, [a, b, c]: [f64; 3]) -> f64 {
        let condition = |holds: bool| if a.is_nan() || b.is_nan() { f64::NAN } else { f64::from(u8::from(holds)) };
        let value = match self {
            Self::Constant(number) => number.get(),
            Self::Plus => a + b,
            Self::Minus => a - b,
            Self::Times => a * b,
            Self::Over => a / b,
            Self::Negated => -a,
            Self::Absolute => a.abs(),
            // Of unknown values neither is: `f64::min` would take the other one.
            Self::Smaller => {
                if a.is_nan() || b.is_nan() {
                    f64::NAN
                } else if b < a {
                    b
                } else {
                    a
                }
            }
            Self::Larger => {
                if a.is_nan() || b.is_nan() {
                    f64::NAN
                } else if b > a {
                    b
                } else {
                    a
                }
            }
            Self::Root => a.sqrt(),
            Self::Floor => a.floor(),
            Self::Log => libm::log(a),
            Self::Exp => libm::exp(a),
            Self::Less => condition(a < b),
            Self::AtMost => condition(a <= b),
            Self::Equal => condition(a == b),
            Self::And => match (a, b) {
                (0.0, _) | (_, 0.0) => 0.0,
                _ => condition(true),
            },
            Self::Or => match (a == 1.0, b == 1.0) {
                (false, false) => condition(false),
                _ => 1.0,
            },
            Self::Not => 1.0 - a,
            Self::Choice => match a {
                1.0 => b,
                0.0 => c,
                _ => f64::NAN,
            },
            Self::ValueWhen | Self::BarsSince => f64::NAN,
        };
        if value.is_finite() { value } else { f64::NAN }
    }
}

/// An operation and the indicators whose values it takes: up to three.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Formula {
    operation: Operation,
    of: Vec<Indicator>,
}

impl Indicator {
    /// What an operation makes of other indicators' values at the same bar.
    ///
    /// ```
    /// use magellan::indicator::{Field, Indicator, Operation};
    ///
    /// let range = Indicator::formula(Operation::Minus, &[Indicator::value(Field::High), Indicator::value(Field::Low)]);
    /// let mean_range = Indicator::sma(14).on(range);
    /// ```
    pub fn formula(operation: Operation, of: &[Self]) -> Self {
        static KNOWN: LazyLock<Mutex<HashMap<Formula, &'static Kept>>> = LazyLock::new(Mutex::default);
        let formula = Formula { operation, of: of.to_vec() };
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = known.entry(formula.clone()).or_insert_with(|| Box::leak(Box::new(Kept::new(formula))));
        Self::Formula(Inner::new(kept))
    }

    /// The same number at each bar.
    pub fn constant(number: f64) -> Self {
        Self::formula(Operation::Constant(Factor::new(number)), &[])
    }
}

impl Computation for Formula {
    fn start(&self, symbol: Symbol) -> Rolling {
        let of = self.of.iter().map(|indicator| indicator.start(symbol)).collect();
        Rolling::new(Running { operation: self.operation, of, last: f64::NAN, columns: Default::default() })
    }

    fn name(&self) -> &'static str {
        self.operation.name()
    }

    fn memory(&self) -> Memory {
        let forgets = self.of.iter().all(|of| of.memory() == Memory::Session) && !self.operation.remembers();
        if forgets { Memory::Session } else { Memory::Continuous }
    }

    fn sees_sessions(&self) -> bool {
        self.of.iter().any(|of| of.sees_sessions())
    }

    fn reads_other_data(&self) -> bool {
        self.of.iter().any(|of| of.reads_other_data())
    }

    fn period(&self, width: Timeframe) -> usize {
        self.of.iter().map(|of| of.period(width)).max().unwrap_or(1)
    }

    fn check(&self, width: Timeframe) -> Result<()> {
        self.of.iter().try_for_each(|of| of.check(width))
    }
}

/// A formula under way.
struct Running {
    operation: Operation,
    of: Vec<Rolling>,
    /// Of those that remember: what they remember.
    last: f64,
    columns: [Vec<f64>; 3],
}

impl Running {
    #[inline(always)]
    fn step(&mut self, values: [f64; 3]) -> f64 {
        let [holds, value, _] = values;
        match self.operation {
            Operation::ValueWhen if holds == 1.0 => self.last = value,
            Operation::ValueWhen => {}
            Operation::BarsSince => self.last = if holds == 1.0 { 0.0 } else { self.last + 1.0 },
            plain => return plain.of(values),
        }
        self.last
    }
}

impl Fold for Running {
    fn next(&mut self, bar: &Bar, session: &Session) -> f64 {
        let mut values = [f64::NAN; 3];
        for (value, of) in values.iter_mut().zip(&mut self.of) {
            *value = of.next(bar, session);
        }
        self.step(values)
    }

    fn extend(&mut self, bars: &Bars<'_>, session: &Session, column: &mut Vec<f64>) {
        let mut columns = std::mem::take(&mut self.columns);
        for (values, of) in columns.iter_mut().zip(&mut self.of) {
            values.clear();
            of.extend(bars, session, values);
        }
        let from = column.len();
        column.resize(from + bars.len(), f64::NAN);
        let (all, [a, b, c]) = (&mut column[from..], &columns);
        match self.operation {
            Operation::Constant(number) => all.fill(number.get()),
            operation if operation.remembers() || !c.is_empty() => {
                for (i, value) in all.iter_mut().enumerate() {
                    let at = |values: &[f64]| values.get(i).copied().unwrap_or(f64::NAN);
                    *value = self.step([at(a), at(b), at(c)]);
                }
            }
            operation if b.is_empty() => each(operation, all, a, a),
            operation => each(operation, all, a, b),
        }
        self.columns = columns;
    }
}

/// One loop an operation, which the compiler can vectorise.
fn each(operation: Operation, all: &mut [f64], a: &[f64], b: &[f64]) {
    macro_rules! loops {
        ($($name:ident)*) => {
            match operation {
                $(Operation::$name => {
                    for ((value, a), b) in all.iter_mut().zip(a).zip(b) {
                        *value = Operation::$name.of([*a, *b, f64::NAN]);
                    }
                })*
                other => {
                    for ((value, a), b) in all.iter_mut().zip(a).zip(b) {
                        *value = other.of([*a, *b, f64::NAN]);
                    }
                }
            }
        };
    }
    loops!(Plus Minus Times Over Less AtMost Equal And Or Not);
}
