//! Local workloads of the sandbox API: objects that lead requests to a developer's machine.

use crate::{
    support::{cluster::Cluster, eventually, http::Ask, machine_shared, worker::Worker},
    tunnels::{KEY, Local, all, reaches, with_base},
};
use serde_json::json;

/// Nobody sets a rule: the objects of the sandbox API are the rules, on every node at one log index.
#[test]
fn a_local_workload_leads_requests_to_whoever_holds_its_tunnel() {
    let _machine = machine_shared();
    let cluster = Cluster::formed();
    let (laptop, _base) = (Worker::start("laptop"), with_base(&cluster.nodes[1]));
    let at = |path: &str| format!("/api/v1alpha1/namespaces/team-a/{path}");
    let create = |resource: &str, body: serde_json::Value| {
        eventually(&format!("one of {resource} is made"), || {
            // All members have to be known to be of a version that knows them.
            (cluster.nodes[0].ask(&Ask::json("POST", &at(resource), &body)).status == 201).then_some(())
        });
    };
    create("sandboxes", json!({"metadata": {"name": "pr-12"}, "spec": {"routingKey": KEY, "services": []}}));
    let missing = Local::start(&all(&cluster), laptop.address, &["--workload", "team-a/laptop"]).exit_code();
    assert_eq!(missing, Some(4), "there is none yet");
    let spec = json!({"sandboxRef": {"name": "pr-12"}, "service": {"name": "upload"}});
    create("localworkloads", json!({"metadata": {"name": "laptop"}, "spec": spec}));
    // Nobody is there: they go where they would go without their key.
    reaches(&cluster, "base");
    let mut local = Local::start(&all(&cluster), laptop.address, &["--workload", "team-a/laptop"]);
    local.says("requests with the key dev-1 for upload go to the tunnel team-a.laptop");
    reaches(&cluster, "laptop");
    let shown = cluster.nodes[2].get(&at("localworkloads/laptop"));
    assert_eq!(shown["status"]["phase"], "Connected", "{shown}");
    assert_eq!(cluster.nodes[2].get("/v1/sandboxes")["items"], json!([]), "there is no rule of anybody");
    local.interrupt();
    assert_eq!(local.exit_code(), Some(0), "{}", local.said());
    reaches(&cluster, "base");
}
