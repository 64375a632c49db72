//! Which faults strike, and when.

use super::{Fault, some_time};
use crate::{
    trace,
    world::{World, now_ms},
};
use futures_util::future::{join, join_all};
use madsim::rand::{Rng, seq::SliceRandom, thread_rng};

/// Strikes for about so many simulated milliseconds: one kind alone, or up to three together. Where machines join and
/// leave, they do so all the while: a change that waits for a fault to end would meet none.
pub async fn torment(world: &World, for_ms: u128) {
    let end = now_ms() + for_ms;
    // Most runs know a few kinds only: what needs the same fault twice then happens more often.
    let mut kinds = Fault::ALL.to_vec();
    kinds.shuffle(&mut thread_rng());
    kinds.truncate(thread_rng().gen_range(1..=kinds.len()));
    if !world.is_changing {
        return strikes(world, kinds, end).await;
    }
    if thread_rng().gen_bool(0.1) {
        kinds.clear();
    }
    join(strikes(world, kinds, end), changes(world, end)).await;
}

async fn strikes(world: &World, mut kinds: Vec<Fault>, end_ms: u128) {
    trace::event(|| format!("faults of this run: {kinds:?}"));
    while !kinds.is_empty() && now_ms() < end_ms {
        let together = [1, 1, 2, 2, 3][thread_rng().gen_range(0..5)].min(kinds.len());
        kinds.shuffle(&mut thread_rng());
        let striking = &kinds[..together];
        trace::event(|| format!("now: {striking:?}"));
        join_all(striking.iter().map(|kind| kind.strike(world))).await;
        some_time(50, 1_500).await;
    }
}

async fn changes(world: &World, end_ms: u128) {
    while now_ms() < end_ms {
        Fault::Membership.strike(world).await;
        some_time(50, 1_500).await;
    }
}
