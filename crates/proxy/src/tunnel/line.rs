//! A tunnel's connection, at the node that it hangs on.
//!
//! The roles of HTTP/2 are turned round: the node is the client, though it was dialled. `CONNECT` opens a stream, a 200
//! says that the other end has reached what it stands for. Whatever else it answers, nothing is there: to the proxy that
//! is a refused connection, and what it does about those it does about this one.
//!
//! What the other end may have this node keep is bounded by the number of streams, of one tunnel ([`STREAMS_MAX`]) and of
//! all of them together ([`Room`]): each stream has a window of its own, and more than that is never kept of it. HTTP/2
//! lets the other end say how many streams it takes; that it takes more than our bound lifts nothing.
//!
//! A machine that is gone without a word is found by PINGs, like a worker's ([`PING_EVERY`], [`PING_WITHIN`]).

use super::{Stream, bytes::StreamBytes};
use bytes::Bytes;
use h2::{
    Ping, PingPong,
    client::{Builder, Connection, SendRequest},
};
use http::{Method, Request, StatusCode, Uri};
use quorate_rt::time::{Duration, sleep, timeout};
use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::{OwnedSemaphorePermit, Semaphore},
};

/// How often it is asked whether the other end is still there.
pub const PING_EVERY: Duration = Duration::from_secs(5);
/// It has so long to answer: then the tunnel is gone.
pub const PING_WITHIN: Duration = Duration::from_secs(10);
/// A stream waits for so long until another one ends, where there are as many as may be.
pub const ROOM_WITHIN: Duration = Duration::from_secs(1);
/// The other end has so long to take a word that is not about a stream.
const WORD_WITHIN: Duration = Duration::from_secs(1);

/// Streams of a tunnel at once. When full, the next one waits for as long as a dial may take.
const STREAMS_MAX: u32 = 512;
/// Streams of all tunnels of a node at once. When full, the next one waits, too.
pub const STREAMS_OF_NODE_MAX: u32 = 8_192;
/// What the other end may send on one stream before what came before was passed on.
const STREAM_WINDOW: u32 = 128 << 10;
/// Room for all streams: else some that nobody reads would hold up all the others.
const WINDOW: u32 = STREAM_WINDOW * STREAMS_MAX;
/// What tunnels may have a node keep that nobody has read yet.
const KEPT_MAX: u64 = 1 << 30;
const _: () =
    assert!(STREAM_WINDOW as u64 * STREAMS_OF_NODE_MAX as u64 <= KEPT_MAX, "it fits the memory of a node");
const _: () = assert!(STREAMS_MAX * 8 <= STREAMS_OF_NODE_MAX, "no few tunnels take all streams");
/// Most bytes of an answer's headers, as on other connections.
const HEADER_BYTES_MAX: u32 = 16 << 10;
/// Most bytes of one stream that wait to be written.
const SEND_BUFFER: usize = 64 << 10;
/// How many streams that we reset are remembered, so that what is still under way on them is known to be late.
const RESETS_REMEMBERED: usize = 256;

/// The header of a parting word that says why.
pub const REASON: &str = "quorate-tunnel-reason";

/// Why a node lets go of a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parting {
    /// The node is about to end: hang on another one. What is under way may finish.
    Draining,
    /// Another machine has opened a tunnel of this name.
    Replaced,
    /// The node has lost the cluster: hang on another one.
    Fenced,
    /// Its token is not good any more, on any node that was told so.
    Revoked,
}

impl Parting {
    /// As it is told.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Draining => "draining",
            Self::Replaced => "replaced",
            Self::Fenced => "fenced",
            Self::Revoked => "revoked",
        }
    }
}

/// How a tunnel ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum Ended {
    /// The other end closed it.
    #[error("the other end closed it")]
    Closed,
    /// It broke.
    #[error("it broke: {0}")]
    Broken(h2::Error),
    /// The other end is silent.
    #[error("no answer to a PING within {PING_WITHIN:?}")]
    Silent,
}

/// Room for the streams of all tunnels of a node. Clones share it.
#[derive(Clone)]
pub struct Room(Arc<Semaphore>);

impl Default for Room {
    fn default() -> Self {
        Self::of(STREAMS_OF_NODE_MAX)
    }
}

impl Room {
    fn of(streams: u32) -> Self {
        Self(Arc::new(Semaphore::new(streams as usize)))
    }

    /// Nobody closes it, so there will be one.
    async fn permit(&self) -> Option<OwnedSemaphorePermit> {
        self.0.clone().acquire_owned().await.ok()
    }

    /// One of each, in this order: who waits for the own tunnel keeps no room from others. Whoever has to wait for long is
    /// told so as long as somebody still hears it: a tunnel that has too much to do is there.
    async fn of_each(rooms: [&Self; 2]) -> io::Result<[Option<OwnedSemaphorePermit>; 2]> {
        let both = async { [rooms[0].permit().await, rooms[1].permit().await] };
        let full = |_| io::Error::new(io::ErrorKind::WouldBlock, "too many streams are open");
        timeout(ROOM_WITHIN, both).await.map_err(full)
    }
}

