//! The control plane's gauges and counters. Written at most some thousand times a second, so one set serves all
//! threads.

use crate::{
    histogram::Durations,
    label::{CommandStage, HeartbeatResult, Label, LeaseTransition, ProbeResult, RampStop, WorkerStatus},
    proxy::add,
    sheet::Sheet,
};
use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// What a node knows of its place in the cluster, set as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RaftPicture {
    /// The last log index that is in this node's View.
    pub applied_index: u64,
    /// The current term.
    pub term: u64,
    /// Whether this node leads.
    pub is_leader: bool,
    /// Members of the cluster as this node knows it, itself included.
    pub members: u64,
    /// Other members that this node hears from.
    pub peers_reachable: u64,
}

/// The control plane's numbers.
#[derive(Debug, Default)]
pub struct Control {
    applied_index: AtomicU64,
    term: AtomicU64,
    is_leader: AtomicU64,
    members: AtomicU64,
    peers_reachable: AtomicU64,
    stale_seconds: AtomicU64,
    disk_free_bytes: AtomicU64,
    commands: [AtomicU64; CommandStage::COUNT],
    leases: [AtomicU64; LeaseTransition::COUNT],
    ramp_stops: [AtomicU64; RampStop::COUNT],
    heartbeats: [AtomicU64; HeartbeatResult::COUNT],
    workers: [AtomicU64; WorkerStatus::COUNT],
    probes: [AtomicU64; ProbeResult::COUNT],
    expiries_held: AtomicU64,
    guard_activations: AtomicU64,
    feature_level: AtomicU64,
    partitions: AtomicU64,
    gateways: AtomicU64,
    tunnels: AtomicU64,
    sessions: AtomicU64,
    snapshots: AtomicU64,
    snapshot_index: AtomicU64,
    log_syncs: Durations,
    config_reloads: AtomicU64,
    config_reload_failures: AtomicU64,
}

impl Control {
    /// The settings file has changed, and what of it can change at once has.
    pub fn config_reloaded(&self) {
        add(&self.config_reloads);
    }

    /// The settings file has changed, and can't be used.
    pub fn config_not_reloaded(&self) {
        add(&self.config_reload_failures);
    }

    /// Sets the gauges about Raft.
    pub fn set_raft(&self, picture: RaftPicture) {
        self.applied_index.store(picture.applied_index, Ordering::Relaxed);
        self.term.store(picture.term, Ordering::Relaxed);
        self.is_leader.store(picture.is_leader.into(), Ordering::Relaxed);
        self.members.store(picture.members, Ordering::Relaxed);
        self.peers_reachable.store(picture.peers_reachable, Ordering::Relaxed);
    }

    /// Sets how long this node has heard of no leader; 0 while it does.
    pub fn set_stale_seconds(&self, seconds: u64) {
        self.stale_seconds.store(seconds, Ordering::Relaxed);
    }

    /// Sets how much room the disk of the data folder has.
    pub fn set_disk_free_bytes(&self, bytes: u64) {
        self.disk_free_bytes.store(bytes, Ordering::Relaxed);
    }

    /// Sets how many workers there are of one status.
    pub fn set_workers(&self, status: WorkerStatus, count: u64) {
        self.workers[status.position()].store(count, Ordering::Relaxed);
    }

    /// Sets the partition count of the default keyspace; 0 while it is unknown.
    pub fn set_partitions(&self, count: u64) {
        self.partitions.store(count, Ordering::Relaxed);
    }

    /// Sets how many leases of gateways there are, how many tunnels, and how many sessions.
    pub fn set_presence(&self, gateways: u64, tunnels: u64, sessions: u64) {
        self.gateways.store(gateways, Ordering::Relaxed);
        self.tunnels.store(tunnels, Ordering::Relaxed);
        self.sessions.store(sessions, Ordering::Relaxed);
    }

    /// Counts `count` commands that came as far as `stage`.
    pub fn count_commands(&self, stage: CommandStage, count: u64) {
        self.commands[stage.position()].fetch_add(count, Ordering::Relaxed);
    }

    /// Counts `count` heartbeats.
    pub fn count_heartbeats(&self, result: HeartbeatResult, count: u64) {
        self.heartbeats[result.position()].fetch_add(count, Ordering::Relaxed);
    }

    /// Counts one change of a lease. [`crate::events::applied`] does so for each applied event.
    pub fn count_lease(&self, transition: LeaseTransition) {
        add(&self.leases[transition.position()]);
    }

    /// Counts a ramp that stopped by itself.
    pub(crate) fn count_ramp_stop(&self, stop: RampStop) {
        add(&self.ramp_stops[stop.position()]);
    }

    pub(crate) fn count_probe(&self, result: ProbeResult) {
        add(&self.probes[result.position()]);
    }

    /// Sets the cluster's feature level as this node sees it.
    pub fn set_feature_level(&self, level: u16) {
        self.feature_level.store(level.into(), Ordering::Relaxed);
    }

    /// Sets how many expiries the guard against mass expiry holds back now; answers with how many it held before.
    pub(crate) fn set_expiries_held(&self, count: u64) -> u64 {
        let before = self.expiries_held.swap(count, Ordering::Relaxed);
        if before == 0 && count > 0 {
            add(&self.guard_activations);
        }
        before
    }

