//! Where requests go that nothing else is for, and what one node was told besides what the cluster knows.

#![expect(clippy::unwrap_used, reason = "a test that can not be set up has to stop")]

mod rig;

use http::{HeaderMap, HeaderValue, Request, Response};
use quorate_model::{Command, RoutingKey, SandboxRule};
use quorate_routing::local::{Mode, Rules};
use rig::{
    Answer, Client, Rig, Worker, config,
    h2::{Call, Manner, serve},
    http2::{Http2, Whole},
    local::rules,
    ok,
    route::{by, forward, put_route, to_url},
    sandbox::{adding, put_sandbox, rule, told},
    service::{Dead, call, rig},
};

async fn named(name: &'static str) -> Worker {
    Worker::answering(move |_| ok(name)).await
}

fn check(answer: &Answer, status: u16, body: &str) {
    assert_eq!((answer.status, answer.body.as_str()), (status, body), "{}", answer.head);
}

fn plain(path: &str) -> String {
    call("GET", path, "")
}

fn keyed(path: &str, key: &str) -> String {
    call("GET", path, &format!("X-Route-Key: {key}\r\n"))
}

fn api(target: &str) -> SandboxRule {
    SandboxRule { path_prefixes: vec!["/api".into()], ..adding("x-environment", "sandbox", rule(target)) }
}

#[tokio::test]
async fn no_key_an_unknown_key_and_no_matching_rule_lead_to_the_default_target() {
    let (rig, base, sandbox) = (rig().await, named("base").await, named("sandbox").await);
    put_sandbox(&rig, "k1", vec![api(&sandbox.url())]);
    check(&rig.ask(&keyed("/api/x", "k1")).await, 200, "sandbox");
    assert_eq!(rig.ask(&plain("/x")).await.status, 400, "there is none yet");
    rig.with_default(&base.addr.to_string());
    for request in [plain("/api/x?a=b"), keyed("/api/x?a=b", "k2"), keyed("/x?a=b", "k1")] {
        check(&rig.ask(&request).await, 200, "base");
        assert_eq!(base.last().header("x-environment"), None, "{request}");
    }
    check(&rig.ask(&keyed("/api/x", "k1")).await, 200, "sandbox");
    // A key that leads nowhere here may lead somewhere behind.
    assert!(told(&base.last()).iter().all(|form| form.contains("k1")), "{}", base.last().head);
    assert_eq!(rig.metric("proxy_requests_total{path=\"{default}\",status_code=\"200\"}"), 3);
    assert_eq!(rig.metric("proxy_requests_total{path=\"{sandbox}\",status_code=\"200\"}"), 2);
    assert_eq!(rig.metric("proxy_requests_total{path=\"{other}\",status_code=\"400\"}"), 1);
    assert_eq!(rig.metric("proxy_request_duration_seconds_count{path=\"{default}\"}"), 3);
    assert_eq!(rig.metric("proxy_routing_errors_total{error_type=\"no_workspace\"}"), 1);
}

/// Scenario: `GET /api/x?a=b` through the original. Cause: it asked for `target+r.URL.Path`. The query was lost.
#[tokio::test]
async fn the_query_is_kept_on_the_way_to_the_default_target() {
    let (rig, base, sandbox) = (rig().await, named("base").await, named("sandbox").await);
    rig.told_here(Mode::Gateway, Some(&base.url()), &rules(&[("k1", vec![api(&sandbox.url())])]));
    check(&rig.ask(&plain("/api/x%20y?a=b%26c&d")).await, 200, "base");
    assert_eq!(base.last().line(), "GET /api/x%20y?a=b%26c&d HTTP/1.1");
    check(&rig.ask(&keyed("/api/x%20y?a=b%26c&d", "k1")).await, 200, "sandbox");
    assert_eq!(sandbox.last().line(), "GET /api/x%20y?a=b%26c&d HTTP/1.1");
    rig.with_default(&format!("{}/v1/", base.url()));
    check(&rig.ask(&plain("/x?a=b")).await, 200, "base");
    assert_eq!(base.last().line(), "GET /v1/x?a=b HTTP/1.1");
    // Nothing leads out of what was put before the path.
    assert_eq!(rig.ask(&plain("/../x")).await.status, 400);
}

