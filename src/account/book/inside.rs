//! Inside a bar stops and limits are met: what hurts happens if it happens on either path through the bar, what helps
//! only if it happens on both.

use super::{BarAt, Book, When};
use crate::account::cash::Account;
use crate::account::fill::{self, Met, Triggered};
use crate::account::working::{Working, WorkingKind};
use crate::order::Reason;

/// Something that can be met inside a bar.
#[derive(Clone, Copy)]
enum Candidate {
    /// The stop of a lot.
    Stop(usize),
    /// A target of a lot.
    Target(usize, usize, Met),
    /// A working order.
    Order(usize, Triggered),
}

impl Book {
    /// Inside the bar: of all that can be met the first is executed, then all are looked at again.
    pub fn inside(&mut self, account: &mut Account, at: &BarAt<'_>) {
        while let Some(candidate) = self.first_candidate(account, at) {
            match candidate {
                Candidate::Stop(lot) => self.hit_stop(account, at, lot),
                Candidate::Target(lot, target, met) => self.touch_target(account, at, lot, target, met),
                Candidate::Order(i, Triggered::Fills(met)) => {
                    self.execute(account, at, i, met, When::inside(&at.bar, met));
                }
                Candidate::Order(i, Triggered::Rests) => {
                    // At the open already the price was beyond the stop: the limit works for the whole bar.
                    let for_the_whole_bar = self.triggered_at_open(i, at);
                    let order = &mut self.orders[i];
                    (order.triggered, order.tried) = (true, !for_the_whole_bar);
                }
            }
        }
        self.sweep();
        self.watch(at.session.close);
    }

    fn triggered_at_open(&self, i: usize, at: &BarAt<'_>) -> bool {
        let order = &self.orders[i];
        self.desk.began_inside(&at.bar).is_none() && order.side.reaches(at.bar.open, order.stop)
    }

    fn first_candidate(&self, account: &Account, at: &BarAt<'_>) -> Option<Candidate> {
        let strict = account.conditions().strict_limits;
        if self.orders.is_empty() && self.desk.lots().iter().all(|lot| lot.exits.is_none()) {
            return None;
        }
        let stop = self.nearest_stop(at, strict);
        if let Some(stop) = stop {
            return Some(stop);
        }
        let of_orders = |against: bool, limits: bool| {
            (0..self.orders.len()).find_map(|i| {
                let order = &self.orders[i];
                (order.is_limit() == limits && self.is_against(order) == against)
                    .then(|| self.met_inside(order, at, strict))
                    .flatten()
                    .map(|met| Candidate::Order(i, met))
            })
        };
        of_orders(false, false)
            .or_else(|| of_orders(false, true))
            .or_else(|| self.first_target(at, strict))
            .or_else(|| of_orders(true, true))
    }

    fn is_against(&self, order: &Working) -> bool {
        order.side.sign() * self.desk.position() < 0
    }

    /// The stop that hurts, of a lot or an order, nearest to the market.
    fn nearest_stop(&self, at: &BarAt<'_>, strict: bool) -> Option<Candidate> {
        let closing = self.desk.closing_side()?;
        let mut first: Option<(f64, Candidate)> = None;
        let mut offer = |level: f64, candidate: Candidate| {
            // Of equal levels the first offered stays: lots before orders, each by age.
            if first.is_none_or(|(nearest, _)| closing.worse(nearest, level) == nearest && nearest != level) {
                first = Some((level, candidate));
            }
        };
        for (i, lot) in self.desk.lots().iter().enumerate() {
            let Some(stop) = lot.exits.as_ref().and_then(|exits| exits.stop) else { continue };
            if lot.lives_in(&at.bar) && closing.reaches(closing.worst_of(&at.bar), stop) {
                offer(stop, Candidate::Stop(i));
            }
        }
        for (i, order) in self.orders.iter().enumerate() {
            if order.waits_for_stop()
                && self.is_against(order)
                && let Some(met) = self.met_inside(order, at, strict)
            {
                offer(order.stop, Candidate::Order(i, met));
            }
        }
        first.map(|(_, candidate)| candidate)
    }

    /// What an order meets inside the bar.
    fn met_inside(&self, order: &Working, at: &BarAt<'_>, strict: bool) -> Option<Triggered> {
        if order.ended || order.tried || order.wish(self.desk.position()).is_none() {
            return None;
        }
        let (bar, side) = (&at.bar, order.side);
        // A reduce-only order can't have met a price before there was anything to reduce.
        let began = if order.reduce_only { self.desk.began_inside(bar) } else { None };
        match order.kind {
            WorkingKind::Market | WorkingKind::MarketOnClose => None,
            WorkingKind::Stop | WorkingKind::TrailingStop if order.triggered => None,
            WorkingKind::Stop | WorkingKind::TrailingStop => {
                let from = began.map_or(bar.open, |(from, _)| from);
                fill::stop_inside(side, order.stop, bar, from).map(Triggered::Fills)
            }
            WorkingKind::StopLimit if !order.triggered => {
                // What happened between the stop and the limit may have been before there was anything to reduce.
                let reached = side.reaches(if began.is_some() { side.worst_of(bar) } else { bar.open }, order.stop);
                if order.reduce_only && reached {
                    return Some(Triggered::Rests);
                }
                fill::stop_limit_inside(side, order.stop, order.limit, bar, strict)
            }
            WorkingKind::Limit | WorkingKind::StopLimit => {
                let met = match (order.reduce_only, began) {
                    (false, _) => fill::limit_inside(side, order.limit, bar, strict),
                    (true, None) => fill::limit_since(side, order.limit, bar.open, side.best_of(bar), strict),
                    (true, Some((from, at_limit))) => {
                        let reach = if at_limit { bar.close } else { side.best_of(bar) };
                        fill::limit_since(side, order.limit, from, reach, strict)
                    }
                };
                met.map(Triggered::Fills)
            }
        }
    }

    fn first_target(&self, at: &BarAt<'_>, strict: bool) -> Option<Candidate> {
        let closing = self.desk.closing_side()?;
        for (i, lot) in self.desk.lots().iter().enumerate() {
            let Some(exits) = lot.exits.as_ref().filter(|_| lot.lives_in(&at.bar)) else { continue };
            for (n, leg) in exits.targets.iter().enumerate() {
                let Some(leg) = leg.filter(|leg| leg.met_in != at.bar.start && (!leg.touched || leg.left > 0)) else {
                    continue;
                };
                let (from, reach) = (lot.from(&at.bar), lot.reach(&at.bar));
                if let Some(met) = fill::limit_since(closing, leg.level, from, reach, strict) {
                    return Some(Candidate::Target(i, n, met));
                }
            }
        }
        None
    }

    fn hit_stop(&mut self, account: &mut Account, at: &BarAt<'_>, lot: usize) {
        let of = self.desk.lot_mut(lot);
        let closing = of.side.opposite();
        let stop = of.exits.as_ref().and_then(|exits| exits.stop).unwrap_or(f64::NAN);
        let met = Met::taking(closing.worse(stop, of.from(&at.bar)));
        of.leave(Reason::Stop);
        let left = of.left;
        self.exit_lot(account, at, lot, left, met, Reason::Stop, When::open(&at.bar));
    }

    fn touch_target(&mut self, account: &mut Account, at: &BarAt<'_>, lot: usize, target: usize, met: Met) {
        let units = self.desk.lot_mut(lot).touch(target, at.bar.start);
        let reason = Reason::Target(target as u8 + 1);
        self.exit_lot(account, at, lot, units, met, reason, When::open(&at.bar));
    }
}
