//! Versions of a service: who gets the requests that name one, and who those that name none.

use crate::{
    asked,
    explain::check,
    outcome::{apply, cluster, forwarding, put, register, to},
    route,
    sandboxes::sandbox,
};
use expect_test::expect;
use quorate_model::{
    Command, Duty, Hold, LeaseChange, LeaseEvent, ServiceName, ServicePolicy, WorkerId,
    route::{Destination, Mirror, Target},
};
use quorate_routing::{Decision, decide, route::Outcome, vacancy};
use quorate_state::State;
use std::time::Duration;

fn upload(version: &str) -> Target {
    Target::Version { service: ServiceName::parse("upload").unwrap(), version: version.into() }
}

fn policy(state: &mut State, default_version: Option<&str>) {
    let hold = Hold::new(Duration::from_secs(5), 7).ok();
    let default_version = default_version.map(Into::into);
    let policy = ServicePolicy { hold, default_version, ..ServicePolicy::default() };
    apply(state, Command::PutService { name: ServiceName::parse("upload").unwrap(), policy, if_index: None });
}

/// `upload` by `w1` in version 1, by `w2` in version 2, by `w3` in none; `/two` is routed to version 2, `/any` to the
/// service, and the key `dev` to version 2.
fn state(default_version: Option<&str>) -> State {
    let mut state = cluster();
    register(&mut state, "w2", &[("upload", "2")]);
    register(&mut state, "w3", &[("upload", "")]);
    for (name, target) in [("two", upload("2")), ("any", to("service upload", 1).target)] {
        let mut parts = route(name, &format!("prefix=/{name}"));
        forwarding(&mut parts).destinations = vec![Destination { target, weight: 1 }];
        put(&mut state, name, parts);
    }
    sandbox(&mut state, "dev", &[("upload@2", "")]);
    sandbox(&mut state, "all", &[("upload", "")]);
    policy(&mut state, default_version);
    state
}

/// Scenario: a second version of a service is registered for a sandbox. Without a default version half of everybody's
/// requests go there.
#[test]
fn requests_that_name_no_version_go_to_the_default_one() {
    let state = state(Some("1"));
    check(
        &state,
        "GET r/api/service/upload/x",
        &expect![[r#"
            route two: no
              match.path_prefix wants /two/*, found /api/service/upload/x
            route any: no
              match.path_prefix wants /any/*, found /api/service/upload/x
            service upload: decides
            => forward: it goes to one of the workers of the service upload; its policy gives requests that name no version to those of version 1
               endpoint w1 at http://w1:80: Some(Live), live
        "#]],
    );
    check(
        &state,
        "GET r/any",
        &expect![[r#"
        route two: no
          match.path_prefix wants /two/*, found /any
        route any: decides
        => forward: it goes to one of the workers of the service upload; its policy gives requests that name no version to those of version 1
           destination 0: service upload, 1 of 1, by chance
           endpoint w1 at http://w1:80: Some(Live), live
    "#]],
    );
    check(
        &state,
        "GET r/two",
        &expect![[r#"
        route two: decides
        => forward: it goes to one of the workers of the service upload@2
           destination 0: service upload@2, 1 of 1, by chance
           endpoint w2 at http://w2:80: Some(Live), live
    "#]],
    );
    check(
        &state,
        "GET r/two X-Route-Key:all",
        &expect![[r#"
        key all by header x-route-key
        sandbox all rule 0: decides
        => forward: it goes to one of the workers of the service upload; its policy gives requests that name no version to those of version 1
           destination 0: service upload, 1 of 1, by chance
           endpoint w1 at http://w1:80: Some(Live), live
    "#]],
    );
    check(
        &state,
        "GET r/any X-Route-Key:dev",
        &expect![[r#"
        key dev by header x-route-key
        sandbox dev rule 0: decides
        => forward: it goes to one of the workers of the service upload@2
           destination 0: service upload@2, 1 of 1, by chance
           endpoint w2 at http://w2:80: Some(Live), live
    "#]],
    );
}

#[test]
fn nothing_said_is_all_and_nothing_is_those_without_one() {
    check(
        &state(None),
        "GET r/any",
        &expect![[r#"
        route two: no
          match.path_prefix wants /two/*, found /any
        route any: decides
        => forward: it goes to one of the workers of the service upload
           destination 0: service upload, 1 of 1, by chance
           endpoint w1 at http://w1:80: Some(Live), live
           endpoint w2 at http://w2:80: Some(Live), live
           endpoint w3 at http://w3:80: Some(Live), live
    "#]],
    );
    check(
        &state(Some("")),
        "GET r/any",
        &expect![[r#"
        route two: no
          match.path_prefix wants /two/*, found /any
        route any: decides
        => forward: it goes to one of the workers of the service upload; its policy gives requests that name no version to those without a version
           destination 0: service upload, 1 of 1, by chance
           endpoint w3 at http://w3:80: Some(Live), live
    "#]],
    );
    check(
        &state(Some("3")),
        "GET r/any",
        &expect![[r#"
        route two: no
          match.path_prefix wants /two/*, found /any
        route any: decides
        => answer: no worker takes requests for the service upload; its policy gives requests that name no version to those of version 3
           status 503
           destination 0: service upload, 1 of 1, by chance
    "#]],
    );
}

#[test]
fn a_copy_may_be_of_one_version() {
    let mut state = state(Some("1"));
    let mut parts = route("any", "prefix=/any");
    forwarding(&mut parts).destinations = vec![to("service upload", 1)];
    forwarding(&mut parts).mirror = Mirror::new(upload("2"), 1_000_000).ok();
    put(&mut state, "any", parts);
    let head = asked("GET r/any");
    let Decision::Route(routed) = decide(&state, &head.head()) else { panic!("it is routed") };
    let Outcome::Forward(sent) = &routed.outcome else { panic!("it is sent on") };
    assert_eq!(sent.mirror, Some(&upload("2")));
}

/// Requests without a version wait for the next worker of theirs, whoever else is there.
#[test]
fn the_last_one_of_the_default_version_is_waited_for() {
    let mut state = state(Some("1"));
    let vacancy = |state: &State| vacancy::of_service(state.service("upload").unwrap()).map(|it| it.since);
    let serving = |state: &State| state.service("upload").unwrap().serving_count();
    assert_eq!((serving(&state), vacancy(&state)), (1, None));
    let id = || WorkerId::parse("w1").unwrap();
    let duty = |state: &mut State, duty| apply(state, Command::SetDuty { id: id(), duty, if_index: None });
    duty(&mut state, Duty::Draining);
    let gone = state.index();
    assert_eq!((serving(&state), vacancy(&state)), (0, Some(gone)));
    // One of another version is not who is waited for.
    register(&mut state, "w4", &[("upload", "2")]);
    assert_eq!((serving(&state), vacancy(&state)), (0, Some(gone)));
    duty(&mut state, Duty::Offline);
    assert_eq!(vacancy(&state), None, "all of this version were taken offline");
    duty(&mut state, Duty::InService);
    let epoch = state.worker("w1").unwrap().epoch;
    let lost = LeaseChange { id: id(), epoch, event: LeaseEvent::Expired };
    apply(&mut state, Command::ChangeLeases(vec![lost]));
    assert_eq!(vacancy(&state), Some(state.index()));
    policy(&mut state, Some("2"));
    assert_eq!((serving(&state), vacancy(&state)), (2, None));
    policy(&mut state, Some("3"));
    assert_eq!((serving(&state), vacancy(&state)), (0, None), "nobody of it was ever there");
    policy(&mut state, None);
    assert_eq!((serving(&state), vacancy(&state)), (3, None));
}
