//! A node joins, leaves or moves, because an operator says so.
//!
//! Decided by the leader, after it has proved to itself that it still leads: an old one would judge by an old
//! membership. A node joins as a learner, which has no vote and so risks nothing; [`membership`](crate::membership)
//! gives it one once it has caught up. Before that the leader asks the address who it is: a name that is taken, a
//! disk of another cluster, or a node that waits for somebody else must not enter the log of this one.
//!
//! Each change is bound to the membership that it was decided on, so of two at once one is decided anew. Both
//! changes are safe to repeat: what is already so is answered as done, and a leave names ids and not just a name.

use crate::{
    consensus::{Consensus, Shared},
    forming,
    forward::{Tried, Unavailable},
    handing_over, levels,
    membership::Picture,
    options::{ANSWER_WITHIN, TRY_WITHIN},
    peer::{
        client::CallError,
        path,
        wire::{self, Hello, MemberOutcome},
    },
    reads,
    types::{Config, LogId, Raft},
};
use openraft::{
    ChangeMembers,
    errors::{ChangeMembershipError, ClientWriteError, RaftError},
    raft::Precondition,
};
use quorate_model::{Join, Leave, LogIndex, MemberChange, MemberRefusal, NodeId, NodeName, limit};
use quorate_rt::time;
use quorate_storage::Member;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

impl Consensus {
    /// Lets a node join as a learner; answers once that is committed and applied on this node. For a member that
    /// answers at another address than before: the address is changed.
    pub async fn join(&self, join: &Join) -> Result<MemberOutcome, Unavailable> {
        let deadline = time::Instant::now() + ANSWER_WITHIN;
        let message = wire::encode_join(join);
        let here = |left| join_here(self.shared(), join, left);
        let decode = wire::decode_member_outcome;
        let outcome =
            self.shared().forwarder.at_leader(deadline, here, (path::JOIN, &message), decode).await?;
        self.seen_here(outcome, deadline).await
    }

    /// Takes a node's membership away; answers once that is committed and applied on this node (unless this node
    /// is the one: it hears nothing of it).
    pub async fn leave(
        &self,
        name: NodeName,
        if_index: Option<LogIndex>,
        dry_run: bool,
    ) -> Result<MemberOutcome, Unavailable> {
        let deadline = time::Instant::now() + ANSWER_WITHIN;
        self.read_barrier().await?;
        let ids = Picture::of(self.shared()).ids(name.as_str());
        let leave = Leave { name, ids, if_index, dry_run };
        if leave.ids.is_empty() {
            return Ok(Err(MemberRefusal::Unknown { name: leave.name }));
        }
        let message = wire::encode_leave(&leave);
        let here = |left| leave_here(self.shared(), &leave, left);
        let decode = wire::decode_member_outcome;
        let outcome =
            self.shared().forwarder.at_leader(deadline, here, (path::LEAVE, &message), decode).await?;
        if leave.ids.contains(&self.id()) {
            return Ok(outcome);
        }
        self.seen_here(outcome, deadline).await
    }

    /// Whoever got an answer must find it on the node that gave it.
    async fn seen_here(
        &self,
        outcome: MemberOutcome,
        deadline: time::Instant,
    ) -> Result<MemberOutcome, Unavailable> {
        let left = deadline.saturating_duration_since(time::Instant::now());
        match outcome {
            Ok(change) if !self.wait_for(change.index, left).await => Err(Unavailable::Unknown),
            done_or_refused => Ok(done_or_refused),
        }
    }
}

/// The leader's part of a join.
pub(crate) async fn join_here(shared: &Shared, join: &Join, limit: Duration) -> Tried<MemberOutcome> {
    let limit = limit.min(TRY_WITHIN);
    let Tried::Done(_) = reads::read_index(&shared.raft, limit).await else { return Tried::NotLeader };
    let hello = forming::hello(&shared.forwarder.links.anonymous(), join.peer.as_str()).await;
    let picture = Picture::of(shared);
    let (id, change) = match admit(shared, &picture, join, hello) {
        Ok(Admission::Already(change)) => return Tried::Done(Ok(change)),
        Ok(Admission::Change(id, change)) => (id, change),
        Err(refusal) => return Tried::Done(Err(refusal)),
    };
    let voter = picture.voters.contains(&id.0);
    if join.dry_run {
        return Tried::Done(Ok(MemberChange { index: picture.index(), id, voter }));
    }
    if !picture.members.contains_key(&id.0) && !levels::can_join(shared, id, join.peer.as_str()).await {
        // Such a node does not even start while it hears of us; this one may have started before.
        let why = "it runs a version below the cluster's feature level".to_owned();
        return Tried::Done(Err(MemberRefusal::NotReachable { peer: join.peer.clone(), why }));
    }
    tracing::info!(node = %join.name, %id, peer = %join.peer, voter, "a node joins, or moves");
    let changed = change_membership(&shared.raft, change, picture.changed, limit).await;
    changed.map(|index| Ok(MemberChange { index, id, voter }))
}

