//! A connection for a request, where a policy bounds how many a worker may have.

use super::{Error, Failed, Forwarding};
use crate::{dial, http1::Upstream, http2::upstream::links::Room, resilience::Care};
use quorate_routing::{
    admission::{self, Admission, Limits},
    retry::{Connection, Failure},
};
use quorate_rt::time::timeout;
use std::sync::atomic::Ordering;

impl Forwarding<'_> {
    /// Waits for others to make room. Should the time of the request or of the attempt be over meanwhile, that says
    /// nothing about the worker: it was not asked. Whoever waits keeps no other worker's connection meanwhile.
    pub(super) async fn in_line<F: Future>(&self, room: F) -> F::Output {
        self.let_go();
        self.in_line.store(true, Ordering::Relaxed);
        let came = room.await;
        let is_late = self.client.watch.is_due();
        self.in_line.store(is_late, Ordering::Relaxed);
        came
    }

    /// How many connections this core may have to the worker.
    pub(super) fn connections_max(&self) -> usize {
        let of_node = self.client.core.config.limits.worker_connections_max;
        self.limits().connections.map_or(of_node, |max| of_node.min(max as usize))
    }

    /// The same where connections are shared, and how many may wait for a place on them.
    pub(super) fn shared_room(&self) -> Room {
        let waiting_max = self.limits().pending.map_or(usize::MAX, |max| max as usize);
        Room { links_max: self.connections_max(), waiting_max }
    }

    /// Whether the service's policy says so.
    pub(super) fn is_bounded(&self) -> bool {
        self.limits().connections.is_some()
    }

    fn limits(&self) -> Limits {
        self.to.care.as_ref().map_or_else(Limits::default, Care::limits)
    }

    /// An unused connection, or `None` where one may be opened: at once, or when others have done with theirs.
    pub(super) async fn room(&self) -> Result<Option<Upstream>, Failed> {
        let (limits, endpoint) = (self.limits(), &self.to.endpoint);
        let refused = |error| Failed { failure: Failure::Refused, connection: Connection::Fresh, error };
        let authority = || endpoint.authority.clone();
        match admission::connection(&limits, &endpoint.usage()) {
            Admission::Reuse | Admission::Open => return Ok(endpoint.take()),
            Admission::Refuse(_) => {
                let max = self.connections_max();
                return Err(refused(dial::Error::Full { authority: authority(), max }.into()));
            }
            Admission::Wait => {}
        }
        let after = self.client.core.config.limits.worker_waiting_timeout;
        let usage = endpoint.usage();
        let queued = endpoint.queue();
        // The bound may have grown since the others began to wait.
        if usage.idle > 0 || limits.connections.is_none_or(|max| usage.connections < max) {
            endpoint.nudge();
        }
        let room = timeout(after, async {
            loop {
                queued.told().await;
                if let Some(upstream) = endpoint.take() {
                    return Some(upstream);
                }
                if endpoint.open() + endpoint.being_dialled() < self.connections_max() {
                    return None;
                }
            }
        });
        match self.in_line(self.client.watch.bound(room)).await {
            Some(Ok(found)) => Ok(found),
            Some(Err(_)) => Err(refused(Error::NoRoom { authority: authority(), after })),
            None => {
                let (failure, connection) = (Failure::TimedOut, Connection::Fresh);
                Err(Failed { failure, connection, error: self.timed_out() })
            }
        }
    }
}
