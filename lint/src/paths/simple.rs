//! Simple commands on a path: what the shell itself knows of them, and what they may do.

use std::rc::Rc;

use super::state::{Flow, How, State};
use super::value::Value;
use super::{Around, Paths, Place, Walk, assigned_words, changes, definite, either_way, question};
use crate::shell::{self, Assigned, Part, ShellOptions, Simple, Statement, Word};

/// Commands that succeed whatever else is.
const SUCCEED: [&str; 9] = ["true", ":", "echo", "printf", "export", "unset", "hash", "umask", "alias"];
/// Commands that declare variables: their own exit code hides that of `$(…)`.
const DECLARE: [&str; 5] = ["export", "local", "declare", "readonly", "typeset"];
/// What `magellan` is told to do, to know it behind a program that runs it.
const COMMANDS: [&str; 12] = [
    "gate",
    "validate",
    "deploy",
    "health",
    "status",
    "backtest",
    "sweep",
    "walk-forward",
    "verdict",
    "ledger",
    "data",
    "ci",
];

/// A simple command as it is about to run.
struct Call<'a> {
    fields: Vec<Value>,
    words: &'a [Word],
    at: Place,
}

impl Call<'_> {
    fn texts(&self) -> Vec<String> {
        self.fields.iter().map(Value::shown).collect()
    }
}

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

    // ---- programs ----

    fn program(&self, inner: &Inner<'_>, texts: &[String], call: &Call<'_>, state: State, around: &Around) -> Paths {
        let arguments = &inner.words[1..];
        // A shell, or what runs one further on: `docker run IMAGE sh -c …`.
        let shell = inner.words.iter().position(|word| shell::is_shell(shell::base(word)));
        let other = match inner.name {
            "su" => arguments.iter().position(|word| word == "-c").and_then(|at| arguments.get(at + 1)).cloned(),
            "ssh" => Some(typed(arguments)).filter(|typed| !typed.is_empty()),
            _ => None,
        };
        let input = around.input.as_deref();
        let given = match shell.and_then(|at| given(&inner.words[at..])) {
            Some((Given::Command(text), options)) => Some((text, options)),
            Some((Given::File(file), options)) => written(&file, &state).map(|text| (text.to_string(), options)),
            Some((Given::Input, options)) => input.map(|text| (text.to_owned(), options)),
            None if inner.name == "ssh" && other.is_none() => input.map(|text| (text.to_owned(), UNTOLD)),
            None => other
                .map(|text| (text, UNTOLD))
                .or_else(|| written(&inner.words[0], &state).map(|text| (text.to_string(), told_inside(&text)))),
        };
        let again = !changes(&call.words.iter().collect::<Vec<_>>(), &self.assigned);
        let paths = if let Some((text, options)) = given {
            self.nested(&text, options, call.at, state, around)
        } else if self.is_gate(texts) || runs(inner.name, arguments) {
            self.gate(texts.join(" "), again, call.at, state)
        } else {
            // Nobody knows what another language makes of it.
            let names = |text: &str| text.contains("magellan");
            if interprets(inner.name) && (arguments.iter().any(|word| names(word)) || input.is_some_and(names)) {
                self.given_up.set(true);
            }
            return either_way(state);
        };
        if !loses(inner.name, arguments) {
            return paths;
        }
        let lost = |(state, flow): (State, Flow)| (state.taken_up(How::Runner, call.at).with(Value::zero()), flow);
        paths.into_iter().map(lost).collect()
    }

    /// A script that another shell runs.
    fn nested(&self, text: &str, options: ShellOptions, at: Place, state: State, around: &Around) -> Paths {
        let around = Around {
            tested: false,
            substituted: false,
            called: false,
            outer: Some(around.outer.unwrap_or(at)),
            input: None,
            ..around.deeper()
        };
        let begun = State {
            variables: state.variables.clone(),
            lost: state.lost.clone(),
            arguments: Vec::new(),
            files: state.files.clone(),
            ..State::new(options)
        };
        let ends = match shell::parse(text) {
            Ok(script) => self.whole(&script, begun, &around),
            Err(_) => self.text(text, begun, &around).into_iter().map(|(end, _)| end).collect(),
        };
        ends.into_iter().flat_map(|end| definite(state.after(end), Flow::Next)).collect()
    }
}

