//! One symbol at a simulated venue: its working orders, and what each bar does to them and to the desk's lots.
//!
//! A bar has four moments. It opens: first what only reduces a position trades, then the rest. Inside it stops and
//! limits are met: what hurts happens if it happens on either path through the bar, what helps only if it happens on
//! both. At its close auctions are held, time limits apply, trails follow. Then the strategy may order. Prices are
//! those of `fill.rs`, brackets those of `desk.rs`.

use std::collections::VecDeque;

use super::cash::Account;
use super::commission::Commission;
use super::desk::{Band, Began, Desk, Due, Exits, Lot, Moment};
use super::fill::{self, Met, Triggered};
use super::record::{By, End, Execution, Fill, Outcome, Part, Place};
use super::working::{Amount, Wish, Working, WorkingKind};
use crate::bar::{Bar, Bars, Nanos, Symbol};
use crate::calendar::Session;
use crate::costs::Costs;
use crate::order::{Name, Reason, Side};
use crate::strategy::{Position, WorkingOrder};

/// One symbol's working orders and lots.
#[derive(Clone, Debug)]
pub struct Book {
    symbol: Symbol,
    /// Its place among the account's symbols, alphabetically.
    index: usize,
    desk: Desk,
    /// Oldest first.
    orders: Vec<Working>,
    /// Whether the next bar can change anything but equity: an order works, or a bracket is in force.
    busy: bool,
    /// The prices within which a bar changes nothing although a bracket is in force.
    band: Band,
    exited_this_bar: bool,
    /// Units of this bar's volume that fills may still take.
    volume_left: i64,
    /// The price at which the position is worth what the account was told.
    mark: f64,
    /// Of the last closes, if impact depends on them.
    returns: Option<Box<Returns>>,
}

/// A bar with what matters about its place.
#[derive(Clone, Copy, Debug)]
pub struct BarAt<'a> {
    /// The bar.
    pub bar: Bar,
    /// Its session.
    pub session: &'a Session,
    /// Whether it is the symbol's last of the session.
    pub last_of_session: bool,
    /// What trading costs on that day.
    pub costs: Costs,
}

/// When an execution happens.
#[derive(Clone, Copy)]
struct When {
    moment: Moment,
    part: Part,
    time: Nanos,
}

/// At what price, at what fee a share, why, for whom and when shares leave a lot.
#[derive(Clone, Copy)]
struct Exit {
    price: f64,
    fee: f64,
    reason: Reason,
    by: By,
    when: When,
}

impl When {
    fn open(bar: &Bar) -> Self {
        Self { moment: Moment::Open, part: Part::Bar, time: bar.start }
    }

    /// Inside the bar, for an order that fills at this price.
    fn inside(bar: &Bar, met: Met) -> Self {
        let from = met.reference;
        let moment = match met.how {
            fill::How::Resting => Moment::AtLimit { from },
            fill::How::Taking | fill::How::TakingWithin(_) => Moment::Inside { from },
        };
        Self { moment, part: Part::Bar, time: bar.start }
    }

    fn close(bar: &Bar) -> Self {
        Self { moment: Moment::Close, part: Part::Close, time: bar.end }
    }
}

/// What became of a strategy's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// It works from the next bar on: so many units, as far as they are known.
    Ordered(u64),
    /// It is refused, for this reason.
    Refused(&'static str),
    /// It changes nothing: there is a position already, or none to close, or no order of that name, or the size is
    /// less than a unit.
    Nothing,
}

