//! Simple commands on a path: what the shell itself knows of them, and what they may do.

use std::rc::Rc;

use super::call::{Call, Inner};
use super::programs::written;
use super::state::{Flow, How, Place, State};
use super::value::Value;
use super::{Around, Paths, Walk, assigned_words, definite, either_way, question};
use crate::shell::{self, Assigned, Part, Simple, Statement, Word};

/// Commands that succeed whatever else is.
const SUCCEED: [&str; 9] = ["true", ":", "echo", "printf", "export", "unset", "hash", "umask", "alias"];
/// Commands that declare variables: their own exit code hides that of `$(…)`.
const DECLARE: [&str; 5] = ["export", "local", "declare", "readonly", "typeset"];

impl Walk {
    pub(super) fn simple(&self, simple: &Simple, statement: &Statement, state: State, around: &Around) -> Paths {
        let at = self.place(&statement.at, around);
        let mut states = vec![(state, Vec::new())];
        for word in &simple.words {
            let mut next = std::collections::BTreeSet::new();
            for (state, fields) in states {
                for (state, more) in self.argument(word, state, around) {
                    next.insert((state, [fields.clone(), more].concat()));
                }
            }
            states = self.few(next).into_iter().collect();
        }
        let mut paths = Paths::new();
        for (state, fields) in states {
            // A command's own exit code takes the place of those in its words.
            let state = if substitutes(&simple.words) { state.taken_up(How::Argument, at) } else { state };
            for state in self.assigned(simple, state, at, around) {
                if simple.words.is_empty() {
                    paths.extend(definite(state, Flow::Next));
                    continue;
                }
                let call = Call { fields: fields.clone(), words: &simple.words, at };
                paths.extend(self.call(&call, state, around));
            }
        }
        let single = |(state, flow): (State, Flow)| {
            let pipe = vec![state.status.clone()];
            (State { pipe, ..state }, flow)
        };
        paths.into_iter().map(single).collect()
    }

    /// A word of a command: `name=value` of a declaration isn't split.
    fn argument(&self, word: &Word, state: State, around: &Around) -> Vec<(State, Vec<Value>)> {
        match word.parts.split_first() {
            Some((Part::Text(name), rest)) if name.ends_with('=') && !rest.is_empty() => {
                let states = self.run_inside(word, state, around);
                states
                    .into_iter()
                    .map(|mut state| {
                        let value = self.joined(rest, &mut state);
                        let field = match &value {
                            Value::Text(text) => Value::text(&(name.clone() + text)),
                            value => Value::List(vec![Value::text(name), value.clone()]),
                        };
                        (state, vec![field])
                    })
                    .collect()
            }
            _ => self.fields(word, state, around),
        }
    }

    /// The states after a command's assignments; those before a command count for it alone.
    fn assigned(&self, simple: &Simple, state: State, at: Place, around: &Around) -> Vec<State> {
        if simple.assignments.is_empty() {
            return vec![state];
        }
        let alone = simple.words.is_empty();
        let before = state.status.clone();
        let kept = state.variables.clone();
        let runs = simple.assignments.iter().any(|assignment| substitutes(assigned_words(&assignment.value)));
        let mut states = vec![state];
        for assignment in &simple.assignments {
            for word in assigned_words(&assignment.value) {
                states = self.each_state(states, |state| self.run_inside(word, state, around));
            }
            for state in &mut states {
                let old = state.variables.get(&assignment.name).cloned();
                // The status that is asked for is that before this command.
                let mut asked = state.clone().with(before.clone());
                let value = match &assignment.value {
                    Assigned::Word(word) => self.value(word, &mut asked),
                    Assigned::Array(words) => {
                        Value::List(words.iter().map(|word| self.value(word, &mut asked)).collect())
                    }
                };
                state.variables = asked.variables;
                let value = match (assignment.append, old) {
                    (true, Some(old)) => old.then(value),
                    (true, None) => Value::Unknown,
                    (false, _) => value,
                };
                state.variables.insert(assignment.name.clone(), value);
            }
        }
        let done = |state: State| match (alone, runs) {
            (true, true) => state,
            (true, false) => state.with(Value::zero()),
            (false, true) => {
                State { variables: kept.clone(), ..state.taken_up(How::Argument, at) }.with(before.clone())
            }
            (false, false) => State { variables: kept.clone(), ..state },
        };
        states.into_iter().map(done).collect()
    }

