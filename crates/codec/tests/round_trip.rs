//! What is written is read back, for any value.

mod support;

use proptest::{collection, prelude::*};
use quorate_codec::{
    log::{LogRecord, Payload, decode_log, encode_log},
    proposal::{decode_proposals, encode_proposals},
    reply::{decode_replies, encode_replies},
    snapshot::{self, SnapshotMeta},
};
use quorate_model::{
    Entry, Epoch, Intent, Lifecycle, LogIndex, LogTime, RegistrationParts, StoredRoute, Worker,
};
use quorate_state::Parts;
use std::sync::Arc;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn proposals(proposals in collection::vec(support::any_proposal(), 0..5)) {
        prop_assert_eq!(decode_proposals(&encode_proposals(&proposals)), Ok(proposals));
    }

    #[test]
    fn replies(replies in collection::vec(support::replies::any_reply(), 0..20)) {
        prop_assert_eq!(decode_replies(&encode_replies(&replies)), Ok(replies));
    }

    #[test]
    fn log_records(at: u64, id: (u64, u64, u64), proposals in collection::vec(support::any_proposal(), 0..3)) {
        let payload = Payload::Normal(Entry { at: LogTime(at), proposals });
        let record = LogRecord { term: id.0, leader: id.1, index: id.2, payload };
        prop_assert_eq!(decode_log(&encode_log(&record)), Ok(record));
    }

    #[test]
    fn workers_in_snapshots(registrations in collection::vec(support::services::extended(), 0..5)) {
        let workers = registrations.into_iter().map(|registration| Arc::new(Worker {
            registration: Arc::new(registration),
            lost: Vec::new(),
            epoch: Epoch(1),
            incarnation: Epoch(1),
            registered_at: LogTime(1),
            lifecycle: Lifecycle::Live,
            intent: Intent::default(),
            changed: LogIndex(1),
        }));
        let parts = Parts { workers: workers.collect(), ..Parts::default() };
        let meta = SnapshotMeta::default();
        prop_assert_eq!(snapshot::decode(&snapshot::encode(&meta, &parts)), Ok((meta, parts)));
    }

    #[test]
    fn sandboxes_in_snapshots(
        sandboxes in collection::vec(support::sandboxes::any_stored(), 0..4),
    ) {
        let parts = Parts { sandboxes, ..Parts::default() };
        let meta = SnapshotMeta::default();
        prop_assert_eq!(snapshot::decode(&snapshot::encode(&meta, &parts)), Ok((meta, parts)));
    }

    #[test]
    fn histories_in_snapshots(history in support::past::any_history()) {
        let parts = Parts { history: Some(history), ..Parts::default() };
        let meta = SnapshotMeta::default();
        prop_assert_eq!(snapshot::decode(&snapshot::encode(&meta, &parts)), Ok((meta, parts)));
    }

    #[test]
    fn users_in_snapshots(presence in support::sessions::any_parts()) {
        let parts = Parts { presence, ..Parts::default() };
        let meta = SnapshotMeta::default();
        prop_assert_eq!(snapshot::decode(&snapshot::encode(&meta, &parts)), Ok((meta, parts)));
    }

    #[test]
    fn tunnels_in_snapshots(presence in support::presence::any_parts()) {
        let parts = Parts { presence, ..Parts::default() };
        let meta = SnapshotMeta::default();
        prop_assert_eq!(snapshot::decode(&snapshot::encode(&meta, &parts)), Ok((meta, parts)));
    }

    #[test]
    fn objects_in_snapshots(
        objects in collection::vec(support::objects::any_stored(), 0..4),
    ) {
        let parts = Parts { objects, ..Parts::default() };
        let meta = SnapshotMeta::default();
        prop_assert_eq!(snapshot::decode(&snapshot::encode(&meta, &parts)), Ok((meta, parts)));
    }

    #[test]
    fn routes_and_policies_in_snapshots(
        routes in collection::vec(support::any_traffic::any_stored_route(), 0..4),
        policies in collection::vec(support::any_traffic::any_stored_policy(), 0..4),
    ) {
        let parts = Parts { routes, policies, ..Parts::default() };
        let meta = SnapshotMeta::default();
        prop_assert_eq!(snapshot::decode(&snapshot::encode(&meta, &parts)), Ok((meta, parts)));
    }
}

#[test]
fn many_routes_are_many_sections() {
    let (meta, parts) = support::traffic::snapshot();
    let route = |i: usize| {
        let name = support::traffic::route_name(&format!("r{i:05}"));
        let one = &*parts.routes[i % parts.routes.len()];
        let route = (*one.route).clone().validate(name).expect("valid");
        Arc::new(StoredRoute { route, ..one.clone() })
    };
    let parts = Parts { routes: (0..2_000).map(route).collect(), ..parts.clone() };
    let mut out = snapshot::Writer::begin(&meta, &parts, Vec::new()).expect("written");
    parts.workers.iter().for_each(|w| out.worker(snapshot::Place::Standing, w).expect("written"));
    let (bytes, written) = out.finish().expect("written");
    assert!(written.held_bytes_max < 300 << 10, "one of {}, of {}", written.held_bytes_max, bytes.len());
    assert!(bytes.len() > 2 * written.held_bytes_max);
    assert_eq!(snapshot::decode(&bytes), Ok((meta, parts)));
}

#[test]
fn many_workers_are_many_sections() {
    let (meta, parts) = support::snapshot();
    let one = parts.workers[0].clone();
    let worker = |i: usize| {
        let registration = RegistrationParts {
            id: support::worker_id(&format!("w{i}")),
            ..one.registration.as_ref().clone().into_parts()
        };
        Arc::new(Worker { registration: Arc::new(registration.validate().expect("valid")), ..(*one).clone() })
    };
    let parts = Parts { workers: (0..10_000).map(worker).collect(), ..parts };
    let bytes = snapshot::encode(&meta, &parts);
    let heads: Vec<usize> =
        bytes.windows(8).enumerate().filter(|(_, w)| w == b"\x07workers").map(|(at, _)| at).collect();
    let longest = heads.windows(2).map(|pair| pair[1] - pair[0]).max().expect("many");
    assert!(longest < 300 << 10, "one of {longest} bytes, of {}", bytes.len());
    assert_eq!(snapshot::decode(&bytes), Ok((meta, parts)));
}
