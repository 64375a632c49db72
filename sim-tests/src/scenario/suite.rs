//! The whole of it: a cluster of three or five nodes at work, faults that strike alone and together, and then peace,
//! in which everything must heal in bounded time.

use crate::{
    fault::{membership, nemesis},
    trace,
    workload::{PARTITIONS, Phase, Workload},
    world::{Machine, World, client, now_ms, spares},
};
use futures_util::try_join;
use madsim::{
    rand::{Rng, thread_rng},
    time::{Duration, sleep},
};
use quorate_model::{PartitionCount, Status};
use quorate_routing::partition_of;

/// Within so long after the last fault, everything is well again.
const HEALED_WITHIN: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(25);

pub async fn run() -> Result<(), String> {
    let nodes = if thread_rng().gen_bool(0.25) { 5 } else { 3 };
    let workers = thread_rng().gen_range(3..=6);
    let world = World::with_spares(nodes, spares(nodes), workers);
    world
        .until("the cluster is formed and serves", Duration::from_secs(30), |machines| {
            machines.iter().all(|m| m.serves() && m.view().is_some_and(|v| v.nodes().count() == nodes))
        })
        .await?;
    let load = Workload::new(&world);
    try_join!(watch(&world, &load), load.run(), direct(&world, &load))?;
    // Nobody asks any more: with a linearizable read on each node, all that was acknowledged is in every View.
    for i in world.member_numbers() {
        client::barrier(&world, i).await?;
    }
    world.look()?;
    world.oracle.borrow_mut().finish(&world.member_names())
}

/// Looks at every node, all the while.
async fn watch(world: &World, load: &Workload<'_>) -> Result<(), String> {
    while load.phase() != Phase::Over {
        sleep(LOOK_EVERY).await;
        world.look()?;
    }
    Ok(())
}

/// The order of events.
async fn direct(world: &World, load: &Workload<'_>) -> Result<(), String> {
    sleep(Duration::from_millis(500)).await;
    let time = thread_rng().gen_range(5_000..20_000);
    nemesis::torment(world, time).await;
    world.all_clear();
    trace::event(|| "the faults are over".into());
    load.enter(Phase::Calm);
    let deadline = now_ms() + HEALED_WITHIN.as_millis();
    let finished = membership::finish(world, deadline).await;
    finished.map_err(|why| format!("liveness: {HEALED_WITHIN:?} after the last fault {why}"))?;
    healed(world, load, deadline).await?;
    load.enter(Phase::Over);
    Ok(())
}

/// Waits until nothing is left of the faults.
async fn healed(world: &World, load: &Workload<'_>, deadline_ms: u128) -> Result<(), String> {
    loop {
        let Some(wrong) = ill(world, load) else { break };
        if now_ms() > deadline_ms {
            return Err(format!("liveness: {HEALED_WITHIN:?} after the last fault {wrong}"));
        }
        sleep(Duration::from_millis(100)).await;
    }
    trace::event(|| "all is well".into());
    // What looks well must work: writes, reads and requests through each member, at the first try.
    for i in world.member_numbers() {
        let body = serde_json::json!({"partitions": 1, "source": "static"});
        let path = format!("/v1/keyspaces/calm-{i}");
        let wrote = client::manage(world, i, "PUT", path, body).await.map(|answer| answer.0);
        if wrote != Some(200) {
            return Err(format!("liveness: n{} answers a write with {wrote:?}", i + 1));
        }
        client::barrier(world, i).await?;
    }
    routed(world, load).await?;
    world.outsiders_know().await
}

/// Every workspace reaches the worker at home in its partition through every node, or nobody where that is gone.
async fn routed(world: &World, load: &Workload<'_>) -> Result<(), String> {
    for n in 0..12 {
        let workspace = format!("workspace-{n}");
        let count = PartitionCount::new(PARTITIONS.unsigned_abs()).map_err(|e| e.to_string())?;
        let home = partition_of(workspace.as_bytes(), count) as usize % world.workers.len();
        let right =
            if load.is_silent(home) { (503, String::new()) } else { (200, world.workers[home].name()) };
        for machine in world.member_numbers() {
            let got = client::route(world, machine, workspace.clone()).await;
            if got.as_ref() != Some(&right) {
                return Err(format!(
                    "liveness: n{} answers {got:?} for {workspace}, not {right:?}",
                    machine + 1
                ));
            }
        }
    }
    Ok(())
}

/// What is not well yet.
fn ill(world: &World, load: &Workload<'_>) -> Option<String> {
    let leaders = world.machines.iter().filter(|m| m.leads_in().is_some()).count();
    if leaders != 1 {
        return Some(format!("{leaders} nodes lead"));
    }
    if let Some(machine) = world.members().into_iter().find(|m| !m.serves()) {
        return Some(format!("{} does not serve", machine.name()));
    }
    if !world.is_whole() {
        return Some("the voters are not the members, each with the disk that it has".into());
    }
    if let Some(i) = world.outsiders().into_iter().find(|i| !world.machines[*i].knows_that_it_is_out()) {
        return Some(format!("n{} was removed and does not know it", i + 1));
    }
    if !load.all_are_home() {
        return Some("a worker has not come home".into());
    }
    if !load.all_are_in_service() {
        return Some("operators have not put every worker back".into());
    }
    if !load.is_silence() {
        return Some("a silent worker's last words may still be under way".into());
    }
    let indexes: Vec<_> = world.members().into_iter().map(|m| m.view().map(|v| v.index().0)).collect();
    if indexes.iter().max().zip(indexes.iter().min()).is_some_and(|(max, min)| max > &min.map(|m| m + 20)) {
        return Some(format!("the nodes are at {indexes:?}"));
    }
    world.members().into_iter().find_map(|machine| workers_are_well(machine, world, load).err())
}

fn workers_are_well(machine: &Machine, world: &World, load: &Workload<'_>) -> Result<(), String> {
    let view = machine.view().ok_or("a node is off")?;
    for (n, worker) in world.workers.iter().enumerate() {
        let id = worker.name();
        let status = view.worker(&id).map(|record| record.status());
        let fine = match status {
            Some(Status::Live) => !load.is_silent(n),
            Some(Status::Suspect) => false,
            Some(Status::Expired | Status::Departed) | None => load.is_silent(n),
        };
        if !fine {
            return Err(format!("{} holds {id} for {status:?}", machine.name()));
        }
    }
    let keyspace = view.default_keyspace().ok_or("there is no default keyspace")?;
    for partition in 0..PARTITIONS.unsigned_abs() {
        let home = partition as usize % world.workers.len();
        let owner = keyspace.claimant(partition).map(|owner| owner.id().to_string());
        if !load.is_silent(home) && owner != Some(world.workers[home].name()) {
            return Err(format!("{} routes partition {partition} to {owner:?}", machine.name()));
        }
    }
    Ok(())
}
