//! The command line: arguments (typed) → options (meant) → run.

mod address_space;
#[cfg(feature = "deploy")]
mod announcements;
mod backtest;
mod bars;
#[cfg(feature = "deploy")]
mod bundle;
mod ci;
mod code;
mod completions;
#[cfg(feature = "live")]
mod dashboard;
mod data;
mod declared;
#[cfg(feature = "deploy")]
mod deploy;
#[cfg(feature = "deploy")]
mod destination;
mod engine;
mod explain;
#[cfg(feature = "live")]
mod fetch;
mod findings;
mod gate;
mod help;
mod holdout;
#[cfg(feature = "deploy")]
mod host;
mod imported;
mod init;
mod interrupt;
#[cfg(feature = "deploy")]
mod keys;
mod ledger;
mod ledger_import;
mod list;
#[cfg(feature = "live")]
mod live;
mod new;
#[cfg(feature = "deploy")]
mod notify;
mod options;
mod output;
#[cfg(feature = "deploy")]
mod owner;
mod page;
#[cfg(feature = "live")]
mod parity;
mod programs;
mod project;
mod registration;
#[cfg(feature = "live")]
mod released;
mod replay;
mod research;
mod rules;
#[cfg(feature = "live")]
mod run;
mod selftest;
mod stdout;
mod sweep;
mod template;
mod test;
#[cfg(feature = "deploy")]
mod upkeep;
mod validate;
mod verdict;
mod walk_forward;

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Instant;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use magellan::archive::hide_caught_panics;
use magellan::error::{Error, Result};
use magellan::registry::AnyStrategy;

use crate::codes;

