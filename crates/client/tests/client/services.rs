//! A worker whose services come and go, and how it ends without failing a request.

use crate::support::{Router, Say, Seen, eventually, granted, ok, pause, problem};
use quorate_client::{DrawnBack, Duty, OwnDrain, ServiceOffer, Url, WorkerClient, WorkerHandle, WorkerState};
use serde_json::{Value, json};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

const PUT: &str = "PUT /v1/workers/w1";
const BEAT: &str = "POST /v1/workers/w1/heartbeat";
const GET: &str = "GET /v1/workers/w1";
const DRAIN: &str = "POST /v1/workers/w1/drain";
const DELETE: &str = "DELETE /v1/workers/w1?lease=4";
const RESUME: &str = "POST /v1/workers/w1/resume";
const LIMIT: Duration = Duration::from_secs(8);

async fn start(router: &Router) -> WorkerHandle {
    WorkerClient::builder([router.url.clone()], "w1", "http://h:1")
        .services([ServiceOffer::new("a")])
        .start()
        .await
        .expect("registered")
}

fn offered(router: &Router) -> Vec<Value> {
    let puts = router.seen().into_iter().filter(|seen| seen.line == PUT);
    puts.map(|seen| json!([seen.body["address"], seen.body["services"]])).collect()
}

#[tokio::test]
async fn services_that_change_are_registered_anew_and_nothing_else_changes() {
    let mut puts = 0;
    let router = Router::start(move |seen| {
        puts += u64::from(seen.line == PUT);
        if seen.line == PUT { granted(puts, "1h") } else { ok() }
    })
    .await;
    let worker = start(&router).await;
    worker.set_services("http://h:2", [ServiceOffer::new("b")]).await;
    eventually("the second registration", || worker.state() == WorkerState::Registered { epoch: 2 }).await;
    let expected = [json!(["http://h:1", [{"name": "a"}]]), json!(["http://h:2", [{"name": "b"}]])];
    assert_eq!(offered(&router), expected);
    assert_eq!(router.seen()[1].body["partitions"], json!([]));
}

/// A worker whose id another process has taken must not take it back because a service of its machine has come.
#[tokio::test]
async fn services_that_change_do_not_wake_a_superseded_worker() {
    let mut puts = 0;
    let router = Router::start(move |seen| {
        puts += u64::from(seen.line == PUT);
        match seen.line.as_str() {
            PUT => granted(puts, "20ms"),
            _ if puts == 1 => problem(409, "lease_stale"),
            _ => ok(),
        }
    })
    .await;
    let worker = start(&router).await;
    eventually("superseded", || worker.state() == WorkerState::Superseded).await;
    worker.set_services("http://h:2", [ServiceOffer::new("b")]).await;
    pause(200).await;
    assert_eq!((router.count(PUT), worker.state()), (1, WorkerState::Superseded));

    worker.register_again().await;
    eventually("the id is taken back", || worker.state() == WorkerState::Registered { epoch: 2 }).await;
    assert_eq!(offered(&router)[1], json!(["http://h:2", [{"name": "b"}]]), "what it offers by now");
}

/// Scenario: the services change and the worker is stopped at once. Cause: while it registers anew it took itself
/// for one that holds nothing. Trigger: any stop before the second registration is sent or after it was refused.
#[tokio::test]
async fn a_worker_that_is_stopped_while_it_registers_anew_leaves_nothing_behind() {
    let mut puts = 0;
    let router = Router::start(move |seen| {
        puts += u64::from(seen.line == PUT);
        match seen.line.as_str() {
            PUT if puts > 1 => problem(400, "invalid_request"),
            PUT => granted(4, "1h"),
            _ => ok(),
        }
    })
    .await;
    let worker = start(&router).await;
    worker.set_services("http://h:2", []).await;
    eventually("refused", || matches!(worker.state(), WorkerState::Refused { .. })).await;
    worker.stop().await;
    assert_eq!(router.lines().last().map(String::as_str), Some("DELETE /v1/workers/w1?lease=4"));
}

