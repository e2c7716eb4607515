//! Rules as a strategy: what they order at a close.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use super::program::{Leaving, Level as RuleLevel, MOST_AT_ENTRY, MOST_INPUTS, Moment, Program, SideProgram, Value};
use super::section::{OrderKind, SizeKind, Tif};
use crate::bar::{Bar, MINUTE, Nanos};
use crate::indicator::Indicator;
use crate::order::{
    Bracket, Change, Entry, Level, Name, NewStop, Order, Reason, Side, Size, Stop, TakeProfit, Ticket, TimeInForce,
};
use crate::strategy::{Inputs, Now, Orders, Position, Rules, Strategy, Test};

/// A declared strategy with the parameters of one symbol. Each distinct program is kept for as long as the program runs,
/// so that this is a value to copy.
#[derive(Clone, Copy, Debug)]
pub struct Declared {
    program: &'static Program,
    warmup: usize,
    /// Dollars set aside for the symbol.
    allocation: Option<f64>,
}

/// What it remembers of a position that its account doesn't tell.
#[derive(Clone, Copy, Debug)]
pub struct Remembered {
    /// Start of the bar in which the position began; 0 if there is none.
    entered: Nanos,
    bars_held: u32,
    high: f64,
    low: f64,
    /// Where a stop that follows stands; not a number without one.
    stop: f64,
    /// What `at_entry` keeps.
    kept: [f64; MOST_AT_ENTRY],
    /// Closes since that of the bar in which the last exit filled, that one included; 0 before any.
    since_exit: u32,
}

impl Default for Remembered {
    fn default() -> Self {
        Self {
            entered: 0,
            bars_held: 0,
            high: f64::NAN,
            low: f64::NAN,
            stop: f64::NAN,
            kept: [f64::NAN; MOST_AT_ENTRY],
            since_exit: 0,
        }
    }
}

/// The indicators of a program.
#[derive(Clone, Debug)]
pub struct Wanted(Vec<Indicator>);

impl AsRef<[Indicator]> for Wanted {
    fn as_ref(&self) -> &[Indicator] {
        &self.0
    }
}

/// Values of up to so many indicators.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Values {
    all: [f64; MOST_INPUTS],
    count: usize,
}

impl crate::strategy::sealed::Sealed for Values {}

impl Inputs for Values {
    type Indicators = Wanted;
    const NOTHING: Self = Self { all: [f64::NAN; MOST_INPUTS], count: 0 };

    #[inline(always)]
    fn set(&mut self, indicator: usize, value: f64) {
        self.all[indicator] = value;
        self.count = self.count.max(indicator + 1);
    }

    fn as_slice(&self) -> &[f64] {
        &self.all[..self.count]
    }
}

const LONG: &str = "long";
const SHORT: &str = "short";

impl Declared {
    /// The strategy of a program.
    pub fn new(program: Program, warmup: usize) -> Self {
        static KNOWN: LazyLock<Mutex<HashMap<String, &'static Program>>> = LazyLock::new(Mutex::default);
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        let key = format!("{program:?}");
        let program = *known.entry(key).or_insert_with(|| Box::leak(Box::new(program)));
        Self { program, warmup, allocation: None }
    }

    /// With so many dollars set aside for its symbol.
    #[must_use]
    pub const fn allocating(self, allocation: Option<f64>) -> Self {
        Self { allocation, ..self }
    }

    /// Dollars set aside for its symbol.
    pub const fn allocation(&self) -> Option<f64> {
        self.allocation
    }

    /// Whether each side is flat before the close.
    pub fn is_flat_overnight(&self) -> bool {
        self.sides().all(|side| side.flat_before_close_minutes.is_some())
    }

    /// What it decides by.
    pub const fn program(&self) -> &'static Program {
        self.program
    }

    fn sides(&self) -> impl Iterator<Item = &'static SideProgram> {
        [&self.program.long, &self.program.short].into_iter().flatten()
    }
}

impl SideProgram {
    fn name(&self) -> Name {
        Name::from(if self.side == Side::Buy { LONG } else { SHORT })
    }

    /// Whether it leaves only by brackets and market exits that the carry of a sweep knows.
    fn is_plain(&self) -> bool {
        let no_bracket = self.stop.is_none() && self.trail_stop.is_none() && self.trail_percent.is_none();
        no_bracket
            && self.targets.is_empty()
            && self.time_stop_minutes.is_none()
            && self.flat_before_close_minutes.is_none()
            && self.max_bars.is_none()
            && self.cooldown_bars == 0
            && self.order == OrderKind::Market
            && !self.exits_at_close
    }