/// From a strategy to a live service, so that green means something.
///
/// Results go to stdout, everything else to stderr.
///
/// Exit codes: 0 passed; 1 gate failed; 2 usage or config; 3 data missing or corrupt;
/// 4 inconclusive; 5 deploy failed, the former release runs; 6 deploy failed, not rolled back;
/// 7 health check failed; 8 refused; 130 interrupted.
#[derive(Parser, Debug)]
#[command(name = "magellan", version, max_term_width = 100)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Make a repository of your own that depends on Magellan.
    ///
    /// It has a strategy with config and unit, environments, a workflow, and a synthetic archive to begin with. Nothing
    /// is committed, and nothing that is there is replaced. --engine says where Magellan comes from:
    ///
    ///   path:DIR     a checkout on this machine, to try it
    ///
    ///   git:URL@REV  a commit, tag or branch of a git repository, for CI and colleagues
    ///
    ///   VERSION      a published version
    Init(init::Init),
    /// Add a strategy: its code, config and unit.
    ///
    /// Symbols and period are those that the archive has bars of. Nothing that is there is replaced.
    New(new::New),
    /// List the strategies, and what is deployed here.
    List(list::List),
    /// Import, list and synthesise archived bars.
    Data {
        #[command(subcommand)]
        command: data::Data,
    },
    /// Check every deployed config and unit, alone, against each other and the archive.
    ///
    /// Everything that is wrong is listed in one run. Exit 2: a config, unit or the code is
    /// wrong; 3: the archive lacks what the configs need.
    Validate(validate::Validate),
    /// Check the workflows that validate, judge and deploy.
    Ci {
        #[command(subcommand)]
        command: ci::Ci,
    },
    /// Run stages 1 and 2 of the pipeline, as the workflow does.
    ///
    /// Exit code: that of the first command that fails. Stage 2, the gate, is only run if stage 1 passed.
    Test(test::Test),
    /// Print what a shell needs to complete commands and options.
    Completions(completions::Completions),
    /// Print the JSON Schema of config.json, for editors.
    Schema(validate::Schema),
    /// Explain an error by its code, or list all.
    Explain(explain::Explain),
    /// Check and explain strategies that are written as rules, without code.
    Rules {
        #[command(subcommand)]
        command: rules::Rules,
    },
    /// Replay one strategy over archived bars.
    Backtest(backtest::Backtest),
    /// Replay a file of orders, written by any program, over archived bars.
    ///
    /// Exit 2: the file has errors; all of them are listed with their lines, and nothing is written.
    Replay(Box<replay::Replay>),
    /// Replay one strategy at many points of its parameters.
    ///
    /// Every point counts as a trial in the ledger before its result is seen. With --out the
    /// sweep can be killed and the same command goes on; the results are the same bytes.
    #[command(args_conflicts_with_subcommands = true)]
    Sweep(sweep::Sweep),
    /// Choose parameters on some sessions and judge them on others.
    ///
    /// Every point counts as a trial in the ledger. What is shown as out-of-sample had no part in
    /// the choice.
    WalkForward(walk_forward::WalkForward),
    /// Set sessions aside that only the gate may look at.
    Holdout {
        #[command(subcommand)]
        command: holdout::HoldoutCommand,
    },
    /// Show and verify the ledger of trials, and import those counted elsewhere.
    Ledger {
        #[command(subcommand)]
        command: ledger::LedgerCommand,
    },
    /// Judge every deployed strategy by its performance criteria.
    Gate(Box<gate::Options>),
    /// Run one strategy as its unit does: on an Alpaca account, or on archived bars.
    ///
    /// It trades Alpaca's SIP bars on a paper account. In a release the keys come from SSM Parameter Store, in a checkout
    /// from APCA_API_KEY_ID and APCA_API_SECRET_KEY. SIGTERM ends it with 0, SIGINT with 130; positions stay, with their
    /// stops at the broker.
    ///
    /// With USE_ARCHIVED_DATA=true it runs over archived bars, with a simulated broker. At the end of the data it waits,
    /// as between sessions.
    #[cfg(feature = "live")]
    Run(Box<run::Run>),
    /// Compare the broker's orders and positions with a service's journal. Exit 7 if they differ.
    ///
    /// A service halts when they differ, and stays so until a person accepts what the broker has: --accept WHO WHY. Orders
    /// of the service's that work there are cancelled then, and placed anew when it starts.
    #[cfg(feature = "live")]
    Reconcile(live::Reconcile),
    /// Replay a day that a service traded, decision by decision. Exit 1 if it differs.
    ///
    /// The bars as they were decided on, and the broker's executions, are shown to the same strategy again: each decision
    /// must be the same. What executions cost beyond a replay's prices, orders that weren't filled and latency are figures
    /// of their own, with limits. The result is kept in the folder of state, where health finds it.
    #[cfg(feature = "live")]
    Parity(parity::ParityOptions),
    /// Test whether a service earns what its verdict expects. Exit 7 if it doesn't.
    ///
    /// It may be looked at every day: the chance of ever alarming while the expectation holds stays below --alpha.
    #[cfg(feature = "live")]
    Monitor(parity::MonitorOptions),
    /// Show services on a page that can only be looked at.
    ///
    /// It prints its address and serves until Ctrl-C. It reads the folders of state, and writes nothing.
    #[cfg(feature = "live")]
    Dashboard(dashboard::Dashboard),
    /// Tell a service to open no positions, or to sell everything.
    ///
    /// It writes the file `kill` into the service's folder of state; whoever can't run Magellan can do the same.
    #[cfg(feature = "live")]
    Kill(live::Kill),
    /// Check a verdict.
    Verdict {
        #[command(subcommand)]
        command: verdict::VerdictCommand,
    },
    /// Make keys, sign verdicts and what was accepted, and check who has signed.
    #[cfg(feature = "deploy")]
    Keys {
        #[command(subcommand)]
        command: keys::Keys,
    },
    /// Record what is deployed, to compare candidates with.
    Baseline {
        #[command(subcommand)]
        command: verdict::BaselineCommand,
    },
    /// Roll out what was judged, observe it, and go back if it isn't well.
    ///
    /// Exit 5: it failed, and the former release runs; 6: it failed, and what runs isn't known to
    /// be well; 8: refused, nothing was touched.
    #[cfg(feature = "deploy")]
    Deploy(Box<deploy::Deploy>),
    /// Go back to an earlier release, with its configs and units.
    #[cfg(feature = "deploy")]
    Rollback(deploy::Rollback),
    /// Show what runs where, since when, judged by which verdict. Exit 8 if something drifted.
    #[cfg(feature = "deploy")]
    Status(destination::Destination),
    /// Observe the services. Exit 7 if one isn't well.
    #[cfg(feature = "deploy")]
    Health(host::Health),
    /// Watch the services for a while. Exit 7 with the first thing that is wrong.
    #[cfg(feature = "deploy")]
    Watch(host::WatchOptions),
    /// Print what a strategy's service has logged.
    #[cfg(feature = "deploy")]
    Logs(host::Logs),
    /// List what was rolled out.
    #[cfg(feature = "deploy")]
    Releases(destination::Destination),
    /// Remove old releases and histories from the host. What runs and what ran before stay.
    #[cfg(feature = "deploy")]
    Prune(upkeep::Prune),
    /// Check the host and make it ready, or print the policy that a deployer needs.
    #[cfg(feature = "deploy")]
    Doctor {
        #[command(subcommand)]
        command: upkeep::Doctor,
    },
    /// Notify Slack and Discord.
    ///
    /// The addresses of their webhooks are credentials: files `slack-webhook` and `discord-webhook` in the folder that
    /// CREDENTIALS_DIRECTORY names, or MAGELLAN_SLACK_WEBHOOK and MAGELLAN_DISCORD_WEBHOOK. What can't be delivered
    /// now waits in the outbox, for a day.
    #[cfg(feature = "deploy")]
    Notify {
        #[command(subcommand)]
        command: notify::Notify,
    },
    /// Make and check bundles.
    #[cfg(feature = "deploy")]
    Bundle {
        #[command(subcommand)]
        command: bundle::BundleCommand,
    },
}

