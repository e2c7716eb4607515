//! From trees to indicators: kinds, periods and names are checked on the way.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use super::catalogue::{Gives, Group, Takes, find};
use super::fault::Fault;
use super::given::Given;
use super::tree::{Call, Join, Node, Place, Tree, Word};
use crate::bar::{Symbol, Timeframe};
use crate::error::codes;
use crate::finding::nearest;
use crate::indicator::{Field, Indicator, Operation};

/// Parts of a rule with everything that it uses from `let`.
const MOST_PARTS: usize = 20_000;
/// The longest period, bars.
const LONGEST_PERIOD: f64 = 100_000.0;
/// Names of the position.
pub(super) const POSITION_NAMES: [&str; 5] =
    ["entry_price", "at_entry", "bars_held", "high_since_entry", "low_since_entry"];
/// Those that a level may use.
pub(super) const LEVEL_NAMES: [&str; 2] = ["entry_price", "at_entry"];

/// Parameters by name; of one whose value isn't known yet there is none.
pub type Numbers = BTreeMap<String, Option<f64>>;

/// What a rule may use, and what it used.
pub struct Names<'n> {
    /// `let`.
    pub lets: &'n BTreeMap<String, Tree>,
    /// Parameters: of those whose value isn't known yet there is none.
    pub parameters: &'n Numbers,
    /// Width of the bars; unknown in an expression alone.
    pub timeframe: Option<Timeframe>,
    /// Names that were used, `$` before parameters.
    pub used: RefCell<BTreeSet<String>>,
}

impl<'n> Names<'n> {
    /// Of a rule that may use these.
    pub fn new(lets: &'n BTreeMap<String, Tree>, parameters: &'n Numbers, timeframe: Option<Timeframe>) -> Self {
        Self { lets, parameters, timeframe, used: RefCell::default() }
    }
}

/// What a part stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A number at each bar.
    Number,
    /// A condition.
    Condition,
    /// Several numbers, by name.
    Several(&'static [&'static str]),
}

impl Kind {
    fn text(self) -> String {
        match self {
            Self::Number => "a number".to_owned(),
            Self::Condition => "a condition".to_owned(),
            Self::Several(fields) => format!("several numbers: .{}", fields.join(", .")),
        }
    }
}

/// A part that depends on what is held.
#[derive(Clone, Debug, PartialEq)]
pub enum Held {
    /// The same at each bar.
    Number(f64),
    /// A value of the bar.
    Bar(Indicator),
    /// Price of the entry.
    EntryPrice,
    /// Bars since the entry.
    Age,
    /// Highest price since the entry.
    HighSinceEntry,
    /// Lowest price since the entry.
    LowSinceEntry,
    /// A value of the bar at whose close the entry was decided.
    AtEntry(Indicator),
    /// What is made of them.
    Made(Operation, Vec<Self>),
}

/// What a part means.
#[derive(Clone, Debug, PartialEq)]
pub enum Meaning {
    /// The same number at each bar; not a number if a parameter in it has no value yet. Whether it is written so: a
    /// parameter isn't.
    Constant(f64, bool),
    /// A value of each bar.
    Bar(Indicator),
    /// Several values of each bar.
    Several(Vec<Indicator>),
    /// A value that depends on what is held.
    Held(Held),
}

/// A part, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Typed {
    /// What it stands for.
    pub kind: Kind,
    /// What it means.
    pub meaning: Meaning,
}

impl Typed {
    /// Its value at each bar, if that doesn't depend on what is held.
    pub fn indicator(&self) -> Option<Indicator> {
        match &self.meaning {
            Meaning::Constant(number, _) => Some(Indicator::constant(*number)),
            Meaning::Bar(indicator) => Some(*indicator),
            Meaning::Several(_) | Meaning::Held(_) => None,
        }
    }

    /// As a value that may depend on what is held.
    pub fn held(&self) -> Held {
        match &self.meaning {
            Meaning::Held(held) => held.clone(),
            Meaning::Constant(number, _) => Held::Number(*number),
            _ => Held::Bar(self.indicator().unwrap_or_else(|| Indicator::constant(f64::NAN))),
        }
    }
}

/// Where a part stands.
#[derive(Clone, Copy, Debug, Default)]
struct Inside {
    /// A symbol's value.
    symbol: bool,
    /// What looks at more than one bar, or at another symbol's: there is no position there.
    many_bars: bool,
}

