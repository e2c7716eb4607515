//! A broker that isn't one.

use super::broker::{Broker, OrderStatus};
use super::feed::FeedBar;
use crate::account::Fill;
use crate::bar::Date;
use crate::calendar::Session;
use crate::error::Result;
use crate::order::Order;
use crate::strategy::{Position, WorkingOrder};

/// Holds nothing and takes nothing: for bars that a strategy is to see, and whose orders were decided on already.
#[derive(Clone, Copy, Debug)]
pub struct Deaf;

impl Broker for Deaf {
    fn session_opens(&mut self, _: &Session) -> Result<()> {
        Ok(())
    }

    fn bars_trade(&mut self, _: &[FeedBar], _: &Session) -> Result<()> {
        Ok(())
    }

    fn bar_closes(&mut self, _: &FeedBar, _: &Session, working: &mut Vec<WorkingOrder>) -> Result<Position> {
        working.clear();
        Ok(Position::default())
    }

    fn submit(&mut self, _: &FeedBar, _: &Session, orders: &[Order]) -> Result<Vec<OrderStatus>> {
        Ok(vec![OrderStatus::Nothing; orders.len()])
    }

    fn session_closes(&mut self, _: Date) -> Result<()> {
        Ok(())
    }

    fn fills(&mut self) -> Vec<Fill> {
        Vec::new()
    }

    fn open_positions(&self) -> usize {
        0
    }

    fn equity(&self) -> f64 {
        0.0
    }
}
