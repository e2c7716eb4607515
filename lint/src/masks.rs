//! Where a script loses the exit code of a command, so that a failure looks like a success.

use std::ops::Range;

use super::shell::{self, Command, Joined, List, Pipeline, Script, ShellOptions, Simple};

/// A lost exit code.
#[derive(Debug)]
pub(super) struct Mask {
    /// In the script.
    pub(super) at: Range<usize>,
    pub(super) what: String,
    pub(super) help: &'static str,
    /// Whether it may lose one but needn't.
    pub(super) perhaps: bool,
}

/// Scripts in quotes, such as `bash -c '…'`, are read up to this depth.
const DEPTH: usize = 4;

const REMOVE: &str = "remove it: a failure must end the step";
const ALONE: &str = "put the commands on lines of their own; the shell stops at the first that fails";

/// Everything in `text` that loses an exit code.
pub(super) fn find(text: &str, shell: ShellOptions) -> Vec<Mask> {
    within(text, shell, 0)
}

fn within(text: &str, shell: ShellOptions, depth: usize) -> Vec<Mask> {
    let script = shell::parse(text);
    let mut search = Search { text, shell, matters: script.all().iter().any(|s| s.matters()), found: Vec::new() };
    if search.matters && !shell.errexit {
        let what = "the shell runs without -e: it goes on after a failure".to_owned();
        let help = "leave out `shell`, or write `shell: bash`";
        search.found.push(Mask { at: 0..0, what, help, perhaps: false });
    }
    let sets =
        script.all().into_iter().filter(|s| s.called().is_some_and(|c| c.0 == "set" && c.1.contains(&"pipefail")));
    let pipefail_from = sets.filter_map(|s| s.words.first()).map(|w| w.at.start).min();
    search.script(&script, pipefail_from);
    for simple in script.all() {
        search.simple(simple);
        search.quoted(simple, depth);
    }
    search.found.sort_by_key(|m| (m.at.start, m.at.end));
    // A finding inside another one is a part of it.
    let mut end = 0;
    search.found.retain(|m| {
        let is_new = m.at.end == 0 || m.at.start >= end;
        end = end.max(m.at.end);
        is_new
    });
    search.found
}

struct Search<'a> {
    text: &'a str,
    shell: ShellOptions,
    /// Whether the script runs a command on which a stage depends.
    matters: bool,
    found: Vec<Mask>,
}

