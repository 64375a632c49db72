//! A drain that a worker has asked for by itself, taken back: at its end, or at its next start after a kill.
//!
//! Only the state that was seen is changed: what an operator decides in the same moment stands.

use super::WorkerHandle;
use crate::{
    Error, backoff,
    nodes::{Call, Nodes},
    tasks,
};
use reqwest::Method;
use serde::Deserialize;

/// What a router tells of a worker.
#[derive(Deserialize)]
pub(super) struct Record {
    #[serde(default)]
    pub lease: Option<u64>,
    #[serde(default)]
    pub duty: Option<String>,
    #[serde(default)]
    pub changed_index: Option<u64>,
}

/// Whether the cluster lets a worker have requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duty {
    /// It gets requests. So does a worker of routers that know no duty.
    InService,
    /// It gets no new ones.
    Draining,
    /// It gets none.
    Offline,
}

impl Duty {
    fn of(record: &Record) -> Self {
        match record.duty.as_deref() {
            Some("draining") => Self::Draining,
            Some("offline") => Self::Offline,
            Some(_) | None => Self::InService,
        }
    }
}

/// How taking a drain back has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resumed {
    /// The drain does not stand any more.
    Done,
    /// Somebody else has decided meanwhile, or no router takes it: nobody knows whether it stands.
    Unknown,
}

impl WorkerHandle {
    /// Whether the cluster lets this worker have requests.
    pub async fn duty(&self) -> Result<Duty, Error> {
        record(&self.nodes, &self.id, &[("consistent", "true")]).await.map(|record| Duty::of(&record))
    }

    /// Takes a drain back that an earlier life of this worker has left behind. What stands then: an operator's
    /// `offline` is left alone.
    pub async fn take_drain_back(&self) -> Result<Duty, Error> {
        let record = record(&self.nodes, &self.id, &[("consistent", "true")]).await?;
        if Duty::of(&record) != Duty::Draining {
            return Ok(Duty::of(&record));
        }
        resume(&self.nodes, &self.id, record.changed_index).await.map(|()| Duty::InService)
    }
}

/// Takes the drain of a worker back that has said goodbye at `index`; `None`: nobody has confirmed the goodbye.
pub(super) async fn until_decided(nodes: &Nodes, id: &str, index: Option<u64>) -> Resumed {
    for failures in 1.. {
        match resume(nodes, id, index).await {
            Ok(()) => return Resumed::Done,
            // No record, no duty: there is nothing to take back, as for a router that knows no drain.
            Err(Error::Refused(problem)) if problem.status == 404 => return Resumed::Done,
            Err(error) if is_final(&error) => return Resumed::Unknown,
            Err(Error::Refused(problem)) if problem.status == 412 => return again(nodes, id).await,
            Err(_) => tasks::sleep(backoff::delay(failures, tasks::random())).await,
        }
    }
    Resumed::Unknown
}

/// The record has changed since the goodbye: an operator has decided, or the worker's next life is there already and
/// has inherited the drain.
async fn again(nodes: &Nodes, id: &str) -> Resumed {
    for failures in 1.. {
        let seen = record(nodes, id, &[]).await;
        let result = match seen {
            Ok(record) if Duty::of(&record) == Duty::Draining => {
                resume(nodes, id, record.changed_index).await
            }
            Ok(_) => return Resumed::Done,
            Err(error) => Err(error),
        };
        match result {
            Ok(()) => return Resumed::Done,
            Err(error) if is_final(&error) => return Resumed::Unknown,
            Err(_) => tasks::sleep(backoff::delay(failures, tasks::random())).await,
        }
    }
    Resumed::Unknown
}

async fn resume(nodes: &Nodes, id: &str, if_match: Option<u64>) -> Result<(), Error> {
    let path = ["v1", "workers", id, "resume"];
    let call = Call { method: Method::POST, path: &path, query: &[], body: None, if_match };
    nodes.call(&call).await.map(drop)
}

pub(super) async fn record(nodes: &Nodes, id: &str, query: &[(&str, &str)]) -> Result<Record, Error> {
    let path = ["v1", "workers", id];
    let call = Call { method: Method::GET, path: &path, query, body: None, if_match: None };
    let answer = nodes.call(&call).await?;
    Record::deserialize(&answer.json).map_err(|e| Error::Answer { node: answer.node, problem: e.to_string() })
}

/// Whether asking again is of no use. A redirect, a node that is busy or without a leader, and a record that has
/// changed meanwhile are not final.
pub(super) fn is_final(error: &Error) -> bool {
    error
        .problem()
        .is_some_and(|problem| (400..500).contains(&problem.status) && !matches!(problem.status, 412 | 429))
}
