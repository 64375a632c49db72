//! Three consensus nodes in one process: real sockets on loopback, simulated disks.
#![cfg(not(madsim))]

#[path = "cluster/backup.rs"]
mod backup;
#[path = "cluster/gateways.rs"]
mod gateways;
#[path = "cluster/leases.rs"]
mod leases;
#[path = "cluster/levels.rs"]
mod levels;
#[path = "cluster/openings.rs"]
mod openings;
#[path = "cluster/pressure.rs"]
mod pressure;
#[path = "cluster/ramps.rs"]
mod ramps;
#[path = "cluster/sessions.rs"]
mod sessions;
#[path = "cluster/strangers.rs"]
mod strangers;

use quorate_consensus::{AddressBook, Applied, Consensus, Options, SelfId, StartError, Unavailable};
use quorate_model::{
    Address, BootId, Command, Epoch, FeatureLevel, Heartbeat, HeartbeatOutcome, KeyspaceSource, NodeLevels,
    NodeName, NodeRecord, Partition, PartitionCount, PartitionRange, Refusal, RegistrationParts, Reply, Ttl,
    WorkerId,
};
use quorate_rt::{http::ServeLimits, net, rng, shutdown, time};
use quorate_storage::{CrashMode, Disk, SimDisk};
use quorate_telemetry::Metrics;
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

struct Running {
    consensus: Consensus,
    metrics: Arc<Metrics>,
    stop: shutdown::Trigger,
}

struct Cluster {
    book: BTreeMap<NodeName, String>,
    disks: Vec<SimDisk>,
    /// The highest feature level of each node.
    level_max: Vec<FeatureLevel>,
    running: Vec<Option<Running>>,
}

fn name(i: usize) -> NodeName {
    NodeName::parse(&format!("n{}", i + 1)).expect("valid")
}

impl Cluster {
    fn new(nodes: usize) -> Self {
        // Bound once to get free ports, then released for the nodes.
        let held: Vec<_> =
            (0..nodes).map(|_| std::net::TcpListener::bind("127.0.0.1:0").expect("free")).collect();
        let book = held
            .iter()
            .enumerate()
            .map(|(i, l)| (name(i), l.local_addr().expect("bound").to_string()))
            .collect();
        let disks = (0..nodes).map(|_| SimDisk::default()).collect();
        let level_max = vec![FeatureLevel::NEWEST; nodes];
        Self { book, disks, level_max, running: (0..nodes).map(|_| None).collect() }
    }

    async fn formed(nodes: usize) -> Self {
        Self::formed_with(vec![FeatureLevel::NEWEST; nodes]).await
    }

    async fn formed_with(level_max: Vec<FeatureLevel>) -> Self {
        let nodes = level_max.len();
        let level = level_max.iter().min().copied().expect("a node");
        let mut cluster = Self { level_max, ..Self::new(nodes) };
        for i in 0..nodes {
            cluster.start(i).await;
        }
        for i in 0..nodes {
            cluster.until(|c| c.consensus(i).view().get().nodes().count() == nodes).await;
            cluster.until(|c| c.consensus(i).feature_level() == level).await;
        }
        cluster
    }

    async fn start(&mut self, i: usize) {
        self.try_start(i).await.expect("starts");
    }

    async fn try_start(&mut self, i: usize) -> Result<(), StartError> {
        let disk = self.disks[i].open(&name(i)).expect("its own disk");
        let identity = disk.identity();
        let metrics = Metrics::new();
        let applied = Applied::new(metrics.control().clone());
        let (log, machine) = quorate_storage::open(&disk, applied.clone(), metrics.control().clone())
            .await
            .expect("a sound disk");
        let address = self.book[&name(i)].clone();
        let record = NodeRecord {
            id: identity.id,
            name: name(i),
            boot: BootId(rng::random_u64()),
            peer: address.clone().into(),
            management: "127.0.0.1:9".into(),
            version: "test".into(),
        };
        let cluster = identity.cluster.map_or_else(OnceLock::new, OnceLock::from);
        let options = Options {
            me: SelfId { id: identity.id, name: name(i), cluster: Arc::new(cluster), secret: None },
            book: AddressBook::new(self.book.clone()),
            record,
            heartbeat: Duration::from_millis(50),
            election: Duration::from_millis(250),
            partitions: PartitionCount::new(12).ok(),
            source: KeyspaceSource::Static,
            levels: NodeLevels { max: self.level_max[i], cluster: identity.level },
            snapshot_every: 200,
            gateway_ttl: Duration::from_secs(5),
        };
        let consensus = Consensus::start(options, log, machine, applied).await?;
        let listener = net::bind(address.parse::<SocketAddr>().expect("an address")).await.expect("free");
        let (stop, stopped) = shutdown::channel();
        let limits = ServeLimits { drain: Duration::from_millis(10), ..ServeLimits::default() };
        quorate_rt::spawn(quorate_rt::http::serve(listener, consensus.peer_service(), limits, stopped));
        self.running[i] = Some(Running { consensus, metrics, stop });
        Ok(())
    }

