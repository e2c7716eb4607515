//! What rules mean, said as plainly as it can be said: whole columns, by the words of the catalogue, without any fold.
//!
//! It is slow and only for tests: what replays use must give the same bits.

use super::catalogue::find;
use super::tree::{Call, Join, Node, Tree};
use crate::bar::{Bar, DAY, MINUTE, Nanos, Timeframe};
use crate::calendar::Session;

/// A bar and its session.
pub(super) type Dated = (Bar, Session);

/// Values of a part at each bar; a condition is 1, 0, or unknown.
pub(super) fn column(tree: &Tree, bars: &[Dated]) -> Vec<f64> {
    match &tree.node {
        Node::Number(number) => vec![*number; bars.len()],
        Node::Parameter(_) => unreachable!("rules of tests have no parameters"),
        Node::Call(call) => called(call, bars),
        Node::Field(of, field) => {
            let Node::Call(call) = &of.node else { unreachable!("only functions have fields") };
            fields(call, &field.text, bars)
        }
        Node::Back(of, by) => {
            let Node::Number(by) = by.node else { unreachable!("a number") };
            let of = column(of, bars);
            (0..bars.len()).map(|i| i.checked_sub(by as usize).map_or(f64::NAN, |i| of[i])).collect()
        }
        Node::At(of, width) => coarser(of, width.text.parse().expect("a width"), bars),
        Node::Not(of) => each(&[column(of, bars)], |v| 1.0 - v[0]),
        Node::Minus(of) => each(&[column(of, bars)], |v| -v[0]),
        Node::Joined(join, left, right) => {
            let [left, right] = [left, right].map(|part| column(part, bars));
            (0..bars.len()).map(|i| joined(*join, left[i], right[i])).collect()
        }
    }
}

/// What isn't finite is unknown; what needs an unknown value is.
fn each(of: &[Vec<f64>], make: impl Fn(&[f64]) -> f64) -> Vec<f64> {
    let at = |i: usize| -> f64 {
        let values: Vec<f64> = of.iter().map(|column| column[i]).collect();
        let value = if values.iter().any(|value| value.is_nan()) { f64::NAN } else { make(&values) };
        if value.is_finite() { value } else { f64::NAN }
    };
    (0..of[0].len()).map(at).collect()
}

fn joined(join: Join, a: f64, b: f64) -> f64 {
    let truth = |holds: bool| f64::from(u8::from(holds));
    let known = !a.is_nan() && !b.is_nan();
    match join {
        // Kleene (1938).
        Join::And if a == 0.0 || b == 0.0 => 0.0,
        Join::Or if a == 1.0 || b == 1.0 => 1.0,
        _ if !known => f64::NAN,
        Join::And => 1.0,
        Join::Or => 0.0,
        Join::Less => truth(a < b),
        Join::AtMost => truth(a <= b),
        Join::Greater => truth(a > b),
        Join::AtLeast => truth(a >= b),
        Join::Equal => truth(a == b),
        Join::Unequal => truth(a != b),
        Join::Plus | Join::Minus | Join::Times | Join::Over => {
            let value = match join {
                Join::Plus => a + b,
                Join::Minus => a - b,
                Join::Times => a * b,
                _ => a / b,
            };
            if value.is_finite() { value } else { f64::NAN }
        }
    }
}

/// The last n values at each bar, oldest first; unknown if one of them is.
fn window(of: &[f64], n: usize, make: impl Fn(&[f64]) -> f64) -> Vec<f64> {
    let at = |i: usize| -> f64 {
        let Some(first) = (i + 1).checked_sub(n) else { return f64::NAN };
        let values = &of[first..=i];
        if values.iter().any(|value| value.is_nan()) { f64::NAN } else { make(values) }
    };
    (0..of.len()).map(at).collect()
}

fn sum(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |sum, value| sum + value)
}

/// Exponential averages, from the mean of the first `seed` known values on; anew after an unknown one.
fn average(of: &[f64], weight: f64, seed: usize) -> Vec<f64> {
    let (mut known, mut value) = (Vec::new(), f64::NAN);
    of.iter()
        .map(|next| {
            if next.is_nan() {
                known.clear();
                return f64::NAN;
            }
            known.push(*next);
            match known.len() {
                n if n < seed => return f64::NAN,
                n if n == seed => value = sum(&known) / seed as f64,
                _ => value = weight * next + (1.0 - weight) * value,
            }
            value
        })
        .collect()
}

