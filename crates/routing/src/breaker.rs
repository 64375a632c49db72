//! Circuit breaker: an endpoint of a service that fails again and again is left alone for a while.
//!
//! | state | lets through | leaves it |
//! |---|---|---|
//! | closed | all | to open: [`Settings::failures`] failures without a success between them |
//! | open | none | to half-open: the first request after [`Settings::open_ms`] |
//! | half-open | [`Settings::trials`] at a time | to closed: [`Settings::successes`] successes; to open: one failure |
//!
//! A request that was let through has a [`Pass`], and its result counts only in the state that gave it. The
//! counter-example: a breaker is half-open, and a request that hung since before it opened fails now; that says nothing
//! about the endpoint as it is.
//!
//! A closed one also opens when it is told to ([`Breaker::told_open`]): another core or node has found the endpoint bad.
//! That is for as long as the teller says, at most [`Settings::open_ms`], and it is no finding: a success of a request
//! that was let through before closes it at once. Once it is over the word of others counts no more until a trial has
//! said how the endpoint is from here. So a teller that is cut off itself shuts an endpoint out for one such span, not
//! one after the other.
//!
//! A trial may never report, because its client went away. So trials that have been out for another
//! [`Settings::open_ms`] are forgotten, or the breaker would stay half-open, letting nobody through, for ever.

/// When to open, and how to close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Failures in a row that open it.
    pub failures: u32,
    /// How long it stays open.
    pub open_ms: u64,
    /// Successes in a row that close it.
    pub successes: u32,
    /// Requests at a time while it is half-open.
    pub trials: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { failures: 5, open_ms: 60_000, successes: 2, trials: 1 }
    }
}

/// One endpoint's breaker for one service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Breaker {
    state: State,
    /// Grows with each change of state.
    turn: u32,
    /// Whether it is open only because it was told to be.
    is_told: bool,
}

/// Where a breaker is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// All go through.
    Closed {
        /// Failures in a row.
        failures: u32,
    },
    /// None does.
    Open {
        /// Until when.
        until_ms: u64,
    },
    /// A few do, to see how it is.
    HalfOpen {
        /// How many are under way.
        trials: u32,
        /// How many went well.
        successes: u32,
        /// When trials that have not reported are forgotten.
        until_ms: u64,
    },
}

impl Default for State {
    fn default() -> Self {
        Self::Closed { failures: 0 }
    }
}

/// What a request that was let through shows when its result is known: once.
#[derive(Debug, PartialEq, Eq)]
pub struct Pass {
    turn: u32,
}

/// How a request that was let through ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Well.
    Success,
    /// Badly, and that is the endpoint's fault.
    Failure,
    /// In a way that says nothing about the endpoint.
    Unknown,
}

/// A change of state, to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is open now.
    Opened,
    /// It lets trials through now.
    HalfOpened,
    /// It is closed again.
    Closed,
}

impl Breaker {
    /// Where it is.
    pub fn state(&self) -> State {
        self.state
    }

    /// Whether a request would be let through now.
    pub fn lets_through(&self, settings: &Settings, now_ms: u64) -> bool {
        match self.state {
            State::Closed { .. } => true,
            State::Open { until_ms } => now_ms >= until_ms,
            State::HalfOpen { trials, until_ms, .. } => trials < settings.trials || now_ms >= until_ms,
        }
    }

    /// When it lets a request through again, where it does not now. Of a trial that is under way nobody knows when it
    /// ends: now, as likely as ever.
    pub fn shut_until(&self, settings: &Settings, now_ms: u64) -> Option<u64> {
        if self.lets_through(settings, now_ms) {
            return None;
        }
        Some(match self.state {
            State::Open { until_ms } => until_ms,
            State::Closed { .. } | State::HalfOpen { .. } => now_ms,
        })
    }

    /// Lets a request through, or not.
    pub fn admit(&mut self, settings: &Settings, now_ms: u64) -> Option<(Pass, Option<Change>)> {
        let change = match &mut self.state {
            State::Closed { .. } => None,
            State::Open { until_ms } if now_ms >= *until_ms => Some(self.half_open(settings, (1, 0), now_ms)),
            State::Open { .. } => return None,
            State::HalfOpen { trials, .. } if *trials < settings.trials => {
                *trials += 1;
                None
            }
            State::HalfOpen { successes, until_ms, .. } if now_ms >= *until_ms => {
                let successes = *successes;
                self.half_open(settings, (1, successes), now_ms);
                None
            }
            State::HalfOpen { .. } => return None,
        };
        Some((Pass { turn: self.turn }, change))
    }

    /// A request that was let through has ended.
    pub fn ended(&mut self, settings: &Settings, (pass, how): (Pass, Ended), now_ms: u64) -> Option<Change> {
        if self.is_told && how == Ended::Success && pass.turn == self.turn.wrapping_sub(1) {
            self.enter(State::default());
            return Some(Change::Closed);
        }
        if pass.turn != self.turn {
            return None;
        }
        match (&mut self.state, how) {
            (State::Closed { failures }, Ended::Success) => *failures = 0,
            (State::Closed { failures }, Ended::Failure) => {
                *failures += 1;
                if *failures >= settings.failures {
                    return Some(self.open(settings, now_ms));
                }
            }
            (State::HalfOpen { .. }, Ended::Failure) => return Some(self.open(settings, now_ms)),
            (State::HalfOpen { trials, successes, .. }, Ended::Success) => {
                *trials = trials.saturating_sub(1);
                *successes += 1;
                if *successes >= settings.successes {
                    self.enter(State::default());
                    return Some(Change::Closed);
                }
            }
            (State::HalfOpen { trials, .. }, Ended::Unknown) => *trials = trials.saturating_sub(1),
            (State::Closed { .. }, Ended::Unknown) | (State::Open { .. }, _) => {}
        }
        None
    }

    /// Another core or node has found the endpoint bad, and leaves it alone for `left_ms`: this one need not find out
    /// for itself.
    pub fn told_open(&mut self, settings: &Settings, left_ms: u64, now_ms: u64) -> Option<Change> {
        match self.state {
            State::Closed { .. } if left_ms > 0 => {
                let until_ms = now_ms.saturating_add(left_ms.min(settings.open_ms));
                self.enter(State::Open { until_ms });
                self.is_told = true;
                Some(Change::Opened)
            }
            State::Closed { .. } | State::Open { .. } | State::HalfOpen { .. } => None,
        }
    }

    fn open(&mut self, settings: &Settings, now_ms: u64) -> Change {
        self.enter(State::Open { until_ms: now_ms.saturating_add(settings.open_ms) });
        Change::Opened
    }

    fn half_open(&mut self, settings: &Settings, (trials, successes): (u32, u32), now_ms: u64) -> Change {
        let until_ms = now_ms.saturating_add(settings.open_ms);
        self.enter(State::HalfOpen { trials, successes, until_ms });
        Change::HalfOpened
    }

    fn enter(&mut self, state: State) {
        self.state = state;
        self.turn = self.turn.wrapping_add(1);
        self.is_told = false;
    }
}

#[cfg(test)]
mod tests;