/// Checks a rule and says what it means.
///
/// # Errors
/// The first thing that is wrong, with its place.
pub fn compile(tree: &Tree, names: &Names<'_>) -> Result<Typed, Fault> {
    let mut compiler = Compiler { names, parts: 0 };
    compiler.part(tree, Inside::default())
}

struct Compiler<'c, 'n> {
    names: &'c Names<'n>,
    parts: usize,
}

type Compiled = Result<Typed, Fault>;

fn of_kind(kind: Kind, meaning: Meaning) -> Typed {
    Typed { kind, meaning }
}

fn wrong_kind(place: Place, found: Kind, expected: &str) -> Fault {
    let fault = Fault::new(codes::RULE_KIND, place, format!("this is {}, {expected} is needed", found.text()));
    match found {
        Kind::Several(fields) => fault.help(format!("choose one: .{}", fields.join(", ."))),
        Kind::Number => fault.help("compare it with something: `> 0`"),
        Kind::Condition => fault.help("`if(condition, 1, 0)` makes a number of a condition"),
    }
}

impl Compiler<'_, '_> {
    fn part(&mut self, tree: &Tree, inside: Inside) -> Compiled {
        self.parts += 1;
        if self.parts > MOST_PARTS {
            let what = format!("with everything under `let` that it uses, the rule has more than {MOST_PARTS} parts");
            return Err(Fault::new(codes::RULE_TOO_LONG, tree.place, what));
        }
        match &tree.node {
            Node::Number(number) => Ok(of_kind(Kind::Number, Meaning::Constant(*number, true))),
            Node::Parameter(name) => self.parameter(name, tree.place),
            Node::Call(call) => self.call(call, inside),
            Node::Field(of, field) => self.field(of, field, inside),
            Node::Back(of, bars) => self.back(of, bars, inside),
            Node::At(of, width) => self.at(of, width, inside),
            Node::Not(of) => self.made(Operation::Not, &[of], &[Takes::Condition], Kind::Condition, inside),
            Node::Minus(of) => self.made(Operation::Negated, &[of], &[Takes::Number], Kind::Number, inside),
            Node::Joined(join, left, right) => self.joined(*join, [left, right], tree.place, inside),
        }
    }

    fn parameter(&self, name: &str, place: Place) -> Compiled {
        let Some(value) = self.names.parameters.get(name) else {
            let what = format!("there is no parameter `{name}` that is a number");
            let fault = Fault::new(codes::RULE_UNDEFINED_PARAMETER, place, what);
            let known = nearest(name, self.names.parameters.keys().map(String::as_str));
            return Err(match known {
                Some(known) => fault.help(format!("did you mean `${known}`?")),
                None => fault,
            });
        };
        self.names.used.borrow_mut().insert(format!("${name}"));
        Ok(of_kind(Kind::Number, Meaning::Constant(value.unwrap_or(f64::NAN), false)))
    }

    fn joined(&mut self, join: Join, parts: [&Tree; 2], place: Place, inside: Inside) -> Compiled {
        let [left, right] = parts;
        let (operation, parts) = match join {
            Join::Or => (Operation::Or, parts),
            Join::And => (Operation::And, parts),
            Join::Less => (Operation::Less, parts),
            Join::AtMost => (Operation::AtMost, parts),
            Join::Greater => (Operation::Less, [right, left]),
            Join::AtLeast => (Operation::AtMost, [right, left]),
            Join::Equal | Join::Unequal => (Operation::Equal, parts),
            Join::Plus => (Operation::Plus, parts),
            Join::Minus => (Operation::Minus, parts),
            Join::Times => (Operation::Times, parts),
            Join::Over => (Operation::Over, parts),
        };
        let takes = if join.is_logic() { Takes::Condition } else { Takes::Number };
        let gives = if join.is_logic() || join.compares() { Kind::Condition } else { Kind::Number };
        // Faults are found from left to right, whichever way it is worked out.
        let mut given =
            [(left, takes), (right, takes)].map(|(part, takes)| self.argument(part, takes, inside)).into_iter();
        let (Some(first), Some(second)) = (given.next(), given.next()) else { unreachable!("two") };
        let (first, second) = (first?, second?);
        let swapped = parts[0].place == right.place;
        let values = if swapped { [second, first] } else { [first, second] };
        let typed = make(operation, &values, gives);
        if join.compares() && matches!(typed.meaning, Meaning::Constant(_, true)) {
            let what = "both sides are numbers: it is the same at each bar";
            return Err(Fault::new(codes::RULE_CONSTANT_CONDITION, place, what));
        }
        match join {
            Join::Unequal => Ok(make(Operation::Not, &[typed], Kind::Condition)),
            _ => Ok(typed),
        }
    }

