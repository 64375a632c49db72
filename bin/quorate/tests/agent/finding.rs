//! Services are found, registered, and followed as they come and go.

use crate::{
    process::{Agent, offered, offers, record},
    service::Service,
    support::{free_address, machine_shared, node::Node},
};
use serde_json::json;
use std::net::SocketAddr;

fn url(address: SocketAddr) -> String {
    format!("http://{address}")
}

fn node(folder: &std::path::Path) -> Node {
    let mut node = Node::new("n1", folder);
    node.start();
    node.becomes("ready");
    node
}

#[test]
fn what_is_there_is_registered_and_what_comes_and_goes_is_reported() {
    let _shared = machine_shared();
    let folder = tempfile::tempdir().expect("a folder");
    let node = node(folder.path());
    let (http, tcp) = (Service::start(), Service::start());
    let (first, second, third) = (http.address, free_address(), tcp.address);
    let settings = format!(
        "detect_interval: 200ms\ngroup: blue\nlabels: {{zone: a}}\ncapabilities: {{has_storage: true}}\nweight: 50\nservices:\n\
         - {{name: upload, port: {}, version: '1.4'}}\n- {{name: rag, port: {}}}\n- {{name: db, url: 'http://localhost:{}/base', check: tcp}}\n",
        first.port(),
        second.port(),
        third.port()
    );
    let _agent = Agent::start("m1", folder.path(), &[&node], &settings);
    let db = ("db", format!("http://localhost:{}/base", third.port()));
    offers(&node, "m1", &[("upload", url(first)), db.clone()]);
    let told = record(&node, "m1").expect("registered");
    assert_eq!(told["labels"], json!({"group": "blue", "zone": "a"}));
    assert_eq!((&told["weight"], &told["address"]), (&json!(50), &json!("http://127.0.0.1")));
    assert_eq!(told["services"][0]["version"], "1.4");
    let facts = &told["capabilities"];
    assert!(facts["cpu_cores"].as_u64().is_some_and(|cores| cores > 0), "{facts}");
    assert!(facts["ram"].as_str().is_some_and(|ram| ram.ends_with("GB")), "{facts}");
    assert!(facts["storage"].as_str().is_some_and(|storage| storage.ends_with("GB")), "{facts}");
    assert_eq!((&facts["has_storage"], &facts["ip_address"]), (&json!(true), &json!("127.0.0.1")));

    let late = Service::start_at(second);
    offers(&node, "m1", &[("upload", url(first)), ("rag", url(second)), db.clone()]);
    // One dies, the other only says that it is not well.
    drop(http);
    offers(&node, "m1", &[("rag", url(second)), db.clone()]);
    late.is_unwell();
    offers(&node, "m1", &[db]);
    drop(tcp);
    offers(&node, "m1", &[]);
    let workers = node.get("/v1/workers");
    assert_eq!(workers["items"].as_array().map(Vec::len), Some(1), "one machine, one worker: {workers}");
}

#[test]
fn what_stays_as_it_is_costs_no_write() {
    let _shared = machine_shared();
    let folder = tempfile::tempdir().expect("a folder");
    let node = node(folder.path());
    let service = Service::start();
    let settings =
        format!("detect_interval: 100ms\nservices:\n- {{name: a, port: {}}}\n", service.address.port());
    let agent = Agent::start("m1", folder.path(), &[&node], &settings);
    agent.says("registered epoch");
    offers(&node, "m1", &[("a", url(service.address))]);
    let (before, looks) = (record(&node, "m1"), service.looks());
    crate::support::eventually("it is looked at again and again", || {
        (service.looks() > looks + 10).then_some(())
    });
    assert_eq!(record(&node, "m1"), before);
}

#[test]
fn containers_are_looked_for_and_registered_under_their_names() {
    let _shared = machine_shared();
    let folder = tempfile::tempdir().expect("a folder");
    let node = node(folder.path());
    let service = Service::start();
    let port = service.address.port();
    let settings = format!("services:\n- {{name: upload, container: localhost, port: {port}}}\n");
    let _agent = Agent::start("m1", folder.path(), &[&node], &settings);
    offers(&node, "m1", &[("upload", format!("http://localhost:{port}"))]);
    assert_eq!(offered(&node, "no-such-worker"), []);
}
