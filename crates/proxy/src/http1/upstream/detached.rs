//! An answer that came before its request was sent to the end.
//!
//! Its body is polled only while the client takes it, and a client may take it only after it has sent all. So the rest
//! of the request is sent by a task of its own. Such a connection is not used again.

use super::{Upstream, WireError};
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use std::{
    future::poll_fn,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

/// The answer's part of the connection. Dropped before its end, it takes the connection along.
pub(crate) struct Detached(Arc<Mutex<Shared>>);

struct Shared {
    /// `None`: it is gone.
    upstream: Option<Upstream>,
    /// What the request's body ended with, if that was an error.
    failed: Option<WireError>,
    /// Who sends, and who reads.
    sender: Option<Waker>,
    reader: Option<Waker>,
}

impl Upstream {
    /// Sends the rest of the request in a task of its own.
    pub fn detach(self) -> Detached {
        let shared = Shared { upstream: Some(self), failed: None, sender: None, reader: None };
        let shared = Arc::new(Mutex::new(shared));
        let sending = shared.clone();
        quorate_rt::spawn(async move { poll_fn(|cx| lock(&sending).poll_send(cx)).await });
        Detached(shared)
    }
}

impl Shared {
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(upstream) = &mut self.upstream else { return Poll::Ready(()) };
        match upstream.0.wire.poll_send(cx) {
            // The answer is over, and so is the connection: nobody hears the rest.
            Poll::Pending if upstream.is_over() && upstream.0.wire.poll_stray(cx).is_ready() => {
                self.upstream = None;
                Poll::Ready(())
            }
            Poll::Pending => {
                self.sender = Some(cx.waker().clone());
                Poll::Pending
            }
            Poll::Ready(Ok(())) => Poll::Ready(()),
            Poll::Ready(Err(error)) => {
                (self.failed, self.upstream) = (Some(error), None);
                wake(&mut self.reader);
                Poll::Ready(())
            }
        }
    }
}

impl Detached {
    pub fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, WireError>>> {
        let mut shared = lock(&self.0);
        if let Some(error) = shared.failed.take() {
            return Poll::Ready(Some(Err(error)));
        }
        let Some(upstream) = &mut shared.upstream else { return Poll::Ready(None) };
        let polled = upstream.0.wire.poll_read_frame(cx);
        if polled.is_pending() {
            shared.reader = Some(cx.waker().clone());
        }
        polled
    }

    pub fn is_over(&self) -> bool {
        lock(&self.0).upstream.as_ref().is_some_and(Upstream::is_over)
    }

    pub fn size_hint(&self) -> SizeHint {
        lock(&self.0).upstream.as_ref().map_or_else(SizeHint::default, Upstream::size_hint)
    }
}

impl Drop for Detached {
    fn drop(&mut self) {
        let mut shared = lock(&self.0);
        // A worker that has answered may still want to hear the rest; from here on the sender sees whether it does.
        if !shared.upstream.as_ref().is_some_and(Upstream::is_over) {
            shared.upstream = None;
        }
        wake(&mut shared.sender);
    }
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