    fn made(
        &mut self,
        operation: Operation,
        parts: &[&Tree],
        takes: &[Takes],
        gives: Kind,
        inside: Inside,
    ) -> Compiled {
        let values: Result<Vec<Typed>, Fault> =
            parts.iter().zip(takes).map(|(part, takes)| self.argument(part, *takes, inside)).collect();
        Ok(make(operation, &values?, gives))
    }

    /// A part of the kind that is asked for.
    fn argument(&mut self, tree: &Tree, takes: Takes, inside: Inside) -> Compiled {
        let typed = self.part(tree, inside)?;
        match (takes, typed.kind) {
            (Takes::Condition, Kind::Condition)
            | (Takes::Number | Takes::Period | Takes::Factor, Kind::Number)
            | (Takes::Either, Kind::Number | Kind::Condition) => Ok(typed),
            (Takes::Condition, found) => Err(wrong_kind(tree.place, found, "a condition")),
            (_, found) => Err(wrong_kind(tree.place, found, "a number")),
        }
    }

    /// The same number at each bar.
    fn constant(&mut self, tree: &Tree, inside: Inside) -> Result<f64, Fault> {
        match self.argument(tree, Takes::Factor, inside)?.meaning {
            Meaning::Constant(number, _) => Ok(number),
            _ => {
                let what = "this changes from bar to bar, a number or a parameter is needed";
                Err(Fault::new(codes::RULE_PERIOD, tree.place, what))
            }
        }
    }

    /// A number of bars. Of a parameter without a value any number will do.
    fn period(&mut self, tree: &Tree, least: f64, inside: Inside) -> Result<u32, Fault> {
        let number = self.constant(tree, inside)?;
        if number.is_nan() {
            return Ok(1);
        }
        if number < least || number > LONGEST_PERIOD || number.fract() != 0.0 {
            let what = format!("a whole number of bars from {least} to {LONGEST_PERIOD} is needed, this is {number}");
            return Err(Fault::new(codes::RULE_PERIOD, tree.place, what));
        }
        Ok(number as u32)
    }

    fn field(&mut self, of: &Tree, field: &Word, inside: Inside) -> Compiled {
        let typed = self.part(of, inside)?;
        let (Kind::Several(fields), Meaning::Several(values)) = (typed.kind, &typed.meaning) else {
            let what = format!("`.{}`: this is {}, which has no fields", field.text, typed.kind.text());
            return Err(Fault::new(codes::RULE_UNKNOWN_FIELD, field.place, what).help("leave the field out"));
        };
        match fields.iter().position(|known| *known == field.text) {
            Some(i) => Ok(of_kind(Kind::Number, Meaning::Bar(values[i]))),
            None => {
                let what = format!("there is no field `{}`", field.text);
                let near = nearest(&field.text, fields.iter().copied());
                let help = near.map_or_else(
                    || format!("choose one: .{}", fields.join(", .")),
                    |near| format!("did you mean `.{near}`?"),
                );
                Err(Fault::new(codes::RULE_UNKNOWN_FIELD, field.place, what).help(help))
            }
        }
    }

    fn back(&mut self, of: &Tree, bars: &Tree, inside: Inside) -> Compiled {
        let typed = self.argument(of, Takes::Either, Inside { many_bars: true, ..inside })?;
        let bars = self.period(bars, 0.0, inside)?;
        Ok(match (bars, typed.indicator()) {
            (0, _) | (_, None) => typed,
            (bars, Some(indicator)) => {
                let field = match indicator {
                    Indicator::Lag { field, bars: 0 } => field,
                    other => Field::of(other),
                };
                of_kind(typed.kind, Meaning::Bar(Indicator::Lag { field, bars }))
            }
        })
    }

