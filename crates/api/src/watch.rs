//! What watchers are told, as Server-Sent Events.
//!
//! `id` is the position of a change, the same on every node, and what a watcher sends back as `Last-Event-ID`.
//! What stands already when a watch begins has none: a watch that breaks off there begins anew.

use crate::{
    keyspace::KeyspaceBody,
    presence::{GatewayBody, TunnelBody},
    route::RouteBody,
    sandbox::SandboxBody,
    sandbox_api::shown::ObservedObject,
    service::PolicyDescription,
    timestamp,
    worker::WorkerBody,
};
use quorate_model::{
    Change, Delegate, Kind, LogIndex, NodeRecord, Position, Status, What, Worker, WorkerChange,
};
use serde::Serialize;
use std::time::Duration;
use utoipa::ToSchema;

/// How soon a watcher whose connection broke comes again, as it is told.
const RETRY_MS: u64 = 1_000;

/// What an event's `data` says of a change. Which of the fields are there follows from the kind of the event.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ChangeBody {
    /// The log entry that changed it; of what stands already: the entry up to which it is told.
    pub index: u64,
    /// What happened.
    pub change: ChangeWord,
    /// The name or id of what it is about.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub name: String,
    /// Of `worker`: its record as it stood after the entry; null: it is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<WorkerBody>)]
    pub worker: Option<Option<WorkerBody>>,
    /// Of `status`: what it was before, such as `live`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<&'static str>,
    /// Of `status`: what it is now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<&'static str>,
    /// Of `lost`: the worker that has the partitions now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub taken_by: Option<String>,
    /// Of `lost`: how many partitions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<usize>,
    /// Of `keyspace`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keyspace: Option<KeyspaceBody>,
    /// Of `intent`: what the worker is to do, `in_service`, `draining` or `offline`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duty: Option<&'static str>,
    /// Of `intent`: its share of the traffic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// Of `service`: what an operator decided; null: nothing any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<PolicyDescription>)]
    pub policy: Option<Option<PolicyDescription>>,
    /// Of `route`: what it says; null: it is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<RouteBody>)]
    pub route: Option<Option<RouteBody>>,
    /// Of `sandbox`, whose name is its key: what it says; null: it has ended, or was taken away.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<SandboxBody>)]
    pub sandbox: Option<Option<SandboxBody>>,
    /// Of `health`: the worker whose endpoint of the service it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Of `health`: `healthy` or `unhealthy`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<&'static str>,
    /// Of `delegate`, whose name is the group's: who has the role; null: nobody.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<DelegateDescription>)]
    pub delegate: Option<Option<DelegateDescription>>,
    /// Of `node`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeDescription>,
    /// Of `object`, whose name is `resource/namespace/name`: what it says, in the words of the sandbox API; null: it has
    /// ended, or was taken away.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<ObservedObject>)]
    pub object: Option<Option<ObservedObject>>,
    /// Of `level`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub feature_level: Option<u16>,
    /// Of `gateway`, whose name is the node's: the lease that stands; null: none any more. What the node held by
    /// another one before is gone, and is not told one by one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<GatewayBody>)]
    pub gateway: Option<Option<GatewayBody>>,
    /// Of `tunnel`: who holds it; null: nobody any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<TunnelBody>)]
    pub tunnel: Option<Option<TunnelBody>>,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChangeWord {
    /// It stands already, as the watch begins.
    Stands,
    /// A worker registered, for the first time or anew.
    Registered,
    /// A worker's status changed.
    Status,
    /// A newer registration took partitions from a worker.
    Lost,
    /// It is gone.
    Removed,
    /// An operator decided anew about a worker.
    Intent,
    /// A keyspace, the policy of a service, a route, a sandbox, the delegate of a group, a gateway or a tunnel is
    /// another one.
    Changed,
    /// Health checks have found an endpoint of a service well, or not.
    Health,
    /// A node has started, or moved.
    Described,
    /// The cluster can do more.
    Raised,
}

/// The worker that sends heartbeats for its whole group.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct DelegateDescription {
    /// Who.
    pub worker: String,
    /// The role's fencing token.
    pub epoch: u64,
    /// Since when.
    #[schema(format = "date-time")]
    pub since: String,
}

