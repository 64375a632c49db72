//! One stream of HTTP/2 as bytes both ways.
//!
//! Not hyper's: that tells a stream that was reset like one that has ended, and an answer that ends with its connection
//! would look whole.

use bytes::{Buf, Bytes};
use h2::{Reason, RecvStream, SendStream};
use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Most bytes that wait in the stream for the other side's window.
const PIECE_MAX: usize = 16 << 10;

/// A stream's end. Whoever drops it before both sides are done resets the stream.
pub(crate) struct StreamBytes {
    send: SendStream<Bytes>,
    receive: RecvStream,
    /// What came and was not read yet.
    rest: Bytes,
    is_shut: bool,
}

impl StreamBytes {
    pub fn new(send: SendStream<Bytes>, receive: RecvStream) -> Self {
        Self { send, receive, rest: Bytes::new(), is_shut: false }
    }
}

impl AsyncRead for StreamBytes {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.rest.is_empty() {
            match ready!(self.receive.poll_data(cx)) {
                Some(Ok(piece)) => self.rest = piece,
                Some(Err(error)) => return Poll::Ready(Err(as_of_tcp(error))),
                None => return Poll::Ready(Ok(())),
            }
        }
        let length = self.rest.len().min(buf.remaining());
        buf.put_slice(&self.rest[..length]);
        self.rest.advance(length);
        // The other side gets room for what was passed on. Fails for a stream that is over: then there is nobody to
        // make it for.
        let _ = self.receive.flow_control().release_capacity(length);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for StreamBytes {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if let Poll::Ready(reset) = self.send.poll_reset(cx) {
            return Poll::Ready(Err(reset.map_or_else(as_of_tcp, |reason| as_of_tcp(reason.into()))));
        }
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        // Room for one byte: what does not fit yet waits in the stream, and keeps nobody else from his room.
        self.send.reserve_capacity(1);
        while self.send.capacity() == 0 {
            match ready!(self.send.poll_capacity(cx)) {
                Some(Ok(_)) => {}
                Some(Err(error)) => return Poll::Ready(Err(as_of_tcp(error))),
                None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            }
        }
        let length = buf.len().min(PIECE_MAX);
        let sent = self.send.send_data(Bytes::copy_from_slice(&buf[..length]), false);
        Poll::Ready(sent.map(|()| length).map_err(as_of_tcp))
    }

    /// The connection's task sends what there is.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        if std::mem::replace(&mut self.is_shut, true) {
            return Poll::Ready(Ok(()));
        }
        Poll::Ready(self.send.send_data(Bytes::new(), true).map_err(as_of_tcp))
    }
}

/// A reset of the stream is what a reset of a connection would have been (RFC 8441, 5).
fn as_of_tcp(error: h2::Error) -> io::Error {
    let kind = match error.reason() {
        Some(Reason::CANCEL | Reason::NO_ERROR | Reason::STREAM_CLOSED) => io::ErrorKind::ConnectionReset,
        Some(_) | None => io::ErrorKind::Other,
    };
    io::Error::new(kind, error)
}
