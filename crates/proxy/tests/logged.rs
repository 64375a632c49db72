//! What is written to the log, and how often.

#![expect(clippy::unwrap_used, reason = "a test that can not be set up has to stop")]

mod rig;

use quorate_model::{ServicePolicy, policy::EndpointLimits};
use rig::{
    Client, Rig, Worker, eventually, ok,
    service::{self, call, get},
};
use std::{
    fmt::{self, Write},
    sync::{Mutex, MutexGuard, Once},
};
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Keeps each event's fields as one line.
struct Capture;

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        write!(self.0, "{}={value:?} ", field.name()).unwrap();
    }
}

impl Subscriber for Capture {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("quorate_telemetry")
    }
    fn event(&self, event: &Event<'_>) {
        let mut line = Line(format!("{} ", event.metadata().level()));
        event.record(&mut line);
        lines().push(line.0);
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

fn lines() -> MutexGuard<'static, Vec<String>> {
    LINES.lock().unwrap()
}

/// The lines that say all of `parts`.
fn saying(parts: &[&str]) -> Vec<String> {
    let says = |line: &&String| parts.iter().all(|part| line.contains(part));
    lines().iter().filter(says).cloned().collect()
}

async fn rig() -> Rig {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| tracing::subscriber::set_global_default(Capture).unwrap());
    service::rig().await
}

/// Answers nothing.
async fn hanging() -> Worker {
    Worker::scripted(|tcp, _| async move {
        let mut client = Client::of(tcp);
        while client.message().await.is_some() {}
    })
    .await
}

#[tokio::test]
async fn a_call_whose_time_is_over_says_which_time() {
    let (rig, worker) = (rig().await, hanging().await);
    rig.offer("w1", &worker.url(), &["s"]);
    let more = "Content-Type: application/grpc\r\nGrpc-Timeout: 250m\r\n";
    let answer = rig.ask(&call("GET", "/api/service/s/x", more)).await;
    assert_eq!(answer.header("grpc-status"), Some("4"));
    let said = saying(&[&worker.url(), "worker failed"]);
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("no answer within 250ms"), "{said:?}");
}

#[tokio::test]
async fn a_full_worker_is_told_of_once_in_a_while() {
    let (rig, worker) = (rig().await, hanging().await);
    rig.offer("w1", &worker.url(), &["s"]);
    let limits =
        EndpointLimits { connections_max: Some(1), pending_max: Some(0), ..EndpointLimits::default() };
    rig.policy("s", ServicePolicy { limits, ..ServicePolicy::default() });
    let mut first = rig.client().await;
    first.send(get("/api/service/s/x").as_bytes()).await.unwrap();
    eventually("it has one", || worker.connections() == 1).await;
    for _ in 0..5 {
        assert_eq!(rig.ask(&get("/api/service/s/x")).await.status, 503);
    }
    let said = saying(&[&worker.url()]);
    assert_eq!(said.len(), 1, "{said:?}");
    for part in ["WARN", "worker full", "refused=1", "all 1 connections are in use"] {
        assert!(said[0].contains(part), "{part} in {said:?}");
    }
}

#[tokio::test]
async fn a_full_service_is_told_of_once_in_a_while() {
    let (rig, worker) = (rig().await, hanging().await);
    rig.offer("w1", &worker.url(), &["crowded"]);
    let limits = EndpointLimits { in_flight_max: Some(1), ..EndpointLimits::default() };
    rig.policy("crowded", ServicePolicy { limits, ..ServicePolicy::default() });
    let mut first = rig.client().await;
    first.send(get("/api/service/crowded/x").as_bytes()).await.unwrap();
    eventually("it has one", || rig.in_flight("w1") == 1).await;
    for _ in 0..5 {
        assert_eq!(rig.ask(&get("/api/service/crowded/x")).await.status, 503);
    }
    let said = saying(&["service full"]);
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].starts_with("WARN") && said[0].contains("crowded"), "{said:?}");
    assert!(said[0].contains("refused=1"), "{said:?}");
}

/// What is well says nothing.
#[tokio::test]
async fn an_answered_request_is_not_logged() {
    let (rig, worker) = (rig().await, Worker::answering(|_| ok("ok")).await);
    rig.offer("w1", &worker.url(), &["s"]);
    assert_eq!(rig.ask(&get("/api/service/s/x")).await.status, 200);
    assert_eq!(saying(&[&worker.url()]), [""; 0]);
}
