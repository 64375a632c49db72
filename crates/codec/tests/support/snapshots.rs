//! Samples of snapshots.

use super::*;

/// One worker of each lifecycle.
pub fn workers() -> Vec<Arc<Worker>> {
    let at = LogTime(1_790_000_000_000);
    let lives = [
        Lifecycle::Live,
        Lifecycle::Suspect { since: at },
        Lifecycle::Expired { at },
        Lifecycle::Displaced { at },
        Lifecycle::Unregistered { at },
    ];
    let worker = |(i, lifecycle): (usize, Lifecycle)| {
        let id = worker_id(&format!("w{i}"));
        let registration = RegistrationParts { id, ..registration().into_parts() }.validate().expect("valid");
        Arc::new(Worker {
            registration: Arc::new(registration),
            lost: vec![Partition(3)],
            epoch: Epoch(20 + i as u64),
            incarnation: Epoch(10),
            registered_at: at,
            lifecycle,
            intent: Intent::default(),
            changed: LogIndex(40),
        })
    };
    lives.into_iter().enumerate().map(worker).collect()
}

pub fn keyspace_records() -> Vec<Keyspace> {
    let keyspace = |name: &str, partitions, source| Keyspace {
        name: keyspace(name),
        partitions,
        source,
        hold: None,
        changed: LogIndex(1),
    };
    vec![
        keyspace("default", PartitionCount::new(12).ok(), KeyspaceSource::Static),
        keyspace("other", None, KeyspaceSource::Kafka),
    ]
}

/// As the first snapshot was: what came later is in [`later_snapshot`].
pub fn snapshot() -> (SnapshotMeta, Parts) {
    let meta = SnapshotMeta {
        last_log_id: Some(LogId { term: 2, leader: 7, index: 41 }),
        membership: membership(),
        membership_log_id: Some(LogId { term: 1, leader: 7, index: 0 }),
    };
    let replies = replies().into_iter().take(13).enumerate();
    let parts = Parts {
        index: LogIndex(41),
        now: LogTime(1_790_000_000_000),
        cluster: Some(ClusterId(0xfeed)),
        last_epoch: Epoch(30),
        level: FeatureLevel::FIRST,
        workers: workers(),
        keyspaces: keyspace_records(),
        nodes: vec![Arc::new(node_record())],
        windows: vec![WindowParts {
            boot: BootId(0xb007),
            used: LogIndex(41),
            replies: replies.map(|(i, (_, reply))| (i as u64, LogIndex(30), reply)).collect(),
        }],
        policies: Vec::new(),
        delegates: Vec::new(),
        routes: Vec::new(),
        sandboxes: Vec::new(),
        objects: Vec::new(),
        ailments: Vec::new(),
        config_changed: LogIndex(0),
        restoring: None,
        history: None,
        presence: PresenceParts::default(),
    };
    (meta, parts)
}

/// A restore that is under way, and has brought keyspaces only.
pub fn restoring() -> RestoringParts {
    RestoringParts {
        id: RestoreId(0xbac),
        touched: LogTime(1_790_000_000_001),
        batches: 4,
        last_epoch: Epoch(30),
        keyspaces: keyspace_records(),
        policies: Vec::new(),
        routes: Vec::new(),
        sandboxes: Vec::new(),
        objects: Vec::new(),
        workers: Vec::new(),
    }
}

/// A snapshot that was taken in the middle of a restore.
pub fn later_snapshot() -> (SnapshotMeta, Parts) {
    let (meta, parts) = snapshot();
    let restoring = RestoringParts { workers: workers(), ..restoring() };
    let replies = replies().into_iter().skip(13).take(3).enumerate();
    let replies = replies.map(|(i, (_, reply))| (i as u64, LogIndex(30), reply)).collect();
    let windows = vec![WindowParts { boot: BootId(1), used: LogIndex(41), replies }];
    (meta, Parts { workers: Vec::new(), windows, restoring: Some(restoring), ..parts })
}
