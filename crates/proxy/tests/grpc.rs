//! Calls of gRPC: streams both ways, deadlines, and our own errors as calls expect them.

#![expect(clippy::unwrap_used, reason = "a test that can not be set up has to stop")]

mod rig;

use bytes::Bytes;
use http::{Request, Response};
use quorate_model::route::{Action, Forwarding, Redirect};
use quorate_proxy::Limits;
use quorate_rt::time::{Instant, sleep, timeout};
use rig::{
    Client, PATIENCE, Rig, Worker, config, eventually,
    h2::{Manner, Pair},
    http2::{Http2, Whole, read, request, whole},
    route::{by, put_route},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

fn call(path: &str) -> http::request::Builder {
    request("POST", path).header("content-type", "application/grpc+proto").header("te", "trailers")
}

/// An answer that is head and trailers in one, as our own are: its code and its message.
fn told(answer: &Whole) -> (&str, &str) {
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("application/grpc"));
    assert_eq!((answer.body.as_str(), &answer.trailers), ("", &None));
    (answer.header("grpc-status").unwrap(), answer.header("grpc-message").unwrap())
}

#[tokio::test]
async fn our_own_errors_are_those_of_a_call() {
    let worker = Worker::ok().await;
    let rig = Rig::start(config(), Some(12)).await;
    let mut client = Http2::connect(rig.addr).await;
    let nobody = client.ask(call("/pkg.S/M").body(()).unwrap()).await;
    let words = "No worker available: No healthy worker is currently handling this workspace";
    assert_eq!(told(&nobody), ("14", words));
    assert_eq!(nobody.header("x-quorate-node"), Some("n1"));
    let nowhere = Request::post("http://r.example/pkg.S/M").header("content-type", "application/grpc");
    let nowhere = client.ask(nowhere.body(()).unwrap()).await;
    assert_eq!(told(&nowhere).0, "13");
    let unknown = client.ask(call("/api/service/none/pkg.S/M").body(()).unwrap()).await;
    assert_eq!(told(&unknown), ("14", "Service 'none' not available"));
    // A dead worker is unavailable, and told in ASCII.
    rig.register("w1", &worker.url(), 0..12);
    worker.die().await;
    let dead = client.ask(call("/pkg.S/M").body(()).unwrap()).await;
    let (code, message) = told(&dead);
    assert_eq!(code, "14");
    assert!(message.starts_with("Worker unavailable: Failed to connect to worker: connect to "), "{message}");
    // Metrics tell what happened, not what HTTP was told.
    assert_eq!(rig.metric("quorate_proxy_requests_total{outcome=\"no_worker\"}"), 1);
    assert_eq!(rig.metric("quorate_proxy_requests_total{outcome=\"worker_unavailable\"}"), 1);
    // Others get what they always got.
    let plain = client.ask(request("GET", "/").body(()).unwrap()).await;
    assert_eq!((plain.status.as_u16(), plain.header("grpc-status")), (503, None));
}

#[tokio::test]
async fn a_bad_timeout_is_refused() {
    let worker = Worker::ok().await;
    let rig = Rig::with(&worker).await;
    let mut client = Http2::connect(rig.addr).await;
    let answer = client.ask(call("/pkg.S/M").header("grpc-timeout", "1.5S").body(()).unwrap()).await;
    let (code, message) = told(&answer);
    assert_eq!(code, "13");
    assert!(message.contains("grpc-timeout must be a number of one to eight digits"), "{message}");
    assert!(worker.heard().is_empty());
}

/// Takes a request with all that comes of it, and answers nothing. Counts those that ended.
async fn hanging() -> (Worker, Arc<AtomicUsize>) {
    let ended = Arc::new(AtomicUsize::new(0));
    let count = ended.clone();
    let worker = Worker::scripted(move |tcp, _| {
        let count = count.clone();
        async move {
            let mut client = Client::of(tcp);
            if client.head().await.is_some() {
                while client.chunk().await.is_some() {}
                count.fetch_add(1, Ordering::SeqCst);
            }
        }
    })
    .await;
    (worker, ended)
}

