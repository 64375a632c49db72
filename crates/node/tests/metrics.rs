//! What a whole node shows of its commands, heartbeats and syncs: every part of it counts into the same metrics.
#![cfg(not(madsim))]

use quorate_model::{Address, Command, Heartbeat, PartitionRange, RegistrationParts, Reply, Ttl, WorkerId};
use quorate_node::{
    Node, Platform,
    config::{Config, Sources},
    readiness::Phase,
};
use quorate_rt::time;
use quorate_storage::SimDisk;
use std::{sync::Arc, time::Duration};

async fn node() -> Node {
    let flags = ["routing", "management", "peer"].map(|listener| (listener.into(), "127.0.0.1:0".into()));
    let sources = Sources { flags: flags.into(), ..Sources::default() };
    let config = Config::load(&sources).expect("valid");
    let disk = Arc::new(SimDisk::new().open(&config.node_name).expect("an empty disk"));
    let platform = Platform { disk, partition_source: None, secret: None, detour: None };
    let node = Node::start(config, platform).await.expect("starts");
    let deadline = time::Instant::now() + Duration::from_secs(20);
    while node.readiness().phase() != Phase::Serving {
        assert!(time::Instant::now() < deadline, "not ready in time");
        time::sleep(Duration::from_millis(10)).await;
    }
    node
}

/// The value of a series, as a scraper sees it.
fn shown(node: &Node, series: &str) -> u64 {
    let text = node.metrics().render();
    let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("no {series} in\n{text}")).parse().expect("a number")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_counts_its_commands_heartbeats_leases_and_syncs() {
    const APPLIED: &str = "quorate_raft_commands_total{stage=\"applied\"}";
    const REFUSED: &str = "quorate_raft_commands_total{stage=\"refused\"}";
    const BEATEN: &str = "quorate_lease_heartbeats_total{outcome=\"ok\"}";
    const REGISTERED: &str = "quorate_lease_transitions_total{event=\"registered\"}";
    const SYNCS: &str = "quorate_storage_log_sync_duration_seconds_count";
    let node = node().await;
    let before = [APPLIED, SYNCS].map(|series| shown(&node, series));
    assert!(before.iter().all(|count| *count > 0), "forming the cluster was a command: {before:?}");

    let id = WorkerId::parse("w1").expect("valid");
    let ttl = Ttl::new(Duration::from_secs(30)).expect("valid");
    let parts = RegistrationParts::new(id.clone(), Address::parse("http://h:1").expect("valid"), ttl);
    let registration = parts.validate().expect("valid");
    let register = Command::RegisterWorker { registration, range: PartitionRange::Strict, if_index: None };
    node.consensus().propose(register).await.expect("it leads");
    let nobody = WorkerId::parse("nobody").expect("valid");
    let unregister = Command::UnregisterWorker { id: nobody, epoch: None, if_index: None };
    let refused = node.consensus().propose(unregister).await.expect("it leads");
    assert!(matches!(refused.reply, Reply::Refused(_)), "{refused:?}");
    let beat = Heartbeat { id, incarnation: None, sequence: None };
    node.consensus().heartbeat(vec![beat]).await.expect("it leads");

    assert!(shown(&node, APPLIED) > before[0]);
    assert!(shown(&node, SYNCS) > before[1]);
    assert_eq!([REFUSED, BEATEN, REGISTERED].map(|series| shown(&node, series)), [1, 1, 1]);
    node.shutdown().await;
}
