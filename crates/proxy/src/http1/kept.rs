//! A request's body that is kept while it streams, so that it can be sent to another worker.
//!
//! Keeping a large piece costs no copy: what is kept is a reference to it as it came. A small one would hold the whole
//! read buffer that it came in, so it is copied behind the small ones before it. What is kept is bounded for each
//! request and for all of a core together; a body that does not fit streams on and is not kept any more.

use crate::client::{Client, Upload};
use bytes::Bytes;
use http::HeaderMap;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
    task::{Context, Poll},
};

/// The body, at its source.
#[derive(Clone)]
pub(crate) struct Kept(Arc<Mutex<Source>>);

/// The body on its way to one worker: from its beginning, whatever was sent to another one before.
pub(crate) struct Sending {
    kept: Kept,
    /// How many of the kept pieces it has handed on; beyond the last one there are the trailers.
    next: usize,
}

/// A copy of a whole body.
pub(crate) struct Pieced(VecDeque<Bytes>);

impl Body for Pieced {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Poll::Ready(self.0.pop_front().map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.iter().map(|piece| piece.len() as u64).sum())
    }
}

/// Pieces of at least this size are kept as they came: hyper's read buffers have this size or more.
const LARGE: usize = 8 << 10;
/// How much room for small pieces is made at a time.
const STEP: usize = 4 << 10;

/// What is kept.
#[derive(Default)]
struct Pieces {
    done: Vec<Bytes>,
    /// Small ones, since the last large one.
    tail: Vec<u8>,
    /// What came after all of them.
    trailers: Option<HeaderMap>,
}

impl Pieces {
    /// How much more memory is held with `piece`.
    fn cost(&self, piece: &Bytes) -> usize {
        let free = self.tail.capacity() - self.tail.len();
        if piece.len() >= LARGE {
            piece.len()
        } else if piece.len() <= free {
            0
        } else {
            self.room(piece) - free
        }
    }

    /// How much room is made for a small one. A body that is one small piece takes no more than it is.
    fn room(&self, piece: &Bytes) -> usize {
        if self.tail.is_empty() { piece.len() } else { piece.len().max(STEP) }
    }

    fn push(&mut self, piece: &Bytes) {
        if piece.len() >= LARGE {
            self.finish();
            self.done.push(piece.clone());
            return;
        }
        if self.tail.capacity() - self.tail.len() < piece.len() {
            self.tail.reserve_exact(self.room(piece));
        }
        self.tail.extend_from_slice(piece);
    }

    /// How many there are to be handed on.
    fn all(&self) -> usize {
        self.done.len() + usize::from(self.trailers.is_some())
    }

    /// The small ones are handed on like a large one from here on.
    fn finish(&mut self) {
        if !self.tail.is_empty() {
            self.done.push(std::mem::take(&mut self.tail).into());
        }
    }
}

struct Source {
    incoming: Incoming,
    client: Arc<Client>,
    pieces: Pieces,
    /// What they were allowed to hold.
    bytes: usize,
    /// Something was handed on that is not kept.
    lost: bool,
    /// Nobody will want it from its beginning any more.
    is_settled: bool,
    /// Whoever gets it has got all that is kept.
    is_caught_up: bool,
}

impl Kept {
    pub fn new(incoming: Incoming, client: &Arc<Client>) -> Self {
        if !incoming.is_end_stream() {
            client.set_upload(Upload::Running);
        }
        let client = client.clone();
        Self(Arc::new(Mutex::new(Source {
            incoming,
            client,
            pieces: Pieces::default(),
            bytes: 0,
            lost: false,
            is_settled: false,
            is_caught_up: false,
        })))
    }

    /// Nobody will want it from its beginning any more.
    pub fn settle(&self) {
        let mut source = self.source();
        source.is_settled = true;
        // Whoever is still being given what is kept needs it.
        if source.is_caught_up {
            source.lose();
        }
    }

    /// The whole of it, for one more worker. Only one is to be sent at a time.
    pub fn send(&self) -> Sending {
        let mut source = self.source();
        source.pieces.finish();
        source.is_caught_up = false;
        Sending { kept: self.clone(), next: 0 }
    }

    /// All of it, for somebody else; `None`: it is not all there, or was not all kept.
    pub fn copy(&self) -> Option<Pieced> {
        let source = self.source();
        let is_there = source.client.upload_is(Upload::Done) || source.incoming.is_end_stream();
        if source.lost || !is_there {
            return None;
        }
        let tail = Some(&source.pieces.tail).filter(|tail| !tail.is_empty());
        let tail = tail.map(|tail| Bytes::copy_from_slice(tail));
        Some(Pieced(source.pieces.done.iter().cloned().chain(tail).collect()))
    }

    /// Whether it can be sent from its beginning.
    pub fn is_whole(&self) -> bool {
        !self.source().lost
    }

    fn source(&self) -> MutexGuard<'_, Source> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Source {
    fn keep(&mut self, frame: &Frame<Bytes>) {
        match (frame.data_ref(), frame.trailers_ref()) {
            (Some(piece), _) if self.make_room(self.pieces.cost(piece)) => self.pieces.push(piece),
            (_, Some(trailers)) if self.make_room(size(trailers)) => {
                self.pieces.trailers = Some(trailers.clone());
            }
            _ => self.lose(),
        }
    }

