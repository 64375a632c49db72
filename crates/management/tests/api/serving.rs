//! Over a real socket, and the dialects alone.

use crate::{
    ask::{Answer, Ask},
    fake::Fake,
    original::register_body,
    settings::config,
};
use axum::body::Body;
use http::{Request, Response};
use quorate_management::{Front, original_router, serve, serve_behind};
use quorate_rt::{
    http::{ServeLimits, full, request_once},
    net, shutdown, spawn,
    time::{Duration, timeout},
};
use tower::ServiceExt;

const BYTES_MAX: usize = 1 << 20;

#[tokio::test]
async fn a_listener_serves_until_it_is_told_to_end() {
    let fake = Fake::formed();
    let listener = net::bind("127.0.0.1:0".parse().expect("an address")).await.expect("a free port");
    let authority = listener.local_addr().expect("bound").to_string();
    let (trigger, stopped) = shutdown::channel();
    let serving = spawn(serve(listener, fake.router(), ServeLimits::default(), stopped));

    let body = register_body("w1", &[0]).to_string();
    let request = Request::post("/register").header("host", &authority).body(full(body)).expect("a request");
    let answer = request_once(&authority, request, BYTES_MAX).await.expect("an answer");
    assert_eq!((answer.status().as_u16(), answer.headers()["x-quorate-node"].as_bytes()), (200, &b"n1"[..]));

    trigger.fire();
    timeout(Duration::from_secs(5), serving).await.expect("in time").expect("no panic");
    let request = Request::get("/livez").header("host", &authority).body(full("")).expect("a request");
    assert!(request_once(&authority, request, BYTES_MAX).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn the_dialects_alone_serve_nothing_else() {
    let router = original_router(Fake::formed(), config());
    for (ask, status) in [
        (Ask::json("POST", "/register", register_body("w1", &[0])), 200),
        (Ask::get("/api/workers"), 200),
        (Ask::get("/v1/workers"), 404),
        (Ask::get("/openapi.json"), 404),
    ] {
        let answer =
            Answer::read(router.clone().oneshot(ask.clone().into()).await.expect("infallible")).await;
        assert_eq!(answer.status, status, "{ask:?}");
    }
}

#[tokio::test]
async fn a_request_for_a_service_that_comes_as_the_node_ends_is_answered_as_the_coordinator_would() {
    let fake = Fake::formed();
    let listener = net::bind("127.0.0.1:0".parse().expect("an address")).await.expect("a free port");
    let authority = listener.local_addr().expect("bound").to_string();
    let ends = |_, _| std::future::ready(None::<Response<Body>>);
    let front = Front::new(|path| path.starts_with("/api/service/"), fake.clone(), ends);
    let (trigger, stopped) = shutdown::channel();
    let serving = spawn(serve_behind(front, fake.router(), listener, ServeLimits::default(), stopped));
    let request =
        Request::get("/api/service/upload/x").header("host", &authority).body(full("")).expect("a request");
    let answer = request_once(&authority, request, BYTES_MAX).await.expect("an answer");
    assert_eq!(answer.status(), 503);
    for (name, value) in [
        ("retry-after", "2"),
        ("access-control-allow-origin", "*"),
        ("content-type", "application/json"),
        ("x-quorate-node", "n1"),
        ("x-quorate-index", "1"),
    ] {
        assert_eq!(answer.headers()[name], value, "{name}");
    }
    assert_eq!(
        &answer.body()[..],
        br#"{"error":"Service temporarily unavailable, retry recommended","retry_after":2}"#
    );
    trigger.fire();
    timeout(Duration::from_secs(5), serving).await.expect("in time").expect("no panic");
}
