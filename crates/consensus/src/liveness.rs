//! Heartbeats on their way to the leader, and the leader's duties towards leases.

pub(crate) use crate::vessel::Vessel;
use crate::{
    ending,
    forward::{Tried, Unavailable},
    gateway,
    gateway_keeper::GatewayKeeper,
    lease_keeper::Tick,
    options::{ANSWER_WITHIN, QUEUE_MAX, TICK, TRY_WITHIN},
    peer::{path, wire},
    proposer::Proposer,
    types::Raft,
};
use openraft::{Instant, ReadPolicy, ServerState, async_runtime::WatchReceiver};
use quorate_model::{
    Command, FeatureLevel, Heartbeat, HeartbeatOutcome, LeaseEvent, LeaseInfo, Lifecycle, NodeId, Status,
};
use quorate_rt::{shutdown::Shutdown, time};
use quorate_telemetry::{Control, events::LeasesHeld, label::HeartbeatResult};
use std::{sync::Arc, time::Duration};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

/// How long a worker that was away waits until the log says that it is back; then its node asks again.
const ACCEPT_WITHIN: Duration = Duration::from_millis(800);
/// Those who come back within this time share one entry.
const GATHER_RETURNS: Duration = Duration::from_millis(5);

/// A leader whose successor has not come by then goes on.
const TAKE_BACK_AFTER: Duration = Duration::from_secs(2);

const _: () =
    assert!(ACCEPT_WITHIN.as_millis() < TRY_WITHIN.as_millis(), "the leader answers before it is given up");

/// Most heartbeats in one message to the leader.
const BEATS_PER_CALL_MAX: usize = 1_000;
/// Calls with workers that were away, under way at once. When full: `Busy`, which clients see as 503.
const RETURNS_UNDER_WAY_MAX: usize = 64;

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
            let (result, why) = match e {
                // The worker beats again anyway.
                mpsc::error::TrySendError::Full(_) => (HeartbeatResult::Busy, Unavailable::Busy),
                mpsc::error::TrySendError::Closed(_) => {
                    (HeartbeatResult::Unavailable, Unavailable::ShuttingDown)
                }
            };
            self.control.count_heartbeats(result, count);
            why
        })?;
        match time::timeout(ANSWER_WITHIN, answered).await {
            Ok(answer) => answer.unwrap_or(Err(Unavailable::ShuttingDown)),
            // A heartbeat changes nothing that could be in doubt: the worker beats again.
            Err(_) => Err(Unavailable::NoLeader),
        }
    }
}

/// One batch of healthy workers at a time, so that what comes meanwhile shares the next one. Who was away waits for the
/// log, so those go by themselves: what holds one of them up must not hold up the healthy ones.
async fn gather(mut waiting: mpsc::Receiver<Waiting>, vessel: Vessel) {
    let (healthy_place, return_places) =
        (Arc::new(Semaphore::new(1)), Arc::new(Semaphore::new(RETURNS_UNDER_WAY_MAX)));
    while let Some(first) = waiting.recv().await {
        let mut batch = vec![first];
        let mut count = batch[0].beats.len();
        while count < BEATS_PER_CALL_MAX {
            let Ok(next) = waiting.try_recv() else { break };
            count += next.beats.len();
            batch.push(next);
        }
        let view = vessel.applied.view().get();
        let (healthy, returning): (Vec<_>, Vec<_>) =
            batch.into_iter().partition(|w| w.beats.iter().all(|beat| is_live(&view, beat)));
        match return_places.clone().try_acquire_owned() {
            _ if returning.is_empty() => {}
            Ok(place) => carry_apart(returning, vessel.clone(), place),
            Err(_) => turn_away(returning, &vessel),
        }
        if !healthy.is_empty() {
            let Ok(place) = healthy_place.clone().acquire_owned().await else { return };
            carry_apart(healthy, vessel.clone(), place);
        }
    }
}

fn is_live(view: &quorate_state::View, beat: &Heartbeat) -> bool {
    view.worker(beat.id.as_str()).is_some_and(|worker| worker.status() == Status::Live)
}

