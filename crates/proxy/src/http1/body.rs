//! Bodies. They stream: at no time is more of one in memory than a connection's buffers.

use super::{
    Upstream, WireError,
    call::Followers,
    kept::{Pieced, Sending},
    upstream::Detached,
};
use crate::{
    client::{Client, Upload},
    destination::Ticket,
    http2::upstream::Answer,
    pool::Endpoint,
    ramps::CountedCall,
};
use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use quorate_rt::planted::{self, Bug};
use quorate_telemetry::{OpenCall, events::AnswerCut};
use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

/// A request's body on its way to a worker.
pub(crate) enum RequestBody {
    /// None.
    Empty,
    /// As it comes from the client.
    Stream(Uploading),
    /// The same, and kept for another try.
    Kept(Sending),
    /// A copy of what another destination got.
    Copy(Pieced),
}

/// A body that is under way.
pub(crate) struct Uploading {
    incoming: Incoming,
    client: Arc<Client>,
}

impl RequestBody {
    pub fn new(incoming: Incoming, client: &Arc<Client>) -> Self {
        if incoming.is_end_stream() {
            return Self::Empty;
        }
        client.set_upload(Upload::Running);
        Self::Stream(Uploading { incoming, client: client.clone() })
    }
}

impl Drop for Uploading {
    fn drop(&mut self) {
        // Whoever drops it wants no more of it.
        if self.client.upload_is(Upload::Running) {
            self.client.set_upload(Upload::Done);
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let body = match &mut *self {
            Self::Empty => return Poll::Ready(None),
            Self::Kept(body) => return Pin::new(body).poll_frame(cx),
            Self::Copy(body) => return Pin::new(body).poll_frame(cx),
            Self::Stream(body) => body,
        };
        let polled = Pin::new(&mut body.incoming).poll_frame(cx);
        body.client.body_awaited(polled.is_pending());
        match &polled {
            Poll::Ready(Some(Ok(_))) => body.client.upload_went_on(),
            Poll::Ready(Some(Err(_))) => body.client.set_upload(Upload::Failed),
            Poll::Ready(None) | Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Stream(body) => body.incoming.is_end_stream(),
            Self::Kept(body) => body.is_end_stream(),
            Self::Copy(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Stream(body) => body.incoming.size_hint(),
            Self::Kept(body) => body.size_hint(),
            Self::Copy(body) => body.size_hint(),
        }
    }
}

/// Why an answer broke off. What the worker said on HTTP/2 is found among the causes, and passed on.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// HTTP/1.1.
    #[error("{0}")]
    Http1(#[source] WireError),
    /// HTTP/2.
    #[error("{0}")]
    Http2(#[source] h2::Error),
}

/// An answer's body on its way to a client.
pub struct AnswerBody {
    content: Content,
    client: Arc<Client>,
    /// Of a call of gRPC: who is to be told of its code, if that is not known yet.
    call: Option<Box<Followers>>,
}

enum Content {
    /// Made here, or from a worker and all there.
    Whole(Option<Bytes>),
    /// From a worker, and on its way.
    Arriving(Box<Arriving>),
}

struct Arriving {
    from: From,
    endpoint: Arc<Endpoint>,
    /// The worker has it until its answer is read.
    ticket: Option<Ticket>,
    failed: Option<AnswerError>,
}

enum From {
    /// A connection of its own.
    Own(Upstream),
    /// The same, while the request is still being sent.
    Detached(Detached),
    /// A connection that was given back; the body is over.
    GivenBack,
    /// A connection that broke.
    Broken,
    /// A shared connection.
    Shared(Answer),
}

impl AnswerBody {
    /// Made here.
    pub(crate) fn own(bytes: Bytes, client: &Arc<Client>) -> Self {
        Self::whole(bytes, client)
    }

    fn whole(bytes: Bytes, client: &Arc<Client>) -> Self {
        let content = Content::Whole(Some(bytes).filter(|b| !b.is_empty()));
        Self { content, client: client.clone(), call: None }
    }

    /// Sees to it that a call is counted by what its trailers say.
    pub(crate) fn follow(&mut self, call: OpenCall) {
        self.told(|followers| followers.metrics = Some(call));
    }

    /// The same, for the ramp that has led it here.
    pub(crate) fn count(&mut self, call: CountedCall) {
        self.told(|followers| followers.ramp = Some(call));
    }

    fn told(&mut self, add: impl FnOnce(&mut Followers)) {
        if self.is_arriving() {
            add(self.call.get_or_insert_default());
        } else {
            // No trailers are behind it.
            let mut followers = Followers::default();
            add(&mut followers);
            followers.ends();
        }
    }

    /// From a worker. The connection goes back to the pool as soon as it has no more part in the body: for a
    /// small one, which came with its head, that is now.
    pub(crate) fn from_worker(
        mut upstream: Upstream,
        (endpoint, ticket): (&Arc<Endpoint>, Ticket),
        client: &Arc<Client>,
    ) -> Self {
        let whole = upstream.take_whole();
        let from = if upstream.is_sending() {
            // The worker answers before it has heard all: it is sent the rest all the same, also where the client has
            // sent it already.
            From::Detached(upstream.detach())
        } else if whole.is_some() {
            endpoint.put(upstream, client.core.deadlines.now());
            From::GivenBack
        } else {
            From::Own(upstream)
        };
        match whole {
            Some(bytes) => Self::whole(bytes, client),
            None => Self::arriving(from, (endpoint, ticket), client),
        }
    }

    /// From a worker, on a shared connection.
    pub(crate) fn from_shared(
        mut answer: Answer,
        (endpoint, ticket): (&Arc<Endpoint>, Ticket),
        client: &Arc<Client>,
    ) -> Self {
        if answer.is_end_stream() {
            answer.finish();
            return Self::own(Bytes::new(), client);
        }
        Self::arriving(From::Shared(answer), (endpoint, ticket), client)
    }

    /// Whether the connection that it comes on is still taken by it.
    pub(crate) fn is_arriving(&self) -> bool {
        matches!(self.content, Content::Arriving(_))
    }

    fn arriving(from: From, (endpoint, ticket): (&Arc<Endpoint>, Ticket), client: &Arc<Client>) -> Self {
        let arriving = Arriving { from, endpoint: endpoint.clone(), ticket: Some(ticket), failed: None };
        Self { content: Content::Arriving(Box::new(arriving)), client: client.clone(), call: None }
    }
}

impl Arriving {
    fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
        client: &Client,
    ) -> Poll<Option<Result<Frame<Bytes>, AnswerError>>> {
        if let Some(error) = self.failed.take() {
            return Poll::Ready(Some(Err(error)));
        }
        let polled = self.from.poll_frame(cx, client);
        if let Poll::Ready(Some(Ok(_))) = &polled {
            client.answer_went_on();
        }
        match polled {
            Poll::Ready(None) => {
                self.release(client);
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(_))) if planted::is(Bug::CutPassesForWhole) => Poll::Ready(None),
            Poll::Ready(Some(Err(error))) => {
                AnswerCut { worker: self.endpoint.address.as_str(), error: &error }
                    .emit(&client.core.counters);
                if matches!(self.from, From::Own(_) | From::Detached(_)) {
                    self.from = From::Broken;
                }
                // Not at once: an error ends the client's connection with all that is still in its buffer, and
                // the client should see how far the answer came.
                self.failed = Some(error);
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            other => other,
        }
    }

    /// Back to the pool, if the answer was read to its end.
    fn release(&mut self, client: &Client) {
        self.ticket = None;
        if let From::Shared(answer) = &mut self.from {
            return answer.finish();
        }
        if let From::Own(upstream) = std::mem::replace(&mut self.from, From::GivenBack) {
            self.endpoint.put(upstream, client.core.deadlines.now());
        }
    }
}

impl From {
    fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
        client: &Client,
    ) -> Poll<Option<Result<Frame<Bytes>, AnswerError>>> {
        match self {
            Self::Own(upstream) => upstream.poll_frame(cx).map_err(AnswerError::Http1),
            Self::Detached(detached) => detached.poll_frame(cx).map_err(AnswerError::Http1),
            Self::GivenBack | Self::Broken => Poll::Ready(None),
            Self::Shared(answer) => {
                answer.poll_frame(cx, client.core.deadlines.now()).map_err(AnswerError::Http2)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Own(upstream) => upstream.is_over(),
            Self::Detached(detached) => detached.is_over(),
            Self::GivenBack => true,
            Self::Broken => false,
            Self::Shared(answer) => answer.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Own(upstream) => upstream.size_hint(),
            Self::Detached(detached) => detached.size_hint(),
            Self::GivenBack => SizeHint::with_exact(0),
            Self::Broken => SizeHint::default(),
            Self::Shared(answer) => answer.size_hint(),
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = AnswerError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, AnswerError>>> {
        let this = &mut *self;
        match &mut this.content {
            Content::Whole(bytes) => Poll::Ready(bytes.take().map(|b| Ok(Frame::data(b)))),
            Content::Arriving(arriving) => {
                let polled = arriving.poll_frame(cx, &this.client);
                if let Some(call) = &mut this.call {
                    call.heed(&polled);
                }
                polled
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Whole(bytes) => bytes.is_none(),
            Content::Arriving(arriving) => arriving.from.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64)),
            Content::Arriving(arriving) => arriving.from.size_hint(),
        }
    }
}

impl Drop for AnswerBody {
    fn drop(&mut self) {
        if let Content::Arriving(arriving) = &mut self.content
            && arriving.from.is_end_stream()
        {
            // hyper asks no further once it knows that a frame was the last.
            arriving.release(&self.client);
            if let Some(call) = &mut self.call {
                call.ends();
            }
        }
        self.client.answered();
    }
}
