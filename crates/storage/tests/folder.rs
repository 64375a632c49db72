//! The data folder: whose it is, what is refused, and that a refusal changes nothing.
#![cfg(not(madsim))]

mod support;

use quorate_model::{ClusterId, FeatureLevel};
use quorate_storage::{FolderDisk, LogStore, OpenError, disk::Disk};
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};
use support::{append, name, register};

/// Every file with its content and the time of its last change.
fn tree(path: &Path) -> BTreeMap<PathBuf, (Vec<u8>, std::time::SystemTime)> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(path).expect("a folder") {
        let path = entry.expect("readable").path();
        let changed = fs::metadata(&path).and_then(|m| m.modified()).expect("readable");
        if path.is_dir() {
            files.insert(path.clone(), (Vec::new(), changed));
            files.extend(tree(&path));
        } else {
            files.insert(path.clone(), (fs::read(&path).expect("readable"), changed));
        }
    }
    files
}

/// A folder that was in use.
fn used() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    drop(FolderDisk::open(folder.path(), &name("n1")).expect("opens"));
    folder
}

fn refusal(folder: &Path, node: &str) -> OpenError {
    let before = tree(folder);
    let error = FolderDisk::open(folder, &name(node)).map(|_| "opened").expect_err("refused");
    assert_eq!(tree(folder), before, "a refused folder is left as it was");
    error
}

#[test]
fn a_new_folder_gets_an_identity_that_stays() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("not/yet/there");
    let disk = FolderDisk::open(&path, &name("n1")).expect("opens");
    let made = disk.identity();
    assert_eq!((made.name.as_str(), made.cluster), ("n1", None));
    assert_ne!(made.id.0, 0);
    disk.set_cluster(ClusterId(7)).expect("written");
    disk.set_cluster(ClusterId(7)).expect("the same again");
    disk.set_level(FeatureLevel::NEWEST).expect("written");
    disk.set_level(FeatureLevel::FIRST).expect("a lower one does nothing");
    let other = disk.set_cluster(ClusterId(8)).expect_err("another");
    assert_eq!(other.kind(), io::ErrorKind::InvalidInput);
    drop(disk);
    let again = FolderDisk::open(&path, &name("n1")).expect("opens").identity();
    assert_eq!((again.id, again.cluster), (made.id, Some(ClusterId(7))));
    assert_eq!(again.level, FeatureLevel::NEWEST);
}

#[test]
fn another_nodes_folder_is_refused() {
    let folder = used();
    let error = refusal(folder.path(), "n2");
    assert!(
        matches!(&error, OpenError::OtherNode { ours, theirs, .. } if ours == "n2" && theirs == "n1"),
        "{error}"
    );
    assert!(error.to_string().contains("old name"), "the remedy is named: {error}");
}

#[test]
fn a_newer_format_is_refused() {
    let folder = used();
    let path = folder.path().join("identity");
    let newer = fs::read_to_string(&path).expect("text").replace("\"format\": 1", "\"format\": 2");
    fs::write(path, newer).expect("written");
    let error = refusal(folder.path(), "n1");
    assert!(matches!(error, OpenError::NewerFormat { got: 2, known: 1, .. }), "{error}");
}

#[test]
fn a_damaged_identity_is_refused() {
    let folder = used();
    let path = folder.path().join("identity");
    let damaged = fs::read_to_string(&path).expect("text").replace("n1", "n3");
    fs::write(path, damaged).expect("written");
    let error = refusal(folder.path(), "n3");
    assert!(matches!(error, OpenError::Identity { .. }), "{error}");
    assert!(error.to_string().contains("rejoin"), "the remedy is named: {error}");
}

#[test]
fn a_folder_of_something_else_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("thesis.tex"), "\\documentclass").expect("written");
    let error = refusal(folder.path(), "n1");
    assert!(matches!(&error, OpenError::NotOurs { found, .. } if found == "thesis.tex"), "{error}");
}

#[test]
fn a_folder_in_use_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let disk = FolderDisk::open(folder.path(), &name("n1")).expect("opens");
    let error = refusal(folder.path(), "n1");
    assert!(matches!(error, OpenError::Locked { .. }), "{error}");
    drop(disk);
    FolderDisk::open(folder.path(), &name("n1")).expect("free again");
}

#[test]
fn a_first_start_that_was_cut_short_is_begun_anew() {
    let folder = tempfile::tempdir().expect("a folder");
    for leftover in ["lock", "identity.tmp"] {
        fs::write(folder.path().join(leftover), "").expect("written");
    }
    fs::create_dir(folder.path().join("lost+found")).expect("made");
    FolderDisk::open(folder.path(), &name("n1")).expect("opens");
}

#[test]
fn half_written_snapshots_are_removed() {
    let folder = used();
    let half = folder.path().join("snapshots/00000000000000000001.snapshot.tmp");
    fs::write(&half, "half").expect("written");
    let disk = FolderDisk::open(folder.path(), &name("n1")).expect("opens");
    assert!(!half.exists());
    assert_eq!(disk.snapshots().list().expect("readable"), [""; 0]);
}

#[test]
fn a_value_in_an_unsynced_file_is_refused() {
    let folder = used();
    let blobs = folder.path().join("log/blobs");
    fs::create_dir_all(&blobs).expect("made");
    fs::write(blobs.join("7"), "never synced").expect("written");
    let error = FolderDisk::open(folder.path(), &name("n1")).map(|_| "opened").expect_err("refused");
    assert!(error.to_string().contains("never synced"), "{error}");
}

/// R14: overwrites for a long time, with the log purged all along. The space is bounded after each start.
#[tokio::test]
async fn space_is_bounded_under_overwrites() {
    const ROUNDS: u64 = 6;
    const RECORDS: u64 = 1_200;
    let folder = tempfile::tempdir().expect("a folder");
    let mut index = 0;
    let mut largest = 0;
    for _ in 0..ROUNDS {
        let disk = support::reopen(folder.path()).await;
        let at_start = disk.log_size_on_disk().expect("readable");
        assert!(at_start <= 64 << 20, "{at_start} bytes at the start");
        let mut log = LogStore::open(disk.engine(), disk.mark(), std::sync::Arc::default()).expect("sound");
        for _ in 0..RECORDS / 100 {
            let entries: Vec<_> = (index..index + 100).map(|i| register(1, i, 12_000)).collect();
            let last = entries.last().expect("a hundred").log_id;
            append(&mut log, entries).await.expect("durable");
            openraft::storage::RaftLogStorage::purge(&mut log, last).await.expect("purged");
            index += 100;
        }
        largest = largest.max(disk.log_size_on_disk().expect("readable"));
    }
    assert!(index * 12_000 > 80 << 20, "more was written than may be there");
    println!("{} MiB written, {} MiB at most on the disk", (index * 12_000) >> 20, largest >> 20);
}
