//! Which points a sweep visits: axes of values, conditions between them, all or a random part.

use std::collections::{BTreeSet, HashSet};
use std::str::FromStr;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, Result, codes};

/// Most values of one axis.
const LONGEST: f64 = 1_000_000.0;
/// Most combinations of a grid that is drawn from: below this doubles, and draws, are exact.
const MOST: u64 = 1 << 53;
/// Most combinations that are looked through for those that meet conditions.
const MOST_VISITED: u64 = 1 << 28;
/// Most points of one sweep.
const MOST_POINTS: usize = 1 << 24;

/// A parameter and the values it takes: `key=a..b`, `key=a..b:step` (both ends included) or
/// `key=v1,v2`.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// A parameter (`rsi_period`), one symbol's (`TSLA.rsi_period`), or a path of the config.
    pub key: String,
    /// Its values, in order.
    pub values: Vec<Value>,
}

impl FromStr for Axis {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (key, values) = text
            .split_once('=')
            .filter(|(key, values)| !key.is_empty() && !values.is_empty())
            .ok_or_else(|| not_an_axis(format!("`{text}` is not key=values")))?;
        let values = match values.split_once("..") {
            Some((from, rest)) => {
                let (to, step) = rest.split_once(':').unwrap_or((rest, "1"));
                parse_range(from, to, step).map_err(|what| not_an_axis(format!("the range `{values}` {what}")))?
            }
            None => values.split(',').map(word).collect(),
        };
        Ok(Self { key: key.to_owned(), values })
    }
}

/// The next step stands in the message itself, since a command line shows no more of the error.
fn not_an_axis(what: String) -> Error {
    Error::new(codes::BAD_ARGUMENT, format!("{what}; write key=5..44, key=0.1..0.5:0.1 or key=v1,v2"))
}

/// The values of a range, or what is wrong with it.
fn parse_range(from: &str, to: &str, step: &str) -> std::result::Result<Vec<Value>, &'static str> {
    let finite = |text: &str| text.parse::<f64>().ok().filter(|n| n.is_finite()).ok_or("is not made of numbers");
    let (from, to, step) = (finite(from)?, finite(to)?, finite(step)?);
    match () {
        () if step <= 0.0 => Err("has a step that isn't above 0"),
        () if from > to => Err("ends before it begins"),
        () => range(from, to, step).ok_or("has too many values"),
    }
}

/// `from`, `from + step`, … up to `to`: each is worked out from the start, so that no rounding
/// adds up.
fn range(from: f64, to: f64, step: f64) -> Option<Vec<Value>> {
    let count = ((to - from) / step + 1e-9).floor() + 1.0;
    (step > 0.0 && (1.0..=LONGEST).contains(&count))
        .then(|| (0..count as u64).map(|i| number(from + i as f64 * step)).collect())
}

/// A whole number where it is one, else rounded to what its digits say.
fn number(value: f64) -> Value {
    let value = format!("{value:.12}").parse().unwrap_or(value);
    whole(value).unwrap_or_else(|| Value::from(value))
}

/// A number without a fraction as a whole number.
fn whole(value: f64) -> Option<Value> {
    (value.fract() == 0.0 && value.abs() < 9e15).then(|| Value::from(value as i64))
}

/// A value as JSON, or a word. A number is written in one way only.
pub(crate) fn word(text: &str) -> Value {
    match serde_json::from_str::<Value>(text) {
        Ok(Value::Number(n)) => whole(n.as_f64().unwrap_or(f64::NAN)).unwrap_or(Value::Number(n)),
        Ok(value) => value,
        Err(_) => Value::String(text.to_owned()),
    }
}

/// A sweep's points: every combination of the axes' values that meets all conditions.
#[derive(Clone, Debug, Default)]
pub struct Grid {
    /// The axes; the last one varies fastest.
    pub axes: Vec<Axis>,
    /// What must hold between keys.
    pub conditions: Vec<Condition>,
}

