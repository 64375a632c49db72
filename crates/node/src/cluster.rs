//! What the management API needs of the cluster, answered by consensus.

mod shown;

use crate::{
    measure,
    readiness::{Phase, Readiness},
    tunnels::{Door, Guard, Holding, Say},
};
use futures_util::{FutureExt, future::BoxFuture};
use quorate_consensus::{
    Consensus, Leader, Unavailable as Lost, backup, in_flight::Count, looking::NotLooked, types::Metrics,
};
use quorate_management::{
    Cluster, Committed, InFlightAt, KeyTraceAt, LeaderHint, Look, MemberError, MemberInfo, Mode, Pieces,
    Readiness as Told, Reason, RestoreError, Restored, Role, Standing, TransferError, Unavailable,
    tunnel::TunnelDoor,
};
use quorate_model::{
    Command, Epoch, ErrorsSeen, Heartbeat, HeartbeatOutcome, Join, Kind, LeaseInfo, Load, LogIndex,
    MemberChange, MemberRefusal, NodeId, NodeName, Observation, Position, RampSubject, RoutingKey,
    ServiceName, WorkerId, key_trace::TraceAsked,
};
use quorate_state::{Forgotten, Loads, Since, View};
use shown::{shown_look, traced};
use std::{sync::Arc, time::Duration};

/// Whoever is told "busy" asks again after this long.
const RETRY_BUSY_AFTER: Duration = Duration::from_secs(1);

/// One node's cluster.
pub(crate) struct NodeCluster {
    name: NodeName,
    consensus: Consensus,
    readiness: Readiness,
    tunnels: Option<Arc<Door>>,
}

impl NodeCluster {
    pub(crate) fn new(name: NodeName, consensus: Consensus, readiness: Readiness) -> Self {
        Self { name, consensus, readiness, tunnels: None }
    }

    /// Those who are let in may open tunnels.
    pub(crate) fn taking_tunnels(mut self, guard: Guard, holding: Holding) -> Self {
        let plain = Self::new(self.name.clone(), self.consensus.clone(), self.readiness.clone());
        let say: Say = Arc::new(move |lost| plain.unavailable(lost));
        self.tunnels = Some(Arc::new(Door { guard, holding, say }));
        self
    }

    /// Where to ask instead. Nobody is sent to a leader that this node has not heard for a while, itself included.
    fn hint(&self) -> Option<LeaderHint> {
        self.led_by(&self.consensus.metrics()).map(|leader| self.hint_at(&leader))
    }

    fn hint_at(&self, leader: &Leader) -> LeaderHint {
        let view = self.consensus.view().get();
        LeaderHint { name: leader.name.clone(), management: management_of(&view, leader.name.as_str()) }
    }

    fn unavailable(&self, lost: &Lost) -> Unavailable {
        let reason = match lost {
            Lost::NoLeader => Reason::NoQuorum,
            Lost::Unknown => Reason::OutcomeUnknown,
            Lost::Busy => Reason::Busy { retry_after: RETRY_BUSY_AFTER },
            Lost::FeatureLevel { needs, stands } => Reason::FeatureLevel { needs: *needs, stands: *stands },
            Lost::TooLarge { bytes, max } => Reason::TooLarge { bytes: *bytes, max: *max },
            Lost::DiskFull => Reason::DiskFull,
            Lost::ShuttingDown => Reason::ShuttingDown,
        };
        Unavailable { reason, leader: self.hint() }
    }

    fn not_looked(&self, why: &NotLooked) -> Unavailable {
        let reason = match why {
            NotLooked::Unavailable(lost) => return self.unavailable(lost),
            NotLooked::Lately { again_in } => Reason::LookedAt { retry_after: *again_in },
            NotLooked::Full => Reason::TooManyLooks { retry_after: RETRY_BUSY_AFTER },
        };
        Unavailable { reason, leader: self.hint() }
    }

