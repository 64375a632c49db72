//! Requests with routing keys: where they go, in whichever protocol and form they say it, what whoever gets them is told,
//! and what becomes of them where nobody is there.

#![expect(clippy::unwrap_used, reason = "a test that can not be set up has to stop")]

#[path = "sandboxes/failed_over.rs"]
mod failed_over;
#[path = "sandboxes/followed.rs"]
mod followed;
mod rig;

use h2::ext::Protocol;
use http::{HeaderName, Request};
use quorate_model::{Command, RoutingKey, SandboxRule, ServiceName, ServicePolicy, policy};
use quorate_routing::sandbox::key::KeyForms;
use quorate_rt::time::timeout;
use rig::{
    Answer, Client, PATIENCE, Rig, Worker, config, eventually,
    h2::{Call, Manner, serve},
    http2::{Http2, request},
    ok,
    route::{by, forward, put_route, to_service, to_url},
    sandbox::{adding, all_of, never, offer_version, on_5xx, put_sandbox, rule, told},
    service::{Dead, call, fatal, put, rig},
};
use std::sync::{Arc, Mutex};

const TRACE: &str = "Traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n";

fn check(answer: &Answer, status: u16, body: &str) {
    assert_eq!((answer.status, answer.body.as_str()), (status, body), "{}", answer.head);
}

async fn named(name: &'static str) -> Worker {
    Worker::answering(move |_| ok(name)).await
}

/// `base` answers under `/`, by a route.
async fn with_base() -> (Rig, Worker) {
    let (rig, base) = (rig().await, named("base").await);
    put_route(&rig, "base", by("/", forward(vec![to_url(&base.url(), 1)])));
    (rig, base)
}

fn keyed(method: &str, path: &str) -> String {
    call(method, path, "X-Route-Key: k1\r\n")
}

#[tokio::test]
async fn a_key_is_taken_in_each_form_and_given_on_in_all() {
    let ((rig, base), sandbox) = (with_base().await, named("sandbox").await);
    put_sandbox(&rig, "k1", vec![rule(&format!("{}/v2", sandbox.url()))]);
    let forms = [
        ("X-Route-Key: k1", all_of("k1")),
        ("x-routing-key: k1", all_of("k1")),
        ("Baggage: user=7,route-key=k1;ttl=3", {
            let mut told = all_of("k1");
            told[2] = "user=7,route-key=k1;ttl=3".into();
            told
        }),
        ("Baggage: x-route-key=k%31", {
            let mut told = all_of("k1");
            told[2] = "x-route-key=k%31,route-key=k1".into();
            told
        }),
        ("Tracestate: rojo=1,route-key=k1", all_of("k1")),
        ("Uberctx-Route-Key: k1", all_of("k1")),
        ("Uberctx-X-Route-Key: k1", all_of("k1")),
        ("Ot-Baggage-Route-Key: k1", all_of("k1")),
        ("Ot-Baggage-X-Route-Key: k1", all_of("k1")),
        // What a client wants dropped on the way is not what the next router is to see.
        ("X-Route-Key: k1\r\nConnection: x-route-key, baggage", all_of("k1")),
    ];
    for (line, expected) in &forms {
        let answer = rig.ask(&call("GET", "/a%20b?c=d&x-route-key=k9", &format!("{line}\r\n"))).await;
        check(&answer, 200, "sandbox");
        let heard = sandbox.last();
        assert_eq!(heard.line(), "GET /v2/a%20b?c=d&x-route-key=k9 HTTP/1.1");
        assert_eq!(told(&heard), *expected, "{line}");
    }
    assert_eq!(rig.metric("quorate_proxy_routing_keys_total{result=\"sandboxed\"}"), forms.len() as u64);
    // Without a key, or with one in a query that is no handshake's, all is as it was, and nobody is told anything.
    check(&rig.ask(&call("GET", "/x?x-route-key=k1", TRACE)).await, 200, "base");
    let heard = base.last();
    assert_eq!((told(&heard), heard.header("x-trace-id")), (vec![String::new(); 5], None));
}

