//! From a rule's text to its tree.
//!
//! ```text
//! expr  = or        or    = and { "or" and }         and  = not { "and" not }       not = [ "not" ] cmp
//! cmp   = sum [ ("<" | "<=" | ">" | ">=" | "==" | "!=") sum ]
//! sum   = prod { ("+" | "-") prod }                  prod = unary { ("*" | "/") unary }
//! unary = [ "-" ] post                               post = atom { "." field | "[" (digits | "$" name) "]" | "@" width }
//! atom  = number | "$" name | [ SYMBOL ":" ] name [ "(" [ expr { "," expr } ] ")" ] | "(" expr ")"
//! ```

use super::fault::Fault;
use super::token::{Placed, Token, tokens};
use super::tree::{Call, Join, Node, Place, Tree, Word};
use crate::error::codes;

/// The longest rule, characters.
const LONGEST: usize = 4_096;
/// The deepest nesting.
const DEEPEST: usize = 64;

/// Words that name nothing.
pub(super) const RESERVED: [&str; 3] = ["and", "or", "not"];

/// Reads a rule.
///
/// # Errors
/// The first thing in it that is no rule, with its column.
pub fn parse(text: &str) -> Result<Tree, Fault> {
    let length = text.chars().count();
    if length > LONGEST {
        let what = format!("the rule has {length} characters, at most {LONGEST} are read");
        let place = Place { start: LONGEST, end: length };
        return Err(Fault::new(codes::RULE_TOO_LONG, place, what).help("give parts of it names under `let`"));
    }
    let tokens = tokens(text).map_err(|place| {
        let strange: String = text.chars().skip(place.start).take((place.end - place.start).min(20)).collect();
        Fault::new(codes::RULE_SYNTAX, place, format!("`{strange}` means nothing in a rule"))
            .help("rules have numbers, names, $parameters, + - * / < <= > >= == != and or not, ( ) [ ] , . @")
    })?;
    let mut parser = Parser { tokens: &tokens, at: 0, depth: 0, end: length };
    let tree = parser.or()?;
    match parser.peek() {
        None => Ok(tree),
        Some(_) => Err(parser.unexpected("an operator, or the end of the rule")),
    }
}

struct Parser<'t> {
    tokens: &'t [Placed],
    at: usize,
    depth: usize,
    /// Characters of the text.
    end: usize,
}

type Parsed = Result<Tree, Fault>;

