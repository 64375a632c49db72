//! What a node answers by itself, and what `explain` says of it: one table, asked both ways.

#![expect(clippy::unwrap_used, reason = "fixtures: a test that can not be set up has to stop")]

use super::*;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use quorate_model::{
    Duty, KeyspaceName, LeaseEvent,
    route::{Action, Cors, Destination, OriginMatch, PathMatch, PathRewrite, Redirect, Target},
};
use quorate_routing::{RequestHead, explain::explain, sandbox::key::KeyForms};
use quorate_state::Loads;

/// What `explain` says of a request as it is written on the wire: the action, and the status of an answer of our own.
fn told(rig: &Rig, request: &str) -> (&'static str, Option<u16>, String) {
    let mut line = request.lines().next().unwrap().split(' ');
    let (method, target) = (line.next().unwrap().parse::<Method>().unwrap(), line.next().unwrap());
    let target: http::Uri = target.parse().unwrap();
    let mut headers = HeaderMap::new();
    for (name, value) in rig::fields(request) {
        let value = HeaderValue::from_str(value).unwrap();
        headers.append(name.parse::<HeaderName>().unwrap(), value);
    }
    let host = headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or_default().to_owned();
    let head = RequestHead {
        query: target.query().unwrap_or_default(),
        host: &host,
        source: "127.0.0.1",
        ..RequestHead::of(&method, target.path(), &headers)
    };
    let told = explain(&rig.view(), &head, (&Loads::default(), &KeyForms::default())).result;
    (told.action, told.status, told.why)
}

/// A worker of its own for each way that it can be away.
async fn scene() -> (Rig, Worker) {
    let worker = Worker::ok().await;
    let rig = rig().await;
    // 0 is a live worker's, 1 a drained one's, 2 a lost one's, the others nobody's.
    for (nth, id) in (0..3).zip(["w0", "w1", "w2"]) {
        rig.register(id, &worker.url(), nth..nth + 1);
    }
    rig.duty("w1", Duty::Draining);
    rig.lease("w2", LeaseEvent::Expired);
    for (id, service) in [("s1", "live"), ("s2", "drained"), ("s3", "lost")] {
        rig.offer(id, &worker.url(), &[service]);
    }
    rig.duty("s2", Duty::Draining);
    rig.lease("s3", LeaseEvent::Expired);
    for service in ["live", "drained", "lost", "nobodys"] {
        put_route(&rig, service, by(&format!("/{service}"), forward(vec![to_service(service)])));
    }
    let keyspace = |name: &str| {
        let target = Target::Keyspace(KeyspaceName::parse(name).unwrap());
        forward(vec![Destination { target, weight: 1 }])
    };
    put_route(&rig, "default", by("/default", keyspace("default")));
    put_route(&rig, "unknown", by("/unknown", keyspace("unknown")));
    let cors = Cors { allowed_origins: vec![OriginMatch::Any], ..Cors::default() };
    put_route(
        &rig,
        "cors",
        by("/cors", Forwarding { cors: Some(cors), ..forward(vec![to_service("live")]) }),
    );
    let away = Redirect {
        status: 308,
        scheme: None,
        host: None,
        port: None,
        path: PathRewrite::full("f", "/away").ok(),
    };
    let mut parts = by("/away", forward(vec![]));
    parts.action = Action::Redirect(away);
    put_route(&rig, "away", parts);
    let mut one = by("/", forward(vec![to_service("live")]));
    one.matches.path = PathMatch::exact("/away/b").unwrap();
    put_route(&rig, "behind", one);
    (rig, worker)
}

#[tokio::test]
async fn what_a_node_answers_by_itself_is_what_explain_says() {
    let (rig, _worker) = scene().await;
    let mut statuses = std::collections::BTreeSet::new();
    for (line, headers) in requests() {
        let host = if headers.contains("Host:") { "" } else { "Host: r.example\r\n" };
        let request = format!("{line} HTTP/1.1\r\n{host}{headers}\r\n");
        let (action, status, why) = told(&rig, &request);
        let answer = rig.ask(&request).await;
        // To a call a refusal is a success of HTTP; its status is told in the trailers, here in the head.
        let is_refused_call = answer.header("grpc-status").is_some_and(|code| code != "0");
        match action {
            "forward" => assert_eq!((answer.status, status), (200, None), "{line}: {why}"),
            _ if is_refused_call => assert!(status.is_some_and(|status| status >= 400), "{line}: {why}"),
            _ => assert_eq!(Some(answer.status), status, "{line} {headers}: {why}\n{}", answer.head),
        }
        statuses.insert(status);
    }
    let all = [None, Some(200), Some(204), Some(308), Some(400), Some(405), Some(503), Some(508)];
    assert_eq!(statuses, all.into(), "each kind of answer is among them");
}

/// Request lines and headers.
fn requests() -> Vec<(String, String)> {
    let mut all = Vec::new();
    let mut add = |line: &str, headers: &str| all.push((line.to_owned(), headers.to_owned()));
    for path in [
        "/live/x",
        "/drained/x",
        "/lost/x",
        "/nobodys/x",
        "/default/x",
        "/unknown/x",
        "/away",
        "/away/b",
        "/away/c",
    ] {
        add(&format!("GET {path}"), "");
        add(&format!("OPTIONS {path}"), "");
    }
    for service in ["live/x", "live", "drained/x", "lost/x", "nobodys/x", "", "%2F/x", "live/../x"] {
        add(&format!("GET /api/service/{service}"), "");
        add(&format!("OPTIONS /api/service/{service}"), "");
    }
    // Some in each partition.
    for nth in 0..40 {
        add("GET /x", &format!("X-Workspace-ID: w{nth}\r\n"));
        add("POST /default/x", &format!("X-Workspace-ID: w{nth}\r\nContent-Length: 0\r\n"));
        add("GET /unknown/x", &format!("X-Workspace-ID: w{nth}\r\n"));
    }
    for method in ["TRACE", "CONNECT"] {
        add(&format!("{method} /live/x"), "");
    }
    let preflight = "Origin: https://a.example\r\nAccess-Control-Request-Method: GET\r\n";
    add("OPTIONS /cors/x", preflight);
    add("OPTIONS /cors/x", "");
    add("OPTIONS *", "");
    add("GET *", "");
    add("GET /", "");
    add("GET /live/../lost", "");
    add("GET /live//x", "");
    add("GET /live/x;a=b", "");
    add("GET /live%2F..%2Flost", "");
    add("GET /live/x", "X-Quorate-Hops: 8\r\n");
    add("GET /live/x", "X-Quorate-Hops: 7\r\n");
    add("GET /live/x", "Host: a b\r\n");
    add("GET /live/x", "Host: a\r\nHost: b\r\n");
    add("GET /live/x", "Host: \r\n");
    add("GET /live/x", "Content-Type: application/grpc\r\ngrpc-timeout: soon\r\n");
    add("GET /lost/x", "Content-Type: application/grpc\r\ngrpc-timeout: 5S\r\n");
    all
}
