//! A shell script as a tree of what decides where an exit code goes: lists, pipes, compound commands, functions and
//! substitutions. Text in quotes, comments and here-documents is no command.

mod command;
mod read;
mod tree;

pub(super) use command::{base, behind_prefixes, is_magellan, is_shell};
pub(super) use read::{Unreadable, parse};
pub(super) use tree::{
    Arithmetic, Arm, Assigned, HIDDEN, Joined, Link, Node, Operator, Part, Pattern, Redirect, Script, ShellOptions,
    Simple, Statement, Test, Word,
};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The commands that are seen, word by word.
    fn commands(text: &str) -> Vec<String> {
        let words = |simple: &Simple| simple.words.iter().map(|w| w.text.clone()).collect::<Vec<_>>().join(" ");
        let script = parse(text).unwrap_or_else(|why| panic!("{text}: {}", why.what));
        let mut all: Vec<String> = script.all().into_iter().map(words).filter(|words| !words.is_empty()).collect();
        all.sort();
        all
    }

    #[test]
    fn what_is_quoted_commented_or_handed_over_is_no_command() {
        assert_eq!(commands("echo 'a || true' # b || true\n"), ["echo a || true"]);
        assert_eq!(commands("cat <<'END' > out\na || true\nEND\nb\n"), ["b", "cat"]);
        assert_eq!(commands("cat <<-X\n\ta || true\n\tX\nb"), ["b", "cat"]);
        assert_eq!(commands("a ${{ x || y }} b"), [format!("a {} b", HIDDEN.to_string().repeat(13))]);
        assert_eq!(commands("a ${x:-b || c}"), ["a ${x:-b || c}"]);
    }

    #[test]
    fn commands_are_found_wherever_they_stand() {
        assert_eq!(commands("x=\"$(a | b)\" c `d` & e"), ["a", "b", "c `d`", "d", "e"]);
        assert_eq!(commands("{ a; b; } || (c)\nf() { g; }"), ["a", "b", "c", "g"]);
        assert_eq!(commands("case $x in a|b) c ;; *) d ;; esac; e \\\n  f"), ["c", "d", "e f"]);
        assert_eq!(commands("diff <(a) <(b)").len(), 3);
        assert_eq!(commands("for x in y; do a; done || b"), ["a", "b"]);
        assert_eq!(commands("cat <<E\n$(a)\nE\n[[ $(b) ]]; echo \"${x:-$(c)}\" > $(d)").len(), 6);
    }

    #[test]
    fn a_command_is_told_from_what_leads_to_it() {
        let called = |text: &str| parse(text).expect("read").all()[0].magellan().map(|a| a.join(" "));
        for text in [
            "magellan gate --json",
            "./target/release/magellan gate --json",
            "A=1 sudo -E timeout 60 magellan gate --json",
            "sudo -u runner magellan gate --json",
            "cargo run --release --locked -- gate --json",
            "cargo run --bin magellan -- gate --json",
            "cargo run -p deployable_strategies --features aws -- gate --json",
            "cargo +nightly r --manifest-path ./Cargo.toml -- gate --json",
            "\"$BIN/magellan\" gate --json",
        ] {
            assert_eq!(called(text).as_deref(), Some("gate --json"), "{text}");
        }
        for text in [
            "echo magellan gate",
            "cargo test -- gate",
            "magellan-gate",
            "command -v magellan",
            "cargo run -p xtask -- gate",
            "cargo run --package=xtask -- gate",
            "cargo run --bin other -- gate",
            "cargo run --bin=other -- gate",
            "cargo run --example magellan -- gate",
            "cargo run --manifest-path tools/Cargo.toml -- gate",
            "cargo run -p deployable_strategies --bin other -- gate",
        ] {
            assert_eq!(called(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_too_much_is_not_read() {
        for text in [
            "( ".repeat(200),
            "${x:-".repeat(200),
            "time ".repeat(200),
            "coproc ".repeat(200),
            "<<a ".repeat(200),
            "x ".repeat(60_000),
            "if".to_owned(),
            "a=$(( magellan gate ) )".to_owned(),
        ] {
            assert!(parse(&text).is_err(), "{}", &text[..text.len().min(20)]);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(\\PC|[\n\t\\\\'\"$`(){}<>&|;#! ]){0,120}") {
            if let Ok(script) = parse(&text) {
                script.all();
            }
        }
    }
}
