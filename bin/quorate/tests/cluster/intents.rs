//! What operators decide about workers and services holds on every node, whatever happens to the nodes.

use crate::support::{
    cluster::Cluster,
    eventually,
    http::{Answer, Ask},
    node::{Node, Ran},
    worker::Worker,
};
use serde_json::{Value, json};
use std::sync::mpsc;

/// A registration that no pause of a test lets expire.
fn offer(node: &Node, worker: &Worker) {
    let body = json!({"address": worker.url(), "services": [{"name": "upload"}], "ttl": "1h"});
    node.ask(&Ask::json("PUT", &format!("/v1/workers/{}", worker.id), &body)).ok();
}

fn upload(node: &Node) -> Answer {
    Ask::get("/api/service/upload/x").send(node.routing).expect("an answer")
}

/// Who answers through each node.
fn answered_by(cluster: &Cluster) -> Vec<String> {
    let asked = cluster.nodes.iter().flat_map(|node| (0..6).map(|_| upload(node).ok().worker()));
    let mut names: Vec<_> = asked.collect();
    names.sort();
    names.dedup();
    names
}

fn done(ran: &Ran, said: &str) {
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.err.contains(said), "{}", ran.err);
}

fn statuses(node: &Node) -> Vec<(String, String)> {
    let service = node.get("/v1/services/upload");
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let endpoints = service["endpoints"].as_array().expect("a list").clone();
    endpoints.iter().map(|e| (text(&e["worker"]), text(&e["status"]))).collect()
}

#[test]
fn a_drained_worker_stays_drained_through_restarts_elections_and_its_own_registration() {
    let mut cluster = Cluster::formed();
    let workers = ["w1", "w2"].map(Worker::start);
    workers.iter().for_each(|worker| offer(&cluster.nodes[0], worker));
    cluster.catch_up();
    assert_eq!(answered_by(&cluster), ["w1", "w2"]);
    done(&cluster.nodes[1].operate(&["workers", "drain", "w1"]), "draining worker w1 at index ");
    done(&cluster.nodes[1].operate(&["services", "set", "upload", "--hold", "2s"]), "set service upload");
    cluster.catch_up();
    assert_eq!(answered_by(&cluster), ["w2"]);
    offer(&cluster.nodes[2], &workers[0]);
    cluster.catch_up();
    assert_eq!(answered_by(&cluster), ["w2"], "a registration is no operator's word");
    // An election.
    let leader = cluster.leader();
    cluster.nodes[leader].kill();
    cluster.leader();
    cluster.nodes[leader].start();
    cluster.ready();
    assert_eq!(answered_by(&cluster), ["w2"], "after an election");
    // All of them at once.
    cluster.nodes.iter_mut().for_each(Node::kill);
    cluster.nodes.iter_mut().for_each(Node::start);
    cluster.ready();
    for node in &cluster.nodes {
        let seen = statuses(node);
        assert_eq!(seen, [("w1".into(), "draining".into()), ("w2".into(), "live".into())], "{}", node.name);
        assert_eq!(node.get("/v1/services/upload")["policy"]["hold"], "2s", "{}", node.name);
    }
    assert_eq!(answered_by(&cluster), ["w2"], "after a restart of all");
    done(&cluster.nodes[0].operate(&["workers", "resume", "w1"]), "worker w1 is in service");
    done(&cluster.nodes[0].operate(&["workers", "weight", "w2", "0"]), "the weight of worker w2 is 0");
    cluster.catch_up();
    assert_eq!(answered_by(&cluster), ["w1"], "a weight of nothing is no requests while others serve");
    done(&cluster.nodes[0].operate(&["workers", "offline", "w1"]), "worker w1 is offline");
    cluster.catch_up();
    assert_eq!(answered_by(&cluster), ["w2"], "and it is better than nobody");
}

