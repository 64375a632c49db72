//! The keeper driven by hand: a small world of one state and one keeper, seconds as text.

use super::*;
use expect_test::{Expect, expect};
use quorate_model::{
    Address, BootId, ClusterId, Command, Entry, KeyspaceSource, LogIndex, LogTime, Origin, PartitionCount,
    PartitionRange, Proposal, RegistrationParts, Ttl,
};
use quorate_state::State;

const VIA: NodeId = NodeId(1);

struct World {
    state: State,
    keeper: LeaseKeeper,
    silences: Silences,
    term: u64,
    now: Millis,
    sequence: u64,
    held: usize,
    said: String,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            state: State::new(),
            keeper: LeaseKeeper::default(),
            silences: Silences::default(),
            term: 1,
            now: 0,
            sequence: 0,
            held: 0,
            said: String::new(),
        };
        let partitions = PartitionCount::new(12).ok();
        world.commit(Command::FormCluster {
            cluster: ClusterId(1),
            partitions,
            source: KeyspaceSource::Static,
        });
        world
    }

    fn commit(&mut self, command: Command) {
        self.sequence += 1;
        let origin = Origin { boot: BootId(1), sequence: self.sequence };
        let at = LogTime(u64::try_from(self.now).expect("time is positive"));
        let index = LogIndex(self.state.index().0 + 1);
        let applied = self.state.apply(index, &Entry { at, proposals: vec![Proposal { origin, command }] });
        self.silences.observe(&self.state, &applied.events, self.now);
        self.keeper.observe(&self.state, &applied.events, self.now);
    }

    /// A new leader, with a second in which nobody expires.
    fn elect(&mut self) {
        self.term += 1;
        let reign = Reign { term: self.term, from: self.now, grace: 1_000 };
        self.keeper = LeaseKeeper::from_view(&self.state, &mut self.silences, reign);
    }

    /// The leader goes in order, and the next one takes over.
    fn hand_over(&mut self) {
        let silences = self.keeper.silences(self.now);
        self.commit(Command::HandOverLeases { term: self.term, silences });
        self.elect();
    }

    /// Runs ticks of 250 ms up to `until`, committing what the keeper proposes and writing it down.
    fn run(&mut self, until: Millis) {
        while self.now < until {
            self.now += 250;
            let Tick { changes, held, .. } = self.keeper.tick(self.now);
            if held != self.held {
                self.said += &format!("{}ms {held} held\n", self.now);
                self.held = held;
            }
            if changes.is_empty() {
                continue;
            }
            for c in &changes {
                self.said += &format!("{}ms {} {:?}\n", self.now, c.id, c.event);
            }
            self.commit(Command::ChangeLeases(changes));
            self.keeper.settle();
        }
    }

    fn register(&mut self, id: &str) {
        let ttl = Ttl::new(Duration::from_secs(30)).expect("valid");
        let address = Address::parse("http://h:1").expect("valid");
        let parts = RegistrationParts::new(WorkerId::parse(id).expect("valid"), address, ttl);
        let registration = parts.validate().expect("valid");
        self.commit(Command::RegisterWorker { registration, range: PartitionRange::Strict, if_index: None });
    }

    fn beat(&mut self, id: &str) -> HeartbeatOutcome {
        self.beat_via(id, VIA)
    }

    fn beat_via(&mut self, id: &str, via: NodeId) -> HeartbeatOutcome {
        let beat = Heartbeat { id: WorkerId::parse(id).expect("valid"), incarnation: None, sequence: None };
        self.keeper.heartbeat(&beat, via, self.now)
    }

    /// Nodes that looked for a second got no connection.
    fn down(&mut self, id: &str, epoch: Epoch) {
        let worker = WorkerId::parse(id).expect("valid");
        let early = self.keeper.end_early(&worker, epoch, 1_000, self.now);
        self.said += &format!("{}ms {id} is down: {early:?}\n", self.now);
    }

    /// `register w`, `beat w`, `down w`, `elect` (a new keeper from the state), `hand-over` (the same in order), `15s` (time passes).
    fn act(&mut self, script: &str) {
        for step in script.split(';').map(str::trim) {
            match step.split_once(' ') {
                Some(("register", id)) => self.register(id),
                Some(("beat", id)) => {
                    let outcome = self.beat(id);
                    if !matches!(outcome, HeartbeatOutcome::Ok { .. }) {
                        self.said += &format!("{}ms {id} {outcome:?}\n", self.now);
                    }
                }
                Some(("down", id)) => {
                    let epoch = self.state.worker(id).expect("known").epoch;
                    self.down(id, epoch);
                }
                None if step == "elect" => self.elect(),
                None if step == "hand-over" => self.hand_over(),
                None => {
                    let seconds: Millis = step.trim_end_matches('s').parse().expect("seconds");
                    let until = self.now + seconds * 1_000;
                    self.run(until);
                }
                Some(other) => panic!("unknown step {other:?}"),
            }
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "expect! values are passed by value everywhere")]
fn check(script: &str, said: Expect) {
    let mut world = World::new();
    world.act(script);
    said.assert_eq(&world.said);
    quorate_state::invariant::check(&world.state).expect("the state is sound");
}

