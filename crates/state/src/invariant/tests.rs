use super::*;
use quorate_model::{Address, Epoch, Lifecycle, LogTime, RegistrationParts, Ttl, Worker, WorkerId};
use std::{sync::Arc, time::Duration};

/// Each checker must be able to fail: one broken state for each.
#[test]
fn every_invariant_can_fail() {
    let broken: [fn(&mut State); 17] = [
        |s| s.insert_raw(worker("w", 1, &[1], Lifecycle::Live)),
        |s| Arc::make_mut(s.keyspaces.get_mut("default").expect("formed")).table.push_back(None),
        |s| s.insert_raw(worker("w", 1, &[1], Lifecycle::Unregistered { at: LogTime(0) })),
        |s| s.insert_raw(worker("w", 99, &[], Lifecycle::Live)),
        |s| s.routable += 1,
        |s| drop(s.retention.insert((LogTime(1), WorkerId::parse("ghost").expect("valid")))),
        |s| {
            for boot in 0..=limit::REPLY_WINDOWS_MAX as u64 {
                s.windows.insert(quorate_model::BootId(boot), crate::window::Window::default());
            }
        },
        |s| s.policies += 1,
        |s| s.unsettled.push("g".into()),
        |s| {
            let mut offering = (*worker("w", 1, &[], Lifecycle::Live).registration).clone().into_parts();
            offering.services = vec![offer("upload")];
            let record = worker("w", 1, &[], Lifecycle::Live);
            let registration = Arc::new(offering.validate().expect("valid"));
            s.take_in(Arc::new(Worker { registration, ..record })).expect("alone");
            s.take_ailment(&quorate_model::Ailment {
                service: offer("upload").name,
                worker: WorkerId::parse("w").expect("valid"),
                incarnation: Epoch(1),
                since: LogTime(1),
            });
        },
        |s| s.config_changed = quorate_model::LogIndex(99),
        |s| s.sandboxes.end_raw(LogTime(1)),
        |s| s.history = Some(crate::ConfigHistory::beginning(quorate_model::LogIndex(99))),
        |s| s.presence.hold_raw(),
        |s| drop(s.sandboxes.insert(Arc::new(unramped()))),
        |s| s.objects.end_raw(LogTime(1)),
        |s| s.last_epoch_raw_object(),
    ];
    for ((name, check), break_it) in ALL.iter().zip(broken) {
        let mut state = formed();
        assert!(check(&state).is_ok(), "{name} holds at first");
        break_it(&mut state);
        assert!(check(&state).is_err(), "{name} is noticed");
    }
}

/// A sandbox that says where a ramp stands, and has none.
fn unramped() -> quorate_model::StoredSandbox {
    use quorate_model::{RampPhase, RampState, StoredSandbox, route::Destination, route::Target};
    let target = Target::parse("target", "upload").expect("valid");
    let rule = quorate_model::SandboxRule {
        destinations: vec![Destination { target, weight: 1 }],
        ..Default::default()
    };
    let parts = quorate_model::SandboxParts { rules: vec![rule], ttl: None };
    let at = quorate_model::LogIndex(1);
    let phase = RampPhase::Running { since: LogTime(0) };
    StoredSandbox {
        key: quorate_model::RoutingKey::parse("k").expect("valid"),
        sandbox: Arc::new(parts.validate().expect("valid")),
        created: at,
        changed: at,
        ends: None,
        ramps: [(0, RampState { epoch: at, entered: 1, phase })].into(),
    }
}

fn offer(name: &str) -> quorate_model::ServiceOffer {
    let name = quorate_model::ServiceName::parse(name).expect("valid");
    quorate_model::ServiceOffer { name, version: "".into(), url: None }
}

fn formed() -> State {
    let command = quorate_model::Command::FormCluster {
        cluster: quorate_model::ClusterId(1),
        partitions: quorate_model::PartitionCount::new(12).ok(),
        source: quorate_model::KeyspaceSource::Static,
    };
    let origin = quorate_model::Origin { boot: quorate_model::BootId(1), sequence: 1 };
    let mut state = State::new();
    let proposals = vec![quorate_model::Proposal { origin, command }];
    state.apply(quorate_model::LogIndex(1), &quorate_model::Entry { at: LogTime(1), proposals });
    state
}

fn worker(id: &str, epoch: u64, partitions: &[i32], lifecycle: Lifecycle) -> Worker {
    let id = WorkerId::parse(id).expect("valid");
    let ttl = Ttl::new(Duration::from_secs(30)).expect("valid");
    let parts = RegistrationParts::new(id, Address::parse("http://h:1").expect("valid"), ttl);
    let parts = RegistrationParts { partitions: partitions.iter().map(|p| Partition(*p)).collect(), ..parts };
    Worker {
        registration: Arc::new(parts.validate().expect("valid")),
        lost: Vec::new(),
        epoch: Epoch(epoch),
        incarnation: Epoch(epoch),
        registered_at: LogTime(0),
        lifecycle,
        intent: quorate_model::Intent::default(),
        changed: quorate_model::LogIndex(1),
    }
}

impl State {
    /// One of an epoch that was never granted.
    fn last_epoch_raw_object(&mut self) {
        let label = |text| quorate_model::DnsLabel::parse(text).expect("valid");
        let spec = quorate_model::object::ObjectSpec::Sandbox(quorate_model::object::SandboxSpec::default());
        let text = quorate_model::object::ObjectText::new("spec", "{}").expect("short");
        let object = quorate_model::Object::new(label("ns"), label("s"), spec, text);
        self.take_objects(&[Arc::new(quorate_model::StoredObject {
            object: Arc::new(object),
            status: None,
            uid: 1,
            epoch: Epoch(99),
            generation: 1,
            created_at: LogTime(1),
            changed: quorate_model::LogIndex(1),
            ends: None,
        })]);
    }

    fn insert_raw(&mut self, worker: Worker) {
        self.workers.insert(worker.id().clone(), Arc::new(worker));
    }
}
