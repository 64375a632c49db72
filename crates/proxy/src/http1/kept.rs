//! A request's body that is kept while it streams, so that it can be sent to another worker.
//!
//! Keeping costs no copy: what is kept are references to the pieces as they came. It is bounded for each request and
//! for all of a core together; a body that does not fit streams on and is not kept any more.

use crate::client::{Client, Upload};
use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use std::{
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
    /// How many of the kept pieces it has handed on.
    next: usize,
}

struct Source {
    incoming: Incoming,
    client: Arc<Client>,
    pieces: Vec<Bytes>,
    bytes: usize,
    /// Something was handed on that is not kept.
    lost: bool,
}

impl Kept {
    pub fn new(incoming: Incoming, client: &Arc<Client>) -> Self {
        client.set_upload(Upload::Running);
        let client = client.clone();
        Self(Arc::new(Mutex::new(Source { incoming, client, pieces: Vec::new(), bytes: 0, lost: false })))
    }

    /// The whole of it, for one more worker. Only one is to be sent at a time.
    pub fn send(&self) -> Sending {
        Sending { kept: self.clone(), next: 0 }
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
        let piece = frame.data_ref().filter(|piece| self.make_room(piece.len()));
        match piece {
            Some(piece) => self.pieces.push(piece.clone()),
            // Trailers are not kept either: few send them, and nobody to a service.
            None => self.lose(),
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
        self.pieces = Vec::new();
        self.client.core.kept_bytes.fetch_sub(std::mem::take(&mut self.bytes), Ordering::Relaxed);
    }
}

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
        if let Some(piece) = source.pieces.get(this.next) {
            this.next += 1;
            return Poll::Ready(Some(Ok(Frame::data(piece.clone()))));
        }
        let polled = Pin::new(&mut source.incoming).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                source.keep(frame);
                this.next += 1;
                source.client.upload_went_on();
                if source.incoming.is_end_stream() {
                    source.client.set_upload(Upload::Done);
                }
            }
            Poll::Ready(Some(Err(_))) => source.client.set_upload(Upload::Failed),
            Poll::Ready(None) => source.client.set_upload(Upload::Done),
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        let source = self.kept.source();
        self.next >= source.pieces.len() && source.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let source = self.kept.source();
        let again: usize = source.pieces.iter().skip(self.next).map(Bytes::len).sum();
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
