//! One connection to a worker, and whether it is still alive.
//!
//! A worker that is gone without a word (its machine lost power, its address moved) leaves connections on which nothing
//! ever comes back. So a silent connection is asked by a PING, and given up without an answer. **Not for ever, though:
//! at most [`PINGS_MAX`] times in one silence.** gRPC's servers count the PINGs that come while they send nothing, and
//! close the connection with all its calls at the third (`too_many_pings`); a call may rightly be silent for an hour.
//! After that the kernel's keep-alive probes, which no server counts, go on asking.

use crate::{config::Limits, deadline::ticks, http1::socket::WorkerSocket, pool::Counted};
use bytes::Bytes;
use h2::{
    Ping, PingPong,
    client::{Builder, Connection, SendRequest},
};
use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    task::{Context, Poll, Waker},
};

/// Most PINGs in one silence.
const PINGS_MAX: u8 = 2;
/// Most of them while nothing is asked of the worker: one is left for the next request.
const PINGS_IDLE_MAX: u8 = 1;

/// What a worker may send of one answer before we have passed on what came before.
const STREAM_WINDOW: u32 = 128 << 10;
/// Most bytes of one request's body that wait to be written.
const SEND_BUFFER: usize = 64 << 10;
/// How many streams that we reset are remembered, so that what is still under way on them is known to be late.
const RESETS_REMEMBERED: usize = 256;

/// Bounds of the connections to one worker, in ticks where they are times.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Most connections.
    pub links_max: usize,
    /// Most requests at once on each.
    pub streams_max: u32,
    /// Most requests that wait for a place.
    pub waiting_max: usize,
    /// A connection that was silent for so long is asked whether it is alive.
    pub ping_interval: u32,
    /// It has so long to say so.
    pub ping_timeout: u32,
}

impl Bounds {
    pub fn of(limits: &Limits) -> Self {
        Self {
            links_max: limits.worker_h2_connections_max.max(1),
            streams_max: limits.worker_h2_streams_max.max(1),
            waiting_max: limits.worker_waiting_max,
            ping_interval: ticks(limits.worker_ping_interval),
            ping_timeout: ticks(limits.worker_ping_timeout),
        }
    }
}

/// A connection that is not shared yet.
pub(crate) struct Fresh {
    sender: SendRequest<Bytes>,
    connection: Connection<WorkerSocket, Bytes>,
}

impl Fresh {
    /// Greets the worker, and waits for its greeting: only then it is known that it speaks HTTP/2, and how many
    /// requests it takes at once. No deadline of its own.
    pub async fn greet(socket: WorkerSocket, limits: &Limits) -> Result<Self, h2::Error> {
        let streams_max = limits.worker_h2_streams_max.max(1);
        // Room for all streams: else some clients that don't take their answers would hold up all the others.
        let window = STREAM_WINDOW.saturating_mul(streams_max).min(WINDOW_MAX);
        let (sender, mut connection) = Builder::new()
            .enable_push(false)
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(window)
            .max_send_buffer_size(SEND_BUFFER)
            .max_header_list_size(u32::try_from(limits.header_bytes_max).unwrap_or(u32::MAX))
            .max_concurrent_reset_streams(RESETS_REMEMBERED)
            // It is our clients that abandon answers, and a worker may still be sending them then.
            .max_local_error_reset_streams(None)
            .initial_max_send_streams(0)
            .handshake(socket)
            .await?;
        poll_fn(|cx| match Pin::new(&mut connection).poll(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) => Poll::Ready(Err(h2::Reason::CONNECT_ERROR.into())),
            Poll::Pending if connection.max_concurrent_send_streams() > 0 => Poll::Ready(Ok(())),
            Poll::Pending => Poll::Pending,
        })
        .await?;
        Ok(Self { sender, connection })
    }
}

/// RFC 9113, 6.9.1.
const WINDOW_MAX: u32 = (1 << 31) - 1;

/// A connection that takes requests. When the last holder is gone, and the last request on it, it closes.
pub(crate) struct Link {
    /// Which of the worker's connections it is, in the order in which they were opened: from 1.
    pub number: u64,
    sender: SendRequest<Bytes>,
    pulse: Arc<Pulse>,
    streams: AtomicU32,
    /// How many at once it takes at the moment.
    streams_max: AtomicU32,
    idle_since: AtomicU32,
}

/// What the connection's task and its users tell each other.
struct Pulse {
    over: AtomicBool,
    /// How many streams the worker allows.
    allowed: AtomicU32,
    /// In which tick something of an answer came.
    heard: AtomicU32,
    orders: Mutex<Orders>,
}