/// No client of gRPC follows a redirect: the call fails, and says where to.
#[tokio::test]
async fn a_call_that_is_redirected_is_told_where() {
    let rig = Rig::start(config(), Some(12)).await;
    let mut parts = by("/pkg.S", Forwarding::default());
    parts.action = Action::Redirect(Redirect {
        status: 308,
        scheme: None,
        host: Some(Redirect::host("new.example").unwrap()),
        port: None,
        path: None,
    });
    put_route(&rig, "r", parts);
    let mut client = Http2::connect(rig.addr).await;
    let answer = client.ask(call("/pkg.S/M").body(()).unwrap()).await;
    assert_eq!(told(&answer), ("12", "Moved to http://new.example/pkg.S/M"));
    assert_eq!(answer.header("location"), Some("http://new.example/pkg.S/M"));
    let plain = client.ask(request("POST", "/pkg.S/M").body(()).unwrap()).await;
    assert_eq!((plain.status.as_u16(), plain.header("grpc-status")), (308, None));
    assert_eq!(plain.header("location"), Some("http://new.example/pkg.S/M"));
}

#[tokio::test]
async fn a_deadline_ends_a_call_here_and_at_the_worker() {
    let (worker, ended) = hanging().await;
    let rig = Rig::with(&worker).await;
    let mut client = Http2::connect(rig.addr).await;
    let began = Instant::now();
    let answer = client.ask(call("/pkg.S/M").header("grpc-timeout", "300m").body(()).unwrap()).await;
    assert_eq!(told(&answer), ("4", "Deadline exceeded: The time of the call is over"));
    assert!(began.elapsed() >= Duration::from_millis(300), "not before it is over");
    eventually("the worker is told", || ended.load(Ordering::SeqCst) == 1).await;
    // What is still being sent does not move the deadline.
    let (answer, mut body) =
        client.send.send_request(call("/").header("grpc-timeout", "300m").body(()).unwrap(), false).unwrap();
    quorate_rt::spawn(async move {
        while body.send_data(Bytes::from_static(b"more"), false).is_ok() {
            sleep(Duration::from_millis(20)).await;
        }
    });
    assert_eq!(told(&whole(answer).await.unwrap()).0, "4");
    eventually("the worker is told", || ended.load(Ordering::SeqCst) == 2).await;
    assert_eq!(rig.metric("quorate_proxy_requests_total{outcome=\"timeout\"}"), 2);
}

#[tokio::test]
async fn a_deadline_is_not_later_than_ours() {
    let (worker, _) = hanging().await;
    let mut config = config();
    config.request_timeout = Duration::from_millis(200);
    let rig = Rig::start(config, Some(12)).await;
    rig.register("w1", &worker.url(), 0..12);
    let mut client = Http2::connect(rig.addr).await;
    let answer = client.ask(call("/pkg.S/M").header("grpc-timeout", "1H").body(()).unwrap()).await;
    let (code, message) = told(&answer);
    assert_eq!(code, "4");
    assert!(message.contains("no answer within 200ms"), "{message}");
}

/// Answers each chunk by one, in upper case, and the end by trailers.
async fn echo() -> Worker {
    Worker::scripted(|tcp, _| async move {
        let mut client = Client::of(tcp);
        let Some(head) = client.head().await else { return };
        assert!(head.to_lowercase().contains("te: trailers"), "{head}");
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\nTransfer-Encoding: chunked\r\n\r\n";
        let _ = client.send(head.as_bytes()).await;
        while let Some(mut chunk) = client.chunk().await.filter(|chunk| !chunk.is_empty()) {
            chunk.make_ascii_uppercase();
            let line = format!("{:x}\r\n", chunk.len());
            let _ = client.send(&[line.as_bytes(), &chunk, b"\r\n"].concat()).await;
        }
        let _ = client.send(b"0\r\ngrpc-status: 0\r\ngrpc-message: fine\r\n\r\n").await;
    })
    .await
}

#[tokio::test]
async fn answers_flow_while_the_call_goes_on() {
    let worker = echo().await;
    let mut config = config();
    // Shorter than the call: time is for the head of the answer.
    config.request_timeout = Duration::from_millis(300);
    let rig = Rig::start(config, Some(12)).await;
    rig.register("w1", &worker.url(), 0..12);
    let mut client = Http2::connect(rig.addr).await;
    let began = Instant::now();
    let (answer, mut body) = client.send.send_request(call("/pkg.S/Chat").body(()).unwrap(), false).unwrap();
    body.send_data(Bytes::from_static(b"hello"), false).unwrap();
    let mut answer = timeout(PATIENCE, answer).await.expect("before the call's end").unwrap();
    let first = timeout(PATIENCE, answer.body_mut().data()).await.expect("in time").unwrap().unwrap();
    assert_eq!(&first[..], b"HELLO");
    for word in ["one", "two", "three", "four"] {
        sleep(Duration::from_millis(120)).await;
        body.send_data(Bytes::from_static(word.as_bytes()), false).unwrap();
        let back = timeout(PATIENCE, answer.body_mut().data()).await.expect("in time").unwrap().unwrap();
        assert_eq!(back, word.to_uppercase().as_bytes());
    }
    assert!(began.elapsed() > Duration::from_millis(300));
    body.send_data(Bytes::new(), true).unwrap();
    let rest = timeout(PATIENCE, read(answer)).await.expect("in time").unwrap();
    assert_eq!((rest.body.as_str(), rest.trailer("grpc-status")), ("", Some("0")));
    assert_eq!(rest.trailer("grpc-message"), Some("fine"));
    eventually("nothing is in flight", || rig.in_flight("w1") == 0).await;
}

