//! Networks that fall apart, in every shape that is known to confuse consensus.

use super::{some_time, victim};
use crate::{trace, world::World};
use madsim::rand::{Rng, seq::SliceRandom, thread_rng};

/// How the network falls apart.
#[derive(Clone, Copy, Debug)]
enum Shape {
    /// One node hears nobody and is heard by nobody.
    Isolated,
    /// One node is not heard, but hears.
    Mute,
    /// One node hears nothing, but is heard.
    Deaf,
    /// Two sides.
    Split,
    /// Two sides that share one node, which sees both.
    Bridge,
    /// Each node sees its two neighbours only; of three nodes, two don't see each other.
    Ring,
    /// Each direction of each link, or not.
    Random,
}

const SHAPES: [Shape; 7] =
    [Shape::Isolated, Shape::Mute, Shape::Deaf, Shape::Split, Shape::Bridge, Shape::Ring, Shape::Random];

pub async fn strike(world: &World) {
    let shape = SHAPES[thread_rng().gen_range(0..SHAPES.len())];
    let links = links(shape, world);
    let show = |(from, to): &(usize, usize)| format!("{}>{}", from + 1, to + 1);
    trace::event(|| format!("{shape:?}: cut {}", links.iter().map(show).collect::<Vec<_>>().join(" ")));
    links.iter().for_each(|(from, to)| world.cut_link(*from, *to));
    some_time(300, 6_000).await;
    trace::event(|| format!("{shape:?} is over"));
    links.iter().for_each(|(from, to)| world.mend_link(*from, *to));
}

/// The directions to cut.
fn links(shape: Shape, world: &World) -> Vec<(usize, usize)> {
    let count = world.machines.len();
    let first = victim(world);
    // The victim stands first.
    let mut order: Vec<usize> = (0..count).filter(|i| *i != first).collect();
    order.shuffle(&mut thread_rng());
    order.insert(0, first);
    let minority = thread_rng().gen_range(1..=count / 2);
    let place = |node: usize| order.iter().position(|i| *i == node).unwrap_or(0);
    let random: Vec<bool> = (0..count * count).map(|_| thread_rng().gen_bool(0.35)).collect();
    let is_cut = |from: usize, to: usize| match shape {
        Shape::Isolated => from == first || to == first,
        Shape::Mute => from == first,
        Shape::Deaf => to == first,
        Shape::Split => (place(from) < minority) != (place(to) < minority),
        // The victim stands between the sides.
        Shape::Bridge => {
            let side = |node: usize| place(node) <= count / 2;
            from != first && to != first && side(from) != side(to)
        }
        Shape::Ring if count == 3 => from != first && to != first,
        Shape::Ring => {
            !matches!(place(from).abs_diff(place(to)), 1) && place(from).abs_diff(place(to)) != count - 1
        }
        Shape::Random => random[from * count + to],
    };
    let all = (0..count).flat_map(|from| (0..count).map(move |to| (from, to)));
    all.filter(|(from, to)| from != to && is_cut(*from, *to)).collect()
}