/// What the task is to do, and how far it is.
#[derive(Default)]
struct Orders {
    waker: Option<Waker>,
    wanted: Wanted,
    /// Since when a PING is under way.
    asked: Option<u32>,
    /// The tick of the last sign of life that was no answer.
    vouched: u32,
    /// How many in this silence.
    spent: u8,
    /// What was heard when it began.
    heard: u32,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Wanted {
    #[default]
    Nothing,
    Ping,
    End,
}

impl Link {
    /// Starts the connection's task.
    pub fn start((fresh, number): (Fresh, u64), counted: Counted, bounds: &Bounds, now: u32) -> Arc<Self> {
        let Fresh { sender, connection } = fresh;
        let pulse = Arc::new(Pulse {
            over: AtomicBool::new(false),
            allowed: AtomicU32::new(allowed(&connection)),
            heard: AtomicU32::new(now),
            orders: Mutex::new(Orders { heard: now, vouched: now, ..Orders::default() }),
        });
        quorate_rt::spawn(run(connection, pulse.clone(), counted));
        Arc::new(Self {
            number,
            sender,
            pulse,
            streams: AtomicU32::new(0),
            streams_max: AtomicU32::new(bounds.streams_max),
            idle_since: AtomicU32::new(now),
        })
    }

    /// To send a request with; `None`: it takes no more of them.
    pub fn sender(&self) -> Option<SendRequest<Bytes>> {
        if self.pulse.over.load(Ordering::Relaxed) {
            return None;
        }
        let mut sender = self.sender.clone();
        // A clone waits for nothing: what this tells is whether the worker said GOAWAY, or the connection ended.
        match sender.poll_ready(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(())) => Some(sender),
            Poll::Ready(Err(_)) | Poll::Pending => None,
        }
    }

    /// Whether a stream of it can be a tunnel (RFC 8441, 3): the worker has said so in its greeting.
    pub fn takes_tunnels(&self) -> bool {
        self.sender.is_extended_connect_protocol_enabled()
    }

    /// How many streams it takes at once, as the worker and our own bound have it.
    pub fn streams_max(&self) -> u32 {
        self.streams_max.load(Ordering::Relaxed).min(self.pulse.allowed.load(Ordering::Relaxed))
    }

    /// Takes one of its places, if one is free.
    pub fn occupy(&self) -> bool {
        let is_free = self.streams.load(Ordering::Relaxed) < self.streams_max();
        if is_free {
            self.streams.fetch_add(1, Ordering::Relaxed);
        }
        is_free
    }

    /// Gives a place back.
    pub fn leave(&self, now: u32) {
        self.idle_since.store(now, Ordering::Relaxed);
        self.streams.fetch_sub(1, Ordering::Relaxed);
    }

    /// Something of an answer came.
    pub fn heard(&self, now: u32) {
        self.pulse.heard.store(now, Ordering::Relaxed);
    }

    /// The worker refused a request, so it has enough for now: until the next sweep it gets no more than it has.
    pub fn refused(&self) {
        let others = self.streams.load(Ordering::Relaxed).saturating_sub(1);
        self.streams_max.fetch_min(others.max(1), Ordering::Relaxed);
    }

    /// Looks after it, once a second. `false`: it is of no more use.
    pub fn sweep(&self, now: u32, idle_max: u32, bounds: &Bounds) -> bool {
        self.streams_max.store(bounds.streams_max, Ordering::Relaxed);
        let streams = self.streams.load(Ordering::Relaxed);
        let is_old = streams == 0 && now.saturating_sub(self.idle_since.load(Ordering::Relaxed)) >= idle_max;
        if is_old || self.sender().is_none() {
            return false;
        }
        self.pulse.check(now, streams > 0, bounds);
        true
    }
}

impl Pulse {
    fn orders(&self) -> MutexGuard<'_, Orders> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check(&self, now: u32, is_used: bool, bounds: &Bounds) {
        let heard = self.heard.load(Ordering::Relaxed);
        let mut orders = self.orders();
        let wanted = orders.check(now, heard, is_used, bounds);
        if wanted != Wanted::Nothing {
            orders.wanted = wanted;
            if let Some(waker) = &orders.waker {
                waker.wake_by_ref();
            }
        }
    }

    /// What the task does besides moving bytes. `Ready`: give the connection up.
    fn poll(&self, pings: &mut PingPong, cx: &mut Context<'_>) -> Poll<()> {
        let mut orders = self.orders();
        if !orders.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            orders.waker = Some(cx.waker().clone());
        }
        match std::mem::take(&mut orders.wanted) {
            Wanted::Nothing => {}
            // Fails if one is under way already, or the connection is about to end: either is told soon.
            Wanted::Ping => drop(pings.send_ping(Ping::opaque())),
            Wanted::End => return Poll::Ready(()),
        }
        if orders.asked.is_some() && matches!(pings.poll_pong(cx), Poll::Ready(Ok(_))) {
            orders.answered();
        }
        Poll::Pending
    }
}

