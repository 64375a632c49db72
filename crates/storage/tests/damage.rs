//! One flipped bit, anywhere: the node refuses with a remedy, or nothing is lost. It never serves anything else.
#![cfg(not(madsim))]

mod support;

use openraft::{
    RaftLogReader, RaftSnapshotBuilder,
    storage::{RaftLogStorage, RaftStateMachine},
};
use quorate_storage::{
    CrashMode, Disk as _, FolderDisk, LogStore, Machine, OpenError, SimDisk, engine::Batch,
};
use std::{
    fs, io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};
use support::{RaftEntry, Silent, append, apply, boot, bytes_of, form, log_id, name, register, vote};

const RECORDS: u64 = 60;
/// From here on the records are those of a second leader.
const REWRITTEN: u64 = 30;

fn records() -> Vec<RaftEntry> {
    let register = |i| if i < REWRITTEN { register(1, i, 1_000) } else { register(2, i, 2_000) };
    (0..RECORDS).map(|i| if i == 0 { form(1, 0) } else { register(i) }).collect()
}

/// Fills a store: a log, a vote, a commit index, and snapshots at two thirds and at the end; the log is purged up to
/// `purged`.
async fn fill(log: &mut LogStore, machine: &mut Machine, purged: Option<u64>) {
    // A former leader's records, of which the end is cut off and written anew: were the cut lost, they would stand again.
    let former = (0..RECORDS + 5).map(|i| if i == 0 { form(1, 0) } else { register(1, i, 1_000) });
    append(log, former.collect()).await.expect("durable");
    log.truncate_after(Some(log_id(1, REWRITTEN - 1))).await.expect("durable");
    append(log, records().split_off(usize::try_from(REWRITTEN).expect("few"))).await.expect("durable");
    log.save_vote(&vote(1, true)).await.expect("durable");
    log.save_committed(Some(log_id(2, RECORDS - 1))).await.expect("written");
    let mut rest = records();
    let last = rest.split_off(40);
    for part in [rest, last] {
        apply(machine, part).await.expect("applied");
        machine.get_snapshot_builder().await.build_snapshot().await.expect("built");
    }
    if let Some(purged) = purged {
        log.purge(log_id(if purged < REWRITTEN { 1 } else { 2 }, purged)).await.expect("purged");
    }
    // One more flush, so that the commit index is on the disk too.
    log.save_vote(&vote(2, true)).await.expect("durable");
}

/// What a node would serve: everything that was acknowledged, or an error.
async fn serves_everything(
    opened: Result<(LogStore, Machine), OpenError>,
    purged: Option<u64>,
) -> Result<(), String> {
    let refused = |e: &dyn std::fmt::Display| format!("refused: {e}");
    let (mut log, machine) = opened.map_err(|e| refused(&e))?;
    let readable = |e: io::Error| refused(&e);
    assert_eq!(log.read_vote().await.map_err(readable)?, Some(vote(2, true)));
    let first = purged.map_or(0, |p| p + 1);
    let wanted = records().split_off(usize::try_from(first).expect("few"));
    assert_eq!(log.try_get_log_entries(first..).await.map_err(readable)?, wanted, "the log");
    let applied = machine.state().index().0;
    assert!(machine.state().index().0 + 1 >= first, "the log goes on from the snapshot at {applied}");
    for index in 1..=applied {
        assert!(
            machine.state().worker(&format!("w{index}")).is_some(),
            "worker w{index} of snapshot {applied}"
        );
    }
    match log.read_committed().await.map_err(readable)? {
        Some(id) if id == log_id(2, RECORDS - 1) => Ok(()),
        other => panic!("the commit index is {other:?}"),
    }
}

