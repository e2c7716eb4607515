//! Indicators that users write.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher, Hash, Hasher};
use std::sync::{LazyLock, Mutex, PoisonError};

use super::fold::{Fold, Rolling};
use super::memory::Memory;
use crate::bar::{Bar, Symbol};
use crate::calendar::Session;

/// An indicator of one's own: a value that is its own parameters, and one step for each bar. Give it to a strategy by
/// [`Indicator::own`](super::Indicator::own).
///
/// It gets a bar at a time, so it can't look ahead, and its column is its stream. It is computed once for all points of
/// a sweep that share it: those of the same type and equal parameters. A parameter that isn't whole is a
/// [`Factor`](super::Factor).
///
/// ```
/// use magellan::bar::{Bar, Symbol};
/// use magellan::calendar::Session;
/// use magellan::indicator::{Field, Indicator, OwnIndicator};
///
/// /// How many closes in a row were above the one before; negative below it.
/// #[derive(Clone, Debug, PartialEq, Eq, Hash)]
/// struct Streak;
///
/// impl OwnIndicator for Streak {
///     const NAME: &'static str = "streak";
///     type State = (f64, f64);
///
///     fn start(&self, _: Symbol) -> (f64, f64) {
///         (f64::NAN, 0.0)
///     }
///
///     fn next(&self, (before, streak): &mut (f64, f64), bar: &Bar, _: &Session) -> f64 {
///         *streak = match bar.close - *before {
///             change if change > 0.0 => streak.max(0.0) + 1.0,
///             change if change < 0.0 => streak.min(0.0) - 1.0,
///             _ => 0.0,
///         };
///         *before = bar.close;
///         *streak
///     }
/// }
///
/// let streak = Indicator::own(Streak);
/// assert_eq!(streak, Indicator::own(Streak));
/// let relative_strength_of_streaks = Indicator::rsi(2).on(streak);
/// ```
pub trait OwnIndicator: fmt::Debug + Clone + Eq + Hash + Send + Sync + 'static {
    /// Name of its column in outputs.
    const NAME: &'static str;
    /// What it remembers from bar to bar.
    type State: Send;

    /// Before the first bar of a symbol.
    fn start(&self, symbol: Symbol) -> Self::State;

    /// The value at the close of `bar`; NaN while there are too few. It must depend on parameters and bars alone.
    fn next(&self, state: &mut Self::State, bar: &Bar, session: &Session) -> f64;

    /// How many bars it looks at: a strategy's warm-up follows from it.
    fn period(&self) -> usize {
        1
    }

    /// [`Memory::Session`] if each session's values depend on its own bars alone: then a replay may begin with any
    /// session.
    fn memory(&self) -> Memory {
        Memory::Continuous
    }
}

/// An indicator of any type.
trait Erased: fmt::Debug + Send + Sync {
    fn start(&self, symbol: Symbol) -> Rolling;
    fn name(&self) -> &'static str;
    fn period(&self) -> usize;
    fn memory(&self) -> Memory;
    fn as_any(&self) -> &dyn Any;
}

impl<T: OwnIndicator> Erased for T {
    fn start(&self, symbol: Symbol) -> Rolling {
        Rolling::new(Stream { own: self.clone(), state: OwnIndicator::start(self, symbol) })
    }

    fn name(&self) -> &'static str {
        T::NAME
    }

    fn period(&self) -> usize {
        OwnIndicator::period(self)
    }

    fn memory(&self) -> Memory {
        OwnIndicator::memory(self)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

struct Stream<T: OwnIndicator> {
    own: T,
    state: T::State,
}

impl<T: OwnIndicator> Fold for Stream<T> {
    fn next(&mut self, bar: &Bar, session: &Session) -> f64 {
        self.own.next(&mut self.state, bar, session)
    }
}

/// An indicator that a user wrote, by its type and parameters. Each distinct one is kept for as long as the program runs.
#[derive(Clone, Copy)]
pub struct Own(&'static Kept);

/// One with an address of its own, whatever its size.
struct Kept(Box<dyn Erased>);

/// Those that were named so far, by a hash of type and parameters.
type Known = HashMap<u64, Vec<&'static Kept>>;

impl Own {
    pub(super) fn new<T: OwnIndicator>(own: T) -> Self {
        static KNOWN: LazyLock<Mutex<Known>> = LazyLock::new(Mutex::default);
        let key = BuildHasherDefault::<DefaultHasher>::default().hash_one((TypeId::of::<T>(), &own));
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        let alike = known.entry(key).or_default();
        let found = alike.iter().find(|kept| kept.0.as_any().downcast_ref() == Some(&own));
        Self(found.copied().unwrap_or_else(|| {
            let kept: &'static Kept = Box::leak(Box::new(Kept(Box::new(own))));
            alike.push(kept);
            kept
        }))
    }

    pub(super) fn start(self, symbol: Symbol) -> Rolling {
        self.0.0.start(symbol)
    }

    pub(super) fn name(self) -> &'static str {
        self.0.0.name()
    }

    pub(super) fn period(self) -> usize {
        self.0.0.period()
    }

    pub(super) fn memory(self) -> Memory {
        self.0.0.memory()
    }
}

impl PartialEq for Own {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.0, other.0)
    }
}

impl Eq for Own {}

impl Hash for Own {
    fn hash<H: Hasher>(&self, state: &mut H) {
        std::ptr::hash(self.0, state);
    }
}

impl fmt::Debug for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.0.fmt(f)
    }
}
