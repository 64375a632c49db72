//! Kills, cuts and clock skew at random, while a register is written and read through any node.

use super::{formed, writes};
use crate::{
    check::history::Event,
    world::{World, client},
};
use madsim::rand::{Rng, thread_rng};
use quorate_storage::CrashMode;

pub async fn run() -> Result<(), String> {
    let world = formed().await?;
    for machine in &world.machines {
        // Clock rates 5 % apart, wall clocks an hour.
        let (ppm, offset) =
            (thread_rng().gen_range(-50_000..50_000), thread_rng().gen_range(-3_600_000..3_600_000));
        quorate_rt::clock_skew::set(machine.id(), ppm, offset);
    }
    let mut history = Vec::new();
    let mut written = 0;
    for _ in 0..12 {
        fault(&world);
        let part = operations(&world, &mut written).await?;
        history.extend(part);
    }
    world.settle().await?;
    let part = operations(&world, &mut written).await?;
    history.extend(part);
    writes::check(history)?;
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

async fn operations(world: &World, written: &mut u64) -> Result<Vec<Event>, String> {
    let (from, count) = (*written, 3);
    *written += count;
    writes::register_from(world, from, count).await
}

fn fault(world: &World) {
    let victim = world.any();
    let off = world.machines.iter().filter(|m| !m.is_on()).count();
    match thread_rng().gen_range(0..6) {
        0 | 1 if off == 0 => {
            let kept = thread_rng().gen_range(0..4);
            let mode =
                if thread_rng().gen_bool(0.5) { CrashMode::LoseAll } else { CrashMode::KeepPrefix(kept) };
            world.power_off(victim, mode);
        }
        0..=2 => {
            if let Some(i) = world.machines.iter().position(|m| !m.is_on()) {
                world.power_on(i);
            }
        }
        3 => world.isolate(victim),
        4 => world.cut_link(victim, (victim + 1) % world.machines.len()),
        _ => world.heal(),
    }
}
