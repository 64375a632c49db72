//! The end of a worker that fails no request: first no new ones (drain), then the old ones end, then the record goes.
//!
//! A worker that only unregisters ends while requests are on their way to it, chosen a moment before. A drain is
//! replicated, and a node that has applied it sends nothing new; so once each node has applied it *and* has nothing
//! under way, nobody needs the worker any more. Heartbeats go on all the while: a lease that ran out in the middle
//! would look like a death.
//!
//! A drain is an operator's word and outlives the registration. One that the worker itself has spoken must not
//! greet its next start, so it is taken back once the record is gone; one that an operator has spoken stays, also one
//! that was spoken meanwhile. Where the process is killed in between, only a mark that it has left behind tells the two
//! apart: whoever wants to leave one is told when ([`OwnDrain`]).

use super::{
    Wish, WorkerHandle,
    resume::{self, Record, Resumed, is_final},
};
use crate::{Error, backoff, nodes::Call, tasks};
use reqwest::Method;
use serde::Deserialize;
use std::time::Duration;
use tokio::sync::oneshot;

/// Routers that don't take the drain for so long are not waited for: the goodbye may still get through.
const ASKING_LIMIT: Duration = Duration::from_secs(10);
/// Between two looks at what is in flight.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Whether the drain is still its own is asked for at most so long.
const OWNER_LIMIT: Duration = Duration::from_secs(2);
/// Taking the drain back takes at most this long.
const RESUME_LIMIT: Duration = Duration::from_secs(5);

/// How a worker drew back. In each case it is unregistered, as far as any router could be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DrawnBack {
    /// Drained: no node had a request for it under way any more.
    Idle,
    /// Drained, but requests were, or may have been, under way when the time was over.
    Busy {
        /// How many were told, when last heard; `None`: none, and not every node could tell.
        in_flight: Option<u64>,
    },
    /// Not drained, because the routers don't know how, or could not.
    NotDrained {
        /// Why.
        why: String,
    },
    /// There was nothing to drain: no lease was held.
    NotRegistered,
}

/// What becomes of a drain that a worker asks for by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnDrain {
    /// It is asked for now.
    Begins,
    /// It does not stand any more: it was taken back, or an operator has decided otherwise.
    IsOver,
}

/// What is known when the time is over.
struct Progress {
    told: DrawnBack,
    /// A drain was asked for by this worker, and may have been carried out.
    ours: bool,
    mark: Box<dyn FnMut(OwnDrain) + Send>,
}

impl Progress {
    fn begins(&mut self) {
        if !std::mem::replace(&mut self.ours, true) {
            (self.mark)(OwnDrain::Begins);
        }
    }

    fn is_over(&mut self) {
        if std::mem::take(&mut self.ours) {
            (self.mark)(OwnDrain::IsOver);
        }
    }
}

/// The answer that is sought.
enum Drain {
    Done { index: u64 },
    Again(Error),
    No(DrawnBack),
}

#[derive(Deserialize)]
struct InFlight {
    nodes: Vec<OfNode>,
}

#[derive(Deserialize)]
struct OfNode {
    #[serde(default)]
    in_flight: Option<u64>,
}

impl WorkerHandle {
    /// Drains, waits until no request is in flight on any node, for at most `limit`, and unregisters.
    pub async fn draw_back(self, limit: Duration) -> DrawnBack {
        self.draw_back_marked(limit, |_| {}).await
    }

    /// The same; `mark` is told before the drain is asked for, and once it does not stand any more. A process that is
    /// killed in between has left its worker drained: [`WorkerHandle::take_drain_back`] is for its next start.
    pub async fn draw_back_marked(
        self,
        limit: Duration,
        mark: impl FnMut(OwnDrain) + Send + 'static,
    ) -> DrawnBack {
        let why = "no router has answered in time".to_owned();
        let told = DrawnBack::NotDrained { why };
        let mut progress = Progress { told, ours: false, mark: Box::new(mark) };
        tasks::within(limit, self.drain_and_wait(&mut progress)).await;
        if progress.ours {
            tasks::within(OWNER_LIMIT, self.leave_to_operators(&mut progress)).await;
        }
        let (id, nodes) = (self.id.clone(), self.nodes.clone());
        let goodbye = self.say_goodbye().await;
        if progress.ours {
            let resumed = tasks::within(RESUME_LIMIT, resume::until_decided(&nodes, &id, goodbye)).await;
            if resumed == Some(Resumed::Done) {
                progress.is_over();
            }
        }
        progress.told
    }

