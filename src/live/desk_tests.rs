//! The desk against a broker in memory that behaves as Alpaca documents: it fills in parts, answers late or not at all,
//! loses messages, and lets fills win against cancellations.

use std::collections::BTreeMap;

use proptest::prelude::{ProptestConfig, any, prop, prop_assert, prop_assert_eq, proptest};

use super::desk::{Command, Desk, feed_bar};
use super::lifecycle::{Message, State};
use super::record::{BarRecord, DecidedRecord, PartName, Record, Request};
use crate::account::{Account, Form, Leg};
use crate::bar::{Bar, Date, MINUTE, Nanos, Symbol, Timeframe};
use crate::calendar::{self, Session};
use crate::costs::Costs;
use crate::order::{Bracket, Entry, Level, NewStop, Order, Reason, Side, Size, Stop, TakeProfit};
use crate::risk::Limits;
use crate::runner::Broker as _;

fn gme() -> Symbol {
    "GME".parse().expect("a symbol")
}

fn session() -> Session {
    calendar::session("2024-06-03".parse::<Date>().expect("a date"))
}

fn desk() -> Desk {
    let limits = Limits { max_trades_per_day: Some(1_000), ..Limits::default() };
    Desk::new(Account::new(100_000.0, Costs::default(), limits), &[gme()], Timeframe::Minute)
}

/// An order at the broker in memory.
#[derive(Clone, Debug)]
struct Theirs {
    request: Request,
    filled: u64,
    stop_filled: u64,
    main_open: bool,
    /// Whether the stop works: that of an entry is held until all of it is filled.
    stop_open: bool,
}

impl Theirs {
    fn reserved(&self) -> i64 {
        // Of two that cancel each other the shares count once.
        let left = self.request.shares.saturating_sub(self.filled + self.stop_filled) as i64;
        match (self.request.leg, self.main_open, self.stop_open) {
            (Leg::Order(_), _, true) => (self.request.shares - self.stop_filled) as i64,
            (Leg::Order(_), ..) if self.request.side == Side::Buy => 0,
            (_, true, _) => left,
            _ => 0,
        }
    }
}

