//! A worker of a service fails before any byte of its answer: who gets the request next, and what is said when nobody
//! does.

mod rig;

use quorate_model::{LeaseEvent, Load, Milli};
use rig::{
    Client, Rig, Worker, config, eventually,
    service::{Dead, call, check_cors, fatal, get, put, rig},
};
use tokio::io::AsyncWriteExt;

/// The original's "failover" never tried the second worker.
#[tokio::test]
async fn a_refused_connection_is_followed_by_the_next_worker() {
    let rig = rig().await;
    let worker = Worker::ok().await;
    let dead = [Dead::new(), Dead::new()];
    rig.offer("dead1", &dead[0].url, &["s"]);
    rig.offer("dead2", &dead[1].url, &["s"]);
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
    let dead = Dead::new();
    rig.offer("w1", &dead.url, &["s"]);
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
    let dead = ["a", "b", "c", "d", "e"].map(|name| (name, Dead::new()));
    for (name, dead) in &dead {
        rig.offer(name, &dead.url, &["s"]);
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

/// A client broke off, the worker's connection ended with its body, and what had been kept of it went to the next
/// worker: there it looked like the whole.
#[tokio::test]
async fn a_body_that_broke_off_is_not_given_to_another_worker() {
    let rig = rig().await;
    let workers = [Worker::ok().await, Worker::ok().await];
    rig.offer("w1", &workers[0].url(), &["s"]);
    rig.offer("w2", &workers[1].url(), &["s"]);
    let mut client = rig.client().await;
    let head = call("PUT", "/api/service/s/x", "Transfer-Encoding: chunked\r\n");
    client.send(format!("{head}5\r\nhello\r\n").as_bytes()).await.unwrap();
    eventually("a worker is dialled", || workers.iter().any(|worker| worker.connections() > 0)).await;
    client.tcp.shutdown().await.unwrap();
    let ended = |outcome| rig.metric(&format!("quorate_proxy_requests_total{{outcome=\"{outcome}\"}}"));
    eventually("it is over", || ended("bad_request") + ended("abandoned") == 1).await;
    assert_eq!(workers.iter().map(|worker| worker.heard().len()).sum::<usize>(), 0);
}

#[tokio::test]
async fn the_next_worker_gets_the_trailers_too() {
    let rig = rig().await;
    // Takes all of the request, trailers included, and dies with it.
    let whole = "2\r\nhi\r\n0\r\nx-sum: 2\r\n\r\n";
    let heard: std::sync::Arc<std::sync::Mutex<Vec<String>>> = std::sync::Arc::default();
    let mut workers = Vec::new();
    for is_well in [false, true] {
        let record = heard.clone();
        let script = move |tcp, _| {
            let record = record.clone();
            async move {
                let mut client = Client::of(tcp);
                client.head().await.unwrap();
                let body = client.exactly(whole.len()).await.unwrap();
                record.lock().unwrap().push(String::from_utf8(body).unwrap());
                if is_well {
                    client.send(rig::ok("ok").as_bytes()).await.unwrap();
                    client.head().await;
                }
            }
        };
        workers.push(Worker::scripted(script).await);
    }
    rig.offer("dying", &workers[0].url(), &["s"]);
    rig.offer("well", &workers[1].url(), &["s"]);
    rig.says("well", Load { load: Milli::ONE, ..Load::default() });
    let head = "TE: trailers\r\nConnection: TE\r\nTrailer: x-sum\r\nTransfer-Encoding: chunked\r\n";
    let answer = rig.ask(&(call("PUT", "/api/service/s/x", head) + whole)).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(*heard.lock().unwrap(), [whole, whole]);
}
