//! How a worker behaves towards routers that answer, fail, forget it, or gave its place to others.

use crate::support::{Router, Say, eventually, granted, ok, pause, problem};
use quorate_client::{Error, ServiceOffer, Url, WorkerClient, WorkerHandle, WorkerState};
use serde_json::json;
use std::{collections::BTreeMap, time::Duration};

const PUT: &str = "PUT /v1/workers/w1";
const BEAT: &str = "POST /v1/workers/w1/heartbeat";
const DELETE: &str = "DELETE /v1/workers/w1";

async fn start(routers: &[&Router]) -> WorkerHandle {
    let urls: Vec<Url> = routers.iter().map(|router| router.url.clone()).collect();
    WorkerClient::builder(urls, "w1", "http://10.0.0.7:1")
        .partitions([0, 1])
        .start()
        .await
        .expect("registered")
}

async fn becomes(worker: &WorkerHandle, state: WorkerState) {
    eventually(&format!("{state:?}"), || worker.state() == state).await;
}

#[tokio::test]
async fn it_registers_what_it_offers() {
    let router = Router::start(|_| granted(7, "1h")).await;
    let worker = WorkerClient::builder([router.url.clone()], "w1", "http://10.0.0.7:1")
        .partitions([3, 1])
        .keyspace("k")
        .services([ServiceOffer { version: Some("2".into()), ..ServiceOffer::new("upload") }])
        .labels(BTreeMap::from([("zone".into(), "a".into())]))
        .ttl(Duration::from_millis(1_500))
        .weight(50)
        .token("secret")
        .start()
        .await
        .expect("registered");
    assert_eq!(worker.state(), WorkerState::Registered { epoch: 7 });
    let seen = router.seen().remove(0);
    assert_eq!(seen.line, PUT);
    assert!(seen.head.contains("authorization: bearer secret"), "{}", seen.head);
    assert!(seen.head.contains("content-type: application/json"), "{}", seen.head);
    assert_eq!(
        seen.body,
        json!({
            "address": "http://10.0.0.7:1", "partitions": [3, 1], "keyspace": "k", "weight": 50,
            "services": [{"name": "upload", "version": "2"}], "labels": {"zone": "a"}, "ttl": "1s500ms",
        })
    );
}

#[tokio::test]
async fn it_heartbeats_at_the_interval_of_the_router_with_growing_numbers() {
    let router = Router::start(|seen| if seen.line == PUT { granted(9, "100ms") } else { ok() }).await;
    let worker = start(&[&router]).await;
    eventually("ten heartbeats", || router.count(BEAT) >= 10).await;
    drop(worker);
    let beats: Vec<_> = router.seen().into_iter().filter(|seen| seen.line == BEAT).collect();
    for (nth, beat) in beats.iter().enumerate() {
        assert_eq!(beat.body, json!({"lease": 9, "sequence": nth + 1}));
    }
    let gaps: Vec<_> = beats.windows(2).map(|two| two[1].at - two[0].at).collect();
    // Jitter takes a tenth at most; a loaded machine may add, never take away.
    assert!(gaps.iter().all(|gap| gap.as_millis() >= 85), "{gaps:?}");
}

#[tokio::test]
async fn it_registers_again_when_the_router_does_not_know_it() {
    let mut leases = 0;
    let router = Router::start(move |seen| match seen.line.as_str() {
        PUT => {
            leases += 1;
            granted(leases, "30ms")
        }
        _ if leases == 1 => problem(404, "worker_unknown"),
        _ => ok(),
    })
    .await;
    let worker = start(&[&router]).await;
    becomes(&worker, WorkerState::Registered { epoch: 2 }).await;
    eventually("heartbeats of the new lease", || {
        router.seen().iter().any(|seen| seen.body == json!({"lease": 2, "sequence": 2}))
    })
    .await;
}

#[tokio::test]
async fn a_displaced_worker_does_not_fight() {
    let router = Router::start(|seen| match seen.line.as_str() {
        PUT => granted(1, "20ms"),
        _ => problem(404, "worker_displaced"),
    })
    .await;
    let worker = start(&[&router]).await;
    becomes(&worker, WorkerState::Displaced).await;
    let sent = router.lines().len();
    pause(200).await;
    assert_eq!(router.lines().len(), sent, "it rests");
    worker.stop().await;
    assert_eq!(router.count(DELETE), 0, "there is nothing of it to unregister");
}

