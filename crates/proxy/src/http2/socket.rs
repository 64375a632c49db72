//! An HTTP/2 client's bytes.

use super::{
    Session,
    calm::{Frames, Written},
};
use crate::transport::Transport;
use bytes::Bytes;
use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// `GOAWAY`, `ENHANCE_YOUR_CALM`; the streams that were opened are let be.
const GOAWAY: [u8; 17] = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0xb];

/// The socket, as hyper sees it.
pub(super) struct Socket {
    pub transport: Transport,
    /// What was read to know that it speaks HTTP/2.
    pub early: Bytes,
    pub session: Arc<Session>,
    pub frames: Frames,
    pub written: Written,
    /// All that was written went out, and it ended with a whole frame.
    pub settled: bool,
    /// The client can't pay for what it sends.
    pub refused: bool,
    /// Nothing more is written.
    pub shut: bool,
}

impl Socket {
    pub fn new(transport: Transport, early: Bytes, session: Arc<Session>) -> Self {
        let frames = Frames::after_preface();
        Self {
            transport,
            early,
            session,
            frames,
            written: Written::default(),
            settled: true,
            refused: false,
            shut: false,
        }
    }

    fn read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.early.is_empty() {
            return Pin::new(&mut self.transport).poll_read(cx, buf);
        }
        let some = self.early.split_to(self.early.len().min(buf.remaining()));
        buf.put_slice(&some);
        if self.early.is_empty() {
            // Else its memory would be kept for as long as the connection lives.
            self.early = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }

    fn wrote(&mut self, wrote: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(bytes)) = wrote {
            self.written.add(*bytes);
        }
    }

    /// Says why, if that can be said now, and then nothing more. For hyper it is as if the client had closed.
    fn refuse(&mut self, cx: &mut Context<'_>) {
        self.refused = true;
        if self.settled {
            let transport = &mut self.transport;
            let _ = Pin::new(&mut *transport).poll_write(cx, &GOAWAY);
            let _ = Pin::new(transport).poll_flush(cx);
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.refused {
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        ready!(this.read(cx, buf))?;
        let was_in_head = this.frames.in_head();
        let cost = this.frames.cost(&buf.filled()[before..]);
        let cost = cost + this.written.cost(this.frames.take_updates());
        if this.frames.in_head() != was_in_head {
            this.session.head_is_under_way(!was_in_head);
        }
        if cost > 0 && !this.session.pay(cost) {
            buf.set_filled(before);
            this.refuse(cx);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.refused {
            return Poll::Ready(Ok(buf.len()));
        }
        self.settled = false;
        let wrote = Pin::new(&mut self.transport).poll_write(cx, buf);
        self.wrote(&wrote);
        wrote
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.refused {
            return Poll::Ready(Ok(bufs.iter().map(|buf| buf.len()).sum()));
        }
        self.settled = false;
        let wrote = Pin::new(&mut self.transport).poll_write_vectored(cx, bufs);
        self.wrote(&wrote);
        wrote
    }

    fn is_write_vectored(&self) -> bool {
        self.transport.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.transport).poll_flush(cx))?;
        // hyper flushes when it has written all that it had, which is whole frames.
        self.settled = true;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.shut {
            this.session.linger();
            ready!(Pin::new(&mut this.transport).poll_shutdown(cx))?;
            this.shut = true;
        }
        loop {
            let mut space = [0; 4 << 10];
            let mut buf = ReadBuf::new(&mut space);
            let read = ready!(Pin::new(&mut this.transport).poll_read(cx, &mut buf));
            if read.is_err() || buf.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }
}
