//! The broker's orders and positions beside the journal: while it trades, and for a person who asks.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use magellan::account::Form;
use magellan::bar::{Nanos, Symbol, Timeframe};
use magellan::error::{Error, Result};
use magellan::live::desk::{Desk, Part, Placed};
use magellan::live::lifecycle::State;
use magellan::live::record::{PartName, Record};
use tracing::info;

use super::recovered::Recovered;
use super::settings::Settings;
use super::trader::Trader;
use super::workers::{Job, Snapshot};
use crate::alpaca::orders::{OrderView, PositionView};
use crate::alpaca::trading::{Failed, Outcome};
use crate::{clock, codes};

/// Between two looks.
const EVERY: Duration = Duration::from_secs(30);
/// After something that needs one soon.
pub(super) const SOON: Duration = Duration::from_millis(500);
/// Positions that differ so many times in a row do differ.
const PATIENCE: u32 = 3;

/// Something that the broker has and the journal doesn't explain, or the other way round.
enum Difference<'s> {
    /// Other shares of a symbol; the price at which they count, if one is known.
    Shares { symbol: String, theirs: i64, ours: i64, price: Option<f64> },
    /// A part of a share.
    Fraction(&'s PositionView),
    /// An order.
    Order(&'s OrderView),
    /// An order of the journal that doesn't work at the broker.
    Missing(String),
    /// An order of the journal that is for fewer shares at the broker.
    Smaller(String),
}

impl fmt::Display for Difference<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shares { symbol, theirs, ours, .. } => match theirs {
                0 => write!(f, "{symbol}: the broker holds none, the journal says {ours}"),
                _ => write!(f, "{symbol}: the broker holds {theirs} shares, the journal says {ours}"),
            },
            Self::Fraction(position) => {
                write!(f, "{}: the broker holds {} shares, which is no whole number", position.symbol, position.qty)
            }
            Self::Order(view) => {
                let (side, qty) = (&view.side, view.qty.as_deref().unwrap_or("?"));
                let (symbol, name) = (&view.symbol, &view.client_order_id);
                write!(f, "an order that isn't in the journal: {side} {qty} {symbol}, named {name}")
            }
            Self::Smaller(what) => write!(f, "an order was changed at the broker: {what}"),
            Self::Missing(what) => write!(f, "an order of the journal doesn't work at the broker: {what}"),
        }
    }
}

/// What differs: positions alphabetically, then orders.
fn differences<'s>(desk: &Desk, snapshot: &'s Snapshot, is_known: impl Fn(&OrderView) -> bool) -> Vec<Difference<'s>> {
    let mut found = Vec::new();
    let mut shares: BTreeMap<String, (i64, i64, Option<f64>)> = BTreeMap::new();
    for (symbol, ours) in desk.positions() {
        shares.insert(symbol.to_string(), (0, ours, desk.last_close(symbol)));
    }
    for position in &snapshot.positions {
        match position.shares() {
            None => found.push(Difference::Fraction(position)),
            Some(theirs) => {
                let of = shares.entry(position.symbol.clone()).or_default();
                (of.0, of.2) = (theirs, position.price());
            }
        }
    }
    let differ = shares.into_iter().filter(|(_, (theirs, ours, _))| theirs != ours);
    found.extend(differ.map(|(symbol, (theirs, ours, price))| Difference::Shares { symbol, theirs, ours, price }));
    found.extend(snapshot.orders.iter().filter(|view| !is_known(view)).map(Difference::Order));
    found.extend(desk.orders().filter_map(|placed| smaller(placed, snapshot)));
    found
}

/// What protects fewer shares than it should: somebody made it smaller.
fn smaller<'s>(placed: &Placed, snapshot: &Snapshot) -> Option<Difference<'s>> {
    let view_of = |part: &Part| snapshot.orders.iter().find(|view| part.name() == Some(&view.id));
    let is_touched = placed.main.standing.filled() > 0
        || view_of(&placed.main).is_some_and(|view| view.filled().is_none_or(|filled| filled > 0));
    // The broker makes a stop smaller itself, with each share that the target beside it sells.
    let shrinks =
        |name: PartName| name == PartName::Stop && matches!(placed.request.form, Form::Either { .. }) && is_touched;
    placed.parts().find_map(|(name, part)| {
        let wanted = part.standing.shares;
        let there = view_of(part).and_then(|view| view.shares()).filter(|there| *there < wanted);
        let there = there.filter(|_| part.standing.state == State::Working && !shrinks(name))?;
        let (symbol, id) = (placed.symbol, &placed.id);
        Some(Difference::Smaller(format!("{there} shares instead of {wanted} of {symbol}, named {id}")))
    })
}

