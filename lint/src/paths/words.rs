//! Words on a path: what the shell puts in place of their parts.

use std::rc::Rc;

use super::state::{How, State};
use super::value::Value;
use super::{Around, Walk, question};
use crate::shell::{Part, Redirect, Script, Statement, Word};

impl Walk {
    /// The fields that a word becomes, after the scripts in it have run.
    pub(super) fn fields(&self, word: &Word, state: State, around: &Around) -> Vec<(State, Vec<Value>)> {
        let states = self.run_inside(word, state, around);
        states
            .into_iter()
            .map(|mut state| {
                let fields = self.split(word, &mut state);
                (state, fields)
            })
            .collect()
    }

    /// Runs the scripts in a word. A status that they leave is that of the last.
    pub(super) fn run_inside(&self, word: &Word, state: State, around: &Around) -> Vec<State> {
        let mut states = vec![state];
        for part in &word.parts {
            match part {
                Part::Substitution(script) => {
                    states = self.each_state(states, |state| self.substituted(script, &state, around));
                }
                Part::Process(script) => {
                    let at = self.place(&word.at, around);
                    states = self.each_state(states, |state| self.aside(script, &state, at, around));
                }
                Part::Arithmetic(inner) => {
                    let scripts = inner.scripts();
                    states = self.each_state(states, |state| self.lost_in(&scripts, state, word, around));
                }
                Part::Other(scripts) => {
                    let scripts: Vec<&Script> = scripts.iter().collect();
                    states = self.each_state(states, |state| self.lost_in(&scripts, state, word, around));
                }
                Part::Text(_) | Part::Variable { .. } => {}
            }
        }
        states
    }

    pub(super) fn each_state(&self, states: Vec<State>, run: impl Fn(State) -> Vec<State>) -> Vec<State> {
        let all = states.into_iter().flat_map(run).collect();
        self.few(all).into_iter().collect()
    }

    /// A script beside the command, whose exit code nobody sees.
    fn aside(&self, script: &Script, state: &State, at: super::Place, around: &Around) -> Vec<State> {
        let before = state.status.clone();
        let ends = self.substituted(script, state, around);
        ends.into_iter().map(|end| end.taken_up(How::Process, at).with(before.clone())).collect()
    }

    fn lost_in(&self, scripts: &[&Script], state: State, word: &Word, around: &Around) -> Vec<State> {
        let at = self.place(&word.at, around);
        let before = state.status.clone();
        if scripts.is_empty() {
            return vec![state];
        }
        let mut states = vec![state];
        for script in scripts {
            states = self.each_state(states, |state| self.substituted(script, &state, around));
        }
        states.into_iter().map(|end| end.taken_up(How::Argument, at).with(before.clone())).collect()
    }

    /// The fields of a word whose scripts have run.
    fn split(&self, word: &Word, state: &mut State) -> Vec<Value> {
        let mut fields: Vec<Value> = Vec::new();
        let mut open = false;
        for part in &word.parts {
            let (value, splits) = match part {
                Part::Variable { name, index, quoted } => {
                    let each = matches!(index.as_deref(), Some("@" | "*")) || ["@", "*"].contains(&name.as_str());
                    (self.variable(name, index.as_deref(), state), !quoted || each)
                }
                part => (self.single(part, state), matches!(part, Part::Substitution(_)) && !word.quoted),
            };
            let values = match value {
                Value::List(values) if splits => values,
                Value::Text(text) if splits && text.contains(char::is_whitespace) => {
                    text.split_whitespace().map(Value::text).collect()
                }
                // An empty value outside of quotes is no field.
                value if splits && !word.quoted && value.is_empty() == Some(true) => Vec::new(),
                value => vec![value],
            };
            for (i, value) in values.into_iter().enumerate() {
                match fields.pop() {
                    Some(before) if open && i == 0 => fields.push(before.then(value)),
                    before => {
                        fields.extend(before);
                        fields.push(value);
                    }
                }
                open = true;
            }
        }
        fields
    }

    /// A word's value where it isn't split: assigned, or asked about.
    pub(super) fn value(&self, word: &Word, state: &mut State) -> Value {
        self.joined(&word.parts, state)
    }

