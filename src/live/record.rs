//! What a service writes into its journal: everything that happened to it, in order. Its state is what these records
//! make of an empty one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::lifecycle::Message;
use crate::account::{Form, Leg};
use crate::bar::{Bar, Date, Nanos, Symbol, Timeframe};
use crate::order::{Order, Side};
use crate::runner::OrderStatus;

/// Something that happened. Times are nanoseconds UTC.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Record {
    /// A process took over.
    Started {
        /// When.
        at: Nanos,
        /// The strategy.
        strategy: String,
        /// The broker's account.
        account: String,
        /// SHA-256 of the config.
        config: String,
        /// What the process is made of.
        unit_digest: String,
        /// Magellan's version.
        version: String,
        /// What the account began with, dollars.
        capital: f64,
        /// The bars that are decided on.
        timeframe: Timeframe,
        /// Name of the file with the bars that its indicators saw first, if they need any.
        history: Option<String>,
    },
    /// A session began.
    Opens {
        /// Its date.
        date: Date,
    },
    /// All bars with one start that were decided on.
    Bars {
        /// When they were decided on.
        at: Nanos,
        /// Start of the bars.
        start: Nanos,
        /// Their end.
        end: Nanos,
        /// The bars, alphabetically.
        bars: Vec<BarRecord>,
        /// Whether they were looked at after the event: orders were not taken then.
        caught_up: bool,
        /// What the strategy ordered, in order.
        decided: Vec<DecidedRecord>,
    },
    /// A bar that came after its time was decided on, or changes one that was: nothing is made of it.
    Unused {
        /// When it came.
        at: Nanos,
        /// The bar.
        bar: BarRecord,
        /// Its start.
        start: Nanos,
        /// Why nothing is made of it.
        why: String,
    },
    /// Trading of a symbol stopped or went on.
    Status {
        /// When it was heard.
        at: Nanos,
        /// The symbol.
        symbol: Symbol,
        /// Why it is halted, if it is.
        halted: Option<String>,
    },
    /// A session ended.
    Closes {
        /// Its date.
        date: Date,
    },
    /// A time limit passed without a bar.
    Time {
        /// When.
        at: Nanos,
    },
    /// An order that is to be sent.
    Planned {
        /// When.
        at: Nanos,
        /// Its name at the broker.
        id: String,
        /// The symbol.
        symbol: Symbol,
        /// What is asked for.
        request: Request,
    },
    /// A working order's stop is to be moved.
    Moving {
        /// When.
        at: Nanos,
        /// The order.
        id: String,
        /// Which part of it.
        part: PartName,
        /// The new stop, dollars.
        stop: f64,
    },
    /// Something was heard of an order.
    Heard {
        /// When.
        at: Nanos,
        /// The order.
        id: String,
        /// Which part of it.
        part: PartName,
        /// What.
        message: Message,
    },
    /// The broker's own name of an order.
    Named {
        /// The order.
        id: String,
        /// Which part of it.
        part: PartName,
        /// The broker's name.
        broker: String,
        /// Its stop, if it was moved, dollars.
        stop: Option<f64>,
    },
    /// An order was refused before it was sent.
    Refused {
        /// When.
        at: Nanos,
        /// The symbol.
        symbol: Symbol,
        /// The strategy's order.
        order: u32,
        /// Why.
        why: String,
    },
    /// A person, or a rule, changes what the service does.
    Control {
        /// When.
        at: Nanos,
        /// What.
        control: Control,
        /// Who.
        who: String,
        /// Why.
        why: String,
    },
    /// A person accepts what the broker holds.
    Accepted {
        /// When.
        at: Nanos,
        /// Who.
        who: String,
        /// Why.
        why: String,
        /// Shares and price by symbol, where they differ.
        positions: BTreeMap<Symbol, (i64, f64)>,
        /// The broker's names of orders that aren't ours.
        orders: Vec<String>,
    },
    /// The phase, when it changes.
    Phase {
        /// When.
        at: Nanos,
        /// Its name.
        phase: String,
        /// Why.
        why: String,
    },
}

/// A bar in a record.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct BarRecord(pub Symbol, pub [f64; 5]);

impl BarRecord {
    /// Of a bar.
    pub fn of(symbol: Symbol, bar: &Bar) -> Self {
        Self(symbol, [bar.open, bar.high, bar.low, bar.close, bar.volume])
    }

    /// As a bar of this time.
    pub fn bar(&self, start: Nanos, end: Nanos) -> Bar {
        let [open, high, low, close, volume] = self.1;
        Bar { start, end, open, high, low, close, volume }
    }
}

/// What a strategy ordered at a close.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DecidedRecord {
    /// The symbol.
    pub symbol: Symbol,
    /// In words.
    pub order: String,
    /// What became of it.
    pub status: String,
    /// The order, if it was taken.
    pub taken: Option<Order>,
}

/// What became of an order, in a word or two.
pub fn status_text(status: OrderStatus) -> String {
    match status {
        OrderStatus::Ordered(units) => format!("ordered {units}"),
        OrderStatus::Refused(why) => why.to_owned(),
        OrderStatus::Nothing => "nothing".to_owned(),
    }
}

/// An order as the broker is asked for it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// What it is for.
    pub leg: Leg,
    /// Buy or sell.
    pub side: Side,
    /// Shares.
    pub shares: u64,
    /// Its type, with prices on the exchange's grid.
    pub form: Form,
    /// Whether it works in this session only.
    pub for_the_day: bool,
    /// A stop that works once all of it is filled, dollars.
    pub protect: Option<f64>,
}

/// The parts of an order at the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartName {
    /// The order itself; of two that cancel each other the limit.
    Main,
    /// Its stop.
    Stop,
}

/// What a person may tell a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Control {
    /// No entries any more; what is held stays protected.
    Kill,
    /// The same, and everything is sold.
    Flatten,
    /// It may trade again.
    Resume,
}