impl Grid {
    /// Refuses a grid that contradicts itself or is too large.
    ///
    /// # Errors
    /// Usage error for a key or a value that stands twice, a condition on a key that isn't swept,
    /// or more than 2^53 combinations.
    pub fn check(&self) -> Result<()> {
        let mut seen = BTreeSet::new();
        if let Some(twice) = self.axes.iter().find(|axis| !seen.insert(&axis.key)) {
            return Err(Error::new(codes::BAD_ARGUMENT, format!("the key {} is swept twice", twice.key)));
        }
        for condition in &self.conditions {
            if let Some(key) = condition.keys().into_iter().find(|key| self.axes.iter().all(|axis| axis.key != *key)) {
                let swept: Vec<&str> = self.axes.iter().map(|axis| axis.key.as_str()).collect();
                return Err(Error::new(codes::BAD_ARGUMENT, format!("`{}`: {key} is not swept", condition.text))
                    .help(format!("conditions may name {}", swept.join(", "))));
            }
        }
        for axis in &self.axes {
            let mut seen = HashSet::new();
            if let Some(twice) = axis.values.iter().find(|value| !seen.insert(value.to_string())) {
                return Err(Error::new(
                    codes::BAD_ARGUMENT,
                    format!("{}: the value {twice} is listed twice", axis.key),
                ));
            }
        }
        match self.combinations() {
            Some(_) => Ok(()),
            None => Err(Error::new(codes::BAD_ARGUMENT, "the grid has more than 2^53 combinations")
                .help("take larger steps, or fewer keys")),
        }
    }

    /// Combinations before conditions; none if there are too many.
    pub fn combinations(&self) -> Option<u64> {
        let product = self.axes.iter().try_fold(1u64, |n, axis| n.checked_mul(axis.values.len() as u64));
        product.filter(|n| *n <= MOST)
    }

    /// The values of one combination, in the order of the axes.
    pub fn values(&self, combination: u64) -> Vec<&Value> {
        let axes = self.axes.iter().rev();
        let mut values: Vec<&Value> = axes.zip(self.indices(combination)).map(|(axis, i)| &axis.values[i]).collect();
        values.reverse();
        values
    }

    /// Which value of each axis a combination takes, last axis first.
    pub(crate) fn indices(&self, mut combination: u64) -> impl Iterator<Item = usize> {
        self.axes.iter().rev().map(move |axis| {
            let n = axis.values.len() as u64;
            let i = (combination % n) as usize;
            combination /= n;
            i
        })
    }

    /// `key=value` of one combination.
    pub fn describe(&self, combination: u64) -> String {
        let values = self.values(combination);
        let pairs: Vec<String> = self.axes.iter().zip(values).map(|(axis, v)| format!("{}={v}", axis.key)).collect();
        pairs.join(" ")
    }

    fn holds(&self, combination: u64) -> bool {
        if self.conditions.is_empty() {
            return true;
        }
        let values = self.values(combination);
        let value = |key: &str| self.axes.iter().position(|axis| axis.key == key).and_then(|i| values[i].as_f64());
        self.conditions.iter().all(|condition| condition.holds(&value))
    }

    /// All combinations that meet the conditions, in order.
    ///
    /// # Errors
    /// Usage error if there are more than a sweep can hold.
    pub fn all(&self) -> Result<Vec<u64>> {
        if self.combinations().is_none_or(|n| n > MOST_VISITED) {
            return Err(Error::new(codes::BAD_ARGUMENT, format!("the grid has more than {MOST_VISITED} combinations"))
                .help("take larger steps, or a random part with --random N"));
        }
        let mut all = Vec::new();
        for combination in (0..self.combinations().unwrap_or(0)).filter(|&c| self.holds(c)) {
            if all.len() == MOST_POINTS {
                return Err(Error::new(codes::BAD_ARGUMENT, format!("the grid has more than {MOST_POINTS} points"))
                    .help("take larger steps, or a random part with --random N"));
            }
            all.push(combination);
        }
        Ok(all)
    }

