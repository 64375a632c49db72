//! Requests for services, and workers that fail.

use super::{Answer, Client, Rig, Worker, config, ok};
use quorate_model::{ServicePolicy, policy::Balancing};
use tokio::net::TcpSocket;

/// A request for a service, without a workspace.
pub fn call(method: &str, path: &str, more: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: r.example\r\n{more}\r\n")
}

pub fn get(path: &str) -> String {
    call("GET", path, "")
}

pub fn put(path: &str, body: &str) -> String {
    call("PUT", path, &format!("Content-Length: {}\r\n", body.len())) + body
}

pub async fn rig() -> Rig {
    Rig::start(config(), Some(12)).await
}

pub fn balanced(balancing: Balancing) -> ServicePolicy {
    ServicePolicy { balancing: Some(balancing), ..ServicePolicy::default() }
}

/// Workers that answer with their own name.
pub async fn named(rig: &Rig, names: &[&'static str]) -> Vec<Worker> {
    let mut workers = Vec::new();
    for name in names.iter().copied() {
        let worker = Worker::answering(move |_| ok(name)).await;
        rig.offer(name, &worker.url(), &["s"]);
        workers.push(worker);
    }
    workers
}

/// An address at which nobody listens, and nobody else can while this lives.
pub struct Dead {
    pub url: String,
    _socket: TcpSocket,
}

impl Dead {
    pub fn new() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        Self { url: format!("http://{}", socket.local_addr().unwrap()), _socket: socket }
    }
}

/// Reads a request's head and closes: it dies with the request in its hands.
pub async fn fatal() -> Worker {
    Worker::scripted(|tcp, _| async move {
        Client::of(tcp).head().await;
    })
    .await
}

pub fn check_cors(answer: &Answer) {
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
