//! Compound commands on a path: lists, pipes, conditions, loops.

use std::collections::BTreeSet;
use std::rc::Rc;

use super::state::{Flow, How, Lost, State};
use super::value::Value;
use super::{Around, Paths, Walk, definite, either_way, question};
use crate::shell::{self, Arm, Joined, Link, Node, Pattern, Redirect, Script, Statement, Test, Word};

/// How often a loop is run whose end isn't known.
const ROUNDS: usize = 4;
/// Most words that a `for` runs over one by one.
const ITEMS: usize = 8;

impl Walk {
    pub(super) fn node(&self, statement: &Statement, state: State, around: &Around) -> Paths {
        match &statement.node {
            Node::Simple(simple) => self.simple(simple, statement, state, around),
            Node::Chain(links) => self.chain(links, state, around),
            Node::Pipe(parts, at) => self.pipe(parts, *at, &state, around),
            Node::Group(script) => self.script(script, state, around),
            Node::Subshell(script) => {
                let around = Around { lone: script.statements.len() == 1, ..around.clone() };
                let ends = self.forked(script, &state, &around);
                ends.into_iter().map(|end| (state.after(end), Flow::Next)).collect()
            }
            Node::If(branches, otherwise) => self.branches(branches, otherwise.as_ref(), state, around),
            Node::Loop { condition, body, until } => self.repeated(Some((condition, *until)), body, state, around),
            Node::For { variable, words, body } => self.each(variable, words.as_deref(), body, state, around),
            Node::Case { word, arms } => self.case(word, arms, state, around),
            Node::Function { names, body } => {
                let mut bodies = self.bodies.borrow_mut();
                let known = bodies.iter().position(|other| Rc::ptr_eq(other, body));
                let which = known.unwrap_or(bodies.len());
                if known.is_none() {
                    bodies.push(Rc::clone(body));
                }
                let mut state = state.with(Value::zero());
                state.functions.extend(names.iter().map(|name| (name.clone(), which)));
                vec![(state, Flow::Next)]
            }
            Node::Test(test) => {
                let states = test_words(test).into_iter().fold(vec![state], |states, word| {
                    self.each_state(states, |state| self.asked_word(word, state, around))
                });
                let answered = |mut state: State| {
                    let answer = self.answer(test, &mut state);
                    settled(state, answer)
                };
                states.into_iter().flat_map(answered).collect()
            }
            Node::Arithmetic(expression) => {
                let mut state = state;
                let answer = self.arithmetic(expression, &mut state).is_zero().map(|zero| !zero);
                settled(state, answer)
            }
            Node::Time(inner) => self.statement(inner, state, around),
            Node::Coprocess(inner) => self.in_background(inner, statement.at.start, state, around),
        }
    }

    fn chain(&self, links: &[Link], state: State, around: &Around) -> Paths {
        let last = links.len() - 1;
        let end = links[last].statement.at.end;
        let mut paths = BTreeSet::from([(state, Flow::Next)]);
        for (i, link) in links.iter().enumerate() {
            let within = around.tested(i < last);
            let mut next = BTreeSet::new();
            for (state, flow) in paths {
                let runs = match link.joined {
                    Joined::First => true,
                    Joined::And => !state.has_failed(),
                    Joined::Or => state.has_failed(),
                };
                if flow != Flow::Next || !runs {
                    next.insert((state, flow));
                    continue;
                }
                let at = self.place(&(link.operator..link.statement.at.end.min(end)), around);
                let state = if link.joined == Joined::Or { state.taken_up(How::Or, at) } else { state };
                next.extend(self.statement(&link.statement, state, &within));
            }
            paths = self.few(next);
        }
        paths.into_iter().collect()
    }

    fn pipe(&self, parts: &[Statement], at: usize, state: &State, around: &Around) -> Paths {
        let at = self.place(&(at..at + 1), around);
        // How its commands ended, and whether one of them has lost a failure.
        let mut ends: BTreeSet<(Vec<Value>, Option<Lost>)> = BTreeSet::from([(Vec::new(), state.lost.clone())]);
        for (i, part) in parts.iter().enumerate() {
            let input = i.checked_sub(1).and_then(|before| printed(&parts[before]));
            let around = Around { input, ..around.clone() };
            let mut next = BTreeSet::new();
            for (statuses, lost) in ends {
                let begun = State { lost: lost.clone(), ..state.forked() };
                for end in self.ends(self.statement(part, begun, &around), &around) {
                    let mut statuses = statuses.clone();
                    statuses.push(end.status);
                    next.insert((statuses, end.lost));
                }
            }
            ends = self.few(next);
        }
        let mut paths = Vec::new();
        for (statuses, lost) in ends {
            let failed = statuses.iter().rposition(|status| status.is_zero() != Some(true));
            let counts = if state.pipefail { failed } else { failed.filter(|at| at + 1 == statuses.len()) };
            let status = Value::status(counts.is_none());
            let mut after = State { lost, pipe: statuses, ..state.clone() };
            if failed.is_some() && counts.is_none() {
                after = after.with(Value::Failed).taken_up(How::Pipe, at);
            }
            paths.push((after.with(status), Flow::Next));
        }
        paths
    }

