//! Pages of backtests, sweeps and the gate: what they show is what `--json` says, they load nothing, they stay small, and
//! no name becomes markup.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::bad_inputs::Place;
use crate::support::{browser, python, root, run};

const DAYS: &str = "--strategy daily_trend --start-date 2018-01-02 --end-date 2025-12-31";
const MINUTES: &str = "--strategy bear_trap --start-date 2024-04-01 --end-date 2024-06-28";

fn sample() -> String {
    root().join("data/sample").display().to_string()
}

/// What a command prints as JSON, and the page that it writes.
fn shown(place: &Place, line: &str) -> (Value, String) {
    let (code, out, err) =
        run(place.command(&format!("{line} --json --html page.html --archive {} --ledger ledger", sample())));
    assert_eq!(code, 0, "{out}{err}");
    let page = fs::read_to_string(place.at("page.html")).expect("a page of UTF-8");
    (serde_json::from_str(&out).expect("JSON"), page)
}

/// The JSON that a page draws.
fn island(page: &str) -> Value {
    let (_, rest) = page.split_once("id=\"data\">").expect("an island");
    let (json, _) = rest.split_once("</script>").expect("its end");
    serde_json::from_str(json).expect("JSON")
}

fn summed(steps: &Value) -> Vec<i64> {
    let mut sum = 0;
    let add = |step: &Value| {
        sum += step.as_i64().expect("a step");
        sum
    };
    steps.as_array().expect("steps").iter().map(add).collect()
}