#[tokio::test]
async fn a_call_that_is_cancelled_in_the_middle_ends_at_the_worker() {
    let worker = echo().await;
    let rig = Rig::with(&worker).await;
    let mut client = Http2::connect(rig.addr).await;
    let (answer, mut body) = client.send.send_request(call("/pkg.S/Chat").body(()).unwrap(), false).unwrap();
    body.send_data(Bytes::from_static(b"hello"), false).unwrap();
    let mut answer = timeout(PATIENCE, answer).await.unwrap().unwrap();
    assert_eq!(&timeout(PATIENCE, answer.body_mut().data()).await.unwrap().unwrap().unwrap()[..], b"HELLO");
    assert_eq!(rig.in_flight("w1"), 1);
    body.send_reset(h2::Reason::CANCEL);
    eventually("nothing is in flight", || rig.in_flight("w1") == 0).await;
    assert_eq!(rig.metric("quorate_proxy_connections_open"), 1);
}

#[tokio::test]
async fn calls_stream_to_workers_that_speak_http2() {
    let cancelled = Arc::new(AtomicUsize::new(0));
    let count = cancelled.clone();
    let pair = Pair::serving(Limits::default(), Manner::default(), move |mut call| {
        let count = count.clone();
        async move {
            let head = Response::builder().header("content-type", "application/grpc");
            if call.request.uri().path() == "/pkg.S/Fail" {
                let head = head.header("grpc-status", "5").header("grpc-message", "none such");
                drop(call.respond.send_response(head.body(()).unwrap(), true));
                return;
            }
            assert_eq!(call.request.headers()["te"], "trailers");
            let mut send = call.respond.send_response(head.body(()).unwrap(), false).unwrap();
            while let Some(piece) = call.request.body_mut().data().await {
                let Ok(piece) = piece else {
                    count.fetch_add(1, Ordering::SeqCst);
                    return;
                };
                call.request.body_mut().flow_control().release_capacity(piece.len()).unwrap();
                send.send_data(piece, false).unwrap();
            }
            let mut trailers = http::HeaderMap::new();
            trailers.insert("grpc-status", "0".parse().unwrap());
            send.send_trailers(trailers).unwrap();
        }
    })
    .await;
    let mut client = Http2::connect(pair.rig.addr).await;
    // Both ways at once, and then the end with its trailers.
    let (answer, mut body) = client.send.send_request(call("/pkg.S/Chat").body(()).unwrap(), false).unwrap();
    let mut answer = timeout(PATIENCE, answer).await.expect("before a message").unwrap();
    for word in ["one", "two"] {
        body.send_data(Bytes::from_static(word.as_bytes()), false).unwrap();
        let back = timeout(PATIENCE, answer.body_mut().data()).await.expect("in time").unwrap().unwrap();
        assert_eq!(back, word);
    }
    // A message of a mebibyte, which is more than any window.
    body.send_data(Bytes::from("x".repeat(1 << 20)), true).unwrap();
    let rest = timeout(PATIENCE, read(answer)).await.expect("in time").unwrap();
    assert_eq!((rest.body.len(), rest.trailer("grpc-status")), (1 << 20, Some("0")));
    // A worker's own error is passed on as it is.
    let failed = client.ask(call("/pkg.S/Fail").body(()).unwrap()).await;
    assert_eq!(told(&failed), ("5", "none such"));
    // What a client cancels is cancelled at the worker.
    let (answer, mut body) = client.send.send_request(call("/pkg.S/Chat").body(()).unwrap(), false).unwrap();
    let answer = timeout(PATIENCE, answer).await.expect("in time").unwrap();
    body.send_reset(h2::Reason::CANCEL);
    eventually("the worker hears of it", || cancelled.load(Ordering::SeqCst) == 1).await;
    drop(answer);
    eventually("nothing is in flight", || pair.rig.in_flight("w1") == 0).await;
}
