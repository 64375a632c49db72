//! What the checkers' tests share: states made by the product's own `apply`.

use super::{Ask, Look};
use quorate_model::{
    Address, BootId, ClusterId, Command, Entry, KeyspaceSource, LeaseChange, LeaseEvent, LogIndex, LogTime,
    Origin, Partition, PartitionCount, PartitionRange, Proposal, RegistrationParts, Ttl, WorkerId,
};
use quorate_state::State;
use std::time::Duration;

/// The TTL of all workers here.
pub const TTL_MS: u128 = TTL.as_millis();
const TTL: Duration = Duration::from_secs(3);

/// A node that shows `view` and does not lead.
pub fn look<'a>(node: &'a str, view: &'a State, at_ms: u128) -> Look<'a> {
    Look { node, life: 1, view, leads_in: None, raft_id: 1, speaks_for_quorum: false, at_ms }
}

/// Applies one command at `index`.
pub fn apply(state: &mut State, index: u64, command: Command) {
    let origin = Origin { boot: BootId(1), sequence: index };
    let entry = Entry { at: LogTime(index), proposals: vec![Proposal { origin, command }] };
    state.apply(LogIndex(index), &entry);
}

/// A formed state with registrations: index, worker, partitions, operation.
pub fn registered(registrations: &[(u64, &str, &[i32], u64)]) -> State {
    let mut state = State::new();
    let partitions = Some(PartitionCount::new(12).expect("within bounds"));
    let source = KeyspaceSource::Static;
    apply(&mut state, 1, Command::FormCluster { cluster: ClusterId(1), partitions, source });
    for (index, worker, partitions, op) in registrations {
        register(&mut state, *index, worker, partitions, *op);
    }
    state
}

/// One registration more.
pub fn register(state: &mut State, index: u64, worker: &str, partitions: &[i32], op: u64) {
    let id = WorkerId::parse(worker).expect("a name");
    let address = Address::parse("http://h:1").expect("an address");
    let ttl = Ttl::new(TTL).expect("within bounds");
    let mut parts = RegistrationParts::new(id, address, ttl);
    parts.partitions = partitions.iter().copied().map(Partition).collect();
    parts.labels.insert(super::OP_LABEL.into(), op.to_string().into());
    let registration = parts.validate().expect("valid");
    apply(
        state,
        index,
        Command::RegisterWorker { registration, range: PartitionRange::Strict, if_index: None },
    );
}

/// Something happens to the lease that stands.
pub fn change(state: &mut State, index: u64, worker: &str, event: LeaseEvent) {
    let epoch = state.worker(worker).expect("registered").epoch;
    let id = WorkerId::parse(worker).expect("a name");
    apply(state, index, Command::ChangeLeases(vec![LeaseChange { id, epoch, event }]));
}

/// A worker says goodbye.
pub fn unregister(state: &mut State, index: u64, worker: &str) {
    let id = WorkerId::parse(worker).expect("a name");
    apply(state, index, Command::UnregisterWorker { id, epoch: None, if_index: None });
}

/// The request behind a registration of partition 0.
pub fn registers(worker: &str) -> Ask {
    Ask::Register { worker: worker.into(), partitions: vec![0] }
}
