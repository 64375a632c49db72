//! Routes, as documents.
//!
//! A document is read as a whole and refused as a whole: each mistake is listed with its place, such as
//! `destinations[1].weight`. What is read back is what was written, with the defaults of what was begun: who names
//! `retries` sees all of them, who does not sees none.

pub(crate) use action::{PER_PERCENT, percent};
pub(crate) use matching::method;

mod action;
mod matching;
mod parts;
mod shown;
#[cfg(test)]
mod tests;

pub use parts::{
    CorsBody, DestinationBody, EditsBody, MatchBody, MirrorBody, RedirectBody, RewriteBody, ValueBody,
    ValuesBody,
};
pub use shown::{RouteBody, RoutePut};

use crate::{
    Wrong,
    fields::{Fields, millis},
    policy,
};
use quorate_model::{
    Invalid, Route, RouteParts, limit,
    name::RouteName,
    route::{Action, Forwarding, Timeouts},
};
use serde_json::{Map, Value};

/// What a redirect leaves no use for.
const FORWARD_ONLY: [&str; 14] = [
    "destinations",
    "ramp",
    "sticky",
    "balancing",
    "hash_on",
    "timeout",
    "idle_timeout",
    "per_try_timeout",
    "retries",
    "cors",
    "rewrite",
    "request_headers",
    "response_headers",
    "mirror",
];

/// Reads the body of a route.
pub fn route(name: RouteName, body: Map<String, Value>) -> Result<Route, Wrong> {
    let mut fields = Fields::of_body(body);
    let route = document(name, &mut fields);
    let wrong = fields.finish();
    match route {
        Some(route) if wrong.is_empty() => Ok(route),
        Some(_) | None => Err(wrong),
    }
}

/// Reads a route wherever it stands. `None`: it is wrong, and listed.
pub(crate) fn document(name: RouteName, fields: &mut Fields) -> Option<Route> {
    let matches = fields.required("match", "an object; {} is for every request", matching::matches);
    let priority = fields.optional("priority", priority).unwrap_or_default();
    let action = if fields.has("redirect") { redirect(fields) } else { forward(fields) };
    let parts = RouteParts { matches: matches.unwrap_or_default(), action, priority };
    match parts.validate(name) {
        Ok(route) => Some(route),
        Err(wrong) => {
            policy::add_unless_unread(fields, wrong);
            None
        }
    }
}

fn priority(value: Value) -> Result<i32, Wrong> {
    let allowed = format!("a whole number, {} to {}", i32::MIN, i32::MAX);
    let number = value.as_i64().and_then(|number| i32::try_from(number).ok());
    number.ok_or_else(|| vec![Invalid::new("", "is no such number", allowed)])
}

fn redirect(fields: &mut Fields) -> Action {
    for name in FORWARD_ONLY {
        if fields.has(name) {
            let allowed = "one of the two: a redirected request is not sent on";
            fields.add_inside([Invalid::new(name, "is there with redirect", allowed)]);
        }
        // It is known, and wrong here.
        let _ = fields.optional(name, Ok);
    }
    fields.optional("redirect", action::redirect).map_or_else(Action::default, Action::Redirect)
}

fn forward(fields: &mut Fields) -> Action {
    // Known; `redirect` is not there.
    let _ = fields.optional("redirect", Ok);
    let allowed = format!("1 to {} destinations, or a redirect", limit::DESTINATIONS_MAX);
    Action::from(Forwarding {
        destinations: fields.required("destinations", &allowed, action::destinations).unwrap_or_default(),
        ramp: fields.optional_partly("ramp", crate::ramp::ramp),
        sticky: fields.optional("sticky", policy::key),
        balancing: fields.optional("balancing", policy::balancing),
        hash_on: fields.optional("hash_on", policy::key),
        timeouts: Timeouts {
            total_ms: fields.optional("timeout", millis),
            idle_ms: fields.optional("idle_timeout", millis),
            per_try_ms: fields.optional("per_try_timeout", millis),
        },
        retries: fields.optional("retries", policy::retries),
        cors: fields.optional("cors", action::cors).flatten(),
        rewrite: fields.optional("rewrite", action::rewrite).unwrap_or_default(),
        request_headers: fields.optional("request_headers", action::edits).unwrap_or_default(),
        response_headers: fields.optional("response_headers", action::edits).unwrap_or_default(),
        mirror: fields.optional("mirror", action::mirror).flatten(),
    })
}
