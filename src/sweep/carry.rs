//! The replay of declared rules, 64 bars an addition.
//!
//! Whether a position is held is a chain through time: an entry sets it, an exit ends it, in
//! between it stays. That is how a carry runs through an addition: where a bar enters, the sum
//! generates a carry; where it doesn't exit, it hands one on. So one addition of two words says
//! for 64 bars at once which of them begin with a position, and only the bars at which that
//! turns are looked at: prices are gathered, profits worked out side by side, then added up
//! oldest first. It is the same arithmetic as the replay's loop, in the same order: the same bits.
//!
//! What an addition can't express is left to the loop: sizes that depend on equity, prices at which
//! the size is less than a share, an entry and an exit on one bar, an emergency stop, and daily
//! limits that a session comes near.

use multiversion::multiversion;

use super::tape::{OrderAt, Tape};
use crate::bar::HOUR;
use crate::costs::Costs;
use crate::metrics::{Outcome, Tally, win_or_loss};
use crate::order::Size;
use crate::replay::Terms;
use crate::replay::crossings::WORD;

/// One point: its rules as bits of the tape's bars.
pub(super) struct Carry<'t, 'a> {
    pub(super) tape: &'t Tape<'t>,
    pub(super) terms: &'a Terms,
    /// Bars on which the rules enter.
    pub(super) enter: &'a [u64],
    /// Bars on which they exit.
    pub(super) exit: &'a [u64],
    pub(super) size: Size,
    /// First bar of the tape at which the strategy is asked.
    pub(super) warm: usize,
}

/// Buffers that a thread reuses for each of its points.
#[derive(Default)]
pub(super) struct Scratch {
    turns: Turns,
    trades: Trades,
    equity: Vec<f64>,
}

impl<'t> Carry<'t, '_> {
    /// Equity after each session, and what else the figures are computed from. None if these rules
    /// need the loop.
    pub(super) fn run<'s>(&self, scratch: &'s mut Scratch) -> Option<Outcome<'s>>
    where
        't: 's,
    {
        let &Self { tape, terms, .. } = self;
        let lots = Lots::new(self.size, terms, tape)?;
        if terms.limits.halt.is_some() || terms.limits.max_open_positions == Some(0) {
            return None;
        }
        let Scratch { turns, trades, equity } = scratch;
        find_turns(self.enter, self.exit, tape.len(), self.warm, turns).then_some(())?;
        let tally = trade(tape, turns, lots, &terms.costs, trades);
        let busiest = mark(tape, terms.capital, turns, trades, equity);
        if let (true, Some(end)) = (turns.held, equity.last_mut()) {
            *end = (terms.capital + tally.profit) + 0.0;
        }
        within_daily_limits(terms, &busiest, tape, turns, trades).then_some(())?;
        let (bars, bars_held) = (tape.len() as u64, turns.bars_held());
        Some(Outcome {
            capital: terms.capital,
            dates: &tape.dates,
            equity,
            per_year: tape.returns_per_year,
            tally,
            bars,
            bars_held,
        })
    }
}

/// Shares bought at a close: `min(count, floor(dollars / close))`.
#[derive(Clone, Copy)]
struct Lots {
    count: f64,
    dollars: f64,
}

/// Whole numbers up to twice this are exact in a double, and nothing between them is.
const WHOLE: f64 = (1u64 << 52) as f64;

impl Lots {
    /// None for a size that depends on equity, and for prices at which it is less than a share or
    /// more shares than a double can count.
    fn new(size: Size, terms: &Terms, tape: &Tape<'_>) -> Option<Self> {
        let cap = terms.limits.max_position_dollars.unwrap_or(f64::INFINITY);
        let lots = match size {
            Size::Notional(dollars) if dollars.is_nan() => return None,
            Size::Notional(dollars) => Self { count: f64::INFINITY, dollars: dollars.min(cap) },
            Size::Shares(shares) => Self { count: shares as f64, dollars: cap },
            Size::RiskFraction { .. } | Size::EquityFraction(_) => return None,
        };
        let Self { count, dollars } = lots;
        let countable = |number: f64| number == f64::INFINITY || number < WHOLE / 2.0;
        let fits = countable(count) && countable(dollars / tape.lowest_close) && count.min(dollars) < f64::INFINITY;
        (fits && tape.lowest_close > 0.0 && count.min(dollars / tape.highest_close) >= 1.0).then_some(lots)
    }

