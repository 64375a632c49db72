//! Services and the delegates of groups, as operators are shown them.

use super::{Operator, Told, named};
use crate::Error;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// `GET /v1/services/{name}`, an item of `GET /v1/services`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct ServiceRecord {
    /// Its name.
    pub name: String,
    /// What an operator decided; `None`: nothing.
    #[serde(default)]
    pub policy: Option<Policy>,
    /// How many workers offer it.
    #[serde(default)]
    pub endpoint_count: u64,
    /// How many of them get requests.
    #[serde(default)]
    pub serving_count: u64,
    /// The workers that offer it; of a list of services only the first.
    #[serde(default)]
    pub endpoints: Vec<EndpointRecord>,
    /// The first page of `endpoints` is not all of them.
    #[serde(default)]
    pub next_cursor: Option<String>,
    /// The log index of the policy's last change, 0: there is none; `None` where the node does not tell.
    #[serde(default)]
    pub changed_index: Option<u64>,
}

/// What an operator decided about a service.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
pub struct Policy {
    /// How long requests wait for the next worker.
    #[serde(default)]
    pub hold: Option<String>,
    /// Most requests that wait on one node.
    #[serde(default)]
    pub hold_waiting_max: Option<u32>,
    /// Until the head of an answer.
    #[serde(default)]
    pub timeout: Option<String>,
    /// What else was decided, such as `balancing` or `health`, as the router says it.
    #[serde(flatten)]
    pub traffic: Map<String, Value>,
}

/// A worker that offers a service.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct EndpointRecord {
    /// Who.
    pub worker: String,
    /// live, suspect, draining, ejected, offline, unhealthy or expired.
    #[serde(default)]
    pub status: String,
    /// Where requests go.
    #[serde(default)]
    pub url: String,
    /// The version that it said.
    #[serde(default)]
    pub version: Option<String>,
    /// Its share of the traffic.
    #[serde(default)]
    pub weight: u32,
    /// Its fencing token.
    #[serde(default)]
    pub epoch: u64,
}

/// An item of `GET /v1/delegates`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Delegate {
    /// Of which group.
    pub group: String,
    /// Who.
    pub worker: String,
    /// Where it is reached.
    #[serde(default)]
    pub url: String,
    /// The fencing token of its role.
    #[serde(default)]
    pub epoch: u64,
}

/// Pages of one service's endpoints; more than the largest cluster has workers.
const PAGES_MAX: usize = 10_000;

impl Operator {
    /// All of `GET /v1/services`.
    pub async fn services(&self) -> Result<Told<Vec<ServiceRecord>>, Error> {
        self.list(&["v1", "services"]).await
    }

    /// `GET /v1/services/{name}` with all of its endpoints.
    pub async fn service(&self, name: &str) -> Result<Told<ServiceRecord>, Error> {
        let path = ["v1", "services", named("service", name)?];
        let mut whole: Told<ServiceRecord> = self.page(&path, None).await?;
        for _ in 0..PAGES_MAX {
            let Some(cursor) = whole.value.next_cursor.take() else { break };
            let mut next: Told<ServiceRecord> = self.page(&path, Some(&cursor)).await?;
            if next.value.next_cursor.as_ref() == Some(&cursor) {
                let problem = format!("page after page with the cursor {cursor}");
                return Err(Error::Answer { node: path.join("/"), problem });
            }
            whole.value.endpoints.append(&mut next.value.endpoints);
            whole.value.next_cursor = next.value.next_cursor;
            let more = next.json["endpoints"].as_array_mut().map(std::mem::take).unwrap_or_default();
            if let Some(endpoints) = whole.json["endpoints"].as_array_mut() {
                endpoints.extend(more);
            }
            whole.json["next_cursor"] = next.json["next_cursor"].take();
        }
        Ok(whole)
    }

    /// What stands of a service, as the leader knows it, without its endpoints.
    pub async fn standing_service(&self, name: &str) -> Result<ServiceRecord, Error> {
        let path = ["v1", "services", named("service", name)?];
        Ok(self.get(&path, &[("limit", "1"), ("consistent", "true")]).await?.value)
    }

    /// `PUT /v1/services/{name}`: the policy as a whole; with `if_match` only in the place of the one that was changed
    /// last at this index.
    pub async fn set_service(
        &self,
        name: &str,
        policy: &Policy,
        if_match: Option<u64>,
    ) -> Result<Value, Error> {
        let Policy { hold, hold_waiting_max, timeout, traffic } = policy;
        let said = [
            ("hold", hold.as_ref().map(|hold| json!(hold))),
            ("hold_waiting_max", hold_waiting_max.map(|max| json!(max))),
            ("timeout", timeout.as_ref().map(|timeout| json!(timeout))),
        ];
        let mut body: Map<String, Value> =
            said.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect();
        // An older router does not know these, and says none.
        body.extend(traffic.clone());
        self.put(&["v1", "services", named("service", name)?], &body.into(), if_match).await
    }

    /// `DELETE /v1/services/{name}`: takes its policy away.
    pub async fn delete_service(&self, name: &str) -> Result<Value, Error> {
        self.raw(Method::DELETE, &["v1", "services", named("service", name)?], None).await
    }

    /// All of `GET /v1/delegates`.
    pub async fn delegates(&self) -> Result<Told<Vec<Delegate>>, Error> {
        self.list(&["v1", "delegates"]).await
    }
}