#[tokio::test]
async fn a_flipped_bit_on_the_simulated_disk_is_refused_or_harmless() {
    for purged in [None, Some(20), Some(50)] {
        let (mut refusals, mut harmless) = (0, 0);
        for choice in 0..400u64 {
            let disk = SimDisk::new();
            let (mut log, mut machine) = boot(&disk).await.expect("an empty disk");
            fill(&mut log, &mut machine, purged).await;
            disk.crash(CrashMode::KeepPrefix(usize::MAX));
            let at = disk.flip_bit(choice.wrapping_mul(0x9e37_79b9_7f4a_7c15)).expect("something is there");
            match serves_everything(boot(&disk).await, purged).await {
                Ok(()) => {
                    harmless += 1;
                    assert!(at.starts_with("snapshot"), "only a snapshot has a substitute, not the {at}");
                }
                Err(refusal) => {
                    refusals += 1;
                    assert!(refusal.contains("rejoins"), "the remedy is named: {refusal}");
                }
            }
        }
        println!("purged up to {purged:?}: {refusals} refused, {harmless} harmless");
        assert!(refusals > 0);
        // Unless the log ends where the newest snapshot begins, the one before (or the log itself) makes up for it.
        assert!(harmless > 0 || purged == Some(50));
    }
}

#[tokio::test]
async fn a_damaged_snapshot_is_passed_over_only_if_the_log_reaches_back() {
    for (purged, damaged, wanted) in [
        (Some(20), vec![59], Some(39)),
        (Some(39), vec![59], Some(39)),
        (Some(40), vec![59], None),
        (Some(20), vec![59, 39], None),
        (None, vec![59, 39], Some(0)),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let disk = support::reopen(folder.path()).await;
        let (mut log, mut machine) =
            quorate_storage::open(&disk, Arc::new(Silent), Arc::default()).await.expect("empty");
        fill(&mut log, &mut machine, purged).await;
        drop((disk, log, machine));
        for index in &damaged {
            let file = folder.path().join(format!("snapshots/{:020}.snapshot", index + 1));
            flip(&file, 300);
        }
        let disk = support::reopen(folder.path()).await;
        let opened = quorate_storage::open(&disk, Arc::new(Silent), Arc::default()).await;
        match (opened, wanted) {
            (Ok((_, machine)), Some(index)) => assert_eq!(machine.state().index().0, index),
            (Err(OpenError::NoSnapshot { .. }), None) => {}
            (opened, _) => panic!(
                "{purged:?} {damaged:?}: {:?}",
                opened.map(|(_, m)| m.state().index()).map_err(|e| e.to_string())
            ),
        }
    }
}

#[tokio::test]
async fn a_snapshot_that_is_damaged_while_the_node_runs_is_built_anew() {
    let folder = tempfile::tempdir().expect("a folder");
    let disk = support::reopen(folder.path()).await;
    let (mut log, mut machine) =
        quorate_storage::open(&disk, Arc::new(Silent), Arc::default()).await.expect("empty");
    fill(&mut log, &mut machine, None).await;
    flip(&folder.path().join(format!("snapshots/{RECORDS:020}.snapshot")), 300);
    let snapshot = machine.get_current_snapshot().await.expect("built").expect("there is one");
    assert_eq!(snapshot.meta.last_log_id, Some(log_id(2, RECORDS - 1)));
    quorate_codec::snapshot::decode(&bytes_of(&snapshot.snapshot)).expect("whole");
}

fn flip(file: &Path, at: u64) {
    let file = fs::OpenOptions::new().read(true).write(true).open(file).expect("there");
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).expect("long enough");
    file.write_all_at(&[byte[0] ^ 0x10], at).expect("written");
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("readable").path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

fn copy(from: &Path, to: &Path) {
    for file in files(from) {
        let target = to.join(file.strip_prefix(from).expect("inside"));
        fs::create_dir_all(target.parent().expect("not the root")).expect("made");
        fs::copy(&file, target).expect("copied");
    }
}

