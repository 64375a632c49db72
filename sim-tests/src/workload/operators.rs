//! Operators that take workers out of service and put them back, whatever else goes on. What they are answered does not
//! matter; what the nodes make of it does. When the calm begins they put everybody back.

use super::{Phase, UNDER_WAY_MS, Workload};
use crate::{
    trace,
    world::{client, now_ms},
};
use madsim::{
    rand::{Rng, thread_rng},
    time::{Duration, sleep},
};
use serde_json::{Value, json};

pub async fn decide(load: &Workload<'_>) -> Result<(), String> {
    let mut last_ms = 0;
    while load.phase() == Phase::Storm {
        let id = load.world.workers[thread_rng().gen_range(0..load.world.workers.len())].name();
        let (method, what, body) = match thread_rng().gen_range(0..8) {
            0 | 1 => ("POST", "drain", Value::Null),
            2 => ("POST", "offline", Value::Null),
            3 => ("PUT", "weight", json!({"weight": thread_rng().gen_range(0..200)})),
            _ => ("POST", "resume", Value::Null),
        };
        ask(load, &id, (method, what, body)).await;
        last_ms = now_ms();
        let pause = thread_rng().gen_range(200..2_500);
        sleep(Duration::from_millis(pause)).await;
    }
    // What was not answered may still be carried out.
    while now_ms() < last_ms + UNDER_WAY_MS {
        sleep(Duration::from_millis(100)).await;
    }
    for worker in &load.world.workers {
        while load.phase() != Phase::Over
            && !matches!(ask(load, &worker.name(), ("POST", "resume", Value::Null)).await, 200 | 404)
        {
            sleep(Duration::from_millis(100)).await;
        }
    }
    load.has_resumed();
    Ok(())
}

async fn ask(load: &Workload<'_>, id: &str, (method, what, body): (&'static str, &str, Value)) -> u16 {
    let node = load.world.anywhere();
    let got = client::manage_raw(load.world, node, method, format!("/v1/workers/{id}/{what}"), body).await;
    trace::event(|| format!("{what} {id} at n{}: {}", node + 1, got.status()));
    got.status()
}