/// Runs the binary for the given strategies.
pub fn main(strategies: &[&dyn AnyStrategy]) -> ExitCode {
    let started = Instant::now();
    hide_caught_panics();
    ExitCode::from(answer(std::env::args_os(), strategies, started))
}

/// The command line's grammar.
fn grammar() -> clap::Command {
    help::grouped(Args::command())
}

/// Answers one command line; the exit code.
fn answer(words: impl IntoIterator<Item = OsString>, strategies: &[&dyn AnyStrategy], started: Instant) -> u8 {
    let words: Vec<OsString> = words.into_iter().collect();
    if words.len() < 2 {
        // Nothing asked is how a newcomer asks what there is.
        let _ = grammar().print_help();
        return 0;
    }
    let args = match grammar().try_get_matches_from(&words).and_then(|matches| Args::from_arg_matches(&matches)) {
        Ok(args) => args,
        Err(err) if err.use_stderr() => return report(&command_line(&err)),
        Err(help) => {
            let _ = help.print();
            return 0;
        }
    };
    let declared = declared::strategies(&words);
    // What a config declares isn't looked up in code.
    let in_code = strategies.iter().copied().filter(|one| declared.iter().all(|other| other.name() != one.name()));
    let all: Vec<&dyn AnyStrategy> = in_code.chain(declared.iter().copied()).collect();
    run(args.command, &all, started).unwrap_or_else(|err| report(&err))
}

