//! When a request is given to another endpoint, and how often.

use super::{span_ms, within};
use crate::{limit, name::Invalid};
use std::time::Duration;

/// How long to wait between two attempts: `initial`, doubled each time, at most `max`, with jitter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// In milliseconds.
    pub initial_ms: u32,
    /// In milliseconds.
    pub max_ms: u32,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { initial_ms: 100, max_ms: 10_000 }
    }
}

/// When a request is given to another endpoint after one has failed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retries {
    /// Attempts after the first one.
    pub max: u8,
    /// Answers that count as failed, in ascending order.
    pub on: Vec<u16>,
    /// Between two attempts.
    pub backoff: Backoff,
    /// Whether a request may be repeated whose method does not promise that twice is as good as once.
    pub non_idempotent: bool,
    /// How many requests may be retries.
    pub budget: RetryBudget,
}

/// The share of requests that may be retries: without one, a failing service gets many times its load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryBudget {
    /// In percent of the requests.
    pub percent: u8,
    /// As many are always allowed, per second.
    pub min_per_second: u32,
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self { percent: 20, min_per_second: 3 }
    }
}

impl Default for Retries {
    fn default() -> Self {
        Self {
            max: 3,
            on: vec![502, 503, 504],
            backoff: Backoff::default(),
            non_idempotent: false,
            budget: RetryBudget::default(),
        }
    }
}

impl Retries {
    /// Checks all bounds and lists each that is wrong, by the names of the public fields.
    pub fn validate(mut self) -> Result<Self, Vec<Invalid>> {
        let mut wrong = Vec::new();
        let mut note = |checked: Result<(), Invalid>| wrong.extend(checked.err());
        note(within("max", self.max, 0, limit::RETRIES_MAX).map(drop));
        for (nth, status) in self.on.iter().enumerate() {
            note(within(&format!("on[{nth}]"), *status, 400, 599).map(drop));
        }
        let Backoff { initial_ms, max_ms } = self.backoff;
        let (min, max) = (1, limit::BACKOFF_MS_MAX);
        let span = |ms: u32| Duration::from_millis(ms.into());
        note(span_ms("backoff.initial", span(initial_ms), min, max).map(drop));
        note(span_ms("backoff.max", span(max_ms), initial_ms.clamp(min, max), max).map(drop));
        note(within("budget.percent", self.budget.percent, 0, 100).map(drop));
        note(
            within("budget.min_per_second", self.budget.min_per_second, 0, limit::RETRIES_PER_SECOND_MAX)
                .map(drop),
        );
        self.on.sort_unstable();
        self.on.dedup();
        if wrong.is_empty() { Ok(self) } else { Err(wrong) }
    }
}
