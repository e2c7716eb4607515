//! The exchange's grid of prices: cents from one dollar on, hundredths of a cent below.
//!
//! SEC rule 612 of Regulation NMS: brokers refuse what lies between. A price is moved to the side on which trades, which
//! lie on the grid, meet it exactly when they meet the price itself.

use crate::account::Form;
use crate::order::Side;

/// Steps a dollar.
fn steps(price: f64) -> f64 {
    if price >= 1.0 { 100.0 } else { 10_000.0 }
}

fn up(price: f64) -> f64 {
    let steps = steps(price);
    // What rounding of arithmetic alone moved off the grid lies on it.
    let at = price * steps;
    if (at - at.round()).abs() < 1e-6 { at.round() / steps } else { at.ceil() / steps }
}

fn down(price: f64) -> f64 {
    let steps = steps(price);
    let at = price * steps;
    if (at - at.round()).abs() < 1e-6 { at.round() / steps } else { at.floor() / steps }
}

/// A limit of an order of this side.
pub fn limit(price: f64, side: Side) -> f64 {
    match side {
        Side::Buy => down(price),
        Side::Sell => up(price),
    }
}

/// A stop of an order of this side.
pub fn stop(price: f64, side: Side) -> f64 {
    match side {
        Side::Buy => up(price),
        Side::Sell => down(price),
    }
}

/// An order's prices.
pub fn form(form: Form, side: Side) -> Form {
    match form {
        Form::Market | Form::OnClose => form,
        Form::Limit(price) => Form::Limit(limit(price, side)),
        Form::Stop(price) => Form::Stop(stop(price, side)),
        Form::StopLimit { stop: at, limit: worst } => {
            Form::StopLimit { stop: stop(at, side), limit: limit(worst, side) }
        }
        Form::Either { limit: best, stop: at } => Form::Either { limit: limit(best, side), stop: stop(at, side) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_lie_on_the_grid_and_what_lies_there_stays() {
        assert_eq!(limit(10.0049, Side::Buy), 10.0);
        assert_eq!(limit(10.0001, Side::Sell), 10.01);
        assert_eq!(stop(8.405, Side::Sell), 8.4);
        assert_eq!(stop(0.12341, Side::Buy), 0.1235);
        for cents in 100..3_000 {
            let price = f64::from(cents) / 100.0;
            assert_eq!((up(price), down(price)), (price, price));
            assert_eq!(up(price * 1.1 / 1.1), price);
        }
    }
}
