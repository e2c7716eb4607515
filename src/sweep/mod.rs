//! Many parameter points over the same bars.
//!
//! Indicator columns are computed once for all points that share them, and points run on all
//! threads. A strategy that declares its rules ([`Strategy::rules`]) is replayed 64 bars an
//! addition (`carry.rs`), with the same bits as the loop of [`replay`](crate::replay); any other
//! takes that loop. Memory holds the columns in use and the results, never points times bars.

mod carry;
mod crossings;
pub mod grid;
mod tape;

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use rayon::prelude::*;

use crate::bar::Date;
use crate::error::{Error, Result, codes};
use crate::history::History;
use crate::indicator::{Columns, Indicator};
use crate::metrics::{Benchmark, Metrics, Outcome};
use crate::replay::{Terms, replay_passing_over, replay_shared};
use crate::strategy::{Side, Strategy, Test};
use crate::uncounted::Uncounted;
use carry::{Carry, Scratch};
use crossings::{WORD, crossings};
use tape::Tape;

/// How points are replayed. The results are the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// By declared rules where a strategy has them.
    Fast,
    /// By asking `decide` at every bar.
    Plain,
}

/// Bars, money and means of a sweep.
#[derive(Clone, Copy, Debug)]
pub struct Sweep<'a> {
    /// The symbols of one account.
    pub histories: &'a [History<'a>],
    /// Money, costs, limits and the period.
    pub terms: Terms,
    /// What points are compared with.
    pub benchmark: &'a Benchmark,
    /// Indicator columns and their crossings may take this much, bytes; or what one point needs.
    pub memory: usize,
    /// How points are replayed.
    pub how: How,
}

/// What a point was worth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judged<'a> {
    /// All figures.
    pub metrics: Metrics,
    /// Its sessions.
    pub dates: &'a [Date],
    /// Equity after each of them, dollars.
    pub equity: &'a [f64],
}

/// The first of so many points that took a fast way is replayed by the loop as well.
const CHECKED: usize = 1_000;
/// Fewer points rely on the property tests.
const CHECKED_FROM: usize = 16;

impl Sweep<'_> {
    /// Replays every point and keeps what `judge` makes of its number, figures and session
    /// equity, in the order of the points.
    ///
    /// # Errors
    /// As [`crate::replay::replay`]; refused if declared rules turn out not to be what `decide`
    /// answers.
    pub fn run<S: Strategy, R: Send>(
        &self,
        points: &[S],
        judge: impl Fn(usize, &Judged<'_>) -> R + Sync,
    ) -> Result<Uncounted<Vec<R>>> {
        let tape = match (self.histories, self.how) {
            ([only], How::Fast) if size_of::<S::State>() == 0 => Tape::new(only, &self.terms, points.len()),
            _ => None,
        };
        let bars: usize = self.histories.iter().map(History::len).sum();
        let mut done: Vec<(usize, R)> = Vec::with_capacity(points.len());
        for batch in batches(points, bars, self.memory, tape.is_some()) {
            let columns: Vec<Columns> =
                self.histories.iter().map(|h| Columns::compute_parallel(h, &batch.indicators)).collect();
            let crossed = tape.as_ref().map(|tape| Crossed::new(tape, &columns[0], &batch.tests));
            let judged: Vec<(usize, R)> = batch
                .points
                .par_iter()
                .map_init(Scratch::default, |scratch, &i| {
                    let point = &points[i];
                    let outcome = match (&tape, &crossed) {
                        (Some(tape), Some(crossed)) => self.carry(point, tape, crossed, scratch),
                        _ => None,
                    };
                    let judged = |judged: &Judged<'_>| -> Result<R> {
                        let check = self.how == How::Fast && points.len() >= CHECKED_FROM && i.is_multiple_of(CHECKED);
                        if check && !self.by_loop(How::Plain, point, &columns, |plain| plain == judged)? {
                            return Err(disagreement::<S>(i));
                        }
                        Ok(judge(i, judged))
                    };
                    let result = match outcome {
                        None => self.by_loop(self.how, point, &columns, judged)?,
                        Some(outcome) => {
                            let metrics = Metrics::of(&outcome, self.benchmark);
                            judged(&Judged { metrics, dates: outcome.dates, equity: outcome.equity })
                        }
                    };
                    Ok((i, result?))
                })
                .collect::<Result<_>>()?;
            done.extend(judged);
        }
        done.sort_by_key(|(i, _)| *i);
        Ok(Uncounted::new(done.into_iter().map(|(_, result)| result).collect()))
    }

    /// The loop: the definition, if no bar is passed over.
    fn by_loop<S: Strategy, R>(
        &self,
        how: How,
        point: &S,
        columns: &[Columns],
        judge: impl FnOnce(&Judged<'_>) -> R,
    ) -> Result<R> {
        let desks: Vec<_> = self.histories.iter().zip(columns).map(|(h, c)| (h, c, *point)).collect();
        let replay = match how {
            How::Fast => replay_passing_over(&desks, &self.terms)?,
            How::Plain => replay_shared(&desks, &self.terms, &mut ())?,
        };
        let (dates, equity): (Vec<Date>, Vec<f64>) = replay.equity.iter().copied().unzip();
        Ok(judge(&Judged { metrics: Metrics::against(&replay, self.benchmark), dates: &dates, equity: &equity }))
    }

    /// By declared rules, if it has any that an addition can express.
    fn carry<'s, S: Strategy>(
        &self,
        point: &S,
        tape: &'s Tape<'_>,
        crossed: &Crossed,
        scratch: &'s mut Scratch,
    ) -> Option<Outcome<'s>> {
        let rules = point.rules()?;
        let indicators = point.indicators();
        let [enter, exit] = [&rules.enter, &rules.exit].map(|tests| crossed.all_of(tests, indicators.as_ref()));
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

