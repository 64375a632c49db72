//! hyper over our sockets. The same code runs on tokio and in simulation.
//!
//! The data plane has its own, leaner way of serving HTTP/1.1; this is for the management and peer listeners.

use crate::{
    duplex,
    net::{TcpListener, TcpStream},
    shutdown::Shutdown,
    time,
};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited, combinators::UnsyncBoxBody};
use hyper::{
    Request, Response,
    body::Incoming,
    header::{self, HeaderValue},
    rt::Executor,
};
use hyper_util::rt::TokioIo;
use pin_project_lite::pin_project;
use std::{
    convert::Infallible,
    future::Future,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::Semaphore,
};

/// hyper's executor over [`crate::spawn`].
#[derive(Clone, Copy, Debug)]
pub struct Exec;

impl<F> Executor<F> for Exec
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        crate::spawn(future);
    }
}

/// hyper's timer over [`crate::time`].
#[derive(Clone, Copy, Debug)]
pub struct Timer;

pin_project! { struct HyperSleep { #[pin] sleep: time::Sleep } }

impl Future for HyperSleep {
    type Output = ();
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.project().sleep.poll(cx)
    }
}

impl hyper::rt::Sleep for HyperSleep {}

impl hyper::rt::Timer for Timer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn hyper::rt::Sleep>> {
        Box::pin(HyperSleep { sleep: time::sleep(duration) })
    }
    fn sleep_until(&self, deadline: std::time::Instant) -> Pin<Box<dyn hyper::rt::Sleep>> {
        Box::pin(HyperSleep { sleep: time::sleep_until(deadline.into()) })
    }
}

pin_project! {
    /// Flushes only what was written. madsim sends a message for each flush, also an empty one, and each takes
    /// a simulated millisecond or more; tokio's sockets ignore flushes, so in production this costs a flag.
    pub struct DirtyFlush<T> { #[pin] io: T, dirty: bool }
}

impl<T> DirtyFlush<T> {
    /// Wraps `io`.
    pub fn new(io: T) -> Self {
        Self { io, dirty: false }
    }

    /// What is wrapped.
    pub fn get_ref(&self) -> &T {
        &self.io
    }
}

impl<T: AsyncRead> AsyncRead for DirtyFlush<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.project().io.poll_read(cx, buf)
    }
}

impl<T: AsyncWrite> AsyncWrite for DirtyFlush<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.project();
        *this.dirty = true;
        this.io.poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.project();
        *this.dirty = true;
        this.io.poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.project();
        if !*this.dirty {
            return Poll::Ready(Ok(()));
        }
        let flushed = this.io.poll_flush(cx);
        if flushed.is_ready() {
            *this.dirty = false;
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        std::task::ready!(self.as_mut().poll_flush(cx))?;
        self.project().io.poll_shutdown(cx)
    }
}

/// Our sockets, as hyper wants them.
pub type HyperIo = TokioIo<DirtyFlush<TcpStream>>;

/// Connections of any kind, as hyper wants them.
pub type DuplexIo = TokioIo<duplex::Stream>;

/// Wraps a socket for hyper, without Nagle's delay.
pub fn hyper_io(tcp: TcpStream) -> HyperIo {
    // A socket that is already closed refuses the option; the next read says so.
    let _ = tcp.set_nodelay(true);
    TokioIo::new(DirtyFlush::new(tcp))
}

/// Bounds of a listener.
#[derive(Clone, Copy, Debug)]
pub struct ServeLimits {
    /// Most connections at once. When full, new ones wait in the kernel's backlog.
    pub connections_max: usize,
    /// A client has this long to send a request's head.
    pub header_timeout: Duration,
    /// Largest request head, in bytes; beyond it 431.
    pub header_bytes_max: usize,
    /// Most HTTP/2 streams of one connection.
    pub streams_max: u32,
    /// How long open connections may finish after the shutdown signal.
    pub drain: Duration,
}

impl Default for ServeLimits {
    fn default() -> Self {
        Self {
            connections_max: 4_096,
            header_timeout: Duration::from_secs(10),
            header_bytes_max: 64 << 10,
            streams_max: 256,
            drain: Duration::from_secs(10),
        }
    }
}

/// What is served: a service for each connection. A service that can be cloned is its own.
pub trait Serve {
    /// The service of one connection.
    type Service;

    /// Called once for each connection, with where it comes from.
    fn connected(&self, remote: SocketAddr) -> Session<Self::Service>;
}

/// One connection's service.
pub struct Session<S> {
    /// Answers its requests.
    pub service: S,
    /// Resolves when the connection is to be closed at once, whatever it is doing; `None`: never.
    pub dismissed: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl<S> Serve for S
where
    S: hyper::service::Service<Request<Incoming>> + Clone,
{
    type Service = S;

    fn connected(&self, _remote: SocketAddr) -> Session<S> {
        Session { service: self.clone(), dismissed: None }
    }
}

/// Serves HTTP/1.1 and HTTP/2 (prior knowledge) on one listener until `shutdown`, then lets open connections
/// finish their requests for at most `limits.drain`.
pub async fn serve<M, B>(listener: TcpListener, served: M, limits: ServeLimits, mut shutdown: Shutdown)
where
    M: Serve,
    M::Service: hyper::service::Service<Request<Incoming>, Response = Response<B>, Error = Infallible>
        + Send
        + 'static,
    <M::Service as hyper::service::Service<Request<Incoming>>>::Future: Send + 'static,
    B: hyper::body::Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let places = Arc::new(Semaphore::new(limits.connections_max));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let accepted = tokio::select! {
            biased;
            () = shutdown.wait() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((tcp, remote)) => {
                let session = served.connected(remote);
                let connection = serve_connection(tcp, session, limits, shutdown.clone());
                crate::spawn(async move {
                    connection.await;
                    drop(place);
                });
            }
            // Out of file descriptors, or the peer is gone: neither ends the listener.
            Err(_) => time::sleep(Duration::from_millis(10)).await,
        }
    }
    drop(listener);
    // All places free again means that every connection has ended.
    let all = u32::try_from(limits.connections_max).unwrap_or(u32::MAX);
    let _ = time::timeout(limits.drain, places.acquire_many(all)).await;
}