    pub(super) fn joined(&self, parts: &[Part], state: &mut State) -> Value {
        let empty = Value::text("");
        parts.iter().fold(empty, |made, part| {
            let value = match part {
                Part::Variable { name, index, .. } => self.variable(name, index.as_deref(), state),
                part => self.single(part, state),
            };
            made.then(value)
        })
    }

    fn single(&self, part: &Part, state: &mut State) -> Value {
        match part {
            Part::Text(text) => Value::text(text),
            Part::Arithmetic(expression) => self.arithmetic(expression, state),
            _ => Value::Unknown,
        }
    }

    pub(super) fn arithmetic(&self, expression: &crate::shell::Arithmetic, state: &mut State) -> Value {
        let word = |word: &Word, state: &State| self.value(word, &mut state.clone());
        question::value(expression, state, &word)
    }

    /// Runs the scripts in redirections; with the text that is handed to the command, if one is.
    pub(super) fn redirected(
        &self,
        statement: &Statement,
        state: State,
        around: &Around,
    ) -> Vec<(State, Option<Rc<str>>)> {
        let mut states = vec![state];
        let mut input = None;
        for redirect in &statement.redirects {
            match redirect {
                Redirect::File(word) | Redirect::Text(word) => {
                    states = self.each_state(states, |state| {
                        let before = state.status.clone();
                        let at = self.place(&word.at, around);
                        let ends = self.run_inside(word, state, around);
                        let lost = |end: State| if word.runs() { end.taken_up(How::Argument, at) } else { end };
                        ends.into_iter().map(|end| lost(end).with(before.clone())).collect()
                    });
                    if let Redirect::Text(word) = redirect {
                        input = Some(word.text.as_str().into());
                    }
                }
                Redirect::Here(text, scripts) => {
                    let scripts: Vec<&Script> = scripts.iter().collect();
                    let word = Word { at: statement.at.clone(), ..Word::default() };
                    states = self.each_state(states, |state| self.lost_in(&scripts, state, &word, around));
                    input = Some(text.as_str().into());
                }
            }
        }
        let text = input.clone().or_else(|| super::compound::printed(statement));
        let file = statement.redirects.iter().find_map(|redirect| match redirect {
            Redirect::File(word) => Some(word.text.trim_start_matches("./").to_owned()),
            _ => None,
        });
        // Only a script that may run a stage is worth keeping.
        if let (Some(file), Some(text)) = (file, text.filter(|text| text.contains("magellan"))) {
            states.iter_mut().for_each(|state| drop(state.files.insert(file.clone(), Rc::clone(&text))));
        }
        states.into_iter().map(|state| (state, input.clone())).collect()
    }

    /// The value of `$name` or `${name[index]}`.
    fn variable(&self, name: &str, index: Option<&str>, state: &State) -> Value {
        let element = |values: &[Value], index: &str| match index.parse::<usize>() {
            Ok(at) => values.get(at).cloned().unwrap_or_else(|| Value::text("")),
            Err(_) => Value::List(values.to_vec()),
        };
        match name {
            "?" => state.status.clone(),
            "!" => match state.jobs.len() {
                0 => Value::Unknown,
                jobs => Value::Job(jobs - 1),
            },
            "@" | "*" => Value::List(state.arguments.clone()),
            "#" => Value::number(i64::try_from(state.arguments.len()).unwrap_or(i64::MAX)),
            "PIPESTATUS" => element(&state.pipe, index.unwrap_or("0")),
            _ => match (name.parse::<usize>(), index) {
                (Ok(at), _) => {
                    at.checked_sub(1).and_then(|at| state.arguments.get(at)).cloned().unwrap_or(Value::Unknown)
                }
                (_, Some(index)) => match state.variables.get(name) {
                    Some(Value::List(values)) => element(values, index),
                    Some(value) => value.clone(),
                    None => self.unset(name),
                },
                (_, None) => match state.variables.get(name) {
                    Some(Value::List(values)) if values.iter().all(|value| !matches!(value, Value::Job(_))) => {
                        values.first().cloned().unwrap_or_else(|| Value::text(""))
                    }
                    Some(value) => value.clone(),
                    None => self.unset(name),
                },
            },
        }
    }

    /// A variable that the script sets later on is empty before; any other one is the environment's.
    fn unset(&self, name: &str) -> Value {
        if self.assigned.contains(name) { Value::text("") } else { Value::Unknown }
    }
}
