//! Workers in Python, run against real nodes.

use crate::{
    fences,
    process::{Agent, offers, record},
    support::{cluster::Cluster, eventually, free_address, http::Ask, machine_shared},
};
use std::process::Command;

const PAGE: &str = include_str!("../../../../docs/workers/python.md");

/// The program of the page.
fn worker() -> String {
    let mut programs = fences::fenced(PAGE).filter(|(_, kind, _)| *kind == "python");
    let (_, _, program) = programs.next().expect("the page has one");
    assert!(programs.next().is_none(), "and no other");
    let lines = program.lines().count();
    assert!(lines <= 30, "it has {lines} lines, and says that it has thirty");
    program
}

#[test]
fn the_worker_of_the_page_registers_heartbeats_answers_and_says_goodbye() {
    let _shared = machine_shared();
    let folder = tempfile::tempdir().expect("a folder");
    let mut cluster = Cluster::formed();
    let file = folder.path().join("worker.py");
    // Heartbeats that a test can wait for.
    let program = worker();
    assert!(program.contains(r#""ttl": "30s""#));
    std::fs::write(&file, program.replace(r#""ttl": "30s""#, r#""ttl": "3s""#)).expect("written");
    let servers: Vec<_> = cluster.nodes.iter().map(|node| format!("http://{}", node.management)).collect();
    let address = free_address();
    let mut command = Command::new("python3");
    command.arg("-u").arg(&file).env("QUORATE_SERVER", servers.join(",")).env("WORKER_ID", "py");
    command.env("PORT", address.port().to_string());
    let mut worker = Agent::of("py", folder.path(), command);
    offers(&cluster.nodes[2], "py", &[("hello", String::new())]);
    let said = Ask::get("/some/path").send(address).expect("it answers").ok().json();
    assert_eq!((&said["worker"], &said["path"]), (&"py".into(), &"/some/path".into()));
    // From then on it knows which lease it has: one whose answer was lost is asked for twice.
    crate::routers::is_heard(&cluster.nodes[1]);
    let before = record(&cluster.nodes[1], "py").expect("registered");

    // The router that it asks first is gone, and it lives for more than its lease.
    cluster.nodes[0].kill();
    cluster.leader();
    crate::routers::is_heard(&cluster.nodes[1]);
    let lease = |place: usize| record(&cluster.nodes[place], "py").expect("it is there")["lease"].clone();
    assert_eq!(lease(2), before["lease"]);

    // Somebody removes it: it comes back under its id.
    assert_eq!(cluster.nodes[1].operate(&["workers", "remove", "py"]).code, Some(0));
    eventually("it registers again", || {
        record(&cluster.nodes[1], "py").filter(|now| now["lease"] != before["lease"]).map(drop)
    });
    worker.signal("TERM");
    assert_eq!(worker.ended(), 0, "{}", worker.log());
    for node in cluster.running() {
        eventually("it is unregistered", || record(node, "py").is_none().then_some(()));
    }
}
