//! The loop that registers and heartbeats.
//!
//! Everything that it knows is in `self`, so a wish of the handle may cut off whatever it waits for: the next
//! round starts from what was known.

use super::{
    GOODBYE_LIMIT, WhenDisplaced, WhenResting, Wish, WorkerState,
    decide::{self, AfterHeartbeat, AfterRegister, Certainty},
};
use crate::{
    Error, backoff,
    delegate::{Due, Part, Way},
    nodes::{Answer, Call, Nodes},
    tasks,
};
use quorate_api::duration;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::{sync::Arc, time::Duration};
use tokio::sync::{mpsc, oneshot, watch};

/// What the cluster granted.
#[derive(Clone, Copy, Debug)]
struct Lease {
    id: u64,
    epoch: u64,
    interval: Duration,
    /// Of the last heartbeat; each one sent has a larger number.
    sequence: u64,
}

/// What to do next.
#[derive(Clone, Copy, Debug)]
enum Phase {
    /// Ask to be registered, after this many failures in a row. Until that is answered an older registration of
    /// ours may stand.
    Register { failures: u32, held: Option<Lease> },
    /// Heartbeat, after this many failures in a row.
    Keep { lease: Lease, failures: u32, wish: Wished },
    /// Nothing, until somebody wishes something else. A lease that is still ours is given back at the end.
    Rest,
}

/// Whether what is registered is what was wished for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wished {
    Granted,
    /// A change was refused. What was registered before is kept alive, and the change is tried again with each
    /// heartbeat: one bad service must not end a worker whose others are well.
    Refused,
}

type Verdict = oneshot::Sender<Result<(), Error>>;

pub(super) struct Session {
    nodes: Arc<Nodes>,
    id: String,
    body: Map<String, Value>,
    when_displaced: WhenDisplaced,
    state: watch::Sender<WorkerState>,
    phase: Phase,
    certainty: Certainty,
    part: Part,
}

/// The parts of the answer to a registration that a worker needs.
#[derive(Deserialize)]
struct Granted {
    lease: GrantedLease,
}

#[derive(Deserialize)]
struct GrantedLease {
    id: u64,
    #[serde(default)]
    epoch: Option<u64>,
    heartbeat_interval: String,
}

/// Shortest and longest pause between heartbeats that a router may ask for.
const INTERVAL_MIN: Duration = Duration::from_millis(10);
const INTERVAL_MAX: Duration = Duration::from_secs(12 * 3_600);

impl Session {
    pub fn new(
        nodes: Arc<Nodes>,
        id: String,
        body: Map<String, Value>,
        when_displaced: WhenDisplaced,
        (state, part): (watch::Sender<WorkerState>, Part),
    ) -> Self {
        let (phase, certainty) = (Phase::Register { failures: 0, held: None }, Certainty::Certain);
        Self { nodes, id, body, when_displaced, state, phase, certainty, part }
    }

    /// Runs until somebody wishes it to stop, or nobody can any more. `verdict` is told how the first attempt to
    /// register went.
    pub async fn run(mut self, mut wishes: mpsc::Receiver<Wish>, verdict: Verdict) {
        let mut verdict = Some(verdict);
        let stopped = loop {
            let wish = tokio::select! {
                biased;
                wish = wishes.recv() => wish,
                () = self.live(&mut verdict) => continue,
            };
            match wish {
                Some(Wish::Change(fields, when_resting)) => self.change(fields, when_resting),
                // Nobody waits any more: nobody needs to be told.
                Some(Wish::Lease(asked)) => drop(asked.send(self.lease().map(|lease| lease.id))),
                Some(Wish::Stop(done)) => break Some(done),
                None => break None,
            }
        };
        let goodbye = tasks::within(GOODBYE_LIMIT, self.goodbye()).await.flatten();
        self.state.send_replace(WorkerState::Stopped);
        if let Some(done) = stopped {
            // Nobody waits any more: nobody needs to be told.
            let _ = done.send(goodbye);
        }
    }

    fn change(&mut self, fields: Map<String, Value>, when_resting: WhenResting) {
        self.body.extend(fields);
        if !matches!((self.phase, when_resting), (Phase::Rest, WhenResting::GoOn)) {
            self.phase = Phase::Register { failures: 0, held: self.lease() };
        }
    }

