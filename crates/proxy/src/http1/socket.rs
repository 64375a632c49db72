//! Sockets, as hyper sees them.

use crate::{
    client::Client,
    transport::{Socket, Transport},
    tunnel,
};
use bytes::Bytes;
use quorate_rt::{
    http::DirtyFlush,
    net::{self, TcpStream},
    tls,
};
use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A client's socket. It tells the connection's deadline what happens: hyper does not say when the first byte of
/// a head arrives, nor when a client stops taking its answer.
pub(crate) struct ClientSocket {
    pub transport: Transport,
    /// What was read to know that it speaks HTTP/1.1.
    pub early: Bytes,
    pub client: Arc<Client>,
}

impl ClientSocket {
    fn noted<T>(&self, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        match &written {
            Poll::Pending => self.client.write_blocked(),
            Poll::Ready(_) => self.client.write_went_on(),
        }
        written
    }
}

impl AsyncRead for ClientSocket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.early.is_empty() {
            let length = self.early.len().min(buf.remaining());
            let some = self.early.split_to(length);
            buf.put_slice(&some);
            if self.early.is_empty() {
                // Else its memory would be kept for as long as the connection lives.
                self.early = Bytes::new();
            }
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        let read = Pin::new(&mut self.transport).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.client.received();
        }
        read
    }
}

impl AsyncWrite for ClientSocket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.transport).poll_write(cx, buf);
        self.noted(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.transport).poll_write_vectored(cx, bufs);
        self.noted(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.transport.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // TLS takes whatever is written, and says only here that the socket does not.
        let flushed = Pin::new(&mut self.transport).poll_flush(cx);
        self.noted(flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.transport).poll_shutdown(cx);
        self.noted(shut)
    }
}

/// A worker's socket.
pub(crate) type WorkerSocket = Socket<Wrapped>;

/// One that is not just a socket.
#[expect(clippy::large_enum_variant, reason = "it is boxed as a whole")]
pub(crate) enum Wrapped {
    /// By TLS.
    Tls(tls::Stream<DirtyFlush<TcpStream>>),
    /// By way of a tunnel.
    Tunnel(tunnel::Stream),
}

/// The same call on whichever it is.
macro_rules! either {
    ($self:ident, $socket:ident => $call:expr) => {
        match &mut *$self {
            Wrapped::Tls(socket) => {
                let $socket = Pin::new(socket);
                $call
            }
            Wrapped::Tunnel(socket) => {
                let $socket = Pin::new(&mut **socket);
                $call
            }
        }
    };
}

impl AsyncRead for Wrapped {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        either!(self, socket => socket.poll_read(cx, buf))
    }
}

impl AsyncWrite for Wrapped {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        either!(self, socket => socket.poll_write(cx, buf))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(self, socket => socket.poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tls(socket) => socket.is_write_vectored(),
            Self::Tunnel(socket) => socket.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, socket => socket.poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, socket => socket.poll_shutdown(cx))
    }
}

impl WorkerSocket {
    /// What the worker chose in the TLS handshake, if there was one and it chose.
    pub fn alpn(&self) -> Option<&[u8]> {
        match self {
            Self::Plain(_) => None,
            Self::Wrapped(wrapped) => match &**wrapped {
                Wrapped::Tls(socket) => socket.get_ref().1.alpn_protocol(),
                Wrapped::Tunnel(_) => None,
            },
        }
    }

    /// From here on both sides may stand still for as long as they like.
    pub fn bear_standstill(&self) {
        let tcp = match self {
            Self::Plain(socket) => socket.get_ref(),
            Self::Wrapped(wrapped) => match &**wrapped {
                Wrapped::Tls(socket) => socket.get_ref().0.get_ref(),
                // Nothing but the tunnel itself is ever given up there, and that is asked by PINGs.
                Wrapped::Tunnel(_) => return,
            },
        };
        // One that is already closed refuses; the next read says so.
        let _ = net::bear_standstill(tcp);
    }
}
