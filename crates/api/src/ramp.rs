//! Ramps, as documents, and where they stand.

use crate::{
    Wrong, duration,
    fields::{Fields, count, list, list_partly, millis, nested_partly, span, text},
    route::{PER_PERCENT, percent},
    timestamp,
};
use quorate_model::{
    ErrorsSeen, Invalid, LogTime, OnErrors, OnErrorsThen, Ramp, RampCause, RampOrder, RampPhase, RampState,
    RampStep, Ramping, limit,
};
use serde::Serialize;
use serde_json::{Number, Value};
use std::time::Duration;
use utoipa::ToSchema;

/// Reads `ramp`; how it fits the destinations is the model's to say. Where a part is wrong the rest is there all the
/// same, so that the model can say what is wrong with that.
pub(crate) fn ramp(value: Value) -> (Option<Ramp>, Wrong) {
    nested_partly(value, |fields| {
        let allowed = format!("1 to {} steps", limit::RAMP_STEPS_MAX);
        // One whose time can't be read stands at that of the one before: so it makes no other one wrong.
        let mut before = 0;
        let step = |value| {
            let (step, wrong) = step(value, before);
            before = step.after_ms;
            (step, wrong)
        };
        let steps = fields.required_partly("steps", &allowed, list_partly(limit::RAMP_STEPS_MAX, step));
        let on_errors = fields.optional_partly("on_errors", on_errors);
        Ramp { steps: steps.unwrap_or_default(), on_errors }
    })
}

fn step(value: Value, before: u64) -> (RampStep, Wrong) {
    let (step, wrong) = nested_partly(value, |fields| {
        let after = fields.required("after", duration::ALLOWED, span);
        let weight = |value| count(limit::WEIGHT_MAX)(value);
        let allowed = "one weight for each destination, in their order";
        let weights = fields.required("weights", allowed, list(limit::DESTINATIONS_MAX, weight));
        let after_ms = after.map_or(before, |after| u64::try_from(after.as_millis()).unwrap_or(u64::MAX));
        RampStep { after_ms, weights: weights.unwrap_or_default() }
    });
    (step.unwrap_or(RampStep { after_ms: before, weights: Vec::new() }), wrong)
}

fn on_errors(value: Value) -> (Option<OnErrors>, Wrong) {
    nested_partly(value, |fields: &mut Fields| {
        let share = |value| percent(value).map_err(|wrong| allowing(wrong, OnErrors::PERCENT_ALLOWED));
        let per_million = fields.required("percent", OnErrors::PERCENT_ALLOWED, share);
        let min_requests = fields.optional("min_requests", count(u32::MAX));
        let window = fields.optional("window", millis);
        let then = |text: &str| match text {
            "pause" => Ok(OnErrorsThen::Pause),
            "abort" => Ok(OnErrorsThen::Abort),
            _ => Err(Invalid::new("", "is no such thing", "pause or abort")),
        };
        let then = fields.optional("then", text("pause or abort", then));
        OnErrors {
            // Listed: anything that is not wrong once more.
            per_million: per_million.unwrap_or(PER_PERCENT),
            min_requests: min_requests.unwrap_or(OnErrors::MIN_REQUESTS_DEFAULT),
            window_ms: window.unwrap_or(OnErrors::WINDOW_MS_DEFAULT),
            then: then.unwrap_or_default(),
        }
    })
}

fn allowing(wrong: Wrong, allowed: &str) -> Wrong {
    wrong.into_iter().map(|one| one.allowing(allowed)).collect()
}

/// What a path says of a ramp.
pub fn order(text: &str) -> Result<RampOrder, Invalid> {
    let all = [RampOrder::Pause, RampOrder::Resume, RampOrder::Abort];
    let found = all.into_iter().find(|order| order.as_str() == text);
    found.ok_or_else(|| Invalid::new("order", "is no such word", "pause, resume or abort"))
}

