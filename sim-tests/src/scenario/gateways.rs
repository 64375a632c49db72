//! Tunnels hang on nodes that are killed, cut off and started anew, and move from node to node. A name has one holder at
//! most, presence names no gateway whose lease has ended, a late goodbye takes nothing from a newer holder, and whoever
//! is cut off is gone on both sides in time.

use super::{leases::Leases, serving};
use crate::{
    trace,
    world::{Machine, World, now_ms},
};
use madsim::{
    rand::{Rng, thread_rng},
    time::timeout,
};
use quorate_model::{Epoch, TunnelName};
use quorate_node::{GATEWAY_TTL, TunnelHold};
use quorate_storage::CrashMode;
use std::{cell::RefCell, collections::BTreeMap, rc::Rc, time::Duration};

const NODES: usize = 3;
/// Longer than a node takes for any answer; of one that is gone there is none.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
const NAMES: usize = 6;
const ROUNDS: usize = 5;
/// Within twice the lease's time, and an election and some entries.
const GONE_WITHIN: Duration = Duration::from_secs(25);

const _: () =
    assert!(GONE_WITHIN.as_millis() > 2 * GATEWAY_TTL.as_millis(), "what is promised, and a little more");

/// What clients believe that they hold, by the machine and its life.
type Holds = BTreeMap<(usize, u32), Vec<TunnelHold>>;

pub async fn run() -> Result<(), String> {
    let world = serving(NODES, 0).await?;
    let holds = Rc::new(RefCell::new(Holds::new()));
    let mut seen = Leases::default();
    for _ in 0..ROUNDS {
        for _ in 0..thread_rng().gen_range(2..8) {
            act(&world, &holds).await;
            look(&world, &holds, &mut seen)?;
        }
        fault(&world, &holds, &mut seen).await?;
    }
    world.settle().await?;
    // Whoever holds something still holds it once there is peace.
    pass(&world, &holds, &mut seen, Duration::from_secs(2)).await?;
    agree(&world, &holds, &mut seen).await?;
    world.oracle.borrow_mut().finish(&world.member_names())
}

fn name(n: usize) -> TunnelName {
    TunnelName::parse(&format!("t{n}")).expect("valid")
}

/// A client opens a tunnel somewhere, or one that is there is closed, in order or not.
async fn act(world: &World, holds: &RefCell<Holds>) {
    let i = world.any();
    let machine = &world.machines[i];
    let key = (i, machine.life());
    if thread_rng().gen_bool(0.3) {
        let hold = holds.borrow_mut().get_mut(&key).and_then(Vec::pop);
        let Some(hold) = hold else { return };
        let (what, is_lost) = (format!("{} of {}", hold.name(), hold.epoch()), hold.is_lost());
        if thread_rng().gen_bool(0.5) {
            drop(hold);
            trace::event(|| format!("n{}: {what} is let go, lost: {is_lost}", i + 1));
        } else if let Some(node) = machine.node() {
            let closed = timeout(ANSWER_WITHIN, node.consensus().close_tunnel(hold)).await;
            trace::event(|| format!("n{}: {what} is closed: {closed:?}, lost before: {is_lost}", i + 1));
        }
        return;
    }
    let name = name(thread_rng().gen_range(0..NAMES));
    let Some(node) = machine.node() else { return };
    let opened = timeout(ANSWER_WITHIN, node.consensus().open_tunnel(&name)).await;
    match opened {
        Ok(Ok(hold)) => {
            trace::event(|| format!("n{} holds {name} at {}", i + 1, hold.epoch()));
            holds.borrow_mut().entry(key).or_default().push(hold);
        }
        Ok(Err(error)) => trace::event(|| format!("n{} does not hold {name}: {error}", i + 1)),
        Err(_) => trace::event(|| format!("n{} says nothing about {name}", i + 1)),
    }
}

/// One thing goes wrong, and what follows from it comes in time.
async fn fault(world: &World, holds: &RefCell<Holds>, seen: &mut Leases) -> Result<(), String> {
    let victim = world.any();
    match thread_rng().gen_range(0..4) {
        0 => {
            world.isolate(victim);
            cut_off(world, holds, seen, victim).await?;
            world.heal();
        }
        1 => {
            let held = gateway_of(world, victim);
            world.power_off(victim, CrashMode::LoseAll);
            holds.borrow_mut().retain(|(i, _), _| *i != victim);
            // Started anew before anybody has missed it, or after.
            let away = thread_rng().gen_range(0..15_000);
            pass(world, holds, seen, Duration::from_millis(away)).await?;
            world.power_on(victim);
            gone(world, holds, seen, (victim, held)).await?;
        }
        2 => {
            // So short that nothing follows.
            world.isolate(victim);
            let cut = thread_rng().gen_range(100..3_000);
            pass(world, holds, seen, Duration::from_millis(cut)).await?;
            world.heal();
        }
        _ => {
            world.machines[victim].pause();
            let still = thread_rng().gen_range(100..14_000);
            pass(world, holds, seen, Duration::from_millis(still)).await?;
            world.machines[victim].resume();
        }
    }
    let pause = thread_rng().gen_range(0..3_000);
    pass(world, holds, seen, Duration::from_millis(pause)).await
}

