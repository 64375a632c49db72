//! Processes and machines that stop at once, and come back after a while in any order.

use super::{some_time, victims};
use crate::world::World;
use madsim::rand::{Rng, thread_rng};
use quorate_storage::CrashMode;

/// `kill -9`: what was written is still there, synced or not.
pub async fn kill(world: &World) {
    let victims = victims(world);
    for i in &victims {
        world.machines[*i].kill();
        some_time(0, 50).await;
    }
    back(world, victims).await;
}

/// What was not synced is lost: all of it, all but a prefix, or with the last batch torn in half.
pub async fn power_loss(world: &World) {
    let victims = victims(world);
    let apart = thread_rng().gen_bool(0.5);
    for i in &victims {
        let mode = mode(world, *i);
        world.machines[*i].power_off(mode);
        if apart {
            some_time(0, 50).await;
        }
    }
    back(world, victims).await;
}

fn mode(world: &World, i: usize) -> CrashMode {
    let kept = thread_rng().gen_range(0..4);
    match thread_rng().gen_range(0..5) {
        0 | 1 => CrashMode::LoseAll,
        // A node may refuse what is left, and is then given an empty disk.
        2 if world.can_lose_disk(i) => CrashMode::TornBatch(kept),
        _ => CrashMode::KeepPrefix(kept),
    }
}

async fn back(world: &World, mut victims: Vec<usize>) {
    while !victims.is_empty() {
        some_time(20, 2_500).await;
        let next = thread_rng().gen_range(0..victims.len());
        world.machines[victims.swap_remove(next)].power_on();
    }
}
