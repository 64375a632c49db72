//! Disks without room, and slow ones. A node that can't write its log stops; its supervisor starts it again, and
//! again, until there is room.

use super::{some_time, victims};
use crate::{
    trace,
    world::{DISK_LATENCY, World},
};
use madsim::rand::{Rng, thread_rng};

pub async fn full(world: &World) {
    let victims = victims(world);
    for i in &victims {
        trace::event(|| format!("n{}: the disk is full", i + 1));
        world.machines[*i].disk().set_full(true);
    }
    some_time(200, 4_000).await;
    for i in &victims {
        trace::event(|| format!("n{}: there is room again", i + 1));
        world.machines[*i].disk().set_full(false);
    }
}

/// Ten to a hundred times slower than usual.
pub async fn slow(world: &World) {
    let victims = victims(world);
    let by = thread_rng().gen_range(10..100);
    for i in &victims {
        trace::event(|| format!("n{}: the disk is {by} times slower", i + 1));
        world.machines[*i].disk().set_latency(DISK_LATENCY.0 * by, DISK_LATENCY.1 * by);
    }
    some_time(500, 5_000).await;
    for i in &victims {
        trace::event(|| format!("n{}: the disk is fast again", i + 1));
        world.machines[*i].disk().set_latency(DISK_LATENCY.0, DISK_LATENCY.1);
    }
}