/// Nothing in it asks a network for anything, and the policy forbids what might.
fn loads_nothing(page: &str) {
    assert!(page.contains("content=\"default-src 'none'; style-src 'unsafe-inline'"), "no policy");
    let text = page.to_lowercase();
    let loads =
        ["src=\"http", "src='http", "href=\"http", "href='http", "src=\"//", "href=\"//", "url(http", "url(\"http"];
    let asks = ["@import", "fetch(", "xmlhttprequest", "websocket", "import(", "sendbeacon"];
    let found: Vec<&str> = loads.into_iter().chain(asks).filter(|words| text.contains(words)).collect();
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn a_backtests_page_holds_what_json_says() {
    let place = Place::new();
    for scope in ["portfolio", "single"] {
        let (printed, page) = shown(&place, &format!("backtest {DAYS} --scope {scope}"));
        loads_nothing(&page);
        assert!(page.len() < 2_000_000, "{} bytes", page.len());
        let held = island(&page);
        assert_eq!(held["backtest"], printed, "{scope}");
        let runs = printed["runs"].as_array().expect("runs");
        assert_eq!(held["series"].as_array().expect("series").len(), runs.len());
        for (run, series) in runs.iter().zip(held["series"].as_array().expect("series")) {
            let equity = series["equity"].as_array().expect("equity");
            let last = equity.last().and_then(Value::as_f64).expect("a worth");
            assert!((last - run["metrics"]["final_equity"].as_f64().expect("a worth")).abs() < 0.005);
            assert_eq!(equity.len() as u64, run["metrics"]["sessions"].as_u64().expect("a number"));
            assert_eq!(summed(&series["days"]).len(), equity.len());
            assert_eq!(series["held"], run["benchmark"]);
            let traded = &run["traded"];
            assert_eq!(traded["long"]["trades"], run["metrics"]["trades"], "long trades, and no others");
            assert!(traded["costs"]["slippage"].as_f64() > Some(0.0) && traded["orders"]["filled"].as_u64() > Some(0));
            let drawn = held["trades"].as_array().expect("trades").iter().find(|t| t["period"] == run["label"]);
            let rows = drawn.expect("its trades")["rows"].as_array().expect("rows");
            assert!(rows.iter().all(|row| row[8] == 1), "a trade that isn't long");
            assert_eq!(run["benchmark"]["total_return"], run["metrics"]["benchmark_return"]);
            let years = series["months"].as_array().expect("years");
            let grown = years.iter().map(|year| 1.0 + year["total"].as_f64().expect("a rate")).product::<f64>();
            let total = run["metrics"]["total_return"].as_f64().expect("a rate");
            assert!((grown - 1.0 - total).abs() < 1e-4, "years make {grown}, the run {total}");
        }
    }
}

/// Windows of the rolling Sharpe ratio are judged by the one definition: the last window's is that of a backtest of
/// its sessions, whose account is flat before and after.
#[test]
fn the_last_rolling_sharpe_ratio_is_that_of_its_window() {
    let place = Place::new();
    let (_, page) = shown(&place, &format!("backtest {DAYS}"));
    let series = &island(&page)["series"][0];
    let window = series["rolling"]["window"].as_u64().expect("a window") as usize;
    let equity: Vec<f64> = series["equity"].as_array().expect("equity").iter().filter_map(Value::as_f64).collect();
    let returns: Vec<f64> = equity.windows(2).map(|w| w[1] / w[0] - 1.0).collect();
    let own = magellan::metrics::sharpe(&returns[returns.len() - window..], magellan::metrics::SESSIONS_PER_YEAR)
        .value()
        .expect("defined");
    let rolling = series["rolling"]["strategy"].as_array().expect("values");
    assert!((rolling.last().and_then(Value::as_f64).expect("defined") - own).abs() < 0.002);
    assert!(rolling[..window - 1].iter().all(Value::is_null), "a window that isn't full has no ratio");
}

#[test]
fn a_page_of_minutes_is_small_and_soon_written() {
    let place = Place::new();
    let begun = Instant::now();
    let (printed, page) = shown(&place, &format!("backtest {MINUTES}"));
    let taken = begun.elapsed();
    loads_nothing(&page);
    assert!(page.len() < 2_000_000, "{} bytes", page.len());
    // The whole command, in a build without optimisation and beside other tests.
    assert!(taken < Duration::from_secs(60), "{taken:?}");
    let held = island(&page);
    let prices = held["prices"].as_array().expect("prices");
    assert_eq!(prices.len(), printed["runs"][0]["symbols"].as_array().expect("symbols").len());
    let thinned =
        prices.iter().filter(|p| p["bars"].as_u64() > Some(p["close"].as_array().expect("closes").len() as u64));
    assert!(thinned.count() > 0, "nothing was thinned");
    for row in prices {
        let at = summed(&row["at"]);
        assert!(at.windows(2).all(|w| w[0] < w[1]), "places of {} don't rise", row["symbol"]);
        assert_eq!(at.len(), row["close"].as_array().expect("closes").len());
    }
}

#[test]
fn names_never_become_markup() {
    let place = Place::new();
    let name = "<img src=x onerror=alert(1)>&\"'";
    std::os::unix::fs::symlink(root().join("data/sample"), place.at(name)).expect("linked");
    let mut command = place.command(&format!("backtest {DAYS} --html page.html --ledger ledger"));
    let (code, out, err) = run(command.arg("--archive").arg(name));
    assert_eq!(code, 0, "{out}{err}");
    let page = fs::read_to_string(place.at("page.html")).expect("written");
    assert!(!page.contains("<img"), "an archive's name became an element");
    assert_eq!(island(&page)["archive"], name);
}

/// Maps, neighbours and median worked out again from the rows of all points.
#[test]
fn a_sweeps_landscape_is_that_of_its_points() {
    let place = Place::new();
    let grid = "--grid rsi_period=8..14:2 --grid hysteresis_upper=52..58:3 --grid hysteresis_lower=40..44:2";
    for order in ["", "--lowest --by volatility"] {
        let (printed, page) = shown(&place, &format!("sweep {DAYS} {grid} {order} --top 1000"));
        loads_nothing(&page);
        let held = island(&page);
        assert_eq!(held["sweep"], printed);
        let axes = printed["axes"].as_array().expect("axes");
        let landscapes = held["landscapes"].as_array().expect("landscapes");
        assert_eq!(landscapes[0]["symbol"], printed["best"][0]["symbol"], "the best account comes first");
        for landscape in landscapes {
            let own = printed["best"].as_array().expect("points").iter().filter(|b| b["symbol"] == landscape["symbol"]);
            let rows: Vec<(Vec<Value>, f64)> = own.map(parameters_and_value).collect();
            assert_eq!(rows.len(), 36);
            check_landscape(landscape, &rows, axes, if order.is_empty() { 1.0 } else { -1.0 });
        }
    }
}

fn parameters_and_value(best: &Value) -> (Vec<Value>, f64) {
    (best["parameters"].as_array().expect("values").clone(), best["figures"][0].as_f64().expect("defined"))
}

/// The rows are those of one account, the best first.
fn check_landscape(landscape: &Value, rows: &[(Vec<Value>, f64)], axes: &[Value], sign: f64) {
    let (best, value) = &rows[0];
    assert_eq!((&landscape["parameters"], landscape["value"].as_f64()), (&Value::from(best.clone()), Some(*value)));
    for map in landscape["maps"].as_array().expect("maps") {
        for (layer, held) in [("best", false), ("held", true)] {
            for (row, cells) in map[layer].as_array().expect("rows").iter().enumerate() {
                for (column, cell) in cells.as_array().expect("cells").iter().enumerate() {
                    let is = |label: &Value, value: &Value| label.as_str() == Some(value.to_string().as_str());
                    let here = |parameters: &[Value]| {
                        axes.iter().enumerate().all(|(k, axis)| match () {
                            () if *axis == map["x"]["key"] => is(&map["x"]["labels"][column], &parameters[k]),
                            () if *axis == map["y"]["key"] => is(&map["y"]["labels"][row], &parameters[k]),
                            () => !held || parameters[k] == best[k],
                        })
                    };
                    let values = rows.iter().filter(|r| here(&r.0)).map(|r| r.1);
                    let expected = values.reduce(|a, b| if sign * b > sign * a { b } else { a }).expect("a point");
                    assert!(is_close(cell, expected), "{layer} {cell} {expected}");
                }
            }
        }
    }
    for neighbour in landscape["neighbours"].as_array().expect("neighbours") {
        let mut place = best.clone();
        place[axes.iter().position(|a| *a == neighbour["key"]).expect("an axis")] = neighbour["to"].clone();
        let there = rows.iter().find(|r| r.0 == place).expect("swept").1;
        assert_eq!(neighbour["value"].as_f64(), Some(there));
    }
    let mut values: Vec<f64> = rows.iter().map(|r| r.1).collect();
    values.sort_by(f64::total_cmp);
    let distribution = &landscape["distribution"];
    assert!(is_close(&distribution["quantiles"][3], f64::midpoint(values[17], values[18])));
    let counted = distribution["counts"].as_array().expect("counts").iter();
    assert_eq!(counted.filter_map(Value::as_u64).sum::<u64>(), 36);
}

/// To the digits that are drawn.
fn is_close(shown: &Value, expected: f64) -> bool {
    shown.as_f64().is_some_and(|shown| (shown - expected).abs() <= 1e-4 * expected.abs())
}

#[test]
fn a_page_that_cant_be_written_or_needs_more_points_is_refused_before_anything_is_counted() {
    let place = Place::new();
    let refused = |line: &str, expected: i32| {
        let (code, out, err) = run(place.command(&format!("{line} --archive {} --ledger ledger", sample())));
        assert_eq!(code, expected, "{out}{err}");
        assert!(!place.at("ledger").exists(), "{line} was counted");
    };
    refused(&format!("backtest {DAYS} --html nowhere/page.html"), 2);
    refused(&format!("sweep {DAYS} --grid rsi_period=8,9 --html nowhere/page.html"), 2);
    refused(&format!("sweep {DAYS} --grid rsi_period=8,9 --shard 1/2 --out out --html page.html"), 2);
    refused(&format!("backtest {DAYS} --open"), 2);
    refused("gate --open", 2);
}

/// A folder in which `xdg-open` does as a script says.
fn opener(place: &Place, script: &str) -> String {
    place.write("bin/xdg-open", format!("#!/bin/sh\n{script}\n"));
    fs::set_permissions(place.at("bin/xdg-open"), fs::Permissions::from_mode(0o755)).expect("set");
    place.at("bin").display().to_string()
}

#[cfg(target_os = "linux")]
#[test]
fn a_page_opens_in_the_browser_and_is_named_where_none_opens() {
    let place = Place::new();
    let line = format!("backtest {DAYS} --html page.html --open --archive {} --ledger ledger", sample());
    let opened = |script: &str| {
        let path = format!("{}:/bin:/usr/bin", opener(&place, script));
        run(place.command(&line).env("PATH", path).env_remove("BROWSER"))
    };
    let (code, _, err) = opened(&format!("echo \"$1\" > {}", place.at("opened").display()));
    assert_eq!(code, 0, "{err}");
    let said = fs::read_to_string(place.at("opened")).expect("the opener ran");
    let page = fs::canonicalize(place.at("page.html")).expect("a page");
    assert_eq!(fs::canonicalize(said.trim()).expect("a path"), page);
    assert!(!err.contains("warning"), "{err}");
    let nothing = place.at("empty");
    fs::create_dir_all(&nothing).expect("made");
    let (code, _, err) = run(place.command(&line).env("PATH", nothing));
    assert_eq!(code, 0, "{err}");
    assert!(err.contains("warning: no browser") && err.contains("page.html"), "{err}");
}

/// Everything that the pages can show, clicked through by `browser_report.py`; screenshots stay in the target folder.
#[test]
fn the_pages_work_in_a_real_browser() {
    let place = Place::new();
    let grid = "--grid rsi_period=8..28:4 --grid hysteresis_upper=52..60:2 --grid hysteresis_lower=40..48:4";
    let commands = [
        ("backtest-days", format!("backtest {DAYS}")),
        ("backtest-accounts", format!("backtest {DAYS} --scope single --symbols SPY,TSLA")),
        ("backtest-minutes", format!("backtest {MINUTES}")),
        (
            "backtest-rejected",
            "backtest --strategy hourly_swing --start-date 2022-01-03 --end-date 2025-12-31 \
             --set account_info.account=cash --set execution.fee_per_share=0.005"
                .to_owned(),
        ),
        ("sweep", format!("sweep {DAYS} {grid}")),
        ("sweep-one-axis", format!("sweep {DAYS} --grid rsi_period=5..44")),
    ];
    for (name, line) in &commands {
        place.ok(&format!("{line} --html {name}.html --archive {} --ledger ledger", sample()));
    }
    let (Some(python), Some(browser)) = (python(), browser()) else { return };
    let shots = Path::new(env!("CARGO_TARGET_TMPDIR")).join("shots");
    let mut command = Command::new(python);
    let pages = commands.iter().map(|(name, _)| place.at(&format!("{name}.html")));
    command.arg(root().join("tests/browser_report.py")).args(pages).arg("--shots").arg(&shots).env("CHROMIUM", browser);
    let (code, out, err) = run(&mut command);
    assert_eq!(code, 0, "{out}{err}");
    assert!(shots.join("sweep-390-dark.png").exists(), "{out}");
}
