//! Choosing and weighting: ranks, equal parts, inverse volatility.

use super::contract::Member;
use crate::bar::Symbol;

/// The `count` members with the greatest values, greatest first. Ties stand alphabetically; members whose value isn't a
/// number have no rank.
pub fn best<I: Copy>(members: &[Member<I>], count: usize, value: impl Fn(&Member<I>) -> f64) -> Vec<Symbol> {
    ranked(members, count, |member| -value(member))
}

/// As [`best`], with the smallest values.
pub fn worst<I: Copy>(members: &[Member<I>], count: usize, value: impl Fn(&Member<I>) -> f64) -> Vec<Symbol> {
    ranked(members, count, value)
}

fn ranked<I: Copy>(members: &[Member<I>], count: usize, key: impl Fn(&Member<I>) -> f64) -> Vec<Symbol> {
    let mut known: Vec<(f64, Symbol)> =
        members.iter().map(|m| (key(m), m.symbol)).filter(|(k, _)| !k.is_nan()).collect();
    known.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    known.into_iter().take(count).map(|(_, symbol)| symbol).collect()
}

/// Equal parts of `gross`, a part of equity; negative is short.
pub fn equal(symbols: &[Symbol], gross: f64) -> Vec<(Symbol, f64)> {
    let part = gross / symbols.len() as f64;
    symbols.iter().map(|&symbol| (symbol, part)).collect()
}

/// Parts of `gross` in inverse proportion to each one's volatility. Who has none above zero has no part.
pub fn inverse_volatility(volatilities: &[(Symbol, f64)], gross: f64) -> Vec<(Symbol, f64)> {
    let known = volatilities.iter().filter(|(_, v)| *v > 0.0 && v.is_finite());
    let inverse: Vec<(Symbol, f64)> = known.map(|(symbol, volatility)| (*symbol, 1.0 / volatility)).collect();
    let sum = inverse.iter().fold(0.0, |sum, (_, part)| sum + part);
    inverse.into_iter().map(|(symbol, part)| (symbol, gross * part / sum)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bar::Bar;
    use crate::strategy::Position;

    fn member(name: &str, value: f64) -> Member<[f64; 1]> {
        let bar = Bar { start: 0, end: 1, open: 1.0, high: 1.0, low: 1.0, close: 1.0, volume: 1.0 };
        let symbol = name.parse().expect("a symbol");
        Member { symbol, bar, inputs: [value], position: Position::default(), index: 0 }
    }

    #[test]
    fn ranks_are_by_value_then_by_name_and_leave_out_what_has_none() {
        let members = [member("A", 2.0), member("B", 5.0), member("C", f64::NAN), member("D", 5.0)];
        let names = |symbols: Vec<Symbol>| symbols.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(names(best(&members, 2, |m| m.inputs[0])), ["B", "D"]);
        assert_eq!(names(worst(&members, 9, |m| m.inputs[0])), ["A", "B", "D"]);
    }

    #[test]
    fn inverse_volatility_gives_the_calmer_one_more() {
        let symbol = |name: &str| name.parse::<Symbol>().expect("a symbol");
        let parts = inverse_volatility(&[(symbol("A"), 0.1), (symbol("B"), 0.3), (symbol("C"), 0.0)], 1.0);
        assert_eq!(parts.len(), 2);
        assert!((parts[0].1 - 0.75).abs() < 1e-12 && (parts[1].1 - 0.25).abs() < 1e-12, "{parts:?}");
    }
}
