//! Hearing an order at a bar's close: limits, size, and what makes no sense.

use super::book::{Book, Handle, Placement};
use super::cash::Account;
use super::record::{End, Outcome};
use super::unit::Unit;
use super::working::{Amount, Decided, Heard, Working, WorkingKind};
use crate::order::{
    Bracket, Change, Entry, Kind, Market, Name, Order, Reason, Side, Size, Stop, Target, Ticket, TimeInForce, Trail,
    Wanted,
};

impl Book {
    /// Takes a strategy's order at a close. Limits are tested before the size is resolved.
    #[inline(never)]
    pub fn accept(&mut self, account: &mut Account, order: &Order, heard: &Heard) -> Placement {
        self.set_mark(account, heard.close);
        match order {
            Order::Enter(entry) => self.enter(account, entry, heard),
            Order::Exit(reason) => self.exit(account, *reason, Kind::Market, heard),
            Order::ExitAtClose(reason) => self.exit(account, *reason, Kind::MarketOnClose, heard),
            Order::Place(ticket) => self.place(account, ticket, heard),
            Order::Target(target) => self.target(account, target, heard),
            Order::Replace(name, change) => match contradiction_of_change(change) {
                Some(what) => Placement::Refused(what),
                None => changed(self.replace(account, Handle::Name(*name), change, heard.close)),
            },
            Order::Cancel(name) => changed(self.cancel(account, Handle::Name(*name))),
            Order::CancelAll => changed(self.cancel_all(account) > 0),
        }
    }

    fn enter(&mut self, account: &mut Account, entry: &Entry, heard: &Heard) -> Placement {
        if self.is_open() || self.may_open() {
            return Placement::Nothing;
        }
        let Entry { side, size, bracket } = *entry;
        let ticket = Ticket { side, bracket, ..Ticket::buy(size) };
        match self.place(account, &ticket, heard) {
            Placement::Refused("flat_before_close" | "zero_size") => Placement::Nothing,
            placed => placed,
        }
    }

    fn exit(&mut self, account: &mut Account, reason: Reason, kind: Kind, heard: &Heard) -> Placement {
        if !self.is_open() || self.is_closing() {
            return Placement::Nothing;
        }
        let units = self.units().unsigned_abs();
        let id = account.number_order();
        self.close_whole(account, id, reason, kind, heard);
        Placement::Ordered(units)
    }

    /// An order that closes the whole position, as it is when it fills.
    pub(crate) fn close_whole(&mut self, account: &mut Account, id: u32, reason: Reason, kind: Kind, heard: &Heard) {
        let side = self.closing_side().unwrap_or(Side::Sell);
        self.work(account, Decided { id, side, kind, amount: Amount::Whole, reason, heard: *heard });
    }

    fn place(&mut self, account: &mut Account, ticket: &Ticket, heard: &Heard) -> Placement {
        let in_use = ticket.name.is_some_and(|name| self.works(name)).then_some("name_in_use");
        if let Some(what) = contradiction(ticket).or(in_use) {
            account.refused();
            return Placement::Refused(what);
        }
        let too_late = heard.last_of_session && ticket.bracket.flat_before_close.is_some();
        if !ticket.reduce_only
            && !too_late
            && let Some(block) = account.refuses_entry()
        {
            return Placement::Refused(block.name());
        }
        let id = account.number_order();
        self.place_numbered(account, id, ticket, heard)
    }

    /// An order with a number, without limits: those of strategies come before.
    pub(crate) fn place_numbered(
        &mut self,
        account: &mut Account,
        id: u32,
        ticket: &Ticket,
        heard: &Heard,
    ) -> Placement {
        let reference = reference(ticket.kind, heard.close);
        let gap = gap(ticket, reference);
        let units = account.units(ticket.size, reference, gap);
        let refused = if units == 0 {
            Some(End::ZeroSize)
        } else if units >= Unit::MOST {
            Some(End::TooLarge)
        } else if heard.last_of_data {
            Some(End::EndOfData)
        } else if heard.last_of_session && ticket.bracket.flat_before_close.is_some() {
            Some(End::TooLateToday)
        } else {
            None
        };
        if let Some(end) = refused {
            let shares = Some(account.unit().shares(units));
            account.order_ended(id, Outcome { shares, filled: 0.0, amount: 0.0, end });
            return if end == End::EndOfData { Placement::Nothing } else { Placement::Refused(end.reason()) };
        }
        let amount = Amount::Units { total: units, left: units };
        let reason = Reason::Signal(ticket.reason.unwrap_or(ticket.kind.name()));
        let (side, kind) = (ticket.side, ticket.kind);
        let order = self.work(account, Decided { id, side, kind, amount, reason, heard: *heard });
        if let Some(order) = order {
            (order.name, order.oco, order.tif) = (ticket.name, ticket.oco, ticket.tif);
            order.reduce_only = ticket.reduce_only;
            order.bracket = (ticket.bracket != Bracket::NONE).then(|| Box::new(ticket.bracket));
            order.is_entry = !ticket.reduce_only;
            if order.is_entry {
                account.entry_ordered();
            }
        }
        Placement::Ordered(units.unsigned_abs())
    }