impl Search<'_> {
    fn mask(&mut self, at: Range<usize>, what: impl Into<String>, help: &'static str) {
        self.found.push(Mask { at, what: what.into(), help, perhaps: false });
    }

    fn script(&mut self, script: &Script, pipefail_from: Option<usize>) {
        let count = script.lists.len();
        for (i, list) in script.lists.iter().enumerate() {
            self.list(list, i + 1 == count);
            for part in &list.parts {
                let set = pipefail_from.is_some_and(|from| part.pipe.is_some_and(|at| from < at));
                self.pipeline(list, part, self.shell.pipefail || set);
                for command in &part.commands {
                    match command {
                        Command::Group(inner) => self.script(inner, pipefail_from),
                        Command::Simple(simple) => {
                            simple.words.iter().flat_map(|w| &w.scripts).for_each(|s| self.script(s, pipefail_from));
                        }
                    }
                }
            }
        }
        if let [_, .., last] = script.lists.as_slice() {
            self.ending(last);
        }
    }

    /// A script's exit code is that of its last list.
    fn ending(&mut self, list: &List) {
        let [part] = list.parts.as_slice() else { return };
        let succeeds =
            |s: &Simple| s.called().is_some_and(|(name, args)| ["true", ":"].contains(&name) && args.is_empty());
        if part.simple().is_some_and(succeeds) && !list.looped {
            self.mask(part.at.clone(), "the script ends with a command that always succeeds", REMOVE);
        }
    }

    fn list(&mut self, list: &List, is_last: bool) {
        // Whether anything before matters, whether a later `||` catches a failure, whether a later
        // `&&` fails: asked once for the list, not once for each of its parts.
        let mut matters = false;
        let last_or = list.parts.iter().rposition(|p| p.joined == Joined::Or).unwrap_or(0);
        let last_failing = list.parts.iter().rposition(|p| p.joined == Joined::And && fails(p)).unwrap_or(0);
        for (i, part) in list.parts.iter().enumerate() {
            match part.joined {
                Joined::Or if i >= last_failing => {
                    let silenced = i > 0 && silenced(&list.parts[i - 1]);
                    self.or(part, matters && !list.asked, silenced && !list.asked);
                }
                Joined::And => {
                    let kept = is_last && !list.looped || list.asked;
                    if matters && !kept && i >= last_or {
                        let at = part.at.start..part.at.start + 2;
                        self.mask(at, "what fails before `&&` doesn't end the script", ALONE);
                    }
                }
                _ => {}
            }
            matters = matters || part.all().iter().any(|s| s.matters());
        }
        if let Some(at) = list.background {
            let what = "nobody sees the exit code of what runs in the background".to_owned();
            let help = "run it in the foreground: leave out the `&`";
            self.found.push(Mask { at: at..at + 1, what, help, perhaps: !self.matters });
        }
    }

    fn or(&mut self, part: &Pipeline, matters: bool, silenced: bool) {
        if fails(part) {
            return;
        }
        let shown = cut(self.text.get(part.at.clone()).unwrap_or_default().trim());
        if succeeds(part) {
            self.mask(part.at.clone(), format!("`{shown}` turns a failure into a success"), REMOVE);
        } else if matters {
            let what = format!("`{shown}` hides a failure if it succeeds itself");
            self.mask(part.at.clone(), what, "let the step fail, or end with `exit 1` behind `||`");
        } else if silenced {
            let what = format!("the error goes to /dev/null and `{shown}` stands in for it");
            self.mask(part.at.clone(), what, "let the command say why it fails, and fail");
        }
    }

    fn pipeline(&mut self, list: &List, part: &Pipeline, pipefail: bool) {
        if let Some(at) = part.pipe
            && self.matters
            && !pipefail
        {
            let what = "only the exit code of a pipe's last command counts here";
            self.mask(
                at..at + 1,
                what,
                "write `shell: bash`, by which GitHub sets pipefail, or `set -o pipefail` above",
            );
        }
        if part.negated && !list.asked && part.all().iter().any(|s| s.matters()) {
            self.mask(part.at.clone(), "`!` turns a failure into a success", REMOVE);
        }
    }

    fn simple(&mut self, simple: &Simple) {
        let Some(((name, arguments), words)) = simple.called().zip(Some(simple.command())) else { return };
        let (Some(first), Some(last)) = (words.first(), words.last()) else { return };
        let at = first.at.start..last.at.end;
        match name {
            "set" if unsets(&arguments) => {
                self.mask(
                    at,
                    "the script goes on after a failure from here",
                    "remove it: what may fail has no place here",
                );
            }
            "exit" if arguments == ["0"] => {
                self.mask(at, "`exit 0` ends the step as a success, whatever failed", REMOVE)
            }
            "trap" if arguments.first().is_some_and(|body| body.contains("exit 0")) => {
                self.mask(at, "the trap ends the step as a success, whatever failed", REMOVE);
            }
            _ => {
                let substituted = simple.words.iter().flat_map(|w| &w.scripts).flat_map(Script::all);
                if substituted.into_iter().any(|s| s.matters()) && !simple.only_assigns() {
                    let what = format!("the exit code of the command inside is lost: that of `{name}` counts");
                    self.mask(at, what, "assign its output to a variable on a line of its own, then use that");
                }
            }
        }
    }

    /// Scripts handed over as a text: `bash -c '…'`, `eval '…'`.
    fn quoted(&mut self, simple: &Simple, depth: usize) {
        let Some((name, arguments)) = simple.called() else { return };
        let errexit = arguments.iter().any(|a| a.starts_with('-') && !a.starts_with("--") && a.contains('e'));
        let shell = match name {
            "bash" | "sh" | "dash" => ShellOptions { errexit, pipefail: arguments.contains(&"pipefail") },
            "eval" => self.shell,
            _ => return,
        };
        if name != "eval" && !arguments.iter().any(|a| a.starts_with('-') && a.ends_with('c')) || depth >= DEPTH {
            return;
        }
        for word in simple.command().iter().skip(1).filter(|w| w.quoted) {
            let whole = word.at.clone();
            // A lone command needs no -e.
            let only = shell::parse(&word.text).lists.len() < 2;
            let shell = ShellOptions { errexit: shell.errexit || only, ..shell };
            let inside = within(&word.text, shell, depth + 1);
            self.found.extend(inside.into_iter().map(|m| Mask { at: whole.clone(), ..m }));
        }
    }
}

/// Whether what was run is a question whose answer may be no.
fn silenced(part: &Pipeline) -> bool {
    let asks =
        |s: &Simple| s.words.first().is_some_and(|w| ["command", "which", "type", "hash"].contains(&w.text.as_str()));
    part.simple().is_some_and(|s| s.silent && !asks(s))
}

fn exits(simple: &Simple) -> Option<Option<&str>> {
    let (name, arguments) = simple.called()?;
    ["exit", "return"].contains(&name).then(|| arguments.first().copied())
}

/// Whether it certainly fails: `exit 1`, `false`, a group with one of them.
fn fails(part: &Pipeline) -> bool {
    let surely = |simple: &Simple, alone: bool| match exits(simple) {
        // A bare `exit` keeps the code of what ran last.
        Some(None) => alone,
        Some(Some(code)) => code != "0",
        None => simple.called().is_some_and(|c| c.0 == "false"),
    };
    match part.commands.as_slice() {
        [Command::Simple(simple)] => surely(simple, true),
        [Command::Group(script)] => script.lists.iter().any(|list| match list.parts.as_slice() {
            [only] if !list.asked => only.simple().is_some_and(|s| surely(s, false)),
            _ => false,
        }),
        _ => false,
    }
}