    /// Whether it must see each bar of a position.
    fn follows(&self) -> bool {
        self.exit.is_some() || self.trail_stop.is_some() || self.max_bars.is_some() || self.cancel_when.is_some()
    }

    fn size(&self, amount: f64, cap: f64) -> Option<Size> {
        let positive = amount > 0.0;
        match self.size {
            SizeKind::Shares => (positive && amount.fract() == 0.0).then_some(Size::Shares(amount as u64)),
            SizeKind::Notional => positive.then_some(Size::Notional(amount)),
            SizeKind::EquityFraction => positive.then_some(Size::EquityFraction(amount)),
            SizeKind::RiskFraction => (positive && cap > 0.0).then_some(Size::RiskFraction { fraction: amount, cap }),
            SizeKind::TargetWeight => None,
        }
    }

    /// Its entry at this close, if every value of it is known and its bracket lies on the right sides.
    fn entry(&self, inputs: &[f64], close: f64) -> Option<Ticket> {
        let at = |entry_price: f64| Moment {
            inputs,
            entry_price,
            bars_held: f64::NAN,
            high: entry_price,
            low: entry_price,
            kept: None,
        };
        let price = |value: &Option<Value>| value.as_ref().map(|value| value.at(&at(close)));
        let (limit, stop_at) = (price(&self.limit), price(&self.stop_at));
        let reference = limit.or(stop_at).unwrap_or(close);
        let is_price = |price: f64| price.is_finite() && price > 0.0;
        if !is_price(reference) || stop_at.is_some_and(|stop| !is_price(stop)) {
            return None;
        }
        let moment = at(reference);
        let direction = self.side.sign() as f64;
        // Strictly on the side on which it helps or hurts.
        let beyond = |price: f64, wins: f64| is_price(price) && (price - reference) * direction * wins > 0.0;
        let mut bracket = Bracket::NONE;
        if let Some(level) = &self.stop {
            beyond(level.price(&moment, reference), -1.0).then_some(())?;
            bracket.stop = Some(level.stop(&moment, direction));
        }
        if let Some(trail) = &self.trail_stop {
            let trail = trail.at(&moment);
            beyond(trail, -1.0).then_some(())?;
            // The nearer of both to the market counts.
            let fixed = self.stop.as_ref().map(|level| level.price(&moment, reference));
            if fixed.is_none_or(|fixed| (trail - fixed) * direction > 0.0) {
                bracket.stop = Some(Stop::At(trail));
            }
        }
        if let Some(percent) = self.trail_percent {
            bracket.stop = Some(Stop::TrailPercent(percent));
        }
        for (place, target) in bracket.targets.iter_mut().zip(&self.targets) {
            beyond(target.level.price(&moment, reference), 1.0).then_some(())?;
            let then_stop = match &target.then_stop {
                None => None,
                Some(level) if is_price(level.price(&moment, reference)) => Some(level.new_stop(&moment, direction)),
                Some(_) => return None,
            };
            let level = target.level.target(&moment, direction);
            *place = Some(TakeProfit { level, percent: target.percent, then_stop });
        }
        let minutes = |minutes: f64| (minutes * MINUTE as f64) as Nanos;
        bracket.time_stop = self.time_stop_minutes.map(minutes);
        bracket.flat_before_close = self.flat_before_close_minutes.map(minutes);
        let cap = self.cap.as_ref().map_or(f64::INFINITY, |cap| cap.at(&moment));
        let size = self.size(self.amount.at(&moment), cap)?;
        let ticket = if self.side == Side::Buy { Ticket::buy(size) } else { Ticket::sell(size) };
        let ticket = match (self.order, limit, stop_at) {
            (OrderKind::OnClose, ..) => ticket.on_close(),
            (OrderKind::Limit, Some(limit), _) => ticket.limit(limit),
            (OrderKind::Stop, _, Some(stop)) => ticket.stop(stop),
            (OrderKind::StopLimit, Some(limit), Some(stop)) => ticket.stop_limit(stop, limit),
            _ => ticket,
        };
        let tif = match self.tif {
            Tif::Gtc => TimeInForce::Gtc,
            Tif::Day => TimeInForce::Day,
            Tif::Bars(bars) => TimeInForce::Bars(bars),
        };
        Some(Ticket { tif, ..ticket.bracket(bracket).named(self.name()) })
    }
}

