//! Leases that end early, since nodes looked and found nobody.

use super::*;

#[test]
fn a_worker_that_is_down_expires_at_once_and_a_heartbeat_brings_it_back() {
    check(
        "register w; 5s; beat w; 5s; down w; 5s; down w; beat w; 1s",
        expect![[r#"
            10000ms w is down: Ended
            10250ms w Suspected
            10500ms w Expired
            15000ms w is down: Expired
            15250ms w Revived
        "#]],
    );
}

#[test]
fn a_heartbeat_counts_for_more_than_a_look() {
    check(
        "register w; 5s; beat w; down w; 10s; down w; beat w; 5s",
        expect![[r#"
            5000ms w is down: Heard
            15000ms w is down: Ended
        "#]],
    );
}

#[test]
fn a_report_about_an_earlier_life_ends_nothing() {
    let mut world = World::new();
    world.act("register w; 5s");
    let old = world.state.worker("w").expect("known").epoch;
    world.act("register w; 5s");
    world.down("w", old);
    world.down("nobody", old);
    world.act("10s");
    expect![[r#"
        10000ms w is down: Heard
        10000ms nobody is down: Heard
    "#]]
    .assert_eq(&world.said);
}

/// The guard against a mass expiry holds for reports, too: one delegate that is cut off must not end a whole group.
#[test]
fn a_whole_fleet_that_is_reported_down_is_held_back() {
    let mut world = World::new();
    let ids: Vec<_> = (0..12).map(|i| format!("w{i}")).collect();
    ids.iter().for_each(|id| world.act(&format!("register {id}")));
    world.act("15s");
    ids.iter().for_each(|id| world.act(&format!("down {id}")));
    world.said.clear();
    world.act("4s");
    assert!(!world.said.contains("Expired"), "{}", world.said);
    assert!(world.said.contains("held"), "{}", world.said);
}
