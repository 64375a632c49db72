//! What every answer carries, CORS, `OPTIONS`, and paths that nobody serves.

use crate::{ask::Ask, fake::Fake, original::register};
use quorate_management::Readiness;
use quorate_rt::time::Duration;
use serde_json::json;

const CORS: [(&str, &str); 4] = [
    ("access-control-allow-origin", "*"),
    ("access-control-allow-credentials", "true"),
    (
        "access-control-allow-headers",
        "Content-Type, Content-Length, Accept-Encoding, X-CSRF-Token, Authorization, accept, origin, Cache-Control, X-Requested-With",
    ),
    ("access-control-allow-methods", "POST, OPTIONS, GET, PUT, DELETE, PATCH"),
];

#[tokio::test]
async fn every_answer_carries_index_and_node() {
    let fake = Fake::formed();
    register(&fake, "w1", &[0]).await;
    for path in [
        "/workers",
        "/v1/workers",
        "/v1/workers/nobody",
        "/v1/nowhere",
        "/nowhere",
        "/livez",
        "/metrics",
        "/healthz",
    ] {
        let answer = fake.ask(Ask::get(path)).await;
        assert_eq!(
            (answer.header("x-quorate-index"), answer.header("x-quorate-node")),
            (Some("2"), Some("n1")),
            "{path}"
        );
        assert_eq!(answer.header("x-quorate-stale"), None);
    }
}

#[tokio::test]
async fn a_stale_node_says_since_when() {
    let fake = Fake::formed();
    let since = Some(Duration::from_millis(12_900));
    fake.set_readiness(Readiness::Degraded { why: "no leader".into(), since_leader: since }, since);
    for path in ["/workers", "/v1/workers", "/healthz"] {
        assert_eq!(fake.ask(Ask::get(path)).await.header("x-quorate-stale"), Some("12"), "{path}");
    }
}

#[tokio::test]
async fn the_dialects_carry_cors_on_every_answer_and_the_native_api_never() {
    let fake = Fake::formed();
    let asks = [
        Ask::get("/workers"),
        Ask::get("/api/workers"),
        Ask::get("/healthz"),
        Ask::json("POST", "/register", json!({})),
        Ask::json("POST", "/api/unregister", json!({"workerId": "w"})),
        Ask::get("/register"),
        Ask::get("/nowhere"),
    ];
    for ask in asks {
        let answer = fake.ask(ask.clone()).await;
        for (name, value) in CORS {
            assert_eq!(answer.header(name), Some(value), "{ask:?}");
        }
    }
    for path in ["/v1/workers", "/v1/nowhere", "/metrics", "/livez", "/readyz", "/openapi.json"] {
        assert_eq!(fake.ask(Ask::get(path)).await.header("access-control-allow-origin"), None, "{path}");
    }
}

#[tokio::test]
async fn options_is_204_everywhere() {
    let fake = Fake::formed();
    for path in
        ["/register", "/api/heartbeat", "/workers", "/nowhere", "/v1/workers/w1", "/v1/nowhere", "/livez"]
    {
        let answer = fake.ask(Ask::new("OPTIONS", path)).await;
        assert_eq!(answer.exactly(), (204, ""), "{path}");
    }
    let dialect = fake.ask(Ask::new("OPTIONS", "/api/register")).await;
    for (name, value) in CORS {
        assert_eq!(dialect.header(name), Some(value));
    }
    let native = fake.ask(Ask::new("OPTIONS", "/v1/workers/w1")).await;
    assert_eq!(native.header("access-control-allow-methods"), None, "a stranger's page gets no permission");
    assert_eq!(native.header("allow"), Some("GET,HEAD,PUT,DELETE"));
}

#[tokio::test]
async fn an_unknown_native_path_is_a_problem() {
    let fake = Fake::formed();
    for path in ["/v1", "/v1/", "/v1/nowhere", "/v1/workers/", "/v1/workers/a/b", "/v2x/../v1"] {
        let answer = fake.ask(Ask::get(path)).await;
        assert_eq!(answer.status, 404, "{path}");
        if path.starts_with("/v1") {
            assert_eq!(answer.problem(), "path_unknown", "{path}");
        }
    }
}

#[tokio::test]
async fn a_wrong_method_is_405_with_allow() {
    let fake = Fake::formed();
    for (method, path, allow) in [
        ("POST", "/v1/workers", "GET,HEAD"),
        ("PATCH", "/v1/workers/w1", "GET,HEAD,PUT,DELETE"),
        ("GET", "/v1/heartbeats", "POST"),
        ("DELETE", "/v1/keyspaces/default", "GET,HEAD,PUT"),
        ("PUT", "/livez", "GET,HEAD"),
    ] {
        let answer = fake.ask(Ask::new(method, path)).await;
        assert_eq!(
            (answer.status, answer.problem(), answer.header("allow")),
            (405, "method_not_allowed".into(), Some(allow)),
            "{path}"
        );
    }
    let dialect = fake.ask(Ask::get("/api/register")).await;
    assert_eq!((dialect.status, dialect.header("allow")), (405, Some("POST")));
    assert!(dialect.json()["error"].is_string());
}

#[tokio::test]
async fn head_has_the_headers_without_the_body() {
    let fake = Fake::formed();
    let answer = fake.ask(Ask::new("HEAD", "/v1/keyspaces/default")).await;
    assert_eq!((answer.exactly(), answer.header("etag")), ((200, ""), Some("\"1\"")));
}
