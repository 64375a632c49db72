//! An answer's body on its way to a client whose socket is not its own.
//!
//! Whether the client takes it shows in whether more of it is asked for. So it is handed on in pieces, and time runs
//! from each piece until the next one is asked for.

use crate::{
    client::Client,
    http1::{AnswerBody, AnswerError},
};
use bytes::Bytes;
use http::Method;
use hyper::body::{Body, Frame, SizeHint};
use quorate_rt::planted::{self, Bug};
use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

/// Most bytes that are handed on at once: a client is to be slow, not to stand still, until it has taken a large one.
const PIECE_MAX: usize = 16 << 10;

/// The body.
pub(crate) struct PiecedBody {
    /// `None`: the answer is to `HEAD`.
    body: Option<AnswerBody>,
    /// What is left of the last piece.
    rest: Bytes,
    /// The end was handed on. A body of unknown length says so only once.
    ended: bool,
    client: Arc<Client>,
}

impl PiecedBody {
    pub fn new(body: AnswerBody, client: &Arc<Client>) -> Self {
        Self { body: Some(body), rest: Bytes::new(), ended: false, client: client.clone() }
    }

    /// The body of the answer to a request with `method`: HTTP/2 leaves it to us that `HEAD` has none.
    pub fn to(method: &Method, body: AnswerBody, client: &Arc<Client>) -> Self {
        let body = Some(body).filter(|_| method != Method::HEAD);
        Self { body, rest: Bytes::new(), ended: false, client: client.clone() }
    }

    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, AnswerError>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        if self.rest.is_empty() {
            let polled = Pin::new(body).poll_frame(cx);
            let Poll::Ready(Some(Ok(frame))) = polled else { return polled };
            match frame.into_data() {
                Ok(data) => self.rest = data,
                Err(_) if planted::is(Bug::TrailersLost) => return Poll::Ready(None),
                Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
            }
        }
        let piece = self.rest.split_to(self.rest.len().min(PIECE_MAX));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }
}

impl Body for PiecedBody {
    type Data = Bytes;
    type Error = AnswerError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, AnswerError>>> {
        let polled = self.poll_more(cx);
        self.ended |= ends(&polled);
        match &polled {
            Poll::Ready(_) => self.client.piece_given(),
            Poll::Pending => self.client.piece_awaited(),
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let hint = self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint);
        let rest = self.rest.len() as u64;
        let mut with_rest = SizeHint::new();
        with_rest.set_lower(hint.lower() + rest);
        if let Some(upper) = hint.upper() {
            with_rest.set_upper(upper + rest);
        }
        with_rest
    }
}

impl Drop for PiecedBody {
    fn drop(&mut self) {
        if self.ended || self.is_end_stream() {
            self.client.answer_ended();
        }
    }
}

/// Whether this was the last that a body has: nothing follows trailers.
fn ends<E>(polled: &Poll<Option<Result<Frame<Bytes>, E>>>) -> bool {
    match polled {
        Poll::Ready(None) => true,
        Poll::Ready(Some(Ok(frame))) => frame.is_trailers(),
        Poll::Ready(Some(Err(_))) | Poll::Pending => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderMap;

    #[test]
    fn a_body_of_unknown_length_ends_with_nothing_or_with_trailers() {
        let frame = |frame| Poll::Ready(Some(Ok::<_, ()>(frame)));
        assert!(ends::<()>(&Poll::Ready(None)));
        assert!(ends(&frame(Frame::trailers(HeaderMap::new()))));
        assert!(!ends(&frame(Frame::data(Bytes::from_static(b"x")))));
        assert!(!ends(&Poll::Ready(Some(Err(())))) && !ends::<()>(&Poll::Pending));
    }
}
