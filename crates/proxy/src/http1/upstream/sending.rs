//! A request on its way to the socket.
//!
//! Its head and small pieces of its body are put together and written as one; large pieces are written from where they
//! are. More of the body is asked for only when what came before is written.

use super::{
    WireError,
    request::{self, Ask, Framing},
};
use bytes::{Buf, Bytes};
use hyper::body::{Body, Frame};
use std::{
    io::{self, IoSlice, Write},
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::io::AsyncWrite;

/// Pieces up to this size are copied behind what is written with them.
const SMALL: usize = 2 << 10;
/// So much is put together before it is written.
const GATHERED: usize = 8 << 10;

/// What is still to be written.
pub(super) struct Sending<B> {
    out: Vec<u8>,
    /// How much of it is written.
    at: usize,
    /// What comes after it, and after that.
    piece: Bytes,
    tail: &'static [u8],
    body: Option<(B, Framing)>,
    /// Nothing was given to the socket yet.
    is_new: bool,
    is_dirty: bool,
}

/// Whether there may be more of a body at once.
#[derive(PartialEq, Eq)]
enum Gathered {
    All,
    Awaited,
}

impl<B> Default for Sending<B> {
    fn default() -> Self {
        Self {
            out: Vec::new(),
            at: 0,
            piece: Bytes::new(),
            tail: b"",
            body: None,
            is_new: false,
            is_dirty: false,
        }
    }
}

impl<B: Body<Data = Bytes, Error = hyper::Error> + Unpin> Sending<B> {
    pub fn new(ask: &Ask<'_>, body: B) -> Self {
        let body = if body.is_end_stream() {
            None
        } else {
            let framing = Framing::of(&body, ask.headers);
            Some((body, framing))
        };
        let out = request::head(ask, body.as_ref().map(|(_, framing)| framing));
        Self { out, body, is_new: true, ..Self::default() }
    }

    /// Takes the body back of a request of which nothing was written.
    pub fn take_body(&mut self) -> Option<B> {
        std::mem::take(self).body.map(|(body, _)| body)
    }

    /// Whether all of it is with the kernel.
    pub fn is_done(&self) -> bool {
        self.body.is_none() && self.left() == 0 && !self.is_dirty
    }

    /// Writes what there is, until all is written.
    pub fn poll<S: AsyncWrite + Unpin>(
        &mut self,
        socket: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), WireError>> {
        if self.is_done() {
            return Poll::Ready(Ok(()));
        }
        loop {
            let gathered = if self.is_new || self.left() == 0 { self.gather(cx)? } else { Gathered::All };
            self.is_new = false;
            if self.left() == 0 {
                if gathered == Gathered::Awaited || self.body.is_none() {
                    ready!(Pin::new(socket).poll_flush(cx)).map_err(WireError::Write)?;
                    self.is_dirty = false;
                    // What was put together is not kept while nothing comes, or for the next request.
                    self.out = Vec::new();
                    return if self.body.is_none() { Poll::Ready(Ok(())) } else { Poll::Pending };
                }
                continue;
            }
            while self.left() > 0 {
                self.is_dirty = true;
                let written = ready!(self.poll_write(socket, cx)).map_err(WireError::Write)?;
                self.advance(written);
            }
            if gathered == Gathered::Awaited {
                // Who will wake for the body is known: asked again, it would not have more.
                ready!(Pin::new(&mut *socket).poll_flush(cx)).map_err(WireError::Write)?;
                self.is_dirty = false;
                return Poll::Pending;
            }
        }
    }

    #[cfg(test)]
    pub fn held(&self) -> usize {
        self.out.capacity() + self.piece.len()
    }

    fn left(&self) -> usize {
        self.out.len() - self.at + self.piece.len() + self.tail.len()
    }

    fn poll_write<S: AsyncWrite + Unpin>(
        &self,
        socket: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let out = &self.out[self.at..];
        let written = if self.piece.is_empty() && self.tail.is_empty() {
            Pin::new(socket).poll_write(cx, out)
        } else {
            let slices = [IoSlice::new(out), IoSlice::new(&self.piece), IoSlice::new(self.tail)];
            let first = slices.iter().position(|slice| !slice.is_empty()).unwrap_or_default();
            Pin::new(socket).poll_write_vectored(cx, &slices[first..])
        };
        match ready!(written)? {
            0 => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            written => Poll::Ready(Ok(written)),
        }
    }

    fn advance(&mut self, mut written: usize) {
        let of_out = written.min(self.out.len() - self.at);
        self.at += of_out;
        written -= of_out;
        let of_piece = written.min(self.piece.len());
        self.piece.advance(of_piece);
        written -= of_piece;
        self.tail = &self.tail[written.min(self.tail.len())..];
        if self.at == self.out.len() {
            self.out.clear();
            self.at = 0;
        }
    }

    /// Asks for more of the body and puts it behind what is there.
    fn gather(&mut self, cx: &mut Context<'_>) -> Result<Gathered, WireError> {
        while self.piece.is_empty() && self.out.len() < GATHERED {
            let Some((body, _)) = &mut self.body else { return Ok(Gathered::All) };
            match Pin::new(&mut *body).poll_frame(cx) {
                Poll::Pending => return Ok(Gathered::Awaited),
                Poll::Ready(Some(Err(error))) => return Err(WireError::Upload(error)),
                Poll::Ready(Some(Ok(frame))) => {
                    let is_last = body.is_end_stream();
                    self.put(frame)?;
                    if is_last {
                        self.end()?;
                    }
                }
                Poll::Ready(None) => self.end()?,
            }
        }
        Ok(Gathered::All)
    }

    fn put(&mut self, frame: Frame<Bytes>) -> Result<(), WireError> {
        let Some((_, framing)) = &mut self.body else { return Ok(()) };
        let piece = match frame.into_data() {
            Ok(piece) if piece.is_empty() => return Ok(()),
            Ok(piece) => piece,
            Err(frame) => {
                if let (Framing::Chunked { announced }, Some(trailers)) = (framing, frame.trailers_ref()) {
                    request::put_end(&mut self.out, trailers, announced);
                    self.body = None;
                }
                return Ok(());
            }
        };
        let length = piece.len() as u64;
        let is_chunk = match framing {
            Framing::Length { left } => {
                if length > *left {
                    return Err(WireError::TooLong { surplus: length - *left });
                }
                *left -= length;
                false
            }
            Framing::Chunked { .. } => {
                // Writing to a Vec never fails.
                let _ = write!(self.out, "{length:x}\r\n");
                true
            }
        };
        let tail: &'static [u8] = if is_chunk { b"\r\n" } else { b"" };
        if piece.len() <= SMALL {
            self.out.extend_from_slice(&piece);
            self.out.extend_from_slice(tail);
        } else {
            (self.piece, self.tail) = (piece, tail);
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), WireError> {
        match self.body.take() {
            Some((_, Framing::Length { left: missing @ 1.. })) => Err(WireError::TooShort { missing }),
            Some((_, Framing::Length { .. })) | None => Ok(()),
            Some((_, Framing::Chunked { .. })) if self.tail.is_empty() => {
                self.out.extend_from_slice(b"0\r\n\r\n");
                Ok(())
            }
            Some((_, Framing::Chunked { .. })) => {
                self.tail = b"\r\n0\r\n\r\n";
                Ok(())
            }
        }
    }
}