    fn branches(
        &self,
        branches: &[(Script, Script)],
        otherwise: Option<&Script>,
        state: State,
        around: &Around,
    ) -> Paths {
        let mut paths = Paths::new();
        let mut asking = vec![state];
        for (condition, then) in branches {
            let mut next = BTreeSet::new();
            for (state, flow) in self.all(asking, |state| self.script(condition, state, &around.tested(true))) {
                if flow != Flow::Next {
                    paths.push((state, flow));
                } else if state.has_failed() {
                    next.insert(state.taken_up(How::Asked, self.place(&span(condition), around)));
                } else {
                    paths.extend(self.script(then, state, around));
                }
            }
            asking = next.into_iter().collect();
        }
        for state in asking {
            match otherwise {
                Some(script) => paths.extend(self.script(script, state, around)),
                None => paths.push((state.with(Value::zero()), Flow::Next)),
            }
        }
        paths
    }

    fn all(&self, states: Vec<State>, run: impl Fn(State) -> Paths) -> Paths {
        let all: BTreeSet<(State, Flow)> = states.into_iter().flat_map(run).collect();
        self.few(all).into_iter().collect()
    }

    /// A loop that runs while its condition holds, or until it does; without one, any number of times.
    fn repeated(&self, condition: Option<(&Script, bool)>, body: &Script, state: State, around: &Around) -> Paths {
        let mut paths = BTreeSet::new();
        let mut seen = BTreeSet::new();
        let mut begun = BTreeSet::from([(state, Value::zero())]);
        for _ in 0..ROUNDS {
            let mut again = BTreeSet::new();
            for (state, last) in begun {
                if !seen.insert((state.clone(), last.clone())) {
                    continue;
                }
                let entered = match condition {
                    None => {
                        paths.insert((state.clone().with(last.clone()), Flow::Next));
                        vec![state]
                    }
                    Some((condition, until)) => {
                        let at = self.place(&span(condition), around);
                        let mut entered = Vec::new();
                        for (state, flow) in self.script(condition, state, &around.tested(true)) {
                            let holds = state.has_failed() == until;
                            let state = state.taken_up(How::Asked, at);
                            match flow {
                                Flow::Next if holds => entered.push(state),
                                Flow::Next => drop(paths.insert((state.with(last.clone()), Flow::Next))),
                                flow => self.leave(state, flow, &mut paths, &mut again),
                            }
                        }
                        entered
                    }
                };
                for state in entered {
                    for (state, flow) in self.script(body, state, around) {
                        self.leave(state, flow, &mut paths, &mut again);
                    }
                }
            }
            begun = self.few(again);
        }
        self.few(paths).into_iter().collect()
    }

    /// Where a round of a loop leads.
    fn leave(
        &self,
        state: State,
        flow: Flow,
        paths: &mut BTreeSet<(State, Flow)>,
        again: &mut BTreeSet<(State, Value)>,
    ) {
        match flow {
            Flow::Next | Flow::Continue(..=1) => {
                let last = state.status.clone();
                let state = self.between_rounds(state);
                again.insert((state, last));
            }
            Flow::Break(..=1) => drop(paths.insert((state.with(Value::zero()), Flow::Next))),
            Flow::Break(loops) => drop(paths.insert((state, Flow::Break(loops - 1)))),
            Flow::Continue(loops) => drop(paths.insert((state, Flow::Continue(loops - 1)))),
            flow => drop(paths.insert((state, flow))),
        }
    }

    /// A failure at the end of a round is overtaken by the next one.
    fn between_rounds(&self, state: State) -> State {
        let at = state.lost.as_ref().map_or((0, 0), |lost| lost.at);
        match state.weakened {
            Some((how, at)) => state.taken_up(how, at),
            None => state.taken_up(How::And, at),
        }
    }

