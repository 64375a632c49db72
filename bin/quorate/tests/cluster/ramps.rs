//! A new version that fails: its ramp is paused by what all nodes have counted together, and aborted by an operator.

use crate::support::{
    cluster::Cluster,
    eventually,
    http::Ask,
    machine_shared,
    node::{Node, Ran},
};
use serde_json::{Value, json};
use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    thread,
};

/// An address whose every answer has this status.
fn answering(status: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    thread::spawn(move || {
        for tcp in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || {
                let mut lines = BufReader::new(tcp.try_clone()?).lines();
                // Requests have no bodies here: each ends with an empty line.
                while let Some(line) = lines.next().transpose()? {
                    if line.is_empty() {
                        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
                        (&tcp).write_all(answer.as_bytes())?;
                    }
                }
                Ok::<_, std::io::Error>(())
            });
        }
    });
    format!("http://{address}")
}

fn status_of(node: &Node, path: &str) -> Value {
    let shown = node.get(path);
    if path.contains("routes") { shown["ramp_status"].clone() } else { shown["ramps"][0].clone() }
}

fn says(ran: &Ran, out: &str) {
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.out.contains(out) || ran.err.contains(out), "{} {}", ran.out, ran.err);
}

/// Requests by each node, until the ramp at `path` is paused there; the status then.
fn paused(cluster: &Cluster, path: &str, ask: &Ask) -> Value {
    eventually("the ramp is paused", || {
        for node in &cluster.nodes {
            let answer = ask.send(node.routing).expect("an answer");
            assert!(matches!(answer.status, 200 | 500), "{}", answer.text());
        }
        let status = status_of(&cluster.nodes[0], path);
        (status["status"] == "paused").then_some(status)
    })
}

#[test]
fn a_ramp_to_a_version_that_fails_is_paused_and_aborted() {
    let _shared = machine_shared();
    let cluster = Cluster::formed();
    let (old, new) = (answering("200 OK"), answering("500 Internal Server Error"));
    let ramp = json!({
        "steps": [{"after": "0s", "weights": [50, 50]}, {"after": "24h", "weights": [0, 100]}],
        // More than one node alone is likely to see first: they are added up.
        "on_errors": {"percent": 50, "min_requests": 30, "window": "1h"},
    });
    let n1 = &cluster.nodes[0];
    let destinations = json!([{"url": old, "weight": 1}, {"url": new, "weight": 0}]);
    let route = json!({"match": {"path_prefix": "/web"}, "destinations": destinations, "ramp": ramp});
    n1.ask(&Ask::json("PUT", "/v1/routes/web", &route)).ok();
    let targets = json!([{"target": old, "weight": 1}, {"target": new, "weight": 0}]);
    let sandbox = json!({"rules": [{"targets": targets, "ramp": ramp, "fallback": false}]});
    n1.ask(&Ask::json("PUT", "/v1/sandboxes/dev", &sandbox)).ok();
    cluster.catch_up();
    says(&cluster.nodes[1].operate(&["routes", "ramp", "web"]), "1 of 2");
    let explained = cluster.nodes[2].operate(&["explain", "GET", "http://h.example/web/x"]);
    says(&explained, "step 1 of 2 of its ramp, running");

    let web = Ask::get("/web/x");
    let dev = Ask::get("/x").header("X-Route-Key", "dev");
    for (path, ask) in [("/v1/routes/web", &web), ("/v1/sandboxes/dev", &dev)] {
        let status = paused(&cluster, path, ask);
        assert_eq!((&status["stopped_by"], &status["step"]), (&json!("errors"), &json!(1)), "{status}");
        let seen = &status["stopped_for"];
        assert_eq!(seen["destination"], 1, "{status}");
        assert_eq!(seen["failures"], seen["requests"], "it answers nothing else: {status}");
        assert!(seen["requests"].as_u64() >= Some(30), "{status}");
    }

    // Whatever the operator asks of any node, all go by it.
    says(&cluster.nodes[2].operate(&["routes", "ramp", "web", "--abort"]), "aborted the ramp of route web");
    let of_rule = cluster.nodes[1].operate(&["sandboxes", "ramp", "dev", "--rule", "0", "--abort"]);
    says(&of_rule, "aborted the ramp of rule 0 of sandbox dev");
    cluster.catch_up();
    for node in &cluster.nodes {
        for ask in [&web, &dev] {
            for _ in 0..20 {
                assert_eq!(ask.send(node.routing).expect("an answer").status, 200, "its weight is 0 again");
            }
        }
    }
    says(&cluster.nodes[0].operate(&["sandboxes", "ramp", "dev"]), "aborted");
    let shown = cluster.nodes[0].operate(&["routes", "get", "web", "--output", "json"]);
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), &shown.out).expect("written");
    let path = file.path().to_str().expect("a plain path");
    says(&cluster.nodes[0].operate(&["routes", "put", "web", "-f", path]), "it was so before");
}
