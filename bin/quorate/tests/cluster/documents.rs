//! Many objects at once, through files, on a cluster that lives.

use crate::support::{cluster::Cluster, machine_shared, node::Node};
use serde_json::{Value, json};

fn write(folder: &tempfile::TempDir, name: &str, text: &str) {
    std::fs::write(folder.path().join(name), text).expect("written");
}

fn applied(node: &Node, folder: &tempfile::TempDir, more: &[&str]) -> (String, String) {
    let path = folder.path().to_str().expect("UTF-8");
    let ran = node.operate(&[&["apply", "-f", path], more].concat());
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    (ran.out, ran.err)
}

/// Scenario: one node of three is dead. What is applied through a follower is, when the command ends, what both others
/// serve; and what was declared before is told and brought back by either of them.
#[test]
fn what_is_applied_and_waited_for_is_served_by_all_that_answer() {
    let _shared = machine_shared();
    let mut cluster = Cluster::formed();
    let folder = tempfile::tempdir().expect("a folder");
    write(
        &folder,
        "a.yaml",
        "routes:\n  web: {match: {path_prefix: /w}, destinations: [{url: 'http://127.0.0.1:1'}]}\n",
    );
    write(
        &folder,
        "b.yaml",
        "services: {upload: {timeout: 3s}}\n---\nsandboxes: {dev-1: {rules: [{target: upload}], ttl: 24h}}\n",
    );
    let (leader, dead) = (cluster.leader(), cluster.followers()[0]);
    let other = cluster.followers()[1];
    cluster.nodes[dead].kill();
    let (out, err) = applied(&cluster.nodes[other], &folder, &["--wait"]);
    assert!(out.starts_with("+ route web\n    + ") && out.contains("+ sandbox dev-1\n"), "{out}");
    assert!(err.contains("3 changes at index "), "{err}");
    assert!(err.contains(&format!("node {} does not answer", cluster.nodes[dead].name)), "{err}");
    let first: u64 =
        err.split("at index ").nth(1).and_then(|rest| rest.lines().next()?.parse().ok()).expect("an index");
    for node in [leader, other].map(|place| &cluster.nodes[place]) {
        let declared = node.get("/v1/config");
        assert_eq!(declared["services"], json!({"upload": {"timeout": "3s"}}), "at {}", node.name);
    }
    // Less than before: what no file names goes.
    write(&folder, "b.yaml", "services: {upload: {timeout: 5s}}\n");
    let (out, _) = applied(&cluster.nodes[leader], &folder, &["--prune", "--wait"]);
    assert_eq!(out, "~ service upload\n    ~ timeout: 3s -> 5s\n- sandbox dev-1\n");
    let told = |place: usize, args: &[&str]| {
        let ran = cluster.nodes[place].operate(args);
        assert_eq!(ran.code, Some(0), "{args:?}: {}", ran.err);
        ran.out
    };
    let at = first.to_string();
    let histories = [leader, other].map(|place| told(place, &["config", "history"]));
    assert_eq!(histories[0], histories[1]);
    assert!(histories[0].lines().count() >= 3, "{}", histories[0]);
    let then = [leader, other].map(|place| told(place, &["config", "get", "--at", &at, "-o", "json"]));
    assert_eq!(then[0], then[1]);
    assert!(told(other, &["config", "diff", &at]).contains("- sandbox dev-1"));
    told(other, &["config", "rollback", &at, "--wait"]);
    for place in [leader, other] {
        let now: Value = cluster.nodes[place].get("/v1/config");
        assert_eq!(now, serde_json::from_str::<Value>(&then[0]).expect("JSON"));
    }
    // The one that was away has it too, once it is back.
    cluster.nodes[dead].start();
    cluster.ready();
    let (_, err) = applied(&cluster.nodes[dead], &folder, &["--wait"]);
    assert!(!err.contains("does not answer") && err.ends_with("or later\n"), "{err}");
    assert_eq!(cluster.nodes[dead].get("/v1/config")["services"]["upload"]["timeout"], "5s");
}
