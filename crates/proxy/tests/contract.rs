//! What clients and workers see, byte for byte.

mod rig;

use quorate_proxy::Limits;
use rig::{Rig, Worker, config, get, ok};
use std::time::Duration;

const CORS: [(&str, &str); 4] = [
    ("Access-Control-Allow-Origin", "*"),
    ("Access-Control-Allow-Credentials", "true"),
    (
        "Access-Control-Allow-Headers",
        "Content-Type, Content-Length, Accept-Encoding, X-CSRF-Token, Authorization, accept, origin, \
         Cache-Control, X-Requested-With",
    ),
    ("Access-Control-Allow-Methods", "POST, OPTIONS, GET, PUT, DELETE, PATCH"),
];
const JSON: &str = "application/json; charset=utf-8";

/// What every answer carries, whoever made it.
fn check_common(answer: &rig::Answer) {
    for (name, value) in CORS {
        assert_eq!(answer.header(name), Some(value), "{}", answer.head);
    }
    assert_eq!(answer.header("X-Quorate-Node"), Some("n1"), "{}", answer.head);
    assert!(answer.header("X-Quorate-Index").is_some(), "{}", answer.head);
}

#[tokio::test]
async fn a_request_goes_to_the_owner_and_its_answer_comes_back() {
    let worker = Worker::answering(|_| {
        "HTTP/1.1 201 Made Up\r\nContent-Length: 3\r\nX-Own: 1\r\nX-Own: 2\r\nServer: w\r\n\r\nyes".into()
    })
    .await;
    let rig = Rig::with(&worker).await;
    let answer = rig.ask(&get("/v1/jobs?a=b%20c", "X-Own: q\r\n")).await;
    assert_eq!((answer.status, answer.body.as_str()), (201, "yes"));
    assert!(answer.head.starts_with("HTTP/1.1 201 Made Up\r\n"), "{}", answer.head);
    assert_eq!((answer.all("x-own"), answer.header("server")), (vec!["1", "2"], Some("w")));
    check_common(&answer);
    let heard = worker.last();
    assert_eq!(heard.line(), "GET /v1/jobs?a=b%20c HTTP/1.1");
    assert_eq!((heard.header("X-Own"), heard.header("X-Workspace-ID")), (Some("q"), Some("w1")));
    rig.until_metric("quorate_proxy_requests_total{outcome=\"forwarded\"}", 1).await;
}

#[tokio::test]
async fn a_worker_is_told_who_asked_for_what() {
    let worker = Worker::ok().await;
    let rig = Rig::with(&worker).await;
    rig.ask(&get("/", "X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: gopher\r\nX-Forwarded-Host: evil\r\n"))
        .await;
    let heard = worker.last();
    assert_eq!(heard.header("Host"), Some("r.example"));
    assert_eq!(heard.header("X-Forwarded-Host"), Some("r.example"));
    assert_eq!(heard.header("X-Forwarded-Proto"), Some("http"));
    assert_eq!(heard.header("X-Routed-By"), Some("workspace-engine-router"));
    assert_eq!(heard.header("X-Forwarded-For"), Some("1.2.3.4, 127.0.0.1"));
    assert_eq!(heard.header("Connection"), None);
}

#[tokio::test]
async fn the_path_of_a_workers_address_comes_first() {
    let worker = Worker::ok().await;
    let rig = Rig::start(config(), Some(12)).await;
    rig.register("w1", &format!("{}/base/", worker.url()), 0..12);
    rig.ask(&get("/v1/x?y", "")).await;
    assert_eq!(worker.last().line(), "GET /base/v1/x?y HTTP/1.1");
}

#[tokio::test]
async fn options_is_answered_here_and_never_proxied() {
    let worker = Worker::ok().await;
    let rig = Rig::with(&worker).await;
    for line in ["OPTIONS /v1/workspaces/w1/x", "OPTIONS /", "OPTIONS *"] {
        let answer = rig.ask(&format!("{line} HTTP/1.1\r\nHost: r\r\nOrigin: https://a\r\n\r\n")).await;
        assert_eq!(answer.status, 204, "{line}");
        assert_eq!(
            (answer.header("Content-Type"), answer.header("Content-Length")),
            (None, None),
            "{}",
            answer.head
        );
        check_common(&answer);
    }
    assert!(worker.heard().is_empty());
}

