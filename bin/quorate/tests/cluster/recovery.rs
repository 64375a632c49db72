//! The majority is lost for good.

use crate::{
    group::{Group, names, register, starting, voters, workers},
    support::{machine_shared, node::Node},
};
use serde_json::{Value, json};

#[test]
fn r11_the_only_survivor_becomes_a_new_cluster_and_the_old_members_stay_out_of_it() {
    let _shared = machine_shared();
    let mut group = Group::formed(3);
    for nth in 0..20 {
        assert_eq!(register(&group.nodes[nth % 3], &format!("w{nth}")), 200);
    }
    let all = workers(&group.nodes[0]);
    let old = group.nodes[0].get("/v1/cluster")["cluster_id"].clone();
    let epoch = |node: &Node| node.get("/v1/workers/w7")["epoch"].as_u64().expect("a number");
    let granted = epoch(&group.nodes[0]);
    let folder = group.nodes[0].data.display().to_string();
    let recover = ["cluster", "recover", "--data-dir", &folder, "--node-name", "n1"];
    let running = group.nodes[0].operate(&[&recover[..], &["--yes"]].concat());
    assert_eq!(running.code, Some(2), "{}", running.err);
    assert!(running.err.contains("in use by another process"), "{}", running.err);
    group.nodes.iter_mut().for_each(Node::kill);
    let shown = group.nodes[0].operate(&[&recover[..], &["--output", "json"]].concat());
    assert_eq!(shown.code, Some(2), "{}", shown.err);
    let kept: Value = serde_json::from_str(&shown.out).expect("JSON");
    assert_eq!((&kept["cluster_id"], &kept["workers"]), (&old, &json!(20)));
    assert_eq!(kept["members"], json!(["n1", "n2", "n3"]));
    let done = group.nodes[0].operate(&[&recover[..], &["--yes"]].concat());
    assert_eq!(done.code, Some(0), "{}", done.err);
    // Only itself in its list: the others may still run.
    group.nodes[0].args = starting(&format!("n1={}", group.nodes[0].peer));
    group.nodes[0].start();
    group.nodes[0].becomes("ready");
    let new = group.nodes[0].get("/v1/cluster");
    assert_ne!(new["cluster_id"], old);
    assert_eq!((voters(&group.nodes[0]), workers(&group.nodes[0])), (names(&["n1"]), all.clone()));
    assert_eq!(register(&group.nodes[0], "w7"), 200);
    assert!(epoch(&group.nodes[0]) > granted + 1_000_000, "no fencing token is granted twice");
    // A member of old comes back with its old disk.
    group.nodes[2].start();
    let (status, _) = group.nodes[2].ended();
    assert_eq!(status.code(), Some(2));
    let log = group.nodes[2].log();
    assert!(log.contains("the data folder belongs to cluster"), "{log}");
    let refused = group.join(2, 0);
    assert_eq!(refused.code, Some(1), "{}", refused.err);
    // With an empty one it is welcome.
    group.wipe(1);
    group.nodes[1].args = starting(&format!("n1={},n2={}", group.nodes[0].peer, group.nodes[1].peer));
    group.nodes[1].start();
    group.nodes[1].becomes("starting");
    let joined = group.join(1, 0);
    assert_eq!(joined.code, Some(0), "{}", joined.err);
    group.nodes[1].becomes("ready");
    assert_eq!((voters(&group.nodes[1]), workers(&group.nodes[1])), (names(&["n1", "n2"]), all));
}
