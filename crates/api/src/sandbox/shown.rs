//! Sandboxes, as they are shown and as a body may say them.

use crate::{
    answer::VisibleBody,
    duration,
    policy::KeyBody,
    ramp::{RampBody, RampStatusBody},
    timestamp,
};
use http::HeaderValue;
use quorate_model::{
    LogTime, Sandbox, SandboxRule, SandboxTtl, StoredSandbox,
    route::{Destination, Target},
    sandbox::{Fallback, Overlap},
};
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// `PUT /v1/sandboxes/{key}`: a sandbox as a whole.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SandboxPut {
    /// The first one that a request meets decides.
    #[schema(min_items = 1, max_items = 100)]
    pub rules: Vec<RuleBody>,
    /// How long it stands from now on: 5 minutes to 7 days; without it, or with `0`, until it is taken away.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(examples("24h"))]
    pub ttl: Option<String>,
}

impl From<&Sandbox> for SandboxPut {
    fn from(sandbox: &Sandbox) -> Self {
        let ttl = sandbox.ttl.map(SandboxTtl::as_duration).map(duration::format);
        Self { rules: sandbox.rules.iter().map(Into::into).collect(), ttl }
    }
}

/// One rule: which of the requests with the key, and where to.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleBody {
    /// What the path may begin with, letter by letter; together with `paths_exact`: any of them. None: every path.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false, max_items = 32)]
    pub path_prefixes: Vec<String>,
    /// What the path may be as a whole.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false, max_items = 32)]
    pub paths_exact: Vec<String>,
    /// Headers and what they must be, exactly; all of them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(required = false)]
    pub headers: BTreeMap<String, String>,
    /// Only for requests that would go to this service without the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Where to: a URL, `host:port` (over http), the name of a service, or `service@version`. Either this or `targets`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Where to, by weight.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false, min_items = 1, max_items = 64)]
    pub targets: Vec<SandboxTargetBody>,
    /// How the weights of the targets change by themselves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ramp: Option<RampBody>,
    /// What keeps requests at one of the targets, on every node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sticky: Option<KeyBody>,
    /// Set on the request, in the place of those of the same name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(required = false)]
    pub add_headers: BTreeMap<String, String>,
    /// When the request goes where it would go without the key; `true` is the default, `false` is never.
    #[schema(required = false)]
    pub fallback: FallbackBody,
}

impl From<&SandboxRule> for RuleBody {
    fn from(rule: &SandboxRule) -> Self {
        let texts = |texts: &[Box<str>]| texts.iter().map(ToString::to_string).collect();
        // The model makes them of text, so nothing is lost.
        let shown = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let (target, targets) = match &rule.destinations[..] {
            [one] if one.weight == Destination::WEIGHT_DEFAULT => (Some(text(&one.target)), Vec::new()),
            several => (None, several.iter().map(Into::into).collect()),
        };
        Self {
            path_prefixes: texts(&rule.path_prefixes),
            paths_exact: texts(&rule.paths_exact),
            headers: rule.headers.iter().map(|(name, v)| (name.to_string(), v.to_string())).collect(),
            service: rule.service.as_ref().map(ToString::to_string),
            target,
            targets,
            ramp: rule.ramp.as_ref().map(Into::into),
            sticky: rule.sticky.as_ref().map(Into::into),
            add_headers: rule.add_headers.iter().map(|(name, v)| (name.to_string(), shown(v))).collect(),
            fallback: rule.fallback.into(),
        }
    }
}

fn text(target: &Target) -> String {
    match target {
        Target::Service(name) => name.to_string(),
        Target::Url { address, .. } => address.to_string(),
        Target::Version { service, version } => format!("{service}@{version}"),
        // No text of a target means one.
        Target::Keyspace(name) => name.to_string(),
    }
}

/// One of several targets.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SandboxTargetBody {
    /// A URL, `host:port` (over http), the name of a service, or `service@version`.
    pub target: String,
    /// Its share, against the other targets' weights; 100 if not said. Not all are 0.
    #[schema(minimum = 0, maximum = 1_000_000, required = false)]
    pub weight: u32,
}

impl From<&Destination> for SandboxTargetBody {
    fn from(Destination { target, weight }: &Destination) -> Self {
        Self { target: text(target), weight: *weight }
    }
}

/// When a request goes where it would go without the key.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FallbackBody {
    /// When there is nobody at the target; true if not said.
    #[schema(required = false)]
    pub missing: bool,
    /// When the target answers with a status of 500 or above; false if not said.
    #[schema(required = false)]
    pub on_5xx: bool,
}

impl From<Fallback> for FallbackBody {
    fn from(Fallback { missing, on_5xx }: Fallback) -> Self {
        Self { missing, on_5xx }
    }
}

/// A sandbox, as it is shown.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SandboxBody {
    /// What requests carry.
    pub key: String,
    /// The first one that a request meets decides.
    pub rules: Vec<RuleBody>,
    /// How long it was to stand when it was set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl: Option<String>,
    /// When it ends; not there: when it is taken away.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = "date-time")]
    pub ends_at: Option<String>,
    /// Rules that no request can come to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub overlaps: Vec<OverlapBody>,
    /// Where the ramps of its rules stand.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub ramps: Vec<RampStatusBody>,
    /// The log index at which it was made: its epoch.
    pub created_index: u64,
    /// The log index of its last change, for `If-Match`.
    pub changed_index: u64,
}

impl From<&StoredSandbox> for SandboxBody {
    fn from(stored: &StoredSandbox) -> Self {
        let StoredSandbox { key, sandbox, created, changed, ends, ramps } = stored;
        let ramps = ramps
            .keys()
            .zip(stored.ramping())
            .map(|(rule, ramping)| RampStatusBody { rule: Some(*rule), ..(&ramping).into() });
        let SandboxPut { rules, ttl } = (&**sandbox).into();
        Self {
            key: key.to_string(),
            rules,
            ttl,
            ends_at: ends.map(timestamp::millis),
            overlaps: OverlapBody::all(sandbox),
            ramps: ramps.collect(),
            created_index: created.0,
            changed_index: changed.0,
        }
    }
}

/// A rule that no request can come to: an earlier one is met by all that would meet it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct OverlapBody {
    /// Its place among the rules, from 0.
    pub rule: usize,
    /// The place of the earlier one.
    pub by: usize,
}

impl OverlapBody {
    /// All of a sandbox.
    pub fn all(sandbox: &Sandbox) -> Vec<Self> {
        sandbox.overlaps().into_iter().map(|Overlap { rule, by }| Self { rule, by }).collect()
    }
}

/// A sandbox that was set or given more time.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SandboxAnswer {
    /// True with `dry_run`: nothing was changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<bool>,
    /// The log index at which it was applied; with `dry_run` that of the View that it was checked against.
    pub index: u64,
    /// With `visible`: which nodes have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub visible: Option<VisibleBody>,
    /// When it ends, if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = "date-time")]
    pub ends_at: Option<String>,
    /// Rules that no request can come to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub overlaps: Vec<OverlapBody>,
}

impl SandboxAnswer {
    /// With an end, as it is shown.
    #[must_use]
    pub fn ending(self, ends: Option<LogTime>) -> Self {
        Self { ends_at: ends.map(timestamp::millis), ..self }
    }
}