#[tokio::test]
async fn a_request_without_a_workspace_is_told_how() {
    let worker = Worker::ok().await;
    let rig = Rig::with(&worker).await;
    let answer = rig.ask("GET /v1/a%20b%3C?secret=1 HTTP/1.1\r\nHost: r\r\n\r\n").await;
    assert_eq!((answer.status, answer.header("Content-Type")), (400, Some(JSON)));
    assert_eq!(
        answer.body,
        r#"{"error":"Workspace ID required","message":"Please provide workspace ID via X-Workspace-ID header or in path (/v1/workspaces/{workspaceId}/...)","path":"/v1/a b\u003c"}"#
    );
    check_common(&answer);
    assert!(worker.heard().is_empty());
}

#[tokio::test]
async fn an_unknown_partition_count_is_unavailable() {
    let rig = Rig::start(config(), None).await;
    let answer = rig.ask(&get("/", "")).await;
    assert_eq!((answer.status, answer.header("Content-Type")), (503, Some(JSON)));
    assert_eq!(
        answer.body,
        r#"{"error":"Service temporarily unavailable","message":"Failed to determine partition count"}"#
    );
    check_common(&answer);
}

#[tokio::test]
async fn a_partition_without_an_owner_is_unavailable() {
    let rig = Rig::start(config(), Some(12)).await;
    let answer = rig.ask("GET /v1/workspaces/workspace-123/x HTTP/1.1\r\nHost: r\r\n\r\n").await;
    assert_eq!((answer.status, answer.header("Content-Type")), (503, Some(JSON)));
    assert_eq!(
        answer.body,
        r#"{"error":"No worker available","message":"No healthy worker is currently handling this workspace","workspace_id":"workspace-123","partition":5}"#
    );
    check_common(&answer);
}

#[tokio::test]
async fn a_worker_that_refuses_is_unavailable() {
    let worker = Worker::ok().await;
    let rig = Rig::with(&worker).await;
    worker.die().await;
    let answer = rig.ask(&get("/", "")).await;
    assert_eq!((answer.status, answer.header("Content-Type")), (503, Some(JSON)));
    assert_eq!(
        answer.body,
        format!(
            r#"{{"error":"Worker unavailable","message":"Failed to connect to worker: connect to {}: Connection refused (os error 111)"}}"#,
            worker.addr
        )
    );
    check_common(&answer);
    rig.until_metric("quorate_proxy_requests_total{outcome=\"worker_unavailable\"}", 1).await;
}

#[tokio::test]
async fn a_worker_that_is_too_slow_is_unavailable() {
    let worker = Worker::scripted(|tcp, _| async move {
        let _kept_open = tcp;
        std::future::pending::<()>().await;
    })
    .await;
    let mut config = config();
    config.request_timeout = Duration::from_millis(300);
    let rig = Rig::start(config, Some(12)).await;
    rig.register("w1", &worker.url(), 0..12);
    let answer = rig.ask(&get("/", "")).await;
    assert_eq!(answer.status, 503);
    assert_eq!(
        answer.body,
        format!(
            r#"{{"error":"Worker unavailable","message":"Failed to connect to worker: {}: no answer within 300ms"}}"#,
            worker.addr
        )
    );
    check_common(&answer);
    rig.until_metric("quorate_proxy_requests_total{outcome=\"timeout\"}", 1).await;
    assert_eq!(worker.connections(), 1, "a request that may be under way is not sent again");
}

#[tokio::test]
async fn the_request_timeout_bounds_the_head_only() {
    let worker = Worker::scripted(|tcp, _| async move {
        let mut client = rig::Client::of(tcp);
        while client.message().await.is_some() {
            let _ = client.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab").await;
            quorate_rt::time::sleep(Duration::from_millis(900)).await;
            let _ = client.send(b"cd").await;
        }
    })
    .await;
    let mut config = config();
    config.request_timeout = Duration::from_millis(300);
    let rig = Rig::start(config, Some(12)).await;
    rig.register("w1", &worker.url(), 0..12);
    let answer = rig.ask(&get("/", "")).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "abcd"));
}