/// Stretches of bars between unknown values, each worked out for itself.
fn known_stretches(of: &[f64], make: impl Fn(&[f64]) -> Vec<f64>) -> Vec<f64> {
    let mut all = Vec::new();
    for stretch in of.split_inclusive(|value| value.is_nan()) {
        let known = stretch.strip_suffix(&[f64::NAN]).map_or(stretch, |_| &stretch[..stretch.len() - 1]);
        let ends = stretch.last().is_some_and(|value| value.is_nan());
        let known = if ends { &stretch[..stretch.len() - 1] } else { known };
        all.extend(make(known));
        all.extend(ends.then_some(f64::NAN));
    }
    all
}

fn rsi(of: &[f64], n: usize) -> Vec<f64> {
    known_stretches(of, |values| {
        let change = |i: usize| if i == 0 { f64::NAN } else { values[i] - values[i - 1] };
        let side = |sign: f64| -> Vec<f64> {
            (0..values.len()).map(|i| if i == 0 { f64::NAN } else { (sign * change(i)).max(0.0) }).collect()
        };
        let [rises, falls] = [1.0, -1.0].map(|sign| average(&side(sign), 1.0 / n as f64, n));
        (0..values.len()).map(|i| index(rises[i], falls[i])).collect()
    })
}

fn index(rise: f64, fall: f64) -> f64 {
    if rise == 0.0 {
        0.0
    } else if fall == 0.0 {
        100.0
    } else {
        100.0 - 100.0 / (1.0 + rise / fall)
    }
}

fn true_range(bars: &[Dated]) -> Vec<f64> {
    let at = |i: usize| {
        let bar = &bars[i].0;
        let before = i.checked_sub(1).map(|i| bars[i].0.close);
        before.map_or(bar.high - bar.low, |close| {
            (bar.high - bar.low).max((bar.high - close).abs()).max((bar.low - close).abs())
        })
    };
    (0..bars.len()).map(at).collect()
}

