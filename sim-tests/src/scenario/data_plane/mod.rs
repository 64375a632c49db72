//! Requests of all kinds through all nodes, while workers are unwell in every way, die and come back, and nodes crash
//! or lose their leader.
//!
//! As long as one worker is well, no request is lost that could be given to it; none is carried out twice that may
//! not be; each answer is the request's own, whole or recognisably cut; and none takes longer than it may. Once
//! all is well, everything is answered.

mod judge;
mod weather;

use super::serving;
use crate::{
    trace,
    world::{
        World,
        arrivals::ID,
        client::{self, persist},
        line::{Asked, Line},
        now_ms,
        worker::Mood,
    },
};
use futures_util::future::{join_all, try_join_all, try_join3};
use judge::{Circumstances, is_idempotent, judge};
use madsim::{
    rand::{Rng, seq::SliceRandom, thread_rng},
    time::{Duration, sleep},
};
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

/// The run, as all who take part in it see it.
struct Run<'a> {
    world: &'a World,
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

pub async fn run() -> Result<(), String> {
    let (is_checked, is_tuned) = (thread_rng().gen_bool(0.5), thread_rng().gen_bool(0.5));
    // Where a worker may be avoided for a while after it is well, there is one more.
    let workers = if is_checked || is_tuned { 4 } else { 3 };
    let world = serving(NODES, workers).await?;
    let run = Run {
        world: &world,
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
    for node in 0..NODES {
        client::barrier(&world, node).await?;
    }
    let requests = try_join_all((0..CLIENTS).map(|_| run.ask()));
    let beats = async {
        join_all((0..workers).map(|n| run.beat(n))).await;
        Ok(())
    };
    try_join3(requests, beats, run.weather()).await?;
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
        trace::event(|| format!("policy {policy}"));
        persist(self.world, "PUT", "/v1/services/s", &policy).await
    }

    /// Registers a worker, however often it takes.
    async fn register(&self, n: usize) {
        let path = format!("/v1/workers/{}", self.world.workers[n].name());
        let body = json!({
            "address": format!("http://{}", crate::world::worker::address(n + 1)),
            "services": [{"name": "s", "version": "1"}],
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
            if self.up[n].get() {
                let path = format!("/v1/workers/{}/heartbeat", self.world.workers[n].name());
                client::manage(self.world, self.world.any(), "POST", path, Value::Null).await;
            }
            sleep(EVERY).await;
        }
    }

    /// A client's requests, each of which is judged at once.
    async fn ask(&self) -> Result<(), String> {
        let mut line = Line::default();
        while !self.over.get() {
            let node = thread_rng().gen_range(0..NODES);
            let asked = self.any_request();
            self.one(&mut line, node, asked).await?;
            if thread_rng().gen_bool(0.2) {
                line = Line::default();
            }
            let pause = thread_rng().gen_range(1..60);
            sleep(Duration::from_millis(pause)).await;
        }
        Ok(())
    }

    async fn one(&self, line: &mut Line, node: usize, asked: Asked) -> Result<(), String> {
        let machine = &self.world.machines[node];
        let began_ms = now_ms();
        let (life, served) = (machine.life(), machine.serves());
        self.under_way.borrow_mut().insert(asked.id, began_ms);
        let heard = line.ask(self.world, node, asked).await;
        self.under_way.borrow_mut().remove(&asked.id);
        let Asked { id, method, body_bytes, .. } = asked;
        trace::event(|| {
            format!("#{id} {method} {body_bytes} through n{}:{} {}", node + 1, asked.port, heard.short())
        });
        let circumstances = Circumstances {
            began_ms,
            ended_ms: now_ms(),
            node_stood: served && machine.serves() && machine.life() == life,
            visits: self.world.arrivals.of(id),
            troubles: &self.troubles.borrow(),
        };
        if !is_idempotent(asked) {
            self.once.borrow_mut().insert(id);
        }
        if heard.status() == 200 {
            self.answered.set(self.answered.get() + 1);
        }
        judge(asked, &heard, &circumstances).map_err(|wrong| {
            let visits = &circumstances.visits;
            format!("{wrong}: {asked:?} through n{}, {}, at {visits:?}", node + 1, heard.short())
        })
    }

    fn any_request(&self) -> Asked {
        self.asked.set(self.asked.get() + 1);
        let mut random = thread_rng();
        let method = *["GET", "GET", "PUT", "DELETE", "POST", "POST", "PATCH"]
            .choose(&mut random)
            .expect("there are some");
        let body_bytes = match (method, random.gen_range(0..20)) {
            ("GET" | "DELETE", _) => 0,
            // More than a router keeps.
            (_, 0) => 100_000,
            (_, 1..=4) => random.gen_range(10_000..40_000),
            _ => random.gen_range(0..500),
        };
        let answer_bytes =
            if random.gen_bool(0.2) { random.gen_range(10_000..60_000) } else { random.gen_range(20..600) };
        Asked {
            id: self.asked.get(),
            method,
            path: "/api/service/s/x",
            // Services are answered for on both listeners.
            port: if random.gen_bool(0.2) { 9090 } else { 8080 },
            body_bytes,
            answer_bytes,
            in_chunks: random.gen_bool(0.5),
        }
    }

    /// All is well: within a bounded time that is what all nodes know, and then nothing fails.
    async fn peace(&self) -> Result<(), String> {
        self.world.all_clear();
        for n in 0..self.world.workers.len() {
            self.recover(n).await;
        }
        let workers = self.world.workers.len();
        self.world
            .until("everybody knows that all workers are well", HEALED_WITHIN, |machines| {
                machines.iter().all(|machine| {
                    let well = machine.view().map(|view| {
                        let service = view.service("s");
                        service.map_or(0, |service| service.endpoints().filter(|e| e.serves()).count())
                    });
                    machine.serves() && well == Some(workers)
                })
            })
            .await?;
        self.lull().await?;
        let mut line = Line::default();
        for n in 0..20 * NODES {
            let asked = self.any_request();
            let node = n % NODES;
            let heard = line.ask(self.world, node, asked).await;
            if heard.status() != 200 {
                return Err(format!(
                    "all is well, and n{} answers {asked:?} with {}",
                    node + 1,
                    heard.short()
                ));
            }
        }
        trace::event(|| "all is well, and all is answered".into());
        Ok(())
    }

    /// Also when everything that was under way has arrived.
    fn nothing_was_done_twice(&self) -> Result<(), String> {
        for (id, visits) in self.world.arrivals.all() {
            if visits.len() > 1 && self.once.borrow().contains(&id) {
                return Err(format!("request {id} was sent twice, and may not be: {visits:?}"));
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
