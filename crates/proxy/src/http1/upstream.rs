//! A connection to a worker.
//!
//! hyper's client is two halves joined by channels: a sender, and a connection that wants a task of its own. Here
//! both are polled by the one task that uses them. The rule that makes this sound: **the connection is polled
//! first, with the task's real waker; the sender's ends are polled second, with a waker that does nothing**. They
//! can only become ready because the connection was polled, and that has just happened; waking a task for what
//! it is about to look at anyway would run it twice.

use super::{RequestBody, socket::WorkerSocket};
use crate::{deadline::Watch, pool::Counted};
use bytes::Bytes;
use hyper::{
    Request, Response,
    body::Incoming,
    client::conn::http1::{Builder, Connection, Parts, SendRequest},
};
use hyper_util::rt::TokioIo;
use std::{
    future::{Future, poll_fn},
    mem,
    pin::pin,
    task::{Context, Poll, Waker},
};

/// An open connection. Boxed as a whole, so that taking it from the pool and putting it back moves one pointer.
pub(crate) struct Upstream(Box<Halves>);

struct Halves {
    sender: SendRequest<RequestBody>,
    connection: Life,
    counted: Counted,
}

/// What there is of a connection.
#[expect(clippy::large_enum_variant, reason = "boxed as a whole, and open nearly all its life")]
enum Life {
    Open(Connection<Io, RequestBody>),
    /// Over; what was left of it. The connection itself must be gone by then: dropping it is what gives a request
    /// back that it had not taken yet.
    Ended(Parts<Io>),
    /// Between the two.
    Ending,
}

type Io = TokioIo<WorkerSocket>;

/// Why there is no answer.
pub(crate) enum Broken {
    /// The connection was dead before anything was written; the request is untouched.
    Unsent(Box<Request<RequestBody>>),
    /// It died, or garbled, after something may have been written.
    Died(hyper::Error),
    /// No head of an answer in time.
    TimedOut,
}

impl Upstream {
    /// Makes a connection of a socket. Sends nothing yet.
    pub async fn new(socket: WorkerSocket, header_bytes_max: usize, counted: Counted) -> hyper::Result<Self> {
        let (sender, connection) = Builder::new()
            .max_header_size(header_bytes_max)
            .handshake::<_, RequestBody>(TokioIo::new(socket))
            .await?;
        Ok(Self(Box::new(Halves { sender, connection: Life::Open(connection), counted })))
    }

    /// Sends a request and waits for the head of its answer, or until `watch` is due.
    pub async fn exchange(
        &mut self,
        request: Request<RequestBody>,
        watch: &Watch,
    ) -> Result<Response<Incoming>, Broken> {
        let mut answer = pin!(self.0.sender.try_send_request(request));
        poll_fn(|cx| {
            self.poll_connection(cx);
            match answer.as_mut().poll(&mut quiet()) {
                Poll::Ready(Ok(response)) => Poll::Ready(Ok(response)),
                Poll::Ready(Err(mut error)) => Poll::Ready(Err(match error.take_message() {
                    Some(request) => Broken::Unsent(Box::new(request)),
                    None => Broken::Died(error.into_error()),
                })),
                Poll::Pending if watch.is_due() => Poll::Ready(Err(Broken::TimedOut)),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }

    /// Moves bytes; wakes the current task when there are more to move.
    pub fn poll_connection(&mut self, cx: &mut Context<'_>) {
        // Without the shutdown, since a worker's 101 also ends it, and then the socket lives on. What went wrong is
        // told through the answer or its body.
        let life = &mut self.0.connection;
        if let Life::Open(connection) = life
            && connection.poll_without_shutdown(cx).is_ready()
            && let Life::Open(connection) = mem::replace(life, Life::Ending)
        {
            *life = Life::Ended(connection.into_parts());
        }
    }

    /// Whether it could take another request now: the last answer was read to its end, and both sides want to go
    /// on.
    pub fn is_idle(&self) -> bool {
        matches!(self.0.connection, Life::Open(_)) && self.0.sender.is_ready()
    }

    /// Lets go of the task that used it last, and sees whether the worker closed it meanwhile.
    pub fn rest(&mut self) -> Rested {
        self.poll_connection(&mut quiet());
        if self.is_idle() { Rested::Idle } else { Rested::Unusable }
    }

    /// Goes on in a task of its own, until the answer is done. Not to be used for another request.
    pub fn detach(self) {
        let Halves { sender, connection, counted } = *self.0;
        if let Life::Open(connection) = connection {
            // This tells the connection that it was its last request.
            drop(sender);
            quorate_rt::spawn(async move {
                let _ = connection.await;
                drop(counted);
            });
        }
    }

    /// After a worker's 101: the socket, and what was read from it beyond the answer's head.
    pub async fn into_socket(mut self) -> (WorkerSocket, Bytes) {
        poll_fn(|cx| {
            self.poll_connection(cx);
            match mem::replace(&mut self.0.connection, Life::Ending) {
                Life::Ended(parts) => Poll::Ready((parts.io.into_inner(), parts.read_buf)),
                open => {
                    self.0.connection = open;
                    Poll::Pending
                }
            }
        })
        .await
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

/// For polling what the connection has just made ready, or not.
pub(crate) fn quiet() -> Context<'static> {
    Context::from_waker(Waker::noop())
}
