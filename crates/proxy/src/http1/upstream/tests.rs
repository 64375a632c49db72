//! The codec, on a socket that does what a test says.

mod against_hyper;
mod answers;
mod requests;

use super::{
    request::Ask,
    wire::{NoHead, Wire},
};
use bytes::Bytes;
use http::{HeaderMap, Method, Response};
use hyper::body::{Body, Frame, SizeHint};
use std::{
    collections::VecDeque,
    error::Error,
    io,
    pin::Pin,
    task::{Context, Poll, Waker},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

const HEADER_BYTES_MAX: usize = 2_000;

/// What a socket does when all was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Ends,
    Stands,
    Breaks,
}

/// A socket. Each piece takes two polls: one finds nothing.
struct Socket {
    pieces: VecDeque<Vec<u8>>,
    then: Then,
    /// There is nothing to read before something was written.
    answers: bool,
    is_late: bool,
    written: Vec<u8>,
    /// How much it takes at once; `None`: it fails.
    takes: Option<usize>,
    blocks: bool,
}

impl Socket {
    fn new(pieces: Vec<Vec<u8>>, then: Then) -> Self {
        Self {
            pieces: pieces.into_iter().filter(|piece| !piece.is_empty()).collect(),
            then,
            answers: true,
            is_late: false,
            written: Vec::new(),
            takes: Some(usize::MAX),
            blocks: false,
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.is_late = !self.is_late;
        if self.is_late || self.answers && self.written.is_empty() && self.takes.is_some() {
            return Poll::Pending;
        }
        let Some(piece) = self.pieces.front_mut() else {
            return match self.then {
                Then::Ends => Poll::Ready(Ok(())),
                Then::Stands => Poll::Pending,
                Then::Breaks => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            };
        };
        let length = piece.len().min(buf.remaining());
        buf.put_slice(&piece[..length]);
        piece.drain(..length);
        if piece.is_empty() {
            self.pieces.pop_front();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let Some(takes) = self.takes else { return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())) };
        self.blocks = !self.blocks && takes < usize::MAX;
        if self.blocks {
            return Poll::Pending;
        }
        let length = buf.len().min(takes);
        self.written.extend_from_slice(&buf[..length]);
        Poll::Ready(Ok(length))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A request's body; `None`: nothing for now.
#[derive(Default)]
struct Pieces {
    frames: VecDeque<Option<Frame<Bytes>>>,
    length: Option<u64>,
}

impl Pieces {
    fn of(pieces: &[Option<&[u8]>], length: Option<u64>) -> Self {
        let frame = |piece: &Option<&[u8]>| piece.map(|piece| Frame::data(Bytes::copy_from_slice(piece)));
        Self { frames: pieces.iter().map(frame).collect(), length }
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match self.frames.pop_front() {
            Some(Some(frame)) => Poll::Ready(Some(Ok(frame))),
            Some(None) => Poll::Pending,
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.frames.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

/// How an exchange went.
#[derive(Debug, Default, PartialEq, Eq)]
struct Went {
    /// The status, or why there is none.
    head: String,
    fields: HeaderMap,
    body: Vec<u8>,
    trailers: HeaderMap,
    /// Why the body broke off.
    broke: Option<String>,
    /// The connection is good for another request.
    rests: bool,
}

type TestWire = Wire<Socket, Pieces>;

/// Polls until it is ready, or long after nothing goes on: a byte takes two polls.
fn finish<T>(poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> Option<T> {
    finish_within(1_000, poll)
}

fn finish_within<T>(polls: usize, mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> Option<T> {
    let mut cx = Context::from_waker(Waker::noop());
    (0..polls).find_map(|_| match poll(&mut cx) {
        Poll::Ready(ready) => Some(ready),
        Poll::Pending => None,
    })
}

fn chain(error: &dyn Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}

fn wire(socket: Socket) -> TestWire {
    Wire::new(socket, HEADER_BYTES_MAX)
}

fn ask(wire: &mut TestWire, method: &Method, body: Pieces) -> Result<Response<()>, String> {
    let (target, headers) = ("/x?y".parse().unwrap(), HeaderMap::new());
    wire.ask(&Ask { method, target: &target, headers: &headers, more: None }, body);
    match finish(|cx| wire.poll_head(cx)) {
        None => Err("waits".into()),
        Some(Ok(response)) => Ok(response),
        Some(Err(NoHead::Unsent)) => Err("unsent".into()),
        Some(Err(NoHead::Died(error))) => Err(chain(&error)),
    }
}

/// What comes of a worker that sends such pieces.
fn exchange(method: &Method, pieces: Vec<Vec<u8>>, then: Then) -> Went {
    let mut wire = wire(Socket::new(pieces, then));
    let mut went = Went::default();
    match ask(&mut wire, method, Pieces::default()) {
        Ok(response) => {
            went.head = format!("{:?} {}", response.version(), response.status().as_u16());
            went.fields = response.headers().clone();
        }
        Err(error) => {
            went.head = error;
            return went;
        }
    }
    loop {
        match finish(|cx| wire.poll_frame(cx)) {
            Some(Some(Ok(frame))) => match frame.into_data() {
                Ok(piece) => went.body.extend_from_slice(&piece),
                Err(frame) => went.trailers = frame.into_trailers().unwrap_or_default(),
            },
            Some(Some(Err(error))) => went.broke = Some(chain(&error)),
            Some(None) => break,
            None => {
                went.broke = Some("waits".into());
                break;
            }
        }
    }
    let mut cx = Context::from_waker(Waker::noop());
    let is_quiet = (0..4).all(|_| wire.poll_stray(&mut cx).is_pending());
    went.rests = wire.is_idle() && is_quiet;
    went
}

/// A sequence of numbers that a seed decides.
struct Draws(u64);

impl Draws {
    fn below(&mut self, bound: usize) -> usize {
        // xorshift64*, good enough for where to cut.
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound
    }

    fn cut(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        let (mut pieces, mut rest) = (Vec::new(), bytes);
        while !rest.is_empty() {
            let largest = [1, 2, 7, 100, 5_000][self.below(5)];
            let (piece, more) = rest.split_at((1 + self.below(largest)).min(rest.len()));
            pieces.push(piece.to_vec());
            rest = more;
        }
        pieces
    }
}
