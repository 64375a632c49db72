//! The leader is killed and restarted, again and again, while clients write and route.

use super::formed;
use crate::world::client;
use madsim::rand::{Rng, thread_rng};
use quorate_storage::CrashMode;
use std::time::Duration;

pub async fn run() -> Result<(), String> {
    let world = formed().await?;
    for round in 0..4 {
        world
            .until("there is a leader", Duration::from_secs(20), |machines| {
                machines.iter().any(|m| m.leads_in().is_some())
            })
            .await?;
        for node in 0..3 {
            // A follower that lags routes by what it has: whoever compares must let it catch up first.
            client::barrier(&world, node).await?;
        }
        let leader = world.leader().ok_or("the leader is gone at once")?;
        let kept = thread_rng().gen_range(0..4);
        let mode = if thread_rng().gen_bool(0.5) { CrashMode::LoseAll } else { CrashMode::KeepPrefix(kept) };
        world.power_off(leader, mode);
        let survivor = (leader + 1) % 3;
        // Routing never depends on a leader.
        routes(&world, survivor).await?;
        let before = crate::world::now_ms();
        while client::register(&world, survivor, round % 3 + 1, &partitions(round)).await.is_none() {
            if crate::world::now_ms() - before > 10_000 {
                return Err("writes did not resume within 10 s of the leader's death".into());
            }
        }
        let took = crate::world::now_ms() - before;
        if took > 4_000 {
            return Err(format!("writes resumed after {took} ms only"));
        }
        world.power_on(leader);
        let pause = thread_rng().gen_range(0..3_000);
        world.pass(Duration::from_millis(pause)).await?;
    }
    world.settle().await
}

fn partitions(round: usize) -> Vec<i32> {
    (0..12).filter(|p| p % 3 == i32::try_from(round % 3).unwrap_or(0)).collect()
}

/// Every workspace is answered through machine `i`.
async fn routes(world: &crate::world::World, i: usize) -> Result<(), String> {
    for n in 0..4 {
        match client::route(world, i, format!("workspace-{n}")).await {
            Some((200, _)) => {}
            other => return Err(format!("n{} answers {other:?} after the leader's death", i + 1)),
        }
    }
    Ok(())
}
