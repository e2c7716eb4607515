//! GitHub's expressions: the names in them, and enough of their logic to say when a condition certainly doesn't hold.

use std::ops::Range;

use super::yaml::Node;

/// Most tokens and bytes of an expression whose logic is read; of a longer one nothing is certain.
const TOKENS: usize = 200;
const BYTES: usize = 4_096;

/// A name: `inputs.strategy`; `github['event']` counts as `github.event`.
#[derive(Clone, Debug)]
pub(super) struct Name {
    pub(super) text: String,
    /// In the text.
    pub(super) at: Range<usize>,
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
    if condition {
        return names_within(text, 0).collect();
    }
    // An expression ends where the next one begins at the latest: each character is read once.
    let starts: Vec<usize> = text.match_indices("${{").map(|(at, _)| at + 3).collect();
    let limits = starts.iter().skip(1).copied().chain([text.len()]);
    let inside = starts.iter().zip(limits).map(|(from, limit)| (*from, &text[*from..limit]));
    inside.flat_map(|(from, inside)| names_within(inside.split("}}").next().unwrap_or_default(), from)).collect()
}

fn names_within(text: &str, offset: usize) -> impl Iterator<Item = Name> {
    tokens(text).into_iter().filter_map(move |(token, at)| match token {
        Token::Name(text) => Some(Name { text, at: offset + at.start..offset + at.end }),
        _ => None,
    })
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Name(String),
    /// What stands in quotes.
    Text(String),
    Sign(&'static str),
    Other,
}

const SIGNS: [&str; 8] = ["==", "!=", "&&", "||", "!", "(", ")", ","];

fn tokens(text: &str) -> Vec<(Token, Range<usize>)> {
    let (mut found, mut at) = (Vec::new(), 0);
    while let Some(c) = text[at..].chars().next() {
        let (start, rest) = (at, &text[at..]);
        let token = if c == '\'' {
            let (inside, length) = quoted(rest);
            at += length;
            Token::Text(inside)
        } else if c.is_alphabetic() || c == '_' {
            let (name, length) = dotted(rest);
            at += length;
            Token::Name(name)
        } else if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            at += sign.len();
            Token::Sign(sign)
        } else {
            // A number with all its digits, so that none of its letters is a name.
            let is_part = |c: char| c.is_alphanumeric() || c == '_';
            at += if is_part(c) { rest.find(|c| !is_part(c)).unwrap_or(rest.len()) } else { c.len_utf8() };
            Token::Other
        };
        if !c.is_whitespace() {
            found.push((token, start..at));
        }
    }
    found
}

/// A text in quotes, two of which stand for one, and its length with them.
fn quoted(text: &str) -> (String, usize) {
    let (mut inside, mut at) = (String::new(), 1);
    while let Some(length) = text[at..].find('\'') {
        inside += &text[at..at + length];
        at += length + 1;
        if !text[at..].starts_with('\'') {
            return (inside, at);
        }
        inside.push('\'');
        at += 1;
    }
    (inside + &text[at..], text.len())
}

/// A name with all that follows by dots or as `['…']`, and its length.
fn dotted(text: &str) -> (String, usize) {
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    let word = |text: &str| text.find(|c| !is_part(c)).unwrap_or(text.len());
    let mut at = word(text);
    let mut name = text[..at].to_owned();
    loop {
        let rest = &text[at..];
        let (part, length) = if let Some(behind) = rest.strip_prefix('.') {
            let length = if behind.starts_with('*') { 1 } else { word(behind) };
            (behind[..length].to_owned(), 1 + length)
        } else if rest.starts_with("['") {
            let (inside, length) = quoted(&rest[1..]);
            (inside, 1 + length + usize::from(rest[1 + length..].starts_with(']')))
        } else {
            return (name, at);
        };
        name = name + "." + &part;
        at += length;
    }
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
    fn value(&self, name: &str) -> Value {
        let pull_request = self.event == Some("pull_request");
        let by_hand = self.event.is_none_or(|event| event.starts_with("workflow_"));
        match name.to_ascii_lowercase().as_str() {
            "true" => Value::Is(true),
            "false" | "null" => Value::Is(false),
            "github.event_name" => self.event.map_or(Value::Unknown, Value::text),
            "github.ref" if pull_request => Value::text("refs/pull/1/merge"),
            "github.ref_name" if pull_request => Value::text("1/merge"),
            name if !by_hand && ["inputs", "github.event.inputs"].iter().any(|c| within(name, c).is_some()) => {
                Value::text("")
            }
            _ => Value::Unknown,
        }
    }

    fn called(&self, function: &str, arguments: &[Value]) -> Value {
        let known = |is: Option<bool>| is.map_or(Value::Unknown, Value::Is);
        match (function.to_ascii_lowercase().as_str(), arguments) {
            ("always", []) => Value::Is(true),
            ("success", []) => known(self.succeeded),
            ("failure" | "cancelled", []) => known(self.succeeded.filter(|succeeded| *succeeded).map(|_| false)),
            ("startswith", [Value::Text(text), Value::Text(start)]) => {
                Value::Is(text.to_lowercase().starts_with(&start.to_lowercase()))
            }
            _ => Value::Unknown,
        }
    }
}

