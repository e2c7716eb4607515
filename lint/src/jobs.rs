//! The jobs of a workflow and their steps.

use super::expressions::normalized;
use super::findings::Findings;
use super::shell::{self, Script, ShellOptions, Unreadable};
use super::yaml::{Key, Node};
use crate::codes;

/// The stage's job, and its command.
pub(super) const DEPLOY: &str = "deploy";

/// A job and its steps.
pub(super) struct Job<'a> {
    pub(super) key: &'a Key,
    pub(super) node: &'a Node,
    pub(super) steps: Vec<Step<'a>>,
}

/// A step.
pub(super) struct Step<'a> {
    pub(super) node: &'a Node,
    /// `jobs.gate.steps[2]`
    pub(super) subject: String,
    /// Its script, if it has one.
    pub(super) run: Option<&'a Node>,
    /// The `shell` that applies to it: its own, the job's or the workflow's.
    pub(super) shell: Option<&'a Node>,
    /// Its script, read.
    parsed: Option<Result<Script, Unreadable>>,
    /// Whether the job's machine has another shell for scripts that name none.
    windows: bool,
}

impl Job<'_> {
    pub(super) fn id(&self) -> &str {
        &self.key.name
    }

    pub(super) fn subject(&self) -> String {
        format!("jobs.{}", self.key.name)
    }
}

impl Step<'_> {
    pub(super) fn script(&self) -> Option<&str> {
        self.run?.text()
    }

    /// How its shell treats failures; `None` if the script is for something else than bash and sh.
    pub(super) fn shell_options(&self) -> Option<ShellOptions> {
        let words: Vec<&str> = self.shell.and_then(Node::text).unwrap_or_default().split_whitespace().collect();
        let Some(program) = words.first() else {
            return (!self.windows).then_some(ShellOptions { errexit: true, pipefail: false, bash: true });
        };
        // What stands behind the script, or around it, may do anything with its exit code.
        if words.len() > 1 && (words.last() != Some(&"{0}") || words.contains(&"-c")) {
            return None;
        }
        // GitHub adds its own options to a shell that is named without any.
        let alone = words.len() < 2;
        let is_flag = |word: &&str| word.starts_with('-') && !word.starts_with("--");
        let named = |option| words.contains(&option);
        let errexit =
            alone || named("errexit") || words.iter().filter(|word| is_flag(word)).any(|word| word.contains('e'));
        let pipefail = named("pipefail");
        match shell::base(program) {
            "bash" => Some(ShellOptions { errexit, pipefail: alone || pipefail, bash: true }),
            "sh" | "dash" => Some(ShellOptions { errexit, pipefail, bash: false }),
            _ => None,
        }
    }

    /// Its script as a tree, or why it can't be read as one.
    pub(super) fn parsed(&self) -> Option<&Result<Script, Unreadable>> {
        self.parsed.as_ref()
    }

    fn readable(&self) -> Option<&Script> {
        self.parsed.as_ref()?.as_ref().ok()
    }

    /// Whether it runs `magellan` at all.
    pub(super) fn runs_magellan(&self) -> bool {
        self.readable().is_some_and(|script| script.all().iter().any(|s| s.magellan().is_some()))
    }

    /// Whether its script so much as names `magellan`.
    pub(super) fn names_magellan(&self) -> bool {
        self.script().is_some_and(|script| script.contains("magellan"))
    }

    /// Whether it runs `magellan COMMAND` as a stage does.
    pub(super) fn runs(&self, command: &str) -> bool {
        self.calls().iter().any(|arguments| is_stage(command, arguments))
    }

    /// The arguments of each `magellan` that it runs.
    pub(super) fn calls(&self) -> Vec<Vec<&str>> {
        let all = self.readable().map(Script::all).unwrap_or_default();
        all.iter().filter_map(|s| s.magellan()).collect()
    }

    /// Whether it only brings rollouts to their end, and is content if there is none.
    pub(super) fn resumes(&self) -> bool {
        let is_resume = |call: &Vec<&str>| call.starts_with(&["deploy", "resume"]) && call.contains(&"--if-unfinished");
        let calls = self.calls();
        !calls.is_empty() && calls.iter().all(is_resume)
    }
}

