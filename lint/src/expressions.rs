//! GitHub's expressions: the names in them, and enough of their logic to say when a condition certainly doesn't hold.

use std::ops::Range;

use github_actions_expressions::call::{Call, Function};
use github_actions_expressions::context::Context;
use github_actions_expressions::literal::Literal;
use github_actions_expressions::op::{BinExpr, BinOp};
use github_actions_expressions::{Expr, Origin, SpannedExpr};

use super::yaml::Node;

/// Longest expression that is read; of a longer one nothing is certain.
const BYTES: usize = 4_096;

/// A name: `inputs.strategy`; `github['event']` counts as `github.event`.
#[derive(Clone, Debug)]
pub(super) struct Name {
    pub(super) text: String,
    /// In the text.
    pub(super) at: Range<usize>,
    /// Whether its value becomes part of the expression's: not if it is only compared.
    pub(super) flows: bool,
}

impl Name {
    /// Whether it is `context` or something in it.
    pub(super) fn is_of(&self, context: &str) -> bool {
        within(&self.text, context).is_some()
    }
}

/// What a name names in `context`, with the dot before it; nothing if it names all of it.
pub(super) fn within<'a>(name: &'a str, context: &str) -> Option<&'a str> {
    let (head, rest) = name.split_at_checked(context.len())?;
    (head.eq_ignore_ascii_case(context) && (rest.is_empty() || rest.starts_with('.'))).then_some(rest)
}

/// The names in a text: inside `${{ }}`, or anywhere if all of it is a condition.
pub(super) fn names(text: &str, condition: bool) -> Vec<Name> {
    if condition && !text.contains("${{") {
        return names_within(text, 0);
    }
    inside(text).flat_map(|(from, inside)| names_within(inside, from)).collect()
}

/// Where the expressions in a text stand that can't be read.
pub(super) fn unreadable(text: &str) -> Vec<Range<usize>> {
    inside(text).filter(|(_, inside)| read(inside).is_none()).map(|(from, inside)| from..from + inside.len()).collect()
}

/// What stands in `${{ }}`, and where it begins.
fn inside(text: &str) -> impl Iterator<Item = (usize, &str)> {
    // An expression ends where the next one begins at the latest: each character is read once.
    let starts = text.match_indices("${{").map(|(at, _)| at + 3);
    let limits = starts.clone().skip(1).chain([text.len()]);
    starts.zip(limits).map(|(from, limit)| {
        let inside = &text[from..limit];
        (from, &inside[..closed(inside)])
    })
}

/// Where the expression ends that a text begins with: at `}}` outside of quotes.
fn closed(text: &str) -> usize {
    let mut quoted = false;
    let ends = |(at, c): &(usize, char)| {
        quoted ^= *c == '\'';
        !quoted && text[*at..].starts_with("}}")
    };
    text.char_indices().find(ends).map_or(text.len(), |(at, _)| at)
}

fn names_within(text: &str, offset: usize) -> Vec<Name> {
    let start = offset + text.len() - text.trim_start().len();
    let Some(read) = read(text) else { return Vec::new() };
    let flowing: Vec<Range<usize>> = read.dataflow_contexts().iter().map(|(_, origin)| span(origin)).collect();
    let named = |(context, origin): (&Context<'_>, &Origin<'_>)| {
        let at = span(origin);
        Name { text: dotted(context), flows: flowing.contains(&at), at: start + at.start..start + at.end }
    };
    read.contexts().into_iter().map(named).collect()
}

fn span(origin: &Origin<'_>) -> Range<usize> {
    origin.span.start..origin.span.end
}

fn read(text: &str) -> Option<SpannedExpr<'_>> {
    let text = text.trim();
    Some(text).filter(|text| text.len() <= BYTES).and_then(|text| Expr::parse(text).ok())
}

/// A context's name with dots; an index that isn't known is `*`.
fn dotted(context: &Context<'_>) -> String {
    let part = |part: &SpannedExpr<'_>| match &part.inner {
        Expr::Identifier(name) => name.as_str().to_owned(),
        Expr::Index(index) => match &index.inner {
            Expr::Literal(literal) => literal.as_str().into_owned(),
            _ => "*".to_owned(),
        },
        Expr::Star => "*".to_owned(),
        _ => String::new(),
    };
    context.parts.iter().map(part).collect::<Vec<_>>().join(".")
}