/// Whether a job or step with this condition certainly doesn't run: it needs success unless the
/// condition asks for the status itself.
pub(super) fn never_runs(condition: &str, run: RunState<'_>) -> bool {
    let condition = unwrapped(condition);
    if condition.len() > BYTES {
        return false;
    }
    let asks = |(token, _): &(Token, _)| match token {
        Token::Name(name) => {
            ["always", "success", "failure", "cancelled"].iter().any(|status| name.eq_ignore_ascii_case(status))
        }
        _ => false,
    };
    let fails = run.succeeded == Some(false) && !tokens(condition).iter().any(asks);
    fails || truth(condition, run) == Some(false)
}

/// Whether something with this condition may run though what it needs failed.
pub(super) fn is_regardless(condition: &Node) -> bool {
    let failed = RunState { event: None, succeeded: Some(false) };
    !never_runs(condition.text().unwrap_or_default(), failed)
}

/// Whether an expression holds, where that is certain.
pub(super) fn truth(expression: &str, run: RunState<'_>) -> Option<bool> {
    let expression = Some(unwrapped(expression)).filter(|expression| expression.len() <= BYTES)?;
    let tokens: Vec<Token> = tokens(expression).into_iter().map(|(token, _)| token).collect();
    if tokens.len() > TOKENS {
        return None;
    }
    let mut reader = Reader { tokens: &tokens, run };
    let value = reader.either()?;
    if reader.tokens.is_empty() { value.truth() } else { None }
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

/// Reads tokens from the front; `None` where they are no expression.
struct Reader<'a> {
    tokens: &'a [Token],
    run: RunState<'a>,
}

impl Reader<'_> {
    fn eat(&mut self, sign: &'static str) -> bool {
        let found = self.tokens.first() == Some(&Token::Sign(sign));
        if found {
            self.tokens = &self.tokens[1..];
        }
        found
    }

    fn either(&mut self) -> Option<Value> {
        let mut value = self.both()?;
        while self.eat("||") {
            value = value.joined(self.both()?, true);
        }
        Some(value)
    }

    fn both(&mut self) -> Option<Value> {
        let mut value = self.compared()?;
        while self.eat("&&") {
            value = value.joined(self.compared()?, false);
        }
        Some(value)
    }

    fn compared(&mut self) -> Option<Value> {
        let mut value = self.single()?;
        loop {
            let wanted = match (self.eat("=="), self.eat("!=")) {
                (true, _) => true,
                (_, true) => false,
                _ => return Some(value),
            };
            let equal = value.equals(&self.single()?);
            value = equal.map_or(Value::Unknown, |equal| Value::Is(equal == wanted));
        }
    }

    fn single(&mut self) -> Option<Value> {
        if self.eat("!") {
            return Some(self.single()?.truth().map_or(Value::Unknown, |truth| Value::Is(!truth)));
        }
        if self.eat("(") {
            let value = self.either()?;
            return self.eat(")").then_some(value);
        }
        let (first, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        match first {
            Token::Text(text) => Some(Value::text(text)),
            Token::Name(function) if self.eat("(") => {
                let arguments = self.arguments()?;
                Some(self.run.called(function, &arguments))
            }
            Token::Name(name) => Some(self.run.value(name)),
            _ => None,
        }
    }

    fn arguments(&mut self) -> Option<Vec<Value>> {
        let mut arguments = Vec::new();
        while !self.eat(")") {
            if !arguments.is_empty() && !self.eat(",") {
                return None;
            }
            arguments.push(self.either()?);
        }
        Some(arguments)
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
        assert_eq!(found("${{ f(a[b]) }}", false), ["f", "a", "b"]);
        assert_eq!(found("!a && 'it''s b' == c", true), ["a", "c"]);
        assert!(found("secrets.a ${ {b} }", false).is_empty());
        let text = "é ${{ x }} ${{ secrets['a'] }}";
        assert_eq!(names(text, false).iter().map(|n| &text[n.at.clone()]).collect::<Vec<_>>(), ["x", "secrets['a']"]);
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