#[tokio::test]
async fn a_displaced_worker_comes_back_where_it_is_told_to() {
    let mut beats = 0;
    let router = Router::start(move |seen| match seen.line.as_str() {
        PUT => granted(1 + beats, "20ms"),
        BEAT => {
            beats += 1;
            if beats == 1 { problem(404, "worker_displaced") } else { ok() }
        }
        _ => ok(),
    })
    .await;
    let urls = [router.url.clone()];
    let worker =
        WorkerClient::builder(urls, "w1", "http://h:1").reclaim(true).start().await.expect("registered");
    becomes(&worker, WorkerState::Registered { epoch: 2 }).await;
    assert_eq!(router.count(PUT), 2);
}

#[tokio::test]
async fn new_partitions_end_a_displacement() {
    let mut puts = 0;
    let router = Router::start(move |seen| match seen.line.as_str() {
        PUT => {
            puts += 1;
            granted(puts, "20ms")
        }
        _ if puts == 1 => problem(404, "worker_displaced"),
        _ => ok(),
    })
    .await;
    let worker = start(&[&router]).await;
    becomes(&worker, WorkerState::Displaced).await;
    worker.set_partitions([5]).await;
    becomes(&worker, WorkerState::Registered { epoch: 2 }).await;
    let last = router.seen().into_iter().rfind(|seen| seen.line == PUT).expect("two");
    assert_eq!(last.body["partitions"], json!([5]));
}

#[tokio::test]
async fn a_superseded_worker_neither_heartbeats_nor_unregisters_the_other_one() {
    let router = Router::start(|seen| match seen.line.as_str() {
        PUT => granted(1, "20ms"),
        _ => problem(409, "lease_stale"),
    })
    .await;
    let worker = start(&[&router]).await;
    becomes(&worker, WorkerState::Superseded).await;
    let sent = router.lines().len();
    pause(200).await;
    assert_eq!(router.lines().len(), sent);
    assert_eq!(worker.stop().await, WorkerState::Superseded);
    assert_eq!(router.count(DELETE), 0);
}

#[tokio::test]
async fn a_registration_whose_answer_was_lost_is_not_taken_for_another_process() {
    let mut puts = 0;
    let router = Router::start(move |seen| match seen.line.as_str() {
        PUT => {
            puts += 1;
            if puts == 1 { Say::Hangup } else { granted(puts, "20ms") }
        }
        BEAT if puts == 2 => problem(409, "lease_stale"),
        _ => ok(),
    })
    .await;
    let worker = start(&[&router]).await;
    becomes(&worker, WorkerState::Registered { epoch: 3 }).await;
}

#[tokio::test]
async fn it_stays_with_the_router_that_answers_and_leaves_one_that_fails() {
    let bad = Router::start(|_| problem(503, "no_quorum")).await;
    let good = Router::start(|seen| if seen.line == PUT { granted(1, "20ms") } else { ok() }).await;
    let worker = start(&[&bad, &good]).await;
    eventually("heartbeats", || good.count(BEAT) >= 3).await;
    assert_eq!(bad.lines(), [PUT], "asked once, then left alone");
    assert_eq!(worker.state(), WorkerState::Registered { epoch: 1 });
}

#[tokio::test]
async fn a_redirect_is_never_followed() {
    let bad = Router::start(|_| Say::Answer(307, json!({}))).await;
    let good = Router::start(|_| granted(1, "1h")).await;
    start(&[&bad, &good]).await;
    assert_eq!((bad.lines().len(), good.count(PUT)), (1, 1));
}

#[tokio::test]
async fn a_router_that_dies_is_replaced_by_the_next_without_a_new_registration() {
    let script = |seen: &crate::support::Seen| if seen.line == PUT { granted(1, "50ms") } else { ok() };
    let (first, second) = (Router::start(script).await, Router::start(script).await);
    let worker = start(&[&first, &second]).await;
    eventually("a heartbeat", || first.count(BEAT) >= 1).await;
    drop(first);
    eventually("heartbeats at the second", || second.count(BEAT) >= 2).await;
    assert_eq!(second.count(PUT), 0);
    assert_eq!(worker.state(), WorkerState::Registered { epoch: 1 });
}

