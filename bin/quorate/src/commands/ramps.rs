//! Ramps, as a table shows them.

use crate::{
    args::Format,
    failure::Failure,
    output::{Rows, or_dash, show},
};
use quorate_client::operator::{ErrorsRecord, RampOrder, RampRecord};
use serde_json::json;

/// Prints where ramps stand. `name`: of a destination, by its rule and its place.
pub fn print_ramps(
    format: Format,
    ramps: &[RampRecord],
    name: impl Fn(&RampRecord, u16) -> Option<String>,
) -> Result<(), Failure> {
    let shown = ramps.iter().map(|ramp| {
        let seen = |one: &ErrorsRecord| {
            json!({"destination": one.destination, "failures": one.failures, "requests": one.requests})
        };
        json!({
            "rule": ramp.rule, "status": ramp.status, "step": ramp.step, "steps": ramp.steps,
            "weights": ramp.weights, "next_step_at": ramp.next_step_at, "stopped_by": ramp.stopped_by,
            "stopped_for": ramp.stopped_for.as_ref().map(seen),
            "seen": ramp.seen.iter().map(seen).collect::<Vec<_>>(),
        })
    });
    show(format, &shown.collect(), || rows(ramps, &name))
}

fn rows(ramps: &[RampRecord], name: &impl Fn(&RampRecord, u16) -> Option<String>) -> Rows {
    let mut rows = Rows::new(["rule", "status", "step", "weights", "next step at", "errors"]);
    for ramp in ramps {
        let rule = ramp.rule.map(|rule| rule.to_string());
        let weights: Vec<_> = ramp.weights.iter().map(ToString::to_string).collect();
        let errors = |of: &ErrorsRecord| {
            let place = || format!("destination {}", of.destination);
            let name = name(ramp, of.destination).unwrap_or_else(place);
            format!("{} of {} failed at {name}", of.failures, of.requests)
        };
        let seen: Vec<_> = match &ramp.stopped_for {
            Some(stopped) => vec![format!("stopped: {}", errors(stopped))],
            None => ramp.seen.iter().map(errors).collect(),
        };
        rows.push([
            or_dash(rule.as_ref()),
            ramp.status.clone(),
            format!("{} of {}", ramp.step, ramp.steps),
            weights.join(":"),
            or_dash(ramp.next_step_at.as_deref()),
            if seen.is_empty() { "-".into() } else { seen.join(", ") },
        ]);
    }
    rows
}

/// In a list: that the weights are those of a step.
pub fn mark(ramp: &RampRecord) -> String {
    format!(" (ramp {}, step {} of {})", ramp.status, ramp.step, ramp.steps)
}

/// What was done, in a word.
pub fn done_to(order: RampOrder) -> &'static str {
    match order {
        RampOrder::Pause => "paused",
        RampOrder::Resume => "resumed",
        RampOrder::Abort => "aborted",
    }
}
