//! The demo worker: registers, echoes, and never outlives its parent.
#![expect(
    clippy::disallowed_methods,
    reason = "a test outside of simulation: processes and threads are real"
)]

#[path = "support/ports.rs"]
mod ports;

use ports::free_address;
use serde_json::{Value, json};
use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

const PATIENCE: Duration = Duration::from_secs(10);

fn read_request(tcp: &mut TcpStream) -> (String, String) {
    let (mut bytes, mut chunk) = (Vec::new(), [0; 4_096]);
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return (head.lines().next().unwrap_or_default().to_owned(), body.to_owned());
            }
        }
        let n = tcp.read(&mut chunk).expect("a whole request");
        assert!(n > 0, "cut off");
        bytes.extend_from_slice(&chunk[..n]);
    }
}

/// A router that grants everything and tells the test what it was asked.
fn router() -> (SocketAddr, mpsc::Receiver<(String, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    let (tell, told) = mpsc::sync_channel(100);
    std::thread::spawn(move || {
        for tcp in listener.incoming() {
            let mut tcp = tcp.expect("a connection");
            let request = read_request(&mut tcp);
            let body =
                json!({"lease": {"id": 7, "ttl": "30s", "heartbeat_interval": "1h"}, "index": 7}).to_string();
            let head =
                format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            tcp.write_all((head + &body).as_bytes()).expect("sent");
            tell.send(request).expect("the test lives");
        }
    });
    (address, told)
}

fn start(router: SocketAddr, listen: SocketAddr) -> Child {
    Command::new(env!("CARGO_BIN_EXE_quorate"))
        .args(["demo-worker", "--id", "demo-1", "--listen", &listen.to_string()])
        .args(["--routers", &format!("http://{router}"), "--partitions", "0,1,2,3"])
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts")
}

fn ends(child: &mut Child) {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if let Some(status) = child.try_wait().expect("ours") {
            assert!(status.success(), "{status}");
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    child.kill().expect("ours");
    panic!("it goes on after {PATIENCE:?}");
}

#[test]
fn it_registers_echoes_and_says_goodbye_when_its_parent_is_gone() {
    let ((router, told), listen) = (router(), free_address());
    let mut child = start(router, listen);
    let (line, body) = told.recv_timeout(PATIENCE).expect("a registration");
    assert_eq!(line, "PUT /v1/workers/demo-1 HTTP/1.1");
    let registration: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(registration, json!({"address": format!("http://{listen}"), "partitions": [0, 1, 2, 3]}));

    let mut tcp = TcpStream::connect(listen).expect("it listens before it registers");
    tcp.write_all(
        b"POST /v1/x?y=1 HTTP/1.1\r\nhost: h\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello",
    )
    .expect("sent");
    let mut answer = String::new();
    tcp.read_to_string(&mut answer).expect("answered");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("application/json"), "{head}");
    let echoed: Value = serde_json::from_str(body).expect("JSON");
    assert_eq!(echoed, json!({"worker": "demo-1", "method": "POST", "path": "/v1/x?y=1", "body": "hello"}));

    drop(child.stdin.take());
    let (line, _) = told.recv_timeout(PATIENCE).expect("a goodbye");
    assert_eq!(line, "DELETE /v1/workers/demo-1?lease=7 HTTP/1.1");
    ends(&mut child);
}

/// As in a container: nobody holds the other end of its stdin.
#[test]
fn without_a_pipe_it_stays_until_a_signal_and_names_the_address_that_it_was_given() {
    let ((router, told), listen) = (router(), free_address());
    let mut child = Command::new(env!("CARGO_BIN_EXE_quorate"))
        .args(["demo-worker", "--id", "demo-1", "--listen", &listen.to_string(), "--partitions", "0"])
        .args(["--routers", &format!("http://{router}"), "--address", "http://worker-1:8100"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    let (_, body) = told.recv_timeout(PATIENCE).expect("a registration");
    let registration: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(registration["address"], "http://worker-1:8100");
    assert_eq!(told.recv_timeout(Duration::from_secs(1)), Err(mpsc::RecvTimeoutError::Timeout), "a goodbye");
    assert!(Command::new("kill").arg(child.id().to_string()).status().expect("it runs").success());
    let (line, _) = told.recv_timeout(PATIENCE).expect("a goodbye");
    assert_eq!(line, "DELETE /v1/workers/demo-1?lease=7 HTTP/1.1");
    ends(&mut child);
}
