//! A cluster of one, made of what a survivor has: what is kept, what is new, and that no crash leaves anything
//! between the old cluster and the new one.
#![cfg(not(madsim))]

mod support;

use openraft::{entry::RaftEntry as _, storage::RaftLogStorage};
use quorate_model::{Epoch, NodeId, WorkerId};
use quorate_storage::{
    FolderDisk, LogStore, Machine, Member, OpenError,
    disk::Disk,
    folder::recovery::{Holdings, RecoverError, look, recover},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    sync::Arc,
};
use support::{RaftEntry, Silent, append, blank, form, log_id, name, register, reopen, vote};

const TERM: u64 = 7;
const PARTS: [&str; 5] = ["log", "journal", "snapshots", "watermark", "identity"];

/// Members n1 (this folder's id), n2 and n3.
fn members(id: NodeId, index: u64) -> RaftEntry {
    let nodes: BTreeMap<u64, Member> = [(id.0, "n1"), (2, "n2"), (3, "n3")]
        .map(|(id, name)| (id, Member { name: name.into(), peer: format!("{name}:7070") }))
        .into();
    let voters = BTreeSet::from([id.0, 2, 3]);
    let membership = openraft::Membership::new(vec![voters], nodes).expect("valid");
    RaftEntry::new_membership(log_id(TERM, index), membership)
}

async fn open_log(path: &Path) -> (LogStore, Machine, FolderDisk) {
    let disk = reopen(path).await;
    let (log, machine) =
        quorate_storage::open(&disk, Arc::new(Silent), Arc::default()).await.expect("a sound folder");
    (log, machine, disk)
}

/// The folder of n1, whose log holds `workers` registrations from index 3 on; none is known to be committed.
async fn survivor(workers: u64) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut log, machine, disk) = open_log(folder.path()).await;
    let mut entries = vec![blank(TERM, 0), members(disk.identity().id, 1), form(TERM, 2)];
    entries.extend((3..3 + workers).map(|index| register(TERM, index, 0)));
    log.save_vote(&vote(TERM + 2, false)).await.expect("written");
    append(&mut log, entries).await.expect("written");
    disk.set_cluster(quorate_model::ClusterId(1)).expect("written");
    drop((log, machine, disk));
    drop(reopen(folder.path()).await);
    folder
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("made");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("readable");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("copied");
        }
    }
}

async fn recovered(path: &Path) -> Holdings {
    recover(path, &name("n1"), None).await.expect("recovered")
}

#[tokio::test]
async fn everything_in_the_log_is_kept_under_new_ids_and_a_higher_term() {
    let folder = survivor(20).await;
    let before = look(folder.path(), &name("n1")).expect("sound");
    assert_eq!((before.last.0, before.term, before.workers), (22, TERM + 2, 20));
    assert_eq!(before.members, ["n1", "n2", "n3"].map(str::to_owned).into());
    let after = recovered(folder.path()).await;
    assert_eq!(after.members, ["n1".to_owned()].into());
    assert_eq!((after.last, after.workers, after.keyspaces), (before.last, 20, before.keyspaces));
    assert!(after.term > before.term, "{} after {}", after.term, before.term);
    assert_ne!((after.cluster, after.node), (before.cluster, before.node));
    let (mut log, machine, disk) = open_log(folder.path()).await;
    let identity = disk.identity();
    assert_eq!((identity.cluster, identity.id), (Some(after.cluster), after.node));
    assert_eq!(machine.state().cluster(), Some(after.cluster));
    let state = log.get_log_state().await.expect("readable");
    assert_eq!(state.last_purged_log_id, Some(log_id(TERM, 22)), "the log is empty behind the snapshot");
    assert_eq!(state.last_log_id, state.last_purged_log_id);
    let worker = machine.state().worker("w22").expect("kept");
    assert_eq!((worker.id(), worker.epoch), (&WorkerId::parse("w22").expect("valid"), Epoch(22)));
    let next = machine.state().parts().last_epoch;
    assert!(next.0 > 1_000_000_000, "no fencing token of the lost nodes is granted again: {next}");
}

#[tokio::test]
async fn a_crash_leaves_the_old_cluster_or_the_new_one() {
    let folder = survivor(5).await;
    let old = look(folder.path(), &name("n1")).expect("sound");
    // Before the decision: whatever was prepared is thrown away.
    fs::create_dir(folder.path().join("recovered.tmp")).expect("made");
    fs::write(folder.path().join("recovered.tmp/identity"), b"half").expect("written");
    assert_eq!(look(folder.path(), &name("n1")).expect("sound"), old);
    let new = recovered(folder.path()).await;
    for settled in 0..=PARTS.len() {
        for moved_away in [false, true] {
            let crashed = tempfile::tempdir().expect("a folder");
            copy(folder.path(), crashed.path());
            let (place, before) = (crashed.path(), crashed.path().join("before-recovery"));
            let decided = place.join("recovered");
            fs::create_dir(&decided).expect("made");
            for (nth, part) in PARTS.iter().enumerate().skip(settled) {
                fs::rename(place.join(part), decided.join(part)).expect("moved");
                if nth > settled || !moved_away {
                    fs::rename(before.join(part), place.join(part)).expect("moved");
                }
            }
            let peeked = FolderDisk::peek(place, &name("n1")).expect("n1's").expect("somebody's");
            assert_eq!(peeked.id, new.node, "{settled} {moved_away}");
            assert_eq!(look(place, &name("n1")).expect("sound"), new, "{settled} {moved_away}");
            assert!(!decided.exists());
            assert_eq!(fs::read_dir(before).expect("kept").count(), PARTS.len());
        }
    }
}

#[tokio::test]
async fn a_cluster_can_be_recovered_again() {
    let folder = survivor(3).await;
    let first = recovered(folder.path()).await;
    let second = recovered(folder.path()).await;
    assert_ne!(first.cluster, second.cluster);
    assert!(second.term > first.term);
    assert_eq!((second.last, second.workers), (first.last, first.workers));
    // Nobody knows which of both the operator regrets: neither is thrown away.
    for kept in ["before-recovery", "before-recovery-1"] {
        assert_eq!(fs::read_dir(folder.path().join(kept)).expect("kept").count(), PARTS.len(), "{kept}");
    }
}

#[tokio::test]
async fn a_folder_in_use_or_of_another_node_or_of_nobody_is_refused() {
    let folder = survivor(1).await;
    let running = reopen(folder.path()).await;
    let refused = recover(folder.path(), &name("n1"), None).await.expect_err("in use");
    assert!(matches!(refused, RecoverError::Open(OpenError::Locked { .. })), "{refused}");
    drop(running);
    let refused = recover(folder.path(), &name("n2"), None).await.expect_err("not n2's");
    assert!(matches!(refused, RecoverError::Open(OpenError::OtherNode { .. })), "{refused}");
    let nowhere = folder.path().join("nowhere");
    let refused = recover(&nowhere, &name("n1"), None).await.expect_err("nothing there");
    assert!(matches!(refused, RecoverError::Missing(_)) && !nowhere.exists(), "{refused}");
    let fresh = tempfile::tempdir().expect("a folder");
    drop(reopen(fresh.path()).await);
    let refused = recover(fresh.path(), &name("n1"), None).await.expect_err("never formed");
    assert!(matches!(refused, RecoverError::NoCluster(_)), "{refused}");
}
