//! What is known of a client's connection, beside its bytes: where it is, and until when.
//!
//! All of it is touched by one task only, the connection's; the atomics are plain loads and stores there.

use crate::{core::Core, deadline::Watch};
use http::HeaderValue;
use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU32, Ordering},
    },
};

use tokio::sync::OwnedSemaphorePermit;

/// What the connection is doing, which says what its deadline means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Phase {
    /// A request's head is under way, or the first is awaited.
    Head,
    /// Between requests.
    Idle,
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

/// One client connection.
pub(crate) struct Client {
    pub core: Arc<Core>,
    pub watch: Watch,
    /// The client's address, as workers are told.
    pub address: HeaderValue,
    /// Its place among the node's connections.
    _place: OwnedSemaphorePermit,
    phase: AtomicU8,
    upload: AtomicU8,
    /// How long the worker that is asked may take, in ticks.
    span: AtomicU32,
}

impl Client {
    pub fn new(core: Arc<Core>, watch: Watch, peer: IpAddr, place: OwnedSemaphorePermit) -> Arc<Self> {
        core.connection_opened();
        // An IPv4 client of an IPv6 socket is an IPv4 client. Addresses are always legal header values.
        let address = HeaderValue::from_str(&peer.to_canonical().to_string())
            .unwrap_or_else(|_| HeaderValue::from_static("unknown"));
        watch.arm(core.spans.header);
        let core_span = core.spans.request;
        Arc::new(Self {
            core,
            watch,
            address,
            _place: place,
            phase: AtomicU8::new(Phase::Head as u8),
            upload: AtomicU8::new(Upload::Done as u8),
            span: AtomicU32::new(core_span),
        })
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
        if self.is(Phase::Idle) {
            self.enter(Phase::Head);
            self.watch.arm(self.core.spans.header);
        }
    }

    /// A request's head is complete; it is about to wait, for a worker's answer or to be given to one, for at most
    /// `span` ticks.
    pub fn waiting_for(&self, span: u32) {
        self.enter(Phase::Waiting);
        self.span.store(span, Ordering::Relaxed);
        self.watch.arm(span);
    }

    /// The head of the answer is known.
    pub fn answering(&self) {
        self.enter(Phase::Answering);
        self.watch.disarm();
    }

    /// The answer was written, or will never be.
    pub fn answered(&self) {
        if self.is(Phase::Answering) {
            self.enter(Phase::Idle);
            self.watch.arm(self.core.spans.idle);
        }
    }

    /// From here on the connection is a tunnel.
    pub fn tunnelled(&self) {
        self.enter(Phase::Tunnel);
        self.watch.disarm();
    }

    /// The socket takes no more bytes of the answer for now.
    pub fn write_blocked(&self) {
        if self.is(Phase::Answering) && !self.watch.is_armed() {
            self.watch.arm(self.core.spans.stall);
        }
    }

    /// The socket took bytes.
    pub fn write_went_on(&self) {
        if self.is(Phase::Answering) && self.watch.is_armed() {
            self.watch.disarm();
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
            self.watch.arm(self.span.load(Ordering::Relaxed));
        }
    }

    pub fn set_upload(&self, upload: Upload) {
        self.upload.store(upload as u8, Ordering::Relaxed);
    }

    pub fn upload_is(&self, upload: Upload) -> bool {
        self.upload.load(Ordering::Relaxed) == upload as u8
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.core.connection_closed();
    }
}
