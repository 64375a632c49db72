//! Services: who offers them, and what operators decided about them.

use crate::{
    Wrong, duration,
    fields::{Fields, any_text, flag, millis, number_in, span_in},
    policy::{
        self, BalancingBody, BreakerBody, HealthBody, KeyBody, LimitsBody, OutlierBody, ProtocolBody,
        RetriesBody,
    },
};
use quorate_model::{
    Duty, Hold, Invalid, Load, LogIndex, ServiceName, ServiceOffer, ServicePolicy, Status, StoredPolicy,
    Verdict, Worker, limit,
};
use serde::Serialize;
use serde_json::{Map, Value};
use std::{collections::BTreeSet, time::Duration};
use utoipa::ToSchema;

/// Endpoints of each service in a list of services; a single service pages them.
pub const ENDPOINTS_LISTED_MAX: usize = 100;

/// How traffic is treated, which all bodies of a policy say alike: what is not said is not there.
macro_rules! policy_body {
    (
        $(#[$meta:meta])*
        $name:ident { $($(#[$head_meta:meta])* $head:ident: $head_type:ty = $value:expr,)* }
        of $from:ident: $source:ty => $policy:expr
    ) => {
        $(#[$meta])*
        pub struct $name {
            $($(#[$head_meta])* pub $head: $head_type,)*
            /// What its endpoints speak; http1 if not said, over TLS what ALPN says.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub protocol: Option<ProtocolBody>,
            /// Which endpoint gets a request; by their scores if not said.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub balancing: Option<BalancingBody>,
            /// With `consistent-hash`: by what.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub hash_on: Option<KeyBody>,
            /// How the nodes find out whether an endpoint is well; only heartbeats say so if not said.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub health: Option<HealthBody>,
            /// When a request is given to another endpoint; if not said, what may be repeated is when one can't be
            /// reached.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub retries: Option<RetriesBody>,
            /// When an endpoint gets no requests because it failed some; off if not said.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub breaker: Option<BreakerBody>,
            /// When one node stops using an endpoint that fails there; off if not said.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub outlier: Option<OutlierBody>,
            /// How much one node gives to one endpoint at once; not bounded here if not said.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub limits: Option<LimitsBody>,
            /// How long an endpoint that came in takes to get its full share, 1ms to 1h; it has it at once if not said.
            #[serde(skip_serializing_if = "Option::is_none")]
            #[schema(examples("30s"), pattern = r"^([0-9]+(\.[0-9]+)?(h|m|s|ms))+$")]
            pub slow_start: Option<String>,
            /// Whether endpoints are preferred whose label `zone` is that of the node; false if not said.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub prefer_zone: Option<bool>,
            /// The version whose workers get the requests that name none; empty: those that registered without one. All
            /// workers get them if not said.
            #[serde(skip_serializing_if = "Option::is_none")]
            #[schema(examples("v1"), max_length = 256)]
            pub default_version: Option<String>,
        }

        impl From<&$source> for $name {
            fn from($from: &$source) -> Self {
                let policy: &ServicePolicy = $policy;
                Self {
                    $($head: $value,)*
                    protocol: policy.protocol.map(Into::into),
                    balancing: policy.balancing.map(Into::into),
                    hash_on: policy.hash_on.as_ref().map(Into::into),
                    health: policy.health.as_ref().map(Into::into),
                    retries: policy.retries.as_ref().map(Into::into),
                    breaker: policy.breaker.as_ref().map(Into::into),
                    outlier: policy.outlier.as_ref().map(Into::into),
                    limits: LimitsBody::of(policy.limits),
                    slow_start: policy.slow_start_ms.map(policy::span),
                    prefer_zone: policy.prefer_zone.then_some(true),
                    default_version: policy.default_version.as_deref().map(Into::into),
                }
            }
        }
    };
}

policy_body! {
    /// `PUT /v1/services/{name}`: the policy as a whole; what is not said is off.
    #[derive(Clone, Debug, Serialize, ToSchema)]
    #[serde(deny_unknown_fields)]
    ServicePut {
        /// How long requests wait for the next worker when the last one has just been drained or lost; 1s to 10s. Not
        /// said: they fail at once.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(examples("5s"), pattern = r"^([0-9]+(\.[0-9]+)?(h|m|s|ms))+$")]
        hold: Option<String> = shown_hold(policy.hold).0,
        /// Most requests that wait on one node; 1000 if not said. Only with `hold`.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(minimum = 1, maximum = 100_000)]
        hold_waiting_max: Option<u32> = shown_hold(policy.hold).1,
        /// Until the head of an answer: 10ms to 1h; the node's setting if not said.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(examples("30s"), pattern = r"^([0-9]+(\.[0-9]+)?(h|m|s|ms))+$")]
        timeout: Option<String> = policy.timeout().map(duration::format),
    }
    of policy: ServicePolicy => policy
}

policy_body! {
    /// A stored policy, as it is shown.
    #[derive(Clone, Debug, Serialize, ToSchema)]
    PolicyBody {
        /// How long requests wait for the next worker; null: they fail at once.
        #[schema(required)]
        hold: Option<String> = shown_hold(policy.hold).0,
        /// Most requests that wait on one node; null without `hold`.
        #[schema(required)]
        hold_waiting_max: Option<u32> = shown_hold(policy.hold).1,
        /// Until the head of an answer; null: the node's setting.
        #[schema(required)]
        timeout: Option<String> = policy.timeout().map(duration::format),
    }
    of policy: ServicePolicy => policy
}

policy_body! {
    /// What an operator decided about a service.
    #[derive(Clone, Debug, Serialize, ToSchema)]
    PolicyDescription {
        /// How long requests wait for the next endpoint; null: not at all.
        hold: Option<String> = shown_hold(stored.policy.hold).0,
        /// How many may wait on one node.
        hold_waiting_max: Option<u32> = shown_hold(stored.policy.hold).1,
        /// Until the head of an answer; null: as the node is set.
        timeout: Option<String> = stored.policy.timeout().map(duration::format),
        /// The log index of its last change, for `If-Match`.
        changed_index: u64 = stored.changed.0,
    }
    of stored: StoredPolicy => &stored.policy
}

/// Reads the body of a policy.
pub fn policy(body: Map<String, Value>) -> Result<ServicePolicy, Wrong> {
    let mut fields = Fields::of_body(body);
    let policy = document(&mut fields);
    let wrong = fields.finish();
    match policy {
        Some(policy) if wrong.is_empty() => Ok(policy),
        Some(_) | None => Err(wrong),
    }
}

/// Reads a policy wherever it stands. `None`: it is wrong, and listed.
pub(crate) fn document(fields: &mut Fields) -> Option<ServicePolicy> {
    let hold = hold(fields);
    let bounds = ms(limit::TIMEOUT_MS_MIN)..=ms(limit::TIMEOUT_MS_MAX);
    let timeout = fields.optional("timeout", span_in(bounds));
    let plain = ServicePolicy::new(hold, timeout).map_err(|wrong| fields.add_inside([wrong]));
    let policy = ServicePolicy {
        protocol: fields.optional("protocol", policy::protocol),
        balancing: fields.optional("balancing", policy::balancing),
        hash_on: fields.optional("hash_on", policy::key),
        health: fields.optional("health", policy::health),
        retries: fields.optional("retries", policy::retries),
        breaker: fields.optional("breaker", policy::breaker),
        outlier: fields.optional("outlier", policy::outlier),
        limits: fields.optional("limits", policy::limits).unwrap_or_default(),
        slow_start_ms: fields.optional("slow_start", millis),
        prefer_zone: fields.optional("prefer_zone", flag).unwrap_or_default(),
        default_version: fields.optional("default_version", any_text).map(Into::into),
        ..plain.unwrap_or_default()
    };
    match policy.validate() {
        Ok(policy) => Some(policy),
        Err(wrong) => {
            policy::add_unless_unread(fields, wrong);
            None
        }
    }
}

fn ms(ms: u32) -> Duration {
    Duration::from_millis(ms.into())
}

/// The two fields of waiting for an owner, which services and keyspaces share.
pub(crate) fn hold(fields: &mut Fields) -> Option<Hold> {
    let is_there = fields.has("hold");
    let wait = fields.optional("hold", span_in(ms(limit::HOLD_MS_MIN)..=ms(limit::HOLD_MS_MAX)));
    let waiting_max = fields.optional("hold_waiting_max", number_in(1..=limit::HOLD_WAITING_MAX.into()));
    let waiting_max = waiting_max.map(|max| u32::try_from(max).unwrap_or(u32::MAX));
    match (wait, waiting_max) {
        (None, None) => None,
        // A `hold` that is there and wrong is listed already.
        (None, Some(_)) if is_there => None,
        (None, Some(_)) => {
            fields.add_inside([Invalid::new("hold_waiting_max", "is there without hold", "both, or none")]);
            None
        }
        (Some(wait), max) => Hold::new(wait, max.unwrap_or(Hold::WAITING_DEFAULT))
            .map_err(|wrong| fields.add_inside(wrong))
            .ok(),
    }
}

/// Which of `names` are there a second time.
pub(crate) fn repeated<'a>(
    names: impl Iterator<Item = &'a ServiceName>,
) -> impl Iterator<Item = (usize, Invalid)> {
    let mut seen = BTreeSet::new();
    names
        .enumerate()
        .filter(move |(_, name)| !seen.insert(*name))
        .map(|(at, name)| (at, Invalid::new("", format!("is `{name}` once more"), "each service once")))
}

/// How a hold is written: its wait, and how many may wait.
pub(crate) fn shown_hold(hold: Option<Hold>) -> (Option<String>, Option<u32>) {
    (hold.map(|hold| duration::format(hold.wait())), hold.map(Hold::waiting_max))
}

/// A service, as it is shown. It exists while a worker's record offers it, or a policy is stored.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ServiceShown {
    /// Its name.
    pub name: String,
    /// What an operator decided; null: nothing.
    #[schema(required)]
    pub policy: Option<PolicyBody>,
    /// How many workers offer it, those that get no requests included.
    pub endpoint_count: u64,
    /// How many of them get the requests that name no version.
    pub serving_count: u64,
    /// The workers that offer it, by id. In a list of services the first 100; of a single service a page.
    pub endpoints: Vec<EndpointBody>,
    /// For `cursor`, to get the next page of endpoints; null: this is the last one.
    #[schema(required)]
    pub next_cursor: Option<String>,
    /// The log index of the policy's last change, for `If-Match`; 0: there is no policy.
    pub changed_index: u64,
}

impl ServiceShown {
    /// A service without endpoints so far.
    pub fn new(
        name: &ServiceName,
        stored: Option<&StoredPolicy>,
        (endpoint_count, serving_count): (usize, usize),
    ) -> Self {
        Self {
            name: name.to_string(),
            policy: stored.map(|stored| PolicyBody::from(&stored.policy)),
            endpoint_count: endpoint_count as u64,
            serving_count: serving_count as u64,
            endpoints: Vec::new(),
            next_cursor: None,
            changed_index: stored.map_or(LogIndex(0), |stored| stored.changed).0,
        }
    }

    /// With at most `limit` of `endpoints`.
    #[must_use]
    pub fn with_endpoints(mut self, endpoints: impl Iterator<Item = EndpointBody>, limit: usize) -> Self {
        let mut endpoints: Vec<_> = endpoints.take(limit.saturating_add(1)).collect();
        let more = endpoints.len() > limit;
        endpoints.truncate(limit);
        self.next_cursor = endpoints.last().filter(|_| more).map(|last| last.worker.clone());
        self.endpoints = endpoints;
        self
    }
}

/// A worker that offers a service.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct EndpointBody {
    /// Who.
    pub worker: String,
    /// Whether it gets requests for this service, and why not.
    pub status: EndpointStatus,
    /// Where requests for the service go.
    pub url: String,
    /// The version that it said; null: none.
    #[schema(required)]
    pub version: Option<String>,
    /// Its share of the traffic.
    pub weight: u32,
    /// The worker's fencing token.
    pub epoch: u64,
}

/// What becomes of requests for a service at one of its workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EndpointStatus {
    /// They go there.
    Live,
    /// They go there when no live one is left: its heartbeats are late.
    Suspect,
    /// No new ones: an operator drains it.
    Draining,
    /// None: an operator took it out of service.
    Offline,
    /// None: health checks found that it is not well.
    Ejected,
    /// None: it said itself that this service, or all of it, is not well.
    Unhealthy,
    /// None: its heartbeats did not arrive in time. The next one brings it back.
    Expired,
}

impl EndpointStatus {
    /// The reason that weighs most: one that is gone need not be drained. `found` is what health checks say.
    pub fn of(worker: &Worker, offer: &ServiceOffer, load: Option<&Load>, found: Verdict) -> Self {
        match (worker.status(), worker.intent.duty) {
            (Status::Expired | Status::Departed, _) => Self::Expired,
            (_, Duty::Offline) => Self::Offline,
            (_, Duty::Draining) => Self::Draining,
            (_, Duty::InService) if found == Verdict::Unhealthy => Self::Ejected,
            (_, Duty::InService) if !worker.serves_now(offer, load) => Self::Unhealthy,
            (Status::Suspect, Duty::InService) => Self::Suspect,
            (Status::Live, Duty::InService) => Self::Live,
        }
    }
}

impl EndpointBody {
    /// What `worker` offers, and how it is by its last word and by what health checks have found.
    pub fn new(worker: &Worker, offer: &ServiceOffer, load: Option<&Load>, found: Verdict) -> Self {
        let registration = &worker.registration;
        let url =
            offer.url.as_ref().or(registration.extras().tunnel.as_ref()).unwrap_or(&registration.address);
        Self {
            worker: worker.id().to_string(),
            status: EndpointStatus::of(worker, offer, load, found),
            url: url.to_string(),
            version: Some(offer.version.to_string()).filter(|version| !version.is_empty()),
            weight: worker.weight(),
            epoch: worker.epoch.0,
        }
    }
}

#[cfg(test)]
mod tests;
