//! What a route says itself of its requests: how workers are chosen, what is tried again, how long things may take.

#[path = "routes/explained.rs"]
mod explained;
#[path = "routes/ramped.rs"]
mod ramped;
mod rig;
#[path = "routes/versions.rs"]
mod versions;

use quorate_model::{
    ServicePolicy,
    policy::{Backoff, Balancing, EndpointLimits, KeySource, Retries},
    route::{Forwarding, Timeouts},
};
use quorate_rt::time::{sleep, timeout};
use rig::{
    Answer, Client, PATIENCE, Rig, Worker, eventually,
    http2::{Http2, get2, whole},
    ok,
    route::{by, forward, put_route, to_service, to_url},
    service::{Dead, balanced, call, fatal, get, named, rig},
};
use std::{collections::BTreeMap, time::Duration};
use tokio::io::AsyncReadExt;

fn check(answer: &Answer, status: u16, body: &str) {
    assert_eq!((answer.status, answer.body.as_str()), (status, body), "{}", answer.head);
}

/// They wait no time that a test would notice.
fn retries(max: u8) -> Option<Retries> {
    Some(Retries { max, backoff: Backoff { initial_ms: 1, max_ms: 1 }, ..Retries::default() })
}

fn to(service: &str) -> Forwarding {
    forward(vec![to_service(service)])
}

fn urls(workers: &[&str]) -> Forwarding {
    forward(workers.iter().map(|url| to_url(url, 1)).collect())
}

async fn status(status: u16) -> Worker {
    Worker::answering(move |_| format!("HTTP/1.1 {status} X\r\nContent-Length: 3\r\n\r\nbad")).await
}

/// Takes requests and never answers.
async fn silent() -> Worker {
    Worker::scripted(|tcp, _| async move {
        let mut client = Client::of(tcp);
        while client.message().await.is_some() {}
    })
    .await
}

async fn counted(rig: &Rig, request: impl Fn(usize) -> String, times: usize) -> BTreeMap<String, usize> {
    let (mut client, mut seen) = (rig.client().await, BTreeMap::new());
    for nth in 0..times {
        *seen.entry(client.ask(&request(nth)).await.body).or_insert(0) += 1;
    }
    seen
}

fn counts(seen: &BTreeMap<String, usize>) -> Vec<usize> {
    seen.values().copied().collect()
}

/// Three routes to one service, each with its own say, at once.
#[tokio::test]
async fn each_route_chooses_the_workers_of_a_service_in_its_own_way() {
    let rig = rig().await;
    let _workers = named(&rig, &["a", "b", "c"]).await;
    rig.policy("s", balanced(Balancing::SourceIp));
    let turns = Forwarding { balancing: Some(Balancing::RoundRobin), ..to("s") };
    put_route(&rig, "turns", by("/turns", turns));
    let hash_on = Some(KeySource::header("x-user").unwrap());
    let keyed = Forwarding { balancing: Some(Balancing::ConsistentHash), hash_on, ..to("s") };
    put_route(&rig, "keyed", by("/keyed", keyed));
    put_route(&rig, "plain", by("/plain", to("s")));
    let mut users: BTreeMap<usize, String> = BTreeMap::new();
    for _ in 0..3 {
        // Those in between take no turn of it.
        assert_eq!(counts(&counted(&rig, |_| get("/turns"), 3).await), [1, 1, 1]);
        let mut client = rig.client().await;
        for user in 0..24 {
            let body = client.ask(&call("GET", "/keyed", &format!("X-User: u{user}\r\n"))).await.body;
            assert_eq!(*users.entry(user).or_insert_with(|| body.clone()), body, "user {user}");
        }
        // As the policy says: all of one client's go to one.
        assert_eq!(counts(&counted(&rig, |_| get("/plain"), 6).await), [6]);
        assert_eq!(counts(&counted(&rig, |_| get("/api/service/s/x"), 6).await), [6]);
    }
    let used: std::collections::BTreeSet<_> = users.values().collect();
    assert_eq!(used.len(), 3, "the hash is fixed: it is always so or never");
}

