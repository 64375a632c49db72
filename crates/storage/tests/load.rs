//! A snapshot of many sections, which are read on several threads: the state is the one that was written, and what is
//! wrong is told as if one thread had read it.

use quorate_codec::{
    DecodeError,
    snapshot::{self, SnapshotMeta},
};
use quorate_model::{
    Address, Capability, Epoch, Intent, Keyspace, KeyspaceName, KeyspaceSource, Lifecycle, LogIndex, LogTime,
    Partition, PartitionCount, RegistrationParts, RouteName, RouteParts, ServiceName, ServiceOffer,
    StoredRoute, Ttl, Worker, WorkerId,
    route::{Action, Destination, Forwarding, Target},
};
use quorate_state::{Parts, PartsError, State};
use quorate_storage::snapshots::{SnapshotError, load};
use std::{sync::Arc, time::Duration};

/// Enough for a dozen sections.
const WORKERS: u32 = 3_000;

/// Of three zones; each tenth states a label and a service of its own.
fn worker(number: u32) -> Worker {
    let id = WorkerId::parse(&format!("w{number:05}")).expect("valid");
    let address = Address::parse(&format!("http://10.0.0.1:{}/w", number + 1)).expect("valid");
    let ttl = Ttl::new(Duration::from_secs(30)).expect("valid");
    let mut parts = RegistrationParts::new(id, address.clone(), ttl);
    parts.partitions = vec![Partition(i32::try_from(number).expect("small"))];
    parts.labels.insert("zone".into(), format!("zone \"{}\"", number % 3).into());
    for note in ["a", "b", "c"] {
        parts.labels.insert(note.into(), note.repeat(250).into());
    }
    parts.capabilities.insert("gpu".into(), Capability::Flag(number.is_multiple_of(2)));
    let own = (number.is_multiple_of(10)).then_some(address);
    if own.is_some() {
        parts.labels.insert("number".into(), number.to_string().into());
    }
    let name = ServiceName::parse("echo").expect("valid");
    parts.services = vec![ServiceOffer { name, version: "x".repeat(200).into(), url: own }];
    Worker {
        registration: Arc::new(parts.validate().expect("valid")),
        lost: Vec::new(),
        epoch: Epoch(u64::from(number) + 1),
        incarnation: Epoch(u64::from(number) + 1),
        registered_at: LogTime(1),
        lifecycle: Lifecycle::Live,
        intent: Intent::default(),
        changed: LogIndex(1),
    }
}

fn route(number: u64) -> Arc<StoredRoute> {
    let target = Target::Service(ServiceName::parse("echo").expect("valid"));
    let destinations = vec![Destination { target, weight: 1 }];
    let action = Action::from(Forwarding { destinations, ..Forwarding::default() });
    let name = RouteName::parse(&format!("{number:04}-{}", "r".repeat(100))).expect("valid");
    let route = RouteParts { action, ..RouteParts::default() }.validate(name).expect("valid");
    Arc::new(StoredRoute { route, created: LogIndex(number), changed: LogIndex(9) })
}

fn parts() -> Parts {
    Parts {
        // Of several sections as well.
        routes: (0..2_000).map(route).collect(),
        config_changed: LogIndex(9),
        index: LogIndex(9),
        last_epoch: Epoch(u64::from(WORKERS)),
        workers: (0..WORKERS).map(|number| Arc::new(worker(number))).collect(),
        keyspaces: vec![Keyspace {
            name: KeyspaceName::default(),
            partitions: PartitionCount::new(WORKERS).ok(),
            source: KeyspaceSource::Static,
            hold: None,
            changed: LogIndex(1),
        }],
        ..Parts::default()
    }
}

fn written(parts: &Parts) -> Vec<u8> {
    snapshot::encode(&SnapshotMeta::default(), parts)
}

/// Where the payloads of the sections of workers begin.
fn sections(bytes: &[u8]) -> Vec<usize> {
    let head = [&[7][..], b"workers"].concat();
    let begins = bytes.windows(head.len()).enumerate().filter(|(_, window)| *window == head);
    begins.map(|(at, _)| at + head.len() + 1 + 8 + 4).collect()
}

#[test]
fn the_state_is_the_one_that_was_written() {
    let parts = parts();
    let bytes = written(&parts);
    assert!(sections(&bytes).len() > 8, "{:?}", sections(&bytes));
    let loaded = load(&bytes[..]).expect("it loads").state;
    assert_eq!(loaded.parts(), parts);
    assert_eq!(written(&loaded.parts()), bytes);
    let first = State::from_parts(parts).expect("sound");
    assert_eq!(loaded.worker_count(), first.worker_count());
    let holder = |state: &State| state.default_keyspace()?.claimant(77).map(|w| w.id().to_string());
    assert_eq!(holder(&loaded), Some("w00077".into()));
}

/// Counter-example: a label set kept by a thread for each worker, as before: a fleet's labels a million times.
#[test]
fn workers_that_state_the_same_share_it() {
    let loaded = load(&written(&parts())[..]).expect("it loads").state;
    let labels =
        |id: &str| std::ptr::from_ref(&loaded.worker(id).expect("there").registration.labels["zone"]);
    // Both of the first section, hence of one thread.
    assert_eq!(labels("w00001"), labels("w00004"));
    assert_ne!(labels("w00001"), labels("w00002"), "another zone");
}

#[test]
fn damage_in_any_section_is_told_and_the_first_one_first() {
    let bytes = written(&parts());
    let begins = sections(&bytes);
    for at in [begins[0], begins[begins.len() / 2], begins[begins.len() - 1]] {
        let mut damaged = bytes.clone();
        damaged[at + 50] ^= 1;
        let error = load(&damaged[..]).map(drop).expect_err("damaged");
        assert!(matches!(error, SnapshotError::Decode(DecodeError::Checksum { .. })), "{error}");
    }
    // Cut short behind a damaged section, many times: whoever is quicker, the earlier one is told.
    for round in 0..5 {
        let (early, late) = (begins[2], begins[4]);
        let mut damaged = bytes[..late + round].to_vec();
        damaged[early + 50] ^= 1;
        let error = load(&damaged[..]).map(drop).expect_err("damaged");
        assert!(matches!(error, SnapshotError::Decode(DecodeError::Checksum { .. })), "{error}");
        damaged[early + 50] ^= 1;
        let error = load(&damaged[..]).map(drop).expect_err("cut short").to_string();
        assert!(error.contains("cut short"), "{error}");
    }
}

#[test]
fn a_missing_section_and_a_worker_that_is_there_twice_are_refused() {
    let bytes = written(&parts());
    let begins = sections(&bytes);
    let head = 1 + "workers".len() + 1 + 8 + 4;
    let mut short = bytes.clone();
    short.drain(begins[3] - head..begins[4] - head);
    let error = load(&short[..]).map(drop).expect_err("incomplete").to_string();
    assert!(error.contains("sections are missing"), "{error}");

    let mut twice = parts();
    let mut again = worker(WORKERS - 1);
    again.registration = worker(5).registration;
    twice.workers[WORKERS as usize - 1] = Arc::new(again);
    let error = load(&written(&twice)[..]).map(drop).expect_err("twice");
    assert!(
        matches!(&error, SnapshotError::Parts(PartsError::Claim { worker, .. }) if worker == "w00005"),
        "{error}"
    );
}
