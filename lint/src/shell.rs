//! The part of the shell's grammar that decides where an exit code goes: lists, pipes, groups and substitutions. Text
//! in quotes, comments and here-documents is no command.

use std::ops::Range;

/// Deepest nesting of groups and substitutions; what lies deeper is read as plain words.
const DEPTH: usize = 40;

/// What a shell does by itself when a command fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ShellOptions {
    /// Ends the script: `-e`.
    pub(super) errexit: bool,
    /// Fails a pipe if any of its commands fails: `-o pipefail`.
    pub(super) pipefail: bool,
}

/// Lists, one after the other.
#[derive(Debug, Default)]
pub(super) struct Script {
    pub(super) lists: Vec<List>,
}

/// Pipelines joined by `&&` and `||`.
#[derive(Debug, Default)]
pub(super) struct List {
    pub(super) parts: Vec<Pipeline>,
    /// Whether `if`, `while` or `until` asks for its exit code.
    pub(super) asked: bool,
    /// Whether it stands in a loop's body.
    pub(super) looped: bool,
    /// Where the `&` stands that sends it to the background.
    pub(super) background: Option<usize>,
}

/// What stands before a pipeline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Joined {
    #[default]
    First,
    And,
    Or,
}

/// Commands joined by `|`.
#[derive(Debug, Default)]
pub(super) struct Pipeline {
    pub(super) joined: Joined,
    /// Whether a `!` stands before it.
    pub(super) negated: bool,
    pub(super) commands: Vec<Command>,
    /// Where its first `|` stands.
    pub(super) pipe: Option<usize>,
    /// From the operator before it to its end.
    pub(super) at: Range<usize>,
}

#[derive(Debug)]
pub(super) enum Command {
    Simple(Simple),
    Group(Script),
}

#[derive(Debug, Default)]
pub(super) struct Simple {
    pub(super) words: Vec<Word>,
    /// Whether its messages go to /dev/null.
    pub(super) silent: bool,
}

#[derive(Debug, Default)]
pub(super) struct Word {
    /// Without its quotes.
    pub(super) text: String,
    pub(super) quoted: bool,
    pub(super) at: Range<usize>,
    /// Commands whose output becomes part of it.
    pub(super) scripts: Vec<Script>,
}

/// Reads a script. It never fails: whatever isn't understood becomes words.
pub(super) fn parse(text: &str) -> Script {
    let hidden = hide_expressions(text);
    Reader { text: &hidden, at: 0, depth: 0, here: Vec::new() }.script(None)
}

/// GitHub puts values in place of `${{ … }}` before the shell sees them; their operators aren't
/// the shell's. The same number of bytes stays in their place.
fn hide_expressions(text: &str) -> String {
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(start) = rest.find("${{") {
        let end = rest[start..].find("}}").map_or(rest.len(), |end| start + end + 2);
        out.push_str(&rest[..start]);
        out.push('$');
        out.extend(std::iter::repeat_n('E', end - start - 1));
        rest = &rest[end..];
    }
    out + rest
}

impl Script {
    /// Every simple command, however deep.
    pub(super) fn all(&self) -> Vec<&Simple> {
        let (mut found, mut rest) = (Vec::new(), vec![self]);
        while let Some(script) = rest.pop() {
            for command in script.lists.iter().flat_map(|l| &l.parts).flat_map(|p| &p.commands) {
                match command {
                    Command::Group(inner) => rest.push(inner),
                    Command::Simple(simple) => {
                        rest.extend(simple.words.iter().flat_map(|w| &w.scripts));
                        found.push(simple);
                    }
                }
            }
        }
        found
    }
}

impl Command {
    /// Every simple command in it, however deep.
    fn all(&self) -> Vec<&Simple> {
        match self {
            Self::Simple(simple) => {
                let within = simple.words.iter().flat_map(|w| &w.scripts).flat_map(Script::all);
                std::iter::once(simple).chain(within).collect()
            }
            Self::Group(script) => script.all(),
        }
    }
}

impl Pipeline {
    /// Every simple command in it, however deep.
    pub(super) fn all(&self) -> Vec<&Simple> {
        self.commands.iter().flat_map(Command::all).collect()
    }