#[tokio::test]
async fn whoever_gets_a_key_gets_the_trace_too() {
    let ((rig, base), sandbox) = (with_base().await, named("sandbox").await);
    put_sandbox(&rig, "k1", vec![rule(&sandbox.url())]);
    let lines = format!("X-Route-Key: k1\r\n{TRACE}Tracestate: rojo=1\r\nX-Span-ID: mine\r\n");
    check(&rig.ask(&call("GET", "/x", &lines)).await, 200, "sandbox");
    let heard = sandbox.last();
    let trace = ["tracestate", "x-trace-id", "x-span-id"].map(|name| heard.header(name));
    assert_eq!(trace, [Some("route-key=k1,rojo=1"), Some("4bf92f3577b34da6a3ce929d0e0e4736"), Some("mine")]);
    // A key that leads nowhere here may lead somewhere behind: it is given on as well.
    check(&rig.ask(&call("GET", "/x", "X-Routing-Key: k2\r\n")).await, 200, "base");
    assert_eq!(told(&base.last()), all_of("k2"));
    assert_eq!(rig.metric("quorate_proxy_routing_keys_total{result=\"unmatched\"}"), 1);
}

#[tokio::test]
async fn what_is_no_key_leads_nowhere_and_is_counted() {
    let ((rig, base), sandbox) = (with_base().await, named("sandbox").await);
    put_sandbox(&rig, "k1", vec![rule(&sandbox.url())]);
    let long = "k".repeat(257);
    check(&rig.ask(&call("GET", "/x", &format!("X-Route-Key: {long}\r\n"))).await, 200, "base");
    assert_eq!(base.last().header("x-route-key"), Some(&*long));
    let both = format!("X-Route-Key: {long}\r\nBaggage: route-key=k1\r\n");
    check(&rig.ask(&call("GET", "/x", &both)).await, 200, "sandbox");
    assert_eq!(sandbox.last().header("x-route-key"), Some(&*long), "what came stays");
    assert_eq!(sandbox.last().header("x-routing-key"), Some("k1"));
    assert_eq!(rig.metric("quorate_proxy_routing_keys_total{result=\"invalid\"}"), 2);
}

#[tokio::test]
async fn a_node_can_be_told_of_another_header() {
    let sandbox = named("sandbox").await;
    let keys = KeyForms::new([HeaderName::from_static("x-env")]);
    let rig = Rig::start(quorate_proxy::Config { key_forms: Arc::new(keys), ..config() }, Some(12)).await;
    put_sandbox(&rig, "k1", vec![rule(&sandbox.url())]);
    check(&rig.ask(&call("GET", "/x", "X-Env: k1\r\n")).await, 200, "sandbox");
    assert_eq!(sandbox.last().header("x-route-key"), Some("k1"));
    assert_eq!(rig.ask(&keyed("GET", "/x")).await.status, 400, "nobody told it of this one");
}

#[tokio::test]
async fn rules_are_asked_in_order_and_their_headers_override() {
    let ((rig, base), one, two) = (with_base().await, named("one").await, named("two").await);
    let api = adding("x-environment", "sandbox", rule(&one.url()));
    let json =
        SandboxRule { headers: vec![("content-type".into(), "application/json".into())], ..rule(&two.url()) };
    put_sandbox(&rig, "k1", vec![SandboxRule { path_prefixes: vec!["/api/v1".into()], ..api }, json]);
    let ask = async |path: &str, more: &str| {
        rig.ask(&call("GET", path, &format!("X-Route-Key: k1\r\nX-Environment: prod\r\n{more}"))).await
    };
    check(&ask("/api/v1/x", "Content-Type: application/json\r\n").await, 200, "one");
    assert_eq!(one.last().header("x-environment"), Some("sandbox"));
    check(&ask("/api/v2", "Content-Type: application/json\r\n").await, 200, "two");
    assert_eq!(two.last().header("x-environment"), Some("prod"));
    check(&ask("/api/v2", "Content-Type: text/plain\r\n").await, 200, "base");
    assert_eq!(base.last().header("x-environment"), Some("prod"));
    // Away, and all is as it was.
    let key = RoutingKey::parse("k1").unwrap();
    rig.apply(Command::DeleteSandbox { key, if_index: None });
    check(&ask("/api/v1/x", "").await, 200, "base");
}

