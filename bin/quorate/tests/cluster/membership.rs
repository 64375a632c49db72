//! Nodes join, leave, move, are lost and come back: never two majorities, and nothing that was acknowledged is lost.

use crate::{
    group::{Group, names, register, starting, voters, workers},
    strangers::{Claims, call, hello},
    support::{eventually, http::Ask, machine_shared, node::Node, within},
};
use quorate_codec::{
    log::{LogId, Vote},
    peer::{self, VoteAsked},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

/// Registers workers, one after the other, at nodes that stay, until it is ended.
struct Writer {
    end: Arc<AtomicBool>,
    acknowledged: Arc<Mutex<BTreeSet<String>>>,
    thread: JoinHandle<()>,
}

impl Writer {
    fn start(nodes: Vec<SocketAddr>) -> Self {
        let (end, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let (ended, list): (_, Arc<Mutex<BTreeSet<String>>>) = (end.clone(), Arc::clone(&acknowledged));
        let thread = std::thread::spawn(move || {
            for (nth, node) in nodes.iter().cycle().enumerate() {
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                let id = format!("w{nth}");
                let body = json!({"address": "http://127.0.0.1:9", "ttl": "1h"});
                let answer = Ask::json("PUT", &format!("/v1/workers/{id}"), &body).send(*node);
                if answer.is_ok_and(|answer| answer.status == 200) {
                    list.lock().expect("no panic").insert(id);
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        Self { end, acknowledged, thread }
    }

    fn end(self) -> BTreeSet<String> {
        self.end.store(true, Ordering::Relaxed);
        self.thread.join().expect("no panic");
        std::mem::take(&mut self.acknowledged.lock().expect("no panic"))
    }
}

#[test]
fn r11_three_nodes_become_five_and_three_again_under_registrations() {
    let _shared = machine_shared();
    let mut group = Group::formed(3);
    let first_leader = group.leader(0);
    let staying: Vec<usize> = (0..3).filter(|place| *place != first_leader).collect();
    let writer = Writer::start(staying.iter().map(|place| group.nodes[*place].management).collect());
    for asked in staying.clone() {
        let place = group.newcomer();
        let joined = group.join(place, asked);
        assert_eq!(joined.code, Some(0), "{}", joined.err);
        group.nodes[place].becomes("ready");
    }
    assert_eq!(voters(&group.nodes[staying[0]]), names(&["n1", "n2", "n3", "n4", "n5"]));
    // Joining again changes nothing.
    let before = group.nodes[staying[0]].get("/v1/cluster?consistent=true")["changed_index"].clone();
    assert_eq!(group.join(4, staying[0]).code, Some(0));
    assert_eq!(group.nodes[staying[0]].get("/v1/cluster?consistent=true")["changed_index"], before);
    // First whoever leads, asked of another node; then one more.
    let leader = group.leader(staying[0]);
    let (leader, other) = if staying.contains(&leader) { (leader, first_leader) } else { (leader, 4) };
    let stays = *staying.iter().find(|place| **place != leader).expect("two stay");
    let gone = [leader, if other == leader { first_leader } else { other }];
    for place in gone {
        let name = group.nodes[place].name.clone();
        let left = group.nodes[stays].operate(&["cluster", "leave", &name]);
        assert_eq!(left.code, Some(0), "{name}: {}", left.err);
        assert!(!voters(&group.nodes[stays]).contains(&name));
        group.nodes[place].becomes("removed");
    }
    assert_eq!(voters(&group.nodes[stays]).len(), 3);
    let acknowledged = writer.end();
    let kept: Vec<usize> = (0..5).filter(|place| !gone.contains(place)).collect();
    for place in &kept {
        assert!(
            acknowledged.is_subset(&workers(&group.nodes[*place])),
            "{} lacks some",
            group.nodes[*place].name
        );
    }
    assert!(acknowledged.len() > 50, "{} registrations", acknowledged.len());
    // Three voters bear the loss of one.
    let lost = *kept.iter().find(|place| **place != stays).expect("three are kept");
    group.nodes[lost].kill();
    eventually("the other two go on", || (register(&group.nodes[stays], "later") == 200).then_some(()));
}

#[test]
fn r11_a_removed_node_says_so_disturbs_nobody_and_may_come_back() {
    let _shared = machine_shared();
    let mut group = Group::formed(3);
    assert_eq!(register(&group.nodes[0], "w1"), 200);
    let leader = group.leader(0);
    let (stays, name) = ((leader + 1) % 3, group.nodes[leader].name.clone());
    let removed = hello(&group.nodes[leader]);
    // The leader itself is asked: it hands over first, and its answer is not waited for in vain.
    let left = group.nodes[leader].operate(&["cluster", "leave", &name]);
    assert_eq!(left.code, Some(0), "{}", left.err);
    let standing = |node: &Node| {
        let cluster = node.get("/v1/cluster?consistent=true");
        (cluster["term"].clone(), cluster["leader"].clone())
    };
    let before = standing(&group.nodes[stays]);
    assert_ne!(before.1, name.as_str());
    group.nodes[leader].becomes("removed");
    assert!(group.nodes[leader].log().contains("no member of the cluster any more"));
    // Its old disk makes it no member again; it routes by what it knew, which gets older.
    group.nodes[leader].kill();
    group.nodes[leader].start();
    group.nodes[leader].becomes("removed");
    assert_eq!(Ask::get("/readyz").send(group.nodes[leader].management).expect("it answers").status, 503);
    eventually("answers say how old the picture is", || {
        group.nodes[leader].route("workspace-1").header("x-quorate-stale").map(|_| ())
    });
    // It knows the cluster and every id, and asks for votes in a term far above, in a leader's name.
    let at = LogId { term: 1_000_000, leader: removed.id.0, index: 1_000_000 };
    let vote = Vote { term: 1_000_000, node: removed.id.0, committed: false };
    let asked = peer::encode_vote_asked(&VoteAsked { vote, last: Some(at), transfer: true });
    for place in (0..3).filter(|place| *place != leader) {
        let to = hello(&group.nodes[place]);
        let claims =
            Claims { cluster: to.cluster.map(|c| c.to_string()), from: removed.id.0, to: Some(to.id.0) };
        for path in ["/raft/v1/vote", "/raft/v1/pre-vote"] {
            let (status, answer) = call(&group.nodes[place], &claims, path, asked.clone());
            assert_eq!(status, 200, "{}", String::from_utf8_lossy(&answer));
            assert!(!peer::decode_vote_given(&answer).expect("an answer").granted, "{path}");
        }
    }
    // Longer than any election.
    let moved = within(Duration::from_secs(3), || (standing(&group.nodes[stays]) != before).then_some(()));
    assert!(moved.is_none(), "it was {before:?}, it is {:?}", standing(&group.nodes[stays]));
    let joined = group.join(leader, stays);
    assert_eq!(joined.code, Some(0), "{}", joined.err);
    group.nodes[leader].becomes("ready");
    assert!(workers(&group.nodes[leader]).contains("w1"));
}

#[test]
fn r11_five_nodes_bear_the_loss_of_two_and_one_of_them_comes_back_wiped() {
    let _shared = machine_shared();
    let mut group = Group::formed(5);
    assert_eq!(register(&group.nodes[0], "before"), 200);
    let leader = group.leader(0);
    let (other, stays) = ((leader + 1) % 5, (leader + 2) % 5);
    group.nodes[leader].kill();
    group.nodes[other].kill();
    eventually("three of five go on", || (register(&group.nodes[stays], "meanwhile") == 200).then_some(()));
    group.wipe(leader);
    group.nodes[leader].start();
    group.nodes[leader].becomes("ready");
    let all = names(&["n1", "n2", "n3", "n4", "n5"]);
    eventually("the wiped one votes again", || (voters(&group.nodes[stays]) == all).then_some(()));
    group.nodes[other].start();
    group.nodes[other].becomes("ready");
    for place in [leader, other, stays] {
        assert_eq!(workers(&group.nodes[place]), names(&["before", "meanwhile"]));
    }
    // Until the new disk has taken the old one's place the node is there twice, under one name.
    eventually("nobody is there twice", || {
        let said = group.nodes[stays].get("/v1/cluster?consistent=true");
        let members = said["nodes"].as_array().expect("a list");
        let full = members.len() == 5 && members.iter().all(|m| m["role"] != "learner");
        full.then_some(())
    });
}

#[test]
fn r11_two_of_three_dead_then_back() {
    let _shared = machine_shared();
    let mut group = Group::formed(3);
    assert_eq!(register(&group.nodes[0], "before"), 200);
    group.nodes[1].kill();
    group.nodes[2].kill();
    assert_eq!(register(&group.nodes[0], "never"), 503);
    let left = group.nodes[0].operate(&["cluster", "leave", "n3"]);
    assert_eq!(left.code, Some(1), "one of three decides nothing: {}", left.err);
    for place in [1, 2] {
        group.nodes[place].start();
        group.nodes[place].becomes("ready");
    }
    eventually("all go on", || (register(&group.nodes[0], "after") == 200).then_some(()));
    for node in &group.nodes {
        let there = workers(node);
        assert!(names(&["before", "after"]).is_subset(&there), "{there:?} at {}", node.name);
    }
    assert_eq!(voters(&group.nodes[1]), names(&["n1", "n2", "n3"]));
}

#[test]
fn r11_who_may_not_join_or_leave_is_refused_with_a_reason() {
    let _shared = machine_shared();
    let mut group = Group::formed(3);
    let put = |node: &Node, name: &str, peer: &str| {
        let answer =
            node.ask(&Ask::json("PUT", &format!("/v1/cluster/nodes/{name}"), &json!({"peer": peer})));
        (answer.status, answer.json()["code"].as_str().unwrap_or_default().to_owned())
    };
    let before = group.nodes[0].get("/v1/cluster?consistent=true")["changed_index"].clone();
    // A node on its own, which is a cluster of its own.
    let mut alone = Node::new("n4", group.folder.path());
    alone.args = ["--log-format", "text"].map(str::to_owned).into();
    alone.start();
    alone.becomes("ready");
    let (own, n2) = (alone.peer.to_string(), group.nodes[1].peer.to_string());
    for (name, peer, status, code) in [
        ("n4", own.as_str(), 409, "node_not_joinable"),
        ("n5", own.as_str(), 409, "node_not_joinable"),
        ("n5", n2.as_str(), 409, "node_not_joinable"),
        ("n5", "127.0.0.1:1", 422, "node_not_reachable"),
        ("n5", "nowhere", 400, "invalid_request"),
    ] {
        assert_eq!(put(&group.nodes[2], name, peer), (status, code.into()), "{name} at {peer}");
    }
    // Another process under a member's name.
    let folder = tempfile::tempdir().expect("a folder");
    let mut twin = Node::new("n2", folder.path());
    let book = format!("n1={},n2={}", group.nodes[0].peer, twin.peer);
    twin.args = starting(&book);
    twin.start();
    twin.becomes("starting");
    let taken = put(&group.nodes[0], "n2", &twin.peer.to_string());
    assert_eq!(taken, (409, "node_name_taken".into()));
    let unknown = group.nodes[0].operate(&["cluster", "leave", "n9"]);
    assert_eq!(unknown.code, Some(4), "{}", unknown.err);
    assert_eq!(group.nodes[0].get("/v1/cluster?consistent=true")["changed_index"], before, "nothing changed");
    // Of two voters that are left one is dead: nothing could be changed any more.
    let leader = group.leader(0);
    let (dead, spared) = ((leader + 1) % 3, (leader + 2) % 3);
    group.nodes[dead].kill();
    let needed = eventually("the leader misses it", || {
        let target = format!("/v1/cluster/nodes/{}", group.nodes[spared].name);
        let answer = group.nodes[leader].ask(&Ask::new("DELETE", &format!("{target}?dry_run=true")));
        (answer.status != 200).then_some(answer)
    });
    assert_eq!((needed.status, &needed.json()["code"]), (409, &Value::from("no_majority")));
    // The dead one itself may go.
    let name = group.nodes[dead].name.clone();
    let left = group.nodes[leader].operate(&["cluster", "leave", &name]);
    assert_eq!(left.code, Some(0), "{}", left.err);
}

#[test]
fn r11_a_node_that_moved_is_found_at_its_new_address() {
    let _shared = machine_shared();
    let mut group = Group::formed(3);
    let leader = group.leader(0);
    // The leader, too, knows it only by its old address.
    let moved = (leader + 1) % 3;
    group.nodes[moved].kill();
    group.nodes[moved].peer = crate::support::free_address();
    group.know_each_other(moved);
    group.nodes[moved].start();
    eventually("it is found", || {
        let list = group.nodes[leader].get("/v1/cluster")["nodes"].clone();
        let list = list.as_array().expect("a list").clone();
        let (name, peer) = (group.nodes[moved].name.clone(), group.nodes[moved].peer.to_string());
        let found =
            |m: &Value| m["name"] == name.as_str() && m["peer"] == peer.as_str() && m["reachable"] == true;
        list.iter().any(found).then_some(())
    });
    group.nodes[moved].becomes("ready");
    // Its vote counts: without the third node it is half of the majority.
    group.nodes[(leader + 2) % 3].kill();
    eventually("two of three go on", || (register(&group.nodes[moved], "w1") == 200).then_some(()));
}

#[test]
fn r11_a_learner_waits_without_a_vote_and_gets_it_from_whoever_leads_by_then() {
    let _shared = machine_shared();
    let mut group = Group::formed(3);
    let newcomer = group.newcomer();
    let (name, peer) = (group.nodes[newcomer].name.clone(), group.nodes[newcomer].peer.to_string());
    let ask = Ask::json("PUT", &format!("/v1/cluster/nodes/{name}"), &json!({"peer": peer}));
    let joined = group.nodes[0].ask(&ask).ok().json();
    assert_eq!((&joined["role"], &joined["name"]), (&Value::from("learner"), &Value::from(name.as_str())));
    group.nodes[newcomer].kill();
    let listed = group.nodes[1].operate(&["cluster", "list"]);
    assert!(listed.out.contains(&name), "{}", listed.out);
    let leader = group.leader(0);
    let to = group.nodes[(leader + 1) % 3].name.clone();
    let handed = group.nodes[leader].operate(&["cluster", "transfer-leader", "--to", &to]);
    assert_eq!(handed.code, Some(0), "{}", handed.err);
    assert_eq!(register(&group.nodes[0], "w1"), 200);
    group.nodes[newcomer].start();
    group.nodes[newcomer].becomes("ready");
    eventually("it votes", || voters(&group.nodes[0]).contains(&name).then_some(()));
    assert!(workers(&group.nodes[newcomer]).contains("w1"));
}
