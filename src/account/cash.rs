//! Money: cash, profit, limits, and how many units an order trades.

use super::commission::Commission;
use super::conditions::{AccountKind, Conditions, OnInsufficient};
use super::record::{End, Execution, Fill, Outcome, Place, State, Totals};
use super::unit::Unit;
use crate::bar::{Date, Symbol};
use crate::costs::Costs;
use crate::order::{Side, Size};
use crate::risk::{Block, DailyLoss, HaltWatch, Limits};

/// Cash, limits and fills that all symbols of a replay share.
#[derive(Clone, Debug)]
pub struct Account {
    /// Starting capital, dollars.
    pub capital: f64,
    costs: Costs,
    conditions: Conditions,
    unit: Unit,
    limits: Limits,
    realised: f64,
    cash: f64,
    /// The lowest that cash has been.
    lowest_cash: f64,
    day: Day,
    open_positions: u32,
    pending_entries: u32,
    /// Lots opened.
    entries: u32,
    /// Orders heard.
    orders: u32,
    blocks: [u64; Block::ALL.len()],
    halt: HaltWatch,
    fills: Vec<Fill>,
    bought: f64,
    totals: Totals,
    /// What each symbol's position is worth now, alphabetically.
    standings: Vec<Standing>,
    /// Limits are not asked: what is heard was taken before.
    trusting: bool,
    /// Kept for who asks: every execution, and every order's end by its number.
    kept: Option<Box<Kept>>,
}

/// Executions and the ends of orders, in full.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    /// In order of execution.
    pub executions: Vec<Execution>,
    /// By the order's number; `None` while it works.
    pub outcomes: Vec<Option<Outcome>>,
}

