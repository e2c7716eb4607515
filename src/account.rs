//! Orders and bars in, trades out: one cash account, and per symbol one book.
//!
//! The rules are those of the reference replay. At a bar's open pending orders fill; inside
//! the bar the stop wins over the targets; at its close the account manages the position,
//! then hears the strategy.

use crate::bar::{Bar, Bars, Date, Nanos, Symbol};
use crate::calendar::Session;
use crate::costs::Costs;
use crate::order::{Bracket, Entry, Order, Reason, Size};
use crate::risk::{Block, HaltWatch, Limits};
use crate::strategy::Position;

/// One sale: a whole position or a part of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fill {
    /// Number of the entry fill this closes, from 1; all its sales make one trade.
    pub trade: u32,
    /// The symbol.
    pub symbol: Symbol,
    /// Start of the bar of the entry fill.
    pub entered: Nanos,
    /// Entry price with slippage.
    pub entry_price: f64,
    /// Shares sold.
    pub shares: u64,
    /// Start of the bar of the sale; its end for liquidations.
    pub exited: Nanos,
    /// Sale price with slippage.
    pub exit_price: f64,
    /// Why.
    pub reason: Reason,
    /// `shares * (exit_price - entry_price)` less both sides' fees, dollars.
    pub profit: f64,
}

/// Cash truth shared by all symbols of a replay.
#[derive(Clone, Debug)]
pub struct Account {
    /// Starting capital in dollars.
    pub capital: f64,
    costs: Costs,
    limits: Limits,
    realised: f64,
    day: Day,
    open_positions: u32,
    pending_entries: u32,
    entries: u32,
    blocks: [u64; Block::ALL.len()],
    halt: HaltWatch,
    fills: Vec<Fill>,
    bought: f64,
}

/// Counters of one session.
#[derive(Clone, Copy, Debug, Default)]
struct Day {
    start_equity: f64,
    realised: f64,
    entries: u32,
    won: u32,
    closed: u32,
}

impl Account {
    /// An account with `capital` dollars and no position.
    pub fn new(capital: f64, costs: Costs, limits: Limits) -> Self {
        Self {
            capital,
            costs,
            limits,
            realised: 0.0,
            day: Day::default(),
            open_positions: 0,
            pending_entries: 0,
            entries: 0,
            blocks: [0; Block::ALL.len()],
            halt: HaltWatch::default(),
            fills: Vec::new(),
            bought: 0.0,
        }
    }

    /// Capital plus realised profit, dollars.
    #[inline(always)]
    pub fn equity(&self) -> f64 {
        self.capital + self.realised
    }

    /// All sales so far in order of fill.
    pub fn fills(&self) -> &[Fill] {
        &self.fills
    }

    /// All sales, when there will be no more.
    pub fn into_fills(self) -> Vec<Fill> {
        self.fills
    }

    /// How often each limit refused an otherwise valid entry.
    pub fn blocks(&self) -> impl Iterator<Item = (Block, u64)> {
        Block::ALL.into_iter().zip(self.blocks)
    }

    /// Dollars spent on entries.
    pub fn bought(&self) -> f64 {
        self.bought
    }

    /// The session after which an emergency stop halted entries.
    pub fn halted_since(&self) -> Option<Date> {
        self.halt.since()
    }

    /// Resets what is counted per session.
    pub fn begin_session(&mut self) {
        self.day = Day { start_equity: self.equity(), ..Day::default() };
    }

    /// Judges the emergency stop; `equity` includes open positions.
    pub fn end_session(&mut self, date: Date, equity: f64) {
        if let Some(halt) = &self.limits.halt {
            let trades = (self.day.won, self.day.closed);
            self.halt.end_session(halt, date, self.day.realised, equity, trades);
        }
    }

    /// The first limit that forbids an entry now.
    fn blocked(&self) -> Option<Block> {
        let day = &self.day;
        let lost = |l: crate::risk::DailyLoss| l.reached(day.realised, day.start_equity);
        if self.halt.since().is_some() {
            return Some(Block::EmergencyStop);
        }
        if self.limits.max_daily_loss.is_some_and(lost) {
            return Some(Block::MaxDailyLoss);
        }
        let pending = self.pending_entries;
        if self.limits.max_trades_per_day.is_some_and(|max| day.entries + pending >= max) {
            return Some(Block::MaxTradesPerDay);
        }
        let open = self.open_positions + pending;
        self.limits.max_open_positions.is_some_and(|max| open >= max).then_some(Block::MaxOpenPositions)
    }

