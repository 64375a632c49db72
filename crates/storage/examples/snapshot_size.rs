//! How a snapshot behaves at size: `cargo run --release -p quorate-storage --example snapshot_size -- 1000000`.
//!
//! Fills a state with that many workers, takes a snapshot while entries go on being applied, and loads it again.
//! Prints what `docs/performance.md` cites. With a second argument the snapshot is kept there, as a file that
//! `quorate snapshot restore` takes.
#![expect(clippy::print_stdout, reason = "a program for people")]

use futures_util::stream;
use openraft::{RaftSnapshotBuilder, entry::RaftEntry as _, storage::RaftStateMachine};
use quorate_codec::log;
use quorate_model::{
    Address, BootId, ClusterId, Command, Entry, Event, KeyspaceName, KeyspaceSource, LogTime, NodeName,
    Origin, Partition, PartitionCount, PartitionRange, Proposal, RegistrationParts, ServiceName,
    ServiceOffer, Ttl, WorkerId,
};
use quorate_rt::time::{self, Instant};
use quorate_state::State;
use quorate_storage::{FolderDisk, LogEntry, Machine, Observer, TypeConfig, convert::log_id_from};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

/// As in the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type RaftEntry = openraft::alias::EntryOf<TypeConfig>;

/// Partitions of one keyspace; each worker holds one.
const PARTITIONS: u32 = 100_000;
const COMMANDS_PER_ENTRY: u64 = 1_000;

/// Keeps the last view, as a node does.
#[derive(Default)]
struct LastView(Mutex<Option<Arc<State>>>);

impl Observer for LastView {
    fn applied(&self, view: &State, _: &[Event], _: u64) {
        *self.0.lock().expect("no panic holds it") = Some(Arc::new(view.clone()));
    }
}

fn entry(index: u64, commands: Vec<Command>) -> RaftEntry {
    let proposal = |(i, command)| {
        let origin = Origin { boot: BootId(1), sequence: index * COMMANDS_PER_ENTRY + i };
        Proposal { origin, command }
    };
    let proposals = (0..).zip(commands).map(proposal).collect();
    let id = log_id_from(log::LogId { term: 1, leader: 1, index });
    RaftEntry::new_normal(id, LogEntry(Entry { at: LogTime(1_000 + index), proposals }))
}

fn keyspace(number: u64) -> KeyspaceName {
    KeyspaceName::parse(&format!("space-{number}")).expect("valid")
}

/// A worker as fleets register them: an address, a partition, a service, two labels.
fn register(i: u64) -> Command {
    let id = WorkerId::parse(&format!("worker-{i:07}.fleet.example")).expect("valid");
    let address = Address::parse(&format!("http://10.{}.{}.{}:8081", i >> 16 & 255, i >> 8 & 255, i & 255));
    let ttl = Ttl::new(Duration::from_secs(30)).expect("valid");
    let service = ServiceOffer {
        name: ServiceName::parse(&format!("service-{}", i % 100)).expect("valid"),
        version: "1.4.2".into(),
        url: None,
    };
    let parts = RegistrationParts {
        keyspace: keyspace(i / u64::from(PARTITIONS)),
        partitions: vec![Partition(i32::try_from(i % u64::from(PARTITIONS)).expect("below 100,000"))],
        services: vec![service],
        labels: BTreeMap::from([
            ("zone".into(), format!("zone-{}", i % 3).into()),
            ("release".into(), "2026-11".into()),
        ])
        .into(),
        ..RegistrationParts::new(id, address.expect("valid"), ttl)
    };
    let registration = parts.validate().expect("valid");
    Command::RegisterWorker { registration, range: PartitionRange::Strict, if_index: None }
}

async fn apply(machine: &mut Machine, entries: Vec<RaftEntry>) {
    let entries = entries.into_iter().map(|entry| Ok((entry, None)));
    machine.apply(stream::iter(entries)).await.expect("entries are applied");
}

