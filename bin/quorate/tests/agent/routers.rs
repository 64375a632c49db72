//! Routers come and go; the agent stays, and so does its worker.

use crate::{
    process::{Agent, offers, record},
    service::Service,
    support::{
        cluster::Cluster,
        eventually,
        http::Ask,
        machine_shared,
        node::{Node, quorate},
    },
};
use serde_json::Value;

fn settings(service: &Service) -> String {
    format!("detect_interval: 200ms\nttl: 4s\nservices:\n- {{name: a, port: {}}}\n", service.address.port())
}

fn is_offered(node: &Node, service: &Service) {
    offers(node, "m1", &[("a", format!("http://{}", service.address))]);
}

/// How much time is left to the only lease, in milliseconds.
fn remaining(node: &Node) -> Option<u128> {
    let answer = Ask::get("/v1/leases").send(node.management).ok()?;
    let item = answer.json()["items"].get(0)?.clone();
    let text = item["remaining"].as_str()?;
    Some(quorate_api::duration::parse(text)?.as_millis())
}

/// Waits until heartbeats come: the time that is left grows. Once more than a new leader makes it grow.
pub fn is_heard(node: &Node) {
    let (mut last, mut grown) = (None, 0);
    eventually("heartbeats arrive", || {
        let now = remaining(node)?;
        grown += u32::from(last.is_some_and(|last| now > last + 100));
        last = Some(now);
        (grown >= 2).then_some(())
    });
}

fn lease(node: &Node) -> Value {
    record(node, "m1").expect("it is registered")["lease"].clone()
}

#[test]
fn an_agent_that_is_there_first_registers_once_a_node_comes() {
    let _shared = machine_shared();
    let folder = tempfile::tempdir().expect("a folder");
    let mut node = Node::new("n1", folder.path());
    let service = Service::start();
    let config = folder.path().join("agent.yaml");
    std::fs::write(&config, settings(&service)).expect("written");
    let mut command = quorate(&["agent", "--until-stdin-closes"]);
    command.env("QUORATE_AGENT_CONFIG", &config).env("QUORATE_AGENT_ID", "m1");
    command.env("QUORATE_AGENT_TLL", "30s").env("COORDINATOR_URL", format!("http://{}", node.management));
    let agent = Agent::of("m1", folder.path(), command);
    agent.says("QUORATE_AGENT_TLL");
    agent.says("trying on");
    node.start();
    is_offered(&node, &service);
}

#[test]
fn it_outlives_the_node_that_it_talks_to_and_a_restart_of_all_of_them() {
    let _shared = machine_shared();
    let folder = tempfile::tempdir().expect("a folder");
    let mut cluster = Cluster::formed();
    let service = Service::start();
    let nodes: Vec<_> = cluster.nodes.iter().collect();
    let agent = Agent::start("m1", folder.path(), &nodes, &settings(&service));
    agent.says("registered epoch");
    is_offered(&cluster.nodes[1], &service);
    let before = lease(&cluster.nodes[1]);

    // It talks to the first: the one that answered last, and the first in its list.
    cluster.nodes[0].kill();
    cluster.leader();
    is_heard(&cluster.nodes[1]);
    assert_eq!(lease(&cluster.nodes[2]), before, "it was not registered anew");

    cluster.nodes.iter_mut().for_each(Node::kill);
    cluster.nodes.iter_mut().for_each(Node::start);
    cluster.ready();
    is_heard(&cluster.nodes[0]);
    is_offered(&cluster.nodes[0], &service);
    assert_eq!(lease(&cluster.nodes[0]), before, "its lease was kept on the disks");
}

#[test]
fn a_worker_that_was_removed_comes_back_under_its_id() {
    let _shared = machine_shared();
    let folder = tempfile::tempdir().expect("a folder");
    let mut node = Node::new("n1", folder.path());
    node.start();
    node.becomes("ready");
    let service = Service::start();
    let agent = Agent::start("m1", folder.path(), &[&node], &settings(&service));
    agent.says("registered epoch");
    is_offered(&node, &service);
    let before = lease(&node);
    assert_eq!(node.operate(&["workers", "remove", "m1"]).code, Some(0));
    eventually("it is registered anew", || {
        record(&node, "m1").filter(|record| record["lease"] != before).map(drop)
    });
    is_offered(&node, &service);
}

#[test]
fn one_whose_id_was_taken_waits_until_it_is_free() {
    let _shared = machine_shared();
    let folder = tempfile::tempdir().expect("a folder");
    let mut node = Node::new("n1", folder.path());
    node.start();
    node.becomes("ready");
    let service = Service::start();
    let first = Agent::start("m1", folder.path(), &[&node], &settings(&service));
    is_offered(&node, &service);
    let elsewhere = tempfile::tempdir().expect("a folder");
    let other = Service::start();
    let mut second = Agent::start("m1", elsewhere.path(), &[&node], &settings(&other));
    first.says("another process has registered under this id");
    is_offered(&node, &other);

    second.signal("TERM");
    assert_eq!(second.ended(), 0);
    is_offered(&node, &service);
    let log = first.log();
    assert_eq!(log.matches("another process has registered").count(), 1, "they do not fight: {log}");
}