impl Trader<'_> {
    pub(super) fn reconcile_soon(&mut self, wait: Duration) {
        self.reconcile_at = self.reconcile_at.min(Instant::now() + wait);
    }

    pub(super) fn reconcile_if_due(&mut self) {
        if !self.reconciling && Instant::now() >= self.reconcile_at {
            self.reconciling = true;
            self.snapshot_at = self.heard;
            self.reconcile_at = Instant::now() + EVERY;
            self.workers.ask(Job::Snapshot);
        }
    }

    /// The broker's orders and positions beside ours.
    pub(super) fn take_snapshot(&mut self, outcome: Outcome<Snapshot>, now: Nanos) -> Result<()> {
        self.reconciling = false;
        let snapshot = match outcome {
            Ok(snapshot) => snapshot,
            Err(failed) => {
                self.broker_answers(Some(failed.why()));
                self.reconcile_soon(Duration::from_secs(2));
                return Ok(());
            }
        };
        self.broker_answers(None);
        self.guard.set_buying_power(snapshot.account.buying_power.as_deref().and_then(|text| text.parse().ok()));
        if let Some(why) = snapshot.account.blocked() {
            self.broker_answers(Some(&why));
            return Ok(());
        }
        for view in &snapshot.orders {
            if let Some((id, part)) = self.of(view) {
                self.observe(&id, part, view, None, now)?;
            }
        }
        self.look_for_missing(&snapshot);
        if self.halted.is_some() {
            return Ok(());
        }
        let doubtful = |placed: &&Placed| matches!(placed.main.standing.state, State::Sent | State::Unknown);
        let doubts: Vec<String> = self.desk.orders().filter(doubtful).map(|placed| placed.id.clone()).collect();
        let unsettled = self.heard != self.snapshot_at || !doubts.is_empty();
        let unknown = |id: &&String| self.state(id, PartName::Main) == Some(State::Unknown);
        let unknown: Vec<String> = doubts.iter().filter(unknown).cloned().collect();
        unknown.iter().for_each(|id| self.look_now(id));
        let difference =
            differences(&self.desk, &snapshot, |view| !self.is_foreign(view)).first().map(ToString::to_string);
        match difference {
            None => {
                self.differed = 0;
                if !std::mem::replace(&mut self.reconciled, true) {
                    info!("orders and positions are as the journal says");
                }
                Ok(())
            }
            Some(what) if unsettled || self.differed < PATIENCE => {
                info!("not settled yet: {what}");
                self.differed += u32::from(!unsettled);
                self.reconcile_soon(SOON);
                Ok(())
            }
            Some(what) => self.halt(&what),
        }
    }

    /// Orders that should work and are not among those that do: what became of them?
    fn look_for_missing(&mut self, snapshot: &Snapshot) {
        let works = |name: &str| snapshot.orders.iter().any(|view| view.id == name);
        let missing: Vec<String> = self
            .desk
            .orders()
            .filter(|placed| !placed.is_uncertain())
            .filter(|placed| {
                let mut open = placed.parts().filter(|(_, part)| !part.standing.state.has_ended());
                open.any(|(_, part)| part.name().is_none_or(|name| !works(name)) || part.moving.is_some())
            })
            .map(|placed| placed.id.clone())
            .collect();
        missing.iter().for_each(|id| self.look_now(id));
    }

    fn is_foreign(&self, view: &OrderView) -> bool {
        self.of(view).is_none() && !self.ended.contains(&view.id) && !self.accepted.contains(&view.id)
    }
}

/// The broker's account beside the journal.
#[derive(Debug, Default)]
pub struct Compared {
    /// What differs, in words.
    pub differences: Vec<String>,
    /// Whether a person's acceptance was written down.
    pub accepted: bool,
    /// Symbols of which shares were accepted that the service didn't buy: they have no stop.
    pub unprotected: Vec<Symbol>,
}

