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
    let mut cluster = Cluster::formed_with(&["--gateway-drain-spread", "1s"]);
    let folder = tempfile::tempdir().expect("a folder");
    let does = |cluster: &Cluster, part: &str| {
        let mut args = Vec::new();
        for node in &cluster.nodes {
            args.extend([node.gateway.to_string(), node.management.to_string(), node.pid().to_string()]);
        }
        args.push(part.to_owned());
        let args: Vec<_> = args.iter().map(String::as_str).collect();
        let said = python(part, folder.path(), interpreter, CLIENT, &args).ended_well();
        assert!(said.contains("all well"), "{part}: {said}");
    };
    does(&cluster, "flow");
    does(&cluster, "kill");
    cluster.nodes[2].kill();
    cluster.nodes[2].start();
    cluster.ready();
    does(&cluster, "end");
    let (status, _) = cluster.nodes[1].ended();
    assert!(status.success(), "{status}");
}
