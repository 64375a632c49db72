//! The network falls apart and heals. The side without a quorum goes on routing, and changes nothing.

use super::{formed, writes};
use crate::world::{World, client};
use madsim::rand::{Rng, thread_rng};
use std::time::Duration;

/// Writes and reads in each phase.
const OPERATIONS: u64 = 5;

pub async fn run() -> Result<(), String> {
    let world = formed().await?;
    let (mut history, mut written) = (Vec::new(), 0);
    for _ in 0..3 {
        let alone = world.any();
        if thread_rng().gen_bool(0.3) {
            // One direction only.
            world.cut_link(alone, (alone + 1) % 3);
            world.cut_link(alone, (alone + 2) % 3);
        } else {
            world.isolate(alone);
        }
        let pause = thread_rng().gen_range(500..4_000);
        world.pass(Duration::from_millis(pause)).await?;
        loses_changes_not_traffic(&world, alone).await?;
        // Also through the node that is cut off: it must refuse rather than answer with what it had.
        history.extend(writes::register_from(&world, written, OPERATIONS).await?);
        written += OPERATIONS;
        world.heal();
        let pause = thread_rng().gen_range(0..2_000);
        world.pass(Duration::from_millis(pause)).await?;
    }
    history.extend(writes::register_from(&world, written, OPERATIONS).await?);
    writes::check(history)?;
    world.settle().await?;
    client::routes_agree(&world, 6).await
}

async fn loses_changes_not_traffic(world: &World, alone: usize) -> Result<(), String> {
    for n in 0..3 {
        match client::route(world, alone, format!("workspace-{n}")).await {
            Some((200, _)) => {}
            other => return Err(format!("n{} is cut off and answers {other:?}", alone + 1)),
        }
    }
    // The majority goes on; what is acknowledged there must be everywhere in the end.
    let majority = (alone + 1) % 3;
    client::register(world, majority, 1, &[0, 3, 6, 9]).await;
    world.look()
}
