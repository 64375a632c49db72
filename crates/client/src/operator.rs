//! Reading and changing a cluster through any of its nodes.
//!
//! Each answer comes twice: typed, as far as this library knows the fields, and as the JSON that the node sent,
//! so that a tool of today still prints what a router of tomorrow says.

mod declared;
mod key_trace;
mod local_workloads;
mod observations;
mod presence;
mod ramps;
mod records;
mod sandboxes;
mod services;
mod snapshot;
mod tunnels;
mod watch;
mod workers;

pub use snapshot::{Download, Pieces, Restored};
pub use watch::{Event, Step, Watch, Watched};

pub use declared::{
    Candidate, Carry, ChosenDestination, ConfigEntry, ConfigHistory, Decision, Declared, DeclaredChange,
    DestinationRecord, Explained, Others, Reason, RouteRecord, Rule,
};
pub use key_trace::{FollowingRecord, HopRecord, KeyTraceRecord, TrailRecord};
pub use local_workloads::{ConditionRecord, LocalWorkloadRecord, LocalWorkloadStatus};
pub use observations::{
    BreakerAtNode, EjectionAtNode, EndpointAtNode, NodeObservation, Observations, ObservedEndpoint,
};
pub use presence::{PresenceRecord, SessionRecord};
pub use ramps::{ErrorsRecord, RampOrder, RampRecord};
pub use records::{Cluster, Keyspace, LeaseRecord, Node, Partition, Quorum, WorkerRecord};
pub use sandboxes::{SandboxRecord, SandboxRuleRecord, SandboxTargetRecord};
pub use services::{Delegate, EndpointRecord, Policy, ServiceRecord};
pub use tunnels::TunnelRecord;
pub use workers::{InFlight, NodeInFlight};

use crate::{
    Error, Url,
    nodes::{Answer, Call, Nodes},
};
use reqwest::Method;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::time::Duration;

/// A node says after five seconds that it has no leader; waiting a little longer hears it say so.
const CALL_LIMIT: Duration = Duration::from_secs(8);
/// Items of one page.
const PAGE: &str = "1000";
/// More pages than the largest cluster has. Beyond: the node's cursors lead nowhere.
const PAGES_MAX: usize = 10_000;

/// An answer, typed and as it came.
#[derive(Clone, Debug)]
pub struct Told<T> {
    /// What this library understands of it.
    pub value: T,
    /// All of it.
    pub json: Value,
    /// Who says so, where that node has not heard a leader for a while: it may be otherwise by now.
    pub stale: Option<Stale>,
}

/// A node that answers by what it knew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stale {
    /// Which.
    pub node: String,
    /// For how long it has heard no leader.
    pub seconds: u64,
}

/// A caller of the native API.
pub struct Operator {
    nodes: Nodes,
}

/// What an operator sets of a keyspace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyspaceSettings<'a> {
    /// Its count; `None`: the last known one stays.
    pub partitions: Option<u32>,
    /// Who decides the count: `static` or `kafka`.
    pub source: &'a str,
    /// How long requests wait for the next owner of a partition, such as `5s`; `None`: they do not.
    pub hold: Option<&'a str>,
    /// Most requests that wait on one node.
    pub hold_waiting_max: Option<u32>,
}

#[derive(Deserialize)]
struct Page {
    items: Vec<Value>,
    #[serde(default)]
    next_cursor: Option<String>,
    #[serde(default)]
    index: Option<u64>,
}

impl Operator {
    /// Talks to the first of `urls` that answers; `token` goes along as bearer token.
    pub fn new(urls: Vec<Url>, token: Option<String>) -> Result<Self, Error> {
        Ok(Self { nodes: Nodes::new(urls, token, CALL_LIMIT)? })
    }

    /// `GET /v1/cluster`.
    pub async fn cluster(&self) -> Result<Told<Cluster>, Error> {
        self.one(Method::GET, &["v1", "cluster"], None).await
    }

