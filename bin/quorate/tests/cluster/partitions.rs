//! Into how many partitions workspaces hash: one number for all nodes, changed at one log index.

use crate::support::{
    cluster::{Cluster, WORKSPACES},
    http::Ask,
    machine_shared,
    worker::Worker,
};
use serde_json::json;
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

/// With the partition (of 10, of 64) that the contract's table has for each.
const TEN: [(&str, u32, u32); 7] = [
    ("workspace-1", 2, 2),
    ("clzj8r5ck000008l7h9gm3k3v", 9, 29),
    ("test-workspace", 7, 45),
    ("test-workspace-123", 3, 61),
    ("my-workspace", 9, 1),
    ("prod-workspace-123", 6, 28),
    ("550e8400-e29b-41d4-a716-446655440000", 1, 63),
];

/// One worker for each of three partitions in turn: another count, another worker.
fn with_workers(cluster: &Cluster) -> [Worker; 3] {
    let workers = ["w0", "w1", "w2"].map(Worker::start);
    for (nth, worker) in (0..).zip(&workers) {
        let partitions: Vec<_> = (0..64).filter(|partition| partition % 3 == nth).collect();
        // The dialect takes those that the keyspace does not have yet.
        cluster.nodes[0].register(&worker.id, &worker.url(), &partitions).ok();
    }
    cluster.catch_up();
    workers
}

fn owner(partition: u32) -> String {
    format!("w{}", partition % 3)
}

#[test]
fn the_flag_decides_the_count_of_a_new_cluster_and_the_api_changes_it() {
    let _shared = machine_shared();
    let cluster = Cluster::formed_with(&["--partitions", "10"]);
    let _workers = with_workers(&cluster);
    for node in &cluster.nodes {
        assert_eq!(node.get("/v1/keyspaces/default")["partitions"], 10);
        assert_eq!(node.get("/healthz")["partition_count"], 10);
        for (workspace, of_10, _) in TEN {
            assert_eq!(node.route(workspace).worker(), owner(of_10), "{workspace} at {}", node.name);
        }
        let worker = node.get("/v1/workers/w0");
        let beyond = worker["partitions_out_of_range"].as_array().map(Vec::len);
        assert_eq!(beyond, Some(18), "what routes nothing yet is shown as such: {worker}");
    }
    let body = json!({"partitions": 64});
    cluster.nodes[2].ask(&Ask::json("PUT", "/v1/keyspaces/default", &body)).ok();
    cluster.catch_up();
    for node in &cluster.nodes {
        assert_eq!(node.get("/v1/keyspaces/default")["partitions"], 64);
        for (workspace, _, of_64) in TEN {
            assert_eq!(node.route(workspace).worker(), owner(of_64), "{workspace} at {}", node.name);
        }
    }
}

struct Sample {
    node: String,
    workspace: &'static str,
    index: u64,
    worker: String,
}

/// Routes until it is told to stop.
fn sampler(routing: SocketAddr, stop: Arc<AtomicBool>) -> JoinHandle<Vec<Sample>> {
    std::thread::spawn(move || {
        let mut samples = Vec::new();
        for (workspace, _, _) in WORKSPACES.into_iter().cycle() {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            let answer = Ask::workspace(workspace).send(routing).expect("it routes");
            let (node, index, worker) = (answer.node().to_owned(), answer.index(), answer.worker());
            samples.push(Sample { node, workspace, index, worker });
        }
        samples
    })
}

#[test]
fn all_nodes_change_the_count_at_one_index() {
    let _shared = machine_shared();
    let cluster = Cluster::formed();
    let _workers = with_workers(&cluster);
    let stop = Arc::new(AtomicBool::new(false));
    let samplers: Vec<_> = cluster.nodes.iter().map(|node| sampler(node.routing, stop.clone())).collect();
    // At which index which count began.
    let mut counts = vec![(0, 12)];
    for (nth, count) in [64, 12, 64, 12, 64, 12].into_iter().enumerate() {
        let ask = Ask::json("PUT", "/v1/keyspaces/default", &json!({ "partitions": count }));
        let index = cluster.nodes[nth % 3].ask(&ask).ok().json()["index"].as_u64().expect("an index");
        counts.push((index, count));
        // So that each count is met by requests on each node.
        cluster.catch_up();
    }
    stop.store(true, Ordering::Relaxed);
    let samples: Vec<_> =
        samplers.into_iter().flat_map(|s| s.join().expect("every request is routed")).collect();
    for Sample { node, workspace, index, worker } in &samples {
        let count = counts.iter().rev().find(|(from, _)| from <= index).expect("the first is 0").1;
        let (_, of_12, of_64) = *WORKSPACES.iter().find(|(id, ..)| id == workspace).expect("one of ours");
        let partition = if count == 12 { of_12 } else { of_64 };
        assert_eq!(*worker, owner(partition), "{workspace} at {node}, index {index}, {count} partitions");
    }
    for node in &cluster.nodes {
        let met: std::collections::BTreeSet<_> =
            samples.iter().filter(|s| s.node == node.name).map(|s| s.index).collect();
        assert!(met.len() > 1, "{} was asked on both sides of a change", node.name);
    }
}

#[test]
fn a_restart_with_another_flag_does_not_change_the_count() {
    let _shared = machine_shared();
    let mut cluster = Cluster::formed_with(&["--partitions", "10"]);
    for node in &mut cluster.nodes {
        node.kill();
        let place = node.args.iter().position(|arg| arg == "10").expect("as it was started");
        node.args[place] = "20".into();
        node.start();
    }
    cluster.ready();
    for node in &cluster.nodes {
        assert_eq!(node.get("/v1/keyspaces/default?consistent=true")["partitions"], 10);
    }
}
