//! An answer on its way to a client whose socket is not ours.
//!
//! Whether the client takes it shows in whether more of it is asked for. Nobody is polled while a client does not, so
//! it is the sweep of deadlines that notices, and the connection that is told.

use crate::{
    client::Client,
    core::{Core, Stage},
    http1::{AnswerBody, AnswerError},
    http2::body::PiecedBody,
};
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use std::{
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Poll, Wake, Waker},
};
use tokio::sync::Notify;

/// The body.
pub struct InletBody {
    body: PiecedBody,
    client: Arc<Client>,
}

impl InletBody {
    pub(crate) fn new(body: AnswerBody, client: &Arc<Client>, cut: Arc<Notify>) -> Self {
        let (core, place) = (Arc::downgrade(&client.core), client.watch.place());
        client.watch.arm(client.core.spans.stall);
        client.watch.register(&Waker::from(Arc::new(Alarm { core, place, cut })));
        Self { body: PiecedBody::new(body, client), client: client.clone() }
    }
}

impl Body for InletBody {
    type Data = Bytes;
    type Error = AnswerError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, AnswerError>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
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