/// What is known of a run while a condition is judged.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RunState<'a> {
    /// What started it.
    pub(super) event: Option<&'a str>,
    /// Whether what a job needs succeeded.
    pub(super) succeeded: Option<bool>,
}

impl RunState<'_> {
    fn context(&self, name: &str) -> Value {
        let pull_request = self.event == Some("pull_request");
        let by_hand = self.event.is_none_or(|event| event.starts_with("workflow_"));
        match name.to_ascii_lowercase().as_str() {
            "github.event_name" => self.event.map_or(Value::Unknown, Value::text),
            "github.ref" if pull_request => Value::text("refs/pull/1/merge"),
            "github.ref_name" if pull_request => Value::text("1/merge"),
            name if !by_hand && ["inputs", "github.event.inputs"].iter().any(|c| within(name, c).is_some()) => {
                Value::text("")
            }
            _ => Value::Unknown,
        }
    }

    fn called(&self, call: &Call<'_>) -> Value {
        let known = |is: Option<bool>| is.map_or(Value::Unknown, Value::Is);
        let arguments: Vec<Value> = call.args.iter().map(|argument| self.value(argument)).collect();
        match (call.func, arguments.as_slice()) {
            (Function::Always, _) => Value::Is(true),
            (Function::Success, _) => known(self.succeeded),
            (Function::Failure | Function::Cancelled, _) => {
                known(self.succeeded.filter(|succeeded| *succeeded).map(|_| false))
            }
            (Function::StartsWith, [Value::Text(text), Value::Text(start)]) => {
                Value::Is(text.to_lowercase().starts_with(&start.to_lowercase()))
            }
            _ => Value::Unknown,
        }
    }

    fn value(&self, expression: &SpannedExpr<'_>) -> Value {
        match &expression.inner {
            Expr::Literal(Literal::String(text)) => Value::text(text),
            Expr::Literal(Literal::Boolean(is)) => Value::Is(*is),
            Expr::Literal(Literal::Null) => Value::Is(false),
            Expr::Literal(Literal::Number(number)) => Value::Is(*number != 0.0),
            Expr::Context(context) => self.context(&dotted(context)),
            Expr::Call(call) => self.called(call),
            Expr::UnExpr { expr, .. } => self.value(expr).truth().map_or(Value::Unknown, |truth| Value::Is(!truth)),
            Expr::BinExpr(BinExpr { lhs, op, rhs }) => {
                let (left, right) = (self.value(lhs), self.value(rhs));
                let equal = || left.equals(&right);
                match op {
                    BinOp::And => left.joined(right, false),
                    BinOp::Or => left.joined(right, true),
                    BinOp::Eq => equal().map_or(Value::Unknown, Value::Is),
                    BinOp::Neq => equal().map_or(Value::Unknown, |equal| Value::Is(!equal)),
                    BinOp::Gt | BinOp::Ge | BinOp::Lt | BinOp::Le => Value::Unknown,
                }
            }
            Expr::Star | Expr::Identifier(_) | Expr::Index(_) => Value::Unknown,
        }
    }
}

/// Whether a job or step with this condition certainly doesn't run: it needs success unless the
/// condition asks for the status itself.
pub(super) fn never_runs(condition: &str, run: RunState<'_>) -> bool {
    let condition = unwrapped(condition);
    let asks = |text: &str| {
        let text = text.to_ascii_lowercase();
        ["always", "success", "failure", "cancelled"].iter().any(|status| text.contains(status))
    };
    let fails = run.succeeded == Some(false) && !asks(condition) && condition.len() <= BYTES;
    fails || truth(condition, run) == Some(false)
}

/// Whether something with this condition may run though what it needs failed.
pub(super) fn is_regardless(condition: &Node) -> bool {
    let failed = RunState { event: None, succeeded: Some(false) };
    !never_runs(condition.text().unwrap_or_default(), failed)
}

/// Whether an expression holds, where that is certain.
pub(super) fn truth(expression: &str, run: RunState<'_>) -> Option<bool> {
    run.value(&read(unwrapped(expression))?).truth()
}

/// An expression without `${{ }}`, white space and case.
pub(super) fn normalized(node: &Node) -> String {
    let text: String = node.text().unwrap_or_default().chars().filter(|c| !c.is_whitespace()).collect();
    let text = text.to_lowercase();
    match text.strip_prefix("${{").and_then(|t| t.strip_suffix("}}")) {
        Some(inside) if !inside.contains("${{") => inside.to_owned(),
        _ => text,
    }
}

