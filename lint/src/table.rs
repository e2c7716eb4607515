//! The table of branches and environments: the one place that says whether a run deploys, and where to.
//!
//! It is a step with a plain `case` over event and ref, in a job that `deploy` needs, and an output of that job. What
//! deploys, and what holds that to success, asks for this output and for nothing else.

use std::ops::Range;

use super::expressions::{self, is_regardless, normalized};
use super::findings::Findings;
use super::jobs::{self, DEPLOY, Job, Step, needs};
use super::shell::{Assigned, HIDDEN, Node as Shell, Part, Pattern, Redirect, Script, Simple, Statement, Word};
use super::yaml::{Node, placed};
use crate::codes;

/// What the table is about: `push:refs/heads/main`.
const ASKED: [&str; 2] = ["GITHUB_EVENT_NAME", "GITHUB_REF"];
/// The environment of which the linter knows that it trades, and the branches that deploy to it.
const PRODUCTION: (&str, &str) = ("production", "deployment/");

/// A line of the table: what it is for, and the environment.
struct Row<'a> {
    patterns: &'a [Pattern],
    environment: Named<'a>,
    /// Where the environment stands in the script.
    at: &'a Range<usize>,
}

#[derive(PartialEq)]
enum Named<'a> {
    /// This one; an empty text for none.
    Text(String),
    /// That of a variable, which somebody chose.
    Variable(&'a str),
}

/// The table's step, and the expression by which jobs ask for its answer.
struct Table<'a, 'b> {
    job: &'b Job<'a>,
    step: &'b Step<'a>,
    /// The step's output.
    output: String,
    answer: String,
}

/// Holds a workflow to its table; with the expression that stands for its answer, if there is a table.
pub(super) fn examine(root: &Node, jobs: &[Job<'_>], deploy: &Job<'_>, findings: &mut Findings<'_>) -> Option<String> {
    let Some(answer) = answer(deploy) else {
        has_none(deploy, findings);
        return None;
    };
    match find(jobs, deploy, answer) {
        Ok(table) => {
            rows_are_safe(root, &table, findings);
            jobs.iter().for_each(|job| asks_the_table(job, &table, findings));
            Some(table.answer)
        }
        Err((at, what)) => {
            findings.error(codes::DEPLOY_TABLE, at, &deploy.subject(), what);
            None
        }
    }
}

// ---- where it is ----

/// The expression whose value decides whether the job deploys: `needs.validate.outputs.environment`.
fn answer(deploy: &Job<'_>) -> Option<String> {
    let is_answer = |text: &&str| matches!(text.split('.').collect::<Vec<_>>()[..], ["needs", _, "outputs", _]);
    let condition = jobs::plain_condition(deploy)?;
    condition.strip_suffix("!=''").filter(is_answer).map(str::to_owned)
}

fn has_none(deploy: &Job<'_>, findings: &mut Findings<'_>) {
    let condition = deploy.node.entry("if");
    // That it runs whatever was before is said elsewhere.
    if !condition.is_some_and(|(_, value)| is_regardless(value)) {
        let at = condition.map_or(deploy.key.at.clone(), |(key, value)| key.at.start..value.at.end);
        let what = "no table says whether this run deploys: `if` must be `needs.<job>.outputs.<name> != ''`";
        findings.error(codes::DEPLOY_TABLE, at, &format!("{}.if", deploy.subject()), what);
    }
}

type Fault = (Range<usize>, String);

/// The step that the expression leads to.
fn find<'a, 'b>(jobs: &'b [Job<'a>], deploy: &Job<'_>, answer: String) -> Result<Table<'a, 'b>, Fault> {
    let parts: Vec<&str> = answer.split('.').collect();
    let (name, output) = (parts[1], parts[3]);
    let is = |text: Option<&str>, wanted: &str| text.is_some_and(|text| text.eq_ignore_ascii_case(wanted));
    let condition = deploy.node.entry("if").map_or(0..0, |(key, value)| key.at.start..value.at.end);
    let Some(job) = jobs.iter().find(|job| is(Some(job.id()), name)) else {
        return Err((condition, format!("there is no job `{name}`, so nothing is ever deployed")));
    };
    let outputs = job.node.get("outputs").map(Node::entries).unwrap_or_default();
    let Some((key, value)) = outputs.iter().find(|(key, _)| is(Some(&key.name), output)) else {
        return Err((condition, format!("`{name}` has no output `{output}`, so nothing is ever deployed")));
    };
    let of = normalized(value);
    let named = of.strip_prefix("steps.").and_then(|of| of.split_once(".outputs."));
    let table = named.and_then(|(id, output)| {
        let step = job.steps.iter().find(|step| is(step.node.text_at("id"), id))?;
        Some(Table { job, step, output: output.to_owned(), answer })
    });
    table.ok_or_else(|| (key.at.start..value.at.end, "this is no output of a step with a table".to_owned()))
}