fn carry_apart(batch: Vec<Waiting>, vessel: Vessel, place: OwnedSemaphorePermit) {
    quorate_rt::spawn(async move {
        carry(batch, &vessel).await;
        drop(place);
    });
}

fn turn_away(batch: Vec<Waiting>, vessel: &Vessel) {
    for waiting in batch {
        vessel.applied.control().count_heartbeats(HeartbeatResult::Busy, waiting.beats.len() as u64);
        let _ = waiting.answer.send(Err(Unavailable::Busy));
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
    let here = |_| hear(beats, vessel.forwarder.id, vessel);
    vessel.forwarder.at_leader(deadline, here, (path::HEARTBEATS, &message), wire::decode_outcomes).await
}

/// What the leader makes of heartbeats that came in at the node `via`; not its place to say if it is not (or no
/// longer) the leader. Who was away is told that it lives only once the log says so: the next leader would expire it
/// otherwise. For a healthy worker nothing waits.
pub(crate) async fn hear(beats: &[Heartbeat], via: NodeId, vessel: &Vessel) -> Tried<Vec<HeartbeatOutcome>> {
    let mut rounds = vessel.rounds.subscribe();
    let Tried::Done(mut outcomes) = listen(beats, via, vessel) else { return Tried::NotLeader };
    let deadline = time::Instant::now() + ACCEPT_WITHIN;
    loop {
        match accept(beats, &mut outcomes, vessel) {
            None => return Tried::NotLeader,
            Some(0) => return Tried::Done(outcomes),
            Some(_) => vessel.returned.notify_one(),
        }
        let left = deadline.saturating_duration_since(time::Instant::now());
        if !matches!(time::timeout(left, rounds.changed()).await, Ok(Ok(()))) {
            return Tried::Unsure;
        }
    }
}

fn listen(beats: &[Heartbeat], via: NodeId, vessel: &Vessel) -> Tried<Vec<HeartbeatOutcome>> {
    if !speaks_for_quorum(&vessel.forwarder.raft, vessel.election) {
        return Tried::NotLeader;
    }
    let view = vessel.applied.view().get();
    let heard = vessel.applied.with_keeper(|keeper, now| {
        let outcome = |beat: &Heartbeat| match keeper.heartbeat(beat, via, now) {
            HeartbeatOutcome::Unknown if is_displaced(&view, beat) => HeartbeatOutcome::Displaced,
            other => other,
        };
        beats.iter().map(outcome).collect()
    });
    heard.map_or(Tried::NotLeader, Tried::Done)
}

/// Fills in the fencing tokens that stand; answers with how many workers still wait. `None`: no longer the leader.
fn accept(beats: &[Heartbeat], outcomes: &mut [HeartbeatOutcome], vessel: &Vessel) -> Option<usize> {
    let heard =
        beats.iter().zip(outcomes).filter(|(_, outcome)| matches!(outcome, HeartbeatOutcome::Ok { .. }));
    vessel.applied.with_keeper(|keeper, _| {
        let mut waiting = 0;
        for (beat, outcome) in heard {
            match keeper.accepts(&beat.id) {
                Some(epoch) => *outcome = HeartbeatOutcome::Ok { epoch },
                None if keeper.awaits(&beat.id) => waiting += 1,
                // Registered anew, or gone, since it was heard: what it was told by then stands.
                None => {}
            }
        }
        waiting
    })
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
    let (mut keeping, mut gateways): (Option<u64>, _) = (None, GatewayKeeper::default());
    loop {
        let looked = time::Instant::now();
        tokio::select! {
            biased;
            () = shutdown.wait() => {
                vessel.applied.stop_keeping();
                return;
            }
            () = gathered_returns(&vessel.returned) => {}
            () = time::sleep(TICK) => {}
        }
        // A leader that had no quorum, or whose process stood still, heard no heartbeats in the meantime: what it
        // remembers says nothing about its workers. It begins anew, as after an election.
        let paused = looked.elapsed() > TICK + vessel.election;
        let term = leading_term(&raft).filter(|_| !paused && speaks_for_quorum(&raft, vessel.election));
        if term != keeping || (term.is_some() && vessel.applied.with_keeper(|_, _| ()).is_none()) {
            vessel.applied.stop_keeping();
            vessel.rounds.send_modify(|round| *round += 1);
            LeasesHeld { count: 0 }.emit(vessel.applied.control());
            (keeping, gateways) = (None, GatewayKeeper::default());
            // Heartbeats are judged by the state, so everything of earlier terms must be in it first.
            if let Some(term) = term
                && caught_up(&raft).await
                && leading_term(&raft) == Some(term)
                && take_back(&vessel, &proposer, term).await
            {
                vessel.applied.start_keeping(term, vessel.election * 2);
                keeping = Some(term);
            }
            continue;
        }
        let proposed = if term.is_some() { duties(&vessel, &proposer, &mut gateways).await } else { Ok(()) };
        vessel.rounds.send_modify(|round| *round += 1);
        if proposed.is_err() {
            // Those who wait for it wake this loop at once: it must not turn without a pause.
            time::sleep(TICK).await;
        }
    }
}

/// Somebody came back; a moment later, so that those who come back together share one entry.
async fn gathered_returns(returned: &Notify) {
    returned.notified().await;
    time::sleep(GATHER_RETURNS).await;
}

/// What a leader does at each tick. Leases first: sandboxes end by the minute.
async fn duties(
    vessel: &Vessel,
    proposer: &Proposer,
    gateways: &mut GatewayKeeper,
) -> Result<(), Unavailable> {
    round(vessel, proposer).await?;
    gateway::round(vessel, proposer, gateways).await?;
    ending::round(vessel, proposer).await?;
    crate::ramps::round(vessel, proposer).await
}

/// One tick of the keeper: what it finds is proposed.
async fn round(vessel: &Vessel, proposer: &Proposer) -> Result<(), Unavailable> {
    let Some(tick) = vessel.applied.with_keeper(|keeper, now| keeper.tick(now)) else { return Ok(()) };
    let Tick { mut changes, mass, held } = tick;
    LeasesHeld { count: held }.emit(vessel.applied.control());
    let expiries = changes.iter().any(|change| change.event == LeaseEvent::Expired);
    // Where most are silent at once, the leader first proves that its followers hear it now.
    if mass && expiries && !caught_up(&vessel.forwarder.raft).await {
        changes.retain(|change| change.event != LeaseEvent::Expired);
    }
    if changes.is_empty() {
        return Ok(());
    }
    // An error means that the next tick proposes what still holds.
    proposer.propose_here(Command::ChangeLeases(changes)).await?;
    vessel.applied.with_keeper(|keeper, _| keeper.settle());
    Ok(())
}

/// The end of an orderly reign: hears nobody any more, and tells the successor who has been silent for how long, if
/// every member can read it. Whatever fails here, the successor begins with those workers anew.
pub(crate) async fn hand_over(vessel: &Vessel, proposer: &Proposer) {
    let raft = &vessel.forwarder.raft;
    let Some(term) = leading_term(raft) else { return };
    if vessel.applied.view().get().feature_level() < FeatureLevel::SECOND {
        return;
    }
    *vessel.handed() = Some((term, time::Instant::now()));
    let now = vessel.applied.now();
    let Some(keeper) = vessel.applied.stop_keeping() else { return };
    // Not tried twice: the successor does without it.
    let _ = proposer.propose_here(Command::HandOverLeases { term, silences: keeper.silences(now) }).await;
}

/// Whether this leader may hear heartbeats. Not while it hands over; and if nobody took over, what it has told its
/// successor is void from now on, which the log must say first.
async fn take_back(vessel: &Vessel, proposer: &Proposer, term: u64) -> bool {
    let handed = *vessel.handed();
    match handed {
        Some((said, at)) if said == term => {
            if at.elapsed() < TAKE_BACK_AFTER {
                return false;
            }
            let void = Command::HandOverLeases { term, silences: Vec::new() };
            if proposer.propose_here(void).await.is_err() {
                return false;
            }
            *vessel.handed() = None;
            true
        }
        Some(_) | None => true,
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
