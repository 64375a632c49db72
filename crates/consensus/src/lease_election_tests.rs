//! Leases across leader changes.

use super::*;

#[test]
fn elections_neither_kill_nor_immortalise() {
    // A live one starts at its full TTL.
    check(
        "register a; 10s; elect; 45s",
        expect![[r#"
        30000ms a Suspected
        40000ms a Expired
    "#]],
    );
    // A suspect one goes on where it was.
    check(
        "register a; 21s; elect; 20s",
        expect![[r#"
        20000ms a Suspected
        30000ms a Expired
    "#]],
    );
    // But not before a worker could find the new leader.
    check(
        "register a; 30s; elect; 20s",
        expect![[r#"
        20000ms a Suspected
        30000ms a Expired
    "#]],
    );
}

#[test]
fn a_suspect_one_outlives_no_number_of_leader_changes() {
    // Each leader falls before half of the TTL is over: with a new half from each, this worker would never go.
    check(
        "register a; 21s; elect; 3s; elect; 3s; elect; 3s; elect; 3s; elect; 3s",
        expect![[r#"
        20000ms a Suspected
        30000ms a Expired
    "#]],
    );
}

#[test]
fn a_live_one_outlives_no_number_of_orderly_leader_changes() {
    check(
        "register a; 13s; hand-over; 1s; hand-over; 5s; hand-over; 5s; hand-over; 20s",
        expect![[r#"
        20000ms a Suspected
        30000ms a Expired
    "#]],
    );
}

#[test]
fn what_was_handed_over_counts_for_the_next_leader_only() {
    // The second leader hears the worker and falls. The third knows of the silence, but not of the heartbeat.
    check("register a; 18s; hand-over; 1s; beat a; elect; 19s; elect; 19s", expect![[r#""#]]);
    // It counts once: a leader that lost its quorum and found it again has heard workers in between.
    let mut world = World::new();
    world.act("register a; 18s; hand-over; 1s; beat a; 1s");
    let reign = Reign { term: world.term, from: world.now, grace: 0 };
    world.keeper = LeaseKeeper::from_view(&world.state, &mut world.silences, reign);
    world.act("19s");
    assert_eq!(world.said, "");
}

#[test]
fn a_leader_names_only_those_that_are_late() {
    let mut world = World::new();
    world.act("register late; 5s; register fresh; 7s");
    let named: Vec<_> =
        world.keeper.silences(world.now).into_iter().map(|s| (s.id.to_string(), s.silent_ms)).collect();
    assert_eq!(named, [], "12 s are two fifths of the TTL, and no more");
    world.act("1s");
    let named: Vec<_> =
        world.keeper.silences(world.now).into_iter().map(|s| (s.id.to_string(), s.silent_ms)).collect();
    assert_eq!(named, [("late".to_owned(), 13_000)]);
}
