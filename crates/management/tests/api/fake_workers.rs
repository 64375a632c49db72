//! What the fake knows about workers besides the state: what is in flight, and who is down.

use super::{Fake, Inner, node};
use quorate_management::{InFlightAt, Look};
use quorate_model::{Epoch, Heartbeat, HeartbeatOutcome, Lifecycle, LogIndex, WorkerId};

impl Fake {
    /// What a look at any worker comes to from now on.
    pub fn find(&self, look: Look) {
        self.inner.lock().expect("no panic").look = look;
    }

    /// Who was looked at, and in which life.
    pub fn looked_at(&self) -> Vec<(WorkerId, Epoch)> {
        self.inner.lock().expect("no panic").looked_at.clone()
    }
}

/// Three requests of the worker `busy` here, none at n2; n3 does not answer.
pub fn in_flight(worker: &WorkerId, index: LogIndex) -> Vec<InFlightAt> {
    let at = |name: &str, applied, in_flight| InFlightAt { node: node(name), applied, in_flight };
    let here = u64::from(worker.as_str() == "busy") * 3;
    vec![
        at("n1", Some(index), Ok(here)),
        at("n2", Some(index), Ok(0)),
        at("n3", None, Err("it does not answer".into())),
    ]
}

impl Inner {
    pub fn hear(&mut self, beat: &Heartbeat) -> HeartbeatOutcome {
        let Some(record) = self.state.worker(beat.id.as_str()).cloned() else {
            return HeartbeatOutcome::Unknown;
        };
        match record.lifecycle {
            Lifecycle::Displaced { .. } => return HeartbeatOutcome::Displaced,
            Lifecycle::Unregistered { .. } => return HeartbeatOutcome::Unknown,
            Lifecycle::Live | Lifecycle::Suspect { .. } | Lifecycle::Expired { .. } => {}
        }
        if beat.incarnation.is_some_and(|named| named != record.incarnation) {
            return HeartbeatOutcome::Superseded { current: record.incarnation };
        }
        if let Some(sequence) = beat.sequence {
            let last = self.sequences.entry(beat.id.clone()).or_default();
            if sequence <= *last {
                return HeartbeatOutcome::Replayed { last: *last };
            }
            *last = sequence;
        }
        HeartbeatOutcome::Ok { epoch: record.epoch }
    }
}
