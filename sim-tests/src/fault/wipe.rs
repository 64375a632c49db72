//! A machine whose disk is replaced by an empty one. Its node is then a new one under an old name, and the cluster
//! replaces the old one by a change of its membership.
//!
//! Only one disk is lost at a time: with two of three gone, acknowledged writes are gone too, whatever anybody does.

use super::{some_time, victim};
use crate::world::World;

pub async fn strike(world: &World) {
    if world.roll.errand().is_none() && !world.is_whole() {
        return;
    }
    let victim = victim(world);
    if !world.can_lose_disk(victim) {
        return;
    }
    world.machines[victim].wipe();
    some_time(50, 3_000).await;
    world.machines[victim].power_on();
    some_time(0, 3_000).await;
}