    fn target(&mut self, account: &mut Account, target: &Target, heard: &Heard) -> Placement {
        if matches!(target.position, Wanted::Weight(weight) if !weight.is_finite()) {
            return Placement::Refused("bad_size");
        }
        let wanted = wanted(account, target.position, heard.close);
        let grows = wanted.abs() > self.units().abs() || wanted * self.units() < 0;
        if grows && let Some(block) = account.refuses_entry() {
            return Placement::Refused(block.name());
        }
        let id = account.number_order();
        self.target_numbered(account, id, target, heard, None)
    }

    /// A target with a number, without limits.
    pub(crate) fn target_numbered(
        &mut self,
        account: &mut Account,
        id: u32,
        target: &Target,
        heard: &Heard,
        tif: Option<TimeInForce>,
    ) -> Placement {
        let wanted = wanted(account, target.position, heard.close);
        if wanted.unsigned_abs() >= Unit::MOST.unsigned_abs() {
            let shares = Some(account.unit().shares(wanted));
            account.order_ended(id, Outcome { shares, filled: 0.0, amount: 0.0, end: End::TooLarge });
            return Placement::Refused(End::TooLarge.reason());
        }
        let kind = match target.at {
            Market::Open => Kind::Market,
            Market::Close => Kind::MarketOnClose,
        };
        let reason = Reason::Signal(kind.name());
        let amount = Amount::Target(wanted);
        let order = self.work(account, Decided { id, side: Side::Buy, kind, amount, reason, heard: *heard });
        if let (Some(order), Some(tif)) = (order, tif) {
            order.tif = tif;
        }
        Placement::Ordered(wanted.unsigned_abs())
    }

    /// Lets an order work from the next bar on; none if there is no next bar.
    fn work(&mut self, account: &mut Account, decided: Decided) -> Option<&mut Working> {
        let last = decided.heard.last_of_data;
        self.orders_mut().push(Working::new(decided));
        if last {
            self.end_newest(account, End::EndOfData);
            return None;
        }
        self.look_at_every_bar();
        self.orders_mut().last_mut()
    }

    /// Changes a working order, and the stop of the lots that it opened; whether there was anything to change.
    pub(crate) fn replace(&mut self, account: &mut Account, order: Handle, change: &Change, close: f64) -> bool {
        let mut found = false;
        if let Some(stop) = change.stop_loss {
            found |= self.move_stops(order, stop);
        }
        let Some(i) = self.find(order) else { return found };
        self.look_at_every_bar();
        let working = &mut self.orders_mut()[i];
        if let Some(limit) = change.limit {
            working.limit = limit;
        }
        if let Some(stop) = change.stop {
            working.stop = stop;
        }
        if let (Some(distance), Some(trail)) = (change.trail, working.trail) {
            let trail = match trail {
                Trail::Price(_) => Trail::Price(distance),
                Trail::Percent(_) => Trail::Percent(distance),
            };
            working.restart_trail(trail, close);
        }
        if let Some(tif) = change.tif {
            working.restart_time(tif);
        }
        if let (Some(stop), Some(bracket)) = (change.stop_loss, &mut working.bracket) {
            bracket.stop = Some(Stop::At(stop));
        }
        if let Some(size) = change.size {
            let size = i64::try_from(size).unwrap_or(i64::MAX);
            let left = size - working.filled;
            working.amount = Amount::Units { total: size, left: left.max(0) };
            if left <= 0 {
                self.cancel_as(account, i, End::Replaced);
            }
        }
        true
    }

    /// Cancels a working order; whether there was one.
    pub(crate) fn cancel(&mut self, account: &mut Account, order: Handle) -> bool {
        let Some(i) = self.find(order) else { return false };
        self.cancel_as(account, i, End::Cancelled);
        true
    }

