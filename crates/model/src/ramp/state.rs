//! Where a ramp stands.

use super::{OnErrors, OnErrorsThen, Ramp, RampOrder, RampSubject};
use crate::{
    name::Invalid,
    number::{LogIndex, LogTime},
    route::Destination,
};

/// Where a ramp stands, as the cluster holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RampState {
    /// The log index at which it began: another ramp of the same route has another.
    pub epoch: LogIndex,
    /// How many of its steps have begun; 0: the destinations still have their own weights.
    pub entered: u16,
    /// Whether its clock runs.
    pub phase: RampPhase,
}

/// Whether a ramp's clock runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RampPhase {
    /// It does; after the last step there is nothing to wait for.
    Running {
        /// Since when the step stands, moved by as long as it was paused.
        since: LogTime,
    },
    /// It stands still.
    Paused {
        /// How long the step had stood, in milliseconds.
        ran_ms: u64,
        /// Since when.
        at: LogTime,
        /// Why.
        by: RampCause,
    },
    /// The destinations have their own weights again.
    Aborted {
        /// Since when.
        at: LogTime,
        /// Why.
        by: RampCause,
    },
}

/// Why a ramp stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RampCause {
    /// An operator said so.
    Operator,
    /// Too many requests failed.
    Errors(ErrorsSeen),
}

/// What was counted of one destination, on all nodes together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ErrorsSeen {
    /// The destination's place, from 0.
    pub destination: u16,
    /// Answers of 500 and above, calls of gRPC that failed so, and no answer.
    pub failures: u64,
    /// All together.
    pub requests: u64,
}

impl RampState {
    /// Of a ramp that begins at this index and time.
    pub fn begin(ramp: &Ramp, epoch: LogIndex, now: LogTime) -> Self {
        let entered = u16::from(ramp.steps.first().is_some_and(|step| step.after_ms == 0));
        Self { epoch, entered, phase: RampPhase::Running { since: now } }
    }

    /// Whether it can be one of this ramp.
    pub fn is_of(&self, ramp: &Ramp) -> Result<(), Invalid> {
        let count = ramp.steps.len();
        let first = ramp.steps.first().is_some_and(|step| step.after_ms == 0);
        if (usize::from(first)..=count).contains(&usize::from(self.entered)) {
            return Ok(());
        }
        let problem = format!("names step {}", self.entered);
        Err(Invalid::new("ramp", problem, format!("a step of the {count} that there are")))
    }

    /// When its next step begins; `None`: never, as things stand.
    pub fn due(&self, ramp: &Ramp) -> Option<LogTime> {
        let RampPhase::Running { since } = self.phase else { return None };
        let gap = ramp.gap_ms(self.entered.into())?;
        Some(LogTime(since.0.saturating_add(gap)))
    }

    /// Whether its last step stands.
    pub fn is_done(&self, ramp: &Ramp) -> bool {
        matches!(self.phase, RampPhase::Running { .. }) && usize::from(self.entered) >= ramp.steps.len()
    }

    /// With its next step, from `now` on.
    #[must_use]
    pub fn advanced(&self, now: LogTime) -> Self {
        Self { entered: self.entered + 1, phase: RampPhase::Running { since: now }, ..*self }
    }

    /// What an operator's word makes of it; `None`: it is over, and the word comes too late.
    pub fn ordered(&self, order: RampOrder, ramp: &Ramp, now: LogTime) -> Option<Self> {
        let by = RampCause::Operator;
        match (order, self.phase) {
            (RampOrder::Abort, RampPhase::Aborted { .. }) => Some(*self),
            (RampOrder::Abort, _) => Some(self.aborted(now, by)),
            (RampOrder::Pause | RampOrder::Resume, RampPhase::Aborted { .. }) => None,
            (RampOrder::Pause | RampOrder::Resume, _) if self.is_done(ramp) => None,
            (RampOrder::Pause, _) => Some(self.paused(now, by)),
            (RampOrder::Resume, _) => Some(self.resumed(now)),
        }
    }

    /// What too many failures make of it.
    #[must_use]
    pub fn failed(&self, then: OnErrorsThen, seen: ErrorsSeen, now: LogTime) -> Self {
        match then {
            OnErrorsThen::Pause => self.paused(now, RampCause::Errors(seen)),
            OnErrorsThen::Abort => self.aborted(now, RampCause::Errors(seen)),
        }
    }

    /// As a cluster takes it over from a backup. Nobody knows how long the step stood there, so it stands anew in full.
    #[must_use]
    pub fn restored(&self, epoch: LogIndex, now: LogTime) -> Self {
        let phase = match self.phase {
            RampPhase::Running { .. } => RampPhase::Running { since: now },
            stopped @ (RampPhase::Paused { .. } | RampPhase::Aborted { .. }) => stopped,
        };
        Self { epoch, phase, ..*self }
    }

    fn paused(&self, now: LogTime, by: RampCause) -> Self {
        match self.phase {
            RampPhase::Running { since } => {
                let ran_ms = now.0.saturating_sub(since.0);
                Self { phase: RampPhase::Paused { ran_ms, at: now, by }, ..*self }
            }
            RampPhase::Paused { .. } | RampPhase::Aborted { .. } => *self,
        }
    }

    fn resumed(&self, now: LogTime) -> Self {
        match self.phase {
            RampPhase::Paused { ran_ms, .. } => {
                let since = LogTime(now.0.saturating_sub(ran_ms));
                Self { phase: RampPhase::Running { since }, ..*self }
            }
            RampPhase::Running { .. } | RampPhase::Aborted { .. } => *self,
        }
    }

    fn aborted(&self, now: LogTime, by: RampCause) -> Self {
        Self { phase: RampPhase::Aborted { at: now, by }, ..*self }
    }
}

/// A ramp that stands, with what requests and the leader ask of it: made when it changes, not when they ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ramping {
    /// Whose it is.
    pub subject: RampSubject,
    /// Where it stands.
    pub state: RampState,
    /// The destinations with the weights that they have now.
    pub destinations: Box<[Destination]>,
    /// When its next step begins.
    pub due: Option<LogTime>,
    /// What stops it, while it runs and steps are to come.
    pub watch: Option<OnErrors>,
    /// Which of the destinations are watched.
    pub growing: Box<[bool]>,
    /// How many steps there are.
    pub steps: u16,
}

impl Ramping {
    /// In a word: `running`, `paused`, `aborted` or `done`.
    pub fn status(&self) -> &'static str {
        match self.state.phase {
            RampPhase::Running { .. } if self.due.is_some() => "running",
            RampPhase::Running { .. } => "done",
            RampPhase::Paused { .. } => "paused",
            RampPhase::Aborted { .. } => "aborted",
        }
    }

    /// Of a ramp of these destinations. The state is one of it.
    pub fn new(subject: RampSubject, (ramp, own): (&Ramp, &[Destination]), state: RampState) -> Self {
        let step = usize::from(state.entered).checked_sub(1).and_then(|nth| ramp.steps.get(nth));
        let step = step.filter(|_| !matches!(state.phase, RampPhase::Aborted { .. }));
        let mut destinations: Box<[Destination]> = own.into();
        if let Some(step) = step {
            destinations.iter_mut().zip(&step.weights).for_each(|(one, weight)| one.weight = *weight);
        }
        let due = state.due(ramp);
        Self {
            subject,
            state,
            destinations,
            due,
            watch: ramp.on_errors.filter(|_| due.is_some()),
            growing: ramp.growing(own).into(),
            // There are fewer than that.
            steps: u16::try_from(ramp.steps.len()).unwrap_or(u16::MAX),
        }
    }
}
