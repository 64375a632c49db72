//! Requests by routes: where they go, what is changed on the way, and what is answered when nobody does.

mod rig;

use http::{HeaderValue, Method};
use quorate_model::{
    Command, Hold, KeyspaceName, LeaseEvent, RouteName, ServicePolicy,
    policy::KeySource,
    route::{
        Action, Cors, Destination, Forwarding, HeaderEdits, HostMatch, Mirror, OriginMatch, PathRewrite,
        Redirect, Rewrite, Target,
    },
};
use rig::{
    Answer, Client, Rig, Worker, eventually, ok,
    route::{by, forward, put_route, to_service, to_url},
    service::{Dead, call, get, put, rig},
};
use std::time::Duration;

fn check(answer: &Answer, status: u16, body: &str) {
    assert_eq!((answer.status, answer.body.as_str()), (status, body), "{}", answer.head);
}

/// A route goes before services and workspaces, and takes nothing from those that it is not for.
#[tokio::test]
async fn a_route_decides_before_all_else() {
    let (worker, named) = (Worker::ok().await, Worker::answering(|_| ok("named")).await);
    let rig = Rig::with(&worker).await;
    rig.offer("w2", &worker.url(), &["upload"]);
    put_route(&rig, "r", by("/api/service/upload/x", forward(vec![to_url(&named.url(), 1)])));
    check(&rig.ask(&get("/api/service/upload/x/y?a=b")).await, 200, "named");
    assert_eq!(named.last().line(), "GET /api/service/upload/x/y?a=b HTTP/1.1");
    check(&rig.ask(&get("/api/service/upload/z")).await, 200, "ok");
    check(&rig.ask(&call("GET", "/v1/x", "X-Workspace-ID: w1\r\n")).await, 200, "ok");
    let answer = rig.ask(&get("/api/service/upload/x/y")).await;
    assert_eq!(
        (answer.header("X-Quorate-Node"), answer.header("Access-Control-Allow-Origin")),
        (Some("n1"), None)
    );
    assert!(answer.header("X-Quorate-Index").is_some());
    // Gone, and all is as it was.
    rig.apply(Command::DeleteRoute { name: RouteName::parse("r").unwrap(), if_index: None });
    check(&rig.ask(&get("/api/service/upload/x/y")).await, 200, "ok");
}

