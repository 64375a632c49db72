//! `status` and `cluster list` hide neither a dead member nor a lost quorum, at whomever they ask.

use crate::{
    group::Group,
    support::{
        cluster::Cluster,
        eventually, machine_shared,
        node::{Node, Ran},
    },
};
use serde_json::{Value, json};

fn asked(node: &Node, args: &[&str]) -> Ran {
    let ran = node.operate(args);
    assert_eq!(ran.code, Some(0), "{args:?} tells how it is, and does not judge: {}", ran.err);
    ran
}

fn line<'a>(table: &'a str, begin: &[&str]) -> Option<&'a str> {
    table.lines().find(|line| {
        line.split_whitespace().zip(begin).filter(|(is, says)| is == *says).count() == begin.len()
    })
}

/// Waits until `status` has a line of these words.
fn says(node: &Node, words: &str) {
    let words: Vec<_> = words.split(' ').collect();
    eventually(&format!("{} says {words:?}", node.name), || {
        line(&asked(node, &["status"]).out, &words).map(|_| ())
    });
}

fn quorum(node: &Node) -> Value {
    let text = asked(node, &["status", "--output", "json"]).out;
    serde_json::from_str::<Value>(&text).expect("JSON")["cluster"]["quorum"].clone()
}

#[test]
fn with_one_and_with_two_of_three_dead_status_says_so_at_whoever_is_left() {
    let _shared = machine_shared();
    let mut cluster = Cluster::formed();
    // The survivor has led: nobody tells it that it does not any more.
    let (leader, followers) = (cluster.leader(), cluster.followers());
    says(&cluster.nodes[leader], "quorum held, 3 of 3 voters reachable");
    assert_eq!(asked(&cluster.nodes[leader], &["cluster", "list"]).err, "");

    cluster.nodes[followers[0]].kill();
    let (dead, left) = (cluster.nodes[followers[0]].name.clone(), cluster.nodes[leader].name.clone());
    for place in [leader, followers[1]] {
        let node = &cluster.nodes[place];
        says(node, &format!("node {dead}, follower, not reachable"));
        says(node, "quorum held, 2 of 3 voters reachable");
        says(node, "status ready");
        let listed = asked(node, &["cluster", "list"]);
        assert!(line(&listed.out, &[&dead, "follower", "no"]).is_some(), "{}", listed.out);
        assert_eq!(quorum(node), json!({"held": true, "voters": 3, "reachable": 2}));
    }

    cluster.nodes[followers[1]].kill();
    let node = &cluster.nodes[leader];
    says(node, "quorum lost, 1 of 3 voters reachable: nothing can be changed");
    says(node, "status degraded:");
    says(node, "leader -");
    says(node, &format!("node {left}, follower, reachable"));
    let listed = asked(node, &["cluster", "list"]);
    assert!(line(&listed.out, &[&left, "follower", "yes"]).is_some(), "{}", listed.out);
    assert!(listed.err.contains("quorum lost, 1 of 3 voters reachable"), "{}", listed.err);
    assert_eq!(quorum(node), json!({"held": false, "voters": 3, "reachable": 1}));
}

#[test]
fn a_removed_node_says_that_it_is_no_member_and_a_waiting_one_that_it_is_none_yet() {
    let _shared = machine_shared();
    let mut group = Group::formed(3);
    let leader = group.leader(0);
    let gone = (leader + 1) % 3;
    let name = group.nodes[gone].name.clone();
    asked(&group.nodes[leader], &["cluster", "leave", &name]);
    group.nodes[gone].becomes("removed");
    says(&group.nodes[gone], "status removed: this node is no member");
    says(&group.nodes[gone], "leader -");
    assert_eq!(quorum(&group.nodes[gone])["held"], false);
    assert!(
        asked(&group.nodes[gone], &["cluster", "list"]).err.contains("is no member of the cluster any more")
    );
    assert!(!asked(&group.nodes[leader], &["cluster", "list"]).out.contains(&name), "at a member it is gone");

    let waiting = group.newcomer();
    group.nodes[waiting].becomes("starting");
    says(&group.nodes[waiting], "quorum none: this node is no member of a cluster yet");
}
