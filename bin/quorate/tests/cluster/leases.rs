//! Heartbeats that come late, twice, or from somebody who is no more.

use crate::support::{
    cluster::Cluster,
    eventually,
    http::{Answer, Ask},
    machine_shared,
    node::Node,
};
use serde_json::{Value, json};

fn registered(node: &Node, id: &str) -> u64 {
    let body = json!({"address": "http://127.0.0.1:1", "partitions": [0, 1]});
    let answer = node.ask(&Ask::json("PUT", &format!("/v1/workers/{id}"), &body)).ok().json();
    answer["lease"]["id"].as_u64().expect("a lease")
}

fn beat(id: &str, lease: u64, sequence: u64) -> Ask {
    let body = json!({"lease": lease, "sequence": sequence});
    Ask::json("POST", &format!("/v1/workers/{id}/heartbeat"), &body)
}

fn told(answer: &Answer) -> (u16, Value) {
    (answer.status, answer.json()["code"].clone())
}

fn is_gone(cluster: &Cluster, id: &str) {
    for node in &cluster.nodes {
        let answer = node.ask(&Ask::get(&format!("/v1/workers/{id}?consistent=true")));
        assert_eq!(told(&answer), (404, json!("worker_unknown")), "{}", node.name);
        let owner = node.get("/v1/keyspaces/default/partitions?limit=1")["items"][0]["owner"].clone();
        assert_eq!(owner, Value::Null, "{}", node.name);
    }
}

/// R5: whoever records a worker's heartbeats can neither keep it alive nor bring it back.
#[test]
fn a_replayed_heartbeat_is_refused_and_does_not_bring_a_worker_back() {
    let _shared = machine_shared();
    let cluster = Cluster::formed();
    let lease = registered(&cluster.nodes[0], "r5");
    let recorded: Vec<_> = (1..=3).map(|sequence| beat("r5", lease, sequence)).collect();
    cluster.nodes[1].ask(&recorded[0]).ok();
    cluster.nodes[2].ask(&recorded[1]).ok();
    for (node, ask) in cluster.nodes.iter().flat_map(|node| recorded[..2].iter().map(move |ask| (node, ask)))
    {
        assert_eq!(told(&node.ask(ask)), (409, json!("heartbeat_replayed")), "{}", node.name);
    }
    cluster.nodes[1].ask(&Ask::new("DELETE", "/v1/workers/r5")).ok();
    // The third one was on its way all the time.
    for (node, ask) in cluster.nodes.iter().flat_map(|node| recorded.iter().map(move |ask| (node, ask))) {
        assert_eq!(told(&node.ask(ask)), (404, json!("worker_unknown")), "{}", node.name);
    }
    is_gone(&cluster, "r5");
    // Not even a new leader, who heard none of them, is fooled.
    let before = cluster.leader();
    cluster.nodes[0].ask(&Ask::new("POST", "/v1/cluster/transfer-leader")).ok();
    assert_ne!(cluster.leader(), before);
    for (node, ask) in cluster.nodes.iter().flat_map(|node| recorded.iter().map(move |ask| (node, ask))) {
        assert_eq!(told(&node.ask(ask)), (404, json!("worker_unknown")), "{}", node.name);
    }
    is_gone(&cluster, "r5");
}

#[test]
fn a_heartbeat_of_an_older_incarnation_is_refused() {
    let _shared = machine_shared();
    let cluster = Cluster::formed();
    let old = registered(&cluster.nodes[0], "r5");
    cluster.nodes[1].ask(&beat("r5", old, 1)).ok();
    cluster.nodes[2].ask(&Ask::new("DELETE", "/v1/workers/r5")).ok();
    let new = registered(&cluster.nodes[1], "r5");
    assert!(new > old);
    let epoch = cluster.nodes[1].get("/v1/workers/r5")["epoch"].clone();
    for _ in 0..2 {
        for node in &cluster.nodes {
            // However large its sequence.
            assert_eq!(
                told(&node.ask(&beat("r5", old, 1_000))),
                (409, json!("lease_stale")),
                "{}",
                node.name
            );
            let goodbye = Ask::new("DELETE", &format!("/v1/workers/r5?lease={old}"));
            assert_eq!(told(&node.ask(&goodbye)), (409, json!("lease_stale")), "{}", node.name);
        }
        cluster.nodes[0].ask(&Ask::new("POST", "/v1/cluster/transfer-leader")).ok();
        cluster.leader();
    }
    cluster.nodes[0].ask(&beat("r5", new, 1)).ok();
    for node in &cluster.nodes {
        assert_eq!(node.get("/v1/workers/r5?consistent=true")["epoch"], epoch);
    }
}

#[test]
fn the_dialects_heartbeats_do_not_bring_back_who_said_goodbye() {
    let _shared = machine_shared();
    let cluster = Cluster::formed();
    let plain = json!({"workerId": "r5"});
    let full = json!({"workerId": "r5", "httpAddress": "http://127.0.0.1:1", "partitions": [0]});
    cluster.nodes[0].register("r5", "http://127.0.0.1:1", &[0]).ok();
    for (node, body) in cluster.nodes.iter().zip([&plain, &full, &plain]) {
        let answer = node.ask(&Ask::json("POST", "/api/heartbeat", body)).ok();
        assert_eq!(answer.json(), json!({"status": "ok"}));
    }
    let answer = cluster.nodes[1].ask(&Ask::json("POST", "/api/unregister", &plain)).ok();
    assert_eq!(
        answer.json(),
        json!({"status": "unregistered", "message": "Worker successfully unregistered"})
    );
    for node in &cluster.nodes {
        for body in [&plain, &full] {
            let answer = node.ask(&Ask::json("POST", "/heartbeat", body));
            let wanted = json!({"error": "Worker not found. Please register first."});
            assert_eq!((answer.status, answer.json()), (404, wanted), "{}", node.name);
        }
    }
    is_gone(&cluster, "r5");
}

#[test]
fn a_worker_that_falls_silent_is_out_on_every_node_and_one_that_beats_is_not() {
    let _shared = machine_shared();
    let cluster = Cluster::formed();
    let (silent, beating) = (
        json!({"address": "http://127.0.0.1:1", "partitions": [0], "ttl": "2s"}),
        json!({"address": "http://127.0.0.1:1", "partitions": [1], "ttl": "2s"}),
    );
    cluster.nodes[0].ask(&Ask::json("PUT", "/v1/workers/silent", &silent)).ok();
    cluster.nodes[1].ask(&Ask::json("PUT", "/v1/workers/beating", &beating)).ok();
    let mut nodes = cluster.nodes.iter().cycle();
    eventually("the silent one expires", || {
        let node = nodes.next().expect("endless");
        node.ask(&Ask::new("POST", "/v1/workers/beating/heartbeat")).ok();
        let all = cluster.nodes.iter().all(|node| node.get("/v1/workers/silent")["status"] == "expired");
        all.then_some(())
    });
    for node in &cluster.nodes {
        assert_eq!(node.get("/v1/workers/beating")["status"], "live", "{}", node.name);
    }
    // An expired one comes back with a heartbeat, and with a new fencing token.
    let before = cluster.nodes[0].get("/v1/workers/silent")["epoch"].as_u64().expect("a number");
    cluster.nodes[2].ask(&Ask::new("POST", "/v1/workers/silent/heartbeat")).ok();
    eventually("it is live again", || {
        let worker = cluster.nodes[0].get("/v1/workers/silent");
        (worker["status"] == "live").then(|| assert!(worker["epoch"].as_u64().expect("a number") > before))
    });
}