fn called(call: &Call, bars: &[Dated]) -> Vec<f64> {
    let name = call.name.text.as_str();
    assert!(find(name).is_some(), "{name}");
    if name == "session" {
        let mut all = Vec::new();
        for session in bars.chunk_by(|a, b| a.1.date == b.1.date) {
            all.extend(column(&call.arguments[0], session));
        }
        return all;
    }
    let of_bar = |make: fn(&Bar) -> f64| bars.iter().map(|(bar, _)| make(bar)).collect::<Vec<f64>>();
    let so_far = |make: fn(&[Dated]) -> f64| -> Vec<f64> {
        let of = |session: &[Dated]| (0..session.len()).map(|i| make(&session[..=i])).collect::<Vec<f64>>();
        bars.chunk_by(|a, b| a.1.date == b.1.date).flat_map(of).collect()
    };
    let given: Vec<Vec<f64>> = call.arguments.iter().map(|argument| column(argument, bars)).collect();
    let number = |i: usize| given[i].first().copied().unwrap_or(1.0);
    let n = |i: usize| number(i) as usize;
    match name {
        "open" => of_bar(|bar| bar.open),
        "high" => of_bar(|bar| bar.high),
        "low" => of_bar(|bar| bar.low),
        "close" => of_bar(|bar| bar.close),
        "volume" => of_bar(|bar| bar.volume),
        "hlc3" => of_bar(|bar| (bar.high + bar.low + bar.close) / 3.0),
        "session_open" => so_far(|bars| bars[0].0.open),
        "session_high" => so_far(|bars| bars.iter().map(|(bar, _)| bar.high).fold(f64::MIN, f64::max)),
        "session_low" => so_far(|bars| bars.iter().map(|(bar, _)| bar.low).fold(f64::MAX, f64::min)),
        "session_bars" => so_far(|bars| bars.len() as f64),
        "minute_of_session" => minutes(bars, 390.0, |bar, day| bar.end - day.open),
        "minutes_to_close" => minutes(bars, 0.0, |bar, day| day.close - bar.end),
        "sma" => window(&given[0], n(1), |values| sum(values) / values.len() as f64),
        "sum" | "count" => window(&given[0], n(1), sum),
        "highest" | "any" => window(&given[0], n(1), |values| values.iter().copied().fold(f64::MIN, f64::max)),
        "lowest" | "all" => window(&given[0], n(1), |values| values.iter().copied().fold(f64::MAX, f64::min)),
        "stdev" => window(&given[0], n(1), |values| {
            let count = values.len() as f64;
            let mean = sum(values) / count;
            (values.iter().fold(0.0, |sum, value| sum + (value - mean) * (value - mean)) / count).sqrt()
        }),
        "ema" => average(&given[0], 2.0 / (number(1) + 1.0), 1),
        "rma" => average(&given[0], 1.0 / number(1), n(1)),
        "roc" => window(&given[0], n(1) + 1, |values| {
            let change = (values[values.len() - 1] / values[0] - 1.0) * 100.0;
            if change.is_finite() { change } else { f64::NAN }
        }),
        "rsi" => rsi(&given[0], n(1)),
        "tr" => true_range(bars),
        // From the second bar on.
        "atr" => {
            let mut ranges = true_range(bars);
            ranges[0] = f64::NAN;
            average(&ranges, 1.0 / number(0), n(0))
        }
        "abs" => each(&given, |v| v[0].abs()),
        "min" => each(&given, |v| v[0].min(v[1])),
        "max" => each(&given, |v| v[0].max(v[1])),
        "sqrt" => each(&given, |v| v[0].sqrt()),
        "floor" => each(&given, |v| v[0].floor()),
        "log" => each(&given, |v| libm::log(v[0])),
        "exp" => each(&given, |v| libm::exp(v[0])),
        "if" => (0..bars.len())
            .map(|i| match given[0][i] {
                1.0 => given[1][i],
                0.0 => given[2][i],
                _ => f64::NAN,
            })
            .collect(),
        "crosses_above" => crossed(&given[0], &given[1]),
        "crosses_below" => crossed(&given[1], &given[0]),
        "value_when" => (0..bars.len())
            .map(|i| (0..=i).rev().find(|&i| given[0][i] == 1.0).map_or(f64::NAN, |i| given[1][i]))
            .collect(),
        "bars_since" => (0..bars.len())
            .map(|i| (0..=i).rev().find(|&at| given[0][at] == 1.0).map_or(f64::NAN, |at| (i - at) as f64))
            .collect(),
        other => unreachable!("{other} isn't interpreted"),
    }
}

fn minutes(bars: &[Dated], of_days: f64, of: fn(&Bar, &Session) -> Nanos) -> Vec<f64> {
    let at = |(bar, day): &Dated| if bar.end - bar.start < DAY { (of(bar, day) / MINUTE) as f64 } else { of_days };
    bars.iter().map(at).collect()
}

fn crossed(over: &[f64], under: &[f64]) -> Vec<f64> {
    let before = |of: &[f64], i: usize| i.checked_sub(1).map_or(f64::NAN, |i| of[i]);
    let at = |i: usize| {
        let now = joined(Join::Greater, over[i], under[i]);
        joined(Join::And, now, joined(Join::AtMost, before(over, i), before(under, i)))
    };
    (0..over.len()).map(at).collect()
}

fn fields(call: &Call, field: &str, bars: &[Dated]) -> Vec<f64> {
    let given: Vec<Vec<f64>> = call.arguments.iter().map(|argument| column(argument, bars)).collect();
    let (name, number) = (call.name.text.as_str(), |i: usize| given[i][0]);
    match name {
        "bollinger" => window(&given[0], number(1) as usize, |values| {
            let count = values.len() as f64;
            let mean = sum(values) / count;
            let spread = (values.iter().fold(0.0, |sum, value| sum + (value - mean) * (value - mean)) / count).sqrt();
            match field {
                "upper" => mean + number(2) * spread,
                "lower" => mean - number(2) * spread,
                _ => mean,
            }
        }),
        other => unreachable!("{other} isn't interpreted"),
    }
}

fn is_number(tree: &Tree) -> bool {
    const PLAIN: [&str; 8] = ["abs", "min", "max", "sqrt", "floor", "log", "exp", "if"];
    match &tree.node {
        Node::Call(call) => PLAIN.contains(&call.name.text.as_str()) && call.arguments.iter().all(is_number),
        Node::Back(..) => false,
        _ => tree.parts().into_iter().all(is_number),
    }
}

