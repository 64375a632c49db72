//! A socket, of a client or of a worker: in the clear, or by TLS, or at the end of a tunnel.

use quorate_rt::{http::DirtyFlush, net::TcpStream, tls};
use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Up to here several buffers are gathered on the stack and sent as one: copying them costs less than what the
/// kernel does more for `writev` than for `send` (8 to 10 % of a small request, docs/performance.md).
const GATHERED_MAX: usize = 1_536;

/// Most bytes that are read at once of a connection that is not served yet. What does not fit is read after it.
const FIRST_READ: usize = 2 << 10;

/// Sends several buffers in the cheapest way.
fn send<S: AsyncWrite + Unpin>(
    socket: &mut S,
    cx: &mut Context<'_>,
    bufs: &[io::IoSlice<'_>],
) -> Poll<io::Result<usize>> {
    let length: usize = bufs.iter().map(|b| b.len()).sum();
    if length > GATHERED_MAX {
        return Pin::new(socket).poll_write_vectored(cx, bufs);
    }
    let mut gathered = [0; GATHERED_MAX];
    let mut end = 0;
    for buf in bufs {
        gathered[end..end + buf.len()].copy_from_slice(buf);
        end += buf.len();
    }
    Pin::new(socket).poll_write(cx, &gathered[..length])
}

/// A client's socket.
pub(crate) type Transport = Socket<tls::Accepted<DirtyFlush<TcpStream>>>;

/// The socket. What is not as it comes is a `T`.
pub(crate) enum Socket<T> {
    /// As it comes.
    Plain(DirtyFlush<TcpStream>),
    /// Boxed: its state is twenty times that of a plain one, and most are plain.
    Wrapped(Box<T>),
}

impl Transport {
    /// Reads once, at most [`FIRST_READ`] bytes, which take no memory until they are there. `Ready` with nothing: the
    /// other side has ended.
    pub fn poll_first(&mut self, cx: &mut Context<'_>, into: &mut Vec<u8>) -> Poll<io::Result<usize>> {
        let mut space = [0; FIRST_READ];
        let mut buf = ReadBuf::new(&mut space);
        ready!(Pin::new(self).poll_read(cx, &mut buf))?;
        into.extend_from_slice(buf.filled());
        Poll::Ready(Ok(buf.filled().len()))
    }
}

/// The same call on whichever socket it is.
macro_rules! either {
    ($self:ident, $socket:ident => $call:expr) => {
        match &mut *$self {
            Socket::Plain(socket) => {
                let $socket = Pin::new(socket);
                $call
            }
            Socket::Wrapped(socket) => {
                let $socket = Pin::new(&mut **socket);
                $call
            }
        }
    };
}

impl<T: AsyncRead + Unpin> AsyncRead for Socket<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        either!(self, socket => socket.poll_read(cx, buf))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Socket<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        either!(self, socket => socket.poll_write(cx, buf))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Plain(socket) => send(socket, cx, bufs),
            Self::Wrapped(socket) => Pin::new(&mut **socket).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(socket) => socket.is_write_vectored(),
            Self::Wrapped(socket) => socket.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, socket => socket.poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, socket => socket.poll_shutdown(cx))
    }
}