/// One key for two services, whose versions are registered beside the ones that everybody gets.
#[tokio::test]
async fn a_version_of_a_service_gets_the_requests_of_its_key_only() {
    let rig = rig().await;
    let [old, new, other] = [named("old").await, named("new").await, named("other").await];
    offer_version(&rig, "w1", &old.url(), ("notes", "1"));
    offer_version(&rig, "w2", &new.url(), ("notes", "2"));
    put_route(&rig, "notes", by("/notes", forward(vec![to_service("notes")])));
    put_route(&rig, "other", by("/other", forward(vec![to_url(&other.url(), 1)])));
    let of_notes = SandboxRule { service: ServiceName::parse("notes").ok(), ..rule("notes@2") };
    put_sandbox(&rig, "k1", vec![of_notes]);
    for _ in 0..8 {
        check(&rig.ask(&keyed("GET", "/notes/x")).await, 200, "new");
    }
    check(&rig.ask(&keyed("GET", "/other/x")).await, 200, "other");
    // It registers anew as another version: nobody is there, and the base is.
    offer_version(&rig, "w2", &new.url(), ("notes", "3"));
    let fallen = rig.ask(&keyed("GET", "/notes/x")).await;
    assert_eq!(fallen.status, 200);
    assert_eq!(rig.metric("quorate_proxy_routing_keys_total{result=\"missing\"}"), 1);
    put_sandbox(&rig, "k1", vec![rule("notes@3")]);
    check(&rig.ask(&keyed("GET", "/other/x")).await, 200, "new");
}

#[tokio::test]
async fn another_worker_of_the_version_follows_one_that_fails() {
    let rig = rig().await;
    let (dead, alive, old) = (Dead::new(), named("alive").await, named("old").await);
    offer_version(&rig, "w1", &dead.url, ("s", "2"));
    offer_version(&rig, "w2", &alive.url(), ("s", "2"));
    offer_version(&rig, "w3", &old.url(), ("s", "1"));
    put_sandbox(&rig, "k1", vec![rule("s@2")]);
    for _ in 0..8 {
        check(&rig.ask(&keyed("GET", "/x")).await, 200, "alive");
    }
    assert!(old.heard().is_empty());
}

#[tokio::test]
async fn where_nobody_is_there_the_base_gets_it_or_the_client_is_told() {
    let (rig, base) = with_base().await;
    let dead = Dead::new();
    offer_version(&rig, "w1", &dead.url, ("s", "1"));
    rig.offer("w2", &dead.url, &["out"]);
    rig.duty("w2", quorate_model::Duty::Draining);
    for target in ["gone", "gone@1", "s@2", "out", "out@1"] {
        put_sandbox(&rig, "k1", vec![adding("x-environment", "sandbox", rule(target))]);
        check(&rig.ask(&keyed("GET", "/x")).await, 200, "base");
        assert_eq!(base.last().header("x-environment"), None, "no headers of a rule that does not decide");
        put_sandbox(&rig, "k1", vec![never(rule(target))]);
        check(&rig.ask(&keyed("GET", "/x")).await, 502, "Error proxying request");
    }
    // It is there, and does not answer: the base is for later, unless the rule says so.
    for target in [dead.url.as_str(), "s", "s@1"] {
        put_sandbox(&rig, "k1", vec![rule(target)]);
        let answer = rig.ask(&keyed("GET", "/x")).await;
        check(&answer, 502, "Error proxying request");
        assert_eq!(answer.header("Content-Type"), Some("text/plain; charset=utf-8"));
    }
}

#[tokio::test]
async fn calls_are_told_that_nobody_is_there() {
    let (rig, dead) = (rig().await, Dead::new());
    put_sandbox(&rig, "k1", vec![rule(&dead.url)]);
    let mut client = Http2::connect(rig.addr).await;
    let call =
        request("POST", "/pkg.S/M").header("content-type", "application/grpc").header("x-route-key", "k1");
    let answer = client.ask(call.body(()).unwrap()).await;
    assert_eq!((answer.status.as_u16(), answer.header("grpc-status")), (200, Some("14")));
    assert_eq!(answer.header("grpc-message"), Some("Error proxying request"));
}

fn broken() -> String {
    "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 3\r\n\r\nbad".into()
}