/// Of coarser bars, cut from each session and complete by the clock.
fn coarser(of: &Tree, width: Timeframe, bars: &[Dated]) -> Vec<f64> {
    // A number is the same of any bars.
    if is_number(of) {
        return column(of, bars);
    }
    let (mut built, mut complete): (Vec<Dated>, Vec<Nanos>) = (Vec::new(), Vec::new());
    for (bar, day) in bars {
        let whole_day = width == Timeframe::Day;
        let start = if whole_day { day.date.utc_midnight() } else { width.start_of(bar.start) };
        let end = start + width.width();
        if !(whole_day || start >= day.open && end <= day.close) {
            continue;
        }
        match built.last_mut() {
            Some((last, _)) if last.start == start => last.join(bar),
            _ => {
                built.push((Bar { start, end, ..*bar }, *day));
                complete.push(if whole_day { day.close } else { end });
            }
        }
    }
    // A value known at a bar's end is that of the coarser bars that are complete then, and of them alone.
    let known = |now: Nanos| complete.iter().take_while(|&&at| at <= now).count();
    bars.iter()
        .map(|(bar, _)| match known(bar.end) {
            0 => f64::NAN,
            count => column(of, &built[..count])[count - 1],
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::calendar;
    use crate::error::codes;
    use crate::indicator::Rolling;
    use crate::rules::{Names, compile, parse};

    /// Half hours of a few sessions, with some missing.
    fn bars(seed: &[u8]) -> Vec<Dated> {
        let mut price = 100.0;
        let mut all = Vec::new();
        let sessions = calendar::sessions("2024-07-01".parse().expect("a date"), "2024-07-12".parse().expect("a date"));
        let mut seeds = seed.iter().cycle();
        let mut next = || f64::from(*seeds.next().expect("endless"));
        for session in sessions {
            let mut start = session.open;
            while start + 30 * MINUTE <= session.close {
                let (jump, wide, volume, gap) = (next(), next(), next(), next());
                // Prices that meet again, so that equality happens.
                price = (price + (jump % 9.0) - 4.0).clamp(50.0, 150.0);
                let (high, low) = (price + wide % 4.0, price - wide % 3.0);
                let open = if wide % 2.0 == 0.0 { high } else { low };
                if gap % 11.0 != 0.0 {
                    all.push((Bar { start, end: start + 30 * MINUTE, open, high, low, close: price, volume }, session));
                }
                start += 30 * MINUTE;
            }
        }
        all
    }

    /// Of a rule in which nothing is wrong: a width may not fit into the one around it, and numbers are compared.
    fn compiled(text: &str, bars: &[Dated]) -> Option<Vec<f64>> {
        let (lets, parameters) = (BTreeMap::new(), BTreeMap::new());
        let names = Names::new(&lets, &parameters, Some(Timeframe::ThirtyMinutes));
        let typed = match compile(&parse(text).expect("a rule"), &names) {
            Err(fault) if [codes::RULE_WIDTH, codes::RULE_CONSTANT_CONDITION].contains(&fault.code) => return None,
            typed => typed.unwrap_or_else(|fault| panic!("{text}: {fault:?}")),
        };
        let mut rolling: Rolling = typed.indicator().expect("of bars").start("SPY".parse().expect("a symbol"));
        Some(bars.iter().map(|(bar, session)| rolling.next(bar, session)).collect())
    }

    fn same(a: &[f64], b: &[f64]) -> Option<usize> {
        (0..a.len()).find(|&i| !(a[i] == b[i] || a[i].is_nan() && b[i].is_nan()))
    }

    /// Texts of numbers and conditions, nested at random.
    fn texts() -> impl Strategy<Value = (String, String)> {
        let number = prop_oneof![
            Just("close"),
            Just("open"),
            Just("high"),
            Just("low"),
            Just("volume"),
            Just("hlc3"),
            Just("tr"),
            Just("session_high"),
            Just("session_low"),
            Just("session_open"),
            Just("session_bars"),
            Just("minute_of_session"),
            Just("100"),
            Just("0"),
            Just("1.5"),
            Just("rsi(close, 3)"),
            Just("atr(4)"),
        ]
        .prop_map(str::to_owned);
        let condition = prop_oneof![
            Just("close > open"),
            Just("close >= sma(close, 3)"),
            Just("rsi(close, 2) < 40"),
            Just("low == low[1]"),
            Just("session_bars <= 2"),
        ]
        .prop_map(str::to_owned);
        (number, condition).prop_recursive(5, 40, 3, |inner| {
            let n = || 1..6u32;
            let one = prop_oneof![
                (inner.clone(), n()).prop_map(|((x, c), n)| (format!("sma({x}, {n})"), format!("any({c}, {n})"))),
                (inner.clone(), n()).prop_map(|((x, c), n)| (format!("ema({x}, {n})"), format!("all({c}, {n})"))),
                (inner.clone(), n()).prop_map(|((x, c), n)| (format!("rma({x}, {n})"), format!("not ({c})[{n}]"))),
                (inner.clone(), n()).prop_map(|((x, c), n)| (format!("highest({x}, {n})"), format!("session({c})"))),
                (inner.clone(), n()).prop_map(|((x, c), n)| (format!("stdev({x}, {n})"), format!("({c}) @ 1h"))),
                (inner.clone(), n()).prop_map(|((x, c), n)| (format!("rsi({x}, {n})"), format!("count({c}, {n}) > 1"))),
                (inner.clone(), n())
                    .prop_map(|((x, c), n)| (format!("roc({x}, {n})"), format!("bars_since({c}) < {n}"))),
                (inner.clone(), n()).prop_map(|((x, c), n)| (format!("({x})[{n}]"), format!("({c}) @ 1d"))),
                (inner.clone(), n()).prop_map(|((x, c), n)| (
                    format!("bollinger({x}, {n}, 1.5).upper"),
                    format!("value_when({c}, {c})")
                )),
                inner.clone().prop_map(|(x, c)| (format!("session({x})"), format!("if({c}, close > 100, open > 100)"))),
                inner.clone().prop_map(|(x, c)| (format!("({x}) @ 1h"), format!("not ({c})"))),
                inner.clone().prop_map(|(x, c)| (format!("({x}) @ 1d"), c)),
                inner.clone().prop_map(|(x, c)| (format!("sqrt(abs({x}))"), c)),
                inner.clone().prop_map(|(x, c)| (format!("log({x})"), c)),
                inner.clone().prop_map(|(x, c)| (format!("-({x})"), c)),
                inner.clone().prop_map(|(x, c)| (format!("if({c}, {x}, 7)"), c)),
                inner.clone().prop_map(|(x, c)| (format!("value_when({c}, {x})"), c)),
            ];
            let two = (inner.clone(), inner, 0..10usize).prop_map(|((x, c), (y, d), which)| {
                let number = match which {
                    0 => format!("({x}) + ({y})"),
                    1 => format!("({x}) - ({y})"),
                    2 => format!("({x}) * ({y})"),
                    3 => format!("({x}) / ({y})"),
                    4 => format!("min({x}, {y})"),
                    _ => format!("max({x}, {y})"),
                };
                let joins = ["<", "<=", ">", ">=", "!="];
                let condition = match which {
                    0..5 if x.parse::<f64>().is_err() => format!("({x}) {} ({y})", joins[which]),
                    5 => format!("crosses_above({x}, {y})"),
                    6 => format!("crosses_below({x}, {y})"),
                    7 => format!("({c}) or ({d})"),
                    _ => format!("({c}) and ({d})"),
                };
                (number, condition)
            });
            prop_oneof![one, two]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]

        /// What replays use gives the bits of the plain meaning, and what comes later changes nothing.
        #[test]
        fn compiled_rules_mean_what_they_say((number, condition) in texts(), seed in prop::collection::vec(any::<u8>(), 5..40), cut in 1..90usize) {
            let bars = bars(&seed);
            // Days on which nothing was traded at all.
            prop_assume!(!bars.is_empty());
            for text in [number, condition] {
                let tree = parse(&text).expect("a rule");
                let Some(fast) = compiled(&text, &bars) else { continue };
                let plain = column(&tree, &bars);
                prop_assert_eq!(same(&fast, &plain), None, "{}: {:?} {:?}", text, fast, plain);
                let cut = cut.min(bars.len());
                let early = compiled(&text, &bars[..cut]).expect("the same rule");
                prop_assert_eq!(same(&early, &fast[..cut]), None, "{} looks ahead", text);
            }
        }
    }
}
