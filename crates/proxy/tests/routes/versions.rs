//! Versions of a service: a request that names one goes there, and one that names none to the default one, first attempt
//! and next ones, copies and waiting included.

use super::*;
use crate::rig::sandbox::{offer_version, put_sandbox, rule};
use quorate_model::{
    Hold, LeaseEvent, ServiceName,
    route::{Destination, Mirror, Target},
};

fn version(version: &str, weight: u32) -> Destination {
    let service = ServiceName::parse("s").expect("a name");
    Destination { target: Target::Version { service, version: version.into() }, weight }
}

fn default_version(version: &str) -> ServicePolicy {
    ServicePolicy { default_version: Some(version.into()), ..ServicePolicy::default() }
}

/// `s` in two versions by a worker each, which say which they are.
async fn scene() -> (Rig, [Worker; 2]) {
    let workers = [Worker::answering(|_| ok("v1")).await, Worker::answering(|_| ok("v2")).await];
    let rig = rig().await;
    for (worker, version) in workers.iter().zip(["v1", "v2"]) {
        offer_version(&rig, &format!("w-{version}"), &worker.url(), ("s", version));
    }
    (rig, workers)
}

/// Who answers six requests. They come on one connection, so one core decides them all.
async fn said(rig: &Rig, path: &str, headers: &str) -> Vec<String> {
    let (mut said, mut client) = (Vec::new(), rig.client().await);
    for _ in 0..6 {
        let answer = client.ask(&call("GET", path, headers)).await;
        said.push(if answer.status == 200 { answer.body } else { answer.status.to_string() });
    }
    said.sort();
    said.dedup();
    said
}

#[tokio::test]
async fn a_version_that_nobody_names_gets_nothing() {
    let (rig, _workers) = scene().await;
    put_route(&rig, "all", by("/all", forward(vec![to_service("s")])));
    put_route(&rig, "two", by("/two", forward(vec![version("v2", 1)])));
    put_route(&rig, "split", by("/split", forward(vec![version("v2", 1), version("v1", 0)])));
    put_sandbox(&rig, "dev", vec![rule("s@v2")]);
    put_sandbox(&rig, "same", vec![rule("s")]);
    let turns = ServicePolicy { balancing: Some(Balancing::RoundRobin), ..ServicePolicy::default() };
    rig.policy("s", turns.clone());
    assert_eq!(said(&rig, "/all", "").await, ["v1", "v2"], "as it was before there was a word for it");
    rig.policy("s", ServicePolicy { default_version: Some("v1".into()), ..turns });
    for (path, headers, expected) in [
        ("/all", "", "v1"),
        ("/api/service/s/x", "", "v1"),
        ("/all", "X-Route-Key: same\r\n", "v1"),
        ("/two", "", "v2"),
        ("/split", "", "v2"),
        ("/all", "X-Route-Key: dev\r\n", "v2"),
        ("/api/service/s/x", "X-Route-Key: dev\r\n", "v2"),
    ] {
        assert_eq!(said(&rig, path, headers).await, [expected], "{path} {headers}");
    }
    // Changed in one entry, for the next request.
    rig.policy("s", default_version("v2"));
    assert_eq!(said(&rig, "/api/service/s/x", "").await, ["v2"]);
    rig.policy("s", default_version("v3"));
    assert_eq!(said(&rig, "/api/service/s/x", "").await, ["503"]);
    assert_eq!(said(&rig, "/two", "").await, ["v2"]);
}

/// What a route says of balancing holds among those of the version that it names, too.
#[tokio::test]
async fn a_route_chooses_its_own_way_among_those_of_a_version() {
    let (rig, workers) = scene().await;
    let third = Worker::answering(|_| ok("v2 too")).await;
    offer_version(&rig, "w-third", &third.url(), ("s", "v2"));
    let turns = Forwarding { balancing: Some(Balancing::RoundRobin), ..forward(vec![version("v2", 1)]) };
    put_route(&rig, "two", by("/two", turns));
    rig.policy("s", ServicePolicy { default_version: Some("v1".into()), ..balanced(Balancing::SourceIp) });
    assert_eq!(said(&rig, "/two", "").await, ["v2", "v2 too"]);
    assert_eq!((workers[1].heard().len(), third.heard().len()), (3, 3), "by turns");
    assert_eq!(workers[0].heard().len(), 0);
}

/// The next worker is one of the same version, and where none is left the failure is told.
#[tokio::test]
async fn another_attempt_stays_with_the_version() {
    let (rig, workers) = scene().await;
    let dead = Dead::new();
    offer_version(&rig, "w-a", &dead.url, ("s", "v1"));
    rig.policy("s", default_version("v1"));
    put_route(&rig, "one", by("/one", forward(vec![version("v1", 1)])));
    for path in ["/api/service/s/x", "/one"] {
        assert_eq!(said(&rig, path, "").await, ["v1"], "{path}: past the dead one");
    }
    rig.lease("w-v1", LeaseEvent::Expired);
    for path in ["/api/service/s/x", "/one"] {
        let answer = rig.ask(&get(path)).await;
        assert!(answer.status >= 500, "{path}: {}", answer.head);
    }
    assert_eq!(workers[1].heard().len(), 0, "it is of another version");
}

#[tokio::test]
async fn a_copy_goes_to_the_version_that_is_named() {
    let (rig, workers) = scene().await;
    rig.policy("s", default_version("v1"));
    let mirror = Mirror::new(version("v2", 1).target, 1_000_000).expect("valid");
    put_route(&rig, "r", by("/r", Forwarding { mirror: Some(mirror), ..forward(vec![to_service("s")]) }));
    assert_eq!(said(&rig, "/r", "").await, ["v1"]);
    eventually("each has its copy", || workers[1].heard().len() == 6).await;
    assert_eq!(workers[0].heard().len(), 6);
}

/// A worker of another version is none that could take the request.
#[tokio::test]
async fn a_request_waits_for_the_next_worker_of_the_default_version() {
    let (rig, workers) = scene().await;
    let hold = Hold::new(Duration::from_secs(10), 10).ok();
    rig.policy("s", ServicePolicy { hold, ..default_version("v1") });
    put_route(&rig, "one", by("/one", forward(vec![version("v1", 1)])));
    rig.lease("w-v1", LeaseEvent::Expired);
    let mut clients = Vec::new();
    for (waiting, path) in (1..).zip(["/api/service/s/x", "/one"]) {
        let mut client = rig.client().await;
        client.send(get(path).as_bytes()).await.expect("it listens");
        rig.until_metric("quorate_proxy_holds_open", waiting).await;
        clients.push(client);
    }
    offer_version(&rig, "w-next", &workers[0].url(), ("s", "v1"));
    for mut client in clients {
        let answer = timeout(PATIENCE, client.answer("GET")).await.expect("in time");
        check(&answer, 200, "v1");
    }
    assert_eq!(workers[1].heard().len(), 0);
}
