//! An answer on its way to a client whose socket is not ours.
//!
//! Whether the client takes it shows in whether more of it is asked for. Nobody is polled while a client does not, so
//! it is the sweep of deadlines that notices, and the connection that is told.

use crate::{
    client::Client,
    core::{Core, Stage},
    http1::{AnswerBody, AnswerError},
};
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use std::{
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Poll, Wake, Waker},
};
use tokio::sync::Notify;

/// Most bytes that are handed on at once: a client is to be slow, not to stand still, until it has taken a large one.
const PIECE_MAX: usize = 16 << 10;

/// The body.
pub struct InletBody {
    body: AnswerBody,
    /// What is left of the last piece.
    rest: Bytes,
    client: Arc<Client>,
}

impl InletBody {
    pub(crate) fn new(body: AnswerBody, client: &Arc<Client>, cut: Arc<Notify>) -> Self {
        let (core, place) = (Arc::downgrade(&client.core), client.watch.place());
        client.watch.arm(client.core.spans.stall);
        client.watch.register(&Waker::from(Arc::new(Alarm { core, place, cut })));
        Self { body, rest: Bytes::new(), client: client.clone() }
    }

    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, AnswerError>>> {
        if self.rest.is_empty() {
            let polled = Pin::new(&mut self.body).poll_frame(cx);
            let Poll::Ready(Some(Ok(frame))) = polled else { return polled };
            match frame.into_data() {
                Ok(data) => self.rest = data,
                Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
            }
        }
        let piece = self.rest.split_to(self.rest.len().min(PIECE_MAX));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }
}

impl Body for InletBody {
    type Data = Bytes;
    type Error = AnswerError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, AnswerError>>> {
        let polled = self.poll_more(cx);
        if polled.is_ready() {
            self.client.watch.arm(self.client.core.spans.stall);
        } else {
            // It is the worker that is awaited.
            self.client.watch.disarm();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (hint, rest) = (self.body.size_hint(), self.rest.len() as u64);
        let mut with_rest = SizeHint::new();
        with_rest.set_lower(hint.lower() + rest);
        if let Some(upper) = hint.upper() {
            with_rest.set_upper(upper + rest);
        }
        with_rest
    }
}

impl Drop for InletBody {
    fn drop(&mut self) {
        // The connection is not ours, and may go on.
        self.client.watch.deregister();
    }
}

/// Is woken by the sweep, and tells the connection.
struct Alarm {
    core: Weak<Core>,
    place: u32,
    cut: Arc<Notify>,
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        let Some(core) = self.core.upgrade() else { return };
        if core.is(Stage::Halted) || core.deadlines.is_due(self.place) {
            self.cut.notify_one();
        }
    }
}
