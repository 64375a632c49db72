//! grpcio, server and client, with the gateway between them: a call through it is a call.

use crate::{
    origins::{Process, python},
    router::{Router, counted},
    support::{eventually, free_address, machine_shared, machine_to_itself},
    tools,
};
use serde_json::json;
use std::{net::SocketAddr, path::Path, time::Duration};

pub const SERVER: &str = include_str!("grpc_server.py");
pub const CLIENT: &str = include_str!("grpc_client.py");
/// Within which the origin hears of a cancelled call.
const HEARD: Duration = Duration::from_secs(1);

struct Calls {
    router: Router,
    server: Process,
    interpreter: &'static Path,
    folder: tempfile::TempDir,
}

impl Calls {
    /// A server that is a worker of `echo`, and a route that sends it the calls of `test.Echo`.
    fn ready(interpreter: &'static Path) -> Self {
        let router = Router::ready();
        let folder = tempfile::tempdir().expect("a folder");
        let address = free_address();
        let server = python("server", folder.path(), interpreter, SERVER, &[&address.to_string()]);
        eventually("the server listens", || server.log().contains("listening").then_some(()));
        router.policy("echo", &json!({"protocol": "h2c"}));
        router.worker("py", "echo", address);
        router.route(
            "echo",
            &json!({"match": {"grpc_service": "test.Echo"}, "destinations": [{"service": "echo"}]}),
        );
        Self { router, server, interpreter, folder }
    }

    /// A client that does `what` there.
    fn client(&self, address: SocketAddr, pem: &str, what: &str) -> Process {
        let folder = tempfile::Builder::new().tempdir_in(self.folder.path()).expect("a folder").keep();
        python("client", &folder, self.interpreter, CLIENT, &[&address.to_string(), pem, what])
    }

    /// The same to its end, which is a good one.
    fn does(&self, address: SocketAddr, pem: &str, what: &str) -> String {
        let said = self.client(address, pem, what).ended_well();
        assert!(said.contains("all well"), "{said}");
        said
    }
}

#[test]
fn calls_of_each_kind_pass_with_metadata_statuses_and_big_messages() {
    let Some(python) = tools::python() else { return };
    let _shared = machine_shared();
    let calls = Calls::ready(python);
    let pem = calls.router.folder().join("tls.pem");
    for (address, pem) in
        [(calls.router.node.routing, "-"), (calls.router.https, pem.to_str().expect("UTF-8"))]
    {
        calls.does(address, pem, "calls,turns,metadata,statuses");
    }
    assert_eq!(counted(&calls.router.node, "quorate_proxy_retries_total", ""), 0);
}

#[test]
fn a_call_ends_on_both_sides_when_its_time_is_over_or_it_is_cancelled() {
    let Some(python) = tools::python() else { return };
    // It measures time.
    let _alone = machine_to_itself();
    let calls = Calls::ready(python);
    calls.does(calls.router.node.routing, "-", "deadline");
    for call in ["deadline", "late"] {
        over(&calls.server, call);
    }
    let mut client = calls.client(calls.router.node.routing, "-", "cancel");
    for call in ["unary", "upload"] {
        let begun = format!("begun {call} ");
        eventually(&begun, || calls.server.log().contains(&begun).then_some(()));
    }
    client.go_on();
    let said = client.ended_well();
    let cancelled = time(&said, "cancelled ").expect("it says when");
    for call in ["unary", "stream", "upload", "both"] {
        let late = over(&calls.server, call) - cancelled;
        assert!(late < HEARD.as_secs_f64(), "{call}: the server hears of it after {late} s");
    }
}

#[test]
fn our_own_errors_are_statuses_of_grpc() {
    let Some(python) = tools::python() else { return };
    let _shared = machine_shared();
    let mut calls = Calls::ready(python);
    let routing = calls.router.node.routing;
    calls.does(routing, "-", "no_route");
    // The worker is registered, and gone.
    calls.server.kill();
    calls.does(routing, "-", "unavailable");
}

/// When the server heard that a call was over.
fn over(server: &Process, call: &str) -> f64 {
    eventually("the server hears that the call is over", || time(&server.log(), &format!("over {call} ")))
}

/// The time behind these words.
fn time(said: &str, words: &str) -> Option<f64> {
    said.lines().find_map(|line| line.strip_prefix(words)?.parse().ok())
}