/// A test of one indicator: side and the level's bits.
type IndicatorTest = (Indicator, Side, u64);

/// Points whose columns are in memory together.
struct Batch {
    indicators: Vec<Indicator>,
    tests: HashSet<IndicatorTest>,
    points: Vec<usize>,
}

/// Points grouped by the indicators they share, cut and joined as memory allows.
fn batches<S: Strategy>(points: &[S], bars: usize, memory: usize, with_rules: bool) -> Vec<Batch> {
    let mut groups: Vec<(Vec<Indicator>, Vec<usize>)> = Vec::new();
    let mut known: HashMap<Vec<Indicator>, usize> = HashMap::new();
    for (i, point) in points.iter().enumerate() {
        let indicators = point.indicators().as_ref().to_vec();
        let group = *known.entry(indicators).or_insert_with_key(|indicators| {
            groups.push((indicators.clone(), Vec::new()));
            groups.len() - 1
        });
        groups[group].1.push(i);
    }
    let (column, bits) = (bars * size_of::<f64>(), bars.div_ceil(WORD) * size_of::<u64>());
    let mut batches = vec![Batch { indicators: Vec::new(), tests: HashSet::new(), points: Vec::new() }];
    let mut taken = 0;
    for (indicators, members) in groups {
        for i in members {
            let mut batch = batches.last_mut().expect("there is always one");
            let tests = if with_rules { tests_of(&points[i], &indicators) } else { Vec::new() };
            let needs = |batch: &Batch| {
                column * indicators.iter().filter(|&i| !batch.indicators.contains(i)).count()
                    + bits * tests.iter().filter(|&t| !batch.tests.contains(t)).count()
            };
            if taken + needs(batch) > memory && !batch.points.is_empty() {
                batches.push(Batch { indicators: Vec::new(), tests: HashSet::new(), points: Vec::new() });
                batch = batches.last_mut().expect("just pushed");
                taken = 0;
            }
            taken += needs(batch);
            for indicator in &indicators {
                if !batch.indicators.contains(indicator) {
                    batch.indicators.push(*indicator);
                }
            }
            batch.tests.extend(tests);
            batch.points.push(i);
        }
    }
    batches
}

