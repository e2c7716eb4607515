//! What is meant where a text isn't JSON: what people write by habit of other languages, or by a slip.

use std::ops::Range;

use jsonc_parser::errors::ParseErrorKind as Kind;
use jsonc_parser::{ParseOptions, ParseStringErrorKind as InString, parse_to_ast};

use crate::finding::nearest;

/// A slip: where, what, and what to write instead.
pub(super) struct Slip {
    pub(super) range: Range<usize>,
    pub(super) what: String,
    pub(super) help: String,
}

impl Slip {
    fn new(range: Range<usize>, what: impl Into<String>, help: impl Into<String>) -> Self {
        Self { range, what: what.into(), help: help.into() }
    }
}

/// JSON and nothing else.
const STRICT: ParseOptions = ParseOptions {
    allow_comments: false,
    allow_loose_object_property_names: false,
    allow_trailing_commas: false,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: false,
};

/// The first slip in a text that is no JSON; `refused` is the byte at which a parser gave up. None, if no rule knows it.
pub(super) fn find(text: &str, refused: usize) -> Option<Slip> {
    before_any_token(text)
        .or_else(|| broken_text(text, refused))
        .or_else(|| invisible(text, refused))
        .or_else(|| in_tokens(text))
}

/// What the file as a whole is.
fn before_any_token(text: &str) -> Option<Slip> {
    let begins = text.len() - text.trim_start().len();
    let Some(first) = text[begins..].chars().next() else {
        return Some(Slip::new(0..0, "the file is empty", "write an object: `{` … `}`"));
    };
    let mark = ["<<<<<<< ", "||||||| ", ">>>>>>> "].iter().find_map(|mark| at_line_start(text, mark));
    if let Some(at) = mark {
        return Some(Slip::new(at..at + 7, "a merge left its mark here", "choose one side and remove the marks"));
    }
    let range = begins..begins + first.len_utf8();
    match first {
        '<' => {
            Some(Slip::new(range, "this is HTML or XML, not JSON", "save the JSON itself, not a page that shows it"))
        }
        // Comments and quotes have rules of their own; a list is JSON.
        '{' | '[' | '/' | '#' | '"' | '\'' => None,
        _ => {
            let word = word_at(text, begins);
            let what = format!("a config begins with an opening brace, this text with `{word}`");
            Some(Slip::new(begins..begins + word.len(), what, "write JSON: { \"strategy\": { … }, … }"))
        }
    }
}

fn at_line_start(text: &str, mark: &str) -> Option<usize> {
    if text.starts_with(mark) { Some(0) } else { text.find(&format!("\n{mark}")).map(|at| at + 1) }
}

/// A text that goes over its line, or holds a character that must be escaped.
fn broken_text(text: &str, refused: usize) -> Option<Slip> {
    // Parsers name the character or the one before it.
    let first = text.floor_char_boundary(refused.saturating_sub(1));
    let (at, control) = text[first..].char_indices().take(3).find(|(_, c)| c.is_control() && *c != '\r')?;
    let at = first + at;
    let line = text[..at].rfind('\n').map_or(0, |at| at + 1);
    let opens = opening_quote(&text[line..at])? + line;
    match control {
        '\n' => Some(Slip::new(
            opens..at,
            "a text isn't closed on its line",
            "close it with a double quote; a line break inside a text is written \\n",
        )),
        '\t' => Some(Slip::new(at..at + 1, "a tab inside a text", "write \\t, or a space")),
        c => {
            let what = format!("a control character (U+{:04X}) inside a text", u32::from(c));
            Some(Slip::new(at..at + c.len_utf8(), what, "delete it"))
        }
    }
}

/// Where the last text of a line begins, if it isn't closed.
fn opening_quote(line: &str) -> Option<usize> {
    let (mut opens, mut escaped) = (None, false);
    for (at, c) in line.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if opens.is_some() => escaped = true,
            '"' => opens = if opens.is_some() { None } else { Some(at) },
            _ => {}
        }
    }
    opens
}

/// Space that is none to JSON, as it comes with text copied from a page.
fn invisible(text: &str, refused: usize) -> Option<Slip> {
    let at = text.floor_char_boundary(refused.min(text.len()));
    let near = text[..at].chars().next_back().map(|c| (at - c.len_utf8(), c));
    let here = text[at..].chars().next().map(|c| (at, c));
    let unseen =
        |c: &char| !c.is_ascii() && (c.is_whitespace() || ('\u{200b}'..='\u{200f}').contains(c) || *c == '\u{feff}');
    let (at, c) = [here, near].into_iter().flatten().find(|(_, c)| unseen(c))?;
    let what = format!("an invisible character that is no plain space (U+{:04X})", u32::from(c));
    Some(Slip::new(at..at + c.len_utf8(), what, "delete it, or write a plain space"))
}