#[tokio::test]
async fn a_change_that_is_refused_leaves_the_registration_alive_and_is_tried_again() {
    let mut puts = 0;
    let router = Router::start(move |seen| {
        puts += u64::from(seen.line == PUT);
        match seen.line.as_str() {
            PUT if (2..5).contains(&puts) => problem(400, "invalid_request"),
            PUT => granted(puts, "30ms"),
            _ => ok(),
        }
    })
    .await;
    let worker = start(&router).await;
    worker.set_services("http://h:2", [ServiceOffer::new("b")]).await;
    eventually("granted in the end", || worker.state() == WorkerState::Registered { epoch: 5 }).await;
    let lines = router.lines();
    let refused = lines.iter().position(|line| line == PUT).expect("the first") + 1;
    let between = lines[refused..].iter().filter(|line| *line == BEAT).count();
    assert!(between >= 3, "the first lease is kept: {lines:?}");
    let leases: Vec<_> =
        router.seen().iter().filter(|seen| seen.line == BEAT).map(|s| s.body["lease"].clone()).collect();
    assert!(leases.iter().all(|lease| *lease == 1 || *lease == 5), "{leases:?}");
}

fn record(duty: &str) -> Say {
    Say::Answer(200, json!({"id": "w1", "lease": 4, "duty": duty, "changed_index": 7}))
}

fn in_flight(counts: &[Option<u64>]) -> Say {
    let nodes: Vec<_> = counts.iter().map(|count| json!({"node": "n", "in_flight": count})).collect();
    Say::Answer(200, json!({"in_flight": 0, "nodes": nodes}))
}

