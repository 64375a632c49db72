//! Heartbeats on their way to the leader, and the leader's duties towards leases.

use crate::{
    forward::{Forwarder, Tried, Unavailable},
    observer::Applied,
    options::{ANSWER_WITHIN, QUEUE_MAX, TICK},
    peer::{path, wire},
    proposer::Proposer,
    types::Raft,
};
use openraft::{Instant, ReadPolicy, ServerState, async_runtime::WatchReceiver};
use quorate_model::{Command, Heartbeat, HeartbeatOutcome, LeaseInfo, Lifecycle};
use quorate_rt::{shutdown::Shutdown, time};
use quorate_telemetry::{Control, label::HeartbeatResult};
use std::{sync::Arc, time::Duration};
use tokio::sync::{mpsc, oneshot};

/// Most heartbeats in one message to the leader.
const BEATS_PER_CALL_MAX: usize = 1_000;

struct Waiting {
    beats: Vec<Heartbeat>,
    deadline: time::Instant,
    answer: oneshot::Sender<Result<Vec<HeartbeatOutcome>, Unavailable>>,
}

/// The way in for heartbeats of this node. They gather while a call is under way, as commands do.
#[derive(Clone)]
pub struct Pulse {
    queue: mpsc::Sender<Waiting>,
    control: Arc<Control>,
}

/// What heartbeats need on their way.
#[derive(Clone)]
pub(crate) struct Vessel {
    pub(crate) forwarder: Forwarder,
    pub(crate) applied: Arc<Applied>,
    /// A leader that heard no quorum for this long does not speak for the cluster.
    pub(crate) election: Duration,
}

impl Pulse {
    /// Starts the gathering task.
    pub(crate) fn start(vessel: Vessel) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE_MAX);
        let control = vessel.applied.control().clone();
        quorate_rt::spawn(gather(waiting, vessel));
        Self { queue, control }
    }

    /// Brings heartbeats to the leader; one outcome for each.
    pub async fn beat(&self, beats: Vec<Heartbeat>) -> Result<Vec<HeartbeatOutcome>, Unavailable> {
        let (answer, answered) = oneshot::channel();
        let count = beats.len() as u64;
        let deadline = time::Instant::now() + ANSWER_WITHIN;
        self.queue.try_send(Waiting { beats, deadline, answer }).map_err(|e| {
            self.control.count_heartbeats(HeartbeatResult::Unavailable, count);
            match e {
                mpsc::error::TrySendError::Full(_) => Unavailable::Busy, // the worker beats again anyway
                mpsc::error::TrySendError::Closed(_) => Unavailable::ShuttingDown,
            }
        })?;
        match time::timeout(ANSWER_WITHIN, answered).await {
            Ok(answer) => answer.unwrap_or(Err(Unavailable::ShuttingDown)),
            // A heartbeat changes nothing that could be in doubt: the worker beats again.
            Err(_) => Err(Unavailable::NoLeader),
        }
    }
}

async fn gather(mut waiting: mpsc::Receiver<Waiting>, vessel: Vessel) {
    while let Some(first) = waiting.recv().await {
        let mut batch = vec![first];
        let mut count = batch[0].beats.len();
        while count < BEATS_PER_CALL_MAX {
            let Ok(next) = waiting.try_recv() else { break };
            count += next.beats.len();
            batch.push(next);
        }
        carry(batch, &vessel).await;
    }
}

async fn carry(batch: Vec<Waiting>, vessel: &Vessel) {
    let beats: Vec<_> = batch.iter().flat_map(|w| w.beats.iter().cloned()).collect();
    // Of the youngest: one that has waited long behind a batch that found no leader gives up by itself.
    let deadline = batch.iter().map(|w| w.deadline).max().unwrap_or_else(time::Instant::now);
    let result = deliver(&beats, deadline, vessel).await;
    let control = vessel.applied.control();
    match result {
        Ok(outcomes) => {
            outcomes.iter().for_each(|outcome| control.count_heartbeats(outcome.into(), 1));
            let mut outcomes = outcomes.into_iter();
            for waiting in batch {
                let own = outcomes.by_ref().take(waiting.beats.len()).collect();
                let _ = waiting.answer.send(Ok(own));
            }
        }
        Err(e) => {
            control.count_heartbeats(HeartbeatResult::Unavailable, beats.len() as u64);
            for waiting in batch {
                let _ = waiting.answer.send(Err(e.clone()));
            }
        }
    }
}

async fn deliver(
    beats: &[Heartbeat],
    deadline: time::Instant,
    vessel: &Vessel,
) -> Result<Vec<HeartbeatOutcome>, Unavailable> {
    let message = wire::encode_heartbeats(beats);
    let here = |_| std::future::ready(hear(beats, vessel));
    vessel.forwarder.at_leader(deadline, here, (path::HEARTBEATS, &message), wire::decode_outcomes).await
}