    /// As a crash would, except that tasks end in order; what was not synced is lost.
    async fn crash(&mut self, i: usize) {
        let running = self.running[i].take().expect("runs");
        running.stop.fire();
        self.disks[i].crash(CrashMode::LoseAll);
        running.consensus.shutdown().await;
        time::sleep(Duration::from_millis(50)).await;
    }

    fn consensus(&self, i: usize) -> &Consensus {
        &self.running[i].as_ref().expect("runs").consensus
    }

    /// A counter of one node, as a scraper sees it.
    fn count(&self, i: usize, series: &str) -> u64 {
        let text = self.running[i].as_ref().expect("runs").metrics.render();
        let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("no {series} in\n{text}")).parse().expect("a number")
    }

    fn leader(&self) -> Option<usize> {
        (0..self.running.len())
            .find(|i| self.running[*i].as_ref().is_some_and(|r| r.consensus.speaks_for_quorum()))
    }

    async fn until(&self, condition: impl Fn(&Self) -> bool) {
        let deadline = time::Instant::now() + Duration::from_secs(15);
        while !condition(self) {
            assert!(time::Instant::now() < deadline, "the condition did not come true in time");
            time::sleep(Duration::from_millis(10)).await;
        }
    }
}

fn register(id: &str, partitions: &[i32]) -> Command {
    let ttl = Ttl::new(Duration::from_secs(2)).expect("valid");
    let parts = RegistrationParts::new(
        WorkerId::parse(id).expect("valid"),
        Address::parse("http://h:1").expect("valid"),
        ttl,
    );
    let parts = RegistrationParts { partitions: partitions.iter().map(|p| Partition(*p)).collect(), ..parts };
    let registration = parts.validate().expect("valid");
    Command::RegisterWorker { registration, range: PartitionRange::Strict, if_index: None }
}

fn unregister(id: &str) -> Command {
    Command::UnregisterWorker { id: WorkerId::parse(id).expect("valid"), epoch: None, if_index: None }
}

