//! Workers of a service die and come back, one after the other, and one is always there: no idempotent request is lost,
//! whichever worker it had been given to and whatever the routers knew by then.

use super::serving;
use crate::{
    trace,
    world::{
        World,
        client::{self, Got},
    },
};
use futures_util::future::{join_all, try_join, try_join_all};
use madsim::{
    rand::{Rng, thread_rng},
    time::{Duration, sleep},
};
use serde_json::{Value, json};
use std::cell::Cell;

const WORKERS: usize = 3;
const CLIENTS: usize = 4;
/// How often a worker dies.
const DEATHS: usize = 6;
/// How long a worker lives without a heartbeat, and how often it beats.
const TTL: Duration = Duration::from_secs(3);
const EVERY: Duration = Duration::from_secs(1);

/// The run, as all who take part in it see it.
struct Run<'a> {
    world: &'a World,
    /// Which workers run.
    up: [Cell<bool>; WORKERS],
    over: Cell<bool>,
    answered: Cell<u64>,
}

pub async fn run() -> Result<(), String> {
    let world = serving(3, WORKERS).await?;
    let run = Run {
        world: &world,
        up: [const { Cell::new(true) }; WORKERS],
        over: Cell::new(false),
        answered: Cell::new(0),
    };
    for n in 0..WORKERS {
        run.register(n).await.ok_or("a whole cluster refuses a worker")?;
    }
    for node in 0..3 {
        client::barrier(&world, node).await?;
    }
    let requests = try_join_all((0..CLIENTS).map(|_| run.ask()));
    let beats = join_all((0..WORKERS).map(|n| run.beat(n)));
    let around = async {
        beats.await;
        Ok(())
    };
    try_join(try_join(requests, around), run.deaths()).await?;
    trace::event(|| format!("{} requests answered through {DEATHS} deaths", run.answered.get()));
    world.settle().await
}

impl Run<'_> {
    async fn register(&self, n: usize) -> Option<()> {
        let (node, id) = (self.world.any(), self.world.workers[n].name());
        let address = crate::world::worker::address(n + 1);
        let body = json!({
            "address": format!("http://{address}"),
            "services": [{"name": "s", "version": "1"}],
            "ttl": format!("{}s", TTL.as_secs()),
        });
        let answer = client::manage(self.world, node, "PUT", format!("/v1/workers/{id}"), body).await;
        trace::event(|| format!("register {id} at n{}: {:?}", node + 1, answer.as_ref().map(|a| a.0)));
        answer.filter(|(status, _)| *status == 200).map(drop)
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

    /// Requests, each of which must be answered by a worker.
    async fn ask(&self) -> Result<(), String> {
        while !self.over.get() {
            let (method, body) =
                if thread_rng().gen_bool(0.5) { ("GET", Value::Null) } else { ("PUT", json!({"a": 1})) };
            let node = thread_rng().gen_range(0..3);
            let got = client::serve_raw(self.world, node, method, body).await;
            match &got {
                Got::Answer { status: 200, .. } => self.answered.set(self.answered.get() + 1),
                Got::Answer { .. } | Got::NotReached | Got::NoAnswer => {
                    return Err(format!("a {method} through n{} was lost: {got:?}", node + 1));
                }
            }
            let pause = thread_rng().gen_range(1..40);
            sleep(Duration::from_millis(pause)).await;
        }
        Ok(())
    }

    /// One worker after the other dies, sometimes two at once, and comes back: before it has expired, or after.
    async fn deaths(&self) -> Result<(), String> {
        for _ in 0..DEATHS {
            let survivor = thread_rng().gen_range(0..WORKERS);
            let both = thread_rng().gen_bool(0.5);
            let dying = (0..WORKERS).filter(|n| *n != survivor).take(if both { 2 } else { 1 });
            let dying: Vec<_> = dying.collect();
            for n in &dying {
                trace::event(|| format!("{} dies", self.world.workers[*n].name()));
                self.up[*n].set(false);
                self.world.workers[*n].kill();
            }
            let dead_ms = thread_rng().gen_range(50..5_000);
            self.world.pass(Duration::from_millis(dead_ms)).await?;
            for n in dying {
                self.world.workers[n].start();
                self.up[n].set(true);
                self.register(n).await.ok_or("a whole cluster refuses a worker that came back")?;
            }
            let pause = thread_rng().gen_range(0..1_000);
            self.world.pass(Duration::from_millis(pause)).await?;
        }
        self.over.set(true);
        Ok(())
    }
}