/// Whether it always succeeds and does nothing about the failure.
fn succeeds(part: &Pipeline) -> bool {
    let always = |s: &Simple| {
        let zero = exits(s) == Some(Some("0"));
        zero || s.called().is_some_and(|c| ["true", ":", "echo", "printf"].contains(&c.0))
    };
    match part.commands.last() {
        Some(Command::Simple(simple)) => always(simple),
        Some(Command::Group(script)) => script.lists.last().is_some_and(|l| l.parts.last().is_some_and(succeeds)),
        None => false,
    }
}

/// Whether `set` takes back -e or pipefail.
fn unsets(arguments: &[&str]) -> bool {
    let pairs = arguments.iter().zip(arguments.iter().skip(1));
    arguments.iter().any(|a| a.starts_with('+') && a.contains('e'))
        || pairs
            .into_iter()
            .any(|(flag, name)| flag.starts_with('+') && flag.ends_with('o') && ["errexit", "pipefail"].contains(name))
}

/// A text short enough for a message.
fn cut(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    if line.chars().count() <= 40 { line.to_owned() } else { line.chars().take(40).chain(['…']).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GITHUB: ShellOptions = ShellOptions { errexit: true, pipefail: false };
    const BASH: ShellOptions = ShellOptions { errexit: true, pipefail: true };

    #[test]
    fn every_way_to_lose_an_exit_code_is_found_where_it_stands() {
        for (script, at) in [
            ("cargo fmt || true", "||"),
            ("magellan gate || :", "||"),
            ("a || exit 0", "||"),
            ("a || echo \"failed\"", "||"),
            ("a ||\n  true", "||"),
            ("a || { echo no; }", "||"),
            ("a || (echo no; exit 0)", "||"),
            ("a 2>/dev/null || b", "||"),
            ("a &>/dev/null || b", "||"),
            ("magellan gate || other", "||"),
            ("(magellan gate) || other", "||"),
            ("for s in a b; do magellan gate; done || true", "||"),
            ("x=$(a || true)", "||"),
            ("echo \"$(a || true)\"", "||"),
            ("echo `a || true`", "||"),
            ("a; true", "true"),
            ("a\n:\n", ":"),
            ("x=$(magellan gate; true)", "true"),
            ("set +e\nmagellan gate", "set"),
            ("set +eu", "set"),
            ("set +o pipefail", "set"),
            ("a\nexit 0\n", "exit"),
            ("if b; then exit 0; fi\nmagellan gate", "exit"),
            ("trap 'exit 0' EXIT\nmagellan gate", "trap"),
            ("magellan gate | tee log", "|"),
            ("x | cargo fmt", "|"),
            ("(magellan gate | tee log)", "|"),
            ("magellan gate &", "&"),
            ("magellan gate & wait", "&"),
            ("magellan gate && echo passed\necho done", "&&"),
            ("for s in a b; do magellan gate && echo passed; done", "&&"),
            ("! magellan gate", "!"),
            ("echo \"strategies=$(magellan gate --list)\" >> \"$GITHUB_OUTPUT\"", "echo"),
            ("export X=$(magellan gate --list)", "export"),
            ("diff <(magellan gate) x", "diff"),
            ("bash -c 'magellan gate || true'", "'magellan"),
            ("bash -c 'magellan gate; echo done'", "'magellan"),
            ("eval \"magellan gate || true\"", "\"magellan"),
            ("scripts/check || true", "||"),
            ("bash scripts/check | cat", "|"),
        ] {
            let found = find(script, GITHUB);
            let places: Vec<usize> = found.iter().map(|m| m.at.start).collect();
            assert_eq!(places, [script.find(at).expect("in it")], "{script}: {found:?}");
        }
    }

    #[test]
    fn what_loses_nothing_is_left_alone() {
        for script in [
            "magellan gate",
            "true",
            "echo 'a || true'",
            "# a || true\nmagellan gate",
            "magellan gate # || true",
            "cat <<END\na || true\nEND",
            "echo ${{ inputs.strategy || true }}",
            "[ -n \"$x\" ] || exit 1",
            "a || { echo \"::error::no\" >&2; exit 1; }",
            "magellan gate || exit 1",
            "magellan gate || exit",
            "a || echo no && exit 1",
            "command -v x >/dev/null 2>&1 || install x",
            "if a || b; then c; fi",
            "x=$(magellan gate --list)\necho \"x=$x\"",
            "magellan gate && magellan ledger verify",
            "cd x && a\nb",
            "a | b",
            "magellan gate 2>&1",
            "magellan gate >out 2>&1",
            "if magellan gate; then echo yes; else exit 1; fi",
            "set -euo pipefail\nmagellan gate | tee log",
            "magellan gate ${S:+--strategy \"$S\"}",
        ] {
            let found = find(script, GITHUB);
            assert!(found.is_empty(), "{script}: {found:?}");
        }
        assert!(find("magellan gate | tee log", BASH).is_empty());
        assert!(find("server &\ntest", GITHUB)[0].perhaps);
        assert_eq!(find("magellan gate\necho", ShellOptions { errexit: false, pipefail: false }).len(), 1);
    }
}