/// A command behind the words that only lead to it.
struct Inner<'a> {
    name: &'a str,
    words: &'a [String],
    /// Of its arguments.
    values: &'a [Value],
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

/// Where a shell finds its script.
enum Given {
    Command(String),
    File(String),
    Input,
}

/// A shell that is told nothing.
const UNTOLD: ShellOptions = ShellOptions { errexit: false, pipefail: false, bash: true };

/// Where a shell finds its script, and the options that it runs with.
fn given(words: &[String]) -> Option<(Given, ShellOptions)> {
    let (name, arguments) = words.split_first()?;
    let name = shell::base(name);
    if !shell::is_shell(name) {
        return None;
    }
    let mut options = ShellOptions { bash: name == "bash", ..UNTOLD };
    let (mut command, mut reads) = (false, false);
    let mut arguments = arguments.iter();
    while let Some(word) = arguments.next() {
        if word.starts_with("--") {
            continue;
        }
        let Some(flags) = word.strip_prefix(['-', '+']).filter(|flags| !flags.is_empty()) else {
            let given = match (command, reads) {
                (true, _) => Given::Command(word.clone()),
                (false, true) => Given::Input,
                (false, false) => Given::File(word.clone()),
            };
            return Some((given, options));
        };
        command |= flags.contains('c');
        reads |= flags.contains('s');
        options.errexit |= word.starts_with('-') && flags.contains('e');
        if flags.ends_with('o') {
            match arguments.next().map(String::as_str) {
                Some("pipefail") => options.pipefail = true,
                Some("errexit") => options.errexit = true,
                _ => {}
            }
        }
    }
    Some((Given::Input, options))
}

/// A script that was written into a file.
fn written(file: &str, state: &State) -> Option<Rc<str>> {
    state.files.get(file.trim_start_matches("./")).cloned()
}

/// The options in a script's first line: `#!/bin/bash -e`.
fn told_inside(text: &str) -> ShellOptions {
    let first = text.trim_start().lines().next().unwrap_or_default();
    let words: Vec<String> = first.trim_start_matches("#!").split_whitespace().map(str::to_owned).collect();
    let words = words.strip_prefix(&["/usr/bin/env".to_owned()]).unwrap_or(&words);
    given(words).map_or(UNTOLD, |(_, options)| options)
}

/// What `ssh` is to run, behind its options and the host.
fn typed(arguments: &[String]) -> String {
    let valued = |word: &str| word.len() == 2 && "pilFoJLRDWc".contains(&word[1..]);
    let mut rest = arguments;
    while let [first, others @ ..] = rest {
        if !first.starts_with('-') {
            break;
        }
        rest = if valued(first) { others.get(1..).unwrap_or_default() } else { others };
    }
    rest.get(1..).unwrap_or_default().join(" ")
}

/// Whether a program runs `magellan` further on.
fn runs(name: &str, arguments: &[String]) -> bool {
    let is_run = |pair: &[String]| shell::base(&pair[0]) == "magellan" && COMMANDS.contains(&pair[1].as_str());
    let quoted = ["script", "watch", "tmux", "screen", "parallel", "at", "batch"].contains(&name);
    arguments.windows(2).any(is_run) || quoted && arguments.iter().any(|word| word.contains("magellan "))
}

/// Whether a program runs scripts of another language.
fn interprets(name: &str) -> bool {
    ["python", "perl", "ruby", "node", "deno", "awk", "gawk", "pwsh", "expect", "tclsh"]
        .iter()
        .any(|known| name.starts_with(known))
}

/// Whether a program ends as a success though what it runs failed.
fn loses(name: &str, arguments: &[String]) -> bool {
    let has = |words: &[&str]| arguments.iter().any(|word| words.contains(&word.as_str()));
    match name {
        "find" => !has(&["+"]),
        "script" => !has(&["-e", "--return", "-qe", "-eq", "-qec", "-ec"]),
        "setsid" => !has(&["-w", "--wait"]),
        "systemd-run" => !has(&["--wait", "--pipe", "-P", "--scope"]),
        "docker" | "podman" => has(&["-d", "--detach", "-dit", "-itd", "-di"]),
        "watch" | "at" | "batch" | "tmux" | "screen" => true,
        _ => false,
    }
}
