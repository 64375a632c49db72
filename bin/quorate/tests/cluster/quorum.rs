//! Losing the quorum stops changes, not traffic.

use crate::support::{
    cluster::{Cluster, WORKSPACES},
    eventually,
    http::{Answer, Ask},
    machine_to_itself,
    node::Node,
};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// A refusal never takes longer.
const REFUSAL_WITHIN: Duration = Duration::from_secs(5);
/// A node with data that finds no leader serves what it has after five seconds; one more is for a busy machine.
const LONE_START_WITHIN: Duration = Duration::from_millis(6_500);

fn refused(node: &Node, ask: &Ask) -> (Answer, Duration) {
    let start = Instant::now();
    let answer = node.ask(ask);
    (answer, start.elapsed())
}

fn is_in_time(answer: &Answer, took: Duration) {
    assert!(took < REFUSAL_WITHIN, "{took:?} for {}", answer.text());
    let retry = answer.header("retry-after").and_then(|seconds| seconds.parse::<u32>().ok());
    assert!(
        retry.is_some_and(|seconds| (1..=60).contains(&seconds)),
        "{retry:?}: {} {}",
        answer.status,
        answer.text()
    );
}

fn native_is_refused(node: &Node, ask: &Ask) {
    let (answer, took) = refused(node, ask);
    is_in_time(&answer, took);
    assert_eq!((answer.status, answer.header("content-type")), (503, Some("application/problem+json")));
    let problem = answer.json();
    assert!(
        ["no_quorum", "outcome_unknown"].contains(&problem["code"].as_str().expect("a code")),
        "{problem}"
    );
    assert_eq!(problem["status"], 503);
    // Nobody is sent to a leader that is not heard any more.
    assert_eq!((problem.get("leader"), answer.header("x-quorate-leader")), (Some(&Value::Null), None));
}

fn dialect_is_refused(node: &Node, path: &str, body: &Value, error: &str) {
    let (answer, took) = refused(node, &Ask::json("POST", path, body));
    is_in_time(&answer, took);
    assert_eq!((answer.status, answer.json()), (500, json!({ "error": error })));
}

fn routes_on(node: &Node) {
    for (workspace, partition, _) in WORKSPACES {
        assert_eq!(node.route(workspace).worker(), format!("w{}", partition / 4 + 1));
    }
}

/// Everything that holds on a node that is left alone, once it knows.
fn changes_are_refused_and_routing_goes_on(node: &mut Node) {
    routes_on(node);
    node.becomes("degraded");
    // Harmless ones: a leader that is cut off may carry them out once it is not.
    let native = json!({"address": "http://127.0.0.1:1"});
    let full = json!({"workerId": "other", "httpAddress": "http://127.0.0.1:1", "partitions": []});
    let plain = json!({"workerId": "other"});
    let keyspace = json!({"partitions": 3});
    std::thread::scope(|scope| {
        let node = &*node;
        scope.spawn(|| native_is_refused(node, &Ask::json("PUT", "/v1/workers/other", &native)));
        scope.spawn(|| native_is_refused(node, &Ask::new("DELETE", "/v1/workers/other")));
        scope.spawn(|| native_is_refused(node, &Ask::new("POST", "/v1/workers/w1/heartbeat")));
        scope.spawn(|| native_is_refused(node, &Ask::json("PUT", "/v1/keyspaces/other", &keyspace)));
        scope.spawn(|| native_is_refused(node, &Ask::get("/v1/workers?consistent=true")));
        scope.spawn(|| native_is_refused(node, &Ask::get("/v1/leases")));
        for prefix in ["", "/api"] {
            let at = move |path: &str| format!("{prefix}{path}");
            let (full, plain) = (&full, &plain);
            scope
                .spawn(move || dialect_is_refused(node, &at("/register"), full, "Failed to register worker"));
            scope.spawn(move || {
                dialect_is_refused(node, &at("/heartbeat"), plain, "Failed to update heartbeat")
            });
            scope.spawn(move || {
                dialect_is_refused(node, &at("/unregister"), plain, "Failed to unregister worker")
            });
        }
        routes_on(node);
    });
    is_degraded(node);
    routes_on(node);
}

fn is_degraded(node: &mut Node) {
    node.becomes("degraded");
    let ready = node.ask(&Ask::get("/readyz?verbose"));
    assert_eq!(ready.status, 200);
    assert!(ready.json()["reason"].as_str().is_some_and(|why| why.contains("quorum")), "{}", ready.text());
    assert_eq!(node.ask(&Ask::get("/livez")).status, 200);
    assert_eq!(node.ask(&Ask::get("/healthz")).status, 200);
    for stale in [node.route("my-workspace"), node.ask(&Ask::get("/v1/workers"))] {
        let seconds: u64 = stale.header("x-quorate-stale").expect("it says so").parse().expect("seconds");
        assert!((2..60).contains(&seconds), "{seconds}");
    }
}

#[test]
fn without_a_quorum_changes_are_refused_in_time_and_routing_goes_on() {
    let _alone = machine_to_itself();
    let mut cluster = Cluster::formed();
    let _workers = cluster.with_workers();

    let leader = cluster.leader();
    for follower in cluster.followers() {
        cluster.nodes[follower].kill();
    }
    changes_are_refused_and_routing_goes_on(&mut cluster.nodes[leader]);
    for node in &mut cluster.nodes {
        if !node.runs() {
            node.start();
        }
    }
    cluster.ready();
    cluster.catch_up();
    is_fresh(&cluster);

    let left = cluster.followers()[0];
    for other in (0..3).filter(|place| *place != left) {
        cluster.nodes[other].kill();
    }
    changes_are_refused_and_routing_goes_on(&mut cluster.nodes[left]);
}

fn is_fresh(cluster: &Cluster) {
    for node in &cluster.nodes {
        let fresh = || node.route("my-workspace").header("x-quorate-stale").is_none().then_some(());
        eventually("answers are no longer stale", fresh);
        routes_on(node);
        node.register("late", "http://127.0.0.1:1", &[]).ok();
    }
}

#[test]
fn a_lone_node_with_data_serves_what_it_has_soon_after_its_start() {
    let _alone = machine_to_itself();
    let mut cluster = Cluster::formed();
    let workers = cluster.with_workers();
    // Once the nodes have nothing more to say of themselves, one more change; then nothing is written for a second.
    std::thread::sleep(Duration::from_secs(1));
    let [newest, ..] = &workers;
    cluster.nodes[0].register("newest", &newest.url(), &[9]).ok();
    cluster.catch_up();
    std::thread::sleep(Duration::from_secs(1));
    cluster.nodes.iter_mut().for_each(Node::kill);
    let start = Instant::now();
    cluster.nodes[1].start();
    eventually("it listens", || Ask::get("/livez").send(cluster.nodes[1].management).ok());
    assert_eq!(cluster.nodes[1].ask(&Ask::get("/readyz")).status, 503, "first it waits for a leader");
    cluster.nodes[1].becomes("degraded");
    let took = start.elapsed();
    assert_eq!(cluster.nodes[1].route("my-workspace").worker(), "w1", "what it last served, it serves again");
    is_degraded(&mut cluster.nodes[1]);
    assert!(took < LONE_START_WITHIN, "ready after {took:?}");

    cluster.nodes[0].start();
    cluster.nodes[0].becomes("ready");
    cluster.nodes[1].becomes("ready");
    cluster.nodes[1].register("late", "http://127.0.0.1:1", &[]).ok();
}
