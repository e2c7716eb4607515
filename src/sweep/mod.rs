//! Many parameter points over the same bars.
//!
//! Indicator columns are computed once for all points that share them, and points run on all threads. A strategy that
//! declares its rules ([`Strategy::rules`]) is replayed 64 bars an addition (`carry.rs`), with the same bits as the loop
//! of [`replay`](crate::replay); any other takes that loop. Memory holds the columns in use and the results, never
//! points times bars.

mod batch;
mod carry;
pub mod grid;
mod tape;

use rayon::prelude::*;

use crate::account::Conditions;
use crate::bar::Date;
use crate::calendar;
use crate::error::{Error, Result, codes};
use crate::history::History;
use crate::indicator::Columns;
use crate::metrics::{Benchmark, Metrics, Outcome, Trading};
use crate::replay::crossings::Crossings;
use crate::replay::{Terms, replay_passing_over, replay_shared};
use crate::strategy::Strategy;
use crate::uncounted::Uncounted;
use batch::{Batch, batches};
use carry::{Carry, Scratch};
use tape::Tape;

/// How points are replayed. The results are the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// By declared rules, if a strategy has them.
    Fast,
    /// By a call of `decide` at every bar.
    Plain,
}

/// The account, bars and memory of a sweep.
#[derive(Clone, Copy, Debug)]
pub struct Sweep<'a> {
    /// The symbols of one account.
    pub histories: &'a [History<'a>],
    /// Money, costs, limits and the period.
    pub terms: Terms,
    /// What points are compared with.
    pub benchmark: &'a Benchmark,
    /// Bytes that indicator columns and their crossings may take. One point may take what it needs.
    pub memory: usize,
    /// How points are replayed.
    pub how: How,
}

/// What a point was worth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PointResult<'a> {
    /// All figures.
    pub metrics: Metrics,
    /// Trades by direction, costs by kind, and what was refused.
    pub trading: Trading,
    /// Its sessions.
    pub dates: &'a [Date],
    /// Equity after each of them, dollars.
    pub equity: &'a [f64],
}

/// The first of so many points is replayed a second time, by the loop, and compared.
const CHECKED: usize = 1_000;
/// Sweeps of fewer points rely on the property tests.
const CHECKED_FROM: usize = 16;

