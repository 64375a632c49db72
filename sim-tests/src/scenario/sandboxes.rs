//! A sandbox ends, and another one is given more time, while leaders die. The one is gone on all nodes at one index, not
//! before its time; an extension that was acknowledged holds.

use super::serving;
use crate::{
    trace,
    world::{
        Machine, World,
        client::{self, persist},
        now_ms,
    },
};
use madsim::{
    rand::{Rng, thread_rng},
    time::sleep,
};
use quorate_model::{LogTime, Position, What};
use quorate_rt::time::wall_ms;
use quorate_storage::CrashMode;
use serde_json::json;
use std::{collections::BTreeSet, time::Duration};

const NODES: usize = 3;
/// The shortest that there is.
const TTL: Duration = Duration::from_secs(300);
/// An election and a few entries, after the time is over.
const ENDED_WITHIN: Duration = Duration::from_secs(30);
const ENDS: &str = "/v1/sandboxes/ends";
const GOES_ON: &str = "/v1/sandboxes/goes-on";

pub async fn run() -> Result<(), String> {
    let world = serving(NODES, 0).await?;
    let body = json!({"rules": [{"target": "upload@v2"}], "ttl": "300s"});
    persist(&world, "PUT", ENDS, &body).await?;
    persist(&world, "PUT", GOES_ON, &body).await?;
    for node in 0..NODES {
        client::barrier(&world, node).await?;
    }
    let made = world.log_index()?;
    let due = due(&world.machines[0], "ends").ok_or("a sandbox with a TTL has no end")?;
    // Most of the time nothing happens; a leader or two may fall in it.
    let quiet = TTL - Duration::from_secs(thread_rng().gen_range(3..20));
    sleep(quiet).await;
    world.look()?;
    let fall = thread_rng().gen_range(0..2);
    if fall == 0 {
        kill_leader(&world).await?;
    }
    // As late as it may be: the end of it may be under way.
    let last_ms = due.0.saturating_sub(thread_rng().gen_range(0..2_000));
    wait_until(&world, last_ms).await?;
    let extended = extend(&world).await;
    if fall == 1 {
        kill_leader(&world).await?;
    }
    ended(&world, made, due).await?;
    world.settle().await?;
    if extended {
        stands(&world, due)?;
    }
    at_one_index(&world)?;
    world.oracle.borrow_mut().finish(&world.member_names())
}

async fn wait_until(world: &World, at_ms: u64) -> Result<(), String> {
    while wall_ms() < at_ms {
        world.pass(Duration::from_millis(25)).await?;
    }
    Ok(())
}

/// Whether an extension was acknowledged; tried once, by any node.
async fn extend(world: &World) -> bool {
    let node = thread_rng().gen_range(0..NODES);
    let answer = client::manage(world, node, "POST", format!("{GOES_ON}/extend"), json!({"ttl": "1h"})).await;
    let status = answer.as_ref().map(|(status, _)| *status);
    trace::event(|| format!("extend at n{}: {status:?}", node + 1));
    status == Some(200)
}

/// The leader loses its power and comes back; another one leads.
pub(super) async fn kill_leader(world: &World) -> Result<(), String> {
    let Some(leader) = world.leader() else { return Ok(()) };
    world.power_off(leader, CrashMode::LoseAll);
    world
        .until("another one leads", Duration::from_secs(20), |machines| {
            machines.iter().any(|m| m.speaks_for_quorum())
        })
        .await?;
    world.power_on(leader);
    Ok(())
}

/// When a sandbox ends, as a machine has it.
fn due(machine: &Machine, key: &str) -> Option<LogTime> {
    machine.view()?.sandboxes().get(key)?.stored().ends
}

/// Until no node knows the one whose time is over. None may have let it go before. A node that has just started knows
/// nothing yet: it counts once it is where the sandbox was `made`.
async fn ended(world: &World, made: u64, due: LogTime) -> Result<(), String> {
    let limit = now_ms() + ENDED_WITHIN.as_millis();
    loop {
        let views = world.machines.iter().filter_map(Machine::view).filter(|view| view.index().0 >= made);
        let gone = views.filter(|view| view.sandboxes().get("ends").is_none()).count();
        if gone > 0 && wall_ms() < due.0 {
            return Err(format!("a sandbox that ends at {due} is gone at {}", wall_ms()));
        }
        if gone == NODES {
            trace::event(|| "the sandbox has ended".into());
            return Ok(());
        }
        if now_ms() > limit {
            return Err(format!(
                "a sandbox is there {ENDED_WITHIN:?} after its end, on {} nodes",
                NODES - gone
            ));
        }
        world.pass(Duration::from_millis(25)).await?;
    }
}

/// The one that was given an hour, on all nodes.
fn stands(world: &World, before: LogTime) -> Result<(), String> {
    for machine in &world.machines {
        match due(machine, "goes-on") {
            Some(ends) if ends > before => {}
            other => {
                let name = machine.name();
                return Err(format!("an extension was acknowledged, and {name} has the end {other:?}"));
            }
        }
    }
    Ok(())
}

/// Where each node's log has the end, as far as it still tells: the same place.
fn at_one_index(world: &World) -> Result<(), String> {
    let mut places = BTreeSet::new();
    for machine in &world.machines {
        let Some(Ok(since)) = machine.changes_after(Position::default()) else { continue };
        let ends = since.changes.iter().filter(
            |change| matches!(&change.what, What::Sandbox { key, sandbox: None } if key.as_str() == "ends"),
        );
        places.extend(ends.map(|change| change.position));
    }
    trace::event(|| format!("it has ended at {places:?}"));
    if places.len() > 1 { Err(format!("one sandbox has ended at {places:?}")) } else { Ok(()) }
}
