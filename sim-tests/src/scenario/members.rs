//! Three nodes become five and three again, under registrations, while leaders lose their power. The two that are sent
//! away are any two, so the three that stay may be others than the first ones; in the end one comes back.

use super::serving_with;
use crate::{
    fault::membership,
    trace,
    world::{Errand, World, client, now_ms},
};
use futures_util::future::{Either, select};
use madsim::{
    rand::{Rng, thread_rng},
    time::{Duration, sleep},
};
use quorate_storage::CrashMode;
use std::{cell::Cell, pin::pin};

/// A change that nothing but the death of leaders delays.
const CHANGED_WITHIN_MS: u128 = 60_000;
const WORKERS: usize = 3;

pub async fn run() -> Result<(), String> {
    let world = serving_with(3, Some(2), WORKERS).await?;
    let (changing, registered) = (Cell::new(true), Cell::new(0));
    let changes = async {
        let changed = change(&world).await;
        changing.set(false);
        changed
    };
    let work =
        async { futures_util::join!(register(&world, &changing, &registered), kill(&world, &changing)) };
    let everything = pin!(async { futures_util::join!(changes, work).0 });
    match select(everything, pin!(watch(&world))).await {
        Either::Left((changed, _)) => changed?,
        Either::Right((wrong, _)) => return Err(wrong),
    }
    world.settle().await?;
    know(&world).await?;
    if registered.get() == 0 {
        return Err("not one registration was acknowledged meanwhile".into());
    }
    // Three voters bear the loss of one, whoever they are.
    let members = world.member_numbers();
    let lost = world.leader().ok_or("nobody leads a whole cluster")?;
    world.power_off(lost, CrashMode::LoseAll);
    let stays = members.into_iter().find(|i| *i != lost).ok_or("nobody stays")?;
    for worker in 1..=WORKERS {
        insist(&world, stays, worker).await?;
    }
    join(&world, *world.outsiders().first().ok_or("nobody was sent away")?).await?;
    world.power_on(lost);
    world.settle().await?;
    client::routes_agree(&world, 6).await
}

/// Up to five members, and down to three.
async fn change(world: &World) -> Result<(), String> {
    for i in world.outsiders() {
        pause().await;
        join(world, i).await?;
    }
    for _ in 0..2 {
        pause().await;
        // The leader, mostly: its leaving is the hard case.
        let leader = world.leader().filter(|_| thread_rng().gen_bool(0.7));
        let leaving = leader.filter(|i| world.member_numbers().contains(i)).unwrap_or_else(|| world.any());
        membership::run(world, Errand::Leave(leaving), now_ms() + CHANGED_WITHIN_MS).await?;
    }
    Ok(())
}

async fn join(world: &World, joins: usize) -> Result<(), String> {
    membership::run(world, Errand::Join(joins), now_ms() + CHANGED_WITHIN_MS).await
}

async fn pause() {
    let time = thread_rng().gen_range(0..3_000);
    sleep(Duration::from_millis(time)).await;
}

/// Workers register through members, one after the other.
async fn register(world: &World, changing: &Cell<bool>, registered: &Cell<u32>) {
    while changing.get() {
        let (node, worker) = (world.any(), thread_rng().gen_range(1..=WORKERS));
        let acknowledged = client::register(world, node, worker, &partitions(worker)).await;
        registered.set(registered.get() + u32::from(acknowledged.is_some()));
        let time = thread_rng().gen_range(10..100);
        sleep(Duration::from_millis(time)).await;
    }
}

/// Whoever leads loses its power now and then, with what it had not synced.
async fn kill(world: &World, changing: &Cell<bool>) {
    while changing.get() {
        let time = thread_rng().gen_range(500..4_000);
        sleep(Duration::from_millis(time)).await;
        let Some(leader) = world.leader() else { continue };
        world.power_off(leader, CrashMode::LoseAll);
        let time = thread_rng().gen_range(20..2_000);
        sleep(Duration::from_millis(time)).await;
        world.power_on(leader);
    }
}

/// Until something is wrong.
async fn watch(world: &World) -> String {
    loop {
        if let Err(wrong) = world.pass(Duration::from_millis(25)).await {
            return wrong;
        }
    }
}

/// Those that were sent away learn of it.
async fn know(world: &World) -> Result<(), String> {
    let end = now_ms() + 20_000;
    while now_ms() < end && !world.outsiders().iter().all(|i| world.machines[*i].knows_that_it_is_out()) {
        world.pass(Duration::from_millis(100)).await?;
    }
    trace::event(|| format!("no members any more: {:?}", world.outsiders()));
    world.outsiders_know().await
}

/// Registers, as a patient worker does.
async fn insist(world: &World, node: usize, worker: usize) -> Result<(), String> {
    let end = now_ms() + 10_000;
    while client::register(world, node, worker, &partitions(worker)).await.is_none() {
        if now_ms() > end {
            return Err("two of three voters accept no write within 10 s".into());
        }
    }
    Ok(())
}

/// A third of the twelve.
fn partitions(worker: usize) -> Vec<i32> {
    (0..12).filter(|p| usize::try_from(*p).unwrap_or(0) % WORKERS + 1 == worker).collect()
}