    /// Shares to buy at a signal's close; 0 means no order.
    fn shares(&self, size: Size, close: f64, stop: Option<f64>) -> u64 {
        let wanted = match size {
            Size::RiskFraction { fraction, cap } => {
                let risk = close - stop.unwrap_or(f64::NAN);
                whole(self.equity() * fraction / risk).min(whole(cap / close))
            }
            Size::Shares(_) | Size::Notional(_) => fixed_shares(size, close).unwrap_or(0),
        };
        wanted.min(most_shares(&self.limits, close))
    }
}

/// Shares of a size that depends on nothing but the signal's close.
#[inline(always)]
pub(crate) fn fixed_shares(size: Size, close: f64) -> Option<u64> {
    match size {
        Size::Shares(shares) => Some(shares),
        Size::Notional(dollars) => Some(whole(dollars / close)),
        Size::RiskFraction { .. } => None,
    }
}

/// Shares of the largest position allowed.
#[inline(always)]
pub(crate) fn most_shares(limits: &Limits, close: f64) -> u64 {
    limits.max_position_dollars.map_or(u64::MAX, |cap| whole(cap / close))
}

/// Floor of a quotient as a share count; 0 for anything that isn't a positive number.
fn whole(quotient: f64) -> u64 {
    // A float-to-integer cast truncates, saturates, and maps NaN to 0.
    quotient as u64
}

/// What waits for the next open.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Pending {
    Nothing,
    Buy { shares: u64 },
    Sell(Reason),
}

/// One symbol's pending order and position.
#[derive(Clone, Debug)]
pub struct Book {
    symbol: Symbol,
    pending: Pending,
    lot: Option<Lot>,
    /// Of the pending entry or the open lot, if it has one.
    bracket: Option<Bracket>,
    /// Whether the next bar can do anything but mark: a pending order or a bracket.
    busy: bool,
    exited_this_bar: bool,
}

/// An open position.
#[derive(Clone, Copy, Debug)]
struct Lot {
    trade: u32,
    bought: u64,
    shares: u64,
    entry_price: f64,
    entry_fee: f64,
    entered: Nanos,
    profit: f64,
    used: [bool; Bracket::TARGETS],
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

    /// Shares that an order for the next open would buy or sell.
    pub fn waiting(&self) -> Option<u64> {
        match self.pending {
            Pending::Nothing => None,
            Pending::Buy { shares } => Some(shares),
            Pending::Sell(_) => self.lot.map(|lot| lot.shares),
        }
    }

    /// What the strategy is told.
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

    /// A new session cancels an entry that was to be flat overnight.
    pub fn begin_session(&mut self, account: &mut Account) {
        if matches!(self.pending, Pending::Buy { .. }) && self.flat_before_close().is_some() {
            self.take_pending(account);
        }
    }

    /// Begins a bar; true if there is no order and no bracket that its prices could touch,
    /// so that [`Book::open_bar`] has nothing to do.
    #[inline(always)]
    pub fn open_quietly(&mut self) -> bool {
        self.exited_this_bar = false;
        !self.busy
    }

