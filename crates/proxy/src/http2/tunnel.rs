//! A client's end of a tunnel. What passes through it, in either direction, passes here.
//!
//! hyper tells a stream that was reset like one that has ended. For a tunnel these are not the same: after an end the
//! worker may still have something to say, after a reset there is nobody to hear it, and a worker that does not close
//! by itself would be kept for ever.

use crate::client::Client;
use quorate_rt::duplex::Resettable;
use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The stream's bytes.
pub(crate) struct StreamEnd<T> {
    io: Resettable<T>,
    /// Who is told that something passed.
    client: Arc<Client>,
}

impl<T> StreamEnd<T> {
    pub fn new(io: T, client: &Arc<Client>) -> Self {
        Self { io: Resettable::new(io), client: client.clone() }
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncRead for StreamEnd<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            self.client.tunnel_went_on();
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for StreamEnd<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, buf);
        if let Poll::Ready(Ok(1..)) = &written {
            self.client.tunnel_went_on();
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
