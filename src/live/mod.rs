//! What a live service must never get wrong, without a clock, a file or a network: which bars are decided on
//! ([`barrier`]), what shall work at the broker ([`desk`]) and at which prices it may ([`tick`]), where an order stands
//! ([`lifecycle`]), what is remembered ([`record`], [`journal`]), and whether a replay of it decides the same ([`parity`]).

pub mod barrier;
pub mod desk;
pub mod journal;
pub mod lifecycle;
pub mod parity;
pub mod record;
pub mod tick;

#[cfg(test)]
mod desk_tests;
