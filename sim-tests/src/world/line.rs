//! A client that keeps its connection, and looks closely at what it hears.

use super::{
    World,
    arrivals::{ANSWER_BYTES, ID, IN_CHUNKS, SENT_BYTES, WORKER, content},
    node::ip,
};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request};
use http_body_util::BodyExt;
use hyper::{body::Incoming, client::conn::http1::SendRequest};
use quorate_rt::{
    http::{BoxBody, full, hyper_io},
    net::TcpStream,
    time,
};
use std::time::Duration;

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
}

/// What became of it.
#[derive(Clone, Debug)]
pub enum Heard {
    /// An answer with an end.
    Whole { status: u16, id: Option<u64>, worker: Option<u64>, body: Bytes },
    /// The head of an answer, and a body that breaks off.
    Cut { status: u16, id: Option<u64>, body: Bytes },
    /// There is no connection to be had.
    Refused,
    /// The connection broke before there was an answer.
    Broken(String),
    /// Nothing.
    Silence,
}

impl Heard {
    /// HTTP status; 0: none.
    pub fn status(&self) -> u16 {
        match self {
            Self::Whole { status, .. } | Self::Cut { status, .. } => *status,
            Self::Refused | Self::Broken(_) | Self::Silence => 0,
        }
    }

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

/// A client.
#[derive(Default)]
pub struct Line(Option<Kept>);

/// Its connection to a machine's port.
struct Kept {
    sender: SendRequest<BoxBody>,
    to: (usize, u16),
    /// The machine's life in which it was made.
    life: u32,
}

impl Line {
    /// Asks machine `i`.
    pub async fn ask(&mut self, world: &World, i: usize, asked: Asked) -> Heard {
        let (to, life) = ((i, asked.port), world.machines[i].life());
        let kept = self.0.take().filter(|kept| kept.to == to && kept.life == life);
        let call = exchange(to, kept.map(|kept| kept.sender), asked);
        match world.clients.spawn(call).await {
            Ok((heard, sender)) => {
                self.0 = sender.map(|sender| Kept { sender, to, life });
                heard
            }
            Err(error) => Heard::Broken(error.to_string()),
        }
    }
}

/// One exchange; the connection, if it can be used again.
async fn exchange(
    to: (usize, u16),
    kept: Option<SendRequest<BoxBody>>,
    asked: Asked,
) -> (Heard, Option<SendRequest<BoxBody>>) {
    let authority = format!("{}:{}", ip(to.0 + 1), to.1);
    let mut sender = match kept {
        Some(sender) if !sender.is_closed() => sender,
        Some(_) | None => match dial(&authority).await {
            Some(sender) => sender,
            None => return (Heard::Refused, None),
        },
    };
    let said = time::timeout(PATIENCE, async {
        match sender.ready().await {
            Ok(()) => sender.send_request(request(&authority, asked)).await,
            Err(error) => Err(error),
        }
    });
    let (head, body) = match said.await {
        Ok(Ok(answer)) => answer.into_parts(),
        Ok(Err(error)) => return (Heard::Broken(error.to_string()), None),
        Err(_) => return (Heard::Silence, None),
    };
    let (status, id) = (head.status.as_u16(), number(&head.headers, ID));
    match time::timeout(PATIENCE, read(body)).await {
        Ok(Ok(body)) => {
            let worker = number(&head.headers, WORKER);
            (Heard::Whole { status, id, worker, body }, Some(sender))
        }
        Ok(Err(body)) => (Heard::Cut { status, id, body }, None),
        Err(_) => (Heard::Silence, None),
    }
}

async fn dial(authority: &str) -> Option<SendRequest<BoxBody>> {
    let tcp = TcpStream::connect(authority).await.ok()?;
    let (sender, connection) = hyper::client::conn::http1::handshake(hyper_io(tcp)).await.ok()?;
    quorate_rt::spawn(async move {
        let _ = connection.await;
    });
    Some(sender)
}

fn request(authority: &str, asked: Asked) -> Request<BoxBody> {
    let mut builder = Request::builder()
        .method(asked.method)
        .uri(asked.path)
        .header("host", authority)
        .header(ID, asked.id)
        .header(SENT_BYTES, asked.body_bytes)
        .header(ANSWER_BYTES, asked.answer_bytes);
    if asked.in_chunks {
        builder = builder.header(IN_CHUNKS, "1");
    }
    builder.body(full(content(asked.id, asked.body_bytes))).expect("our own names and values are valid")
}

/// A body to its end; the error is what came before it broke off.
async fn read(mut body: Incoming) -> Result<Bytes, Bytes> {
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => bytes.extend_from_slice(frame.data_ref().map_or(&[], |data| data)),
            Err(_) => return Err(bytes.freeze()),
        }
    }
    Ok(bytes.freeze())
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.parse().ok()
}
