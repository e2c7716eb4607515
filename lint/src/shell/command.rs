//! Which program a command runs.

use super::tree::{HIDDEN, Simple};

/// Words that only lead to another command.
const PREFIXES: [&str; 17] = [
    "sudo", "env", "command", "exec", "nice", "nohup", "time", "builtin", "timeout", "xargs", "stdbuf", "ionice",
    "flock", "unbuffer", "chronic", "xvfb-run", "setarch",
];

/// The package and the program that `cargo run` builds if nothing else is named.
const OURS: [&str; 2] = ["magellan", "deployable_strategies"];

/// A path's last part.
pub(crate) fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// The command and its arguments behind words that only lead to it, and whether there were any.
pub(crate) fn behind_prefixes<T: AsRef<str>>(words: &[T]) -> &[T] {
    let mut rest = words;
    let mut led = false;
    // `command -v NAME` asks, and runs nothing.
    if let [first, second, ..] = words
        && first.as_ref() == "command"
        && ["-v", "-V"].contains(&second.as_ref())
    {
        return words;
    }
    while let [first, others @ ..] = rest {
        let text = first.as_ref();
        let is_prefix = PREFIXES.contains(&base(text));
        let is_its = led && (text.starts_with(['-', '+']) || starts_as_number(text) || text.contains('='));
        if !is_prefix && !is_its {
            break;
        }
        led = true;
        rest = others;
    }
    // Options of what leads may have values of their own: `sudo -u NAME magellan`.
    let named = |word: &T| is_shell(base(word.as_ref())) || ["magellan", "cargo"].contains(&base(word.as_ref()));
    match led.then(|| rest.iter().take(4).position(named)).flatten() {
        Some(at) => &rest[at..],
        None => rest,
    }
}

fn starts_as_number(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit() || c == HIDDEN)
}

pub(crate) fn is_shell(name: &str) -> bool {
    ["bash", "sh", "dash", "ash", "zsh", "ksh"].contains(&name)
}

/// Arguments of `magellan`, called as such, by its path or through cargo; `words` are a command's.
pub(crate) fn magellan<T: AsRef<str>>(words: &[T]) -> Option<&[T]> {
    let (name, arguments) = behind_prefixes(words).split_first()?;
    match base(name.as_ref()) {
        "magellan" => Some(arguments),
        "cargo" => cargo_runs(arguments),
        _ => None,
    }
}

/// Whether a command is `magellan`.
pub(crate) fn is_magellan<T: AsRef<str>>(words: &[T]) -> bool {
    magellan(words).is_some()
}

/// What `cargo run … -- ` hands over, unless it runs another program.
fn cargo_runs<T: AsRef<str>>(arguments: &[T]) -> Option<&[T]> {
    let text = |at: usize| arguments.get(at).map(AsRef::as_ref);
    let run = (0..arguments.len()).find(|at| !text(*at).unwrap_or_default().starts_with(['-', '+']))?;
    if !["run", "r"].contains(&text(run)?) {
        return None;
    }
    let behind = (run..arguments.len()).find(|at| text(*at) == Some("--"))?;
    let mut named = None;
    for at in run + 1..behind {
        let option = text(at).unwrap_or_default();
        let (option, value) = option.split_once('=').map_or((option, text(at + 1)), |(o, v)| (o, Some(v)));
        let value = value.unwrap_or_default();
        match option {
            "--bin" => named = Some(value == OURS[0]),
            "-p" | "--package" => named = named.or(Some(OURS.contains(&value))),
            "--example" => return None,
            "--manifest-path" if !["Cargo.toml", "./Cargo.toml"].contains(&value) => return None,
            _ => {}
        }
    }
    named.unwrap_or(true).then(|| &arguments[behind + 1..])
}

impl Simple {
    fn texts(&self) -> Vec<&str> {
        self.words.iter().map(|word| word.text.as_str()).collect()
    }

    /// The command's name without its folder, and its arguments.
    pub(crate) fn called(&self) -> Option<(&str, Vec<&str>)> {
        let texts = self.texts();
        let (name, arguments) = behind_prefixes(&texts).split_first()?;
        Some((base(name), arguments.to_vec()))
    }

    /// Arguments of `magellan`, called as such, by its path or through cargo.
    pub(crate) fn magellan(&self) -> Option<Vec<&str>> {
        let texts = self.texts();
        magellan(&texts).map(<[&str]>::to_vec)
    }
}