/// What a parser of JSON and its dialects finds, and what is meant by it.
fn in_tokens(text: &str) -> Option<Slip> {
    let err = parse_to_ast(text, &Default::default(), &STRICT).err()?;
    let range = err.range().start..err.range().end.max(err.range().start);
    let next = range.start + text[range.start..].len() - text[range.start..].trim_start().len();
    let word = word_at(text, next);
    let here = next..next + word.len().max(1);
    let before = text[..range.start].trim_end();
    let slip = match err.kind() {
        Kind::CommentsNotAllowed | Kind::UnterminatedCommentBlock => comment(range),
        Kind::TrailingCommasNotAllowed => trailing_comma(range),
        Kind::SingleQuotedStringsNotAllowed => {
            Slip::new(here, "single quotes: JSON has double quotes only", "write the text in double quotes: \"…\"")
        }
        Kind::NonFiniteNumbersNotAllowed => not_finite(here, word),
        Kind::ExpectedStringObjectProperty => bare_key(here, word),
        Kind::ExpectedComma => missing_comma(text, range.start, here, word),
        Kind::ExpectedColonAfterObjectKey => no_colon(here, word),
        Kind::HexadecimalNumbersNotAllowed
        | Kind::UnaryPlusNumbersNotAllowed
        | Kind::BareDecimalPointNumbersNotAllowed
        | Kind::ExpectedDigit
        | Kind::ExpectedPlusMinusOrDigitInNumberLiteral
        | Kind::ExpectedDigitFollowingNegativeSign => no_number(text, start_of_word(text, range.start)),
        Kind::MultipleRootJsonValues => Slip::new(
            here,
            "the config ends before this: its last brace is closed",
            "remove what follows, or a `}` too many above",
        ),
        Kind::UnterminatedObject => unclosed(text, range.start, '{', '}'),
        Kind::UnterminatedArray => unclosed(text, range.start, '[', ']'),
        Kind::String(kind) => in_text(text, range, kind),
        Kind::UnexpectedCloseBracket | Kind::UnexpectedCloseBrace | Kind::UnexpectedComma if before.ends_with(':') => {
            Slip::new(range, "a value is missing before this", "write a value after the colon")
        }
        Kind::UnexpectedCloseBracket | Kind::UnexpectedCloseBrace if before.ends_with(',') => {
            trailing_comma(before.len() - 1..before.len())
        }
        Kind::UnexpectedCloseBracket => Slip::new(
            range,
            "`]` where no list is open",
            "close what was opened last: `}`, or write the value that is missing",
        ),
        Kind::UnexpectedCloseBrace => Slip::new(
            range,
            "`}` where no object is open, or a value is missing",
            "close what was opened last: `]`, or write the value",
        ),
        Kind::UnexpectedComma => {
            Slip::new(range, "a comma with nothing before it", "remove the comma, or write what is missing")
        }
        Kind::UnexpectedColon => Slip::new(
            range,
            "a colon where a value was expected",
            "remove it, or write a key in double quotes before it",
        ),
        Kind::ExpectedObjectValue => Slip::new(here, "a value is missing", "write a value after the colon"),
        Kind::UnexpectedWord => bare_word(here, word),
        Kind::UnexpectedToken | Kind::UnexpectedTokenInObject => odd_token(text, range),
        Kind::NestingDepthExceeded => return None,
    };
    Some(slip)
}

fn comment(range: Range<usize>) -> Slip {
    Slip::new(range, "a comment: JSON has no comments", "remove it")
}

fn trailing_comma(range: Range<usize>) -> Slip {
    Slip::new(range, "a comma after the last entry: JSON has none there", "remove the comma")
}

fn not_finite(range: Range<usize>, word: &str) -> Slip {
    Slip::new(range, format!("`{word}`: JSON has no such number"), "leave the key out, or write a finite number")
}

/// A key without quotes, or the rest of a number with separators.
fn bare_key(range: Range<usize>, word: &str) -> Slip {
    match word.chars().all(|c| c.is_ascii_digit()) {
        true => {
            Slip::new(range, format!("`,{word}`: a number has no separators of thousands"), "write 100000, not 100,000")
        }
        false => Slip::new(range, format!("the key `{word}` has no quotes"), format!("write \"{word}\"")),
    }
}

fn missing_comma(text: &str, after: usize, here: Range<usize>, word: &str) -> Slip {
    if here.start > after || word.starts_with(['"', '{', '[']) {
        let what = "a comma is missing before this: entries are separated by commas";
        return Slip::new(here, what, "write a comma behind the entry before");
    }
    // Digits and letters in a row.
    no_number(text, start_of_word(text, after))
}

fn no_colon(range: Range<usize>, word: &str) -> Slip {
    match word {
        "=" => Slip::new(range, "`=` between key and value: JSON has a colon", "write `:`"),
        _ => Slip::new(range, "a colon is missing between key and value", "write \"key\": value"),
    }
}

