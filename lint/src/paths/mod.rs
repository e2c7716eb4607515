//! Follows a script along every path: a command on which a stage depends may fail or succeed, every other one too,
//! and what the shell makes of that is worked out as bash does it. A path that ends as a success though such a command
//! failed on it is a masked failure.
//!
//! Loops run a few times at most, and a script of too many paths is given up rather than guessed at.

mod call;
mod compound;
mod programs;
mod question;
mod simple;
mod state;
mod value;
mod words;

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;

use state::{Flow, Lost, State};
pub(super) use state::{How, Place};
use value::Value;

use super::shell::{self, Assigned, Node, Part, Script, ShellOptions, Statement};

/// Most statements that are run, over all paths.
const STEPS: usize = 20_000;
/// Most paths that are followed side by side.
const PATHS: usize = 300;
/// Deepest nesting of statements, calls and scripts in scripts.
const DEPTH: usize = 100;

/// A failure that doesn't end the script, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Mask {
    pub(super) how: How,
    pub(super) at: Place,
}

/// What following a script showed.
#[derive(Debug, Default)]
pub(super) struct Followed {
    pub(super) masks: BTreeSet<Mask>,
    /// Whether it may end as a success at all.
    pub(super) may_succeed: bool,
    /// Whether a command on which a stage depends runs on any path.
    pub(super) reached: bool,
    /// Whether a part of it wasn't followed: too many paths, or a script in it that can't be read.
    pub(super) given_up: bool,
}

/// What a script runs, and where.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setting<'a> {
    pub(super) shell: ShellOptions,
    /// Whether stages depend on cargo and on the project's scripts, too.
    pub(super) pipeline: bool,
    /// Variables whose values are known.
    pub(super) variables: &'a [(&'a str, &'a str)],
}

/// Follows a script to its ends.
pub(super) fn follow(script: &Script, setting: Setting<'_>) -> Followed {
    let walk = Walk::new(script, setting.pipeline);
    let mut state = State::new(setting.shell);
    for (name, value) in setting.variables {
        state.variables.insert((*name).to_owned(), Value::text(value));
    }
    let around =
        Around { tested: false, substituted: false, depth: 0, outer: None, input: None, called: false, lone: false };
    let mut followed = Followed::default();
    for state in walk.whole(script, state, &around) {
        if state.status.is_zero() == Some(false) {
            continue;
        }
        followed.may_succeed = true;
        if let Some(lost) = state.lost {
            let (how, at) = lost.how.unwrap_or((How::Ended, lost.at));
            followed.masks.insert(Mask { how, at });
        }
    }
    followed.reached = walk.reached.get();
    followed.given_up = walk.given_up.get();
    followed
}

/// What stands around a statement.
#[derive(Clone, Debug)]
struct Around {
    /// Whether its exit code is asked for, so that the shell ignores `-e` in it.
    tested: bool,
    /// Whether it is inside of `$(…)`.
    substituted: bool,
    depth: usize,
    /// The word that is the script, for a script inside of another.
    outer: Option<Place>,
    /// What a pipe hands to it.
    input: Option<Rc<str>>,
    /// Whether it is inside of a function, which `return` leaves.
    called: bool,
    /// Whether it is the only statement of a subshell: there bash minds `-e` behind a `!`, and turns around the
    /// exit code of the subshell.
    lone: bool,
}

impl Around {
    fn deeper(&self) -> Self {
        Self { depth: self.depth + 1, ..self.clone() }
    }

    fn tested(&self, tested: bool) -> Self {
        Self { tested: self.tested || tested, ..self.clone() }
    }
}

type Paths = Vec<(State, Flow)>;

struct Walk {
    pipeline: bool,
    /// Every body that a function ever has.
    bodies: RefCell<Vec<Rc<Statement>>>,
    /// Names of variables that the script changes.
    assigned: BTreeSet<String>,
    /// Names of all functions that the script has.
    named: BTreeSet<String>,
    steps: Cell<usize>,
    reached: Cell<bool>,
    given_up: Cell<bool>,
}

impl Walk {
    fn new(script: &Script, pipeline: bool) -> Self {
        let (mut assigned, mut named) = (BTreeSet::new(), BTreeSet::new());
        script.each(&mut |statement| match &statement.node {
            Node::Simple(simple) => assigned.extend(simple.assignments.iter().map(|a| a.name.clone())),
            Node::For { variable, .. } => drop(assigned.insert(variable.clone())),
            Node::Function { names, .. } => named.extend(names.iter().cloned()),
            _ => {}
        });
        Self {
            pipeline,
            bodies: RefCell::default(),
            assigned,
            named,
            steps: Cell::new(0),
            reached: Cell::new(false),
            given_up: Cell::new(false),
        }
    }

    fn place(&self, at: &std::ops::Range<usize>, around: &Around) -> Place {
        around.outer.unwrap_or((at.start, at.end))
    }

