//! Nodes that are started somehow become one cluster, and answer alike.

use crate::support::{
    cluster::{Cluster, WORKSPACES},
    eventually,
    http::Ask,
    machine_shared,
    node::Node,
};
use serde_json::json;
use std::collections::BTreeSet;

/// A node that waits for the others works, and says that it is not ready and why.
fn waits(node: &Node) {
    eventually("it listens", || {
        Ask::get("/livez").send(node.management).ok().map(|a| assert_eq!(a.status, 200))
    });
    let ready = node.ask(&Ask::get("/readyz"));
    assert_eq!((ready.status, &ready.json()["status"]), (503, &json!("starting")), "{}", node.name);
    assert_eq!(ready.json()["reason"], "the cluster is not formed yet");
}

#[test]
fn nodes_started_in_any_order_with_delays_form_one_cluster() {
    let _shared = machine_shared();
    for order in [[0, 1, 2], [2, 0, 1], [1, 2, 0]] {
        let mut cluster = Cluster::planned();
        for (nth, place) in order.into_iter().enumerate() {
            cluster.nodes[place].start();
            if nth < 2 {
                waits(&cluster.nodes[place]);
            }
        }
        cluster.ready();
        cluster.catch_up();
        let said: Vec<_> = cluster.nodes.iter().map(|node| node.get("/v1/cluster")).collect();
        let names: Vec<_> =
            said[0]["nodes"].as_array().expect("a list").iter().map(|n| n["name"].clone()).collect();
        assert_eq!(names, ["n1", "n2", "n3"]);
        for (node, said) in cluster.nodes.iter().zip(&said) {
            assert_eq!(said["node"], node.name.as_str());
            assert!(said["cluster_id"].is_string());
            for same in ["cluster_id", "leader", "term"] {
                assert_eq!(said[same], cluster.nodes[0].get("/v1/cluster")[same], "{same} of {}", node.name);
            }
        }
    }
}

#[test]
fn a_worker_registered_at_any_node_is_routed_by_every_node_the_same_way() {
    let _shared = machine_shared();
    let cluster = Cluster::formed();
    // Each registers at another node.
    let workers = cluster.with_workers();
    for (workspace, partition, _) in WORKSPACES {
        let answers: Vec<_> = cluster.nodes.iter().map(|node| node.route(workspace)).collect();
        let owner = &workers[partition as usize / 4].id;
        let nodes: BTreeSet<_> = answers.iter().map(|answer| answer.node().to_owned()).collect();
        assert_eq!(nodes, ["n1", "n2", "n3"].map(str::to_owned).into(), "each node answers for itself");
        for answer in answers {
            assert_eq!(&answer.worker(), owner, "{workspace} at {}", answer.node());
            assert!(answer.index() > 0 && answer.header("x-quorate-stale").is_none());
        }
    }
}

#[test]
fn bodies_paths_and_queries_reach_the_worker_as_they_were_sent() {
    let _shared = machine_shared();
    let cluster = Cluster::formed();
    let _workers = cluster.with_workers();
    let ask = Ask::json("POST", "/v1/workspaces/my-workspace/a%20b?x=1&y=%2F", &json!({"n": 1}));
    for node in &cluster.nodes {
        let said = ask.send(node.routing).expect("it answers").ok().json();
        assert_eq!(said["head"][0], "post /v1/workspaces/my-workspace/a%20b?x=1&y=%2f http/1.1");
        assert_eq!((&said["body"], &said["worker"]), (&json!("{\"n\":1}"), &json!("w3")));
    }
}

#[test]
fn what_one_node_acknowledged_is_seen_at_the_others_by_index_or_by_a_consistent_read() {
    let _shared = machine_shared();
    let cluster = Cluster::formed();
    for round in 0..10 {
        let [writer, reader, other] = [0, 1, 2].map(|n| &cluster.nodes[(round + n) % 3]);
        let target = format!("/v1/workers/w{round}");
        let body = json!({"address": "http://127.0.0.1:1", "partitions": [0]});
        let written = writer.ask(&Ask::json("PUT", &target, &body)).ok();
        assert_eq!(written.json()["index"], written.index());
        assert_eq!(writer.get(&target)["partitions"], json!([0]), "a writer sees its own write at once");
        let index = written.index();
        assert_eq!(
            reader.get(&format!("{target}?min_index={index}&wait=10s"))["epoch"],
            written.json()["lease"]["epoch"]
        );
        assert_eq!(
            other.get(&format!("{target}?consistent=true"))["epoch"],
            written.json()["lease"]["epoch"]
        );
    }
}