// ---- what it says ----

/// Reads a script that is a table: `case "$GITHUB_EVENT_NAME:$GITHUB_REF"`, of which each branch sets one variable,
/// and an `echo` that makes that variable the output.
fn rows<'a>(script: &'a Script, output: &str) -> Option<Vec<Row<'a>>> {
    let [Statement { node: Shell::Case { word, arms }, negated: false, .. }, echo] = &script.statements[..] else {
        return None;
    };
    let variables: Vec<&str> = parts(word).filter_map(variable).collect();
    let between: Vec<&str> = parts(word).filter_map(text).collect();
    let named: Vec<(&str, Row<'_>)> = arms
        .iter()
        .map(|arm| {
            let [statement] = &arm.body.statements[..] else { return None };
            let (name, environment) = set(statement.simple()?)?;
            (!arm.goes_on).then_some((name, Row { patterns: &arm.patterns, environment, at: &statement.at }))
        })
        .collect::<Option<_>>()?;
    let name = named.first()?.0;
    let is_table = variables == ASKED && between == [":"] && named.iter().all(|(other, _)| *other == name);
    (is_table && puts_out(echo, output, name)).then(|| named.into_iter().map(|(_, row)| row).collect())
}

/// Whether it is `echo "output=$name" >> "$GITHUB_OUTPUT"`.
fn puts_out(echo: &Statement, output: &str, name: &str) -> bool {
    let words = echo.simple().map(|simple| &simple.words[..]).unwrap_or_default();
    let texts: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
    let is_put = |text: &str| {
        let value = text.split_once('=').filter(|(key, _)| key.eq_ignore_ascii_case(output)).map(|(_, value)| value);
        value.and_then(|value| value.strip_prefix('$')) == Some(name)
    };
    let to =
        |redirect: &Redirect| matches!(redirect, Redirect::File(word) if lone_variable(word) == Some("GITHUB_OUTPUT"));
    matches!(texts[..], ["echo", text] if is_put(text)) && matches!(&echo.redirects[..], [one] if to(one))
}

/// The parts of a word that stand for something.
fn parts(word: &Word) -> impl Iterator<Item = &Part> {
    word.parts.iter().filter(|part| !matches!(part, Part::Text(text) if text.is_empty()))
}

fn variable(part: &Part) -> Option<&str> {
    match part {
        Part::Variable { name, index: None, .. } => Some(name),
        _ => None,
    }
}

fn text(part: &Part) -> Option<&str> {
    match part {
        Part::Text(text) if !text.contains(HIDDEN) => Some(text),
        _ => None,
    }
}

/// The variable of which a word is the value, and nothing else.
fn lone_variable(word: &Word) -> Option<&str> {
    let parts: Vec<&Part> = parts(word).collect();
    if let [part] = parts[..] { variable(part) } else { None }
}

/// The variable that a command sets, and to what; it does nothing else.
fn set(simple: &Simple) -> Option<(&str, Named<'_>)> {
    let [assignment] = &simple.assignments[..] else { return None };
    let Assigned::Word(word) = &assignment.value else { return None };
    let texts = || parts(word).map(text).collect::<Option<Vec<_>>>();
    let value = match lone_variable(word) {
        Some(name) => Named::Variable(name),
        None => Named::Text(texts()?.concat()),
    };
    (simple.words.is_empty() && !assignment.append).then_some((&*assignment.name, value))
}

