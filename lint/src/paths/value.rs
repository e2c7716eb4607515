//! What is known of a variable or an exit code on one path through a script.

use crate::shell::HIDDEN;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Value {
    /// A text; [`HIDDEN`] stands for the parts of it that aren't known.
    Text(String),
    /// A number greater than 0: the exit code of something that failed.
    Failed,
    /// The process number of a job.
    Job(usize),
    List(Vec<Value>),
    Unknown,
}

/// Numbers beyond this one count as [`Value::Failed`], so that counters don't make paths without end.
const LARGEST: i64 = 2;
/// Longest text kept.
const LONGEST: usize = 4_096;

impl Value {
    pub(super) fn text(text: &str) -> Self {
        if text.len() > LONGEST { Self::Unknown } else { Self::Text(text.to_owned()) }
    }

    pub(super) fn zero() -> Self {
        Self::Text("0".to_owned())
    }

    /// The exit code of something that succeeded, or failed.
    pub(super) fn status(succeeded: bool) -> Self {
        if succeeded { Self::zero() } else { Self::Failed }
    }

    pub(super) fn number(number: i64) -> Self {
        if number > LARGEST { Self::Failed } else { Self::Text(number.to_string()) }
    }

    /// The text, if all of it is known.
    pub(super) fn known(&self) -> Option<&str> {
        match self {
            Self::Text(text) if !text.contains(HIDDEN) => Some(text),
            _ => None,
        }
    }

    /// The text as far as it is known.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            _ => HIDDEN.to_string(),
        }
    }

    pub(super) fn as_number(&self) -> Option<i64> {
        let text = self.known()?.trim();
        if text.is_empty() { Some(0) } else { text.parse().ok() }
    }

    /// Whether it is 0, where that is certain.
    pub(super) fn is_zero(&self) -> Option<bool> {
        match self {
            Self::Failed | Self::Job(_) => Some(false),
            _ => self.as_number().map(|number| number == 0),
        }
    }

    /// Whether it is an empty text, where that is certain.
    pub(super) fn is_empty(&self) -> Option<bool> {
        match self {
            Self::Text(text) if text.is_empty() => Some(true),
            Self::Text(text) if text.chars().all(|c| c == HIDDEN) => None,
            Self::List(values) => Some(values.is_empty()),
            Self::Unknown => None,
            _ => Some(false),
        }
    }

    /// Whether both are the same text, where that is certain.
    pub(super) fn equals(&self, other: &Self) -> Option<bool> {
        match (self, other) {
            (Self::Failed, Self::Text(_)) => match other.known()?.parse::<i64>() {
                Ok(number) if number > 0 => None,
                _ => Some(false),
            },
            (Self::Text(_), Self::Failed) => other.equals(self),
            _ => Some(self.known()? == other.known()?),
        }
    }

    /// Whether the number is less than the other, where that is certain.
    pub(super) fn is_less(&self, other: &Self) -> Option<bool> {
        match (self, other) {
            (Self::Failed, _) => (other.as_number()? <= 1).then_some(false),
            (_, Self::Failed) => (self.as_number()? <= 0).then_some(true),
            _ => Some(self.as_number()? < other.as_number()?),
        }
    }

    /// Whether both are the same number, where that is certain.
    pub(super) fn is_same_number(&self, other: &Self) -> Option<bool> {
        match (self, other) {
            (Self::Failed, _) => (other.as_number()? <= 0).then_some(false),
            (_, Self::Failed) => other.is_same_number(self),
            _ => Some(self.as_number()? == other.as_number()?),
        }
    }

    /// One behind the other, as words are put together.
    pub(super) fn then(self, other: Self) -> Self {
        let is_jobs = |value: &Self| matches!(value, Self::Job(_) | Self::List(_));
        if self.is_empty() == Some(true) && !matches!(self, Self::List(_)) {
            return other;
        }
        if other.is_empty() == Some(true) && !matches!(other, Self::List(_)) {
            return self;
        }
        if is_jobs(&self) || is_jobs(&other) {
            let parts = [self, other].into_iter().flat_map(|value| match value {
                Self::List(values) => values,
                Self::Text(text) if text.trim().is_empty() => Vec::new(),
                value => vec![value],
            });
            return Self::List(parts.collect());
        }
        Self::text(&(self.shown() + &other.shown()))
    }
}
