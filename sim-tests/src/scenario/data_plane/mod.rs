//! Requests of all kinds through all nodes, while workers are unwell in every way, die and come back, and nodes crash
//! or lose their leader.
//!
//! As long as one worker is well, no request is lost that could be given to it; none is carried out twice that may
//! not be, and none is given to a worker that has failed it; each answer is the request's own, whole or recognisably
//! cut; and none takes longer than it may. Once all is well, everything is answered.
//!
//! It goes three ways ([`Kind`]): by the service's own path; by routes, of which one changes all the while; and by
//! HTTP/2 from clients and to workers, calls of gRPC among it.

mod judge;
mod requests;
mod routed;
mod weather;

use super::serving;
use crate::{
    trace,
    world::{
        World,
        arrivals::{ID, Visit},
        client::{self, persist},
        line::{Asked, Line, Wire},
        now_ms,
        worker::Mood,
    },
};
use futures_util::future::{join_all, try_join_all, try_join4};
use judge::{Circumstances, Ended, ended, is_idempotent, judge};
use madsim::{
    rand::{Rng, seq::SliceRandom, thread_rng},
    time::{Duration, sleep},
};
use routed::Routed;
use serde_json::{Value, json};
use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
};
use weather::Troubles;

const NODES: usize = 3;
const CLIENTS: usize = 4;
/// The service's own timeout.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Longer than any fault keeps heartbeats away.
const TTL: Duration = Duration::from_secs(20);
const EVERY: Duration = Duration::from_secs(1);
/// Within so long after the last fault every request is answered.
const HEALED_WITHIN: Duration = Duration::from_secs(30);

/// How requests reach workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// By the service's own path, by HTTP/1.1.
    Services,
    /// By routes.
    Routes,
    /// By HTTP/2 from some clients and, in most runs, to all workers.
    Http2,
}

/// The run, as all who take part in it see it.
struct Run<'a> {
    world: &'a World,
    kind: Kind,
    /// Whether workers are spoken to by HTTP/2.
    is_shared: bool,
    /// The routes, and who was sent where by them.
    routed: Routed,
    /// Whether the service's workers are probed.
    is_checked: bool,
    /// Whether its policy says how requests are spread, repeated and kept away from workers that fail.
    is_tuned: bool,
    /// How the workers were.
    troubles: RefCell<Troubles>,
    /// Which of them run.
    up: Vec<Cell<bool>>,
    /// When the requests that are under way began.
    under_way: RefCell<BTreeMap<u64, u128>>,
    asked: Cell<u64>,
    /// Those of the requests that may not be repeated.
    once: RefCell<BTreeSet<u64>>,
    answered: Cell<u64>,
    over: Cell<bool>,
}

pub async fn run(kind: Kind) -> Result<(), String> {
    let (is_checked, is_tuned) = match kind {
        Kind::Services | Kind::Http2 => (thread_rng().gen_bool(0.5), thread_rng().gen_bool(0.5)),
        Kind::Routes => (false, false),
    };
    let workers = match kind {
        Kind::Routes => routed::WORKERS,
        // Where a worker may be avoided for a while after it is well, there is one more.
        Kind::Services | Kind::Http2 if is_checked || is_tuned => 4,
        Kind::Services | Kind::Http2 => 3,
    };
    let world = serving(NODES, workers).await?;
    let run = Run {
        world: &world,
        kind,
        is_shared: kind == Kind::Http2 && thread_rng().gen_bool(0.75),
        routed: Routed::default(),
        is_checked,
        is_tuned,
        troubles: RefCell::new(Troubles::new(workers)),
        up: (0..workers).map(|_| Cell::new(true)).collect(),
        under_way: RefCell::default(),
        asked: Cell::new(0),
        once: RefCell::default(),
        answered: Cell::new(0),
        over: Cell::new(false),
    };
    run.set_policy().await?;
    for n in 0..workers {
        run.register(n).await;
    }
    if kind == Kind::Routes {
        run.set_routes().await?;
    }
    for node in 0..NODES {
        client::barrier(&world, node).await?;
    }
    let requests = try_join_all((0..CLIENTS).map(|nth| run.ask(nth)));
    let beats = async {
        join_all((0..workers).map(|n| run.beat(n))).await;
        Ok(())
    };
    try_join4(requests, beats, run.change_route(), run.weather()).await?;
    let (asked, answered) = (run.asked.get(), run.answered.get());
    trace::event(|| format!("{asked} requests, {answered} answered by a worker"));
    run.nothing_was_done_twice()?;
    world.settle().await
}