    /// The lease that is ours, as far as is known.
    fn lease(&self) -> Option<Lease> {
        match self.phase {
            Phase::Keep { lease, .. } => Some(lease),
            Phase::Register { held, .. } => held,
            Phase::Rest => None,
        }
    }

    /// One step.
    async fn live(&mut self, verdict: &mut Option<Verdict>) {
        match self.phase {
            Phase::Register { failures, held } => {
                if failures > 0 {
                    tasks::sleep(backoff::delay(failures, tasks::random())).await;
                }
                let result = self.register(failures, held).await;
                if let Some(verdict) = verdict.take() {
                    // The caller of `start` may have gone.
                    let _ = verdict.send(result);
                }
            }
            Phase::Keep { lease, failures, wish } => {
                let pause = match failures {
                    // As it is: the routers drew it for this worker, or its delegate would have it sooner.
                    0 => self.part.pause().unwrap_or(lease.interval),
                    n => backoff::delay(n, tasks::random()).min(lease.interval),
                };
                tasks::sleep(pause).await;
                self.keep(lease, failures, wish).await;
            }
            Phase::Rest => std::future::pending().await,
        }
    }

    /// `Err`: the cluster refuses. That nobody answers is no error: the next attempt follows.
    async fn register(&mut self, failures: u32, held: Option<Lease>) -> Result<(), Error> {
        // Set before anything is sent, so that it also holds if this future is cut off.
        let before = std::mem::replace(&mut self.certainty, Certainty::OwnMayBeNewer);
        let path = ["v1", "workers", &self.id];
        let body = Value::Object(self.body.clone());
        let call = Call { method: Method::PUT, path: &path, query: &[], body: Some(&body), if_match: None };
        let (answer, doubt) = self.nodes.call_and_doubt(&call).await;
        // A doubt about an earlier attempt does not end because a later one was answered: the network may still
        // deliver the earlier one last.
        self.certainty = before.max(doubt.into());
        match answer.and_then(|answer| Ok((granted(&answer)?, answer))) {
            Ok((lease, answer)) => {
                self.part.begins();
                self.part.told(&answer.json, lease.interval);
                self.phase = Phase::Keep { lease, failures: 0, wish: Wished::Granted };
                self.tell(WorkerState::Registered { epoch: lease.epoch });
                Ok(())
            }
            Err(error) => self.not_registered(error, failures.saturating_add(1), held),
        }
    }

    fn not_registered(&mut self, error: Error, failures: u32, held: Option<Lease>) -> Result<(), Error> {
        self.phase = Phase::Register { failures, held };
        match decide::after_failed_register(&error) {
            AfterRegister::AskAgain => {
                self.tell(WorkerState::Reconnecting);
                Ok(())
            }
            AfterRegister::Refused => {
                if let Some(lease) = held {
                    self.phase = Phase::Keep { lease, failures: 0, wish: Wished::Refused };
                }
                let code = error.problem().map(|problem| problem.code.clone()).unwrap_or_default();
                self.tell(WorkerState::Refused { code, detail: error.to_string() });
                Err(error)
            }
        }
    }

    /// One heartbeat. A delegate is only asked by a worker of which nothing is in doubt, and what it does not pass on
    /// is sent to the routers at once.
    async fn keep(&mut self, lease: Lease, failures: u32, wish: Wished) {
        let in_doubt = failures > 0 || wish == Wished::Refused || self.certainty != Certainty::Certain;
        let way = if in_doubt { Way::Direct } else { self.part.next() };
        let passed = way != Way::Direct && self.by_delegate(lease).await;
        if !passed {
            self.part.goes_direct();
        } else if way == Way::Delegate {
            return;
        }
        self.heartbeat(self.lease().unwrap_or(lease), failures, wish).await;
        // It was heard by way of its delegate: that the routers can't be reached from here costs nothing.
        if let Phase::Keep { lease, failures: 1.., wish } = self.phase
            && passed
        {
            self.part.unheard();
            self.phase = Phase::Keep { lease, failures: 0, wish };
            self.tell(WorkerState::Registered { epoch: lease.epoch });
        }
    }

    async fn by_delegate(&mut self, mut lease: Lease) -> bool {
        lease.sequence += 1;
        self.phase = Phase::Keep { lease, failures: 0, wish: Wished::Granted };
        let due = Due { lease: lease.id, sequence: lease.sequence, interval: lease.interval };
        self.part.by_delegate(due).await
    }

