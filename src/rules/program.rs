//! Rules of one symbol with its parameters, ready to decide: which indicators they need, and what is compared with what.

use std::collections::BTreeSet;

use super::compile::{Held, Kind, LEVEL_NAMES, Meaning, Names, Numbers, POSITION_NAMES, Typed, compile};
use super::fault::Fault;
use super::section::{OrderKind, RuleFault, Section, SideRules, SizeKind, TargetRules, Tif};
use super::tree::{Join, Node, Place, Tree};
use crate::bar::Timeframe;
use crate::error::codes;
use crate::indicator::{Indicator, Operation};
use crate::order::Side;
use crate::strategy::Test;
use crate::words::{Word, word};

/// The most values of a bar that rules may look at.
pub const MOST_INPUTS: usize = 32;
/// The most `at_entry` of a side.
pub(super) const MOST_AT_ENTRY: usize = 4;

/// Rules, ready to decide.
#[derive(Clone, Debug, PartialEq)]
pub struct Program {
    /// What they look at.
    pub inputs: Vec<Indicator>,
    /// `long`
    pub long: Option<SideProgram>,
    /// `short`
    pub short: Option<SideProgram>,
}

/// One side, ready to decide.
#[derive(Clone, Debug, PartialEq)]
pub struct SideProgram {
    pub(super) side: Side,
    pub(super) enter: Vec<Test>,
    pub(super) exit: Option<Leaving>,
    pub(super) reason: Word,
    pub(super) size: SizeKind,
    pub(super) amount: Value,
    pub(super) cap: Option<Value>,
    pub(super) order: OrderKind,
    pub(super) limit: Option<Value>,
    pub(super) stop_at: Option<Value>,
    pub(super) tif: Tif,
    pub(super) cancel_when: Option<Value>,
    pub(super) exits_at_close: bool,
    pub(super) stop: Option<Level>,
    pub(super) trail_stop: Option<Value>,
    pub(super) trail_percent: Option<f64>,
    pub(super) targets: Vec<Target>,
    pub(super) max_bars: Option<u32>,
    pub(super) cooldown_bars: u32,
    pub(super) time_stop_minutes: Option<f64>,
    pub(super) flat_before_close_minutes: Option<f64>,
    /// What `at_entry` keeps, as inputs.
    pub(super) kept: Vec<usize>,
}

/// When a position is left.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Leaving {
    /// Where all of these hold.
    Tests(Vec<Test>),
    /// Where this is true: it depends on what is held.
    Held(Value),
}

/// A value, worked out when it is needed.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Number(f64),
    Input(usize),
    EntryPrice,
    Age,
    HighSinceEntry,
    LowSinceEntry,
    /// The value of that number among those kept, and its input at the decision.
    AtEntry(usize, usize),
    Made(Operation, Vec<Self>),
}

/// What a value is worked out from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment<'m> {
    pub(super) inputs: &'m [f64],
    pub(super) entry_price: f64,
    pub(super) bars_held: f64,
    pub(super) high: f64,
    pub(super) low: f64,
    /// What was kept at the entry; nothing at the decision to enter, when it is this bar's.
    pub(super) kept: Option<&'m [f64]>,
}

impl Value {
    /// The value; not a number where that isn't known.
    pub(super) fn at(&self, moment: &Moment<'_>) -> f64 {
        match self {
            Self::Number(number) => *number,
            Self::Input(input) => moment.inputs[*input],
            Self::EntryPrice => moment.entry_price,
            Self::Age => moment.bars_held,
            Self::HighSinceEntry => moment.high,
            Self::LowSinceEntry => moment.low,
            Self::AtEntry(kept, input) => moment.kept.map_or_else(|| moment.inputs[*input], |all| all[*kept]),
            Self::Made(operation, of) => {
                let mut values = [f64::NAN; 3];
                values.iter_mut().zip(of).for_each(|(value, of)| *value = of.at(moment));
                operation.of(values)
            }
        }
    }

    fn uses(&self, wanted: &dyn Fn(&Self) -> bool) -> bool {
        wanted(self) || matches!(self, Self::Made(_, of) if of.iter().any(|part| part.uses(wanted)))
    }
}