/// What the leader makes of heartbeats; not its place to say if it is not (or no longer) the leader.
pub(crate) fn hear(beats: &[Heartbeat], vessel: &Vessel) -> Tried<Vec<HeartbeatOutcome>> {
    if !speaks_for_quorum(&vessel.forwarder.raft, vessel.election) {
        return Tried::NotLeader;
    }
    let view = vessel.applied.view().get();
    let heard = vessel.applied.with_keeper(|keeper, now| {
        let outcome = |beat: &Heartbeat| match keeper.heartbeat(beat, now) {
            HeartbeatOutcome::Unknown if is_displaced(&view, beat) => HeartbeatOutcome::Displaced,
            other => other,
        };
        beats.iter().map(outcome).collect()
    });
    heard.map_or(Tried::NotLeader, Tried::Done)
}

fn is_displaced(view: &quorate_state::View, beat: &Heartbeat) -> bool {
    view.worker(beat.id.as_str()).is_some_and(|w| matches!(w.lifecycle, Lifecycle::Displaced { .. }))
}

/// The leader's leases.
pub(crate) fn leases_here(vessel: &Vessel) -> Tried<Vec<LeaseInfo>> {
    if !speaks_for_quorum(&vessel.forwarder.raft, vessel.election) {
        return Tried::NotLeader;
    }
    vessel.applied.with_keeper(|keeper, now| keeper.leases(now)).map_or(Tried::NotLeader, Tried::Done)
}

/// The leases as the leader sees them, asked from any node.
pub(crate) async fn leases(vessel: &Vessel) -> Result<Vec<LeaseInfo>, Unavailable> {
    let here = |_| std::future::ready(leases_here(vessel));
    let deadline = time::Instant::now() + ANSWER_WITHIN;
    vessel.forwarder.at_leader(deadline, here, (path::LEASES, &[]), wire::decode_leases).await
}

/// Whether this node leads and has heard a quorum within an election timeout. A leader that is cut off must not
/// tell workers that it heard them: the other side will expire them.
pub(crate) fn speaks_for_quorum(raft: &Raft, election: Duration) -> bool {
    let metrics = raft.metrics();
    let metrics = metrics.borrow_watched();
    let acked = metrics.last_quorum_acked.as_ref().is_some_and(|at| Instant::elapsed(&**at) < election);
    metrics.state == ServerState::Leader && (acked || metrics.membership_config.voter_ids().count() == 1)
}

/// The leader's duties: keeps leases while this node leads, and proposes what follows from silence.
pub(crate) async fn keep(vessel: Vessel, proposer: Proposer, mut shutdown: Shutdown) {
    #[cfg(madsim)]
    if quorate_rt::planted::is(quorate_rt::planted::Bug::FollowersExpire) {
        let expiring = crate::planted_expiry::expire_by_own_clock(vessel.clone(), proposer.clone());
        quorate_rt::spawn(expiring);
    }
    let raft = vessel.forwarder.raft.clone();
    let mut keeping: Option<u64> = None;
    loop {
        let looked = time::Instant::now();
        tokio::select! {
            biased;
            () = shutdown.wait() => return vessel.applied.stop_keeping(),
            () = time::sleep(TICK) => {}
        }
        // A leader that had no quorum, or whose process stood still, heard no heartbeats in the meantime: what it
        // remembers says nothing about its workers. It begins anew, as after an election.
        let paused = looked.elapsed() > TICK + vessel.election;
        let term = leading_term(&raft).filter(|_| !paused && speaks_for_quorum(&raft, vessel.election));
        if term != keeping {
            vessel.applied.stop_keeping();
            keeping = None;
            // Heartbeats are judged by the state, so everything of earlier terms must be in it first.
            if term.is_some() && caught_up(&raft).await && leading_term(&raft) == term {
                vessel.applied.start_keeping();
                keeping = term;
            }
            continue;
        }
        let changes = vessel.applied.with_keeper(|keeper, now| keeper.tick(now)).unwrap_or_default();
        if !changes.is_empty() {
            // An error means that the next tick proposes what still holds.
            let _ = proposer.propose_here(Command::ChangeLeases(changes)).await;
        }
    }
}

fn leading_term(raft: &Raft) -> Option<u64> {
    let metrics = raft.metrics();
    let metrics = metrics.borrow_watched();
    (metrics.state == ServerState::Leader).then_some(metrics.current_term)
}

async fn caught_up(raft: &Raft) -> bool {
    let ready = time::timeout(Duration::from_secs(2), raft.ensure_linearizable(ReadPolicy::ReadIndex)).await;
    matches!(ready, Ok(Ok(_)))
}