/// Without `${{ }}` around all of it.
fn unwrapped(text: &str) -> &str {
    let text = text.trim();
    let inside = text.strip_prefix("${{").and_then(|text| text.strip_suffix("}}"));
    inside.filter(|inside| !inside.contains("${{")).unwrap_or(text)
}

#[derive(Clone, Debug)]
enum Value {
    Text(String),
    /// Only that it counts as true, or as false.
    Is(bool),
    Unknown,
}

impl Value {
    fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }

    fn truth(&self) -> Option<bool> {
        match self {
            Self::Text(text) => Some(!text.is_empty()),
            Self::Is(is) => Some(*is),
            Self::Unknown => None,
        }
    }

    /// `self || other`, if `decides` is true; `self && other`, if it is false.
    fn joined(self, other: Self, decides: bool) -> Self {
        match self.truth() {
            Some(truth) if truth == decides => self,
            Some(_) => other,
            None if other.truth() == Some(decides) => Self::Is(decides),
            None => Self::Unknown,
        }
    }

    fn equals(&self, other: &Self) -> Option<bool> {
        match (self, other) {
            (Self::Text(a), Self::Text(b)) => Some(a.to_lowercase() == b.to_lowercase()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_expressions_only() {
        let found = |text: &str, condition| names(text, condition).into_iter().map(|n| n.text).collect::<Vec<_>>();
        assert_eq!(
            found("a ${{ inputs.a || github.event.inputs.b-c }} b", false),
            ["inputs.a", "github.event.inputs.b-c"]
        );
        assert_eq!(
            found("${{ github['event']['x'].*.y }} ${{ 'secrets.a' }} ${{ 1e5 }}", false),
            ["github.event.x.*.y"]
        );
        assert_eq!(found("${{ format(a[b.c]) }}", false), ["a.*", "b.c"]);
        assert_eq!(found("!a.b && 'it''s b' == c.d", true), ["a.b", "c.d"]);
        assert!(found("secrets.a ${ {b} }", false).is_empty());
        let text = "é ${{ x }} ${{ secrets['a'] }}";
        assert_eq!(names(text, false).iter().map(|n| &text[n.at.clone()]).collect::<Vec<_>>(), ["x", "secrets['a']"]);
        let flows = |text: &str| names(text, false).into_iter().filter(|n| n.flows).map(|n| n.text).collect::<Vec<_>>();
        assert_eq!(flows("${{ contains(a.b, 'x') || c.d == '' || e.f }}"), ["e.f"]);
    }

    #[test]
    fn a_condition_is_certainly_false_or_it_is_not() {
        let deploys = "github.event_name == 'workflow_dispatch' || github.ref == 'refs/heads/deploy' \
                       || startsWith(github.ref, 'refs/heads/deploy/')";
        let on = |event, succeeded| RunState { event, succeeded };
        let pull_request = on(Some("pull_request"), None);
        for condition in [
            deploys,
            "false",
            "${{ !always() }}",
            "github.event_name != 'pull_request'",
            "!(github.event_name == 'PULL_REQUEST') && vars.x",
            "vars.x && inputs.environment == 'production'",
            "contains(github.ref, 'x') && github.event_name == 'push'",
            "github.ref_name == 'deploy'",
            "always() && (github.event_name == 'push')",
        ] {
            assert!(never_runs(condition, pull_request), "{condition}");
        }
        for condition in [
            "",
            "a b",
            "(",
            "vars.x",
            "github.event_name == github.x",
            "vars.x || github.event_name == 'push'",
            "1 == 2",
            "!",
        ] {
            assert!(!never_runs(condition, pull_request), "{condition}");
        }
        assert!(
            !never_runs(deploys, on(Some("push"), None)) && !never_runs(deploys, on(Some("pull_request_target"), None))
        );
        for (condition, skipped) in [
            (deploys, true),
            ("success()", true),
            ("success() && vars.x", true),
            ("always()", false),
            ("failure()", false),
            ("!cancelled()", false),
            ("!success()", false),
            ("success() || vars.x", false),
        ] {
            assert_eq!(never_runs(condition, on(None, Some(false))), skipped, "{condition}");
        }
        let long = format!("{}false{}", "(".repeat(100_000), ")".repeat(100_000));
        assert!(!never_runs(&long, RunState::default()));
    }
}
