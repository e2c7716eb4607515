//! A study without trades: what follows when an indicator crosses a level.
//! `cargo run --release --example event_study`
//!
//! For each day on which the RSI of SPY rises above 60 it takes the return of the next five days, and compares their mean
//! with that of all days.

use magellan::prelude::*;

const HORIZON: usize = 5;
const LEVEL: f64 = 60.0;

fn main() -> Result<()> {
    let archive = Archive::open("data/sample".as_ref(), Access::Map)?;
    let spy = archive.load("SPY".parse()?, Timeframe::Day)?;
    let history = History::new(spy.symbol, spy.bars(), Hours::Regular)?;
    let columns = Columns::compute(&history, &[Indicator::rsi(14)]);
    let rsi = columns.get(Indicator::rsi(14));
    // The bars that lie in sessions, as the columns have them.
    let close: Vec<f64> =
        history.sessions().iter().flat_map(|session| history.session_bars(session).close().to_vec()).collect();
    let days = rsi.len().saturating_sub(HORIZON);
    let forward: Vec<f64> = (0..days).map(|i| close[i + HORIZON] / close[i] - 1.0).collect();
    // Not a number until it is warm, and that crosses nothing.
    let crossed: Vec<f64> = (1..days).filter(|&i| rsi[i - 1] <= LEVEL && rsi[i] > LEVEL).map(|i| forward[i]).collect();
    println!("return of {HORIZON} days: {:.4} on all {} days", mean(&forward), forward.len());
    println!("after the RSI rose above {LEVEL}: {:.4} on {} days", mean(&crossed), crossed.len());
    Ok(())
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

#[test]
fn runs() -> Result<()> {
    main()
}