/// Names in `needs`.
pub(super) fn needs<'a>(job: &Job<'a>) -> Vec<&'a str> {
    let Some(needs) = job.node.get("needs") else { return Vec::new() };
    needs.text().into_iter().chain(needs.items().iter().filter_map(Node::text)).collect()
}

/// Whether these arguments of `magellan` run `command` as a stage does: not to list, help or run a subcommand.
pub(super) fn is_stage(command: &str, arguments: &[&str]) -> bool {
    let Some((first, rest)) = arguments.split_first() else { return false };
    let idle = |argument: &&str| ["--list", "--dry-run", "--help", "-h"].contains(argument);
    *first == command && rest.first().is_none_or(|a| a.starts_with('-')) && !rest.iter().any(idle)
}

/// The jobs of a workflow. Whatever isn't a job or a step is a finding.
pub(super) fn jobs<'a>(root: &'a Node, findings: &mut Findings<'_>) -> Option<Vec<Job<'a>>> {
    let Some((key, jobs)) = root.entry("jobs") else {
        findings.error(codes::WORKFLOW_SYNTAX, 0..0, "", "a workflow needs a map with the key `jobs`");
        return None;
    };
    if jobs.entries().is_empty() {
        findings.error(codes::WORKFLOW_SYNTAX, key.at.clone(), "jobs", "`jobs` must be a map of jobs");
        return None;
    }
    let shell = shell_of(root);
    Some(jobs.entries().iter().map(|(key, node)| job(key, node, shell, findings)).collect())
}

fn shell_of(node: &Node) -> Option<&Node> {
    node.get("defaults")?.get("run")?.get("shell")
}

fn job<'a>(key: &'a Key, node: &'a Node, shell: Option<&'a Node>, findings: &mut Findings<'_>) -> Job<'a> {
    let subject = format!("jobs.{}", key.name);
    let shell = shell_of(node).or(shell);
    let items = node.get("steps").map_or(&[][..], Node::items);
    if items.is_empty() && node.get("uses").is_none() {
        findings.error(
            codes::WORKFLOW_SYNTAX,
            key.at.clone(),
            &subject,
            format!("the job `{}` has no list of steps", key.name),
        );
    }
    let windows = node.text_at("runs-on").is_some_and(|machine| machine.starts_with("windows"));
    let steps = items.iter().enumerate().map(|(i, node)| {
        let subject = format!("{subject}.steps[{i}]");
        let run = node.get("run");
        if !(run.is_some_and(|r| r.text().is_some()) || run.is_none() && node.text_at("uses").is_some()) {
            findings.error(
                codes::WORKFLOW_SYNTAX,
                node.at.clone(),
                &subject,
                "a step needs a text at `run` or at `uses`",
            );
        }
        let parsed = run.and_then(Node::text).map(shell::parse);
        Step { node, subject, run, shell: node.get("shell").or(shell), parsed, windows }
    });
    let steps = steps.collect();
    Job { key, node, steps }
}

/// The condition of a job in lower case, without white space, the parentheses around it, and the `success()` that
/// GitHub asks for anyway.
pub(super) fn plain_condition(job: &Job<'_>) -> Option<String> {
    let condition = normalized(job.node.get("if")?);
    let condition = unwrapped(&condition);
    Some(unwrapped(condition.strip_prefix("success()&&").unwrap_or(condition)).to_owned())
}

/// Without parentheses around all of it.
pub(super) fn unwrapped(text: &str) -> &str {
    let Some(inside) = text.strip_prefix('(').and_then(|text| text.strip_suffix(')')) else { return text };
    let mut depth = 0_i64;
    let closes = inside.chars().any(|c| {
        depth += i64::from(c == '(') - i64::from(c == ')');
        depth < 0
    });
    if closes { text } else { inside }
}