    /// `count` different combinations that meet the conditions, drawn evenly, in order; of a grid
    /// of up to 2^24 combinations all of them, if there are no more. The same seed draws the same.
    ///
    /// # Errors
    /// Usage error if so few combinations meet the conditions that they can't be found.
    pub fn random(&self, count: usize, seed: u64) -> Result<Vec<u64>> {
        if count == 0 || count > MOST_POINTS {
            return Err(Error::new(
                codes::BAD_ARGUMENT,
                format!("{count} random points; allowed are 1 to {MOST_POINTS}"),
            ));
        }
        let combinations = self.combinations().unwrap_or(0);
        if combinations <= MOST_POINTS as u64 {
            let all = self.all()?;
            return Ok(sample(all.len(), count, seed).into_iter().map(|i| all[i]).collect());
        }
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut drawn = BTreeSet::new();
        for _ in 0..1_000_000 + 20 * count {
            if drawn.len() == count {
                return Ok(drawn.into_iter().collect());
            }
            let combination = below(combinations, &mut random);
            if self.holds(combination) {
                drawn.insert(combination);
            }
        }
        Err(Error::new(codes::BAD_ARGUMENT, "too few combinations meet the conditions to draw from")
            .help("name ranges that the conditions leave more of"))
    }
}

/// Which points of a grid are visited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Choice {
    /// All.
    All,
    /// So many, drawn evenly.
    Random {
        /// How many.
        count: usize,
        /// The same seed draws the same.
        seed: u64,
    },
}

impl Choice {
    /// The combinations visited, in order.
    ///
    /// # Errors
    /// As [`Grid::all`] and [`Grid::random`].
    pub fn points(self, grid: &Grid) -> Result<Vec<u64>> {
        match self {
            Self::All => grid.all(),
            Self::Random { count, seed } => grid.random(count, seed),
        }
    }
}

/// `count` different numbers below `of`, drawn evenly, in order; all if there are no more.
pub fn sample(of: usize, count: usize, seed: u64) -> Vec<usize> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let count = count.min(of);
    let mut drawn: BTreeSet<usize> = BTreeSet::new();
    // Floyd: each step draws below one more number, and takes the new one if it was drawn before.
    for last in of - count..of {
        let pick = below(last as u64 + 1, &mut random) as usize;
        if !drawn.insert(pick) {
            drawn.insert(last);
        }
    }
    drawn.into_iter().collect()
}

/// A number below `limit`: a product of 64-bit numbers, whose upper half is even to within one
/// in 2^32 for limits of up to 2^32.
fn below(limit: u64, random: &mut ChaCha8Rng) -> u64 {
    ((u128::from(random.next_u64()) * u128::from(limit)) >> 64) as u64
}

/// A comparison of two sums of products of keys and numbers: `lower < upper - 2`.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    text: String,
    left: Sum,
    compare: Compare,
    right: Sum,
}

/// Terms with their signs.
type Sum = Vec<(f64, Product)>;

/// A factor, then what it is multiplied or divided by, the remainder being kept.
type Product = (Factor, Vec<(Operator, Factor)>);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Operator {
    Times,
    Remainder,
}

#[derive(Clone, Debug, PartialEq)]
enum Factor {
    Key(String),
    Minus(String),
    Number(f64),
}

impl Factor {
    fn evaluate(&self, value: &impl Fn(&str) -> Option<f64>) -> f64 {
        match self {
            Self::Number(number) => *number,
            Self::Key(key) => value(key).unwrap_or(f64::NAN),
            Self::Minus(key) => -value(key).unwrap_or(f64::NAN),
        }
    }

