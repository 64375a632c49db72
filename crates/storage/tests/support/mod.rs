//! Small worlds for the tests: entries, stores on either disk, an observer that remembers.
#![allow(dead_code, reason = "each test file uses its own part")]

use futures_util::stream;
use openraft::{
    entry::RaftEntry as _,
    storage::{IOFlushed, RaftLogStorage, RaftLogStorageExt, RaftStateMachine},
};
use quorate_codec::log;
use quorate_model::{
    Address, BootId, ClusterId, Command, Entry, Event, KeyspaceSource, LogTime, NodeName, Origin,
    PartitionCount, PartitionRange, Proposal, RegistrationParts, Ttl, WorkerId,
};
use quorate_state::State;
use quorate_storage::{
    LogEntry, LogStore, Machine, Observer, OpenError, SimDisk, SnapshotData, TypeConfig,
    convert::{log_id_from, vote_from},
};
use quorate_telemetry::Metrics;
use std::{
    io::{self, Read, Write},
    sync::{Arc, Mutex},
    time::Duration,
};

pub type RaftEntry = openraft::alias::EntryOf<TypeConfig>;
pub type LogId = openraft::alias::LogIdOf<TypeConfig>;
pub type Vote = openraft::alias::VoteOf<TypeConfig>;

pub fn name(text: &str) -> NodeName {
    NodeName::parse(text).expect("valid")
}

pub fn log_id(term: u64, index: u64) -> LogId {
    log_id_from(log::LogId { term, leader: 1, index })
}

pub fn vote(term: u64, committed: bool) -> Vote {
    vote_from(log::Vote { term, node: 1, committed })
}

pub fn blank(term: u64, index: u64) -> RaftEntry {
    RaftEntry::new_blank(log_id(term, index))
}

fn normal(term: u64, index: u64, command: Command) -> RaftEntry {
    let origin = Origin { boot: BootId(1), sequence: index + 1 };
    let entry = Entry { at: LogTime(1_000 + index), proposals: vec![Proposal { origin, command }] };
    RaftEntry::new_normal(log_id(term, index), LogEntry(entry))
}

/// Forms a cluster of 12 partitions.
pub fn form(term: u64, index: u64) -> RaftEntry {
    let partitions = PartitionCount::new(12).ok();
    normal(
        term,
        index,
        Command::FormCluster { cluster: ClusterId(1), partitions, source: KeyspaceSource::Static },
    )
}

/// Registers a worker called `w{index}` with a label of `padding` bytes in pieces.
pub fn register(term: u64, index: u64, padding: usize) -> RaftEntry {
    let id = WorkerId::parse(&format!("w{index}")).expect("valid");
    let ttl = Ttl::new(Duration::from_secs(30)).expect("valid");
    let mut parts = RegistrationParts::new(id, Address::parse("http://h:1").expect("valid"), ttl);
    for piece in 0..padding.div_ceil(200).min(60) {
        parts.labels.insert(format!("l{piece}").into(), "x".repeat(200).into());
    }
    let registration = parts.validate().expect("valid");
    normal(
        term,
        index,
        Command::RegisterWorker { registration, range: PartitionRange::Strict, if_index: None },
    )
}

/// Remembers what it was told.
#[derive(Default)]
pub struct Told(pub Mutex<Vec<(u64, usize)>>);

impl Observer for Told {
    fn applied(&self, view: &State, events: &[Event], log_index: u64) {
        assert_eq!(view.index().0, log_index, "the view is the state after that record");
        self.0.lock().expect("no panic holds it").push((log_index, events.len()));
    }
}

pub struct Silent;

impl Observer for Silent {
    fn applied(&self, _: &State, _: &[Event], _: u64) {}
}

/// The value of a metric without labels, as a scraper sees it.
pub fn shown(metrics: &Metrics, name: &str) -> f64 {
    let text = metrics.render();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("no {name} in\n{text}")).parse().expect("a number")
}

/// Boots a node on a simulated disk.
pub async fn boot(disk: &SimDisk) -> Result<(LogStore, Machine), OpenError> {
    let boot = disk.open(&name("n1"))?;
    quorate_storage::open(&boot, Arc::new(Silent), Arc::default()).await
}

/// Appends and waits until it is durable.
pub async fn append(log: &mut LogStore, entries: Vec<RaftEntry>) -> io::Result<()> {
    log.blocking_append(entries).await.map_err(io::Error::other)
}

/// Appends without waiting for the flush.
pub async fn append_lazily(log: &mut LogStore, entries: Vec<RaftEntry>) -> io::Result<()> {
    log.append(entries, IOFlushed::noop()).await
}

pub async fn apply(machine: &mut Machine, entries: Vec<RaftEntry>) -> io::Result<()> {
    machine.apply(stream::iter(entries.into_iter().map(|entry| Ok((entry, None))))).await
}

/// All bytes of a snapshot.
pub fn bytes_of(snapshot: &SnapshotData) -> Vec<u8> {
    let mut bytes = Vec::new();
    snapshot.reader().read_to_end(&mut bytes).expect("readable");
    bytes
}

/// A snapshot as if a peer had sent it to `machine`.
pub fn received(machine: &Machine, bytes: &[u8]) -> SnapshotData {
    let mut draft = machine.snapshots().begin().expect("room");
    draft.write_all(bytes).expect("room");
    SnapshotData::received(draft).expect("room")
}

/// Opens a folder whose last user's tasks may not have ended yet.
#[cfg(not(madsim))]
pub async fn reopen(path: &std::path::Path) -> quorate_storage::FolderDisk {
    for _ in 0..1_000 {
        match quorate_storage::FolderDisk::open(path, &name("n1")) {
            Err(OpenError::Locked { .. }) => quorate_rt::time::sleep(Duration::from_millis(2)).await,
            opened => return opened.expect("opens"),
        }
    }
    panic!("the folder stays locked");
}
