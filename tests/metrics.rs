//! Every figure on a replay small enough to work out by hand (B9).

use magellan::account::{By, Fill, Place, Totals};
use magellan::bar::{DAY, HOUR, Timeframe};
use magellan::history::History;
use magellan::metrics::{Cause, Measure, Metrics, buy_and_hold};
use magellan::order::{Reason, Side};
use magellan::replay::Replay;

use crate::support::{Columns, date, symbol, utc};

fn near(measure: Measure, expected: f64) {
    let value = measure.value().unwrap_or_else(|| panic!("{measure:?}"));
    assert!((value - expected).abs() <= 1e-12 * expected.abs().max(1.0), "{value} is not {expected}");
}

fn fill(trade: u32, hours: i64, profit: f64) -> Fill {
    let entered = utc("2024-07-01T14:00:00Z");
    Fill {
        trade,
        symbol: symbol("AMC"),
        side: Side::Buy,
        entered,
        entry_price: 10.0,
        shares: 100.0,
        exited: entered + hours * HOUR,
        exit_price: 10.0 + profit / 100.0,
        reason: Reason::Stop,
        profit,
        fees: 0.0,
        by: By::Account,
        entry_order: 0,
        place: Place::default(),
        entry_place: Place::default(),
    }
}

fn replay(equity: &[(&str, f64)], fills: Vec<Fill>) -> Replay {
    Replay {
        returns_per_year: 252.0,
        calendar: magellan::calendar::Calendar::Xnys,
        capital: 1_000.0,
        equity: equity.iter().map(|(day, worth)| (date(day), *worth)).collect(),
        fills,
        bars: 200,
        bars_held: 50,
        bought: 4_000.0,
        totals: Totals::default(),
        lowest_cash: 0.0,
        blocks: Vec::new(),
        halted_since: None,
        daily: false,
    }
}

#[test]
fn every_figure_is_what_a_pencil_says() {
    // 1000 → 1100 → 990 → 1089: returns +10 %, -10 %, +10 %.
    let equity = [("2024-07-01", 1_100.0), ("2024-07-02", 990.0), ("2024-07-05", 1_089.0)];
    // Trade 1 wins 60 in two legs, trade 2 loses 20, trade 3 loses 10, trade 4 gains nothing.
    let fills = vec![fill(1, 1, 100.0), fill(2, 3, -20.0), fill(1, 5, -40.0), fill(3, 1, -10.0), fill(4, 2, 0.0)];
    let m = Metrics::new(&replay(&equity, fills), &[1.0, 1.1, 1.21]);
    near(m.total_return, 0.089);
    let mean = 0.1 / 3.0;
    let deviation = ((2.0 * (0.1 - mean) * (0.1 - mean) + (0.1 + mean) * (0.1 + mean)) / 2.0f64).sqrt();
    near(m.sharpe, mean / deviation * 252f64.sqrt());
    near(m.sortino, mean / (0.01f64 / 3.0).sqrt() * 252f64.sqrt());
    near(m.volatility, deviation * 252f64.sqrt());
    near(m.max_drawdown, -0.1);
    assert_eq!(m.cagr, Measure::Undefined(Cause::TooFewSessions), "three sessions");
    assert_eq!(m.calmar, Measure::Undefined(Cause::TooFewSessions));
    near(m.best_day, 0.1);
    near(m.worst_day, -0.1);
    assert_eq!(m.longest_drawdown_days, 4, "from the peak of July 1 to the end");
    assert_eq!((m.trades, m.sessions, m.max_consecutive_losses), (4, 3, 2));
    near(m.win_rate, 0.25);
    assert_eq!((m.gross_win, m.gross_loss), (60.0, 30.0));
    near(m.profit_factor, 2.0);
    near(m.avg_trade_pnl, 7.5);
    near(m.avg_win, 60.0);
    near(m.avg_loss, -10.0);
    near(m.expectancy_ret, (60.0 / 2_000.0 - 0.02 - 0.01) / 4.0);
    near(m.exposure, 0.25);
    near(m.avg_holding_hours, (5.0 + 3.0 + 1.0 + 2.0) / 4.0);
    let sold = 5_000.0 + 30.0;
    near(m.turnover, (4_000.0 + sold) / ((1_100.0 + 990.0 + 1_089.0) / 3.0) / (3.0 / 252.0));
    near(m.benchmark_return, 0.21);
    assert_eq!(m.beta, Measure::Undefined(Cause::BenchmarkDidNotMove), "its two returns are equal");
}

/// A week isn't compounded to a year.
#[test]
fn growth_is_compounded_to_a_year_from_63_sessions_on() {
    let days: Vec<_> = magellan::calendar::sessions(date("2024-07-01"), date("2024-12-31")).map(|s| s.date).collect();
    let of = |count: usize| {
        let equity = (0..count).map(|i| (days[i], if i == 0 { 900.0 } else { 1_000.0 + i as f64 })).collect();
        *Metrics::new(&Replay { equity, ..replay(&[], Vec::new()) }, &[])
    };
    for short in [1, 5, 62] {
        let m = of(short);
        assert_eq!((m.cagr, m.calmar), (Measure::Undefined(Cause::TooFewSessions), m.cagr), "{short} sessions");
        assert!(short == 1 || m.sharpe.value().is_some(), "a ratio of returns isn't compounded");
    }
    let m = of(63);
    let grown = 1.062f64.powf(365.25 / f64::from(days[62].0 - days[0].0)) - 1.0;
    near(m.cagr, grown);
    near(m.calmar, grown / 0.1);
}