fn no_number(text: &str, at: usize) -> Slip {
    let word = word_at(text, at);
    let plain: String = word.chars().filter(|c| *c != '_').collect();
    if word.to_lowercase().trim_start_matches(['-', '+']).starts_with(['i', 'n']) {
        return not_finite(at..at + word.len(), word);
    }
    let help = match plain.trim_start_matches('+').parse::<f64>() {
        Ok(number) if number.is_finite() => format!("write {number}"),
        _ => "write digits alone, e.g. 1000 or 0.5; a text needs double quotes".to_owned(),
    };
    Slip::new(at..at + word.len().max(1), format!("`{word}` is no number in JSON"), help)
}

fn unclosed(text: &str, opens: usize, open: char, close: char) -> Slip {
    let line = text[..opens].matches('\n').count() + 1;
    let what = format!("the text ends, and `{open}` of line {line} isn't closed");
    let end = text.trim_end().len();
    Slip::new(end.saturating_sub(1)..end, what, format!("write `{close}` where it ends"))
}

fn in_text(text: &str, range: Range<usize>, kind: &InString) -> Slip {
    match kind {
        InString::UnterminatedStringLiteral => {
            Slip::new(range, "a text isn't closed", "close it with a double quote on its line")
        }
        InString::InvalidUnicodeEscapeSequence(_) | InString::ExpectedFourHexDigits => {
            Slip::new(range, "\\u needs the four hexadecimal digits of a character", "write the character itself")
        }
        _ => {
            let from = text.floor_char_boundary(range.start.saturating_sub(1));
            let escape: String = text[from..].chars().skip_while(|c| *c != '\\').take(2).collect();
            let named = if escape.is_empty() { "a backslash".to_owned() } else { format!("`{escape}`") };
            Slip::new(range, format!("{named} is no escape of JSON"), "a backslash is written twice: \\\\")
        }
    }
}

/// A word that is no value: of another language, or a text without quotes.
fn bare_word(range: Range<usize>, word: &str) -> Slip {
    let small = word.to_lowercase();
    let meant = match nearest(&small, ["true", "false", "null"]).unwrap_or(&small) {
        "true" | "yes" | "on" => "true",
        "false" | "no" | "off" => "false",
        "none" | "nil" | "null" | "undefined" => "null",
        "nan" | "inf" | "infinity" => return not_finite(range, word),
        _ => return Slip::new(range, format!("the text `{word}` has no quotes"), format!("write \"{word}\"")),
    };
    let help = match meant {
        "null" => "leave the key out".to_owned(),
        _ => format!("write {meant}"),
    };
    Slip::new(range, format!("`{word}` is no value of JSON, which writes {meant}"), help)
}

fn odd_token(text: &str, range: Range<usize>) -> Slip {
    let rest = &text[range.start..];
    let odd = rest.chars().next().unwrap_or_default();
    if text[..range.start].ends_with(|c: char| c.is_ascii_digit() || c == '.') && (odd.is_alphanumeric() || odd == '_')
    {
        return no_number(text, start_of_word(text, range.start));
    }
    match rest.chars().next().unwrap_or_default() {
        '#' => comment(range),
        '“' | '”' | '„' | '‘' | '’' | '`' | '«' | '»' => Slip::new(
            range,
            "typographic quotes: JSON has plain double quotes only",
            "write the text in plain double quotes: \"…\"",
        ),
        ';' => Slip::new(
            range,
            "a semicolon: entries are separated by commas",
            "write a comma, or nothing behind the last entry",
        ),
        '=' => no_colon(range.start..range.start + 1, "="),
        ',' => Slip::new(range, "a comma with nothing before it", "remove the comma, or write what is missing"),
        '(' | ')' => Slip::new(range, "parentheses: a list has brackets", "write [ … ]"),
        '{' | '[' => Slip::new(range, "a key is missing before this", "write \"key\": before it"),
        ':' => Slip::new(range, "a colon without a key", "write the key in double quotes before it"),
        _ if rest.starts_with("/") => comment(range),
        first if first.is_alphanumeric() || "$@_".contains(first) => {
            bare_word(range.start..range.start + word_at(text, range.start).len(), word_at(text, range.start))
        }
        _ => Slip::new(
            range,
            format!("`{odd}` means nothing here"),
            "remove it, or put the text that it belongs to in double quotes",
        ),
    }
}

/// The word at a byte: what stands there up to white space and punctuation, at most 40 characters.
fn word_at(text: &str, at: usize) -> &str {
    let rest = &text[at..];
    let ends = |c: char| c.is_whitespace() || ",:;{}[]\"'=".contains(c);
    let end = rest.char_indices().find(|(i, c)| (*i > 0 && ends(*c)) || *i >= 40).map_or(rest.len(), |(i, _)| i);
    &rest[..end]
}

/// Where the word that ends at a byte begins.
fn start_of_word(text: &str, end: usize) -> usize {
    text[..end].rfind(|c: char| c.is_whitespace() || ",:[{".contains(c)).map_or(0, |at| at + 1)
}
