//! A plain line chart as SVG: what a researcher looks at first. The pages with everything are the shell's.

use std::fmt::Write as _;
use std::path::Path;

use crate::bar::Date;
use crate::disk::write::write_whole;
use crate::error::{Error, Result, codes};

/// Width and height of the picture, pixels.
const SIZE: (f64, f64) = (960.0, 420.0);
/// Space left of, right of, above and below the lines, pixels.
const MARGIN: (f64, f64, f64, f64) = (80.0, 20.0, 60.0, 30.0);
/// Colours of the lines, told apart by people who can't tell red from green.
const COLOURS: [&str; 4] = ["#8c8c8c", "#0072b2", "#e69f00", "#009e73"];
/// How many values the vertical axis names.
const TICKS: usize = 5;

/// One line of a chart.
pub(crate) struct Line<'a> {
    pub(crate) name: &'a str,
    /// One value a session.
    pub(crate) values: &'a [f64],
}

/// Writes a chart of lines over sessions.
pub(crate) fn write(path: &Path, title: &str, dates: &[Date], lines: &[Line<'_>]) -> Result<()> {
    let drawn = svg(title, dates, lines);
    write_whole(path, drawn.as_bytes(), 0o666)
        .map_err(|e| Error::new(codes::CANNOT_WRITE, format!("can't write the plot: {e}")).at(path.display()))
}

fn svg(title: &str, dates: &[Date], lines: &[Line<'_>]) -> String {
    let ((width, height), (left, right, top, bottom)) = (SIZE, MARGIN);
    let values = || lines.iter().flat_map(|line| line.values.iter().copied());
    let (low, high) = (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max));
    let span = if high > low { high - low } else { 1.0 };
    let x = |i: usize| left + (width - left - right) * i as f64 / dates.len().saturating_sub(1).max(1) as f64;
    let y = |value: f64| height - bottom - (height - top - bottom) * (value - low) / span;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n<text x=\"{left}\" y=\"22\" font-size=\"14\">{}</text>\n",
        escaped(title)
    );
    for tick in 0..TICKS {
        let value = low + span * tick as f64 / (TICKS - 1) as f64;
        let (at, end) = (y(value), width - right);
        let _ = writeln!(
            text,
            "<path d=\"M{left} {at:.1}H{end}\" stroke=\"#ddd\"/><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{value:.0}</text>",
            left - 6.0,
            at + 4.0
        );
    }
    if let [first, .., last] = dates {
        let (at, end) = (height - 8.0, width - right);
        let _ = writeln!(
            text,
            "<text x=\"{left}\" y=\"{at}\">{first}</text><text x=\"{end}\" y=\"{at}\" text-anchor=\"end\">{last}</text>"
        );
    }
    for (line, colour) in lines.iter().zip(COLOURS.iter().cycle()) {
        let points: Vec<String> =
            line.values.iter().enumerate().map(|(i, value)| format!("{:.1},{:.1}", x(i), y(*value))).collect();
        let _ = writeln!(text, "<polyline fill=\"none\" stroke=\"{colour}\" points=\"{}\"/>", points.join(" "));
    }
    for (i, (line, colour)) in lines.iter().zip(COLOURS.iter().cycle()).enumerate() {
        let (at, name) = (left + 140.0 * i as f64, escaped(line.name));
        let _ = writeln!(text, "<text x=\"{at}\" y=\"44\" fill=\"{colour}\">{name}</text>");
    }
    text + "</svg>\n"
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_inside_the_picture_and_names_are_escaped() {
        let dates = ["2024-07-01", "2024-07-02", "2024-07-03"].map(|d| d.parse::<Date>().expect("a date"));
        let drawn = svg("a < b", &dates, &[Line { name: "x & y", values: &[3.0, 1.0, 2.0] }]);
        assert!(drawn.contains("a &lt; b") && drawn.contains("x &amp; y"));
        let points = drawn.split("points=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a line");
        let points: Vec<(f64, f64)> = points
            .split(' ')
            .map(|p| p.split_once(',').expect("a pair"))
            .map(|(x, y)| (x.parse().expect("a number"), y.parse().expect("a number")))
            .collect();
        assert_eq!(points, [(80.0, 60.0), (510.0, 390.0), (940.0, 225.0)]);
    }

    #[test]
    fn lines_that_never_move_and_empty_ones_are_drawn() {
        let dates = ["2024-07-01".parse::<Date>().expect("a date")];
        assert!(svg("t", &dates, &[Line { name: "flat", values: &[5.0] }]).ends_with("</svg>\n"));
        assert!(!svg("t", &[], &[Line { name: "none", values: &[] }]).contains("polyline fill=\"none\" stroke=\"NaN"));
    }
}
