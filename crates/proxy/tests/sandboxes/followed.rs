//! What is noted of requests while somebody follows their key.

use super::*;
use quorate_model::key_trace::{KeyTrace, TraceAsked};

async fn asked(rig: &Rig, follow_ms: Option<u64>) -> KeyTrace {
    let key = RoutingKey::parse("k1").unwrap();
    rig.proxy.as_ref().unwrap().key_traces().ask(TraceAsked { key, follow_ms, traces: Vec::new() }).await
}

/// Where a request went in the end, not where it was to go; and whoever gets the answer is told nothing of it.
#[tokio::test]
async fn the_place_that_answered_is_noted() {
    let ((rig, base), bad) = (with_base().await, Worker::answering(|_| broken()).await);
    put_sandbox(&rig, "k1", vec![on_5xx(rule(&bad.url()))]);
    check(&rig.ask(&keyed("GET", "/before")).await, 200, "base");
    assert_eq!(asked(&rig, Some(60_000)).await.hops, [], "nobody followed it");
    check(&rig.ask(&call("GET", "/x/17?token=t", &format!("X-Route-Key: k1\r\n{TRACE}"))).await, 200, "base");
    check(&rig.ask(&call("GET", "/y", "")).await, 200, "base");
    let told = asked(&rig, None).await;
    let [hop] = &told.hops[..] else { panic!("{told:?}") };
    assert_eq!((&*hop.path, &*hop.decided_by, hop.status), ("/x/{}", "route base", Some(200)));
    assert!(base.url().ends_with(hop.address.as_deref().unwrap()), "{hop:?}");
    assert_eq!(hop.forms, ["x-route-key".into()]);
    assert!(told.left_ms.is_some() && told.cores_silent == 0, "{told:?}");
}

/// One that nobody answers is a hop as well.
#[tokio::test]
async fn what_fails_is_noted_with_where_it_was_to_go() {
    let (rig, dead) = (rig().await, Dead::new());
    put_sandbox(&rig, "k1", vec![never(rule(&dead.url))]);
    asked(&rig, Some(60_000)).await;
    assert_eq!(rig.ask(&keyed("GET", "/x")).await.status, 502);
    let told = asked(&rig, None).await;
    let hop = told.hops.first().unwrap();
    assert_eq!((&*hop.decided_by, hop.status), ("sandbox", Some(502)));
    assert!(dead.url.ends_with(hop.address.as_deref().unwrap()), "{hop:?}");
}
