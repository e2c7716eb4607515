//! The fill rules, one by one, on bars small enough to work out by hand.

use magellan::account::Fill;
use magellan::bar::{DAY, MINUTE, Nanos, Symbol, Timeframe, iso_utc};
use magellan::costs::Costs;
use magellan::indicator::Indicator;
use magellan::order::{Bracket, Entry, Level, NewStop, Order, Reason, Side, Size, Stop, TakeProfit};
use magellan::replay::{Instrument, Replay, Terms, replay};
use magellan::risk::{Block, DailyLoss, Limits};
use magellan::strategy::{Now, Strategy};
use magellan::uncounted::Uncounted;

use crate::support::{Columns, date, symbol, terms, utc};

/// Gives one order at the close of the bar that starts at `at`, and exits by signal at `exit`.
#[derive(Clone, Copy)]
struct OrderAt {
    at: Nanos,
    order: Order,
    exit: Option<Nanos>,
    /// Gives the order again on every later bar while flat.
    again: bool,
}

impl Strategy for OrderAt {
    const NAME: &'static str = "order_at";
    type Inputs = [f64; 0];
    type State = ();

    fn indicators(&self) -> [Indicator; 0] {
        []
    }

    fn warmup(&self) -> usize {
        0
    }

    fn decide(&self, (): &mut (), now: &Now<[f64; 0]>) -> Option<Order> {
        if Some(now.bar.start) == self.exit {
            return Some(Order::Exit(Reason::Signal("exit")));
        }
        let due = now.bar.start == self.at || (self.again && now.bar.start > self.at);
        (due && !now.position.is_open() && !now.position.exited_this_bar).then_some(self.order)
    }
}

fn once(at: &str, order: Order) -> OrderAt {
    OrderAt { at: utc(at), order, exit: None, again: false }
}

/// Minute bars from a start, `[open, high, low, close]`.
fn minutes(from: &str, bars: &[[f64; 4]]) -> Columns {
    let mut columns = Columns::default();
    for (i, [o, h, l, c]) in bars.iter().enumerate() {
        columns.push(utc(from) + i as Nanos * MINUTE, [*o, *h, *l, *c, 100.0]);
    }
    columns
}

fn go(columns: &Columns, strategy: OrderAt, terms: &Terms) -> Uncounted<Replay> {
    let history = columns.history("AMC", Timeframe::Minute);
    replay(&[Instrument { history, strategy }], terms, &mut ()).expect("replays")
}

/// shares, exit time, exit price, reason
fn legs(replay: &Replay) -> Vec<(f64, String, f64, String)> {
    replay.fills.iter().map(|f| (f.shares, iso_utc(f.exited), f.exit_price, f.reason.to_string())).collect()
}

fn leg(shares: u32, minute: &str, price: f64, reason: &str) -> (f64, String, f64, String) {
    (f64::from(shares), format!("2024-07-01T{minute}:00Z"), price, reason.to_owned())
}

const OPEN: &str = "2024-07-01T13:30:00Z";
const FLAT: [f64; 4] = [10.0, 10.0, 10.0, 10.0];

/// A stop at 9, 40 % at half way to 14, 30 % at 14 with the stop then at 11, half an hour, flat by 15:55.
fn bracket() -> Bracket {
    let half = TakeProfit { level: Level::Toward { level: 14.0, fraction: 0.5 }, percent: 40.0, then_stop: None };
    let full = TakeProfit { level: Level::At(14.0), percent: 30.0, then_stop: Some(NewStop::At(11.0)) };
    Bracket {
        stop: Some(Stop::At(9.0)),
        targets: [Some(half), Some(full), None, None],
        time_stop: Some(30 * MINUTE),
        flat_before_close: Some(5 * MINUTE),
    }
}

fn bracketed(shares: u64) -> Order {
    Order::Enter(Entry { side: Side::Buy, size: Size::Shares(shares), bracket: bracket() })
}

