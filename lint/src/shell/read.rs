//! Reads a script: from text, by way of the parser's tree, to ours.

use std::cell::Cell;
use std::ops::Range;
use std::panic::catch_unwind;
use std::rc::Rc;

use shuck_ast::{
    self as ast, ArithmeticAssignOp, ArithmeticBinaryOp, ArithmeticExpr, ArithmeticExprNode, ArithmeticLvalue,
    ArithmeticPostfixOp, ArithmeticUnaryOp, ArrayElem, AssignmentValue, BinaryOp, BourneParameterExpansion,
    BuiltinCommand, Command, CompoundCommand, ConditionalExpr, DeclOperand, HeredocBodyPart, ParameterOp, PatternPart,
    RedirectKind, RedirectTarget, Span, StmtSeq, StmtTerminator, VarRef, WordPart,
};
use shuck_parser::parser::Parser;

use super::tree::{
    Arithmetic, Arm, Assigned, Assignment, HIDDEN, Joined, Link, Node, Operator, Part, Pattern, Redirect, Script,
    Simple, Statement, Test, Word,
};

/// Longest script read.
const BYTES: usize = 1 << 16;
/// Deepest nesting of brackets read, whatever quotes say.
const DEPTH: usize = 100;
/// Most times that a word stands in a row which the parser reads by calling itself, or slowly.
const REPEATED: usize = 100;

/// Why a script isn't read, and where.
#[derive(Debug)]
pub(crate) struct Unreadable {
    pub(crate) at: Range<usize>,
    pub(crate) what: String,
}

/// Reads a script.
pub(crate) fn parse(text: &str) -> Result<Script, Unreadable> {
    let source = hide(text);
    if let Some(what) = too_much(&source) {
        return Err(Unreadable { at: 0..0, what });
    }
    let read = catch_unwind(|| Parser::new(&source).parse())
        .map_err(|_| Unreadable { at: 0..0, what: "the parser gave up on it".to_owned() })?;
    if read.is_err() {
        let first = read.diagnostics.first();
        let at = first.map_or(0..0, |d| d.span.start.offset()..d.span.end.offset().max(d.span.start.offset()));
        let what = first.map_or_else(|| "no shell script".to_owned(), |d| d.message.clone());
        return Err(Unreadable { at, what });
    }
    let reader = Reader { source: &source, ambiguous: Cell::new(None) };
    let script = reader.script(&read.file.body);
    match reader.ambiguous.take() {
        Some(at) => Err(Unreadable { at, what: "`((` begins arithmetic or a group: write `$( (` or `( (`".to_owned() }),
        None => Ok(script),
    }
}

/// What of the script is more than a script has, if anything.
fn too_much(source: &str) -> Option<String> {
    if source.len() > BYTES {
        return Some(format!("longer than {BYTES} bytes"));
    }
    let mut depth = 0_usize;
    for byte in source.bytes() {
        match byte {
            b'(' | b'{' | b'[' => depth += 1,
            b')' | b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH {
            return Some(format!("brackets nested more than {DEPTH} deep"));
        }
    }
    // Only words that follow on each other, such as `time time`, are read by recursion.
    let longest = |sign: &str| {
        let runs = source.split_whitespace().fold((0, 0), |(longest, run), word| {
            let run = if word.starts_with(sign) { run + 1 } else { 0 };
            (run.max(longest), run)
        });
        runs.0
    };
    ["time", "coproc", "<<", "!"]
        .into_iter()
        .find(|sign| longest(sign) > REPEATED)
        .map(|sign| format!("`{sign}` more than {REPEATED} times in a row"))
}

/// GitHub puts values in place of `${{ … }}` before the shell sees them; their operators aren't
/// the shell's. Letters beyond ASCII are no sign of the shell's either, and the parser counts them wrong in places. The same
/// number of bytes stays in their place.
fn hide(text: &str) -> String {
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(start) = rest.find("${{") {
        let end = rest[start..].find("}}").map_or(rest.len(), |end| start + end + 2);
        out.push_str(&rest[..start]);
        out.extend(std::iter::repeat_n(HIDDEN, end - start));
        rest = &rest[end..];
    }
    out += rest;
    if out.is_ascii() {
        return out;
    }
    out.chars().flat_map(|c| std::iter::repeat_n(if c.is_ascii() { c } else { HIDDEN }, c.len_utf8())).collect()
}

fn range(span: Span) -> Range<usize> {
    span.start.offset()..span.end.offset().max(span.start.offset())
}

struct Reader<'a> {
    source: &'a str,
    /// Something that looks like arithmetic and may be commands.
    ambiguous: Cell<Option<Range<usize>>>,
}

