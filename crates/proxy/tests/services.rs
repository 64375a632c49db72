//! Requests for services: where they go, what is answered here, and what happens when a worker fails.

mod rig;

use quorate_model::{Duty, LeaseEvent, Load, Milli, ServicePolicy};
use rig::{
    Client, Rig, Worker, eventually, ok,
    service::{call, check_cors, get, rig},
};
use std::{collections::BTreeMap, time::Duration};

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