    fn each(&self, variable: &str, words: Option<&[Word]>, body: &Script, state: State, around: &Around) -> Paths {
        let mut paths = Paths::new();
        let items = match words {
            Some(words) => words.iter().fold(vec![(state, Vec::new())], |all, word| {
                let more = all.into_iter().flat_map(|(state, items): (State, Vec<Value>)| {
                    let at = self.place(&word.at, around);
                    self.fields(word, state, around).into_iter().map(move |(state, fields)| {
                        let state = if word.runs() { state.taken_up(How::Argument, at) } else { state };
                        (state, items.iter().cloned().chain(fields).collect())
                    })
                });
                more.collect::<BTreeSet<_>>().into_iter().collect()
            }),
            None => vec![(state, vec![Value::Unknown])],
        };
        for (mut state, items) in items {
            let is_plain = |value: &Value| value.known().is_some_and(|text| !text.contains(['*', '?', '{']));
            let known = items.iter().all(|value| matches!(value, Value::Job(_)) || is_plain(value));
            if !known || items.len() > ITEMS {
                state.variables.insert(variable.to_owned(), Value::Unknown);
                paths.extend(self.repeated(None, body, state.with(Value::zero()), around));
                continue;
            }
            let mut rounds = BTreeSet::from([(state, Value::zero())]);
            let mut left = BTreeSet::new();
            for item in items {
                let mut again = BTreeSet::new();
                for (mut state, _) in rounds {
                    state.variables.insert(variable.to_owned(), item.clone());
                    for (state, flow) in self.script(body, state, around) {
                        self.leave(state, flow, &mut left, &mut again);
                    }
                }
                rounds = self.few(again);
            }
            paths.extend(rounds.into_iter().map(|(state, last)| (state.with(last), Flow::Next)));
            paths.extend(left);
        }
        paths
    }

    fn case(&self, word: &Word, arms: &[Arm], state: State, around: &Around) -> Paths {
        let at = self.place(&word.at, around);
        let mut paths = Paths::new();
        for state in self.run_inside(word, state, around) {
            let mut state = if word.runs() { state.taken_up(How::Argument, at) } else { state };
            let value = self.value(word, &mut state);
            let mut open = true;
            let mut through = false;
            for arm in arms {
                let answers: Vec<Option<bool>> = arm.patterns.iter().map(|p| matches(&value, p)).collect();
                let surely = answers.contains(&Some(true));
                let perhaps = surely || through || answers.contains(&None);
                if perhaps {
                    paths.extend(self.script(&arm.body, state.clone(), around));
                }
                through = perhaps && arm.goes_on;
                if surely && !arm.goes_on {
                    open = false;
                    break;
                }
            }
            if open {
                paths.push((state.with(Value::zero()), Flow::Next));
            }
        }
        paths
    }

    fn asked_word(&self, word: &Word, state: State, around: &Around) -> Vec<State> {
        let at = self.place(&word.at, around);
        let ends = self.run_inside(word, state, around);
        ends.into_iter().map(|end| if word.runs() { end.taken_up(How::Argument, at) } else { end }).collect()
    }

    fn answer(&self, test: &Test, state: &mut State) -> Option<bool> {
        match test {
            Test::Not(inner) => self.answer(inner, state).map(|answer| !answer),
            Test::And(a, b) => question::both(self.answer(a, state), self.answer(b, state)),
            Test::Or(a, b) => question::either(self.answer(a, state), self.answer(b, state)),
            Test::Unary(operator, word) => question::unary(operator, &self.value(word, state)),
            Test::Binary(a, operator, b) => {
                let is_pattern = b.parts.iter().any(|part| matches!(part, shell::Part::Other(_)));
                if is_pattern {
                    return None;
                }
                question::binary(&self.value(a, state), operator, &self.value(b, state))
            }
        }
    }
}

fn test_words(test: &Test) -> Vec<&Word> {
    test.words()
}

/// The states after a question with this answer.
fn settled(state: State, answer: Option<bool>) -> Paths {
    match answer {
        Some(answer) => definite(state.with(Value::status(answer)), Flow::Next),
        None => either_way(state),
    }
}

/// Whether a value matches a pattern, where that is certain.
fn matches(value: &Value, pattern: &Pattern) -> Option<bool> {
    match pattern {
        Pattern::Text(text) => value.equals(&Value::text(text)),
        Pattern::Begins(start) if start.is_empty() => Some(true),
        Pattern::Begins(start) => value.known().map(|text| text.starts_with(start)),
        Pattern::Other => None,
    }
}

fn span(script: &Script) -> std::ops::Range<usize> {
    let start = script.statements.first().map_or(0, |statement| statement.at.start);
    start..script.statements.last().map_or(start, |statement| statement.at.end)
}

/// What a command of a pipe hands to the next one, where it is in the script: a here-document, or what `echo` prints.
pub(super) fn printed(part: &Statement) -> Option<Rc<str>> {
    let here = part.redirects.iter().find_map(|redirect| match redirect {
        Redirect::Here(text, _) => Some(text.as_str().into()),
        _ => None,
    });
    let echoed = || {
        let simple = part.simple()?;
        let (name, words) = simple.words.split_first()?;
        let texts: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
        ["echo", "printf"].contains(&name.text.as_str()).then(|| texts.join(" ").replace("\\n", "\n").into())
    };
    here.or_else(echoed)
}
