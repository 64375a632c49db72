//! Settings and bounds. Each bound has a default and an answer to "and when it is reached?".

use quorate_model::NodeName;
use quorate_routing::sandbox::key::KeyForms;
use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

/// What the data plane is told at its start.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where it listens. Port 0: the system chooses.
    pub listen: SocketAddr,
    /// Where else it listens: for clients that know a port of its own for gRPC. It speaks the same.
    pub grpc: Option<SocketAddr>,
    /// Where it listens for TLS, if it does.
    pub https: Option<Https>,
    /// Cores, each with its own runtime. At least 1; in simulation always 1.
    pub threads: usize,
    /// This node, as answers name it in `X-Quorate-Node`.
    pub node_name: NodeName,
    /// Where this node is, as workers say it of themselves in their label `zone`.
    pub zone: Option<Box<str>>,
    /// How long a worker may take to send the head of its answer, counted from the last byte of the request that
    /// it was given. When it is over: 503.
    pub request_timeout: Duration,
    /// How long open requests may finish after [`crate::Proxy::drain`] began. Then they are cut.
    pub drain: Duration,
    /// A PEM file of authorities to trust for https workers, besides the system's.
    pub authorities: Option<PathBuf>,
    /// Where requests say their routing keys.
    pub key_forms: Arc<KeyForms>,
    /// The bounds.
    pub limits: Limits,
}

impl Config {
    /// The defaults: one thread, 30 s request timeout, 30 s drain.
    pub fn new(listen: SocketAddr, node_name: NodeName) -> Self {
        Self {
            listen,
            grpc: None,
            https: None,
            threads: 1,
            node_name,
            zone: None,
            request_timeout: Duration::from_secs(30),
            drain: Duration::from_secs(30),
            authorities: None,
            key_forms: Arc::default(),
            limits: Limits::default(),
        }
    }
}

/// A listener for TLS.
#[derive(Clone, Debug)]
pub struct Https {
    /// Where. Port 0: the system chooses.
    pub listen: SocketAddr,
    /// A PEM file: the node's certificate, then those that lead to an authority.
    pub certificate: PathBuf,
    /// A PEM file: the certificate's key.
    pub key: PathBuf,
}

