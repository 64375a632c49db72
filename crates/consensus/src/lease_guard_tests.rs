//! Most workers fall silent at once.

use super::*;

/// Ten workers behind node 1 and ten behind node 2, all with a TTL of 30 s, heard at the beginning.
fn twenty_by_two_ways() -> World {
    let mut world = World::new();
    for i in 0..20 {
        let id = format!("w{i:02}");
        world.register(&id);
        world.beat_via(&id, NodeId(1 + i / 10));
    }
    world
}

fn expired(world: &World) -> usize {
    world.state.workers().filter(|w| w.status() == Status::Expired).count()
}

#[test]
fn a_mass_without_a_proof_is_held_back_for_a_bounded_time() {
    let mut world = twenty_by_two_ways();
    world.run(39_750);
    assert_eq!((expired(&world), world.held), (0, 20), "nobody is heard on any way");
    world.run(42_000);
    assert_eq!((expired(&world), world.held), (20, 0), "a third of the TTL, 10 s at most");
}

#[test]
fn a_mass_that_comes_back_in_time_is_never_out() {
    let mut world = twenty_by_two_ways();
    world.run(35_000);
    for i in 0..20 {
        world.beat_via(&format!("w{i:02}"), NodeId(1 + i / 10));
    }
    world.run(45_000);
    assert_eq!((expired(&world), world.held), (0, 0));
}

#[test]
fn an_open_way_proves_that_its_silent_workers_are_gone() {
    let mut world = twenty_by_two_ways();
    // One of those behind node 1 is still heard there; nobody behind node 2.
    while world.now < 30_000 {
        let next = world.now + 5_000;
        world.run(next);
        world.beat_via("w00", NodeId(1));
    }
    world.run(31_500);
    assert_eq!((expired(&world), world.held), (9, 10), "those of the open way go at their TTL");
}

#[test]
fn a_few_are_no_mass() {
    let mut world = World::new();
    (0..9).for_each(|i| world.register(&format!("w{i}")));
    world.run(31_000);
    assert_eq!(expired(&world), 9, "at their TTL");
    let mut world = twenty_by_two_ways();
    while world.now < 30_000 {
        let next = world.now + 5_000;
        world.run(next);
        (0..10).for_each(|i| {
            let _ = world.beat_via(&format!("w{i:02}"), NodeId(1));
        });
    }
    world.run(31_500);
    assert_eq!((expired(&world), world.held), (10, 0), "half of them is not most");
}
