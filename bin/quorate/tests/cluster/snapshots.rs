//! Backups, and nodes that come back so late that only a snapshot helps.

use crate::support::{
    cluster::Cluster,
    eventually, figure,
    http::Ask,
    machine_to_itself,
    node::{Node, Ran, quorate},
    within,
};
use quorate_model::{
    Address, Epoch, Keyspace, KeyspaceName, KeyspaceSource, Lifecycle, LogIndex, LogTime, Partition,
    PartitionCount, RegistrationParts, Ttl, Worker, WorkerId,
};
use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// A backup of `count` workers, as a cluster would have made it.
fn backup(folder: &Path, count: u64) -> PathBuf {
    let ttl = Ttl::new(Duration::from_secs(3_600)).expect("valid");
    let worker = |i: u64| {
        let id = WorkerId::parse(&format!("old-{i:07}")).expect("valid");
        let address = Address::parse(&format!("http://10.0.{}.{}:80", i >> 8 & 255, i & 255)).expect("valid");
        let mut parts = RegistrationParts::new(id, address, ttl);
        parts.partitions.extend(i32::try_from(i).ok().filter(|i| *i < 12).map(Partition));
        Arc::new(Worker {
            registration: Arc::new(parts.validate().expect("valid")),
            lost: Vec::new(),
            epoch: Epoch(1_000 + i),
            incarnation: Epoch(1_000 + i),
            registered_at: LogTime(1),
            intent: quorate_model::Intent::default(),
            lifecycle: Lifecycle::Live,
            changed: LogIndex(7),
        })
    };
    let keyspace = Keyspace {
        name: KeyspaceName::default(),
        partitions: PartitionCount::new(12).ok(),
        source: KeyspaceSource::Static,
        hold: None,
        changed: LogIndex(1),
    };
    let parts = quorate_state::Parts {
        index: LogIndex(5_000_000),
        last_epoch: Epoch(5_000_000),
        workers: (0..count).map(worker).collect(),
        keyspaces: vec![keyspace],
        ..Default::default()
    };
    let file = folder.join("made.snapshot");
    std::fs::write(&file, quorate_codec::snapshot::encode(&Default::default(), &parts)).expect("written");
    file
}

fn failed(ran: &Ran, code: i32, said: &str) {
    assert_eq!(ran.code, Some(code), "{}", ran.err);
    assert!(ran.err.contains(said), "{}", ran.err);
}

#[test]
fn a_backup_comes_back_in_a_new_cluster() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("backup.snapshot");
    let old = Cluster::formed();
    for (nth, id) in ["a", "b", "c"].iter().enumerate() {
        let partition = u32::try_from(nth).expect("small");
        old.nodes[nth].register(id, "http://127.0.0.1:9", &[partition]).ok();
    }
    let saved = old.nodes[1].operate(&["snapshot", "save", text(&file)]);
    assert_eq!(saved.code, Some(0), "{}", saved.err);
    assert!(saved.err.starts_with("saved: 3 workers, 1 keyspace,"), "{}", saved.err);
    let inspected = old.nodes[0].operate(&["snapshot", "inspect", text(&file), "--output", "json"]);
    let facts: Value = serde_json::from_str(&inspected.out).expect("JSON");
    assert_eq!((&facts["workers"], &facts["keyspaces"]), (&json!(3), &json!(1)));
    failed(&old.nodes[2].operate(&["snapshot", "restore", text(&file)]), 1, "not empty");
    failed(&old.nodes[2].operate(&["snapshot", "restore", "/no/such/file"]), 4, "no file");
    let before = old.nodes[0].get("/v1/workers/b");
    drop(old);

    let new = Cluster::formed();
    let mut bytes = std::fs::read(&file).expect("there");
    let damaged = folder.path().join("damaged.snapshot");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&damaged, &bytes).expect("written");
    failed(&new.nodes[0].operate(&["snapshot", "inspect", text(&damaged)]), 1, "checksum");
    failed(&new.nodes[0].operate(&["snapshot", "restore", text(&damaged)]), 1, "checksum");
    assert_eq!(new.nodes[0].get("/v1/workers?consistent=true")["items"], json!([]), "nothing was changed");
    let restored = new.nodes[2].operate(&["snapshot", "restore", text(&file)]);
    assert_eq!(restored.code, Some(0), "{}", restored.err);
    new.catch_up();
    for node in &new.nodes {
        let after = node.get("/v1/workers/b");
        for field in ["address", "partitions", "epoch"] {
            assert_eq!(after[field], before[field], "{field} at {}", node.name);
        }
        assert_eq!(after["status"], "live");
    }
    // Grants go on above everything that the old cluster can have granted.
    new.nodes[0].register("b", "http://127.0.0.1:9", &[1]).ok();
    let after = new.nodes[0].get("/v1/workers/b")["epoch"].as_u64().expect("a number");
    assert!(after > before["epoch"].as_u64().expect("a number") + 1_000_000_000, "{after}");
    // A pipe does as well as a file.
    let mut piped = quorate(&["snapshot", "save", "-"]);
    piped.env("QUORATE_SERVER", format!("http://{}", new.nodes[0].management));
    assert!(piped.output().expect("it starts").stdout.starts_with(b"QUORSNAP"));
}

