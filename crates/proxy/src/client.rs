//! What is known of a client's conversation, beside its bytes: where it is, and until when.
//!
//! A conversation has one request at a time: it is an HTTP/1.1 connection, or one stream of an HTTP/2 connection. All
//! of it is touched by one task at a time only, that of the connection or stream; the atomics are plain loads and
//! stores there.

use crate::{
    core::{Core, Stage},
    deadline::{NEVER, Registered, Watch, ticks},
    http2::Session,
};
use http::HeaderValue;
use quorate_model::Scheme;
use std::{
    future::{Future, poll_fn},
    net::IpAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering},
    },
    task::Poll,
    time::Duration,
};

use tokio::sync::OwnedSemaphorePermit;

/// What the conversation is doing, which says what its deadline means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Phase {
    /// A request's head is under way, or the first is awaited.
    Head,
    /// Between requests.
    Idle,
    /// The same, for longer: nothing is kept of the connection but its socket.
    Resting,
    /// A worker is asked and its answer's head is awaited, or a worker is.
    Waiting,
    /// An answer is being sent.
    Answering,
    /// No longer HTTP.
    Tunnel,
}

/// What became of a request's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Upload {
    /// All sent, or there was none.
    Done,
    /// Still coming.
    Running,
    /// The client broke off, or garbled it.
    Failed,
}

/// What carries a conversation.
pub(crate) enum Carrier {
    /// A connection of its own, which has a place among the node's.
    Connection { _place: OwnedSemaphorePermit },
    /// A stream of a connection that has others.
    Stream(Arc<Session>),
}

/// One conversation.
pub(crate) struct Client {
    pub core: Arc<Core>,
    pub watch: Watch,
    /// The client's address, as workers are told.
    pub address: HeaderValue,
    /// By TLS, or in the clear.
    pub scheme: Scheme,
    carrier: Carrier,
    phase: AtomicU8,
    upload: AtomicU8,
    /// More of the request's body was asked for, and was not there.
    body_is_awaited: AtomicBool,
    /// The socket took no more the last time.
    write_is_blocked: AtomicBool,
    /// How long the worker that is asked may take, in ticks.
    span: AtomicU32,
    /// When the request's own time is over, whatever its worker may take: the tick.
    until: AtomicU32,
    /// How long that is, in microseconds, as the request says it.
    given: AtomicU64,
    /// How long nothing may pass of its bodies, in ticks; [`NEVER`]: as long as it likes.
    quiet: AtomicU32,
    /// The tick in which something passed last; kept only if `quiet` says something.
    moved: AtomicU32,
}

impl Client {
    /// A connection.
    pub fn new(
        core: Arc<Core>,
        watch: Watch,
        (peer, scheme): (IpAddr, Scheme),
        place: OwnedSemaphorePermit,
    ) -> Arc<Self> {
        core.connection_opened();
        // An IPv4 client of an IPv6 socket is an IPv4 client. Addresses are always legal header values.
        let address = HeaderValue::from_str(&peer.to_canonical().to_string())
            .unwrap_or_else(|_| HeaderValue::from_static("unknown"));
        watch.arm(core.spans.header);
        Arc::new(Self::made(core, watch, (address, scheme), Carrier::Connection { _place: place }))
    }

    /// A stream of a connection. Its head is there.
    pub fn stream(session: &Arc<Session>, watch: Watch) -> Arc<Self> {
        let Self { core, address, scheme, .. } = &*session.connection;
        let from = (address.clone(), *scheme);
        Arc::new(Self::made(core.clone(), watch, from, Carrier::Stream(session.clone())))
    }

    fn made(
        core: Arc<Core>,
        watch: Watch,
        (address, scheme): (HeaderValue, Scheme),
        carrier: Carrier,
    ) -> Self {
        let span = AtomicU32::new(core.spans.request);
        Self {
            core,
            watch,
            address,
            scheme,
            carrier,
            phase: AtomicU8::new(Phase::Head as u8),
            upload: AtomicU8::new(Upload::Done as u8),
            body_is_awaited: AtomicBool::new(false),
            write_is_blocked: AtomicBool::new(false),
            span,
            until: AtomicU32::new(NEVER),
            given: AtomicU64::new(0),
            quiet: AtomicU32::new(NEVER),
            moved: AtomicU32::new(0),
        }
    }