    /// The floor without a cast, which would handle cases that can't occur here.
    #[inline(always)]
    fn at(self, close: f64) -> f64 {
        let exact = self.dollars / close;
        let nearest = (exact + WHOLE) - WHOLE;
        let floor = nearest - if nearest > exact { 1.0 } else { 0.0 };
        if floor < self.count { floor } else { self.count }
    }
}

/// The bars after whose close an order is given: entry, exit, entry, …
#[derive(Default)]
struct Turns {
    /// One bit a bar.
    words: Vec<u64>,
    /// How many turns lie before each word.
    before: Vec<u32>,
    /// Their indices, with garbage behind the first `count`.
    bars: Vec<u32>,
    count: usize,
    /// Whether the last entry is held until the end of the data: then the last bar ends `bars`.
    held: bool,
}

impl Turns {
    fn bars(&self) -> &[u32] {
        &self.bars[..self.count + usize::from(self.held)]
    }

    fn bars_held(&self) -> u64 {
        self.bars().chunks_exact(2).map(|turns| u64::from(turns[1] - turns[0])).sum()
    }

    /// How many turns lie before `bar`.
    #[inline(always)]
    fn before(&self, bar: usize) -> usize {
        let (word, bit) = (bar / WORD, bar % WORD);
        (self.before[word] + (self.words[word] & ((1 << bit) - 1)).count_ones()) as usize
    }
}

/// Turns are written so many at a time, needed or not, since a loop that ends at the right one
/// would be mispredicted for every word.
const AT_ONCE: usize = 8;

/// Finds the bars that order, by adding exits and entries. False if an entry and an exit fall on one bar.
#[multiversion(targets("x86_64+bmi1+bmi2+popcnt+lzcnt"))]
fn find_turns(enter: &[u64], exit: &[u64], bars: usize, warm: usize, turns: &mut Turns) -> bool {
    // Entries, exits and the carry between them, a word at a time. An order given at the last bar would have no bar to
    // fill at.
    let last = bars - 1;
    let words = last.div_ceil(WORD);
    let (enter, exit) = (&enter[..words], &exit[..words]);
    turns.words.resize(words + 1, 0);
    let turned = &mut turns.words[..words];
    let (mut held, mut both) = (false, 0);
    for i in 0..words {
        let base = i * WORD;
        // All bits, but for the words in which asking begins or ends.
        let asked = match base >= warm && base + WORD <= last {
            true => u64::MAX,
            false => bits_from(warm, base) & !bits_from(last, base),
        };
        let (enter, exit) = (enter[i] & asked, exit[i] & asked);
        both |= enter & exit;
        let (sum, over) = (!exit).overflowing_add(enter);
        let (sum, over_again) = sum.overflowing_add(u64::from(held));
        // The carry into each bar: whether it begins with an order or a position.
        let open = sum ^ !exit ^ enter;
        held = over | over_again;
        turned[i] = open ^ (open >> 1 | u64::from(held) << (WORD - 1));
    }
    turns.held = held;
    // The indices of the bars that turn, and how many lie before each word.
    turns.before.resize(words + 1, 0);
    let (before, indices) = (&mut turns.before[..words], &mut turns.bars);
    let mut count = 0;
    for i in 0..words {
        if indices.len() < count + WORD + AT_ONCE {
            indices.resize(2 * (count + WORD + AT_ONCE), 0);
        }
        let mut rest = turned[i];
        let mut at = count;
        before[i] = count as u32;
        count += rest.count_ones() as usize;
        while at < count {
            let base = (i * WORD) as u32;
            for bar in &mut indices[at..at + AT_ONCE] {
                *bar = base + rest.trailing_zeros();
                rest &= rest.wrapping_sub(1);
            }
            at += AT_ONCE;
        }
    }
    // What is held at the end is sold at the last bar.
    turns.words[words] = 0;
    turns.before[words] = count as u32;
    turns.bars.resize(turns.bars.len().max(count + 1), 0);
    turns.bars[count] = last as u32;
    turns.count = count;
    both == 0
}