impl From<&Delegate> for DelegateDescription {
    fn from(delegate: &Delegate) -> Self {
        Self {
            worker: delegate.worker.to_string(),
            epoch: delegate.epoch.0,
            since: timestamp::millis(delegate.since),
        }
    }
}

/// What a node says about itself.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct NodeDescription {
    /// Stable.
    pub name: String,
    /// Made when its disk was empty.
    pub id: String,
    /// `host:port` of its peer listener.
    pub peer: String,
    /// `host:port` of its management listener.
    pub management: String,
    /// Its software version.
    pub version: String,
}

impl From<&NodeRecord> for NodeDescription {
    fn from(node: &NodeRecord) -> Self {
        Self {
            name: node.name.to_string(),
            id: node.id.to_string(),
            peer: node.peer.to_string(),
            management: node.management.to_string(),
            version: node.version.to_string(),
        }
    }
}

/// Why a watcher has to throw away what it knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ResetReason {
    /// The watch begins here: everything that stands follows.
    Start,
    /// What followed on its last event is not known any more: everything that stands follows.
    History,
    /// It has fallen too far behind, or everything has been replaced: the stream ends here; watch anew.
    Behind,
}

#[derive(Serialize)]
struct Reset {
    index: u64,
    reason: ResetReason,
}

#[derive(Serialize)]
struct Synced {
    index: u64,
}

/// A change.
pub fn change(change: &Change) -> String {
    let Some(kind) = change.what.kind() else {
        return reset(ResetReason::Behind, change.position.index);
    };
    let id = format!("id: {}\n", change.position);
    event(kind.as_str(), &id, &body(&change.what, change.position.index, None))
}

/// What stands already at `index`, as a watch begins.
pub fn stands(what: &What, index: LogIndex) -> String {
    let kind = what.kind().map_or("reset", Kind::as_str);
    event(kind, "", &body(what, index, Some(ChangeWord::Stands)))
}

/// What the watcher knows is void. As a last word it also takes the position away that a browser would come back
/// with: whoever throws away what it knows must not go on from there.
pub fn reset(reason: ResetReason, index: LogIndex) -> String {
    let id = match reason {
        ResetReason::Start | ResetReason::History => "",
        ResetReason::Behind => "id:\n",
    };
    event("reset", id, &Reset { index: index.0, reason })
}

/// The watcher knows everything up to `position`; what follows is new.
pub fn synced(position: Position) -> String {
    event("synced", &format!("id: {position}\n"), &Synced { index: position.index.0 })
}

/// What a stream begins with.
pub fn retry() -> String {
    format!("retry: {RETRY_MS}\n\n")
}

/// Nothing has happened up to `position`, as far as a node knows that has heard no leader for `stale`. Readers dispatch
/// no event for it, but remember the position.
pub fn keep_alive(position: Position, stale: Option<Duration>) -> String {
    let stale = stale.map_or_else(String::new, |stale| format!(", stale for {} s", stale.as_secs()));
    format!(": keep-alive{stale}\nid: {position}\n\n")
}

fn event(kind: &str, id: &str, data: &impl Serialize) -> String {
    // Compact JSON has no line breaks, which would end the field.
    let data = serde_json::to_string(data).expect("bodies are plain structs with text as keys");
    format!("event: {kind}\n{id}data: {data}\n\n")
}

