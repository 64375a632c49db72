//! What follows from heartbeats and their absence. Each change names the epoch that it is about and is void if a
//! newer one stands: a late expiry never kills a worker that has registered anew.

use crate::state::State;
use quorate_model::{Event, LeaseChange, LeaseEvent, Lifecycle, LogTime, Reply};

/// The whole life of a lease: what an event makes of a lifecycle; `None`: nothing.
pub fn next(lifecycle: &Lifecycle, event: LeaseEvent, now: LogTime) -> Option<Lifecycle> {
    match (lifecycle, event) {
        (Lifecycle::Live, LeaseEvent::Suspected) => Some(Lifecycle::Suspect { since: now }),
        (Lifecycle::Suspect { .. }, LeaseEvent::Recovered) => Some(Lifecycle::Live),
        (Lifecycle::Live | Lifecycle::Suspect { .. }, LeaseEvent::Expired) => {
            Some(Lifecycle::Expired { at: now })
        }
        (Lifecycle::Expired { .. }, LeaseEvent::Revived) => Some(Lifecycle::Live),
        (Lifecycle::Live, LeaseEvent::Recovered | LeaseEvent::Revived)
        | (Lifecycle::Suspect { .. }, LeaseEvent::Suspected | LeaseEvent::Revived)
        | (Lifecycle::Expired { .. }, LeaseEvent::Suspected | LeaseEvent::Recovered | LeaseEvent::Expired)
        | (Lifecycle::Displaced { .. } | Lifecycle::Unregistered { .. }, _) => None,
    }
}

impl State {
    pub(super) fn change_leases(&mut self, changes: &[LeaseChange], events: &mut Vec<Event>) -> Reply {
        let changed = changes.iter().filter(|change| self.change_lease(change, events)).count();
        if changed == 0 { Reply::Unchanged } else { Reply::Done }
    }

    fn change_lease(&mut self, change: &LeaseChange, events: &mut Vec<Event>) -> bool {
        let Some(worker) = self.workers.get(&change.id).filter(|w| w.epoch == change.epoch).cloned() else {
            return false;
        };
        let Some(lifecycle) = next(&worker.lifecycle, change.event, self.now) else { return false };
        let mut record = (*worker).clone();
        record.lifecycle = lifecycle;
        record.changed = self.index;
        if change.event == LeaseEvent::Revived {
            // A new grant: whatever is still under way about the old epoch is void from here on.
            record.epoch = self.next_epoch();
        }
        let (from, to, epoch) = (worker.status(), record.status(), record.epoch);
        self.store_worker(record);
        events.push(Event::WorkerStatus { id: change.id.clone(), epoch, from, to });
        true
    }
}