/// The bars from `from` on, of the 64 that begin at `base`.
#[inline(always)]
fn bits_from(from: usize, base: usize) -> u64 {
    match from.saturating_sub(base) {
        shift if shift < WORD => u64::MAX << shift,
        _ => 0,
    }
}

/// What later steps need of all round trips, in order of entry.
#[derive(Default)]
struct Trades {
    shares: Vec<f64>,
    entry: Vec<f64>,
    /// Fee of the entry, a share.
    fee: Vec<f64>,
    profit: Vec<f64>,
    /// Profit of all trades before; one more than trades.
    realised: Vec<f64>,
}

/// Round trips worked out together: their columns stay in the nearest cache.
const BLOCK: usize = 256;

/// A column for each figure of some round trips.
struct Block {
    /// Close at the signal, then shares bought.
    shares: [f64; BLOCK],
    /// Prices at the open, then with slippage.
    entry: [f64; BLOCK],
    exit: [f64; BLOCK],
    /// Nanoseconds held, then hours.
    held: [f64; BLOCK],
    /// Fee of the entry, a share.
    fee: [f64; BLOCK],
    /// Dollars: of the entry, then of the exit.
    slippage: [[f64; BLOCK]; 2],
    profit: [f64; BLOCK],
    win: [f64; BLOCK],
    loss: [f64; BLOCK],
    rate: [f64; BLOCK],
}

/// All round trips, oldest first.
fn trade(tape: &Tape<'_>, turns: &Turns, lots: Lots, costs: &Costs, trades: &mut Trades) -> Tally {
    let none = [1.0; BLOCK];
    let mut block = Block {
        shares: none,
        entry: none,
        exit: none,
        held: none,
        fee: none,
        slippage: [none; 2],
        profit: none,
        win: none,
        loss: none,
        rate: none,
    };
    let mut tally = Tally::default();
    let Trades { shares, entry, fee, profit, realised } = trades;
    [&mut *shares, entry, fee, profit, realised].into_iter().for_each(Vec::clear);
    for bars in turns.bars().chunks(2 * BLOCK) {
        let count = bars.len() / 2;
        match &tape.orders {
            Some(orders) => gather(bars, &mut block, |bar| orders[bar]),
            None => gather(bars, &mut block, |bar| tape.order(bar)),
        }
        work_out(lots, costs, &mut block);
        shares.extend_from_slice(&block.shares[..count]);
        entry.extend_from_slice(&block.entry[..count]);
        fee.extend_from_slice(&block.fee[..count]);
        profit.extend_from_slice(&block.profit[..count]);
        add_up(&block, count, &mut tally, realised);
        if costs.has_fees() {
            add_up_fees(&block, count, costs, &mut tally);
        }
    }
    realised.push(tally.profit);
    tally
}

/// Looks up what orders of these bars meet.
#[inline(always)]
fn gather(bars: &[u32], block: &mut Block, order: impl Fn(usize) -> OrderAt) {
    for (i, turn) in bars.chunks_exact(2).enumerate().take(BLOCK) {
        let (bought, sold) = (order(turn[0] as usize), order(turn[1] as usize));
        block.shares[i] = bought.close;
        block.entry[i] = bought.fill;
        block.exit[i] = sold.fill;
        block.held[i] = (sold.at - bought.at) as f64;
    }
}

/// Sizes, prices and profits, side by side.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
fn work_out(lots: Lots, costs: &Costs, block: &mut Block) {
    let costs = *costs;
    for i in 0..BLOCK {
        let shares = lots.at(block.shares[i]);
        let (bought_at, sold_at) = (block.entry[i], block.exit[i]);
        let (entry, exit) = (costs.buy(bought_at), costs.sell(sold_at));
        let fee = costs.fee(entry);
        let fees = shares * (fee + costs.fee(exit));
        block.slippage[0][i] = shares * (entry - bought_at).abs();
        block.slippage[1][i] = shares * (exit - sold_at).abs();
        let profit = shares * (exit - entry) - fees;
        (block.shares[i], block.entry[i], block.exit[i], block.fee[i]) = (shares, entry, exit, fee);
        block.held[i] /= HOUR as f64;
        block.profit[i] = profit;
        (block.win[i], block.loss[i]) = win_or_loss(profit);
        block.rate[i] = profit / (entry * shares);
    }
}

