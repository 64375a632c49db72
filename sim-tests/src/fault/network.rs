//! Wires that work badly: slow, lossy, on and off. Messages of one connection stay in order, as with TCP; those of
//! different connections overtake each other.

use super::{some_time, victim};
use crate::{
    trace,
    world::{World, now_ms},
};
use madsim::{
    rand::{Rng, thread_rng},
    time::Duration,
};

/// Everything is slow, and some of it is lost.
pub async fn disturb(world: &World) {
    let slowest = Duration::from_millis(thread_rng().gen_range(20..250));
    let lost = f64::from(thread_rng().gen_range(0..20u32)) / 100.0;
    trace::event(|| format!("messages take up to {slowest:?}, {lost} of them are lost"));
    world.network.disturb(Duration::from_millis(1)..slowest, lost);
    some_time(500, 5_000).await;
    trace::event(|| "messages arrive again as they should".into());
    world.network.usual();
}

/// The links of one node, in both directions, each on its own.
pub async fn flaky_links(world: &World) {
    let victim = victim(world);
    let end = now_ms() + thread_rng().gen_range(1_000..5_000);
    trace::event(|| format!("n{}: links come and go", victim + 1));
    while now_ms() < end {
        let other = (victim + thread_rng().gen_range(1..world.machines.len())) % world.machines.len();
        let (from, to) = if thread_rng().gen_bool(0.5) { (victim, other) } else { (other, victim) };
        world.cut_link(from, to);
        some_time(20, 400).await;
        world.mend_link(from, to);
        some_time(5, 200).await;
    }
    trace::event(|| format!("n{}: links stay", victim + 1));
}
