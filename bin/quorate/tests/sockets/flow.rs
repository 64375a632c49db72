//! The original's flow, on three real processes with kills: each promise that it made, and each that it broke.

use crate::{
    driver::{Driver, from, message, unsent},
    support::{cluster::Cluster, eventually, http::Ask, machine_shared, node::Node},
    tools,
};
use serde_json::{Value, json};

/// Three nodes, and whoever speaks to them. `None`: there are no clients on this machine.
fn started() -> Option<(Cluster, Driver)> {
    let interpreter = tools::python()?;
    Some((Cluster::formed(), Driver::start(interpreter)))
}

/// Who holds the user, as a node says; `None`: nobody.
fn holder(node: &Node, user: &str) -> Option<String> {
    let answer = node.ask(&Ask::get(&format!("/v1/presence/{user}")));
    if answer.status == 404 {
        return None;
    }
    let sessions = answer.ok().json()["sessions"].clone();
    let one =
        |sessions: &Vec<Value>| sessions.first().and_then(|one| one["node"].as_str().map(str::to_owned));
    sessions.as_array().and_then(one)
}

/// Waits until every node that runs says so.
fn held_by(cluster: &Cluster, user: &str, wanted: Option<&str>) {
    for node in cluster.running() {
        eventually(&format!("{} says that {user} is at {wanted:?}", node.name), || {
            (holder(node, user).as_deref() == wanted).then_some(())
        });
    }
}

#[test]
fn alice_and_bob_speak_across_nodes_through_a_failover() {
    let _machine = machine_shared();
    let Some((mut cluster, mut clients)) = started() else { return };
    clients.register("alice", "alice", &cluster.nodes[0]);
    clients.register("bob", "bob", &cluster.nodes[1]);
    held_by(&cluster, "bob", Some("n2"));
    clients.say("alice", "bob", "hello");
    clients.hears("bob", &from("alice", "hello"));
    clients.say("bob", "alice", "good day");
    clients.hears("alice", &from("bob", "good day"));

    cluster.nodes[1].kill();
    clients.closed("bob");
    // Bob does not wait for the cluster to notice.
    clients.register("bob again", "bob", &cluster.nodes[2]);
    held_by(&cluster, "bob", Some("n3"));
    clients.say("alice", "bob", "are you there?");
    clients.hears("bob again", &from("alice", "are you there?"));
    clients.say("bob again", "alice", "I am");
    clients.hears("alice", &from("bob", "I am"));
    assert!(!clients.heard("alice").contains(&unsent()));
}

/// One node speaks TLS to its clients, the others do not: between them that makes no difference.
#[test]
fn users_by_tls_and_in_the_clear_speak_to_each_other() {
    let _machine = machine_shared();
    let Some(interpreter) = tools::python() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
    let [cert, key] = ["cert.pem", "key.pem"].map(|name| folder.path().join(name));
    std::fs::write(&cert, made.cert.pem()).expect("written");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("written");
    let mut cluster = Cluster::planned_as(&[], |place, node| {
        if place == 1 {
            let files = [("--gateway-tls-cert", &cert), ("--gateway-tls-key", &key)];
            let args = files.map(|(flag, path)| [flag, path.to_str().expect("UTF-8")].map(str::to_owned));
            node.args.extend(args.into_iter().flatten());
        }
    });
    cluster.nodes.iter_mut().for_each(Node::start);
    cluster.ready();
    let mut clients = Driver::trusting(interpreter, &cert);
    clients.register("alice", "alice", &cluster.nodes[0]);
    clients.open_at("bob", &format!("wss://{}/ws", cluster.nodes[1].gateway));
    clients.become_user("bob", "bob");
    held_by(&cluster, "bob", Some("n2"));
    clients.say("alice", "bob", "hello");
    clients.hears("bob", &from("alice", "hello"));
    clients.say("bob", "alice", "good day");
    clients.hears("alice", &from("bob", "good day"));
    // It is told why its node goes, and its connection ends without an error.
    cluster.nodes[1].signal("TERM");
    assert_eq!(clients.closed("bob"), 1012);
    cluster.nodes[1].ended();
}

/// The original's gateway closes its sockets and exits: its users are ghosts for 90 s.
#[test]
fn a_deploy_leaves_no_ghosts() {
    let _machine = machine_shared();
    let Some((mut cluster, mut clients)) = started() else { return };
    clients.register("alice", "alice", &cluster.nodes[0]);
    clients.register("bob", "bob", &cluster.nodes[1]);
    held_by(&cluster, "bob", Some("n2"));
    cluster.nodes[1].signal("TERM");
    let closing = clients.closing("bob");
    assert_eq!(closing["code"], 1012, "{closing}");
    assert!(closing["reason"].as_str().is_some_and(|reason| reason.contains("reconnect")), "{closing}");
    cluster.nodes[1].ended();
    for node in cluster.running() {
        assert_eq!(holder(node, "bob"), None, "{}", node.name);
    }
    clients.say("alice", "bob", "too late");
    clients.hears("alice", &unsent());
}

