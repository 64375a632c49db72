//! A small HTTP/1.1 client that shows what came, byte for byte, and keeps its connection where a test wants so.

use serde_json::Value;
use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// Longer than any answer may take: a refusal comes within five seconds.
pub const ANSWER_LIMIT: Duration = Duration::from_secs(15);

/// A request.
#[derive(Clone)]
pub struct Ask {
    line: String,
    host: String,
    headers: String,
    body: Vec<u8>,
}

impl Ask {
    /// Without a body.
    pub fn new(method: &str, target: &str) -> Self {
        let line = format!("{method} {target} HTTP/1.1\r\n");
        Self { line, host: "test".into(), headers: String::new(), body: Vec::new() }
    }

    /// `GET`.
    pub fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    /// With a JSON body.
    pub fn json(method: &str, target: &str, body: &Value) -> Self {
        let ask = Self::new(method, target).header("content-type", "application/json");
        Self { body: body.to_string().into_bytes(), ..ask }
    }

    /// Whatever a workspace's client asks for.
    pub fn workspace(id: &str) -> Self {
        Self::get("/hello").header("x-workspace-id", id)
    }

    /// One more header; there is one host.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        if name == "host" {
            return Self { host: value.into(), ..self };
        }
        self.headers += &format!("{name}: {value}\r\n");
        self
    }

    /// On a connection of its own.
    pub fn send(&self, to: SocketAddr) -> io::Result<Answer> {
        self.send_within(to, ANSWER_LIMIT)
    }

    /// On a connection of its own; each step may take so long.
    pub fn send_within(&self, to: SocketAddr, limit: Duration) -> io::Result<Answer> {
        Connection::open_within(to, limit)?.exchange(&self.clone().header("connection", "close"))
    }

    fn bytes(&self) -> Vec<u8> {
        let length = format!("content-length: {}\r\n\r\n", self.body.len());
        let head = format!("{}host: {}\r\n{}{length}", self.line, self.host, self.headers);
        [head.as_bytes(), &self.body].concat()
    }
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }

    /// The log index that decided it.
    pub fn index(&self) -> u64 {
        self.header("x-quorate-index").and_then(|text| text.parse().ok()).expect("every answer has it")
    }

    /// The node that gave it.
    pub fn node(&self) -> &str {
        self.header("x-quorate-node").expect("every answer has it")
    }

    /// The worker that answered.
    pub fn worker(&self) -> String {
        assert_eq!(self.status, 200, "{}", self.text());
        self.json()["worker"].as_str().expect("a worker of ours").to_owned()
    }

    /// Where it is 200.
    pub fn ok(self) -> Self {
        assert_eq!(self.status, 200, "{}", self.text());
        self
    }
}

/// One connection, for one request after the other.
pub struct Connection(BufReader<TcpStream>);

impl Connection {
    /// Dials.
    pub fn open(to: SocketAddr) -> io::Result<Self> {
        Self::open_within(to, ANSWER_LIMIT)
    }

    /// Dials; this and each step after it may take so long.
    pub fn open_within(to: SocketAddr, limit: Duration) -> io::Result<Self> {
        let tcp = TcpStream::connect_timeout(&to, limit)?;
        tcp.set_read_timeout(Some(limit))?;
        tcp.set_write_timeout(Some(limit))?;
        tcp.set_nodelay(true)?;
        Ok(Self(BufReader::new(tcp)))
    }

    /// Sends a request and waits for its answer.
    pub fn exchange(&mut self, ask: &Ask) -> io::Result<Answer> {
        self.send(ask)?;
        self.answer()
    }

    /// Sends a request.
    pub fn send(&mut self, ask: &Ask) -> io::Result<()> {
        self.0.get_mut().write_all(&ask.bytes())
    }

    /// Waits for an answer.
    pub fn answer(&mut self) -> io::Result<Answer> {
        let line = self.line()?;
        let status = line.split(' ').nth(1).and_then(|text| text.parse().ok());
        let status = status.ok_or_else(|| invalid(&format!("a status line like `{line}`")))?;
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(':') else { break };
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
        let mut answer = Answer { status, headers, body: Vec::new() };
        answer.body = self.body(&answer)?;
        Ok(answer)
    }

    fn body(&mut self, answer: &Answer) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        if answer.header("transfer-encoding").is_some() {
            loop {
                let line = self.line()?;
                let size = usize::from_str_radix(&line, 16).map_err(|_| invalid("a chunk's size"))?;
                let mut chunk = vec![0; size];
                self.0.read_exact(&mut chunk)?;
                self.line()?;
                body.extend(chunk);
                if size == 0 {
                    return Ok(body);
                }
            }
        }
        let length = answer.header("content-length").map_or(Ok(0), str::parse);
        body.resize(length.map_err(|_| invalid("a body's length"))?, 0);
        self.0.read_exact(&mut body)?;
        Ok(body)
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.0.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    }
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{what} was not expected"))
}
