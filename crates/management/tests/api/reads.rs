//! How new an answer is: local, linearizable, waiting.

use crate::{ask::Ask, fake::Fake, original::register};
use quorate_model::Command;
use quorate_model::{KeyspaceName, KeyspaceSource, PartitionCount};
use quorate_rt::time::{self, Duration};
use serde_json::json;

fn grow(count: u32) -> Command {
    Command::PutKeyspace {
        name: KeyspaceName::default_name(),
        partitions: PartitionCount::new(count).ok(),
        source: KeyspaceSource::Static,
        hold: None,
        if_index: None,
    }
}

#[tokio::test]
async fn a_local_read_may_be_old_and_a_consistent_one_is_not() {
    let fake = Fake::formed();
    fake.lag();
    fake.apply(grow(24));
    let local = fake.ask(Ask::get("/v1/keyspaces/default")).await;
    assert_eq!((local.json()["partitions"].clone(), local.header("x-quorate-index")), (json!(12), Some("1")));
    let fresh = fake.ask(Ask::get("/v1/keyspaces/default?consistent=true")).await;
    assert_eq!((fresh.json()["partitions"].clone(), fresh.header("x-quorate-index")), (json!(24), Some("2")));
}

#[tokio::test]
async fn min_index_waits_for_this_node_and_fails_if_it_is_not_there_in_time() {
    let fake = Fake::formed();
    for path in [
        "/v1/workers",
        "/v1/workers/w1",
        "/v1/keyspaces",
        "/v1/keyspaces/default",
        "/v1/keyspaces/default/partitions",
        "/v1/snapshot",
        "/v1/cluster",
        "/v1/leases",
    ] {
        let late = fake.ask(Ask::get(&format!("{path}?min_index=99&wait=1ms"))).await;
        assert_eq!((late.status, late.problem()), (504, "index_not_reached".into()), "{path}");
        assert!(late.json()["detail"].as_str().is_some_and(|d| d.contains("99")), "{}", late.text);
    }
    let there = fake.ask(Ask::get("/v1/workers?min_index=1&wait=1ms")).await;
    assert_eq!(there.status, 200);
}

#[tokio::test]
async fn min_index_answers_as_soon_as_it_is_reached() {
    let fake = Fake::formed();
    let waiting = fake.ask(Ask::get("/v1/keyspaces/default?min_index=2&wait=30s"));
    let writing = async {
        time::sleep(Duration::from_millis(20)).await;
        fake.apply(grow(24));
    };
    let (answer, ()) = futures_util::future::join(waiting, writing).await;
    assert_eq!(answer.json()["partitions"], 24);
}

#[tokio::test]
async fn a_blocking_query_answers_once_the_view_is_beyond_the_index() {
    let fake = Fake::formed();
    let started = time::Instant::now();
    let waiting = fake.ask(Ask::get("/v1/workers?index=1&wait=30s"));
    let writing = async {
        time::sleep(Duration::from_millis(20)).await;
        register(&fake, "w1", &[0]).await;
    };
    let (answer, ()) = futures_util::future::join(waiting, writing).await;
    assert_eq!(
        (answer.json()["index"].clone(), answer.json()["items"][0]["id"].clone()),
        (json!(2), json!("w1"))
    );
    assert!(started.elapsed() < Duration::from_secs(20));
    let behind = fake.ask(Ask::get("/v1/workers?index=1&wait=30s")).await;
    assert_eq!(behind.json()["index"], 2, "nothing to wait for");
}

#[tokio::test]
async fn a_blocking_query_in_vain_answers_what_is() {
    let fake = Fake::formed();
    for path in ["/v1/workers", "/v1/keyspaces", "/v1/keyspaces/default/partitions", "/v1/leases"] {
        let answer = fake.ask(Ask::get(&format!("{path}?index=1&wait=1ms"))).await;
        assert_eq!((answer.status, answer.json()["index"].clone()), (200, json!(1)), "{path}");
    }
    let far = fake.ask(Ask::get("/v1/workers?index=18446744073709551615&wait=1ms")).await;
    assert_eq!(far.status, 200);
}

#[tokio::test]
async fn a_blocking_query_sleeps_through_what_is_not_in_its_list() {
    let fake = Fake::formed();
    let waiting = fake.ask(Ask::get("/v1/keyspaces?index=1&wait=5m"));
    let writing = async {
        time::sleep(Duration::from_millis(20)).await;
        register(&fake, "w1", &[0]).await;
        time::sleep(Duration::from_millis(20)).await;
        fake.apply(grow(24));
    };
    let (answer, ()) = futures_util::future::join(waiting, writing).await;
    assert_eq!(
        (answer.json()["index"].clone(), answer.json()["items"][0]["partitions"].clone()),
        (json!(3), json!(24))
    );
}

#[tokio::test]
async fn blocking_queries_are_bounded() {
    let fake = Fake::formed();
    let mut waiting = Vec::new();
    for _ in 0..1_024 {
        let mut query = Box::pin(fake.ask(Ask::get("/v1/workers?index=1&wait=5m")));
        assert!(futures_util::poll!(&mut query).is_pending());
        waiting.push(query);
    }
    let full = fake.ask(Ask::get("/v1/workers?index=1&wait=5m")).await;
    assert_eq!((full.status, full.problem(), full.header("retry-after")), (503, "busy".into(), Some("5")));
    assert_eq!(fake.ask(Ask::get("/v1/workers?index=0&wait=5m")).await.status, 200, "this one need not wait");
    for (path, status) in [
        ("/v1/workers?min_index=2&wait=60s", 503),
        ("/v1/workers?min_index=1&wait=60s", 200),
        ("/v1/workers/w/in-flight", 503),
    ] {
        assert_eq!(fake.ask(Ask::get(path)).await.status, status, "{path}");
    }
    register(&fake, "w1", &[0]).await;
    for answer in futures_util::future::join_all(waiting).await {
        assert_eq!((answer.status, answer.json()["index"].clone()), (200, json!(2)));
    }
}

#[tokio::test]
async fn unknown_parameters_are_refused_by_name() {
    let fake = Fake::formed();
    for (ask, field) in [
        (Ask::get("/v1/workers?limt=5"), "query.limt"),
        (Ask::get("/v1/workers/w1?limit=5"), "query.limit"),
        (Ask::get("/v1/cluster?index=5"), "query.index"),
        (Ask::new("DELETE", "/v1/workers/w1?dry-run=true"), "query.dry-run"),
        (Ask::json("PUT", "/v1/workers/w1?dry_run=yes", json!({})), "query.dry_run"),
        (Ask::json("PUT", "/v1/keyspaces/x?force=true", json!({})), "query.force"),
        (Ask::new("POST", "/v1/workers/w1/heartbeat?dry_run=true"), "query.dry_run"),
        (Ask::json("POST", "/v1/heartbeats?a=b", json!({})), "query.a"),
        (Ask::get("/v1/workers?limit=0"), "query.limit"),
        (Ask::get("/v1/workers?cursor=%00"), "query.cursor"),
    ] {
        let answer = fake.ask(ask.clone()).await;
        assert_eq!((answer.status, answer.wrong_fields()), (400, vec![field.to_owned()]), "{ask:?}");
    }
    assert_eq!(fake.proposals(), 0);
}