/// The original publishes to a channel that nobody reads, and says nothing.
#[test]
fn messages_to_a_dead_gateway_are_not_reported_as_sent() {
    let _machine = machine_shared();
    let Some((mut cluster, mut clients)) = started() else { return };
    clients.register("alice", "alice", &cluster.nodes[0]);
    clients.register("bob", "bob", &cluster.nodes[1]);
    held_by(&cluster, "bob", Some("n2"));
    cluster.nodes[1].kill();
    for nth in 1..=5 {
        clients.say("alice", "bob", "is anybody there?");
        eventually("each of them failed", || {
            (clients.heard("alice").iter().filter(|text| **text == unsent()).count() == nth).then_some(())
        });
    }
    // And its users are gone with one entry, not one by one when somebody asks.
    held_by(&cluster, "bob", None);
}

/// The original deletes the entry whoever it names.
#[test]
fn a_late_cleanup_takes_nothing_from_a_newer_login() {
    let _machine = machine_shared();
    let Some((cluster, mut clients)) = started() else { return };
    clients.register("alice", "alice", &cluster.nodes[0]);
    clients.register("bob", "bob", &cluster.nodes[1]);
    clients.register("carol", "carol", &cluster.nodes[1]);
    held_by(&cluster, "bob", Some("n2"));
    cluster.nodes[1].signal("STOP");
    clients.abort("bob");
    clients.register("bob again", "bob", &cluster.nodes[2]);
    // Whoever can't speak holds nobody; and what never moved is gone as well.
    for node in [&cluster.nodes[0], &cluster.nodes[2]] {
        eventually("carol is gone with the gateway", || holder(node, "carol").is_none().then_some(()));
    }
    cluster.nodes[1].signal("CONT");
    // It has found out, and cleaned up: it has a lease again, and carol, whose socket it still holds, is back.
    held_by(&cluster, "carol", Some("n2"));
    held_by(&cluster, "bob", Some("n3"));
    clients.say("alice", "bob", "still there?");
    clients.hears("bob again", &from("alice", "still there?"));
    clients.say("alice", "carol", "and you?");
    clients.hears("carol", &from("alice", "and you?"));
}

/// The original's close of the first socket takes the second one out.
#[test]
fn a_second_login_outlives_the_close_of_the_first() {
    let _machine = machine_shared();
    let Some((cluster, mut clients)) = started() else { return };
    clients.register("alice", "alice", &cluster.nodes[0]);
    for (nth, place) in [1, 1, 2].into_iter().enumerate() {
        clients.register(&format!("bob {nth}"), "bob", &cluster.nodes[place]);
        if nth > 0 {
            assert_eq!(clients.closed(&format!("bob {}", nth - 1)), 4001);
        }
        clients.say("alice", "bob", &format!("to {nth}"));
        clients.hears(&format!("bob {nth}"), &from("alice", &format!("to {nth}")));
    }
    held_by(&cluster, "bob", Some("n3"));
    let gateways =
        |nth: usize| Ask::get("/stats").send(cluster.nodes[nth].gateway).expect("an answer").json();
    eventually("nothing is left at the second", || (gateways(1)["connections"] == 0).then_some(()));
    assert_eq!(gateways(2), json!({"gatewayId": "n3", "connections": 1}));
}

/// The original compares the wall clocks of its gateways.
#[test]
fn a_login_wins_at_a_node_whose_clock_is_an_hour_behind() {
    let _machine = machine_shared();
    let Some(interpreter) = tools::python() else { return };
    if !tools::has(&["faketime"]) {
        return;
    }
    let mut cluster = Cluster::planned_as(&[], |place, node| {
        if place == 1 {
            node.launcher = ["faketime", "-f", "-1h"].map(str::to_owned).into();
        }
    });
    cluster.nodes.iter_mut().for_each(Node::start);
    cluster.ready();
    let mut clients = Driver::start(interpreter);
    clients.register("alice", "alice", &cluster.nodes[0]);
    clients.register("bob", "bob", &cluster.nodes[0]);
    clients.register("bob again", "bob", &cluster.nodes[1]);
    assert_eq!(clients.closed("bob"), 4001);
    held_by(&cluster, "bob", Some("n2"));
    clients.say("alice", "bob", "hello");
    clients.hears("bob again", &from("alice", "hello"));
}

/// The original writes to one socket from several goroutines, and panics.
#[test]
fn many_at_once_write_to_one_socket_whole_and_in_order() {
    const SENDERS: usize = 9;
    const EACH: usize = 200;
    let _machine = machine_shared();
    let Some((cluster, mut clients)) = started() else { return };
    clients.register("bob", "bob", &cluster.nodes[2]);
    held_by(&cluster, "bob", Some("n3"));
    for nth in 0..SENDERS {
        clients.register(&format!("s{nth}"), &format!("s{nth}"), &cluster.nodes[nth % 3]);
    }
    for nth in 0..SENDERS {
        let texts = (0..EACH).map(|at| message("bob", &at.to_string()).to_string());
        clients.send_all(&format!("s{nth}"), texts);
        clients.send("bob", &json!({"type": "ping"}));
    }
    let count = || clients.heard("bob").iter().filter(|text| text["type"] == "message").count();
    eventually("all have arrived", || (count() >= SENDERS * EACH).then_some(()));
    let heard = clients.heard("bob");
    assert_eq!(heard.iter().filter(|text| text["type"] == "pong").count(), SENDERS);
    for nth in 0..SENDERS {
        let of_one = |text: &&Value| text["from"] == format!("s{nth}");
        let contents: Vec<_> = heard.iter().filter(of_one).map(|text| text["content"].clone()).collect();
        let wanted: Vec<_> = (0..EACH).map(|at| json!(at.to_string())).collect();
        assert_eq!(contents, wanted, "of s{nth}");
    }
}
