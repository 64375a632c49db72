//! The role: heartbeats are gathered, passed on in one call, and answered by what the routers have said to it.
//!
//! The first heartbeat after a call opens a window of a tenth of the group's interval; what comes until it closes goes
//! with it. Everybody is answered when the delegate itself will beat next, so from their second heartbeat on all members
//! come in one window, and a group costs one call for each interval.

use super::{
    DelegateOffer, WhenSilent,
    beat::{Beat, Declined, Passed},
    call::{Batch, OnBehalf},
    proof::Prover,
    roster::{Moment, Roster},
};
use crate::{
    nodes::{Call, Nodes},
    tasks,
};
use quorate_api::heartbeat::BATCH_MAX;
use reqwest::Method;
use serde_json::json;
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

/// No window is longer.
const WINDOW_MAX: Duration = Duration::from_millis(500);
/// No router is waited for longer, nor shorter.
const ATTEMPT: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// A member that waits for its answer.
pub(super) struct Waiting {
    pub worker: String,
    pub done: oneshot::Sender<Result<(), Declined>>,
}

/// From the moment when the role is known to be here until it is known not to be.
struct Reign {
    epoch: u64,
    roster: Roster,
    /// When the delegate itself beats next.
    next_call: Moment,
    beats: mpsc::Sender<Waiting>,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Reign {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

#[derive(Default)]
struct Standing {
    reign: Option<Reign>,
    /// The newest epoch that was ours.
    newest: u64,
}

/// Where members are heard, with the role or without.
pub(super) struct Desk {
    id: String,
    nodes: Arc<Nodes>,
    prover: Prover,
    when_silent: WhenSilent,
    standing: Mutex<Standing>,
}

impl Desk {
    pub fn new(id: &str, nodes: Arc<Nodes>, prover: Prover, offer: &DelegateOffer) -> Self {
        let DelegateOffer { when_silent, .. } = *offer;
        Self { id: id.into(), nodes, prover, when_silent, standing: Mutex::default() }
    }

    /// Routers say that the role is here.
    pub fn assume(self: &Arc<Self>, epoch: u64, own_interval: Duration) {
        let mut standing = self.standing();
        if epoch <= standing.newest {
            return;
        }
        let (beats, waiting) = mpsc::channel(BATCH_MAX);
        let limits = Limits::of(own_interval);
        let nodes = self.nodes.with_limit(limits.attempt);
        let mut tasks = vec![tasks::spawn(self.clone().gather(epoch, waiting, nodes, limits))];
        if self.when_silent == WhenSilent::Report {
            tasks.push(tasks::spawn(self.clone().watch(epoch)));
        }
        let roster = Roster::of(own_interval);
        *standing = Standing {
            reign: Some(Reign { epoch, roster, next_call: tasks::now(), beats, tasks }),
            newest: epoch,
        };
    }

    /// The role of this epoch, or of an older one, is not here any more. Whoever waits is told so.
    pub fn resign(&self, epoch: u64) {
        let mut standing = self.standing();
        if standing.reign.as_ref().is_some_and(|reign| reign.epoch <= epoch) {
            standing.reign = None;
        }
    }

    /// A member's heartbeat, answered once the routers have taken it.
    pub async fn take(&self, beat: &Beat) -> Result<Passed, Declined> {
        if !beat.is_proven(&self.prover) {
            return Err(Declined::Unproven);
        }
        let again_in = self.pass_on(beat).await?;
        Ok(beat.passed(u64::try_from(again_in.as_millis()).unwrap_or(u64::MAX), &self.prover))
    }

    /// The delegate's own heartbeat; when the next one is due.
    pub async fn take_own(&self, beat: &Beat) -> Result<Duration, Declined> {
        if let Some(reign) = &mut self.standing().reign {
            let now = tasks::now();
            reign.next_call = now + reign.roster.period(now);
        }
        self.pass_on(beat).await
    }

    async fn pass_on(&self, beat: &Beat) -> Result<Duration, Declined> {
        let (done, outcome) = oneshot::channel();
        self.enqueue(beat, Waiting { worker: beat.worker.clone(), done })?;
        // An error: the reign ended meanwhile.
        outcome.await.unwrap_or(Err(Declined::Stale))?;
        let now = tasks::now();
        let standing = self.standing();
        let Some(reign) = &standing.reign else { return Ok(Duration::from_millis(beat.interval_ms)) };
        let left = reign.next_call.saturating_sub(now);
        Ok(if left.is_zero() { reign.roster.period(now) } else { left })
    }

    fn enqueue(&self, beat: &Beat, waiting: Waiting) -> Result<(), Declined> {
        let mut standing = self.standing();
        let known = standing.newest;
        match &mut standing.reign {
            Some(reign) if reign.epoch == beat.epoch => {
                reign.roster.admit(beat, tasks::now())?;
                reign.beats.try_send(waiting).map_err(|_| Declined::Full)
            }
            Some(_) | None if beat.epoch <= known => Err(Declined::Stale),
            Some(_) | None => Err(Declined::NotYet),
        }
    }

    /// One call after the other, for as long as the reign lasts.
    async fn gather(
        self: Arc<Self>,
        epoch: u64,
        mut beats: mpsc::Receiver<Waiting>,
        nodes: Nodes,
        limits: Limits,
    ) {
        let on_behalf = OnBehalf { delegate: &self.id, epoch };
        let mut was_full = false;
        while let Some(first) = beats.recv().await {
            // Those for whom the last call had no room have waited for a window already.
            if !was_full {
                tasks::sleep(self.window()).await;
            }
            let mut batch = Batch::default();
            batch.push(first);
            while batch.has_room()
                && let Ok(waiting) = beats.try_recv()
            {
                batch.push(waiting);
            }
            was_full = !batch.has_room();
            let batch = batch.still_waiting();
            if batch.is_empty() {
                continue;
            }
            let said = tasks::within(limits.call, on_behalf.call(&batch, &nodes)).await;
            let said = said.unwrap_or(Err(Declined::CutOff));
            for Waiting { worker, done } in batch {
                let outcome = match &said {
                    Ok(ok) if ok.contains(&worker) => Ok(()),
                    Ok(_) => Err(Declined::NotTaken),
                    Err(declined) => Err(*declined),
                };
                // It has gone meanwhile, and finds out by itself.
                let _ = done.send(outcome);
            }
            if said.is_err_and(|declined| declined == Declined::Stale) {
                return self.resign(epoch);
            }
        }
    }

    /// Tells the routers whose heartbeats have stopped. They look themselves; what comes of it is theirs.
    async fn watch(self: Arc<Self>, epoch: u64) {
        loop {
            tasks::sleep(self.period() / 4).await;
            let silent = match &mut self.standing().reign {
                Some(reign) => reign.roster.fell_silent(tasks::now()),
                None => Vec::new(),
            };
            for worker in silent.iter().filter(|worker| **worker != self.id) {
                let body = json!({"by": self.id, "epoch": epoch, "reason": "its heartbeats have stopped"});
                let path = ["v1", "workers", worker, "report-down"];
                let call =
                    Call { method: Method::POST, path: &path, query: &[], body: Some(&body), if_match: None };
                // A report that is not taken costs the wait for the lease's end.
                let _ = self.nodes.call(&call).await;
            }
        }
    }

    fn window(&self) -> Duration {
        (self.period() / 10).min(WINDOW_MAX)
    }

    fn period(&self) -> Duration {
        let period = |reign: &Reign| reign.roster.period(tasks::now());
        self.standing().reign.as_ref().map_or(WINDOW_MAX, period)
    }

    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long the routers may take: window and call together leave something of the third of an interval for which
/// members wait, and a router that hangs leaves time for the next one.
#[derive(Clone, Copy, Debug)]
struct Limits {
    attempt: Duration,
    call: Duration,
}

impl Limits {
    fn of(interval: Duration) -> Self {
        let (least, most) = ATTEMPT;
        let attempt = (interval / 8).clamp(least, most);
        Self { attempt, call: attempt.mul_f64(1.6) }
    }
}
