//! Self-contained pages: no request leaves them. One design for the gate, backtests and sweeps.
//!
//! A page is `page.html` with style, scripts and one island of JSON, from which the scripts draw everything;
//! `CONTRACT.md` says what the islands hold. Figures are those that `--json` has; the scripts make none.

mod backtest;
mod gate;
mod series;
mod sweep;

pub use backtest::{Backtested, backtest};
pub use gate::{gate, index};
pub use sweep::{SweptPage, sweep};

use magellan::error::{Error, Result};
use minijinja::{Environment, context};
use serde_json::{Value, json};

use crate::codes;

/// Version of the islands.
const SCHEMA_VERSION: u32 = 2;

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const CHART_STYLE: &str = include_str!("uplot.min.css");
const CHART_SCRIPT: &str = include_str!("uplot.min.js");

/// What a page is of, and the scripts that show it.
#[derive(Clone, Copy, Debug)]
enum Kind {
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
fn render(kind: Kind, title: &str, mut island: Value) -> Result<String> {
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
