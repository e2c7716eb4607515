//! The words of a rule.

use winnow::ascii::{digit1, multispace0};
use winnow::combinator::{alt, eof, not, opt, peek, preceded, repeat, terminated};
use winnow::prelude::*;
use winnow::token::{any, one_of, take_while};

use super::tree::Place;

/// A word of a rule.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Number(f64),
    /// `$name`
    Parameter(String),
    Name(String),
    /// `SYM:`
    Symbol(String),
    /// `@ 5m`
    Width(String),
    /// An operator, a bracket or a comma.
    Mark(&'static str),
}

impl Token {
    /// As a message shows it.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Parameter(name) => format!("${name}"),
            Self::Name(name) => name.clone(),
            Self::Symbol(symbol) => format!("{symbol}:"),
            Self::Width(width) => format!("@ {width}"),
            Self::Mark(mark) => (*mark).to_owned(),
        }
    }
}

/// A word and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Placed {
    pub(super) token: Token,
    pub(super) place: Place,
}

const MARKS: [&str; 17] = ["<=", ">=", "==", "!=", "<", ">", "+", "-", "*", "/", "(", ")", "[", "]", ",", ".", "@"];

fn name<'t>(text: &mut &'t str) -> ModalResult<&'t str> {
    let start = one_of(|c: char| c.is_ascii_alphabetic() || c == '_');
    (start, take_while(0.., |c: char| c.is_ascii_alphanumeric() || c == '_')).take().parse_next(text)
}

/// `digits [ "." digits ] [ ("e"|"E") ["+"|"-"] digits ]`
fn number(text: &mut &str) -> ModalResult<f64> {
    let exponent = (one_of(['e', 'E']), opt(one_of(['+', '-'])), digit1);
    let written = (digit1, opt(('.', digit1)), opt(exponent)).take();
    // `2x` is no number.
    terminated(written, not(name))
        .verify_map(|text: &str| text.parse().ok().filter(|n: &f64| n.is_finite()))
        .parse_next(text)
}

/// `letters, digits, "." and "-"`, directly before a colon.
fn symbol(text: &mut &str) -> ModalResult<String> {
    let letters = take_while(1.., |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-');
    terminated(letters, ':').map(str::to_owned).parse_next(text)
}

fn width(text: &mut &str) -> ModalResult<String> {
    let width = (digit1, one_of(['m', 'h', 'd', 'w'])).take();
    preceded(('@', multispace0), terminated(width, not(name))).map(str::to_owned).parse_next(text)
}

fn mark(text: &mut &str) -> ModalResult<&'static str> {
    let rest = *text;
    let found = MARKS.into_iter().find(|mark| rest.starts_with(mark));
    match found {
        Some(mark) => mark.value(mark).parse_next(text),
        None => winnow::combinator::fail.parse_next(text),
    }
}

fn token(text: &mut &str) -> ModalResult<Token> {
    alt((
        symbol.map(Token::Symbol),
        width.map(Token::Width),
        number.map(Token::Number),
        preceded('$', name).map(|name: &str| Token::Parameter(name.to_owned())),
        name.map(|name: &str| Token::Name(name.to_owned())),
        mark.map(Token::Mark),
    ))
    .parse_next(text)
}

/// All words; or what is none, and its place.
pub(super) fn tokens(text: &str) -> Result<Vec<Placed>, Place> {
    let mut rest = text;
    let mut found = Vec::new();
    let at = |rest: &str| text[..text.len() - rest.len()].chars().count();
    let space = |rest: &mut &str| -> ModalResult<()> { multispace0.void().parse_next(rest) };
    loop {
        let _ = space(&mut rest);
        let start = at(rest);
        if peek(eof::<_, winnow::error::ErrMode<winnow::error::ContextError>>).parse_next(&mut rest).is_ok() {
            return Ok(found);
        }
        let before = rest;
        match token(&mut rest) {
            Ok(token) => {
                // Its own characters: a width's `@` stands before it.
                let end = at(rest);
                let start = match &token {
                    Token::Width(width) => end - width.len(),
                    _ => start,
                };
                found.push(Placed { token, place: Place { start, end } });
            }
            Err(_) => {
                rest = before;
                let strange: usize = repeat(1.., preceded(not(space_or_mark), any).void())
                    .map(|all: Vec<()>| all.len())
                    .parse_next(&mut rest)
                    .unwrap_or(1);
                return Err(Place { start, end: start + strange });
            }
        }
    }
}

fn space_or_mark(text: &mut &str) -> ModalResult<()> {
    alt((one_of(char::is_whitespace).void(), mark.void())).parse_next(text)
}
