//! A connection that speaks HTTP/1.1 by hand, as a client or as a worker.

use super::PATIENCE;
use quorate_rt::time::timeout;
use std::net::SocketAddr;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// A connection that speaks HTTP/1.1 by hand.
pub struct Client {
    pub tcp: TcpStream,
    buffer: Vec<u8>,
}

/// An answer as received.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn all(&self, name: &str) -> Vec<&str> {
        fields(&self.head).filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v).collect()
    }

    /// The one value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let all = self.all(name);
        assert!(all.len() <= 1, "{name} more than once in\n{}", self.head);
        all.first().copied()
    }
}

impl Client {
    pub async fn connect(addr: SocketAddr) -> Self {
        Self::of(TcpStream::connect(addr).await.expect("it listens"))
    }

    pub fn of(tcp: TcpStream) -> Self {
        tcp.set_nodelay(true).unwrap();
        Self { tcp, buffer: Vec::new() }
    }

    pub async fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.tcp.write_all(bytes).await
    }

    /// Sends a request and reads its answer, body and all.
    pub async fn ask(&mut self, request: &str) -> Answer {
        self.send(request.as_bytes()).await.expect("the connection is open");
        self.answer(request.split(' ').next().unwrap()).await
    }

    /// Reads the answer to a request of this method.
    pub async fn answer(&mut self, method: &str) -> Answer {
        let head = timeout(PATIENCE, self.head()).await.expect("an answer in time").expect("an answer");
        let status: u16 = head.split(' ').nth(1).unwrap().parse().unwrap();
        let body = if method == "HEAD" || status == 204 || status == 304 || status == 101 {
            Vec::new()
        } else {
            timeout(PATIENCE, self.body(&head)).await.expect("a body in time").expect("a body")
        };
        Answer { status, head, body: String::from_utf8(body).unwrap() }
    }

    /// A head and a body; `None`: the connection ended before or inside.
    pub async fn message(&mut self) -> Option<(String, Vec<u8>)> {
        let head = self.head().await?;
        let body = self.body_of_request(&head).await?;
        Some((head, body))
    }

    /// Everything up to the empty line.
    pub async fn head(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.buffer.windows(4).position(|w| w == b"\r\n\r\n") {
                let rest = self.buffer.split_off(end + 4);
                let mut head = std::mem::replace(&mut self.buffer, rest);
                head.truncate(end);
                return Some(String::from_utf8_lossy(&head).into_owned());
            }
            self.more().await?;
        }
    }

    async fn body_of_request(&mut self, head: &str) -> Option<Vec<u8>> {
        if fields(head).any(|(n, _)| {
            n.eq_ignore_ascii_case("content-length") || n.eq_ignore_ascii_case("transfer-encoding")
        }) {
            self.body(head).await
        } else {
            Some(Vec::new())
        }
    }

    async fn body(&mut self, head: &str) -> Option<Vec<u8>> {
        let field = |name: &str| fields(head).find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v);
        if let Some(length) = field("content-length") {
            return self.exactly(length.parse().unwrap()).await;
        }
        if field("transfer-encoding") == Some("chunked") {
            let mut body = Vec::new();
            loop {
                let chunk = self.chunk().await?;
                if chunk.is_empty() {
                    return Some(body);
                }
                body.extend(chunk);
            }
        }
        // Until the end.
        while self.more().await.is_some() {}
        Some(std::mem::take(&mut self.buffer))
    }

    /// A line, without its end.
    async fn line(&mut self) -> Option<String> {
        let end = loop {
            match self.buffer.windows(2).position(|w| w == b"\r\n") {
                Some(end) => break end,
                None => self.more().await?,
            }
        };
        let mut line = self.exactly(end + 2).await?;
        line.truncate(end);
        Some(String::from_utf8(line).unwrap())
    }

    /// A chunked body and the lines that follow it.
    pub async fn body_and_trailers(&mut self) -> Option<(Vec<u8>, Vec<String>)> {
        let (mut body, mut trailers) = (Vec::new(), Vec::new());
        loop {
            let size = usize::from_str_radix(&self.line().await?, 16).unwrap();
            if size == 0 {
                break;
            }
            body.extend(self.exactly(size).await?);
            self.line().await?;
        }
        loop {
            match self.line().await? {
                line if line.is_empty() => return Some((body, trailers)),
                line => trailers.push(line),
            }
        }
    }

    /// One chunk of a chunked body; empty: the last.
    pub async fn chunk(&mut self) -> Option<Vec<u8>> {
        let size = usize::from_str_radix(&self.line().await?, 16).unwrap();
        let mut chunk = self.exactly(size + 2).await?;
        chunk.truncate(size);
        Some(chunk)
    }

    pub async fn exactly(&mut self, length: usize) -> Option<Vec<u8>> {
        while self.buffer.len() < length {
            self.more().await?;
        }
        let rest = self.buffer.split_off(length);
        Some(std::mem::replace(&mut self.buffer, rest))
    }

    async fn more(&mut self) -> Option<()> {
        match self.tcp.read_buf(&mut self.buffer).await {
            Ok(0) | Err(_) => None,
            Ok(_) => Some(()),
        }
    }

    /// Whether the other side closes without another byte.
    pub async fn is_closed(&mut self) -> bool {
        self.buffer.is_empty()
            && timeout(PATIENCE, self.more()).await.expect("closed in time").is_none()
            && self.buffer.is_empty()
    }
}

/// The header lines of a head.
pub fn fields(head: &str) -> impl Iterator<Item = (&str, &str)> {
    head.lines().skip(1).filter_map(|l| l.split_once(':')).map(|(n, v)| (n, v.trim()))
}
