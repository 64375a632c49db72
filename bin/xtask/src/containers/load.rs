//! The clients: they send to ready nodes only and retry nothing, as behind a Kubernetes Service.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::clock::{now, sleep};
use super::http::{self, Answer, Connection, Request};
use super::ledger::{Ack, Kind, Ledger, Miss};
use super::scenario::ALL;
use super::service::{Endpoint, Service};

/// Longer than any answer takes on a machine that is busy with other things too.
const REQUEST_LIMIT: Duration = Duration::from_secs(15);
/// A node answers within 5 s, whatever it says.
const WRITE_LIMIT: Duration = Duration::from_secs(10);
const REQUEST_EVERY: Duration = Duration::from_millis(20);
const WRITE_EVERY: Duration = Duration::from_millis(50);
const BEAT_EVERY: Duration = Duration::from_secs(1);
/// Enough that each partition is asked for.
const WORKSPACES: u64 = 100;
/// Workers that live by heartbeats alone.
pub const BEATING: usize = 10;
/// Long enough for a heartbeat that is lost with its node and one that waits for an election.
const BEATING_TTL: &str = "30s";

/// Everybody who talks to the cluster from outside.
pub struct Load<'a> {
    pub service: &'a Service,
    pub ledger: &'a Ledger,
    ended: AtomicBool,
}

impl<'a> Load<'a> {
    pub fn new(service: &'a Service, ledger: &'a Ledger) -> Self {
        Self { service, ledger, ended: AtomicBool::new(false) }
    }

    /// Runs `work` while nodes are probed; clients start when `work` says so.
    pub fn around<T>(&self, work: impl FnOnce(&dyn Fn()) -> T) -> T {
        std::thread::scope(|scope| {
            let _end = End(&self.ended);
            for node in ALL {
                scope.spawn(move || self.service.probe(node, &|| self.ended()));
            }
            work(&|| {
                for node in ALL {
                    scope.spawn(move || self.fresh(node));
                    scope.spawn(move || self.register(node));
                }
                scope.spawn(|| self.kept());
                scope.spawn(|| self.beat());
            })
        })
    }

    fn ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    /// With any ready node, in turn.
    fn each(&self, every: Duration, work: impl FnMut(u64, &Endpoint)) {
        self.each_of(every, || self.service.pick(), work);
    }

    /// With one node, while it is ready. A client that waits for a dead node must not keep others from asking the
    /// living ones: a pause is one of the cluster and not of a client.
    fn each_at(&self, node: &str, every: Duration, work: impl FnMut(u64, &Endpoint)) {
        let pick = || self.service.endpoint(node).filter(|endpoint| self.service.is_ready(endpoint));
        self.each_of(every, pick, work);
    }

    fn each_of(
        &self,
        every: Duration,
        pick: impl Fn() -> Option<Endpoint>,
        mut work: impl FnMut(u64, &Endpoint),
    ) {
        let mut nth = 0;
        while !self.ended() {
            if let Some(endpoint) = pick() {
                work(nth, &endpoint);
                nth += 1;
            }
            sleep(every);
        }
    }

    /// A connection for each request.
    fn fresh(&self, node: &str) {
        self.each_at(node, REQUEST_EVERY, |nth, endpoint| {
            let path = path(nth);
            let at = now();
            let answer = http::ask(endpoint.routing(), &Request::get(&path), REQUEST_LIMIT);
            self.note_request(at, endpoint, &path, answer);
        });
    }

    /// Connections that are kept while their node is ready and does not close them.
    fn kept(&self) {
        let mut connections: BTreeMap<SocketAddr, Connection> = BTreeMap::new();
        self.each(REQUEST_EVERY, |nth, endpoint| {
            let ready: Vec<_> = self.service.ready().iter().map(Endpoint::routing).collect();
            connections.retain(|peer, connection| connection.is_open() && ready.contains(peer));
            let path = path(nth);
            let at = now();
            let peer = endpoint.routing();
            let kept = connections.remove(&peer).map_or_else(|| Connection::open(peer, REQUEST_LIMIT), Ok);
            let answer = kept.and_then(|mut connection| {
                let answer = connection.ask(&Request::get(&path))?;
                connections.insert(peer, connection);
                Ok(answer)
            });
            self.note_request(at, endpoint, &path, answer);
        });
    }