/// The broker, the desk, and the journal between them.
struct World {
    desk: Desk,
    journal: Vec<Record>,
    theirs: BTreeMap<String, Theirs>,
    position: i64,
    now: Nanos,
    minute: i64,
    dice: u64,
    bought: u64,
    ordered: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let now = session().open;
        let mut world = Self {
            desk: desk(),
            journal: Vec::new(),
            theirs: BTreeMap::new(),
            position: 0,
            now,
            minute: 0,
            dice: seed | 1,
            bought: 0,
            ordered: 0,
        };
        world.record(Record::Opens { date: session().date });
        world
    }

    fn roll(&mut self, sides: u64) -> u64 {
        // xorshift64, Marsaglia 2003.
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        self.dice % sides
    }

    fn record(&mut self, record: Record) {
        self.desk.apply(&record).expect("no contradiction");
        self.journal.push(record);
    }

    fn hear(&mut self, id: &str, part: PartName, message: Message) {
        self.record(Record::Heard { at: self.now, id: id.to_owned(), part, message });
    }

    /// A bar closes, and the strategy orders, or doesn't.
    fn bar(&mut self, price: f64, order: Option<Order>) {
        let start = session().open + self.minute * MINUTE;
        self.minute += 1;
        let bar = Bar {
            start,
            end: start + MINUTE,
            open: price,
            high: price * 1.01,
            low: price * 0.99,
            close: price,
            volume: 1e6,
        };
        self.now = bar.end;
        let feed = feed_bar(gme(), bar, Timeframe::Minute, &session());
        self.desk.bars_trade(&[feed], &session()).expect("trades");
        self.desk.bar_closes(&feed, &session(), &mut Vec::new()).expect("closes");
        self.desk.take_taken();
        let orders: Vec<Order> = order.into_iter().collect();
        self.desk.submit(&feed, &session(), &orders).expect("submits");
        let decided = self.desk.take_taken().into_iter().map(|(symbol, order)| {
            let (text, status) = (format!("{order:?}"), "ordered".to_owned());
            DecidedRecord { symbol, order: text, status, taken: Some(order) }
        });
        let decided = decided.collect();
        let bars = vec![BarRecord::of(gme(), &bar)];
        self.journal.push(Record::Bars { at: self.now, start, end: bar.end, bars, caught_up: false, decided });
    }

    /// Does what the desk wants, with luck or without.
    fn act(&mut self, lucky: bool) {
        for command in self.desk.commands(self.now, &session(), "test") {
            match command {
                Command::Submit { id, symbol, request } => {
                    if self.desk.order(&id).is_none() {
                        self.record(Record::Planned { at: self.now, id: id.clone(), symbol, request });
                    }
                    self.hear(&id, PartName::Main, Message::Sending);
                    let luck = if lucky { 9 } else { self.roll(10) };
                    let known = self.theirs.contains_key(&id);
                    if luck == 0 && !matches!(request.leg, Leg::Stop(_)) && !known {
                        self.hear(&id, PartName::Main, Message::Rejected);
                        continue;
                    }
                    if luck != 1 && !known {
                        self.arrives(&id, request);
                    }
                    match luck {
                        1 | 2 => self.hear(&id, PartName::Main, Message::NoAnswer),
                        _ => self.tell(&id),
                    }
                }
                Command::Cancel { id, part } => {
                    self.hear(&id, part, Message::Cancel);
                    // The fill may win.
                    if !lucky && self.roll(4) == 0 {
                        self.fill(&id);
                    }
                    let theirs = self.theirs.get_mut(&id).expect("it is there");
                    (theirs.main_open, theirs.stop_open) = (false, false);
                    if lucky || self.roll(3) > 0 {
                        self.tell(&id);
                    }
                }
                Command::Move { id, part, stop } => {
                    self.record(Record::Moving { at: self.now, id: id.clone(), part, stop });
                    let broker = format!("{id}/{part:?}");
                    self.record(Record::Named { id, part, broker, stop: Some(stop) });
                }
                Command::LookUp { id } => {
                    if self.theirs.contains_key(&id) {
                        self.tell(&id)
                    } else {
                        self.hear(&id, PartName::Main, Message::Absent)
                    }
                }
            }
        }
    }

    fn arrives(&mut self, id: &str, request: Request) {
        if request.side == Side::Sell {
            let reserved: i64 = self.theirs.values().map(Theirs::reserved).sum();
            assert!(
                reserved + request.shares as i64 <= self.position,
                "{id}: {reserved} of {} shares are reserved, and {} are to be sold",
                self.position,
                request.shares
            );
        } else {
            self.ordered += request.shares;
        }
        let stop_open = matches!(request.form, Form::Either { .. });
        let theirs = Theirs { request, filled: 0, stop_filled: 0, main_open: true, stop_open };
        assert!(self.theirs.insert(id.to_owned(), theirs).is_none(), "{id} twice");
    }

    /// Something of an order fills.
    fn fill(&mut self, id: &str) {
        let whole = self.roll(2) == 0;
        let (of_stop, dice) = (self.roll(2) == 0, self.roll(50) + 1);
        let theirs = self.theirs.get_mut(id).expect("it is there");
        let left = theirs.request.shares - theirs.filled;
        let is_entry = matches!(theirs.request.leg, Leg::Order(_)) && theirs.request.protect.is_some();
        let stop_works = theirs.stop_open;
        if stop_works && (!theirs.main_open || of_stop) {
            let left = if is_entry { theirs.request.shares - theirs.stop_filled } else { left - theirs.stop_filled };
            let part = if whole { left } else { dice.min(left) };
            theirs.stop_filled += part;
            self.position -= part as i64;
            if part == left {
                (theirs.main_open, theirs.stop_open) = (false, false);
            }
        } else if theirs.main_open {
            let left = if is_entry { left } else { left - theirs.stop_filled };
            let part = if whole { left } else { dice.min(left) };
            theirs.filled += part;
            let sign = theirs.request.side.sign();
            self.position += sign * part as i64;
            if sign > 0 {
                self.bought += part;
            }
            if part == left {
                theirs.main_open = false;
                theirs.stop_open = is_entry;
            }
        }
    }

    /// Tells how an order stands, as a look at it does: who it is, what was executed, and last what ended. Otherwise an
    /// order would be over before all of it is told.
    fn tell(&mut self, id: &str) {
        let Some(theirs) = self.theirs.get(id).cloned() else { return };
        for part in [PartName::Main, PartName::Stop] {
            let Some(of) = self.desk.order(id).and_then(|placed| placed.part(part)) else { continue };
            if of.names.is_empty() {
                let broker = format!("{id}/{part:?}");
                self.record(Record::Named { id: id.to_owned(), part, broker, stop: None });
            }
        }
        for part in [PartName::Main, PartName::Stop] {
            let Some(of) = self.desk.order(id).and_then(|placed| placed.part(part)) else { continue };
            let (state, known) = (of.standing.state, of.standing.filled());
            if state == State::Planned {
                self.hear(id, part, Message::Sending);
            }
            let filled = if part == PartName::Main { theirs.filled } else { theirs.stop_filled };
            if filled > known {
                let message =
                    Message::Execution { id: format!("{part:?}:{filled}"), shares: filled - known, price: 10.0 };
                self.hear(id, part, message);
            }
        }
        for part in [PartName::Stop, PartName::Main] {
            let Some(of) = self.desk.order(id).and_then(|placed| placed.part(part)) else { continue };
            let open = theirs.main_open || (part == PartName::Stop && theirs.stop_open);
            match of.standing.state {
                state if state.has_ended() => {}
                State::Sent | State::Unknown if open => self.hear(id, part, Message::Accepted),
                _ if !open => self.hear(id, part, Message::Cancelled),
                _ => {}
            }
        }
    }

    fn tell_all(&mut self) {
        let ids: Vec<String> = self.theirs.keys().cloned().collect();
        ids.iter().for_each(|id| self.tell(id));
    }

    /// What the journal alone makes of an empty desk.
    fn rebuilt(&self) -> Desk {
        let mut desk = desk();
        desk.trust(true);
        // Through its form on the disk.
        for record in &self.journal {
            let text = serde_json::to_string(record).expect("a form");
            let read: Record = serde_json::from_str(&text).expect("reads");
            assert_eq!(read, *record);
            desk.apply(&read).expect("no contradiction");
        }
        desk.trust(false);
        desk
    }
}

