//! One call on behalf: how much goes into it, and who spoils it where the routers refuse it.

use super::{beat::Declined, desk::Waiting};
use crate::{
    Error, Problem,
    nodes::{Call, Nodes},
};
use quorate_api::heartbeat::BATCH_MAX;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// A body is closed at about so many bytes: half of what the routers read.
const BODY_BYTES: usize = 512 << 10;

/// Those who go in one call.
#[derive(Default)]
pub(super) struct Batch {
    waiting: Vec<Waiting>,
    bytes: usize,
}

impl Batch {
    /// Whether another one goes with them.
    pub fn has_room(&self) -> bool {
        self.waiting.len() < BATCH_MAX && self.bytes < BODY_BYTES
    }

    pub fn push(&mut self, waiting: Waiting) {
        let escaped = |byte: &u8| matches!(byte, b'"' | b'\\');
        let id = waiting.worker.as_bytes();
        // Two quotes and a comma.
        self.bytes += id.len() + id.iter().filter(|byte| escaped(byte)).count() + 3;
        self.waiting.push(waiting);
    }

    /// Who has gone meanwhile has not been heard by us, and beats to the routers.
    pub fn still_waiting(mut self) -> Vec<Waiting> {
        self.waiting.retain(|waiting| !waiting.done.is_closed());
        self.waiting
    }
}

#[derive(Deserialize)]
struct HeardAll {
    ok: BTreeSet<String>,
}

/// For whom the delegate speaks, and as whom.
#[derive(Clone, Copy, Debug)]
pub(super) struct OnBehalf<'a> {
    pub delegate: &'a str,
    pub epoch: u64,
}

impl OnBehalf<'_> {
    /// Who was heard. Where the routers refuse the call because of some of its members, the others go without them,
    /// once: one bad member must not cost all of them their delegate.
    pub async fn call(self, batch: &[Waiting], nodes: &Nodes) -> Result<BTreeSet<String>, Declined> {
        let workers: BTreeSet<_> = batch.iter().map(|waiting| waiting.worker.as_str()).collect();
        let workers: Vec<_> = workers.into_iter().collect();
        let spoilt = match self.attempt(&workers, nodes).await {
            Err(Error::Refused(problem)) if is_about_members(&problem) => blamed(&problem),
            other => return other.map_err(|error| declined(&error)),
        };
        let others = workers.iter().enumerate().filter(|(nth, _)| !spoilt.contains(nth));
        let others: Vec<_> = others.map(|(_, worker)| *worker).collect();
        if spoilt.is_empty() || others.is_empty() {
            return Err(Declined::NotTaken);
        }
        self.attempt(&others, nodes).await.map_err(|error| declined(&error))
    }

    async fn attempt(self, workers: &[&str], nodes: &Nodes) -> Result<BTreeSet<String>, Error> {
        let body = self.body(workers);
        let path = ["v1", "heartbeats"];
        let call = Call { method: Method::POST, path: &path, query: &[], body: Some(&body), if_match: None };
        let answer = nodes.call(&call).await?;
        let wrong =
            |e: serde_json::Error| Error::Answer { node: answer.node.clone(), problem: e.to_string() };
        HeardAll::deserialize(&answer.json).map(|heard| heard.ok).map_err(wrong)
    }

    fn body(self, workers: &[&str]) -> Value {
        json!({"on_behalf": true, "worker": self.delegate, "epoch": self.epoch, "workers": workers})
    }
}

/// Whether it says that what was sent is wrong, and not that the role is over or that the routers are busy.
fn is_about_members(problem: &Problem) -> bool {
    (400..500).contains(&problem.status) && !matches!(problem.status, 408 | 409 | 429)
}

/// Which of the workers that were sent the routers find wrong.
fn blamed(problem: &Problem) -> BTreeSet<usize> {
    let number = |field: &str| field.strip_prefix("workers[")?.strip_suffix(']')?.parse().ok();
    problem.errors.iter().filter_map(|error| number(&error.field)).collect()
}

fn declined(error: &Error) -> Declined {
    match error.problem() {
        Some(problem) if problem.status == 409 => Declined::Stale,
        Some(problem) if is_about_members(problem) => Declined::NotTaken,
        Some(_) | None => Declined::CutOff,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::oneshot;

    /// A batch of workers with this id that took as many as it has room for.
    fn full_of(id: &str) -> Batch {
        let mut batch = Batch::default();
        while batch.has_room() {
            batch.push(Waiting { worker: id.into(), done: oneshot::channel().0 });
        }
        batch
    }

    /// Scenario: ten thousand members with the longest ids are one group. Cause: their heartbeats went in one body of
    /// two and a half megabytes, which no router reads.
    #[test]
    fn long_ids_are_cut_into_bodies_that_routers_read() {
        let bytes = |batch: &Batch| {
            let workers: Vec<_> = batch.waiting.iter().map(|waiting| waiting.worker.as_str()).collect();
            OnBehalf { delegate: "d", epoch: 1 }.body(&workers).to_string().len()
        };
        for id in ["x".repeat(253), "\"".repeat(253), "\\\"".repeat(126), "é".repeat(126)] {
            let sent = bytes(&full_of(&id));
            assert!((BODY_BYTES..BODY_BYTES + 1_000).contains(&sent), "{sent} bytes of {id}");
        }
        let short = full_of("worker-0123456789-0123456789-0123456789");
        assert_eq!(short.waiting.len(), BATCH_MAX, "{} bytes", bytes(&short));
    }

    #[test]
    fn a_refusal_blames_those_that_it_names() {
        let body = br#"{"code": "invalid_request", "detail": "x", "errors": [{"field": "workers[3]", "detail": "x"},
            {"field": "workers[11]", "detail": "x"}, {"field": "workers", "detail": "x"}, {"field": "epoch"}]}"#;
        assert_eq!(blamed(&Problem::read(400, body)), BTreeSet::from([3, 11]));
        assert_eq!(blamed(&Problem::read(413, b"")), BTreeSet::new());
    }

    #[test]
    fn what_is_declined_follows_from_what_the_routers_said() {
        let refused = |status| declined(&Error::Refused(Problem::read(status, b"")));
        for (status, expected) in [
            (400, Declined::NotTaken),
            (413, Declined::NotTaken),
            (409, Declined::Stale),
            (429, Declined::CutOff),
            (503, Declined::CutOff),
        ] {
            assert_eq!(refused(status), expected, "{status}");
        }
        assert_eq!(declined(&Error::Unreachable(Vec::new())), Declined::CutOff);
    }
}
