//! What came with services, at the third level.

use super::*;
use quorate_model::{Delegate, Duty, Hold, ServicePolicy, StoredPolicy};

pub fn service(name: &str) -> ServiceName {
    ServiceName::parse(name).expect("valid")
}

fn hold() -> Option<Hold> {
    Hold::new(Duration::from_secs(5), 64).ok()
}

fn policy() -> ServicePolicy {
    ServicePolicy::new(hold(), Some(Duration::from_secs(3))).expect("valid")
}

fn stored() -> Vec<StoredPolicy> {
    vec![
        StoredPolicy { service: service("chat"), policy: policy(), changed: LogIndex(39) },
        StoredPolicy { service: service("echo"), policy: ServicePolicy::default(), changed: LogIndex(38) },
    ]
}

fn with_extras(registration: Registration) -> Registration {
    let extras = Extras {
        wants_delegate: true,
        tunnel: Address::parse("https://tunnel.example/w1").ok(),
        unhealthy: registration.services.iter().take(1).map(|offer| offer.name.clone()).collect(),
    };
    RegistrationParts { extras: extras.boxed(), ..registration.into_parts() }.validate().expect("valid")
}

fn workers_with() -> Vec<Arc<Worker>> {
    let duties = [Duty::InService, Duty::Draining, Duty::Offline, Duty::Draining, Duty::Offline];
    let with = |(worker, duty): (Arc<Worker>, Duty)| {
        let intent = Intent { duty, since: LogTime(1_790_000_000_000), weight: Some(7) };
        let registration = Arc::new(with_extras((*worker.registration).clone()));
        Arc::new(Worker { registration, intent, ..(*worker).clone() })
    };
    workers().into_iter().zip(duties).map(with).collect()
}

fn keyspaces_with() -> Vec<Keyspace> {
    keyspace_records().into_iter().map(|keyspace| Keyspace { hold: hold(), ..keyspace }).collect()
}

pub fn commands() -> Vec<(&'static str, Command)> {
    let registration = with_extras(registration());
    let register = Command::RegisterWorker {
        registration: registration.clone(),
        range: PartitionRange::Strict,
        if_index: None,
    };
    let put = Command::PutKeyspace {
        name: keyspace("other"),
        partitions: PartitionCount::new(12).ok(),
        source: KeyspaceSource::Kafka,
        hold: hold(),
        if_index: None,
    };
    let (id, if_index) = (worker_id("w1"), Some(LogIndex(3)));
    let begin = RestoreStep::Begin { keyspaces: keyspaces_with(), policies: stored(), last_epoch: Epoch(30) };
    vec![
        ("register-worker-with", register),
        ("adopt-worker-with", Command::AdoptWorker { registration }),
        ("put-keyspace-with", put),
        ("set-duty", Command::SetDuty { id: id.clone(), duty: Duty::Draining, if_index }),
        ("set-weight", Command::SetWeight { id, weight: Some(7), if_index: None }),
        ("put-service", Command::PutService { name: service("chat"), policy: policy(), if_index }),
        ("delete-service", Command::DeleteService { name: service("chat"), if_index: None }),
        ("restore-begin-with", restore(begin)),
        ("restore-workers-with", restore(RestoreStep::Workers { batch: 3, workers: workers_with() })),
    ]
}

/// With everything that came with services.
pub fn snapshot() -> (SnapshotMeta, Parts) {
    let (meta, parts) = super::snapshot();
    let delegate = Delegate {
        group: "default".into(),
        worker: worker_id("w0"),
        incarnation: Epoch(10),
        epoch: Epoch(29),
        since: LogTime(1_790_000_000_000),
    };
    let restoring = RestoringParts {
        id: RestoreId(0xbac),
        touched: LogTime(1_790_000_000_001),
        batches: 4,
        last_epoch: Epoch(30),
        keyspaces: keyspaces_with(),
        policies: stored(),
        routes: Vec::new(),
        sandboxes: Vec::new(),
        objects: Vec::new(),
        workers: Vec::new(),
    };
    let replies = replies().into_iter().skip(16).take(3).enumerate();
    let replies = replies.map(|(i, (_, reply))| (i as u64, LogIndex(30), reply)).collect();
    let parts = Parts {
        level: FeatureLevel::THIRD,
        workers: workers_with(),
        keyspaces: keyspaces_with(),
        windows: vec![WindowParts { boot: BootId(1), used: LogIndex(41), replies }],
        policies: stored(),
        delegates: vec![Arc::new(delegate)],
        restoring: Some(restoring),
        ..parts
    };
    (meta, parts)
}

/// Registrations of which some say more than those of the first level.
pub fn extended() -> impl Strategy<Value = Registration> {
    (registrations(), any::<bool>(), option::of(addresses())).prop_map(|(plain, wants_delegate, tunnel)| {
        let unhealthy = plain.services.iter().take(1).map(|offer| offer.name.clone()).collect();
        let extras = Extras { wants_delegate, tunnel, unhealthy };
        RegistrationParts { extras: extras.boxed(), ..plain.into_parts() }.validate().expect("valid")
    })
}

pub fn any_command() -> impl Strategy<Value = Command> {
    let duties = prop_oneof![Just(Duty::InService), Just(Duty::Draining), Just(Duty::Offline)];
    prop_oneof![
        extended().prop_map(|registration| Command::AdoptWorker { registration }),
        (ids(), duties, indexes()).prop_map(|(id, duty, if_index)| Command::SetDuty { id, duty, if_index }),
        (ids(), option::of(0u32..=1_000_000), indexes())
            .prop_map(|(id, weight, if_index)| Command::SetWeight { id, weight, if_index }),
        (1_000u64..=10_000, 1u32..=100_000, option::of(10u64..=3_600_000), indexes()).prop_map(
            |(wait, waiting_max, timeout, if_index)| {
                let hold = Hold::new(Duration::from_millis(wait), waiting_max).ok();
                let policy = ServicePolicy::new(hold, timeout.map(Duration::from_millis)).expect("valid");
                Command::PutService { name: service("chat"), policy, if_index }
            }
        ),
    ]
}