fn entry(shares: u64, price: f64) -> Order {
    let target = |percent, then_stop| TakeProfit { level: Level::Percent(2.0), percent, then_stop };
    Order::Enter(Entry {
        side: Side::Buy,
        size: Size::Shares(shares),
        bracket: Bracket {
            stop: Some(Stop::At(price * 0.9)),
            targets: [Some(target(40.0, None)), Some(target(30.0, Some(NewStop::At(price * 0.95)))), None, None],
            time_stop: Some(10 * MINUTE),
            flat_before_close: None,
        },
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    /// Whatever the broker does and whatever is lost: nothing is bought that wasn't ordered, no share is offered twice,
    /// and once everything is told the two agree, and what is held is protected. At any time the journal alone gives the
    /// same desk.
    #[test]
    fn desk_broker_and_journal_agree(seed in any::<u64>(), steps in prop::collection::vec(0u8..8, 10..80)) {
        let mut world = World::new(seed);
        for step in steps {
            match step {
                0 | 1 => {
                    let price = 10.0 + world.roll(100) as f64 / 100.0;
                    let shares = world.roll(200) + 1;
                    let order = match world.roll(3) {
                        0 => Some(entry(shares, price)),
                        1 => Some(Order::Exit(Reason::Signal("out"))),
                        _ => None,
                    };
                    world.bar(price, order);
                }
                2..=4 => world.act(false),
                5 | 6 => {
                    let ids: Vec<String> = world.theirs.keys().cloned().collect();
                    if !ids.is_empty() {
                        let id = &ids[world.roll(ids.len() as u64) as usize];
                        world.fill(id);
                        if world.roll(2) == 0 {
                            world.tell(id);
                        }
                    }
                }
                _ => {
                    let again = world.rebuilt();
                    prop_assert_eq!(again.positions(), world.desk.positions());
                    prop_assert_eq!(
                        again.commands(world.now, &session(), "test"),
                        world.desk.commands(world.now, &session(), "test")
                    );
                    world.desk = again;
                    // As a start does: nobody knows what became of what was sent.
                    let sent: Vec<String> = world.desk.orders()
                        .filter(|placed| placed.main.standing.state == State::Sent)
                        .map(|placed| placed.id.clone()).collect();
                    sent.iter().for_each(|id| world.hear(id, PartName::Main, Message::NoAnswer));
                }
            }
        }
        for _ in 0..20 {
            world.tell_all();
            world.act(true);
        }
        world.tell_all();
        prop_assert!(world.bought <= world.ordered);
        prop_assert_eq!(world.desk.positions().get(&gme()).copied().unwrap_or(0), world.position);
        prop_assert_eq!(world.desk.unprotected(world.now, &session()), Vec::<Symbol>::new());
        let reserved: i64 = world.theirs.values().map(Theirs::reserved).sum();
        prop_assert!(reserved <= world.position, "{} reserved of {}", reserved, world.position);
        prop_assert_eq!(world.desk.commands(world.now, &session(), "test"), Vec::new());
    }
}
