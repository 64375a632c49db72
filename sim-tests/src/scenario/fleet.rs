//! A healthy fleet costs nothing: while workers beat and nothing changes, no log entry is written.

use super::serving;
use crate::{
    trace,
    world::{World, client},
};
use futures_util::future::{try_join, try_join_all};
use madsim::{
    rand::{Rng, thread_rng},
    time::sleep,
};
use serde_json::{Value, json};
use std::{cell::Cell, time::Duration};

/// As the original workers beat.
const EVERY: Duration = Duration::from_secs(15);

/// How many workers, and for how long.
#[derive(Clone, Copy)]
pub struct Fleet {
    pub workers: usize,
    pub lasts: Duration,
}

impl Fleet {
    /// Quick enough for every run of all seeds.
    pub const SMALL: Self = Self { workers: 30, lasts: Duration::from_secs(240) };
    /// The one whose figures are in the documentation.
    pub const HOUR: Self = Self { workers: 1_000, lasts: Duration::from_secs(3_600) };
}

/// What the workers and whoever counts tell each other.
#[derive(Default)]
struct Tally {
    registered: Cell<usize>,
    beats: Cell<u64>,
    over: Cell<bool>,
}

pub async fn run(fleet: Fleet) -> Result<(), String> {
    let world = serving(3, 0).await?;
    let tally = Tally::default();
    let workers = try_join_all((0..fleet.workers).map(|n| live(&world, n, &tally)));
    let (_, entries) = try_join(workers, count(&world, fleet, &tally)).await?;
    let (workers, beats) = (fleet.workers, tally.beats.get());
    trace::event(|| {
        format!("{workers} workers, {beats} heartbeats in {:?}: {entries} log entries", fleet.lasts)
    });
    if entries > 0 {
        return Err(format!("{beats} heartbeats of healthy workers cost {entries} log entries"));
    }
    world.settle().await
}

/// How many entries are written while nothing changes.
async fn count(world: &World, fleet: Fleet, tally: &Tally) -> Result<u64, String> {
    while tally.registered.get() < fleet.workers {
        sleep(Duration::from_millis(100)).await;
    }
    // What a node says about itself, and the feature level, are entries too: they come once.
    sleep(2 * EVERY).await;
    let before = world.log_index()?;
    tally.beats.set(0);
    sleep(fleet.lasts).await;
    tally.over.set(true);
    Ok(world.log_index()? - before)
}

/// Every other one by the dialect of the coordinator.
fn is_native(n: usize) -> bool {
    n.is_multiple_of(2)
}

async fn register(world: &World, n: usize) -> Result<(), String> {
    let service = format!("service-{}", n % 10);
    let url = format!("http://10.1.{}.{}:8103", n / 250, n % 250 + 1);
    let (method, path, body) = if is_native(n) {
        let body = json!({"address": url, "services": [{"name": service}], "ttl": "30s"});
        ("PUT", format!("/v1/workers/f{n}"), body)
    } else {
        let body = json!({"worker_id": format!("f{n}"), "ip_address": url, "capabilities": {"cpu_cores": 8},
            "services": [{"name": service, "port": 8103, "health": "healthy"}]});
        ("POST", "/api/worker/register".into(), body)
    };
    match client::manage(world, n % 3, method, path, body).await {
        Some((200, _)) => Ok(()),
        other => Err(format!("f{n} is not registered: {other:?}")),
    }
}

/// Registers and beats until the end. They did not all start at once.
async fn live(world: &World, n: usize, tally: &Tally) -> Result<(), String> {
    sleep(EVERY.mul_f64(thread_rng().gen_range(0.0..1.0))).await;
    register(world, n).await?;
    tally.registered.set(tally.registered.get() + 1);
    while !tally.over.get() {
        sleep(EVERY).await;
        beat(world, n).await?;
        tally.beats.set(tally.beats.get() + 1);
    }
    Ok(())
}

async fn beat(world: &World, n: usize) -> Result<(), String> {
    let (path, body) = if is_native(n) {
        (format!("/v1/workers/f{n}/heartbeat"), Value::Null)
    } else {
        let body = json!({"worker_id": format!("f{n}"), "status": "healthy", "current_load": 0.5});
        ("/api/worker/heartbeat".into(), body)
    };
    let node = thread_rng().gen_range(0..3);
    match client::manage(world, node, "POST", path, body).await {
        Some((200, _)) => Ok(()),
        answer => Err(format!("f{n} is not heard: {answer:?}")),
    }
}
