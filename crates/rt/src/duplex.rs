//! Connections of any kind: bytes both ways, whatever they travel on.

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes both ways. One that is dropped before both sides are done is reset.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A connection of any kind.
pub type Stream = Box<dyn Duplex>;

/// What is left of a connection when both sides have agreed to leave HTTP. No deadline of its own.
pub async fn upgraded(agreed: OnUpgrade) -> io::Result<Stream> {
    let io = agreed.await.map_err(io::Error::other)?;
    Ok(Box::new(Resettable::new(TokioIo::new(io))))
}

/// hyper tells a stream of HTTP/2 that was reset like one that has ended. Whoever passes bytes on must know them apart: an
/// answer that was cut would look whole.
pub struct Resettable<T> {
    io: T,
    /// The end was seen; whether it was a reset is asked next.
    ended: bool,
}

impl<T> Resettable<T> {
    /// Of what hyper has left of such a stream.
    pub fn new(io: T) -> Self {
        Self { io, ended: false }
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncRead for Resettable<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.ended {
            // An error, if the task that sends has seen a reset.
            return Pin::new(&mut self.io).poll_flush(cx);
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        if buf.filled().len() > before || buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        // A reset wakes that task too, and it may be behind this one.
        self.ended = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Resettable<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
