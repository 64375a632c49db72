//! The journal in front of sled: whatever a crash leaves of it, the content is a prefix of what was written.
#![cfg(not(madsim))]

use quorate_storage::{
    engine::{Batch, Engine},
    journaled::JournaledEngine,
    sled_engine::{Fsync, SledEngine},
};
use std::{collections::BTreeMap, fs, os::unix::fs::FileExt, path::Path, sync::Arc};

const HEAD: u64 = 16;

fn open(folder: &Path) -> JournaledEngine {
    let sled = SledEngine::open(&folder.join("log"), Arc::new(Fsync)).expect("opens");
    JournaledEngine::open(sled, &folder.join("journal"), Arc::new(Fsync)).expect("opens")
}

fn put(engine: &JournaledEngine, key: &str, value: &[u8]) {
    let mut batch = Batch::default();
    batch.put(key, value);
    engine.write(batch).expect("written");
}

async fn put_durably(engine: &JournaledEngine, key: &str, value: &[u8]) {
    put(engine, key, value);
    engine.flush().await.expect("durable");
}

fn keys(engine: &JournaledEngine) -> Vec<String> {
    let pairs = engine.range(b"a", b"z", usize::MAX).expect("readable");
    pairs.into_iter().map(|(key, _)| String::from_utf8(key).expect("text")).collect()
}

/// What a power loss leaves: copies of both files as they are now, made while the engine goes on.
fn as_if_the_power_failed(folder: &Path) -> tempfile::TempDir {
    let left = tempfile::tempdir().expect("a folder");
    fs::create_dir(left.path().join("log")).expect("made");
    for file in ["journal", "log/db", "log/conf"] {
        fs::copy(folder.join(file), left.path().join(file)).expect("copied");
    }
    left
}

#[tokio::test]
async fn what_was_flushed_is_there_after_a_power_loss_though_sled_has_none_of_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let engine = open(folder.path());
    for key in ["a", "b", "c"] {
        put_durably(&engine, key, b"1").await;
    }
    put(&engine, "d", b"not flushed");
    let left = as_if_the_power_failed(folder.path());
    assert_eq!(keys(&open(left.path())), ["a", "b", "c"]);
    // And once more: what was replayed is in sled now.
    fs::write(left.path().join("journal"), []).expect("emptied");
    assert_eq!(keys(&open(left.path())), ["a", "b", "c"]);
}

#[tokio::test]
async fn a_process_that_ends_keeps_also_what_it_never_flushed() {
    let folder = tempfile::tempdir().expect("a folder");
    let engine = open(folder.path());
    put_durably(&engine, "a", b"1").await;
    put(&engine, "b", b"2");
    drop(engine);
    assert_eq!(keys(&open(folder.path())), ["a", "b"]);
}

/// Where each record of the journal begins.
fn records(journal: &[u8]) -> Vec<u64> {
    let (mut at, mut found) = (0u64, Vec::new());
    loop {
        let place = usize::try_from(at).expect("small");
        let length = u32::from_le_bytes(journal[place..place + 4].try_into().expect("four bytes"));
        if length == 0 {
            return found;
        }
        found.push(at);
        at += HEAD + u64::from(length);
    }
}

#[tokio::test]
async fn a_record_that_was_torn_ends_the_run_wherever_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let engine = open(folder.path());
    for key in ["a", "b", "c", "d"] {
        put_durably(&engine, key, b"value").await;
    }
    let found = records(&fs::read(folder.path().join("journal")).expect("readable"));
    assert_eq!(found.len(), 5, "the run's beginning, and a record for each write");
    for (nth, at) in found.iter().enumerate().skip(1) {
        for byte in [0, 5, 9, HEAD] {
            let left = as_if_the_power_failed(folder.path());
            let journal =
                fs::OpenOptions::new().write(true).open(left.path().join("journal")).expect("there");
            journal.write_all_at(&[0xee], at + byte).expect("damaged");
            assert_eq!(keys(&open(left.path())).len(), nth - 1, "record {nth}, byte {byte}");
        }
    }
}