    /// All of a script, with the trap that runs at its end: the states in which it ends.
    fn whole(&self, script: &Script, state: State, around: &Around) -> Vec<State> {
        self.ends(self.script(script, state, around), around)
    }

    /// The states in which a process ends, its trap having run.
    fn ends(&self, paths: Paths, around: &Around) -> Vec<State> {
        let mut ends = BTreeSet::new();
        for (mut state, _) in paths {
            let Some((text, at)) = state.on_exit.take() else {
                ends.insert(state);
                continue;
            };
            let status = state.status.clone();
            let within = Around { tested: false, outer: Some(around.outer.unwrap_or(at)), ..around.deeper() };
            for (end, flow) in self.text(&text, state, &within) {
                let exits = flow == Flow::Exit;
                let ended = if exits { end.status.clone() } else { status.clone() };
                let end = end.with(status.clone());
                let end = if ended.is_zero() == Some(false) { end } else { end.taken_up(How::Trap, at) };
                ends.insert(end.with(ended));
            }
        }
        ends.into_iter().collect()
    }

    /// A text that runs as if it stood here.
    fn text(&self, text: &str, state: State, around: &Around) -> Paths {
        match shell::parse(text) {
            Ok(script) => self.script(&script, state, around),
            Err(_) => {
                // Only what may run a stage has to be read.
                if text.contains("magellan") {
                    self.given_up.set(true);
                }
                either_way(state)
            }
        }
    }

    fn script(&self, script: &Script, state: State, around: &Around) -> Paths {
        let mut paths = BTreeSet::from([state]);
        let mut ended = BTreeSet::new();
        let mut before: Option<&Statement> = None;
        for statement in &script.statements {
            let mut next = BTreeSet::new();
            for state in paths {
                let state = match before {
                    Some(before) => self.goes_on(before, state, around),
                    None => state,
                };
                for (state, flow) in self.statement(statement, state, around) {
                    if flow == Flow::Next {
                        next.insert(state)
                    } else {
                        ended.insert((state, flow))
                    };
                }
            }
            paths = self.few(next);
            before = Some(statement);
        }
        ended.into_iter().chain(paths.into_iter().map(|state| (state, Flow::Next))).collect()
    }

    /// At most as many paths as are followed.
    fn few<T: Ord>(&self, mut paths: BTreeSet<T>) -> BTreeSet<T> {
        while paths.len() > PATHS {
            self.given_up.set(true);
            paths.pop_last();
        }
        paths
    }

    /// Why a script goes on behind a statement that failed.
    fn goes_on(&self, before: &Statement, state: State, around: &Around) -> State {
        if !state.has_failed() || state.lost.as_ref().is_none_or(|lost| lost.how.is_some()) {
            return state;
        }
        if let Node::Chain(links) = &before.node
            && let Some(link) = links.iter().find(|link| link.joined == shell::Joined::And)
        {
            let at = self.place(&(link.operator..link.operator + 2), around);
            return state.taken_up(How::And, at);
        }
        let at = state.lost.as_ref().map_or((0, 0), |lost| lost.at);
        match state.weakened {
            Some((how @ (How::ErrexitOff | How::NoErrexit), at)) => state.taken_up(how, around.outer.unwrap_or(at)),
            _ if around.tested => state.taken_up(How::WithinQuestion, at),
            _ if around.substituted => state.taken_up(How::WithinSubstitution, at),
            _ => state.taken_up(How::Ended, at),
        }
    }

    fn statement(&self, statement: &Statement, state: State, around: &Around) -> Paths {
        self.steps.set(self.steps.get() + 1);
        if self.steps.get() > STEPS || around.depth > DEPTH {
            self.given_up.set(true);
            return vec![(state.with(Value::Failed), Flow::Exit)];
        }
        let around = around.deeper();
        let lone = around.lone;
        let around = Around { lone: false, ..around };
        let inner = around.tested(statement.negated && !lone);
        let mut found = Vec::new();
        for (state, input) in self.redirected(statement, state, &inner) {
            let inner = Around { input: input.or_else(|| inner.input.clone()), ..inner.clone() };
            match statement.background {
                Some(at) => found.extend(self.in_background(statement, at, state, &inner)),
                None => found.extend(self.node(statement, state, &inner)),
            }
        }
        if statement.background.is_some() {
            return found;
        }
        if statement.negated {
            let at = self.place(&statement.at, &around);
            let turned = |(state, flow)| (if flow == Flow::Next || lone { inverted(state, at) } else { state }, flow);
            return found.into_iter().map(turned).collect();
        }
        let stops = match &statement.node {
            Node::Simple(_) | Node::Pipe(..) | Node::Subshell(_) | Node::Test(_) | Node::Arithmetic(_) => true,
            Node::Chain(_)
            | Node::Group(_)
            | Node::If(..)
            | Node::Loop { .. }
            | Node::For { .. }
            | Node::Case { .. }
            | Node::Function { .. }
            | Node::Time(_)
            | Node::Coprocess(_) => false,
        };
        if !stops || around.tested {
            return found;
        }
        found.into_iter().flat_map(|(state, flow)| self.checked(state, flow, &around)).collect()
    }

