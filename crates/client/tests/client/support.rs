//! A router that says what a test wants: HTTP/1.1 by hand, one request per connection.
#![expect(clippy::disallowed_methods, reason = "a test of a library that runs on tokio itself")]

use serde_json::{Value, json};
use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// One request, as the router saw it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// `PUT /v1/workers/w1`
    pub line: String,
    /// Lower case.
    pub head: String,
    pub body: Value,
    pub at: Instant,
}

/// What the router does with a request.
pub enum Say {
    Answer(u16, Value),
    /// A stream of events, and its end.
    Events(&'static str),
    /// Closes the connection.
    Hangup,
    /// Keeps it open for ever.
    Silence,
}

pub struct Router {
    pub url: quorate_client::Url,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Router {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Router {
    pub async fn start(script: impl FnMut(&Seen) -> Say + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        Self::on(listener, script)
    }

    pub fn on(listener: TcpListener, script: impl FnMut(&Seen) -> Say + Send + 'static) -> Self {
        let url = format!("http://{}", listener.local_addr().expect("bound")).parse().expect("a URL");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (log, script) = (seen.clone(), Arc::new(Mutex::new(script)));
        let task = tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let (log, script) = (log.clone(), script.clone());
                tokio::spawn(async move {
                    // A client that hangs up ends only its own connection.
                    let _ = serve(tcp, |seen| {
                        log.lock().expect("no test panics inside").push(seen.clone());
                        (script.lock().expect("no test panics inside"))(seen)
                    })
                    .await;
                });
            }
        });
        Self { url, seen, task }
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("no test panics inside").clone()
    }

    pub fn lines(&self) -> Vec<String> {
        self.seen().into_iter().map(|seen| seen.line).collect()
    }

    pub fn count(&self, line: &str) -> usize {
        self.lines().iter().filter(|seen| seen.starts_with(line)).count()
    }
}

async fn serve(mut tcp: TcpStream, say: impl FnOnce(&Seen) -> Say) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        if tcp.read_buf(&mut bytes).await? == 0 {
            return Ok(());
        }
    };
    let head = String::from_utf8_lossy(&bytes[..head_end]).into_owned();
    let length = head
        .lines()
        .filter_map(|line| line.to_lowercase().strip_prefix("content-length:").map(|n| n.trim().parse().ok()))
        .flatten()
        .next()
        .unwrap_or(0usize);
    while bytes.len() < head_end + length {
        if tcp.read_buf(&mut bytes).await? == 0 {
            return Ok(());
        }
    }
    let line = head.lines().next().unwrap_or_default().trim_end_matches(" HTTP/1.1").to_owned();
    let body = serde_json::from_slice(&bytes[head_end..]).unwrap_or(Value::Null);
    match say(&Seen { line, head: head.to_lowercase(), body, at: Instant::now() }) {
        Say::Answer(status, body) => {
            let body = if body.is_null() { String::new() } else { body.to_string() };
            let location =
                if (300..400).contains(&status) { "location: http://127.0.0.1:1/\r\n" } else { "" };
            let head = format!(
                "HTTP/1.1 {status} x\r\ncontent-length: {}\r\nconnection: close\r\n{location}\r\n",
                body.len()
            );
            tcp.write_all((head + &body).as_bytes()).await
        }
        Say::Events(text) => {
            let head = "HTTP/1.1 200 x\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
            tcp.write_all((head.to_owned() + text).as_bytes()).await
        }
        Say::Hangup => Ok(()),
        Say::Silence => std::future::pending().await,
    }
}

/// The answer to a registration.
pub fn granted(lease: u64, interval: &str) -> Say {
    Say::Answer(
        200,
        json!({"lease": {"id": lease, "ttl": "30s", "heartbeat_interval": interval}, "index": lease}),
    )
}

pub fn problem(status: u16, code: &str) -> Say {
    Say::Answer(status, json!({"type": "x", "title": code, "status": status, "detail": code, "code": code}))
}

pub fn ok() -> Say {
    Say::Answer(200, json!({}))
}

/// Waits for at most ten seconds.
pub async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..1_000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never happened: {what}");
}

pub async fn pause(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}