#[tokio::test]
async fn a_workers_own_cors_headers_are_replaced_and_not_doubled() {
    let worker = Worker::answering(|_| {
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nAccess-Control-Allow-Origin: https://a\r\n\
         Access-Control-Allow-Methods: GET\r\nAccess-Control-Expose-Headers: X-Total\r\n\r\n"
            .into()
    })
    .await;
    let rig = Rig::with(&worker).await;
    let answer = rig.ask(&get("/", "")).await;
    check_common(&answer);
    assert_eq!(answer.header("Access-Control-Expose-Headers"), Some("X-Total"));
}

#[tokio::test]
async fn an_answer_names_the_view_that_decided_and_its_age() {
    let worker = Worker::ok().await;
    let rig = Rig::with(&worker).await;
    let mut client = rig.client().await;
    let first = client.ask(&get("/", "")).await;
    assert_eq!((first.header("X-Quorate-Index"), first.header("X-Quorate-Stale")), (Some("2"), None));
    rig.register("w1", &worker.url(), 0..12);
    rig.freshness.set_stale(17);
    let second = client.ask(&get("/", "")).await;
    assert_eq!((second.header("X-Quorate-Index"), second.header("X-Quorate-Stale")), (Some("3"), Some("17")));
    rig.freshness.set_fresh();
    let own = client.ask("GET / HTTP/1.1\r\nHost: r\r\n\r\n").await;
    assert_eq!((own.header("X-Quorate-Index"), own.header("X-Quorate-Stale")), (Some("3"), None));
}

#[tokio::test]
async fn any_goes_somewhere() {
    let worker = Worker::ok().await;
    let rig = Rig::with(&worker).await;
    let answer = rig.ask("GET / HTTP/1.1\r\nHost: r\r\nX-Workspace-ID: any\r\n\r\n").await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn head_and_bodyless_answers_keep_their_meaning() {
    let worker = Worker::answering(|heard| match heard.line().split(' ').nth(1).unwrap() {
        "/304" => "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n".into(),
        "/204" => "HTTP/1.1 204 No Content\r\n\r\n".into(),
        _ if heard.line().starts_with("HEAD") => "HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n".into(),
        _ => ok("x"),
    })
    .await;
    let rig = Rig::with(&worker).await;
    let mut client = rig.client().await;
    let head = client.ask(&get("/", "").replace("GET", "HEAD")).await;
    assert_eq!((head.status, head.header("Content-Length")), (200, Some("17")));
    assert_eq!(client.ask(&get("/304", "")).await.header("ETag"), Some("\"x\""));
    assert_eq!(client.ask(&get("/204", "")).await.status, 204);
    assert_eq!(client.ask(&get("/", "")).await.body, "x");
    assert_eq!(worker.connections(), 1, "each of them leaves the connection usable");
}

#[tokio::test]
async fn an_http_1_0_client_is_served() {
    let worker = Worker::answering(|_| {
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n".into()
    })
    .await;
    let rig = Rig::with(&worker).await;
    let answer = rig.ask("GET /old HTTP/1.0\r\nX-Workspace-ID: w1\r\n\r\n").await;
    assert!(answer.head.starts_with("HTTP/1.0 200"), "{}", answer.head);
    assert_eq!((answer.body.as_str(), answer.header("Transfer-Encoding")), ("abc", None));
    let heard = worker.last();
    assert_eq!((heard.line(), heard.header("Host")), ("GET /old HTTP/1.1", Some(&*worker.addr.to_string())));
}

#[tokio::test]
async fn a_long_target_is_414_and_a_large_head_431() {
    let worker = Worker::ok().await;
    let mut config = config();
    config.limits = Limits { uri_bytes_max: 1_000, header_bytes_max: 8 << 10, ..Limits::default() };
    let rig = Rig::start(config, Some(12)).await;
    rig.register("w1", &worker.url(), 0..12);
    let long = rig.ask(&get(&format!("/{}", "a".repeat(1_000)), "")).await;
    assert_eq!(long.status, 414);
    assert_eq!(
        long.body,
        r#"{"error":"URI too long","message":"The request target may have at most 1000 bytes"}"#
    );
    let large = rig.ask(&get("/", &format!("X-Large: {}\r\n", "a".repeat(8 << 10)))).await;
    assert_eq!(large.status, 431);
    let many: String = (0..2_000).map(|i| format!("X-{i}: 1\r\n")).collect();
    assert_eq!(rig.ask(&get("/", &many)).await.status, 431);
    assert!(worker.heard().is_empty());
}