/// The record behind a torn one is whole, and the next life writes one of the same length in the torn one's place.
/// Without the chain the old record behind it would come back.
#[tokio::test]
async fn what_an_earlier_run_left_never_continues_a_later_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let engine = open(folder.path());
    for key in ["a", "b", "c"] {
        put_durably(&engine, key, b"old").await;
    }
    let left = as_if_the_power_failed(folder.path());
    let found = records(&fs::read(left.path().join("journal")).expect("readable"));
    let journal = fs::OpenOptions::new().write(true).open(left.path().join("journal")).expect("there");
    journal.write_all_at(&[0xee], found[2] + HEAD).expect("torn");
    let engine = open(left.path());
    assert_eq!(keys(&engine), ["a"]);
    put_durably(&engine, "x", b"new").await;
    put_durably(&engine, "y", b"new").await;
    let later = as_if_the_power_failed(left.path());
    assert_eq!(keys(&open(later.path())), ["a", "x", "y"]);
}

/// A journal whose writes sled has already (the power failed between a checkpoint and the next run): an older
/// value must not come back over a newer one, nor what was deleted.
#[tokio::test]
async fn a_run_that_the_engine_has_already_is_not_replayed() {
    let folder = tempfile::tempdir().expect("a folder");
    let engine = open(folder.path());
    put_durably(&engine, "a", b"old").await;
    let old_run = fs::read(folder.path().join("journal")).expect("readable");
    put_durably(&engine, "a", b"new").await;
    let mut batch = Batch::default();
    batch.delete("a");
    engine.write(batch).expect("written");
    drop(engine);
    drop(open(folder.path()));
    fs::write(folder.path().join("journal"), old_run).expect("written");
    assert_eq!(keys(&open(folder.path())), [""; 0]);
}

#[tokio::test]
async fn a_journal_that_goes_on_later_than_the_engine_ends_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let engine = open(folder.path());
    put_durably(&engine, "a", b"1").await;
    drop(engine);
    let engine = open(folder.path());
    put_durably(&engine, "b", b"2").await;
    drop(engine);
    fs::remove_dir_all(folder.path().join("log")).expect("removed");
    let sled = SledEngine::open(&folder.path().join("log"), Arc::new(Fsync)).expect("opens");
    let opened = JournaledEngine::open(sled, &folder.path().join("journal"), Arc::new(Fsync));
    let problem = opened.err().expect("refused").to_string();
    assert!(problem.contains("ends at write 0"), "{problem}");
}

/// Random writes, deletions, flushes and restarts, with enough bytes for several checkpoints, against a plain map.
#[tokio::test]
async fn content_and_order_are_those_of_a_map_through_checkpoints_and_restarts() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut engine, mut model) = (open(folder.path()), BTreeMap::new());
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |below: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % below
    };
    for step in 0..2_000 {
        let key = format!("k{:02}", next(60)).into_bytes();
        let mut batch = Batch::default();
        if next(3) == 0 {
            batch.delete(key.as_slice());
            model.remove(&key);
        } else {
            let value = vec![
                u8::try_from(step % 251).expect("small");
                100 + usize::try_from(next(30_000)).expect("small")
            ];
            batch.put(key.as_slice(), value.as_slice());
            model.insert(key, value);
        }
        engine.write(batch).expect("written");
        match next(20) {
            0..=4 => engine.flush().await.expect("durable"),
            5 => {
                drop(engine);
                engine = open(folder.path());
            }
            _ => {}
        }
        if step % 50 == 0 {
            let (from, to) = (format!("k{:02}", next(40)), format!("k{:02}", 20 + next(40)));
            let bounds = from.as_bytes().to_vec()..to.as_bytes().to_vec().max(from.as_bytes().to_vec());
            let wanted: Vec<_> = model.range(bounds).take(7).map(|(k, v)| (k.clone(), v.clone())).collect();
            assert_eq!(
                engine.range(from.as_bytes(), to.as_bytes(), 7).expect("readable"),
                wanted,
                "step {step}"
            );
            let wanted = model.iter().next_back().map(|(k, v)| (k.clone(), v.clone()));
            assert_eq!(engine.last_before(b"a", b"z").expect("readable"), wanted, "step {step}");
        }
    }
    let content: Vec<_> = model.into_iter().collect();
    assert_eq!(engine.range(b"a", b"z", usize::MAX).expect("readable"), content);
}
