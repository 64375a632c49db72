//! What is known of each life of each worker: when it was granted, and when the cluster may have heard it. The
//! checks of leases are built on it.

use super::{Answer, Ask, Look, OpId, Operation, exactly_once::written_by};
use quorate_model::Status;
use std::collections::{BTreeMap, BTreeSet};

/// A message whose sender has given up may still arrive: a connection that was cut delivers when it heals.
const LATE_MS: u128 = 10_000;

/// One life of a worker: from one registration to the next.
#[derive(Clone, Debug, Default)]
pub struct Life {
    /// It was granted no earlier than this.
    pub granted_ms: u128,
    /// Signs of life that the cluster confirmed, the registration included: sent, and answered.
    pub heard: Vec<(u128, u128)>,
    /// It may have been heard until then.
    pub until_ms: u128,
    /// Its lease; 0 until a record of it was seen.
    pub ttl_ms: u128,
    /// Since when it is seen as suspect.
    pub suspect_ms: Option<u128>,
    /// The index of what is known of its status.
    index: u64,
    /// Heartbeats under way.
    open: BTreeSet<OpId>,
}

impl Life {
    /// Until when it may have been heard, as far as is known at `now_ms`.
    pub fn may_be_heard_until(&self, now_ms: u128) -> u128 {
        if self.open.is_empty() { self.until_ms } else { now_ms }
    }
}

/// All lives, by worker and incarnation.
#[derive(Debug, Default)]
pub struct Lives {
    lives: BTreeMap<String, BTreeMap<u64, Life>>,
    /// When they were asked.
    registrations: BTreeMap<OpId, u128>,
}

impl Lives {
    /// One life, if it is known.
    pub fn get(&self, worker: &str, incarnation: u64) -> Option<&Life> {
        self.lives.get(worker)?.get(&incarnation)
    }

    /// All lives of one worker.
    pub fn of(&self, worker: &str) -> impl Iterator<Item = (u64, &Life)> {
        self.lives.get(worker).into_iter().flatten().map(|(incarnation, life)| (*incarnation, life))
    }

    /// An operation is about to be sent.
    pub fn asked(&mut self, op: OpId, at_ms: u128, ask: &Ask) {
        match ask {
            Ask::Register { .. } => {
                self.registrations.insert(op, at_ms);
            }
            Ask::Heartbeat { worker, incarnation } => {
                self.life(worker, *incarnation).open.insert(op);
            }
            Ask::Unregister { .. }
            | Ask::SetKeyspace { .. }
            | Ask::ReadWorker { .. }
            | Ask::ReadKeyspace { .. } => {}
        }
    }

    /// An operation has ended.
    pub fn answered(&mut self, op: OpId, operation: &Operation) {
        let Some((at_ms, answer)) = &operation.answered else { return };
        let heard = (operation.asked_ms, *at_ms);
        match (&operation.ask, answer) {
            (Ask::Register { worker, .. }, Answer::Registered { incarnation, .. }) => {
                let life = self.life(worker, *incarnation);
                life.granted_ms = operation.asked_ms;
                life.heard.push(heard);
                life.until_ms = life.until_ms.max(*at_ms);
            }
            (Ask::Heartbeat { worker, incarnation }, answer) => {
                let life = self.life(worker, *incarnation);
                life.open.remove(&op);
                match answer {
                    Answer::Alive => {
                        life.heard.push(heard);
                        life.until_ms = life.until_ms.max(*at_ms);
                    }
                    Answer::NotAlive => {}
                    // A node that says "no leader" may have reached one whose answer was lost.
                    _ => life.until_ms = life.until_ms.max(at_ms + LATE_MS),
                }
            }
            _ => {}
        }
    }

    /// A node shows its records.
    pub fn looked(&mut self, look: &Look<'_>) {
        let index = look.view.index().0;
        for worker in look.view.workers() {
            let asked = written_by(worker).and_then(|op| self.registrations.get(&op).copied());
            let Some(asked) = asked else { continue };
            let life = self.life(worker.id().as_str(), worker.incarnation.0);
            if life.ttl_ms == 0 {
                life.ttl_ms = worker.registration.ttl.as_ms().into();
                life.granted_ms = asked;
                life.until_ms = life.until_ms.max(look.at_ms);
            }
            if index > life.index {
                life.index = index;
                let suspect = worker.status() == Status::Suspect;
                life.suspect_ms = suspect.then(|| life.suspect_ms.unwrap_or(look.at_ms));
            }
        }
    }

    fn life(&mut self, worker: &str, incarnation: u64) -> &mut Life {
        if !self.lives.contains_key(worker) {
            self.lives.insert(worker.to_owned(), BTreeMap::new());
        }
        self.lives.get_mut(worker).expect("just put there").entry(incarnation).or_default()
    }
}
