//! A client's socket: in the clear, or by TLS.

use quorate_rt::{http::DirtyFlush, net::TcpStream, tls};
use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Up to here several buffers are gathered on the stack and sent as one: copying them costs less than what the
/// kernel does more for `writev` than for `send` (8 to 10 % of a small request, docs/performance.md).
const GATHERED_MAX: usize = 1_536;

/// Sends several buffers in the cheapest way.
pub(crate) fn send<S: AsyncWrite + Unpin>(
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

/// The socket.
pub(crate) enum Transport {
    /// As it comes.
    Plain(DirtyFlush<TcpStream>),
    /// Boxed: its state is twenty times that of a plain one.
    Tls(Box<tls::Accepted<DirtyFlush<TcpStream>>>),
}

/// The same call on whichever socket it is.
macro_rules! either {
    ($self:ident, $socket:ident => $call:expr) => {
        match &mut *$self {
            Transport::Plain(socket) => {
                let $socket = Pin::new(socket);
                $call
            }
            Transport::Tls(socket) => {
                let $socket = Pin::new(&mut **socket);
                $call
            }
        }
    };
}

impl AsyncRead for Transport {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        either!(self, socket => socket.poll_read(cx, buf))
    }
}

impl AsyncWrite for Transport {
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
            Self::Tls(socket) => Pin::new(&mut **socket).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(socket) => socket.is_write_vectored(),
            Self::Tls(socket) => socket.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, socket => socket.poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, socket => socket.poll_shutdown(cx))
    }
}