    /// Cancels all working orders; how many there were.
    pub(crate) fn cancel_all(&mut self, account: &mut Account) -> usize {
        let count = self.orders_mut().len();
        for _ in 0..count {
            self.cancel_as(account, 0, End::Cancelled);
        }
        count
    }

    fn find(&mut self, order: Handle) -> Option<usize> {
        self.orders_mut().iter().rposition(|working| match order {
            Handle::Id(id) => working.id == id,
            Handle::Name(name) => working.name == Some(name),
        })
    }

    fn works(&mut self, name: Name) -> bool {
        self.find(Handle::Name(name)).is_some()
    }

    /// Whether an order works that would open a position.
    fn may_open(&mut self) -> bool {
        self.orders_mut().iter().any(|order| !order.reduce_only)
    }

    /// Whether an order works that closes the whole position, or every lot leaves at the next open.
    fn is_closing(&mut self) -> bool {
        let whole = |order: &Working| {
            order.amount == Amount::Whole && matches!(order.kind, WorkingKind::Market | WorkingKind::MarketOnClose)
        };
        self.all_lots_leave() || self.orders_mut().iter().any(whole)
    }
}

fn changed(anything: bool) -> Placement {
    if anything { Placement::Ordered(0) } else { Placement::Nothing }
}

fn wanted(account: &Account, position: Wanted, close: f64) -> i64 {
    match position {
        Wanted::Shares(units) => units,
        Wanted::Weight(weight) => account.weight(weight, close),
    }
}

/// The price that sizes are worked out with: the limit if there is one, else the stop, else the close.
fn reference(kind: Kind, close: f64) -> f64 {
    match kind {
        Kind::Limit(limit) | Kind::StopLimit { limit, .. } => limit,
        Kind::Stop(stop) => stop,
        Kind::Market | Kind::MarketOnClose | Kind::TrailingStop(_) => close,
    }
}

/// Distance of the bracket's fixed stop from the reference price; not a number without one.
fn gap(ticket: &Ticket, reference: f64) -> f64 {
    match ticket.bracket.stop {
        Some(Stop::At(stop)) if ticket.side == Side::Buy => reference - stop,
        Some(Stop::At(stop)) => stop - reference,
        Some(Stop::Offset(distance)) => distance,
        Some(Stop::Percent(percent)) => reference * percent / 100.0,
        Some(Stop::Times(factor)) => ticket.side.sign() as f64 * (reference - reference * factor),
        Some(Stop::Trail(_) | Stop::TrailPercent(_)) | None => f64::NAN,
    }
}

fn is_price(price: f64) -> bool {
    price.is_finite() && price > 0.0
}

/// What makes no sense in an order, by name.
fn contradiction(ticket: &Ticket) -> Option<&'static str> {
    let prices = match ticket.kind {
        Kind::Market | Kind::MarketOnClose => [1.0; 2],
        Kind::Limit(price) | Kind::Stop(price) => [price; 2],
        Kind::StopLimit { stop, limit } => [stop, limit],
        Kind::TrailingStop(Trail::Price(distance)) => [distance; 2],
        Kind::TrailingStop(Trail::Percent(percent)) if percent >= 100.0 => [f64::NAN; 2],
        Kind::TrailingStop(Trail::Percent(percent)) => [percent; 2],
    };
    let trails = matches!(ticket.bracket.stop, Some(Stop::Trail(_) | Stop::TrailPercent(_)));
    let mut targets = ticket.bracket.targets.iter().flatten();
    if !prices.into_iter().all(is_price) {
        Some("bad_price")
    } else if matches!(ticket.tif, TimeInForce::Bars(0)) {
        Some("bad_tif")
    } else if ticket.kind == Kind::MarketOnClose
        && (ticket.tif != TimeInForce::Gtc || ticket.bracket.flat_before_close.is_some())
    {
        Some("moc_with_tif")
    } else if ticket.reduce_only && ticket.bracket != Bracket::NONE {
        Some("bracket_on_reduce_only")
    } else if trails && targets.any(|target| target.then_stop.is_some()) {
        Some("moved_stop_of_a_trail")
    } else if matches!(ticket.size, Size::RiskFraction { .. }) && trails {
        Some("risk_without_fixed_stop")
    } else {
        None
    }
}

fn contradiction_of_change(change: &Change) -> Option<&'static str> {
    let prices = [change.limit, change.stop, change.trail, change.stop_loss];
    prices.into_iter().flatten().any(|price| !is_price(price)).then_some("bad_price")
}