#[tokio::test]
async fn in_a_gateway_everything_that_the_cluster_knows_comes_first() {
    let (rig, base) = (rig().await, named("base").await);
    let (routed, owner, offering) = (named("route").await, named("owner").await, named("service").await);
    rig.with_default(&base.url());
    put_route(&rig, "r", by("/r", forward(vec![to_url(&routed.url(), 1)])));
    rig.register("w1", &owner.url(), 0..12);
    rig.offer("w2", &offering.url(), &["s"]);
    for (path, body) in
        [("/r/x", "route"), ("/v1/workspaces/w1/x", "owner"), ("/api/service/s/x", "service"), ("/x", "base")]
    {
        check(&rig.ask(&plain(path)).await, 200, body);
    }
    assert_eq!(rig.ask(&plain("/api/service/none/x")).await.status, 503, "a service is named");
    // What browsers ask first is for the application to answer, where the request itself is.
    check(&rig.ask(&call("OPTIONS", "/x", "")).await, 200, "base");
    assert_eq!(rig.ask(&call("OPTIONS", "/v1/workspaces/w1/x", "")).await.status, 204);
    assert_eq!(rig.ask(&call("OPTIONS", "/x", "X-Workspace-ID: w1\r\n")).await.status, 204);
    for (template, count) in
        [("{route}", 1), ("/workspaces/{workspace}", 1), ("/api/service/{service}", 1), ("{default}", 2)]
    {
        assert_eq!(
            rig.metric(&format!("proxy_requests_total{{path=\"{template}\",status_code=\"200\"}}")),
            count
        );
    }
}

#[tokio::test]
async fn in_front_of_a_sidecars_application_stand_only_the_rules_of_keys() {
    let (rig, app, other) = (rig().await, named("app").await, named("other").await);
    let (routed, offering) = (named("route").await, named("service").await);
    put_route(&rig, "r", by("/r", forward(vec![to_url(&routed.url(), 1)])));
    rig.offer("w1", &offering.url(), &["s"]);
    rig.told_here(Mode::Sidecar, Some(&app.addr.to_string()), &rules(&[("k1", vec![api(&other.url())])]));
    for path in ["/r/x", "/v1/workspaces/w1/x", "/api/service/s/x", "/x"] {
        check(&rig.ask(&plain(path)).await, 200, "app");
        assert_eq!(app.last().line(), format!("GET {path} HTTP/1.1"), "as it came");
    }
    check(&rig.ask(&call("OPTIONS", "/r/x", "")).await, 200, "app");
    check(&rig.ask(&keyed("/api/x", "k1")).await, 200, "other");
    check(&rig.ask(&keyed("/x", "k1")).await, 200, "app");
    assert!(told(&app.last()).iter().all(|form| form.contains("k1")), "{}", app.last().head);
}

/// What the sandbox proxy says. (Which failure is told how, 500 included, is a table beside the code.)
#[tokio::test]
async fn a_default_target_that_fails_is_told_as_the_original_tells_it() {
    let rig = rig().await;
    let dead = Dead::new();
    rig.with_default(&dead.url);
    check(&rig.ask(&plain("/x")).await, 502, "Error proxying request");
    rig.with_default("upload");
    check(&rig.ask(&plain("/x")).await, 502, "Error proxying request");
    assert_eq!(rig.metric("proxy_routing_errors_total{error_type=\"worker_unavailable\"}"), 1);
    assert_eq!(rig.metric("proxy_routing_errors_total{error_type=\"no_worker\"}"), 1);
}

