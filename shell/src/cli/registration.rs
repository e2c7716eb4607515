//! The list of strategies in a `lib.rs`, with one more. What isn't written as expected is left alone.

use std::ops::Range;

/// The text with the module and its entry in `ALL`; or why it can't be extended safely.
pub(super) fn register(text: &str, name: &str, type_name: &str) -> Result<String, &'static str> {
    let module = format!("pub mod {name};\n");
    let is_module = |line: &&str| line.starts_with("pub mod ") && line.trim_end().ends_with(';');
    if text.lines().any(|line| line.trim() == module.trim()) {
        return Err("the module is declared already");
    }
    let mut at = 0;
    let mut behind_modules = None;
    for line in text.split_inclusive('\n') {
        at += line.len();
        if is_module(&line) && line.ends_with('\n') {
            behind_modules = Some(at);
        }
    }
    let behind_modules = behind_modules.ok_or("no line is `pub mod NAME;`")?;
    let list = list(text)?;
    if list.start < behind_modules {
        return Err("`ALL` stands before the modules");
    }
    let entry = entry(name, type_name);
    let separated = is_empty_or_ends_in_comma(&text[list.clone()]);
    // Behind a comment's end a comma would be a part of it.
    let comma = match separated {
        true => "",
        false if text[list.clone()].contains("//") => return Err("the last entry of `ALL` has no comma"),
        false => ",",
    };
    let inside = text[list.clone()].trim_end();
    Ok(format!(
        "{}{module}{}{inside}{comma}\n    {entry},\n{}",
        &text[..behind_modules],
        &text[behind_modules..list.start],
        &text[list.end..],
    ))
}

/// What to add where, for people.
pub(super) fn by_hand(name: &str, type_name: &str) -> String {
    format!(
        "nothing was written. Add `pub mod {name};` and, in ALL, `{}`, with the strategy's code in {name}.rs",
        entry(name, type_name)
    )
}

fn entry(name: &str, type_name: &str) -> String {
    format!("&Entry::<{name}::{type_name}>::NEW")
}

/// What stands between the brackets of `pub const ALL: … = &[…];`.
fn list(text: &str) -> Result<Range<usize>, &'static str> {
    let mut found = text.match_indices("\npub const ALL:");
    let (Some((at, _)), None) = (found.next(), found.next()) else {
        return Err("there is not exactly one `pub const ALL: … = &[…];`");
    };
    if !text.contains("Entry") {
        return Err("`magellan::registry::Entry` is not imported");
    }
    let start = text[at..].find("= &[").ok_or("`ALL` is not written as `= &[…];`")? + at + 4;
    let end = text[start..].find("];").ok_or("`ALL` is not written as `= &[…];`")? + start;
    if text[at..start].contains(';') || text[start..end].contains(['[', '{', '"']) {
        return Err("`ALL` holds more than entries");
    }
    Ok(start..end)
}

fn is_empty_or_ends_in_comma(list: &str) -> bool {
    let code: String = list.lines().map(|line| line.split("//").next().unwrap_or_default()).collect();
    matches!(code.trim_end().chars().next_back(), None | Some(','))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "//! All.\n\nuse magellan::registry::{AnyStrategy, Entry};\n\npub mod a;\n\n/// Every one.\n\
                       pub const ALL: &[&dyn AnyStrategy] = &[&Entry::<a::A>::NEW];\n";

    #[test]
    fn a_module_and_an_entry_are_added_and_nothing_else_changes() {
        let two = register(ONE, "b", "B").expect("registered");
        assert!(two.contains("pub mod a;\npub mod b;\n"), "{two}");
        assert!(two.contains("&[&Entry::<a::A>::NEW,\n    &Entry::<b::B>::NEW,\n];"), "{two}");
        let three = register(&two, "c_d", "CD").expect("registered");
        assert!(three.contains("    &Entry::<b::B>::NEW,\n    &Entry::<c_d::CD>::NEW,\n];\n"), "{three}");
        let without = |text: &str| {
            text.lines().filter(|line| !line.contains("b;") && !line.contains("b::")).collect::<Vec<_>>().concat()
        };
        assert_eq!(without(&two).replace("NEW,];", "NEW];"), without(ONE));
    }

    #[test]
    fn a_list_that_is_empty_or_holds_comments_takes_an_entry() {
        for list in ["&[]", "&[\n]", "&[\n    // One a line.\n]", "&[\n    &Entry::<a::A>::NEW, // The first.\n]"] {
            let text = ONE.replace("&[&Entry::<a::A>::NEW]", list);
            let done = register(&text, "b", "B").expect(list);
            assert!(done.contains("\n    &Entry::<b::B>::NEW,\n];\n"), "{done}");
            assert_eq!(done.matches("//").count(), text.matches("//").count(), "{done}");
        }
    }

    #[test]
    fn what_is_written_otherwise_is_left_alone() {
        for (from, to) in [
            ("pub mod a;", "mod a;"),
            ("pub const ALL", "const ALL"),
            ("pub const ALL", "pub static ALL"),
            ("= &[", "= list![&["),
            ("= &[", "= all(); const OTHER: &[u8] = &["),
            ("&Entry::<a::A>::NEW", "&{ Entry::<a::A>::NEW }"),
            ("[&Entry::<a::A>::NEW]", "[\n    &Entry::<a::A>::NEW // The last.\n]"),
            ("use magellan::registry::{AnyStrategy, Entry};", "use magellan::registry::AnyStrategy;"),
            ("pub mod a;", "pub mod a;\npub mod b;"),
        ] {
            let text = ONE.replace(from, to);
            let text = if to.ends_with("AnyStrategy;") { text.replace("Entry", "E") } else { text };
            assert!(register(&text, "b", "B").is_err(), "{text}");
        }
        assert!(register("", "b", "B").is_err());
    }
}
