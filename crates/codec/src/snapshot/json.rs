//! The named fields of a snapshot. A field that comes later must have a default; see the module above for what
//! must not be left out.

use super::{
    SnapshotMeta,
    json_reply::Reply,
    json_services::{Hold, StoredPolicy},
};
use crate::raft;
use quorate_model as model;
use quorate_model::{
    BootId, ClusterId, Epoch, Invalid, KeyspaceName, LogIndex, LogTime, NodeName, PartitionCount,
};
use quorate_state::{Parts, RestoringParts, WindowParts};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Serialize, Deserialize)]
pub(super) struct Meta {
    last_log_id: Option<LogId>,
    membership: Membership,
    membership_log_id: Option<LogId>,
}

#[derive(Serialize, Deserialize)]
struct LogId {
    term: u64,
    leader: u64,
    index: u64,
}

#[derive(Serialize, Deserialize)]
struct Membership {
    configs: Vec<BTreeSet<u64>>,
    nodes: BTreeMap<u64, MemberNode>,
}

#[derive(Serialize, Deserialize)]
struct MemberNode {
    name: String,
    peer: String,
}

impl From<&SnapshotMeta> for Meta {
    fn from(meta: &SnapshotMeta) -> Self {
        let SnapshotMeta { last_log_id, membership: raft::Membership { configs, nodes }, membership_log_id } =
            meta;
        let id = |id: &raft::LogId| LogId { term: id.term, leader: id.leader, index: id.index };
        let node = |n: &raft::MemberNode| MemberNode { name: n.name.clone(), peer: n.peer.clone() };
        Self {
            last_log_id: last_log_id.as_ref().map(id),
            membership: Membership {
                configs: configs.clone(),
                nodes: nodes.iter().map(|(id, n)| (*id, node(n))).collect(),
            },
            membership_log_id: membership_log_id.as_ref().map(id),
        }
    }
}

impl From<Meta> for SnapshotMeta {
    fn from(meta: Meta) -> Self {
        let id = |id: LogId| raft::LogId { term: id.term, leader: id.leader, index: id.index };
        let node = |n: MemberNode| raft::MemberNode { name: n.name, peer: n.peer };
        let nodes = meta.membership.nodes.into_iter().map(|(id, n)| (id, node(n))).collect();
        Self {
            last_log_id: meta.last_log_id.map(id),
            membership: raft::Membership { configs: meta.membership.configs, nodes },
            membership_log_id: meta.membership_log_id.map(id),
        }
    }
}

/// What the state holds once.
#[derive(Serialize, Deserialize)]
pub(super) struct State {
    index: u64,
    now_ms: u64,
    cluster: Option<String>,
    last_epoch: u64,
}

impl From<&Parts> for State {
    fn from(parts: &Parts) -> Self {
        // Everything else has sections of its own; the level, so that who does not know it refuses the snapshot.
        let Parts { index, now, cluster, last_epoch, .. } = parts;
        Self {
            index: index.0,
            now_ms: now.0,
            cluster: cluster.map(|c| c.to_string()),
            last_epoch: last_epoch.0,
        }
    }
}