    /// Runs `future` in the current task, which is woken when time is over. `None`: it was, or the core was halted.
    pub async fn attend<F: Future>(&self, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        let mut registered = Registered::default();
        poll_fn(|cx| {
            registered.keep(&self.watch, cx);
            if self.core.is(Stage::Halted) || self.is_overdue() {
                return Poll::Ready(None);
            }
            future.as_mut().poll(cx).map(Some)
        })
        .await
    }

    pub fn is(&self, phase: Phase) -> bool {
        self.phase.load(Ordering::Relaxed) == phase as u8
    }

    fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    /// Bytes arrived. Between requests that means that a head has begun, and its time runs from here: a client
    /// that dribbles one can't use its idle time for it.
    pub fn received(&self) {
        if self.is(Phase::Idle) || self.is(Phase::Resting) {
            self.enter(Phase::Head);
            self.watch.arm(self.core.spans.header);
        }
    }

    /// A request's head is complete. It has a time of its own, if it says so.
    pub fn asked(&self, time: Option<Duration>) {
        let until = time.map_or(NEVER, |time| self.core.deadlines.now() + ticks(time));
        self.until.store(until, Ordering::Relaxed);
        if let Some(time) = time {
            self.given.store(u64::try_from(time.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
        self.quiet.store(NEVER, Ordering::Relaxed);
        self.body_awaited(false);
    }

    /// For how many ticks nothing may pass of the request's bodies, if its rule says so.
    pub fn idle_for(&self, ticks: Option<u32>) {
        self.quiet.store(ticks.unwrap_or(NEVER), Ordering::Relaxed);
    }

    fn quiet(&self) -> u32 {
        self.quiet.load(Ordering::Relaxed)
    }

    /// Something passed.
    fn moved(&self) {
        if self.quiet() != NEVER {
            self.moved.store(self.core.deadlines.now(), Ordering::Relaxed);
        }
    }

    /// No deadline but that something must pass again.
    fn calm(&self) {
        match self.quiet() {
            NEVER => self.watch.disarm(),
            quiet => self.watch.arm_at(self.moved.load(Ordering::Relaxed).saturating_add(quiet)),
        }
    }

    /// A piece of the answer came.
    pub fn answer_went_on(&self) {
        if self.quiet() != NEVER {
            self.moved();
            if self.is(Phase::Answering) {
                self.calm();
            }
        }
    }

    /// Bytes passed through the tunnel.
    pub fn tunnel_went_on(&self) {
        if self.quiet() != NEVER {
            self.moved();
            self.calm();
        }
    }

    /// The time that the request says it has, if it does.
    pub fn given(&self) -> Option<Duration> {
        let is_given = self.until.load(Ordering::Relaxed) != NEVER;
        is_given.then(|| Duration::from_micros(self.given.load(Ordering::Relaxed)))
    }

    /// Whether the request's own time is over.
    pub fn is_too_late(&self) -> bool {
        self.until.load(Ordering::Relaxed) <= self.core.deadlines.now()
    }

    /// The request is about to wait, for a worker's answer or to be given to one, for at most `span` ticks.
    pub fn waiting_for(&self, span: u32) {
        self.enter(Phase::Waiting);
        self.span.store(span, Ordering::Relaxed);
        self.await_head();
    }

    /// The worker's time begins, and that of the client if it has still to send.
    fn await_head(&self) {
        let quiet = if self.upload_is(Upload::Running) { self.quiet() } else { NEVER };
        let span = self.span.load(Ordering::Relaxed).min(quiet);
        self.watch.arm_before(span, self.until.load(Ordering::Relaxed));
    }

    /// The head of the answer is known.
    pub fn answering(&self) {
        self.enter(Phase::Answering);
        self.moved();
        self.calm();
    }

    /// All of the answer was handed on.
    pub fn answer_ended(&self) {
        match &self.carrier {
            Carrier::Connection { .. } => {}
            Carrier::Stream(session) => session.answered(),
        }
    }

    /// The answer was written, or will never be.
    pub fn answered(&self) {
        if self.is(Phase::Answering) {
            self.enter(Phase::Idle);
            self.watch.arm(self.core.spans.rest);
        }
    }

    /// Whether nothing is under way on an HTTP/1.1 connection, and has not been for a while.
    pub fn may_rest(&self) -> bool {
        self.is(Phase::Idle) && self.watch.is_due() && {
            let is_done = self.upload_is(Upload::Done) && !self.write_is_blocked.load(Ordering::Relaxed);
            if !is_done {
                // The end of an answer is still to be taken, or of a request to come: that has its idle time.
                self.resting();
            }
            is_done
        }
    }

    /// Nothing more is expected until the idle time is over.
    pub fn resting(&self) {
        self.enter(Phase::Resting);
        self.watch.arm(self.core.spans.idle.saturating_sub(self.core.spans.rest).max(1));
    }

    /// From here on the connection is a tunnel.
    pub fn tunnelled(&self) {
        self.enter(Phase::Tunnel);
        self.moved();
        self.calm();
    }

    /// A piece of the answer was handed on; the next one is asked for when it has been taken, or some time after.
    pub fn piece_given(&self) {
        if self.is(Phase::Answering) {
            self.moved();
            self.watch.arm(self.core.spans.stall.min(self.quiet()));
        }
    }

    /// It is the worker that is awaited now, for the next piece.
    pub fn piece_awaited(&self) {
        if self.is(Phase::Answering) {
            self.calm();
        }
    }

    /// Whether it is the client that the rest of the request's body is awaited from; otherwise it is the worker that takes
    /// none, or there is none.
    pub fn body_awaited(&self, is_awaited: bool) {
        self.body_is_awaited.store(is_awaited, Ordering::Relaxed);
    }

    /// Whether it is for the client that the request's time is over: it did not send on, or gave too little.
    pub fn is_to_blame(&self) -> bool {
        // Also where the body has been given up with the connection that it was sent on.
        self.body_is_awaited.load(Ordering::Relaxed) || self.is_too_late()
    }

    /// The socket takes no more bytes of the answer for now.
    pub fn write_blocked(&self) {
        self.write_is_blocked.store(true, Ordering::Relaxed);
        if self.is(Phase::Answering) {
            // What is due sooner stays due.
            self.watch.arm_no_later(self.core.spans.stall);
        }
    }

    /// The socket took bytes.
    pub fn write_went_on(&self) {
        self.write_is_blocked.store(false, Ordering::Relaxed);
        if self.is(Phase::Answering) && self.watch.is_armed() {
            self.moved();
            self.calm();
        }
    }

    /// Whether the connection is to be closed for taking too long. While a worker is awaited that is not so: the
    /// request answers that itself.
    pub fn is_overdue(&self) -> bool {
        self.watch.is_due() && !self.is(Phase::Waiting)
    }

    /// Some of the request's body was handed on: the worker's time begins anew.
    pub fn upload_went_on(&self) {
        if self.is(Phase::Waiting) {
            self.await_head();
        } else {
            self.answer_went_on();
        }
    }

    pub fn set_upload(&self, upload: Upload) {
        let was_running = self.upload_is(Upload::Running);
        self.upload.store(upload as u8, Ordering::Relaxed);
        // The client has done its part: the worker has its whole time.
        if was_running && self.quiet() != NEVER && self.is(Phase::Waiting) {
            self.await_head();
        }
    }

    pub fn upload_is(&self, upload: Upload) -> bool {
        self.upload.load(Ordering::Relaxed) == upload as u8
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        match &self.carrier {
            Carrier::Connection { .. } => self.core.connection_closed(),
            Carrier::Stream(session) => session.stream_ended(),
        }
    }
}
