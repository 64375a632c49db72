//! Sandboxes between programs that others have written: a key in any form, in any protocol, leads on every node where
//! `/v1/explain` says, also while the nodes are without a leader.

use crate::{
    origins::{Nginx, Process, python},
    router::put,
    support::{
        cluster::Cluster,
        eventually, free_address,
        http::{Ask, Connection},
        machine_shared,
        node::Node,
    },
    tools,
};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

const SERVER: &str = include_str!("sandboxes_server.py");
const CLIENT: &str = include_str!("sandboxes_client.py");
/// One for nginx, one for grpcio, one for websockets.
const SERVICES: [&str; 3] = ["web", "calls", "chat"];
const VERSIONS: [&str; 3] = ["base", "v1", "v2"];
const PLAIN: &str = "dev-1";
/// Another one, if it is decoded where it stands as it is, or not decoded where it is encoded.
const ODD: &str = "pr/12%41";
const ODD_ENCODED: &str = "pr%2F12%2541";
/// Of no sandbox.
const UNKNOWN: &str = "nobody";

/// A request, and where it is meant to go.
struct Case {
    service: &'static str,
    path: String,
    headers: Map<String, Value>,
    key: Option<&'static str>,
    version: &'static str,
}

/// The headers that say a key, in each form that has one.
fn forms(key: &str) -> Vec<(&'static str, String)> {
    let encoded = if key == ODD { ODD_ENCODED } else { key };
    vec![
        ("X-Route-Key", key.to_owned()),
        ("X-Routing-Key", key.to_owned()),
        ("baggage", format!("user=7, route-key={encoded};since=1, z=%41")),
        ("baggage", format!("x-route-key={encoded}")),
        ("tracestate", format!("vendor=1,route-key={key}")),
        ("uberctx-route-key", encoded.to_owned()),
        ("uberctx-x-route-key", encoded.to_owned()),
        ("ot-baggage-route-key", key.to_owned()),
        ("ot-baggage-x-route-key", key.to_owned()),
    ]
}

/// In every protocol: each key in every form, an unknown one, and none.
fn cases(keys: &[(&'static str, &'static str)]) -> Vec<Case> {
    let mut cases = Vec::new();
    for (service, path) in SERVICES.into_iter().zip(["/web/x", "/test.Who/Who", "/chat/room"]) {
        let case = |key, version, header: Option<(&str, String)>| {
            // Metadata of gRPC are in lower case.
            let header = header.map(|(name, value)| (name.to_lowercase(), json!(value)));
            Case { service, path: path.to_owned(), headers: header.into_iter().collect(), key, version }
        };
        for (key, version) in keys.iter().copied().chain([(UNKNOWN, "base")]) {
            cases.extend(forms(key).into_iter().map(|form| case(Some(key), version, Some(form))));
            if service == "calls" {
                continue;
            }
            // In the query it is a key in a handshake only.
            let encoded = if key == ODD { ODD_ENCODED } else { key };
            let (key, version) = if service == "chat" { (Some(key), version) } else { (None, "base") };
            let path = format!("{path}?a=1&x-route-key={encoded}");
            cases.push(Case { path, ..case(key, version, None) });
        }
        cases.push(case(None, "base", None));
    }
    cases
}

/// What explain says: the worker that gets the request.
fn explained(node: &Node, case: &Case) -> String {
    let mut headers = case.headers.clone();
    let (method, more) = match case.service {
        "calls" => ("POST", json!({"content-type": "application/grpc", "te": "trailers"})),
        "chat" => (
            "GET",
            json!({"connection": "Upgrade", "upgrade": "websocket", "sec-websocket-version": "13",
                "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ=="}),
        ),
        _ => ("GET", json!({})),
    };
    headers.extend(more.as_object().expect("an object").clone());
    let url = format!("http://{}{}", node.routing, case.path);
    let body = json!({"method": method, "url": url, "headers": headers});
    let told = node.ask(&Ask::json("POST", "/v1/explain", &body)).ok().json();
    assert_eq!(told["key"]["key"], json!(case.key), "{body}: {told}");
    let sandbox = case.key.filter(|_| case.version != "base");
    assert_eq!(told["decision"]["sandbox"], json!(sandbox), "{body}: {told}");
    let all = told["decision"]["endpoints"].as_array().expect("a list");
    let mut serving = all.iter().filter(|endpoint| endpoint["serves"] == true);
    let (first, second) = (serving.next(), serving.next());
    let worker = first.filter(|_| second.is_none()).and_then(|endpoint| endpoint["worker"].as_str());
    worker.unwrap_or_else(|| panic!("one worker gets it: {body}: {told}")).to_owned()
}