/// A price of a bracket: at a price, or by the fill.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Level {
    At(Value),
    /// The fill and so many dollars.
    Beyond(Value),
    /// The fill less so many dollars.
    Before(Value),
    /// So many times the fill.
    Times(Value),
    /// Part of the way from the fill to a price.
    Toward(Value, Value),
}

/// One target.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Target {
    pub(super) level: Level,
    pub(super) percent: f64,
    pub(super) then_stop: Option<Level>,
}

/// What is wrong with one expression.
struct Wrong {
    path: String,
    fault: Fault,
}

struct Programmer<'p> {
    section: &'p Section,
    names: Names<'p>,
    inputs: Vec<Indicator>,
    kept: Vec<usize>,
    wrong: Vec<Wrong>,
    /// `let`s that are wrong themselves.
    bad: BTreeSet<String>,
}

/// What rules need and do, with the parameters of a symbol; and everything that is wrong with them. Parameters whose
/// values aren't known yet make a program that isn't to be run.
pub fn program(section: &Section, parameters: &Numbers, timeframe: Option<Timeframe>) -> (Program, Vec<RuleFault>) {
    let names = Names::new(&section.lets, parameters, timeframe);
    let mut programmer =
        Programmer { section, names, inputs: Vec::new(), kept: Vec::new(), wrong: Vec::new(), bad: BTreeSet::new() };
    programmer.check_lets();
    let long = section.long.as_ref().and_then(|side| programmer.side("rules.long", Side::Buy, side));
    let short = section.short.as_ref().and_then(|side| programmer.side("rules.short", Side::Sell, side));
    programmer.check_used();
    let Programmer { inputs, wrong, .. } = programmer;
    let mut seen = BTreeSet::new();
    let faults = wrong
        .into_iter()
        .filter(|wrong| seen.insert(wrong.path.clone()))
        .map(|Wrong { path, fault }| {
            let is_key =
                matches!(fault.code, code if code == codes::RULE_UNUSED_LET || code == codes::RULE_UNUSED_PARAMETER);
            RuleFault { path, is_key, in_text: !is_key, fault }
        })
        .collect();
    (Program { inputs, long, short }, faults)
}

type Programmed<T> = Option<T>;

