//! Whatever a stranger sends is bounded (C5), and of the right kind.

use crate::{ask::Ask, fake::Fake, original::register_body};
use axum::body::Body;
use http::Request;
use quorate_rt::time::{Duration, Instant};
use serde_json::json;
use tower::ServiceExt;

const MIB: usize = 1 << 20;

/// A registration that is exactly `bytes` long.
fn padded(bytes: usize, native: bool) -> String {
    let body = if native { json!({"address": "http://h:1"}) } else { register_body("w1", &[]) };
    let text = body.to_string();
    format!("{text}{}", " ".repeat(bytes - text.len()))
}

#[tokio::test]
async fn a_body_over_one_mebibyte_is_413() {
    let fake = Fake::formed();
    for (bytes, native, dialect) in [(MIB, 200, 200), (MIB + 1, 413, 413)] {
        let put = Ask::new("PUT", "/v1/workers/w1").header("content-type", "application/json");
        let answer = fake.ask(put.body(padded(bytes, true))).await;
        assert_eq!(answer.status, native, "{}", answer.text);
        if native == 413 {
            assert_eq!(answer.problem(), "body_too_large");
        }
        let answer = fake.ask(Ask::new("POST", "/register").body(padded(bytes, false))).await;
        assert_eq!(answer.status, dialect, "{}", answer.text);
    }
}

#[tokio::test]
async fn a_body_that_only_announces_its_size_is_not_waited_for() {
    let fake = Fake::formed();
    let body = Body::from_stream(futures_util::stream::pending::<Result<bytes::Bytes, std::io::Error>>());
    let request = Request::put("/v1/workers/w1")
        .header("content-type", "application/json")
        .header("content-length", "4294967296")
        .body(body)
        .expect("a request");
    let response = fake.router().oneshot(request).await.expect("infallible");
    assert_eq!(response.status(), 413);
}

#[tokio::test]
async fn a_body_of_unknown_length_is_cut_off_at_the_bound() {
    let fake = Fake::formed();
    let chunk = bytes::Bytes::from(vec![b' '; 64 << 10]);
    let endless = futures_util::stream::repeat_with(move || Ok::<_, std::io::Error>(chunk.clone()));
    let request = Request::post("/register").body(Body::from_stream(endless)).expect("a request");
    let response = fake.router().oneshot(request).await.expect("infallible");
    assert_eq!(response.status(), 413);
}

#[tokio::test]
async fn depth_ten_thousand_is_refused_at_once() {
    let fake = Fake::formed();
    let bomb = format!("{{\"labels\":{}", "{\"a\":".repeat(10_000));
    let started = Instant::now();
    let put = Ask::new("PUT", "/v1/workers/w1").header("content-type", "application/json");
    let answer = fake.ask(put.body(bomb.clone())).await;
    assert_eq!((answer.status, answer.problem()), (400, "body_not_json".into()));
    assert_eq!(fake.ask(Ask::new("POST", "/register").body(bomb)).await.status, 400);
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_crowd_of_unknown_fields_makes_a_short_answer() {
    let fake = Fake::formed();
    let many: serde_json::Map<_, _> = (0..50_000).map(|i| (format!("k{i}"), json!(1))).collect();
    let answer = fake.ask(Ask::json("PUT", "/v1/workers/w1", json!(many))).await;
    assert_eq!((answer.status, answer.wrong_fields().len()), (400, 100));
    assert!(answer.text.len() < 40_000, "{}", answer.text.len());
    let answer = fake
        .ask(Ask::json(
            "POST",
            "/register",
            json!({"workerId": "w1", "httpAddress": "http://h:1", "partitions": vec!["x"; 90_000]}),
        ))
        .await;
    assert_eq!(answer.status, 400);
    assert!(answer.text.len() < 2_000, "{}", answer.text.len());
}

#[tokio::test]
async fn malformed_json_is_400_with_the_place() {
    let fake = Fake::formed();
    for body in
        ["", "{", "null", "[]", "\"x\"", "{\"address\": \"http://h:1\"} trailing", "{'a': 1}", "\u{feff}{}"]
    {
        let put = Ask::new("PUT", "/v1/workers/w1").header("content-type", "application/json");
        let answer = fake.ask(put.body(body)).await;
        assert_eq!((answer.status, answer.problem()), (400, "body_not_json".into()), "{body:?}");
    }
}

#[tokio::test]
async fn native_bodies_are_json_by_name_too() {
    let fake = Fake::formed();
    let body = json!({"address": "http://h:1"}).to_string();
    for (content_type, status) in [
        (None, 415),
        (Some("text/plain"), 415),
        (Some("application/x-www-form-urlencoded"), 415),
        (Some("application/jsonp"), 415),
        (Some("application/json"), 200),
        (Some("Application/JSON; charset=utf-8"), 200),
        (Some("application/vnd.quorate+json"), 200),
    ] {
        let mut ask = Ask::new("PUT", "/v1/workers/w1").body(body.clone());
        if let Some(content_type) = content_type {
            ask = ask.header("content-type", content_type);
        }
        let answer = fake.ask(ask).await;
        assert_eq!(answer.status, status, "{content_type:?}: {}", answer.text);
        if status == 415 {
            assert_eq!(answer.problem(), "content_type_unsupported");
        }
    }
    // A web form of a stranger's page can't hand over leadership.
    let form = Ask::new("POST", "/v1/cluster/transfer-leader")
        .header("content-type", "application/x-www-form-urlencoded");
    assert_eq!(fake.ask(form).await.status, 415);
}
