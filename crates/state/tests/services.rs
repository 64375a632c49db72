//! Services are derived from the workers' records, operators' words outlive registrations, and a group has one
//! delegate that all nodes agree on.

mod support;

use expect_test::expect;
use support::{Scene, check};

/// The original dropped a stale worker from its index for good.
#[test]
fn a_revived_worker_is_back_in_its_services() {
    check(
        "@1 register w1 - svc=chat,echo; @40 expire w1; look; @41 revive w1",
        expect![[r#"
            2 @1 register w1 - svc=chat,echo
                registered, epoch 2
                * w1 has lease 2
            3 @40 expire w1
                done
                * w1 live -> expired, epoch 2
            index 3, 40s, 0 routable
              default/12:
              w1 [] chat echo expired at 40s, epoch 2, changed at 3
              service chat, vacant since 3: (w1)
              service echo, vacant since 3: (w1)
            4 @41 revive w1
                done
                * w1 expired -> live, epoch 4
            index 4, 41s, 1 routable
              default/12:
              w1 [] chat echo live, epoch 4 (of 2), changed at 4
              service chat: w1
              service echo: w1
        "#]],
    );
}

#[test]
fn an_operator_s_word_outlives_registrations_goodbyes_and_snapshots() {
    check(
        "@1 register w1 0 svc=chat; @2 drain w1 & weight w1 7; register w1 0 svc=chat; unregister w1; look; \
         snapshot; @3 register w1 0 svc=chat; @4 resume w1; weight w1 -; weight w1 -; drain w2; drain w1 if=3",
        expect![[r#"
            2 @1 register w1 0 svc=chat
                registered, epoch 2
                * w1 has lease 2
            3 @2 drain w1 & weight w1 7
                done
                done
                * w1 is to be draining
                * w1 is to be draining, weight 7
            4 register w1 0 svc=chat
                registered, epoch 4
                * w1 has lease 4
            5 unregister w1
                done
                * w1 live -> departed, epoch 4
            index 5, 2s, 0 routable
              default/12:
              w1 [] chat unregistered at 2s, draining since 2s, weight 7, epoch 4, changed at 5
            6 @3 register w1 0 svc=chat
                registered, epoch 6
                * w1 has lease 6
                * w1 departed -> live, epoch 6
            7 @4 resume w1
                done
                * w1 is to be in_service, weight 7
            8 weight w1 -
                done
                * w1 is to be in_service
            9 weight w1 -
                unchanged
            10 drain w2
                refused: worker w2 is not registered
            11 drain w1 if=3
                refused: the record last changed at index 8, not at 3
            index 11, 4s, 1 routable
              default/12: 0=w1
              w1 [0] chat live, epoch 6, changed at 8
              service chat: w1
        "#]],
    );
}

#[test]
fn a_service_is_vacant_since_its_last_worker_stopped_to_get_requests() {
    check(
        "service chat hold=5; register w1 - svc=chat; register w2 - svc=chat; drain w1; look; expire w2; look; \
         resume w1; unregister w1; look; unregister w2; look; delete-service chat; delete-service chat",
        expect![[r#"
            2 service chat hold=5
                done
                * service chat has another policy
            3 register w1 - svc=chat
                registered, epoch 3
                * w1 has lease 3
            4 register w2 - svc=chat
                registered, epoch 4
                * w2 has lease 4
            5 drain w1
                done
                * w1 is to be draining
            index 5, 0s, 2 routable
              default/12:
              w1 [] chat live, draining since 0s, epoch 3, changed at 5
              w2 [] chat live, epoch 4, changed at 4
              service chat, hold 5s: (w1) w2
            6 expire w2
                done
                * w2 live -> expired, epoch 4
            index 6, 0s, 1 routable
              default/12:
              w1 [] chat live, draining since 0s, epoch 3, changed at 5
              w2 [] chat expired at 0s, epoch 4, changed at 6
              service chat, hold 5s, vacant since 6: (w1) (w2)
            7 resume w1
                done
                * w1 is to be in_service
            8 unregister w1
                done
                * w1 live -> departed, epoch 3
            index 8, 0s, 0 routable
              default/12:
              w1 [] chat unregistered at 0s, epoch 3, changed at 8
              w2 [] chat expired at 0s, epoch 4, changed at 6
              service chat, hold 5s, vacant since 8: (w2)
            9 unregister w2
                done
                * w2 expired -> departed, epoch 4
            index 9, 0s, 0 routable
              default/12:
              w1 [] chat unregistered at 0s, epoch 3, changed at 8
              w2 [] chat unregistered at 0s, epoch 4, changed at 9
              service chat, hold 5s, vacant since 8:
            10 delete-service chat
                done
                * service chat has another policy
            11 delete-service chat
                refused: service chat has no policy
            index 11, 0s, 0 routable
              default/12:
              w1 [] chat unregistered at 0s, epoch 3, changed at 8
              w2 [] chat unregistered at 0s, epoch 4, changed at 9
        "#]],
    );
}

#[test]
fn a_partition_is_vacant_since_its_holder_stopped_to_get_requests() {
    let mut scene = Scene::formed();
    let vacant = |scene: &Scene| {
        let keyspace = scene.state.default_keyspace().expect("formed");
        (0..12).filter_map(|p| Some((p, keyspace.vacant_since(p)?.0))).collect::<Vec<_>>()
    };
    scene.run("register w1 0,3; register w2 4");
    assert_eq!(vacant(&scene), []);
    scene.run("drain w1");
    assert_eq!(vacant(&scene), [(0, 4), (3, 4)]);
    scene.run("register w3 0");
    assert_eq!(vacant(&scene), [(3, 4)], "somebody else has taken the one");
    scene.run("unregister w2");
    assert_eq!(vacant(&scene), [(3, 4), (4, 6)]);
    scene.run("resume w1");
    assert_eq!(vacant(&scene), [(4, 6)]);
    scene.run("put default 4");
    assert_eq!(vacant(&scene), [], "there is no such partition any more");
}

#[test]
fn a_service_that_its_worker_calls_unwell_is_known_and_not_served() {
    check(
        "register w1 - svc=chat,echo sick=chat",
        expect![[r#"
        2 register w1 - svc=chat,echo sick=chat
            registered, epoch 2
            * w1 has lease 2
        index 2, 0s, 1 routable
          default/12:
          w1 [] chat echo live, epoch 2, changed at 2
          service chat: (w1)
          service echo: w1
    "#]],
    );
}

#[test]
fn a_policy_is_conditional_and_stays_without_workers() {
    check(
        "service chat hold=5; service chat hold=5; service chat hold=2 if=1; service chat if=2; \
         register w1 - svc=chat; unregister w1; look; delete-service chat if=2; delete-service chat if=5",
        expect![[r#"
            2 service chat hold=5
                done
                * service chat has another policy
            3 service chat hold=5
                unchanged
            4 service chat hold=2 if=1
                refused: the record last changed at index 2, not at 1
            5 service chat if=2
                done
                * service chat has another policy
            6 register w1 - svc=chat
                registered, epoch 6
                * w1 has lease 6
            7 unregister w1
                done
                * w1 live -> departed, epoch 6
            index 7, 0s, 0 routable
              default/12:
              w1 [] chat unregistered at 0s, epoch 6, changed at 7
              service chat, vacant since 7:
            8 delete-service chat if=2
                refused: the record last changed at index 5, not at 2
            9 delete-service chat if=5
                done
                * service chat has another policy
            index 9, 0s, 0 routable
              default/12:
              w1 [] chat unregistered at 0s, epoch 6, changed at 7
        "#]],
    );
}

/// Two delegates at once were possible where leadership was read, changed and written.
#[test]
fn the_oldest_registration_that_wants_to_is_delegate_until_it_can_not_be() {
    check(
        "register w1 - svc=chat; register w2 - svc=chat wants & register w3 - svc=chat wants; suspect w2; \
         expire w2; revive w2; drain w3; register w2 - svc=chat wants; resume w3; unregister w2; \
         register w3 - wants",
        expect![[r#"
            2 register w1 - svc=chat
                registered, epoch 2
                * w1 has lease 2
            3 register w2 - svc=chat wants & register w3 - svc=chat wants
                registered, epoch 3
                registered, epoch 5
                * w2 has lease 3
                * w2 is delegate of default, epoch 4
                * w3 has lease 5
            4 suspect w2
                done
                * w2 live -> suspect, epoch 3
            5 expire w2
                done
                * w2 suspect -> expired, epoch 3
                * w3 is delegate of default, epoch 6
            6 revive w2
                done
                * w2 expired -> live, epoch 7
            7 drain w3
                done
                * w3 is to be draining
                * w2 is delegate of default, epoch 8
            8 register w2 - svc=chat wants
                registered, epoch 9
                * w2 has lease 9
                * w2 is delegate of default, epoch 10
            9 resume w3
                done
                * w3 is to be in_service
            10 unregister w2
                done
                * w2 live -> departed, epoch 9
                * w3 is delegate of default, epoch 11
            11 register w3 - wants
                registered, epoch 12
                * w3 has lease 12
                * default has no delegate
            index 11, 0s, 2 routable
              default/12:
              w1 [] chat live, epoch 2, changed at 2
              w2 [] chat unregistered at 0s, epoch 9, changed at 10
              w3 [] live, epoch 12, changed at 11
              service chat: w1
        "#]],
    );
}

#[test]
fn groups_have_delegates_of_their_own_and_a_snapshot_keeps_them() {
    check(
        "register w1 - svc=chat wants group=a; register w2 - svc=chat wants group=b; snapshot; \
         register w1 - svc=chat wants group=b; snapshot; unregister w2",
        expect![[r#"
            2 register w1 - svc=chat wants group=a
                registered, epoch 2
                * w1 has lease 2
                * w1 is delegate of a, epoch 3
            3 register w2 - svc=chat wants group=b
                registered, epoch 4
                * w2 has lease 4
                * w2 is delegate of b, epoch 5
            4 register w1 - svc=chat wants group=b
                registered, epoch 6
                * w1 has lease 6
                * a has no delegate
            5 unregister w2
                done
                * w2 live -> departed, epoch 4
                * w1 is delegate of b, epoch 7
            index 5, 0s, 1 routable
              default/12:
              w1 [] chat live, epoch 6, changed at 4
              w2 [] chat unregistered at 0s, epoch 4, changed at 5
              service chat: w1
              group b: w1, epoch 7
        "#]],
    );
}