#[tokio::test]
async fn after_a_5xx_the_base_gets_what_may_be_repeated() {
    let (rig, base) = with_base().await;
    let bad = Worker::answering(|_| broken()).await;
    put_sandbox(
        &rig,
        "k1",
        vec![adding("x-environment", "sandbox", on_5xx(rule(&format!("{}/v2", bad.url()))))],
    );
    let with_body = put("/x?a=b", "hello").replace("Host:", "X-Route-Key: k1\r\nHost:");
    for request in [keyed("GET", "/x?a=b"), with_body] {
        check(&rig.ask(&request).await, 200, "base");
        let (tried, heard) = (bad.last(), base.last());
        assert!(tried.line().contains(" /v2/x?a=b ") && heard.line().contains(" /x?a=b "), "{}", heard.head);
        assert_eq!(tried.body, heard.body);
        assert_eq!((tried.header("x-environment"), heard.header("x-environment")), (Some("sandbox"), None));
        assert_eq!((told(&heard), heard.header("x-quorate-hops")), (all_of("k1"), Some("1")));
    }
    assert_eq!(rig.metric("quorate_proxy_routing_keys_total{result=\"failed_over\"}"), 2);
    // What may have had an effect is not done twice.
    check(&rig.ask(&keyed("POST", "/x")).await, 503, "bad");
    // Without the wish, the sandbox's answer is the answer.
    put_sandbox(&rig, "k1", vec![rule(&bad.url())]);
    check(&rig.ask(&keyed("GET", "/x")).await, 503, "bad");
    assert_eq!(base.heard().len(), 2);
}

#[tokio::test]
async fn a_sandbox_that_dies_is_no_better_than_one_that_fails() {
    let (rig, _base) = with_base().await;
    let (dead, fatal) = (Dead::new(), fatal().await);
    for target in [dead.url.clone(), fatal.url()] {
        put_sandbox(&rig, "k1", vec![on_5xx(rule(&target))]);
        check(&rig.ask(&keyed("GET", "/x")).await, 200, "base");
    }
    // What was never sent may be sent, whatever it does.
    put_sandbox(&rig, "k1", vec![on_5xx(rule(&dead.url))]);
    check(&rig.ask(&keyed("POST", "/x")).await, 200, "base");
    put_sandbox(&rig, "k1", vec![on_5xx(rule(&fatal.url()))]);
    check(&rig.ask(&keyed("POST", "/x")).await, 502, "Error proxying request");
}

/// The base may be of any kind: a service by its path, a workspace's owner. And it may have nobody either.
#[tokio::test]
async fn the_base_is_whatever_would_have_been() {
    let owner = named("owner").await;
    let (rig, bad, notes) =
        (Rig::with(&owner).await, Worker::answering(|_| broken()).await, named("notes").await);
    rig.offer("w2", &notes.url(), &["notes"]);
    put_sandbox(&rig, "k1", vec![on_5xx(rule(&bad.url()))]);
    check(&rig.ask(&keyed("GET", "/api/service/notes/x?a=b")).await, 200, "notes");
    assert_eq!(notes.last().line(), "GET /x?a=b HTTP/1.1");
    check(&rig.ask(&keyed("GET", "/workspaces/w1/x")).await, 200, "owner");
    assert_eq!(owner.last().line(), "GET /workspaces/w1/x HTTP/1.1");
    check(&rig.ask(&keyed("GET", "/x")).await, 503, "bad");
    check(&rig.ask(&keyed("GET", "/api/service/none/x")).await, 503, "bad");
}

/// What a policy repeats is repeated in the sandbox first.
#[tokio::test]
async fn a_services_own_retries_come_first() {
    let (rig, _base) = with_base().await;
    let bad = Worker::answering(|_| broken()).await;
    for id in ["w1", "w2"] {
        offer_version(&rig, id, &bad.url(), ("s", "2"));
    }
    let retries = policy::Retries { max: 3, on: vec![503], ..policy::Retries::default() };
    rig.policy("s", ServicePolicy { retries: Some(retries), ..ServicePolicy::default() });
    put_sandbox(&rig, "k1", vec![on_5xx(rule("s@2"))]);
    check(&rig.ask(&keyed("GET", "/x")).await, 200, "base");
    assert_eq!(bad.heard().len(), 2);
}