#[test]
fn an_order_fills_at_the_next_open_with_slippage_on_both_sides() {
    let columns = minutes(OPEN, &[FLAT, [20.0, 21.0, 19.0, 20.5], [30.0, 30.0, 30.0, 30.0], FLAT]);
    let strategy = OrderAt { exit: Some(utc("2024-07-01T13:31:00Z")), ..once(OPEN, Order::buy(Size::Shares(10))) };
    let costs = Costs { slippage_bps: 100.0, ..Costs::default() };
    let done = go(&columns, strategy, &Terms { costs, ..terms() });
    let [Fill { entry_price, exit_price, profit, trade, .. }] = done.fills[..] else { panic!("{done:?}") };
    assert_eq!((trade, entry_price, exit_price), (1, 20.0 * 1.01, 30.0 * 0.99));
    assert_eq!(profit, 10.0 * (30.0 * 0.99 - 20.0 * 1.01));
}

#[test]
fn fees_are_charged_on_both_sides() {
    let columns = minutes(OPEN, &[FLAT, FLAT, FLAT]);
    let strategy = OrderAt { exit: Some(utc(OPEN) + MINUTE), ..once(OPEN, Order::buy(Size::Shares(100))) };
    let costs = Costs { slippage_bps: 0.0, fee_per_share: 0.01, fee_bps: 10.0, ..Costs::default() };
    let done = go(&columns, strategy, &Terms { costs, ..terms() });
    // Per share and side a cent and a thousandth of ten dollars.
    assert!((done.fills[0].profit + 100.0 * 2.0 * (0.01 + 0.01)).abs() < 1e-9, "{:?}", done.fills);
}

#[test]
fn a_stop_works_on_the_entry_bar() {
    let columns = minutes(OPEN, &[FLAT, [10.0, 10.5, 8.5, 10.0], FLAT]);
    assert_eq!(legs(&go(&columns, once(OPEN, bracketed(10)), &terms())), [leg(10, "13:31", 9.0, "stop")]);
}

#[test]
fn a_gap_through_the_stop_fills_at_the_open() {
    let columns = minutes(OPEN, &[FLAT, FLAT, [8.0, 8.5, 7.0, 8.0], FLAT]);
    assert_eq!(legs(&go(&columns, once(OPEN, bracketed(10)), &terms())), [leg(10, "13:32", 8.0, "stop")]);
}

#[test]
fn the_stop_beats_a_target_of_the_same_bar() {
    let columns = minutes(OPEN, &[FLAT, FLAT, [10.0, 20.0, 9.0, 10.0], FLAT]);
    assert_eq!(legs(&go(&columns, once(OPEN, bracketed(10)), &terms())), [leg(10, "13:32", 9.0, "stop")]);
}

#[test]
fn scale_outs_floor_their_legs_and_move_the_stop_from_the_next_bar_on() {
    // 11 shares: 4, 3 and a runner of 4. The second target's bar dips to 10, below the new
    // stop, which holds from the next bar on only.
    let bars = [FLAT, FLAT, [11.0, 12.0, 11.0, 12.0], [12.0, 14.0, 10.0, 12.0], [12.0, 12.0, 11.0, 11.5], FLAT];
    let done = go(&minutes(OPEN, &bars), once(OPEN, bracketed(11)), &terms());
    let expected = [leg(4, "13:32", 12.0, "tp1"), leg(3, "13:33", 14.0, "tp2"), leg(4, "13:34", 11.0, "stop")];
    assert_eq!(legs(&done), expected);
    assert!(done.fills.iter().all(|f| f.trade == 1), "partial exits are one trade");
}

#[test]
fn both_targets_fill_in_one_bar_and_a_gap_above_fills_at_the_open() {
    let done = go(&minutes(OPEN, &[FLAT, FLAT, [15.0, 16.0, 15.0, 15.0], FLAT]), once(OPEN, bracketed(10)), &terms());
    assert_eq!(legs(&done)[..2], [leg(4, "13:32", 15.0, "tp1"), leg(3, "13:32", 15.0, "tp2")]);
}

