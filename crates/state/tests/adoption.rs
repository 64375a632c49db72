//! A heartbeat that carries a whole registration stands in for one only where nothing newer is known: it brings back
//! neither who said goodbye nor who was displaced.

mod support;

use expect_test::expect;
use support::check;

/// R5: a recorded heartbeat is replayed after its worker unregistered.
#[test]
fn a_late_heartbeat_brings_nobody_back_for_sixty_seconds_and_a_registration_does() {
    check(
        "@1 register w1 0; @10 unregister w1; @11 adopt w1 0; @69.999 adopt w1 0; look; \
         @69.999 register w1 0",
        expect![[r#"
            2 @1 register w1 0
                registered, epoch 2
                * w1 has lease 2
            3 @10 unregister w1
                done
                * w1 live -> departed, epoch 2
            4 @11 adopt w1 0
                refused: worker w1 is not registered
            5 @69.999 adopt w1 0
                refused: worker w1 is not registered
            index 5, 69.999s, 0 routable
              default/12:
              w1 [] unregistered at 10s, epoch 2, changed at 3
            6 @69.999 register w1 0
                registered, epoch 6
                * w1 has lease 6
                * w1 departed -> live, epoch 6
            index 6, 69.999s, 1 routable
              default/12: 0=w1
              w1 [0] live, epoch 6, changed at 6
        "#]],
    );
}

#[test]
fn a_worker_that_said_goodbye_is_adopted_again_after_sixty_seconds() {
    check(
        "@1 register w1 0; @10 unregister w1; @70 adopt w1 0",
        expect![[r#"
        2 @1 register w1 0
            registered, epoch 2
            * w1 has lease 2
        3 @10 unregister w1
            done
            * w1 live -> departed, epoch 2
        4 @70 adopt w1 0
            registered, epoch 4
            * w1 is forgotten
            * w1 has lease 4
        index 4, 70s, 1 routable
          default/12: 0=w1
          w1 [0] live, epoch 4, changed at 4
    "#]],
    );
}

/// The heartbeat was sent before the registration that stands, and is overtaken by it.
#[test]
fn adopting_a_known_worker_changes_nothing() {
    check(
        "register w1 0,1 at=new; adopt w1 5 at=old; expire w1; adopt w1 5 at=old",
        expect![[r#"
        2 register w1 0,1 at=new
            registered, epoch 2
            * w1 has lease 2
        3 adopt w1 5 at=old
            registered, epoch 2
        4 expire w1
            done
            * w1 live -> expired, epoch 2
        5 adopt w1 5 at=old
            registered, epoch 2
        index 5, 0s, 0 routable
          default/12: 0=w1(expired) 1=w1(expired)
          w1 at new [0,1] expired at 0s, epoch 2, changed at 4
    "#]],
    );
}

#[test]
fn an_unknown_worker_is_adopted_as_if_it_registered() {
    check(
        "register w2 0,99; adopt w1 0,1,99",
        expect![[r#"
            2 register w2 0,99
                registered, epoch 2
                * w2 has lease 2
            3 adopt w1 0,1,99
                registered, epoch 3
                * w1 takes 2 from w2
                * w2 live -> departed, epoch 2
                * w1 has lease 3
            index 3, 0s, 1 routable
              default/12: 0=w1 1=w1
              w1 [0,1,99] live, epoch 3, changed at 3
              w2 [] displaced at 0s, epoch 2, changed at 3
        "#]],
    );
}

/// Scenario: w2 took over all that w1 had, and w1 goes on beating with its old list. Were it adopted, the older
/// claimant would win the partitions back from the newer one, at the next beat or once it was forgotten.
#[test]
fn a_heartbeat_brings_no_displaced_worker_back_for_a_day_and_a_registration_does() {
    check(
        "@1 register w1 0; @2 register w2 0; @3 adopt w1 0; adopt w1 1; @70 adopt w1 0; \
         @86401.999 adopt w1 0; look; register w1 0",
        expect![[r#"
            2 @1 register w1 0
                registered, epoch 2
                * w1 has lease 2
            3 @2 register w2 0
                registered, epoch 3
                * w2 takes 1 from w1
                * w1 live -> departed, epoch 2
                * w2 has lease 3
            4 @3 adopt w1 0
                refused: worker w1 is not registered
            5 adopt w1 1
                refused: worker w1 is not registered
            6 @70 adopt w1 0
                refused: worker w1 is not registered
            7 @86401.999 adopt w1 0
                refused: worker w1 is not registered
            index 7, 86401.999s, 1 routable
              default/12: 0=w2
              w1 [] displaced at 2s, epoch 2, changed at 3
              w2 [0] live, epoch 3, changed at 3
            8 register w1 0
                registered, epoch 8
                * w1 takes 1 from w2
                * w2 live -> departed, epoch 3
                * w1 has lease 8
                * w1 departed -> live, epoch 8
            index 8, 86401.999s, 1 routable
              default/12: 0=w1
              w1 [0] live, epoch 8, changed at 8
              w2 [] displaced at 86401.999s, epoch 3, changed at 8
        "#]],
    );
}

#[test]
fn a_displaced_worker_is_adopted_again_after_a_day() {
    check(
        "@1 register w1 0; @2 register w2 0; @86402 adopt w1 1",
        expect![[r#"
            2 @1 register w1 0
                registered, epoch 2
                * w1 has lease 2
            3 @2 register w2 0
                registered, epoch 3
                * w2 takes 1 from w1
                * w1 live -> departed, epoch 2
                * w2 has lease 3
            4 @86402 adopt w1 1
                registered, epoch 4
                * w1 is forgotten
                * w1 has lease 4
            index 4, 86402s, 2 routable
              default/12: 0=w2 1=w1
              w1 [1] live, epoch 4, changed at 4
              w2 [0] live, epoch 3, changed at 3
        "#]],
    );
}
