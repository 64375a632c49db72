//! Requests for services: where they go, what is answered here, and what happens when a worker fails.

#![expect(clippy::unwrap_used, reason = "a test that can not be set up has to stop")]

mod rig;

use quorate_model::{Duty, LeaseEvent, Load, Milli, ServicePolicy};
use quorate_rt::time::timeout;
use rig::{Client, PATIENCE, Rig, Worker, config, eventually, ok};
use std::{collections::BTreeMap, time::Duration};

/// A request for a service, without a workspace.
fn call(method: &str, path: &str, more: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: r.example\r\n{more}\r\n")
}

fn get(path: &str) -> String {
    call("GET", path, "")
}

fn put(path: &str, body: &str) -> String {
    call("PUT", path, &format!("Content-Length: {}\r\n", body.len())) + body
}

async fn rig() -> Rig {
    Rig::start(config(), Some(12)).await
}

/// Nobody listens there.
async fn dead_url() -> String {
    let worker = Worker::ok().await;
    worker.die().await;
    worker.url()
}

/// Reads a request's head and closes: it dies with the request in its hands.
async fn fatal() -> Worker {
    Worker::scripted(|tcp, _| async move {
        Client::of(tcp).head().await;
    })
    .await
}

fn check_cors(answer: &rig::Answer) {
    for (name, value) in [
        ("Access-Control-Allow-Origin", "*"),
        ("Access-Control-Allow-Methods", "GET, POST, DELETE, OPTIONS"),
        ("Access-Control-Allow-Headers", "Content-Type"),
    ] {
        assert_eq!(answer.header(name), Some(value), "{}", answer.head);
    }
    assert_eq!(answer.header("X-Quorate-Node"), Some("n1"), "{}", answer.head);
    assert!(answer.header("X-Quorate-Index").is_some(), "{}", answer.head);
}

#[tokio::test]
async fn a_request_goes_to_a_worker_of_the_service_and_its_answer_comes_back() {
    let worker = Worker::answering(|_| {
        "HTTP/1.1 201 Made\r\nContent-Length: 3\r\nAccess-Control-Allow-Origin: https://a\r\nServer: w\r\n\r\nyes".into()
    })
    .await;
    let rig = rig().await;
    rig.offer("w1", &worker.url(), &["upload"]);
    let path = "/api/service/upload/files/a%20b?x=1&y=%2F";
    let answer = rig.ask(&(call("POST", path, "Content-Length: 2\r\nX-Own: q\r\n") + "hi")).await;
    assert_eq!((answer.status, answer.body.as_str(), answer.header("Server")), (201, "yes", Some("w")));
    check_cors(&answer);
    let heard = worker.last();
    assert_eq!(heard.line(), "POST /files/a%20b?x=1&y=%2F HTTP/1.1");
    assert_eq!((heard.header("X-Own"), heard.body.as_slice()), (Some("q"), &b"hi"[..]));
    for (path, line) in [
        ("/api/service/upload", "GET / HTTP/1.1"),
        ("/api/service/upload/", "GET / HTTP/1.1"),
        ("/api/service/upload?q", "GET /?q HTTP/1.1"),
        ("/api/service/%75pload//x/", "GET //x/ HTTP/1.1"),
    ] {
        assert_eq!(rig.ask(&get(path)).await.status, 201, "{path}");
        assert_eq!(worker.last().line(), line, "{path}");
    }
    rig.until_metric("quorate_service_requests_total{service=\"upload\",result=\"answered\"}", 5).await;
}

#[tokio::test]
async fn a_services_own_url_comes_first_and_keeps_its_path() {
    let (own, other) = (Worker::ok().await, Worker::ok().await);
    let rig = rig().await;
    let at_a_path = format!("upload={}/base/", other.url());
    rig.offer("w1", &format!("{}/worker", own.url()), &[&at_a_path, "notes"]);
    assert_eq!(rig.ask(&get("/api/service/upload/x?y")).await.status, 200);
    assert_eq!(other.last().line(), "GET /base/x?y HTTP/1.1");
    assert_eq!(rig.ask(&get("/api/service/notes")).await.status, 200);
    assert_eq!(own.last().line(), "GET /worker/ HTTP/1.1");
}