    /// Open and inside of a bar: pending orders, then stop, then targets.
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
                self.sell_all(account, account.costs.sell(open), start, reason);
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
            account.pending_entries -= 1;
        }
        pending
    }

    fn buy(&mut self, account: &mut Account, open: f64, entered: Nanos, shares: u64) {
        let entry_price = account.costs.buy(open);
        account.entries += 1;
        account.day.entries += 1;
        account.open_positions += 1;
        account.bought += shares as f64 * entry_price;
        for target in self.bracket.iter_mut().flat_map(|b| b.targets.iter_mut().flatten()) {
            target.level = crate::order::Level::At(target.level.resolve(entry_price));
        }
        self.lot = Some(Lot {
            trade: account.entries,
            bought: shares,
            shares,
            entry_price,
            entry_fee: account.costs.fee(entry_price),
            entered,
            profit: 0.0,
            used: [false; Bracket::TARGETS],
        });
    }

    /// The stop beats every target of the same bar, since a bar doesn't tell their order.
    fn stop_and_targets(&mut self, account: &mut Account, bar: &Bar) {
        if let Some(stop) = self.bracket.and_then(|b| b.stop)
            && bar.low <= stop
        {
            let price = account.costs.sell(stop.min(bar.open));
            return self.sell_all(account, price, bar.start, Reason::Stop);
        }
        for leg in 0..Bracket::TARGETS {
            self.take_target(account, bar, leg);
        }
    }

    fn take_target(&mut self, account: &mut Account, bar: &Bar, leg: usize) {
        let (Some(lot), Some(bracket)) = (&mut self.lot, &mut self.bracket) else { return };
        let Some(target) = bracket.targets[leg] else { return };
        let price = target.level.resolve(lot.entry_price);
        if lot.used[leg] || bar.high < price {
            return;
        }
        lot.used[leg] = true;
        if let Some(stop) = target.then_stop {
            bracket.stop = Some(stop);
        }
        let shares = (lot.bought * u64::from(target.percent) / 100).min(lot.shares);
        if shares > 0 {
            let reason = Reason::Target(leg as u8 + 1);
            self.sell(account, shares, price.max(bar.open), bar.start, reason);
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
        let fees = quantity * (lot.entry_fee + account.costs.fee(price));
        let profit = quantity * (price - lot.entry_price) - fees;
        lot.shares -= shares;
        lot.profit += profit;
        account.realised += profit;
        account.day.realised += profit;
        account.fills.push(Fill {
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
            account.day.closed += 1;
            account.day.won += u32::from(lot.profit > 0.0);
            account.open_positions -= 1;
            self.lot = None;
        }
        self.exited_this_bar = true;
    }

    /// Close of a bar, before the strategy is asked: what the bracket's clock demands.
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
            self.watch_clock(account, &bars.get(i), session, last_of_session);
        }
    }

    #[inline(never)]
    fn watch_clock(&mut self, account: &mut Account, bar: &Bar, session: &Session, last_of_session: bool) {
        let (Some(Lot { entered, .. }), Some(bracket)) = (self.lot, self.bracket) else { return };
        let reached = |before| bar.end >= session.close - before;
        if last_of_session && bracket.flat_before_close.is_some() {
            self.sell_all(account, account.costs.sell(bar.close), bar.end, Reason::SessionEnd);
        } else if bracket.time_stop.is_some_and(|limit| bar.end - entered >= limit) {
            self.pending = Pending::Sell(Reason::Time);
        } else if bracket.flat_before_close.is_some_and(reached) {
            self.pending = Pending::Sell(Reason::EndOfDay);
        }
    }

    /// Hears the strategy. An entry that must be flat overnight isn't taken on the session's
    /// last bar; limits are tested before the size is resolved.
    #[inline(never)]
    pub fn accept(&mut self, account: &mut Account, order: Order, close: f64, last_of_session: bool) {
        match order {
            Order::Exit(reason) if self.is_open() && self.pending == Pending::Nothing => {
                self.pending = Pending::Sell(reason);
                self.busy = true;
            }
            Order::Enter(entry) if !self.is_open() && self.pending == Pending::Nothing => {
                let too_late = last_of_session && entry.bracket.flat_before_close.is_some();
                if !too_late {
                    self.enter(account, entry, close);
                }
            }
            _ => {}
        }
    }

    fn enter(&mut self, account: &mut Account, entry: Entry, close: f64) {
        if let Some(block) = account.blocked() {
            account.blocks[block as usize] += 1;
            return;
        }
        let shares = account.shares(entry.size, close, entry.bracket.stop);
        if shares > 0 {
            self.pending = Pending::Buy { shares };
            self.bracket = (entry.bracket != Bracket::NONE).then_some(entry.bracket);
            account.pending_entries += 1;
            self.busy = true;
        }
    }

    /// The replay's last bar of this symbol: sells at its close.
    pub fn end_of_data(&mut self, account: &mut Account, close: f64, end: Nanos) {
        self.take_pending(account);
        self.sell_all(account, account.costs.sell(close), end, Reason::EndOfData);
    }
}