    fn at(&mut self, of: &Tree, width: &Word, inside: Inside) -> Compiled {
        let wrong = |what: String| Fault::new(codes::RULE_WIDTH, width.place, what);
        let Ok(wanted) = width.text.parse::<Timeframe>() else {
            let known = "1m, 5m, 10m, 15m, 30m, 1h, 1d, 1w";
            return Err(wrong(format!("there are no bars of `{}`", width.text)).help(format!("widths are {known}")));
        };
        let typed = self.part(of, Inside { many_bars: true, ..inside })?;
        let to_coarser = |indicator: Indicator| -> Result<Indicator, Fault> {
            let at = indicator.at(wanted);
            match self.names.timeframe.map(|width| at.check(width)) {
                Some(Err(fault)) => Err(wrong(fault.what().to_owned())),
                _ => Ok(at),
            }
        };
        Ok(match (&typed.meaning, typed.indicator()) {
            (Meaning::Several(values), _) => {
                let values: Result<Vec<Indicator>, Fault> = values.iter().map(|&value| to_coarser(value)).collect();
                of_kind(typed.kind, Meaning::Several(values?))
            }
            (Meaning::Constant(..), _) | (_, None) => typed,
            (_, Some(indicator)) => of_kind(typed.kind, Meaning::Bar(to_coarser(indicator)?)),
        })
    }

    fn call(&mut self, call: &Call, inside: Inside) -> Compiled {
        let Call { symbol, name, arguments } = call;
        if let Some(symbol) = symbol {
            return self.elsewhere(symbol, call, inside);
        }
        if let Some(of) = self.names.lets.get(&name.text) {
            self.names.used.borrow_mut().insert(name.text.clone());
            return match arguments.first() {
                None => self.part(of, inside).map_err(|fault| Fault { place: name.place, ..fault }),
                Some(_) => Err(arity(name, 0, arguments.len())),
            };
        }
        let Some(function) = find(&name.text) else { return Err(self.unknown(call)) };
        if arguments.len() != function.takes.len() {
            return Err(
                arity(name, function.takes.len(), arguments.len()).help(format!("write {}", function.signature()))
            );
        }
        if function.group == Group::Position {
            return self.of_position(call, inside);
        }
        let looks_further = matches!(function.group, Group::Window | Group::Indicator | Group::Session)
            || matches!(function.name, "value_when" | "bars_since" | "crosses_above" | "crosses_below");
        let part_of = Inside { many_bars: inside.many_bars || looks_further, ..inside };
        let (mut given, mut typed) = (Given::default(), Vec::new());
        for (argument, (_, takes)) in arguments.iter().zip(function.takes) {
            match takes {
                Takes::Period => given.periods.push(self.period(argument, 1.0, inside)?),
                Takes::Factor => given.factors.push(self.constant(argument, inside)?),
                Takes::Number | Takes::Condition | Takes::Either => {
                    let value = self.argument(argument, *takes, part_of)?;
                    given.values.push(value.indicator().unwrap_or_else(|| Indicator::constant(f64::NAN)));
                    typed.push((value, argument.place));
                }
            }
        }
        if let ("if", [_, (a, _), (b, place)]) = (function.name, &typed[..])
            && a.kind != b.kind
        {
            return Err(wrong_kind(*place, b.kind, &a.kind.text()));
        }
        let kind = match function.gives {
            Gives::Number => Kind::Number,
            Gives::Condition => Kind::Condition,
            Gives::AsLast => typed.last().map_or(Kind::Number, |(last, _)| last.kind),
            Gives::Fields(fields) => Kind::Several(fields),
        };
        if let Kind::Several(fields) = kind {
            let values = (0..fields.len()).map(|i| (function.make)(&given, i)).collect();
            return Ok(of_kind(kind, Meaning::Several(values)));
        }
        let made = (function.make)(&given, 0);
        let values: Vec<Typed> = typed.into_iter().map(|(value, _)| value).collect();
        let arithmetic = match function.name {
            "abs" => Some(Operation::Absolute),
            "min" => Some(Operation::Smaller),
            "max" => Some(Operation::Larger),
            "sqrt" => Some(Operation::Root),
            "floor" => Some(Operation::Floor),
            "log" => Some(Operation::Log),
            "exp" => Some(Operation::Exp),
            "if" => Some(Operation::Choice),
            _ => None,
        };
        Ok(match arithmetic {
            Some(operation) => make(operation, &values, kind),
            None => of_kind(kind, Meaning::Bar(made)),
        })
    }

