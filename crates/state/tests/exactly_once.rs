//! A repeated proposal is answered with its first reply and applied once, whatever happened in between.

mod support;

use expect_test::expect;
use quorate_model::{BootId, LogIndex, Origin, Refusal, Reply, limit};
use support::{Scene, check, picture};

#[test]
fn a_repeat_is_answered_with_the_first_reply_and_applied_once() {
    check(
        "register w1 0 as=7/1; register w2 0; register w1 0 as=7/1",
        expect![[r#"
        2 register w1 0 as=7/1
            registered, epoch 2
            * w1 has lease 2
        3 register w2 0
            registered, epoch 3
            * w2 takes 1 from w1
            * w1 live -> departed, epoch 2
            * w2 has lease 3
        4 register w1 0 as=7/1
            registered, epoch 2
        index 4, 0s, 1 routable
          default/12: 0=w2
          w1 [] displaced at 0s, epoch 2, changed at 3
          w2 [0] live, epoch 3, changed at 3
    "#]],
    );
}

/// A proposer whose first try was carried out by a leader that then died repeats it; the answer once named the
/// repeat's entry, so that `If-Match` with that index never matched.
#[test]
fn a_repeat_was_carried_out_where_the_first_one_was() {
    let mut scene = Scene::formed();
    scene.run("register w1 0 as=7/1; register w2 1; register w1 0 as=7/1");
    let origin = |sequence| Origin { boot: BootId(7), sequence };
    assert_eq!(scene.state.index(), LogIndex(4));
    assert_eq!(scene.state.carried_out_at(origin(1)), Some(LogIndex(2)));
    assert_eq!(scene.state.carried_out_at(origin(2)), None, "never seen");
}

#[test]
fn a_repeat_within_one_entry_is_applied_once() {
    check(
        "register w1 0 as=7/1 & register w1 0 as=7/1",
        expect![[r#"
        2 register w1 0 as=7/1 & register w1 0 as=7/1
            registered, epoch 2
            registered, epoch 2
            * w1 has lease 2
        index 2, 0s, 1 routable
          default/12: 0=w1
          w1 [0] live, epoch 2, changed at 2
    "#]],
    );
}

#[test]
fn a_refusal_is_repeated_too_though_it_would_succeed_by_now() {
    check(
        "unregister w1 as=7/1; register w1 0; unregister w1 as=7/1",
        expect![[r#"
        2 unregister w1 as=7/1
            refused: worker w1 is not registered
        3 register w1 0
            registered, epoch 3
            * w1 has lease 3
        4 unregister w1 as=7/1
            refused: worker w1 is not registered
        index 4, 0s, 1 routable
          default/12: 0=w1
          w1 [0] live, epoch 3, changed at 3
    "#]],
    );
}

#[test]
fn a_repeat_is_known_by_its_origin_and_not_by_its_content() {
    check(
        "register w1 0 as=7/1; register w1 0 as=7/2; register w1 0 as=8/1; register w9 9 as=7/1",
        expect![[r#"
        2 register w1 0 as=7/1
            registered, epoch 2
            * w1 has lease 2
        3 register w1 0 as=7/2
            registered, epoch 3
            * w1 has lease 3
        4 register w1 0 as=8/1
            registered, epoch 4
            * w1 has lease 4
        5 register w9 9 as=7/1
            registered, epoch 2
        index 5, 0s, 1 routable
          default/12: 0=w1
          w1 [0] live, epoch 4, changed at 4
    "#]],
    );
}

#[test]
fn a_repeat_is_recognised_by_a_state_that_came_from_a_snapshot() {
    check(
        "register w1 0 as=7/1; register w2 0; snapshot; register w1 0 as=7/1",
        expect![[r#"
        2 register w1 0 as=7/1
            registered, epoch 2
            * w1 has lease 2
        3 register w2 0
            registered, epoch 3
            * w2 takes 1 from w1
            * w1 live -> departed, epoch 2
            * w2 has lease 3
        4 register w1 0 as=7/1
            registered, epoch 2
        index 4, 0s, 1 routable
          default/12: 0=w2
          w1 [] displaced at 0s, epoch 2, changed at 3
          w2 [0] live, epoch 3, changed at 3
    "#]],
    );
}

#[test]
fn proposals_of_one_node_may_arrive_in_any_order() {
    check(
        "register w1 0 as=7/3; register w2 1 as=7/1; register w3 2 as=7/2; register w2 1 as=7/1",
        expect![[r#"
        2 register w1 0 as=7/3
            registered, epoch 2
            * w1 has lease 2
        3 register w2 1 as=7/1
            registered, epoch 3
            * w2 has lease 3
        4 register w3 2 as=7/2
            registered, epoch 4
            * w3 has lease 4
        5 register w2 1 as=7/1
            registered, epoch 3
        index 5, 0s, 3 routable
          default/12: 0=w1 1=w2 2=w3
          w1 [0] live, epoch 2, changed at 2
          w2 [1] live, epoch 3, changed at 3
          w3 [2] live, epoch 4, changed at 4
    "#]],
    );
}

/// The window can't tell whether it was applied, so it must not be applied (perhaps again).
#[test]
fn a_forgotten_origin_is_refused_and_not_applied() {
    let mut scene = Scene::formed();
    let one = |s| format!("register w{} - as=7/{s}", s % 10);
    let sequences: Vec<_> = (2..=limit::REPLY_WINDOW + 2).map(one).collect();
    scene.run(&sequences.join("&"));
    for round in ["as it was", "from a snapshot"] {
        for old in [1, 2] {
            let reply = scene.run(&format!("register late 0 as=7/{old}"));
            assert_eq!(reply, [Reply::Refused(Refusal::Forgotten)], "sequence {old}, {round}");
        }
        let oldest_known = scene.run("register late 0 as=7/3");
        assert_eq!(picture::reply(&oldest_known[0]), "registered, epoch 3", "{round}");
        assert!(scene.state.worker("late").is_none(), "{round}");
        scene.run("snapshot");
    }
}

#[test]
fn the_window_that_was_silent_for_longest_goes_first() {
    let mut scene = Scene::formed();
    for boot in 2..=limit::REPLY_WINDOWS_MAX {
        scene.run(&format!("register w{boot} - as={boot}/1"));
    }
    // Boot 1 formed the cluster at index 1, and boot 2 speaks again: so 3 is silent for longest once 1 is gone.
    scene.run("register w2 - as=2/2; register new - as=100/1; register newer - as=101/1");
    let parts = scene.state.parts();
    let boots: Vec<_> = parts.windows.iter().map(|w| w.boot.0).collect();
    assert_eq!(boots, [2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 100, 101]);
    let last = scene.state.index();
    assert_eq!(picture::reply(&scene.run("register w4 - as=4/1")[0]), "registered, epoch 4", "still known");
    assert!(scene.state.worker("w4").expect("registered").changed < last);
}

/// A boot of which nobody has heard is no repeat, and a repeat does not push anybody out.
#[test]
fn a_repeat_does_not_make_a_window() {
    let mut scene = Scene::formed();
    scene.run("register w1 0 as=7/1");
    let before = scene.state.parts().windows;
    scene.run("register w1 0 as=7/1");
    assert_eq!(scene.state.parts().windows, before);
}
