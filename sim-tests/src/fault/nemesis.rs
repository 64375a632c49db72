//! Which faults strike, and when.

use super::{Fault, some_time};
use crate::{
    trace,
    world::{World, now_ms},
};
use futures_util::future::join_all;
use madsim::rand::{Rng, seq::SliceRandom, thread_rng};

/// Strikes for about so many simulated milliseconds: one kind alone, or up to three together.
pub async fn torment(world: &World, for_ms: u128) {
    let end = now_ms() + for_ms;
    // Most runs know a few kinds only: what needs the same fault twice then happens more often.
    let mut kinds = Fault::ALL.to_vec();
    kinds.shuffle(&mut thread_rng());
    kinds.truncate(thread_rng().gen_range(1..=kinds.len()));
    trace::event(|| format!("faults of this run: {kinds:?}"));
    while now_ms() < end {
        let together = [1, 1, 2, 2, 3][thread_rng().gen_range(0..5)].min(kinds.len());
        kinds.shuffle(&mut thread_rng());
        let striking = &kinds[..together];
        trace::event(|| format!("now: {striking:?}"));
        join_all(striking.iter().map(|kind| kind.strike(world))).await;
        some_time(50, 1_500).await;
    }
}
