//! The sandbox API: what is put at one node leads requests at every other one.

use crate::support::{
    cluster::Cluster,
    http::{Answer, Ask},
    machine_shared,
    node::Node,
    worker::Worker,
};
use serde_json::{Value, json};

const SANDBOXES: &str = "/api/v1alpha1/namespaces/team-a/sandboxes";
const GROUPS: &str = "/api/v1alpha1/namespaces/team-a/routegroups";

fn post(node: &Node, path: &str, body: &Value) -> Value {
    let answer = node.ask(&Ask::json("POST", path, body));
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()
}

fn sent(node: &Node, path: &str, header: Option<(&str, &str)>) -> Answer {
    let mut ask = Ask::get(path).header("X-Workspace-ID", "my-workspace");
    if let Some((name, value)) = header {
        ask = ask.header(name, value);
    }
    ask.send(node.routing).expect("it routes")
}

#[test]
fn what_is_put_at_one_node_leads_requests_at_all_and_stops_to_with_its_sandbox() {
    let _shared = machine_shared();
    let mut cluster = Cluster::formed();
    let _workers = cluster.with_workers();
    let own = Worker::start("own");
    let offer = json!({"address": own.url(), "services": [{"name": "cart", "version": "pr-12"}]});
    let [n1, n2, n3] = &cluster.nodes;
    n1.ask(&Ask::json("PUT", "/v1/workers/own", &offer)).ok();

    let sandbox =
        json!({"metadata": {"name": "pr-12"}, "spec": {"ttl": 3600, "services": [{"name": "cart"}]}});
    let made = post(n1, SANDBOXES, &sandbox);
    let routes = json!([{"routingKey": "k", "targetSandbox": "pr-12", "paths": [{"prefix": "/own"}]}]);
    let group = json!({"metadata": {"name": "shop"}, "spec": {"routes": routes}});
    post(n2, GROUPS, &group);
    // At once, wherever it was written: no node answers from before.
    let read = n3.get(&format!("{SANDBOXES}/pr-12"));
    assert_eq!((&read["metadata"], &read["status"]["phase"]), (&made["metadata"], &json!("Running")));

    cluster.catch_up();
    for node in cluster.running() {
        for header in ["X-Route-Key", "X-Routing-Key"] {
            let keyed = sent(node, "/own/x", Some((header, "k")));
            assert_eq!(keyed.worker(), "own", "{header} at {}", node.name);
        }
        let elsewhere = [sent(node, "/own/x", None), sent(node, "/own/x", Some(("X-Route-Key", "other")))];
        for answer in elsewhere.into_iter().chain([sent(node, "/x", Some(("X-Route-Key", "k")))]) {
            assert_ne!(answer.worker(), "own", "at {}", node.name);
        }
    }

    // What was put outlives the leader that it was put through.
    let leader = cluster.leader();
    cluster.nodes[leader].kill();
    cluster.leader();
    cluster.catch_up();
    let left: Vec<_> = cluster.running().collect();
    assert_eq!(sent(left[0], "/own/x", Some(("X-Route-Key", "k"))).worker(), "own");
    let gone = left[0].ask(&Ask::new("DELETE", &format!("{SANDBOXES}/pr-12"))).ok();
    assert_eq!(gone.json()["status"], "Success");
    cluster.catch_up();
    for node in cluster.running() {
        assert_ne!(sent(node, "/own/x", Some(("X-Route-Key", "k"))).worker(), "own", "at {}", node.name);
        assert_eq!(node.ask(&Ask::get(&format!("{SANDBOXES}/pr-12"))).status, 404);
        let group = node.get(&format!("{GROUPS}/shop"));
        assert_eq!(group["status"]["conditions"][0]["reason"], "SandboxNotFound", "{group}");
    }
}