impl Parser<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|placed| &placed.token)
    }

    fn place(&self) -> Place {
        self.tokens.get(self.at).map_or(Place { start: self.end, end: self.end + 1 }, |placed| placed.place)
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(self.peek(), Some(Token::Name(name)) if name == word)
    }

    /// Steps over a mark, if it is next; its place.
    fn mark(&mut self, mark: &str) -> Option<Place> {
        let is_next = matches!(self.peek(), Some(Token::Mark(next)) if *next == mark);
        is_next.then(|| self.step())
    }

    fn step(&mut self) -> Place {
        let place = self.place();
        self.at += 1;
        place
    }

    fn expect(&mut self, mark: &str, why: &str) -> Result<Place, Fault> {
        self.mark(mark).ok_or_else(|| self.unexpected(&format!("`{mark}`{why}")))
    }

    fn unexpected(&self, expected: &str) -> Fault {
        let found = self.peek().map_or_else(|| "the rule ends".to_owned(), |token| format!("`{}`", token.text()));
        let what = match self.peek() {
            None => format!("the rule ends where {expected} is expected"),
            Some(_) => format!("{found} stands where {expected} is expected"),
        };
        let fault = Fault::new(codes::RULE_SYNTAX, self.place(), what);
        match self.peek() {
            Some(Token::Mark("<" | "<=" | ">" | ">=" | "==" | "!=")) => {
                fault.help("comparisons don't chain: write `a < b and b < c`")
            }
            _ => fault,
        }
    }

    /// One level deeper, if that isn't too deep.
    fn deeper(&mut self, parse: impl FnOnce(&mut Self) -> Parsed) -> Parsed {
        if self.depth == DEEPEST {
            let what = format!("the rule is nested more than {DEEPEST} deep");
            return Err(Fault::new(codes::RULE_TOO_DEEP, self.place(), what).help("give parts of it names under `let`"));
        }
        self.depth += 1;
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    fn or(&mut self) -> Parsed {
        self.deeper(|parser| {
            let mut left = parser.and()?;
            while parser.is_word("or") {
                parser.step();
                left = joined(Join::Or, left, parser.and()?);
            }
            Ok(left)
        })
    }

    fn and(&mut self) -> Parsed {
        let mut left = self.not()?;
        while self.is_word("and") {
            self.step();
            left = joined(Join::And, left, self.not()?);
        }
        Ok(left)
    }

    fn not(&mut self) -> Parsed {
        if !self.is_word("not") {
            return self.comparison();
        }
        let place = self.step();
        let of = self.comparison()?;
        Ok(Tree { place: place.to(of.place), node: Node::Not(Box::new(of)) })
    }

    fn comparison(&mut self) -> Parsed {
        use Join::{AtLeast, AtMost, Equal, Greater, Less, Unequal};
        let left = self.sum()?;
        match self.join(&[Less, AtMost, Greater, AtLeast, Equal, Unequal]) {
            None => Ok(left),
            Some(join) => Ok(joined(join, left, self.sum()?)),
        }
    }

    fn sum(&mut self) -> Parsed {
        let mut left = self.product()?;
        while let Some(join) = self.join(&[Join::Plus, Join::Minus]) {
            left = joined(join, left, self.product()?);
        }
        Ok(left)
    }

    fn product(&mut self) -> Parsed {
        let mut left = self.unary()?;
        while let Some(join) = self.join(&[Join::Times, Join::Over]) {
            left = joined(join, left, self.unary()?);
        }
        Ok(left)
    }

    fn join(&mut self, among: &[Join]) -> Option<Join> {
        among.iter().copied().find(|join| self.mark(join.text()).is_some())
    }

    fn unary(&mut self) -> Parsed {
        match self.mark("-") {
            None => self.postfix(),
            Some(place) => {
                let of = self.postfix()?;
                Ok(Tree { place: place.to(of.place), node: Node::Minus(Box::new(of)) })
            }
        }
    }

    fn postfix(&mut self) -> Parsed {
        let mut of = self.atom()?;
        let mut count = 0;
        loop {
            let start = of.place;
            if self.mark(".").is_some() {
                let field = self.word("the name of a field")?;
                of = Tree { place: start.to(field.place), node: Node::Field(Box::new(of), field) };
            } else if self.mark("[").is_some() {
                let bars = self.bars()?;
                let end = self.expect("]", "")?;
                of = Tree { place: start.to(end), node: Node::Back(Box::new(of), Box::new(bars)) };
            } else if let Some(Token::Width(width)) = self.peek() {
                let text = width.clone();
                let place = self.step();
                of = Tree { place: start.to(place), node: Node::At(Box::new(of), Word { text, place }) };
            } else if self.mark("@").is_some() {
                let what = "a width is expected after `@`".to_owned();
                return Err(
                    Fault::new(codes::RULE_WIDTH, self.place(), what).help("widths are 5m, 1h, 1d, 1w and alike")
                );
            } else {
                return Ok(of);
            }
            count += 1;
            if self.depth + count > DEEPEST {
                let what = format!("the rule is nested more than {DEEPEST} deep");
                return Err(Fault::new(codes::RULE_TOO_DEEP, start, what));
            }
        }
    }

    /// How many bars ago.
    fn bars(&mut self) -> Parsed {
        let node = match self.peek() {
            Some(Token::Number(number)) => Node::Number(*number),
            Some(Token::Parameter(name)) => Node::Parameter(name.clone()),
            _ => return Err(self.unexpected("a number of bars, or a parameter")),
        };
        Ok(Tree { place: self.step(), node })
    }

    fn word(&mut self, what: &str) -> Result<Word, Fault> {
        match self.peek() {
            Some(Token::Name(name)) if !RESERVED.contains(&name.as_str()) => {
                Ok(Word { text: name.clone(), place: self.step() })
            }
            _ => Err(self.unexpected(what)),
        }
    }

    fn atom(&mut self) -> Parsed {
        let place = self.place();
        let node = match self.peek() {
            Some(Token::Number(number)) => Node::Number(*number),
            Some(Token::Parameter(name)) => Node::Parameter(name.clone()),
            Some(Token::Symbol(symbol)) => {
                let symbol = Word { text: symbol.clone(), place };
                self.step();
                let name = self.word("a name")?;
                return self.call(Some(symbol), name);
            }
            Some(Token::Mark("(")) => {
                self.step();
                let of = self.or()?;
                let end = self.expect(")", " or an operator")?;
                // Its first character is the bracket.
                return Ok(Tree { place: place.to(end), ..of });
            }
            _ => {
                let name = self.word("a value")?;
                return self.call(None, name);
            }
        };
        Ok(Tree { place: self.step(), node })
    }

    fn call(&mut self, symbol: Option<Word>, name: Word) -> Parsed {
        let start = symbol.as_ref().map_or(name.place, |symbol| symbol.place);
        let (mut place, mut arguments) = (start.to(name.place), Vec::new());
        if self.mark("(").is_some() {
            while arguments.is_empty() || self.mark(",").is_some() {
                if arguments.is_empty() && matches!(self.peek(), Some(Token::Mark(")"))) {
                    break;
                }
                arguments.push(self.or()?);
            }
            place = place.to(self.expect(")", " or `,`")?);
        }
        Ok(Tree { place, node: Node::Call(Call { symbol, name, arguments }) })
    }
}