fn rows_are_safe(root: &Node, table: &Table<'_, '_>, findings: &mut Findings<'_>) {
    let Table { job, step, .. } = table;
    if let Some((key, value)) = step.node.entry("if") {
        let what = "without the table's answer nothing is deployed: its step must always run";
        findings.error(codes::SKIPPED_STAGE, key.at.start..value.at.end, &format!("{}.if", step.subject), what);
    }
    let subject = format!("{}.run", step.subject);
    let (Some(run), Some(Ok(script))) = (step.run, step.parsed()) else { return };
    let Some(rows) = rows(script, &table.output) else {
        let what = "the table can't be read: write `case \"$GITHUB_EVENT_NAME:$GITHUB_REF\" in`, a row \
                    `push:refs/heads/BRANCH) environment=NAME ;;` for each branch, and `echo \"environment=$environment\"`";
        return findings.error(codes::DEPLOY_TABLE, step.node.at.clone(), &subject, what);
    };
    let places = run.places(findings.text);
    for row in &rows {
        let why = |pattern| unsafe_row(root, job, step, pattern, &row.environment);
        if let Some(what) = row.patterns.iter().find_map(why) {
            findings.error(codes::UNSAFE_DEPLOY, placed(&places, row.at), &subject, what);
        }
    }
    let is_rest = |row: &&Row<'_>| matches!(row.patterns, [Pattern::Begins(start)] if start.is_empty());
    if rows.last().filter(is_rest).is_none() {
        let what = "what no row names must deploy nothing: end the table with `*) environment= ;;`";
        findings.error(codes::DEPLOY_TABLE, step.node.at.clone(), &subject, what);
    }
}

/// Why nothing that a pattern matches should deploy to an environment.
fn unsafe_row(root: &Node, job: &Job<'_>, step: &Step<'_>, pattern: &Pattern, to: &Named<'_>) -> Option<String> {
    if *to == Named::Text(String::new()) {
        return None;
    }
    let (start, open) = match pattern {
        Pattern::Text(text) => (text, false),
        Pattern::Begins(start) => (start, true),
        Pattern::Other => return Some("of wildcards a row has only a `*` at its end".to_owned()),
    };
    match (start.split_once(':'), to) {
        (Some(("push", on)), to) => pushed(root, on.strip_prefix("refs/heads/").unwrap_or_default(), open, to),
        (Some(("workflow_dispatch", _)), Named::Text(_)) => None,
        (Some(("workflow_dispatch", _)), Named::Variable(name)) => {
            let is_chosen = value(job, step, name).is_some_and(|value| is_chosen(&value));
            (!is_chosen).then(|| {
                format!("`{name}` isn't what whoever starts the run chose: write `{name}: ${{{{ inputs.NAME }}}}`")
            })
        }
        _ => Some(format!(
            "`{start}{}` deploys: only a push to a branch and a run by hand may",
            if open { "*" } else { "" }
        )),
    }
}

fn pushed(root: &Node, branch: &str, open: bool, to: &Named<'_>) -> Option<String> {
    let (production, branches) = PRODUCTION;
    match to {
        _ if branch.is_empty() || branch.contains(HIDDEN) => {
            Some("whatever is pushed deploys: name the branches, `push:refs/heads/BRANCH`".to_owned())
        }
        // `deploy*` is `deployment/…` as well.
        _ if open && !branch.ends_with('/') => {
            Some(format!("`{branch}*` matches other branches too: write `{branch}/*`"))
        }
        Named::Variable(_) => Some("on a push nobody chooses an environment: name it".to_owned()),
        Named::Text(name) if name.eq_ignore_ascii_case(production) && !branch.starts_with(branches) => {
            Some(format!("`{branch}` deploys to production: only `{branches}**` may, and a run by hand"))
        }
        Named::Text(_) => (!starts_runs(root, branch, open))
            .then(|| format!("a push to `{branch}` starts no run: name it under `on.push.branches`")),
    }
}

/// Whether a push to the branch, or to one that begins so, starts a run.
fn starts_runs(root: &Node, branch: &str, open: bool) -> bool {
    let wanted = if open { format!("{branch}**") } else { branch.to_owned() };
    let Some(settings) = root.get("on").and_then(|on| on.get("push")) else {
        return super::yaml::events(root).contains(&"push");
    };
    let named = settings.get("branches").map(Node::items);
    named.is_none_or(|names| names.iter().filter_map(Node::text).any(|name| name == wanted || name == "**"))
}

/// What a variable of a step is set to, as an expression; the step's own setting counts before the job's.
fn value(job: &Job<'_>, step: &Step<'_>, name: &str) -> Option<String> {
    [step.node, job.node].into_iter().find_map(|node| node.get("env")?.get(name)).map(normalized)
}

/// Whether an expression is an input of whoever starts a run by hand.
fn is_chosen(expression: &str) -> bool {
    let input = expression.strip_prefix("github.event.").unwrap_or(expression).strip_prefix("inputs.");
    input.is_some_and(|name| name.chars().all(|c| c.is_alphanumeric() || ['-', '_'].contains(&c)))
}