    fn call(&self, call: &Call<'_>, state: State, around: &Around) -> Paths {
        let texts = call.texts();
        let Some(first) = texts.first() else { return vec![(state, Flow::Next)] };
        if let Some(which) = state.functions.get(first).copied() {
            return self.function(which, call, state, around);
        }
        if self.named.contains(first) {
            // Not defined on this path.
            return vec![(state.with(Value::Failed), Flow::Next)];
        }
        let inner = shell::behind_prefixes(&texts);
        let Some((name, _)) = inner.split_first() else {
            return vec![(state.with(Value::zero()), Flow::Next)];
        };
        let inner =
            Inner { name: shell::base(name), values: &call.fields[texts.len() - inner.len() + 1..], words: inner };
        let paths = match self.builtin(&inner, call, &state, around) {
            Some(paths) => paths,
            None => self.program(&inner, &texts, call, state, around),
        };
        if first != "exec" || texts.len() == inner.words.len() {
            return paths;
        }
        let ends = |(state, flow)| (state, if flow == Flow::Next { Flow::Exit } else { flow });
        paths.into_iter().map(ends).collect()
    }

    fn function(&self, which: usize, call: &Call<'_>, state: State, around: &Around) -> Paths {
        let body = Rc::clone(&self.bodies.borrow()[which]);
        let on_error = state.on_error.clone();
        let arguments = state.arguments.clone();
        let mut inside = State { arguments: call.fields[1..].to_vec(), ..state };
        if !inside.errtrace {
            inside.on_error = None;
        }
        let back = |(state, flow): (State, Flow)| {
            let on_error = state.on_error.clone().or_else(|| on_error.clone());
            let flow = if flow == Flow::Return { Flow::Next } else { flow };
            (State { arguments: arguments.clone(), on_error, ..state }, flow)
        };
        let around = Around { called: true, ..around.clone() };
        self.statement(&body, inside, &around).into_iter().map(back).collect()
    }

    // ---- what the shell does itself ----

    fn builtin(&self, inner: &Inner<'_>, call: &Call<'_>, state: &State, around: &Around) -> Option<Paths> {
        let state = state.clone();
        let first = inner.values.first();
        let loops = || first.and_then(Value::as_number).map_or(1, |loops| u8::try_from(loops).unwrap_or(1));
        let next = |state: State| vec![(state, Flow::Next)];
        Some(match inner.name {
            name if DECLARE.contains(&name) => next(declared(inner.values, state)),
            name if SUCCEED.contains(&name) => next(state.with(Value::zero())),
            "false" => next(state.with(Value::Failed)),
            "exit" => definite(ended(state, first), Flow::Exit),
            "return" if around.called => definite(ended(state, first), Flow::Return),
            "return" => next(state.with(Value::Failed)),
            "break" => vec![(state.with(Value::zero()), Flow::Break(loops()))],
            "continue" => vec![(state.with(Value::zero()), Flow::Continue(loops()))],
            "test" => answered(question::test(inner.values), state),
            "[" => answered(question::test(&inner.values[..inner.values.len().saturating_sub(1)]), state),
            "set" => next(set(&inner.words[1..], call.at, state).with(Value::zero())),
            "shopt" => next(shopt(&inner.words[1..], call.at, state).with(Value::zero())),
            "trap" => next(trap(&inner.words[1..], call.at, state).with(Value::zero())),
            "wait" => next(waited(inner.values, state)),
            "eval" => {
                let around = Around { outer: Some(call.at), ..around.deeper() };
                self.text(&inner.words[1..].join(" "), state, &around)
            }
            "." | "source" if inner.words.get(1).is_some_and(|file| written(file, &state).is_some()) => {
                let text = written(&inner.words[1], &state).unwrap_or_default();
                let around = Around { outer: Some(call.at), ..around.deeper() };
                self.text(&text, state, &around)
            }
            "shift" => {
                let arguments = state.arguments.iter().skip(1).cloned().collect();
                next(State { arguments, ..state }.with(Value::zero()))
            }
            "read" | "mapfile" | "readarray" => {
                let mut state = state;
                let names = inner.words[1..].iter().filter(|word| !word.starts_with('-'));
                state.variables.extend(names.map(|name| (name.clone(), Value::Unknown)));
                either_way(state)
            }
            _ => return None,
        })
    }
}