/// Whoever is cut off lets everything go by itself, and the others see its lease end.
async fn cut_off(
    world: &World,
    holds: &RefCell<Holds>,
    seen: &mut Leases,
    alone: usize,
) -> Result<(), String> {
    let (limit, key) = (now_ms() + GONE_WITHIN.as_millis(), (alone, world.machines[alone].life()));
    let held = gateway_of(world, alone);
    // Somebody comes while it is cut off, perhaps to it, perhaps with a name that it holds.
    act(world, holds).await;
    loop {
        let keeps = holds.borrow().get(&key).is_some_and(|held| held.iter().any(|hold| !hold.is_lost()));
        let others = (0..NODES).filter(|i| *i != alone).filter_map(|i| world.machines[i].view());
        let is_named = held.is_some_and(|lease| others.clone().any(|view| view.tunnels().stands(lease)));
        if !keeps && !is_named {
            trace::event(|| format!("n{} is gone on both sides", alone + 1));
            return Ok(());
        }
        if now_ms() > limit {
            return Err(format!(
                "n{} is cut off for {GONE_WITHIN:?}; it holds on: {keeps}, others name it: {is_named}",
                alone + 1
            ));
        }
        pass(world, holds, seen, Duration::from_millis(50)).await?;
    }
}

/// The lease of a process that is gone ends in time.
async fn gone(
    world: &World,
    holds: &RefCell<Holds>,
    seen: &mut Leases,
    (victim, held): (usize, Option<Epoch>),
) -> Result<(), String> {
    let Some(lease) = held else { return Ok(()) };
    let limit = now_ms() + GONE_WITHIN.as_millis();
    while world.machines.iter().filter_map(Machine::view).any(|view| view.tunnels().stands(lease)) {
        if now_ms() > limit {
            return Err(format!(
                "n{} was killed {GONE_WITHIN:?} ago, and its lease {lease} stands",
                victim + 1
            ));
        }
        pass(world, holds, seen, Duration::from_millis(50)).await?;
    }
    Ok(())
}

/// The lease that a node relies on now.
fn gateway_of(world: &World, i: usize) -> Option<Epoch> {
    let node = world.machines[i].node()?;
    let standing = *node.consensus().gateway_standing().borrow();
    standing
}

async fn pass(
    world: &World,
    holds: &RefCell<Holds>,
    seen: &mut Leases,
    time: Duration,
) -> Result<(), String> {
    let end = now_ms() + time.as_millis();
    while now_ms() < end {
        world.pass(Duration::from_millis(25)).await?;
        look(world, holds, seen)?;
    }
    Ok(())
}

/// What must hold on every node, at every moment.
fn look(world: &World, holds: &RefCell<Holds>, seen: &mut Leases) -> Result<(), String> {
    for machine in &world.machines {
        let Some(view) = machine.view() else { continue };
        let (node, life) = (machine.name(), machine.life());
        seen.look(&node, &view, view.tunnels().iter().map(|(_, holder)| holder.gateway))?;
        for (name, holder) in view.tunnels().iter() {
            let who = format!("{name} at {}", holder.node);
            seen.holds((&node, life), (name.as_str(), who, holder.epoch))?;
        }
    }
    believed(world, holds)
}

/// Whoever believes that it holds a name does so by what its own node knows: it is told with the entry that takes it.
fn believed(world: &World, holds: &RefCell<Holds>) -> Result<(), String> {
    for ((i, life), held) in holds.borrow().iter() {
        let machine = &world.machines[*i];
        let Some(view) = machine.view().filter(|_| machine.life() == *life) else { continue };
        for hold in held.iter().filter(|hold| !hold.is_lost()) {
            let holder = view.tunnels().get(hold.name().as_str());
            if holder.is_none_or(|holder| holder.epoch != hold.epoch()) {
                let (name, epoch) = (hold.name(), hold.epoch());
                return Err(format!(
                    "{} believes that it holds {name} at {epoch}, not {holder:?}",
                    machine.name()
                ));
            }
        }
    }
    Ok(())
}

/// In the end what the log says is what is held, on all nodes, and nothing else.
async fn agree(world: &World, holds: &RefCell<Holds>, seen: &mut Leases) -> Result<(), String> {
    let limit = now_ms() + GONE_WITHIN.as_millis();
    loop {
        let held: BTreeMap<_, _> = holds
            .borrow()
            .iter()
            .filter(|((i, life), _)| world.machines[*i].life() == *life)
            .flat_map(|(_, held)| held.iter().filter(|hold| !hold.is_lost()))
            .map(|hold| (hold.name().to_string(), hold.epoch()))
            .collect();
        let named = world.machines.iter().map(|machine| {
            let view = machine.view()?;
            Some(view.tunnels().iter().map(|(name, holder)| (name.to_string(), holder.epoch)).collect())
        });
        let named: Vec<Option<BTreeMap<_, _>>> = named.collect();
        if named.iter().all(|named| named.as_ref() == Some(&held)) {
            trace::event(|| format!("held and named alike: {held:?}"));
            return Ok(());
        }
        if now_ms() > limit {
            return Err(format!("held {held:?}, and after {GONE_WITHIN:?} named {named:?}"));
        }
        pass(world, holds, seen, Duration::from_millis(100)).await?;
    }
}
