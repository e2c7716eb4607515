//! Where a script loses the exit code of a command, so that a failure looks like a success.

use std::ops::Range;

use super::paths::{self, Followed, How, Setting};
use super::shell::{Assigned, Joined, Link, Node, Script, Simple, Statement};

/// A lost exit code.
#[derive(Debug)]
pub(super) struct Mask {
    /// In the script.
    pub(super) at: Range<usize>,
    pub(super) what: String,
    pub(super) help: &'static str,
}

const REMOVE: &str = "remove it: a failure must end the step";
const ALONE: &str = "put the commands on lines of their own; the shell stops at the first that fails";

/// Everything in a script that loses an exit code, in the order of the text.
pub(super) fn find(text: &str, script: &Script, setting: Setting<'_>) -> Vec<Mask> {
    // A script that names nothing on which a stage depends has no path worth following.
    let depends =
        text.contains("magellan") || setting.pipeline && (text.contains("cargo") || text.contains("scripts/"));
    let followed = if depends { paths::follow(script, setting) } else { Followed::default() };
    let mut found: Vec<Mask> =
        followed.masks.iter().map(|mask| explained(text, mask.how, mask.at.0..mask.at.1)).collect();
    let runs = |simple: &&Simple| simple.magellan().is_some();
    if depends && followed.may_succeed && !followed.reached && script.all().iter().any(runs) {
        let what = "no path of the script gets to `magellan`, so the step is a success without it".to_owned();
        found.push(Mask {
            at: 0..0,
            what,
            help: "remove what ends the script before, or call the function that runs it",
        });
    }
    if followed.given_up {
        let what = "the script has too many paths, or a script in it that can't be read: write it plainly".to_owned();
        found.push(Mask { at: 0..0, what, help: "cut it into steps, each with a few commands" });
    }
    script.each(&mut |statement| {
        if let Node::Chain(links) = &statement.node {
            found.extend(silenced(text, links));
        }
        found.extend(ignores(statement));
    });
    found.sort_by_key(|mask| (mask.at.start, mask.at.end));
    // A finding inside another one is a part of it.
    let mut end = 0;
    found.retain(|mask| {
        let is_new = mask.at.end == 0 || mask.at.start >= end;
        end = end.max(mask.at.end);
        is_new
    });
    found
}

/// What became of a failure, in words.
fn explained(text: &str, how: How, at: Range<usize>) -> Mask {
    let shown = || cut(text.get(at.clone()).unwrap_or_default().trim_end_matches(';').trim());
    let (what, help) = match how {
        How::Or => (
            format!("`{}` hides a failure if it succeeds itself", shown()),
            "let the step fail, or end with `exit 1` behind `||`",
        ),
        How::And => ("what fails before `&&` doesn't end the script".to_owned(), ALONE),
        How::Asked => (
            "a failure only answers the question here, and what follows ends as a success".to_owned(),
            "let the step fail, or end the branch that follows a failure with `exit 1`",
        ),
        How::Not => ("`!` turns a failure into a success".to_owned(), REMOVE),
        How::ErrexitOff => (
            "the script goes on after a failure from here, and ends as a success".to_owned(),
            "remove it, or keep the exit code in a variable and `exit` with it",
        ),
        How::NoErrexit => (
            "the shell runs without -e: it goes on after a failure".to_owned(),
            "leave out `shell`, or write `shell: bash`; a shell in a script needs `-e`",
        ),
        How::WithinQuestion => (
            "behind `||` or `&&`, and in a condition, the shell goes on after this fails".to_owned(),
            "call it on a line of its own, where the shell stops at what fails",
        ),
        How::WithinSubstitution => (
            "inside of `$(…)` bash goes on after this fails".to_owned(),
            "leave only this command in `$(…)`, or write `set -e` in it",
        ),
        How::Pipe => (
            "only the exit code of a pipe's last command counts here".to_owned(),
            "write `shell: bash`, by which GitHub sets pipefail, or `set -o pipefail` above",
        ),
        How::Background => (
            "nobody sees the exit code of what runs in the background".to_owned(),
            "leave out the `&`, or `wait` for the job by its number",
        ),
        How::Argument => (
            "the exit code of `$(…)` is lost: that of the command around it counts".to_owned(),
            "assign it to a variable on a line of its own: `name=$(…)`",
        ),
        How::Process => (
            "nobody sees the exit code of what runs in `<(…)`".to_owned(),
            "write its output to a file on a line of its own",
        ),
        How::Trap => (
            "the trap ends the script as a success".to_owned(),
            "let the trap keep the exit code: leave out its `exit`",
        ),
        How::Runner => (
            "the program that runs it ends as a success whatever it does".to_owned(),
            "run it directly, on a line of its own",
        ),
        How::Ended => (
            "the script ends as a success though this may have failed".to_owned(),
            "let the shell stop here: put it on a line of its own, with nothing around it",
        ),
    };
    Mask { at, what, help }
}