/// Three nodes; of each service a base and two versions of it for sandboxes. All offer one service: its policy says that
/// requests which name no version go to the base.
struct Rig {
    cluster: Cluster,
    _nginx: [Nginx; 3],
    _server: Process,
    interpreter: &'static Path,
    folder: tempfile::TempDir,
}

impl Rig {
    /// All of it is told to one node.
    fn ready(interpreter: &'static Path) -> Self {
        let cluster = Cluster::formed();
        let folder = tempfile::tempdir().expect("a folder");
        let at = folder.path();
        let nginx = VERSIONS.map(|version| {
            // What it was told of the key.
            let server = "location / { return 200 \"$http_x_route_key\"; }";
            Nginx::start(&format!("web-{version}"), at, "", server)
        });
        let mut workers: Vec<_> =
            VERSIONS.iter().zip(&nginx).map(|(version, nginx)| ("web", *version, nginx.address)).collect();
        for service in ["calls", "chat"] {
            workers.extend(VERSIONS.map(|version| (service, version, free_address())));
        }
        let listens =
            workers[3..].iter().map(|(service, version, address)| format!("{service}-{version}={address}"));
        let listens: Vec<_> = listens.collect();
        let args: Vec<_> = listens.iter().map(String::as_str).collect();
        let server = python("servers", at, interpreter, SERVER, &args);
        eventually("the servers listen", || server.log().contains("listening 6").then_some(()));

        let node = &cluster.nodes[0];
        for (service, version, address) in workers {
            let offer = json!([{"name": service, "version": version}]);
            let worker = json!({"address": format!("http://{address}"), "services": offer, "ttl": "1h"});
            put(node, &format!("/v1/workers/{service}-{version}"), &worker);
        }
        for service in SERVICES {
            let protocol = if service == "calls" { "h2c" } else { "http1" };
            let policy = json!({"protocol": protocol, "default_version": "base"});
            put(node, &format!("/v1/services/{service}"), &policy);
        }
        let matches = [
            json!({"path_prefix": "/web"}),
            json!({"grpc_service": "test.Who"}),
            json!({"path_prefix": "/chat"}),
        ];
        for (service, matching) in SERVICES.iter().zip(matches) {
            let route = json!({"match": matching, "destinations": [{"service": service}]});
            put(node, &format!("/v1/routes/{service}"), &route);
        }
        Self { cluster, _nginx: nginx, _server: server, interpreter, folder }
    }

    /// All requests of a key go to this version, by what is told to one node.
    fn sandbox(&self, node: &Node, (key, version): (&str, &str)) {
        let encoded = if key == ODD { ODD_ENCODED } else { key };
        let rule = |service| json!({"service": service, "target": format!("{service}@{version}")});
        put(node, &format!("/v1/sandboxes/{encoded}"), &json!({"rules": SERVICES.map(rule)}));
        self.cluster.catch_up();
    }

    /// Clients, which are connected to all nodes.
    fn clients(&self, name: &str) -> Clients {
        let plan = self.folder.path().join(format!("{name}.json"));
        let nodes: Vec<_> = self.cluster.running().map(|node| node.routing.to_string()).collect();
        let mut args = vec![plan.to_str().expect("UTF-8")];
        args.extend(nodes.iter().map(String::as_str));
        let process = python(name, self.folder.path(), self.interpreter, CLIENT, &args);
        eventually("the client is connected", || process.log().contains("connected").then_some(()));
        let open = |node: &Node| {
            let mut connection = Connection::open(node.routing).expect("it listens");
            // One that never said anything would be closed sooner than one that rests.
            connection.exchange(&Ask::get("/web/x")).expect("it answers").ok();
            (node.name.clone(), connection)
        };
        Clients { process, http: self.cluster.running().map(open).collect(), plan }
    }