    /// What the shell does by itself behind a command that failed.
    fn checked(&self, state: State, flow: Flow, around: &Around) -> Paths {
        if flow != Flow::Next || state.status.is_zero() == Some(true) {
            return vec![(state, flow)];
        }
        let mut paths = vec![(state.clone(), Flow::Next)];
        if let Some((text, at)) = state.on_error.clone() {
            let within = Around { outer: Some(around.outer.unwrap_or(at)), ..around.deeper() };
            let status = state.status.clone();
            let trapped = State { on_error: None, ..state.clone() };
            let back = |(end, flow): (State, Flow)| match flow {
                Flow::Exit if end.status.is_zero() != Some(false) => {
                    let ended = end.status.clone();
                    (end.with(status.clone()).taken_up(How::Trap, at).with(ended), flow)
                }
                Flow::Exit => (end, flow),
                _ => (State { on_error: state.on_error.clone(), ..end.with(status.clone()) }, Flow::Next),
            };
            paths = self.text(&text, trapped, &within).into_iter().map(back).collect();
        }
        let stops = |(state, flow): (State, Flow)| {
            let flow = if flow == Flow::Next && state.errexit { Flow::Exit } else { flow };
            (state, flow)
        };
        paths.into_iter().map(stops).collect()
    }

    fn in_background(&self, statement: &Statement, at: usize, state: State, around: &Around) -> Paths {
        let forked = state.forked();
        let ends = self.ends(self.node(statement, forked, around), around);
        let place = self.place(&(at..at + 1), around);
        let job = |end: State| {
            let status = end.status.clone();
            let mut after = state.after(end.taken_up(How::Background, place)).with(Value::zero());
            after.jobs.push(status);
            (after, Flow::Next)
        };
        ends.into_iter().map(job).collect()
    }

    /// A script in a process of its own: how it may end.
    fn forked(&self, script: &Script, state: &State, around: &Around) -> Vec<State> {
        self.whole(script, state.forked(), around)
    }

    /// Scripts whose output becomes part of a word: their exit codes are left in the state.
    fn substituted(&self, script: &Script, state: &State, around: &Around) -> Vec<State> {
        let around = Around { tested: around.tested, substituted: true, ..around.deeper() };
        let mut inside = state.forked();
        if !state.inherits && inside.errexit {
            inside.errexit = false;
        }
        self.whole(script, inside, &around).into_iter().map(|end| state.after(end)).collect()
    }

    /// Whether a stage depends on a command.
    fn is_gate(&self, fields: &[String]) -> bool {
        let is_script =
            |text: &str| text.trim_start_matches("./").starts_with("scripts/") || text.contains("/scripts/");
        let Some((name, arguments)) = shell::behind_prefixes(fields).split_first() else { return false };
        let runs_a_script = shell::is_shell(shell::base(name)) && arguments.iter().any(|argument| is_script(argument));
        shell::is_magellan(fields)
            || self.pipeline && (shell::base(name) == "cargo" || runs_a_script || is_script(name))
    }

    /// What a command on which a stage depends may do.
    fn gate(&self, command: String, again: bool, at: Place, state: State) -> Paths {
        self.reached.set(true);
        let mut passed = state.clone().with(Value::zero());
        // The same command again, and now it passed.
        if again && passed.lost.as_ref().is_some_and(|lost| lost.command == command) {
            passed.lost = None;
        }
        let mut failed = state.with(Value::Failed);
        failed.lost.get_or_insert(Lost { command, at, how: None });
        vec![(failed, Flow::Next), (passed, Flow::Next)]
    }
}

/// A command of which nothing is known.
fn either_way(state: State) -> Paths {
    vec![(state.clone().with(Value::zero()), Flow::Next), (state.with(Value::Failed), Flow::Next)]
}

fn inverted(state: State, at: Place) -> State {
    if state.has_failed() { state.taken_up(How::Not, at).with(Value::zero()) } else { state.with(Value::Failed) }
}

/// A status of which it isn't known whether it is 0 stands for both.
fn definite(state: State, flow: Flow) -> Paths {
    match state.status.is_zero() {
        Some(_) => vec![(state, flow)],
        None => vec![(state.clone().with(Value::zero()), flow), (state.with(Value::Failed), flow)],
    }
}

/// Whether any part of the words is a variable that the script changes.
fn changes(words: &[&shell::Word], assigned: &BTreeSet<String>) -> bool {
    let is_changed = |part: &Part| match part {
        Part::Variable { name, .. } => assigned.contains(name) || ["@", "*"].contains(&name.as_str()),
        Part::Text(_) => false,
        _ => true,
    };
    words.iter().flat_map(|word| &word.parts).any(is_changed)
}

/// The words that are assigned.
fn assigned_words(value: &Assigned) -> &[shell::Word] {
    match value {
        Assigned::Word(word) => std::slice::from_ref(word),
        Assigned::Array(words) => words,
    }
}