/// Adds up oldest first.
#[inline(always)]
fn add_up(block: &Block, count: usize, tally: &mut Tally, realised: &mut Vec<f64>) {
    let mut sums = *tally;
    realised.extend((0..count.min(BLOCK)).map(|i| {
        let before = sums.profit;
        sums.add_split(block.profit[i], block.win[i], block.loss[i], block.rate[i], block.held[i]);
        sums.bought += block.shares[i] * block.entry[i];
        sums.sold += block.shares[i] * block.exit[i];
        sums.slippage = (sums.slippage + block.slippage[0][i]) + block.slippage[1][i];
        before
    }));
    *tally = sums;
}

/// Fees of entry and exit, oldest first.
fn add_up_fees(block: &Block, count: usize, costs: &Costs, tally: &mut Tally) {
    for i in 0..count.min(BLOCK) {
        let Block { shares, fee, exit, .. } = block;
        tally.commission += shares[i] * fee[i];
        tally.commission += shares[i] * costs.fee(exit[i]);
    }
}

/// What the busiest sessions did: upper bounds for daily limits.
struct Busiest {
    entries: usize,
    exits: usize,
    /// Lowest equity that a session began with.
    start_equity: f64,
}

/// Equity after each session.
#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512dq+avx512vl+bmi1+bmi2+popcnt+lzcnt",
    "x86_64+avx2+bmi1+bmi2+popcnt+lzcnt"
))]
fn mark<'a>(tape: &Tape<'a>, capital: f64, turns: &Turns, trades: &Trades, equity: &mut Vec<f64>) -> Busiest {
    let mut busiest = Busiest { entries: 0, exits: 0, start_equity: capital };
    let mut before = 0usize;
    equity.clear();
    equity.extend(tape.session_ends.iter().map(|&end| {
        // Filled before the session's end: decided a bar earlier.
        let done = turns.before(end - 1);
        let trade = done / 2;
        let worth = capital + trades.realised[trade];
        busiest.entries = busiest.entries.max(done.div_ceil(2) - before.div_ceil(2));
        busiest.exits = busiest.exits.max(trade - before / 2);
        busiest.start_equity = busiest.start_equity.min(worth);
        before = done;
        let unrealised = match done % 2 {
            0 => 0.0,
            _ => {
                let (shares, entry, fee) = (trades.shares[trade], trades.entry[trade], trades.fee[trade]);
                shares * (tape.close[end - 1] - entry) - shares * fee
            }
        };
        worth + (0.0 + unrealised)
    }));
    busiest
}

/// Whether no daily limit can have refused an entry. A session that comes as far as a limit may
/// have: the loop then decides.
fn within_daily_limits(terms: &Terms, busiest: &Busiest, tape: &Tape<'_>, turns: &Turns, trades: &Trades) -> bool {
    if terms.limits.max_trades_per_day.is_some_and(|max| busiest.entries >= max as usize) {
        return false;
    }
    let Some(limit) = terms.limits.max_daily_loss else { return true };
    // Enough for rounding of a few sums.
    const SLACK: f64 = 1.0 + 1e-9;
    let worst = trades.profit.iter().fold(0.0, |worst: f64, profit| worst.min(*profit));
    if !limit.reached(worst * busiest.exits as f64 * SLACK, busiest.start_equity) {
        return true;
    }
    let mut sold = 0;
    tape.session_ends.iter().all(|&end| {
        let (from, start_equity) = (sold, terms.capital + trades.realised[sold]);
        sold = turns.before(end - 1) / 2;
        let mut today = 0.0;
        trades.profit[from..sold].iter().all(|profit| {
            today += profit;
            !limit.reached(today, start_equity)
        }) && !limit.reached(0.0, start_equity)
    })
}
