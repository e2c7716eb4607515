//! A computation inside another one: an indicator of an indicator.

use std::fmt;
use std::hash::{Hash, Hasher};

use super::fold::Rolling;
use super::memory::Memory;
use crate::bar::{Symbol, Timeframe};
use crate::error::Result;

/// What can be asked of an indicator by another one that is built on it.
pub(super) trait Computation: fmt::Debug + Send + Sync {
    fn start(&self, symbol: Symbol) -> Rolling;
    fn name(&self) -> &'static str;
    fn memory(&self) -> Memory;
    fn sees_sessions(&self) -> bool;
    fn reads_other_data(&self) -> bool;
    fn period(&self, width: Timeframe) -> usize;
    fn check(&self, width: Timeframe) -> Result<()>;
}

/// An indicator that another one takes its values from. Each distinct one is kept once for as long as the program runs,
/// so that a reference to it is all there is to copy, compare and hash.
#[derive(Clone, Copy)]
pub struct Inner(&'static Kept);

/// A computation with an address of its own.
pub(super) struct Kept(Box<dyn Computation>);

impl Kept {
    pub(super) fn new(computation: impl Computation + 'static) -> Self {
        Self(Box::new(computation))
    }
}

impl Inner {
    pub(super) const fn new(kept: &'static Kept) -> Self {
        Self(kept)
    }

    pub(super) fn get(self) -> &'static dyn Computation {
        &*self.0.0
    }
}

impl PartialEq for Inner {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.0, other.0)
    }
}

impl Eq for Inner {}

impl Hash for Inner {
    fn hash<H: Hasher>(&self, state: &mut H) {
        std::ptr::hash(self.0, state);
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.0.fmt(f)
    }
}