impl RuleLevel {
    /// The price for a fill.
    fn price(&self, moment: &Moment<'_>, fill: f64) -> f64 {
        match self {
            Self::At(price) => price.at(moment),
            Self::Beyond(by) => fill + by.at(moment),
            Self::Before(by) => fill - by.at(moment),
            Self::Times(by) => fill * by.at(moment),
            Self::Toward(price, fraction) => fill + (price.at(moment) - fill) * fraction.at(moment),
        }
    }

    fn stop(&self, moment: &Moment<'_>, direction: f64) -> Stop {
        match self {
            Self::At(price) => Stop::At(price.at(moment)),
            // A stop's distance is on the losing side.
            Self::Beyond(by) => Stop::Offset(-direction * by.at(moment)),
            Self::Before(by) => Stop::Offset(direction * by.at(moment)),
            Self::Times(by) => Stop::Times(by.at(moment)),
            Self::Toward(price, _) => Stop::At(price.at(moment)),
        }
    }

    fn target(&self, moment: &Moment<'_>, direction: f64) -> Level {
        match self {
            Self::At(price) => Level::At(price.at(moment)),
            Self::Beyond(by) => Level::Offset(direction * by.at(moment)),
            Self::Before(by) => Level::Offset(-direction * by.at(moment)),
            Self::Times(by) => Level::Times(by.at(moment)),
            Self::Toward(price, fraction) => Level::Toward { level: price.at(moment), fraction: fraction.at(moment) },
        }
    }

    fn new_stop(&self, moment: &Moment<'_>, direction: f64) -> NewStop {
        match self {
            Self::At(price) | Self::Toward(price, _) => NewStop::At(price.at(moment)),
            Self::Beyond(by) => NewStop::Offset(direction * by.at(moment)),
            Self::Before(by) => NewStop::Offset(-direction * by.at(moment)),
            Self::Times(by) => NewStop::Times(by.at(moment)),
        }
    }
}

impl Remembered {
    /// Takes in what the account tells at a close.
    fn see(&mut self, position: &Position, bar: &Bar, by_limit: bool) {
        if position.exited_this_bar {
            self.since_exit = 1;
        } else if self.since_exit > 0 {
            self.since_exit = self.since_exit.saturating_add(1);
        }
        if !position.is_open() {
            (self.entered, self.bars_held, self.stop) = (0, 0, f64::NAN);
        } else if self.entered == position.entered {
            self.bars_held += 1;
            (self.high, self.low) = (self.high.max(bar.high), self.low.min(bar.low));
        } else {
            let price = position.entry_price;
            // Of what helps only the close is known to have come after a limit was met inside the bar.
            let inside = by_limit && price != bar.open;
            let high = if inside && position.shares > 0 { bar.close } else { bar.high };
            let low = if inside && position.shares < 0 { bar.close } else { bar.low };
            (self.entered, self.bars_held) = (position.entered, 1);
            (self.high, self.low) = (price.max(high), price.min(low));
        }
    }

    fn moment<'m>(&'m self, inputs: &'m [f64], entry_price: f64) -> Moment<'m> {
        Moment {
            inputs,
            entry_price,
            bars_held: f64::from(self.bars_held),
            high: self.high,
            low: self.low,
            kept: Some(&self.kept),
        }
    }
}

impl Strategy for Declared {
    const NAME: &'static str = "rules";
    type Inputs = Values;
    type State = Remembered;

    fn indicators(&self) -> Wanted {
        Wanted(self.program.inputs.clone())
    }

    fn warmup(&self) -> usize {
        self.warmup
    }