/// R7, on a real disk: one bit of each file, at many places. The journal ends where its chain breaks, and a flipped
/// bit looks like that end. The watermark tells them apart. After a second start all lies in sled.
#[tokio::test]
async fn a_flipped_bit_in_any_file_is_refused_or_harmless() {
    for started_again in [false, true] {
        let folder = tempfile::tempdir().expect("a folder");
        let disk = support::reopen(folder.path()).await;
        let (mut log, mut machine) =
            quorate_storage::open(&disk, Arc::new(Silent), Arc::default()).await.expect("empty");
        fill(&mut log, &mut machine, Some(20)).await;
        drop((disk, log, machine));
        if started_again {
            let disk = support::reopen(folder.path()).await;
            let (mut log, _) =
                quorate_storage::open(&disk, Arc::new(Silent), Arc::default()).await.expect("whole");
            // The first write of a life overwrites the journal of the one before, which could still help out.
            log.save_vote(&vote(2, true)).await.expect("durable");
        }
        let mut report = std::collections::BTreeMap::<String, (u32, u32)>::new();
        for file in files(folder.path()) {
            let inside = file.strip_prefix(folder.path()).expect("inside").to_owned();
            for at in places(&file) {
                let counts = report.entry(inside.display().to_string()).or_default();
                match with_flipped(folder.path(), &inside, at).await {
                    Ok(()) => counts.0 += 1,
                    Err(_) => counts.1 += 1,
                }
            }
        }
        println!("started again: {started_again}; (harmless, refused) by file: {report:#?}");
        let holds_the_log = if started_again { "log/db" } else { "journal" };
        assert!(report[holds_the_log].1 > 10, "most of the log is not harmless");
    }
}

async fn with_flipped(folder: &Path, inside: &Path, at: u64) -> Result<(), String> {
    let damaged = tempfile::tempdir().expect("a folder");
    copy(folder, damaged.path());
    flip(&damaged.path().join(inside), at);
    let disk = FolderDisk::open(damaged.path(), &name("n1")).map_err(|e| e.to_string())?;
    serves_everything(quorate_storage::open(&disk, Arc::new(Silent), Arc::default()).await, Some(20)).await
}

/// Places in a file that are not zero, spread over it: many in the log, some in the others.
fn places(file: &Path) -> Vec<u64> {
    let bytes = fs::read(file).expect("readable");
    let used: Vec<u64> = (0u64..).zip(&bytes).filter(|(_, b)| **b != 0).map(|(at, _)| at).collect();
    let count = if file.ends_with("log/db") || file.ends_with("journal") { 60 } else { 12 };
    used.iter().step_by((used.len() / count).max(1)).copied().collect()
}

/// Records that were cut off stand again, since the cut itself was lost: the whole old tail, or what of it no newer
/// record covers. Each record by itself is sound.
#[tokio::test]
async fn records_that_were_cut_off_are_noticed_when_they_stand_again() {
    for from in [REWRITTEN, RECORDS - 1, RECORDS] {
        let disk = SimDisk::new();
        let open = disk.open(&name("n1")).expect("an empty disk");
        let opened = quorate_storage::open(&open, Arc::new(Silent), Arc::default()).await;
        let (mut log, _machine) = opened.expect("an empty log");
        append(&mut log, (0..RECORDS + 5).map(|i| register(1, i, 1_000)).collect()).await.expect("durable");
        let key = |index: u64| [&b"l"[..], &index.to_be_bytes()].concat();
        let cut_off = open.engine().range(&key(from), b"m", 1_000).expect("readable");
        log.truncate_after(Some(log_id(1, REWRITTEN - 1))).await.expect("durable");
        let rewritten = records().split_off(usize::try_from(REWRITTEN).expect("few"));
        append(&mut log, rewritten).await.expect("durable");
        let mut batch = Batch::default();
        cut_off.into_iter().for_each(|(key, value)| batch.put(key, value));
        open.engine().write(batch).expect("written");
        open.engine().flush().await.expect("durable");
        match boot(&disk).await.map(|_| ()) {
            Err(OpenError::DamagedLog { problem, .. }) => assert!(problem.contains("term"), "{problem}"),
            other => panic!("from record {from} on: {other:?}"),
        }
    }
}