impl Reader<'_> {
    fn script(&self, sequence: &StmtSeq) -> Script {
        Script { statements: sequence.stmts.iter().map(|statement| self.statement(statement)).collect() }
    }

    fn statement(&self, statement: &ast::Stmt) -> Statement {
        let background = matches!(statement.terminator, Some(StmtTerminator::Background(_)));
        Statement {
            node: self.node(&statement.command),
            negated: statement.negated,
            redirects: statement.redirects.iter().map(|redirect| self.redirect(redirect)).collect(),
            background: background.then(|| statement.terminator_span.map_or(0, |span| span.start.offset())),
            at: range(statement.span),
        }
    }

    fn node(&self, command: &Command) -> Node {
        match command {
            Command::Simple(simple) => {
                let words = std::iter::once(&simple.name).chain(&simple.args).map(|word| self.word(word));
                self.simple(words.filter(|word| !word.is_nothing()).collect(), &simple.assignments)
            }
            Command::Builtin(builtin) => self.builtin(builtin),
            Command::Decl(declared) => {
                let name = literal(declared.variant.as_str(), range(declared.variant_span));
                let operands = declared.operands.iter().map(|operand| self.operand(operand));
                self.simple(std::iter::once(name).chain(operands).collect(), &declared.assignments)
            }
            Command::Binary(binary) => self.binary(binary),
            Command::Compound(compound) => self.compound(compound),
            Command::Function(function) => Node::Function {
                names: function.static_names().map(|name| name.as_str().to_owned()).collect(),
                body: Rc::new(self.statement(&function.body)),
            },
            Command::AnonymousFunction(function) => {
                Node::Group(Script { statements: vec![self.statement(&function.body)] })
            }
        }
    }

    fn simple(&self, words: Vec<Word>, assignments: &[ast::Assignment]) -> Node {
        let assignments = assignments.iter().map(|assignment| self.assignment(assignment)).collect();
        Node::Simple(Simple { words, assignments })
    }

    fn builtin(&self, builtin: &BuiltinCommand) -> Node {
        let (name, first, others, assignments, span) = match builtin {
            BuiltinCommand::Break(b) => ("break", &b.depth, &b.extra_args, &b.assignments, b.span),
            BuiltinCommand::Continue(c) => ("continue", &c.depth, &c.extra_args, &c.assignments, c.span),
            BuiltinCommand::Return(r) => ("return", &r.code, &r.extra_args, &r.assignments, r.span),
            BuiltinCommand::Exit(e) => ("exit", &e.code, &e.extra_args, &e.assignments, e.span),
        };
        let start = span.start.offset();
        let name = literal(name, start..start + name.len());
        let arguments = first.iter().chain(others).map(|word| self.word(word));
        self.simple(std::iter::once(name).chain(arguments).collect(), assignments)
    }

    fn operand(&self, operand: &DeclOperand) -> Word {
        match operand {
            DeclOperand::Flag(word) | DeclOperand::Dynamic(word) => self.word(word),
            DeclOperand::Name(name) => literal(name.name.as_str(), range(name.span)),
            DeclOperand::Assignment(assignment) => {
                let read = self.assignment(assignment);
                let mut word = literal(&format!("{}=", read.name), range(assignment.span));
                match read.value {
                    Assigned::Word(value) => {
                        word.text += &value.text;
                        word.parts.extend(value.parts);
                    }
                    Assigned::Array(values) => word.parts.push(Part::Other(
                        values.into_iter().flat_map(|value| value.parts).filter_map(Part::into_script).collect(),
                    )),
                }
                word
            }
        }
    }

    fn assignment(&self, assignment: &ast::Assignment) -> Assignment {
        let value = match &assignment.value {
            AssignmentValue::Scalar(word) => Assigned::Word(self.word(word)),
            AssignmentValue::Compound(array) => Assigned::Array(
                array
                    .elements
                    .iter()
                    .map(|element| match element {
                        ArrayElem::Sequential(value)
                        | ArrayElem::Keyed { value, .. }
                        | ArrayElem::KeyedAppend { value, .. } => self.word(&value.word),
                    })
                    .collect(),
            ),
        };
        Assignment { name: assignment.target.name.as_str().to_owned(), append: assignment.append, value }
    }

    fn binary(&self, binary: &ast::BinaryCommand) -> Node {
        let is_pipe = |op: &BinaryOp| matches!(op, BinaryOp::Pipe | BinaryOp::PipeAll);
        let pipe = is_pipe(&binary.op);
        // Left to right: what is joined stands on the left of the last operator.
        let (mut joined, mut first) = (Vec::new(), binary);
        let leftmost = loop {
            joined.push(first);
            match &first.left.command {
                Command::Binary(inner)
                    if is_pipe(&inner.op) == pipe && !first.left.negated && first.left.redirects.is_empty() =>
                {
                    first = inner;
                }
                _ => break &first.left,
            }
        };
        joined.reverse();
        let at = joined[0].op_span.start.offset();
        if pipe {
            let others = joined.iter().map(|binary| self.statement(&binary.right));
            return Node::Pipe(std::iter::once(self.statement(leftmost)).chain(others).collect(), at);
        }
        let first = Link { joined: Joined::First, operator: at, statement: self.statement(leftmost) };
        let others = joined.iter().map(|binary| Link {
            joined: if matches!(binary.op, BinaryOp::And) { Joined::And } else { Joined::Or },
            operator: binary.op_span.start.offset(),
            statement: self.statement(&binary.right),
        });
        Node::Chain(std::iter::once(first).chain(others).collect())
    }

    fn compound(&self, compound: &CompoundCommand) -> Node {
        match compound {
            CompoundCommand::If(branches) => {
                let first = (&branches.condition, &branches.then_branch);
                let others = branches.elif_branches.iter().map(|(condition, then)| (condition, then));
                let all = std::iter::once(first).chain(others);
                let all = all.map(|(condition, then)| (self.script(condition), self.script(then))).collect();
                Node::If(all, branches.else_branch.as_ref().map(|otherwise| self.script(otherwise)))
            }
            CompoundCommand::For(each) => Node::For {
                variable: each.targets.first().and_then(|t| t.name.as_ref()).map_or("", |n| n.as_str()).to_owned(),
                words: each.words.as_ref().map(|words| words.iter().map(|word| self.word(word)).collect()),
                body: self.script(&each.body),
            },
            CompoundCommand::ArithmeticFor(each) => self.repeated(&each.body),
            CompoundCommand::Repeat(each) => self.repeated(&each.body),
            CompoundCommand::Foreach(each) => self.repeated(&each.body),
            CompoundCommand::Select(each) => self.repeated(&each.body),
            CompoundCommand::While(each) => {
                Node::Loop { condition: self.script(&each.condition), body: self.script(&each.body), until: false }
            }
            CompoundCommand::Until(each) => {
                Node::Loop { condition: self.script(&each.condition), body: self.script(&each.body), until: true }
            }
            CompoundCommand::Case(case) => {
                Node::Case { word: self.word(&case.word), arms: case.cases.iter().map(|arm| self.arm(arm)).collect() }
            }
            CompoundCommand::Subshell(script) => Node::Subshell(self.script(script)),
            CompoundCommand::BraceGroup(script) => Node::Group(self.script(script)),
            CompoundCommand::Arithmetic(asked) => {
                Node::Arithmetic(self.arithmetic(asked.span, asked.expr_ast.as_ref()))
            }
            CompoundCommand::Time(timed) => match &timed.command {
                Some(command) => Node::Time(Box::new(self.statement(command))),
                None => Node::Group(Script::default()),
            },
            CompoundCommand::Conditional(asked) => Node::Test(self.test(&asked.expression)),
            CompoundCommand::Coproc(process) => Node::Coprocess(Box::new(self.statement(&process.body))),
            CompoundCommand::Always(both) => {
                let mut script = self.script(&both.body);
                script.statements.extend(self.script(&both.always_body).statements);
                Node::Group(script)
            }
        }
    }

    /// A loop of which it isn't known how often it runs.
    fn repeated(&self, body: &StmtSeq) -> Node {
        Node::For { variable: String::new(), words: None, body: self.script(body) }
    }

    fn arm(&self, arm: &ast::CaseItem) -> Arm {
        Arm {
            patterns: arm.patterns.iter().map(|pattern| self.pattern(pattern)).collect(),
            body: self.script(&arm.body),
            goes_on: !matches!(arm.terminator, ast::CaseTerminator::Break),
        }
    }

    fn pattern(&self, pattern: &ast::Pattern) -> Pattern {
        let text = |parts: &[ast::PatternPartNode]| -> Option<String> {
            parts.iter().map(|part| self.literal_part(part)).collect()
        };
        let read = match pattern.parts.split_last() {
            Some((last, before)) if matches!(last.kind, PatternPart::AnyString) => text(before).map(Pattern::Begins),
            _ => text(&pattern.parts).map(Pattern::Text),
        };
        read.unwrap_or(Pattern::Other)
    }

    fn literal_part(&self, part: &ast::PatternPartNode) -> Option<String> {
        match &part.kind {
            PatternPart::Literal(text) => Some(text.as_str(self.source, part.span).to_owned()),
            PatternPart::Word(word) => {
                let word = self.word(word);
                word.parts.iter().all(|part| matches!(part, Part::Text(_))).then_some(word.text)
            }
            _ => None,
        }
    }

    fn test(&self, asked: &ConditionalExpr) -> Test {
        match asked {
            ConditionalExpr::Parenthesized(inner) => self.test(&inner.expr),
            ConditionalExpr::Unary(unary) => match unary.op {
                ast::ConditionalUnaryOp::Not => Test::Not(Box::new(self.test(&unary.expr))),
                op => Test::Unary(op.as_str().to_owned(), self.operand_word(&unary.expr)),
            },
            ConditionalExpr::Binary(binary) => match binary.op {
                ast::ConditionalBinaryOp::And => {
                    Test::And(Box::new(self.test(&binary.left)), Box::new(self.test(&binary.right)))
                }
                ast::ConditionalBinaryOp::Or => {
                    Test::Or(Box::new(self.test(&binary.left)), Box::new(self.test(&binary.right)))
                }
                op => Test::Binary(
                    self.operand_word(&binary.left),
                    op.as_str().to_owned(),
                    self.operand_word(&binary.right),
                ),
            },
            word => Test::Unary("-n".to_owned(), self.operand_word(word)),
        }
    }

    fn operand_word(&self, asked: &ConditionalExpr) -> Word {
        match asked {
            ConditionalExpr::Word(word) | ConditionalExpr::Regex(word) => self.word(word),
            ConditionalExpr::Pattern(pattern) => {
                let mut word = Word { at: range(pattern.span), ..Word::default() };
                for part in &pattern.parts {
                    match (&part.kind, self.literal_part(part)) {
                        (_, Some(text)) => word.push(Part::Text(text.clone()), &text),
                        (PatternPart::Word(inner), None) => {
                            let inner = self.word(inner);
                            word.text += &inner.text;
                            word.parts.extend(inner.parts);
                        }
                        _ => word.push(Part::Other(Vec::new()), ""),
                    }
                }
                word
            }
            other => Word { parts: vec![Part::Other(Vec::new())], at: range(other.span()), ..Word::default() },
        }
    }

    // ---- words ----

    fn word(&self, word: &ast::Word) -> Word {
        let mut made = Word { at: range(word.span), ..Word::default() };
        self.parts(&word.parts, false, &mut made);
        made
    }

    fn parts(&self, parts: &[ast::WordPartNode], quoted: bool, word: &mut Word) {
        for part in parts {
            let written = self.source.get(range(part.span)).unwrap_or_default();
            match &part.kind {
                WordPart::Literal(text) => {
                    let text = text.as_str(self.source, part.span);
                    let text = if quoted { text.to_owned() } else { unescaped(text) };
                    word.push(Part::Text(text.clone()), &text);
                }
                WordPart::SingleQuoted { value, .. } => {
                    word.quoted = true;
                    let text = value.slice(self.source);
                    word.push(Part::Text(text.to_owned()), text);
                }
                WordPart::DoubleQuoted { parts, .. } => {
                    word.quoted = true;
                    word.push(Part::Text(String::new()), "");
                    self.parts(parts, true, word);
                }
                kind => word.push(self.expansion(kind, part.span, quoted), written),
            }
        }
    }

    /// Whoever reads `((` as arithmetic where bash finds commands sees no command.
    fn arithmetic(&self, at: Span, read: Option<&ArithmeticExprNode>) -> Arithmetic {
        if self.source.get(range(at)).is_some_and(|text| text.contains("magellan")) {
            self.ambiguous.set(Some(range(at)));
        }
        self.expression(read)
    }

    fn expansion(&self, kind: &WordPart, at: Span, quoted: bool) -> Part {
        let variable = |name: &str, index| Part::Variable { name: name.to_owned(), index, quoted };
        match kind {
            WordPart::Variable(name) => variable(name.as_str(), None),
            WordPart::CommandSubstitution { body, .. } => Part::Substitution(self.script(body)),
            WordPart::ProcessSubstitution { body, .. } => Part::Process(self.script(body)),
            WordPart::ArithmeticExpansion { expression_ast, .. } => {
                Part::Arithmetic(self.arithmetic(at, expression_ast.as_deref()))
            }
            WordPart::ArrayAccess(reference) => self.access(reference, quoted),
            WordPart::ParameterExpansion { reference, operator, operand_word_ast, .. } => {
                self.defaulted(reference, operator, operand_word_ast.as_deref(), quoted)
            }
            WordPart::Parameter(parameter) => match parameter.bourne() {
                Some(BourneParameterExpansion::Access { reference }) => self.access(reference, quoted),
                Some(BourneParameterExpansion::Operation { reference, operator, operand_word_ast, .. }) => {
                    self.defaulted(reference, operator, operand_word_ast.as_deref(), quoted)
                }
                Some(other) => Part::Other(self.inside(other.operand_word_ast())),
                None => Part::Other(Vec::new()),
            },
            WordPart::IndirectExpansion { operand_word_ast, .. } => {
                Part::Other(self.inside(operand_word_ast.as_deref()))
            }
            WordPart::Substring { offset_word_ast, .. } | WordPart::ArraySlice { offset_word_ast, .. } => {
                Part::Other(self.inside(Some(offset_word_ast)))
            }
            _ => Part::Other(Vec::new()),
        }
    }

    fn access(&self, reference: &VarRef, quoted: bool) -> Part {
        let index = reference.subscript.as_ref().map(|subscript| subscript.syntax_text(self.source).to_owned());
        Part::Variable { name: reference.name.as_str().to_owned(), index, quoted }
    }

    /// `${x:-…}` is x where x is known.
    fn defaulted(&self, of: &VarRef, operator: &ParameterOp, operand: Option<&ast::Word>, quoted: bool) -> Part {
        let scripts = self.inside(operand);
        let defaults = matches!(operator, ParameterOp::UseDefault | ParameterOp::AssignDefault | ParameterOp::Error);
        if defaults && scripts.is_empty() { self.access(of, quoted) } else { Part::Other(scripts) }
    }

    fn inside(&self, word: Option<&ast::Word>) -> Vec<Script> {
        let parts = word.into_iter().flat_map(|word| self.word(word).parts);
        parts.filter_map(Part::into_script).collect()
    }

    fn redirect(&self, redirect: &ast::Redirect) -> Redirect {
        match &redirect.target {
            RedirectTarget::Word(word) if matches!(redirect.kind, RedirectKind::HereString) => {
                Redirect::Text(self.word(word))
            }
            RedirectTarget::Word(word) => Redirect::File(self.word(word)),
            RedirectTarget::Heredoc(here) => {
                let scripts = here.body.parts.iter().filter_map(|part| match &part.kind {
                    HeredocBodyPart::CommandSubstitution { body, .. } => Some(self.script(body)),
                    _ => None,
                });
                let text = self.source.get(range(here.body.span)).unwrap_or_default();
                let lines = text.split_inclusive('\n');
                let text = if here.delimiter.strip_tabs {
                    lines.map(|line| line.trim_start_matches('\t')).collect()
                } else {
                    text.to_owned()
                };
                Redirect::Here(text, scripts.collect())
            }
        }
    }

    // ---- arithmetic ----

    fn expression(&self, node: Option<&ArithmeticExprNode>) -> Arithmetic {
        let Some(node) = node else { return Arithmetic::Unknown };
        let read = |node: &ArithmeticExprNode| Box::new(self.expression(Some(node)));
        let one = || Box::new(Arithmetic::Number(1));
        match &node.kind {
            ArithmeticExpr::Number(text) => {
                text.slice(self.source).parse().map_or(Arithmetic::Unknown, Arithmetic::Number)
            }
            ArithmeticExpr::Variable(name) => Arithmetic::Variable(name.as_str().to_owned()),
            ArithmeticExpr::ShellWord(word) => Arithmetic::Word(self.word(word)),
            ArithmeticExpr::Parenthesized { expression } => self.expression(Some(expression)),
            ArithmeticExpr::Unary { op, expr } => match (op, &expr.kind) {
                (ArithmeticUnaryOp::LogicalNot, _) => Arithmetic::Not(read(expr)),
                (ArithmeticUnaryOp::PreIncrement, ArithmeticExpr::Variable(name)) => Arithmetic::Assign(
                    name.as_str().to_owned(),
                    Box::new(Arithmetic::Binary(read(expr), Operator::Add, one())),
                    false,
                ),
                _ => Arithmetic::Unknown,
            },
            ArithmeticExpr::Postfix { expr, op: ArithmeticPostfixOp::Increment } => match &expr.kind {
                ArithmeticExpr::Variable(name) => Arithmetic::Assign(
                    name.as_str().to_owned(),
                    Box::new(Arithmetic::Binary(read(expr), Operator::Add, one())),
                    true,
                ),
                _ => Arithmetic::Unknown,
            },
            ArithmeticExpr::Binary { left, op: ArithmeticBinaryOp::GreaterThan, right } => {
                Arithmetic::Binary(read(right), Operator::Less, read(left))
            }
            ArithmeticExpr::Binary { left, op: ArithmeticBinaryOp::GreaterThanOrEqual, right } => {
                Arithmetic::Binary(read(right), Operator::LessOrEqual, read(left))
            }
            ArithmeticExpr::Binary { left, op, right } => Arithmetic::Binary(read(left), operator(*op), read(right)),
            ArithmeticExpr::Assignment { target: ArithmeticLvalue::Variable(name), op, value } => {
                let name = name.as_str().to_owned();
                let before = || Box::new(Arithmetic::Variable(name.clone()));
                let value = match op {
                    ArithmeticAssignOp::Assign => read(value),
                    ArithmeticAssignOp::AddAssign => Box::new(Arithmetic::Binary(before(), Operator::Add, read(value))),
                    ArithmeticAssignOp::OrAssign => Box::new(Arithmetic::Binary(before(), Operator::Or, read(value))),
                    _ => Box::new(Arithmetic::Unknown),
                };
                Arithmetic::Assign(name, value, false)
            }
            _ => Arithmetic::Unknown,
        }
    }
}

fn operator(op: ArithmeticBinaryOp) -> Operator {
    match op {
        ArithmeticBinaryOp::Add => Operator::Add,
        ArithmeticBinaryOp::BitwiseOr => Operator::Or,
        ArithmeticBinaryOp::LogicalAnd => Operator::LogicalAnd,
        ArithmeticBinaryOp::LogicalOr => Operator::LogicalOr,
        ArithmeticBinaryOp::Equal => Operator::Equal,
        ArithmeticBinaryOp::NotEqual => Operator::NotEqual,
        ArithmeticBinaryOp::LessThan => Operator::Less,
        ArithmeticBinaryOp::LessThanOrEqual => Operator::LessOrEqual,
        ArithmeticBinaryOp::Comma => Operator::Comma,
        _ => Operator::Other,
    }
}

/// A word that is only a text.
fn literal(text: &str, at: Range<usize>) -> Word {
    Word { parts: vec![Part::Text(text.to_owned())], text: text.to_owned(), quoted: false, at }
}

/// Without the backslashes that stand before other characters outside of quotes.
fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        out.extend(if c == '\\' { characters.next().filter(|c| *c != '\n') } else { Some(c) });
    }
    out
}
