//! Processes that stand still (a long collection, a moved virtual machine, SIGSTOP) and come back late, with
//! everything that has arrived meanwhile.

use super::{some_time, victims};
use crate::world::World;

pub async fn strike(world: &World) {
    let victims = victims(world);
    for i in &victims {
        if world.machines[*i].is_on() {
            world.machines[*i].pause();
        }
    }
    some_time(100, 6_000).await;
    for i in &victims {
        world.machines[*i].resume();
    }
}