    /// An operator who has decided otherwise meanwhile shall not be overruled.
    async fn leave_to_operators(&self, progress: &mut Progress) {
        // Who can't be asked decides nothing.
        if let Ok(record) = resume::record(&self.nodes, &self.id, &[]).await
            && record.duty.as_deref() != Some("draining")
        {
            progress.is_over();
        }
    }

    async fn drain_and_wait(&self, progress: &mut Progress) {
        let index = match tasks::within(ASKING_LIMIT, self.drain(progress)).await {
            Some(Ok(index)) => index,
            Some(Err(told)) => {
                progress.told = told;
                return;
            }
            None => return,
        };
        progress.told = DrawnBack::Busy { in_flight: None };
        self.wait_until_idle(index, progress).await;
    }

    async fn lease(&self) -> Option<u64> {
        let (asked, answer) = oneshot::channel();
        self.wish(Wish::Lease(asked)).await;
        answer.await.ok().flatten()
    }

    /// Until somebody could say yes or no; the log index of the drain.
    async fn drain(&self, progress: &mut Progress) -> Result<u64, DrawnBack> {
        for failures in 1.. {
            // Asked each time: a lease may be lost and granted anew meanwhile.
            let Some(lease) = self.lease().await else { return Err(DrawnBack::NotRegistered) };
            match self.ask_to_drain(lease, progress).await {
                Drain::Done { index } => return Ok(index),
                Drain::No(told) => return Err(told),
                Drain::Again(error) => progress.told = DrawnBack::NotDrained { why: error.to_string() },
            }
            tasks::sleep(backoff::delay(failures, tasks::random())).await;
        }
        Err(progress.told.clone())
    }

    async fn ask_to_drain(&self, lease: u64, progress: &mut Progress) -> Drain {
        let path = ["v1", "workers", &self.id];
        let record = match self.ask::<Record>(Method::GET, &path, &[]).await {
            Ok(record) => record,
            Err(error) => return not_now(error),
        };
        match record.duty.as_deref() {
            // Somebody else's registration stands under this id; it is not ours to drain.
            _ if record.lease.is_some_and(|stands| stands != lease) => {
                return Drain::No(DrawnBack::NotRegistered);
            }
            // Its own, whose answer was lost, or an operator's word, which stays.
            Some("draining") => return Drain::Done { index: record.changed_index.unwrap_or_default() },
            Some("offline") => {
                progress.is_over();
                return Drain::Done { index: record.changed_index.unwrap_or_default() };
            }
            Some(_) | None => {}
        }
        progress.begins();
        let path = ["v1", "workers", &self.id, "drain"];
        // Only as it was seen: an operator may take it offline just now.
        let if_match = record.changed_index;
        let call = Call { method: Method::POST, path: &path, query: &[], body: None, if_match };
        match self.nodes.call(&call).await {
            Ok(answer) => {
                let index = answer.json["index"].as_u64().or(record.changed_index);
                Drain::Done { index: index.unwrap_or_default() }
            }
            Err(error) => not_now(error),
        }
    }

    async fn wait_until_idle(&self, index: u64, progress: &mut Progress) {
        let (path, index) = (["v1", "workers", &self.id, "in-flight"], index.to_string());
        loop {
            match self.ask::<InFlight>(Method::GET, &path, &[("index", &index)]).await {
                Ok(InFlight { nodes }) => {
                    let in_flight: u64 = nodes.iter().filter_map(|node| node.in_flight).sum();
                    // A node that can't be asked may be cut off only, and go on sending.
                    let all_tell = !nodes.is_empty() && nodes.iter().all(|node| node.in_flight.is_some());
                    if in_flight == 0 && all_tell {
                        progress.told = DrawnBack::Idle;
                        return;
                    }
                    progress.told = DrawnBack::Busy { in_flight: Some(in_flight).filter(|count| *count > 0) };
                }
                Err(error) if error.is_unknown_worker() => {
                    progress.told = DrawnBack::Idle;
                    return;
                }
                // Whoever can't answer now is asked again: the time is bounded by the caller.
                Err(_) => {}
            }
            tasks::sleep(LOOK_EVERY).await;
        }
    }

    async fn ask<T: for<'a> Deserialize<'a>>(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<T, Error> {
        let answer = self.nodes.call(&Call { method, path, query, body: None, if_match: None }).await?;
        T::deserialize(&answer.json)
            .map_err(|e| Error::Answer { node: answer.node.clone(), problem: e.to_string() })
    }
}

/// An older router has no such path: then there is nothing to wait for either.
fn not_now(error: Error) -> Drain {
    match is_final(&error) {
        true => Drain::No(DrawnBack::NotDrained { why: error.to_string() }),
        false => Drain::Again(error),
    }
}