/// Compares the broker's orders and positions with the journal. With who and why, what differs is taken as it is at the
/// broker: orders of ours there are cancelled, and placed anew when the service starts.
///
/// # Errors
/// Data error if the broker can't be asked or the journal is damaged.
pub fn reconcile(settings: &Settings<'_>, timeframe: Timeframe, accept: Option<(&str, &str)>) -> Result<Compared> {
    let Recovered { desk, mut journal, accepted, .. } = Recovered::read(settings, timeframe)?;
    let asker = settings.asker();
    let snapshot = asker.snapshot().map_err(|failed| match failed {
        Failed::Refused(401 | 403, why) => Error::new(codes::ALPACA_KEYS, why),
        other => Error::new(codes::ALPACA_SILENT, other.why()),
    })?;
    let is_known = |view: &OrderView| {
        desk.order(&view.client_order_id).is_some() || desk.named(&view.id).is_some() || accepted.contains(&view.id)
    };
    let mut found = differences(&desk, &snapshot, is_known);
    found.extend(missing(&desk, &snapshot));
    let mut compared = Compared { differences: found.iter().map(ToString::to_string).collect(), ..Compared::default() };
    let Some((who, why)) = accept else { return Ok(compared) };
    let prefix = format!("{}-", settings.config.config().strategy.name);
    let is_ours = |view: &OrderView| view.client_order_id.starts_with(&prefix);
    let (mut positions, mut foreign) = (BTreeMap::new(), Vec::new());
    for difference in &found {
        match difference {
            Difference::Fraction(_) => return Err(Error::new(codes::ALPACA_ANSWER, difference.to_string())),
            Difference::Shares { symbol, theirs, ours, price } => {
                let (symbol, price) = takeable(&desk, symbol, *price)?;
                positions.insert(symbol, (*theirs, price));
                if theirs.abs() > ours.abs() || theirs.signum() != ours.signum() {
                    compared.unprotected.push(symbol);
                }
            }
            Difference::Order(view) if !is_ours(view) => foreign.push(view.id.clone()),
            Difference::Order(_) | Difference::Missing(_) | Difference::Smaller(_) => {}
        }
    }
    let is_own = |view: &&OrderView| desk.order(&view.client_order_id).is_some() || desk.named(&view.id).is_some();
    for view in snapshot.orders.iter().filter(|view| is_own(view) || is_ours(view)) {
        if let Err(Failed::Unknown(why)) = asker.trading.cancel(&view.id) {
            let what =
                format!("{}: {why}; some orders are cancelled, and their shares have no stops", view.client_order_id);
            return Err(Error::new(codes::ALPACA_SILENT, what).help("accept again, until it says that it is accepted"));
        }
    }
    journal.append(&Record::Accepted {
        at: clock::nanos(),
        who: who.to_owned(),
        why: why.to_owned(),
        positions,
        orders: foreign,
    })?;
    journal.sync()?;
    compared.accepted = true;
    Ok(compared)
}

/// Orders that work by the journal, and not at the broker.
fn missing<'s>(desk: &Desk, snapshot: &Snapshot) -> Vec<Difference<'s>> {
    let works = |name: &str| snapshot.orders.iter().any(|view| view.id == name);
    let gone = |placed: &&Placed| {
        let mut open = placed.parts().filter(|(_, part)| part.standing.state == State::Working);
        open.any(|(_, part)| part.name().is_some_and(|name| !works(name)))
    };
    let text = |placed: &Placed| {
        let (side, symbol, id) = (placed.request.side.name(), placed.symbol, &placed.id);
        Difference::Missing(format!("{side} {} {symbol}, named {id}", placed.main.standing.shares))
    };
    desk.orders().filter(gone).map(text).collect()
}

/// The symbol and the price at which its shares are taken over.
fn takeable(desk: &Desk, symbol: &str, price: Option<f64>) -> Result<(Symbol, f64)> {
    let known = symbol.parse::<Symbol>().ok().filter(|symbol| desk.has(*symbol)).ok_or_else(|| {
        let what = format!("{symbol} isn't among the strategy's symbols, and can't be taken over");
        Error::new(codes::BAD_ARGUMENT, what).help("sell it, or move it to another account")
    })?;
    let price = price.ok_or_else(|| {
        Error::new(codes::BAD_ARGUMENT, format!("{symbol}: no price is known at which its shares count"))
    })?;
    Ok((known, price))
}