impl Orders {
    /// What to do about the silence, if it is one.
    fn check(&mut self, now: u32, heard: u32, is_used: bool, bounds: &Bounds) -> Wanted {
        if heard != self.heard {
            // An answer is as good as a pong.
            (self.heard, self.spent, self.asked) = (heard, 0, None);
        }
        if let Some(asked) = self.asked {
            let is_over = now.saturating_sub(asked) >= bounds.ping_timeout;
            return if is_over { Wanted::End } else { Wanted::Nothing };
        }
        let spent_max = if is_used { PINGS_MAX } else { PINGS_IDLE_MAX };
        let silent = now.saturating_sub(self.heard.max(self.vouched));
        if silent < bounds.ping_interval || self.spent >= spent_max {
            return Wanted::Nothing;
        }
        (self.asked, self.spent) = (Some(now), self.spent + 1);
        Wanted::Ping
    }

    fn answered(&mut self) {
        self.vouched = self.asked.take().unwrap_or(self.vouched);
    }
}

fn allowed(connection: &Connection<WorkerSocket, Bytes>) -> u32 {
    u32::try_from(connection.max_concurrent_send_streams()).unwrap_or(u32::MAX)
}

/// Moves the connection's bytes until it ends. Requests that are still on it then are told by its end.
async fn run(mut connection: Connection<WorkerSocket, Bytes>, pulse: Arc<Pulse>, counted: Counted) {
    let mut pings = connection.ping_pong();
    poll_fn(|cx| {
        let moved = Pin::new(&mut connection).poll(cx);
        pulse.allowed.store(allowed(&connection), Ordering::Relaxed);
        match (&moved, &mut pings) {
            // How it ended is told to each request on it.
            (Poll::Ready(_), _) => Poll::Ready(()),
            (Poll::Pending, Some(pings)) => pulse.poll(pings, cx),
            (Poll::Pending, None) => Poll::Pending,
        }
    })
    .await;
    pulse.over.store(true, Ordering::Relaxed);
    drop((connection, counted));
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds =
        Bounds { links_max: 1, streams_max: 1, waiting_max: 1, ping_interval: 50, ping_timeout: 30 };

    /// What is wanted when, over so many seconds of silence in which each PING but those after `dead` is answered.
    fn silence(seconds: u32, is_used: bool, dead: u32) -> Vec<(u32, &'static str)> {
        let mut orders = Orders::default();
        let mut wanted = Vec::new();
        for now in (0..=seconds * 10).step_by(10) {
            match orders.check(now, 0, is_used, &BOUNDS) {
                Wanted::Nothing => {}
                Wanted::Ping => wanted.push((now, "ping")),
                Wanted::End => {
                    wanted.push((now, "end"));
                    return wanted;
                }
            }
            if now < dead {
                orders.answered();
            }
        }
        wanted
    }

    #[test]
    fn a_silent_connection_is_asked_twice_and_an_unused_one_once() {
        assert_eq!(silence(3_600, true, u32::MAX), [(50, "ping"), (100, "ping")]);
        assert_eq!(silence(3_600, false, u32::MAX), [(50, "ping")]);
    }

    #[test]
    fn a_connection_that_does_not_answer_is_given_up() {
        assert_eq!(silence(60, true, 0), [(50, "ping"), (80, "end")]);
        assert_eq!(silence(60, true, 60), [(50, "ping"), (100, "ping"), (130, "end")]);
        assert_eq!(silence(60, false, 0), [(50, "ping"), (80, "end")]);
    }

    #[test]
    fn an_answer_ends_the_silence() {
        let mut orders = Orders::default();
        assert!(orders.check(50, 0, true, &BOUNDS) == Wanted::Ping);
        assert!(orders.check(70, 60, true, &BOUNDS) == Wanted::Nothing, "it is heard of");
        assert!(orders.check(100, 60, true, &BOUNDS) == Wanted::Nothing, "no PING is overdue");
        assert!(orders.check(110, 60, true, &BOUNDS) == Wanted::Ping, "the next silence");
        orders.answered();
        assert!(orders.check(160, 60, true, &BOUNDS) == Wanted::Ping, "its second one");
    }
}
