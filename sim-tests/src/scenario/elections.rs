//! A worker falls silent, and leaders come and go. Its silence outlives them: the silent one is out in the end, and the one
//! that beats never.

use super::serving;
use crate::{
    check::{Answer, Ask},
    trace,
    workload::{Caller, Workload},
    world::{World, now_ms},
};
use madsim::rand::{Rng, thread_rng};
use quorate_model::Status;
use std::time::Duration;

/// Long enough that half of it, and the time that an election and an entry may take, are well below the whole.
const TTL_MS: u64 = 20_000;
const OUT_WITHIN: Duration = Duration::from_secs(60);

pub async fn run() -> Result<(), String> {
    let world = serving(3, 2).await?;
    let load = Workload::with_ttl(&world, TTL_MS);
    let mut caller = Caller::new(&load);
    let mut leases = Vec::new();
    for worker in ["w1", "w2"] {
        let partitions = if worker == "w1" { vec![0, 1] } else { vec![2, 3] };
        match caller.persist(&Ask::Register { worker: worker.into(), partitions }).await {
            Answer::Registered { incarnation, .. } => leases.push(incarnation),
            answer => return Err(format!("a whole cluster refuses a worker: {answer:?}")),
        }
    }
    let (mut elections, end) = (thread_rng().gen_range(1..=2), now_ms() + OUT_WITHIN.as_millis());
    let mut beaten = now_ms();
    while status(&world, "w1") != Some(Status::Expired) {
        if now_ms() > end {
            return Err(format!("the silent worker is not out within {OUT_WITHIN:?}"));
        }
        if now_ms() > beaten + u128::from(TTL_MS / 3) {
            beaten = now_ms();
            caller.persist(&Ask::Heartbeat { worker: "w2".into(), incarnation: leases[1] }).await;
        }
        if elections > 0 && status(&world, "w1") == Some(Status::Suspect) {
            elections -= 1;
            let pause = thread_rng().gen_range(500..6_000);
            world.pass(Duration::from_millis(pause)).await?;
            world.replace_leader().await?;
        }
        world.pass(Duration::from_millis(200)).await?;
    }
    trace::event(|| "the silent one is out".into());
    if status(&world, "w2") == Some(Status::Expired) {
        return Err("the worker that beats is out".into());
    }
    world.settle().await?;
    world.oracle.borrow_mut().finish(&world.member_names())
}

/// As the leader sees it.
fn status(world: &World, worker: &str) -> Option<Status> {
    let view = world.machines[world.leader()?].view()?;
    view.worker(worker).map(|record| record.status())
}
