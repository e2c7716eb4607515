//! One symbol's pending order and position, and what each bar does to them.
//!
//! A bar has three moments. At its open pending orders fill; inside it the stop, then the targets, are met; at its
//! close the bracket's time limits apply, and then the strategy may order. The prices are those of `fill.rs`.

use super::cash::Account;
use super::fill::{self, Fill};
use crate::bar::{Bar, Bars, Nanos, Symbol};
use crate::calendar::Session;
use crate::order::{Bracket, Entry, Level, Order, Reason};
use crate::risk::Block;
use crate::strategy::Position;

/// One symbol's pending order and position.
#[derive(Clone, Debug)]
pub struct Book {
    symbol: Symbol,
    pending: Pending,
    lot: Option<Lot>,
    /// Of the pending entry or the open lot, if it has one.
    bracket: Option<Bracket>,
    /// Whether the next bar can change anything but equity: an order is pending, or a bracket is in force.
    busy: bool,
    exited_this_bar: bool,
}

/// The order that waits for the next open.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Pending {
    Nothing,
    Buy { shares: u64 },
    Sell(Reason),
}

/// An open position.
#[derive(Clone, Copy, Debug)]
struct Lot {
    trade: u32,
    bought: u64,
    shares: u64,
    entry_price: f64,
    /// Fee of the entry, dollars a share.
    entry_fee: f64,
    entered: Nanos,
    /// Of the sales so far, dollars.
    profit: f64,
    /// Which targets have fired.
    used: [bool; Bracket::TARGETS],
}

/// What became of a strategy's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// It waits for the next open: so many shares.
    Ordered(u64),
    /// A limit forbids the entry.
    Refused(Block),
    /// It changes nothing: there is a position already, or none to sell, an order is pending, the session is too old,
    /// or the size is less than a share.
    Nothing,
}

impl Book {
    /// An empty book.
    pub fn new(symbol: Symbol) -> Self {
        Self { symbol, pending: Pending::Nothing, lot: None, bracket: None, busy: false, exited_this_bar: false }
    }

    /// Whether shares are held.
    #[inline(always)]
    pub fn is_open(&self) -> bool {
        self.lot.is_some()
    }

    /// Whether nothing is held and nothing ordered.
    #[inline(always)]
    pub fn is_idle(&self) -> bool {
        self.lot.is_none() && self.pending == Pending::Nothing
    }

    /// The position as the strategy sees it.
    #[inline(always)]
    pub fn position(&self) -> Position {
        match &self.lot {
            None => Position { exited_this_bar: self.exited_this_bar, ..Position::default() },
            Some(lot) => Position {
                shares: lot.shares,
                entry_price: lot.entry_price,
                entered: lot.entered,
                exited_this_bar: self.exited_this_bar,
            },
        }
    }

    /// Unrealised profit at `price`, dollars.
    #[inline(always)]
    pub fn unrealised(&self, price: f64) -> f64 {
        self.lot.as_ref().map_or(0.0, |lot| {
            let shares = lot.shares as f64;
            shares * (price - lot.entry_price) - shares * lot.entry_fee
        })
    }

    /// What the position is worth at a price, dollars.
    pub fn worth(&self, price: f64) -> f64 {
        self.lot.as_ref().map_or(0.0, |lot| lot.shares as f64 * price)
    }

    /// A new session cancels a pending entry that was to be flat overnight.
    pub fn begin_session(&mut self, account: &mut Account) {
        if matches!(self.pending, Pending::Buy { .. }) && self.flat_before_close().is_some() {
            self.take_pending(account);
        }
    }

    /// Begins a bar. True if no order is pending and no bracket in force, so that the bar's prices can't touch
    /// anything and [`Book::open_bar`] has nothing to do.
    #[inline(always)]
    pub fn open_quietly(&mut self) -> bool {
        self.exited_this_bar = false;
        !self.busy
    }

    /// Open and inside of bar `i`: the pending order, then the stop, then the targets.
    #[inline(never)]
    pub fn open_bar(&mut self, account: &mut Account, bars: &Bars<'_>, i: usize, session: &Session) {
        self.exited_this_bar = false;
        let (start, open) = (bars.start_at(i), bars.open_at(i));
        match self.take_pending(account) {
            Pending::Nothing => {}
            Pending::Buy { shares } => {
                let expired = |before| start >= session.close - before;
                if !self.flat_before_close().is_some_and(expired) {
                    self.buy(account, open, start, shares);
                }
            }
            Pending::Sell(reason) => {
                let price = fill::market_sale(open, account.costs());
                self.sell_all(account, price, start, reason);
            }
        }
        if self.bracket.is_some() {
            self.stop_and_targets(account, &bars.get(i));
        }
        self.busy = self.lot.is_some() && self.bracket.is_some();
    }

    fn flat_before_close(&self) -> Option<Nanos> {
        self.bracket.as_ref().and_then(|b| b.flat_before_close)
    }

    fn take_pending(&mut self, account: &mut Account) -> Pending {
        let pending = std::mem::replace(&mut self.pending, Pending::Nothing);
        if matches!(pending, Pending::Buy { .. }) {
            account.entry_taken();
        }
        pending
    }

    fn buy(&mut self, account: &mut Account, open: f64, entered: Nanos, shares: u64) {
        let entry_price = fill::market_buy(open, account.costs());
        for target in self.bracket.iter_mut().flat_map(|b| b.targets.iter_mut().flatten()) {
            target.level = Level::At(target.level.resolve(entry_price));
        }
        self.lot = Some(Lot {
            trade: account.bought_shares(shares, entry_price),
            bought: shares,
            shares,
            entry_price,
            entry_fee: account.costs().fee(entry_price),
            entered,
            profit: 0.0,
            used: [false; Bracket::TARGETS],
        });
    }