fn joined(join: Join, left: Tree, right: Tree) -> Tree {
    Tree { place: left.place.to(right.place), node: Node::Joined(join, Box::new(left), Box::new(right)) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(text: &str) -> String {
        parse(text).expect("a rule").to_string()
    }

    fn refused(text: &str) -> (&'static str, usize) {
        let fault = parse(text).expect_err("no rule");
        (fault.code.slug(), fault.place.column())
    }

    #[test]
    fn what_binds_tighter_needs_no_parentheses() {
        for (text, plain) in [
            ("a or b and not c < d", "a or b and not c < d"),
            ("(a or b) and (not (c))", "(a or b) and not c"),
            ("a - (b - c)", "a - (b - c)"),
            ("(a - b) - c", "a - b - c"),
            ("-(x[1])", "-x[1]"),
            ("(-x)[1]", "(-x)[1]"),
            ("close>sma(close,50)@1d", "close > sma(close, 50) @ 1d"),
            ("(close @ 1d)[1]", "close @ 1d[1]"),
            ("close[1] @ 1d", "close[1] @ 1d"),
            ("SPY:sma(close, 50).x[$n]", "SPY:sma(close, 50).x[$n]"),
            ("BRK.B:close * 2e-3", "BRK.B:close * 0.002"),
            ("volume()", "volume"),
        ] {
            assert_eq!(written(text), plain, "{text}");
        }
    }

    #[test]
    fn the_column_is_that_of_the_unexpected_word() {
        for (text, code, column) in [
            ("", "rule-syntax", 1),
            ("close >", "rule-syntax", 8),
            ("close > > 1", "rule-syntax", 9),
            ("1 < 2 < 3", "rule-syntax", 7),
            ("not not a", "rule-syntax", 5),
            ("- - a", "rule-syntax", 3),
            ("a < not b", "rule-syntax", 5),
            ("sma(close, 5", "rule-syntax", 13),
            ("sma(close,, 5)", "rule-syntax", 11),
            ("sma(, 5)", "rule-syntax", 5),
            ("(a", "rule-syntax", 3),
            ("a)", "rule-syntax", 2),
            ("a b", "rule-syntax", 3),
            ("x[close]", "rule-syntax", 3),
            ("x[1", "rule-syntax", 4),
            ("x. 5", "rule-syntax", 4),
            (".5", "rule-syntax", 1),
            ("close # 1", "rule-syntax", 7),
            ("é > 1", "rule-syntax", 1),
            ("a and", "rule-syntax", 6),
            ("5x", "rule-syntax", 1),
            ("SPY:", "rule-syntax", 5),
            ("SPY:5", "rule-syntax", 5),
            ("close @ day", "rule-width", 9),
            ("close @", "rule-width", 8),
        ] {
            assert_eq!(refused(text), (code, column), "{text}");
        }
        assert_eq!(refused(&"(".repeat(1_000)), ("rule-too-deep", DEEPEST + 1));
        assert_eq!(refused(&"a + ".repeat(2_000)).0, "rule-too-long");
    }

    proptest! {
        #[test]
        fn no_text_is_too_much(text in "\\PC{0,60}|[a-c0-9$@:.,()<>=!+*/ \\[\\]-]{0,60}|((and|or|not|sma|close|\\(|\\)|[<>+*-]|[0-9]) ?){0,30}") {
            if let Err(fault) = parse(&text) {
                prop_assert!(fault.place.start <= text.chars().count());
            }
        }

        #[test]
        fn what_is_written_reads_the_same(text in "(close|\\$x|2\\.5|not a|sma\\(close, 5\\)|SPY:low|\\(a or b\\))( (and|or|<|>=|\\+|-|\\*|/) (close|\\$x|7|-a|x\\[3\\]|high @ 1h|\\(b - c\\))){0,6}") {
            if let Ok(tree) = parse(&text) {
                let again = tree.to_string();
                prop_assert_eq!(parse(&again).expect("what is written is a rule").to_string(), again);
            }
        }
    }
}
