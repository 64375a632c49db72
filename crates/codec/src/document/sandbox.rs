//! Sandboxes.

use super::{
    action::Destination,
    headers::{Header, read_headers},
    ramp::{self, Ramp, RuleRamp},
    source::KeySource,
};
use crate::v1::registration::first;
use quorate_model as model;
use quorate_model::{Invalid, LogIndex, LogTime, RoutingKey, SandboxTtl, ServiceName, sandbox::Fallback};
use serde::{Deserialize, Serialize};
use std::{sync::Arc, time::Duration};

/// What a sandbox says. Its key stands beside it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sandbox {
    rules: Vec<Rule>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ttl_ms: Option<u64>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    path_prefixes: Vec<Box<str>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    paths_exact: Vec<Box<str>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    headers: Vec<Header>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    service: Option<String>,
    destinations: Vec<Destination>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sticky: Option<KeySource>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    add_headers: Vec<Header>,
    /// Both are written: which of them is the default may be tuned.
    fallback_missing: bool,
    fallback_on_5xx: bool,
    /// Since the sixth level.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ramp: Option<Ramp>,
}

/// A sandbox as the cluster holds it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StoredSandbox {
    key: String,
    created: u64,
    changed: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ends_ms: Option<u64>,
    sandbox: Sandbox,
    /// Since the sixth level: where the ramps of its rules stand.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    ramps: Vec<RuleRamp>,
}

/// How long, in milliseconds, as it was written.
pub(crate) fn ttl(ms: u64) -> Result<SandboxTtl, Invalid> {
    SandboxTtl::new(Duration::from_millis(ms))
}

impl From<&model::Sandbox> for Sandbox {
    fn from(sandbox: &model::Sandbox) -> Self {
        let model::SandboxParts { rules, ttl } = &**sandbox;
        Self { rules: rules.iter().map(Rule::from).collect(), ttl_ms: ttl.map(SandboxTtl::as_ms) }
    }
}

impl TryFrom<Sandbox> for model::Sandbox {
    type Error = Invalid;

    fn try_from(sandbox: Sandbox) -> Result<Self, Invalid> {
        let (rules, ttl) = (crate::v1::all(sandbox.rules)?, sandbox.ttl_ms.map(ttl).transpose()?);
        model::SandboxParts { rules, ttl }.validate().map_err(first)
    }
}

impl From<&model::SandboxRule> for Rule {
    fn from(rule: &model::SandboxRule) -> Self {
        let model::SandboxRule {
            path_prefixes,
            paths_exact,
            headers,
            service,
            destinations,
            ramp,
            sticky,
            add_headers,
            fallback: Fallback { missing, on_5xx },
        } = rule;
        let header = |(name, value): &(Box<str>, Box<str>)| Header::new(name, value);
        Self {
            path_prefixes: path_prefixes.clone(),
            paths_exact: paths_exact.clone(),
            headers: headers.iter().map(header).collect(),
            service: service.as_ref().map(ToString::to_string),
            destinations: destinations.iter().map(Destination::from).collect(),
            sticky: sticky.as_ref().map(KeySource::from),
            add_headers: add_headers.iter().map(Header::from).collect(),
            fallback_missing: *missing,
            fallback_on_5xx: *on_5xx,
            ramp: ramp.as_ref().map(Ramp::from),
        }
    }
}

impl TryFrom<Rule> for model::SandboxRule {
    type Error = Invalid;

    fn try_from(rule: Rule) -> Result<Self, Invalid> {
        let paths = |field, paths: Vec<Box<str>>| {
            paths.iter().map(|path| Self::path(field, path)).collect::<Result<_, Invalid>>()
        };
        let header = |header: Header| {
            let read = Self::header("headers", &header.name, &header.value);
            // What was written was valid once: one mistake says enough.
            read.map_err(|wrong| wrong.into_iter().next().expect("whatever is wrong is listed"))
        };
        Ok(Self {
            path_prefixes: paths("path_prefixes", rule.path_prefixes)?,
            paths_exact: paths("paths_exact", rule.paths_exact)?,
            headers: rule.headers.into_iter().map(header).collect::<Result<_, Invalid>>()?,
            service: rule.service.map(|name| ServiceName::parse(&name)).transpose()?,
            destinations: crate::v1::all(rule.destinations)?,
            ramp: rule.ramp.map(Into::into),
            sticky: rule.sticky.map(TryInto::try_into).transpose()?,
            add_headers: read_headers("add_headers", rule.add_headers)?,
            fallback: Fallback { missing: rule.fallback_missing, on_5xx: rule.fallback_on_5xx },
        })
    }
}

impl From<&model::StoredSandbox> for StoredSandbox {
    fn from(stored: &model::StoredSandbox) -> Self {
        let model::StoredSandbox { key, sandbox, created, changed, ends, ramps } = stored;
        Self {
            key: key.to_string(),
            created: created.0,
            changed: changed.0,
            ends_ms: ends.map(|ends| ends.0),
            sandbox: (&**sandbox).into(),
            ramps: ramp::of_rules(ramps),
        }
    }
}

impl TryFrom<StoredSandbox> for model::StoredSandbox {
    type Error = Invalid;

    fn try_from(stored: StoredSandbox) -> Result<Self, Invalid> {
        let sandbox: model::Sandbox = stored.sandbox.try_into()?;
        let ramps = ramp::with_rules(&sandbox, stored.ramps)?;
        Ok(Self {
            key: RoutingKey::parse(&stored.key)?,
            sandbox: Arc::new(sandbox),
            created: LogIndex(stored.created),
            changed: LogIndex(stored.changed),
            ends: stored.ends_ms.map(LogTime),
            ramps,
        })
    }
}
