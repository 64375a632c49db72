//! Services: who offers them, and what operators decided about them.

use crate::{
    Wrong,
    coordinator::lists::serves,
    duration,
    fields::{Fields, number_in, span_in},
};
use quorate_model::{
    Duty, Hold, Invalid, Load, LogIndex, ServiceName, ServiceOffer, ServicePolicy, Status, StoredPolicy,
    Worker, limit,
};
use serde::Serialize;
use serde_json::{Map, Value};
use std::{collections::BTreeSet, time::Duration};
use utoipa::ToSchema;

/// Endpoints of each service in a list of services; a single service pages them.
pub const ENDPOINTS_LISTED_MAX: usize = 100;

/// `PUT /v1/services/{name}`: the policy as a whole; what is not said is off.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ServicePut {
    /// How long requests wait for the next worker when the last one has just been drained or lost; 1s to 10s. Not
    /// said: they fail at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(examples("5s"), pattern = r"^([0-9]+(\.[0-9]+)?(h|m|s|ms))+$")]
    pub hold: Option<String>,
    /// Most requests that wait on one node; 1000 if not said. Only with `hold`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 100_000)]
    pub hold_waiting_max: Option<u32>,
    /// Until the head of an answer: 10ms to 1h; the node's setting if not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(examples("30s"), pattern = r"^([0-9]+(\.[0-9]+)?(h|m|s|ms))+$")]
    pub timeout: Option<String>,
}

/// Reads the body of a policy.
pub fn policy(body: Map<String, Value>) -> Result<ServicePolicy, Wrong> {
    let mut fields = Fields::of_body(body);
    let hold = hold(&mut fields);
    let bounds = ms(limit::TIMEOUT_MS_MIN)..=ms(limit::TIMEOUT_MS_MAX);
    let timeout = fields.optional("timeout", span_in(bounds));
    let policy = ServicePolicy::new(hold, timeout).map_err(|wrong| fields.add([wrong]));
    let wrong = fields.finish();
    match policy {
        Ok(policy) if wrong.is_empty() => Ok(policy),
        Ok(_) | Err(()) => Err(wrong),
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
            fields.add([Invalid::new("hold_waiting_max", "is there without hold", "both, or none")]);
            None
        }
        (Some(wait), max) => {
            Hold::new(wait, max.unwrap_or(Hold::WAITING_DEFAULT)).map_err(|wrong| fields.add(wrong)).ok()
        }
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

/// A stored policy, as it is shown.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PolicyBody {
    /// How long requests wait for the next worker; null: they fail at once.
    #[schema(required)]
    pub hold: Option<String>,
    /// Most requests that wait on one node; null without `hold`.
    #[schema(required)]
    pub hold_waiting_max: Option<u32>,
    /// Until the head of an answer; null: the node's setting.
    #[schema(required)]
    pub timeout: Option<String>,
}

impl From<&ServicePolicy> for PolicyBody {
    fn from(policy: &ServicePolicy) -> Self {
        let (hold, hold_waiting_max) = shown_hold(policy.hold);
        Self { hold, hold_waiting_max, timeout: policy.timeout().map(duration::format) }
    }
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
    pub fn with_endpoints<'a>(
        mut self,
        endpoints: impl Iterator<Item = (&'a Worker, &'a ServiceOffer, Option<&'a Load>)>,
        limit: usize,
    ) -> Self {
        let mut endpoints: Vec<_> = endpoints
            .take(limit.saturating_add(1))
            .map(|(worker, offer, load)| EndpointBody::new(worker, offer, load))
            .collect();
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
    /// None: it said itself that this service, or all of it, is not well.
    Unhealthy,
    /// None: its heartbeats did not arrive in time. The next one brings it back.
    Expired,
}

impl EndpointStatus {
    /// The reason that weighs most: one that is gone need not be drained.
    pub fn of(worker: &Worker, offer: &ServiceOffer, load: Option<&Load>) -> Self {
        match (worker.status(), worker.intent.duty) {
            (Status::Expired | Status::Departed, _) => Self::Expired,
            (_, Duty::Offline) => Self::Offline,
            (_, Duty::Draining) => Self::Draining,
            (_, Duty::InService) if !serves(worker, offer, load) => Self::Unhealthy,
            (Status::Suspect, Duty::InService) => Self::Suspect,
            (Status::Live, Duty::InService) => Self::Live,
        }
    }
}

impl EndpointBody {
    /// What `worker` offers, and how it is by its last word.
    pub fn new(worker: &Worker, offer: &ServiceOffer, load: Option<&Load>) -> Self {
        let registration = &worker.registration;
        let url =
            offer.url.as_ref().or(registration.extras().tunnel.as_ref()).unwrap_or(&registration.address);
        Self {
            worker: worker.id().to_string(),
            status: EndpointStatus::of(worker, offer, load),
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
        ] {
            assert_eq!(read(body.clone()), Err(fields.iter().map(ToString::to_string).collect()), "{body}");
        }
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