/// How weights change by themselves.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RampBody {
    /// One after the other.
    #[schema(min_items = 1, max_items = 20)]
    pub steps: Vec<RampStepBody>,
    /// When it stops by itself; never, if not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_errors: Option<OnErrorsBody>,
}

/// A step of a ramp.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RampStepBody {
    /// When it begins, after the ramp does; later than the step before, at most 30 days. Pauses do not count.
    #[schema(examples("10m"), pattern = r"^([0-9]+(\.[0-9]+)?(h|m|s|ms))+$")]
    pub after: String,
    /// The weights from then on, one for each destination, in their order; not all are 0.
    #[schema(min_items = 1, max_items = 64)]
    pub weights: Vec<u32>,
}

/// When a ramp stops by itself: too many requests fail at a destination whose share grows.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OnErrorsBody {
    /// So many of a hundred requests, or more: above 0, at most 100.
    #[schema(value_type = f64, minimum = 0, maximum = 100)]
    pub percent: Number,
    /// Fewer requests say nothing; 100 if not said.
    #[schema(required = false, minimum = 1, maximum = 1_000_000_000)]
    pub min_requests: u32,
    /// Of which time requests are counted, on all nodes together: 10s to 1h; 1m if not said.
    #[schema(required = false, examples("1m"), pattern = r"^([0-9]+(\.[0-9]+)?(h|m|s|ms))+$")]
    pub window: String,
    /// `pause`: it stays where it is; `abort`: the destinations have their own weights again. `pause` if not said.
    #[schema(required = false)]
    pub then: String,
}

impl From<&Ramp> for RampBody {
    fn from(Ramp { steps, on_errors }: &Ramp) -> Self {
        let step = |RampStep { after_ms, weights }: &RampStep| RampStepBody {
            after: duration::format(Duration::from_millis(*after_ms)),
            weights: weights.clone(),
        };
        let on_errors =
            on_errors.map(|OnErrors { per_million, min_requests, window_ms, then }| OnErrorsBody {
                percent: shown_percent(per_million),
                min_requests,
                window: duration::format(Duration::from_millis(window_ms.into())),
                then: match then {
                    OnErrorsThen::Pause => "pause".into(),
                    OnErrorsThen::Abort => "abort".into(),
                },
            });
        Self { steps: steps.iter().map(step).collect(), on_errors }
    }
}

fn shown_percent(per_million: u32) -> Number {
    let fine = || Number::from_f64(f64::from(per_million) / f64::from(PER_PERCENT));
    let whole = per_million.is_multiple_of(PER_PERCENT).then(|| (per_million / PER_PERCENT).into());
    whole.or_else(fine).unwrap_or_else(|| 0.into())
}

/// Where a ramp stands.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RampStatusBody {
    /// Of a sandbox: the rule's place, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<u16>,
    /// `running`, `paused`, `aborted` or `done`: the last step stands.
    pub status: String,
    /// Which step stands, from 1; 0: the first one is still to come.
    pub step: u16,
    /// How many there are.
    pub steps: u16,
    /// The weights of the destinations now, in their order.
    pub weights: Vec<u32>,
    /// When the next step begins, if the ramp runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = "date-time")]
    pub next_step_at: Option<String>,
    /// Since when it is paused or aborted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = "date-time")]
    pub stopped_at: Option<String>,
    /// Who stopped it: `operator` or `errors`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped_by: Option<String>,
    /// What it was stopped for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped_for: Option<ErrorsSeenBody>,
    /// Of one object, while errors are watched: what the nodes have counted within the window.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub seen: Vec<ErrorsSeenBody>,
    /// The log index at which it began.
    pub began_index: u64,
}

/// How the requests to one destination fared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ErrorsSeenBody {
    /// Its place among the destinations, from 0.
    pub destination: u16,
    /// Answers of 500 and above, and no answer.
    pub failures: u64,
    /// All together.
    pub requests: u64,
}

