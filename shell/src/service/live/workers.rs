//! Threads that ask Alpaca and enqueue what it answers. They decide nothing.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use magellan::bar::{Bar, Nanos, Symbol, Timeframe};
use magellan::error::Result;
use magellan::live::record::{PartName, Request};

use crate::alpaca::orders::{AccountView, OrderView, PositionView, QuoteView};
use crate::alpaca::trading::{Outcome, Trading};
use crate::alpaca::{Client, history};

/// So many requests are under way at once: one that hangs must not hold up an exit.
const THREADS: usize = 4;

/// What is to be asked.
#[derive(Debug)]
pub(super) enum Job {
    Submit {
        id: String,
        symbol: Symbol,
        request: Request,
    },
    Cancel {
        id: String,
        part: PartName,
        broker: String,
    },
    Move {
        id: String,
        part: PartName,
        broker: String,
        stop: f64,
    },
    /// By our name, and by the broker's names of its parts.
    LookUp {
        id: String,
        parts: Vec<(PartName, String)>,
    },
    Quote(Symbol),
    Snapshot,
    /// Bars between two instants, both inclusive.
    Bars {
        timeframe: Timeframe,
        from: Nanos,
        to: Nanos,
    },
}

/// What came of it.
#[derive(Debug)]
pub(super) enum Answer {
    Submitted { id: String, sent: Instant, outcome: Outcome<OrderView> },
    Cancelled { id: String, part: PartName, outcome: Outcome<()> },
    Moved { id: String, part: PartName, stop: f64, outcome: Outcome<OrderView> },
    LookedUp { id: String, main: Outcome<Option<OrderView>>, parts: Vec<(PartName, Outcome<Option<OrderView>>)> },
    Quoted(Symbol, Outcome<QuoteView>),
    Snapshot(Outcome<Snapshot>),
    Bars { timeframe: Timeframe, to: Nanos, bars: Result<BTreeMap<Symbol, Vec<Bar>>> },
}

/// The account at one time.
#[derive(Clone, Debug)]
pub(super) struct Snapshot {
    pub(super) orders: Vec<OrderView>,
    pub(super) positions: Vec<PositionView>,
    pub(super) account: AccountView,
}

/// Who asks.
#[derive(Clone)]
pub(super) struct Asker {
    pub(super) trading: Trading,
    pub(super) data: Arc<Client>,
    pub(super) symbols: Vec<Symbol>,
    pub(super) feed: &'static str,
}

/// The threads; they end when this is dropped.
pub(super) struct Workers {
    jobs: Sender<Job>,
}

impl Workers {
    /// Answers are told to `to`, which says whether it still listens.
    pub(super) fn start(asker: &Asker, to: impl Fn(Answer) -> bool + Clone + Send + 'static) -> Self {
        let (jobs, taken) = channel::<Job>();
        let taken = Arc::new(Mutex::new(taken));
        for _ in 0..THREADS {
            let (asker, taken, to) = (asker.clone(), taken.clone(), to.clone());
            std::thread::spawn(move || {
                while let Some(job) = next(&taken) {
                    if !to(asker.answer(job)) {
                        return;
                    }
                }
            });
        }
        Self { jobs }
    }

    pub(super) fn ask(&self, job: Job) {
        // The threads live as long as this.
        let _ = self.jobs.send(job);
    }
}

fn next(jobs: &Mutex<Receiver<Job>>) -> Option<Job> {
    jobs.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

impl Asker {
    /// Asks.
    pub(super) fn answer(&self, job: Job) -> Answer {
        match job {
            Job::Submit { id, symbol, request } => {
                let sent = Instant::now();
                Answer::Submitted { outcome: self.trading.submit(&id, symbol, &request), id, sent }
            }
            Job::Cancel { id, part, broker } => Answer::Cancelled { id, part, outcome: self.trading.cancel(&broker) },
            Job::Move { id, part, broker, stop } => {
                Answer::Moved { id, part, stop, outcome: self.trading.move_stop(&broker, stop) }
            }
            Job::LookUp { id, parts } => {
                let main = self.trading.find(&id);
                let parts = parts.into_iter().map(|(part, broker)| (part, self.trading.get(&broker))).collect();
                Answer::LookedUp { id, main, parts }
            }
            Job::Quote(symbol) => Answer::Quoted(symbol, self.trading.quote(symbol)),
            Job::Snapshot => Answer::Snapshot(self.snapshot()),
            Job::Bars { timeframe, from, to } => {
                let bars = self.bars(timeframe, from, to);
                Answer::Bars { timeframe, to, bars }
            }
        }
    }

    /// Orders before positions: an execution between the two shows as a difference, and is looked at again.
    pub(super) fn snapshot(&self) -> Outcome<Snapshot> {
        let (orders, positions) = (self.trading.open_orders()?, self.trading.positions()?);
        Ok(Snapshot { orders, positions, account: self.trading.account()? })
    }

    /// Bars as they were traded.
    pub(super) fn bars(&self, timeframe: Timeframe, from: Nanos, to: Nanos) -> Result<BTreeMap<Symbol, Vec<Bar>>> {
        history::bars_between(&self.data, &self.symbols, timeframe, (self.feed, "raw"), (from, to))
    }

    /// Bars in today's shares: indicators must not take a split for a fall.
    pub(super) fn history(&self, timeframe: Timeframe, from: Nanos, to: Nanos) -> Result<BTreeMap<Symbol, Vec<Bar>>> {
        history::bars_between(&self.data, &self.symbols, timeframe, (self.feed, "split"), (from, to))
    }
}