/// Commands whose exit code is an answer, or that tidy up what may be gone already.
const ANSWERS: [&str; 28] = [
    "test", "[", "grep", "egrep", "fgrep", "rg", "cmp", "diff", "expr", "command", "which", "type", "hash", "pgrep",
    "kill", "pkill", "killall", "rm", "rmdir", "unlink", "umount", "wait", "read", "let", "true", ":", "unset",
    "false",
];

/// `|| true` and its like behind any command: what always succeeds, and does nothing about the failure.
fn silenced(text: &str, links: &[Link]) -> Option<Mask> {
    let first = links.iter().rposition(|link| link.joined != Joined::Or || !succeeds(&link.statement))? + 1;
    let link = links.get(first)?;
    // `[ -f x ] && echo yes || echo no` only answers a question.
    let from = links[..first].iter().rposition(|link| link.joined != Joined::And).unwrap_or(0);
    if links[from..first].iter().all(|link| answers(&link.statement) || succeeds(&link.statement)) {
        return None;
    }
    let end = links.last().map_or(link.operator, |link| link.statement.at.end);
    let at = link.operator..end;
    let shown = cut(text.get(at.clone()).unwrap_or_default().trim_end_matches(';').trim());
    Some(Mask { at, what: format!("`{shown}` turns a failure into a success"), help: REMOVE })
}

/// Whether it always succeeds: `true`, `echo`, `exit 0`, or a group that ends so.
fn succeeds(statement: &Statement) -> bool {
    if statement.negated {
        return false;
    }
    match &statement.node {
        Node::Simple(simple) => match simple.called() {
            Some(("exit" | "return", arguments)) => arguments == ["0"],
            Some((name, _)) => ["true", ":", "echo", "printf"].contains(&name),
            None => false,
        },
        Node::Group(script) | Node::Subshell(script) => script.statements.iter().all(succeeds),
        _ => false,
    }
}

fn answers(statement: &Statement) -> bool {
    match &statement.node {
        Node::Simple(simple) => match simple.called() {
            Some((name, arguments)) => {
                let told = |words: &[&str]| arguments.iter().any(|argument| words.contains(argument));
                ANSWERS.contains(&name)
                    || ["docker", "podman"].contains(&name) && told(&["rm", "stop", "kill", "rmi", "logs"])
                    || name == "git" && told(&["commit", "diff", "rev-parse", "show-ref", "ls-remote", "merge-base"])
            }
            None => false,
        },
        Node::Test(_) | Node::Arithmetic(_) => true,
        Node::Pipe(parts, _) => parts.last().is_some_and(answers),
        _ => false,
    }
}

/// `make -i` goes on after a failure and ends as a success.
fn ignores(statement: &Statement) -> Option<Mask> {
    let Node::Simple(simple) = &statement.node else { return None };
    let (name, arguments) = simple.called()?;
    let by_flag = |word: &&str| match word.strip_prefix('-') {
        Some(flags) if flags.starts_with('-') => flags == "-ignore-errors",
        Some(flags) => flags.chars().take_while(|c| !"CIfjloWE".contains(*c)).any(|c| c == 'i'),
        None => word.strip_prefix("MAKEFLAGS=").is_some_and(|flags| flags.contains('i')),
    };
    let by_variable = || {
        simple.assignments.iter().any(|assignment| match &assignment.value {
            Assigned::Word(word) => assignment.name == "MAKEFLAGS" && word.text.contains('i'),
            Assigned::Array(_) => false,
        })
    };
    if !["make", "gmake"].contains(&name) || !(arguments.iter().any(by_flag) || by_variable()) {
        return None;
    }
    let what = "`make` with `-i` goes on after a failure and ends as a success".to_owned();
    Some(Mask { at: statement.at.clone(), what, help: REMOVE })
}

/// A text short enough for a message.
fn cut(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    if line.chars().count() <= 40 { line.to_owned() } else { line.chars().take(40).chain(['…']).collect() }
}
