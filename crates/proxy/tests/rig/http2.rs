//! A client that speaks HTTP/2, and one that speaks its bytes.

use super::PATIENCE;
use bytes::Bytes;
use h2::{
    Reason,
    client::{ResponseFuture, SendRequest},
};
use http::{HeaderMap, Request, Response, StatusCode};
use quorate_rt::{JoinHandle, time::timeout};
use std::net::SocketAddr;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};

/// A connection.
pub struct Http2 {
    pub send: SendRequest<Bytes>,
    /// Ends when the connection does; how, is told.
    pub connection: JoinHandle<Result<(), h2::Error>>,
}

/// An answer, received whole.
#[derive(Debug)]
pub struct Whole {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
    pub trailers: Option<HeaderMap>,
}

impl Whole {
    /// The one value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        assert!(self.headers.get_all(name).iter().count() <= 1, "{name} more than once in {self:?}");
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub fn trailer(&self, name: &str) -> Option<&str> {
        self.trailers.as_ref()?.get(name).map(|value| value.to_str().unwrap())
    }
}

impl Http2 {
    pub async fn connect(addr: SocketAddr) -> Self {
        Self::over(TcpStream::connect(addr).await.expect("it listens")).await
    }

    pub async fn over(io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Self {
        // A stream that is not read must not hold up the others: its window is a part of the connection's.
        let mut builder = h2::client::Builder::new();
        let (send, connection) = builder
            .initial_window_size(64 << 10)
            .initial_connection_window_size(1 << 20)
            .handshake(io)
            .await
            .expect("a handshake");
        let connection = quorate_rt::spawn(connection);
        let send = timeout(PATIENCE, send.ready()).await.expect("in time").expect("ready");
        Self { send, connection }
    }

    /// Sends a request without a body.
    pub async fn start(&mut self, request: Request<()>) -> ResponseFuture {
        let ready = self.send.clone().ready();
        self.send = timeout(PATIENCE, ready).await.expect("room in time").expect("an open connection");
        self.send.send_request(request, true).expect("sent").0
    }

    /// Sends a request without a body and receives its answer.
    pub async fn ask(&mut self, request: Request<()>) -> Whole {
        let response = self.start(request).await;
        whole(response).await.expect("an answer")
    }

    /// Waits for the end of the connection.
    pub async fn ended(self) -> Result<(), h2::Error> {
        drop(self.send);
        timeout(PATIENCE, self.connection).await.expect("it ends in time").expect("no panic")
    }
}

/// Receives an answer.
pub async fn whole(response: ResponseFuture) -> Result<Whole, h2::Error> {
    timeout(PATIENCE, async {
        let (head, body) = response.await?.into_parts();
        read(Response::from_parts(head, body)).await
    })
    .await
    .expect("an answer in time")
}

/// Receives the rest of an answer.
pub async fn read(response: Response<h2::RecvStream>) -> Result<Whole, h2::Error> {
    let (head, mut stream) = response.into_parts();
    let mut body = Vec::new();
    while let Some(data) = stream.data().await {
        let data = data?;
        stream.flow_control().release_capacity(data.len())?;
        body.extend_from_slice(&data);
    }
    let trailers = stream.trailers().await?;
    let body = String::from_utf8(body).expect("text");
    Ok(Whole { status: head.status, headers: head.headers, body, trailers })
}

/// A request for workspace `w1`.
pub fn request(method: &str, path: &str) -> http::request::Builder {
    Request::builder().method(method).uri(format!("http://r.example{path}")).header("x-workspace-id", "w1")
}

pub fn get2(path: &str) -> Request<()> {
    request("GET", path).body(()).expect("a request")
}

/// A connection whose frames are made by hand.
pub struct Frames(pub TcpStream);

impl Frames {
    /// Has said the preface and empty settings.
    pub async fn connect(addr: SocketAddr) -> Self {
        let mut tcp = TcpStream::connect(addr).await.expect("it listens");
        tcp.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.expect("open");
        Self(tcp)
    }

    /// Reads frames until one has this type; returns its flags, stream and payload. `None`: the connection ended.
    pub async fn next(&mut self, kind: u8) -> Option<(u8, u32, Vec<u8>)> {
        timeout(PATIENCE, async {
            loop {
                let mut head = [0; 9];
                self.0.read_exact(&mut head).await.ok()?;
                let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
                let mut payload = vec![0; length];
                self.0.read_exact(&mut payload).await.ok()?;
                if head[3] == kind {
                    let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
                    return Some((head[4], stream, payload));
                }
            }
        })
        .await
        .expect("frames in time")
    }

    /// The reason that the connection is ended for.
    pub async fn goaway(&mut self) -> Option<Reason> {
        let (_, _, payload) = self.next(7).await?;
        Some(u32::from_be_bytes(payload[4..8].try_into().unwrap()).into())
    }
}

/// A frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A `GET /` for workspace `w1` as a header block without Huffman coding.
pub fn get_block() -> Vec<u8> {
    // :method GET, :scheme http and :path / are in the static table.
    let mut block = vec![0x82, 0x86, 0x84];
    for (name, value) in [(":authority", "r.example"), ("x-workspace-id", "w1")] {
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).unwrap());
            block.extend(text.as_bytes());
        }
    }
    block
}