/// Answers with the next index.
async fn fill(machine: &mut Machine, workers: u64) -> u64 {
    let count = PartitionCount::new(PARTITIONS).ok();
    let cluster = ClusterId(1);
    let form = Command::FormCluster { cluster, partitions: count, source: KeyspaceSource::Static };
    let spaces = (0..workers.div_ceil(u64::from(PARTITIONS))).map(|number| Command::PutKeyspace {
        name: keyspace(number),
        partitions: count,
        source: KeyspaceSource::Static,
        hold: None,
        if_index: None,
    });
    apply(machine, vec![entry(0, std::iter::once(form).chain(spaces).collect())]).await;
    let mut index = 1;
    for first in (0..workers).step_by(usize::try_from(COMMANDS_PER_ENTRY).expect("small")) {
        let some = (first..workers.min(first + COMMANDS_PER_ENTRY)).map(register).collect();
        apply(machine, vec![entry(index, some)]).await;
        index += 1;
    }
    index
}

/// Resident memory, in megabytes.
fn resident_mb() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or(0) * 4_096 / 1_000_000
}

#[derive(Default)]
struct Meanwhile {
    applies: u64,
    longest: Duration,
    resident_mb_max: u64,
}

/// Entries of one registration each go on while the snapshot is built.
async fn snapshot(machine: &mut Machine, workers: u64, next: u64) -> (Meanwhile, Duration, u64) {
    let (mut meanwhile, mut index, begun) = (Meanwhile::default(), next, Instant::now());
    let mut builder = machine.get_snapshot_builder().await;
    let building = quorate_rt::spawn(async move { builder.build_snapshot().await });
    while !building.is_finished() {
        let change = entry(index, vec![register(index * 7_919 % workers)]);
        let applied = Instant::now();
        apply(machine, vec![change]).await;
        meanwhile.longest = meanwhile.longest.max(applied.elapsed());
        meanwhile.applies += 1;
        meanwhile.resident_mb_max = meanwhile.resident_mb_max.max(resident_mb());
        index += 1;
        time::sleep(Duration::from_micros(500)).await;
    }
    let built = building.await.expect("it does not panic").expect("it is built");
    (meanwhile, begun.elapsed(), built.snapshot.bytes())
}

#[tokio::main]
async fn main() {
    let workers = std::env::args().nth(1).map_or(100_000, |n| n.parse().expect("a number of workers"));
    let folder = tempfile::tempdir().expect("a folder");
    let name = NodeName::parse("n1").expect("valid");
    let disk = FolderDisk::open(folder.path(), &name).expect("an empty folder");
    let empty_mb = resident_mb();
    let observer = Arc::new(LastView::default());
    let (log, mut machine) =
        quorate_storage::open(&disk, observer.clone(), Arc::default()).await.expect("opens");
    let next = fill(&mut machine, workers).await;
    let full_mb = resident_mb();
    let (meanwhile, build, bytes) = snapshot(&mut machine, workers, next).await;
    let after_mb = resident_mb();
    if let Some(kept) = std::env::args().nth(2) {
        let newest = std::fs::read_dir(folder.path().join("snapshots")).expect("a folder");
        let newest = newest.map(|file| file.expect("readable").path()).max().expect("one was built");
        std::fs::copy(newest, kept).expect("copied");
    }
    drop((machine, log, observer, disk));
    let loading = Instant::now();
    let (disk, opened) = loop {
        // The tasks of the log end a moment after their handles are gone.
        match FolderDisk::open(folder.path(), &name) {
            Ok(disk) => {
                let begun = Instant::now();
                let opened =
                    quorate_storage::open(&disk, Arc::new(LastView::default()), Arc::default()).await;
                break (disk, opened.map(|(_, machine)| (machine, begun.elapsed())));
            }
            Err(_) if loading.elapsed() < Duration::from_secs(10) => {
                time::sleep(Duration::from_millis(5)).await
            }
            Err(e) => panic!("{e}"),
        }
    };
    let (machine, load) = opened.expect("opens");
    assert_eq!(machine.state().worker_count() as u64, workers, "everything came back");
    println!("workers                       {workers}");
    println!("resident, empty               {empty_mb} MB");
    println!("resident, full                {full_mb} MB");
    println!("resident, most while building {} MB", meanwhile.resident_mb_max);
    println!("resident, built               {after_mb} MB");
    println!("snapshot                      {:.1} MB", bytes as f64 / 1e6);
    println!("built in                      {:.2} s", build.as_secs_f64());
    println!("entries applied meanwhile     {}", meanwhile.applies);
    println!("longest apply meanwhile       {:.1} ms", meanwhile.longest.as_secs_f64() * 1e3);
    println!("loaded in                     {:.2} s", load.as_secs_f64());
    drop(disk);
}
