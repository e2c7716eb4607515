//! The gate's pages: one strategy's verdict, and the index of all strategies.

use magellan::error::Result;
use magellan::gate::{Judgement, PeriodCharts, PeriodVerdict, Status, Verdict};
use magellan::holdout::Seen;
use serde_json::{Value, json};

use super::page::{Kind, render};
use super::series::{self, Drawn, rounded};
use crate::report::traded;

/// The page of one strategy; `siblings` are the strategies whose pages stand beside it, itself among them.
///
/// # Errors
/// Usage error if it can't be made.
pub fn gate(judgement: &Judgement, siblings: &[(String, Status)]) -> Result<String> {
    let verdict = &judgement.verdict;
    let mut island = json!({
        "title": verdict.strategy,
        "verdict": shown(judgement),
        "sweep": judgement.heat_map,
        "bootstrap": pairs(judgement).filter_map(|(p, charts)| resampled(p, charts)).collect::<Vec<Value>>(),
        "strategies": siblings.iter().map(sibling).collect::<Vec<Value>>(),
    });
    let drawn = pairs(judgement).map(|(p, charts)| Drawn {
        name: &p.period.name,
        run: &charts.run,
        closes: &charts.closes,
        deployed: &charts.deployed,
    });
    series::add(&mut island, &drawn.collect::<Vec<Drawn<'_>>>());
    render(Kind::Gate, &format!("{}: {}, Magellan gate", verdict.strategy, verdict.status.name()), island)
}

/// The index: every strategy with its verdict, its reason, and a link to its page.
///
/// # Errors
/// Usage error if it can't be made.
pub fn index(verdict: &Verdict) -> Result<String> {
    let title = format!("All strategies: {}, Magellan gate", verdict.status.name());
    render(Kind::Index, &title, json!({"title": "All strategies", "verdict": verdict}))
}

fn sibling((name, status): &(String, Status)) -> Value {
    json!({"name": name, "status": status, "href": format!("{name}.html")})
}

fn pairs(judgement: &Judgement) -> impl Iterator<Item = (&PeriodVerdict, &PeriodCharts)> {
    judgement.verdict.periods.iter().zip(&judgement.periods)
}

/// The verdict as the page wants it: robustness and power lifted, hashes by their plain names, and what was traded.
fn shown(judgement: &Judgement) -> Value {
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
    for (period, (own, charts)) in shown["periods"].as_array_mut().into_iter().flatten().zip(pairs(judgement)) {
        let seen = own.seen.iter().flat_map(Seen::sentences).fold(String::new(), |text, said| text + "; " + &said);
        let power = format!("{}; against what is deployed: {}{seen}", own.power.statement, own.baseline.how);
        period["power"] = json!(power);
        period["traded"] = Value::Object(traded::all(&charts.run.replay));
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

/// Sharpe ratios of resampled sessions.
fn resampled(period: &PeriodVerdict, charts: &PeriodCharts) -> Option<Value> {
    const CONFIDENCE: f64 = 0.95;
    let at = |q: f64| magellan::stats::bootstrap::quantile(&charts.sharpes, q);
    (!charts.sharpes.is_empty()).then(|| {
        json!({
            "period": period.period.name,
            "metric": "sharpe",
            "samples": charts.sharpes.iter().map(|s| rounded(*s, 4)).collect::<Vec<f64>>(),
            "point": period.metrics.sharpe.value(),
            "lower": at(1.0 - CONFIDENCE),
            "upper": at(CONFIDENCE),
            "confidence": CONFIDENCE,
        })
    })
}
