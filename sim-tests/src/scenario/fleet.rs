//! A healthy fleet costs nothing: while workers beat and nothing changes, no log entry is written.

use super::serving;
use crate::{
    trace,
    world::{World, client},
};
use futures_util::future::try_join_all;
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

pub async fn run(fleet: Fleet) -> Result<(), String> {
    let world = serving(3, 0).await?;
    for n in 0..fleet.workers {
        register(&world, n).await?;
    }
    for node in 0..3 {
        client::barrier(&world, node).await?;
    }
    // What a node says about itself, and the feature level, are entries too: they come once.
    world.pass(Duration::from_secs(5)).await?;
    let before = index(&world)?;
    let beats = Cell::new(0_u64);
    try_join_all((0..fleet.workers).map(|n| beat(&world, n, fleet.lasts, &beats))).await?;
    let entries = index(&world)? - before;
    let (workers, beats) = (fleet.workers, beats.get());
    let per_day = 86_400 * entries / fleet.lasts.as_secs() / workers as u64;
    trace::event(|| {
        format!(
            "{workers} workers, {beats} heartbeats in {:?}: {entries} entries, {per_day} per worker and day",
            fleet.lasts
        )
    });
    if entries > 0 {
        return Err(format!("{beats} heartbeats of healthy workers cost {entries} log entries"));
    }
    world.settle().await
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

async fn beat(world: &World, n: usize, lasts: Duration, beats: &Cell<u64>) -> Result<(), String> {
    // They did not all start at once.
    sleep(EVERY.mul_f64(thread_rng().gen_range(0.0..1.0))).await;
    for _ in 0..lasts.as_secs() / EVERY.as_secs() {
        let (path, body) = if is_native(n) {
            (format!("/v1/workers/f{n}/heartbeat"), Value::Null)
        } else {
            (
                "/api/worker/heartbeat".into(),
                json!({"worker_id": format!("f{n}"), "status": "healthy", "current_load": 0.5}),
            )
        };
        let answer = client::manage(world, thread_rng().gen_range(0..3), "POST", path, body).await;
        if !matches!(answer, Some((200, _))) {
            return Err(format!("f{n} is not heard: {answer:?}"));
        }
        beats.set(beats.get() + 1);
        sleep(EVERY).await;
    }
    Ok(())
}

/// Where the log stands: the largest index that a node has applied.
fn index(world: &World) -> Result<u64, String> {
    let views = world.members();
    let indexes = views.iter().filter_map(|machine| Some(machine.view()?.index().0));
    indexes.max().ok_or_else(|| "no node serves".into())
}
