//! How an agent ends.

use crate::{
    process::{Agent, offers, record},
    service::Service,
    support::{cluster::Cluster, eventually, machine_shared, node::Node},
};

fn settings(service: &Service, more: &str) -> String {
    format!("{more}services:\n- {{name: a, port: {}}}\n", service.address.port())
}

fn is_offered(node: &Node, service: &Service) {
    offers(node, "m1", &[("a", format!("http://{}", service.address))]);
}

#[test]
fn after_a_signal_its_worker_is_gone_on_all_nodes_and_its_next_start_serves() {
    let _shared = machine_shared();
    let folder = tempfile::tempdir().expect("a folder");
    let cluster = Cluster::formed();
    let nodes: Vec<_> = cluster.nodes.iter().collect();
    let service = Service::start();
    for signal in ["TERM", "INT"] {
        let mut agent = Agent::start("m1", folder.path(), &nodes, &settings(&service, ""));
        nodes.iter().for_each(|node| is_offered(node, &service));
        agent.signal(signal);
        assert_eq!(agent.ended(), 0, "{}", agent.log());
        for node in &nodes {
            eventually("it is unregistered", || record(node, "m1").is_none().then_some(()));
        }
    }
}

#[test]
fn without_routers_it_ends_within_its_drain_timeout() {
    let _shared = machine_shared();
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::new("n1", folder.path());
    let service = Service::start();
    let mut agent =
        Agent::start("m1", folder.path(), &[&node], &settings(&service, "drain_timeout: 300ms\n"));
    agent.says("trying on");
    agent.signal("TERM");
    assert_eq!(agent.ended(), 0, "{}", agent.log());
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let _shared = machine_shared();
    let folder = tempfile::tempdir().expect("a folder");
    let mut node = Node::new("n1", folder.path());
    node.start();
    node.becomes("ready");
    let service = Service::start();
    let mut agent = Agent::start("m1", folder.path(), &[&node], &settings(&service, "drain_timeout: 1h\n"));
    is_offered(&node, &service);
    // It has a lease, and nobody answers its wish to draw back.
    node.signal("STOP");
    agent.signal("TERM");
    agent.says("ending");
    agent.signal("TERM");
    assert_eq!(agent.ended(), 143, "{}", agent.log());
    node.signal("CONT");
}
