//! The state machine: what is published when, what a snapshot keeps, what happens when there is no room for one.
#![cfg(not(madsim))]

mod support;

use openraft::{
    RaftSnapshotBuilder,
    errors::{RPCError, ReplicationClosed, StreamingError, Unreachable},
    network::{RPCOption, RaftNetworkFactory, v2::RaftNetworkV2},
    raft::{AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse},
    storage::RaftStateMachine,
};
use quorate_model::{LogIndex, Reply};
use quorate_rt::time;
use quorate_storage::{CrashMode, LogEntry, LogStore, Machine, Member, SimDisk, TypeConfig, disk::Disk};
use quorate_telemetry::Metrics;
use std::{collections::BTreeMap, future::Future, sync::Arc, time::Duration};
use support::{Silent, Told, apply, blank, boot, bytes_of, form, log_id, name, received, register, shown};

/// A node on its own calls nobody.
struct Nobody;

impl RaftNetworkFactory<TypeConfig> for Nobody {
    type Network = Self;

    async fn new_client(&mut self, _: u64, _: &Member) -> Self {
        Self
    }
}

fn nobody() -> Unreachable<TypeConfig> {
    Unreachable::from_string("there is nobody else")
}

impl RaftNetworkV2<TypeConfig> for Nobody {
    type SnapshotData = quorate_storage::SnapshotData;

    async fn append_entries(
        &mut self,
        _: AppendEntriesRequest<TypeConfig>,
        _: RPCOption,
    ) -> Result<AppendEntriesResponse<TypeConfig>, RPCError<TypeConfig>> {
        Err(nobody().into())
    }

    async fn vote(
        &mut self,
        _: VoteRequest<TypeConfig>,
        _: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        Err(nobody().into())
    }

    async fn full_snapshot(
        &mut self,
        _: openraft::alias::VoteOf<TypeConfig>,
        _: openraft::alias::SnapshotOf<TypeConfig, quorate_storage::SnapshotData>,
        _: impl Future<Output = ReplicationClosed> + Send + 'static,
        _: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        Err(nobody().into())
    }
}

type Raft = openraft::Raft<TypeConfig, Machine>;

async fn raft(log: LogStore, machine: Machine) -> Raft {
    let config = openraft::Config {
        heartbeat_interval: 50,
        election_timeout_min: 100,
        election_timeout_max: 200,
        enable_leader_restore: Some(false),
        snapshot_policy: openraft::SnapshotPolicy::LogsSinceLast(20),
        max_in_snapshot_log_to_keep: 5,
        ..openraft::Config::default()
    };
    let config = Arc::new(config.validate().expect("valid"));
    Raft::new(1, config, Nobody, log, machine).await.expect("starts")
}

