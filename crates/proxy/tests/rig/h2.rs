//! Workers that speak HTTP/2.

use super::{Answer, Client, Rig, Worker, authority::Authority, config};
use bytes::Bytes;
use h2::{
    RecvStream,
    server::{self, SendResponse},
};
use http::{Request, Response};
use quorate_proxy::Limits;
use std::{future::Future, pin::Pin, sync::Arc};
use tempfile::NamedTempFile;
use tokio::{net::TcpStream, sync::watch, task::JoinSet};
use tokio_rustls::server::TlsStream;

/// A worker's end of a connection.
pub type Io = TlsStream<TcpStream>;

/// A request, as a worker gets it.
pub struct Call {
    pub request: Request<RecvStream>,
    pub respond: SendResponse<Bytes>,
    /// Which connection it came on, from 0.
    pub connection: usize,
}

impl Call {
    /// All of the request's body, and its trailers.
    pub async fn body(&mut self) -> (Vec<u8>, Option<http::HeaderMap>) {
        let (mut all, body) = (Vec::new(), self.request.body_mut());
        while let Some(piece) = body.data().await {
            let piece = piece.expect("the body is whole");
            body.flow_control().release_capacity(piece.len()).unwrap();
            all.extend_from_slice(&piece);
        }
        (all, body.trailers().await.expect("the body is whole"))
    }

    /// 200 and a body.
    pub fn answer(&mut self, body: impl Into<Bytes>) {
        let mut stream = self.respond.send_response(Response::new(()), false).expect("somebody listens");
        stream.send_data(body.into(), true).expect("somebody listens");
    }
}

/// How a worker serves a connection.
#[derive(Clone, Copy, Default)]
pub struct Manner {
    /// Most requests at once.
    pub streams_max: Option<u32>,
    /// After so many it says GOAWAY.
    pub leaves_after: Option<usize>,
    /// It says that it takes an extended `CONNECT`.
    pub tunnels: bool,
}

/// Serves one connection until it ends.
pub async fn serve<I, F>(io: I, nth: usize, manner: Manner, handle: impl Fn(Call) -> F)
where
    I: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    F: Future<Output = ()> + Send + 'static,
{
    let mut builder = server::Builder::new();
    if let Some(max) = manner.streams_max {
        builder.max_concurrent_streams(max);
    }
    if manner.tunnels {
        builder.enable_connect_protocol();
    }
    let Ok(mut connection) = builder.handshake(io).await else { return };
    let mut served = 0;
    while let Some(Ok((request, respond))) = connection.accept().await {
        quorate_rt::spawn(handle(Call { request, respond, connection: nth }));
        served += 1;
        if manner.leaves_after == Some(served) {
            connection.graceful_shutdown();
        }
    }
}

/// A worker reached by TLS that does with each connection what `script` says.
pub async fn by_tls<F: Future<Output = ()> + Send + 'static>(
    authority: &Authority,
    protocols: &[&str],
    script: impl Fn(Io, usize) -> F + Send + Sync + 'static,
) -> Worker {
    let (acceptor, script) = (authority.acceptor("localhost", protocols), Arc::new(script));
    Worker::scripted(move |tcp, nth| {
        let (acceptor, script) = (acceptor.clone(), script.clone());
        async move {
            if let Ok(tls) = acceptor.accept(tcp).await {
                script(tls, nth).await;
            }
        }
    })
    .await
}

/// A worker and a router in front of it.
pub struct Pair {
    pub rig: Rig,
    pub worker: Worker,
    _authorities: NamedTempFile,
}

impl Pair {
    /// A worker that serves each request as `handle` says.
    pub async fn serving<F: Future<Output = ()> + Send + 'static>(
        limits: Limits,
        manner: Manner,
        handle: impl Fn(Call) -> F + Send + Sync + 'static,
    ) -> Self {
        let handle = Arc::new(handle);
        Self::scripted(limits, move |io, nth| {
            let handle = handle.clone();
            async move { serve(io, nth, manner, move |call| handle(call)).await }
        })
        .await
    }

    /// A worker that does with each connection what `script` says.
    pub async fn scripted<F: Future<Output = ()> + Send + 'static>(
        limits: Limits,
        script: impl Fn(Io, usize) -> F + Send + Sync + 'static,
    ) -> Self {
        let authority = Authority::new();
        let worker = by_tls(&authority, &["h2", "http/1.1"], script).await;
        Self::of(worker, &authority, limits).await
    }

    /// A router that trusts the authority, and this worker.
    pub async fn of(worker: Worker, authority: &Authority, limits: Limits) -> Self {
        let file = authority.file();
        let mut config = config();
        config.authorities = Some(file.path().to_owned());
        config.limits = limits;
        let rig = Rig::start(config, Some(12)).await;
        rig.register("w1", &format!("https://localhost:{}", worker.addr.port()), 0..12);
        Self { rig, worker, _authorities: file }
    }
}

/// Opens when it is told to; what waits before it is counted.
#[derive(Clone)]
pub struct Gate {
    is_open: watch::Sender<bool>,
    waiting: watch::Sender<usize>,
}

impl Gate {
    pub fn new() -> Self {
        Self { is_open: watch::Sender::new(false), waiting: watch::Sender::new(0) }
    }

    pub fn open(&self) {
        self.is_open.send_replace(true);
    }

    pub async fn pass(&self) {
        self.waiting.send_modify(|waiting| *waiting += 1);
        self.is_open.subscribe().wait_for(|open| *open).await.unwrap();
    }

    /// How many came, ever.
    pub fn came(&self) -> usize {
        *self.waiting.borrow()
    }
}

/// A `POST` with a body.
pub fn post(body: &str) -> String {
    let length = body.len();
    format!(
        "POST /x HTTP/1.1\r\nHost: r.example\r\nX-Workspace-ID: w1\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

/// Asks `count` times at once, each on a connection of its own.
pub fn ask_at_once(rig: &Rig, count: usize, request: &str) -> JoinSet<Answer> {
    let mut asked = JoinSet::new();
    for _ in 0..count {
        let (addr, request) = (rig.addr, request.to_owned());
        asked.spawn(async move { Client::connect(addr).await.ask(&request).await });
    }
    asked
}

/// Sorted.
pub async fn statuses(asked: JoinSet<Answer>) -> Vec<u16> {
    let mut statuses: Vec<_> = asked.join_all().await.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    statuses
}

/// Waits at the gate, then says 200 and `ok`.
pub fn at_gate(gate: &Gate) -> impl Fn(Call) -> Pin<Box<dyn Future<Output = ()> + Send>> + Clone + use<> {
    let gate = gate.clone();
    move |mut call| {
        let gate = gate.clone();
        Box::pin(async move {
            gate.pass().await;
            call.answer("ok");
        })
    }
}
