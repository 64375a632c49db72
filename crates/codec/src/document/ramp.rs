//! Ramps, and where they stand.

use quorate_model as model;
use quorate_model::{Invalid, LogIndex, LogTime};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ramp {
    steps: Vec<Step>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    on_errors: Option<OnErrors>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    after_ms: u64,
    weights: Vec<u32>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OnErrors {
    per_million: u32,
    min_requests: u32,
    window_ms: u32,
    then: Then,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Then {
    Pause,
    Abort,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RampState {
    epoch: u64,
    entered: u16,
    phase: Phase,
}

/// Of one rule of a sandbox.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RuleRamp {
    rule: u16,
    state: RampState,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Phase {
    Running { since_ms: u64 },
    Paused { ran_ms: u64, at_ms: u64, by: Cause },
    Aborted { at_ms: u64, by: Cause },
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Cause {
    Operator,
    Errors { destination: u16, failures: u64, requests: u64 },
}

impl From<&model::Ramp> for Ramp {
    fn from(ramp: &model::Ramp) -> Self {
        let model::Ramp { steps, on_errors } = ramp;
        let step = |step: &model::RampStep| {
            let model::RampStep { after_ms, weights } = step;
            Step { after_ms: *after_ms, weights: weights.clone() }
        };
        let on_errors = on_errors.map(|on_errors| {
            let model::OnErrors { per_million, min_requests, window_ms, then } = on_errors;
            let then = match then {
                model::OnErrorsThen::Pause => Then::Pause,
                model::OnErrorsThen::Abort => Then::Abort,
            };
            OnErrors { per_million, min_requests, window_ms, then }
        });
        Self { steps: steps.iter().map(step).collect(), on_errors }
    }
}

/// Its bounds are checked with the route or rule that it is a part of.
impl From<Ramp> for model::Ramp {
    fn from(Ramp { steps, on_errors }: Ramp) -> Self {
        let step = |Step { after_ms, weights }| model::RampStep { after_ms, weights };
        let on_errors = on_errors.map(|OnErrors { per_million, min_requests, window_ms, then }| {
            let then = match then {
                Then::Pause => model::OnErrorsThen::Pause,
                Then::Abort => model::OnErrorsThen::Abort,
            };
            model::OnErrors { per_million, min_requests, window_ms, then }
        });
        Self { steps: steps.into_iter().map(step).collect(), on_errors }
    }
}

impl From<model::RampState> for RampState {
    fn from(model::RampState { epoch, entered, phase }: model::RampState) -> Self {
        let phase = match phase {
            model::RampPhase::Running { since } => Phase::Running { since_ms: since.0 },
            model::RampPhase::Paused { ran_ms, at, by } => {
                Phase::Paused { ran_ms, at_ms: at.0, by: by.into() }
            }
            model::RampPhase::Aborted { at, by } => Phase::Aborted { at_ms: at.0, by: by.into() },
        };
        Self { epoch: epoch.0, entered, phase }
    }
}

/// Whether it is one of the ramp that it stands with is checked there.
impl From<RampState> for model::RampState {
    fn from(RampState { epoch, entered, phase }: RampState) -> Self {
        let phase = match phase {
            Phase::Running { since_ms } => model::RampPhase::Running { since: LogTime(since_ms) },
            Phase::Paused { ran_ms, at_ms, by } => {
                model::RampPhase::Paused { ran_ms, at: LogTime(at_ms), by: by.into() }
            }
            Phase::Aborted { at_ms, by } => model::RampPhase::Aborted { at: LogTime(at_ms), by: by.into() },
        };
        Self { epoch: LogIndex(epoch), entered, phase }
    }
}

impl From<model::RampCause> for Cause {
    fn from(cause: model::RampCause) -> Self {
        match cause {
            model::RampCause::Operator => Self::Operator,
            model::RampCause::Errors(model::ErrorsSeen { destination, failures, requests }) => {
                Self::Errors { destination, failures, requests }
            }
        }
    }
}

impl From<Cause> for model::RampCause {
    fn from(cause: Cause) -> Self {
        match cause {
            Cause::Operator => Self::Operator,
            Cause::Errors { destination, failures, requests } => {
                Self::Errors(model::ErrorsSeen { destination, failures, requests })
            }
        }
    }
}

/// Of rules, by their place.
pub(super) fn of_rules(ramps: &BTreeMap<u16, model::RampState>) -> Vec<RuleRamp> {
    ramps.iter().map(|(rule, state)| RuleRamp { rule: *rule, state: (*state).into() }).collect()
}

/// The same, read back and checked with the sandbox whose they are.
pub(super) fn with_rules(
    sandbox: &model::Sandbox,
    ramps: Vec<RuleRamp>,
) -> Result<BTreeMap<u16, model::RampState>, Invalid> {
    let ramps = ramps.into_iter().map(|RuleRamp { rule, state }| (rule, state.into())).collect();
    sandbox.check_ramps(&ramps)?;
    Ok(ramps)
}
