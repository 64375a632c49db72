//! Leadership that changes hands because somebody asks for it.

use super::some_time;
use crate::{
    trace,
    world::{World, client},
};
use madsim::rand::{Rng, thread_rng};
use serde_json::json;

pub async fn strike(world: &World) {
    for _ in 0..thread_rng().gen_range(1..4) {
        let (asked, to) = (world.any(), world.any());
        let body = json!({ "to": world.machines[to].name() });
        let answer = client::manage(world, asked, "POST", "/v1/cluster/transfer-leader".into(), body).await;
        let status = answer.map(|answer| answer.0);
        trace::event(|| format!("n{} is asked to make n{} the leader: {status:?}", asked + 1, to + 1));
        some_time(0, 800).await;
    }
}