/// Nobody says anything: the better of two random ones.
#[tokio::test]
async fn a_route_that_says_nothing_takes_the_better_of_two() {
    let rig = rig().await;
    let _workers = named(&rig, &["a", "b"]).await;
    put_route(&rig, "r", by("/r", to("s")));
    let slow = Worker::scripted(|tcp, _| async move {
        let mut client = Client::of(tcp);
        while client.message().await.is_some() {
            sleep(Duration::from_millis(100)).await;
            let _ = client.send(ok("slow").as_bytes()).await;
        }
    })
    .await;
    rig.offer("slow", &slow.url(), &["s"]);
    let seen = counted(&rig, |_| get("/r"), 60).await;
    // What takes a hundred times as long gets the few that look for news; by chance it would be twenty.
    assert!(seen.get("slow").copied().unwrap_or(0) <= 6, "{seen:?}");
}

#[tokio::test]
async fn a_routes_retries_go_before_those_of_the_service() {
    let rig = rig().await;
    let (bad, good) = (status(503).await, Worker::ok().await);
    rig.offer("bad", &bad.url(), &["s"]);
    rig.offer("good", &good.url(), &["s"]);
    rig.policy("s", ServicePolicy { retries: retries(0), ..balanced(Balancing::RoundRobin) });
    put_route(&rig, "none", by("/none", to("s")));
    put_route(&rig, "some", by("/some", Forwarding { retries: retries(1), ..to("s") }));
    let seen = counted(&rig, |_| get("/none"), 4).await;
    assert_eq!(counts(&seen), [2, 2], "as the policy says: {seen:?}");
    assert_eq!(counts(&counted(&rig, |_| get("/some"), 4).await), [4]);
    assert!(good.last().header("X-Quorate-Attempt").is_some(), "told from the first attempt on");
    // And the other way about.
    rig.policy("s", ServicePolicy { retries: retries(1), ..balanced(Balancing::RoundRobin) });
    put_route(&rig, "some", by("/some", Forwarding { retries: retries(0), ..to("s") }));
    assert_eq!(counts(&counted(&rig, |_| get("/some"), 4).await), [2, 2]);
    assert_eq!(counts(&counted(&rig, |_| get("/none"), 4).await), [4]);
}

#[tokio::test]
async fn another_address_follows_one_that_fails() {
    let rig = rig().await;
    let (dead, good) = (Dead::new(), Worker::ok().await);
    put_route(&rig, "dead", by("/dead", urls(&[&dead.url, &good.url()])));
    let post = call("POST", "/dead", "Content-Length: 2\r\n") + "hi";
    for request in [get("/dead"), post] {
        for _ in 0..6 {
            check(&rig.ask(&request).await, 200, "ok");
        }
    }
    // Each at most once, and what was sent and may not be repeated stays where it failed.
    let dying = [fatal().await, fatal().await];
    put_route(&rig, "dying", by("/dying", urls(&[&dying[0].url(), &dying[1].url()])));
    check(&rig.ask(&get("/dying")).await, 502, "Error communicating with backend service");
    assert_eq!(dying.each_ref().map(Worker::connections), [1, 1]);
    let post = call("POST", "/dying", "Content-Length: 2\r\n") + "hi";
    check(&rig.ask(&post).await, 502, "Error communicating with backend service");
    assert_eq!(dying.iter().map(Worker::connections).sum::<usize>(), 3);
    // None where the route says so, and the share of 0 is nobody's.
    let none = Forwarding { retries: retries(0), ..urls(&[&dead.url, &dead.url]) };
    put_route(&rig, "none", by("/none", none));
    check(&rig.ask(&get("/none")).await, 502, "Error communicating with backend service");
    let zero = forward(vec![to_url(&dead.url, 1), to_url(&good.url(), 0)]);
    put_route(&rig, "zero", by("/zero", zero));
    check(&rig.ask(&get("/zero")).await, 502, "Error communicating with backend service");
}