/// A service comes before a workspace.
#[tokio::test]
async fn a_workspace_header_does_not_lead_away_from_a_service() {
    let (partition, service) = (Worker::ok().await, Worker::ok().await);
    let rig = Rig::with(&partition).await;
    rig.offer("w2", &service.url(), &["upload"]);
    assert_eq!(rig.ask(&call("GET", "/api/service/upload/x", "X-Workspace-ID: w1\r\n")).await.status, 200);
    assert_eq!((partition.heard().len(), service.heard().len()), (0, 1));
    assert_eq!(rig.ask(&call("GET", "/api/services/upload/x", "X-Workspace-ID: w1\r\n")).await.status, 200);
    assert_eq!((partition.heard().len(), service.heard().len()), (1, 1));
}

#[tokio::test]
async fn options_is_answered_here() {
    let rig = rig().await;
    for path in ["/api/service/none/x", "/api/service/"] {
        let answer = rig.ask(&call("OPTIONS", path, "Origin: https://a\r\n")).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, ""), "{path}");
        check_cors(&answer);
    }
}

#[tokio::test]
async fn a_bad_path_is_refused_by_name() {
    let worker = Worker::ok().await;
    let rig = rig().await;
    rig.offer("w1", &worker.url(), &["upload"]);
    for path in ["/api/service", "/api/service/", "/api/service//x"] {
        let answer = rig.ask(&get(path)).await;
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (400, r#"{"error":"Invalid service path"}"#),
            "{path}"
        );
        check_cors(&answer);
    }
    for (path, why) in [
        ("/api/service/upload/../x", "segment"),
        ("/api/service/upload/a/..", "segment"),
        ("/api/service/upload/%2e%2E/x", "segment"),
        ("/api/service/upload/..;a/x", "segment"),
        ("/api/service/upload/a%2Fb", "encoded slash"),
        ("/api/service/upload/a%5cb", "backslash"),
        ("/api/service/upload/a%0d%0aX-Evil:1", "control"),
        ("/api/service/..%2Fv1/x", "the service's name"),
        ("/api/service/../v1/x", "the service's name"),
    ] {
        let answer = rig.ask(&get(path)).await;
        assert_eq!((answer.status, answer.header("Content-Type")), (400, Some("application/json")), "{path}");
        assert!(answer.body.starts_with(r#"{"error":"Invalid service path","message":""#), "{}", answer.body);
        assert!(answer.body.contains(why), "{path}: {}", answer.body);
        check_cors(&answer);
    }
    assert!(worker.heard().is_empty());
}

#[tokio::test]
async fn an_unknown_service_is_told_which_there_are() {
    let rig = rig().await;
    rig.offer("w1", "http://127.0.0.1:1", &["upload", "notes"]);
    rig.offer("w2", "http://127.0.0.1:2", &["gone"]);
    rig.lease("w2", LeaseEvent::Expired);
    let answer = rig.ask(&get("/api/service/nope/x")).await;
    assert_eq!((answer.status, answer.header("Content-Type")), (503, Some("application/json")));
    assert_eq!(
        answer.body,
        r#"{"error":"Service 'nope' not available","available_services":["notes","upload"],"suggestion":"Start a worker with this service enabled or choose from available services"}"#
    );
    check_cors(&answer);
    // The list is of the View of the request.
    rig.lease("w1", LeaseEvent::Expired);
    assert!(rig.ask(&get("/api/service/nope/x")).await.body.contains("\"available_services\":[],"));
}

#[tokio::test]
async fn a_service_without_a_live_worker_says_so() {
    let rig = rig().await;
    rig.offer("w1", "http://127.0.0.1:1", &["upload"]);
    rig.offer("w2", "http://127.0.0.1:2", &["notes"]);
    let body = r#"{"error":"No healthy workers available for 'upload'","available_services":["notes"],"suggestion":"All workers for this service are offline. Try again later or use an alternative service."}"#;
    rig.lease("w1", LeaseEvent::Expired);
    let answer = rig.ask(&get("/api/service/upload/x")).await;
    assert_eq!((answer.status, answer.body.as_str()), (503, body));
    // A third of the lease of 30 s: then it would be heard again.
    assert_eq!(answer.header("Retry-After"), Some("10"));
    check_cors(&answer);
    rig.lease("w1", LeaseEvent::Revived);
    for duty in [Duty::Draining, Duty::Offline] {
        rig.duty("w1", duty);
        let answer = rig.ask(&get("/api/service/upload/x")).await;
        assert_eq!((answer.status, answer.body.as_str()), (503, body), "{duty:?}");
    }
    rig.duty("w1", Duty::InService);
    let unwell = Load { unwell: Some("degraded".into()), ..Load::default() };
    rig.says("w1", unwell);
    assert_eq!(rig.ask(&get("/api/service/upload/x")).await.status, 503);
    rig.until_metric("quorate_service_requests_total{service=\"upload\",result=\"unserved\"}", 4).await;
}

/// The original dropped a stale worker from its index for good.
#[tokio::test]
async fn a_revived_worker_is_routed_to_again() {
    let worker = Worker::ok().await;
    let rig = rig().await;
    rig.offer("w1", &worker.url(), &["upload"]);
    rig.lease("w1", LeaseEvent::Expired);
    assert_eq!(rig.ask(&get("/api/service/upload/x")).await.status, 503);
    rig.lease("w1", LeaseEvent::Revived);
    assert_eq!(rig.ask(&get("/api/service/upload/x")).await.status, 200);
}

/// Who answered each of `count` requests.
async fn answered(rig: &Rig, count: u32) -> BTreeMap<String, u32> {
    let (mut client, mut who) = (rig.client().await, BTreeMap::new());
    for _ in 0..count {
        *who.entry(client.ask(&get("/api/service/s/x")).await.body).or_default() += 1;
    }
    who
}

#[tokio::test]
async fn live_workers_share_and_suspect_ones_wait_for_their_turn() {
    let rig = rig().await;
    let mut workers = Vec::new();
    for name in ["a", "b", "c"] {
        let worker = Worker::answering(move |_| ok(name)).await;
        rig.offer(name, &worker.url(), &["s"]);
        workers.push(worker);
    }
    let shares = answered(&rig, 600).await;
    // Binomial, n = 600, p = 1/3: the deviation is 11.5; beyond six of them.
    assert!(shares.len() == 3 && shares.values().all(|share| (130..=270).contains(share)), "{shares:?}");
    rig.lease("a", LeaseEvent::Suspected);
    let shares = answered(&rig, 60).await;
    assert!(!shares.contains_key("a") && shares.len() == 2, "{shares:?}");
    rig.lease("b", LeaseEvent::Expired);
    rig.duty("c", Duty::Draining);
    assert_eq!(answered(&rig, 10).await.into_iter().collect::<Vec<_>>(), [("a".to_owned(), 10)]);
}

#[tokio::test]
async fn what_workers_say_about_their_load_decides_from_then_on() {
    let rig = rig().await;
    let mut workers = Vec::new();
    for name in ["a", "b"] {
        let worker = Worker::answering(move |_| ok(name)).await;
        rig.offer(name, &worker.url(), &["s"]);
        workers.push(worker);
    }
    assert_eq!(answered(&rig, 100).await.len(), 2);
    rig.says("a", Load { load: Milli::of(0.9), ..Load::default() });
    assert_eq!(answered(&rig, 50).await.into_keys().collect::<Vec<_>>(), ["b"]);
    rig.says("b", Load { load: Milli::of(0.9), active: 3, ..Load::default() });
    assert_eq!(answered(&rig, 50).await.into_keys().collect::<Vec<_>>(), ["a"]);
}

/// The original's "failover" never tried the second worker.
#[tokio::test]
async fn a_refused_connection_is_followed_by_the_next_worker() {
    let rig = rig().await;
    let worker = Worker::ok().await;
    rig.offer("dead1", &dead_url().await, &["s"]);
    rig.offer("dead2", &dead_url().await, &["s"]);
    rig.offer("well", &worker.url(), &["s"]);
    // The score prefers the dead ones.
    rig.says("well", Load { load: Milli::ONE, ..Load::default() });
    for method in ["GET", "POST", "DELETE"] {
        let answer = rig.ask(&(call(method, "/api/service/s/x", "Content-Length: 2\r\n") + "hi")).await;
        assert_eq!(answer.status, 200, "{method}: {}", answer.body);
        assert_eq!(worker.last().body, b"hi", "{method}");
    }
    assert_eq!(worker.heard().len(), 3);
    rig.until_metric("quorate_proxy_failovers_total", 6).await;
}

#[tokio::test]
async fn a_worker_that_dies_with_an_idempotent_request_is_followed_by_the_next() {
    let rig = rig().await;
    let (dying, worker) = (fatal().await, Worker::ok().await);
    rig.offer("dying", &dying.url(), &["s"]);
    rig.offer("well", &worker.url(), &["s"]);
    rig.says("well", Load { load: Milli::ONE, ..Load::default() });
    assert_eq!(rig.ask(&get("/api/service/s/x")).await.status, 200);
    // The second worker gets all of the body, though the first one may have got it already.
    assert_eq!(rig.ask(&put("/api/service/s/x", "the whole body")).await.status, 200);
    assert_eq!(worker.last().body, b"the whole body");
    assert_eq!((dying.connections(), worker.heard().len()), (2, 2));
}

#[tokio::test]
async fn a_post_that_may_have_arrived_is_not_given_to_another_worker() {
    let rig = rig().await;
    let (dying, worker) = (fatal().await, Worker::ok().await);
    rig.offer("dying", &dying.url(), &["s"]);
    rig.offer("well", &worker.url(), &["s"]);
    rig.says("well", Load { load: Milli::ONE, ..Load::default() });
    let answer = rig.ask(&call("POST", "/api/service/s/x", "Content-Length: 0\r\n")).await;
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (
            503,
            r#"{"error":"Service temporarily unavailable, retry recommended","retry_after":2,"healthy_workers":1}"#
        )
    );
    assert_eq!(answer.header("Retry-After"), Some("2"));
    check_cors(&answer);
    assert!(worker.heard().is_empty(), "it could have been done twice");
    rig.until_metric("quorate_service_requests_total{service=\"s\",result=\"failed\"}", 1).await;
}

#[tokio::test]
async fn a_body_that_is_too_large_to_be_kept_is_sent_once() {
    let mut config = config();
    config.limits.kept_bytes_per_request_max = 1_000;
    let rig = Rig::start(config, Some(12)).await;
    let dying = Worker::scripted(|tcp, _| async move {
        Client::of(tcp).message().await;
    })
    .await;
    let worker = Worker::ok().await;
    rig.offer("dying", &dying.url(), &["s"]);
    rig.offer("well", &worker.url(), &["s"]);
    rig.says("well", Load { load: Milli::ONE, ..Load::default() });
    assert_eq!(rig.ask(&put("/api/service/s/x", &"x".repeat(1_001))).await.status, 503);
    assert!(worker.heard().is_empty());
    assert_eq!(rig.ask(&put("/api/service/s/x", &"x".repeat(1_000))).await.status, 200);
    assert_eq!(worker.last().body.len(), 1_000);
}

/// The first worker dies while the body is under way: the next one gets what was sent so far, and the rest.
#[tokio::test]
async fn a_failover_in_the_middle_of_an_upload_loses_no_byte() {
    let rig = rig().await;
    let (dying, worker) = (fatal().await, Worker::ok().await);
    rig.offer("dying", &dying.url(), &["s"]);
    rig.offer("well", &worker.url(), &["s"]);
    rig.says("well", Load { load: Milli::ONE, ..Load::default() });
    let mut client = rig.client().await;
    client.send(call("PUT", "/api/service/s/x", "Content-Length: 10\r\n").as_bytes()).await.unwrap();
    client.send(b"01234").await.unwrap();
    eventually("it goes on at the next worker", || worker.connections() == 1).await;
    client.send(b"56789").await.unwrap();
    assert_eq!(client.answer("PUT").await.status, 200);
    assert_eq!(worker.last().body, b"0123456789");
    // The connection to it was read to its end, and is used again.
    assert_eq!(client.ask(&put("/api/service/s/x", "again")).await.status, 200);
    assert_eq!(worker.connections(), 1);
}

#[tokio::test]
async fn when_all_have_failed_the_last_one_is_named() {
    let rig = rig().await;
    rig.offer("w1", &dead_url().await, &["s"]);
    let answer = rig.ask(&get("/api/service/s/x")).await;
    assert_eq!((answer.status, answer.header("Content-Type")), (502, Some("application/json")));
    assert!(
        answer.body.starts_with(r#"{"error":"Service proxy failed","message":"connect to 127.0.0.1:"#)
            && answer.body.ends_with(r#","service":"s","worker":"w1"}"#),
        "{}",
        answer.body
    );
    check_cors(&answer);
}

#[tokio::test]
async fn three_workers_are_tried_and_no_more() {
    let rig = rig().await;
    for name in ["a", "b", "c", "d", "e"] {
        rig.offer(name, &dead_url().await, &["s"]);
    }
    let answer = rig.ask(&get("/api/service/s/x")).await;
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (
            503,
            r#"{"error":"Service temporarily unavailable, retry recommended","retry_after":2,"healthy_workers":2}"#
        )
    );
    for name in ["a", "b", "c", "d"] {
        rig.lease(name, LeaseEvent::Suspected);
    }
    rig.lease("e", LeaseEvent::Expired);
    let answer = rig.ask(&get("/api/service/s/x")).await;
    assert!(answer.body.ends_with(r#""retry_after":10,"healthy_workers":1}"#), "{}", answer.body);
    assert_eq!(answer.header("Retry-After"), Some("10"));
}

#[tokio::test]
async fn a_services_timeout_is_its_own() {
    let silent = Worker::scripted(|tcp, _| async move {
        let mut client = Client::of(tcp);
        while client.head().await.is_some() {}
    })
    .await;
    let rig = rig().await;
    rig.offer("w1", &silent.url(), &["s"]);
    rig.policy("s", ServicePolicy::new(None, Some(Duration::from_millis(300))).unwrap());
    let answer = rig.ask(&get("/api/service/s/x")).await;
    assert_eq!(answer.status, 502);
    assert!(answer.body.contains("no answer within 300ms"), "{}", answer.body);
}

/// Requests and tunnels are in flight until the worker has no more to do with them.
#[tokio::test]
async fn what_a_worker_has_in_flight_is_known() {
    let rig = rig().await;
    let worker = Worker::scripted(|tcp, _| async move {
        let mut client = Client::of(tcp);
        while let Some(head) = client.head().await {
            let _ = client.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nha").await;
            if client.exactly(1).await.is_none() || client.send(b"lf").await.is_err() {
                return drop(head);
            }
        }
    })
    .await;
    rig.offer("w1", &worker.url(), &["s"]);
    rig.register("p1", &worker.url(), 0..12);
    assert_eq!((rig.in_flight("w1"), rig.in_flight("nobody")), (0, 0));
    let mut clients = Vec::new();
    for (nth, request) in [get("/api/service/s/x"), rig::get("/", "")].iter().enumerate() {
        let mut client = rig.client().await;
        // A byte that the worker waits for before it goes on, behind the answer's first half.
        client.send(request.as_bytes()).await.unwrap();
        client.head().await.unwrap();
        eventually("it is counted", || rig.in_flight("w1") + rig.in_flight("p1") == 1 + nth as u64).await;
        clients.push(client);
    }
    rig.duty("w1", Duty::Draining);
    assert_eq!((rig.in_flight("w1"), rig.in_flight("p1")), (1, 1));
    worker.die().await;
    eventually("cut ones are over", || rig.in_flight("w1") + rig.in_flight("p1") == 0).await;
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_count_along() {
    let rig = rig().await;
    let silent = Worker::scripted(|tcp, _| async move {
        let mut client = Client::of(tcp);
        while client.head().await.is_some() {}
    })
    .await;
    rig.offer("w1", &silent.url(), &["s"]);
    let mut client = rig.client().await;
    client.send(get("/api/service/s/x").as_bytes()).await.unwrap();
    eventually("it is asked", || rig.in_flight("w1") == 1).await;
    drop(client);
    eventually("it is over", || rig.in_flight("w1") == 0).await;
}

/// A draining owner's partition answers as between owners.
#[tokio::test]
async fn a_draining_owner_gets_no_new_requests() {
    let worker = Worker::ok().await;
    let rig = Rig::with(&worker).await;
    assert_eq!(rig.ask(&rig::get("/", "")).await.status, 200);
    for duty in [Duty::Draining, Duty::Offline] {
        rig.duty("w1", duty);
        let answer = rig.ask(&rig::get("/", "")).await;
        assert_eq!(answer.status, 503, "{duty:?}");
        assert!(answer.body.starts_with(r#"{"error":"No worker available""#), "{}", answer.body);
    }
    rig.duty("w1", Duty::InService);
    assert_eq!(rig.ask(&rig::get("/", "")).await.status, 200);
    assert_eq!(worker.heard().len(), 2);
}

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
    assert_eq!(rig.ask(&call("GET", "/api/service/s/x", nominated)).await.status, 508);
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