/// A service by its name, or one version of it, as everywhere else.
#[tokio::test]
async fn a_default_target_may_be_a_service() {
    let (rig, worker) = (rig().await, named("worker").await);
    rig.with_default("upload");
    rig.offer("w1", &worker.url(), &["upload"]);
    check(&rig.ask(&plain("/x?y")).await, 200, "worker");
    assert_eq!(worker.last().line(), "GET /x?y HTTP/1.1");
    rig.with_default("upload@1");
    check(&rig.ask(&plain("/x")).await, 200, "worker");
    rig.with_default("upload@2");
    assert_eq!(rig.ask(&plain("/x")).await.status, 502);
}

#[tokio::test]
async fn a_sandbox_of_the_cluster_stands_before_this_nodes_rules() {
    let (rig, base) = (rig().await, named("base").await);
    let (here, cluster) = (named("here").await, named("cluster").await);
    rig.told_here(Mode::Gateway, Some(&base.url()), &rules(&[("k1", vec![rule(&here.url())])]));
    check(&rig.ask(&keyed("/x", "k1")).await, 200, "here");
    put_sandbox(&rig, "k1", vec![api(&cluster.url())]);
    check(&rig.ask(&keyed("/api", "k1")).await, 200, "cluster");
    check(&rig.ask(&keyed("/x", "k1")).await, 200, "base");
    rig.apply(Command::DeleteSandbox { key: RoutingKey::parse("k1").unwrap(), if_index: None });
    check(&rig.ask(&keyed("/x", "k1")).await, 200, "here");
    // As the original removes rules: all of a key.
    rig.with_default(&base.url());
    check(&rig.ask(&keyed("/x", "k1")).await, 200, "base");
}

/// Answers at once with the head and a first piece, and with the rest once it is let go.
async fn slow(name: &'static str) -> (Worker, tokio::sync::watch::Sender<bool>) {
    let (go, going) = tokio::sync::watch::channel(false);
    let worker = Worker::scripted(move |tcp, _| {
        let mut going = going.clone();
        async move {
            let mut client = Client::of(tcp);
            client.head().await;
            let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n";
            client.send(head.as_bytes()).await.unwrap();
            let _ = going.wait_for(|go| *go).await;
            let rest = format!("{:x}\r\n{name}\r\n0\r\n\r\n", name.len());
            let _ = client.send(rest.as_bytes()).await;
        }
    })
    .await;
    (worker, go)
}

#[tokio::test]
async fn changed_rules_drop_no_stream_of_others_nor_their_own() {
    let (rig, base, fresh) = (rig().await, named("base").await, named("fresh").await);
    let ((changed, go), (kept, go_on)) = (slow("changed").await, slow("kept").await);
    let of = |first: &str| rules(&[("k1", vec![rule(first)]), ("k2", vec![rule(&kept.url())])]);
    rig.told_here(Mode::Gateway, Some(&base.url()), &of(&changed.url()));
    let mut streams = Vec::new();
    for (key, worker) in [("k1", &changed), ("k2", &kept)] {
        let mut client = rig.client().await;
        client.send(keyed("/x", key).as_bytes()).await.unwrap();
        assert!(client.head().await.is_some_and(|head| head.starts_with("HTTP/1.1 200")));
        assert_eq!(worker.connections(), 1);
        streams.push(client);
    }
    rig.told_here(Mode::Gateway, None, &of(&fresh.url()));
    check(&rig.ask(&keyed("/x", "k1")).await, 200, "fresh");
    assert_eq!(rig.ask(&plain("/x")).await.status, 400, "the default target is gone with it");
    rig.told_here(Mode::Gateway, None, &Rules::new());
    go.send_replace(true);
    go_on.send_replace(true);
    for (mut client, last) in streams.into_iter().zip(["changed", "kept"]) {
        let mut body = Vec::new();
        while let Some(chunk) = client.chunk().await.filter(|chunk| !chunk.is_empty()) {
            body.extend_from_slice(&chunk);
        }
        assert_eq!(String::from_utf8(body).unwrap(), format!("first{last}"));
    }
}