#[tokio::test]
async fn an_address_that_answers_what_is_listed_is_followed_by_another_one() {
    let rig = rig().await;
    let (bad, good) = (status(503).await, Worker::ok().await);
    let both = || Forwarding { retries: retries(2), ..urls(&[&bad.url(), &good.url()]) };
    put_route(&rig, "both", by("/both", both()));
    for _ in 0..8 {
        check(&rig.ask(&get("/both")).await, 200, "ok");
    }
    // Two paths of one endpoint are one endpoint.
    let heard = bad.heard().len();
    let (a, b) = (format!("{}/a", bad.url()), format!("{}/b", bad.url()));
    put_route(&rig, "same", by("/same", Forwarding { retries: retries(2), ..urls(&[&a, &b]) }));
    check(&rig.ask(&get("/same")).await, 503, "bad");
    assert_eq!(bad.heard().len(), heard + 1);
}

#[tokio::test]
async fn one_attempt_has_its_own_time() {
    let rig = rig().await;
    let (stuck, good) = (silent().await, Worker::ok().await);
    let timeouts = Timeouts { per_try_ms: Some(150), ..Timeouts::default() };
    rig.offer("stuck", &stuck.url(), &["s"]);
    rig.offer("good", &good.url(), &["s"]);
    let turns = Some(Balancing::RoundRobin);
    let forwarding = Forwarding { balancing: turns, retries: retries(2), timeouts, ..to("s") };
    put_route(&rig, "s", by("/s", forwarding));
    for _ in 0..2 {
        check(&rig.ask(&get("/s")).await, 200, "ok");
    }
    assert!(stuck.connections() > 0, "it was its turn");
    // What may not be repeated is not; a lone address has nobody behind it.
    put_route(&rig, "url", by("/url", Forwarding { timeouts, ..urls(&[&stuck.url()]) }));
    check(&rig.ask(&get("/url")).await, 504, "Backend service request timeout");
    put_route(&rig, "urls", by("/urls", Forwarding { timeouts, ..urls(&[&stuck.url(), &good.url()]) }));
    for _ in 0..4 {
        check(&rig.ask(&get("/urls")).await, 200, "ok");
    }
}

