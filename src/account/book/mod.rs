//! One symbol at a simulated venue: its working orders, and what each bar does to them and to the desk's lots.
//!
//! A bar has four moments. It opens (`open.rs`), inside it stops and limits are met (`inside.rs`), it closes (`close.rs`),
//! and then the strategy may order (`../hear.rs`). Between sessions shares split and pay (`actions.rs`). Prices are those of
//! `../fill.rs`, brackets those of `../desk.rs`.

mod actions;
mod at_broker;
mod close;
mod execute;
mod inside;
mod open;
mod returns;

use super::cash::Account;
use super::desk::{Band, Desk, Lot, Moment};
use super::fill::{How, Met};
use super::record::{By, End, Outcome, Part};
use super::working::{Amount, Working};
use crate::bar::{Bar, Bars, Nanos, Symbol};
use crate::calendar::Session;
use crate::costs::Costs;
use crate::order::{Name, Reason, Side};
use crate::strategy::{Position, WorkingOrder};
use returns::Returns;

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
    /// Of a book whose orders work at a broker: those that ended here and may still be executed there.
    past: Option<Vec<Working>>,
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
            How::Resting => Moment::AtLimit { from },
            How::Taking | How::TakingWithin(_) => Moment::Inside { from },
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
            past: None,
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
    pub fn try_pass(&mut self, bars: &Bars<'_>, i: usize, last_of_session: bool) -> bool {
        self.exited_this_bar = false;
        if !self.busy {
            return true;
        }
        let passes = self.band.holds(bars.low_at(i), bars.high_at(i), bars.end_at(i), last_of_session);
        if passes && self.band.counts() {
            self.pass(1);
        }
        passes
    }

    /// So many bars pass, which orders count.
    fn pass(&mut self, bars: u32) {
        self.band.pass(bars);
        self.orders.iter_mut().for_each(|order| order.pass(bars));
    }

    /// Passes over the bars from `from` on that can change nothing but equity, of the bars of a session; the first one
    /// that isn't passed over, which is `last` or before it.
    pub fn pass_over(&mut self, bars: &Bars<'_>, from: usize, last: usize) -> usize {
        if !self.busy {
            return last;
        }
        let bar = self.band.first_outside(bars, from).min(last);
        if self.band.counts() {
            self.pass((bar - from) as u32);
        }
        bar
    }

    /// Open and inside of a bar, for a symbol alone.
    #[inline(never)]
    pub fn open_bar(&mut self, account: &mut Account, at: &BarAt<'_>) {
        self.begin_bar(account, at);
        self.open_reductions(account, at);
        self.open_rest(account, at);
        self.inside(account, at);
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
        if let Some(past) = &mut self.past {
            past.extend(self.orders.iter().filter(|order| order.ended).cloned());
        }
        self.orders.retain(|order| !order.ended);
    }

    /// Works out which bars can pass without a look.
    fn watch(&mut self, session_close: Nanos) {
        self.busy = !self.orders.is_empty() || self.desk.lots().iter().any(|lot| lot.exits.is_some());
        self.band = self.orders.iter().fold(self.desk.quiet_band(session_close), |band, order| order.narrow(band));
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
        let ended = self.orders.remove(i);
        if let Some(past) = &mut self.past {
            past.push(ended);
        }
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

    /// Remembers a close, if the account's impact depends on the last returns.
    #[inline(always)]
    pub fn see_close(&mut self, account: &Account, close: f64) {
        if account.conditions().impact != 0.0 {
            self.returns.get_or_insert_default().see(close);
        }
    }
}
