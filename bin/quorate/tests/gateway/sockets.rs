//! Users on three real nodes, with Python's websockets as their clients.

use crate::{
    origins::python,
    support::{cluster::Cluster, machine_shared},
    tools,
};

const CLIENT: &str = include_str!("sockets_client.py");

#[test]
fn users_find_each_other_through_second_logins_kills_and_ends() {
    let Some(interpreter) = tools::python() else { return };
    let _shared = machine_shared();
    let cluster = Cluster::formed_with(&["--gateway-drain-spread", "1s"]);
    let mut args = Vec::new();
    for node in &cluster.nodes {
        args.extend([node.gateway.to_string(), node.management.to_string(), node.pid().to_string()]);
    }
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    let folder = tempfile::tempdir().expect("a folder");
    let said = python("users", folder.path(), interpreter, CLIENT, &args).ended_well();
    assert!(said.contains("all well"), "{said}");
}