fn grpc(path: &str) -> Request<()> {
    let call = Request::post(format!("http://r.example{path}")).header("content-type", "application/grpc");
    call.header("te", "trailers").body(()).unwrap()
}

/// A server of gRPC as such: HTTP/2 without TLS. `/pkg.S/Quits` never ends, and `/pkg.S/Odd` says no status.
async fn server() -> Worker {
    Worker::scripted(|tcp, nth| async move {
        let handle = |mut call: Call| async move {
            call.body().await;
            let path = call.request.uri().path().to_owned();
            let head = Response::builder().header("content-type", "application/grpc");
            let mut stream = call.respond.send_response(head.body(()).unwrap(), false).unwrap();
            stream.send_data("message".into(), false).unwrap();
            let mut trailers = HeaderMap::new();
            match path.as_str() {
                "/pkg.S/Quits" => std::future::pending::<()>().await,
                "/pkg.S/Odd" => {}
                "/pkg.S/Fails" => drop(trailers.insert("grpc-status", HeaderValue::from_static("5"))),
                _ => drop(trailers.insert("grpc-status", HeaderValue::from_static("0"))),
            }
            stream.send_trailers(trailers).unwrap();
        };
        serve(tcp, nth, Manner::default(), handle).await;
    })
    .await
}

fn code(answer: &Whole) -> Option<&str> {
    answer.trailer("grpc-status").or_else(|| answer.header("grpc-status"))
}

/// The sandbox proxy's documents say `host:port` of servers of gRPC too, and have no word for what is spoken there.
#[tokio::test]
async fn calls_of_grpc_go_to_default_targets_and_sandboxes_by_http2_and_are_counted_by_code() {
    let server = server().await;
    let mut settings = config();
    settings.grpc = Some("127.0.0.1:0".parse().unwrap());
    let rig = Rig::start(settings, Some(12)).await;
    rig.told_here(
        Mode::Gateway,
        Some(&server.addr.to_string()),
        &rules(&[("k1", vec![rule(&server.url())])]),
    );
    let second = rig.proxy.as_ref().unwrap().grpc_addr().expect("it listens there too");
    for addr in [rig.addr, second] {
        let mut client = Http2::connect(addr).await;
        let answer = client.ask(grpc("/pkg.S/M")).await;
        assert_eq!((answer.body.as_str(), code(&answer)), ("message", Some("0")));
        let mut with_key = grpc("/pkg.S/Fails");
        with_key.headers_mut().insert("x-route-key", HeaderValue::from_static("k1"));
        assert_eq!(code(&client.ask(with_key).await), Some("5"));
        // Both ports speak the same.
        let answer = Client::connect(addr).await.ask(&call("GET", "/api/service/none/x", "")).await;
        assert_eq!(answer.status, 503);
    }
    let mut client = Http2::connect(second).await;
    assert_eq!(code(&client.ask(grpc("/pkg.S/Odd")).await), None);
    let quits = client.start(grpc("/pkg.S/Quits")).await.await.unwrap();
    drop(quits);
    let series = |method: &str, code: &str| {
        format!("proxy_grpc_requests_total{{method=\"{method}\",code=\"{code}\"}}")
    };
    rig.until_metric(&series("{default}", "CANCELLED"), 1).await;
    rig.until_metric(&series("{default}", "UNKNOWN"), 1).await;
    rig.until_metric(&series("{default}", "OK"), 2).await;
    rig.until_metric(&series("{sandbox}", "NOT_FOUND"), 2).await;
    // Nobody there: UNAVAILABLE, as on the original's dial failure.
    server.die().await;
    let answer = client.ask(grpc("/pkg.S/M")).await;
    assert_eq!((code(&answer), answer.header("grpc-message")), (Some("14"), Some("Error proxying request")));
    assert_eq!(rig.metric(&series("{default}", "UNAVAILABLE")), 1);
}
