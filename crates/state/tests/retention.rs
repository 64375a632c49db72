//! Log time, what is forgotten when, and what happens when a map is full.

mod support;

use expect_test::expect;
use quorate_model::{
    BootId, Entry, Epoch, LogIndex, LogTime, Origin, Proposal, Refusal, RegistrationParts, Reply, Worker,
    WorkerId, limit, reply::Bounded,
};
use quorate_state::State;
use std::sync::Arc;
use support::{Scene, check, picture, script};

/// Trigger: a new leader's clock is behind the old one's.
#[test]
fn log_time_never_runs_back() {
    check(
        "@100 register w1 0; @40 register w2 1; @40 expire w1; look; @101 tick",
        expect![[r#"
        2 @100 register w1 0
            registered, epoch 2
            * w1 has lease 2
        3 @40 register w2 1
            registered, epoch 3
            * w2 has lease 3
        4 @40 expire w1
            done
            * w1 live -> expired, epoch 2
        index 4, 100s, 1 routable
          default/12: 0=w1(expired) 1=w2
          w1 [0] expired at 100s, epoch 2, changed at 4
          w2 [1] live, epoch 3, changed at 3
        5 @101 tick
        index 5, 101s, 1 routable
          default/12: 0=w1(expired) 1=w2
          w1 [0] expired at 100s, epoch 2, changed at 4
          w2 [1] live, epoch 3, changed at 3
    "#]],
    );
}

#[test]
fn an_unregistered_worker_is_forgotten_after_sixty_seconds() {
    check(
        "@1 register w1 0; @10 unregister w1; @69.999 tick; look; @70 tick",
        expect![[r#"
        2 @1 register w1 0
            registered, epoch 2
            * w1 has lease 2
        3 @10 unregister w1
            done
            * w1 live -> departed, epoch 2
        4 @69.999 tick
        index 4, 69.999s, 0 routable
          default/12:
          w1 [] unregistered at 10s, epoch 2, changed at 3
        5 @70 tick
            * w1 is forgotten
        index 5, 70s, 0 routable
          default/12:
    "#]],
    );
}

#[test]
fn a_displaced_worker_is_forgotten_after_a_day() {
    check(
        "@1 register w1 0; @10 register w2 0; @70 tick; @86409.999 tick; look; @86410 tick",
        expect![[r#"
            2 @1 register w1 0
                registered, epoch 2
                * w1 has lease 2
            3 @10 register w2 0
                registered, epoch 3
                * w2 takes 1 from w1
                * w1 live -> departed, epoch 2
                * w2 has lease 3
            4 @70 tick
            5 @86409.999 tick
            index 5, 86409.999s, 1 routable
              default/12: 0=w2
              w1 [] displaced at 10s, epoch 2, changed at 3
              w2 [0] live, epoch 3, changed at 3
            6 @86410 tick
                * w1 is forgotten
            index 6, 86410s, 1 routable
              default/12: 0=w2
              w2 [0] live, epoch 3, changed at 3
        "#]],
    );
}

#[test]
fn the_day_of_an_expired_worker_begins_anew_when_it_is_displaced() {
    check(
        "@1 register w1 0; @100 expire w1; @50000 register w2 0; @86500 tick; @136399.999 tick; look; \
         @136400 tick",
        expect![[r#"
            2 @1 register w1 0
                registered, epoch 2
                * w1 has lease 2
            3 @100 expire w1
                done
                * w1 live -> expired, epoch 2
            4 @50000 register w2 0
                registered, epoch 4
                * w2 takes 1 from w1
                * w1 expired -> departed, epoch 2
                * w2 has lease 4
            5 @86500 tick
            6 @136399.999 tick
            index 6, 136399.999s, 1 routable
              default/12: 0=w2
              w1 [] displaced at 50000s, epoch 2, changed at 4
              w2 [0] live, epoch 4, changed at 4
            7 @136400 tick
                * w1 is forgotten
            index 7, 136400s, 1 routable
              default/12: 0=w2
              w2 [0] live, epoch 4, changed at 4
        "#]],
    );
}

#[test]
fn an_expired_worker_is_forgotten_after_a_day_and_its_claims_with_it() {
    check(
        "@1 register w1 0,99; @100 expire w1; @86499.999 tick; look; @86500 tick",
        expect![[r#"
        2 @1 register w1 0,99
            registered, epoch 2
            * w1 has lease 2
        3 @100 expire w1
            done
            * w1 live -> expired, epoch 2
        4 @86499.999 tick
        index 4, 86499.999s, 0 routable
          default/12: 0=w1(expired)
          w1 [0,99] expired at 100s, epoch 2, changed at 3
        5 @86500 tick
            * w1 is forgotten
        index 5, 86500s, 0 routable
          default/12:
    "#]],
    );
}

#[test]
fn a_revived_worker_is_not_forgotten() {
    check(
        "@1 register w1 0; @100 expire w1; @86499 revive w1; @999999 tick",
        expect![[r#"
        2 @1 register w1 0
            registered, epoch 2
            * w1 has lease 2
        3 @100 expire w1
            done
            * w1 live -> expired, epoch 2
        4 @86499 revive w1
            done
            * w1 expired -> live, epoch 4
        5 @999999 tick
        index 5, 999999s, 1 routable
          default/12: 0=w1
          w1 [0] live, epoch 4 (of 2), changed at 4
    "#]],
    );
}

#[test]
fn registering_anew_ends_the_retention_of_the_life_before() {
    check(
        "@1 register w1 0; @10 unregister w1; @20 register w1 0; @999 tick",
        expect![[r#"
        2 @1 register w1 0
            registered, epoch 2
            * w1 has lease 2
        3 @10 unregister w1
            done
            * w1 live -> departed, epoch 2
        4 @20 register w1 0
            registered, epoch 4
            * w1 has lease 4
            * w1 departed -> live, epoch 4
        5 @999 tick
        index 5, 999s, 1 routable
          default/12: 0=w1
          w1 [0] live, epoch 4, changed at 4
    "#]],
    );
}

#[test]
fn a_suspect_worker_is_routable_and_never_forgotten() {
    check(
        "@1 register w1 0; @21 suspect w1; @9999999 tick",
        expect![[r#"
        2 @1 register w1 0
            registered, epoch 2
            * w1 has lease 2
        3 @21 suspect w1
            done
            * w1 live -> suspect, epoch 2
        4 @9999999 tick
        index 4, 9999999s, 1 routable
          default/12: 0=w1
          w1 [0] suspect since 21s, epoch 2, changed at 3
    "#]],
    );
}

/// A day's worth of departures must not stop an apply: an entry forgets at most a thousand.
#[test]
fn forgetting_is_spread_over_entries() {
    let mut scene = Scene::formed();
    let both = |n: u32| format!("register w{n} - & unregister w{n}");
    let all: Vec<_> = (0..1_001).map(both).collect();
    scene.run(&all.join("&"));
    assert_eq!(scene.state.workers().count(), 1_001);
    scene.run("@60 tick");
    assert_eq!(scene.state.workers().count(), 1);
    scene.run("tick");
    assert_eq!(scene.state.workers().count(), 0);
}

#[test]
fn when_keyspaces_are_full_a_new_name_is_refused_and_known_ones_go_on() {
    let mut scene = Scene::formed();
    let puts: Vec<_> = (1..limit::KEYSPACES_MAX).map(|n| format!("put k{n} 1")).collect();
    scene.run(&puts.join("&"));
    assert_eq!(scene.state.keyspaces().count(), limit::KEYSPACES_MAX);
    let full = Refusal::Full { what: Bounded::Keyspaces, max: limit::KEYSPACES_MAX as u64 };
    assert_eq!(scene.run("put one-more 1"), [Reply::Refused(full)]);
    assert_eq!(scene.run("put k1 2 & put default 24"), [Reply::Done, Reply::Done]);
    assert_eq!(scene.state.keyspaces().count(), limit::KEYSPACES_MAX);
}

/// The map is filled by way of the parts: a million registrations would take minutes in a debug build.
#[test]
fn when_workers_are_full_a_new_id_is_refused_and_known_ones_go_on() {
    let mut scene = Scene::formed();
    scene.run("register w 0");
    let template = scene.state.worker("w").expect("registered").clone();
    let mut parts = scene.state.parts();
    for n in 1..limit::WORKERS_MAX as u64 {
        let id = WorkerId::parse(&format!("w{n:07}")).expect("valid");
        let fields =
            RegistrationParts::new(id, template.registration.address.clone(), template.registration.ttl);
        let registration = Arc::new(fields.validate().expect("valid"));
        parts.last_epoch = Epoch(n + 2);
        let (epoch, incarnation) = (parts.last_epoch, parts.last_epoch);
        parts.workers.push(Arc::new(Worker { registration, epoch, incarnation, ..(*template).clone() }));
    }
    let mut state = State::from_parts(parts).expect("the parts make a state");
    let mut apply = |sequence, command| {
        let origin = Origin { boot: BootId(9), sequence };
        let entry = Entry { at: LogTime(0), proposals: vec![Proposal { origin, command }] };
        let index = LogIndex(state.index().0 + 1);
        picture::reply(&state.apply(index, &entry).replies[0])
    };
    let command = |text| script::command(text, &scene.state).1;
    assert_eq!(apply(1, command("register new 1")), "refused: there are already 1000000 workers");
    assert_eq!(apply(2, command("adopt new 1")), "refused: there are already 1000000 workers");
    assert_eq!(apply(3, command("register w 1")), "registered, epoch 1000002");
}

/// A refusal leaves the state as it was: forming is not half done where its keyspace does not fit.
#[test]
fn a_cluster_whose_keyspace_does_not_fit_is_not_formed() {
    let mut scene = Scene::new();
    let puts: Vec<_> = (0..limit::KEYSPACES_MAX).map(|n| format!("put k{n} 1")).collect();
    scene.run(&puts.join("&"));
    let reply = scene.run("form 12");
    assert_eq!(picture::reply(&reply[0]), "refused: there are already 1000 keyspaces");
    assert_eq!(scene.state.cluster(), None);
}
