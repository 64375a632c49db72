//! Services: who offers them, and what operators decided about them.

use crate::{
    Wrong,
    coordinator::lists::serves,
    duration,
    fields::{Fields, flag, millis, number_in, span_in},
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
    /// How many of them get requests.
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
            (_, Duty::InService) if !serves(worker, offer, load) => Self::Unhealthy,
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
mod tests {
    use super::*;
    use serde_json::json;

    fn read(body: Value) -> Result<ServicePolicy, Vec<String>> {
        policy(body.as_object().expect("an object").clone())
            .map_err(|wrong| wrong.into_iter().map(|w| w.field).collect())
    }

    #[test]
    fn a_policy_is_read_as_a_whole() {
        let all = read(json!({"hold": "5s", "hold_waiting_max": 7, "timeout": "1m"})).expect("valid");
        assert_eq!(all.hold, Hold::new(Duration::from_secs(5), 7).ok());
        assert_eq!(all.timeout(), Some(Duration::from_secs(60)));
        let some = read(json!({"hold": "2s"})).expect("valid");
        assert_eq!(some.hold.map(Hold::waiting_max), Some(Hold::WAITING_DEFAULT));
        assert_eq!(read(json!({})), Ok(ServicePolicy::default()));
        assert_eq!(read(json!({"hold": null, "timeout": null})), Ok(ServicePolicy::default()));
    }

    #[test]
    fn each_wrong_field_of_a_policy_is_named() {
        for (body, fields) in [
            (json!({"hold": "11s", "timeout": "1ms"}), vec!["hold", "timeout"]),
            (json!({"hold": 5}), vec!["hold"]),
            (json!({"hold": "5s", "hold_waiting_max": 0}), vec!["hold_waiting_max"]),
            (json!({"hold": "5s", "hold_waiting_max": 100_001}), vec!["hold_waiting_max"]),
            (json!({"hold_waiting_max": 5}), vec!["hold_waiting_max"]),
            (json!({"retries": 3, "hold": "soon"}), vec!["hold", "retries"]),
            (json!({"protocol": "http2", "balancing": "random"}), vec!["protocol", "balancing"]),
            (json!({"balancing": "consistent-hash"}), vec!["hash_on"]),
            (json!({"health": {"tcp": true, "http": {}}}), vec!["health.http"]),
            (json!({"health": {"http": {"path": "x"}}}), vec!["health.http.path"]),
            (json!({"health": {"grpc": {"service": "a/b"}}}), vec!["health.grpc.service"]),
            (json!({"health": {"interval": "1s", "timeout": "2s"}}), vec!["health.timeout"]),
            (json!({"health": {"unhealthy": 0, "path": "/"}}), vec!["health.unhealthy", "health.path"]),
            (json!({"retries": {"budget": {"percent": 101}}}), vec!["retries.budget.percent"]),
            (json!({"breaker": {"failures": 0, "open": "1ms"}}), vec!["breaker.failures", "breaker.open"]),
            (json!({"outlier": {"ejection": "1m", "ejection_max": "1s"}}), vec!["outlier.ejection_max"]),
            (json!({"limits": {"in_flight_max": 0}}), vec!["limits.in_flight_max"]),
            (json!({"slow_start": "2h", "prefer_zone": "a"}), vec!["prefer_zone", "slow_start"]),
            (json!({"timeout": "1ms", "limits": {"pending": 1}}), vec!["timeout", "limits.pending"]),
        ] {
            assert_eq!(read(body.clone()), Err(fields.iter().map(ToString::to_string).collect()), "{body}");
        }
    }

    #[test]
    fn a_whole_policy_is_read_back_as_it_was_written() {
        let whole = json!({
            "hold": "5s", "hold_waiting_max": 7, "timeout": "20s",
            "protocol": "h2c", "balancing": "consistent-hash", "hash_on": {"header": "x-user"},
            "health": {"grpc": {"service": "pkg.S"}, "interval": "1s", "timeout": "500ms", "unhealthy": 2, "healthy": 1},
            "retries": {
                "max": 1, "on": [503], "backoff": {"initial": "10ms", "max": "1s"},
                "retry_non_idempotent": false, "budget": {"percent": 5, "min_per_second": 0},
            },
            "breaker": {"failures": 3, "open": "10s", "successes": 1, "trials": 2, "shared": true},
            "outlier": {
                "failures": 3, "ejection": "1s", "ejection_max": "1m", "ejected_percent_max": 20, "panic_percent": 0,
            },
            "limits": {"connections_max": 10, "pending_max": 5, "in_flight_max": 100},
            "slow_start": "30s", "prefer_zone": true,
        });
        let policy = read(whole.clone()).expect("valid");
        assert_eq!(json!(PolicyBody::from(&policy)), whole);
        assert_eq!(json!(ServicePut::from(&policy)), whole);
    }

    /// What is begun gets the contract's defaults, and a short interval alone is no mistake.
    #[test]
    fn what_is_begun_is_shown_with_its_defaults() {
        let policy = read(json!({"health": {}, "breaker": {}, "outlier": {}, "limits": {}})).expect("valid");
        assert_eq!(
            json!(ServicePut::from(&policy)),
            json!({
                "health": {"http": {"path": "/healthz"}, "interval": "10s", "timeout": "5s", "unhealthy": 3, "healthy": 2},
                "breaker": {"failures": 5, "open": "1m", "successes": 2, "trials": 1, "shared": false},
                "outlier": {
                    "failures": 5, "ejection": "30s", "ejection_max": "5m", "ejected_percent_max": 50,
                    "panic_percent": 50,
                },
            })
        );
        let health = |body: Value| json!(ServicePut::from(&read(json!({"health": body})).expect("valid")));
        assert_eq!(health(json!({"tcp": {}, "interval": "1s"}))["health"]["timeout"], "1s");
        assert_eq!(health(json!({"tcp": true}))["health"]["tcp"], true);
    }

    #[test]
    fn a_bound_is_told_as_it_is_written() {
        for (body, expected) in [
            (json!({"hold": "11s"}), vec!["hold: is 11s; allowed: 1s to 10s"]),
            (json!({"hold": "9999h"}), vec!["hold: is 9999h; allowed: 1s to 10s"]),
            (json!({"timeout": "2h"}), vec!["timeout: is 2h; allowed: 10ms to 1h"]),
            (
                json!({"hold": "5s", "hold_waiting_max": -1}),
                vec!["hold_waiting_max: is no whole number, or out of range; allowed: 1 to 100000"],
            ),
            (
                json!({"hold": "5s", "hold_waiting_max": 5_000_000_000u64}),
                vec!["hold_waiting_max: is 5000000000; allowed: 1 to 100000"],
            ),
            // The hold is there: nobody is told that it is missing.
            (
                json!({"hold": 5, "hold_waiting_max": 5}),
                vec!["hold: is a number; allowed: a duration such as 500ms, 30s, 1m30s or 1.5h"],
            ),
            (
                json!({"hold_waiting_max": 5}),
                vec!["hold_waiting_max: is there without hold; allowed: both, or none"],
            ),
        ] {
            let wrong = policy(body.as_object().expect("an object").clone()).expect_err("wrong");
            let shown: Vec<_> = wrong.iter().map(ToString::to_string).collect();
            assert_eq!(shown, expected, "{body}");
        }
    }

    #[test]
    fn a_policy_is_shown_as_it_was_written() {
        let policy = read(json!({"hold": "5s", "timeout": "1m30s"})).expect("valid");
        assert_eq!(
            json!(PolicyBody::from(&policy)),
            json!({"hold": "5s", "hold_waiting_max": 1_000, "timeout": "1m30s"})
        );
    }
}
