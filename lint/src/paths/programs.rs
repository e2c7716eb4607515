//! Programs on a path: stages, other shells and what they are given, and what runs another program.

use std::rc::Rc;

use super::call::{Call, Inner};
use super::state::{Flow, How, Place, State};
use super::value::Value;
use super::{Around, Paths, Walk, changes, definite, either_way};
use crate::shell::{self, ShellOptions};

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

impl Walk {
    pub(super) fn program(
        &self,
        inner: &Inner<'_>,
        texts: &[String],
        call: &Call<'_>,
        state: State,
        around: &Around,
    ) -> Paths {
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
pub(super) fn written(file: &str, state: &State) -> Option<Rc<str>> {
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