    /// `POST /v1/cluster/transfer-leader`; `to` is a node's name, or the cluster chooses.
    pub async fn transfer_leader(&self, to: Option<&str>) -> Result<Value, Error> {
        let body = to.map_or_else(|| json!({}), |to| json!({"to": to}));
        self.raw(Method::POST, &["v1", "cluster", "transfer-leader"], Some(&body)).await
    }

    /// `PUT /v1/cluster/nodes/{name}`: the node that answers at `peer` joins as a learner.
    pub async fn join(&self, name: &str, peer: &str) -> Result<Value, Error> {
        let path = ["v1", "cluster", "nodes", named("node", name)?];
        self.raw(Method::PUT, &path, Some(&json!({"peer": peer}))).await
    }

    /// `DELETE /v1/cluster/nodes/{name}`.
    pub async fn leave(&self, name: &str) -> Result<Value, Error> {
        self.raw(Method::DELETE, &["v1", "cluster", "nodes", named("node", name)?], None).await
    }

    /// All of `GET /v1/workers`.
    pub async fn workers(&self) -> Result<Told<Vec<WorkerRecord>>, Error> {
        self.list(&["v1", "workers"]).await
    }

    /// `GET /v1/workers/{id}`.
    pub async fn worker(&self, id: &str) -> Result<Told<WorkerRecord>, Error> {
        self.one(Method::GET, &["v1", "workers", named("worker", id)?], None).await
    }

    /// `DELETE /v1/workers/{id}`.
    pub async fn remove_worker(&self, id: &str) -> Result<Value, Error> {
        self.raw(Method::DELETE, &["v1", "workers", named("worker", id)?], None).await
    }

    /// All of `GET /v1/keyspaces`.
    pub async fn keyspaces(&self) -> Result<Told<Vec<Keyspace>>, Error> {
        self.list(&["v1", "keyspaces"]).await
    }

    /// `GET /v1/keyspaces/{name}`.
    pub async fn keyspace(&self, name: &str) -> Result<Told<Keyspace>, Error> {
        self.one(Method::GET, &["v1", "keyspaces", named("keyspace", name)?], None).await
    }

    /// `GET /v1/keyspaces/{name}` as the leader knows it.
    pub async fn standing_keyspace(&self, name: &str) -> Result<Keyspace, Error> {
        let path = ["v1", "keyspaces", named("keyspace", name)?];
        Ok(self.get(&path, &[("consistent", "true")]).await?.value)
    }

    /// `PUT /v1/keyspaces/{name}`: a count that an operator decides, or Kafka as the source of the count; and how long
    /// requests wait for the next owner of a partition. With `if_match` only in the place of what was changed last at
    /// this index.
    pub async fn set_keyspace(
        &self,
        name: &str,
        settings: &KeyspaceSettings<'_>,
        if_match: Option<u64>,
    ) -> Result<Value, Error> {
        let KeyspaceSettings { partitions, source, hold, hold_waiting_max } = settings;
        let mut body = json!({"source": source});
        if let Some(partitions) = partitions {
            body["partitions"] = json!(partitions);
        }
        // An older router does not know these, and refuses what it does not know.
        if let Some(hold) = hold {
            body["hold"] = json!(hold);
        }
        if let Some(max) = hold_waiting_max {
            body["hold_waiting_max"] = json!(max);
        }
        self.put(&["v1", "keyspaces", named("keyspace", name)?], &body, if_match).await
    }

    /// All of `GET /v1/keyspaces/{name}/partitions`.
    pub async fn partitions(&self, keyspace: &str) -> Result<Told<Vec<Partition>>, Error> {
        self.list(&["v1", "keyspaces", named("keyspace", keyspace)?, "partitions"]).await
    }

    /// All of `GET /v1/leases`.
    pub async fn leases(&self) -> Result<Told<Vec<LeaseRecord>>, Error> {
        self.list(&["v1", "leases"]).await
    }

