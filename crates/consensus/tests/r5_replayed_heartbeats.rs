//! R5: a heartbeat is recorded, its worker leaves or registers anew, and the recording is played. It is refused by the
//! life that it names (the incarnation) and by its place in that life (the sequence), and brings no record back.

use quorate_consensus::{
    lease_keeper::{LeaseKeeper, Reign},
    silence::Silences,
};
use quorate_model::{
    Address, BootId, ClusterId, Command, Entry, Epoch, Heartbeat, HeartbeatOutcome, KeyspaceSource, LogIndex,
    LogTime, NodeId, Origin, Partition, PartitionCount, PartitionRange, Proposal, Refusal, Registration,
    RegistrationParts, Reply, Status, Ttl, WorkerId,
};
use quorate_state::State;
use std::time::Duration;

/// A state, and the leader's keeper that follows it.
struct Leader {
    state: State,
    keeper: LeaseKeeper,
}

fn id() -> WorkerId {
    WorkerId::parse("w1").expect("a name")
}

fn registration() -> Registration {
    let address = Address::parse("http://h:1").expect("an address");
    let ttl = Ttl::new(Duration::from_secs(30)).expect("within bounds");
    let mut parts = RegistrationParts::new(id(), address, ttl);
    parts.partitions = vec![Partition(0)];
    parts.validate().expect("valid")
}

fn beat(incarnation: Epoch, sequence: u64) -> Heartbeat {
    Heartbeat { id: id(), incarnation: Some(incarnation), sequence: Some(sequence) }
}

impl Leader {
    fn new() -> Self {
        let mut leader = Self { state: State::new(), keeper: LeaseKeeper::default() };
        let partitions = PartitionCount::new(12).ok();
        let source = KeyspaceSource::Static;
        leader.commit(Command::FormCluster { cluster: ClusterId(1), partitions, source });
        leader
    }

    fn commit(&mut self, command: Command) -> Reply {
        let index = LogIndex(self.state.index().0 + 1);
        let origin = Origin { boot: BootId(1), sequence: index.0 };
        let entry = Entry { at: LogTime(index.0), proposals: vec![Proposal { origin, command }] };
        let mut applied = self.state.apply(index, &entry);
        self.keeper.observe(&self.state, &applied.events, 0);
        applied.replies.remove(0)
    }

    fn register(&mut self) -> Epoch {
        let (registration, range) = (registration(), PartitionRange::Strict);
        self.commit(Command::RegisterWorker { registration, range, if_index: None });
        self.state.worker("w1").expect("registered").incarnation
    }

    fn unregister(&mut self) {
        assert_eq!(
            self.commit(Command::UnregisterWorker { id: id(), epoch: None, if_index: None }),
            Reply::Done
        );
    }

    fn hear(&mut self, beat: &Heartbeat) -> HeartbeatOutcome {
        self.keeper.heartbeat(beat, NodeId(1), 1)
    }
}

#[test]
fn r5_a_replayed_or_reordered_heartbeat_is_refused() {
    let mut leader = Leader::new();
    let lease = leader.register();
    assert!(matches!(leader.hear(&beat(lease, 7)), HeartbeatOutcome::Ok { .. }));
    assert_eq!(leader.hear(&beat(lease, 7)), HeartbeatOutcome::Replayed { last: 7 });
    assert_eq!(leader.hear(&beat(lease, 6)), HeartbeatOutcome::Replayed { last: 7 });
    assert!(matches!(leader.hear(&beat(lease, 8)), HeartbeatOutcome::Ok { .. }));
}

#[test]
fn r5_a_heartbeat_of_an_older_incarnation_is_refused() {
    let mut leader = Leader::new();
    let old = leader.register();
    let current = leader.register();
    assert_eq!(leader.hear(&beat(old, 99)), HeartbeatOutcome::Superseded { current });
    assert!(matches!(leader.hear(&beat(current, 1)), HeartbeatOutcome::Ok { .. }), "a counter of its own");
}

#[test]
fn r5_a_replayed_heartbeat_does_not_bring_back_who_said_goodbye() {
    let mut leader = Leader::new();
    let lease = leader.register();
    let recorded = beat(lease, 7);
    assert!(matches!(leader.hear(&recorded), HeartbeatOutcome::Ok { .. }));
    leader.unregister();
    assert_eq!(leader.hear(&recorded), HeartbeatOutcome::Unknown);
    // The original dialect's heartbeat carries the whole registration: that does not bring it back either.
    let adopted = leader.commit(Command::AdoptWorker { registration: registration() });
    assert_eq!(adopted, Reply::Refused(Refusal::UnknownWorker { id: id() }));
    assert_eq!(leader.state.worker("w1").expect("remembered").status(), Status::Departed);
    assert!(leader.keeper.tick(1_000_000).changes.is_empty(), "nothing of it is left to propose");
}

#[test]
fn r5_a_new_leader_knows_the_incarnation_from_the_log() {
    let mut leader = Leader::new();
    let old = leader.register();
    let current = leader.register();
    let reign = Reign { term: 2, from: 0, grace: 0 };
    leader.keeper = LeaseKeeper::from_view(&leader.state, &mut Silences::default(), reign);
    assert_eq!(leader.hear(&beat(old, 99)), HeartbeatOutcome::Superseded { current });
}
