//! `rules` of a config: what is written there, before it is known what the names in it mean.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::catalogue::find;
use super::fault::Fault;
use super::parse::{RESERVED, parse};
use super::tree::{Node, Place, Tree};
use crate::error::{Code, codes};
use crate::finding::nearest;

/// Entries under `let`, and targets of a side.
const MOST_LETS: usize = 200;

/// What is wrong with `rules`, and where.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleFault {
    /// The path in the config, e.g. `rules.long.enter`.
    pub path: String,
    /// Whether the key is at fault, not its value.
    pub is_key: bool,
    /// What is wrong. Its place is in the text of an expression.
    pub fault: Fault,
    /// Whether the place means something: the value is an expression.
    pub in_text: bool,
}

/// A number or an expression.
type Written = Tree;

/// `rules`
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Section {
    /// `let`, by name.
    pub lets: BTreeMap<String, Tree>,
    /// `long`
    pub long: Option<SideRules>,
    /// `short`
    pub short: Option<SideRules>,
}

/// `rules.long` or `rules.short`
#[derive(Clone, Debug, PartialEq)]
pub struct SideRules {
    /// When to enter.
    pub enter: Written,
    /// When to leave.
    pub exit: Option<Written>,
    /// The reason of an exit.
    pub reason: Option<String>,
    /// What `size` is counted in, and how much.
    pub size: (SizeKind, Written),
    /// Largest position, dollars.
    pub cap: Option<Written>,
    /// The entry's type.
    pub order: OrderKind,
    /// Its limit.
    pub limit: Option<Written>,
    /// Its stop.
    pub stop_at: Option<Written>,
    /// How long it works.
    pub tif: Tif,
    /// When a working entry is cancelled.
    pub cancel_when: Option<Written>,
    /// Whether an exit waits for the closing auction.
    pub exits_at_close: bool,
    /// The protective stop.
    pub stop: Option<Written>,
    /// A stop that follows, evaluated at each close.
    pub trail_stop: Option<Written>,
    /// A stop so many per cent behind the best price.
    pub trail_pct: Option<Written>,
    /// Targets.
    pub targets: Vec<TargetRules>,
    /// Leaves after so many bars.
    pub max_bars: Option<Written>,
    /// No entry at so many closes from that of the bar of the last exit.
    pub cooldown_bars: Option<Written>,
    /// Leaves after so many minutes.
    pub time_stop_minutes: Option<Written>,
    /// Is flat so many minutes before the close.
    pub flat_before_close_minutes: Option<Written>,
}

/// One of `targets`
#[derive(Clone, Debug, PartialEq)]
pub struct TargetRules {
    /// Where it rests, or what it aims at.
    pub at: Written,
    /// How far of the way there.
    pub fraction: Option<Written>,
    /// Per cent of the position that it closes.
    pub percent: Written,
    /// Where the stop moves once it is touched.
    pub then_stop: Option<Written>,
}

/// What a size is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SizeKind {
    /// Shares.
    Shares,
    /// Dollars.
    Notional,
    /// A part of equity.
    EquityFraction,
    /// A part of equity that is lost if the stop fills.
    RiskFraction,
    /// A position worth a part of equity.
    TargetWeight,
}

const SIZES: [(&str, SizeKind); 5] = [
    ("shares", SizeKind::Shares),
    ("notional", SizeKind::Notional),
    ("equity_fraction", SizeKind::EquityFraction),
    ("risk_fraction", SizeKind::RiskFraction),
    ("target_weight", SizeKind::TargetWeight),
];

/// Types of entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderKind {
    /// At the next open.
    Market,
    /// In the closing auction.
    OnClose,
    /// At a price or better.
    Limit,
    /// Once a price is reached.
    Stop,
    /// At a limit, once a price is reached.
    StopLimit,
}

impl OrderKind {
    /// Whether it fills without a price.
    pub const fn is_market(self) -> bool {
        matches!(self, Self::Market | Self::OnClose)
    }
}

