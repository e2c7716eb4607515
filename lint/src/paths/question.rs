//! What `test`, `[[ … ]]` and `(( … ))` answer, where that is certain.

use super::state::State;
use super::value::Value;
use crate::shell::{Arithmetic, Operator};

/// What `test` or `[` answers about its arguments.
pub(super) fn test(arguments: &[Value]) -> Option<bool> {
    let text = |value: &Value| value.known().map(str::to_owned);
    match arguments {
        [] => Some(false),
        [one] => one.is_empty().map(|empty| !empty),
        [not, rest @ ..] if text(not).as_deref() == Some("!") && rest.len() < 4 => test(rest).map(|answer| !answer),
        [operator, one] => unary(&text(operator)?, one),
        [one, operator, other] => binary(one, &text(operator)?, other),
        parts => {
            let joined = |sign: &str| parts.iter().position(|part| part.known() == Some(sign));
            if let Some(at) = joined("-o") {
                either(test(&parts[..at]), test(&parts[at + 1..]))
            } else {
                let at = joined("-a")?;
                both(test(&parts[..at]), test(&parts[at + 1..]))
            }
        }
    }
}

pub(super) fn unary(operator: &str, value: &Value) -> Option<bool> {
    match operator {
        "-n" => value.is_empty().map(|empty| !empty),
        "-z" => value.is_empty(),
        _ => None,
    }
}

pub(super) fn binary(one: &Value, operator: &str, other: &Value) -> Option<bool> {
    match operator {
        "=" | "==" => one.equals(other),
        "!=" => one.equals(other).map(|is| !is),
        "-eq" => one.is_same_number(other),
        "-ne" => one.is_same_number(other).map(|is| !is),
        "-lt" => one.is_less(other),
        "-ge" => one.is_less(other).map(|is| !is),
        "-gt" => other.is_less(one),
        "-le" => other.is_less(one).map(|is| !is),
        _ => None,
    }
}

pub(super) fn both(a: Option<bool>, b: Option<bool>) -> Option<bool> {
    match (a, b) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (Some(true), Some(true)) => Some(true),
        _ => None,
    }
}

pub(super) fn either(a: Option<bool>, b: Option<bool>) -> Option<bool> {
    both(a.map(|a| !a), b.map(|b| !b)).map(|none| !none)
}

fn answer(is: Option<bool>) -> Value {
    is.map_or(Value::Unknown, |is| Value::number(i64::from(is)))
}

/// The value of an expression; what it assigns is assigned.
pub(super) fn value(
    expression: &Arithmetic,
    state: &mut State,
    word: &dyn Fn(&crate::shell::Word, &State) -> Value,
) -> Value {
    match expression {
        Arithmetic::Number(number) => Value::number(*number),
        Arithmetic::Variable(name) => match state.variables.get(name) {
            Some(value) if value.is_empty() == Some(true) => Value::zero(),
            Some(value) => value.clone(),
            None => Value::Unknown,
        },
        Arithmetic::Word(inner) => word(inner, state),
        Arithmetic::Not(inner) => answer(value(inner, state, word).is_zero()),
        Arithmetic::Assign(name, inner, before) => {
            let old = state.variables.get(name).cloned().unwrap_or(Value::Unknown);
            let new = value(inner, state, word);
            state.variables.insert(name.clone(), new.clone());
            if *before { old } else { new }
        }
        Arithmetic::Binary(a, operator, b) => {
            let (a, b) = (value(a, state, word), value(b, state, word));
            let is_true = |value: &Value| value.is_zero().map(|zero| !zero);
            match operator {
                Operator::Equal => answer(a.is_same_number(&b)),
                Operator::NotEqual => answer(a.is_same_number(&b).map(|is| !is)),
                Operator::Less => answer(a.is_less(&b)),
                Operator::LessOrEqual => answer(b.is_less(&a).map(|is| !is)),
                Operator::LogicalAnd => answer(both(is_true(&a), is_true(&b))),
                Operator::LogicalOr => answer(either(is_true(&a), is_true(&b))),
                Operator::Comma => b,
                Operator::Add | Operator::Or => sum(&a, *operator, &b),
                Operator::Other => Value::Unknown,
            }
        }
        Arithmetic::Unknown => Value::Unknown,
    }
}

/// Sums and unions of exit codes are 0 only if all of them are.
fn sum(a: &Value, operator: Operator, b: &Value) -> Value {
    match (a.as_number(), b.as_number()) {
        (Some(a), Some(b)) if operator == Operator::Add => a.checked_add(b).map_or(Value::Unknown, Value::number),
        (Some(a), Some(b)) => Value::number(a | b),
        (Some(0..), None) if *b == Value::Failed => Value::Failed,
        (None, Some(0..)) if *a == Value::Failed => Value::Failed,
        (None, None) if *a == Value::Failed && *b == Value::Failed => Value::Failed,
        _ => Value::Unknown,
    }
}
