//! All machines lose power at once, again and again, while clients write.

use super::formed;
use crate::world::client;
use madsim::rand::{Rng, thread_rng};
use quorate_storage::CrashMode;
use std::time::Duration;

pub async fn run() -> Result<(), String> {
    let world = formed().await?;
    if thread_rng().gen_bool(0.5) {
        // What is acknowledged before it is on the disk is then still under way when the power goes.
        let latency = Duration::from_millis(thread_rng().gen_range(20..120));
        world.machines.iter().for_each(|machine| machine.disk().set_latency(latency, latency));
    }
    for _ in 0..3 {
        for _ in 0..thread_rng().gen_range(1..6) {
            let (node, worker) = (world.any(), thread_rng().gen_range(1..=3));
            let partition = thread_rng().gen_range(0..12);
            client::register(&world, node, worker, &[partition]).await;
        }
        let wait = thread_rng().gen_range(0..20);
        world.pass(Duration::from_millis(wait)).await?;
        for i in 0..3 {
            let kept = thread_rng().gen_range(0..3);
            let mode =
                if thread_rng().gen_bool(0.5) { CrashMode::LoseAll } else { CrashMode::KeepPrefix(kept) };
            world.power_off(i, mode);
        }
        let mut order = [0, 1, 2];
        order.rotate_left(thread_rng().gen_range(0..3));
        for i in order {
            let wait = thread_rng().gen_range(0..800);
            world.pass(Duration::from_millis(wait)).await?;
            world.power_on(i);
        }
        world.settle().await?;
    }
    Ok(())
}