#[test]
fn targets_have_no_slippage_and_are_reckoned_from_the_slipped_entry() {
    let costs = Costs { slippage_bps: 1_000.0, ..Costs::default() };
    // Entry 11 after ten per cent of slippage: half way to 14 is 12.5.
    let done = go(
        &minutes(OPEN, &[FLAT, FLAT, [12.0, 12.5, 12.0, 12.0], FLAT]),
        once(OPEN, bracketed(10)),
        &Terms { costs, ..terms() },
    );
    assert_eq!(legs(&done)[0], leg(4, "13:32", 12.5, "tp1"));
}

#[test]
fn an_empty_leg_writes_no_row_but_still_moves_the_stop() {
    // One share: both legs floor to none; the stop moves to 11 all the same.
    let bars = [FLAT, FLAT, [12.0, 14.0, 12.0, 13.0], [12.0, 12.0, 10.9, 11.0], FLAT];
    let done = go(&minutes(OPEN, &bars), once(OPEN, bracketed(1)), &terms());
    assert_eq!(legs(&done), [leg(1, "13:33", 11.0, "stop")]);
}

#[test]
fn the_time_stop_sells_at_the_next_open_after_half_an_hour() {
    let bars = vec![FLAT; 40];
    let done = go(&minutes(OPEN, &bars), once(OPEN, bracketed(10)), &terms());
    // Entered 13:31; the bar that ends 14:01 is the first to reach 30 minutes.
    assert_eq!(legs(&done), [leg(10, "14:01", 10.0, "time")]);
}

#[test]
fn end_of_day_sells_at_the_open_of_the_last_five_minutes() {
    let done =
        go(&minutes("2024-07-01T19:45:00Z", &vec![FLAT; 15]), once("2024-07-01T19:45:00Z", bracketed(10)), &terms());
    assert_eq!(legs(&done), [leg(10, "19:55", 10.0, "eod")]);
}

#[test]
fn on_a_half_day_end_of_day_is_five_to_one() {
    let columns = minutes("2024-07-03T16:45:00Z", &vec![FLAT; 15]);
    let done = go(&columns, once("2024-07-03T16:45:00Z", bracketed(10)), &terms());
    assert_eq!(iso_utc(done.fills[0].exited), "2024-07-03T16:55:00Z");
    assert_eq!(done.fills[0].reason, Reason::EndOfDay);
}

#[test]
fn the_week_after_the_clock_change_ends_an_hour_earlier_in_utc() {
    for (day, last) in [("2024-11-01", "19:55"), ("2024-11-04", "20:55")] {
        let first = format!("{day}T{}:00Z", if last == "19:55" { "19:45" } else { "20:45" });
        let done = go(&minutes(&first, &vec![FLAT; 15]), once(&first, bracketed(10)), &terms());
        assert_eq!(iso_utc(done.fills[0].exited), format!("{day}T{last}:00Z"));
    }
}

#[test]
fn an_entry_that_would_fill_at_end_of_day_is_dropped() {
    let done =
        go(&minutes("2024-07-01T19:53:00Z", &vec![FLAT; 7]), once("2024-07-01T19:54:00Z", bracketed(10)), &terms());
    assert!(done.fills.is_empty(), "{done:?}");
}

#[test]
fn a_sparse_symbol_is_liquidated_at_its_last_bar_of_the_session() {
    let mut columns = minutes(OPEN, &[FLAT, FLAT, [10.0, 10.0, 10.0, 9.5]]);
    columns.push(utc(OPEN) + DAY, [50.0, 50.0, 50.0, 50.0, 100.0]);
    let done = go(&columns, once(OPEN, bracketed(10)), &terms());
    assert_eq!(legs(&done), [leg(10, "13:33", 9.5, "session_end")]);
    assert_eq!(done.bars_held, 1, "a bar that ends in a liquidation isn't held");
}

#[test]
fn a_pending_entry_does_not_survive_the_session() {
    let mut columns = minutes(OPEN, &[FLAT, FLAT]);
    columns.push(utc(OPEN) + DAY, [10.0; 5]);
    columns.push(utc(OPEN) + DAY + MINUTE, [10.0; 5]);
    let done = go(&columns, once("2024-07-01T13:31:00Z", bracketed(10)), &terms());
    assert!(done.fills.is_empty());
}