#[tokio::test]
async fn a_host_is_matched_as_it_was_asked_for() {
    let worker = Worker::ok().await;
    let rig = rig().await;
    let mut parts = by("/", forward(vec![to_url(&worker.url(), 1)]));
    parts.matches.host = Some(HostMatch::parse("*.Example.com").unwrap());
    put_route(&rig, "r", parts);
    for (line, host, status) in [
        ("GET /x", "A.example.COM:81", 200),
        ("GET http://b.a.example.com/x", "b.a.example.com", 200),
        ("GET /x", "example.com", 400),
    ] {
        let answer = rig.ask(&format!("{line} HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
        assert_eq!(answer.status, status, "{line} {host}");
    }
}

#[tokio::test]
async fn path_host_and_headers_are_changed_on_the_way() {
    let worker = Worker::answering(|_| {
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nServer: w\r\nX-Old: 1\r\n\r\nok".to_owned()
    })
    .await;
    let rig = rig().await;
    let pair = |name: &str, value: &'static str| (Box::from(name), HeaderValue::from_static(value));
    let edits = HeaderEdits {
        set: vec![pair("x-env", "test")],
        add: vec![pair("x-tag", "2")],
        remove: vec!["x-secret".into()],
    };
    let answer_edits = HeaderEdits {
        set: vec![pair("x-new", "1")],
        add: vec![],
        remove: vec!["server".into(), "x-old".into()],
    };
    let forwarding = Forwarding {
        rewrite: Rewrite {
            path: Some(PathRewrite::prefix("f", "/v2").unwrap()),
            host: Some(Rewrite::host("inner.example:81").unwrap()),
        },
        request_headers: edits,
        response_headers: answer_edits,
        ..forward(vec![to_url(&format!("{}/base", worker.url()), 1)])
    };
    put_route(&rig, "r", by("/api", forwarding));
    let answer =
        rig.ask(&call("GET", "/%61pi/a%20b?c=d", "X-Secret: 1\r\nX-Env: prod\r\nX-Tag: 1\r\n")).await;
    check(&answer, 200, "ok");
    assert_eq!(
        (answer.header("X-New"), answer.header("Server"), answer.header("X-Old")),
        (Some("1"), None, None)
    );
    let heard = worker.last();
    assert_eq!(heard.line(), "GET /base/v2/a%20b?c=d HTTP/1.1");
    assert_eq!(
        (heard.header("Host"), heard.header("X-Forwarded-Host")),
        (Some("inner.example:81"), Some("r.example"))
    );
    assert_eq!((heard.header("X-Env"), heard.header("X-Secret")), (Some("test"), None));
    assert_eq!(heard.all("X-Tag"), ["1", "2"]);
}

#[tokio::test]
async fn a_redirect_tells_where_to_ask() {
    let rig = rig().await;
    let mut parts = by("/old", Forwarding::default());
    parts.action = Action::Redirect(Redirect {
        status: 308,
        scheme: None,
        host: Some(Redirect::host("new.example").unwrap()),
        port: None,
        path: Some(PathRewrite::prefix("f", "/new").unwrap()),
    });
    put_route(&rig, "r", parts);
    let answer = rig.ask(&get("/old/a?b=c")).await;
    check(&answer, 308, "");
    assert_eq!(answer.header("Location"), Some("http://new.example/new/a?b=c"));
    assert_eq!(answer.header("Access-Control-Allow-Origin"), None);
    assert!(answer.header("X-Quorate-Index").is_some());
    rig.until_metric(r#"quorate_proxy_requests_total{outcome="redirected"}"#, 1).await;
    // One that would lead the client in a circle is passed over: the rules behind it decide.
    let mut parts = by("/same", Forwarding::default());
    let host = Some(Redirect::host("r.example").unwrap());
    parts.action = Action::Redirect(Redirect { status: 308, scheme: None, host, port: None, path: None });
    put_route(&rig, "same", parts);
    assert_eq!(rig.ask(&get("/same")).await.status, 400, "it names no workspace");
    let elsewhere = rig.ask("GET /same HTTP/1.1\r\nHost: q.example\r\n\r\n").await;
    assert_eq!(elsewhere.header("Location"), Some("http://r.example/same"));
}

#[tokio::test]
async fn an_ambiguous_path_is_refused_where_it_matters() {
    let worker = Worker::ok().await;
    let rig = Rig::with(&worker).await;
    put_route(&rig, "admin", by("/admin", forward(vec![to_url(&worker.url(), 1)])));
    for path in ["/x/../admin", "/x/%2e%2e/admin", "//admin", "/x%2f..%2fadmin", "/admin/../x"] {
        let answer = rig.ask(&call("GET", path, "X-Workspace-ID: w1\r\n")).await;
        assert_eq!(answer.status, 400, "{path}");
        assert!(answer.body.contains("more than one way"), "{}", answer.body);
    }
    assert!(worker.heard().is_empty());
    // What no reading makes a route's goes where it always went.
    check(&rig.ask(&get("/v1/workspaces/a%2Fb/x")).await, 200, "ok");
}

fn cors() -> Cors {
    Cors {
        allowed_origins: vec![
            OriginMatch::parse("f", "https://app.example").expect("an origin"),
            OriginMatch::parse("f", "https://*.test").expect("origins"),
        ],
        allowed_methods: vec![Method::GET, Method::PUT],
        allowed_headers: vec!["x-user".into()],
        exposed_headers: vec!["x-total".into()],
        allow_credentials: true,
        max_age_seconds: Some(600),
    }
}

#[tokio::test]
async fn a_browser_is_told_what_the_route_allows() {
    let worker = Worker::answering(|_| {
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nAccess-Control-Allow-Origin: *\r\nVary: Accept\r\n\r\n"
            .to_owned()
    })
    .await;
    let rig = rig().await;
    put_route(
        &rig,
        "r",
        by("/c", Forwarding { cors: Some(cors()), ..forward(vec![to_url(&worker.url(), 1)]) }),
    );
    let asked = |origin: &str| {
        call(
            "OPTIONS",
            "/c/x",
            &format!(
                "Origin: {origin}\r\nAccess-Control-Request-Method: PUT\r\nAccess-Control-Request-Headers: x-user\r\n"
            ),
        )
    };
    let answer = rig.ask(&asked("https://a.test")).await;
    check(&answer, 204, "");
    for (name, value) in [
        ("Access-Control-Allow-Origin", "https://a.test"),
        ("Access-Control-Allow-Methods", "GET, PUT"),
        ("Access-Control-Allow-Headers", "x-user"),
        ("Access-Control-Allow-Credentials", "true"),
        ("Access-Control-Max-Age", "600"),
        ("Vary", "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"),
    ] {
        assert_eq!(answer.header(name), Some(value));
    }
    let answer = rig.ask(&asked("https://evil.example")).await;
    check(&answer, 204, "");
    assert_eq!(answer.header("Access-Control-Allow-Origin"), None);
    let delete = "Origin: https://a.test\r\nAccess-Control-Request-Method: DELETE\r\n";
    let answer = rig.ask(&call("OPTIONS", "/c/x", delete)).await;
    check(&answer, 204, "");
    assert_eq!(answer.header("Access-Control-Allow-Origin"), None, "not this method");
    assert_eq!(answer.header("Access-Control-Allow-Methods"), None);
    // The request itself: the route's say, not the destination's.
    let answer = rig.ask(&call("GET", "/c/x", "Origin: https://app.example\r\n")).await;
    assert_eq!(answer.all("Access-Control-Allow-Origin"), ["https://app.example"]);
    assert_eq!(answer.header("Access-Control-Expose-Headers"), Some("x-total"));
    assert_eq!(answer.all("Vary"), ["Accept", "Origin"]);
    let answer = rig.ask(&call("GET", "/c/x", "Origin: https://evil.example\r\n")).await;
    assert_eq!((answer.status, answer.header("Access-Control-Allow-Origin")), (200, None));
    // Elsewhere OPTIONS is answered as ever, and it never reached anybody.
    let answer = rig.ask(&call("OPTIONS", "/d", "Origin: https://a.test\r\n")).await;
    assert_eq!((answer.status, answer.header("Access-Control-Allow-Origin")), (204, Some("*")));
    assert!(worker.heard().iter().all(|heard| heard.line().starts_with("GET")));
}

/// Without `cors` what browsers are told is the destination's affair.
#[tokio::test]
async fn a_route_without_cors_says_nothing_of_its_own() {
    let worker = Worker::answering(|_| {
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nAccess-Control-Allow-Origin: https://a\r\n\r\n".to_owned()
    })
    .await;
    let rig = rig().await;
    put_route(&rig, "r", by("/c", forward(vec![to_url(&worker.url(), 1)])));
    let answer = rig.ask(&call("GET", "/c", "Origin: https://b\r\n")).await;
    assert_eq!(answer.all("Access-Control-Allow-Origin"), ["https://a"]);
    assert_eq!(answer.header("Access-Control-Allow-Methods"), None);
}

#[tokio::test]
async fn a_key_stays_at_its_destination() {
    let (a, b) = (Worker::answering(|_| ok("a")).await, Worker::answering(|_| ok("b")).await);
    let rig = rig().await;
    let destinations = vec![to_url(&a.url(), 50), to_url(&b.url(), 50)];
    let sticky = Some(KeySource::header("x-user").unwrap());
    put_route(&rig, "r", by("/s", Forwarding { sticky, ..forward(destinations) }));
    let mut seen = Vec::new();
    let mut client = rig.client().await;
    for user in 0..40 {
        let request = call("GET", "/s", &format!("X-User: u{user}\r\n"));
        let first = client.ask(&request).await.body;
        for _ in 0..3 {
            assert_eq!(client.ask(&request).await.body, first, "user {user}");
        }
        seen.push(first);
    }
    // One in 2^39 that all of forty land at one, and the hash is fixed: it happens never or always.
    assert!(seen.contains(&"a".to_owned()) && seen.contains(&"b".to_owned()), "{seen:?}");
}

#[tokio::test]
async fn a_service_is_a_destination_and_fails_over() {
    let (dead, worker) = (Dead::new(), Worker::ok().await);
    let rig = rig().await;
    rig.offer("w1", &dead.url, &["upload"]);
    rig.offer("w2", &worker.url(), &["upload"]);
    put_route(&rig, "r", by("/up", forward(vec![to_service("upload")])));
    for _ in 0..8 {
        check(&rig.ask(&get("/up/x?y")).await, 200, "ok");
    }
    // The whole path, not what follows a service's name.
    assert_eq!(worker.last().line(), "GET /up/x?y HTTP/1.1");
    check(&rig.ask(&put("/up/x", "body")).await, 200, "ok");
    assert_eq!(worker.last().body, b"body");
}

#[tokio::test]
async fn a_keyspace_is_a_destination() {
    let worker = Worker::ok().await;
    let rig = Rig::with(&worker).await;
    let keyspace = Target::Keyspace(KeyspaceName::parse("default").unwrap());
    put_route(&rig, "r", by("/k", forward(vec![Destination { target: keyspace, weight: 1 }])));
    check(&rig.ask(&get("/k/workspaces/w1/x")).await, 200, "ok");
    assert_eq!(rig.ask(&get("/k/x")).await.status, 400, "no workspace");
}

#[tokio::test]
async fn the_gateways_errors_are_said_in_its_words() {
    let (dead, rig) = (Dead::new(), rig().await);
    put_route(&rig, "dead", by("/dead", forward(vec![to_url(&dead.url, 1)])));
    put_route(
        &rig,
        "none",
        by("/none", Forwarding { cors: Some(cors()), ..forward(vec![to_service("nobody")]) }),
    );
    let answer = rig.ask(&get("/dead/x")).await;
    check(&answer, 502, "Error communicating with backend service");
    assert_eq!(answer.header("Content-Type"), Some("text/plain; charset=utf-8"));
    let answer = rig.ask(&call("GET", "/none/x", "Origin: https://app.example\r\n")).await;
    check(&answer, 503, "No backend service available");
    assert_eq!(
        answer.header("Access-Control-Allow-Origin"),
        Some("https://app.example"),
        "a page may read why"
    );
    let fatal = rig::service::fatal().await;
    put_route(&rig, "fatal", by("/fatal", forward(vec![to_url(&fatal.url(), 1)])));
    check(&rig.ask(&get("/fatal")).await, 502, "Error communicating with backend service");
}

/// Answers nothing, ever.
async fn silent() -> Worker {
    Worker::scripted(|tcp, _| async move {
        let mut client = Client::of(tcp);
        while client.head().await.is_some() {}
    })
    .await
}

#[tokio::test]
async fn a_routes_time_is_its_own() {
    let (silent, rig) = (silent().await, rig().await);
    let mut forwarding = forward(vec![to_url(&silent.url(), 1)]);
    forwarding.timeouts.total_ms = Some(200);
    put_route(&rig, "r", by("/slow", forwarding));
    // Far below the 30 s that the node gives.
    check(&rig.ask(&get("/slow")).await, 504, "Backend service request timeout");
}

#[tokio::test]
async fn an_attempt_that_takes_too_long_leaves_time_for_another() {
    let (silent, worker, rig) = (silent().await, Worker::ok().await, rig().await);
    rig.offer("w1", &silent.url(), &["upload"]);
    rig.offer("w2", &worker.url(), &["upload"]);
    let mut forwarding = forward(vec![to_service("upload")]);
    forwarding.timeouts.per_try_ms = Some(200);
    put_route(&rig, "r", by("/up", forwarding));
    for _ in 0..4 {
        check(&rig.ask(&get("/up")).await, 200, "ok");
    }
    // Which may have had an effect is not sent twice.
    rig.lease("w2", LeaseEvent::Expired);
    let post = call("POST", "/up", "Content-Length: 0\r\n");
    check(&rig.ask(&post).await, 504, "Backend service request timeout");
}

#[tokio::test]
async fn a_copy_goes_to_the_mirror_and_delays_nobody() {
    let (worker, mirror, stuck) = (Worker::ok().await, Worker::answering(|_| ok("no")).await, silent().await);
    let rig = rig().await;
    let copied = |mirror: &Worker| Forwarding {
        mirror: Some(Mirror::new(to_url(&mirror.url(), 1).target, 1_000_000).unwrap()),
        rewrite: Rewrite { path: PathRewrite::prefix("f", "/v2").ok(), host: None },
        ..forward(vec![to_url(&worker.url(), 1)])
    };
    put_route(&rig, "r", by("/m", copied(&mirror)));
    put_route(&rig, "stuck", by("/stuck", copied(&stuck)));
    check(&rig.ask(&get("/m/x?y")).await, 200, "ok");
    eventually("a copy", || mirror.heard().len() == 1).await;
    assert_eq!(mirror.last().line(), "GET /v2/x?y HTTP/1.1");
    let post = call("POST", "/m", "Content-Length: 4\r\n") + "body";
    check(&rig.ask(&post).await, 200, "ok");
    eventually("a copy with its body", || mirror.heard().len() == 2).await;
    assert_eq!(
        (mirror.last().line(), mirror.last().body.as_slice()),
        ("POST /v2 HTTP/1.1", b"body".as_slice())
    );
    rig.until_metric(r#"quorate_proxy_mirrored_total{result="answered"}"#, 2).await;
    let large = "x".repeat(65 << 10);
    check(
        &rig.ask(&(call("POST", "/m", &format!("Content-Length: {}\r\n", large.len())) + &large)).await,
        200,
        "ok",
    );
    rig.until_metric(r#"quorate_proxy_mirrored_total{result="not_kept"}"#, 1).await;
    let dead = Dead::new();
    let copied = Forwarding {
        mirror: Some(Mirror::new(to_url(&dead.url, 1).target, 1_000_000).unwrap()),
        ..forward(vec![to_url(&worker.url(), 1)])
    };
    put_route(&rig, "dead", by("/dead", copied));
    check(&rig.ask(&get("/dead")).await, 200, "ok");
    rig.until_metric(r#"quorate_proxy_mirrored_total{result="failed"}"#, 1).await;
    for _ in 0..3 {
        check(&rig.ask(&get("/stuck")).await, 200, "ok");
    }
    assert_eq!(worker.heard().len(), 7);
}

#[tokio::test]
async fn a_request_for_a_service_that_is_away_for_a_moment_waits() {
    let worker = Worker::ok().await;
    let rig = rig().await;
    let hold = Some(Hold::new(Duration::from_secs(10), 10).unwrap());
    rig.policy("upload", ServicePolicy { hold, ..ServicePolicy::default() });
    rig.offer("w1", &worker.url(), &["upload"]);
    put_route(&rig, "r", by("/up", forward(vec![to_service("upload")])));
    check(&rig.ask(&get("/up")).await, 200, "ok");
    rig.lease("w1", LeaseEvent::Expired);
    let mut waiting = rig.client().await;
    waiting.send(get("/up").as_bytes()).await.unwrap();
    rig.until_metric("quorate_proxy_holds_open", 1).await;
    rig.offer("w2", &worker.url(), &["upload"]);
    check(&waiting.answer("GET").await, 200, "ok");
}