#[test]
fn a_drain_ends_once_nothing_is_in_flight_on_any_node() {
    // The request is held for as long as a busy machine takes.
    let mut cluster = Cluster::formed_with(&["--request-timeout", "5m"]);
    let worker = Worker::start("w1");
    offer(&cluster.nodes[0], &worker);
    cluster.catch_up();
    let routing = cluster.nodes[2].routing;
    let held = std::thread::spawn(move || Ask::get("/api/service/upload/held").send(routing));
    eventually("the request is at the worker", || (worker.held() == 1).then_some(()));
    let late = cluster.nodes[0].operate(&["workers", "drain", "w1", "--wait", "--timeout", "300ms"]);
    assert_eq!(late.code, Some(1), "{}", late.err);
    assert!(late.err.contains("in flight at worker w1"), "{}", late.err);
    let index = cluster.nodes[0].get("/v1/workers/w1")["changed_index"].as_u64().expect("a number");
    let path = format!("/v1/workers/w1/in-flight?index={index}");
    let counted = eventually("every node tells", || {
        let counted = cluster.nodes[1].get(&path);
        (counted["in_flight"] == 1).then_some(counted)
    });
    let counts: Vec<_> =
        counted["nodes"].as_array().expect("a list").iter().map(|n| &n["in_flight"]).collect();
    assert_eq!(counts, [&json!(0), &json!(0), &json!(1)], "the third node has it");
    // One that can't be asked is not taken for idle.
    cluster.nodes[1].kill();
    let unknown = eventually("the silent node is told apart", || {
        let counted = cluster.nodes[0].get(&path);
        counted["in_flight"].is_null().then_some(counted)
    });
    assert_eq!(unknown["nodes"][1]["why"], "it does not answer", "{unknown}");
    cluster.nodes[1].start();
    cluster.ready();
    let (told, hear) = mpsc::channel();
    std::thread::scope(|scope| {
        let node = &cluster.nodes[0];
        scope.spawn(move || told.send(node.operate(&["workers", "drain", "w1", "--wait"])));
        assert!(hear.recv_timeout(std::time::Duration::from_millis(700)).is_err(), "something is in flight");
        worker.let_go();
        let ran = hear.recv_timeout(crate::support::PATIENCE).expect("it ends");
        done(&ran, "nothing is in flight at worker w1 any more");
    });
    held.join().expect("no panic").expect("an answer").ok();
}

/// What `POST …/report-down` answers.
fn reported(node: &Node, id: &str, by: &str, epoch: u64) -> Answer {
    let body = json!({"by": by, "epoch": epoch, "reason": "it does not answer me"});
    node.ask(&Ask::json("POST", &format!("/v1/workers/{id}/report-down"), &body))
}

#[test]
fn a_delegate_shortens_the_wait_for_a_dead_worker_and_nobody_believes_it_without_looking() {
    let cluster = Cluster::formed();
    let (delegate, alive) = (Worker::start("d1"), Worker::start("alive"));
    let dead = crate::support::free_address();
    let register = |id: &str, url: String, wants: bool| {
        let body = json!({"address": url, "services": [{"name": "upload"}], "ttl": "1h",
            "labels": {"group": "g"}, "wants_delegate": wants});
        cluster.nodes[0].ask(&Ask::json("PUT", &format!("/v1/workers/{id}"), &body)).ok().json()
    };
    let told = register("d1", delegate.url(), true)["heartbeat_delegate"].clone();
    assert_eq!(told["worker"], "d1", "{told}");
    assert_eq!(register("alive", alive.url(), false)["heartbeat_delegate"], told);
    register("dead", format!("http://{dead}"), false);
    let epoch = told["epoch"].as_u64().expect("a number");
    cluster.catch_up();
    let up = reported(&cluster.nodes[1], "alive", "d1", epoch).ok().json();
    assert_eq!(up["verdict"], "up", "{up}");
    // Heard by its own registration a moment ago: nothing ends before that is over.
    let down = eventually("two nodes find nobody", || {
        cluster.nodes.iter().find_map(|node| {
            let answer = reported(node, "dead", "d1", epoch);
            (answer.status == 200 && answer.json()["verdict"] == "down").then(|| answer.json())
        })
    });
    let found: Vec<_> =
        down["probes"].as_array().expect("a list").iter().map(|probe| probe["connected"].clone()).collect();
    assert_eq!(found, [json!(false), json!(false)], "{down}");
    for node in &cluster.nodes {
        eventually("its lease has ended long before its hour is over", || {
            (node.get("/v1/workers/dead")["status"] == "expired").then_some(())
        });
        assert_eq!(node.get("/v1/workers/alive")["status"], "live");
    }
    // The role goes on, and the old holder's word counts no more, at any node.
    register("d2", delegate.url(), true);
    cluster.nodes[0].ask(&Ask::new("DELETE", "/v1/workers/d1")).ok();
    for node in &cluster.nodes {
        let refused = reported(node, "alive", "d1", epoch);
        assert_eq!(refused.json()["code"], "delegate_stale", "{}", node.name);
        let beats = json!({"workers": ["alive"], "on_behalf": true, "worker": "d1", "epoch": epoch});
        let refused = node.ask(&Ask::json("POST", "/v1/heartbeats", &beats));
        assert_eq!(
            (refused.status, &refused.json()["delegate"]["worker"]),
            (409, &json!("d2")),
            "{}",
            node.name
        );
        let stands = refused.json()["delegate"]["epoch"].as_u64().expect("a number");
        assert!(stands > epoch);
        let beats = json!({"workers": ["alive", "dead"], "on_behalf": true, "worker": "d2", "epoch": stands});
        let heard = node.ask(&Ask::json("POST", "/v1/heartbeats", &beats)).ok().json();
        assert_eq!(
            heard["ok"],
            json!(["alive", "dead"]),
            "and a heartbeat brings back who was expired early"
        );
    }
    assert_eq!(cluster.nodes[0].get("/v1/workers/dead?consistent=true")["status"], "live");
}
