//! What is written is read back, for any value.

mod support;

use proptest::{collection, prelude::*};
use quorate_codec::{
    log::{LogRecord, Payload, decode_log, encode_log},
    proposal::{decode_proposals, encode_proposals},
    reply::{decode_replies, encode_replies},
    snapshot::{self, SnapshotMeta},
};
use quorate_model::{Entry, Epoch, Intent, Lifecycle, LogIndex, LogTime, RegistrationParts, Worker};
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
