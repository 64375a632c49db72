//! An agent whose machine nobody can dial.

use crate::{
    process::{Agent, offers, record},
    service::Service,
    support::{cluster::Cluster, eventually, http::Ask, machine_shared, node::Node},
};

fn tunnels(node: &Node) -> Vec<String> {
    let items = node.get("/v1/tunnels")["items"].as_array().cloned().unwrap_or_default();
    items.iter().map(|item| item["name"].as_str().expect("a name").to_owned()).collect()
}

/// Waits until requests for the service are answered by it, through this node.
fn reaches(node: &Node) {
    eventually(&format!("{} reaches the service", node.name), || {
        let answer = Ask::get("/api/service/a/health").send(node.routing).ok()?;
        (answer.status == 200).then_some(())
    });
}

#[test]
fn what_it_registers_is_reached_by_tunnels_that_outlive_a_node_and_end_with_it() {
    let _shared = machine_shared();
    let folder = tempfile::tempdir().expect("a folder");
    let mut cluster = Cluster::formed();
    let service = Service::start();
    let port = service.address.port();
    let settings = format!(
        "tunnel: true\ndetect_interval: 200ms\ndrain_timeout: 1s\nservices:\n- {{name: a, port: {port}}}\n"
    );
    let nodes: Vec<_> = cluster.nodes.iter().collect();
    let mut agent = Agent::start("m1", folder.path(), &nodes, &settings);
    offers(&cluster.nodes[2], "m1", &[("a", format!("tunnel://m1.{port}"))]);
    let shown = record(&cluster.nodes[2], "m1").expect("it is registered");
    assert_eq!(shown["address"], "tunnel://m1.80");
    for node in &cluster.nodes {
        reaches(node);
    }
    // Its name comes first in the list, so its tunnels hang there.
    cluster.nodes[0].kill();
    cluster.leader();
    for node in cluster.running() {
        reaches(node);
    }
    agent.signal("TERM");
    assert_eq!(agent.ended(), 0, "{}", agent.log());
    eventually("no tunnel is left", || tunnels(&cluster.nodes[1]).is_empty().then_some(()));
    eventually("no worker is left", || {
        record(&cluster.nodes[1], "m1").is_none_or(|shown| shown["status"] == "departed").then_some(())
    });
}
