//! A client that keeps its connection, and looks closely at what it hears.
//!
//! By HTTP/1.1 it has one request at a time, by HTTP/2 many.

use super::{
    World,
    arrivals::{ANSWER_BYTES, ID, IN_CHUNKS, KEY, SENT_BYTES, VERSION, WORKER, content},
    node::ip,
    worker::{GRPC, GRPC_STATUS},
};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt;
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use quorate_rt::{
    http::{BoxBody, Exec, full, hyper_io},
    net::TcpStream,
    time,
};
use std::{cell::RefCell, time::Duration};

/// Nobody waits for longer: whatever hangs for so long hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// A request.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// In a header; its answer and both bodies repeat it.
    pub id: u64,
    pub method: &'static str,
    pub path: &'static str,
    /// Of the machine.
    pub port: u16,
    pub body_bytes: usize,
    pub answer_bytes: usize,
    /// Whether the worker is to answer in chunks.
    pub in_chunks: bool,
    /// Who asks.
    pub key: u64,
    /// Whether it is a call of gRPC.
    pub is_call: bool,
}

/// What became of it.
#[derive(Clone, Debug)]
pub enum Heard {
    /// An answer with an end.
    Whole {
        status: u16,
        id: Option<u64>,
        worker: Option<u64>,
        /// Of the route.
        version: Option<u64>,
        /// How a call ended, in the trailers or, of an answer that is nothing else, in the head.
        grpc: Option<u64>,
        body: Bytes,
    },
    /// The head of an answer, and a body that breaks off; by HTTP/2 perhaps before the head was sent (status 0).
    Cut { status: u16, id: Option<u64>, body: Bytes },
    /// There is no connection to be had.
    Refused,
    /// The connection broke before there was an answer.
    Broken(String),
    /// Nothing.
    Silence,
}

impl Heard {
    /// For the trace.
    pub fn short(&self) -> String {
        match self {
            Self::Whole { status, worker: Some(worker), .. } => format!("{status} from w{worker}"),
            Self::Whole { status, body, .. } => format!("{status} {}", String::from_utf8_lossy(body)),
            Self::Cut { status, body, .. } => format!("{status}, cut after {} bytes", body.len()),
            Self::Refused => "refused".into(),
            Self::Broken(why) => format!("broken: {why}"),
            Self::Silence => "silence".into(),
        }
    }
}

/// What a client speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wire {
    #[default]
    Http1,
    /// By prior knowledge.
    Http2,
}

/// A client.
#[derive(Default)]
pub struct Line {
    wire: Wire,
    kept: RefCell<Option<Kept>>,
}

/// Its connection to a machine's port.
struct Kept {
    sender: Sender,
    to: (usize, u16),
    /// The machine's life in which it was made.
    life: u32,
}

enum Sender {
    Http1(http1::SendRequest<BoxBody>),
    Http2(http2::SendRequest<BoxBody>),
}

impl Line {
    /// One that speaks `wire`.
    pub fn of(wire: Wire) -> Self {
        Self { wire, ..Self::default() }
    }

    /// Asks machine `i`. By HTTP/2 it may be asked for more meanwhile.
    pub async fn ask(&self, world: &World, i: usize, asked: Asked) -> Heard {
        let (to, life) = ((i, asked.port), world.machines[i].life());
        let kept = self.take(to, life);
        let call = exchange(to, self.wire, kept, asked);
        match world.clients.spawn(call).await {
            Ok((heard, sender)) => {
                if let Some(sender) = sender {
                    *self.kept.borrow_mut() = Some(Kept { sender, to, life });
                }
                heard
            }
            Err(error) => Heard::Broken(error.to_string()),
        }
    }

    /// Its connection there, if it has one: all of it, or a share.
    fn take(&self, to: (usize, u16), life: u32) -> Option<Sender> {
        let mut kept = self.kept.borrow_mut();
        match kept.as_ref().filter(|kept| kept.to == to && kept.life == life)?.sender {
            Sender::Http1(_) => kept.take().map(|kept| kept.sender),
            Sender::Http2(ref sender) => Some(Sender::Http2(sender.clone())),
        }
    }
}

