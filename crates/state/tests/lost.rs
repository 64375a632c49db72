//! What a worker registered and lost. A v2 heartbeat repeats the whole list, so without this memory a partly evicted
//! worker that merely beats could not be told from one that wants its partitions back.

mod support;

use expect_test::expect;
use quorate_model::Partition;
use support::{Scene, check};

/// Runs `script` and asks whether w1 registered exactly each of these lists.
fn check_w1(script: &str, lists: &[(&[i32], bool)]) {
    let mut scene = Scene::formed();
    scene.run(script);
    let worker = scene.state.worker("w1").expect("remembered");
    for (list, expected) in lists {
        let partitions: Vec<_> = list.iter().copied().map(Partition).collect();
        assert_eq!(worker.registered_exactly(&partitions), *expected, "{list:?} after `{script}`");
    }
}

#[test]
fn a_worker_that_lost_nothing_registered_what_it_holds() {
    check_w1("register w1 0,1", &[(&[0, 1], true), (&[0], false), (&[0, 1, 2], false), (&[], false)]);
    check_w1("register w1 -; register w2 0", &[(&[], true), (&[0], false)]);
}

#[test]
fn a_partly_evicted_worker_that_repeats_its_old_list_is_unchanged() {
    check_w1("register w1 0,1,2; register w2 1", &[(&[0, 1, 2], true)]);
}

#[test]
fn a_partly_evicted_worker_that_lists_what_it_still_holds_has_changed() {
    check_w1("register w1 0,1,2; register w2 1", &[(&[0, 2], false), (&[1], false), (&[], false)]);
}

#[test]
fn a_partly_evicted_worker_that_adds_a_partition_has_changed() {
    check_w1("register w1 0,1,2; register w2 1", &[(&[0, 1, 2, 3], false), (&[0, 2, 3], false)]);
}

#[test]
fn a_partly_evicted_worker_that_swaps_a_partition_has_changed() {
    check_w1("register w1 0,1,2; register w2 1", &[(&[0, 1, 3], false), (&[0, 3, 4], false)]);
}

/// The losses are remembered in the order in which they happened, which is not that of the partitions.
#[test]
fn successive_losses_add_up_in_whatever_order() {
    let script = "register w1 -1,0,1,2,99; register w2 2,99; register w3 0; register w4 -1";
    check_w1(script, &[(&[-1, 0, 1, 2, 99], true), (&[-1, 1, 2, 99], false), (&[1], false)]);
    check(
        script,
        expect![[r#"
            2 register w1 -1,0,1,2,99
                registered, epoch 2
                * w1 has lease 2
            3 register w2 2,99
                registered, epoch 3
                * w2 takes 2 from w1
                * w2 has lease 3
            4 register w3 0
                registered, epoch 4
                * w3 takes 1 from w1
                * w3 has lease 4
            5 register w4 -1
                registered, epoch 5
                * w4 takes 1 from w1
                * w4 has lease 5
            index 5, 0s, 4 routable
              default/12: 0=w3 1=w1 2=w2
              w1 [1] lost [2,99,0,-1] live, epoch 2, changed at 5
              w2 [2,99] live, epoch 3, changed at 3
              w3 [0] live, epoch 4, changed at 4
              w4 [-1] live, epoch 5, changed at 5
        "#]],
    );
}

/// The winner's goodbye does not give it back: it is unowned, and the loser still has lost it.
#[test]
fn a_loss_stays_one_when_the_winner_leaves() {
    check(
        "register w1 0,1; register w2 1; unregister w2",
        expect![[r#"
            2 register w1 0,1
                registered, epoch 2
                * w1 has lease 2
            3 register w2 1
                registered, epoch 3
                * w2 takes 1 from w1
                * w2 has lease 3
            4 unregister w2
                done
                * w2 live -> departed, epoch 3
            index 4, 0s, 1 routable
              default/12: 0=w1
              w1 [0] lost [1] live, epoch 2, changed at 3
              w2 [] unregistered at 0s, epoch 3, changed at 4
        "#]],
    );
}

#[test]
fn a_worker_that_lost_all_but_its_services_is_unchanged_when_it_repeats_its_list() {
    check_w1("register w1 0,1 svc=chat; register w2 0,1", &[(&[0, 1], true), (&[], false)]);
}

#[test]
fn losses_outlast_expiry_revival_and_a_heartbeat() {
    let script = "register w1 0,1,2; register w2 1; suspect w1; recover w1; expire w1; register w3 2; \
                  revive w1; adopt w1 0,1,2";
    check_w1(script, &[(&[0, 1, 2], true), (&[0], false)]);
}

#[test]
fn losses_outlast_a_snapshot() {
    let script = "register w1 0,1,2; register w2 1; snapshot";
    check_w1(script, &[(&[0, 1, 2], true), (&[0, 2], false)]);
    check_w1(&format!("{script}; register w3 2; snapshot"), &[(&[0, 1, 2], true), (&[0], false)]);
}

#[test]
fn registering_anew_clears_what_was_lost() {
    check_w1("register w1 0,1,2; register w2 1; register w1 0,2", &[(&[0, 2], true), (&[0, 1, 2], false)]);
    check(
        "register w1 0,1; register w2 1; look; register w1 0",
        expect![[r#"
            2 register w1 0,1
                registered, epoch 2
                * w1 has lease 2
            3 register w2 1
                registered, epoch 3
                * w2 takes 1 from w1
                * w2 has lease 3
            index 3, 0s, 2 routable
              default/12: 0=w1 1=w2
              w1 [0] lost [1] live, epoch 2, changed at 3
              w2 [1] live, epoch 3, changed at 3
            4 register w1 0
                registered, epoch 4
                * w1 has lease 4
            index 4, 0s, 2 routable
              default/12: 0=w1 1=w2
              w1 [0] live, epoch 4, changed at 4
              w2 [1] live, epoch 3, changed at 3
        "#]],
    );
}

#[test]
fn unregistering_clears_what_was_lost() {
    check_w1(
        "register w1 0,1; register w2 1; unregister w1",
        &[(&[], true), (&[1], false), (&[0, 1], false)],
    );
}

#[test]
fn being_displaced_clears_what_was_lost() {
    check_w1("register w1 0,1; register w2 1; register w3 0", &[(&[], true), (&[0, 1], false)]);
}

#[test]
fn a_refused_registration_clears_nothing() {
    check_w1("register w1 0,1; register w2 1; register w1 0 if=1", &[(&[0, 1], true), (&[0], false)]);
}