impl Programmer<'_> {
    fn report(&mut self, path: &str, fault: Fault) {
        self.wrong.push(Wrong { path: path.to_owned(), fault });
    }

    fn check_lets(&mut self) {
        let used = std::mem::take(&mut *self.names.used.borrow_mut());
        for (name, tree) in &self.section.lets {
            if let Err(fault) = compile(tree, &self.names) {
                // One that uses a wrong one is not wrong itself.
                let of_another =
                    |part: &Tree| matches!(&part.node, Node::Call(call) if self.bad.contains(&call.name.text));
                if !any(tree, &of_another) {
                    self.wrong.push(Wrong { path: format!("rules.let.{name}"), fault });
                }
                self.bad.insert(name.clone());
            }
        }
        *self.names.used.borrow_mut() = used;
    }

    fn check_used(&mut self) {
        if !self.wrong.is_empty() {
            return;
        }
        let used = self.names.used.borrow().clone();
        for name in self.section.lets.keys().filter(|name| !used.contains(*name)) {
            let what = format!("nothing uses `{name}`");
            let fault = Fault::new(codes::RULE_UNUSED_LET, Place { start: 0, end: 1 }, what);
            self.wrong.push(Wrong { path: format!("rules.let.{name}"), fault });
        }
        for name in self.names.parameters.keys().filter(|name| !used.contains(&format!("${name}"))) {
            let what = format!("no rule uses the parameter `{name}`");
            let fault = Fault::new(codes::RULE_UNUSED_PARAMETER, Place { start: 0, end: 1 }, what);
            self.wrong.push(Wrong { path: format!("strategy_parameters.{name}"), fault });
        }
    }

    fn uses_bad(&self, tree: &Tree) -> bool {
        any(tree, &|part| matches!(&part.node, Node::Call(call) if self.bad.contains(&call.name.text)))
    }

    /// An expression of a kind, that may use these names of the position.
    fn typed(&mut self, path: &str, tree: &Tree, kind: Kind, position: &[&str]) -> Programmed<Typed> {
        if self.uses_bad(tree) {
            return None;
        }
        let typed = match compile(tree, &self.names) {
            Ok(typed) => typed,
            Err(fault) => {
                self.report(path, fault);
                return None;
            }
        };
        let fault = if typed.kind != kind {
            let expected = if kind == Kind::Condition { "a condition" } else { "a number" };
            Some(Fault::new(codes::RULE_KIND, tree.place, format!("{path} is no {}", &expected[2..])))
        } else if kind == Kind::Condition && matches!(typed.meaning, Meaning::Constant(_, true)) {
            Some(Fault::new(codes::RULE_CONSTANT_CONDITION, tree.place, "it is the same at each bar"))
        } else {
            self.misplaced(tree, position)
        };
        match fault {
            Some(fault) => {
                self.report(path, fault);
                None
            }
            None => Some(typed),
        }
    }

    /// A name of the position where there is none.
    fn misplaced(&self, tree: &Tree, allowed: &[&str]) -> Option<Fault> {
        if let Node::Call(call) = &tree.node {
            let name = &call.name;
            let is_position = super::catalogue::find(&name.text)
                .is_some_and(|function| function.group == super::catalogue::Group::Position);
            if is_position && !allowed.contains(&name.text.as_str()) {
                let what = format!("`{}` means nothing here", name.text);
                return Some(Fault::new(codes::RULE_POSITION_NAME, name.place, what).help(match allowed {
                    [] => "it is known in exit, stop, trail_stop and targets".to_owned(),
                    allowed => format!("known here are {}", allowed.join(", ")),
                }));
            }
            if let Some(of) = self.section.lets.get(&name.text) {
                return self.misplaced(of, allowed).map(|fault| Fault { place: name.place, ..fault });
            }
        }
        tree.parts().into_iter().find_map(|part| self.misplaced(part, allowed))
    }

    fn input(&mut self, path: &str, indicator: Indicator) -> usize {
        if let Some(known) = self.inputs.iter().position(|known| *known == indicator) {
            return known;
        }
        self.inputs.push(indicator);
        if self.inputs.len() == MOST_INPUTS + 1 {
            let what = format!("the rules look at more than {MOST_INPUTS} values of a bar");
            self.report(path, Fault::new(codes::RULE_TOO_LONG, Place { start: 0, end: 1 }, what));
        }
        self.inputs.len() - 1
    }

    fn value_of(&mut self, path: &str, held: &Held) -> Value {
        match held {
            Held::Number(number) => Value::Number(*number),
            Held::Bar(indicator) => Value::Input(self.input(path, *indicator)),
            Held::EntryPrice => Value::EntryPrice,
            Held::Age => Value::Age,
            Held::HighSinceEntry => Value::HighSinceEntry,
            Held::LowSinceEntry => Value::LowSinceEntry,
            Held::AtEntry(indicator) => {
                let input = self.input(path, *indicator);
                let kept = self.kept.iter().position(|known| *known == input).unwrap_or_else(|| {
                    self.kept.push(input);
                    self.kept.len() - 1
                });
                Value::AtEntry(kept, input)
            }
            Held::Made(operation, of) => {
                let of = of.iter().map(|part| self.value_of(path, part)).collect();
                Value::Made(*operation, of)
            }
        }
    }

    fn value(&mut self, path: &str, typed: &Typed) -> Value {
        match &typed.meaning {
            Meaning::Constant(number, _) => Value::Number(*number),
            _ => self.value_of(path, &typed.held()),
        }
    }

    /// A number that may use these names of the position.
    fn number(&mut self, path: &str, tree: &Tree, position: &[&str]) -> Programmed<Value> {
        let typed = self.typed(path, tree, Kind::Number, position)?;
        Some(self.value(path, &typed))
    }

    fn optional(&mut self, path: &str, tree: Option<&Tree>, position: &[&str]) -> Programmed<Option<Value>> {
        match tree {
            None => Some(None),
            Some(tree) => self.number(path, tree, position).map(Some),
        }
    }

    /// The same number at each bar, in a range; any, as long as a parameter has no value.
    fn fixed(
        &mut self,
        path: &str,
        tree: Option<&Tree>,
        least: f64,
        most: f64,
        whole: bool,
    ) -> Programmed<Option<f64>> {
        let Some(tree) = tree else { return Some(None) };
        let typed = self.typed(path, tree, Kind::Number, &[])?;
        match typed.meaning {
            Meaning::Constant(number, _) if number.is_nan() => Some(Some(least)),
            Meaning::Constant(number, _) if number >= least && number <= most && (!whole || number.fract() == 0.0) => {
                Some(Some(number))
            }
            meaning => {
                let kind = if whole { "a whole number" } else { "a number" };
                let found = match meaning {
                    Meaning::Constant(number, _) => number.to_string(),
                    _ => "one that changes from bar to bar".to_owned(),
                };
                let what = format!("{kind} from {least} to {most} is needed, this is {found}");
                self.report(path, Fault::new(codes::RULE_BAD_VALUE, tree.place, what));
                None
            }
        }
    }

    /// The comparisons that must all hold where a condition does.
    fn tests(&mut self, path: &str, tree: &Tree, tests: &mut Vec<Test>) -> Programmed<()> {
        match &tree.node {
            Node::Joined(Join::And, left, right) => {
                self.tests(path, left, tests)?;
                self.tests(path, right, tests)
            }
            Node::Call(call) if call.symbol.is_none() && self.section.lets.contains_key(&call.name.text) => {
                self.names.used.borrow_mut().insert(call.name.text.clone());
                let section = self.section;
                self.tests(path, &section.lets[&call.name.text], tests)
            }
            Node::Joined(join, left, right) if join.compares() && !matches!(join, Join::Equal | Join::Unequal) => {
                let sides = [left, right].map(|part| compile(part, &self.names).ok());
                match sides.map(|side| side.map(|typed| typed.meaning)) {
                    [Some(Meaning::Bar(value)), Some(Meaning::Constant(level, _))] => {
                        let input = self.input(path, value);
                        tests.push(test(*join, input, level));
                        Some(())
                    }
                    [Some(Meaning::Constant(level, _)), Some(Meaning::Bar(value))] => {
                        let input = self.input(path, value);
                        tests.push(test(turned(*join), input, level));
                        Some(())
                    }
                    _ => self.whole_test(path, tree, tests),
                }
            }
            _ => self.whole_test(path, tree, tests),
        }
    }

    fn whole_test(&mut self, path: &str, tree: &Tree, tests: &mut Vec<Test>) -> Programmed<()> {
        let typed = compile(tree, &self.names).ok()?;
        let input = self.input(path, typed.indicator()?);
        tests.push(Test::above(input, 0.5));
        Some(())
    }

    fn condition(&mut self, path: &str, tree: &Tree) -> Programmed<Vec<Test>> {
        self.typed(path, tree, Kind::Condition, &[])?;
        let mut tests = Vec::new();
        self.tests(path, tree, &mut tests)?;
        Some(tests)
    }

    /// A price of a bracket, by the fill.
    fn level(&mut self, path: &str, tree: &Tree) -> Programmed<Level> {
        let value = self.number(path, tree, &LEVEL_NAMES)?;
        let by_fill = |value: &Value| value.uses(&|part| matches!(part, Value::EntryPrice));
        if !by_fill(&value) {
            return Some(Level::At(value));
        }
        let level = match value {
            Value::EntryPrice => Some(Level::Beyond(Value::Number(0.0))),
            Value::Made(operation, of) => match (operation, &of[..]) {
                (Operation::Plus, [Value::EntryPrice, by] | [by, Value::EntryPrice]) if !by_fill(by) => {
                    Some(Level::Beyond(by.clone()))
                }
                (Operation::Minus, [Value::EntryPrice, by]) if !by_fill(by) => Some(Level::Before(by.clone())),
                (Operation::Times, [Value::EntryPrice, by] | [by, Value::EntryPrice]) if !by_fill(by) => {
                    Some(Level::Times(by.clone()))
                }
                _ => None,
            },
            _ => None,
        };
        if level.is_none() {
            let what = "a level by entry_price is entry_price + x, entry_price - x or entry_price * x";
            self.report(path, Fault::new(codes::RULE_NOT_YET, tree.place, what));
        }
        level
    }

    /// A bracket's price that is always on the wrong side of the fill.
    fn check_side(&mut self, path: &str, tree: &Tree, level: &Level, above: bool) {
        let number = |value: &Value| if let Value::Number(number) = value { Some(*number) } else { None };
        let beyond = match level {
            Level::Beyond(by) => number(by),
            Level::Before(by) => number(by).map(|by| -by),
            Level::Times(by) => number(by).map(|by| by - 1.0),
            Level::At(_) | Level::Toward(..) => None,
        };
        if beyond.is_some_and(|beyond| if above { beyond <= 0.0 } else { beyond >= 0.0 }) {
            let side = if above { "above" } else { "below" };
            let what = format!("it must lie {side} the entry, and never does");
            self.report(path, Fault::new(codes::RULE_BRACKET_SIDE, tree.place, what));
        }
    }

    fn targets(&mut self, path: &str, side: Side, targets: &[TargetRules]) -> Programmed<Vec<Target>> {
        let (mut all, mut percents) = (Vec::new(), 0.0);
        for (i, target) in targets.iter().enumerate() {
            let path = format!("{path}.targets[{i}]");
            let percent =
                self.fixed(&format!("{path}.percent"), Some(&target.percent), f64::MIN_POSITIVE, 100.0, false);
            let level = match &target.fraction {
                None => {
                    let at = format!("{path}.at");
                    let level = self.level(&at, &target.at);
                    if let Some(level) = &level {
                        self.check_side(&at, &target.at, level, side == Side::Buy);
                    }
                    level
                }
                Some(fraction) => {
                    let toward = self.number(&format!("{path}.toward"), &target.at, &["at_entry"]);
                    let fraction = self.number(&format!("{path}.fraction"), fraction, &[]);
                    toward.zip(fraction).map(|(toward, fraction)| Level::Toward(toward, fraction))
                }
            };
            let then_stop = match &target.then_stop {
                None => Some(None),
                Some(then) => self.level(&format!("{path}.then_stop"), then).map(Some),
            };
            let percent = percent?.unwrap_or(100.0);
            percents += percent;
            if percents > 100.0 {
                let what = format!("with those before it the targets close {percents} % of the position");
                self.report(
                    &format!("{path}.percent"),
                    Fault::new(codes::RULE_CONTRADICTION, target.percent.place, what),
                );
                return None;
            }
            all.push(Target { level: level?, percent, then_stop: then_stop? });
        }
        Some(all)
    }

    fn side(&mut self, path: &str, side: Side, rules: &SideRules) -> Programmed<SideProgram> {
        let at = |key: &str| format!("{path}.{key}");
        self.kept.clear();
        let enter = self.condition(&at("enter"), &rules.enter);
        let exit = rules.exit.as_ref().map(|exit| self.leaving(&at("exit"), exit));
        let (size, amount) = &rules.size;
        let name = match size {
            SizeKind::Shares => "shares",
            SizeKind::Notional => "notional",
            SizeKind::EquityFraction => "equity_fraction",
            SizeKind::RiskFraction => "risk_fraction",
            SizeKind::TargetWeight => "target_weight",
        };
        let amount = self.number(&at(&format!("size.{name}")), amount, &[]);
        let cap = self.optional(&at("size.cap"), rules.cap.as_ref(), &[]);
        let limit = self.optional(&at("limit"), rules.limit.as_ref(), &[]);
        let stop_at = self.optional(&at("stop_at"), rules.stop_at.as_ref(), &[]);
        let cancel_when = match &rules.cancel_when {
            None => Some(None),
            Some(tree) => {
                let typed = self.typed(&at("cancel_when"), tree, Kind::Condition, &[]);
                typed.map(|typed| Some(self.value(&at("cancel_when"), &typed)))
            }
        };
        let stop = match &rules.stop {
            None => Some(None),
            Some(tree) => {
                let level = self.level(&at("stop"), tree);
                if let Some(level) = &level {
                    self.check_side(&at("stop"), tree, level, side == Side::Sell);
                }
                level.map(Some)
            }
        };
        let trail_stop = self.optional(&at("trail_stop"), rules.trail_stop.as_ref(), &POSITION_NAMES);
        let trail_percent = self.fixed(&at("trail_pct"), rules.trail_pct.as_ref(), f64::MIN_POSITIVE, 99.999, false);
        let targets = self.targets(path, side, &rules.targets);
        let max_bars = self.fixed(&at("max_bars"), rules.max_bars.as_ref(), 1.0, 1e6, true);
        let cooldown = self.fixed(&at("cooldown_bars"), rules.cooldown_bars.as_ref(), 0.0, 1e6, true);
        let time =
            self.fixed(&at("time_stop_minutes"), rules.time_stop_minutes.as_ref(), f64::MIN_POSITIVE, 1e7, false);
        let flat =
            self.fixed(&at("flat_before_close_minutes"), rules.flat_before_close_minutes.as_ref(), 0.0, 390.0, false);
        if let Some(tree) = &rules.flat_before_close_minutes
            && self.names.timeframe.is_some_and(|width| !width.is_intraday())
        {
            let what = "bars of days and weeks end with their session: nothing can be flat before its close";
            self.report(&at("flat_before_close_minutes"), Fault::new(codes::RULE_CONTRADICTION, tree.place, what));
        }
        let kept = std::mem::take(&mut self.kept);
        if kept.len() > MOST_AT_ENTRY {
            let what = format!("{path} has more than {MOST_AT_ENTRY} different at_entry");
            self.report(&at("enter"), Fault::new(codes::RULE_TOO_LONG, rules.enter.place, what));
        }
        let given = rules.reason.as_deref().unwrap_or("exit");
        let reason = match word(given) {
            Ok(reason) => reason,
            Err(what) => {
                self.report(&at("reason"), Fault::new(codes::RULE_TOO_LONG, rules.enter.place, what));
                return None;
            }
        };
        Some(SideProgram {
            side,
            enter: enter?,
            exit: match exit {
                None => None,
                Some(exit) => Some(exit?),
            },
            reason,
            size: *size,
            amount: amount?,
            cap: cap?,
            order: rules.order,
            limit: limit?,
            stop_at: stop_at?,
            tif: rules.tif,
            cancel_when: cancel_when?,
            exits_at_close: rules.exits_at_close,
            stop: stop?,
            trail_stop: trail_stop?,
            trail_percent: trail_percent?,
            targets: targets?,
            max_bars: max_bars?.map(|bars| bars as u32),
            cooldown_bars: cooldown?.map_or(0, |bars| bars as u32),
            time_stop_minutes: time?,
            flat_before_close_minutes: flat?,
            kept,
        })
    }

    fn leaving(&mut self, path: &str, tree: &Tree) -> Programmed<Leaving> {
        let typed = self.typed(path, tree, Kind::Condition, &POSITION_NAMES)?;
        if matches!(typed.meaning, Meaning::Held(_)) {
            return Some(Leaving::Held(self.value(path, &typed)));
        }
        let mut tests = Vec::new();
        self.tests(path, tree, &mut tests)?;
        Some(Leaving::Tests(tests))
    }
}

fn any(tree: &Tree, wanted: &dyn Fn(&Tree) -> bool) -> bool {
    wanted(tree) || tree.parts().into_iter().any(|part| any(part, wanted))
}

/// `value join level`
fn test(join: Join, input: usize, level: f64) -> Test {
    match join {
        Join::Less => Test::below(input, level),
        Join::AtMost => Test::at_most(input, level),
        Join::AtLeast => Test::at_least(input, level),
        _ => Test::above(input, level),
    }
}

/// The same comparison from the other side.
const fn turned(join: Join) -> Join {
    match join {
        Join::Less => Join::Greater,
        Join::AtMost => Join::AtLeast,
        Join::Greater => Join::Less,
        Join::AtLeast => Join::AtMost,
        other => other,
    }
}
