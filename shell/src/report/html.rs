//! One strategy's verdict as a self-contained page: no request leaves it.
//!
//! The page is `html/`'s template with style, scripts and one island of JSON, from which the
//! scripts draw everything; `html/CONTRACT.md` says what the island holds.

use magellan::bar::SECOND;
use magellan::error::{Error, Result};
use magellan::gate::{Judgement, PeriodCharts, PeriodVerdict};
use minijinja::{Environment, context};
use serde_json::{Value, json};

use crate::codes;

/// Version of the island.
const SCHEMA_VERSION: u32 = 1;
/// The page is named by its strategy.
const TEMPLATE: &str = include_str!("html/report.html");

/// The page.
///
/// # Errors
/// Usage error if it can't be made.
pub fn page(judgement: &Judgement) -> Result<String> {
    let fault = |e: minijinja::Error| Error::new(codes::CANNOT_WRITE, format!("no page: {e}"));
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::Html);
    environment.add_template("page", TEMPLATE).map_err(fault)?;
    // `<` could end the script element that holds the JSON.
    let data = island(judgement).to_string().replace('<', "\\u003c");
    let values = context! {
        title => &judgement.verdict.strategy,
        css => include_str!("html/report.css"),
        uplot_css => include_str!("html/uplot.min.css"),
        uplot_js => include_str!("html/uplot.min.js"),
        js => concat!(include_str!("html/base.js"), include_str!("html/charts.js"), include_str!("html/report.js")),
        data => data,
    };
    environment.get_template("page").and_then(|template| template.render(values)).map_err(fault)
}

fn island(judgement: &Judgement) -> Value {
    let pairs = || judgement.verdict.periods.iter().zip(&judgement.periods);
    let each = |of: fn(&PeriodVerdict, &PeriodCharts) -> Vec<Value>| {
        pairs().flat_map(|(p, s)| of(p, s)).collect::<Vec<Value>>()
    };
    json!({
        "schema_version": SCHEMA_VERSION,
        "title": judgement.verdict.strategy,
        "verdict": verdict(judgement),
        "series": each(series),
        "prices": each(prices),
        "trades": each(trades),
        "sweep": judgement.heat_map,
        "bootstrap": each(resampled),
    })
}

/// The verdict as the page wants it: robustness and power lifted, hashes by their plain names.
fn verdict(judgement: &Judgement) -> Value {
    let mut shown = json!(judgement.verdict);
    if let Some(subject) = &judgement.verdict.subject {
        for (name, value) in [
            ("subject", &subject.sha256),
            ("config_sha256", &subject.config),
            ("bundle_sha256", &subject.bundle),
            ("policy_sha256", &subject.policy),
            ("archive_manifest_sha256", &subject.manifest),
            ("engine", &subject.engine),
        ] {
            shown[name] = json!(value);
        }
        shown["seed"] = json!(subject.seed);
    }
    if let (Some(luck), Some(first)) = (&judgement.verdict.ledger, judgement.verdict.periods.first()) {
        shown["ledger"]["variance"] = json!(luck.dispersion.map(|d| d / first.metrics.sessions as f64));
    }
    for (period, own) in shown["periods"].as_array_mut().into_iter().flatten().zip(&judgement.verdict.periods) {
        period["power"] = json!(format!("{}; against what is deployed: {}", own.power.statement, own.baseline.how));
        let robustness = json!(own.robustness);
        for (name, value) in robustness.as_object().into_iter().flatten() {
            period[name] = value.clone();
        }
        for neighbour in period["neighbours"].as_array_mut().into_iter().flatten() {
            neighbour["value"] = neighbour["step"].clone();
        }
    }
    shown
}

/// Equity, benchmark and what is deployed, rebased to the capital.
fn series(period: &PeriodVerdict, charts: &PeriodCharts) -> Vec<Value> {
    let replay = &charts.run.replay;
    let dates: Vec<String> = replay.equity.iter().map(|e| e.0.to_string()).collect();
    let equity: Vec<f64> = replay.equity.iter().map(|e| cents(e.1)).collect();
    let benchmark: Option<Vec<f64>> = charts
        .run
        .benchmark
        .first()
        .map(|first| charts.run.benchmark.iter().map(|worth| cents(replay.capital * worth / first)).collect());
    let mut worth = replay.capital;
    let mut deployed = charts.deployed.iter().peekable();
    let baseline: Vec<f64> = replay
        .equity
        .iter()
        .map(|(date, _)| {
            while let Some((_, r)) = deployed.next_if(|d| d.0 <= *date) {
                worth *= 1.0 + r;
            }
            cents(worth)
        })
        .collect();
    vec![json!({
        "period": period.period.name,
        "dates": dates,
        "capital": replay.capital,
        "equity": equity,
        "benchmark": benchmark,
        "baseline": (!charts.deployed.is_empty()).then_some(baseline),
    })]
}

fn prices(period: &PeriodVerdict, charts: &PeriodCharts) -> Vec<Value> {
    let one = |(symbol, closes): &(magellan::bar::Symbol, Vec<(i64, f64)>)| {
        json!({
            "period": period.period.name,
            "symbol": symbol,
            "t": closes.iter().map(|c| c.0 / SECOND).collect::<Vec<i64>>(),
            "close": closes.iter().map(|c| c.1).collect::<Vec<f64>>(),
        })
    };
    charts.closes.iter().map(one).collect()
}

fn trades(period: &PeriodVerdict, charts: &PeriodCharts) -> Vec<Value> {
    let one = |f: &magellan::account::Fill| {
        json!({
            "period": period.period.name,
            "symbol": f.symbol,
            "entered": f.entered / SECOND,
            "entry": f.entry_price,
            "exited": f.exited / SECOND,
            "exit": f.exit_price,
            "shares": f.shares,
            "profit": f.profit,
            "reason": f.reason.to_string(),
        })
    };
    charts.run.replay.fills.iter().map(one).collect()
}

fn resampled(period: &PeriodVerdict, charts: &PeriodCharts) -> Vec<Value> {
    const CONFIDENCE: f64 = 0.95;
    let at = |q: f64| magellan::stats::bootstrap::quantile(&charts.sharpes, q);
    if charts.sharpes.is_empty() {
        return Vec::new();
    }
    vec![json!({
        "period": period.period.name,
        "metric": "sharpe",
        "samples": charts.sharpes,
        "point": period.metrics.sharpe.value(),
        "lower": at(1.0 - CONFIDENCE),
        "upper": at(CONFIDENCE),
        "confidence": CONFIDENCE,
    })]
}

fn cents(dollars: f64) -> f64 {
    (dollars * 100.0).round() / 100.0
}
