//! An answer's body on its way from a worker.

use super::Place;
use bytes::Bytes;
use h2::RecvStream;
use hyper::body::{Frame, SizeHint};
use std::task::{Context, Poll, ready};
use tokio::sync::oneshot;

/// The body. Whoever drops it before its end resets the stream: the worker stops sending what nobody reads.
pub(crate) struct Answer {
    // In this order: a stream that is dropped before its end has to be reset before its place is given to another.
    body: RecvStream,
    stage: Stage,
    /// The request's body, if it is still on its way.
    upload: Option<oneshot::Sender<Place>>,
    place: Option<Place>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Data,
    Trailers,
    Over,
}

impl Answer {
    pub fn new(body: RecvStream, place: Place, upload: Option<oneshot::Sender<Place>>) -> Self {
        Self { body, stage: Stage::Data, upload, place: Some(place) }
    }

    pub fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
        now: u32,
    ) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        if self.stage == Stage::Data {
            match ready!(self.body.poll_data(cx)) {
                Some(Ok(piece)) => {
                    // Fails for a stream that is over: then there is nobody to make room for.
                    let _ = self.body.flow_control().release_capacity(piece.len());
                    if let Some(place) = &self.place {
                        place.link.heard(now);
                    }
                    return Poll::Ready(Some(Ok(Frame::data(piece))));
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => self.stage = Stage::Trailers,
            }
        }
        if self.stage == Stage::Over {
            return Poll::Ready(None);
        }
        let trailers = ready!(self.body.poll_trailers(cx));
        self.stage = Stage::Over;
        match trailers {
            Ok(trailers) => {
                self.finish();
                Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))))
            }
            Err(error) => Poll::Ready(Some(Err(error))),
        }
    }

    /// It was read to its end.
    pub fn finish(&mut self) {
        let Some(place) = self.place.take() else { return };
        match self.upload.take() {
            // If the request's body is through meanwhile, the place comes back, and is free.
            Some(upload) => drop(upload.send(place)),
            None => drop(place),
        }
    }

    pub fn is_end_stream(&self) -> bool {
        self.stage == Stage::Over || self.body.is_end_stream()
    }

    pub fn size_hint(&self) -> SizeHint {
        if self.body.is_end_stream() { SizeHint::with_exact(0) } else { SizeHint::default() }
    }
}
