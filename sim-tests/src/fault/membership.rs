//! Machines that join and leave while everything else goes on. An operator asks any node, again and again until it
//! is done, as one does when answers get lost; whoever comes after goes on with what an earlier one gave up on.
//!
//! There are never less than three members, and nobody is sent away while a disk is lost: that is what the documents
//! tell operators, too.

use super::some_time;
use crate::{
    trace,
    world::{Errand, World, client, ip, now_ms},
};
use madsim::rand::{Rng, seq::SliceRandom, thread_rng};
use serde_json::{Value, json};

/// An operator's patience, while faults strike.
const PATIENCE_MS: u128 = 15_000;
const MEMBERS_MIN: usize = 3;

/// One errand: drawn, begun, and mostly done.
pub async fn strike(world: &World) {
    let Some(errand) = world.roll.errand().or_else(|| draw(world)) else {
        some_time(200, 1_000).await;
        return;
    };
    if world.roll.errand().is_none() {
        begin(world, errand).await;
    }
    if !carry_out(world, errand, now_ms() + PATIENCE_MS).await {
        trace::event(|| format!("{errand:?} is not done yet"));
    }
    some_time(0, 2_000).await;
}

/// Lets machine `i` join, or sends it away; an error if that is not done by `end_ms`.
pub async fn run(world: &World, errand: Errand, end_ms: u128) -> Result<(), String> {
    begin(world, errand).await;
    finish(world, end_ms).await
}

/// Does what is not done yet; an error if it is not by `end_ms`.
pub async fn finish(world: &World, end_ms: u128) -> Result<(), String> {
    match world.roll.errand() {
        Some(errand) if !carry_out(world, errand, end_ms).await => {
            Err(format!("{errand:?} is not done at {} ms", now_ms()))
        }
        Some(_) | None => Ok(()),
    }
}

fn draw(world: &World) -> Option<Errand> {
    let (members, outsiders) = (world.member_numbers(), world.outsiders());
    let join = outsiders.choose(&mut thread_rng()).map(|i| Errand::Join(*i));
    let may_leave = members.len() > MEMBERS_MIN && world.is_whole();
    let leave = may_leave.then(|| {
        let leader = world.leader().filter(|i| members.contains(i) && thread_rng().gen_bool(0.5));
        Errand::Leave(leader.unwrap_or_else(|| world.any()))
    });
    if thread_rng().gen_bool(0.5) { join.or(leave) } else { leave.or(join) }
}

async fn begin(world: &World, errand: Errand) {
    if let Errand::Join(i) = errand {
        // A removed one comes back with what it knew, or with nothing.
        let machine = &world.machines[i];
        if machine.disk().identity().is_some() && thread_rng().gen_bool(0.5) {
            machine.wipe();
            some_time(20, 500).await;
        }
        machine.power_on();
    }
    trace::event(|| format!("an operator begins: {errand:?}"));
    world.roll.begin(errand);
}

/// Asks until it is done; false: patience is over.
async fn carry_out(world: &World, errand: Errand, end_ms: u128) -> bool {
    loop {
        if world.roll.errand() != Some(errand) {
            // Somebody else has done it.
            return true;
        }
        let said = ask(world, errand).await;
        let done = match errand {
            // Its vote comes later, and by itself.
            Errand::Join(i) => is_voter(world, i),
            Errand::Leave(_) => matches!(said, Some((200 | 404, _))),
        };
        if let (Errand::Join(i), Some((_, code))) = (errand, &said)
            && code == "node_not_joinable"
        {
            begin_anew(world, i).await;
        }
        if done {
            trace::event(|| format!("{errand:?} is done"));
            world.roll.done();
            return true;
        }
        if now_ms() > end_ms {
            return false;
        }
        some_time(100, 800).await;
    }
}

/// It got records of a join that its leader lost before they were committed: a log of its own, of no cluster. The
/// refusal names the remedy, and operators follow it.
async fn begin_anew(world: &World, i: usize) {
    let machine = &world.machines[i];
    machine.wipe();
    some_time(20, 500).await;
    machine.power_on();
}

async fn ask(world: &World, errand: Errand) -> Option<(u16, String)> {
    let (Errand::Join(i) | Errand::Leave(i)) = errand;
    let (asked, name) = (world.anywhere(), world.machines[i].name());
    let path = format!("/v1/cluster/nodes/{name}");
    let (method, body) = match errand {
        Errand::Join(_) => ("PUT", json!({ "peer": format!("{}:7070", ip(i + 1)) })),
        Errand::Leave(_) => ("DELETE", Value::Null),
    };
    let answer = client::manage(world, asked, method, path, body).await;
    trace::event(|| {
        let said = answer.as_ref().map(|(status, body)| (*status, body["code"].as_str().unwrap_or_default()));
        format!("n{} is asked: {method} {name}: {said:?}", asked + 1)
    });
    answer.map(|(status, body)| (status, body["code"].as_str().unwrap_or_default().to_owned()))
}

/// As the leader has it, with the disk that the machine has.
fn is_voter(world: &World, i: usize) -> bool {
    let Some(leader) = world.leader() else { return false };
    let id = world.machines[i].disk().identity().map(|identity| identity.id.0);
    id.is_some_and(|id| world.machines[leader].voters().contains(&id))
}
