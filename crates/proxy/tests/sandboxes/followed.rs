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
    let first = bad.url().replace("http://", "") + ", by sandbox";
    assert_eq!(hop.failed_over.as_deref(), Some(&*first), "it failed over");
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
    assert_eq!((&*hop.decided_by, hop.status, &hop.failed_over), ("sandbox", Some(502), &None));
    assert!(dead.url.ends_with(hop.address.as_deref().unwrap()), "{hop:?}");
}

/// A sandbox that fails, and whoever is there without the key: told is who answered, be it by the path.
#[tokio::test]
async fn where_a_request_goes_instead_is_noted_by_its_name() {
    let (rig, bad, good) = (rig().await, Worker::answering(|_| broken()).await, Worker::ok().await);
    rig.register("w1", &good.url(), 0..12);
    rig.offer("w2", &good.url(), &["s"]);
    put_sandbox(&rig, "k1", vec![on_5xx(rule(&bad.url()))]);
    asked(&rig, Some(60_000)).await;
    for path in ["/api/service/s/x", "/workspaces/w/x"] {
        check(&rig.ask(&keyed("GET", path)).await, 200, "ok");
    }
    assert_eq!(bad.heard().len(), 2, "it was asked first");
    let told = asked(&rig, None).await.hops;
    let decided: Vec<_> = told.iter().map(|hop| (&*hop.decided_by, hop.service.as_deref())).collect();
    assert_eq!(decided, [("service", Some("s")), ("workspace", None)]);
    for hop in &told {
        assert!(good.url().ends_with(hop.address.as_deref().unwrap()), "{hop:?}");
        let first = hop.failed_over.as_deref().unwrap();
        assert!(
            first.ends_with(", by sandbox") && bad.url().contains(first.split(',').next().unwrap()),
            "{hop:?}"
        );
    }
}

/// The sandbox can't be reached, and nobody answers for whoever is asked then: it is not said that the sandbox did.
#[tokio::test]
async fn a_fallback_that_fails_too_is_no_answer_of_the_sandbox() {
    let (rig, dead, gone) = (rig().await, Dead::new(), Dead::new());
    rig.register("w1", &gone.url, 0..12);
    put_sandbox(&rig, "k1", vec![on_5xx(rule(&dead.url))]);
    asked(&rig, Some(60_000)).await;
    assert!(rig.ask(&keyed("GET", "/workspaces/w/x")).await.status >= 500);
    let told = asked(&rig, None).await.hops;
    assert_eq!((&*told[0].decided_by, told[0].address.as_deref()), ("workspace", None), "{told:?}");
    assert!(
        dead.url.contains(told[0].failed_over.as_deref().unwrap().split(',').next().unwrap()),
        "{told:?}"
    );
}

/// It is no sandbox, and no rule of one.
#[tokio::test]
async fn the_default_target_is_noted_as_such() {
    let (rig, good) = (rig().await, Worker::ok().await);
    rig.with_default(&good.url());
    asked(&rig, Some(60_000)).await;
    check(&rig.ask(&keyed("GET", "/x")).await, 200, "ok");
    let told = asked(&rig, None).await.hops;
    assert_eq!((told.len(), &*told[0].decided_by, told[0].status), (1, "default target", Some(200)));
}