fn run(command: Command, strategies: &[&dyn AnyStrategy], started: Instant) -> Result<u8> {
    match command {
        Command::Init(options) => init::run(&options),
        Command::New(options) => new::run(&options, strategies),
        Command::List(options) => list::run(&options, strategies),
        Command::Test(options) => test::run(&options, |asked| {
            let words = std::iter::once("magellan".into()).chain(asked.iter().map(OsString::from));
            answer(words, strategies, started)
        }),
        Command::Completions(options) => completions::run(&options, grammar()),
        Command::Data { command } => data::run(command, strategies),
        Command::Validate(options) => validate::run(&options, strategies),
        Command::Ci { command } => ci::run(&command),
        Command::Schema(options) => validate::schema(&options, strategies),
        Command::Explain(options) => explain::run(&options),
        Command::Replay(options) => replay::run(&options),
        Command::Rules { command } => rules::run(&command),
        Command::Backtest(options) => backtest::run(&options, strategies, started),
        Command::Sweep(options) => sweep::run(&options, strategies, started),
        Command::WalkForward(options) => walk_forward::run(&options, strategies),
        Command::Holdout { command } => holdout::run(&command, strategies),
        Command::Ledger { command } => ledger::run(command, strategies),
        #[cfg(feature = "live")]
        Command::Run(options) => run::run(&options, strategies),
        #[cfg(feature = "live")]
        Command::Reconcile(options) => live::reconcile(&options, strategies),
        #[cfg(feature = "live")]
        Command::Parity(options) => parity::parity(&options, strategies),
        #[cfg(feature = "live")]
        Command::Dashboard(options) => dashboard::run(options),
        #[cfg(feature = "live")]
        Command::Monitor(options) => parity::monitor(&options, strategies),
        #[cfg(feature = "live")]
        Command::Kill(options) => live::kill(&options),
        Command::Gate(options) => gate::run(&options, strategies, started),
        Command::Verdict { command } => verdict::run(command, strategies),
        #[cfg(feature = "deploy")]
        Command::Keys { command } => keys::run(&command, strategies),
        Command::Baseline { command } => verdict::baseline(command),
        #[cfg(feature = "deploy")]
        Command::Deploy(options) => deploy::run(*options, strategies),
        #[cfg(feature = "deploy")]
        Command::Rollback(options) => deploy::rollback(&options),
        #[cfg(feature = "deploy")]
        Command::Status(to) => host::status(&to),
        #[cfg(feature = "deploy")]
        Command::Health(options) => host::health(&options),
        #[cfg(feature = "deploy")]
        Command::Releases(to) => host::releases(&to),
        #[cfg(feature = "deploy")]
        Command::Watch(options) => host::watch(&options),
        #[cfg(feature = "deploy")]
        Command::Logs(options) => host::logs(&options),
        #[cfg(feature = "deploy")]
        Command::Prune(options) => upkeep::prune(&options),
        #[cfg(feature = "deploy")]
        Command::Doctor { command } => upkeep::doctor(&command),
        #[cfg(feature = "deploy")]
        Command::Notify { command } => notify::run(&command),
        #[cfg(feature = "deploy")]
        Command::Bundle { command } => bundle::run(&command),
    }
}

/// Clap's message as an error of ours; its usage lines are the suggestion.
fn command_line(err: &clap::Error) -> Error {
    let text = err.to_string();
    let text = text.trim().trim_start_matches("error: ");
    let (what, help) = text.split_once("\n\n").unwrap_or((text, ""));
    let code = match err.kind() {
        clap::error::ErrorKind::ValueValidation | clap::error::ErrorKind::InvalidValue => codes::BAD_ARGUMENT,
        _ => codes::COMMAND_LINE,
    };
    let help = help.trim().replace("\n\n", "\n");
    if help.is_empty() { Error::new(code, what) } else { Error::new(code, what).help(help) }
}

/// An error for people: what, and what to try.
fn report(err: &Error) -> u8 {
    eprintln!("error[{}]: {err}\n  try: {}", err.code().slug(), err.suggestion());
    err.exit_code()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::{Args, grammar, help};

    #[test]
    fn the_help_lists_every_command_once() {
        help::tests::lists_each_once(&Args::command());
    }

    #[test]
    fn the_grammar_contradicts_itself_nowhere() {
        grammar().debug_assert();
    }
}
