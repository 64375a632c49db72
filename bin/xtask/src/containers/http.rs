//! As much HTTP/1.1 as a client of the cluster needs, on the standard library alone: this program must build in
//! seconds. One request at a time, nothing is ever sent twice.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// Nobody here is told more.
const BODY_BYTES_MAX: usize = 16 << 20;

/// A kernel answers at once, however busy its machine is; an address that is nobody's never does.
const CONNECT_LIMIT: Duration = Duration::from_secs(3);

/// What a server said.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    /// The name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Result<Value, String> {
        serde_json::from_slice(&self.body).map_err(|e| format!("no JSON: {e}: {}", self.text()))
    }

    pub fn text(&self) -> String {
        format!("{} {}", self.status, String::from_utf8_lossy(&self.body).trim_end())
    }

    fn closes(&self) -> bool {
        self.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }
}

/// What is asked.
pub struct Request<'a> {
    pub method: &'a str,
    pub path: &'a str,
    pub body: Option<&'a Value>,
}

impl<'a> Request<'a> {
    pub fn get(path: &'a str) -> Self {
        Self { method: "GET", path, body: None }
    }

    fn bytes(&self, host: SocketAddr) -> Vec<u8> {
        let body = self.body.map(Value::to_string).unwrap_or_default();
        let Self { method, path, .. } = self;
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        );
        (head + &body).into_bytes()
    }
}

/// One connection, kept until the server or a failure ends it.
pub struct Connection {
    peer: SocketAddr,
    stream: BufReader<TcpStream>,
    open: bool,
}

impl Connection {
    /// `limit` bounds each silence later on.
    pub fn open(peer: SocketAddr, limit: Duration) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&peer, limit.min(CONNECT_LIMIT))?;
        stream.set_read_timeout(Some(limit))?;
        stream.set_write_timeout(Some(limit))?;
        stream.set_nodelay(true)?;
        Ok(Self { peer, stream: BufReader::new(stream), open: true })
    }

    /// Whether another request may be sent on it.
    pub fn is_open(&self) -> bool {
        self.open
    }

    pub fn ask(&mut self, request: &Request<'_>) -> io::Result<Answer> {
        // Until the answer is whole: what failed half-way is never used again.
        self.open = false;
        self.stream.get_mut().write_all(&request.bytes(self.peer))?;
        let answer = read(&mut self.stream)?;
        self.open = !answer.closes();
        Ok(answer)
    }
}

/// On a connection of its own.
pub fn ask(peer: SocketAddr, request: &Request<'_>, limit: Duration) -> io::Result<Answer> {
    Connection::open(peer, limit)?.ask(request)
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

fn read(stream: &mut impl io::BufRead) -> io::Result<Answer> {
    let status = line(stream)?;
    let status = status.split(' ').nth(1).and_then(|code| code.parse().ok());
    let status = status.ok_or_else(|| invalid("no status line"))?;
    let mut headers = Vec::new();
    loop {
        let line = line(stream)?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').ok_or_else(|| invalid("a header without a colon"))?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut answer = Answer { status, headers, body: Vec::new() };
    answer.body = match (answer.header("content-length"), answer.header("transfer-encoding")) {
        (Some(length), _) => {
            sized(stream, length.parse().map_err(|_| invalid("a length that is no number"))?)?
        }
        (None, Some(_)) => chunked(stream)?,
        (None, None) => Vec::new(),
    };
    Ok(answer)
}

fn line(stream: &mut impl io::BufRead) -> io::Result<String> {
    let mut line = String::new();
    if stream.take(64 << 10).read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

fn sized(stream: &mut impl io::BufRead, length: usize) -> io::Result<Vec<u8>> {
    if length > BODY_BYTES_MAX {
        return Err(invalid("the body is too large"));
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok(body)
}

fn chunked(stream: &mut impl io::BufRead) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let length = line(stream)?;
        let length = usize::from_str_radix(length.split(';').next().unwrap_or_default(), 16)
            .map_err(|_| invalid("a chunk without a length"))?;
        body.extend(sized(stream, length)?);
        if body.len() > BODY_BYTES_MAX {
            return Err(invalid("the body is too large"));
        }
        // After each chunk, and after the last one where no trailers follow: an empty line.
        line(stream)?;
        if length == 0 {
            return Ok(body);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(bytes: &str) -> io::Result<Answer> {
        read(&mut bytes.as_bytes())
    }

    #[test]
    fn bodies_end_where_their_head_says() {
        let sized = answered("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: b\r\n\r\nhiNEXT").expect("whole");
        assert_eq!((sized.status, sized.body.as_slice(), sized.header("x-a")), (200, &b"hi"[..], Some("b")));
        let parts = "HTTP/1.1 503 No\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n3\r\n ho\r\n0\r\n\r\n";
        assert_eq!(answered(parts).expect("whole").text(), "503 hi ho");
    }

    #[test]
    fn half_an_answer_is_a_failure_and_never_an_answer() {
        for bytes in ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nhi"] {
            let error = answered(bytes).expect_err(bytes);
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{bytes}");
        }
        assert!(answered("nonsense\r\n\r\n").is_err());
    }

    #[test]
    fn a_server_that_says_close_is_not_asked_again() {
        let closing = answered("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
        assert!(closing.expect("whole").closes());
    }
}
