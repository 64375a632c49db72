//! A connection to a worker.
//!
//! The codec is our own ([`wire`]): an answer is read by the task that asked, straight from the socket, with nothing in
//! between. Why not hyper's client: docs/decisions/0016-own-http1-towards-workers.md.

mod chunks;
mod detached;
mod error;
mod head;
mod request;
mod sending;
#[cfg(test)]
mod tests;
mod wire;

pub(crate) use detached::Detached;
pub use error::WireError;
pub(crate) use request::Ask;

use super::{RequestBody, socket::WorkerSocket};
use crate::{deadline::Watch, pool::Counted};
use bytes::Bytes;
use http::Response;
use hyper::body::{Frame, SizeHint};
use std::{
    future::poll_fn,
    task::{Context, Poll, Waker},
};
use wire::{NoHead, Wire};

/// An open connection. Boxed as a whole, so that taking it from the pool and putting it back moves one pointer.
pub(crate) struct Upstream(Box<Halves>);

struct Halves {
    wire: Wire<WorkerSocket, RequestBody>,
    counted: Counted,
}

/// Why there is no answer.
pub(crate) enum Broken {
    /// The connection was dead before anything was written; here is the request's body, untouched.
    Unsent(RequestBody),
    /// It died, or garbled, after something may have been written.
    Died(WireError),
    /// No head of an answer in time.
    TimedOut,
}

impl Upstream {
    /// Makes a connection of a socket. Sends nothing yet.
    pub fn new(socket: WorkerSocket, header_bytes_max: usize, counted: Counted) -> Self {
        Self(Box::new(Halves { wire: Wire::new(socket, header_bytes_max), counted }))
    }

    /// Takes a request, which [`Upstream::answer`] sends.
    pub fn ask(&mut self, ask: &Ask<'_>, body: RequestBody) {
        self.0.wire.ask(ask, body);
    }

    /// Sends the request and waits for the head of its answer, or until `watch` is due. It has no body yet: that is
    /// read here, by [`Upstream::take_whole`] or [`Upstream::poll_frame`].
    pub async fn answer(&mut self, watch: &Watch) -> Result<Response<()>, Broken> {
        let wire = &mut self.0.wire;
        poll_fn(|cx| match wire.poll_head(cx) {
            Poll::Ready(Ok(response)) => Poll::Ready(Ok(response)),
            Poll::Ready(Err(NoHead::Unsent)) => {
                let body = wire.take_body().unwrap_or(RequestBody::Empty);
                Poll::Ready(Err(Broken::Unsent(body)))
            }
            Poll::Ready(Err(NoHead::Died(error))) => Poll::Ready(Err(Broken::Died(error))),
            Poll::Pending if watch.is_due() => Poll::Ready(Err(Broken::TimedOut)),
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    /// The answer's body, if all of it came with the head and its length was said.
    pub fn take_whole(&mut self) -> Option<Bytes> {
        self.0.wire.take_whole()
    }

    /// The answer's body as it comes. What is left of the request's is sent meanwhile.
    pub fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, WireError>>> {
        self.0.wire.poll_frame(cx)
    }

    /// Whether some of the request is still to be written.
    pub fn is_sending(&self) -> bool {
        self.0.wire.is_sending()
    }

    /// Whether the answer was read to its end.
    pub fn is_over(&self) -> bool {
        self.0.wire.is_over()
    }

    /// What is known of the length of what is left of the answer.
    pub fn size_hint(&self) -> SizeHint {
        self.0.wire.size_hint()
    }

    /// Of a tunnel: the epoch of the one that it was opened by.
    pub fn era(&self) -> u64 {
        self.0.counted.era()
    }

    /// Whether it could take another request now: the last answer was read to its end, and both sides want to go
    /// on.
    pub fn is_idle(&self) -> bool {
        self.0.wire.is_idle()
    }

    /// Lets go of the task that used it last, and sees whether the worker closed it meanwhile.
    pub fn rest(&mut self) -> Rested {
        let is_quiet = self.is_idle() && self.0.wire.poll_stray(&mut quiet()).is_pending();
        if is_quiet { Rested::Idle } else { Rested::Unusable }
    }

    /// After a worker's 101: the socket, and what was read from it beyond the answer's head.
    pub async fn into_socket(mut self) -> (WorkerSocket, Bytes) {
        // A worker may have agreed before it had read the whole head. If that fails, the socket says so once more.
        let _ = poll_fn(|cx| self.0.wire.poll_send(cx)).await;
        self.0.wire.into_parts()
    }
}

/// What [`Upstream::rest`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rested {
    /// Ready for another request.
    Idle,
    /// Closed, or in the middle of something.
    Unusable,
}

/// For a look at what nobody waits for.
pub(crate) fn quiet() -> Context<'static> {
    Context::from_waker(Waker::noop())
}
