//! Clocks that run up to 5 % too fast or too slow, and wall clocks that jump by up to an hour. A monotonic clock
//! never jumps.

use super::some_time;
use crate::world::World;
use madsim::rand::{Rng, thread_rng};

/// Parts per million.
const RATE_MAX: i64 = 50_000;
const JUMP_MS_MAX: i64 = 3_600_000;

pub async fn strike(world: &World) {
    for machine in &world.machines {
        if thread_rng().gen_bool(0.7) {
            let ppm = thread_rng().gen_range(-RATE_MAX..=RATE_MAX);
            machine.set_clock(ppm, thread_rng().gen_range(-JUMP_MS_MAX..=JUMP_MS_MAX));
        }
    }
    // They stay so until the faults end, or until the next strike.
    some_time(200, 3_000).await;
}