fn command(entry: &support::RaftEntry) -> LogEntry {
    match &entry.payload {
        openraft::EntryPayload::Normal(entry) => entry.clone(),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_client_that_got_its_answer_finds_it_in_the_view_and_after_a_power_cut() {
    let disk = SimDisk::new();
    let told = Arc::new(Told::default());
    let booted = disk.open(&name("n1")).expect("an empty disk");
    let (log, machine) =
        quorate_storage::open(&booted, told.clone(), Arc::default()).await.expect("an empty disk");
    let raft1 = raft(log, machine).await;
    let members = BTreeMap::from([(1, Member { name: "n1".into(), peer: "n1:7000".into() })]);
    raft1.initialize(members).await.expect("a new cluster");
    raft1.wait(Some(Duration::from_secs(10))).current_leader(1, "leads").await.expect("leads");
    raft1.client_write(command(&form(0, 1))).await.expect("written");
    for i in 2..100 {
        let written = raft1.client_write(command(&register(0, i, 0))).await.expect("written");
        let index = written.log_id.index;
        assert!(matches!(written.data.replies[..], [Reply::Registered { .. }]));
        assert_eq!(written.data.index, LogIndex(index));
        let (published, _) = *told.0.lock().expect("no panic holds it").last().expect("published");
        assert!(published >= index, "the view was published first");
    }
    raft1.shutdown().await.expect("ended");
    disk.crash(CrashMode::LoseAll);
    let (log, machine) = boot(&disk).await.expect("sound");
    assert!(machine.state().index().0 >= 40, "a snapshot was there: {}", machine.state().index());
    assert!(log.purged().is_some(), "and the log was purged");
    let raft2 = raft(log, machine).await;
    raft2.wait(Some(Duration::from_secs(10))).current_leader(1, "leads").await.expect("leads");
    raft2.ensure_linearizable(openraft::ReadPolicy::ReadIndex).await.expect("leads");
    let missing = raft2
        .with_state_machine(|machine| {
            let state = machine.state().clone();
            Box::pin(async move {
                (2..100).filter(|i| state.worker(&format!("w{i}")).is_none()).collect::<Vec<u64>>()
            })
        })
        .await
        .expect("runs");
    assert_eq!(missing, [0; 0]);
    raft2.shutdown().await.expect("ended");
}

#[tokio::test]
async fn a_long_replay_is_published_in_parts() {
    let disk = SimDisk::new();
    let booted = disk.open(&name("n1")).expect("an empty disk");
    let told = Arc::new(Told::default());
    let (_log, mut machine) =
        quorate_storage::open(&booted, told.clone(), Arc::default()).await.expect("empty");
    apply(&mut machine, (0..2_500).map(|i| blank(1, i)).collect()).await.expect("applied");
    let indexes: Vec<u64> =
        told.0.lock().expect("no panic holds it").iter().map(|(index, _)| *index).collect();
    assert_eq!(indexes, [0, 1_023, 2_047, 2_499]);
}

#[tokio::test]
async fn a_snapshot_travels_to_another_node() {
    let (from, to) = (SimDisk::new(), SimDisk::new());
    let (_log, mut machine) = boot(&from).await.expect("empty");
    let entries = (0..300).map(|i| if i == 0 { form(1, 0) } else { register(1, i, 100) });
    apply(&mut machine, entries.collect()).await.expect("applied");
    let snapshot = machine.get_snapshot_builder().await.build_snapshot().await.expect("built");
    let told = Arc::new(Told::default());
    let booted = to.open(&name("n2")).expect("an empty disk");
    let (_log, mut other) =
        quorate_storage::open(&booted, told.clone(), Arc::default()).await.expect("empty");
    other.install_snapshot(&snapshot.meta, snapshot.snapshot.clone()).await.expect("installed");
    assert_eq!(other.state().parts(), machine.state().parts());
    assert_eq!(other.applied_state().await.expect("known").0, Some(log_id(1, 299)));
    assert_eq!(told.0.lock().expect("no panic holds it").last(), Some(&(299, 0)), "and it is published");
    // It was durable before anybody relied on it.
    to.crash(CrashMode::LoseAll);
    let booted = to.open(&name("n2")).expect("its disk");
    let (_log, again) =
        quorate_storage::open(&booted, Arc::new(Silent), Arc::default()).await.expect("sound");
    assert_eq!(again.state().parts(), machine.state().parts());
}

#[tokio::test]
async fn a_snapshot_never_takes_the_state_back() {
    let (_log, mut machine) = boot(&SimDisk::new()).await.expect("empty");
    apply(&mut machine, vec![form(1, 0), register(1, 1, 0)]).await.expect("applied");
    let old = machine.get_snapshot_builder().await.build_snapshot().await.expect("built");
    apply(&mut machine, vec![register(1, 2, 0)]).await.expect("applied");
    machine.install_snapshot(&old.meta, old.snapshot).await.expect("saved");
    assert_eq!(machine.state().index(), LogIndex(2));
    assert!(machine.state().worker("w2").is_some());
}

#[tokio::test]
async fn a_damaged_or_mislabelled_snapshot_is_not_installed() {
    let (_log, mut machine) = boot(&SimDisk::new()).await.expect("empty");
    apply(&mut machine, vec![form(1, 0), register(1, 1, 0)]).await.expect("applied");
    let good = machine.get_snapshot_builder().await.build_snapshot().await.expect("built");
    let target = SimDisk::new();
    let (_log, mut other) = boot(&target).await.expect("empty");
    let mut damaged = bytes_of(&good.snapshot);
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    other.install_snapshot(&good.meta, received(&other, &damaged)).await.expect_err("damaged");
    let mut label = good.meta.clone();
    label.last_log_id = Some(log_id(1, 7));
    other.install_snapshot(&label, good.snapshot).await.expect_err("not what was announced");
    assert_eq!(other.state().index(), LogIndex(0));
    assert_eq!(target.stats().snapshots, 0, "nothing was saved");
}

#[tokio::test]
async fn two_snapshots_are_kept() {
    let disk = SimDisk::new();
    let booted = disk.open(&name("n1")).expect("an empty disk");
    let (_log, mut machine) =
        quorate_storage::open(&booted, Arc::new(Silent), Arc::default()).await.expect("empty");
    for i in 0..5 {
        apply(&mut machine, vec![blank(1, i)]).await.expect("applied");
        machine.get_snapshot_builder().await.build_snapshot().await.expect("built");
    }
    let kept: Vec<_> = (4..=5).map(|next| format!("{next:020}.snapshot")).collect();
    assert_eq!(booted.snapshots().list().expect("readable"), kept);
}

#[tokio::test]
async fn a_snapshot_is_counted_once_it_is_on_the_disk() {
    const BUILT: &str = "quorate_storage_snapshots_built_total";
    const INDEX: &str = "quorate_storage_snapshot_index";
    let (disk, metrics) = (SimDisk::new(), Metrics::new());
    let booted = disk.open(&name("n1")).expect("an empty disk");
    let opened = quorate_storage::open(&booted, Arc::new(Silent), metrics.control().clone()).await;
    let (_log, mut machine) = opened.expect("empty");
    apply(&mut machine, (0..8).map(|i| blank(1, i)).collect()).await.expect("applied");
    assert_eq!((shown(&metrics, BUILT), shown(&metrics, INDEX)), (0.0, 0.0));
    let mut builder = machine.get_snapshot_builder().await;
    let snapshot = builder.build_snapshot().await.expect("built");
    assert_eq!((shown(&metrics, BUILT), shown(&metrics, INDEX)), (1.0, 7.0));
    machine.install_snapshot(&snapshot.meta, snapshot.snapshot).await.expect("saved");
    assert_eq!(shown(&metrics, BUILT), 1.0, "what a peer sent was not built here");
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_delays_a_snapshot_and_stops_nothing() {
    let disk = SimDisk::new();
    let (_log, mut machine) = boot(&disk).await.expect("empty");
    apply(&mut machine, vec![form(1, 0)]).await.expect("applied");
    disk.set_full(true);
    let mut builder = machine.get_snapshot_builder().await;
    let building = quorate_rt::spawn(async move { builder.build_snapshot().await });
    time::sleep(Duration::from_secs(60)).await;
    assert!(!building.is_finished(), "it waits for room");
    apply(&mut machine, vec![register(1, 1, 0)]).await.expect("entries go on being applied");
    disk.set_full(false);
    let snapshot =
        time::timeout(Duration::from_secs(10), building).await.expect("soon").expect("runs").expect("built");
    assert_eq!(snapshot.meta.last_log_id, Some(log_id(1, 0)), "the state as it was when it was asked for");
}