fn body(what: &What, index: LogIndex, word: Option<ChangeWord>) -> ChangeBody {
    let nothing = ChangeBody {
        index: index.0,
        change: word.unwrap_or(word_of(what)),
        name: what.name().into(),
        worker: None,
        from: None,
        to: None,
        taken_by: None,
        count: None,
        duty: None,
        weight: None,
        policy: None,
        route: None,
        sandbox: None,
        endpoint: None,
        health: None,
        delegate: None,
        keyspace: None,
        node: None,
        feature_level: None,
        gateway: None,
        tunnel: None,
        object: None,
    };
    match what {
        What::Worker { record, count, how } => {
            let has = |partition: quorate_model::Partition| {
                count.map(|count| u32::try_from(partition.0).is_ok_and(|p| p < count.get()))
            };
            let worker = Some(known(record).then(|| WorkerBody::new(record, has)));
            match how {
                WorkerChange::Status { from, to } => {
                    ChangeBody { worker, from: Some(from.as_str()), to: Some(to.as_str()), ..nothing }
                }
                WorkerChange::Lost { to, count } => {
                    ChangeBody { worker, taken_by: Some(to.to_string()), count: Some(*count), ..nothing }
                }
                WorkerChange::Intent => {
                    let (duty, weight) = (Some(record.intent.duty.as_str()), Some(record.weight()));
                    ChangeBody { worker, duty, weight, ..nothing }
                }
                WorkerChange::Registered => ChangeBody { worker, ..nothing },
            }
        }
        What::WorkerForgotten { .. } => ChangeBody { worker: Some(None), ..nothing },
        What::Keyspace(keyspace) => ChangeBody { keyspace: Some(keyspace.into()), ..nothing },
        What::Service { policy, .. } => {
            ChangeBody { policy: Some(policy.as_deref().map(Into::into)), ..nothing }
        }
        What::Route { route, .. } => ChangeBody { route: Some(route.as_deref().map(Into::into)), ..nothing },
        What::Sandbox { sandbox, .. } => {
            ChangeBody { sandbox: Some(sandbox.as_deref().map(Into::into)), ..nothing }
        }
        What::Health { worker, verdict, .. } => {
            ChangeBody { endpoint: Some(worker.to_string()), health: Some(verdict.as_str()), ..nothing }
        }
        What::Delegate { delegate, .. } => {
            ChangeBody { delegate: Some(delegate.as_deref().map(Into::into)), ..nothing }
        }
        What::Object { object, .. } => {
            ChangeBody { object: Some(object.as_deref().map(ObservedObject::from)), ..nothing }
        }
        What::Node(node) => ChangeBody { node: Some((&**node).into()), ..nothing },
        What::Level(level) => ChangeBody { feature_level: Some(level.get()), ..nothing },
        What::Gateway { .. } | What::Tunnel { .. } | What::Replaced => of_presence(what, nothing),
    }
}

/// The same of who holds what; of anything else, nothing.
fn of_presence(what: &What, nothing: ChangeBody) -> ChangeBody {
    if let What::Gateway { gateway, .. } = what {
        return ChangeBody { gateway: Some(gateway.as_deref().map(Into::into)), ..nothing };
    }
    if let What::Tunnel { name, holder } = what {
        let tunnel = holder.as_ref().map(|holder| TunnelBody::new(name, holder));
        return ChangeBody { tunnel: Some(tunnel), ..nothing };
    }
    nothing
}

/// Departed workers are unknown to clients.
fn known(worker: &Worker) -> bool {
    worker.status() != Status::Departed
}

fn word_of(what: &What) -> ChangeWord {
    match what {
        What::Worker { record, .. } if !known(record) => ChangeWord::Removed,
        What::Worker { how: WorkerChange::Registered, .. } => ChangeWord::Registered,
        What::Worker { how: WorkerChange::Status { .. }, .. } => ChangeWord::Status,
        What::Worker { how: WorkerChange::Lost { .. }, .. } => ChangeWord::Lost,
        What::Worker { how: WorkerChange::Intent, .. } => ChangeWord::Intent,
        What::WorkerForgotten { .. } | What::Service { policy: None, .. } => ChangeWord::Removed,
        What::Delegate { delegate: None, .. } | What::Route { route: None, .. } => ChangeWord::Removed,
        What::Sandbox { sandbox: None, .. } | What::Object { object: None, .. } => ChangeWord::Removed,
        What::Gateway { gateway: None, .. } | What::Tunnel { holder: None, .. } => ChangeWord::Removed,
        What::Keyspace(_)
        | What::Service { .. }
        | What::Route { .. }
        | What::Sandbox { .. }
        | What::Object { .. }
        | What::Delegate { .. }
        | What::Gateway { .. }
        | What::Tunnel { .. }
        | What::Replaced => ChangeWord::Changed,
        What::Health { .. } => ChangeWord::Health,
        What::Node(_) => ChangeWord::Described,
        What::Level(_) => ChangeWord::Raised,
    }
}