    fn act(&self, state: &mut Remembered, now: &Now<Values>, orders: &mut Orders) {
        let inputs = now.inputs.as_slice();
        let position = &now.position;
        let holding = self.sides().find(|side| side.side.sign() == position.shares.signum());
        let by_limit = holding.is_some_and(|side| matches!(side.order, OrderKind::Limit | OrderKind::StopLimit));
        state.see(position, &now.bar, by_limit);
        let mut leaves = false;
        if let Some(side) = holding {
            leaves = self.leave(side, state, now, orders);
            if !leaves {
                follow(side, state, inputs, position, orders);
            }
        }
        let works = |side: &SideProgram, orders: &Orders| orders.find(side.name()).is_some();
        for side in self.sides() {
            if let Some(condition) = &side.cancel_when
                && works(side, orders)
                && condition.at(&state.moment(inputs, f64::NAN)) == 1.0
            {
                orders.place(Order::Cancel(side.name()));
            }
        }
        if position.is_open() && !leaves {
            return;
        }
        let wants = |side: &&'static SideProgram| {
            let cools = match side.cooldown_bars {
                0 => false,
                1 => position.exited_this_bar,
                bars => (1..=bars).contains(&state.since_exit),
            };
            !cools && !works(side, orders) && side.enter.iter().all(|test| test.holds(inputs[test.input]))
        };
        let entering: Vec<&SideProgram> = self.sides().filter(wants).collect();
        if entering.len() > 1 && entering.iter().any(|side| side.order.is_market()) {
            return;
        }
        let others = self.sides().filter(|side| works(side, orders)).count();
        for side in &entering {
            if side.size == SizeKind::TargetWeight {
                let weight = side.amount.at(&state.moment(inputs, now.bar.close));
                if weight > 0.0 {
                    orders.place(Order::target_weight(weight * side.side.sign() as f64));
                }
                continue;
            }
            let Some(mut ticket) = side.entry(inputs, now.bar.close) else { continue };
            for (kept, input) in state.kept.iter_mut().zip(&side.kept) {
                *kept = inputs[*input];
            }
            if side.trail_stop.is_some()
                && let Some(Stop::At(stop)) = ticket.bracket.stop
            {
                state.stop = stop;
            }
            let plain = side.order == OrderKind::Market && !leaves && side.trail_stop.is_none() && others == 0;
            orders.place(match plain {
                true => Order::Enter(Entry { side: ticket.side, size: ticket.size, bracket: ticket.bracket }),
                false => {
                    if !side.order.is_market() && self.program.long.is_some() && self.program.short.is_some() {
                        ticket.oco = Some(Name::from("entry"));
                    }
                    Order::Place(ticket)
                }
            });
        }
    }

    fn rules(&self) -> Option<Rules> {
        let (Some(side), None) = (&self.program.long, &self.program.short) else { return None };
        let Some(Leaving::Tests(exit)) = &side.exit else { return None };
        let Value::Number(amount) = side.amount else { return None };
        let fixed = matches!(side.size, SizeKind::Shares | SizeKind::Notional);
        (side.is_plain() && fixed).then_some(())?;
        let reason = Reason::Signal(side.reason);
        Some(Rules { enter: side.enter.clone(), exit: exit.clone(), size: side.size(amount, f64::INFINITY)?, reason })
    }

    fn needs(&self) -> Vec<Test> {
        match (&self.program.long, &self.program.short) {
            (Some(side), None) | (None, Some(side)) if side.cooldown_bars <= 1 => side.enter.clone(),
            _ => Vec::new(),
        }
    }

    fn asks_while_busy(&self) -> bool {
        self.sides().any(SideProgram::follows)
    }
}

impl Declared {
    /// Leaves a position; whether it does.
    fn leave(&self, side: &SideProgram, state: &Remembered, now: &Now<Values>, orders: &mut Orders) -> bool {
        let inputs = now.inputs.as_slice();
        let signals = match &side.exit {
            None => false,
            Some(Leaving::Tests(tests)) => tests.iter().all(|test| test.holds(inputs[test.input])),
            Some(Leaving::Held(value)) => value.at(&state.moment(inputs, now.position.entry_price)) == 1.0,
        };
        let reason = match signals {
            true => side.reason,
            false if side.max_bars.is_some_and(|most| state.bars_held >= most) => "max_bars",
            false => return false,
        };
        if side.exits_at_close {
            orders.place(Order::ExitAtClose(Reason::Signal(reason)));
        } else {
            orders.place(Order::Exit(Reason::Signal(reason)));
        }
        true
    }
}

/// Moves the stop that follows, never away from the market.
fn follow(side: &SideProgram, state: &mut Remembered, inputs: &[f64], position: &Position, orders: &mut Orders) {
    let Some(trail) = &side.trail_stop else { return };
    let level = trail.at(&state.moment(inputs, position.entry_price));
    let direction = side.side.sign() as f64;
    if level.is_finite() && level > 0.0 && (state.stop.is_nan() || (level - state.stop) * direction > 0.0) {
        state.stop = level;
        orders.place(Order::Replace(side.name(), Change { stop_loss: Some(level), ..Change::default() }));
    }
}
