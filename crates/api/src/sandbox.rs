//! Sandboxes, as documents.
//!
//! A document is read as a whole and refused as a whole: each mistake is listed with its place, such as
//! `rules[1].targets[0].weight`. What is read back is what was written, with the defaults of what was begun.

mod shown;
#[cfg(test)]
mod tests;

pub use shown::{
    FallbackBody, OverlapBody, RuleBody, SandboxAnswer, SandboxBody, SandboxPut, SandboxTargetBody,
};

use crate::{
    Wrong,
    fields::{Fields, any_text, count, flag, list, named, nested, span, text},
    policy,
};
use quorate_model::{
    Invalid, Sandbox, SandboxParts, SandboxRule, SandboxTtl, ServiceName, limit,
    route::{Destination, Target},
    sandbox::Fallback,
};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// Most values of one list or map of a rule.
const VALUES_MAX: usize = limit::MATCH_VALUES_MAX;

/// `POST /v1/sandboxes/{key}/extend`
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExtendBody {
    /// How long it is to stand from now on, whatever was left: 5 minutes to 7 days.
    #[schema(examples("24h"), pattern = r"^([0-9]+(\.[0-9]+)?(h|m|s|ms))+$")]
    pub ttl: String,
}

/// Reads the body of a sandbox.
pub fn sandbox(body: Map<String, Value>) -> Result<Sandbox, Wrong> {
    finish(Fields::of_body(body), document)
}

/// Reads the body of an extension.
pub fn extend(body: Map<String, Value>) -> Result<SandboxTtl, Wrong> {
    finish(Fields::of_body(body), |fields| fields.required("ttl", TTL, bounded))
}

fn finish<T>(mut fields: Fields, read: impl FnOnce(&mut Fields) -> Option<T>) -> Result<T, Wrong> {
    let read = read(&mut fields);
    let wrong = fields.finish();
    match read {
        Some(read) if wrong.is_empty() => Ok(read),
        Some(_) | None => Err(wrong),
    }
}

/// Reads a sandbox wherever it stands. `None`: it is wrong, and listed.
pub(crate) fn document(fields: &mut Fields) -> Option<Sandbox> {
    const MAX: usize = limit::RULES_PER_SANDBOX_MAX;
    let rules = fields.required("rules", &format!("1 to {MAX} rules"), list(MAX, rule));
    let ttl = fields.optional("ttl", ttl).flatten();
    let read = SandboxParts { rules: rules.unwrap_or_default(), ttl }.validate();
    read.map_err(|wrong| policy::add_unless_unread(fields, wrong)).ok()
}

fn rule(value: Value) -> Result<SandboxRule, Wrong> {
    nested(value, |fields| {
        let prefix = |value| text("a path", |path| SandboxRule::declared_prefix("", path))(value);
        let path = |value| text("a path", |path| SandboxRule::declared_path("", path))(value);
        let header = |name: &str, value| {
            let value = any_text(value)?;
            SandboxRule::declared_header("", name, &value)
        };
        let added = |name: &str, value| {
            let value = any_text(value)?;
            SandboxRule::added_header("", name, &value)
        };
        let rule = SandboxRule {
            path_prefixes: fields.optional("path_prefixes", list(VALUES_MAX, prefix)).unwrap_or_default(),
            paths_exact: fields.optional("paths_exact", list(VALUES_MAX, path)).unwrap_or_default(),
            headers: fields.optional("headers", named(VALUES_MAX, header)).unwrap_or_default(),
            service: fields.optional("service", text("the name of a service", ServiceName::parse_offered)),
            destinations: destinations(fields),
            ramp: fields.optional_partly("ramp", crate::ramp::ramp),
            sticky: fields.optional("sticky", policy::key),
            add_headers: fields.optional("add_headers", named(VALUES_MAX, added)).unwrap_or_default(),
            fallback: fields.optional("fallback", fallback).unwrap_or_default(),
        };
        policy::add_unless_unread(fields, rule.mistakes());
        Some(rule)
    })
}

/// One `target`, or several `targets` with weights. What is missing or double is listed once, under the name that is
/// there.
fn destinations(fields: &mut Fields) -> Vec<Destination> {
    let (has_one, has_many) = (fields.has("target"), fields.has("targets"));
    if has_one == has_many {
        let (field, problem) =
            if has_one { ("targets", "is there with target") } else { ("target", "is missing") };
        let allowed = "either target, or targets with weights";
        fields.add_inside([Invalid::new(field, problem, allowed)]);
    }
    let one = fields.optional("target", target);
    let many = fields.optional("targets", list(limit::DESTINATIONS_MAX, destination));
    match (one, many) {
        (Some(target), _) => vec![Destination { target, weight: Destination::WEIGHT_DEFAULT }],
        (None, many) => many.unwrap_or_default(),
    }
}

fn destination(value: Value) -> Result<Destination, Wrong> {
    nested(value, |fields| {
        let target = fields.required("target", TARGET, target);
        let weight = fields.optional("weight", count(limit::WEIGHT_MAX));
        Some(Destination { target: target?, weight: weight.unwrap_or(Destination::WEIGHT_DEFAULT) })
    })
}

const TARGET: &str = "a URL, host:port, the name of a service, service@version, or tunnel:NAME";

fn target(value: Value) -> Result<Target, Wrong> {
    text(TARGET, |text| Target::parse_versioned("", text))(value)
}

fn fallback(value: Value) -> Result<Fallback, Wrong> {
    match value {
        Value::Bool(true) => Ok(Fallback::default()),
        Value::Bool(false) => Ok(Fallback::NEVER),
        Value::Object(_) => nested(value, |fields| {
            let Fallback { missing, on_5xx } = Fallback::default();
            Some(Fallback {
                missing: fields.optional("missing", flag).unwrap_or(missing),
                on_5xx: fields.optional("on_5xx", flag).unwrap_or(on_5xx),
            })
        }),
        Value::Null | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            let allowed = r#"true, false, or {"missing": true, "on_5xx": false}"#;
            Err(vec![Invalid::new("", "is no such thing", allowed)])
        }
    }
}

const TTL: &str = "a duration such as 24h, 300s (5 minutes) to 604800s (7 days)";

/// `0` says that there is none.
fn ttl(value: Value) -> Result<Option<SandboxTtl>, Wrong> {
    if value == 0 || value == "0" {
        return Ok(None);
    }
    let read = span(value).and_then(|span| match span {
        none if none.is_zero() => Ok(None),
        span => SandboxTtl::new(span).map(Some).map_err(|wrong| vec![wrong]),
    });
    read.map_err(|wrong| allowing(wrong, &format!("{TTL}, or 0 for none")))
}

fn bounded(value: Value) -> Result<SandboxTtl, Wrong> {
    let read = span(value).and_then(|span| SandboxTtl::new(span).map_err(|wrong| vec![wrong]));
    read.map_err(|wrong| allowing(wrong, TTL))
}

/// Whatever is wrong with it: what it may be is the same.
fn allowing(wrong: Wrong, allowed: &str) -> Wrong {
    wrong.into_iter().map(|one| one.allowing(allowed)).collect()
}