#[test]
fn a_healthy_worker_costs_no_entry() {
    let beats = "15s; beat w; ".repeat(20);
    check(&format!("register w; {beats} 1s"), expect![""]);
}

#[test]
fn a_silent_worker_is_suspected_then_expired_at_its_ttl() {
    check(
        "register w; 60s",
        expect![[r#"
        20000ms w Suspected
        30000ms w Expired
    "#]],
    );
}

#[test]
fn a_late_heartbeat_recovers_a_suspect() {
    check(
        "register w; 25s; beat w; 10s; beat w; 10s",
        expect![[r#"
        20000ms w Suspected
        25250ms w Recovered
    "#]],
    );
}

#[test]
fn an_expired_worker_is_revived_by_a_heartbeat() {
    check(
        "register w; 40s; beat w; 1s",
        expect![[r#"
        20000ms w Suspected
        30000ms w Expired
        40250ms w Revived
    "#]],
    );
}

#[test]
fn a_heartbeat_during_its_expiry_revives() {
    let mut world = World::new();
    world.act("register w; 29s");
    world.now = 30_000;
    let expiry = world.keeper.tick(world.now).changes;
    assert_eq!(expiry.len(), 1);
    world.beat("w");
    world.commit(Command::ChangeLeases(expiry));
    assert_eq!(world.state.worker("w").expect("kept").status(), Status::Expired);
    world.act("1s");
    assert_eq!(world.state.worker("w").expect("kept").status(), Status::Live);
}

#[test]
fn what_was_not_applied_is_proposed_again() {
    let mut world = World::new();
    world.act("register w; 19s");
    world.now = 20_000;
    assert_eq!(world.keeper.tick(world.now), world.keeper.tick(world.now + 250));
}

#[test]
fn a_replayed_or_superseded_heartbeat_is_refused() {
    let mut world = World::new();
    world.act("register w");
    let epoch = world.state.worker("w").expect("registered").incarnation;
    let id = WorkerId::parse("w").expect("valid");
    let mut beat = Heartbeat { id, incarnation: Some(epoch), sequence: Some(5) };
    assert_eq!(world.keeper.heartbeat(&beat, VIA, 1), HeartbeatOutcome::Ok { epoch });
    assert_eq!(world.keeper.heartbeat(&beat, VIA, 2), HeartbeatOutcome::Replayed { last: 5 });
    beat.sequence = Some(4);
    assert_eq!(world.keeper.heartbeat(&beat, VIA, 3), HeartbeatOutcome::Replayed { last: 5 });
    world.act("register w");
    let current = world.state.worker("w").expect("registered").incarnation;
    assert_eq!(world.keeper.heartbeat(&beat, VIA, 4), HeartbeatOutcome::Superseded { current });
    let stranger = Heartbeat { id: WorkerId::parse("x").expect("valid"), incarnation: None, sequence: None };
    assert_eq!(world.keeper.heartbeat(&stranger, VIA, 5), HeartbeatOutcome::Unknown);
}

#[test]
fn a_revived_worker_goes_on_with_the_lease_id_that_it_has() {
    let mut world = World::new();
    world.act("register w; 40s");
    let old = world.state.worker("w").expect("kept").clone();
    let beat = |sequence| Heartbeat {
        id: old.id().clone(),
        incarnation: Some(old.incarnation),
        sequence: Some(sequence),
    };
    assert_eq!(world.keeper.heartbeat(&beat(1), VIA, world.now), HeartbeatOutcome::Ok { epoch: old.epoch });
    world.act("1s");
    let revived = world.state.worker("w").expect("kept").clone();
    assert!(revived.epoch > old.epoch, "a new grant has a larger token");
    assert_eq!(
        world.keeper.heartbeat(&beat(2), VIA, world.now),
        HeartbeatOutcome::Ok { epoch: revived.epoch }
    );
}

#[test]
fn a_heartbeat_during_its_suspicion_recovers() {
    let mut world = World::new();
    world.act("register w; 19s");
    world.now = 20_000;
    let suspicion = world.keeper.tick(world.now).changes;
    assert_eq!(suspicion.len(), 1);
    world.beat("w");
    world.commit(Command::ChangeLeases(suspicion));
    assert_eq!(world.state.worker("w").expect("kept").status(), Status::Suspect);
    world.act("1s");
    assert_eq!(world.state.worker("w").expect("kept").status(), Status::Live);
}

#[test]
fn thousands_of_heartbeats_cost_no_entry() {
    let mut world = World::new();
    let ids: Vec<_> = (0..200).map(|i| format!("w{i}")).collect();
    ids.iter().for_each(|id| world.register(id));
    let before = world.state.index();
    // Each third of the TTL, as ours do, for five minutes.
    for _ in 0..30 {
        ids.iter().for_each(|id| {
            let _ = world.beat(id);
        });
        world.act("10s");
    }
    assert_eq!((world.state.index(), world.said.as_str()), (before, ""), "6,000 heartbeats, no entry");
}

#[test]
fn a_heartbeat_is_accepted_only_once_the_record_says_live() {
    let mut world = World::new();
    world.act("register w; 19s");
    let id = WorkerId::parse("w").expect("valid");
    assert!(world.keeper.accepts(&id).is_some(), "a healthy one waits for nothing");
    world.now = 20_000;
    let suspicion = world.keeper.tick(world.now).changes;
    world.beat("w");
    assert_eq!(
        (world.keeper.accepts(&id), world.keeper.awaits(&id)),
        (None, true),
        "the suspicion is under way"
    );
    world.commit(Command::ChangeLeases(suspicion));
    world.keeper.settle();
    assert_eq!(
        (world.keeper.accepts(&id), world.keeper.awaits(&id)),
        (None, true),
        "the record says suspect"
    );
    world.act("1s");
    assert_eq!((world.keeper.accepts(&id), world.keeper.awaits(&id)), (Some(Epoch(2)), false));
}

#[test]
fn a_suspicion_that_was_lost_on_its_way_is_made_void_behind_it() {
    let mut world = World::new();
    world.act("register w; 19s");
    let id = WorkerId::parse("w").expect("valid");
    world.now = 20_000;
    world.keeper.tick(world.now);
    world.beat("w");
    // Nobody knows what became of the first proposal: the second stands behind it in the log, if both do.
    let second = world.keeper.tick(world.now + 250).changes;
    assert_eq!(second.iter().map(|c| c.event).collect::<Vec<_>>(), [LeaseEvent::Recovered]);
    world.commit(Command::ChangeLeases(second));
    assert_eq!(world.keeper.accepts(&id), None);
    world.keeper.settle();
    assert_eq!((world.keeper.accepts(&id), world.keeper.awaits(&id)), (Some(Epoch(2)), false));
}

#[test]
fn a_repeat_of_a_heartbeat_that_was_not_accepted_yet_is_no_replay() {
    let mut world = World::new();
    world.act("register w; 21s");
    let id = WorkerId::parse("w").expect("valid");
    let beat = Heartbeat { id, incarnation: None, sequence: Some(7) };
    assert_eq!(world.keeper.heartbeat(&beat, VIA, world.now), HeartbeatOutcome::Ok { epoch: Epoch(2) });
    assert_eq!(world.keeper.heartbeat(&beat, VIA, world.now), HeartbeatOutcome::Ok { epoch: Epoch(2) });
    world.act("1s");
    assert_eq!(world.keeper.heartbeat(&beat, VIA, world.now), HeartbeatOutcome::Replayed { last: 7 });
}

#[path = "lease_early_tests.rs"]
mod early;
#[path = "lease_election_tests.rs"]
mod elections;
#[path = "lease_guard_tests.rs"]
mod guard;
#[path = "lease_table_tests.rs"]
mod table;
