//! A group of workers, with a router that says who its delegate is.

use crate::support::{Router, Say, Seen, ok, problem};
use quorate_client::{
    DelegateOffer, ServiceOffer, WhenSilent, WorkerClient, WorkerHandle, worker::WorkerBuilder,
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

/// Long enough that a busy machine answers within a third of it, short enough to wait for many.
pub const INTERVAL: &str = "800ms";

/// What the router believes of the group.
#[derive(Default)]
pub struct Group {
    pub granted: u64,
    /// Where each candidate is.
    pub urls: BTreeMap<String, String>,
    /// Who has the role, at which epoch.
    pub delegate: Option<(String, u64)>,
    /// Of a delegate that is none of ours.
    pub stranger: Option<String>,
    /// A call that names this one is wrong.
    pub refused: Option<String>,
    pub interval: Option<&'static str>,
}

impl Group {
    fn named(&self) -> Value {
        let Some((worker, epoch)) = &self.delegate else { return Value::Null };
        let url = self.stranger.as_ref().or_else(|| self.urls.get(worker));
        json!({"worker": worker, "url": url, "epoch": epoch})
    }

    fn say(&mut self, seen: &Seen) -> Say {
        let (method, path) = seen.line.split_once(' ').expect("a method and a path");
        let id = path.split('/').nth(3).unwrap_or_default().to_owned();
        match (method, path) {
            ("PUT", _) => {
                self.granted += 1;
                if let Some(url) = seen.body["labels"]["delegate_url"].as_str() {
                    self.urls.insert(id.clone(), url.into());
                    self.delegate.get_or_insert((id, 5));
                }
                let lease = json!({"id": self.granted, "ttl": "2s", "heartbeat_interval": self.interval.unwrap_or(INTERVAL)});
                Say::Answer(200, json!({"lease": lease, "index": 1, "heartbeat_delegate": self.named()}))
            }
            ("POST", "/v1/heartbeats") => {
                let stands = self.delegate.as_ref().is_some_and(|(worker, epoch)| {
                    seen.body["worker"] == worker.as_str() && seen.body["epoch"] == *epoch
                });
                if !stands {
                    return problem(409, "delegate_stale");
                }
                let workers = seen.body["workers"].as_array().expect("a list");
                let wrong = |refused: &String| workers.iter().position(|id| id == refused.as_str());
                if let Some(nth) = self.refused.as_ref().and_then(wrong) {
                    let error = json!({"field": format!("workers[{nth}]"), "detail": "no such id"});
                    let body = json!({"code": "invalid_request", "detail": "wrong", "errors": [error]});
                    return Say::Answer(400, body);
                }
                let heard =
                    json!({"ok": seen.body["workers"], "unknown": [], "displaced": [], "refused": []});
                Say::Answer(200, heard)
            }
            ("POST", path) if path.ends_with("/heartbeat") => {
                Say::Answer(200, json!({"status": "ok", "heartbeat_delegate": self.named()}))
            }
            _ => ok(),
        }
    }
}

/// A router, and what it believes, which a test may change.
pub async fn router() -> (Router, Arc<Mutex<Group>>) {
    let group = Arc::new(Mutex::new(Group::default()));
    let shared = group.clone();
    let router = Router::start(move |seen| shared.lock().expect("no test panics inside").say(seen)).await;
    (router, group)
}

pub fn member(router: &Router, id: &str) -> WorkerBuilder {
    WorkerClient::builder([router.url.clone()], id, format!("http://{id}:1"))
        .labels(BTreeMap::from([("group".into(), "g".into())]))
        .services([ServiceOffer::new("upload")])
}

pub fn candidate(router: &Router, id: &str, when_silent: WhenSilent) -> WorkerBuilder {
    let listen = "127.0.0.1:0".parse().expect("an address");
    member(router, id).delegate(DelegateOffer { listen, url: None, when_silent })
}

pub async fn started(builder: WorkerBuilder) -> WorkerHandle {
    builder.start().await.expect("registered")
}

/// Waits longer than most tests here: machines are busy, and a group that was disturbed comes together again.
pub async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..6_000 {
        if holds() {
            return;
        }
        crate::support::pause(10).await;
    }
    panic!("never happened: {what}");
}

/// The heartbeats that a router has seen: who, in a call on behalf, or `None` for each that came by itself.
pub fn heartbeats(router: &Router) -> Vec<Option<BTreeSet<String>>> {
    let seen = router.seen().into_iter().filter(|seen| seen.line.starts_with("POST /v1/"));
    let beats = seen.filter(|seen| seen.line.contains("heartbeat"));
    beats
        .map(|seen| {
            let workers = seen.body["workers"].as_array()?.iter().map(|id| id.as_str().expect("text").into());
            Some(workers.collect())
        })
        .collect()
}

pub fn ids(ids: &[&str]) -> Option<BTreeSet<String>> {
    Some(ids.iter().map(|id| (*id).to_owned()).collect())
}

/// Where the delegate `d` listens.
pub fn listens(group: &Mutex<Group>) -> String {
    group.lock().expect("sound").urls["d"].clone()
}