impl From<ErrorsSeen> for ErrorsSeenBody {
    fn from(ErrorsSeen { destination, failures, requests }: ErrorsSeen) -> Self {
        Self { destination, failures, requests }
    }
}

impl From<&Ramping> for RampStatusBody {
    fn from(ramping: &Ramping) -> Self {
        let RampState { epoch, entered, phase } = ramping.state;
        let stop = match phase {
            RampPhase::Running { .. } => None,
            RampPhase::Paused { at, by, .. } | RampPhase::Aborted { at, by } => Some((at, by)),
        };
        let errors = stop.and_then(|(_, by)| match by {
            RampCause::Operator => None,
            RampCause::Errors(seen) => Some(seen),
        });
        let by = |by| match by {
            RampCause::Operator => "operator".to_owned(),
            RampCause::Errors(_) => "errors".to_owned(),
        };
        Self {
            rule: None,
            status: ramping.status().into(),
            step: entered,
            steps: ramping.steps,
            weights: ramping.destinations.iter().map(|one| one.weight).collect(),
            next_step_at: ramping.due.map(timestamp::millis),
            stopped_at: stop.map(|(at, _): (LogTime, _)| timestamp::millis(at)),
            stopped_by: stop.map(|(_, cause)| by(cause)),
            stopped_for: errors.map(Into::into),
            seen: Vec::new(),
            began_index: epoch.0,
        }
    }
}

impl RampStatusBody {
    /// With what nodes have counted.
    #[must_use]
    pub fn seeing(self, seen: Vec<ErrorsSeen>) -> Self {
        Self { seen: seen.into_iter().map(Into::into).collect(), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(value: Value) -> Result<Ramp, Vec<String>> {
        let (read, wrong) = ramp(value);
        let wrong: Vec<_> = wrong.into_iter().map(|one| one.field).collect();
        read.filter(|_| wrong.is_empty()).ok_or(wrong)
    }

    #[test]
    fn what_is_shown_reads_back() {
        for body in [
            json!({"steps": [{"after": "0s", "weights": [95, 5]}, {"after": "1h30m", "weights": [0, 100]}]}),
            json!({"steps": [{"after": "5m", "weights": [1]}], "on_errors": {"percent": 5}}),
            json!({"steps": [{"after": "5m", "weights": [1]}],
                "on_errors": {"percent": 0.25, "min_requests": 7, "window": "90s", "then": "abort"}}),
        ] {
            let read_once = read(body).expect("valid");
            let shown = serde_json::to_value(RampBody::from(&read_once)).expect("serialises");
            assert_eq!(read(shown), Ok(read_once));
        }
        let defaults = read(json!({"steps": [{"after": "0s", "weights": [1]}], "on_errors": {"percent": 5}}));
        let on_errors = defaults.expect("valid").on_errors.expect("it has");
        assert_eq!((on_errors.per_million, on_errors.min_requests), (50_000, 100));
        assert_eq!((on_errors.window_ms, on_errors.then), (60_000, OnErrorsThen::Pause));
    }

    #[test]
    fn every_mistake_has_its_place() {
        let body = json!({
            "steps": [{"after": "soon", "weights": [1]}, {"weights": [-1, 2_000_000]}, {"after": "1s"}],
            "on_errors": {"min_requests": -1, "window": 5, "then": "panic", "colour": "red"},
            "speed": 9,
        });
        let mut wrong = read(body).expect_err("wrong");
        wrong.sort_unstable();
        let expected = [
            ".on_errors.colour",
            ".on_errors.min_requests",
            ".on_errors.percent",
            ".on_errors.then",
            ".on_errors.window",
            ".speed",
            ".steps[0].after",
            ".steps[1].after",
            ".steps[1].weights[0]",
            ".steps[1].weights[1]",
            ".steps[2].weights",
        ];
        assert_eq!(wrong, expected);
    }
}
