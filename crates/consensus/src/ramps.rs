//! Ramps: their steps are begun by the leader, and so are the ends of those that lead to failures.
//!
//! A step begins as a sandbox ends ([`crate::ending`]): the leader proposes it once its clock is past it, naming the
//! ramp's epoch and the step, and each node applies it at one index. Requests are counted by each node and told to all
//! others once a second, outside of the log ([`RampTable`]); whoever leads adds them up. A leader that falls leaves
//! nothing undone: its successor has the state, and is told the counts by the others.

use crate::{
    consensus::{Consensus, Shared},
    forward::Unavailable,
    lease::Millis,
    liveness::Vessel,
    peer::{path, wire},
    proposer::Proposer,
    ramp_table::RampTable,
    telling::tell_all,
};
use quorate_model::{
    Command, ErrorsSeen, LogTime, NodeId, RampAdvance, RampCommand, RampCounted, RampErrors, RampSubject,
    limit,
};
use quorate_rt::{shutdown::Shutdown, time};
use quorate_state::View;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

/// Says what this node has counted of each step that stands, since it began.
pub type RampCounter = Arc<dyn Fn() -> Vec<RampCounted> + Send + Sync>;

/// How often nodes count, tell and judge.
const EVERY: Duration = Duration::from_secs(1);
const ANSWER_WITHIN: Duration = Duration::from_millis(500);
/// How long the connection is trusted: others wait on the same one.
const LINK_WITHIN: Duration = Duration::from_secs(5);
/// A peer that did not answer is told again after this long.
const LEFT_ALONE: Duration = Duration::from_secs(2);
/// Most ramps that one round stops; the next one stops the rest.
const STOPPED_MAX: usize = 16;

/// What this node knows of how ramps fare.
#[derive(Default)]
pub(crate) struct RampKeeper {
    table: Mutex<RampTable>,
    counter: OnceLock<RampCounter>,
}

impl RampKeeper {
    /// Another node tells.
    pub fn learn(&self, node: NodeId, counted: Vec<RampCounted>, now: Millis) {
        self.table().learn(node, counted, now);
    }

    fn table(&self) -> MutexGuard<'_, RampTable> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Consensus {
    /// From now on `counter` says what this node has counted. Once: a second one is not heard.
    pub fn count_ramps_by(&self, counter: RampCounter) {
        let _ = self.shared().ramps.counter.set(counter);
    }

    /// What all nodes together have counted of the step of a ramp that stands, within its window, as far as this node
    /// was told.
    pub fn ramp_seen(&self, subject: &RampSubject) -> Vec<ErrorsSeen> {
        let shared = self.shared();
        let Some(ramping) = shared.applied.view().get().ramp(subject).cloned() else { return Vec::new() };
        let step = (subject.clone(), ramping.state.epoch, ramping.state.entered);
        shared.ramps.table().total(shared.applied.now()).remove(&step).unwrap_or_default()
    }
}

/// One tick of the leader: steps whose time has come are proposed, as many as one command takes.
pub(crate) async fn round(vessel: &Vessel, proposer: &Proposer) -> Result<(), Unavailable> {
    let view = vessel.applied.view().get();
    let advances = over(&view);
    if advances.is_empty() {
        return Ok(());
    }
    // An error means that the next tick proposes what still holds.
    proposer.propose_here(Command::Ramp(RampCommand::Advance(advances))).await
}

fn over(view: &View) -> Vec<RampAdvance> {
    // Log time may be ahead of this leader's clock: another one's was.
    let now = view.now().max(LogTime(time::wall_ms()));
    let over = view.routes().ramps().over(now).chain(view.sandboxes().ramps().over(now));
    over.take(limit::RAMP_ADVANCES_MAX).collect()
}

/// Until when a peer is left alone.
#[derive(Clone, Copy, Default)]
struct Told {
    not_before: Option<time::Instant>,
}

/// Counts, tells and judges until the shutdown.
pub(crate) async fn run(consensus: Consensus, mut shutdown: Shutdown) {
    tokio::select! {
        biased;
        () = shutdown.wait() => {}
        () = watch(&consensus) => {}
    }
}

async fn watch(consensus: &Consensus) {
    let shared = consensus.shared();
    let (mut peers, mut has_told) = (BTreeMap::new(), false);
    loop {
        time::sleep(EVERY).await;
        count(shared);
        let own = shared.ramps.table().own();
        // Once more with nothing: what was told before is over, or a ramp that is resumed would stop by it again.
        if !own.is_empty() || has_told {
            has_told = !own.is_empty();
            let message = wire::encode_ramps(&own);
            tell_all(consensus, &mut peers, |peer, before| tell_one(shared, peer, &message, before)).await;
        }
        if shared.is_leader() {
            judge(shared).await;
        }
    }
}

fn count(shared: &Shared) {
    let view = shared.applied.view().get();
    let is_watched = view.routes().ramps().watched() + view.sandboxes().ramps().watched() > 0;
    let counted = match shared.ramps.counter.get() {
        // Once more, so that what was counted of the last one is forgotten.
        Some(counter) if is_watched || !shared.ramps.table().is_empty() => counter(),
        Some(_) | None => Vec::new(),
    };
    let window = |subject: &RampSubject| Some(Millis::from(view.ramp(subject)?.watch?.window_ms));
    shared.ramps.table().count(counted, window, shared.applied.now());
}

async fn tell_one(shared: &Shared, (id, address): (NodeId, String), message: &[u8], before: Told) -> Told {
    if before.not_before.is_some_and(|at| time::Instant::now() < at) {
        return before;
    }
    let call = shared.waiting.call(Some(id), &address, (path::RAMPS, message.to_vec()), LINK_WITHIN);
    let why = match time::timeout(ANSWER_WITHIN, call).await {
        Ok(Ok(_)) => return Told::default(),
        Ok(Err(why)) => why.to_string(),
        Err(_) => format!("no answer within {ANSWER_WITHIN:?}"),
    };
    tracing::debug!(peer = %address, why, "a peer was not told how ramps fare");
    Told { not_before: Some(time::Instant::now() + LEFT_ALONE) }
}

/// Stops the ramps that lead to too many failures.
async fn judge(shared: &Shared) {
    let view = shared.applied.view().get();
    let total = shared.ramps.table().total(shared.applied.now());
    let too_much = total.into_iter().filter_map(|((subject, epoch, entered), seen)| {
        let ramping = view.ramp(&subject)?;
        let is_this = (ramping.state.epoch, ramping.state.entered) == (epoch, entered);
        let on_errors = ramping.watch.filter(|_| is_this)?;
        let is_too_much = |seen: &ErrorsSeen| {
            let grows = ramping.growing.get(usize::from(seen.destination)) == Some(&true);
            grows && on_errors.is_too_much(seen.failures, seen.requests)
        };
        let seen = seen.into_iter().find(is_too_much)?;
        Some(RampErrors { subject, epoch, entered, seen })
    });
    for errors in too_much.take(STOPPED_MAX) {
        // An error means that the next round proposes what still holds.
        let proposed = shared.proposer.propose_here(Command::Ramp(RampCommand::Errors(errors))).await;
        if let Err(why) = proposed {
            tracing::debug!(%why, "a ramp that leads to failures was not stopped yet");
            return;
        }
    }
}