// ---- who asks it ----

/// Contexts by which a job would say for itself which branch deploys where.
const SECOND: [&str; 5] =
    ["github.ref", "github.ref_name", "github.head_ref", "inputs.environment", "github.event.inputs.environment"];

/// What deploys, and what looks at that, takes the environment from the table; and no job repeats the table.
fn asks_the_table(job: &Job<'_>, table: &Table<'_, '_>, findings: &mut Findings<'_>) {
    let deploys = job.id() == DEPLOY || needs(job).contains(&DEPLOY);
    has_what_it_needs(job, table, findings);
    for key in ["if", "environment", "concurrency"] {
        repeats(job.node, key, &job.subject(), findings);
    }
    // Elsewhere a step may ask for a branch: it deploys nothing.
    if deploys {
        job.steps.iter().for_each(|step| repeats(step.node, "if", &step.subject, findings));
    }
    if deploys && job.steps.iter().any(Step::runs_magellan) {
        is_in_the_environment(job, table, findings);
        job.steps.iter().for_each(|step| names_the_environment(job, step, table, findings));
    }
}

fn repeats(node: &Node, key: &str, subject: &str, findings: &mut Findings<'_>) {
    let Some((key, value)) = node.entry(key) else { return };
    let mut rest = vec![value];
    while let Some(node) = rest.pop() {
        rest.extend(node.entries().iter().map(|(_, value)| value));
        let names = expressions::names(node.text().unwrap_or_default(), key.name == "if");
        if let Some(name) = names.iter().find(|name| SECOND.iter().any(|second| name.is_of(second))) {
            let what =
                format!("`{}` is a second table of what deploys where: ask for the first one's answer", name.text);
            findings.error(codes::DEPLOY_TABLE, key.at.start..value.at.end, &format!("{subject}.{}", key.name), what);
        }
    }
}

/// To GitHub the output of a job that isn't needed is empty.
fn has_what_it_needs(job: &Job<'_>, table: &Table<'_, '_>, findings: &mut Findings<'_>) {
    let Some((key, value)) = job.node.entry("if") else { return };
    let names = expressions::names(value.text().unwrap_or_default(), true);
    let asks = names.iter().any(|name| name.text.eq_ignore_ascii_case(&table.answer));
    if asks && !needs(job).contains(&table.job.id()) {
        let what = format!("`{}` never runs: `needs` lacks `{}`, whose answer it asks for", job.id(), table.job.id());
        findings.error(codes::SKIPPED_STAGE, key.at.start..value.at.end, &format!("{}.if", job.subject()), what);
    }
}

fn is_in_the_environment(job: &Job<'_>, table: &Table<'_, '_>, findings: &mut Findings<'_>) {
    let entry = job.node.entry("environment");
    let named = entry.and_then(|(_, value)| value.text().map(|_| value).or_else(|| value.get("name")));
    if named.is_none_or(|named| normalized(named) != table.answer) {
        let at = entry.map_or(job.key.at.clone(), |(key, value)| key.at.start..value.at.end);
        let what = format!(
            "`{}` isn't in the environment that the table names: `environment: ${{{{ {} }}}}`",
            job.id(),
            table.answer
        );
        findings.error(codes::DEPLOY_TABLE, at, &format!("{}.environment", job.subject()), what);
    }
}

/// `--environment "$NAME"`, where the variable is the table's answer.
fn names_the_environment(job: &Job<'_>, step: &Step<'_>, table: &Table<'_, '_>, findings: &mut Findings<'_>) {
    let (Some(run), Some(Ok(script))) = (step.run, step.parsed()) else { return };
    let is_named =
        |word: &Word| lone_variable(word).and_then(|name| value(job, step, name)).as_ref() == Some(&table.answer);
    for simple in script.all().into_iter().filter(|simple| simple.magellan().is_some()) {
        let after = simple.words.windows(2).filter(|pair| pair[0].text == "--environment").map(|pair| &pair[1]);
        let joined = simple.words.iter().filter(|word| word.text.starts_with("--environment="));
        for word in after.filter(|word| !is_named(word)).chain(joined) {
            let what = format!(
                "this isn't the table's answer: write `--environment \"$NAME\"`, with `NAME: ${{{{ {} }}}}` in `env`",
                table.answer
            );
            let at = placed(&run.places(findings.text), &word.at);
            findings.error(codes::DEPLOY_TABLE, at, &format!("{}.run", step.subject), what);
        }
    }
}