#[test]
fn an_open_position_is_sold_at_the_close_of_the_last_bar() {
    let columns = minutes(OPEN, &[FLAT, FLAT, [10.0, 13.0, 10.0, 12.0]]);
    let done = go(&columns, once(OPEN, Order::buy(Size::Shares(10))), &terms());
    assert_eq!(legs(&done), [leg(10, "13:33", 12.0, "end_of_data")]);
    assert_eq!(done.bars_held, 2, "held is counted before that sale");
    assert_eq!(done.equity, [(date("2024-07-01"), 100_020.0)]);
}

#[test]
fn share_counts_are_floors_of_true_quotients() {
    // 50,000 / 1.6 is 31,250; a remainder-based division gives 31,249.
    let bar = [1.6; 4];
    let done = go(&minutes(OPEN, &[bar, bar, bar]), once(OPEN, Order::buy(Size::Notional(50_000.0))), &terms());
    assert_eq!(done.fills[0].shares, 31_250.0);
}

#[test]
fn risk_sizing_takes_the_smaller_of_risk_and_cap() {
    let enter = |cap| {
        Order::Enter(Entry { side: Side::Buy, size: Size::RiskFraction { fraction: 0.02, cap }, bracket: bracket() })
    };
    let shares = |cap| go(&minutes(OPEN, &[FLAT, FLAT, FLAT]), once(OPEN, enter(cap)), &terms()).fills[0].shares;
    assert_eq!(shares(1e9), 2_000.0, "2 % of 100,000 over a dollar of risk");
    assert_eq!(shares(15_000.0), 1_500.0);
}

#[test]
fn less_than_a_share_is_no_order() {
    let done = go(&minutes(OPEN, &[FLAT, FLAT, FLAT]), once(OPEN, Order::buy(Size::Notional(9.99))), &terms());
    assert!(done.fills.is_empty());
}

fn limited(limits: Limits) -> Terms {
    Terms { limits, ..terms() }
}

#[test]
fn a_position_cap_limits_every_kind_of_size() {
    let terms = limited(Limits { max_position_dollars: Some(55.0), ..Limits::default() });
    let done = go(&minutes(OPEN, &[FLAT, FLAT, FLAT]), once(OPEN, Order::buy(Size::Shares(100))), &terms);
    assert_eq!(done.fills[0].shares, 5.0);
}

#[test]
fn the_daily_loss_stops_entries_but_no_exit_and_is_forgotten_overnight() {
    let drop = [10.0, 10.0, 8.0, 10.0];
    let mut columns = minutes(OPEN, &[FLAT, drop, FLAT, FLAT, FLAT]);
    for i in 0..3 {
        columns.push(utc(OPEN) + DAY + i * MINUTE, [10.0; 5]);
    }
    let strategy = OrderAt { again: true, ..once(OPEN, bracketed(100)) };
    let limits =
        |dollars| limited(Limits { max_daily_loss: Some(DailyLoss { dollars, fraction: 1.0 }), ..Limits::default() });
    // The stop loses exactly 100 dollars: at the limit entries stop.
    let done = go(&columns, strategy, &limits(100.0));
    let days: Vec<String> = done.fills.iter().map(|f| iso_utc(f.entered)[..10].to_owned()).collect();
    assert_eq!(days, ["2024-07-01", "2024-07-02"]);
    // The last bar of a session takes no entry and counts no block.
    assert_eq!(done.blocks, [(Block::MaxDailyLoss, 2)]);
    assert_eq!(go(&columns, strategy, &limits(100.01)).fills.len(), 3);
}

#[test]
fn entries_are_counted_per_session() {
    let drop = [10.0, 10.0, 9.0, 10.0];
    let columns = minutes(OPEN, &[FLAT, drop, FLAT, drop, FLAT, drop, FLAT, FLAT]);
    let strategy = OrderAt { again: true, ..once(OPEN, bracketed(10)) };
    let done = go(&columns, strategy, &limited(Limits { max_trades_per_day: Some(2), ..Limits::default() }));
    assert_eq!(done.fills.len(), 2);
    assert_eq!(done.blocks.first().map(|b| b.0), Some(Block::MaxTradesPerDay));
}