    async fn one<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &[&str],
        body: Option<&Value>,
    ) -> Result<Told<T>, Error> {
        let answer = self.nodes.call(&Call { method, path, query: &[], body, if_match: None }).await?;
        told(answer)
    }

    /// One object, by a query.
    async fn get<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<Told<T>, Error> {
        let answer =
            self.nodes.call(&Call { method: Method::GET, path, query, body: None, if_match: None }).await?;
        told(answer)
    }

    /// An object that has a page of a list in it.
    async fn page<T: DeserializeOwned>(&self, path: &[&str], cursor: Option<&str>) -> Result<Told<T>, Error> {
        let mut query = vec![("limit", PAGE)];
        query.extend(cursor.map(|cursor| ("cursor", cursor)));
        self.get(path, &query).await
    }

    async fn raw(&self, method: Method, path: &[&str], body: Option<&Value>) -> Result<Value, Error> {
        Ok(self.nodes.call(&Call { method, path, query: &[], body, if_match: None }).await?.json)
    }

    async fn put(&self, path: &[&str], body: &Value, if_match: Option<u64>) -> Result<Value, Error> {
        let call = Call { method: Method::PUT, path, query: &[], body: Some(body), if_match };
        Ok(self.nodes.call(&call).await?.json)
    }

    /// Follows cursors to the end.
    async fn list<T: DeserializeOwned>(&self, path: &[&str]) -> Result<Told<Vec<T>>, Error> {
        self.list_by(path, &[]).await
    }

    /// The same, by a query.
    async fn list_by<T: DeserializeOwned>(
        &self,
        path: &[&str],
        asked: &[(&str, &str)],
    ) -> Result<Told<Vec<T>>, Error> {
        let (mut items, mut values) = (Vec::new(), Vec::new());
        let (mut cursor, mut index) = (None::<String>, None);
        for _ in 0..PAGES_MAX {
            let mut query = vec![("limit", PAGE)];
            query.extend_from_slice(asked);
            query.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
            let answer = self
                .nodes
                .call(&Call { method: Method::GET, path, query: &query, body: None, if_match: None })
                .await?;
            let page: Page = typed(&answer, &answer.json)?;
            for item in page.items {
                values.push(typed(&answer, &item)?);
                items.push(item);
            }
            // The last page's: a later one is newer, and none is older than it says.
            index = page.index.or(index);
            match page.next_cursor {
                Some(next) if cursor.as_ref() != Some(&next) => cursor = Some(next),
                Some(next) => {
                    let problem = format!("page after page with the cursor {next}");
                    return Err(Error::Answer { node: answer.node, problem });
                }
                None => {
                    let json = json!({"items": items, "next_cursor": null, "index": index});
                    return Ok(Told { value: values, json, stale: stale(&answer) });
                }
            }
        }
        Err(Error::Answer { node: path.join("/"), problem: format!("more than {PAGES_MAX} pages") })
    }
}

/// A path segment of dots, or none, would name another resource.
fn named<'a>(what: &str, name: &'a str) -> Result<&'a str, Error> {
    match name {
        "" | "." | ".." => Err(Error::Invalid(format!("`{name}` is no name of a {what}"))),
        _ => Ok(name),
    }
}

/// One object.
fn told<T: DeserializeOwned>(answer: Answer) -> Result<Told<T>, Error> {
    Ok(Told { value: typed(&answer, &answer.json)?, stale: stale(&answer), json: answer.json })
}

fn stale(answer: &Answer) -> Option<Stale> {
    answer.stale.map(|seconds| Stale { node: answer.node.clone(), seconds })
}

fn typed<T: DeserializeOwned>(answer: &Answer, json: &Value) -> Result<T, Error> {
    let wrong = |e: serde_json::Error| Error::Answer { node: answer.node.clone(), problem: e.to_string() };
    T::deserialize(json).map_err(wrong)
}