impl Sender {
    async fn dial(authority: &str, wire: Wire) -> Option<Self> {
        let io = hyper_io(TcpStream::connect(authority).await.ok()?);
        Some(match wire {
            Wire::Http1 => {
                let (sender, connection) = http1::handshake(io).await.ok()?;
                quorate_rt::spawn(async move { drop(connection.await) });
                Self::Http1(sender)
            }
            Wire::Http2 => {
                let (sender, connection) = http2::handshake(Exec, io).await.ok()?;
                quorate_rt::spawn(async move { drop(connection.await) });
                Self::Http2(sender)
            }
        })
    }

    fn is_closed(&self) -> bool {
        match self {
            Self::Http1(sender) => sender.is_closed(),
            Self::Http2(sender) => sender.is_closed(),
        }
    }

    async fn send(&mut self, request: Request<BoxBody>) -> hyper::Result<Response<Incoming>> {
        match self {
            Self::Http1(sender) => {
                sender.ready().await?;
                sender.send_request(request).await
            }
            Self::Http2(sender) => {
                sender.ready().await?;
                sender.send_request(request).await
            }
        }
    }
}

/// One exchange; the connection, if it can be used again.
async fn exchange(
    to: (usize, u16),
    wire: Wire,
    kept: Option<Sender>,
    asked: Asked,
) -> (Heard, Option<Sender>) {
    let authority = format!("{}:{}", ip(to.0 + 1), to.1);
    let mut sender = match kept {
        Some(sender) if !sender.is_closed() => sender,
        Some(_) | None => match Sender::dial(&authority, wire).await {
            Some(sender) => sender,
            None => return (Heard::Refused, None),
        },
    };
    let (head, body) = match time::timeout(PATIENCE, sender.send(request(&authority, wire, asked))).await {
        Ok(Ok(answer)) => answer.into_parts(),
        // The stream was reset, and the head of an answer may have been on its way: what is not sent yet goes with it.
        Ok(Err(_)) if wire == Wire::Http2 && !sender.is_closed() => {
            return (Heard::Cut { status: 0, id: None, body: Bytes::new() }, Some(sender));
        }
        Ok(Err(error)) => return (Heard::Broken(error.to_string()), None),
        Err(_) => return (Heard::Silence, None),
    };
    let (status, id) = (head.status.as_u16(), number(&head.headers, ID));
    match time::timeout(PATIENCE, read(body)).await {
        Ok(Ok((body, trailers))) => {
            let (worker, version) = (number(&head.headers, WORKER), number(&head.headers, VERSION));
            let grpc = number(&trailers, GRPC_STATUS).or_else(|| number(&head.headers, GRPC_STATUS));
            (Heard::Whole { status, id, worker, version, grpc, body }, Some(sender))
        }
        // By HTTP/2 it is the stream that is over.
        Ok(Err(body)) => (Heard::Cut { status, id, body }, Some(sender).filter(|_| wire == Wire::Http2)),
        Err(_) => (Heard::Silence, None),
    }
}

fn request(authority: &str, wire: Wire, asked: Asked) -> Request<BoxBody> {
    let mut builder = Request::builder()
        .method(asked.method)
        .header(ID, asked.id)
        .header(KEY, asked.key)
        .header(SENT_BYTES, asked.body_bytes)
        .header(ANSWER_BYTES, asked.answer_bytes);
    builder = match wire {
        Wire::Http1 => builder.uri(asked.path).header("host", authority),
        Wire::Http2 => builder.uri(format!("http://{authority}{}", asked.path)),
    };
    if asked.in_chunks {
        builder = builder.header(IN_CHUNKS, "1");
    }
    if asked.is_call {
        builder = builder.header("content-type", GRPC).header("te", "trailers");
    }
    builder.body(full(content(asked.id, asked.body_bytes))).expect("our own names and values are valid")
}

/// A body to its end, and what follows it; the error is what came before it broke off.
async fn read(mut body: Incoming) -> Result<(Bytes, HeaderMap), Bytes> {
    let (mut bytes, mut trailers) = (BytesMut::new(), HeaderMap::new());
    while let Some(frame) = body.frame().await {
        match frame.map(hyper::body::Frame::into_data) {
            Ok(Ok(data)) => bytes.extend_from_slice(&data),
            Ok(Err(frame)) => trailers = frame.into_trailers().unwrap_or_default(),
            Err(_) => return Err(bytes.freeze()),
        }
    }
    Ok((bytes.freeze(), trailers))
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.parse().ok()
}