    async fn heartbeat(&mut self, mut lease: Lease, failures: u32, wish: Wished) {
        lease.sequence += 1;
        // A number that was sent is used up, whether or not the answer is awaited.
        self.phase = Phase::Keep { lease, failures, wish };
        let body = json!({"lease": lease.id, "sequence": lease.sequence});
        let path = ["v1", "workers", &self.id, "heartbeat"];
        let call = Call { method: Method::POST, path: &path, query: &[], body: Some(&body), if_match: None };
        let answer = self.nodes.call(&call).await;
        let said = answer.as_ref().map(|_| ());
        match decide::after_heartbeat(said, self.when_displaced, self.certainty) {
            AfterHeartbeat::Alive => {
                // Ours is the newest registration, an interval after it was sent: no lost one comes any more.
                self.certainty = Certainty::Certain;
                // A revival after an expiry comes with a new fencing token.
                if let Ok(answer) = &answer {
                    let stands = epoch(answer).unwrap_or(lease.epoch);
                    if stands != lease.epoch {
                        self.part.revived();
                    }
                    lease.epoch = stands;
                    self.part.told(&answer.json, lease.interval);
                }
                self.phase = match wish {
                    Wished::Refused => Phase::Register { failures: 0, held: Some(lease) },
                    Wished::Granted => {
                        self.tell(WorkerState::Registered { epoch: lease.epoch });
                        Phase::Keep { lease, failures: 0, wish }
                    }
                };
            }
            AfterHeartbeat::AskAgain => {
                self.phase = Phase::Keep { lease, failures: failures.saturating_add(1), wish };
                self.tell(WorkerState::Reconnecting);
            }
            AfterHeartbeat::Register => {
                // What stood until now is known, whoever it was; only what is sent from now on is in doubt.
                self.certainty = Certainty::Certain;
                self.phase = Phase::Register { failures: 0, held: None };
                self.tell(WorkerState::Reconnecting);
            }
            AfterHeartbeat::Displaced => self.rest(WorkerState::Displaced),
            AfterHeartbeat::Superseded => self.rest(WorkerState::Superseded),
        }
    }

    fn rest(&mut self, state: WorkerState) {
        self.phase = Phase::Rest;
        self.tell(state);
    }

    fn tell(&self, state: WorkerState) {
        self.state.send_if_modified(|known| {
            let changed = *known != state;
            *known = state;
            changed
        });
    }

    /// Unregisters, where there may be something of ours to unregister. What comes back is of no use to anybody:
    /// an unknown worker is as good as an unregistered one, and a lease that could not be given back runs out. The log
    /// index of the goodbye, where a router has confirmed it.
    async fn goodbye(&mut self) -> Option<u64> {
        let lease = match (self.phase, self.lease()) {
            (Phase::Register { .. }, _) if self.certainty == Certainty::OwnMayBeNewer => None,
            (_, Some(lease)) => Some(lease.id.to_string()),
            (_, None) => return None,
        };
        let query: Vec<_> = lease.iter().map(|id| ("lease", id.as_str())).collect();
        let path = ["v1", "workers", &self.id];
        let call = Call { method: Method::DELETE, path: &path, query: &query, body: None, if_match: None };
        self.nodes.call(&call).await.ok()?.json["index"].as_u64()
    }
}

fn granted(answer: &Answer) -> Result<Lease, Error> {
    let wrong = |problem: String| Error::Answer { node: answer.node.clone(), problem };
    let granted = Granted::deserialize(&answer.json).map_err(|e| wrong(e.to_string()))?;
    let GrantedLease { id, epoch, heartbeat_interval } = granted.lease;
    let interval = duration::parse(&heartbeat_interval)
        .ok_or_else(|| wrong(format!("heartbeat_interval is `{heartbeat_interval}`")))?;
    let interval = interval.clamp(INTERVAL_MIN, INTERVAL_MAX);
    Ok(Lease { id, epoch: epoch.unwrap_or(id), interval, sequence: 0 })
}

/// The fencing token that a heartbeat's answer names, if it does.
fn epoch(answer: &Answer) -> Option<u64> {
    answer.json.get("epoch").or_else(|| answer.json.get("lease")?.get("epoch"))?.as_u64()
}