/// What a join comes to.
enum Admission {
    /// It is so.
    Already(MemberChange),
    /// To be changed.
    Change(NodeId, ChangeMembers<u64, Member>),
}

fn admit(
    shared: &Shared,
    picture: &Picture,
    join: &Join,
    hello: Result<Hello, CallError>,
) -> Result<Admission, MemberRefusal> {
    let peer = join.peer.clone();
    let hello = hello.map_err(|e| MemberRefusal::NotReachable { peer: peer.clone(), why: answer_of(&e) })?;
    if hello.name != join.name {
        return Err(MemberRefusal::OtherName { peer, wanted: join.name.clone(), got: hello.name });
    }
    if let Some(theirs) = hello.cluster.filter(|theirs| Some(*theirs) != shared.cluster()) {
        return Err(MemberRefusal::OtherCluster { name: hello.name, theirs });
    }
    let member = Member { name: join.name.to_string(), peer: join.peer.to_string() };
    let known = picture.members.get(&hello.id.0);
    if known == Some(&member) {
        let voter = picture.voters.contains(&hello.id.0);
        return Ok(Admission::Already(MemberChange { index: picture.index(), id: hello.id, voter }));
    }
    let named = picture.ids(join.name.as_str());
    match join.if_index {
        // `If-None-Match: *`.
        Some(LogIndex(0)) if named.is_empty() => {}
        Some(index) if index != picture.index() => {
            return Err(MemberRefusal::PreconditionFailed { current: picture.index() });
        }
        Some(_) | None => {}
    }
    let set = BTreeMap::from([(hello.id.0, member)]);
    if known.is_some() {
        return Ok(Admission::Change(hello.id, ChangeMembers::SetNodes(set)));
    }
    if let Some(id) = named.first() {
        let peer = picture.members.get(&id.0).map(|member| member.peer.clone()).unwrap_or_default();
        return Err(MemberRefusal::NameTaken { name: join.name.clone(), id: *id, peer });
    }
    refuse_strangers(picture, &hello)?;
    if picture.members.len() >= limit::NODES_MAX {
        return Err(MemberRefusal::Full { max: limit::NODES_MAX as u64 });
    }
    Ok(Admission::Change(hello.id, ChangeMembers::AddNodes(set)))
}

/// A node of our cluster that had left may come back: what it promised is still on its disk. Any other must have
/// no log, and wait for us, or it could write the first record of another cluster a moment later.
fn refuse_strangers(picture: &Picture, hello: &Hello) -> Result<(), MemberRefusal> {
    if hello.cluster.is_some() {
        return Ok(());
    }
    if hello.initialized {
        return Err(MemberRefusal::OwnLog { name: hello.name.clone() });
    }
    let ours = |name: &NodeName| picture.members.values().any(|member| member.name == name.as_str());
    if hello.members.iter().any(ours) && hello.members.contains(&hello.name) {
        return Ok(());
    }
    Err(MemberRefusal::NotWaiting { name: hello.name.clone() })
}

/// For operators: which address it was they know.
fn answer_of(error: &CallError) -> String {
    match error {
        CallError::Unreachable { source, .. } | CallError::Broken { source, .. } => source.to_string(),
        CallError::Timeout { after, .. } => format!("no answer within {} ms", after.as_millis()),
        CallError::Unproven { why, .. } => format!("it has not the same cluster secret ({why})"),
        CallError::Refused { status, why, .. } => format!("it answers {status} ({why})"),
    }
}

