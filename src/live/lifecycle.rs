//! Where an order at a broker stands: every state, and what every message makes of it.
//!
//! Messages come twice, late and out of order, and some never come. [`Standing::hear`] answers for every pair of state
//! and message: it moves on, or nothing changes, or the two contradict each other and nobody may go on as if they didn't.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Where an order stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It is written down, and has not been sent.
    Planned,
    /// It was sent, and no answer has come.
    Sent,
    /// It was sent, and what came instead of an answer doesn't tell whether it arrived: it must be looked up.
    Unknown,
    /// The broker has it.
    Working,
    /// The broker has it, and was asked to cancel it. It may fill all the same.
    Cancelling,
    /// All of it was executed.
    Filled,
    /// The rest was cancelled.
    Cancelled,
    /// The rest ran out of time.
    Expired,
    /// The broker refused it.
    Rejected,
}

impl State {
    /// Whether it can't be executed any more, messages under way aside.
    pub const fn has_ended(self) -> bool {
        matches!(self, Self::Filled | Self::Cancelled | Self::Expired | Self::Rejected)
    }
}

/// What is heard of an order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Message {
    /// It leaves now.
    Sending,
    /// Its request ended without an answer that can be understood.
    NoAnswer,
    /// It was looked up, and the broker doesn't have it.
    Absent,
    /// The broker has it.
    Accepted,
    /// Some of it was executed.
    Execution {
        /// The broker's name of the execution.
        id: String,
        /// Shares.
        shares: u64,
        /// Dollars a share.
        price: f64,
    },
    /// Its cancellation leaves now.
    Cancel,
    /// It could not be cancelled.
    CancelRefused,
    /// The rest was cancelled.
    Cancelled,
    /// The rest ran out of time.
    Expired,
    /// It was refused.
    Rejected,
}

/// What a message did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The order stands elsewhere, or has executed more.
    Moved,
    /// It was known, or came too late to mean anything.
    Nothing,
    /// It can't be: the reason. The order stands as it did.
    Contradiction(&'static str),
}

/// An order at a broker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    /// Where it stands.
    pub state: State,
    /// Shares ordered.
    pub shares: u64,
    /// Executions by the broker's name: shares and dollars a share.
    executions: BTreeMap<String, (u64, f64)>,
}

impl Standing {
    /// An order for so many shares that has been written down.
    pub fn planned(shares: u64) -> Self {
        Self { state: State::Planned, shares, executions: BTreeMap::new() }
    }

    /// Shares executed.
    pub fn filled(&self) -> u64 {
        self.executions.values().map(|(shares, _)| shares).sum()
    }

    /// Shares and dollars of the executions whose names begin so.
    pub fn executed_under(&self, prefix: &str) -> (u64, f64) {
        let of = self.executions.iter().filter(|(id, _)| id.starts_with(prefix));
        of.fold((0, 0.0), |(shares, dollars), (_, (n, price))| (shares + n, dollars + *n as f64 * price))
    }

    /// Average price of what was executed, dollars a share.
    pub fn price(&self) -> Option<f64> {
        let filled = self.filled();
        let dollars = self.executions.values().fold(0.0, |sum, (shares, price)| sum + *shares as f64 * price);
        (filled > 0).then(|| dollars / filled as f64)
    }

    /// What a message makes of the order.
    pub fn hear(&mut self, message: &Message) -> Effect {
        use Message as M;
        use State as S;
        let next = match (self.state, message) {
            (_, M::Execution { id, shares, price }) => return self.execute(id, *shares, *price),

            (S::Planned, M::Sending) => S::Sent,
            // Looked up and absent, it is sent again under the same name.
            (S::Unknown, M::Absent) => S::Planned,
            (S::Sent, M::NoAnswer) => S::Unknown,
            (S::Sent | S::Unknown, M::Accepted) => S::Working,
            (S::Working, M::Cancel) => S::Cancelling,
            (S::Cancelling, M::CancelRefused) => S::Working,

            (S::Sent | S::Unknown | S::Working | S::Cancelling, M::Cancelled) => S::Cancelled,
            (S::Sent | S::Unknown | S::Working | S::Cancelling, M::Expired) => S::Expired,
            (S::Sent | S::Unknown | S::Working | S::Cancelling, M::Rejected) if self.filled() == 0 => S::Rejected,

            (S::Sent | S::Unknown | S::Working | S::Cancelling, M::Rejected) => {
                return Effect::Contradiction("an order that was executed in part is said to be refused");
            }
            (S::Planned, M::Accepted | M::Cancelled | M::Expired | M::Rejected) => {
                return Effect::Contradiction("the broker speaks of an order that was not sent");
            }
            (S::Working | S::Cancelling, M::Absent) => {
                return Effect::Contradiction("the broker doesn't have an order that it had accepted");
            }
            (S::Sent | S::Unknown | S::Working | S::Cancelling, M::Sending) => {
                return Effect::Contradiction("an order may be at the broker, and is to be sent again");
            }
            (S::Filled | S::Cancelled | S::Expired | S::Rejected, M::Sending | M::Cancel) => {
                return Effect::Contradiction("an order that has ended is acted on");
            }
            (S::Planned | S::Sent | S::Unknown, M::Cancel) => {
                return Effect::Contradiction("an order is to be cancelled that the broker may not have");
            }
            (S::Rejected, M::Cancelled | M::Expired)
            | (S::Cancelled | S::Expired, M::Rejected)
            | (S::Filled, M::Cancelled | M::Expired | M::Rejected) => {
                return Effect::Contradiction("an order is said to have ended in two ways");
            }

            // Known already, or overtaken by what came before it.
            (S::Planned, M::NoAnswer | M::Absent | M::CancelRefused)
            | (S::Sent, M::Absent | M::CancelRefused)
            | (S::Unknown, M::NoAnswer | M::CancelRefused)
            | (S::Working, M::NoAnswer | M::Accepted | M::CancelRefused)
            | (S::Cancelling, M::NoAnswer | M::Accepted | M::Cancel)
            | (S::Cancelled | S::Expired, M::Cancelled | M::Expired)
            | (S::Rejected, M::Rejected)
            | (
                S::Filled | S::Cancelled | S::Expired | S::Rejected,
                M::NoAnswer | M::Absent | M::Accepted | M::CancelRefused,
            ) => return Effect::Nothing,
        };
        self.state = next;
        Effect::Moved
    }

