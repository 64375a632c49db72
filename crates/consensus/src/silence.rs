//! What each node remembers of silent workers, so that a new leader need not begin with them anew. Pure: time is an
//! argument.
//!
//! Heartbeats live in a leader's memory only. If each new leader gave everybody a fresh start, then leader changes
//! that follow each other closely would keep a dead worker for ever. Two facts go through the log, and every node
//! notes by its own monotonic clock (never by log time) when it saw them:
//!
//! - *Suspected*: the worker was silent for two thirds of its TTL when its leader proposed this. A heartbeat of a
//!   suspect one is answered only after its recovery is applied ([`crate::liveness`]), so while the record says
//!   suspect nothing was accepted since. Its silence goes on through any number of leader changes.
//! - *Handed over*: a leader that goes in order says whom it has not heard for how long, after it has stopped to
//!   accept heartbeats. It counts for the leader of the very next term only: any other may have heard them since.
//!
//! An entry is seen here later than it was made, so a silence is taken for shorter than it is, never for longer.

use crate::lease::{Millis, suspect_after};
use quorate_model::{Epoch, Event, Lifecycle, LogIndex, Status, Worker, WorkerId, limit};
use quorate_state::View;
use std::collections::BTreeMap;

/// Since when whom nothing was heard of, in this node's monotonic time.
#[derive(Debug, Default)]
pub struct Silences {
    /// By id: the record's change that this is about, and since when.
    suspects: BTreeMap<WorkerId, (LogIndex, Millis)>,
    handed_over: HandedOver,
}

#[derive(Debug, Default)]
struct HandedOver {
    term: u64,
    since: BTreeMap<WorkerId, (Epoch, Millis)>,
}

impl Silences {
    /// Follows what an entry changed. `view` is the state after it.
    pub fn observe(&mut self, view: &View, events: &[Event], now: Millis) {
        for event in events {
            match event {
                Event::WorkerStatus { id, to: Status::Suspect, .. } => {
                    if let Some(worker) = view.worker(id.as_str()) {
                        self.note(worker, now);
                    }
                }
                Event::WorkerStatus { id, .. }
                | Event::WorkerRegistered { id, .. }
                | Event::WorkerForgotten { id, .. } => {
                    self.suspects.remove(id);
                }
                Event::LeasesHandedOver { term, silences } => {
                    let since =
                        |silent: u64| now - Millis::try_from(silent.min(limit::TTL_MS_MAX)).unwrap_or(0);
                    let each = silences.iter().map(|s| (s.id.clone(), (s.epoch, since(s.silent_ms))));
                    self.handed_over = HandedOver { term: *term, since: each.collect() };
                }
                // All records are others.
                Event::Restored { .. } => *self = Self::default(),
                Event::PartitionsTaken { .. }
                | Event::KeyspaceChanged { .. }
                | Event::NodeDescribed { .. }
                | Event::IntentChanged { .. }
                | Event::ServiceChanged { .. }
                | Event::RouteChanged { .. }
                | Event::SandboxChanged { .. }
                | Event::ObjectChanged { .. }
                | Event::ObjectEnded { .. }
                | Event::SandboxEnded { .. }
                | Event::HealthChanged { .. }
                | Event::DelegateChanged { .. }
                | Event::Presence(_)
                | Event::RampFailed { .. }
                | Event::LevelRaised { .. } => {}
            }
        }
    }

    fn note(&mut self, worker: &Worker, now: Millis) -> Millis {
        let since = now - suspect_after(worker.registration.ttl);
        self.suspects.insert(worker.id().clone(), (worker.changed, since));
        since
    }

    /// When a worker was heard last at the latest, as far as the leader of `term` may rely on it. One that nothing
    /// is known about may have been heard right now.
    pub(crate) fn heard(&mut self, worker: &Worker, term: u64, now: Millis) -> Millis {
        match worker.lifecycle {
            Lifecycle::Suspect { .. } => match self.suspects.get(worker.id()) {
                Some((changed, since)) if *changed == worker.changed => *since,
                // Out of a snapshot, or its partitions were taken since. Noted, so that the next time goes on.
                Some(_) | None => self.note(worker, now),
            },
            Lifecycle::Live if self.handed_over.term.checked_add(1) == Some(term) => {
                let known =
                    self.handed_over.since.get(worker.id()).filter(|(epoch, _)| *epoch == worker.epoch);
                known.map_or(now, |(_, since)| *since)
            }
            Lifecycle::Live
            | Lifecycle::Expired { .. }
            | Lifecycle::Displaced { .. }
            | Lifecycle::Unregistered { .. } => now,
        }
    }
    /// A leader that has begun hears workers itself: what was handed over to it is used up.
    pub(crate) fn begin(&mut self) {
        self.handed_over = HandedOver::default();
    }
}