/// Bounds on what strangers and workers can make a node hold.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most client connections of the node, tunnels included. When full, new ones wait in the kernel's backlog.
    /// Each core keeps one of the places ready for its next client.
    pub connections_max: usize,
    /// A client has this long to send a request's head, once it has begun; at first that includes the handshake of TLS.
    /// When it is over: closed.
    pub header_timeout: Duration,
    /// A client connection may be without a request for this long. When it is over: closed.
    pub client_idle: Duration,
    /// After this long without a request only an HTTP/1.1 connection's socket is kept, and no buffers.
    pub client_rest: Duration,
    /// A client may take this long to accept the next byte of its answer. When it is over: closed.
    pub client_stall: Duration,
    /// Largest request head, in bytes. Beyond it 431 (and 414 for a target of 64 KiB). The same for the heads of
    /// workers' answers: beyond it 503.
    pub header_bytes_max: usize,
    /// Longest request target, in bytes. Beyond it 414.
    pub uri_bytes_max: usize,
    /// Most streams of one HTTP/2 connection at once. When full, a further one is refused (`REFUSED_STREAM`): the
    /// client keeps it for later.
    pub http2_streams_max: u32,
    /// Most streams of all HTTP/2 connections of a core together. When full, a further one is refused
    /// (`REFUSED_STREAM`).
    pub http2_streams_of_core_max: usize,
    /// Most bytes of one stream's request that are here and not at its worker yet. When full, the client waits.
    pub http2_stream_window: u32,
    /// The same of all streams of a connection together.
    pub http2_connection_window: u32,
    /// Most bytes of one stream's answer that the client's side holds. When full, the worker waits.
    pub http2_send_buffer: usize,
    /// Most streams that a client has reset before they were looked at, of a connection and not yet forgotten. Beyond
    /// it: `GOAWAY`, `ENHANCE_YOUR_CALM`.
    pub http2_early_resets_max: usize,
    /// Most streams that had to be reset here because the client broke the protocol on them. Beyond it: `GOAWAY`,
    /// `ENHANCE_YOUR_CALM`.
    pub http2_own_resets_max: usize,
    /// An HTTP/2 client that was silent for this long is asked whether it is still there.
    pub http2_ping_interval: Duration,
    /// It has this long to answer that. When it is over: closed.
    pub http2_ping_timeout: Duration,
    /// A worker has this long to accept a connection, TLS included. When it is over: as if it had refused.
    pub dial_timeout: Duration,
    /// A pooled connection may be unused for this long. When it is over: closed.
    pub pool_idle: Duration,
    /// Most unused connections to one worker, for each core. When full, the one that comes back is closed.
    pub pool_idle_per_endpoint_max: usize,
    /// Most connections to one worker's address, for each core, used and unused ones. When full, a request that needs
    /// one more goes to the service's next worker, and is answered 503 if there is none.
    pub worker_connections_max: usize,
    /// Most connections of HTTP/2 to one worker's address, for each core. When all of them are full, requests wait.
    pub worker_h2_connections_max: usize,
    /// Most requests at once on a connection of HTTP/2; fewer if the worker allows fewer. When full, another
    /// connection is used.
    pub worker_h2_streams_max: u32,
    /// Most requests that wait for a place on a worker's connections, for each core. When full, as above: the next
    /// worker, or 503.
    pub worker_waiting_max: usize,
    /// They wait for at most this long. When it is over: the same.
    pub worker_waiting_timeout: Duration,
    /// A connection of HTTP/2 on which nothing came for this long is asked whether it is alive.
    pub worker_ping_interval: Duration,
    /// It has this long to say so. When it is over: closed, and its requests fail.
    pub worker_ping_timeout: Duration,
    /// What was sent to a worker may be unacknowledged by its machine for this long. On Linux that is also how long a
    /// worker may take no byte though there is more to send. When it is over: closed, and its requests fail. Zero: as
    /// long as the system has it.
    pub worker_silence: Duration,
    /// Most bytes of an idempotent request's body that are kept, to be sent to another worker of the service if the
    /// first one fails. What is larger is sent to one worker only.
    pub kept_bytes_per_request_max: usize,
    /// The same of all requests of a core together. When full, the next one is sent to one worker only.
    pub kept_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 16_384,
            header_timeout: Duration::from_secs(10),
            client_idle: Duration::from_secs(60),
            client_rest: Duration::from_secs(2),
            client_stall: Duration::from_secs(60),
            header_bytes_max: 64 << 10,
            uri_bytes_max: 16 << 10,
            http2_streams_max: 128,
            http2_streams_of_core_max: 16_384,
            http2_stream_window: 256 << 10,
            http2_connection_window: 1 << 20,
            http2_send_buffer: 64 << 10,
            http2_early_resets_max: 20,
            http2_own_resets_max: 64,
            http2_ping_interval: Duration::from_secs(20),
            http2_ping_timeout: Duration::from_secs(20),
            dial_timeout: Duration::from_secs(5),
            pool_idle: Duration::from_secs(90),
            pool_idle_per_endpoint_max: 512,
            worker_connections_max: 16_384,
            worker_h2_connections_max: 8,
            worker_h2_streams_max: 100,
            worker_waiting_max: 1_024,
            worker_waiting_timeout: Duration::from_secs(5),
            worker_ping_interval: Duration::from_secs(5),
            worker_ping_timeout: Duration::from_secs(5),
            worker_silence: Duration::from_secs(30),
            kept_bytes_per_request_max: 64 << 10,
            kept_bytes_max: 16 << 20,
        }
    }
}