    fn member_outcome(
        &self,
        outcome: Result<Result<MemberChange, MemberRefusal>, Lost>,
    ) -> Result<MemberChange, MemberError> {
        match outcome {
            Ok(Ok(change)) => Ok(change),
            Ok(Err(refusal)) => Err(refusal.into()),
            Err(lost) => Err(self.unavailable(&lost).into()),
        }
    }

    fn not_restored(&self, error: backup::RestoreError) -> RestoreError {
        let problem = error.to_string();
        match error {
            backup::RestoreError::Busy => RestoreError::Unavailable(self.unavailable(&Lost::Busy)),
            backup::RestoreError::Unsound(_) => RestoreError::Unsound { problem },
            backup::RestoreError::Io(error) => RestoreError::Io(error),
            backup::RestoreError::Refused(refusal) => RestoreError::Refused(refusal),
            backup::RestoreError::Unavailable(lost) => RestoreError::Unavailable(self.unavailable(&lost)),
        }
    }

    fn readiness(&self) -> Told {
        let silent = measure::stale(&self.consensus);
        match (self.readiness.phase(), silent) {
            (Phase::Draining, _) => Told::Draining,
            (Phase::Starting | Phase::Serving, _) if self.consensus.is_removed() => Told::Removed,
            (Phase::Starting, _) => Told::Starting { why: self.waits_for() },
            (Phase::Serving, None) => Told::Ready,
            (Phase::Serving, Some(_)) => Told::Degraded {
                why: "no leader with a quorum is heard: requests are routed by the last known state, nothing can be changed".into(),
                since_leader: self.consensus.leader_heard(),
            },
        }
    }

    fn waits_for(&self) -> String {
        if self.consensus.view().get().cluster().is_none() {
            return self.consensus.waits_for().unwrap_or_else(|| "the cluster is not formed yet".into());
        }
        let why = if self.consensus.leader().is_none() {
            "no leader is known yet"
        } else {
            "this node has not caught up with the leader yet"
        };
        why.into()
    }

    /// Who leads, unless that is long ago: a leader that lost its quorum goes on calling itself one.
    fn led_by(&self, raft: &Metrics) -> Option<Leader> {
        let leader = self.consensus.leader().filter(|_| measure::stale(&self.consensus).is_none());
        // As of the same look as the term: a leader beside the term of another one would be wrong.
        leader.filter(|leader| raft.current_leader == Some(leader.id.0))
    }

    fn members(&self, raft: &Metrics) -> Vec<MemberInfo> {
        let leader = self.led_by(raft);
        let view = self.consensus.view().get();
        let membership = raft.membership_config.membership();
        let voters: Vec<u64> = membership.voter_ids().collect();
        let mut members: Vec<_> = membership
            .nodes()
            .filter_map(|(id, member)| {
                let name = NodeName::parse(&member.name).ok()?;
                let role = match &leader {
                    Some(leader) if leader.id.0 == *id => Role::Leader,
                    _ if voters.contains(id) => Role::Follower,
                    _ => Role::Learner,
                };
                let (applied_index, reachable) = self.seen(&name, NodeId(*id), &view);
                let management = management_of(&view, name.as_str());
                Some(MemberInfo {
                    name,
                    id: NodeId(*id),
                    role,
                    peer: member.peer.clone().into(),
                    management,
                    applied_index,
                    reachable,
                    feature_level_max: self.consensus.feature_level_max(NodeId(*id)),
                })
            })
            .collect();
        members.sort_by(|a, b| a.name.cmp(&b.name));
        members
    }

    /// How far a member has applied, and whether it answers.
    fn seen(&self, name: &NodeName, id: NodeId, view: &View) -> (Option<LogIndex>, bool) {
        if id == self.consensus.id() {
            return (Some(view.index()), true);
        }
        match self.consensus.roster().get(name.as_str()) {
            Some(seen) if seen.id == id => (Some(seen.applied), seen.reachable),
            // Another disk answers under this name, or nobody has yet.
            Some(_) | None => (None, false),
        }
    }

