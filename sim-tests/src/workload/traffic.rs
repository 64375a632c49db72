//! Requests of workspaces, routed through random nodes.

use super::{Phase, Workload};
use crate::{
    check::Reached,
    trace,
    world::{
        client::{Got, route_raw},
        now_ms,
    },
};
use madsim::{
    rand::{Rng, thread_rng},
    time::{Duration, sleep},
};

/// So many different workspaces.
const WORKSPACES: u32 = 40;

pub async fn send(load: &Workload<'_>) -> Result<(), String> {
    while load.phase() != Phase::Over {
        let (node, workspace) = (load.world.anywhere(), thread_rng().gen_range(0..WORKSPACES));
        let sent_ms = now_ms();
        let got = route_raw(load.world, node, format!("workspace-{workspace}")).await;
        trace::event(|| {
            format!("workspace-{workspace} through n{}: {} {}", node + 1, got.status(), got.text())
        });
        if let Got::Answer { status: 200, index, stale, .. } = &got {
            let worker = got.text().to_owned();
            let via = load.world.machines[node].name();
            let reached = Reached { worker, via, index: *index, stale: *stale, sent_ms };
            load.world.oracle.borrow_mut().worker_reached(&reached);
        }
        let pause = thread_rng().gen_range(20..250);
        sleep(Duration::from_millis(pause)).await;
    }
    Ok(())
}