impl Sweep<'_> {
    /// Replays every point. Keeps what `keep` makes of a point's index and result, in the order of the points.
    ///
    /// # Errors
    /// As [`crate::replay::replay`]; refused if declared rules turn out not to be what `decide` answers.
    pub fn run<S: Strategy, R: Send>(
        &self,
        points: &[S],
        keep: impl Fn(usize, &PointResult<'_>) -> R + Sync,
    ) -> Result<Uncounted<Vec<R>>> {
        let tape = match (self.histories, self.how) {
            ([only], How::Fast) if size_of::<S::State>() == 0 && self.is_plain(only) => {
                Tape::new(only, &self.terms, points.len())
            }
            _ => None,
        };
        let bars: usize = self.histories.iter().map(History::len).sum();
        let mut done: Vec<(usize, R)> = Vec::with_capacity(points.len());
        for batch in batches(points, bars, self.memory, tape.is_some()) {
            done.extend(self.run_batch(points, &batch, tape.as_ref(), &keep)?);
        }
        done.sort_by_key(|(i, _)| *i);
        Ok(Uncounted::new(done.into_iter().map(|(_, result)| result).collect()))
    }

    /// Whether an addition can express the account: one without checks, whose costs are the same on all days.
    fn is_plain(&self, history: &History<'_>) -> bool {
        let Terms { costs, conditions, .. } = self.terms;
        let same_on_all_days = !costs.has_share_costs() || history.shares_of_one(calendar::FIRST) == 1.0;
        conditions == Conditions::UNLIMITED && costs.fee_min == 0.0 && same_on_all_days && history.is_without_actions()
    }

    /// Replays the points of one batch, on all threads.
    fn run_batch<S: Strategy, R: Send>(
        &self,
        points: &[S],
        batch: &Batch,
        tape: Option<&Tape<'_>>,
        keep: &(impl Fn(usize, &PointResult<'_>) -> R + Sync),
    ) -> Result<Vec<(usize, R)>> {
        // One with memory is shown the bars before the period.
        let from = if size_of::<S::State>() == 0 { self.terms.start } else { calendar::FIRST };
        let sessions = |h: &History<'_>| h.sessions_between(from, self.terms.end);
        let of_history = |h| Columns::of_sessions(h, sessions(h), &batch.indicators);
        let columns: Vec<Columns> = self.histories.iter().map(of_history).collect();
        let crossings = tape.map(|tape| {
            let bars = tape.before..tape.before + tape.len();
            (tape, Crossings::new(&columns[0], &bars, &batch.tests))
        });
        let of_period = |(h, columns): (&History<'_>, &Columns)| {
            Crossings::new(columns, &h.bars_between(self.terms.start, self.terms.end), &batch.needs)
        };
        let needs: Vec<Crossings> = self.histories.iter().zip(&columns).map(of_period).collect();
        let run_point = |scratch: &mut Scratch, &i: &usize| {
            let point = &points[i];
            let checked = self.how == How::Fast && points.len() >= CHECKED_FROM && i.is_multiple_of(CHECKED);
            let check_and_keep = |result: &PointResult<'_>| {
                if checked && !self.by_loop(How::Plain, point, &columns, &needs, |plain| plain == result)? {
                    return Err(disagreement::<S>(i));
                }
                Ok(keep(i, result))
            };
            let fast = crossings.as_ref().and_then(|(tape, crossings)| self.carry(point, tape, crossings, scratch));
            let kept = match fast {
                None => self.by_loop(self.how, point, &columns, &needs, check_and_keep)?,
                Some(outcome) => {
                    let (metrics, trading) =
                        (Metrics::of(&outcome, self.benchmark), Trading::unrefused(&outcome.tally));
                    check_and_keep(&PointResult { metrics, trading, dates: outcome.dates, equity: outcome.equity })
                }
            };
            Ok((i, kept?))
        };
        batch.points.par_iter().map_init(Scratch::default, run_point).collect()
    }

    /// By the loop, which is the definition; [`How::Fast`] passes over bars where a strategy allows it.
    fn by_loop<S: Strategy, R>(
        &self,
        how: How,
        point: &S,
        columns: &[Columns],
        needs: &[Crossings],
        keep: impl FnOnce(&PointResult<'_>) -> R,
    ) -> Result<R> {
        let instruments: Vec<_> = self.histories.iter().zip(columns).map(|(h, c)| (h, c, *point)).collect();
        let replay = match how {
            How::Fast => replay_passing_over(&instruments, Some(needs), &self.terms)?,
            How::Plain => replay_shared(&instruments, &self.terms, &mut ())?.into_inner(),
        };
        let (dates, equity): (Vec<Date>, Vec<f64>) = replay.equity.iter().copied().unzip();
        let (metrics, trading) = (Metrics::against(&replay, self.benchmark), Trading::of(&replay));
        Ok(keep(&PointResult { metrics, trading, dates: &dates, equity: &equity }))
    }

    /// By declared rules, if the strategy has any that an addition can express.
    fn carry<'s, S: Strategy>(
        &self,
        point: &S,
        tape: &'s Tape<'_>,
        crossings: &Crossings,
        scratch: &'s mut Scratch,
    ) -> Option<Outcome<'s>> {
        let rules = point.rules()?;
        let indicators = point.indicators();
        let [enter, exit] = [&rules.enter, &rules.exit].map(|tests| crossings.all_of(tests, indicators.as_ref()));
        let warm = point.warmup().saturating_sub(tape.before);
        Carry { tape, terms: &self.terms, enter: &enter, exit: &exit, size: rules.size, warm }.run(scratch)
    }
}