    /// The stop goes before every target of the same bar, since a bar doesn't say which price came first.
    fn stop_and_targets(&mut self, account: &mut Account, bar: &Bar) {
        let stop = self.bracket.and_then(|b| b.stop);
        if let Some(price) = stop.and_then(|stop| fill::stop(stop, bar, account.costs())) {
            return self.sell_all(account, price, bar.start, Reason::Stop);
        }
        for leg in 0..Bracket::TARGETS {
            self.take_target(account, bar, leg);
        }
    }

    fn take_target(&mut self, account: &mut Account, bar: &Bar, leg: usize) {
        let (Some(lot), Some(bracket)) = (&mut self.lot, &mut self.bracket) else { return };
        let Some(target) = bracket.targets[leg].filter(|_| !lot.used[leg]) else { return };
        let Some(price) = fill::target(target.level.resolve(lot.entry_price), bar) else { return };
        lot.used[leg] = true;
        if let Some(stop) = target.then_stop {
            bracket.stop = Some(stop);
        }
        let shares = (lot.bought * u64::from(target.percent) / 100).min(lot.shares);
        if shares > 0 {
            self.sell(account, shares, price, bar.start, Reason::Target(leg as u8 + 1));
        }
    }

    fn sell_all(&mut self, account: &mut Account, price: f64, at: Nanos, reason: Reason) {
        if let Some(lot) = &self.lot {
            self.sell(account, lot.shares, price, at, reason);
        }
    }

    fn sell(&mut self, account: &mut Account, shares: u64, price: f64, at: Nanos, reason: Reason) {
        let Some(lot) = &mut self.lot else { return };
        let quantity = shares as f64;
        let fees = quantity * (lot.entry_fee + account.costs().fee(price));
        let profit = quantity * (price - lot.entry_price) - fees;
        lot.shares -= shares;
        lot.profit += profit;
        account.sold_shares(Fill {
            trade: lot.trade,
            symbol: self.symbol,
            entered: lot.entered,
            entry_price: lot.entry_price,
            shares,
            exited: at,
            exit_price: price,
            reason,
            profit,
        });
        if lot.shares == 0 {
            account.closed_trade(lot.profit);
            self.lot = None;
        }
        self.exited_this_bar = true;
    }

    /// Close of bar `i`, before the strategy is asked: applies the bracket's time limits.
    #[inline(always)]
    pub fn manage(
        &mut self,
        account: &mut Account,
        bars: &Bars<'_>,
        i: usize,
        session: &Session,
        last_of_session: bool,
    ) {
        if self.busy {
            self.apply_time_limits(account, &bars.get(i), session, last_of_session);
        }
    }

    #[inline(never)]
    fn apply_time_limits(&mut self, account: &mut Account, bar: &Bar, session: &Session, last_of_session: bool) {
        let (Some(Lot { entered, .. }), Some(bracket)) = (self.lot, self.bracket) else { return };
        let reached = |before| bar.end >= session.close - before;
        if last_of_session && bracket.flat_before_close.is_some() {
            self.liquidate(account, bar.close, bar.end, Reason::SessionEnd);
        } else if bracket.time_stop.is_some_and(|limit| bar.end - entered >= limit) {
            self.pending = Pending::Sell(Reason::Time);
        } else if bracket.flat_before_close.is_some_and(reached) {
            self.pending = Pending::Sell(Reason::EndOfDay);
        }
    }

    /// Takes the strategy's order. An entry that must be flat overnight isn't taken on the session's last bar. Limits
    /// are tested before the size is resolved.
    #[inline(never)]
    pub fn accept(&mut self, account: &mut Account, order: Order, close: f64, last_of_session: bool) -> Placement {
        if self.pending != Pending::Nothing {
            return Placement::Nothing;
        }
        match order {
            Order::Exit(reason) => self.exit(reason),
            Order::Enter(_) if self.is_open() => Placement::Nothing,
            Order::Enter(entry) if last_of_session && entry.bracket.flat_before_close.is_some() => Placement::Nothing,
            Order::Enter(entry) => self.enter(account, entry, close),
        }
    }

    fn exit(&mut self, reason: Reason) -> Placement {
        let Some(lot) = &self.lot else { return Placement::Nothing };
        self.pending = Pending::Sell(reason);
        self.busy = true;
        Placement::Ordered(lot.shares)
    }

    fn enter(&mut self, account: &mut Account, entry: Entry, close: f64) -> Placement {
        if let Some(block) = account.refuses_entry() {
            return Placement::Refused(block);
        }
        let shares = account.shares(entry.size, close, entry.bracket.stop);
        if shares == 0 {
            return Placement::Nothing;
        }
        self.pending = Pending::Buy { shares };
        self.bracket = (entry.bracket != Bracket::NONE).then_some(entry.bracket);
        account.entry_ordered();
        self.busy = true;
        Placement::Ordered(shares)
    }

    /// The replay's last bar of this symbol: cancels what is pending and sells at the bar's close.
    pub fn end_of_data(&mut self, account: &mut Account, close: f64, end: Nanos) {
        self.take_pending(account);
        self.liquidate(account, close, end, Reason::EndOfData);
    }

    fn liquidate(&mut self, account: &mut Account, close: f64, end: Nanos, reason: Reason) {
        let price = fill::liquidation(close, account.costs());
        self.sell_all(account, price, end, reason);
    }
}