    fn key(&self) -> Option<&str> {
        match self {
            Self::Key(key) | Self::Minus(key) => Some(key),
            Self::Number(_) => None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Compare {
    Less,
    AtMost,
    More,
    AtLeast,
    Equal,
    Unequal,
}

/// Longer signs first, so that `<=` isn't read as `<`.
const SIGNS: [(&str, Compare); 6] = [
    ("<=", Compare::AtMost),
    (">=", Compare::AtLeast),
    ("==", Compare::Equal),
    ("!=", Compare::Unequal),
    ("<", Compare::Less),
    (">", Compare::More),
];

impl FromStr for Condition {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        parse_condition(text).ok_or_else(|| {
            let example = "hysteresis_lower < hysteresis_upper - 2";
            let what = format!("`{text}` is not a comparison of keys and numbers, such as \"{example}\"");
            Error::new(codes::BAD_ARGUMENT, what)
        })
    }
}

fn parse_condition(text: &str) -> Option<Condition> {
    let (sign, compare) = SIGNS.into_iter().find(|(sign, _)| text.contains(sign))?;
    let (left, right) = text.split_once(sign)?;
    Some(Condition { text: text.to_owned(), left: sum(left)?, compare, right: sum(right)? })
}

/// `a - 2 * b % 3`; none if a term is missing or is no name or number.
fn sum(text: &str) -> Option<Sum> {
    let mut rest = text.trim();
    let mut terms = Vec::new();
    let mut sign = 1.0;
    loop {
        let (first, after) = factor(rest)?;
        rest = after;
        let mut more = Vec::new();
        while let Some(after) = rest.strip_prefix(['*', '%']) {
            let operator = if rest.starts_with('%') { Operator::Remainder } else { Operator::Times };
            let (next, after) = factor(after)?;
            more.push((operator, next));
            rest = after;
        }
        terms.push((sign, (first, more)));
        sign = match rest.chars().next() {
            None => return Some(terms),
            Some('+') => 1.0,
            Some('-') => -1.0,
            Some(_) => return None,
        };
        rest = &rest[1..];
    }
}

/// A name or a number, with its signs, and what follows it.
fn factor(text: &str) -> Option<(Factor, &str)> {
    let text = text.trim_start();
    if let Some(positive) = text.strip_prefix('-') {
        let (factor, rest) = factor(positive)?;
        let negative = match factor {
            Factor::Number(n) => Factor::Number(-n),
            Factor::Key(key) => Factor::Minus(key),
            Factor::Minus(key) => Factor::Key(key),
        };
        return Some((negative, rest));
    }
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    let mut end = text.find(|c| !is_name(c)).unwrap_or(text.len());
    let begins_number = text.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    // An exponent may have a sign: 1e-3.
    if begins_number && text[..end].ends_with(['e', 'E']) && text[end..].starts_with(['-', '+']) {
        end += 1 + text[end + 1..].find(|c| !is_name(c)).unwrap_or(text.len() - end - 1);
    }
    let (word, rest) = (&text[..end], text[end..].trim_start());
    let factor = match word.parse::<f64>() {
        Ok(number) if number.is_finite() => Factor::Number(number),
        _ if word.is_empty() || begins_number => return None,
        _ => Factor::Key(word.to_owned()),
    };
    Some((factor, rest))
}

impl Condition {
    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    fn keys(&self) -> Vec<&str> {
        let products = self.left.iter().chain(&self.right).map(|(_, product)| product);
        let factors = products.flat_map(|(first, more)| std::iter::once(first).chain(more.iter().map(|(_, f)| f)));
        factors.filter_map(Factor::key).collect()
    }

    /// Whether it holds. A value that is no number meets no condition.
    fn holds(&self, value: &impl Fn(&str) -> Option<f64>) -> bool {
        let (a, b) = (evaluate_sum(&self.left, value), evaluate_sum(&self.right, value));
        match self.compare {
            Compare::Less => a < b,
            Compare::AtMost => a <= b,
            Compare::More => a > b,
            Compare::AtLeast => a >= b,
            Compare::Equal => a == b,
            Compare::Unequal => a != b && !a.is_nan() && !b.is_nan(),
        }
    }
}

/// The value of a sum; NaN if a key has none.
fn evaluate_sum(sum: &Sum, value: &impl Fn(&str) -> Option<f64>) -> f64 {
    sum.iter().map(|(sign, product)| sign * evaluate_product(product, value)).sum()
}

fn evaluate_product((first, more): &Product, value: &impl Fn(&str) -> Option<f64>) -> f64 {
    more.iter().fold(first.evaluate(value), |product, (operator, factor)| match operator {
        Operator::Times => product * factor.evaluate(value),
        Operator::Remainder => product % factor.evaluate(value),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn axis(text: &str) -> Vec<Value> {
        text.parse::<Axis>().expect("an axis").values
    }

    #[test]
    fn ranges_include_both_ends_and_do_not_drift() {
        assert_eq!(axis("k=5..8"), [json!(5), json!(6), json!(7), json!(8)]);
        assert_eq!(axis("k=0.1..0.5:0.1"), [json!(0.1), json!(0.2), json!(0.3), json!(0.4), json!(0.5)]);
        assert_eq!(axis("k=-20..-10:5"), [json!(-20), json!(-15), json!(-10)]);
        assert_eq!(axis("k=prior_low,running_low"), [json!("prior_low"), json!("running_low")]);
        for bad in ["k", "=1", "k=", "k=5..1", "k=1..5:0", "k=1..x", "k=0..1e12"] {
            assert!(bad.parse::<Axis>().is_err(), "{bad}");
        }
    }

    fn grid(axes: &[&str], conditions: &[&str]) -> Grid {
        let axes = axes.iter().map(|a| a.parse().expect("an axis")).collect();
        let conditions = conditions.iter().map(|c| c.parse().expect("a condition")).collect();
        Grid { axes, conditions }
    }

    fn all(grid: &Grid) -> Vec<u64> {
        grid.all().expect("few")
    }

    #[test]
    fn the_last_axis_varies_fastest_and_conditions_hold() {
        let grid = grid(&["a=1..3", "b=1..3"], &["a < b"]);
        let points: Vec<Vec<&Value>> = all(&grid).into_iter().map(|c| grid.values(c)).collect();
        assert_eq!(points, [[&json!(1), &json!(2)], [&json!(1), &json!(3)], [&json!(2), &json!(3)]]);
    }

    #[test]
    fn conditions_are_sums_of_products() {
        for (condition, count) in [
            ("b == a + 1", 2),
            ("b >= 2 * a", 2),
            ("-a + b != 0", 6),
            ("a * b <= 2", 3),
            ("b > a - 0.5", 6),
            ("a % 2 == b % 2", 5),
            ("2 * a % 3 == 1", 3),
            ("a > 1e-1", 9),
            ("a * -1 == -b", 3),
            ("a - -1 == b", 2),
        ] {
            assert_eq!(grid(&["a=1..3", "b=1..3"], &[condition]).all().expect("few").len(), count, "{condition}");
        }
        for bad in ["a", "a <", "a < b c", "a + < b", "a ~ b"] {
            assert!(bad.parse::<Condition>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_grid_that_contradicts_itself_or_is_too_large_is_refused() {
        assert!(grid(&["a=1..3", "a=1..3"], &[]).check().is_err());
        assert!(grid(&["a=1..3"], &["a < b"]).check().is_err());
        assert!(grid(&["a=1..1000000", "b=1..1000000", "c=1..1000000"], &[]).check().is_err());
        assert!(grid(&["a=1..3"], &["a < 3"]).check().is_ok());
    }

    #[test]
    fn a_random_part_is_even_different_and_the_same_for_one_seed() {
        let grid = grid(&["a=0..9", "b=0..9"], &["a != b"]);
        let draw = |count, seed| grid.random(count, seed).expect("enough");
        assert_eq!(draw(20, 7), draw(20, 7));
        assert_ne!(draw(20, 7), draw(20, 8));
        assert_eq!(draw(1_000, 7), all(&grid));
        let mut hits = [0u32; 100];
        for seed in 0..2_000 {
            let drawn = draw(9, seed);
            assert_eq!(drawn.iter().collect::<BTreeSet<_>>().len(), 9);
            drawn.into_iter().for_each(|c| hits[c as usize] += 1);
        }
        // 200 expected of each of the 90, standard deviation 13.
        for c in all(&grid) {
            assert!((130..270).contains(&hits[c as usize]), "{c}: {}", hits[c as usize]);
        }
    }
}
