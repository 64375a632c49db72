//! Users of the WebSocket gateway connect, move, speak and leave, while nodes die, stand still and are cut off. Presence
//! names no gateway whose lease has ended, and never goes back to an older login; a user has one live session at most;
//! what one says to another comes in order and never twice; and in peace everything that is said arrives.

pub(super) mod ledger;
mod user;

use super::{leases::Leases, serving};
use crate::{
    trace,
    world::{Machine, World, now_ms},
};
use ledger::Ledger;
use madsim::rand::{Rng, thread_rng};
use quorate_storage::CrashMode;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};
use user::{Shared, USERS, book, name};

const NODES: usize = 3;
const ROUNDS: usize = 4;
/// Leases that end, sockets that nobody is behind, and sessions that come back.
const AGREED_WITHIN: Duration = Duration::from_secs(120);
const HEARD_WITHIN: Duration = Duration::from_secs(30);

pub async fn run() -> Result<(), String> {
    let world = serving(NODES, 0).await?;
    let ledger: Shared = Arc::new(Mutex::new(Ledger::default()));
    for user in 0..USERS {
        world.clients.spawn(user::live(user, ledger.clone()));
    }
    let mut shown = Leases::default();
    pass(&world, &ledger, &mut shown, Duration::from_secs(5)).await?;
    for _ in 0..ROUNDS {
        fault(&world, &ledger, &mut shown).await?;
        let peace = thread_rng().gen_range(1_000..6_000);
        pass(&world, &ledger, &mut shown, Duration::from_millis(peace)).await?;
    }
    world.settle().await?;
    book(&ledger).is_quiet = true;
    agree(&world, &ledger, &mut shown).await?;
    book(&ledger).is_last_word = true;
    all_arrives(&world, &ledger, &mut shown).await?;
    world.oracle.borrow_mut().finish(&world.member_names())
}

async fn fault(world: &World, ledger: &Shared, shown: &mut Leases) -> Result<(), String> {
    let victim = world.any();
    let ms = |range: std::ops::Range<u64>| Duration::from_millis(thread_rng().gen_range(range));
    match thread_rng().gen_range(0..4) {
        0 => {
            world.isolate(victim);
            pass(world, ledger, shown, ms(200..25_000)).await?;
            world.heal();
        }
        1 => {
            world.power_off(victim, CrashMode::LoseAll);
            pass(world, ledger, shown, ms(0..15_000)).await?;
            world.power_on(victim);
        }
        2 => {
            // One way only: it hears the others, and they don't hear it.
            let other = (victim + 1) % NODES;
            world.cut_link(victim, other);
            pass(world, ledger, shown, ms(200..8_000)).await?;
            world.heal();
        }
        _ => {
            world.machines[victim].pause();
            pass(world, ledger, shown, ms(100..16_000)).await?;
            world.machines[victim].resume();
        }
    }
    Ok(())
}

async fn pass(world: &World, ledger: &Shared, shown: &mut Leases, time: Duration) -> Result<(), String> {
    let end = now_ms() + time.as_millis();
    while now_ms() < end {
        world.pass(Duration::from_millis(25)).await?;
        book(ledger).check()?;
        for machine in &world.machines {
            look(shown, machine)?;
        }
    }
    Ok(())
}

/// What a node's presence must never show.
pub(super) fn look(shown: &mut Leases, machine: &Machine) -> Result<(), String> {
    let Some(view) = machine.view() else { return Ok(()) };
    let (node, life) = (machine.name(), machine.life());
    shown.look(&node, &view, view.sessions().iter().map(|session| session.gateway.epoch))?;
    let mut seen = BTreeMap::new();
    for session in view.sessions().iter() {
        let (user, epoch) = (session.user.as_str(), session.epoch);
        shown.holds((&node, life), (user, format!("{user} by {}", session.connection), epoch))?;
        if let Some(other) = seen.insert(user, epoch) {
            return Err(format!("{node}: {user} has the sessions {other} and {epoch}"));
        }
    }
    Ok(())
}

/// In the end who is connected is who presence names, on all nodes, and nobody has two connections.
async fn agree(world: &World, ledger: &Shared, shown: &mut Leases) -> Result<(), String> {
    let limit = now_ms() + AGREED_WITHIN.as_millis();
    loop {
        let open = book(ledger).open();
        let wanted: BTreeMap<_, _> = open.iter().map(|(user, all)| (name(*user), all.clone())).collect();
        let is_one_each = open.len() == USERS && open.values().all(|all| all.len() == 1);
        let named: Vec<Option<BTreeMap<String, BTreeSet<String>>>> =
            world.machines.iter().map(named).collect();
        if is_one_each && named.iter().all(|named| named.as_ref() == Some(&wanted)) {
            trace::event(|| format!("connected and named alike: {wanted:?}"));
            return Ok(());
        }
        if now_ms() > limit {
            return Err(format!("connected {wanted:?}, and after {AGREED_WITHIN:?} named {named:?}"));
        }
        pass(world, ledger, shown, Duration::from_millis(100)).await?;
    }
}

/// By user, the connections that a node's presence names; `None`: it is off.
pub(super) fn named(machine: &Machine) -> Option<BTreeMap<String, BTreeSet<String>>> {
    let mut named: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for session in machine.view()?.sessions().iter() {
        named.entry(session.user.to_string()).or_default().insert(session.connection.to_string());
    }
    Some(named)
}

/// Everybody is there, and everybody speaks to everybody.
async fn all_arrives(world: &World, ledger: &Shared, shown: &mut Leases) -> Result<(), String> {
    // Each of them has its turn within some seconds.
    pass(world, ledger, shown, Duration::from_secs(10)).await?;
    let limit = now_ms() + HEARD_WITHIN.as_millis();
    loop {
        let awaited = book(ledger).awaited().clone();
        if awaited.is_empty() {
            let (logins, messages) = book(ledger).count();
            trace::event(|| format!("{logins} logins, {messages} messages, and all of the last ones came"));
            return Ok(());
        }
        if now_ms() > limit {
            return Err(format!("said in peace, and not heard within {HEARD_WITHIN:?}: {awaited:?}"));
        }
        pass(world, ledger, shown, Duration::from_millis(100)).await?;
    }
}
