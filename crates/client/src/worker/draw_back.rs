//! The end of a worker that fails no request: first no new ones (drain), then the old ones end, then the record goes.
//!
//! A worker that only unregisters ends while requests are on their way to it, chosen a moment before. A drain is
//! replicated, and a node that has applied it sends nothing new; so once each node has applied it *and* has nothing
//! under way, nobody needs the worker any more. Heartbeats go on all the while: a lease that ran out in the middle
//! would look like a death.
//!
//! A drain is an operator's word and outlives the registration. One that the worker itself has spoken must not
//! greet its next start, so it is taken back once the record is gone; one that an operator has spoken stays.

use super::{Wish, WorkerHandle};
use crate::{Error, backoff, nodes::Call, tasks};
use reqwest::Method;
use serde::Deserialize;
use serde_json::Value;
use std::time::Duration;
use tokio::sync::oneshot;

/// Routers that don't take the drain for so long are not waited for: the goodbye may still get through.
const ASKING_LIMIT: Duration = Duration::from_secs(10);
/// Between two looks at what is in flight.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Looks in a row at a node that can't tell; then it counts as gone, with its requests.
const SILENT_LOOKS: u32 = 15;
/// Taking the drain back takes at most this long.
const RESUME_LIMIT: Duration = Duration::from_secs(5);

/// How a worker drew back. In each case it is unregistered, as far as any router could be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DrawnBack {
    /// Drained: no node had a request for it under way any more.
    Idle,
    /// Drained, but requests were still under way when the time was over; `None`: nobody could count them.
    Busy {
        /// How many, when last heard.
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

/// What is known when the time is over.
struct Progress {
    told: DrawnBack,
    /// A drain was asked for by this worker, and may have been carried out.
    ours: bool,
}

/// The answer that is sought.
enum Drain {
    Done { index: u64 },
    Again(Error),
    No(DrawnBack),
}

#[derive(Deserialize)]
struct Record {
    #[serde(default)]
    lease: Option<u64>,
    #[serde(default)]
    duty: Option<String>,
    #[serde(default)]
    changed_index: u64,
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
        let why = "no router has answered in time".to_owned();
        let mut progress = Progress { told: DrawnBack::NotDrained { why }, ours: false };
        tasks::within(limit, self.drain_and_wait(&mut progress)).await;
        let (id, nodes) = (self.id.clone(), self.nodes.clone());
        self.stop().await;
        if progress.ours {
            let path = ["v1", "workers", &id, "resume"];
            let call = Call { method: Method::POST, path: &path, query: &[], body: None };
            let resumed = async {
                for failures in 1.. {
                    match nodes.call(&call).await {
                        // No record, no duty: nothing to take back.
                        Ok(_) | Err(Error::Refused(_)) => return,
                        Err(_) => tasks::sleep(backoff::delay(failures, tasks::random())).await,
                    }
                }
            };
            tasks::within(RESUME_LIMIT, resumed).await;
        }
        progress.told
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
            // An operator's word, which stays.
            Some("draining" | "offline") if !progress.ours => {
                return Drain::Done { index: record.changed_index };
            }
            Some(_) | None => {}
        }
        progress.ours = true;
        let path = ["v1", "workers", &self.id, "drain"];
        match self.ask::<Value>(Method::POST, &path, &[]).await {
            Ok(answer) => Drain::Done { index: answer["index"].as_u64().unwrap_or(record.changed_index) },
            Err(error) => not_now(error),
        }
    }

    async fn wait_until_idle(&self, index: u64, progress: &mut Progress) {
        let (path, index) = (["v1", "workers", &self.id, "in-flight"], index.to_string());
        let mut silent_looks = 0;
        loop {
            // Whoever can't answer now is asked again: the time is bounded by the caller.
            if let Ok(InFlight { nodes }) = self.ask(Method::GET, &path, &[("index", &index)]).await {
                let in_flight: u64 = nodes.iter().filter_map(|node| node.in_flight).sum();
                let all_tell = nodes.iter().all(|node| node.in_flight.is_some());
                silent_looks = if all_tell { 0 } else { silent_looks + 1 };
                if in_flight == 0 && (all_tell || silent_looks >= SILENT_LOOKS) {
                    progress.told = DrawnBack::Idle;
                    return;
                }
                progress.told = DrawnBack::Busy { in_flight: Some(in_flight) };
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
        let answer = self.nodes.call(&Call { method, path, query, body: None }).await?;
        T::deserialize(&answer.json)
            .map_err(|e| Error::Answer { node: answer.node.clone(), problem: e.to_string() })
    }
}

/// An older router has no such path: then there is nothing to wait for either.
fn not_now(error: Error) -> Drain {
    match &error {
        Error::Refused(problem) if problem.status < 500 && problem.status != 429 && problem.status != 412 => {
            Drain::No(DrawnBack::NotDrained { why: error.to_string() })
        }
        Error::Refused(_)
        | Error::Unreachable(_)
        | Error::Answer { .. }
        | Error::Invalid(_)
        | Error::Setup(_) => Drain::Again(error),
    }
}