/// What a symbol's position is worth at its mark.
#[derive(Clone, Copy, Debug, Default)]
struct Standing {
    unrealised: f64,
    /// Without its sign.
    worth: f64,
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
            conditions: Conditions::UNLIMITED,
            unit: Unit::SHARE,
            limits,
            realised: 0.0,
            cash: capital,
            lowest_cash: capital,
            day: Day::default(),
            open_positions: 0,
            pending_entries: 0,
            entries: 0,
            orders: 0,
            blocks: [0; Block::ALL.len()],
            halt: HaltWatch::default(),
            fills: Vec::new(),
            bought: 0.0,
            totals: Totals::default(),
            standings: Vec::new(),
            trusting: false,
            kept: None,
        }
    }

    /// The account under these conditions.
    #[must_use]
    pub fn under(self, conditions: Conditions) -> Self {
        let unit = if conditions.fractional { Unit::MILLIONTH } else { Unit::SHARE };
        Self { conditions, unit, ..self }
    }

    /// Keeps every execution and every order's end.
    pub fn keep_executions(&mut self) {
        self.kept = Some(Box::default());
    }

    /// What [`Account::keep_executions`] asked for.
    pub fn take_kept(&mut self) -> Kept {
        self.kept.take().map(|kept| *kept).unwrap_or_default()
    }

    /// Capital plus realised profit, dollars.
    #[inline(always)]
    pub fn equity(&self) -> f64 {
        self.capital + self.realised
    }

    /// Cash, dollars.
    pub fn cash(&self) -> f64 {
        self.cash
    }

    /// All exits so far, in order of fill.
    pub fn fills(&self) -> &[Fill] {
        &self.fills
    }

    /// All exits when there will be no more, in the order of trades: by bar, part of the bar and symbol.
    pub fn into_fills(mut self) -> Vec<Fill> {
        in_order_of_trades(&mut self.fills);
        self.fills
    }

    /// What quantities count.
    pub fn unit(&self) -> Unit {
        self.unit
    }

    /// Fees, slippage and what else trading has cost and moved.
    pub fn totals(&self) -> &Totals {
        &self.totals
    }

    /// The lowest that cash has been, dollars.
    pub fn lowest_cash(&self) -> f64 {
        self.lowest_cash
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

    /// Decides whether the emergency stop halts entries from now on; `equity` includes open positions.
    pub fn end_session(&mut self, date: Date, equity: f64) {
        if let Some(halt) = &self.limits.halt {
            let trades = (self.day.won, self.day.closed);
            self.halt.end_session(halt, date, self.day.realised, equity, trades);
        }
    }

    /// What trading costs.
    pub(crate) fn costs(&self) -> &Costs {
        &self.costs
    }

    /// What the account may do.
    pub(crate) fn conditions(&self) -> &Conditions {
        &self.conditions
    }

    /// Whether fills depend on what all positions are worth.
    #[inline(always)]
    pub(crate) fn is_margin(&self) -> bool {
        matches!(self.conditions.kind, AccountKind::Margin { .. })
    }

    /// Takes orders whatever the limits say: those of a journal were taken once.
    pub(crate) fn trust(&mut self, trusting: bool) {
        self.trusting = trusting;
    }

    /// A number for the next order.
    pub(crate) fn number_order(&mut self) -> u32 {
        self.orders += 1;
        self.orders - 1
    }

    /// How many orders were numbered.
    pub(crate) fn orders_heard(&self) -> u32 {
        self.orders
    }

    /// Says what a symbol's position is worth at its mark: its unrealised profit and its amount, dollars.
    #[inline]
    pub(crate) fn set_standing(&mut self, symbol: usize, unrealised: f64, worth: f64) {
        if self.standings.len() <= symbol {
            self.standings.resize(symbol + 1, Standing::default());
        }
        self.standings[symbol] = Standing { unrealised, worth };
    }

    /// Equity at the marks that were set last, dollars: `(capital + realised) + sum`, alphabetically.
    pub(crate) fn marked_equity(&self) -> f64 {
        self.equity() + self.standings.iter().fold(0.0, |sum, s| sum + s.unrealised)
    }

    /// Worth of all positions at their marks, signs dropped, dollars.
    pub(crate) fn gross(&self) -> f64 {
        self.standings.iter().fold(0.0, |sum, s| sum + s.worth)
    }

    /// Whether borrowed shares or borrowed cash cost anything.
    pub(crate) fn charges_for_nights(&self) -> bool {
        self.conditions.borrow_bps != 0.0 || self.conditions.margin_rate_bps != 0.0
    }

    /// Counts an order that makes no sense among the rejected ones.
    pub(super) fn refused(&mut self) {
        self.totals.orders[State::Rejected as usize] += 1;
    }

    /// A night, or several: what borrowed shares and borrowed cash cost; `short` is the worth of what is sold short.
    pub(crate) fn pass_nights(&mut self, nights: i32, short: f64) {
        let of_year = |amount: f64, bps: f64| amount * (bps / 1e4) / 360.0 * f64::from(nights);
        let interest = of_year((-self.cash).max(0.0), self.conditions.margin_rate_bps);
        let borrow = of_year(short, self.conditions.borrow_bps);
        if borrow != 0.0 {
            self.totals.borrow += borrow;
            self.move_cash(-borrow);
        }
        if interest != 0.0 {
            self.totals.margin_interest += interest;
            self.move_cash(-interest);
        }
    }

    /// A dividend on a signed position, dollars.
    pub(super) fn pay_dividend(&mut self, amount: f64) {
        if amount > 0.0 {
            self.totals.dividends_received += amount;
        } else {
            self.totals.dividends_paid -= amount;
        }
        self.move_cash(amount);
    }

    /// Realises an amount that no trade brought.
    fn move_cash(&mut self, amount: f64) {
        self.realised += amount;
        self.cash += amount;
    }

    /// Tests the limits for an entry. A refusal is counted.
    pub(super) fn refuses_entry(&mut self) -> Option<Block> {
        let block = self.blocked().filter(|_| !self.trusting)?;
        self.blocks[block as usize] += 1;
        Some(block)
    }

    /// The first limit that forbids an entry now.
    fn blocked(&self) -> Option<Block> {
        let day = &self.day;
        let lost = |loss: DailyLoss| loss.reached(day.realised, day.start_equity);
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

    /// Units of an order whose reference price is `reference`; 0 means no order. `gap` is the distance of its fixed stop.
    pub(super) fn units(&self, size: Size, reference: f64, gap: f64) -> i64 {
        let floor = |shares| self.unit.floor(shares);
        let wanted = match size {
            Size::Shares(units) => i64::try_from(units).unwrap_or(Unit::MOST).min(Unit::MOST),
            Size::Notional(dollars) => floor(dollars / reference),
            Size::EquityFraction(fraction) => floor(self.marked_equity() * fraction / reference),
            Size::RiskFraction { .. } if gap <= 0.0 => 0,
            Size::RiskFraction { fraction, cap } => floor(self.equity() * fraction / gap).min(floor(cap / reference)),
        };
        let cap = self.limits.max_position_dollars.filter(|_| !self.trusting);
        wanted.min(cap.map_or(i64::MAX, |cap| floor(cap / reference)))
    }

    /// Signed units of a position worth this part of equity.
    pub(super) fn weight(&self, weight: f64, close: f64) -> i64 {
        self.unit.toward_zero(self.marked_equity() * weight / close)
    }

    /// How many of these units the account can open at this price, on this side.
    ///
    /// # Errors
    /// Why it can't open all of them, with the most that it may open instead.
    pub(super) fn affords(
        &self,
        side: Side,
        units: i64,
        price: f64,
        paid: Commission,
        costs: &Costs,
    ) -> std::result::Result<(), (End, i64)> {
        let (end, room) = match self.conditions.kind {
            AccountKind::Unlimited => return Ok(()),
            AccountKind::Cash if side == Side::Sell => return Err((End::ShortNotAllowed, 0)),
            AccountKind::Cash => (End::InsufficientCash, self.cash),
            AccountKind::Margin { leverage } => {
                (End::InsufficientMargin, leverage * self.marked_equity() - self.gross())
            }
        };
        let weight = match self.conditions.kind {
            AccountKind::Margin { leverage } => leverage,
            _ => 1.0,
        };
        let passes = |units: i64| {
            let shares = self.unit.shares(units);
            shares * price + weight * paid.of(shares, price, costs).total <= room + ROOM
        };
        if passes(units) {
            return Ok(());
        }
        if self.conditions.on_insufficient == OnInsufficient::Reject {
            return Err((end, 0));
        }
        // The most that pass: what an order costs grows with its units.
        let (mut most, mut too_many) = (0, units);
        while too_many - most > 1 {
            let middle = most + (too_many - most) / 2;
            *(if passes(middle) { &mut most } else { &mut too_many }) = middle;
        }
        Err((end, most))
    }

    /// An entry waits to be filled.
    pub(super) fn entry_ordered(&mut self) {
        self.pending_entries += 1;
    }

    /// An entry no longer waits: it fills now, or it was cancelled.
    pub(super) fn entry_taken(&mut self) {
        self.pending_entries -= 1;
    }

    /// An entry order has its first fill.
    pub(super) fn entry_filled(&mut self) {
        self.day.entries += 1;
    }

    /// A symbol that was flat is held.
    pub(super) fn position_began(&mut self) {
        self.open_positions += 1;
    }

    /// A symbol that was held is flat.
    pub(super) fn position_ended(&mut self) {
        self.open_positions -= 1;
    }

    /// A number for a lot that an entry fill opens, from 1; the dollars traded by it.
    pub(super) fn opened_lot(&mut self, dollars: f64) -> u32 {
        self.entries += 1;
        self.bought += dollars;
        self.entries
    }

    /// Books an execution.
    #[inline]
    pub(super) fn executed(&mut self, execution: &Execution) {
        let dollars = execution.shares * execution.price;
        self.cash -= execution.side.sign() as f64 * dollars + execution.fee;
        if self.cash < self.lowest_cash {
            self.lowest_cash = self.cash;
        }
        self.totals.executions += 1;
        self.totals.traded += dollars;
        self.totals.commission += execution.fee;
        self.totals.slippage += execution.slippage;
        if let Some(kept) = &mut self.kept {
            kept.executions.push(*execution);
        }
    }

    /// Books the exit of a lot.
    #[inline]
    pub(super) fn closed_leg(&mut self, fill: Fill) {
        self.realised += fill.profit;
        self.day.realised += fill.profit;
        self.fills.push(fill);
    }

    /// Cash for shares that no trade closed: a delisting or the fractions after a split.
    pub(super) fn paid_out(&mut self, side: Side, shares: f64, price: f64) -> f64 {
        let dollars = side.sign() as f64 * shares * price;
        self.cash += dollars;
        dollars
    }

    /// Counts what a split paid in cash.
    pub(super) fn cash_in_lieu(&mut self, dollars: f64) {
        self.totals.cash_in_lieu += dollars;
    }

    /// Records that a lot is closed, with the profit of all its exits.
    pub(super) fn closed_trade(&mut self, profit: f64) {
        self.day.closed += 1;
        self.day.won += u32::from(profit > 0.0);
    }

    /// An order is at its end.
    pub(super) fn order_ended(&mut self, id: u32, outcome: Outcome) {
        self.totals.orders[outcome.end.state() as usize] += 1;
        if let Some(why) = End::REJECTIONS.iter().position(|end| *end == outcome.end) {
            self.totals.rejected[why] += 1;
        }
        if let Some(kept) = &mut self.kept {
            let id = id as usize;
            if kept.outcomes.len() <= id {
                kept.outcomes.resize(id + 1, None);
            }
            kept.outcomes[id] = Some(outcome);
        }
    }
}

/// Dollars that a check forgives, for rounding.
const ROOM: f64 = 1e-6;

/// Sorts exits by bar, part of the bar and symbol, and numbers the trades in the order of their entries.
pub(crate) fn in_order_of_trades(fills: &mut [Fill]) {
    let key = |fill: &Fill| (fill.place, fill.symbol);
    if fills.is_sorted_by_key(key) && fills.windows(2).all(|w| w[0].symbol == w[1].symbol) {
        return;
    }
    let mut trades: Vec<(Place, Symbol, u32)> = fills.iter().map(|f| (f.entry_place, f.symbol, f.trade)).collect();
    trades.sort_unstable();
    trades.dedup();
    let mut number = vec![0; trades.len() + 1];
    for (i, (_, _, trade)) in trades.iter().enumerate() {
        number[*trade as usize] = i as u32 + 1;
    }
    fills.sort_by_key(key);
    fills.iter_mut().for_each(|fill| fill.trade = number[fill.trade as usize]);
}