impl Run<'_> {
    async fn set_policy(&self) -> Result<(), String> {
        let mut policy = json!({
            "timeout": format!("{}s", TIMEOUT.as_secs()),
            // Enough for all: what is not repeated for want of it is no mistake, and can't be told from one.
            "retries": {
                "max": 2,
                "on": [503],
                "backoff": {"initial": "10ms", "max": "50ms"},
                "budget": {"percent": 100, "min_per_second": 1000},
            },
        });
        if self.is_checked {
            policy["health"] = json!({"http": {"path": "/healthz"}, "interval": "500ms", "timeout": "300ms"});
        }
        if self.is_tuned {
            let strategies = ["round-robin", "least-connections", "source-ip", "consistent-hash", "p2c"];
            let strategy = *strategies.choose(&mut thread_rng()).expect("there are some");
            policy["balancing"] = strategy.into();
            if strategy == "consistent-hash" {
                policy["hash_on"] = json!({"header": ID});
            }
            policy["breaker"] = json!({"failures": 5, "open": "500ms"});
            policy["outlier"] = json!({"failures": 3, "ejection": "500ms", "ejection_max": "1s"});
        }
        if self.is_shared {
            policy["protocol"] = "h2c".into();
        }
        trace::event(|| format!("policy {policy}"));
        for service in self.services() {
            persist(self.world, "PUT", &format!("/v1/services/{service}"), &policy).await?;
        }
        Ok(())
    }

    fn services(&self) -> &'static [&'static str] {
        match self.kind {
            Kind::Services | Kind::Http2 => &["s"],
            Kind::Routes => &routed::SERVICES,
        }
    }

    /// What a worker offers.
    fn service_of(&self, n: usize) -> Option<&'static str> {
        match self.kind {
            Kind::Services | Kind::Http2 => Some("s"),
            Kind::Routes => routed::service_of(n),
        }
    }

    /// Where a request has been; its copies do not count.
    fn visits(&self, id: u64) -> Vec<Visit> {
        let mut visits = self.world.arrivals.of(id);
        visits.retain(|visit| self.service_of(visit.worker).is_some());
        visits
    }

    /// Registers a worker, however often it takes.
    async fn register(&self, n: usize) {
        let Some(service) = self.service_of(n) else { return };
        let path = format!("/v1/workers/{}", self.world.workers[n].name());
        let body = json!({
            "address": format!("http://{}", crate::world::worker::address(n + 1)),
            "services": [{"name": service, "version": "1"}],
            "ttl": format!("{}s", TTL.as_secs()),
        });
        loop {
            let node = self.world.any();
            let answer = client::manage(self.world, node, "PUT", path.clone(), body.clone()).await;
            trace::event(|| format!("{path} at n{}: {:?}", node + 1, answer.as_ref().map(|a| a.0)));
            if answer.is_some_and(|(status, _)| status == 200) {
                return;
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// A worker's heartbeats, while it runs.
    async fn beat(&self, n: usize) {
        while !self.over.get() {
            if self.up[n].get() && self.service_of(n).is_some() {
                let path = format!("/v1/workers/{}/heartbeat", self.world.workers[n].name());
                client::manage(self.world, self.world.any(), "POST", path, Value::Null).await;
            }
            sleep(EVERY).await;
        }
    }

    /// A client's requests, each of which is judged at once.
    async fn ask(&self, nth: usize) -> Result<(), String> {
        let wire = if self.kind == Kind::Http2 && nth % 2 == 0 { Wire::Http2 } else { Wire::Http1 };
        let mut line = Line::of(wire);
        while !self.over.get() {
            let node = thread_rng().gen_range(0..NODES);
            let at_once = match wire {
                Wire::Http1 => 1,
                Wire::Http2 => thread_rng().gen_range(1..=4),
            };
            let port = self.any_port();
            let requests = (0..at_once).map(|_| Asked { port, ..self.any_request(wire) });
            try_join_all(requests.map(|asked| self.one(&line, node, asked))).await?;
            if thread_rng().gen_bool(0.2) {
                line = Line::of(wire);
            }
            let pause = thread_rng().gen_range(1..60);
            sleep(Duration::from_millis(pause)).await;
        }
        Ok(())
    }

    async fn one(&self, line: &Line, node: usize, asked: Asked) -> Result<(), String> {
        let machine = &self.world.machines[node];
        let began_ms = now_ms();
        let (life, served) = (machine.life(), machine.serves());
        let known = self.routed.known(node, life);
        self.under_way.borrow_mut().insert(asked.id, began_ms);
        let heard = line.ask(self.world, node, asked).await;
        self.under_way.borrow_mut().remove(&asked.id);
        let Asked { id, method, body_bytes, .. } = asked;
        trace::event(|| {
            let what = format!("{method} {} {body_bytes}", asked.path);
            format!("#{id} {what} through n{}:{} {}", node + 1, asked.port, heard.short())
        });
        let circumstances = Circumstances {
            began_ms,
            ended_ms: now_ms(),
            node_stood: served && machine.serves() && machine.life() == life,
            visits: self.visits(id),
            troubles: &self.troubles.borrow(),
            is_shared: self.is_shared,
        };
        if !is_idempotent(asked) {
            self.once.borrow_mut().insert(id);
        }
        if ended(asked, &heard) == Ended::Answered {
            self.answered.set(self.answered.get() + 1);
        }
        let routed = || match self.kind {
            Kind::Routes => self.routed.judge((asked, &heard), &circumstances.visits, (node, life, known)),
            Kind::Services | Kind::Http2 => Ok(()),
        };
        judge(asked, &heard, &circumstances).and_then(|()| routed()).map_err(|wrong| {
            let visits = &circumstances.visits;
            format!("{wrong}: {asked:?} through n{}, {}, at {visits:?}", node + 1, heard.short())
        })
    }

    /// All is well: within a bounded time that is what all nodes know, and then nothing fails.
    async fn peace(&self) -> Result<(), String> {
        self.world.all_clear();
        for n in 0..self.world.workers.len() {
            self.recover(n).await;
        }
        let workers = (0..self.world.workers.len()).filter(|n| self.service_of(*n).is_some()).count();
        self.world
            .until("everybody knows that all workers are well", HEALED_WITHIN, |machines| {
                machines.iter().all(|machine| {
                    let well = machine.view().map(|view| {
                        let services = self.services().iter().filter_map(|name| view.service(name));
                        services
                            .map(|service| service.endpoints().filter(|e| e.serves()).count())
                            .sum::<usize>()
                    });
                    machine.serves() && well == Some(workers)
                })
            })
            .await?;
        self.lull().await?;
        let wire = if self.kind == Kind::Http2 { Wire::Http2 } else { Wire::Http1 };
        let line = Line::of(wire);
        for n in 0..20 * NODES {
            let asked = self.any_request(wire);
            let node = n % NODES;
            let heard = line.ask(self.world, node, asked).await;
            if ended(asked, &heard) != Ended::Answered {
                return Err(format!(
                    "all is well, and n{} answers {asked:?} with {}",
                    node + 1,
                    heard.short()
                ));
            }
        }
        trace::event(|| "all is well, and all is answered".into());
        match self.kind {
            Kind::Routes => self.routes_agree().await,
            Kind::Services | Kind::Http2 => Ok(()),
        }
    }

    /// Also when everything that was under way has arrived.
    fn nothing_was_done_twice(&self) -> Result<(), String> {
        for (id, all) in self.world.arrivals.all() {
            let visits = self.visits(id);
            if visits.len() > 1 && self.once.borrow().contains(&id) {
                return Err(format!("request {id} was sent twice, and may not be: {visits:?}"));
            }
            if all.len() > visits.len() + 1 {
                return Err(format!("request {id} was copied twice: {all:?}"));
            }
        }
        self.world.arrivals.are_unspoiled()
    }

    /// Its worker is well again, and the cluster knows that it is there.
    async fn recover(&self, n: usize) {
        let worker = &self.world.workers[n];
        if !self.up[n].get() {
            worker.start();
        }
        worker.be(Mood::Well);
        self.up[n].set(true);
        self.register(n).await;
        self.troubles.borrow_mut().end(n);
    }
}