/// An order that a change or a cancellation speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handle {
    /// By its number.
    Id(u32),
    /// By its name: the newest.
    Name(Name),
}

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
    /// An empty book of the account's symbol number `index`, alphabetically.
    pub fn new(symbol: Symbol, index: usize) -> Self {
        Self {
            symbol,
            index,
            desk: Desk::default(),
            orders: Vec::new(),
            busy: false,
            band: Band::WIDE,
            exited_this_bar: false,
            volume_left: i64::MAX,
            mark: f64::NAN,
            returns: None,
        }
    }

    /// Whether anything is held.
    #[inline(always)]
    pub fn is_open(&self) -> bool {
        self.desk.position() != 0
    }

    /// Whether nothing is held and nothing ordered.
    #[inline(always)]
    pub fn is_idle(&self) -> bool {
        !self.is_open() && self.orders.is_empty()
    }

    /// Units held; negative is short.
    #[inline(always)]
    pub fn units(&self) -> i64 {
        self.desk.position()
    }

    /// The position as the strategy sees it.
    #[inline(always)]
    pub fn position(&self) -> Position {
        match self.desk.lots() {
            [] => Position { exited_this_bar: self.exited_this_bar, ..Position::default() },
            lots => self.of_lots(lots),
        }
    }

    fn of_lots(&self, lots: &[Lot]) -> Position {
        let entry_price = match lots {
            [only] => only.price,
            _ => {
                let dollars = lots.iter().fold(0.0, |sum, lot| sum + lot.left as f64 * lot.price);
                dollars / self.desk.position().abs() as f64
            }
        };
        let shares = self.desk.position();
        Position { shares, entry_price, entered: lots[0].entered, exited_this_bar: self.exited_this_bar }
    }

    /// Unrealised profit at `price`, dollars: of each lot `d * q * (price - entry) - q * entry fee`.
    #[inline(always)]
    pub fn unrealised(&self, account: &Account, price: f64) -> f64 {
        let of = |lot: &Lot| {
            let shares = account.unit().shares(lot.left);
            shares * (price - lot.price) * lot.side.sign() as f64 - shares * lot.fee
        };
        match self.desk.lots() {
            [] => 0.0,
            [only] => of(only),
            lots => lots.iter().fold(0.0, |sum, lot| sum + of(lot)),
        }
    }

    /// What the position is worth at a price, dollars; negative is short.
    pub fn worth(&self, account: &Account, price: f64) -> f64 {
        match self.desk.position() {
            0 => 0.0,
            units => account.unit().shares(units) * price,
        }
    }

    /// Values the position at a price.
    pub fn set_mark(&mut self, account: &mut Account, price: f64) {
        self.mark = price;
        self.tell_standing(account);
    }

    fn tell_standing(&self, account: &mut Account) {
        let (unrealised, worth) = (self.unrealised(account, self.mark), self.worth(account, self.mark));
        account.set_standing(self.index, unrealised, worth.abs());
    }

    /// Whether the next bar can't change anything but equity, whatever its prices.
    #[inline(always)]
    pub fn is_quiet(&self) -> bool {
        !self.busy
    }

    /// Passes over bar `i`, if its prices and its time touch nothing that works; whether it did.
    #[inline(always)]
    pub fn passes(&mut self, bars: &Bars<'_>, i: usize, last_of_session: bool) -> bool {
        self.exited_this_bar = false;
        if !self.busy {
            return true;
        }
        self.band.holds(bars.low_at(i), bars.high_at(i), bars.end_at(i), last_of_session)
    }

    /// Open and inside of a bar, for a symbol alone.
    #[inline(never)]
    pub fn open_bar(&mut self, account: &mut Account, at: &BarAt<'_>) {
        self.begin_bar(account, at);
        self.open_reductions(account, at);
        self.open_rest(account, at);
        self.inside(account, at);
    }

    /// A bar begins: orders count it, those that come too late for today expire, and the position is worth its open.
    pub fn begin_bar(&mut self, account: &mut Account, at: &BarAt<'_>) {
        self.exited_this_bar = false;
        self.volume_left = match account.conditions().participation {
            None => i64::MAX,
            Some(fraction) => account.unit().floor(fraction * at.bar.volume),
        };
        if account.is_margin() {
            self.set_mark(account, at.bar.open);
        }
        for i in 0..self.orders.len() {
            if self.orders[i].begin_bar(at.bar.start, at.session.date, at.session.close) {
                self.end_order(account, i, End::FlatBeforeClose);
            }
        }
    }

    /// The open, first part: lots that leave, then orders that only reduce the position.
    pub fn open_reductions(&mut self, account: &mut Account, at: &BarAt<'_>) {
        if !self.is_open() {
            return;
        }
        if self.desk.is_leaving() {
            self.close_leaving_lots(account, at);
        }
        for i in 0..self.orders.len() {
            let order = &self.orders[i];
            if !order.ended && order.only_reduces(self.desk.position()) {
                self.try_at_open(account, at, i);
            }
        }
    }

    /// The open, second part: all other orders.
    pub fn open_rest(&mut self, account: &mut Account, at: &BarAt<'_>) {
        for i in 0..self.orders.len() {
            let order = &self.orders[i];
            if order.ended || order.tried {
                continue;
            }
            let Some(_) = order.wish(self.desk.position()) else {
                self.end_without_wish(account, i, WorkingKind::Market);
                continue;
            };
            self.try_at_open(account, at, i);
        }
        self.sweep();
    }

    /// An order without a price has nothing to trade: its target is reached, or there is nothing to reduce.
    fn end_without_wish(&mut self, account: &mut Account, i: usize, kind: WorkingKind) {
        let order = &self.orders[i];
        if order.kind == kind {
            let reached = matches!(order.amount, Amount::Target(_));
            self.end_order(account, i, if reached { End::AtTarget } else { End::NoPosition });
        }
    }

    fn try_at_open(&mut self, account: &mut Account, at: &BarAt<'_>, i: usize) {
        let strict = account.conditions().strict_limits;
        match self.orders[i].at_open(at.bar.open, strict) {
            Some(Triggered::Fills(met)) => self.execute(account, at, i, met, When::open(&at.bar)),
            Some(Triggered::Rests) => self.orders[i].triggered = true,
            None => {}
        }
    }

    fn close_leaving_lots(&mut self, account: &mut Account, at: &BarAt<'_>) {
        let mut lot = 0;
        while lot < self.desk.lots().len() {
            let held = self.desk.lots().len();
            if let Some(reason) = self.desk.lots()[lot].leaving {
                let left = self.desk.lots()[lot].left;
                self.exit_lot(account, at, lot, left, Met::taking(at.bar.open), reason, When::open(&at.bar));
            }
            lot += usize::from(self.desk.lots().len() == held);
        }
    }

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

    /// Closes units of one lot as an order of its own, as far as the volume goes.
    #[expect(clippy::too_many_arguments, reason = "what is closed, at what price, why and when")]
    fn exit_lot(
        &mut self,
        account: &mut Account,
        at: &BarAt<'_>,
        lot: usize,
        units: i64,
        met: Met,
        reason: Reason,
        when: When,
    ) {
        let units = units.min(self.volume_left);
        if units == 0 {
            return;
        }
        let of = &self.desk.lots()[lot];
        let (side, order) = (of.side.opposite(), of.order);
        let impact = if when.part == Part::Close { 0.0 } else { self.impact(account, at, units) };
        let price = met.price(side, &at.costs, impact);
        let shares = account.unit().shares(units);
        let paid = match reason {
            Reason::Target(n) => self.desk.lot_mut(lot).leg_paid(n),
            _ => Some(&mut self.desk.lot_mut(lot).leaving_paid),
        };
        let fee = paid
            .map_or_else(|| Commission::default().of(shares, price, &at.costs), |p| p.pay(shares, price, &at.costs));
        let by = By::Bracket(order);
        if when.part != Part::Close {
            self.volume_left -= units;
        }
        if let Reason::Target(n) = reason {
            self.desk.lot_mut(lot).leg_closed(n, units);
        }
        self.close_leg(account, at, lot, units, &Exit { price, fee: fee.a_share, reason, by, when });
        self.record(account, by, side, shares, price, fee.total, met.reference, false, reason, when.time);
        self.position_may_have_ended(account, None);
        if account.is_margin() {
            self.tell_standing(account);
        }
    }

    /// Books the close of units of a lot.
    fn close_leg(&mut self, account: &mut Account, at: &BarAt<'_>, lot: usize, units: i64, exit: &Exit) {
        self.book_leg(account, at, lot, account.unit().shares(units), exit);
        if let Some(ended) = self.desk.close(lot, units) {
            account.closed_trade(ended.profit);
        }
        self.exited_this_bar = true;
    }

    /// Books what leaving shares of a lot brought.
    fn book_leg(&mut self, account: &mut Account, at: &BarAt<'_>, lot: usize, shares: f64, exit: &Exit) {
        let Exit { price, fee, reason, by, when } = *exit;
        let of = self.desk.lot_mut(lot);
        let fees = shares * (of.fee + fee);
        let profit = shares * (price - of.price) * of.side.sign() as f64 - fees;
        of.profit += profit;
        account.closed_leg(Fill {
            trade: of.trade,
            symbol: self.symbol,
            side: of.side,
            entered: of.entered,
            entry_price: of.price,
            shares,
            exited: when.time,
            exit_price: price,
            reason,
            profit,
            fees,
            by,
            entry_order: of.order,
            place: Place { bar: at.bar.start, part: when.part },
            entry_place: of.place(),
        });
    }

    #[expect(clippy::too_many_arguments, reason = "the columns of an execution")]
    #[inline(always)]
    fn record(
        &self,
        account: &mut Account,
        by: By,
        side: Side,
        shares: f64,
        price: f64,
        fee: f64,
        reference: f64,
        opens: bool,
        reason: Reason,
        time: Nanos,
    ) {
        let slippage = shares * (price - reference).abs();
        let position = account.unit().shares(self.desk.position());
        let symbol = self.symbol;
        account.executed(&Execution { time, symbol, by, side, shares, price, fee, slippage, opens, reason, position });
    }

    /// When a position has ended, nothing is left to reduce. The order that ended it, if all of it is filled, is not
    /// cancelled.
    fn position_may_have_ended(&mut self, account: &mut Account, by: Option<usize>) {
        if self.desk.position() != 0 {
            return;
        }
        account.position_ended();
        for i in 0..self.orders.len() {
            let order = &self.orders[i];
            let is_done = by == Some(i) && order.is_complete(0);
            if order.reduce_only && !order.ended && !is_done {
                self.end_order(account, i, End::Flat);
            }
        }
    }

    /// An order meets a price: it closes what is against it, opens the rest, and pays.
    fn execute(&mut self, account: &mut Account, at: &BarAt<'_>, i: usize, met: Met, when: When) {
        let position = self.desk.position();
        let order = &mut self.orders[i];
        order.tried = true;
        order.triggered |= order.waits_for_stop();
        let Some(Wish { side, units }) = order.wish(position) else { return };
        let units = units.min(self.volume_left);
        if units == 0 {
            return;
        }
        let price = met.price(side, &at.costs, self.impact(account, at, units));
        let closing = match side.sign() * position < 0 {
            true => units.min(position.abs()),
            false => 0,
        };
        if closing > 0 {
            self.close_oldest(account, at, i, closing, price, met.reference, when);
        }
        let (mut opened, mut refused) = (units - closing, None);
        if opened > 0 {
            if account.is_margin() {
                self.tell_standing(account);
            }
            if let Err((end, most)) = account.affords(side, opened, price, self.orders[i].paid, &at.costs) {
                opened = most;
                refused = Some(if most > 0 { End::Shrunk } else { end });
            }
        }
        if opened > 0 {
            self.open_lot(account, at, i, side, opened, price, met.reference, when);
        }
        if account.is_margin() {
            self.tell_standing(account);
        }
        self.volume_left -= closing + opened;
        if let Some(end) = refused {
            self.end_order(account, i, end);
        } else if self.orders[i].is_complete(self.desk.position()) {
            self.end_order(account, i, End::Filled);
        }
        if closing + opened > 0 {
            self.cancel_others(account, i);
        }
    }

    /// Closes units of the oldest lots for an order.
    #[expect(clippy::too_many_arguments, reason = "what is closed, at what price, for whom and when")]
    fn close_oldest(
        &mut self,
        account: &mut Account,
        at: &BarAt<'_>,
        i: usize,
        units: i64,
        price: f64,
        reference: f64,
        when: When,
    ) {
        let shares = account.unit().shares(units);
        let order = &mut self.orders[i];
        let fee = order.paid.pay(shares, price, &at.costs);
        let (by, reason) = (By::Order(order.id), order.reason);
        let side = order.fill(self.desk.position(), units, shares * price);
        let exit = Exit { price, fee: fee.a_share, reason, by, when };
        let mut rest = units;
        while rest > 0 {
            let of_lot = rest.min(self.desk.lots()[0].left);
            self.close_leg(account, at, 0, of_lot, &exit);
            rest -= of_lot;
        }
        self.record(account, by, side, shares, price, fee.total, reference, false, reason, when.time);
        self.position_may_have_ended(account, Some(i));
    }

    #[expect(clippy::too_many_arguments, reason = "what is opened, at what price, for whom and when")]
    fn open_lot(
        &mut self,
        account: &mut Account,
        at: &BarAt<'_>,
        i: usize,
        side: Side,
        units: i64,
        price: f64,
        reference: f64,
        when: When,
    ) {
        let unit = account.unit();
        let shares = unit.shares(units);
        if !self.is_open() {
            account.position_began();
        }
        let order = &mut self.orders[i];
        let fee = order.paid.pay(shares, price, &at.costs);
        let exits = order.bracket.as_deref().and_then(|bracket| Exits::of(bracket, side, units, price, unit));
        if order.is_entry {
            order.is_entry = false;
            account.entry_taken();
            account.entry_filled();
        }
        order.fill(self.desk.position(), units, shares * price);
        let (id, name, reason) = (order.id, order.name, order.reason);
        self.desk.open(Lot {
            trade: account.opened_lot(shares * price),
            order: id,
            name,
            side,
            units,
            left: units,
            price,
            fee: fee.a_share,
            entered: when.time,
            profit: 0.0,
            began: Began { bar: at.bar.start, moment: when.moment },
            leaving: None,
            leaving_paid: Commission::default(),
            exits,
        });
        self.record(account, By::Order(id), side, shares, price, fee.total, reference, true, reason, when.time);
    }

    /// The first fill of an order ends the others of its group.
    fn cancel_others(&mut self, account: &mut Account, i: usize) {
        let Some(group) = self.orders[i].oco else { return };
        for other in 0..self.orders.len() {
            if other != i && !self.orders[other].ended && self.orders[other].oco == Some(group) {
                self.end_order(account, other, End::Oco);
            }
        }
    }

    fn end_order(&mut self, account: &mut Account, i: usize, end: End) {
        let order = &mut self.orders[i];
        order.ended = true;
        if order.is_entry {
            order.is_entry = false;
            account.entry_taken();
        }
        let unit = account.unit();
        let shares = match order.amount {
            Amount::Units { total, .. } => Some(unit.shares(total)),
            Amount::Target(target) => Some(unit.shares(target)),
            Amount::Whole => None,
        };
        let (filled, amount) = (unit.shares(order.filled), order.dollars);
        account.order_ended(order.id, Outcome { shares, filled, amount, end });
    }

    /// Forgets the orders that are at their end.
    #[inline(always)]
    fn sweep(&mut self) {
        self.orders.retain(|order| !order.ended);
    }

    /// Works out which bars can pass without a look.
    fn watch(&mut self, session_close: Nanos) {
        self.busy = !self.orders.is_empty() || self.desk.lots().iter().any(|lot| lot.exits.is_some());
        self.band = self.orders.iter().fold(self.desk.quiet_band(session_close), |band, order| order.narrow(band));
    }

    /// Whether an order waits for this bar's closing auction.
    #[inline(always)]
    pub fn has_auction_orders(&self) -> bool {
        self.orders.iter().any(|order| order.kind == WorkingKind::MarketOnClose)
    }

    fn auction(&mut self, account: &mut Account, at: &BarAt<'_>, reductions: bool) {
        if !at.last_of_session {
            return;
        }
        let (met, when) = (Met::taking(at.bar.close), When::close(&at.bar));
        for i in 0..self.orders.len() {
            let order = &self.orders[i];
            if order.ended || order.tried || order.kind != WorkingKind::MarketOnClose {
                continue;
            }
            let position = self.desk.position();
            match (reductions, order.wish(position)) {
                (true, _) if !order.only_reduces(position) => {}
                (false, None) => self.end_without_wish(account, i, WorkingKind::MarketOnClose),
                _ => self.execute(account, at, i, met, when),
            }
        }
        if !reductions {
            self.sweep();
        }
    }

    /// The closing auction, first part: orders that only reduce the position.
    pub fn auction_reductions(&mut self, account: &mut Account, at: &BarAt<'_>) {
        self.auction(account, at, true);
    }

    /// The closing auction, second part: all other orders.
    pub fn auction_rest(&mut self, account: &mut Account, at: &BarAt<'_>) {
        self.auction(account, at, false);
    }

    /// The closing auction of a symbol alone.
    pub fn hold_auction(&mut self, account: &mut Account, at: &BarAt<'_>) {
        if self.has_auction_orders() {
            if account.is_margin() {
                self.set_mark(account, at.bar.close);
            }
            self.auction(account, at, true);
            self.auction(account, at, false);
        }
    }

    /// The end of a bar, after its auction: time limits apply, trails follow, orders expire.
    pub fn end_bar(&mut self, account: &mut Account, at: &BarAt<'_>) {
        if self.desk.time(&at.bar, at.session.close, at.last_of_session) == Due::Liquidation {
            self.liquidate_overnight(account, at);
        }
        self.desk.end_bar(&at.bar);
        for i in 0..self.orders.len() {
            self.orders[i].end_bar(&at.bar);
            if self.orders[i].times_out(at.session.date, at.last_of_session) && !self.orders[i].ended {
                self.end_order(account, i, End::TimeInForce);
            }
        }
        self.sweep();
        self.watch(at.session.close);
    }

    fn liquidate_overnight(&mut self, account: &mut Account, at: &BarAt<'_>) {
        self.volume_left = i64::MAX;
        let mut lot = 0;
        while lot < self.desk.lots().len() {
            if !self.desk.lots()[lot].is_flat_overnight() {
                lot += 1;
                continue;
            }
            let of = self.desk.lot_mut(lot);
            of.leave(Reason::SessionEnd);
            let left = of.left;
            self.exit_lot(account, at, lot, left, Met::taking(at.bar.close), Reason::SessionEnd, When::close(&at.bar));
        }
    }

    /// The replay's last bar of this symbol: orders expire, and the position is closed at the bar's close.
    pub fn end_of_data(&mut self, account: &mut Account, at: &BarAt<'_>) {
        self.end_all(account, End::EndOfData);
        let Some(side) = self.desk.closing_side() else { return };
        let when = When::close(&at.bar);
        let price = Met::taking(at.bar.close).price(side, &at.costs, 0.0);
        let shares = account.unit().shares(self.desk.position().abs());
        let fee = Commission::default().of(shares, price, &at.costs);
        let exit = Exit { price, fee: fee.a_share, reason: Reason::EndOfData, by: By::Account, when };
        while let [lot, ..] = self.desk.lots() {
            let left = lot.left;
            self.close_leg(account, at, 0, left, &exit);
        }
        let (close, reason) = (at.bar.close, Reason::EndOfData);
        self.record(account, By::Account, side, shares, price, fee.total, close, false, reason, when.time);
        self.position_may_have_ended(account, None);
        self.watch(at.session.close);
    }

    /// The last bar before a delisting: longs get the close less a haircut (a fraction), shorts cover at the close.
    pub fn delist(&mut self, account: &mut Account, at: &BarAt<'_>, haircut: f64) {
        self.end_all(account, End::EndOfData);
        let Some(side) = self.desk.closing_side() else { return };
        let price = if side == Side::Sell { at.bar.close * (1.0 - haircut) } else { at.bar.close };
        let when = When::close(&at.bar);
        let shares = account.unit().shares(self.desk.position().abs());
        account.paid_out(side.opposite(), shares, price);
        let exit = Exit { price, fee: 0.0, reason: Reason::Delisted, by: By::Account, when };
        while let [lot, ..] = self.desk.lots() {
            let left = lot.left;
            self.close_leg(account, at, 0, left, &exit);
        }
        self.position_may_have_ended(account, None);
        self.watch(at.session.close);
    }

    fn end_all(&mut self, account: &mut Account, end: End) {
        for i in 0..self.orders.len() {
            if !self.orders[i].ended {
                self.end_order(account, i, end);
            }
        }
        self.sweep();
    }

    /// A split of `ratio` new shares for one old, before the bar; what exceeds whole units is paid at `last_close`, a
    /// price of the old share.
    pub fn split(&mut self, account: &mut Account, at: &BarAt<'_>, ratio: f64, last_close: f64) {
        let unit = account.unit();
        let price = last_close / ratio;
        let was_open = self.is_open();
        let mut lot = 0;
        while lot < self.desk.lots().len() {
            let fraction = self.desk.split(lot, unit, ratio);
            self.pay_fraction(account, at, lot, fraction, price);
            if self.desk.lots()[lot].left == 0 {
                let ended = self.desk.remove(lot);
                account.closed_trade(ended.profit);
            } else {
                lot += 1;
            }
        }
        if was_open {
            self.position_may_have_ended(account, None);
        }
        for i in 0..self.orders.len() {
            if !self.orders[i].ended && self.orders[i].split(unit, ratio) {
                self.end_order(account, i, End::Split);
            }
        }
        self.sweep();
        self.mark /= ratio;
        if let Some(last) = self.returns.as_mut().and_then(|returns| returns.last.as_mut()) {
            *last /= ratio;
        }
        self.watch(Nanos::MIN);
    }

    /// Pays what a split left beyond whole units of a lot.
    fn pay_fraction(&mut self, account: &mut Account, at: &BarAt<'_>, lot: usize, shares: f64, price: f64) {
        if shares.abs() < 1e-9 {
            return;
        }
        let when = When { moment: Moment::Open, part: Part::Before, time: at.bar.start };
        let exit = Exit { price, fee: 0.0, reason: Reason::SplitCash, by: By::Account, when };
        self.book_leg(account, at, lot, shares, &exit);
        let side = self.desk.lots()[lot].side;
        let dollars = account.paid_out(side, shares, price);
        account.cash_in_lieu(dollars);
    }

    /// Whether an order works.
    #[inline(always)]
    pub fn has_orders(&self) -> bool {
        !self.orders.is_empty()
    }

    /// Lists the working orders, oldest first.
    pub fn tell_working(&self, working: &mut Vec<WorkingOrder>) {
        working.clear();
        working.extend(self.orders.iter().map(Working::as_seen));
    }

    pub(super) fn orders_mut(&mut self) -> &mut Vec<Working> {
        &mut self.orders
    }

    pub(super) fn closing_side(&self) -> Option<Side> {
        self.desk.closing_side()
    }

    pub(super) fn all_lots_leave(&self) -> bool {
        self.is_open() && self.desk.lots().iter().all(|lot| lot.leaving.is_some())
    }

    /// From now on no bar passes without a look.
    pub(super) fn look_at_every_bar(&mut self) {
        (self.busy, self.band) = (true, Band::NARROW);
    }

    /// Ends working order number `i` of the list.
    pub(super) fn cancel_as(&mut self, account: &mut Account, i: usize, end: End) {
        self.end_order(account, i, end);
        self.orders.remove(i);
    }

    pub(super) fn end_newest(&mut self, account: &mut Account, end: End) {
        self.cancel_as(account, self.orders.len() - 1, end);
    }

    /// Moves the stops of the lots that an order opened; whether there were any.
    pub(super) fn move_stops(&mut self, order: Handle, stop: f64) -> bool {
        let mut moved = false;
        for lot in 0..self.desk.lots().len() {
            let of = self.desk.lot_mut(lot);
            let opened = match order {
                Handle::Id(id) => of.order == id,
                Handle::Name(name) => of.name == Some(name),
            };
            if opened {
                of.move_stop(stop);
                moved = true;
            }
        }
        self.look_at_every_bar();
        moved
    }

    /// A dividend, dollars a share: longs receive it, shorts pay it.
    pub fn dividend(&mut self, account: &mut Account, amount: f64) {
        if self.is_open() {
            account.pay_dividend(account.unit().shares(self.desk.position()) * amount);
        }
    }

    /// How far who takes these units moves the price: `impact * deviation * sqrt(q / volume)`.
    fn impact(&self, account: &Account, at: &BarAt<'_>, units: i64) -> f64 {
        let coefficient = account.conditions().impact;
        if coefficient == 0.0 || at.bar.volume <= 0.0 {
            return 0.0;
        }
        let deviation = self.returns.as_ref().map_or(0.0, |returns| returns.deviation());
        coefficient * deviation * (account.unit().shares(units) / at.bar.volume).sqrt()
    }

    /// Remembers a close, if the account's impact depends on the last returns.
    #[inline(always)]
    pub fn see_close(&mut self, account: &Account, close: f64) {
        if account.conditions().impact != 0.0 {
            self.returns.get_or_insert_default().see(close);
        }
    }
}

/// The last returns from close to close, on today's share basis.
#[derive(Clone, Debug, Default)]
struct Returns {
    last: Option<f64>,
    returns: VecDeque<f64>,
}

impl Returns {
    /// How many count.
    const COUNT: usize = 20;

    fn see(&mut self, close: f64) {
        if let Some(last) = self.last.replace(close) {
            self.returns.push_back(close / last - 1.0);
            if self.returns.len() > Self::COUNT {
                self.returns.pop_front();
            }
        }
    }

    /// Standard deviation with one degree of freedom less; 0 with fewer than 20.
    fn deviation(&self) -> f64 {
        if self.returns.len() < Self::COUNT {
            return 0.0;
        }
        let count = self.returns.len() as f64;
        let mean = self.returns.iter().fold(0.0, |sum, r| sum + r) / count;
        let squares = self.returns.iter().fold(0.0, |sum, r| sum + (r - mean) * (r - mean));
        (squares / (count - 1.0)).sqrt()
    }
}