async fn serve_connection<S, B>(
    tcp: TcpStream,
    session: Session<S>,
    limits: ServeLimits,
    mut shutdown: Shutdown,
) where
    S: hyper::service::Service<Request<Incoming>, Response = Response<B>, Error = Infallible>
        + Send
        + 'static,
    S::Future: Send + 'static,
    B: hyper::body::Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut builder = hyper_util::server::conn::auto::Builder::new(Exec);
    builder
        .http1()
        .timer(Timer)
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(limits.header_bytes_max.max(8 << 10));
    builder
        .http2()
        .timer(Timer)
        .keep_alive_interval(Some(Duration::from_secs(20)))
        .keep_alive_timeout(Duration::from_secs(10))
        .max_concurrent_streams(limits.streams_max)
        .max_header_list_size(u32::try_from(limits.header_bytes_max).unwrap_or(u32::MAX));
    let connection = builder.serve_connection_with_upgrades(hyper_io(tcp), session.service);
    tokio::pin!(connection);
    let dismissed = session.dismissed.unwrap_or_else(|| Box::pin(std::future::pending()));
    tokio::select! {
        biased;
        () = dismissed => return,
        _ = connection.as_mut() => return,
        () = shutdown.wait() => connection.as_mut().graceful_shutdown(),
    }
    let _ = time::timeout(limits.drain, connection).await;
}

/// The body of our own requests and small answers.
pub type BoxBody = UnsyncBoxBody<Bytes, Infallible>;

/// A body that is all there.
pub fn full(bytes: impl Into<Bytes>) -> BoxBody {
    Full::new(bytes.into()).boxed_unsync()
}

/// Reads a body of at most `bytes_max`; larger ones are an error of kind `FileTooLarge`.
pub async fn read_body<B>(body: B, bytes_max: usize) -> io::Result<Bytes>
where
    B: hyper::body::Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    match Limited::new(body, bytes_max).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(e) if e.is::<http_body_util::LengthLimitError>() => Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("the body is larger than {bytes_max} bytes"),
        )),
        Err(e) => Err(io::Error::other(e)),
    }
}

/// One HTTP/2 connection to a peer, shared by clones.
#[derive(Clone)]
pub struct H2Client(hyper::client::conn::http2::SendRequest<BoxBody>);

impl H2Client {
    /// Dials `authority` (`host:port`, resolved anew each time) and shakes hands. No deadline of its own.
    pub async fn connect(authority: &str) -> io::Result<Self> {
        let tcp = TcpStream::connect(authority).await?;
        let (sender, connection) = hyper::client::conn::http2::Builder::new(Exec)
            .timer(Timer)
            .keep_alive_interval(Some(Duration::from_secs(2)))
            .keep_alive_timeout(Duration::from_secs(2))
            .handshake(hyper_io(tcp))
            .await
            .map_err(io::Error::other)?;
        crate::spawn(async move {
            let _ = connection.await;
        });
        Ok(Self(sender))
    }

    /// Whether the connection is known to be gone.
    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    /// Sends one request and waits for the head of its answer. No deadline of its own.
    pub async fn send(&mut self, request: Request<BoxBody>) -> io::Result<Response<Incoming>> {
        self.0.ready().await.map_err(io::Error::other)?;
        self.0.send_request(request).await.map_err(io::Error::other)
    }
}

/// One HTTP/1.1 request on `io`, which is closed when the answer is dropped. No deadline of its own.
pub async fn http1_once<S>(io: S, request: Request<BoxBody>) -> io::Result<Response<Incoming>>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let mut request = request;
    // HTTP/1.1 names the host in a field and the path alone in the request line (RFC 9112, 3.2.1).
    if let Some(authority) = request.uri().authority() {
        let host = HeaderValue::from_str(authority.as_str()).map_err(io::Error::other)?;
        request.headers_mut().insert(header::HOST, host);
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        *request.uri_mut() = path.parse().map_err(io::Error::other)?;
    }
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(DirtyFlush::new(io)));
    let (mut sender, connection) = handshake.await.map_err(io::Error::other)?;
    crate::spawn(async move {
        let _ = connection.await;
    });
    sender.send_request(request).await.map_err(io::Error::other)
}

/// The same by HTTP/2.
pub async fn http2_once<S>(io: S, request: Request<BoxBody>) -> io::Result<Response<Incoming>>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let handshake =
        hyper::client::conn::http2::Builder::new(Exec).handshake(TokioIo::new(DirtyFlush::new(io)));
    let (mut sender, connection) = handshake.await.map_err(io::Error::other)?;
    crate::spawn(async move {
        let _ = connection.await;
    });
    sender.send_request(request).await.map_err(io::Error::other)
}

/// One HTTP/1.1 request on a connection of its own; the answer's body is read up to `bytes_max`.
/// No deadline of its own.
pub async fn request_once(
    authority: &str,
    request: Request<BoxBody>,
    bytes_max: usize,
) -> io::Result<Response<Bytes>> {
    let tcp = TcpStream::connect(authority).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(hyper_io(tcp)).await.map_err(io::Error::other)?;
    crate::spawn(async move {
        let _ = connection.await;
    });
    let (head, body) = sender.send_request(request).await.map_err(io::Error::other)?.into_parts();
    Ok(Response::from_parts(head, read_body(body, bytes_max).await?))
}
