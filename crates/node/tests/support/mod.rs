//! Three nodes of one process, on real sockets.

use quorate_model::FeatureLevel;
use quorate_node::{
    Node, Platform,
    config::{Config, Sources},
    readiness::Phase,
};
use quorate_rt::time;
use quorate_storage::SimDisk;
use std::{sync::Arc, time::Duration};
use tokio::runtime::Handle;

/// Three nodes that have formed a cluster, with one core each: each core has breakers of its own.
pub async fn cluster() -> Vec<Node> {
    cluster_on(&Handle::current()).await
}

/// The same, the second one on a runtime of its own.
pub async fn cluster_on(second: &Handle) -> Vec<Node> {
    // Bound once to get free ports, then released for the nodes.
    let held: Vec<_> = (0..3).map(|_| std::net::TcpListener::bind("127.0.0.1:0").expect("free")).collect();
    let ports: Vec<_> = held.iter().map(|port| port.local_addr().expect("bound").to_string()).collect();
    drop(held);
    let named: Vec<_> = ports.iter().zip(1..).map(|(at, nth)| format!("n{nth}={at}")).collect();
    let mut nodes = Vec::new();
    for (at, nth) in ports.iter().zip(1..) {
        let name = format!("n{nth}");
        let flags = [
            ("routing", "127.0.0.1:0"),
            ("management", "127.0.0.1:0"),
            ("peer", at),
            ("peers", &named.join(",")),
            ("node-name", &name),
            ("threads", "1"),
            // Whichever node found the usual port free would answer in the place of the test.
            ("gateway", "off"),
        ];
        let flags = flags.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let config = Config::load(&Sources { flags: flags.into(), ..Sources::default() }).expect("valid");
        let disk = Arc::new(SimDisk::new().open(&config.node_name).expect("an empty disk"));
        let platform = Platform { disk, partition_source: None, secret: None, detour: None };
        let runtime = if nth == 2 { second.clone() } else { Handle::current() };
        let started = runtime.spawn(Node::start(config, platform)).await.expect("it does not panic");
        nodes.push(started.expect("starts"));
    }
    let is_ready = |node: &Node| {
        node.readiness().phase() == Phase::Serving && node.consensus().feature_level() == FeatureLevel::NEWEST
    };
    until("all are ready", || nodes.iter().all(is_ready)).await;
    nodes
}

/// Looks until it holds, within a bound.
pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = time::Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(time::Instant::now() < deadline, "{what}: not in time");
        time::sleep(Duration::from_millis(10)).await;
    }
}