fn disagreement<S: Strategy>(point: usize) -> Error {
    let what = format!(
        "{}: its rules or needs don't say what its decide does (point {point} of those replayed together)",
        S::NAME
    );
    Error::new(codes::RULES_DISAGREE, what)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Just, ProptestConfig, prop, prop_assert_eq, prop_assume, prop_oneof, proptest};
    use proptest::strategy::Strategy as Generator;

    use super::batch::tests_of;
    use super::*;
    use crate::account::AccountKind;
    use crate::bar::{Bars, MINUTE, Nanos, Timeframe};
    use crate::costs::Costs;
    use crate::history::Hours;
    use crate::indicator::{Field, Indicator};
    use crate::metrics::buy_and_hold;
    use crate::order::{Bracket, Entry, Order, Reason, Side, Size};
    use crate::replay::{Instrument, replay};
    use crate::risk::{DailyLoss, Limits};
    use crate::strategy::{Now, Rules, Test};

    /// Buys above a level of one column and, if `both`, below one of another; sells below.
    #[derive(Clone, Copy, Debug)]
    struct Levels {
        period: u32,
        upper: f64,
        lower: f64,
        most: f64,
        size: Size,
        warmup: usize,
    }

    impl Strategy for Levels {
        const NAME: &'static str = "levels";
        type Inputs = [f64; 2];
        type State = ();

        fn indicators(&self) -> [Indicator; 2] {
            [Indicator::sma(self.period), Indicator::Lag { field: Field::Close, bars: 1 }]
        }

        fn warmup(&self) -> usize {
            self.warmup
        }

        fn decide(&self, (): &mut (), now: &Now<[f64; 2]>) -> Option<Order> {
            let [mean, before] = now.inputs;
            match now.position.is_open() {
                false if mean > self.upper && before < self.most => Some(Order::buy(self.size)),
                true if mean < self.lower => Some(Order::Exit(Reason::Signal("low"))),
                _ => None,
            }
        }

        fn rules(&self) -> Option<Rules> {
            Some(Rules {
                enter: vec![Test::above(0, self.upper), Test::below(1, self.most)],
                exit: vec![Test::below(0, self.lower)],
                size: self.size,
                reason: Reason::Signal("low"),
            })
        }
    }

    fn point() -> impl Generator<Value = Levels> {
        let size = prop_oneof![
            (1u64..300).prop_map(Size::Shares),
            (1u32..100_000).prop_map(|dollars| Size::Notional(f64::from(dollars))),
        ];
        let level = || (-8i32..8).prop_map(|step| 20.0 + f64::from(step) * 0.25);
        (1u32..4, level(), level(), level(), size, 0usize..40).prop_map(|(period, upper, lower, most, size, warmup)| {
            Levels { period, upper, lower: lower.min(upper), most: most + 1.0, size, warmup }
        })
    }

    /// Minutes of some sessions with gaps, some of them outside the session.
    fn minutes(gaps: &[u8], steps: &[i8]) -> (Vec<Nanos>, [Vec<f64>; 5]) {
        let mut at = calendar::session("2024-11-27".parse().expect("a date")).open - 30 * MINUTE;
        let mut price = 20.0;
        let (mut start, mut columns): (Vec<Nanos>, [Vec<f64>; 5]) = Default::default();
        for (gap, step) in gaps.iter().zip(steps.iter().cycle()) {
            at += i64::from(*gap) * MINUTE;
            let open = price;
            price = (price + f64::from(*step) / 64.0).max(1.0);
            start.push(at);
            let bar = [open, open.max(price), open.min(price), price, 100.0];
            columns.iter_mut().zip(bar).for_each(|(column, value)| column.push(value));
        }
        (start, columns)
    }

    /// A thousand minutes whose mean of two crosses 20.03 and 20.08 again and again.
    fn ordinary_minutes() -> (Vec<Nanos>, [Vec<f64>; 5]) {
        minutes(&[1; 1_000], &[7, -9, 4, -3, 8, -6, 2, 9, -12])
    }

    fn history<'a>(start: &'a [Nanos], columns: &'a [Vec<f64>; 5]) -> History<'a> {
        let [o, h, l, c, v] = columns;
        let bars = Bars::new(Timeframe::Minute, start, [o, h, l, c, v]).expect("ordered");
        History::new("AMC".parse().expect("a symbol"), bars, Hours::Regular).expect("covered")
    }

    fn terms(costs: (u8, u8, u8), limits: Limits, sessions: &[crate::history::SessionBars], skipped: usize) -> Terms {
        let (slippage, per_share, bps) = costs;
        let costs = Costs {
            slippage_bps: f64::from(slippage),
            fee_per_share: f64::from(per_share) / 1e3,
            fee_bps: f64::from(bps) / 10.0,
            ..Costs::default()
        };
        let start = sessions[skipped.min(sessions.len() - 1)].session.date;
        Terms { capital: 10_000.0, costs, conditions: Conditions::UNLIMITED, limits, start, end: calendar::LAST }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        /// Whatever bars, levels, sizes, costs and limits: figures and session equity are the
        /// same bits, whether by declared rules or by the loop.
        #[test]
        fn declared_rules_give_the_bits_of_the_loop(
            gaps in prop::collection::vec(prop_oneof![8 => 1u8..4, 1 => 60u8..255], 2..700),
            steps in prop::collection::vec(-20i8..20, 1..300),
            points in prop::collection::vec(point(), 1..90),
            costs in (0u8..30, 0u8..20, 0u8..20),
            most_trades in prop::option::of(1u32..12),
            daily_loss in prop::option::of(1u32..400),
            cap in prop::option::of(500u32..9_000),
            skipped in 0usize..3,
            memory in prop_oneof![Just(0), Just(1usize << 14), Just(1 << 28)],
        ) {
            let (start, columns) = minutes(&gaps, &steps);
            let history = history(&start, &columns);
            prop_assume!(!history.is_empty());
            let limits = Limits {
                max_trades_per_day: most_trades,
                max_daily_loss: daily_loss.map(|d| DailyLoss { dollars: f64::from(d), fraction: 0.5 }),
                max_position_dollars: cap.map(f64::from),
                max_open_positions: Some(1),
                halt: None,
            };
            let terms = terms(costs, limits, history.sessions(), skipped);
            let benchmark = Benchmark::new(&buy_and_hold(&[&history], terms.start, terms.end));
            let run = |how| {
                let sweep = Sweep { histories: std::slice::from_ref(&history), terms, benchmark: &benchmark, memory, how };
                let keep = |i: usize, result: &PointResult<'_>| (i, result.metrics, result.trading, result.dates.to_vec(), result.equity.to_vec());
                sweep.run(&points, keep).expect("there are bars")
            };
            let (fast, plain) = (run(How::Fast), run(How::Plain));
            for (fast, plain) in fast.iter().zip(&*plain) {
                prop_assert_eq!(fast, plain);
            }
        }
    }

    /// Bars, points and terms of an ordinary sweep: nothing here should need the loop.
    #[test]
    fn ordinary_points_do_not_fall_back_to_the_loop() {
        let (start, columns) = ordinary_minutes();
        let history = history(&start, &columns);
        let limits = Limits {
            max_trades_per_day: Some(1_000),
            max_daily_loss: Some(DailyLoss { dollars: 10_000.0, fraction: 0.5 }),
            max_open_positions: Some(2),
            ..Limits::default()
        };
        let terms = terms((1, 0, 0), limits, history.sessions(), 0);
        let point = Levels { period: 2, upper: 20.08, lower: 20.03, most: 99.0, size: Size::Notional(1e4), warmup: 5 };
        let tape = Tape::new(&history, &terms, 1).expect("bars");
        let columns = Columns::compute(&history, &point.indicators());
        let crossings = Crossings::new(
            &columns,
            &(tape.before..tape.before + tape.len()),
            &tests_of(&point, &point.indicators()).into_iter().collect(),
        );
        let benchmark = Benchmark::default();
        let sweep = Sweep {
            histories: std::slice::from_ref(&history),
            terms,
            benchmark: &benchmark,
            memory: 0,
            how: How::Fast,
        };
        let mut scratch = Scratch::default();
        let outcome = sweep.carry(&point, &tape, &crossings, &mut scratch).expect("declared rules");
        assert!(Metrics::of(&outcome, &benchmark).trades > 30);
    }

    /// Sells short above 20.05 dollars, covers below.
    #[derive(Clone, Copy)]
    struct Short {
        shares: u64,
    }

    impl Strategy for Short {
        const NAME: &'static str = "short";
        type Inputs = [f64; 0];
        type State = ();

        fn indicators(&self) -> [Indicator; 0] {
            []
        }

        fn warmup(&self) -> usize {
            0
        }

        fn decide(&self, (): &mut (), now: &Now<[f64; 0]>) -> Option<Order> {
            let size = Size::Shares(self.shares);
            match (now.position.is_open(), now.bar.close > 20.05) {
                (false, true) => Some(Order::Enter(Entry { side: Side::Sell, size, bracket: Bracket::NONE })),
                (true, false) => Some(Order::Exit(Reason::Signal("low"))),
                _ => None,
            }
        }
    }

    /// Short trades stand apart from long ones, with what they cost, and with the orders that the account rejected.
    #[test]
    fn a_points_short_trades_costs_and_rejections_are_those_of_its_replay() {
        let (start, columns) = ordinary_minutes();
        let history = history(&start, &columns);
        let kind = AccountKind::Margin { leverage: 1.0 };
        let terms = terms((2, 3, 0), Limits::default(), history.sessions(), 0);
        let terms = Terms { conditions: Conditions { kind, ..Conditions::UNLIMITED }, ..terms };
        let benchmark = Benchmark::default();
        let histories = std::slice::from_ref(&history);
        let sweep = Sweep { histories, terms, benchmark: &benchmark, memory: 0, how: How::Fast };
        let (affordable, too_many) = (Short { shares: 10 }, Short { shares: 10_000 });
        let swept = sweep.run(&[affordable, too_many], |_, result| result.trading).expect("there are bars");
        let alone = Instrument { history: history.clone(), strategy: affordable };
        let totals = replay(&[alone], &terms, &mut ()).expect("there are bars").into_inner().totals;
        let [sold, refused] = swept[..] else { panic!("two points") };
        assert!(sold.short_trades > 10 && sold.short_pnl != 0.0, "{sold:?}");
        assert_eq!((sold.long_trades, sold.long_pnl, sold.rejected_orders), (0, 0.0, 0));
        assert!(sold.commission > 0.0 && sold.slippage > 0.0, "{sold:?}");
        assert_eq!((sold.commission, sold.slippage), (totals.commission, totals.slippage));
        assert!(refused.rejected_orders > 10, "{refused:?}");
        assert_eq!(Trading { rejected_orders: 0, ..refused }, Trading::default());
    }

    /// A sweep that is told other rules than `decide` follows notices.
    #[test]
    fn rules_that_lie_are_refused() {
        #[derive(Clone, Copy)]
        struct Liar(Levels);
        impl Strategy for Liar {
            const NAME: &'static str = "liar";
            type Inputs = [f64; 2];
            type State = ();
            fn indicators(&self) -> [Indicator; 2] {
                self.0.indicators()
            }
            fn warmup(&self) -> usize {
                0
            }
            fn decide(&self, state: &mut (), now: &Now<[f64; 2]>) -> Option<Order> {
                Levels { upper: self.0.upper + 0.5, ..self.0 }.decide(state, now)
            }
            fn rules(&self) -> Option<Rules> {
                self.0.rules()
            }
        }
        let (start, columns) = ordinary_minutes();
        let history = history(&start, &columns);
        let terms = terms((1, 0, 0), Limits::default(), history.sessions(), 0);
        let point = Levels { period: 2, upper: 20.08, lower: 20.03, most: 99.0, size: Size::Notional(1e4), warmup: 5 };
        let benchmark = Benchmark::default();
        let sweep = Sweep { histories: &[history], terms, benchmark: &benchmark, memory: 0, how: How::Fast };
        let refused = sweep.run(&[Liar(point); 100], |_, result| result.metrics.trades).expect_err("a lie");
        assert_eq!(refused.code(), codes::RULES_DISAGREE);
    }
}
