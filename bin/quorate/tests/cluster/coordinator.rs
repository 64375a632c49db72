//! The service coordinator's dialect, spoken to three real nodes. Its defects have the numbers of its contract.

use crate::support::{
    cluster::Cluster,
    eventually,
    http::{Answer, Ask},
    machine_shared,
    node::{Node, ran},
    worker::Worker,
};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

fn agent(port: usize, services: &[&str]) -> Value {
    let service = |name: &&str| json!({"name": name, "container": name, "port": port, "health": "healthy"});
    json!({
        "capabilities": {"cpu_cores": 8, "worker_type": "cpu"},
        "services": services.iter().map(service).collect::<Vec<_>>(),
        "ip_address": "127.0.0.1",
        "tunnel_url": null,
        "wants_heartbeat_leadership": true,
    })
}

fn register(node: &Node, body: &Value) -> String {
    let answer = node.ask(&Ask::json("POST", "/api/worker/register", body)).ok().json();
    answer["worker_id"].as_str().expect("an id").to_owned()
}

fn beat(node: &Node, body: &Value) -> Answer {
    node.ask(&Ask::json("POST", "/api/worker/heartbeat", body))
}

fn shown(node: &Node, id: &str) -> Value {
    let workers = node.get("/api/admin/workers");
    let workers = workers.as_array().expect("a bare array");
    workers.iter().find(|worker| worker["worker_id"] == id).cloned().unwrap_or_default()
}

fn healthy(node: &Node, service: &str) -> Value {
    node.get("/api/admin/services")["services"][service]["healthy_workers"].clone()
}

/// Lists of workers were read, changed and written back, without a lock: of two registrations at once one was lost,
/// and two workers could both be told that they lead.
#[test]
fn defect_2_nobody_is_lost_who_registers_at_the_same_time_as_others() {
    const WORKERS: usize = 24;
    let _shared = machine_shared();
    let cluster = Cluster::formed();
    let nodes = &cluster.nodes;
    std::thread::scope(|scope| {
        for nth in 0..WORKERS {
            scope.spawn(move || register(&nodes[nth % 3], &agent(20_000 + nth, &["upload"])));
        }
    });
    cluster.catch_up();
    for node in nodes {
        assert_eq!(healthy(node, "upload"), WORKERS, "{}", node.name);
        let workers = node.get("/api/admin/workers");
        let leads: Vec<_> = workers
            .as_array()
            .expect("a bare array")
            .iter()
            .filter(|worker| worker["is_heartbeat_leader"] == true)
            .map(|worker| worker["worker_id"].clone())
            .collect();
        assert_eq!(leads.len(), 1, "{}: {leads:?}", node.name);
        assert_eq!(shown(&nodes[0], leads[0].as_str().expect("an id"))["is_heartbeat_leader"], true);
    }
}

