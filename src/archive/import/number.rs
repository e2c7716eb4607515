//! Numbers as files write them: by points or commas, in groups of thousands, with a dollar sign.

use crate::error::{Error, Result, codes, quoted};

/// What parts a number's fraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) enum Decimal {
    /// `1,234.5`
    #[default]
    Point,
    /// `1.234,5`
    Comma,
}

/// What the numbers of a file show of their decimals.
#[derive(Clone, Debug, Default)]
pub(crate) struct Evidence {
    point: Option<String>,
    comma: Option<String>,
    /// Three digits behind a comma, which may be either.
    open: Option<String>,
    /// Three digits behind a point, which may be either.
    open_point: Option<String>,
}

impl Evidence {
    /// Looks at one number.
    pub(crate) fn look(&mut self, text: &str) {
        if !text.contains(',') && (self.point.is_some() || !text.contains('.')) {
            return;
        }
        let keep = |slot: &mut Option<String>| {
            slot.get_or_insert_with(|| text.to_owned());
        };
        let after = |sign: char| {
            text.rsplit_once(sign).map_or(0, |(_, rest)| rest.bytes().take_while(u8::is_ascii_digit).count())
        };
        match (text.matches(',').count(), text.matches('.').count()) {
            (0, 1) if after('.') != 3 => keep(&mut self.point),
            (0, 2..) => keep(&mut self.comma),
            (0, 1) => keep(&mut self.open_point),
            (0, _) => {}
            (2.., 0) => keep(&mut self.point),
            (1, 0) if after(',') != 3 => keep(&mut self.comma),
            (_, 0) => keep(&mut self.open),
            _ if text.rfind(',') > text.rfind('.') => keep(&mut self.comma),
            _ => keep(&mut self.point),
        }
    }

    /// The decimals of a file whose fields are parted by `separator`; what was assumed, if anything.
    ///
    /// # Errors
    /// Data error if numbers contradict each other.
    pub(crate) fn settle(&self, separator: u8) -> Result<(Decimal, Option<String>)> {
        match (&self.point, &self.comma, &self.open) {
            (Some(point), Some(comma), _) => Err(Error::new(
                codes::BAD_VALUE,
                format!("{} has a decimal point, {} a decimal comma", quoted(point), quoted(comma)),
            )
            .help("write all numbers of a file alike")),
            (None, Some(_), _) => Ok((Decimal::Comma, Some("numbers have decimal commas".to_owned()))),
            (None, None, Some(open)) if separator != b',' => {
                if let Some(point) = &self.open_point {
                    let what =
                        format!("{} and {} don't tell which sign is the decimal one", quoted(point), quoted(open));
                    return Err(Error::new(codes::BAD_VALUE, what).help("write numbers without groups of thousands"));
                }
                Ok((Decimal::Comma, Some(format!("the comma of {} is a decimal one", quoted(open)))))
            }
            (None, None, Some(open)) => {
                Ok((Decimal::Point, Some(format!("the comma of {} parts thousands", quoted(open)))))
            }
            _ => Ok((Decimal::Point, None)),
        }
    }
}

/// Reads one number of a column.
///
/// # Errors
/// Data error that names the column.
pub(crate) fn number(text: &str, decimal: Decimal, column: &str) -> Result<f64> {
    // A plain number is what nearly all are.
    if decimal == Decimal::Point
        && let Ok(number) = text.parse()
    {
        return Ok(number);
    }
    let fault = |code, what: String| Err(Error::new(code, format!("column {column}: {what}")));
    if text.is_empty() {
        return fault(codes::MISSING_VALUE, "the field is empty".to_owned());
    }
    match written(text, decimal) {
        Some(number) => Ok(number),
        None => fault(codes::BAD_VALUE, format!("{} is not a number", quoted(text))),
    }
}

/// A number with signs: `$1,234.50`, `1.234,5`, `12.3M`.
fn written(text: &str, decimal: Decimal) -> Option<f64> {
    let text = text.trim().trim_start_matches(['$', '\u{20ac}', '\u{a3}']).trim();
    if text.len() > 40 {
        return None;
    }
    let (text, times) = match text.as_bytes().last()? {
        b'K' | b'k' => (&text[..text.len() - 1], 1e3),
        b'M' | b'm' => (&text[..text.len() - 1], 1e6),
        b'B' | b'b' => (&text[..text.len() - 1], 1e9),
        _ => (text, 1.0),
    };
    let (point, group) = if decimal == Decimal::Point { ('.', ',') } else { (',', '.') };
    let (whole, fraction) = text.split_once(point).unwrap_or((text, ""));
    let mut groups = whole.split([group, ' ', '\'', '\u{a0}', '\u{202f}']);
    let first = groups.next()?;
    let rest: Vec<&str> = groups.collect();
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let grouped =
        rest.is_empty() || (first.trim_start_matches('-').len() <= 3 && rest.iter().all(|g| g.len() == 3 && digits(g)));
    if !grouped || !(digits(fraction) || (rest.is_empty() && fraction.contains(['e', 'E']))) {
        return None;
    }
    let number: f64 = format!("{first}{}.{fraction}", rest.concat()).trim_end_matches('.').parse().ok()?;
    number.is_finite().then_some(number * times)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_they_are_meant() {
        for (text, decimal, number) in [
            ("1.5", Decimal::Point, 1.5),
            ("$1,234.50", Decimal::Point, 1234.5),
            ("1,253,358", Decimal::Point, 1_253_358.0),
            ("1.253.358", Decimal::Comma, 1_253_358.0),
            ("100,012", Decimal::Comma, 100.012),
            ("1.234,5", Decimal::Comma, 1234.5),
            ("100", Decimal::Comma, 100.0),
            ("12.5M", Decimal::Point, 12_500_000.0),
            ("1e3", Decimal::Point, 1000.0),
        ] {
            assert_eq!(super::number(text, decimal, "x").ok(), Some(number), "{text}");
        }
        for bad in ["", "ten", "1,2", "1,23.5", "--", "1.2.3", "$"] {
            assert!(super::number(bad, Decimal::Point, "x").is_err(), "{bad}");
        }
    }

    #[test]
    fn decimals_are_settled_by_any_number_of_the_file() {
        let settle = |texts: &[&str], separator| {
            let mut evidence = Evidence::default();
            texts.iter().for_each(|t| evidence.look(t));
            evidence.settle(separator).map(|d| d.0).ok()
        };
        assert_eq!(settle(&["100,012", "99,51"], b';'), Some(Decimal::Comma));
        assert_eq!(settle(&["100,012"], b';'), Some(Decimal::Comma));
        assert_eq!(settle(&["100,012"], b','), Some(Decimal::Point));
        assert_eq!(settle(&["100.25", "1,253,358"], b';'), Some(Decimal::Point));
        assert_eq!(settle(&["1.253.358", "3,5"], b';'), Some(Decimal::Comma));
        assert_eq!(settle(&["1.25", "3,5"], b';'), None);
    }
}