    pub(crate) fn snapshot_built(&self, index: u64) {
        add(&self.snapshots);
        self.snapshot_index.store(index, Ordering::Relaxed);
    }

    pub(crate) fn log_synced(&self, elapsed: Duration) {
        self.log_syncs.observe(elapsed);
    }
}

/// Lets the registry and the node share one [`Control`].
#[derive(Debug)]
pub(crate) struct Shared(pub Arc<Control>);

impl Collector for Shared {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let c = &self.0;
        let get = |value: &AtomicU64| value.load(Ordering::Relaxed);
        let mut sheet = Sheet(encoder);
        self.encode_raft(&mut sheet)?;
        sheet.counters::<CommandStage>("quorate_raft_commands", "Commands, by how far they came", |l| {
            get(&c.commands[l.position()])
        })?;
        sheet.counters::<LeaseTransition>("quorate_lease_transitions", "Changes of worker leases", |l| {
            get(&c.leases[l.position()])
        })?;
        sheet.counters::<RampStop>(
            "quorate_ramp_stops",
            "Ramps that stopped since requests failed",
            |l| get(&c.ramp_stops[l.position()]),
        )?;
        sheet.counters::<HeartbeatResult>("quorate_lease_heartbeats", "Heartbeats of workers", |l| {
            get(&c.heartbeats[l.position()])
        })?;
        sheet.gauges::<WorkerStatus>("quorate_lease_workers", "Worker records, by status", |l| {
            get(&c.workers[l.position()])
        })?;
        sheet.counters::<ProbeResult>(
            "quorate_health_probes",
            "Health checks' probes by this node",
            |l| get(&c.probes[l.position()]),
        )?;
        sheet.gauge(
            "quorate_lease_expiries_held",
            "Expiries that the guard against mass expiry holds back now",
            get(&c.expiries_held),
        )?;
        sheet.counter(
            "quorate_lease_guard_activations",
            "Times that the guard against mass expiry began to hold back",
            get(&c.guard_activations),
        )?;
        sheet.gauge(
            "quorate_raft_feature_level",
            "What all members of the cluster can do, as this node sees it",
            get(&c.feature_level),
        )?;
        sheet.gauge(
            "quorate_keyspace_partitions",
            "Partition count of the default keyspace; 0 while it is unknown",
            get(&c.partitions),
        )?;
        self.encode_presence(&mut sheet)?;
        sheet.gauge(
            "quorate_disk_free_bytes",
            "Free room on the disk of the data folder; 0 while it is not known",
            get(&c.disk_free_bytes),
        )?;
        self.encode_reloads(&mut sheet)?;
        sheet.counter("quorate_storage_snapshots_built", "Snapshots built", get(&c.snapshots))?;
        sheet.gauge(
            "quorate_storage_snapshot_index",
            "Log index of the last snapshot built",
            get(&c.snapshot_index),
        )?;
        sheet.durations(
            "quorate_storage_log_sync_duration_seconds",
            "Each time the log was made durable",
            [&c.log_syncs].into_iter(),
        )
    }
}

impl Shared {
    fn encode_reloads(&self, sheet: &mut Sheet<'_>) -> fmt::Result {
        let get = |value: &AtomicU64| value.load(Ordering::Relaxed);
        sheet.counter(
            "quorate_config_reloads",
            "Changes of the settings file that were taken up",
            get(&self.0.config_reloads),
        )?;
        sheet.counter(
            "quorate_config_reload_failures",
            "Changes of the settings file that can't be used: what was before holds",
            get(&self.0.config_reload_failures),
        )
    }

    fn encode_presence(&self, sheet: &mut Sheet<'_>) -> fmt::Result {
        let get = |value: &AtomicU64| value.load(Ordering::Relaxed);
        sheet.gauge(
            "quorate_gateway_leases",
            "Nodes that hold long-lived connections",
            get(&self.0.gateways),
        )?;
        sheet.gauge("quorate_tunnels", "Tunnels in the whole cluster", get(&self.0.tunnels))?;
        sheet.gauge("quorate_sessions", "Sessions of users in the whole cluster", get(&self.0.sessions))
    }

    fn encode_raft(&self, sheet: &mut Sheet<'_>) -> fmt::Result {
        let c = &self.0;
        let get = |value: &AtomicU64| value.load(Ordering::Relaxed);
        sheet.gauge("quorate_raft_applied_index", "Log index of the View", get(&c.applied_index))?;
        sheet.gauge("quorate_raft_term", "Current term", get(&c.term))?;
        sheet.gauge("quorate_raft_is_leader", "1 while this node leads", get(&c.is_leader))?;
        sheet.gauge("quorate_raft_members", "Members, this node included", get(&c.members))?;
        sheet.gauge(
            "quorate_raft_peers_reachable",
            "Other members that this node hears from",
            get(&c.peers_reachable),
        )?;
        sheet.gauge(
            "quorate_view_stale_seconds",
            "Since the last contact with a leader; 0 while there is one",
            get(&c.stale_seconds),
        )
    }
}