    fn of_position(&mut self, call: &Call, inside: Inside) -> Compiled {
        let name = &call.name;
        if inside.many_bars || inside.symbol {
            let what = format!("`{}` is known for this bar and this symbol alone", name.text);
            let help = "use it outside of [n], @, SYM: and functions that look at several bars";
            return Err(Fault::new(codes::RULE_POSITION_NAME, name.place, what).help(help));
        }
        let (kind, held) = match name.text.as_str() {
            "entry_price" => (Kind::Number, Held::EntryPrice),
            "bars_held" => (Kind::Number, Held::Age),
            "high_since_entry" => (Kind::Number, Held::HighSinceEntry),
            "low_since_entry" => (Kind::Number, Held::LowSinceEntry),
            _ => {
                let of = self.argument(&call.arguments[0], Takes::Either, Inside { many_bars: true, ..inside })?;
                let indicator = of.indicator().unwrap_or_else(|| Indicator::constant(f64::NAN));
                (of.kind, Held::AtEntry(indicator))
            }
        };
        Ok(of_kind(kind, Meaning::Held(held)))
    }

    fn elsewhere(&mut self, symbol: &Word, call: &Call, inside: Inside) -> Compiled {
        if inside.symbol {
            let what = format!("`{}:` stands inside another symbol's value", symbol.text);
            return Err(
                Fault::new(codes::RULE_UNKNOWN_SYMBOL, symbol.place, what).help("write each symbol's value apart")
            );
        }
        if symbol.text.parse::<Symbol>().is_err() {
            let what = format!("`{}` is no symbol", symbol.text);
            return Err(Fault::new(codes::RULE_UNKNOWN_SYMBOL, symbol.place, what)
                .help("a symbol has capital letters and digits; write spaces around a minus"));
        }
        let alone = Call { symbol: None, ..call.clone() };
        self.call(&alone, Inside { symbol: true, many_bars: true })?;
        let what = format!("`{}:`: values of other symbols can't be used in rules yet", symbol.text);
        Err(Fault::new(codes::RULE_NOT_YET, symbol.place, what))
    }

    fn unknown(&self, call: &Call) -> Fault {
        let name = &call.name;
        let known = super::catalogue::FUNCTIONS.iter().map(|function| function.name);
        let near = nearest(&name.text, known.chain(self.names.lets.keys().map(String::as_str)));
        let is_parameter = self.names.parameters.contains_key(&name.text);
        let (code, what) = match call.arguments.is_empty() {
            true => (codes::RULE_UNKNOWN_NAME, format!("nothing is named `{}`", name.text)),
            false => (codes::RULE_UNKNOWN_FUNCTION, format!("there is no function `{}`", name.text)),
        };
        let fault = Fault::new(code, name.place, what);
        match near {
            _ if is_parameter => fault.help(format!("a parameter is written `${}`", name.text)),
            Some(near) => fault.help(format!("did you mean `{near}`?")),
            None => fault,
        }
    }
}

fn arity(name: &Word, takes: usize, given: usize) -> Fault {
    let arguments = |n: usize| match n {
        0 => "no arguments".to_owned(),
        1 => "one argument".to_owned(),
        n => format!("{n} arguments"),
    };
    let what = format!("`{}` takes {}, it is given {given}", name.text, arguments(takes));
    Fault::new(codes::RULE_ARITY, name.place, what)
}

/// What an operation makes of values: a number if all are numbers.
fn make(operation: Operation, values: &[Typed], kind: Kind) -> Typed {
    let constant = |typed: &Typed| match typed.meaning {
        Meaning::Constant(number, written) => Some((number, written)),
        _ => None,
    };
    let constants: Option<Vec<(f64, bool)>> = values.iter().map(constant).collect();
    let meaning = if let Some(constants) = constants {
        let mut given = [f64::NAN; 3];
        given.iter_mut().zip(&constants).for_each(|(place, (number, _))| *place = *number);
        Meaning::Constant(operation.of(given), constants.iter().all(|(_, written)| *written))
    } else if values.iter().any(|value| matches!(value.meaning, Meaning::Held(_))) {
        Meaning::Held(Held::Made(operation, values.iter().map(Typed::held).collect()))
    } else {
        let indicators: Vec<Indicator> = values.iter().filter_map(Typed::indicator).collect();
        Meaning::Bar(Indicator::formula(operation, &indicators))
    };
    of_kind(kind, meaning)
}
