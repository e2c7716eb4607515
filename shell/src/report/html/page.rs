//! The frame that all pages share: template, style, scripts, and the island of JSON.

use magellan::error::{Error, Result};
use minijinja::{Environment, context};
use serde_json::{Value, json};

use crate::codes;

/// Version of the islands.
const SCHEMA_VERSION: u32 = 2;

const PAGE: &str = include_str!("page.html");
const STYLE: &str = concat!(include_str!("tokens.css"), include_str!("page.css"));
const CHART_STYLE: &str = include_str!("uplot.min.css");
const CHART_SCRIPT: &str = include_str!("uplot.min.js");

/// What a page is of, and the scripts that show it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Gate,
    Index,
    Backtest,
    Sweep,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Gate => "gate",
            Self::Index => "index",
            Self::Backtest => "backtest",
            Self::Sweep => "sweep",
        }
    }

    /// One after the other; the last one draws the page.
    const fn scripts(self) -> &'static [&'static str] {
        const BASE: &str = include_str!("base.js");
        const CHARTS: &str = include_str!("charts.js");
        const RUN: &str = include_str!("run.js");
        const HEAT: &str = include_str!("heat.js");
        const VERDICT: &str = include_str!("verdict.js");
        const AROUND: &str = include_str!("around.js");
        match self {
            Self::Gate => &[BASE, CHARTS, RUN, HEAT, VERDICT, include_str!("gate.js"), AROUND],
            Self::Index => &[BASE, CHARTS, RUN, VERDICT, include_str!("index.js"), AROUND],
            Self::Backtest => &[BASE, CHARTS, RUN, include_str!("backtest.js"), AROUND],
            Self::Sweep => &[BASE, CHARTS, RUN, HEAT, include_str!("sweep.js"), AROUND],
        }
    }
}

/// A page of a kind: its title and what its island holds besides version and kind.
pub(super) fn render(kind: Kind, title: &str, mut island: Value) -> Result<String> {
    let fault = |e: minijinja::Error| Error::new(codes::CANNOT_WRITE, format!("no page: {e}"));
    island["schema_version"] = json!(SCHEMA_VERSION);
    island["kind"] = json!(kind.name());
    island["engine"] = json!(env!("CARGO_PKG_VERSION"));
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::Html);
    environment.add_template("page", PAGE).map_err(fault)?;
    // `<` could end the script element that holds the JSON.
    let data = island.to_string().replace('<', "\\u003c");
    let values = context! {
        title => title,
        command => match kind { Kind::Index => "magellan gate".to_owned(), other => format!("magellan {}", other.name()) },
        css => STYLE,
        uplot_css => CHART_STYLE,
        uplot_js => CHART_SCRIPT,
        js => kind.scripts().concat(),
        data => data,
    };
    environment.get_template("page").and_then(|template| template.render(values)).map_err(fault)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_title_nor_json_can_leave_its_element() {
        let hostile = "</title></script><script>alert(1)</script><!--&\"'";
        for kind in [Kind::Gate, Kind::Index, Kind::Backtest, Kind::Sweep] {
            let page = render(kind, hostile, json!({"title": hostile, hostile: [hostile]})).expect("a page");
            assert!(!page.contains("alert(1)</script>") && !page.contains("<script>alert"), "{kind:?}");
            // The template's own: of the island, the charts and the page.
            assert_eq!(page.matches("</script>").count(), 3, "{kind:?}");
            assert_eq!(page.matches("</title>").count(), 1, "{kind:?}");
            let (_, rest) = page.split_once("id=\"data\">").expect("an island");
            let (json, _) = rest.split_once("</script>").expect("its end");
            let island: Value = serde_json::from_str(json).expect("JSON");
            assert_eq!((&island["title"], &island[hostile][0]), (&json!(hostile), &json!(hostile)));
        }
    }
}