fn tests_of<S: Strategy>(point: &S, indicators: &[Indicator]) -> Vec<IndicatorTest> {
    let rules = point.rules();
    let tests = rules.iter().flat_map(|r| r.enter.iter().chain(&r.exit));
    tests.map(|test| (indicators[test.input], test.side, test.level.to_bits())).collect()
}

/// Which bars meet each test of a batch.
struct Crossed {
    bits: HashMap<IndicatorTest, Vec<u64>>,
    words: usize,
}

impl Crossed {
    fn new(tape: &Tape<'_>, columns: &Columns, tests: &HashSet<IndicatorTest>) -> Self {
        let mut levels: HashMap<(Indicator, Side), Vec<u64>> = HashMap::new();
        for &(indicator, side, level) in tests {
            levels.entry((indicator, side)).or_default().push(level);
        }
        let bits = levels.into_par_iter().flat_map_iter(|((indicator, side), levels)| {
            let column = &columns.get(indicator)[tape.before..tape.before + tape.len()];
            let values: Vec<f64> = levels.iter().map(|&bits| f64::from_bits(bits)).collect();
            let keys = levels.into_iter().map(move |level| (indicator, side, level));
            keys.zip(crossings(column, side, &values))
        });
        Self { bits: bits.collect(), words: tape.len().div_ceil(WORD) }
    }

    /// The bars that meet all tests.
    fn all_of(&self, tests: &[Test], indicators: &[Indicator]) -> Cow<'_, [u64]> {
        let bits = |test: &Test| &self.bits[&(indicators[test.input], test.side, test.level.to_bits())][..];
        match tests {
            [] => Cow::Owned(vec![u64::MAX; self.words]),
            [only] => Cow::Borrowed(bits(only)),
            [first, rest @ ..] => {
                let mut all = bits(first).to_vec();
                for test in rest {
                    all.iter_mut().zip(bits(test)).for_each(|(word, bits)| *word &= bits);
                }
                Cow::Owned(all)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Just, ProptestConfig, prop, prop_assert_eq, prop_assume, prop_oneof, proptest};
    use proptest::strategy::Strategy as Generator;

    use super::*;
    use crate::bar::{Bars, MINUTE, Nanos, Timeframe};
    use crate::calendar;
    use crate::costs::Costs;
    use crate::history::Hours;
    use crate::indicator::Field;
    use crate::metrics::buy_and_hold;
    use crate::order::{Order, Reason, Size};
    use crate::risk::{DailyLoss, Limits};
    use crate::strategy::{Now, Rules};

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
        };
        let start = sessions[skipped.min(sessions.len() - 1)].session.date;
        Terms { capital: 10_000.0, costs, limits, start, end: calendar::LAST }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        /// Whatever bars, levels, sizes, costs and limits: figures and session equity are the
        /// same bits, whichever way the sweep took.
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
            let benchmark = Benchmark::new(&buy_and_hold(&[&history], terms.start, terms.end, |_, _| 1.0));
            let run = |how| {
                let sweep = Sweep { histories: std::slice::from_ref(&history), terms, benchmark: &benchmark, memory, how };
                let keep = |i: usize, judged: &Judged<'_>| (i, judged.metrics, judged.dates.to_vec(), judged.equity.to_vec());
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
        let crossed = Crossed::new(&tape, &columns, &tests_of(&point, &point.indicators()).into_iter().collect());
        let benchmark = Benchmark::default();
        let sweep = Sweep {
            histories: std::slice::from_ref(&history),
            terms,
            benchmark: &benchmark,
            memory: 0,
            how: How::Fast,
        };
        let mut scratch = Scratch::default();
        let outcome = sweep.carry(&point, &tape, &crossed, &mut scratch).expect("the fast way");
        assert!(Metrics::of(&outcome, &benchmark).trades > 30);
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
        let refused = sweep.run(&[Liar(point); 100], |_, judged| judged.metrics.trades).expect_err("a lie");
        assert_eq!(refused.code(), codes::RULES_DISAGREE);
    }
}