    /// Its only command, if that is a simple one.
    pub(super) fn simple(&self) -> Option<&Simple> {
        match self.commands.as_slice() {
            [Command::Simple(simple)] => Some(simple),
            _ => None,
        }
    }
}

/// Words that only lead to another command, with their own flags and numbers.
const PREFIXES: [&str; 11] =
    ["sudo", "env", "command", "exec", "nice", "nohup", "time", "builtin", "timeout", "xargs", "stdbuf"];

impl Simple {
    /// The command and its arguments, behind assignments and words that only lead to it.
    pub(super) fn command(&self) -> &[Word] {
        let mut words = self.words.as_slice();
        let mut led = false;
        while let [first, rest @ ..] = words {
            let is_number = first.text.starts_with(|c: char| c.is_ascii_digit());
            if PREFIXES.contains(&first.text.as_str()) {
                led = true;
            } else if !(first.assigns() || led && (first.text.starts_with('-') || is_number)) {
                break;
            }
            words = rest;
        }
        words
    }

    /// The command's name without its folder, and its arguments.
    pub(super) fn called(&self) -> Option<(&str, Vec<&str>)> {
        let (name, arguments) = self.command().split_first()?;
        Some((base(&name.text), arguments.iter().map(|w| w.text.as_str()).collect()))
    }

    /// Arguments of `magellan`, called as such, by its path or through cargo.
    pub(super) fn magellan(&self) -> Option<Vec<&str>> {
        let (name, arguments) = self.called()?;
        match name {
            "magellan" => Some(arguments),
            "cargo" if arguments.iter().any(|a| *a == "run" || *a == "r") => {
                let behind = arguments.iter().position(|a| *a == "--")?;
                Some(arguments[behind + 1..].to_vec())
            }
            _ => None,
        }
    }

    /// Whether a stage depends on it: `magellan`, cargo, or a script in `scripts/`.
    pub(super) fn matters(&self) -> bool {
        let Some((name, arguments)) = self.called() else { return false };
        let scripts = |text: &str| text.trim_start_matches("./").starts_with("scripts/") || text.contains("/scripts/");
        let runs_a_script = ["bash", "sh"].contains(&name) && arguments.iter().any(|a| scripts(a));
        ["magellan", "cargo"].contains(&name)
            || runs_a_script
            // No path is longer; a word full of substitutions isn't searched at each of its depths.
            || self.command().first().is_some_and(|w| w.text.len() <= 4_096 && scripts(&w.text))
    }

    /// Whether it is nothing but assignments: then its exit code is that of what it substitutes.
    pub(super) fn only_assigns(&self) -> bool {
        self.words.iter().all(Word::assigns)
    }
}

impl Word {
    fn assigns(&self) -> bool {
        let is_name = |name: &str| {
            let name = name.trim_end_matches('+');
            !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        };
        self.text.split_once('=').is_some_and(|(name, _)| is_name(name))
    }
}

fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    /// Here-documents whose text begins at the next line: last line, and whether tabs may lead it.
    here: Vec<(String, bool)>,
}

/// A script that isn't finished.
#[derive(Default)]
struct Unfinished {
    script: Script,
    list: List,
    part: Pipeline,
    simple: Simple,
    loops: usize,
}

impl Unfinished {
    fn end_command(&mut self) {
        let simple = std::mem::take(&mut self.simple);
        if !simple.words.is_empty() {
            self.part.commands.push(Command::Simple(simple));
        }
    }

    fn end_part(&mut self, at: usize) {
        self.end_command();
        self.part.at.end = at;
        let part = std::mem::take(&mut self.part);
        if !part.commands.is_empty() || part.joined != Joined::First {
            self.list.parts.push(part);
        }
    }

    fn join(&mut self, joined: Joined, at: usize) {
        self.end_part(at);
        self.part = Pipeline { joined, at: at..at, ..Pipeline::default() };
        // Behind `done` or `fi` nothing is left of the list that is joined.
        if self.list.parts.is_empty() {
            self.list.parts.push(Pipeline { at: at..at, ..Pipeline::default() });
        }
    }

    fn end_list(&mut self, at: usize) {
        self.end_part(at);
        let mut list = std::mem::take(&mut self.list);
        list.looped |= self.loops > 0;
        if !list.parts.is_empty() {
            self.script.lists.push(list);
        }
    }