    async fn transfer(&self, to: Option<NodeName>) -> Result<NodeName, TransferError> {
        let target = match to {
            None => None,
            Some(name) => {
                let members = self.members(&self.consensus.metrics());
                // The voter first: a learner may be about to take its own place under the same name.
                let named = members.into_iter().filter(|m| m.name == name);
                match named.min_by_key(|m| m.role == Role::Learner) {
                    None => return Err(TransferError::UnknownNode { name }),
                    Some(MemberInfo { role: Role::Leader, .. }) => return Ok(name),
                    Some(MemberInfo { role: Role::Learner, .. }) => {
                        return Err(TransferError::NotEligible { name, why: "it is a learner".into() });
                    }
                    Some(member) => Some(member.id),
                }
            }
        };
        match self.consensus.transfer_leader(target).await {
            Ok(leader) => Ok(leader.name),
            Err(lost) => Err(TransferError::Unavailable(self.unavailable(&lost))),
        }
    }
}

fn management_of(view: &View, name: &str) -> Box<str> {
    view.nodes()
        .find(|node| node.name.as_str() == name)
        .map_or_else(Box::default, |node| node.management.clone())
}

impl Cluster for NodeCluster {
    fn ramp_seen(&self, subject: &RampSubject) -> Vec<ErrorsSeen> {
        self.consensus.ramp_seen(subject)
    }

    fn view(&self) -> Arc<View> {
        self.consensus.view().get()
    }

