//! Lag: the value some bars ago.

use super::field::Field;
use super::fold::Fold;
use super::window::Window;
use crate::bar::Bar;
use crate::calendar::Session;

pub(super) struct Lag {
    field: Field,
    window: Window,
}

impl Lag {
    pub(super) fn new(field: Field, bars: u32) -> Self {
        Self { field, window: Window::new(bars + 1) }
    }
}

impl Fold for Lag {
    fn next(&mut self, bar: &Bar, _: &Session) -> f64 {
        self.window.push(self.field.value(bar));
        self.window.full().map_or(f64::NAN, |values| values[0])
    }
}