fn portfolio(names: &[&str], columns: &Columns, strategy: OrderAt, terms: &Terms) -> Uncounted<Replay> {
    let instruments: Vec<Instrument<'_, OrderAt>> =
        names.iter().map(|name| Instrument { history: columns.history(name, Timeframe::Minute), strategy }).collect();
    replay(&instruments, terms, &mut ()).expect("replays")
}

#[test]
fn open_positions_and_pending_entries_count_together_alphabetically() {
    let columns = minutes(OPEN, &[FLAT, FLAT, FLAT]);
    let terms = limited(Limits { max_open_positions: Some(2), ..Limits::default() });
    let done = portfolio(&["CCC", "AAA", "BBB"], &columns, once(OPEN, Order::buy(Size::Shares(1))), &terms);
    let symbols: Vec<Symbol> = done.fills.iter().map(|f| f.symbol).collect();
    assert_eq!(symbols, [symbol("AAA"), symbol("BBB")]);
    assert_eq!(done.blocks, [(Block::MaxOpenPositions, 1)]);
    assert_eq!(done.fills.iter().map(|f| f.trade).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn all_opens_come_before_any_close() {
    // AAA's stop frees its slot in phase A of the same minute in which BBB signals in phase B.
    let drop = minutes(OPEN, &[FLAT, FLAT, [10.0, 10.0, 9.0, 10.0], FLAT, FLAT]);
    let history = |name| drop.history(name, Timeframe::Minute);
    let a = Instrument { history: history("BBB"), strategy: once(OPEN, bracketed(10)) };
    let b = Instrument { history: history("AAA"), strategy: once("2024-07-01T13:32:00Z", bracketed(10)) };
    let terms = limited(Limits { max_open_positions: Some(1), ..Limits::default() });
    let done = replay(&[a, b], &terms, &mut ()).expect("replays");
    let order: Vec<&str> = done.fills.iter().map(|f| if f.symbol == symbol("AAA") { "AAA" } else { "BBB" }).collect();
    assert_eq!((order, done.blocks.len()), (vec!["BBB", "AAA"], 0));
}

#[test]
fn a_symbol_with_its_own_minutes_merges_by_time() {
    let every = minutes(OPEN, &[FLAT; 6]);
    let mut sparse = Columns::default();
    for minute in [1, 4, 5] {
        sparse.push(utc(OPEN) + minute * MINUTE, [20.0; 5]);
    }
    let order = Order::buy(Size::Shares(1));
    let first =
        Instrument { history: every.history("ZZZ", Timeframe::Minute), strategy: once("2024-07-01T13:31:00Z", order) };
    let second =
        Instrument { history: sparse.history("AAA", Timeframe::Minute), strategy: once("2024-07-01T13:31:00Z", order) };
    let done = replay(&[first, second], &terms(), &mut ()).expect("replays");
    let entries: Vec<(String, String)> =
        done.fills.iter().map(|f| (f.symbol.to_string(), iso_utc(f.entered))).collect();
    assert!(entries.contains(&("ZZZ".into(), "2024-07-01T13:32:00Z".into())), "{entries:?}");
    assert!(entries.contains(&("AAA".into(), "2024-07-01T13:34:00Z".into())), "{entries:?}");
    assert_eq!(done.bars, 9);
}

#[test]
fn a_symbol_given_twice_and_a_period_without_bars_are_refused() {
    let columns = minutes(OPEN, &[FLAT; 3]);
    let twin = || Instrument { history: columns.history("AMC", Timeframe::Minute), strategy: once(OPEN, bracketed(1)) };
    assert!(replay(&[twin(), twin()], &terms(), &mut ()).is_err());
    let later = Terms { start: date("2025-01-02"), ..terms() };
    assert!(replay(&[twin()], &later, &mut ()).is_err());
}
