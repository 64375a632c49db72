//! A cluster forms, whatever the order and times of the starts.

use crate::world::{World, client};
use madsim::rand::{Rng, thread_rng};
use quorate_storage::CrashMode;
use std::time::Duration;

pub async fn run() -> Result<(), String> {
    let world = World::new(if thread_rng().gen_bool(0.2) { 5 } else { 3 }, 3);
    // Some lose power while the cluster forms, before or after they have learnt of it.
    for _ in 0..thread_rng().gen_range(0..4) {
        let (wait, victim) = (thread_rng().gen_range(0..1_500), world.any());
        world.pass(Duration::from_millis(wait)).await?;
        world.power_off(victim, CrashMode::LoseAll);
        let wait = thread_rng().gen_range(0..1_500);
        world.pass(Duration::from_millis(wait)).await?;
        world.power_on(victim);
    }
    world.settle().await?;
    let clusters: std::collections::BTreeSet<_> =
        world.machines.iter().map(|m| m.view().and_then(|v| v.cluster()).map(|c| c.to_string())).collect();
    if clusters.len() != 1 || clusters.contains(&None) {
        return Err(format!("the nodes belong to {clusters:?}"));
    }
    for worker in 1..=3usize {
        let partitions: Vec<i32> =
            (0..12).filter(|p| p % 3 + 1 == i32::try_from(worker).unwrap_or(1)).collect();
        let node = world.any();
        client::register(&world, node, worker, &partitions)
            .await
            .ok_or("a whole cluster refuses a worker")?;
    }
    world.settle().await?;
    client::routes_agree(&world, 6).await
}