    /// Every case on every node that runs goes where it is meant to, as explain says there.
    fn goes_right(&self, keys: &[(&'static str, &'static str)], mut clients: Clients) {
        let cases = cases(keys);
        let all: Vec<_> =
            self.cluster.running().flat_map(|node| cases.iter().map(move |case| (node, case))).collect();
        let (http, others): (Vec<_>, Vec<_>) = all.into_iter().partition(|(_, case)| case.service == "web");
        clients.begin(&others);
        for (node, case) in http {
            let who = clients.nginx(node, case);
            went_right(node, case, &who);
        }
        for ((node, case), who) in others.iter().zip(clients.end(others.len())) {
            went_right(node, case, &who);
        }
    }
}

fn went_right(node: &Node, case: &Case, who: &str) {
    let Case { service, path, headers, version, .. } = case;
    let asked = format!("{path} with {headers:?} on {}", node.name);
    assert_eq!(who, format!("{service}-{version}"), "{asked}: it is meant to go elsewhere");
    assert_eq!(who, explained(node, case), "{asked}: explain says something else");
}

/// One of each protocol, with connections that last.
struct Clients {
    http: Vec<(String, Connection)>,
    process: Process,
    /// What the process shall ask.
    plan: PathBuf,
}

impl Clients {
    /// The process begins to ask.
    fn begin(&mut self, asked: &[(&Node, &Case)]) {
        let one = |(node, case): &(&Node, &Case)| json!({"node": node.routing, "service": case.service, "path": case.path, "headers": case.headers});
        std::fs::write(&self.plan, json!(asked.iter().map(one).collect::<Vec<_>>()).to_string())
            .expect("written");
        self.process.go_on();
    }

    /// Who has answered it, in the order in which it was to ask.
    fn end(mut self, count: usize) -> Vec<String> {
        let said = self.process.ended_well();
        assert!(said.contains("all well"), "{said}");
        let answers: Vec<_> = said.lines().filter_map(|line| line.strip_prefix("answer ")).collect();
        assert_eq!(answers.len(), count, "{said}");
        answers.into_iter().map(str::to_owned).collect()
    }

    /// Which nginx answers. It must have been told of the key.
    fn nginx(&mut self, node: &Node, case: &Case) -> String {
        let mut ask = Ask::get(&case.path);
        for (name, value) in &case.headers {
            ask = ask.header(name, value.as_str().expect("text"));
        }
        let (_, connection) = self.http.iter_mut().find(|(name, _)| *name == node.name).expect("it ran");
        let answer =
            connection.exchange(&ask).unwrap_or_else(|e| panic!("{} does not answer: {e}", node.name)).ok();
        assert_eq!(answer.text(), case.key.unwrap_or_default(), "{}: {:?}", case.path, case.headers);
        answer.header("x-origin").expect("nginx says who it is").to_owned()
    }
}

#[test]
fn a_key_in_any_form_leads_where_explain_says_on_every_node_and_through_a_leader_kill() {
    if !tools::has(&["nginx", "setpriv"]) {
        return;
    }
    let Some(python) = tools::python() else { return };
    let _shared = machine_shared();
    let mut rig = Rig::ready(python);
    let mut keys = [(PLAIN, "v1"), (ODD, "v2")];
    for key in keys {
        rig.sandbox(&rig.cluster.nodes[0], key);
    }
    rig.goes_right(&keys, rig.clients("three-nodes"));

    // At once: nobody leads the two that are left, and the clients' connections to them are as they were.
    let clients = rig.clients("after-the-kill");
    let leader = rig.cluster.leader();
    rig.cluster.nodes[leader].kill();
    rig.goes_right(&keys, clients);

    rig.cluster.leader();
    let follower = rig.cluster.followers()[0];
    keys[0].1 = "v2";
    rig.sandbox(&rig.cluster.nodes[follower], keys[0]);
    rig.goes_right(&keys, rig.clients("after-the-change"));
}
