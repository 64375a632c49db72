//! What one node makes of a worker is told by every node.

use crate::support::{cluster::Cluster, eventually, free_address, http::Ask, machine_shared};
use serde_json::{Value, json};

/// The breaker that a node has of the only worker, as another node tells it.
fn breaker<'a>(observed: &'a Value, node: &str) -> &'a Value {
    let at = observed["endpoints"][0]["nodes"].as_array().expect("a list");
    &at.iter().find(|at| at["node"] == node).expect("it tells")["breaker"]
}

#[test]
fn a_breaker_that_is_open_at_one_node_is_seen_at_another() {
    let _shared = machine_shared();
    let mut cluster = Cluster::formed();
    let nobody = format!("http://{}", free_address());
    let worker = json!({"address": nobody, "services": [{"name": "s"}], "ttl": "1h"});
    let n1 = &cluster.nodes[0];
    n1.ask(&Ask::json("PUT", "/v1/workers/w1", &worker)).ok();
    n1.ask(&Ask::json("PUT", "/v1/services/s", &json!({"breaker": {"failures": 1, "open": "1h"}}))).ok();
    let failed = Ask::get("/api/service/s/x").send(n1.routing).expect("an answer");
    assert_eq!(failed.status, 502, "{}", failed.text());
    cluster.catch_up();
    let target = "/v1/services/s/observations";
    let observed = eventually("n2 tells that n1's breaker is open", || {
        let observed = cluster.nodes[1].get(target);
        (breaker(&observed, "n1")["state"] == "open").then_some(observed)
    });
    let shown = breaker(&observed, "n1");
    assert_eq!((&shown["by"], &shown["cores"]), (&json!("failures"), &json!(1)), "{observed}");
    for other in ["n2", "n3"] {
        assert_eq!(*breaker(&observed, other), Value::Null, "it was asked for nothing");
    }
    let nodes: Vec<_> = observed["nodes"].as_array().expect("a list").iter().map(|at| &at["node"]).collect();
    assert_eq!(nodes, ["n1", "n2", "n3"]);
    let table = cluster.nodes[2].operate(&["services", "get", "s"]);
    assert_eq!(table.code, Some(0), "{}", table.err);
    let row = table.out.lines().find(|line| line.contains(" n1 ")).unwrap_or_else(|| panic!("{}", table.out));
    assert!(row.contains("open for ") && row.contains(", by failures"), "{row}");

    cluster.nodes[0].kill();
    let observed = eventually("n2 says that n1 does not tell", || {
        let observed = cluster.nodes[1].get(target);
        (observed["nodes"][0]["why"] == "it does not answer").then_some(observed)
    });
    assert_eq!(observed["endpoints"][0]["nodes"].as_array().map(Vec::len), Some(2), "{observed}");
}