/// Registers many at once, on a few connections.
fn register_many(node: &Node, count: u64) {
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let id = next.fetch_add(1, Ordering::Relaxed);
                    if id >= count {
                        return;
                    }
                    node.register(&format!("many-{id}"), "http://h:1", &[]).ok();
                }
            });
        }
    });
}

/// Files in a node's folder of snapshots that end so.
fn snapshots(node: &Node, suffix: &str) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(node.data.join("snapshots")) else { return Vec::new() };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.filter(|name| name.ends_with(suffix)).collect()
}

/// R9: a node that was away for so long that the log was thrown away gets a snapshot while writes go on; killed in the
/// middle of it, it begins again and leaves nothing behind. `QUORATE_R9_RECORDS=100000` for the full size.
#[test]
fn r9_a_long_dead_node_catches_up_by_a_snapshot_while_writes_go_on() {
    let _machine = machine_to_itself();
    let records = std::env::var("QUORATE_R9_RECORDS").ok().and_then(|n| n.parse().ok()).unwrap_or(5_000);
    let folder = tempfile::tempdir().expect("a folder");
    let mut cluster = Cluster::formed_with(&["--snapshot-entries", "100"]);
    cluster.nodes[2].kill();
    cluster.leader();
    let file = backup(folder.path(), records);
    let restored = cluster.nodes[0].operate(&["snapshot", "restore", text(&file)]);
    assert_eq!(restored.code, Some(0), "{}", restored.err);
    // More than the log may hold: both survivors take snapshots and throw away what is before them.
    register_many(&cluster.nodes[0], 1_000);
    for node in &cluster.nodes[..2] {
        eventually("there is a snapshot", || (!snapshots(node, ".snapshot").is_empty()).then_some(()));
    }
    let (left, right) = cluster.nodes.split_at_mut(2);
    let (leading, late) = (&left[0], &mut right[0]);
    let (stop, written, slowest) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let took = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let begun = Instant::now();
                leading.register(&format!("new-{}", written.load(Ordering::Relaxed)), "http://h:1", &[]).ok();
                slowest
                    .fetch_max(u64::try_from(begun.elapsed().as_millis()).expect("short"), Ordering::Relaxed);
                written.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        // Ends the writer whatever happens here.
        struct Stop<'a>(&'a AtomicBool);
        impl Drop for Stop<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let _stop = Stop(&stop);
        late.start();
        let draft = within(Duration::from_secs(30), || {
            snapshots(late, ".tmp").pop().filter(|_| snapshots(late, ".snapshot").is_empty())
        });
        assert!(draft.is_some(), "a snapshot is on its way");
        late.kill();
        let begun = Instant::now();
        late.start();
        late.becomes("ready");
        let target = written.load(Ordering::Relaxed) - 1;
        eventually("it has what was written meanwhile", || {
            let answer = Ask::get(&format!("/v1/workers/new-{target}")).send(late.management).ok()?;
            (answer.status == 200).then_some(())
        });
        begun.elapsed()
    });
    assert!(!snapshots(late, ".snapshot").is_empty(), "it came by a snapshot");
    // It takes snapshots of its own by now, so there may be another draft for a moment.
    eventually("nothing is left behind", || snapshots(late, ".tmp").is_empty().then_some(()));
    for id in [format!("old-{:07}", records - 1), "many-0".into(), "many-999".into(), "new-0".into()] {
        assert_eq!(late.get(&format!("/v1/workers/{id}"))["id"], id);
    }
    assert!(took < Duration::from_secs(30), "{took:?}");
    figure(&format!(
        "r9: caught up {took:.1?} after its second start; {} writes meanwhile, the slowest took {} ms",
        written.load(Ordering::Relaxed),
        slowest.load(Ordering::Relaxed)
    ));
}