/// A router that drains, whose requests in flight are `busy` at each look, one after the other, then none.
fn draining(busy: &'static [u64]) -> impl FnMut(&Seen) -> Say + Send + 'static {
    let (mut busy, mut duty) = (busy.iter(), "in_service");
    move |seen| match seen.line.as_str() {
        PUT => granted(4, "100ms"),
        GET => record(duty),
        DRAIN => {
            duty = "draining";
            Say::Answer(200, json!({"index": 9}))
        }
        DELETE => Say::Answer(200, json!({"index": 12})),
        line if line.contains("/in-flight") => in_flight(&[Some(*busy.next().unwrap_or(&0)), Some(0)]),
        _ => ok(),
    }
}

/// The conditions of all calls that begin so.
fn conditions(router: &Router, line: &str) -> Vec<String> {
    let seen = router.seen().into_iter().filter(|seen| seen.line.starts_with(line));
    let condition = |head: &str| {
        head.lines().find_map(|line| line.strip_prefix("if-match: ").map(str::to_owned)).unwrap_or_default()
    };
    seen.map(|seen| condition(&seen.head)).collect()
}

/// How it drew back, and what became of its drain.
async fn marked(worker: WorkerHandle) -> (DrawnBack, Vec<OwnDrain>) {
    let marks = Arc::new(Mutex::new(Vec::new()));
    let kept = marks.clone();
    let drawn = worker.draw_back_marked(LIMIT, move |mark| kept.lock().expect("no panic").push(mark)).await;
    let marks = marks.lock().expect("no panic").clone();
    (drawn, marks)
}

fn without_beats(router: &Router) -> Vec<String> {
    router.lines().into_iter().filter(|line| line != BEAT).collect()
}

#[tokio::test]
async fn it_drains_waits_unregisters_and_takes_the_drain_back() {
    let router = Router::start(draining(&[2, 1, 1])).await;
    assert_eq!(start(&router).await.draw_back(LIMIT).await, DrawnBack::Idle);
    let look = "GET /v1/workers/w1/in-flight?index=9";
    assert_eq!(without_beats(&router), [PUT, GET, DRAIN, look, look, look, look, GET, DELETE, RESUME]);
    assert_eq!(conditions(&router, DRAIN), ["\"7\""], "as it was seen");
    assert_eq!(conditions(&router, RESUME), ["\"12\""], "as the goodbye has left it");
    assert!(router.count(BEAT) >= 1, "its lease is kept meanwhile");
}

#[tokio::test]
async fn it_waits_no_longer_than_it_is_told() {
    let mut rest = draining(&[]);
    let router = Router::start(move |seen| match seen.line.as_str() {
        line if line.contains("/in-flight") => in_flight(&[Some(3), None]),
        _ => rest(seen),
    })
    .await;
    let drawn = start(&router).await.draw_back(Duration::from_millis(700)).await;
    assert_eq!(drawn, DrawnBack::Busy { in_flight: Some(3) });
    let lines = without_beats(&router);
    assert_eq!(lines[lines.len() - 2..], [DELETE, RESUME]);
}

/// A record that ended while it was drained (an operator removed it, say) leaves nothing to wait for.
#[tokio::test]
async fn a_worker_that_nobody_knows_any_more_is_idle() {
    let mut rest = draining(&[]);
    let router = Router::start(move |seen| match seen.line.as_str() {
        line if line.contains("/in-flight") => {
            Say::Answer(404, json!({"code": "worker_unknown", "detail": "worker w1 is not registered"}))
        }
        _ => rest(seen),
    })
    .await;
    assert_eq!(start(&router).await.draw_back(LIMIT).await, DrawnBack::Idle);
}

/// A node that can't be asked may be cut off only, and go on sending: nobody may say that nothing is in flight.
#[tokio::test]
async fn while_a_node_can_not_tell_nobody_says_that_nothing_is_in_flight() {
    for silent in [&[Some(0), None][..], &[]] {
        let mut rest = draining(&[]);
        let router = Router::start(move |seen| match seen.line.as_str() {
            line if line.contains("/in-flight") => in_flight(silent),
            _ => rest(seen),
        })
        .await;
        let drawn = start(&router).await.draw_back(Duration::from_millis(700)).await;
        assert_eq!(drawn, DrawnBack::Busy { in_flight: None }, "{silent:?}");
    }
}

#[tokio::test]
async fn a_router_that_is_busy_is_asked_again_to_take_the_drain_back() {
    for status in [429, 503] {
        let (mut rest, mut resumes) = (draining(&[]), 0);
        let router = Router::start(move |seen| {
            resumes += u64::from(seen.line == RESUME);
            if seen.line == RESUME && resumes < 3 { problem(status, "busy") } else { rest(seen) }
        })
        .await;
        let (drawn, marks) = marked(start(&router).await).await;
        assert_eq!((drawn, router.count(RESUME)), (DrawnBack::Idle, 3), "{status}");
        assert_eq!(marks, [OwnDrain::Begins, OwnDrain::IsOver], "{status}");
    }
}

#[tokio::test]
async fn a_drain_that_nobody_takes_back_keeps_its_mark() {
    let mut rest = draining(&[]);
    let router = Router::start(move |seen| match seen.line.as_str() {
        RESUME => problem(403, "forbidden"),
        _ => rest(seen),
    })
    .await;
    let (_, marks) = marked(start(&router).await).await;
    assert_eq!((marks, router.count(RESUME)), (vec![OwnDrain::Begins], 1), "a refusal is final");
}

/// Scenario: an operator takes a worker offline while it draws back. Cause: its drain was taken back whatever stood.
#[tokio::test]
async fn what_an_operator_decides_meanwhile_stands() {
    let (mut rest, mut offline) = (draining(&[]), false);
    let router = Router::start(move |seen| {
        offline |= seen.line.contains("/in-flight");
        if seen.line == GET && offline { record("offline") } else { rest(seen) }
    })
    .await;
    let (drawn, marks) = marked(start(&router).await).await;
    assert_eq!((drawn, router.count(RESUME)), (DrawnBack::Idle, 0));
    assert_eq!(marks, [OwnDrain::Begins, OwnDrain::IsOver]);

    // And what is decided right behind the goodbye: the record is not what it was.
    let (mut rest, mut gone) = (draining(&[]), false);
    let router = Router::start(move |seen| {
        gone |= seen.line == DELETE;
        match seen.line.as_str() {
            RESUME => problem(412, "index_mismatch"),
            GET if gone => problem(404, "worker_unknown"),
            _ => rest(seen),
        }
    })
    .await;
    let (_, marks) = marked(start(&router).await).await;
    assert_eq!((marks, router.count(RESUME)), (vec![OwnDrain::Begins], 1));
}

#[tokio::test]
async fn a_drain_of_an_earlier_life_is_taken_back_and_no_other_word() {
    for (duty, stands, resumes) in
        [("draining", Duty::InService, 1), ("offline", Duty::Offline, 0), ("in_service", Duty::InService, 0)]
    {
        let router = Router::start(move |seen| match seen.line.as_str() {
            PUT => granted(4, "1h"),
            line if line.starts_with(GET) => record(duty),
            _ => ok(),
        })
        .await;
        let worker = start(&router).await;
        assert_eq!(worker.take_drain_back().await, Ok(stands), "{duty}");
        assert_eq!(router.count(RESUME), resumes, "{duty}");
        if resumes > 0 {
            assert_eq!(conditions(&router, RESUME), ["\"7\""], "only what was seen");
        }
    }
}

#[tokio::test]
async fn the_word_of_an_operator_outlives_it() {
    let router = Router::start(|seen| match seen.line.as_str() {
        GET => record("draining"),
        _ => draining(&[])(seen),
    })
    .await;
    assert_eq!(start(&router).await.draw_back(LIMIT).await, DrawnBack::Idle);
    assert_eq!((router.count(DRAIN), router.count(RESUME)), (0, 0));
    assert!(router.lines().iter().any(|line| line == "GET /v1/workers/w1/in-flight?index=7"));
}

#[tokio::test]
async fn a_router_that_knows_no_drain_is_told_goodbye_at_once() {
    for status in [404, 405] {
        let router = Router::start(move |seen| match seen.line.as_str() {
            PUT => granted(4, "1h"),
            GET => Say::Answer(200, json!({"id": "w1", "lease": 4})),
            DRAIN => Say::Answer(status, Value::Null),
            _ => ok(),
        })
        .await;
        let drawn = start(&router).await.draw_back(Duration::from_secs(60)).await;
        assert!(matches!(drawn, DrawnBack::NotDrained { .. }), "{drawn:?}");
        assert!(without_beats(&router).contains(&"DELETE /v1/workers/w1?lease=4".to_owned()));
    }
}

#[tokio::test]
async fn a_registration_of_somebody_else_is_not_drained() {
    let router = Router::start(|seen| match seen.line.as_str() {
        PUT => granted(3, "1h"),
        GET => record("in_service"),
        _ => ok(),
    })
    .await;
    assert_eq!(start(&router).await.draw_back(LIMIT).await, DrawnBack::NotRegistered);
    assert_eq!(without_beats(&router), [PUT, GET, "DELETE /v1/workers/w1?lease=3"]);
}

#[tokio::test]
async fn an_election_while_it_drains_is_waited_for() {
    let mut drains = 0;
    let router = Router::start(move |seen| {
        drains += u64::from(seen.line == DRAIN);
        match seen.line.as_str() {
            GET => record(if drains > 2 { "draining" } else { "in_service" }),
            DRAIN if drains < 3 => problem(503, "no_quorum"),
            _ => draining(&[])(seen),
        }
    })
    .await;
    assert_eq!(start(&router).await.draw_back(Duration::from_secs(60)).await, DrawnBack::Idle);
    assert_eq!((router.count(DRAIN), router.count(RESUME)), (3, 1));
}

#[tokio::test]
async fn without_any_router_it_ends_within_its_limit() {
    let worker = {
        let router = Router::start(|_| granted(4, "1h")).await;
        start(&router).await
    };
    let drawn = worker.draw_back(Duration::from_millis(500)).await;
    assert!(matches!(drawn, DrawnBack::NotDrained { .. }), "{drawn:?}");
}

#[tokio::test]
async fn this_machine_is_known_under_the_address_from_which_it_talks() {
    let routers = quorate_client::routers("http://255.255.255.255:1,http://127.0.0.1:9").expect("valid");
    let address = quorate_client::local_address::towards(&routers).await.expect("there is a way");
    assert!(address.is_loopback(), "{address}");
    // Datagrams to everybody take a permission that this socket has not got.
    let nowhere: Url = "http://255.255.255.255:1".parse().expect("a URL");
    let error = quorate_client::local_address::towards(&[nowhere]).await.expect_err("no way");
    assert!(error.to_string().contains("255.255.255.255"), "{error}");
}
