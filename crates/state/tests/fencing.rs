//! A late message never undoes a newer fact: each names the epoch that it is about, and epochs strictly grow.

mod support;

use expect_test::expect;
use quorate_model::{Epoch, Reply};
use std::collections::BTreeMap;
use support::{Scene, check};

/// Trigger: the leader decided on the expiry before the worker's new registration was applied.
#[test]
fn a_late_expiry_of_an_old_epoch_is_void() {
    check(
        "@1 register w1 0; @31 register w1 0; @32 expire w1 epoch=2; suspect w1 epoch=2",
        expect![[r#"
        2 @1 register w1 0
            registered, epoch 2
            * w1 has lease 2
        3 @31 register w1 0
            registered, epoch 3
            * w1 has lease 3
        4 @32 expire w1 epoch=2
            unchanged
        5 suspect w1 epoch=2
            unchanged
        index 5, 32s, 1 routable
          default/12: 0=w1
          w1 [0] live, epoch 3, changed at 3
    "#]],
    );
}

#[test]
fn a_late_unregister_of_an_old_lease_is_void() {
    check(
        "register w1 0; register w1 0; unregister w1 lease=2; unregister w1 lease=3",
        expect![[r#"
        2 register w1 0
            registered, epoch 2
            * w1 has lease 2
        3 register w1 0
            registered, epoch 3
            * w1 has lease 3
        4 unregister w1 lease=2
            refused: worker w1 is at epoch 3; the command names 2
        5 unregister w1 lease=3
            done
            * w1 live -> departed, epoch 3
        index 5, 0s, 0 routable
          default/12:
          w1 [] unregistered at 0s, epoch 3, changed at 5
    "#]],
    );
}

/// A revival is a new grant, so that an expiry which was decided before it does not strike twice.
#[test]
fn a_revival_voids_what_is_under_way_about_the_life_before() {
    check(
        "@1 register w1 0; @40 expire w1; @41 revive w1; @42 expire w1 epoch=2; revive w1 epoch=2",
        expect![[r#"
            2 @1 register w1 0
                registered, epoch 2
                * w1 has lease 2
            3 @40 expire w1
                done
                * w1 live -> expired, epoch 2
            4 @41 revive w1
                done
                * w1 expired -> live, epoch 4
            5 @42 expire w1 epoch=2
                unchanged
            6 revive w1 epoch=2
                unchanged
            index 6, 42s, 1 routable
              default/12: 0=w1
              w1 [0] live, epoch 4 (of 2), changed at 4
        "#]],
    );
}

/// A revival gives a new token, under the lease id that the worker got when it registered. A worker that never noticed
/// its expiry knows no other id.
#[test]
fn a_revived_worker_unregisters_with_the_lease_id_that_it_has() {
    check(
        "@1 register w1 0; @40 expire w1; @41 revive w1; @42 unregister w1 lease=4; look; unregister w1 lease=2",
        expect![[r#"
            2 @1 register w1 0
                registered, epoch 2
                * w1 has lease 2
            3 @40 expire w1
                done
                * w1 live -> expired, epoch 2
            4 @41 revive w1
                done
                * w1 expired -> live, epoch 4
            5 @42 unregister w1 lease=4
                refused: worker w1 is at epoch 2; the command names 4
            index 5, 42s, 1 routable
              default/12: 0=w1
              w1 [0] live, epoch 4 (of 2), changed at 4
            6 unregister w1 lease=2
                done
                * w1 live -> departed, epoch 4
            index 6, 42s, 0 routable
              default/12:
              w1 [] unregistered at 42s, epoch 4 (of 2), changed at 6
        "#]],
    );
}

#[test]
fn a_late_unregister_of_an_old_lease_is_void_after_a_revival_too() {
    check(
        "@1 register w1 0; @2 register w1 0; @40 expire w1; @41 revive w1; @42 unregister w1 lease=2",
        expect![[r#"
            2 @1 register w1 0
                registered, epoch 2
                * w1 has lease 2
            3 @2 register w1 0
                registered, epoch 3
                * w1 has lease 3
            4 @40 expire w1
                done
                * w1 live -> expired, epoch 3
            5 @41 revive w1
                done
                * w1 expired -> live, epoch 5
            6 @42 unregister w1 lease=2
                refused: worker w1 is at epoch 3; the command names 2
            index 6, 42s, 1 routable
              default/12: 0=w1
              w1 [0] live, epoch 5 (of 3), changed at 5
        "#]],
    );
}

#[test]
fn an_expiry_of_a_worker_that_said_goodbye_is_void() {
    check(
        "register w1 0; unregister w1; expire w1 epoch=2; revive w1 epoch=2; unregister w1",
        expect![[r#"
        2 register w1 0
            registered, epoch 2
            * w1 has lease 2
        3 unregister w1
            done
            * w1 live -> departed, epoch 2
        4 expire w1 epoch=2
            unchanged
        5 revive w1 epoch=2
            unchanged
        6 unregister w1
            refused: worker w1 is not registered
        index 6, 0s, 0 routable
          default/12:
          w1 [] unregistered at 0s, epoch 2, changed at 3
    "#]],
    );
}

#[test]
fn two_grants_in_one_entry_have_different_epochs_and_the_next_entry_s_is_larger() {
    check(
        "register w1 0 & register w2 1 & register w1 0; register w3 2; tick; register w4 3",
        expect![[r#"
        2 register w1 0 & register w2 1 & register w1 0
            registered, epoch 2
            registered, epoch 3
            registered, epoch 4
            * w1 has lease 2
            * w2 has lease 3
            * w1 has lease 4
        3 register w3 2
            registered, epoch 5
            * w3 has lease 5
        4 tick
        5 register w4 3
            registered, epoch 6
            * w4 has lease 6
        index 5, 0s, 4 routable
          default/12: 0=w1 1=w2 2=w3 3=w4
          w1 [0] live, epoch 4, changed at 2
          w2 [1] live, epoch 3, changed at 2
          w3 [2] live, epoch 5, changed at 3
          w4 [3] live, epoch 6, changed at 5
    "#]],
    );
}

/// R3: whoever held a partition before holds an older token.
#[test]
fn the_tokens_of_a_partition_strictly_grow() {
    let mut scene = Scene::formed();
    let mut last: BTreeMap<u32, Epoch> = BTreeMap::new();
    let steps = [
        "register w1 0,1 & register w2 1,2 & register w3 0,2",
        "register w1 0,1,2",
        "expire w1",
        "revive w1 & register w2 0 & register w3 1",
        "snapshot",
        "unregister w2 & register w2 0,1",
        "register w1 0,1,2 & unregister w1 & register w1 2 & register w2 0,1",
    ];
    for step in steps {
        let index = scene.state.index();
        scene.run(step);
        for partition in 0..3 {
            let Some(holder) = scene.state.default_keyspace().expect("formed").claimant(partition) else {
                continue;
            };
            let before = last.insert(partition, holder.epoch).unwrap_or(Epoch(0));
            let granted_now = holder.changed > index && holder.is_routable();
            assert!(holder.epoch >= before, "{partition} after `{step}`: {} after {before}", holder.epoch);
            assert!(!granted_now || holder.epoch > before, "{partition} after `{step}`: still {before}");
        }
    }
}

#[test]
fn if_match_refuses_what_was_meant_for_another_version() {
    check(
        "register w1 0; suspect w1; register w1 1 if=2; unregister w1 if=2; register w1 1 if=3; \
         unregister w1 if=5; unregister w1 if=6",
        expect![[r#"
            2 register w1 0
                registered, epoch 2
                * w1 has lease 2
            3 suspect w1
                done
                * w1 live -> suspect, epoch 2
            4 register w1 1 if=2
                refused: the record last changed at index 3, not at 2
            5 unregister w1 if=2
                refused: the record last changed at index 3, not at 2
            6 register w1 1 if=3
                registered, epoch 6
                * w1 has lease 6
                * w1 suspect -> live, epoch 6
            7 unregister w1 if=5
                refused: the record last changed at index 6, not at 5
            8 unregister w1 if=6
                done
                * w1 live -> departed, epoch 6
            index 8, 0s, 0 routable
              default/12:
              w1 [] unregistered at 0s, epoch 6, changed at 8
        "#]],
    );
}

#[test]
fn if_match_zero_means_does_not_exist() {
    check(
        "register w1 0 if=0; register w1 0 if=0; unregister w1; register w1 0 if=4; register w1 0 if=0; \
         unregister w9 if=0",
        expect![[r#"
            2 register w1 0 if=0
                registered, epoch 2
                * w1 has lease 2
            3 register w1 0 if=0
                refused: the record last changed at index 2, not at 0
            4 unregister w1
                done
                * w1 live -> departed, epoch 2
            5 register w1 0 if=4
                refused: the record last changed at index 0, not at 4
            6 register w1 0 if=0
                registered, epoch 6
                * w1 has lease 6
                * w1 departed -> live, epoch 6
            7 unregister w9 if=0
                refused: worker w9 is not registered
            index 7, 0s, 1 routable
              default/12: 0=w1
              w1 [0] live, epoch 6, changed at 6
        "#]],
    );
}

#[test]
fn if_match_on_a_keyspace() {
    check(
        "put default 24 if=0; put default 24 if=1; put orders 3 if=1; put orders 3 if=0",
        expect![[r#"
        2 put default 24 if=0
            refused: the record last changed at index 1, not at 0
        3 put default 24 if=1
            done
            * default has 24 partitions
        4 put orders 3 if=1
            refused: the record last changed at index 0, not at 1
        5 put orders 3 if=0
            done
            * orders has 3 partitions
        index 5, 0s, 0 routable
          default/24:
          orders/3:
    "#]],
    );
}

#[test]
fn losing_a_partition_is_a_change_that_if_match_notices() {
    check(
        "register w1 0,1; register w2 1; unregister w1 if=2; unregister w1 if=3",
        expect![[r#"
        2 register w1 0,1
            registered, epoch 2
            * w1 has lease 2
        3 register w2 1
            registered, epoch 3
            * w2 takes 1 from w1
            * w2 has lease 3
        4 unregister w1 if=2
            refused: the record last changed at index 3, not at 2
        5 unregister w1 if=3
            done
            * w1 live -> departed, epoch 2
        index 5, 0s, 1 routable
          default/12: 1=w2
          w1 [] unregistered at 0s, epoch 2, changed at 5
          w2 [1] live, epoch 3, changed at 3
    "#]],
    );
}

#[test]
fn a_repeated_unregister_finds_nobody() {
    let mut scene = Scene::formed();
    assert_eq!(scene.run("register w1 0; unregister w1"), [Reply::Done]);
    assert!(matches!(scene.run("unregister w1")[..], [Reply::Refused(_)]));
    assert_eq!(scene.state.worker_count(), 0);
}
