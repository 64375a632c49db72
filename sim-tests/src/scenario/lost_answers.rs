//! The leader carries out what a follower forwards, and its answer is lost. The follower tries again, with the same
//! origin, and is told what was done the first time.

use super::serving;
use crate::{
    check::Ask,
    workload::{Caller, Workload},
};
use madsim::rand::{Rng, thread_rng};
use std::time::Duration;

pub async fn run() -> Result<(), String> {
    let world = serving(3, 2).await?;
    let load = Workload::with_ttl(&world, 600_000);
    for round in 0..5 {
        world
            .until("there is a leader", Duration::from_secs(20), |machines| {
                machines.iter().any(|m| m.speaks_for_quorum())
            })
            .await?;
        let leader = world.leader().ok_or("the leader is gone at once")?;
        let follower = (leader + thread_rng().gen_range(1..3)) % 3;
        let mut caller = Caller::at(&load, follower);
        // A connection is there before its answers are cut off.
        let partitions = vec![4 * (round % 2)];
        caller.ask(Ask::Register { worker: "w1".into(), partitions: partitions.clone() }).await;
        world.cut_link(leader, follower);
        let cut = thread_rng().gen_range(1_050..2_500);
        let ask = caller.ask(Ask::Register { worker: "w2".into(), partitions });
        let mend = async {
            world.pass(Duration::from_millis(cut)).await?;
            world.mend_link(leader, follower);
            world.pass(Duration::from_millis(500)).await
        };
        let (_, mended) = futures_util::join!(ask, mend);
        mended?;
    }
    world.settle().await?;
    world.oracle.borrow_mut().finish(&world.member_names())
}