#[tokio::test]
async fn it_starts_before_its_routers_do() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    drop(listener);
    let url: Url = format!("http://{address}").parse().expect("a URL");
    let worker = WorkerClient::builder([url], "w1", "http://h:1").start().await.expect("it goes on trying");
    assert_eq!(worker.state(), WorkerState::Reconnecting);
    let listener = tokio::net::TcpListener::bind(address).await.expect("still free");
    let _router = Router::on(listener, |_| granted(1, "1h"));
    becomes(&worker, WorkerState::Registered { epoch: 1 }).await;
}

#[tokio::test]
async fn without_any_router_it_reconnects_and_keeps_its_lease() {
    let mut beats = 0;
    let router = Router::start(move |seen| match seen.line.as_str() {
        PUT => granted(1, "50ms"),
        _ => {
            beats += 1;
            if beats < 4 { Say::Hangup } else { ok() }
        }
    })
    .await;
    let worker = start(&[&router]).await;
    becomes(&worker, WorkerState::Reconnecting).await;
    becomes(&worker, WorkerState::Registered { epoch: 1 }).await;
    assert_eq!(router.count(PUT), 1);
}

#[tokio::test]
async fn a_refused_registration_is_an_error_of_start() {
    let router = Router::start(|_| problem(422, "partition_out_of_range")).await;
    let urls = [router.url.clone()];
    let error = WorkerClient::builder(urls, "w1", "http://h:1").start().await.expect_err("refused");
    assert_eq!(error.problem().expect("a problem").code, "partition_out_of_range");
    pause(300).await;
    assert_eq!(router.lines(), [PUT], "it does not go on");
}

#[tokio::test]
async fn values_that_cannot_work_are_refused_before_anything_is_sent() {
    let url: Url = "http://127.0.0.1:1".parse().expect("a URL");
    for id in ["", ".", ".."] {
        let error = WorkerClient::builder([url.clone()], id, "http://h:1").start().await.expect_err(id);
        assert!(matches!(error, Error::Invalid(_)));
    }
    assert!(WorkerClient::builder([], "w1", "http://h:1").start().await.is_err());
}

#[tokio::test]
async fn it_unregisters_its_own_lease_on_stop() {
    let router = Router::start(|seen| if seen.line == PUT { granted(4, "1h") } else { ok() }).await;
    let worker = start(&[&router]).await;
    let mut states = worker.states();
    assert_eq!(worker.stop().await, WorkerState::Registered { epoch: 4 });
    assert_eq!(router.lines(), [PUT, "DELETE /v1/workers/w1?lease=4"]);
    assert_eq!(*states.borrow_and_update(), WorkerState::Stopped);
}

#[tokio::test]
async fn it_unregisters_when_it_is_dropped() {
    let router = Router::start(|seen| if seen.line == PUT { granted(4, "1h") } else { ok() }).await;
    drop(start(&[&router]).await);
    eventually("unregistered", || router.count(DELETE) == 1).await;
}

#[tokio::test]
async fn it_unregisters_on_the_signal_it_was_given() {
    let router = Router::start(|seen| if seen.line == PUT { granted(4, "50ms") } else { ok() }).await;
    start(&[&router]).await.run_until(pause(200)).await;
    assert_eq!(router.count(DELETE), 1);
    assert!(router.count(BEAT) >= 1);
}

#[tokio::test]
async fn stopping_is_bounded_even_if_the_router_is_silent() {
    let router = Router::start(|seen| if seen.line == PUT { granted(4, "1h") } else { Say::Silence }).await;
    let worker = start(&[&router]).await;
    tokio::select! {
        biased;
        _ = worker.stop() => {}
        () = pause(8_000) => panic!("stop hangs"),
    }
}

#[tokio::test]
async fn a_revival_brings_a_new_fencing_token_under_the_same_lease() {
    let router = Router::start(|seen| match seen.line.as_str() {
        PUT => granted(4, "20ms"),
        _ => Say::Answer(200, json!({"epoch": 8})),
    })
    .await;
    let worker = start(&[&router]).await;
    becomes(&worker, WorkerState::Registered { epoch: 8 }).await;
    eventually("more heartbeats", || router.count(BEAT) >= 3).await;
    assert!(router.seen().iter().filter(|seen| seen.line == BEAT).all(|seen| seen.body["lease"] == 4));
}