    fn propose(&self, command: Command) -> BoxFuture<'_, Result<Committed, Unavailable>> {
        async move {
            if self.consensus.view().get().cluster().is_none() {
                // Nothing can be judged yet: a worker that comes too early shall come again, not be refused.
                return Err(self.unavailable(&Lost::NoLeader));
            }
            let committed = self.consensus.propose(command).await.map_err(|lost| self.unavailable(&lost))?;
            Ok(Committed { index: committed.index, reply: committed.reply })
        }
        .boxed()
    }

    fn heartbeat(&self, beats: Vec<Heartbeat>) -> BoxFuture<'_, Result<Vec<HeartbeatOutcome>, Unavailable>> {
        async move { self.consensus.heartbeat(beats).await.map_err(|lost| self.unavailable(&lost)) }.boxed()
    }

    fn hear_load(&self, id: &WorkerId, load: Load) {
        self.consensus.hear_load(id, load);
    }

    fn loads(&self) -> Loads {
        self.consensus.loads()
    }

    fn leases(&self) -> BoxFuture<'_, Result<Vec<LeaseInfo>, Unavailable>> {
        async move { self.consensus.leases().await.map_err(|lost| self.unavailable(&lost)) }.boxed()
    }

    fn read_barrier(&self) -> BoxFuture<'_, Result<LogIndex, Unavailable>> {
        async move { self.consensus.read_barrier().await.map_err(|lost| self.unavailable(&lost)) }.boxed()
    }

    fn wait_for(&self, index: LogIndex, timeout: Duration) -> BoxFuture<'_, bool> {
        async move { self.consensus.wait_for(index, timeout).await }.boxed()
    }

    fn changes_about(
        &self,
        kinds: Option<&[Kind]>,
        position: Position,
        max: usize,
    ) -> Result<Since, Forgotten> {
        self.consensus.changes_about(kinds, position, max)
    }

    fn changed(&self, kinds: &[Kind]) -> LogIndex {
        self.consensus.changed(kinds)
    }

    fn applied_on(
        &self,
        index: LogIndex,
        within: Duration,
    ) -> BoxFuture<'_, Vec<(NodeName, Option<String>)>> {
        async move {
            let seen = self.consensus.applied_on(index, within).await;
            seen.into_iter().map(|(name, seen)| (name, seen.err().map(|why| why.to_string()))).collect()
        }
        .boxed()
    }

    fn in_flight(&self, worker: WorkerId, index: LogIndex) -> BoxFuture<'_, Vec<InFlightAt>> {
        async move {
            let counts = self.consensus.in_flight(&worker, index).await;
            let at = |Count { node, applied, count }| InFlightAt {
                node,
                applied,
                in_flight: count.map_err(|why| why.to_string()),
            };
            counts.into_iter().map(at).collect()
        }
        .boxed()
    }

    fn observations(
        &self,
        service: ServiceName,
        workers: Vec<WorkerId>,
    ) -> BoxFuture<'_, Vec<(NodeName, Result<Observation, String>)>> {
        async move {
            let told = self.consensus.observations(&service, workers).await;
            told.into_iter().map(|(node, told)| (node, told.map_err(|why| why.to_string()))).collect()
        }
        .boxed()
    }

    fn follow_key(&self, key: RoutingKey, ms: u64) -> BoxFuture<'_, Vec<KeyTraceAt>> {
        let asked = TraceAsked { key, follow_ms: Some(ms), traces: Vec::new() };
        async move { traced(self.consensus.follow_key(asked).await) }.boxed()
    }

    fn key_traces(&self, key: RoutingKey) -> BoxFuture<'_, Vec<KeyTraceAt>> {
        let asked = TraceAsked { key, follow_ms: None, traces: Vec::new() };
        async move { traced(self.consensus.key_traces(asked).await) }.boxed()
    }

    fn look_at(&self, worker: WorkerId, epoch: Epoch) -> BoxFuture<'_, Result<Look, Unavailable>> {
        async move {
            let look = self.consensus.look_at(&worker, epoch).await;
            look.map(shown_look).map_err(|why| self.not_looked(&why))
        }
        .boxed()
    }

    fn tunnels(&self) -> Option<Arc<dyn TunnelDoor>> {
        self.tunnels.clone().map(|door| door as Arc<dyn TunnelDoor>)
    }

    fn standing(&self) -> Standing {
        let raft = self.consensus.metrics();
        let leader = self.led_by(&raft);
        Standing {
            node: self.name.clone(),
            node_id: self.consensus.id(),
            cluster: self.consensus.cluster().or_else(|| self.consensus.view().get().cluster()),
            leader: leader.map(|leader| self.hint_at(&leader)),
            term: raft.current_term,
            applied_index: self.consensus.view().get().index(),
            feature_level: self.consensus.feature_level(),
            changed_index: self.consensus.membership_index(),
            members: self.members(&raft),
            readiness: self.readiness(),
            stale: measure::stale(&self.consensus),
        }
    }

    fn export(&self, view: Arc<View>) -> Pieces {
        backup::export(view)
    }

    fn restore(&self, pieces: Pieces) -> BoxFuture<'_, Result<Restored, RestoreError>> {
        async move {
            if self.consensus.view().get().cluster().is_none() {
                return Err(RestoreError::Unavailable(self.unavailable(&Lost::NoLeader)));
            }
            match backup::restore(&self.consensus, pieces).await {
                Ok(backup::Restored { index, workers, keyspaces }) => {
                    Ok(Restored { index, workers, keyspaces })
                }
                Err(error) => Err(self.not_restored(error)),
            }
        }
        .boxed()
    }

    fn transfer_leader(&self, to: Option<NodeName>) -> BoxFuture<'_, Result<NodeName, TransferError>> {
        self.transfer(to).boxed()
    }

    fn join(&self, join: Join) -> BoxFuture<'_, Result<MemberChange, MemberError>> {
        async move { self.member_outcome(self.consensus.join(&join).await) }.boxed()
    }

    fn leave(
        &self,
        name: NodeName,
        if_index: Option<LogIndex>,
        mode: Mode,
    ) -> BoxFuture<'_, Result<MemberChange, MemberError>> {
        let dry_run = mode == Mode::Validate;
        async move { self.member_outcome(self.consensus.leave(name, if_index, dry_run).await) }.boxed()
    }
}