    /// Whether the next word is a command or a keyword.
    fn at_command(&self) -> bool {
        self.simple.words.is_empty()
    }

    /// Whether a pipeline begins.
    fn at_list(&self) -> bool {
        self.at_command() && self.part.commands.is_empty()
    }

    /// Takes a keyword; not a word that only looks like one.
    fn keyword(&mut self, word: &Word) -> bool {
        if word.quoted || !self.at_command() || !self.part.commands.is_empty() && self.part.pipe.is_none() {
            return false;
        }
        match word.text.as_str() {
            "if" | "elif" | "while" | "until" => self.list.asked = true,
            "do" => self.loops += 1,
            "done" => {
                self.loops = self.loops.saturating_sub(1);
                self.list.looped = self.loops > 0;
            }
            "!" => self.part.negated = true,
            "then" | "else" | "fi" | "esac" => {}
            _ => return false,
        }
        true
    }
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn bump(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn eat(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        self.at += if found { token.len() } else { 0 };
        found
    }

    /// Reads up to `closer`, or to the end.
    fn script(&mut self, closer: Option<char>) -> Script {
        let mut made = Unfinished::default();
        self.depth += 1;
        while let Some(c) = self.peek() {
            if closer == Some(c) && (c == ')' || made.at_list()) {
                made.end_list(self.at);
                self.at += 1;
                break;
            }
            self.step(c, &mut made);
        }
        self.depth -= 1;
        made.end_list(self.at);
        made.script
    }

    /// Takes what begins with `c`, a character at least.
    fn step(&mut self, c: char, made: &mut Unfinished) {
        match c {
            _ if self.eat("\\\n") || self.eat("\\\r\n") => {}
            ' ' | '\t' | '\r' => self.at += 1,
            '#' => self.at += self.rest().find('\n').unwrap_or(self.rest().len()),
            '\n' => {
                // A list goes on behind an operator that ends its line.
                if !(made.at_list() && made.part.joined != Joined::First) {
                    made.end_list(self.at);
                }
                self.at += 1;
                self.skip_here_documents();
            }
            ';' => {
                made.end_list(self.at);
                self.at += 1;
            }
            ')' => {
                // A pattern of `case` ends here.
                let script = std::mem::take(&mut made.script);
                *made = Unfinished { script, loops: made.loops, ..Unfinished::default() };
                self.at += 1;
            }
            '&' if !self.rest().starts_with("&>") => self.ampersand(made),
            '|' => self.bar(made),
            '(' => self.parenthesis(made),
            '<' | '>' | '&' => self.redirect(&mut made.simple, None),
            _ => self.word_or_group(made),
        }
    }

    fn ampersand(&mut self, made: &mut Unfinished) {
        let at = self.at;
        if self.eat("&&") {
            made.join(Joined::And, at);
        } else {
            self.at += 1;
            made.list.background = Some(at);
            made.end_list(at);
        }
    }

    fn bar(&mut self, made: &mut Unfinished) {
        let at = self.at;
        if self.eat("||") {
            made.join(Joined::Or, at);
        } else {
            self.at += 1;
            self.eat("&");
            made.end_command();
            made.part.pipe.get_or_insert(at);
        }
    }

    fn parenthesis(&mut self, made: &mut Unfinished) {
        self.at += 1;
        if self.rest().starts_with('(') && made.at_command() {
            self.skip_arithmetic();
        } else if self.eat(")") {
            // A function's name, not a command.
            made.simple = Simple::default();
        } else if made.at_command() && self.depth < DEPTH {
            let script = self.script(Some(')'));
            made.part.commands.push(Command::Group(script));
        }
    }

    fn word_or_group(&mut self, made: &mut Unfinished) {
        let before = self.at;
        let word = self.word();
        if self.at == before {
            self.bump();
            return;
        }
        let is_descriptor = !word.quoted && word.text.chars().all(|c| c.is_ascii_digit());
        if is_descriptor && self.rest().starts_with(['<', '>']) {
            return self.redirect(&mut made.simple, Some(&word.text));
        }
        if made.at_command() && !word.quoted && word.text == "{" && self.depth < DEPTH {
            let script = self.script(Some('}'));
            made.part.commands.push(Command::Group(script));
            return;
        }
        let negated = made.part.negated;
        let is_keyword = made.keyword(&word);
        // A pipeline begins with its first command, or the `!` before it.
        let leads = made.part.negated || !is_keyword;
        if leads && !negated && made.part.joined == Joined::First && made.part.commands.is_empty() && made.at_command()
        {
            made.part.at.start = word.at.start;
        }
        if !is_keyword {
            made.simple.words.push(word);
        }
    }

    fn redirect(&mut self, simple: &mut Simple, descriptor: Option<&str>) {
        let both = self.eat("&>");
        if !both {
            let from_command = self.at;
            let opened = self.bump();
            // <(…) and >(…) are words.
            if self.rest().starts_with('(') && self.depth < DEPTH {
                self.at += 1;
                let scripts = vec![self.script(Some(')'))];
                simple.words.push(Word { quoted: true, at: from_command..self.at, scripts, ..Word::default() });
                return;
            }
            if opened == Some('<') && self.rest().starts_with('<') && !self.rest().starts_with("<<") {
                self.at += 1;
                return self.here_document();
            }
        }
        while self.peek().is_some_and(|c| ['<', '>', '|', '&', ' ', '\t'].contains(&c)) {
            self.at += 1;
        }
        let target = self.word();
        simple.silent |= target.text == "/dev/null" && (both || descriptor == Some("2"));
        let scripts = target.scripts;
        if !scripts.is_empty() {
            simple.words.push(Word { quoted: true, at: target.at, scripts, ..Word::default() });
        }
    }

    fn here_document(&mut self) {
        let tabs = self.eat("-");
        while self.peek().is_some_and(|c| c == ' ' || c == '\t') {
            self.at += 1;
        }
        let last = self.word().text;
        self.here.push((last, tabs));
    }

    fn skip_here_documents(&mut self) {
        for (last, tabs) in std::mem::take(&mut self.here) {
            while !self.rest().is_empty() {
                let length = self.rest().find('\n').map_or(self.rest().len(), |i| i + 1);
                let line = self.rest()[..length].trim_end_matches(['\n', '\r']);
                let ends = if tabs { line.trim_start_matches('\t') == last } else { line == last };
                self.at += length;
                if ends {
                    break;
                }
            }
        }
    }

    /// Up to `))`, the first `(` of both being read.
    fn skip_arithmetic(&mut self) {
        let mut open = 1;
        while open > 0 {
            match self.bump() {
                Some('(') => open += 1,
                Some(')') => open -= 1,
                None => break,
                Some(_) => {}
            }
        }
    }

    /// A word; empty where none begins.
    fn word(&mut self) -> Word {
        let mut word = Word { at: self.at..self.at, ..Word::default() };
        while let Some(c) = self.peek() {
            match c {
                ' ' | '\t' | '\n' | '\r' | ';' | '&' | '|' | '(' | ')' | '<' | '>' => break,
                '\\' => {
                    self.at += 1;
                    word.text.extend(self.bump().filter(|c| *c != '\n'));
                }
                '\'' => {
                    self.at += 1;
                    self.single_quoted(&mut word);
                }
                '"' => {
                    self.at += 1;
                    self.double_quoted(&mut word);
                }
                '$' | '`' => self.dollar(&mut word),
                _ => word.text.extend(self.bump()),
            }
            // An array: its elements are words of no command.
            if word.text.ends_with('=') && self.rest().starts_with('(') {
                self.at += 1;
                self.skip_arithmetic();
            }
        }
        word.at.end = self.at;
        word
    }

    fn single_quoted(&mut self, word: &mut Word) {
        word.quoted = true;
        let end = self.rest().find('\'').unwrap_or(self.rest().len());
        word.text.push_str(&self.text[self.at..self.at + end]);
        self.at = (self.at + end + 1).min(self.text.len());
    }

    fn double_quoted(&mut self, word: &mut Word) {
        word.quoted = true;
        while let Some(c) = self.peek() {
            match c {
                '"' => {
                    self.at += 1;
                    break;
                }
                '\\' => {
                    self.at += 1;
                    word.text.extend(self.bump().filter(|c| *c != '\n'));
                }
                '$' | '`' => self.dollar(word),
                _ => word.text.extend(self.bump()),
            }
        }
    }

    /// What begins with `$` or a backquote.
    fn dollar(&mut self, word: &mut Word) {
        let start = self.at;
        if self.eat("$((") {
            self.at -= 1;
            self.skip_arithmetic();
            self.eat(")");
        } else if self.depth < DEPTH && self.eat("$(") {
            // Here-documents inside end inside.
            let waiting = std::mem::take(&mut self.here);
            word.scripts.push(self.script(Some(')')));
            self.here = waiting;
        } else if self.eat("${") {
            let end = self.rest().find('}').map_or(self.rest().len(), |i| i + 1);
            self.at += end;
        } else if self.rest().starts_with('`') && self.depth < DEPTH {
            self.at += 1;
            let end = self.at + self.rest().find('`').unwrap_or(self.rest().len());
            let mut inside = Reader { text: &self.text[..end], at: self.at, depth: self.depth, here: Vec::new() };
            word.scripts.push(inside.script(None));
            self.at = (end + 1).min(self.text.len());
        } else {
            self.at += 1;
        }
        word.text.push_str(&self.text[start..self.at]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The commands that are seen, word by word.
    fn commands(text: &str) -> Vec<String> {
        let words = |simple: &Simple| simple.words.iter().map(|w| w.text.clone()).collect::<Vec<_>>().join(" ");
        let mut all: Vec<String> = parse(text).all().into_iter().map(words).collect();
        all.sort();
        all
    }

    #[test]
    fn what_is_quoted_commented_or_handed_over_is_no_command() {
        assert_eq!(commands("echo 'a || true' # b || true\n"), ["echo a || true"]);
        assert_eq!(commands("cat <<'END' > out\na || true\nEND\nb\n"), ["b", "cat"]);
        assert_eq!(commands("cat <<-X\n\ta || true\n\tX\nb"), ["b", "cat"]);
        assert_eq!(commands("a ${{ x || y }} b"), [format!("a ${} b", "E".repeat(12))]);
        assert_eq!(commands("a ${x:-b || c}"), ["a ${x:-b || c}"]);
        assert_eq!(commands("if [ $((1 || 0)) ]; then :; fi"), [": ", "[ $((1 || 0)) ]"].map(str::trim));
    }

    #[test]
    fn commands_are_found_wherever_they_stand() {
        assert_eq!(commands("x=\"$(a | b)\" c `d` & e"), ["a", "b", "d", "e", "x=$(a | b) c `d`"]);
        assert_eq!(commands("{ a; b; } || (c)\nf() { g; }"), ["a", "b", "c", "g"]);
        assert_eq!(commands("case $x in a|b) c ;; *) d ;; esac; e \\\n  f"), ["c", "d", "e f"]);
        assert_eq!(commands("diff <(a) <(b)").len(), 3);
        assert_eq!(commands("for x in y; do a; done || b"), ["a", "b", "for x in y"]);
    }

    #[test]
    fn lists_know_how_they_are_joined() {
        let script = parse("a &&\n b || c; ! d | e\nif f; then g & fi");
        let joined: Vec<Joined> = script.lists[0].parts.iter().map(|p| p.joined).collect();
        assert_eq!(joined, [Joined::First, Joined::And, Joined::Or]);
        assert!(script.lists[1].parts[0].negated && script.lists[1].parts[0].pipe.is_some());
        assert!(script.lists[2].asked && !script.lists[3].asked && script.lists[3].background.is_some());
    }

    #[test]
    fn a_command_is_told_from_what_leads_to_it() {
        let called = |text: &str| parse(text).all()[0].magellan().map(|a| a.join(" "));
        for text in [
            "magellan gate --json",
            "./target/release/magellan gate --json",
            "A=1 sudo -E timeout 60 magellan gate --json",
            "cargo run --release --locked -- gate --json",
            "\"$BIN/magellan\" gate --json",
        ] {
            assert_eq!(called(text).as_deref(), Some("gate --json"), "{text}");
        }
        for text in ["echo magellan gate", "cargo test -- gate", "magellan-gate"] {
            assert_eq!(called(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_script(text in "(\\PC|[\n\t\\\\'\"$`(){}<>&|;#! ]){0,120}") {
            parse(&text);
        }
    }
}
