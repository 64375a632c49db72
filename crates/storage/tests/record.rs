//! Records of any size, and every way in which one can be damaged.
#![cfg(not(madsim))]

mod support;

use quorate_storage::{
    CrashMode, SimDisk,
    disk::Disk,
    engine::{Batch, Engine, Pair, VALUE_BYTES_MAX},
    record::{self, ReadError, Records},
};
use std::sync::Arc;

fn engine() -> Arc<dyn Engine> {
    SimDisk::new().open(&support::name("n1")).expect("an empty disk opens").engine()
}

fn put(engine: &dyn Engine, key: &[u8], value: &[u8]) {
    let mut batch = Batch::default();
    record::put(&mut batch, key, value).expect("not too large");
    engine.write(batch).expect("room");
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|i| u8::try_from(i * 7 % 251).expect("below 251")).collect()
}

#[test]
fn records_of_any_size_come_back_in_order() {
    let engine = engine();
    let sizes =
        [0, 1, VALUE_BYTES_MAX - 9, VALUE_BYTES_MAX - 8, VALUE_BYTES_MAX - 7, VALUE_BYTES_MAX, 3_000_000];
    for (i, size) in (0u8..).zip(sizes) {
        put(&*engine, &[b'k', i], &pattern(size));
    }
    for (i, size) in (0u8..).zip(sizes) {
        let value = record::get(&*engine, &[b'k', i]).expect("whole");
        assert_eq!(value.map(|v| v == pattern(size)), Some(true), "{size} bytes");
    }
    assert_eq!(record::get(&*engine, b"k").expect("no such record"), None);
    let mut records = Records::new(&*engine, b"k".into(), b"l".into());
    let mut seen = Vec::new();
    while let Some((key, value)) = records.read_next().expect("whole") {
        seen.push((key[1], value.len()));
    }
    assert_eq!(seen, (0u8..).zip(sizes).collect::<Vec<_>>());
}

type Damage = fn(&mut Vec<Pair>);

#[test]
fn every_damage_is_noticed() {
    let value = pattern(2 * VALUE_BYTES_MAX);
    let damages: [(&str, Damage); 7] = [
        ("a bit in the checksum", |c| c[0].1[0] ^= 1),
        ("a bit in the length", |c| c[0].1[4] ^= 1),
        ("a bit in the first chunk", |c| c[0].1[100] ^= 0x80),
        ("a bit in the last chunk", |c| c[2].1[0] ^= 1),
        ("the first chunk is gone", |c| drop(c.remove(0))),
        ("a chunk in the middle is gone", |c| drop(c.remove(1))),
        ("the last chunk is gone", |c| drop(c.remove(2))),
    ];
    for (what, damage) in damages {
        let engine = engine();
        put(&*engine, b"key", &value);
        let mut chunks = engine.range(b"key", b"kez", 10).expect("readable");
        assert_eq!(chunks.len(), 3);
        let mut batch = Batch::default();
        chunks.iter().for_each(|(key, _)| batch.delete(key.clone()));
        damage(&mut chunks);
        chunks.into_iter().for_each(|(key, part)| batch.put(key, part));
        engine.write(batch).expect("room");
        assert!(matches!(record::get(&*engine, b"key"), Err(ReadError::Damaged(_))), "{what}");
    }
}

#[test]
fn a_value_under_anothers_key_is_noticed() {
    let engine = engine();
    put(&*engine, b"a", b"value");
    let (_, chunk) = engine.range(b"a", b"b", 1).expect("readable").remove(0);
    let mut batch = Batch::default();
    batch.put(record::first_chunk(b"b"), chunk);
    engine.write(batch).expect("room");
    assert!(matches!(record::get(&*engine, b"b"), Err(ReadError::Damaged(_))));
}

#[test]
fn deleting_down_never_leaves_a_hole() {
    for kept in 0..=3 {
        let disk = SimDisk::new();
        let engine = disk.open(&support::name("n1")).expect("opens").engine();
        for key in 0..1_200u16 {
            put(&*engine, &key.to_be_bytes(), b"x");
        }
        record::delete_down(&*engine, &[0], &[0xff]).expect("room");
        assert_eq!(disk.stats().writes, 1_203, "512 keys at a time");
        // Whatever number of them survives a crash, what is left begins at the beginning.
        disk.crash(CrashMode::KeepPrefix(1_200 + kept));
        let engine = disk.open(&support::name("n1")).expect("opens").engine();
        let left = engine.range(&[0], &[0xff], usize::MAX).expect("readable");
        assert_eq!(left.len(), 1_200usize.saturating_sub(512 * kept));
        for (i, (key, _)) in (0u16..).zip(&left) {
            assert_eq!(key[..2], i.to_be_bytes());
        }
    }
}