/// Opens streams. The connection lives as long as one of these, and as the streams on it.
#[derive(Clone)]
pub struct Line {
    sender: SendRequest<Bytes>,
    open: Arc<AtomicUsize>,
    own: Room,
    of_node: Room,
}

/// What has to be run for the connection to live.
pub struct Hanging {
    connection: Connection<Stream, Bytes>,
    pings: Option<PingPong>,
}

impl Line {
    /// Greets the other end.
    pub async fn hang(socket: Stream, room: &Room) -> io::Result<(Self, Hanging)> {
        let (sender, mut connection) = Builder::new()
            .enable_push(false)
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(WINDOW)
            .initial_max_send_streams(STREAMS_MAX as usize)
            .max_send_buffer_size(SEND_BUFFER)
            .max_header_list_size(HEADER_BYTES_MAX)
            .max_concurrent_reset_streams(RESETS_REMEMBERED)
            // It is our clients that abandon streams, and the other end may still be sending then.
            .max_local_error_reset_streams(None)
            .handshake(socket)
            .await
            .map_err(io::Error::other)?;
        let pings = connection.ping_pong();
        let (own, of_node) = (Room::of(STREAMS_MAX), room.clone());
        Ok((Self { sender, open: Arc::default(), own, of_node }, Hanging { connection, pings }))
    }

    /// A stream to what hangs on the tunnel. An error of the kind `WouldBlock`: for [`ROOM_WITHIN`] there was no room for
    /// it. No other deadline of its own.
    pub async fn open(&self) -> io::Result<Stream> {
        let mut place = Place::take(&self.open);
        place.permits = Room::of_each([&self.own, &self.of_node]).await?;
        let mut sender = self.sender.clone().ready().await.map_err(gone)?;
        let mut request = Request::new(());
        *request.method_mut() = Method::CONNECT;
        *request.uri_mut() = Uri::from_static("local");
        let (answer, send) = sender.send_request(request, false).map_err(gone)?;
        // A connection with a spare sender never closes by itself.
        drop(sender);
        let answer = answer.await.map_err(gone)?;
        if answer.status() != StatusCode::OK {
            let reason = answer.headers().get(REASON).and_then(|reason| reason.to_str().ok());
            let reason = reason.unwrap_or("nothing is there").to_owned();
            return Err(io::Error::new(io::ErrorKind::ConnectionRefused, reason));
        }
        let bytes = StreamBytes::new(send, answer.into_body());
        Ok(Box::new(Counted { bytes, _place: place }))
    }

    /// How many streams are open, or wait to be.
    pub fn streams(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Tells the other end why the node lets go. It may not hear it any more.
    pub async fn say(&self, parting: Parting) {
        let word = async {
            let mut sender = self.sender.clone().ready().await?;
            let mut request = Request::new(());
            *request.method_mut() = Method::POST;
            *request.uri_mut() = Uri::from_static("http://local/goodbye");
            request.headers_mut().insert(REASON, http::HeaderValue::from_static(parting.as_str()));
            sender.send_request(request, true)?.0.await.map(drop)
        };
        let word: Result<Result<(), h2::Error>, _> = timeout(WORD_WITHIN, word).await;
        // One that does not hear it finds out by itself: the connection ends.
        drop(word);
    }
}

fn gone(error: h2::Error) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionRefused, format!("the tunnel is gone: {error}"))
}

impl Hanging {
    /// Runs the connection until it ends.
    pub async fn ended(self) -> Ended {
        let Self { connection, pings } = self;
        let beats = async {
            match pings {
                Some(pings) => beat(pings).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            ended = connection => ended.map_or_else(Ended::Broken, |()| Ended::Closed),
            ended = beats => ended,
        }
    }
}

/// Until a PING is not answered.
async fn beat(mut pings: PingPong) -> Ended {
    loop {
        sleep(PING_EVERY).await;
        match timeout(PING_WITHIN, pings.ping(Ping::opaque())).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Ended::Broken(error),
            Err(_) => return Ended::Silent,
        }
    }
}

/// One of a line's streams, for as long as it lives.
struct Place {
    open: Arc<AtomicUsize>,
    permits: [Option<OwnedSemaphorePermit>; 2],
}

impl Place {
    fn take(open: &Arc<AtomicUsize>) -> Self {
        open.fetch_add(1, Ordering::Relaxed);
        Self { open: open.clone(), permits: [None, None] }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}

struct Counted {
    // In this order: the stream is over before it is not counted any more.
    bytes: StreamBytes,
    _place: Place,
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.bytes).poll_read(cx, buf)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.bytes).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.bytes).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.bytes).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
