//! Rows of an orders file, checked: small, since a file may have millions.

use crate::account::Handle;
use crate::bar::{Nanos, Symbol};
use crate::order::{Bracket, Change, Kind, Market, Side, Size, Target, TimeInForce, Wanted};

/// A checked file of orders.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    /// In the order in which they are heard: by time, then as in the file.
    pub(super) rows: Vec<Row>,
    /// The orders and closes by their numbers, in the same order.
    pub placed: Vec<Placed>,
    /// The reasons that rows give; 0 is none.
    pub(super) reasons: Vec<String>,
}

/// An order or a close as its row says it.
#[derive(Clone, Debug)]
pub struct Placed {
    /// Its name in the file.
    pub id: Box<str>,
    /// The symbol.
    pub symbol: Symbol,
    /// Start of the bar at whose close it was decided.
    pub time: Nanos,
    /// Buy or sell; a target or a close says neither.
    pub side: Option<Side>,
    /// The type's name.
    pub kind: &'static str,
    /// The number of its reason; 0 is none.
    pub(super) reason: u32,
    /// Whether it closes the whole position.
    pub is_close: bool,
}

/// One row.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) time: Nanos,
    /// Which of the options' symbols, alphabetically.
    pub(super) symbol: u32,
    pub(super) action: Action,
}

/// What a row asks for. Numbers of orders are those of [`Rows::placed`].
#[derive(Clone, Debug)]
pub(super) enum Action {
    Place(u32, Box<Ask>),
    Target(u32, Target, TimeInForce),
    Close(u32, Market),
    Replace(Handle, Box<Change>),
    Cancel(Handle),
    CancelAll,
}

/// An order.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub(super) side: Side,
    pub(super) kind: Kind,
    pub(super) size: Size,
    pub(super) tif: TimeInForce,
    pub(super) reduce_only: bool,
    /// Number of its group; 0 is none.
    pub(super) oco: u32,
    pub(super) bracket: Option<Box<Bracket>>,
}

impl Rows {
    /// How many target weights leave no room for costs.
    pub(crate) fn tight_targets(&self) -> u64 {
        let is_tight = |row: &&Row| match row.action {
            Action::Target(_, Target { position: Wanted::Weight(weight), .. }, _) => {
                (0.995..=1.0).contains(&weight.abs())
            }
            _ => false,
        };
        self.rows.iter().filter(is_tight).count() as u64
    }

    /// Why an order traded: the reason that its row gives, else its type, else `close`.
    pub fn reason(&self, order: u32) -> &str {
        let Some(placed) = self.placed.get(order as usize) else { return "" };
        match placed.reason {
            0 if placed.is_close => "close",
            0 => placed.kind,
            reason => &self.reasons[reason as usize],
        }
    }
}