    fn note_request(&self, at: Instant, endpoint: &Endpoint, path: &str, answer: std::io::Result<Answer>) {
        match answer.map_err(|e| e.to_string()).and_then(|answer| came_from_a_worker(&answer, path)) {
            Ok(()) => self.ledger.succeeded(Kind::Request),
            Err(why) => self.miss(at, endpoint, Kind::Request, why),
        }
    }

    fn miss(&self, at: Instant, endpoint: &Endpoint, kind: Kind, why: String) {
        self.ledger.missed(Miss { at, until: now(), node: endpoint.node.clone(), kind, why });
    }

    /// A new worker each time, with a lease that outlives the test: what is acknowledged must be there at the end.
    fn register(&self, node: &str) {
        self.each_at(node, WRITE_EVERY, |nth, endpoint| {
            self.write_worker(endpoint, &format!("written-{node}-{nth}"), "6h");
        });
    }

    fn write_worker(&self, endpoint: &Endpoint, worker: &str, ttl: &str) -> bool {
        let body = json!({"address": "http://192.0.2.1:8100", "ttl": ttl});
        let path = format!("/v1/workers/{worker}");
        let at = now();
        match write(endpoint, "PUT", &path, &body) {
            Ok(answer) => match answer["lease"]["epoch"].as_u64() {
                Some(epoch) => {
                    self.ledger.acknowledged(Ack { worker: worker.to_owned(), epoch, at: now() });
                    return true;
                }
                None => self.miss(at, endpoint, Kind::Write, format!("an answer without an epoch: {answer}")),
            },
            Err(why) => self.miss(at, endpoint, Kind::Write, why),
        }
        false
    }

    /// Some workers whose leases are short, so that heartbeats have to get through all the while.
    fn beat(&self) {
        let names: Vec<_> = (0..BEATING).map(|nth| format!("beating-{nth}")).collect();
        let mut missing = names.clone();
        self.each(BEAT_EVERY, |_, endpoint| {
            if !missing.is_empty() {
                missing.retain(|worker| !self.write_worker(endpoint, worker, BEATING_TTL));
                return;
            }
            let at = now();
            let known =
                write(endpoint, "POST", "/v1/heartbeats", &json!({"workers": names})).and_then(|answer| {
                    let known = answer["ok"].as_array().map_or(0, Vec::len);
                    if known == BEATING { Ok(()) } else { Err(format!("not all are known: {answer}")) }
                });
            match known {
                Ok(()) => self.ledger.succeeded(Kind::Write),
                Err(why) => self.miss(at, endpoint, Kind::Write, why),
            }
        });
    }
}

/// Ends what looks at it, however its own scope ends: threads of a scope are waited for, also in a panic.
pub struct End<'a>(pub &'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn path(nth: u64) -> String {
    format!("/v1/workspaces/w{}/hello", nth % WORKSPACES)
}

/// The echo of a demo worker, and of this request.
pub fn came_from_a_worker(answer: &Answer, path: &str) -> Result<(), String> {
    let echoed = if answer.status == 200 { answer.json() } else { Err(answer.text()) }?;
    let worker = echoed["worker"].as_str().unwrap_or_default();
    if worker.starts_with("worker-") && echoed["path"] == path {
        return Ok(());
    }
    Err(format!("another answer than that of {path}: {echoed}"))
}

fn write(endpoint: &Endpoint, method: &str, path: &str, body: &Value) -> Result<Value, String> {
    let request = Request { method, path, body: Some(body) };
    let answer = http::ask(endpoint.management(), &request, WRITE_LIMIT).map_err(|e| e.to_string())?;
    if answer.status == 200 || answer.status == 201 { answer.json() } else { Err(answer.text()) }
}
