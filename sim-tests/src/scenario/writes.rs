//! Writes and linearizable reads through any node, checked against each other.

use super::formed;
use crate::{
    check::history::{Event, Op, is_linearizable},
    planted::{Planted, planted},
    trace,
    world::{World, client::manage},
};
use madsim::{
    rand::{Rng, thread_rng},
    time::sleep,
};
use serde_json::{Value, json};
use std::time::Duration;

pub async fn run() -> Result<(), String> {
    let world = formed().await?;
    let history = register_of(&world, 40).await?;
    check(history)?;
    world.settle().await?;
    crate::world::client::routes_agree(&world, 6).await
}

/// Fails if no order of the operations explains what was read.
pub fn check(history: Vec<Event>) -> Result<(), String> {
    let (count, unknown) = (history.len(), history.iter().filter(|e| e.end.is_none()).count());
    trace::event(|| format!("{count} operations, {unknown} of unknown outcome"));
    if is_linearizable(history) { Ok(()) } else { Err("the history is not linearizable".into()) }
}

/// Two clients write and read one register, a keyspace's partition count, through random nodes.
pub async fn register_of(world: &World, operations: u64) -> Result<Vec<Event>, String> {
    register_from(world, 0, operations).await
}

/// The same with values above `from`, so that each value is written once in a run.
pub async fn register_from(world: &World, from: u64, operations: u64) -> Result<Vec<Event>, String> {
    let mut history = Vec::new();
    for n in from + 1..=from + operations {
        let (a, b) = (world.any(), world.any());
        let (write, read) = futures_util::join!(write(world, a, n), read(world, b));
        history.extend([write, read].into_iter().flatten());
        let pause = thread_rng().gen_range(0..50);
        sleep(Duration::from_millis(pause)).await;
        world.look()?;
    }
    Ok(history)
}

async fn write(world: &World, i: usize, value: u64) -> Option<Event> {
    let start = now_us();
    let body = json!({"partitions": value, "source": "static"});
    let answer = manage(world, i, "PUT", "/v1/keyspaces/register".into(), body).await;
    let status = answer.map(|a| a.0);
    trace::event(|| format!("write {value} at n{}: {status:?}", i + 1));
    let end = (status == Some(200)).then(now_us);
    Some(Event { start, end, op: Op::Write(value) })
}

async fn read(world: &World, i: usize) -> Option<Event> {
    let start = now_us();
    let path = match planted() {
        Planted::StaleReads => "/v1/keyspaces/register",
        Planted::Nothing | Planted::LyingFsync | Planted::Product(_) => {
            "/v1/keyspaces/register?consistent=true"
        }
    };
    let (status, body) = manage(world, i, "GET", path.into(), Value::Null).await?;
    let value = body["partitions"].as_u64();
    trace::event(|| format!("read at n{}: {status} {value:?}", i + 1));
    matches!(status, 200 | 404).then(|| Event { start, end: Some(now_us()), op: Op::Read(value) })
}

fn now_us() -> u128 {
    madsim::time::TimeHandle::current().elapsed().as_micros()
}
