//! The original coordinator's agent, as its contract describes it, against any of three nodes.

use crate::{
    process::Agent,
    service::Service,
    support::{cluster::Cluster, eventually, free_address, machine_shared, node::Node},
};
use serde_json::{Value, json};
use std::{net::SocketAddr, path::Path, process::Command};

const AGENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/agent/agent.py");

/// One that talks to this address alone, as it did to the coordinator, which draws its id.
fn start(name: &str, folder: &Path, coordinator: SocketAddr, service: &Service) -> Agent {
    let mut command = Command::new("python3");
    command.args(["-u", AGENT]).env("COORDINATOR_URL", format!("http://{coordinator}"));
    command.env("SERVICES", format!("upload={}", service.address));
    command.env("REGISTER_PAUSE", "0.1").env("HEARTBEAT_INTERVAL", "0.3");
    Agent::of(name, folder, command)
}

/// What a node says of the service.
fn upload(node: &Node) -> Value {
    node.get("/api/admin/services")["services"]["upload"].clone()
}

fn becomes(node: &Node, expected: &Value) {
    eventually(&format!("{} says {expected}", node.name), || (upload(node) == *expected).then_some(()));
}

fn heartbeats(agent: &Agent) -> usize {
    agent.log().matches("heartbeat ok").count()
}

#[test]
fn it_works_unmodified_through_the_kill_of_any_node() {
    let _shared = machine_shared();
    let folder = tempfile::tempdir().expect("a folder");
    let mut cluster = Cluster::formed();
    let services = [(); 3].map(|()| Service::start());
    let mut agents: Vec<_> = ["a1", "a2", "a3"]
        .iter()
        .zip(&cluster.nodes)
        .zip(&services)
        .map(|((name, node), service)| start(name, folder.path(), node.management, service))
        .collect();
    let all = json!({"total_workers": 3, "healthy_workers": 3, "status": "available"});
    cluster.nodes.iter().for_each(|node| becomes(node, &all));
    for agent in &agents {
        agent.says("services 1");
        agent.says("heartbeat ok");
    }

    for victim in 0..3 {
        cluster.nodes[victim].kill();
        agents[victim].says("heartbeat failed");
        cluster.leader();
        for agent in agents.iter().enumerate().filter(|(nth, _)| *nth != victim).map(|(_, agent)| agent) {
            let before = heartbeats(agent);
            eventually("its heartbeats go on", || (heartbeats(agent) > before + 1).then_some(()));
        }
        // Its lease outlives the node that it talks to.
        cluster.running().for_each(|node| becomes(node, &all));
        cluster.nodes[victim].start();
        cluster.ready();
        let before = heartbeats(&agents[victim]);
        eventually("its heartbeats arrive again", || (heartbeats(&agents[victim]) > before).then_some(()));
        becomes(&cluster.nodes[victim], &all);
    }

    for agent in &mut agents {
        agent.signal("TERM");
        assert_eq!(agent.ended(), 0, "{}", agent.log());
        agent.says("unregistered ok");
    }
    for node in &cluster.nodes {
        let gone = || node.get("/api/admin/workers").as_array().is_some_and(Vec::is_empty).then_some(());
        eventually("nobody is left", gone);
    }
}

#[test]
fn where_nobody_is_it_gives_up_as_it_always_did() {
    let folder = tempfile::tempdir().expect("a folder");
    let service = Service::start();
    let mut agent = start("a1", folder.path(), free_address(), &service);
    assert_eq!(agent.ended(), 1);
    assert_eq!(agent.log().matches("registration failed").count(), 5);
}