    /// An execution counts once, whenever it comes: also after the end, when a cancellation lost the race.
    fn execute(&mut self, id: &str, shares: u64, price: f64) -> Effect {
        if let Some(known) = self.executions.get(id) {
            return match *known == (shares, price) {
                true => Effect::Nothing,
                false => Effect::Contradiction("one execution is told in two ways"),
            };
        }
        if shares == 0 || !(price.is_finite() && price > 0.0) {
            return Effect::Contradiction("an execution has no shares, or no price");
        }
        match self.state {
            State::Planned => return Effect::Contradiction("an order was executed that was not sent"),
            State::Rejected => return Effect::Contradiction("an order was executed that had been refused"),
            _ => {}
        }
        let left = self.shares - self.filled();
        if shares > left {
            return Effect::Contradiction("more was executed than was ordered");
        }
        self.executions.insert(id.to_owned(), (shares, price));
        if shares == left {
            self.state = State::Filled;
        } else if matches!(self.state, State::Sent | State::Unknown) {
            // Executed, so it has arrived.
            self.state = State::Working;
        }
        Effect::Moved
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Just, ProptestConfig, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};
    use proptest::strategy::Strategy as Generator;

    use super::*;

    fn message() -> impl Generator<Value = Message> {
        prop_oneof![
            Just(Message::Sending),
            Just(Message::NoAnswer),
            Just(Message::Absent),
            Just(Message::Accepted),
            Just(Message::Cancel),
            Just(Message::CancelRefused),
            Just(Message::Cancelled),
            Just(Message::Expired),
            Just(Message::Rejected),
            (0u8..6, 0u64..60, 1u8..4).prop_map(|(id, shares, price)| Message::Execution {
                id: id.to_string(),
                shares,
                price: f64::from(price),
            }),
        ]
    }

    fn heard(messages: &[Message]) -> (Standing, Vec<Effect>) {
        let mut order = Standing::planned(100);
        let effects = messages.iter().map(|message| order.hear(message)).collect();
        (order, effects)
    }

    fn execution(id: &str, shares: u64) -> Message {
        Message::Execution { id: id.to_owned(), shares, price: 10.0 }
    }

    #[test]
    fn a_fill_that_wins_against_a_cancellation_counts() {
        let (order, effects) = heard(&[
            Message::Sending,
            Message::Accepted,
            execution("a", 40),
            Message::Cancel,
            Message::Cancelled,
            execution("b", 60),
            execution("b", 60),
        ]);
        assert_eq!((order.state, order.filled(), order.price()), (State::Filled, 100, Some(10.0)));
        assert_eq!(effects.last(), Some(&Effect::Nothing));
        assert!(effects.iter().all(|effect| !matches!(effect, Effect::Contradiction(_))));
    }

    #[test]
    fn an_order_without_an_answer_is_sent_again_only_when_it_was_looked_up() {
        let (mut order, _) = heard(&[Message::Sending, Message::NoAnswer]);
        assert_eq!(order.state, State::Unknown);
        assert!(matches!(order.hear(&Message::Sending), Effect::Contradiction(_)));
        assert_eq!(order.hear(&Message::Absent), Effect::Moved);
        assert_eq!(order.hear(&Message::Sending), Effect::Moved);
        assert_eq!(order.hear(&execution("a", 1)), Effect::Moved);
        assert_eq!(order.state, State::Working);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        /// Whatever comes in whatever order: executions never shrink and never exceed the order, a contradiction changes
        /// nothing, and what has ended stays ended, but that the last execution may still come.
        #[test]
        fn no_message_undoes_what_happened(messages in prop::collection::vec(message(), 0..60)) {
            let mut order = Standing::planned(100);
            for message in &messages {
                let before = order.clone();
                let effect = order.hear(message);
                prop_assert!(order.filled() >= before.filled() && order.filled() <= order.shares);
                prop_assert_eq!(order.filled() == order.shares, order.state == State::Filled);
                if effect != Effect::Moved {
                    prop_assert_eq!(&order, &before);
                }
                if before.state.has_ended() {
                    prop_assert!(order.state == before.state || order.state == State::Filled);
                }
                // Heard again at once, nothing happens twice.
                let after = order.clone();
                prop_assert!(order.hear(message) != Effect::Moved);
                prop_assert_eq!(&order, &after);
            }
        }

        /// A journal that holds what was heard gives the same order.
        #[test]
        fn an_order_is_what_was_heard_of_it(messages in prop::collection::vec(message(), 0..40)) {
            let (order, _) = heard(&messages);
            let text = serde_json::to_string(&messages).expect("messages have a form");
            let read: Vec<Message> = serde_json::from_str(&text).expect("reads");
            prop_assert_eq!(heard(&read).0, order);
        }
    }
}
