//! Workers that are reached by TLS.

#![expect(clippy::unwrap_used, reason = "a test that can not be set up has to stop")]

mod rig;

use rig::{Client, Rig, Worker, authority::Authority, config, get, ok};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tempfile::NamedTempFile;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// What a worker saw of a handshake: server name, protocol.
type Handshakes = Arc<Mutex<Vec<(Option<String>, Option<Vec<u8>>)>>>;

/// A worker that speaks TLS for `name` and answers `ok`.
async fn worker(authority: &Authority, name: &str) -> (Worker, Handshakes) {
    let (acceptor, handshakes) = (authority.acceptor(name, &["http/1.1"]), Handshakes::default());
    let record = handshakes.clone();
    let worker = Worker::scripted(move |tcp, _| {
        let (acceptor, record) = (acceptor.clone(), record.clone());
        async move {
            let Ok(mut tls) = acceptor.accept(tcp).await else { return };
            let seen = tls.get_ref().1;
            let name = seen.server_name().map(str::to_owned);
            record.lock().unwrap().push((name, seen.alpn_protocol().map(<[u8]>::to_vec)));
            let mut request = Vec::new();
            while let Ok(n) = tls.read_buf(&mut request).await {
                if n == 0 {
                    return;
                }
                if request.ends_with(b"\r\n\r\n") {
                    request.clear();
                    tls.write_all(ok("ok").as_bytes()).await.unwrap();
                    tls.flush().await.unwrap();
                }
            }
        }
    })
    .await;
    (worker, handshakes)
}

async fn rig(worker: &Worker, host: &str, trusted: &Authority) -> (Rig, NamedTempFile) {
    let file = trusted.file();
    let mut config = config();
    config.authorities = Some(file.path().to_owned());
    config.limits.dial_timeout = Duration::from_secs(2);
    let rig = Rig::start(config, Some(12)).await;
    rig.register("w1", &format!("https://{host}:{}", worker.addr.port()), 0..12);
    (rig, file)
}

#[tokio::test]
async fn a_worker_is_reached_by_tls_and_its_connection_kept() {
    let authority = Authority::new();
    let (worker, handshakes) = worker(&authority, "localhost").await;
    let (rig, _file) = rig(&worker, "localhost", &authority).await;
    let mut client: Client = rig.client().await;
    for _ in 0..3 {
        assert_eq!(client.ask(&get("/", "")).await.body, "ok");
    }
    let seen = handshakes.lock().unwrap().clone();
    assert_eq!(seen, [(Some("localhost".to_owned()), Some(b"http/1.1".to_vec()))]);
}

#[tokio::test]
async fn a_worker_is_reached_by_address_if_its_certificate_says_so() {
    let authority = Authority::new();
    let (worker, handshakes) = worker(&authority, "127.0.0.1").await;
    let (rig, _file) = rig(&worker, "127.0.0.1", &authority).await;
    assert_eq!(rig.ask(&get("/", "")).await.body, "ok");
    assert_eq!(handshakes.lock().unwrap()[0].0, None, "an address is no server name");
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let authority = Authority::new();
    let (worker, _) = worker(&authority, "other.example").await;
    let (rig, _file) = rig(&worker, "localhost", &authority).await;
    let answer = rig.ask(&get("/", "")).await;
    assert_eq!(answer.status, 503);
    assert!(answer.body.contains("Failed to connect to worker: TLS with localhost"), "{}", answer.body);
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_is_refused() {
    let (theirs, ours) = (Authority::new(), Authority::new());
    let (worker, handshakes) = worker(&theirs, "localhost").await;
    let (rig, _file) = rig(&worker, "localhost", &ours).await;
    let answer = rig.ask(&get("/", "")).await;
    assert_eq!(answer.status, 503);
    assert!(answer.body.contains("TLS with localhost"), "{}", answer.body);
    assert!(handshakes.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_worker_that_speaks_no_tls_is_unavailable() {
    let authority = Authority::new();
    let worker = Worker::ok().await;
    let (rig, _file) = rig(&worker, "localhost", &authority).await;
    let answer = rig.ask(&get("/", "")).await;
    assert_eq!(answer.status, 503);
    assert!(worker.heard().is_empty(), "nothing of the request went out in the clear");
}

#[tokio::test]
async fn a_bad_authority_file_is_told_at_the_start() {
    let mut config = config();
    config.authorities = Some("/nonexistent/ca.pem".into());
    let view = quorate_rt::published::Published::new(Arc::default());
    let started = quorate_proxy::Proxy::start(config, quorate_proxy::Feeds::new(view)).await;
    let error = started.err().expect("no such file");
    assert!(error.to_string().contains("/nonexistent/ca.pem"), "{error}");
}
