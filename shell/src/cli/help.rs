//! `magellan --help`: the commands in groups, by what somebody is at, and examples.

use std::fmt::Write as _;

use clap::Command;

/// The groups, each with its commands in the order of their use. Those of a feature that isn't built are passed over.
const GROUPS: [(&str, &[&str]); 4] = [
    ("Begin", &["init", "new", "list", "data"]),
    ("Research", &["rules", "backtest", "replay", "sweep", "walk-forward", "ledger", "holdout"]),
    ("Judge", &["validate", "gate", "verdict", "keys", "baseline", "ci", "test"]),
    (
        "Deploy",
        &[
            "run",
            "reconcile",
            "parity",
            "monitor",
            "dashboard",
            "kill",
            "deploy",
            "rollback",
            "status",
            "health",
            "watch",
            "logs",
            "releases",
            "prune",
            "doctor",
            "notify",
            "bundle",
        ],
    ),
];

/// What is left.
const OTHER: (&str, &[&str]) = ("Other", &["explain", "schema", "completions", "help"]);

const EXAMPLES: &str = "\
Examples:
  magellan init my-strategies --engine path:../magellan
  magellan backtest --strategy NAME --start-date 2018-01-02 --end-date 2025-12-31
  magellan sweep --strategy NAME --start-date 2018-01-02 --end-date 2025-12-31 --grid rsi_period=5..14
  magellan gate --strategy NAME --out gate

`magellan help COMMAND` tells more of one, `magellan explain CODE` more of an error.";

/// The command with its commands shown in groups.
pub(super) fn grouped(command: Command) -> Command {
    let mut groups = String::new();
    for (title, names) in GROUPS.iter().chain([&OTHER]) {
        let known = names.iter().filter_map(|name| Some((*name, about(&command, name)?)));
        let lines: String = known.map(|(name, about)| format!("  {name:<14}{about}\n")).collect();
        if !lines.is_empty() {
            let _ = write!(groups, "{title}:\n{lines}\n");
        }
    }
    let template =
        format!("{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{groups}Options:\n{{options}}\n{{after-help}}");
    command.help_template(template).after_help(EXAMPLES)
}

fn about(command: &Command, name: &str) -> Option<String> {
    // Clap adds this one itself, later.
    if name == "help" {
        return Some("Print this, or the help of a command".to_owned());
    }
    let about = command.find_subcommand(name)?.get_about()?.to_string();
    // Its first sentence; the command's own help tells more.
    Some(about.split(". ").next()?.trim_end_matches('.').to_owned())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Every command of `command` stands in one group, once.
    pub(in crate::cli) fn lists_each_once(command: &Command) {
        let grouped: Vec<&str> = GROUPS.iter().chain([&OTHER]).flat_map(|(_, names)| names.iter().copied()).collect();
        for name in command.get_subcommands().map(Command::get_name) {
            assert_eq!(grouped.iter().filter(|known| **known == name).count(), 1, "{name}");
        }
    }
}
