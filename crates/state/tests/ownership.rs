//! Who owns which partition: the registry rules of the original system, and its defects that we don't copy.

mod support;

use expect_test::expect;
use support::{Scene, check, check_unformed, picture};

#[test]
fn the_newest_registration_wins_a_contested_partition_and_the_loser_s_list_shrinks() {
    check(
        "register w1 0,1,2; register w2 2,3",
        expect![[r#"
            2 register w1 0,1,2
                registered, epoch 2
                * w1 has lease 2
            3 register w2 2,3
                registered, epoch 3
                * w2 takes 1 from w1
                * w2 has lease 3
            index 3, 0s, 2 routable
              default/12: 0=w1 1=w1 2=w2 3=w2
              w1 [0,1] lost [2] live, epoch 2, changed at 3
              w2 [2,3] live, epoch 3, changed at 3
        "#]],
    );
}

#[test]
fn a_worker_that_is_left_with_no_partition_is_removed() {
    check(
        "register w1 0,1; register w2 0; register w3 1",
        expect![[r#"
        2 register w1 0,1
            registered, epoch 2
            * w1 has lease 2
        3 register w2 0
            registered, epoch 3
            * w2 takes 1 from w1
            * w2 has lease 3
        4 register w3 1
            registered, epoch 4
            * w3 takes 1 from w1
            * w1 live -> departed, epoch 2
            * w3 has lease 4
        index 4, 0s, 2 routable
          default/12: 0=w2 1=w3
          w1 [] displaced at 0s, epoch 2, changed at 4
          w2 [0] live, epoch 3, changed at 3
          w3 [1] live, epoch 4, changed at 4
    "#]],
    );
}

#[test]
fn a_worker_that_is_left_with_no_partition_stays_when_it_offers_services() {
    check(
        "register w1 0 svc=chat; register w2 0",
        expect![[r#"
            2 register w1 0 svc=chat
                registered, epoch 2
                * w1 has lease 2
            3 register w2 0
                registered, epoch 3
                * w2 takes 1 from w1
                * w2 has lease 3
            index 3, 0s, 2 routable
              default/12: 0=w2
              w1 [] lost [0] chat live, epoch 2, changed at 3
              w2 [0] live, epoch 3, changed at 3
              service chat: w1
        "#]],
    );
}

#[test]
fn a_worker_that_never_had_a_partition_stays() {
    check(
        "register w1 -; register w2 0",
        expect![[r#"
        2 register w1 -
            registered, epoch 2
            * w1 has lease 2
        3 register w2 0
            registered, epoch 3
            * w2 has lease 3
        index 3, 0s, 2 routable
          default/12: 0=w2
          w1 [] live, epoch 2, changed at 2
          w2 [0] live, epoch 3, changed at 3
    "#]],
    );
}

/// Scenario: the older claimant is heard after the newer one has registered. Only the order of the log counts.
#[test]
fn the_newest_wins_even_if_the_older_one_s_heartbeat_is_fresher() {
    check(
        "@1 register w1 0,1; @2 register w2 0; @3 suspect w1 & suspect w2; @4 recover w1; @5 expire w2",
        expect![[r#"
            2 @1 register w1 0,1
                registered, epoch 2
                * w1 has lease 2
            3 @2 register w2 0
                registered, epoch 3
                * w2 takes 1 from w1
                * w2 has lease 3
            4 @3 suspect w1 & suspect w2
                done
                done
                * w1 live -> suspect, epoch 2
                * w2 live -> suspect, epoch 3
            5 @4 recover w1
                done
                * w1 suspect -> live, epoch 2
            6 @5 expire w2
                done
                * w2 suspect -> expired, epoch 3
            index 6, 5s, 1 routable
              default/12: 0=w2(expired) 1=w1
              w1 [1] lost [0] live, epoch 2, changed at 5
              w2 [0] expired at 5s, epoch 3, changed at 6
        "#]],
    );
}

#[test]
fn registering_anew_replaces_the_whole_list_and_the_dropped_partitions_are_unowned() {
    check(
        "register w1 0,1,2; register w1 2,3 at=moved",
        expect![[r#"
        2 register w1 0,1,2
            registered, epoch 2
            * w1 has lease 2
        3 register w1 2,3 at=moved
            registered, epoch 3
            * w1 has lease 3
        index 3, 0s, 1 routable
          default/12: 2=w1 3=w1
          w1 at moved [2,3] live, epoch 3, changed at 3
    "#]],
    );
}

#[test]
fn of_twenty_successive_claimants_the_last_one_wins() {
    let mut scene = Scene::formed();
    for n in 1..=20 {
        scene.run(&format!("register w{n} 7"));
    }
    let keyspace = scene.state.default_keyspace().expect("formed");
    assert_eq!(picture::owners(keyspace), "default/12: 7=w20");
    assert_eq!(scene.state.worker_count(), 1, "nineteen are displaced");
}

#[test]
fn lookups_are_stable() {
    let mut scene = Scene::formed();
    scene.run("register w1 0,1; register w2 2");
    let before = picture::owners(scene.state.default_keyspace().expect("formed"));
    for unrelated in ["register w3 5", "suspect w1", "tick", "put orders 3", "snapshot", "unregister w3"] {
        scene.run(unrelated);
        for partition in 0..3 {
            let holder = |_| scene.state.default_keyspace()?.claimant(partition).map(|w| w.id().to_string());
            let held: Vec<_> = (0..10).map(holder).collect();
            assert!(held.iter().all(|h| *h == held[0] && h.is_some()), "after `{unrelated}`: {held:?}");
        }
    }
    assert_eq!(picture::owners(scene.state.default_keyspace().expect("formed")), before);
}

/// The router answers the three differently, so the state tells them apart: nobody claims it, its holder is not
/// routable, the count is unknown.
#[test]
fn unowned_expired_and_unknown_count_are_distinct() {
    check_unformed(
        "form ? kafka; register w1 0; look; observe default 2; expire w1; look; unregister w1",
        expect![[r#"
            1 form ? kafka
                done
                * default has ? partitions
            2 register w1 0
                registered, epoch 2
                * w1 has lease 2
            index 2, 0s, 1 routable
              default/?:
              w1 [0] live, epoch 2, changed at 2
            3 observe default 2
                done
                * default has 2 partitions
            4 expire w1
                done
                * w1 live -> expired, epoch 2
            index 4, 0s, 0 routable
              default/2: 0=w1(expired)
              w1 [0] expired at 0s, epoch 2, changed at 4
            5 unregister w1
                done
                * w1 expired -> departed, epoch 2
            index 5, 0s, 0 routable
              default/2:
              w1 [] unregistered at 0s, epoch 2, changed at 5
        "#]],
    );
}

/// Defect 2 of the original: registering anew kept the old time of registration, by which it ordered claims, so
/// a partly evicted worker could never win back what it had lost.
#[test]
fn defect_2_a_partly_evicted_worker_wins_back_by_registering_anew() {
    check(
        "register w1 0,1; register w2 1; register w1 0,1",
        expect![[r#"
        2 register w1 0,1
            registered, epoch 2
            * w1 has lease 2
        3 register w2 1
            registered, epoch 3
            * w2 takes 1 from w1
            * w2 has lease 3
        4 register w1 0,1
            registered, epoch 4
            * w1 takes 1 from w2
            * w2 live -> departed, epoch 3
            * w1 has lease 4
        index 4, 0s, 1 routable
          default/12: 0=w1 1=w1
          w1 [0,1] live, epoch 4, changed at 4
          w2 [] displaced at 0s, epoch 3, changed at 4
    "#]],
    );
}

/// Defect 3 of the original: a heartbeat whose body differs from the registration was ignored. Here a changed
/// registration is a new one, address included.
#[test]
fn defect_3_a_changed_address_and_list_take_effect_at_once() {
    check(
        "register w1 0,1 at=old; register w1 1,2 at=new",
        expect![[r#"
        2 register w1 0,1 at=old
            registered, epoch 2
            * w1 has lease 2
        3 register w1 1,2 at=new
            registered, epoch 3
            * w1 has lease 3
        index 3, 0s, 1 routable
          default/12: 1=w1 2=w1
          w1 at new [1,2] live, epoch 3, changed at 3
    "#]],
    );
}

/// Defect 5 of the original: a restart emptied everything.
#[test]
fn defect_5_a_restart_keeps_owners_expired_ones_included() {
    check(
        "@1 register w1 0,1; register w2 2; @40 expire w2; snapshot; revive w2",
        expect![[r#"
        2 @1 register w1 0,1
            registered, epoch 2
            * w1 has lease 2
        3 register w2 2
            registered, epoch 3
            * w2 has lease 3
        4 @40 expire w2
            done
            * w2 live -> expired, epoch 3
        5 revive w2
            done
            * w2 expired -> live, epoch 5
        index 5, 40s, 2 routable
          default/12: 0=w1 1=w1 2=w2
          w1 [0,1] live, epoch 2, changed at 2
          w2 [2] live, epoch 5 (of 3), changed at 5
    "#]],
    );
}

#[test]
fn an_expired_worker_keeps_its_claims_and_gets_back_what_nobody_newer_claimed() {
    check(
        "@1 register w1 0,1,2; @40 expire w1; look; @50 register w2 1; @60 revive w1",
        expect![[r#"
            2 @1 register w1 0,1,2
                registered, epoch 2
                * w1 has lease 2
            3 @40 expire w1
                done
                * w1 live -> expired, epoch 2
            index 3, 40s, 0 routable
              default/12: 0=w1(expired) 1=w1(expired) 2=w1(expired)
              w1 [0,1,2] expired at 40s, epoch 2, changed at 3
            4 @50 register w2 1
                registered, epoch 4
                * w2 takes 1 from w1
                * w2 has lease 4
            5 @60 revive w1
                done
                * w1 expired -> live, epoch 5
            index 5, 60s, 2 routable
              default/12: 0=w1 1=w2 2=w1
              w1 [0,2] lost [1] live, epoch 5 (of 2), changed at 5
              w2 [1] live, epoch 4, changed at 4
        "#]],
    );
}

#[test]
fn an_expired_worker_whose_partitions_were_all_claimed_is_displaced_and_not_revived() {
    check(
        "@1 register w1 0; @40 expire w1; @50 register w2 0; @60 revive w1",
        expect![[r#"
        2 @1 register w1 0
            registered, epoch 2
            * w1 has lease 2
        3 @40 expire w1
            done
            * w1 live -> expired, epoch 2
        4 @50 register w2 0
            registered, epoch 4
            * w2 takes 1 from w1
            * w1 expired -> departed, epoch 2
            * w2 has lease 4
        5 @60 revive w1
            unchanged
        index 5, 60s, 1 routable
          default/12: 0=w2
          w1 [] displaced at 50s, epoch 2, changed at 4
          w2 [0] live, epoch 4, changed at 4
    "#]],
    );
}
