//! A request's body on its way to a worker.

use super::Place;
use crate::{
    deadline::{Deadlines, Watch},
    http1::RequestBody,
};
use bytes::Bytes;
use h2::{Reason, SendStream};
use hyper::body::Body;
use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::sync::oneshot;

/// Sends a body as fast as the worker takes it, at most one piece ahead.
pub(crate) struct Upload {
    body: RequestBody,
    stream: SendStream<Bytes>,
    /// A piece that waits for the worker's window, and whether it is the last.
    piece: Option<(Bytes, bool)>,
    /// How many the worker took.
    taken: u64,
}

/// Why no more of it is sent.
pub(crate) enum Halt {
    /// The client broke off, or garbled it.
    Client(hyper::Error),
    /// The worker wants no more; it says by its answer why.
    Worker,
}

impl Upload {
    pub fn new(body: RequestBody, stream: SendStream<Bytes>) -> Self {
        Self { body, stream, piece: None, taken: 0 }
    }

    /// `Ready(Ok)`: all of it is on its way.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Halt>> {
        loop {
            if self.stream.poll_reset(cx).is_ready() {
                return Poll::Ready(Err(Halt::Worker));
            }
            if let Some((piece, is_last)) = ready!(self.poll_room(cx))? {
                self.stream.send_data(piece, is_last).map_err(|_| Halt::Worker)?;
                self.taken = self.taken.wrapping_add(1);
                if is_last {
                    return Poll::Ready(Ok(()));
                }
            }
            let frame = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => frame,
                Some(Err(error)) => {
                    self.stream.send_reset(Reason::CANCEL);
                    return Poll::Ready(Err(Halt::Client(error)));
                }
                None => {
                    return Poll::Ready(self.stream.send_data(Bytes::new(), true).map_err(|_| Halt::Worker));
                }
            };
            match frame.into_data() {
                Ok(piece) => {
                    let is_last = self.body.is_end_stream();
                    if !piece.is_empty() || is_last {
                        self.piece = Some((piece, is_last));
                    }
                }
                Err(frame) => {
                    if let Ok(trailers) = frame.into_trailers() {
                        return Poll::Ready(self.stream.send_trailers(trailers).map_err(|_| Halt::Worker));
                    }
                }
            }
        }
    }

    /// The piece that waits, once there is room for the first byte of it. What of it does not fit yet waits in the
    /// stream: reserving room for all of it would keep others from theirs meanwhile.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<(Bytes, bool)>, Halt>> {
        let Some((piece, _)) = &self.piece else { return Poll::Ready(Ok(None)) };
        if !piece.is_empty() {
            self.stream.reserve_capacity(1);
            while self.stream.capacity() == 0 {
                match ready!(self.stream.poll_capacity(cx)) {
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return Poll::Ready(Err(Halt::Worker)),
                }
            }
        }
        Poll::Ready(Ok(self.piece.take()))
    }

    /// Goes on in a task of its own: the answer has begun, and a client may take it only after it has sent all. Through
    /// what is returned it is told that the answer was read to its end, and given the place then; without a word the
    /// answer was abandoned, and the body is too.
    ///
    /// Until the answer was read to its end its deadlines are the body's. From there on nobody waits for anything, and
    /// what is left of the body is given up when none of it moved for `stall` ticks: it holds the client's place.
    pub fn detach(mut self, deadlines: Arc<Deadlines>, stall: u32) -> oneshot::Sender<Place> {
        let (sender, mut answered) = oneshot::channel();
        quorate_rt::spawn(async move {
            let mut place = None;
            let mut rest: Option<Rest> = None;
            poll_fn(|cx| {
                if place.is_none() {
                    match Pin::new(&mut answered).poll(cx) {
                        Poll::Ready(Ok(given)) => {
                            place = Some(given);
                            rest = Rest::begin(&deadlines, stall, self.taken, cx);
                            if rest.is_none() {
                                // No deadline is to be had: the core is full, and others need the place.
                                self.stream.send_reset(Reason::CANCEL);
                                return Poll::Ready(());
                            }
                        }
                        Poll::Ready(Err(_)) => {
                            self.stream.send_reset(Reason::CANCEL);
                            return Poll::Ready(());
                        }
                        Poll::Pending => {}
                    }
                }
                let polled = self.poll(cx).map(drop);
                if polled.is_pending() && rest.as_mut().is_some_and(|rest| rest.is_over(self.taken, cx)) {
                    self.stream.send_reset(Reason::CANCEL);
                    return Poll::Ready(());
                }
                polled
            })
            .await;
            // The stream first: its place is free when it is over.
            drop(self);
            drop(place);
        });
        sender
    }
}

/// The time of a body whose answer is over.
struct Rest {
    watch: Watch,
    stall: u32,
    /// How much had been taken when its time began.
    taken: u64,
}

impl Rest {
    fn begin(deadlines: &Arc<Deadlines>, stall: u32, taken: u64, cx: &Context<'_>) -> Option<Self> {
        let watch = deadlines.watch()?;
        watch.arm(stall);
        watch.register(cx.waker());
        Some(Self { watch, stall, taken })
    }

    /// Whether it is over; `taken` is how much was taken by now.
    fn is_over(&mut self, taken: u64, cx: &Context<'_>) -> bool {
        self.watch.register(cx.waker());
        if taken != self.taken {
            self.taken = taken;
            self.watch.arm(self.stall);
        }
        self.watch.is_due()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;

    #[test]
    fn what_moves_has_its_time_anew() {
        let (deadlines, cx) = (Deadlines::new(1), Context::from_waker(Waker::noop()));
        let mut rest = Rest::begin(&deadlines, 10, 3, &cx).expect("room");
        assert!(Rest::begin(&deadlines, 10, 3, &cx).is_none(), "full");
        deadlines.sweep(9);
        assert!(!rest.is_over(3, &cx));
        assert!(!rest.is_over(4, &cx), "a piece was taken");
        deadlines.sweep(18);
        assert!(!rest.is_over(4, &cx));
        deadlines.sweep(19);
        assert!(rest.is_over(4, &cx));
    }
}