const ORDERS: [(&str, OrderKind); 5] = [
    ("market", OrderKind::Market),
    ("moc", OrderKind::OnClose),
    ("limit", OrderKind::Limit),
    ("stop", OrderKind::Stop),
    ("stop_limit", OrderKind::StopLimit),
];

/// How long an entry works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tif {
    /// Until it is cancelled.
    Gtc,
    /// Through the next bar's session.
    Day,
    /// So many bars.
    Bars(u32),
}

const SIDE_KEYS: [&str; 18] = [
    "enter",
    "exit",
    "reason",
    "size",
    "order",
    "limit",
    "stop_at",
    "tif",
    "cancel_when",
    "exit_order",
    "stop",
    "trail_stop",
    "trail_pct",
    "targets",
    "max_bars",
    "cooldown_bars",
    "time_stop_minutes",
    "flat_before_close_minutes",
];
const TARGET_KEYS: [&str; 5] = ["at", "toward", "fraction", "percent", "then_stop"];

/// Reads `rules`, and everything that is wrong with how it is written.
pub fn read(value: &Value) -> (Section, Vec<RuleFault>) {
    let mut reader = Reader { faults: Vec::new() };
    let section = reader.section(value);
    (section.unwrap_or_default(), reader.faults)
}

struct Reader {
    faults: Vec<RuleFault>,
}

impl Reader {
    fn fault(&mut self, path: &str, is_key: bool, code: Code, what: String, help: Option<String>) {
        let fault = Fault::new(code, Place { start: 0, end: 0 }, what);
        let fault = match help {
            Some(help) => fault.help(help),
            None => fault,
        };
        self.faults.push(RuleFault { path: path.to_owned(), is_key, fault, in_text: false });
    }

