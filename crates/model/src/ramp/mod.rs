//! Ramps: shares of the requests that change by themselves, step by step.
//!
//! A new version gets a few of the requests, then half, then all, each after its time. Which step stands is replicated:
//! it changes only where a log entry says so, so all nodes change their weights at one index and nobody's clock but the
//! leader's is asked. A step stands for at least as long as the document says: one that comes late, since there was no
//! leader, moves the later ones back and skips none.

mod command;
mod state;
#[cfg(test)]
mod tests;

pub use command::{RampAdvance, RampCommand, RampCounted, RampErrors, RampOrder, RampSubject};
pub use state::{ErrorsSeen, RampCause, RampPhase, RampState, Ramping};

use crate::{limit, name::Invalid, policy::span_ms, route::Destination, weight};
use std::time::Duration;

/// What a ramp says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ramp {
    /// One after the other.
    pub steps: Vec<RampStep>,
    /// When it stops by itself.
    pub on_errors: Option<OnErrors>,
}

/// One step of a ramp.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RampStep {
    /// When it begins, after the ramp does, in milliseconds; pauses do not count.
    pub after_ms: u64,
    /// The shares from then on, one for each destination.
    pub weights: Vec<u32>,
}

/// How many of the requests may fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OnErrors {
    /// So many of a million requests, or more, stop the ramp.
    pub per_million: u32,
    /// Fewer requests say nothing.
    pub min_requests: u32,
    /// Of which time requests are counted, in milliseconds.
    pub window_ms: u32,
    /// What becomes of the ramp.
    pub then: OnErrorsThen,
}

/// What becomes of a ramp when too many requests fail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OnErrorsThen {
    /// It stays where it is.
    #[default]
    Pause,
    /// The destinations have their own weights again.
    Abort,
}

impl OnErrors {
    /// What may be said of [`Self::per_million`], in a document's words.
    pub const PERCENT_ALLOWED: &str = "a number above 0, at most 100, in steps of 0.0001";
    /// What is counted where nothing is said.
    pub const MIN_REQUESTS_DEFAULT: u32 = 100;
    /// See [`Self::MIN_REQUESTS_DEFAULT`].
    pub const WINDOW_MS_DEFAULT: u32 = 60_000;

    /// Whether so many failures among so many requests stop the ramp.
    pub fn is_too_much(&self, failures: u64, requests: u64) -> bool {
        let part = u128::from(failures) * 1_000_000;
        failures > 0
            && requests >= u64::from(self.min_requests)
            && part >= u128::from(requests) * u128::from(self.per_million)
    }
}

impl Ramp {
    /// How long step `nth` comes after the one before it, or after the beginning.
    pub fn gap_ms(&self, nth: usize) -> Option<u64> {
        let before = nth.checked_sub(1).and_then(|before| self.steps.get(before));
        Some(self.steps.get(nth)?.after_ms - before.map_or(0, |step| step.after_ms))
    }

    /// Which destinations get a larger share in the end than in the beginning: those are watched for errors.
    pub fn growing(&self, destinations: &[Destination]) -> Vec<bool> {
        let own = || destinations.iter().map(|one| one.weight).collect::<Vec<_>>();
        let (first, last) = match &self.steps[..] {
            [first, .., last] => (first.weights.clone(), last.weights.clone()),
            [only] => (own(), only.weights.clone()),
            [] => (own(), own()),
        };
        let sum = |weights: &[u32]| weights.iter().map(|weight| u128::from(*weight)).sum::<u128>();
        let (of_first, of_last) = (sum(&first), sum(&last));
        let pairs = first.iter().zip(&last);
        pairs.map(|(a, b)| u128::from(*b) * of_first > u128::from(*a) * of_last).collect()
    }

    /// About how many bytes it keeps in memory.
    pub(crate) fn weight(&self) -> usize {
        const STEP: usize = 64;
        self.steps.iter().map(|step| STEP + weight::SHARE * step.weights.len()).sum()
    }

    /// What is wrong with it where there are so many destinations, each by its place in the document.
    pub(crate) fn mistakes(&self, destinations: usize) -> Vec<Invalid> {
        let (count, max) = (self.steps.len(), limit::RAMP_STEPS_MAX);
        let mut wrong = Vec::new();
        if !(1..=max).contains(&count) {
            let problem = if count == 0 { "is empty".to_owned() } else { format!("has {count}") };
            wrong.push(Invalid::new("ramp.steps", problem, format!("1 to {max} steps")));
        }
        for (nth, step) in self.steps.iter().take(max).enumerate() {
            let before = nth.checked_sub(1).map(|before| self.steps[before].after_ms);
            wrong.extend(step.wrong_time(nth, before));
            wrong.extend(step.wrong_weights(nth, destinations));
        }
        wrong.extend(self.on_errors.iter().flat_map(OnErrors::mistakes));
        wrong
    }
}

impl RampStep {
    fn wrong_time(&self, nth: usize, before: Option<u64>) -> Option<Invalid> {
        let field = format!("ramp.steps[{nth}].after");
        if before.is_some_and(|before| self.after_ms <= before) {
            return Some(Invalid::new(field, "is not later than that of the step before", "later"));
        }
        (self.after_ms > limit::RAMP_MS_MAX)
            .then(|| Invalid::new(field, "is too long", "at most 720h (30 days)"))
    }

    fn wrong_weights(&self, nth: usize, destinations: usize) -> Vec<Invalid> {
        let field = format!("ramp.steps[{nth}].weights");
        let count = self.weights.len();
        // Where there is none, that is what is wrong.
        if destinations > 0 && count != destinations {
            let allowed = format!("one weight for each of the {destinations} destinations, in their order");
            return vec![Invalid::new(field, format!("has {count}"), allowed)];
        }
        let heavy = self.weights.iter().enumerate().filter(|(_, weight)| **weight > limit::WEIGHT_MAX);
        let mut wrong: Vec<_> = heavy
            .map(|(at, weight)| {
                let allowed = format!("0 to {}", limit::WEIGHT_MAX);
                Invalid::new(format!("{field}[{at}]"), format!("is {weight}"), allowed)
            })
            .collect();
        if count > 0 && self.weights.iter().all(|weight| *weight == 0) {
            let allowed = format!("at least one weight of 1 to {}", limit::WEIGHT_MAX);
            wrong.push(Invalid::new(field, "are all 0", allowed));
        }
        wrong
    }
}

impl OnErrors {
    fn mistakes(&self) -> Vec<Invalid> {
        let mut wrong = Vec::new();
        if !(1..=1_000_000).contains(&self.per_million) {
            wrong.push(Invalid::new("ramp.on_errors.percent", "is out of bounds", Self::PERCENT_ALLOWED));
        }
        if !(1..=limit::RAMP_REQUESTS_MAX).contains(&self.min_requests) {
            let (field, allowed) =
                ("ramp.on_errors.min_requests", format!("1 to {}", limit::RAMP_REQUESTS_MAX));
            wrong.push(Invalid::new(field, format!("is {}", self.min_requests), allowed));
        }
        let window = Duration::from_millis(self.window_ms.into());
        let (min, max) = (limit::RAMP_WINDOW_MS_MIN, limit::RAMP_WINDOW_MS_MAX);
        wrong.extend(span_ms("ramp.on_errors.window", window, min, max).err());
        wrong
    }
}