#[tokio::test]
async fn who_has_as_much_as_it_may_have_is_no_absent_worker() {
    let rig = rig().await;
    let stuck = silent().await;
    rig.offer("w1", &stuck.url(), &["s"]);
    let limits = EndpointLimits { in_flight_max: Some(1), ..EndpointLimits::default() };
    rig.policy("s", ServicePolicy { limits, ..ServicePolicy::default() });
    put_route(&rig, "r", by("/r", to("s")));
    let mut first = rig.client().await;
    first.send(get("/r").as_bytes()).await.unwrap();
    eventually("it has one", || rig.in_flight("w1") == 1).await;
    let answer = rig.ask(&get("/r")).await;
    check(&answer, 503, "Backend service has as many requests as it may have");
    assert_eq!(answer.header("Retry-After"), Some("1"));
    rig.until_metric(r#"quorate_proxy_requests_total{outcome="overloaded"}"#, 1).await;
    let answer = rig.ask(&get("/api/service/s/x")).await;
    assert_eq!((answer.status, answer.header("Retry-After")), (503, Some("1")));
    let body = r#"{"error":"Service temporarily unavailable, retry recommended","retry_after":1,"healthy_workers":1}"#;
    assert_eq!(answer.body, body, "the coordinator's own body");
    rig.until_metric(r#"quorate_proxy_requests_total{outcome="overloaded"}"#, 2).await;
    assert_eq!(rig.metric(r#"quorate_proxy_requests_total{outcome="no_worker"}"#), 0);
}

fn idle(ms: u32) -> Timeouts {
    Timeouts { idle_ms: Some(ms), ..Timeouts::default() }
}

const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

/// Answers with so many pieces, a while between two of them, and an end if it is told to.
async fn dripping(pieces: usize, every: Duration, ends: bool) -> Worker {
    Worker::scripted(move |tcp, _| async move {
        let mut client = Client::of(tcp);
        while client.message().await.is_some() {
            let _ = client.send(CHUNKED.as_bytes()).await;
            for _ in 0..pieces {
                sleep(every).await;
                let _ = client.send(b"1\r\nx\r\n").await;
            }
            if ends {
                let _ = client.send(b"0\r\n\r\n").await;
            }
        }
    })
    .await
}

#[tokio::test]
async fn an_answer_that_stands_still_is_cut() {
    let rig = rig().await;
    let worker = dripping(1, Duration::from_millis(1), false).await;
    put_route(&rig, "r", by("/r", Forwarding { timeouts: idle(200), ..urls(&[&worker.url()]) }));
    let mut client = rig.client().await;
    client.send(get("/r").as_bytes()).await.unwrap();
    assert!(client.head().await.unwrap().starts_with("HTTP/1.1 200"));
    assert_eq!(client.chunk().await.as_deref(), Some(&b"x"[..]));
    assert!(client.is_closed().await, "with no end: the client must not take it for whole");
}

/// The same on a stream, whose connection goes on.
#[tokio::test]
async fn a_stream_whose_answer_stands_still_is_reset() {
    let rig = rig().await;
    let (stuck, good) = (dripping(1, Duration::from_millis(1), false).await, Worker::ok().await);
    put_route(&rig, "r", by("/r", Forwarding { timeouts: idle(200), ..urls(&[&stuck.url()]) }));
    put_route(&rig, "good", by("/good", urls(&[&good.url()])));
    let mut client = Http2::connect(rig.addr).await;
    let answer = client.start(get2("/r")).await;
    assert!(timeout(PATIENCE, whole(answer)).await.expect("cut in time").is_err());
    assert_eq!(client.ask(get2("/good")).await.body, "ok");
}

/// Pieces are counted, not the time of all: this one takes longer than the idle time.
#[tokio::test]
async fn an_answer_that_moves_is_not_cut() {
    let rig = rig().await;
    let worker = dripping(9, Duration::from_millis(500), true).await;
    put_route(&rig, "r", by("/r", Forwarding { timeouts: idle(4_000), ..urls(&[&worker.url()]) }));
    check(&rig.ask(&get("/r")).await, 200, "xxxxxxxxx");
}

/// Until the head of an answer it is the worker's time that counts, once the client has sent all.
#[tokio::test]
async fn a_request_that_stands_still_is_given_up_and_one_that_is_whole_is_not() {
    let rig = rig().await;
    let worker = Worker::scripted(|tcp, _| async move {
        let mut client = Client::of(tcp);
        while client.message().await.is_some() {
            sleep(Duration::from_millis(800)).await;
            let _ = client.send(ok("late").as_bytes()).await;
        }
    })
    .await;
    put_route(&rig, "r", by("/r", Forwarding { timeouts: idle(200), ..urls(&[&worker.url()]) }));
    check(&rig.ask(&get("/r")).await, 200, "late");
    check(&rig.ask(&(call("POST", "/r", "Content-Length: 2\r\n") + "hi")).await, 200, "late");
    let mut client = rig.client().await;
    client.send((call("POST", "/r", "Content-Length: 9\r\n") + "part").as_bytes()).await.unwrap();
    check(&client.answer("POST").await, 504, "Backend service request timeout");
    // The next request of a client that had an idle time has none of its own.
    put_route(&rig, "free", by("/free", urls(&[&worker.url()])));
    let mut client = rig.client().await;
    check(&client.ask(&get("/r")).await, 200, "late");
    check(&client.ask(&get("/free")).await, 200, "late");
}

#[tokio::test]
async fn a_tunnel_that_stands_still_is_closed() {
    let rig = rig().await;
    let worker = Worker::scripted(|tcp, _| async move {
        let mut client = Client::of(tcp);
        let _ = client.head().await;
        let agreed = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
        let _ = client.send(agreed.as_bytes()).await;
        let mut buffer = [0; 64];
        while let Ok(1..) = client.tcp.read(&mut buffer).await {
            let _ = client.send(b"echo").await;
        }
    })
    .await;
    put_route(&rig, "r", by("/r", Forwarding { timeouts: idle(300), ..urls(&[&worker.url()]) }));
    let mut client = rig.client().await;
    let ask = call("GET", "/r", "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n");
    client.send(ask.as_bytes()).await.unwrap();
    assert_eq!(client.answer("GET").await.status, 101);
    client.send(b"x").await.unwrap();
    assert_eq!(client.exactly(4).await.as_deref(), Some(&b"echo"[..]));
    rig.until_metric("quorate_proxy_tunnels_open", 0).await;
    let closed = timeout(PATIENCE, client.is_closed()).await;
    assert_eq!(closed.ok(), Some(true));
}
