//! Whoever is told everything that clients, workers and nodes saw, and knows what must hold.

use super::{
    agreement::Agreement,
    history::{Event, Op, is_linearizable},
    operation::{Answer, Ask, OpId},
};
use quorate_state::State;
use std::collections::BTreeMap;

/// One run's.
#[derive(Default)]
pub struct Oracle {
    agreement: Agreement,
    /// Writes and linearizable reads of each keyspace.
    keyspaces: BTreeMap<String, BTreeMap<OpId, Event>>,
    asked: BTreeMap<OpId, (u128, Ask)>,
}

impl Oracle {
    /// A running node's View, and the term that it leads in.
    pub fn looked(
        &mut self,
        node: &str,
        life: u32,
        _index: u64,
        view: &State,
        _leads_in: Option<u64>,
    ) -> Result<(), String> {
        self.agreement.look(node, life, view)
    }

    /// A client asks.
    pub fn asked(&mut self, op: OpId, _client: u32, at_ms: u128, ask: Ask) {
        if let Ask::PutKeyspace { keyspace, partitions } = &ask {
            let event = Event { start: at_ms, end: None, op: Op::Write(*partitions) };
            self.keyspaces.entry(keyspace.clone()).or_default().insert(op, event);
        }
        self.asked.insert(op, (at_ms, ask));
    }

    /// It is answered, or gives up waiting.
    pub fn answered(&mut self, op: OpId, at_ms: u128, answer: Answer) {
        let Some((start, ask)) = self.asked.remove(&op) else { return };
        match (ask, answer) {
            (Ask::PutKeyspace { keyspace, .. }, Answer::Done { .. }) => {
                if let Some(event) = self.keyspaces.get_mut(&keyspace).and_then(|k| k.get_mut(&op)) {
                    event.end = Some(at_ms);
                }
            }
            (Ask::PutKeyspace { keyspace, .. }, Answer::Refused { .. }) => {
                self.keyspaces.entry(keyspace).or_default().remove(&op);
            }
            (Ask::ReadKeyspace { keyspace, consistent: true }, Answer::Keyspace { partitions, .. }) => {
                let event = Event { start, end: Some(at_ms), op: Op::Read(partitions) };
                self.keyspaces.entry(keyspace).or_default().insert(op, event);
            }
            _ => {}
        }
    }

    /// A worker's heartbeat was accepted for this epoch.
    pub fn heartbeat_accepted(&mut self, _worker: &str, _epoch: u64, _at_ms: u128) {}

    /// A request of `workspace` reached a worker through node `via`, which decided by the View of `served_index`.
    /// `at_ms` is when it reached the worker, which is before now.
    pub fn worker_reached(
        &mut self,
        _worker: &str,
        _workspace: &str,
        _via: &str,
        _served_index: u64,
        _at_ms: u128,
    ) -> Result<(), String> {
        Ok(())
    }

    /// No fault any more from here on.
    pub fn faults_ended(&mut self, _at_ms: u128) {}

    /// What only the whole run shows.
    pub fn finish(&mut self) -> Result<(), String> {
        for (keyspace, events) in std::mem::take(&mut self.keyspaces) {
            let count = events.len();
            if !is_linearizable(events.into_values().collect()) {
                return Err(format!("keyspace {keyspace}: {count} operations are not linearizable"));
            }
        }
        Ok(())
    }
}
