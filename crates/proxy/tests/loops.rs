//! Requests that go in circles, and headers that are not for the worker of a service.

mod rig;

use quorate_rt::time::timeout;
use rig::{
    PATIENCE, Rig, Worker, config,
    service::{call, get, rig},
};

/// An address that is the router's own: the request comes back to it, and is cut.
#[tokio::test]
async fn a_loop_is_cut_by_counting_hops() {
    let rig = rig().await;
    rig.offer("w1", &format!("http://{}/api/service/s", rig.addr), &["s"]);
    let answer = timeout(PATIENCE, rig.ask(&get("/api/service/s/x"))).await.expect("it ends");
    assert_eq!(answer.status, 508);
    assert!(answer.body.starts_with(r#"{"error":"Loop detected","message":"The request went through"#));
    rig.until_metric("quorate_proxy_requests_total{outcome=\"loop\"}", 1).await;
    rig.until_metric("quorate_proxy_requests_total{outcome=\"forwarded\"}", 8).await;
    // A workspace's worker can be the router as well.
    rig.register("w2", &format!("http://{}", rig.addr), 0..12);
    assert_eq!(timeout(PATIENCE, rig.ask(&rig::get("/", ""))).await.expect("it ends").status, 508);
    // Nobody takes the count off by naming it in `Connection`; a router before us counts.
    let nominated = "Connection: X-Quorate-Hops\r\nX-Quorate-Hops: 8\r\n";
    let cut = rig.ask(&call("GET", "/api/service/s/x", nominated)).await;
    assert_eq!(cut.status, 508);
    // Nobody looks for a loop where a client has written the count.
    assert!(cut.body.contains("8 times, as its header x-quorate-hops says"), "{}", cut.body);
    assert!(cut.body.contains("or the client sent that header"), "{}", cut.body);
}

#[tokio::test]
async fn hop_by_hop_tricks_do_not_reach_a_services_worker() {
    let worker = Worker::ok().await;
    let rig = rig().await;
    rig.offer("w1", &worker.url(), &["s"]);
    let tricks = "Connection: X-Forwarded-For, X-Forwarded-Host, X-Quorate-Hops, X-Once\r\nX-Forwarded-For: 6.6.6.6\r\n\
                  X-Once: 1\r\nProxy-Authorization: Basic eDp5\r\n";
    assert_eq!(rig.ask(&call("GET", "/api/service/s/x", tricks)).await.status, 200);
    let heard = worker.last();
    assert_eq!(heard.header("X-Forwarded-For"), Some("127.0.0.1"));
    assert_eq!(heard.header("X-Forwarded-Host"), Some("r.example"));
    assert_eq!(heard.header("X-Quorate-Hops"), Some("1"));
    assert_eq!((heard.header("X-Once"), heard.header("Proxy-Authorization")), (None, None));
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let worker = Worker::ok().await;
    let mut config = config();
    config.limits.header_bytes_max = 8 << 10;
    let rig = Rig::start(config, Some(12)).await;
    rig.offer("w1", &worker.url(), &["s"]);
    let large = format!("X-Large: {}\r\n", "x".repeat(9 << 10));
    assert_eq!(rig.ask(&call("GET", "/api/service/s/x", &large)).await.status, 431);
    assert!(worker.heard().is_empty());
}