/// Calls over HTTP/2, on a shared connection to a worker of its own version.
#[tokio::test]
async fn calls_go_to_their_sandbox_over_http2() {
    let (rig, heard) = (rig().await, Arc::new(Mutex::new(Vec::new())));
    let record = heard.clone();
    let worker = Worker::scripted(move |tcp, nth| {
        let record = record.clone();
        async move {
            let handle = move |mut call: Call| {
                record.lock().unwrap().push(call.request.headers().clone());
                async move {
                    call.body().await;
                    call.answer("sandbox");
                }
            };
            serve(tcp, nth, Manner::default(), handle).await;
        }
    })
    .await;
    offer_version(&rig, "w1", &worker.url(), ("pkg", "2"));
    let protocol = Some(policy::Protocol::H2c);
    rig.policy("pkg", ServicePolicy { protocol, ..ServicePolicy::default() });
    put_sandbox(&rig, "k1", vec![rule("pkg@2")]);
    let mut client = Http2::connect(rig.addr).await;
    for (name, value) in [("x-route-key", "k1"), ("baggage", "route-key=k1"), ("tracestate", "route-key=k1")]
    {
        let call = request("POST", "/pkg.S/M").header("content-type", "application/grpc").header(name, value);
        let answer = client.ask(call.body(()).unwrap()).await;
        assert_eq!((answer.status.as_u16(), answer.body.as_str()), (200, "sandbox"), "{name}");
        let headers = heard.lock().unwrap().pop().unwrap();
        let told = rig::sandbox::FORMS.map(|name| headers[name].to_str().unwrap().to_owned());
        assert_eq!(told.to_vec(), all_of("k1"), "{name}");
    }
}

/// Switches protocols and says who it is.
async fn socket() -> (Worker, Arc<Mutex<String>>) {
    let heard = Arc::new(Mutex::new(String::new()));
    let record = heard.clone();
    let worker = Worker::scripted(move |tcp, _| {
        let record = record.clone();
        async move {
            let mut client = Client::of(tcp);
            let Some(head) = client.head().await else { return };
            let yes = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n";
            let yes = format!("{yes}Sec-WebSocket-Accept: {}\r\n\r\nsandbox", rig::accept(&head));
            *record.lock().unwrap() = head;
            let _ = client.send(yes.as_bytes()).await;
            // Until the client has enough.
            while client.chunk().await.is_some() {}
        }
    })
    .await;
    (worker, heard)
}

/// Browsers can't add headers to a handshake: there the key is in the query.
#[tokio::test]
async fn sockets_go_to_their_sandbox_in_both_forms() {
    let ((rig, _base), (worker, heard)) = (with_base().await, socket().await);
    put_sandbox(&rig, "k1", vec![rule(&worker.url())]);
    let lines = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                 Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    for (path, more) in [("/chat?a=b&x-route-key=k1", ""), ("/chat", "X-Route-Key: k1\r\n")] {
        let mut client = rig.client().await;
        let answer = client.ask(&call("GET", path, &format!("{lines}{more}"))).await;
        assert_eq!(answer.status, 101, "{}", answer.head);
        assert_eq!(timeout(PATIENCE, client.exactly(7)).await.unwrap().unwrap(), b"sandbox");
        let head = heard.lock().unwrap().clone();
        assert!(head.starts_with(&format!("GET {path} HTTP/1.1")), "{head}");
        assert!(head.to_ascii_lowercase().contains("\r\nx-route-key: k1"), "{head}");
    }
    let mut client = Http2::connect(rig.addr).await;
    eventually("it is offered", || client.send.is_extended_connect_protocol_enabled()).await;
    let handshake = Request::connect("http://r.example/chat?x-route-key=k1")
        .header("sec-websocket-version", "13")
        .extension(Protocol::from_static("websocket"))
        .body(())
        .unwrap();
    let (answer, _send) = client.send.send_request(handshake, false).unwrap();
    let mut answer = timeout(PATIENCE, answer).await.unwrap().unwrap();
    assert_eq!(answer.status(), 200);
    let first = timeout(PATIENCE, answer.body_mut().data()).await.unwrap().unwrap().unwrap();
    assert_eq!(first, "sandbox");
    assert!(heard.lock().unwrap().to_ascii_lowercase().contains("\r\nx-route-key: k1"));
}

#[tokio::test]
async fn a_service_without_a_route_has_sandboxes_too() {
    let rig = rig().await;
    let [one, two] = [named("one").await, named("two").await];
    offer_version(&rig, "w1", &one.url(), ("s", "1"));
    offer_version(&rig, "w2", &two.url(), ("s", "2"));
    put_route(&rig, "r", by("/", forward(vec![to_service("s")])));
    put_sandbox(&rig, "k1", vec![rule("s@1")]);
    put_sandbox(&rig, "k2", vec![rule("s@2")]);
    for _ in 0..4 {
        check(&rig.ask(&keyed("GET", "/x")).await, 200, "one");
        check(&rig.ask(&call("GET", "/x", "X-Route-Key: k2\r\n")).await, 200, "two");
    }
}