    fn object<'v>(&mut self, path: &str, value: &'v Value, keys: &[&str]) -> Option<&'v Map<String, Value>> {
        let Some(object) = value.as_object() else {
            self.fault(path, false, codes::RULE_BAD_VALUE, format!("{path} is no object"), None);
            return None;
        };
        for key in object.keys().filter(|key| !keys.contains(&key.as_str())) {
            let near = nearest(key, keys.iter().copied()).map(|near| format!("did you mean `{near}`?"));
            let what = format!("nothing reads {path}.{key}");
            self.fault(&format!("{path}.{key}"), true, codes::RULE_UNKNOWN_KEY, what, near);
        }
        Some(object)
    }

    fn missing(&mut self, path: &str, key: &str, why: &str) {
        self.fault(path, true, codes::RULE_MISSING_KEY, format!("{path}.{key} is missing: {why}"), None);
    }

    fn contradiction(&mut self, path: &str, what: &str) {
        self.fault(path, true, codes::RULE_CONTRADICTION, format!("{path}: {what}"), None);
    }

    fn section(&mut self, value: &Value) -> Option<Section> {
        let object = self.object("rules", value, &["let", "long", "short", "portfolio"])?;
        let mut section = Section::default();
        if let Some(lets) = object.get("let") {
            self.lets(lets, &mut section);
        }
        if object.contains_key("portfolio") {
            let what = "rules.portfolio: portfolios can't be written as rules yet".to_owned();
            self.fault("rules.portfolio", true, codes::RULE_NOT_YET, what, None);
            if object.contains_key("long") || object.contains_key("short") {
                self.contradiction("rules.portfolio", "it stands beside long or short; only one of them decides");
            }
        } else if !object.contains_key("long") && !object.contains_key("short") {
            self.missing("rules", "long", "without long or short nothing is ever bought or sold");
        }
        section.long = object.get("long").and_then(|value| self.side("rules.long", value));
        section.short = object.get("short").and_then(|value| self.side("rules.short", value));
        Some(section)
    }

    fn lets(&mut self, value: &Value, section: &mut Section) {
        let Some(object) = value.as_object() else {
            self.fault("rules.let", false, codes::RULE_BAD_VALUE, "rules.let is no object".to_owned(), None);
            return;
        };
        if object.len() > MOST_LETS {
            let what = format!("rules.let has {} names, at most {MOST_LETS} are read", object.len());
            self.fault("rules.let", true, codes::RULE_TOO_LONG, what, None);
            return;
        }
        for (name, value) in object {
            let path = format!("rules.let.{name}");
            let mut letters = name.chars();
            let is_name = letters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
                && letters.all(|c| c.is_ascii_alphanumeric() || c == '_');
            if !is_name || RESERVED.contains(&name.as_str()) {
                let what = format!("`{name}` is no name: letters, digits and _, not a digit first");
                self.fault(&path, true, codes::RULE_BAD_VALUE, what, None);
            } else if find(name).is_some() {
                let what = format!("`{name}` is a name that rules know already");
                let help = Some("choose another name".to_owned());
                self.fault(&path, true, codes::RULE_HIDES_BUILTIN, what, help);
            } else if let Some(tree) = self.expression(&path, Some(value)) {
                self.only_earlier(&path, &tree, object, section);
                section.lets.insert(name.clone(), tree);
            }
        }
    }

    /// A name that is given later, or by itself, would go round in circles.
    fn only_earlier(&mut self, path: &str, tree: &Tree, all: &Map<String, Value>, section: &Section) {
        if let Node::Call(call) = &tree.node {
            let name = &call.name;
            if all.contains_key(&name.text) && !section.lets.contains_key(&name.text) && find(&name.text).is_none() {
                let what = format!("`{}` isn't given before this", name.text);
                let fault = Fault::new(codes::RULE_UNKNOWN_NAME, name.place, what)
                    .help("what `let` gives may use what stands before it");
                self.faults.push(RuleFault { path: path.to_owned(), is_key: false, fault, in_text: true });
                return;
            }
        }
        tree.parts().into_iter().for_each(|part| self.only_earlier(path, part, all, section));
    }

    /// A number or an expression.
    fn expression(&mut self, path: &str, value: Option<&Value>) -> Option<Written> {
        match value? {
            Value::Number(number) => {
                let number = number.as_f64().unwrap_or(f64::NAN);
                Some(Tree { place: Place { start: 0, end: 1 }, node: Node::Number(number) })
            }
            Value::String(text) => match parse(text) {
                Ok(tree) => Some(tree),
                Err(fault) => {
                    self.faults.push(RuleFault { path: path.to_owned(), is_key: false, fault, in_text: true });
                    None
                }
            },
            _ => {
                let what = format!("{path} is neither a number nor an expression");
                self.fault(path, false, codes::RULE_BAD_VALUE, what, None);
                None
            }
        }
    }

    fn word<T: Copy>(&mut self, path: &str, value: Option<&Value>, known: &[(&str, T)], otherwise: T) -> T {
        let Some(value) = value else { return otherwise };
        let found = value.as_str().and_then(|text| known.iter().find(|(name, _)| *name == text));
        match found {
            Some((_, value)) => *value,
            None => {
                let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
                let what = format!("{path} is {value}, it may be {}", names.join(", "));
                self.fault(path, false, codes::RULE_BAD_VALUE, what, None);
                otherwise
            }
        }
    }

    fn side(&mut self, path: &str, value: &Value) -> Option<SideRules> {
        let object = self.object(path, value, &SIDE_KEYS)?;
        let at = |key: &str| format!("{path}.{key}");
        let mut read = |key: &str| self.expression(&at(key), object.get(key));
        let enter = read("enter");
        let [exit, limit, stop_at, cancel_when] = ["exit", "limit", "stop_at", "cancel_when"].map(&mut read);
        let [stop, trail_stop, trail_pct] = ["stop", "trail_stop", "trail_pct"].map(&mut read);
        let [max_bars, cooldown_bars] = ["max_bars", "cooldown_bars"].map(&mut read);
        let [time_stop_minutes, flat_before_close_minutes] =
            ["time_stop_minutes", "flat_before_close_minutes"].map(&mut read);
        if !object.contains_key("enter") {
            self.missing(path, "enter", "it says when a position is opened");
        }
        let size = self.size(path, object.get("size"));
        let order = self.word(&at("order"), object.get("order"), &ORDERS, OrderKind::Market);
        let exits_at_close =
            self.word(&at("exit_order"), object.get("exit_order"), &[("market", false), ("moc", true)], false);
        let tif = self.tif(&at("tif"), object.get("tif"));
        let reason = self.text(&at("reason"), object.get("reason"));
        let targets = self.targets(path, object.get("targets"));
        let leaves = [
            "exit",
            "stop",
            "trail_stop",
            "trail_pct",
            "targets",
            "max_bars",
            "time_stop_minutes",
            "flat_before_close_minutes",
        ];
        let (size_kind, weight, cap) = match size {
            Some((kind, weight, cap)) => (Some(kind), weight, cap),
            None => (None, None, None),
        };
        if size_kind != Some(SizeKind::TargetWeight) && !leaves.iter().any(|key| object.contains_key(*key)) {
            self.missing(path, "exit", "what is entered is never left");
        }
        self.check_order(path, object, order);
        self.check_bracket(path, object, size_kind);
        Some(SideRules {
            enter: enter?,
            exit,
            reason,
            size: (size_kind?, weight?),
            cap,
            order,
            limit,
            stop_at,
            tif,
            cancel_when,
            exits_at_close,
            stop,
            trail_stop,
            trail_pct,
            targets,
            max_bars,
            cooldown_bars,
            time_stop_minutes,
            flat_before_close_minutes,
        })
    }

    fn check_order(&mut self, path: &str, object: &Map<String, Value>, order: OrderKind) {
        let needs = |key: &str| match order {
            OrderKind::Market | OrderKind::OnClose => false,
            OrderKind::Limit => key == "limit",
            OrderKind::Stop => key == "stop_at",
            OrderKind::StopLimit => true,
        };
        for key in ["limit", "stop_at"] {
            match (needs(key), object.contains_key(key)) {
                (true, false) => self.missing(path, key, "the order's type needs its price"),
                (false, true) => self.contradiction(&format!("{path}.{key}"), "the order's type has no such price"),
                _ => {}
            }
        }
        if order == OrderKind::OnClose && object.contains_key("tif") {
            self.contradiction(&format!("{path}.tif"), "an order for the closing auction has no time in force");
        }
        if order == OrderKind::OnClose && object.contains_key("flat_before_close_minutes") {
            let what = "what is bought in the closing auction can't be flat before it";
            self.contradiction(&format!("{path}.flat_before_close_minutes"), what);
        }
        if order.is_market() && object.contains_key("cancel_when") {
            let what = "a market order fills at the next open and can't be cancelled";
            self.contradiction(&format!("{path}.cancel_when"), what);
        }
    }

    fn check_bracket(&mut self, path: &str, object: &Map<String, Value>, size: Option<SizeKind>) {
        let has = |key: &str| object.contains_key(key);
        if has("trail_pct") && has("trail_stop") {
            self.contradiction(&format!("{path}.trail_pct"), "it stands beside trail_stop; keep one of them");
        }
        let moves = |target: &Value| target.get("then_stop").is_some();
        if has("trail_pct") && object.get("targets").and_then(Value::as_array).is_some_and(|all| all.iter().any(moves))
        {
            self.contradiction(&format!("{path}.trail_pct"), "a stop that trails can't be moved by then_stop");
        }
        let bracket = [
            "stop",
            "trail_stop",
            "trail_pct",
            "targets",
            "limit",
            "stop_at",
            "time_stop_minutes",
            "flat_before_close_minutes",
        ];
        if size == Some(SizeKind::TargetWeight)
            && let Some(key) = bracket.into_iter().find(|key| has(key))
        {
            self.contradiction(&format!("{path}.{key}"), "target_weight takes no bracket and no price");
        }
        if size == Some(SizeKind::RiskFraction) && !has("stop") {
            self.missing(path, "stop", "risk_fraction is the part of equity that is lost if the stop fills");
        }
        if has("reason") && !has("exit") {
            self.contradiction(&format!("{path}.reason"), "there is no exit whose reason it would be");
        }
    }

    fn size(&mut self, path: &str, value: Option<&Value>) -> Option<(SizeKind, Option<Written>, Option<Written>)> {
        let at = format!("{path}.size");
        let Some(value) = value else {
            let what = "how much is bought or sold is never assumed, e.g. { \"notional\": 10000 }";
            self.missing(path, "size", what);
            return None;
        };
        let names: Vec<&str> = SIZES.iter().map(|(name, _)| *name).chain(["cap"]).collect();
        let object = self.object(&at, value, &names)?;
        let kinds: Vec<&(&str, SizeKind)> = SIZES.iter().filter(|(name, _)| object.contains_key(*name)).collect();
        let cap = self.expression(&format!("{at}.cap"), object.get("cap"));
        match kinds[..] {
            [(name, kind)] => {
                if object.contains_key("cap") && *kind != SizeKind::RiskFraction {
                    self.contradiction(&format!("{at}.cap"), "only risk_fraction has a cap");
                }
                let number = self.expression(&format!("{at}.{name}"), object.get(*name));
                Some((*kind, number, cap))
            }
            [] => {
                self.missing(path, "size", &format!("it names none of {}", names[..5].join(", ")));
                None
            }
            [_, (second, _), ..] => {
                self.contradiction(&format!("{at}.{second}"), "a size is counted in one thing");
                None
            }
        }
    }

    fn tif(&mut self, path: &str, value: Option<&Value>) -> Tif {
        let bars = value.and_then(Value::as_str).and_then(|text| text.strip_prefix("bars:"));
        if let Some(bars) = bars.and_then(|bars| bars.parse().ok()).filter(|bars| *bars > 0) {
            return Tif::Bars(bars);
        }
        self.word(path, value, &[("gtc", Tif::Gtc), ("day", Tif::Day), ("bar", Tif::Bars(1))], Tif::Gtc)
    }

    fn text(&mut self, path: &str, value: Option<&Value>) -> Option<String> {
        let text = value?.as_str();
        let is_word = |text: &&str| {
            (1..=64).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
        };
        let word = text.filter(is_word);
        if word.is_none() {
            let what = format!("{path} is no word of letters, digits, _ . and -");
            self.fault(path, false, codes::RULE_BAD_VALUE, what, None);
        }
        word.map(str::to_owned)
    }

    fn targets(&mut self, path: &str, value: Option<&Value>) -> Vec<TargetRules> {
        let Some(value) = value else { return Vec::new() };
        let path = format!("{path}.targets");
        let Some(all) = value.as_array().filter(|all| (1..=4).contains(&all.len())) else {
            let what = format!("{path} is no list of one to four targets");
            self.fault(&path, false, codes::RULE_BAD_VALUE, what, None);
            return Vec::new();
        };
        let mut targets = Vec::new();
        for (i, value) in all.iter().enumerate() {
            let path = format!("{path}[{i}]");
            let Some(object) = self.object(&path, value, &TARGET_KEYS) else { continue };
            let mut read = |key: &str| self.expression(&format!("{path}.{key}"), object.get(key));
            let [at, toward, fraction, percent, then_stop] = TARGET_KEYS.map(&mut read);
            if object.contains_key("at") == object.contains_key("toward") {
                self.contradiction(&path, "a target has one of at and toward");
            }
            if object.contains_key("fraction") != object.contains_key("toward") {
                self.contradiction(&path, "toward and fraction go together");
            }
            if !object.contains_key("percent") {
                self.missing(&path, "percent", "it is the part of the position that the target closes");
            }
            if let (Some(at), Some(percent)) = (at.or(toward), percent) {
                targets.push(TargetRules { at, fraction, percent, then_stop });
            }
        }
        targets
    }
}