/// The leader's part of a leave.
pub(crate) async fn leave_here(shared: &Shared, leave: &Leave, limit: Duration) -> Tried<MemberOutcome> {
    let limit = limit.min(TRY_WITHIN);
    let Tried::Done(_) = reads::read_index(&shared.raft, limit).await else { return Tried::NotLeader };
    let picture = Picture::of(shared);
    let gone: BTreeSet<u64> =
        leave.ids.iter().map(|id| id.0).filter(|id| picture.members.contains_key(id)).collect();
    let Some(first) = leave.ids.iter().find(|id| gone.contains(&id.0)).or(leave.ids.first()) else {
        return Tried::Done(Err(MemberRefusal::Unknown { name: leave.name.clone() }));
    };
    let done = |index| MemberChange { index, id: *first, voter: false };
    if gone.is_empty() {
        // A try before this one did it.
        return Tried::Done(Ok(done(picture.index())));
    }
    if leave.if_index.is_some_and(|index| index != picture.index()) {
        return Tried::Done(Err(MemberRefusal::PreconditionFailed { current: picture.index() }));
    }
    if let Err(refusal) = leaves_majority(&picture, &gone) {
        return Tried::Done(Err(refusal));
    }
    if leave.dry_run {
        return Tried::Done(Ok(done(picture.index())));
    }
    if gone.contains(&shared.me.id.0) {
        // Somebody who stays carries it out: a leader that counts itself out could not tell anybody how it ended.
        tracing::info!("this node is to leave: leadership is handed over first");
        let _ = handing_over::hand_over(shared, None).await;
        return Tried::NotLeader;
    }
    tracing::info!(node = %leave.name, ids = ?gone, "a node leaves");
    change_membership(&shared.raft, without(&picture, gone), picture.changed, limit)
        .await
        .map(|index| Ok(done(index)))
}

/// A cluster whose remaining voters hear no majority could never change anything again, this change included.
fn leaves_majority(picture: &Picture, gone: &BTreeSet<u64>) -> Result<(), MemberRefusal> {
    if picture.voters.is_disjoint(gone) {
        return Ok(());
    }
    let left: Vec<u64> = picture.voters.difference(gone).copied().collect();
    let answering = left.iter().filter(|id| picture.answering.contains(id)).count();
    if answering * 2 > left.len() {
        return Ok(());
    }
    Err(MemberRefusal::NoMajority { voters: left.len() as u64, reachable: answering as u64 })
}

fn without(picture: &Picture, gone: BTreeSet<u64>) -> ChangeMembers<u64, Member> {
    let (voters, learners): (BTreeSet<u64>, BTreeSet<u64>) =
        gone.into_iter().partition(|id| picture.voters.contains(id));
    match (voters.is_empty(), learners.is_empty()) {
        (_, true) => ChangeMembers::RemoveVoters(voters),
        (true, false) => ChangeMembers::RemoveNodes(learners),
        (false, false) => ChangeMembers::Batch(vec![
            ChangeMembers::RemoveNodes(learners),
            ChangeMembers::RemoveVoters(voters),
        ]),
    }
}

/// Changes the membership if it is still what `decided_on` made it. Runs to its end also when nobody waits for it
/// any more: half a change would stay joint until somebody finishes it.
pub(crate) async fn change_membership(
    raft: &Raft,
    change: ChangeMembers<u64, Member>,
    decided_on: Option<LogId>,
    limit: Duration,
) -> Tried<LogIndex> {
    let raft = raft.clone();
    let condition: Precondition<Config> =
        Precondition::LastMembershipLogId { last_membership_log_id: decided_on };
    let changing =
        quorate_rt::spawn(async move { raft.change_membership_if(change, false, [condition]).await });
    match time::timeout(limit, changing).await {
        Ok(Ok(Ok(changed))) => Tried::Done(LogIndex(changed.log_id.index)),
        Ok(Ok(Err(RaftError::APIError(error)))) => match error {
            // Decided on what is no longer so, or another change is under way: nothing was done.
            ClientWriteError::PreconditionFailed(_)
            | ClientWriteError::ChangeMembershipError(
                ChangeMembershipError::InProgress(_) | ChangeMembershipError::UncommittedLeaderLog(_),
            ) => Tried::NotLeader,
            // Also what a leader says that lost its place while the change was under way.
            ClientWriteError::ForwardToLeader(_) | ClientWriteError::LogEntryDiscarded(_) => Tried::Unsure,
            ClientWriteError::ChangeMembershipError(error) => {
                tracing::warn!(%error, "the membership was not changed");
                Tried::Unsure
            }
        },
        Ok(Ok(Err(RaftError::Fatal(_))) | Err(_)) | Err(_) => Tried::Unsure,
    }
}