    fn make_room(&mut self, bytes: usize) -> bool {
        let (core, limits) = (&self.client.core, &self.client.core.config.limits);
        let fits = !self.lost
            && self.bytes + bytes <= limits.kept_bytes_per_request_max
            && core.kept_bytes.load(Ordering::Relaxed) + bytes <= limits.kept_bytes_max;
        if fits {
            self.bytes += bytes;
            core.kept_bytes.fetch_add(bytes, Ordering::Relaxed);
        }
        fits
    }

    fn lose(&mut self) {
        self.lost = true;
        self.pieces = Pieces::default();
        self.client.core.kept_bytes.fetch_sub(std::mem::take(&mut self.bytes), Ordering::Relaxed);
    }
}

/// About how much memory trailers hold.
fn size(trailers: &HeaderMap) -> usize {
    trailers.iter().map(|(name, value)| name.as_str().len() + value.len() + FIELD).sum()
}

/// What a field takes besides its text.
const FIELD: usize = 64;

impl Drop for Source {
    fn drop(&mut self) {
        self.lose();
        // Whoever drops it wants no more of it.
        if self.client.upload_is(Upload::Running) {
            self.client.set_upload(Upload::Done);
        }
    }
}

impl Body for Sending {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = &mut *self;
        let mut source = this.kept.source();
        if let Some(piece) = source.pieces.done.get(this.next) {
            this.next += 1;
            return Poll::Ready(Some(Ok(Frame::data(piece.clone()))));
        }
        if let Some(trailers) = &source.pieces.trailers {
            if this.next > source.pieces.done.len() {
                return Poll::Ready(None);
            }
            this.next += 1;
            return Poll::Ready(Some(Ok(Frame::trailers(trailers.clone()))));
        }
        source.is_caught_up = true;
        if source.is_settled && !source.lost {
            source.lose();
        }
        let polled = Pin::new(&mut source.incoming).poll_frame(cx);
        source.client.body_awaited(polled.is_pending());
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                // Whoever gets one from the client has got all that was kept before, so the small ones need no place.
                source.keep(frame);
                this.next = source.pieces.all();
                source.client.upload_went_on();
                if frame.is_trailers() || source.incoming.is_end_stream() {
                    source.client.set_upload(Upload::Done);
                }
            }
            Poll::Ready(Some(Err(_))) => {
                source.client.set_upload(Upload::Failed);
                // There is no whole of it.
                source.lose();
            }
            Poll::Ready(None) => source.client.set_upload(Upload::Done),
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        let source = self.kept.source();
        self.next >= source.pieces.all() && source.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let source = self.kept.source();
        let again: usize = source.pieces.done.iter().skip(self.next).map(Bytes::len).sum();
        let mut hint = source.incoming.size_hint();
        let (lower, upper) = (hint.lower() + again as u64, hint.upper().map(|upper| upper + again as u64));
        hint = SizeHint::new();
        hint.set_lower(lower);
        if let Some(upper) = upper {
            hint.set_upper(upper);
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `bytes` costs when it comes in pieces of `size`, and what is held then.
    fn kept(bytes: &[u8], size: usize) -> (usize, Pieces) {
        let (mut cost, mut pieces) = (0, Pieces::default());
        for piece in bytes.chunks(size) {
            // As a read buffer that nothing else is in.
            let mut buffer = Vec::with_capacity(LARGE);
            buffer.extend_from_slice(piece);
            let piece = Bytes::from(buffer);
            cost += pieces.cost(&piece);
            pieces.push(&piece);
        }
        (cost, pieces)
    }

    #[test]
    fn small_pieces_cost_what_they_hold() {
        let body: Vec<u8> = (0..=255).cycle().take(64 << 10).collect();
        for size in [1, 100, 1_448, LARGE - 1, LARGE, 3 * LARGE, body.len()] {
            let (cost, mut pieces) = kept(&body, size);
            let held = pieces.tail.capacity() + pieces.done.iter().map(Bytes::len).sum::<usize>();
            assert!(held <= cost && cost < body.len() + LARGE, "{size}: {held} held, {cost} counted");
            pieces.finish();
            assert!(pieces.done.len() <= body.len() / size.max(LARGE) + 2, "{size}: {}", pieces.done.len());
            assert!(pieces.done.concat() == body, "{size}");
        }
        assert_eq!(kept(b"abc", 3).0, 3);
        assert_eq!(kept(b"", 1).0, 0);
    }

    #[test]
    fn the_order_is_kept_between_small_and_large_ones() {
        let (mut pieces, large) = (Pieces::default(), Bytes::from(vec![b'x'; LARGE]));
        for piece in [&b"a"[..], b"b", &large, b"c", &large, b"d"] {
            pieces.push(&Bytes::copy_from_slice(piece));
        }
        pieces.finish();
        assert_eq!(pieces.done, [&b"ab"[..], &large, b"c", &large, b"d"]);
    }
}
