//! The operator commands against a cluster that lives.

use crate::support::{
    cluster::Cluster,
    eventually, machine_shared,
    node::{Node, quorate, ran},
};
use serde_json::{Value, json};

fn told(node: &Node, args: &[&str]) -> String {
    let ran = node.operate(args);
    assert_eq!(ran.code, Some(0), "{args:?}: {}", ran.err);
    ran.out
}

fn as_json(node: &Node, args: &[&str]) -> Value {
    let text = told(node, &[args, &["--output", "json"]].concat());
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{args:?}: {e}: {text}"))
}

fn as_yaml(node: &Node, args: &[&str]) -> Value {
    let text = told(node, &[args, &["-o", "yaml"]].concat());
    serde_saphyr::from_str(&text).unwrap_or_else(|e| panic!("{args:?}: {e}: {text}"))
}

#[test]
fn what_is_there_is_shown_by_every_node_in_every_format() {
    let _shared = machine_shared();
    let cluster = Cluster::formed();
    let workers = cluster.with_workers();
    let leader = cluster.nodes[cluster.leader()].name.clone();
    for node in &cluster.nodes {
        // What a command prints is what the API says; a table has a line for each thing.
        for (args, target, lines) in [
            (&["workers", "list"][..], "/v1/workers?limit=1000", 4),
            (&["workers", "get", "w2"], "/v1/workers/w2", 2),
            (&["keyspaces", "list"], "/v1/keyspaces?limit=1000", 2),
            (&["keyspaces", "get", "default"], "/v1/keyspaces/default", 2),
            (&["keyspaces", "partitions"], "/v1/keyspaces/default/partitions?limit=1000", 13),
        ] {
            let api = node.get(target);
            assert_eq!(as_json(node, args)["items"], api["items"], "{args:?}");
            assert_eq!(as_yaml(node, args)["items"], api["items"], "{args:?}");
            assert_eq!(told(node, args).lines().count(), lines, "{args:?}");
        }
        assert!(told(node, &["workers", "get", "w2"]).contains(&workers[1].url()));
        assert!(told(node, &["workers", "list"]).contains("4-7"));

        let listed = as_json(node, &["cluster", "list"]);
        assert_eq!((&listed["leader"], &listed["node"]), (&json!(leader), &json!(node.name)));
        assert_eq!(listed["nodes"].as_array().map(Vec::len), Some(3));
        let table = told(node, &["cluster", "list"]);
        assert!(table.lines().any(|line| line.starts_with(&leader) && line.contains("leader")), "{table}");

        let status = as_yaml(node, &["status"]);
        assert_eq!(status["workers"], json!({"live": 3, "suspect": 0, "expired": 0}));
        assert_eq!(status["keyspaces"][0]["partitions"], 12);
        assert_eq!(as_json(node, &["status"])["cluster"]["leader"], leader.as_str());
        assert!(told(node, &["status"]).contains("3 live, 0 suspect, 0 expired"));

        let leases = as_json(node, &["leases", "list"]);
        let holders: Vec<_> =
            leases["items"].as_array().expect("a list").iter().map(|l| &l["holder"]).collect();
        assert_eq!(holders, ["w1", "w2", "w3"], "the leader's leases, asked at {}", node.name);
        assert_eq!(told(node, &["leases", "list"]).lines().count(), 4);
    }
}

#[test]
fn what_an_operator_changes_is_changed_everywhere() {
    let _shared = machine_shared();
    let cluster = Cluster::formed();
    let _workers = cluster.with_workers();
    let [n1, n2, n3] = &cluster.nodes;
    let ran = n1.operate(&["workers", "remove", "w1", "w2"]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), ""));
    assert!(
        ran.err.contains("removed worker w1 at index") && ran.err.contains("removed worker w2"),
        "{}",
        ran.err
    );
    cluster.catch_up();
    assert_eq!(as_json(n3, &["workers", "list"])["items"].as_array().map(Vec::len), Some(1));

    let set = as_json(n2, &["keyspaces", "set", "default", "--partitions", "24"]);
    assert!(set["index"].is_u64());
    cluster.catch_up();
    for node in &cluster.nodes {
        assert_eq!(as_json(node, &["keyspaces", "get", "default"])["partitions"], 24);
    }
    for target in [n1, n3, n2] {
        // Asked of any node.
        assert_eq!(
            as_json(n2, &["cluster", "transfer-leader", "--to", &target.name])["leader"],
            target.name.as_str()
        );
        eventually("all say so", || {
            let said = |node| as_json(node, &["cluster", "list"])["leader"] == target.name.as_str();
            cluster.nodes.iter().all(said).then_some(())
        });
    }
    told(n1, &["cluster", "transfer-leader"]);
    assert_ne!(cluster.nodes[cluster.leader()].name, n2.name, "to anybody else");
}

#[test]
fn exit_codes_tell_scripts_what_happened() {
    let _shared = machine_shared();
    let mut cluster = Cluster::formed();
    for (args, code) in [
        (&["workers", "list"][..], 0),
        (&["keyspaces", "set", "default", "--partitions", "0"], 1),
        (&["keyspaces", "set", "default"], 2),
        (&["cluster", "transfer-leader", "n1"], 2),
        (&["workers", "list", "--output", "xml"], 2),
        (&["workers", "get", "nobody"], 4),
        (&["workers", "remove", "nobody"], 4),
        (&["keyspaces", "get", "nothing"], 4),
        (&["keyspaces", "partitions", "nothing"], 4),
        (&["cluster", "transfer-leader", "--to", "n9"], 4),
    ] {
        let ran = cluster.nodes[0].operate(args);
        assert_eq!(ran.code, Some(code), "{args:?}: {}", ran.err);
        assert_eq!((ran.out.is_empty(), ran.err.is_empty()), (code != 0, code == 0), "{args:?}");
    }
    // The first that answers is asked.
    let urls = |nodes: &[Node]| {
        nodes.iter().map(|n| format!("http://{}", n.management)).collect::<Vec<_>>().join(",")
    };
    let all = urls(&cluster.nodes);
    let [n1, n2, n3] = &mut cluster.nodes;
    n1.kill();
    n2.kill();
    assert_eq!(ran(quorate(&["workers", "list", "--server", &all])).code, Some(0));
    let alone = n3.operate(&["keyspaces", "set", "default", "--partitions", "3"]);
    assert_eq!(alone.code, Some(1), "refused without a quorum: {}", alone.err);
    n3.kill();
    let nobody = ran(quorate(&["workers", "list", "--server", &all]));
    assert_eq!((nobody.code, nobody.out.as_str()), (Some(3), ""), "{}", nobody.err);
}