fn beat(id: &str) -> Vec<Heartbeat> {
    vec![Heartbeat { id: WorkerId::parse(id).expect("valid"), incarnation: None, sequence: None }]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_through_any_node_is_read_back_on_that_node_at_once() {
    let cluster = Cluster::formed(3).await;
    for i in 0..3 {
        let id = format!("w{i}");
        let committed = cluster.consensus(i).propose(register(&id, &[])).await.expect("a quorum is up");
        assert!(matches!(committed.reply, Reply::Registered { .. }), "{committed:?}");
        assert!(
            cluster.consensus(i).view().get().worker(&id).is_some(),
            "applied here before it was answered"
        );
        let other = cluster.consensus((i + 1) % 3);
        other.read_barrier().await.expect("a quorum is up");
        assert!(other.view().get().worker(&id).is_some(), "a linearizable read anywhere sees it");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_command_is_answered_with_its_refusal() {
    let cluster = Cluster::formed(1).await;
    let committed =
        cluster.consensus(0).propose(register("w", &[12])).await.expect("a node on its own is a quorum");
    assert!(
        matches!(committed.reply, Reply::Refused(Refusal::PartitionOutOfRange { count: 12, .. })),
        "{committed:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_go_on_after_the_leader_crashed_and_nothing_acknowledged_is_lost() {
    let mut cluster = Cluster::formed(3).await;
    cluster.until(|c| c.leader().is_some()).await;
    let leader = cluster.leader().expect("there is one");
    cluster.consensus(leader).propose(register("before", &[1])).await.expect("a quorum is up");
    cluster.crash(leader).await;
    let survivor = (leader + 1) % 3;
    let since = time::Instant::now();
    cluster.consensus(survivor).propose(register("after", &[2])).await.expect("two of three are a quorum");
    assert!(since.elapsed() < Duration::from_secs(2), "writes resume within 2 s, not {:?}", since.elapsed());
    cluster.start(leader).await;
    cluster.consensus(leader).read_barrier().await.expect("it is back");
    let view = cluster.consensus(leader).view().get();
    assert!(view.worker("before").is_some() && view.worker("after").is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_quorum_there_is_an_answer_within_five_seconds() {
    let mut cluster = Cluster::formed(3).await;
    cluster.until(|c| c.leader().is_some()).await;
    let leader = cluster.leader().expect("there is one");
    cluster.crash((leader + 1) % 3).await;
    cluster.crash((leader + 2) % 3).await;
    // Until then the leader may still speak for the quorum that it heard a moment ago.
    time::sleep(Duration::from_millis(300)).await;
    let since = time::Instant::now();
    let (write, read, beats) = futures_util::join!(
        cluster.consensus(leader).propose(register("w", &[])),
        cluster.consensus(leader).read_barrier(),
        cluster.consensus(leader).heartbeat(beat("w")),
    );
    assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
    assert!(matches!(write, Err(Unavailable::NoLeader | Unavailable::Unknown)), "{write:?}");
    assert_eq!(read, Err(Unavailable::NoLeader));
    assert_eq!(beats, Err(Unavailable::NoLeader));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_worker_expires_and_a_beating_one_costs_no_entry() {
    let cluster = Cluster::formed(3).await;
    cluster.consensus(0).propose(register("quiet", &[1])).await.expect("a quorum is up");
    cluster.consensus(0).propose(register("healthy", &[2])).await.expect("a quorum is up");
    let before = cluster.consensus(0).view().get().index();
    let deadline = time::Instant::now() + Duration::from_millis(3_500);
    while time::Instant::now() < deadline {
        // Through a different node each time.
        let outcomes =
            cluster.consensus(usize::from(deadline.elapsed().is_zero())).heartbeat(beat("healthy")).await;
        assert!(matches!(outcomes.as_deref(), Ok([HeartbeatOutcome::Ok { .. }])), "{outcomes:?}");
        time::sleep(Duration::from_millis(300)).await;
    }
    let view = cluster.consensus(0).view().get();
    assert_eq!(view.worker("quiet").map(|w| w.status().as_str()), Some("expired"));
    assert_eq!(view.worker("healthy").map(|w| w.status().as_str()), Some("live"));
    let entries = view.index().0 - before.0;
    assert_eq!(entries, 2, "suspect and expired, both of the quiet one");
    let unknown = cluster.consensus(1).heartbeat(beat("stranger")).await;
    assert_eq!(unknown, Ok(vec![HeartbeatOutcome::Unknown]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_and_heartbeats_are_counted_once_where_they_came_in() {
    const APPLIED: &str = "quorate_raft_commands_total{stage=\"applied\"}";
    const REFUSED: &str = "quorate_raft_commands_total{stage=\"refused\"}";
    let beats = |outcome: &str| format!("quorate_lease_heartbeats_total{{outcome=\"{outcome}\"}}");
    let mut cluster = Cluster::formed(3).await;
    cluster.until(|c| c.leader().is_some()).await;
    let leader = cluster.leader().expect("there is one");
    let asked = (leader + 1) % 3;
    let before = cluster.count(asked, APPLIED);
    for i in 0..10 {
        cluster.consensus(asked).propose(register(&format!("w{i}"), &[])).await.expect("a quorum is up");
    }
    let refused = cluster.consensus(asked).propose(unregister("stranger")).await.expect("a quorum is up");
    assert!(matches!(refused.reply, Reply::Refused(Refusal::UnknownWorker { .. })), "{refused:?}");
    let beaten = [beat("w1"), beat("w2"), beat("stranger")].concat();
    cluster.consensus(asked).heartbeat(beaten).await.expect("a quorum is up");
    // What a node says of itself is a command too.
    assert!(
        (10..20).contains(&(cluster.count(asked, APPLIED) - before)),
        "{}",
        cluster.count(asked, APPLIED)
    );
    assert_eq!((cluster.count(asked, REFUSED), cluster.count(leader, REFUSED)), (1, 0));
    assert_eq!((cluster.count(asked, &beats("ok")), cluster.count(asked, &beats("unknown"))), (2, 1));
    assert_eq!(cluster.count(leader, &beats("ok")), 0, "it is counted where it came in");
    for i in 0..3 {
        // Read last: commands of the node itself go on.
        let [applied, refused, proposed] = ["applied", "refused", "proposed"]
            .map(|stage| cluster.count(i, &format!("quorate_raft_commands_total{{stage=\"{stage}\"}}")));
        assert!(proposed >= applied + refused, "{proposed} proposed, {applied} applied, {refused} refused");
    }
    cluster.crash(leader).await;
    cluster.crash((leader + 2) % 3).await;
    cluster.consensus(asked).heartbeat(beat("w1")).await.expect_err("no quorum");
    // Whoever asked gives up at the same moment as the task that counts.
    cluster.until(|c| c.count(asked, &beats("unavailable")) == 1).await;
    assert_eq!(cluster.count(asked, &beats("ok")), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leadership_moves_when_asked_from_any_node() {
    let cluster = Cluster::formed(3).await;
    cluster.until(|c| c.leader().is_some()).await;
    let old = cluster.leader().expect("there is one");
    let to = cluster.consensus((old + 1) % 3).id();
    let new = cluster.consensus((old + 2) % 3).transfer_leader(Some(to)).await.expect("it takes over");
    assert_eq!(new.id, to);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_away_for_long_gets_a_snapshot() {
    let mut cluster = Cluster::formed(3).await;
    cluster.until(|c| c.leader().is_some()).await;
    let away = (cluster.leader().expect("there is one") + 1) % 3;
    cluster.crash(away).await;
    let writer = cluster.leader().expect("still");
    for i in 0..700 {
        cluster
            .consensus(writer)
            .propose(register(&format!("w{}", i % 20), &[i % 12]))
            .await
            .expect("two of three");
    }
    cluster.start(away).await;
    cluster.consensus(away).read_barrier().await.expect("it catches up");
    let (ours, theirs) = (cluster.consensus(away).view().get(), cluster.consensus(writer).view().get());
    assert_eq!(ours.workers().collect::<Vec<_>>(), theirs.workers().collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_with_an_empty_disk_takes_its_own_place() {
    let mut cluster = Cluster::formed(3).await;
    cluster.until(|c| c.leader().is_some()).await;
    let wiped = (cluster.leader().expect("there is one") + 1) % 3;
    let other = (wiped + 1) % 3;
    cluster.consensus(other).propose(register("before", &[1])).await.expect("a quorum is up");
    let old = cluster.consensus(wiped).id();
    cluster.crash(wiped).await;
    cluster.disks[wiped] = SimDisk::default();
    cluster.start(wiped).await;
    let new = cluster.consensus(wiped).id();
    assert_ne!(old, new, "an empty disk makes a new id");
    let is_voter =
        |c: &Cluster, id: u64| c.consensus(other).metrics().membership_config.voter_ids().any(|v| v == id);
    cluster.until(|c| is_voter(c, new.0) && !is_voter(c, old.0)).await;
    cluster.consensus(wiped).read_barrier().await.expect("it belongs to the cluster again");
    assert!(cluster.consensus(wiped).view().get().worker("before").is_some(), "it has everything again");
    assert_eq!(
        cluster.consensus(other).metrics().membership_config.nodes().count(),
        3,
        "the old id is gone for good"
    );
}

/// The leader keeps its term while it has no quorum, and hears no heartbeats meanwhile. When the quorum was back its
/// first look found every worker long silent, and the second expired them all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_gets_its_quorum_back_expires_nobody_for_the_time_without() {
    let mut cluster = Cluster::formed(3).await;
    cluster.until(|c| c.leader().is_some()).await;
    let leader = cluster.leader().expect("there is one");
    cluster.consensus(leader).propose(register("w", &[1])).await.expect("a quorum is up");
    let (a, b) = ((leader + 1) % 3, (leader + 2) % 3);
    cluster.crash(a).await;
    cluster.crash(b).await;
    // Longer than the worker's TTL of 2 s.
    time::sleep(Duration::from_millis(3_500)).await;
    cluster.start(a).await;
    cluster.start(b).await;
    cluster.until(|c| c.leader().is_some()).await;
    let deadline = time::Instant::now() + Duration::from_millis(1_200);
    while time::Instant::now() < deadline {
        let view = cluster.consensus(a).view().get();
        let status = view.worker("w").map(|w| w.status().as_str());
        assert_ne!(status, Some("expired"), "its time without a quorum is not its fault");
        time::sleep(Duration::from_millis(50)).await;
    }
}