/// A healthy worker was offline between two writes of its heartbeats, and one that came back was never routed to.
/// Here heartbeats keep it alive on all nodes, whichever one hears them, and no log entry is made of them.
#[test]
fn defects_1_and_3_heartbeats_alone_decide_who_is_healthy_on_every_node() {
    const TTL: Duration = Duration::from_secs(6);
    let _shared = machine_shared();
    let cluster = Cluster::formed_with(&["--coordinator-ttl", "6s"]);
    let [n1, n2, n3] = &cluster.nodes;
    let worker = Worker::start("silent");
    let silent = register(n1, &agent(worker.address.port().into(), &["upload", "rag"]));
    let answer = n2.ask(&Ask::json("POST", "/api/worker/register", &agent(20_001, &["upload"]))).ok().json();
    assert_eq!(answer["heartbeat_interval"], 2);
    let beating = answer["worker_id"].as_str().expect("an id").to_owned();
    cluster.catch_up();
    let (mut heard, mut rounds) = (Instant::now(), 0);
    eventually("the silent one is offline on all nodes", || {
        let node = &cluster.nodes[rounds % 3];
        rounds += 1;
        assert_eq!(beat(node, &json!({"worker_id": beating})).ok().text(), r#"{"status":"ok"}"#);
        let at = Instant::now();
        let status = cluster.nodes.each_ref().map(|node| shown(node, &beating)["status"].clone());
        // On a machine that stands still for so long nobody is alive.
        if heard.elapsed() < TTL / 2 {
            assert_eq!(status, ["healthy", "healthy", "healthy"], "round {rounds}");
        }
        heard = at;
        cluster.nodes.iter().all(|node| shown(node, &silent)["status"] == "offline").then_some(())
    });
    let routed = |node: &Node| Ask::get("/api/service/rag/hello").send(node.routing).expect("it answers");
    for node in &cluster.nodes {
        assert_eq!((healthy(node, "rag"), routed(node).status), (json!(0), 503), "{}", node.name);
    }
    assert_eq!(beat(n3, &json!({"worker_id": silent})).status, 200, "it need not register again");
    cluster.catch_up();
    for node in &cluster.nodes {
        beat(node, &json!({"worker_id": silent})).ok();
        assert_eq!((healthy(node, "rag"), &shown(node, &silent)["status"]), (json!(1), &json!("healthy")));
        assert_eq!(routed(node).worker(), "silent", "{}: and it is routed to", node.name);
    }
}

/// Each registration made a new id.
#[test]
fn defect_5_a_worker_that_registers_again_elsewhere_leaves_no_ghost() {
    let _shared = machine_shared();
    let mut cluster = Cluster::formed();
    let body = agent(20_000, &["upload"]);
    let id = register(&cluster.nodes[0], &body);
    let again: Vec<String> = std::thread::scope(|scope| {
        let asked: Vec<_> = cluster.nodes.iter().map(|node| scope.spawn(|| register(node, &body))).collect();
        asked.into_iter().map(|asked| asked.join().expect("registers")).collect()
    });
    assert_eq!(again, [id.as_str(), &id, &id]);
    cluster.catch_up();
    cluster.nodes[0].kill();
    cluster.leader();
    let later = eventually("a majority registers it", || {
        let answer = cluster.nodes[1].ask(&Ask::json("POST", "/api/worker/register", &body));
        (answer.status == 200).then(|| answer.json())
    });
    assert_eq!(later["worker_id"], id.as_str());
    assert_eq!(cluster.nodes[2].get("/api/admin/stats")["total_workers"], 1);
}

/// What a worker says about its load is told from node to node, and costs no log entry.
#[test]
fn every_node_knows_the_load_that_one_was_told() {
    let _shared = machine_shared();
    let mut cluster = Cluster::formed();
    let id = register(&cluster.nodes[0], &agent(20_000, &["upload", "rag"]));
    // What a young cluster writes about its nodes is not about workers.
    eventually("all nodes are described", || {
        let members = cluster.nodes[0].get("/v1/cluster?consistent=true")["nodes"].clone();
        members.as_array()?.iter().all(|node| node["management"] != "").then_some(())
    });
    cluster.catch_up();
    let before = cluster.nodes[0].ask(&Ask::get("/health")).index();
    for (nth, (load, ill)) in [(0.25, "rag"), (0.5, "upload")].into_iter().enumerate() {
        let said = json!({
            "worker_id": id, "current_load": load, "available_memory": "12.3GB", "services_status": {ill: "down"}
        });
        beat(&cluster.nodes[nth], &said).ok();
        for node in &cluster.nodes {
            eventually("it is told", || (shown(node, &id)["current_load"] == load).then_some(()));
            assert_eq!(healthy(node, ill), 0, "{}", node.name);
        }
    }
    assert_eq!(cluster.nodes[0].ask(&Ask::get("/health")).index(), before);
    // Who was away when it was said is told once it is back.
    cluster.nodes[2].kill();
    let said = json!({"worker_id": id, "current_load": 0.75});
    eventually("a majority hears it", || (beat(&cluster.nodes[0], &said).status == 200).then_some(()));
    cluster.nodes[2].start();
    cluster.ready();
    eventually("it is told", || (shown(&cluster.nodes[2], &id)["current_load"] == 0.75).then_some(()));
}

/// The original's own test, as it is, against each node, through the kill of each node.
#[test]
fn the_coordinators_own_script_passes_on_every_node_through_the_kill_of_any() {
    let _shared = machine_shared();
    let mut cluster = Cluster::formed();
    let worker = Worker::start("upload-1");
    let port = usize::from(worker.address.port());
    register(&cluster.nodes[0], &agent(port, &["upload"]));
    cluster.catch_up();
    cluster.nodes.iter().for_each(script_passes);
    for victim in 0..3 {
        cluster.nodes[victim].kill();
        // At once: what was acknowledged is known to the others, and none of this needs a leader.
        cluster.running().for_each(script_passes);
        cluster.nodes[victim].start();
        cluster.ready();
        script_passes(&cluster.nodes[victim]);
    }
}

fn script_passes(node: &Node) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/test-service-discovery.sh");
    let mut command = std::process::Command::new("bash");
    // Nothing of the developer's environment: a proxy would stand between.
    command
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .arg(script)
        .env("COORDINATOR_URL", format!("http://{}", node.management));
    let ran = ran(command);
    assert_eq!(ran.code, Some(0), "{}: {}{}", node.name, ran.out, ran.err);
}