/// Cash after each entry: sales of the same bar come first, but never before what they sell was bought.
#[test]
fn cash_below_zero_by_hand() {
    let trade = |trade: u32, entered: i64, exited: i64, shares: u32, profit: f64| Fill {
        entered: fill(1, 0, 0.0).entered + entered * HOUR,
        exited: fill(1, 0, 0.0).entered + exited * HOUR,
        shares: f64::from(shares),
        profit,
        ..fill(trade, 1, profit)
    };
    // 1000 dollars. 0 h: buys for 600, then for 500: -100. 1 h: the first is sold for 650, then 700 are spent: -150.
    // 2 h: the second is sold for 480; bought for 200 and sold at once: 130.
    let fills = vec![
        trade(1, 0, 1, 60, 50.0),
        trade(2, 0, 2, 50, -20.0),
        trade(4, 2, 2, 20, 10.0),
        trade(3, 1, 3, 30, 5.0),
        trade(3, 1, 4, 40, 5.0),
    ];
    let cash = magellan::metrics::Cash::of(&replay(&[], fills));
    assert_eq!((cash.entries, cash.below_zero, cash.lowest), (4, 2, -150.0));
    let hour = |h: i64| Some(fill(1, 0, 0.0).entered + h * HOUR);
    assert_eq!((cash.first_at, cash.lowest_at), (hour(0), hour(1)));
    let idle = magellan::metrics::Cash::of(&replay(&[], Vec::new()));
    assert_eq!((idle.entries, idle.below_zero, idle.lowest, idle.lowest_at), (0, 0, 1_000.0, None));
}

#[test]
fn beta_is_covariance_over_variance() {
    let equity = [("2024-07-01", 1_000.0), ("2024-07-02", 1_020.0), ("2024-07-03", 1_020.0 * 0.96)];
    let m = Metrics::new(&replay(&equity, Vec::new()), &[1.0, 1.01, 1.01 * 0.98]);
    // Twice the benchmark, day by day.
    near(m.beta, 2.0);
}

#[test]
fn without_trades_nothing_is_invented() {
    let m = Metrics::new(&replay(&[("2024-07-01", 1_000.0), ("2024-07-02", 1_000.0)], Vec::new()), &[1.0, 1.0]);
    for undefined in [
        m.sharpe,
        m.sortino,
        m.calmar,
        m.win_rate,
        m.profit_factor,
        m.avg_win,
        m.avg_loss,
        m.avg_trade_pnl,
        m.expectancy_ret,
        m.avg_holding_hours,
    ] {
        assert!(matches!(undefined, Measure::Undefined(_)), "{undefined:?}");
    }
    assert_eq!((m.trades, m.gross_win, m.gross_loss), (0, 0.0, 0.0));
    assert_eq!(m.total_return, Measure::Defined(0.0));
}

#[test]
fn no_metric_is_ever_nan_in_json() {
    let ruin = replay(&[("2024-07-01", -500.0), ("2024-07-02", 0.0), ("2024-07-03", f64::NAN)], Vec::new());
    for done in [ruin, replay(&[("2024-07-01", 1_000.0)], Vec::new()), replay(&[], Vec::new())] {
        let m = Metrics::new(&done, &[]);
        for measure in [
            m.total_return,
            m.cagr,
            m.sharpe,
            m.sortino,
            m.max_drawdown,
            m.calmar,
            m.volatility,
            m.best_day,
            m.worst_day,
            m.turnover,
            m.beta,
            m.exposure,
        ] {
            assert!(measure.value().is_none_or(f64::is_finite), "{measure:?}");
        }
    }
}

#[test]
fn the_benchmark_buys_equal_amounts_at_the_first_closes_and_knows_splits() {
    let mut a = Columns::default();
    let mut b = Columns::default();
    for (day, (x, y)) in [(10.0, 100.0), (12.0, 100.0), (6.0, 90.0)].into_iter().enumerate() {
        let at = utc("2024-07-01T00:00:00Z") + day as i64 * DAY;
        a.push(at, [x; 5]);
        b.push(at, [y; 5]);
    }
    let (a, b) = (a.history("AMC", Timeframe::Day), b.history("GME", Timeframe::Day));
    fn worth(a: &History<'_>, b: &History<'_>) -> Vec<f64> {
        buy_and_hold(&[a, b], date("2024-07-01"), date("2024-07-03"))
    }
    // AMC splits 2:1 before July 3: 12 becomes 6, which is no loss.
    let a = a.splitting([(date("2024-07-03"), 2.0)]);
    assert_eq!(worth(&a, &b), [2.0, 2.2, 1.2 + 0.9]);
    // GME pays 4 dollars on July 2, and 1 before it is bought; AMC's half dollar of July 2 is a quarter of a share of July 3.
    let b = b.paying([(date("2024-07-01"), 1.0), (date("2024-07-02"), 4.0)]);
    let a = a.paying([(date("2024-07-02"), 0.5)]);
    assert_eq!(worth(&a, &b), [2.0, 1.25 + 1.04, 1.25 + 0.94]);
    // Half of AMC's last price is lost when it is delisted.
    let a = a.delisted(date("2024-07-03"), 0.5);
    assert_eq!(worth(&a, &b)[2], 0.65 + 0.94);
}

#[test]
fn ruin_has_no_sharpe_to_flatter_it() {
    // Losses on a debt are positive returns: -10, -20, -40 would read as doubling.
    let ruin = [("2024-07-01", -10.0), ("2024-07-02", -20.0), ("2024-07-03", -40.0)];
    let m = Metrics::new(&replay(&ruin, Vec::new()), &[1.0, 1.0, 1.0]);
    for measure in [m.sharpe, m.sortino, m.volatility, m.best_day, m.worst_day, m.turnover, m.beta, m.cagr, m.calmar] {
        assert!(measure.value().is_none(), "{measure:?}");
    }
}
