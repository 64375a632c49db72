//! A lease's whole life in one table: what each event makes of it in each phase. TTL 30 s; each row begins anew.

use super::*;
use quorate_model::Partition;

/// How a phase is reached.
const PHASES: [(&str, &str); 7] = [
    ("live", "register w; 10s; BEAT"),
    ("suspicion under way", "5s; register w; 19s; PROPOSE"),
    ("suspect", "register w; 25s"),
    ("expiry under way", "register w; 29s; PROPOSE"),
    ("expired", "register w; 31s"),
    ("displaced", "register w; 5s; DISPLACE"),
    ("unregistered", "register w; 5s; UNREGISTER"),
];

const EVENTS: [&str; 19] = [
    "heartbeat",
    "heartbeat replayed",
    "heartbeat of another life",
    "tick at once",
    "tick before suspicion",
    "tick at suspicion",
    "tick before expiry",
    "tick at expiry",
    "tick long after",
    "registered",
    "unregistered",
    "election",
    "orderly leader change",
    "apply Suspected",
    "apply Recovered",
    "apply Expired",
    "apply Revived",
    "apply Expired of an older epoch",
    "forgotten",
];

impl World {
    fn reach(&mut self, phase: &str) {
        for step in phase.split("; ") {
            match step {
                "BEAT" => {
                    let _ = self.beat_with(Some(5));
                }
                "PROPOSE" => {
                    self.now += 1_000;
                    let _ = self.keeper.tick(self.now);
                }
                "DISPLACE" => {
                    // It has nothing to lose but its partitions and services: it has none, so a taker needs one.
                    self.register_with("w", &[1]);
                    self.register_with("taker", &[1]);
                }
                "UNREGISTER" => self.unregister(),
                other => self.act(other),
            }
        }
        self.said.clear();
    }

    fn register_with(&mut self, id: &str, partitions: &[i32]) {
        let ttl = Ttl::new(Duration::from_secs(30)).expect("valid");
        let address = Address::parse("http://h:1").expect("valid");
        let mut parts = RegistrationParts::new(WorkerId::parse(id).expect("valid"), address, ttl);
        parts.partitions = partitions.iter().map(|p| Partition(*p)).collect();
        let registration = parts.validate().expect("valid");
        self.commit(Command::RegisterWorker { registration, range: PartitionRange::Strict, if_index: None });
    }

    fn unregister(&mut self) {
        let id = WorkerId::parse("w").expect("valid");
        self.commit(Command::UnregisterWorker { id, epoch: None, if_index: None });
    }

    fn beat_with(&mut self, sequence: Option<u64>) -> HeartbeatOutcome {
        let id = WorkerId::parse("w").expect("valid");
        self.keeper.heartbeat(&Heartbeat { id, incarnation: None, sequence }, VIA, self.now)
    }

    fn apply(&mut self, event: LeaseEvent, older: bool) {
        let id = WorkerId::parse("w").expect("valid");
        let stands = self.state.worker("w").map_or(Epoch(0), |w| w.epoch);
        let epoch = if older { Epoch(stands.0 - 1) } else { stands };
        self.commit(Command::ChangeLeases(vec![LeaseChange { id, epoch, event }]));
    }

    fn tick_at(&mut self, silent: Millis) -> String {
        let heard = self.keeper.leases.get("w").map_or(self.now, |lease| lease.heard);
        self.now = self.now.max(heard + silent);
        let changes = self.keeper.tick(self.now).changes;
        let about_it = changes.iter().filter(|c| c.id.as_str() == "w");
        let events: Vec<_> = about_it.map(|c| format!("{:?}", c.event)).collect();
        if events.is_empty() { "-".into() } else { events.join(",") }
    }

    /// One event; what is said or proposed.
    fn happen(&mut self, event: &str) -> String {
        let outcome = match event {
            "heartbeat" => self.beat_with(Some(9)),
            "heartbeat replayed" => {
                let _ = self.beat_with(Some(9));
                self.beat_with(Some(8))
            }
            "heartbeat of another life" => {
                let id = WorkerId::parse("w").expect("valid");
                let beat = Heartbeat { id, incarnation: Some(Epoch(1)), sequence: None };
                self.keeper.heartbeat(&beat, VIA, self.now)
            }
            "tick at once" => return self.tick_at(0),
            "tick before suspicion" => return self.tick_at(19_999),
            "tick at suspicion" => return self.tick_at(20_000),
            "tick before expiry" => return self.tick_at(29_999),
            "tick at expiry" => return self.tick_at(30_000),
            "tick long after" => return self.tick_at(90_000),
            _ => {
                match event {
                    "registered" => self.register("w"),
                    "unregistered" => self.unregister(),
                    "election" => self.elect(),
                    "orderly leader change" => self.hand_over(),
                    "apply Suspected" => self.apply(LeaseEvent::Suspected, false),
                    "apply Recovered" => self.apply(LeaseEvent::Recovered, false),
                    "apply Expired" => self.apply(LeaseEvent::Expired, false),
                    "apply Revived" => self.apply(LeaseEvent::Revived, false),
                    "apply Expired of an older epoch" => self.apply(LeaseEvent::Expired, true),
                    "forgotten" => {
                        self.now += 25 * 3_600 * 1_000;
                        self.commit(Command::ChangeLeases(Vec::new()));
                    }
                    other => panic!("unknown event {other}"),
                }
                return "-".into();
            }
        };
        match outcome {
            HeartbeatOutcome::Ok { .. } => "ok",
            HeartbeatOutcome::Unknown => "unknown",
            HeartbeatOutcome::Displaced => "displaced",
            HeartbeatOutcome::Superseded { .. } => "superseded",
            HeartbeatOutcome::Replayed { .. } => "replayed",
        }
        .into()
    }

    /// The record, what the keeper says is left, and whether a heartbeat counts or waits.
    fn stands(&self) -> String {
        let record = self.state.worker("w").map_or("no record", |w| w.status().as_str());
        let id = WorkerId::parse("w").expect("valid");
        let left = self.keeper.leases(self.now).into_iter().find(|lease| lease.id == id);
        let left = left.map_or("-".into(), |lease| format!("{:.1}s", lease.remaining.as_secs_f64()));
        let counts = match (self.keeper.accepts(&id), self.keeper.awaits(&id)) {
            (Some(_), _) => "counts",
            (None, true) => "waits",
            (None, false) => "-",
        };
        format!("{record:<9} left {left:<6} {counts}")
    }
}

#[test]
fn every_event_in_every_phase() {
    let mut table = String::new();
    for (phase, way) in PHASES {
        for event in EVENTS {
            let mut world = World::new();
            world.reach(way);
            let said = world.happen(event);
            let stands = world.stands();
            table += format!("{phase:<19} | {event:<31} | {said:<10} | {stands}").trim_end();
            table.push('\n');
            quorate_state::invariant::check(&world.state).expect("the state is sound");
        }
    }
    expect_test::expect_file!["lease_table.txt"].assert_eq(&table);
}
