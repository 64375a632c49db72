//! Health checks of nginx and grpcio by a cluster of three: whoever is not well gets nothing from any node, and gets
//! its share again when it is well.
//!
//! Which node asks, who confirms what it found, and that nothing is written while nothing changes, is the simulation's
//! to show (`health`); here the questions are put to servers that others have written.

use crate::{
    grpc::{CLIENT, SERVER},
    origins::{Nginx, Process, python},
    router::{put, worker},
    support::{
        PATIENCE,
        cluster::Cluster,
        eventually, free_address,
        http::{Ask, Connection},
        machine_shared,
        node::Node,
        within,
    },
    tools,
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, fs, path::Path};

/// What is well as long as there is a file.
const PROBED: &str = "location = /healthz { try_files /well =503; } location / { return 200 well; }";

/// A policy that checks. A second is more than a probe takes on the busiest machine, three times in a row.
fn checked(kind: &str, how: &Value) -> Value {
    let mut policy = json!({"balancing": "round-robin", "health": {"interval": "1s", "timeout": "1s", "unhealthy": 3, "healthy": 2}});
    policy["health"][kind] = how.clone();
    policy
}

/// Waits until every node says this of a worker.
fn becomes(cluster: &Cluster, (service, worker): (&str, &str), status: &str) {
    for node in cluster.running() {
        let is = || {
            let told = node.get(&format!("/v1/services/{service}"));
            let mut all = told["endpoints"].as_array()?.iter();
            (all.find(|endpoint| endpoint["worker"] == worker)?["status"] == status).then_some(())
        };
        within(PATIENCE * 2, is)
            .unwrap_or_else(|| panic!("{worker} of {service} does not become {status} on {}", node.name));
    }
}

/// Who answers a service's requests on one connection to a node.
fn answering(node: &Node, service: &str) -> BTreeSet<String> {
    let mut connection = Connection::open(node.routing).expect("it listens");
    let ask = Ask::get(&format!("/api/service/{service}/"));
    let mut one = || {
        let answer = connection.exchange(&ask).expect("it answers").ok();
        answer.header("x-origin").expect("nginx says who it is").to_owned()
    };
    (0..20).map(|_| one()).collect()
}

fn all_answer(cluster: &Cluster, service: &str, expected: [&str; 2]) {
    for node in cluster.running() {
        let all = || answering(node, service).iter().eq(expected.iter()).then_some(());
        eventually(&format!("{expected:?} answer through {}", node.name), all);
    }
}

/// A call through each node ends like this.
fn calls(cluster: &Cluster, interpreter: &Path, what: &str) {
    for node in cluster.running() {
        let folder = tempfile::tempdir().expect("a folder");
        let args = [&node.routing.to_string(), "-", what];
        python("client", folder.path(), interpreter, CLIENT, &args).ended_well();
    }
}

/// grpcio as the one worker of `echo`, well while the file is there.
fn echo(node: &Node, folder: &Path, interpreter: &Path, file: &Path) -> Process {
    let address = free_address();
    let args = [&address.to_string(), file.to_str().expect("UTF-8")];
    let server = python("server", folder, interpreter, SERVER, &args);
    eventually("the server listens", || server.log().contains("listening").then_some(()));
    let mut policy = checked("grpc", &json!({"service": "test.Echo"}));
    policy["protocol"] = "h2c".into();
    put(node, "/v1/services/echo", &policy);
    worker(node, "py", "echo", address);
    let route = json!({"match": {"grpc_service": "test.Echo"}, "destinations": [{"service": "echo"}]});
    put(node, "/v1/routes/echo", &route);
    server
}

#[test]
fn whoever_fails_its_checks_gets_nothing_from_any_node_until_it_is_well() {
    let Some(interpreter) = tools::python() else { return };
    if !tools::has(&["nginx", "setpriv"]) {
        return;
    }
    let _shared = machine_shared();
    let cluster = Cluster::formed();
    let (node, folder) = (&cluster.nodes[0], tempfile::tempdir().expect("a folder"));
    let at = folder.path();
    let mut nginx = ["a", "b", "c", "d"].map(|name| Nginx::start(name, at, "", PROBED));
    let [well_a, well_b] = [&nginx[0], &nginx[1]].map(|nginx| nginx.files().join("well"));
    let well_py = at.join("well");
    for file in [&well_a, &well_b, &well_py] {
        fs::write(file, "").expect("written");
    }
    put(node, "/v1/services/web", &checked("http", &json!({"path": "/healthz"})));
    put(node, "/v1/services/raw", &checked("tcp", &json!(true)));
    for ((id, service), nginx) in [("a", "web"), ("b", "web"), ("c", "raw"), ("d", "raw")].iter().zip(&nginx)
    {
        worker(node, id, service, nginx.address);
    }
    let _server = echo(node, at, interpreter, &well_py);
    cluster.catch_up();
    all_answer(&cluster, "web", ["a", "b"]);
    all_answer(&cluster, "raw", ["c", "d"]);
    calls(&cluster, interpreter, "turns");

    // One answers that it is not well, one is gone, one says that it does not serve.
    fs::remove_file(&well_b).expect("it was there");
    nginx[3].kill();
    fs::remove_file(&well_py).expect("it was there");
    let unwell = [("web", "b"), ("raw", "d"), ("echo", "py")];
    unwell.into_iter().for_each(|one| becomes(&cluster, one, "ejected"));
    for node in cluster.running() {
        for (service, left) in [("web", "a"), ("raw", "c")] {
            let seen = answering(node, service);
            assert!(seen.iter().eq([left]), "{service} through {}: {seen:?}", node.name);
        }
    }
    // It would answer: nobody asks it.
    calls(&cluster, interpreter, "unavailable");

    fs::write(&well_b, "").expect("written");
    nginx[3].start_again();
    fs::write(&well_py, "").expect("written");
    unwell.into_iter().for_each(|one| becomes(&cluster, one, "live"));
    all_answer(&cluster, "web", ["a", "b"]);
    all_answer(&cluster, "raw", ["c", "d"]);
    calls(&cluster, interpreter, "turns");
}
