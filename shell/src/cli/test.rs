//! `magellan test`: stages 1 and 2 of the pipeline, as the workflow runs them.

use std::time::{Duration, Instant};

use clap::Args;
use magellan::error::Result;

use super::output::print;
use crate::report::table;

#[derive(Args, Debug)]
pub(super) struct Test {
    /// Judge this strategy only.
    #[arg(long)]
    pub(super) strategy: Option<String>,
    /// Print the commands, and run none.
    #[arg(long)]
    pub(super) list: bool,
}

/// A command of the pipeline: its stage, and what `magellan` is asked.
struct Step {
    stage: u8,
    asked: &'static str,
}

/// The workflow's commands in its order. A test holds the two to each other.
const STEPS: [Step; 5] = [
    Step { stage: 1, asked: "ci lint" },
    Step { stage: 1, asked: "validate --code" },
    Step { stage: 1, asked: "gate selftest" },
    Step { stage: 1, asked: "ledger verify" },
    Step { stage: 2, asked: "gate" },
];

/// Runs them through `ask`, which answers a command line with its exit code. A stage that failed keeps the next from
/// being run, as in the pipeline; its own commands all run, so that everything wrong is seen at once.
pub(super) fn run(options: &Test, ask: impl Fn(&[String]) -> u8) -> Result<u8> {
    if options.list {
        let lines: String = STEPS.iter().map(|step| format!("magellan {}\n", step.words(options).join(" "))).collect();
        print(&lines)?;
        return Ok(0);
    }
    let mut done: Vec<(String, Option<(u8, Duration)>)> = Vec::new();
    for step in &STEPS {
        let words = step.words(options);
        let shown = format!("magellan {}", words.join(" "));
        let failed_before = done
            .iter()
            .zip(&STEPS)
            .any(|((_, result), former)| former.stage < step.stage && result.is_none_or(|(exit, _)| exit != 0));
        let result = (!failed_before).then(|| {
            eprintln!("\n== {shown}");
            let started = Instant::now();
            (ask(&words), started.elapsed())
        });
        done.push((shown, result));
    }
    let exit = done.iter().filter_map(|(_, result)| result.map(|(exit, _)| exit)).find(|exit| *exit != 0).unwrap_or(0);
    print(&summary(&done, exit))?;
    Ok(exit)
}

impl Step {
    fn words(&self, options: &Test) -> Vec<String> {
        let mut words: Vec<String> = self.asked.split(' ').map(str::to_owned).collect();
        if let Some(strategy) = options.strategy.as_ref().filter(|_| self.stage == 2) {
            words.extend(["--strategy".to_owned(), strategy.clone()]);
        }
        words
    }
}

fn summary(done: &[(String, Option<(u8, Duration)>)], exit: u8) -> String {
    let mut table = table::table(["stage", "command", "result", "seconds"]);
    for ((shown, result), step) in done.iter().zip(&STEPS) {
        let (outcome, seconds) = match result {
            None => ("not run: stage 1 failed".to_owned(), String::new()),
            Some((exit, took)) => {
                let outcome = if *exit == 0 { "passed".to_owned() } else { format!("exit {exit}") };
                (outcome, format!("{:.1}", took.as_secs_f64()))
            }
        };
        table.add_row([step.stage.to_string(), shown.clone(), outcome, seconds]);
    }
    let verdict = if exit == 0 { "all passed" } else { "failed" };
    format!("\n{table}\ntest: {verdict} (exit {exit})\n")
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    const ALL: Test = Test { strategy: None, list: false };

    #[test]
    fn a_stage_runs_whole_and_only_behind_one_that_passed() {
        for (fails, exit, asked) in [("", 0, 5), ("validate", 2, 4), ("ledger", 3, 4), ("ci", 2, 4)] {
            let seen = RefCell::new(Vec::new());
            let ask = |words: &[String]| {
                seen.borrow_mut().push(words.join(" "));
                if words[0] == fails { exit } else { 0 }
            };
            assert_eq!(run(&ALL, ask).map_err(|e| e.to_string()), Ok(exit), "{fails}");
            assert_eq!(seen.borrow().len(), asked, "{fails}");
        }
    }

    #[test]
    fn the_first_failure_gives_the_exit_code() {
        let ask = |words: &[String]| u8::from(words[0] == "gate") * 4 + u8::from(words[0] == "ci") * 2;
        assert_eq!(run(&ALL, ask).map_err(|e| e.to_string()), Ok(2));
    }
}