impl State {
    pub fn fill(self, parts: &mut Parts) -> Result<(), Invalid> {
        parts.index = LogIndex(self.index);
        parts.now = LogTime(self.now_ms);
        parts.cluster = self.cluster.map(|c| c.parse::<ClusterId>()).transpose()?;
        parts.last_epoch = Epoch(self.last_epoch);
        Ok(())
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct Keyspace {
    name: String,
    partitions: Option<u32>,
    source: KeyspaceSource,
    /// Since the third level.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hold: Option<Hold>,
    changed: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum KeyspaceSource {
    Static,
    Kafka,
}

impl From<&model::Keyspace> for Keyspace {
    fn from(keyspace: &model::Keyspace) -> Self {
        let model::Keyspace { name, partitions, source, hold, changed } = keyspace;
        Self {
            name: name.to_string(),
            partitions: partitions.map(PartitionCount::get),
            source: match source {
                model::KeyspaceSource::Static => KeyspaceSource::Static,
                model::KeyspaceSource::Kafka => KeyspaceSource::Kafka,
            },
            hold: hold.map(Hold::from),
            changed: changed.0,
        }
    }
}

impl TryFrom<Keyspace> for model::Keyspace {
    type Error = Invalid;

    fn try_from(keyspace: Keyspace) -> Result<Self, Invalid> {
        Ok(Self {
            name: KeyspaceName::parse(&keyspace.name)?,
            partitions: keyspace.partitions.map(PartitionCount::new).transpose()?,
            source: match keyspace.source {
                KeyspaceSource::Static => model::KeyspaceSource::Static,
                KeyspaceSource::Kafka => model::KeyspaceSource::Kafka,
            },
            hold: keyspace.hold.map(TryInto::try_into).transpose()?,
            changed: LogIndex(keyspace.changed),
        })
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct NodeRecord {
    id: u64,
    name: String,
    boot: u64,
    peer: Box<str>,
    management: Box<str>,
    version: Box<str>,
}

impl From<&model::NodeRecord> for NodeRecord {
    fn from(record: &model::NodeRecord) -> Self {
        let model::NodeRecord { id, name, boot, peer, management, version } = record;
        Self {
            id: id.0,
            name: name.to_string(),
            boot: boot.0,
            peer: peer.clone(),
            management: management.clone(),
            version: version.clone(),
        }
    }
}

impl TryFrom<NodeRecord> for model::NodeRecord {
    type Error = Invalid;

    fn try_from(record: NodeRecord) -> Result<Self, Invalid> {
        Ok(Self {
            id: model::NodeId(record.id),
            name: NodeName::parse(&record.name)?,
            boot: BootId(record.boot),
            peer: record.peer,
            management: record.management,
            version: record.version,
        })
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct Window {
    boot: u64,
    used: u64,
    replies: Vec<Kept>,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    sequence: u64,
    index: u64,
    reply: Reply,
}

impl From<&WindowParts> for Window {
    fn from(window: &WindowParts) -> Self {
        let WindowParts { boot, used, replies } = window;
        let kept = |(sequence, index, reply): &(u64, LogIndex, model::Reply)| Kept {
            sequence: *sequence,
            index: index.0,
            reply: reply.into(),
        };
        Self { boot: boot.0, used: used.0, replies: replies.iter().map(kept).collect() }
    }
}

impl TryFrom<Window> for WindowParts {
    type Error = Invalid;

    fn try_from(window: Window) -> Result<Self, Invalid> {
        let kept = |k: Kept| Ok((k.sequence, LogIndex(k.index), k.reply.try_into()?));
        let replies = window.replies.into_iter().map(kept).collect::<Result<_, Invalid>>()?;
        Ok(Self { boot: BootId(window.boot), used: LogIndex(window.used), replies })
    }
}

/// A restore that is under way, its routes, sandboxes and workers excepted.
#[derive(Serialize, Deserialize)]
pub(super) struct Restoring {
    id: u64,
    touched_ms: u64,
    batches: u32,
    last_epoch: u64,
    keyspaces: Vec<Keyspace>,
    /// Since the third level.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    policies: Vec<StoredPolicy>,
}

impl From<&RestoringParts> for Restoring {
    fn from(restoring: &RestoringParts) -> Self {
        let RestoringParts {
            id,
            touched,
            batches,
            last_epoch,
            keyspaces,
            policies,
            routes: _,
            sandboxes: _,
            objects: _,
            workers: _,
        } = restoring;
        Self {
            id: id.0,
            touched_ms: touched.0,
            batches: *batches,
            last_epoch: last_epoch.0,
            keyspaces: keyspaces.iter().map(Keyspace::from).collect(),
            policies: policies.iter().map(StoredPolicy::from).collect(),
        }
    }
}

impl TryFrom<Restoring> for RestoringParts {
    type Error = Invalid;

    fn try_from(restoring: Restoring) -> Result<Self, Invalid> {
        Ok(Self {
            id: model::RestoreId(restoring.id),
            touched: LogTime(restoring.touched_ms),
            batches: restoring.batches,
            last_epoch: Epoch(restoring.last_epoch),
            keyspaces: crate::v1::all(restoring.keyspaces)?,
            policies: crate::v1::all(restoring.policies)?,
            routes: Vec::new(),
            sandboxes: Vec::new(),
            objects: Vec::new(),
            workers: Vec::new(),
        })
    }
}