/// Whether a script runs to make one of the words.
fn substitutes(words: &[Word]) -> bool {
    words.iter().any(Word::runs)
}

fn answered(answer: Option<bool>, state: State) -> Paths {
    match answer {
        Some(answer) => vec![(state.with(Value::status(answer)), Flow::Next)],
        None => either_way(state),
    }
}

/// The status that `exit` or `return` is told, or the one before.
fn ended(state: State, told: Option<&Value>) -> State {
    let status = match told {
        None => return state,
        Some(Value::Text(text)) => match (text.parse::<i64>(), text.contains(shell::HIDDEN)) {
            (Ok(number), _) => Value::status(number.rem_euclid(256) == 0),
            (Err(_), true) => Value::Unknown,
            (Err(_), false) => Value::Failed,
        },
        Some(Value::Failed) => Value::Failed,
        Some(_) => Value::Unknown,
    };
    state.with(status)
}

fn declared(values: &[Value], state: State) -> State {
    let mut state = state.with(Value::zero());
    for value in values {
        let (name, value) = match value {
            Value::Text(text) => match text.split_once('=') {
                Some((name, value)) => (name.to_owned(), Value::text(value)),
                None => continue,
            },
            Value::List(parts) => match parts.as_slice() {
                [Value::Text(name), value] => (name.trim_end_matches('=').to_owned(), value.clone()),
                _ => continue,
            },
            _ => continue,
        };
        state.variables.insert(name, value);
    }
    state
}

fn set(words: &[String], at: Place, mut state: State) -> State {
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let on = word.starts_with('-');
        if word == "--" || !on && !word.starts_with('+') {
            break;
        }
        if word[1..].contains('e') {
            state = errexit(on, at, state);
        }
        if word[1..].contains('E') {
            state.errtrace = on;
        }
        if word[1..].contains('o')
            && let Some(name) = words.next()
        {
            state = option(name, on, at, state);
        }
    }
    state
}

fn errexit(on: bool, at: Place, state: State) -> State {
    State { errexit: on, weakened: (!on).then_some((How::ErrexitOff, at)), ..state }
}

/// `set -o NAME`, `shopt -so NAME`
fn option(name: &str, on: bool, at: Place, state: State) -> State {
    match name {
        "errexit" => errexit(on, at, state),
        "pipefail" => State { pipefail: on, ..state },
        "errtrace" => State { errtrace: on, ..state },
        "posix" | "inherit_errexit" => State { inherits: on, ..state },
        _ => state,
    }
}

fn shopt(words: &[String], at: Place, state: State) -> State {
    let flags: String = words.iter().filter(|word| word.starts_with('-')).map(|word| &word[1..]).collect();
    if !flags.contains(['s', 'u']) {
        return state;
    }
    let names = words.iter().filter(|word| !word.starts_with('-'));
    names.fold(state, |state, name| option(name, !flags.contains('u'), at, state))
}

fn trap(words: &[String], at: Place, mut state: State) -> State {
    let words = words.strip_prefix(&["--".to_owned()]).unwrap_or(words);
    let Some((what, signals)) = words.split_first() else { return state };
    let (what, signals) = if signals.is_empty() { ("-", words) } else { (what.as_str(), signals) };
    let set: Option<(Rc<str>, Place)> = (what != "-").then(|| (what.into(), at));
    for signal in signals {
        match signal.to_uppercase().trim_start_matches("SIG") {
            "EXIT" | "0" => state.on_exit = set.clone(),
            "ERR" => state.on_error = set.clone().filter(|(what, _)| !what.is_empty()),
            _ => {}
        }
    }
    state
}

/// `wait` for a job has its exit code; for all of them, none.
fn waited(values: &[Value], state: State) -> State {
    let of_all = || match state.jobs.iter().any(|job| job.is_zero() != Some(true)) {
        true => Value::Failed,
        false => Value::zero(),
    };
    let options = |value: &&Value| value.known().is_some_and(|text| text.starts_with('-'));
    let status = match values.iter().rev().find(|value| !options(value)) {
        Some(Value::Job(which)) => state.jobs.get(*which).cloned().unwrap_or(Value::Unknown),
        Some(Value::List(_)) => of_all(),
        // A job that isn't known by its number: any that failed.
        Some(_) => of_all(),
        None if values.is_empty() => Value::zero(),
        None => of_all(),
    };
    state.with(status)
}
